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

/* How many leading coordinates of every read of a kept array in e (seen through expanded temporaries) are the statement's own axes. */
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
  if (kept(f, e->arr)) {
    for (unsigned d = 0; d < h->n; d++)
      if (d >= e->n_at || cg_flat_at(f, e->at[d]) != h->s->axes[d].var) h->n = d;
  } else if (!e->arr->arg) {
    const struct kir_stmt *s = f->slot[e->arr->index].stmt;
    uint32_t mark = cg_flat_mark(f), scope = f->scope;
    const struct ir_ix *c[IR_MAX_RANK];
    for (unsigned d = 0; d < s->n_axes; d++) c[d] = cg_flat_at(f, e->at[d]);
    f->scope = mark;
    for (unsigned d = 0; d < s->n_axes; d++) cg_flat_bind(f, s->axes[d].var, c[d]);
    check_reads(h, s->e);
    cg_flat_unbind(f, mark);
    f->scope = scope;
  }
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
    for (unsigned d = 0; d < h.n; d++)
      if (s->axes[d].ext != first->axes[d].ext || (s->at && s->at[d] != s->axes[d].var)) h.n = d;
    for (unsigned d = 0; d < s->dst->rank; d++)
      if (cg_halo_dim(s->dst, d) && (s->at || d < h.n)) h.n = s->at ? 0 : d;
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
    for (unsigned d = shared; d < s->dst->rank; d++) {
      ir_ix_range(s->dst->hi[d], &lo, &dim[d - shared]);
      if (dim[d - shared] == IR_IX_INF || !ir_mul64(elems, dim[d - shared], &elems) || elems > SCRATCH_BYTES) return false;
    }
    t->skip = shared;
    if (s->dst->rank == shared) {
      t->where = CG_REG;
      t->reg = kir_reg_var(f->k, s->dst->name, s->dst->elem, 1, 1);
    } else {
      t->buf = kir_buf(f->k, s->dst->name, s->dst->elem, s->dst->rank - shared, dim);
    }
  }
  return f->k->scratch_bytes <= SCRATCH_BYTES;
}

/* ---- code ---- */
static void store(struct cg_flat *f, const struct kir_stmt *s, const struct ir_ix *const *c, struct kir_op *v)
{
  const struct cg_slot *t = s->dst->arg ? NULL : &f->slot[s->dst->index];
  if (!t) cg_flat_store(f, f->k->args.v[s->dst->index], c, v);
  else if (t->where == CG_REG) cg_flat_set(f, t->reg, ir_ix_int(f->k->ixs, 0), v);
  else cg_flat_store(f, t->buf, c + t->skip, v);
}

static void statement(struct cg_flat *f, const struct kir_stmt *s, unsigned shared, const struct ir_ix *const *outer)
{
  const struct ir_ix *c[IR_MAX_RANK], *at[IR_MAX_RANK], *inside[2 * IR_MAX_RANK], *zero = ir_ix_int(f->k->ixs, 0);
  struct cg_open o[IR_MAX_RANK], branch;
  uint32_t mark = cg_flat_mark(f);
  unsigned n_in = 0;
  bool halo = false;
  for (unsigned d = 0; d < s->n_axes; d++) {
    const char *name = ir_ix_as_sym(s->axes[d].var)->name;
    const struct ir_ix *ext = cg_flat_at(f, s->axes[d].ext);
    if (d < shared) {
      c[d] = outer[d];
    } else if (!s->at && cg_halo_dim(s->dst, d)) {
      c[d] = cg_flat_for(f, name, s->dst->lo[d], s->dst->hi[d], 0, &o[d]);
      inside[n_in++] = c[d];
      inside[n_in++] = ir_ix_sub(ir_ix_addi(ext, -1), c[d]);
      halo = true;
    } else {
      c[d] = cg_flat_for(f, name, zero, ext, 0, &o[d]);
    }
    cg_flat_bind(f, s->axes[d].var, c[d]);
  }
  if (halo) cg_flat_if(f, inside, n_in, &branch);
  for (unsigned d = 0; d < s->dst->rank; d++) at[d] = s->at ? cg_flat_at(f, s->at[d]) : c[d];
  store(f, s, at, cg_flat_expr(f, s->e));
  if (halo) {
    cg_flat_else(f, &branch);
    store(f, s, at, cg_flat_const(f, s->dst->elem, 0, 0));
    cg_flat_close(f, &branch);
  }
  for (unsigned d = s->n_axes; d-- > shared;) cg_flat_close(f, &o[d]);
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
    for (unsigned j = 0; j < f->n->stmts.n; j++) named |= f->n->stmts.v[j]->dst == x && f->n->stmts.v[j]->at;
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
    if (f->slot[i].stmt && cg_has_red(f->slot[i].stmt->e)) f->slot[i].where = CG_BUF;
  unsigned shared = shared_axes(f);
  if (!place_temps(f, shared)) { /* without bound: recompute the reductions where they are read */
    for (unsigned i = 0; i < n->temps.n; i++) f->slot[i].where = CG_INLINE;
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
