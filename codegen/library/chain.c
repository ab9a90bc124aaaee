/* chain: attention as one kernel. Of the scores a task holds one block of keys, however long the sequence.
 *
 * A task owns a few rows i (a query block of one batch and head) and runs over blocks of keys j in the online form (Milakov and Gimelshein; Rabe and Staats;
 * Dao's FlashAttention): running maximum m, sum l and result o of the keys so far; a block with a larger maximum rescales l and o by exp(m_old - m_new).
 * That changes the rounding, not the value, and what the equations say of masked rows holds: m starts as the lowest finite number, so a row whose scores are
 * all -inf ends with l = 0 and thereby NaN, one masked by finite numbers with their mean. NaN and +inf among the scores make l NaN.
 *
 * Everything is held transposed, vectors along i: scores [j, i], result [e, i]. Then k and v are read element by element where they lie, as the factor that is
 * the same for all places of a vector; no product needs them transposed, whatever their layout, and maxima, sums and scales are vectors too. q is transposed
 * once for a task, the result once at its end.
 *
 *   q[d, i] <- q                                     scratch
 *   for each block of keys:
 *     for rows j of it, `R` at a time:  acc[R, i] = sum[d] k*q;  t = its maps;  scores[j, i] <- t;  n = max(n, t)
 *     a = exp(m - n);  l = l*a + sum[j] scores[j, i] <- exp(scores[j, i] - n)
 *     for e, `R` at a time:             o[e, i] <- o[e, i]*a + sum[j] v*scores[j, i]
 *   results <- maps of o/l
 *
 * Record: loops = grid over the rows one by one, i by the block; `for j` by the block of keys, `for j` by the rows of a score tile, `for e` by those of a
 * result tile. tile = vectors along i. k, v = shared: a block of them is computed into scratch first (maps upon them, rows that evict one another).
 * Keys behind the last row of a task that a causal mask hides from all of it are left out. Weakness: few rows i leave vectors empty. */
#include <math.h>
#include <string.h>
#include "codegen/library/chain.h"

enum { MAX_TILE = 32, MAX_WIDTH = 1024 /* of d and e */, BLOCK = 126 /* keys: a multiple of 14 and 6 */, ONE_BLOCK = 192, SCRATCH = 1 << 20, UNROLL = 4 };

struct gen {
  struct cg_chain *c;
  struct cg_flat *f;
  unsigned lanes, vecs;             /* of a block of rows */
  int64_t cols, block, rj, re;      /* rows of a task; keys of a block; rows of the tiles */
  int64_t D, E;
  const struct ir_ix *v, *i0, *I;   /* place in a vector along i; first row of the task; number of rows */
  const struct ir_ix *ks;           /* number of keys that the task needs */
  const struct ir_ix *causal;       /* row i needs those up to i + causal; NULL: all */
  bool once;                        /* one block holds all keys */
  struct kir_arr *qs, *p, *os, *stat, *kb, *vb;
};
enum { ST_M, ST_N, ST_L, ST_A, ST_ROWS }; /* rows of stat */

static const struct ir_ix *num(const struct gen *g, int64_t i) { return ir_ix_int(g->f->k->ixs, i); }

/* ---- scratch: rows of g->cols, vectors along them ---- */
static const struct ir_ix *place(const struct gen *g, const struct ir_ix *row, unsigned q) { return ir_ix_addi(ir_ix_muli(row, g->cols), (int64_t)q * g->lanes); }
static struct kir_op *ld(struct gen *g, struct kir_arr *b, const struct ir_ix *off, unsigned lanes, int64_t stride)
{
  struct kir_op *o = kir_emit(&g->f->em, KIR_load, IR_f32, lanes, NULL, 0, &off, 1);
  o->arr = b;
  o->stride = stride;
  return o;
}
static void st(struct gen *g, struct kir_arr *b, const struct ir_ix *off, struct kir_op *v, unsigned lanes)
{
  v = cg_flat_wide(g->f, v, lanes);
  kir_emit(&g->f->em, KIR_store, IR_f32, lanes, &v, 1, &off, 1)->arr = b;
}
static struct kir_op *stat(struct gen *g, unsigned row, unsigned q) { return ld(g, g->stat, place(g, num(g, row), q), g->lanes, 1); }
static void set_stat(struct gen *g, unsigned row, unsigned q, struct kir_op *v) { st(g, g->stat, place(g, num(g, row), q), v, g->lanes); }

