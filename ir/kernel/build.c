/* From a group (or a single node) of the graph to its nest.
 *
 * Every value of the body is one of: an argument (stored outside), a constant, a temp with a statement of its own (the result of an anchor, or of a map that
 * several readers have), or it is expanded where it is read. An op says only what one element is; which of the four it becomes is decided here. */
#include "ir/kernel/kir.h"
#include "ir/ops.h"

enum how { EXPAND, STORED, CONSTANT, TEMP };
struct state { const struct ir_value *v; enum how how; struct kir_arr *arr; struct kir_expr *k; };
struct kir_nest_builder {
  struct kir_nest *nest;
  struct ir_module *m;
  const struct ir_node *node;
  struct state *slot; uint32_t n, cap;      /* value -> state, open addressing; never walked */
  IR_VEC(struct kir_axis) shared;           /* axes that statements of equal extent have in common */
  unsigned n_temps;
  bool failed;
};
struct kir_nest *kir_builder_nest(struct kir_nest_builder *b) { return b->nest; }
const struct ir_ix *kir_dim(struct kir_nest_builder *b, const struct ir_ix *e) { return ir_ix_table(e) == b->nest->ixs ? e : ir_ix_move(b->nest->ixs, e); }

/* ---- axes ---- */
static const struct ir_ix *axis_symbol(struct kir_nest_builder *b, const char *name, const struct ir_ix *ext)
{
  int64_t lo, hi;
  ir_ix_range(ext, &lo, &hi);
  const struct ir_ix *v = ir_ix_fresh(b->nest->ixs, name, IR_SYM_AXIS, 0, hi == IR_IX_INF ? hi : hi > 0 ? hi - 1 : 0, 1);
  if (!ir_ix_const(ext, &lo)) ir_facts_push(&b->nest->facts, ir_ix_sub(ir_ix_addi(ext, -1), v));
  return v;
}
const struct ir_ix *kir_axis(struct kir_nest_builder *b, const char *name, const struct ir_ix *ext) { return axis_symbol(b, name, ext); }
static const char *axis_name(unsigned rank, unsigned d)
{
  static const char *const images[] = { "n", "o", "h", "w" }, *const other[] = { "i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9", "i10", "i11", "i12", "i13", "i14", "i15" };
  return rank == 4 ? images[d] : other[d];
}
/* The axes of a statement over v, shared between statements; unit dims have none, their coordinate is 0. */
static unsigned statement_axes(struct kir_nest_builder *b, const struct ir_type *t, struct kir_axis *axes, const struct ir_ix **at)
{
  unsigned n = 0;
  for (unsigned d = 0; d < t->rank; d++) {
    const struct ir_ix *ext = kir_dim(b, t->dim[d]);
    if (ir_ix_is(ext, 1)) { at[d] = ir_ix_int(b->nest->ixs, 0); continue; }
    const char *name = axis_name(t->rank, d);
    const struct kir_axis *found = NULL;
    for (uint32_t i = 0; i < b->shared.n && !found; i++)
      if (b->shared.v[i].ext == ext && !strncmp(ir_ix_as_sym(b->shared.v[i].var)->name, name, strlen(name))) {
        const char *rest = ir_ix_as_sym(b->shared.v[i].var)->name + strlen(name);
        if (!*rest || *rest == '.') found = &b->shared.v[i];
      }
    if (!found) {
      ir_push(b->nest->arena, &b->shared, ((struct kir_axis){ axis_symbol(b, name, ext), ext }));
      found = &b->shared.v[b->shared.n - 1];
    }
    axes[n++] = *found;
    at[d] = found->var;
  }
  return n;
}

