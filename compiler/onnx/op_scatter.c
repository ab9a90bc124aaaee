/* Writing at places that other tensors state. The core has no scatter: an element of the result asks which update hits it. For a plain write that is the number
 * of the last one, the largest k whose place is here, or -1; for the others a reduction over those that hit.
 *
 * Weakness: every place of the written axes looks at every update. Where the places are constants (exporters write slices with steps so) the numbers are a table
 * that is made here. */
#include "compiler/onnx/rows.h"
#include <math.h>
#include <string.h>

enum { MAX_TABLE = 1 << 22 };
enum reduction { WRITE, ADD, MUL, MIN, MAX };
static struct ir_value *select(struct onnx_ctx *c, struct ir_value *p, struct ir_value *x, struct ir_value *y) { return onnx_select(c, p, x, y); }
static struct ir_value *lt0(struct onnx_ctx *c, struct ir_value *x) { return onnx_2(c, IR_OP_lt, x, onnx_like(c, x, 0)); }
static struct ir_value *number(struct onnx_ctx *c, const struct ir_ix *e) { return onnx_index(c, IR_i64, 0, NULL, &e, 1); }
static struct ir_value *grid(struct onnx_ctx *c, const struct ir_ix *n)
{
  const struct ir_ix *e = ir_ix_coord(c->m->ixs, 0);
  return onnx_index(c, IR_i64, 1, &n, &e, 1);
}
static struct ir_value *wrapped(struct onnx_ctx *c, struct ir_value *i, const struct ir_ix *n) { return select(c, lt0(c, i), onnx_2(c, IR_OP_add, i, number(c, n)), i); }
static bool reduction(struct onnx_ctx *c, enum reduction *out)
{
  static const char *const names[] = { "none", "add", "mul", "min", "max" };
  const char *s;
  TRY(onnx_attr_str(c, "reduction", "none", &s));
  for (unsigned i = 0; i < 5; i++)
    if (!strcmp(s, names[i])) { *out = (enum reduction)i; return true; }
  return onnx_bad(c, IR_M0302, "reduction is \"%s\"", s);
}
/* What a reduction starts from. */
static struct ir_value *neutral(struct onnx_ctx *c, enum reduction r, const struct ir_value *x)
{
  enum ir_elem e = x->type->elem;
  bool f = onnx_is_float(x), sign = ir_elem_class(e) == 'I';
  unsigned bits = ir_elem_bits(e);
  int64_t high = e == IR_bool ? 1 : bits == 64 ? (sign ? INT64_MAX : -1) : ((int64_t)1 << (sign ? bits - 1 : bits)) - 1, low = !sign ? 0 : bits == 64 ? INT64_MIN : -high - 1;
  if (r == ADD || r == MUL) return onnx_like(c, x, r == MUL);
  if (f) return onnx_like(c, x, r == MIN ? INFINITY : -INFINITY);
  return ir_const_splat(c->b, ir_type_get(c->m, e, 0, NULL), 0, r == MIN ? high : low);
}
static struct ir_value *combined(struct onnx_ctx *c, enum reduction r, struct ir_value *x, struct ir_value *y)
{
  static const enum ir_op op[] = { [ADD] = IR_OP_add, [MUL] = IR_OP_mul, [MIN] = IR_OP_min, [MAX] = IR_OP_max };
  return onnx_2(c, op[r], x, y);
}
static const char *const reduce_name[] = { [WRITE] = "max", [ADD] = "sum", [MUL] = "prod", [MIN] = "min", [MAX] = "max" };

