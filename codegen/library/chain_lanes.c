/* The form of the skeleton `chain` for GPUs: a block of warps owns a block of rows and runs over blocks of keys, which a pipe brings into shared memory. Each warp
 * has rows of its own, so maxima, sums and the result never leave it; of the scores it holds one block of keys, in registers.
 *
 *   m = lowest, l = 0, o = 0
 *   pipe over blocks of keys: k, v into shared memory
 *     s = q*k;  s = its maps;  n = max(m, max s);  s = exp(s - n);  l = l*exp(m - n) + sum s;  o = o*exp(m - n) + s*v;  m = n
 *   results <- maps of o/l
 *
 * On matrix units (q, k and v of one 16-bit type) q stays in registers as the first operand of the first product. A tile of scores lies as the instruction's result;
 * rounded, the same registers are the first operand of the second product: two neighbouring results of 8 columns are one operand of 16. k is fetched along its
 * rows, v across them, transposed on the way. On ordinary units everything is float32; q and the weights go through shared memory, since every lane that owns a part
 * of a row needs all of it.
 *
 * Record: loops = grid over the rows one by one, i by the block; `pipe j` by the block of keys; `warp i` by the rows of a warp; on ordinary units `lane i`, `lane j`: rows and
 * keys of a lane. Widths are filled with zeros up to whole instructions, rows of shared memory lie 16 bytes further apart, so that eight of them are in different banks.
 * With a causal mask the longest blocks of rows are started first, and a block of keys of which nothing is hidden has a body without tests. What the equations say of
 * masked rows holds as in chain.c. */
#include <math.h>
#include <string.h>
#include "codegen/library/chain.h"

enum { WARP = 32, MAX_WIDTH = 256, HALF_WIDTH = 160 /* on matrix units: what the registers hold */, STEP = 8 /* of the sums on ordinary units */, FEW = 4 /* rows */, LANES_J = 8 /* lanes along keys, ordinary units */ };

struct lanes {
  struct cg_chain *c;
  struct kir_nest *n;
  struct kir_kern *k;
  struct kir_emit e;
  const struct kir_inst *in;
  bool units;                                       /* matrix units */
  int64_t warps, BI, BJ, D, E, Dp, Ep;              /* rows and keys of a block; widths, and filled up */
  int64_t ri, rj, li, lj;                           /* ordinary units: rows and keys of a lane, lanes along them */
  unsigned depth;
  const char *via[2];                               /* of k and v */
  struct kir_layout score, result, row, query;
  const struct ir_ix *i0, *i, *j0, *j, *d, *e_, *I, *J, *stage, *causal;
  const struct ir_ix *from[IR_MAX_RANK + 3], *to[IR_MAX_RANK + 3];
  unsigned n_sub;
  struct kir_reg *s, *o, *m, *l, *top, *a, *p, *q;
  struct kir_arr *sq, *sp, *sk, *sv;
  const char *why;
};
static const struct ir_ix *num_(const struct lanes *g, int64_t i) { return ir_ix_int(g->k->ixs, i); }
static bool known(const struct lanes *g, const struct ir_ix *e) { return ir_known_ge0(&g->k->facts, e); }
static bool refuse(struct lanes *g, const char *why)
{
  if (!g->why) g->why = why;
  return false;
}

