/* Values, nodes, graphs and the changes passes make to them. Kept true at every moment: uses lists, order numbers, the table of pure nodes (CSE), forms.
 *
 * Order numbers follow "Two simplified algorithms for maintaining order in a list" (Bender et al., ESA 2002): a new node takes the middle of the gap between its
 * neighbours; without a gap, the smallest aligned range of labels around it that is not too full is spread evenly. O(log n) labels change per insertion on average. */
#include "ir/internal.h"
#include <stdlib.h>
#include <string.h>

struct ir_graph *ir_graph_create(struct ir_module *m, const char *name)
{
  struct ir_graph *g = IR_NEW(m->arena, struct ir_graph);
  g->module = m;
  g->name = name ? ir_intern(m->strs, name, strlen(name)) : NULL;
  if (!m->main) m->main = g;
  return g;
}
struct ir_value *ir_value_new(struct ir_graph *g, const struct ir_type *t)
{
  struct ir_value *v = IR_NEW(g->module->arena, struct ir_value);
  v->graph = g;
  v->type = t;
  return v;
}
struct ir_value *ir_graph_param(struct ir_graph *g, const struct ir_type *t, const char *name)
{
  struct ir_value *v = ir_value_new(g, t);
  v->name = name ? ir_intern(g->module->strs, name, strlen(name)) : NULL;
  v->index = g->params.n;
  ir_push(g->module->arena, &g->params, v);
  return v;
}
bool ir_value_is_result(const struct ir_value *v)
{
  for (uint32_t i = 0; i < v->graph->results.n; i++)
    if (v->graph->results.v[i] == v) return true;
  return false;
}

/* ---- list and order ---- */
enum { ORDER_STEP = 1024 };
static void relabel_around(struct ir_node *n)
{
  int64_t label = n->prev ? n->prev->order : 0;
  struct ir_node *first = n, *last = n;
  uint64_t count = 1;
  double room = 1;                                   /* a range of 2^i labels may hold (2/1.3)^i nodes */
  for (unsigned i = 1; i <= 32; i++) {
    int64_t size = (int64_t)1 << i, base = label & -size;
    room *= 2 / 1.3;
    for (; first->prev && first->prev->order >= base; count++) first = first->prev;
    for (; last->next && last->next->order < base + size; count++) last = last->next;
    if ((double)count > room) continue;
    for (uint64_t j = 0;; first = first->next, j++) {
      first->order = (uint32_t)(base + (int64_t)((uint64_t)size * j / count));
      if (first == last) return;
    }
  }
  ir_bug("relabel_around", "too many nodes");
}
static void label(struct ir_node *n)
{
  int64_t lo = n->prev ? (int64_t)n->prev->order : -1, hi = n->next ? (int64_t)n->next->order : (int64_t)1 << 32;
  int64_t at = n->next || lo + ORDER_STEP >= hi ? lo + (hi - lo) / 2 : lo + ORDER_STEP;
  if (at > lo) n->order = (uint32_t)at;
  else relabel_around(n);
}
void ir_node_link(struct ir_graph *g, struct ir_node *n, struct ir_node *at)
{
  n->graph = g;
  n->next = at;
  n->prev = at ? at->prev : g->last;
  *(n->prev ? &n->prev->next : &g->first) = n;
  *(at ? &at->prev : &g->last) = n;
  label(n);
}
static void unlink_node(struct ir_node *n)
{
  *(n->prev ? &n->prev->next : &n->graph->first) = n->next;
  *(n->next ? &n->next->prev : &n->graph->last) = n->prev;
  n->prev = n->next = NULL;
}
void ir_node_move_before(struct ir_node *n, struct ir_node *at)
{
  if (n == at || n->next == at) return;
  struct ir_graph *g = n->graph;
  unlink_node(n);
  ir_node_link(g, n, at);
}
void ir_graph_order(struct ir_graph *g)
{
  uint32_t i = 0;
  for (struct ir_node *n = g->first; n; n = n->next) n->order = i++;
}

