/* recognise: compositions that deserve a kernel of their own become composites; their body stays as their meaning, so whoever does not know one may inline it.
 * One row per composition: a function that looks at a node and lists the nodes around it that belong together. Exporters write these whole or in pieces; the importer
 * composes them from the same core ops, and simplify brings scales, masks and movement into one spelling, so one pattern finds all.
 * Requires: simplify. Keeps: the meaning, node by node, but for three things: a GELU gets its usual form (rounded differently); the mask of an attention is computed
 * again in each that reads it; and zeros in place of NaN weights (the guard of scaled dot products) go where a finite mask leaves every row a key: scores that
 * are themselves no numbers show then, as they do in models without the guard. */
#include "passes/internal.h"
#include <math.h>
#include <string.h>

enum { MAX_NODES = 64, MAX_DEPTH = 12 };
struct found { struct ir_node *n[MAX_NODES]; unsigned count; struct ir_node *guard; };

static bool take(struct found *f, struct ir_node *n)
{
  for (unsigned i = 0; i < f->count; i++)
    if (f->n[i] == n) return true;
  if (f->count == MAX_NODES) return false;
  f->n[f->count++] = n;
  return true;
}
static bool takes(const struct found *f, const struct ir_node *n)
{
  for (unsigned i = 0; i < f->count; i++)
    if (f->n[i] == n) return true;
  return false;
}
/* Everything that reads v is among the nodes. */
static bool stays_inside(const struct found *f, const struct ir_value *v)
{
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (!takes(f, v->uses.v[i])) return false;
  return !ir_value_is_result(v);
}
static bool is_float_cast(const struct ir_value *v) { return pass_has_op(v, IR_OP_cast) && ir_elem_class(v->type->elem) == 'F' && ir_elem_class(v->def->in[0]->type->elem) == 'F'; }
static bool splat_near(const struct ir_value *v, double want)
{
  double k;
  return ir_value_is_splat(v, &k) && fabs(k - want) <= (ir_elem_bits(v->type->elem) < 32 ? 1e-3 : 1e-6) * fabs(want);
}
static bool same_dims(const struct ir_type *a, const struct ir_type *b) { return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof *a->dim); }

/* ---- softmax: exp(x - max x) / sum exp(x - max x) over the same axes ---- */
static bool reduces(const struct ir_value *v, const char *op, const struct ir_value *x)
{
  return pass_has_op(v, IR_OP_reduce) && !strcmp(ir_attr_get_str(v->def, "op"), op) && v->def->in[0] == x;
}
static bool same_axes(const struct ir_node *a, const struct ir_node *b)
{
  const int64_t *p, *q;
  unsigned n = ir_attr_get_ints(a, "axes", &p), m = ir_attr_get_ints(b, "axes", &q);
  return n == m && (!n || !memcmp(p, q, n * sizeof *p));
}
static bool softmax(struct ir_node *n, struct found *f)
{
  if (n->op != IR_OP_div || !pass_has_op(n->in[0], IR_OP_exp)) return false;
  struct ir_value *e = n->in[0], *s = n->in[1];
  if (!reduces(s, "sum", e) || e->uses.n != 2 || s->uses.n != 1) return false;
  struct ir_value *d = e->def->in[0];
  if (!pass_has_op(d, IR_OP_sub) || d->uses.n != 1) return false;
  struct ir_value *x = d->def->in[0], *m = d->def->in[1];
  if (!reduces(m, "max", x) || m->uses.n != 1 || !same_axes(m->def, s->def)) return false;
  *f = (struct found){ .n = { m->def, d->def, e->def, s->def, n }, .count = 5 };
  return true;
}

