/* ir: the graph IR, the door of this folder.
 *
 * Owns: values, types, nodes, graphs, the op list with everything an op is (ops.def and one struct ir_op_def each), builder, text form, verifier and the
 *       reference evaluator, which is the specification that every target is tested against. docs/graph-ir.md explains it.
 * Needs: ir/base, ir/ix.h, runtime/core (element list).  Never: reads ONNX, knows a target, chooses an order or a layout.
 * The structs are open: passes read them. Change them only through the functions here, which keep uses and types true. */
#ifndef MASSC_IR_H
#define MASSC_IR_H
#include "ir/base/base.h"
#include "ir/ix.h"

/* ---- element types and types ---- */
enum ir_elem {
#define ELEM(name, bits, class) IR_##name,
#include "runtime/core/elem.def"
#undef ELEM
  IR_ELEM_COUNT
};
const char *ir_elem_name(enum ir_elem e);
bool ir_elem_parse(const char *s, size_t n, enum ir_elem *out);
unsigned ir_elem_bits(enum ir_elem e);
char ir_elem_class(enum ir_elem e);                 /* 'B' 'I' 'U' 'F' */
bool ir_elem_narrower(enum ir_elem e, enum ir_elem than); /* float types, e of fewer digits: a conversion rounds */
static inline unsigned ir_elem_bytes(enum ir_elem e) { return (ir_elem_bits(e) + 7) / 8; }

enum { IR_MAX_RANK = 16 };
struct ir_type {                                     /* interned per module: equal types are the same pointer */
  enum ir_elem elem;
  unsigned rank;
  const struct ir_ix *dim[IR_MAX_RANK];              /* >= 0; constants where static */
};

/* ---- layouts: where an element of a stored value lies ----
 * offset (in elements) = an expression in c0..c<rank-1>, whose domain may be larger than the shape: lo[d] <= c<d> < hi[d]. Outside of the shape lie the
 * halo (rows and columns that the producer fills with zeros in every run) and the padding of blocked axes (unspecified unless `zero`). */
struct ir_layout {                                   /* interned per module; NULL = dense row-major */
  const struct ir_ix *at;                            /* element offset of (c0..) from the buffer's first stored element */
  const struct ir_ix *elems;                         /* size of the buffer in elements, slack included */
  const struct ir_ix *lo[IR_MAX_RANK], *hi[IR_MAX_RANK]; /* domain that is stored; at least 0..dim */
  uint8_t halo[IR_MAX_RANK][2];                      /* zeros kept below 0 and from dim on, per axis; the blocked axis has none */
  bool zero;                                         /* padding of blocked axes holds zeros (packed weights) */
};

/* ---- ops ---- */
enum ir_op {
#define OP(name) IR_OP_##name,
#include "ir/ops.def"
#undef OP
#define MAP(name, arity, kind) IR_OP_##name,
#include "ir/maps.def"
#undef MAP
  IR_OP_COUNT
};
enum ir_map {
#define MAP(name, arity, kind) IR_MAP_##name,
#include "ir/maps.def"
#undef MAP
  IR_MAP_COUNT
};
static inline bool ir_op_is_map(enum ir_op o) { return o >= IR_OP_abs; }
static inline enum ir_map ir_op_map(enum ir_op o) { return (enum ir_map)(o - IR_OP_abs); }
static inline enum ir_op ir_map_op(enum ir_map m) { return (enum ir_op)(IR_OP_abs + (int)m); }

enum ir_attr_kind { IR_A_INT, IR_A_FLOAT, IR_A_STR, IR_A_INTS, IR_A_IXS, IR_A_ELEM };
struct ir_attr {
  const char *key;                                   /* one of the op's declared names */
  enum ir_attr_kind kind;
  unsigned n;                                        /* INTS, IXS */
  union { int64_t i; double f; const char *s; const int64_t *is; const struct ir_ix *const *ix; enum ir_elem elem; };
};

/* where a constant's bytes are; the bytes stay in the mapped file */
struct ir_data {
  enum { IR_DATA_SPLAT, IR_DATA_BYTES } kind;
  double splat; int64_t splat_i;                     /* SPLAT: every element (floats in splat, others in splat_i) */
  const unsigned char *p;                            /* BYTES: mapped or literal; little-endian, dense row-major, sub-byte types not here */
  uint64_t bytes;
  const char *file; uint64_t offset;                 /* file NULL: literal, held in the arena, printed as a list */
  uint64_t hash;                                     /* of the content; 0 until asked for: ir_data_hash */
};

