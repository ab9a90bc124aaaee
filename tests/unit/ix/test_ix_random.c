/* Random expressions against plain arithmetic: each is built twice, as an ir_ix and as a little tree, and both are evaluated at random points. The tree knows
 * nothing of canonical forms, so it is the specification. */
#include "ir/ix.h"
#include <check.h>
#include <string.h>

enum { SYMS = 7, TREES = 3000, POINTS = 24 };
static const struct { const char *name; enum ir_sym_kind kind; int64_t lo, hi, by; } syms[SYMS] = {
  { "n", IR_SYM_DIM, 1, 12, 1 }, { "s", IR_SYM_DIM, 1, 9, 1 }, { "x", IR_SYM_AXIS, -6, 6, 1 }, { "y", IR_SYM_LOOP, 0, 15, 1 }, { "N", IR_SYM_DIM, 4, 24, 4 },
  { "k", IR_SYM_LOOP, 0, 64, 16 }, { "z", IR_SYM_ID, -3, 40, 1 },
};
static uint64_t seed;
static uint64_t rnd(void)                              /* splitmix64 */
{
  uint64_t z = seed += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static int64_t pick(int64_t lo, int64_t hi) { return lo + (int64_t)(rnd() % (uint64_t)(hi - lo + 1)); }

enum kind { INT, SYM, ADD, SUB, MUL, DIV, MOD, MIN, MAX, GE, EQ, SEL, LOAD, KINDS };
struct tree { enum kind kind; int64_t k; struct tree *a, *b, *c; const struct ir_ix *e; };
static struct ir_arena *arena;
static struct ir_ixs *t;
static const struct ir_ix *s[SYMS];

/* Array 0 holds 3*i + 1 for every i; so a load of e is 3*e + 1. */
static int64_t load(void *arg, unsigned array, const int64_t *at, unsigned n) { (void)arg; return array == 0 && n == 1 ? 3 * at[0] + 1 : 0; }
static bool value(const struct tree *x, const int64_t *env, int64_t *out)
{
  int64_t a = 0, b = 0, c = 0;
  if (x->kind == INT) { *out = x->k; return true; }
  if (x->kind == SYM) { *out = env[x->k]; return true; }
  if (!value(x->a, env, &a) || (x->b && !value(x->b, env, &b)) || (x->c && !value(x->c, env, &c))) return false;
  switch (x->kind) {
  case ADD: *out = a + b; break;
  case SUB: *out = a - b; break;
  case MUL: *out = a * b; break;
  case DIV: if (b < 1) return false; *out = (a - ((a % b) + b) % b) / b; break;
  case MOD: if (b < 1) return false; *out = ((a % b) + b) % b; break;
  case MIN: *out = a < b ? a : b; break;
  case MAX: *out = a > b ? a : b; break;
  case GE: *out = a >= b; break;
  case EQ: *out = a == b; break;
  case SEL: *out = a ? b : c; break;
  case LOAD: *out = 3 * a + 1; break;
  default: return false;
  }
  return *out < 1000000000 && *out > -1000000000;
}
static struct tree *leaf(bool positive)
{
  struct tree *x = IR_NEW(arena, struct tree);
  static const int64_t ints[] = { 1, 2, 3, 4, 6, 8, 16, 5, 12, 32 };
  if (rnd() % 3 == 0) {
    *x = (struct tree){ INT, positive ? ints[rnd() % 10] : pick(-20, 20), NULL, NULL, NULL, NULL };
    x->e = ir_ix_int(t, x->k);
  } else {
    static const int pos[] = { 0, 1, 4 };
    *x = (struct tree){ SYM, positive ? pos[rnd() % 3] : pick(0, SYMS - 1), NULL, NULL, NULL, NULL };
    x->e = s[x->k];
  }
  return x;
}
static struct tree *grow(int depth);
static struct tree *divisor(int depth)                 /* >= 1 everywhere */
{
  struct tree *x = IR_NEW(arena, struct tree);
  if (depth <= 0 || rnd() % 3) return leaf(true);
  *x = (struct tree){ rnd() % 2 ? MUL : ADD, 0, leaf(true), leaf(true), NULL, NULL };
  x->e = x->kind == MUL ? ir_ix_mul(x->a->e, x->b->e) : ir_ix_add(x->a->e, x->b->e);
  return x;
}
static struct tree *grow(int depth)
{
  if (depth <= 0 || rnd() % 6 == 0) return leaf(false);
  struct tree *x = IR_NEW(arena, struct tree);
  x->kind = ADD + (enum kind)(rnd() % (KINDS - ADD));
  if (rnd() % 3 == 0) x->kind = rnd() % 2 ? ADD : MUL;
  x->a = grow(depth - 1);
  if (x->kind == LOAD) { x->e = ir_ix_load(t, 0, &x->a->e, 1, -IR_IX_INF, IR_IX_INF); return x; }
  x->b = x->kind == DIV || x->kind == MOD ? divisor(depth - 1) : grow(depth - 1);
  if (x->kind == SEL) {
    struct tree *p = IR_NEW(arena, struct tree);
    *p = (struct tree){ rnd() % 2 ? GE : EQ, 0, x->a, grow(depth - 2), NULL, NULL };
    p->e = p->kind == GE ? ir_ix_le(p->b->e, p->a->e) : ir_ix_eq0(ir_ix_sub(p->a->e, p->b->e));
    x->a = p;
    x->c = grow(depth - 1);
  }
  const struct ir_ix *a = x->a->e, *b = x->b->e;
  switch (x->kind) {
  case ADD: x->e = ir_ix_add(a, b); break;
  case SUB: x->e = ir_ix_sub(a, b); break;
  case MUL: x->e = ir_ix_mul(a, b); break;
  case DIV: x->e = ir_ix_div(a, b); break;
  case MOD: x->e = ir_ix_mod(a, b); break;
  case MIN: x->e = ir_ix_min(a, b); break;
  case MAX: x->e = ir_ix_max(a, b); break;
  case GE: x->e = ir_ix_le(b, a); break;
  case EQ: x->e = ir_ix_eq0(ir_ix_sub(a, b)); break;
  default: x->e = ir_ix_select(a, b, x->c->e); break;
  }
  return x;
}
static void point(int64_t *env)
{
  for (int i = 0; i < SYMS; i++) {
    int edge = (int)(rnd() % 4);
    int64_t lo = syms[i].lo / syms[i].by, hi = syms[i].hi / syms[i].by;
    env[i] = syms[i].by * (edge == 0 ? lo : edge == 1 ? hi : pick(lo, hi));
  }
}
static int64_t sym_value(void *arg, const struct ir_sym *sym, bool *known)
{
  for (int i = 0; i < SYMS; i++)
    if (!strcmp(sym->name, syms[i].name)) return ((int64_t *)arg)[i];
  *known = false;
  return 0;
}
static bool ix_value(const struct ir_ix *e, int64_t *env, int64_t *out)
{
  struct ir_ix_env v = { sym_value, load, env };
  return ir_ix_eval(e, &v, out);
}
static void setup(void)
{
  arena = ir_arena_create();
  t = ir_ixs_create(arena);
  for (int i = 0; i < SYMS; i++) s[i] = ir_ix_sym(t, syms[i].name, syms[i].kind, syms[i].lo, syms[i].hi, syms[i].by);
}
static void teardown(void) { ir_arena_destroy(arena); }
static const char *str(const struct ir_ix *e) { return ir_ix_str(arena, e); }

static void check_values(const struct ir_ix *e, const struct tree *x, int points)
{
  int64_t env[SYMS], want, got, lo, hi, by = ir_ix_by(e);
  ir_ix_range(e, &lo, &hi);
  for (int i = 0; i < points; i++) {
    point(env);
    if (!value(x, env, &want)) continue;
    ck_assert_msg(ix_value(e, env, &got), "%s: no value", str(e));
    ck_assert_msg(want == got, "seed %llu: %s = %lld, not %lld, at n=%lld s=%lld x=%lld y=%lld N=%lld k=%lld z=%lld", (unsigned long long)seed, str(e), (long long)got, (long long)want,
                  (long long)env[0], (long long)env[1], (long long)env[2], (long long)env[3], (long long)env[4], (long long)env[5], (long long)env[6]);
    ck_assert_msg(lo <= got && got <= hi, "%s = %lld outside of %lld..%lld", str(e), (long long)got, (long long)lo, (long long)hi);
    ck_assert_msg(by ? got % by == 0 : got == 0, "%s = %lld is not a multiple of %lld", str(e), (long long)got, (long long)by);
  }
}
START_TEST(algebra_agrees_with_arithmetic)
{
  seed = 0x1000 + (uint64_t)_i;
  for (int i = 0; i < TREES; i++) {
    if (i % 100 == 0) { teardown(); setup(); }
    struct tree *x = grow(2 + (int)(rnd() % 4));
    check_values(x->e, x, POINTS);
  }
}
END_TEST
START_TEST(text_reads_back)
{
  seed = 0x2000 + (uint64_t)_i;
  for (int i = 0; i < TREES; i++) {
    if (i % 100 == 0) { teardown(); setup(); }
    const struct ir_ix *e = grow(2 + (int)(rnd() % 3))->e;
    const char *text = str(e), *p = text;
    const struct ir_ix *back = ir_ix_parse(t, &p, text + strlen(text), NULL, NULL);
    if (!back && strlen(text) > 200) continue;            /* nested deeper than the parser goes */
    ck_assert_msg(back == e && !*p, "%s read back as %s", text, back ? str(back) : p);
  }
}
END_TEST
START_TEST(substitution_and_moving_agree)
{
  seed = 0x3000 + (uint64_t)_i;
  for (int i = 0; i < TREES / 2; i++) {
    if (i % 100 == 0) { teardown(); setup(); }
    struct tree *x = grow(3);
    struct ir_ixs *u = ir_ixs_create(arena);
    const struct ir_ix *m = ir_ix_move(t, ir_ix_move(u, x->e));
    check_values(m, x, 8);
    /* x := a tree of small values, N := 4*s: the value is that at the substituted point */
    struct tree *by = grow(1);
    const struct ir_ix *from[2] = { s[2], s[4] }, *to[2] = { by->e, ir_ix_muli(s[1], 4) };
    const struct ir_ix *e = ir_ix_subst(x->e, from, to, 2);
    for (int j = 0; j < 8; j++) {
      int64_t env[SYMS], env2[SYMS], got, want, v;
      point(env);
      memcpy(env2, env, sizeof env);
      if (!value(by, env, &v) || v < syms[2].lo || v > syms[2].hi || 4 * env[1] > syms[4].hi) continue;
      env2[2] = v;
      env2[4] = 4 * env[1];
      if (!value(x, env2, &want)) continue;
      ck_assert(ix_value(e, env, &got));
      ck_assert_msg(got == want, "%s: %lld, not %lld", str(e), (long long)got, (long long)want);
    }
  }
}
END_TEST
/* The prover under facts: whatever it says must hold at every point where the facts do; so must what simplify makes. */
START_TEST(the_prover_never_lies)
{
  int said = 0;
  seed = 0x4000 + (uint64_t)_i;
  for (int i = 0; i < TREES / 2; i++) {
    if (i % 50 == 0) { teardown(); setup(); }
    struct ir_facts f = { .arena = arena };
    struct tree *fact[3], *x = grow(3);
    int nf = (int)(rnd() % 4);
    for (int j = 0; j < nf; j++) { fact[j] = grow(2); ir_facts_push(&f, fact[j]->e); }
    enum ir_proof ge = ir_prove_ge0(&f, x->e), eq = ir_prove_eq0(&f, x->e);
    const struct ir_ix *simple = ir_ix_simplify(&f, x->e);
    said += ge != IR_UNKNOWN;
    for (int j = 0; j < 60; j++) {
      int64_t env[SYMS], v, w;
      bool holds = true;
      point(env);
      for (int k = 0; k < nf && holds; k++) holds = value(fact[k], env, &v) && v >= 0;
      if (!holds || !value(x, env, &v)) continue;
      ck_assert_msg(ge == IR_UNKNOWN || (ge == IR_YES) == (v >= 0), "%s >= 0 said %d, value %lld", str(x->e), (int)ge, (long long)v);
      ck_assert_msg(eq == IR_UNKNOWN || (eq == IR_YES) == (v == 0), "%s == 0 said %d, value %lld", str(x->e), (int)eq, (long long)v);
      ck_assert_msg(ix_value(simple, env, &w) && v == w, "%s simplified to %s", str(x->e), str(simple));
    }
  }
  ck_assert_int_gt(said, TREES / 6);                      /* and it does say something */
}
END_TEST
int main(void)
{
  Suite *suite = suite_create("ix_random");
  TCase *c = tcase_create("ix_random");
  tcase_set_timeout(c, 120);
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_loop_test(c, algebra_agrees_with_arithmetic, 0, 3);
  tcase_add_loop_test(c, text_reads_back, 0, 2);
  tcase_add_loop_test(c, substitution_and_moving_agree, 0, 2);
  tcase_add_loop_test(c, the_prover_never_lies, 0, 2);
  suite_add_tcase(suite, c);
  SRunner *r = srunner_create(suite);
  srunner_set_tap(r, "-");
  srunner_run_all(r, CK_SILENT);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