/* ---- expressions ---- */
static const struct kir_expr *uncast(const struct kir_expr *e)
{
  while (e->kind == KIR_E_CAST && ir_elem_narrower(e->a[0]->elem, e->elem)) e = e->a[0];
  return e;
}
static bool half(enum ir_elem e) { return e == IR_f16 || e == IR_bf16; }
static void stands(struct lanes *g, const struct ir_ix *sym, const struct ir_ix *at)
{
  if (!sym) return;
  unsigned i = 0;
  while (i < g->n_sub && g->from[i] != sym) i++;
  IR_ASSERT(i < sizeof g->from / sizeof *g->from);
  g->from[i] = sym;
  g->to[i] = at;
  if (i == g->n_sub) g->n_sub++;
}
static struct kir_expr *tile(const struct lanes *g, struct kir_reg *r)
{
  bool e = r->n_dims == 2 && !strcmp(r->lay.dim[1], "e"), d = r->n_dims == 2 && !strcmp(r->lay.dim[1], "d");
  return kir_tile(g->c->a, r, (const struct ir_ix *[]){ g->i, e ? g->e_ : d ? g->d : g->j }, r->n_dims);
}
static struct kir_expr *f32(const struct lanes *g, double x) { return kir_const(g->n, IR_f32, x, 0); }
static struct kir_expr *fn(const struct lanes *g, enum ir_map f, struct kir_expr *a, struct kir_expr *b) { return kir_fn(g->n, f, a, b, NULL); }
static struct kir_expr *pick(const struct lanes *g, struct kir_expr *p, struct kir_expr *a, struct kir_expr *b) { return kir_fn(g->n, IR_MAP_select, p, a, b); }
/* Where the chain's own values stand. */
static struct kir_expr *own(void *arg, struct kir_expr *e)
{
  struct lanes *g = arg;
  if (e->arr == g->c->s->dst) return tile(g, g->s);
  if (e->arr == g->c->l->dst) return tile(g, g->l);
  if (e->arr != g->c->o->dst) return e;
  struct kir_expr *o = tile(g, g->o), *nan = fn(g, IR_MAP_isnan, tile(g, g->l), NULL);
  if (!g->c->divided) return pick(g, nan, tile(g, g->l), o);
  o = fn(g, IR_MAP_mul, o, tile(g, g->a));
  return g->c->nan_zero ? pick(g, nan, f32(g, 0), o) : o;
}
/* Conditions that the facts decide go. */
static struct kir_expr *settle(const struct lanes *g, struct kir_expr *e)
{
  int64_t k;
  if (e->ix) e->ix = ir_ix_simplify(&g->k->facts, e->ix);
  if (e->kind == KIR_E_SELECT && ir_ix_const(e->ix, &k)) return settle(g, e->a[k == 0]);
  for (unsigned i = 0; i < e->n; i++) e->a[i] = settle(g, e->a[i]);
  return e;
}
/* e at the coordinates of the tiles. */
static struct kir_expr *here(struct lanes *g, const struct kir_expr *e)
{
  return settle(g, cg_expr_move(g->c->a, cg_chain_flat(g->c, e), &(struct cg_move){ g->from, g->to, g->n_sub, own, g }));
}
static unsigned need(const struct lanes *g, const struct ir_ix *e, const struct ir_ix **out, unsigned n)
{
  if (!known(g, e)) out[n++] = e;
  return n;
}

/* ---- layouts ---- */
static void dims(struct kir_layout *l, const char *names) { IR_ASSERT(kir_layout_parse(names, strlen(names), l)); }
/* Rows of a warp as the units want them: r registers for each. */
static void rows(const struct lanes *g, struct kir_layout *l, int64_t r)
{
  cg_factor(l, 0, g->warps, 'w', 1);
  if (g->units) {
    cg_factor(l, 0, 2, 'r', r);
    cg_factor(l, 0, 8, 'l', 4);
  } else {
    cg_factor(l, 0, g->ri, 'r', r);
    cg_factor(l, 0, g->li, 'l', g->lj);
  }
}
static void columns(const struct lanes *g, struct kir_layout *l, int64_t n)
{
  if (g->units) {
    cg_factor(l, 1, n / 8, 'r', 2);
    cg_factor(l, 1, 4, 'l', 1);
    cg_factor(l, 1, 2, 'v', 1);
  } else {
    cg_factor(l, 1, n / g->lj, 'r', 1);
    cg_factor(l, 1, g->lj, 'l', 1);
  }
}
static void layouts(struct lanes *g)
{
  dims(&g->score, "i=1, j=1");
  rows(g, &g->score, g->units ? 1 : g->BJ / g->lj);
  columns(g, &g->score, g->BJ);
  dims(&g->result, "i=1, e=1");
  rows(g, &g->result, g->units ? 1 : g->Ep / g->lj);
  columns(g, &g->result, g->Ep);
  dims(&g->row, "i=1");
  rows(g, &g->row, 1);
  if (!g->units) return;
  dims(&g->query, "i=1, d=1");
  rows(g, &g->query, 1);
  cg_factor(&g->query, 1, g->Dp / 16, 'r', 4);
  cg_factor(&g->query, 1, 2, 'r', 2);
  cg_factor(&g->query, 1, 4, 'l', 1);
  cg_factor(&g->query, 1, 2, 'v', 1);
}
/* n rows, their columns in pieces of 16 bytes, dealt to lanes along a row, then to rows, then to warps. */
static void copy_layout(const struct lanes *g, int64_t n, int64_t cols, unsigned piece, const char *names, struct kir_layout *l)
{
  int64_t lc = 1;
  while (lc < WARP && cols / piece % (2 * lc) == 0) lc *= 2;
  int64_t lr = WARP / lc < n ? WARP / lc : n, w = n / lr < g->warps ? n / lr : g->warps, rc = cols / piece / lc;
  dims(l, names);
  cg_factor(l, 0, w, 'w', 1);
  cg_factor(l, 0, n / lr / w, 'r', rc);
  cg_factor(l, 0, lr, 'l', lc);
  cg_factor(l, 1, rc, 'r', 1);
  cg_factor(l, 1, lc, 'l', 1);
  cg_factor(l, 1, piece, 'v', 1);
}

