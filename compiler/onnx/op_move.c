/* Movement: shapes change, elements do not. */
#include "compiler/onnx/rows.h"
#include <string.h>

/* ---- shapes ---- */
/* Reshape's list: 0 copies the operand's dim (unless allowzero), one -1 takes what is left. */
/* Entries that the model reads, so that each may turn out to be 0 or -1. */
static bool reshape_read(struct onnx_ctx *c, const struct ir_value *x, const struct onnx_ixs *s, bool zero_is_zero, const struct ir_ix **dim)
{
  const struct ir_ix *rest[IR_MAX_RANK], *known = onnx_k(c, 1), *one = onnx_k(c, 1);
  for (unsigned i = 0; i < s->n; i++) {
    const struct ir_ix *e = s->v[i], *zero = ir_ix_eq0(e);
    rest[i] = ir_ix_eq0(ir_ix_addi(e, 1));
    dim[i] = zero_is_zero || i >= x->type->rank ? e : ir_ix_opaque(ir_ix_select(zero, x->type->dim[i], e));
    known = ir_ix_mul(known, ir_ix_opaque(ir_ix_select(rest[i], one, dim[i])));
  }
  for (unsigned i = 0; i < s->n; i++) dim[i] = onnx_read_size(c, ir_ix_select(rest[i], ir_ix_div(onnx_product(c, x->type, 0, x->type->rank), ir_ix_max(known, one)), dim[i]));
  return true;
}
static bool uncertain(struct onnx_ctx *c, const struct onnx_ixs *s)
{
  for (unsigned i = 0; i < s->n; i++) {
    int64_t k;
    if (!ir_ix_const(s->v[i], &k) && !ir_known_ge0(&c->m->facts, s->v[i])) return true;
  }
  return false;
}
static bool reshape_dims(struct onnx_ctx *c, const struct ir_value *x, const struct onnx_ixs *s, bool zero_is_zero, const struct ir_ix **dim)
{
  int rest = -1;
  const struct ir_ix *known = onnx_k(c, 1), *all = onnx_k(c, 1);
  unsigned cancelled = 0;            /* axes of x whose dim was taken over, so that 0 / 0 does not arise */
  for (unsigned i = 0; i < s->n; i++) {
    const struct ir_ix *e = s->v[i];
    bool copy = ir_ix_is(e, 0) && !zero_is_zero;
    int64_t k;
    if (ir_ix_is(e, -1)) {
      if (rest >= 0) return onnx_bad(c, IR_M0302, "the shape holds -1 twice");
      rest = (int)i;
      continue;
    }
    if (ir_ix_const(e, &k) && k < 0) return onnx_bad(c, IR_M0302, "the shape holds %lld", (long long)k);
    if (copy && i >= x->type->rank) return onnx_bad(c, IR_M0302, "entry %u of the shape is 0 (copy), the operand is %s", i, onnx_show(c, x));
    dim[i] = copy ? x->type->dim[i] : e;
    if (copy) cancelled |= 1u << i;
    else known = ir_ix_mul(known, dim[i]);
  }
  if (rest < 0) return true;
  for (unsigned d = 0; d < x->type->rank; d++)
    if (!(cancelled & 1u << d)) all = ir_ix_mul(all, x->type->dim[d]);
  if (ir_ix_is(known, 0)) return onnx_bad(c, IR_M0201, "the shape holds both 0 and -1, so that -1 has no meaning");
  int64_t a, b;
  if (ir_ix_const(all, &a) && ir_ix_const(known, &b) && a % b) return onnx_bad(c, IR_M0201, "%lld elements do not divide by %lld for -1 in the shape", (long long)a, (long long)b);
  dim[rest] = ir_ix_div(all, known);
  return true;
}
bool import_reshape(struct onnx_ctx *c)
{
  struct onnx_ixs s;
  bool zero;
  const struct ir_ix *dim[IR_MAX_RANK];
  TRY(onnx_operands(c, c->opset < 5 ? 1 : 2, c->opset < 5 ? 1 : 2) && onnx_ixs(c, "shape", c->opset < 5 ? -1 : 1, &s) && onnx_attr_flag(c, "allowzero", false, &zero));
  if (!s.present) return onnx_bad(c, IR_M0302, "attribute shape is missing");
  if (s.n > IR_MAX_RANK) return onnx_bad(c, IR_M0201, "rank %u; at most %d is supported", s.n, IR_MAX_RANK);
  TRY((uncertain(c, &s) ? reshape_read : reshape_dims)(c, c->in[0], &s, zero, dim));
  return onnx_out(c, ir_reshape(c->b, c->in[0], s.n, dim));
}
bool import_flatten(struct onnx_ctx *c)
{
  int64_t axis;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_int(c, "axis", 1, &axis));
  const struct ir_type *t = c->in[0]->type;
  if (axis < 0) axis += t->rank;
  if (axis < 0 || axis > t->rank) return onnx_bad(c, IR_M0302, "axis %lld does not fit %s", (long long)axis, onnx_show(c, c->in[0]));
  const struct ir_ix *dim[] = { onnx_product(c, t, 0, (unsigned)axis), onnx_product(c, t, (unsigned)axis, t->rank) };
  return onnx_out(c, ir_reshape(c->b, c->in[0], 2, dim));
}
bool import_squeeze(struct onnx_ctx *c)
{
  struct onnx_ints axes;
  TRY(onnx_operands(c, 1, c->opset < 13 ? 1 : 2));
  struct ir_value *x = c->in[0];
  if (c->opset >= 13 && !onnx_axes_known(c, 1)) {
    struct onnx_axset set;
    TRY(onnx_axset(c, "axes", 1, x->type->rank, &set));
    for (unsigned d = 0; d < x->type->rank; d++)
      TRY(ir_require_eq(c->m, ir_ix_mul(set.is[d], ir_ix_addi(x->type->dim[d], -1)), onnx_k(c, 0), "Squeeze drops axes of size 1"));
    return onnx_out(c, onnx_drop_axset(c, x, &set));
  }
  TRY(onnx_axes(c, "axes", c->opset < 13 ? -1 : 1, x->type->rank, true, &axes));
  int64_t all[IR_MAX_RANK];
  if (!axes.present) {
    axes.v = all;
    for (unsigned d = 0; d < x->type->rank; d++)
      if (ir_ix_is(x->type->dim[d], 1)) all[axes.n++] = d;
  }
  for (unsigned i = 0; i < axes.n; i++) {
    const struct ir_ix *d = x->type->dim[axes.v[i]];
    if (ir_prove_eq0(&c->m->facts, ir_ix_addi(d, -1)) == IR_NO) return onnx_bad(c, IR_M0201, "axis %lld of %s is not 1", (long long)axes.v[i], onnx_show(c, x));
    TRY(ir_require_eq(c->m, d, onnx_k(c, 1), "Squeeze drops axes of size 1"));
  }
  return onnx_out(c, onnx_drop_axes(c, x, axes.v, axes.n));
}
static bool unsqueeze_read(struct onnx_ctx *c)
{
  const struct ir_type *t = c->in[0]->type;
  const struct ir_ix *dim[IR_MAX_RANK], *taken = onnx_k(c, 0);
  struct onnx_axset set;
  int64_t n;
  if (!ir_type_static(c->in[1]->type, NULL, &n) || n + t->rank > IR_MAX_RANK) return onnx_bad(c, IR_M0303, "the number of axes must be known when massc compiles, and rank %d is the most", IR_MAX_RANK);
  unsigned rank = t->rank + (unsigned)n;
  TRY(onnx_axset(c, "axes", 1, rank, &set));
  for (unsigned d = 0; d < rank; d++) {
    dim[d] = set.is[d];
    const struct ir_ix *old = ir_ix_sub(onnx_k(c, 1), set.is[d]);
    for (unsigned q = 0; q < t->rank; q++) dim[d] = ir_ix_add(dim[d], ir_ix_mul(t->dim[q], ir_ix_mul(old, ir_ix_eq0(ir_ix_addi(taken, -(int64_t)q)))));
    dim[d] = onnx_read_size(c, dim[d]);
    taken = ir_ix_add(taken, old);
  }
  return onnx_out(c, ir_reshape(c->b, c->in[0], rank, dim));
}
bool import_unsqueeze(struct onnx_ctx *c)
{
  struct onnx_ints axes;
  TRY(onnx_operands(c, 1, c->opset < 13 ? 1 : 2));
  if (c->opset >= 13 && onnx_in(c, 1) && !onnx_axes_known(c, 1)) return unsqueeze_read(c);
  const struct ir_type *t = c->in[0]->type;
  TRY(onnx_ints(c, "axes", c->opset < 13 ? -1 : 1, &axes));
  unsigned rank = t->rank + axes.n, is_new = 0;
  if (!axes.present || rank > IR_MAX_RANK) return onnx_bad(c, IR_M0302, "axes are missing, or more than rank %d allows", IR_MAX_RANK);
  TRY(onnx_axes(c, "axes", c->opset < 13 ? -1 : 1, rank, true, &axes));
  const struct ir_ix *dim[IR_MAX_RANK];
  for (unsigned i = 0; i < axes.n; i++) is_new |= 1u << axes.v[i];
  for (unsigned d = 0, k = 0; d < rank; d++) dim[d] = is_new & 1u << d ? onnx_k(c, 1) : t->dim[k++];
  return onnx_out(c, ir_reshape(c->b, c->in[0], rank, dim));
}
bool import_transpose(struct onnx_ctx *c)
{
  struct onnx_ints perm;
  int64_t p[IR_MAX_RANK];
  TRY(onnx_operands(c, 1, 1) && onnx_attr_ints(c, "perm", &perm));
  unsigned rank = c->in[0]->type->rank, seen = 0;
  if (perm.present && perm.n != rank) return onnx_bad(c, IR_M0302, "perm has %u entries for %s", perm.n, onnx_show(c, c->in[0]));
  for (unsigned d = 0; d < rank; d++) {
    p[d] = perm.present ? perm.v[d] : (int64_t)(rank - 1 - d);
    if (p[d] < 0 || p[d] >= rank || seen & 1u << p[d]) return onnx_bad(c, IR_M0302, "perm is no permutation of 0..%u", rank - 1);
    seen |= 1u << p[d];
  }
  return onnx_out(c, ir_transpose(c->b, c->in[0], p));
}
bool import_expand(struct onnx_ctx *c)
{
  struct onnx_ixs s;
  TRY(onnx_operands(c, 2, 2) && onnx_ixs(c, "shape", 1, &s));
  if (s.n > IR_MAX_RANK) return onnx_bad(c, IR_M0201, "rank %u; at most %d is supported", s.n, IR_MAX_RANK);
  const struct ir_type *t = c->in[0]->type;
  const struct ir_ix *dim[IR_MAX_RANK];
  for (unsigned d = 0; d < s.n; d++) {
    const struct ir_ix *have = d + t->rank >= s.n ? t->dim[d + t->rank - s.n] : onnx_k(c, 1);
    dim[d] = s.v[d];
    int64_t k;
    if (ir_ix_const(s.v[d], &k) || ir_known_ge0(&c->m->facts, s.v[d]) || ir_ix_is(have, 1)) continue;
    dim[d] = have;                     /* a size that the model reads: this one, or 1 */
    TRY(ir_require_eq(c->m, ir_ix_mul(ir_ix_sub(s.v[d], have), ir_ix_addi(s.v[d], -1)), onnx_k(c, 0), "Expand states the operand's size or 1"));
  }
  return onnx_out(c, ir_broadcast(c->b, c->in[0], s.n, dim));
}
/* d becomes [1, d], is broadcast to [r, d] and merged. */
static bool repeat(struct onnx_ctx *c, struct ir_value *x, const struct ir_ix *const *times)
{
  const struct ir_ix *split[2 * IR_MAX_RANK], *wide[2 * IR_MAX_RANK], *merged[IR_MAX_RANK];
  unsigned k = 0;
  for (unsigned d = 0; d < x->type->rank; d++) {
    int64_t t;
    if (ir_ix_const(times[d], &t) && t < 0) return onnx_bad(c, IR_M0302, "axis %u is repeated %lld times", d, (long long)t);
    const struct ir_ix *n = x->type->dim[d];
    merged[d] = ir_ix_mul(n, times[d]);
    if (!ir_ix_is(times[d], 1) && !ir_ix_is(n, 1)) { split[k] = onnx_k(c, 1); wide[k++] = times[d]; }
    split[k] = n;
    wide[k++] = ir_ix_is(n, 1) ? times[d] : n;
  }
  if (k > IR_MAX_RANK) return onnx_bad(c, IR_M0201, "repeating %s takes rank %u; at most %d is supported", onnx_show(c, x), k, IR_MAX_RANK);
  return onnx_out(c, ir_reshape(c->b, ir_broadcast(c->b, ir_reshape(c->b, x, k, split), k, wide), x->type->rank, merged));
}
bool import_tile(struct onnx_ctx *c)
{
  struct onnx_ixs r;
  TRY(onnx_operands(c, 2, 2) && onnx_ixs(c, "repeats", 1, &r));
  if (r.n != c->in[0]->type->rank) return onnx_bad(c, IR_M0201, "repeats has %u entries for %s", r.n, onnx_show(c, c->in[0]));
  return repeat(c, c->in[0], r.v);
}
/* Opset 1: operands tiles and axis, each one number. */
bool import_tile1(struct onnx_ctx *c)
{
  struct onnx_ixs tiles;
  struct onnx_ints axis;
  unsigned a;
  const struct ir_ix *times[IR_MAX_RANK];
  TRY(onnx_operands(c, 3, 3) && onnx_ixs(c, "tiles", 1, &tiles) && onnx_ints(c, "axis", 2, &axis));
  if (tiles.n != 1 || axis.n != 1) return onnx_bad(c, IR_M0201, "tiles and axis are not single numbers");
  TRY(onnx_axis(c, axis.v[0], c->in[0]->type->rank, &a));
  for (unsigned d = 0; d < c->in[0]->type->rank; d++) times[d] = d == a ? tiles.v[0] : onnx_k(c, 1);
  return repeat(c, c->in[0], times);
}