/* ---- the table of pure nodes ---- */
bool ir_node_pure(const struct ir_node *n) { return n->n_body == 0 && n->op != IR_OP_bind; }
static uint64_t attr_hash(const struct ir_attr *a, uint64_t h)
{
  h = ir_hash(&a->kind, sizeof a->kind, h);
  switch (a->kind) {
  case IR_A_INT: return ir_hash(&a->i, sizeof a->i, h);
  case IR_A_FLOAT: return ir_hash(&a->f, sizeof a->f, h);
  case IR_A_STR: return ir_hash(a->s, strlen(a->s), h);
  case IR_A_INTS: return ir_hash(a->is, a->n * sizeof *a->is, h);
  case IR_A_IXS: return ir_hash(a->ix, a->n * sizeof *a->ix, h);
  case IR_A_ELEM: return ir_hash(&a->elem, sizeof a->elem, h);
  }
  return h;
}
static bool attr_eq(const struct ir_attr *a, const struct ir_attr *b)
{
  if (a->kind != b->kind || strcmp(a->key, b->key)) return false;
  switch (a->kind) {
  case IR_A_INT: return a->i == b->i;
  case IR_A_FLOAT: return !memcmp(&a->f, &b->f, sizeof a->f);
  case IR_A_STR: return !strcmp(a->s, b->s);
  case IR_A_INTS: return a->n == b->n && (!a->n || !memcmp(a->is, b->is, a->n * sizeof *a->is));
  case IR_A_IXS: return a->n == b->n && (!a->n || !memcmp(a->ix, b->ix, a->n * sizeof *a->ix));
  case IR_A_ELEM: return a->elem == b->elem;
  }
  return false;
}
/* Mapped bytes are known by their place, so that no weight is read for a comparison; literals by their content. */
static uint64_t data_hash(const struct ir_data *d)
{
  if (d->kind == IR_DATA_SPLAT) return ir_hash(&d->splat, sizeof d->splat, (uint64_t)d->splat_i);
  return d->file ? ir_hash(&d->p, sizeof d->p, d->bytes) : ir_hash(d->p, d->bytes, d->bytes);
}
static bool data_eq(const struct ir_data *a, const struct ir_data *b)
{
  if (a->kind != b->kind) return false;
  if (a->kind == IR_DATA_SPLAT) return !memcmp(&a->splat, &b->splat, sizeof a->splat) && a->splat_i == b->splat_i;
  if (a->bytes != b->bytes || !a->file != !b->file) return false;
  return a->p == b->p || (!a->file && !memcmp(a->p, b->p, a->bytes));
}
/* A constant's type is not implied by its data. */
static const struct ir_type *own_type(const struct ir_node *n) { return n->op == IR_OP_const ? n->out[0]->type : NULL; }
static uint64_t node_hash(const struct ir_node *n)
{
  const void *self[3] = { n->graph, own_type(n), (void *)(uintptr_t)n->op };      /* not the place: passes set it on nodes that stand in the table */
  uint64_t h = ir_hash(n->in, n->n_in * sizeof *n->in, ir_hash(self, sizeof self, n->n_in));
  for (unsigned i = 0; i < n->n_attr; i++) h = attr_hash(&n->attr[i], h);
  return n->data ? h ^ data_hash(n->data) : h;
}
static bool node_eq(const void *key, const void *elem)
{
  const struct ir_node *a = key, *b = elem;
  if (a->op != b->op || a->graph != b->graph || a->n_in != b->n_in || a->n_attr != b->n_attr || a->place != b->place || !a->data != !b->data) return false;
  if (own_type(a) != own_type(b) || (a->n_in && memcmp(a->in, b->in, a->n_in * sizeof *a->in))) return false;
  for (unsigned i = 0; i < a->n_attr; i++)
    if (!attr_eq(&a->attr[i], &b->attr[i])) return false;
  return !a->data || data_eq(a->data, b->data);
}
struct ir_node *ir_node_twin(struct ir_module *m, const struct ir_node *n)
{
  return ir_node_pure(n) ? ir_set_find(&m->tables->nodes, node_hash(n), n, node_eq) : NULL;
}
void ir_node_intern(struct ir_node *n)
{
  struct ir_module *m = n->graph->module;
  if (ir_node_pure(n) && !ir_node_twin(m, n)) ir_set_add(m->arena, &m->tables->nodes, node_hash(n), n);
}
void ir_node_unintern(struct ir_node *n)
{
  if (ir_node_pure(n)) ir_set_remove(&n->graph->module->tables->nodes, node_hash(n), n);
}

