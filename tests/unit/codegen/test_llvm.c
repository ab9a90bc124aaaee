/* The LLVM walk: control, registers, index arithmetic, memory, element types, each against arithmetic done here, on every level that this machine has. */
#include "tests/unit/codegen/kerns.h"
#include "tests/unit/codegen/run_native.h"
#include "tests/unit/tap.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct cg_target *level(int i) { return cg_target_at((unsigned)i); }      /* rows 0 .. 2 are the levels 2 .. 4 */
enum { LEVELS = 3 };
static void run_syms(struct kb *b, const struct cg_target *t, const struct kir_bind *s, unsigned n, struct ir_tensor *const *bufs)
{
  const char *why = NULL;
  if (!native_runs(t)) return;
  ck_assert_msg(run_native(b->k, t, s, n, bufs, &why), "%s: %s", t->name, why);
}
static void run(struct kb *b, const struct cg_target *t, struct ir_tensor *const *bufs) { run_syms(b, t, NULL, 0, bufs); }
#define SKIP_UNLESS_RUNS(t) if (!native_runs(t)) return

/* ---- targets ---- */
START_TEST(targets_are_found_by_name)
{
  const struct cg_target *t = cg_target_find("cpu:znver5", 10);
  ck_assert_ptr_nonnull(t);
  ck_assert_str_eq(t->name, "cpu:znver5");
  ck_assert_str_eq(t->cpu, "x86-64-v4");
  ck_assert_uint_eq(t->level, 4);
  ck_assert_ptr_null(cg_target_find("cpu:pdp11", 9));
  ck_assert_ptr_null(cg_target_find("cpu:znver", 9));
  const struct cg_target *here = cg_target_find("cpu", 3);
  ck_assert(native_runs(here));
  ck_assert_uint_ge(here->cores, 1);
  for (unsigned i = 0; (t = cg_target_at(i)); i++) ck_assert_ptr_eq(cg_target_find(t->name, strlen(t->name)), t);
}
END_TEST

/* ---- control and registers ---- */
/* y[r*C + c] = x[r*C + c] + b[c], rows in the grid (R symbolic), columns unrolled by `unroll` */
static void add_rows(const struct cg_target *t, int64_t R, int64_t C, unsigned unroll)
{
  struct kb b;
  struct kir_block *outer;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", IR_f32, R * C, false), *s = kb_arg(&b, "b", IR_f32, C, false), *y = kb_arg(&b, "y", IR_f32, R * C, true);
  kb_kern(&b);
  const struct ir_ix *rows = ir_ix_sym(b.n->ixs, "R", IR_SYM_DIM, 0, 1000, 1), *cols = ir_ix_sym(b.n->ixs, "C", IR_SYM_DIM, 0, 1000, 1);
  ir_push(b.a, &b.k->syms, rows);
  ir_push(b.a, &b.k->syms, cols);
  const struct ir_ix *r = kb_grid(&b, "r", rows, 1000), *c = kb_for(&b, "c", kb_int(&b, 0), cols, 1000, unroll, &outer);
  const struct ir_ix *at = ir_ix_add(ir_ix_mul(r, cols), c);
  kb_store(&b, y, at, kb_ew(&b, IR_MAP_add, IR_f32, kb_load(&b, x, 1, at), kb_load(&b, s, 1, c), NULL));
  struct ir_tensor *bx = kb_buf(&b, IR_f32, R * C), *bs = kb_buf(&b, IR_f32, C), *by = kb_buf(&b, IR_f32, R * C);
  for (int64_t i = 0; i < R * C; i++) bx->f[i] = (double)i;
  for (int64_t i = 0; i < C; i++) bs->f[i] = (double)(1000 * i);
  run_syms(&b, t, (struct kir_bind[]){ { "R", R }, { "C", C } }, 2, (struct ir_tensor *[]){ bx, bs, by });
  for (int64_t i = 0; i < R * C; i++) ck_assert_double_eq(by->f[i], (double)(i + 1000 * (i % C)));
  kb_close(&b);
}
START_TEST(loops_with_symbolic_ends)
{
  SKIP_UNLESS_RUNS(level(_i));
  static const int64_t n[] = { 0, 1, 3, 4, 5, 8, 17 };
  for (unsigned i = 0; i < sizeof n / sizeof *n; i++)
    for (unsigned u = 1; u <= 4; u += 3) add_rows(level(_i), 3, n[i], u);
  add_rows(level(_i), 0, 4, 1);
  add_rows(level(_i), 1, 4, 4);
}
END_TEST

