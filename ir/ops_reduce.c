/* Reductions: reduce, argreduce, prefix, window. */
#include "ir/ops.h"
#include <math.h>

static const struct { const char *name; enum kir_red red; } red_names[] = {
  { "sum", KIR_SUM }, { "prod", KIR_PROD }, { "max", KIR_MAX }, { "min", KIR_MIN }, { "and", KIR_AND }, { "or", KIR_OR },
};
static bool red_of(struct ir_module *m, const struct ir_node *n, enum kir_red *out)
{
  const char *s = ir_attr_get_str(n, "op");
  for (unsigned i = 0; i < sizeof red_names / sizeof *red_names; i++)
    if (!strcmp(red_names[i].name, s)) { *out = red_names[i].red; return true; }
  return ir_op_error(m, n, IR_M0302, "op \"%s\" is none of sum, prod, max, min, and, or", s);
}
static enum kir_red red(const struct ir_node *n)
{
  enum kir_red r = KIR_SUM;
  red_of(n->graph->module, n, &r);
  return r;
}

/* ---- reduce {op, axes}: reduced dims stay as 1. An empty axis gives the neutral element.
 * Or reduce {op, over, dims}: axis d is reduced where over_d is its size, and stays where over_d is 1: v[c] = op over k < over of x[c + k]; dims are the result's. ---- */
static bool reduce_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type;
  const int64_t *axes;
  const struct ir_ix *dim[IR_MAX_RANK];
  enum kir_red r;
  TRY(red_of(m, n, &r));
  unsigned k = ir_attr_get_ints(n, "axes", &axes);
  const struct ir_attr *over = ir_attr_find(n, "over");
  if (over) {
    out[0] = op_type_of_dims(m, n, x->elem, "dims");
    if (out[0] && (over->n != x->rank || out[0]->rank != x->rank)) return ir_op_error(m, n, IR_M0302, "over and dims have %u and %u entries for %s", over->n, out[0]->rank, ir_type_str(m->arena, x));
    return out[0] != NULL;
  }
  for (unsigned d = 0; d < x->rank; d++) dim[d] = x->dim[d];
  for (unsigned i = 0; i < k; i++) {
    if (axes[i] < 0 || axes[i] >= x->rank) return ir_op_error(m, n, IR_M0302, "axis %lld does not fit %s", (long long)axes[i], ir_type_str(m->arena, x));
    dim[axes[i]] = ir_ix_int(m->ixs, 1);
  }
  out[0] = ir_type_get(m, x->elem, x->rank, dim);
  return true;
}
static struct kir_expr *reduce_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  const struct ir_type *x = n->in[0]->type;
  const int64_t *axes;
  const struct ir_ix *at[IR_MAX_RANK];
  struct kir_axis loop[IR_MAX_RANK];
  unsigned k = ir_attr_get_ints(n, "axes", &axes), nl = 0;
  const struct ir_attr *over = ir_attr_find(n, "over");
  (void)out;
  for (unsigned d = 0; d < x->rank; d++) at[d] = over ? ir_ix_add(c[d], op_loop(b, "r", kir_dim(b, over->ix[d]), loop, &nl)) : c[d];
  for (unsigned d = 0; d < x->rank; d++)
    for (unsigned i = 0; i < k; i++)
      if (axes[i] == d) at[d] = op_loop(b, "r", kir_dim(b, x->dim[d]), loop, &nl);
  struct kir_expr *e = kir_value(b, n->in[0], at);
  return nl ? kir_red(kir_builder_nest(b), red(n), loop, nl, e) : e;
}
static bool reduce_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_value *x = n->in[0];
  if (!x->form || !x->form_n || n->out[0]->type->rank > 1) return false;
  const struct ir_ix *v = x->form[0];
  enum kir_red r = red(n);
  const int64_t *axes;
  if (x->type->rank == 0 || ir_attr_get_ints(n, "axes", &axes) != 1) return false;   /* no axes: nothing is reduced */
  for (unsigned i = 1; i < x->form_n; i++)
    v = r == KIR_SUM ? ir_ix_add(v, x->form[i]) : r == KIR_PROD ? ir_ix_mul(v, x->form[i]) : r == KIR_MAX ? ir_ix_max(v, x->form[i]) : r == KIR_MIN ? ir_ix_min(v, x->form[i]) : NULL;
  if (!v || r > KIR_MIN) return false;
  op_set_form(m, n->out[0], &v, 1);
  return true;
}
const struct ir_op_def ir_def_reduce = {
  .name = "reduce", .class = IR_C_ANCHOR, .min_in = 1, .max_in = 1, .n_out = 1, .attrs = { { "op", IR_A_STR, true, NULL }, { "axes", IR_A_INTS, false, NULL }, { "over", IR_A_IXS, false, NULL }, { "dims", IR_A_IXS, false, NULL } },
  .infer = reduce_infer, .form = reduce_form, .nest = reduce_nest,
};

