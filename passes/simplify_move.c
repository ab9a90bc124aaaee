/* simplify_move: movement goes towards the results, where it cancels or dissolves into index expressions, and operands come in one order.
 *
 * Broadcasts and reshapes of what a map reads become one of what it computes, so that as little as possible is computed, and contractions see their maps. */
#include "passes/internal.h"
#include <string.h>

static bool is_map(const struct ir_node *n) { return ir_op_def(n->op)->class == IR_C_MAP; }
static struct ir_value *same_map(struct ir_node *n, struct ir_value *const *in)
{
  struct ir_builder b = pass_at(n);
  struct ir_node *r = ir_build(&b, n->op, in, n->n_in, n->attr, n->n_attr);
  return r ? r->out[0] : NULL;
}
/* x with unit dims in front. */
static struct ir_value *lifted(struct ir_node *n, struct ir_value *x, unsigned rank)
{
  const struct ir_ix *dim[IR_MAX_RANK];
  unsigned skip = rank - x->type->rank;
  struct ir_builder b = pass_at(n);
  for (unsigned d = 0; d < rank; d++) dim[d] = d < skip ? ir_ix_int(n->graph->module->ixs, 1) : x->type->dim[d - skip];
  return x->type->rank ? ir_reshape(&b, x, rank, dim) : x;
}
static bool ones_or_equal(const struct ir_type *x, const struct ir_type *r)
{
  for (unsigned d = 0; d < x->rank; d++)
    if (!ir_ix_is(x->dim[d], 1) && x->dim[d] != r->dim[r->rank - x->rank + d]) return false;
  return true;
}
/* map(broadcast(x), y) = broadcast(map(x, y)), or just map(x, y) */
struct ir_value *pass_map_of_broadcast(struct pass_ctx *c, struct ir_node *n)
{
  struct ir_value *in[3], *v;
  const struct ir_type *t = n->out[0]->type;
  bool any = false;
  (void)c;
  if (!is_map(n)) return NULL;
  for (unsigned i = 0; i < n->n_in; i++) {
    in[i] = n->in[i];
    if (!pass_has_op(in[i], IR_OP_broadcast) || !ones_or_equal(in[i]->def->in[0]->type, t)) continue;
    in[i] = lifted(n, in[i]->def->in[0], t->rank);
    any = true;
  }
  if (!any || !(v = same_map(n, in))) return NULL;
  struct ir_builder b = pass_at(n);
  v = ir_broadcast(&b, v, t->rank, t->dim);
  return v && v->type == t ? v : NULL;
}
/* A constant of one element has rank 0 beside an operand of the result's rank. */
struct ir_value *pass_unit_splat(struct pass_ctx *c, struct ir_node *n)
{
  struct ir_value *in[3];
  bool any = false;
  (void)c;
  if (!ir_op_is_map(n->op) || n->n_in < 2) return NULL;
  for (unsigned i = 0; i < n->n_in; i++) {
    const struct ir_value *v = in[i] = n->in[i];
    bool one = pass_has_op(v, IR_OP_const) && v->def->data->kind == IR_DATA_SPLAT && v->type->rank;
    for (unsigned d = 0; d < v->type->rank && one; d++) one = ir_ix_is(v->type->dim[d], 1);
    if (!one) continue;
    struct ir_builder b = pass_at(n);
    in[i] = ir_const_splat(&b, ir_type_get(c->m, v->type->elem, 0, NULL), v->def->data->splat, v->def->data->splat_i);
    in[i]->weight = true;
    any = true;
  }
  unsigned rank = 0;
  for (unsigned i = 0; i < n->n_in; i++) rank = in[i]->type->rank > rank ? in[i]->type->rank : rank;
  if (!any || rank != n->out[0]->type->rank) return NULL;
  struct ir_value *v = same_map(n, in);
  return v && v->type == n->out[0]->type ? v : NULL;
}
/* What is known at compile time stands behind what is not. */
struct ir_value *pass_weight_last(struct pass_ctx *c, struct ir_node *n)
{
  (void)c;
  bool commutes = n->op == IR_OP_add || n->op == IR_OP_mul || n->op == IR_OP_min || n->op == IR_OP_max || n->op == IR_OP_eq || n->op == IR_OP_and || n->op == IR_OP_or || n->op == IR_OP_xor;
  return commutes && pass_is_weight(n->in[0]) && !pass_is_weight(n->in[1]) ? same_map(n, (struct ir_value *[]){ n->in[1], n->in[0] }) : NULL;
}