/* hit [.., n, m, ..] (axis, axis + 1), u [.., m, ..] -> the updates of each place taken together, [.., n, ..] */
static struct ir_value *taken(struct onnx_ctx *c, enum reduction r, struct ir_value *hit, struct ir_value *u, unsigned axis)
{
  const struct ir_ix *dim[IR_MAX_RANK + 1];
  int64_t over = axis + 1;
  if (!hit || !u) return NULL;
  for (unsigned d = 0; d <= u->type->rank; d++) dim[d] = d == axis ? onnx_k(c, 1) : u->type->dim[d - (d > axis)];
  u = ir_reshape(c->b, u, u->type->rank + 1, dim);
  return onnx_drop_axes(c, onnx_reduce(c, reduce_name[r], select(c, hit, u, neutral(c, r, u)), &over, 1), &over, 1);
}
/* i [.., m, ..], along `axis` of an operand of n places -> hit [.., n, m, ..] */
static struct ir_value *hits(struct onnx_ctx *c, struct ir_value *i, unsigned axis, const struct ir_ix *n)
{
  const struct ir_ix *dim[IR_MAX_RANK + 1];
  if (!i) return NULL;
  unsigned rank = i->type->rank + 1;
  for (unsigned d = 0; d < rank; d++) dim[d] = d == axis ? onnx_k(c, 1) : i->type->dim[d - (d > axis)];
  return onnx_2(c, IR_OP_eq, ir_reshape(c->b, wrapped(c, i, n), rank, dim), onnx_along(c, grid(c, n), axis, rank));
}

/* ---- ScatterElements ---- */
/* Filled up to x's dims with `value`: indices may be fewer on the other axes. */
static struct ir_value *filled(struct onnx_ctx *c, struct ir_value *v, const struct ir_value *x, struct ir_value *value)
{
  const struct ir_ix *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
  if (!v) return NULL;
  for (unsigned d = 0; d < x->type->rank; d++) {
    lo[d] = onnx_k(c, 0);
    hi[d] = ir_ix_sub(x->type->dim[d], v->type->dim[d]);
  }
  return onnx_pad(c, v, value, lo, hi);
}
bool import_scatter_elements(struct onnx_ctx *c)
{
  unsigned axis;
  enum reduction r = WRITE;
  TRY(onnx_operands(c, 3, 3) && onnx_attr_axis(c, "axis", 0, c->in[0]->type->rank, &axis) && reduction(c, &r));
  struct ir_value *x = c->in[0], *i = c->in[1], *u = c->in[2];
  unsigned rank = x->type->rank;
  if (i->type->rank != rank || u->type->rank != rank || rank >= IR_MAX_RANK) return onnx_bad(c, IR_M0201, "operands %s, %s and %s: expected equal ranks, at most %d", onnx_show(c, x), onnx_show(c, i), onnx_show(c, u), IR_MAX_RANK - 1);
  if (u->type->elem != x->type->elem) return onnx_bad(c, IR_M0202, "operand is %s, updates are %s", onnx_show(c, x), onnx_show(c, u));
  for (unsigned d = 0; d < rank; d++) {
    const struct ir_ix *rest = ir_ix_sub(x->type->dim[d], i->type->dim[d]);
    if (ir_prove_eq0(&c->m->facts, ir_ix_sub(i->type->dim[d], u->type->dim[d])) == IR_NO || (d != axis && ir_prove_ge0(&c->m->facts, rest) == IR_NO))
      return onnx_bad(c, IR_M0201, "indices %s do not fit %s and updates %s", onnx_show(c, i), onnx_show(c, x), onnx_show(c, u));
    TRY(ir_require_eq(c->m, i->type->dim[d], u->type->dim[d], "indices and updates of ScatterElements agree"));
    if (d != axis) TRY(ir_require_ge0(c->m, rest, "the indices of ScatterElements are no more than its operand"));
  }
  struct ir_value *hit = hits(c, ir_cast(c->b, i, IR_i64), axis, x->type->dim[axis]);
  if (r != WRITE) return onnx_out(c, combined(c, r, x, filled(c, taken(c, r, hit, u, axis), x, neutral(c, r, x))));
  const struct ir_ix *map[IR_MAX_RANK];
  struct ir_value *k = onnx_along(c, grid(c, i->type->dim[axis]), axis + 1, rank + 1), *none = onnx_const(c, IR_i64, -1);
  int64_t over = axis + 1;
  struct ir_value *last = onnx_drop_axes(c, onnx_reduce(c, "max", select(c, hit, k, none), &over, 1), &over, 1);
  last = filled(c, last, x, none);
  if (!last) return false;
  for (unsigned d = 0; d < rank; d++) map[d] = ir_ix_coord(c->m->ixs, d == axis ? rank : d);
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, rank), ir_attr_ixs(c->m, "dims", x->type->dim, rank) };
  struct ir_value *from[] = { u, last };
  return onnx_out(c, select(c, lt0(c, last), x, onnx_node(c, IR_OP_view, from, 2, a, 2)));
}

