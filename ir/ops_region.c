/* Nodes with a body, and transfer. A group is a sub-graph: the unit of everything below the graph. A composite means its body. */
#include "ir/ops.h"

static bool region_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  if (n->n_body != 1) return ir_op_error(m, n, IR_M0203, "%s has one body, not %u", ir_op_def(n->op)->name, n->n_body);
  struct ir_graph *g = n->body[0];
  if (g->params.n != n->n_in || g->results.n != n->n_out) return ir_op_error(m, n, IR_M0203, "the body does not fit the operands and results");
  for (unsigned i = 0; i < n->n_in; i++)
    if (g->params.v[i]->type != n->in[i]->type) return ir_op_error(m, n, IR_M0202, "parameter %u of the body is %s, the operand %s", i, ir_type_str(m->arena, g->params.v[i]->type), ir_type_str(m->arena, n->in[i]->type));
  for (unsigned i = 0; i < n->n_out; i++) out[i] = g->results.v[i]->type;
  return true;
}
const struct ir_op_def ir_def_group = { .name = "group", .class = IR_C_REGION, .max_in = -1, .n_out = -1, .infer = region_infer, .attrs = { { "anchor", IR_A_STR, false, NULL } } };
const struct ir_op_def ir_def_composite = { .name = "composite", .class = IR_C_REGION, .max_in = -1, .n_out = -1, .infer = region_infer };

/* transfer {place}: the same value at another place */
static bool transfer_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  (void)m;
  out[0] = n->in[0]->type;
  return true;
}
static struct kir_expr *transfer_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  (void)out;
  return kir_value(b, n->in[0], c);
}
const struct ir_op_def ir_def_transfer = {
  .name = "transfer", .class = IR_C_MOVE, .min_in = 1, .max_in = 1, .n_out = 1, .attrs = { { "place", IR_A_STR, true, NULL } }, .infer = transfer_infer, .nest = transfer_nest,
};