/* ---- values ---- */
static struct kir_op *f32c(struct gen *g, double x) { return cg_flat_const(g->f, IR_f32, x, 0); }
static struct kir_op *ew(struct gen *g, enum ir_map m, struct kir_op *a, struct kir_op *b) { return cg_flat_ew(g->f, m, IR_f32, a, b); }
static struct kir_op *pick(struct gen *g, struct kir_op *c, struct kir_op *a, struct kir_op *b)
{
  unsigned lanes = c->lanes;
  if (a->lanes > lanes) lanes = a->lanes;
  if (b->lanes > lanes) lanes = b->lanes;
  struct kir_op *s[3] = { cg_flat_wide(g->f, c, lanes), cg_flat_wide(g->f, a, lanes), cg_flat_wide(g->f, b, lanes) };
  struct kir_op *o = kir_emit(&g->f->em, KIR_ew, IR_f32, lanes, s, 3, NULL, 0);
  o->sub = IR_MAP_select;
  return o;
}
/* max without care for NaN in x: it keeps m, and exp(NaN - m) makes the sum NaN. */
static struct kir_op *larger(struct gen *g, struct kir_op *m, struct kir_op *x) { return pick(g, cg_flat_ew(g->f, IR_MAP_lt, IR_bool, m, x), x, m); }
static struct kir_op *multiply_add(struct gen *g, struct kir_op *a, struct kir_op *b, struct kir_op *c)
{
  struct kir_op *s[3] = { cg_flat_wide(g->f, a, c->lanes), cg_flat_wide(g->f, b, c->lanes), c };
  return kir_emit(&g->f->em, KIR_fma, IR_f32, c->lanes, s, 3, NULL, 0);
}
/* An op on other lanes than before: what is at hand is not so there. */
static void set_lanes(struct gen *g, unsigned n, const struct ir_ix *v)
{
  g->f->lanes = n;
  g->f->v = v;
  g->f->memo.n = 0;
}
static const struct ir_ix *row_at(const struct gen *g, unsigned q)
{
  const struct ir_ix *i = ir_ix_addi(g->i0, (int64_t)q * g->lanes);
  return g->v ? ir_ix_add(i, g->v) : i;
}
/* Binds the rows of vector q; those that do not exist take no part in reads. */
static uint32_t enter_rows(struct gen *g, unsigned q)
{
  uint32_t facts = ir_facts_mark(&g->f->k->facts);
  if (g->c->i < 0) return facts;
  const struct ir_ix *i = row_at(g, q), *left = ir_ix_sub(g->I, i);
  cg_flat_bind(g->f, g->c->row[g->c->i].var, i);
  if (!ir_known_ge0(&g->f->k->facts, ir_ix_addi(left, -1))) {
    cg_flat_assume(g->f, ir_ix_addi(left, -1));
    if (g->v) g->f->upto = ir_ix_add(left, g->v);
  }
  return facts;
}
static void leave_rows(struct gen *g, uint32_t facts)
{
  g->f->upto = NULL;
  ir_facts_reset(&g->f->k->facts, facts);
}

/* ---- q and, if they are staged, k and v ---- */
static void load_q(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  const struct ir_ix *d = cg_flat_for(f, "d", num(g, 0), num(g, g->D), 0, &o);
  for (unsigned q = 0; q < g->vecs; q++) {
    uint32_t mark = cg_flat_mark(f), facts = enter_rows(g, q);
    cg_flat_bind(f, g->c->d.var, d);
    struct kir_op *x = cg_flat_expr(f, g->c->q);
    leave_rows(g, facts);
    st(g, g->qs, place(g, d, q), x, g->lanes);
    cg_flat_unbind(f, mark);
  }
  cg_flat_close(f, &o);
}
static void take_q(struct gen *g)
{
  struct cg_open o;
  const struct ir_ix *full = ir_ix_sub(ir_ix_sub(g->I, g->i0), num(g, g->cols));
  if (g->c->i < 0 || ir_known_ge0(&g->f->k->facts, full)) {
    load_q(g);
    return;
  }
  cg_flat_if(g->f, &full, 1, &o);      /* the same twice: facts make the difference */
  load_q(g);
  cg_flat_else(g->f, &o);
  load_q(g);
  cg_flat_close(g->f, &o);
}
/* b[j, x] <- e for the keys of a block, vectors along x. */
static void stage(struct gen *g, struct kir_arr *b, const struct kir_expr *e, const struct ir_ix *x, int64_t n, const struct ir_ix *base, const struct ir_ix *nj)
{
  struct cg_flat *f = g->f;
  struct cg_open o, ox;
  unsigned w = g->lanes;
  while (w > n && w > 1) w /= 2;
  const struct ir_ix *v = w > 1 ? ir_ix_fresh(f->k->ixs, "vec", IR_SYM_ID, 0, w - 1, 1) : NULL, *upto = f->upto;
  const struct ir_ix *j = cg_flat_for(f, "j", num(g, 0), nj, 0, &o);
  cg_flat_assume(f, ir_ix_addi(ir_ix_sub(g->c->j.ext, ir_ix_add(base, j)), -1));
  f->upto = NULL;
  for (int64_t part = 0; part < 2; part++) {     /* whole vectors, and single elements behind them */
    int64_t from = part ? n / w * w : 0, to = part ? n : n / w * w, step = part ? 1 : w;
    if (from == to) continue;
    set_lanes(g, (unsigned)step, step > 1 ? v : NULL);
    const struct ir_ix *t = ir_ix_addi(ir_ix_muli(cg_flat_for(f, "x", num(g, 0), num(g, (to - from) / step), 0, &ox), step), from);
    uint32_t mark = cg_flat_mark(f);
    cg_flat_bind(f, g->c->j.var, ir_ix_add(base, j));
    cg_flat_bind(f, x, step > 1 ? ir_ix_add(t, v) : t);
    st(g, b, ir_ix_add(ir_ix_muli(j, n), t), cg_flat_expr(f, e), (unsigned)step);
    cg_flat_unbind(f, mark);
    cg_flat_close(f, &ox);
  }
  cg_flat_close(f, &o);
  f->upto = upto;
  set_lanes(g, g->lanes, g->v);
}

