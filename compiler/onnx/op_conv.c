/* Convolutions and pooling: everything that slides over spatial axes (all behind the first two). */
#include "compiler/onnx/rows.h"
#include <math.h>
#include <string.h>

/* The attributes that all of them share, completed to lists of spatial rank. pads hold begins, then ends. */
enum auto_pad { NOTSET, VALID, SAME_UPPER, SAME_LOWER };
struct sliding {
  unsigned s;                        /* spatial rank */
  enum auto_pad auto_pad;
  bool ceil;
  int64_t kernel[IR_MAX_RANK], strides[IR_MAX_RANK], dilations[IR_MAX_RANK], pads[2 * IR_MAX_RANK];
};
static bool list(struct onnx_ctx *c, const char *name, unsigned n, int64_t dflt, int64_t min, int64_t *out)
{
  struct onnx_ints a;
  TRY(onnx_attr_ints(c, name, &a));
  if (a.present && a.n != n) return onnx_bad(c, IR_M0302, "%s has %u entries, %u are needed", name, a.n, n);
  for (unsigned i = 0; i < n; i++) {
    out[i] = a.present ? a.v[i] : dflt;
    if (out[i] < min || out[i] > INT32_MAX) return onnx_bad(c, IR_M0302, "%s holds %lld", name, (long long)out[i]);
  }
  return true;
}
/* kernel: as the weight says (Conv), or NULL: attribute kernel_shape. */
static bool sliding(struct onnx_ctx *c, const int64_t *kernel, struct sliding *w)
{
  static const char *const names[] = { "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER" };
  struct ir_value *x = c->in[0];
  const char *ap;
  if (x->type->rank < 3) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 3 or more", onnx_show(c, x));
  *w = (struct sliding){ .s = x->type->rank - 2 };
  if (!kernel && !onnx_attr(c, "kernel_shape")) return onnx_bad(c, IR_M0302, "attribute kernel_shape is missing");
  TRY(list(c, "kernel_shape", w->s, 1, 1, w->kernel) && list(c, "strides", w->s, 1, 1, w->strides) && list(c, "dilations", w->s, 1, 1, w->dilations));
  TRY(list(c, "pads", 2 * w->s, 0, -INT32_MAX, w->pads) && onnx_attr_str(c, "auto_pad", "NOTSET", &ap) && onnx_attr_flag(c, "ceil_mode", false, &w->ceil));
  for (unsigned i = 0; kernel && i < w->s; i++) {
    if (onnx_attr(c, "kernel_shape") && w->kernel[i] != kernel[i])
      return onnx_bad(c, IR_M0302, "kernel_shape says %lld on axis %u, the weight %lld", (long long)w->kernel[i], i, (long long)kernel[i]);
    w->kernel[i] = kernel[i];
  }
  unsigned k = 0;
  while (k < 4 && strcmp(ap, names[k])) k++;
  if (k == 4) return onnx_bad(c, IR_M0302, "auto_pad is \"%s\"", ap);
  w->auto_pad = (enum auto_pad)k;
  if (k) memset(w->pads, 0, sizeof w->pads);
  return true;
}
static int64_t span(const struct sliding *w, unsigned i) { return (w->kernel[i] - 1) * w->dilations[i] + 1; }
/* auto_pad SAME: as much padding as ceil(n / stride) places need; the odd one at the end (UPPER) or the beginning. Where the amount depends on a dim that is
 * not known, x is padded by an op of its own with `value`. */
static bool same_pads(struct onnx_ctx *c, struct sliding *w, struct ir_value **x, double value)
{
  const struct ir_ix *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
  const struct ir_type *t = (*x)->type;
  if (w->auto_pad < SAME_UPPER) return true;
  for (unsigned d = 0; d < t->rank; d++) lo[d] = hi[d] = onnx_k(c, 0);
  for (unsigned i = 0; i < w->s; i++) {
    const struct ir_ix *n = t->dim[i + 2], *last = ir_ix_muli(ir_ix_addi(ir_ix_cdivi(n, w->strides[i]), -1), w->strides[i]);
    const struct ir_ix *total = ir_ix_simplify(&c->m->facts, ir_ix_max(ir_ix_sub(ir_ix_addi(last, span(w, i)), n), onnx_k(c, 0)));
    const struct ir_ix *half = ir_ix_divi(total, 2), *more = ir_ix_sub(total, half);
    int64_t a, b;
    bool upper = w->auto_pad == SAME_UPPER;
    if (ir_ix_const(half, &a) && ir_ix_const(more, &b)) {
      w->pads[i] = upper ? a : b;
      w->pads[i + w->s] = upper ? b : a;
    } else {
      lo[i + 2] = upper ? half : more;
      hi[i + 2] = upper ? more : half;
    }
  }
  *x = onnx_pad(c, *x, onnx_like(c, *x, value), lo, hi);
  return *x != NULL;
}

