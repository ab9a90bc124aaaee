/* contract: matmul, convolution and their kin as tiles of the output that stay in registers while the sum runs.
 *
 * The record's loops, outermost first, cut every axis down to the step of the register tile: rows are the m axes that keep a step, columns the n axis along
 * which vectors run. Below the last m or n loop lies the tile (contract_tile.c). A constant w is packed in panels of the tile's width in the order of the k
 * loops, so that a panel streams through once.
 *
 * `tail = AXIS peel s1 s2 ..` is one body per size: whole tiles, then tiles of s1, then of s2. For a constant extent the counts are chosen so that they come out
 * even if that is possible (49 = 13 + 3*12), else greedily. A tile that may overrun its axis is guarded through the arrays' shapes. */
#include <string.h>
#include "codegen/library/contract.h"

bool cg_refuse(struct cg_lower_state *l, const char *why)
{
  if (!l->why) l->why = why;
  return false;
}
int cg_find_axis(const struct cg_contract *c, const char *name)
{
  for (unsigned i = 0; i < c->n_ax; i++)
    if (!strcmp(c->ax[i].name, name)) return (int)i;
  return -1;
}
const struct kir_stage *cg_find_stage(const struct kir_sched *s, const struct kir_arr *arr)
{
  for (uint32_t i = 0; i < s->stages.n; i++)
    if (!strcmp(s->stages.v[i].operand, arr->name)) return &s->stages.v[i];
  return NULL;
}
int cg_only_axis(const struct cg_contract *c, enum cg_role role)
{
  int a = -1;
  for (unsigned i = 0; i < c->n_ax; i++) {
    if (c->ax[i].role != role || c->ax[i].n == 1) continue;
    if (a >= 0) return -1;
    a = (int)i;
  }
  return a;
}
const struct ir_ix *cg_num(const struct cg_lower_state *l, int64_t i) { return ir_ix_int(l->k->ixs, i); }

const struct ir_ix *cg_trips(const struct cg_lower_state *l, const struct cg_left *x, int64_t s)
{
  if (x->exact && x->step) return cg_num(l, cg_ceil_div(x->step, s));
  return ir_ix_simplify(&l->k->facts, ir_ix_cdivi(ir_ix_sub(x->lim, x->base), s));
}
void cg_enter(struct cg_left *x, int64_t s, const struct ir_ix *v)
{
  const struct ir_ix *base = ir_ix_add(x->base, ir_ix_muli(v, s)), *end = ir_ix_addi(base, s);
  bool exact = s == 1 || (x->exact && x->step && x->step % s == 0);
  *x = (struct cg_left){ base, exact ? end : ir_ix_min(end, x->lim), s, exact };
}

/* ---- halos: the tasks of the first block of the axes with a halo write the zeros of what they own of the other axes ---- */
static bool write_halos(struct cg_lower_state *l, const struct cg_axes *st)
{
  struct cg_contract *c = l->c;
  const struct ir_ix *from[CG_MAX_AXES], *base[CG_MAX_AXES];
  for (unsigned i = 0; i < c->n_ax; i++) {
    from[i] = c->ax[i].var;
    base[i] = st->ax[i].base;
  }
  for (unsigned k = 0; k < c->n_items; k++) {
    struct kir_arr *y = c->item[k].dst;
    const struct ir_ix *lo[IR_MAX_RANK], *ext[IR_MAX_RANK], *first[CG_MAX_AXES];
    unsigned n_first = 0, vec = IR_MAX_RANK;
    bool used[CG_MAX_AXES] = { false };
    if (!y->arg || !cg_has_halo(y)) continue;
    for (unsigned d = 0; d < y->rank; d++) {
      bool halo = cg_halo_axis(y, d);
      lo[d] = ir_ix_subst(c->item[k].at[d], from, base, c->n_ax);
      ext[d] = cg_num(l, 1);
      for (unsigned i = 0; i < c->n_ax; i++) {
        if (!ir_ix_uses(c->item[k].at[d], c->ax[i].var)) continue;
        if (halo || used[i]) continue;
        used[i] = true;
        if (cg_coord_axis(c, c->item[k].at[d]) != &c->ax[i]) {
          if (!st->ax[i].exact || st->ax[i].step != 1) return cg_refuse(l, "an output with a halo is stored along two axes at once");
          continue;
        }
        ext[d] = ir_ix_sub(st->ax[i].lim, st->ax[i].base);
        if (i == c->vec) vec = d;
      }
    }
    for (unsigned i = 0; i < c->n_ax; i++)
      if (c->ax[i].role != CG_K && !used[i] && !ir_ix_is(st->ax[i].base, 0)) first[n_first++] = ir_ix_neg(st->ax[i].base);
    unsigned lanes = l->in->n;
    struct cg_if f;
    if (vec == IR_MAX_RANK) lanes = 1;
    else if (lanes > 1) {                         /* whole vectors: the padding of the last block belongs to it */
      int64_t s = st->ax[c->vec].step;
      if (!st->ax[c->vec].exact && s) ext[vec] = cg_num(l, s);
    }
    cg_if_begin(&l->e, &f, first, n_first);
    cg_zero_halo(&l->e, y, lo, ext, vec == IR_MAX_RANK ? 0 : vec, lanes);
    cg_if_end(&l->e, &f);
  }
  return true;
}

