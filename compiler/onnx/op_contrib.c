/* Operators of the domain com.microsoft, as ONNX Runtime's optimisers and the exporters for it write them. Most are an operator of ai.onnx with something added before
 * or behind; meaning: ONNX Runtime's docs/ContribOperators.md. */
#include "compiler/onnx/arith.h"
#include <math.h>
#include <string.h>

enum { OPSET = 20 };                         /* of ai.onnx, whose operators these lean on */
static struct ir_value *add_given(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return y ? onnx_2(c, IR_OP_add, x, y) : x; }
static struct ir_value *k(struct onnx_ctx *c, const struct ir_value *x, double v) { return onnx_like(c, x, v); }

/* ---- activations: Gelu, BiasGelu (arg 0), FastGelu (arg 1), with a bias as second operand ---- */
bool import_ms_gelu(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 2));
  onnx_widen(c);
  struct ir_value *x = add_given(c, c->in[0], onnx_in(c, 1)), *t;
  if (c->row->arg) t = onnx_1(c, IR_OP_tanh, mul(c, add_given(c, x, mul(c, mul(c, mul(c, x, x), x), k(c, x, 0.044715))), k(c, x, 0.79788456080286535588)));
  else t = onnx_1(c, IR_OP_erf, mul(c, x, k(c, x, M_SQRT1_2)));
  return onnx_narrow(c, mul(c, mul(c, x, k(c, x, 0.5)), add_given(c, t, k(c, x, 1))));
}
bool import_ms_quick_gelu(struct onnx_ctx *c)
{
  double alpha;
  TRY(onnx_operands(c, 1, 1) && onnx_attr_float(c, "alpha", (double)1.702f, &alpha));
  onnx_widen(c);
  return onnx_narrow(c, mul(c, c->in[0], onnx_1(c, IR_OP_sigmoid, mul(c, c->in[0], k(c, c->in[0], alpha)))));
}
/* The activation that is fused into Conv and Gemm, on output 0. */
static bool activated(struct onnx_ctx *c)
{
  const char *f;
  double alpha;
  struct onnx_floats params;
  TRY(onnx_attr_str(c, "activation", "", &f) && onnx_attr_floats(c, "activation_params", &params) && onnx_attr_float(c, "activation_alpha", 0.01, &alpha));
  struct ir_value *y = c->out[0], *zero = k(c, y, 0);
  if (!*f) return true;
  if (params.n) alpha = params.v[0];
  if (!strcmp(f, "Relu")) y = onnx_2(c, IR_OP_max, y, zero);
  else if (!strcmp(f, "Sigmoid")) y = onnx_1(c, IR_OP_sigmoid, y);
  else if (!strcmp(f, "Tanh")) y = onnx_1(c, IR_OP_tanh, y);
  else if (!strcmp(f, "LeakyRelu")) y = onnx_select(c, onnx_2(c, IR_OP_lt, y, zero), mul(c, y, k(c, y, alpha)), y);
  else if (!strcmp(f, "Clip") && params.n == 2) y = onnx_2(c, IR_OP_min, onnx_2(c, IR_OP_max, y, k(c, y, params.v[0])), k(c, y, params.v[1]));
  else if (!strcmp(f, "HardSigmoid") && params.n == 2)
    y = onnx_2(c, IR_OP_max, onnx_2(c, IR_OP_min, add_given(c, mul(c, y, k(c, y, params.v[0])), k(c, y, params.v[1])), k(c, y, 1)), zero);
  else return onnx_bad(c, IR_M0301, "activation \"%s\" is not supported", f);
  return onnx_out(c, y);
}

/* ---- products ---- */
bool import_ms_fused_gemm(struct onnx_ctx *c)
{
  c->opset = OPSET;
  return import_gemm(c) && activated(c);
}
/* operands: x, w, bias, and what is added before the activation */
bool import_ms_fused_conv(struct onnx_ctx *c)
{
  struct ir_value *more = onnx_in(c, 3);
  c->opset = OPSET;
  if (c->n_in > 3) c->n_in = c->in[2] ? 3 : 2;
  TRY(import_conv(c));
  return onnx_out(c, add_given(c, c->out[0], more)) && activated(c);
}
static struct ir_value *turned(struct onnx_ctx *c, struct ir_value *x, bool on)
{
  int64_t perm[IR_MAX_RANK];
  unsigned r = x->type->rank;
  if (!on || r < 2) return x;
  for (unsigned d = 0; d < r; d++) perm[d] = d + 2 < r ? d : d + 2 == r ? d + 1 : d - 1;
  return ir_transpose(c->b, x, perm);
}
bool import_ms_fused_matmul(struct onnx_ctx *c)
{
  bool ta, tb, ba, bb;
  double alpha;
  TRY(onnx_operands(c, 2, 2) && onnx_attr_flag(c, "transA", false, &ta) && onnx_attr_flag(c, "transB", false, &tb) && onnx_attr_float(c, "alpha", 1, &alpha));
  TRY(onnx_attr_flag(c, "transBatchA", false, &ba) && onnx_attr_flag(c, "transBatchB", false, &bb));
  if (ba || bb) return onnx_bad(c, IR_M0301, "transBatchA and transBatchB are not supported");
  struct ir_value *y = onnx_matmul(c, turned(c, c->in[0], ta), turned(c, c->in[1], tb));
  return y && onnx_out(c, alpha == 1 ? y : mul(c, y, k(c, y, alpha)));
}

