/* What the operator files share: the node at hand, its operands and attributes, and short names for the builder.
 *
 * A row's function gets one node whose operands are all known, and sets c->out[i]; it returns false after a diagnostic. The builder passes NULL through, so a
 * function composes freely and looks at the end: `return onnx_out(c, v);`. Outputs that stay NULL are refused only where something reads them. */
#ifndef MASSC_ONNX_IMPORT_H
#define MASSC_ONNX_IMPORT_H
#include "compiler/onnx/internal.h"

enum { ONNX_MAX_OPSET = 28, ONNX_MAX_NODES = 1 << 19 /* after inlining */, ONNX_MAX_CALLS = 64 };
struct onnx_ctx;
struct onnx_row {
  const char *domain, *op;
  int since, until;                  /* versions of the operator set, both included */
  bool (*fn)(struct onnx_ctx *c);
  int arg;                           /* what distinguishes rows of one function */
};
/* NULL: *why says whether the operator is unknown, not in this version, or not supported and why. */
const struct onnx_row *onnx_row_find(const char *domain, const char *op, int64_t version, struct ir_arena *a, const char **why);

/* Names to numbers: an open-addressed table that is asked, never walked. */
struct onnx_names { struct { const char *name; uint32_t id; } *slot; uint32_t n, cap; };
bool onnx_names_find(const struct onnx_names *t, const char *name, uint32_t *out);
bool onnx_names_add(struct ir_arena *a, struct onnx_names *t, const char *name, uint32_t id);    /* false: it is there already */
/* order.c: the nodes so that each comes after those whose outputs it reads, else in the order given. False with M0105: a cycle, a name made twice. */
bool onnx_order(struct ir_arena *a, struct ir_diags *d, Onnx__NodeProto *const *nodes, uint32_t n, uint32_t *out);

struct onnx_dim { const char *name; const struct ir_ix *e; };
struct onnx_scope;
/* The body of a loop while it is made; what it reads of outside becomes a parameter, constants are made again inside. */
struct onnx_frame {
  struct onnx_frame *up;
  struct ir_graph *g;
  struct ir_builder saved;
  IR_VEC(struct ir_value *) outer, inner;
};
struct onnx_importer {
  struct ir_arena *arena;
  struct ir_diags *diags;
  struct onnx_file *file;
  const struct onnx_options *opt;
  struct ir_module *m;
  struct ir_builder b;
  struct onnx_frame *frame;          /* the innermost; NULL: nodes go to the main graph */
  unsigned nodes, calls;
  uint64_t spent;                    /* what the import has cost so far, in bytes, roughly; see onnx_spend */
  IR_VEC(struct onnx_dim) dims;      /* of the model's inputs, by name */
  struct onnx_names dim_names, functions;
  uint64_t dims_used;                /* bit i: --dim number i fits a dim of the model */
};
struct onnx_ctx {
  struct onnx_importer *im;
  struct onnx_scope *scope;
  const Onnx__NodeProto *node;
  const struct onnx_row *row;
  const char *name, *op;             /* for diagnostics and provenance */
  int64_t opset;
  enum ir_elem elem;                 /* what onnx_narrow goes back to */
  uint64_t read;                     /* attributes that were asked for, by index (the first 64) */
  unsigned n_in, n_out;
  struct ir_value **in;              /* NULL: absent */
  struct ir_value **out;             /* to be set */
  struct ir_arena *arena;
  struct ir_module *m;
  struct ir_builder *b;
};
/* Accounts for memory that a short file can ask for again and again (functions called many times, tables, long lists). False with M0102 over 1 GiB. */
bool onnx_spend(struct onnx_importer *im, uint64_t bytes);
enum { ONNX_EVAL = 1 << 24 };        /* operations of the reference evaluator that an importer may ask for: about a second */
/* import.c, for control flow: the nodes of a subgraph in the place of c's node; c->out is set from its outputs. */
bool onnx_inline_graph(struct onnx_ctx *c, const Onnx__GraphProto *g);
/* The nodes of a subgraph on the values in[n_in] for its inputs; out[n_out] are its first outputs. */
bool onnx_run_graph(struct onnx_ctx *c, const Onnx__GraphProto *g, struct ir_value *const *in, unsigned n_in, struct ir_value **out, unsigned n_out);
void onnx_frame_enter(struct onnx_ctx *c, struct onnx_frame *f);      /* nodes go into f->g from here on, until */
void onnx_frame_leave(struct onnx_ctx *c);
/* The value outside that a body's parameter stands for: itself where that is no captured one. */
struct ir_value *onnx_outermost(struct onnx_ctx *c, struct ir_value *v);
struct ir_value *onnx_capture(struct onnx_importer *im, struct ir_value *v);    /* v in the graph that is being made; NULL stays NULL */
/* The attribute by which the node that calls this function body gives `name`; NULL: it does not, nor has the function a default. */
const Onnx__AttributeProto *onnx_scope_attr(const struct onnx_scope *s, const char *name);

