/* flat.h: writes flat code for the expressions of a nest, at coordinates and in a vector width that a skeleton chooses.
 *
 * The skeleton makes loops (cg_flat_for), says what each axis of a statement is there (cg_flat_bind: an expression in loop variables, which holds the
 * symbol f->v when the axis runs along the vector), and asks for values (cg_flat_expr) and stores (cg_flat_store). Everything else is derived: guards from
 * `els` and from the conditions of selects, as far as the facts of the surrounding loops do not decide them; strides along the vector; tails (`upto`). A read
 * that has no stride along the vector is done lane by lane. Temporaries are expanded where they are read, or live in a register or a buffer of the task. */
#ifndef MASSC_CODEGEN_FLAT_H
#define MASSC_CODEGEN_FLAT_H
#include "ir/kernel/kir.h"

/* Where the values of a temporary are. Coordinates that are the same for all its readers in one task need no storage: a register has none, a buffer has the
 * dims dim[0..n) of the temporary. */
struct cg_slot {
  enum { CG_INLINE, CG_REG, CG_BUF } where;
  const struct kir_stmt *stmt; /* the one that defines it */
  struct kir_reg *reg;
  struct kir_arr *buf;
  unsigned n;
  uint8_t dim[IR_MAX_RANK];
};
struct cg_memo {
  struct kir_op *op;
  const void *what;
  unsigned n;
  const struct ir_ix **ix;
};
struct cg_done {
  const struct kir_expr *e;
  struct kir_op *v;
};
struct cg_flat {
  struct kir_nest *n;
  struct kir_kern *k;
  struct kir_emit em;
  unsigned lanes;
  const struct ir_ix *v;    /* 0..lanes-1, NULL while scalar */
  const struct ir_ix *upto; /* lanes below it take part in loads and stores; NULL: all */
  IR_VEC(const struct ir_ix *) from, to;
  uint32_t scope;                     /* bindings of the expression at hand start at scope */
  IR_VEC(const struct ir_ix *) conds; /* hold (>= 0) where the expression at hand matters: sides of selects */
  IR_VEC(struct cg_memo) memo;        /* values at hand in this block, so that what is read twice is loaded once */
  IR_VEC(struct cg_done) done;        /* reductions whose value the skeleton has made already */
  struct cg_slot *slot;               /* one per temporary */
  int64_t scratch;                    /* bytes that temporaries may take in a task; 0: what a CPU has */
};

/* A kern for n with slots for its temporaries, all CG_INLINE. NULL with *why: expressions too deep to expand. */
struct cg_flat *cg_flat_begin(struct ir_arena *a, struct kir_nest *n, const char **why);
/* The dims that flat code needs as arguments, in order of first use, become k->syms. */
void cg_take_syms(struct kir_kern *k);
/* Marks the kern flat and collects the dims that it takes. */
struct kir_kern *cg_flat_end(struct cg_flat *f);

/* lanes 1: scalar. Values at hand are forgotten. */
void cg_flat_lanes(struct cg_flat *f, unsigned lanes);
void cg_flat_bind(struct cg_flat *f, const struct ir_ix *axis, const struct ir_ix *coord);
const struct ir_ix *cg_flat_at(const struct cg_flat *f, const struct ir_ix *e); /* e with the bindings put in */
static inline uint32_t cg_flat_mark(const struct cg_flat *f) { return f->from.n; }
static inline void cg_flat_unbind(struct cg_flat *f, uint32_t mark) { f->from.n = f->to.n = mark; }

/* Control. Between open and close ops go to the body; the loop's bounds and the conditions are facts there. */
struct cg_open {
  struct kir_block *at;
  uint32_t facts, memo;
  struct kir_op *op;
};
const struct ir_ix *cg_flat_for(struct cg_flat *f, const char *name, const struct ir_ix *lo, const struct ir_ix *hi, unsigned unroll, struct cg_open *out);
void cg_flat_if(struct cg_flat *f, const struct ir_ix *const *ge0, unsigned n, struct cg_open *out);
void cg_flat_else(struct cg_flat *f, struct cg_open *o);
void cg_flat_close(struct cg_flat *f, struct cg_open *o);
const struct ir_ix *cg_flat_grid(struct cg_flat *f, const char *name, const struct ir_ix *trips); /* the next inner digit */
void cg_flat_assume(struct cg_flat *f, const struct ir_ix *ge0);                                  /* until the enclosing block closes */

