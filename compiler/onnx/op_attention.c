/* Attention and RotaryEmbedding, in parts; pass recognise finds the pattern again. */
#include "compiler/onnx/arith.h"
#include <math.h>

static struct ir_value *concat(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y, unsigned axis)
{
  struct ir_value *in[] = { x, y };
  struct ir_attr a = ir_attr_int("axis", axis);
  return x && y ? onnx_node(c, IR_OP_concat, in, 2, &a, 1) : NULL;
}
static struct ir_value *swap_middle(struct onnx_ctx *c, struct ir_value *x) { return x ? ir_transpose(c->b, x, (int64_t[]){ 0, 2, 1, 3 }) : NULL; }

/* ---- Attention (opsets 23 to 25) ----
 *   q [b,h,s,d] or [b,s,h*d], k, v [b,g,t,d..] or [b,t,g*d..] (h a multiple of g) -> softmax(softcap(scale * q k^T) + bias) v
 * bias: attn_mask (bool: what may be seen), causal and window masks, whose diagonal lies at the end of what came before (past_key, or nonpad_kv_seqlen - s), and the
 * padding beyond nonpad_kv_seqlen. A row in which the bias is -inf everywhere gives 0. Half precision is computed in f32. */
enum { Q, K, V, MASK, PAST_K, PAST_V, NONPAD };
struct attention {
  struct ir_value *q, *k, *v, *bias;
  bool flat;                         /* rank 3 */
  bool every_row_sees;               /* no row of the bias is -inf throughout, as far as is known */
  int64_t h, g, causal, mode, precision, left, right;
  double scale, softcap;
};
static struct ir_value *heads(struct onnx_ctx *c, struct ir_value *x, int64_t n, const char *what)
{
  if (x->type->rank == 4) return x;
  const struct ir_ix *width = x->type->dim[2];
  int64_t w;
  if (n < 1 || (ir_ix_const(width, &w) && w % n)) { onnx_bad(c, IR_M0302, "%s = %lld does not divide the last axis of %s", what, (long long)n, onnx_show(c, x)); return NULL; }
  const struct ir_ix *dim[] = { x->type->dim[0], x->type->dim[1], onnx_k(c, n), ir_ix_divi(width, n) };
  return swap_middle(c, ir_reshape(c->b, x, 4, dim));
}
static bool attention_operands(struct onnx_ctx *c, struct attention *a)
{
  double unset = NAN;
  int64_t h, g;
  TRY(onnx_operands(c, 3, 7) && onnx_attr_int(c, "q_num_heads", 0, &h) && onnx_attr_int(c, "kv_num_heads", 0, &g) && onnx_attr_int(c, "is_causal", 0, &a->causal) &&
      onnx_attr_int(c, "qk_matmul_output_mode", 0, &a->mode) && onnx_attr_int(c, "softmax_precision", 0, &a->precision) && onnx_attr_float(c, "scale", unset, &a->scale) &&
      onnx_attr_float(c, "softcap", 0, &a->softcap) && onnx_attr_int(c, "left_window_size", -1, &a->left) && onnx_attr_int(c, "right_window_size", -1, &a->right));
  for (unsigned i = 0; i < 3; i++) {
    unsigned r = c->in[i]->type->rank;
    if ((r != 3 && r != 4) || r != c->in[0]->type->rank) return onnx_bad(c, IR_M0201, "operand %u is %s, expected rank 3 or 4, the same for Q, K and V", i, onnx_show(c, c->in[i]));
  }
  if (a->mode < 0 || a->mode > 3) return onnx_bad(c, IR_M0302, "qk_matmul_output_mode is %lld", (long long)a->mode);
  if (!onnx_in(c, PAST_K) != !onnx_in(c, PAST_V)) return onnx_bad(c, IR_M0203, "past_key and past_value go together");
  if (onnx_in(c, PAST_K) && onnx_in(c, NONPAD)) return onnx_bad(c, IR_M0203, "nonpad_kv_seqlen does not go with past_key");
  a->flat = c->in[0]->type->rank == 3;
  onnx_widen(c);
  a->q = heads(c, c->in[Q], h, "q_num_heads");
  a->k = heads(c, c->in[K], g, "kv_num_heads");
  a->v = heads(c, c->in[V], g, "kv_num_heads");
  if (onnx_in(c, PAST_K)) { a->k = concat(c, c->in[PAST_K], a->k, 2); a->v = concat(c, c->in[PAST_V], a->v, 2); }
  if (!a->q || !a->k || !a->v) return false;
  if (!ir_ix_const(a->q->type->dim[1], &a->h) || !ir_ix_const(a->k->type->dim[1], &a->g)) return onnx_bad(c, IR_M0303, "the number of heads must be known when massc compiles");
  if (a->g < 1 || a->h % a->g) return onnx_bad(c, IR_M0201, "%lld heads of Q do not divide by %lld of K", (long long)a->h, (long long)a->g);
  int64_t d;
  if (!isnan(a->scale)) return true;
  if (!ir_ix_const(a->q->type->dim[3], &d) || d < 1) return onnx_bad(c, IR_M0303, "the size of a head must be known when massc compiles");
  a->scale = 1 / sqrt((double)d);
  return true;
}
/* "bhqd,bhkd->bhqk" and the like, the heads of K and V shared by groups of those of x. */
static struct ir_value *grouped(struct onnx_ctx *c, const struct attention *a, struct ir_value *x, struct ir_value *y, const char *plain, const char *shared)
{
  if (a->h == a->g) return onnx_dot(c, x, y, plain);
  const struct ir_type *t = x->type;
  const struct ir_ix *split[] = { t->dim[0], onnx_k(c, a->g), onnx_k(c, a->h / a->g), t->dim[2], t->dim[3] };
  struct ir_value *r = onnx_dot(c, ir_reshape(c->b, x, 5, split), y, shared);
  if (!r) return NULL;
  const struct ir_ix *merged[] = { t->dim[0], onnx_k(c, a->h), r->type->dim[3], r->type->dim[4] };
  return ir_reshape(c->b, r, 4, merged);
}
/* bias where allowed, else -inf */
static void allow(struct onnx_ctx *c, struct attention *a, struct ir_value *allowed)
{
  a->bias = onnx_select(c, allowed, a->bias ? a->bias : onnx_like(c, a->q, 0), onnx_like(c, a->q, -INFINITY));
}
/* attn_mask as a bias of rank 4; what it lacks of the last axis may not be seen. */
static bool mask_operand(struct onnx_ctx *c, struct attention *a)
{
  struct ir_value *m = onnx_in(c, MASK);
  const struct ir_ix *lo[4], *hi[4], *dim[4];
  if (!m) return true;
  unsigned r = m->type->rank;
  if (r < 1 || r > 4) return onnx_bad(c, IR_M0201, "attn_mask is %s, expected rank 1 to 4", onnx_show(c, m));
  struct ir_value *low = onnx_like(c, a->q, -INFINITY);
  if (m->type->elem == IR_bool) m = onnx_select(c, m, onnx_like(c, a->q, 0), low);
  if (!m) return false;
  if (m->type->elem != a->q->type->elem) return onnx_bad(c, IR_M0202, "attn_mask is %s, Q %s", onnx_show(c, m), onnx_show(c, a->q));
  for (unsigned d = 0; d < r; d++) lo[d] = hi[d] = onnx_k(c, 0);
  hi[r - 1] = ir_ix_simplify(&c->m->facts, ir_ix_max(ir_ix_sub(a->k->type->dim[2], m->type->dim[r - 1]), onnx_k(c, 0)));
  m = onnx_pad(c, m, low, lo, hi);
  if (!m) return false;
  for (unsigned d = 0; d < 4; d++) dim[d] = d < 4 - r ? onnx_k(c, 1) : m->type->dim[d - (4 - r)];
  a->bias = ir_reshape(c->b, m, 4, dim);
  a->every_row_sees = false;
  return a->bias != NULL;
}
/* i + offset - j >= least, for offset an expression (on = NULL) or one number for each sample. */
static struct ir_value *diagonal(struct onnx_ctx *c, const struct attention *a, const struct ir_ix *offset, struct ir_value *on, int64_t sign, int64_t least)
{
  const struct ir_ix *one = onnx_k(c, 1), *dim[] = { one, one, a->q->type->dim[2], a->k->type->dim[2] };
  const struct ir_ix *e = ir_ix_add(ir_ix_sub(ir_ix_coord(c->m->ixs, 2), ir_ix_coord(c->m->ixs, 3)), offset);
  e = ir_ix_addi(ir_ix_muli(e, sign), -least);
  if (!on) { e = ir_ix_ge0(e); return onnx_index(c, IR_bool, 4, dim, &e, 1); }
  if (sign < 0) on = onnx_1(c, IR_OP_neg, on);
  return onnx_2(c, IR_OP_le, onnx_const(c, IR_i64, 0), add(c, onnx_index(c, IR_i64, 4, dim, &e, 1), on));
}
static bool position_masks(struct onnx_ctx *c, struct attention *a)
{
  struct ir_value *nonpad = onnx_in(c, NONPAD), *len = NULL;
  const struct ir_ix *one = onnx_k(c, 1), *offset = onnx_k(c, 0);
  if (nonpad) {
    const struct ir_ix *dim[] = { a->q->type->dim[0], one, one, one };
    len = ir_reshape(c->b, ir_cast(c->b, nonpad, IR_i64), 4, dim);
    offset = ir_ix_neg(a->q->type->dim[2]);
    a->every_row_sees = false;
    if (!len) return false;
  } else if (onnx_in(c, PAST_K)) offset = c->in[PAST_K]->type->dim[2];
  if (a->left >= 0 || a->right >= 0) a->every_row_sees = false;
  if (a->causal) allow(c, a, diagonal(c, a, offset, len, 1, 0));
  if (a->left >= 0) allow(c, a, diagonal(c, a, offset, len, -1, -a->left));
  if (a->right >= 0) allow(c, a, diagonal(c, a, offset, len, 1, -a->right));
  if (!len) return true;
  const struct ir_ix *dim[] = { one, one, one, a->k->type->dim[2] }, *j = ir_ix_coord(c->m->ixs, 3);
  allow(c, a, onnx_2(c, IR_OP_lt, onnx_index(c, IR_i64, 4, dim, &j, 1), len));
  return a->bias != NULL;
}
static struct ir_value *softmax(struct onnx_ctx *c, const struct attention *a, struct ir_value *s)
{
  static const int64_t last[] = { 3 };
  struct ir_value *m = onnx_reduce(c, "max", s, last, 1);
  if (a->every_row_sees) {
    struct ir_value *e = onnx_1(c, IR_OP_exp, sub(c, s, m));
    return onnx_2(c, IR_OP_div, e, onnx_reduce(c, "sum", e, last, 1));
  }
  struct ir_value *low = onnx_like(c, s, -INFINITY), *zero = onnx_like(c, s, 0);
  struct ir_value *e = onnx_1(c, IR_OP_exp, sub(c, s, onnx_select(c, onnx_2(c, IR_OP_eq, m, low), zero, m))), *sum = onnx_reduce(c, "sum", e, last, 1);
  struct ir_value *blind = onnx_2(c, IR_OP_eq, onnx_reduce(c, "max", a->bias, last, 1), onnx_like(c, a->bias, -INFINITY));
  return onnx_select(c, blind, zero, onnx_2(c, IR_OP_div, e, sum));
}
static struct ir_value *narrow(struct onnx_ctx *c, struct ir_value *v) { return v ? ir_cast(c->b, v, c->elem) : NULL; }
bool import_attention(struct onnx_ctx *c)
{
  struct attention a = { .every_row_sees = true };
  TRY(attention_operands(c, &a) && mask_operand(c, &a) && position_masks(c, &a));
  enum ir_elem e = a.q->type->elem;
  struct ir_value *s = mul(c, grouped(c, &a, a.q, a.k, "bhqd,bhkd->bhqk", "bgrqd,bgkd->bgrqk"), onnx_like(c, a.q, a.scale)), *shown = s;
  if (a.softcap > 0) s = mul(c, onnx_1(c, IR_OP_tanh, onnx_2(c, IR_OP_div, s, onnx_like(c, s, a.softcap))), onnx_like(c, s, a.softcap));
  if (a.mode == 1) shown = s;
  if (a.bias) s = add(c, s, a.bias);
  if (a.mode == 2) shown = s;
  if (a.precision == 11) { s = s ? ir_cast(c->b, s, IR_f64) : NULL; }      /* f16 and bf16 as well are done in f32 or wider */
  struct ir_value *p = s ? softmax(c, &a, s) : NULL;
  if (p) p = ir_cast(c->b, p, e);
  if (a.mode == 3) shown = p;
  struct ir_value *y = p ? grouped(c, &a, p, a.v, "bhqk,bhkd->bhqd", "bgrqk,bgkd->bgrqd") : NULL;
  if (y && a.flat) {
    const struct ir_type *t = y->type;
    const struct ir_ix *dim[] = { t->dim[0], t->dim[2], ir_ix_mul(t->dim[1], t->dim[3]) };
    y = ir_reshape(c->b, swap_middle(c, y), 3, dim);
  }
  struct ir_value *out[] = { y, a.k, a.v, shown };
  for (unsigned i = 0; i < c->n_out && i < 4; i++) c->out[i] = narrow(c, out[i]);
  return c->out[0] != NULL;
}

