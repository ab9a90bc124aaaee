/* Temporaries of a nest in one task: which stay in registers or buffers, and which leading axes all statements share, so that a task needs only what belongs to
 * one value of them. flat.h says what each function does. */
#include "codegen/library/flat.h"

enum { SCRATCH_BYTES = 8 << 20 };

/* ---- what is kept in memory, and the shared axes ---- */
bool cg_kept(const struct cg_flat *f, const struct kir_arr *x) { return x->arg ? x->out : f->slot[x->index].where != CG_INLINE; }

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
  if (cg_kept(f, e->arr)) {
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
unsigned cg_shared_axes(struct cg_flat *f)
{
  struct shared h = { f, NULL, IR_MAX_RANK };
  const struct kir_stmt *first = NULL;
  for (unsigned i = 0; i < f->n->stmts.n; i++) {
    const struct kir_stmt *s = f->n->stmts.v[i];
    if (!cg_kept(f, s->dst)) continue;
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

bool cg_place_temps(struct cg_flat *f, unsigned shared)
{
  int64_t limit = f->scratch ? f->scratch : SCRATCH_BYTES;
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
      if (dim[t->n] == IR_IX_INF || !ir_mul64(elems, dim[t->n], &elems) || elems > limit) return false;
      if (dim[t->n] != 1) t->dim[t->n++] = (uint8_t)d;
    }
    t->where = t->n ? CG_BUF : CG_REG;
    if (t->n) t->buf = kir_buf(f->k, s->dst->name, s->dst->elem, t->n, dim);
    else t->reg = kir_reg_var(f->k, s->dst->name, s->dst->elem, 1, 1);
  }
  return f->k->scratch_bytes <= (uint64_t)limit;
}

void cg_flat_put(struct cg_flat *f, const struct kir_stmt *s, const struct ir_ix *const *c, struct kir_op *v)
{
  const struct cg_slot *t = s->dst->arg ? NULL : &f->slot[s->dst->index];
  const struct ir_ix *in[IR_MAX_RANK];
  for (unsigned i = 0; t && i < t->n; i++) in[i] = c[t->dim[i]];
  if (!t) cg_flat_store(f, f->k->args.v[s->dst->index], c, v);
  else if (t->where == CG_REG) cg_flat_set(f, t->reg, ir_ix_int(f->k->ixs, 0), v);
  else cg_flat_store(f, t->buf, in, v);
}
