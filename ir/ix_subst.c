/* Rebuilding expressions (substitution, another table, simplification under facts) and evaluating them.
 * One walk rebuilds from the atoms up; what an atom becomes is decided by the constructors' rules. Recursion is over nesting, which MAX_DEPTH bounds. */
#include "ir/ix_internal.h"

struct rewrite {
  struct ir_ixs *to;
  const struct ir_facts *f;
  const struct ir_ix *const *from, *const *with;    /* substitution: whole symbols */
  unsigned n;
  uint64_t mask;                                    /* symbols it may touch; ~0: any */
  bool all;                                         /* every atom is rebuilt: another table, or facts */
  struct { const struct ir_ix *e, *r; } memo[128];  /* direct-mapped by id */
};
static const struct ir_ix *rewrite(struct rewrite *w, const struct ir_ix *e);

static const struct ir_ix *moved_sym(struct rewrite *w, const struct ir_atom *a)
{
  const struct ir_sym *s = a->sym->whole ? a->sym->whole : a->sym;
  const struct ir_ix *e = ir_ix_find(w->to, s->name);
  if (!e) e = ir_ix_sym(w->to, s->name, s->kind, s->lo, s->hi, s->by);
  return a->sym->whole ? ix_div(NULL, e, ir_ix_int(w->to, s->by)) : e;
}
static const struct ir_ix *rewrite_atom(struct rewrite *w, const struct ir_atom *a)
{
  const struct ix_atom *x = ix_atom_of(a);
  if (!w->all && !(x->bloom & w->mask)) return x->ix;
  if (a->kind == IR_ATOM_SYM) {
    if (a->sym->def && w->f) return x->ix;           /* not looked into */
    if (a->sym->def) return ir_ix_opaque(rewrite(w, a->sym->def));
    for (unsigned i = 0; i < w->n; i++)
      if (w->from[i]->v[0].m->a[0] == a) return a->sym->whole ? ir_ix_divi(w->with[i], a->sym->whole->by) : w->with[i];
    if (w->to == x->ix->t) return x->ix;
    if (ix_lost(a->sym)) return ir_ix_sym(w->to, a->sym->name, IR_SYM_DIM, -IR_IX_INF, IR_IX_INF, 1);
    return moved_sym(w, a);
  }
  const struct ir_ix *p = a->a ? rewrite(w, a->a) : NULL, *q = a->b ? rewrite(w, a->b) : NULL;
  switch (a->kind) {
  case IR_ATOM_DIV: return ix_div(w->f, p, q);
  case IR_ATOM_MIN: return ix_min(w->f, p, q);
  case IR_ATOM_MAX: return ix_max(w->f, p, q);
  case IR_ATOM_BCAST: return ix_bcast(w->f, p, q);
  case IR_ATOM_GE0: return ix_ge0(w->f, p);
  case IR_ATOM_EQ0: return ix_eq0(w->f, p);
  case IR_ATOM_LOAD: {
    const struct ir_ix **at = IR_NEWN(w->to->arena, const struct ir_ix *, a->n);
    for (unsigned i = 0; i < a->n; i++) at[i] = rewrite(w, a->at[i]);
    return ir_ix_load(w->to, a->array, at, a->n, x->lo, x->hi);
  }
  case IR_ATOM_SYM: break;
  }
  return x->ix;
}
/* k * m; a symbol known by its multiple (N = 8*base) is replaced whole where the coefficient allows */
static const struct ir_ix *rewrite_term(struct rewrite *w, int64_t k, const struct ix_mono *m)
{
  const struct ir_ix *e = NULL;
  for (uint32_t i = 0; i < m->n; i++) {
    const struct ir_atom *a = m->a[i];
    const struct ir_ix *x = NULL;
    if (a->kind == IR_ATOM_SYM && a->sym->whole && k % a->sym->whole->by == 0) {
      for (unsigned j = 0; j < w->n && !x; j++)
        if (w->from[j]->v[0].m->a[0] == a) { x = w->with[j]; k /= a->sym->whole->by; }
    }
    if (!x) x = rewrite_atom(w, a);
    e = e ? ir_ix_mul(e, x) : x;
  }
  return e ? ir_ix_muli(e, k) : ir_ix_int(w->to, k);
}
static const struct ir_ix *rewrite(struct rewrite *w, const struct ir_ix *e)
{
  if (!w->all && !(e->bloom & w->mask)) return e;
  if (w->memo[e->id % 128].e == e) return w->memo[e->id % 128].r;
  struct poly same = { .n = 0 };
  const struct ir_ix *r = NULL;
  for (uint32_t i = 0; i < e->n; i++) {
    if (!w->all && !(e->v[i].m->bloom & w->mask)) { same.v[same.n++] = e->v[i]; continue; }
    const struct ir_ix *x = rewrite_term(w, e->v[i].k, e->v[i].m);
    r = r ? ir_ix_add(r, x) : x;
  }
  if (!r) r = w->to->zero;
  if (same.n) r = ir_ix_add(r, ix_of_poly(w->to, &same));
  w->memo[e->id % 128].e = e;
  w->memo[e->id % 128].r = r;
  return r;
}
const struct ir_ix *ir_ix_subst(const struct ir_ix *e, const struct ir_ix *const *from, const struct ir_ix *const *to, unsigned n)
{
  struct rewrite w = { .to = e->t, .from = from, .with = to, .n = n };
  for (unsigned i = 0; i < n; i++) {
    IR_ASSERT(ir_ix_as_sym(from[i]) && from[i]->t == e->t && to[i]->t == e->t);
    w.mask |= ix_atom_of(from[i]->v[0].m->a[0])->bloom;
  }
  return rewrite(&w, e);
}
const struct ir_ix *ir_ix_subst1(const struct ir_ix *e, const struct ir_ix *from, const struct ir_ix *to) { return ir_ix_subst(e, &from, &to, 1); }
const struct ir_ix *ir_ix_move(struct ir_ixs *to, const struct ir_ix *e)
{
  if (e->t == to) return e;
  struct rewrite w = { .to = to, .all = true };
  return rewrite(&w, e);
}
const struct ir_ix *ir_ix_simplify(const struct ir_facts *f, const struct ir_ix *e)
{
  if (!e->rich) return e;
  struct rewrite w = { .to = e->t, .f = f, .all = true };
  return rewrite(&w, e);
}

