/* Reading at computed places: gather, and its general form view. */
#include "ir/ops.h"

/* A coordinate along an axis of n elements, held inside. */
static const struct ir_ix *clamped(const struct ir_ix *e, const struct ir_ix *n) { return ir_ix_max(ir_ix_min(e, ir_ix_addi(n, -1)), ir_ix_int(ir_ix_table(n), 0)); }
static const struct ir_ix *wrapped(const struct ir_ix *e, const struct ir_ix *n) { return ir_ix_select(ir_ix_ge0(e), e, ir_ix_add(e, n)); }
static bool is_index(const struct ir_value *v) { return v->type->elem == IR_i32 || v->type->elem == IR_i64; }
static int64_t inside(int64_t i, int64_t n) { return i >= n ? n - 1 : i < 0 ? 0 : i; }

/* ---- gather x, i {axis}: ONNX Gather: x's axis is replaced by the dims of i. Negative indices count from the end, those outside are clamped. ---- */
static bool gather_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type, *i = n->in[1]->type;
  int64_t axis = ir_attr_get_int(n, "axis");
  const struct ir_ix *dim[2 * IR_MAX_RANK];
  unsigned k = 0;
  if (axis < 0 || axis >= x->rank) return ir_op_error(m, n, IR_M0302, "axis %lld does not fit %s", (long long)axis, ir_type_str(m->arena, x));
  if (i->elem != IR_i32 && i->elem != IR_i64) return ir_op_error(m, n, IR_M0202, "indices are %s, not i32 or i64", ir_type_str(m->arena, i));
  if (x->rank + i->rank - 1 > IR_MAX_RANK) return ir_op_error(m, n, IR_M0201, "the result's rank is over %d", IR_MAX_RANK);
  for (unsigned d = 0; d < axis; d++) dim[k++] = x->dim[d];
  for (unsigned d = 0; d < i->rank; d++) dim[k++] = i->dim[d];
  for (unsigned d = (unsigned)axis + 1; d < x->rank; d++) dim[k++] = x->dim[d];
  out[0] = ir_type_get(m, x->elem, k, dim);
  return true;
}
static bool gather_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_value *x = n->in[0], *i = n->in[1];
  const struct ir_ix *r[64];
  if (!x->form || !i->form || n->out[0]->type->rank > 1) return false;
  for (unsigned k = 0; k < i->form_n; k++) {
    int64_t v;
    if (!ir_ix_const(i->form[k], &v) || !x->form_n) return false;
    if (v < 0) v += x->form_n;
    r[k] = x->form[v < 0 ? 0 : v < x->form_n ? v : x->form_n - 1];
  }
  op_set_form(m, n->out[0], r, i->form_n);
  return true;
}
static struct kir_expr *gather_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  const struct ir_type *x = n->in[0]->type, *i = n->in[1]->type;
  unsigned axis = (unsigned)ir_attr_get_int(n, "axis");
  const struct ir_ix *at[IR_MAX_RANK], *e = kir_index(b, n->in[1], c + axis), *dim = kir_dim(b, x->dim[axis]);
  (void)out;
  if (!e) return NULL;
  int64_t k;
  e = wrapped(e, dim);
  if (!ir_ix_const(e, &k) || k < 0 || !ir_known_ge0(&kir_builder_nest(b)->facts, ir_ix_sub(ir_ix_addi(dim, -1), e))) e = clamped(e, dim);
  for (unsigned d = 0; d < x->rank; d++) at[d] = d < axis ? c[d] : d == axis ? e : c[d - 1 + i->rank];
  return kir_value(b, n->in[0], at);
}
/* Any index: negative ones count from the end, those outside are clamped. */
static bool gather_eval(struct ir_eval_ctx *c, const struct ir_node *n)
{
  const struct ir_tensor *x = ir_eval_in(c, n, 0), *at = ir_eval_in(c, n, 1);
  struct ir_tensor *y = ir_eval_out(c, n, 0);
  if (!y) return false;
  unsigned axis = (unsigned)ir_attr_get_int(n, "axis");
  int64_t outer = 1, inner = 1, len = x->dim[axis];
  for (unsigned d = 0; d < axis; d++) outer *= x->dim[d];
  for (unsigned d = axis + 1; d < x->rank; d++) inner *= x->dim[d];
  for (int64_t o = 0; o < outer && len; o++)
    for (int64_t k = 0; k < at->n; k++) {
      int64_t i = at->i[k] < 0 ? at->i[k] + len : at->i[k];
      i = i < 0 ? 0 : i >= len ? len - 1 : i;
      memcpy(y->i + (o * at->n + k) * inner, x->i + (o * len + i) * inner, (size_t)inner * sizeof *y->i);
    }
  return true;
}
const struct ir_op_def ir_def_gather = {
  .name = "gather", .class = IR_C_MOVE, .min_in = 2, .max_in = 2, .n_out = 1, .attrs = { { "axis", IR_A_INT, false, "0" } },
  .infer = gather_infer, .form = gather_form, .nest = gather_nest, .eval = gather_eval,
};