/* ---- layer norm: (x - mean) / sqrt(mean of squares + epsilon), then perhaps scale and shift of the row; x and what comes out may be cast ---- */
/* v = mean of x over the last axes; takes its nodes. */
static bool mean(struct found *f, struct ir_value *v, const struct ir_value *x)
{
  const int64_t *axes;
  int64_t count = 1, k;
  if (!pass_has_op(v, IR_OP_div) && !pass_has_op(v, IR_OP_mul)) return false;
  struct ir_value *s = v->def->in[0];
  if (!reduces(s, "sum", x) || s->uses.n != 1) return false;
  unsigned n = ir_attr_get_ints(s->def, "axes", &axes), rank = x->type->rank;
  for (unsigned i = 0; i < n; i++)
    if (axes[i] != rank - n + i || !ir_ix_const(x->type->dim[axes[i]], &k) || k < 1 || (count *= k) > 1 << 24) return false;
  return n && splat_near(v->def->in[1], v->def->op == IR_OP_div ? (double)count : 1 / (double)count) && take(f, s->def) && take(f, v->def);
}
static bool square_of(struct found *f, struct ir_value *v, const struct ir_value *d)
{
  bool yes = (pass_has_op(v, IR_OP_mul) && v->def->in[0] == d && v->def->in[1] == d) || (pass_has_op(v, IR_OP_pow) && v->def->in[0] == d && splat_near(v->def->in[1], 2));
  return yes && take(f, v->def);
}
/* The one reader of v, if it multiplies with (adds) a weight that varies along axes in `row` only. */
static struct ir_node *with_parameter(const struct ir_value *v, enum ir_op op, uint32_t row)
{
  struct ir_value *x;
  if (!pass_one_use(v) || v->uses.v[0]->op != op || v->uses.v[0]->out[0]->type != v->type) return NULL;
  const struct ir_value *w = pass_weight_operand(v->uses.v[0], &x);
  for (unsigned d = 0; w && d < w->type->rank; d++)
    if (!ir_ix_is(w->type->dim[d], 1) && !(row >> (v->type->rank - w->type->rank + d) & 1)) return NULL;
  return w ? v->uses.v[0] : NULL;
}
static bool layer_norm(struct ir_node *n, struct found *f)
{
  struct ir_value *root = n->n_in == 2 ? n->in[1] : NULL, *d = root ? n->in[0] : NULL, *sum;
  const int64_t *axes;
  *f = (struct found){ .n = { n }, .count = 1 };
  if (n->op == IR_OP_mul && pass_has_op(d, IR_OP_recip)) { d = n->in[1]; root = n->in[0]; }
  if (n->op == IR_OP_mul && pass_has_op(root, IR_OP_recip)) { TRY(take(f, root->def)); root = root->def->in[0]; }
  else if (n->op != IR_OP_div) return false;
  if (!pass_has_op(root, IR_OP_sqrt) || !pass_has_op(root->def->in[0], IR_OP_add) || !pass_has_op(d, IR_OP_sub)) return false;
  sum = root->def->in[0];
  struct ir_value *x = d->def->in[0], *var = sum->def->in[0], *s = NULL;
  double eps;
  if (!ir_value_is_splat(sum->def->in[1], &eps) || !take(f, root->def) || !take(f, sum->def) || !take(f, d->def)) return false;
  if (var->def && var->def->n_in == 2 && pass_has_op(var->def->in[0], IR_OP_reduce)) s = var->def->in[0]->def->in[0];
  if (!s || !mean(f, d->def->in[1], x) || !mean(f, var, s) || !square_of(f, s, d)) return false;
  for (unsigned i = 1; i < f->count; i++)
    if (!stays_inside(f, f->n[i]->out[0])) return false;
  unsigned k = ir_attr_get_ints(var->def->in[0]->def, "axes", &axes);
  uint32_t row = 0;
  for (unsigned i = 0; i < k; i++) row |= 1u << axes[i];
  if (is_float_cast(x) && stays_inside(f, x)) take(f, x->def);
  struct ir_value *y = n->out[0];
  struct ir_node *next = pass_one_use(y) ? y->uses.v[0] : NULL;
  if (next && next->op == IR_OP_cast && is_float_cast(next->out[0])) { take(f, next); y = next->out[0]; }
  if ((next = with_parameter(y, IR_OP_mul, row))) { take(f, next); y = next->out[0]; }
  if ((next = with_parameter(y, IR_OP_add, row))) take(f, next);
  return true;
}

/* ---- GELU: any tree of maps over one value that computes x/2 (1 + erf(x/sqrt 2)), or its form by tanh ----
 * Which one it is, its values tell: the two are 5e-4 apart, other functions further. */
