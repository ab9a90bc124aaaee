/* The schedules of the skeleton `winograd`: among tiles of 2x2, 3x3 and 4x4, blocks and register tiles the one that takes the fewest cycles by a plain model, if that is fewer than
 * the direct form takes. Cycles are those of a vector multiply-add; transforms are counted by what they load, store and compute, weights by what memory delivers. */
#include <math.h>
#include "codegen/library/winograd.h"

enum { CHAIN = 128, PREFETCH = 4096, FAR = 32768, SCRATCH = 4 << 20 /* of a thread, at most */ };
static const double ERROR = 2e-5;

struct plan { const struct cg_winograd *w; const struct cg_target *t; unsigned lanes; };

/* A tile's transforms, a vector of channels: loads, stores, arithmetic, and what they wait for the caches. Measured. */
static double in_cycles(int64_t m) { return m == 4 ? 350 : m == 3 ? 210 : 110; }
static double out_cycles(int64_t m) { return m == 4 ? 300 : m == 3 ? 190 : 100; }
/* Of the multiply-adds' peak: enough accumulators hide their latency, wide panels do not stay in the first cache. */
static double share(const struct plan *p, const struct cg_winograd_record *r)
{
  double vecs = (double)(r->cols / p->lanes), accs = (double)r->rows * vecs;
  return (accs < 12 ? 0.6 + 0.03 * accs : 0.96) * (vecs > 3 ? 0.94 : 1);
}
static double tasks(const struct plan *p, const struct cg_winograd_record *r)
{
  double images = p->w->n >= 0 && p->w->c.ax[p->w->n].n ? (double)p->w->c.ax[p->w->n].n : 1;
  int64_t all = cg_ceil_div(p->w->H, r->m) * cg_ceil_div(p->w->W, r->m);
  return images * (double)(cg_ceil_div(all, r->tiles) * (cg_round_up(p->w->O, r->cols) / r->outs));
}
static double waves(const struct plan *p, double tasks)
{
  double full = tasks / p->t->cores;
  int64_t whole = (int64_t)full;
  return full > (double)whole ? (double)whole + 1 : full;
}
static double u_bytes(const struct plan *p, const struct cg_winograd_record *r) { return 4.0 * (double)((r->m + 2) * (r->m + 2) * p->w->C * cg_round_up(p->w->O, r->cols)); }
static double direct_bytes(const struct plan *p) { return 36.0 * (double)(p->w->C * p->w->O); }
static double scratch_bytes(const struct plan *p, const struct cg_winograd_record *r) { return 4.0 * (double)((r->m + 2) * (r->m + 2) * r->tiles * (p->w->C + r->outs)); }
/* What goes on at the same time: the longer, and a little of the other. */
static double together(double a, double b) { return a > b ? a + 0.2 * b : b + 0.2 * a; }
/* Of a task, weights being there. */
static double task_cycles(const struct plan *p, const struct cg_winograd_record *r)
{
  const struct cg_winograd *w = p->w;
  double nn = (double)((r->m + 2) * (r->m + 2)), tiles = (double)r->tiles, C = (double)w->C, outs = (double)r->outs, lanes = p->lanes;
  double product = nn * tiles * outs / lanes * C / share(p, r), scratch = scratch_bytes(p, r), u = u_bytes(p, r), part = 4 * nn * C * outs;
  double moved = 8 * nn * tiles * (C + outs * (double)(w->C / r->part));      /* V is stored and read once, M once for each part of the sum */
  if (u > 0.5 * (double)p->t->l2_bytes) product = together(product, part / p->t->l3_cycle);
  double task = tiles * (double)cg_ceil_div(w->C, p->lanes) * in_cycles(r->m) + product + tiles * outs / lanes * out_cycles(r->m);
  if (scratch > 0.75 * (double)p->t->l2_bytes) task += moved / p->t->scratch_cycle;
  return task;
}
static double cycles(const struct plan *p, const struct cg_winograd_record *r) { return together(waves(p, tasks(p, r)) * task_cycles(p, r), u_bytes(p, r) / p->t->weights_cycle); }
static double direct_cycles(const struct plan *p)
{
  const struct cg_winograd *w = p->w;
  double images = w->n >= 0 && w->c.ax[w->n].n ? (double)w->c.ax[w->n].n : 1;
  double all = images * 9 * (double)(w->H * w->W * w->C) * (double)cg_ceil_div(w->O, p->lanes) / 0.96 / p->t->cores;
  return together(all, direct_bytes(p) / p->t->weights_cycle);
}
/* A part of the sum: about CHAIN terms, whole vectors. */
static int64_t part_of(int64_t C, int64_t lanes)
{
  if (C <= CHAIN + CHAIN / 2) return C;
  for (int64_t part = CHAIN; part >= CHAIN / 4; part -= lanes)
    if (C % part == 0 && part % lanes == 0) return part;
  return C;
}
static void try(const struct plan *p, struct cg_winograd_record r, struct cg_winograd_record *best, double *least)
{
  double c = cycles(p, &r);
  if (c >= *least || scratch_bytes(p, &r) > SCRATCH) return;
  *least = c;
  *best = r;
}
/* Blocks of a task for a register tile: tiles in multiples of its rows, channels in parts that divide the panels. */
static void blocks(const struct plan *p, struct cg_winograd_record r, struct cg_winograd_record *best, double *least)
{
  int64_t all = cg_ceil_div(p->w->H, r.m) * cg_ceil_div(p->w->W, r.m), panels = cg_ceil_div(p->w->O, r.cols);
  for (int64_t q = 1; q * r.rows < all + r.rows && q <= 16; q++)
    for (int64_t k = 1; k <= panels; k++) {
      if (panels % k) continue;
      r.tiles = q * r.rows;
      r.outs = panels / k * r.cols;
      try(p, r, best, least);
    }
}
static bool input_fits(const struct cg_winograd *w, unsigned lanes)
{
  struct ir_ixs *t = w->c.ixs;
  const struct ir_ix *at[4], *co, *rest, *place = ir_ix_fresh(t, "place", IR_SYM_ID, 0, lanes - 1, 1), *group = ir_ix_fresh(t, "group", IR_SYM_LOOP, 0, (w->C - 1) / lanes, 1);
  int64_t room;
  for (unsigned d = 0; d < 4; d++) at[d] = w->c.xr->at[d];
  at[1] = ir_ix_add(ir_ix_muli(group, lanes), place);
  if (!ir_ix_const(w->x->hi[1], &room) || room < cg_round_up(w->C, lanes)) return false;
  return ir_ix_linear(cg_offset(w->x, at, t), place, &co, &rest) && ir_ix_is(co, 1) && cg_contract_lanes_ok(&w->c, lanes);
}
/* Results lie by their own axes, and only around height and width there may be zeros. */
static bool results_fit(const struct cg_winograd *w)
{
  const struct cg_contract *c = &w->c;
  for (unsigned k = 0; k < c->n_items; k++) {
    const struct cg_item *it = &c->item[k];
    if (!it->dst->arg) continue;
    for (unsigned d = 0; d < it->dst->rank; d++) {
      bool image = it->at[d] == c->ax[w->h].var || it->at[d] == c->ax[w->w].var;
      int64_t one;
      if (!image && it->at[d] != c->ax[w->o].var && (w->n < 0 || it->at[d] != c->ax[w->n].var) && !ir_ix_const(it->at[d], &one)) return false;
      if (!image && cg_halo_axis(it->dst, d)) return false;
    }
  }
  return true;
}
bool cg_winograd_fits(const struct cg_winograd *w, unsigned lanes) { return input_fits(w, lanes) && results_fit(w); }
static struct kir_loop *loop(struct ir_arena *a, struct kir_sched *s, enum kir_loop_kind kind, const char *axis, int64_t step)
{
  struct kir_loop *l = s->loops.n ? &s->loops.v[s->loops.n - 1] : NULL;
  if (!l || l->kind != KIR_GRID || kind != KIR_GRID) {
    ir_push(a, &s->loops, ((struct kir_loop){ .kind = kind }));
    l = &s->loops.v[s->loops.n - 1];
  }
  l->part[l->n].axis = axis;
  l->part[l->n++].step = step;
  return l;
}
static struct kir_sched *record(struct ir_arena *a, const struct plan *p, const struct cg_winograd_record *r)
{
  struct kir_sched *s = IR_NEW(a, struct kir_sched);
  const struct cg_axis *ax = p->w->c.ax;
  s->kind = "winograd";
  if (p->w->n >= 0) loop(a, s, KIR_GRID, ax[p->w->n].name, 1);
  loop(a, s, KIR_GRID, CG_WINOGRAD_TILES, r->tiles);
  loop(a, s, KIR_GRID, ax[p->w->o].name, r->outs);
  loop(a, s, KIR_FOR, ax[p->w->h].name, r->m);
  loop(a, s, KIR_FOR, ax[p->w->w].name, r->m);
  loop(a, s, KIR_FOR, ax[p->w->o].name, r->cols);
  loop(a, s, KIR_FOR, ax[p->w->k].name, r->part);
  loop(a, s, KIR_FOR, CG_WINOGRAD_TILES, r->rows);
  s->inst = ir_arena_printf(a, "fma.v%u", p->lanes);
  ir_push(a, &s->stages, ((struct kir_stage){ .operand = p->w->u->name, .how = KIR_PACKED, .prefetch = PREFETCH, .far = FAR }));
  return s;
}
/* The error of a result against the largest one: the rounding of a sum of parts of `part` terms, times what the transforms make of it for the kernel that suits them least; 6
 * standard deviations of it, where the largest result is 3.5. */
