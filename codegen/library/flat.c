#include "codegen/library/flat.h"
#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 512 }; /* of expressions: expansion recurses */

/* ---- looking at nests ---- */
static unsigned depth_of(const struct kir_expr *e, unsigned limit)
{
  if (!e || !limit) return 0;
  unsigned m = 0;
  for (unsigned i = 0; i < 3; i++) {
    unsigned d = depth_of(e->a[i], limit - 1);
    if (d > m) m = d;
  }
  return m + 1;
}
void cg_reads(const struct kir_expr *e, void (*fn)(void *, const struct kir_expr *), void *arg)
{
  if (!e) return;
  if (e->kind == KIR_E_READ) fn(arg, e);
  for (unsigned i = 0; i < 3; i++) cg_reads(e->a[i], fn, arg);
}
bool cg_has_red(const struct kir_expr *e) { return e && (e->kind == KIR_E_RED || cg_has_red(e->a[0]) || cg_has_red(e->a[1]) || cg_has_red(e->a[2])); }
const struct ir_ix *cg_extent(const struct kir_arr *a, unsigned d) { return a->shape[d] ? a->shape[d] : a->hi[d]; }
bool cg_halo_dim(const struct kir_arr *arr, unsigned d)
{
  return arr->zero_pad && !(arr->slack >> d & 1) && arr->shape[d] && (!ir_ix_is(arr->lo[d], 0) || arr->hi[d] != arr->shape[d]);
}

int cg_dim_of(const struct kir_stmt *s, unsigned axis)
{
  if (!s->at) return (int)axis;
  for (unsigned d = 0; d < s->dst->rank; d++)
    if (s->at[d] == s->axes[axis].var) return (int)d;
  return -1;
}
bool cg_plain(const struct kir_stmt *s)
{
  unsigned n = 0;
  int64_t k;
  for (unsigned d = 0; d < s->dst->rank; d++) n += !s->at || !ir_ix_const(s->at[d], &k);
  for (unsigned i = 0; i < s->n_axes; i++)
    if (cg_dim_of(s, i) < 0) return false;
  return n == s->n_axes;
}

/* ---- begin and end ---- */
struct cg_flat *cg_flat_begin(struct ir_arena *a, struct kir_nest *n, const char **why)
{
  unsigned depth = 0;
  for (unsigned i = 0; i < n->stmts.n; i++) depth += depth_of(n->stmts.v[i]->e, MAX_DEPTH + 1); /* an expansion is at most as deep as all together */
  if (depth > MAX_DEPTH) {
    *why = "expressions are too deep";
    return NULL;
  }
  struct cg_flat *f = IR_NEW(a, struct cg_flat);
  f->n = n;
  f->k = kir_kern_create(n, n->name);
  f->lanes = 1;
  f->em.k = f->k;
  f->em.at = &f->k->body;
  f->slot = IR_NEWN(a, struct cg_slot, n->temps.n + 1);
  for (unsigned i = 0; i < n->stmts.n; i++)
    if (!n->stmts.v[i]->dst->arg) f->slot[n->stmts.v[i]->dst->index].stmt = n->stmts.v[i];
  f->k->warps = f->k->lanes = 1;
  return f;
}

static void take_syms(struct kir_kern *k, const struct ir_ix *e, unsigned depth)
{
  if (!e || depth > 64) return;
  for (unsigned i = 0, n = ir_ix_nterms(e); i < n; i++) {
    unsigned nf;
    const struct ir_atom *const *fa;
    ir_ix_term(e, i, &nf, &fa);
    for (unsigned j = 0; j < nf; j++) {
      const struct ir_atom *x = fa[j];
      if (x->kind == IR_ATOM_SYM && x->sym->def) take_syms(k, x->sym->def, depth + 1);
      else if (x->kind == IR_ATOM_SYM && x->sym->kind == IR_SYM_DIM) {
        const struct ir_ix *s = ir_ix_find(k->ixs, x->sym->whole ? x->sym->whole->name : x->sym->name);
        bool have = false;
        for (unsigned m = 0; m < k->syms.n; m++) have |= k->syms.v[m] == s;
        if (!have && s) ir_push(k->arena, &k->syms, s);
      }
      if (x->kind != IR_ATOM_SYM && x->kind != IR_ATOM_LOAD) {
        take_syms(k, x->a, depth + 1);
        take_syms(k, x->b, depth + 1);
      }
      for (unsigned m = 0; x->kind == IR_ATOM_LOAD && m < x->n; m++) take_syms(k, x->at[m], depth + 1);
    }
  }
}
static void take_block(struct kir_kern *k, const struct kir_block *b)
{
  for (const struct kir_op *o = b->first; o; o = o->next) {
    for (unsigned i = 0; i < o->n_ix; i++) take_syms(k, o->ix[i], 0);
    take_syms(k, o->upto, 0);
    take_block(k, &o->body[0]);
    take_block(k, &o->body[1]);
  }
}
void cg_take_syms(struct kir_kern *k)
{
  for (unsigned i = 0; i < k->grid.n; i++) take_syms(k, k->grid.v[i].trips, 0);
  take_block(k, &k->body);
}
struct kir_kern *cg_flat_end(struct cg_flat *f)
{
  cg_take_syms(f->k);
  ir_facts_reset(&f->k->facts, f->n->facts.ge0.n);
  f->k->flat = true;
  return f->k;
}

