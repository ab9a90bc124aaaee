/* window: reductions whose every operand moves along with the result (pooling, depthwise convolution, global pooling of blocked layouts; any sum or maximum
 * over taps), with the maps around them.
 *
 * Vectors run along the axis in which the results are contiguous (the channels of a block, or a row). A tile of neighbouring results along another axis is
 * accumulated together: every tap is loaded once for all of them, and their chains of additions overlap. Taps that read a padding which changes nothing (zeros
 * of a sum, -inf of a maximum) are skipped: the first tap loops get bounds that are clipped, the innermost one is written out, and the loops over results are
 * cut at the border (space.h), so that in the inside nothing is guarded. Weights that are read along the vector are stored with that axis innermost. */
#include "codegen/library/skeleton.h"
#include "codegen/library/window.h"
#include "codegen/library/space.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 8, OPS = 65536, OPS_LEAST = 8192, WRITTEN_OUT = 8, MAX_REDS = 8 };

/* ---- the reductions of a space ---- */
struct red {
  const struct kir_expr *e;
  unsigned stmt;
  uint32_t n[TILE]; /* bindings under which its operand is evaluated, for each result of the tile */
  const struct ir_ix **from[TILE], **to[TILE];
  struct kir_reg *acc;
};
struct reds {
  struct cg_flat *f;
  struct red v[MAX_REDS];
  unsigned n, stmt, u;
  bool bad;
};

static void find_reds(struct reds *r, const struct kir_expr *e)
{
  struct cg_flat *f = r->f;
  if (!e) return;
  if (e->kind == KIR_E_READ && !e->arr->arg) {
    const struct kir_stmt *s = f->slot[e->arr->index].stmt;
    uint32_t mark = cg_flat_mark(f), scope = f->scope;
    const struct ir_ix *c[IR_MAX_RANK];
    if (e->els && cg_has_red(s->e)) r->bad = true;
    for (unsigned i = 0; i < s->n_axes; i++) c[i] = cg_flat_at(f, e->at[cg_dim_of(s, i)]);
    f->scope = mark;
    for (unsigned i = 0; i < s->n_axes; i++) cg_flat_bind(f, s->axes[i].var, c[i]);
    find_reds(r, s->e);
    cg_flat_unbind(f, mark);
    f->scope = scope;
    return;
  }
  for (unsigned i = 0; i < 3; i++) {
    if (e->kind == KIR_E_RED && cg_has_red(e->a[i])) r->bad = true;
    if (e->kind != KIR_E_RED) find_reds(r, e->a[i]);
  }
  if (e->kind != KIR_E_RED) return;
  uint32_t n = f->from.n - f->scope;
  struct red *found = NULL;
  for (unsigned i = 0; i < r->n; i++)
    if (r->v[i].e == e) found = &r->v[i];
  if (!found) {
    if (r->n == MAX_REDS) {
      r->bad = true;
      return;
    }
    found = &r->v[r->n++];
    found->e = e;
    found->stmt = r->stmt;
  }
  const struct ir_ix **to = ir_arena_copy(f->k->arena, f->to.v + f->scope, n * sizeof *to);
  if (found->to[r->u] && (found->n[r->u] != n || memcmp(found->to[r->u], to, n * sizeof *to))) r->bad = true; /* read at two places */
  found->n[r->u] = n;
  found->to[r->u] = to;
  found->from[r->u] = ir_arena_copy(f->k->arena, f->from.v + f->scope, n * sizeof *to);
}
static bool all_reds(struct cg_space *s, struct reds *r, unsigned u)
{
  const struct ir_ix *c[IR_MAX_RANK];
  r->f = s->f;
  r->u = u;
  for (unsigned k = 0; k < s->n_stmts; k++) {
    uint32_t mark = cg_flat_mark(s->f);
    cg_space_bind(s, k, c);
    r->stmt = k;
    find_reds(r, s->stmts[k]->e);
    cg_flat_unbind(s->f, mark);
  }
  return r->n && !r->bad;
}

