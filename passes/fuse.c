/* fuse: decides which nodes become one sub-graph. Outline makes them.
 *
 * A group has an anchor (a contraction, reduction, window or composite; or none) and grows downwards by maps over the anchor's index space: bias, activation,
 * residual. Movement dissolves into the index expressions of its readers: every reader gets its own copy of the node (outline); a result of the graph has no reader,
 * so what moves elements into it takes the maps that only it reads. Paddings and views take those in front of them. So does widening what is stored in a narrow type. A reduction takes the maps that only it reads; reductions of the same trailing axes and the maps between them are one group of rows (norms, softmax in pieces). Greedy in model order: the greatest gain is always to keep a result in registers, so no cost is compared yet.
 * Legal: no path leaves a group and comes back. Searched over groups upwards, with order numbers as a bound; a search of over 4096 groups counts as a no.
 * Requires: layout. Keeps: values. Result: node->scratch is the node's struct pass_fusion. */
#include "passes/fuse.h"
#include <string.h>

/* A value that is stored in a narrow float type, since an anchor reads it so, widened for a reader: that does it when it loads. */
static bool widens_stored(const struct ir_node *n)
{
  if (n->op != IR_OP_cast) return false;
  const struct ir_value *x = n->in[0];
  bool stored = false;
  if (!ir_elem_narrower(x->type->elem, n->out[0]->type->elem)) return false;
  for (uint32_t i = 0; i < x->uses.n && !stored; i++) {
    enum ir_op op = x->uses.v[i]->op;
    stored = op == IR_OP_dot || op == IR_OP_conv || op == IR_OP_group;     /* outline makes groups of them */
  }
  return stored;
}
bool pass_dissolves(const struct ir_node *n)
{
  if (widens_stored(n)) return true;
  return n->op == IR_OP_reshape || n->op == IR_OP_transpose || n->op == IR_OP_slice || n->op == IR_OP_broadcast || n->op == IR_OP_index;
}
/* A result, or what crosses places, is stored as it is. */
static bool copied_whole(const struct ir_value *v)
{
  bool r = ir_value_is_result(v);
  for (uint32_t i = 0; i < v->uses.n && !r; i++) r = v->uses.v[i]->op == IR_OP_transfer;
  return r;
}
static bool same_dims(const struct ir_type *a, const struct ir_type *b) { return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof *a->dim); }
static struct pass_fusion *group_of(const struct ir_value *v) { return v->def && !pass_is_weight(v) ? v->def->scratch : NULL; }
static void join(struct pass_ctx *c, struct pass_fusion *f, struct ir_node *n)
{
  ir_push(c->m->arena, &f->nodes, n);
  n->scratch = f;
  if (n->order < f->first) f->first = n->order;
  if (n->order > f->last) f->last = n->order;
}
static struct pass_fusion *start(struct pass_ctx *c, struct ir_node *n, bool anchor)
{
  struct pass_fusion *f = IR_NEW(c->m->arena, struct pass_fusion);   /* outline reads it */
  f->first = n->order;
  f->anchor = anchor ? n : NULL;
  join(c, f, n);
  return f;
}

/* ---- legality ---- */
struct search { struct ir_arena *a; IR_VEC(struct ir_node *) todo; uint32_t stamp, seen; };
static void visit(struct search *s, struct ir_value *v, const struct pass_fusion *goal)
{
  struct ir_node *n = v->def;
  if (!n || pass_is_weight(v)) return;
  struct pass_fusion *f = n->scratch;
  if (f ? f->stamp == s->stamp || f->last < goal->first : n->order < goal->first) return;
  if (f) f->stamp = s->stamp;
  ir_push(s->a, &s->todo, n);
  s->seen++;
}
/* Does `from` depend on a node of f? Over-approximates. */
static bool depends(struct pass_ctx *c, struct ir_value *from, const struct pass_fusion *f)
{
  static _Thread_local uint32_t stamp;
  struct search s = { .a = c->scratch, .stamp = ++stamp };
  visit(&s, from, f);
  while (s.todo.n && s.seen < 4096) {
    struct ir_node *n = s.todo.v[--s.todo.n];
    struct pass_fusion *g = n->scratch;
    if (g == f) return true;
    if (!g)
      for (unsigned i = 0; i < n->n_in; i++) visit(&s, n->in[i], f);
    for (uint32_t k = 0; g && k < g->nodes.n; k++)
      for (unsigned i = 0; i < g->nodes.v[k]->n_in; i++) visit(&s, g->nodes.v[k]->in[i], f);
  }
  return s.todo.n > 0;
}
static bool others_independent(struct pass_ctx *c, struct ir_node *n, const struct pass_fusion *f)
{
  for (unsigned i = 0; i < n->n_in; i++)
    if (group_of(n->in[i]) != f && depends(c, n->in[i], f)) return false;
  return true;
}