/* ---- parts ---- */
bool import_concat(struct onnx_ctx *c)
{
  unsigned axis;
  TRY(onnx_operands(c, c->n_in ? c->n_in : 1, UINT32_MAX));
  if (c->opset >= 4 && !onnx_attr(c, "axis")) return onnx_bad(c, IR_M0302, "attribute axis is missing");
  TRY(onnx_attr_axis(c, "axis", 1, c->in[0]->type->rank, &axis));
  struct ir_attr a = ir_attr_int("axis", axis);
  return onnx_out(c, c->n_in == 1 ? c->in[0] : onnx_node(c, IR_OP_concat, c->in, c->n_in, &a, 1));
}
static struct ir_value *part(struct onnx_ctx *c, struct ir_value *x, unsigned axis, const struct ir_ix *from, const struct ir_ix *size)
{
  const struct ir_ix *start[IR_MAX_RANK], *dims[IR_MAX_RANK];
  int64_t step[IR_MAX_RANK];
  for (unsigned d = 0; d < x->type->rank; d++) {
    start[d] = d == axis ? from : onnx_k(c, 0);
    dims[d] = d == axis ? size : x->type->dim[d];
    step[d] = 1;
  }
  return onnx_slice(c, x, start, step, dims);
}
/* Sizes as attribute `split` (operand from opset 13 on, and in opset 1); else equal parts, from opset 18 on with a smaller last one. */
static bool split_sizes(struct onnx_ctx *c, const struct ir_ix *n, unsigned parts, const struct ir_ix **size)
{
  struct onnx_ixs s;
  TRY(onnx_ixs(c, "split", c->opset >= 13 || c->n_in > 1 ? 1 : -1, &s));
  if (s.present && s.n != parts) return onnx_bad(c, IR_M0203, "split has %u entries for %u outputs", s.n, parts);
  const struct ir_ix *each = ir_ix_cdivi(n, parts), *left = n, *sum = onnx_k(c, 0);
  for (unsigned i = 0; i < parts; i++) {
    int64_t v;
    size[i] = s.present ? s.v[i] : ir_ix_max(ir_ix_min(each, left), onnx_k(c, 0));
    if (ir_ix_const(size[i], &v) && v < 0) return onnx_bad(c, IR_M0302, "part %u has size %lld", i, (long long)v);
    left = ir_ix_sub(left, size[i]);
    sum = ir_ix_add(sum, size[i]);
  }
  if (!s.present) {
    int64_t k;
    if (c->opset < 18 && ir_ix_const(n, &k) && k % parts) return onnx_bad(c, IR_M0201, "axis of size %lld does not split into %u equal parts", (long long)k, parts);
    return true;
  }
  if (ir_prove_eq0(&c->m->facts, ir_ix_sub(sum, n)) == IR_NO) return onnx_bad(c, IR_M0201, "the parts of split do not sum up to the axis' size");
  return ir_require_eq(c->m, sum, n, "the parts of Split sum up to the axis");
}
bool import_split(struct onnx_ctx *c)
{
  unsigned axis;
  int64_t asked;
  TRY(onnx_operands(c, 1, c->opset >= 2 && c->opset < 13 ? 1 : 2) && onnx_attr_axis(c, "axis", 0, c->in[0]->type->rank, &axis));
  TRY(onnx_attr_int(c, "num_outputs", c->n_out, &asked));
  if (!c->n_out || asked != c->n_out) return onnx_bad(c, IR_M0203, "%u outputs, num_outputs is %lld", c->n_out, (long long)asked);
  const struct ir_ix **size = IR_NEWN(c->arena, const struct ir_ix *, c->n_out), *from = onnx_k(c, 0);
  TRY(split_sizes(c, c->in[0]->type->dim[axis], c->n_out, size));
  for (unsigned i = 0; i < c->n_out; i++) {
    c->out[i] = part(c, c->in[0], axis, from, size[i]);
    if (!c->out[i]) return false;
    from = ir_ix_add(from, size[i]);
  }
  return true;
}
/* ---- Slice ---- */
enum { FAR = INT32_MAX };            /* constants from here on mean "to the end", as exporters write them */
/* A bound as ONNX reads it: negative ones count from the end; then it is held within lo..hi. */
static const struct ir_ix *slice_bound(struct onnx_ctx *c, const struct ir_ix *e, const struct ir_ix *n, const struct ir_ix *lo, const struct ir_ix *hi)
{
  int64_t k;
  if (ir_ix_const(e, &k)) {
    if (k >= FAR) return hi;
    if (k <= -FAR) return lo;
    e = k < 0 ? ir_ix_addi(n, k) : e;
  } else {
    enum ir_proof p = ir_prove_ge0(&c->m->facts, e);
    if (p == IR_NO) {
      int64_t a, b;
      ir_ix_range(e, &a, &b);
      e = b < 0 ? ir_ix_add(e, n) : ir_ix_select(ir_ix_ge0(e), e, ir_ix_add(e, n));
    } else if (p == IR_UNKNOWN) e = ir_ix_select(ir_ix_ge0(e), e, ir_ix_add(e, n));
  }
  return ir_ix_simplify(&c->m->facts, ir_ix_min(ir_ix_max(e, lo), hi));
}
static bool slice_axis(struct onnx_ctx *c, const struct ir_ix *n, const struct ir_ix *s, const struct ir_ix *e, int64_t step, const struct ir_ix **start, const struct ir_ix **dim)
{
  const struct ir_ix *zero = onnx_k(c, 0), *last = ir_ix_addi(n, -1);
  if (step > 0) {
    *start = slice_bound(c, s, n, zero, n);
    e = slice_bound(c, e, n, zero, n);
    *dim = ir_ix_cdivi(ir_ix_max(ir_ix_sub(e, *start), zero), step);
  } else {
    *start = slice_bound(c, s, n, zero, last);
    e = slice_bound(c, e, n, onnx_k(c, -1), last);
    *dim = ir_ix_cdivi(ir_ix_max(ir_ix_sub(*start, e), zero), -step);
  }
  *dim = ir_ix_simplify(&c->m->facts, *dim);
  if (ir_ix_is(*dim, 0)) *start = zero;
  return true;
}
/* Axes or steps that the model reads: every axis is cut, those not named from 0 to their end. */
static bool slice_read(struct onnx_ctx *c, const struct onnx_ixs *starts, const struct onnx_ixs *ends)
{
  struct ir_value *x = c->in[0];
  struct onnx_axset axes;
  struct onnx_ixs steps;
  const struct ir_ix *zero = onnx_k(c, 0), *one = onnx_k(c, 1), *map[IR_MAX_RANK], *dim[IR_MAX_RANK];
  TRY(onnx_axset(c, "axes", 3, x->type->rank, &axes) && onnx_ixs(c, "steps", 4, &steps));
  unsigned n = axes.present ? axes.n : starts->n;
  if (starts->n != n || ends->n != n || n > axes.n || (steps.present && steps.n != n)) return onnx_bad(c, IR_M0302, "starts, ends, axes and steps have %u, %u, %u and %u entries", starts->n, ends->n, axes.n, steps.n);
  for (unsigned d = 0; d < x->type->rank; d++) {
    const struct ir_ix *len = x->type->dim[d], *s = zero, *e = zero, *step = one, *named = zero;
    for (unsigned j = 0; j < n; j++) {
      const struct ir_ix *t = axes.at[j][d];
      named = ir_ix_add(named, t);
      s = ir_ix_add(s, ir_ix_mul(t, starts->v[j]));
      e = ir_ix_add(e, ir_ix_mul(t, ends->v[j]));
      if (steps.present) step = ir_ix_add(step, ir_ix_mul(t, ir_ix_addi(steps.v[j], -1)));
    }
    const struct ir_ix *up = ir_ix_ge0(ir_ix_addi(step, -1)), *top = ir_ix_add(ir_ix_addi(len, -1), up), *size = ir_ix_select(up, step, ir_ix_neg(step));
    TRY(ir_require_ge0(c->m, ir_ix_addi(size, -1), "a step of Slice is not 0"));
    s = ir_ix_min(ir_ix_max(ir_ix_select(ir_ix_ge0(s), s, ir_ix_add(s, len)), zero), top);
    e = ir_ix_min(ir_ix_max(ir_ix_select(ir_ix_ge0(e), e, ir_ix_add(e, len)), ir_ix_addi(up, -1)), top);
    const struct ir_ix *cut = ir_ix_cdiv(ir_ix_max(ir_ix_select(up, ir_ix_sub(e, s), ir_ix_sub(s, e)), zero), ir_ix_max(size, one));
    dim[d] = onnx_read_size(c, ir_ix_select(named, cut, len));
    map[d] = ir_ix_add(ir_ix_mul(named, s), ir_ix_mul(step, ir_ix_coord(c->m->ixs, d)));
  }
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, x->type->rank), ir_attr_ixs(c->m, "dims", dim, x->type->rank) };
  return onnx_out(c, onnx_node(c, IR_OP_view, &x, 1, a, 2));
}
bool import_slice(struct onnx_ctx *c)
{
  struct onnx_ixs starts, ends;
  struct onnx_ints axes, steps;
  bool old = c->opset < 10;
  TRY(onnx_operands(c, old ? 1 : 3, old ? 1 : 5));
  struct ir_value *x = c->in[0];
  TRY(onnx_ixs(c, "starts", old ? -1 : 1, &starts) && onnx_ixs(c, "ends", old ? -1 : 2, &ends));
  if (!old && (!onnx_axes_known(c, 3) || !onnx_axes_known(c, 4))) return slice_read(c, &starts, &ends);
  TRY(onnx_axes(c, "axes", old ? -1 : 3, x->type->rank, false, &axes) &&
      onnx_ints(c, old ? NULL : "steps", old ? -1 : 4, &steps));
  unsigned n = axes.present ? axes.n : starts.n;
  if (!starts.present || starts.n != ends.n || starts.n != n || (steps.present && steps.n != n) || n > x->type->rank)
    return onnx_bad(c, IR_M0302, "starts, ends, axes and steps have %u, %u, %u and %u entries for %s", starts.n, ends.n, axes.n, steps.n, onnx_show(c, x));
  const struct ir_ix *start[IR_MAX_RANK], *dim[IR_MAX_RANK];
  int64_t step[IR_MAX_RANK];
  for (unsigned d = 0; d < x->type->rank; d++) { start[d] = onnx_k(c, 0); dim[d] = x->type->dim[d]; step[d] = 1; }
  for (unsigned i = 0; i < n; i++) {
    unsigned d = axes.present ? (unsigned)axes.v[i] : i;
    step[d] = steps.present ? steps.v[i] : 1;
    if (!step[d]) return onnx_bad(c, IR_M0302, "a step is 0");
    if (step[d] > FAR) step[d] = FAR;
    if (step[d] < -FAR) step[d] = -FAR;
    TRY(slice_axis(c, x->type->dim[d], starts.v[i], ends.v[i], step[d], &start[d], &dim[d]));
    if (ir_ix_is(dim[d], 0) || ir_ix_is(dim[d], 1)) step[d] = 1;
  }
  return onnx_out(c, onnx_slice(c, x, start, step, dim));
}
/* ---- Pad ---- */
/* Where element c<axis> of the padded axis comes from. Reflection has period 2(n-1). */
static const struct ir_ix *pad_source(struct onnx_ctx *c, const char *mode, const struct ir_ix *n, const struct ir_ix *lo)
{
  const struct ir_ix *i = ir_ix_sub(ir_ix_coord(c->m->ixs, 0), lo), *last = ir_ix_addi(n, -1);
  if (!strcmp(mode, "edge")) return ir_ix_min(ir_ix_max(i, onnx_k(c, 0)), last);
  if (!strcmp(mode, "wrap")) return ir_ix_mod(i, n);
  const struct ir_ix *period = ir_ix_max(ir_ix_muli(last, 2), onnx_k(c, 1)), *t = ir_ix_mod(i, period);
  return ir_ix_min(t, ir_ix_sub(period, t));
}
static bool pad_mapped(struct onnx_ctx *c, struct ir_value *x, const char *mode, const struct ir_ix *const *lo, const struct ir_ix *const *hi)
{
  if (strcmp(mode, "edge") && strcmp(mode, "wrap") && strcmp(mode, "reflect")) return onnx_bad(c, IR_M0302, "mode is \"%s\"", mode);
  for (unsigned d = 0; x && d < x->type->rank; d++) {
    if (ir_ix_is(lo[d], 0) && ir_ix_is(hi[d], 0)) continue;
    const struct ir_ix *n = x->type->dim[d], *to = ir_ix_add(n, ir_ix_add(lo[d], hi[d]));
    int64_t k;
    if (ir_ix_is(n, 0) || (ir_ix_const(to, &k) && k < 0)) return onnx_bad(c, IR_M0201, "axis %u of %s cannot be padded so", d, onnx_show(c, x));
    const struct ir_ix *e = pad_source(c, mode, n, lo[d]);
    x = onnx_gather(c, x, onnx_index(c, IR_i64, 1, &to, &e, 1), d);
  }
  return onnx_out(c, x);
}
static bool pad_operands(struct onnx_ctx *c, struct onnx_ixs *pads, struct onnx_axset *axes, struct ir_value **value)
{
  struct ir_value *x = c->in[0];
  double v;
  bool old = c->opset < 11;
  TRY(onnx_ixs(c, c->opset < 2 ? "paddings" : "pads", old ? -1 : 1, pads));
  if (!pads->present) return onnx_bad(c, IR_M0302, "pads are missing");
  TRY(onnx_axset(c, NULL, old ? -1 : 3, x->type->rank, axes));
  TRY(onnx_attr_float(c, "value", 0, &v));
  *value = !old && onnx_in(c, 2) ? ir_cast(c->b, ir_reshape(c->b, c->in[2], 0, NULL), x->type->elem) : onnx_like(c, x, old ? v : 0);
  return *value != NULL;
}
bool import_pad(struct onnx_ctx *c)
{
  struct onnx_ixs pads;
  struct onnx_axset axes;
  const char *mode;
  struct ir_value *value = NULL;
  TRY(onnx_operands(c, c->opset < 11 ? 1 : 2, c->opset < 11 ? 1 : 4) && pad_operands(c, &pads, &axes, &value) && onnx_attr_str(c, "mode", "constant", &mode));
  struct ir_value *x = c->in[0];
  unsigned n = axes.n;
  if (pads.n != 2 * n) return onnx_bad(c, IR_M0302, "pads has %u entries, %u axes are padded", pads.n, n);
  const struct ir_ix *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
  for (unsigned d = 0; d < x->type->rank; d++) lo[d] = hi[d] = onnx_k(c, 0);
  for (unsigned i = 0; i < n; i++)
    for (unsigned d = 0; d < x->type->rank; d++) {
      lo[d] = ir_ix_add(lo[d], ir_ix_mul(axes.at[i][d], pads.v[i]));
      hi[d] = ir_ix_add(hi[d], ir_ix_mul(axes.at[i][d], pads.v[n + i]));
    }
  return strcmp(mode, "constant") ? pad_mapped(c, x, mode, lo, hi) : onnx_out(c, onnx_pad(c, x, value, lo, hi));
}

