/* Results whose size depends on the data: NonZero, Compress, Unique, NonMaxSuppression. A function of the processor finds places, and counts; bind makes the count a size. */
#include "compiler/onnx/rows.h"

/* Every place of a shape, as [rank, elements]. */
static bool every_place(struct onnx_ctx *c)
{
  const struct ir_type *t = c->in[0]->type;
  const struct ir_ix *dim[] = { onnx_k(c, t->rank), onnx_product(c, t, 0, t->rank) }, *e = onnx_k(c, 0), *d = ir_ix_coord(c->m->ixs, 0), *i = ir_ix_coord(c->m->ixs, 1);
  for (unsigned a = 0; a < t->rank; a++) {
    const struct ir_ix *at = ir_ix_div(i, onnx_product(c, t, a + 1, t->rank));
    if (a) at = ir_ix_mod(at, t->dim[a]);
    e = ir_ix_add(e, ir_ix_mul(ir_ix_eq0(ir_ix_addi(d, -(int64_t)a)), at));
  }
  return onnx_out(c, onnx_index(c, IR_i64, 2, dim, &e, 1));
}
/* The first elements of a list: as many as count, which is bound. */
static struct ir_value *front(struct onnx_ctx *c, struct ir_value *list, struct ir_value *count)
{
  const struct ir_ix *n = list->type->dim[0], *zero = onnx_k(c, 0), *const *size;
  int64_t lo, hi, one = 1;
  ir_ix_range(n, &lo, &hi);
  if (!onnx_bind(c, count, 0, hi < INT32_MAX ? hi : INT32_MAX, n, &size)) return NULL;
  return onnx_slice(c, list, &zero, &one, size);
}
struct ir_value *onnx_places(struct onnx_ctx *c, struct ir_value *mask)
{
  struct ir_node *n = mask ? ir_build(c->b, IR_OP_places, &mask, 1, NULL, 0) : NULL;
  return n ? front(c, n->out[0], n->out[1]) : NULL;
}
static struct ir_value *flat(struct onnx_ctx *c, struct ir_value *x)
{
  const struct ir_ix *n = ir_type_elems(c->m, x->type);
  return ir_reshape(c->b, x, 1, &n);
}
/* Places of a flat list as coordinates of t: axis a. */
static struct ir_value *coordinate(struct onnx_ctx *c, const struct ir_type *t, struct ir_value *at, unsigned a)
{
  const struct ir_ix *inner = ir_ix_max(onnx_product(c, t, a + 1, t->rank), onnx_k(c, 1)), *dim = ir_ix_max(t->dim[a], onnx_k(c, 1));
  struct ir_value *v = ir_ix_is(inner, 1) ? at : onnx_2(c, IR_OP_div, at, onnx_index(c, IR_i64, 0, NULL, &inner, 1));
  return a ? onnx_2(c, IR_OP_mod, v, onnx_index(c, IR_i64, 0, NULL, &dim, 1)) : v;
}
static struct ir_value *as_row(struct onnx_ctx *c, struct ir_value *v, unsigned axis) { return v ? onnx_along(c, v, axis, 2) : NULL; }
static struct ir_value *join(struct onnx_ctx *c, struct ir_value *const *v, unsigned n, unsigned axis)
{
  struct ir_attr a = ir_attr_int("axis", axis);
  for (unsigned i = 0; i < n; i++)
    if (!v[i]) return NULL;
  return n == 1 ? v[0] : onnx_node(c, IR_OP_concat, v, n, &a, 1);
}
static bool non_zero_of_data(struct onnx_ctx *c, struct ir_value *x)
{
  struct ir_value *row[IR_MAX_RANK], *mask = x->type->elem == IR_bool ? flat(c, x) : ir_cast(c->b, flat(c, x), IR_bool), *at = onnx_places(c, mask);
  const struct ir_ix *none[] = { onnx_k(c, 0), NULL };
  if (!at) return false;
  none[1] = at->type->dim[0];
  if (!x->type->rank) return onnx_out(c, ir_broadcast(c->b, onnx_const(c, IR_i64, 0), 2, none));
  for (unsigned a = 0; a < x->type->rank; a++) row[a] = as_row(c, coordinate(c, x->type, at, a), 1);
  return onnx_out(c, join(c, row, x->type->rank, 0));
}
bool import_non_zero(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 1));
  struct ir_value *x = c->in[0];
  struct ir_tensor *t;
  double v;
  if (ir_value_is_splat(x, &v) && v != 0 && x->type->rank) return every_place(c);
  if (!ir_eval_const(c->arena, x, ONNX_EVAL, &t)) return non_zero_of_data(c, x);
  TRY(onnx_spend(c->im, 8 * ((uint64_t)t->rank + 1) * (uint64_t)t->n));
  bool f = ir_elem_class(t->elem) == 'F';
  int64_t n = 0, k = 0;
  for (int64_t i = 0; i < t->n; i++) n += f ? t->f[i] != 0 : t->i[i] != 0;
  int64_t *at = IR_NEWN(c->arena, int64_t, (size_t)n * t->rank + 1);
  for (int64_t i = 0; i < t->n; i++) {
    if (f ? t->f[i] == 0 : t->i[i] == 0) continue;
    for (int64_t rest = i, d = (int64_t)t->rank - 1; d >= 0; rest /= t->dim[d], d--) at[d * n + k] = rest % t->dim[d];
    k++;
  }
  return onnx_out(c, ir_const_ints(c->b, IR_i64, 2, (int64_t[]){ t->rank, n }, at));
}