/* ---- bindings ---- */
void cg_flat_lanes(struct cg_flat *f, unsigned lanes)
{
  f->lanes = lanes;
  f->memo.n = 0;
  f->v = lanes > 1 ? ir_ix_fresh(f->k->ixs, "vec", IR_SYM_ID, 0, lanes - 1, 1) : NULL;
}
void cg_flat_bind(struct cg_flat *f, const struct ir_ix *axis, const struct ir_ix *coord)
{
  ir_push(f->k->arena, &f->from, axis);
  ir_push(f->k->arena, &f->to, coord);
}
const struct ir_ix *cg_flat_at(const struct cg_flat *f, const struct ir_ix *e)
{
  uint32_t n = f->from.n - f->scope;
  return n ? ir_ix_subst(e, f->from.v + f->scope, f->to.v + f->scope, n) : e;
}
static const struct ir_ix *no_v(const struct cg_flat *f, const struct ir_ix *e, int64_t at)
{
  return f->v ? ir_ix_subst1(e, f->v, ir_ix_int(f->k->ixs, at)) : e;
}
static bool has_v(const struct cg_flat *f, const struct ir_ix *e) { return f->v && ir_ix_uses(e, f->v); }

/* ---- control ---- */
static struct kir_op *op(struct cg_flat *f, enum kir_opcode o, enum ir_elem e, unsigned lanes, struct kir_op *const *src, unsigned n,
                         const struct ir_ix *const *ix, unsigned n_ix)
{
  return kir_emit(&f->em, o, e, lanes, src, n, ix, n_ix);
}
static void open(struct cg_flat *f, struct kir_op *o, struct cg_open *out)
{
  *out = (struct cg_open){ f->em.at, ir_facts_mark(&f->k->facts), f->memo.n, o };
  f->em.at = &o->body[0];
}
void cg_flat_assume(struct cg_flat *f, const struct ir_ix *e) { ir_facts_push(&f->k->facts, e); }
const struct ir_ix *cg_flat_for(struct cg_flat *f, const char *name, const struct ir_ix *lo, const struct ir_ix *hi, unsigned unroll, struct cg_open *out)
{
  int64_t a, b, c, d;
  ir_ix_range(lo, &a, &b);
  ir_ix_range(hi, &c, &d);
  const struct ir_ix *var = ir_ix_fresh(f->k->ixs, name, IR_SYM_LOOP, a, d == IR_IX_INF ? d : d - 1 < a ? a : d - 1, 1);
  struct kir_op *o = op(f, KIR_for, IR_i64, 1, NULL, 0, (const struct ir_ix *[]){ lo, hi }, 2);
  o->var = var;
  o->sub = unroll;
  open(f, o, out);
  cg_flat_assume(f, ir_ix_sub(var, lo));
  cg_flat_assume(f, ir_ix_sub(ir_ix_addi(hi, -1), var));
  return var;
}
void cg_flat_if(struct cg_flat *f, const struct ir_ix *const *ge0, unsigned n, struct cg_open *out)
{
  open(f, op(f, KIR_if, IR_i64, 1, NULL, 0, ge0, n), out);
  for (unsigned i = 0; i < n; i++) cg_flat_assume(f, ge0[i]);
}
void cg_flat_else(struct cg_flat *f, struct cg_open *o)
{
  ir_facts_reset(&f->k->facts, o->facts);
  f->memo.n = o->memo;
  f->em.at = &o->op->body[1];
}
void cg_flat_close(struct cg_flat *f, struct cg_open *o)
{
  ir_facts_reset(&f->k->facts, o->facts);
  f->memo.n = o->memo;
  f->em.at = o->at;
}
const struct ir_ix *cg_flat_grid(struct cg_flat *f, const char *name, const struct ir_ix *trips)
{
  int64_t lo, hi;
  ir_ix_range(trips, &lo, &hi);
  struct kir_digit d = { ir_ix_fresh(f->k->ixs, name, IR_SYM_ID, 0, hi == IR_IX_INF ? hi : hi < 1 ? 0 : hi - 1, 1), trips };
  ir_push(f->k->arena, &f->k->grid, d);
  cg_flat_assume(f, ir_ix_sub(ir_ix_addi(trips, -1), d.var));
  return d.var;
}

