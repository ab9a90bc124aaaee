/* Proving p >= 0: yes only when it is so for every value of the symbols that the facts allow.
 *
 * Integers have no solver here, only a short search. At each node: the interval; then cases on a min, max, bcast or test that stands in p (each case adds what
 * it assumes); then one term of p is eliminated through a known inequality q >= 0: p >= 0 follows from c*p - k*m*q >= 0, m >= 0. Inequalities come from the
 * facts, from b*(a/b) <= a < b*(a/b) + b, from min and max, and from the bounds of atoms that stand in products. Steps that shorten p are free, others cost
 * depth. Weak where two facts must be added up that share no term with p. */
#include "ir/ix_internal.h"

enum { STEPS = 64, DEPTH = 3, CASES = 8, MEMO = 64 };
struct prover {
  struct ir_ixs *t;
  const struct ir_facts *f;
  unsigned steps, n_extra;
  struct poly extra[CASES];             /* what the cases assume */
  struct { uint64_t hash; int depth; } memo[MEMO];   /* failed at this depth */
};

static uint64_t poly_hash(const struct prover *pr, const struct poly *p)
{
  uint64_t h = 1469598103934665603u + pr->n_extra;
  for (uint32_t i = 0; i < p->n; i++) h = ((h ^ p->v[i].m->hash) * 0x9e3779b97f4a7c15u) ^ ((uint64_t)p->v[i].k * 0xd6e8feb86659fd93u) ^ h >> 31;
  for (unsigned i = 0; i < pr->n_extra; i++)
    for (uint32_t j = 0; j < pr->extra[i].n; j++) h = (h ^ pr->extra[i].v[j].m->hash ^ (uint64_t)pr->extra[i].v[j].k) * 0x9e3779b97f4a7c15u;
  return h ? h : 1;
}
/* p >= 0 iff floor(p / g) >= 0, g dividing all but the constant */
static void normalise(struct poly *p)
{
  int64_t g = 0;
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->n; i++)
    if (p->v[i].m->n) g = gcd64(g, p->v[i].k);
  if (g < 2) return;
  for (uint32_t i = 0; i < p->n; i++) {
    p->v[n] = (struct term){ ir_floordiv(p->v[i].k, g), p->v[i].m };
    n += p->v[n].k != 0;
  }
  p->n = n;
}
static bool prove(struct prover *pr, const struct poly *p, int depth);

