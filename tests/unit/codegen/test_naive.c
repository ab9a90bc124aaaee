/* naive: any nest, in scalar loops, equals the nest's evaluation. */
#include "tests/unit/codegen/lowering.h"

extern const struct cg_skeleton cg_skeleton_naive;
static struct lowering l = { &cg_skeleton_naive };
static void on(int i) { l.t = cg_target_at((unsigned)i); }

START_TEST(maps)
{
  on(_i);
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32[3, 5], b: f32[5], y: f32[3, 5] out) { y[r < 3, c < 5] = max(x[r, c] + b[c], 0.0)*2.0 }");
  for (int r = 1; r < 9; r += 3)
    lw_check(&l, 2, (struct kir_bind[]){ { "R", r } }, 1,
             "nest @t(x: f32[R, 7], y: f32[7, R] out) where R in 1..100 { y[c < 7, r < R] = exp(x[r, c]) - x[r, 6 - c] }");
  lw_check(&l, 3, NULL, 0, "nest @t(x: i32[13], y: u8[13] out, z: bool[13] out) { y[i < 13] = u8(x[i]*x[i])\n z[i < 13] = lt(x[i], i32{2}) }");
  lw_check(&l, 4, NULL, 0, "nest @t(x: f32[], y: f32[] out) { y[] = x[]*3.0 }");
  lw_check(&l, 5, NULL, 0, "nest @t(x: f16[4, 9], y: f16[4, 9] out) { y[i < 4, j < 9] = x[i, j]*x[3 - i, j] }");
}
END_TEST
START_TEST(paddings_and_selects)
{
  on(_i);
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32[4, 6], y: f32[7, 9] out) { y[i < 7, j < 9] = x[i - 2, j - 1] else -1.5 }");
  lw_check(&l, 2, NULL, 0, "nest @t(x: f32[4, 6], z: f32[3, 6], y: f32[7, 6] out) { y[i < 7, j < 6] = if([i <= 3], x[i, j], z[i - 4, j]) }");
  lw_check(&l, 3, NULL, 0, "nest @t(y: i64[5, 5] out) { y[i < 5, j < 5] = if([j <= i], i64{i*10 + j}, i64{-1}) }");
}
END_TEST
START_TEST(reductions)
{
  on(_i);
  lw_check(&l, 1, NULL, 0, "nest @t(A: f32[5, 7], B: f32[7, 3], C: f32[5, 3] out) { C[m < 5, n < 3] = sum[k < 7] A[m, k]*B[k, n] }");
  lw_check(&l, 2, (struct kir_bind[]){ { "R", 3 }, { "C", 11 } }, 2,
           "nest @t(x: f32[R, C], y: f32[R, C] out) where R in 1..9, C in 1..99 { m[r < R] = max[c < C] x[r, c]\n p[r < R, c < C] = exp(x[r, c] - m[r])\n"
           " l[r < R] = sum[c < C] p[r, c]\n y[r < R, c < C] = p[r, c]/l[r] }");
  lw_check(&l, 3, NULL, 0,
           "nest @t(x: f32[2, 5, 3], y: f32[2, 5, 3] out) { m[a < 2, b < 3] = max[c < 5] x[a, c, b]\n y[a < 2, c < 5, b < 3] = x[a, c, b] - m[a, b] }");
  lw_check(&l, 4, NULL, 0, "nest @t(x: i8[4, 6], y: i8[4] out, z: i8[6] out) { y[i < 4] = min[j < 6] x[i, j]\n z[j < 6] = prod[i < 4] x[i, j] }");
  lw_check(&l, 5, NULL, 0, "nest @t(x: bool[4, 6], y: bool[4] out, z: bool[6] out) { y[i < 4] = and[j < 6] x[i, j]\n z[j < 6] = or[i < 4] x[i, j] }");
  lw_check(
      &l, 6, NULL, 0,
      "nest @t(x: f32[2, 3, 9, 9], y: f32[2, 3, 4, 5] out) { y[n < 2, c < 3, h < 4, w < 5] = max[i < 3, j < 3] x[n, c, 2*h + i - 1, 2*w + j - 1] else -inf }");
}
END_TEST
START_TEST(halos)
{
  char x[400], y[400];
  on(_i);
  for (int n = 1; n <= 3; n += 2)
    lw_check(&l, 1, (struct kir_bind[]){ { "N", n } }, 1,
             "nest @t(x: f32%s zero slack 2, y: f32%s out zero slack 2) where N in 1..64 { y[n < N, o < 19, h < 5, w < 4] = x[n, o, h, w]*2.0 }",
             lw_blocked(x, sizeof x, "N", 19, 5, 4, 0), lw_blocked(y, sizeof y, "N", 19, 5, 4, 2));
  lw_check(&l, 2, NULL, 0, "nest @t(x: f32%s zero slack 2, y: f32%s out zero slack 2) { y[o < 19] at [0, o, 0, 0] = sum[i < 3, j < 3] x[0, o, i - 1, j - 1] }",
           lw_blocked(x, sizeof x, "1", 19, 1, 1, 1), lw_blocked(y, sizeof y, "1", 19, 1, 1, 1));
}
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, maps, 0, 3);
  tcase_add_loop_test(t, paddings_and_selects, 0, 3);
  tcase_add_loop_test(t, reductions, 0, 3);
  tcase_add_loop_test(t, halos, 0, 3);
}
int main(void) { return lw_main("naive", add); }