/* ---- simple values ---- */
struct kir_op *cg_flat_const(struct cg_flat *f, enum ir_elem e, double v, int64_t i)
{
  struct kir_op *o = op(f, KIR_const, e, 1, NULL, 0, NULL, 0);
  o->f = v;
  o->i = i;
  return o;
}
struct kir_op *cg_flat_wide(struct cg_flat *f, struct kir_op *o, unsigned lanes)
{
  return o->lanes == lanes ? o : op(f, KIR_splat, o->elem, lanes, &o, 1, NULL, 0);
}
static struct kir_op *ew(struct cg_flat *f, unsigned m, enum ir_elem e, struct kir_op *const *a, unsigned n)
{
  struct kir_op *s[3];
  unsigned lanes = 1;
  for (unsigned i = 0; i < n; i++)
    if (a[i]->lanes > lanes) lanes = a[i]->lanes;
  for (unsigned i = 0; i < n; i++) s[i] = cg_flat_wide(f, a[i], lanes);
  struct kir_op *o = op(f, KIR_ew, e, lanes, s, n, NULL, 0);
  o->sub = m;
  return o;
}
struct kir_op *cg_flat_ew(struct cg_flat *f, enum ir_map m, enum ir_elem e, struct kir_op *a, struct kir_op *b)
{
  return ew(f, m, e, (struct kir_op *[]){ a, b }, b ? 2 : 1);
}
struct kir_op *cg_flat_cast(struct cg_flat *f, enum ir_elem e, struct kir_op *a) { return a->elem == e ? a : op(f, KIR_cast, e, a->lanes, &a, 1, NULL, 0); }
struct kir_op *cg_flat_get(struct cg_flat *f, struct kir_reg *r, const struct ir_ix *i)
{
  struct kir_op *o = op(f, KIR_get, r->elem, r->lanes, NULL, 0, &i, 1);
  o->reg = r;
  return o;
}
void cg_flat_set(struct cg_flat *f, struct kir_reg *r, const struct ir_ix *i, struct kir_op *v)
{
  struct kir_op *w = cg_flat_wide(f, v, r->lanes);
  op(f, KIR_set, r->elem, r->lanes, &w, 1, &i, 1)->reg = r;
}
static struct kir_op *index_value(struct cg_flat *f, enum kir_opcode o, const struct ir_ix *e)
{ /* idx or test */
  bool vec = has_v(f, e);
  if (vec) e = ir_ix_subst1(e, f->v, f->k->vsym);
  return op(f, o, o == KIR_test ? IR_bool : IR_i64, vec ? f->lanes : 1, NULL, 0, &e, 1);
}

/* ---- reductions ---- */
enum ir_elem cg_red_elem(enum ir_elem e) { return ir_elem_narrower(e, IR_f32) ? IR_f32 : e; }
enum ir_map cg_red_map(enum kir_red r)
{
  static const enum ir_map m[] = {
    [KIR_SUM] = IR_MAP_add, [KIR_PROD] = IR_MAP_mul, [KIR_MAX] = IR_MAP_max, [KIR_MIN] = IR_MAP_min, [KIR_AND] = IR_MAP_and, [KIR_OR] = IR_MAP_or
  };
  return m[r];
}
static int64_t int_limit(enum ir_elem e, bool top)
{
  unsigned bits = ir_elem_bits(e);
  if (e == IR_bool) return top;
  if (ir_elem_class(e) == 'U') return top ? (bits == 64 ? -1 : (int64_t)((1ull << bits) - 1)) : 0;
  int64_t max = (int64_t)((1ull << (bits - 1)) - 1);
  return top ? max : -max - 1;
}
struct kir_op *cg_flat_neutral(struct cg_flat *f, enum kir_red r, enum ir_elem e)
{
  switch (r) {
  case KIR_PROD: return cg_flat_const(f, e, 1, 1);
  case KIR_MAX: return cg_flat_const(f, e, -INFINITY, int_limit(e, false));
  case KIR_MIN: return cg_flat_const(f, e, INFINITY, int_limit(e, true));
  case KIR_AND: return cg_flat_const(f, e, 1, e == IR_bool ? 1 : ir_wrap_to(e, -1));
  case KIR_SUM:
  case KIR_OR: break;
  }
  return cg_flat_const(f, e, 0, 0);
}

/* ---- memory ---- */
const struct ir_ix *cg_flat_offset(struct cg_flat *f, const struct kir_arr *a, const struct ir_ix *const *c)
{
  const struct ir_ix *from[IR_MAX_RANK], *r = ir_ix_int(f->k->ixs, 0);
  if (a->at) {
    for (unsigned d = 0; d < a->rank; d++) from[d] = ir_ix_coord(f->k->ixs, d);
    return a->rank ? ir_ix_subst(a->at, from, c, a->rank) : a->at;
  }
  for (unsigned d = 0; d < a->rank; d++) r = ir_ix_add(ir_ix_mul(r, ir_ix_sub(a->hi[d], a->lo[d])), ir_ix_sub(c[d], a->lo[d]));
  return r;
}

