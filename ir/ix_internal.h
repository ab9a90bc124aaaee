/* ir/ix_internal.h: what the ix*.c files share. An expression is a sorted list of terms, coefficient times monomial; a monomial is a sorted list of atoms;
 * all three are interned by content, so that equality is pointer equality everywhere. struct poly is the same list on the stack, for work that should leave
 * nothing behind in the table (the prover). */
#ifndef MASSC_IX_INTERNAL_H
#define MASSC_IX_INTERNAL_H
#include "ir/ix.h"
#include <string.h>

enum {
  POLY_CAP = 160,       /* terms of a polynomial on the stack: the sum of two full expressions, and some */
  MAX_DEGREE = 64,      /* factors of a monomial; more become opaque */
  MAX_DEPTH = 200,      /* nesting of atoms; so functions here may recurse over it */
  MAX_SPREAD = 8,       /* a test is not distributed over more terms */
};

struct ix_mono { uint64_t hash; uint32_t id, n; bool test, div, rich /* holds an atom that is not a plain symbol */; unsigned depth; uint64_t bloom; int64_t lo, hi, by; const struct ir_atom *a[]; };
struct term { int64_t k; const struct ix_mono *m; };
struct poly { uint32_t n; struct term v[POLY_CAP]; };
struct ix_atom {
  uint64_t hash;
  struct ir_atom pub;
  const void *key_sym;               /* SYM: struct ix_sym; NULL for opaque ones, whose content (a, b, array, at) is the key */
  int64_t lo, hi, by;
  unsigned depth;
  bool over;
  uint64_t bloom;                    /* one bit per symbol number mod 64: a quick "surely not in here" */
  const struct ir_ix *ix;            /* the expression 1 * atom */
  const struct ix_mono *mono;
};
struct ir_ix {
  uint64_t hash;
  struct ir_ixs *t;
  uint32_t id, n;
  unsigned depth;
  bool over, rich;
  int8_t proof;                      /* of e >= 0 without facts: 2 not tried, else enum ir_proof */
  uint64_t bloom;
  int64_t lo, hi, by;
  struct term v[];
};
struct ix_sym {
  struct ir_sym pub;
  uint64_t hash;
  int64_t lo0, hi0;                  /* as created; narrowing leaves them */
  struct ix_sym *base;               /* by > 1: the hidden part */
  const struct ir_ix *ix;            /* the whole symbol */
  const struct ix_atom *atom;        /* of the symbol, or of its base */
  uint32_t next;                     /* ir_ix_fresh: next suffix to try */
};
struct ix_set { void **slot; uint32_t n, cap; };
struct ix_obj { enum { OBJ_ATOM, OBJ_MONO, OBJ_IX } kind; void *p; };
enum { DIV_CACHE = 1024 };
struct ir_ixs {
  struct ir_arena *arena;
  struct ix_set atoms, monos, exprs, names;
  uint32_t n_atoms, n_monos, n_exprs, n_syms, n_opaque;
  IR_VEC(struct ix_sym *) syms;      /* visible ones */
  IR_VEC(struct ix_obj) objs;        /* in order of creation, for ir_ix_narrow */
  const struct ix_mono *one;         /* the empty product */
  const struct ir_ix *zero;
  struct { const struct ir_ix *a, *b, *q; } div_cache[DIV_CACHE];
};

static inline const struct ix_atom *ix_atom_of(const struct ir_atom *a) { return (const struct ix_atom *)((const char *)a - offsetof(struct ix_atom, pub)); }
static inline const struct ix_sym *ix_sym_of(const struct ir_sym *s) { return (const struct ix_sym *)s; }
#define LOST "$deep "                /* names of symbols that stand for what was nested too deeply to be kept; they have no value */
static inline bool ix_lost(const struct ir_sym *s) { return !strncmp(s->name, LOST, sizeof LOST - 1); }
static inline bool ix_is_test(const struct ir_atom *a) { return a->kind == IR_ATOM_GE0 || a->kind == IR_ATOM_EQ0; }

