/* row: statements over common rows, with reductions along them (softmax, norms, means, sums and maxima of trailing axes), vectors along the row.
 *
 * A task holds a few rows. For one row the statements are passes in their order: a reduction folds vectors into UNROLL accumulators and those into a scalar; a
 * map runs over the row. A temporary with a place for each column that is costly and read again is held in a buffer of the task (`hold = shared`); a reduction
 * of it that comes next shares its pass. What the row's length leaves behind the last vector is masked: lanes beyond get the value that changes nothing.
 * The rows are the leading axes that all statements share; where the reduced axes are not last (softmax over channels), the statements run over what follows,
 * vectors along it, and each lane reduces its own row. */
#include "codegen/library/skeleton.h"
#include "codegen/library/flat.h"
#include "codegen/library/row.h"
#include <stdlib.h>
#include <string.h>

enum { UNROLL = 4, TASK = 8192, TASK_LEAST = 1024, HELD = 16384 /* elements of a row in scratch */ };

/* ---- what the nest is ---- */
static bool costly(const struct kir_expr *e)
{
  if (!e) return false;
  if (e->kind == KIR_E_FN && e->sub >= IR_MAP_exp && e->sub != IR_MAP_not && e->sub <= IR_MAP_sigmoid) return true;
  return costly(e->a[0]) || costly(e->a[1]) || costly(e->a[2]);
}
struct readers {
  const struct kir_arr *x;
  unsigned n;
};
static void count_read(void *arg, const struct kir_expr *e)
{
  struct readers *r = arg;
  r->n += e->arr == r->x;
}
static unsigned readers_of(const struct kir_nest *n, const struct kir_arr *x)
{
  struct readers r = { x, 0 };
  for (unsigned i = 0; i < n->stmts.n; i++) cg_reads(n->stmts.v[i]->e, count_read, &r);
  return r.n;
}
static bool bounded(const struct kir_arr *x) /* its rows */
{
  int64_t lo, hi;
  if (!x->rank) return false;
  ir_ix_range(x->hi[x->rank - 1], &lo, &hi);
  return hi <= HELD;
}
/* Which temporaries are kept, and the shared axes; false: not a nest of rows. */
static bool analyse(struct cg_flat *f, bool hold, unsigned *out_shared)
{
  const struct kir_nest *n = f->n;
  bool any = false;
  for (unsigned i = 0; i < n->stmts.n; i++) {
    const struct kir_stmt *s = n->stmts.v[i];
    any |= cg_has_red(s->e);
    if (!cg_plain(s)) return false;
    for (unsigned d = 0; d < s->dst->rank; d++)
      if (cg_halo_dim(s->dst, d)) return false;
    if (s->dst->arg) continue;
    f->slot[s->dst->index].where = cg_has_red(s->e) || (hold && bounded(s->dst) && readers_of(n, s->dst) > 1 && costly(s->e)) ? CG_BUF : CG_INLINE;
  }
  if (!any) return false;
  *out_shared = cg_shared_axes(f);
  return cg_place_temps(f, *out_shared);
}

/* ---- passes ----
 * One loop over a list of axes, in vectors along the last: it reduces, or stores a statement's elements, or both. */
struct fold {
  const struct kir_expr *e;
  struct kir_reg *acc;
  struct kir_axis axes[IR_MAX_RANK]; /* those of e, merged like the pass's */
};
struct pass {
  struct cg_flat *f;
  unsigned lanes, unroll;
  unsigned n_axes;
  struct kir_axis axes[IR_MAX_RANK]; /* of the map, or of the first reduction */
  const struct kir_stmt *map;
  struct fold fold[4];
  unsigned n_folds;
  bool merged; /* the axes are run over as one */
  const struct ir_ix *at[IR_MAX_RANK];
};

