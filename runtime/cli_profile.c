/* --profile: time of each step over some runs, as a table beside what the work would take at the rates that this machine reaches, and as a Chrome trace
 * (chrome://tracing, Perfetto) of the last run. Steps are launches, copies, functions of the processor, and reading sizes (bind, with the planning that follows);
 * the steps of a loop's body count as often as they are done. Functions of the processor count no operations, for their work depends on the data.
 *
 * The floor of a step is the larger of operations over the rate of multiply-adds, by the vectors of the program's version, and bytes over the bandwidth of reading
 * memory, both measured here on all of the instance's threads. Of a device's kernel both are typical rates of such devices, as in `massc check`. Activations and small weights come from caches, so memory-bound launches may beat this floor. */
#include "runtime/cli.h"
#include <errno.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM = 3, RUNS = 10 };
struct row { int64_t total_ns, times; };             /* of a step, over all runs */
struct event { uint32_t step; int64_t start_ns, end_ns; };
struct profile { struct row *rows; struct event *events; size_t n_events, cap; };   /* events: of the last run, as many as there was memory for */
static void trace(void *arg, uint32_t step, int64_t start, int64_t end)
{
  struct profile *p = arg;
  p->rows[step].total_ns += end - start;
  p->rows[step].times++;
  if (p->n_events == p->cap) {
    struct event *more = realloc(p->events, (2 * p->cap + 256) * sizeof *more);
    if (!more) return;
    p->events = more;
    p->cap = 2 * p->cap + 256;
  }
  p->events[p->n_events++] = (struct event){ step, start, end };
}

/* ---- what the machine reaches ----
 * Multiply-adds: chains that do not wait for each other. Two units of a latency of 4 ask for 8 of them, products and sums apart (SSE) for 12. Each is a variable: an array
 * of them would stay in memory. */
enum { CHAINS = 12, STEPS = 1 << 17, CHUNK_WORDS = 1 << 15, CHUNKS = 256 };
#define FMA_KERNEL(name, isa, vec, set1, fma)                                                     \
  __attribute__((target(isa))) static void name(const union massrt_word *w, int64_t t0, int64_t t1, void *scratch) \
  {                                                                                               \
    (void)scratch;                                                                                \
    for (; t0 < t1; t0++) {                                                                       \
      vec x = set1(0.5f), a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x; \
      for (int s = 0; s < STEPS; s++) {                                                           \
        a = fma(a, x, x), b = fma(b, x, x), c = fma(c, x, x), d = fma(d, x, x), e = fma(e, x, x), f = fma(f, x, x); \
        g = fma(g, x, x), h = fma(h, x, x), i = fma(i, x, x), j = fma(j, x, x), k = fma(k, x, x), l = fma(l, x, x); \
        __asm__ volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f), "+v"(g), "+v"(h), "+v"(i), "+v"(j), "+v"(k), "+v"(l)); \
      }                                                                                           \
      memcpy((char *)w[0].p + t0 * 64, &a, sizeof a);                                             \
    }                                                                                             \
  }
