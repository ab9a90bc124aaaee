/* naive: scalar loops for any nest, the road of -O0 and what every other skeleton is compared with.
 *
 * A task runs all statements for one value of the axes that all of them share: the longest row of leading axes with equal extents at which every temporary is
 * read where it was written. There a temporary without further axes is a register, one with further axes a buffer of the task. Temporaries without a
 * reduction are expanded where they are read. The outer shared axes are the grid. A statement with a stored halo runs over the whole domain and stores zeros
 * outside of the shape, so the axes of a halo are never shared. */
#include "codegen/library/flat.h"
#include "codegen/library/skeleton.h"

enum { TASKS = 64 };

static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  (void)n;
  (void)t;
  struct kir_sched *s = IR_NEW(a, struct kir_sched);
  s->kind = "naive";
  return s;
}

/* ---- code ---- */
static bool halo_here(const struct kir_stmt *s) /* zeros are written by the loops of s */
{
  bool any = false;
  for (unsigned d = 0; d < s->dst->rank; d++) any |= cg_halo_dim(s->dst, d);
  return any && cg_plain(s);
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
  cg_flat_put(f, s, at, cg_flat_expr(f, s->e));
  if (halo) {
    cg_flat_else(f, &branch);
    cg_flat_put(f, s, at, cg_flat_const(f, s->dst->elem, 0, 0));
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
  struct cg_flat *f = cg_flat_begin(a, n, why);
  if (!f) return NULL;
  if (t->lanes > 1) f->scratch = 48 << 10;
  const struct kir_stmt *first = NULL;
  for (unsigned i = 0; i < n->temps.n; i++)
    if (f->slot[i].stmt && (cg_has_red(f->slot[i].stmt->e) || !cg_plain(f->slot[i].stmt))) f->slot[i].where = CG_BUF;
  unsigned shared = cg_shared_axes(f);
  if (!cg_place_temps(f, shared)) { /* without bound: recompute the reductions where they are read */
    for (unsigned i = 0; i < n->temps.n; i++) {
      f->slot[i].where = CG_INLINE;
      if (f->slot[i].stmt && !cg_plain(f->slot[i].stmt)) {
        *why = "a temporary without bound is written at computed coordinates";
        return NULL;
      }
    }
    shared = cg_shared_axes(f);
    f->k->bufs.n = 0;
    f->k->scratch_bytes = 0;
  }
  for (unsigned i = 0; i < n->stmts.n && !first; i++)
    if (cg_kept(f, n->stmts.v[i]->dst)) first = n->stmts.v[i];
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
    if (cg_kept(f, n->stmts.v[i]->dst)) statement(f, n->stmts.v[i], shared, c);
  for (unsigned d = shared; d-- > grid;) cg_flat_close(f, &o[d]);
  if (!shared) zeros(f);
  return cg_flat_end(f);
}

const struct cg_skeleton cg_skeleton_naive = { "naive", schedule, lower, true };