/* sums over c of vectors of 8 in two accumulators, folded at the end: y[t] = sum x[t*n*8 ..] */
START_TEST(accumulators_are_carried_through_loops)
{
  SKIP_UNLESS_RUNS(level(_i));
  for (int64_t n = 1; n <= 9; n++)
    for (unsigned u = 1; u <= 4; u++) {
      struct kb b;
      struct kir_block *outer, *outer2;
      kb_open(&b);
      struct kir_arr *x = kb_arg(&b, "x", IR_f32, 3 * n * 8, false), *y = kb_arg(&b, "y", IR_f32, 3, true);
      kb_kern(&b);
      struct kir_reg *acc = kir_reg_var(b.k, "acc", IR_f32, 2, 4), *tmp = kir_reg_var(b.k, "tmp", IR_f32, 2, 4);
      const struct ir_ix *t = kb_grid(&b, "t", kb_int(&b, 3), 3), *zero = kb_int(&b, 0), *one = kb_int(&b, 1);
      kb_set(&b, acc, zero, kb_const(&b, IR_f32, 4, 0, 0));
      kb_set(&b, acc, one, kb_const(&b, IR_f32, 4, 0, 0));
      const struct ir_ix *c = kb_for(&b, "c", zero, kb_int(&b, n), n, u, &outer);
      const struct ir_ix *j = kb_for(&b, "j", zero, kb_int(&b, 2), 2, KIR_REPLAY, &outer2);
      kb_set(&b, tmp, j, kb_load(&b, x, 4, ir_ix_add(ir_ix_muli(j, 4), ir_ix_muli(ir_ix_add(ir_ix_muli(t, n), c), 8))));
      kb_set(&b, acc, j, kb_ew(&b, IR_MAP_add, IR_f32, kb_get(&b, acc, j), kb_get(&b, tmp, j), NULL));
      b.e.at = outer;
      struct kir_op *v = kb_ew(&b, IR_MAP_add, IR_f32, kb_get(&b, acc, zero), kb_get(&b, acc, one), NULL);
      struct kir_op *red = kir_emit(&b.e, KIR_vred, IR_f32, 1, SRC(v), 1, NULL, 0);
      red->sub = KIR_SUM;
      kb_store(&b, y, t, red);
      struct ir_tensor *bx = kb_buf(&b, IR_f32, 3 * n * 8), *by = kb_buf(&b, IR_f32, 3);
      for (int64_t i = 0; i < 3 * n * 8; i++) bx->f[i] = (double)i;
      run(&b, level(_i), (struct ir_tensor *[]){ bx, by });
      for (int64_t q = 0; q < 3; q++) ck_assert_double_eq(by->f[q], (double)(n * 8) * (double)(2 * q * n * 8 + n * 8 - 1) / 2);
      kb_close(&b);
    }
}
END_TEST

/* m[i] = max so far, kept in register r%3 of an array that is indexed by a loop's variable: y = x + r%3's last */
START_TEST(register_arrays_with_dynamic_indices)
{
  SKIP_UNLESS_RUNS(level(_i));
  struct kb b;
  struct kir_block *outer;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", IR_f32, 20, false), *y = kb_arg(&b, "y", IR_f32, 20, true);
  kb_kern(&b);
  struct kir_reg *r = kir_reg_var(b.k, "r", IR_f32, 3, 1);
  for (int i = 0; i < 3; i++) kb_set(&b, r, kb_int(&b, i), kb_const(&b, IR_f32, 1, 100 * i, 0));
  const struct ir_ix *c = kb_for(&b, "c", kb_int(&b, 0), kb_int(&b, 20), 20, 0, &outer), *q = ir_ix_modi(c, 3);
  kb_set(&b, r, q, kb_ew(&b, IR_MAP_add, IR_f32, kb_get(&b, r, q), kb_load(&b, x, 1, c), NULL));
  kb_store(&b, y, c, kb_get(&b, r, q));
  struct ir_tensor *bx = kb_buf(&b, IR_f32, 20), *by = kb_buf(&b, IR_f32, 20);
  for (int i = 0; i < 20; i++) bx->f[i] = i + 1;
  run(&b, level(_i), (struct ir_tensor *[]){ bx, by });
  double want[3] = { 0, 100, 200 };
  for (int i = 0; i < 20; i++) ck_assert_double_eq(by->f[i], want[i % 3] += i + 1);
  kb_close(&b);
}
END_TEST

/* a register set in one arm, in both, in none; nested in a loop */
START_TEST(branches_join_registers)
{
  SKIP_UNLESS_RUNS(level(_i));
  struct kb b;
  struct kir_block *outer;
  kb_open(&b);
  struct kir_arr *y = kb_arg(&b, "y", IR_i32, 20, true);
  kb_kern(&b);
  struct kir_reg *r = kir_reg_var(b.k, "r", IR_i32, 1, 1);
  const struct ir_ix *zero = kb_int(&b, 0);
  kb_set(&b, r, zero, kb_const(&b, IR_i32, 1, 0, 5));
  const struct ir_ix *c = kb_for(&b, "c", zero, kb_int(&b, 20), 20, 0, &outer);
  struct kir_block *at = b.e.at;
  struct kir_op *two = kir_emit(&b.e, KIR_if, IR_f32, 1, NULL, 0, IX(ir_ix_addi(c, -3), ir_ix_addi(ir_ix_neg(c), 9)), 2);     /* 3 <= c <= 9 */
  b.e.at = &two->body[0];
  kb_set(&b, r, zero, kb_ew(&b, IR_MAP_add, IR_i32, kb_get(&b, r, zero), kb_const(&b, IR_i32, 1, 0, 10), NULL));
  b.e.at = &two->body[1];
  kb_set(&b, r, zero, kb_ew(&b, IR_MAP_sub, IR_i32, kb_get(&b, r, zero), kb_const(&b, IR_i32, 1, 0, 1), NULL));
  b.e.at = at;
  struct kir_op *one = kir_emit(&b.e, KIR_if, IR_f32, 1, NULL, 0, IX(ir_ix_addi(c, -15)), 1);
  b.e.at = &one->body[0];
  kb_set(&b, r, zero, kb_const(&b, IR_i32, 1, 0, -7));
  b.e.at = at;
  kb_store(&b, y, c, kb_get(&b, r, zero));
  struct ir_tensor *by = kb_buf(&b, IR_i32, 20);
  run(&b, level(_i), (struct ir_tensor *[]){ by });
  int64_t want = 5;
  for (int64_t i = 0; i < 20; i++) {
    want += i >= 3 && i <= 9 ? 10 : -1;
    if (i >= 15) want = -7;
    ck_assert_int_eq(by->i[i], want);
  }
  kb_close(&b);
}
END_TEST