/* ---- gathers and blocks ---- */
bool import_gather(struct onnx_ctx *c)
{
  unsigned axis;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_axis(c, "axis", 0, c->in[0]->type->rank, &axis));
  const struct ir_value *at = c->in[1];
  int64_t size, v;
  for (unsigned k = 0; at->form && k < at->form_n && ir_ix_const(c->in[0]->type->dim[axis], &size); k++)
    if (ir_ix_const(at->form[k], &v) && (v < -size || v >= size)) return onnx_bad(c, IR_M0201, "index %lld is outside of axis %u of %s", (long long)v, axis, onnx_show(c, c->in[0]));
  return onnx_out(c, onnx_gather(c, c->in[0], c->in[1], axis));
}
static bool block_size(struct onnx_ctx *c, int64_t *b)
{
  TRY(onnx_operands(c, 1, 1) && onnx_attr_int(c, "blocksize", 0, b));
  if (*b < 1 || *b > FAR) return onnx_bad(c, IR_M0302, "blocksize is %lld", (long long)*b);
  return c->in[0]->type->rank == 4 || onnx_bad(c, IR_M0201, "operand is %s, expected rank 4", onnx_show(c, c->in[0]));
}
static bool divides(struct onnx_ctx *c, const struct ir_ix *e, int64_t by, unsigned axis)
{
  int64_t k;
  if (ir_ix_const(e, &k) && k % by) return onnx_bad(c, IR_M0201, "axis %u of %s does not divide by %lld", axis, onnx_show(c, c->in[0]), (long long)by);
  return ir_require_eq(c->m, ir_ix_muli(ir_ix_divi(e, by), by), e, "an axis divides by the block size");
}
/* The order of the channels: block before depth (DCR), or depth before block. */
static bool block_mode(struct onnx_ctx *c, bool *dcr)
{
  const char *mode;
  TRY(onnx_attr_str(c, "mode", "DCR", &mode));
  *dcr = !strcmp(mode, "DCR");
  return *dcr || !strcmp(mode, "CRD") || onnx_bad(c, IR_M0302, "mode is \"%s\", expected DCR or CRD", mode);
}
bool import_depth_to_space(struct onnx_ctx *c)
{
  int64_t b;
  bool dcr;
  TRY(block_size(c, &b) && block_mode(c, &dcr));
  const struct ir_ix *const *d = c->in[0]->type->dim, *k = onnx_k(c, b);
  TRY(divides(c, d[1], b * b, 1));
  const struct ir_ix *depth = ir_ix_divi(d[1], b * b);
  const struct ir_ix *split[] = { d[0], dcr ? k : depth, k, dcr ? depth : k, d[2], d[3] }, *merged[] = { d[0], depth, ir_ix_muli(d[2], b), ir_ix_muli(d[3], b) };
  const int64_t perm_dcr[] = { 0, 3, 4, 1, 5, 2 }, perm_crd[] = { 0, 1, 4, 2, 5, 3 };
  return onnx_out(c, ir_reshape(c->b, ir_transpose(c->b, ir_reshape(c->b, c->in[0], 6, split), dcr ? perm_dcr : perm_crd), 4, merged));
}
bool import_space_to_depth(struct onnx_ctx *c)
{
  int64_t b;
  bool dcr;
  TRY(block_size(c, &b) && block_mode(c, &dcr));
  const struct ir_ix *const *d = c->in[0]->type->dim, *k = onnx_k(c, b);
  TRY(divides(c, d[2], b, 2) && divides(c, d[3], b, 3));
  const struct ir_ix *h = ir_ix_divi(d[2], b), *w = ir_ix_divi(d[3], b);
  const int64_t perm_dcr[] = { 0, 3, 5, 1, 2, 4 }, perm_crd[] = { 0, 1, 3, 5, 2, 4 };
  const struct ir_ix *split[] = { d[0], d[1], h, k, w, k }, *merged[] = { d[0], ir_ix_muli(d[1], b * b), h, w };
  return onnx_out(c, ir_reshape(c->b, ir_transpose(c->b, ir_reshape(c->b, c->in[0], 6, split), dcr ? perm_dcr : perm_crd), 4, merged));
}

