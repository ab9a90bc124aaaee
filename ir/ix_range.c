/* Intervals and known divisors of index expressions, kept with every atom, monomial and expression.
 *
 * A sum's interval is the sum of its terms' intervals, except that x - q*(x/q) is recognised as x % q, whose interval is 0..q-1 whatever x is; so is
 * (x/q) % k, which the division rules spell x/q - k*(x/(q*k)). */
#include "ir/ix_internal.h"

static void mul_range(int64_t *lo, int64_t *hi, int64_t l, int64_t h)
{
  int64_t c[4] = { sat_mul(*lo, l), sat_mul(*lo, h), sat_mul(*hi, l), sat_mul(*hi, h) };
  *lo = *hi = c[0];
  for (int i = 1; i < 4; i++) {
    if (c[i] < *lo) *lo = c[i];
    if (c[i] > *hi) *hi = c[i];
  }
}
static void div_range(const struct ir_ix *a, const struct ir_ix *b, int64_t *lo, int64_t *hi)
{
  int64_t bl = b->lo < 1 ? 1 : b->lo, bh = b->hi < 1 ? 1 : b->hi;
  if (a->lo == -IR_IX_INF) *lo = -IR_IX_INF;
  else if (a->lo >= 0) *lo = bh == IR_IX_INF ? 0 : a->lo / bh;
  else *lo = ir_floordiv(a->lo, bl);
  if (a->hi == IR_IX_INF) *hi = IR_IX_INF;
  else if (a->hi >= 0) *hi = a->hi / bl;
  else *hi = bh == IR_IX_INF ? -1 : ir_floordiv(a->hi, bh);
}
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
void atom_facts(struct ix_atom *x)
{
  const struct ir_atom *p = &x->pub;
  const struct ir_ix *a = p->a, *b = p->b;
  int64_t lo = -IR_IX_INF, hi = IR_IX_INF;
  x->by = 1;
  switch (p->kind) {
  case IR_ATOM_SYM:
    lo = p->sym->def ? p->sym->def->lo : p->sym->lo;
    hi = p->sym->def ? p->sym->def->hi : p->sym->hi;
    if (p->sym->def && p->sym->def->by) x->by = p->sym->def->by;
    break;
  case IR_ATOM_DIV: div_range(a, b, &lo, &hi); break;
  case IR_ATOM_MIN: lo = min64(a->lo, b->lo); hi = min64(a->hi, b->hi); x->by = gcd64(a->by, b->by); break;
  case IR_ATOM_MAX: lo = max64(a->lo, b->lo); hi = max64(a->hi, b->hi); x->by = gcd64(a->by, b->by); break;
  case IR_ATOM_BCAST:
    lo = a->lo >= 1 && b->lo >= 1 ? max64(a->lo, b->lo) : min64(a->lo, b->lo);
    hi = max64(a->hi, b->hi);
    x->by = gcd64(a->by, b->by);
    break;
  case IR_ATOM_GE0: case IR_ATOM_EQ0: lo = 0; hi = 1; break;
  case IR_ATOM_LOAD: break;
  }
  if (x->by < 1) x->by = 1;
  if (lo > x->lo) x->lo = lo_cap(lo);
  if (hi < x->hi) x->hi = hi_cap(hi);
}
void mono_facts(struct ix_mono *m)
{
  int64_t lo = 1, hi = 1, by = 1;
  for (uint32_t i = 0; i < m->n;) {
    const struct ix_atom *x = ix_atom_of(m->a[i]);
    int64_t l = 1, h = 1;
    uint32_t power = 0;
    for (; i < m->n && m->a[i] == &x->pub; i++, power++) {
      mul_range(&l, &h, x->lo, x->hi);
      int64_t k;
      if (ir_mul64(by, x->by, &k)) by = k;
    }
    if (power % 2 == 0 && l < 0) l = 0;
    mul_range(&lo, &hi, l, h);
  }
  m->by = by;
  if (lo > m->lo) m->lo = lo_cap(lo);
  if (hi < m->hi) m->hi = hi_cap(hi);
}
static void sum_range(const struct term *v, uint32_t n, int64_t *lo, int64_t *hi)
{
  *lo = *hi = 0;
  for (uint32_t i = 0; i < n; i++) {
    int64_t l = v[i].m->lo, h = v[i].m->hi;
    mul_range(&l, &h, v[i].k, v[i].k);
    *lo = sat_add(*lo, l);
    *hi = sat_add(*hi, h);
  }
  *lo = lo_cap(*lo);
  *hi = hi_cap(*hi);
}

