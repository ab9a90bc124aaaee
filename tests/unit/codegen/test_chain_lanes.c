/* chain on GPUs: attention equals its evaluation in the interpreter, on PoCL and, compiled, for CUDA; for odd sizes, layouts and masks.
 *
 * Tolerance of float32, relative to the largest result: test_chain.c. On matrix units weights are rounded to the operands' type before the second product, as the equations have
 * it too, but of other numbers (not divided yet): off by 2^-11 = 4.9e-4 each (bf16: 2^-8 = 3.9e-3), in both. */
#include "tests/unit/codegen/chain_nests.h"

static const char *const targets[] = { "opencl", "cuda:sm_80" };
enum { TARGETS = 2 };
static void on(unsigned i)
{
  l.t = cg_target_find(targets[i], strlen(targets[i]));
  l.no_text = true;
  l.no_compiler = false;
}

static const int sizes[] = { 1, 2, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127 };
enum { SIZES = sizeof sizes / sizeof *sizes };
START_TEST(odd_sizes)
{
  on((unsigned)_i);
  for (int i = 2; i < SIZES; i++) {
    l.no_compiler = i % 4 != 0;
    mapped(i, (struct size){ sizes[i], sizes[SIZES - 1 - i], 8 + i % 3, 5 + i, 2 }, "", "s[n, o, i, j]*0.125");
  }
  mapped(0, (struct size){ 33, 200, 80, 70, 1 }, "", "s[n, o, i, j]*0.125");
  mapped(2, (struct size){ 7, 70, 4, 200, 1 }, "", "s[n, o, i, j]");
}
END_TEST

/* ---- matrix units ---- */
static const char *const half_elems[] = { "f16", "bf16" };
static void halves(int seed, int e, const struct size *z, const struct kir_bind *b, unsigned nb, const char *where, const char *extra, const char *t)
{
  char args[512], body[2048];
  const char *h = half_elems[e];
  l.tolerance = e ? 8e-3 : 1e-3;
  snprintf(args, sizeof args, "q: %s[2, $I, $D*$H], k: %s[2, $J, $D*$H], v: %s[2, $J, $E*$H], %sy: %s[2, $I, $E*$H] out, z: f32[2, $H, $I, $E] out", h, h, h, extra, h);
  snprintf(body, sizeof body,
           " s[" ROWS ", j < $J] = sum[d < $D] f32(q[n, i, $D*o + d])*f32(k[n, j, $D*o + d])\n" MAPPED("%s") SOFTMAX
           " w[" ROWS ", j < $J] = %s(p[n, o, i, j]/l[n, o, i])\n r[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] f32(w[n, o, i, j])*f32(v[n, j, $E*o + e])\n"
           " y[n < 2, o < $H, i < $I, e < $E] at [n, i, $E*o + e] = %s(r[n, o, i, e])\n z[n < 2, o < $H, i < $I, e < $E] = r[n, o, i, e]*2.0\n", t, h, h);
  check(seed, z, b, nb, args, where, body);
  l.tolerance = 4e-6;
}
START_TEST(matrix_units)
{
  on(1);
  int e = _i;
  for (int i = 2; i < SIZES; i++) {
    l.no_compiler = i % 4 != 0;
    halves(i, e, &(struct size){ sizes[i], sizes[SIZES - 1 - i], 8 + 8*(i % 3), 8 + 4*(i % 5), 2 }, NULL, 0, "", "", "s[n, o, i, j]*0.125");
  }
  l.no_compiler = false;
  halves(1, e, &(struct size){ 40, 150, 64, 64, 2 }, NULL, 0, "", "x: f32[2, $J], ", "s[n, o, i, j]*0.125 + x[n, j]");
  halves(1, e, &(struct size){ 70, 70, 16, 32, 1 }, NULL, 0, "", "", "if([j <= i], s[n, o, i, j]*0.125, -inf)");
  halves(1, e, &(struct size){ 0, 0, 16, 16, 2 }, (struct kir_bind[]){ { "I", 67 }, { "J", 131 } }, 2, "where I in 1..4096, J in 1..4096", "", "if([j <= i + J - I], s[n, o, i, j]*0.125, -3.4028235e38)");
  halves(1, e, &(struct size){ 20, 65, 128, 128, 1 }, NULL, 0, "", "", "s[n, o, i, j]/11.3");
}
END_TEST


