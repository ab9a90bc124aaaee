/* Index expressions compiled for many evaluations. An expression is a sum of terms; nearly all are affine in symbols, which is one loop over (factor, symbol)
 * pairs. Other atoms are small nodes that refer to compiled expressions. Each expression of the table is compiled once. */
#include "ir/kernel/internal.h"
#include <string.h>

struct fac { enum ir_atom_kind kind; uint32_t sym; const struct kir_ixp *a, *b; unsigned array, n; const struct kir_ixp **at; };
struct term { int64_t k; unsigned n; struct fac *f; };
struct kir_ixp {
  int64_t c;                        /* the constant term */
  unsigned n_lin, n_term;
  struct { int64_t k; uint32_t sym; } *lin;
  struct term *term;                /* not linear */
};
struct kir_ixm {
  struct ir_arena *arena;
  struct ir_ixs *t;
  unsigned n_syms;
  const struct kir_ixp **by_id;
  uint32_t n;
};
enum { MAX_DEPTH = 512 };

struct kir_ixm *kir_ixm_create(struct ir_arena *a, struct ir_ixs *t)
{
  struct kir_ixm *m = IR_NEW(a, struct kir_ixm);
  m->arena = a;
  m->t = t;
  m->n_syms = kir_sym_bound(t);
  return m;
}
unsigned kir_ixm_syms(const struct kir_ixm *m) { return m->n_syms; }

static const struct kir_ixp *compile(struct kir_ixm *m, const struct ir_ix *e, unsigned depth);
/* A symbol that has a place in the row; an opaque one without definition has none. */
static bool plain(const struct kir_ixm *m, const struct ir_atom *a) { return a->kind == IR_ATOM_SYM && !a->sym->def && a->sym->id < m->n_syms && a->sym->name[0] != '$'; }
static void factor(struct kir_ixm *m, struct fac *f, const struct ir_atom *a, unsigned depth)
{
  f->kind = a->kind;
  if (plain(m, a)) {
    f->sym = a->sym->id;
    return;
  }
  if (a->kind == IR_ATOM_SYM && !a->sym->def) {        /* fails when evaluated */
    f->kind = IR_ATOM_LOAD;
    f->array = UINT32_MAX;
    return;
  }
  if (a->kind == IR_ATOM_SYM) {       /* an opaque symbol is what it stands for: max(def, def) */
    f->kind = IR_ATOM_MAX;
    f->a = f->b = compile(m, a->sym->def, depth + 1);
    return;
  }
  if (a->a) f->a = compile(m, a->a, depth + 1);
  if (a->b) f->b = compile(m, a->b, depth + 1);
  if (a->kind != IR_ATOM_LOAD) return;
  f->array = a->array;
  f->n = a->n;
  f->at = IR_NEWN(m->arena, const struct kir_ixp *, a->n);
  for (unsigned i = 0; i < a->n; i++) f->at[i] = compile(m, a->at[i], depth + 1);
}
static const struct kir_ixp *compile(struct kir_ixm *m, const struct ir_ix *e, unsigned depth)
{
  uint32_t id = ir_ix_id(e);
  if (depth > MAX_DEPTH) ir_bug("kir", "an index expression is nested too deeply");
  if (id < m->n && m->by_id[id]) return m->by_id[id];
  unsigned n = ir_ix_nterms(e), nf;
  const struct ir_atom *const *fs;
  struct kir_ixp *p = IR_NEW(m->arena, struct kir_ixp);
  p->lin = ir_arena_alloc(m->arena, sizeof *p->lin * (n + 1));
  p->term = IR_NEWN(m->arena, struct term, n + 1);
  for (unsigned i = 0; i < n; i++) {
    int64_t k = ir_ix_term(e, i, &nf, &fs);
    if (!nf) p->c = k;
    else if (nf == 1 && plain(m, fs[0])) {
      p->lin[p->n_lin].k = k;
      p->lin[p->n_lin++].sym = fs[0]->sym->id;
    } else {
      struct term *t = &p->term[p->n_term++];
      *t = (struct term){ k, nf, IR_NEWN(m->arena, struct fac, nf) };
      for (unsigned j = 0; j < nf; j++) factor(m, &t->f[j], fs[j], depth);
    }
  }
  if (id >= m->n) {
    uint32_t cap = id * 2 + 64;
    const struct kir_ixp **v = IR_NEWN(m->arena, const struct kir_ixp *, cap);
    if (m->n) memcpy(v, m->by_id, sizeof *v * m->n);
    m->by_id = v;
    m->n = cap;
  }
  return m->by_id[id] = p;
}
const struct kir_ixp *kir_ixp_get(struct kir_ixm *m, const struct ir_ix *e) { return compile(m, e, 0); }

