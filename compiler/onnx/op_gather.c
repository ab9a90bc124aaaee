/* Reading at places that other tensors state, as view. */
#include "compiler/onnx/arith.h"
#include <string.h>

static const struct ir_ix *coord(struct onnx_ctx *c, unsigned d) { return ir_ix_coord(c->m->ixs, d); }
/* in: x and n indices of the result's rank; wrap: one size for each, or NULL */
static struct ir_value *view(struct onnx_ctx *c, struct ir_value *const *in, unsigned n, const struct ir_ix *const *map, unsigned rank, const struct ir_ix *const *dim, const struct ir_ix *const *wrap)
{
  for (unsigned i = 0; i <= n; i++)
    if (!in[i]) return NULL;
  if (rank + n > IR_IX_COORDS) { onnx_bad(c, IR_M0201, "rank %u with %u indices; at most %d together", rank, n, IR_IX_COORDS); return NULL; }
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, in[0]->type->rank), ir_attr_ixs(c->m, "dims", dim, rank), { 0 } };
  if (wrap) a[2] = ir_attr_ixs(c->m, "wrap", wrap, n);
  return onnx_node(c, IR_OP_view, in, n + 1, a, wrap ? 3 : 2);
}
static struct ir_value *as_index(struct onnx_ctx *c, struct ir_value *v)
{
  return !v || v->type->elem == IR_i32 || v->type->elem == IR_i64 ? v : ir_cast(c->b, v, IR_i64);
}
bool import_gather_elements(struct onnx_ctx *c)
{
  unsigned axis, r;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_axis(c, "axis", 0, c->in[0]->type->rank, &axis));
  struct ir_value *in[] = { c->in[0], c->in[1] };
  r = in[0]->type->rank;
  const struct ir_ix *map[IR_MAX_RANK];
  if (in[1]->type->rank != r) return onnx_bad(c, IR_M0201, "indices are %s, the operand %s", onnx_show(c, in[1]), onnx_show(c, in[0]));
  for (unsigned d = 0; d < r; d++) {
    map[d] = coord(c, d == axis ? r : d);
    if (d != axis && ir_prove_ge0(&c->m->facts, ir_ix_sub(in[0]->type->dim[d], in[1]->type->dim[d])) == IR_NO)
      return onnx_bad(c, IR_M0201, "indices are %s, larger than %s", onnx_show(c, in[1]), onnx_show(c, in[0]));
    if (d != axis) TRY(ir_require_ge0(c->m, ir_ix_sub(in[0]->type->dim[d], in[1]->type->dim[d]), "the indices of GatherElements are no larger than its operand"));
  }
  return onnx_out(c, view(c, in, 1, map, r, in[1]->type->dim, &in[0]->type->dim[axis]));
}
/* indices [b.., j.., k]: the first batch_dims axes are shared, the last holds k places */
bool import_gather_nd(struct onnx_ctx *c)
{
  int64_t batch, k;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_int(c, "batch_dims", 0, &batch));
  struct ir_value *x = c->in[0], *idx = as_index(c, c->in[1]), *in[IR_MAX_RANK + 1] = { x };
  const struct ir_type *t = x->type, *it = idx->type;
  if (it->rank < 1 || !ir_ix_const(it->dim[it->rank - 1], &k)) return onnx_bad(c, IR_M0303, "the last axis of the indices, %s, must be known when massc compiles", onnx_show(c, idx));
  if (batch < 0 || batch >= it->rank || k < 1 || batch + k > t->rank) return onnx_bad(c, IR_M0302, "%lld places behind %lld batch axes do not fit %s", (long long)k, (long long)batch, onnx_show(c, x));
  unsigned outer = it->rank - 1, rank = outer + t->rank - (unsigned)(batch + k);
  const struct ir_ix *map[IR_MAX_RANK], *dim[2 * IR_MAX_RANK], *one[2 * IR_MAX_RANK], *wrap[IR_MAX_RANK], *start[IR_MAX_RANK], *cut[IR_MAX_RANK];
  int64_t step[IR_MAX_RANK];
  if (rank > IR_MAX_RANK) return onnx_bad(c, IR_M0201, "rank %u; at most %d is supported", rank, IR_MAX_RANK);
  for (unsigned d = 0; d < rank; d++) {
    dim[d] = d < outer ? it->dim[d] : t->dim[d - outer + (unsigned)(batch + k)];
    one[d] = d < outer ? it->dim[d] : onnx_k(c, 1);
  }
  for (unsigned d = 0; d < it->rank; d++) { start[d] = onnx_k(c, 0); cut[d] = d < outer ? it->dim[d] : onnx_k(c, 1); step[d] = 1; }
  for (unsigned d = 0; d < (unsigned)batch; d++) TRY(ir_require_eq(c->m, it->dim[d], t->dim[d], "the batch axes of GatherND agree"));
  for (unsigned i = 0; i < (unsigned)k; i++) {
    start[outer] = onnx_k(c, i);
    in[i + 1] = ir_reshape(c->b, onnx_slice(c, idx, start, step, cut), rank, one);
    wrap[i] = t->dim[batch + i];
  }
  for (unsigned d = 0; d < t->rank; d++) map[d] = d < batch ? coord(c, d) : d < batch + k ? coord(c, rank + d - (unsigned)batch) : coord(c, outer + d - (unsigned)(batch + k));
  return onnx_out(c, view(c, in, (unsigned)k, map, rank, dim, wrap));
}
/* The first len[b] elements along the time axis turn round. */
bool import_reverse_sequence(struct onnx_ctx *c)
{
  unsigned batch, time;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_axis(c, "batch_axis", 1, c->in[0]->type->rank, &batch) && onnx_attr_axis(c, "time_axis", 0, c->in[0]->type->rank, &time));
  const struct ir_type *t = c->in[0]->type;
  if (batch == time || c->in[1]->type->rank != 1) return onnx_bad(c, IR_M0302, "batch_axis and time_axis are the same, or sequence_lens is %s", onnx_show(c, c->in[1]));
  TRY(ir_require_eq(c->m, c->in[1]->type->dim[0], t->dim[batch], "ReverseSequence has a length for each sample"));
  struct ir_value *in[] = { c->in[0], onnx_along(c, c->in[1], batch, t->rank) };
  const struct ir_ix *map[IR_MAX_RANK], *i = coord(c, time), *len = coord(c, t->rank);
  for (unsigned d = 0; d < t->rank; d++) map[d] = d == time ? ir_ix_select(ir_ix_lt(i, len), ir_ix_sub(ir_ix_addi(len, -1), i), i) : coord(c, d);
  return onnx_out(c, view(c, in, 1, map, t->rank, t->dim, NULL));
}

