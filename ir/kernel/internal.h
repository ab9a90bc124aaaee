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

/* ---- text ---- */
/* Which symbols of a table an expression set uses: one flag per symbol number, of base symbols. */
struct kir_used { struct ir_ixs *t; uint8_t *on; unsigned n; };
void kir_used_init(struct kir_used *u, struct ir_ixs *t);           /* on the heap */
void kir_used_deinit(struct kir_used *u);
void kir_used_ix(struct kir_used *u, const struct ir_ix *e);
void kir_used_arr(struct kir_used *u, const struct kir_arr *a);
void kir_used_expr(struct kir_used *u, const struct kir_expr *e);
bool kir_used_sym(const struct kir_used *u, const struct ir_ix *sym);
const struct ir_sym *kir_base_sym(const struct ir_ix *sym, int64_t *out_by);   /* the symbol that stands in its terms, and what it is multiplied by */

void kir_text_where(struct ir_buf *b, const struct kir_used *u, bool axes);     /* " where R in 1..9, .."; axes: loop, id and axis symbols too */
void kir_text_facts(struct ir_buf *b, const struct ir_facts *f);                /* " given 0 <= e, .." */
void kir_text_lit(struct ir_buf *b, enum ir_elem e, double f, int64_t i);       /* "0.5", "-inf", "7": read back exactly when the type is known */
void kir_text_arr(struct ir_buf *b, const struct kir_arr *a, const char *name); /* "x: f32[..] .." */
void kir_text_expr(struct ir_buf *b, const struct kir_expr *e, const char *(*name)(const struct kir_arr *a, void *arg), void *arg);
void kir_text_primary(struct ir_buf *b, const struct kir_expr *e);              /* in parentheses where it is infix */
void kir_nest_text(struct ir_buf *b, const struct kir_nest *n, bool numbered);  /* numbered: arguments a0.., temporaries t0.., no name */
#endif
