/* simplify_index: integers and truth values that depend on their place alone.
 *
 * Masks and positions reach us as arithmetic on ranges: Range, Unsqueeze, Expand, GatherND, LessOrEqual. Each such value is a function of its coordinates, so it becomes
 * one `index` node whose expression says so, node by node from its operands'; what is then known for certain falls away. Views at known places lose their
 * index operands, and become reshapes and broadcasts where their map is one. It goes no further than i64 and bool: there no arithmetic wraps that a size could cause. */
#include "passes/internal.h"
#include <string.h>

enum { MAX_TERMS = 12 };               /* of an expression that stands for nodes */

static const struct ir_ix *coord(const struct pass_ctx *c, unsigned d) { return ir_ix_coord(c->m->ixs, d); }
static void facts_of(struct pass_ctx *c, const struct ir_type *t, uint32_t *mark)
{
  *mark = ir_facts_mark(&c->m->facts);
  for (unsigned d = 0; d < t->rank; d++) ir_facts_push(&c->m->facts, ir_ix_sub(ir_ix_addi(t->dim[d], -1), coord(c, d)));
}
/* e where each coordinate that only makes it larger is at its end: a bound that no product of symbols hides from the prover. */
static const struct ir_ix *at_most(struct pass_ctx *c, const struct ir_type *t, const struct ir_ix *e)
{
  const struct ir_ix *co, *rest;
  for (unsigned d = 0; d < t->rank; d++)
    if (ir_ix_linear(e, coord(c, d), &co, &rest) && ir_known_ge0(&c->m->facts, co)) e = ir_ix_subst1(e, coord(c, d), ir_ix_addi(t->dim[d], -1));
  return e;
}
/* Is 0 <= e <= hi wherever an element of t lies? NULL: no bound. */
static bool within(struct pass_ctx *c, const struct ir_type *t, const struct ir_ix *e, const struct ir_ix *hi)
{
  uint32_t mark;
  facts_of(c, t, &mark);
  bool yes = ir_known_ge0(&c->m->facts, e) && (!hi || ir_known_ge0(&c->m->facts, ir_ix_sub(hi, at_most(c, t, e))));
  ir_facts_reset(&c->m->facts, mark);
  return yes;
}
/* e with what the coordinates' ranges decide, free of the coordinates of unit dims. */
static const struct ir_ix *settled(struct pass_ctx *c, const struct ir_type *t, const struct ir_ix *e)
{
  uint32_t mark;
  for (unsigned d = 0; d < t->rank; d++)
    if (ir_ix_is(t->dim[d], 1)) e = ir_ix_subst1(e, coord(c, d), ir_ix_int(c->m->ixs, 0));
  facts_of(c, t, &mark);
  e = ir_ix_simplify(&c->m->facts, e);
  ir_facts_reset(&c->m->facts, mark);
  return e;
}
/* A stored triangle of ones (or of zeros) below its diagonal, as models keep causal masks: [j <= i + k] for row i and column j. */
static const struct ir_ix *triangle(struct pass_ctx *c, const struct ir_value *v)
{
  const struct ir_type *t = v->type;
  const unsigned char *p = v->def->data->p;
  int64_t dim[IR_MAX_RANK], elems, k = 0;
  if (t->elem != IR_bool || v->def->data->kind != IR_DATA_BYTES || t->rank < 2 || !ir_type_static(t, dim, &elems)) return NULL;
  int64_t rows = dim[t->rank - 2], cols = dim[t->rank - 1];
  if (!elems || elems != rows * cols) return NULL;
  while (k < cols && !p[k] == !p[0]) k++;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++)
      if ((!p[i * cols + j] == !p[0]) != (j < i + k)) return NULL;
  const struct ir_ix *below = ir_ix_ge0(ir_ix_addi(ir_ix_sub(coord(c, t->rank - 2), coord(c, t->rank - 1)), k - 1));
  return settled(c, t, p[0] ? below : ir_ix_addi(ir_ix_neg(below), 1));
}
/* v[c] as an expression in c; NULL: not known. */
static const struct ir_ix *known(struct pass_ctx *c, const struct ir_value *v)
{
  const struct ir_type *t = v->type;
  if (t->elem != IR_i64 && t->elem != IR_bool) return NULL;
  if (pass_has_op(v, IR_OP_const) && v->def->data->kind == IR_DATA_SPLAT) return ir_ix_int(c->m->ixs, v->def->data->splat_i);
  if (v->form && v->form_n == 1) return v->form[0];
  if (pass_has_op(v, IR_OP_const)) return triangle(c, v);
  if (!pass_has_op(v, IR_OP_index)) return NULL;
  const struct ir_attr *e = ir_attr_find(v->def, "e");
  return e->n == 1 ? settled(c, t, e->ix[0]) : NULL;
}
static const struct ir_ix *truth(const struct ir_ix *e) { return ir_ix_addi(ir_ix_neg(ir_ix_eq0(e)), 1); }

