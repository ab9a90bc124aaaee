/* ir/kernel: the kernel IR, the door of this folder (docs/kernel-ir.md explains it).
 *
 * Owns: the nest (what a sub-graph computes: element equations over index spaces, no order, no memory), the schedule record (how: data), the kern (loops,
 *       buffers, register tiles whose layouts say which lane and register owns which element; `tiled`, and after codegen's expansion `flat`), their text
 *       forms, the nest's evaluator, the kern's verifier and interpreter.
 * Needs: ir/base, ir/ix.h, ir/ir.h (element types, scalar functions; the graph only to build nests).  Never: chooses a schedule, knows LLVM or a GPU API. */
#ifndef MASSC_KIR_H
#define MASSC_KIR_H
#include "ir/ir.h"

/* ================================================================ nest ================================================================ */
enum kir_space { KIR_GLOBAL, KIR_CONST /* weights: never written while a model runs */, KIR_SHARED /* of the block; on a CPU the task's scratch */ };

struct kir_arr {                        /* an array: argument of a nest or kern, temporary of a nest (no memory), or buffer of a kern */
  const char *name;
  enum ir_elem elem;
  unsigned rank;
  const struct ir_ix *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];   /* domain: coordinates that exist. For arguments it includes stored halo and padding */
  const struct ir_ix *shape[IR_MAX_RANK];                  /* the value's own extent (0..shape), within the domain; NULL: lo..hi */
  const struct ir_ix *at;               /* element offset of (c0..c<rank-1>); NULL: row-major over the domain */
  const struct ir_ix *elems;            /* size in elements; NULL: the domain's volume */
  enum kir_space space;
  bool arg, out;
  bool zero_pad;                        /* what lies in the domain outside of shape holds 0 (halo, packed weights); a kern that writes `out` writes the zeros too */
  uint16_t slack;                       /* bit d: padding of axis d is unspecified instead: readers must not depend on it, writers may store anything there */
  unsigned align;                       /* bytes, of the first element; 0 = the element's */
  unsigned index;                       /* number among the arguments, or of the buffer */
  unsigned winograd;                    /* constants [o, c, 3, 3] that are stored transformed, for tiles of so many results to a side: domain and `at` are of [o, c, m+2, m+2] */
  uint32_t swz;                         /* shared buffers: XOR swizzle, B<<16 | M<<8 | S; 0 none */
  uint64_t byte_offset;                 /* shared buffers: place in the block's scratch */
  const struct ir_value *value;         /* arguments of nests built from a group: the group's parameter or result */
};

struct kir_axis { const struct ir_ix *var; const struct ir_ix *ext; };    /* var: a symbol, 0 <= var < ext */

enum kir_ekind { KIR_E_CONST, KIR_E_IX, KIR_E_READ, KIR_E_TILE, KIR_E_FN, KIR_E_CAST, KIR_E_SELECT, KIR_E_RED };
enum kir_red { KIR_SUM, KIR_PROD, KIR_MAX, KIR_MIN, KIR_AND, KIR_OR };    /* max, min propagate NaN */
struct kir_expr {
  enum kir_ekind kind;
  enum ir_elem elem;                    /* type of the value; arithmetic is done in it */
  /* CONST */
  double f; int64_t i;                  /* floats in f, integers and bool in i */
  /* IX: an integer; SELECT: the condition, 0/1-valued: a[0] where it is not 0, else a[1]; reads of the side not taken do not happen */
  const struct ir_ix *ix;
  /* READ: arr[at..]; els (a CONST) is read instead where a coordinate lies outside of arr's shape; NULL: surely inside the domain.  TILE: tile `reg` at at[0..] */
  struct kir_arr *arr; struct kir_reg *reg; const struct ir_ix **at; unsigned n_at; struct kir_expr *els;
  /* FN: enum ir_map;  RED: enum kir_red over axes */
  unsigned sub, n; struct kir_expr *a[3];
  struct kir_axis *axes; unsigned n_axes;               /* RED: its operand is a[0] */
};
struct kir_stmt { struct kir_arr *dst; struct kir_axis *axes; unsigned n_axes; const struct ir_ix **at /* coordinates of dst; NULL: the axes in order */; struct kir_expr *e; };
struct kir_nest {
  struct ir_arena *arena;
  struct ir_ixs *ixs;                   /* its own table */
  struct ir_facts facts;                /* what is known of its symbols (requirements of the model) */
  const char *name;
  IR_VEC(struct kir_arr *) args, temps;
  IR_VEC(struct kir_stmt *) stmts;      /* a temp is written by one statement, before its readers */
};