/* Sums and products wrap: a value that overflows is caught as out of bounds, or was no address. */
static int64_t eval_factor(const struct fac *f, struct kir_row *r)
{
  int64_t a, b;
  switch (f->kind) {
  case IR_ATOM_SYM: return r->v[f->sym];
  case IR_ATOM_DIV:
    a = kir_ixp_eval(f->a, r);
    b = kir_ixp_eval(f->b, r);
    if (b < 1) {
      r->failed = true;
      return 0;
    }
    return ir_floordiv(a, b);
  case IR_ATOM_MIN: a = kir_ixp_eval(f->a, r), b = kir_ixp_eval(f->b, r); return a < b ? a : b;
  case IR_ATOM_MAX: a = kir_ixp_eval(f->a, r), b = kir_ixp_eval(f->b, r); return a > b ? a : b;
  case IR_ATOM_BCAST: a = kir_ixp_eval(f->a, r), b = kir_ixp_eval(f->b, r); return a == 1 ? b : a;
  case IR_ATOM_GE0: return kir_ixp_eval(f->a, r) >= 0;
  case IR_ATOM_EQ0: return kir_ixp_eval(f->a, r) == 0;
  case IR_ATOM_LOAD: break;
  }
  int64_t at[IR_MAX_RANK];
  if (f->n > IR_MAX_RANK || !r->load) {
    r->failed = true;
    return 0;
  }
  for (unsigned i = 0; i < f->n; i++) at[i] = kir_ixp_eval(f->at[i], r);
  if (!r->load(r->arg, f->array, at, f->n, &a)) {
    r->failed = true;
    return 0;
  }
  return a;
}
int64_t kir_ixp_eval(const struct kir_ixp *p, struct kir_row *r)
{
  uint64_t s = (uint64_t)p->c;
  for (unsigned i = 0; i < p->n_lin; i++) s += (uint64_t)p->lin[i].k * (uint64_t)r->v[p->lin[i].sym];
  for (unsigned i = 0; i < p->n_term; i++) {
    uint64_t t = (uint64_t)p->term[i].k;
    for (unsigned j = 0; j < p->term[i].n; j++) t *= (uint64_t)eval_factor(&p->term[i].f[j], r);
    s += t;
  }
  return (int64_t)s;
}
static bool factor_uses(const struct fac *f, uint32_t base)
{
  if (f->kind == IR_ATOM_SYM) return f->sym == base;
  if ((f->a && kir_ixp_uses(f->a, base)) || (f->b && kir_ixp_uses(f->b, base))) return true;
  for (unsigned i = 0; i < f->n; i++)
    if (kir_ixp_uses(f->at[i], base)) return true;
  return false;
}
bool kir_ixp_uses(const struct kir_ixp *p, uint32_t base)
{
  for (unsigned i = 0; i < p->n_lin; i++)
    if (p->lin[i].sym == base) return true;
  for (unsigned i = 0; i < p->n_term; i++)
    for (unsigned j = 0; j < p->term[i].n; j++)
      if (factor_uses(&p->term[i].f[j], base)) return true;
  return false;
}
static bool factor_only(const struct fac *f, const uint8_t *ok)
{
  if (f->kind == IR_ATOM_SYM) return ok[f->sym];
  if ((f->a && !kir_ixp_only(f->a, ok)) || (f->b && !kir_ixp_only(f->b, ok))) return false;
  for (unsigned i = 0; i < f->n; i++)
    if (!kir_ixp_only(f->at[i], ok)) return false;
  return true;
}
bool kir_ixp_only(const struct kir_ixp *p, const uint8_t *ok)
{
  for (unsigned i = 0; i < p->n_lin; i++)
    if (!ok[p->lin[i].sym]) return false;
  for (unsigned i = 0; i < p->n_term; i++)
    for (unsigned j = 0; j < p->term[i].n; j++)
      if (!factor_only(&p->term[i].f[j], ok)) return false;
  return true;
}
bool kir_ixp_const(const struct kir_ixp *p, int64_t *out)
{
  if (p->n_lin || p->n_term) return false;
  *out = p->c;
  return true;
}

/* ---- symbols ---- */
bool kir_row_bind(struct ir_arena *a, struct kir_row *r, struct ir_ixs *t, const struct kir_bind *b, unsigned n, uint8_t *known, const char **why)
{
  for (unsigned i = 0; i < n; i++) {
    const struct ir_ix *e = ir_ix_find(t, b[i].name);
    int64_t by;
    const struct ir_sym *base = e ? kir_base_sym(e, &by) : NULL, *s = e ? ir_ix_as_sym(e) : NULL;
    if (!base) continue;
    if (b[i].value % by || (s && (b[i].value < s->lo || b[i].value > s->hi))) {
      *why = ir_arena_printf(a, "%s = %lld does not fit its range", b[i].name, (long long)b[i].value);
      return false;
    }
    r->v[base->id] = b[i].value / by;
    if (known) known[base->id] = 1;
  }
  return true;
}
bool kir_all_bound(struct ir_arena *a, const struct kir_used *u, const uint8_t *known, const char **why)
{
  for (unsigned i = 0; i < ir_ixs_nsyms(u->t); i++) {
    const struct ir_sym *s = ir_ixs_sym(u->t, i), *b = kir_base_sym(ir_ix_find(u->t, s->name), NULL);
    if (s->kind != IR_SYM_DIM || !u->on[b->id] || known[b->id]) continue;
    *why = ir_arena_printf(a, "symbol %s is not bound", s->name);
    return false;
  }
  return true;
}

