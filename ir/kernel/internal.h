/* ir/kernel's own: what its files share. Not for other folders. */
#ifndef MASSC_KIR_INTERNAL_H
#define MASSC_KIR_INTERNAL_H
#include "ir/kernel/kir.h"

/* ---- names (names.c) ---- */
const char *kir_red_name(enum kir_red r);
bool kir_red_parse(const char *s, size_t n, enum kir_red *out);
const char *kir_map_name(enum ir_map f);
unsigned kir_map_arity(enum ir_map f);
char kir_map_kind(enum ir_map f);                      /* A P B X, as in maps.def */
bool kir_map_parse(const char *s, size_t n, enum ir_map *out);
const char *kir_op_name(enum kir_opcode o);
char kir_op_stage(enum kir_opcode o);                  /* B T F, as in kop.def */
bool kir_op_parse(const char *s, size_t n, enum kir_opcode *out);
static inline bool kir_is_name(char c, bool first)     /* letters, _; behind the first place also digits, dot */
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && ((c >= '0' && c <= '9') || c == '.' || c == '\''));
}
const char *kir_name_clean(struct ir_arena *a, const char *s);
const char *kir_arr_name(struct ir_arena *a, const char *s, struct kir_arr *const *v1, uint32_t n1, struct kir_arr *const *v2, uint32_t n2);

/* ---- walking a kern: every op in text order, without recursion ---- */
enum { KIR_MAX_NEST = 128 };                           /* loops and branches within one another */
struct kir_walk { bool started; unsigned n; struct kir_op *next, *stack[KIR_MAX_NEST * 2]; };
struct kir_op *kir_walk(const struct kir_kern *k, struct kir_walk *w);  /* NULL at the end; w starts zeroed */
bool kir_op_has_value(const struct kir_op *o);
bool kir_verify_structure(const struct kir_kern *k, const char **why);  /* rule 1 and sizes: what running relies on */

/* ---- text ---- */
unsigned kir_sym_bound(struct ir_ixs *t);              /* all visible symbols and their bases have smaller numbers */
/* Which symbols of a table an expression set uses: one flag per symbol number, of base symbols. */
struct kir_used { struct ir_ixs *t; uint8_t *on; unsigned n; };
void kir_used_init(struct kir_used *u, struct ir_ixs *t);           /* on the heap */
void kir_used_deinit(struct kir_used *u);
void kir_used_ix(struct kir_used *u, const struct ir_ix *e);
void kir_used_arr(struct kir_used *u, const struct kir_arr *a);
void kir_used_expr(struct kir_used *u, const struct kir_expr *e);
void kir_nest_used(struct kir_used *u, const struct kir_nest *n, bool facts);      /* inits; all that the nest's text names, with or without its facts */
void kir_kern_used(struct kir_used *u, const struct kir_kern *k, bool facts);
bool kir_used_sym(const struct kir_used *u, const struct ir_ix *sym);
const struct ir_sym *kir_base_sym(const struct ir_ix *sym, int64_t *out_by);   /* the symbol that stands in its terms, and what it is multiplied by */

void kir_text_where(struct ir_buf *b, const struct kir_used *u, bool axes);     /* " where R in 1..9, .."; axes: loop, id and axis symbols too */
void kir_text_facts(struct ir_buf *b, const struct ir_facts *f);                /* " given 0 <= e, .." */
void kir_text_lit(struct ir_buf *b, enum ir_elem e, double f, int64_t i);       /* "0.5", "-inf", "7": read back exactly when the type is known */
void kir_text_arr(struct ir_buf *b, const struct kir_arr *a, const char *name); /* "x: f32[..] .." */
void kir_text_expr(struct ir_buf *b, const struct kir_expr *e, const char *(*name)(const struct kir_arr *a, void *arg), void *arg);
void kir_text_primary(struct ir_buf *b, const struct kir_expr *e);              /* in parentheses where it is infix */
void kir_nest_text(struct ir_buf *b, const struct kir_nest *n, bool numbered);  /* numbered: arguments a0.., temporaries t0.., no name */

