/* Resize and Upsample: separable, so one axis after the other.
 *
 * Nearest by a whole factor is a broadcast, whatever the dim. Where sizes are known, ONNX's formula for the source coordinate is tabulated (in float32, as
 * ONNX Runtime computes it, because index arithmetic in floats cannot be redone exactly elsewhere), and the result is a sum of gathers times weight vectors:
 * one tap for nearest, two for linear, four for cubic, more with antialiasing. Other sizes: the formula as maps over the places, and the same gathers. Source of the formulas: ONNX's reference implementation of Resize. */
#include "compiler/onnx/arith.h"
#include <math.h>
#include <string.h>

enum mode { NEAREST, LINEAR, CUBIC };
enum transform { HALF_PIXEL, ASYMMETRIC, ALIGN_CORNERS, PYTORCH_HALF_PIXEL, HALF_PIXEL_SYMMETRIC, TF_HALF_PIXEL_FOR_NN };
enum nearest { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };
struct resize {
  enum mode mode;
  enum transform transform;
  enum nearest nearest;
  double cubic_a;
  bool exclude_outside, antialias;
};
enum { MAX_SIZE = 1 << 20, MAX_TAPS = 256 };

/* Source coordinate of place x among `out`, of n elements enlarged by `scale`. */
static float source(const struct resize *r, int64_t place, int64_t n, int64_t out, float scale)
{
  float x = (float)place, full = scale * (float)n;
  switch (r->transform) {
  case ASYMMETRIC: return x / scale;
  case ALIGN_CORNERS: return out == 1 ? 0 : x * (float)(n - 1) / (float)(out - 1);
  case PYTORCH_HALF_PIXEL: return out > 1 ? (x + 0.5f) / scale - 0.5f : 0;
  case HALF_PIXEL_SYMMETRIC: return (float)n / 2 * (1 - (float)out / full) + (x + 0.5f) / scale - 0.5f;
  case TF_HALF_PIXEL_FOR_NN: return (x + 0.5f) / scale;
  case HALF_PIXEL: break;
  }
  return (x + 0.5f) / scale - 0.5f;
}
static int64_t clamp(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }
static int64_t nearest_of(enum nearest m, float x)
{
  float f = floorf(x);
  if (m == FLOOR) return (int64_t)f;
  if (m == CEIL) return (int64_t)ceilf(x);
  float rest = x - f;
  return (int64_t)f + (m == PREFER_FLOOR ? rest > 0.5f : rest >= 0.5f);
}
static double kernel(const struct resize *r, double x)
{
  double a = r->cubic_a;
  x = fabs(x);
  if (r->mode == LINEAR) return x < 1 ? 1 - x : 0;
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
/* Weights of the taps first .. first + n - 1 around floor(x); the squeezed kernel of antialiasing is normalised, as is what exclude_outside leaves. */
static void weights(const struct resize *r, float x, int64_t size, int first, unsigned taps, double squeeze, double *w)
{
  double base = floorf(x), rest = (double)x - base, sum = 0;
  for (unsigned t = 0; t < taps; t++) {
    int64_t i = (int64_t)base + first + t;
    w[t] = kernel(r, ((double)first + t - rest) * squeeze);
    if (r->exclude_outside && (i < 0 || i >= size)) w[t] = 0;
    sum += w[t];
  }
  if (r->exclude_outside || r->antialias)
    for (unsigned t = 0; t < taps; t++) w[t] /= sum;
}
static struct ir_value *tap_indices(struct onnx_ctx *c, const int64_t *v, int64_t out) { return ir_const_ints(c->b, IR_i64, 1, &out, v); }
static struct ir_value *tap_weights(struct onnx_ctx *c, const float *w, int64_t out)
{
  struct ir_data d = { .kind = IR_DATA_BYTES, .p = (const unsigned char *)w, .bytes = 4 * (uint64_t)out };
  return ir_const_bytes(c->b, ir_type_ints(c->m, IR_f32, 1, &out), &d, NULL);
}
static struct ir_value *tabulated(struct onnx_ctx *c, const struct resize *r, struct ir_value *x, unsigned axis, int64_t n, int64_t out, float scale)
{
  double squeeze = r->antialias && scale < 1 ? (double)scale : 1, reach = r->mode == CUBIC ? 2 : 1;
  int first = r->mode == NEAREST ? 0 : (int)floor(-reach / squeeze) + 1;
  unsigned taps = r->mode == NEAREST ? 1 : (unsigned)(2 - 2 * first);
  if (taps > MAX_TAPS || (uint64_t)taps * (uint64_t)out > 16 * MAX_SIZE) { onnx_bad(c, IR_M0301, "antialiasing from %lld to %lld elements needs too many taps", (long long)n, (long long)out); return NULL; }
  if (!onnx_spend(c->im, taps * (2048 + 24 * (uint64_t)out))) return NULL;
  int64_t *at = IR_NEWN(c->arena, int64_t, taps * (size_t)out);
  float *w = IR_NEWN(c->arena, float, taps * (size_t)out);
  double one[MAX_TAPS];
  for (int64_t p = 0; p < out; p++) {
    float s = source(r, p, n, out, scale);
    if (!(fabsf(s) < 1e9f)) { onnx_bad(c, IR_M0302, "the scale %g is out of bounds", (double)scale); return NULL; }
    if (r->mode == NEAREST) { at[p] = clamp(nearest_of(r->nearest, s), n); continue; }
    weights(r, s, n, first, taps, squeeze, one);
    for (unsigned t = 0; t < taps; t++) {
      at[t * out + p] = clamp((int64_t)floorf(s) + first + t, n);
      w[t * out + p] = (float)one[t];
    }
  }
  if (r->mode == NEAREST) return onnx_gather(c, x, tap_indices(c, at, out), axis);
  struct ir_value *sum = NULL;
  for (unsigned t = 0; t < taps; t++) {
    struct ir_value *g = onnx_gather(c, x, tap_indices(c, at + t * out, out), axis);
    if (!g) return NULL;
    g = onnx_2(c, IR_OP_mul, g, ir_cast(c->b, onnx_along(c, tap_weights(c, w + t * out, out), axis, x->type->rank), x->type->elem));
    sum = sum ? onnx_2(c, IR_OP_add, sum, g) : g;
  }
  return sum;
}
/* ---- axes whose sizes are known at run time only: the same formulas as maps, in float32 as well ---- */
static struct ir_value *f32(struct onnx_ctx *c, double v) { return onnx_const(c, IR_f32, v); }
static struct ir_value *number(struct onnx_ctx *c, const struct ir_ix *e) { return ir_cast(c->b, onnx_index(c, IR_i64, 0, NULL, &e, 1), IR_f32); }
static struct ir_value *places_of(struct onnx_ctx *c, const struct resize *r, const struct ir_ix *n, const struct ir_ix *out, struct ir_value *scale)
{
  const struct ir_ix *e = ir_ix_coord(c->m->ixs, 0), *more = ir_ix_max(ir_ix_addi(out, -1), onnx_k(c, 1));
  struct ir_value *x = ir_cast(c->b, onnx_index(c, IR_i64, 1, &out, &e, 1), IR_f32), *half = divide(c, add(c, x, f32(c, 0.5)), scale);
  switch (r->transform) {
  case ASYMMETRIC: return divide(c, x, scale);
  case ALIGN_CORNERS: return divide(c, mul(c, x, number(c, ir_ix_addi(n, -1))), number(c, more));
  case PYTORCH_HALF_PIXEL: return onnx_select(c, onnx_2(c, IR_OP_lt, f32(c, 1), number(c, out)), sub(c, half, f32(c, 0.5)), f32(c, 0));
  case HALF_PIXEL_SYMMETRIC: {
    struct ir_value *size = number(c, n), *shift = mul(c, divide(c, size, f32(c, 2)), sub(c, f32(c, 1), divide(c, number(c, out), mul(c, scale, size))));
    return sub(c, add(c, shift, half), f32(c, 0.5));
  }
  case TF_HALF_PIXEL_FOR_NN: return half;
  case HALF_PIXEL: break;
  }
  return sub(c, half, f32(c, 0.5));
}
/* x at the places (float, whole numbers) + by along the axis, held inside. */
static struct ir_value *tap(struct onnx_ctx *c, struct ir_value *x, unsigned axis, struct ir_value *place, int by)
{
  const struct ir_ix *last = ir_ix_addi(x->type->dim[axis], -1);
  struct ir_value *i = add(c, ir_cast(c->b, place, IR_i64), onnx_const(c, IR_i64, by));
  return onnx_gather(c, x, onnx_2(c, IR_OP_min, onnx_2(c, IR_OP_max, i, onnx_const(c, IR_i64, 0)), onnx_index(c, IR_i64, 0, NULL, &last, 1)), axis);
}
/* The kernel at |d|, which lies within 0..1 (inner) or 1..2. */
static struct ir_value *weight_at(struct onnx_ctx *c, const struct resize *r, struct ir_value *d, bool inner)
{
  double a = r->cubic_a;
  if (r->mode == LINEAR) return sub(c, f32(c, 1), d);
  if (inner) return add(c, mul(c, mul(c, sub(c, mul(c, d, f32(c, a + 2)), f32(c, a + 3)), d), d), f32(c, 1));
  return sub(c, mul(c, add(c, mul(c, sub(c, mul(c, d, f32(c, a)), f32(c, 5 * a)), d), f32(c, 8 * a)), d), f32(c, 4 * a));
}
/* Weights of the taps first .. first + n - 1 around low, which is rest below the place. */
static void weights_at(struct onnx_ctx *c, const struct resize *r, struct ir_value *low, struct ir_value *rest, const struct ir_ix *size, int first, int n, struct ir_value **w)
{
  struct ir_value *sum = NULL, *last = number(c, ir_ix_addi(size, -1));
  for (int i = 0; i < n; i++) {
    int t = first + i;
    w[i] = weight_at(c, r, t <= 0 ? sub(c, rest, f32(c, t)) : sub(c, f32(c, t), rest), t == 0 || t == 1);
    if (!r->exclude_outside) continue;
    struct ir_value *place = add(c, low, f32(c, t)), *inside = onnx_2(c, IR_OP_and, onnx_2(c, IR_OP_le, f32(c, 0), place), onnx_2(c, IR_OP_le, place, last));
    w[i] = onnx_select(c, inside, w[i], f32(c, 0));
    sum = sum ? add(c, sum, w[i]) : w[i];
  }
  for (int i = 0; i < n && r->exclude_outside; i++) w[i] = divide(c, w[i], sum);
}
static struct ir_value *computed(struct onnx_ctx *c, const struct resize *r, struct ir_value *x, unsigned axis, const struct ir_ix *out, struct ir_value *scale)
{
  struct ir_value *s = places_of(c, r, x->type->dim[axis], out, scale), *low = onnx_1(c, IR_OP_floor, s), *sum = NULL;
  if (!s) return NULL;
  if (r->mode == NEAREST) {
    struct ir_value *rest = sub(c, s, low), *half = f32(c, 0.5), *one = f32(c, 1), *zero = f32(c, 0);
    if (r->nearest == FLOOR) return tap(c, x, axis, low, 0);
    if (r->nearest == CEIL) return tap(c, x, axis, onnx_1(c, IR_OP_ceil, s), 0);
    return tap(c, x, axis, add(c, low, onnx_select(c, onnx_2(c, r->nearest == PREFER_FLOOR ? IR_OP_lt : IR_OP_le, half, rest), one, zero)), 0);
  }
  if (r->antialias) { onnx_bad(c, IR_M0303, "axis %u of %s must be known when massc compiles, for antialias; give it with --dim", axis, onnx_show(c, x)); return NULL; }
  struct ir_value *w[4];
  int first = r->mode == CUBIC ? -1 : 0, n = r->mode == CUBIC ? 4 : 2;
  weights_at(c, r, low, sub(c, s, low), x->type->dim[axis], first, n, w);
  for (int i = 0; i < n; i++) {
    struct ir_value *along = onnx_along(c, w[i], axis, x->type->rank), *g = along ? mul(c, tap(c, x, axis, low, first + i), ir_cast(c->b, along, x->type->elem)) : NULL;
    sum = sum ? add(c, sum, g) : g;
  }
  return sum;
}
/* floor(n * scale) for a scale that is a fraction of a power of two, so that the float product is exact. NULL: it is not. */
static const struct ir_ix *scaled(const struct ir_ix *n, float scale)
{
  for (int64_t q = 1; q <= 1024; q *= 2)
    if (scale * (float)q == floorf(scale * (float)q) && scale * (float)q < 1 << 20) return ir_ix_divi(ir_ix_muli(n, (int64_t)(scale * (float)q)), q);
  return NULL;
}
/* Nearest by a whole factor takes each element `factor` times: with these coordinates rounding never reaches a neighbour. */
static bool whole_factor(const struct resize *r, float scale)
{
  if (r->mode != NEAREST || scale < 1 || scale != floorf(scale) || scale > 1 << 20) return false;
  if (r->transform == ASYMMETRIC) return r->nearest == FLOOR;
  return (r->transform == HALF_PIXEL || r->transform == HALF_PIXEL_SYMMETRIC) && (r->nearest == PREFER_FLOOR || r->nearest == PREFER_CEIL);
}
static struct ir_value *repeat(struct onnx_ctx *c, struct ir_value *x, unsigned axis, int64_t factor)
{
  const struct ir_ix *split[IR_MAX_RANK + 1], *wide[IR_MAX_RANK + 1], *merged[IR_MAX_RANK];
  unsigned k = 0, rank = x->type->rank;
  if (rank == IR_MAX_RANK) { onnx_bad(c, IR_M0201, "operand is %s, at most rank %d is supported", onnx_show(c, x), IR_MAX_RANK - 1); return NULL; }
  for (unsigned d = 0; d < rank; d++) {
    split[k] = wide[k] = merged[d] = x->type->dim[d];
    k++;
    if (d != axis) continue;
    merged[d] = ir_ix_muli(x->type->dim[d], factor);
    split[k] = onnx_k(c, 1);
    wide[k++] = onnx_k(c, factor);
  }
  return ir_reshape(c->b, ir_broadcast(c->b, ir_reshape(c->b, x, k, split), k, wide), rank, merged);
}
/* size NULL: floor(n * scale). f: the scale where it is computed from sizes, one of which is `size`; or NULL. */
static struct ir_value *resize_axis(struct onnx_ctx *c, const struct resize *r, struct ir_value *x, unsigned axis, const struct ir_ix *size, float scale, const struct onnx_fraction *f_scale)
{
  const struct ir_ix *dim = x->type->dim[axis];
  int64_t n, out;
  if (size ? size == dim : scale == 1) return x;
  if (size) {                                        /* a size that is a whole multiple of the dim */
    int64_t f;
    if (ir_ix_const(dim, &n) ? n > 0 && ir_ix_const(size, &out) && out % n == 0 && (f = out / n, true) : ir_ix_const(ir_ix_div(size, dim), &f) && ir_ix_muli(dim, f) == size)
      if (f >= 1 && f < MAX_SIZE && whole_factor(r, (float)f)) return repeat(c, x, axis, f);
  } else if (whole_factor(r, scale)) return repeat(c, x, axis, (int64_t)scale);
  if (!ir_ix_const(dim, &n) || (size && !ir_ix_const(size, &out))) {
    const struct ir_ix *to = size ? size : scaled(dim, scale);
    struct ir_value *by = !size ? f32(c, (double)scale) : f_scale ? divide(c, number(c, f_scale->n), number(c, f_scale->d)) : divide(c, number(c, size), number(c, dim));
    if (to) return computed(c, r, x, axis, to, by);
    onnx_bad(c, IR_M0303, "axis %u of %s must be known when massc compiles, for a scale of %g; give it with --dim", axis, onnx_show(c, x), (double)scale);
    return NULL;
  }
  if (size) scale = (float)out / (float)n;
  else out = (int64_t)floorf((float)n * scale);
  if (n < 1 || n > MAX_SIZE || out < 1 || out > MAX_SIZE) { onnx_bad(c, IR_M0201, "axis %u of %s becomes %lld", axis, onnx_show(c, x), (long long)out); return NULL; }
  return tabulated(c, r, x, axis, n, out, scale);
}
/* Scales as numbers, or as fractions of sizes. */
struct scales { bool present; unsigned n; float v[64]; struct onnx_fraction f[64]; };
static bool numbers(struct onnx_ctx *c, const struct onnx_floats *v, struct scales *out)
{
  out->present = v->present;
  out->n = v->n;
  if (v->n > 64) return onnx_bad(c, IR_M0302, "%u scales", v->n);
  for (unsigned i = 0; i < v->n; i++) out->v[i] = (float)v->v[i];
  return true;
}
static bool scales_of(struct onnx_ctx *c, unsigned slot, struct scales *out)
{
  struct ir_value *x = onnx_in(c, slot);
  struct onnx_floats v;
  double known[64];
  *out = (struct scales){ 0 };
  if (!x || (x->type->rank == 1 && ir_ix_is(x->type->dim[0], 0))) return true;
  if (onnx_const_floats(x, known, 64, &out->n)) return numbers(c, &(struct onnx_floats){ true, out->n, known }, out);
  out->present = onnx_fractions(c, x, out->f, &out->n);
  if (!out->present) return onnx_floats(c, (int)slot, &v);                /* says why not */
  for (unsigned i = 0; i < out->n; i++) {
    int64_t n, d;
    if (!ir_ix_const(out->f[i].n, &n) || !ir_ix_const(out->f[i].d, &d)) continue;
    out->v[i] = (float)n / (float)d;
    out->f[i].n = NULL;
  }
  return true;
}
static bool resize_all(struct onnx_ctx *c, const struct resize *r, const struct onnx_ints *axes, const struct onnx_ixs *sizes, const struct scales *scales)
{
  struct ir_value *x = c->in[0];
  unsigned n = axes->present ? axes->n : x->type->rank, have = sizes->present ? sizes->n : scales->n;
  if (have != n) return onnx_bad(c, IR_M0201, "%u scales or sizes for %u axes of %s", have, n, onnx_show(c, x));
  for (unsigned i = 0; x && i < n; i++) {
    unsigned axis = axes->present ? (unsigned)axes->v[i] : i;
    const struct onnx_fraction *f = !sizes->present && scales->f[i].n ? &scales->f[i] : NULL;
    const struct ir_ix *size = sizes->present ? sizes->v[i] : !f ? NULL : f->d == x->type->dim[axis] ? f->n : ir_ix_div(ir_ix_mul(x->type->dim[axis], f->n), f->d);
    float s = sizes->present || f ? 1 : scales->v[i];
    if (!(s > 0) || !(s < 1e6f)) return onnx_bad(c, IR_M0302, "scale %u is %g", i, (double)s);
    x = resize_axis(c, r, x, axis, size, s, f);
  }
  return onnx_out(c, x);
}

/* ---- attributes ---- */
static bool choice(struct onnx_ctx *c, const char *name, const char *dflt, const char *const *names, unsigned n, unsigned *out)
{
  const char *s;
  TRY(onnx_attr_str(c, name, dflt, &s));
  for (*out = 0; *out < n; ++*out)
    if (!strcmp(s, names[*out])) return true;
  return onnx_bad(c, strcmp(s, "tf_crop_and_resize") ? IR_M0302 : IR_M0301, "%s is \"%s\", which is not supported", name, s);
}
/* keep_aspect_ratio_policy: one scale for all axes, the smallest or largest that the sizes ask for. */
static bool keep_aspect(struct onnx_ctx *c, const struct onnx_ints *axes, struct onnx_ixs *sizes)
{
  static const char *const policies[] = { "stretch", "not_larger", "not_smaller" };
  unsigned policy;
  TRY(choice(c, "keep_aspect_ratio_policy", "stretch", policies, 3, &policy));
  if (!policy || !sizes->present) return true;
  double scale = 0;
  const struct ir_ix **v = IR_NEWN(c->arena, const struct ir_ix *, sizes->n);
  if (sizes->n > (axes->present ? axes->n : c->in[0]->type->rank)) return onnx_bad(c, IR_M0201, "%u sizes", sizes->n);
  for (unsigned pass = 0; pass < 2; pass++)
    for (unsigned i = 0; i < sizes->n; i++) {
      int64_t n, s;
      if (!ir_ix_const(c->in[0]->type->dim[axes->present ? (unsigned)axes->v[i] : i], &n) || !ir_ix_const(sizes->v[i], &s) || n < 1)
        return onnx_bad(c, IR_M0303, "sizes and dims must be known when massc compiles, for keep_aspect_ratio_policy");
      double one = (double)s / (double)n;
      if (!pass && (!i || (policy == 1 ? one < scale : one > scale))) scale = one;
      if (pass) v[i] = onnx_k(c, (int64_t)floor(scale * (double)n + 0.5));
    }
  sizes->v = v;
  return true;
}
bool import_resize(struct onnx_ctx *c)
{
  static const char *const modes[] = { "nearest", "linear", "cubic" };
  static const char *const transforms[] = { "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric", "tf_half_pixel_for_nn" };
  static const char *const nearests[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil" };
  unsigned mode, transform, nearest;
  struct resize r = { 0 };
  struct onnx_ints axes;
  struct scales scales;
  struct onnx_ixs sizes;
  TRY(onnx_operands(c, 1, 4) && choice(c, "mode", "nearest", modes, 3, &mode) && choice(c, "coordinate_transformation_mode", "half_pixel", transforms, 6, &transform));
  TRY(choice(c, "nearest_mode", "round_prefer_floor", nearests, 4, &nearest) && onnx_attr_float(c, "cubic_coeff_a", -0.75, &r.cubic_a));
  TRY(onnx_attr_flag(c, "exclude_outside", false, &r.exclude_outside) && onnx_attr_flag(c, "antialias", false, &r.antialias));
  r.mode = (enum mode)mode;
  r.transform = (enum transform)transform;
  r.nearest = (enum nearest)nearest;
  r.antialias &= r.mode != NEAREST;
  TRY(onnx_axes(c, "axes", -1, c->in[0]->type->rank, false, &axes));
  TRY(scales_of(c, 2, &scales) && onnx_ixs(c, NULL, 3, &sizes) && keep_aspect(c, &axes, &sizes));
  if (scales.present == sizes.present) return onnx_bad(c, IR_M0203, "needs either scales or sizes");
  return resize_all(c, &r, &axes, &sizes, &scales);
}
/* Opset 10's Resize and Upsample: asymmetric, rounded down. */
static bool old_mode(struct onnx_ctx *c, struct resize *r)
{
  static const char *const modes[] = { "nearest", "linear", "bilinear" };
  unsigned mode;
  TRY(choice(c, "mode", "nearest", modes, 3, &mode));
  *r = (struct resize){ .mode = mode ? LINEAR : NEAREST, .transform = ASYMMETRIC, .nearest = FLOOR };
  return true;
}
bool import_upsample(struct onnx_ctx *c)
{
  struct resize r;
  struct onnx_floats given = { 0 };
  struct scales scales = { 0 };
  struct onnx_ints axes = { 0 };
  struct onnx_ixs sizes = { 0 };
  double hw[4] = { 1, 1, 1, 1 };
  TRY(onnx_operands(c, c->opset < 9 ? 1 : 2, c->opset < 9 ? 1 : 2) && old_mode(c, &r));
  if (c->opset < 7) {
    TRY(onnx_attr_float(c, "height_scale", 1, &hw[2]) && onnx_attr_float(c, "width_scale", 1, &hw[3]));
    given = (struct onnx_floats){ true, 4, hw };
  } else TRY(c->opset < 9 ? onnx_attr_floats(c, "scales", &given) : scales_of(c, 1, &scales));
  if (c->opset < 9) TRY(numbers(c, &given, &scales));
  if (!scales.present) return onnx_bad(c, IR_M0302, "scales are missing");
  return resize_all(c, &r, &axes, &sizes, &scales);
}
