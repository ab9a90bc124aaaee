/* Element-wise operators: one map, or a few. Formulas are ONNX's, in the form that does not overflow. */
#include "compiler/onnx/arith.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- one operand, one map; arg is the map ---- */
bool import_unary(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 1));
  return onnx_out(c, onnx_1(c, (enum ir_op)c->row->arg, c->in[0]));
}
bool import_identity(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 1));
  return onnx_out(c, c->in[0]);
}
bool import_isinf(struct onnx_ctx *c)
{
  bool neg, pos;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_flag(c, "detect_negative", true, &neg) && onnx_attr_flag(c, "detect_positive", true, &pos));
  struct ir_value *x = c->in[0], *zero = onnx_like(c, x, 0), *inf = onnx_1(c, IR_OP_isinf, x);
  if (neg && pos) return onnx_out(c, inf);
  if (!neg && !pos) return onnx_out(c, onnx_2(c, IR_OP_lt, x, x));             /* never */
  struct ir_value *side = neg ? onnx_2(c, IR_OP_lt, x, zero) : onnx_2(c, IR_OP_lt, zero, x);
  return onnx_out(c, onnx_2(c, IR_OP_and, inf, side));
}

/* ---- activations ---- */
static struct ir_value *k(struct onnx_ctx *c, double v) { return onnx_like(c, c->in[0], v); }
static struct ir_value *lt(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_lt, x, y); }
static struct ir_value *clamp01(struct onnx_ctx *c, struct ir_value *x) { return max(c, min(c, x, k(c, 1)), k(c, 0)); }
static bool activation(struct onnx_ctx *c, unsigned operands)
{
  TRY(onnx_operands(c, operands, operands));
  onnx_widen(c);
  return true;
}
/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)) */
static struct ir_value *softplus(struct onnx_ctx *c, struct ir_value *x)
{
  struct ir_value *e = onnx_1(c, IR_OP_exp, onnx_1(c, IR_OP_neg, onnx_1(c, IR_OP_abs, x)));
  return add(c, max(c, x, k(c, 0)), onnx_1(c, IR_OP_log, add(c, e, k(c, 1))));
}
bool import_relu(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 1));
  return onnx_out(c, max(c, c->in[0], k(c, 0)));
}
bool import_leaky_relu(struct onnx_ctx *c)
{
  double alpha;
  TRY(activation(c, 1) && onnx_attr_float(c, "alpha", (double)0.01f, &alpha));
  struct ir_value *x = c->in[0];
  return onnx_narrow(c, onnx_select(c, lt(c, x, k(c, 0)), mul(c, x, k(c, alpha)), x));
}
/* Before opset 7 a slope of rank 1 goes along the channels. */
bool import_prelu(struct onnx_ctx *c)
{
  TRY(activation(c, 2));
  struct ir_value *x = c->in[0], *s = c->in[1];
  if (c->opset < 7 && s->type->rank == 1 && x->type->rank > 1 && !ir_ix_is(s->type->dim[0], 1)) s = onnx_along(c, s, 1, x->type->rank);
  return onnx_narrow(c, onnx_select(c, lt(c, x, k(c, 0)), mul(c, x, s), x));
}
bool import_elu(struct onnx_ctx *c)
{
  double alpha;
  TRY(activation(c, 1) && onnx_attr_float(c, "alpha", 1, &alpha));
  struct ir_value *x = c->in[0], *e = sub(c, onnx_1(c, IR_OP_exp, x), k(c, 1));
  return onnx_narrow(c, onnx_select(c, lt(c, x, k(c, 0)), mul(c, e, k(c, alpha)), x));
}
bool import_selu(struct onnx_ctx *c)
{
  double alpha, gamma;
  bool old = c->opset < 6;
  TRY(activation(c, 1) && onnx_attr_float(c, "alpha", old ? (double)1.6732f : (double)1.67326319217681884765625f, &alpha));
  TRY(onnx_attr_float(c, "gamma", old ? (double)1.0507f : (double)1.05070102214813232421875f, &gamma));
  struct ir_value *x = c->in[0], *e = sub(c, mul(c, onnx_1(c, IR_OP_exp, x), k(c, alpha)), k(c, alpha));
  return onnx_narrow(c, mul(c, onnx_select(c, lt(c, k(c, 0), x), x, e), k(c, gamma)));
}
bool import_celu(struct onnx_ctx *c)
{
  double alpha;
  TRY(activation(c, 1) && onnx_attr_float(c, "alpha", 1, &alpha));
  struct ir_value *x = c->in[0], *e = sub(c, onnx_1(c, IR_OP_exp, divide(c, x, k(c, alpha))), k(c, 1));
  return onnx_narrow(c, add(c, max(c, x, k(c, 0)), min(c, mul(c, e, k(c, alpha)), k(c, 0))));
}
bool import_thresholded_relu(struct onnx_ctx *c)
{
  double alpha;
  TRY(activation(c, 1) && onnx_attr_float(c, "alpha", 1, &alpha));
  return onnx_narrow(c, onnx_select(c, lt(c, k(c, alpha), c->in[0]), c->in[0], k(c, 0)));
}
bool import_shrink(struct onnx_ctx *c)
{
  double bias, lambd;
  TRY(activation(c, 1) && onnx_attr_float(c, "bias", 0, &bias) && onnx_attr_float(c, "lambd", 0.5, &lambd));
  struct ir_value *x = c->in[0], *high = onnx_select(c, lt(c, k(c, lambd), x), sub(c, x, k(c, bias)), k(c, 0));
  return onnx_narrow(c, onnx_select(c, lt(c, x, k(c, -lambd)), add(c, x, k(c, bias)), high));
}
bool import_hard_sigmoid(struct onnx_ctx *c)
{
  double alpha, beta;
  TRY(activation(c, 1) && onnx_attr_float(c, "alpha", (double)0.2f, &alpha) && onnx_attr_float(c, "beta", 0.5, &beta));
  return onnx_narrow(c, clamp01(c, add(c, mul(c, c->in[0], k(c, alpha)), k(c, beta))));
}
bool import_hard_swish(struct onnx_ctx *c)
{
  TRY(activation(c, 1));
  struct ir_value *x = c->in[0];
  return onnx_narrow(c, mul(c, x, clamp01(c, add(c, mul(c, x, k(c, 1.0 / 6)), k(c, 0.5)))));
}
bool import_swish(struct onnx_ctx *c)
{
  double alpha;
  TRY(activation(c, 1) && onnx_attr_float(c, "alpha", 1, &alpha));
  struct ir_value *x = c->in[0], *s = alpha == 1 ? x : mul(c, x, k(c, alpha));
  return onnx_narrow(c, mul(c, x, onnx_1(c, IR_OP_sigmoid, s)));
}
bool import_swiglu(struct onnx_ctx *c)
{
  double alpha;
  TRY(activation(c, 2) && onnx_attr_float(c, "alpha", 1, &alpha));
  struct ir_value *x = c->in[0], *s = alpha == 1 ? x : mul(c, x, k(c, alpha));
  return onnx_narrow(c, mul(c, mul(c, x, onnx_1(c, IR_OP_sigmoid, s)), c->in[1]));
}
bool import_mish(struct onnx_ctx *c)
{
  TRY(activation(c, 1));
  return onnx_narrow(c, mul(c, c->in[0], onnx_1(c, IR_OP_tanh, softplus(c, c->in[0]))));
}
bool import_softplus(struct onnx_ctx *c)
{
  TRY(activation(c, 1));
  return onnx_narrow(c, softplus(c, c->in[0]));
}
bool import_softsign(struct onnx_ctx *c)
{
  TRY(activation(c, 1));
  return onnx_narrow(c, divide(c, c->in[0], add(c, onnx_1(c, IR_OP_abs, c->in[0]), k(c, 1))));
}
bool import_gelu(struct onnx_ctx *c)
{
  const char *how;
  TRY(activation(c, 1) && onnx_attr_str(c, "approximate", "none", &how));
  struct ir_value *x = c->in[0], *t;
  if (!strcmp(how, "none")) t = onnx_1(c, IR_OP_erf, mul(c, x, k(c, M_SQRT1_2)));
  else if (!strcmp(how, "tanh")) {
    struct ir_value *cube = mul(c, mul(c, mul(c, x, x), x), k(c, 0.044715));
    t = onnx_1(c, IR_OP_tanh, mul(c, add(c, x, cube), k(c, 0.79788456080286535588)));   /* sqrt(2/pi) */
  } else return onnx_bad(c, IR_M0302, "approximate is \"%s\", expected none or tanh", how);
  return onnx_narrow(c, mul(c, mul(c, x, k(c, 0.5)), add(c, t, k(c, 1))));
}
/* Bounds are attributes before opset 11, then operands. */
bool import_clip(struct onnx_ctx *c)
{
  struct ir_value *lo = NULL, *hi = NULL, *x;
  TRY(onnx_operands(c, 1, c->opset < 11 ? 1 : 3));
  x = c->in[0];
  if (c->opset < 11) {
    double l, h;
    TRY(onnx_attr_float(c, "min", -INFINITY, &l) && onnx_attr_float(c, "max", INFINITY, &h));
    if (l > -(double)FLT_MAX) lo = k(c, l);
    if (h < (double)FLT_MAX) hi = k(c, h);
  } else { lo = onnx_in(c, 1); hi = onnx_in(c, 2); }
  if (lo) lo = ir_reshape(c->b, lo, 0, NULL);
  if (hi) hi = ir_reshape(c->b, hi, 0, NULL);
  if (lo) x = max(c, x, lo);
  if (hi) x = min(c, x, hi);
  return onnx_out(c, x);
}