/* Every reduction is made anew for each result: each axis of the space (vectors aside, longer than 1) stands in some index of its operand. */
static bool moves_along(struct cg_space *s, const struct red *r)
{
  struct cg_uses u = { 0 };
  uint32_t mark = cg_flat_mark(s->f);
  for (uint32_t i = 0; i < r->n[0]; i++) cg_flat_bind(s->f, r->from[0][i], r->to[0][i]);
  cg_flat_uses(s->f, r->e->a[0], &u);
  cg_flat_unbind(s->f, mark);
  for (unsigned a = 0; a < s->n_axes; a++) {
    bool used = ir_ix_is(s->axis[a].shape, 1);
    for (unsigned i = 0; i < u.offs.n && !used; i++) used = ir_ix_uses(u.offs.v[i], s->axis[a].sym);
    if (!used) return false;
  }
  return true;
}
bool cg_window_fits(struct cg_space *s)
{
  struct reds r = { 0 };
  for (unsigned a = 0; a < s->n_axes; a++) {
    s->base[a] = s->axis[a].sym;
    s->size[a] = ir_ix_int(s->f->k->ixs, 1);
  }
  if (!all_reds(s, &r, 0)) return false;
  for (unsigned i = 0; i < r.n; i++)
    if (!moves_along(s, &r.v[i])) return false;
  return true;
}

/* Weights read along the vector get that axis innermost: reads of it are then one vector. */
static void pack_weights(struct cg_space *s)
{
  struct ir_ixs *t = s->f->k->ixs;
  for (unsigned i = 0; i < s->f->n->args.n && s->vec >= 0; i++) {
    struct kir_arr *w = s->f->n->args.v[i];
    if (w->space != KIR_CONST || w->at || w->out || w->rank < 2) continue;
    int dim = -1;
    int64_t k;
    bool fixed = true;
    for (unsigned d = 0; d < w->rank; d++) fixed &= ir_ix_is(w->lo[d], 0) && ir_ix_const(w->hi[d], &k);
    const struct ir_ix *stride = ir_ix_int(t, 1), *co, *rest, *off = NULL;
    for (unsigned j = 0; j < s->uses.offs.n; j++)
      if (s->uses.arrs.v[j] == w) off = s->uses.offs.v[j];
    if (!fixed || !off || !ir_ix_linear(off, s->axis[s->vec].sym, &co, &rest)) continue;
    for (unsigned d = w->rank; d-- > 0; stride = ir_ix_mul(stride, w->hi[d]))
      if (co == stride && !ir_ix_is(w->hi[d], 1)) dim = (int)d;
    if (dim < 0 || dim == (int)w->rank - 1) continue;
    const struct ir_ix *at = ir_ix_int(t, 0);
    for (unsigned d = 0; d < w->rank; d++)
      if ((int)d != dim) at = ir_ix_add(ir_ix_mul(at, w->hi[d]), ir_ix_coord(t, d));
    w->at = ir_ix_add(ir_ix_mul(at, w->hi[dim]), ir_ix_coord(t, (unsigned)dim));
  }
}

