#include "runtime/core/host.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ---- places ---- */
static void places(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  const uint8_t *mask = a[0].p;
  int64_t *at = a[1].p, *count = a[2].p, n = a[3].i, k = 0;
  (void)scratch;
  if (t0 == t1) return;
  for (int64_t i = 0; i < n; i++) {
    at[k] = i;                       /* there is room: k <= i */
    k += mask[i] != 0;
  }
  *count = k;
}

/* ---- sorting places by what stands there: heapsort, which needs no memory; order is total, so it is stable too ---- */
struct keys { bool (*before)(const struct keys *k, int64_t i, int64_t j); const void *p; int64_t m; uint32_t elem; };
static void sink(const struct keys *k, int64_t *v, int64_t at, int64_t n)
{
  int64_t x = v[at];
  for (int64_t c; (c = 2 * at + 1) < n; at = c) {
    if (c + 1 < n && k->before(k, v[c], v[c + 1])) c++;
    if (!k->before(k, x, v[c])) break;
    v[at] = v[c];
  }
  v[at] = x;
}
static void sort(const struct keys *k, int64_t *v, int64_t n)
{
  for (int64_t i = n / 2; i-- > 0;) sink(k, v, i, n);
  for (int64_t i = n; i-- > 1;) {
    int64_t x = v[0];
    v[0] = v[i];
    v[i] = x;
    sink(k, v, 0, i);
  }
}

/* ---- nms ---- */
static bool better(const struct keys *k, int64_t i, int64_t j)
{
  const float *s = k->p;
  return s[i] > s[j] || (!(s[j] > s[i]) && i < j);
}
struct box { float y0, x0, y1, x1; };
static struct box box_of(const float *b, bool center)
{
  if (center) return (struct box){ b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2 };
  return (struct box){ b[0] < b[2] ? b[0] : b[2], b[1] < b[3] ? b[1] : b[3], b[0] < b[2] ? b[2] : b[0], b[1] < b[3] ? b[3] : b[1] };
}
static float area(const struct box *b) { return (b->y1 - b->y0) * (b->x1 - b->x0); }
static bool overlap(const struct box *a, const struct box *b, float iou)
{
  struct box c = { a->y0 > b->y0 ? a->y0 : b->y0, a->x0 > b->x0 ? a->x0 : b->x0, a->y1 < b->y1 ? a->y1 : b->y1, a->x1 < b->x1 ? a->x1 : b->x1 };
  float both, either;
  if (!(c.y1 > c.y0) || !(c.x1 > c.x0)) return false;
  both = area(&c);
  either = area(a) + area(b) - both;
  return both > 0 && area(a) > 0 && area(b) > 0 && either > 0 && both / either > iou;
}
/* The candidates come in order at the front of `order`, and those that stay move further to the front. */
static int64_t keep(const float *boxes, const float *score, int64_t *order, int64_t n, int64_t most, float iou, float least, bool center, bool all)
{
  const struct keys by_score = { .before = better, .p = score };
  int64_t candidates = 0, kept = 0;
  for (int64_t i = 0; i < n; i++)
    if (all ? score[i] == score[i] : score[i] > least) order[candidates++] = i;
  sort(&by_score, order, candidates);
  for (int64_t i = 0; i < candidates && kept < most; i++) {
    struct box x = box_of(boxes + 4 * order[i], center);
    bool free = true;
    for (int64_t k = 0; k < kept && free; k++) {
      struct box y = box_of(boxes + 4 * order[k], center);
      free = !overlap(&x, &y, iou);
    }
    if (free) order[kept++] = order[i];
  }
  return kept;
}
static void nms(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  const float *boxes = a[0].p, *scores = a[1].p, *iou = a[3].p, *least = a[4].p;
  int64_t most, *order = a[5].p, *count = a[6].p, n = a[7].i, classes = a[8].i;
  (void)scratch;
  memcpy(&most, a[2].p, sizeof most);
  for (int64_t t = t0; t < t1; t++)
    count[t] = keep(boxes + t / classes * n * 4, scores + t * n, order + t * n, n, most, *iou, *least, a[9].i, a[10].i);
}

