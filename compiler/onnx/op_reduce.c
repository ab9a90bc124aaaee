/* Reductions: Reduce*, ArgMax, CumSum, softmax and its kin. */
#include "compiler/onnx/rows.h"
#include <math.h>
#include <string.h>

static struct ir_value *div_(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_div, x, y); }
static struct ir_value *sub(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_sub, x, y); }
static struct ir_value *mul(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_mul, x, y); }
static struct ir_value *exp_(struct onnx_ctx *c, struct ir_value *x) { return onnx_1(c, IR_OP_exp, x); }
static struct ir_value *log_(struct onnx_ctx *c, struct ir_value *x) { return onnx_1(c, IR_OP_log, x); }

/* log(sum(exp(x))) with the largest element taken out; an infinite one is not, since inf - inf is no number. */
static struct ir_value *log_sum_exp(struct onnx_ctx *c, struct ir_value *x, const int64_t *axes, unsigned n)
{
  if (!n) return x;
  struct ir_value *m = onnx_reduce(c, "max", x, axes, n);
  m = onnx_select(c, onnx_1(c, IR_OP_isinf, m), onnx_like(c, x, 0), m);
  return onnx_2(c, IR_OP_add, log_(c, onnx_reduce(c, "sum", exp_(c, sub(c, x, m)), axes, n)), m);
}
static struct ir_value *reduced(struct onnx_ctx *c, struct ir_value *x, const int64_t *axes, unsigned n)
{
  bool b = x->type->elem == IR_bool;
  switch ((enum onnx_reduction)c->row->arg) {
  case ONNX_SUM: return onnx_reduce(c, "sum", x, axes, n);
  case ONNX_PROD: return onnx_reduce(c, "prod", x, axes, n);
  case ONNX_MAX: return onnx_reduce(c, b ? "or" : "max", x, axes, n);
  case ONNX_MIN: return onnx_reduce(c, b ? "and" : "min", x, axes, n);
  case ONNX_MEAN: return onnx_mean(c, x, axes, n);
  case ONNX_L1: return onnx_reduce(c, "sum", onnx_1(c, IR_OP_abs, x), axes, n);
  case ONNX_L2: return onnx_1(c, IR_OP_sqrt, onnx_reduce(c, "sum", mul(c, x, x), axes, n));
  case ONNX_SUM_SQUARE: return onnx_reduce(c, "sum", mul(c, x, x), axes, n);
  case ONNX_LOG_SUM: return log_(c, onnx_reduce(c, "sum", x, axes, n));
  case ONNX_LOG_SUM_EXP: return log_sum_exp(c, x, axes, n);
  }
  return NULL;
}
/* Axes: attribute; operand from opset 18 on (13 for ReduceSum). */
bool import_reduce(struct onnx_ctx *c)
{
  struct onnx_ints axes;
  bool keep, noop, operand = c->opset >= (c->row->arg == ONNX_SUM ? 13 : 18);
  int64_t all[IR_MAX_RANK];
  TRY(onnx_operands(c, 1, operand ? 2 : 1));
  struct ir_value *x = c->in[0];
  TRY(onnx_axes(c, "axes", operand ? 1 : -1, x->type->rank, true, &axes) && onnx_attr_flag(c, "keepdims", true, &keep) && onnx_attr_flag(c, "noop_with_empty_axes", false, &noop));
  if (!axes.n && !noop) {
    for (unsigned d = 0; d < x->type->rank; d++) all[d] = d;
    axes = (struct onnx_ints){ true, x->type->rank, all };
  }
  struct ir_value *r = reduced(c, x, axes.v, axes.n);
  return onnx_out(c, keep ? r : onnx_drop_axes(c, r, axes.v, axes.n));
}
bool import_arg_reduce(struct onnx_ctx *c)
{
  unsigned axis;
  bool keep, last;
  TRY(onnx_operands(c, 1, 1));
  struct ir_value *x = c->in[0];
  TRY(onnx_attr_axis(c, "axis", 0, x->type->rank, &axis) && onnx_attr_flag(c, "keepdims", true, &keep) && onnx_attr_flag(c, "select_last_index", false, &last));
  struct ir_attr a[] = { ir_attr_str("op", c->row->arg == ONNX_MAX ? "max" : "min"), ir_attr_int("axis", axis), ir_attr_int("last", last) };
  struct ir_value *r = onnx_node(c, IR_OP_argreduce, &x, 1, a, 3);
  int64_t ax = axis;
  return onnx_out(c, keep ? r : onnx_drop_axes(c, r, &ax, 1));
}
/* CumSum, CumProd: arg tells which. */
bool import_cumulative(struct onnx_ctx *c)
{
  struct onnx_ints axis;
  unsigned ax;
  bool excl, rev;
  TRY(onnx_operands(c, 2, 2) && onnx_ints(c, "axis", 1, &axis) && onnx_attr_flag(c, "exclusive", false, &excl) && onnx_attr_flag(c, "reverse", false, &rev));
  if (axis.n != 1) return onnx_bad(c, IR_M0201, "axis has %u elements", axis.n);
  TRY(onnx_axis(c, axis.v[0], c->in[0]->type->rank, &ax));
  struct ir_attr a[] = { ir_attr_str("op", c->row->arg == ONNX_SUM ? "sum" : "prod"), ir_attr_int("axis", ax), ir_attr_int("exclusive", excl), ir_attr_int("reverse", rev) };
  return onnx_out(c, onnx_node(c, IR_OP_prefix, c->in, 1, a, 4));
}