/* ---- rows ---- */
/* The axes that n reduces, if they are the last ones: 0 otherwise. */
static uint32_t trailing_axes(const struct ir_node *n)
{
  const int64_t *axes;
  uint32_t set = 0;
  if (n->op != IR_OP_reduce) return 0;
  unsigned k = ir_attr_get_ints(n, "axes", &axes), rank = n->in[0]->type->rank;
  for (unsigned i = 0; i < k; i++) set |= 1u << axes[i];
  return k && set == ((1u << rank) - 1) >> (rank - k) << (rank - k) ? set : 0;
}
/* Of the whole row, or one value a row. */
static bool of_row(const struct pass_fusion *f, const struct ir_type *t)
{
  if (t->rank != f->row->rank) return false;
  bool full = true, one = true;
  for (unsigned d = 0; d < t->rank; d++) {
    full &= t->dim[d] == f->row->dim[d];
    one &= f->reduced >> d & 1 ? ir_ix_is(t->dim[d], 1) : t->dim[d] == f->row->dim[d];
  }
  return full || one;
}
static bool same_place(const struct pass_fusion *f, const struct ir_node *n) { return !strcmp(f->nodes.v[0]->place ? f->nodes.v[0]->place : "", n->place ? n->place : ""); }

/* ---- joining ---- */
/* Will r, a reader of a value of f, end up in f? It is a map over the same space, and each operand is in f already, will be, is n (which is about to join), or
 * does not depend on f at all. Chains longer than a few nodes count as a no. */
