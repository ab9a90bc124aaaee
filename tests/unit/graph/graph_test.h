/* For the tests of the graph IR: a module whose diagnostics are kept, short ways to build, and a main. */
#ifndef GRAPH_TEST_H
#define GRAPH_TEST_H
#include "ir/ir.h"
#include "tests/unit/tap.h"
#include <stdlib.h>
#include <string.h>

struct fixture { struct ir_arena *a; struct ir_diags d; struct ir_module *m; struct ir_builder b; };
static inline struct fixture fixture_make(void)
{
  struct fixture f = { .a = ir_arena_create() };
  return f;
}
#define FIXTURE(f) struct fixture f = fixture_make(); f.m = ir_module_create(f.a, &f.d); f.b.g = ir_graph_create(f.m, "g")
#define DONE(f) do { ir_buf_deinit(&f.d.first); ir_arena_destroy(f.a); } while (0)
static inline const struct ir_ix *dim(struct fixture *f, const char *name) { return ir_ix_sym(f->m->ixs, name, IR_SYM_DIM, 1, INT32_MAX, 1); }
static inline const struct ir_ix *num(struct fixture *f, int64_t k) { return ir_ix_int(f->m->ixs, k); }
static inline struct ir_value *param(struct fixture *f, const char *name, enum ir_elem e, unsigned rank, const int64_t *d)
{
  return ir_graph_param(f->b.g, ir_type_ints(f->m, e, rank, d), name);
}
#define PARAM(f, name, e, ...) param(f, name, e, sizeof((int64_t[]){ __VA_ARGS__ }) / 8, (int64_t[]){ __VA_ARGS__ })
static inline void result(struct fixture *f, struct ir_value *v) { ir_push(f->a, &f->b.g->results, v); }
#define VERIFIED(m) do { const char *why_ = NULL; bool ok_ = ir_verify((m), IR_P_IMPORTED, &why_); ck_assert_msg(ok_, "%s", why_ ? why_ : ""); } while (0)
static inline char *printed(struct fixture *f, struct ir_module *m)
{
  struct ir_buf b = { 0 };
  ir_print(&b, m);
  char *s = ir_arena_strndup(f->a, b.s, b.n);
  ir_buf_deinit(&b);
  return s;
}
static inline uint32_t next_random(uint64_t *s) { *s = *s * 6364136223846793005u + 1442695040888963407u; return (uint32_t)(*s >> 33); }
static inline int run_tests(const char *name, const TTest *const *tests, size_t n)
{
  Suite *s = suite_create(name);
  TCase *t = tcase_create(name);
  for (size_t i = 0; i < n; i++) tcase_add_test(t, tests[i]);
  suite_add_tcase(s, t);
  return tap_run(s);
}
#define MAIN(name, ...) int main(void) { const TTest *const tests[] = { __VA_ARGS__ }; return run_tests(name, tests, sizeof tests / sizeof *tests); }
#endif
