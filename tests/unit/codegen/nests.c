#include "nests.h"

static const struct ir_ix *I(struct kir_nest *n, int64_t k) { return ir_ix_int(n->ixs, k); }
static const struct ir_ix *axis(struct kir_nest *n, const char *name, const struct ir_ix *ext)
{
  int64_t lo, hi;
  ir_ix_range(ext, &lo, &hi);
  const struct ir_ix *v = ir_ix_fresh(n->ixs, name, IR_SYM_AXIS, 0, hi > 0 ? hi - 1 : 0, 1);
  if (!ir_ix_const(ext, &lo)) ir_facts_push(&n->facts, ir_ix_addi(ir_ix_sub(ext, v), -1));
  return v;
}
/* Storage of an image argument [n, c, h, w]. */
static void store_as(struct kir_nest *n, struct kir_arr *a, enum storage s, int64_t halo)
{
  const struct ir_ix *c[4], *zero = I(n, 0);
  int64_t ch, h, w;
  if (s == ROWS) return;
  for (unsigned d = 0; d < 4; d++) {
    c[d] = ir_ix_coord(n->ixs, d);
    a->shape[d] = a->hi[d];
    a->lo[d] = zero;
  }
  if (!ir_ix_const(a->hi[1], &ch) || !ir_ix_const(a->hi[2], &h) || !ir_ix_const(a->hi[3], &w)) return;
  if (s == BLOCKED) halo = 0;
  if (halo) {
    for (unsigned d = 2; d < 4; d++) {
      a->lo[d] = I(n, -halo);
      a->hi[d] = ir_ix_addi(a->hi[d], halo);
    }
    a->zero_pad = true;
  }
  if (s == ROWS_HALO) return;
  int64_t row = w + 2 * halo, plane = (h + 2 * halo) * row + 1, cb = (ch + 15) / 16;
  if (ch % 16) a->slack |= 2;
  a->hi[1] = I(n, cb * 16);
  const struct ir_ix *p = ir_ix_add(ir_ix_muli(c[0], cb), ir_ix_divi(c[1], 16));
  p = ir_ix_add(ir_ix_muli(p, plane), ir_ix_add(ir_ix_muli(ir_ix_addi(c[2], halo), row), ir_ix_addi(c[3], halo)));
  a->at = ir_ix_add(ir_ix_muli(p, 16), ir_ix_modi(c[1], 16));
  a->elems = ir_ix_muli(a->shape[0], cb * plane * 16);
}
static struct kir_expr *f32c(struct kir_nest *n, double v) { return kir_const(n, IR_f32, v, 0); }

struct kir_nest *conv_nest(struct ir_arena *a, const struct conv_case *c)
{
  struct kir_nest *n = kir_nest_create(a, "conv");
  int oh = (c->h + 2 * c->pad - c->dil * (c->kh - 1) - 1) / c->stride + 1, ow = (c->w + 2 * c->pad - c->dil * (c->kw - 1) - 1) / c->stride + 1, cg = c->c / c->groups;
  const struct ir_ix *N = c->batch ? ir_ix_sym(n->ixs, "N", IR_SYM_DIM, 1, 64, 1) : I(n, c->n);
  const struct ir_ix *xd[4] = { N, I(n, c->c), I(n, c->h), I(n, c->w) }, *wd[4] = { I(n, c->o), I(n, cg), I(n, c->kh), I(n, c->kw) }, *yd[4] = { N, I(n, c->o), I(n, oh), I(n, ow) };
  struct kir_arr *x = kir_arg(n, "x", IR_f32, 4, xd, false), *w = kir_arg(n, "w", IR_f32, 4, wd, false), *b = NULL, *r = NULL, *y;
  w->space = KIR_CONST;
  if (c->bias) {
    b = kir_arg(n, "b", IR_f32, 1, &yd[1], false);
    b->space = KIR_CONST;
  }
  if (c->residual) r = kir_arg(n, "r", IR_f32, 4, yd, false);
  y = kir_arg(n, "y", IR_f32, 4, yd, true);
  store_as(n, x, c->x, c->pad ? c->pad : 1);
  store_as(n, y, c->y, 1);
  if (r) store_as(n, r, c->y == ROWS ? ROWS : BLOCKED, 0);
  struct kir_axis ax[4] = { { axis(n, "n", N), N }, { axis(n, "o", yd[1]), yd[1] }, { axis(n, "h", yd[2]), yd[2] }, { axis(n, "w", yd[3]), yd[3] } };
  struct kir_axis k[3] = { { axis(n, "c", wd[1]), wd[1] }, { axis(n, "i", wd[2]), wd[2] }, { axis(n, "j", wd[3]), wd[3] } };
  const struct ir_ix *at[4] = { ax[0].var, ax[1].var, ax[2].var, ax[3].var };
  const struct ir_ix *ch = c->groups == 1 ? k[0].var : ir_ix_add(ir_ix_muli(ir_ix_divi(at[1], c->o / c->groups), cg), k[0].var);
  const struct ir_ix *xa[4] = { at[0], ch, NULL, NULL }, *wa[4] = { at[1], k[0].var, k[1].var, k[2].var };
  for (unsigned d = 2; d < 4; d++) xa[d] = ir_ix_addi(ir_ix_add(ir_ix_muli(at[d], c->stride), ir_ix_muli(k[d - 1].var, c->dil)), -c->pad);
  bool halo = c->x == HALO || c->x == ROWS_HALO;
  struct kir_expr *e = kir_fn(n, IR_MAP_mul, kir_read(n, x, xa, c->pad && !halo ? f32c(n, 0) : NULL), kir_read(n, w, wa, NULL), NULL);
  struct kir_arr *t = kir_nest_temp(n, "t", IR_f32, 4, yd);
  kir_stmt(n, t, ax, 4, kir_red(n, KIR_SUM, k, 3, e));
  e = kir_read(n, t, at, NULL);
  if (b) e = kir_fn(n, IR_MAP_add, e, kir_read(n, b, &at[1], NULL), NULL);
  if (r) e = kir_fn(n, IR_MAP_add, e, kir_read(n, r, at, NULL), NULL);
  if (c->relu) e = kir_fn(n, IR_MAP_max, e, f32c(n, 0), NULL);
  kir_stmt(n, y, ax, 4, e);
  return n;
}