/* rest = p - k*m*(e - mod*D), where D stands in term i with cofactor cof; mod divides D's divisor: e = D.a / (D.b / mod). */
static bool try_mod(struct ir_ixs *t, const struct term *v, uint32_t n, uint32_t i, const struct ir_atom *d, const struct ix_mono *cof, const struct ir_ix *q, struct modpart *out,
                    struct poly *rest)
{
  struct poly b, mod, rem;
  poly_ix(&b, d->b);
  if (ir_ix_is(q, 1)) poly_set(&mod, b.v, b.n);
  else TRY(poly_divide(t, &b, q, &mod, &rem) && !rem.n);
  if (!mod.n || mod.n > IR_IX_MAX_TERMS || (mod.n == 1 && !mod.v[0].m->n && mod.v[0].k <= 1)) return false;
  if (v[i].k == INT64_MIN || v[i].k % mod.v[0].k) return false;
  out->k = -(v[i].k / mod.v[0].k);
  out->m = mono_div(t, cof, mod.v[0].m);
  if (!out->m) return false;
  out->mod = ix_of_poly(t, &mod);
  out->e = ir_ix_is(q, 1) ? d->a : ix_div(NULL, d->a, q);
  const struct ix_mono *md = mono_mul(t, out->m, ix_atom_of(d)->mono);
  struct poly x;
  TRY(out->k != INT64_MIN && md && poly_addmul(t, &x, v, n, -out->k, out->m, out->e->v, out->e->n));
  TRY(poly_addmul(t, rest, x.v, x.n, out->k, md, mod.v, mod.n));
  return rest->n < n;
}
bool poly_find_mod(struct ir_ixs *t, const struct term *v, uint32_t n, const uint32_t *order, struct modpart *out, struct poly *rest)
{
  if (n < 2) return false;
  for (uint32_t at = 0; at < n; at++) {
    uint32_t i = order ? order[at] : at;
    if (!v[i].m->div) continue;
    for (uint32_t j = 0; j < v[i].m->n; j++) {
      const struct ir_atom *d = v[i].m->a[j];
      if (d->kind != IR_ATOM_DIV || (j && v[i].m->a[j - 1] == d)) continue;
      const struct ix_mono *cof = mono_without(t, v[i].m, d);
      if (try_mod(t, v, n, i, d, cof, ir_ix_int(t, 1), out, rest)) return true;
      for (uint32_t other = 0; other < n; other++) {      /* (x/q) % mod: some other quotient of this sum has the smaller divisor */
        uint32_t k = order ? order[other] : other;
        for (uint32_t l = 0; k != i && v[k].m->div && l < v[k].m->n; l++)
          if (v[k].m->a[l]->kind == IR_ATOM_DIV && v[k].m->a[l] != d && try_mod(t, v, n, i, d, cof, v[k].m->a[l]->b, out, rest)) return true;
      }
    }
  }
  return false;
}
void poly_range(struct ir_ixs *t, const struct term *v, uint32_t n, int64_t *lo, int64_t *hi)
{
  sum_range(v, n, lo, hi);
  bool div = false;
  for (uint32_t i = 0; i < n; i++) div |= v[i].m->div;
  if (!div || n < 2) return;
  struct poly p, rest;
  struct modpart mp;
  int64_t alo = 0, ahi = 0;                      /* of the parts found so far */
  poly_set(&p, v, n);
  while (poly_find_mod(t, p.v, p.n, NULL, &mp, &rest)) {
    int64_t l = mp.m->lo, h = mp.m->hi, top = sat_add(mp.mod->hi, -1);
    if (mp.e->lo >= 0 && mp.e->hi < top) top = mp.e->hi;
    mul_range(&l, &h, 0, top < 0 ? 0 : top);
    mul_range(&l, &h, mp.k, mp.k);
    alo = sat_add(alo, l);
    ahi = sat_add(ahi, h);
    poly_set(&p, rest.v, rest.n);
    sum_range(p.v, p.n, &l, &h);
    l = lo_cap(sat_add(l, alo));
    h = hi_cap(sat_add(h, ahi));
    if (l > *lo) *lo = l;
    if (h < *hi) *hi = h;
  }
}
void ir_atom_range(const struct ir_atom *a, int64_t *lo, int64_t *hi)
{
  *lo = ix_atom_of(a)->lo;
  *hi = ix_atom_of(a)->hi;
}
const struct ir_ix *ir_ix_part(const struct ir_ix *e, unsigned i) { return ix_intern(e->t, &e->v[i], 1); }
bool ir_ix_modpart(const struct ir_ix *e, struct ir_modpart *out)
{
  struct poly rest;
  struct modpart m;
  if (!poly_find_mod(e->t, e->v, e->n, NULL, &m, &rest)) return false;
  *out = (struct ir_modpart){ m.k, ix_of_mono(e->t, 1, m.m), m.e, m.mod, ix_of_poly(e->t, &rest) };
  return out->rest != NULL;
}
