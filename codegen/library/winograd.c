/* winograd: 3x3 convolutions of stride 1 by Winograd's minimal filtering (ir/kernel/winograd.c), the three stages in one kernel.
 *
 * A task owns a block of tiles (m x m results each) and of result channels. It transforms the (m+2)^2 inputs of its tiles for all channels into V, multiplies each of the
 * (m+2)^2 matrices V[a, b] (tiles x channels) with the weights' U[a, b] into M, and transforms M back; bias, activation and residual follow while a tile's results
 * are in registers. V and M are the task's scratch and stay in the second cache; only x, U and y go through memory. Vectors run along channels everywhere, as the
 * blocked layouts have them, so that the transforms are plain arithmetic on whole vectors.
 *
 *   V[ab, c/L, tile, c%L]   <- B^T d B      for each tile of the task, each vector of input channels
 *   M[ab, o/L, tile, o%L]   <- sum[c] V*U   for each ab, panel of `cols` channels, part of the sum, `rows` tiles: the register tile
 *   y                       <- A^T M A      for each vector of result channels, each tile
 *
 * U lies in the order in which a task reads it: [block of outs][ab][panel][c][column]. A tile that overruns the image reads the last row or column of what is
 * stored instead: with a stored halo these are zeros; without one, results that do not exist are all that depends on it. Padding of the last block of tiles repeats the last tile.
 *
 * Record: loops = grid over images one by one, tiles (axis t) and result channels by the task's; `for h/m, for w/m` say what a tile is; then `for o`, `for c`, `for t`: the
 * register tile's columns, a part of the sum, its rows. tile = fma.v16; the weights are packed.
 *     sched winograd { loops = grid n/1 t/28 o/64, for h/4, for w/4, for o/32, for c/64, for t/14; tile = fma.v16; w = packed prefetch 4096 far 32768 }
 * Weaknesses: NaN and infinities spread over their tile. Tasks that share tiles transform them again each. */
#include <string.h>
#include "codegen/library/winograd.h"

enum { UNROLL = 8, LINE = 16 /* elements of a cache line */, MAX_SIDE = KIR_WINOGRAD_MAX + 2, MAX_ROWS = 16, MAX_VECS = 8 };

/* ---- reading a nest ---- */
static int axis_of(const struct cg_contract *c, const struct ir_ix *e)
{
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].var == e) return (int)i;
  return -1;
}
/* e == axis of the results + axis of the sum - pad */
static bool shifted(const struct cg_contract *c, const struct ir_ix *e, unsigned k, unsigned *out_axis, int64_t *out_pad)
{
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_M && ir_ix_const(ir_ix_sub(ir_ix_add(c->ax[i].var, c->ax[k].var), e), out_pad)) {
      *out_axis = i;
      return *out_pad >= 0;
    }
  return false;
}
bool cg_winograd_read(struct cg_winograd *w, struct ir_arena *a, const struct kir_nest *n, const char **why)
{
  struct cg_contract *c = &w->c;
  int at[4];
  *w = (struct cg_winograd){ .n = -1 };
  if (!cg_contract_read(c, a, n, why)) return false;
  *why = "not a 3x3 convolution of stride 1";
  const struct kir_expr *x = c->xr, *u = c->wr;
  if (c->elem != IR_f32 || x != c->x || u != c->w || x->elem != IR_f32 || u->elem != IR_f32 || x->n_at != 4 || u->n_at != 4) return false;
  if (u->arr->space != KIR_CONST || u->arr->at || u->els || x->els) return false;
  for (unsigned d = 0; d < 4; d++)
    if ((at[d] = axis_of(c, u->at[d])) < 0 || c->ax[at[d]].role != (d ? CG_K : CG_N)) return false;
  w->o = (unsigned)at[0];
  w->k = (unsigned)at[1];
  w->i = (unsigned)at[2];
  w->j = (unsigned)at[3];
  if (c->ax[w->i].n != 3 || c->ax[w->j].n != 3 || w->k == w->i || w->i == w->j || w->k == w->j) return false;
  if (x->at[1] != c->ax[w->k].var || !shifted(c, x->at[2], w->i, &w->h, &w->ph) || !shifted(c, x->at[3], w->j, &w->w, &w->pw) || w->h == w->w) return false;
  w->n = axis_of(c, x->at[0]);
  if (w->n >= 0 ? c->ax[w->n].role != CG_M : !ir_ix_is(x->at[0], 0)) return false;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].n != 1 && i != w->o && i != w->h && i != w->w && i != w->k && i != w->i && i != w->j && (int)i != w->n) return false;
  w->O = c->ax[w->o].n;
  w->H = c->ax[w->h].n;
  w->W = c->ax[w->w].n;
  w->C = c->ax[w->k].n;
  w->x = x->arr;
  w->u = u->arr;
  return w->O && w->H && w->W && w->C;
}