struct kir_nest *kir_nest_create(struct ir_arena *a, const char *name);
/* Names of arrays are made identifiers and unique (NAME.1, ..). kir_arg: dense, domain and shape 0..dim; the caller changes the fields for other storage. */
struct kir_arr *kir_arg(struct kir_nest *n, const char *name, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim, bool out);
struct kir_arr *kir_nest_temp(struct kir_nest *n, const char *name, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim);
struct kir_expr *kir_const(struct kir_nest *n, enum ir_elem e, double f, int64_t i);
struct kir_expr *kir_ix(struct kir_nest *n, enum ir_elem e, const struct ir_ix *ix);
struct kir_expr *kir_read(struct kir_nest *n, struct kir_arr *arr, const struct ir_ix *const *at, struct kir_expr *els);
struct kir_expr *kir_fn(struct kir_nest *n, enum ir_map f, struct kir_expr *a, struct kir_expr *b, struct kir_expr *c);
struct kir_expr *kir_cast(struct kir_nest *n, enum ir_elem to, struct kir_expr *a);        /* a itself if it has that type */
struct kir_expr *kir_select(struct kir_nest *n, const struct ir_ix *cond, struct kir_expr *a, struct kir_expr *b); /* folds a constant condition */
struct kir_expr *kir_red(struct kir_nest *n, enum kir_red op, const struct kir_axis *axes, unsigned n_axes, struct kir_expr *a);
/* dst NULL: a new temporary over the axes. */
struct kir_stmt *kir_stmt(struct kir_nest *n, struct kir_arr *dst, const struct kir_axis *axes, unsigned n_axes, struct kir_expr *e);
/* Operations: functions and terms of reductions, over the axes. In the nest's own table. */
const struct ir_ix *kir_nest_work(const struct kir_nest *n);
struct kir_sched;
/* Multiplications that the nest's sums of products take by a record (those that Winograd's transform really does, and those with padding). In the nest's own table. */
const struct ir_ix *kir_nest_products(const struct kir_nest *n, const struct kir_sched *s);
/* Bytes that must move: each argument once, but no more of it than there are reads (of a table that places look up, of a value of which only a part is read). */
const struct ir_ix *kir_nest_bytes(const struct kir_nest *n);

/* ---- from the graph (ir/kernel/build.c): what an op's nest function uses ----
 * An expression whose root is RED may only stand as a whole statement: kir_value() makes a temp of every anchor's result and of every value that has more than
 * one reader in the group; all others are expanded where they are read. */