/* ---- uses ---- */
void ir_node_add_uses(struct ir_node *n)
{
  for (unsigned i = 0; i < n->n_in; i++) ir_push(n->graph->module->arena, &n->in[i]->uses, n);
}
static void drop_use(struct ir_value *v, const struct ir_node *n)
{
  for (uint32_t i = v->uses.n; i-- > 0;)              /* from the end: passes erase what they just made, or sweep backwards */
    if (v->uses.v[i] == n) { v->uses.v[i] = v->uses.v[--v->uses.n]; return; }
  ir_bug("drop_use", "a use is missing");
}

/* ---- forms ---- */
void ir_node_refresh_form(struct ir_node *n)
{
  for (unsigned i = 0; i < n->n_out; i++) { n->out[i]->form = NULL; n->out[i]->form_n = 0; }
  const struct ir_op_def *def = ir_op_def(n->op);
  if (def->form && !def->form(n->graph->module, n))
    for (unsigned i = 0; i < n->n_out; i++) { n->out[i]->form = NULL; n->out[i]->form_n = 0; }
}
static bool same_form(const struct ir_value *v, const struct ir_ix *const *form, unsigned n)
{
  return !v->form == !form && v->form_n == n && (!form || !n || !memcmp(v->form, form, n * sizeof *form));
}
/* An operand of n changed: its form, and while forms change those of its readers. */
static void requeue_forms(struct ir_node *n)
{
  struct ir_arena *scratch = NULL;
  IR_VEC(struct ir_node *) todo = { 0 };
  for (;; n = todo.v[--todo.n]) {
    const struct ir_ix *const *old = n->n_out == 1 ? n->out[0]->form : NULL;   /* no op with several results has forms */
    unsigned old_n = n->n_out == 1 ? n->out[0]->form_n : 0;
    ir_node_refresh_form(n);
    if (n->n_out == 1 && !same_form(n->out[0], old, old_n)) {
      if (!scratch) scratch = ir_arena_create();
      for (uint32_t k = 0; k < n->out[0]->uses.n; k++) ir_push(scratch, &todo, n->out[0]->uses.v[k]);
    }
    if (!todo.n) break;
  }
  ir_arena_destroy(scratch);
}