static bool will_join(struct pass_ctx *c, const struct ir_node *r, const struct ir_node *n, const struct pass_fusion *f, const struct ir_type *space, unsigned depth)
{
  if (r == n || r->scratch == f) return true;
  if (!depth || ir_op_def(r->op)->class != IR_C_MAP || !same_dims(r->out[0]->type, space)) return false;
  for (unsigned i = 0; i < r->n_in; i++) {
    struct ir_value *o = r->in[i];
    if (pass_is_weight(o) || group_of(o) == f || !depends(c, o, f)) continue;
    if (!o->def || !will_join(c, o->def, n, f, space, depth - 1)) return false;
  }
  return true;
}
/* Every reader of v will be in f, so v is never stored. */
static bool readers_follow(struct pass_ctx *c, const struct ir_value *v, const struct ir_node *n, const struct pass_fusion *f)
{
  if (ir_value_is_result(v)) return false;
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (!will_join(c, v->uses.v[i], n, f, v->type, 6)) return false;
  return true;
}
static bool takes_maps(const struct pass_fusion *f) { return f->nodes.v[0]->op != IR_OP_copy && !pass_is_step(f->nodes.v[0]); }
/* A group stands on one side of every bind: what reads a size that is bound there comes behind it without an edge that says so. */
static bool bind_between(const struct pass_ctx *c, uint32_t a, uint32_t b)
{
  for (uint32_t i = 0; i < c->n_binds; i++)
    if ((c->binds[i] > a) != (c->binds[i] > b)) return true;
  return false;
}
/* Maps without anchor of which only n reads the one result are computed where n is. */
static void take_maps(struct pass_ctx *c, struct pass_fusion *f, struct ir_value *v)
{
  struct pass_fusion *p = group_of(v);
  if (!p || p == f || p->anchor || bind_between(c, p->first, f->first) || !takes_maps(p) || !same_place(p, f->nodes.v[0]) || !pass_one_use(v) || f->nodes.n + p->nodes.n > 64) return;
  for (uint32_t k = 0; k < p->nodes.n; k++) {
    struct ir_node *m = p->nodes.v[k];
    if (ir_op_def(m->op)->class != IR_C_MAP || (m->out[0] != v && (m->out[0]->uses.n != 1 || ir_value_is_result(m->out[0])))) return;
    for (unsigned i = 0; i < m->n_in; i++)
      if (group_of(m->in[i]) != p && group_of(m->in[i]) != f && depends(c, m->in[i], f)) return;
  }
  for (uint32_t k = 0; k < p->nodes.n; k++) join(c, f, p->nodes.v[k]);
  p->nodes.n = 0;
}
static bool only_moves(const struct pass_fusion *f)
{
  for (uint32_t k = 0; k < f->nodes.n; k++)
    if (f->nodes.v[k]->op != IR_OP_pad && f->nodes.v[k]->op != IR_OP_view) return false;
  return true;
}
/* Paddings and views that only n, another one, reads: n reads at its own places through theirs. */
static void take_moves(struct pass_ctx *c, struct pass_fusion *f, const struct ir_node *n)
{
  struct pass_fusion *p = group_of(n->in[0]);
  if (!p || !only_moves(p) || bind_between(c, p->first, f->first) || !same_place(p, n) || !pass_one_use(n->in[0]) || f->nodes.n + p->nodes.n > 64) return;
  for (uint32_t k = 0; k < p->nodes.n; k++) join(c, f, p->nodes.v[k]);
  p->nodes.n = 0;
}
static bool join_producer(struct pass_ctx *c, struct ir_node *n)
{
  struct pass_fusion *best = NULL;
  for (unsigned i = 0; i < n->n_in; i++) {
    struct pass_fusion *f = group_of(n->in[i]);
    if (!f || !takes_maps(f) || !same_place(f, n) || bind_between(c, f->first, n->order)) continue;
    bool row = f->row && of_row(f, n->out[0]->type);
    if (!row && (!same_dims(n->in[i]->type, n->out[0]->type) || !readers_follow(c, n->in[i], n, f))) continue;
    bool worse = best && ((best->anchor && !f->anchor) || (!best->anchor == !f->anchor && best->last > f->last));
    if (f->nodes.n >= 64 || worse || !others_independent(c, n, f)) continue;
    best = f;
  }
  if (!best) return false;
  join(c, best, n);
  for (unsigned i = 0; i < n->n_in && best->anchor; i++)
    if (same_dims(n->in[i]->type, n->out[0]->type)) take_maps(c, best, n->in[i]);
  return true;
}
/* Another reduction of the same rows. */
static bool join_row(struct pass_ctx *c, struct ir_node *n)
{
  struct pass_fusion *f = group_of(n->in[0]);
  uint32_t axes = trailing_axes(n);
  if (!f || !axes || !f->row || f->reduced != axes || !same_dims(n->in[0]->type, f->row) || !same_place(f, n) || f->nodes.n >= 64 || bind_between(c, f->first, n->order)) return false;
  join(c, f, n);
  return true;
}
void pass_fuse_node(struct pass_ctx *c, struct ir_node *n)
{
  if (n->op == IR_OP_const || pass_is_weight(n->out[0])) return;
  if (pass_dissolves(n) && !copied_whole(n->out[0])) return;
  enum ir_op_class k = ir_op_def(n->op)->class;
  if (k == IR_C_MAP && join_producer(c, n)) { c->changed = true; return; }
  if (k == IR_C_ANCHOR && join_row(c, n)) { c->changed = true; return; }
  struct pass_fusion *f = start(c, n, k == IR_C_ANCHOR || k == IR_C_REGION);
  f->reduced = trailing_axes(n);
  f->row = f->reduced ? n->in[0]->type : NULL;
  bool moves = n->op == IR_OP_reshape || n->op == IR_OP_transpose || n->op == IR_OP_slice;       /* a result: it has no reader to dissolve into */
  if (n->op == IR_OP_reduce || moves) take_maps(c, f, n->in[0]);
  if (n->op == IR_OP_pad || n->op == IR_OP_view) take_moves(c, f, n);
}
bool pass_fuse(struct pass_ctx *c)
{
  struct ir_graph *g = c->m->main;
  ir_graph_order(g);
  IR_VEC(uint32_t) binds = { 0 };
  for (struct ir_node *n = g->first; n; n = n->next) {
    n->scratch = NULL;
    if (n->op == IR_OP_bind) ir_push(c->scratch, &binds, n->order);
  }
  c->binds = binds.v;
  c->n_binds = binds.n;
  for (struct ir_node *n = g->first; n; n = n->next) pass_fuse_node(c, n);
  c->n_binds = 0;
  return true;
}
