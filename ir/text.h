/* What printer and parser of the graph's text form share. Grammar: docs/graph-ir.md, section "Text form". */
#ifndef MASSC_IR_TEXT_H
#define MASSC_IR_TEXT_H
#include "ir/internal.h"
#include <string.h>

enum { IR_TEXT_DEPTH = 32 };                             /* regions in regions */
static inline bool ir_word_start(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static inline bool ir_word_char(int c) { return ir_word_start(c) || (c >= '0' && c <= '9') || c == '.'; }
static inline bool ir_name_char(int c) { return ir_word_char(c) || c == '/'; }    /* in %names and @names */
static inline bool ir_place_char(int c) { return ir_word_char(c) || c == ':'; }
/* Words that may follow a type and are no place. */
static inline bool ir_after_type(const char *s) { return !strcmp(s, "weight") || !strcmp(s, "loc") || !strcmp(s, "halo") || !strcmp(s, "pad") || !strcmp(s, "zero"); }
/* The element type that a literal as operand i of n has, as far as a reader of the line can tell: false when it cannot. is_literal(i): operand i is one.
 * `result` is the type of the first result. */
bool ir_literal_elem(enum ir_op op, unsigned n_in, struct ir_value *const *in, const bool *is_literal, enum ir_elem result, enum ir_elem *out);
#endif
