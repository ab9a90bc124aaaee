/* map: nests without reductions (element-wise functions, casts, views, gathers, concatenations, paddings, changes of layout).
 *
 * Vectors run along the axis in which the results are contiguous; what the operands have there (one element, a stride, a tail, anything) follows from their
 * indices. Tasks are about TASK elements, fewer where that leaves cores idle. */
#include "codegen/library/map.h"
#include "codegen/library/skeleton.h"
#include "codegen/library/space.h"
#include <stdlib.h>
#include <string.h>

enum { TASK = 16384, TASK_LEAST = 2048, CROSS = 16 };

static bool only_maps(const struct kir_nest *n)
{
  for (unsigned i = 0; i < n->stmts.n; i++)
    if (cg_has_red(n->stmts.v[i]->e)) return false;
  return n->stmts.n > 0;
}

/* A transposition: a read with a stride along the vectors that is contiguous along another axis. Pieces of CROSS of that axis inside of each vector use the
 * lines that the vector's strided loads have fetched. -1: none. */
static int cross_axis(const struct cg_space *s)
{
  const struct ir_ix *co, *rest;
  int64_t k;
  if (s->vec < 0 || s->block || s->axis[s->vec].halo) return -1;
  for (unsigned i = 0; i < s->uses.offs.n; i++) {
    const struct ir_ix *off = s->uses.offs.v[i];
    if (!ir_ix_linear(off, s->axis[s->vec].sym, &co, &rest) || (ir_ix_const(co, &k) && k >= 0 && k <= 1)) continue;
    for (unsigned a = 0; a < s->n_axes; a++)
      if ((int)a != s->vec && !s->axis[a].halo && cg_space_extent(s, a) >= 4 && cg_unit_along(off, s->axis[a].sym)) return (int)a;
  }
  return -1;
}

static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  const char *why;
  struct cg_space s;
  struct cg_flat *f = only_maps(n) ? cg_flat_begin(a, (struct kir_nest *)n, &why) : NULL; /* the nest's table gets symbols, the nest stays */
  if (!f || !cg_space_init(&s, f, true)) return NULL;
  if (t->lanes > 1) return cg_map_lanes_schedule(a, &s, t);
  int cross = cross_axis(&s);
  if (cross >= 0) s.step[cross] = CROSS;
  cg_space_tasks(&s, 1, TASK, TASK_LEAST, t);
  if (cross >= 0) {
    s.level[s.n_levels++] = (struct cg_level){ CG_L_FOR, (unsigned)s.vec, t->vec_lanes };
    s.level[s.n_levels++] = (struct cg_level){ CG_L_FOR, (unsigned)cross, 1 };
  }
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
