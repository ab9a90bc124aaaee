/* lower: nests and records to flat kernel code, in parallel; every kernel has an arena of its own.
 *
 * Contractions come first: they choose how their weights are stored. A large weight that other kernels read as well (an embedding that is the last layer's matrix
 * too) is then read in that storage by them, so that it is stored once; reading a packed panel row by row costs them little.
 * Requires: schedule. Afterwards the kerns' arguments say how weights are stored. */
#include "passes/internal.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { SHARE_BYTES = 1 << 20 };

struct work { struct pass_ctx *c; atomic_uint next; bool contractions; };
static bool is_contraction(const struct pass_kernel *k) { return !strcmp(k->sched->kind, "contract") || !strcmp(k->sched->kind, "winograd"); }
static void *worker(void *arg)
{
  struct work *w = arg;
  struct pass_program *p = w->c->prog;
  for (uint32_t i; (i = atomic_fetch_add(&w->next, 1)) < p->kernels.n;) {
    struct pass_kernel *k = &p->kernels.v[i];
    const char *why = NULL;
    if (is_contraction(k) != w->contractions) continue;
    k->kern = k->target->lower(k->target, k->arena, k->nest, k->sched, &why);
    if (!k->kern) ir_bug("lower", "kernel %s: %s", k->name, why ? why : "no reason given");
    k->kern->name = k->name;
  }
  return NULL;
}
static void run(struct pass_ctx *c, bool contractions)
{
  struct work w = { .c = c, .contractions = contractions };
  pthread_t t[63];
  unsigned jobs = c->opt->jobs ? c->opt->jobs : 1, n = 0;
  while (n + 1 < jobs && n < 63 && n + 1 < c->prog->kernels.n && !pthread_create(&t[n], NULL, worker, &w)) n++;
  worker(&w);
  for (unsigned i = 0; i < n; i++) pthread_join(t[i], NULL);
}

/* ---- one storage for several readers ---- */
static const struct ir_value *weight_of(const struct pass_group *g, const struct kir_arr *arg)
{
  const struct ir_value *v = pass_outer_value(g->node, arg);
  int64_t elems;
  return pass_is_weight(v) && ir_type_static(v->type, NULL, &elems) && elems * (int64_t)ir_elem_bytes(v->type->elem) >= SHARE_BYTES ? v : NULL;
}
/* The argument of a lowered contraction that v is. */
static const struct kir_arr *packed(const struct pass_program *p, const struct ir_value *v)
{
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct pass_group *g = &p->groups.v[i];
    const struct pass_kernel *k = &p->kernels.v[g->kernel];
    if (g->node->op != IR_OP_group || !k->kern) continue;
    for (uint32_t j = 0; j < k->kern->args.n; j++)
      if (k->kern->args.v[j]->at && !k->kern->args.v[j]->winograd && pass_outer_value(g->node, g->nest->args.v[j]) == v) return k->kern->args.v[j];
  }
  return NULL;
}
static const struct ir_ix *moved(struct ir_ixs *t, const struct ir_ix *e) { return e ? ir_ix_move(t, e) : NULL; }
static void adopt(struct kir_nest *n, struct kir_arr *a, const struct kir_arr *from)
{
  for (unsigned d = 0; d < a->rank; d++) {
    a->lo[d] = moved(n->ixs, from->lo[d]);
    a->hi[d] = moved(n->ixs, from->hi[d]);
    a->shape[d] = moved(n->ixs, from->shape[d]);
  }
  a->at = moved(n->ixs, from->at);
  a->elems = moved(n->ixs, from->elems);
  a->zero_pad = from->zero_pad;
  a->slack = from->slack;
  a->align = from->align;
}
/* Kernels with one use only: those of several groups would need one storage for several weights. */
static void share_storage(struct pass_program *p)
{
  uint32_t *uses = IR_NEWN(p->arena, uint32_t, p->kernels.n + 1);
  for (uint32_t i = 0; i < p->groups.n; i++)
    if (p->groups.v[i].node->op == IR_OP_group) uses[p->groups.v[i].kernel]++;
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct pass_group *g = &p->groups.v[i];
    struct pass_kernel *k = &p->kernels.v[g->kernel];
    if (g->node->op != IR_OP_group || k->kern || uses[g->kernel] != 1) continue;
    for (uint32_t j = 0; j < k->nest->args.n; j++) {
      struct kir_arr *a = k->nest->args.v[j];
      const struct ir_value *v = a->space == KIR_CONST && !a->at ? weight_of(g, g->nest->args.v[j]) : NULL;
      const struct kir_arr *from = v ? packed(p, v) : NULL;
      if (from && from->rank == a->rank && from->elem == a->elem) adopt(k->nest, a, from);
    }
  }
}
bool pass_lower(struct pass_ctx *c)
{
  run(c, true);
  share_storage(c->prog);
  run(c, false);
  c->changed = true;
  return true;
}