/* ---- Conv ---- */
static bool static_spatial(struct onnx_ctx *c, const struct ir_value *w, int64_t *kernel)
{
  for (unsigned d = 2; d < w->type->rank; d++)
    if (!ir_ix_const(w->type->dim[d], &kernel[d - 2])) return onnx_bad(c, IR_M0303, "the weight's kernel (%s) must be known when massc compiles", onnx_show(c, w));
  return true;
}
static struct ir_value *add_bias(struct onnx_ctx *c, struct ir_value *v, struct ir_value *bias)
{
  if (!v || !bias) return v;
  if (bias->type->rank != 1) { onnx_bad(c, IR_M0201, "bias is %s, expected rank 1", onnx_show(c, bias)); return NULL; }
  return onnx_2(c, IR_OP_add, v, onnx_along(c, bias, 1, v->type->rank));
}
static struct ir_value *conv(struct onnx_ctx *c, const struct sliding *w, struct ir_value *x, struct ir_value *weight, const int64_t *in_dilations, int64_t groups)
{
  struct ir_value *in[] = { x, weight };
  struct ir_attr a[] = { ir_attr_ints(c->m, "strides", w->strides, w->s), ir_attr_ints(c->m, "pads", w->pads, 2 * w->s), ir_attr_ints(c->m, "dilations", w->dilations, w->s),
                         ir_attr_int("groups", groups), { 0 } };
  if (in_dilations) a[4] = ir_attr_ints(c->m, "in_dilations", in_dilations, w->s);
  return onnx_node(c, IR_OP_conv, in, 2, a, in_dilations ? 5 : 4);
}
static bool conv_operands(struct onnx_ctx *c, int64_t *groups, struct sliding *w)
{
  int64_t kernel[IR_MAX_RANK];
  TRY(onnx_operands(c, 2, 3) && onnx_attr_int(c, "group", 1, groups));
  if (c->in[0]->type->rank != c->in[1]->type->rank)
    return onnx_bad(c, IR_M0201, "operand is %s, the weight %s: the ranks must be equal", onnx_show(c, c->in[0]), onnx_show(c, c->in[1]));
  if (*groups < 1 || *groups > INT32_MAX) return onnx_bad(c, IR_M0302, "group is %lld", (long long)*groups);
  return static_spatial(c, c->in[1], kernel) && sliding(c, kernel, w);
}
bool import_conv(struct onnx_ctx *c)
{
  struct sliding w;
  int64_t groups;
  TRY(conv_operands(c, &groups, &w));
  struct ir_value *x = c->in[0];
  TRY(same_pads(c, &w, &x, 0));
  return onnx_out(c, add_bias(c, conv(c, &w, x, c->in[1], NULL, groups), onnx_in(c, 2)));
}