/* ---- view x, i.. {map, dims, wrap}: v[c] = x[map..], an expression for each axis of x in c0.. of the result and, behind them, one coordinate for each i: its
 * element at c (i has the result's rank, each dim equal or 1). Where wrap (one size for each i) is not 0, it is added to negative elements. Places outside of x
 * are clamped. ---- */
static bool view_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_value *x = n->in[0];
  const struct ir_attr *map = ir_attr_find(n, "map"), *wrap = ir_attr_find(n, "wrap");
  const struct ir_type *t = op_type_of_dims(m, n, x->type->elem, "dims");
  if (!t) return false;
  if ((map ? map->n : 0) != x->type->rank) return ir_op_error(m, n, IR_M0302, "map has %u entries for %s", map ? map->n : 0, ir_type_str(m->arena, x->type));
  if (t->rank + n->n_in - 1 > IR_IX_COORDS) return ir_op_error(m, n, IR_M0302, "rank and indices together are more than %d", IR_IX_COORDS);
  if (wrap && wrap->n != n->n_in - 1) return ir_op_error(m, n, IR_M0302, "wrap has %u entries for %u indices", wrap->n, n->n_in - 1);
  for (unsigned i = 1; i < n->n_in; i++) {
    const struct ir_type *k = n->in[i]->type;
    if (!is_index(n->in[i]) || k->rank != t->rank) return ir_op_error(m, n, IR_M0202, "index %u is %s; expected i32 or i64 and rank %u", i, ir_type_str(m->arena, k), t->rank);
    for (unsigned d = 0; d < k->rank; d++)
      if (k->dim[d] != t->dim[d] && !ir_ix_is(k->dim[d], 1)) return ir_op_error(m, n, IR_M0201, "index %u is %s, the result %s", i, ir_type_str(m->arena, k), ir_type_str(m->arena, t));
  }
  out[0] = t;
  return true;
}
static struct kir_expr *view_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct ir_ixs *t = kir_builder_nest(b)->ixs;
  const struct ir_attr *map = ir_attr_find(n, "map"), *wrap = ir_attr_find(n, "wrap");
  const struct ir_type *r = n->out[out]->type;
  const struct ir_ix *from[IR_IX_COORDS], *to[IR_IX_COORDS], *at[IR_MAX_RANK];
  unsigned k = r->rank + n->n_in - 1;
  for (unsigned d = 0; d < k; d++) from[d] = ir_ix_coord(t, d);
  for (unsigned d = 0; d < r->rank; d++) to[d] = c[d];
  for (unsigned i = 1; i < n->n_in; i++) {
    op_broadcast_at(b, n->in[i]->type, r, c, at);
    const struct ir_ix *e = kir_index(b, n->in[i], at);
    if (!e) return NULL;
    to[r->rank + i - 1] = wrap && !ir_ix_is(wrap->ix[i - 1], 0) ? wrapped(e, kir_dim(b, wrap->ix[i - 1])) : e;
  }
  for (unsigned d = 0; map && d < map->n; d++) {
    const struct ir_ix *e = kir_dim(b, map->ix[d]), *dim = kir_dim(b, n->in[0]->type->dim[d]);
    e = ir_ix_subst(e, from, to, k);
    bool in = ir_known_ge0(&kir_builder_nest(b)->facts, e) && ir_known_ge0(&kir_builder_nest(b)->facts, ir_ix_sub(ir_ix_addi(dim, -1), e));
    at[d] = in ? e : clamped(e, dim);
  }
  return kir_value(b, n->in[0], at);
}
struct at { const int64_t *c; unsigned rank; const int64_t *loaded; struct ir_ix_env outer; };
static int64_t coordinate(void *arg, const struct ir_sym *s, bool *known)
{
  struct at *a = arg;
  if (s->kind != IR_SYM_COORD) return a->outer.sym(a->outer.arg, s, known);
  unsigned k = 0;
  for (const char *p = s->name + 1; *p; p++) k = 10 * k + (unsigned)(*p - '0');
  *known = true;
  return k < a->rank ? a->c[k] : a->loaded[k - a->rank];
}
/* Row-major element number of coordinates c in t, 0 along unit dims. */
static int64_t number(const struct ir_tensor *t, const int64_t *c)
{
  int64_t k = 0;
  for (unsigned d = 0; d < t->rank; d++) k = k * t->dim[d] + (t->dim[d] == 1 ? 0 : c[d]);
  return k;
}
static bool view_eval(struct ir_eval_ctx *c, const struct ir_node *n)
{
  struct ir_tensor *y = ir_eval_out(c, n, 0);
  const struct ir_tensor *x = ir_eval_in(c, n, 0);
  const struct ir_attr *map = ir_attr_find(n, "map"), *wrap = ir_attr_find(n, "wrap");
  int64_t at[IR_MAX_RANK] = { 0 }, loaded[IR_IX_COORDS], sizes[IR_IX_COORDS] = { 0 };
  if (!y) return false;
  if (!x->n) return true;
  for (unsigned i = 0; wrap && i < wrap->n; i++) TRY(ir_eval_ix(c, wrap->ix[i], &sizes[i]));
  struct at a = { at, y->rank, loaded, c->env };
  struct ir_ix_env env = { coordinate, NULL, &a };
  for (int64_t k = 0; k < y->n; k++) {
    for (unsigned i = 1; i < n->n_in; i++) {
      const struct ir_tensor *t = ir_eval_in(c, n, i);
      loaded[i - 1] = t->i[number(t, at)];
      if (loaded[i - 1] < 0) loaded[i - 1] += sizes[i - 1];
    }
    int64_t from = 0, e;
    for (unsigned d = 0; map && d < map->n; d++) {
      if (!ir_ix_eval(map->ix[d], &env, &e)) return ir_op_error(c->m, n, IR_M0302, "a place cannot be computed");
      from = from * x->dim[d] + inside(e, x->dim[d]);
    }
    if (ir_elem_class(x->elem) == 'F') y->f[k] = x->f[from];
    else y->i[k] = x->i[from];
    for (unsigned d = y->rank; d-- > 0;) {
      if (++at[d] < y->dim[d]) break;
      at[d] = 0;
    }
  }
  return true;
}
const struct ir_op_def ir_def_view = {
  .name = "view", .class = IR_C_MOVE, .min_in = 1, .max_in = -1, .n_out = 1,
  .attrs = { { "map", IR_A_IXS, false, NULL }, { "dims", IR_A_IXS, false, NULL }, { "wrap", IR_A_IXS, false, NULL } },
  .infer = view_infer, .nest = view_nest, .eval = view_eval,
};