/* ---- norms over the last axis ---- */
static struct ir_value *normalised(struct onnx_ctx *c, struct ir_value *x, bool centred, double eps, struct ir_value *scale, struct ir_value *bias)
{
  int64_t last = (int64_t)x->type->rank - 1;
  struct ir_value *d = centred ? sub(c, x, onnx_mean(c, x, &last, 1)) : x;
  struct ir_value *y = onnx_2(c, IR_OP_div, d, onnx_1(c, IR_OP_sqrt, add_given(c, onnx_mean(c, mul(c, d, d), &last, 1), k(c, x, eps))));
  return add_given(c, mul(c, y, scale), bias);
}
/* arg 0: input, skip, gamma, beta, bias; arg 1, without mean: input, skip, gamma, bias. Output 3: the sum. */
bool import_ms_skip_norm(struct onnx_ctx *c)
{
  bool centred = !c->row->arg;
  double eps;
  TRY(onnx_operands(c, 3, centred ? 5 : 4) && onnx_attr_float(c, "epsilon", centred ? (double)1e-12f : (double)1e-6f, &eps));
  if (c->in[0]->type->rank < 1) return onnx_bad(c, IR_M0201, "operand is a scalar");
  onnx_widen(c);
  struct ir_value *x = add_given(c, add_given(c, c->in[0], c->in[1]), onnx_in(c, centred ? 4 : 3));
  if (!x) return false;
  if (c->n_out > 3) c->out[3] = ir_cast(c->b, x, c->elem);
  return onnx_narrow(c, normalised(c, x, centred, eps, c->in[2], centred ? onnx_in(c, 3) : NULL));
}
/* operands: word ids, segment ids, word, position and segment embeddings, gamma, beta, mask, position ids */
bool import_ms_embed_norm(struct onnx_ctx *c)
{
  double eps;
  int64_t type, last = 1;
  struct ir_value *ids = onnx_in(c, 0), *segments = onnx_in(c, 1), *words = onnx_in(c, 2), *places = onnx_in(c, 3), *seg = onnx_in(c, 4), *at = onnx_in(c, 8), *mask = onnx_in(c, 7);
  if (!ids || !words || !places || !onnx_in(c, 5) || !onnx_in(c, 6) || !segments != !seg) return onnx_bad(c, IR_M0203, "ids, embeddings, gamma or beta are missing");
  TRY(onnx_attr_float(c, "epsilon", (double)1e-12f, &eps) && onnx_attr_int(c, "mask_index_type", 0, &type));
  if (ids->type->rank != 2) return onnx_bad(c, IR_M0201, "input_ids is %s, expected rank 2", onnx_show(c, ids));
  const struct ir_ix *n = ids->type->dim[1], *e = ir_ix_coord(c->m->ixs, 0);
  struct ir_value *x = add_given(c, onnx_gather(c, words, ids, 0), onnx_gather(c, places, at ? at : onnx_index(c, IR_i64, 1, &n, &e, 1), 0));
  if (seg) x = add_given(c, x, onnx_gather(c, seg, segments, 0));
  if (!x) return false;
  if (c->n_out > 1 && mask) c->out[1] = onnx_drop_axes(c, onnx_reduce(c, "sum", ir_cast(c->b, mask, IR_i32), &last, 1), &last, 1);
  else if (c->n_out > 1) c->out[1] = ir_broadcast(c->b, onnx_const(c, IR_i32, 0), 1, ids->type->dim);
  if (c->n_out > 2) c->out[2] = x;
  return onnx_out(c, normalised(c, x, true, eps, c->in[5], c->in[6]));
}