/* ---- tiles: acc[r, q] += x(r, k)*b[k, q] ---- */
struct tile {
  struct kir_reg *acc;
  int64_t rows;
  const struct ir_ix *first, *base, *nj;   /* row 0; of scores: the block's first key, and its number of them */
  bool clamp;                              /* rows may overrun nj: they repeat the last one */
};
static struct tile new_tile(struct gen *g, int64_t rows, const struct ir_ix *first)
{
  return (struct tile){ .acc = kir_reg_var(g->f->k, "acc", IR_f32, (unsigned)(rows * g->vecs), g->lanes), .rows = rows, .first = first };
}
static const struct ir_ix *acc_at(const struct gen *g, const struct ir_ix *r, unsigned q) { return ir_ix_addi(ir_ix_muli(r, g->vecs), q); }
static const struct ir_ix *each_row(struct gen *g, const struct tile *t, struct cg_open *o) { return cg_flat_for(g->f, "r", num(g, 0), num(g, t->rows), KIR_REPLAY, o); }
/* The multiplication: k runs to `trips`; x is a key or value element with row r and this k. */
static void multiply(struct gen *g, const struct tile *t, struct kir_arr *b, const struct ir_ix *trips, struct kir_op *(*x)(struct gen *, const struct tile *, const struct ir_ix *r, const struct ir_ix *k))
{
  struct cg_open ok, or;
  struct kir_op *row[MAX_TILE];
  const struct ir_ix *k = cg_flat_for(g->f, "k", num(g, 0), trips, UNROLL, &ok);
  for (unsigned q = 0; q < g->vecs; q++) row[q] = ld(g, b, place(g, k, q), g->lanes, 1);
  const struct ir_ix *r = each_row(g, t, &or);
  struct kir_op *a = cg_flat_wide(g->f, x(g, t, r, k), g->lanes);
  for (unsigned q = 0; q < g->vecs; q++) cg_flat_set(g->f, t->acc, acc_at(g, r, q), multiply_add(g, a, row[q], cg_flat_get(g->f, t->acc, acc_at(g, r, q))));
  cg_flat_close(g->f, &or);
  cg_flat_close(g->f, &ok);
}

static const struct ir_ix *key_row(const struct gen *g, const struct tile *t, const struct ir_ix *r)   /* within the block */
{
  const struct ir_ix *j = ir_ix_add(t->first, r);
  (void)g;
  return t->clamp ? ir_ix_min(j, ir_ix_addi(t->nj, -1)) : j;
}
static struct kir_op *key(struct gen *g, const struct tile *t, const struct ir_ix *r, const struct ir_ix *k)
{
  if (g->kb) return ld(g, g->kb, ir_ix_add(ir_ix_muli(key_row(g, t, r), g->D), k), 1, 1);
  uint32_t mark = cg_flat_mark(g->f);
  cg_flat_bind(g->f, g->c->j.var, ir_ix_add(t->base, key_row(g, t, r)));
  cg_flat_bind(g->f, g->c->d.var, k);
  struct kir_op *x = cg_flat_expr(g->f, g->c->k);
  cg_flat_unbind(g->f, mark);
  return x;
}
static struct kir_op *value(struct gen *g, const struct tile *t, const struct ir_ix *r, const struct ir_ix *k)
{
  const struct ir_ix *e = ir_ix_add(t->first, r);
  if (g->vb) return ld(g, g->vb, ir_ix_add(ir_ix_muli(k, g->E), e), 1, 1);
  uint32_t mark = cg_flat_mark(g->f);
  cg_flat_bind(g->f, g->c->j.var, ir_ix_add(t->base, k));
  cg_flat_assume(g->f, ir_ix_addi(ir_ix_sub(g->c->j.ext, ir_ix_add(t->base, k)), -1));
  if (g->c->e.var) cg_flat_bind(g->f, g->c->e.var, e);
  struct kir_op *x = cg_flat_expr(g->f, g->c->v);
  cg_flat_unbind(g->f, mark);
  return x;
}

