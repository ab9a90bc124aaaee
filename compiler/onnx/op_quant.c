/* Quantised operators. An integer q means scale * (q - zero): products are sums in i32 of what lies beyond the zeros, exactly; scaling is in floats, and rounds to
 * even. Source: ONNX's reference implementation. */
#include "compiler/onnx/arith.h"
#include <math.h>

static struct ir_value *cast(struct onnx_ctx *c, struct ir_value *x, enum ir_elem e) { return x ? ir_cast(c->b, x, e) : NULL; }
static bool small_int(enum ir_elem e) { return e == IR_i8 || e == IR_u8 || e == IR_i16 || e == IR_u16; }

/* ---- scales and zeros: one for all, one for each place of an axis, or one for each block of places ---- */
struct grain { unsigned axis; int64_t block; };
static bool grain(struct onnx_ctx *c, struct grain *g)
{
  unsigned rank = c->in[0]->type->rank;
  int64_t axis;
  TRY(onnx_attr_int(c, "axis", 1, &axis) && onnx_attr_int(c, "block_size", 0, &g->block));
  if (g->block < 0 || g->block > INT32_MAX) return onnx_bad(c, IR_M0302, "block_size is %lld", (long long)g->block);
  g->axis = 0;
  bool one = !onnx_attr(c, "axis") || (c->in[1]->type->rank == 0 && !g->block);        /* the default names no axis of operands of rank 1 */
  return one && rank <= 1 ? true : onnx_axis(c, axis, rank, &g->axis);
}
static struct ir_value *spread(struct onnx_ctx *c, struct ir_value *v, const struct ir_value *x, const struct grain *g)
{
  const struct ir_ix *n = x->type->rank ? x->type->dim[g->axis] : NULL;
  if (g->block) {
    if (v->type->rank != x->type->rank || !n) { onnx_bad(c, IR_M0201, "with block_size a scale or zero has the operand's rank, not %s", onnx_show(c, v)); return NULL; }
    const struct ir_ix *e = ir_ix_divi(ir_ix_coord(c->m->ixs, 0), g->block);
    return onnx_gather(c, v, onnx_index(c, IR_i64, 1, &n, &e, 1), g->axis);
  }
  if (v->type->rank == 0 || (v->type->rank == 1 && ir_ix_is(v->type->dim[0], 1))) return ir_reshape(c->b, v, 0, NULL);
  if (v->type->rank != 1 || !n) { onnx_bad(c, IR_M0201, "a scale or zero is %s, expected one number, or one for each place of an axis", onnx_show(c, v)); return NULL; }
  return ir_require_eq(c->m, v->type->dim[0], n, "scales are as many as the axis has places") ? onnx_along(c, v, g->axis, x->type->rank) : NULL;
}
/* round(x) + zero, held within e's range; x and zero in floats of at least 32 bits */
static struct ir_value *saturated(struct onnx_ctx *c, struct ir_value *x, struct ir_value *zero, enum ir_elem e)
{
  bool sign = ir_elem_class(e) == 'I';
  double span = ldexp(1, (int)ir_elem_bits(e)), low = sign ? -span / 2 : 0, high = low + span - 1;
  struct ir_value *v = onnx_1(c, IR_OP_round, x);
  if (v && zero) v = add(c, v, cast(c, zero, v->type->elem));
  return cast(c, onnx_2(c, IR_OP_min, onnx_2(c, IR_OP_max, v, onnx_like(c, v, low)), onnx_like(c, v, high)), e);
}
static bool wants_int(struct onnx_ctx *c, enum ir_elem e)
{
  return small_int(e) || onnx_bad(c, IR_M0301, "quantised elements are %s: only integers of 8 and 16 bits are supported", ir_elem_name(e));
}
bool import_quantize_linear(struct onnx_ctx *c)
{
  struct grain g;
  int64_t to, precision;
  bool saturates;
  TRY(onnx_operands(c, 2, 3) && grain(c, &g) && onnx_attr_int(c, "output_dtype", 0, &to) && onnx_attr_int(c, "precision", 0, &precision) && onnx_attr_flag(c, "saturate", true, &saturates));
  struct ir_value *zero = onnx_in(c, 2), *x = c->in[0], *scale = c->in[1];
  enum ir_elem e = zero ? zero->type->elem : IR_u8, p = x->type->elem == IR_f64 || scale->type->elem == IR_f64 ? IR_f64 : IR_f32;
  if (to && !zero) TRY(onnx_to_elem(c, to, &e));
  if (precision) TRY(onnx_to_elem(c, precision, &p));
  TRY(wants_int(c, e));
  if (zero) TRY((zero = spread(c, zero, x, &g)) != NULL);
  scale = spread(c, cast(c, scale, p), x, &g);
  struct ir_value *q = divide(c, cast(c, x, p), scale);
  return onnx_out(c, saturated(c, q && ir_elem_bits(p) < 32 ? cast(c, q, IR_f32) : q, zero, e));
}
bool import_dequantize_linear(struct onnx_ctx *c)
{
  struct grain g;
  int64_t to;
  TRY(onnx_operands(c, 2, 3) && grain(c, &g) && onnx_attr_int(c, "output_dtype", 0, &to));
  struct ir_value *x = c->in[0], *zero = onnx_in(c, 2), *v = cast(c, x, IR_i32);
  enum ir_elem e = c->in[1]->type->elem, p = e == IR_f64 ? IR_f64 : IR_f32;
  if (to) TRY(onnx_to_elem(c, to, &e));
  if (x->type->elem != IR_i32) TRY(wants_int(c, x->type->elem));
  if (zero) TRY((zero = spread(c, cast(c, zero, IR_i32), x, &g)) != NULL);
  struct ir_value *scale = spread(c, cast(c, c->in[1], p), x, &g);
  return onnx_out(c, cast(c, mul(c, cast(c, zero ? sub(c, v, zero) : v, p), scale), e));
}
/* The scale that makes 0..255 of the operand's range, widened to hold 0. */
bool import_dynamic_quantize_linear(struct onnx_ctx *c)
{
  int64_t axes[IR_MAX_RANK];
  TRY(onnx_operands(c, 1, 1));
  struct ir_value *x = c->in[0], *zero = onnx_like(c, x, 0), *top = onnx_like(c, x, 255), *y[3];
  unsigned rank = x->type->rank;
  for (unsigned d = 0; d < rank; d++) axes[d] = d;
  struct ir_value *hi = onnx_2(c, IR_OP_max, onnx_drop_axes(c, onnx_reduce(c, "max", x, axes, rank), axes, rank), zero);
  struct ir_value *lo = onnx_2(c, IR_OP_min, onnx_drop_axes(c, onnx_reduce(c, "min", x, axes, rank), axes, rank), zero);
  struct ir_value *span = onnx_select(c, onnx_2(c, IR_OP_eq, hi, lo), onnx_like(c, x, 1), sub(c, hi, lo));
  y[1] = divide(c, span, top);
  y[2] = saturated(c, sub(c, zero, divide(c, lo, y[1])), NULL, IR_u8);
  y[0] = y[1] && y[2] ? saturated(c, divide(c, x, y[1]), y[2], IR_u8) : NULL;
  for (unsigned i = 0; i < c->n_out && i < 3; i++) c->out[i] = y[i];
  return y[0] != NULL;
}

