/* choose: which kernels take another record than the target's default: those of a tuning file (tune.c), then those that are faster and store more for their weights
 * (transformed 3x3 kernels). Part of pass schedule.
 *
 * The target offers such records with their gain and their bytes. All of a program's versions together may store three quarters of the model's weights more. Each
 * offer is a step up from the one before it (from the default record, if that one is no better a bargain); steps are taken by gain per byte until nothing fits. Greedy, which is
 * within one step of the best. Weights of loops' bodies keep their default records. */
#include "passes/internal.h"
#include <stdlib.h>

struct step { struct ir_node *n; struct kir_sched *s; double gain; int64_t bytes; double all_gain; int64_t all_bytes; uint32_t index, before; };   /* all_: from the default record; before: 1 + the step that must have been taken */
struct steps { struct step *v; uint32_t n, cap; };

static bool better(const struct step *x, const struct step *y) { return x->gain * (double)y->bytes > y->gain * (double)x->bytes; }
static int by_bargain(const void *a, const void *b) { return better(a, b) ? -1 : better(b, a) ? 1 : ((const struct step *)a)->index < ((const struct step *)b)->index ? -1 : 1; }
static void add_steps(struct pass_ctx *c, struct steps *all, struct ir_node *n, const struct ir_choice *x, unsigned k)
{
  uint32_t first = all->n;
  for (unsigned i = 0; i < k; i++) {
    struct step s = { .n = n, .s = x[i].s, .all_gain = x[i].gain, .all_bytes = x[i].bytes };
    for (bool merged = true; merged;) {
      const struct step *last = all->n > first ? &all->v[all->n - 1] : NULL;
      s.gain = s.all_gain - (last ? last->all_gain : 0);
      s.bytes = s.all_bytes - (last ? last->all_bytes : 0);
      merged = last && s.gain > 0 && s.bytes > 0 && !better(last, &s);        /* no worse a bargain than the step before: one step */
      if (merged) all->n--;
    }
    if (s.gain <= 0 || s.bytes <= 0) continue;
    s.index = all->n;
    s.before = all->n > first ? all->n : 0;
    ir_push(c->scratch, all, s);
  }
}
/* Bytes of all constants that groups read, and what the versions before have stored beyond theirs. */
static int64_t allowance(struct pass_ctx *c)
{
  struct ir_graph *g = c->m->main;
  int64_t all = 0, used = 0, elems;
  for (struct ir_node *n = g->first; n; n = n->next)
    for (unsigned i = 0; i < n->n_in; i++) n->in[i]->scratch = NULL;
  for (struct ir_node *n = g->first; n; n = n->next)
    for (unsigned i = 0; i < n->n_in && n->op == IR_OP_group; i++) {
      struct ir_value *v = n->in[i];
      if (v->scratch || !pass_is_weight(v) || !ir_type_static(v->type, NULL, &elems)) continue;
      v->scratch = v;
      all += elems * (int64_t)ir_elem_bytes(v->type->elem);
    }
  for (uint32_t i = 0; i < c->prog->weights.n; i++) used += pass_weight_growth(&c->prog->weights.v[i]);
  return all / 4 * 3 - used;
}
/* The groups that a tuning file speaks of. Weights of loops' bodies cannot grow. */
static void take_tuned(struct pass_ctx *c, int64_t *left)
{
  for (struct ir_node *n = c->m->main->first; n; n = n->next) {
    struct kir_nest *nest = n->op == IR_OP_group ? kir_nest_of(c->m->arena, n) : NULL;
    n->scratch = nest ? pass_tuned(c, pass_target(c, n), nest, left) : NULL;
  }
}
static void take_steps(struct pass_ctx *c, int64_t left)
{
  struct steps all = { 0 };
  for (struct ir_node *n = c->m->main->first; n; n = n->next) {
    struct ir_choice x[IR_MAX_CHOICES];
    if (n->scratch || n->op != IR_OP_group || !pass_target(c, n)->choices) continue;
    struct kir_nest *nest = kir_nest_of(c->m->arena, n);
    if (nest) add_steps(c, &all, n, x, pass_target(c, n)->choices(pass_target(c, n), c->m->arena, nest, x));
  }
  bool *taken = IR_NEWN(c->scratch, bool, all.n + 2);
  if (all.n) qsort(all.v, all.n, sizeof *all.v, by_bargain);
  for (uint32_t i = 0; i < all.n; i++) {
    const struct step *s = &all.v[i];
    if (s->bytes > left || (s->before && !taken[s->before])) continue;
    taken[s->index + 1] = true;
    left -= s->bytes;
    s->n->scratch = s->s;
  }
}
bool pass_choose(struct pass_ctx *c)
{
  bool body = c->m->main->owner, steps = c->opt->level >= 2 && !c->opt->no_winograd && !body;
  if (!steps && !c->opt->tune) return false;
  int64_t left = body ? 0 : allowance(c);
  if (!body) c->prog->room = left;
  if (!body && c->opt->tune && c->opt->tune->measuring) left = INT64_MAX / 2;
  take_tuned(c, &left);
  if (steps) take_steps(c, left);
  return true;
}
