#include "compiler/onnx/loop.h"

static struct ir_value *truth(struct onnx_ctx *c) { return ir_const_splat(c->b, ir_type_get(c->m, IR_bool, 0, NULL), 1, 1); }
bool onnx_loop_begin(struct onnx_ctx *c, struct onnx_loop *l, const struct ir_ix *trips, struct ir_value *count, struct ir_value *cond, struct ir_value *const *init, unsigned n)
{
  *l = (struct onnx_loop){ .trips = trips, .count = trips ? onnx_index(c, IR_i64, 0, NULL, &trips, 1) : count, .cond = cond ? cond : truth(c), .n_state = n, .late = c->m->late.n };
  l->init = ir_arena_copy(c->arena, init, n * sizeof *init);
  l->state = IR_NEWN(c->arena, struct ir_value *, n + 1);
  for (unsigned k = 0; k < n; k++)
    if (!init[k]) return false;
  if (!l->count || !l->cond) return false;
  onnx_frame_enter(c, &l->frame);
  l->i = ir_graph_param(l->frame.g, ir_type_get(c->m, IR_i64, 0, NULL), NULL);
  l->cond_in = ir_graph_param(l->frame.g, ir_type_get(c->m, IR_bool, 0, NULL), NULL);
  for (unsigned k = 0; k < n; k++) l->state[k] = ir_graph_param(l->frame.g, init[k]->type, NULL);
  return true;
}
void onnx_loop_drop(struct onnx_ctx *c) { onnx_frame_leave(c); }
bool onnx_loop_end(struct onnx_ctx *c, struct onnx_loop *l, struct ir_value *cond_next, struct ir_value *const *next, struct ir_value *const *stacked, unsigned n_stacked, struct ir_value **out)
{
  struct ir_graph *g = l->frame.g;
  unsigned n_in = 2 + l->n_state + l->frame.outer.n;
  struct ir_value **in = IR_NEWN(c->arena, struct ir_value *, n_in);
  bool ok = true;
  ir_push(c->m->arena, &g->results, cond_next ? cond_next : l->cond_in);
  for (unsigned k = 0; k < l->n_state; k++) { ok &= next[k] != NULL; ir_push(c->m->arena, &g->results, next[k]); }
  for (unsigned k = 0; k < n_stacked; k++) { ok &= stacked[k] != NULL; ir_push(c->m->arena, &g->results, stacked[k]); }
  onnx_frame_leave(c);
  if (!ok) return false;
  for (unsigned k = 0; k < n_stacked; k++)
    for (uint32_t s = l->late; s < c->m->late.n; s++)
      for (unsigned d = 0; d < stacked[k]->type->rank; d++)
        if (ir_ix_uses(stacked[k]->type->dim[d], c->m->late.v[s].sym))
          return onnx_bad(c, IR_M0301, "a stacked value is %s, of a size that is computed in each iteration; at run time only one shape is supported", onnx_show(c, stacked[k]));
  in[0] = l->count;
  in[1] = l->cond;
  for (unsigned k = 0; k < l->n_state; k++) in[2 + k] = l->init[k];
  for (uint32_t k = 0; k < l->frame.outer.n; k++) in[2 + l->n_state + k] = l->frame.outer.v[k];
  ir_graph_sweep(g);
  struct ir_attr a[] = { ir_attr_int("carried", l->n_state + 1), { 0 } };
  if (n_stacked) a[1] = ir_attr_ixs(c->m, "trips", &l->trips, 1);
  struct ir_node *n = ir_build_loop(c->b, in, n_in, a, n_stacked ? 2 : 1, g);
  for (unsigned k = 0; n && k < l->n_state + n_stacked; k++) out[k] = n->out[k + 1];
  return n != NULL;
}
