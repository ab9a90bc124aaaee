/* massc check: what a program would be. Sizes are evaluated as the program would evaluate them; dims that are not bound take the smallest that they may have
 * (from 1 up), sizes that the model computes the most that is known of them (NonZero: all elements), else their smallest. What a loop does counts once. The time predicted is the sum over the launches of what the target's facts allow at best: operations over the rate of all cores, or bytes over
 * the bandwidth of memory, whichever is longer. Overheads and caches are left out. Kernels of devices are compiled, and listed with what they take. */
#include "codegen/codegen.h"
#include "compiler/pipeline.h"
#include "runtime/core/expr.h"
#include "runtime/core/json.h"
#include "runtime/core/plan.h"
#include <string.h>

static void put_buf(void *b, const char *p, size_t n) { ir_buf_add(b, p, n); }
void json_string(struct ir_buf *b, const char *s, size_t n) { massrt_json_string(put_buf, b, s, n); }

struct per_kernel { unsigned uses; int64_t work, bytes; double us; };
struct report { int64_t *syms, *values, work, bytes, arena, live; double gops, gbytes, ms; bool known; struct per_kernel *of; };
static int64_t smallest(const struct massrt_sym *s)
{
  int64_t lo = s->lo > 1 ? s->lo : 1, by = s->by > 1 ? s->by : 1;
  lo = (lo + by - 1) / by * by;
  return lo > s->hi ? s->lo : lo;
}
/* The arenas of both places, and of what each bind makes known; live bytes are the sum of each one's most. */
static void plan(struct ir_arena *a, const struct massrt_program *p, struct report *r)
{
  struct massrt_span *b = IR_NEWN(a, struct massrt_span, p->n_buffers + 1);
  int64_t arena, live;
  r->arena = p->arena_bytes;
  r->live = p->live_bytes;
  if (r->arena >= 0 && p->n_places == 1 && !p->n_binds) return;
  r->arena = r->live = 0;
  for (uint32_t i = 0; i < p->n_places + p->n_binds && r->arena >= 0; i++) {
    uint32_t place = i < p->n_places ? i : 0, late = i < p->n_places ? 0 : i - p->n_places + 1;
    bool ok = !massrt_plan_place(p, place, late, r->values, b, ir_arena_alloc(a, massrt_plan_workspace(p->n_buffers)), NULL, &arena, &live);
    r->arena = ok ? r->arena + arena : -1;
    r->live = ok ? r->live + live : -1;
  }
}
static int64_t value_of(const struct report *r, uint32_t e) { return e == MASSRT_NO_EXPR ? 0 : r->values[e]; }
/* The symbols that bind number `late` reads. */
static void assume(const struct pass_program *q, uint32_t late, const struct report *r)
{
  for (uint32_t i = 0; i < q->tables.n_syms; i++) {
    const struct massrt_sym *s = &q->tables.syms[i];
    if (s->axis != MASSRT_SYM_LATE || s->input != late || q->most.v[i] == MASSRT_NO_EXPR) continue;
    int64_t most = r->values[q->most.v[i]];
    r->syms[i] = most < s->lo ? s->lo : most > s->hi ? s->hi : most;
  }
}
static struct report examine(struct ir_arena *a, const struct pass_program *q)
{
  const struct massrt_program *p = &q->tables;
  struct report r = { .syms = IR_NEWN(a, int64_t, p->n_syms + 1), .values = IR_NEWN(a, int64_t, p->n_exprs + 1), .arena = p->arena_bytes, .live = p->live_bytes };
  uint32_t unused;
  r.of = IR_NEWN(a, struct per_kernel, p->n_kernels + 1);
  cg_target_rates(q->target->impl, NULL, &r.gops, &r.gbytes);
  for (uint32_t i = 0; i < p->n_syms; i++) r.syms[i] = smallest(&p->syms[i]);
  r.known = true;
  for (uint32_t i = 0; i <= p->n_binds && r.known; i++) {
    assume(q, i, &r);
    r.known = !massrt_eval_exprs(p->exprs, p->n_exprs, i, r.syms, p->n_syms, r.values, &unused);
  }
  if (!r.known) return r;
  for (uint32_t i = 0; i < p->n_launches; i++) {
    const struct pass_kernel *k = &q->kernels.v[p->launches[i].kernel];
    const struct cg_target *t = k->target->impl;
    struct per_kernel *of = &r.of[p->launches[i].kernel];
    int64_t work = value_of(&r, p->launches[i].work), bytes = value_of(&r, p->launches[i].bytes);
    double gops, gbytes;
    cg_target_rates(t, k->sched->inst, &gops, &gbytes);
    double compute = (double)work / gops / t->cores, move = (double)bytes / gbytes, us = (compute > move ? compute : move) * 1e-3;
    r.work += work;
    r.bytes += bytes;
    r.ms += us * 1e-3;
    *of = (struct per_kernel){ of->uses + 1, of->work + work, of->bytes + bytes, of->us + us };
  }
  plan(a, p, &r);
  return r;
}