struct tree { struct found *f; struct ir_value *x; const struct ir_node *root; bool erf, tanh; };
static bool grow(struct tree *t, struct ir_value *v, unsigned depth)
{
  double k;
  if (v == t->x || ir_value_is_splat(v, &k)) return true;
  if (!depth || !v->def || !ir_op_is_map(v->def->op) || (v->def != t->root && !pass_one_use(v))) return !t->x && !pass_is_weight(v) && (t->x = v) != NULL;
  t->erf |= v->def->op == IR_OP_erf;
  t->tanh |= v->def->op == IR_OP_tanh;
  for (unsigned i = 0; i < v->def->n_in; i++) TRY(grow(t, v->def->in[i], depth - 1));
  return take(t->f, v->def);
}
static double value_at(const struct tree *t, const struct ir_value *v, double x)
{
  double k, a[3] = { 0 };
  if (v == t->x) return x;
  if (ir_value_is_splat(v, &k)) return k;
  for (unsigned i = 0; i < v->def->n_in; i++) a[i] = value_at(t, v->def->in[i], x);
  return ir_scalar_f(ir_op_map(v->def->op), a[0], a[1], a[2]);
}
static bool gelu(struct ir_node *n, struct found *f)
{
  static const double at[] = { -6, -2.75, -1.5, -0.75, -0.25, 0, 0.125, 0.5, 1, 1.75, 2.5, 5 };
  struct tree t = { .f = f, .root = n };
  *f = (struct found){ .count = 0 };
  if (n->op != IR_OP_mul || ir_elem_class(n->out[0]->type->elem) != 'F' || !grow(&t, n->out[0], MAX_DEPTH) || !t.x || t.erf == t.tanh || t.x->type != n->out[0]->type) return false;
  double tol = ir_elem_bits(t.x->type->elem) < 32 ? 4e-3 : 2e-6;
  for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
    double x = at[i], y = t.erf ? erf(x * M_SQRT1_2) : tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x));
    if (!(fabs(value_at(&t, n->out[0], x) - 0.5 * x * (1 + y)) <= tol * fmax(1, fabs(x)))) return false;
  }
  return true;
}
/* Into the form that the importer composes. Of half types the constants are rounded, so theirs stays. */
static void usual_gelu(struct pass_ctx *c, struct found *f)
{
  struct ir_node *n = f->n[f->count - 1];
  struct found all = *f;
  struct tree t = { .f = &all, .root = n };
  if (!grow(&t, n->out[0], MAX_DEPTH) || ir_elem_bits(n->out[0]->type->elem) < 32) return;
  struct ir_builder b = pass_at(n);
  for (unsigned i = 0; i < f->count; i++) b.prov = ir_prov_union(c->m, b.prov, f->n[i]->prov);
  enum ir_elem e = t.x->type->elem;
  struct ir_value *x = t.x, *y[8];
  unsigned k = 0;
  if (t.erf) {
    y[k++] = ir_map2(&b, IR_OP_mul, x, ir_const_f(&b, e, M_SQRT1_2));
    y[1] = ir_map1(&b, IR_OP_erf, y[0]);
    k++;
  } else {
    y[0] = ir_map2(&b, IR_OP_mul, x, x);
    y[1] = ir_map2(&b, IR_OP_mul, y[0], x);
    y[2] = ir_map2(&b, IR_OP_mul, y[1], ir_const_f(&b, e, 0.044715));
    y[3] = ir_map2(&b, IR_OP_add, x, y[2]);
    y[4] = ir_map2(&b, IR_OP_mul, y[3], ir_const_f(&b, e, 0.79788456080286535588));
    y[5] = ir_map1(&b, IR_OP_tanh, y[4]);
    k = 6;
  }
  y[k] = ir_map2(&b, IR_OP_add, y[k - 1], ir_const_f(&b, e, 1));
  struct ir_value *half = ir_map2(&b, IR_OP_mul, x, ir_const_f(&b, e, 0.5)), *r = ir_map2(&b, IR_OP_mul, half, y[k]);
  if (r == n->out[0]) return;
  *f = (struct found){ .count = 0 };
  for (unsigned i = 0; i <= k; i++) take(f, y[i]->def);
  take(f, half->def);
  take(f, r->def);
  pass_replace(c, n, r);
  ir_graph_sweep(n->graph);              /* old nodes may share some of the new ones */
}

/* ---- attention: dot(weights(softmax(maps(dot(q, k)))), v): scores, scale and mask, weights, sum ----
 * The maps are a chain over the scores. Weights may be cast, and be 0 where the softmax is NaN. What a mask is made of stays outside but for what is as
 * large as the scores: that is computed anew from its parts. */
