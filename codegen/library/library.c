/* The operator library's two entries: choosing a schedule record for a nest, and lowering a nest by its record. */
#include <string.h>
#include "codegen/library/skeleton.h"

#define SKELETON(name) extern const struct cg_skeleton cg_skeleton_##name;
#include "codegen/library/skeletons.def"
#undef SKELETON
static const struct cg_skeleton *const skeletons[] = {
#define SKELETON(name) &cg_skeleton_##name,
#include "codegen/library/skeletons.def"
#undef SKELETON
  NULL
};

static const struct cg_skeleton *find(const char *kind)
{
  for (unsigned i = 0; skeletons[i]; i++)
    if (!strcmp(skeletons[i]->name, kind)) return skeletons[i];
  return NULL;
}

struct kir_sched *cg_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, int level)
{
  for (unsigned i = 0; skeletons[i]; i++) {
    if ((level == 0 && !skeletons[i]->plain) || skeletons[i]->choices) continue;
    struct kir_sched *s = skeletons[i]->schedule(a, n, t);
    if (s) return s;
  }
  ir_bug(__func__, "no skeleton takes nest %s", n->name);
}

unsigned cg_choices(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice out[CG_MAX_CHOICES])
{
  unsigned k = 0;
  for (unsigned i = 0; skeletons[i] && !k; i++)
    if (skeletons[i]->choices) k = skeletons[i]->choices(a, n, t, out);
  return k;
}

static bool same_text(const struct kir_sched *s, const struct kir_sched *t)
{
  struct ir_buf x = { 0 }, y = { 0 };
  kir_sched_print(&x, s);
  kir_sched_print(&y, t);
  bool same = !strcmp(x.s, y.s);
  ir_buf_deinit(&x);
  ir_buf_deinit(&y);
  return same;
}
unsigned cg_add_alternative(struct cg_choice *out, unsigned k, unsigned room, struct kir_sched *s, int64_t bytes)
{
  if (!s || k == room) return k;
  for (unsigned i = 0; i < k; i++)
    if (same_text(out[i].s, s)) return k;
  out[k] = (struct cg_choice){ .s = s, .bytes = bytes };
  return k + 1;
}
unsigned cg_alternatives(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice out[CG_MAX_ALTERNATIVES])
{
  struct cg_choice more[CG_MAX_ALTERNATIVES];
  struct kir_sched *first = cg_schedule(a, n, t, 2);
  const struct cg_skeleton *of_first = find(first->kind);
  unsigned k = 1;
  if (t->kind != CG_CPU) return 0;
  out[0] = (struct cg_choice){ .s = first };
  for (unsigned c = cg_choices(a, n, t, more), i = 0; i < c; i++) k = cg_add_alternative(out, k, CG_MAX_ALTERNATIVES, more[i].s, more[i].bytes);
  for (unsigned i = 0; skeletons[i]; i++)
    if (skeletons[i]->alternatives && (skeletons[i] == of_first || skeletons[i]->choices)) {
      unsigned m = skeletons[i]->alternatives(a, n, t, more, CG_MAX_ALTERNATIVES);
      for (unsigned j = 0; j < m; j++) k = cg_add_alternative(out, k, CG_MAX_ALTERNATIVES, more[j].s, more[j].bytes);
    }
  return k > 1 ? k : 0;
}

/* Results of a Winograd tile to a side, by the record's loops; 0: it is none. */
static int64_t winograd_tile(const struct kir_sched *s)
{
  for (uint32_t i = 0; i < s->loops.n && !strcmp(s->kind, "winograd"); i++)
    if (s->loops.v[i].kind == KIR_FOR) return s->loops.v[i].part[0].step;
  return 0;
}
struct cg_expected cg_expect(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t)
{
  const struct cg_skeleton *sk = find(s->kind);
  double share = sk && sk->share ? sk->share(a, n, s, t) : 1;
  int64_t m = winograd_tile(s);
  return (struct cg_expected){ .products = t->gops / 2 * share, .ops = t->gops / (t->fma ? 2 : 1), .near = t->clock_ghz * t->l3_cycle, .weights = t->gbytes,
                               .growth = m ? (double)((m + 2) * (m + 2)) / 9 : 1 };
}

/* The name tells what the kernel is: the nest's words, and a hash of nest, record and target. */
static const char *kern_name(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t)
{
  struct ir_buf b = { 0 };
  kir_sched_print(&b, s);
  uint64_t h = ir_hash(t->name, strlen(t->name), ir_hash(b.s, b.n, kir_nest_hash(n)));
  ir_buf_deinit(&b);
  return ir_arena_printf(a, "%s_%08x", n->name, (unsigned)(h ^ h >> 32));
}

struct kir_kern *cg_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  const struct cg_skeleton *sk = find(s->kind);
  if (!sk) {
    *why = ir_arena_printf(a, "no skeleton is called %s", s->kind);
    return NULL;
  }
  const char *name = kern_name(a, n, s, t);       /* before lowering: that packs constants, which is no part of the identity */
  struct kir_kern *k = sk->lower(a, n, s, t, why);
  if (k) k->name = name;
  return k;
}