/* ---- diagnostics at the node; always false ---- */
bool onnx_bad(struct onnx_ctx *c, enum ir_msg m, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *onnx_show(struct onnx_ctx *c, const struct ir_value *v);          /* type as text */

/* ---- attributes: absent gives the default; a wrong type is M0302 ---- */
struct onnx_ints { bool present; unsigned n; const int64_t *v; };
struct onnx_ixs { bool present; unsigned n; const struct ir_ix *const *v; };
struct onnx_floats { bool present; unsigned n; const double *v; };
const Onnx__AttributeProto *onnx_attr(struct onnx_ctx *c, const char *name);  /* references resolved; NULL: absent */
bool onnx_all_read(struct onnx_ctx *c);   /* false with M0302: the node has an attribute that nobody asked for, so that its meaning may be another */
bool onnx_attr_int(struct onnx_ctx *c, const char *name, int64_t dflt, int64_t *out);
bool onnx_attr_flag(struct onnx_ctx *c, const char *name, bool dflt, bool *out);
bool onnx_attr_float(struct onnx_ctx *c, const char *name, double dflt, double *out);
bool onnx_attr_str(struct onnx_ctx *c, const char *name, const char *dflt, const char **out);
bool onnx_attr_ints(struct onnx_ctx *c, const char *name, struct onnx_ints *out);
bool onnx_attr_floats(struct onnx_ctx *c, const char *name, struct onnx_floats *out);
bool onnx_attr_tensor(struct onnx_ctx *c, const char *name, const struct onnx_tensor **out);   /* *out NULL: absent */
/* Axis of rank `rank`: negative ones count from the end. */
bool onnx_axis(struct onnx_ctx *c, int64_t axis, unsigned rank, unsigned *out);
bool onnx_attr_axis(struct onnx_ctx *c, const char *name, int64_t dflt, unsigned rank, unsigned *out);
/* Axes as attribute `name` or operand `slot`, normalised, without duplicates, ascending when `sort`. */
bool onnx_axes(struct onnx_ctx *c, const char *name, int slot, unsigned rank, bool sort, struct onnx_ints *out);

/* Axes whose values may be known at run time only: is[d] is 1 for those among them, at[j][d] for the j-th. False: not even an input's values (M0303), or known ones
 * that do not fit. absent: operand j names axis j. */
struct onnx_axset { bool present; unsigned n; const struct ir_ix *is[16], *at[16][16]; };
bool onnx_axset(struct onnx_ctx *c, const char *name, int slot, unsigned rank, struct onnx_axset *out);
bool onnx_axes_known(struct onnx_ctx *c, int slot);   /* no operand, or one whose values are known now */
/* Without the axes of s (their sizes do not count). */
struct ir_value *onnx_drop_axset(struct onnx_ctx *c, struct ir_value *x, const struct onnx_axset *s);

/* The elements of v (integer, rank 0 or 1, of known length) as symbols that are bound while the model runs (core: bind), within lo..hi and, unless NULL, at most `most`. Every
 * reader of v sees them. The same value gives the same symbols. */
bool onnx_bind(struct onnx_ctx *c, struct ir_value *v, int64_t lo, int64_t hi, const struct ir_ix *most, const struct ir_ix *const **out);
/* The places where mask (bool, rank 1) holds: i64[s], s late. */
struct ir_value *onnx_places(struct onnx_ctx *c, struct ir_value *mask);
/* A size that is computed from values which the model reads: checked not to be negative when it runs, and not looked into while it is compiled. */
const struct ir_ix *onnx_read_size(struct onnx_ctx *c, const struct ir_ix *e);

/* ---- operands ---- */
struct ir_value *onnx_in(struct onnx_ctx *c, unsigned i);                     /* NULL: absent */
/* At least `need` operands from the front, none of them absent, and at most `most`. M0203. */
bool onnx_operands(struct onnx_ctx *c, unsigned need, unsigned most);
/* A list of integers: operand `slot` (M0303 when it is not known; the name is for the diagnostic), or with slot -1 attribute `name`. */
bool onnx_ints(struct onnx_ctx *c, const char *name, int slot, struct onnx_ints *out);
bool onnx_ixs(struct onnx_ctx *c, const char *name, int slot, struct onnx_ixs *out);
/* One number, integer or truncated float, of an operand that is known or an input; false without a diagnostic. */
bool onnx_number(struct onnx_ctx *c, unsigned slot, const struct ir_ix **out);
bool onnx_floats(struct onnx_ctx *c, int slot, struct onnx_floats *out);
/* At most max floats of a constant, behind *n that are there; through reshape, cast and concat. False without a diagnostic. */
bool onnx_const_floats(const struct ir_value *v, double *out, unsigned max, unsigned *n);
/* The integers that v holds, as expressions: its form, symbols for elements of an input, or symbols that are bound in mid-run. False without a diagnostic. */
bool onnx_form(struct onnx_ctx *c, struct ir_value *v, struct onnx_ixs *out);
/* fraction.c: floats that are computed from sizes, at most 64, as n/d with d >= 1. False without a diagnostic. */
struct onnx_fraction { const struct ir_ix *n, *d; };
bool onnx_fractions(struct onnx_ctx *c, struct ir_value *v, struct onnx_fraction *out, unsigned *n);
/* ONNX's element number as attribute; false with M0302 or M0202. */
bool onnx_to_elem(struct onnx_ctx *c, int64_t data_type, enum ir_elem *out);

/* ---- building ---- */
bool onnx_out(struct onnx_ctx *c, struct ir_value *v);                        /* output 0; false if v is NULL */
/* Compositions of several maps on 16-bit floats are computed in float32 and rounded once: widen casts the operands before, narrow the result (output 0) after. */
void onnx_widen(struct onnx_ctx *c);
bool onnx_narrow(struct onnx_ctx *c, struct ir_value *v);
static inline const struct ir_ix *onnx_k(struct onnx_ctx *c, int64_t k) { return ir_ix_int(c->m->ixs, k); }
static inline struct ir_value *onnx_1(struct onnx_ctx *c, enum ir_op op, struct ir_value *x) { return ir_map1(c->b, op, x); }
static inline struct ir_value *onnx_2(struct onnx_ctx *c, enum ir_op op, struct ir_value *x, struct ir_value *y) { return ir_map2(c->b, op, x, y); }
static inline struct ir_value *onnx_select(struct onnx_ctx *c, struct ir_value *p, struct ir_value *x, struct ir_value *y) { return ir_map3(c->b, IR_OP_select, p, x, y); }
struct ir_value *onnx_const(struct onnx_ctx *c, enum ir_elem e, double v);    /* rank 0 */
struct ir_value *onnx_like(struct onnx_ctx *c, const struct ir_value *x, double v);   /* rank 0, x's element type */
struct ir_value *onnx_node(struct onnx_ctx *c, enum ir_op op, struct ir_value *const *in, unsigned n_in, const struct ir_attr *attrs, unsigned n_attr);
struct ir_value *onnx_reduce(struct onnx_ctx *c, const char *op, struct ir_value *x, const int64_t *axes, unsigned n);
struct ir_value *onnx_mean(struct onnx_ctx *c, struct ir_value *x, const int64_t *axes, unsigned n);
struct ir_value *onnx_drop_axes(struct onnx_ctx *c, struct ir_value *x, const int64_t *axes, unsigned n);   /* axes of size 1, ascending or not */
/* x of rank 1 (or less) along axis `axis` of rank `rank`: unit axes around it. */
struct ir_value *onnx_along(struct onnx_ctx *c, struct ir_value *x, unsigned axis, unsigned rank);
struct ir_value *onnx_index(struct onnx_ctx *c, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim, const struct ir_ix *const *expr, unsigned n);
struct ir_value *onnx_gather(struct onnx_ctx *c, struct ir_value *x, struct ir_value *i, unsigned axis);
struct ir_value *onnx_dot(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y, const char *spec);
struct ir_value *onnx_pad(struct onnx_ctx *c, struct ir_value *x, struct ir_value *value, const struct ir_ix *const *lo, const struct ir_ix *const *hi);
struct ir_value *onnx_slice(struct onnx_ctx *c, struct ir_value *x, const struct ir_ix *const *start, const int64_t *step, const struct ir_ix *const *dims);
struct ir_value *onnx_tensor_value(struct onnx_importer *im, const struct onnx_tensor *t, const char *name);   /* NULL with M0301 where t->why */
bool onnx_is_float(const struct ir_value *v);
const struct ir_ix *onnx_product(struct onnx_ctx *c, const struct ir_type *t, unsigned from, unsigned to);
#endif