/* ---- code ---- */
struct gen {
  struct cg_winograd w;
  struct cg_winograd_record r;
  struct cg_flat *f;
  unsigned m, n, nn, lanes, vecs;
  int64_t across, all;                            /* tiles of a row, of an image */
  const struct ir_ix *image, *gt, *go, *t0, *o0;  /* grid digits, the task's first tile and channel */
  struct kir_arr *V, *M;
  int64_t v_pitch, m_pitch;                       /* between the matrices of V, of M */
  const double *p;                                /* the points */
};
static const struct ir_ix *num(const struct gen *g, int64_t i) { return ir_ix_int(g->f->k->ixs, i); }
static struct kir_op *load(struct gen *g, struct kir_arr *b, const struct ir_ix *off, unsigned lanes)
{
  struct kir_op *o = kir_emit(&g->f->em, KIR_load, IR_f32, lanes, NULL, 0, &off, 1);
  o->arr = b;
  return o;
}
static void store(struct gen *g, struct kir_arr *b, const struct ir_ix *off, struct kir_op *v)
{
  kir_emit(&g->f->em, KIR_store, IR_f32, v->lanes, &v, 1, &off, 1)->arr = b;
}
static struct kir_op *add(struct gen *g, struct kir_op *a, struct kir_op *b) { return cg_flat_ew(g->f, IR_MAP_add, IR_f32, a, b); }
static struct kir_op *sub(struct gen *g, struct kir_op *a, struct kir_op *b) { return cg_flat_ew(g->f, IR_MAP_sub, IR_f32, a, b); }
static struct kir_op *multiply_add(struct gen *g, struct kir_op *a, struct kir_op *b, struct kir_op *c)
{
  return kir_emit(&g->f->em, KIR_fma, IR_f32, c->lanes, (struct kir_op *[]){ a, b, c }, 3, NULL, 0);
}
static struct kir_op *times(struct gen *g, double k, struct kir_op *a) { return cg_flat_ew(g->f, IR_MAP_mul, IR_f32, cg_flat_const(g->f, IR_f32, k, 0), a); }
/* k*a + b */
static struct kir_op *plus(struct gen *g, double k, struct kir_op *a, struct kir_op *b)
{
  if (k == 1) return add(g, a, b);
  if (k == -1) return sub(g, b, a);
  return multiply_add(g, cg_flat_wide(g->f, cg_flat_const(g->f, IR_f32, k, 0), b->lanes), a, b);
}

/* ---- the transforms along one side: n vectors s apart, in place ---- */
/* B^T: values at the points of polynomials, (x - p)(x + p) multiplied out. */
static void forward2(struct gen *g, struct kir_op **d, unsigned s)
{
  double p = g->p[0], pp = p * p;
  struct kir_op *a = d[0], *b = d[s], *c = d[2 * s], *e = d[3 * s];
  d[0] = plus(g, -pp, a, c);
  d[s] = plus(g, p, b, c);
  d[2 * s] = plus(g, -p, b, c);
  d[3 * s] = plus(g, -pp, b, e);
}
static void forward3(struct gen *g, struct kir_op **d, unsigned s)
{
  double p = g->p[0], pp = p * p, q = g->p[2];
  struct kir_op *b = d[s], *e = d[3 * s], *r[4];
  for (unsigned k = 0; k < 4; k++) r[k] = plus(g, -q, d[k * s], d[(k + 1) * s]);       /* (x - q) first */
  d[0] = plus(g, -pp, r[0], r[2]);
  d[s] = plus(g, p, r[1], r[2]);
  d[2 * s] = plus(g, -p, r[1], r[2]);
  d[3 * s] = plus(g, -pp, b, e);
  d[4 * s] = plus(g, -pp, r[1], r[3]);
}
static void forward4(struct gen *g, struct kir_op **d, unsigned s)
{
  double p = g->p[0], pp = p * p, q = g->p[2], qq = q * q;
  struct kir_op *a = d[0], *b = d[s], *c = d[2 * s], *e = d[3 * s], *h = d[4 * s], *even = plus(g, -qq, c, h), *odd = plus(g, -qq, b, e);
  d[s] = plus(g, p, odd, even);
  d[2 * s] = plus(g, -p, odd, even);
  even = plus(g, -pp, c, h);
  odd = plus(g, -pp, b, e);
  d[3 * s] = plus(g, q, odd, even);
  d[4 * s] = plus(g, -q, odd, even);
  d[0] = plus(g, pp * qq, a, plus(g, -pp - qq, c, h));
  d[5 * s] = plus(g, pp * qq, b, plus(g, -pp - qq, e, d[5 * s]));
}
static void forward(struct gen *g, struct kir_op **d, unsigned s) { (g->m == 2 ? forward2 : g->m == 3 ? forward3 : forward4)(g, d, s); }
/* A^T: sums with powers of the points; the first m are results. */
static void backward(struct gen *g, struct kir_op **d, unsigned s)
{
  double p = g->p[0], q = g->m > 2 ? g->p[2] : 0;
  struct kir_op *sp = add(g, d[s], d[2 * s]), *dp = sub(g, d[s], d[2 * s]);
  d[0] = add(g, d[0], sp);
  if (g->m == 2) {
    d[s] = plus(g, p, dp, d[3 * s]);
    return;
  }
  struct kir_op *sq = d[3 * s], *dq = sq;
  if (g->m == 4) {
    sq = add(g, d[3 * s], d[4 * s]);
    dq = sub(g, d[3 * s], d[4 * s]);
  }
  d[0] = add(g, d[0], sq);
  d[s] = plus(g, p, dp, times(g, q, dq));
  d[2 * s] = plus(g, p * p, sp, g->m == 3 ? plus(g, q * q, sq, d[4 * s]) : times(g, q * q, sq));
  if (g->m == 4) d[3 * s] = plus(g, p * p * p, dp, plus(g, q * q * q, dq, d[5 * s]));
}

