/* loops: every operand of a loop, a bind, or a function of the processor is stored, dense, and no weight, since inside it is a parameter like an input of the model. What is not gets a copy; parameters of the
 * graph around serve as they are.
 * Requires: place. Keeps: values. Afterwards a loop's operands need nothing of layout, fuse and outline. */
#include "passes/fuse.h"

/* Results of rank 3 and more may be given a layout. */
static bool stored(const struct ir_value *v) { return !v->def || (!pass_is_weight(v) && !pass_dissolves(v->def) && v->type->rank < 3); }
bool pass_loops(struct pass_ctx *c)
{
  for (struct ir_node *n = c->m->main->first; n; n = n->next)
    for (unsigned i = 0; pass_on_host(n) && i < n->n_in; i++) {
      struct ir_value *v = n->in[i];
      if (stored(v) || pass_has_op(v, IR_OP_copy)) continue;
      struct ir_builder b = pass_at(n);
      struct ir_node *copy = ir_build(&b, IR_OP_copy, &v, 1, NULL, 0);
      copy->place = n->place;
      copy->out[0]->weight = false;
      ir_node_set_in(n, i, copy->out[0]);
      c->changed = true;
    }
  return true;
}