/* ---- arithmetic ---- */
static const struct ir_ix *map_of(const struct ir_node *n, const struct ir_ix *const *a)
{
  bool logic = n->in[n->n_in - 1]->type->elem == IR_bool;
  switch (n->op) {
  case IR_OP_not: return logic ? ir_ix_addi(ir_ix_neg(a[0]), 1) : NULL;
  case IR_OP_neg: return logic ? NULL : ir_ix_neg(a[0]);
  case IR_OP_add: return logic ? NULL : ir_ix_add(a[0], a[1]);
  case IR_OP_sub: return logic ? NULL : ir_ix_sub(a[0], a[1]);
  case IR_OP_mul: return logic ? NULL : ir_ix_mul(a[0], a[1]);
  case IR_OP_min: return ir_ix_min(a[0], a[1]);
  case IR_OP_max: return ir_ix_max(a[0], a[1]);
  case IR_OP_eq: return ir_ix_eq0(ir_ix_sub(a[0], a[1]));
  case IR_OP_lt: return ir_ix_lt(a[0], a[1]);
  case IR_OP_le: return ir_ix_le(a[0], a[1]);
  case IR_OP_and: return logic ? ir_ix_mul(a[0], a[1]) : NULL;
  case IR_OP_or: return logic ? ir_ix_sub(ir_ix_add(a[0], a[1]), ir_ix_mul(a[0], a[1])) : NULL;
  case IR_OP_select: return ir_ix_select(a[0], a[1], a[2]);
  case IR_OP_cast: return n->out[0]->type->elem == IR_bool && !logic ? truth(a[0]) : a[0];
  default: return NULL;
  }
}