/* ---- ScatterND: the first k axes of x as one of s places, all else as one row each ---- */
/* Row-major place numbers of the rows of indices [.., k], as rank 1. */
static struct ir_value *row_places(struct onnx_ctx *c, struct ir_value *i, unsigned k, const struct ir_ix *const *dim, const struct ir_ix *rows)
{
  struct ir_value *sum = NULL;
  const struct ir_ix *two[] = { rows, onnx_k(c, k) }, *cut[] = { rows, onnx_k(c, 1) };
  i = ir_reshape(c->b, ir_cast(c->b, i, IR_i64), 2, two);
  for (unsigned d = 0; d < k; d++) {
    const struct ir_ix *start[] = { onnx_k(c, 0), onnx_k(c, d) };
    const int64_t step[] = { 1, 1 };
    struct ir_value *v = wrapped(c, ir_reshape(c->b, onnx_slice(c, i, start, step, cut), 1, &rows), dim[d]);
    sum = sum ? onnx_2(c, IR_OP_add, onnx_2(c, IR_OP_mul, sum, number(c, dim[d])), v) : v;
  }
  return sum;
}
/* The number of the last row that is written to each place, when the places are constants. */
static struct ir_value *table_of_last(struct onnx_ctx *c, struct ir_value *at, const struct ir_ix *places)
{
  int64_t s, rows;
  struct ir_tensor *t;
  if (!at || !ir_ix_const(places, &s) || s > MAX_TABLE || !ir_type_static(at->type, NULL, &rows) || rows > MAX_TABLE) return NULL;
  if (!onnx_spend(c->im, 16 * (uint64_t)s + 64 * (uint64_t)rows) || !ir_eval_const(c->arena, at, ONNX_EVAL, &t)) return NULL;
  int64_t *v = IR_NEWN(c->arena, int64_t, s + 1);
  for (int64_t i = 0; i < s; i++) v[i] = -1;
  for (int64_t i = 0; i < rows; i++)
    if (t->i[i] >= 0 && t->i[i] < s) v[t->i[i]] = i;
  return ir_const_ints(c->b, IR_i64, 1, &s, v);
}
static struct ir_value *last_of(struct onnx_ctx *c, struct ir_value *at, const struct ir_ix *places)
{
  static const int64_t one = 1;
  struct ir_value *t = table_of_last(c, at, places);
  if (t || !at) return t;
  struct ir_value *k = onnx_along(c, grid(c, at->type->dim[0]), 1, 2);
  return onnx_drop_axes(c, onnx_reduce(c, "max", select(c, hits(c, at, 0, places), k, onnx_const(c, IR_i64, -1)), &one, 1), &one, 1);
}
bool import_scatter_nd(struct onnx_ctx *c)
{
  enum reduction r = WRITE;
  int64_t k;
  TRY(onnx_operands(c, 3, 3) && reduction(c, &r));
  struct ir_value *x = c->in[0], *i = c->in[1], *u = c->in[2];
  unsigned rank = x->type->rank, ri = i->type->rank;
  if (ri < 1 || !ir_ix_const(i->type->dim[ri - 1], &k)) return onnx_bad(c, IR_M0303, "the last axis of the indices, %s, must be known when massc compiles", onnx_show(c, i));
  if (k < 1 || k > rank || u->type->rank != ri - 1 + rank - (unsigned)k) return onnx_bad(c, IR_M0201, "indices %s and updates %s do not fit %s", onnx_show(c, i), onnx_show(c, u), onnx_show(c, x));
  if (u->type->elem != x->type->elem) return onnx_bad(c, IR_M0202, "operand is %s, updates are %s", onnx_show(c, x), onnx_show(c, u));
  const struct ir_ix *rows = onnx_product(c, i->type, 0, ri - 1), *places = onnx_product(c, x->type, 0, (unsigned)k), *rest = onnx_product(c, x->type, (unsigned)k, rank);
  const struct ir_ix *xd[] = { places, rest }, *ud[] = { rows, rest };
  struct ir_value *at = row_places(c, i, (unsigned)k, x->type->dim, rows), *y;
  struct ir_value *x2 = ir_reshape(c->b, x, 2, xd), *u2 = ir_reshape(c->b, u, 2, ud);
  if (!at || !x2 || !u2) return false;
  if (r == WRITE) {
    struct ir_value *last = last_of(c, at, places), *zero = onnx_const(c, IR_i64, 0);
    y = select(c, onnx_along(c, lt0(c, last), 0, 2), x2, onnx_gather(c, u2, onnx_2(c, IR_OP_max, last, zero), 0));
  } else {
    const struct ir_ix *hd[] = { places, rows, onnx_k(c, 1) };
    struct ir_value *hit = hits(c, at, 0, places);
    y = hit ? combined(c, r, x2, taken(c, r, ir_reshape(c->b, hit, 3, hd), u2, 0)) : NULL;
  }
  return y && onnx_out(c, ir_reshape(c->b, y, rank, x->type->dim));
}