/* ---- schedule ---- */
/* The axis whose results make a tile: the last one that is not the vectors' and long enough. */
static int tile_axis(const struct cg_space *s)
{
  int64_t n; /* a symbol of one value is no constant to what cuts axes */
  for (unsigned a = s->n_axes; a-- > 0;)
    if ((int)a != s->vec && ir_ix_const(s->axis[a].shape, &n) && n >= 4 && s->axis[a].n == 1) return (int)a;
  return -1;
}
static int64_t tile_step(int64_t ext) /* equal tiles: 7 -> 7, 56 -> 8, 55 -> 8, 13 -> 7, 27 -> 7 */
{
  int64_t n = (ext + TILE - 1) / TILE;
  return (ext + n - 1) / n;
}
int64_t cg_window_taps(const struct cg_space *s)
{
  int64_t n = 1, most = 1;
  struct cg_flat *f = s->f;
  for (unsigned i = 0; i < f->n->stmts.n; i++) {
    const struct kir_expr *e = f->n->stmts.v[i]->e;
    while (e && e->kind != KIR_E_RED) e = e->a[0];
    n = 1;
    for (unsigned j = 0; e && j < e->n_axes; j++) {
      int64_t lo, hi;
      ir_ix_range(e->axes[j].ext, &lo, &hi);
      n *= lo < 1 ? 1 : lo > 4096 ? 4096 : lo;
      if (n > 1 << 24) n = 1 << 24;
    }
    if (n > most) most = n;
  }
  return most;
}
static bool has_reds(const struct kir_nest *n)
{
  for (unsigned i = 0; i < n->stmts.n; i++)
    if (cg_has_red(n->stmts.v[i]->e)) return true;
  return false;
}
/* A reduction of reductions: each tap would compute the inner one again. */
static void reads_reduced(void *arg, const struct kir_expr *e)
{
  const struct kir_nest *n = *(const struct kir_nest **)arg;
  for (uint32_t i = 0; n && i < n->stmts.n; i++)
    if (n->stmts.v[i]->dst == e->arr && !e->arr->arg && cg_has_red(n->stmts.v[i]->e)) *(const struct kir_nest **)arg = NULL;
}
bool cg_window_chained(const struct kir_nest *n)
{
  for (uint32_t i = 0; i < n->stmts.n; i++) {
    const struct kir_nest *found = n;
    if (!cg_has_red(n->stmts.v[i]->e)) continue;
    cg_reads(n->stmts.v[i]->e, reads_reduced, &found);
    if (!found) return true;
  }
  return false;
}
static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  const char *why;
  struct cg_space s;
  if (t->lanes > 1 || cg_window_chained(n)) return NULL;
  struct cg_flat *f = has_reds(n) ? cg_flat_begin(a, (struct kir_nest *)n, &why) : NULL; /* the nest's table gets symbols, the nest stays */
  if (!f || !cg_space_init(&s, f, false) || !cg_window_fits(&s)) return NULL;
  struct kir_sched *r = IR_NEW(a, struct kir_sched);
  s.tile = tile_axis(&s);
  cg_space_tasks(&s, cg_window_taps(&s), OPS, OPS_LEAST, t);
  if (s.tile >= 0) s.level[s.n_levels++] = (struct cg_level){ CG_L_FOR, (unsigned)s.tile, tile_step(cg_space_shape(&s, (unsigned)s.tile)) };
  r->kind = "window";
  r->inst = ir_arena_printf(a, "v%u", s.vec < 0 ? 1 : t->vec_lanes);
  cg_space_record(&s, a, r);
  return r;
}

/* ---- code ---- */
/* A tap that reads `els` adds nothing: els is neutral, and the operand is the read itself, or a product with it for a sum. */
static bool skips(enum kir_red red, const struct kir_expr *e, const struct kir_expr *read)
{
  if (e == read && !e->els) return false;
  if (e == read) {
    double x = ir_elem_class(e->elem) == 'F' ? e->els->f : (double)e->els->i;
    return red == KIR_SUM   ? x == 0
           : red == KIR_MAX ? ir_elem_class(e->elem) == 'F' && x == -INFINITY
                            : red == KIR_MIN && ir_elem_class(e->elem) == 'F' && x == INFINITY;
  }
  if (e->kind == KIR_E_CAST) return ir_elem_class(e->elem) == 'F' && skips(red, e->a[0], read);
  return red == KIR_SUM && e->kind == KIR_E_FN && e->sub == IR_MAP_mul && (skips(red, e->a[0], read) || skips(red, e->a[1], read));
}
struct clip {
  struct cg_flat *f;
  const struct red *r;
  IR_VEC(const struct ir_ix *) conds;
};
static void clip_read(void *arg, const struct kir_expr *read)
{
  struct clip *c = arg;
  if (!read->els || !read->arr->arg || !skips(c->r->e->sub, c->r->e->a[0], read)) return;
  struct cg_uses u = { 0 };
  cg_flat_uses(c->f, read, &u);
  for (unsigned i = 0; i < u.conds.n; i++) ir_push(c->f->k->arena, &c->conds, u.conds.v[i]);
}
static const struct ir_ix *ceil_div(const struct ir_ix *a, int64_t k) { return ir_ix_cdivi(a, k); }

