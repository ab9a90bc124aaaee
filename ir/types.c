/* Interned types, layouts and provenance, requirements: what belongs to a module and not to a graph. */
#include "ir/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- sets ---- */
static char tombstone;
void *ir_set_find(const struct ir_set *s, uint64_t hash, const void *key, ir_set_eq *eq)
{
  if (!s->cap) return NULL;
  for (uint32_t i = (uint32_t)hash & (s->cap - 1); s->slot[i].p; i = (i + 1) & (s->cap - 1))
    if (s->slot[i].hash == hash && s->slot[i].p != &tombstone && eq(key, s->slot[i].p)) return s->slot[i].p;
  return NULL;
}
static void set_put(struct ir_set *s, uint64_t hash, void *p)
{
  uint32_t i = (uint32_t)hash & (s->cap - 1);
  while (s->slot[i].p) i = (i + 1) & (s->cap - 1);
  s->slot[i].hash = hash;
  s->slot[i].p = p;
  s->n++;
}
void ir_set_add(struct ir_arena *a, struct ir_set *s, uint64_t hash, void *p)
{
  if (2 * s->n >= s->cap) {
    struct ir_set old = *s;
    uint32_t live = 0;
    for (uint32_t i = 0; i < old.cap; i++) live += old.slot[i].p && old.slot[i].p != &tombstone;
    s->cap = old.cap && live * 4 < old.cap ? old.cap : old.cap ? old.cap * 2 : 64;      /* many tombstones: the same size, cleaned */
    s->n = 0;
    s->slot = ir_arena_alloc(a, s->cap * sizeof *s->slot);
    for (uint32_t i = 0; i < old.cap; i++)
      if (old.slot[i].p && old.slot[i].p != &tombstone) set_put(s, old.slot[i].hash, old.slot[i].p);
  }
  set_put(s, hash, p);
}
void ir_set_remove(struct ir_set *s, uint64_t hash, const void *p)
{
  if (!s->cap) return;
  for (uint32_t i = (uint32_t)hash & (s->cap - 1); s->slot[i].p; i = (i + 1) & (s->cap - 1))
    if (s->slot[i].p == p) { s->slot[i].p = &tombstone; return; }
}

/* ---- module ---- */
struct ir_module *ir_module_create(struct ir_arena *a, struct ir_diags *d)
{
  struct ir_module *m = IR_NEW(a, struct ir_module);
  m->arena = a;
  m->ixs = ir_ixs_create(a);
  m->strs = ir_strtab_create(a);
  m->diags = d;
  m->tables = IR_NEW(a, struct ir_tables);
  m->facts.arena = a;
  return m;
}