/* Eliminates a term of p through q >= 0. negative: only terms of p that pull it down. */
static bool eliminate(struct prover *pr, const struct poly *p, const struct term *q, uint32_t nq, int depth, bool negative)
{
  struct ir_ixs *t = pr->t;
  for (uint32_t i = 0; i < p->n; i++) {
    int64_t v = p->v[i].k;
    if (!p->v[i].m->n || (v < 0) != negative || v == INT64_MIN) continue;
    for (uint32_t j = 0; j < nq; j++) {
      int64_t w = q[j].k;
      if (!q[j].m->n || (w < 0) != (v < 0) || w == INT64_MIN) continue;
      const struct ix_mono *cof = mono_div(t, p->v[i].m, q[j].m);
      if (!cof || cof->lo < 0) continue;
      int64_t g = gcd64(v, w), c = (w < 0 ? -w : w) / g, k = (v < 0 ? -v : v) / g;
      struct poly x, r;
      poly_set(&x, p->v, p->n);
      if (!poly_scale(&x, c) || !poly_addi(t, &x, c - 1) || !poly_addmul(t, &r, x.v, x.n, -k, cof, q, nq)) continue;
      int cost = r.n < p->n ? 0 : 1;
      if (r.n > p->n + 2 || depth < cost) continue;
      if (prove(pr, &r, depth - cost)) return true;
      if (pr->steps >= STEPS) return false;
    }
  }
  return false;
}
static bool eliminate_ix(struct prover *pr, const struct poly *p, const struct ir_ix *a, const struct ir_ix *b, int64_t k, int depth, bool negative)   /* a - b + k >= 0 */
{
  struct poly q;
  return poly_addmul(pr->t, &q, a->v, a->n, -1, pr->t->one, b->v, b->n) && poly_addi(pr->t, &q, k) && eliminate(pr, p, q.v, q.n, depth, negative);
}
/* Inequalities that an atom of p brings along. */
static bool through_atom(struct prover *pr, const struct poly *p, const struct ir_atom *a, bool product, int depth, bool negative)
{
  const struct ix_atom *x = ix_atom_of(a);
  struct poly q;
  if (a->kind == IR_ATOM_DIV && (a->b->lo >= 1)) {
    if (poly_addmul(pr->t, &q, a->a->v, a->a->n, -1, x->mono, a->b->v, a->b->n) && eliminate(pr, p, q.v, q.n, depth, negative)) return true;   /* a - b*x */
    if (poly_scale(&q, -1)) {
      struct poly s;
      if (poly_addmul(pr->t, &s, q.v, q.n, 1, pr->t->one, a->b->v, a->b->n) && poly_addi(pr->t, &s, -1) && eliminate(pr, p, s.v, s.n, depth, negative)) return true;
    }
  }
  if (a->kind == IR_ATOM_MIN && (eliminate_ix(pr, p, a->a, x->ix, 0, depth, negative) || eliminate_ix(pr, p, a->b, x->ix, 0, depth, negative))) return true;
  if (a->kind == IR_ATOM_MAX && (eliminate_ix(pr, p, x->ix, a->a, 0, depth, negative) || eliminate_ix(pr, p, x->ix, a->b, 0, depth, negative))) return true;
  if (!product) return false;        /* alone, an atom's bounds are in the interval already */
  const struct ir_ix *zero = pr->t->zero;
  if (x->lo != -IR_IX_INF && x->lo != INT64_MIN && eliminate_ix(pr, p, x->ix, zero, -x->lo, depth, negative)) return true;
  struct term one = { -1, x->mono };
  q.n = 1;
  q.v[0] = one;
  return x->hi != IR_IX_INF && poly_addi(pr->t, &q, x->hi) && eliminate(pr, p, q.v, q.n, depth, negative);
}
static bool assume(struct prover *pr, const struct ir_ix *a, const struct ir_ix *b, int64_t k)     /* a - b + k >= 0; false: no room, assume less */
{
  if (pr->n_extra == sizeof pr->extra / sizeof *pr->extra) return false;
  struct poly *q = &pr->extra[pr->n_extra];
  if (!poly_addmul(pr->t, q, a->v, a->n, -1, pr->t->one, b->v, b->n) || !poly_addi(pr->t, q, k)) return false;
  pr->n_extra++;
  return true;
}
static bool with(struct prover *pr, const struct poly *p, const struct ir_atom *x, const struct ir_ix *e, int depth)   /* p[x := e] >= 0 */
{
  struct poly r;
  return poly_replace(pr->t, &r, p, x, e->v, e->n) && prove(pr, &r, depth);
}
static bool by_cases(struct prover *pr, const struct poly *p, const struct ir_atom *x, int depth)
{
  const struct ir_ix *zero = pr->t->zero;
  unsigned mark = pr->n_extra;
  bool ok;
  switch (x->kind) {
  case IR_ATOM_MIN: case IR_ATOM_MAX: {
    const struct ir_ix *lo = x->kind == IR_ATOM_MIN ? x->a : x->b, *hi = x->kind == IR_ATOM_MIN ? x->b : x->a;
    assume(pr, hi, lo, 0);           /* lo <= hi: min is a, max is a's other */
    ok = with(pr, p, x, x->a, depth);
    pr->n_extra = mark;
    if (!ok) return false;
    assume(pr, lo, hi, -1);
    ok = with(pr, p, x, x->b, depth);
    break;
  }
  case IR_ATOM_BCAST: ok = with(pr, p, x, x->a, depth) && with(pr, p, x, x->b, depth); break;
  case IR_ATOM_GE0:
    assume(pr, x->a, zero, 0);
    ok = with(pr, p, x, ir_ix_int(pr->t, 1), depth);
    pr->n_extra = mark;
    if (!ok) return false;
    assume(pr, zero, x->a, -1);
    ok = with(pr, p, x, zero, depth);
    break;
  case IR_ATOM_EQ0:
    if (assume(pr, x->a, zero, 0)) assume(pr, zero, x->a, 0);
    ok = with(pr, p, x, ir_ix_int(pr->t, 1), depth);
    pr->n_extra = mark;
    ok = ok && with(pr, p, x, zero, depth);
    break;
  default: return false;
  }
  pr->n_extra = mark;
  return ok;
}
static bool prove(struct prover *pr, const struct poly *p0, int depth)
{
  struct poly p;
  int64_t lo, hi;
  poly_set(&p, p0->v, p0->n);
  normalise(&p);
  poly_range(pr->t, p.v, p.n, &lo, &hi);
  if (lo >= 0) return true;
  bool contradiction = pr->n_extra > 0;             /* a case may be impossible; then even hi < 0 can be "proved" */
  if ((hi < 0 && !contradiction) || depth < 0 || pr->steps >= STEPS) return false;
  pr->steps++;
  uint64_t h = poly_hash(pr, &p);
  unsigned slot = (unsigned)(h % MEMO);
  if (pr->memo[slot].hash == h && pr->memo[slot].depth >= depth) return false;

  const struct ir_atom *split = NULL;
  bool plain = true;
  for (uint32_t i = 0; i < p.n; i++) {
    plain &= !p.v[i].m->rich && p.v[i].m->n < 2;
    for (uint32_t j = 0; j < p.v[i].m->n; j++) {
      const struct ir_atom *x = p.v[i].m->a[j];
      bool cases = x->kind == IR_ATOM_MIN || x->kind == IR_ATOM_MAX || x->kind == IR_ATOM_BCAST || ix_is_test(x);
      if (cases && (!split || x->id < split->id)) split = x;
    }
  }
  if (split && depth > 0 && by_cases(pr, &p, split, depth - 1)) return true;
  for (int negative = 1; negative >= 0; negative--) {
    for (unsigned i = 0; i < pr->n_extra; i++)
      if (eliminate(pr, &p, pr->extra[i].v, pr->extra[i].n, depth, negative)) return true;
    for (uint32_t i = 0; pr->f && i < pr->f->ge0.n; i++)
      if (pr->f->ge0.v[i]->t == pr->t && eliminate(pr, &p, pr->f->ge0.v[i]->v, pr->f->ge0.v[i]->n, depth, negative)) return true;
    if (plain) continue;
    for (uint32_t i = 0; i < p.n; i++)
      for (uint32_t j = 0; j < p.v[i].m->n; j++)
        if ((!j || p.v[i].m->a[j] != p.v[i].m->a[j - 1]) && through_atom(pr, &p, p.v[i].m->a[j], p.v[i].m->n > 1, depth, negative)) return true;
  }
  if (pr->steps < STEPS) { pr->memo[slot].hash = h; pr->memo[slot].depth = depth; }
  return false;
}
bool poly_prove(struct ir_ixs *t, const struct ir_facts *f, const struct poly *p)
{
  struct prover pr;
  pr.t = t;
  pr.f = f;
  pr.steps = pr.n_extra = 0;
  memset(pr.memo, 0, sizeof pr.memo);
  return prove(&pr, p, DEPTH);
}