struct tile {
  struct cg_space *s;
  struct reds *r;
  unsigned u;
};
static void accumulate(struct tile *t, struct red *r)
{
  struct cg_flat *f = t->s->f;
  enum ir_elem elem = r->acc->elem;
  uint32_t mark = cg_flat_mark(f), taps_at = f->scope;
  const struct ir_ix *from[IR_MAX_RANK], *to[IR_MAX_RANK];
  unsigned n = 0;
  for (unsigned i = 0; i < r->e->n_axes; i++) { /* the taps' bindings stand in the present scope */
    from[n] = r->e->axes[i].var;
    to[n++] = cg_flat_at(f, r->e->axes[i].var);
  }
  for (unsigned u = 0; u < t->u; u++) {
    const struct ir_ix *at = ir_ix_int(f->k->ixs, u);
    f->scope = mark;
    for (uint32_t i = 0; i < r->n[u]; i++) cg_flat_bind(f, r->from[u][i], r->to[u][i]);
    for (unsigned i = 0; i < n; i++) cg_flat_bind(f, from[i], to[i]);
    const struct kir_expr *x = r->e->a[0];
    struct kir_op *v, *old = NULL;
    bool fused = r->e->sub == KIR_SUM && (elem == IR_f32 || elem == IR_f64) && x->kind == KIR_E_FN && x->sub == IR_MAP_mul && x->elem == elem;
    if (fused) {
      struct kir_op *a = cg_flat_expr(f, x->a[0]), *b = cg_flat_expr(f, x->a[1]);
      if ((a->op == KIR_const && a->f == 0 && x->a[0]->kind == KIR_E_READ) ||
          (b->op == KIR_const && b->f == 0 && x->a[1]->kind == KIR_E_READ)) { /* a tap in the padding */
        cg_flat_unbind(f, mark);
        continue;
      }
      old = cg_flat_get(f, r->acc, at);
      unsigned lanes = old->lanes;
      v = kir_emit(&f->em, KIR_fma, elem, lanes, (struct kir_op *[]){ cg_flat_wide(f, a, lanes), cg_flat_wide(f, b, lanes), old }, 3, NULL, 0);
    } else {
      v = cg_flat_expr(f, x);
      if (v->op == KIR_const && x->kind == KIR_E_READ && skips(r->e->sub, x, x)) {
        cg_flat_unbind(f, mark);
        continue;
      }
      v = cg_flat_cast(f, elem, v);
      old = cg_flat_get(f, r->acc, at);
      v = cg_flat_ew(f, cg_red_map(r->e->sub), elem, old, v);
    }
    cg_flat_set(f, r->acc, at, v);
    cg_flat_unbind(f, mark);
  }
  f->scope = taps_at;
}

/* Are the taps below the first axis many, so that their sum is better made from zero for each of its places and then added to the sum of all (two short chains
 * of additions instead of a long one)? */
