/* block: on lanes, one block for one value of the axes that all statements share, whatever they compute: long rows, attention, any chain of reductions.
 *
 * Statements run one after another with a barrier between them; temporaries live in shared memory, or in a register of every thread where one value is all there
 * is. The elements of a statement are dealt to the threads. Few results of a long reduction are made by all threads together: each folds its share, then a tree
 * in shared memory. Known weakness: a block has one value of the shared axes, so nothing that several of them read is read once. */
#include <string.h>
#include "codegen/library/flat.h"
#include "codegen/library/skeleton.h"

enum { SHARED = 40 << 10, LONG = 64 /* a reduction worth a tree */, THREADS = 256 };

struct blk {
  struct cg_flat *f;
  unsigned shared, threads;
  struct kir_arr *tree[IR_ELEM_COUNT];
  const struct ir_ix *outer[IR_MAX_RANK];
};

static bool halo(const struct kir_nest *n)
{
  for (unsigned i = 0; i < n->args.n; i++)
    for (unsigned d = 0; d < n->args.v[i]->rank; d++)
      if (n->args.v[i]->out && cg_halo_dim(n->args.v[i], d)) return true;
  return false;
}
static bool take(struct blk *b, struct ir_arena *a, struct kir_nest *n, const char **why)
{
  *b = (struct blk){ .f = cg_flat_begin(a, n, why) };
  if (!b->f) return false;
  b->f->scratch = SHARED;
  for (unsigned i = 0; i < n->temps.n; i++)
    if (b->f->slot[i].stmt && (cg_has_red(b->f->slot[i].stmt->e) || !cg_plain(b->f->slot[i].stmt))) b->f->slot[i].where = CG_BUF;
  b->shared = cg_shared_axes(b->f);
  *why = "the temporaries of one block have no bound, or are too large";
  return !halo(n) && cg_place_temps(b->f, b->shared);
}
static const struct kir_expr *reduction(const struct kir_stmt *s)
{
  const struct kir_expr *e = s->e;
  while (e && e->kind == KIR_E_CAST) e = e->a[0];
  return e && e->kind == KIR_E_RED ? e : NULL;
}
/* Least and most elements of a statement in one block. */
static void inner(const struct blk *b, const struct kir_stmt *s, int64_t *lo, int64_t *hi)
{
  *lo = *hi = 1;
  for (unsigned i = b->shared; i < s->n_axes; i++) {
    int64_t l, h;
    ir_ix_range(s->axes[i].ext, &l, &h);
    if (h == IR_IX_INF || !ir_mul64(*hi, h, hi)) *hi = IR_IX_INF;
    if (!ir_mul64(*lo, l, lo)) *lo = IR_IX_INF;
  }
}
static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct blk b;
  const char *why;
  int64_t most = 1;
  if (t->lanes < 2 || !n->stmts.n || !take(&b, a, (struct kir_nest *)n, &why)) return NULL;
  for (unsigned i = 0; i < n->stmts.n; i++) {
    int64_t lo, hi, k = 1;
    const struct kir_expr *r = reduction(n->stmts.v[i]);
    inner(&b, n->stmts.v[i], &lo, &hi);
    for (unsigned j = 0; r && j < r->n_axes && hi <= 32; j++) {
      ir_ix_range(r->axes[j].ext, &lo, &hi);
      k = hi > THREADS || k > THREADS ? THREADS : k * hi;
    }
    if (k > most) most = k;
    if (hi > most) most = hi;
  }
  struct kir_sched *r = IR_NEW(a, struct kir_sched);
  unsigned threads = 32;
  while (threads < THREADS && threads < most) threads *= 2;
  r->kind = "block";
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_LANE, .n = 1, .part = { { "thread", threads } } }));
  return r;
}

