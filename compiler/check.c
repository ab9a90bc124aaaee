/* massc check: what a program would be. Sizes are evaluated as the program would evaluate them; dims that are not bound take the smallest that they may have
 * (from 1 up). The time predicted is the sum over the launches of what the target's facts allow at best: operations over the rate of all cores, or bytes over
 * the bandwidth of memory, whichever is longer. Overheads and caches are left out. */
#include "codegen/codegen.h"
#include "compiler/pipeline.h"
#include "runtime/core/expr.h"
#include "runtime/core/json.h"
#include "runtime/core/plan.h"
#include <string.h>

static void put_buf(void *b, const char *p, size_t n) { ir_buf_add(b, p, n); }
void json_string(struct ir_buf *b, const char *s, size_t n) { massrt_json_string(put_buf, b, s, n); }

struct report { int64_t *syms, *values, work, bytes, arena, live; double gops, gbytes, ms; bool known; };
static int64_t smallest(const struct massrt_sym *s)
{
  int64_t lo = s->lo > 1 ? s->lo : 1, by = s->by > 1 ? s->by : 1;
  lo = (lo + by - 1) / by * by;
  return lo > s->hi ? s->lo : lo;
}
static void plan(struct ir_arena *a, const struct massrt_program *p, struct report *r)
{
  r->arena = p->arena_bytes;
  r->live = p->live_bytes;
  if (r->arena >= 0) return;
  struct massrt_span *b = IR_NEWN(a, struct massrt_span, p->n_buffers + 1);
  for (uint32_t i = 0; i < p->n_buffers; i++) b[i] = (struct massrt_span){ r->values[p->buffers[i].bytes], p->buffers[i].first, p->buffers[i].last, 0 };
  if (massrt_plan(b, p->n_buffers, MASSRT_ALIGN, ir_arena_alloc(a, massrt_plan_workspace(p->n_buffers)), &r->arena, &r->live)) r->arena = r->live = -1;
}
static int64_t value_of(const struct report *r, uint32_t e) { return e == MASSRT_NO_EXPR ? 0 : r->values[e]; }
static struct report examine(struct ir_arena *a, const struct pass_program *q)
{
  const struct massrt_program *p = &q->tables;
  const struct cg_target *t = q->target->impl;
  struct report r = { .syms = IR_NEWN(a, int64_t, p->n_syms + 1), .values = IR_NEWN(a, int64_t, p->n_exprs + 1), .arena = p->arena_bytes, .live = p->live_bytes };
  uint32_t unused;
  cg_target_rates(t, &r.gops, &r.gbytes);
  for (uint32_t i = 0; i < p->n_syms; i++) r.syms[i] = smallest(&p->syms[i]);
  r.known = !massrt_eval_exprs(p->exprs, p->n_exprs, r.syms, p->n_syms, r.values, &unused);
  if (!r.known) return r;
  for (uint32_t i = 0; i < p->n_launches; i++) {
    int64_t work = value_of(&r, p->launches[i].work), bytes = value_of(&r, p->launches[i].bytes);
    double compute = (double)work / r.gops / t->cores, move = (double)bytes / r.gbytes;
    r.work += work;
    r.bytes += bytes;
    r.ms += (compute > move ? compute : move) * 1e-6;
  }
  plan(a, p, &r);
  return r;
}
static void print_json(struct ir_buf *b, const struct pass_program *q, const struct report *r, const char *model)
{
  const struct massrt_program *p = &q->tables;
  ir_buf_printf(b, "{\"model\": ");
  json_string(b, model, strlen(model));
  ir_buf_printf(b, ", \"supported\": true, \"target\": \"%s\", \"sub_graphs\": %u, \"kernels\": %u, \"weights_bytes\": %llu", q->target->name, p->n_launches, p->n_kernels, (unsigned long long)p->weights_bytes);
  ir_buf_printf(b, ", \"sizes\": {");
  for (uint32_t i = 0; i < p->n_syms; i++) {
    ir_buf_printf(b, i ? ", " : "");
    json_string(b, p->syms[i].name, strlen(p->syms[i].name));
    ir_buf_printf(b, ": %lld", (long long)r->syms[i]);
  }
  ir_buf_printf(b, "}");
  if (r->arena >= 0) ir_buf_printf(b, ", \"activation_bytes\": %lld, \"live_bytes\": %lld", (long long)r->arena, (long long)r->live);
  if (r->known)
    ir_buf_printf(b, ", \"operations\": %lld, \"bytes_moved\": %lld, \"predicted_ms\": %.6g, \"cores\": %u, \"gops_per_core\": %g, \"gbytes_per_s\": %g", (long long)r->work, (long long)r->bytes, r->ms,
                  ((const struct cg_target *)q->target->impl)->cores, r->gops, r->gbytes);
  ir_buf_printf(b, "}\n");
}
static void print_text(struct ir_buf *b, const struct pass_program *q, const struct report *r, const char *model)
{
  const struct massrt_program *p = &q->tables;
  unsigned cores = ((const struct cg_target *)q->target->impl)->cores;
  ir_buf_printf(b, "%s: supported\n  sub-graphs   %u\n  kernels      %u distinct\n  weights      %.1f MB\n", model, p->n_launches, p->n_kernels, (double)p->weights_bytes * 1e-6);
  for (uint32_t i = 0; i < p->n_syms; i++) ir_buf_printf(b, "%s%s=%lld%s", i ? ", " : "  at sizes     ", p->syms[i].name, (long long)r->syms[i], i + 1 == p->n_syms ? " (--dim binds others)\n" : "");
  if (r->arena >= 0) ir_buf_printf(b, "  activations  %.1f MB (largest sum of live buffers %.1f MB)%s\n", (double)r->arena * 1e-6, (double)r->live * 1e-6, p->arena_bytes < 0 ? ", planned per shape" : "");
  else ir_buf_printf(b, "  activations  planned per shape\n");
  if (!r->known) return;
  ir_buf_printf(b, "  work         %.3g GFLOP, at least %.1f MB to move\n", (double)r->work * 1e-9, (double)r->bytes * 1e-6);
  ir_buf_printf(b, "  time         at least %.3g ms on %u core%s of %s, at %g Gop/s each and %g GB/s\n", r->ms, cores, cores == 1 ? "" : "s", q->target->name, r->gops, r->gbytes);
}
void check_print(struct ir_buf *b, const struct pass_program *q, const char *model, bool json)
{
  struct ir_arena *a = ir_arena_create();
  struct report r = examine(a, q);
  if (json) print_json(b, q, &r, model);
  else print_text(b, q, &r, model);
  ir_arena_destroy(a);
}