/* ---- scores ---- */
/* The maps over a tile of scores, and the maxima. */
static void score_maps(struct gen *g, struct tile t)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  const struct ir_ix *c[IR_MAX_RANK], *r;
  struct kir_reg *top = kir_reg_var(f->k, "top", IR_f32, g->vecs, g->lanes);
  for (unsigned q = 0; q < g->vecs; q++) cg_flat_set(f, top, num(g, q), stat(g, ST_N, q));
  r = each_row(g, &t, &o);
  for (unsigned q = 0; q < g->vecs; q++) {
    uint32_t mark = cg_flat_mark(f), facts = enter_rows(g, q), memo = f->memo.n;
    cg_flat_bind(f, g->c->j.var, ir_ix_add(t.base, key_row(g, &t, r)));
    for (unsigned d = 0; d < g->c->s->dst->rank; d++) c[d] = cg_flat_at(f, g->c->s_at[d]);
    cg_flat_at_hand(f, g->c->s, c, cg_flat_get(f, t.acc, acc_at(g, r, q)));
    struct kir_op *x = cg_flat_wide(f, cg_flat_expr(f, g->c->t), g->lanes);
    leave_rows(g, facts);
    st(g, g->p, place(g, ir_ix_add(t.first, r), q), x, g->lanes);
    cg_flat_set(f, top, num(g, q), larger(g, cg_flat_get(f, top, num(g, q)), x));
    cg_flat_unbind(f, mark);
    f->memo.n = memo;
  }
  cg_flat_close(f, &o);
  for (unsigned q = 0; q < g->vecs; q++) set_stat(g, ST_N, q, cg_flat_get(f, top, num(g, q)));
}
static void score_tile(struct gen *g, struct tile t)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  const struct ir_ix *r = each_row(g, &t, &o);
  for (unsigned q = 0; q < g->vecs; q++) cg_flat_set(f, t.acc, acc_at(g, r, q), f32c(g, 0));
  cg_flat_close(f, &o);
  multiply(g, &t, g->qs, num(g, g->D), key);
  if (!g->causal || t.clamp) {
    score_maps(g, t);
    return;
  }
  const struct ir_ix *sees = ir_ix_sub(ir_ix_add(g->i0, g->causal), ir_ix_addi(ir_ix_add(t.base, t.first), t.rows - 1));
  cg_flat_if(f, &sees, 1, &o);         /* the mask hides nothing here */
  score_maps(g, t);
  cg_flat_else(f, &o);
  score_maps(g, t);
  cg_flat_close(f, &o);
}
static void scores(struct gen *g, const struct ir_ix *base, const struct ir_ix *nj)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  const struct ir_ix *whole = ir_ix_divi(nj, g->rj), *rest = ir_ix_sub(nj, ir_ix_muli(whole, g->rj));
  int64_t n;
  if (!ir_ix_is(whole, 0)) {
    struct tile t = new_tile(g, g->rj, NULL);
    t.first = ir_ix_muli(cg_flat_for(f, "t", num(g, 0), whole, 0, &o), g->rj);
    t.base = base;
    cg_flat_assume(f, ir_ix_sub(ir_ix_sub(g->c->j.ext, base), ir_ix_addi(t.first, g->rj)));
    score_tile(g, t);
    cg_flat_close(f, &o);
  }
  if (ir_ix_is(rest, 0)) return;
  bool sure = ir_ix_const(rest, &n);
  const struct ir_ix *some = ir_ix_addi(rest, -1);
  if (!sure) cg_flat_if(f, &some, 1, &o);
  struct tile t = new_tile(g, sure ? n : g->rj, ir_ix_muli(whole, g->rj));
  t.base = base;
  t.nj = nj;
  t.clamp = !sure;
  score_tile(g, t);
  if (!sure) cg_flat_close(f, &o);
}
/* p = exp(scores - n), l, and what the sums so far are to be scaled by. */
static void weights(struct gen *g, const struct ir_ix *nj)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  struct kir_op *n[MAX_TILE];
  struct kir_reg *l = kir_reg_var(f->k, "l", IR_f32, g->vecs, g->lanes);
  for (unsigned q = 0; q < g->vecs; q++) {
    n[q] = stat(g, ST_N, q);
    if (g->once) {
      cg_flat_set(f, l, num(g, q), f32c(g, 0));
      continue;
    }
    struct kir_op *a = ew(g, IR_MAP_exp, ew(g, IR_MAP_sub, stat(g, ST_M, q), n[q]), NULL);
    set_stat(g, ST_A, q, a);
    set_stat(g, ST_M, q, n[q]);
    cg_flat_set(f, l, num(g, q), ew(g, IR_MAP_mul, stat(g, ST_L, q), a));
  }
  const struct ir_ix *j = cg_flat_for(f, "j", num(g, 0), nj, UNROLL / 2, &o);
  for (unsigned q = 0; q < g->vecs; q++) {
    struct kir_op *x = ew(g, IR_MAP_exp, ew(g, IR_MAP_sub, ld(g, g->p, place(g, j, q), g->lanes, 1), n[q]), NULL);
    st(g, g->p, place(g, j, q), x, g->lanes);
    cg_flat_set(f, l, num(g, q), ew(g, IR_MAP_add, cg_flat_get(f, l, num(g, q)), x));
  }
  cg_flat_close(f, &o);
  for (unsigned q = 0; q < g->vecs; q++) set_stat(g, ST_L, q, cg_flat_get(f, l, num(g, q)));
}