/* ---- index arithmetic: random expressions of a grid digit, a loop, a replayed loop, a dim and the lane, against ir_ix_eval ---- */
struct env { const struct ir_ix *sym[5]; int64_t v[5]; };
static int64_t env_sym(void *arg, const struct ir_sym *s, bool *known)
{
  struct env *e = arg;
  *known = true;
  for (int i = 0; i < 5; i++)
    if (ir_ix_as_sym(e->sym[i]) == s) return e->v[i];
  *known = false;
  return 0;
}
static const struct ir_ix *random_ix(struct kb *b, struct env *e, uint64_t *s, int depth)
{
  const struct ir_ix *x, *y;
  int64_t k = (int64_t)(kb_rnd(s) % 13) - 6;
  switch (depth ? kb_rnd(s) % 12 : kb_rnd(s) % 2) {
  case 0: return kb_int(b, k);
  case 1: return e->sym[kb_rnd(s) % 5];
  case 2: case 3: case 4: x = random_ix(b, e, s, depth - 1), y = random_ix(b, e, s, depth - 1); return ir_ix_add(x, y);
  case 5: return ir_ix_muli(random_ix(b, e, s, depth - 1), k);
  case 6: x = random_ix(b, e, s, depth - 1), y = random_ix(b, e, s, depth - 1); return ir_ix_mul(x, y);
  case 7: return ir_ix_divi(random_ix(b, e, s, depth - 1), (int64_t[]){ 2, 3, 4, 5, 16 }[kb_rnd(s) % 5]);
  case 8: return ir_ix_modi(random_ix(b, e, s, depth - 1), (int64_t[]){ 2, 3, 7, 8, 16 }[kb_rnd(s) % 5]);
  case 9: x = random_ix(b, e, s, depth - 1), y = random_ix(b, e, s, depth - 1); return k & 1 ? ir_ix_min(x, y) : ir_ix_max(x, y);
  case 10: x = random_ix(b, e, s, depth - 1); return k & 1 ? ir_ix_ge0(x) : ir_ix_eq0(x);
  default: return ir_ix_div(random_ix(b, e, s, depth - 1), ir_ix_addi(e->sym[4], 1));
  }
}
enum { G = 3, L = 5, RP = 4, LANES = 8 };
static void index_case(const struct cg_target *t, uint64_t *seed)
{
  struct kb b;
  struct kir_block *o1, *o2;
  int64_t total = G * L * RP * LANES, dim = (int64_t)(kb_rnd(seed) % 9) + 1, got;
  kb_open(&b);
  struct kir_arr *y = kb_arg(&b, "y", IR_i64, total, true), *z = kb_arg(&b, "z", IR_i64, total, true), *p = kb_arg(&b, "p", IR_bool, total, true);
  kb_kern(&b);
  struct env env = { { 0 }, { 0 } };
  const struct ir_ix *n = ir_ix_sym(b.n->ixs, "n", IR_SYM_DIM, 1, 100, 1);
  ir_push(b.a, &b.k->syms, n);
  const struct ir_ix *g = kb_grid(&b, "g", kb_int(&b, G), G), *l = kb_for(&b, "l", kb_int(&b, 0), kb_int(&b, L), L, kb_rnd(seed) % 3, &o1);
  const struct ir_ix *r = kb_for(&b, "r", kb_int(&b, 0), kb_int(&b, RP), RP, KIR_REPLAY, &o2);
  env = (struct env){ { g, l, r, b.k->vsym, n }, { 0, 0, 0, 0, dim } };
  const struct ir_ix *e = random_ix(&b, &env, seed, 4), *at = ir_ix_muli(ir_ix_add(ir_ix_muli(ir_ix_add(ir_ix_muli(g, L), l), RP), r), LANES);
  kb_store(&b, y, at, kir_emit(&b.e, KIR_idx, IR_i64, LANES, NULL, 0, &e, 1));
  const struct ir_ix *test = ir_ix_mul(ir_ix_ge0(e), ir_ix_eq0(ir_ix_modi(e, 2)));
  kb_store(&b, p, at, kir_emit(&b.e, KIR_test, IR_bool, LANES, NULL, 0, &test, 1));
  const struct ir_ix *scalar = ir_ix_subst1(e, b.k->vsym, kb_int(&b, 3));
  kb_store(&b, z, ir_ix_addi(at, 3), kir_emit(&b.e, KIR_idx, IR_i64, 1, NULL, 0, &scalar, 1));
  struct ir_tensor *by = kb_buf(&b, IR_i64, total), *bz = kb_buf(&b, IR_i64, total), *bp = kb_buf(&b, IR_bool, total);
  run_syms(&b, t, (struct kir_bind[]){ { "n", dim } }, 1, (struct ir_tensor *[]){ by, bz, bp });
  for (int64_t i = 0; i < total; i++) {
    env.v[0] = i / (L * RP * LANES);
    env.v[1] = i / (RP * LANES) % L;
    env.v[2] = i / LANES % RP;
    env.v[3] = i % LANES;
    ck_assert(ir_ix_eval(e, &(struct ir_ix_env){ .sym = env_sym, .arg = &env }, &got));
    ck_assert_msg(by->i[i] == got, "%s at g=%d l=%d r=%d v=%d n=%d: %lld, not %lld", ir_ix_str(b.a, e), (int)env.v[0], (int)env.v[1], (int)env.v[2], (int)env.v[3], (int)dim,
                  (long long)by->i[i], (long long)got);
    ck_assert_int_eq(bp->i[i], got >= 0 && got % 2 == 0);
    if (env.v[3] == 3) ck_assert_int_eq(bz->i[i], got);
  }
  kb_close(&b);
}
START_TEST(index_expressions)
{
  SKIP_UNLESS_RUNS(level(_i));
  uint64_t seed = 12345;
  for (int i = 0; i < 60; i++) index_case(level(_i), &seed);
}
END_TEST

