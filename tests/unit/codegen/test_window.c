/* window: pooling, depthwise convolution and other reductions that move along with the result equal their evaluation. */
#include "tests/unit/codegen/lowering.h"

extern const struct cg_skeleton cg_skeleton_window;
static struct lowering l = { &cg_skeleton_window };
static void on(int i) { l.t = cg_target_at((unsigned)i); }

/* kernel, stride, padding, input size */
static const struct {
  int k, s, p, h;
} forms[] = { { 3, 2, 1, 7 }, { 2, 2, 0, 8 }, { 3, 1, 1, 5 }, { 3, 2, 0, 9 }, { 5, 1, 2, 17 }, { 1, 1, 0, 3 }, { 3, 2, 1, 1 }, { 3, 2, 1, 33 } };
enum { FORMS = sizeof forms / sizeof *forms };
static int out_size(int f, int in) { return (in + 2 * forms[f].p - forms[f].k) / forms[f].s + 1; }

START_TEST(max_pooling_blocked)
{
  char x[400], y[400];
  on(_i);
  for (int f = 0; f < FORMS; f++) {
    int h = forms[f].h, w = h + f % 3, oh = out_size(f, h), ow = out_size(f, w), c = f % 2 ? 16 : 19, k = forms[f].k, s = forms[f].s, p = forms[f].p;
    struct kir_bind b = { "N", 1 + f % 2 };
    lw_blocked(x, sizeof x, "N", c, h, w, f % 3);
    lw_blocked(y, sizeof y, "N", c, oh, ow, (f + 1) % 3);
    lw_check(&l, f, &b, 1,
             "nest @t(x: f32%s zero slack 2, y: f32%s out zero slack 2) where N in 1..64 { y[n < N, o < %d, h < %d, w < %d] = max[i < %d, j < %d] x[n, o, %d*h "
             "+ i - %d, %d*w + j - %d] else -inf }",
             x, y, c, oh, ow, k, k, s, p, s, p);
  }
}
END_TEST
START_TEST(max_pooling_rows)
{
  on(_i);
  for (int f = 0; f < FORMS; f++) {
    int h = forms[f].h, w = 2 * h + f % 3, oh = out_size(f, h), ow = out_size(f, w), k = forms[f].k, s = forms[f].s, p = forms[f].p;
    struct kir_bind b = { "N", 1 + f % 2 };
    lw_check(&l, f, &b, 1,
             "nest @t(x: f32[N, 3, %d, %d], y: f32[N, 3, %d, %d] out) where N in 1..64 { y[n < N, o < 3, h < %d, w < %d] = max[i < %d, j < %d] x[n, o, %d*h + "
             "i - %d, %d*w + j - %d] else -inf }",
             h, w, oh, ow, oh, ow, k, k, s, p, s, p);
  }
}
END_TEST
START_TEST(depthwise_convolution)
{
  char x[400], y[400];
  on(_i);
  for (int f = 0; f < FORMS; f++) {
    int h = forms[f].h, w = h + f % 3, oh = out_size(f, h), ow = out_size(f, w), c = f % 2 ? 32 : 19, k = forms[f].k, s = forms[f].s, p = forms[f].p;
    struct kir_bind b = { "N", 1 + f % 2 };
    lw_blocked(y, sizeof y, "N", c, oh, ow, (f + 1) % 3);
    lw_blocked(x, sizeof x, "N", c, h, w, p); /* the halo serves */
    lw_check(&l, f, &b, 1,
             "nest @t(x: f32%s zero slack 2, w: f32[%d, 1, %d, %d] const, b: f32[%d], y: f32%s out zero slack 2) where N in 1..64 {\n"
             " t[n < N, o < %d, h < %d, w < %d] = sum[i < %d, j < %d] x[n, o, %d*h + i - %d, %d*w + j - %d]*w[o, 0, i, j]\n y[n < N, o < %d, h < %d, w < %d] = "
             "max(t[n, o, h, w] + b[o], 0.0) }",
             x, c, k, k, c, y, c, oh, ow, k, k, s, p, s, p, c, oh, ow);
    lw_blocked(x, sizeof x, "N", c, h, w, 0); /* guards */
    lw_check(&l, f, &b, 1,
             "nest @t(x: f32%s slack 2, w: f32[%d, 1, %d, %d] const, y: f32%s out zero slack 2) where N in 1..64 {\n"
             " y[n < N, o < %d, h < %d, w < %d] = sum[i < %d, j < %d] (x[n, o, %d*h + i - %d, %d*w + j - %d] else 0.0)*w[o, 0, i, j] }",
             x, c, k, k, y, c, oh, ow, k, k, s, p, s, p);
  }
}
END_TEST
START_TEST(average_pooling)
{
  char x[400], y[400];
  on(_i);
  for (int f = 0; f < FORMS; f++) {
    int h = forms[f].h, w = h + f % 3, oh = out_size(f, h), ow = out_size(f, w), k = forms[f].k, s = forms[f].s, p = forms[f].p;
    lw_blocked(x, sizeof x, "2", 16, h, w, 1);
    lw_blocked(y, sizeof y, "2", 16, oh, ow, 1);
    lw_check(&l, f, NULL, 0,
             "nest @t(x: f32%s zero slack 2, y: f32%s out zero slack 2) { y[n < 2, o < 16, h < %d, w < %d] = (sum[i < %d, j < %d] x[n, o, %d*h + i - %d, %d*w "
             "+ j - %d] else 0.0)"
             "/f32{(min(%d*h - %d + %d, %d) - max(%d*h - %d, 0))*(min(%d*w - %d + %d, %d) - max(%d*w - %d, 0))} }",
             x, y, oh, ow, k, k, s, p, s, p, s, p, k, h, s, p, s, p, k, w, s, p);
  }
}
END_TEST
START_TEST(global_pooling)
{
  char x[400];
  on(_i);
  for (int c = 3; c < 70; c += 16)
    for (int h = 1; h < 9; h += 3) {
      struct kir_bind b = { "N", 1 + h % 2 };
      lw_blocked(x, sizeof x, "N", c, h, h + 1, 0);
      lw_check(&l, c, &b, 1,
               "nest @t(x: f32%s slack 2, y: f32[N, %d, 1, 1] out) where N in 1..64 { t[n < N, o < %d] = sum[i < %d, j < %d] x[n, o, i, j]\n y[n < N, o < %d] "
               "at [n, o, 0, 0] = t[n, o]*0.25 }",
               x, c, c, h, h + 1, c);
    }
}
END_TEST
/* two window results in one expression; a sum of squares over neighbouring channels (local response); integers; half precision */
START_TEST(others)
{
  on(_i);
  for (int n = 4; n < 40; n += 11) {
    lw_check(&l, 1, NULL, 0,
             "nest @t(x: f32[3, %d], y: f32[3, %d] out) { y[a < 3, w < %d] = (max[j < 3] x[a, w + j - 1] else -inf) - (min[j < 3] x[a, w + j - 1] else inf) }",
             n, n, n);
    lw_check(&l, 2, NULL, 0,
             "nest @t(x: f32[1, 7, 3, %d], y: f32[1, 7, 3, %d] out) { t[o < 7, h < 3, w < %d] = sum[j < 5] (x[0, o + j - 2, h, w] else 0.0)*(x[0, o + j - 2, "
             "h, w] else 0.0)\n"
             " y[o < 7, h < 3, w < %d] at [0, o, h, w] = x[0, o, h, w]*pow(t[o, h, w]*0.0001 + 1.0, -0.75) }",
             n, n, n, n);
    lw_check(&l, 3, NULL, 0, "nest @t(x: i8[2, %d], y: i32[2, %d] out) { y[a < 2, w < %d] = sum[j < 4] i32(x[a, w + j - 1] else 0) }", n, n, n);
    lw_check(&l, 4, NULL, 0, "nest @t(x: f16[2, %d], y: f16[2, %d] out) { y[a < 2, w < %d] = max[j < 3] x[a, w + j - 1] else -inf }", n, n, n);
  }
}
END_TEST
/* Taps apart, between which nothing is read. */
START_TEST(dilations)
{
  static const struct { int k, s, d, p, h, c; } some[] = { { 3, 1, 2, 2, 9, 19 }, { 3, 2, 3, 3, 17, 16 }, { 2, 3, 4, 1, 13, 33 }, { 5, 1, 2, 0, 11, 7 } };
  char x[400], y[400];
  on(_i);
  for (unsigned f = 0; f < sizeof some / sizeof *some; f++) {
    int k = some[f].k, s = some[f].s, d = some[f].d, p = some[f].p, c = some[f].c, h = some[f].h, w = h + 3;
    int oh = (h + 2 * p - d * (k - 1) - 1) / s + 1, ow = (w + 2 * p - d * (k - 1) - 1) / s + 1;
    struct kir_bind b = { "N", 1 + (int)f % 2 };
    lw_blocked(x, sizeof x, "N", c, h, w, (int)f % 2);
    lw_blocked(y, sizeof y, "N", c, oh, ow, (int)(f + 1) % 2);
    lw_check(&l, f, &b, 1,
             "nest @t(x: f32%s zero slack 2, y: f32%s out zero slack 2) where N in 1..64 { y[n < N, o < %d, h < %d, w < %d] = max[i < %d, j < %d] x[n, o, %d*h "
             "+ %d*i - %d, %d*w + %d*j - %d] else -inf }",
             x, y, c, oh, ow, k, k, s, d, p, s, d, p);
    lw_check(&l, f, &b, 1,
             "nest @t(x: f32[N, %d, %d, %d], w: f32[%d, 1, %d, %d] const, y: f32[N, %d, %d, %d] out) where N in 1..64 {\n"
             " y[n < N, o < %d, h < %d, w < %d] = sum[i < %d, j < %d] (x[n, o, %d*h + %d*i - %d, %d*w + %d*j - %d] else 0.0)*w[o, 0, i, j] }",
             c, h, w, c, k, k, c, oh, ow, c, oh, ow, k, k, s, d, p, s, d, p);
  }
}
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, max_pooling_blocked, 0, 3);
  tcase_add_loop_test(t, max_pooling_rows, 0, 3);
  tcase_add_loop_test(t, depthwise_convolution, 0, 3);
  tcase_add_loop_test(t, average_pooling, 0, 3);
  tcase_add_loop_test(t, global_pooling, 0, 3);
  tcase_add_loop_test(t, others, 0, 3);
  tcase_add_loop_test(t, dilations, 0, 3);
}
int main(void) { return lw_main("window", add); }