/* ---- RotaryEmbedding: pairs (x1, x2) of the last axis turn by angles whose cosine and sine are given for each place, or for each id ---- */
static struct ir_value *part(struct onnx_ctx *c, struct ir_value *x, const struct ir_ix *from, const struct ir_ix *n, int64_t step)
{
  const struct ir_ix *start[4], *dim[4];
  int64_t steps[] = { 1, 1, 1, step };
  if (!x) return NULL;
  for (unsigned d = 0; d < 4; d++) { start[d] = d == 3 ? from : onnx_k(c, 0); dim[d] = d == 3 ? n : x->type->dim[d]; }
  return onnx_slice(c, x, start, steps, dim);
}
/* [b,s,d/2] or, with ids, rows of [ids,d/2]: as [b,s,1,d/2] */
static struct ir_value *turns(struct onnx_ctx *c, struct ir_value *cache)
{
  struct ir_value *ids = onnx_in(c, 3);
  if (ids) cache = onnx_gather(c, cache, ids, 0);
  if (!cache) return NULL;
  if (cache->type->rank != 3) { onnx_bad(c, IR_M0201, "cosines and sines are %s, expected rank 3, or 2 with position_ids", onnx_show(c, cache)); return NULL; }
  const struct ir_ix *dim[] = { cache->type->dim[0], cache->type->dim[1], onnx_k(c, 1), cache->type->dim[2] };
  return ir_reshape(c->b, cache, 4, dim);
}
bool import_rotary_embedding(struct onnx_ctx *c)
{
  int64_t turned, heads_n, w;
  bool inter;
  TRY(onnx_operands(c, 3, 4) && onnx_attr_int(c, "rotary_embedding_dim", 0, &turned) && onnx_attr_int(c, "num_heads", 0, &heads_n) && onnx_attr_flag(c, "interleaved", false, &inter));
  onnx_widen(c);
  struct ir_value *x = c->in[0];
  const struct ir_type *t = x->type;
  if (t->rank != 3 && t->rank != 4) return onnx_bad(c, IR_M0201, "operand is %s, expected rank 3 or 4", onnx_show(c, x));
  if (t->rank == 4) x = swap_middle(c, x);
  else {
    if (heads_n < 1 || (ir_ix_const(t->dim[2], &w) && w % heads_n)) return onnx_bad(c, IR_M0302, "num_heads = %lld does not divide the last axis of %s", (long long)heads_n, onnx_show(c, x));
    const struct ir_ix *dim[] = { t->dim[0], t->dim[1], onnx_k(c, heads_n), ir_ix_divi(t->dim[2], heads_n) };
    x = ir_reshape(c->b, x, 4, dim);
  }
  if (!x || !ir_ix_const(x->type->dim[3], &w)) return onnx_bad(c, IR_M0303, "the size of a head must be known when massc compiles");
  if (!turned) turned = w;
  if (turned < 2 || turned % 2 || turned > w) return onnx_bad(c, IR_M0302, "rotary_embedding_dim is %lld, a head has %lld elements", (long long)turned, (long long)w);
  const struct ir_ix *half = onnx_k(c, turned / 2), *zero = onnx_k(c, 0);
  struct ir_value *x1 = part(c, x, zero, half, inter ? 2 : 1), *x2 = part(c, x, inter ? onnx_k(c, 1) : half, half, inter ? 2 : 1), *cos = turns(c, c->in[1]), *sin = turns(c, c->in[2]);
  struct ir_value *re = sub(c, mul(c, cos, x1), mul(c, sin, x2)), *im = add(c, mul(c, sin, x1), mul(c, cos, x2)), *y;
  if (!re || !im) return false;
  if (inter) {
    const struct ir_ix *pair[] = { re->type->dim[0], re->type->dim[1], re->type->dim[2], half, onnx_k(c, 1) }, *both[] = { pair[0], pair[1], pair[2], onnx_k(c, turned) };
    y = ir_reshape(c->b, concat(c, ir_reshape(c->b, re, 5, pair), ir_reshape(c->b, im, 5, pair), 4), 4, both);
  } else y = concat(c, re, im, 3);
  if (turned < w) y = concat(c, y, part(c, x, onnx_k(c, turned), onnx_k(c, w - turned), 1), 3);
  return y && onnx_narrow(c, t->rank == 4 ? swap_middle(c, y) : ir_reshape(c->b, y, 3, t->dim));
}