/* ---- tiles and ops ---- */
static struct kir_op *op(struct lanes *g, enum kir_opcode o, struct kir_reg *r)
{
  struct kir_op *x = kir_emit(&g->e, o, r ? r->elem : IR_f32, 1, NULL, 0, NULL, 0);
  x->reg = r;
  return x;
}
static struct kir_reg *new_tile(struct lanes *g, const char *name, enum ir_elem elem, const struct kir_layout *l)
{
  const struct ir_ix *co[2] = { g->i, l->n_dims < 2 ? NULL : l->dim[1][0] == 'e' ? g->e_ : l->dim[1][0] == 'd' ? g->d : g->j };
  int64_t dim[2] = { g->BI, l->n_dims < 2 ? 0 : ir_ix_as_sym(co[1])->hi + 1 };
  struct kir_reg *r = kir_reg_tile(g->k, name, elem, l->n_dims, dim, l);
  for (unsigned d = 0; d < l->n_dims; d++) {
    r->n_axes[d] = 1;
    r->axes[d][0].axis = ir_ix_as_sym(co[d])->name;
    r->axes[d][0].ext = dim[d];
  }
  op(g, KIR_tile, r);
  return r;
}
static struct kir_reg *filled(struct lanes *g, const char *name, const struct kir_layout *l, double x)
{
  struct kir_reg *r = new_tile(g, name, IR_f32, l);
  op(g, KIR_fill, r)->f = x;
  return r;
}
static void set(struct lanes *g, struct kir_reg *r, struct kir_expr *e) { op(g, KIR_map, r)->e = e; }
static void reduce(struct lanes *g, struct kir_reg *to, enum kir_red r)
{
  struct kir_op *o = op(g, KIR_reduce, to);
  o->reg2 = g->s;
  o->sub = r;
  o->i = 1;
}
static void multiply(struct lanes *g, struct kir_reg *acc, struct kir_expr *a, struct kir_expr *b, const struct ir_ix *k, int64_t steps)
{
  struct kir_op *o = kir_emit(&g->e, KIR_mma, IR_f32, 1, NULL, 0, (const struct ir_ix *[]){ num_(g, steps) }, 1);
  o->reg = acc;
  o->e = fn(g, IR_MAP_mul, a, b);
  o->inst = g->in;
  o->var = k;
}
static struct kir_expr *at(struct lanes *g, struct kir_arr *b, const struct ir_ix *first, const struct ir_ix *row, const struct ir_ix *col)
{
  return kir_read(g->n, b, b->rank == 3 ? (const struct ir_ix *[]){ first, row, col } : (const struct ir_ix *[]){ row, col }, NULL);
}
/* b[.., row, col] <- e where the guards hold, else 0: a plain read goes as a copy. */
static void stage(struct lanes *g, struct kir_arr *b, const struct kir_expr *from, const struct ir_ix *row, const struct ir_ix *col, const char *names, const char *via, const struct ir_ix *const *guard,
                  unsigned n_guards)
{
  const struct ir_ix *ix[5];
  unsigned n = 0;
  struct kir_layout lay;
  struct kir_expr *e = here(g, b->elem == IR_f32 ? from : uncast(from)), *zero = kir_const(g->n, b->elem, 0, 0);
  bool copy = e->kind == KIR_E_READ && e->arr->arg && !e->els;
  if (b->rank == 3) ix[n++] = g->stage;
  ix[n++] = row;
  ix[n++] = col;
  copy_layout(g, ir_ix_as_sym(row)->hi + 1, ir_ix_as_sym(col)->hi + 1, 16 / ir_elem_bytes(b->elem), names, &lay);
  if (copy) e->els = zero;
  for (unsigned i = 0; i < n_guards; i++) {
    if (copy) ix[n++] = guard[i];
    else e = kir_select(g->n, ir_ix_ge0(guard[i]), e, zero);
  }
  struct kir_op *o = kir_emit(&g->e, copy ? KIR_copy : KIR_map, b->elem, 1, NULL, 0, ix, n);
  o->arr = b;
  o->e = e;
  o->lay = ir_arena_copy(g->c->a, &lay, sizeof lay);
  o->i = copy && via && !strcmp(via, "cp.async");
}