struct ir_value {
  struct ir_node *def;                               /* NULL: a parameter of its graph */
  struct ir_graph *graph;
  unsigned index;                                    /* result number of def, or parameter number */
  const struct ir_type *type;
  const struct ir_layout *layout;                    /* NULL: dense row-major */
  const struct ir_ix *const *form;                   /* known integer content: dense list of form_n expressions (rank 0 or 1, at most 64), or NULL */
  unsigned form_n;
  const char *name;                                  /* ONNX name, or NULL */
  uint32_t id;                                       /* number of its text form; set by ir_renumber */
  IR_VEC(struct ir_node *) uses;                     /* one entry per operand slot, so a node may stand there twice; unordered */
  bool weight;                                       /* known at compile time: a const, or computed from such only; set by pass fold, kept by the builder not at all */
  void *scratch;                                     /* a pass's own; meaningless after it */
};

struct ir_node {
  enum ir_op op;
  struct ir_graph *graph;
  struct ir_node *prev, *next;                       /* topological order */
  unsigned n_in, n_out, n_attr, n_body;
  struct ir_value **in;
  struct ir_value **out;
  struct ir_attr *attr;
  struct ir_graph **body;
  const struct ir_data *data;                        /* const only */
  const char *name;                                  /* composite, group: its name; const: @name */
  const char *place;                                 /* "cpu", "cpu:1", ..; NULL before pass place */
  const struct ir_prov *prov;                        /* the ONNX nodes it came from */
  uint32_t id, order;
  void *scratch;
};

struct ir_prov { unsigned n; const char *const *name; uint64_t hash; };   /* interned sorted set of "NodeName" strings (a nameless node: "Op_<index>") */

struct ir_graph {
  struct ir_module *module;
  const char *name;
  struct ir_node *owner;                             /* the node whose body this is, or NULL */
  struct ir_node *first, *last;
  IR_VEC(struct ir_value *) params;
  IR_VEC(struct ir_value *) results;                 /* may repeat, may be parameters */
  IR_VEC(const char *) result_names;                 /* top level: ONNX output names */
};

struct ir_require { const struct ir_ix *e; bool eq; const char *why; }; /* e >= 0, or e == 0; checked when the symbols are known */
/* A symbol whose value is an element of an input: sizes and places that the model states as data. Held within the symbol's range. */
struct ir_value_sym { const struct ir_ix *sym; unsigned param, elem; };
/* A size that is computed while the model runs: a bind node reads it there (`late` in the text form). most: no larger than this, or NULL. */
struct ir_late { const struct ir_ix *sym, *most; };
struct ir_module {
  struct ir_arena *arena;
  struct ir_ixs *ixs;
  struct ir_strtab *strs;
  struct ir_diags *diags;
  struct ir_graph *main;
  IR_VEC(struct ir_require) requires;
  IR_VEC(struct ir_value_sym) value_syms;
  IR_VEC(struct ir_late) late;
  struct ir_facts facts;                             /* the requirements and ranges, for the prover */
  struct ir_tables *tables;                          /* interned types, layouts, provenance: ir/graph.c's own */
};

/* ---- module, types ---- */
struct ir_module *ir_module_create(struct ir_arena *a, struct ir_diags *d);
const struct ir_type *ir_type_get(struct ir_module *m, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim);
const struct ir_type *ir_type_ints(struct ir_module *m, enum ir_elem e, unsigned rank, const int64_t *dim);
const struct ir_ix *ir_type_elems(struct ir_module *m, const struct ir_type *t);        /* product of the dims */
bool ir_type_static(const struct ir_type *t, int64_t *out_dims /* IR_MAX_RANK */, int64_t *out_elems); /* false: a dim is symbolic, or the product overflows */
const char *ir_type_str(struct ir_arena *a, const struct ir_type *t);                    /* "f32[n,64,56,56]" */
const struct ir_layout *ir_layout_get(struct ir_module *m, const struct ir_layout *l);   /* interns; a row-major one gives NULL only if caller passes NULL */
/* Blocked layout: axis `axis` in blocks of `block` innermost, the other axes in order outside; halo and one pad of `plane_pad` elements behind each block plane.
 * block 1: plain order with a halo. */
