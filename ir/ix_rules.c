/* Constructors with rules: division, min, max, bcast, tests. Each is a function of its canonical operands (and of facts) that ends in a raw atom only when no
 * rule applies to what the atom will hold; so building an atom's own operands again gives the same atom, which is what makes parse(print(e)) == e.
 *
 * Division by b (> 0), a = sum of terms:
 *   a / b = c          when the interval of a lies in one multiple of b, or 0 <= a - c*b < b is proved
 *   (b*q + r) / b = q + r/b                          terms that divide split off (polynomial division for a symbolic b)
 *   (g*x + r) / (g*b) = x/b        when 0 <= r < g
 *   (x/q + y) / b = (x + q*y) / (q*b)
 * All hold for floor division of any x, y. */
#include "ir/ix_internal.h"

/* ---- division ---- */
static bool known(struct ir_ixs *t, const struct ir_facts *f, const struct poly *p)
{
  int64_t lo, hi;
  poly_range(t, p->v, p->n, &lo, &hi);
  return lo >= 0 || (hi >= 0 && poly_prove(t, f, p));
}
/* 0 <= r - c*b < b */
static bool quotient_is(struct ir_ixs *t, const struct ir_facts *f, const struct poly *r, const struct ir_ix *b, int64_t c)
{
  struct poly x, y;
  if (c == INT64_MIN || !poly_addmul(t, &x, r->v, r->n, -c, t->one, b->v, b->n) || !known(t, f, &x)) return false;
  return poly_addmul(t, &y, b->v, b->n, -1, t->one, x.v, x.n) && poly_addi(t, &y, -1) && known(t, f, &y);
}
static bool constant_quotient(struct ir_ixs *t, const struct ir_facts *f, const struct poly *r, const struct ir_ix *b, int64_t *c)
{
  int64_t lo, hi;
  poly_range(t, r->v, r->n, &lo, &hi);
  int64_t bl = b->lo < 1 ? 1 : b->lo;
  if (lo >= 0 && hi < bl) { *c = 0; return true; }
  if (b->lo == b->hi && lo != -IR_IX_INF && hi != IR_IX_INF && ir_floordiv(lo, bl) == ir_floordiv(hi, bl)) { *c = ir_floordiv(lo, bl); return true; }
  bool rich = b->rich || b->lo != b->hi || (f && f->ge0.n);      /* else the interval has said all */
  for (uint32_t i = 0; i < r->n; i++) rich |= r->v[i].m->rich || r->v[i].m->n > 1;
  if (!rich) return false;
  int64_t first = lo != -IR_IX_INF && b->lo == b->hi ? ir_floordiv(lo, bl) : 0, last = hi != IR_IX_INF && b->lo == b->hi ? ir_floordiv(hi, bl) : 0;
  int64_t tries[3] = { 0, first, last };
  for (int i = 0; i < 3; i++) {
    if ((i && !tries[i]) || (i == 2 && last == first)) continue;
    if (quotient_is(t, f, r, b, tries[i])) { *c = tries[i]; return true; }
  }
  return false;
}
static const struct ir_ix *plus(const struct ir_ixs *t, const struct poly *q, const struct ir_ix *d) { return q->n ? ir_ix_add(ix_of_poly((struct ir_ixs *)t, q), d) : d; }

