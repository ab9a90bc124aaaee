/* The form of the skeleton `chain` for few rows (a token that is generated): each row for itself. Scores are sums of vectors along d, maps and weights vectors along
 * the keys, the result vectors along e. Every key and value is read once, at the speed of memory; the form in blocks would fill one place of its vectors.
 *
 *   for each row: q[d] <- q                          scratch
 *     for each block of keys:
 *       for `rj` keys at a time:  p[j] <- sum over vectors along d
 *       p[j] <- t, n = max;  p[j] <- exp(t - n), l
 *       for `re` of e:            o[e] <- o[e]*a + sum[j] p[j]*v
 *     results <- maps of o/l */
#include "codegen/library/chain_gen.h"

enum { UNROLL = 4 };
struct row {
  struct gen *g;
  const struct ir_ix *base, *nj;                     /* the block of keys */
  struct kir_reg *m, *l, *a, *vec;                   /* running maximum and sum, scale; a vector that is folded */
};
static struct kir_op *get(struct gen *g, struct kir_reg *r, int64_t i) { return cg_flat_get(g->f, r, num(g, i)); }
static void set(struct gen *g, struct kir_reg *r, int64_t i, struct kir_op *v) { cg_flat_set(g->f, r, num(g, i), v); }

/* body at the first element of each vector of 0..n; in the last one f->upto says how many places are meant. */
static void vectors(struct row *w, const char *name, const struct ir_ix *n, void (*body)(struct row *w, const struct ir_ix *first))
{
  struct cg_flat *f = w->g->f;
  struct cg_open o;
  int64_t k;
  const struct ir_ix *whole = ir_ix_divi(n, f->lanes), *done = ir_ix_muli(whole, f->lanes), *rest = ir_ix_sub(n, done);
  if (!ir_ix_is(whole, 0)) {
    const struct ir_ix *first = ir_ix_muli(cg_flat_for(f, name, num(w->g, 0), whole, ir_ix_const(whole, &k) && k <= 8 ? KIR_REPLAY : 0, &o), f->lanes);
    cg_flat_assume(f, ir_ix_addi(ir_ix_sub(ir_ix_sub(n, first), f->v), -1));
    body(w, first);
    cg_flat_close(f, &o);
  }
  if (ir_ix_is(rest, 0)) return;
  const struct ir_ix *some = ir_ix_addi(rest, -1);
  bool sure = ir_ix_const(rest, &k);
  if (!sure) cg_flat_if(f, &some, 1, &o);
  uint32_t facts = ir_facts_mark(&f->k->facts), memo = f->memo.n;
  cg_flat_assume(f, ir_ix_addi(ir_ix_sub(rest, f->v), -1));
  f->upto = rest;
  body(w, done);
  f->upto = NULL;
  f->memo.n = memo;
  ir_facts_reset(&f->k->facts, facts);
  if (!sure) cg_flat_close(f, &o);
}
static struct kir_op *limit(struct gen *g, struct kir_op *v, double other) { return g->f->upto ? cg_flat_limit(g->f, cg_flat_wide(g->f, v, g->f->lanes), f32c(g, other)) : v; }
static struct kir_op *fold(struct gen *g, enum kir_red r, struct kir_op *v)
{
  struct kir_op *o = kir_emit(&g->f->em, KIR_vred, IR_f32, 1, &v, 1, NULL, 0);
  o->sub = r;
  return o;
}

static void load_q(struct row *w, const struct ir_ix *first)
{
  struct gen *g = w->g;
  uint32_t mark = cg_flat_mark(g->f);
  cg_flat_bind(g->f, g->c->d.var, ir_ix_add(first, g->f->v));
  st(g, g->qs, first, limit(g, cg_flat_expr(g->f, g->c->q), 0), g->lanes);
  cg_flat_unbind(g->f, mark);
}