/* ---- V ---- */
/* The tile whose first input is (h, w), of vector cv of channels. */
static void transform_in(struct gen *g, const struct ir_ix *h, const struct ir_ix *w, const struct ir_ix *tile, const struct ir_ix *cv, bool clamp)
{
  struct cg_flat *f = g->f;
  struct kir_arr *x = g->w.x;
  struct kir_op *d[MAX_SIDE * MAX_SIDE];
  const struct ir_ix *off, *co, *at[4] = { g->image, ir_ix_add(ir_ix_muli(cv, g->lanes), f->v) };
  for (unsigned b = 0; b < g->n; b++) {
    for (unsigned a = 0; a < g->n; a++) {
      at[2] = ir_ix_addi(h, a);
      at[3] = ir_ix_addi(w, b);
      for (unsigned k = 2; k < 4 && clamp; k++) at[k] = ir_ix_min(at[k], ir_ix_addi(x->hi[k], -1));
      if (!ir_ix_linear(cg_flat_offset(f, x, at), f->v, &co, &off)) ir_bug("winograd", "an input that is not in vectors");
      d[a * g->n + b] = load(g, x, off, g->lanes);
    }
    forward(g, d + b, g->n);
  }
  const struct ir_ix *to = ir_ix_muli(ir_ix_add(ir_ix_muli(cv, g->r.tiles), tile), g->lanes);
  for (unsigned a = 0; a < g->n; a++) {
    forward(g, d + a * g->n, 1);
    for (unsigned b = 0; b < g->n; b++) store(g, g->V, ir_ix_addi(to, (a * g->n + b) * g->v_pitch), d[a * g->n + b]);
  }
}
static void transform_in_all(struct gen *g, const struct ir_ix *h, const struct ir_ix *w, const struct ir_ix *tile, bool clamp)
{
  struct cg_open o;
  const struct ir_ix *cv = cg_flat_for(g->f, "c", num(g, 0), num(g, cg_ceil_div(g->w.C, g->lanes)), 0, &o);
  transform_in(g, h, w, tile, cv, clamp);
  cg_flat_close(g->f, &o);
}
/* How far below the end of x's dim d a tile at `first` ends; negative: it overruns. */
static const struct ir_ix *room(const struct gen *g, const struct ir_ix *first, unsigned d) { return ir_ix_sub(g->w.x->hi[d], ir_ix_addi(first, g->n)); }
/* Does the last of so many tiles along d surely not overrun? */
static bool roomy(const struct gen *g, int64_t tiles, int64_t pad, unsigned d) { return ir_known_ge0(&g->f->k->facts, room(g, num(g, (tiles - 1) * g->m - pad), d)); }
static void input(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o, in;
  const struct ir_ix *tile = cg_flat_for(f, "t", num(g, 0), num(g, g->r.tiles), 0, &o), *t = ir_ix_add(g->t0, tile), *inside[2];
  unsigned n = 0;
  if (g->all % g->r.tiles) t = ir_ix_min(t, num(g, g->all - 1));
  const struct ir_ix *h = ir_ix_addi(ir_ix_muli(ir_ix_divi(t, g->across), g->m), -g->w.ph), *w = ir_ix_addi(ir_ix_muli(ir_ix_modi(t, g->across), g->m), -g->w.pw);
  if (!roomy(g, g->all / g->across, g->w.ph, 2)) inside[n++] = room(g, h, 2);
  if (!roomy(g, g->across, g->w.pw, 3)) inside[n++] = room(g, w, 3);
  if (n) cg_flat_if(f, inside, n, &in);
  transform_in_all(g, h, w, tile, false);
  if (n) {
    cg_flat_else(f, &in);
    transform_in_all(g, h, w, tile, true);
    cg_flat_close(f, &in);
  }
  cg_flat_close(f, &o);
}