/* ---- movement: where an element of the result comes from ---- */
/* Dims that are not 1 are the same ones in the same order: each coordinate of x in those of r. */
static bool unit_dims_only(struct pass_ctx *c, const struct ir_type *x, const struct ir_type *r, const struct ir_ix **at)
{
  unsigned k = 0;
  for (unsigned d = 0; d < x->rank; d++) {
    at[d] = ir_ix_int(c->m->ixs, 0);
    if (ir_ix_is(x->dim[d], 1)) continue;
    while (k < r->rank && ir_ix_is(r->dim[k], 1)) k++;
    if (k == r->rank || r->dim[k] != x->dim[d]) return false;
    at[d] = coord(c, k++);
  }
  while (k < r->rank && ir_ix_is(r->dim[k], 1)) k++;
  return k == r->rank;
}
static const struct ir_ix *attr_at(struct pass_ctx *c, const struct ir_node *n, const char *key, unsigned d)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  return a->kind == IR_A_IXS ? a->ix[d] : ir_ix_int(c->m->ixs, a->is[d]);
}
/* The coordinates of the one operand that n reads at its own c0..; false: not such a node. */
static bool source(struct pass_ctx *c, const struct ir_node *n, const struct ir_ix **at)
{
  const struct ir_type *x = n->in[0]->type, *r = n->out[0]->type;
  const int64_t *perm;
  switch (n->op) {
  case IR_OP_reshape: return unit_dims_only(c, x, r, at);
  case IR_OP_transpose:
    ir_attr_get_ints(n, "perm", &perm);
    for (unsigned d = 0; d < x->rank; d++) at[perm[d]] = coord(c, d);
    return true;
  case IR_OP_broadcast:
    for (unsigned d = 0; d < x->rank; d++) at[d] = coord(c, d + r->rank - x->rank);
    return true;
  case IR_OP_slice:
    for (unsigned d = 0; d < x->rank; d++) at[d] = ir_ix_add(attr_at(c, n, "start", d), ir_ix_mul(attr_at(c, n, "step", d), coord(c, d)));
    return true;
  default: return false;
  }
}
static const struct ir_ix *read_at(struct pass_ctx *c, const struct ir_type *x, const struct ir_ix *e, const struct ir_ix *const *at)
{
  const struct ir_ix *from[IR_MAX_RANK];
  for (unsigned d = 0; d < x->rank; d++) from[d] = coord(c, d);
  return x->rank ? ir_ix_subst(e, from, at, x->rank) : e;
}
/* Pieces side by side; one of a single element that another one's expression continues needs no case of its own. */
static const struct ir_ix *concat_of(struct pass_ctx *c, const struct ir_node *n, const struct ir_ix *const *a)
{
  const struct ir_ix *x = coord(c, (unsigned)ir_attr_get_int(n, "axis")), *from = ir_ix_int(c->m->ixs, 0), *e = NULL;
  unsigned axis = (unsigned)ir_attr_get_int(n, "axis");
  for (unsigned i = 0; i < n->n_in; i++) {
    const struct ir_ix *part = ir_ix_subst1(a[i], x, ir_ix_sub(x, from)), *size = n->in[i]->type->dim[axis], *last = ir_ix_addi(from, -1);
    bool one = ir_ix_is(size, 1), first_one = ir_ix_is(from, 1);
    if (!e || e == part || (first_one && ir_ix_subst1(part, x, last) == ir_ix_subst1(e, x, last))) e = part;
    else if (!one || ir_ix_subst1(part, x, from) != ir_ix_subst1(e, x, from)) e = ir_ix_select(ir_ix_lt(x, from), e, part);
    from = ir_ix_add(from, size);
  }
  return e;
}
static const struct ir_ix *prefix_of(struct pass_ctx *c, const struct ir_node *n, const struct ir_ix *e)
{
  unsigned axis = (unsigned)ir_attr_get_int(n, "axis");
  bool excl = ir_attr_get_int(n, "exclusive"), rev = ir_attr_get_int(n, "reverse");
  const struct ir_ix *x = coord(c, axis);
  if (strcmp(ir_attr_get_str(n, "op"), "sum") || ir_ix_uses(e, x)) return NULL;
  if (rev) x = ir_ix_sub(ir_ix_addi(n->out[0]->type->dim[axis], -1), x);
  return ir_ix_mul(e, ir_ix_addi(x, !excl));
}
/* Places of gather and view in c0.. of the result, when every index is known and none counts from the end. Not yet held inside. */
static bool places(struct pass_ctx *c, const struct ir_node *n, const struct ir_ix **at)
{
  const struct ir_type *x = n->in[0]->type, *r = n->out[0]->type;
  if (n->op == IR_OP_gather) {
    const struct ir_type *i = n->in[1]->type;
    unsigned axis = (unsigned)ir_attr_get_int(n, "axis");
    const struct ir_ix *e = known(c, n->in[1]), *to[IR_MAX_RANK];
    if (!e) return false;
    for (unsigned d = 0; d < i->rank; d++) to[d] = coord(c, d + axis);
    e = read_at(c, i, e, to);
    if (!within(c, r, e, NULL)) return false;
    for (unsigned d = 0; d < x->rank; d++) at[d] = d < axis ? coord(c, d) : d == axis ? e : coord(c, d - 1 + i->rank);
    return true;
  }
  const struct ir_attr *map = ir_attr_find(n, "map");
  const struct ir_ix *from[IR_IX_COORDS], *to[IR_IX_COORDS];
  if (n->op != IR_OP_view || !map) return false;
  for (unsigned i = 1; i < n->n_in; i++) {
    from[i - 1] = coord(c, r->rank + i - 1);
    to[i - 1] = known(c, n->in[i]);
    if (!to[i - 1] || !within(c, r, to[i - 1], NULL)) return false;
  }
  for (unsigned d = 0; d < x->rank; d++) at[d] = n->n_in > 1 ? ir_ix_subst(map->ix[d], from, to, n->n_in - 1) : map->ix[d];
  return true;
}
static bool inside(struct pass_ctx *c, const struct ir_node *n, const struct ir_ix *const *at)
{
  for (unsigned d = 0; d < n->in[0]->type->rank; d++)
    if (!within(c, n->out[0]->type, at[d], ir_ix_addi(n->in[0]->type->dim[d], -1))) return false;
  return true;
}