/* ---- types ---- */
static uint64_t type_hash(const struct ir_type *t) { return ir_hash(t->dim, t->rank * sizeof *t->dim, t->elem * 32u + t->rank); }
static bool type_eq(const void *key, const void *elem)
{
  const struct ir_type *a = key, *b = elem;
  return a->elem == b->elem && a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof *a->dim);
}
const struct ir_type *ir_type_get(struct ir_module *m, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim)
{
  IR_ASSERT(rank <= IR_MAX_RANK);
  struct ir_type t = { .elem = e, .rank = rank };
  for (unsigned i = 0; i < rank; i++) t.dim[i] = dim[i];
  uint64_t h = type_hash(&t);
  struct ir_type *found = ir_set_find(&m->tables->types, h, &t, type_eq);
  if (found) return found;
  found = ir_arena_copy(m->arena, &t, sizeof t);
  ir_set_add(m->arena, &m->tables->types, h, found);
  return found;
}
const struct ir_type *ir_type_ints(struct ir_module *m, enum ir_elem e, unsigned rank, const int64_t *dim)
{
  const struct ir_ix *d[IR_MAX_RANK];
  IR_ASSERT(rank <= IR_MAX_RANK);
  for (unsigned i = 0; i < rank; i++) d[i] = ir_ix_int(m->ixs, dim[i]);
  return ir_type_get(m, e, rank, d);
}
const struct ir_ix *ir_type_elems(struct ir_module *m, const struct ir_type *t)
{
  const struct ir_ix *p = ir_ix_int(m->ixs, 1);
  for (unsigned i = 0; i < t->rank; i++) p = ir_ix_mul(p, t->dim[i]);
  return p;
}
bool ir_type_static(const struct ir_type *t, int64_t *out_dims, int64_t *out_elems)
{
  int64_t p = 1, d[IR_MAX_RANK];
  bool zero = false, fits = true;
  for (unsigned i = 0; i < t->rank; i++) {
    if (!ir_ix_const(t->dim[i], &d[i])) return false;
    if (d[i] == 0) zero = true;
    else if (!ir_mul64(p, d[i], &p)) fits = false;
  }
  if (!fits && !zero) return false;
  for (unsigned i = 0; out_dims && i < t->rank; i++) out_dims[i] = d[i];
  if (out_elems) *out_elems = zero ? 0 : p;
  return true;
}
const char *ir_type_str(struct ir_arena *a, const struct ir_type *t)
{
  struct ir_buf b = { 0 };
  ir_buf_printf(&b, "%s[", ir_elem_name(t->elem));
  for (unsigned i = 0; i < t->rank; i++) {
    if (i) ir_buf_printf(&b, ",");
    ir_ix_print(&b, t->dim[i]);
  }
  ir_buf_printf(&b, "]");
  char *s = ir_arena_strndup(a, b.s, b.n);
  ir_buf_deinit(&b);
  return s;
}

/* ---- layouts ---- */
static bool layout_eq(const void *key, const void *elem)
{
  const struct ir_layout *a = key, *b = elem;
  return a->at == b->at && a->elems == b->elems && a->zero == b->zero && !memcmp(a->lo, b->lo, sizeof a->lo) && !memcmp(a->hi, b->hi, sizeof a->hi) &&
         !memcmp(a->halo, b->halo, sizeof a->halo);
}
const struct ir_layout *ir_layout_get(struct ir_module *m, const struct ir_layout *l)
{
  if (!l) return NULL;
  uint64_t h = ir_hash(&l->at, sizeof l->at, ir_hash(l->halo, sizeof l->halo, ir_hash(l->hi, sizeof l->hi, l->zero)));
  struct ir_layout *found = ir_set_find(&m->tables->layouts, h, l, layout_eq);
  if (found) return found;
  found = ir_arena_copy(m->arena, l, sizeof *l);
  ir_set_add(m->arena, &m->tables->layouts, h, found);
  return found;
}
/* For x [n,c,h,w], axis 1, block 16, halo 1 around h and w:
 *   at = ((c0*CB + c1/16)*plane + (c2+1)*(w+2) + c3+1)*16 + c1%16,  CB = ceil(c/16), plane = (h+2)*(w+2) + ceil(plane_pad/16) */