/* ---- distinct ---- */
#define COMPARE(type) do { type x, y; memcpy(&x, p, sizeof x); memcpy(&y, q, sizeof y); return (x > y) - (x < y); } while (0)
/* NaN is equal to NaN, and behind everything. */
static int of_floats(double x, double y) { return x != x || y != y ? (x != x) - (y != y) : (x > y) - (x < y); }
/* Halves are in the order of their bits, as sign and magnitude: both zeros are 0, and what is above infinity is NaN. */
static double order_of(const char *p, int infinity)
{
  uint16_t h;
  memcpy(&h, p, 2);
  int magnitude = h & 0x7fff;
  return magnitude > infinity ? NAN : h >> 15 ? -magnitude : magnitude;
}
enum elem {
#define ELEM(name, bits, class) E_##name,
#include "runtime/core/elem.def"
#undef ELEM
};
static const uint8_t size_of[] = {
#define ELEM(name, bits, class) bits / 8,
#include "runtime/core/elem.def"
#undef ELEM
};
static int compare(uint32_t elem, const char *p, const char *q)
{
  float f[2];
  double d[2];
  switch ((enum elem)elem) {
  case E_bool: case E_u8: COMPARE(uint8_t);
  case E_i8: COMPARE(int8_t);
  case E_i16: COMPARE(int16_t);
  case E_i32: COMPARE(int32_t);
  case E_i64: COMPARE(int64_t);
  case E_u16: COMPARE(uint16_t);
  case E_u32: COMPARE(uint32_t);
  case E_u64: COMPARE(uint64_t);
  case E_f16: return of_floats(order_of(p, 0x7c00), order_of(q, 0x7c00));
  case E_bf16: return of_floats(order_of(p, 0x7f80), order_of(q, 0x7f80));
  case E_f32: case E_tf32: memcpy(&f[0], p, 4); memcpy(&f[1], q, 4); return of_floats((double)f[0], (double)f[1]);
  case E_f64: memcpy(&d[0], p, 8); memcpy(&d[1], q, 8); return of_floats(d[0], d[1]);
  }
  return 0;
}
static int compare_rows(const struct keys *k, int64_t i, int64_t j)
{
  int64_t size = size_of[k->elem];
  for (int64_t e = 0; e < k->m; e++) {
    int c = compare(k->elem, (const char *)k->p + (i * k->m + e) * size, (const char *)k->p + (j * k->m + e) * size);
    if (c) return c;
  }
  return 0;
}
static bool row_before(const struct keys *k, int64_t i, int64_t j)
{
  int c = compare_rows(k, i, j);
  return c < 0 || (!c && i < j);
}
/* Sorted by content, equal rows are neighbours, the first of them in front. Numbers in the order of first places are given by walking the rows again. */
static int64_t number_sorted(const struct keys *k, int64_t *order, int64_t *inverse, int64_t *counts, int64_t n)
{
  int64_t groups = 0, before = 0;
  for (int64_t i = 0; i < n; i++) order[i] = i;
  sort(k, order, n);
  for (int64_t i = 0; i < n; i++) {
    int64_t row = order[i];
    if (!i || compare_rows(k, before, row)) {
      order[groups] = row;
      counts[groups++] = 0;
    }
    inverse[row] = groups - 1;
    counts[groups - 1]++;
    before = row;
  }
  return groups;
}
static void number_by_place(int64_t *order, int64_t *inverse, int64_t *counts, int64_t n)
{
  int64_t groups = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t *g = &order[inverse[i]];             /* the first place of i's group; once met, the group's new number from -1 down */
    if (*g == i) {
      *g = -1 - groups;
      counts[groups++] = 0;
    }
    inverse[i] = -1 - *g;
    counts[inverse[i]]++;
  }
  for (int64_t i = 0, next = 0; i < n; i++)
    if (inverse[i] == next) order[next++] = i;
}
static void distinct(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  const struct keys k = { .before = row_before, .p = a[0].p, .m = a[6].i, .elem = (uint32_t)a[7].i };
  int64_t *order = a[1].p, *inverse = a[2].p, *counts = a[3].p, *count = a[4].p, n = a[5].i;
  (void)scratch;
  if (t0 == t1) return;
  *count = number_sorted(&k, order, inverse, counts, n);
  if (!a[8].i) number_by_place(order, inverse, counts, n);
}

massrt_kernel_fn *const massrt_host_fn[MASSRT_N_HOST] = {
#define HOST(name) name,
#include "runtime/core/host.def"
#undef HOST
};
const char *const massrt_host_name[MASSRT_N_HOST] = {
#define HOST(name) [MASSRT_H_##name] = #name,
#include "runtime/core/host.def"
#undef HOST
};