/* ---- states ---- */
static struct state *find(struct kir_nest_builder *b, const struct ir_value *v)
{
  if (2 * b->n >= b->cap) {
    struct state *old = b->slot;
    uint32_t cap = b->cap;
    b->cap = cap ? cap * 2 : 64;
    b->slot = IR_NEWN(b->nest->arena, struct state, b->cap);
    b->n = 0;
    for (uint32_t i = 0; i < cap; i++)
      if (old[i].v) *find(b, old[i].v) = old[i];
  }
  uint32_t i = (uint32_t)(((uintptr_t)v >> 4) * 0x9e3779b1u) & (b->cap - 1);
  while (b->slot[i].v && b->slot[i].v != v) i = (i + 1) & (b->cap - 1);
  if (!b->slot[i].v) { b->slot[i].v = v; b->n++; }
  return &b->slot[i];
}
static struct kir_arr *make_arg(struct kir_nest_builder *b, const struct ir_value *inner, const struct ir_value *outer, const char *name, bool out)
{
  const struct ir_type *t = inner->type;
  const struct ir_layout *l = outer->layout;
  const struct ir_ix *dim[IR_MAX_RANK];
  for (unsigned d = 0; d < t->rank; d++) dim[d] = kir_dim(b, t->dim[d]);
  struct kir_arr *a = kir_arg(b->nest, name, t->elem, t->rank, dim, out);
  a->value = inner;
  a->space = outer->weight || (outer->def && outer->def->op == IR_OP_const) ? KIR_CONST : KIR_GLOBAL;
  if (!l) return a;
  bool halo = false;
  for (unsigned d = 0; d < t->rank; d++) {
    a->shape[d] = dim[d];
    a->lo[d] = kir_dim(b, l->lo[d]);
    a->hi[d] = kir_dim(b, l->hi[d]);
    bool own = l->halo[d][0] || l->halo[d][1];
    halo |= own;
    if (!own && !l->zero && a->hi[d] != dim[d]) a->slack |= (uint16_t)(1u << d);
  }
  a->zero_pad = halo || l->zero;
  a->at = kir_dim(b, l->at);
  a->elems = kir_dim(b, l->elems);
  return a;
}

/* ---- reading ---- */
static struct kir_expr *expand(struct kir_nest_builder *b, const struct ir_value *v, const struct ir_ix *const *c)
{
  const struct ir_op_def *d = ir_op_def(v->def->op);
  struct kir_expr *e = d->nest ? d->nest(b, v->def, v->index, c) : NULL;
  if (!e) { b->failed = true; e = kir_const(b->nest, v->type->elem, 0, 0); }
  return e;
}
struct kir_expr *kir_value(struct kir_nest_builder *b, const struct ir_value *v, const struct ir_ix *const *c)
{
  struct state s = *find(b, v);
  if (s.how == CONSTANT) return s.k;
  if (s.how != EXPAND) return kir_read(b->nest, s.arr, c, NULL);
  if (!v->def) ir_bug("kir_value", "a parameter without an argument");
  return expand(b, v, c);
}
/* Inside of the stored domain, where zeros lie around the value and a zero is wanted, no test is needed. */
static bool halo_serves(struct kir_nest_builder *b, const struct kir_arr *a, const struct ir_ix *const *c, const struct kir_expr *outside)
{
  if (!a->arg || outside->kind != KIR_E_CONST || outside->f != 0 || outside->i != 0) return false;
  for (unsigned d = 0; d < a->rank; d++) {
    bool in_shape = ir_known_ge0(&b->nest->facts, c[d]) && ir_known_ge0(&b->nest->facts, ir_ix_sub(ir_ix_addi(a->shape[d] ? a->shape[d] : a->hi[d], -1), c[d]));
    if (in_shape) continue;
    if (!a->zero_pad || a->slack >> d & 1) return false;
    if (!ir_known_ge0(&b->nest->facts, ir_ix_sub(c[d], a->lo[d])) || !ir_known_ge0(&b->nest->facts, ir_ix_sub(ir_ix_addi(a->hi[d], -1), c[d]))) return false;
  }
  return true;
}
struct kir_expr *kir_value_or(struct kir_nest_builder *b, const struct ir_value *v, const struct ir_ix *const *c, struct kir_expr *outside)
{
  struct state s = *find(b, v);
  const struct ir_ix *inside = ir_ix_int(b->nest->ixs, 1), *open[2 * IR_MAX_RANK];
  unsigned n = 0;
  for (unsigned d = 0; d < v->type->rank; d++) {
    const struct ir_ix *bound[2] = { c[d], ir_ix_sub(ir_ix_addi(kir_dim(b, v->type->dim[d]), -1), c[d]) };
    for (unsigned i = 0; i < 2; i++) {
      if (ir_known_ge0(&b->nest->facts, bound[i])) continue;
      inside = ir_ix_mul(inside, ir_ix_ge0(bound[i]));
      open[n++] = bound[i];
    }
  }
  if (!n) return kir_value(b, v, c);
  if ((s.how == STORED || s.how == TEMP) && outside->kind == KIR_E_CONST) return kir_read(b->nest, s.arr, c, halo_serves(b, s.arr, c, outside) ? NULL : outside);
  uint32_t mark = ir_facts_mark(&b->nest->facts);
  for (unsigned i = 0; i < n; i++) ir_facts_push(&b->nest->facts, open[i]);       /* what is read there may count on them */
  struct kir_expr *r = kir_value(b, v, c);
  ir_facts_reset(&b->nest->facts, mark);
  return kir_select(b->nest, inside, r, outside);
}

