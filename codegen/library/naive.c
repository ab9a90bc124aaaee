/* naive: scalar loops for any nest, the road of -O0 and what every other skeleton is compared with.
 *
 * A task runs all statements for one value of the axes that all of them share: the longest row of leading axes with equal extents at which every temporary is
 * read where it was written. There a temporary without further axes is a register, one with further axes a buffer of the task. Temporaries without a
 * reduction are expanded where they are read. The outer shared axes are the grid. A statement with a stored halo runs over the whole domain and stores zeros
 * outside of the shape, so the axes of a halo are never shared. */
#include "codegen/library/flat.h"
#include "codegen/library/skeleton.h"

enum { TASKS = 64, SCRATCH_BYTES = 8 << 20 };

static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  (void)n;
  (void)t;
  struct kir_sched *s = IR_NEW(a, struct kir_sched);
  s->kind = "naive";
  return s;
}

/* ---- what is kept in memory, and the shared axes ---- */
static bool kept(const struct cg_flat *f, const struct kir_arr *x) { return x->arg ? x->out : f->slot[x->index].where != CG_INLINE; }

static const struct kir_stmt *writer(const struct cg_flat *f, const struct kir_arr *x)
{
  for (unsigned i = 0; i < f->n->stmts.n; i++)
    if (f->n->stmts.v[i]->dst == x) return f->n->stmts.v[i];
  return NULL;
}

/* For how many leading axes of s every read of a kept array in e (seen through expanded temporaries) is of the same axis: at most h->n. */
struct shared {
  struct cg_flat *f;
  const struct kir_stmt *s;
  unsigned n;
};
static void check_reads(struct shared *h, const struct kir_expr *e)
{
  if (!e) return;
  for (unsigned i = 0; i < 3; i++) check_reads(h, e->a[i]);
  if (e->kind != KIR_E_READ) return;
  struct cg_flat *f = h->f;
  const struct kir_stmt *w = writer(f, e->arr);
  if (!w) return;
  if (kept(f, e->arr)) {
    for (unsigned i = 0; i < h->n; i++) {
      int d = i < w->n_axes ? cg_dim_of(w, i) : -1;
      if (d < 0 || cg_flat_at(f, e->at[d]) != h->s->axes[i].var) h->n = i;
    }
  } else {
    uint32_t mark = cg_flat_mark(f), scope = f->scope;
    const struct ir_ix *c[IR_MAX_RANK];
    for (unsigned i = 0; i < w->n_axes; i++) c[i] = cg_flat_at(f, e->at[cg_dim_of(w, i)]);
    f->scope = mark;
    for (unsigned i = 0; i < w->n_axes; i++) cg_flat_bind(f, w->axes[i].var, c[i]);
    check_reads(h, w->e);
    cg_flat_unbind(f, mark);
    f->scope = scope;
  }
}
static bool halo_here(const struct kir_stmt *s) /* zeros are written by the loops of s */
{
  bool any = false;
  for (unsigned d = 0; d < s->dst->rank; d++) any |= cg_halo_dim(s->dst, d);
  return any && cg_plain(s);
}
static unsigned shared_axes(struct cg_flat *f)
{
  struct shared h = { f, NULL, IR_MAX_RANK };
  const struct kir_stmt *first = NULL;
  for (unsigned i = 0; i < f->n->stmts.n; i++) {
    const struct kir_stmt *s = f->n->stmts.v[i];
    if (!kept(f, s->dst)) continue;
    if (!first) first = s;
    h.s = s;
    if (s->n_axes < h.n) h.n = s->n_axes;
    if (!cg_plain(s)) h.n = 0;
    for (unsigned d = 0; d < h.n; d++)
      if (s->axes[d].ext != first->axes[d].ext || cg_halo_dim(s->dst, (unsigned)cg_dim_of(s, d))) h.n = d;
    check_reads(&h, s->e);
  }
  return h.n;
}

