/* runtime/core/plan: offsets of buffers in one arena, by their lifetimes. One planner for the compiler (static shapes) and the runtime (a new shape).
 * Needs: abi.h.  Never: allocates, knows what a buffer is for. */
#ifndef MASSRT_PLAN_H
#define MASSRT_PLAN_H
#include "runtime/abi.h"

struct massrt_span {
  int64_t bytes;                     /* >= 0; an empty buffer gets offset 0 */
  uint32_t first, last;              /* steps that use it, both included; first <= last */
  int64_t offset;                    /* result: a multiple of align */
};
/* Bytes of workspace for n buffers, aligned to 8. */
uint64_t massrt_plan_workspace(uint32_t n);
/* Two buffers share bytes only if their steps do not meet. align: a power of two, to which sizes are rounded up.
 *   *out_total  bytes of the arena
 *   *out_live   largest sum of (rounded) buffers alive at one step: no plan is smaller
 * Returns 0, or -1 when a size is negative, first > last, or a sum overflows; then the offsets mean nothing. Same input, same offsets. */
int massrt_plan(struct massrt_span *b, uint32_t n, uint64_t align, void *workspace, int64_t *out_total, int64_t *out_live);
/* The same for the buffers of a program that lie at one place and whose size bind number `late` makes known (0: the inputs), whose sizes are rows of values; spans: memory for n_buffers of them. offset[i], where offset is not
 * NULL, becomes that of buffer i; those of other places stay. */
int massrt_plan_place(const struct massrt_program *p, uint32_t place, uint32_t late, const int64_t *values, struct massrt_span *spans, void *workspace, int64_t *offset, int64_t *out_total,
                      int64_t *out_live);
#endif