static double error(const struct cg_winograd_record *r, int64_t C)
{
  double terms = (double)r->part / 2 + (double)(C / r->part) / 2 + 5;
  return kir_winograd_worst((unsigned)r->m) * 0x1p-24 / sqrt(3) * sqrt(terms) * 6 / 3.5;
}
/* The best record for tiles of m x m and panels of so many vectors, if it takes fewer cycles than *cycles. */
static void best_of_width(const struct plan *p, int64_t m, int64_t vecs, struct cg_winograd_record *best, double *cycles)
{
  int64_t most = cg_tile_rows(p->t, (unsigned)vecs);
  if (most > 14) most = 14;
  for (int64_t rows = most; rows >= 1 && vecs * rows >= 4; rows--)
    blocks(p, (struct cg_winograd_record){ .m = m, .cols = vecs * p->lanes, .rows = rows, .part = part_of(p->w->C, p->lanes) }, best, cycles);
}
static int64_t least_vecs(const struct plan *p) { return p->w->O > p->lanes ? 2 : 1; }    /* one vector wide is bound by loads */
/* The best record for tiles of m x m. False: it is no faster than the direct form, or less exact than is allowed. */
static bool best_of(const struct plan *p, int64_t m, struct cg_winograd_record *best, double *out_cycles)
{
  best->m = 0;
  *out_cycles = 0.95 * direct_cycles(p);
  for (int64_t vecs = least_vecs(p); vecs <= 4; vecs++) best_of_width(p, m, vecs, best, out_cycles);
  return best->m && error(best, p->w->C) <= ERROR;
}
static bool plan(struct plan *p, struct cg_winograd *w, struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  const char *why;
  *p = (struct plan){ w, t, t->vec_lanes };
  if (t->lanes > 1 || !cg_winograd_read(w, a, n, &why)) return false;
  return p->lanes >= 4 && w->C >= p->lanes && w->O >= p->lanes && cg_winograd_fits(w, p->lanes);
}
static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct cg_winograd w;
  struct plan p;
  struct cg_winograd_record r, best = { 0 };
  double c, least = 0;
  if (!plan(&p, &w, a, n, t)) return NULL;
  for (int64_t m = 2; m <= KIR_WINOGRAD_MAX; m++)
    if (best_of(&p, m, &r, &c) && (!best.m || c < least)) {
      best = r;
      least = c;
    }
  return best.m ? record(a, &p, &best) : NULL;
}
static unsigned choices(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice *out)
{
  struct cg_winograd w;
  struct plan p;
  struct cg_winograd_record r;
  double c;
  unsigned k = 0;
  if (!plan(&p, &w, a, n, t)) return 0;
  for (int64_t m = 2; m <= KIR_WINOGRAD_MAX; m++)
    if (best_of(&p, m, &r, &c)) out[k++] = (struct cg_choice){ record(a, &p, &r), direct_cycles(&p) - c, (int64_t)(u_bytes(&p, &r) - direct_bytes(&p)) };
  return k;
}
/* Of each size of tiles and each width of panels the record that should take least, however long that is. */
static unsigned alternatives(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice *out, unsigned room)
{
  struct cg_winograd w;
  struct plan p;
  unsigned k = 0;
  if (!plan(&p, &w, a, n, t)) return 0;
  for (int64_t m = 2; m <= KIR_WINOGRAD_MAX; m++)
    for (int64_t vecs = least_vecs(&p); vecs <= 3; vecs++) {
      struct cg_winograd_record r = { 0 };
      double c = HUGE_VAL;
      best_of_width(&p, m, vecs, &r, &c);
      if (r.m && error(&r, w.C) <= ERROR) k = cg_add_alternative(out, k, room, record(a, &p, &r), (int64_t)(u_bytes(&p, &r) - direct_bytes(&p)));
    }
  return k;
}
/* The products that a task takes (kir_nest_products: whole tiles, no padding) over what the model says that it takes. */
static double share_of(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t)
{
  struct cg_winograd w;
  struct plan p;
  struct cg_winograd_record r = { 0 };
  if (!plan(&p, &w, a, n, t) || !cg_winograd_loops(&w, s, &r) || r.m < 1 || r.tiles < 1 || r.outs < 1 || r.cols < 1 || r.part < 1) return 1;
  int64_t all = cg_ceil_div(w.H, r.m) * cg_ceil_div(w.W, r.m);
  double blocks = (double)(cg_ceil_div(all, r.tiles) * (cg_round_up(w.O, r.cols) / r.outs));
  return (double)(all * (r.m + 2) * (r.m + 2) * w.O * w.C) / (blocks * task_cycles(&p, &r) * p.lanes);
}
const struct cg_skeleton cg_skeleton_winograd = { .name = "winograd", .schedule = schedule, .lower = cg_winograd_lower, .choices = choices, .alternatives = alternatives, .share = share_of };