/* ---- losses ---- */
/* -x[n, target[n,s..], s..] weighted, targets of ignore_index left out; then as `reduction` says: the mean is over the weights. */
static struct ir_value *nll(struct onnx_ctx *c, struct ir_value *x, struct ir_value *target, struct ir_value *weight)
{
  const char *reduction;
  int64_t ignore, axes[IR_MAX_RANK];
  bool skips = onnx_attr(c, "ignore_index") != NULL;
  if (!onnx_attr_str(c, "reduction", "mean", &reduction) || !onnx_attr_int(c, "ignore_index", 0, &ignore) || !x || !target) return NULL;
  unsigned r = target->type->rank;
  if (x->type->rank != r + 1 || r < 1) { onnx_bad(c, IR_M0201, "scores are %s, targets %s", onnx_show(c, x), onnx_show(c, target)); return NULL; }
  if (weight && weight->type->rank != 1) { onnx_bad(c, IR_M0201, "weight is %s, expected rank 1", onnx_show(c, weight)); return NULL; }
  target = as_index(c, target);
  const struct ir_ix *map[IR_MAX_RANK];
  for (unsigned d = 0; d <= r; d++) map[d] = d == 1 ? coord(c, r) : coord(c, d ? d - 1 : 0);
  struct ir_value *in[] = { x, target }, *win[] = { weight, target }, *picked = view(c, in, 1, map, r, target->type->dim, NULL);
  const struct ir_ix *wmap = coord(c, r);
  struct ir_value *w = weight ? view(c, win, 1, &wmap, r, target->type->dim, NULL) : NULL;
  if (skips) {
    struct ir_value *out = onnx_2(c, IR_OP_eq, target, onnx_like(c, target, (double)ignore));
    picked = onnx_select(c, out, onnx_like(c, x, 0), picked);
    w = onnx_select(c, out, onnx_like(c, x, 0), w ? w : onnx_like(c, x, 1));
  }
  struct ir_value *loss = onnx_1(c, IR_OP_neg, w ? mul(c, picked, w) : picked);
  for (unsigned d = 0; d < r; d++) axes[d] = d;
  if (!strcmp(reduction, "none")) return loss;
  if (!strcmp(reduction, "sum")) return onnx_drop_axes(c, onnx_reduce(c, "sum", loss, axes, r), axes, r);
  if (strcmp(reduction, "mean")) { onnx_bad(c, IR_M0302, "reduction is \"%s\"", reduction); return NULL; }
  struct ir_value *m = w ? onnx_2(c, IR_OP_div, onnx_reduce(c, "sum", loss, axes, r), onnx_reduce(c, "sum", w, axes, r)) : onnx_mean(c, loss, axes, r);
  return onnx_drop_axes(c, m, axes, r);
}
bool import_nll_loss(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 2, 3));
  onnx_widen(c);
  return onnx_narrow(c, nll(c, c->in[0], c->in[1], onnx_in(c, 2)));
}
bool import_softmax_cross_entropy(struct onnx_ctx *c)
{
  static const int64_t axis[] = { 1 };
  TRY(onnx_operands(c, 2, 3));
  onnx_widen(c);
  struct ir_value *x = c->in[0];
  if (x->type->rank < 2) return onnx_bad(c, IR_M0201, "scores are %s, expected rank 2 or more", onnx_show(c, x));
  struct ir_value *s = onnx_2(c, IR_OP_sub, x, onnx_reduce(c, "max", x, axis, 1));
  struct ir_value *p = onnx_2(c, IR_OP_sub, s, onnx_1(c, IR_OP_log, onnx_reduce(c, "sum", onnx_1(c, IR_OP_exp, s), axis, 1)));
  TRY(onnx_narrow(c, nll(c, p, c->in[1], onnx_in(c, 2))));
  if (c->n_out > 1) c->out[1] = ir_cast(c->b, p, c->elem);
  return true;
}
