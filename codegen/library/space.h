/* space.h: the loops of skeletons whose statements share one iteration space (map, window), as flat code.
 *
 * The space has one axis per axis of the statements, with neighbours merged where all accesses run on from one into the other. Levels cut the axes into
 * grid digits, loops and vectors, outermost first. Where a level's trips are constant they are cut into pieces at the places where a condition (a padding, a
 * border between the parts of a concatenation, a stored halo) changes, so that within a piece it is known: no element in the inside is guarded. */
#ifndef MASSC_CODEGEN_SPACE_H
#define MASSC_CODEGEN_SPACE_H
#include "codegen/codegen.h"
#include "codegen/library/flat.h"

enum { CG_LEVELS = 24 };
struct cg_axis {
  const char *name;
  const struct ir_ix *sym;     /* stands for the axis in offsets and conditions */
  const struct ir_ix *lo, *hi; /* coordinates to run over: the shape's, or a stored halo's */
  const struct ir_ix *shape;
  bool halo;
  int dim; /* of the destinations; -1 for merged axes */
  unsigned n;
  uint8_t of[IR_MAX_RANK]; /* axes of the statements, outermost first; none for the halo around a unit dim */
};
/* One level: `step` elements of the axis at a time. VEC: the rest of the axis, in vectors (step is their width). */
struct cg_level {
  enum { CG_L_GRID, CG_L_FOR, CG_L_VEC } kind;
  unsigned axis;
  int64_t step;
};

struct cg_space {
  struct cg_flat *f;
  struct kir_stmt **stmts;
  unsigned n_stmts; /* those that store */
  unsigned n_axes;
  struct cg_axis axis[IR_MAX_RANK];
  unsigned n_levels;
  struct cg_level level[CG_LEVELS];
  struct cg_uses uses;                   /* of all statements, over the axes' symbols */
  uint32_t n_asked;                      /* so many of uses.conds come from expressions; the others are the borders of halos */
  uint32_t whole;                        /* bit a: axis a is cut at its halo only */
  IR_VEC(const struct ir_ix *) out_offs; /* one per statement */
  int vec;                               /* the axis along which the results are contiguous, or -1 */
  int64_t block;                         /* it is so within aligned blocks of this many elements; 0: all along */
  int64_t step[IR_MAX_RANK];             /* axes that are cut into pieces of this many elements first; 0: not */
  int tile;                              /* what the steps leave of this axis is the body's, at base .. base+size-1; -1: none */
  /* while loops are made */
  const struct ir_ix *grid[CG_LEVELS];                       /* digits of the grid, by level */
  const struct ir_ix *base[IR_MAX_RANK], *size[IR_MAX_RANK]; /* what of each axis is left at the present level: base <= coordinate < base + size */
  bool zeros;                                                /* all here lies around the shape */
  unsigned copies;                                           /* of the body, at most */
  void (*body)(struct cg_space *s, void *arg);
  void *arg;
};

/* The space of all statements of f's nest that store into arguments; temporaries must have their places. False: they do not share one. `merge`: neighbours
 * may become one axis. */
bool cg_space_init(struct cg_space *s, struct cg_flat *f, bool merge);
/* Runs the levels; body is called with base[] being the coordinates, f->v bound in. */
void cg_space_loops(struct cg_space *s, void (*body)(struct cg_space *s, void *arg), void *arg);
/* Binds the axes of statement i to the present coordinates and gives the coordinates of its destination. */
void cg_space_bind(struct cg_space *s, unsigned i, const struct ir_ix **out_at);
/* Computes and stores all statements at the present coordinates, zeros in halos. */
void cg_space_store(struct cg_space *s);
/* Elements of an axis: its constant extent, or the least that is known where it is symbolic. */
int64_t cg_space_extent(const struct cg_space *s, unsigned axis);

int64_t cg_space_shape(const struct cg_space *s, unsigned axis); /* the same without a halo */

/* e grows by 1 with sym, at least within aligned blocks. */
bool cg_unit_along(const struct ir_ix *e, const struct ir_ix *sym);

/* Grid levels, and loops inside of them, for tasks of about `task` operations at `cost` operations an element; down to `least` to have 4 tasks per core. */
void cg_space_tasks(struct cg_space *s, int64_t cost, int64_t task, int64_t least, const struct cg_target *t);

/* Schedule records <-> levels. The record lists grid and loops; axes that it leaves out, and what its steps leave, are looped over one by one inside, the axis
 * of the vectors last. */
void cg_space_record(const struct cg_space *s, struct ir_arena *a, struct kir_sched *out);
bool cg_space_levels(struct cg_space *s, const struct kir_sched *r, unsigned lanes, const char **why);
#endif