/* ---- loops over m and n ---- */
static bool go(struct cg_lower_state *l, unsigned i, struct cg_axes *st, bool in_grid);

/* sizes s[0] > s[1] > ..; how many tiles of each cover an extent that is known */
static void counts(int64_t n, const int64_t *s, unsigned n_s, int64_t *out)
{
  for (unsigned i = 0; i < n_s; i++) out[i] = 0;
  if (n_s >= 2)
    for (int64_t c = n / s[0]; c >= 0; c--)
      if ((n - c * s[0]) % s[1] == 0) {
        out[0] = c;
        out[1] = (n - c * s[0]) / s[1];
        return;
      }
  for (unsigned i = 0; i < n_s; i++) {
    out[i] = n / s[i];
    n %= s[i];
  }
}
/* One body per peel size. */
static bool peeled(struct cg_lower_state *l, unsigned i, struct cg_axes *st, unsigned a, int64_t step, const int64_t *peel, unsigned n_peel)
{
  struct cg_left x = st->ax[a];
  const struct ir_ix *at = x.base;
  int64_t s[CG_MAX_PEEL + 1] = { step }, cnt[CG_MAX_PEEL + 1], most = -1, lo;
  bool fixed = x.exact && x.step;
  for (unsigned j = 0; j < n_peel && j < CG_MAX_PEEL; j++) s[j + 1] = peel[j];
  n_peel++;
  if (fixed) counts(x.step, s, n_peel, cnt);
  else ir_ix_range(ir_ix_sub(x.lim, x.base), &lo, &most);
  for (unsigned j = 0; j < n_peel; j++) {
    const struct ir_ix *trips = fixed ? cg_num(l, cnt[j]) : ir_ix_simplify(&l->k->facts, ir_ix_divi(ir_ix_sub(x.lim, at), s[j]));
    if (ir_ix_is(trips, 0) || (!fixed && most < s[j])) continue;
    struct cg_for f;
    struct cg_axes in = *st;
    uint32_t mark = ir_facts_mark(&l->k->facts);
    const struct ir_ix *v = cg_for_begin(&l->e, &f, l->c->ax[a].name, trips, 0), *base = ir_ix_add(at, ir_ix_muli(v, s[j]));
    in.ax[a] = (struct cg_left){ base, ir_ix_addi(base, s[j]), s[j], true };
    ir_facts_push(&l->k->facts, ir_ix_sub(x.lim, in.ax[a].lim));
    bool ok = go(l, i + 1, &in, false);
    cg_for_end(&l->e, &f);
    ir_facts_reset(&l->k->facts, mark);
    if (!ok) return false;
    at = ir_ix_add(at, ir_ix_muli(trips, s[j]));
    if (!fixed && s[j] - 1 < most) most = s[j] - 1;
  }
  return true;
}
static bool later(const struct cg_lower_state *l, unsigned i, const char *axis)
{
  for (unsigned k = i + 1; k < l->n_loops; k++)
    for (unsigned j = 0; j < l->s->loops.v[k].n; j++)
      if (!strcmp(l->s->loops.v[k].part[j].axis, axis)) return true;
  return false;
}
static bool grid(struct cg_lower_state *l, unsigned i, struct cg_axes *st)
{
  const struct kir_loop *lp = &l->s->loops.v[i];
  for (unsigned j = 0; j < lp->n; j++) {
    int a = cg_find_axis(l->c, lp->part[j].axis);
    if (a < 0 || l->c->ax[a].role == CG_K) return cg_refuse(l, "a grid loop is over no axis of the result");
    const struct ir_ix *v = cg_grid(l->k, ir_arena_printf(l->c->a, "g%s", lp->part[j].axis), cg_trips(l, &st->ax[a], lp->part[j].step));
    cg_enter(&st->ax[a], lp->part[j].step, v);
  }
  return go(l, i + 1, st, true);
}
static bool go(struct cg_lower_state *l, unsigned i, struct cg_axes *st, bool in_grid)
{
  const struct kir_loop *lp = i < l->n_loops ? &l->s->loops.v[i] : NULL;
  if (lp && lp->kind == KIR_GRID && in_grid) {
    struct cg_axes in = *st;
    return grid(l, i, &in);
  }
  if (in_grid) TRY(write_halos(l, st) && cg_contract_stage_rows(l, st));
  if (i > l->last_mn || !lp) return cg_contract_tile(l, st);
  int a = lp->n == 1 ? cg_find_axis(l->c, lp->part[0].axis) : -1;
  if (a < 0 || lp->kind != KIR_FOR || l->c->ax[a].role == CG_K || lp->part[0].step < 1) return cg_refuse(l, "above the tile only `for` loops over one m or n axis may stand, below the grid");
  for (unsigned t = 0; t < l->s->n_tails; t++)
    if (!strcmp(l->s->tail[t].axis, lp->part[0].axis) && !later(l, i, lp->part[0].axis))
      return peeled(l, i, st, (unsigned)a, lp->part[0].step, l->s->tail[t].peel, l->s->tail[t].n);
  struct cg_for f;
  struct cg_axes in = *st;
  const struct ir_ix *v = cg_for_begin(&l->e, &f, lp->part[0].axis, cg_trips(l, &in.ax[a], lp->part[0].step), lp->unroll);
  cg_enter(&in.ax[a], lp->part[0].step, v);
  bool ok = go(l, i + 1, &in, false);
  cg_for_end(&l->e, &f);
  return ok;
}