struct kir_nest *gemm_nest(struct ir_arena *a, const struct gemm_case *c)
{
  struct kir_nest *n = kir_nest_create(a, "gemm");
  const struct ir_ix *B = I(n, c->b), *M = c->sym ? ir_ix_sym(n->ixs, "M", IR_SYM_DIM, 1, 4096, 1) : I(n, c->m), *N = I(n, c->n), *K = I(n, c->k);
  const struct ir_ix *xd[3] = { B, M, K }, *wd[3] = { B, c->t ? N : K, c->t ? K : N }, *yd[3] = { B, M, N };
  unsigned o = c->b == 1;                         /* no batch axis then */
  struct kir_arr *x = kir_arg(n, "x", IR_f32, 3 - o, xd + o, false), *w = kir_arg(n, "w", IR_f32, 3 - o, wd + o, false), *b = NULL, *r = NULL, *y;
  if (c->constant) w->space = KIR_CONST;
  if (c->bias) {
    b = kir_arg(n, "b", IR_f32, 1, &yd[2], false);
    b->space = KIR_CONST;
  }
  if (c->residual) r = kir_arg(n, "r", IR_f32, 3 - o, yd + o, false);
  y = kir_arg(n, "y", IR_f32, 3 - o, yd + o, true);
  struct kir_axis ax[3] = { { axis(n, "b", B), B }, { axis(n, "m", M), M }, { axis(n, "n", N), N } }, k = { axis(n, "k", K), K };
  const struct ir_ix *at[3] = { ax[0].var, ax[1].var, ax[2].var }, *xa[3] = { at[0], at[1], k.var }, *wa[3] = { at[0], c->t ? at[2] : k.var, c->t ? k.var : at[2] };
  struct kir_expr *e = kir_fn(n, IR_MAP_mul, kir_read(n, x, xa + o, NULL), kir_read(n, w, wa + o, NULL), NULL);
  struct kir_arr *t = c->bias || c->residual || c->relu ? kir_nest_temp(n, "t", IR_f32, 3 - o, yd + o) : y;
  kir_stmt(n, t, ax + o, 3 - o, kir_red(n, KIR_SUM, &k, 1, e));
  if (t == y) return n;
  e = kir_read(n, t, at + o, NULL);
  if (b) e = kir_fn(n, IR_MAP_add, e, kir_read(n, b, &at[2], NULL), NULL);
  if (r) e = kir_fn(n, IR_MAP_add, e, kir_read(n, r, at + o, NULL), NULL);
  if (c->relu) e = kir_fn(n, IR_MAP_max, e, f32c(n, 0), NULL);
  kir_stmt(n, y, ax + o, 3 - o, e);
  return n;
}