/* All axes are one: every read of e runs on from one into the next. */
static bool runs_on(struct cg_flat *f, const struct kir_axis *axes, unsigned n, const struct kir_expr *e, const struct kir_stmt *map)
{
  struct cg_uses u = { 0 };
  const struct ir_ix *ext = ir_ix_int(f->k->ixs, 1), *co, *rest, *in[IR_MAX_RANK];
  int64_t lo, hi;
  for (unsigned i = 0; i < n; i++) ext = ir_ix_mul(ext, axes[i].ext);
  ir_ix_range(ext, &lo, &hi);
  const struct ir_ix *m = ir_ix_fresh(f->k->ixs, "x", IR_SYM_AXIS, 0, hi == IR_IX_INF ? hi : hi > 0 ? hi - 1 : 0, 1), *left = m;
  uint32_t mark = cg_flat_mark(f);
  for (unsigned i = n; i-- > 0; left = ir_ix_div(left, axes[i].ext)) cg_flat_bind(f, axes[i].var, i ? ir_ix_mod(left, axes[i].ext) : left);
  cg_flat_uses(f, e, &u);
  if (map && map->dst->arg) {
    for (unsigned d = 0; d < map->dst->rank; d++) in[d] = cg_flat_at(f, map->at ? map->at[d] : map->axes[d].var);
    ir_push(f->k->arena, &u.offs, cg_flat_offset(f, map->dst, in));
  }
  cg_flat_unbind(f, mark);
  bool ok = !(map && !map->dst->arg);
  for (unsigned i = 0; i < u.offs.n && ok; i++) ok = ir_ix_linear(u.offs.v[i], m, &co, &rest);
  for (unsigned i = 0; i < u.conds.n && ok; i++) ok = !ir_ix_uses(u.conds.v[i], m);
  for (unsigned i = 0; i < u.exprs.n && ok; i++) ok = !ir_ix_uses(u.exprs.v[i], m);
  return ok;
}
struct buf_read {
  struct cg_flat *f;
  bool any;
};
static void reads_buffer(void *arg, const struct kir_expr *e)
{
  struct buf_read *b = arg;
  b->any |= !e->arr->arg && b->f->slot[e->arr->index].where == CG_BUF;
}

