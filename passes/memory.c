/* memory: one buffer for every value that lives between two steps; offsets from the planner that the runtime uses too (runtime/core/plan.h).
 * Sizes that are constant, or bounded by --dim, are planned here, at their bounds; others when the runtime meets a shape.
 * Requires: order (a step is a place in the list). Afterwards no two buffers that live at the same time overlap; checked here. */
#include "passes/internal.h"
#include "runtime/core/plan.h"

static void add_buffers(struct pass_program *p)
{
  for (uint32_t i = 0; i < p->groups.n; i++) p->groups.v[i].node->scratch = (void *)(uintptr_t)i;
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct ir_node *n = p->groups.v[i].node;
    for (unsigned k = 0; k < n->n_out; k++) {
      const struct ir_value *v = n->out[k];
      if (ir_value_is_result(v)) continue;
      struct pass_buffer b = { .v = v, .bytes = pass_stored_bytes(p->m, v), .first = i, .last = i, .offset = -1 };
      for (uint32_t u = 0; u < v->uses.n; u++)
        if ((uintptr_t)v->uses.v[u]->scratch > b.last) b.last = (uint32_t)(uintptr_t)v->uses.v[u]->scratch;
      ir_push(p->arena, &p->buffers, b);
    }
  }
}
static bool overlap(const struct massrt_span *a, const struct massrt_span *b) { return a->first <= b->last && b->first <= a->last; }
static void check(const struct massrt_span *b, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = i + 1; k < n && n < 4096; k++)
      if (b[i].bytes && b[k].bytes && overlap(&b[i], &b[k]) && b[i].offset < b[k].offset + b[k].bytes && b[k].offset < b[i].offset + b[i].bytes)
        ir_bug("memory", "buffers %u and %u live at the same time and overlap", i, k);
}
enum { MOST_BYTES = 1 << 30 };   /* a bound that asks for more (a slice "to the end" written as 10^9) is no size to reserve: planned per shape */
/* The most bytes that a buffer can have, when every symbol in its size is bounded (by --dim). */
static bool most_bytes(struct ir_module *m, const struct ir_ix *e, int64_t *out)
{
  int64_t lo;
  for (unsigned i = 0; i < ir_ixs_nsyms(m->ixs); i++) {
    const struct ir_sym *s = ir_ixs_sym(m->ixs, i);
    if (s->hi >= INT32_MAX && ir_ix_uses(e, ir_ix_find(m->ixs, s->name))) return false;
  }
  ir_ix_range(e, &lo, out);
  return *out <= MOST_BYTES;
}
bool pass_memory(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  add_buffers(p);
  uint32_t n = p->buffers.n;
  struct massrt_span *b = IR_NEWN(c->scratch, struct massrt_span, n + 1);
  p->arena_bytes = p->live_bytes = -1;
  for (uint32_t i = 0; i < n; i++) {
    b[i] = (struct massrt_span){ .first = p->buffers.v[i].first, .last = p->buffers.v[i].last };
    if (!most_bytes(c->m, p->buffers.v[i].bytes, &b[i].bytes)) return true;     /* planned when the shapes are known */
  }
  if (massrt_plan(b, n, MASSRT_ALIGN, IR_NEWN(c->scratch, char, massrt_plan_workspace(n)), &p->arena_bytes, &p->live_bytes))
    return ir_error(c->m->diags, IR_M0201, NULL, NULL, "activations need more than 2^63 bytes");
  check(b, n);
  for (uint32_t i = 0; i < n; i++) p->buffers.v[i].offset = b[i].offset;
  c->changed = n > 0;
  return true;
}