/* ---- M ---- */
struct place { const struct ir_ix *ab, *panel, *part, *rows; };   /* what the register tile stands at */
static const struct ir_ix *acc_at(const struct gen *g, const struct ir_ix *r, unsigned q) { return ir_ix_addi(ir_ix_muli(r, g->vecs), q); }
static void prefetch(struct gen *g, const struct ir_ix *u, int64_t ahead, unsigned cache)
{
  for (int64_t q = 0; q < g->r.cols; q += LINE) {
    const struct ir_ix *at = ir_ix_addi(u, ahead + q);
    struct kir_op *o = kir_emit(&g->f->em, KIR_prefetch, IR_f32, 1, NULL, 0, &at, 1);
    o->arr = g->w.u;
    o->sub = cache;
  }
}
/* acc += V[rows, c]*U[c, panel] for channel cv*lanes + c of the part */
static void step(struct gen *g, const struct place *at, struct kir_reg *acc, const struct ir_ix *cv, const struct ir_ix *c)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  struct kir_op *b[MAX_VECS];
  int64_t panels = g->r.outs / g->r.cols, per_part = g->r.part / g->lanes;
  const struct ir_ix *u = ir_ix_add(ir_ix_muli(ir_ix_add(ir_ix_muli(g->go, g->nn), at->ab), panels), at->panel);
  u = ir_ix_add(ir_ix_muli(u, g->w.C), ir_ix_add(ir_ix_muli(at->part, g->r.part), ir_ix_add(ir_ix_muli(cv, g->lanes), c)));
  u = ir_ix_muli(u, g->r.cols);
  for (unsigned q = 0; q < g->vecs; q++) b[q] = load(g, g->w.u, ir_ix_addi(u, q * g->lanes), g->lanes);
  if (g->r.ahead) prefetch(g, u, g->r.ahead, 0);
  if (g->r.far) prefetch(g, u, g->r.far, 1);
  const struct ir_ix *v = ir_ix_muli(ir_ix_add(ir_ix_muli(ir_ix_add(ir_ix_muli(at->part, per_part), cv), g->r.tiles), ir_ix_muli(at->rows, g->r.rows)), g->lanes);
  v = ir_ix_add(ir_ix_add(v, c), ir_ix_muli(at->ab, g->v_pitch));
  const struct ir_ix *r = cg_flat_for(f, "r", num(g, 0), num(g, g->r.rows), KIR_REPLAY, &o);
  struct kir_op *a = cg_flat_wide(f, load(g, g->V, ir_ix_add(v, ir_ix_muli(r, g->lanes)), 1), g->lanes);
  for (unsigned q = 0; q < g->vecs; q++) cg_flat_set(f, acc, acc_at(g, r, q), multiply_add(g, a, b[q], cg_flat_get(f, acc, acc_at(g, r, q))));
  cg_flat_close(f, &o);
}
static void sum(struct gen *g, const struct place *at, struct kir_reg *acc)
{
  struct cg_flat *f = g->f;
  struct cg_open o, oc;
  int64_t whole = g->r.part / g->lanes, rest = g->r.part % g->lanes;
  if (whole) {
    const struct ir_ix *cv = cg_flat_for(f, "cv", num(g, 0), num(g, whole), 0, &o), *c = cg_flat_for(f, "c", num(g, 0), num(g, g->lanes), UNROLL, &oc);
    step(g, at, acc, cv, c);
    cg_flat_close(f, &oc);
    cg_flat_close(f, &o);
  }
  if (!rest) return;
  const struct ir_ix *c = cg_flat_for(f, "c", num(g, 0), num(g, rest), 0, &oc);
  step(g, at, acc, num(g, whole), c);
  cg_flat_close(f, &oc);
}
/* One part of the sum for all rows: a part of a panel stays in the first cache meanwhile. The first part is stored, others are added. */
static void rows(struct gen *g, struct place at, bool first)
{
  struct cg_flat *f = g->f;
  struct cg_open o, or;
  struct kir_reg *acc = kir_reg_var(f->k, "acc", IR_f32, (unsigned)(g->r.rows * g->vecs), g->lanes);
  at.rows = cg_flat_for(f, "t", num(g, 0), num(g, g->r.tiles / g->r.rows), 0, &o);
  const struct ir_ix *r = cg_flat_for(f, "r", num(g, 0), num(g, g->r.rows), KIR_REPLAY, &or);
  for (unsigned q = 0; q < g->vecs; q++) cg_flat_set(f, acc, acc_at(g, r, q), cg_flat_const(f, IR_f32, 0, 0));
  cg_flat_close(f, &or);
  sum(g, &at, acc);
  r = cg_flat_for(f, "r", num(g, 0), num(g, g->r.rows), KIR_REPLAY, &or);
  for (unsigned q = 0; q < g->vecs; q++) {
    const struct ir_ix *to = ir_ix_muli(ir_ix_addi(ir_ix_muli(at.panel, g->vecs), q), g->r.tiles);
    to = ir_ix_add(ir_ix_muli(ir_ix_add(to, ir_ix_add(ir_ix_muli(at.rows, g->r.rows), r)), g->lanes), ir_ix_muli(at.ab, g->m_pitch));
    struct kir_op *v = cg_flat_get(f, acc, acc_at(g, r, q));
    store(g, g->M, to, first ? v : add(g, v, load(g, g->M, to, g->lanes)));
  }
  cg_flat_close(f, &or);
  cg_flat_close(f, &o);
}
static void product(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o[3];
  int64_t parts = g->w.C / g->r.part;
  struct place at = { .part = num(g, 0) };
  at.ab = cg_flat_for(f, "ab", num(g, 0), num(g, g->nn), 0, &o[0]);
  at.panel = cg_flat_for(f, "p", num(g, 0), num(g, g->r.outs / g->r.cols), 0, &o[1]);
  rows(g, at, true);
  if (parts > 1) {
    at.part = cg_flat_for(f, "k", num(g, 1), num(g, parts), 0, &o[2]);
    rows(g, at, false);
    cg_flat_close(f, &o[2]);
  }
  cg_flat_close(f, &o[1]);
  cg_flat_close(f, &o[0]);
}