/* ---- changing ---- */
static void check_types(struct ir_node *n)
{
  const struct ir_type *t[8];
  if (n->n_out > 8 || !ir_op_def(n->op)->infer || !ir_op_def(n->op)->infer(n->graph->module, n, t)) ir_bug("ir_node_set_in", "operand of %s has another type", ir_op_def(n->op)->name);
  for (unsigned i = 0; i < n->n_out; i++)
    if (t[i] != n->out[i]->type) ir_bug("ir_node_set_in", "%s would get another type", ir_op_def(n->op)->name);
}
void ir_node_set_in(struct ir_node *n, unsigned i, struct ir_value *v)
{
  struct ir_value *old = n->in[i];
  if (old == v) return;
  IR_ASSERT(v->graph == n->graph);
  ir_node_unintern(n);
  drop_use(old, n);
  n->in[i] = v;
  ir_push(n->graph->module->arena, &v->uses, n);
  if (old->type != v->type) check_types(n);
  ir_node_intern(n);
  requeue_forms(n);
}
void ir_value_replace(struct ir_value *old, struct ir_value *with)
{
  if (old == with) return;
  struct ir_graph *g = old->graph;
  IR_ASSERT(with->graph == g);
  if (old->type != with->type)
    ir_bug("ir_value_replace", "%s replaced by %s", ir_type_str(g->module->arena, old->type), ir_type_str(g->module->arena, with->type));
  for (uint32_t k = 0; k < old->uses.n; k++) {        /* a node that uses it twice stands here twice */
    struct ir_node *n = old->uses.v[k];
    unsigned i = 0;
    while (n->in[i] != old) i++;
    ir_node_unintern(n);
    n->in[i] = with;
    ir_push(g->module->arena, &with->uses, n);
    ir_node_intern(n);
  }
  uint32_t first = with->uses.n - old->uses.n, end = with->uses.n;
  old->uses.n = 0;
  for (uint32_t i = 0; i < g->results.n; i++)
    if (g->results.v[i] == old) g->results.v[i] = with;
  if (same_form(with, old->form, old->form_n)) return;
  for (uint32_t k = first; k < end; k++) requeue_forms(with->uses.v[k]);
}
void ir_node_erase(struct ir_node *n)
{
  for (unsigned i = 0; i < n->n_out; i++) IR_ASSERT(n->out[i]->uses.n == 0 && !ir_value_is_result(n->out[i]));
  ir_node_unintern(n);
  for (unsigned i = 0; i < n->n_in; i++) drop_use(n->in[i], n);
  unlink_node(n);
  n->graph = NULL;
}
static bool unused(const struct ir_node *n)
{
  if (n->op == IR_OP_bind) return false;                     /* its symbols may be read anywhere */
  for (unsigned i = 0; i < n->n_out; i++)
    if (n->out[i]->uses.n || ir_value_is_result(n->out[i])) return false;
  return true;
}
unsigned ir_graph_sweep(struct ir_graph *g)
{
  unsigned count = 0;
  for (struct ir_node *n = g->last, *prev; n; n = prev) {   /* every op but bind is without effects */
    prev = n->prev;
    if (unused(n)) { ir_node_erase(n); count++; }
  }
  return count;
}
unsigned ir_graph_cse(struct ir_graph *g)
{
  unsigned count = 0;
  for (struct ir_node *n = g->first, *next; n; n = next) {
    next = n->next;
    struct ir_node *twin = ir_node_twin(g->module, n);
    if (!twin || twin == n) { ir_node_intern(n); continue; }
    if (twin->order > n->order) {                     /* the first of two stays */
      ir_node_unintern(twin);
      ir_node_intern(n);
      if (next == twin) next = twin->next;
      struct ir_node *t = n;
      n = twin;
      twin = t;
    }
    if (n->op != IR_OP_const) twin->prov = ir_prov_union(g->module, twin->prov, n->prov);
    for (unsigned i = 0; i < n->n_out; i++) {
      if (!twin->out[i]->name) twin->out[i]->name = n->out[i]->name;
      ir_value_replace(n->out[i], twin->out[i]);
    }
    ir_node_erase(n);
    count++;
  }
  return count;
}