/* ---- result ---- */
static void result_tile(struct gen *g, struct tile t, const struct ir_ix *nj)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  struct kir_op *a[MAX_TILE];
  for (unsigned q = 0; q < g->vecs && !g->once; q++) a[q] = stat(g, ST_A, q);
  const struct ir_ix *r = each_row(g, &t, &o);
  for (unsigned q = 0; q < g->vecs; q++)
    cg_flat_set(f, t.acc, acc_at(g, r, q), g->once ? f32c(g, 0) : ew(g, IR_MAP_mul, ld(g, g->os, place(g, ir_ix_add(t.first, r), q), g->lanes, 1), a[q]));
  cg_flat_close(f, &o);
  multiply(g, &t, g->p, nj, value);
  r = each_row(g, &t, &o);
  for (unsigned q = 0; q < g->vecs; q++) st(g, g->os, place(g, ir_ix_add(t.first, r), q), cg_flat_get(f, t.acc, acc_at(g, r, q)), g->lanes);
  cg_flat_close(f, &o);
}
static void results(struct gen *g, const struct ir_ix *base, const struct ir_ix *nj)
{
  struct cg_open o;
  int64_t whole = g->E / g->re;
  struct tile t = new_tile(g, g->re, num(g, 0));
  t.base = base;
  if (whole > 1) t.first = ir_ix_muli(cg_flat_for(g->f, "t", num(g, 0), num(g, whole), 0, &o), g->re);
  result_tile(g, t, nj);
  if (whole > 1) cg_flat_close(g->f, &o);
  if (g->E % g->re == 0) return;
  t = new_tile(g, g->E % g->re, num(g, whole * g->re));
  t.base = base;
  result_tile(g, t, nj);
}