const struct ir_layout *ir_layout_blocked(struct ir_module *m, const struct ir_type *t, unsigned axis, unsigned block, const uint8_t halo[][2], unsigned plane_pad)
{
  struct ir_layout l = { 0 };
  IR_ASSERT(axis < t->rank && block >= 1);
  const struct ir_ix *place[IR_MAX_RANK], *ext[IR_MAX_RANK], *in_block = ir_ix_coord(m->ixs, axis);
  int64_t whole;
  bool one = ir_ix_const(t->dim[axis], &whole) && whole <= (int64_t)block;      /* coordinates have no bound that would say so */
  if (!one) in_block = ir_ix_modi(in_block, block);
  for (unsigned d = 0; d < t->rank; d++) {
    const struct ir_ix *c = ir_ix_coord(m->ixs, d);
    uint8_t lo = halo && (d != axis || block == 1) ? halo[d][0] : 0, hi = halo && (d != axis || block == 1) ? halo[d][1] : 0;
    l.halo[d][0] = lo;
    l.halo[d][1] = hi;
    l.lo[d] = ir_ix_int(m->ixs, -lo);
    place[d] = ir_ix_addi(c, lo);
    ext[d] = ir_ix_addi(t->dim[d], lo + hi);
    l.hi[d] = ir_ix_addi(t->dim[d], hi);
    if (d == axis && block > 1) {
      place[d] = one ? ir_ix_int(m->ixs, 0) : ir_ix_divi(c, block);
      ext[d] = ir_ix_cdivi(t->dim[d], block);
      l.hi[d] = ir_ix_muli(ext[d], block);
    }
  }
  const struct ir_ix *plane = ir_ix_int(m->ixs, 1);
  for (unsigned d = axis + 1; d < t->rank; d++) plane = ir_ix_mul(plane, ext[d]);
  plane = ir_ix_addi(plane, (plane_pad + block - 1) / block);
  const struct ir_ix *outer = ir_ix_int(m->ixs, 0), *inner = ir_ix_int(m->ixs, 0), *n = ir_ix_int(m->ixs, 1);
  for (unsigned d = 0; d <= axis; d++) {
    outer = ir_ix_add(ir_ix_mul(outer, ext[d]), place[d]);
    n = ir_ix_mul(n, ext[d]);
  }
  for (unsigned d = axis + 1; d < t->rank; d++) inner = ir_ix_add(ir_ix_mul(inner, ext[d]), place[d]);
  l.at = ir_ix_muli(ir_ix_add(ir_ix_mul(outer, plane), inner), block);
  if (block > 1) l.at = ir_ix_add(l.at, in_block);
  l.elems = ir_ix_muli(ir_ix_mul(n, plane), block);
  const struct ir_layout *r = ir_layout_get(m, &l);
  if (!ir_layout_blocking(m, r)) ir_push(m->arena, &m->tables->blocked, ((struct ir_blocking){ r, axis, block, plane_pad }));
  return r;
}
const struct ir_blocking *ir_layout_blocking(const struct ir_module *m, const struct ir_layout *l)
{
  for (uint32_t i = 0; i < m->tables->blocked.n; i++)      /* a few dozen at most: one per shape and halo */
    if (m->tables->blocked.v[i].layout == l) return &m->tables->blocked.v[i];
  return NULL;
}

/* ---- provenance ---- */
static bool prov_eq(const void *key, const void *elem)
{
  const struct ir_prov *a = key, *b = elem;
  return a->n == b->n && !memcmp(a->name, b->name, a->n * sizeof *a->name);
}
static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }
/* names: interned, sorted, without repetition */
static const struct ir_prov *prov_intern(struct ir_module *m, unsigned n, const char **names)
{
  struct ir_prov p = { .n = n, .name = names };
  for (unsigned i = 0; i < n; i++) p.hash = ir_hash(names[i], strlen(names[i]), p.hash + 1);
  struct ir_prov *found = ir_set_find(&m->tables->provs, p.hash, &p, prov_eq);
  if (found) return found;
  p.name = ir_arena_copy(m->arena, names, n * sizeof *names);
  found = ir_arena_copy(m->arena, &p, sizeof p);
  ir_set_add(m->arena, &m->tables->provs, p.hash, found);
  return found;
}
const struct ir_prov *ir_prov_get(struct ir_module *m, unsigned n, const char *const *names)
{
  if (!n) return NULL;
  const char **s = malloc(n * sizeof *s);
  if (!s) abort();
  for (unsigned i = 0; i < n; i++) s[i] = ir_intern(m->strs, names[i], strlen(names[i]));
  qsort(s, n, sizeof *s, by_text);
  unsigned k = 0;
  for (unsigned i = 0; i < n; i++)
    if (!k || s[k - 1] != s[i]) s[k++] = s[i];
  const struct ir_prov *p = prov_intern(m, k, s);
  free(s);
  return p;
}
const struct ir_prov *ir_prov_union(struct ir_module *m, const struct ir_prov *a, const struct ir_prov *b)
{
  if (!a || a == b) return b;
  if (!b) return a;
  const char **s = malloc((a->n + b->n) * sizeof *s);
  if (!s) abort();
  unsigned i = 0, j = 0, k = 0;
  while (i < a->n || j < b->n) {
    int c = i == a->n ? 1 : j == b->n ? -1 : a->name[i] == b->name[j] ? 0 : strcmp(a->name[i], b->name[j]);
    s[k++] = c <= 0 ? a->name[i] : b->name[j];
    i += c <= 0;
    j += c >= 0;
  }
  const struct ir_prov *p = k == a->n ? a : k == b->n ? b : prov_intern(m, k, s);
  free(s);
  return p;
}