/* ---- the parts ----
 * Scores and result may have their widths by one symbol: it stands for what the part at hand has. */
static void queries(struct lanes *g)
{
  stands(g, g->c->d.var, g->d);
  const struct ir_ix *guard[2], *wide = ir_ix_addi(ir_ix_neg(g->d), g->D - 1);
  unsigned n = need(g, wide, guard, 0);
  if (!g->units) {
    stage(g, g->sq, g->c->q, g->i, g->d, "i=1, d=1", NULL, guard, n);
    return;
  }
  struct kir_expr *e = here(g, uncast(g->c->q));
  g->q = new_tile(g, "q", g->in->ab, &g->query);
  for (unsigned i = 0; i < n; i++) e = kir_select(g->n, ir_ix_ge0(guard[i]), e, kir_const(g->n, g->in->ab, 0, 0));
  set(g, g->q, e);
}
static void keys(struct lanes *g)
{
  const struct ir_ix *guard[2], *last = ir_ix_addi(ir_ix_sub(ir_ix_sub(g->J, g->j0), g->j), -1);
  unsigned n = need(g, last, guard, 0);
  unsigned nk = need(g, ir_ix_addi(ir_ix_neg(g->d), g->D - 1), guard, n);
  stands(g, g->c->d.var, g->d);
  stage(g, g->sk, g->c->k, g->j, g->d, "j=1, d=1", g->via[0], guard, nk);
  n = need(g, ir_ix_addi(ir_ix_neg(g->e_), g->E - 1), guard, n);
  stands(g, g->c->e.var, g->e_);
  stage(g, g->sv, g->c->v, g->j, g->e_, "j=1, e=1", g->via[1], guard, n);
}
/* acc += a*b over n, in steps on ordinary units. a, b: where the summed coordinate is `sym`. */
static void product(struct lanes *g, struct kir_reg *acc, struct kir_expr *a, struct kir_expr *b, const struct ir_ix *sym, int64_t n)
{
  struct cg_for f;
  if (g->units) {
    multiply(g, acc, a, b, sym, n);
    return;
  }
  const struct ir_ix *k = cg_coord(g->k, "k_", STEP), *t = ir_ix_add(ir_ix_muli(cg_for_begin(&g->e, &f, "k", num_(g, n / STEP), 0), STEP), k);
  const struct cg_move m = { &sym, &t, 1, NULL, NULL };
  multiply(g, acc, cg_expr_move(g->c->a, a, &m), cg_expr_move(g->c->a, b, &m), k, STEP);
  cg_for_end(&g->e, &f);
}
/* The maps over the scores; keys behind the last one become -inf. */
static void maps(struct lanes *g)
{
  const struct ir_ix *left[1];
  struct kir_expr *t = here(g, g->c->t);
  if (need(g, ir_ix_addi(ir_ix_sub(ir_ix_sub(g->J, g->j0), g->j), -1), left, 0)) t = kir_select(g->n, ir_ix_ge0(left[0]), t, f32(g, -INFINITY));
  if (t->kind != KIR_E_TILE) set(g, g->s, t);
}
static void scores(struct lanes *g)
{
  const struct ir_ix *easy[2];
  unsigned n = 0;
  op(g, KIR_fill, g->s)->f = 0;
  product(g, g->s, g->units ? tile(g, g->q) : at(g, g->sq, NULL, g->i, g->d), at(g, g->sk, g->stage, g->j, g->d), g->d, g->Dp);
  if (g->causal) n = need(g, ir_ix_addi(ir_ix_sub(ir_ix_add(g->i0, g->causal), g->j0), 1 - g->BJ), easy, n);
  n = need(g, ir_ix_addi(ir_ix_sub(g->J, g->j0), -g->BJ), easy, n);
  bool never = false;
  for (unsigned i = 0; i < n; i++) never |= known(g, ir_ix_addi(ir_ix_neg(easy[i]), -1));
  if (!n || never) {
    maps(g);
    return;
  }
  struct kir_block *outer = g->e.at;
  struct kir_op *o = kir_emit(&g->e, KIR_if, IR_f32, 1, NULL, 0, easy, n);
  for (unsigned i = 0; i < 2; i++) {                  /* the same twice: facts make the difference */
    uint32_t mark = ir_facts_mark(&g->k->facts);
    for (unsigned k = 0; !i && k < n; k++) ir_facts_push(&g->k->facts, easy[k]);
    g->e.at = &o->body[i];
    maps(g);
    ir_facts_reset(&g->k->facts, mark);
  }
  g->e.at = outer;
}
static void weights(struct lanes *g, bool once)
{
  struct kir_expr *s = tile(g, g->s), *m = tile(g, g->m), *l = tile(g, g->l), *top = tile(g, g->top);
  reduce(g, g->top, KIR_MAX);
  set(g, g->top, fn(g, IR_MAP_max, top, m));
  set(g, g->s, fn(g, IR_MAP_exp, fn(g, IR_MAP_sub, s, top), NULL));
  if (once) {
    reduce(g, g->l, KIR_SUM);
    return;
  }
  set(g, g->a, fn(g, IR_MAP_exp, fn(g, IR_MAP_sub, m, top), NULL));
  set(g, g->m, top);
  reduce(g, g->top, KIR_SUM);
  set(g, g->l, fn(g, IR_MAP_add, fn(g, IR_MAP_mul, l, tile(g, g->a)), top));
  set(g, g->o, fn(g, IR_MAP_mul, tile(g, g->o), tile(g, g->a)));
}
static void results(struct lanes *g)
{
  struct kir_expr *v = at(g, g->sv, g->stage, g->j, g->e_);
  if (g->units) {
    set(g, g->p, kir_cast(g->n, g->in->ab, tile(g, g->s)));
    product(g, g->o, tile(g, g->p), v, g->j, g->BJ);
    return;
  }
  cg_map_arr(&g->e, g->sp, (const struct ir_ix *[]){ g->i, g->j }, tile(g, g->s), &g->score);
  op(g, KIR_barrier, NULL);
  product(g, g->o, at(g, g->sp, NULL, g->i, g->j), v, g->j, g->BJ);
}
static void store(struct lanes *g, const struct cg_chain_out *out)
{
  const struct ir_ix *ix[IR_MAX_RANK + 2];
  unsigned n = out->dst->rank;
  struct kir_expr read = { .kind = KIR_E_READ, .elem = g->c->o->e->elem, .arr = g->c->o->dst }, *e = out->e ? here(g, out->e) : own(g, &read);
  for (unsigned d = 0; d < n; d++) ix[d] = ir_ix_subst(out->at[d], g->from, g->to, g->n_sub);
  n = need(g, ir_ix_addi(ir_ix_sub(ir_ix_sub(g->I, g->i0), g->i), -1), ix, n);
  n = need(g, ir_ix_addi(ir_ix_neg(g->e_), g->E - 1), ix, n);
  struct kir_op *o = kir_emit(&g->e, KIR_map, out->dst->elem, 1, NULL, 0, ix, n);
  o->arr = out->dst;
  o->e = e;
  o->lay = ir_arena_copy(g->c->a, &g->result, sizeof g->result);
}
static void finish(struct lanes *g)
{
  struct kir_expr *l = tile(g, g->l);
  set(g, g->l, pick(g, fn(g, IR_MAP_eq, l, f32(g, 0)), f32(g, NAN), l));        /* a row whose scores are all -inf */
  if (g->c->divided) set(g, g->a, fn(g, IR_MAP_div, f32(g, 1), l));
  stands(g, g->c->e.var, g->e_);
  for (unsigned i = 0; i < g->c->n_outs; i++) store(g, &g->c->out[i]);
}