/* ---- two operands ---- */
/* Before opset 7 shapes are equal unless `broadcast` is set; then y's dims lie at `axis` of x. */
static bool old_broadcast(struct onnx_ctx *c)
{
  bool on;
  struct ir_value *x = c->in[0], *y = c->in[1];
  TRY(onnx_attr_flag(c, "broadcast", false, &on));
  if (!on) {
    if (x->type->rank == y->type->rank) return true;
    return onnx_bad(c, IR_M0201, "operands are %s and %s: before opset 7 they must be equal, or attribute broadcast set", onnx_show(c, x), onnx_show(c, y));
  }
  if (y->type->rank > x->type->rank) return onnx_bad(c, IR_M0201, "the second operand %s has more dimensions than the first, %s", onnx_show(c, y), onnx_show(c, x));
  if (!onnx_attr(c, "axis") || y->type->rank == 0) return true;
  int64_t axis;
  const struct ir_ix *dim[IR_MAX_RANK];
  TRY(onnx_attr_int(c, "axis", 0, &axis));
  if (axis < 0) axis += x->type->rank;
  if (axis < 0 || axis > (int64_t)(x->type->rank - y->type->rank)) return onnx_bad(c, IR_M0302, "axis %lld does not fit %s and %s", (long long)axis, onnx_show(c, x), onnx_show(c, y));
  for (unsigned d = 0; d < x->type->rank; d++) dim[d] = d >= axis && d < axis + y->type->rank ? y->type->dim[d - axis] : onnx_k(c, 1);
  c->in[1] = ir_reshape(c->b, y, x->type->rank, dim);
  return c->in[1] != NULL;
}
static bool two(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 2, 2));
  return c->opset >= 7 || old_broadcast(c);
}
bool import_binary(struct onnx_ctx *c)
{
  TRY(two(c));
  return onnx_out(c, onnx_2(c, (enum ir_op)c->row->arg, c->in[0], c->in[1]));
}
bool import_binary_swapped(struct onnx_ctx *c)       /* Greater(x, y) = lt(y, x) */
{
  TRY(two(c));
  return onnx_out(c, onnx_2(c, (enum ir_op)c->row->arg, c->in[1], c->in[0]));
}
/* The result has the base's type; the exponent may have another. Computed in the float type of the two if there is one, else in int64. */
bool import_pow(struct onnx_ctx *c)
{
  TRY(two(c));
  struct ir_value *x = c->in[0], *y = c->in[1];
  enum ir_elem e = x->type->elem, w = e == y->type->elem || onnx_is_float(x) ? e : onnx_is_float(y) ? y->type->elem : IR_i64;
  return onnx_out(c, ir_cast(c->b, onnx_2(c, IR_OP_pow, ir_cast(c->b, x, w), ir_cast(c->b, y, w)), e));
}
/* fmod 0 has the divisor's sign (the map), 1 the dividend's. */
bool import_mod(struct onnx_ctx *c)
{
  bool fm;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_flag(c, "fmod", false, &fm));
  struct ir_value *x = c->in[0], *y = c->in[1];
  if (!fm) {
    if (onnx_is_float(x) && c->opset < 28) return onnx_bad(c, IR_M0302, "floats (%s) need attribute fmod = 1", onnx_show(c, x));
    return onnx_out(c, onnx_2(c, IR_OP_mod, x, y));
  }
  if (ir_elem_class(x->type->elem) == 'U') return onnx_out(c, onnx_2(c, IR_OP_mod, x, y));
  struct ir_value *r = onnx_2(c, IR_OP_mod, onnx_1(c, IR_OP_abs, x), onnx_1(c, IR_OP_abs, y));
  return onnx_out(c, onnx_select(c, lt(c, x, k(c, 0)), onnx_1(c, IR_OP_neg, r), r));
}
bool import_bit_shift(struct onnx_ctx *c)
{
  const char *dir;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_str(c, "direction", "", &dir));
  bool left = !strcmp(dir, "LEFT");
  if (!left && strcmp(dir, "RIGHT")) return onnx_bad(c, IR_M0302, "direction is \"%s\", expected LEFT or RIGHT", dir);
  return onnx_out(c, onnx_2(c, left ? IR_OP_shl : IR_OP_shr, c->in[0], c->in[1]));
}
/* Max, Min, Sum, Mean of any number; arg is the map. */
bool import_variadic(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, c->n_in ? c->n_in : 1, UINT32_MAX));
  struct ir_value *v = c->in[0];
  for (unsigned i = 1; i < c->n_in; i++) v = onnx_2(c, (enum ir_op)c->row->arg, v, c->in[i]);
  return onnx_out(c, v);
}
bool import_mean_of(struct onnx_ctx *c)
{
  TRY(import_variadic(c));
  return onnx_out(c, c->n_in > 1 ? divide(c, c->out[0], k(c, c->n_in)) : c->out[0]);
}
bool import_where(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 3, 3));
  return onnx_out(c, onnx_select(c, c->in[0], c->in[1], c->in[2]));
}

