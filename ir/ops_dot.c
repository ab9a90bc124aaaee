/* Contractions: dot and conv. Their sums are float32 for operands of a half type or tf32, and are rounded to that type, unless `to` names the result's: f32. */
#include "ir/ops.h"

static bool result_elem(struct ir_module *m, const struct ir_node *n, enum ir_elem *out)
{
  const struct ir_attr *to = ir_attr_find(n, "to");
  enum ir_elem e = n->in[0]->type->elem;
  *out = to ? to->elem : e;
  return !to || to->elem == e || (to->elem == IR_f32 && ir_elem_narrower(e, IR_f32)) || ir_op_error(m, n, IR_M0302, "to is %s; expected f32, with operands of a half type or tf32", ir_elem_name(to->elem));
}

/* ---- dot x, y {spec, to}: "bik,bkj->bij": sum over the labels that are not in the result; one size per label, no label twice in an operand ---- */
struct dot_spec { const char *x, *y, *r; unsigned nx, ny, nr; };
static bool split_spec(const char *s, struct dot_spec *d)
{
  const char *comma = strchr(s, ','), *arrow = strstr(s, "->");
  if (!comma || !arrow || comma > arrow) return false;
  *d = (struct dot_spec){ s, comma + 1, arrow + 2, (unsigned)(comma - s), (unsigned)(arrow - comma - 1), (unsigned)strlen(arrow + 2) };
  return true;
}
static int label(const char *s, unsigned n, char c)
{
  for (unsigned i = 0; i < n; i++)
    if (s[i] == c) return (int)i;
  return -1;
}
static bool labels_ok(const char *s, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    if (((s[i] | 32) < 'a' || (s[i] | 32) > 'z') || label(s + i + 1, n - i - 1, s[i]) >= 0) return false;
  return true;
}
static bool dot_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const char *spec = ir_attr_get_str(n, "spec");
  const struct ir_type *x = n->in[0]->type, *y = n->in[1]->type;
  const struct ir_ix *dim[IR_MAX_RANK];
  struct dot_spec d;
  enum ir_elem e;
  if (!split_spec(spec, &d) || !labels_ok(d.x, d.nx) || !labels_ok(d.y, d.ny) || !labels_ok(d.r, d.nr) || d.nr > IR_MAX_RANK)
    return ir_op_error(m, n, IR_M0302, "\"%s\" is no pair of label lists and a result's", spec);
  if (d.nx != x->rank || d.ny != y->rank) return ir_op_error(m, n, IR_M0201, "\"%s\" does not fit %s and %s", spec, ir_type_str(m->arena, x), ir_type_str(m->arena, y));
  if (x->elem != y->elem) return ir_op_error(m, n, IR_M0202, "operands have different types: %s and %s", ir_type_str(m->arena, x), ir_type_str(m->arena, y));
  for (unsigned i = 0; i < d.nx; i++) {
    int j = label(d.y, d.ny, d.x[i]);
    if (j >= 0 && x->dim[i] != y->dim[j]) {
      if (ir_prove_eq0(&m->facts, ir_ix_sub(x->dim[i], y->dim[j])) == IR_NO)
        return ir_op_error(m, n, IR_M0201, "axis %u of %s and axis %d of %s must be equal", i, ir_type_str(m->arena, x), j, ir_type_str(m->arena, y));
      TRY(ir_require_eq(m, x->dim[i], y->dim[j], "a contraction's operands agree"));
    }
  }
  for (unsigned i = 0; i < d.nr; i++) {
    int a = label(d.x, d.nx, d.r[i]), b = label(d.y, d.ny, d.r[i]);
    if (a < 0 && b < 0) return ir_op_error(m, n, IR_M0302, "label '%c' of the result is in no operand", d.r[i]);
    dim[i] = a >= 0 ? x->dim[a] : y->dim[b];
  }
  TRY(result_elem(m, n, &e));
  out[0] = ir_type_get(m, e, d.nr, dim);
  return true;
}
/* Products are summed in float32 for narrower types. */
static struct kir_expr *product_sum(struct kir_nest *nest, enum ir_elem e, const struct kir_axis *loop, unsigned nl, struct kir_expr *x, struct kir_expr *y)
{
  enum ir_elem acc = ir_elem_narrower(e, IR_f32) ? IR_f32 : e;
  struct kir_expr *p = kir_fn(nest, IR_MAP_mul, kir_cast(nest, acc, x), kir_cast(nest, acc, y), NULL);
  return nl ? kir_red(nest, KIR_SUM, loop, nl, p) : p;
}
static struct kir_expr *dot_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct kir_nest *nest = kir_builder_nest(b);
  const struct ir_type *x = n->in[0]->type, *y = n->in[1]->type;
  const struct ir_ix *ax[IR_MAX_RANK], *ay[IR_MAX_RANK];
  struct kir_axis loop[IR_MAX_RANK];
  struct dot_spec d = { 0 };
  unsigned nl = 0;
  split_spec(ir_attr_get_str(n, "spec"), &d);
  for (unsigned j = 0; j < d.ny; j++) {
    int r = label(d.r, d.nr, d.y[j]);
    ay[j] = r >= 0 ? c[r] : NULL;
  }
  for (unsigned i = 0; i < d.nx; i++) {
    int r = label(d.r, d.nr, d.x[i]), j = label(d.y, d.ny, d.x[i]);
    ax[i] = r >= 0 ? c[r] : op_loop(b, (char[]){ d.x[i], 0 }, kir_dim(b, x->dim[i]), loop, &nl);
    if (j >= 0) ay[j] = ax[i];
  }
  for (unsigned j = 0; j < d.ny; j++)
    if (!ay[j]) ay[j] = op_loop(b, (char[]){ d.y[j], 0 }, kir_dim(b, y->dim[j]), loop, &nl);
  enum ir_elem e = n->out[out]->type->elem;
  struct kir_expr *r = product_sum(nest, x->elem, loop, nl, kir_value(b, n->in[0], ax), kir_value(b, n->in[1], ay));
  return r->elem == e ? r : kir_cast(nest, e, kir_temp(b, r, n->out[out], c));
}
const struct ir_op_def ir_def_dot = {
  .name = "dot", .class = IR_C_ANCHOR, .min_in = 2, .max_in = 2, .n_out = 1, .attrs = { { "spec", IR_A_STR, true, NULL }, { "to", IR_A_ELEM, false, NULL } }, .infer = dot_infer, .nest = dot_nest,
};