/* What an access asks for: guards that are the same for all lanes, and how many lanes take part. */
struct access {
  const struct ir_ix *ix[2 * IR_MAX_RANK + 65];
  unsigned n;
  const struct ir_ix *upto;
  bool never, lanewise;
};
static void guard(struct cg_flat *f, struct access *x, const struct ir_ix *g)
{
  g = ir_ix_simplify(&f->k->facts, g);
  enum ir_proof p = ir_prove_ge0(&f->k->facts, g);
  if (p == IR_YES) return;
  if (p == IR_NO) {
    x->never = true;
    return;
  }
  if (!has_v(f, g)) {
    for (unsigned i = 1; i < x->n; i++)
      if (x->ix[i] == g) return;
    if (x->n < sizeof x->ix / sizeof *x->ix) x->ix[x->n++] = g;
    else x->lanewise = true;
    return;
  }
  const struct ir_ix *co, *rest;
  int64_t k;
  if (!ir_ix_linear(g, f->v, &co, &rest) || !ir_ix_const(co, &k)) {
    x->lanewise = true;
    return;
  }
  if (k > 0) { /* holds for all lanes if it holds for the first, and a first lane that fails is not a tail */
    if (ir_prove_ge0(&f->k->facts, rest) != IR_YES) x->lanewise = true;
    return;
  }
  const struct ir_ix *up = ir_ix_addi(ir_ix_divi(rest, -k), 1); /* rest + k*j >= 0 for j <= rest / -k */
  x->upto = x->upto ? ir_ix_min(x->upto, up) : up;
}
static void limit(struct cg_flat *f, struct access *x)
{
  if (f->upto) x->upto = x->upto ? ir_ix_min(x->upto, f->upto) : f->upto;
}
/* Guards that keep c inside: of the shape, unless what lies around it is known to read as `els`. */
static void guards(struct cg_flat *f, struct access *x, const struct kir_arr *a, const struct ir_ix *const *c, const struct kir_expr *els)
{
  bool zero = els && a->zero_pad && (ir_elem_class(els->elem) == 'F' ? els->f == 0 && !signbit(els->f) : els->i == 0);
  for (unsigned d = 0; d < a->rank; d++) {
    bool domain = !els || (zero && !(a->slack >> d & 1));
    const struct ir_ix *lo = domain || !a->shape[d] ? a->lo[d] : ir_ix_int(f->k->ixs, 0), *hi = domain ? a->hi[d] : cg_extent(a, d);
    guard(f, x, ir_ix_sub(c[d], lo));
    guard(f, x, ir_ix_addi(ir_ix_sub(hi, c[d]), -1));
  }
}
static struct kir_op *memo_find(struct cg_flat *f, const void *what, const struct ir_ix *const *ix, unsigned n)
{
  for (uint32_t i = f->memo.n; i-- > 0;) {
    struct cg_memo *m = &f->memo.v[i];
    if (m->what == what && m->n == n && !memcmp(m->ix, ix, n * sizeof *ix)) return m->op;
  }
  return NULL;
}
static struct kir_op *memo_add(struct cg_flat *f, const void *what, const struct ir_ix *const *ix, unsigned n, struct kir_op *o)
{
  struct cg_memo m = { o, what, n, ir_arena_copy(f->k->arena, ix, n * sizeof *ix) };
  ir_push(f->k->arena, &f->memo, m);
  return o;
}

