/* inline: a composite whose body is nothing but maps is taken apart again: such nodes fuse with what is around them, whichever they are, and layouts pass through them.
 * Requires: recognise. Keeps: values. */
#include "passes/internal.h"

static bool only_maps(const struct ir_node *n)
{
  for (const struct ir_node *x = n->body[0]->first; x; x = x->next)
    if (x->op != IR_OP_const && ir_op_def(x->op)->class != IR_C_MAP) return false;
  return true;
}
bool pass_inline(struct pass_ctx *c)
{
  for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
    next = n->next;
    if (n->op != IR_OP_composite || !only_maps(n)) continue;
    ir_inline(n);
    c->changed = true;
  }
  return pass_fold(c);                 /* marks the constants that came out */
}