/* ---- scalar values ---- */
static int64_t saturate(enum ir_elem to, double x)
{
  unsigned bits = ir_elem_bits(to);
  bool u = ir_elem_class(to) == 'U';
  double hi = u ? (double)(bits == 64 ? UINT64_MAX : (1ull << bits) - 1) : (double)((1ull << (bits - 1)) - 1), lo = u ? 0 : -(double)(1ull << (bits - 1));
  if (x != x) return 0;
  if (x <= lo) return u ? 0 : (int64_t)(UINT64_MAX << (bits - 1));
  if (x >= hi) return u ? (int64_t)(bits == 64 ? UINT64_MAX : (1ull << bits) - 1) : (int64_t)((1ull << (bits - 1)) - 1);
  return u ? (int64_t)(uint64_t)x : (int64_t)x;
}
union kir_val kir_cast_val(enum ir_elem from, enum ir_elem to, union kir_val x)
{
  union kir_val r = { 0 };
  bool f = kir_is_f(from);
  if (to == IR_bool) r.i = f ? x.f != 0 : x.i != 0;
  else if (!kir_is_f(to)) r.i = f ? saturate(to, x.f) : ir_wrap_to(to, x.i);
  else if (f) r.f = ir_round_to(to, x.f);
  else if (to == IR_f32) r.f = from == IR_u64 ? (float)(uint64_t)x.i : (float)x.i;
  else r.f = ir_round_to(to, from == IR_u64 ? (double)(uint64_t)x.i : (double)x.i);
  return r;
}
union kir_val kir_map_val(enum ir_map f, enum ir_elem operands, enum ir_elem result, union kir_val a, union kir_val b, union kir_val c)
{
  union kir_val r;
  if (f == IR_MAP_select) return a.i ? b : c;
  if (!kir_is_f(operands)) r.i = ir_scalar_i(f, operands, a.i, b.i, c.i);
  else if (!kir_is_f(result)) r.i = (int64_t)ir_scalar_f(f, a.f, b.f, c.f);
  else {
    switch (f) {
    case IR_MAP_add: r.f = a.f + b.f; break;
    case IR_MAP_sub: r.f = a.f - b.f; break;
    case IR_MAP_mul: r.f = a.f * b.f; break;
    default: r.f = ir_scalar_f(f, a.f, b.f, c.f); break;
    }
    return kir_round(result, r);
  }
  return r;
}
static const enum ir_map red_map[] = { [KIR_SUM] = IR_MAP_add, [KIR_PROD] = IR_MAP_mul, [KIR_MAX] = IR_MAP_max, [KIR_MIN] = IR_MAP_min, [KIR_AND] = IR_MAP_and, [KIR_OR] = IR_MAP_or };
union kir_val kir_red_neutral(enum kir_red r, enum ir_elem e)
{
  union kir_val x = { 0 };
  bool f = kir_is_f(e);
  unsigned bits = ir_elem_bits(e);
  uint64_t top = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
  switch (r) {
  case KIR_SUM: case KIR_OR: break;
  case KIR_PROD: if (f) x.f = 1; else x.i = 1; break;
  case KIR_AND: x.i = e == IR_bool ? 1 : ir_wrap_to(e, -1); break;
  case KIR_MAX: if (f) x.f = -(double)__builtin_inf(); else x.i = e == IR_bool || ir_elem_class(e) == 'U' ? 0 : (int64_t)(UINT64_MAX << (bits - 1)); break;
  case KIR_MIN: if (f) x.f = (double)__builtin_inf(); else x.i = e == IR_bool ? 1 : ir_elem_class(e) == 'U' ? (int64_t)top : (int64_t)(top >> 1); break;
  }
  return x;
}
union kir_val kir_red_step(enum kir_red r, enum ir_elem e, union kir_val acc, union kir_val x)
{
  union kir_val y;
  if (!kir_is_f(e)) y.i = ir_scalar_i(red_map[r], e, acc.i, x.i, 0);
  else if (r == KIR_SUM) y.f = acc.f + x.f;
  else if (r == KIR_PROD) y.f = acc.f * x.f;
  else y.f = ir_scalar_f(red_map[r], acc.f, x.f, 0);
  return y;
}