/* ---- kernels of a device ---- */
static unsigned threads(const struct device_code *c) { return c->device.lanes * c->device.warps; }
static unsigned long long shared(const struct device_code *c) { return c->usage.registers ? c->usage.shared_bytes + c->device.dynamic_bytes : c->shared_bytes; }
/* Warps that a multiprocessor holds at once, of those that it could. */
static double occupancy(const struct cg_target *t, const struct device_code *c)
{
  unsigned warps = (threads(c) + 31) / 32;
  return t->core_threads ? (double)cg_blocks_per_core(t, &c->usage, threads(c), c->device.dynamic_bytes) * warps / (t->core_threads / 32) : 0;
}
static void kernels_json(struct ir_buf *b, const struct pass_program *q, const struct report *r, const struct device_code *code)
{
  const struct cg_target *t = q->target->impl;
  bool first = true;
  ir_buf_printf(b, ", \"kernel_list\": [");
  for (uint32_t i = 0; i < q->kernels.n; i++) {
    const struct device_code *c = &code[i];
    if (!c->device.entry) continue;
    ir_buf_printf(b, "%s{\"name\": ", first ? "" : ", ");
    json_string(b, q->kernels.v[i].name, strlen(q->kernels.v[i].name));
    ir_buf_printf(b, ", \"uses\": %u, \"threads\": %u, \"%s\": %llu", r->of[i].uses, threads(c), t->kind == CG_CUDA ? "shared_bytes" : "local_bytes", shared(c));
    if (c->usage.registers)
      ir_buf_printf(b, ", \"registers\": %u, \"spill_bytes\": %llu, \"stack_bytes\": %llu, \"occupancy\": %.4g", c->usage.registers, (unsigned long long)c->usage.spill_bytes,
                    (unsigned long long)c->usage.stack_bytes, occupancy(t, c));
    if (r->known) ir_buf_printf(b, ", \"operations\": %lld, \"bytes_moved\": %lld, \"predicted_us\": %.6g", (long long)r->of[i].work, (long long)r->of[i].bytes, r->of[i].us);
    ir_buf_printf(b, "}");
    first = false;
  }
  ir_buf_printf(b, "]");
}
static void kernels_text(struct ir_buf *b, const struct pass_program *q, const struct report *r, const struct device_code *code)
{
  const struct cg_target *t = q->target->impl;
  bool cuda = t->kind == CG_CUDA;
  ir_buf_printf(b, "\n  %4s %7s %8s %s %9s  kernel\n", "uses", "threads", cuda ? "shared" : "local", cuda ? "registers spills stack occupancy " : "", r->known ? "us" : "");
  for (uint32_t i = 0; i < q->kernels.n; i++) {
    const struct device_code *c = &code[i];
    if (!c->device.entry) continue;
    ir_buf_printf(b, "  %4u %7u %8llu ", r->of[i].uses, threads(c), shared(c));
    if (c->usage.registers)
      ir_buf_printf(b, "%9u %6llu %5llu %8.0f%% ", c->usage.registers, (unsigned long long)c->usage.spill_bytes, (unsigned long long)c->usage.stack_bytes, 100 * occupancy(t, c));
    else if (cuda) ir_buf_printf(b, "%9s %6s %5s %9s ", "?", "?", "?", "?");
    if (r->known) ir_buf_printf(b, " %9.3g", r->of[i].us);
    ir_buf_printf(b, "  %s\n", q->kernels.v[i].name);
  }
}