/* Storage for kept temporaries, given the shared axes; false if a buffer would have no bound or be too large. */
static bool place_temps(struct cg_flat *f, unsigned shared)
{
  for (unsigned i = 0; i < f->n->temps.n; i++) {
    struct cg_slot *t = &f->slot[i];
    const struct kir_stmt *s = t->stmt;
    if (t->where == CG_INLINE) continue;
    int64_t dim[IR_MAX_RANK], elems = 1, lo;
    uint32_t fixed = 0;
    for (unsigned d = 0; d < shared; d++) fixed |= 1u << cg_dim_of(s, d);
    t->n = 0;
    for (unsigned d = 0; d < s->dst->rank; d++) {
      if (fixed >> d & 1) continue;
      ir_ix_range(s->dst->hi[d], &lo, &dim[t->n]);
      if (dim[t->n] == IR_IX_INF || !ir_mul64(elems, dim[t->n], &elems) || elems > SCRATCH_BYTES) return false;
      if (dim[t->n] != 1) t->dim[t->n++] = (uint8_t)d;
    }
    t->where = t->n ? CG_BUF : CG_REG;
    if (t->n) t->buf = kir_buf(f->k, s->dst->name, s->dst->elem, t->n, dim);
    else t->reg = kir_reg_var(f->k, s->dst->name, s->dst->elem, 1, 1);
  }
  return f->k->scratch_bytes <= SCRATCH_BYTES;
}

/* ---- code ---- */
static void store(struct cg_flat *f, const struct kir_stmt *s, const struct ir_ix *const *c, struct kir_op *v)
{
  const struct cg_slot *t = s->dst->arg ? NULL : &f->slot[s->dst->index];
  const struct ir_ix *in[IR_MAX_RANK];
  for (unsigned i = 0; t && i < t->n; i++) in[i] = c[t->dim[i]];
  if (!t) cg_flat_store(f, f->k->args.v[s->dst->index], c, v);
  else if (t->where == CG_REG) cg_flat_set(f, t->reg, ir_ix_int(f->k->ixs, 0), v);
  else cg_flat_store(f, t->buf, in, v);
}

/* Loops over the axes behind the shared ones; those along a halo run over what is stored, as does a loop for a halo around a unit dim. */
static void statement(struct cg_flat *f, const struct kir_stmt *s, unsigned shared, const struct ir_ix *const *outer)
{
  const struct ir_ix *c, *at[IR_MAX_RANK], *in[2 * IR_MAX_RANK], *zero = ir_ix_int(f->k->ixs, 0);
  struct cg_open o[2 * IR_MAX_RANK], branch;
  uint32_t mark = cg_flat_mark(f);
  unsigned n_in = 0, n_open = 0;
  bool halo = halo_here(s);
  for (unsigned i = 0; i < s->n_axes; i++) {
    const char *name = ir_ix_as_sym(s->axes[i].var)->name;
    int d = cg_dim_of(s, i);
    bool h = halo && cg_halo_dim(s->dst, (unsigned)d);
    c = i < shared ? outer[i] : cg_flat_for(f, name, h ? s->dst->lo[d] : zero, h ? s->dst->hi[d] : cg_flat_at(f, s->axes[i].ext), 0, &o[n_open++]);
    cg_flat_bind(f, s->axes[i].var, c);
  }
  for (unsigned d = 0; d < s->dst->rank; d++) {
    at[d] = cg_flat_at(f, s->at ? s->at[d] : s->axes[d].var);
    if (!halo || !cg_halo_dim(s->dst, d)) continue;
    if (ir_ix_is(at[d], 0)) at[d] = cg_flat_for(f, "z", s->dst->lo[d], s->dst->hi[d], 0, &o[n_open++]);
    in[n_in++] = at[d];
    in[n_in++] = ir_ix_sub(ir_ix_addi(cg_extent(s->dst, d), -1), at[d]);
  }
  if (halo) cg_flat_if(f, in, n_in, &branch);
  store(f, s, at, cg_flat_expr(f, s->e));
  if (halo) {
    cg_flat_else(f, &branch);
    store(f, s, at, cg_flat_const(f, s->dst->elem, 0, 0));
    cg_flat_close(f, &branch);
  }
  while (n_open) cg_flat_close(f, &o[--n_open]);
  cg_flat_unbind(f, mark);
}

