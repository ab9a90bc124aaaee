/* widen: contractions of one operand with different weights become one contraction with the weights side by side; the results are slices of its result.
 * Query, key and value of an attention read their input once then, and the tile is wider. Slices dissolve into the index expressions of their readers.
 * Biases come along when every sibling has one; siblings whose results go into other maps stay apart, since a map fuses with its own contraction only.
 * Then values that are only rounded, in slices, heads or max pools, are rounded where they are made.
 * Requires: simplify (one spelling of weights and biases). Keeps: every value, bit for bit. */
#include "passes/internal.h"
#include <string.h>

enum { MAX_SIBLINGS = 8 };
struct family { struct ir_node *dot[MAX_SIBLINGS], *bias[MAX_SIBLINGS]; unsigned n, w_axis, r_axis; };

/* The one label of the weight that is in the result: its axis in both. */
static bool free_axis(const struct ir_node *n, unsigned *w_axis, unsigned *r_axis)
{
  const char *spec = ir_attr_get_str(n, "spec"), *y = strchr(spec, ',') + 1, *r = strstr(spec, "->") + 2;
  unsigned found = 0;
  for (unsigned i = 0; y[i] != '-'; i++) {
    const char *at = strchr(r, y[i]);
    if (!at) continue;
    found++;
    *w_axis = i;
    *r_axis = (unsigned)(at - r);
  }
  return found == 1 && !memchr(spec, r[*r_axis], (size_t)(y - 1 - spec));
}
/* The only reader, if it adds a weight that varies along the axis at most. */
static struct ir_node *bias_of(const struct ir_node *dot, unsigned r_axis)
{
  const struct ir_value *v = dot->out[0];
  struct ir_value *x;
  if (!pass_one_use(v) || v->uses.v[0]->op != IR_OP_add || v->uses.v[0]->out[0]->type != v->type) return NULL;
  struct ir_value *w = pass_weight_operand(v->uses.v[0], &x);
  if (!w) return NULL;
  for (unsigned d = 0; d < w->type->rank; d++)
    if (d != r_axis && !ir_ix_is(w->type->dim[d], 1)) return NULL;
  return w->type->rank && w->type->dim[r_axis] == v->type->dim[r_axis] ? v->uses.v[0] : NULL;
}
static bool read_by_map(const struct ir_value *v)
{
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (ir_op_def(v->uses.v[i]->op)->class == IR_C_MAP) return true;
  return false;
}
static bool alike(const struct ir_node *a, const struct ir_node *b, unsigned w_axis)
{
  if (strcmp(ir_attr_get_str(a, "spec"), ir_attr_get_str(b, "spec")) || a->in[0] != b->in[0]) return false;
  const struct ir_type *x = a->in[1]->type, *y = b->in[1]->type;
  for (unsigned d = 0; d < x->rank; d++)
    if (d != w_axis && x->dim[d] != y->dim[d]) return false;
  return true;
}
static bool find_family(struct ir_node *n, struct family *f)
{
  *f = (struct family){ 0 };
  if (n->op != IR_OP_dot || !pass_is_weight(n->in[1]) || !free_axis(n, &f->w_axis, &f->r_axis)) return false;
  bool biased = bias_of(n, f->r_axis) != NULL;
  for (uint32_t i = 0; i < n->in[0]->uses.n && f->n < MAX_SIBLINGS; i++) {
    struct ir_node *d = n->in[0]->uses.v[i];
    if (d->op != IR_OP_dot || d->in[1] == n->in[0] || !pass_is_weight(d->in[1]) || !alike(n, d, f->w_axis) || ir_value_is_result(d->out[0])) continue;
    struct ir_node *b = bias_of(d, f->r_axis);
    if ((b != NULL) != biased || (biased ? ir_value_is_result(b->out[0]) || read_by_map(b->out[0]) : read_by_map(d->out[0]))) continue;
    f->dot[f->n] = d;
    f->bias[f->n++] = b;
  }
  return f->n > 1 && f->dot[0] == n;
}
/* Weights depend on weights only, so they may move up. Depth: the few nodes that make a weight. */
static void hoist(struct ir_value *v, struct ir_node *at)
{
  if (!v->def || v->def->order < at->order) return;
  for (unsigned i = 0; i < v->def->n_in; i++) hoist(v->def->in[i], at);
  ir_node_move_before(v->def, at);
}
static struct ir_value *side_by_side(struct ir_builder *b, struct ir_value **v, unsigned n, unsigned axis)
{
  struct ir_attr a = ir_attr_int("axis", axis);
  for (unsigned i = 0; i < n; i++) hoist(v[i], b->at);
  struct ir_value *w = ir_build(b, IR_OP_concat, v, n, &a, 1)->out[0];
  w->weight = true;
  return w;
}
static void merge(struct pass_ctx *c, const struct family *f)
{
  struct ir_node *first = f->dot[0];
  for (unsigned i = 1; i < f->n; i++)
    if (f->dot[i]->order < first->order) first = f->dot[i];
  struct ir_builder b = { .g = first->graph, .at = first };
  struct ir_value *w[MAX_SIBLINGS], *k[MAX_SIBLINGS], *x;
  for (unsigned i = 0; i < f->n; i++) {
    b.prov = ir_prov_union(c->m, b.prov, f->dot[i]->prov);
    w[i] = f->dot[i]->in[1];
    if (f->bias[i]) {
      b.prov = ir_prov_union(c->m, b.prov, f->bias[i]->prov);
      k[i] = pass_weight_operand(f->bias[i], &x);
    }
  }
  struct ir_value *in[] = { first->in[0], side_by_side(&b, w, f->n, f->w_axis) };
  struct ir_value *y = ir_build(&b, IR_OP_dot, in, 2, first->attr, first->n_attr)->out[0];
  if (f->bias[0]) y = ir_map2(&b, IR_OP_add, y, side_by_side(&b, k, f->n, f->r_axis));
  const struct ir_ix *start[IR_MAX_RANK], *at = ir_ix_int(c->m->ixs, 0);
  int64_t step[IR_MAX_RANK];
  for (unsigned d = 0; d < y->type->rank; d++) { start[d] = ir_ix_int(c->m->ixs, 0); step[d] = 1; }
  for (unsigned i = 0; i < f->n; i++) {
    struct ir_node *old = f->bias[i] ? f->bias[i] : f->dot[i];
    const struct ir_type *t = old->out[0]->type;
    start[f->r_axis] = at;
    struct ir_attr a[] = { ir_attr_ixs(c->m, "start", start, t->rank), ir_attr_ints(c->m, "step", step, t->rank), ir_attr_ixs(c->m, "dims", t->dim, t->rank) };
    pass_replace(c, old, ir_build(&b, IR_OP_slice, &y, 1, a, 3)->out[0]);
    at = ir_ix_add(at, t->dim[f->r_axis]);
  }
}
/* ---- rounding in front of movement ---- */
/* The largest of rounded values is the rounded largest: where kernels read halves as fast as floats (the processor's do not), a max pool counts as movement. */
static bool moves(const struct pass_ctx *c, const struct ir_node *n)
{
  if (n->op == IR_OP_window) return c->target && c->target->channels_last && !strcmp(ir_attr_get_str(n, "op"), "max");
  return n->op == IR_OP_slice || n->op == IR_OP_reshape || n->op == IR_OP_transpose;
}
/* Does all that becomes of v round it to one narrower float type, movement aside? Depth: the few movements that simplify leaves. */
static bool only_rounded(const struct pass_ctx *c, const struct ir_value *v, enum ir_elem *to, unsigned depth)
{
  if (!depth || !v->uses.n || ir_value_is_result(v)) return false;
  for (uint32_t i = 0; i < v->uses.n; i++) {
    const struct ir_node *u = v->uses.v[i];
    if (moves(c, u) && only_rounded(c, u->out[0], to, depth - 1)) continue;
    if (u->op != IR_OP_cast || !ir_elem_narrower(u->out[0]->type->elem, v->type->elem)) return false;
    if (*to != IR_ELEM_COUNT && *to != u->out[0]->type->elem) return false;
    *to = u->out[0]->type->elem;
  }
  return true;
}
/* The same movement of r, which is the rounded operand of m; the casts behind it are gone then. */
static void follow(struct pass_ctx *c, struct ir_node *m, struct ir_value *r)
{
  struct ir_builder b = pass_at(m);
  struct ir_value *v = ir_build(&b, m->op, &r, 1, m->attr, m->n_attr)->out[0];
  for (uint32_t n = m->out[0]->uses.n; n-- > 0;) {
    struct ir_node *u = m->out[0]->uses.v[n];
    if (moves(c, u)) follow(c, u, v);
    else pass_replace(c, u, v);
  }
}
/* Where all readers take slices or heads of a value and round them, the value itself is rounded: it is stored in the narrow type, and movement dissolves. */
static void round_first(struct pass_ctx *c, struct ir_node *n)
{
  struct ir_value *v = n->n_out == 1 ? n->out[0] : NULL;
  enum ir_elem to = IR_ELEM_COUNT;                /* none yet */
  bool moved = false;
  if (!v || pass_is_weight(v) || moves(c, n) || ir_elem_class(v->type->elem) != 'F' || !only_rounded(c, v, &to, 6)) return;
  for (uint32_t i = 0; i < v->uses.n; i++) moved |= moves(c, v->uses.v[i]);
  if (!moved) return;
  struct ir_node **u = IR_NEWN(c->scratch, struct ir_node *, v->uses.n);
  uint32_t k = v->uses.n;
  for (uint32_t i = 0; i < k; i++) u[i] = v->uses.v[i];
  struct ir_builder b = { .g = n->graph, .at = n->next, .prov = u[0]->prov };
  struct ir_value *r = ir_cast(&b, v, to);
  for (uint32_t i = 0; i < k; i++)
    if (u[i]->op == IR_OP_cast && u[i]->out[0] != r) pass_replace(c, u[i], r);
    else if (moves(c, u[i])) follow(c, u[i], r);
  c->changed = true;
}
bool pass_widen(struct pass_ctx *c)
{
  struct family f;
  ir_graph_order(c->m->main);
  for (struct ir_node *n = c->m->main->first; n;) {
    if (!find_family(n, &f)) { n = n->next; continue; }
    merge(c, &f);
    ir_graph_sweep(c->m->main);         /* the siblings are gone, n with them */
    n = c->m->main->first;
  }
  for (struct ir_node *n = c->m->main->first; n; n = n->next) round_first(c, n);
  ir_graph_sweep(c->m->main);
  return pass_fold(c);
}
