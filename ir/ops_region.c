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

/* ---- loop trip, carried.., captured.. {carried, trips} (%i, carried.., captured..) -> carried.., stacked.. : the body for i = 0 .. trip - 1, while the first carried
 * value, a bool, holds. Its results become the carried values of the next iteration, and at last the node's; the further ones are stacked along a new first axis of
 * `trips` places, one for each iteration, of which there must then be so many. ---- */
static bool loop_param(struct ir_module *m, struct ir_node *n, unsigned i, const struct ir_type *want)
{
  const struct ir_type *t = n->body[0]->params.v[i]->type;
  return t == want || ir_op_error(m, n, IR_M0202, "parameter %u of the body is %s, expected %s", i, ir_type_str(m->arena, t), ir_type_str(m->arena, want));
}
static bool loop_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  int64_t carried = ir_attr_get_int(n, "carried");
  const struct ir_type *count = ir_type_get(m, IR_i64, 0, NULL), *cond = ir_type_get(m, IR_bool, 0, NULL);
  const struct ir_attr *trips = ir_attr_find(n, "trips");
  if (n->n_body != 1) return ir_op_error(m, n, IR_M0203, "loop has one body, not %u", n->n_body);
  struct ir_graph *g = n->body[0];
  if (carried < 1 || carried >= n->n_in || g->params.n != n->n_in || g->results.n < carried) return ir_op_error(m, n, IR_M0203, "the body does not fit the operands and %lld carried values", (long long)carried);
  if (n->in[0]->type != count || n->in[1]->type != cond) return ir_op_error(m, n, IR_M0202, "the count is %s and the condition %s, expected i64[] and bool[]", ir_type_str(m->arena, n->in[0]->type), ir_type_str(m->arena, n->in[1]->type));
  TRY(loop_param(m, n, 0, count));
  for (unsigned i = 1; i < n->n_in; i++) TRY(loop_param(m, n, i, n->in[i]->type));
  for (unsigned i = 0; i < g->results.n; i++) {
    const struct ir_type *t = out[i] = g->results.v[i]->type;
    if (i < carried && t != n->in[i + 1]->type) return ir_op_error(m, n, IR_M0202, "carried value %u goes in as %s and comes out as %s", i, ir_type_str(m->arena, n->in[i + 1]->type), ir_type_str(m->arena, t));
    if (i < carried) continue;
    const struct ir_ix *dim[IR_MAX_RANK];
    if (!trips || trips->n != 1 || t->rank == IR_MAX_RANK) return ir_op_error(m, n, IR_M0302, "result %u (%s) cannot be stacked", i, ir_type_str(m->arena, t));
    dim[0] = trips->ix[0];
    for (unsigned d = 0; d < t->rank; d++) dim[d + 1] = t->dim[d];
    out[i] = ir_type_get(m, t->elem, t->rank + 1, dim);
  }
  return true;
}
const struct ir_op_def ir_def_loop = {
  .name = "loop", .class = IR_C_REGION, .min_in = 2, .max_in = -1, .n_out = -1, .infer = loop_infer,
  .attrs = { { "carried", IR_A_INT, true, NULL }, { "trips", IR_A_IXS, false, NULL } },
};

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