/* ---- memory ---- */
/* y[i*8 + j] = x[i*s + j*stride + off] where it exists and j < upto, else 7; lanes, stride, guard, upto as given */
static void load_case(const struct cg_target *t, enum ir_elem elem, unsigned lanes, int64_t stride, bool guard, bool upto)
{
  enum { ROWS = 5, N = 64 };
  struct kb b;
  struct kir_block *outer;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", elem, N, false), *y = kb_arg(&b, "y", elem, ROWS * lanes, true);
  kb_kern(&b);
  const struct ir_ix *i = kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, ROWS), ROWS, 0, &outer), *at = ir_ix_addi(i, -2);
  struct kir_op *v = kir_emit(&b.e, KIR_load, elem, lanes, NULL, 0, IX(guard ? at : i, at), guard ? 2 : 1);
  v->arr = x;
  v->stride = stride;
  v->f = 7;
  v->i = elem == IR_bool ? 1 : 7;
  if (upto) v->upto = ir_ix_addi(ir_ix_muli(i, 2), -1);
  kb_store(&b, y, ir_ix_muli(i, lanes), v);
  struct ir_tensor *bx = kb_buf(&b, elem, N), *by = kb_buf(&b, elem, ROWS * lanes);
  bool f = ir_elem_class(elem) == 'F';
  for (int64_t q = 0; q < N; q++)
    if (f) bx->f[q] = (double)q + 10;
    else bx->i[q] = elem == IR_bool ? q % 3 == 0 : q + 10;
  run(&b, t, (struct ir_tensor *[]){ bx, by });
  for (int64_t q = 0; q < ROWS; q++)
    for (int64_t j = 0; j < lanes; j++) {
      bool in = (!guard || q >= 2) && (!upto || j < 2 * q - 1);
      int64_t from = (guard ? q - 2 : q) + j * stride;
      double want = in ? (elem == IR_bool ? from % 3 == 0 : (double)from + 10) : elem == IR_bool ? 1 : 7;
      double got = f ? by->f[q * lanes + j] : (double)by->i[q * lanes + j];
      ck_assert_msg(got == want, "%s %s x %u stride %d%s%s: row %d lane %d: %g, not %g", t->name, ir_elem_name(elem), lanes, (int)stride, guard ? " guard" : "",
                    upto ? " upto" : "", (int)q, (int)j, got, want);
    }
  kb_close(&b);
}
START_TEST(loads)
{
  SKIP_UNLESS_RUNS(level(_i));
  static const enum ir_elem e[] = { IR_f32, IR_f16, IR_bf16, IR_f64, IR_bool, IR_i8, IR_i64 };
  static const unsigned lanes[] = { 1, 8, 16 };
  for (unsigned k = 0; k < sizeof e / sizeof *e; k++)
    for (unsigned n = 0; n < 3; n++)
      for (int64_t s = 0; s <= 3; s++)
        for (int m = 0; m < 4; m++)
          if (k == 0 || (s < 2 && n == 1)) load_case(level(_i), e[k], lanes[n], s, m & 1, m & 2);
}
END_TEST
/* stores x[0..lanes) to y[8 + i*.. + j*stride] where i >= 2 and j < upto; all else keeps -1 */
static void store_case(const struct cg_target *t, enum ir_elem elem, unsigned lanes, int64_t stride, bool guard, bool upto)
{
  enum { ROWS = 4, ROW = 64 };
  struct kb b;
  struct kir_block *outer;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", elem, lanes, false), *y = kb_arg(&b, "y", elem, ROWS * ROW, true);
  kb_kern(&b);
  const struct ir_ix *i = kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, ROWS), ROWS, 0, &outer);
  struct kir_op *o = kir_emit(&b.e, KIR_store, elem, lanes, SRC(kb_load(&b, x, lanes, kb_int(&b, 0))), 1, IX(ir_ix_muli(i, ROW), ir_ix_addi(i, -2)), guard ? 2 : 1);
  o->arr = y;
  o->stride = stride;
  if (upto) o->upto = ir_ix_addi(ir_ix_muli(i, 3), -1);
  struct ir_tensor *bx = kb_buf(&b, elem, lanes), *by = kb_buf(&b, elem, ROWS * ROW);
  bool f = ir_elem_class(elem) == 'F';
  for (int64_t q = 0; q < lanes; q++)
    if (f) bx->f[q] = (double)q + 1;
    else bx->i[q] = elem == IR_bool ? 1 : q + 1;
  for (int64_t q = 0; q < by->n; q++)
    if (f) by->f[q] = -1;
    else by->i[q] = elem == IR_bool ? 0 : -1;
  run(&b, t, (struct ir_tensor *[]){ bx, by });
  for (int64_t q = 0; q < by->n; q++) {
    int64_t row = q / ROW, j = stride ? q % ROW / stride : q % ROW;
    bool in = q % ROW == j * (stride ? stride : 1) && j < (stride ? lanes : 1) && (!guard || row >= 2) && (!upto || j < 3 * row - 1);
    double want = in ? (elem == IR_bool ? 1 : (double)j + 1) : elem == IR_bool ? 0 : -1, got = f ? by->f[q] : (double)by->i[q];
    ck_assert_msg(got == want, "%s %s x %u stride %d%s%s: element %d: %g, not %g", t->name, ir_elem_name(elem), lanes, (int)stride, guard ? " guard" : "", upto ? " upto" : "",
                  (int)q, got, want);
  }
  kb_close(&b);
}
START_TEST(stores)
{
  SKIP_UNLESS_RUNS(level(_i));
  static const enum ir_elem e[] = { IR_f32, IR_f16, IR_bf16, IR_f64, IR_bool, IR_i8, IR_i64 };
  static const unsigned lanes[] = { 1, 8, 16 };
  for (unsigned k = 0; k < sizeof e / sizeof *e; k++)
    for (unsigned n = 0; n < 3; n++)
      for (int64_t s = n == 0; s <= 3; s++)
        for (int m = 0; m < 4; m++)
          if (k == 0 || (s == 1 && n == 1)) store_case(level(_i), e[k], lanes[n], s, m & 1, m & 2);
}
END_TEST
/* offsets and guards that are no linear function of the lane: y[j] = x[j/3*5 + j%3], j*j < 20 */
START_TEST(lanes_with_offsets_of_their_own)
{
  SKIP_UNLESS_RUNS(level(_i));
  struct kb b;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", IR_f32, 16, false), *y = kb_arg(&b, "y", IR_f32, 64, true);
  kb_kern(&b);
  const struct ir_ix *v = b.k->vsym, *at = ir_ix_add(ir_ix_muli(ir_ix_divi(v, 3), 5), ir_ix_modi(v, 3)), *in = ir_ix_addi(ir_ix_neg(ir_ix_mul(v, v)), 20);
  struct kir_op *o = kir_emit(&b.e, KIR_load, IR_f32, 8, NULL, 0, IX(at, in), 2);
  o->arr = x;
  o->f = -3;
  struct kir_op *st = kir_emit(&b.e, KIR_store, IR_f32, 8, SRC(o), 1, IX(ir_ix_mul(v, v)), 1);
  st->arr = y;
  struct ir_tensor *bx = kb_buf(&b, IR_f32, 16), *by = kb_buf(&b, IR_f32, 64);
  for (int i = 0; i < 16; i++) bx->f[i] = i;
  run(&b, level(_i), (struct ir_tensor *[]){ bx, by });
  for (int j = 0; j < 8; j++) ck_assert_double_eq(by->f[j * j], j * j <= 20 ? j / 3 * 5 + j % 3 : -3);
  kb_close(&b);
}
END_TEST
/* y[i] = x[2*rows[i]] where rows[i] >= 0, else -1, the index array stored backwards; scalars, and lanes of 4 with offsets of their own */
START_TEST(index_arrays)
{
  SKIP_UNLESS_RUNS(level(_i));
  for (unsigned lanes = 1; lanes <= 4; lanes += 3) {
    struct kb b;
    struct kir_block *outer;
    kb_open(&b);
    struct kir_arr *rows = kb_arg(&b, "rows", IR_i32, 8, false), *x = kb_arg(&b, "x", IR_f32, 16, false), *y = kb_arg(&b, "y", IR_f32, 8, true);
    rows->at = ir_ix_sub(kb_int(&b, 7), ir_ix_coord(b.n->ixs, 0));
    kb_kern(&b);
    const struct ir_ix *i = kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, 8 / lanes), 8 / lanes, 0, &outer), *base = ir_ix_muli(i, lanes), *at = lanes > 1 ? ir_ix_add(base, b.k->vsym) : base;
    const struct ir_ix *row = ir_ix_load(b.n->ixs, 0, &at, 1, -1, 7);
    struct kir_op *v = kir_emit(&b.e, KIR_load, IR_f32, lanes, NULL, 0, IX(ir_ix_muli(row, 2), row), 2);
    v->arr = x;
    v->f = -1;
    kb_store(&b, y, base, v);
    struct ir_tensor *br = kb_buf(&b, IR_i32, 8), *bx = kb_buf(&b, IR_f32, 16), *by = kb_buf(&b, IR_f32, 8);
    for (int q = 0; q < 8; q++) br->i[7 - q] = (int64_t[]){ 3, -1, 7, 0, 0, -1, 5, 2 }[q];
    for (int q = 0; q < 16; q++) bx->f[q] = 100 + q;
    run(&b, level(_i), (struct ir_tensor *[]){ br, bx, by });
    for (int q = 0; q < 8; q++) ck_assert_double_eq(by->f[q], br->i[7 - q] < 0 ? -1 : (double)(100 + 2 * br->i[7 - q]));
    kb_close(&b);
  }
}
END_TEST
/* a dim that is a multiple of 8 arrives whole, and is used as 8 times its base */
START_TEST(dims_with_a_divisor)
{
  SKIP_UNLESS_RUNS(level(_i));
  struct kb b;
  struct kir_block *outer;
  kb_open(&b);
  struct kir_arr *y = kb_arg(&b, "y", IR_i64, 40, true);
  kb_kern(&b);
  const struct ir_ix *n = ir_ix_sym(b.n->ixs, "n", IR_SYM_DIM, 8, 64, 8);
  ir_push(b.a, &b.k->syms, n);
  const struct ir_ix *i = kb_for(&b, "i", kb_int(&b, 0), n, 64, 8, &outer), *e = ir_ix_add(ir_ix_muli(ir_ix_divi(n, 4), 1000), i);
  kb_store(&b, y, i, kir_emit(&b.e, KIR_idx, IR_i64, 1, NULL, 0, &e, 1));
  struct ir_tensor *by = kb_buf(&b, IR_i64, 40);
  run_syms(&b, level(_i), (struct kir_bind[]){ { "n", 40 } }, 1, (struct ir_tensor *[]){ by });
  for (int q = 0; q < 40; q++) ck_assert_int_eq(by->i[q], 10000 + q);
  kb_close(&b);
}
END_TEST
/* an asynchronous copy into scratch memory is a load and a store, with zeros where a guard fails */
START_TEST(copies_through_scratch)
{
  SKIP_UNLESS_RUNS(level(_i));
  struct kb b;
  struct kir_block *outer, *at;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", IR_f32, 32, false), *y = kb_arg(&b, "y", IR_f32, 32, true);
  kb_kern(&b);
  kir_buf(b.k, "pad", IR_f32, 1, (int64_t[]){ 5 });
  struct kir_arr *s = kir_buf(b.k, "s", IR_f32, 1, (int64_t[]){ 32 });
  at = b.e.at;
  const struct ir_ix *i = ir_ix_muli(kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, 8), 8, 0, &outer), 4);
  struct kir_op *o = kir_emit(&b.e, KIR_cp_async, IR_f32, 4, NULL, 0, IX(i, ir_ix_sub(kb_int(&b, 28), i), ir_ix_addi(i, -8)), 3);
  o->arr = s;
  o->arr2 = x;
  b.e.at = at;
  kir_emit(&b.e, KIR_commit, IR_f32, 1, NULL, 0, NULL, 0);
  kir_emit(&b.e, KIR_wait, IR_f32, 1, NULL, 0, NULL, 0);
  kir_emit(&b.e, KIR_barrier, IR_f32, 1, NULL, 0, NULL, 0);
  i = ir_ix_muli(kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, 8), 8, 0, &outer), 4);
  kb_store(&b, y, i, kb_load(&b, s, 4, i));
  struct ir_tensor *bx = kb_buf(&b, IR_f32, 32), *by = kb_buf(&b, IR_f32, 32);
  for (int q = 0; q < 32; q++) bx->f[q] = q + 1;
  run(&b, level(_i), (struct ir_tensor *[]){ bx, by });
  for (int q = 0; q < 32; q++) ck_assert_double_eq(by->f[q], q < 8 ? 0 : bx->f[28 - q / 4 * 4 + q % 4]);
  kb_close(&b);
}
END_TEST
START_TEST(what_does_not_exist_on_a_cpu_is_refused)
{
  struct kb b;
  const char *why = NULL;
  struct ir_buf out = { 0 };
  kb_open(&b);
  kb_kern(&b);
  kir_emit(&b.e, KIR_ldmatrix, IR_f32, 1, NULL, 0, NULL, 0);
  ck_assert(!cg_llvm(b.a, &b.k, 1, level(2), CG_OBJECT, &out, &why));
  ck_assert_ptr_nonnull(strstr(why, "does not exist on a CPU"));
  kb_close(&b);
}
END_TEST
START_TEST(text_forms)
{
  struct kb b;
  const char *why = NULL;
  struct ir_buf ll = { 0 }, s = { 0 };
  kb_open(&b);
  struct kir_arr *y = kb_arg(&b, "y", IR_f32, 16, true);
  kb_kern(&b);
  kb_store(&b, y, kb_int(&b, 0), kb_const(&b, IR_f32, 16, 1.5, 0));
  ck_assert(cg_llvm(b.a, &b.k, 1, level(2), CG_LLVM_TEXT, &ll, &why));
  ck_assert_ptr_nonnull(strstr(ll.s, "store <16 x float>"));
  ck_assert(cg_llvm(b.a, &b.k, 1, level(2), CG_ASM, &s, &why));
  ck_assert_ptr_nonnull(strstr(s.s, "%zmm0"));
  ir_buf_deinit(&ll);
  ir_buf_deinit(&s);
  kb_close(&b);
}
END_TEST