/* (x/q + y) / b: the numerator x + q*y when exactly one term is a bare quotient; false otherwise. */
static bool flatten(struct ir_ixs *t, const struct poly *r, const struct ir_ix *b, const struct ir_ix **num, const struct ir_ix **den)
{
  const struct ir_atom *d = NULL;
  struct poly y = { .n = 0 };
  for (uint32_t i = 0; i < r->n; i++) {
    const struct ix_mono *m = r->v[i].m;
    if (m->n == 1 && m->a[0]->kind == IR_ATOM_DIV && r->v[i].k == 1) {
      if (d) return false;
      d = m->a[0];
    } else if (m->div) return false;
    else y.v[y.n++] = r->v[i];
  }
  if (!d) return false;
  *num = ir_ix_add(d->a, ir_ix_mul(ix_of_poly(t, &y), d->b));
  *den = ir_ix_mul(d->b, b);
  return !(*num)->over && !(*den)->over;
}
/* r = g*L + R with R the terms that g does not divide; true when R lies in one multiple of g, which then goes to L. */
static bool split_by(struct ir_ixs *t, const struct ir_facts *f, const struct poly *r, int64_t g, struct poly *l)
{
  struct poly rest = { .n = 0 };
  l->n = 0;
  for (uint32_t i = 0; i < r->n; i++) {
    int64_t k = r->v[i].k, q = ir_floordiv(k, g);
    if (k % g && r->v[i].m->n) { rest.v[rest.n++] = r->v[i]; continue; }
    if (q) l->v[l->n++] = (struct term){ q, r->v[i].m };
    if (k % g) rest.v[rest.n++] = (struct term){ ir_floormod(k, g), r->v[i].m };
  }
  if (!l->n) return false;
  if (rest.n == 0 || (rest.n == 1 && !rest.v[0].m->n)) return true;
  int64_t c;
  return constant_quotient(t, f, &rest, ir_ix_int(t, g), &c) && poly_addi(t, l, c);
}
static const struct ir_ix *div_const(struct ir_ixs *t, const struct ir_facts *f, const struct ir_ix *a, int64_t b)
{
  const struct ir_ix *bx = ir_ix_int(t, b), *num, *den;
  struct poly p, q = { .n = 0 }, r = { .n = 0 }, l;
  int64_t c;
  poly_ix(&p, a);
  if (constant_quotient(t, f, &p, bx, &c)) return ir_ix_int(t, c);
  for (uint32_t i = 0; i < p.n; i++) {
    int64_t k = p.v[i].k, whole = 0;
    const struct ix_mono *m = p.v[i].m;
    if (!m->n) whole = ir_floordiv(k, b);
    else if (k % b == 0 || !m->div) whole = k / b;
    if (whole) q.v[q.n++] = (struct term){ whole, m };
    int64_t rest = m->n ? k - whole * b : ir_floormod(k, b);           /* a floor times b may lie below the smallest integer */
    if (rest) r.v[r.n++] = (struct term){ rest, m };
  }
  if (!r.n) return ix_of_poly(t, &q);
  if (q.n && constant_quotient(t, f, &r, bx, &c)) return plus(t, &q, ir_ix_int(t, c));
  int64_t last = b;
  for (;;) {                         /* common divisors g of b and some coefficient, the largest first */
    int64_t g = 1;
    for (uint32_t i = 0; i < r.n; i++) {
      int64_t x = r.v[i].m->n ? gcd64(r.v[i].k, b) : 1;
      if (x > g && x < last) g = x;
    }
    if (g == 1) break;
    if (split_by(t, f, &r, g, &l)) return plus(t, &q, ix_div(f, ix_of_poly(t, &l), ir_ix_int(t, b / g)));
    last = g;
  }
  if (flatten(t, &r, bx, &num, &den)) return plus(t, &q, ix_div(f, num, den));
  return plus(t, &q, ix_atom(t, IR_ATOM_DIV, ix_of_poly(t, &r), bx));
}
/* r = x*L + R, R free of the atom x; true when R lies in one multiple of x, which then goes to L. */
static bool split_by_atom(struct ir_ixs *t, const struct ir_facts *f, const struct poly *r, const struct ix_atom *x, struct poly *l)
{
  struct poly rest = { .n = 0 };
  l->n = 0;
  for (uint32_t i = 0; i < r->n; i++) {
    const struct ix_mono *m = mono_without(t, r->v[i].m, &x->pub);
    if (m) l->v[l->n++] = (struct term){ r->v[i].k, m };
    else rest.v[rest.n++] = r->v[i];
  }
  if (!l->n) return false;
  if (!rest.n) return true;
  for (int64_t c = 0; c >= -1; c--)
    if (quotient_is(t, f, &rest, x->ix, c)) return poly_addi(t, l, c);
  return false;
}
static int64_t content(const struct ir_ix *e)
{
  int64_t g = 0;
  for (uint32_t i = 0; i < e->n; i++) g = gcd64(g, e->v[i].k);
  return g;
}
static const struct ir_ix *scaled_down(const struct ir_ix *e, int64_t g)
{
  struct poly p;
  poly_ix(&p, e);
  for (uint32_t i = 0; i < p.n; i++) p.v[i].k /= g;
  return ix_of_poly(e->t, &p);
}
static const struct ir_ix *div_symbolic(struct ir_ixs *t, const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b)
{
  struct poly p, q, r, l;
  const struct ir_ix *num, *den;
  int64_t c;
  poly_ix(&p, a);
  if (constant_quotient(t, f, &p, b, &c)) return ir_ix_int(t, c);
  if (!poly_divide(t, &p, b, &q, &r)) { q.n = 0; poly_ix(&r, a); }
  if (q.n > IR_IX_MAX_TERMS || r.n > IR_IX_MAX_TERMS) { q.n = 0; poly_ix(&r, a); }
  if (!r.n) return ix_of_poly(t, &q);
  if (q.n) {
    if (constant_quotient(t, f, &r, b, &c)) return plus(t, &q, ir_ix_int(t, c));
    if (r.n >= a->n) { q.n = 0; poly_ix(&r, a); }
  }
  if (quotient_is(t, f, &r, b, -1)) return plus(t, &q, ir_ix_int(t, -1));
  if (quotient_is(t, f, &r, b, 1)) return plus(t, &q, ir_ix_int(t, 1));
  int64_t g = content(b);
  if (g > 1 && split_by(t, f, &r, g, &l)) return plus(t, &q, ix_div(f, ix_of_poly(t, &l), scaled_down(b, g)));
  const struct ix_mono *mb = b->v[0].m;
  for (uint32_t i = 0; i < mb->n; i++) {
    const struct ix_atom *x = ix_atom_of(mb->a[i]);
    struct poly bp, bl = { .n = 0 };
    if ((i && mb->a[i - 1] == mb->a[i]) || x->lo < 0 || ix_is_test(&x->pub)) continue;
    poly_ix(&bp, b);
    for (uint32_t j = 0; j < bp.n; j++) {          /* every term of b has the factor */
      const struct ix_mono *m = mono_without(t, bp.v[j].m, &x->pub);
      if (!m) break;
      bl.v[bl.n++] = (struct term){ bp.v[j].k, m };
    }
    if (bl.n == bp.n && split_by_atom(t, f, &r, x, &l)) return plus(t, &q, ix_div(f, ix_of_poly(t, &l), ix_of_poly(t, &bl)));
  }
  if (flatten(t, &r, b, &num, &den)) return plus(t, &q, ix_div(f, num, den));
  return plus(t, &q, ix_atom(t, IR_ATOM_DIV, ix_of_poly(t, &r), b));
}
static const struct ir_ix *div_any(struct ir_ixs *t, const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b)
{
  int64_t k;
  if (!ir_ix_const(b, &k)) return div_symbolic(t, f, a, b);
  if (k == 1) return a;
  if (k < 1) return ix_atom(t, IR_ATOM_DIV, a, b);     /* our bug; evaluation reports it */
  return div_const(t, f, a, k);
}
const struct ir_ix *ix_div(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b)
{
  struct ir_ixs *t = a->t;
  IR_ASSERT(t == b->t);
  if (f && f->ge0.n) return div_any(t, f, a, b);
  uint32_t slot = (a->id * 31 + b->id) % DIV_CACHE;
  if (t->div_cache[slot].a == a && t->div_cache[slot].b == b) return t->div_cache[slot].q;
  const struct ir_ix *q = div_any(t, NULL, a, b);
  t->div_cache[slot].a = a;
  t->div_cache[slot].b = b;
  t->div_cache[slot].q = q;
  return q;
}
const struct ir_ix *ir_ix_div(const struct ir_ix *a, const struct ir_ix *b) { return ix_div(NULL, a, b); }
const struct ir_ix *ir_ix_mod(const struct ir_ix *a, const struct ir_ix *b) { return ir_ix_sub(a, ir_ix_mul(b, ix_div(NULL, a, b))); }
const struct ir_ix *ir_ix_divi(const struct ir_ix *a, int64_t k) { return ix_div(NULL, a, ir_ix_int(a->t, k)); }
const struct ir_ix *ir_ix_modi(const struct ir_ix *a, int64_t k) { return ir_ix_mod(a, ir_ix_int(a->t, k)); }
const struct ir_ix *ir_ix_cdiv(const struct ir_ix *a, const struct ir_ix *b) { return ir_ix_div(ir_ix_addi(ir_ix_add(a, b), -1), b); }
const struct ir_ix *ir_ix_cdivi(const struct ir_ix *a, int64_t k) { return ir_ix_cdiv(a, ir_ix_int(a->t, k)); }