/* ---- what the equations may be: as on the CPU ---- */
START_TEST(symbolic_lengths)
{
  static const int keys[] = { 1, 63, 64, 65, 130 };
  on((unsigned)_i);
  for (unsigned i = 0; i < 5; i++) {
    struct kir_bind b[2] = { { "I", (int64_t)(i * 11 % 40 + 1) }, { "J", keys[i] } };
    check((int)i, &(struct size){ 0, 0, 8, 9, 2 }, b, 2, QKV "x: f32[2, 1, 1, $J], " Y, "where I in 1..32768, J in 1..32768", SCORES MAPPED("s[n, o, i, j]*0.125 + x[n, 0, 0, j]") SOFTMAX VALUES);
    l.no_compiler = true;
  }
  struct kir_bind b[2] = { { "I", 8 }, { "J", 72 } };
  check(5, &(struct size){ 0, 24, 5, 16, 1 }, b, 1, QKV Y, "where I in 1..512", SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES);
  check(6, &(struct size){ 33, 0, 5, 16, 1 }, b + 1, 1, QKV Y, "where J in 1..32768", SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES);
  check(7, &(struct size){ 0, 0, 4, 4, 1 }, b, 2, QKV Y, "where I in 8..64 by 8, J in 8..32768 by 8", SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES);
}
END_TEST
START_TEST(masks)
{
  static const int some[][2] = { { 5, 1 }, { 33, 2 }, { 17, 70 } };
  on((unsigned)_i);
  for (int i = 0; i < 3; i++) every_form(FORMS(mask_forms), i, (struct size){ some[i][0], some[i][1], 6, 7, 2 }, i ? 0 : 3);
}
END_TEST
START_TEST(causal)
{
  static const int some[][2] = { { 5, 5 }, { 40, 150 }, { 70, 40 }, { 130, 130 } };
  on((unsigned)_i);
  for (int i = 0; i < 4; i++) {
    struct size z = { some[i][0], some[i][1], 6, 7, 1 };
    every_form(FORMS(causal_forms), i, z, i < 2);
    l.no_compiler = i > 0;
    check(i, &z, (struct kir_bind[]){ { "I", some[i][0] }, { "P", 5 * i } }, 2, "q: f32[I, 6], k: f32[I + P, 6], v: f32[I + P, 7], y: f32[I, 7] out", "where I in 5..1024, P in 0..1024",
          " s[i < I, j < I + P] = sum[d < 6] q[i, d]*k[j, d]\n t[i < I, j < I + P] = if([j <= i + P], s[i, j]*0.125, -3.4028235e38)\n"
          " m[i < I] = max[j < I + P] t[i, j]\n l[i < I] = sum[j < I + P] exp(t[i, j] - m[i])\n y[i < I, e < 7] = sum[j < I + P] exp(t[i, j] - m[i])/l[i]*v[j, e]\n");
  }
}
END_TEST
/* [b,h,s,d], keys stored transposed, all three in one array, grouped queries, merged rows, no axis of the result. */
START_TEST(layouts)
{
  on((unsigned)_i);
  for (int i = 0; i < 2; i++) {
    struct size z = { i ? 33 : 17, i ? 20 : 66, 8, 6, 3 };
    check(i, &z, NULL, 0, "q: f32[2, $H, $I, $D], k: f32[2, $H, $D, $J], v: f32[2, $H, $J, $E], y: f32[2, $I, $H, $E] out", "",
          " s[" ROWS ", j < $J] = sum[d < $D] k[n, o, d, j]*q[n, o, i, d]\n" MAPPED("s[n, o, i, j]*0.125") SOFTMAX
          " w[" ROWS ", j < $J] = p[n, o, i, j]*recip(l[n, o, i])\n y[n < 2, i < $I, o < $H, e < $E] = sum[j < $J] v[n, o, j, e]*w[n, o, i, j]\n");
    check(i, &z, NULL, 0, "x: f32[2, $I, 24*$H], y: f32[2, $I, 8*$H] out", "",
          " s[n < 2, o < $H, a < $I, b < $I] = sum[d < 8] x[n, a, 8*o + d]*x[n, b, 8*o + 8*$H + d]\n m[n < 2, o < $H, i < $I] = max[r < $I] s[n, o, i, r]\n"
          " l[n < 2, o < $H, f < $I] = sum[r < $I] exp(s[n, o, f, r] - m[n, o, f])\n"
          " z[n < 2, o < $H, g < $I, d < 8] = sum[r < $I] exp(s[n, o, g, r] - m[n, o, g])/l[n, o, g]*x[n, r, 8*o + 16*$H + d]\n"
          " y[n < 2, i < $I, c < 8*$H] = z[n, c/8, i, c % 8]*2.0\n");
    l.no_compiler = true;
    check(i, &z, NULL, 0, "q: f32[$I, 6, $D], k: f32[$J, 2, $D], v: f32[$J, 2, $E], y: f32[$I, 6, $E] out", "",
          " s[h < 6, i < $I, j < $J] = sum[d < $D] q[i, h, d]*k[j, h/3, d]\n m[h < 6, i < $I] = max[j < $J] s[h, i, j]\n l[h < 6, i < $I] = sum[j < $J] exp(s[h, i, j] - m[h, i])\n"
          " y[i < $I, h < 6, e < $E] = sum[j < $J] exp(s[h, i, j] - m[h, i])/l[h, i]*v[j, h/3, e]\n");
    check(i, &z, NULL, 0, "q: f32[2*$I, $D], k: f32[2*$J, $D], v: f32[2*$J, $E], y: f32[2*$I, $E] out", "", /* rows, and keys, of two sequences in one array */
          " s[n < 2, i < $I, j < $J] = sum[d < $D] q[$I*n + i, d]*k[$J*n + j, d]\n m[n < 2, i < $I] = max[j < $J] s[n, i, j]\n l[n < 2, i < $I] = sum[j < $J] exp(s[n, i, j] - m[n, i])\n"
          " y[n < 2, i < $I, e < $E] at [$I*n + i, e] = sum[j < $J] exp(s[n, i, j] - m[n, i])/l[n, i]*v[$J*n + j, e]\n");
    check(i, &z, NULL, 0, "q: f32[$I, $D], k: f32[$J, $D], v: f32[$J], y: f32[$I] out", "",
          " s[i < $I, j < $J] = sum[d < $D] q[i, d]*k[j, d]\n m[i < $I] = max[j < $J] s[i, j]\n l[i < $I] = sum[j < $J] exp(s[i, j] - m[i])\n"
          " y[i < $I] = sum[j < $J] exp(s[i, j] - m[i])/l[i]*v[j]\n");
  }
}
END_TEST
/* The division behind the product, NaN as 0, what follows the result, maps on the operands, 16-bit operands on ordinary units. */
START_TEST(forms)
{
  on((unsigned)_i);
  struct size z = { 21, 70, 16, 20, 2 }, narrow = { 21, 2, 16, 20, 2 }; /* narrow: some rows have no key */
  check(1, &z, NULL, 0, QKV "x: bool[2, $J], r: f32[2, $I, $H, $E], y: f32[2, $I, $H, $E] out, w: f32[2, $H, $E, $I] out", "",
        SCORES MAPPED("select(x[n, j], s[n, o, i, j]*0.125, -inf)") SOFTMAX " z[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]*v[n, j, $E*o + e]\n"
        " y[n < 2, i < $I, o < $H, e < $E] = z[n, o, i, e]/l[n, o, i] + r[n, i, o, e]\n w[n < 2, o < $H, e < $E, i < $I] = max(z[n, o, i, e]*(1.0/l[n, o, i]), 0.0)\n");
  check(2, &narrow, NULL, 0, QKV "x: bool[2, $I, $J], " Y, "",
        SCORES MAPPED("select(x[n, i, j], s[n, o, i, j]*0.125, -inf)") SOFTMAX " w[" ROWS ", j < $J] = p[n, o, i, j]/l[n, o, i]\n u[" ROWS ", j < $J] = select(isnan(w[n, o, i, j]), 0.0, w[n, o, i, j])\n"
        " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] u[n, o, i, j]*v[n, j, $E*o + e]\n");
  check(3, &narrow, NULL, 0, QKV "x: bool[2, $I, $J], y: f32[2, $H, $I, $E] out", "", /* never divided */
        SCORES MAPPED("select(x[n, i, j], s[n, o, i, j]*0.125, -inf)") SOFTMAX " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]*v[n, j, $E*o + e]\n");
  check(4, &z, NULL, 0, QKV "b: f32[$D*$H], c: f32[$E*$H], " Y, "",
        " s[" ROWS ", j < $J] = sum[d < $D] (q[n, i, $D*o + d]*0.35355338)*(k[n, j, $D*o + d]*0.35355338 + b[$D*o + d])\n" MAPPED("s[n, o, i, j]") SOFTMAX
        " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, i]*(v[n, j, $E*o + e] + c[$E*o + e])\n");
  check(5, &z, NULL, 0, "q: f16[2, $I, $D*$H], k: f32[2, $J, $D*$H], v: f16[2, $J, $E*$H], y: f16[2, $H, $I, $E] out", "",
        " s[" ROWS ", j < $J] = sum[d < $D] f32(q[n, i, $D*o + d])*k[n, j, $D*o + d]\n" MAPPED("s[n, o, i, j]*0.125") SOFTMAX
        " z[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, i]*f32(v[n, j, $E*o + e])\n y[n < 2, o < $H, i < $I, e < $E] = f16(z[n, o, i, e])\n");
}
END_TEST
/* Rescaling by more than exp can hold, NaN and infinities of scores. */
START_TEST(wide_scores)
{
  on((unsigned)_i);
  struct size z = { 20, 210, 2, 3, 1 };
  mapped(1, z, "", "s[n, o, i, j]*0.001 + 0.9*f32{j}");  /* every block has a larger maximum */
  l.no_compiler = true;
  mapped(2, z, "", "s[n, o, i, j]*0.001 - 0.9*f32{j}");
  mapped(3, z, "", "if([j >= 140], s[n, o, i, j]*0.001, -inf)");           /* the first block is all masked */
  mapped(4, z, "", "if([j >= 140], s[n, o, i, j]*0.001, -3.4028235e38)");
  mapped(5, z, "", "if([i + j == 131], inf, s[n, o, i, j])");
  mapped(6, z, "", "if([i + j == 7], nan, s[n, o, i, j])");
}
END_TEST