/* ---- the GEMM tile: C[M,N] = max(A[M,K]*B + bias, 0), B packed in panels of `cols`; `rows` x `cols` accumulators in registers ---- */
enum { GEMM_K = 256, GEMM_N = 96 };
struct gemm { struct kb b; int64_t M; };
static void gemm_build(struct gemm *g, unsigned rows, unsigned cols, unsigned lanes, unsigned tiles, unsigned unroll)
{
  struct kb *b = &g->b;
  struct kir_block *o1, *o2, *o3, *body, *tile;
  int64_t nv = cols / lanes;
  g->M = (int64_t)rows * tiles;
  kb_open(b);
  struct kir_arr *A = kb_arg(b, "A", IR_f32, g->M * GEMM_K, false), *B = kb_arg(b, "B", IR_f32, GEMM_K * GEMM_N, false), *bias = kb_arg(b, "bias", IR_f32, GEMM_N, false);
  struct kir_arr *C = kb_arg(b, "C", IR_f32, g->M * GEMM_N, true);
  B->space = bias->space = KIR_CONST;
  kb_kern(b);
  const struct ir_ix *zero = kb_int(b, 0), *p = kb_grid(b, "p", kb_int(b, GEMM_N / cols), GEMM_N / cols), *t = kb_for(b, "t", zero, kb_int(b, tiles), tiles, 0, &o1), *m = ir_ix_muli(t, rows);
  struct kir_reg *acc = kir_reg_var(b->k, "c", IR_f32, rows * (unsigned)nv, lanes), *br = kir_reg_var(b->k, "b", IR_f32, (unsigned)nv, lanes);
  tile = b->e.at;
  const struct ir_ix *i = kb_for(b, "i", zero, kb_int(b, rows * nv), rows * nv, KIR_REPLAY, &o2);
  kb_set(b, acc, i, kb_const(b, IR_f32, lanes, 0, 0));
  b->e.at = tile;
  const struct ir_ix *k = kb_for(b, "k", zero, kb_int(b, GEMM_K), GEMM_K, unroll, &o2), *row = ir_ix_muli(ir_ix_add(ir_ix_muli(p, GEMM_K), k), cols);
  body = b->e.at;
  const struct ir_ix *j = kb_for(b, "j", zero, kb_int(b, nv), nv, KIR_REPLAY, &o3), *at = ir_ix_add(row, ir_ix_muli(j, lanes));
  kb_set(b, br, j, kb_load(b, B, lanes, at));
  b->e.at = body;
  kir_emit(&b->e, KIR_prefetch, IR_f32, 1, NULL, 0, IX(ir_ix_addi(row, 1024)), 1)->arr = B;
  i = kb_for(b, "i", zero, kb_int(b, rows), rows, KIR_REPLAY, &o3);
  struct kir_op *a = kb_load(b, A, 1, ir_ix_add(ir_ix_muli(ir_ix_add(m, i), GEMM_K), k)), *as = kir_emit(&b->e, KIR_splat, IR_f32, lanes, SRC(a), 1, NULL, 0);
  j = kb_for(b, "j", zero, kb_int(b, nv), nv, KIR_REPLAY, &o3);
  const struct ir_ix *c = ir_ix_add(ir_ix_muli(i, nv), j);
  kb_set(b, acc, c, kir_emit(&b->e, KIR_fma, IR_f32, lanes, SRC(as, kb_get(b, br, j), kb_get(b, acc, c)), 3, NULL, 0));
  b->e.at = tile;
  i = kb_for(b, "i", zero, kb_int(b, rows), rows, KIR_REPLAY, &o3);
  j = kb_for(b, "j", zero, kb_int(b, nv), nv, KIR_REPLAY, &o3);
  const struct ir_ix *n = ir_ix_add(ir_ix_muli(p, cols), ir_ix_muli(j, lanes));
  struct kir_op *x = kb_ew(b, IR_MAP_add, IR_f32, kb_get(b, acc, ir_ix_add(ir_ix_muli(i, nv), j)), kb_load(b, bias, lanes, n), NULL);
  kb_store(b, C, ir_ix_add(ir_ix_muli(ir_ix_add(m, i), GEMM_N), n), kb_ew(b, IR_MAP_max, IR_f32, x, kb_const(b, IR_f32, lanes, 0, 0), NULL));
}
static void gemm_check(struct gemm *g, const struct cg_target *t, unsigned cols)
{
  struct kb *b = &g->b;
  struct ir_tensor *A = kb_buf(b, IR_f32, g->M * GEMM_K), *B = kb_buf(b, IR_f32, GEMM_K * GEMM_N), *bias = kb_buf(b, IR_f32, GEMM_N), *C = kb_buf(b, IR_f32, g->M * GEMM_N);
  uint64_t s = 99;
  for (int64_t i = 0; i < A->n; i++) A->f[i] = (double)(kb_rnd(&s) % 17) - 8;
  for (int64_t i = 0; i < B->n; i++) B->f[i] = (double)(kb_rnd(&s) % 9) - 4;
  for (int64_t i = 0; i < bias->n; i++) bias->f[i] = (double)i;
  run(b, t, (struct ir_tensor *[]){ A, B, bias, C });
  for (int64_t m = 0; m < g->M; m++)
    for (int64_t n = 0; n < GEMM_N; n++) {          /* integers this small are exact in f32 */
      double sum = bias->f[n];
      for (int64_t k = 0; k < GEMM_K; k++) sum += A->f[m * GEMM_K + k] * B->f[(n / cols * GEMM_K + k) * cols + n % cols];
      ck_assert_double_eq(C->f[m * GEMM_N + n], sum > 0 ? sum : 0);
    }
}
static const struct { int level; unsigned rows, cols, lanes; } tiles[] = { { 2, 14, 32, 16 }, { 2, 12, 32, 16 }, { 2, 8, 48, 16 }, { 1, 6, 16, 8 }, { 1, 6, 16, 16 }, { 1, 4, 24, 8 }, { 0, 4, 8, 4 } };
START_TEST(gemm_tiles_stay_in_registers)
{
  struct gemm g;
  const struct cg_target *t = level(tiles[_i].level);
  const char *why = NULL;
  for (unsigned unroll = 1; unroll <= 8; unroll *= unroll == 1 ? 4 : 2) {
    gemm_build(&g, tiles[_i].rows, tiles[_i].cols, tiles[_i].lanes, 3, unroll);
    ck_assert_msg(native_spills(g.b.k, t, &why) == 0, "%ux%u on %s: %d spills", tiles[_i].rows, tiles[_i].cols, t->name, native_spills(g.b.k, t, &why));
    if (native_runs(t)) gemm_check(&g, t, tiles[_i].cols);
    kb_close(&g.b);
  }
}
END_TEST