struct kir_nest_builder;
struct kir_expr *kir_value(struct kir_nest_builder *b, const struct ir_value *v, const struct ir_ix *const *c); /* element of v at coordinates c */
/* The same where c may lie outside of v's shape: `outside` is read there. For a stored operand that is READ with els; for others a SELECT. */
struct kir_expr *kir_value_or(struct kir_nest_builder *b, const struct ir_value *v, const struct ir_ix *const *c, struct kir_expr *outside);
/* The element of an integer value as an index expression of the nest, which may load from arguments; NULL: it is computed in a way that has none. */
const struct ir_ix *kir_index(struct kir_nest_builder *b, const struct ir_value *v, const struct ir_ix *const *c);
/* A statement of its own for an inner reduction of v's op: e is its element at coordinates c of v; the read of it comes back. */
struct kir_expr *kir_temp(struct kir_nest_builder *b, struct kir_expr *e, const struct ir_value *v, const struct ir_ix *const *c);
struct kir_nest *kir_builder_nest(struct kir_nest_builder *b);
const struct ir_ix *kir_dim(struct kir_nest_builder *b, const struct ir_ix *e);       /* an expression of the graph's table, in the nest's */
const struct ir_ix *kir_axis(struct kir_nest_builder *b, const char *name, const struct ir_ix *ext /* nest's table */); /* a fresh axis symbol 0..ext-1 */
/* The nest of a node: a group (its body) or a single op. Layouts of stored values become the arguments' `at`. Rank-0 and splat constants become CONST.
 * Arguments: the node's operands in order (constants that became CONST are left out), then its results. NULL: an op without nest. */
struct kir_nest *kir_nest_of(struct ir_arena *a, const struct ir_node *n);

/* arrays: one per argument, dense row-major over the argument's *shape*; written for `out` ones. syms: values of the nest's symbols by name. */
struct kir_bind { const char *name; int64_t value; };
bool kir_nest_eval(const struct kir_nest *n, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *args, const char **why);

void kir_nest_print(struct ir_buf *b, const struct kir_nest *n);
struct kir_nest *kir_nest_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n);
uint64_t kir_nest_hash(const struct kir_nest *n);     /* of the text without names of nest and arguments */

/* =============================================================== schedule ============================================================== */
enum kir_loop_kind { KIR_GRID, KIR_FOR, KIR_PIPE, KIR_WARP, KIR_LANE };
struct kir_loop { enum kir_loop_kind kind; unsigned n; struct { const char *axis; int64_t step; } part[4]; unsigned unroll, depth, raster; bool sums; };
struct kir_stage { const char *operand; enum { KIR_DIRECT, KIR_PACKED, KIR_STAGED } how; const char *via; uint32_t swz; unsigned prefetch, far; /* bytes ahead, into the first cache and into the second */ };
struct kir_sched {
  const char *kind;                     /* skeleton: naive map row contract window chain */
  IR_VEC(struct kir_loop) loops;        /* outermost first; what they leave is the register tile */
  const char *inst;                     /* row of kinst.def: "fma.v16", "mma.m16n8k16.f16.f32"; for map and row: "v16" */
  IR_VEC(struct kir_stage) stages;
  struct { const char *axis; unsigned n; int64_t peel[6]; } tail[3]; unsigned n_tails;
  const char *hold;                     /* row: "reg", "shared" */
  bool epi_shared;                      /* contract: results leave through shared memory */
};
void kir_sched_print(struct ir_buf *b, const struct kir_sched *s);
struct kir_sched *kir_sched_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n);

/* ================================================================ kern ================================================================= */
/* A tile dim is factored, outermost first, into extent-axis-stride. Axes: w warp, l lane, r register, v element of a vector register.
 * "i=14r2, j=2r1.16v1": element (i, j) lies in register 2*i + j/16, vector place j%16. An axis that a layout omits holds copies; the lowest owner stores. */
struct kir_factor { uint8_t dim; char axis; int32_t ext, stride; };
struct kir_layout { unsigned n_dims, n; const char *dim[4]; struct kir_factor f[16]; };    /* factors of one dim are adjacent */
/* Dims are single letters; "i=1" is a dim without factors. */
bool kir_layout_parse(const char *s, size_t n, struct kir_layout *out);
void kir_layout_print(struct ir_buf *b, const struct kir_layout *l);
int64_t kir_layout_count(const struct kir_layout *l, char axis);     /* number of registers (r), lanes (l), warps (w), vector width (v) */