/* ---- statements ---- */
static struct kir_arr *make_temp(struct kir_nest_builder *b, const struct ir_type *t, enum ir_elem elem)
{
  struct kir_arr *a = IR_NEW(b->nest->arena, struct kir_arr);
  a->name = ir_arena_printf(b->nest->arena, "t%u", b->n_temps++);
  a->elem = elem;
  a->rank = t->rank;
  for (unsigned d = 0; d < t->rank; d++) { a->lo[d] = ir_ix_int(b->nest->ixs, 0); a->hi[d] = kir_dim(b, t->dim[d]); }
  a->index = b->nest->temps.n;
  ir_push(b->nest->arena, &b->nest->temps, a);
  return a;
}
static void statement(struct kir_nest_builder *b, struct kir_arr *dst, const struct kir_axis *axes, unsigned n_axes, const struct ir_ix *const *at, struct kir_expr *e)
{
  struct kir_stmt *s = kir_stmt(b->nest, dst, axes, n_axes, e);
  if (n_axes != dst->rank) s->at = ir_arena_copy(b->nest->arena, at, dst->rank * sizeof *at);
}
struct kir_expr *kir_temp(struct kir_nest_builder *b, struct kir_expr *e, const struct ir_value *v, const struct ir_ix *const *c)
{
  struct kir_axis axes[IR_MAX_RANK];
  unsigned n = 0;
  for (unsigned d = 0; d < v->type->rank; d++)
    if (ir_ix_as_sym(c[d])) axes[n++] = (struct kir_axis){ c[d], kir_dim(b, v->type->dim[d]) };
    else if (!ir_ix_is(c[d], 0)) ir_bug("kir_temp", "the coordinates of a statement are axes");
  struct kir_arr *t = make_temp(b, v->type, e->elem);
  statement(b, t, axes, n, c, e);
  return kir_read(b->nest, t, c, NULL);
}
/* The element of v as a statement into dst. */
static void define(struct kir_nest_builder *b, const struct ir_value *v, struct kir_arr *dst, bool from_state)
{
  struct kir_axis axes[IR_MAX_RANK];
  const struct ir_ix *at[IR_MAX_RANK];
  unsigned n = statement_axes(b, v->type, axes, at);
  struct kir_expr *e = from_state ? kir_value(b, v, at) : expand(b, v, at);
  statement(b, dst, axes, n, at, e);
}

