/* map: nests without reductions (element-wise functions, casts, views, gathers, concatenations, paddings, changes of layout).
 *
 * Vectors run along the axis in which the results are contiguous; what the operands have there (one element, a stride, a tail, anything) follows from their
 * indices. Tasks are about TASK elements, fewer where that leaves cores idle. */
#include "codegen/library/map.h"
#include "codegen/library/skeleton.h"
#include "codegen/library/space.h"
#include <stdlib.h>
#include <string.h>

enum { TASK = 16384, TASK_LEAST = 2048 };

static bool only_maps(const struct kir_nest *n)
{
  for (unsigned i = 0; i < n->stmts.n; i++)
    if (cg_has_red(n->stmts.v[i]->e)) return false;
  return n->stmts.n > 0;
}

static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  const char *why;
  struct cg_space s;
  struct cg_flat *f = only_maps(n) ? cg_flat_begin(a, (struct kir_nest *)n, &why) : NULL; /* the nest's table gets symbols, the nest stays */
  if (!f || !cg_space_init(&s, f, true)) return NULL;
  if (t->lanes > 1) return cg_map_lanes_schedule(a, &s, t);
  cg_space_tasks(&s, 1, TASK, TASK_LEAST, t);
  struct kir_sched *r = IR_NEW(a, struct kir_sched);
  r->kind = "map";
  r->inst = ir_arena_printf(a, "v%u", s.vec < 0 ? 1 : t->vec_lanes);
  cg_space_record(&s, a, r);
  return r;
}

static void body(struct cg_space *s, void *arg)
{
  (void)arg;
  cg_space_store(s);
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *r, const struct cg_target *t, const char **why)
{
  struct cg_space s;
  struct cg_flat *f = cg_flat_begin(a, n, why);
  unsigned lanes = r->inst && r->inst[0] == 'v' ? (unsigned)atoi(r->inst + 1) : 1;
  if (!f) return NULL;
  if (!only_maps(n) || !cg_space_init(&s, f, true)) {
    *why = "not one iteration space of maps";
    return NULL;
  }
  if (t->lanes > 1) return cg_map_lanes_lower(&s, r, t, why);
  if (!cg_space_levels(&s, r, lanes, why)) return NULL;
  cg_flat_lanes(f, lanes);
  cg_space_loops(&s, body, NULL);
  return cg_flat_end(f);
}

const struct cg_skeleton cg_skeleton_map = { "map", schedule, lower };