/* ---- code ---- */
static const struct ir_ix *num(const struct blk *b, int64_t i) { return ir_ix_int(b->f->k->ixs, i); }
static void barrier(struct blk *b)
{
  kir_emit(&b->f->em, KIR_barrier, IR_f32, 1, NULL, 0, NULL, 0);
  b->f->memo.n = 0;
}
/* Binds axes[..] to the digits of e. */
static void bind_digits(struct blk *b, const struct kir_axis *axes, unsigned n, const struct ir_ix *e)
{
  for (unsigned i = n; i-- > 0;) {
    const struct ir_ix *ext = cg_flat_at(b->f, axes[i].ext);
    cg_flat_bind(b->f, axes[i].var, i ? ir_ix_mod(e, ext) : e);
    e = ir_ix_div(e, ext);
  }
}
static const struct ir_ix *volume(struct blk *b, const struct kir_axis *axes, unsigned n)
{
  const struct ir_ix *v = num(b, 1);
  for (unsigned i = 0; i < n; i++) v = ir_ix_mul(v, cg_flat_at(b->f, axes[i].ext));
  return v;
}
static void put(struct blk *b, const struct kir_stmt *s, struct kir_op *v)
{
  const struct ir_ix *at[IR_MAX_RANK];
  for (unsigned d = 0; d < s->dst->rank; d++) at[d] = cg_flat_at(b->f, s->at ? s->at[d] : s->axes[d].var);
  cg_flat_put(b->f, s, at, v);
}
static bool in_register(const struct blk *b, const struct kir_stmt *s) { return !s->dst->arg && b->f->slot[s->dst->index].where == CG_REG; }
static void first_thread(struct blk *b, struct cg_open *o)
{
  const struct ir_ix *is = ir_ix_neg(b->f->k->lane);
  cg_flat_if(b->f, &is, 1, o);
}