const struct ir_layout *ir_layout_blocked(struct ir_module *m, const struct ir_type *t, unsigned axis, unsigned block, const uint8_t halo[][2], unsigned plane_pad);
const struct ir_prov *ir_prov_get(struct ir_module *m, unsigned n, const char *const *names);
const struct ir_prov *ir_prov_union(struct ir_module *m, const struct ir_prov *a, const struct ir_prov *b);
bool ir_require_ge0(struct ir_module *m, const struct ir_ix *e, const char *why);         /* false (and a diagnostic) when it is known to fail */
bool ir_require_eq(struct ir_module *m, const struct ir_ix *a, const struct ir_ix *b, const char *why);
/* The symbol of element `elem` of parameter number `param` (integer or float, rank 0 or 1), between -(2^31 - 1) and 2^31 - 1, as NAME.at<elem>; made once. */
const struct ir_ix *ir_value_symbol(struct ir_module *m, unsigned param, unsigned elem);
/* A new late symbol, and whether an expression holds one. Every use of it stands behind the bind that reads it. */
const struct ir_ix *ir_late_symbol(struct ir_module *m, const char *prefix, int64_t lo, int64_t hi, const struct ir_ix *most);
bool ir_is_late(const struct ir_module *m, const struct ir_ix *e);
bool ir_type_late(const struct ir_module *m, const struct ir_type *t);
bool ir_node_uses(const struct ir_node *n, const struct ir_ix *sym);                     /* its results' types, its attributes */
bool ir_node_late(const struct ir_node *n);                                              /* its types or attributes; a bind is */
/* The dim that a and b broadcast to, by ONNX's rule; adds a requirement where they must be equal; bcast(a, b) where either may be 1 at run time. NULL: never. */
const struct ir_ix *ir_dim_broadcast(struct ir_module *m, const struct ir_ix *a, const struct ir_ix *b);

/* ---- builder: nodes go before `b->at` (NULL: at the end). Types are inferred; a wrong operand is a diagnostic at b->onnx_node and NULL comes back.
 * Identical pure nodes of one graph are the same node (CSE through interning); provenance is then the union. ---- */
struct ir_builder { struct ir_graph *g; struct ir_node *at; const struct ir_prov *prov; const char *onnx_node, *onnx_op; };
struct ir_graph *ir_graph_create(struct ir_module *m, const char *name);
struct ir_value *ir_graph_param(struct ir_graph *g, const struct ir_type *t, const char *name);
struct ir_node *ir_build(struct ir_builder *b, enum ir_op op, struct ir_value *const *in, unsigned n_in, const struct ir_attr *attrs, unsigned n_attr);
/* A loop (ir/ops_region.c) whose body is a graph made with ir_graph_create. */
struct ir_node *ir_build_loop(struct ir_builder *b, struct ir_value *const *in, unsigned n_in, const struct ir_attr *attrs, unsigned n_attr, struct ir_graph *body);
struct ir_value *ir_map1(struct ir_builder *b, enum ir_op op, struct ir_value *x);                        /* maps broadcast ranks only as the rule below says */
struct ir_value *ir_map2(struct ir_builder *b, enum ir_op op, struct ir_value *x, struct ir_value *y);
struct ir_value *ir_map3(struct ir_builder *b, enum ir_op op, struct ir_value *x, struct ir_value *y, struct ir_value *z);
struct ir_value *ir_const_bytes(struct ir_builder *b, const struct ir_type *t, const struct ir_data *d, const char *name);
struct ir_value *ir_const_splat(struct ir_builder *b, const struct ir_type *t, double f, int64_t i);
struct ir_value *ir_const_f(struct ir_builder *b, enum ir_elem e, double v);                               /* rank 0 */
struct ir_value *ir_const_ints(struct ir_builder *b, enum ir_elem e, unsigned rank, const int64_t *dim, const int64_t *v);
struct ir_value *ir_reshape(struct ir_builder *b, struct ir_value *x, unsigned rank, const struct ir_ix *const *dim);
struct ir_value *ir_transpose(struct ir_builder *b, struct ir_value *x, const int64_t *perm);
struct ir_value *ir_broadcast(struct ir_builder *b, struct ir_value *x, unsigned rank, const struct ir_ix *const *dim); /* ONNX's rule: aligned at the last axis */
struct ir_value *ir_cast(struct ir_builder *b, struct ir_value *x, enum ir_elem to);
struct ir_attr ir_attr_int(const char *key, int64_t v);
struct ir_attr ir_attr_float(const char *key, double v);
struct ir_attr ir_attr_str(const char *key, const char *v);
struct ir_attr ir_attr_elem(const char *key, enum ir_elem v);
struct ir_attr ir_attr_ints(struct ir_module *m, const char *key, const int64_t *v, unsigned n);          /* copied into the module's arena */
struct ir_attr ir_attr_ixs(struct ir_module *m, const char *key, const struct ir_ix *const *v, unsigned n);
const struct ir_attr *ir_attr_find(const struct ir_node *n, const char *key);                              /* NULL: absent */
int64_t ir_attr_get_int(const struct ir_node *n, const char *key);                                         /* the declared default when absent */
const char *ir_attr_get_str(const struct ir_node *n, const char *key);
double ir_attr_get_float(const struct ir_node *n, const char *key);
unsigned ir_attr_get_ints(const struct ir_node *n, const char *key, const int64_t **out);                  /* 0 when absent */
enum ir_elem ir_attr_get_elem(const struct ir_node *n, const char *key);                                   /* a required attribute */