/* A row whose scores are all -inf has l = 0. */
static void finish_sums(struct gen *g)
{
  for (unsigned q = 0; q < g->vecs; q++) {
    struct kir_op *l = stat(g, ST_L, q);
    l = pick(g, cg_flat_ew(g->f, IR_MAP_eq, IR_bool, l, f32c(g, 0)), f32c(g, NAN), l);
    set_stat(g, ST_L, q, l);
    if (g->c->divided) set_stat(g, ST_A, q, ew(g, IR_MAP_div, f32c(g, 1), l));
  }
}
/* The outputs at row i (within the block) and elements x.. of e. */
static void store_outputs(struct gen *g, const struct ir_ix *i, const struct ir_ix *x)
{
  struct cg_flat *f = g->f;
  const struct cg_chain *c = g->c;
  const struct ir_ix *at[IR_MAX_RANK];
  uint32_t mark = cg_flat_mark(f);
  if (c->i >= 0) cg_flat_bind(f, c->row[c->i].var, ir_ix_add(g->i0, i));
  if (c->e.var) cg_flat_bind(f, c->e.var, f->v ? ir_ix_add(x, f->v) : x);
  struct kir_op *o = ld(g, g->os, ir_ix_add(ir_ix_muli(x, g->cols), i), f->v ? f->lanes : 1, f->v ? g->cols : 1);
  struct kir_op *l = ld(g, g->stat, ir_ix_addi(i, ST_L * g->cols), 1, 1);
  if (c->divided) {
    o = ew(g, IR_MAP_mul, o, ld(g, g->stat, ir_ix_addi(i, ST_A * g->cols), 1, 1));
    if (c->nan_zero) o = pick(g, cg_flat_ew(f, IR_MAP_isnan, IR_bool, l, NULL), f32c(g, 0), o);
  } else
    o = pick(g, cg_flat_ew(f, IR_MAP_isnan, IR_bool, l, NULL), l, o);
  for (unsigned d = 0; d < c->o->dst->rank; d++) at[d] = cg_flat_at(f, c->o_at[d]);
  cg_flat_at_hand(f, c->o, at, o);
  for (unsigned d = 0; d < c->l->dst->rank; d++) at[d] = cg_flat_at(f, c->l_at[d]);
  cg_flat_at_hand(f, c->l, at, l);
  for (unsigned k = 0; k < c->n_outs; k++) {
    const struct cg_chain_out *out = &c->out[k];
    struct kir_op *y = out->e ? cg_flat_expr(f, out->e) : o;
    for (unsigned d = 0; d < out->dst->rank; d++) at[d] = cg_flat_at(f, out->at[d]);
    cg_flat_store(f, out->dst, at, y);
  }
  cg_flat_unbind(f, mark);
  f->memo.n = 0;
}
static void outputs(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o, ox;
  unsigned w = 16;
  while (w > g->E || w > 4 * g->lanes) w /= 2;
  const struct ir_ix *v = w > 1 ? ir_ix_fresh(f->k->ixs, "vec", IR_SYM_ID, 0, w - 1, 1) : NULL;
  const struct ir_ix *left = ir_ix_sub(g->I, g->i0), *n = ir_known_ge0(&f->k->facts, ir_ix_addi(left, -g->cols)) ? num(g, g->cols) : ir_ix_min(left, num(g, g->cols));
  const struct ir_ix *i = cg_flat_for(f, "i", num(g, 0), n, 0, &o);
  cg_flat_assume(f, ir_ix_addi(ir_ix_sub(left, i), -1));
  set_lanes(g, w, v);
  const struct ir_ix *x = cg_flat_for(f, "x", num(g, 0), num(g, g->E / w), 0, &ox);
  store_outputs(g, i, ir_ix_muli(x, w));
  cg_flat_close(f, &ox);
  set_lanes(g, 1, NULL);
  if (g->E % w) {
    x = cg_flat_for(f, "x", num(g, g->E / w * w), num(g, g->E), 0, &ox);
    store_outputs(g, i, x);
    cg_flat_close(f, &ox);
  }
  cg_flat_close(f, &o);
}

/* ---- the task ---- */
static void block(struct gen *g, const struct ir_ix *base, const struct ir_ix *nj)
{
  if (g->kb) stage(g, g->kb, g->c->k, g->c->d.var, g->D, base, nj);
  if (g->vb) stage(g, g->vb, g->c->v, g->c->e.var, g->E, base, nj);
  scores(g, base, nj);
  weights(g, nj);
  results(g, base, nj);
}
static void start(struct gen *g)
{
  struct cg_open o;
  for (unsigned q = 0; q < g->vecs; q++) {
    set_stat(g, ST_N, q, f32c(g, -0x1.fffffep127));
    if (g->once) continue;
    set_stat(g, ST_M, q, f32c(g, -0x1.fffffep127));
    set_stat(g, ST_L, q, f32c(g, 0));
  }
  if (g->once) return;
  const struct ir_ix *e = cg_flat_for(g->f, "x", num(g, 0), num(g, g->E), 0, &o);
  for (unsigned q = 0; q < g->vecs; q++) st(g, g->os, place(g, e, q), f32c(g, 0), g->lanes);
  cg_flat_close(g->f, &o);
}
static void task(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  set_lanes(g, g->lanes, g->v);
  g->causal = cg_chain_causal(g->c, &f->k->facts);
  if (g->causal) {
    const struct ir_ix *sees = ir_ix_addi(ir_ix_add(g->i0, g->causal), g->cols);
    if (!ir_known_ge0(&f->k->facts, sees)) sees = ir_ix_max(sees, num(g, 0));
    g->ks = ir_ix_min(sees, g->ks);
  }
  take_q(g);
  start(g);
  if (g->once) block(g, num(g, 0), g->ks);
  else {
    const struct ir_ix *b = cg_flat_for(f, "b", num(g, 0), ir_ix_cdivi(g->ks, g->block), 0, &o), *base = ir_ix_muli(b, g->block);
    block(g, base, ir_ix_by(g->ks) % g->block == 0 ? num(g, g->block) : ir_ix_min(num(g, g->block), ir_ix_sub(g->ks, base)));
    cg_flat_close(f, &o);
  }
  finish_sums(g);
  outputs(g);
}