/* ---- ConvTranspose: a convolution of the operand with zeros between its elements, by the weight mirrored and with its channels swapped ---- */
/* w [c, m/g, k..] -> [m, c/g, k..], mirrored in space */
static struct ir_value *mirrored(struct onnx_ctx *c, struct ir_value *w, int64_t groups)
{
  const struct ir_ix *dim[IR_MAX_RANK + 1], *start[IR_MAX_RANK];
  int64_t step[IR_MAX_RANK], perm[IR_MAX_RANK + 1], channels;
  unsigned r = w->type->rank;
  if (!ir_ix_const(w->type->dim[0], &channels) || channels % groups || r >= IR_MAX_RANK) {
    onnx_bad(c, IR_M0302, "%lld groups do not divide the weight's channels, %s", (long long)groups, onnx_show(c, w));
    return NULL;
  }
  for (unsigned d = 0; d < r; d++) {
    bool flip = d >= 2 && !ir_ix_is(w->type->dim[d], 1);
    start[d] = flip ? ir_ix_addi(w->type->dim[d], -1) : onnx_k(c, 0);
    step[d] = flip ? -1 : 1;
  }
  w = onnx_slice(c, w, start, step, w->type->dim);
  if (!w) return NULL;
  dim[0] = onnx_k(c, groups);
  dim[1] = onnx_k(c, channels / groups);
  for (unsigned d = 1; d < r; d++) dim[d + 1] = w->type->dim[d];
  for (unsigned d = 0; d <= r; d++) perm[d] = d == 1 ? 2 : d == 2 ? 1 : d;
  struct ir_value *v = ir_transpose(c->b, ir_reshape(c->b, w, r + 1, dim), perm);
  if (!v) return NULL;
  dim[1] = ir_ix_muli(v->type->dim[1], groups);
  for (unsigned d = 2; d <= r; d++) dim[d] = v->type->dim[d];
  return ir_reshape(c->b, v, r, dim + 1);
}
/* ONNX: total = stride*(in-1) + output_padding + span - output_shape, shared between the ends; explicit pads otherwise. */
static bool transpose_pads(struct onnx_ctx *c, struct sliding *w, const int64_t *more)
{
  struct onnx_ints shape;
  TRY(onnx_attr_ints(c, "output_shape", &shape));
  if (!shape.present && w->auto_pad < SAME_UPPER) return true;
  unsigned skip = shape.n == w->s + 2 ? 2 : 0;       /* some exporters give the whole shape */
  if (shape.present && shape.n != w->s + skip) return onnx_bad(c, IR_M0302, "output_shape has %u entries, %u are needed", shape.n, w->s);
  for (unsigned i = 0; i < w->s; i++) {
    const struct ir_ix *n = c->in[0]->type->dim[i + 2], *want = shape.present ? onnx_k(c, shape.v[i + skip]) : ir_ix_muli(n, w->strides[i]);
    const struct ir_ix *total = ir_ix_sub(ir_ix_addi(ir_ix_muli(ir_ix_addi(n, -1), w->strides[i]), more[i] + span(w, i)), want);
    int64_t t;
    if (!ir_ix_const(total, &t)) return onnx_bad(c, IR_M0303, "axis %u of %s must be known when massc compiles, for output_shape or auto_pad", i + 2, onnx_show(c, c->in[0]));
    if (t < -INT32_MAX || t > INT32_MAX) return onnx_bad(c, IR_M0302, "output_shape does not fit the operand");
    int64_t shared = t > 0 ? t : 0, half = shared / 2;                /* what is missing (t < 0) is added at the end, as ONNX Runtime does */
    w->pads[i] = w->auto_pad == SAME_UPPER ? half : shared - half;
    w->pads[i + w->s] = t - w->pads[i];
  }
  return true;
}
enum { FEW = 16 };
/* Windows that lie side by side (upsampling by learned weights: segmentation, text detection) do not overlap, so every element is a sum over channels alone. */
static bool side_by_side(const struct sliding *w, const int64_t *more, int64_t groups)
{
  bool ok = groups == 1 && 2 + 2 * w->s <= IR_MAX_RANK;
  for (unsigned i = 0; i < w->s; i++) ok &= w->kernel[i] == w->strides[i] && w->dilations[i] == 1 && !w->pads[i] && !w->pads[i + w->s] && !more[i];
  return ok;
}
/* x [n,c,a,b..], w [c,m,A,B..] -> [n,m,a,A,b,B..], and then each a with its A, each b with its B */
static struct ir_value *spread_out(struct onnx_ctx *c, const struct sliding *w)
{
  struct ir_value *x = c->in[0];
  const struct ir_ix *dim[IR_MAX_RANK];
  struct ir_buf spec = { 0 };
  ir_buf_printf(&spec, "nc");
  for (unsigned i = 0; i < w->s; i++) ir_buf_printf(&spec, "%c", 'o' + (int)i);
  ir_buf_printf(&spec, ",cm");
  for (unsigned i = 0; i < w->s; i++) ir_buf_printf(&spec, "%c", 'd' + (int)i);
  ir_buf_printf(&spec, "->nm");
  for (unsigned i = 0; i < w->s; i++) ir_buf_printf(&spec, "%c%c", 'o' + (int)i, 'd' + (int)i);
  struct ir_value *v = onnx_dot(c, x, c->in[1], ir_arena_strdup(c->m->arena, spec.s));
  ir_buf_deinit(&spec);
  if (!v) return NULL;
  dim[0] = v->type->dim[0];
  dim[1] = v->type->dim[1];
  for (unsigned i = 0; i < w->s; i++) dim[i + 2] = ir_ix_muli(x->type->dim[i + 2], w->kernel[i]);
  return ir_reshape(c->b, v, w->s + 2, dim);
}
/* The same for a few channels, which alone would leave most lanes of a vector idle: x [n,c,a,b..] by [m*A*B..,c,1,1..], whose channels are then spread. */
static struct ir_value *spread_channels(struct onnx_ctx *c, const struct sliding *w)
{
  const struct ir_type *wt = c->in[1]->type, *xt = c->in[0]->type;
  struct sliding one = { .s = w->s };
  const struct ir_ix *dim[IR_MAX_RANK], *all = wt->dim[1];
  int64_t swap[IR_MAX_RANK], perm[IR_MAX_RANK] = { 0, 1 };
  for (unsigned d = 0; d < wt->rank; d++) swap[d] = d + 1 < wt->rank ? d + 1 : 0;
  for (unsigned i = 0; i < w->s; i++) {
    one.kernel[i] = one.strides[i] = one.dilations[i] = 1;
    all = ir_ix_muli(all, w->kernel[i]);
    dim[i + 2] = onnx_k(c, 1);
    perm[2 + 2 * i] = 2 + w->s + i;
    perm[3 + 2 * i] = 2 + i;
  }
  dim[0] = all;
  dim[1] = wt->dim[0];
  struct ir_value *v = conv(c, &one, c->in[0], ir_reshape(c->b, ir_transpose(c->b, c->in[1], swap), wt->rank, dim), NULL, 1);
  if (!v) return NULL;
  dim[0] = xt->dim[0];
  dim[1] = wt->dim[1];
  for (unsigned i = 0; i < w->s; i++) {
    dim[2 + i] = wt->dim[2 + i];
    dim[2 + w->s + i] = xt->dim[2 + i];
  }
  v = ir_transpose(c->b, ir_reshape(c->b, v, 2 + 2 * w->s, dim), perm);
  for (unsigned i = 0; i < w->s; i++) dim[i + 2] = ir_ix_muli(xt->dim[i + 2], w->kernel[i]);
  return ir_reshape(c->b, v, w->s + 2, dim);
}
bool import_conv_transpose(struct onnx_ctx *c)
{
  struct sliding w;
  int64_t groups, more[IR_MAX_RANK], strides[IR_MAX_RANK];
  TRY(conv_operands(c, &groups, &w) && list(c, "output_padding", w.s, 0, 0, more) && transpose_pads(c, &w, more));
  if (side_by_side(&w, more, groups)) {
    int64_t channels;
    bool few = ir_ix_const(c->in[1]->type->dim[1], &channels) && channels < FEW;
    return onnx_out(c, add_bias(c, few ? spread_channels(c, &w) : spread_out(c, &w), onnx_in(c, 2)));
  }
  for (unsigned i = 0; i < w.s; i++) {
    w.pads[i] = span(&w, i) - 1 - w.pads[i];
    w.pads[i + w.s] = span(&w, i) - 1 - w.pads[i + w.s] + more[i];
    strides[i] = w.strides[i];
    w.strides[i] = 1;
  }
  struct ir_value *weight = mirrored(c, c->in[1], groups);
  return weight && onnx_out(c, add_bias(c, conv(c, &w, c->in[0], weight, strides, groups), onnx_in(c, 2)));
}

