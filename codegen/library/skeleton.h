/* What authors of skeletons share: loops and grid digits that teach the prover, expressions moved to other coordinates, zeroing of stored halos.
 *
 * A skeleton turns a nest and a schedule record into a tiled kern. Conventions of tiled code here:
 * - A tile dim d of register tile r is made of the axes r->axes[d][..] (outermost first); each is a symbol of the kern's table, found by its name, with range
 *   0..ext-1: the tile coordinate of that axis. Expressions of map, copy and mma are written in these symbols, loop variables and grid digits.
 * - `map arr[ix..] <- e` on layout lay takes its axes from the first tile that e reads with as many dims, or else each dim of lay is its own axis.
 * - `mma` has its k coordinate's symbol in op->var, its range in ix[0]; NULL for one k.
 * - Guards are never written: cg_expand derives them from the arrays' domains and proves away what it can. */
#ifndef MASSC_CG_SKELETON_H
#define MASSC_CG_SKELETON_H
#include "codegen/codegen.h"

/* ---- numbers, of positive a and b ---- */
static inline int64_t cg_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t cg_round_up(int64_t a, int64_t b) { return cg_ceil_div(a, b) * b; }
int64_t cg_pow2_up(int64_t x);              /* the least power of two that is no less */

/* ---- registers ----
 * Rows of the largest register tile that is so many vectors wide (1 to 4): its sums, the vectors of a step and an element spread over one fit into the registers
 * (tests/e2e/test_spills.py); where multiplication and addition are two instructions, also a product and one register more. */
unsigned cg_tile_rows(const struct cg_target *t, unsigned vecs);

/* ---- alternatives ----
 * out[k] = s, unless s is NULL, stands there already or there is no room; the new number. bytes: what it stores more for constants. */
unsigned cg_add_alternative(struct cg_choice *out, unsigned k, unsigned room, struct kir_sched *s, int64_t bytes);

/* ---- loops ----
 * Opens `for name = 0..trips`: e->at becomes the body, and the kern's facts know var < trips until the end. One trip opens no loop and the variable is the
 * constant 0. unroll: 0 or 1 none, n, or 0xffff (replayed completely). Returns the variable. */
struct cg_for { struct kir_op *op; struct kir_block *outer; uint32_t mark; };
const struct ir_ix *cg_for_begin(struct kir_emit *e, struct cg_for *f, const char *name, const struct ir_ix *trips, unsigned unroll);
void cg_for_end(struct kir_emit *e, struct cg_for *f);
/* `if` all of ge0[0..n) >= 0 (constants and proved ones are left out; if none is left, no op is made). */
struct cg_if { struct kir_op *op; struct kir_block *outer; uint32_t mark; };
void cg_if_begin(struct kir_emit *e, struct cg_if *c, const struct ir_ix *const *ge0, unsigned n);
void cg_if_end(struct kir_emit *e, struct cg_if *c);
/* Appends a digit to the grid (outermost first); one trip adds none and gives the constant 0. Its fact stays for the whole kern. */
const struct ir_ix *cg_grid(struct kir_kern *k, const char *name, const struct ir_ix *trips);
/* A tile coordinate 0..ext-1; ext 1 gives the constant 0. */
const struct ir_ix *cg_coord(struct kir_kern *k, const char *name, int64_t ext);

/* ---- expressions ----
 * A copy of e with symbols from[i] replaced by to[i] everywhere (coordinates, conditions, extents); then `read` (may be NULL) may replace a READ. */
struct cg_move {
  const struct ir_ix *const *from, *const *to; unsigned n;
  struct kir_expr *(*read)(void *arg, struct kir_expr *e);
  void *arg;
};
struct kir_expr *cg_expr_move(struct ir_arena *a, const struct kir_expr *e, const struct cg_move *m);
struct kir_expr *cg_expr_f(struct ir_arena *a, enum ir_elem e, double f);

/* ---- layouts ---- Appends a factor to dim `dim`, inside of those that it has; extent 1 adds none. */
void cg_factor(struct kir_layout *l, unsigned dim, int64_t ext, char axis, int64_t stride);
/* map %r <- x */
struct kir_op *cg_map_reg(struct kir_emit *e, struct kir_reg *r, struct kir_expr *x);
/* map arr[at..] <- e on layout lay (copied into the kern's arena) */
struct kir_op *cg_map_arr(struct kir_emit *e, struct kir_arr *arr, const struct ir_ix *const *at, struct kir_expr *x, const struct kir_layout *lay);

/* ---- stored halos ----
 * Does the producer of `out` have to write zeros around it? */
bool cg_has_halo(const struct kir_arr *out);
bool cg_halo_axis(const struct kir_arr *out, unsigned d);   /* does axis d have one? */
/* Writes the zeros of out's halo (its domain outside of its shape, slack axes aside) that belong to the box lo[d] <= c < lo[d]+ext[d] of the axes without halo;
 * axes with a halo are written whole (their lo, ext are ignored), so call it once for each such box: guard it by "first block of the axes with a halo".
 * vec: the axis whose elements are stored as vectors of `lanes` (its lo and ext are multiples where the domain is); lanes 1: scalars, and any axis. */
void cg_zero_halo(struct kir_emit *e, struct kir_arr *out, const struct ir_ix *const *lo, const struct ir_ix *const *ext, unsigned vec, unsigned lanes);
#endif