static void bind_axes(struct pass *p, const struct kir_axis *axes, unsigned n, const struct ir_ix *const *at)
{
  const struct ir_ix *left = at[0];
  for (unsigned i = n; i-- > 0;) {
    if (!p->merged) {
      cg_flat_bind(p->f, axes[i].var, at[i]);
      continue;
    }
    cg_flat_bind(p->f, axes[i].var, i ? ir_ix_mod(left, axes[i].ext) : left);
    left = ir_ix_div(left, axes[i].ext);
  }
}
/* The elements at p->at: stored, then folded into accumulator u. */
static void element(struct pass *p, unsigned u)
{
  struct cg_flat *f = p->f;
  const struct ir_ix *c[IR_MAX_RANK], *acc = ir_ix_int(f->k->ixs, u);
  uint32_t mark = cg_flat_mark(f);
  if (p->map) {
    const struct kir_stmt *s = p->map;
    bind_axes(p, p->axes, p->n_axes, p->at);
    for (unsigned d = 0; d < s->dst->rank; d++) c[d] = cg_flat_at(f, s->at ? s->at[d] : s->axes[d].var);
    struct kir_op *v = cg_flat_expr(f, s->e);
    cg_flat_put(f, s, c, v);
    cg_flat_unbind(f, mark);
    if (p->n_folds && !s->dst->arg) cg_flat_at_hand(f, s, c, v); /* the folds of this pass need not load it */
  }
  for (unsigned i = 0; i < p->n_folds; i++) {
    struct fold *o = &p->fold[i];
    enum ir_elem t = o->acc->elem;
    bind_axes(p, o->axes, o->e->n_axes, p->at);
    struct kir_op *v = cg_flat_cast(f, t, cg_flat_expr(f, o->e->a[0]));
    if (f->upto) v = cg_flat_limit(f, v, cg_flat_neutral(f, o->e->sub, t));
    cg_flat_set(f, o->acc, acc, cg_flat_ew(f, cg_red_map(o->e->sub), t, cg_flat_get(f, o->acc, acc), v));
    cg_flat_unbind(f, mark);
  }
}
/* The innermost axis: UNROLL vectors at a time, then one at a time, then what is left. */
static void innermost(struct pass *p, unsigned k, const struct ir_ix *ext)
{
  struct cg_flat *f = p->f;
  struct ir_ixs *t = f->k->ixs;
  const struct ir_ix *zero = ir_ix_int(t, 0), *full = ir_ix_divi(ext, p->lanes), *rest = ir_ix_modi(ext, p->lanes), *rounds = ir_ix_divi(full, p->unroll);
  const char *name = ir_ix_as_sym(p->axes[p->n_axes - 1].var)->name;
  struct cg_open o;
  int64_t n;
  if (p->lanes == 1) {
    p->at[k] = cg_flat_for(f, name, zero, ext, 0, &o);
    element(p, 0);
    cg_flat_close(f, &o);
    return;
  }
  if (p->unroll > 1 && !ir_ix_is(rounds, 0)) {
    const struct ir_ix *x = cg_flat_for(f, name, zero, rounds, 0, &o);
    for (unsigned u = 0; u < p->unroll; u++) {
      uint32_t facts = ir_facts_mark(&f->k->facts), memo = f->memo.n;
      p->at[k] = ir_ix_add(ir_ix_muli(ir_ix_addi(ir_ix_muli(x, p->unroll), u), p->lanes), f->v);
      cg_flat_assume(f, ir_ix_sub(ir_ix_addi(ext, -1), p->at[k]));
      element(p, u);
      ir_facts_reset(&f->k->facts, facts);
      f->memo.n = memo;
    }
    cg_flat_close(f, &o);
  }
  const struct ir_ix *done = p->unroll > 1 ? ir_ix_muli(rounds, p->unroll) : zero;
  if (done != full) {
    const struct ir_ix *x = cg_flat_for(f, name, done, full, 0, &o);
    p->at[k] = ir_ix_add(ir_ix_muli(x, p->lanes), f->v);
    cg_flat_assume(f, ir_ix_sub(ir_ix_addi(ext, -1), p->at[k]));
    element(p, 0);
    cg_flat_close(f, &o);
  }
  if (ir_ix_is(rest, 0)) return;
  bool sure = ir_ix_const(rest, &n);
  const struct ir_ix *limit = ir_ix_sub(ext, ir_ix_muli(full, p->lanes));
  if (!sure) cg_flat_if(f, (const struct ir_ix *[]){ ir_ix_addi(limit, -1) }, 1, &o);
  uint32_t facts = ir_facts_mark(&f->k->facts), memo = f->memo.n;
  cg_flat_assume(f, ir_ix_sub(ir_ix_addi(limit, -1), f->v)); /* of the lanes that take part */
  f->upto = limit;
  p->at[k] = ir_ix_add(ir_ix_muli(full, p->lanes), f->v);
  element(p, 0);
  f->upto = NULL;
  ir_facts_reset(&f->k->facts, facts);
  f->memo.n = memo;
  if (!sure) cg_flat_close(f, &o);
}
static void run_pass(struct pass *p)
{
  struct cg_flat *f = p->f;
  const struct ir_ix *zero = ir_ix_int(f->k->ixs, 0), *ext = ir_ix_int(f->k->ixs, 1);
  struct cg_open o[IR_MAX_RANK];
  unsigned last = p->n_axes - 1;
  int64_t n;
  for (unsigned i = 0; i < p->n_axes; i++) ext = ir_ix_mul(ext, p->axes[i].ext);
  if (!p->merged) ext = p->axes[last].ext;
  p->unroll = p->n_folds && !(ir_ix_const(ext, &n) && n < (int64_t)p->lanes * UNROLL) ? UNROLL : 1;
  if (p->lanes == 1) p->unroll = 1;
  for (unsigned i = 0; i < p->n_folds; i++) {
    struct fold *d = &p->fold[i];
    d->acc = kir_reg_var(f->k, "acc", cg_red_elem(d->e->elem), p->unroll, p->lanes);
    for (unsigned u = 0; u < p->unroll; u++) cg_flat_set(f, d->acc, ir_ix_int(f->k->ixs, u), cg_flat_neutral(f, d->e->sub, d->acc->elem));
  }
  cg_flat_lanes(f, p->lanes);
  for (unsigned i = 0; !p->merged && i < last; i++) p->at[i] = cg_flat_for(f, ir_ix_as_sym(p->axes[i].var)->name, zero, p->axes[i].ext, 0, &o[i]);
  innermost(p, p->merged ? 0 : last, ext);
  for (unsigned i = last; !p->merged && i-- > 0;) cg_flat_close(f, &o[i]);
  cg_flat_lanes(f, 1);
  for (unsigned i = 0; i < p->n_folds; i++) {
    struct fold *d = &p->fold[i];
    struct kir_op *v = cg_flat_get(f, d->acc, zero);
    for (unsigned u = 1; u < p->unroll; u++) v = cg_flat_ew(f, cg_red_map(d->e->sub), d->acc->elem, v, cg_flat_get(f, d->acc, ir_ix_int(f->k->ixs, u)));
    v = cg_flat_cast(f, d->e->elem, cg_flat_vred(f, d->e->sub, v));
    ir_push(f->k->arena, &f->done, ((struct cg_done){ d->e, v }));
  }
}

