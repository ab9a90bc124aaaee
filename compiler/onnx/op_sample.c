/* Sampling between the places of a feature map: GridSample, RoiAlign; and MaxRoiPool. Coordinates are floats computed at run time; each corner around them is a view with one index
 * for each spatial axis, weighted. Source of the formulas: ONNX's reference implementation. */
#include "compiler/onnx/arith.h"
#include <math.h>
#include <string.h>

enum { MAX_SPACE = 3 };
static struct ir_value *k(struct onnx_ctx *c, double v) { return onnx_const(c, IR_f32, v); }
static struct ir_value *size_of(struct onnx_ctx *c, const struct ir_ix *e) { return ir_cast(c->b, onnx_index(c, IR_i64, 0, NULL, &e, 1), IR_f32); }
static struct ir_value *below(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_lt, x, y); }

/* ---- GridSample ---- */
enum pad { ZEROS, BORDER, REFLECTION };
struct sampler {
  unsigned space;                    /* spatial axes, the last ones of x */
  enum pad pad;
  bool corners;
  struct ir_value *x;
  struct ir_value *size[MAX_SPACE];
};
static struct ir_value *clamped(struct onnx_ctx *c, const struct sampler *s, unsigned a, struct ir_value *at) { return max(c, min(c, at, sub(c, s->size[a], k(c, 1))), k(c, 0)); }
/* Mirrored at lo and hi until inside: with d the distance from lo, folded at the odd multiples of the range. */
static struct ir_value *reflected(struct onnx_ctx *c, const struct sampler *s, unsigned a, struct ir_value *at)
{
  struct ir_value *lo = k(c, s->corners ? 0 : -0.5), *range = s->corners ? sub(c, s->size[a], k(c, 1)) : s->size[a];
  struct ir_value *d = onnx_1(c, IR_OP_abs, sub(c, at, lo)), *turns = onnx_1(c, IR_OP_floor, divide(c, d, max(c, range, k(c, 1e-9)))), *rest = sub(c, d, mul(c, turns, range));
  struct ir_value *odd = onnx_2(c, IR_OP_eq, onnx_2(c, IR_OP_mod, turns, k(c, 2)), k(c, 1));
  struct ir_value *in = add(c, lo, onnx_select(c, odd, sub(c, range, rest), rest));
  struct ir_value *out = onnx_2(c, IR_OP_or, below(c, at, lo), below(c, add(c, lo, range), at));
  return onnx_select(c, out, in, at);
}
static struct ir_value *settled(struct onnx_ctx *c, const struct sampler *s, unsigned a, struct ir_value *at)
{
  return s->pad == BORDER ? clamped(c, s, a, at) : s->pad == REFLECTION ? reflected(c, s, a, at) : at;
}
/* x at whole numbers at[a], [n, 1, o..]; 0 outside with ZEROS. */
static struct ir_value *pixel(struct onnx_ctx *c, const struct sampler *s, struct ir_value *const *at)
{
  unsigned rank = s->x->type->rank;
  struct ir_value *in[MAX_SPACE + 1] = { s->x }, *inside = NULL;
  const struct ir_ix *map[MAX_SPACE + 2], *dim[MAX_SPACE + 2];
  for (unsigned a = 0; a < s->space; a++) {
    struct ir_value *p = s->pad == ZEROS ? at[a] : clamped(c, s, a, settled(c, s, a, at[a])), *ok;
    if (s->pad == ZEROS) {
      ok = onnx_2(c, IR_OP_and, onnx_2(c, IR_OP_le, k(c, 0), p), below(c, p, s->size[a]));
      inside = inside ? onnx_2(c, IR_OP_and, inside, ok) : ok;
      p = clamped(c, s, a, p);
    }
    in[a + 1] = p ? ir_cast(c->b, p, IR_i64) : NULL;
    if (!in[a + 1]) return NULL;
    map[a + 2] = ir_ix_coord(c->m->ixs, rank + a);
    dim[a + 2] = in[a + 1]->type->dim[a + 2];
  }
  for (unsigned a = 0; a < 2; a++) { map[a] = ir_ix_coord(c->m->ixs, a); dim[a] = s->x->type->dim[a]; }
  struct ir_attr at_[] = { ir_attr_ixs(c->m, "map", map, rank), ir_attr_ixs(c->m, "dims", dim, rank) };
  struct ir_value *v = onnx_node(c, IR_OP_view, in, s->space + 1, at_, 2);
  return inside ? onnx_select(c, inside, v, onnx_like(c, v, 0)) : v;
}
/* Weight of tap t around a place `rest` behind tap 0: linear t 0..1, cubic -1..2 (Keys, a = -0.75) */
static struct ir_value *weight(struct onnx_ctx *c, bool cubic, int t, struct ir_value *rest)
{
  const double a = -0.75;
  struct ir_value *d = t <= 0 ? sub(c, rest, k(c, t)) : sub(c, k(c, t), rest);
  if (!cubic) return sub(c, k(c, 1), d);
  if (t == 0 || t == 1) return add(c, mul(c, mul(c, sub(c, mul(c, d, k(c, a + 2)), k(c, a + 3)), d), d), k(c, 1));
  return sub(c, mul(c, add(c, mul(c, sub(c, mul(c, d, k(c, a)), k(c, 5 * a)), d), k(c, 8 * a)), d), k(c, 4 * a));
}
/* Sum over the taps of all axes. */
static struct ir_value *interpolated(struct onnx_ctx *c, const struct sampler *s, bool cubic, struct ir_value *const *at)
{
  int first = cubic ? -1 : 0, taps = cubic ? 4 : 2, n = 1;
  struct ir_value *sum = NULL, *low[MAX_SPACE], *rest[MAX_SPACE], *p[MAX_SPACE];
  for (unsigned a = 0; a < s->space; a++) { low[a] = onnx_1(c, IR_OP_floor, at[a]); rest[a] = sub(c, at[a], low[a]); n *= taps; }
  for (int i = 0; i < n; i++) {
    struct ir_value *w = NULL;
    for (int a = (int)s->space - 1, j = i; a >= 0; a--, j /= taps) {
      int t = first + j % taps;
      p[a] = add(c, low[a], k(c, t));
      struct ir_value *one = weight(c, cubic, t, rest[a]);
      w = w ? mul(c, w, one) : one;
    }
    struct ir_value *v = pixel(c, s, p);
    if (!v || !w) return NULL;
    v = mul(c, ir_cast(c->b, v, IR_f32), w);
    sum = sum ? add(c, sum, v) : v;
  }
  return sum;
}
bool import_grid_sample(struct onnx_ctx *c)
{
  const char *mode, *pad;
  struct sampler s = { 0 };
  TRY(onnx_operands(c, 2, 2) && onnx_attr_str(c, "mode", c->opset < 20 ? "bilinear" : "linear", &mode) && onnx_attr_str(c, "padding_mode", "zeros", &pad) && onnx_attr_flag(c, "align_corners", false, &s.corners));
  bool cubic = !strcmp(mode, "cubic") || !strcmp(mode, "bicubic"), nearest = !strcmp(mode, "nearest");
  if (!cubic && !nearest && strcmp(mode, "linear") && strcmp(mode, "bilinear")) return onnx_bad(c, IR_M0302, "mode is \"%s\"", mode);
  s.pad = !strcmp(pad, "border") ? BORDER : !strcmp(pad, "reflection") ? REFLECTION : ZEROS;
  if (s.pad == ZEROS && strcmp(pad, "zeros")) return onnx_bad(c, IR_M0302, "padding_mode is \"%s\"", pad);
  s.x = c->in[0];
  const struct ir_type *t = s.x->type, *g = c->in[1]->type;
  if (t->rank < 3 || t->rank > MAX_SPACE + 2 || g->rank != t->rank || !ir_ix_is(g->dim[g->rank - 1], t->rank - 2)) return onnx_bad(c, IR_M0201, "operand is %s, the grid %s", onnx_show(c, s.x), onnx_show(c, c->in[1]));
  TRY(ir_require_eq(c->m, t->dim[0], g->dim[0], "the grid of GridSample has the operand's batch"));
  s.space = t->rank - 2;
  struct ir_value *grid = ir_cast(c->b, c->in[1], IR_f32), *at[MAX_SPACE];
  for (unsigned a = 0; a < s.space; a++) {           /* the grid's last axis names the innermost coordinate first */
    const struct ir_ix *start[MAX_SPACE + 2], *cut[MAX_SPACE + 2], *dim[MAX_SPACE + 2];
    int64_t step[MAX_SPACE + 2];
    for (unsigned d = 0; d < t->rank; d++) { bool last = d + 1 == t->rank; start[d] = onnx_k(c, last ? s.space - 1 - a : 0); cut[d] = last ? onnx_k(c, 1) : g->dim[d]; step[d] = 1; }
    for (unsigned d = 0; d < t->rank; d++) dim[d] = d == 1 ? onnx_k(c, 1) : g->dim[d ? d - 1 : 0];
    struct ir_value *u = add(c, ir_reshape(c->b, onnx_slice(c, grid, start, step, cut), t->rank, dim), k(c, 1));
    s.size[a] = size_of(c, t->dim[a + 2]);
    at[a] = s.corners ? mul(c, divide(c, u, k(c, 2)), sub(c, s.size[a], k(c, 1))) : divide(c, sub(c, mul(c, u, s.size[a]), k(c, 1)), k(c, 2));
    if (nearest) at[a] = onnx_1(c, IR_OP_round, at[a]);
    if (!cubic) at[a] = settled(c, &s, a, at[a]);     /* cubic: each tap for itself, as PyTorch and ONNX Runtime have it */
  }
  struct ir_value *y = nearest ? pixel(c, &s, at) : interpolated(c, &s, cubic, at);
  return y && onnx_out(c, ir_cast(c->b, y, t->elem));
}