/* Zeros around an output whose statements name their coordinates themselves. */
static void zero_around(struct cg_flat *f, struct kir_arr *x)
{
  const struct ir_ix *c[IR_MAX_RANK], *inside[2 * IR_MAX_RANK];
  struct cg_open o[IR_MAX_RANK], branch;
  unsigned n = 0;
  for (unsigned d = 0; d < x->rank; d++) {
    bool halo = cg_halo_dim(x, d);
    c[d] = cg_flat_for(f, "z", halo ? x->lo[d] : ir_ix_int(f->k->ixs, 0), halo ? x->hi[d] : cg_extent(x, d), 0, &o[d]);
    if (halo) inside[n++] = c[d];
    if (halo) inside[n++] = ir_ix_sub(ir_ix_addi(cg_extent(x, d), -1), c[d]);
  }
  cg_flat_if(f, inside, n, &branch);
  cg_flat_else(f, &branch);
  cg_flat_store(f, x, c, cg_flat_const(f, x->elem, 0, 0));
  cg_flat_close(f, &branch);
  for (unsigned d = x->rank; d-- > 0;) cg_flat_close(f, &o[d]);
}
static void zeros(struct cg_flat *f)
{
  for (unsigned i = 0; i < f->n->args.n; i++) {
    struct kir_arr *x = f->n->args.v[i];
    bool halo = false, named = false;
    for (unsigned d = 0; d < x->rank; d++) halo |= cg_halo_dim(x, d);
    for (unsigned j = 0; j < f->n->stmts.n; j++) named |= f->n->stmts.v[j]->dst == x && !cg_plain(f->n->stmts.v[j]);
    if (x->out && halo && named) zero_around(f, x);
  }
}

/* The outer shared axes become the grid, until there are enough tasks for any machine; the last axis of a lone statement stays a loop. */
static unsigned grid_axes(const struct kir_stmt *s, unsigned shared)
{
  int64_t tasks = 1, lo, hi;
  unsigned d = 0, most = shared == s->n_axes && shared > 1 ? shared - 1 : shared;
  for (; d < most && tasks < TASKS; d++) {
    ir_ix_range(s->axes[d].ext, &lo, &hi);
    tasks *= lo < 1 ? 1 : lo > TASKS ? TASKS : lo;
  }
  return d;
}

static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *sched, const struct cg_target *t, const char **why)
{
  (void)sched;
  (void)t;
  struct cg_flat *f = cg_flat_begin(a, n, why);
  if (!f) return NULL;
  const struct kir_stmt *first = NULL;
  for (unsigned i = 0; i < n->temps.n; i++)
    if (f->slot[i].stmt && (cg_has_red(f->slot[i].stmt->e) || !cg_plain(f->slot[i].stmt))) f->slot[i].where = CG_BUF;
  unsigned shared = shared_axes(f);
  if (!place_temps(f, shared)) { /* without bound: recompute the reductions where they are read */
    for (unsigned i = 0; i < n->temps.n; i++) {
      f->slot[i].where = CG_INLINE;
      if (f->slot[i].stmt && !cg_plain(f->slot[i].stmt)) {
        *why = "a temporary without bound is written at computed coordinates";
        return NULL;
      }
    }
    shared = shared_axes(f);
    f->k->bufs.n = 0;
    f->k->scratch_bytes = 0;
  }
  for (unsigned i = 0; i < n->stmts.n && !first; i++)
    if (kept(f, n->stmts.v[i]->dst)) first = n->stmts.v[i];
  if (!first) {
    *why = "nothing is stored";
    return NULL;
  }

  const struct ir_ix *c[IR_MAX_RANK];
  struct cg_open o[IR_MAX_RANK];
  unsigned grid = grid_axes(first, shared);
  for (unsigned d = 0; d < shared; d++) {
    const char *name = ir_ix_as_sym(first->axes[d].var)->name;
    if (d < grid) c[d] = cg_flat_grid(f, name, first->axes[d].ext);
    else c[d] = cg_flat_for(f, name, ir_ix_int(f->k->ixs, 0), first->axes[d].ext, 0, &o[d]);
  }
  for (unsigned i = 0; i < n->stmts.n; i++)
    if (kept(f, n->stmts.v[i]->dst)) statement(f, n->stmts.v[i], shared, c);
  for (unsigned d = shared; d-- > grid;) cg_flat_close(f, &o[d]);
  if (!shared) zeros(f);
  return cg_flat_end(f);
}

const struct cg_skeleton cg_skeleton_naive = { "naive", schedule, lower };
