/* Lowers a nest given as text by one skeleton and holds the kern, in the interpreter and as machine code, against the nest's own evaluation. */
#ifndef MASSC_TESTS_LOWERING_H
#define MASSC_TESTS_LOWERING_H
#include "tests/unit/codegen/run_native.h"
#include "tests/unit/codegen/run_opencl.h"
#include "tests/unit/codegen/gpu_case.h"
#include "codegen/library/skeleton.h"
#include "tests/unit/tap.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lowering {
  const struct cg_skeleton *sk;
  const struct cg_target *t;
  double tolerance; /* of a difference, relative to the largest value; 0: 2e-6 */
  bool no_native;
  bool no_compiler;                    /* GPUs: run in the interpreter alone, where another nest of the test has such a kernel */
  bool no_text;                        /* nested divisions print as remainders in an order of their making: such a text reads back as an equal kern, not the same */
  struct ir_arena *a;
  struct kir_kern *k; /* of the last run */
};
static inline struct kir_nest *lw_parse(struct ir_arena *a, const char *text)
{
  struct ir_diags d = { .file = "nest" };
  struct kir_nest *n = kir_nest_parse(a, &d, text, strlen(text));
  ck_assert_msg(n != NULL, "%s\n%s", d.first.s, text);
  ir_buf_deinit(&d.first);
  return n;
}
static inline struct ir_tensor *lw_tensor(struct ir_arena *a, enum ir_elem e, int64_t n)
{
  struct ir_tensor *t = IR_NEW(a, struct ir_tensor);
  *t = (struct ir_tensor){ .elem = e, .rank = 1, .dim = { n }, .n = n, .p = ir_arena_alloc(a, 8 * (size_t)(n + 1)) };
  return t;
}
static inline void lw_fill(struct ir_tensor *t, uint64_t *x)
{
  for (int64_t i = 0; i < t->n; i++) {
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    int64_t r = (int64_t)(*x >> 40) % 257 - 128;
    if (ir_elem_class(t->elem) == 'F') t->f[i] = ir_round_to(t->elem, (double)r / 64);
    else t->i[i] = t->elem == IR_bool ? r & 1 : ir_wrap_to(t->elem, ir_elem_class(t->elem) == 'U' ? llabs(r) % 7 : r % 7);
  }
}
struct lw_env {
  const struct kir_bind *b;
  unsigned n;
  const int64_t *c;
};
static inline int64_t lw_sym(void *arg, const struct ir_sym *s, bool *known)
{
  struct lw_env *e = arg;
  *known = true;
  for (unsigned i = 0; i < e->n; i++)
    if (!strcmp(e->b[i].name, s->name)) return e->b[i].value;
  if (s->kind == IR_SYM_COORD && e->c) return e->c[atoi(s->name + 1)];
  *known = false;
  return 0;
}
static inline int64_t lw_value(const struct ir_ix *e, const struct kir_bind *b, unsigned n, const int64_t *c)
{
  struct lw_env arg = { b, n, c };
  struct ir_ix_env env = { lw_sym, NULL, &arg };
  int64_t r = 0;
  ck_assert(ir_ix_eval(e, &env, &r));
  return r;
}
static inline int64_t lw_volume(const struct kir_arr *x, const struct kir_bind *b, unsigned n)
{
  int64_t v = 1;
  for (unsigned d = 0; d < x->rank; d++) v *= lw_value(x->shape[d] ? x->shape[d] : x->hi[d], b, n, NULL);
  return v;
}
static inline const char *lw_text(struct lowering *l)
{
  struct ir_buf b = { 0 };
  kir_kern_print(&b, l->k);
  const char *s = ir_arena_strndup(l->a, b.s, b.n);
  ir_buf_deinit(&b);
  return s;
}
/* The kern keeps the verifier's rules, and parse(print(k)) prints the same. */
static inline void lw_rules(struct lowering *l)
{
  const char *why = "", *text = lw_text(l);
  struct ir_diags d = { .file = "kern" };
  ck_assert_msg(kir_verify(l->k, &why), "%s\n%.3000s", why, text);
  struct lowering p = { .a = l->a, .k = kir_kern_parse(l->a, &d, text, strlen(text)) };
  ck_assert_msg(p.k != NULL, "%s\n%s", d.first.s, text);
  if (!l->no_text) ck_assert_str_eq(lw_text(&p), text);
  ck_assert_msg(kir_verify(p.k, &why), "parsed: %s\n%s", why, text);
}
/* What lies around the shape of an output with zero_pad is 0. */
static inline void lw_halo(struct lowering *l, const struct kir_arr *x, const struct kir_bind *b, unsigned n, const struct ir_tensor *raw, const char *how)
{
  int64_t lo[IR_MAX_RANK], hi[IR_MAX_RANK], sh[IR_MAX_RANK], c[IR_MAX_RANK], volume = 1;
  if (!x->zero_pad || !x->at) return;
  for (unsigned d = 0; d < x->rank; d++) {
    sh[d] = lw_value(x->shape[d], b, n, NULL);
    c[d] = lo[d] = lw_value(x->lo[d], b, n, NULL);
    hi[d] = x->slack >> d & 1 ? sh[d] : lw_value(x->hi[d], b, n, NULL);
    volume *= hi[d] - lo[d];
  }
  for (int64_t i = 0; i < volume; i++) {
    bool in = true;
    for (unsigned d = 0; d < x->rank; d++) in &= c[d] >= 0 && c[d] < sh[d];
    if (!in) ck_assert_msg(raw->f[lw_value(x->at, b, n, c)] == 0, "%s: %s has no zero around it at %lld\n%s", how, x->name, (long long)i, lw_text(l));
    for (unsigned d = x->rank; d-- > 0;) {
      if (++c[d] < hi[d]) break;
      c[d] = lo[d];
    }
  }
}
static inline void lw_compare(struct lowering *l, const struct kir_arr *x, const struct ir_tensor *want, const struct ir_tensor *got, const char *how)
{
  double top = 0, tol = l->tolerance ? l->tolerance : 2e-6;
  bool f = ir_elem_class(want->elem) == 'F';
  if (ir_elem_narrower(want->elem, IR_f32)) tol = 1e-2;
  for (int64_t i = 0; i < want->n; i++)
    if (f && isfinite(want->f[i]) && fabs(want->f[i]) > top) top = fabs(want->f[i]);
  for (int64_t i = 0; i < want->n; i++)
    if (f ? !(fabs(want->f[i] - got->f[i]) <= tol * top || want->f[i] == got->f[i] || (isnan(want->f[i]) && isnan(got->f[i]))) : want->i[i] != got->i[i])
      ck_abort_msg("%s: %s[%lld] is %.9g, want %.9g\n%.3000s", how, x->name, (long long)i, f ? got->f[i] : (double)got->i[i], f ? want->f[i] : (double)want->i[i],
                   lw_text(l));
}
/* How the kern runs beside the interpreter; NULL: not at all. A kern for CUDA is compiled. */
static inline const char *lw_native(struct lowering *l)
{
  if (l->t->kind == CG_OPENCL) return opencl_here() && !l->no_compiler ? "OpenCL" : NULL;
  return l->t->kind == CG_CPU && !l->no_native && native_runs(l->t) ? "native" : NULL;
}
static inline bool lw_run_native(struct lowering *l, const struct kir_bind *b, unsigned nb, struct ir_tensor **raw, const char **why)
{
  return l->t->kind == CG_OPENCL ? run_opencl(l->k, l->t, b, nb, raw, why) : run_native(l->k, l->t, b, nb, raw, why);
}
/* The kern with its inputs and expected results, for tests/gpu/run.py. */
static inline void lw_write_case(struct lowering *l, const struct kir_nest *n, struct ir_tensor **dense, const struct kir_bind *b, unsigned nb)
{
  struct ir_tensor *raw[32];
  const char *why = "";
  for (unsigned i = 0; i < n->args.n; i++) {
    int64_t elems = 0;
    ck_assert(kir_arg_size(l->k->args.v[i], b, nb, &elems));
    raw[i] = lw_tensor(l->a, n->args.v[i]->elem, elems);
    ck_assert(kir_arg_pack(l->k->args.v[i], b, nb, dense[i], raw[i]));
  }
  ck_assert_msg(gpu_case_write(getenv("MASSC_GPU_CASES"), l->k, l->t, b, nb, raw, l->tolerance ? l->tolerance : 2e-6, &why), "%s", why);
}
/* False: the skeleton does not take the nest. */
static inline bool lw_run(struct lowering *l, const char *text, const struct kir_bind *b, unsigned nb, uint64_t seed)
{
  struct ir_arena *a = l->a = ir_arena_create();
  struct kir_nest *ref = lw_parse(a, text), *n = lw_parse(a, text);
  struct kir_sched *s = l->sk->schedule(a, n, l->t);
  const char *why = "";
  if (!s) {
    ir_arena_destroy(a);
    return false;
  }
  struct ir_tensor *dense[32], *raw[32];
  uint64_t x = seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
  ck_assert(ref->args.n <= 32);
  for (unsigned i = 0; i < ref->args.n; i++) {
    dense[i] = lw_tensor(a, ref->args.v[i]->elem, lw_volume(ref->args.v[i], b, nb));
    if (!ref->args.v[i]->out) lw_fill(dense[i], &x);
  }
  ck_assert_msg(kir_nest_eval(ref, b, nb, dense, &why), "%s\n%s", why, text);
  l->k = l->sk->lower(a, n, s, l->t, &why);
  ck_assert_msg(l->k != NULL, "%s\n%s", why, text);
  lw_rules(l);
  if (!l->k->flat) {
    cg_expand(l->k, l->t);
    lw_rules(l);
  }
  if (l->t->kind == CG_CUDA && !l->no_compiler && nvrtc_of_tests()) ck_assert_msg(compile_cuda(l->k, l->t, &why), "%s\n%s", why, text);
  if (l->t->kind == CG_CUDA && getenv("MASSC_GPU_CASES")) lw_write_case(l, n, dense, b, nb);
  for (int native = 0; native < (lw_native(l) ? 2 : 1); native++) {
    for (unsigned i = 0; i < n->args.n; i++) {
      int64_t elems = 0;
      ck_assert(kir_arg_size(l->k->args.v[i], b, nb, &elems));
      raw[i] = lw_tensor(a, n->args.v[i]->elem, elems);
      if (!n->args.v[i]->out) ck_assert(kir_arg_pack(l->k->args.v[i], b, nb, dense[i], raw[i]));
    }
    const char *how = native ? lw_native(l) : "interpreter";
    bool ok = native ? lw_run_native(l, b, nb, raw, &why) : kir_run(l->k, b, nb, raw, seed, &why);
    ck_assert_msg(ok, "%s: %s\n%.1500s%.2000s", how, why, text, lw_text(l));
    for (unsigned i = 0; i < n->args.n; i++) {
      if (!n->args.v[i]->out) continue;
      struct ir_tensor *got = lw_tensor(a, dense[i]->elem, dense[i]->n);
      ck_assert(kir_arg_unpack(l->k->args.v[i], b, nb, raw[i], got));
      lw_compare(l, n->args.v[i], dense[i], got, how);
      lw_halo(l, l->k->args.v[i], b, nb, raw[i], how);
    }
  }
  if (getenv("LOWERING_TEXT")) fprintf(stderr, "%s\n%s\n", text, lw_text(l));
  ir_arena_destroy(a);
  return true;
}
/* The text is a format. The nest must be taken. */
static inline void lw_check(struct lowering *l, uint64_t seed, const struct kir_bind *b, unsigned nb, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
static inline void lw_check(struct lowering *l, uint64_t seed, const struct kir_bind *b, unsigned nb, const char *fmt, ...)
{
  char text[4096];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  ck_assert_msg(lw_run(l, text, b, nb, seed), "not taken:\n%s", text);
}
/* NCHW16c with a halo of `p` around h and w, as text behind an argument's elem: N is a dim or number. */
static inline const char *lw_blocked(char *out, size_t size, const char *n, int c, int h, int w, int p)
{
  int blocks = (c + 15) / 16, plane = ((h + 2 * p) * (w + 2 * p) + (p ? 1 : 0)) * 16;
  snprintf(out, size, "[%s, %d in 0 .. %d, %d in %d .. %d, %d in %d .. %d] @ (c0*%d + c1/16)*%d + ((c2 + %d)*%d + c3 + %d)*16 + c1 %% 16 elems %s*%d", n, c,
           blocks * 16, h, -p, h + p, w, -p, w + p, blocks, plane, p, w + 2 * p, p, n, blocks * plane);
  return out;
}
static inline int lw_main(const char *name, void (*add)(TCase *))
{
  Suite *s = suite_create(name);
  TCase *t = tcase_create(name);
  tcase_set_timeout(t, 120);
  add(t);
  suite_add_tcase(s, t);
  return tap_run(s);
}
#endif