/* kerns compiled by two threads at once give the bytes that one thread gives */
static void *compile(void *out)
{
  struct gemm g;
  const char *why = NULL;
  gemm_build(&g, 6, 16, 8, 3, 4);
  if (!cg_llvm(g.b.a, &g.b.k, 1, level(1), CG_OBJECT, out, &why)) fprintf(stderr, "%s\n", why);
  kb_close(&g.b);
  return NULL;
}
START_TEST(threads_compile_at_once)
{
  enum { T = 4 };
  struct ir_buf out[T] = { 0 };
  pthread_t th[T];
  for (int i = 0; i < T; i++) ck_assert_int_eq(pthread_create(&th[i], NULL, compile, &out[i]), 0);
  for (int i = 0; i < T; i++) pthread_join(th[i], NULL);
  for (int i = 0; i < T; i++) {
    ck_assert_uint_gt(out[i].n, 0);
    ck_assert(out[i].n == out[0].n && !memcmp(out[i].s, out[0].s, out[0].n));
  }
  for (int i = 0; i < T; i++) ir_buf_deinit(&out[i]);
}
END_TEST

/* `test_llvm bench`: GFLOP/s of the tiles. */
static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void gemm_bench(unsigned i, unsigned unroll)
{
  struct gemm g;
  const struct cg_target *t = level(tiles[i].level);
  const char *why = NULL;
  gemm_build(&g, tiles[i].rows, tiles[i].cols, tiles[i].lanes, 24, unroll);
  double t0 = seconds(), best = 1e9;
  struct native *n = native_load(g.b.k, t, &why);
  double built = seconds() - t0;
  float *A = aligned_alloc(64, (size_t)g.M * GEMM_K * 4), *B = aligned_alloc(64, GEMM_K * GEMM_N * 4), *bias = aligned_alloc(64, GEMM_N * 4), *C = aligned_alloc(64, (size_t)g.M * GEMM_N * 4);
  memset(A, 0, (size_t)g.M * GEMM_K * 4);
  memset(B, 0, GEMM_K * GEMM_N * 4);
  memset(bias, 0, GEMM_N * 4);
  union massrt_word args[] = { { .p = A }, { .p = B }, { .p = bias }, { .p = C } };
  for (int r = 0; r < 300; r++) {
    t0 = seconds();
    native_fn(n)(args, 0, GEMM_N / tiles[i].cols, NULL);
    double s = seconds() - t0;
    if (s < best) best = s;
  }
  printf("%-18s %2ux%u v%u unroll %u: %6.1f GFLOP/s, built in %.1f ms\n", t->name, tiles[i].rows, tiles[i].cols, tiles[i].lanes, unroll, 2e-9 * (double)g.M * GEMM_K * GEMM_N / best,
         built * 1e3);
  native_unload(n);
  free(A), free(B), free(bias), free(C);
  kb_close(&g.b);
}
static int bench(void)
{
  for (unsigned i = 0; i < sizeof tiles / sizeof *tiles; i++)
    for (unsigned u = 1; u <= 4; u += 3)
      if (native_runs(level(tiles[i].level))) gemm_bench(i, u);
  return 0;
}