/* Does e read an array? Then its value exists only where the element that it belongs to does. */
static bool loads(const struct ir_ix *e, unsigned depth)
{
  for (unsigned i = 0, n = e && depth < 64 ? ir_ix_nterms(e) : 0; i < n; i++) {
    unsigned nf;
    const struct ir_atom *const *fa;
    ir_ix_term(e, i, &nf, &fa);
    for (unsigned j = 0; j < nf; j++)
      if (fa[j]->kind == IR_ATOM_LOAD || (fa[j]->kind != IR_ATOM_SYM && (loads(fa[j]->a, depth + 1) || loads(fa[j]->b, depth + 1)))) return true;
  }
  return false;
}
/* Lane j of e. Behind the tail an address that reads an index is that of the last lane that takes part: indices are read whether a guard holds or not. */
static const struct ir_ix *lane_of(struct cg_flat *f, const struct ir_ix *e, unsigned j)
{
  struct ir_ixs *t = f->k->ixs;
  if (!f->upto || !j || !loads(e, 0)) return no_v(f, e, j);
  const struct ir_ix *lane = ir_ix_max(ir_ix_min(ir_ix_int(t, j), ir_ix_addi(f->upto, -1)), ir_ix_int(t, 0));
  return ir_ix_subst1(e, f->v, ir_ix_simplify(&f->k->facts, lane));
}
static struct kir_op *read_lanes(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, const struct kir_expr *els)
{
  const struct ir_ix *v = f->v, *at[IR_MAX_RANK], *conds[64];
  unsigned lanes = f->lanes, nc = f->conds.n < 64 ? f->conds.n : 64;
  struct kir_op *r = NULL;
  if (nc) memcpy(conds, f->conds.v, nc * sizeof *conds);
  for (unsigned j = 0; j < lanes; j++) {
    for (unsigned d = 0; d < arr->rank; d++) at[d] = lane_of(f, c[d], j);
    for (unsigned i = 0; i < nc; i++) f->conds.v[i] = no_v(f, conds[i], j);
    f->v = NULL;
    f->lanes = 1;
    if (f->upto) ir_push(f->k->arena, &f->conds, ir_ix_addi(f->upto, -1 - (int64_t)j));
    struct kir_op *s = cg_flat_read(f, arr, at, els);
    if (f->upto) f->conds.n--;
    f->v = v;
    f->lanes = lanes;
    s = cg_flat_wide(f, s, lanes);
    r = r ? ew(f, IR_MAP_select, s->elem, (struct kir_op *[]){ index_value(f, KIR_test, ir_ix_eq0(ir_ix_addi(v, -(int64_t)j))), s, r }, 3) : s;
  }
  if (nc) memcpy(f->conds.v, conds, nc * sizeof *conds);
  return r;
}
struct kir_op *cg_flat_read(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, const struct kir_expr *els)
{
  struct access x = { .n = 1 };
  guards(f, &x, arr, c, els);
  if (x.never && els) return cg_flat_const(f, arr->elem, els->f, els->i);
  if (x.n > 1 || x.upto || x.lanewise || x.never)
    for (uint32_t i = 0; i < f->conds.n; i++) guard(f, &x, f->conds.v[i]);
  if (x.never) return cg_flat_const(f, arr->elem, 0, 0); /* on a side that is not taken */
  const struct ir_ix *off = cg_flat_offset(f, arr, c), *co = NULL, *rest = off;
  int64_t stride = 1;
  bool vec = has_v(f, off) || x.upto;
  if (vec && !x.lanewise && (!ir_ix_linear(off, f->v, &co, &rest) || !ir_ix_const(co, &stride) || stride < 0)) x.lanewise = true;
  if (x.lanewise) return read_lanes(f, arr, c, els);
  if (vec) limit(f, &x);
  x.ix[0] = rest;
  const struct ir_ix *key[sizeof x.ix / sizeof *x.ix + 3];
  memcpy(key, x.ix, x.n * sizeof *key);
  key[x.n] = x.upto;
  key[x.n + 1] = co;
  key[x.n + 2] = vec ? f->v : NULL;
  struct kir_op *o = memo_find(f, arr, key, x.n + 3);
  if (o && (!els || (o->f == els->f && o->i == els->i))) return o;
  o = op(f, KIR_load, arr->elem, vec ? f->lanes : 1, NULL, 0, x.ix, x.n);
  o->arr = arr;
  o->upto = x.upto;
  o->stride = stride;
  if (els) {
    o->f = els->f;
    o->i = els->i;
  }
  return memo_add(f, arr, key, x.n + 3, o);
}
static void store(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, struct kir_op *v, const struct ir_ix *cond);
static void store_lanes(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, struct kir_op *v)
{
  const struct ir_ix *sv = f->v, *at[IR_MAX_RANK];
  unsigned lanes = f->lanes;
  v = cg_flat_wide(f, v, lanes);
  for (unsigned j = 0; j < lanes; j++) {
    struct kir_op *s = op(f, KIR_extract, v->elem, 1, &v, 1, NULL, 0);
    s->i = j;
    for (unsigned d = 0; d < arr->rank; d++) at[d] = no_v(f, c[d], j);
    f->v = NULL;
    f->lanes = 1;
    store(f, arr, at, s, f->upto ? ir_ix_addi(f->upto, -1 - (int64_t)j) : NULL);
    f->v = sv;
    f->lanes = lanes;
  }
}
static void store(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, struct kir_op *v, const struct ir_ix *cond)
{
  struct access x = { .n = 1 };
  guards(f, &x, arr, c, NULL);
  if (cond) guard(f, &x, cond);
  if (x.never) return;
  const struct ir_ix *off = cg_flat_offset(f, arr, c), *co, *rest = off;
  int64_t stride = 1;
  bool vec = has_v(f, off) || v->lanes > 1;
  if (vec && (x.lanewise || !ir_ix_linear(off, f->v, &co, &rest) || !ir_ix_const(co, &stride) || stride < 1)) {
    store_lanes(f, arr, c, v);
    return;
  }
  if (vec) limit(f, &x);
  x.ix[0] = rest;
  if (vec) v = cg_flat_wide(f, v, f->lanes);
  struct kir_op *o = op(f, KIR_store, arr->elem, vec ? f->lanes : 1, &v, 1, x.ix, x.n);
  o->arr = arr;
  o->upto = x.upto;
  o->stride = stride;
}
void cg_flat_store(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, struct kir_op *v) { store(f, arr, c, v, NULL); }