/* Values. */
struct kir_op *cg_flat_expr(struct cg_flat *f, const struct kir_expr *e); /* lanes 1 where it does not depend on f->v */
struct kir_op *cg_flat_const(struct cg_flat *f, enum ir_elem e, double v, int64_t i);
struct kir_op *cg_flat_wide(struct cg_flat *f, struct kir_op *o, unsigned lanes); /* splat if it is scalar */
struct kir_op *cg_flat_ew(struct cg_flat *f, enum ir_map m, enum ir_elem e, struct kir_op *a, struct kir_op *b);
struct kir_op *cg_flat_cast(struct cg_flat *f, enum ir_elem e, struct kir_op *a);
struct kir_op *cg_flat_get(struct cg_flat *f, struct kir_reg *r, const struct ir_ix *i);
void cg_flat_set(struct cg_flat *f, struct kir_reg *r, const struct ir_ix *i, struct kir_op *v);
/* Element of arr at coordinates (no bindings are put in); els as in kir_expr. */
struct kir_op *cg_flat_read(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, const struct kir_expr *els);
/* Stores v at coordinates; lanes that fall outside of arr's domain in its last vector are left out. */
void cg_flat_store(struct cg_flat *f, struct kir_arr *arr, const struct ir_ix *const *c, struct kir_op *v);

/* Says that element c of temporary s is v in what follows of this block. */
void cg_flat_at_hand(struct cg_flat *f, const struct kir_stmt *s, const struct ir_ix *const *c, struct kir_op *v);
struct kir_op *cg_flat_limit(struct cg_flat *f, struct kir_op *v, struct kir_op *other); /* v in lanes below f->upto, else `other` */
struct kir_op *cg_flat_vred(struct cg_flat *f, enum kir_red r, struct kir_op *v);        /* v itself if it is scalar */

/* Reductions: the type they are accumulated in (f32 for narrower floats), the value that changes nothing, the step. */
enum ir_elem cg_red_elem(enum ir_elem e);
struct kir_op *cg_flat_neutral(struct cg_flat *f, enum kir_red r, enum ir_elem e);
enum ir_map cg_red_map(enum kir_red r);
void cg_flat_fold(struct cg_flat *f, struct kir_reg *acc, const struct kir_expr *e); /* acc = acc op e's operand, for a reduction e whose axes are bound */

/* What an expression asks of memory at the present bindings, temporaries expanded: offsets of its reads, conditions (>= 0) of its selects and of reads with
 * `els`, as far as they are not known, and the index expressions that it computes with. Axes of reductions stand as their symbols. */
struct cg_uses {
  IR_VEC(const struct ir_ix *) offs, conds, exprs;
  IR_VEC(const struct kir_arr *) arrs; /* of offs */
  IR_VEC(struct cg_seen { const struct kir_stmt *s; const struct ir_ix *c[IR_MAX_RANK]; }) seen;   /* temporaries already expanded, with their coordinates */
};
void cg_flat_uses(struct cg_flat *f, const struct kir_expr *e, struct cg_uses *out);
/* Offset of element c of arr. */
const struct ir_ix *cg_flat_offset(struct cg_flat *f, const struct kir_arr *arr, const struct ir_ix *const *c);
/* a where cond >= 0 holds, else zero. Ends with cg_flat_masked; in between, what is read elsewhere does not matter. */
void cg_flat_mask(struct cg_flat *f, const struct ir_ix *cond);
struct kir_op *cg_flat_masked(struct cg_flat *f, const struct ir_ix *cond, struct kir_op *a);

/* Temporaries (temps.c). A skeleton first says which are kept (slot.where other than CG_INLINE). */
bool cg_kept(const struct cg_flat *f, const struct kir_arr *x); /* x is written to memory or a register: an output, or a temporary that is kept */
/* How many leading axes all statements of kept arrays share: equal extents, no halo, every kept array read where it was written. */
unsigned cg_shared_axes(struct cg_flat *f);
/* Registers and buffers for kept temporaries, given the shared axes; false if a buffer would have no bound or be too large. */
bool cg_place_temps(struct cg_flat *f, unsigned shared);
/* Stores v as the element at coordinates c of s's destination, wherever that is. */
void cg_flat_put(struct cg_flat *f, const struct kir_stmt *s, const struct ir_ix *const *c, struct kir_op *v);

/* Looking at nests. */
/* The dimension of s's destination that runs along its axis; -1 if there is none. */
int cg_dim_of(const struct kir_stmt *s, unsigned axis);
/* Every coordinate of the destination is an axis of its own or a constant. */
bool cg_plain(const struct kir_stmt *s);
bool cg_has_red(const struct kir_expr *e);
/* Shape of dimension d: its own extent, without what is stored around it. */
const struct ir_ix *cg_extent(const struct kir_arr *a, unsigned d);
/* Dimension d of arr, an output, is written with zeros around its shape. */
bool cg_halo_dim(const struct kir_arr *arr, unsigned d);
/* Calls fn for every read in e. */
void cg_reads(const struct kir_expr *e, void (*fn)(void *, const struct kir_expr *), void *arg);
#endif