/* interval arithmetic; +-IR_IX_INF absorbs. Lower bounds stay below +INF and upper ones above -INF, so that saturation only ever widens. */
static inline int64_t sat_add(int64_t a, int64_t b)
{
  int64_t r;
  if (a == IR_IX_INF || b == IR_IX_INF) return IR_IX_INF;
  if (a == -IR_IX_INF || b == -IR_IX_INF) return -IR_IX_INF;
  if (__builtin_add_overflow(a, b, &r)) return a > 0 ? IR_IX_INF : -IR_IX_INF;
  return r < -IR_IX_INF ? -IR_IX_INF : r;
}
static inline int64_t sat_mul(int64_t a, int64_t b)
{
  int64_t r;
  if (!a || !b) return 0;
  if (__builtin_mul_overflow(a, b, &r)) return (a > 0) == (b > 0) ? IR_IX_INF : -IR_IX_INF;
  return r < -IR_IX_INF ? -IR_IX_INF : r;
}
static inline int64_t lo_cap(int64_t x) { return x == IR_IX_INF ? IR_IX_INF - 1 : x; }
static inline int64_t hi_cap(int64_t x) { return x == -IR_IX_INF ? -IR_IX_INF + 1 : x; }
static inline int64_t gcd64(int64_t a, int64_t b)
{
  uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
  while (y) { uint64_t r = x % y; x = y; y = r; }
  return x > INT64_MAX ? 1 : (int64_t)x;
}

/* ---- ix.c: interning, monomials, polynomials ---- */
const struct ir_ix *ix_intern(struct ir_ixs *t, const struct term *v, uint32_t n);       /* sorted, nonzero, n <= IR_IX_MAX_TERMS */
const struct ir_ix *ix_of_poly(struct ir_ixs *t, const struct poly *p);                   /* NULL: too many terms */
const struct ir_ix *ix_of_mono(struct ir_ixs *t, int64_t k, const struct ix_mono *m);
const struct ir_ix *ix_atom(struct ir_ixs *t, enum ir_atom_kind kind, const struct ir_ix *a, const struct ir_ix *b);   /* as it stands, no rules */
const struct ir_ix *ix_opaque(const struct ir_ix *def);
int mono_cmp(const struct ix_mono *a, const struct ix_mono *b);                           /* graded lexicographic, the larger first */
const struct ix_mono *mono_mul(struct ir_ixs *t, const struct ix_mono *a, const struct ix_mono *b);  /* NULL: degree too large */
const struct ix_mono *mono_div(struct ir_ixs *t, const struct ix_mono *a, const struct ix_mono *b);  /* NULL: b does not divide a */
const struct ix_mono *mono_without(struct ir_ixs *t, const struct ix_mono *a, const struct ir_atom *x);   /* one factor x less; NULL: none there */
void poly_set(struct poly *p, const struct term *v, uint32_t n);
static inline void poly_ix(struct poly *p, const struct ir_ix *e) { poly_set(p, e->v, e->n); }
/* r = a + k*m*b; false: overflow or no room. r may not alias. */
bool poly_addmul(struct ir_ixs *t, struct poly *r, const struct term *a, uint32_t na, int64_t k, const struct ix_mono *m, const struct term *b, uint32_t nb);
bool poly_addi(struct ir_ixs *t, struct poly *p, int64_t k);                              /* in place */
bool poly_scale(struct poly *p, int64_t k);
/* p[x := e], x at top level only */
bool poly_replace(struct ir_ixs *t, struct poly *r, const struct poly *p, const struct ir_atom *x, const struct term *e, uint32_t ne);
/* a = q*b + r by grlex division with integer quotients; false: overflow. */
bool poly_divide(struct ir_ixs *t, const struct poly *a, const struct ir_ix *b, struct poly *q, struct poly *r);

/* ---- ix_range.c ---- */
void atom_facts(struct ix_atom *a);           /* lo, hi, by from the operands */
void mono_facts(struct ix_mono *m);
void poly_range(struct ir_ixs *t, const struct term *v, uint32_t n, int64_t *lo, int64_t *hi);
/* p = k*m*(e % mod) + rest with fewer terms in rest; false: no such part. Of several the first in the order of the terms, or in another that is given: a permutation of 0..n-1. */
struct modpart { int64_t k; const struct ix_mono *m; const struct ir_ix *e, *mod; };
bool poly_find_mod(struct ir_ixs *t, const struct term *v, uint32_t n, const uint32_t *order, struct modpart *out, struct poly *rest);

/* ---- ix_rules.c: constructors under facts (NULL: none) ---- */
const struct ir_ix *ix_div(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ix_min(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ix_max(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ix_bcast(const struct ir_facts *f, const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ix_ge0(const struct ir_facts *f, const struct ir_ix *e);
const struct ir_ix *ix_eq0(const struct ir_facts *f, const struct ir_ix *e);

/* ---- ix_prove.c ---- */
bool poly_prove(struct ir_ixs *t, const struct ir_facts *f, const struct poly *p);        /* p >= 0, surely */
#endif