static bool is_composite(const struct ir_value *v, const char *name) { return pass_has_op(v, IR_OP_composite) && v->def->name && !strcmp(v->def->name, name); }
static bool is_product(const struct ir_node *n) { return n->op == IR_OP_dot && !pass_is_weight(n->in[0]) && !pass_is_weight(n->in[1]); }
/* From the weights that the second product reads to the softmax; NULL: there is none. */
static struct ir_value *weights(struct found *f, struct ir_value *v)
{
  for (bool guarded = false;;) {
    if (!stays_inside(f, v)) return NULL;
    struct ir_node *d = v->def;
    if (is_composite(v, "softmax")) return take(f, d) ? v : NULL;
    if (is_float_cast(v)) {
      if (!take(f, d)) return NULL;
      v = d->in[0];
      continue;
    }
    if (guarded || !pass_has_op(v, IR_OP_select) || !pass_has_op(d->in[0], IR_OP_isnan) || d->in[0]->def->in[0] != d->in[2] || !splat_near(d->in[1], 0)) return NULL;
    if (!pass_one_use(d->in[0]) || !take(f, d) || !take(f, d->in[0]->def)) return NULL;
    guarded = true;
    f->guard = d;
    v = d->in[2];
  }
}
static bool reaches_product(const struct ir_value *v, unsigned depth)
{
  if (!v->def || !depth) return false;
  if (is_product(v->def)) return true;
  if (ir_op_def(v->def->op)->class != IR_C_MAP) return false;
  for (unsigned i = 0; i < v->def->n_in; i++)
    if (same_dims(v->def->in[i]->type, v->type) && reaches_product(v->def->in[i], depth - 1)) return true;
  return false;
}
/* The one operand of d that comes from a product over the same elements; n_in: none, or several. */
static unsigned chain_operand(const struct ir_node *d)
{
  unsigned at = d->n_in;
  for (unsigned i = 0; i < d->n_in; i++)
    if (same_dims(d->in[i]->type, d->out[0]->type) && reaches_product(d->in[i], MAX_DEPTH)) {
      if (at < d->n_in) return d->n_in;
      at = i;
    }
  return at;
}
static bool attention(struct ir_node *n, struct found *f)
{
  if (!is_product(n)) return false;
  for (unsigned side = 0; side < 2; side++) {
    *f = (struct found){ .n = { n }, .count = 1 };
    struct ir_value *v = n->in[0] != n->in[1] ? weights(f, n->in[side]) : NULL;
    for (v = v ? v->def->in[0] : NULL; v && v->def && pass_one_use(v) && take(f, v->def); ) {
      struct ir_node *d = v->def;
      if (d->op == IR_OP_dot) return is_product(d);
      if (ir_op_def(d->op)->class != IR_C_MAP) break;
      unsigned i = chain_operand(d);
      v = i < d->n_in ? d->in[i] : NULL;
    }
  }
  return false;
}
/* Axes of the scores: over the keys, and over what only queries have. */
static void pair_axes(const struct ir_node *n, bool left, uint32_t *keys, uint32_t *rows)
{
  const char *spec = ir_attr_get_str(n, "spec"), *comma = strchr(spec, ','), *r = strstr(spec, "->") + 2, *p = left ? spec : comma + 1;
  *keys = *rows = 0;
  for (unsigned d = 0; p[d] && p[d] != ',' && p[d] != '-'; d++) {
    const char *other = left ? comma + 1 : spec;
    bool shared = memchr(other, p[d], left ? (size_t)(r - 2 - other) : (size_t)(comma - spec)) != NULL;
    if (!strchr(r, p[d])) *keys |= 1u << d;
    else if (!shared) *rows |= 1u << d;
  }
}
static bool varies(const struct ir_type *t, uint32_t axes)
{
  for (unsigned d = 0; d < t->rank; d++)
    if (axes >> d & 1 && !ir_ix_is(t->dim[d], 1)) return true;
  return false;
}
static bool is_cheap(enum ir_op op)
{
  switch (op) {
  case IR_OP_index: case IR_OP_cast: case IR_OP_abs: case IR_OP_neg: case IR_OP_not: case IR_OP_add: case IR_OP_sub: case IR_OP_mul: case IR_OP_min: case IR_OP_max:
  case IR_OP_eq: case IR_OP_lt: case IR_OP_le: case IR_OP_and: case IR_OP_or: case IR_OP_xor: case IR_OP_select: return true;
  default: return false;
  }
}
static struct ir_value *lifted_index(struct ir_node *d, struct ir_value *v, unsigned skip, struct ir_node *at)
{
  struct ir_module *m = v->graph->module;
  const struct ir_attr *e = ir_attr_find(d, "e");
  const struct ir_ix *from[IR_MAX_RANK], *to[IR_MAX_RANK], *x;
  unsigned rank = d->out[0]->type->rank;
  if (e->n != 1) return v;
  for (unsigned k = 0; k < rank; k++) {
    from[k] = ir_ix_coord(m->ixs, k);
    to[k] = ir_ix_coord(m->ixs, k + skip);
  }
  x = ir_ix_subst(e->ix[0], from, to, rank);
  struct ir_attr a[] = { ir_attr_elem("elem", v->type->elem), ir_attr_ixs(m, "e", &x, 1), ir_attr_ixs(m, "dims", v->type->dim, v->type->rank) };
  struct ir_builder b = pass_at(at);
  b.prov = d->prov;
  return ir_build(&b, IR_OP_index, NULL, 0, a, 3)->out[0];
}
/* reshape(map(x, ..)), which only puts unit dims in front, as map(reshape(x), ..); v itself if it is something else. */
static struct ir_value *map_of_lifted(struct ir_value *v, struct ir_node *at)
{
  struct ir_node *r = v->def, *d = pass_has_op(v, IR_OP_reshape) ? r->in[0]->def : NULL;
  struct ir_value *in[3];
  if (!d || !is_cheap(d->op) || v->type->rank < d->out[0]->type->rank) return v;
  unsigned skip = v->type->rank - d->out[0]->type->rank;
  for (unsigned k = 0; k < skip; k++)
    if (!ir_ix_is(v->type->dim[k], 1)) return v;
  for (unsigned k = 0; k < d->out[0]->type->rank; k++)
    if (v->type->dim[skip + k] != d->out[0]->type->dim[k]) return v;
  if (d->op == IR_OP_index) return lifted_index(d, v, skip, at);
  struct ir_builder b = pass_at(at);
  for (unsigned i = 0; i < d->n_in; i++) {
    const struct ir_type *t = d->in[i]->type;
    const struct ir_ix *dim[IR_MAX_RANK];
    for (unsigned k = 0; k < v->type->rank; k++) dim[k] = k < skip ? ir_ix_int(v->graph->module->ixs, 1) : t->dim[k - skip];
    in[i] = t->rank ? ir_reshape(&b, d->in[i], v->type->rank, dim) : d->in[i];
  }
  b.prov = d->prov;
  return ir_build(&b, d->op, in, d->n_in, d->attr, d->n_attr)->out[0];
}
struct pairs { const struct ir_type *scores; uint32_t keys, rows; };
/* Operand i of n: if it has an element for each pair of row and key, and is cheap, a copy for n alone belongs to the composite, with what it reads. */
static void absorb(const struct pairs *p, struct found *f, struct ir_node *n, unsigned i, unsigned depth)
{
  struct ir_value *v = n->in[i];
  if (!v->def || takes(f, v->def) || pass_is_weight(v) || !depth || v->type->rank != p->scores->rank || !varies(v->type, p->keys) || !varies(v->type, p->rows)) return;
  v = map_of_lifted(v, n);
  if (v != n->in[i]) ir_node_set_in(n, i, v);
  struct ir_node *d = v->def;
  if (!is_cheap(d->op) || f->count == MAX_NODES) return;
  if (!pass_one_use(v)) {
    d = ir_node_clone(d, n);
    ir_node_set_in(n, i, d->out[0]);
  }
  take(f, d);
  for (unsigned k = 0; k < d->n_in; k++) absorb(p, f, d, k, depth - 1);
}
/* Numbers all, whatever decides between them. */
static bool is_finite(const struct ir_value *v, unsigned depth)
{
  double k;
  if (ir_value_is_splat(v, &k)) return isfinite(k);
  if (!v->def || !depth) return false;
  switch (v->def->op) {
  case IR_OP_select: return is_finite(v->def->in[1], depth - 1) && is_finite(v->def->in[2], depth - 1);
  case IR_OP_reshape: case IR_OP_broadcast: case IR_OP_transpose: return is_finite(v->def->in[0], depth - 1);
  case IR_OP_cast: return v->def->in[0]->type->elem == IR_bool || (is_float_cast(v) && v->type->elem != IR_f16 && is_finite(v->def->in[0], depth - 1));
  default: return false;
  }
}
/* Does the chain give every row a number, if the products are numbers? In f16 the lowest mask and a score may sum to -inf. */
static bool rows_have_keys(const struct found *f)
{
  for (unsigned k = 0; k < f->count; k++) {
    const struct ir_node *d = f->n[k];
    unsigned at = chain_operand(d);
    if (d->op == IR_OP_dot || d->op == IR_OP_composite || d->op == IR_OP_isnan || d == f->guard) continue;
    if (at == d->n_in && is_float_cast(d->out[0]) && !reaches_product(d->out[0], MAX_DEPTH)) continue;          /* of the weights */
    bool fine = d->out[0]->type->elem == IR_f32 && (d->op == IR_OP_add || d->op == IR_OP_mul || d->op == IR_OP_div || d->op == IR_OP_select || d->op == IR_OP_cast || d->op == IR_OP_tanh);
    for (unsigned i = 0; i < d->n_in && fine; i++) fine = i == at || (d->op == IR_OP_select && i == 0) || is_finite(d->in[i], MAX_DEPTH);
    if (!fine) return false;
  }
  return true;
}
static void usual_attention(struct pass_ctx *c, struct found *f)
{
  struct ir_node *n = f->n[0];
  unsigned chain = f->count;
  struct ir_node *softmax = NULL;
  for (unsigned i = 1; i < f->count; i++)
    if (f->n[i]->op == IR_OP_composite) softmax = f->n[i];
  if (f->guard && rows_have_keys(f)) {
    unsigned k = 0;
    struct ir_node *gone = f->guard, *test = gone->in[0]->def;
    pass_replace(c, gone, gone->in[2]);
    for (unsigned i = 0; i < f->count; i++)
      if (f->n[i] != gone && f->n[i] != test) f->n[k++] = f->n[i];
    chain = f->count = k;
    ir_node_erase(gone);
    ir_node_erase(test);
  }
  struct pairs p = { .scores = softmax->in[0]->type };
  pair_axes(n, takes(f, n->in[0]->def), &p.keys, &p.rows);
  for (unsigned k = 1; k < chain; k++)
    for (unsigned i = 0; i < f->n[k]->n_in && f->n[k]->op != IR_OP_dot && f->n[k]->op != IR_OP_composite; i++) absorb(&p, f, f->n[k], i, MAX_DEPTH);
}

