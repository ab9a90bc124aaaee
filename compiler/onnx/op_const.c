/* Constants, shapes as values, index grids. */
#include "compiler/onnx/rows.h"
#include <math.h>
#include <string.h>

bool import_shape(struct onnx_ctx *c)
{
  int64_t from, to;
  TRY(onnx_operands(c, 1, 1));
  const struct ir_type *t = c->in[0]->type;
  int64_t r = t->rank;
  TRY(onnx_attr_int(c, "start", 0, &from) && onnx_attr_int(c, "end", r, &to));
  from = from < -r ? 0 : from < 0 ? from + r : from > r ? r : from;
  to = to < -r ? 0 : to < 0 ? to + r : to > r ? r : to;
  if (to < from) to = from;
  const struct ir_ix *n = onnx_k(c, to - from);
  if (to == from) return onnx_out(c, ir_const_ints(c->b, IR_i64, 1, (int64_t[]){ 0 }, NULL));
  return onnx_out(c, onnx_index(c, IR_i64, 1, &n, t->dim + from, (unsigned)(to - from)));
}
bool import_size(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 1));
  const struct ir_ix *n = onnx_product(c, c->in[0]->type, 0, c->in[0]->type->rank);
  return onnx_out(c, onnx_index(c, IR_i64, 0, NULL, &n, 1));
}

/* ---- Constant: one of several attributes ---- */
static bool constant_floats(struct onnx_ctx *c)
{
  struct onnx_floats f;
  TRY(onnx_attr_floats(c, "value_floats", &f) && onnx_spend(c->im, 8 * (uint64_t)f.n));
  float *v = IR_NEWN(c->arena, float, f.n);
  for (unsigned i = 0; i < f.n; i++) v[i] = (float)f.v[i];
  struct ir_data d = { .kind = IR_DATA_BYTES, .p = (unsigned char *)v, .bytes = 4 * (uint64_t)f.n };
  return onnx_out(c, ir_const_bytes(c->b, ir_type_ints(c->m, IR_f32, 1, (int64_t[]){ f.n }), &d, c->node->output[0]));
}
bool import_constant(struct onnx_ctx *c)
{
  const struct onnx_tensor *t;
  struct onnx_ints is;
  double f;
  int64_t i;
  TRY(onnx_operands(c, 0, 0));
  if (!c->n_out) return true;
  TRY(onnx_attr_tensor(c, "value", &t));
  if (t) return onnx_out(c, onnx_tensor_value(c->im, t, c->node->output[0]));
  if (onnx_attr(c, "value_float")) return onnx_attr_float(c, "value_float", 0, &f) && onnx_out(c, onnx_const(c, IR_f32, f));
  if (onnx_attr(c, "value_int")) return onnx_attr_int(c, "value_int", 0, &i) && onnx_out(c, ir_const_ints(c->b, IR_i64, 0, NULL, &i));
  if (onnx_attr(c, "value_floats")) return constant_floats(c);
  if (onnx_attr(c, "value_ints")) return onnx_attr_ints(c, "value_ints", &is) && onnx_spend(c->im, 8 * (uint64_t)is.n) && onnx_out(c, ir_const_ints(c->b, IR_i64, 1, (int64_t[]){ is.n }, is.v));
  if (onnx_attr(c, "value_string") || onnx_attr(c, "value_strings")) return onnx_bad(c, IR_M0301, "string constants are not supported");
  if (onnx_attr(c, "sparse_value")) return onnx_bad(c, IR_M0301, "sparse constants are not supported");
  return onnx_bad(c, IR_M0302, "attribute value is missing");
}
bool import_constant_of_shape(struct onnx_ctx *c)
{
  const struct onnx_tensor *t;
  struct onnx_ixs s;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_tensor(c, "value", &t) && onnx_ixs(c, "shape", 0, &s));
  if (s.n > IR_MAX_RANK) return onnx_bad(c, IR_M0201, "rank %u; at most %d is supported", s.n, IR_MAX_RANK);
  for (unsigned i = 0; i < s.n; i++) {
    int64_t k;
    if (ir_ix_const(s.v[i], &k) && k < 0) return onnx_bad(c, IR_M0201, "the shape holds %lld", (long long)k);
  }
  if (t && t->elems != 1) return onnx_bad(c, IR_M0302, "value has %lld elements, expected one", (long long)t->elems);
  struct ir_value *v = t ? ir_reshape(c->b, onnx_tensor_value(c->im, t, NULL), 0, NULL) : onnx_const(c, IR_f32, 0);
  return onnx_out(c, ir_broadcast(c->b, v, s.n, s.v));
}