/* ---- records ---- */
static struct kir_sched *given;
static struct kir_sched *as_given(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  (void)a, (void)n, (void)t;
  return given;
}
static struct kir_sched *record(struct ir_arena *a, const char *text)
{
  struct ir_diags d = { .file = "record" };
  struct kir_sched *s = kir_sched_parse(a, &d, text, strlen(text));
  ck_assert_msg(s != NULL, "%s\n%s", d.first.s, text);
  return s;
}
#define TAKES "k = shared cp.async; v = shared cp.async }"
START_TEST(records)
{
  static const char *const good[] = { "sched chain { loops = grid n/1 o/1 i/32, pipe j/32 depth 3, warp i/16, lane i/4, lane j/4; tile = fma; " TAKES,
                                      "sched chain { loops = grid i/8, grid o/1 n/1, pipe j/16 depth 1, warp i/8, lane i/1, lane j/4; tile = fma; k = shared sync }",
                                      "sched chain { loops = grid i/64 o/1 n/1, pipe j/128 depth 2, warp i/32, lane i/8, lane j/16; tile = fma; " TAKES };
  static const char *const bad[] = { "sched chain { loops = grid n/1 o/1 i/32, pipe j/32 depth 3, warp i/16, lane i/4; tile = fma }",
                                     "sched chain { loops = grid n/1 o/1 i/32, pipe j/32 depth 3, warp i/16, lane i/4, lane j/8; tile = fma }",
                                     "sched chain { loops = grid n/1 i/32, pipe j/32 depth 3, warp i/16, lane i/4, lane j/4; tile = fma }",
                                     "sched chain { loops = grid n/1 o/2 i/32, pipe j/32 depth 3, warp i/16, lane i/4, lane j/4; tile = fma }",
                                     "sched chain { loops = grid n/1 o/1 i/40, pipe j/32 depth 3, warp i/16, lane i/4, lane j/4; tile = fma }",
                                     "sched chain { loops = grid n/1 o/1 i/32, pipe d/32 depth 3, warp i/16, lane i/4, lane j/4; tile = fma }",
                                     "sched chain { loops = grid n/1 o/1 i/32, for j/32, warp i/16, lane i/4, lane j/4; tile = fma }",
                                     "sched chain { loops = grid n/1 o/1 i/32, pipe j/32 depth 3, warp i/16; tile = mma.m16n8k16.f16.f32 }",
                                     "sched chain { loops = grid n/1 o/1 i/32, pipe j/32 depth 3, warp i/16, lane i/4, lane j/4; tile = fma.v8 }",
                                     "sched chain { loops = pipe j/32 depth 3, grid n/1 o/1 i/32, warp i/16, lane i/4, lane j/4; tile = fma }" };
  const struct cg_skeleton sk = { "chain", as_given, cg_skeleton_chain.lower };
  struct size z = { 21, 53, 6, 9, 2 };
  char text[4096];
  on(1);
  for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
    struct ir_arena *a = ir_arena_create();
    given = record(a, good[i]);
    l.sk = &sk;
    mapped((int)i, z, "", "if([j <= i + 9], s[n, o, i, j]*0.125, -inf)");
    l.sk = &cg_skeleton_chain;
    ir_arena_destroy(a);
  }
  fill_in(text, sizeof text, "nest @t(" QKV Y ") {\n" SCORES MAPPED("s[n, o, i, j]*0.125") SOFTMAX VALUES "}", &z);
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct ir_arena *a = ir_arena_create();
    const char *why = NULL;
    ck_assert_msg(!cg_skeleton_chain.lower(a, lw_parse(a, text), record(a, bad[i]), l.t, &why) && why, "%s", bad[i]);
    ir_arena_destroy(a);
  }
}
END_TEST
/* Which nests get which units, and how many rows: BERT's 12 heads of 128 rows are 48 blocks; longest rows first under a causal mask; a row alone is not for this form. */
START_TEST(chosen)
{
#define HALF_NEST(TI, T) \
  "nest @a(q: f16[1, %d, 12, 64], k: f16[1, %d, 12, 64], v: " TI "[1, %d, 12, 64], y: f16[1, 12, %d, 64] out) { s[o < 12, i < %d, j < %d] = sum[d < 64] f32(q[0, i, o, d])*f32(k[0, j, o, d])" \
  " t[o < 12, i < %d, j < %d] = " T " m[o < 12, i < %d] = max[j < %d] t[o, i, j] p[o < 12, i < %d, j < %d] = exp(t[o, i, j] - m[o, i]) l[o < 12, i < %d] = sum[j < %d] p[o, i, j]" \
  " r[o < 12, i < %d, e < 64] = sum[j < %d] p[o, i, j]/l[o, i]*f32(v[0, j, o, e]) y[o < 12, i < %d, e < 64] at [0, o, i, e] = f16(r[o, i, e]) }"
  static const struct { const char *nest; int i, j; const char *want; } v[] = {
    { HALF_NEST("f16", "s[o, i, j]*0.125"), 128, 128, "grid o/1 i/32, pipe j/64 depth 2, warp i/16; tile = mma.m16n8k16.f16.f32; " TAKES },
    { HALF_NEST("f16", "if([j <= i], s[o, i, j]*0.125, -inf)"), 1024, 1024, "grid i/64 o/1, pipe j/64 depth 2, warp i/16; tile = mma.m16n8k16.f16.f32; " TAKES },
    { HALF_NEST("f16", "s[o, i, j]*0.125"), 16, 50, "grid o/1 i/16, pipe j/64 depth 1, warp i/16; tile = mma.m16n8k16.f16.f32; " TAKES },
    { HALF_NEST("f32", "s[o, i, j]*0.125"), 128, 128, "grid o/1 i/32, pipe j/64 depth 2, warp i/16, lane i/4, lane j/8; tile = fma; " TAKES },
    { HALF_NEST("f16", "s[o, i, j]*0.125"), 1, 1024, NULL },
  };
  on(1);
  for (unsigned n = 0; n < sizeof v / sizeof *v; n++) {
    struct ir_arena *a = ir_arena_create();
    char text[2048], want[512];
    int i = v[n].i, j = v[n].j;
    snprintf(text, sizeof text, v[n].nest, i, j, j, i, i, j, i, j, i, j, i, j, i, j, i, j, i);
    struct kir_sched *s = cg_skeleton_chain.schedule(a, lw_parse(a, text), l.t);
    ck_assert_msg(!s == !v[n].want, "%s", text);
    if (s) {
      struct ir_buf b = { 0 };
      kir_sched_print(&b, s);
      snprintf(want, sizeof want, "sched chain { loops = %s\n", v[n].want);
      ck_assert_str_eq(b.s, want);
      ir_buf_deinit(&b);
    }
    ir_arena_destroy(a);
  }
}
END_TEST

static void add(TCase *t)
{
  tcase_add_loop_test(t, odd_sizes, 0, TARGETS);
  tcase_add_loop_test(t, matrix_units, 0, 2);
  tcase_add_loop_test(t, symbolic_lengths, 0, TARGETS);
  tcase_add_loop_test(t, masks, 0, TARGETS);
  tcase_add_loop_test(t, causal, 0, TARGETS);
  tcase_add_loop_test(t, layouts, 0, TARGETS);
  tcase_add_loop_test(t, forms, 0, TARGETS);
  tcase_add_loop_test(t, wide_scores, 0, TARGETS);
  tcase_add_test(t, records);
  tcase_add_test(t, chosen);
}
int main(void) { return lw_main("chain_lanes", add); }