/* ---- scores ---- */
struct keys { struct row w; const struct ir_ix *first; unsigned n; };
static void dot_part(struct row *w, const struct ir_ix *first)
{
  struct keys *t = (struct keys *)w;                 /* its first member */
  struct gen *g = w->g;
  struct cg_open o;
  struct kir_op *q = ld(g, g->qs, first, g->lanes, 1);
  const struct ir_ix *r = cg_flat_for(g->f, "r", num(g, 0), num(g, t->n), KIR_REPLAY, &o);
  uint32_t mark = cg_flat_mark(g->f);
  cg_flat_bind(g->f, g->c->j.var, ir_ix_add(w->base, ir_ix_add(t->first, r)));
  cg_flat_bind(g->f, g->c->d.var, ir_ix_add(first, g->f->v));
  struct kir_op *k = limit(g, cg_flat_expr(g->f, g->c->k), 0);
  cg_flat_set(g->f, w->vec, r, multiply_add(g, k, q, cg_flat_get(g->f, w->vec, r)));
  cg_flat_unbind(g->f, mark);
  cg_flat_close(g->f, &o);
}
static void dot(struct row *w, const struct ir_ix *first, unsigned n)
{
  struct gen *g = w->g;
  struct keys t = { *w, first, n };
  t.w.vec = kir_reg_var(g->f->k, "acc", IR_f32, n, g->lanes);
  for (unsigned r = 0; r < n; r++) set(g, t.w.vec, r, f32c(g, 0));
  vectors(&t.w, "d", num(g, g->D), dot_part);
  for (unsigned r = 0; r < n; r++) st(g, g->p, ir_ix_addi(first, r), fold(g, KIR_SUM, get(g, t.w.vec, r)), 1);
}
static void dots(struct row *w)
{
  struct gen *g = w->g;
  struct cg_open o;
  const struct ir_ix *whole = ir_ix_divi(w->nj, g->rj), *done = ir_ix_muli(whole, g->rj);
  for (unsigned part = 0; part < 2; part++) {        /* rj at a time, then one by one */
    const struct ir_ix *from = part ? done : num(g, 0), *to = part ? w->nj : whole;
    if (from == to) continue;
    const struct ir_ix *t = cg_flat_for(g->f, "t", from, to, 0, &o), *first = part ? t : ir_ix_muli(t, g->rj);
    unsigned n = part ? 1 : (unsigned)g->rj;
    cg_flat_assume(g->f, ir_ix_sub(g->c->j.ext, ir_ix_addi(ir_ix_add(w->base, first), n)));
    dot(w, first, n);
    cg_flat_close(g->f, &o);
  }
}
static void map_part(struct row *w, const struct ir_ix *first)
{
  struct gen *g = w->g;
  struct cg_flat *f = g->f;
  const struct ir_ix *c[IR_MAX_RANK], *j = ir_ix_add(w->base, ir_ix_add(first, f->v));
  uint32_t mark = cg_flat_mark(f), facts = ir_facts_mark(&f->k->facts), memo = f->memo.n;
  cg_flat_assume(f, ir_ix_addi(ir_ix_sub(g->c->j.ext, j), -1));
  cg_flat_bind(f, g->c->j.var, j);
  for (unsigned d = 0; d < g->c->s->dst->rank; d++) c[d] = cg_flat_at(f, g->c->s_at[d]);
  cg_flat_at_hand(f, g->c->s, c, ld(g, g->p, first, g->lanes, 1));
  struct kir_op *x = cg_flat_wide(f, limit(g, cg_flat_expr(f, g->c->t), CG_CHAIN_LOWEST), g->lanes);
  st(g, g->p, first, x, g->lanes);
  set(g, w->vec, 0, larger(g, get(g, w->vec, 0), x));
  f->memo.n = memo;
  ir_facts_reset(&f->k->facts, facts);
  cg_flat_unbind(f, mark);
}
static void exp_part(struct row *w, const struct ir_ix *first)
{
  struct gen *g = w->g;
  struct kir_op *x = limit(g, ew(g, IR_MAP_exp, ew(g, IR_MAP_sub, ld(g, g->p, first, g->lanes, 1), get(g, w->m, 0)), NULL), 0);
  st(g, g->p, first, x, g->lanes);
  set(g, w->vec, 0, ew(g, IR_MAP_add, get(g, w->vec, 0), x));
}
static void weights(struct row *w)
{
  struct gen *g = w->g;
  w->vec = kir_reg_var(g->f->k, "top", IR_f32, 1, g->lanes);
  set(g, w->vec, 0, f32c(g, CG_CHAIN_LOWEST));
  vectors(w, "j", w->nj, map_part);
  struct kir_op *old = get(g, w->m, 0), *n = larger(g, old, fold(g, KIR_MAX, get(g, w->vec, 0)));
  set(g, w->a, 0, ew(g, IR_MAP_exp, ew(g, IR_MAP_sub, old, n), NULL));
  set(g, w->m, 0, n);
  w->vec = kir_reg_var(g->f->k, "l", IR_f32, 1, g->lanes);
  set(g, w->vec, 0, f32c(g, 0));
  vectors(w, "j", w->nj, exp_part);
  set(g, w->l, 0, multiply_add(g, get(g, w->l, 0), get(g, w->a, 0), fold(g, KIR_SUM, get(g, w->vec, 0))));
}