/* ---- reshapes that merge neighbours ---- */
bool pass_merged_axes(const struct ir_type *x, const struct ir_type *r, unsigned *first)
{
  unsigned i = 0;
  for (unsigned d = 0; d < r->rank; d++) {
    const struct ir_ix *p = NULL;
    first[d] = i;
    if (ir_ix_is(r->dim[d], 1) && (i == x->rank || !ir_ix_is(x->dim[i], 1))) continue;   /* made of none */
    for (; i < x->rank && p != r->dim[d]; i++) p = p ? ir_ix_mul(p, x->dim[i]) : x->dim[i];
    if (p != r->dim[d]) return false;
  }
  first[r->rank] = i;
  return i == x->rank;
}
/* reshape(transpose(reshape(x))), where the inner one only merges neighbours: their axes move together, and one reshape is left. */
struct ir_value *pass_transpose_of_merged(struct pass_ctx *c, struct ir_node *n)
{
  unsigned first[IR_MAX_RANK + 1], k = 0;
  int64_t perm[IR_MAX_RANK];
  const int64_t *p;
  (void)c;
  if (n->op != IR_OP_reshape || !pass_has_op(n->in[0], IR_OP_transpose) || !pass_has_op(n->in[0]->def->in[0], IR_OP_reshape)) return NULL;
  const struct ir_value *r = n->in[0]->def->in[0];
  struct ir_value *x = r->def->in[0];
  if (!pass_merged_axes(x->type, r->type, first)) return NULL;
  ir_attr_get_ints(n->in[0]->def, "perm", &p);
  for (unsigned d = 0; d < r->type->rank; d++)
    for (unsigned i = first[p[d]]; i < first[p[d] + 1]; i++) perm[k++] = i;
  struct ir_builder b = pass_at(n);
  return ir_reshape(&b, ir_transpose(&b, x, perm), n->out[0]->type->rank, n->out[0]->type->dim);
}
/* w beside values of r's type, as it lies beside those of x's. */
static struct ir_value *beside(struct ir_node *n, struct ir_value *w, const struct ir_type *x, const struct ir_type *r, const unsigned *first)
{
  const struct ir_ix *dim[IR_MAX_RANK], *one = ir_ix_int(n->graph->module->ixs, 1);
  for (unsigned i = 0; i < x->rank; i++) dim[i] = one;
  for (unsigned d = 0; d < w->type->rank; d++) {
    unsigned at = r->rank - w->type->rank + d;
    if (ir_ix_is(w->type->dim[d], 1)) continue;
    if (first[at + 1] - first[at] != 1 && w->type->dim[d] != r->dim[at]) return NULL;
    for (unsigned i = first[at]; i < first[at + 1]; i++) dim[i] = first[at + 1] - first[at] == 1 ? w->type->dim[d] : x->dim[i];
  }
  struct ir_builder b = pass_at(n);
  w = w->type->rank ? ir_reshape(&b, w, x->rank, dim) : w;
  w->weight = true;
  return w;
}
/* map(reshape(x), w) = reshape(map(x, w)), where the reshape only merges neighbours and w is a weight or another such reshape */
struct ir_value *pass_map_of_merged(struct pass_ctx *c, struct ir_node *n)
{
  const struct ir_type *x = NULL, *r = NULL;
  unsigned first[IR_MAX_RANK + 1];
  struct ir_value *in[3], *v;
  (void)c;
  if (!is_map(n)) return NULL;
  for (unsigned i = 0; i < n->n_in; i++) {
    if (pass_is_weight(n->in[i])) continue;
    if (!pass_has_op(n->in[i], IR_OP_reshape)) return NULL;
    const struct ir_type *from = n->in[i]->def->in[0]->type;
    if (x && (from->rank != x->rank || memcmp(from->dim, x->dim, x->rank * sizeof *x->dim))) return NULL;
    if (x && memcmp(n->in[i]->type->dim, r->dim, r->rank * sizeof *r->dim)) return NULL;
    x = from;
    r = n->in[i]->type;
  }
  if (!x || r->rank != n->out[0]->type->rank || memcmp(r->dim, n->out[0]->type->dim, r->rank * sizeof *r->dim) || !pass_merged_axes(x, r, first)) return NULL;
  for (unsigned i = 0; i < n->n_in; i++)
    if (!(in[i] = pass_is_weight(n->in[i]) ? beside(n, n->in[i], x, r, first) : n->in[i]->def->in[0])) return NULL;
  if (!(v = same_map(n, in))) return NULL;
  struct ir_builder b = pass_at(n);
  return ir_reshape(&b, v, r->rank, r->dim);
}