/* ---- the door ---- */
void ir_facts_push(struct ir_facts *f, const struct ir_ix *e)
{
  if (e->n == 0 || (e->n == 1 && !e->v[0].m->n && e->v[0].k >= 0)) return;
  for (uint32_t i = 0; i < f->ge0.n; i++)
    if (f->ge0.v[i] == e) return;
  ir_push(f->arena ? f->arena : e->t->arena, &f->ge0, e);
}
static bool proved(const struct ir_facts *f, const struct ir_ix *e, int64_t k, int64_t c)    /* k*e + c >= 0 */
{
  struct poly p;
  poly_ix(&p, e);
  return poly_scale(&p, k) && poly_addi(e->t, &p, c) && poly_prove(e->t, f, &p);
}
enum ir_proof ir_prove_ge0(const struct ir_facts *f, const struct ir_ix *e)
{
  if (e->lo >= 0) return IR_YES;
  if (e->hi < 0) return IR_NO;
  if (f && !f->ge0.n) f = NULL;
  if (!f && e->proof != 2) return e->proof;
  enum ir_proof p = proved(f, e, 1, 0) ? IR_YES : proved(f, e, -1, -1) ? IR_NO : IR_UNKNOWN;
  if (!f) ((struct ir_ix *)e)->proof = (int8_t)p;
  return p;
}
enum ir_proof ir_prove_eq0(const struct ir_facts *f, const struct ir_ix *e)
{
  if (!e->n) return IR_YES;
  if (e->lo > 0 || e->hi < 0) return IR_NO;
  int64_t g = 0, c = 0;
  for (uint32_t i = 0; i < e->n; i++)
    if (e->v[i].m->n) g = gcd64(g, e->v[i].k);
    else c = e->v[i].k;
  if (g > 1 && c % g) return IR_NO;
  bool ge = proved(f, e, 1, 0), le = proved(f, e, -1, 0);
  if (ge && le) return IR_YES;
  if ((ge && proved(f, e, 1, -1)) || (le && proved(f, e, -1, -1))) return IR_NO;
  return proved(f, e, 1, -1) || proved(f, e, -1, -1) ? IR_NO : IR_UNKNOWN;
}