/* ---- results ---- */
/* What follows the sum, for the result v at (h, w) of the channels o. */
static void finish(struct gen *g, const struct ir_ix *o, const struct ir_ix *h, const struct ir_ix *w, struct kir_op *v)
{
  struct cg_flat *f = g->f;
  const struct cg_contract *c = &g->w.c;
  const struct ir_ix *at[IR_MAX_RANK];
  uint32_t mark = cg_flat_mark(f);
  for (unsigned i = 0; i < c->n_ax; i++)
    cg_flat_bind(f, c->ax[i].var, (int)i == g->w.n ? g->image : i == g->w.o ? o : i == g->w.h ? h : i == g->w.w ? w : num(g, 0));
  for (unsigned d = 0; d < c->acc->rank; d++) at[d] = cg_flat_at(f, c->acc_at[d]);
  if (!c->acc->arg) cg_flat_at_hand(f, f->slot[c->acc->index].stmt, at, v);
  for (unsigned k = 0; k < c->n_items; k++) {
    const struct cg_item *it = &c->item[k];
    if (!it->dst->arg) continue;
    struct kir_op *y = it->dst == c->acc ? v : cg_flat_wide(f, cg_flat_expr(f, it->e), g->lanes);
    for (unsigned d = 0; d < it->dst->rank; d++) at[d] = cg_flat_at(f, it->at[d]);
    cg_flat_store(f, it->dst, at, y);
  }
  cg_flat_unbind(f, mark);
}
static void finish_tile(struct gen *g, const struct ir_ix *o, const struct ir_ix *h, const struct ir_ix *w, struct kir_op **y, bool whole)
{
  struct cg_flat *f = g->f;
  struct cg_open oh, ow;
  for (unsigned i = 0; i < g->m; i++) {
    const struct ir_ix *hi = ir_ix_addi(h, i), *some = ir_ix_addi(ir_ix_sub(num(g, g->w.H), hi), -1);
    if (!whole) cg_flat_if(f, &some, 1, &oh);
    for (unsigned j = 0; j < g->m; j++) {
      const struct ir_ix *wj = ir_ix_addi(w, j), *there = ir_ix_addi(ir_ix_sub(num(g, g->w.W), wj), -1);
      if (!whole) cg_flat_if(f, &there, 1, &ow);
      finish(g, o, hi, wj, y[i * g->n + j]);
      if (!whole) cg_flat_close(f, &ow);
    }
    if (!whole) cg_flat_close(f, &oh);
  }
}
static void transform_out(struct gen *g, const struct ir_ix *ov, const struct ir_ix *tile)
{
  struct cg_flat *f = g->f;
  struct cg_open in;
  struct kir_op *d[MAX_SIDE * MAX_SIDE];
  const struct ir_ix *t = ir_ix_add(g->t0, tile), *from = ir_ix_muli(ir_ix_add(ir_ix_muli(ov, g->r.tiles), tile), g->lanes);
  const struct ir_ix *h = ir_ix_muli(ir_ix_divi(t, g->across), g->m), *w = ir_ix_muli(ir_ix_modi(t, g->across), g->m);
  const struct ir_ix *o = ir_ix_add(ir_ix_add(g->o0, ir_ix_muli(ov, g->lanes)), f->v), *whole[2];
  unsigned n = 0;
  for (unsigned b = 0; b < g->n; b++) {
    for (unsigned a = 0; a < g->n; a++) d[a * g->n + b] = load(g, g->M, ir_ix_addi(from, (a * g->n + b) * g->m_pitch), g->lanes);
    backward(g, d + b, g->n);
  }
  for (unsigned a = 0; a < g->m; a++) backward(g, d + a * g->n, 1);
  const struct ir_ix *below = ir_ix_addi(ir_ix_sub(num(g, g->w.H), h), -(int64_t)g->m), *right = ir_ix_addi(ir_ix_sub(num(g, g->w.W), w), -(int64_t)g->m);
  cg_flat_assume(f, w);                           /* what the prover does not see in quotients and remainders */
  if (g->w.H % g->m) whole[n++] = below;
  else cg_flat_assume(f, below);
  if (g->w.W % g->m) whole[n++] = right;
  else cg_flat_assume(f, right);
  if (n) cg_flat_if(f, whole, n, &in);
  finish_tile(g, o, h, w, d, true);
  if (!n) return;
  cg_flat_else(f, &in);
  finish_tile(g, o, h, w, d, false);
  cg_flat_close(f, &in);
}
static void output(struct gen *g)
{
  struct cg_flat *f = g->f;
  struct cg_open o, ot;
  int64_t vecs = g->r.outs / g->lanes, last = g->all % g->r.tiles;
  const struct ir_ix *n = num(g, vecs), *left = ir_ix_sub(num(g, g->w.O), g->o0), *tiles = num(g, g->r.tiles);
  if (g->w.O % g->r.outs) n = ir_ix_min(n, ir_ix_cdivi(left, g->lanes));
  if (last) tiles = ir_ix_min(tiles, ir_ix_sub(num(g, g->all), g->t0));
  const struct ir_ix *ov = cg_flat_for(f, "o", num(g, 0), n, 0, &o);
  if (g->w.O % g->lanes) f->upto = ir_ix_sub(left, ir_ix_muli(ov, g->lanes));
  const struct ir_ix *tile = cg_flat_for(f, "t", num(g, 0), tiles, 0, &ot);
  transform_out(g, ov, tile);
  cg_flat_close(f, &ot);
  cg_flat_close(f, &o);
  f->upto = NULL;
}

