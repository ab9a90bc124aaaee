/* What the tests of the kernel IR share: tensors of seeded values, running a suite. */
#ifndef MASSC_TEST_KERNEL_UTIL_H
#define MASSC_TEST_KERNEL_UTIL_H
#include "ir/kernel/kir.h"
#include "tests/unit/tap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline struct ir_tensor *tensor(struct ir_arena *a, enum ir_elem e, int64_t n)
{
  struct ir_tensor *t = IR_NEW(a, struct ir_tensor);
  *t = (struct ir_tensor){ .elem = e, .rank = 1, .dim = { n }, .n = n, .p = ir_arena_alloc(a, 8 * (size_t)(n + 1)) };
  return t;
}
/* Values k/64 in -2..2: exact in every float type, so that sums of products have no rounding to argue about. */
static inline struct ir_tensor *seeded(struct ir_arena *a, enum ir_elem e, int64_t n, unsigned seed)
{
  struct ir_tensor *t = tensor(a, e, n);
  uint32_t x = seed * 2654435761u + 12345;
  for (int64_t i = 0; i < n; i++) {
    x = x * 1664525u + 1013904223u;
    t->f[i] = ((int)(x >> 24) - 128) / 64.0;
  }
  return t;
}
static inline int run_suite(const char *name, void (*add)(TCase *))
{
  Suite *s = suite_create(name);
  TCase *t = tcase_create(name);
  add(t);
  suite_add_tcase(s, t);
  return tap_run(s);
}

/* ---- building nests briefly ---- */
struct nb { struct ir_arena *a; struct kir_nest *n; struct ir_ixs *t; };
static inline struct nb nb_create(const char *name)
{
  struct ir_arena *a = ir_arena_create();
  struct kir_nest *n = kir_nest_create(a, name);
  return (struct nb){ a, n, n->ixs };
}
static inline const struct ir_ix *num(const struct nb *b, int64_t k) { return ir_ix_int(b->t, k); }
static inline const struct ir_ix *dim(const struct nb *b, const char *s, int64_t lo, int64_t hi, int64_t by) { return ir_ix_sym(b->t, s, IR_SYM_DIM, lo, hi, by); }
static inline struct kir_axis axis(const struct nb *b, const char *s, const struct ir_ix *ext)
{
  int64_t lo, hi;
  ir_ix_range(ext, &lo, &hi);
  return (struct kir_axis){ ir_ix_sym(b->t, s, IR_SYM_AXIS, 0, hi == IR_IX_INF ? hi : hi < 1 ? 0 : hi - 1, 1), ext };
}
#define IXS(...) ((const struct ir_ix *[]){ __VA_ARGS__ })
#define AXES(...) ((struct kir_axis[]){ __VA_ARGS__ })
static inline struct kir_expr *fn2(const struct nb *b, enum ir_map f, struct kir_expr *x, struct kir_expr *y) { return kir_fn(b->n, f, x, y, NULL); }
static inline const char *nest_str(const struct nb *b, const struct kir_nest *n)
{
  struct ir_buf t = { 0 };
  kir_nest_print(&t, n);
  const char *s = ir_arena_strndup(b->a, t.s, t.n);
  ir_buf_deinit(&t);
  return s;
}

static inline const char *kern_str(struct ir_arena *a, const struct kir_kern *k)
{
  struct ir_buf t = { 0 };
  kir_kern_print(&t, k);
  const char *s = ir_arena_strndup(a, t.s, t.n);
  ir_buf_deinit(&t);
  return s;
}
/* parse(print(k)) prints the same; gives the parsed kern */
static inline struct kir_kern *kern_round_trip(struct ir_arena *a, const struct kir_kern *k)
{
  const char *s = kern_str(a, k);
  struct ir_diags d = { .file = "kern" };
  struct kir_kern *p = kir_kern_parse(a, &d, s, strlen(s));
  ck_assert_msg(p != NULL, "%s\n%s", d.first.s, s);
  ck_assert_str_eq(kern_str(a, p), s);
  return p;
}

/* C[m,n] = T(max(sum_k f32(A[m,k])*f32(B[k,n]) + b[n], 0)) */
static inline struct nb gemm_nest(const char *name, enum ir_elem e, const struct ir_ix *(*M)(const struct nb *), const struct ir_ix *(*N)(const struct nb *), const struct ir_ix *(*K)(const struct nb *))
{
  struct nb b = nb_create(name);
  const struct ir_ix *m = M(&b), *n = N(&b), *k = K(&b);
  struct kir_arr *A = kir_arg(b.n, "A", e, 2, IXS(m, k), false), *B = kir_arg(b.n, "B", e, 2, IXS(k, n), false), *v = kir_arg(b.n, "b", e, 1, IXS(n), false), *C = kir_arg(b.n, "C", e, 2, IXS(m, n), true);
  struct kir_axis am = axis(&b, "m", m), an = axis(&b, "n", n), ak = axis(&b, "k", k);
  struct kir_expr *p = fn2(&b, IR_MAP_mul, kir_cast(b.n, IR_f32, kir_read(b.n, A, IXS(am.var, ak.var), NULL)), kir_cast(b.n, IR_f32, kir_read(b.n, B, IXS(ak.var, an.var), NULL)));
  struct kir_stmt *c = kir_stmt(b.n, NULL, AXES(am, an), 2, kir_red(b.n, KIR_SUM, AXES(ak), 1, p));
  struct kir_expr *y = fn2(&b, IR_MAP_add, kir_read(b.n, c->dst, IXS(am.var, an.var), NULL), kir_cast(b.n, IR_f32, kir_read(b.n, v, IXS(an.var), NULL)));
  kir_stmt(b.n, C, AXES(am, an), 2, kir_cast(b.n, e, fn2(&b, IR_MAP_max, y, kir_const(b.n, IR_f32, 0, 0))));
  return b;
}
static inline void gemm_ref(const struct ir_tensor *A, const struct ir_tensor *B, const struct ir_tensor *v, enum ir_elem e, int M, int N, int K, double *out)
{
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) {
      double s = 0;
      for (int k = 0; k < K; k++) s += A->f[m * K + k] * B->f[k * N + n];
      s = (float)((float)s + v->f[n]);
      out[m * N + n] = ir_round_to(e, s > 0 ? s : 0);
    }
}
#endif