/* ---- Attention: input [b,s,i], weight [i, 3 h d], bias, mask [b,s] (what may be seen) or [b] (how many) ---- */
static struct ir_value *third(struct onnx_ctx *c, struct ir_value *qkv, unsigned i, const struct ir_ix *width, int64_t heads)
{
  const struct ir_ix *start[] = { onnx_k(c, 0), onnx_k(c, 0), ir_ix_muli(width, i) }, *cut[] = { qkv->type->dim[0], qkv->type->dim[1], width };
  const struct ir_ix *dim[] = { cut[0], cut[1], onnx_k(c, heads), ir_ix_divi(width, heads) };
  return ir_transpose(c->b, ir_reshape(c->b, onnx_slice(c, qkv, start, (int64_t[]){ 1, 1, 1 }, cut), 4, dim), (int64_t[]){ 0, 2, 1, 3 });
}
static bool attention_mask(struct onnx_ctx *c, struct ir_value *mask, const struct ir_ix *s, double low, struct ir_value **out)
{
  const struct ir_ix *one = onnx_k(c, 1), *e = ir_ix_coord(c->m->ixs, 0), *b = mask->type->dim[0], *dim[] = { b, one, one, s }, *col[] = { b, one, one, one };
  struct ir_value *seen;
  if (mask->type->rank == 2) seen = onnx_2(c, IR_OP_lt, onnx_const(c, mask->type->elem, 0), ir_reshape(c->b, mask, 4, dim));
  else if (mask->type->rank == 1) seen = onnx_2(c, IR_OP_lt, onnx_along(c, onnx_index(c, IR_i64, 1, &s, &e, 1), 3, 4), ir_reshape(c->b, ir_cast(c->b, mask, IR_i64), 4, col));
  else return onnx_bad(c, IR_M0301, "mask_index is %s; rank 1 or 2 is supported", onnx_show(c, mask));
  *out = onnx_select(c, seen, onnx_const(c, IR_f32, 0), onnx_const(c, IR_f32, low));
  return *out != NULL;
}
bool import_ms_attention(struct onnx_ctx *c)
{
  static const int64_t last[] = { 3 };
  int64_t heads, hd;
  bool causal;
  double scale, low;
  struct ir_value *bias = NULL;
  TRY(onnx_operands(c, 2, 6) && onnx_attr_int(c, "num_heads", 0, &heads) && onnx_attr_flag(c, "unidirectional", false, &causal) && onnx_attr_float(c, "scale", 0, &scale) && onnx_attr_float(c, "mask_filter_value", -10000, &low));
  if (onnx_in(c, 4) || onnx_attr(c, "qkv_hidden_sizes") || onnx_attr(c, "do_rotary")) return onnx_bad(c, IR_M0301, "past, qkv_hidden_sizes and do_rotary are not supported");
  if (c->in[0]->type->rank != 3 || c->in[1]->type->rank != 2 || !ir_ix_const(c->in[1]->type->dim[1], &hd) || heads < 1 || hd % (3 * heads)) return onnx_bad(c, IR_M0201, "input is %s, weights are %s for %lld heads", onnx_show(c, c->in[0]), onnx_show(c, c->in[1]), (long long)heads);
  onnx_widen(c);
  struct ir_value *qkv = add_given(c, onnx_matmul(c, c->in[0], c->in[1]), onnx_in(c, 2));
  if (!qkv) return false;
  const struct ir_ix *width = onnx_k(c, hd / 3), *s = qkv->type->dim[1], *one = onnx_k(c, 1);
  struct ir_value *v[3];
  for (unsigned i = 0; i < 3; i++) v[i] = third(c, qkv, i, width, heads);
  if (onnx_in(c, 3)) TRY(attention_mask(c, c->in[3], s, low, &bias));
  struct ir_value *p = onnx_dot(c, v[0], v[1], "bhqd,bhkd->bhqk");
  p = mul(c, p, k(c, p, scale > 0 ? scale : 1 / sqrt((double)hd / (double)(3 * heads))));
  if (bias) p = add_given(c, p, bias);
  if (onnx_in(c, 5)) p = add_given(c, p, c->in[5]);
  if (causal) {
    const struct ir_ix *dim[] = { one, one, s, s }, *e = ir_ix_ge0(ir_ix_sub(ir_ix_coord(c->m->ixs, 2), ir_ix_coord(c->m->ixs, 3)));
    p = onnx_select(c, onnx_index(c, IR_bool, 4, dim, &e, 1), p, k(c, p, -INFINITY));
  }
  struct ir_value *x = onnx_1(c, IR_OP_exp, sub(c, p, onnx_reduce(c, "max", p, last, 1)));
  x = onnx_2(c, IR_OP_div, x, onnx_reduce(c, "sum", x, last, 1));
  const struct ir_ix *dim[] = { qkv->type->dim[0], s, width };
  return onnx_narrow(c, ir_reshape(c->b, ir_transpose(c->b, onnx_dot(c, x, v[2], "bhqk,bhkd->bhqd"), (int64_t[]){ 0, 2, 1, 3 }), 3, dim));
}