/* Slices along `axis` (without it: elements) where the condition, perhaps shorter, holds. */
bool import_compress(struct onnx_ctx *c)
{
  unsigned axis = 0;
  TRY(onnx_operands(c, 2, 2));
  struct ir_value *x = c->in[0], *mask = c->in[1];
  if (!onnx_attr(c, "axis")) x = flat(c, x);
  else TRY(onnx_attr_axis(c, "axis", 0, x->type->rank, &axis));
  if (!x || mask->type->elem != IR_bool || mask->type->rank != 1) return onnx_bad(c, IR_M0202, "the condition is %s, expected bool of rank 1", onnx_show(c, mask));
  TRY(ir_require_ge0(c->m, ir_ix_sub(x->type->dim[axis], mask->type->dim[0]), "the condition of Compress is no longer than the axis"));
  struct ir_value *at = onnx_places(c, mask);
  return at && onnx_out(c, onnx_gather(c, x, at, axis));
}
/* The different slices along `axis` (without it: elements) as rows of a matrix. */
bool import_unique(struct onnx_ctx *c)
{
  unsigned axis = 0;
  bool sorted;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_flag(c, "sorted", true, &sorted));
  struct ir_value *x = c->in[0];
  if (!onnx_attr(c, "axis")) x = flat(c, x);
  else TRY(onnx_attr_axis(c, "axis", 0, x->type->rank, &axis));
  if (!x) return false;
  int64_t perm[IR_MAX_RANK];
  for (unsigned d = 0; d < x->type->rank; d++) perm[d] = d == 0 ? axis : d <= axis ? d - 1 : d;
  const struct ir_ix *rest = onnx_k(c, 1);
  for (unsigned d = 0; d < x->type->rank; d++)
    if (d != axis) rest = ir_ix_mul(rest, x->type->dim[d]);
  struct ir_value *rows = ir_reshape(c->b, axis ? ir_transpose(c->b, x, perm) : x, 2, (const struct ir_ix *[]){ x->type->dim[axis], rest });
  struct ir_attr a = ir_attr_int("sorted", sorted);
  struct ir_node *n = rows ? ir_build(c->b, IR_OP_distinct, &rows, 1, &a, 1) : NULL;
  struct ir_value *at = n ? front(c, n->out[0], n->out[3]) : NULL;
  if (!at) return false;
  if (c->n_out > 1) c->out[1] = at;
  if (c->n_out > 2) c->out[2] = n->out[1];
  if (c->n_out > 3) c->out[3] = front(c, n->out[2], n->out[3]);
  return onnx_out(c, onnx_gather(c, x, at, axis));
}
/* [batch, class, box] of what suppression keeps: the kept ones stand at the front of each row of boxes, so that places of a mask find them in order. */
bool import_nms(struct onnx_ctx *c)
{
  bool center;
  TRY(onnx_operands(c, 2, 5) && onnx_attr_flag(c, "center_point_box", false, &center));
  struct ir_value *boxes = c->in[0], *scores = c->in[1], *k = onnx_in(c, 2), *iou = onnx_in(c, 3), *least = onnx_in(c, 4);
  const struct ir_type *s = scores->type;
  if (boxes->type->rank != 3 || s->rank != 3 || boxes->type->elem != IR_f32 || s->elem != IR_f32)
    return onnx_bad(c, IR_M0202, "boxes are %s and scores %s, expected f32 of rank 3", onnx_show(c, boxes), onnx_show(c, scores));
  TRY(ir_require_eq(c->m, boxes->type->dim[0], s->dim[0], "boxes and scores have the same batch") && ir_require_eq(c->m, boxes->type->dim[1], s->dim[2], "there is a score for each box"));
  boxes = ir_reshape(c->b, boxes, 3, (const struct ir_ix *[]){ s->dim[0], s->dim[2], boxes->type->dim[2] });
  struct ir_attr a[] = { ir_attr_int("center", center), ir_attr_int("all", !least) };
  struct ir_value *in[] = { boxes, ir_reshape(c->b, scores, 2, (const struct ir_ix *[]){ ir_ix_mul(s->dim[0], s->dim[1]), s->dim[2] }),
                            k ? ir_cast(c->b, ir_reshape(c->b, k, 0, NULL), IR_i64) : onnx_const(c, IR_i64, 0), iou ? ir_reshape(c->b, iou, 0, NULL) : onnx_const(c, IR_f32, 0),
                            least ? ir_reshape(c->b, least, 0, NULL) : onnx_const(c, IR_f32, 0) };
  for (unsigned i = 0; i < 5; i++)
    if (!in[i]) return false;
  struct ir_node *n = ir_build(c->b, IR_OP_nms, in, 5, a, 2);
  if (!n) return false;
  const struct ir_ix *i = ir_ix_coord(c->m->ixs, 0);
  struct ir_value *mask = onnx_2(c, IR_OP_lt, as_row(c, onnx_index(c, IR_i64, 1, &s->dim[2], &i, 1), 1), as_row(c, n->out[1], 0));
  struct ir_value *at = mask ? onnx_places(c, flat(c, mask)) : NULL;
  if (!at) return false;
  struct ir_value *col[] = { as_row(c, coordinate(c, s, at, 0), 0), as_row(c, coordinate(c, s, at, 1), 0), as_row(c, onnx_gather(c, flat(c, n->out[0]), at, 0), 0) };
  return onnx_out(c, join(c, col, 3, 1));
}