/* ---- TensorScatter: a cache, along whose axis each sample's update starts at its own place; circular: it runs on at the beginning ---- */
bool import_tensor_scatter(struct onnx_ctx *c)
{
  unsigned axis;
  const char *mode;
  TRY(onnx_operands(c, 2, 3) && onnx_attr_axis(c, "axis", -2, c->in[0]->type->rank, &axis) && onnx_attr_str(c, "mode", "linear", &mode));
  struct ir_value *x = c->in[0], *u = c->in[1], *start = onnx_in(c, 2);
  unsigned rank = x->type->rank;
  bool circular = !strcmp(mode, "circular");
  if (!circular && strcmp(mode, "linear")) return onnx_bad(c, IR_M0302, "mode is \"%s\"", mode);
  if (u->type->rank != rank || !axis) return onnx_bad(c, IR_M0201, "the update is %s for %s", onnx_show(c, u), onnx_show(c, x));
  struct ir_value *k = onnx_along(c, grid(c, x->type->dim[axis]), axis, rank), *n = number(c, x->type->dim[axis]);
  if (start) k = onnx_2(c, IR_OP_sub, k, onnx_along(c, ir_cast(c->b, start, IR_i64), 0, rank));
  if (circular) k = onnx_2(c, IR_OP_mod, k, n);
  struct ir_value *in = onnx_2(c, IR_OP_and, onnx_2(c, IR_OP_le, onnx_const(c, IR_i64, 0), k), onnx_2(c, IR_OP_lt, k, number(c, u->type->dim[axis])));
  const struct ir_ix *map[IR_MAX_RANK];
  for (unsigned d = 0; d < rank; d++) map[d] = ir_ix_coord(c->m->ixs, d == axis ? rank : d);
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, rank), ir_attr_ixs(c->m, "dims", x->type->dim, rank) };
  struct ir_value *from[] = { u, k };
  return k && onnx_out(c, select(c, in, onnx_node(c, IR_OP_view, from, 2, a, 2), x));
}