/* ---- grids ---- */
/* start + delta * i in the operands' type; sizes must be known, or expressions of dims. */
/* Of floats that are computed: the count is, too. */
static bool range_of_data(struct onnx_ctx *c)
{
  enum ir_elem e = c->in[0]->type->elem;
  struct ir_value *x[3], *i;
  for (unsigned k = 0; k < 3; k++) x[k] = ir_cast(c->b, c->in[k], IR_f64);
  struct ir_value *n = onnx_1(c, IR_OP_ceil, onnx_2(c, IR_OP_div, onnx_2(c, IR_OP_sub, x[1], x[0]), x[2]));
  const struct ir_ix *const *size, *at = ir_ix_coord(c->m->ixs, 0);
  n = ir_cast(c->b, onnx_2(c, IR_OP_max, n, onnx_const(c, IR_f64, 0)), IR_i64);
  if (!onnx_bind(c, n, 0, INT32_MAX, NULL, &size)) return false;
  i = ir_cast(c->b, onnx_index(c, IR_i64, 1, size, &at, 1), IR_f64);
  return onnx_out(c, ir_cast(c->b, onnx_2(c, IR_OP_add, onnx_2(c, IR_OP_mul, i, x[2]), x[0]), e));
}
static bool range_floats(struct onnx_ctx *c)
{
  double v[3];
  for (unsigned i = 0; i < 3; i++)
    if (!ir_value_is_splat(c->in[i], &v[i])) return range_of_data(c);
  double n = ceil((v[1] - v[0]) / v[2]);
  if (!(n < 1 << 30)) return onnx_bad(c, IR_M0201, "the range has %g elements", n);
  const struct ir_ix *dim = onnx_k(c, n > 0 ? (int64_t)n : 0), *e = ir_ix_coord(c->m->ixs, 0);
  struct ir_value *i = ir_cast(c->b, onnx_index(c, IR_i64, 1, &dim, &e, 1), c->in[0]->type->elem);
  return onnx_out(c, onnx_2(c, IR_OP_add, onnx_2(c, IR_OP_mul, i, onnx_like(c, c->in[0], v[2])), onnx_like(c, c->in[0], v[0])));
}
/* A float that is an integer known as an expression: a whole constant, or a dim that was cast (exact below 2^24, and what counts so is no larger). */
static struct ir_value *whole(struct onnx_ctx *c, struct ir_value *v)
{
  double k;
  while (v->def && v->def->op == IR_OP_cast && onnx_is_float(v->def->in[0])) v = v->def->in[0];
  if (ir_value_is_splat(v, &k)) return k == floor(k) && fabs(k) < 1 << 24 ? onnx_const(c, IR_i64, k) : NULL;
  if (!v->def || v->def->op != IR_OP_cast) return NULL;
  v = v->def->in[0];
  return v->form && v->form_n == 1 ? ir_cast(c->b, ir_reshape(c->b, v, 0, NULL), IR_i64) : NULL;
}
bool import_range(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 3, 3));
  if (onnx_is_float(c->in[0])) {
    struct ir_value *v[3];
    enum ir_elem e = c->in[0]->type->elem;
    unsigned n = 0;
    while (n < 3 && (v[n] = whole(c, c->in[n]))) n++;
    double k;
    if (n == 3 && !(ir_value_is_splat(v[0], &k) && ir_value_is_splat(v[1], &k))) {
      memcpy(c->in, v, sizeof v);
      return import_range(c) && onnx_out(c, ir_cast(c->b, c->out[0], e));
    }
  }
  for (unsigned i = 0; i < 3; i++) {
    if (c->in[i]->type->rank > 1) return onnx_bad(c, IR_M0201, "operand %u is %s, expected a scalar", i, onnx_show(c, c->in[i]));
    c->in[i] = ir_reshape(c->b, c->in[i], 0, NULL);
    if (!c->in[i]) return false;
  }
  if (onnx_is_float(c->in[0])) return range_floats(c);
  struct onnx_ixs v[3];
  int64_t step = 0;
  for (int i = 0; i < 3; i++) TRY(onnx_ixs(c, "range", i, &v[i]));
  const struct ir_ix *by = v[2].v[0], *one = onnx_k(c, 1), *span = ir_ix_sub(v[1].v[0], v[0].v[0]);
  bool known = ir_ix_const(by, &step);
  if (known && (!step || step == INT64_MIN)) return onnx_bad(c, IR_M0302, "delta is %lld", (long long)step);
  const struct ir_ix *up = known ? onnx_k(c, step > 0) : ir_ix_ge0(ir_ix_addi(by, -1)), *size = ir_ix_select(up, by, ir_ix_neg(by));
  if (!known) TRY(ir_require_ge0(c->m, ir_ix_addi(size, -1), "delta of Range is not 0"));
  const struct ir_ix *n = ir_ix_cdiv(ir_ix_select(up, span, ir_ix_neg(span)), known ? size : ir_ix_max(size, one));
  n = ir_ix_simplify(&c->m->facts, ir_ix_max(n, onnx_k(c, 0)));
  const struct ir_ix *e = ir_ix_add(v[0].v[0], ir_ix_mul(ir_ix_coord(c->m->ixs, 0), by));
  return onnx_out(c, onnx_index(c, c->in[0]->type->elem, 1, &n, &e, 1));
}
/* Hann, Hamming, Blackman: a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n), n the size, or one less when it is not periodic. */
bool import_cosine_window(struct onnx_ctx *c)
{
  static const double a[3][3] = { { 0.5, 0.5, 0 }, { 25.0 / 46, 21.0 / 46, 0 }, { 0.42, 0.5, 0.08 } };
  const double *k = a[c->row->arg];
  bool periodic;
  int64_t to;
  enum ir_elem elem;
  const struct ir_ix *n, *i = ir_ix_coord(c->m->ixs, 0);
  TRY(onnx_operands(c, 1, 1) && onnx_attr_flag(c, "periodic", true, &periodic) && onnx_attr_int(c, "output_datatype", 1, &to) && onnx_to_elem(c, to, &elem));
  if (!onnx_number(c, 0, &n)) return onnx_bad(c, IR_M0303, "the size is computed at run time");
  const struct ir_ix *last = periodic ? n : ir_ix_addi(n, -1);
  struct ir_value *places = ir_cast(c->b, onnx_index(c, IR_i64, 1, &n, &i, 1), IR_f64), *count = ir_cast(c->b, onnx_index(c, IR_i64, 0, NULL, &last, 1), IR_f64);
  struct ir_value *t = onnx_2(c, IR_OP_div, onnx_2(c, IR_OP_mul, places, onnx_const(c, IR_f64, 2 * 3.14159265358979323846)), count);
  struct ir_value *w = onnx_2(c, IR_OP_sub, onnx_const(c, IR_f64, k[0]), onnx_2(c, IR_OP_mul, onnx_1(c, IR_OP_cos, t), onnx_const(c, IR_f64, k[1])));
  if (k[2] != 0) w = onnx_2(c, IR_OP_add, w, onnx_2(c, IR_OP_mul, onnx_1(c, IR_OP_cos, onnx_2(c, IR_OP_mul, t, onnx_const(c, IR_f64, 2))), onnx_const(c, IR_f64, k[2])));
  return w && onnx_out(c, ir_cast(c->b, w, elem));
}
bool import_eye_like(struct onnx_ctx *c)
{
  int64_t k, to;
  enum ir_elem e;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_int(c, "k", 0, &k) && onnx_attr_int(c, "dtype", -1, &to));
  e = c->in[0]->type->elem;
  if (to >= 0) TRY(onnx_to_elem(c, to, &e));
  if (c->in[0]->type->rank != 2) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 2", onnx_show(c, c->in[0]));
  if (k > INT32_MAX || k < -INT32_MAX) return onnx_bad(c, IR_M0302, "k is %lld", (long long)k);
  const struct ir_ix *at = ir_ix_addi(ir_ix_sub(ir_ix_coord(c->m->ixs, 1), ir_ix_coord(c->m->ixs, 0)), -k), *eq = ir_ix_eq0(at);
  return onnx_out(c, ir_cast(c->b, onnx_index(c, IR_bool, 2, c->in[0]->type->dim, &eq, 1), e));
}
bool import_trilu(struct onnx_ctx *c)
{
  struct onnx_ixs k;
  bool upper;
  TRY(onnx_operands(c, 1, 2) && onnx_attr_flag(c, "upper", true, &upper) && onnx_ixs(c, NULL, 1, &k));
  struct ir_value *x = c->in[0];
  unsigned r = x->type->rank;
  if (r < 2) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 2 or more", onnx_show(c, x));
  if (k.present && k.n != 1) return onnx_bad(c, IR_M0201, "k has %u elements", k.n);
  int64_t kk;
  const struct ir_ix *kv = k.present ? k.v[0] : onnx_k(c, 0);
  if (ir_ix_const(kv, &kk)) kv = onnx_k(c, kk > INT32_MAX ? INT32_MAX : kk < -INT32_MAX ? -INT32_MAX : kk);
  const struct ir_ix *diag = ir_ix_sub(ir_ix_sub(ir_ix_coord(c->m->ixs, 1), ir_ix_coord(c->m->ixs, 0)), kv), *keep = ir_ix_ge0(upper ? diag : ir_ix_neg(diag));
  struct ir_value *mask = onnx_index(c, IR_bool, 2, x->type->dim + r - 2, &keep, 1);
  return onnx_out(c, onnx_select(c, mask, x, onnx_like(c, x, 0)));
}
/* depth known; negative indices count from depth. */
bool import_one_hot(struct onnx_ctx *c)
{
  unsigned axis;
  struct onnx_ixs depth;
  TRY(onnx_operands(c, 3, 3) && onnx_attr_axis(c, "axis", -1, c->in[0]->type->rank + 1, &axis));
  if (onnx_is_float(c->in[1])) {
    double d;
    const struct ir_ix *e;
    if (ir_value_is_splat(c->in[1], &d)) c->in[1] = onnx_const(c, IR_i64, d);
    else if (onnx_number(c, 1, &e)) c->in[1] = onnx_index(c, IR_i64, 0, NULL, &e, 1);
    else return onnx_bad(c, IR_M0303, "depth is only known at run time");
  }
  TRY(onnx_ixs(c, "depth", 1, &depth));
  int64_t two;
  if (depth.n != 1 || c->in[2]->type->rank != 1 || (ir_ix_const(c->in[2]->type->dim[0], &two) && two != 2) || c->in[0]->type->rank >= IR_MAX_RANK) return onnx_bad(c, IR_M0201, "depth is not one number, or values (%s) not two", onnx_show(c, c->in[2]));
  struct ir_value *i = ir_cast(c->b, c->in[0], IR_i64);
  unsigned r = c->in[0]->type->rank + 1;
  const struct ir_ix *dim[IR_MAX_RANK], *e = ir_ix_coord(c->m->ixs, 0);
  for (unsigned d = 0; d < r; d++) dim[d] = d == axis ? onnx_k(c, 1) : c->in[0]->type->dim[d - (d > axis)];
  struct ir_value *n = onnx_index(c, IR_i64, 0, NULL, depth.v, 1), *grid = onnx_along(c, onnx_index(c, IR_i64, 1, depth.v, &e, 1), axis, r);
  i = ir_reshape(c->b, i, r, dim);
  i = onnx_select(c, onnx_2(c, IR_OP_lt, i, onnx_const(c, IR_i64, 0)), onnx_2(c, IR_OP_add, i, n), i);
  struct ir_value *off = ir_reshape(c->b, onnx_gather(c, c->in[2], onnx_const(c, IR_i64, 0), 0), 0, NULL), *on = ir_reshape(c->b, onnx_gather(c, c->in[2], onnx_const(c, IR_i64, 1), 0), 0, NULL);
  return onnx_out(c, onnx_select(c, onnx_2(c, IR_OP_eq, i, grid), on, off));
}