static struct kir_nest *t_gemm(struct ir_arena *a, enum ir_elem el, const struct ir_ix *(*size)(struct kir_nest *, const char *, int by, int n), int by, int nn, int kk)
{
  struct kir_nest *n = kir_nest_create(a, "gemm");
  const struct ir_ix *M = ir_ix_sym(n->ixs, "M", IR_SYM_DIM, 1, 4096, 1), *N = size(n, "N", by, nn), *K = size(n, "K", by, kk);
  struct kir_arr *x = kir_arg(n, "A", el, 2, (const struct ir_ix *[]){ M, K }, false), *w = kir_arg(n, "B", el, 2, (const struct ir_ix *[]){ N, K }, false);
  struct kir_arr *b = kir_arg(n, "b", el, 1, &N, false), *y = kir_arg(n, "C", el, 2, (const struct ir_ix *[]){ M, N }, true);
  struct kir_axis ax[2] = { { axis(n, "m", M), M }, { axis(n, "n", N), N } }, k = { axis(n, "k", K), K };
  const struct ir_ix *at[2] = { ax[0].var, ax[1].var }, *xa[2] = { at[0], k.var }, *wa[2] = { at[1], k.var };
  struct kir_expr *e = kir_fn(n, IR_MAP_mul, kir_cast(n, IR_f32, kir_read(n, x, xa, NULL)), kir_cast(n, IR_f32, kir_read(n, w, wa, NULL)), NULL);
  struct kir_arr *t = kir_nest_temp(n, "t", IR_f32, 2, (const struct ir_ix *[]){ M, N });
  kir_stmt(n, t, ax, 2, kir_red(n, KIR_SUM, &k, 1, e));
  e = kir_fn(n, IR_MAP_add, kir_read(n, t, at, NULL), kir_cast(n, IR_f32, kir_read(n, b, &at[1], NULL)), NULL);
  kir_stmt(n, y, ax, 2, kir_cast(n, el, kir_fn(n, IR_MAP_max, e, f32c(n, 0), NULL)));
  return n;
}
static const struct ir_ix *any_size(struct kir_nest *n, const char *name, int by, int v) { return by ? ir_ix_sym(n->ixs, name, IR_SYM_DIM, by, 512 * by, by) : I(n, v); }
struct kir_nest *narrow_gemm_nest(struct ir_arena *a, enum ir_elem e, int by, int n, int k) { return t_gemm(a, e, any_size, by, n, k); }
struct kir_nest *rows_gemm_nest(struct ir_arena *a, int n, int k) { return t_gemm(a, IR_f32, any_size, 0, n, k); }

static void channels_last(struct kir_nest *n, struct kir_arr *a)
{
  const struct ir_ix *c[4];
  for (unsigned d = 0; d < 4; d++) c[d] = ir_ix_coord(n->ixs, d);
  const struct ir_ix *p = ir_ix_add(ir_ix_mul(ir_ix_add(ir_ix_mul(c[0], a->hi[2]), c[2]), a->hi[3]), c[3]);
  a->at = ir_ix_add(ir_ix_mul(p, a->hi[1]), c[1]);
}
struct kir_nest *narrow_conv_nest(struct ir_arena *a, enum ir_elem el, int c, int h, int w, int o)
{
  struct kir_nest *n = kir_nest_create(a, "conv");
  const struct ir_ix *N = I(n, 1), *three = I(n, 3), *xd[4] = { N, I(n, c), I(n, h), I(n, w) }, *wd[4] = { I(n, o), xd[1], three, three }, *yd[4] = { N, wd[0], xd[2], xd[3] };
  struct kir_arr *x = kir_arg(n, "X", el, 4, xd, false), *wt = kir_arg(n, "W", el, 4, wd, false), *y = kir_arg(n, "Y", el, 4, yd, true);
  channels_last(n, x);
  channels_last(n, wt);
  channels_last(n, y);
  struct kir_axis ax[3] = { { axis(n, "o", yd[1]), yd[1] }, { axis(n, "h", yd[2]), yd[2] }, { axis(n, "w", yd[3]), yd[3] } };
  struct kir_axis k[3] = { { axis(n, "c", xd[1]), xd[1] }, { axis(n, "i", three), three }, { axis(n, "j", three), three } };
  const struct ir_ix *zero = I(n, 0), *at[4] = { zero, ax[0].var, ax[1].var, ax[2].var }, *wa[4] = { at[1], k[0].var, k[1].var, k[2].var };
  const struct ir_ix *xa[4] = { zero, k[0].var, ir_ix_addi(ir_ix_add(at[2], k[1].var), -1), ir_ix_addi(ir_ix_add(at[3], k[2].var), -1) };
  struct kir_expr *e = kir_fn(n, IR_MAP_mul, kir_cast(n, IR_f32, kir_read(n, x, xa, kir_const(n, el, 0, 0))), kir_cast(n, IR_f32, kir_read(n, wt, wa, NULL)), NULL);
  struct kir_arr *t = kir_nest_temp(n, "t", IR_f32, 4, yd);
  kir_stmt(n, t, ax, 3, kir_red(n, KIR_SUM, k, 3, e))->at = ir_arena_copy(a, at, sizeof at);
  e = kir_fn(n, IR_MAP_max, kir_read(n, t, at, NULL), f32c(n, 0), NULL);
  kir_stmt(n, y, ax, 3, kir_cast(n, el, e))->at = ir_arena_copy(a, at, sizeof at);
  return n;
}