struct kir_reg {                        /* a tile (tiled code), or a register array (flat code) */
  const char *name; enum ir_elem elem;
  unsigned n_dims; int64_t dim[4];      /* tile: extents, in the order of lay.dim */
  struct kir_layout lay;                /* tile; n_dims 0: a scalar per thread */
  struct { const char *axis; int64_t ext; } axes[4][4]; uint8_t n_axes[4];   /* tile dim = digits of several axes (i = h/8 x w/16), outermost first */
  unsigned count, lanes;                /* flat: number of registers, vector width */
  uint32_t id;
};

enum kir_opcode {
#define KOP(name, stage, text) KIR_##name,
#include "ir/kernel/kop.def"
#undef KOP
  KIR_OPCODE_COUNT
};
enum { KIR_REPLAY = 0xffff };
struct kir_block { struct kir_op *first, *last; };
struct kir_inst;                        /* row of kinst.def */
/* One struct for all ops; kop.def says which fields each uses. */
struct kir_op {
  enum kir_opcode op;
  unsigned sub;                         /* ew: enum ir_map; vred, reduce: enum kir_red; for: unroll factor, KIR_REPLAY = replayed completely */
  enum ir_elem elem; unsigned lanes;    /* type of the value; lanes 1 = scalar */
  unsigned n_src; struct kir_op **src;  /* SSA operands */
  unsigned n_ix; const struct ir_ix **ix;
  struct kir_arr *arr, *arr2; struct kir_reg *reg, *reg2, *reg3;
  const struct ir_ix *upto;             /* load, store: lanes j < upto take part; NULL all */
  int64_t stride;                       /* load, store: elements between lanes (1 contiguous, 0 one element for all) */
  double f; int64_t i;                  /* const; load: value where a guard fails or beyond upto (f or i by elem) */
  struct kir_expr *e;                   /* tiled: map, copy */
  const struct kir_layout *lay; const struct kir_inst *inst;
  const struct ir_ix *var;              /* for, pipe: the loop's symbol */
  unsigned depth;
  struct kir_block body[2];
  struct kir_op *prev, *next; uint32_t id;
};
struct kir_inst {
  const char *name; unsigned m, n, k; enum ir_elem ab, c;
  struct kir_layout A, B, C;            /* A over (i,k), B over (k,j), C over (i,j): the row's meaning is D[i,j] = C[i,j] + sum_k A[i,k]*B[k,j] on these layouts */
  const char *fact;                     /* target fact it needs: "fma", "sm_80" */
  const char *fetch;                    /* how fragments may come from shared memory: "ldmatrix"; "descriptor": they must stay there; or NULL */
  const char *text;                     /* PTX, or NULL */
};
const struct kir_inst *kir_inst_find(const char *name);                 /* kinst.def; layouts parsed once */
unsigned kir_inst_count(void); const struct kir_inst *kir_inst_at(unsigned i);