/* ---- pooling ---- */
/* Places of the window: floor, or ceil without those that would start in the end's padding. */
static const struct ir_ix *places(struct onnx_ctx *c, const struct sliding *w, unsigned i, const struct ir_ix *n)
{
  if (w->auto_pad >= SAME_UPPER) return ir_ix_cdivi(n, w->strides[i]);
  int64_t s = w->strides[i];
  const struct ir_ix *room = ir_ix_addi(n, w->pads[i] + w->pads[i + w->s] - span(w, i));
  if (!w->ceil || w->auto_pad == VALID) return ir_ix_addi(ir_ix_divi(room, s), 1);
  const struct ir_ix *p = ir_ix_addi(ir_ix_cdivi(room, s), 1), *start = ir_ix_muli(ir_ix_addi(p, -1), s);
  return ir_ix_simplify(&c->m->facts, ir_ix_sub(p, ir_ix_ge0(ir_ix_sub(start, ir_ix_addi(n, w->pads[i])))));
}
static bool fits(struct onnx_ctx *c, const struct sliding *w, const struct ir_ix *const *dims)
{
  for (unsigned i = 0; i < w->s; i++) {
    enum ir_proof p = ir_prove_ge0(&c->m->facts, ir_ix_addi(dims[i], -1));
    if (p == IR_NO) return onnx_bad(c, IR_M0201, "the window (%lld on axis %u) is larger than the padded operand, %s", (long long)span(w, i), i + 2, onnx_show(c, c->in[0]));
    if (p == IR_UNKNOWN) TRY(ir_require_ge0(c->m, ir_ix_addi(dims[i], -1), "a pooling window fits into its operand"));
  }
  return true;
}
static struct ir_value *window(struct onnx_ctx *c, const struct sliding *w, const char *op, struct ir_value *x, const int64_t *pads, const struct ir_ix *const *dims)
{
  struct ir_attr a[] = { ir_attr_str("op", op), ir_attr_ints(c->m, "kernel", w->kernel, w->s), ir_attr_ints(c->m, "strides", w->strides, w->s), ir_attr_ints(c->m, "pads", pads, 2 * w->s),
                         ir_attr_ints(c->m, "dilations", w->dilations, w->s), ir_attr_ixs(c->m, "dims", dims, w->s) };
  return onnx_node(c, IR_OP_window, &x, 1, a, 6);
}
/* ONNX Runtime divides towards zero: a window that is larger than the operand by less than the stride has one place (direction classifiers of PP-OCR pool one line by
 * windows of two). */