/* ---- values ---- */
struct eval { const struct ir_ix_env *env; struct { const struct ir_atom *a; int64_t v; } memo[64]; };
static bool eval(struct eval *w, const struct ir_ix *e, int64_t *out);
static bool eval_sym(struct eval *w, const struct ir_sym *s, int64_t *out)
{
  bool known = true;
  if (s->def) return eval(w, s->def, out);
  if (ix_lost(s) || !w->env->sym) return false;
  const struct ir_sym *whole = s->whole ? s->whole : s;
  int64_t v = w->env->sym(w->env->arg, whole, &known);
  if (!known) return false;
  if (s->whole && v % whole->by) return false;
  *out = s->whole ? v / whole->by : v;
  return true;
}
static bool eval_load(struct eval *w, const struct ir_atom *a, int64_t *out)
{
  int64_t at[IR_IX_COORDS];
  if (!w->env->load || a->n > IR_IX_COORDS) return false;
  for (unsigned i = 0; i < a->n; i++) TRY(eval(w, a->at[i], &at[i]));
  *out = w->env->load(w->env->arg, a->array, at, a->n);
  return true;
}
static bool eval_atom(struct eval *w, const struct ir_atom *a, int64_t *out)
{
  int64_t x = 0, y = 0;
  if (a->kind == IR_ATOM_SYM) return eval_sym(w, a->sym, out);
  if (w->memo[a->id % 64].a == a) { *out = w->memo[a->id % 64].v; return true; }
  if (a->a) TRY(eval(w, a->a, &x));
  if (a->b) TRY(eval(w, a->b, &y));
  switch (a->kind) {
  case IR_ATOM_DIV: TRY(y >= 1); *out = ir_floordiv(x, y); break;
  case IR_ATOM_MIN: *out = x < y ? x : y; break;
  case IR_ATOM_MAX: *out = x > y ? x : y; break;
  case IR_ATOM_BCAST: TRY(x == 1 || y == 1 || x == y); *out = x == 1 ? y : x; break;
  case IR_ATOM_GE0: *out = x >= 0; break;
  case IR_ATOM_EQ0: *out = x == 0; break;
  case IR_ATOM_LOAD: TRY(eval_load(w, a, out)); break;
  case IR_ATOM_SYM: break;
  }
  w->memo[a->id % 64].a = a;
  w->memo[a->id % 64].v = *out;
  return true;
}
static bool eval(struct eval *w, const struct ir_ix *e, int64_t *out)
{
  int64_t sum = 0;
  for (uint32_t i = 0; i < e->n; i++) {
    int64_t p = e->v[i].k, x;
    for (uint32_t j = 0; j < e->v[i].m->n; j++) TRY(eval_atom(w, e->v[i].m->a[j], &x) && ir_mul64(p, x, &p));
    TRY(ir_add64(sum, p, &sum));
  }
  *out = sum;
  return true;
}
bool ir_ix_eval(const struct ir_ix *e, const struct ir_ix_env *env, int64_t *out)
{
  struct eval w;
  w.env = env;
  if (e->rich) memset(w.memo, 0, sizeof w.memo);
  return eval(&w, e, out);
}