/* ---- running index expressions (ixrun.c) ----
 * Expressions of one table, compiled once each, evaluated on a row of symbol values. Symbols are numbered by ir_sym.id; a symbol with `by` stands as its base. */
struct kir_ixm;                                        /* the compiled expressions of a table */
struct kir_ixp;                                        /* one of them */
struct kir_row {                                       /* values of the symbols; several may share a kir_ixm */
  int64_t *v;
  bool failed;                                         /* a divisor below 1, or a load that failed: the value was 0 */
  bool (*load)(void *arg, unsigned array, const int64_t *at, unsigned n, int64_t *out);
  void *arg;
};
struct kir_ixm *kir_ixm_create(struct ir_arena *a, struct ir_ixs *t);
const struct kir_ixp *kir_ixp_get(struct kir_ixm *m, const struct ir_ix *e);
unsigned kir_ixm_syms(const struct kir_ixm *m);        /* length of a row */
int64_t kir_ixp_eval(const struct kir_ixp *p, struct kir_row *r);
bool kir_ixp_uses(const struct kir_ixp *p, uint32_t base);   /* by base symbol number */
bool kir_ixp_only(const struct kir_ixp *p, const uint8_t *ok);   /* no symbol but those that are on */
bool kir_ixp_const(const struct kir_ixp *p, int64_t *out);
static inline int64_t kir_ix_run(struct kir_ixm *m, const struct ir_ix *e, struct kir_row *r) { return kir_ixp_eval(kir_ixp_get(m, e), r); }
/* Binds by name; unknown names are ignored. False: a value that does not fit the symbol's range or divisor (*why). known: one flag per symbol, or NULL. */
bool kir_row_bind(struct ir_arena *a, struct kir_row *r, struct ir_ixs *t, const struct kir_bind *b, unsigned n, uint8_t *known, const char **why);
/* Every dim symbol among the used ones is known; else *why names one. */
bool kir_all_bound(struct ir_arena *a, const struct kir_used *u, const uint8_t *known, const char **why);

/* ---- scalar values ---- */
union kir_val { double f; int64_t i; };
static inline bool kir_is_f(enum ir_elem e) { return e >= IR_f16 && e <= IR_tf32; }
union kir_val kir_cast_val(enum ir_elem from, enum ir_elem to, union kir_val x);     /* floats to integers: towards zero, saturating, NaN is 0 */
union kir_val kir_map_val(enum ir_map f, enum ir_elem operands, enum ir_elem result, union kir_val a, union kir_val b, union kir_val c);
union kir_val kir_red_neutral(enum kir_red r, enum ir_elem e);
union kir_val kir_red_step(enum kir_red r, enum ir_elem e, union kir_val acc, union kir_val x);   /* floats are not rounded */
static inline union kir_val kir_round(enum ir_elem e, union kir_val x)
{
  if (e == IR_f32) x.f = (float)x.f;
  else if (e == IR_f16 || e == IR_bf16 || e == IR_tf32) x.f = ir_round_to(e, x.f);
  else if (e != IR_f64) x.i = ir_wrap_to(e, x.i);
  return x;
}

/* ---- the storage of an argument in numbers (arg.c) ---- */
struct kir_dom {
  unsigned rank;
  int64_t lo[IR_MAX_RANK], hi[IR_MAX_RANK], shape[IR_MAX_RANK];    /* shape: hi where the array has none */
  int64_t elems;
  int64_t *tab[IR_MAX_RANK];                           /* separable storage: offset = base + sum of tab[d][c - lo]; else NULL and prog */
  int64_t base;
  const struct kir_ixp *at;
  uint32_t coord[IR_MAX_RANK];
  struct kir_row *row;
};
/* At the row's values of the dims. False: negative extents, or sizes that overflow (*why). */
bool kir_dom_init(struct ir_arena *a, struct kir_dom *d, const struct kir_arr *arr, struct kir_ixm *m, struct kir_row *r, const char **why);
int64_t kir_dom_at(const struct kir_dom *d, const int64_t *c);
bool kir_dom_next(const int64_t *lo, const int64_t *hi, unsigned rank, int64_t *c);  /* odometer, last coordinate first; false behind the last */
#endif
