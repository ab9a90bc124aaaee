/* Index expressions: the rules by name, each as a sentence "this text means that text". Random properties: test_ix_random.c. */
#include "ir/ix.h"
#include "tests/unit/tap.h"
#include <string.h>

static struct ir_arena *arena;
static struct ir_ixs *t;
static void setup(void)
{
  arena = ir_arena_create();
  t = ir_ixs_create(arena);
  const char *dims[] = { "b", "s", "n" };
  for (int i = 0; i < 3; i++) ir_ix_sym(t, dims[i], IR_SYM_DIM, 1, INT32_MAX, 1);
  ir_ix_sym(t, "N", IR_SYM_DIM, 8, 4096, 8);
  ir_ix_sym(t, "h", IR_SYM_AXIS, 0, 55, 1);
  ir_ix_sym(t, "w", IR_SYM_AXIS, 0, 55, 1);
  ir_ix_sym(t, "c", IR_SYM_AXIS, 0, 63, 1);
  ir_ix_sym(t, "x", IR_SYM_DIM, -1000, 1000, 1);
}
static void teardown(void) { ir_arena_destroy(arena); }
static const struct ir_ix *ix(const char *s)
{
  const char *p = s;
  const struct ir_ix *e = ir_ix_parse(t, &p, s + strlen(s), NULL, NULL);
  ck_assert_msg(e && !*p, "%s: stopped at \"%s\"", s, p);
  return e;
}
static const char *str(const struct ir_ix *e) { return ir_ix_str(arena, e); }
static void same(const char *a, const char *b) { ck_assert_msg(ix(a) == ix(b), "%s is %s, %s is %s", a, str(ix(a)), b, str(ix(b))); }
static void prints(const char *a, const char *text)
{
  ck_assert_str_eq(str(ix(a)), text);
  ck_assert_ptr_eq(ix(str(ix(a))), ix(a));
}
static void range(const char *e, int64_t lo, int64_t hi)
{
  int64_t l, h;
  ir_ix_range(ix(e), &l, &h);
  ck_assert_msg(l == lo && h == hi, "%s: %lld..%lld", e, (long long)l, (long long)h);
}

