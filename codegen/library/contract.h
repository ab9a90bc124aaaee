/* contract.h: what the files of the skeleton `contract` share: a nest read as a contraction. */
#ifndef MASSC_CG_CONTRACT_H
#define MASSC_CG_CONTRACT_H
#include "codegen/library/skeleton.h"

enum { CG_MAX_AXES = 24, CG_MAX_ITEMS = 32 };
/* Axes' roles follow from the reads x and w and the result y: */
enum cg_role { CG_BATCH /* in x, w, y, or in y alone */, CG_M /* x and y */, CG_N /* w and y */, CG_K /* summed */ };
struct cg_axis {
  const char *name;                               /* in schedule records */
  const struct ir_ix *var, *ext;
  int64_t n;                                      /* the extent where it is constant, else 0 */
  enum cg_role role;
};
struct cg_item { struct kir_arr *dst; const struct ir_ix **at; struct kir_expr *e; };   /* an epilogue statement */
struct cg_contract {
  struct ir_arena *a;
  struct ir_ixs *ixs;
  const struct kir_nest *nest;
  struct cg_axis ax[CG_MAX_AXES];
  unsigned n_ax;
  struct kir_arr *acc;                            /* what the reduction is written to, at acc_at */
  const struct ir_ix **acc_at;
  enum ir_elem elem;                              /* of the accumulator */
  struct kir_expr *x, *w;                         /* the factors: a read, or a cast of one */
  struct kir_expr *xr, *wr;                       /* the reads */
  struct cg_item item[CG_MAX_ITEMS];
  unsigned n_items;
  unsigned vec;                                   /* the n axis along which vectors run */
};

/* Reads a nest: one sum of products of two reads, and statements over the same index space. Axes are split where operands divide them (groups) and merged
 * where all storage is contiguous in them. False with *why: not a contraction. Makes symbols in the nest's table. */
bool cg_contract_read(struct cg_contract *c, struct ir_arena *a, const struct kir_nest *n, const char **why);
/* A factor without its casts, and r with the casts of `of`. */
struct kir_expr *cg_uncast(struct kir_expr *e);
struct kir_expr *cg_recast(struct ir_arena *a, const struct kir_expr *of, struct kir_expr *r);
/* Elements along the axes of a role, those whose number is not known taken as `unknown`. */
double cg_contract_extent(const struct cg_contract *c, enum cg_role role, int64_t unknown);
/* Element offset of a read or of arr[at..] in storage. */
const struct ir_ix *cg_offset(const struct kir_arr *arr, const struct ir_ix *const *at, struct ir_ixs *ixs);
/* Is every access of the nest either independent of the vector axis or linear in it within aligned groups of `lanes`? */
bool cg_contract_lanes_ok(const struct cg_contract *c, unsigned lanes);
/* Must whole tiles cover the vector axis, because some coordinate is a group's first element plus its value? */
bool cg_contract_whole(const struct cg_contract *c);
/* Can w be stored in panels? It is a constant, each of its coordinates one axis. */
bool cg_contract_packable(const struct cg_contract *c);
/* Lanes want rows of several axes (of an image) and columns of one: swaps the operands where it is the other way round. */
void cg_contract_for_lanes(struct cg_contract *c);
bool cg_contract_runs(const struct cg_contract *c, unsigned operand /* 0 x, 1 w */, unsigned axis);   /* with unit stride */
bool cg_contract_rows_run(const struct cg_contract *c);              /* the first result runs with unit stride along a row axis */
unsigned cg_contract_piece(const struct cg_contract *c);             /* elements, up to 16 bytes, in which a row of the last result can be stored: all of its rows begin on multiples */
/* The axis that is a coordinate: e == var, or e == group*extent + var. NULL: none. */
const struct cg_axis *cg_coord_axis(const struct cg_contract *c, const struct ir_ix *e);

/* ---- lowering: shared by contract.c (loops over the result), contract_tile.c (what lies below) and contract_pack.c ---- */
enum { CG_MAX_PEEL = 6, CG_MAX_SPLIT = 8, CG_PIECE = 16 /* bytes; a row of shared memory that is read without a swizzle is one longer, so that rows begin in different banks */ };
/* What is left of an axis inside of the loops so far: base <= value < lim, at most `step` (0: not known). exact: lim is base + step. */
struct cg_left { const struct ir_ix *base, *lim; int64_t step; bool exact; };
struct cg_axes { struct cg_left ax[CG_MAX_AXES]; };
struct cg_lower_state {
  struct cg_contract *c;
  const struct kir_sched *s;
  const struct cg_target *t;
  const struct kir_inst *in;
  struct kir_kern *k;
  struct kir_emit e;
  unsigned last_mn;                               /* the last loop over an m or n axis */
  unsigned n_loops;                               /* without the last one, if that divides the tile among warps or lanes */
  char unit;                                      /* 'w', 'l' or 0: what the tile is divided among */
  int64_t unit_step[CG_MAX_AXES];                 /* what one of them gets of an axis; 0: all */
  int64_t split;                                  /* warps that share a part of the tile, each with its part of a stage's sum; 1: none do */
  struct kir_arr *x_rows;                         /* the task's rows of x in scratch, [k, row]; NULL: read in place */
  const struct ir_ix *x_first;                    /* the first of them */
  const char *why;                                /* the first reason for which the record does not fit */
};
bool cg_refuse(struct cg_lower_state *l, const char *why);              /* false */
int cg_find_axis(const struct cg_contract *c, const char *name);        /* -1: none */
const struct kir_stage *cg_find_stage(const struct kir_sched *s, const struct kir_arr *arr);
const struct ir_ix *cg_num(const struct cg_lower_state *l, int64_t i);
const struct ir_ix *cg_trips(const struct cg_lower_state *l, const struct cg_left *x, int64_t step);
void cg_enter(struct cg_left *x, int64_t step, const struct ir_ix *trip);
/* Without a pipe, `x = shared` means: the task first copies its rows of x to scratch, transposed, so that a tile's column of x is contiguous. Rows whose distance
 * is a multiple of a cache's ways would evict one another. Called below the grid. */
bool cg_contract_stage_rows(struct cg_lower_state *l, const struct cg_axes *st);
/* The only m axis, or summed axis, with more than one element; -1: there is none, or several. */
int cg_only_axis(const struct cg_contract *c, enum cg_role role);
/* Everything below the last loop over m and n. */
bool cg_contract_tile(struct cg_lower_state *l, struct cg_axes *st);
/* Stores w in panels of the columns' step, in the order of the k loops. */
bool cg_contract_pack(struct cg_lower_state *l);
/* Gives the constants in e that run along the columns zeros up to a multiple of nr. */
void cg_contract_pad(struct cg_lower_state *l, const struct kir_expr *e, int64_t nr);
struct kir_sched *cg_contract_lanes_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t);
struct kir_sched *cg_contract_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t);
double cg_contract_share(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t);
unsigned cg_contract_alternatives(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice *out, unsigned room);   /* both as a skeleton's; processors */
#endif