/* ---- what nodes become ---- */
static const struct ir_ix *value_of(struct pass_ctx *c, struct ir_node *n)
{
  const struct ir_ix *a[64], *at[IR_MAX_RANK];
  if (!n->n_in || n->n_in > 64) return NULL;
  int64_t k;
  a[0] = known(c, n->in[0]);
  if ((n->op == IR_OP_view || n->op == IR_OP_gather) && a[0] && ir_ix_const(a[0], &k)) return a[0];     /* wherever it reads */
  for (unsigned i = 1; i < n->n_in && a[0]; i++)
    if (!(a[i] = known(c, n->in[i]))) return NULL;
  if (!a[0]) return NULL;
  if (ir_op_is_map(n->op) || n->op == IR_OP_cast) return map_of(n, a);
  if (n->op == IR_OP_concat) return concat_of(c, n, a);
  if (n->op == IR_OP_prefix) return prefix_of(c, n, a[0]);
  if (source(c, n, at)) return read_at(c, n->in[0]->type, a[0], at);
  if (places(c, n, at) && inside(c, n, at)) return read_at(c, n->in[0]->type, a[0], at);
  return NULL;
}
static struct ir_value *index_node(struct pass_ctx *c, struct ir_node *n, const struct ir_ix *e)
{
  const struct ir_type *t = n->out[0]->type;
  struct ir_attr a[] = { ir_attr_elem("elem", t->elem), ir_attr_ixs(c->m, "e", &e, 1), ir_attr_ixs(c->m, "dims", t->dim, t->rank) };
  struct ir_builder b = pass_at(n);
  return ir_build(&b, IR_OP_index, NULL, 0, a, 3)->out[0];
}
struct ir_value *pass_known_elements(struct pass_ctx *c, struct ir_node *n)
{
  const struct ir_type *t = n->out[0]->type;
  if ((t->elem != IR_i64 && t->elem != IR_bool) || n->op == IR_OP_index || pass_is_weight(n->out[0])) return NULL;
  const struct ir_ix *e = n->out[0]->form && n->out[0]->form_n == 1 ? n->out[0]->form[0] : value_of(c, n);
  if (!e) return NULL;
  e = settled(c, t, e);
  return ir_ix_nterms(e) > MAX_TERMS || ir_ix_overflowed(e) ? NULL : index_node(c, n, e);
}
/* and, or with a known side; not of not; select on a known test. */
struct ir_value *pass_known_truth(struct pass_ctx *c, struct ir_node *n)
{
  const struct ir_type *t = n->out[0]->type;
  struct ir_value *x = NULL;
  int64_t k;
  if (n->op == IR_OP_not && pass_has_op(n->in[0], IR_OP_not)) return n->in[0]->def->in[0];
  if ((n->op == IR_OP_and || n->op == IR_OP_or) && t->elem == IR_bool)
    for (unsigned i = 0; i < 2 && !x; i++) {
      const struct ir_ix *e = known(c, n->in[i]);
      if (!e || !ir_ix_const(e, &k)) continue;
      if ((k != 0) != (n->op == IR_OP_and)) return index_node(c, n, e);
      x = n->in[1 - i];
    }
  if (n->op == IR_OP_select) {
    const struct ir_ix *e = known(c, n->in[0]);
    if (e && ir_ix_const(e, &k)) x = n->in[k ? 1 : 2];
  }
  if (!x) return NULL;
  struct ir_builder b = pass_at(n);
  return ir_broadcast(&b, x, t->rank, t->dim);
}