/* Warps take a stage's sum in parts: the pipe's step along its last axis must be whole parts, and the parts meet in shared memory. */
static bool split_sum(struct cg_lower_state *l, int a)
{
  const struct kir_loop *pipe = l->n_loops ? &l->s->loops.v[l->n_loops - 1] : NULL;
  if (l->unit != 'w' || !l->s->epi_shared || !pipe || pipe->kind != KIR_PIPE || cg_find_axis(l->c, pipe->part[pipe->n - 1].axis) != a)
    return cg_refuse(l, "warps that divide a summed axis want a pipe along it, and results that leave through shared memory");
  if (pipe->part[pipe->n - 1].step % l->unit_step[a]) return cg_refuse(l, "a stage is no multiple of a warp's part of the sum");
  l->split = pipe->part[pipe->n - 1].step / l->unit_step[a];
  return l->split <= CG_MAX_SPLIT || cg_refuse(l, "too many warps divide the sum");
}
/* The last loop may divide the tile: `warp m/64 n/32`, `lane m/4 n/4` say what each gets; `warp m/16 n/32 k/16`: of each stage's sum, too. */
static bool take_units(struct cg_lower_state *l)
{
  const struct kir_loop *lp = l->n_loops ? &l->s->loops.v[l->n_loops - 1] : NULL;
  if (!lp || (lp->kind != KIR_WARP && lp->kind != KIR_LANE)) return true;
  l->unit = lp->kind == KIR_WARP ? 'w' : 'l';
  l->n_loops--;
  for (unsigned j = 0; j < lp->n; j++) {
    int a = cg_find_axis(l->c, lp->part[j].axis);
    if (a < 0 || l->c->ax[a].role == CG_BATCH || lp->part[j].step < 1) return cg_refuse(l, "warps and lanes divide m and n axes, and warps one that is summed");
    l->unit_step[a] = lp->part[j].step;
    if (l->c->ax[a].role == CG_K) TRY(split_sum(l, a));
  }
  return true;
}
/* Checks the record's axes, finds the tile's columns and the last loop over m and n. */
static bool read_loops(struct cg_lower_state *l, int64_t *out_cols)
{
  const struct cg_contract *c = l->c;
  bool any = false;
  *out_cols = 1;
  for (unsigned i = 0; i < l->n_loops; i++)
    for (unsigned j = 0; j < l->s->loops.v[i].n; j++) {
      int x = cg_find_axis(c, l->s->loops.v[i].part[j].axis);
      if (x < 0 || l->s->loops.v[i].part[j].step < 1) return cg_refuse(l, ir_arena_printf(c->a, "the nest has no axis %s", l->s->loops.v[i].part[j].axis));
      if (c->ax[x].role == CG_K) continue;
      l->last_mn = i;
      any = true;
      if ((unsigned)x == c->vec) *out_cols = l->s->loops.v[i].part[j].step;
    }
  return any || cg_refuse(l, "no loop over a result's axis");
}
static bool build(struct cg_lower_state *l)
{
  struct cg_contract *c = l->c;
  struct cg_axes st;
  int64_t cols;
  const struct kir_stage *w = cg_find_stage(l->s, c->wr->arr);
  if (!l->in) return cg_refuse(l, "no such instruction");
  if (l->in->c != c->elem) return cg_refuse(l, "the instruction sums in another type");
  TRY(take_units(l) && read_loops(l, &cols));
  for (unsigned i = 0; i < c->n_ax; i++) st.ax[i] = (struct cg_left){ cg_num(l, 0), c->ax[i].ext, c->ax[i].n, c->ax[i].n != 0 };
  if (w && w->how == KIR_PACKED) TRY(cg_contract_pack(l));
  if (!l->unit)
    for (unsigned i = 0; i < c->n_items; i++) cg_contract_pad(l, c->item[i].e, cols);
  return go(l, 0, &st, true);
}
/* A constant w is stored with an axis innermost: its columns, which is how lanes copy it, or the summed axis that warps stage in whole pieces. */
static void turn_w(struct cg_contract *c, int axis)
{
  struct kir_arr *w = c->wr->arr;
  int dim = -1;
  if (axis < 0 || !cg_contract_packable(c) || w->at || w->rank < 2) return;
  for (unsigned d = 0; d < w->rank; d++)
    if (cg_coord_axis(c, c->wr->at[d]) == &c->ax[axis]) dim = (int)d;
  if (dim < 0 || dim == (int)w->rank - 1) return;
  const struct ir_ix *at = ir_ix_int(c->ixs, 0);
  for (unsigned d = 0; d < w->rank; d++)
    if ((int)d != dim) at = ir_ix_add(ir_ix_mul(at, w->hi[d]), ir_ix_coord(c->ixs, d));
  w->at = ir_ix_add(ir_ix_mul(at, w->hi[dim]), ir_ix_coord(c->ixs, (unsigned)dim));
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  struct cg_contract c;
  if (!cg_contract_read(&c, a, n, why)) return NULL;
  const struct kir_loop *last = s->loops.n ? &s->loops.v[s->loops.n - 1] : NULL, *pipe = s->loops.n > 1 ? last - 1 : NULL;
  if (last && (last->kind == KIR_LANE || last->kind == KIR_WARP)) {
    cg_contract_for_lanes(&c);
    turn_w(&c, last->kind == KIR_LANE ? (int)c.vec : pipe && pipe->kind == KIR_PIPE ? cg_find_axis(&c, pipe->part[pipe->n - 1].axis) : -1);
  }
  struct cg_lower_state l = { .c = &c, .s = s, .t = t, .in = s->inst ? kir_inst_find(s->inst) : NULL, .k = kir_kern_create(n, n->name), .n_loops = s->loops.n, .split = 1 };
  l.e = (struct kir_emit){ l.k, &l.k->body };
  if (!build(&l)) {
    *why = l.why;
    return NULL;
  }
  ir_facts_reset(&l.k->facts, n->facts.ge0.n);
  for (uint32_t i = 0; i < l.k->grid.n; i++) ir_facts_push(&l.k->facts, ir_ix_addi(ir_ix_sub(l.k->grid.v[i].trips, l.k->grid.v[i].var), -1));
  return l.k;
}

const struct cg_skeleton cg_skeleton_contract = { .name = "contract", .schedule = cg_contract_schedule, .lower = lower, .alternatives = cg_contract_alternatives, .share = cg_contract_share };
