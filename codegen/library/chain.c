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
 * result tile. tile = fma.v16: vectors along i; tile = v16: each row for itself (chain_rows.c), the step of e in elements. k, v = shared: a block of them is computed into scratch first (maps upon them, rows that evict one another).
 * Keys behind the last row of a task that a causal mask hides from all of it are left out. Weakness: a number of rows that is known only at run time, and small, leaves vectors empty. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "codegen/library/chain_gen.h"

enum { MAX_WIDTH = 1024 /* of d and e */, BLOCK = 126 /* keys: a multiple of 14 and 6, less for other tiles */, ONE_BLOCK = 192, FEW = 4 /* rows */, FEW_BLOCK = 512, SCRATCH = 1 << 20 };

/* ---- what follows both products ---- */
struct kir_op *cg_chain_sum(struct gen *g, struct kir_op *l) { return pick(g, cg_flat_ew(g->f, IR_MAP_eq, IR_bool, l, f32c(g, 0)), f32c(g, NAN), l); }
/* The outputs at row i and elements x.. of e. */
static void store_outputs(struct gen *g, const struct ir_ix *i, const struct ir_ix *slot, const struct ir_ix *x)
{
  struct cg_flat *f = g->f;
  const struct cg_chain *c = g->c;
  const struct ir_ix *at[IR_MAX_RANK];
  uint32_t mark = cg_flat_mark(f);
  if (c->i >= 0) cg_flat_bind(f, c->row[c->i].var, i);
  if (c->e.var) cg_flat_bind(f, c->e.var, f->v ? ir_ix_add(x, f->v) : x);
  struct kir_op *o = ld(g, g->os, ir_ix_add(ir_ix_muli(x, g->pitch), slot), f->v ? f->lanes : 1, f->v ? g->pitch : 1);
  struct kir_op *l = ld(g, g->stat, ir_ix_addi(slot, ST_L * g->pitch), 1, 1);
  if (c->divided) {
    o = ew(g, IR_MAP_mul, o, ld(g, g->stat, ir_ix_addi(slot, ST_A * g->pitch), 1, 1));
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
void cg_chain_outputs(struct gen *g, const struct ir_ix *i, const struct ir_ix *slot)
{
  struct cg_flat *f = g->f;
  struct cg_open o;
  unsigned w = 16;
  while (w > g->E || w > 4 * g->lanes) w /= 2;
  set_lanes(g, w, w > 1 ? ir_ix_fresh(f->k->ixs, "vec", IR_SYM_ID, 0, w - 1, 1) : NULL);
  const struct ir_ix *x = cg_flat_for(f, "x", num(g, 0), num(g, g->E / w), 0, &o);
  store_outputs(g, i, slot, ir_ix_muli(x, w));
  cg_flat_close(f, &o);
  set_lanes(g, 1, NULL);
  if (g->E % w == 0) return;
  x = cg_flat_for(f, "x", num(g, g->E / w * w), num(g, g->E), 0, &o);
  store_outputs(g, i, slot, x);
  cg_flat_close(f, &o);
}

/* ---- the record ---- */
static bool plain(const struct kir_expr *e) { return e->kind == KIR_E_READ && e->arr->arg && !e->els; }
/* Is e a read whose rows j lie so that a tile of them falls into one set of the first cache? */
static bool evicts(const struct cg_chain *c, struct cg_flat *f, const struct kir_expr *e)
{
  const struct ir_ix *co, *rest;
  int64_t k;
  return plain(e) && ir_ix_linear(cg_flat_offset(f, e->arr, e->at), c->j.var, &co, &rest) && ir_ix_const(co, &k) && k && k * ir_elem_bytes(e->arr->elem) % 2048 == 0;
}
const struct kir_stage *cg_chain_stage(const struct kir_sched *s, const char *name)
{
  for (uint32_t i = 0; i < s->stages.n; i++)
    if (!strcmp(s->stages.v[i].operand, name)) return &s->stages.v[i];
  return NULL;
}
void cg_chain_loop(struct ir_arena *a, struct kir_sched *s, enum kir_loop_kind kind, const char *axis, int64_t step)
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

/* What the choice of a record looks at. */
struct plan {
  struct cg_chain c;
  struct cg_flat *f;
  const struct cg_target *t;
  int64_t D, E, I, S, tasks;     /* I: number of rows, S: of keys, where they are known, else 0; tasks: without i, at least */
};
/* Runs e along x in memory? */
static bool unit(const struct plan *p, const struct kir_expr *e, const struct ir_ix *x)
{
  const struct ir_ix *co, *rest;
  while (e->kind == KIR_E_CAST) e = e->a[0];
  return plain(e) && x && ir_ix_linear(cg_flat_offset(p->f, e->arr, e->at), x, &co, &rest) && ir_ix_is(co, 1);
}
static const char *tile_name(unsigned lanes) { return lanes == 16 ? "fma.v16" : lanes == 8 ? "fma.v8" : lanes == 4 ? "fma.v4" : "fma"; }
static void loops(struct plan *p, struct ir_arena *a, struct kir_sched *s, int64_t rows, int64_t block, int64_t rj, int64_t re)
{
  const struct cg_chain *c = &p->c;
  for (unsigned i = 0; i < c->n_rows; i++)
    if ((int)i != c->i) cg_chain_loop(a, s, KIR_GRID, cg_chain_axis(c->row[i].var), 1);
  if (c->i >= 0) cg_chain_loop(a, s, KIR_GRID, cg_chain_axis(c->row[c->i].var), rows);
  cg_chain_loop(a, s, KIR_FOR, cg_chain_axis(c->j.var), block);
  cg_chain_loop(a, s, KIR_FOR, cg_chain_axis(c->j.var), rj);
  if (c->e.var) cg_chain_loop(a, s, KIR_FOR, cg_chain_axis(c->e.var), re);
}
/* Each row for itself: a few of them, whose keys and values lie in vectors. */
static bool plan_rows(struct plan *p, struct ir_arena *a, struct kir_sched *s)
{
  int64_t block = p->S && p->S < FEW_BLOCK ? p->S : FEW_BLOCK;
  unsigned lanes = p->t->vec_lanes;
  if (!p->I || p->I > FEW || !unit(p, p->c.k, p->c.d.var) || !unit(p, p->c.v, p->c.e.var)) return false;
  while (lanes > p->D || lanes > p->E) lanes /= 2;
  if (lanes < 4) return false;
  s->inst = ir_arena_printf(a, "v%u", lanes);
  loops(p, a, s, p->tasks < 4 * (int64_t)p->t->cores ? 1 : p->I, block, block < 4 ? block : 4, p->E < 8 * lanes ? p->E : 8 * lanes);
  return true;
}
static void plan_blocks(struct plan *p, struct ir_arena *a, struct kir_sched *s)
{
  unsigned lanes = p->t->vec_lanes, vecs = 2;
  while (p->I && lanes > 1 && lanes / 2 >= p->I) lanes = lanes > 4 ? lanes / 2 : 1;
  if (p->I && p->I <= lanes) vecs = 1;
  else if (p->I && p->tasks * ((p->I + 2 * lanes - 1) / (2 * lanes)) < 2 * (int64_t)p->t->cores) vecs = 1; /* 1/6 slower, on twice as many cores */
  int64_t most = cg_tile_rows(p->t, vecs), block = (vecs == 2 ? BLOCK : 120) / most * most, rj = most;
  if (p->S && (p->S <= ONE_BLOCK || p->S % 128 == 0)) {
    block = p->S <= ONE_BLOCK ? p->S : 128;
    rj = even(block, most);
  }
  s->inst = tile_name(lanes);
  loops(p, a, s, (int64_t)vecs * lanes, block, rj, even(p->E, most));
  if (!plain(p->c.k) || evicts(&p->c, p->f, p->c.k)) ir_push(a, &s->stages, ((struct kir_stage){ .operand = "k", .how = KIR_STAGED }));
  if (!plain(p->c.v)) ir_push(a, &s->stages, ((struct kir_stage){ .operand = "v", .how = KIR_STAGED }));
}
static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct plan p = { .t = t, .E = 1, .I = 1, .tasks = 1 };
  const struct cg_chain *c = &p.c;
  const char *why;
  int64_t lo, hi;
  if (t->lanes > 1) return cg_chain_lanes_schedule(a, n, t);
  p.f = cg_flat_begin(a, (struct kir_nest *)n, &why); /* the nest's table gets symbols, the nest stays */
  if (!p.f || !cg_chain_read(&p.c, a, n, &why)) return NULL;
  ir_ix_range(c->j.ext, &lo, &hi);
  if (lo < 1 || !ir_ix_const(c->d.ext, &p.D) || (c->e.var && !ir_ix_const(c->e.ext, &p.E))) return NULL;
  if (p.D < 1 || p.E < 1 || p.D > MAX_WIDTH || p.E > MAX_WIDTH) return NULL;
  if (c->i >= 0 && !ir_ix_const(c->row[c->i].ext, &p.I)) p.I = 0;
  if (!ir_ix_const(c->j.ext, &p.S)) p.S = 0;
  for (unsigned i = 0; i < c->n_rows; i++) {
    ir_ix_range(c->row[i].ext, &lo, &hi);
    if ((int)i != c->i && p.tasks < 1 << 16) p.tasks *= lo < 1 ? 1 : lo < 1 << 16 ? lo : 1 << 16;
  }
  struct kir_sched *s = IR_NEW(a, struct kir_sched);
  s->kind = "chain";
  if (!plan_rows(&p, a, s)) plan_blocks(&p, a, s);
  return s;
}

/* ---- lowering ---- */
/* Grid digits of the rows, and the steps; false: the record does not fit. */
static bool read_record(struct gen *g, const struct kir_sched *s, const char **why)
{
  struct cg_chain *c = g->c;
  bool seen[IR_MAX_RANK] = { false };
  const struct kir_inst *in = s->inst && s->inst[0] != 'v' ? kir_inst_find(s->inst) : NULL;
  unsigned n_for = 0;
  *why = "the record's loops are not: grid over the rows, for over keys twice and over the result's axis";
  g->each = s->inst && s->inst[0] == 'v';
  g->lanes = in ? in->n : g->each ? (unsigned)atoi(s->inst + 1) : 0;
  if ((in && (in->m != 1 || in->k != 1 || in->text)) || g->lanes < (g->each ? 2u : 1u) || g->lanes > KIR_MAX_VEC || g->lanes & (g->lanes - 1)) {
    *why = "no such tile";
    return false;
  }
  g->cols = 1;
  g->i0 = num(g, 0);
  g->re = 1;
  for (uint32_t l = 0; l < s->loops.n; l++)
    for (unsigned p = 0; p < s->loops.v[l].n; p++) {
      const char *name = s->loops.v[l].part[p].axis;
      int64_t step = s->loops.v[l].part[p].step;
      if (s->loops.v[l].kind == KIR_GRID) {
        unsigned i = 0;
        while (i < c->n_rows && strcmp(cg_chain_axis(c->row[i].var), name)) i++;
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
      if (!var || strcmp(name, cg_chain_axis(var)) || step < 1) return false;
      *(n_for == 0 ? &g->block : n_for == 1 ? &g->rj : &g->re) = step;
      n_for++;
    }
  for (unsigned i = 0; i < c->n_rows; i++)
    if (!seen[i]) return false;
  if (n_for != 2u + !!c->e.var) return false;
  g->vecs = g->each ? 1 : (unsigned)(g->cols / g->lanes);
  g->pitch = g->each ? 1 : g->cols;
  if ((!g->each && g->cols % g->lanes) || g->vecs < 1 || g->vecs > 4 || g->rj > CG_CHAIN_TILE || g->re > CG_CHAIN_TILE*(g->each ? g->lanes : 1) || g->rj > g->block || g->re > g->E) {
    *why = "the record's steps fit neither vectors nor tiles";
    return false;
  }
  return true;
}
static bool buffers(struct gen *g, const struct kir_sched *s, const char **why)
{
  struct kir_kern *k = g->f->k;
  const struct kir_stage *sk = cg_chain_stage(s, "k"), *sv = cg_chain_stage(s, "v");
  bool kb = sk && sk->how == KIR_STAGED, vb = sv && sv->how == KIR_STAGED;
  int64_t w = g->pitch, round = g->each ? g->lanes : 1, most = SCRATCH / 4;
  *why = "the record needs too much scratch";
  if (g->block > most || cg_round_up(g->block, g->rj) * w > most || (g->D + g->E + 2 * round) * w > most || (g->D + g->E) * g->block > 16 * most) return false;
  *why = "rows one by one read keys and values in place";
  if (g->each && (kb || vb)) return false;
  g->stat = kir_buf(k, "stat", IR_f32, 2, (int64_t[]){ ST_ROWS, w });
  g->qs = kir_buf(k, "q", IR_f32, 2, (int64_t[]){ cg_round_up(g->D, round), w });
  g->os = kir_buf(k, "o", IR_f32, 2, (int64_t[]){ cg_round_up(g->E, round), w });
  g->p = kir_buf(k, "p", IR_f32, 2, (int64_t[]){ cg_round_up(g->block, g->each ? round : g->rj), w });
  if (kb) g->kb = kir_buf(k, "k", IR_f32, 2, (int64_t[]){ g->block, g->D });
  if (vb) g->vb = kir_buf(k, "v", IR_f32, 2, (int64_t[]){ g->block, g->E });
  return true;
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  struct cg_chain c;
  struct gen g = { .c = &c, .E = 1 };
  int64_t keys;
  if (t->lanes > 1) return cg_chain_lanes_lower(a, n, s, t, why);
  g.f = cg_flat_begin(a, n, why);
  if (!g.f || !cg_chain_read(&c, a, n, why)) return NULL;
  *why = "the widths of the products are not constant";
  if (!ir_ix_const(c.d.ext, &g.D) || (c.e.var && !ir_ix_const(c.e.ext, &g.E)) || !read_record(&g, s, why) || !buffers(&g, s, why)) return NULL;
  g.I = c.i < 0 ? num(&g, 1) : c.row[c.i].ext;
  g.ks = c.j.ext;
  g.once = ir_ix_const(c.j.ext, &keys) && keys <= g.block;
  g.v = g.lanes > 1 ? ir_ix_fresh(g.f->k->ixs, "vec", IR_SYM_ID, 0, g.lanes - 1, 1) : NULL;
  g.causal = cg_chain_causal(&c, &g.f->k->facts);
  if (g.each) cg_chain_rows(&g);
  else cg_chain_blocks(&g);
  return cg_flat_end(g.f);
}

const struct cg_skeleton cg_skeleton_chain = { "chain", schedule, lower };