/* ---- zeros around a result: those of the task's channels, by the task of the first tiles ---- */
static void zero_box(struct gen *g, struct kir_arr *y, const struct ir_ix **at, unsigned dh, unsigned dw, const struct ir_ix *const *lo, const struct ir_ix *const *hi)
{
  struct cg_flat *f = g->f;
  struct cg_open o[2];
  at[dh] = cg_flat_for(f, "z", lo[0], hi[0], 0, &o[0]);
  at[dw] = cg_flat_for(f, "z", lo[1], hi[1], 0, &o[1]);
  cg_flat_store(f, y, at, cg_flat_wide(f, cg_flat_const(f, y->elem, 0, 0), g->lanes));
  cg_flat_close(f, &o[1]);
  cg_flat_close(f, &o[0]);
}
static void zero_halo(struct gen *g, const struct cg_item *it)
{
  struct cg_flat *f = g->f;
  struct kir_arr *y = it->dst;
  const struct ir_ix *at[IR_MAX_RANK], *first = ir_ix_neg(g->gt), *zero = num(g, 0);
  unsigned dh = 0, dw = 0;
  struct cg_open o, oo;
  if (!cg_has_halo(y)) return;
  cg_flat_if(f, &first, 1, &o);
  const struct ir_ix *ov = cg_flat_for(f, "o", zero, ir_ix_min(num(g, g->r.outs / g->lanes), ir_ix_cdivi(ir_ix_sub(num(g, g->w.O), g->o0), g->lanes)), 0, &oo);
  const struct cg_axis *ax = g->w.c.ax;
  if (g->w.O % g->lanes) f->upto = ir_ix_sub(ir_ix_sub(num(g, g->w.O), g->o0), ir_ix_muli(ov, g->lanes));
  for (unsigned d = 0; d < y->rank; d++) {
    if (it->at[d] == ax[g->w.h].var) dh = d;
    if (it->at[d] == ax[g->w.w].var) dw = d;
    at[d] = it->at[d] == ax[g->w.o].var ? ir_ix_add(ir_ix_add(g->o0, ir_ix_muli(ov, g->lanes)), f->v) : g->w.n >= 0 && it->at[d] == ax[g->w.n].var ? g->image : it->at[d];
  }
  const struct ir_ix *H = num(g, g->w.H), *W = num(g, g->w.W), *box[4][2][2] = { { { y->lo[dh], y->lo[dw] }, { zero, y->hi[dw] } }, { { H, y->lo[dw] }, { y->hi[dh], y->hi[dw] } },
                                                                                   { { zero, y->lo[dw] }, { H, zero } }, { { zero, W }, { H, y->hi[dw] } } };
  for (unsigned i = 0; i < 4; i++)
    if (!ir_known_ge0(&f->k->facts, ir_ix_sub(box[i][0][i / 2], box[i][1][i / 2]))) zero_box(g, y, at, dh, dw, box[i][0], box[i][1]);
  f->upto = NULL;
  cg_flat_close(f, &oo);
  cg_flat_close(f, &o);
}