/* ---- the statements of a row ---- */
/* Reductions in e that are made for one row, outermost ones; those in temporaries are the temporaries' own. */
static void row_reds(const struct kir_expr *e, const struct kir_expr **out, unsigned *n)
{
  if (!e) return;
  if (e->kind == KIR_E_RED && *n < 16) out[(*n)++] = e;
  for (unsigned i = 0; i < 3 && e->kind != KIR_E_RED; i++) row_reds(e->a[i], out, n);
}
static void add_fold(struct pass *p, const struct kir_expr *e)
{
  struct fold *d = &p->fold[p->n_folds++];
  d->e = e;
  memcpy(d->axes, e->axes, e->n_axes * sizeof *e->axes);
}
static void scalar(struct cg_flat *f, const struct kir_stmt *s)
{
  const struct ir_ix *c[IR_MAX_RANK];
  for (unsigned d = 0; d < s->dst->rank; d++) c[d] = cg_flat_at(f, s->at ? s->at[d] : s->axes[d].var);
  cg_flat_put(f, s, c, cg_flat_expr(f, s->e));
}
static void bind_row(struct cg_flat *f, const struct kir_stmt *s, unsigned shared, const struct ir_ix *const *row)
{
  for (unsigned i = 0; i < shared; i++) cg_flat_bind(f, s->axes[i].var, row[i]);
}
/* s is a single reduction over one axis of the same length: it can share the pass of the map before it. */
static const struct kir_expr *joins(const struct kir_stmt *map, const struct kir_stmt *s, unsigned shared)
{
  const struct kir_expr *red[16];
  unsigned n = 0;
  if (s->n_axes != shared || map->n_axes != shared + 1) return NULL;
  row_reds(s->e, red, &n);
  return n == 1 && red[0]->n_axes == 1 && red[0]->axes[0].ext == map->axes[shared].ext ? red[0] : NULL;
}
/* Emits statement i (and those that share its pass); returns the next one's number. */
static unsigned statement(struct cg_flat *f, unsigned i, unsigned shared, const struct ir_ix *const *row, unsigned lanes)
{
  const struct kir_stmt *s = f->n->stmts.v[i];
  struct pass p = { .f = f, .lanes = lanes };
  uint32_t mark = cg_flat_mark(f), done = f->done.n;
  bind_row(f, s, shared, row);
  if (s->n_axes > shared) {
    struct buf_read b = { f, false };
    cg_reads(s->e, reads_buffer, &b);
    p.map = s;
    p.n_axes = s->n_axes - shared;
    memcpy(p.axes, s->axes + shared, p.n_axes * sizeof *p.axes);
    p.merged = p.n_axes > 1 && !b.any && runs_on(f, p.axes, p.n_axes, s->e, s);
    const struct kir_stmt *next = i + 1 < f->n->stmts.n ? f->n->stmts.v[i + 1] : NULL;
    const struct kir_expr *red = next && cg_kept(f, next->dst) && !cg_has_red(s->e) ? joins(s, next, shared) : NULL;
    if (red) {
      bind_row(f, next, shared, row);
      add_fold(&p, red);
      i++;
    }
    run_pass(&p);
    if (red) scalar(f, next);
  } else {
    const struct kir_expr *red[16];
    unsigned n = 0;
    row_reds(s->e, red, &n);
    for (unsigned j = 0; j < n; j++) {
      struct buf_read b = { f, false };
      cg_reads(red[j]->a[0], reads_buffer, &b);
      p = (struct pass){ .f = f, .lanes = lanes, .n_axes = red[j]->n_axes };
      memcpy(p.axes, red[j]->axes, red[j]->n_axes * sizeof *red[j]->axes);
      p.merged = p.n_axes > 1 && !b.any && runs_on(f, p.axes, p.n_axes, red[j]->a[0], NULL);
      add_fold(&p, red[j]);
      run_pass(&p);
    }
    scalar(f, s);
  }
  cg_flat_unbind(f, mark);
  f->done.n = done;
  return i + 1;
}

