/* chain: attention in the forms that models have it equals its evaluation, for odd sizes, layouts and masks.
 *
 * Tolerance, relative to the largest result: a score is a sum of d products, each rounded to 2^-24; its error, at most d*2^-24*max|q|*max|k|, is the relative
 * error of exp and so of the weight. Values here are multiples of 1/64 up to 2 and d at most 80, times a scale of 1/8: 80*4/8*2^-24 = 2.4e-6. Sums of up to 400
 * weights and rescaling by exp (1 ulp each, a dozen blocks) add about 1e-6; the evaluation itself rounds each statement. */
#include "tests/unit/codegen/lowering.h"

extern const struct cg_skeleton cg_skeleton_chain;
static struct lowering l = { &cg_skeleton_chain, .tolerance = 4e-6 };
static void on(int i) { l.t = cg_target_at((unsigned)i); }

/* The maps over the scores and the softmax in pieces, over one batch and head axis: SCORES gives s[n, o, i, j]. */
#define SOFTMAX(T, H, I, J)                                                                                                                                    \
  " t[n < 2, o < " H ", i < " I ", j < " J "] = " T "\n m[n < 2, o < " H ", i < " I "] = max[j < " J "] t[n, o, i, j]\n"                                       \
  " p[n < 2, o < " H ", i < " I ", j < " J "] = exp(t[n, o, i, j] - m[n, o, i])\n l[n < 2, o < " H ", i < " I "] = sum[j < " J "] p[n, o, i, j]\n"
static const int sizes[] = { 1, 2, 5, 13, 14, 15, 16, 17, 31, 32, 33, 45, 64, 127 };
enum { SIZES = sizeof sizes / sizeof *sizes };

static void attention(int seed, int h, int i, int j, int d, int e, const char *extra, const char *map)
{
  char text[4096];
  snprintf(text, sizeof text,
           "nest @t(q: f32[2, %d, %d], k: f32[2, %d, %d], v: f32[2, %d, %d], %sy: f32[2, %d, %d, %d] out) {\n"
           " s[n < 2, o < %d, i < %d, j < %d] = sum[d < %d] q[n, i, o*%d + d]*k[n, j, o*%d + d]\n"
           " t[n < 2, o < %d, i < %d, j < %d] = %s\n m[n < 2, o < %d, i < %d] = max[j < %d] t[n, o, i, j]\n"
           " p[n < 2, o < %d, i < %d, j < %d] = exp(t[n, o, i, j] - m[n, o, i])\n l[n < 2, o < %d, i < %d] = sum[j < %d] p[n, o, i, j]\n"
           " y[n < 2, o < %d, i < %d, e < %d] = sum[j < %d] p[n, o, i, j]/l[n, o, i]*v[n, j, o*%d + e] }",
           i, h * d, j, h * d, j, h * e, extra, h, i, e, h, i, j, d, d, d, h, i, j, map, h, i, j, h, i, j, h, i, j, h, i, e, j, e);
  lw_check(&l, (uint64_t)seed, NULL, 0, "%s", text);
}
START_TEST(odd_sizes)
{
  on(_i);
  for (int i = 0; i < SIZES; i++) {
    attention(i, 2, sizes[i], sizes[SIZES - 1 - i], 8, 5 + i, "", "s[n, o, i, j]*0.125");
    attention(i, 1, sizes[SIZES - 1 - i], sizes[i], 1 + i, 16, "", "s[n, o, i, j]/8.0");
  }
  attention(0, 1, 33, 200, 80, 70, "", "s[n, o, i, j]*0.125");
  attention(1, 1, 3, 384, 16, 16, "", "s[n, o, i, j]*0.25");
}
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, odd_sizes, 0, 3);
}
int main(void) { return lw_main("chain", add); }
