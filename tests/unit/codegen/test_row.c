/* row: softmax, norms, means and the like, along the last axes and along an inner one, equal their evaluation. */
#include "tests/unit/codegen/lowering.h"

extern const struct cg_skeleton cg_skeleton_row;
static struct lowering l = { &cg_skeleton_row };
static void on(int i) { l.t = cg_target_at((unsigned)i); }
static const int sizes[] = { 1, 3, 7, 15, 16, 17, 31, 33, 64, 65, 127, 1000 };
enum { SIZES = sizeof sizes / sizeof *sizes };

#define SOFTMAX(R, C)                                                                                                                                          \
  " m[r < " R "] = max[c < " C "] x[r, c]\n p[r < " R ", c < " C "] = exp(x[r, c] - m[r])\n l[r < " R "] = sum[c < " C "] p[r, c]\n y[r < " R ", c < " C       \
  "] = p[r, c]/l[r] }"
START_TEST(softmax)
{
  on(_i);
  for (int i = 0; i < SIZES; i++) {
    int n = sizes[i];
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[5, %d], y: f32[5, %d] out) {" SOFTMAX("5", "%d"), n, n, n, n, n, n);
    lw_check(&l, i, (struct kir_bind[]){ { "R", n } }, 1, "nest @t(x: f32[R, 37], y: f32[R, 37] out) where R in 1..32768 {" SOFTMAX("R", "37"));
    lw_check(&l, i, (struct kir_bind[]){ { "R", 3 }, { "C", n } }, 2,
             "nest @t(x: f32[R, C], y: f32[R, C] out) where R in 1..32768, C in 1..1024 {" SOFTMAX("R", "C"));
    lw_check(&l, i, (struct kir_bind[]){ { "R", 3 }, { "C", n } }, 2,
             "nest @t(x: f32[R, C], y: f32[R, C] out) where R in 1..32768, C in 1..100000000 {" SOFTMAX("R", "C"));
    if (n % 4 == 0)
      lw_check(&l, i, (struct kir_bind[]){ { "R", 3 }, { "C", n } }, 2,
               "nest @t(x: f32[R, C], y: f32[R, C] out) where R in 1..32768, C in 4..1024 by 4 {" SOFTMAX("R", "C"));
  }
}
END_TEST
START_TEST(log_softmax)
{
  on(_i);
  for (int i = 0; i < SIZES; i++)
    lw_check(&l, i, NULL, 0,
             "nest @t(x: f32[3, %d], y: f32[3, %d] out) { m[r < 3] = max[c < %d] x[r, c]\n l[r < 3] = sum[c < %d] exp(x[r, c] - m[r])\n y[r < 3, c < %d] = "
             "x[r, c] - m[r] - log(l[r]) }",
             sizes[i], sizes[i], sizes[i], sizes[i], sizes[i]);
}
END_TEST
START_TEST(layer_norm)
{
  on(_i);
  for (int i = 0; i < SIZES; i++) {
    int n = sizes[i];
    lw_check(
        &l, i, (struct kir_bind[]){ { "R", 1 + i } }, 1,
        "nest @t(x: f32[R, 2, %d], g: f32[2, %d], b: f32[2, %d], y: f32[R, 2, %d] out) where R in 1..4096 {\n m[r < R] = sum[a < 2, c < %d] x[r, a, c]*%.9g\n"
        " d[r < R, a < 2, c < %d] = x[r, a, c] - m[r]\n v[r < R] = sum[a < 2, c < %d] d[r, a, c]*d[r, a, c]\n y[r < R, a < 2, c < %d] = d[r, a, "
        "c]/sqrt(v[r]*%.9g + 0.00001)*g[a, c] + b[a, c] }",
        n, n, n, n, n, 0.5 / n, n, n, n, 0.5 / n);
  }
}
END_TEST
START_TEST(inner_axis)
{
  on(_i);
  for (int i = 0; i < SIZES - 1; i++) {
    int n = sizes[i];
    lw_check(&l, i, NULL, 0,
             "nest @t(x: f32[2, 5, 3, %d], y: f32[2, 5, 3, %d] out) {\n m[n < 2, h < 3, w < %d] = max[c < 5] x[n, c, h, w]\n p[n < 2, c < 5, h < 3, w < %d] = "
             "exp(x[n, c, h, w] - m[n, h, w])\n"
             " l[n < 2, h < 3, w < %d] = sum[c < 5] p[n, c, h, w]\n y[n < 2, c < 5, h < 3, w < %d] = p[n, c, h, w]/l[n, h, w] }",
             n, n, n, n, n, n);
  }
}
END_TEST
START_TEST(reductions)
{
  on(_i);
  l.tolerance = 4e-6;
  for (int i = 0; i < SIZES; i++) {
    int n = sizes[i];
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[3, %d], y: f32[3] out) { y[r < 3] = (sum[c < %d] x[r, c])*0.125 }", n, n);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[3, 7, %d], y: f32[3, 1, 1] out) { y[r < 3] at [r, 0, 0] = sum[a < 7, c < %d] x[r, a, c]*x[r, a, c] }", n, n);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[%d], y: f32[] out) { y[] = (max[c < %d] x[c]) - (min[c < %d] x[c]) }", n, n, n);
    lw_check(&l, i, NULL, 0, "nest @t(x: i32[2, %d], y: i32[2] out, z: i64[2] out) { y[r < 2] = max[c < %d] x[r, c]\n z[r < 2] = sum[c < %d] i64(x[r, c]) }", n,
             n, n);
    lw_check(&l, i, NULL, 0,
             "nest @t(x: f16[2, %d], y: f16[2] out, z: bool[2] out) { y[r < 2] = sum[c < %d] x[r, c]\n z[r < 2] = and[c < %d] lt(x[r, c], f16{9}) }", n, n, n);
    /* the first place of the largest: argmax */
    lw_check(&l, i, NULL, 0,
             "nest @t(x: f32[4, %d], y: i64[4] out) { m[r < 4] = max[c < %d] x[r, c]\n y[r < 4] = min[c < %d] select(eq(x[r, c], m[r]), i64{c}, i64{%d}) }", n,
             n, n, n);
  }
  l.tolerance = 0;
}
END_TEST
/* ---- a warp for a row ---- */
static const struct cg_target gpu = { .name = "test:gpu", .vec_lanes = 4, .n_vregs = 255, .fma = true, .cores = 8, .warps = 8, .lanes = 32 };
START_TEST(lanes)
{
  struct lowering g = { &cg_skeleton_row, .t = &gpu, .no_native = true };
  for (int i = 0; i < SIZES; i++) {
    int n = sizes[i];
    lw_check(&g, i, (struct kir_bind[]){ { "R", i % 4 * 4 + 1 }, { "C", n } }, 2,
             "nest @t(x: f32[R, C], y: f32[R, C] out) where R in 1..32768, C in 1..1024 {" SOFTMAX("R", "C"));
    lw_check(&g, i, (struct kir_bind[]){ { "R", i % 3 * 7 + 1 }, { "C", n / 4 * 4 + 4 } }, 2,
             "nest @t(x: f32[R, C] align 64, y: f32[R, C] out align 64) where R in 1..32768, C in 4..1024 by 4 {" SOFTMAX("R", "C"));
    lw_check(&g, i, NULL, 0,
             "nest @t(x: f32[2, 3, %d], g: f32[%d], b: f32[%d], y: f32[2, 3, %d] out) {\n m[q < 2, r < 3] = (sum[c < %d] x[q, r, c])*%.9g\n"
             " d[q < 2, r < 3, c < %d] = x[q, r, c] - m[q, r]\n v[q < 2, r < 3] = sum[c < %d] d[q, r, c]*d[q, r, c]\n y[q < 2, r < 3, c < %d] = d[q, r, "
             "c]/sqrt(v[q, r]*%.9g + 0.00001)*g[c] + b[c] }",
             n, n, n, n, n, 1.0 / n, n, n, n, 1.0 / n);
    lw_check(&g, i, NULL, 0, "nest @t(x: f16[9, %d], y: f16[9] out) { y[r < 9] = (sum[c < %d] x[r, c])*f16{0.125} }", n, n);
    lw_check(&g, i, NULL, 0,
             "nest @t(x: f32[9, %d], y: i64[9] out) { m[r < 9] = max[c < %d] x[r, c]\n y[r < 9] = min[c < %d] select(eq(x[r, c], m[r]), i64{c}, i64{%d}) }", n,
             n, n, n);
  }
}
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, softmax, 0, 3);
  tcase_add_loop_test(t, log_softmax, 0, 3);
  tcase_add_loop_test(t, layer_norm, 0, 3);
  tcase_add_loop_test(t, inner_axis, 0, 3);
  tcase_add_loop_test(t, reductions, 0, 3);
  tcase_add_test(t, lanes);
}
int main(void) { return lw_main("row", add); }
