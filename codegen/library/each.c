/* each: on lanes, one thread for one result, whatever its reductions: pooling, depthwise and, where no tile takes it, any other convolution or product.
 *
 * A result's reductions are loops of its thread; neighbours along the axis in which results are contiguous are neighbouring lanes. Of many results four are one
 * thread's where all arrays are contiguous along that axis, too (channels innermost). It is for nests with enough results to fill a device, or short reductions; few
 * results of long ones are `block`'s. */
#include "codegen/library/map.h"
#include "codegen/library/skeleton.h"
#include "codegen/library/window.h"

enum { RESULTS = 4096, TAPS = 256, ENOUGH = 1024 /* of a multiprocessor, so that threads with four each are a block */ };

static bool take(struct cg_space *s, struct ir_arena *a, struct kir_nest *n, const char **why)
{
  struct cg_flat *f;
  *why = "reductions do not move along with the results of one space";
  if (cg_window_chained(n) || !(f = cg_flat_begin(a, n, why)) || !cg_space_init(s, f, false)) return false;
  return cg_window_fits(s);
}
static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  const char *why;
  struct cg_space s;
  int64_t results = 1;
  if (t->lanes < 2 || !take(&s, a, (struct kir_nest *)n, &why)) return NULL;     /* the nest's table gets symbols, the nest stays */
  for (unsigned i = 0; i < s.n_axes && results < ENOUGH * (int64_t)t->cores; i++) results *= cg_space_extent(&s, i);
  if (results < RESULTS && cg_window_taps(&s) > TAPS) return NULL;
  unsigned piece = results < ENOUGH * (int64_t)t->cores ? 1 : cg_map_lanes_piece(&s);
  struct kir_sched *r = cg_map_lanes_record(a, piece, piece, t);
  r->kind = "each";
  return r;
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *r, const struct cg_target *t, const char **why)
{
  struct cg_space s;
  if (!take(&s, a, n, why)) return NULL;
  return cg_map_lanes_lower(&s, r, t, why);
}
const struct cg_skeleton cg_skeleton_each = { "each", schedule, lower, true };
