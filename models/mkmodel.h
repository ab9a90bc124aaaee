/* models: networks as YAML, and the generator that turns them into ONNX files with seeded weights (models/README.md describes the language).
 *
 * Owns: the YAML files, the little language in them, weight initialisation, writing ONNX's wire format.
 * Needs: ir/base.  Never: knows a network's name, or what an operator means: a statement becomes a node as it stands.
 * Everything lives in one arena until the program ends. A mistake is reported once, as FILE:LINE: text, where it is found; then false or NULL is passed up. */
#ifndef MASSC_MKMODEL_H
#define MASSC_MKMODEL_H
#include "ir/base/yaml_tree.h"

/* ---- YAML files (yaml.c) ---- */
struct ir_yaml *mk_yaml_read(struct ir_arena *a, const char *path);             /* NULL: reported */
/* Every key of map is one of keys (NULL-terminated); what: for the message. */
bool mk_yaml_keys(const struct ir_yaml *map, const char *what, const char *const *keys);
bool mk_fail(const struct ir_yaml *at, const char *fmt, ...) __attribute__((format(printf, 2, 3)));   /* always false */

/* ---- values and expressions (expr.c) ---- */
struct mk_val { enum { MK_INT, MK_FLOAT, MK_STR, MK_LIST } kind; int64_t i; double f; const char *s; unsigned n, depth /* of lists in lists */; struct mk_val *v; };
struct mk_var { const char *name; struct mk_val v; };
struct mk_scope {                    /* variables; and tensors, by the names that the YAML gives them */
  struct ir_arena *arena;
  const struct mk_scope *parent;     /* its variables are seen too, its tensors are not */
  IR_VEC(struct mk_var) vars;
  struct { struct { const char *name, *value; } *v; uint32_t n, cap; } tensors;
};
void mk_scope_set(struct mk_scope *s, const char *name, struct mk_val v);
const struct mk_val *mk_scope_find(const struct mk_scope *s, const char *name);
/* The value of a node: an unquoted scalar is an expression, a quoted one a string with {expression} replaced, a sequence a list. */
bool mk_eval(const struct mk_scope *s, const struct ir_yaml *y, struct mk_val *out);
bool mk_eval_text(const struct mk_scope *s, const struct ir_yaml *at, const char *text, struct mk_val *out);   /* an expression */
bool mk_eval_int(const struct mk_scope *s, const struct ir_yaml *y, int64_t *out);
/* A scalar as a name: {expression} replaced, quoted or not. */
const char *mk_name(const struct mk_scope *s, const struct ir_yaml *y);
bool mk_list_depth(const struct ir_yaml *at, struct mk_val *list);                /* sets it; false: lists are nested too deeply */
void mk_val_print(struct ir_buf *b, const struct mk_val *v);

/* ---- what a model is made of ---- */
enum mk_elem { MK_F32 = 1, MK_U8 = 2, MK_I8 = 3, MK_I32 = 6, MK_I64 = 7, MK_BOOL = 9, MK_F64 = 11 };   /* onnx TensorProto.DataType */
struct mk_weight {
  const char *name;
  enum mk_elem elem;
  unsigned rank;
  const int64_t *dim;
  int64_t elems, bytes;
  enum { MK_NORMAL, MK_UNIFORM, MK_VALUES } init;
  double a, b;                       /* NORMAL: mean, deviation; UNIFORM: from, to (constants: a == b) */
  const struct mk_val *values;       /* VALUES: one per element */
};
struct mk_attr { const char *key; struct mk_val v; const struct mk_weight *tensor; /* instead of v; its elements are given */ };
struct mk_node { const char *name, *op, *domain; unsigned n_in, n_out, n_attr; const char **in, **out; struct mk_attr *attr; };
struct mk_io { const char *name; enum mk_elem elem; unsigned rank; struct mk_val *dim; /* INT or STR */ };
struct mk_opset { const char *domain; int64_t version; };
struct mk_model {
  struct ir_arena *arena;
  const char *name;
  IR_VEC(struct mk_opset) opsets;
  IR_VEC(struct mk_node) nodes;
  IR_VEC(struct mk_weight) weights;
  IR_VEC(struct mk_io) inputs, outputs;
};
unsigned mk_elem_bytes(enum mk_elem e);
struct mk_override { const char *key, *text; bool used; };
/* Runs the file's statements (build.c). name: of the model. NULL: reported. */
struct mk_model *mk_build(struct ir_arena *a, const char *path, const char *name, struct mk_override *o, unsigned n);

/* ---- weights (weights.c): an element depends on the seed, its tensor's name and description, and its number alone ---- */
uint64_t mk_weight_key(uint64_t seed, const char *name);
void mk_weight_fill(const struct mk_weight *w, uint64_t key, int64_t first, int64_t n, void *out);

/* ---- ONNX (onnx.c): streamed, weights are made while they are written ---- */
struct mk_side { FILE *f; const char *location; };                               /* external data; location: the file's name, as the model tells it */
/* side: gets the payloads of 1 KiB and more, each at a multiple of 64 bytes; NULL: all stand in f.
 * 0 or an errno value; EFBIG: f would exceed 2 GiB, which a protobuf message cannot. */
int mk_write(const struct mk_model *m, uint64_t seed, FILE *f, const struct mk_side *side);
uint64_t mk_payload(const struct mk_model *m);                                   /* bytes of all weights */
#endif