/* ---- changing ---- */
void ir_value_replace(struct ir_value *old, struct ir_value *with);   /* every use, results of graphs included; types must be equal */
void ir_node_set_in(struct ir_node *n, unsigned i, struct ir_value *v);
void ir_node_erase(struct ir_node *n);                                /* its results have no uses */
void ir_node_move_before(struct ir_node *n, struct ir_node *at);
unsigned ir_graph_sweep(struct ir_graph *g);                          /* erases pure nodes without uses; returns how many */
unsigned ir_graph_cse(struct ir_graph *g);                            /* merges nodes that replacements made identical; returns how many went */
void ir_graph_order(struct ir_graph *g);                              /* renumbers order to 0.., in list order; nodes made later get numbers between, so that
                                                                       order always tells which of two nodes of a graph comes first */
bool ir_value_is_result(const struct ir_value *v);
struct ir_node *ir_node_clone(struct ir_node *n, struct ir_node *at); /* a second one on purpose, before at (NULL: at the end); layouts and marks are kept */
/* Moves nodes (in list order) into the body of a new node `op` (group or composite) that takes their place; operands from outside become parameters. */
struct ir_node *ir_outline(struct ir_graph *g, enum ir_op op, struct ir_node *const *nodes, unsigned n, const char *name);
void ir_inline(struct ir_node *n);                                    /* a composite or group: its body in its place */
bool ir_value_const_ints(const struct ir_value *v, unsigned max, int64_t *out, unsigned *out_n); /* integer content of a const or a constant form */
bool ir_value_is_splat(const struct ir_value *v, double *out);        /* every element the same and known (through broadcast, reshape, cast too) */

/* ---- what an op is ---- */
struct kir_nest_builder;                              /* ir/kernel/kir.h */
struct kir_expr;
struct ir_eval_ctx;
enum ir_op_class { IR_C_CONST, IR_C_MAP, IR_C_MOVE /* an index map, no arithmetic */, IR_C_ANCHOR /* loops that are not parallel in its result */, IR_C_CONTROL /* a step of the host program */, IR_C_REGION };
/* An op that is a function of the processor (runtime/core/host.def) on whole tensors, stored dense: the words that it gets behind the addresses of operands and
 * results, and how many tasks it has. */
