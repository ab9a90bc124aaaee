/* Storage of arguments: sizes, offsets, and dense tensors packed into it.
 *
 * Blocked, padded and packed layouts are sums of expressions in one coordinate each ((c1/16)*P + (c2+1)*58*16 + c1%16), so an offset is a sum of one table
 * entry per coordinate. A storage that mixes coordinates in one term is evaluated element by element. */
#include "ir/kernel/internal.h"
#include <string.h>

bool kir_dom_next(const int64_t *lo, const int64_t *hi, unsigned rank, int64_t *c)
{
  for (unsigned d = rank; d-- > 0;) {
    if (++c[d] < hi[d]) return true;
    c[d] = lo[d];
  }
  return false;
}
/* No term holds two coordinates. */
static bool separable(const struct ir_ix *at, unsigned rank, const struct ir_ix *const *coord)
{
  for (unsigned i = 0; i < ir_ix_nterms(at); i++) {
    unsigned nf;
    const struct ir_atom *const *f;
    ir_ix_term(at, i, &nf, &f);
    struct kir_used u;
    kir_used_init(&u, ir_ix_table(at));
    for (unsigned j = 0; j < nf; j++) {
      if (f[j]->kind == IR_ATOM_SYM && f[j]->sym->id < u.n) u.on[f[j]->sym->id] = 1;
      kir_used_ix(&u, f[j]->a);
      kir_used_ix(&u, f[j]->b);
    }
    unsigned n = 0;
    for (unsigned d = 0; d < rank; d++) n += kir_used_sym(&u, coord[d]);
    for (unsigned j = 0; j < nf; j++) n += f[j]->kind == IR_ATOM_LOAD ? 2 : 0;
    kir_used_deinit(&u);
    if (n > 1) return false;
  }
  return true;
}
static bool extents(struct ir_arena *a, struct kir_dom *d, const struct kir_arr *arr, struct kir_ixm *m, struct kir_row *r, int64_t *volume, const char **why)
{
  *volume = 1;
  for (unsigned i = 0; i < arr->rank; i++) {
    d->lo[i] = kir_ix_run(m, arr->lo[i], r);
    d->hi[i] = kir_ix_run(m, arr->hi[i], r);
    d->shape[i] = arr->shape[i] ? kir_ix_run(m, arr->shape[i], r) : d->hi[i];
    int64_t ext = d->hi[i] - d->lo[i];
    if (r->failed || ext < 0 || d->shape[i] > d->hi[i] || d->shape[i] < 0 || (arr->shape[i] && d->lo[i] > 0) || !ir_mul64(*volume, ext, volume) || *volume > INT64_MAX / 64) {
      *why = ir_arena_printf(a, "%s: dimension %u has no sensible extent", arr->name, i);
      return false;
    }
  }
  return true;
}
static void tables(struct ir_arena *a, struct kir_dom *d, struct kir_row *r)
{
  for (unsigned i = 0; i < d->rank; i++) r->v[d->coord[i]] = d->lo[i];
  d->base = kir_ixp_eval(d->at, r);
  for (unsigned i = 0; i < d->rank; i++) {
    d->tab[i] = IR_NEWN(a, int64_t, d->hi[i] - d->lo[i] + 1);
    for (int64_t c = d->lo[i]; c < d->hi[i]; c++) {
      r->v[d->coord[i]] = c;
      d->tab[i][c - d->lo[i]] = kir_ixp_eval(d->at, r) - d->base;
    }
    r->v[d->coord[i]] = d->lo[i];
  }
}
static void row_major(struct ir_arena *a, struct kir_dom *d)
{
  int64_t s = 1;
  for (unsigned i = d->rank; i-- > 0; s *= d->hi[i] - d->lo[i]) {
    d->tab[i] = IR_NEWN(a, int64_t, d->hi[i] - d->lo[i] + 1);
    for (int64_t c = 0; c < d->hi[i] - d->lo[i]; c++) d->tab[i][c] = c * s;
  }
}
bool kir_dom_init(struct ir_arena *a, struct kir_dom *d, const struct kir_arr *arr, struct kir_ixm *m, struct kir_row *r, const char **why)
{
  *d = (struct kir_dom){ .rank = arr->rank, .row = r };
  TRY(extents(a, d, arr, m, r, &d->elems, why));
  int64_t volume = d->elems;
  if (arr->elems) d->elems = kir_ix_run(m, arr->elems, r);
  if (!volume && !r->failed && d->elems >= 0) return true;        /* nothing has a place, and an axis beside the empty one may be of any length */
  if (!arr->at) {
    row_major(a, d);
    if (d->elems >= volume) return true;
    *why = ir_arena_printf(a, "%s: its size is smaller than its domain", arr->name);
    return false;
  }
  d->at = kir_ixp_get(m, arr->at);
  const struct ir_ix *coord[IR_MAX_RANK];
  for (unsigned i = 0; i < arr->rank; i++) {
    coord[i] = ir_ix_coord(ir_ix_table(arr->at), i);
    d->coord[i] = kir_base_sym(coord[i], NULL)->id;
  }
  if (!arr->rank) d->base = kir_ixp_eval(d->at, r);
  else if (separable(arr->at, arr->rank, coord)) tables(a, d, r);
  if (!r->failed && d->elems >= 0) return true;
  *why = ir_arena_printf(a, "%s: its storage cannot be evaluated", arr->name);
  return false;
}
int64_t kir_dom_at(const struct kir_dom *d, const int64_t *c)
{
  int64_t o = d->base;
  if (!d->rank) return o;
  if (!d->tab[0]) {
    for (unsigned i = 0; i < d->rank; i++) d->row->v[d->coord[i]] = c[i];
    return kir_ixp_eval(d->at, d->row);
  }
  for (unsigned i = 0; i < d->rank; i++) o += d->tab[i][c[i] - d->lo[i]];
  return o;
}

