/* memory: one buffer for every value that lives between two steps; offsets from the planner that the runtime uses too (runtime/core/plan.h).
 * Sizes that are constant, or bounded by --dim, are planned here, at their bounds; others when the runtime meets a shape.
 * Those that depend on a late symbol lie in an arena of the bind that makes their size known, planned when it does.
 * Requires: order (a step is a place in the list). Afterwards no two buffers that live at the same time overlap; checked here. */
#include "passes/internal.h"
#include "runtime/core/plan.h"

/* Places of a node in the list: of a loop, its beginning and its end. */
struct range { uint32_t first, last; };
static struct range *range_of(const struct ir_node *n) { return n->scratch; }
static uint32_t last_use(const struct ir_value *v, uint32_t at)
{
  for (uint32_t u = 0; u < v->uses.n; u++)
    if (range_of(v->uses.v[u])->last > at) at = range_of(v->uses.v[u])->last;
  return at;
}
/* A result whose size is only known in mid-run has a buffer here, which is handed over at the end. */
static bool late_result(const struct pass_ctx *c, const struct ir_value *v) { return v->graph == c->prog->m->main && ir_value_is_result(v) && ir_type_late(c->prog->m, v->type); }
static void add_buffer(const struct pass_ctx *c, const struct ir_value *v, uint32_t first, uint32_t last)
{
  struct pass_program *p = c->prog;
  bool device = pass_on_device(c, v->def ? v->def : v->graph->owner);
  ir_push(p->arena, &p->buffers, ((struct pass_buffer){ .v = v, .place = device, .bytes = pass_stored_bytes(p->m, v), .first = first, .last = last, .offset = -1 }));
}
/* The counter and the carried values live as long as the loop does; what is stacked is written while it runs, what it carries out when it ends. */
static void add_loop(const struct pass_ctx *c, const struct ir_node *n)
{
  struct pass_program *p = c->prog;
  struct range r = *range_of(n);
  unsigned carried = (unsigned)ir_attr_get_int(n, "carried");
  for (unsigned k = 0; k <= carried; k++) add_buffer(c, n->body[0]->params.v[k], r.first, r.last);
  for (unsigned k = 0; k < n->n_out; k++)
    if (n->graph != p->m->main || !ir_value_is_result(n->out[k]) || late_result(c, n->out[k])) add_buffer(c, n->out[k], k < carried ? r.last : r.first, late_result(c, n->out[k]) ? p->groups.n : last_use(n->out[k], r.last));
}
/* A body's results are read at the loop's end. */
static void add_results(const struct pass_ctx *c, const struct ir_node *n, uint32_t at)
{
  const struct ir_node *loop = n->graph->owner;
  for (unsigned k = 0; k < n->n_out; k++) {
    bool result = ir_value_is_result(n->out[k]);
    if (!loop && late_result(c, n->out[k])) add_buffer(c, n->out[k], at, c->prog->groups.n);
    else if (!result || loop) add_buffer(c, n->out[k], at, last_use(n->out[k], result ? range_of(loop)->last : at));
  }
}
static void add_buffers(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  for (uint32_t i = 0; i < p->groups.n; i++) {
    struct ir_node *n = p->groups.v[i].node;
    if (!p->groups.v[i].end) n->scratch = IR_NEW(c->scratch, struct range);
    *range_of(n) = (struct range){ p->groups.v[i].end ? range_of(n)->first : i, i };
  }
  for (uint32_t i = 0; i < p->groups.n; i++) {
    if (p->groups.v[i].end) continue;
    if (p->groups.v[i].node->op == IR_OP_loop) add_loop(c, p->groups.v[i].node);
    else add_results(c, p->groups.v[i].node, i);
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
/* A plan for the buffers of one place; b: memory for all spans. */
static bool plan_place(struct pass_ctx *c, uint32_t place, struct massrt_span *b, int64_t *out_total, int64_t *out_live)
{
  struct pass_program *p = c->prog;
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->buffers.n; i++) {
    const struct pass_buffer *u = &p->buffers.v[i];
    if (u->place != place || ir_is_late(c->m, u->bytes)) continue;
    b[n] = (struct massrt_span){ .first = u->first, .last = u->last };
    most_bytes(c->m, u->bytes, &b[n++].bytes);
  }
  unsigned align = place ? c->target->align : MASSRT_ALIGN;
  if (massrt_plan(b, n, align, IR_NEWN(c->scratch, char, massrt_plan_workspace(n)), out_total, out_live))
    return ir_error(c->m->diags, IR_M0201, NULL, NULL, "activations need more than 2^63 bytes");
  check(b, n);
  n = 0;
  for (uint32_t i = 0; i < p->buffers.n; i++)
    if (p->buffers.v[i].place == place && !ir_is_late(c->m, p->buffers.v[i].bytes)) p->buffers.v[i].offset = b[n++].offset;
  return true;
}
bool pass_memory(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  int64_t most, live[2];
  add_buffers(c);
  struct massrt_span *b = IR_NEWN(c->scratch, struct massrt_span, p->buffers.n + 1);
  p->arena_bytes = p->device_bytes = p->live_bytes = -1;
  c->changed = p->buffers.n > 0;
  for (uint32_t i = 0; i < p->buffers.n; i++)
    if (!ir_is_late(c->m, p->buffers.v[i].bytes) && !most_bytes(c->m, p->buffers.v[i].bytes, &most)) return true;               /* planned when the shapes are known */
  TRY(plan_place(c, 0, b, &p->arena_bytes, &live[0]));
  TRY(plan_place(c, 1, b, &p->device_bytes, &live[1]));
  p->live_bytes = live[0] + live[1];
  return true;
}