START_TEST(sums_and_products_are_canonical)
{
  same("(b + s)*(b - s)", "b*b - s*s");
  same("n*2 + 3 - n - 3 - n", "0");
  same("(h + 1)*(w + 1)*2", "2 + 2*h + 2*w + 2*h*w");
  ck_assert_ptr_eq(ir_ix_mul(ix("s"), ix("b")), ir_ix_mul(ix("b"), ix("s")));
}
END_TEST
START_TEST(division_of_reshapes)
{
  same("48*b*s/(12*b*s)", "4");
  same("(h*56 + w)/56", "h");
  same("(h*56 + w) % 56", "w");
  same("(c*3136 + h*56 + w)/3136", "c");
  same("(c*3136 + h*56 + w) % 3136 / 56", "h");
  same("(b*s*64 + 64)/(s*64 + 0*b)", "b + 64/(64*s)");
  same("(b*b + 2*b*s + s*s)/(b + s)", "b + s");
  same("(h*s + min(w, s - 1))/s", "h");
  same("(n - 1)/n", "0");
  same("(s*n + s - 1)/s", "n");
}
END_TEST
START_TEST(division_rules_of_the_kernel_ir)
{
  same("(16*x + h % 16)/16", "x");                 /* (q*a + r)/q = a + r/q, r/q = 0 */
  same("(x/16)*16 + x % 16", "x");
  same("(x % 64)/16", "(x/16) % 4");               /* (x % (k*q))/q = (x/q) % k */
  same("(x/4)/3", "x/12");
  same("(x/4 + 5)/3", "(x + 20)/12");
  same("(8*x + 3)/16", "x/2");
  same("(8*x + h % 4)/16", "x/2");
  same("(17*x + 40)/16", "x + 2 + (x + 8)/16");
  same("x % 64 % 16", "x % 16");
  same("N/8*8", "N");
  same("N % 4", "0");
  same("(3*N + h % 8)/8", "3*N/8");
  same("(n*s + h)/(n*s*2)", "(n*s + h)/(2*n*s)");
  same("(n*x + n - 1)/(n*4)", "x/4");
  ck_assert_ptr_ne(ix("(8*x + h)/16"), ix("x/2"));  /* h may carry */
  ck_assert_ptr_ne(ix("(-x)/2"), ix("-(x/2)"));
}
END_TEST
START_TEST(ranges)
{
  range("h*56 + w", 0, 3135);
  range("x % 16", 0, 15);
  range("c % 16 * 3 + 1", 1, 46);
  range("(x/4) % 4", 0, 3);
  range("x/16", -63, 62);
  range("-x", -1000, 1000);
  range("x*x", 0, 1000000);
  range("min(x, 5)", -1000, 5);
  range("max(h, 5)", 5, 55);
  range("[x >= 0]*3", 0, 3);
  range("i0[c0]", -IR_IX_INF, IR_IX_INF);
  range("c0", 0, IR_IX_INF);
  range("1000 - c0", -IR_IX_INF, 1000);
  range("n*n*n*n*n*n*n*n", 1, IR_IX_INF);
  const struct ir_ix *at[1] = { ix("c0") };
  int64_t lo, hi;
  ir_ix_range(ir_ix_load(t, 7, at, 1, 0, 99), &lo, &hi);
  ck_assert(lo == 0 && hi == 99);
}
END_TEST
START_TEST(known_divisors)
{
  ck_assert_int_eq(ir_ix_by(ix("N")), 8);
  ck_assert_int_eq(ir_ix_by(ix("N*x + 12")), 4);
  ck_assert_int_eq(ir_ix_by(ix("N*N")), 64);
  ck_assert_int_eq(ir_ix_by(ix("min(N, 4*x)")), 4);
  ck_assert_int_eq(ir_ix_by(ix("0")), 0);
  ck_assert_int_eq(ir_ix_by(ix("x")), 1);
  const struct ir_ix *k = ir_ix_fresh(t, "k", IR_SYM_LOOP, 0, 96, 32);
  ck_assert_int_eq(ir_ix_by(k), 32);
  ck_assert_str_eq(ir_ix_as_sym(k)->name, "k");
  ck_assert_ptr_eq(ir_ix_modi(ir_ix_add(k, ix("h % 32")), 32), ix("h % 32"));
}
END_TEST
START_TEST(min_max)
{
  same("min(min(n, s), 64)", "min(64, min(s, n))");
  same("min(n, n + 3)", "n");
  same("max(n, 1)", "n");
  same("min(h, 100)", "h");
  same("min(8*n, 8*s)", "8*min(n, s)");
  same("min(min(2*n, 2*s), 3*b)", "min(2*s, min(3*b, 2*n))");
  same("max(n - min(n, s), 0)", "n - min(n, s)");
  same("min(n, 7, s, 9)", "min(7, n, s)");
}
END_TEST
START_TEST(tests_are_bits)
{
  same("[h >= 0]", "1");
  same("[h >= 56]", "0");
  same("[h < 5]*[h < 5]", "[h <= 4]");
  same("[2*h >= 7]", "[h >= 4]");
  same("[2*h == 7]", "0");
  same("[s == n]", "[n == s]");
  same("[c3 <= c2]", "[c2 - c3 >= 0]");
  ck_assert_ptr_eq(ir_ix_select(ix("[x >= 0]"), ix("x"), ix("-x")), ix("-x + [x >= 0]*(2*x)"));
  ck_assert_ptr_eq(ir_ix_select(ix("1"), ix("h"), ix("w")), ix("h"));
  ck_assert_ptr_eq(ir_ix_select(ix("0"), ix("h"), ix("w")), ix("w"));
}
END_TEST
START_TEST(broadcast_dims)
{
  same("bcast(b, 1)", "b");
  same("bcast(1, b)", "b");
  same("bcast(b, b)", "b");
  same("bcast(b, 4)", "4");
  same("bcast(s + 1, b)", "s + 1");
  same("bcast(b, s)", "bcast(s, b)");
}
END_TEST
START_TEST(what_does_not_fit_is_opaque)
{
  ck_assert(ir_ix_overflowed(ix("9223372036854775807*n*4")));
  ck_assert(!ir_ix_overflowed(ix("n*n")));
  same("9223372036854775807*n*4", "9223372036854775807*n*4");
  const struct ir_ix *e = ir_ix_int(t, 0), *f = ir_ix_int(t, 0);
  for (int i = 0; i < 100; i++) {
    char name[16];
    snprintf(name, sizeof name, "d%d", i);
    const struct ir_ix *d = ir_ix_sym(t, name, IR_SYM_DIM, 1, 9, 1);
    e = ir_ix_add(e, ir_ix_muli(d, i + 1));
    f = ir_ix_add(f, ir_ix_muli(d, i + 1));
    ck_assert_ptr_eq(e, f);
    ck_assert_uint_le(ir_ix_nterms(e), IR_IX_MAX_TERMS);
  }
  ck_assert(ir_ix_overflowed(e));
  ck_assert_ptr_eq(ix(str(e)), e);
  const struct ir_ix *p = ix("[x >= 0]"), *q = ix("b + s + n + h + w + c + x + b*s + s*n + 1");
  ck_assert_uint_eq(ir_ix_nterms(ir_ix_mul(p, q)), 1);
  ck_assert_ptr_eq(ix(str(ir_ix_mul(p, q))), ir_ix_mul(p, q));
}
END_TEST
static int64_t seven(void *arg, const struct ir_sym *s, bool *known) { (void)arg; (void)s; (void)known; return 7; }
START_TEST(deep_nesting_ends)
{
  const struct ir_ix *e = ix("x");
  for (int i = 0; i < 5000; i++) e = ir_ix_min(ir_ix_addi(ir_ix_muli(e, 2), 1), ix("b"));
  ck_assert(ir_ix_overflowed(e));
  int64_t v;
  struct ir_ix_env env = { seven, NULL, NULL };
  ck_assert(ir_ix_eval(ix("x"), &env, &v) && v == 7);
  ck_assert(!ir_ix_eval(e, &env, &v));                  /* no value rather than a wrong one */
  ck_assert(!ir_ix_eval(ir_ix_move(ir_ixs_create(arena), e), &env, &v));
  ck_assert(!ir_ix_eval(ir_ix_subst1(e, ix("x"), ix("3")), &env, &v));
}
END_TEST
START_TEST(substitution)
{
  ck_assert_ptr_eq(ir_ix_subst1(ix("(h*56 + w)/7"), ix("h"), ix("c + 1")), ix("((c + 1)*56 + w)/7"));
  ck_assert_ptr_eq(ir_ix_subst1(ix("3*N + x"), ix("N"), ir_ix_int(t, 24)), ix("72 + x"));
  ck_assert_ptr_eq(ir_ix_subst1(ix("N/8"), ix("N"), ir_ix_int(t, 24)), ir_ix_int(t, 3));
  ck_assert_ptr_eq(ir_ix_subst1(ix("N*N*2"), ix("N"), ix("x")), ix("2*x*x"));
  const struct ir_ix *from[2] = { ix("h"), ix("w") }, *to[2] = { ix("w"), ix("h") };
  ck_assert_ptr_eq(ir_ix_subst(ix("h - 2*w + i0[h, w]"), from, to, 2), ix("w - 2*h + i0[w, h]"));
  const struct ir_ix *big = ix("9223372036854775807*x*4");
  ck_assert_ptr_eq(ir_ix_subst1(big, ix("x"), ir_ix_int(t, 0)), ir_ix_int(t, 0));
}
END_TEST
START_TEST(moving_between_tables)
{
  struct ir_ixs *u = ir_ixs_create(arena);
  const char *all[] = { "(h*56 + w)/7 + N/8*3", "min(n, s)*[x >= 3]", "bcast(b, s)/2 - i1[h, w % 4]", "9223372036854775807*n*4", "N*N + x % 5" };
  for (int i = 0; i < 5; i++) {
    const struct ir_ix *m = ir_ix_move(u, ix(all[i]));
    ck_assert_ptr_eq(ir_ix_table(m), u);
    ck_assert_ptr_eq(ir_ix_move(t, m), ix(all[i]));
  }
  ck_assert_int_eq(ir_ix_as_sym(ir_ix_find(u, "N"))->by, 8);
}
END_TEST
START_TEST(linear_parts)
{
  const struct ir_ix *c, *r;
  ck_assert(ir_ix_linear(ix("3*h*s + s + w"), ix("h"), &c, &r));
  ck_assert(c == ix("3*s") && r == ix("s + w"));
  ck_assert(ir_ix_linear(ix("24*N + 1"), ix("N"), &c, &r));
  ck_assert(c == ix("24") && r == ix("1"));
  ck_assert(ir_ix_linear(ix("w"), ix("h"), &c, &r));
  ck_assert(c == ix("0") && r == ix("w"));
  ck_assert(!ir_ix_linear(ix("h*h"), ix("h"), &c, &r));
  ck_assert(!ir_ix_linear(ix("h + h/2"), ix("h"), &c, &r));
  ck_assert(!ir_ix_linear(ix("h*(h/2)"), ix("h"), &c, &r));
  ck_assert(!ir_ix_linear(ix("N/8"), ix("N"), &c, &r));
  ck_assert(ir_ix_uses(ix("i0[h/2]"), ix("h")) && !ir_ix_uses(ix("i0[h/2]"), ix("w")) && ir_ix_uses(ix("N/8"), ix("N")));
  ck_assert(ir_ix_uses(ix("9223372036854775807*n*4"), ix("n")));
}
END_TEST
START_TEST(proofs)
{
  struct ir_facts f = { .arena = arena };
  const struct ir_ix *B = ir_ix_sym(t, "B", IR_SYM_AXIS, 0, INT32_MAX, 1), *i = ir_ix_sym(t, "i", IR_SYM_AXIS, 0, INT32_MAX, 1);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("n*b - n")), IR_YES);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("-1 - n*b + n")), IR_NO);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("n - s")), IR_UNKNOWN);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("x - x/16*16")), IR_YES);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("n - min(n, s)")), IR_YES);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("min(n, s) - 1")), IR_YES);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("max(n, s) + min(n, s) - n - s")), IR_YES);
  ck_assert_int_eq(ir_prove_eq0(NULL, ix("max(n, s) + min(n, s) - n - s")), IR_YES);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("s - s/3*3")), IR_YES);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("n - s*(n/s)")), IR_YES);
  ck_assert_int_eq(ir_prove_ge0(NULL, ix("s - 1 - n % s")), IR_YES);
  ck_assert_int_eq(ir_prove_eq0(NULL, ix("2*n - 2*s + 1")), IR_NO);
  ck_assert_int_eq(ir_prove_eq0(NULL, ix("n + s")), IR_NO);
  /* element of a dense b x s x n array */
  ir_facts_push(&f, ir_ix_addi(ir_ix_sub(ix("b"), B), -1));
  ir_facts_push(&f, ir_ix_addi(ir_ix_sub(ix("s"), i), -1));
  uint32_t mark = ir_facts_mark(&f);
  ck_assert(ir_known_ge0(&f, ix("b*s*64 - 1 - (B*s*64 + i*64 + c)")));
  ck_assert(!ir_known_ge0(&f, ix("b*s*64 - 2 - (B*s*64 + i*64 + c)")));
  ir_facts_push(&f, ix("64 - s"));
  ck_assert(ir_known_ge0(&f, ix("63 - i")));
  ck_assert(ir_ix_simplify(&f, ix("min(s, 64) + [i < 64] + i/s")) == ix("s + 1"));
  ir_facts_reset(&f, mark);
  ck_assert(!ir_known_ge0(&f, ix("63 - i")));
  /* the last tile of a loop in steps */
  ck_assert(ir_known_ge0(NULL, ix("(n + 31)/32*32 - n")));
  ck_assert(ir_known_ge0(NULL, ix("n + 31 - (n + 31)/32*32")));
}
END_TEST
START_TEST(a_requirement_narrows)
{
  const struct ir_ix *m = ix("min(s, 64)");
  ir_ix_narrow(ix("s"), 1, 64);
  ck_assert_int_eq(ir_ix_as_sym(ix("s"))->hi, 64);
  ck_assert_ptr_eq(ir_ix_simplify(NULL, m), ix("s"));
  ck_assert_ptr_eq(ir_ix_min(ix("s"), ix("64")), ix("s"));
  range("s*2", 2, 128);
  ir_ix_narrow(ix("s"), 0, 100);
  range("s", 1, 64);
  ir_ix_narrow(ix("N"), 0, 100);
  range("N", 8, 96);
}
END_TEST
START_TEST(texts)
{
  prints("n*64+h/2", "64*n + h/2");
  prints("c1 % 16", "c1 % 16");
  prints("c2 - c3", "c2 - c3");
  prints("[c2 - c3 >= 0]", "[c3 <= c2]");
  prints("[x >= 5]", "[x >= 5]");
  prints("[x <= 5]", "[x <= 5]");
  prints("2*n + 1", "2*n + 1");
  prints("-(h/2)", "-(h/2)");
  prints("5 - 2*(h/2)", "5 - 2*(h/2)");
  prints("3*(x % 4)", "3*(x % 4)");
  prints("x/16 % 4", "(x/16) % 4");
  prints("(x + w) % (n + s)", "(w + x) % (s + n)");
  prints("N/8 + 2*N", "17*(N/8)");
  prints("i0[c0, 3]", "i0[c0, 3]");
  prints("0", "0");
  prints("-9223372036854775807 - 1", "-9223372036854775808");
  prints("x + -9223372036854775808", "x + -9223372036854775808");
  ir_ix_sym(t, "batch size`\n", IR_SYM_DIM, 1, 9, 1);
  prints("`batch size\\x60\\x0a`*2", "2*`batch size\\x60\\x0a`");
  ir_ix_sym(t, "in.1", IR_SYM_DIM, 1, 9, 1);
  prints("in.1*2", "2*in.1");
}
END_TEST
static const struct ir_ix *make(void *arg, struct ir_ixs *u, const char *name) { ++*(int *)arg; return ir_ix_sym(u, name, IR_SYM_DIM, 1, 100, 1); }
START_TEST(the_longest_expression_is_read)
{
  static const struct { const char *text; size_t used; const char *means; } row[] = {
    { "n*2 ]", 3, "2*n" }, { "n, 3", 1, "n" }, { "n..4", 1, "n" }, { "n -> x", 1, "n" }, { "n\n + 1", 1, "n" }, { "n  + 1 @", 6, "n + 1" }, { "(n\n+ 1)", 1, NULL },
    { "n x", 1, "n" }, { "nosuch", 0, NULL }, { "n +", 3, NULL }, { "", 0, NULL }, { "99999999999999999999", 0, NULL }, { "min(n)", 6, NULL }, { "n/0", 3, NULL }, { "`x", 0, NULL },
    { "[n >= 1", 7, NULL }, { "i0[]", 3, NULL }, { "x%-3", 4, NULL },
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    const char *s = row[i].text;
    const struct ir_ix *e = ir_ix_parse(t, &s, row[i].text + strlen(row[i].text), NULL, NULL);
    ck_assert_msg(!e == !row[i].means, "%s", row[i].text);
    if (e) { ck_assert_str_eq(str(e), row[i].means); ck_assert_uint_eq((size_t)(s - row[i].text), row[i].used); }
  }
  const char *s = "new1*new2 + new1";
  int made = 0;
  ck_assert(ir_ix_parse(t, &s, s + strlen(s), make, &made) && made == 2);
  char deep[400];
  for (int n = 60; n <= 70; n += 10) {
    memset(deep, '(', (size_t)n);
    deep[n] = 'n';
    memset(deep + n + 1, ')', (size_t)n);
    s = deep;
    ck_assert(!ir_ix_parse(t, &s, deep + 2 * n + 1, NULL, NULL) == (n > 64));
  }
}
END_TEST
START_TEST(fresh_names)
{
  ck_assert_str_eq(ir_ix_as_sym(ir_ix_fresh(t, "r", IR_SYM_AXIS, 0, 1, 1))->name, "r");
  ck_assert_str_eq(ir_ix_as_sym(ir_ix_fresh(t, "r", IR_SYM_AXIS, 0, 1, 1))->name, "r.1");
  ck_assert_str_eq(ir_ix_as_sym(ir_ix_fresh(t, "r", IR_SYM_AXIS, 0, 1, 1))->name, "r.2");
  ck_assert_str_eq(ir_ix_as_sym(ir_ix_fresh(t, "c0", IR_SYM_LOOP, 0, 1, 1))->name, "c0.1");
  ck_assert_ptr_eq(ir_ix_find(t, "c0"), NULL);
}
END_TEST
int main(void)
{
  Suite *s = suite_create("ix");
  TCase *c = tcase_create("ix");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, sums_and_products_are_canonical);
  tcase_add_test(c, division_of_reshapes);
  tcase_add_test(c, division_rules_of_the_kernel_ir);
  tcase_add_test(c, ranges);
  tcase_add_test(c, known_divisors);
  tcase_add_test(c, min_max);
  tcase_add_test(c, tests_are_bits);
  tcase_add_test(c, broadcast_dims);
  tcase_add_test(c, what_does_not_fit_is_opaque);
  tcase_add_test(c, deep_nesting_ends);
  tcase_add_test(c, substitution);
  tcase_add_test(c, moving_between_tables);
  tcase_add_test(c, linear_parts);
  tcase_add_test(c, proofs);
  tcase_add_test(c, a_requirement_narrows);
  tcase_add_test(c, texts);
  tcase_add_test(c, the_longest_expression_is_read);
  tcase_add_test(c, fresh_names);
  suite_add_tcase(s, c);
  return tap_run(s);
}
