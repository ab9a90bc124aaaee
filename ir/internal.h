/* For the files of this folder: the module's interning tables, and the parts of the builder that the parser needs too. */
#ifndef MASSC_IR_INTERNAL_H
#define MASSC_IR_INTERNAL_H
#include "ir/ir.h"

/* An open-addressing set of pointers by hash. Only ever asked for one element, never walked, so hashes may be made of addresses. */
struct ir_set { struct { uint64_t hash; void *p; } *slot; uint32_t n, cap; /* n counts tombstones */ };
typedef bool ir_set_eq(const void *key, const void *elem);
void *ir_set_find(const struct ir_set *s, uint64_t hash, const void *key, ir_set_eq *eq);
void ir_set_add(struct ir_arena *a, struct ir_set *s, uint64_t hash, void *p);
void ir_set_remove(struct ir_set *s, uint64_t hash, const void *p);

struct ir_blocking { const struct ir_layout *layout; unsigned axis, block, pad; };   /* how a layout was asked for: its short text form */
struct ir_tables {
  struct ir_set types, layouts, provs;
  struct ir_set nodes;                               /* pure nodes by content: CSE */
  IR_VEC(struct ir_blocking) blocked;
  const char *onnx_node, *onnx_op;                   /* whom a diagnostic is about while a node is built */
};

/* graph.c */
struct ir_value *ir_value_new(struct ir_graph *g, const struct ir_type *t);
void ir_node_link(struct ir_graph *g, struct ir_node *n, struct ir_node *at);            /* list and order number only */
void ir_node_add_uses(struct ir_node *n);
bool ir_node_pure(const struct ir_node *n);
struct ir_node *ir_node_twin(struct ir_module *m, const struct ir_node *n);              /* an identical interned node of the same graph, or NULL */
void ir_node_intern(struct ir_node *n);                                                  /* unless a twin is there */
void ir_node_unintern(struct ir_node *n);
void ir_node_refresh_form(struct ir_node *n);
/* builder.c: a node as the parser and outline make it: checked and inferred, but neither merged with a twin nor cut back to a body without names.
 * Takes over `proto` (op, in, attr, body, data, name, place, prov). */
struct ir_node *ir_node_make(struct ir_graph *g, struct ir_node *at, const struct ir_node *proto);
bool ir_attrs_normalise(struct ir_module *m, struct ir_node *n, const struct ir_attr *attrs, unsigned n_attr);
bool ir_data_normalise(struct ir_module *m, const struct ir_type *t, const struct ir_data *d, struct ir_data *out);
/* elem.c: one element of type e at its little-endian bytes; the integer goes to *i (and *f), a float to *f alone */
void ir_elem_load(enum ir_elem e, const void *p, double *f, int64_t *i);
void ir_elem_store(enum ir_elem e, void *p, double f, int64_t i);
static inline bool ir_elem_float(enum ir_elem e) { return ir_elem_class(e) == 'F'; }
/* types.c */
const struct ir_blocking *ir_layout_blocking(const struct ir_module *m, const struct ir_layout *l);    /* NULL: never asked for as a blocked one */
#endif
