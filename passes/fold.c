/* fold: computes constants of at most 64 KiB with the reference evaluator; larger ones stay as nodes, are marked as weights, and are computed once, in slices,
 * when the output is written.
 * Requires: nothing. Keeps: types. Breaks: forms of replaced values (they are constants now). */
#include "passes/internal.h"
#include <string.h>

enum { FOLD_BYTES = 64 << 10 };

static bool all_weights(const struct ir_node *n)
{
  for (unsigned i = 0; i < n->n_in; i++)
    if (!pass_is_weight(n->in[i])) return false;
  return n->n_in > 0;
}
static bool may_fold(const struct ir_node *n)
{
  enum ir_op_class k = ir_op_def(n->op)->class;
  return (k == IR_C_MAP || k == IR_C_MOVE || k == IR_C_ANCHOR) && n->op != IR_OP_transfer && n->n_out == 1 && ir_type_static(n->out[0]->type, NULL, NULL);
}
/* A tensor as a literal, or as a splat when all elements are the same bytes. */
static struct ir_value *literal(struct ir_builder *b, const struct ir_type *t, const struct ir_tensor *x)
{
  struct ir_module *m = b->g->module;
  unsigned size = ir_elem_bytes(t->elem);
  unsigned char *p = ir_arena_alloc(m->arena, (size_t)x->n * size);
  ir_tensor_to_bytes(x, p);
  bool same = x->n > 1;
  for (int64_t i = 1; i < x->n && same; i++) same = !memcmp(p, p + i * size, size);
  if (same || (x->n == 1 && t->rank == 0)) return ir_const_splat(b, t, ir_elem_class(t->elem) == 'F' ? x->f[0] : 0, ir_elem_class(t->elem) == 'F' ? 0 : x->i[0]);
  struct ir_data d = { .kind = IR_DATA_BYTES, .p = p, .bytes = (uint64_t)x->n * size };
  return ir_const_bytes(b, t, &d, NULL);
}
static bool fold_node(struct pass_ctx *c, struct ir_node *n)
{
  int64_t elems;
  struct ir_tensor *x;
  if (!ir_type_static(n->out[0]->type, NULL, &elems) || elems * (int64_t)ir_elem_bytes(n->out[0]->type->elem) > FOLD_BYTES) return false;
  struct ir_arena *a = ir_arena_create();
  bool ok = ir_eval_const(a, n->out[0], UINT64_MAX, &x);
  if (ok) {
    struct ir_builder b = pass_at(n);
    struct ir_value *v = literal(&b, n->out[0]->type, x);
    v->weight = true;
    pass_replace(c, n, v);
  }
  ir_arena_destroy(a);
  return ok;
}
/* Integer content that is known to the last element. */
static bool fold_form(struct pass_ctx *c, struct ir_node *n)
{
  int64_t v[64], dim[IR_MAX_RANK];
  unsigned k;
  const struct ir_value *r = n->n_out == 1 ? n->out[0] : NULL;
  if (!r || n->op == IR_OP_const || !r->form || !ir_type_static(r->type, dim, NULL) || !ir_value_const_ints(r, 64, v, &k)) return false;
  struct ir_builder b = pass_at(n);
  struct ir_value *with = ir_const_ints(&b, r->type->elem, r->type->rank, dim, v);
  with->weight = true;
  pass_replace(c, n, with);
  return true;
}
bool pass_fold(struct pass_ctx *c)
{
  for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
    next = n->next;
    if (n->op == IR_OP_const) { n->out[0]->weight = true; continue; }
    if (fold_form(c, n)) continue;
    if (!may_fold(n) || !all_weights(n)) continue;
    if (!fold_node(c, n)) n->out[0]->weight = true;
  }
  ir_graph_sweep(c->m->main);
  return c->m->diags->errors == 0;
}
