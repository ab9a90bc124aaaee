/* Reading text forms: the small lexer that the parsers of nests, kerns and schedules share. Every function returns false (or NULL) after one diagnostic. */
#ifndef MASSC_KIR_LEX_H
#define MASSC_KIR_LEX_H
#include "ir/kernel/internal.h"

struct kir_lex {
  struct ir_arena *arena;
  struct ir_diags *diags;
  const char *begin, *s, *end;
  struct kir_nest *n;                                  /* owner of expressions; its table gives the symbols */
  struct kir_arr *(*array)(void *arg, const char *name, size_t len);   /* NULL: unknown */
  struct kir_reg *(*reg)(void *arg, const char *name, size_t len);     /* NULL: no tiles here */
  void *arg;
  unsigned depth;
};
bool kir_lex_error(struct kir_lex *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));   /* at x->s, with line and column */
void kir_lex_blank(struct kir_lex *x);                 /* spaces, newlines, and "#" to the end of the line */
bool kir_lex_try(struct kir_lex *x, const char *w);    /* punctuation or a whole word, if it is there */
bool kir_lex_eat(struct kir_lex *x, const char *w);
bool kir_lex_name(struct kir_lex *x, const char **out, size_t *len);     /* of arrays, registers, ops */
bool kir_lex_int(struct kir_lex *x, int64_t *out);
bool kir_lex_uint(struct kir_lex *x, int64_t lo, int64_t hi, int64_t *out);
bool kir_lex_lit(struct kir_lex *x, enum ir_elem e, double *f, int64_t *i);
bool kir_lex_elem(struct kir_lex *x, enum ir_elem *out);
const struct ir_ix *kir_lex_ix(struct kir_lex *x);
bool kir_lex_ixs(struct kir_lex *x, const char *close, unsigned max, const struct ir_ix **out, unsigned *n);   /* list up to `close` */
const char *kir_lex_sym(struct kir_lex *x);            /* a symbol's name, perhaps in backquotes */
/* A symbol that is declared here: new, or the same again. */
const struct ir_ix *kir_lex_declare(struct kir_lex *x, const char *name, enum ir_sym_kind kind, int64_t lo, int64_t hi, int64_t by, bool again);
bool kir_lex_axes(struct kir_lex *x, struct kir_axis *out, unsigned *n); /* "r < R, c < 768]" */
bool kir_lex_where(struct kir_lex *x, bool kinds);     /* ["where" ..]; kinds: loops, ids and axes too */
bool kir_lex_given(struct kir_lex *x, struct ir_facts *f);               /* ["given" ..] */
bool kir_lex_arr(struct kir_lex *x, struct kir_arr *a);/* behind the name: ": f32[..] .." */
bool kir_lex_args(struct kir_lex *x);                  /* "x: f32[..], .." into x->n */
bool kir_lex_skip_parens(struct kir_lex *x);           /* to behind the ")" that closes the one before x->s */
bool kir_lex_layout(struct kir_lex *x, struct kir_layout *out);          /* behind "<" */
struct kir_expr *kir_lex_expr(struct kir_lex *x);
struct kir_expr *kir_lex_primary(struct kir_lex *x);
#endif