static bool in_parts(const struct red *r)
{
  enum { FEW = 16 };
  int64_t terms = 1, n;
  for (unsigned i = 1; i < r->e->n_axes; i++) terms *= ir_ix_const(r->e->axes[i].ext, &n) ? (n < FEW ? n : FEW) : FEW;
  return r->e->sub == KIR_SUM && ir_elem_class(r->acc->elem) == 'F' && terms >= FEW;
}
static void tap_axis(struct tile *t, struct red *r, unsigned i);
static void part_of_sum(struct tile *t, struct red *r)
{
  struct cg_flat *f = t->s->f;
  struct kir_reg *total = r->acc;
  r->acc = kir_reg_var(f->k, "part", total->elem, t->u, total->lanes);
  for (unsigned u = 0; u < t->u; u++) cg_flat_set(f, r->acc, ir_ix_int(f->k->ixs, u), cg_flat_neutral(f, KIR_SUM, total->elem));
  tap_axis(t, r, 1);
  for (unsigned u = 0; u < t->u; u++) {
    const struct ir_ix *at = ir_ix_int(f->k->ixs, u);
    cg_flat_set(f, total, at, cg_flat_ew(f, IR_MAP_add, total->elem, cg_flat_get(f, total, at), cg_flat_get(f, r->acc, at)));
  }
  r->acc = total;
}
/* One tap axis: its bounds are clipped by the conditions that hold it alone, the innermost short one is written out. */
static void tap_axis(struct tile *t, struct red *r, unsigned i)
{
  struct cg_flat *f = t->s->f;
  struct ir_ixs *ix = f->k->ixs;
  if (i == r->e->n_axes) {
    accumulate(t, r);
    return;
  }
  const struct kir_axis *ax = &r->e->axes[i];
  const struct ir_ix *lo = ir_ix_int(ix, 0), *hi = ax->ext;
  struct clip c = { .f = f, .r = r };
  int64_t n, k;
  bool written = i + 1 == r->e->n_axes && ir_ix_const(hi, &n) && n <= WRITTEN_OUT;
  if (written) {
    uint32_t memo = f->memo.n;
    for (int64_t j = 0; j < n; j++) {
      uint32_t mark = cg_flat_mark(f);
      cg_flat_bind(f, ax->var, ir_ix_int(ix, j));
      tap_axis(t, r, i + 1);
      cg_flat_unbind(f, mark);
    }
    f->memo.n = memo;
    return;
  }
  uint32_t mark = cg_flat_mark(f);
  for (uint32_t j = 0; j < r->n[0]; j++) cg_flat_bind(f, r->from[0][j], r->to[0][j]);
  cg_reads(r->e->a[0], clip_read, &c);
  cg_flat_unbind(f, mark);
  const struct ir_ix *facts[64];
  unsigned nf = 0;
  struct clip last = { .f = f, .r = r };
  for (uint32_t j = 0; j < r->n[t->u - 1]; j++) cg_flat_bind(f, r->from[t->u - 1][j], r->to[t->u - 1][j]);
  cg_reads(r->e->a[0], clip_read, &last);
  cg_flat_unbind(f, mark);
  for (unsigned j = 0; j < c.conds.n; j++) {
    const struct ir_ix *co, *rest, *g = c.conds.v[j];
    bool alone = ir_ix_linear(g, ax->var, &co, &rest) && ir_ix_const(co, &k) && k && !(f->v && ir_ix_uses(g, f->v));
    for (unsigned m = i + 1; m < r->e->n_axes && alone; m++) alone = !ir_ix_uses(rest, r->e->axes[m].var);
    bool common = false; /* to all results of the tile */
    for (unsigned m = 0; m < last.conds.n; m++) common |= last.conds.v[m] == g;
    alone &= common;
    if (!alone || nf == 64) continue;
    if (k > 0) lo = ir_ix_max(lo, ceil_div(ir_ix_neg(rest), k));
    else hi = ir_ix_min(hi, ir_ix_addi(ir_ix_divi(rest, -k), 1));
    facts[nf++] = g;
  }
  struct cg_open o;
  const struct ir_ix *x = cg_flat_for(f, ir_ix_as_sym(ax->var)->name, ir_ix_simplify(&f->k->facts, lo), ir_ix_simplify(&f->k->facts, hi), 0, &o);
  for (unsigned j = 0; j < nf; j++) cg_flat_assume(f, ir_ix_subst1(facts[j], ax->var, x));
  cg_flat_assume(f, x);
  cg_flat_assume(f, ir_ix_sub(ir_ix_addi(ax->ext, -1), x));
  cg_flat_bind(f, ax->var, x);
  if (i == 0 && in_parts(r)) part_of_sum(t, r);
  else tap_axis(t, r, i + 1);
  cg_flat_unbind(f, mark);
  cg_flat_close(f, &o);
}