/* ---- schedule and code ---- */
static const struct kir_stmt *first_kept(const struct cg_flat *f)
{
  for (unsigned i = 0; i < f->n->stmts.n; i++)
    if (cg_kept(f, f->n->stmts.v[i]->dst)) return f->n->stmts.v[i];
  return NULL;
}
static int64_t least(const struct ir_ix *e)
{
  int64_t lo, hi;
  ir_ix_range(e, &lo, &hi);
  return lo < 1 ? 1 : lo;
}
/* Operations for one row: the longest statement's. */
static int64_t row_work(const struct cg_flat *f, unsigned shared)
{
  int64_t most = 1;
  for (unsigned i = 0; i < f->n->stmts.n; i++) {
    const struct kir_stmt *s = f->n->stmts.v[i];
    const struct kir_expr *red[16];
    int64_t w = 1;
    unsigned n = 0;
    row_reds(s->e, red, &n);
    for (unsigned d = shared; d < s->n_axes && w < TASK; d++) w *= least(s->axes[d].ext);
    for (unsigned d = 0; n && d < red[0]->n_axes && w < TASK; d++) w *= least(red[0]->axes[d].ext);
    if (w > most) most = w;
  }
  return most;
}
static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  if (t->lanes > 1) return cg_row_lanes_schedule(a, n, t);
  const char *why;
  unsigned shared;
  struct cg_flat *f = cg_flat_begin(a, (struct kir_nest *)n, &why); /* the nest's table gets symbols, the nest stays */
  if (!f) return NULL;
  if (!analyse(f, true, &shared)) {
    f = cg_flat_begin(a, (struct kir_nest *)n, &why);
    if (!analyse(f, false, &shared)) return NULL;
  }
  struct kir_sched *r = IR_NEW(a, struct kir_sched);
  const struct kir_stmt *s = first_kept(f);
  int64_t rows = 1, step = 1, k, work = row_work(f, shared);
  r->kind = "row";
  r->inst = ir_arena_printf(a, "v%u", t->vec_lanes);
  for (unsigned i = 0; i < n->temps.n; i++)
    if (f->slot[i].where == CG_BUF && !cg_has_red(f->slot[i].stmt->e)) r->hold = "shared";
  for (unsigned d = 0; d < shared; d++) {
    const char *name = ir_ix_as_sym(s->axes[d].var)->name;
    if (d + 1 == shared) { /* rows of the innermost axis stay together, unless that leaves cores idle */
      step = TASK / work < 1 ? 1 : TASK / work;
      if (ir_ix_const(s->axes[d].ext, &k)) {
        int64_t tasks = 4 * (int64_t)(t->cores ? t->cores : 1), fair = rows * k / tasks, low = TASK_LEAST / work;
        if (step > fair) step = fair > low ? fair : low;
        if (step > k) step = k;
        if (step < 1) step = 1; /* there may be no rows */
      }
    }
    rows *= least(s->axes[d].ext);
    if (!r->loops.n || r->loops.v[r->loops.n - 1].n == 4) ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_GRID }));
    struct kir_loop *l = &r->loops.v[r->loops.n - 1];
    l->part[l->n].axis = name;
    l->part[l->n++].step = step;
  }
  return r;
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *r, const struct cg_target *t, const char **why)
{
  if (t->lanes > 1) return cg_row_lanes_lower(a, n, r, t, why);
  struct cg_flat *f = cg_flat_begin(a, n, why);
  unsigned shared, lanes = r->inst && r->inst[0] == 'v' ? (unsigned)atoi(r->inst + 1) : 1, have = 0;
  if (!f) return NULL;
  if (!analyse(f, r->hold != NULL, &shared)) {
    *why = "no rows with reductions";
    return NULL;
  }
  const struct kir_stmt *s = first_kept(f);
  const struct ir_ix *row[IR_MAX_RANK];
  struct cg_open o[IR_MAX_RANK];
  bool opened[IR_MAX_RANK] = { false };
  for (unsigned i = 0; i < r->loops.n; i++)
    for (unsigned j = 0; j < r->loops.v[i].n; j++, have++) {
      int64_t step = r->loops.v[i].part[j].step;
      if (have >= shared || r->loops.v[i].kind != KIR_GRID || strcmp(r->loops.v[i].part[j].axis, ir_ix_as_sym(s->axes[have].var)->name) || step < 1) {
        *why = "the record's loops are not the rows";
        return NULL;
      }
      const struct ir_ix *ext = s->axes[have].ext;
      row[have] = cg_flat_grid(f, r->loops.v[i].part[j].axis, ir_ix_cdivi(ext, step));
      if (step > 1) row[have] = ir_ix_muli(row[have], step);
    }
  if (have != shared) {
    *why = "the record has a loop for each row axis";
    return NULL;
  }
  for (unsigned d = 0; d < shared; d++) {
    int64_t step = 1;
    for (unsigned i = 0, m = 0; i < r->loops.n; i++)
      for (unsigned j = 0; j < r->loops.v[i].n; j++, m++)
        if (m == d) step = r->loops.v[i].part[j].step;
    if (step == 1) continue;
    const struct ir_ix *ext = s->axes[d].ext, *end = ir_ix_by(ext) % step ? ir_ix_min(ir_ix_addi(row[d], step), ext) : ir_ix_addi(row[d], step);
    row[d] = cg_flat_for(f, ir_ix_as_sym(s->axes[d].var)->name, row[d], end, 0, &o[d]);
    cg_flat_assume(f, ir_ix_sub(ir_ix_addi(ext, -1), row[d]));
    opened[d] = true;
  }
  for (unsigned i = 0; i < n->stmts.n;) i = cg_kept(f, n->stmts.v[i]->dst) ? statement(f, i, shared, row, lanes) : i + 1;
  for (unsigned d = shared; d-- > 0;)
    if (opened[d]) cg_flat_close(f, &o[d]);
  return cg_flat_end(f);
}

const struct cg_skeleton cg_skeleton_row = { "row", schedule, lower };