/* ---- requirements ---- */
/* Symbol number i where it is a size of its own; NULL: an axis, or defined by others. */
static const struct ir_ix *free_size(struct ir_module *m, unsigned i)
{
  const struct ir_sym *s = ir_ixs_sym(m->ixs, i);
  return s->kind == IR_SYM_DIM && !s->def ? ir_ix_find(m->ixs, s->name) : NULL;
}
/* e = k*s + r >= 0 with numbers k, r bounds the symbol s. */
static void narrow_from(struct ir_module *m, const struct ir_ix *e)
{
  for (unsigned i = 0; i < ir_ixs_nsyms(m->ixs); i++) {
    const struct ir_ix *v = free_size(m, i), *k, *r;
    int64_t kn, rn;
    if (!v || !ir_ix_uses(e, v) || !ir_ix_linear(e, v, &k, &r) || !ir_ix_const(k, &kn) || !ir_ix_const(r, &rn)) continue;
    if (kn > 0) ir_ix_narrow(v, -ir_floordiv(rn, kn), IR_IX_INF);
    else if (kn < 0 && kn > INT64_MIN) ir_ix_narrow(v, -IR_IX_INF, ir_floordiv(rn, -kn));
  }
}
static bool push_require(struct ir_module *m, const struct ir_ix *e, bool eq, const char *why)
{
  for (uint32_t i = 0; i < m->requires.n; i++)
    if (m->requires.v[i].e == e && m->requires.v[i].eq == eq) return false;
  ir_push(m->arena, &m->requires, ((struct ir_require){ e, eq, why ? ir_intern(m->strs, why, strlen(why)) : NULL }));
  return true;
}
static void add_require(struct ir_module *m, const struct ir_ix *e, bool eq, const char *why)
{
  if (!push_require(m, e, eq, why)) return;
  ir_facts_push(&m->facts, e);
  narrow_from(m, e);
  if (!eq) return;
  ir_facts_push(&m->facts, ir_ix_neg(e));
  narrow_from(m, ir_ix_neg(e));
}
static bool cannot_hold(struct ir_module *m, const struct ir_ix *e, bool eq, const char *why)
{
  return ir_error(m->diags, IR_M0201, m->tables->onnx_node, m->tables->onnx_op, "%s: %s %s 0 cannot hold", why ? why : "sizes contradict each other", ir_ix_str(m->arena, e), eq ? "=" : ">=");
}
/* Sizes in e that are one number by now are put into the earlier requirements: the prover sees nothing in a product of sizes until then. */
static bool fits_earlier(struct ir_module *m, const struct ir_ix *e)
{
  int64_t lo, hi;
  for (unsigned i = 0; i < ir_ixs_nsyms(m->ixs); i++) {
    const struct ir_ix *v = free_size(m, i);
    if (!v || !ir_ix_uses(e, v)) continue;
    ir_ix_range(v, &lo, &hi);
    for (uint32_t k = 0; k < m->requires.n && lo == hi; k++) {
      const struct ir_require *r = &m->requires.v[k];
      if (r->eq && ir_ix_uses(r->e, v) && ir_prove_eq0(&m->facts, ir_ix_subst1(r->e, v, ir_ix_int(m->ixs, lo))) == IR_NO) return cannot_hold(m, r->e, true, r->why);
    }
  }
  return true;
}
static bool require(struct ir_module *m, const struct ir_ix *e, bool eq, const char *why)
{
  enum ir_proof p = eq ? ir_prove_eq0(&m->facts, e) : ir_prove_ge0(&m->facts, e);
  if (p == IR_NO) return cannot_hold(m, e, eq, why);
  if (p == IR_YES) return true;
  add_require(m, e, eq, why);
  return fits_earlier(m, e);
}
bool ir_require_ge0(struct ir_module *m, const struct ir_ix *e, const char *why) { return require(m, e, false, why); }