/* ---- min, max: a set of operands, none surely beaten by another, nested from the right in the order of their content ---- */
enum { MAX_OPERANDS = 16 };
static bool before(const struct ir_ix *a, const struct ir_ix *b)      /* kept by a common factor > 0 */
{
  for (uint32_t i = 0; i < a->n && i < b->n; i++) {
    int c = mono_cmp(a->v[i].m, b->v[i].m);
    if (c || a->v[i].k != b->v[i].k) return c ? c < 0 : a->v[i].k < b->v[i].k;
  }
  return a->n > b->n;
}
struct operands { enum ir_atom_kind kind; uint32_t n; const struct ir_ix *v[MAX_OPERANDS]; };
static bool beats(const struct ir_facts *f, enum ir_atom_kind kind, const struct ir_ix *a, const struct ir_ix *b)   /* a is never above (max: below) b */
{
  struct poly d;
  const struct ir_ix *x = kind == IR_ATOM_MIN ? b : a, *y = kind == IR_ATOM_MIN ? a : b;
  if (x->lo >= y->hi && x->lo != -IR_IX_INF && y->hi != IR_IX_INF) return true;
  return poly_addmul(a->t, &d, x->v, x->n, -1, a->t->one, y->v, y->n) && known(a->t, f, &d);
}
static bool put_operand(const struct ir_facts *f, struct operands *o, const struct ir_ix *e)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < o->n; i++)
    if (beats(f, o->kind, o->v[i], e)) return true;
  for (uint32_t i = 0; i < o->n; i++)
    if (!beats(f, o->kind, e, o->v[i])) o->v[n++] = o->v[i];
  if (n == MAX_OPERANDS) return false;
  uint32_t j = n;
  for (; j && before(e, o->v[j - 1]); j--) o->v[j] = o->v[j - 1];
  o->v[j] = e;
  o->n = n + 1;
  return true;
}
/* e = k * min(a, b), k > 0: its operands, one by one */
static bool spread(const struct ir_facts *f, struct operands *o, const struct ir_ix *e)
{
  for (unsigned left = MAX_OPERANDS; left; left--) {
    if (e->n != 1 || e->v[0].m->n != 1 || e->v[0].m->a[0]->kind != o->kind || e->v[0].k < 1) return put_operand(f, o, e);
    const struct ir_atom *m = e->v[0].m->a[0];
    const struct ir_ix *a = ir_ix_muli(m->a, e->v[0].k), *b = ir_ix_muli(m->b, e->v[0].k);
    if (a->over || b->over || (a->n == 1 && a->v[0].m->n == 1 && a->v[0].m->a[0]->kind == o->kind)) return false;
    TRY(put_operand(f, o, a));
    e = b;
  }
  return false;
}
static const struct ir_ix *pair(enum ir_atom_kind kind, const struct ir_ix *a, const struct ir_ix *b)
{
  int64_t g = gcd64(content(a), content(b));
  if (g > 1) { a = scaled_down(a, g); b = scaled_down(b, g); }
  return ir_ix_muli(ix_atom(a->t, kind, a, b), g > 1 ? g : 1);
}
static const struct ir_ix *extreme(const struct ir_facts *f, enum ir_atom_kind kind, const struct ir_ix *a, const struct ir_ix *b)
{
  struct operands o = { .kind = kind };
  IR_ASSERT(a->t == b->t);
  if (a == b) return a;
  if (!spread(f, &o, a) || !spread(f, &o, b)) return before(a, b) ? pair(kind, a, b) : pair(kind, b, a);
  const struct ir_ix *e = o.v[o.n - 1];
  for (uint32_t i = o.n - 1; i-- > 0;) e = pair(kind, o.v[i], e);
  return e;
}
const struct ir_ix *ix_min(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b) { return extreme(f, IR_ATOM_MIN, a, b); }
const struct ir_ix *ix_max(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b) { return extreme(f, IR_ATOM_MAX, a, b); }
const struct ir_ix *ir_ix_min(const struct ir_ix *a, const struct ir_ix *b) { return ix_min(NULL, a, b); }
const struct ir_ix *ir_ix_max(const struct ir_ix *a, const struct ir_ix *b) { return ix_max(NULL, a, b); }

