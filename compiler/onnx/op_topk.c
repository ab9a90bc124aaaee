/* TopK, without sorting. The order is: larger (or smaller) first, of equal ones the earlier. Short axes: every element counts those before it, and place k takes the one that
 * has k of them. Long ones with few wanted: a loop that finds, k times, the first of what comes behind the last one found. NaN comes last, in no order. */
#include "compiler/onnx/loop.h"
#include "compiler/onnx/rows.h"
#include <math.h>

enum { COUNTED = 1024 };                     /* axes up to here are counted whatever k is */
static struct ir_value *grid(struct onnx_ctx *c, const struct ir_ix *n, unsigned axis, unsigned rank)
{
  const struct ir_ix *e = ir_ix_coord(c->m->ixs, 0);
  return onnx_along(c, onnx_index(c, IR_i64, 1, &n, &e, 1), axis, rank);
}
/* x of higher rank: a unit axis at `at`. */
static struct ir_value *with_axis(struct onnx_ctx *c, struct ir_value *x, unsigned at)
{
  const struct ir_ix *dim[IR_MAX_RANK + 1];
  for (unsigned d = 0; d <= x->type->rank; d++) dim[d] = d == at ? onnx_k(c, 1) : x->type->dim[d - (d > at)];
  return ir_reshape(c->b, x, x->type->rank + 1, dim);
}
static struct ir_value *both(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_and, x, y); }
/* Does x at place i come before y at place j? */
static struct ir_value *before(struct onnx_ctx *c, bool largest, struct ir_value *x, struct ir_value *i, struct ir_value *y, struct ir_value *j)
{
  struct ir_value *beats = largest ? onnx_2(c, IR_OP_lt, y, x) : onnx_2(c, IR_OP_lt, x, y);
  return onnx_2(c, IR_OP_or, beats, both(c, onnx_2(c, IR_OP_eq, x, y), onnx_2(c, IR_OP_lt, i, j)));
}
static struct ir_value *counted(struct onnx_ctx *c, struct ir_value *x, unsigned axis, const struct ir_ix *k, bool largest)
{
  const struct ir_ix *n = x->type->dim[axis];
  unsigned r = x->type->rank + 1;
  int64_t over = axis + 1;
  struct ir_value *here = with_axis(c, x, axis + 1), *there = with_axis(c, x, axis), *i = grid(c, n, axis, r), *j = grid(c, n, axis + 1, r), *one = onnx_const(c, IR_i64, 1), *zero = onnx_const(c, IR_i64, 0);
  struct ir_value *count = onnx_reduce(c, "sum", onnx_select(c, before(c, largest, there, j, here, i), one, zero), &over, 1);
  if (!count) return NULL;
  struct ir_value *mine = onnx_2(c, IR_OP_eq, with_axis(c, onnx_drop_axes(c, count, &over, 1), axis), grid(c, k, axis, r));
  return onnx_drop_axes(c, onnx_reduce(c, "sum", onnx_select(c, mine, j, zero), &over, 1), &over, 1);
}
static struct ir_value *low_of(struct onnx_ctx *c, const struct ir_value *x, bool largest)
{
  enum ir_elem e = x->type->elem;
  unsigned bits = ir_elem_bits(e);
  if (onnx_is_float(x)) return onnx_like(c, x, largest ? -INFINITY : INFINITY);
  bool sign = ir_elem_class(e) == 'I';
  int64_t high = bits == 64 ? (sign ? INT64_MAX : -1) : ((int64_t)1 << (sign ? bits - 1 : bits)) - 1, low = !sign ? 0 : bits == 64 ? INT64_MIN : -high - 1;
  return ir_const_splat(c->b, ir_type_get(c->m, e, 0, NULL), 0, largest ? low : high);
}
static struct ir_value *found(struct onnx_ctx *c, struct ir_value *x, unsigned axis, const struct ir_ix *k, bool largest)
{
  struct onnx_loop l;
  const struct ir_type *t = x->type;
  const struct ir_ix *dim[IR_MAX_RANK];
  int64_t over = axis, perm[IR_MAX_RANK + 1];
  for (unsigned d = 0; d < t->rank; d++) dim[d] = d == axis ? onnx_k(c, 1) : t->dim[d];
  struct ir_value *init[] = { ir_broadcast(c->b, low_of(c, x, !largest), t->rank, dim), ir_broadcast(c->b, onnx_const(c, IR_i64, -1), t->rank, dim) }, *out[3];
  if (!onnx_loop_begin(c, &l, k, NULL, NULL, init, 2)) return NULL;
  struct ir_value *v = onnx_capture(c->im, x), *j = grid(c, t->dim[axis], axis, t->rank), *far = onnx_index(c, IR_i64, 0, NULL, &t->dim[axis], 1);
  struct ir_value *behind = before(c, largest, l.state[0], l.state[1], v, j);
  struct ir_value *best = onnx_reduce(c, largest ? "max" : "min", onnx_select(c, behind, v, low_of(c, v, largest)), &over, 1);
  struct ir_value *at = onnx_reduce(c, "min", onnx_select(c, both(c, behind, onnx_2(c, IR_OP_eq, v, best)), j, far), &over, 1), *next[] = { best, at };
  if (!onnx_loop_end(c, &l, NULL, next, next + 1, 1, out)) return NULL;
  struct ir_value *all = onnx_drop_axes(c, out[2], (int64_t[]){ over + 1 }, 1);      /* [k, the axes without `axis`] */
  for (unsigned d = 0; d < t->rank; d++) perm[d] = d < axis ? d + 1 : d == axis ? 0 : d;
  return ir_transpose(c->b, all, perm);
}
bool import_top_k(struct onnx_ctx *c)
{
  unsigned axis;
  bool largest, sorted;
  int64_t n = 0, kk = 0;
  struct onnx_ixs k;
  bool old = c->opset < 10;
  TRY(onnx_operands(c, old ? 1 : 2, old ? 1 : 2));
  struct ir_value *x = c->in[0];
  TRY(onnx_attr_axis(c, "axis", -1, x->type->rank, &axis) && onnx_attr_flag(c, "largest", true, &largest) && onnx_attr_flag(c, "sorted", true, &sorted));
  if (old) {
    TRY(onnx_attr_int(c, "k", 0, &kk));
    const struct ir_ix **e = IR_NEW(c->arena, const struct ir_ix *);
    *e = onnx_k(c, kk);
    k = (struct onnx_ixs){ true, 1, e };
  } else TRY(onnx_ixs(c, "k", 1, &k));
  if (k.n != 1 || x->type->rank >= IR_MAX_RANK) return onnx_bad(c, IR_M0201, "k has %u elements, or %s too many axes", k.n, onnx_show(c, x));
  const struct ir_ix *len = x->type->dim[axis], *rest = ir_ix_sub(len, k.v[0]);
  if (ir_prove_ge0(&c->m->facts, rest) == IR_NO || ir_prove_ge0(&c->m->facts, k.v[0]) == IR_NO) return onnx_bad(c, IR_M0302, "k is %s for %s", ir_ix_str(c->arena, k.v[0]), onnx_show(c, x));
  TRY(ir_require_ge0(c->m, rest, "k of TopK is at most the axis' size") && ir_require_ge0(c->m, k.v[0], "k of TopK is not negative"));
  bool few = !(ir_ix_const(len, &n) && n <= COUNTED) && (!ir_ix_const(k.v[0], &kk) || !n || kk <= n / 8);
  struct ir_value *at = few ? found(c, x, axis, k.v[0], largest) : counted(c, x, axis, k.v[0], largest);
  if (!at) return false;
  const struct ir_ix *map[IR_MAX_RANK];
  for (unsigned d = 0; d < x->type->rank; d++) map[d] = ir_ix_coord(c->m->ixs, d == axis ? x->type->rank : d);
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, x->type->rank), ir_attr_ixs(c->m, "dims", at->type->dim, x->type->rank) };
  struct ir_value *in[] = { x, at };
  if (c->n_out > 1) c->out[1] = at;
  return onnx_out(c, onnx_node(c, IR_OP_view, in, 2, a, 2));
}