/* ---- types ---- */
static struct ir_value *cast_to(struct onnx_ctx *c, struct ir_value *x, enum ir_elem e)
{
  if (e == IR_bool && x->type->elem != IR_bool) return onnx_1(c, IR_OP_not, onnx_2(c, IR_OP_eq, x, onnx_like(c, x, 0)));
  return ir_cast(c->b, x, e);
}
/* Before opset 6 `to` is the type's name. */
static bool old_elem(struct onnx_ctx *c, int64_t *out)
{
  static const char *const names[] = { "UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64" };
  const char *s;
  TRY(onnx_attr_str(c, "to", "", &s));
  for (unsigned i = 1; i < sizeof names / sizeof *names; i++)
    if (!strcmp(s, names[i])) { *out = i; return true; }
  return onnx_bad(c, IR_M0302, "to is \"%s\", which names no element type", s);
}
bool import_cast(struct onnx_ctx *c)
{
  int64_t to;
  enum ir_elem e;
  TRY(onnx_operands(c, 1, 1) && (c->opset < 6 ? old_elem(c, &to) : onnx_attr_int(c, "to", 0, &to)) && onnx_to_elem(c, to, &e));
  return onnx_out(c, cast_to(c, c->in[0], e));
}
bool import_cast_like(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 2, 2));
  return onnx_out(c, cast_to(c, c->in[0], c->in[1]->type->elem));
}
/* Inference: the operand itself; the mask, where asked for, keeps everything. */
bool import_dropout(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 3));
  struct ir_value *training = onnx_in(c, 2);
  int64_t t = 0;
  unsigned n;
  if (training && (!ir_value_const_ints(training, 1, &t, &n) || t)) {
    double ratio = 0.5;
    if (onnx_in(c, 1) ? !ir_value_is_splat(c->in[1], &ratio) || ratio != 0 : true)
      return onnx_bad(c, IR_M0301, "training_mode is %s: massc compiles inference only", t ? "true" : "not known when massc compiles");
  }
  if (c->n_out > 1) {
    struct ir_value *all = ir_const_splat(c->b, ir_type_get(c->m, c->opset < 10 ? c->in[0]->type->elem : IR_bool, 0, NULL), 1, 1);
    c->out[1] = ir_broadcast(c->b, all, c->in[0]->type->rank, c->in[0]->type->dim);
  }
  return onnx_out(c, c->in[0]);
}
