/* Reductions: Reduce*, ArgMax, CumSum, softmax and its kin. */
#include "compiler/onnx/arith.h"
#include <math.h>
#include <string.h>

static struct ir_value *div_(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_div, x, y); }
static struct ir_value *exp_(struct onnx_ctx *c, struct ir_value *x) { return onnx_1(c, IR_OP_exp, x); }
static struct ir_value *log_(struct onnx_ctx *c, struct ir_value *x) { return onnx_1(c, IR_OP_log, x); }

/* What is reduced: axes that are known, or those of `set`, whose values the model reads. */
struct over { const int64_t *axes; unsigned n; const struct onnx_axset *set; };
static struct ir_value *fold(struct onnx_ctx *c, const char *op, struct ir_value *x, const struct over *o)
{
  const struct ir_ix *over[IR_MAX_RANK], *dim[IR_MAX_RANK];
  if (!o->set || !x) return x ? onnx_reduce(c, op, x, o->axes, o->n) : NULL;
  for (unsigned d = 0; d < x->type->rank; d++) {
    const struct ir_ix *more = ir_ix_addi(x->type->dim[d], -1), *is = o->set->is[d];
    over[d] = ir_ix_addi(ir_ix_mul(is, more), 1);
    dim[d] = ir_ix_addi(ir_ix_mul(ir_ix_sub(onnx_k(c, 1), is), more), 1);
  }
  struct ir_attr a[] = { ir_attr_str("op", op), ir_attr_ixs(c->m, "over", over, x->type->rank), ir_attr_ixs(c->m, "dims", dim, x->type->rank) };
  return onnx_node(c, IR_OP_reduce, &x, 1, a, 3);
}
/* A result of fold, to be read beside x: known unit axes broadcast by themselves. */
static struct ir_value *beside(struct onnx_ctx *c, struct ir_value *r, const struct ir_value *x, const struct over *o)
{
  const struct ir_ix *map[IR_MAX_RANK];
  if (!o->set || !r) return r;
  for (unsigned d = 0; d < x->type->rank; d++) map[d] = ir_ix_mul(ir_ix_sub(onnx_k(c, 1), o->set->is[d]), ir_ix_coord(c->m->ixs, d));
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, x->type->rank), ir_attr_ixs(c->m, "dims", x->type->dim, x->type->rank) };
  return onnx_node(c, IR_OP_view, &r, 1, a, 2);
}
static struct ir_value *mean(struct onnx_ctx *c, struct ir_value *x, const struct over *o)
{
  const struct ir_ix *count = onnx_k(c, 1);
  if (!o->set) return onnx_mean(c, x, o->axes, o->n);
  for (unsigned d = 0; d < x->type->rank; d++) count = ir_ix_mul(count, ir_ix_addi(ir_ix_mul(o->set->is[d], ir_ix_addi(x->type->dim[d], -1)), 1));
  return onnx_2(c, IR_OP_div, fold(c, "sum", x, o), ir_cast(c->b, onnx_index(c, IR_i64, 0, NULL, &count, 1), x->type->elem));
}
/* log(sum(exp(x))) with the largest element taken out; an infinite one is not, since inf - inf is no number. */
static struct ir_value *log_sum_exp(struct onnx_ctx *c, struct ir_value *x, const struct over *o)
{
  if (!o->n && !o->set) return x;
  struct ir_value *m = fold(c, "max", x, o);
  m = onnx_select(c, onnx_1(c, IR_OP_isinf, m), onnx_like(c, x, 0), m);
  return onnx_2(c, IR_OP_add, log_(c, fold(c, "sum", exp_(c, sub(c, x, beside(c, m, x, o))), o)), m);
}
static struct ir_value *reduced(struct onnx_ctx *c, struct ir_value *x, const struct over *o)
{
  bool b = x->type->elem == IR_bool;
  switch ((enum onnx_reduction)c->row->arg) {
  case ONNX_SUM: return fold(c, "sum", x, o);
  case ONNX_PROD: return fold(c, "prod", x, o);
  case ONNX_MAX: return fold(c, b ? "or" : "max", x, o);
  case ONNX_MIN: return fold(c, b ? "and" : "min", x, o);
  case ONNX_MEAN: return mean(c, x, o);
  case ONNX_L1: return fold(c, "sum", onnx_1(c, IR_OP_abs, x), o);
  case ONNX_L2: return onnx_1(c, IR_OP_sqrt, fold(c, "sum", mul(c, x, x), o));
  case ONNX_SUM_SQUARE: return fold(c, "sum", mul(c, x, x), o);
  case ONNX_LOG_SUM: return log_(c, fold(c, "sum", x, o));
  case ONNX_LOG_SUM_EXP: return log_sum_exp(c, x, o);
  }
  return NULL;
}
/* Axes: attribute; operand from opset 18 on (13 for ReduceSum). */
bool import_reduce(struct onnx_ctx *c)
{
  struct onnx_ints axes;
  bool keep, noop, operand = c->opset >= (c->row->arg == ONNX_SUM ? 13 : 18);
  int64_t all[IR_MAX_RANK], count = 0;
  TRY(onnx_operands(c, 1, operand ? 2 : 1) && onnx_attr_flag(c, "keepdims", true, &keep) && onnx_attr_flag(c, "noop_with_empty_axes", false, &noop));
  struct ir_value *x = c->in[0];
  if (operand && !onnx_axes_known(c, 1) && ir_type_static(c->in[1]->type, NULL, &count) && count) {
    struct onnx_axset set;
    TRY(onnx_axset(c, "axes", 1, x->type->rank, &set));
    struct ir_value *r = reduced(c, x, &(struct over){ .set = &set });
    return onnx_out(c, keep ? r : onnx_drop_axset(c, r, &set));
  }
  TRY(onnx_axes(c, "axes", operand ? 1 : -1, x->type->rank, true, &axes));
  if (!axes.n && !noop) {
    for (unsigned d = 0; d < x->type->rank; d++) all[d] = d;
    axes = (struct onnx_ints){ true, x->type->rank, all };
  }
  struct ir_value *r = reduced(c, x, &(struct over){ axes.v, axes.n, NULL });
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
/* CumSum, CumProd: arg tells which. An axis that the model reads picks among the sums along each. */
bool import_cumulative(struct onnx_ctx *c)
{
  struct onnx_axset axis;
  bool excl, rev;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_flag(c, "exclusive", false, &excl) && onnx_attr_flag(c, "reverse", false, &rev));
  unsigned rank = c->in[0]->type->rank;
  TRY(onnx_axset(c, "axis", 1, rank, &axis));
  if (axis.n != 1) return onnx_bad(c, IR_M0201, "axis has %u elements", axis.n);
  struct ir_value *r = NULL;
  for (unsigned d = 0; d < rank; d++) {
    struct ir_attr a[] = { ir_attr_str("op", c->row->arg == ONNX_SUM ? "sum" : "prod"), ir_attr_int("axis", d), ir_attr_int("exclusive", excl), ir_attr_int("reverse", rev) };
    if (ir_ix_is(axis.is[d], 0)) continue;
    struct ir_value *v = onnx_node(c, IR_OP_prefix, c->in, 1, a, 4);
    if (!v) return false;
    r = !r || ir_ix_is(axis.is[d], 1) ? v : onnx_select(c, onnx_index(c, IR_bool, 0, NULL, &axis.is[d], 1), v, r);
  }
  return onnx_out(c, r);
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