/* ---- the nest of a node ---- */
static bool is_result(const struct ir_graph *g, const struct ir_value *v)
{
  for (uint32_t i = 0; i < g->results.n; i++)
    if (g->results.v[i] == v) return true;
  return false;
}
/* Is v multiplied by what a contraction sums over? It stays an array then, equal elements or not: the fast kernels read two. */
static bool is_factor(const struct ir_value *v)
{
  for (uint32_t i = 0; i < v->uses.n; i++)
    if ((v->uses.v[i]->op == IR_OP_conv || v->uses.v[i]->op == IR_OP_dot) && v->uses.v[i]->in[1] == v) return true;
  return false;
}
static void argument_state(struct kir_nest_builder *b, const struct ir_value *inner, const struct ir_value *outer, unsigned i)
{
  struct state *s = find(b, inner);
  double splat;
  if (s->how) return;
  if (ir_value_is_splat(outer, &splat) && (inner == outer || !is_factor(inner))) {
    int64_t k = 0;
    unsigned n;
    if (ir_elem_class(outer->type->elem) != 'F' && (!ir_value_const_ints(outer, 1, &k, &n) || !n)) k = (int64_t)splat;
    struct kir_expr *e = kir_const(b->nest, outer->type->elem, splat, k);
    *s = (struct state){ inner, CONSTANT, NULL, e };
    return;
  }
  struct kir_arr *a = make_arg(b, inner, outer, ir_arena_printf(b->nest->arena, "x%u", i), false);
  *find(b, inner) = (struct state){ inner, STORED, a, NULL };
}
static void body_statements(struct kir_nest_builder *b, const struct ir_graph *g)
{
  for (const struct ir_node *n = g->first; n; n = n->next) {
    const struct ir_op_def *d = ir_op_def(n->op);
    for (unsigned i = 0; i < n->n_out; i++) {
      const struct ir_value *v = n->out[i];
      double splat;
      if (n->op == IR_OP_const) {
        if (!ir_value_is_splat(v, &splat)) { b->failed = true; return; }
        argument_state(b, v, v, 0);
        continue;
      }
      bool result = is_result(g, v), shared = v->uses.n > 1 && d->class == IR_C_MAP;
      if (d->class != IR_C_ANCHOR && !shared) continue;
      if (result && !v->uses.n) continue;            /* written by its own statement below */
      struct kir_axis axes[IR_MAX_RANK];
      const struct ir_ix *at[IR_MAX_RANK];
      unsigned na = statement_axes(b, v->type, axes, at);
      struct kir_expr *e = expand(b, v, at);
      struct kir_arr *t = make_temp(b, v->type, e->elem);
      statement(b, t, axes, na, at, e);
      *find(b, v) = (struct state){ v, TEMP, t, NULL };
    }
  }
}
struct kir_nest *kir_nest_of(struct ir_arena *a, const struct ir_node *n)
{
  struct ir_module *m = n->graph->module;
  const struct ir_graph *g = n->n_body ? n->body[0] : NULL;
  if (!g && !ir_op_def(n->op)->nest) return NULL;
  struct kir_nest_builder b = { .nest = kir_nest_create(a, n->name ? n->name : ir_op_def(n->op)->name), .m = m, .node = n };
  b.nest->facts.arena = a;
  for (uint32_t i = 0; i < m->requires.n; i++) {
    const struct ir_ix *e = ir_ix_move(b.nest->ixs, m->requires.v[i].e);
    ir_facts_push(&b.nest->facts, e);
    if (m->requires.v[i].eq) ir_facts_push(&b.nest->facts, ir_ix_neg(e));
  }
  for (unsigned i = 0; i < n->n_in; i++) argument_state(&b, g ? g->params.v[i] : n->in[i], n->in[i], i);
  struct kir_arr **outs = IR_NEWN(a, struct kir_arr *, n->n_out);
  for (unsigned i = 0; i < n->n_out; i++) outs[i] = make_arg(&b, g ? g->results.v[i] : n->out[i], n->out[i], ir_arena_printf(a, "y%u", i), true);
  if (g) body_statements(&b, g);
  for (unsigned i = 0; i < n->n_out; i++) {
    const struct ir_value *v = g ? g->results.v[i] : n->out[i];
    define(&b, v, outs[i], g && (!v->def || find(&b, v)->how != EXPAND));
  }
  return b.failed ? NULL : b.nest;
}