int main(int argc, char **argv)
{
  if (argc > 1 && !strcmp(argv[1], "bench")) return bench();
  Suite *s = suite_create("llvm");
  TCase *t = tcase_create("llvm");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, targets_are_found_by_name);
  tcase_add_loop_test(t, loops_with_symbolic_ends, 0, LEVELS);
  tcase_add_loop_test(t, accumulators_are_carried_through_loops, 0, LEVELS);
  tcase_add_loop_test(t, register_arrays_with_dynamic_indices, 0, LEVELS);
  tcase_add_loop_test(t, branches_join_registers, 0, LEVELS);
  tcase_add_loop_test(t, index_expressions, 0, LEVELS);
  tcase_add_loop_test(t, loads, 0, LEVELS);
  tcase_add_loop_test(t, stores, 0, LEVELS);
  tcase_add_loop_test(t, lanes_with_offsets_of_their_own, 0, LEVELS);
  tcase_add_loop_test(t, index_arrays, 0, LEVELS);
  tcase_add_loop_test(t, dims_with_a_divisor, 0, LEVELS);
  tcase_add_loop_test(t, copies_through_scratch, 0, LEVELS);
  tcase_add_loop_test(t, gemm_tiles_stay_in_registers, 0, (int)(sizeof tiles / sizeof *tiles));
  tcase_add_test(t, what_does_not_exist_on_a_cpu_is_refused);
  tcase_add_test(t, text_forms);
  tcase_add_test(t, threads_compile_at_once);
  suite_add_tcase(s, t);
  return tap_run(s);
}
