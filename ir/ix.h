/* Index expressions: one interned integer algebra for dims, shape values, index maps, masks, sizes and kernel indices (docs/graph-ir.md, section "Dims").
 *
 * Canonical form: a sum of integer * product of sorted atoms, distributed. Equal expressions of one table are the same pointer. Coefficients are checked
 * 64-bit; what overflows, or has more than IR_IX_MAX_TERMS terms, becomes an opaque symbol interned by its content ("overflowed" tells).
 * Atoms: symbol; floor(a/b); min, max (two operands; longer ones nest, sorted); bcast(a,b); tests [e>=0] and [e==0] with value 0 or 1; load(array, index..).
 * a % b is a - b*floor(a/b): printed as %. A product of tests is "and", 1-p is "not", b + p*(a-b) is "select". Tests are idempotent under product and are
 * not distributed over sums of more than 8 terms. Order of terms and atoms depends on content and creation order only, never on addresses.
 *
 * Division is floor division; divisors are assumed positive (a divisor that can be 0 or negative is our bug; ir_ix_eval reports it).
 * Every expression knows its table, so functions take only expressions. Tables are not thread-safe: one thread per table. Free for all are
 * const, is, range, by, uses, as_sym, nterms, term, eval, and move as far as its source goes; all else (print, linear, proofs too) may add to the table. */
#ifndef MASSC_IR_IX_H
#define MASSC_IR_IX_H
#include "ir/base/base.h"

struct ir_ix;                      /* interned; compare with == */
struct ir_ixs;                     /* the table: owns symbols, atoms, expressions */

enum { IR_IX_MAX_TERMS = 64, IR_IX_COORDS = 16 };
#define IR_IX_INF INT64_MAX        /* upper bound "none"; -IR_IX_INF is the lower one */

enum ir_sym_kind { IR_SYM_DIM /* of the model */, IR_SYM_COORD /* c0.. */, IR_SYM_AXIS /* of a nest statement */, IR_SYM_LOOP, IR_SYM_ID /* lane, warp, grid, a digit of one */ };
struct ir_sym {
  const char *name;                /* unique in the table */
  enum ir_sym_kind kind;
  int64_t lo, hi;                  /* lo <= value <= hi */
  int64_t by;                      /* known divisor of the value, >= 1 */
  uint32_t id;                     /* creation number */
  const struct ir_ix *def;         /* an opaque symbol: what it stands for (not listed by ir_ixs_sym, prints as opaque(..)), else NULL */
  const struct ir_sym *whole;      /* a hidden base: the visible symbol, which is whole->by times this one; else NULL */
};

struct ir_ixs *ir_ixs_create(struct ir_arena *a);
struct ir_ixs *ir_ix_table(const struct ir_ix *e);

/* ---- symbols ----
 * A symbol with by > 1 is kept as by * base, base a hidden symbol in lo/by..hi/by, so that divisibility is syntactic; it still prints as its name. */
const struct ir_ix *ir_ix_sym(struct ir_ixs *t, const char *name, enum ir_sym_kind kind, int64_t lo, int64_t hi, int64_t by);
                                   /* an existing name: that symbol (kind and range must agree, else ir_bug) */
const struct ir_ix *ir_ix_fresh(struct ir_ixs *t, const char *prefix, enum ir_sym_kind kind, int64_t lo, int64_t hi, int64_t by); /* prefix, or prefix.1, .2 .. */
const struct ir_ix *ir_ix_find(struct ir_ixs *t, const char *name);         /* NULL if there is none */
const struct ir_ix *ir_ix_coord(struct ir_ixs *t, unsigned k);              /* "c<k>", 0 <= value, k < IR_IX_COORDS */
void ir_ix_narrow(const struct ir_ix *sym, int64_t lo, int64_t hi);         /* a symbol's range, from a requirement: only ever tighter */
const struct ir_sym *ir_ix_as_sym(const struct ir_ix *e);                   /* NULL unless e is one whole symbol */
unsigned ir_ixs_nsyms(const struct ir_ixs *t);
const struct ir_sym *ir_ixs_sym(const struct ir_ixs *t, unsigned i);        /* in creation order */