/* ---- RoiAlign: each region in places of output_height x output_width, each the mean (or maximum) of samples inside ---- */
struct rois { const struct ir_ix *n; int64_t samples, out[2]; double scale; bool half_pixel; struct ir_value *boxes; };
static struct ir_value *column(struct onnx_ctx *c, const struct rois *r, int64_t i)
{
  const struct ir_ix *start[] = { onnx_k(c, 0), onnx_k(c, i) }, *cut[] = { r->n, onnx_k(c, 1) };
  struct ir_value *v = mul(c, onnx_slice(c, r->boxes, start, (int64_t[]){ 1, 1 }, cut), k(c, r->scale));
  return r->half_pixel ? sub(c, v, k(c, 0.5)) : v;
}
/* Coordinates of the samples along axis a (0: y), [rois, out * samples]. */
static struct ir_value *samples(struct onnx_ctx *c, const struct rois *r, unsigned a)
{
  const struct ir_ix *n = onnx_k(c, r->out[a] * r->samples), *e = ir_ix_coord(c->m->ixs, 0);
  struct ir_value *lo = column(c, r, 1 - a), *span = sub(c, column(c, r, 3 - a), lo);
  if (!r->half_pixel) span = max(c, span, k(c, 1));
  struct ir_value *i = onnx_along(c, ir_cast(c->b, onnx_index(c, IR_i64, 1, &n, &e, 1), IR_f32), 1, 2);
  return add(c, lo, mul(c, divide(c, span, k(c, (double)(r->out[a] * r->samples))), add(c, i, k(c, 0.5))));
}
/* x[batch, :, y, x] weighted at one of the four corners: wy [rois, hs], wx [rois, ws] */
static struct ir_value *corner(struct onnx_ctx *c, const struct rois *r, struct ir_value *batch, struct ir_value *const *at, struct ir_value *const *w)
{
  struct ir_value *x = c->in[0], *in[4] = { x };
  const struct ir_ix *one = onnx_k(c, 1), *hs = onnx_k(c, r->out[0] * r->samples), *ws = onnx_k(c, r->out[1] * r->samples);
  const struct ir_ix *dim[] = { r->n, x->type->dim[1], hs, ws }, *bd[] = { r->n, one, one, one }, *yd[] = { r->n, one, hs, one }, *xd[] = { r->n, one, one, ws };
  in[1] = ir_reshape(c->b, batch, 4, bd);
  in[2] = ir_reshape(c->b, ir_cast(c->b, at[0], IR_i64), 4, yd);
  in[3] = ir_reshape(c->b, ir_cast(c->b, at[1], IR_i64), 4, xd);
  for (unsigned i = 1; i < 4; i++)
    if (!in[i]) return NULL;
  const struct ir_ix *map[] = { ir_ix_coord(c->m->ixs, 4), ir_ix_coord(c->m->ixs, 1), ir_ix_coord(c->m->ixs, 5), ir_ix_coord(c->m->ixs, 6) };
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, 4), ir_attr_ixs(c->m, "dims", dim, 4) };
  struct ir_value *weight = mul(c, ir_reshape(c->b, w[0], 4, yd), ir_reshape(c->b, w[1], 4, xd));
  return mul(c, ir_cast(c->b, onnx_node(c, IR_OP_view, in, 4, a, 2), IR_f32), weight);
}
bool import_roi_align(struct onnx_ctx *c)
{
  struct rois r;
  const char *mode, *transform;
  static const int64_t inner[] = { 3, 5 };
  TRY(onnx_operands(c, 3, 3) && onnx_attr_str(c, "mode", "avg", &mode) && onnx_attr_str(c, "coordinate_transformation_mode", c->opset < 16 ? "output_half_pixel" : "half_pixel", &transform));
  TRY(onnx_attr_int(c, "output_height", 1, &r.out[0]) && onnx_attr_int(c, "output_width", 1, &r.out[1]) && onnx_attr_int(c, "sampling_ratio", 0, &r.samples) && onnx_attr_float(c, "spatial_scale", 1, &r.scale));
  r.half_pixel = !strcmp(transform, "half_pixel");
  bool most = !strcmp(mode, "max");
  if ((!most && strcmp(mode, "avg")) || (!r.half_pixel && strcmp(transform, "output_half_pixel"))) return onnx_bad(c, IR_M0302, "mode is \"%s\", coordinate_transformation_mode \"%s\"", mode, transform);
  if (r.samples < 1 || r.samples > 64) return onnx_bad(c, IR_M0301, "sampling_ratio is %lld: only a fixed number of samples, 1 to 64, is supported", (long long)r.samples);
  if (r.out[0] < 1 || r.out[1] < 1 || r.out[0] > 1 << 16 || r.out[1] > 1 << 16) return onnx_bad(c, IR_M0302, "the output is %lld by %lld", (long long)r.out[0], (long long)r.out[1]);
  struct ir_value *x = c->in[0], *batch = ir_cast(c->b, c->in[2], IR_i64), *low[2], *high[2], *wl[2], *wh[2], *sum = NULL;
  if (x->type->rank != 4 || c->in[1]->type->rank != 2 || batch->type->rank != 1 || !ir_ix_is(c->in[1]->type->dim[1], 4)) return onnx_bad(c, IR_M0201, "operand is %s, rois %s", onnx_show(c, x), onnx_show(c, c->in[1]));
  r.boxes = ir_cast(c->b, c->in[1], IR_f32);
  r.n = c->in[1]->type->dim[0];
  TRY(ir_require_eq(c->m, r.n, batch->type->dim[0], "RoiAlign has a batch index for each region"));
  for (unsigned a = 0; a < 2; a++) {
    struct ir_value *p = samples(c, &r, a), *n = size_of(c, x->type->dim[a + 2]), *last = sub(c, n, k(c, 1)), *zero = k(c, 0);
    struct ir_value *out = onnx_2(c, IR_OP_or, below(c, p, k(c, -1)), below(c, n, p));
    p = min(c, max(c, p, zero), last);
    low[a] = onnx_1(c, IR_OP_floor, p);
    high[a] = min(c, add(c, low[a], k(c, 1)), last);
    struct ir_value *rest = sub(c, p, low[a]);
    wh[a] = onnx_select(c, out, zero, rest);
    wl[a] = onnx_select(c, out, zero, sub(c, k(c, 1), rest));
  }
  for (unsigned i = 0; i < 4; i++) {
    struct ir_value *at[] = { i & 2 ? high[0] : low[0], i & 1 ? high[1] : low[1] }, *w[] = { i & 2 ? wh[0] : wl[0], i & 1 ? wh[1] : wl[1] };
    struct ir_value *v = corner(c, &r, batch, at, w);
    sum = !sum ? v : most ? max(c, sum, v) : add(c, sum, v);
  }
  const struct ir_ix *split[] = { r.n, x->type->dim[1], onnx_k(c, r.out[0]), onnx_k(c, r.samples), onnx_k(c, r.out[1]), onnx_k(c, r.samples) };
  sum = sum ? ir_reshape(c->b, sum, 6, split) : NULL;
  struct ir_value *y = !sum ? NULL : most ? onnx_reduce(c, "max", sum, inner, 2) : onnx_mean(c, sum, inner, 2);
  return y && onnx_out(c, ir_cast(c->b, onnx_drop_axes(c, y, inner, 2), x->type->elem));
}

