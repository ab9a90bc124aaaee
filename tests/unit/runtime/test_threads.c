/* the pool: every task once, ranges in order, scratch of its own, sleeping workers wake; element types; processor levels */
#include "runtime/internal.h"
#include "tests/unit/tap.h"
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TASKS = 100 };
struct seen { atomic_int times[TASKS]; atomic_int ranges; void *_Atomic scratch[TASKS]; };
static void mark(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  struct seen *s = a[0].p;
  atomic_fetch_add(&s->ranges, 1);
  *(int64_t *)scratch = t0;
  for (int64_t t = t0; t < t1; t++) {
    atomic_fetch_add(&s->times[t], 1);
    atomic_store(&s->scratch[t], scratch);
  }
  if (*(int64_t *)scratch != t0) abort();
}
static struct massrt_mem memory(void)
{
  struct massrt_mem m;
  massrt_mem_init(&m, &(struct massrt_config){ 0 });
  return m;
}
START_TEST(each_task_once)
{
  struct massrt_mem m = memory();
  struct massrt_pool *p = massrt_pool_create(&m, _i, 100);
  ck_assert_int_eq(massrt_pool_threads(p), _i);
  for (int tasks = 0; tasks <= TASKS; tasks++)
    for (int ways = 1; ways <= _i + 1; ways++) {
      struct seen s = { 0 };
      massrt_pool_run(p, mark, (union massrt_word[]){ { .p = &s } }, tasks, ways);
      for (int t = 0; t < TASKS; t++) ck_assert_int_eq(s.times[t], t < tasks);
      int want = ways < _i ? ways : _i;
      ck_assert_int_eq(s.ranges, tasks < 1 ? 1 : tasks < want ? tasks : want);
      for (int t = 1; t < tasks; t++) ck_assert(s.scratch[t] && (uintptr_t)s.scratch[t] % 64 == 0);
    }
  massrt_pool_destroy(p);
}
END_TEST
static void count(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  (void)scratch;
  atomic_fetch_add((atomic_long *)a[0].p, t1 - t0);
}
/* Jobs in quick succession, with pauses around the time after which workers fall asleep. */
START_TEST(no_wake_up_is_lost)
{
  struct massrt_mem m = memory();
  struct massrt_pool *p = massrt_pool_create(&m, 3, 0);
  atomic_long n = 0;
  long want = 0;
  for (int i = 0; i < 3000; i++) {
    int ways = 1 + i % 3;
    massrt_pool_run(p, count, (union massrt_word[]){ { .p = &n } }, 7, ways);
    want += 7;
    ck_assert_int_eq(n, want);
    if (i % 50 == 0) usleep((useconds_t)(i % 7) * 40);
    if (i % 33 == 0) massrt_pool_wake(p);
  }
  massrt_pool_destroy(p);
}
END_TEST
static void who(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  (void)scratch;
  for (int64_t t = t0; t < t1; t++) ((pthread_t *)a[0].p)[t] = pthread_self();
}
/* Two threads on one core: by the time that the caller has done its half the worker has hardly begun, and must not be waited for. */
START_TEST(what_no_worker_has_begun_is_done_by_the_caller)
{
  cpu_set_t all, one;
  ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (int c = 0; c < CPU_SETSIZE && !CPU_COUNT(&one); c++)
    if (CPU_ISSET(c, &all)) CPU_SET(c, &one);
  ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
  struct massrt_mem m = memory();
  struct massrt_pool *p = massrt_pool_create(&m, 2, 0);
  int alone = 0;
  for (int i = 0; i < 1000; i++) {
    pthread_t by[2] = { 0 };
    massrt_pool_run(p, who, (union massrt_word[]){ { .p = by } }, 2, 2);
    ck_assert(by[0] == pthread_self() && by[1]);
    alone += by[1] == pthread_self();
  }
  massrt_pool_destroy(p);
  sched_setaffinity(0, sizeof all, &all);
  ck_assert_int_gt(alone, 0);
}
END_TEST
START_TEST(huge_task_counts_are_cut_without_overflow)
{
  struct massrt_mem m = memory();
  struct massrt_pool *p = massrt_pool_create(&m, 4, 0);
  atomic_long n = 0;
  massrt_pool_run(p, count, (union massrt_word[]){ { .p = &n } }, INT64_MAX, 4);
  ck_assert(n == INT64_MAX);
  massrt_pool_destroy(p);
}
END_TEST
START_TEST(usable_cores)
{
  ck_assert_int_ge(massrt_usable_cores(), 1);
  ck_assert_int_le(massrt_usable_cores(), (int)sysconf(_SC_NPROCESSORS_CONF));
}
END_TEST
START_TEST(processor_level_agrees_with_the_compiler)
{
  char text[256];
  __builtin_cpu_init();
  unsigned level = __builtin_cpu_supports("x86-64-v4") ? 4 : __builtin_cpu_supports("x86-64-v3") ? 3 : __builtin_cpu_supports("x86-64-v2") ? 2 : 1;
  ck_assert_uint_eq(massrt_cpu_level(), level);
  massrt_cpu_missing(level, text, sizeof text);
  ck_assert_str_eq(text, "");
  massrt_cpu_missing(level + 1, text, sizeof text);
  ck_assert(level == 4 ? !*text : *text != 0);
}
END_TEST
/* All 65536 bit patterns of both 16-bit floats: value and back. Reference: the definition of the formats. */
START_TEST(sixteen_bit_floats)
{
  static const struct { uint32_t elem; int mant; } forms[] = { { MASSRT_F16, 10 }, { MASSRT_BF16, 7 } };
  for (int f = 0; f < 2; f++)
    for (uint32_t h = 0; h < 65536; h++) {
      uint16_t bits = (uint16_t)h, back = 0;
      int mant = forms[f].mant, e = (int)(h >> mant) & ((1 << (15 - mant)) - 1), top = (1 << (15 - mant)) - 1, bias = top >> 1;
      double frac = (double)(h & ((1u << mant) - 1)) / (1 << mant), v = massrt_elem_get(forms[f].elem, &bits, 0);
      if (e == top && frac > 0) { ck_assert(isnan(v)); continue; }
      double want = e == top ? INFINITY : e ? pow(2, e - bias) * (1 + frac) : pow(2, 1 - bias) * frac;
      ck_assert(v == (h >> 15 ? -want : want));
      massrt_elem_set(forms[f].elem, &back, 0, v);
      ck_assert_uint_eq(back, h);
    }
}
END_TEST
START_TEST(rounding_to_sixteen_bits)
{
  static const struct { uint32_t elem; double v; uint16_t bits; } rows[] = {
    { MASSRT_F16, 65519, 0x7bff }, { MASSRT_F16, 65520, 0x7c00 }, { MASSRT_F16, 1e300, 0x7c00 }, { MASSRT_F16, 2049, 0x6800 }, { MASSRT_F16, 2051, 0x6802 },
    { MASSRT_F16, 5.9604644775390625e-8, 0x0001 }, { MASSRT_F16, 2.98e-8, 0x0000 }, { MASSRT_F16, 2.9803e-8, 0x0001 }, { MASSRT_F16, 6.1e-5, 0x03ff },
    { MASSRT_BF16, 1.00390625, 0x3f80 }, { MASSRT_BF16, 1.01171875, 0x3f82 }, { MASSRT_BF16, -3.4e38, 0xff80 }, { MASSRT_BF16, 3.3895313892515355e38, 0x7f7f },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint16_t h;
    massrt_elem_set(rows[i].elem, &h, 0, rows[i].v);
    ck_assert_msg(h == rows[i].bits, "%g: %04x, not %04x", rows[i].v, h, rows[i].bits);
  }
}
END_TEST
START_TEST(integers_saturate)
{
  int8_t b;
  uint64_t u;
  int64_t l;
  massrt_elem_set(MASSRT_I8, &b, 0, -1e9);
  ck_assert_int_eq(b, -128);
  massrt_elem_set(MASSRT_U64, &u, 0, 1e30);
  ck_assert(u == UINT64_MAX);
  massrt_elem_set(MASSRT_U64, &u, 0, -3);
  ck_assert(u == 0);
  massrt_elem_set(MASSRT_I64, &l, 0, NAN);
  ck_assert(l == 0);
}
END_TEST
START_TEST(sizes_of_shapes)
{
  uint64_t n, b;
  ck_assert(massrt_shape_bytes(MASSRT_F32, 3, (int64_t[]){ 2, 3, 4 }, &n, &b) && n == 24 && b == 96);
  ck_assert(massrt_shape_bytes(MASSRT_F64, 0, NULL, &n, &b) && n == 1 && b == 8);
  ck_assert(massrt_shape_bytes(MASSRT_F32, 3, (int64_t[]){ 1ll << 62, 0, 1ll << 62 }, &n, &b) && n == 0 && b == 0);
  ck_assert(!massrt_shape_bytes(MASSRT_U8, 2, (int64_t[]){ 1ll << 62, 2 }, &n, &b));
  ck_assert(!massrt_shape_bytes(MASSRT_F64, 1, (int64_t[]){ 1ll << 60 }, &n, &b));
  ck_assert(!massrt_shape_bytes(MASSRT_U8, 2, (int64_t[]){ 0, -1 }, &n, &b));
}
END_TEST
int main(void)
{
  Suite *s = suite_create("threads");
  TCase *t = tcase_create("threads");
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, each_task_once, 1, 6);
  tcase_add_test(t, no_wake_up_is_lost);
  tcase_add_test(t, what_no_worker_has_begun_is_done_by_the_caller);
  tcase_add_test(t, huge_task_counts_are_cut_without_overflow);
  tcase_add_test(t, usable_cores);
  tcase_add_test(t, processor_level_agrees_with_the_compiler);
  tcase_add_test(t, sixteen_bit_floats);
  tcase_add_test(t, rounding_to_sixteen_bits);
  tcase_add_test(t, integers_saturate);
  tcase_add_test(t, sizes_of_shapes);
  suite_add_tcase(s, t);
  return tap_run(s);
}