/* ---- the kern ---- */
static bool read_record(struct lanes *g, const struct kir_sched *s)
{
  struct cg_chain *c = g->c;
  bool seen[IR_MAX_RANK] = { false };
  int64_t warp = 0;
  g->in = s->inst ? kir_inst_find(s->inst) : NULL;
  if (!g->in || (g->in->text ? g->in->m != 16 || g->in->n != 8 || g->in->k != 16 : g->in->m * g->in->n != 1)) return refuse(g, "no such tile");
  g->units = g->in->text;
  for (uint32_t i = 0; i < s->loops.n; i++)
    for (unsigned p = 0; p < s->loops.v[i].n; p++) {
      const struct kir_loop *lp = &s->loops.v[i];
      const char *name = lp->part[p].axis;
      int64_t step = lp->part[p].step;
      bool on_j = !strcmp(name, cg_chain_axis(c->j.var)), on_i = !strcmp(name, cg_chain_axis(c->row[c->i].var));
      if (lp->kind == KIR_GRID) {
        unsigned r = 0;
        while (r < c->n_rows && strcmp(cg_chain_axis(c->row[r].var), name)) r++;
        if (r == c->n_rows || seen[r] || g->BJ || ((int)r != c->i && step != 1)) return refuse(g, "the grid is over the rows, one by one but for i");
        seen[r] = true;
        const struct ir_ix *trips = ir_ix_cdivi(c->row[r].ext, step), *v = cg_grid(g->k, ir_arena_printf(c->a, "g%s", name), trips);
        if ((int)r != c->i) stands(g, c->row[r].var, v);
        else {
          g->BI = step;
          g->i0 = ir_ix_muli(g->causal ? ir_ix_sub(ir_ix_addi(trips, -1), v) : v, step);
        }
      } else if (lp->kind == KIR_PIPE && on_j && !g->BJ) {
        g->BJ = step;
        g->depth = lp->depth;
      } else if (lp->kind == KIR_WARP && on_i && !warp) warp = step;
      else if (lp->kind == KIR_LANE && on_i && !g->ri) g->ri = step;
      else if (lp->kind == KIR_LANE && on_j && !g->rj) g->rj = step;
      else return refuse(g, "the loops are not: grid over the rows, a pipe over the keys, warps and lanes");
    }
  for (unsigned r = 0; r < c->n_rows; r++)
    if (!seen[r]) return refuse(g, "a row has no loop");
  if (warp < 1 || !g->BJ || !g->depth || g->BI % warp || g->BI / warp > 16) return refuse(g, "the rows of a block are no multiple of a warp's");
  g->warps = g->BI / warp;
  for (unsigned o = 0; o < 2; o++) {
    const struct kir_stage *st = cg_chain_stage(s, o ? "v" : "k");
    g->via[o] = st ? st->via : NULL;
  }
  if (g->units) return (warp == 16 && g->BJ % 16 == 0 && !g->ri && !g->rj) || refuse(g, "the tile is no multiple of the instruction");
  if (!g->ri || !g->rj || g->BJ % g->rj || g->BJ % STEP) return refuse(g, "lanes have no part of the tile");
  g->lj = g->BJ / g->rj;
  g->li = warp / g->ri;
  return (warp % g->ri == 0 && g->li * g->lj == WARP && (g->lj & (g->lj - 1)) == 0) || refuse(g, "the tile does not divide among the lanes");
}
static bool fits(const struct lanes *g, const enum ir_elem *e)  /* of q, k, v */
{
  return !g->units || (e[0] == g->in->ab && e[1] == g->in->ab && e[2] == g->in->ab);
}
static void types(const struct cg_chain *c, enum ir_elem *out)
{
  const struct kir_expr *x[3] = { c->q, c->k, c->v };
  for (unsigned i = 0; i < 3; i++) out[i] = uncast(cg_chain_flat(c, x[i]))->elem;
}
static void buffers(struct lanes *g)
{
  enum ir_elem e = g->units ? g->in->ab : IR_f32;
  int64_t pad = 16 / ir_elem_bytes(e);
  g->sk = kir_buf(g->k, "sk", e, 3, (int64_t[]){ g->depth, g->BJ, g->Dp + pad });
  g->sv = kir_buf(g->k, "sv", e, 3, (int64_t[]){ g->depth, g->BJ, g->Ep + pad });
  if (g->units) return;
  g->sq = kir_buf(g->k, "sq", e, 2, (int64_t[]){ g->BI, g->Dp + 2 * pad });
  g->sp = kir_buf(g->k, "sp", e, 2, (int64_t[]){ g->BI, g->BJ + 2 * pad });
}
static void tiles(struct lanes *g, bool once)
{
  queries(g);
  g->o = filled(g, "o", &g->result, 0);
  g->m = filled(g, "m", &g->row, CG_CHAIN_LOWEST);
  g->l = filled(g, "l", &g->row, 0);
  g->s = new_tile(g, "s", IR_f32, &g->score);
  g->top = new_tile(g, "n", IR_f32, &g->row);
  if (!once || g->c->divided) g->a = new_tile(g, "a", IR_f32, &g->row);
  if (g->units) g->p = new_tile(g, "p", g->in->ab, &g->score);
}
static void body(struct lanes *g)
{
  const struct ir_ix *keys_ = g->J, *trips;
  int64_t lo, hi;
  if (g->causal) {
    const struct ir_ix *sees = ir_ix_addi(ir_ix_add(g->i0, g->causal), g->BI);
    keys_ = ir_ix_min(known(g, sees) ? sees : ir_ix_max(sees, num_(g, 0)), g->J);
  }
  trips = ir_ix_cdivi(keys_, g->BJ);
  ir_ix_range(trips, &lo, &hi);
  bool once = ir_ix_is(trips, 1);
  tiles(g, once);
  const struct ir_ix *t = ir_ix_fresh(g->k->ixs, "t", IR_SYM_LOOP, 0, hi == IR_IX_INF ? hi : hi < 1 ? 0 : hi - 1, 1);
  struct kir_op *o = kir_emit(&g->e, KIR_pipe, IR_f32, 1, NULL, 0, &trips, 1);
  struct kir_block *outer = g->e.at;
  uint32_t mark = ir_facts_mark(&g->k->facts);
  o->var = t;
  o->depth = g->depth;
  ir_facts_push(&g->k->facts, ir_ix_addi(ir_ix_sub(trips, t), -1));
  g->j0 = ir_ix_muli(t, g->BJ);
  stands(g, g->c->j.var, ir_ix_add(g->j0, g->j));
  g->e.at = &o->body[0];
  keys(g);
  g->e.at = &o->body[1];
  scores(g);
  weights(g, once);
  results(g);
  g->e.at = outer;
  ir_facts_reset(&g->k->facts, mark);
  finish(g);
}
static bool widths(struct lanes *g)
{
  const struct cg_chain *c = g->c;
  g->E = 1;
  if (!ir_ix_const(c->d.ext, &g->D) || (c->e.var && !ir_ix_const(c->e.ext, &g->E)) || g->D < 1 || g->E < 1) return refuse(g, "the widths of the products are not constant");
  int64_t most = g->units ? HALF_WIDTH : MAX_WIDTH;
  g->Dp = cg_round_up(g->D, g->units ? 16 : STEP);
  g->Ep = cg_round_up(g->E, g->units ? 16 : g->lj > STEP ? g->lj : STEP);
  return (g->Dp <= most && g->Ep <= most) || refuse(g, "the products are too wide");
}
struct kir_kern *cg_chain_lanes_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  struct cg_chain c;
  struct lanes g = { .c = &c, .n = n };
  enum ir_elem e[3];
  if (!cg_chain_read(&c, a, n, why)) return NULL;
  *why = "there is no axis of rows";
  if (c.i < 0) return NULL;
  g.k = kir_kern_create(n, n->name);
  g.e = (struct kir_emit){ g.k, &g.k->body };
  g.I = c.row[c.i].ext;
  g.J = c.j.ext;
  g.causal = cg_chain_causal(&c, &g.k->facts);
  types(&c, e);
  bool ok = read_record(&g, s) && widths(&g) && (fits(&g, e) || refuse(&g, "the instruction multiplies another type")) && (t->kind == CG_CUDA || !g.units || refuse(&g, "the target has no such instruction"));
  *why = g.why;
  if (!ok) return NULL;
  kir_block(g.k, (unsigned)g.warps, WARP);
  g.i = cg_coord(g.k, "i_", g.BI);
  g.j = cg_coord(g.k, "j_", g.BJ);
  g.d = cg_coord(g.k, "d_", g.Dp);
  g.e_ = cg_coord(g.k, "e_", g.Ep);
  g.stage = ir_ix_sym(g.k->ixs, "stage", IR_SYM_LOOP, 0, 15, 1);
  stands(&g, c.row[c.i].var, ir_ix_add(g.i0, g.i));
  layouts(&g);
  buffers(&g);
  body(&g);
  return g.k;
}