/* ---- argreduce {op, axis, last}: i64 index of the first (last) largest or smallest element; NaN counts as largest and smallest. The dim stays as 1. ---- */
static bool argreduce_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type;
  int64_t axis = ir_attr_get_int(n, "axis");
  const struct ir_ix *dim[IR_MAX_RANK];
  const char *op = ir_attr_get_str(n, "op");
  if (strcmp(op, "max") && strcmp(op, "min")) return ir_op_error(m, n, IR_M0302, "op \"%s\" is neither max nor min", op);
  if (axis < 0 || axis >= x->rank) return ir_op_error(m, n, IR_M0302, "axis %lld does not fit %s", (long long)axis, ir_type_str(m->arena, x));
  for (unsigned d = 0; d < x->rank; d++) dim[d] = d == axis ? ir_ix_int(m->ixs, 1) : x->dim[d];
  out[0] = ir_type_get(m, IR_i64, x->rank, dim);
  return true;
}
/* Two reductions: the extremum, then the smallest (largest) index that has it. */
static struct kir_expr *argreduce_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct kir_nest *nest = kir_builder_nest(b);
  const struct ir_type *x = n->in[0]->type;
  unsigned axis = (unsigned)ir_attr_get_int(n, "axis");
  bool last = ir_attr_get_int(n, "last"), min = !strcmp(ir_attr_get_str(n, "op"), "min");
  const struct ir_ix *at[IR_MAX_RANK], *ext = kir_dim(b, x->dim[axis]);
  struct kir_axis ax;
  (void)out;
  for (unsigned d = 0; d < x->rank; d++) at[d] = c[d];
  ax = (struct kir_axis){ kir_axis(b, "r", ext), ext };
  at[axis] = ax.var;
  struct kir_expr *best = kir_temp(b, kir_red(nest, min ? KIR_MIN : KIR_MAX, &ax, 1, kir_value(b, n->in[0], at)), n->out[0], c);
  ax = (struct kir_axis){ kir_axis(b, "q", ext), ext };
  at[axis] = ax.var;
  struct kir_expr *v = kir_value(b, n->in[0], at), *hit = kir_fn(nest, IR_MAP_eq, v, best, NULL);
  if (ir_elem_class(x->elem) == 'F') hit = kir_fn(nest, IR_MAP_or, hit, kir_fn(nest, IR_MAP_isnan, v, NULL, NULL), NULL);
  struct kir_expr *e = kir_fn(nest, IR_MAP_select, hit, kir_ix(nest, IR_i64, ax.var), kir_const(nest, IR_i64, 0, last ? -1 : INT64_MAX));
  return kir_red(nest, last ? KIR_MAX : KIR_MIN, &ax, 1, e);
}
const struct ir_op_def ir_def_argreduce = {
  .name = "argreduce", .class = IR_C_ANCHOR, .min_in = 1, .max_in = 1, .n_out = 1,
  .attrs = { { "op", IR_A_STR, true, NULL }, { "axis", IR_A_INT, true, NULL }, { "last", IR_A_INT, false, "0" } },
  .infer = argreduce_infer, .nest = argreduce_nest,
};

