/* The road from a graph to flat kerns, as the compiler takes it, inside of a test. */
#ifndef MASSC_TESTS_ROAD_H
#define MASSC_TESTS_ROAD_H
#include "codegen/codegen.h"
#include "passes/passes.h"

static inline struct kir_sched *road_schedule(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, int level) { return cg_schedule(a, n, t->impl, level); }
static inline unsigned road_choices(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, struct ir_choice out[IR_MAX_CHOICES])
{
  struct cg_choice c[CG_MAX_CHOICES];
  unsigned k = cg_choices(a, n, t->impl, c);
  for (unsigned i = 0; i < k; i++) out[i] = (struct ir_choice){ c[i].s, c[i].gain, c[i].bytes };
  return k;
}
static inline struct kir_kern *road_lower(const struct ir_target *t, struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const char **why)
{
  struct kir_kern *k = cg_lower(a, n, s, t->impl, why);
  if (k && !k->flat) cg_expand(k, t->impl);
  return k;
}
static inline struct ir_target road_target(const struct cg_target *t)
{
  return (struct ir_target){ .name = t->name, .place = "cpu", .align = MASSRT_ALIGN, .block = 16, .plane_pad = 16, .schedule = road_schedule, .choices = road_choices, .lower = road_lower, .impl = t };
}
/* All passes on m with the verifier behind each. False: a diagnostic. p is the program; road_end frees its kernels. */
static inline bool road_run(struct ir_module *m, const struct ir_target *t, int level, struct pass_program *p)
{
  struct pass_options o = { .level = level, .verify = true };
  *p = (struct pass_program){ .arena = m->arena, .m = m, .target = t, .level = level, .arena_bytes = -1, .live_bytes = -1 };
  struct pass_ctx c = { .m = m, .opt = &o, .target = t, .prog = p };
  return pass_run_all(&c, NULL);
}
static inline void road_end(struct pass_program *p)
{
  for (uint32_t i = 0; i < p->kernels.n; i++) ir_arena_destroy(p->kernels.v[i].arena);
}
#endif