/* ---- CenterCropPad: every axis (of `axes`) gets its size of `shape`: cut at both ends, or padded with zeros, the odd one at the end ---- */
bool import_center_crop_pad(struct onnx_ctx *c)
{
  struct onnx_ixs shape;
  struct onnx_ints axes;
  TRY(onnx_operands(c, 2, 2) && onnx_ixs(c, "shape", 1, &shape) && onnx_axes(c, "axes", -1, c->in[0]->type->rank, false, &axes));
  struct ir_value *x = c->in[0];
  const struct ir_ix *start[IR_MAX_RANK], *cut[IR_MAX_RANK], *lo[IR_MAX_RANK], *hi[IR_MAX_RANK], *zero = onnx_k(c, 0);
  int64_t step[IR_MAX_RANK];
  unsigned rank = x->type->rank;
  if (shape.n != (axes.present ? axes.n : rank)) return onnx_bad(c, IR_M0302, "shape has %u entries for %u axes", shape.n, axes.present ? axes.n : rank);
  for (unsigned d = 0; d < rank; d++) { start[d] = lo[d] = hi[d] = zero; cut[d] = x->type->dim[d]; step[d] = 1; }
  for (unsigned i = 0; i < shape.n; i++) {
    unsigned d = axes.present ? (unsigned)axes.v[i] : i;
    const struct ir_ix *n = x->type->dim[d], *want = shape.v[i], *less = ir_ix_simplify(&c->m->facts, ir_ix_max(ir_ix_sub(n, want), zero)), *more = ir_ix_simplify(&c->m->facts, ir_ix_max(ir_ix_sub(want, n), zero));
    start[d] = ir_ix_divi(less, 2);
    cut[d] = ir_ix_sub(n, less);
    lo[d] = ir_ix_divi(more, 2);
    hi[d] = ir_ix_sub(more, lo[d]);
  }
  return onnx_out(c, onnx_pad(c, onnx_slice(c, x, start, step, cut), onnx_like(c, x, 0), lo, hi));
}