/* ---- expressions ---- */
/* Conditions (>= 0) that hold where p, a 0/1-valued expression, is 1 (taken) or 0. Returns their number. */
enum { MAX_CONDS = 32 };
static unsigned conds_of(const struct ir_ix *p, bool taken, const struct ir_ix **out)
{
  unsigned nf, n = 0;
  const struct ir_atom *const *fa;
  bool tests = ir_ix_nterms(p) == 1 && ir_ix_term(p, 0, &nf, &fa) == 1 && nf > 0 && nf <= MAX_CONDS / 2 && (taken || nf == 1); /* a product of tests */
  for (unsigned i = 0; tests && i < nf; i++) tests = fa[i]->kind == IR_ATOM_GE0 || (taken && fa[i]->kind == IR_ATOM_EQ0);
  if (!tests) {
    out[0] = taken ? ir_ix_addi(p, -1) : ir_ix_neg(p);
    return 1;
  }
  for (unsigned i = 0; i < nf; i++) {
    out[n++] = taken ? fa[i]->a : ir_ix_addi(ir_ix_neg(fa[i]->a), -1);
    if (fa[i]->kind == IR_ATOM_EQ0) out[n++] = ir_ix_neg(fa[i]->a);
  }
  return n;
}
static void push_conds(struct cg_flat *f, const struct ir_ix *p, bool taken)
{
  const struct ir_ix *c[MAX_CONDS];
  unsigned n = conds_of(p, taken, c);
  for (unsigned i = 0; i < n; i++) ir_push(f->k->arena, &f->conds, c[i]);
}
void cg_flat_mask(struct cg_flat *f, const struct ir_ix *cond) { ir_push(f->k->arena, &f->conds, cond); }
struct kir_op *cg_flat_masked(struct cg_flat *f, const struct ir_ix *cond, struct kir_op *a)
{
  f->conds.n--;
  return ew(f, IR_MAP_select, a->elem, (struct kir_op *[]){ index_value(f, KIR_test, ir_ix_ge0(cond)), a, cg_flat_const(f, a->elem, 0, 0) }, 3);
}
static struct kir_op *select_value(struct cg_flat *f, const struct kir_expr *e)
{
  const struct ir_ix *p = ir_ix_simplify(&f->k->facts, cg_flat_at(f, e->ix));
  int64_t k;
  uint32_t mark = f->conds.n;
  if (ir_ix_const(p, &k)) return cg_flat_expr(f, e->a[k ? 0 : 1]);
  struct kir_op *side[2];
  for (unsigned i = 0; i < 2; i++) {
    uint32_t memo = f->memo.n;
    push_conds(f, p, i == 0);
    side[i] = cg_flat_expr(f, e->a[i]);
    f->conds.n = mark;
    if (e->a[i]->kind != KIR_E_CONST) f->memo.n = memo; /* its loads are guarded by the condition: not values for others */
  }
  return ew(f, IR_MAP_select, e->elem, (struct kir_op *[]){ index_value(f, KIR_test, p), side[0], side[1] }, 3);
}
/* acc = acc op e's operand at hand; on lanes a sum of products is fused. */
void cg_flat_fold(struct cg_flat *f, struct kir_reg *acc, const struct kir_expr *e)
{
  enum ir_elem t = cg_red_elem(e->elem);
  const struct ir_ix *zero = ir_ix_int(f->k->ixs, 0);
  const struct kir_expr *p = e->a[0];
  if (f->k->lanes > 1 && e->sub == KIR_SUM && p->kind == KIR_E_FN && p->sub == IR_MAP_mul && p->elem == t && ir_elem_class(t) == 'F') {
    struct kir_op *src[3] = { cg_flat_expr(f, p->a[0]), cg_flat_expr(f, p->a[1]), NULL };
    src[2] = cg_flat_get(f, acc, zero);
    for (unsigned i = 0; i < 3; i++) src[i] = cg_flat_wide(f, src[i], acc->lanes);
    cg_flat_set(f, acc, zero, op(f, KIR_fma, t, acc->lanes, src, 3, NULL, 0));
    return;
  }
  struct kir_op *x = cg_flat_cast(f, t, cg_flat_expr(f, p));
  cg_flat_set(f, acc, zero, cg_flat_ew(f, cg_red_map(e->sub), t, cg_flat_get(f, acc, zero), x));
}
static struct kir_op *red_value(struct cg_flat *f, const struct kir_expr *e)
{
  for (uint32_t i = f->done.n; i-- > 0;)
    if (f->done.v[i].e == e) return f->done.v[i].v;
  enum ir_elem t = cg_red_elem(e->elem);
  const struct ir_ix *zero = ir_ix_int(f->k->ixs, 0);
  struct kir_reg *acc = kir_reg_var(f->k, "acc", t, 1, f->v ? f->lanes : 1);
  struct cg_open o[IR_MAX_RANK];
  uint32_t mark = cg_flat_mark(f);
  cg_flat_set(f, acc, zero, cg_flat_neutral(f, e->sub, t));
  for (unsigned i = 0; i < e->n_axes; i++)
    cg_flat_bind(f, e->axes[i].var, cg_flat_for(f, ir_ix_as_sym(e->axes[i].var)->name, zero, cg_flat_at(f, e->axes[i].ext), 0, &o[i]));
  cg_flat_fold(f, acc, e);
  for (unsigned i = e->n_axes; i-- > 0;) cg_flat_close(f, &o[i]);
  cg_flat_unbind(f, mark);
  return cg_flat_cast(f, e->elem, cg_flat_get(f, acc, zero));
}
static struct kir_op *inline_value(struct cg_flat *f, const struct kir_stmt *s, const struct ir_ix *const *c)
{
  struct kir_op *o = memo_find(f, s, c, s->dst->rank);
  if (o) return o;
  uint32_t scope = f->scope, mark = cg_flat_mark(f);
  f->scope = mark;
  for (unsigned i = 0; i < s->n_axes; i++) cg_flat_bind(f, s->axes[i].var, c[cg_dim_of(s, i)]);
  o = cg_flat_expr(f, s->e);
  cg_flat_unbind(f, mark);
  f->scope = scope;
  return f->conds.n ? o : memo_add(f, s, c, s->dst->rank, o);
}
/* [c lies in arr's shape], as far as it is not known */
static const struct ir_ix *inside(struct cg_flat *f, const struct kir_arr *arr, const struct ir_ix *const *c)
{
  const struct ir_ix *p = ir_ix_int(f->k->ixs, 1);
  for (unsigned d = 0; d < arr->rank; d++) {
    const struct ir_ix *up = ir_ix_sub(ir_ix_addi(cg_extent(arr, d), -1), c[d]);
    if (!ir_known_ge0(&f->k->facts, c[d])) p = ir_ix_mul(p, ir_ix_ge0(c[d]));
    if (!ir_known_ge0(&f->k->facts, up)) p = ir_ix_mul(p, ir_ix_ge0(up));
  }
  return p;
}
static struct kir_op *read_value(struct cg_flat *f, const struct kir_expr *e)
{
  const struct ir_ix *c[IR_MAX_RANK], *in[IR_MAX_RANK];
  for (unsigned d = 0; d < e->n_at; d++) c[d] = cg_flat_at(f, e->at[d]);
  if (e->arr->arg) return cg_flat_read(f, f->k->args.v[e->arr->index], c, e->els);
  const struct cg_slot *s = &f->slot[e->arr->index];
  switch (s->where) {
  case CG_INLINE: {
    const struct ir_ix *p = e->els ? inside(f, e->arr, c) : NULL;
    int64_t k;
    if (!p || (ir_ix_const(p, &k) && k)) return inline_value(f, s->stmt, c);
    uint32_t mark = f->conds.n, memo = f->memo.n;
    push_conds(f, p, true);
    struct kir_op *v = inline_value(f, s->stmt, c);
    f->conds.n = mark;
    f->memo.n = memo;
    return ew(f, IR_MAP_select, e->elem, (struct kir_op *[]){ index_value(f, KIR_test, p), v, cg_flat_const(f, e->elem, e->els->f, e->els->i) }, 3);
  }
  case CG_REG: return cg_flat_get(f, s->reg, ir_ix_int(f->k->ixs, 0));
  case CG_BUF: break;
  }
  struct kir_op *hand = memo_find(f, s->stmt, c, e->n_at);
  if (hand) return hand;
  for (unsigned i = 0; i < s->n; i++) in[i] = c[s->dim[i]];
  return cg_flat_read(f, s->buf, in, e->els);
}
struct kir_op *cg_flat_expr(struct cg_flat *f, const struct kir_expr *e)
{
  switch (e->kind) {
  case KIR_E_CONST: return cg_flat_const(f, e->elem, e->f, e->i);
  case KIR_E_IX: return cg_flat_cast(f, e->elem, index_value(f, e->elem == IR_bool ? KIR_test : KIR_idx, ir_ix_simplify(&f->k->facts, cg_flat_at(f, e->ix))));
  case KIR_E_READ: return read_value(f, e);
  case KIR_E_CAST: return cg_flat_cast(f, e->elem, cg_flat_expr(f, e->a[0]));
  case KIR_E_SELECT: return select_value(f, e);
  case KIR_E_RED: return red_value(f, e);
  case KIR_E_FN: {
    struct kir_op *a[3];
    for (unsigned i = 0; i < e->n; i++) a[i] = cg_flat_expr(f, e->a[i]);
    return ew(f, e->sub, e->elem, a, e->n);
  }
  case KIR_E_TILE: break;
  }
  ir_bug("flat", "a tile in a nest");
}