/* ---- conv x, w {strides, pads, dilations, in_dilations, groups, to}: N-d cross-correlation
 *   x [n,c,s..], w [m,c/groups,k..] -> [n,m,o..],  o = floor((in_dilation*(s-1)+1 + pads - dilation*(k-1) - 1) / stride) + 1
 * pads: begins, then ends. Source: ONNX Conv, opset 11, auto_pad NOTSET; in_dilations inserts zeros between elements of x (ConvTranspose). ---- */
static const int64_t *conv_ints(const struct ir_node *n, const char *key, unsigned want)
{
  static const int64_t ones[2 * IR_MAX_RANK] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, zeros[2 * IR_MAX_RANK];
  const int64_t *v;
  return ir_attr_get_ints(n, key, &v) == want ? v : !strcmp(key, "pads") ? zeros : ones;
}
static bool conv_list(struct ir_module *m, const struct ir_node *n, const char *key, unsigned want, int64_t min)
{
  const int64_t *v;
  unsigned k = ir_attr_get_ints(n, key, &v);
  if (k && k != want) return ir_op_error(m, n, IR_M0302, "%s has %u entries, %u are needed", key, k, want);
  for (unsigned i = 0; i < k; i++)
    if (v[i] < min || v[i] > INT32_MAX) return ir_op_error(m, n, IR_M0302, "%s holds %lld", key, (long long)v[i]);
  return true;
}
static bool conv_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type, *w = n->in[1]->type;
  const struct ir_ix *dim[IR_MAX_RANK];
  int64_t g = ir_attr_get_int(n, "groups"), mm;
  enum ir_elem e;
  if (x->rank < 3 || w->rank != x->rank) return ir_op_error(m, n, IR_M0201, "operands %s and %s: ranks must be equal and at least 3", ir_type_str(m->arena, x), ir_type_str(m->arena, w));
  if (x->elem != w->elem) return ir_op_error(m, n, IR_M0202, "operands have different types: %s and %s", ir_type_str(m->arena, x), ir_type_str(m->arena, w));
  unsigned s = x->rank - 2;
  TRY(conv_list(m, n, "strides", s, 1) && conv_list(m, n, "dilations", s, 1) && conv_list(m, n, "in_dilations", s, 1) && conv_list(m, n, "pads", 2 * s, INT32_MIN));
  if (g < 1 || !ir_ix_const(w->dim[0], &mm) || mm % g) return ir_op_error(m, n, IR_M0302, "%lld groups do not divide %s output channels", (long long)g, ir_ix_str(m->arena, w->dim[0]));
  if (ir_prove_eq0(&m->facts, ir_ix_sub(x->dim[1], ir_ix_muli(w->dim[1], g))) == IR_NO)
    return ir_op_error(m, n, IR_M0201, "weight has %s input channels in %lld groups, input has %s (%s)", ir_ix_str(m->arena, w->dim[1]), (long long)g, ir_ix_str(m->arena, x->dim[1]), ir_type_str(m->arena, x));
  TRY(ir_require_eq(m, x->dim[1], ir_ix_muli(w->dim[1], g), "a convolution's channels agree"));
  const int64_t *st = conv_ints(n, "strides", s), *pd = conv_ints(n, "pads", 2 * s), *di = conv_ints(n, "dilations", s), *in = conv_ints(n, "in_dilations", s);
  dim[0] = x->dim[0];
  dim[1] = w->dim[0];
  for (unsigned d = 0; d < s; d++) {
    const struct ir_ix *span = ir_ix_addi(ir_ix_muli(ir_ix_addi(x->dim[d + 2], -1), in[d]), 1 + pd[d] + pd[d + s]);
    span = ir_ix_sub(span, ir_ix_muli(ir_ix_addi(w->dim[d + 2], -1), di[d]));
    dim[d + 2] = ir_ix_addi(ir_ix_divi(ir_ix_addi(span, -1), st[d]), 1);
    if (ir_prove_ge0(&m->facts, ir_ix_addi(span, -1)) == IR_NO)
      return ir_op_error(m, n, IR_M0201, "the kernel of %s is larger than the padded input %s on axis %u", ir_type_str(m->arena, w), ir_type_str(m->arena, x), d + 2);
    TRY(ir_require_ge0(m, ir_ix_addi(span, -1), "a convolution's kernel fits into its input"));
  }
  TRY(result_elem(m, n, &e));
  out[0] = ir_type_get(m, e, x->rank, dim);
  return true;
}
static struct kir_expr *conv_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct kir_nest *nest = kir_builder_nest(b);
  const struct ir_type *x = n->in[0]->type, *w = n->in[1]->type;
  unsigned s = x->rank - 2, nl = 0;
  const int64_t *st = conv_ints(n, "strides", s), *pd = conv_ints(n, "pads", 2 * s), *di = conv_ints(n, "dilations", s), *in = conv_ints(n, "in_dilations", s);
  int64_t g = ir_attr_get_int(n, "groups"), m = 1;
  const struct ir_ix *ax[IR_MAX_RANK], *aw[IR_MAX_RANK], *hit = ir_ix_int(nest->ixs, 1);
  struct kir_axis loop[IR_MAX_RANK];
  ir_ix_const(w->dim[0], &m);
  aw[0] = c[1];
  aw[1] = op_loop(b, "c", kir_dim(b, w->dim[1]), loop, &nl);
  ax[0] = c[0];
  ax[1] = g == 1 ? aw[1] : ir_ix_add(ir_ix_mul(ir_ix_divi(c[1], m / g), kir_dim(b, w->dim[1])), aw[1]);
  for (unsigned d = 0; d < s; d++) {
    aw[d + 2] = op_loop(b, "k", kir_dim(b, w->dim[d + 2]), loop, &nl);
    const struct ir_ix *p = ir_ix_addi(ir_ix_add(ir_ix_muli(c[d + 2], st[d]), ir_ix_muli(aw[d + 2], di[d])), -pd[d]);
    if (in[d] > 1) hit = ir_ix_mul(hit, ir_ix_eq0(ir_ix_modi(p, in[d])));
    ax[d + 2] = ir_ix_divi(p, in[d]);
  }
  enum ir_elem e = n->out[out]->type->elem;
  struct kir_expr *zero = kir_const(nest, x->elem, 0, 0), *xv = kir_select(nest, hit, kir_value_or(b, n->in[0], ax, zero), zero);
  struct kir_expr *r = product_sum(nest, x->elem, loop, nl, xv, kir_value(b, n->in[1], aw));
  return r->elem == e ? r : kir_cast(nest, e, kir_temp(b, r, n->out[out], c));
}
const struct ir_op_def ir_def_conv = {
  .name = "conv", .class = IR_C_ANCHOR, .min_in = 2, .max_in = 2, .n_out = 1,
  .attrs = { { "strides", IR_A_INTS, false, NULL }, { "pads", IR_A_INTS, false, NULL }, { "dilations", IR_A_INTS, false, NULL }, { "in_dilations", IR_A_INTS, false, NULL },
             { "groups", IR_A_INT, false, "1" }, { "to", IR_A_ELEM, false, NULL } },
  .infer = conv_infer, .nest = conv_nest,
};