/* ---- outline and inline ---- */
struct nodes { struct ir_arena *arena; IR_VEC(struct ir_node *) list; struct ir_set set; };
static bool same(const void *a, const void *b) { return a == b; }
static uint64_t address_hash(const void *p) { return ir_hash(&p, sizeof p, 0); }
static bool nodes_has(const struct nodes *s, const struct ir_node *n) { return n && ir_set_find(&s->set, address_hash(n), n, same); }
static void nodes_add(struct nodes *s, struct ir_node *n)
{
  ir_push(s->arena, &s->list, n);
  ir_set_add(s->arena, &s->set, address_hash(n), n);
}
/* Nodes between the first and the last of `in` that depend on one of them go behind the last. */
static void make_contiguous(const struct nodes *in, struct ir_node *first, struct ir_node *last)
{
  struct nodes later = { .arena = in->arena };
  struct ir_node *end = last->next;
  for (struct ir_node *n = first; n != end; n = n->next) {
    bool member = nodes_has(in, n), depends = false;
    for (unsigned i = 0; i < n->n_in; i++) {
      bool on_later = nodes_has(&later, n->in[i]->def);
      if (member && on_later) ir_bug("ir_outline", "a path leaves the nodes and comes back through %s", ir_op_def(n->op)->name);
      depends |= on_later || (!member && nodes_has(in, n->in[i]->def));
    }
    if (depends) nodes_add(&later, n);
  }
  for (uint32_t i = 0; i < later.list.n; i++) ir_node_move_before(later.list.v[i], end);
}
struct outline { struct nodes in; struct ir_graph *from, *body; IR_VEC(struct ir_value *) outer, inner; struct ir_set seen; };
static bool pair_outer(const void *key, const void *elem) { return *(struct ir_value *const *)elem == key; }
/* Scalars and splats go into the body as constants of its own; all else becomes a parameter. */
static struct ir_value *inside(struct outline *o, struct ir_value *v)
{
  struct ir_value **pair = ir_set_find(&o->seen, address_hash(v), v, pair_outer);
  if (pair) return pair[1];
  struct ir_value *r;
  if (v->def && v->def->op == IR_OP_const && v->def->data->kind == IR_DATA_SPLAT) {
    struct ir_builder b = { .g = o->body, .at = o->body->first, .prov = v->def->prov };
    r = ir_const_bytes(&b, v->type, v->def->data, v->def->name);
  } else {
    r = ir_graph_param(o->body, v->type, v->def ? NULL : v->name);
    r->layout = v->layout;
    r->weight = v->weight;
    r->form = v->form;
    r->form_n = v->form_n;
    ir_push(o->body->module->arena, &o->outer, v);
  }
  pair = IR_NEWN(o->in.arena, struct ir_value *, 2);
  pair[0] = v;
  pair[1] = r;
  ir_set_add(o->in.arena, &o->seen, address_hash(v), pair);
  return r;
}
static bool used_outside(const struct outline *o, const struct ir_value *v)
{
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (!nodes_has(&o->in, v->uses.v[i])) return true;
  for (uint32_t i = 0; i < o->from->results.n; i++)
    if (o->from->results.v[i] == v) return true;
  return false;
}
static void move_inside(struct outline *o, struct ir_node *n)
{
  ir_node_unintern(n);
  unlink_node(n);
  for (unsigned i = 0; i < n->n_in; i++) {
    struct ir_value *v = n->in[i];
    if (nodes_has(&o->in, v->def)) continue;
    drop_use(v, n);
    n->in[i] = inside(o, v);
    ir_push(o->body->module->arena, &n->in[i]->uses, n);
  }
  ir_node_link(o->body, n, NULL);
  for (unsigned i = 0; i < n->n_out; i++) n->out[i]->graph = o->body;
  ir_node_intern(n);
}
/* The uses of v outside become uses of `with`. */
static void redirect(struct outline *o, struct ir_value *v, struct ir_value *with)
{
  struct ir_arena *a = o->from->module->arena;
  uint32_t keep = 0;
  for (uint32_t k = 0; k < v->uses.n; k++) {
    struct ir_node *n = v->uses.v[k];
    if (nodes_has(&o->in, n)) { v->uses.v[keep++] = n; continue; }
    unsigned i = 0;
    while (n->in[i] != v) i++;
    ir_node_unintern(n);
    n->in[i] = with;
    ir_push(a, &with->uses, n);
    ir_node_intern(n);
  }
  v->uses.n = keep;
  for (uint32_t i = 0; i < o->from->results.n; i++)
    if (o->from->results.v[i] == v) o->from->results.v[i] = with;
}
/* Constants that are no splats, or have other readers, stay outside. */
static bool stays(const struct outline *o, const struct ir_node *n) { return n->op == IR_OP_const && (n->data->kind != IR_DATA_SPLAT || used_outside(o, n->out[0])); }
struct ir_node *ir_outline(struct ir_graph *g, enum ir_op op, struct ir_node *const *nodes, unsigned n, const char *name)
{
  struct ir_module *m = g->module;
  struct outline all = { .in.arena = ir_arena_create(), .from = g }, o = { .in.arena = all.in.arena, .from = g };
  for (unsigned i = 0; i < n; i++) nodes_add(&all.in, nodes[i]);
  for (unsigned i = 0; i < n; i++)
    if (!stays(&all, nodes[i])) nodes_add(&o.in, nodes[i]);
  nodes = o.in.list.v;
  n = o.in.list.n;
  IR_ASSERT(n > 0);
  make_contiguous(&o.in, nodes[0], nodes[n - 1]);
  struct ir_node *at = nodes[n - 1]->next, *owner = IR_NEW(m->arena, struct ir_node);
  o.body = ir_graph_create(m, NULL);
  o.body->owner = owner;
  *owner = (struct ir_node){ .op = op, .graph = g, .n_body = 1, .body = ir_arena_copy(m->arena, &o.body, sizeof o.body), .place = nodes[0]->place };
  owner->name = name ? ir_intern(m->strs, name, strlen(name)) : NULL;
  IR_VEC(struct ir_value *) out = { 0 };
  for (unsigned i = 0; i < n; i++)
    for (unsigned k = 0; k < nodes[i]->n_out; k++)
      if (used_outside(&o, nodes[i]->out[k])) ir_push(m->arena, &o.body->results, nodes[i]->out[k]);
  for (unsigned i = 0; i < n; i++) {
    owner->prov = ir_prov_union(m, owner->prov, nodes[i]->op == IR_OP_const ? NULL : nodes[i]->prov);
    move_inside(&o, nodes[i]);
  }
  owner->in = o.outer.v;
  owner->n_in = o.outer.n;
  for (uint32_t i = 0; i < o.body->results.n; i++) {
    struct ir_value *inner = o.body->results.v[i], *v = ir_value_new(g, inner->type);
    v->def = owner;
    v->index = i;
    v->layout = inner->layout;
    v->weight = inner->weight;
    v->name = inner->name;
    v->form = inner->form;
    v->form_n = inner->form_n;
    ir_push(m->arena, &out, v);
    redirect(&o, inner, v);
  }
  owner->out = out.v;
  owner->n_out = out.n;
  ir_node_link(g, owner, at);
  ir_node_add_uses(owner);
  ir_arena_destroy(o.in.arena);
  return owner;
}
struct ir_node *ir_node_clone(struct ir_node *n, struct ir_node *at)
{
  IR_ASSERT(!n->n_body);
  struct ir_node *c = ir_node_make(n->graph, at, n);
  for (unsigned i = 0; i < n->n_out; i++) {
    c->out[i]->layout = n->out[i]->layout;
    c->out[i]->weight = n->out[i]->weight;
  }
  return c;
}
void ir_inline(struct ir_node *n)
{
  IR_ASSERT(n->n_body == 1);
  struct ir_graph *g = n->graph, *body = n->body[0];
  struct ir_arena *a = g->module->arena;
  for (struct ir_node *x = body->first, *next; x; x = next) {
    next = x->next;
    ir_node_unintern(x);
    unlink_node(x);
    for (unsigned i = 0; i < x->n_in; i++) {
      struct ir_value *v = x->in[i];
      if (v->def) continue;
      x->in[i] = n->in[v->index];
      ir_push(a, &x->in[i]->uses, x);
    }
    ir_node_link(g, x, n);
    for (unsigned i = 0; i < x->n_out; i++) x->out[i]->graph = g;
    if (!x->place) x->place = n->place;
    ir_node_intern(x);
  }
  for (unsigned i = 0; i < n->n_out; i++) {
    struct ir_value *r = body->results.v[i];
    if (!r->def) r = n->in[r->index];
    else if (!r->layout) r->layout = n->out[i]->layout;
    ir_value_replace(n->out[i], r);
  }
  ir_node_erase(n);
}