/* ---- MaxRoiPool: the largest element of each of pooled_shape parts of a region whose corners are rounded; an empty part is 0. Rows and columns in turn ---- */
struct parts { struct ir_value *from, *to; };                /* along an axis, [rois, parts] */
/* Away from 0 where it is half way, as C rounds. */
static struct ir_value *rounded(struct onnx_ctx *c, struct ir_value *v)
{
  return mul(c, onnx_1(c, IR_OP_sign, v), onnx_1(c, IR_OP_floor, add(c, onnx_1(c, IR_OP_abs, v), k(c, 0.5))));
}
static struct ir_value *roi_column(struct onnx_ctx *c, struct ir_value *rois, int64_t i)
{
  const struct ir_ix *start[] = { onnx_k(c, 0), onnx_k(c, i) }, *cut[] = { rois->type->dim[0], onnx_k(c, 1) };
  return onnx_slice(c, rois, start, (int64_t[]){ 1, 1 }, cut);
}
static struct parts parts_of(struct onnx_ctx *c, struct ir_value *rois, unsigned a /* 0: y */, int64_t n, double scale)
{
  const struct ir_ix *count = onnx_k(c, n), *e = ir_ix_coord(c->m->ixs, 0);
  struct ir_value *i = onnx_along(c, ir_cast(c->b, onnx_index(c, IR_i64, 1, &count, &e, 1), IR_f32), 1, 2), *zero = k(c, 0), *size = size_of(c, c->in[0]->type->dim[a + 2]);
  struct ir_value *first = rounded(c, mul(c, roi_column(c, rois, 2 - a), k(c, scale))), *last = rounded(c, mul(c, roi_column(c, rois, 4 - a), k(c, scale)));
  struct ir_value *step = divide(c, max(c, add(c, sub(c, last, first), k(c, 1)), k(c, 1)), k(c, (double)n));
  struct ir_value *from = add(c, onnx_1(c, IR_OP_floor, mul(c, i, step)), first), *to = add(c, onnx_1(c, IR_OP_ceil, mul(c, add(c, i, k(c, 1)), step)), first);
  return (struct parts){ min(c, max(c, from, zero), size), min(c, max(c, to, zero), size) };
}
/* v [rois, c, a, b] -> [rois, c, parts, a]: the largest along its last axis within each part */
static struct ir_value *largest(struct onnx_ctx *c, struct ir_value *v, const struct parts *p)
{
  if (!v || !p->from || !p->to) return NULL;
  const struct ir_type *t = v->type;
  const struct ir_ix *one = onnx_k(c, 1), *n = p->from->type->dim[1], *e = ir_ix_coord(c->m->ixs, 0);
  const struct ir_ix *values[] = { t->dim[0], t->dim[1], one, t->dim[2], t->dim[3] }, *bounds[] = { t->dim[0], one, n, one, one };
  struct ir_value *at = onnx_along(c, ir_cast(c->b, onnx_index(c, IR_i64, 1, &t->dim[3], &e, 1), IR_f32), 4, 5);
  struct ir_value *inside = onnx_2(c, IR_OP_and, onnx_2(c, IR_OP_le, ir_reshape(c->b, p->from, 5, bounds), at), below(c, at, ir_reshape(c->b, p->to, 5, bounds)));
  struct ir_value *y = onnx_reduce(c, "max", onnx_select(c, inside, ir_reshape(c->b, v, 5, values), k(c, -INFINITY)), (const int64_t[]){ 4 }, 1);
  return y ? onnx_drop_axes(c, y, (const int64_t[]){ 4 }, 1) : NULL;
}
bool import_max_roi_pool(struct onnx_ctx *c)
{
  struct onnx_ints out;
  double scale;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_ints(c, "pooled_shape", &out) && onnx_attr_float(c, "spatial_scale", 1, &scale));
  struct ir_value *x = c->in[0], *rois = ir_cast(c->b, c->in[1], IR_f32);
  if (!out.present || out.n != 2 || out.v[0] < 1 || out.v[1] < 1 || out.v[0] > 1 << 16 || out.v[1] > 1 << 16) return onnx_bad(c, IR_M0302, "pooled_shape is no pair of sizes");
  if (x->type->rank != 4 || !rois || rois->type->rank != 2 || !ir_ix_is(rois->type->dim[1], 5)) return onnx_bad(c, IR_M0201, "operand is %s, rois %s", onnx_show(c, x), onnx_show(c, c->in[1]));
  const struct parts py = parts_of(c, rois, 0, out.v[0], scale), px = parts_of(c, rois, 1, out.v[1], scale);
  struct ir_value *batch = ir_reshape(c->b, ir_cast(c->b, roi_column(c, rois, 0), IR_i64), 1, rois->type->dim);
  if (!batch || !py.to || !px.to) return false;
  struct ir_value *y = largest(c, largest(c, ir_cast(c->b, onnx_gather(c, x, batch, 0), IR_f32), &px), &py);
  const struct ir_ix *rows[] = { rois->type->dim[0], onnx_k(c, 1), onnx_k(c, out.v[0]), onnx_k(c, 1) }, *columns[] = { rois->type->dim[0], onnx_k(c, 1), onnx_k(c, 1), onnx_k(c, out.v[1]) };
  struct ir_value *some = onnx_2(c, IR_OP_and, ir_reshape(c->b, below(c, py.from, py.to), 4, rows), ir_reshape(c->b, below(c, px.from, px.to), 4, columns));
  y = onnx_select(c, some, y, k(c, 0));
  return y && onnx_out(c, ir_cast(c->b, y, x->type->elem));
}
