/* chain: attention in the forms that models have it equals its evaluation, for odd sizes, layouts and masks.
 *
 * Tolerance, relative to the largest result: a score is a sum of d products, each rounded to 2^-24; its error, at most d*2^-24*max|q|*max|k|, is the relative
 * error of exp and so of the weight. Values here are multiples of 1/64 up to 2 and d at most 80, times a scale of 1/8: 80*4/8*2^-24 = 2.4e-6. Sums of up to 400
 * weights and rescaling by exp (1 ulp each, a dozen blocks) add about 1e-6; the evaluation itself rounds each statement. */
#include "tests/unit/codegen/chain_nests.h"
#include <time.h>

static void on(int i) { l.t = cg_target_at((unsigned)i); }

static const int sizes[] = { 1, 2, 5, 13, 14, 15, 17, 31, 32, 33, 45, 64, 127 };
enum { SIZES = sizeof sizes / sizeof *sizes };
START_TEST(odd_sizes)
{
  on(_i);
  for (int i = 0; i < SIZES; i++) {
    mapped(i, (struct size){ sizes[i], sizes[SIZES - 1 - i], 8, 5 + i, 2 }, "", "s[n, o, i, j]*0.125");
    if (i % 2) mapped(i, (struct size){ sizes[SIZES - 1 - i], sizes[i], 1 + i, 16, 1 }, "", "s[n, o, i, j]/8.0");
  }
  mapped(0, (struct size){ 33, 200, 80, 70, 1 }, "", "s[n, o, i, j]*0.125");
  mapped(1, (struct size){ 3, 384, 16, 16, 1 }, "", "s[n, o, i, j]*0.25"); /* whole blocks */
  mapped(2, (struct size){ 5, 401, 4, 256, 1 }, "", "s[n, o, i, j]");
}
END_TEST
/* Lengths as symbols, equal or not; several blocks of keys. */
START_TEST(symbolic_lengths)
{
  static const int long_[] = { 1, 13, 14, 32, 33, 125, 126, 127, 141, 260 };
  on(_i);
  for (unsigned i = 0; i < sizeof long_ / sizeof *long_; i++) {
    struct kir_bind b[2] = { { "I", (int64_t)(i * 11 % 40 + 1) }, { "J", long_[i] } };
    check((int)i, &(struct size){ 0, 0, 8, 9, 2 }, b, 2, QKV "x: f32[2, 1, 1, $J], " Y, "where I in 1..32768, J in 1..32768", SCORES MAPPED("s[n, o, i, j]*0.125 + x[n, 0, 0, j]") SOFTMAX VALUES);
    if (i % 2) continue;
    check((int)i, &(struct size){ 33, 0, 5, 16, 1 }, b + 1, 1, QKV Y, "where J in 1..32768", SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES);
    check((int)i, &(struct size){ 0, 24, 5, 16, 1 }, b, 1, QKV Y, "where I in 1..512", SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES);
    check((int)i, &(struct size){ 0, 0, 4, 4, 1 }, (struct kir_bind[]){ { "I", 8 }, { "J", long_[i] / 8 * 8 + 8 } }, 2, QKV Y, "where I in 8..64 by 8, J in 8..32768 by 8",
          SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES);
  }
}
END_TEST
START_TEST(masks)
{
  static const int some[][2] = { { 5, 1 }, { 33, 2 }, { 17, 3 }, { 33, 140 } };
  on(_i);
  for (int i = 0; i < 4; i++) every_form(FORMS(mask_forms), i, (struct size){ some[i][0], some[i][1], 6, 7, 2 }, 0);
}
END_TEST
START_TEST(causal)
{
  static const int some[][2] = { { 1, 1 }, { 3, 3 }, { 33, 33 }, { 40, 150 }, { 70, 40 } };
  on(_i);
  for (int i = 0; i < 5; i++) {
    struct size z = { some[i][0], some[i][1], 6, 7, 2 };
    unsigned n = sizeof causal_forms / sizeof *causal_forms;
    every_form(causal_forms, z.i > 3 ? n : n - 2, i, z, 0);                   /* where no row keeps a key, no scores are left */
    if (some[i][0] != some[i][1]) continue;
    struct kir_bind b = { "I", some[i][0] };
    z = (struct size){ 0, 0, 6, 7, 2 };
    check(i, &z, &b, 1, "q: f32[2, I, 12], k: f32[2, I, 12], v: f32[2, I, 14], y: f32[2, 2, I, 7] out", "where I in 1..1024",
          " s[n < 2, o < 2, i < I, j < I] = sum[d < 6] q[n, i, 6*o + d]*k[n, j, 6*o + d]\n t[n < 2, o < 2, i < I, j < I] = if([j <= i], s[n, o, i, j]*0.125, -inf)\n"
          " m[n < 2, o < 2, i < I] = max[j < I] t[n, o, i, j]\n l[n < 2, o < 2, i < I] = sum[j < I] exp(t[n, o, i, j] - m[n, o, i])\n"
          " y[n < 2, o < 2, i < I, e < 7] = sum[j < I] exp(t[n, o, i, j] - m[n, o, i])/l[n, o, i]*v[n, j, 7*o + e]\n");
    check(i, &z, (struct kir_bind[]){ { "I", some[i][0] }, { "P", 5 * i } }, 2, "q: f32[I, 6], k: f32[I + P, 6], v: f32[I + P, 7], y: f32[I, 7] out", "where I in 1..1024, P in 0..1024",
          " s[i < I, j < I + P] = sum[d < 6] q[i, d]*k[j, d]\n t[i < I, j < I + P] = if([j <= i + P], s[i, j]*0.125, -3.4028235e38)\n"
          " m[i < I] = max[j < I + P] t[i, j]\n l[i < I] = sum[j < I + P] exp(t[i, j] - m[i])\n y[i < I, e < 7] = sum[j < I + P] exp(t[i, j] - m[i])/l[i]*v[j, e]\n");
  }
}
END_TEST
START_TEST(hidden_keys)
{
  static const struct { const char *t, *c; } map[] = {
    { "if([j <= i], s[n, o, i, j]*0.125, -inf)", "0" },
    { "if([j > i + 4], -3.4028235e38, s[n, o, i, j]*0.125)", "4" },
    { "s[n, o, i, j] + if([j <= i], 0.0, -3.4028235e38)", "0" },
    { "if([j <= i]*[j + 5 >= i], select(x[n, j], s[n, o, i, j], -inf), -inf)", "0" },
    { "if([j <= i - 3], s[n, o, i, j], -inf)", "-3" },
    { "select(and(x[n, j], bool{[j <= i]}), s[n, o, i, j], -inf)", "0" },
    { "select(not(or(bool{[j > i]}, x[n, j])), s[n, o, i, j], -inf)", "0" },
    { "if([j <= i - 3], s[n, o, i, j], -3.4028235e38)", NULL },                                     /* row 0 keeps none */
    { "if([j <= i], s[n, o, i, j], -10000.0)", NULL },                                              /* a score may be as low */
    { "select(x[n, j], if([j <= i], s[n, o, i, j], -3.4028235e38), -3.4028235e38)", NULL },         /* x may hide the rest */
    { "if([j <= i], select(x[n, j], s[n, o, i, j], -3.4028235e38), -3.4028235e38)", NULL },
    { "if([j <= i], s[n, o, i, j], s[n, o, i, j] - 1.0)", NULL },
    { "if([j <= i], -inf, s[n, o, i, j])", NULL },
    { "select(or(x[n, j], bool{[j <= i]}), s[n, o, i, j], -inf)", NULL },
    { "if([j <= 2*i], s[n, o, i, j], -inf)", NULL },
  };
  char pattern[2048], text[4096];
  struct size z = { 40, 40, 4, 4, 2 };
  for (unsigned i = 0; i < sizeof map / sizeof *map; i++) {
    struct ir_arena *a = ir_arena_create();
    struct cg_chain c;
    const char *why = "";
    snprintf(pattern, sizeof pattern, "nest @t(" QKV "x: bool[2, $J], " Y ") {\n" SCORES MAPPED("%s") SOFTMAX VALUES "}", map[i].t);
    struct kir_nest *n = lw_parse(a, fill_in(text, sizeof text, pattern, &z));
    ck_assert_msg(cg_chain_read(&c, a, n, &why), "%s\n%s", why, text);
    const struct ir_ix *hidden = cg_chain_causal(&c, &n->facts);
    ck_assert_str_eq(hidden ? ir_ix_str(a, hidden) : "none", map[i].c ? map[i].c : "none");
    ir_arena_destroy(a);
  }
}
END_TEST
/* Each row for itself: tokens that are generated. */
START_TEST(few_rows)
{
  static const int keys[] = { 1, 3, 4, 15, 16, 17, 100, 511, 512, 513, 1100 };
  on(_i);
  for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct size z = { (int)i % 4 + 1, keys[i], 16 + (int)i, 64 - 5 * (int)i, 2 };
    struct kir_bind b = { "J", keys[i] };
    if (i % 3 == 0) mapped((int)i, z, "x: f32[2, 1, 1, $J], ", "s[n, o, i, j]*0.125 + x[n, 0, 0, j]");
    if (i % 3 == 1) mapped((int)i, z, "x: bool[2, 1, $I, $J], ", "select(x[n, 0, i, j], s[n, o, i, j]*0.125, -inf)");
    if (i % 3 == 2) mapped((int)i, z, "", "if([j <= i + 7], s[n, o, i, j]*0.125, -3.4028235e38)");
    z.j = 0;
    check((int)i, &z, &b, 1, QKV Y, "where J in 1..32768", SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES);
  }
  if (l.t->vec_lanes < 16) return;
  struct ir_arena *a = ir_arena_create(); /* it is that form, and what cannot be read in vectors is not */
  char text[4096];
  struct size z = { 1, 100, 64, 64, 2 };
  struct kir_sched *s = cg_skeleton_chain.schedule(a, lw_parse(a, fill_in(text, sizeof text, "nest @t(" QKV Y ") {\n" SCORES MAPPED("s[n, o, i, j]") SOFTMAX VALUES "}", &z)), l.t);
  ck_assert_str_eq(s->inst, "v16");
  z.i = 5;
  s = cg_skeleton_chain.schedule(a, lw_parse(a, fill_in(text, sizeof text, "nest @t(" QKV Y ") {\n" SCORES MAPPED("s[n, o, i, j]") SOFTMAX VALUES "}", &z)), l.t);
  ck_assert_str_eq(s->inst, "fma.v8");
  ir_arena_destroy(a);
}
END_TEST
/* [b,h,s,d], keys stored transposed, all three in one array, grouped queries, five axes, none. */
START_TEST(layouts)
{
  on(_i);
  for (int i = 0; i < 5; i++) {
    struct size z = { sizes[i * 2 + 2], sizes[(i * 5 + 3) % SIZES], 8, 6, 3 };
    check(i, &z, NULL, 0, "q: f32[2, $H, $I, $D], k: f32[2, $H, $D, $J], v: f32[2, $H, $J, $E], y: f32[2, $I, $H, $E] out", "",
          " s[" ROWS ", j < $J] = sum[d < $D] k[n, o, d, j]*q[n, o, i, d]\n" MAPPED("s[n, o, i, j]*0.125") SOFTMAX
          " w[" ROWS ", j < $J] = p[n, o, i, j]*recip(l[n, o, i])\n y[n < 2, i < $I, o < $H, e < $E] = sum[j < $J] v[n, o, j, e]*w[n, o, i, j]\n");
    check(i, &z, NULL, 0, "x: f32[2, $I, 24*$H], y: f32[2, $I, 8*$H] out", "",
          " s[n < 2, o < $H, a < $I, b < $I] = sum[d < 8] x[n, a, 8*o + d]*x[n, b, 8*o + 8*$H + d]\n m[n < 2, o < $H, i < $I] = max[r < $I] s[n, o, i, r]\n"
          " l[n < 2, o < $H, f < $I] = sum[r < $I] exp(s[n, o, f, r] - m[n, o, f])\n"
          " z[n < 2, o < $H, g < $I, d < 8] = sum[r < $I] exp(s[n, o, g, r] - m[n, o, g])/l[n, o, g]*x[n, r, 8*o + 16*$H + d]\n"
          " y[n < 2, i < $I, c < 8*$H] = z[n, c/8, i, c % 8]*2.0\n");
    check(i, &z, NULL, 0, "q: f32[$I, 6, $D], k: f32[$J, 2, $D], v: f32[$J, 2, $E], y: f32[$I, 6, $E] out", "",
          " s[h < 6, i < $I, j < $J] = sum[d < $D] q[i, h, d]*k[j, h/3, d]\n m[h < 6, i < $I] = max[j < $J] s[h, i, j]\n l[h < 6, i < $I] = sum[j < $J] exp(s[h, i, j] - m[h, i])\n"
          " y[i < $I, h < 6, e < $E] = sum[j < $J] exp(s[h, i, j] - m[h, i])/l[h, i]*v[j, h/3, e]\n");
    check(i, &z, NULL, 0, "q: f32[2, 1, 3, 2, $I, $D], k: f32[2, 1, 3, 2, $J, $D], v: f32[2, 1, 3, $J, $E], y: f32[2, 1, 3, 2, $I, $E] out", "",
          " s[a < 2, b < 3, c < 2, i < $I, j < $J] = sum[d < $D] q[a, 0, b, c, i, d]*k[a, 0, b, c, j, d]\n m[a < 2, b < 3, c < 2, i < $I] = max[j < $J] s[a, b, c, i, j]\n"
          " l[a < 2, b < 3, c < 2, i < $I] = sum[j < $J] exp(s[a, b, c, i, j] - m[a, b, c, i])\n"
          " y[a < 2, b < 3, c < 2, i < $I, e < $E] at [a, 0, b, c, i, e] = sum[j < $J] exp(s[a, b, c, i, j] - m[a, b, c, i])/l[a, b, c, i]*v[a, 0, b, j, e]\n");
    check(i, &z, NULL, 0, "q: f32[$I, $D], k: f32[$J, $D], v: f32[$J], y: f32[$I] out", "",
          " s[i < $I, j < $J] = sum[d < $D] q[i, d]*k[j, d]\n m[i < $I] = max[j < $J] s[i, j]\n l[i < $I] = sum[j < $J] exp(s[i, j] - m[i])\n"
          " y[i < $I] = sum[j < $J] exp(s[i, j] - m[i])/l[i]*v[j]\n");
    /* one query: there is no axis of rows */
    check(i, &z, NULL, 0, "q: f32[$H, $D], k: f32[$H, $J, $D], v: f32[$H, $J, $E], y: f32[$H, $E] out", "",
          " s[o < $H, j < $J] = sum[d < $D] q[o, d]*k[o, j, d]\n m[o < $H] = max[j < $J] s[o, j]\n l[o < $H] = sum[j < $J] exp(s[o, j] - m[o])\n"
          " y[o < $H, e < $E] = sum[j < $J] exp(s[o, j] - m[o])/l[o]*v[o, j, e]\n");
  }
}
END_TEST
/* Units kept, the division behind the product, NaN as 0, what follows the result, maps on the operands. */
START_TEST(forms)
{
  on(_i);
  for (int i = 0; i < 4; i++) {
    struct size z = { sizes[i * 3 + 2], sizes[11 - i * 2], 16, 20, 2 };
    check(i, &z, NULL, 0, QKV "y: f32[2, $I, $E*$H] out", "",
          " temp m: f32[2, $H, $I, 1]\n temp l: f32[2, $H, $I, 1]\n" SCORES MAPPED("s[n, o, i, j]/8.0") " m[" ROWS "] at [n, o, i, 0] = max[r < $J] t[n, o, i, r]\n"
          " p[" ROWS ", j < $J] = exp(t[n, o, i, j] - m[n, o, i, 0])\n l[" ROWS "] at [n, o, i, 0] = sum[r < $J] p[n, o, i, r]\n"
          " z[n < 2, o < $H, i < $I, e < $E] = sum[r < $J] p[n, o, i, r]/l[n, o, i, 0]*v[n, r, $E*o + e]\n y[n < 2, i < $I, c < $E*$H] = z[n, c/$E, i, c % $E]\n");
    check(i, &z, NULL, 0, QKV "x: bool[2, $J], r: f32[2, $I, $H, $E], y: f32[2, $I, $H, $E] out, w: f32[2, $H, $E, $I] out", "",
          SCORES MAPPED("select(x[n, j], s[n, o, i, j]*0.125, -inf)") SOFTMAX " z[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]*v[n, j, $E*o + e]\n"
          " y[n < 2, i < $I, o < $H, e < $E] = z[n, o, i, e]/l[n, o, i] + r[n, i, o, e]\n w[n < 2, o < $H, e < $E, i < $I] = max(z[n, o, i, e]*(1.0/l[n, o, i]), 0.0)\n");
    struct size narrow = { z.i, i + 1, 16, 20, 2 }; /* some rows have no key */
    check(i, &narrow, NULL, 0, QKV "x: bool[2, $I, $J], " Y, "",
          SCORES MAPPED("select(x[n, i, j], s[n, o, i, j]*0.125, -inf)") SOFTMAX " w[" ROWS ", j < $J] = p[n, o, i, j]/l[n, o, i]\n u[" ROWS ", j < $J] = select(isnan(w[n, o, i, j]), 0.0, w[n, o, i, j])\n"
          " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] u[n, o, i, j]*v[n, j, $E*o + e]\n");
    check(i, &z, NULL, 0, QKV "b: f32[$D*$H], c: f32[$E*$H], " Y, "",
          " s[" ROWS ", j < $J] = sum[d < $D] (q[n, i, $D*o + d]*0.35355338)*(k[n, j, $D*o + d]*0.35355338 + b[$D*o + d])\n" MAPPED("s[n, o, i, j]") SOFTMAX
          " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, i]*(v[n, j, $E*o + e] + c[$E*o + e])\n");
    check(i, &z, NULL, 0, "q: f16[2, $I, $D*$H], k: f16[2, $J, $D*$H], v: f16[2, $J, $E*$H], y: f16[2, $H, $I, $E] out", "",
          " s[" ROWS ", j < $J] = sum[d < $D] f32(q[n, i, $D*o + d])*f32(k[n, j, $D*o + d])\n" MAPPED("s[n, o, i, j]*0.125") SOFTMAX
          " z[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, i]*f32(v[n, j, $E*o + e])\n y[n < 2, o < $H, i < $I, e < $E] = f16(z[n, o, i, e])\n");
    /* Scores and weights rounded to f16, as half models have them. The sums of 16 products of multiples of 1/64 are exact, so scores round as the equations say.
     * That weights are rounded is left out: each is off by 2^-11 = 4.9e-4 of itself at most, and so is the result, of the largest value. */
    l.tolerance = 5e-4;
    check(i, &z, NULL, 0, "q: f16[2, $I, $D*$H], k: f16[2, $J, $D*$H], v: f16[2, $J, $E*$H], x: f16[$J], " Y, "",
          " u[" ROWS ", j < $J] = sum[d < $D] f32(q[n, i, $D*o + d])*f32(k[n, j, $D*o + d])\n s[" ROWS ", j < $J] = f16(u[n, o, i, j])\n"
          MAPPED("f32(s[n, o, i, j]*f16{0.125} + x[j])") SOFTMAX " w[" ROWS ", j < $J] = f16(p[n, o, i, j]/l[n, o, i])\n"
          " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] f32(w[n, o, i, j])*f32(v[n, j, $E*o + e])\n");
    check(i, &narrow, NULL, 0, "q: f16[2, $I, $D*$H], k: f16[2, $J, $D*$H], v: f16[2, $J, $E*$H], x: bool[2, $I, $J], " Y, "",
          " u[" ROWS ", j < $J] = sum[d < $D] f32(q[n, i, $D*o + d])*f32(k[n, j, $D*o + d])\n s[" ROWS ", j < $J] = f16(u[n, o, i, j])\n"
          MAPPED("f32(select(x[n, i, j], s[n, o, i, j]*f16{0.125}, f16{-inf}))") SOFTMAX " w[" ROWS ", j < $J] = f16(p[n, o, i, j]/l[n, o, i])\n"
          " g[" ROWS ", j < $J] = select(isnan(w[n, o, i, j]), f16{0}, w[n, o, i, j])\n"
          " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] f32(g[n, o, i, j])*f32(v[n, j, $E*o + e])\n");
    l.tolerance = 4e-6;
    z.d = z.e = 64;
    z.h = 8; /* rows of keys 2048 bytes apart */
    mapped(i, z, "", "s[n, o, i, j]*0.125");
  }
}
END_TEST
/* Rescaling by more than exp can hold, NaN and infinities of scores. */
START_TEST(wide_scores)
{
  on(_i);
  for (int i = 0; i < 3; i++) {
    struct size z = { sizes[3 * i + 2], 150 + 60 * i, 2, 3, 1 };
    mapped(i, z, "", "s[n, o, i, j]*0.001 + 0.9*f32{j}");  /* every block has a larger maximum */
    mapped(i, z, "", "s[n, o, i, j]*0.001 - 0.9*f32{j}");
    mapped(i, z, "", "if([j >= 140], s[n, o, i, j]*0.001, -inf)");           /* the first block is all masked */
    mapped(i, z, "", "if([j >= 140], s[n, o, i, j]*0.001, -3.4028235e38)");
    mapped(i, z, "", "if([i + j == 131], inf, s[n, o, i, j])");
    mapped(i, z, "", "if([i + j == 7], nan, s[n, o, i, j])");
  }
}
END_TEST