/* ---- bcast ---- */
static bool at_least_2(const struct ir_facts *f, const struct ir_ix *e)
{
  if (e->lo >= 2) return true;
  struct poly p;
  poly_ix(&p, e);
  return poly_addi(e->t, &p, -2) && known(e->t, f, &p);
}
const struct ir_ix *ix_bcast(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b)
{
  IR_ASSERT(a->t == b->t);
  if (a == b || ir_ix_is(b, 1)) return a;
  if (ir_ix_is(a, 1)) return b;
  if (before(b, a)) { const struct ir_ix *x = a; a = b; b = x; }
  bool ka = a->lo == a->hi, a2 = at_least_2(f, a), b2 = at_least_2(f, b);
  if (a2 && (!b2 || ka || b->lo != b->hi)) return a;   /* the other is 1 or the same; a constant is the better name */
  if (b2) return b;
  return ix_atom(a->t, IR_ATOM_BCAST, a, b);
}
const struct ir_ix *ir_ix_bcast(const struct ir_ix *a, const struct ir_ix *b) { return ix_bcast(NULL, a, b); }

/* ---- tests ---- */
static int64_t variable_content(const struct ir_ix *e)
{
  int64_t g = 0;
  for (uint32_t i = 0; i < e->n; i++)
    if (e->v[i].m->n) g = gcd64(g, e->v[i].k);
  return g;
}
static const struct ir_ix *floor_down(const struct ir_ix *e, int64_t g)    /* (e - c mod g) / g */
{
  struct poly p;
  uint32_t n = 0;
  poly_ix(&p, e);
  for (uint32_t i = 0; i < p.n; i++) {
    p.v[n] = (struct term){ ir_floordiv(p.v[i].k, g), p.v[i].m };
    n += p.v[n].k != 0;
  }
  p.n = n;
  return ix_of_poly(e->t, &p);
}
const struct ir_ix *ix_ge0(const struct ir_facts *f, const struct ir_ix *e)
{
  int64_t g = variable_content(e);
  if (g > 1) e = floor_down(e, g);
  enum ir_proof p = ir_prove_ge0(f, e);
  if (p) return ir_ix_int(e->t, p == IR_YES);
  return ix_atom(e->t, IR_ATOM_GE0, e, NULL);
}
const struct ir_ix *ix_eq0(const struct ir_facts *f, const struct ir_ix *e)
{
  int64_t g = variable_content(e);
  if (g > 1) {
    if (!e->v[e->n - 1].m->n && e->v[e->n - 1].k % g) return e->t->zero;
    e = floor_down(e, g);
  }
  if (e->n && e->v[0].k < 0) e = ir_ix_neg(e);
  enum ir_proof p = ir_prove_eq0(f, e);
  if (p) return ir_ix_int(e->t, p == IR_YES);
  return ix_atom(e->t, IR_ATOM_EQ0, e, NULL);
}
const struct ir_ix *ir_ix_ge0(const struct ir_ix *e) { return ix_ge0(NULL, e); }
const struct ir_ix *ir_ix_eq0(const struct ir_ix *e) { return ix_eq0(NULL, e); }
const struct ir_ix *ir_ix_lt(const struct ir_ix *a, const struct ir_ix *b) { return ir_ix_ge0(ir_ix_addi(ir_ix_sub(b, a), -1)); }
const struct ir_ix *ir_ix_le(const struct ir_ix *a, const struct ir_ix *b) { return ir_ix_ge0(ir_ix_sub(b, a)); }
const struct ir_ix *ir_ix_select(const struct ir_ix *p, const struct ir_ix *a, const struct ir_ix *b)
{
  if (ir_ix_is(p, 1) || a == b) return a;
  if (!p->n) return b;
  return ir_ix_add(b, ir_ix_mul(p, ir_ix_sub(a, b)));
}