/* ---- result ---- */
static void result(struct row *w, int64_t from, unsigned n) /* n vectors of e */
{
  struct gen *g = w->g;
  struct cg_flat *f = g->f;
  struct cg_open o;
  struct kir_reg *acc = kir_reg_var(f->k, "acc", IR_f32, n, g->lanes);
  for (unsigned q = 0; q < n; q++) set(g, acc, q, ew(g, IR_MAP_mul, ld(g, g->os, num(g, from + (int64_t)q * g->lanes), g->lanes, 1), get(g, w->a, 0)));
  const struct ir_ix *j = cg_flat_for(f, "j", num(g, 0), w->nj, UNROLL, &o);
  cg_flat_assume(f, ir_ix_addi(ir_ix_sub(g->c->j.ext, ir_ix_add(w->base, j)), -1));
  struct kir_op *p = ld(g, g->p, j, 1, 1);
  for (unsigned q = 0; q < n; q++) {
    int64_t e = from + (int64_t)q * g->lanes;
    uint32_t mark = cg_flat_mark(f), facts = ir_facts_mark(&f->k->facts);
    cg_flat_bind(f, g->c->j.var, ir_ix_add(w->base, j));
    if (g->c->e.var) cg_flat_bind(f, g->c->e.var, ir_ix_addi(f->v, e));
    if (e + g->lanes > g->E) {
      f->upto = num(g, g->E - e);
      cg_flat_assume(f, ir_ix_sub(num(g, g->E - e - 1), f->v));
    }
    struct kir_op *v = limit(g, cg_flat_expr(f, g->c->v), 0);
    f->upto = NULL;
    set(g, acc, q, multiply_add(g, v, cg_flat_wide(f, p, g->lanes), get(g, acc, q)));
    ir_facts_reset(&f->k->facts, facts);
    cg_flat_unbind(f, mark);
  }
  cg_flat_close(f, &o);
  for (unsigned q = 0; q < n; q++) st(g, g->os, num(g, from + (int64_t)q * g->lanes), get(g, acc, q), g->lanes);
}
static void results(struct row *w)
{
  int64_t lanes = w->g->lanes, n = (w->g->E + lanes - 1) / lanes, most = (w->g->re + lanes - 1) / lanes;
  for (int64_t q = 0; q < n; q += most) result(w, q * lanes, (unsigned)(n - q < most ? n - q : most));
}

static void one_row(struct gen *g, const struct ir_ix *i)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  struct row w = { g, NULL, NULL, kir_reg_var(f->k, "m", IR_f32, 1, 1), kir_reg_var(f->k, "l", IR_f32, 1, 1), kir_reg_var(f->k, "a", IR_f32, 1, 1), NULL };
  const struct ir_ix *keys = g->ks;
  if (g->causal) {
    const struct ir_ix *sees = ir_ix_addi(ir_ix_add(i, g->causal), 1);
    if (!ir_known_ge0(&f->k->facts, sees)) sees = ir_ix_max(sees, num(g, 0));
    keys = ir_ix_min(sees, keys);
  }
  set_lanes(g, g->lanes, g->v);
  vectors(&w, "d", num(g, g->D), load_q);
  for (int64_t e = 0; e < g->E; e += g->lanes) st(g, g->os, num(g, e), f32c(g, 0), g->lanes);
  set(g, w.m, 0, f32c(g, CG_CHAIN_LOWEST));
  set(g, w.l, 0, f32c(g, 0));
  const struct ir_ix *b = cg_flat_for(f, "b", num(g, 0), ir_ix_cdivi(keys, g->block), 0, &o);
  w.base = ir_ix_muli(b, g->block);
  w.nj = ir_ix_min(num(g, g->block), ir_ix_sub(keys, w.base));
  dots(&w);
  weights(&w);
  results(&w);
  cg_flat_close(f, &o);
  struct kir_op *l = cg_chain_sum(g, get(g, w.l, 0));
  st(g, g->stat, num(g, ST_L), l, 1);
  if (g->c->divided) st(g, g->stat, num(g, ST_A), ew(g, IR_MAP_div, f32c(g, 1), l), 1);
  cg_chain_outputs(g, i, num(g, 0));
}
void cg_chain_rows(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  const struct ir_ix *left = ir_ix_sub(g->I, g->i0), *i = num(g, 0);
  uint32_t mark = cg_flat_mark(f);
  if (g->cols > 1) {
    i = cg_flat_for(f, "i", i, ir_known_ge0(&f->k->facts, ir_ix_addi(left, -g->cols)) ? num(g, g->cols) : ir_ix_min(left, num(g, g->cols)), 0, &o);
    cg_flat_assume(f, ir_ix_addi(ir_ix_sub(left, i), -1));
  }
  if (g->c->i >= 0) cg_flat_bind(f, g->c->row[g->c->i].var, ir_ix_add(g->i0, i));
  one_row(g, ir_ix_add(g->i0, i));
  cg_flat_unbind(f, mark);
  if (g->cols > 1) cg_flat_close(f, &o);
}
