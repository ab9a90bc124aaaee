/* For the files of op families: what they share. */
#ifndef MASSC_IR_OPS_H
#define MASSC_IR_OPS_H
#include "ir/kernel/kir.h"
#include <string.h>

#define OP(name) extern const struct ir_op_def ir_def_##name;
#include "ir/ops.def"
#undef OP

/* Coordinates of an operand with dims xd under a result with dims rd (right-aligned ranks are equal, or xr is 0): 0 where the operand's dim is 1. */
void op_broadcast_at(struct kir_nest_builder *b, const struct ir_type *x, const struct ir_type *r, const struct ir_ix *const *c, const struct ir_ix **out);
/* The dims attribute `key` (IXS) as type dims. */
const struct ir_type *op_type_of_dims(struct ir_module *m, const struct ir_node *n, enum ir_elem e, const char *key);
/* An axis symbol of the nest for a loop of `ext`, or the constant 0 when ext is 1. Axes are counted in *n. */
const struct ir_ix *op_loop(struct kir_nest_builder *b, const char *name, const struct ir_ix *ext, struct kir_axis *axes, unsigned *n);
void op_set_form(struct ir_module *m, struct ir_value *v, const struct ir_ix *const *e, unsigned n);
#endif
