/* Best fit in address order: buffers are placed one after the other into the smallest gap between those that live at the same time and are placed already,
 * or behind them (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, greedy by size). No order of placing is best for all
 * nets, so three are tried - by size, by size times lifetime, by first use - and the smallest arena is kept; the search ends early at the lower bound.
 * Known weakness: each placement walks all that are placed, in order of their offsets, so the worst case is quadratic with a small constant (10000 buffers: a
 * third of a second); and greedy plans of nets with many long-lived buffers of unequal sizes stay some percent above the bound. */
#include "runtime/core/plan.h"
#include <stdbool.h>

enum order { BY_SIZE, BY_VOLUME, BY_FIRST, ORDERS, BY_LAST };

static int64_t rounded(const struct massrt_span *s, uint64_t align) { return (int64_t)(((uint64_t)s->bytes + align - 1) & ~(align - 1)); }
static bool precedes(const struct massrt_span *b, uint32_t i, uint32_t j, enum order o)
{
  const struct massrt_span *x = &b[i], *y = &b[j];
  unsigned __int128 vx = (unsigned __int128)(uint64_t)x->bytes * ((uint64_t)(x->last - x->first) + 1), vy = (unsigned __int128)(uint64_t)y->bytes * ((uint64_t)(y->last - y->first) + 1);
  if (o == BY_LAST && x->last != y->last) return x->last < y->last;
  if (o == BY_FIRST && x->first != y->first) return x->first < y->first;
  if (o == BY_VOLUME && vx != vy) return vx > vy;
  if (x->bytes != y->bytes) return x->bytes > y->bytes;
  return i < j;
}
/* Heapsort, because qsort may allocate. */
static void sink(const struct massrt_span *b, uint32_t *v, uint32_t at, uint32_t n, enum order o)
{
  uint32_t x = v[at];
  for (;;) {
    uint64_t c = 2 * (uint64_t)at + 1;
    if (c >= n) break;
    if (c + 1 < n && precedes(b, v[c], v[c + 1], o)) c++;
    if (!precedes(b, x, v[c], o)) break;
    v[at] = v[c];
    at = (uint32_t)c;
  }
  v[at] = x;
}
static void sort(const struct massrt_span *b, uint32_t *v, uint32_t n, enum order o)
{
  for (uint32_t i = 0; i < n; i++) v[i] = i;
  for (uint32_t i = n / 2; i-- > 0;) sink(b, v, i, n, o);
  for (uint32_t i = n; i-- > 1;) {
    uint32_t x = v[0];
    v[0] = v[i];
    v[i] = x;
    sink(b, v, 0, i, o);
  }
}
/* The largest sum of buffers alive at one step. Sums of all sizes fit, as checked before. */
static int64_t live_bytes(const struct massrt_span *b, uint32_t n, uint64_t align, uint32_t *starts, uint32_t *ends)
{
  int64_t live = 0, most = 0;
  sort(b, starts, n, BY_FIRST);
  sort(b, ends, n, BY_LAST);
  for (uint32_t i = 0, j = 0; i < n; i++) {
    while (b[ends[j]].last < b[starts[i]].first) live -= rounded(&b[ends[j++]], align);
    live += rounded(&b[starts[i]], align);
    if (live > most) most = live;
  }
  return most;
}
struct placed { int64_t begin, end; uint32_t first, last; };
/* The offset for s among the placed, which are in order of begin. */
static int64_t find_gap(const struct placed *p, uint32_t n, const struct massrt_span *s, int64_t bytes)
{
  int64_t top = 0, best = -1, best_gap = INT64_MAX;
  for (uint32_t i = 0; i < n; i++) {
    if (p[i].last < s->first || p[i].first > s->last) continue;
    int64_t gap = p[i].begin - top;
    if (gap >= bytes && gap < best_gap) { best = top; best_gap = gap; }
    if (p[i].end > top) top = p[i].end;
  }
  return best >= 0 ? best : top;
}
static int64_t place_all(struct massrt_span *b, uint32_t n, uint64_t align, const uint32_t *order, struct placed *p)
{
  int64_t total = 0;
  uint32_t np = 0;
  for (uint32_t i = 0; i < n; i++) {
    struct massrt_span *s = &b[order[i]];
    int64_t bytes = rounded(s, align);
    s->offset = 0;
    if (!bytes) continue;
    s->offset = find_gap(p, np, s, bytes);
    uint32_t at = np++;
    for (; at && p[at - 1].begin > s->offset; at--) p[at] = p[at - 1];
    p[at] = (struct placed){ s->offset, s->offset + bytes, s->first, s->last };
    if (p[at].end > total) total = p[at].end;
  }
  return total;
}
uint64_t massrt_plan_workspace(uint32_t n) { return (uint64_t)n * (sizeof(struct placed) + sizeof(int64_t) + sizeof(uint32_t)) + 8; }
int massrt_plan(struct massrt_span *b, uint32_t n, uint64_t align, void *workspace, int64_t *out_total, int64_t *out_live)
{
  struct placed *p = workspace;
  int64_t *best = (int64_t *)(p + n), sum = 0, total = INT64_MAX;
  uint32_t *order = (uint32_t *)(best + n);
  if (!align || align & (align - 1) || align > INT64_MAX / 4) return -1;
  for (uint32_t i = 0; i < n; i++) {
    if (b[i].bytes < 0 || b[i].first > b[i].last || b[i].bytes > INT64_MAX / 2) return -1;
    if (__builtin_add_overflow(sum, rounded(&b[i], align), &sum)) return -1;
  }
  int64_t live = live_bytes(b, n, align, order, (uint32_t *)p);
  for (enum order o = 0; o < ORDERS && total > live; o++) {
    sort(b, order, n, o);
    int64_t t = place_all(b, n, align, order, p);
    if (t >= total) continue;
    total = t;
    for (uint32_t i = 0; i < n; i++) best[i] = b[i].offset;
  }
  for (uint32_t i = 0; i < n; i++) b[i].offset = best[i];
  *out_total = n ? total : 0;
  *out_live = live;
  return 0;
}
static bool mine(const struct massrt_program *p, uint32_t i, uint32_t place, uint32_t late) { return p->buffers[i].place == place && p->exprs[p->buffers[i].bytes].late == late; }
int massrt_plan_place(const struct massrt_program *p, uint32_t place, uint32_t late, const int64_t *values, struct massrt_span *spans, void *workspace, int64_t *offset, int64_t *out_total,
                      int64_t *out_live)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->n_buffers; i++)
    if (mine(p, i, place, late)) spans[n++] = (struct massrt_span){ values[p->buffers[i].bytes], p->buffers[i].first, p->buffers[i].last, 0 };
  if (massrt_plan(spans, n, p->places[place].align, workspace, out_total, out_live)) return -1;
  n = 0;
  for (uint32_t i = 0; i < p->n_buffers && offset; i++)
    if (mine(p, i, place, late)) offset[i] = spans[n++].offset;
  return 0;
}
