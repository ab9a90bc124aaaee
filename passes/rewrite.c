/* What rewriting passes share. */
#include "passes/internal.h"
#include <stdlib.h>

struct ir_builder pass_at(struct ir_node *n)
{
  return (struct ir_builder){ .g = n->graph, .at = n, .prov = n->prov, .onnx_node = n->prov && n->prov->n ? n->prov->name[0] : NULL };
}
void pass_replace(struct pass_ctx *c, struct ir_node *n, struct ir_value *with)
{
  if (with->def && n->prov && n->graph == with->graph) with->def->prov = ir_prov_union(c->m, with->def->prov, n->prov);
  if (!with->name && n->out[0]->name) with->name = n->out[0]->name;
  ir_value_replace(n->out[0], with);
  c->changed = true;
}
bool pass_is_weight(const struct ir_value *v) { return v->weight || (v->def && v->def->op == IR_OP_const); }
struct ir_value *pass_weight_operand(const struct ir_node *n, struct ir_value **x)
{
  if (n->n_in != 2) return NULL;
  for (unsigned i = 0; i < 2; i++)
    if (pass_is_weight(n->in[i]) && !pass_is_weight(n->in[1 - i])) { *x = n->in[1 - i]; return n->in[i]; }
  return NULL;
}

int pass_by_order(const void *a, const void *b)
{
  const struct ir_node *x = *(struct ir_node *const *)a, *y = *(struct ir_node *const *)b;
  return (x->order > y->order) - (x->order < y->order);
}
void pass_sort_nodes(struct pass_ctx *c, struct pass_nodes *s)
{
  ir_graph_order(c->m->main);
  qsort(s->v, s->n, sizeof *s->v, pass_by_order);
}