enum { IR_HOST_WORDS = 8 };
struct ir_host { unsigned fn; unsigned n_words; const struct ir_ix *word[IR_HOST_WORDS], *tasks; };
struct ir_attr_decl { const char *key; enum ir_attr_kind kind; bool required; const char *dflt; /* as printed; NULL none */ };
struct ir_op_def {
  const char *name;
  enum ir_op_class class;
  int min_in, max_in, n_out;                          /* max_in -1: any; n_out -1: the node says */
  struct ir_attr_decl attrs[12];                      /* up to the first without key */
  /* Result types (n->out[i]->type). Bad operands: a diagnostic through ir_op_error, false. */
  bool (*infer)(struct ir_module *m, struct ir_node *n, const struct ir_type **out_types);
  /* Integer content from the operands' forms; NULL or false: none. */
  bool (*form)(struct ir_module *m, struct ir_node *n);
  /* The meaning as element equation: result `out` at coordinates c (rank expressions of the nest's table). NULL: no nest (control, regions). */
  struct kir_expr *(*nest)(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c);
  /* Reference evaluation on dense arrays; NULL: the nest is evaluated instead (then the nest IS the specification, and tests against ONNX guard it). */
  bool (*eval)(struct ir_eval_ctx *c, const struct ir_node *n);
  void (*host)(struct ir_module *m, const struct ir_node *n, struct ir_host *out);   /* NULL: no function of the processor */
};
extern const struct ir_op_def *const ir_op_defs[IR_OP_COUNT];
static inline const struct ir_op_def *ir_op_def(enum ir_op o) { return ir_op_defs[o]; }
bool ir_op_parse(const char *s, size_t n, enum ir_op *out);
bool ir_op_error(struct ir_module *m, const struct ir_node *n, enum ir_msg msg, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ---- scalar functions (ir/scalar.c): the specification of maps.def. Floats are computed in double and rounded once to `e`. ---- */
double ir_scalar_f(enum ir_map f, double a, double b, double c);
int64_t ir_scalar_i(enum ir_map f, enum ir_elem e, int64_t a, int64_t b, int64_t c);   /* integers and bool, wrapped to e */
double ir_round_to(enum ir_elem e, double x);                                           /* nearest value of a float type: ties to even, of tf32 away from zero */
/* n float32, at any address, as f16, bf16 or tf32: what ir_round_to gives, fast. */
void ir_round_floats(enum ir_elem to, const void *from, void *out, int64_t n);
int64_t ir_wrap_to(enum ir_elem e, int64_t x);

/* ---- text ---- */
void ir_print(struct ir_buf *b, struct ir_module *m);                  /* renumbers */
/* Names the file and line in diagnostics. NULL on an error. Constants of kind file are opened beneath `dir` (NULL: refused). */
struct ir_module *ir_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n, const char *dir);
void ir_renumber(struct ir_module *m);
uint64_t ir_data_hash(struct ir_data *d, uint64_t bytes);

/* ---- verifier: every phase's rules. Returns false with a message in *why (arena) at the first fault. ---- */
enum ir_phase { IR_P_IMPORTED, IR_P_FOLDED, IR_P_PLACED, IR_P_LAID_OUT, IR_P_OUTLINED };
bool ir_verify(struct ir_module *m, enum ir_phase p, const char **why);

/* ---- reference evaluator ----
 * A tensor here is dense row-major; floats as double, integers and bool as int64_t. One rounding per node to the value's element type. */
struct ir_tensor { enum ir_elem elem; unsigned rank; int64_t dim[IR_MAX_RANK]; int64_t n; union { double *f; int64_t *i; void *p; }; };
struct ir_tensor *ir_tensor_create(struct ir_arena *a, enum ir_elem e, unsigned rank, const int64_t *dim);
void ir_tensor_from_bytes(struct ir_tensor *t, const void *bytes);     /* dense little-endian bytes of t's type */
void ir_tensor_to_bytes(const struct ir_tensor *t, void *bytes);
/* Evaluates g on inputs (one per parameter; dims bind symbols). outs: one per result, in the arena. False with a diagnostic: an unbound symbol, a requirement
 * that fails, inputs that do not fit. */
bool ir_eval(struct ir_arena *a, struct ir_graph *g, struct ir_tensor *const *ins, unsigned n_in, struct ir_tensor **outs);
/* One value from constants only (a weight and its transformations). False: it depends on a parameter, dims are symbolic, or more than `most` elements and
 * operations would be evaluated on the way. */
bool ir_eval_const(struct ir_arena *a, struct ir_value *v, uint64_t most, struct ir_tensor **out);
/* For the ops' eval functions. */
struct ir_eval_ctx {
  struct ir_module *m;
  struct ir_arena *arena;                            /* where results go */
  struct ir_ix_env env;                              /* the symbols' values */
  struct ir_eval_values *values;                     /* eval.c's own: tensor of each value */
};
struct ir_tensor *ir_eval_in(struct ir_eval_ctx *c, const struct ir_node *n, unsigned i);
struct ir_tensor *ir_eval_out(struct ir_eval_ctx *c, const struct ir_node *n, unsigned i);   /* made zeroed at the first call; NULL with a diagnostic: unbound or absurd dims */
void ir_eval_bind(struct ir_eval_ctx *c, const struct ir_ix *sym, int64_t v);                /* held within the symbol's range */
bool ir_eval_ix(struct ir_eval_ctx *c, const struct ir_ix *e, int64_t *out);                 /* false with a diagnostic: an unbound symbol, overflow */
#endif
