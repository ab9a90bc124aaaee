/* Making loops of the core: the importer's Loop, Scan, If and recurrent cells. */
#ifndef MASSC_ONNX_LOOP_H
#define MASSC_ONNX_LOOP_H
#include "compiler/onnx/import.h"

/* Between begin and end nodes go into the body. State k enters the body as `state[k]`, of init[k]'s type, or as init[k] itself where that is known to stay.
 *   onnx_loop_begin: `trips` (an i64 expression, or NULL with `count`, an i64 scalar of the graph around); cond: NULL for always, else a bool scalar
 *   onnx_loop_end:   next[k] of the same types as state[k]; cond_next NULL: the condition stays; stacked[] only with trips. Outputs: final states, then stacks.
 * False after a diagnostic; the frame is left in any case. */
struct onnx_loop {
  struct onnx_frame frame;
  const struct ir_ix *trips;
  struct ir_value *count, *cond, **init, *i, *cond_in, **state;
  unsigned n_state;
  uint32_t late;                     /* late symbols of the module when it began: what was made since is bound inside, or may be */
};
bool onnx_loop_begin(struct onnx_ctx *c, struct onnx_loop *l, const struct ir_ix *trips, struct ir_value *count, struct ir_value *cond, struct ir_value *const *init, unsigned n);
bool onnx_loop_end(struct onnx_ctx *c, struct onnx_loop *l, struct ir_value *cond_next, struct ir_value *const *next, struct ir_value *const *stacked, unsigned n_stacked, struct ir_value **out);
/* Leaves the body and forgets it. */
void onnx_loop_drop(struct onnx_ctx *c);
#endif