/* A view whose map is c<k> on growing axes, each of its operand's size, or 0: unit dims put in, and a broadcast. */
static struct ir_value *plain_view(struct pass_ctx *c, struct ir_node *n, const struct ir_ix *const *at)
{
  const struct ir_type *x = n->in[0]->type, *r = n->out[0]->type;
  const struct ir_ix *dim[IR_MAX_RANK];
  unsigned k = 0;
  for (unsigned d = 0; d < r->rank; d++) dim[d] = ir_ix_int(c->m->ixs, 1);
  for (unsigned d = 0; d < x->rank; d++) {
    if (ir_ix_is(x->dim[d], 1)) continue;
    while (k < r->rank && at[d] != coord(c, k)) k++;
    if (k == r->rank || r->dim[k] != x->dim[d]) return NULL;
    dim[k++] = x->dim[d];
  }
  struct ir_builder b = pass_at(n);
  return ir_broadcast(&b, ir_reshape(&b, n->in[0], r->rank, dim), r->rank, r->dim);
}
/* Through a reshape: the number of the element, cut into coordinates anew. */
static bool through_reshape(struct pass_ctx *c, const struct ir_node *n, const struct ir_ix **at)
{
  const struct ir_type *r = n->in[0]->type, *x = n->in[0]->def->in[0]->type;
  const struct ir_ix *number = ir_ix_int(c->m->ixs, 0);
  if (!inside(c, n, at)) return false;
  for (unsigned d = 0; d < r->rank; d++) number = ir_ix_add(ir_ix_mul(number, r->dim[d]), at[d]);
  for (unsigned d = x->rank; d-- > 0;) {
    number = settled(c, n->out[0]->type, number);
    at[d] = d ? settled(c, n->out[0]->type, ir_ix_mod(number, x->dim[d])) : number;
    if (d) number = ir_ix_div(number, x->dim[d]);
    if (ir_ix_overflowed(at[d]) || ir_ix_nterms(at[d]) > MAX_TERMS) return false;
  }
  return true;
}
struct ir_value *pass_known_places(struct pass_ctx *c, struct ir_node *n)
{
  const struct ir_type *r = n->out[0]->type;
  const struct ir_ix *at[IR_MAX_RANK];
  struct ir_value *x = n->in ? n->in[0] : NULL, *v;
  if ((n->op != IR_OP_view && n->op != IR_OP_gather) || ir_elem_class(r->elem) == 'F' || pass_is_weight(x) || !places(c, n, at)) return NULL;
  for (unsigned d = 0; d < x->type->rank; d++) at[d] = settled(c, r, at[d]);
  if (inside(c, n, at) && (v = plain_view(c, n, at))) return v;
  bool deeper = pass_has_op(x, IR_OP_reshape) && !pass_is_weight(x) && through_reshape(c, n, at);
  if (deeper) x = x->def->in[0];
  else if (n->n_in == 1) return NULL;
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", at, x->type->rank), ir_attr_ixs(c->m, "dims", r->dim, r->rank) };
  struct ir_builder b = pass_at(n);
  return ir_build(&b, IR_OP_view, &x, 1, a, 2)->out[0];
}