/* ---- the record ---- */
/* Bytes of shared memory. */
static int64_t needs(bool units, int64_t D, int64_t E, int64_t bi, int64_t bj, int64_t depth)
{
  int64_t b = units ? 2 : 4, pad = 16 / b, kv = depth * bj * (cg_round_up(D, 16) + cg_round_up(E, 16) + 2 * pad) * b;
  return units ? kv : kv + bi * (cg_round_up(D, 16) + bj + 4 * pad) * b;
}
struct kir_sched *cg_chain_lanes_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct cg_chain c;
  struct lanes g = { .c = &c };
  const char *why;
  enum ir_elem e[3];
  int64_t lo, hi, I, J, tasks = 1;
  if (!cg_chain_read(&c, a, n, &why) || c.i < 0) return NULL;
  ir_ix_range(c.j.ext, &lo, &hi);
  if (lo < 1 || (ir_ix_const(c.row[c.i].ext, &I) && I <= FEW)) return NULL;
  if (!ir_ix_const(c.row[c.i].ext, &I)) I = 0;
  if (!ir_ix_const(c.j.ext, &J)) J = 0;
  types(&c, e);
  g.units = t->kind == CG_CUDA && t->level >= 80 && half(e[0]) && e[1] == e[0] && e[2] == e[0];
  if (!widths(&g)) {
    g.units = false;
    if (!widths(&g)) return NULL;
  }
  for (unsigned i = 0; i < c.n_rows; i++) {
    ir_ix_range(c.row[i].ext, &lo, &hi);
    if ((int)i != c.i && tasks < 1 << 16) tasks *= lo < 1 ? 1 : lo < 1 << 16 ? lo : 1 << 16;
  }
  /* rows: the largest block that still gives a third of the multiprocessors work */
  bool wide = g.D > 128 || g.E > 128;
  int64_t warps = 4, lane = wide ? 2 : 4, bj = wide ? 32 : 64, depth = t->kind == CG_CUDA ? 2 : 1, most = t->shared_bytes;
  while (warps > 1 && (I ? tasks * cg_ceil_div(I, 16 * warps) < t->cores / 3 || 8 * warps >= I : tasks * 16 < t->cores && warps > 2)) warps /= 2;
  if (J && J < bj) bj = cg_pow2_up(J) < 16 ? 16 : cg_pow2_up(J);
  if (J && J <= bj) depth = 1;
  while (needs(g.units, g.D, g.E, 16 * warps, bj, depth) > most) {
    if (depth > 1) depth--;
    else if (bj > 16) bj /= 2;
    else if (warps > 1) warps /= 2;
    else return NULL;
  }
  int64_t rows_ = g.units ? 16 : lane * (WARP / LANES_J);
  struct kir_sched *s = IR_NEW(a, struct kir_sched);
  s->kind = "chain";
  s->inst = !g.units ? "fma" : e[0] == IR_f16 ? "mma.m16n8k16.f16.f32" : "mma.m16n8k16.bf16.f32";
  bool causal = cg_chain_causal(&c, &((struct kir_nest *)n)->facts) != NULL;
  if (causal) cg_chain_loop(a, s, KIR_GRID, cg_chain_axis(c.row[c.i].var), warps * rows_);
  for (unsigned i = 0; i < c.n_rows; i++)
    if ((int)i != c.i) cg_chain_loop(a, s, KIR_GRID, cg_chain_axis(c.row[i].var), 1);
  if (!causal) cg_chain_loop(a, s, KIR_GRID, cg_chain_axis(c.row[c.i].var), warps * rows_);
  cg_chain_loop(a, s, KIR_PIPE, cg_chain_axis(c.j.var), bj);
  s->loops.v[s->loops.n - 1].depth = (unsigned)depth;
  cg_chain_loop(a, s, KIR_WARP, cg_chain_axis(c.row[c.i].var), rows_);
  if (!g.units) {
    cg_chain_loop(a, s, KIR_LANE, cg_chain_axis(c.row[c.i].var), lane);
    cg_chain_loop(a, s, KIR_LANE, cg_chain_axis(c.j.var), bj / LANES_J);
  }
  for (unsigned o = 0; o < 2; o++) ir_push(a, &s->stages, ((struct kir_stage){ .operand = o ? "v" : "k", .how = KIR_STAGED, .via = t->kind == CG_CUDA ? "cp.async" : "sync" }));
  return s;
}