/* ---- records ---- */
static struct kir_kern *lower_text(struct ir_arena *a, const char *text, const char *record, const char **why)
{
  struct ir_diags d = { .file = "record" };
  struct kir_sched *s = kir_sched_parse(a, &d, record, strlen(record));
  ck_assert_msg(s != NULL, "%s\n%s", d.first.s, record);
  return cg_skeleton_chain.lower(a, lw_parse(a, text), s, l.t, why);
}
static struct kir_sched *given;
static struct kir_sched *as_given(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  (void)a, (void)n, (void)t;
  return given;
}
START_TEST(records)
{
  static const char *const good[] = { "sched chain { loops = grid n/1 o/1 i/16, for j/24, for j/5, for e/3; tile = fma.v8; k = shared; v = shared }",
                                      "sched chain { loops = grid i/12, grid o/1 n/1, for j/7, for j/7, for e/9; tile = fma.v4 }",
                                      "sched chain { loops = grid o/1 n/1 i/3, for j/60, for j/10, for e/1; tile = fma; v = shared }",
                                      "sched chain { loops = grid o/1 n/1 i/3, for j/20, for j/3, for e/8; tile = v4 }", "sched chain { loops = grid o/1 n/1 i/1, for j/53, for j/7, for e/9; tile = v16 }" };
  static const char *const bad[] = { "sched chain { loops = grid n/1 o/1 i/16, for j/24, for j/5; tile = fma.v8 }", "sched chain { loops = grid n/1 i/16, for j/24, for j/5, for e/3; tile = fma.v8 }",
                                     "sched chain { loops = grid n/1 o/1 i/12, for j/24, for j/5, for e/3; tile = fma.v8 }", "sched chain { loops = grid n/1 o/2 i/16, for j/24, for j/5, for e/3; tile = fma.v8 }",
                                     "sched chain { loops = grid n/1 o/1 i/16, for j/24, for j/25, for e/3; tile = fma.v8 }", "sched chain { loops = grid n/1 o/1 i/16, for j/24, for j/5, for e/3 }",
                                     "sched chain { loops = grid n/1 o/1 i/16, for j/24, for j/5, for e/3; tile = mma.m16n8k16.f16.f32 }", "sched chain { loops = grid n/1 o/1 i/16, for j/24, for j/5, for e/3; tile = v7 }",
                                     "sched chain { loops = grid n/1 o/1 i/16, for j/24, for j/5, for e/3; tile = v8; k = shared }",
                                     "sched chain { loops = grid n/1 o/1 i/16, for j/1000000000, for j/5, for e/3; tile = fma.v8 }", "sched chain { loops = for j/24, grid n/1 o/1 i/16, for j/5, for e/3; tile = fma.v8 }" };
  const struct cg_skeleton sk = { "chain", as_given, cg_skeleton_chain.lower };
  struct size z = { 21, 53, 6, 9, 2 };
  char text[4096];
  const char *why;
  on(1);
  for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
    struct ir_arena *a = ir_arena_create();
    struct ir_diags d = { .file = "record" };
    struct ir_buf b = { 0 };
    given = kir_sched_parse(a, &d, good[i], strlen(good[i]));
    ck_assert_msg(given != NULL, "%s", d.first.s);
    kir_sched_print(&b, given);
    ck_assert_int_eq(strncmp(b.s, good[i], strlen(good[i])), 0);
    ir_buf_deinit(&b);
    l.sk = &sk;
    mapped((int)i, z, "", "if([j <= i + 9], s[n, o, i, j]*0.125, -inf)");
    l.sk = &cg_skeleton_chain;
    ir_arena_destroy(a);
  }
  fill_in(text, sizeof text, "nest @t(" QKV Y ") {\n" SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES "}", &z);
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct ir_arena *a = ir_arena_create();
    why = NULL;
    ck_assert_msg(!lower_text(a, text, bad[i], &why) && why, "%s", bad[i]);
    ir_arena_destroy(a);
  }
}
END_TEST
/* What looks like it and is not. */
START_TEST(refused)
{
  static const char *const body[] = {
    SCORES MAPPED("s[n, o, i, j]") SOFTMAX " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, i]*v[n, j, $E*o + e]*2.0\n",
    SCORES MAPPED("s[n, o, i, j]") " m[" ROWS "] = max[j < $J] s[n, o, i, j]*2.0\n p[" ROWS ", j < $J] = exp(t[n, o, i, j] - m[n, o, i])\n l[" ROWS "] = sum[j < $J] p[n, o, i, j]\n" VALUES,
    SCORES MAPPED("s[n, o, i, j] + s[n, o, i, 0]") SOFTMAX VALUES,
    SCORES MAPPED("s[n, o, i, j]") SOFTMAX " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, 0]*v[n, j, $E*o + e]\n",
    SCORES MAPPED("s[n, o, i, j]") " m[" ROWS "] = min[j < $J] t[n, o, i, j]\n p[" ROWS ", j < $J] = exp(t[n, o, i, j] - m[n, o, i])\n l[" ROWS "] = sum[j < $J] p[n, o, i, j]\n" VALUES,
    SCORES MAPPED("s[n, o, i, j]") " m[" ROWS "] = max[j < $J] t[n, o, i, j]\n p[" ROWS ", j < $J] = exp(t[n, o, i, j] - m[n, o, 0])\n l[" ROWS "] = sum[j < $J] p[n, o, i, j]\n" VALUES,
    SCORES MAPPED("s[n, o, i, j]") SOFTMAX " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, i]*(v[n, j, $E*o + e] + m[n, o, i])\n",
    " y[" ROWS ", e < $E] = sum[d < $D] q[n, i, $D*o + d]*k[n, e, $D*o + d]\n",
  };
  char text[4096];
  struct size z = { 9, 9, 9, 9, 1 };
  on(1);
  for (unsigned i = 0; i < sizeof body / sizeof *body; i++) {
    char pattern[2048];
    struct ir_arena *a = ir_arena_create();
    snprintf(pattern, sizeof pattern, "nest @t(" QKV Y ") {\n%s}", body[i]);
    ck_assert_msg(!cg_skeleton_chain.schedule(a, lw_parse(a, fill_in(text, sizeof text, pattern, &z)), l.t), "%s", text);
    ir_arena_destroy(a);
  }
}
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, odd_sizes, 0, 3);
  tcase_add_loop_test(t, symbolic_lengths, 0, 3);
  tcase_add_loop_test(t, masks, 0, 3);
  tcase_add_loop_test(t, causal, 0, 3);
  tcase_add_test(t, hidden_keys);
  tcase_add_loop_test(t, few_rows, 0, 3);
  tcase_add_loop_test(t, layouts, 0, 3);
  tcase_add_loop_test(t, forms, 0, 3);
  tcase_add_loop_test(t, wide_scores, 0, 3);
  tcase_add_test(t, records);
  tcase_add_test(t, refused);
}
/* ---- `test_chain bench`: GFLOP/s of one head ---- */
enum { HEADS = 12, WIDTH = 64 };
static double now_us(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
static const char *model(char *out, size_t size, bool sym, int s, bool causal, int rows)
{
  char S[16], I[16], where[32] = "";
  snprintf(S, sizeof S, "%d", s);
  if (sym) strcpy(S, "S"), strcpy(where, "where S in 1..32768");
  strcpy(I, S);
  if (rows) snprintf(I, sizeof I, "%d", rows);
  snprintf(out, size,
           "nest @t(q: f32[1, %s, 768], k: f32[1, %s, 768], v: f32[1, %s, 768], x: f32[1, 1, 1, %s], y: f32[1, %s, 768] out) %s {\n"
           " s[o < 12, i < %s, j < %s] = sum[d < 64] q[0, i, o*64 + d]*k[0, j, o*64 + d]\n"
           " t[o < 12, i < %s, j < %s] = %s\n m[o < 12, i < %s] = max[j < %s] t[o, i, j]\n"
           " p[o < 12, i < %s, j < %s] = exp(t[o, i, j] - m[o, i])\n l[o < 12, i < %s] = sum[j < %s] p[o, i, j]\n"
           " r[o < 12, i < %s, e < 64] = sum[j < %s] p[o, i, j]/l[o, i]*v[0, j, o*64 + e]\n y[o < 12, i < %s, e < 64] at [0, i, o*64 + e] = r[o, i, e] }",
           I, S, S, S, I, where, I, S, I, S, causal ? "if([j <= i], s[o, i, j]*0.125, -inf)" : "s[o, i, j]*0.125 + x[0, 0, 0, j]", I, S, I, S, I, S, I, S, I);
  return out;
}
static void bench_one(const struct cg_target *t, bool sym, int s, bool causal, int few)
{
  char text[2048];
  const char *why = "";
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "nest" };
  model(text, sizeof text, sym, s, causal, few);
  struct kir_nest *n = kir_nest_parse(a, &d, text, strlen(text));
  if (!n) {
    printf("%s\n%s\n", d.first.s, text);
    exit(1);
  }
  struct kir_sched *r = cg_skeleton_chain.schedule(a, n, t);
  struct kir_kern *k = r ? cg_skeleton_chain.lower(a, n, r, t, &why) : NULL;
  struct native *f = k ? native_load(k, t, &why) : NULL;
  if (!f) {
    printf("%s\n%s\n", why, text);
    exit(1);
  }
  float *buf = aligned_alloc(64, 4 * (size_t)s * 768 * 4 + 64 * (size_t)s), *scratch = aligned_alloc(64, k->scratch_bytes + 64);
  for (int i = 0; i < 4 * s * 768; i++) buf[i] = (float)(i * 2654435761u >> 20) / 4096 - 0.5f;
  for (int i = 0; i < s; i++) buf[4 * s * 768 + i] = 0;
  union massrt_word args[6];
  for (int i = 0; i < 3; i++) args[i].p = buf + i * s * 768;
  args[3].p = buf + 4 * s * 768;
  args[4].p = buf + 3 * s * 768;
  args[5].i = s;
  int64_t rows = r->loops.v[0].part[r->loops.v[0].n - 1].step, blocks = ((few ? few : s) + rows - 1) / rows;
  double best = 1e9;
  for (int rep = 0; rep < 60; rep++) {
    int64_t head = rep % HEADS;
    double from = now_us();
    native_fn(f)(args, head * blocks, (head + 1) * blocks, scratch);
    double us = now_us() - from;
    if (us < best) best = us;
  }
  struct ir_buf o = { 0 };
  kir_sched_print(&o, r);
  printf("%s %s%d%s%s: %.1f us a head, %.1f GFLOP/s  spills %d  %.*s", t->name, sym ? "S = " : "", s, causal ? " causal" : "", few ? ", one row" : "", best,
         4.0 * (few ? few : s) * s * WIDTH / best / 1e3,
         native_spills(k, t, &why), (int)o.n, o.s);
  ir_buf_deinit(&o);
  native_unload(f);
  free(buf);
  free(scratch);
  ir_arena_destroy(a);
}
static int bench(void)
{
  static const int at[] = { 128, 256, 512, 1024 };
  for (unsigned l = 3; l-- > 0;)
    for (unsigned i = 0; i < 4; i++)
      for (unsigned f = 0; f < 4; f++) bench_one(cg_target_at(l), f == 1 || f == 2, at[i], f == 2, f == 3);
  return 0;
}
int main(int argc, char **argv)
{
  if (argc > 1 && !strcmp(argv[1], "bench")) return bench();
  return lw_main("chain", add);
}