static inline __m128 mul_add(__m128 a, __m128 b, __m128 c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
FMA_KERNEL(fma128, "sse2", __m128, _mm_set1_ps, mul_add)
FMA_KERNEL(fma256, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)
FMA_KERNEL(fma512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps)
static void read_chunks(const union massrt_word *w, int64_t t0, int64_t t1, void *scratch)
{
  (void)scratch;
  const __m128i *p = w[1].p;
  __m128i s = _mm_setzero_si128();
  for (int64_t i = t0 * CHUNK_WORDS; i < t1 * CHUNK_WORDS; i += 4)
    s = _mm_xor_si128(_mm_xor_si128(s, _mm_xor_si128(p[i], p[i + 1])), _mm_xor_si128(p[i + 2], p[i + 3]));
  memcpy((char *)w[0].p + t0 * 64 % 4096, &s, sizeof s);
}
static double best_ns(struct cli *c, massrt_kernel_fn *fn, const union massrt_word *w, int64_t tasks)   /* on a busy machine most are slow */
{
  double best = 1e30;
  for (int i = 0; i < 20; i++) {
    int64_t a = massrt_now_ns();
    massrt_pool_run(c->x->pool, fn, w, tasks, massrt_pool_threads(c->x->pool));
    double ns = (double)(massrt_now_ns() - a);
    if (ns < best) best = ns;
  }
  return best;
}
static bool measure_rates(struct cli *c, double *ops_per_ns, double *bytes_per_ns)
{
  unsigned level = massrt_cpu_level();
  if (c->x->v && c->x->v->level < level) level = c->x->v->level;
  int n = massrt_pool_threads(c->x->pool);
  size_t bytes = (size_t)CHUNKS * CHUNK_WORDS * 16;
  union massrt_word w[2] = { { .p = cli_alloc((uint64_t)(n < 64 ? 64 : n) * 64) }, { .p = cli_alloc(bytes) } };
  if (w[0].p && w[1].p) {
    double lanes = level >= 4 ? 16 : level == 3 ? 8 : 4;
    *ops_per_ns = 2.0 * lanes * CHAINS * STEPS * n / best_ns(c, level >= 4 ? fma512 : level == 3 ? fma256 : fma128, w, n);
    *bytes_per_ns = (double)bytes / best_ns(c, read_chunks, w, CHUNKS);
  }
  free(w[0].p);
  free(w[1].p);
  return w[0].p && w[1].p;
}

/* ---- reports ---- */
static double size_of(const struct cli *c, uint32_t expr) { return expr == MASSRT_NO_EXPR ? 0 : (double)massrt_values(c->x)[expr]; }
/* What a step computes and moves at one go, and the least time that this takes: at the rates measured, or, on a device, at those that `massc check` predicts by. */
struct rates { double ops, bw; };                     /* per ns */
struct cost { double work, bytes, floor_ns, products, predicted_ns; };
/* What the compiler expected, of as many threads: computing divides among them, reading weights does not. 0: it does not know. */
static double predicted_ns(const struct cli *c, const struct massrt_launch *l)
{
  double computes = size_of(c, l->computes) / massrt_pool_threads(c->x->pool), moves = size_of(c, l->moves);
  return computes > moves ? computes : moves;
}
static struct cost cost_of(const struct cli *c, uint32_t step, const struct rates *r)
{
  const struct massrt_step *s = &c->p->steps[step];
  const struct massrt_launch *l = s->kind == MASSRT_S_LAUNCH ? &c->p->launches[s->a] : NULL;
  struct cost k = { l ? size_of(c, l->work) : 0, size_of(c, l ? l->bytes : s->bytes), 0, l ? size_of(c, l->products) : 0, l ? predicted_ns(c, l) : 0 };
  const struct massrt_device_kernel *d = l ? c->p->kernels[l->kernel].device : NULL;
  double ops = d && d->gops ? d->gops : r->ops, bw = d && d->gbytes ? d->gbytes : r->bw;
  k.floor_ns = k.work / ops > k.bytes / bw ? k.work / ops : k.bytes / bw;
  if (d && d->gops) k.predicted_ns = k.floor_ns;
  return k;
}
/* The same of all that a run does of this step: a loop's body is done more than once. */
static struct cost cost_a_run(const struct cli *c, uint32_t step, const struct row *row, const struct rates *r)
{
  struct cost k = cost_of(c, step, r);
  double times = (double)row->times / RUNS;
  return (struct cost){ k.work * times, k.bytes * times, k.floor_ns * times, k.products * times, k.predicted_ns * times };
}
static const struct row *sort_rows;
static int by_time(const void *a, const void *b)
{
  uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  int64_t x = sort_rows[i].total_ns, y = sort_rows[j].total_ns;
  return x == y ? (i > j) - (i < j) : (x < y) - (x > y);
}
static void table(struct cli *c, const struct row *rows, double run_ns, const struct rates *r)
{
  uint32_t n = 0, *order = calloc(c->p->n_steps + 1, sizeof *order);
  if (!order) return;
  for (uint32_t i = 0; i < c->p->n_steps; i++)
    if (cli_step_name(c->p, i)) order[n++] = i;
  sort_rows = rows;
  qsort(order, n, sizeof *order, by_time);
  printf("%s: %.3f ms a run on %d threads; this machine: %.0f Gop/s, %.1f GB/s\n%10s %6s %10s %9s %9s %9s %7s %9s  %s\n", c->p->name, run_ns * 1e-6,
         massrt_pool_threads(c->x->pool), r->ops, r->bw, "us", "share", "Mop", "MB", "Gop/s", "GB/s", "floor", "predicted", "kernel: nodes");
  for (uint32_t k = 0; k < n; k++) {
    struct cost w = cost_a_run(c, order[k], &rows[order[k]], r);
    double ns = (double)rows[order[k]].total_ns / RUNS;
    printf("%10.1f %5.1f%% %10.3f %9.3f %9.1f %9.1f %6.0f%% %9.1f  %s: %s\n", ns * 1e-3, 100 * ns / run_ns, w.work * 1e-6, w.bytes * 1e-6, w.work / (ns + 1), w.bytes / (ns + 1), 100 * w.floor_ns / (ns + 1), w.predicted_ns * 1e-3,
           cli_step_name(c->p, order[k]), c->p->steps[order[k]].nodes);
  }
  free(order);
}
/* The launches, or the other steps. */
static void json_rows(struct cli *c, const char *key, bool launches, const struct row *rows, const struct rates *r)
{
  bool first = true;
  json_key(c, key);
  putchar('[');
  for (uint32_t i = 0; i < c->p->n_steps; i++) {
    if (!cli_step_name(c->p, i) || (c->p->steps[i].kind == MASSRT_S_LAUNCH) != launches) continue;
    struct cost w = cost_a_run(c, i, &rows[i], r);
    double ns = (double)rows[i].total_ns / RUNS;
    printf("%s\n    {\"kernel\": ", first ? "" : ",");
    json_string(cli_step_name(c->p, i));
    printf(", \"nodes\": ");
    json_string(c->p->steps[i].nodes);
    if (launches) printf(", \"products\": %.0f, \"predicted_us\": %.3f", w.products, w.predicted_ns * 1e-3);
    printf(", \"us\": %.3f, \"work\": %.0f, \"bytes\": %.0f, \"floor_us\": %.6g, \"share_of_floor\": %.6g}", ns * 1e-3, w.work, w.bytes, w.floor_ns * 1e-3, w.floor_ns / (ns + 1));
    first = false;
  }
  putchar(']');
}
static void json_report(struct cli *c, const struct row *rows, double run_ns, const struct rates *r)
{
  json_key(c, "profile_run_ms");
  json_number(run_ns * 1e-6);
  json_key(c, "machine_gops");
  json_number(r->ops);
  json_key(c, "machine_gbytes_per_s");
  json_number(r->bw);
  json_rows(c, "launches", true, rows, r);
  json_rows(c, "steps", false, rows, r);
}
/* The Trace Event Format: names of the process and the thread, then a complete event ("X") for each step that was done; times in microseconds. */
static void put_event(FILE *f, const struct cli *c, const struct event *e, const struct rates *r)
{
  const struct massrt_step *s = &c->p->steps[e->step];
  struct cost w = cost_of(c, e->step, r);
  double ns = (double)(e->end_ns - e->start_ns);
  bool launch = s->kind == MASSRT_S_LAUNCH;
  fprintf(f, ",\n{\"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": %.3f, \"dur\": %.3f, \"cat\": \"%s\", \"name\": ", (double)(e->start_ns - c->entry_ns) * 1e-3, ns * 1e-3, launch ? "kernel" : "step");
  json_string_to(f, cli_step_name(c->p, e->step));
  fprintf(f, ", \"args\": {\"nodes\": ");
  json_string_to(f, s->nodes);
  if (launch) {
    fprintf(f, ", \"group\": ");
    json_string_to(f, c->p->launches[s->a].group);
    fprintf(f, ", \"products\": %.0f, \"predicted_us\": %.3f", w.products, w.predicted_ns * 1e-3);
  }
  fprintf(f, ", \"work\": %.0f, \"bytes\": %.0f, \"floor_us\": %.6g, \"share_of_floor\": %.6g}}", w.work, w.bytes, w.floor_ns * 1e-3, w.floor_ns / (ns + 1));
}
static int write_trace(const struct cli *c, const struct profile *p, const struct rates *r)
{
  FILE *f = fopen(c->profile, "we");
  if (!f) return cli_fail(c, MASSRT_E_FILE, "--profile %s: %s", c->profile, strerror(errno));
  fprintf(f, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n{\"ph\": \"M\", \"pid\": 1, \"tid\": 1, \"ts\": 0, \"name\": \"process_name\", \"args\": {\"name\": ");
  json_string_to(f, c->p->name);
  fprintf(f, "}},\n{\"ph\": \"M\", \"pid\": 1, \"tid\": 1, \"ts\": 0, \"name\": \"thread_name\", \"args\": {\"name\": \"kernels\"}}");
  for (size_t i = 0; i < p->n_events; i++) put_event(f, c, &p->events[i], r);
  fprintf(f, "\n]}\n");
  bool bad = ferror(f);
  return fclose(f) || bad ? cli_fail(c, MASSRT_E_FILE, "--profile %s: %s", c->profile, strerror(errno)) : 0;
}
static int measure(struct cli *c, struct profile *p, double *run_ns)
{
  for (int i = 0; i < WARM + RUNS; i++) {
    if (i == WARM) {
      c->x->trace = trace;
      c->x->trace_arg = p;
      *run_ns = (double)-massrt_now_ns();
    }
    p->n_events = 0;
    int rc = cli_run(c);
    if (rc) return cli_fail(c, rc, "%s", massrt_error(c->x));
  }
  *run_ns = (*run_ns + (double)massrt_now_ns()) / RUNS;
  c->x->trace = NULL;
  return 0;
}
int cli_profile(struct cli *c)
{
  struct profile p = { .rows = calloc(c->p->n_steps + 1, sizeof *p.rows) };
  struct rates r = { 1, 1 };
  double run_ns = 0;
  int rc = !p.rows || !measure_rates(c, &r.ops, &r.bw) ? cli_no_memory(c) : measure(c, &p, &run_ns);
  if (!rc) rc = write_trace(c, &p, &r);
  if (!rc && c->json) json_report(c, p.rows, run_ns, &r);
  else if (!rc) table(c, p.rows, run_ns, &r);
  free(p.events);
  free(p.rows);
  return rc;
}