/* ---- the whole ---- */
static void fields_json(struct ir_buf *b, const struct pass_program *q, const struct report *r, const struct device_code *code)
{
  const struct massrt_program *p = &q->tables;
  ir_buf_printf(b, "\"target\": \"%s\", \"sub_graphs\": %u, \"kernels\": %u, \"weights_bytes\": %llu, \"transformed_bytes\": %llu", q->target->name, p->n_launches, p->n_kernels, (unsigned long long)p->weights_bytes, (unsigned long long)p->transformed_bytes);
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
  if (code) kernels_json(b, q, r, code);
}
static void print_text(struct ir_buf *b, const struct pass_program *q, const struct report *r, const struct device_code *code)
{
  const struct massrt_program *p = &q->tables;
  unsigned cores = ((const struct cg_target *)q->target->impl)->cores;
  ir_buf_printf(b, "  sub-graphs   %u\n  kernels      %u distinct\n  weights      %.1f MB", p->n_launches, p->n_kernels, (double)p->weights_bytes * 1e-6);
  if (p->transformed_bytes) ir_buf_printf(b, ", of which 3x3 kernels stored transformed add %.1f MB", (double)p->transformed_bytes * 1e-6);
  ir_buf_printf(b, "\n");
  for (uint32_t i = 0; i < p->n_syms; i++) ir_buf_printf(b, "%s%s=%lld%s", i ? ", " : "  at sizes     ", p->syms[i].name, (long long)r->syms[i], i + 1 == p->n_syms ? " (--dim binds others)\n" : "");
  if (r->arena >= 0) ir_buf_printf(b, "  activations  %.1f MB (largest sum of live buffers %.1f MB)%s\n", (double)r->arena * 1e-6, (double)r->live * 1e-6, p->arena_bytes < 0 ? ", planned per shape" : "");
  else ir_buf_printf(b, "  activations  planned per shape\n");
  if (r->known) {
    ir_buf_printf(b, "  work         %.3g GFLOP, at least %.1f MB to move\n", (double)r->work * 1e-9, (double)r->bytes * 1e-6);
    ir_buf_printf(b, "  time         at least %.3g ms on %u core%s of %s, at %g Gop/s each and %g GB/s\n", r->ms, cores, cores == 1 ? "" : "s", q->target->name, r->gops, r->gbytes);
  }
  if (code) kernels_text(b, q, r, code);
}
/* One version is the object itself; further ones stand in "versions". */
void check_print(struct ir_buf *b, const struct pass_program *p, unsigned n, struct device_code *const *code, const char *model, bool json)
{
  struct ir_arena *a = ir_arena_create();
  if (json) {
    ir_buf_printf(b, "{\"model\": ");
    json_string(b, model, strlen(model));
    ir_buf_printf(b, ", \"supported\": true, ");
  } else ir_buf_printf(b, "%s: supported\n", model);
  for (unsigned i = 0; i < n; i++) {
    struct report r = examine(a, &p[i]);
    if (!json) {
      if (n > 1) ir_buf_printf(b, "%sfor %s\n", i ? "\n" : "", p[i].target->name);
      print_text(b, &p[i], &r, code[i]);
      continue;
    }
    if (i) ir_buf_printf(b, i == 1 ? ", \"versions\": [{" : "}, {");
    fields_json(b, &p[i], &r, code[i]);
  }
  if (json) ir_buf_printf(b, n > 1 ? "}]}\n" : "}\n");
  ir_arena_destroy(a);
}