/* ---- building (results canonical) ---- */
const struct ir_ix *ir_ix_int(struct ir_ixs *t, int64_t k);
const struct ir_ix *ir_ix_add(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_sub(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_mul(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_addi(const struct ir_ix *a, int64_t k);
const struct ir_ix *ir_ix_muli(const struct ir_ix *a, int64_t k);
const struct ir_ix *ir_ix_neg(const struct ir_ix *a);
const struct ir_ix *ir_ix_div(const struct ir_ix *a, const struct ir_ix *b);   /* floor; tries polynomial division, then splits off divisible terms, and
                                                                                 the rules of docs/kernel-ir.md section "Index expressions" */
const struct ir_ix *ir_ix_mod(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_divi(const struct ir_ix *a, int64_t k);
const struct ir_ix *ir_ix_modi(const struct ir_ix *a, int64_t k);
const struct ir_ix *ir_ix_cdivi(const struct ir_ix *a, int64_t k);              /* ceiling */
const struct ir_ix *ir_ix_cdiv(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_min(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_max(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_bcast(const struct ir_ix *a, const struct ir_ix *b);  /* a if b is 1, b if a is 1; else they are equal */
const struct ir_ix *ir_ix_ge0(const struct ir_ix *e);                           /* [e >= 0] */
const struct ir_ix *ir_ix_eq0(const struct ir_ix *e);                           /* [e == 0] */
const struct ir_ix *ir_ix_lt(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_le(const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_select(const struct ir_ix *p, const struct ir_ix *a, const struct ir_ix *b);
const struct ir_ix *ir_ix_load(struct ir_ixs *t, unsigned array, const struct ir_ix *const *at, unsigned n, int64_t lo, int64_t hi);
/* A symbol that stands for e (e itself if it is a constant or a symbol), of unknown range: for what is too intricate to compute and prove with. */
const struct ir_ix *ir_ix_opaque(const struct ir_ix *e);
/* Replaces symbols at once and rebuilds. from[i] are whole symbols. */
const struct ir_ix *ir_ix_subst(const struct ir_ix *e, const struct ir_ix *const *from, const struct ir_ix *const *to, unsigned n);
const struct ir_ix *ir_ix_subst1(const struct ir_ix *e, const struct ir_ix *from, const struct ir_ix *to);
/* The same expression in another table; symbols go by name, made there with kind, range and by when absent. */
const struct ir_ix *ir_ix_move(struct ir_ixs *to, const struct ir_ix *e);

/* ---- looking ---- */
bool ir_ix_const(const struct ir_ix *e, int64_t *out);            /* false: not constant */
bool ir_ix_is(const struct ir_ix *e, int64_t k);                  /* e is the constant k */
void ir_ix_range(const struct ir_ix *e, int64_t *lo, int64_t *hi);/* interval from symbol ranges; +-IR_IX_INF: unbounded */
int64_t ir_ix_by(const struct ir_ix *e);                          /* largest known divisor (0's is 0) */
bool ir_ix_uses(const struct ir_ix *e, const struct ir_ix *sym);
bool ir_ix_overflowed(const struct ir_ix *e);                     /* holds an opaque symbol */
/* e == coeff * sym + rest with sym in neither; false if sym stands inside an atom or with a power. */
bool ir_ix_linear(const struct ir_ix *e, const struct ir_ix *sym, const struct ir_ix **out_coeff, const struct ir_ix **out_rest);
/* Structure, for code generators: e = sum of term k[i] * product of its factors. */
enum ir_atom_kind { IR_ATOM_SYM, IR_ATOM_DIV, IR_ATOM_MIN, IR_ATOM_MAX, IR_ATOM_BCAST, IR_ATOM_GE0, IR_ATOM_EQ0, IR_ATOM_LOAD };
struct ir_atom {
  enum ir_atom_kind kind;
  uint32_t id;                     /* creation number in its table; total order */
  const struct ir_sym *sym;        /* SYM (the base symbol when by > 1) */
  const struct ir_ix *a, *b;       /* DIV, MIN, MAX, BCAST: both; GE0, EQ0: a */
  unsigned array, n;               /* LOAD */
  const struct ir_ix *const *at;
};
unsigned ir_ix_nterms(const struct ir_ix *e);                     /* 0 for the constant 0 */
int64_t ir_ix_term(const struct ir_ix *e, unsigned i, unsigned *out_nfactors, const struct ir_atom *const **out_factors); /* the constant term: no factors */
void ir_atom_range(const struct ir_atom *a, int64_t *lo, int64_t *hi);
const struct ir_ix *ir_ix_part(const struct ir_ix *e, unsigned i); /* term i as an expression */
/* e == k*co * (a % b) + rest, where rest has fewer terms; false: no such part. For printers: canonical sums hold a - b*(a/b). */
struct ir_modpart { int64_t k; const struct ir_ix *co, *a, *b, *rest; };
bool ir_ix_modpart(const struct ir_ix *e, struct ir_modpart *out);
uint32_t ir_ix_id(const struct ir_ix *e);                         /* creation number in its table */

/* ---- facts and proving ----
 * A stack of things known (e >= 0), for one scope: extents of loops, conditions, requirements. Facts are of one table. */
struct ir_facts { struct ir_arena *arena; IR_VEC(const struct ir_ix *) ge0; };
static inline uint32_t ir_facts_mark(const struct ir_facts *f) { return f->ge0.n; }
static inline void ir_facts_reset(struct ir_facts *f, uint32_t mark) { f->ge0.n = mark; }
void ir_facts_push(struct ir_facts *f, const struct ir_ix *e);
enum ir_proof { IR_NO = -1, IR_UNKNOWN = 0, IR_YES = 1 };
/* e >= 0? Intervals first, then a negative monomial is replaced through a known inequality (a fact, a symbol's range, b*(a/b) <= a, min, max), depth 3,
 * at most 64 steps, memoised per call. f may be NULL. */
enum ir_proof ir_prove_ge0(const struct ir_facts *f, const struct ir_ix *e);
enum ir_proof ir_prove_eq0(const struct ir_facts *f, const struct ir_ix *e);
static inline bool ir_known_ge0(const struct ir_facts *f, const struct ir_ix *e) { return ir_prove_ge0(f, e) == IR_YES; }
/* Tests, mins, maxs, divisions of e that the facts decide are replaced by what they are. */
const struct ir_ix *ir_ix_simplify(const struct ir_facts *f, const struct ir_ix *e);

/* ---- values ---- */
/* value of a symbol: set false = unknown. load: value of an array element, may be NULL if e has none. Returns false on an unknown symbol, a division by a
 * number below 1, or overflow. */
struct ir_ix_env { int64_t (*sym)(void *arg, const struct ir_sym *s, bool *known); int64_t (*load)(void *arg, unsigned array, const int64_t *at, unsigned n); void *arg; };
bool ir_ix_eval(const struct ir_ix *e, const struct ir_ix_env *env, int64_t *out);

/* ---- text: "n*64 + h/2", "c1 % 16", "min(a, b)", "[c3 <= c2]" = [c2 - c3 >= 0], "i0[c0, 3]"; parse(print(e)) == e in a table with the same symbols ---- */
void ir_ix_print(struct ir_buf *b, const struct ir_ix *e);
/* A symbol's name: as it is when it reads as one word, else within backquotes. */
void ir_ix_print_name(struct ir_buf *b, const char *name);
const char *ir_ix_str(struct ir_arena *a, const struct ir_ix *e);
/* Reads the longest expression at *s and moves *s behind it; unknown names are given to `unknown` (may be NULL: an error). NULL on a syntax error, *s at it.
 * Nesting over 64 deep is an error. A space or newline ends the expression unless an operator follows on the same line. */
const struct ir_ix *ir_ix_parse(struct ir_ixs *t, const char **s, const char *end, const struct ir_ix *(*unknown)(void *arg, struct ir_ixs *t, const char *name), void *arg);
#endif
