/* Normalisations, as plain nodes; later passes fold and recognise them. */
#include "compiler/onnx/arith.h"
#include <string.h>

static struct ir_value *div_(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_div, x, y); }
static struct ir_value *sqrt_(struct onnx_ctx *c, struct ir_value *x) { return onnx_1(c, IR_OP_sqrt, x); }

/* (x - mean) / sqrt(variance + epsilon) over `axes`. mean and the reciprocal deviation come back where asked for. */
static struct ir_value *standard(struct onnx_ctx *c, struct ir_value *x, const int64_t *axes, unsigned n, double epsilon, struct ir_value **mean, struct ir_value **inv)
{
  struct ir_value *m = onnx_mean(c, x, axes, n), *d = sub(c, x, m), *s = sqrt_(c, add(c, onnx_mean(c, mul(c, d, d), axes, n), onnx_like(c, x, epsilon)));
  if (mean) *mean = m;
  if (inv) *inv = onnx_1(c, IR_OP_recip, s);
  return div_(c, d, s);
}
/* A vector over the operand's channels, or (spatial = 0, before opset 9) a tensor of one sample's shape. */
static struct ir_value *per_channel(struct onnx_ctx *c, struct ir_value *v, unsigned rank)
{
  const struct ir_ix *dim[IR_MAX_RANK];
  if (!v) return NULL;
  if (v->type->rank == 1 && !ir_require_eq(c->m, v->type->dim[0], c->in[0]->type->dim[1], "a normalisation has a parameter for each channel")) return NULL;
  if (v->type->rank <= 1) return onnx_along(c, v, 1, rank);
  if (v->type->rank + 1 != rank) { onnx_bad(c, IR_M0201, "parameter is %s, the operand %s", onnx_show(c, v), onnx_show(c, c->in[0])); return NULL; }
  dim[0] = onnx_k(c, 1);
  for (unsigned d = 1; d < rank; d++) dim[d] = v->type->dim[d - 1];
  return ir_reshape(c->b, v, rank, dim);
}
/* By the batch's own mean and variance, with the running ones moved towards them: training_mode, or before opset 14 a node whose further outputs have names. */
static bool in_training(struct onnx_ctx *c)
{
  for (unsigned i = 1; i < c->n_out && c->opset < 14; i++)
    if (c->node->output[i] && *c->node->output[i]) return true;
  return false;
}
static struct ir_value *moved(struct onnx_ctx *c, struct ir_value *old, struct ir_value *now, double momentum)
{
  now = ir_cast(c->b, ir_reshape(c->b, now, 1, old->type->dim), old->type->elem);
  return add(c, mul(c, old, onnx_like(c, old, momentum)), mul(c, now, onnx_like(c, old, 1 - momentum)));
}
static bool batch_statistics(struct onnx_ctx *c, double eps)
{
  struct ir_value *x = c->in[0], *mean, *d, *var;
  double momentum;
  int64_t axes[IR_MAX_RANK];
  unsigned r = x->type->rank, n = 0;
  TRY(onnx_attr_float(c, "momentum", (double)0.9f, &momentum));
  if (r < 2 || c->in[3]->type->rank != 1 || c->in[4]->type->rank != 1) return onnx_bad(c, IR_M0201, "operand is %s, the mean %s: training needs channels", onnx_show(c, x), onnx_show(c, c->in[3]));
  for (unsigned k = 0; k < r; k++)
    if (k != 1) axes[n++] = k;
  x = ir_cast(c->b, x, x->type->elem == IR_f64 ? IR_f64 : IR_f32);
  mean = onnx_mean(c, x, axes, n);
  d = sub(c, x, mean);
  var = onnx_mean(c, mul(c, d, d), axes, n);
  struct ir_value *y = div_(c, d, sqrt_(c, add(c, var, onnx_like(c, x, eps))));
  if (!y) return false;
  y = add(c, mul(c, y, per_channel(c, ir_cast(c->b, c->in[1], y->type->elem), r)), per_channel(c, ir_cast(c->b, c->in[2], y->type->elem), r));
  for (unsigned i = 1; i < c->n_out && i < 5; i++) {
    struct ir_value *now = i % 2 ? mean : var, *old = c->in[i % 2 ? 3 : 4];
    c->out[i] = i < 3 ? moved(c, old, now, momentum) : ir_cast(c->b, ir_reshape(c->b, now, 1, old->type->dim), old->type->elem);
  }
  return y && onnx_out(c, ir_cast(c->b, y, c->in[0]->type->elem));
}
/* Inference: y = x * scale' + shift, scale' = scale / sqrt(var + epsilon), shift = bias - mean * scale'. */
bool import_batch_normalization(struct onnx_ctx *c)
{
  double eps;
  bool training, test;
  TRY(onnx_operands(c, 5, 5) && onnx_attr_float(c, "epsilon", (double)1e-5f, &eps) && onnx_attr_flag(c, "training_mode", false, &training) && onnx_attr_flag(c, "is_test", false, &test));
  if (training || (!test && in_training(c))) return batch_statistics(c, eps);
  struct ir_value *x = c->in[0], *scale = c->in[1], *bias = c->in[2], *mean = c->in[3], *var = c->in[4];
  unsigned r = x->type->rank;
  enum ir_elem e = x->type->elem;
  if (r < 1) return onnx_bad(c, IR_M0201, "operand is a scalar");
  scale = div_(c, ir_cast(c->b, scale, var->type->elem), sqrt_(c, add(c, var, onnx_like(c, var, eps))));
  struct ir_value *shift = sub(c, ir_cast(c->b, bias, var->type->elem), mul(c, ir_cast(c->b, mean, var->type->elem), scale));
  if (!scale || !shift) return false;
  if (r == 1) return onnx_out(c, add(c, mul(c, x, ir_cast(c->b, scale, e)), ir_cast(c->b, shift, e)));
  scale = per_channel(c, ir_cast(c->b, scale, e), r);
  shift = per_channel(c, ir_cast(c->b, shift, e), r);
  return onnx_out(c, add(c, mul(c, x, scale), shift));
}
bool import_instance_normalization(struct onnx_ctx *c)
{
  double eps;
  int64_t axes[IR_MAX_RANK];
  TRY(onnx_operands(c, 3, 3) && onnx_attr_float(c, "epsilon", (double)1e-5f, &eps));
  onnx_widen(c);
  struct ir_value *x = c->in[0];
  unsigned r = x->type->rank;
  if (r < 3) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 3 or more", onnx_show(c, x));
  for (unsigned d = 2; d < r; d++) axes[d - 2] = d;
  struct ir_value *y = standard(c, x, axes, r - 2, eps, NULL, NULL);
  return onnx_narrow(c, add(c, mul(c, y, per_channel(c, c->in[1], r)), per_channel(c, c->in[2], r)));
}
/* stash_type: the type to compute in, float32 unless the operand is wider. */
static bool stash(struct onnx_ctx *c, const struct ir_value *x, enum ir_elem *out)
{
  int64_t t;
  TRY(onnx_attr_int(c, "stash_type", 1, &t) && onnx_to_elem(c, t, out));
  if (x->type->elem == IR_f64) *out = IR_f64;
  return true;
}
static bool from_axis(struct onnx_ctx *c, unsigned rank, int64_t *axes, unsigned *n)
{
  unsigned axis;
  TRY(onnx_attr_axis(c, "axis", -1, rank, &axis));
  for (*n = 0; axis + *n < rank; ++*n) axes[*n] = axis + *n;
  return true;
}
bool import_layer_normalization(struct onnx_ctx *c)
{
  double eps;
  int64_t axes[IR_MAX_RANK];
  unsigned n;
  enum ir_elem s;
  struct ir_value *mean, *inv;
  TRY(onnx_operands(c, 2, 3) && onnx_attr_float(c, "epsilon", (double)1e-5f, &eps));
  struct ir_value *x = c->in[0], *bias = onnx_in(c, 2);
  TRY(stash(c, x, &s) && from_axis(c, x->type->rank, axes, &n));
  struct ir_value *y = ir_cast(c->b, standard(c, ir_cast(c->b, x, s), axes, n, eps, &mean, c->n_out > 2 ? &inv : NULL), x->type->elem);
  y = mul(c, y, c->in[1]);
  if (c->n_out > 1) c->out[1] = mean;
  if (c->n_out > 2) c->out[2] = inv;
  return onnx_out(c, bias ? add(c, y, bias) : y);
}
/* x / sqrt(mean of squares + epsilon) * scale */
bool import_rms_normalization(struct onnx_ctx *c)
{
  double eps;
  int64_t axes[IR_MAX_RANK];
  unsigned n;
  enum ir_elem s;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_float(c, "epsilon", (double)1e-5f, &eps));
  struct ir_value *x = c->in[0];
  TRY(stash(c, x, &s) && from_axis(c, x->type->rank, axes, &n));
  struct ir_value *w = ir_cast(c->b, x, s), *root = sqrt_(c, add(c, onnx_mean(c, mul(c, w, w), axes, n), onnx_like(c, w, eps)));
  return onnx_out(c, mul(c, ir_cast(c->b, div_(c, w, root), x->type->elem), c->in[1]));
}
/* scale and bias: one per group (opset 18) or per channel (21). */
bool import_group_normalization(struct onnx_ctx *c)
{
  double eps;
  int64_t groups, axes[IR_MAX_RANK], channels;
  enum ir_elem s;
  TRY(onnx_operands(c, 3, 3) && onnx_attr_float(c, "epsilon", (double)1e-5f, &eps) && onnx_attr_int(c, "num_groups", 0, &groups));
  struct ir_value *x = c->in[0];
  unsigned r = x->type->rank;
  TRY(stash(c, x, &s));
  if (r < 2 || r >= IR_MAX_RANK) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 2 to %d", onnx_show(c, x), IR_MAX_RANK - 1);
  if (!ir_ix_const(x->type->dim[1], &channels) || groups < 1 || channels % groups) return onnx_bad(c, IR_M0302, "%lld groups do not divide the channels of %s", (long long)groups, onnx_show(c, x));
  const struct ir_ix *dim[IR_MAX_RANK];
  dim[0] = x->type->dim[0];
  dim[1] = onnx_k(c, groups);
  dim[2] = onnx_k(c, channels / groups);
  for (unsigned d = 2; d < r; d++) dim[d + 1] = x->type->dim[d];
  for (unsigned d = 2; d <= r; d++) axes[d - 2] = d;
  struct ir_value *y = standard(c, ir_cast(c->b, ir_reshape(c->b, x, r + 1, dim), s), axes, r - 1, eps, NULL, NULL), *scale = c->in[1], *bias = c->in[2];
  y = ir_cast(c->b, y, x->type->elem);
  if (c->opset < 21) return onnx_out(c, ir_reshape(c->b, add(c, mul(c, y, onnx_along(c, scale, 1, r + 1)), onnx_along(c, bias, 1, r + 1)), r, x->type->dim));
  y = ir_reshape(c->b, y, r, x->type->dim);
  return onnx_out(c, add(c, mul(c, y, per_channel(c, scale, r)), per_channel(c, bias, r)));
}
/* ONNX's function body: (x - E x) / (sqrt(E x^2 - (E x)^2) + 1e-9) */
bool import_mean_variance_normalization(struct onnx_ctx *c)
{
  static const int64_t usual[] = { 0, 2, 3 };
  struct onnx_ints axes;
  TRY(onnx_operands(c, 1, 1));
  onnx_widen(c);
  struct ir_value *x = c->in[0];
  TRY(onnx_axes(c, "axes", -1, x->type->rank, true, &axes));
  if (!axes.present) {
    if (x->type->rank != 4) return onnx_bad(c, IR_M0302, "attribute axes is missing for %s", onnx_show(c, x));
    axes.n = 3;
    axes.v = usual;
  }
  struct ir_value *m = onnx_mean(c, x, axes.v, axes.n), *var = sub(c, onnx_mean(c, mul(c, x, x), axes.v, axes.n), mul(c, m, m));
  return onnx_narrow(c, div_(c, sub(c, x, m), add(c, sqrt_(c, var), onnx_like(c, x, 1e-9))));
}
/* x / |x|_p along one axis; a zero norm gives zeros. */
bool import_lp_normalization(struct onnx_ctx *c)
{
  unsigned axis;
  int64_t p, a;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_axis(c, "axis", -1, c->in[0]->type->rank, &axis) && onnx_attr_int(c, "p", 2, &p));
  if (p != 1 && p != 2) return onnx_bad(c, IR_M0302, "p is %lld, expected 1 or 2", (long long)p);
  onnx_widen(c);
  struct ir_value *x = c->in[0];
  a = axis;
  struct ir_value *norm = onnx_reduce(c, "sum", p == 1 ? onnx_1(c, IR_OP_abs, x) : mul(c, x, x), &a, 1), *zero = onnx_like(c, x, 0);
  if (p == 2) norm = sqrt_(c, norm);
  return onnx_narrow(c, onnx_select(c, onnx_2(c, IR_OP_eq, norm, zero), zero, div_(c, x, norm)));
}