/* ---- softmax ----
 * Before opset 13 the operand is seen as a matrix cut at `axis`: the softmax goes over all axes from there on. */
static bool softmax_axes(struct onnx_ctx *c, int64_t *axes, unsigned *n)
{
  unsigned axis, rank;
  int64_t v;
  TRY(onnx_operands(c, 1, 1));
  onnx_widen(c);
  rank = c->in[0]->type->rank;
  TRY(onnx_attr_int(c, "axis", c->opset < 13 ? 1 : -1, &v));
  *n = 0;
  if (c->opset < 13 && v == rank) return true;       /* a matrix of one column */
  TRY(onnx_axis(c, v, rank, &axis));
  for (unsigned d = axis; d < (c->opset < 13 ? rank : axis + 1); d++) axes[(*n)++] = d;
  return true;
}
/* A softmax over no axis at all is one over a single element. */
static bool of_single(struct onnx_ctx *c, double v)
{
  return onnx_narrow(c, ir_broadcast(c->b, onnx_like(c, c->in[0], v), c->in[0]->type->rank, c->in[0]->type->dim));
}
bool import_softmax(struct onnx_ctx *c)
{
  int64_t axes[IR_MAX_RANK];
  unsigned n;
  TRY(softmax_axes(c, axes, &n));
  if (!n) return of_single(c, 1);
  struct ir_value *x = c->in[0], *e = exp_(c, sub(c, x, onnx_reduce(c, "max", x, axes, n)));
  return onnx_narrow(c, div_(c, e, onnx_reduce(c, "sum", e, axes, n)));
}
bool import_log_softmax(struct onnx_ctx *c)
{
  int64_t axes[IR_MAX_RANK];
  unsigned n;
  TRY(softmax_axes(c, axes, &n));
  if (!n) return of_single(c, 0);
  struct ir_value *x = c->in[0], *s = sub(c, x, onnx_reduce(c, "max", x, axes, n));
  return onnx_narrow(c, sub(c, s, log_(c, onnx_reduce(c, "sum", exp_(c, s), axes, n))));
}
/* 1 at the first of the largest elements. */
bool import_hardmax(struct onnx_ctx *c)
{
  int64_t axes[IR_MAX_RANK];
  unsigned n;
  TRY(softmax_axes(c, axes, &n));
  if (!n) return of_single(c, 1);
  struct ir_value *x = c->in[0], *y = x;
  unsigned axis = (unsigned)axes[0], rank = x->type->rank;
  if (n > 1) {                                       /* the coerced matrix */
    const struct ir_ix *dim[] = { onnx_product(c, x->type, 0, axis), onnx_product(c, x->type, axis, rank) };
    y = ir_reshape(c->b, x, 2, dim);
    if (!y) return false;
    axis = 1;
  }
  struct ir_attr a[] = { ir_attr_str("op", "max"), ir_attr_int("axis", axis), ir_attr_int("last", 0) };
  const struct ir_ix *e = ir_ix_coord(c->m->ixs, 0);
  struct ir_value *best = onnx_node(c, IR_OP_argreduce, &y, 1, a, 3);
  struct ir_value *grid = onnx_along(c, onnx_index(c, IR_i64, 1, &y->type->dim[axis], &e, 1), axis, y->type->rank);
  struct ir_value *r = ir_cast(c->b, onnx_2(c, IR_OP_eq, best, grid), x->type->elem);
  return onnx_narrow(c, ir_reshape(c->b, r, rank, x->type->dim));
}