enum { KIR_WGMMA_ROW_BYTES = 128 /* of a row of an operand of wgmma */, KIR_WGMMA_ALIGN = 1024 /* bytes that such operands begin on */ };
int64_t kir_wgmma_row(const struct kir_inst *q);                        /* elements of such a row */
uint32_t kir_wgmma_swz(const struct kir_inst *q);                       /* the 128-byte swizzle, in elements: (3, 3, 3) of 16 bits, (3, 2, 3) of 32 */
enum { KIR_MAX_VEC = 64 /* lanes of a vector */, KIR_MAX_THREADS = 1024 /* of a block */ };
struct kir_digit { const struct ir_ix *var; const struct ir_ix *trips; };   /* grid: mixed radix of one launch index, outermost first */
struct kir_kern {
  struct ir_arena *arena;
  struct ir_ixs *ixs;                   /* the nest's */
  struct ir_facts facts;
  const char *name;                     /* "conv_relu_5d0c..": from the nest's name and content */
  IR_VEC(struct kir_arr *) args, bufs;
  IR_VEC(const struct ir_ix *) syms;    /* dims it takes as i64 arguments, in order of first use */
  IR_VEC(struct kir_digit) grid;        /* none: one task */
  IR_VEC(struct kir_reg *) regs;
  const struct ir_ix *vsym;             /* symbol "v": place in a vector; stands in ix of vector-valued idx and test */
  const struct ir_ix *lane, *warp;      /* symbols; ranges 0..lanes-1, 0..warps-1 */
  unsigned warps, lanes;
  uint64_t scratch_bytes;               /* of bufs in `shared`, per block or task */
  bool flat;
  struct kir_block body;
  uint32_t n_ops;                       /* made so far: numbers of new ones */
};
/* One warp of one lane. Shares the nest's table and its arguments; has the nest's facts. */
struct kir_kern *kir_kern_create(struct kir_nest *n, const char *name);
void kir_block(struct kir_kern *k, unsigned warps, unsigned lanes);   /* sets both and narrows the two symbols */
struct kir_expr *kir_tile(struct ir_arena *a, struct kir_reg *reg, const struct ir_ix *const *at, unsigned n_at);
/* builder: appends to e->at's block; copies src and ix; `stride` starts as 1, other fields as 0 */
struct kir_emit { struct kir_kern *k; struct kir_block *at; };
struct kir_op *kir_emit(struct kir_emit *e, enum kir_opcode op, enum ir_elem elem, unsigned lanes, struct kir_op *const *src, unsigned n_src, const struct ir_ix *const *ix, unsigned n_ix);
struct kir_reg *kir_reg_tile(struct kir_kern *k, const char *prefix, enum ir_elem elem, unsigned n_dims, const int64_t *dim, const struct kir_layout *lay);
struct kir_reg *kir_reg_var(struct kir_kern *k, const char *prefix, enum ir_elem elem, unsigned count, unsigned lanes);
struct kir_arr *kir_buf(struct kir_kern *k, const char *prefix, enum ir_elem elem, unsigned rank, const int64_t *dim);   /* shared, 64-aligned, after the last one */

void kir_kern_print(struct ir_buf *b, const struct kir_kern *k);
struct kir_kern *kir_kern_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n);
/* docs/kernel-ir.md section "Verifier", rules 1 to 10 as far as they are decidable; false with a reason. Runs on tiled and on flat code. */
bool kir_verify(const struct kir_kern *k, const char **why);
/* Runs flat code (all warps and lanes; random interleaving by seed) on raw buffers, one per argument, laid out as the argument's `at` says (elements as
 * double or int64_t: struct ir_tensor of rank 1). Faults (out of bounds, unaligned vectors, races, reads of poison that reach a store, results stored twice
 * or not at all, deadlock) are false with a reason. */
bool kir_run(const struct kir_kern *k, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *bufs, uint64_t seed, const char **why);
/* Dense tensor <-> raw buffer of an argument (for tests and for the packing of constants). Padding and halo are 0 in `to`. */
bool kir_arg_size(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, int64_t *out_elems);
bool kir_arg_pack(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, const struct ir_tensor *dense, struct ir_tensor *raw);
bool kir_arg_unpack(const struct kir_arr *a, const struct kir_bind *syms, unsigned n_syms, const struct ir_tensor *raw, struct ir_tensor *dense);

/* ---- Winograd's transform (winograd.c) ---- */
enum { KIR_WINOGRAD_MAX = 4 };          /* results of a tile to a side: 2 to 4 */
const double *kir_winograd_points(unsigned m);                                          /* the m points beside 0 and infinity: p, -p, then q, -q where they fit */
/* How many times the rounding of its products may be enlarged in a result, against that of a direct sum, for the kernel that suits the transforms least: root of the mean
 * square, inputs whose rounding is independent and of one size. */
double kir_winograd_worst(unsigned m);
void kir_winograd_matrix(unsigned m, double g[][3]);                                    /* G, m+2 rows: 0, the points, infinity */
void kir_winograd_weight(unsigned m, double g[][3], const float w[9], float *out);   /* G w G^T, row by row */
#endif