/* match: does n end (for layer_norm: is n in the middle of) such a composition, of which nodes? usual: brings it into one form. */
static const struct { const char *name; bool (*match)(struct ir_node *n, struct found *f); void (*usual)(struct pass_ctx *c, struct found *f); } rows[] = {
  { "softmax", softmax, NULL },
  { "layer_norm", layer_norm, NULL },
  { "gelu", gelu, usual_gelu },
  { "attention", attention, usual_attention },          /* made of softmax, so behind it */
};
/* Composites among the nodes are inlined first: a composite's body holds core ops only. */
static void make(struct pass_ctx *c, struct found *f, const char *name)
{
  struct pass_nodes all = { 0 };
  for (unsigned i = 0; i < f->count; i++) {
    if (f->n[i]->op != IR_OP_composite) { ir_push(c->scratch, &all, f->n[i]); continue; }
    for (struct ir_node *x = f->n[i]->body[0]->first; x; x = x->next)
      if (x->op != IR_OP_const) ir_push(c->scratch, &all, x);
    ir_inline(f->n[i]);
  }
  pass_sort_nodes(c, &all);
  ir_outline(c->m->main, IR_OP_composite, all.v, all.n, name);
  c->changed = true;
}
bool pass_recognise(struct pass_ctx *c)
{
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
      next = n->next;
      struct found f;
      if (n->n_out != 1) continue;
      if (pass_is_weight(n->out[0]) || !rows[i].match(n, &f)) continue;
      if (rows[i].usual) rows[i].usual(c, &f);
      while (next && takes(&f, next)) next = next->next;
      make(c, &f, rows[i].name);
    }
  ir_graph_sweep(c->m->main);
  return true;
}
