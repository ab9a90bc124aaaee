/* lower: nests and records to flat kernel code, in parallel; every kernel has an arena of its own.
 * Requires: schedule. Afterwards the kerns' arguments say how weights are stored. */
#include "passes/internal.h"
#include <pthread.h>
#include <stdatomic.h>

struct work { struct pass_ctx *c; atomic_uint next; };
static void *worker(void *arg)
{
  struct work *w = arg;
  struct pass_program *p = w->c->prog;
  for (uint32_t i; (i = atomic_fetch_add(&w->next, 1)) < p->kernels.n;) {
    struct pass_kernel *k = &p->kernels.v[i];
    const char *why = NULL;
    k->kern = w->c->target->lower(w->c->target, k->arena, k->nest, k->sched, &why);
    if (!k->kern) ir_bug("lower", "kernel %s: %s", k->name, why ? why : "no reason given");
    k->kern->name = k->name;
  }
  return NULL;
}
bool pass_lower(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  struct work w = { .c = c };
  pthread_t t[63];
  unsigned jobs = c->opt->jobs ? c->opt->jobs : 1, n = 0;
  while (n + 1 < jobs && n < 63 && n + 1 < p->kernels.n && !pthread_create(&t[n], NULL, worker, &w)) n++;
  worker(&w);
  for (unsigned i = 0; i < n; i++) pthread_join(t[i], NULL);
  c->changed = true;
  return true;
}