/* ---- products ---- */
/* Operand `slot` without its zero (operand `at`, one number or one for each place of `axis`), in i32. */
static struct ir_value *beyond_zero(struct onnx_ctx *c, unsigned slot, unsigned at, unsigned axis)
{
  struct ir_value *x = onnx_in(c, slot), *zero = onnx_in(c, at);
  struct grain g = { axis, 0 };
  if (!small_int(x->type->elem)) { onnx_bad(c, IR_M0202, "operand %u is %s, expected integers of 8 or 16 bits", slot, onnx_show(c, x)); return NULL; }
  if (zero && zero->type->rank > 1) return sub(c, cast(c, x, IR_i32), cast(c, zero, IR_i32));       /* as it broadcasts */
  if (zero && !(zero = spread(c, cast(c, zero, IR_i32), x, &g))) return NULL;
  return zero ? sub(c, cast(c, x, IR_i32), zero) : cast(c, x, IR_i32);
}
static unsigned from_end(const struct ir_value *x, unsigned k) { return x->type->rank >= k ? x->type->rank - k : 0; }
bool import_matmul_integer(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 2, 4));
  return onnx_out(c, onnx_matmul(c, beyond_zero(c, 0, 2, from_end(c->in[0], 2)), beyond_zero(c, 1, 3, from_end(c->in[1], 1))));
}
/* The scale of operand `slot` against the result: one number, or along the result's axis `axis`. */
static struct ir_value *scale_of(struct onnx_ctx *c, unsigned slot, const struct ir_value *y, unsigned axis)
{
  struct ir_value *s = cast(c, c->in[slot], IR_f32);
  struct grain g = { axis, 0 };
  return !s || !y || s->type->rank > 1 ? s : spread(c, s, y, &g);
}
/* operands: a, its scale and zero, b, its, the result's */
bool import_qlinear_matmul(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 8, 8) && wants_int(c, c->in[7]->type->elem));
  struct ir_value *y = onnx_matmul(c, beyond_zero(c, 0, 2, from_end(c->in[0], 2)), beyond_zero(c, 3, 5, from_end(c->in[3], 1)));
  if (!y) return false;
  struct ir_value *s = divide(c, mul(c, scale_of(c, 1, y, from_end(y, 2)), scale_of(c, 4, y, from_end(y, 1))), scale_of(c, 6, y, from_end(y, 2)));
  struct grain g = { from_end(y, 2), 0 };
  struct ir_value *zero = c->in[7]->type->rank > 1 ? c->in[7] : spread(c, c->in[7], y, &g);
  return zero && onnx_out(c, saturated(c, mul(c, cast(c, y, IR_f32), s), zero, c->in[7]->type->elem));
}
/* Conv on what lies beyond the zeros; the padding is then the zero itself. */
static bool conv_of(struct onnx_ctx *c, struct ir_value *x, struct ir_value *w, struct ir_value *bias)
{
  struct ir_value *in[] = { x, w, bias }, **kept = c->in;
  unsigned n = c->n_in;
  if (!x || !w) return false;
  c->in = in;
  c->n_in = bias ? 3 : 2;
  bool ok = import_conv(c);
  c->in = kept;
  c->n_in = n;
  return ok;
}
bool import_conv_integer(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 2, 4));
  return conv_of(c, beyond_zero(c, 0, 2, 0), beyond_zero(c, 1, 3, 0), NULL);
}
/* operands: x, its scale and zero, w, its, the result's, bias in i32 */
bool import_qlinear_conv(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 8, 9) && wants_int(c, c->in[7]->type->elem) && conv_of(c, beyond_zero(c, 0, 2, 0), beyond_zero(c, 3, 5, 0), onnx_in(c, 8)));
  struct ir_value *y = c->out[0], *s = divide(c, mul(c, scale_of(c, 1, y, 1), scale_of(c, 4, y, 1)), scale_of(c, 6, y, 1));
  struct grain g = { 1, 0 };
  struct ir_value *zero = spread(c, c->in[7], y, &g);
  return zero && onnx_out(c, saturated(c, mul(c, cast(c, y, IR_f32), s), zero, c->in[7]->type->elem));
}