/* Shares of a row of n: e = lane, lane + threads, .. < n. */
static const struct ir_ix *share(struct blk *b, const char *name, const struct ir_ix *n, struct cg_open o[2])
{
  const struct ir_ix *i = cg_flat_for(b->f, name, num(b, 0), ir_ix_cdivi(n, b->threads), 0, &o[0]);
  const struct ir_ix *e = ir_ix_add(ir_ix_muli(i, b->threads), b->f->k->lane), *inside = ir_ix_addi(ir_ix_sub(n, e), -1);
  cg_flat_if(b->f, &inside, 1, &o[1]);
  return e;
}
static struct kir_op *access(struct blk *b, enum kir_opcode op, struct kir_arr *a, const struct ir_ix *at, struct kir_op *v)
{
  struct kir_op *o = kir_emit(&b->f->em, op, a->elem, 1, v ? &v : NULL, v != NULL, &at, 1);
  o->arr = a;
  return o;
}
/* The reduction r of a statement's element at hand, by all threads; every thread gets it. */
static struct kir_op *together(struct blk *b, const struct kir_expr *r)
{
  struct cg_flat *f = b->f;
  enum ir_elem t = cg_red_elem(r->elem);
  int64_t dim = b->threads;
  if (!b->tree[t]) b->tree[t] = kir_buf(f->k, "tree", t, 1, &dim);
  struct kir_arr *tree = b->tree[t];
  struct kir_reg *acc = kir_reg_var(f->k, "acc", t, 1, 1);
  struct cg_open o[2], half;
  uint32_t mark = cg_flat_mark(f);
  cg_flat_set(f, acc, num(b, 0), cg_flat_neutral(f, r->sub, t));
  bind_digits(b, r->axes, r->n_axes, share(b, ir_ix_as_sym(r->axes[r->n_axes - 1].var)->name, volume(b, r->axes, r->n_axes), o));
  cg_flat_fold(f, acc, r);
  cg_flat_close(f, &o[1]);
  cg_flat_close(f, &o[0]);
  cg_flat_unbind(f, mark);
  access(b, KIR_store, tree, f->k->lane, cg_flat_get(f, acc, num(b, 0)));
  for (unsigned d = b->threads / 2; d; d /= 2) {
    const struct ir_ix *lower = ir_ix_sub(num(b, d - 1), f->k->lane);
    barrier(b);
    cg_flat_if(f, &lower, 1, &half);
    struct kir_op *x = access(b, KIR_load, tree, f->k->lane, NULL), *y = access(b, KIR_load, tree, ir_ix_addi(f->k->lane, d), NULL);
    access(b, KIR_store, tree, f->k->lane, cg_flat_ew(f, cg_red_map(r->sub), t, x, y));
    cg_flat_close(f, &half);
  }
  barrier(b);
  return cg_flat_cast(f, r->elem, access(b, KIR_load, tree, num(b, 0), NULL));
}
static void by_all(struct blk *b, const struct kir_stmt *s, const struct kir_expr *r)
{
  struct cg_flat *f = b->f;
  struct cg_open o[IR_MAX_RANK], one;
  unsigned n = 0;
  for (unsigned i = b->shared; i < s->n_axes; i++)
    cg_flat_bind(f, s->axes[i].var, cg_flat_for(f, ir_ix_as_sym(s->axes[i].var)->name, num(b, 0), cg_flat_at(f, s->axes[i].ext), 0, &o[n++]));
  struct cg_done d = { r, together(b, r) };
  ir_push(f->k->arena, &f->done, d);
  struct kir_op *v = cg_flat_expr(f, s->e);
  f->done.n--;
  if (in_register(b, s)) put(b, s, v);
  else {
    first_thread(b, &one);
    put(b, s, v);
    cg_flat_close(f, &one);
  }
  barrier(b);                          /* before the tree is used again, and the value is read */
  while (n) cg_flat_close(f, &o[--n]);
}
static void statement(struct blk *b, const struct kir_stmt *s)
{
  struct cg_flat *f = b->f;
  const struct kir_expr *r = reduction(s);
  struct cg_open o[2];
  uint32_t mark = cg_flat_mark(f);
  int64_t lo, hi, k = 1;
  inner(b, s, &lo, &hi);
  for (unsigned i = 0; i < b->shared; i++) cg_flat_bind(f, s->axes[i].var, b->outer[i]);
  for (unsigned i = 0; r && i < r->n_axes; i++) {
    int64_t l, h;
    ir_ix_range(r->axes[i].ext, &l, &h);
    if (h == IR_IX_INF || !ir_mul64(k, h, &k)) k = IR_IX_INF;
  }
  if (r && k >= LONG && hi <= b->threads / 4) by_all(b, s, r);
  else if (in_register(b, s)) put(b, s, cg_flat_expr(f, s->e));
  else {
    bind_digits(b, s->axes + b->shared, s->n_axes - b->shared, share(b, "e", volume(b, s->axes + b->shared, s->n_axes - b->shared), o));
    put(b, s, cg_flat_expr(f, s->e));
    cg_flat_close(f, &o[1]);
    cg_flat_close(f, &o[0]);
    barrier(b);
  }
  f->memo.n = 0;
  cg_flat_unbind(f, mark);
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  struct blk b;
  const struct kir_stmt *first = NULL;
  if (t->lanes < 2 || !take(&b, a, n, why)) return NULL;
  int64_t threads = s->loops.n == 1 && s->loops.v[0].kind == KIR_LANE ? s->loops.v[0].part[0].step : 0;
  if (threads < 2 || threads > KIR_MAX_THREADS || threads & (threads - 1)) {
    *why = "the record does not say how many threads, a power of two, a block has";
    return NULL;
  }
  b.threads = (unsigned)threads;
  kir_block(b.f->k, 1, b.threads);
  for (unsigned i = 0; i < n->stmts.n && !first; i++)
    if (cg_kept(b.f, n->stmts.v[i]->dst)) first = n->stmts.v[i];
  if (!first) {
    *why = "nothing is stored";
    return NULL;
  }
  for (unsigned d = 0; d < b.shared; d++) b.outer[d] = cg_flat_grid(b.f, ir_ix_as_sym(first->axes[d].var)->name, first->axes[d].ext);
  for (unsigned i = 0; i < n->stmts.n; i++)
    if (cg_kept(b.f, n->stmts.v[i]->dst)) statement(&b, n->stmts.v[i]);
  return cg_flat_end(b.f);
}
const struct cg_skeleton cg_skeleton_block = { "block", schedule, lower, true };
