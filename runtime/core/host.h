/* runtime/core/host: what is no nest because its work, or the size of its result, depends on the data: plain functions on whole tensors, dense and row-major.
 * A result of unknown size stands at the front of one that is large enough, and its size beside it; what lies behind is unspecified.
 * Needs: abi.h.  Never: allocates. */
#ifndef MASSRT_HOST_H
#define MASSRT_HOST_H
#include "runtime/abi.h"

enum massrt_host {
#define HOST(name) MASSRT_H_##name,
#include "runtime/core/host.def"
#undef HOST
  MASSRT_N_HOST
};
/* Arguments: the addresses of operands and results, then words. They are kernels: tasks are independent of each other, scratch is not used.
 *   places    mask bool[n] -> at i64[n], count i64: the places whose mask holds, ascending. Word: n. One task.
 *   nms       boxes f32[b,n,4], scores f32[b*c,n], most i64, iou f32, least f32 -> order i64[b*c,n], count i64[b*c]: for each of the b*c rows the boxes that greedy suppression
 *             keeps, best first, of equal scores the first; at most `most`. Two boxes exclude each other if their intersection over union is above `iou`.
 *             Words: n, c, center (boxes are x, y, width, height, not two corners y, x, y, x), all (not only scores above `least`). A task for each row.
 *   distinct  x[n,m] -> order i64[n], inverse i64[n], counts i64[n], count i64: the different ones among n rows of m elements: the place where each is first, the number of each
 *             row among them, and how often each stands there. Words: n, m, element type, sorted (ascending by their elements; else by their first places). One task.
 *             NaN is equal to NaN, and behind all. */
extern massrt_kernel_fn *const massrt_host_fn[MASSRT_N_HOST];
extern const char *const massrt_host_name[MASSRT_N_HOST];
#endif