/* ---- the record ---- */
static const char *axis_name(const struct ir_ix *var) { return ir_ix_as_sym(var)->name; }
static bool plain(const struct kir_expr *e) { return e->kind == KIR_E_READ && e->arr->arg && !e->els; }
/* Is e a read whose rows j lie so that a tile of them falls into one set of the first cache? */
static bool evicts(const struct cg_chain *c, struct cg_flat *f, const struct kir_expr *e)
{
  const struct ir_ix *co, *rest;
  int64_t k;
  return plain(e) && ir_ix_linear(cg_flat_offset(f, e->arr, e->at), c->j.var, &co, &rest) && ir_ix_const(co, &k) && k && k * ir_elem_bytes(e->arr->elem) % 2048 == 0;
}
static const struct kir_stage *find_stage(const struct kir_sched *s, const char *name)
{
  for (uint32_t i = 0; i < s->stages.n; i++)
    if (!strcmp(s->stages.v[i].operand, name)) return &s->stages.v[i];
  return NULL;
}
static void add_loop(struct ir_arena *a, struct kir_sched *s, enum kir_loop_kind kind, const char *axis, int64_t step)
{
  struct kir_loop *l = s->loops.n ? &s->loops.v[s->loops.n - 1] : NULL;
  if (!l || l->kind != kind || kind != KIR_GRID || l->n == 4) {
    ir_push(a, &s->loops, ((struct kir_loop){ .kind = kind }));
    l = &s->loops.v[s->loops.n - 1];
  }
  l->part[l->n].axis = axis;
  l->part[l->n++].step = step;
}
static int64_t even(int64_t n, int64_t most) { return (n + (n + most - 1) / most - 1) / ((n + most - 1) / most); } /* the largest of equal parts */

static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct cg_chain c;
  const char *why;
  struct cg_flat *f = cg_flat_begin(a, (struct kir_nest *)n, &why); /* the nest's table gets symbols, the nest stays */
  int64_t D, E = 1, I = 1, S, lo, hi, tasks = 1;
  if (t->lanes > 1 || !f || !cg_chain_read(&c, a, n, &why)) return NULL;
  ir_ix_range(c.j.ext, &lo, &hi);
  if (lo < 1 || !ir_ix_const(c.d.ext, &D) || D > MAX_WIDTH || (c.e.var && (!ir_ix_const(c.e.ext, &E) || E > MAX_WIDTH))) return NULL;
  if (D < 1 || E < 1) return NULL;
  bool few = c.i < 0 || ir_ix_const(c.row[c.i].ext, &I), big = t->n_vregs >= 32;
  unsigned lanes = t->vec_lanes, vecs = 2;
  while (few && lanes > 1 && lanes / 2 >= I) lanes = lanes > 4 ? lanes / 2 : 1;
  for (unsigned i = 0; i < c.n_rows; i++)
    if ((int)i != c.i) {
      ir_ix_range(c.row[i].ext, &lo, &hi);
      if (lo > 0 && !ir_mul64(tasks, lo, &tasks)) tasks = 1 << 30;
    }
  if (few && I <= lanes) vecs = 1;
  else if (few && tasks < 1 << 20 && tasks * ((I + 2 * lanes - 1) / (2 * lanes)) < 2 * (int64_t)t->cores) vecs = 1; /* 1/6 slower, on twice as many cores */
  int64_t most = vecs == 2 ? (big ? 14 : 6) : (big ? 24 : 12), block = BLOCK, rj = most;
  if (ir_ix_const(c.j.ext, &S) && (S <= ONE_BLOCK || S % 128 == 0)) {
    block = S <= ONE_BLOCK ? S : 128;
    rj = even(block, most);
  } else if (vecs == 1) block = 120;
  struct kir_sched *s = IR_NEW(a, struct kir_sched);
  s->kind = "chain";
  s->inst = lanes == 16 ? "fma.v16" : lanes == 8 ? "fma.v8" : lanes == 4 ? "fma.v4" : "fma";
  for (unsigned i = 0; i < c.n_rows; i++)
    if ((int)i != c.i) add_loop(a, s, KIR_GRID, axis_name(c.row[i].var), 1);
  if (c.i >= 0) add_loop(a, s, KIR_GRID, axis_name(c.row[c.i].var), (int64_t)vecs * lanes);
  add_loop(a, s, KIR_FOR, axis_name(c.j.var), block);
  add_loop(a, s, KIR_FOR, axis_name(c.j.var), rj);
  if (c.e.var) add_loop(a, s, KIR_FOR, axis_name(c.e.var), even(E, most));
  if (!plain(c.k) || evicts(&c, f, c.k)) ir_push(a, &s->stages, ((struct kir_stage){ .operand = "k", .how = KIR_STAGED }));
  if (!plain(c.v)) ir_push(a, &s->stages, ((struct kir_stage){ .operand = "v", .how = KIR_STAGED }));
  return s;
}