/* ---- for callers: an argument by itself ---- */
static struct ir_ixs *table_of(const struct kir_arr *a)
{
  return a->at ? ir_ix_table(a->at) : a->elems ? ir_ix_table(a->elems) : a->rank ? ir_ix_table(a->hi[0]) : NULL;
}
struct job { struct ir_arena *arena; struct kir_row row; struct kir_dom dom; };
static bool start(struct job *j, const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms)
{
  struct ir_ixs *t = table_of(a);
  const char *why;
  *j = (struct job){ .arena = ir_arena_create() };
  if (!t) {
    j->dom.elems = 1;
    return true;
  }
  struct kir_used u;
  struct kir_ixm *m = kir_ixm_create(j->arena, t);
  for (unsigned i = 0; a->at && i < a->rank; i++) ir_ix_coord(t, i);
  j->row.v = IR_NEWN(j->arena, int64_t, kir_ixm_syms(m) + 1);
  uint8_t *known = IR_NEWN(j->arena, uint8_t, kir_ixm_syms(m) + 1);
  kir_used_init(&u, t);
  kir_used_arr(&u, a);
  bool ok = kir_row_bind(j->arena, &j->row, t, syms, n_syms, known, &why) && kir_all_bound(j->arena, &u, known, &why) &&
            kir_dom_init(j->arena, &j->dom, a, m, &j->row, &why);
  kir_used_deinit(&u);
  return ok;
}
bool kir_arg_size(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, int64_t *out_elems)
{
  struct job j;
  bool ok = start(&j, a, syms, n_syms);
  if (ok) *out_elems = j.dom.elems;
  ir_arena_destroy(j.arena);
  return ok;
}
/* Calls for each row of the shape's last coordinate would be quicker still; a table lookup per coordinate is enough for weights. */
static bool transfer(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, const struct ir_tensor *dense, const struct ir_tensor *raw, bool pack)
{
  struct job j;
  int64_t c[IR_MAX_RANK] = { 0 }, zero[IR_MAX_RANK] = { 0 }, volume = 1, i = 0;
  bool ok = start(&j, a, syms, n_syms) && raw->n >= j.dom.elems && dense->elem == a->elem && raw->elem == a->elem;
  for (unsigned d = 0; ok && d < a->rank; d++) volume *= j.dom.shape[d];
  ok = ok && dense->n == volume;
  if (ok && pack) memset(raw->p, 0, 8 * (size_t)j.dom.elems);
  if (ok && volume) {
    do {
      int64_t o = kir_dom_at(&j.dom, c);
      ok = o >= 0 && o < j.dom.elems;
      if (ok && pack) raw->i[o] = dense->i[i];
      else if (ok) dense->i[i] = raw->i[o];
      i++;
    } while (ok && kir_dom_next(zero, j.dom.shape, a->rank, c));
  }
  ir_arena_destroy(j.arena);
  return ok;
}
static bool pack_winograd(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, const struct ir_tensor *dense, struct ir_tensor *raw)
{
  struct ir_arena *arena = ir_arena_create();
  unsigned n = (a->winograd + 2) * (a->winograd + 2);
  double g[KIR_WINOGRAD_MAX + 2][3];
  float w[9], u[(KIR_WINOGRAD_MAX + 2) * (KIR_WINOGRAD_MAX + 2)];
  struct ir_tensor *t = ir_tensor_create(arena, IR_f32, 1, (int64_t[]){ dense->n / 9 * n });
  kir_winograd_matrix(a->winograd, g);
  for (int64_t i = 0; i < dense->n / 9; i++) {
    for (unsigned j = 0; j < 9; j++) w[j] = (float)dense->f[i * 9 + j];
    kir_winograd_weight(a->winograd, g, w, u);
    for (unsigned j = 0; j < n; j++) t->f[i * n + j] = u[j];
  }
  bool ok = transfer(a, syms, n_syms, t, raw, true);
  ir_arena_destroy(arena);
  return ok;
}
bool kir_arg_pack(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, const struct ir_tensor *dense, struct ir_tensor *raw)
{
  return a->winograd ? pack_winograd(a, syms, n_syms, dense, raw) : transfer(a, syms, n_syms, dense, raw, true);
}
bool kir_arg_unpack(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, const struct ir_tensor *raw, struct ir_tensor *dense)
{
  return transfer(a, syms, n_syms, dense, raw, false);
}