/* The operands of min or max when e is just that. */
static const struct ir_atom *as_min_max(const struct ir_ix *e)
{
  unsigned nf;
  const struct ir_atom *const *f;
  if (ir_ix_nterms(e) != 1 || ir_ix_term(e, 0, &nf, &f) != 1 || nf != 1) return NULL;
  return f[0]->kind == IR_ATOM_MIN || f[0]->kind == IR_ATOM_MAX ? f[0] : NULL;
}
/* min(p, q) == p says p <= q: a bound that the prover can use. */
static const struct ir_ix *min_is(const struct ir_ix *a, const struct ir_ix *b)
{
  const struct ir_atom *t = as_min_max(a);
  if (!t || (t->a != b && t->b != b)) return NULL;
  const struct ir_ix *other = t->a == b ? t->b : t->a;
  return t->kind == IR_ATOM_MIN ? ir_ix_sub(other, b) : ir_ix_sub(b, other);
}
bool ir_require_eq(struct ir_module *m, const struct ir_ix *a, const struct ir_ix *b, const char *why)
{
  const struct ir_ix *e = min_is(a, b);
  if (!e) e = min_is(b, a);
  return e ? require(m, e, false, why) : require(m, ir_ix_sub(a, b), true, why);
}

/* b = 1 gives a = 1, and b >= 2 gives a >= 2: so a is 1 just when b is, and broadcasting asks for a = b. */
static bool one_together(struct ir_module *m, const struct ir_ix *a, const struct ir_ix *b)
{
  if (!ir_ix_as_sym(b) || !ir_ix_is(ir_ix_subst1(a, b, ir_ix_int(m->ixs, 1)), 1)) return false;
  uint32_t mark = ir_facts_mark(&m->facts);
  ir_facts_push(&m->facts, ir_ix_addi(b, -2));
  bool two = ir_known_ge0(&m->facts, ir_ix_addi(a, -2));
  ir_facts_reset(&m->facts, mark);
  return two;
}
/* known to be different from 1 */
static bool not_one(struct ir_module *m, const struct ir_ix *a) { return ir_prove_eq0(&m->facts, ir_ix_addi(a, -1)) == IR_NO; }
/* bcast(a, b) checks at run time that its operands fit, but where r is known to be 2 or more it is r itself, and that x is 1 or r needs a requirement: (x - 1)*(x - r) = 0. */
static bool require_one_or(struct ir_module *m, const struct ir_ix *x, const struct ir_ix *r)
{
  const struct ir_ix *e = ir_ix_mul(ir_ix_addi(x, -1), ir_ix_sub(x, r));
  enum ir_proof p = ir_prove_eq0(&m->facts, e);
  if (p == IR_UNKNOWN && push_require(m, e, true, "broadcasting")) {        /* no size is narrowed by it, but a text that states it knows as much */
    ir_facts_push(&m->facts, e);
    ir_facts_push(&m->facts, ir_ix_neg(e));
  }
  return p != IR_NO;
}
const struct ir_ix *ir_dim_broadcast(struct ir_module *m, const struct ir_ix *a, const struct ir_ix *b)
{
  if (a == b || ir_ix_is(b, 1)) return a;
  if (ir_ix_is(a, 1)) return b;
  enum ir_proof equal = ir_prove_eq0(&m->facts, ir_ix_sub(a, b));
  int64_t n;
  const struct ir_ix *plain = ir_ix_const(b, &n) ? b : a;
  if (equal == IR_YES) return plain;
  bool a1 = not_one(m, a), b1 = not_one(m, b);
  if (equal == IR_NO && a1 && b1) return NULL;
  if ((a1 && b1) || one_together(m, a, b) || one_together(m, b, a)) return ir_require_eq(m, a, b, "broadcasting") ? plain : NULL;
  const struct ir_ix *r = ir_ix_bcast(a, b);
  return (r != a || require_one_or(m, b, r)) && (r != b || require_one_or(m, a, r)) ? r : NULL;
}