/* ---- prefix {op, axis, exclusive, reverse}: v[c] = op over x up to (from, when reverse) c along the axis; exclusive leaves c out ---- */
static bool prefix_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type;
  int64_t axis = ir_attr_get_int(n, "axis");
  enum kir_red r;
  TRY(red_of(m, n, &r));
  if (axis < 0 || axis >= x->rank) return ir_op_error(m, n, IR_M0302, "axis %lld does not fit %s", (long long)axis, ir_type_str(m->arena, x));
  out[0] = x;
  return true;
}
/* As a reduction over the whole axis with what does not count masked: quadratic; the scan skeleton will do better. */
static struct kir_expr *neutral(struct kir_nest *nest, enum kir_red r, enum ir_elem e)
{
  bool fl = ir_elem_class(e) == 'F', uns = ir_elem_class(e) == 'U' || e == IR_bool;
  unsigned bits = e == IR_bool ? 1 : ir_elem_bits(e);
  int64_t top = uns ? (bits == 64 ? -1 : ((int64_t)1 << bits) - 1) : (int64_t)(UINT64_MAX >> (65 - bits));
  switch (r) {
  case KIR_SUM: case KIR_OR: return kir_const(nest, e, 0, 0);
  case KIR_PROD: return kir_const(nest, e, 1, 1);
  case KIR_AND: return kir_const(nest, e, 0, e == IR_bool ? 1 : -1);
  case KIR_MAX: return kir_const(nest, e, -INFINITY, uns || fl ? 0 : -top - 1);
  case KIR_MIN: return kir_const(nest, e, INFINITY, top);
  }
  return NULL;
}
static struct kir_expr *prefix_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct kir_nest *nest = kir_builder_nest(b);
  const struct ir_type *x = n->in[0]->type;
  unsigned axis = (unsigned)ir_attr_get_int(n, "axis");
  bool excl = ir_attr_get_int(n, "exclusive"), rev = ir_attr_get_int(n, "reverse");
  const struct ir_ix *at[IR_MAX_RANK], *ext = kir_dim(b, x->dim[axis]);
  (void)out;
  for (unsigned d = 0; d < x->rank; d++) at[d] = c[d];
  struct kir_axis ax = { kir_axis(b, "r", ext), ext };
  at[axis] = ax.var;
  const struct ir_ix *dist = rev ? ir_ix_sub(ax.var, c[axis]) : ir_ix_sub(c[axis], ax.var);
  return kir_red(nest, red(n), &ax, 1, kir_select(nest, ir_ix_ge0(ir_ix_addi(dist, -(int64_t)excl)), kir_value(b, n->in[0], at), neutral(nest, red(n), x->elem)));
}
static bool prefix_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_value *x = n->in[0];
  const struct ir_ix *r[64], *s = ir_ix_int(m->ixs, 0);
  bool excl = ir_attr_get_int(n, "exclusive"), rev = ir_attr_get_int(n, "reverse");
  if (!x->form || x->type->rank != 1 || red(n) != KIR_SUM) return false;
  for (unsigned i = 0; i < x->form_n; i++) {
    unsigned k = rev ? x->form_n - 1 - i : i;
    if (excl) r[k] = s;
    s = ir_ix_add(s, x->form[k]);
    if (!excl) r[k] = s;
  }
  op_set_form(m, n->out[0], r, x->form_n);
  return true;
}
const struct ir_op_def ir_def_prefix = {
  .name = "prefix", .class = IR_C_ANCHOR, .min_in = 1, .max_in = 1, .n_out = 1,
  .attrs = { { "op", IR_A_STR, true, NULL }, { "axis", IR_A_INT, true, NULL }, { "exclusive", IR_A_INT, false, "0" }, { "reverse", IR_A_INT, false, "0" } },
  .infer = prefix_infer, .form = prefix_form, .nest = prefix_nest,
};