/* ---- lowering ---- */
/* Grid digits of the rows, and the steps; false: the record does not fit. */
static bool read_record(struct gen *g, const struct kir_sched *s, const char **why)
{
  struct cg_chain *c = g->c;
  bool seen[IR_MAX_RANK] = { false };
  const struct kir_inst *in = s->inst ? kir_inst_find(s->inst) : NULL;
  unsigned n_for = 0;
  *why = "the record's loops are not: grid over the rows, for over keys twice and over the result's axis";
  if (!in || in->m != 1 || in->k != 1 || in->text) {
    *why = "no such tile";
    return false;
  }
  g->lanes = in->n;
  g->cols = 1;
  g->i0 = num(g, 0);
  g->re = 1;
  for (uint32_t l = 0; l < s->loops.n; l++)
    for (unsigned p = 0; p < s->loops.v[l].n; p++) {
      const char *name = s->loops.v[l].part[p].axis;
      int64_t step = s->loops.v[l].part[p].step;
      if (s->loops.v[l].kind == KIR_GRID) {
        unsigned i = 0;
        while (i < c->n_rows && strcmp(axis_name(c->row[i].var), name)) i++;
        if (i == c->n_rows || seen[i] || n_for) return false;
        seen[i] = true;
        if ((int)i != c->i && step != 1) return false;
        const struct ir_ix *trips = ir_ix_cdivi(c->row[i].ext, step), *v = ir_ix_is(trips, 1) ? num(g, 0) : cg_flat_grid(g->f, ir_arena_printf(c->a, "g%s", name), trips);
        if ((int)i == c->i) {
          g->cols = step;
          g->i0 = ir_ix_muli(v, step);
        } else cg_flat_bind(g->f, c->row[i].var, v);
        continue;
      }
      if (s->loops.v[l].kind != KIR_FOR || s->loops.v[l].n != 1 || n_for > 2) return false;
      const struct ir_ix *var = n_for < 2 ? c->j.var : c->e.var;
      if (!var || strcmp(name, axis_name(var)) || step < 1) return false;
      *(n_for == 0 ? &g->block : n_for == 1 ? &g->rj : &g->re) = step;
      n_for++;
    }
  for (unsigned i = 0; i < c->n_rows; i++)
    if (!seen[i]) return false;
  if (n_for != 2u + !!c->e.var) return false;
  g->vecs = (unsigned)(g->cols / g->lanes);
  if (g->cols % g->lanes || g->vecs < 1 || g->vecs > 4 || g->rj > MAX_TILE || g->re > MAX_TILE || g->rj > g->block || g->re > g->E) {
    *why = "the record's steps fit neither vectors nor tiles";
    return false;
  }
  return true;
}
static bool buffers(struct gen *g, const struct kir_sched *s, const char **why)
{
  struct kir_kern *k = g->f->k;
  const struct kir_stage *sk = find_stage(s, "k"), *sv = find_stage(s, "v");
  int64_t rows = (g->block + g->rj - 1) / g->rj * g->rj;
  *why = "the record needs too much scratch";
  if (g->block > SCRATCH / 4 || rows * g->cols > SCRATCH / 4 || (g->D + g->E) * g->cols > SCRATCH / 4 || (g->D + g->E) * g->block > SCRATCH / 4) return false;
  g->stat = kir_buf(k, "stat", IR_f32, 2, (int64_t[]){ ST_ROWS, g->cols });
  g->qs = kir_buf(k, "q", IR_f32, 2, (int64_t[]){ g->D, g->cols });
  g->os = kir_buf(k, "o", IR_f32, 2, (int64_t[]){ g->E, g->cols });
  g->p = kir_buf(k, "p", IR_f32, 2, (int64_t[]){ rows, g->cols });
  if (sk && sk->how == KIR_STAGED) g->kb = kir_buf(k, "k", IR_f32, 2, (int64_t[]){ g->block, g->D });
  if (sv && sv->how == KIR_STAGED) g->vb = kir_buf(k, "v", IR_f32, 2, (int64_t[]){ g->block, g->E });
  return true;
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  struct cg_chain c;
  struct gen g = { .c = &c, .E = 1 };
  int64_t keys;
  (void)t;
  g.f = cg_flat_begin(a, n, why);
  if (!g.f || !cg_chain_read(&c, a, n, why)) return NULL;
  *why = "the widths of the products are not constant";
  if (!ir_ix_const(c.d.ext, &g.D) || (c.e.var && !ir_ix_const(c.e.ext, &g.E)) || !read_record(&g, s, why) || !buffers(&g, s, why)) return NULL;
  g.I = c.i < 0 ? num(&g, 1) : c.row[c.i].ext;
  g.ks = c.j.ext;
  g.once = ir_ix_const(c.j.ext, &keys) && keys <= g.block;
  g.v = g.lanes > 1 ? ir_ix_fresh(g.f->k->ixs, "vec", IR_SYM_ID, 0, g.lanes - 1, 1) : NULL;
  task(&g);
  return cg_flat_end(g.f);
}

const struct cg_skeleton cg_skeleton_chain = { "chain", schedule, lower };