/* ---- symbols that are elements of inputs ---- */
const struct ir_ix *ir_value_symbol(struct ir_module *m, unsigned param, unsigned elem)
{
  char name[64] = "in";
  for (uint32_t i = 0; i < m->value_syms.n; i++)
    if (m->value_syms.v[i].param == param && m->value_syms.v[i].elem == elem) return m->value_syms.v[i].sym;
  const char *given = m->main->params.v[param]->name;
  unsigned n = 0;
  for (; given && given[n] && n < 40; n++) name[n] = ((given[n] | 32) >= 'a' && (given[n] | 32) <= 'z') || (n && given[n] >= '0' && given[n] <= '9') ? given[n] : '_';
  if (n) name[n] = 0;
  const struct ir_ix *s = ir_ix_fresh(m->ixs, ir_arena_printf(m->arena, "%s.at%u", name, elem), IR_SYM_DIM, -INT32_MAX, INT32_MAX, 1);
  ir_push(m->arena, &m->value_syms, ((struct ir_value_sym){ s, param, elem }));
  return s;
}

/* ---- symbols that are bound while the model runs ---- */
const struct ir_ix *ir_late_symbol(struct ir_module *m, const char *prefix, int64_t lo, int64_t hi, const struct ir_ix *most)
{
  const struct ir_ix *s = ir_ix_fresh(m->ixs, prefix, IR_SYM_DIM, lo, hi, 1);
  ir_push(m->arena, &m->late, ((struct ir_late){ s, most }));
  if (most) ir_facts_push(&m->facts, ir_ix_sub(most, s));
  return s;
}
bool ir_is_late(const struct ir_module *m, const struct ir_ix *e)
{
  bool late = false;
  for (uint32_t i = 0; i < m->late.n && !late; i++) late = ir_ix_uses(e, m->late.v[i].sym);
  return late;
}
bool ir_type_late(const struct ir_module *m, const struct ir_type *t)
{
  bool late = false;
  for (unsigned d = 0; d < t->rank && !late; d++) late = ir_is_late(m, t->dim[d]);
  return late;
}
bool ir_node_uses(const struct ir_node *n, const struct ir_ix *sym)
{
  for (unsigned i = 0; i < n->n_out; i++)
    for (unsigned d = 0; d < n->out[i]->type->rank; d++)
      if (ir_ix_uses(n->out[i]->type->dim[d], sym)) return true;
  for (unsigned i = 0; i < n->n_attr; i++)
    for (unsigned k = 0; n->attr[i].kind == IR_A_IXS && k < n->attr[i].n; k++)
      if (ir_ix_uses(n->attr[i].ix[k], sym)) return true;
  return false;
}
bool ir_node_late(const struct ir_node *n)
{
  const struct ir_module *m = n->graph->module;
  bool late = false;
  for (unsigned i = 0; i < n->n_in && !late; i++) late = ir_type_late(m, n->in[i]->type);
  for (uint32_t i = 0; i < m->late.n && !late; i++) late = ir_node_uses(n, m->late.v[i].sym);
  return late;
}