static void body(struct cg_space *s, void *arg)
{
  struct cg_flat *f = s->f;
  struct tile t = { .s = s, .u = 1 };
  struct reds r = { 0 };
  int64_t n = 1;
  const struct ir_ix *base = s->tile >= 0 ? s->base[s->tile] : NULL;
  (void)arg;
  if (base) IR_ASSERT(ir_ix_const(s->size[s->tile], &n) && n >= 1 && n <= TILE);
  t.u = (unsigned)n;
  t.r = &r;
  uint32_t done = f->done.n;
  if (!s->zeros) {
    for (unsigned u = 0; u < t.u; u++) {
      if (base) s->base[s->tile] = ir_ix_addi(base, u);
      all_reds(s, &r, u);
    }
    for (unsigned i = 0; i < r.n; i++) {
      enum ir_elem elem = cg_red_elem(r.v[i].e->elem);
      r.v[i].acc = kir_reg_var(f->k, "acc", elem, t.u, f->v ? f->lanes : 1);
      for (unsigned u = 0; u < t.u; u++) cg_flat_set(f, r.v[i].acc, ir_ix_int(f->k->ixs, u), cg_flat_neutral(f, r.v[i].e->sub, elem));
      tap_axis(&t, &r.v[i], 0);
    }
  }
  for (unsigned u = 0; u < t.u; u++) {
    if (base) s->base[s->tile] = ir_ix_addi(base, u);
    for (unsigned i = 0; i < r.n; i++)
      ir_push(f->k->arena, &f->done, ((struct cg_done){ r.v[i].e, cg_flat_cast(f, r.v[i].e->elem, cg_flat_get(f, r.v[i].acc, ir_ix_int(f->k->ixs, u))) }));
    uint32_t memo = f->memo.n;
    cg_space_store(s);
    f->memo.n = memo;
    f->done.n = done;
  }
  if (base) s->base[s->tile] = base;
}

static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *r, const struct cg_target *t, const char **why)
{
  struct cg_space s;
  struct cg_flat *f = cg_flat_begin(a, n, why);
  unsigned lanes = r->inst && r->inst[0] == 'v' ? (unsigned)atoi(r->inst + 1) : 1;
  (void)t;
  if (!f) return NULL;
  if (!has_reds(n) || !cg_space_init(&s, f, false) || !cg_window_fits(&s)) {
    *why = "not one iteration space with reductions that move along";
    return NULL;
  }
  s.tile = tile_axis(&s);
  if (!cg_space_levels(&s, r, lanes, why)) return NULL;
  int64_t left = 0;
  for (unsigned i = 0; i < s.n_levels; i++)
    if ((int)s.level[i].axis == s.tile) left = s.level[i].step;
  if (left > TILE) {
    *why = "the tile is too wide";
    return NULL;
  }
  s.whole = ~(1u << (s.tile < 0 ? 31 : s.tile) | 1u << (s.vec < 0 ? 31 : s.vec));
  pack_weights(&s);
  if (s.vec >= 0) cg_flat_lanes(f, lanes);
  cg_space_loops(&s, body, NULL);
  return cg_flat_end(f);
}

const struct cg_skeleton cg_skeleton_window = { "window", schedule, lower };
