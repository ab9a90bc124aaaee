/* The form of the skeleton `chain` that owns blocks of rows: register tiles of scores and of the result, vectors along the rows (chain.c). */
#include "codegen/library/chain_gen.h"

enum { UNROLL = 4 };

/* ---- scratch: rows of g->cols, vectors along them ---- */
static const struct ir_ix *place(const struct gen *g, const struct ir_ix *row, unsigned q) { return ir_ix_addi(ir_ix_muli(row, g->pitch), (int64_t)q * g->lanes); }
static struct kir_op *stat(struct gen *g, unsigned row, unsigned q) { return ld(g, g->stat, place(g, num(g, row), q), g->lanes, 1); }
static void set_stat(struct gen *g, unsigned row, unsigned q, struct kir_op *v) { st(g, g->stat, place(g, num(g, row), q), v, g->lanes); }

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
static const struct ir_ix *all_rows(const struct gen *g) { return ir_ix_addi(ir_ix_sub(g->I, g->i0), -g->cols); } /* exist, if that is not negative */
static void take_q(struct gen *g)
{
  struct cg_open o;
  const struct ir_ix *full = all_rows(g);
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
  struct kir_op *row[CG_CHAIN_TILE];
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
  const struct ir_ix *easy[2];         /* the mask hides nothing here; all rows exist, so that what lies along them needs no guards */
  unsigned n = 0;
  if (g->causal && !t.clamp) easy[n++] = ir_ix_sub(ir_ix_add(g->i0, g->causal), ir_ix_addi(ir_ix_add(t.base, t.first), t.rows - 1));
  if (g->along && !ir_known_ge0(&f->k->facts, all_rows(g))) easy[n++] = all_rows(g);
  if (n) cg_flat_if(f, easy, n, &o);
  score_maps(g, t);
  if (!n) return;
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
  struct kir_op *n[CG_CHAIN_TILE];
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
  struct kir_op *a[CG_CHAIN_TILE];
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

static void finish(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  for (unsigned q = 0; q < g->vecs; q++) {
    struct kir_op *l = cg_chain_sum(g, stat(g, ST_L, q));
    set_stat(g, ST_L, q, l);
    if (g->c->divided) set_stat(g, ST_A, q, ew(g, IR_MAP_div, f32c(g, 1), l));
  }
  const struct ir_ix *left = ir_ix_sub(g->I, g->i0), *n = ir_known_ge0(&f->k->facts, all_rows(g)) ? num(g, g->cols) : ir_ix_min(left, num(g, g->cols));
  const struct ir_ix *i = cg_flat_for(f, "i", num(g, 0), n, 0, &o);
  cg_flat_assume(f, ir_ix_addi(ir_ix_sub(left, i), -1));
  cg_chain_outputs(g, ir_ix_add(g->i0, i), i);
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
    set_stat(g, ST_N, q, f32c(g, CG_CHAIN_LOWEST));
    if (g->once) continue;
    set_stat(g, ST_M, q, f32c(g, CG_CHAIN_LOWEST));
    set_stat(g, ST_L, q, f32c(g, 0));
  }
  if (g->once) return;
  const struct ir_ix *e = cg_flat_for(g->f, "x", num(g, 0), num(g, g->E), 0, &o);
  for (unsigned q = 0; q < g->vecs; q++) st(g, g->os, place(g, e, q), f32c(g, 0), g->lanes);
  cg_flat_close(g->f, &o);
}
void cg_chain_blocks(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  set_lanes(g, g->lanes, g->v);
  g->along = g->c->i >= 0 && cg_chain_reads_along(g->c, g->c->t, g->c->row[g->c->i].var);
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
  finish(g);
}