/* ---- the record ---- */
/* Where the step of a loop over the axis belongs; NULL: nowhere. */
static int64_t *field(const struct cg_winograd *w, struct cg_winograd_record *r, const char *axis, bool grid, int64_t side[2])
{
  if (!strcmp(axis, CG_WINOGRAD_TILES)) return grid ? &r->tiles : &r->rows;
  int a = cg_find_axis(&w->c, axis);
  if (a == (int)w->o) return grid ? &r->outs : &r->cols;
  if (grid) return NULL;
  return a == (int)w->k ? &r->part : a == (int)w->h ? &side[0] : a == (int)w->w ? &side[1] : NULL;
}
bool cg_winograd_loops(const struct cg_winograd *w, const struct kir_sched *s, struct cg_winograd_record *r)
{
  int64_t side[2] = { 0 };
  for (uint32_t l = 0; l < s->loops.n; l++)
    for (unsigned p = 0; p < s->loops.v[l].n; p++) {
      const char *axis = s->loops.v[l].part[p].axis;
      int64_t step = s->loops.v[l].part[p].step;
      bool grid = s->loops.v[l].kind == KIR_GRID;
      int64_t *to = field(w, r, axis, grid, side);
      if (to) *to = step;
      bool image = grid && step == 1 && w->n >= 0 && cg_find_axis(&w->c, axis) == w->n;
      if ((!to && !image) || (!grid && s->loops.v[l].kind != KIR_FOR)) return false;
    }
  r->m = side[0];
  return side[0] == side[1];
}
static bool read_record(struct gen *g, const struct kir_sched *s, const char **why)
{
  struct cg_winograd_record *r = &g->r;
  const struct kir_inst *in = s->inst ? kir_inst_find(s->inst) : NULL;
  const struct kir_stage *u = cg_find_stage(s, g->w.u);
  *why = "the record's loops are not: grid over images, tiles and channels, for over h, w, channels, summed channels, tiles; with packed weights";
  if (!cg_winograd_loops(&g->w, s, r) || !u || u->how != KIR_PACKED) return false;
  r->ahead = u->prefetch / (int64_t)sizeof(float);
  r->far = u->far / (int64_t)sizeof(float);
  *why = "the record's steps fit neither vectors nor tiles";
  if (r->m < 2 || r->m > KIR_WINOGRAD_MAX || !in || in->m != 1 || in->k != 1 || in->text || in->n < 2 || !cg_winograd_fits(&g->w, in->n)) return false;
  g->lanes = in->n;
  g->across = cg_ceil_div(g->w.W, r->m);
  g->all = g->across * cg_ceil_div(g->w.H, r->m);
  if (r->cols < 1 || r->rows < 1 || r->part < 1 || r->outs < 1 || r->tiles < 1 || r->rows > MAX_ROWS || r->cols > MAX_VECS * g->lanes) return false;
  if (r->tiles > cg_round_up(g->all, r->rows) || r->outs > cg_round_up(g->w.O, r->cols)) return false;
  g->vecs = (unsigned)(r->cols / g->lanes);
  if (r->cols % g->lanes || r->outs % r->cols || cg_round_up(g->w.O, r->cols) % r->outs || r->tiles % r->rows) return false;
  return g->w.C % r->part == 0 && (r->part == g->w.C || r->part % g->lanes == 0);
}
/* [block of outs][ab][panel][c][column] */
static void pack(struct gen *g)
{
  struct kir_arr *u = g->w.u;
  struct ir_ixs *t = g->f->k->ixs;
  int64_t O = cg_round_up(g->w.O, g->r.cols), ext[4] = { g->w.O, g->w.C, g->n, g->n };
  const struct ir_ix *o = ir_ix_coord(t, 0), *at = ir_ix_divi(o, g->r.outs);
  at = ir_ix_add(ir_ix_muli(at, g->nn), ir_ix_add(ir_ix_muli(ir_ix_coord(t, 2), g->n), ir_ix_coord(t, 3)));
  at = ir_ix_add(ir_ix_muli(at, g->r.outs / g->r.cols), ir_ix_divi(ir_ix_modi(o, g->r.outs), g->r.cols));
  at = ir_ix_add(ir_ix_muli(at, g->w.C), ir_ix_coord(t, 1));
  u->at = ir_ix_add(ir_ix_muli(at, g->r.cols), ir_ix_modi(o, g->r.cols));
  for (unsigned d = 0; d < 4; d++) {
    u->lo[d] = num(g, 0);
    u->shape[d] = num(g, ext[d]);
    u->hi[d] = num(g, d ? ext[d] : O);
  }
  u->elems = num(g, O * g->w.C * g->nn);
  u->zero_pad = true;
  u->winograd = g->m;
  u->align = 64;
}
static void grid(struct gen *g)
{
  const struct cg_axis *ax = g->w.c.ax;
  int64_t nt = cg_ceil_div(g->all, g->r.tiles), no = cg_round_up(g->w.O, g->r.cols) / g->r.outs;
  g->image = g->w.n < 0 || ax[g->w.n].n == 1 ? num(g, 0) : cg_flat_grid(g->f, ax[g->w.n].name, ax[g->w.n].ext);
  g->gt = nt == 1 ? num(g, 0) : cg_flat_grid(g->f, "gt", num(g, nt));
  g->go = no == 1 ? num(g, 0) : cg_flat_grid(g->f, "go", num(g, no));
  g->t0 = ir_ix_muli(g->gt, g->r.tiles);
  g->o0 = ir_ix_muli(g->go, g->r.outs);
}
struct kir_kern *cg_winograd_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  struct gen g = { 0 };
  (void)t;
  g.f = cg_flat_begin(a, n, why);
  if (!g.f || !cg_winograd_read(&g.w, a, n, why) || !read_record(&g, s, why)) return NULL;
  g.m = (unsigned)g.r.m;
  g.n = g.m + 2;
  g.nn = g.n * g.n;
  g.p = kir_winograd_points(g.m);
  g.v_pitch = cg_ceil_div(g.w.C, g.lanes) * g.lanes * g.r.tiles + LINE;      /* a line more: the matrices of one vector lie in different sets */
  g.m_pitch = g.r.outs * g.r.tiles + LINE;
  g.V = kir_buf(g.f->k, "V", IR_f32, 2, (int64_t[]){ g.nn, g.v_pitch });
  g.M = kir_buf(g.f->k, "M", IR_f32, 2, (int64_t[]){ g.nn, g.m_pitch });
  pack(&g);
  grid(&g);
  cg_flat_lanes(g.f, g.lanes);
  input(&g);
  product(&g);
  output(&g);
  for (unsigned k = 0; k < g.w.c.n_items; k++)
    if (g.w.c.item[k].dst->arg) zero_halo(&g, &g.w.c.item[k]);
  return cg_flat_end(g.f);
}