void cg_flat_at_hand(struct cg_flat *f, const struct kir_stmt *s, const struct ir_ix *const *c, struct kir_op *v) { memo_add(f, s, c, s->dst->rank, v); }
struct kir_op *cg_flat_limit(struct cg_flat *f, struct kir_op *v, struct kir_op *other)
{
  return ew(f, IR_MAP_select, v->elem, (struct kir_op *[]){ index_value(f, KIR_test, ir_ix_ge0(ir_ix_sub(ir_ix_addi(f->upto, -1), f->v))), v, other }, 3);
}
struct kir_op *cg_flat_vred(struct cg_flat *f, enum kir_red r, struct kir_op *v)
{
  if (v->lanes == 1) return v;
  struct kir_op *o = op(f, KIR_vred, v->elem, 1, &v, 1, NULL, 0);
  o->sub = r;
  return o;
}

/* ---- uses ---- */
static void use_cond(struct cg_flat *f, struct cg_uses *u, const struct ir_ix *g)
{
  if (ir_prove_ge0(&f->k->facts, g) == IR_UNKNOWN) ir_push(f->k->arena, &u->conds, g);
}
/* A chain of temporaries that read the one before twice has as many paths as subsets: each is followed once. */
static bool seen(struct cg_flat *f, struct cg_uses *u, const struct kir_stmt *s, const struct ir_ix *const *c, unsigned rank)
{
  for (uint32_t i = u->seen.n; i-- > 0;)
    if (u->seen.v[i].s == s && !memcmp(u->seen.v[i].c, c, rank * sizeof *c)) return true;
  struct cg_seen x = { .s = s };
  memcpy(x.c, c, rank * sizeof *c);
  ir_push(f->k->arena, &u->seen, x);
  return false;
}
static void use_read(struct cg_flat *f, const struct kir_expr *e, struct cg_uses *u)
{
  const struct ir_ix *c[IR_MAX_RANK];
  for (unsigned d = 0; d < e->n_at; d++) c[d] = cg_flat_at(f, e->at[d]);
  if (!e->arr->arg && f->slot[e->arr->index].where == CG_INLINE) {
    const struct kir_stmt *s = f->slot[e->arr->index].stmt;
    uint32_t scope = f->scope, mark = cg_flat_mark(f);
    for (unsigned d = 0; e->els && d < e->n_at; d++) {
      use_cond(f, u, c[d]);
      use_cond(f, u, ir_ix_sub(ir_ix_addi(cg_extent(e->arr, d), -1), c[d]));
    }
    if (seen(f, u, s, c, e->n_at)) return;
    f->scope = mark;
    for (unsigned i = 0; i < s->n_axes; i++) cg_flat_bind(f, s->axes[i].var, c[cg_dim_of(s, i)]);
    cg_flat_uses(f, s->e, u);
    cg_flat_unbind(f, mark);
    f->scope = scope;
    return;
  }
  if (!e->arr->arg) return;
  ir_push(f->k->arena, &u->offs, cg_flat_offset(f, e->arr, c));
  ir_push(f->k->arena, &u->arrs, e->arr);
  if (!e->els) return;
  struct access x = { .n = 1 };
  const struct ir_ix *v = f->v;
  f->v = NULL;
  guards(f, &x, e->arr, c, e->els);
  f->v = v;
  for (unsigned i = 1; i < x.n; i++) use_cond(f, u, x.ix[i]);
}
void cg_flat_uses(struct cg_flat *f, const struct kir_expr *e, struct cg_uses *u)
{
  if (!e) return;
  if (e->kind == KIR_E_READ) use_read(f, e, u);
  if (e->kind == KIR_E_IX) ir_push(f->k->arena, &u->exprs, cg_flat_at(f, e->ix));
  if (e->kind == KIR_E_SELECT) {
    const struct ir_ix *c[MAX_CONDS];
    unsigned n = conds_of(cg_flat_at(f, e->ix), true, c);
    for (unsigned i = 0; i < n; i++) use_cond(f, u, c[i]);
    ir_push(f->k->arena, &u->exprs, cg_flat_at(f, e->ix));
  }
  for (unsigned i = 0; i < 3; i++) cg_flat_uses(f, e->a[i], u);
}
