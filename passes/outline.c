/* outline: every group of fuse becomes a node with a body. At -O0 every node is a group of its own.
 * Movement nodes that dissolve are copied into each group that reads them; composites are inlined in their group's body.
 * Requires: fuse (or -O0). Breaks: scratch. Afterwards the top level holds groups, transfers, and the nodes of weights. */
#include "passes/fuse.h"
#include <stdlib.h>
#include <string.h>

/* Copies of the dissolving nodes above n, for n alone; listed in order. */
static void pull_views(struct pass_ctx *c, struct pass_fusion *f, struct ir_node *n)
{
  for (unsigned i = 0; i < n->n_in; i++) {
    struct ir_node *d = n->in[i]->def;
    if (!d || pass_is_weight(n->in[i]) || d->scratch || !pass_dissolves(d)) continue;
    struct ir_node *copy = ir_node_clone(d, n);
    copy->scratch = f;
    copy->place = n->place;
    ir_node_set_in(n, i, copy->out[0]);
    pull_views(c, f, copy);              /* depth: chains of movement, which simplify has merged */
    ir_push(c->scratch, &f->nodes, copy);
  }
}
static const char *name_of(struct pass_ctx *c, const struct pass_fusion *f)
{
  struct ir_buf b = { 0 };
  const struct ir_node *a = f->anchor;
  if (a) ir_buf_printf(&b, "%s", a->op == IR_OP_composite && a->name ? a->name : ir_op_def(a->op)->name);
  unsigned maps = 0;
  for (uint32_t i = 0; i < f->nodes.n && maps < 4; i++) {
    const struct ir_node *n = f->nodes.v[i];
    if (n == a || n->op == IR_OP_const || pass_dissolves(n)) continue;
    ir_buf_printf(&b, "%s%s", b.n ? "_" : "", ir_op_def(n->op)->name);
    maps++;
  }
  if (!b.n) ir_buf_printf(&b, "%s", ir_op_def(f->nodes.v[0]->op)->name);
  const char *s = ir_arena_strdup(c->m->arena, b.s);
  ir_buf_deinit(&b);
  return s;
}
static void outline(struct pass_ctx *c, struct pass_fusion *f)
{
  f->done = true;
  for (uint32_t i = 0, n = f->nodes.n; i < n; i++) pull_views(c, f, f->nodes.v[i]);
  qsort(f->nodes.v, f->nodes.n, sizeof *f->nodes.v, pass_by_order);
  struct ir_attr anchor = ir_attr_str("anchor", f->anchor ? ir_op_def(f->anchor->op)->name : "map");
  struct ir_node *comp = f->anchor && f->anchor->op == IR_OP_composite ? f->anchor : NULL;
  struct ir_node *g = ir_outline(c->m->main, IR_OP_group, f->nodes.v, f->nodes.n, name_of(c, f));
  g->attr = ir_arena_copy(c->m->arena, &anchor, sizeof anchor);
  g->n_attr = 1;
  if (comp) ir_inline(comp);
}
/* A result that is a weight, a parameter, or another result's value gets a copy of its own, so that every result is written by a group or a transfer. */
static void own_results(struct pass_ctx *c)
{
  struct ir_graph *g = c->m->main;
  for (uint32_t i = 0; i < g->results.n; i++) {
    struct ir_value *v = g->results.v[i];
    bool again = !v->def || pass_is_weight(v) || v->def->op == IR_OP_index || v->def->op == IR_OP_bind;
    for (uint32_t k = 0; k < i && !again; k++) again = g->results.v[k] == v;
    if (!again) continue;
    struct ir_node proto = { .op = IR_OP_copy, .graph = g, .n_in = 1, .in = &v, .place = v->def && v->def->place ? v->def->place : "cpu", .prov = pass_value_prov(v) };
    struct ir_builder b = { .g = g, .prov = proto.prov };
    struct ir_node *copy = ir_build(&b, IR_OP_copy, &v, 1, NULL, 0);
    bool taken = false;
    for (uint32_t k = 0; k < g->results.n && !taken; k++) taken = g->results.v[k] == copy->out[0];
    if (taken) copy = ir_node_clone(copy, NULL);
    copy->place = proto.place;
    copy->out[0]->weight = false;
    copy->out[0]->layout = NULL;
    copy->scratch = NULL;
    g->results.v[i] = copy->out[0];
  }
}
static bool wanted(const struct ir_node *n) { return n->op != IR_OP_const && n->op != IR_OP_group && !pass_is_step(n) && n->n_out && !pass_is_weight(n->out[0]); }
static void single(struct pass_ctx *c, struct ir_node *n)
{
  struct pass_fusion *f = IR_NEW(c->scratch, struct pass_fusion);
  enum ir_op_class k = ir_op_def(n->op)->class;
  f->anchor = k == IR_C_ANCHOR || k == IR_C_REGION ? n : NULL;
  f->first = f->last = n->order;
  ir_push(c->scratch, &f->nodes, n);
  n->scratch = f;
}
void pass_split_group(struct pass_ctx *c, struct ir_node *n, bool fuse_again)
{
  struct pass_nodes nodes = { 0 };
  const char *place = n->place;
  for (struct ir_node *x = n->body[0]->first; x; x = x->next) {
    x->scratch = NULL;
    if (x->op != IR_OP_const && !pass_dissolves(x)) ir_push(c->scratch, &nodes, x);
  }
  ir_inline(n);
  pass_sort_nodes(c, &nodes);
  for (struct ir_node *x = c->m->main->first; x; x = x->next)
    if (x->op == IR_OP_group || pass_is_step(x)) x->scratch = NULL;
  for (uint32_t i = 0; i < nodes.n; i++) {
    nodes.v[i]->place = place;
    if (fuse_again) pass_fuse_node(c, nodes.v[i]);
    else single(c, nodes.v[i]);
  }
  for (uint32_t i = 0; i < nodes.n; i++) {
    struct pass_fusion *f = nodes.v[i]->scratch;
    if (f && !f->done) outline(c, f);
  }
  ir_graph_sweep(c->m->main);
  ir_graph_order(c->m->main);
}
bool pass_outline(struct pass_ctx *c)
{
  struct ir_graph *g = c->m->main;
  if (c->opt->level == 0)
    for (struct ir_node *n = g->first; n; n = n->next) n->scratch = NULL;
  own_results(c);
  ir_graph_order(g);
  IR_VEC(struct pass_fusion *) all = { 0 };
  for (struct ir_node *n = g->first; n; n = n->next) {
    if (!wanted(n)) continue;
    bool dissolves = c->opt->level > 0 && pass_dissolves(n) && !n->scratch;
    if (!n->scratch && !dissolves) single(c, n);
    struct pass_fusion *f = n->scratch;
    if (f && !f->done) { f->done = true; ir_push(c->scratch, &all, f); }
  }
  for (uint32_t i = 0; i < all.n; i++) outline(c, all.v[i]);
  ir_graph_sweep(g);
  ir_graph_order(g);
  c->changed = true;
  return true;
}