static bool least_one_place(struct onnx_ctx *c, const struct sliding *w, const struct ir_ix **dims)
{
  for (unsigned i = 0; i < w->s && w->auto_pad == NOTSET && !w->ceil; i++) {
    const struct ir_ix *room = ir_ix_addi(c->in[0]->type->dim[i + 2], w->pads[i] + w->pads[i + w->s] - span(w, i)), *most = ir_ix_addi(room, w->strides[i] - 1);
    enum ir_proof p = ir_prove_ge0(&c->m->facts, most);
    if (ir_known_ge0(&c->m->facts, room) || p == IR_NO) continue;
    if (p == IR_UNKNOWN) TRY(ir_require_ge0(c->m, most, "a pooling window fits into its operand"));
    dims[i] = ir_ix_simplify(&c->m->facts, ir_ix_max(dims[i], onnx_k(c, 1)));
  }
  return true;
}
struct pool { struct sliding w; struct ir_value *x; const struct ir_ix *dims[IR_MAX_RANK]; };
static bool pool(struct onnx_ctx *c, double outside, struct pool *p)
{
  TRY(onnx_operands(c, 1, 1) && sliding(c, NULL, &p->w));
  p->x = c->in[0];
  for (unsigned i = 0; i < p->w.s; i++) p->dims[i] = places(c, &p->w, i, p->x->type->dim[i + 2]);
  if (isinf(outside)) TRY(least_one_place(c, &p->w, p->dims));
  return fits(c, &p->w, p->dims) && same_pads(c, &p->w, &p->x, outside);
}
/* ---- places of maxima: the taps of a window one after the other, the first of equal ones stays ---- */
enum { MAX_TAPS = 1024 };
/* Element number in x (row-major; column: the spatial axes the other way round) of the tap `at` of each window. */
static struct ir_value *tap_number(struct onnx_ctx *c, const struct sliding *w, const struct ir_type *x, const struct ir_ix *const *dim, const int64_t *at, bool column)
{
  struct ir_ixs *t = c->m->ixs;
  const struct ir_ix *e = ir_ix_add(ir_ix_mul(ir_ix_coord(t, 0), x->dim[1]), ir_ix_coord(t, 1));
  for (unsigned i = 0; i < w->s; i++) e = ir_ix_mul(e, x->dim[i + 2]);
  for (unsigned i = 0; i < w->s; i++) {
    const struct ir_ix *place = ir_ix_addi(ir_ix_muli(ir_ix_coord(t, i + 2), w->strides[i]), at[i] * w->dilations[i] - w->pads[i]);
    e = ir_ix_add(e, ir_ix_mul(place, column ? onnx_product(c, x, 2, i + 2) : onnx_product(c, x, i + 3, x->rank)));
  }
  return onnx_index(c, IR_i64, x->rank, dim, &e, 1);
}
static bool max_places(struct onnx_ctx *c, const struct sliding *w, const struct ir_ix *const *dims, double low)
{
  struct ir_value *x = c->in[0], *best = NULL, *which = NULL;
  const struct ir_ix *lo[IR_MAX_RANK], *hi[IR_MAX_RANK], *start[IR_MAX_RANK], *dim[IR_MAX_RANK];
  int64_t step[IR_MAX_RANK], at[IR_MAX_RANK] = { 0 }, order, taps = 1;
  TRY(onnx_attr_int(c, "storage_order", 0, &order));
  for (unsigned d = 0; d < x->type->rank; d++) {
    unsigned i = d - 2;
    step[d] = d < 2 ? 1 : w->strides[i];
    dim[d] = d < 2 ? x->type->dim[d] : dims[i];
    lo[d] = hi[d] = onnx_k(c, 0);
    if (d < 2) continue;
    const struct ir_ix *need = ir_ix_addi(ir_ix_muli(ir_ix_addi(dims[i], -1), w->strides[i]), span(w, i) - w->pads[i]);
    lo[d] = onnx_k(c, w->pads[i]);
    hi[d] = ir_ix_simplify(&c->m->facts, ir_ix_max(ir_ix_sub(need, x->type->dim[d]), onnx_k(c, 0)));
    if (!ir_mul64(taps, w->kernel[i], &taps) || taps > MAX_TAPS) return onnx_bad(c, IR_M0301, "indices of maxima in windows of more than %d places are not supported", MAX_TAPS);
  }
  struct ir_value *padded = onnx_pad(c, x, onnx_like(c, x, low), lo, hi);
  for (int64_t t = 0; t < taps && padded; t++) {
    for (unsigned d = 0; d < x->type->rank; d++) start[d] = onnx_k(c, d < 2 ? 0 : at[d - 2] * w->dilations[d - 2]);
    struct ir_value *v = onnx_slice(c, padded, start, step, dim), *n = tap_number(c, w, x->type, dim, at, order == 1), *more = best ? onnx_2(c, IR_OP_lt, best, v) : NULL;
    which = best ? onnx_select(c, more, n, which) : n;
    best = best ? onnx_select(c, more, v, best) : v;
    for (unsigned i = w->s; i-- > 0;) {
      if (++at[i] < w->kernel[i]) break;
      at[i] = 0;
    }
  }
  c->out[1] = which;
  return which != NULL;
}
/* The size that MaxUnpool gives back; each of its places asks the windows over it whether their maximum lay here. */
bool import_max_unpool(struct onnx_ctx *c)
{
  struct sliding w;
  struct onnx_ixs shape;
  TRY(onnx_operands(c, 2, 3) && sliding(c, NULL, &w) && onnx_ixs(c, "output_shape", 2, &shape));
  struct ir_value *x = c->in[0], *sum = NULL;
  unsigned rank = x->type->rank;
  const struct ir_ix *dim[IR_MAX_RANK], *map[IR_MAX_RANK], *here = onnx_k(c, 0), *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
  int64_t reach[IR_MAX_RANK], at[IR_MAX_RANK] = { 0 }, taps = 1;
  if (c->in[1]->type->rank != rank || c->in[1]->type->elem != IR_i64 || (shape.present && shape.n != rank)) return onnx_bad(c, IR_M0201, "operand is %s, the indices %s", onnx_show(c, x), onnx_show(c, c->in[1]));
  for (unsigned d = 0; d < rank; d++) {
    unsigned i = d - 2;
    dim[d] = d < 2 ? x->type->dim[d] : ir_ix_addi(ir_ix_muli(ir_ix_addi(x->type->dim[d], -1), w.strides[i]), w.kernel[i] - w.pads[i] - w.pads[i + w.s]);
    here = ir_ix_add(ir_ix_mul(here, dim[d]), ir_ix_coord(c->m->ixs, d));
    if (d < 2) continue;
    reach[i] = (w.kernel[i] + w.strides[i] - 1) / w.strides[i];
    if (!ir_mul64(taps, reach[i], &taps) || taps > MAX_TAPS) return onnx_bad(c, IR_M0301, "windows that overlap more than %d times are not supported", MAX_TAPS);
  }
  struct ir_value *number = onnx_index(c, IR_i64, rank, dim, &here, 1), *zero = onnx_like(c, x, 0);
  for (int64_t t = 0; t < taps; t++) {
    const struct ir_ix *in = onnx_k(c, 1);
    for (unsigned d = 0; d < rank; d++) {
      unsigned i = d - 2;
      const struct ir_ix *o = ir_ix_coord(c->m->ixs, d);
      map[d] = d < 2 ? o : ir_ix_addi(ir_ix_divi(ir_ix_addi(o, w.pads[i]), w.strides[i]), -at[i]);
      if (d >= 2) in = ir_ix_mul(in, ir_ix_mul(ir_ix_ge0(map[d]), ir_ix_lt(map[d], x->type->dim[d])));
    }
    struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, rank), ir_attr_ixs(c->m, "dims", dim, rank) };
    struct ir_value *hit = onnx_2(c, IR_OP_and, onnx_2(c, IR_OP_eq, onnx_node(c, IR_OP_view, &c->in[1], 1, a, 2), number), onnx_index(c, IR_bool, rank, dim, &in, 1));
    struct ir_value *v = onnx_node(c, IR_OP_view, &x, 1, a, 2);
    sum = onnx_select(c, hit, v, sum ? sum : zero);
    for (unsigned i = w.s; i-- > 0;) {
      if (++at[i] < reach[i]) break;
      at[i] = 0;
    }
  }
  for (unsigned d = 0; d < rank; d++) { lo[d] = onnx_k(c, 0); hi[d] = shape.present ? ir_ix_sub(shape.v[d], dim[d]) : lo[d]; }
  return onnx_out(c, onnx_pad(c, sum, zero, lo, hi));
}
bool import_max_pool(struct onnx_ctx *c)
{
  struct pool p;
  TRY(onnx_operands(c, 1, 1));
  struct ir_value *x = c->in[0];
  unsigned bits = ir_elem_bits(x->type->elem);
  double low = onnx_is_float(x) ? -INFINITY : ir_elem_class(x->type->elem) == 'I' ? -ldexp(1, (int)bits - 1) : 0;
  TRY(pool(c, low, &p));
  if (c->n_out > 1 && *c->node->output[1]) {
    if (p.x != x) return onnx_bad(c, IR_M0303, "the indices need the padding, and so the sizes of %s, when massc compiles", onnx_show(c, x));
    TRY(max_places(c, &p.w, p.dims, low));
  }
  return onnx_out(c, window(c, &p.w, "max", p.x, p.w.pads, p.dims));
}
/* How many elements each window holds: a constant when none reaches over an edge that does not count, else a window sum over ones. */
static struct ir_value *window_counts(struct onnx_ctx *c, const struct pool *p, bool with_pads)
{
  const struct sliding *w = &p->w;
  const struct ir_ix *dim[IR_MAX_RANK];
  int64_t all = 1, pads[2 * IR_MAX_RANK];
  bool whole = true;
  dim[0] = dim[1] = onnx_k(c, 1);
  for (unsigned i = 0; i < w->s; i++) {
    const struct ir_ix *n = c->in[0]->type->dim[i + 2];
    const struct ir_ix *end = ir_ix_addi(ir_ix_muli(ir_ix_addi(p->dims[i], -1), w->strides[i]), span(w, i) - w->pads[i]);   /* of the last window */
    if (!ir_mul64(all, w->kernel[i], &all) || all > INT32_MAX) { onnx_bad(c, IR_M0302, "the window is too large"); return NULL; }
    bool same = w->auto_pad >= SAME_UPPER;
    dim[i + 2] = with_pads ? ir_ix_addi(n, w->pads[i] + w->pads[i + w->s]) : n;
    pads[i] = with_pads ? 0 : w->pads[i];
    pads[i + w->s] = with_pads ? 0 : w->pads[i + w->s];
    if (with_pads) whole &= same || ir_known_ge0(&c->m->facts, ir_ix_sub(ir_ix_addi(n, w->pads[i + w->s]), end));
    else whole &= w->pads[i] <= 0 && p->x == c->in[0] && ir_known_ge0(&c->m->facts, ir_ix_sub(n, end));
  }
  if (whole) return onnx_like(c, p->x, (double)all);
  struct pool q = *p;
  q.x = ir_broadcast(c->b, onnx_like(c, p->x, 1), w->s + 2, dim);
  if (!q.x || (!with_pads && !same_pads(c, &q.w, &q.x, 0))) return NULL;
  return window(c, w, "sum", q.x, with_pads ? pads : w->pads, p->dims);
}
bool import_average_pool(struct onnx_ctx *c)
{
  struct pool p;
  bool with_pads;
  TRY(onnx_attr_flag(c, "count_include_pad", false, &with_pads) && pool(c, 0, &p));
  return onnx_out(c, onnx_2(c, IR_OP_div, window(c, &p.w, "sum", p.x, p.w.pads, p.dims), window_counts(c, &p, with_pads)));
}
/* (sum |x|^p)^(1/p) */
static bool norm_exponent(struct onnx_ctx *c, double *p)
{
  int64_t i;
  if (c->opset < 2) TRY(onnx_attr_float(c, "p", 2, p));
  else { TRY(onnx_attr_int(c, "p", 2, &i)); *p = (double)i; }
  return *p > 0 || onnx_bad(c, IR_M0302, "p is %g", *p);
}
static struct ir_value *power(struct onnx_ctx *c, struct ir_value *x, double p)
{
  if (!x || p == 1) return x;
  return p == 2 ? onnx_2(c, IR_OP_mul, x, x) : p == 0.5 ? onnx_1(c, IR_OP_sqrt, x) : onnx_2(c, IR_OP_pow, x, onnx_like(c, x, p));
}
static struct ir_value *power_abs(struct onnx_ctx *c, struct ir_value *x, double p) { return p == 2 ? power(c, x, 2) : power(c, onnx_1(c, IR_OP_abs, x), p); }
bool import_lp_pool(struct onnx_ctx *c)
{
  struct pool p;
  double e;
  TRY(norm_exponent(c, &e) && pool(c, 0, &p));
  return onnx_out(c, power(c, window(c, &p.w, "sum", power_abs(c, p.x, e), p.w.pads, p.dims), 1 / e));
}
/* Global*Pool: reductions over all spatial axes. */
static bool spatial_axes(struct onnx_ctx *c, int64_t *axes, unsigned *n)
{
  TRY(onnx_operands(c, 1, 1));
  if (c->in[0]->type->rank < 2) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 2 or more", onnx_show(c, c->in[0]));
  *n = c->in[0]->type->rank - 2;
  for (unsigned i = 0; i < *n; i++) axes[i] = i + 2;
  return true;
}
bool import_global_average_pool(struct onnx_ctx *c)
{
  int64_t axes[IR_MAX_RANK];
  unsigned n = 0;
  TRY(spatial_axes(c, axes, &n));
  return onnx_out(c, onnx_mean(c, c->in[0], axes, n));
}
bool import_global_max_pool(struct onnx_ctx *c)
{
  int64_t axes[IR_MAX_RANK];
  unsigned n = 0;
  TRY(spatial_axes(c, axes, &n));
  return onnx_out(c, onnx_reduce(c, "max", c->in[0], axes, n));
}
bool import_global_lp_pool(struct onnx_ctx *c)
{
  int64_t axes[IR_MAX_RANK];
  unsigned n = 0;
  double e;
  TRY(spatial_axes(c, axes, &n) && norm_exponent(c, &e));
  return onnx_out(c, power(c, onnx_reduce(c, "sum", power_abs(c, c->in[0], e), axes, n), 1 / e));
}
/* x / (bias + alpha/size * sum of squares over `size` neighbouring channels)^beta. The channels become a spatial axis for the window. */
bool import_lrn(struct onnx_ctx *c)
{
  double alpha, beta, bias;
  int64_t size;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_float(c, "alpha", (double)0.0001f, &alpha) && onnx_attr_float(c, "beta", 0.75, &beta) && onnx_attr_float(c, "bias", 1, &bias));
  TRY(onnx_attr_int(c, "size", 0, &size));
  onnx_widen(c);
  struct ir_value *x = c->in[0];
  if (size < 1 || size > INT32_MAX) return onnx_bad(c, IR_M0302, "size is %lld", (long long)size);
  if (x->type->rank < 2) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 2 or more", onnx_show(c, x));
  const struct ir_ix *dim[] = { x->type->dim[0], onnx_k(c, 1), x->type->dim[1], onnx_product(c, x->type, 2, x->type->rank) };
  struct sliding w = { .s = 2, .kernel = { size, 1 }, .strides = { 1, 1 }, .dilations = { 1, 1 }, .pads = { (size - 1) / 2, 0, size / 2, 0 } };
  struct ir_value *sum = window(c, &w, "sum", ir_reshape(c->b, onnx_2(c, IR_OP_mul, x, x), 4, dim), w.pads, dim + 2);
  sum = ir_reshape(c->b, sum, x->type->rank, x->type->dim);
  struct ir_value *base = onnx_2(c, IR_OP_add, onnx_2(c, IR_OP_mul, sum, onnx_like(c, x, alpha / (double)size)), onnx_like(c, x, bias));
  return onnx_narrow(c, onnx_2(c, IR_OP_div, x, onnx_2(c, IR_OP_pow, base, onnx_like(c, x, beta))));
}
