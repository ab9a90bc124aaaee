/* Functions of the processor: `distinct` over every 16-bit float against their values by IEEE 754's definition. */
#include "runtime/core/host.h"
#include "tests/unit/tap.h"
#include <math.h>
#include <stdlib.h>

enum { N = 1 << 16 };
enum elem {
#define ELEM(name, bits, class) E_##name,
#include "runtime/core/elem.def"
#undef ELEM
};
static double value_of(unsigned h, int exponent_bits)
{
  int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1, e = (int)(h >> fraction_bits) & top, f = (int)h & ((1 << fraction_bits) - 1);
  double x = e == top ? (f ? NAN : INFINITY) : e ? ldexp((1 << fraction_bits) + f, e - bias - fraction_bits) : ldexp(f, 1 - bias - fraction_bits);
  return h >> 15 ? -x : x;
}
START_TEST(halves_are_sorted_by_value)
{
  int exponent_bits = _i ? 8 : 5;
  uint16_t *x = malloc(N * sizeof *x);
  int64_t *order = malloc(3 * N * sizeof *order), *inverse = order + N, *counts = inverse + N, groups = 0, nans = 0;
  ck_assert_ptr_nonnull(x);
  ck_assert_ptr_nonnull(order);
  for (unsigned i = 0; i < N; i++) {
    x[i] = (uint16_t)(i * 40503u);                 /* odd: each of them once */
    nans += isnan(value_of(x[i], exponent_bits));
  }
  massrt_host_fn[MASSRT_H_distinct]((union massrt_word[]){ { .p = x }, { .p = order }, { .p = inverse }, { .p = counts }, { .p = &groups }, { .i = N }, { .i = 1 },
                                                           { .i = _i ? E_bf16 : E_f16 }, { .i = 1 } }, 0, 1, NULL);
  ck_assert_int_eq(groups, N - nans);              /* one less for the two zeros, one more for all of the NaNs */
  for (int64_t g = 0; g < groups; g++) {
    double v = value_of(x[order[g]], exponent_bits);
    ck_assert_int_eq(counts[g], v == 0 ? 2 : isnan(v) ? nans : 1);
    if (g) ck_assert(value_of(x[order[g - 1]], exponent_bits) < v || (isnan(v) && g == groups - 1));
  }
  for (unsigned i = 0; i < N; i++) {
    double v = value_of(x[i], exponent_bits), w = value_of(x[order[inverse[i]]], exponent_bits);
    ck_assert(v == w || (isnan(v) && isnan(w)));
  }
  free(x);
  free(order);
}
END_TEST
int main(void)
{
  Suite *s = suite_create("core_host");
  TCase *c = tcase_create("core_host");
  tcase_add_loop_test(c, halves_are_sorted_by_value, 0, 2);
  suite_add_tcase(s, c);
  return tap_run(s);
}
