/* The memory planner: no two buffers that live together share a byte, on random lifetimes and on chains of residual blocks; and the size expressions. */
#include "runtime/core/expr.h"
#include "runtime/core/plan.h"
#include "tests/unit/tap.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t seed;
static uint64_t rnd(void)
{
  uint64_t z = seed += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static bool meet(const struct massrt_span *a, const struct massrt_span *b) { return a->first <= b->last && b->first <= a->last; }

/* Plans and checks against definitions, all pairs and all steps. Returns total / live. */
static double plan(struct massrt_span *b, uint32_t n, uint64_t align)
{
  int64_t total, live, most = 0;
  unsigned char *ws = malloc(massrt_plan_workspace(n) + 64);
  memset(ws + massrt_plan_workspace(n), 0x5a, 64);
  ck_assert_int_eq(massrt_plan(b, n, align, ws, &total, &live), 0);
  for (int i = 0; i < 64; i++) ck_assert_uint_eq(ws[massrt_plan_workspace(n) + (uint64_t)i], 0x5a);
  free(ws);
  int64_t a = (int64_t)align, end = 0;
  for (uint32_t i = 0; i < n; i++) {
    ck_assert(b[i].offset >= 0 && b[i].offset % a == 0 && b[i].offset + b[i].bytes <= total);
    if (b[i].offset + b[i].bytes > end) end = b[i].offset + b[i].bytes;
    for (uint32_t j = 0; j < i; j++)
      if (b[i].bytes && b[j].bytes && meet(&b[i], &b[j])) ck_assert(b[i].offset + b[i].bytes <= b[j].offset || b[j].offset + b[j].bytes <= b[i].offset);
  }
  ck_assert(total - end < a);
  for (uint32_t i = 0; i < n; i++) {                     /* live sums only rise at a first step */
    int64_t sum = 0;
    for (uint32_t j = 0; j < n; j++)
      if (b[j].first <= b[i].first && b[i].first <= b[j].last) sum += (b[j].bytes + a - 1) / a * a;
    if (sum > most) most = sum;
  }
  ck_assert_int_eq(live, most);
  ck_assert_int_ge(total, live);
  return live ? (double)total / (double)live : 1;
}
START_TEST(random_lifetimes)
{
  static struct massrt_span b[300];
  seed = 1 + (uint64_t)_i;
  for (int round = 0; round < 60; round++) {
    uint32_t n = (uint32_t)(rnd() % 300), steps = 1 + (uint32_t)(rnd() % 200), life = 1 + (uint32_t)(rnd() % 40);
    for (uint32_t i = 0; i < n; i++) {
      b[i].first = (uint32_t)(rnd() % steps);
      b[i].last = b[i].first + (uint32_t)(rnd() % life);
      b[i].bytes = rnd() % 8 ? (int64_t)(rnd() % 100000) : 0;
    }
    ck_assert(plan(b, n, (uint64_t)1 << rnd() % 10) < 2);
  }
}
END_TEST
/* n buffers of one stack discipline fit exactly */
START_TEST(a_chain_needs_two)
{
  struct massrt_span b[50];
  for (uint32_t i = 0; i < 50; i++) b[i] = (struct massrt_span){ 4096, i, i + 1, 0 };
  ck_assert(plan(b, 50, 64) == 1);
}
END_TEST
/* Bottleneck blocks as ResNet has them, in bytes of one image: x lives through its block beside c1, c2, c3 and, where the shape changes, the projection. */
START_TEST(residual_blocks)
{
  static const int depth[3][4] = { { 3, 4, 6, 3 }, { 3, 4, 23, 3 }, { 3, 8, 36, 3 } };
  static struct massrt_span b[400];
  for (int fused = 0; fused < 2; fused++) {
    uint32_t n = 0, step = 0, x;
    int64_t hw = 112 * 112, bytes = 4;
    b[n++] = (struct massrt_span){ 64 * hw * bytes, step, step + 1, 0 };
    hw /= 4;
    step++;
    b[x = n++] = (struct massrt_span){ 64 * hw * bytes, step, step, 0 };
    for (int stage = 0; stage < 4; stage++)
      for (int k = 0; k < depth[_i][stage]; k++) {
        int64_t w = 64 << stage, in_hw = hw;
        if (stage && !k) hw /= 4;
        b[n++] = (struct massrt_span){ w * in_hw * bytes, step + 1, step + 2, 0 };
        b[n++] = (struct massrt_span){ w * hw * bytes, step + 2, step + 3, 0 };
        step += 3;
        if (!fused) { b[n++] = (struct massrt_span){ 4 * w * hw * bytes, step, step + 2, 0 }; step++; }
        if (!k) { b[x].last = step; b[x = n++] = (struct massrt_span){ 4 * w * hw * bytes, step, step + 1, 0 }; }
        step++;
        b[x].last = step;
        b[x = n++] = (struct massrt_span){ 4 * w * hw * bytes, step, step, 0 };
      }
    b[x].last = step + 1;
    double r = plan(b, n, 64);
    ck_assert_msg(r <= 1.15, "%.3f of the lower bound", r);
  }
}
END_TEST
START_TEST(many_buffers)
{
  enum { N = 10000 };
  static struct massrt_span b[N];
  void *ws = malloc(massrt_plan_workspace(N));
  int64_t total, live;
  seed = 99;
  for (uint32_t i = 0; i < N; i++) b[i] = (struct massrt_span){ 1 + (int64_t)(rnd() % 1000000), i, i + (uint32_t)(rnd() % 30), 0 };
  clock_t c = clock();
  ck_assert_int_eq(massrt_plan(b, N, 256, ws, &total, &live), 0);
  double s = (double)(clock() - c) / CLOCKS_PER_SEC;
  ck_assert_msg(s < 5, "%.2f s", s);
  ck_assert(total >= live && (double)total < 1.5 * (double)live);
  free(ws);
}
END_TEST
START_TEST(what_cannot_be_planned)
{
  char ws[4096];
  int64_t total, live;
  struct massrt_span b[3] = { { 10, 0, 1, 0 }, { 10, 1, 2, 0 }, { 10, 2, 3, 0 } };
  ck_assert_int_eq(massrt_plan(b, 3, 48, ws, &total, &live), -1);
  ck_assert_int_eq(massrt_plan(b, 0, 64, ws, &total, &live), 0);
  ck_assert(total == 0 && live == 0);
  b[1].bytes = -1;
  ck_assert_int_eq(massrt_plan(b, 3, 64, ws, &total, &live), -1);
  b[1] = (struct massrt_span){ 10, 3, 2, 0 };
  ck_assert_int_eq(massrt_plan(b, 3, 64, ws, &total, &live), -1);
  for (int i = 0; i < 3; i++) b[i] = (struct massrt_span){ INT64_MAX / 2, 0, 1, 0 };
  ck_assert_int_eq(massrt_plan(b, 3, 64, ws, &total, &live), -1);
}
END_TEST
START_TEST(size_expressions)
{
  /* (n + 3)/4 * 64, min, max, tests, of n = -5 */
  const struct massrt_expr x[] = {
    { .op = MASSRT_X_SYM, .k = 0 }, { .op = MASSRT_X_CONST, .k = 3 }, { MASSRT_X_ADD, 0, 1, 0, 0 }, { .op = MASSRT_X_CONST, .k = 4 }, { MASSRT_X_DIV, 2, 3, 0, 0 },
    { .op = MASSRT_X_CONST, .k = 64 }, { MASSRT_X_MUL, 4, 5, 0, 0 }, { MASSRT_X_MIN, 0, 1, 0, 0 }, { MASSRT_X_MAX, 0, 1, 0, 0 }, { MASSRT_X_GE0, 0, 0, 0, 0 },
    { MASSRT_X_EQ0, 9, 0, 0, 0 }, { MASSRT_X_BCAST, 10, 5, 0, 0 },
  };
  static const int64_t want[] = { -5, 3, -2, 4, -1, 64, -64, -5, 3, 0, 1, 64 };
  int64_t v[12], n = -5;
  uint32_t bad = 77;
  ck_assert_int_eq(massrt_eval_exprs(x, 12, 0, &n, 1, v, &bad), 0);
  for (int i = 0; i < 12; i++) ck_assert_int_eq(v[i], want[i]);
  ck_assert_uint_eq(bad, 77);
}
END_TEST
START_TEST(expressions_without_value)
{
  static const struct massrt_expr wrong[] = {
    { MASSRT_X_ADD, 1, 1, 0, 0 }, { MASSRT_X_MUL, 1, 2, 0, 0 }, { MASSRT_X_DIV, 1, 0, 0, 0 }, { MASSRT_X_DIV, 1, 3, 0, 0 }, { MASSRT_X_BCAST, 1, 2, 0, 0 }, { MASSRT_X_ADD, 4, 0, 0, 0 },
    { MASSRT_X_ADD, 0, 5, 0, 0 }, { .op = MASSRT_X_SYM, .k = 1 }, { .op = MASSRT_X_SYM, .k = -1 }, { .op = 1000 },
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct massrt_expr x[5] = { { .op = MASSRT_X_CONST, .k = 0 }, { .op = MASSRT_X_CONST, .k = INT64_MAX }, { .op = MASSRT_X_CONST, .k = 2 }, { .op = MASSRT_X_CONST, .k = -1 }, wrong[i] };
    int64_t v[5], n = 1;
    uint32_t bad = 0;
    ck_assert_int_eq(massrt_eval_exprs(x, 5, 0, &n, 1, v, &bad), -1);
    ck_assert_uint_eq(bad, 4);
  }
}
END_TEST
int main(void)
{
  Suite *s = suite_create("core");
  TCase *c = tcase_create("core");
  tcase_set_timeout(c, 60);
  tcase_add_loop_test(c, random_lifetimes, 0, 3);
  tcase_add_test(c, a_chain_needs_two);
  tcase_add_loop_test(c, residual_blocks, 0, 3);
  tcase_add_test(c, many_buffers);
  tcase_add_test(c, what_cannot_be_planned);
  tcase_add_test(c, size_expressions);
  tcase_add_test(c, expressions_without_value);
  suite_add_tcase(s, c);
  return tap_run(s);
}