/* ---- window {op, kernel, strides, pads, dilations, dims}: x [n,c,s..] -> [n,c,dims..]
 * v[n,c,p..] = op over k < kernel of x[n,c, p*stride + k*dilation - pad_begin ..]; places outside of x do not take part (an empty window: the neutral element).
 * dims are the spatial dims of the result (ceil_mode is the importer's business). ---- */
static bool spatial_ints(struct ir_module *m, const struct ir_node *n, const char *key, unsigned want, int64_t min)
{
  const int64_t *v;
  unsigned k = ir_attr_get_ints(n, key, &v);
  if (k != want) return ir_op_error(m, n, IR_M0302, "%s has %u entries, %u are needed", key, k, want);
  for (unsigned i = 0; i < k; i++)
    if (v[i] < min || v[i] > INT32_MAX) return ir_op_error(m, n, IR_M0302, "%s holds %lld", key, (long long)v[i]);
  return true;
}
static bool window_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type;
  const struct ir_attr *dims = ir_attr_find(n, "dims");
  const struct ir_ix *dim[IR_MAX_RANK];
  enum kir_red r;
  TRY(red_of(m, n, &r));
  if (x->rank < 3) return ir_op_error(m, n, IR_M0201, "%s has no spatial axes", ir_type_str(m->arena, x));
  unsigned s = x->rank - 2;
  TRY(spatial_ints(m, n, "kernel", s, 1) && spatial_ints(m, n, "strides", s, 1) && spatial_ints(m, n, "dilations", s, 1) && spatial_ints(m, n, "pads", 2 * s, INT32_MIN));
  if (dims->n != s) return ir_op_error(m, n, IR_M0302, "dims has %u entries, %u are needed", dims->n, s);
  for (unsigned d = 0; d < x->rank; d++) dim[d] = d < 2 ? x->dim[d] : dims->ix[d - 2];
  out[0] = ir_type_get(m, x->elem, x->rank, dim);
  return true;
}
static struct kir_expr *window_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct kir_nest *nest = kir_builder_nest(b);
  const struct ir_type *x = n->in[0]->type;
  const int64_t *kernel, *strides, *pads, *dil;
  const struct ir_ix *at[IR_MAX_RANK];
  struct kir_axis loop[IR_MAX_RANK];
  unsigned nl = 0;
  (void)out;
  ir_attr_get_ints(n, "kernel", &kernel);
  ir_attr_get_ints(n, "strides", &strides);
  ir_attr_get_ints(n, "pads", &pads);
  ir_attr_get_ints(n, "dilations", &dil);
  at[0] = c[0];
  at[1] = c[1];
  for (unsigned d = 2; d < x->rank; d++) {
    const struct ir_ix *k = op_loop(b, "k", ir_ix_int(nest->ixs, kernel[d - 2]), loop, &nl);
    at[d] = ir_ix_addi(ir_ix_add(ir_ix_muli(c[d], strides[d - 2]), ir_ix_muli(k, dil[d - 2])), -pads[d - 2]);
  }
  struct kir_expr *e = kir_value_or(b, n->in[0], at, neutral(nest, red(n), x->elem));
  return nl ? kir_red(nest, red(n), loop, nl, e) : e;
}
const struct ir_op_def ir_def_window = {
  .name = "window", .class = IR_C_ANCHOR, .min_in = 1, .max_in = 1, .n_out = 1,
  .attrs = { { "op", IR_A_STR, true, NULL }, { "kernel", IR_A_INTS, true, NULL }, { "strides", IR_A_INTS, true, NULL }, { "pads", IR_A_INTS, true, NULL },
             { "dilations", IR_A_INTS, true, NULL }, { "dims", IR_A_IXS, true, NULL } },
  .infer = window_infer, .nest = window_nest,
};
