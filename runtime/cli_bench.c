/* --bench: latency and throughput. Runs are discarded until the medians of two windows in a row agree within 2 %, for at most a third of the time. */
#include "runtime/cli.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { RUNS_MAX = 1 << 20 };                           /* of a tiny model: its times shall not dwarf its memory */
struct times { double *ms; uint64_t n, cap; };

static int by_value(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
/* q of sorted values, between neighbours linearly. */
static double quantile(const double *v, uint64_t n, double q)
{
  double at = q * (double)(n - 1);
  uint64_t i = (uint64_t)at;
  return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}
static int once(struct cli *c, struct times *t)
{
  int64_t a = massrt_now_ns();
  int rc = cli_run(c);
  int64_t b = massrt_now_ns();
  if (rc) return cli_fail(c, rc, "%s", massrt_error(c->x));
  if (t->n == t->cap) {
    double *more = realloc(t->ms, (t->cap = t->cap ? 2 * t->cap : 4096) * sizeof *more);
    if (!more) return cli_no_memory(c);
    t->ms = more;
  }
  t->ms[t->n++] = (double)(b - a) * 1e-6;
  return 0;
}
static int warm_up(struct cli *c, struct times *t, int64_t start, uint64_t *out_discarded)
{
  double total_ms = c->seconds * 1e3, last = -1;
  int rc = once(c, t);
  if (rc) return rc;
  uint64_t window = (uint64_t)fmin(fmax(total_ms * 0.02 / (t->ms[0] + 1e-6), 3), 1000), discarded = 1;
  while (!rc && (double)(massrt_now_ns() - start) * 1e-6 < total_ms / 3) {
    t->n = 0;
    for (uint64_t i = 0; i < window && !rc; i++) rc = once(c, t);
    if (rc) break;
    discarded += t->n;
    qsort(t->ms, t->n, sizeof *t->ms, by_value);
    double median = quantile(t->ms, t->n, 0.5);
    if (last >= 0 && fabs(median - last) <= 0.02 * last) break;
    last = median;
  }
  t->n = 0;
  *out_discarded = discarded;
  return rc;
}
/* VmHWM, because what getrusage tells includes the process that called exec. */
uint64_t cli_peak_rss(void)
{
  char line[128];
  unsigned long long kb = 0;
  FILE *f = fopen("/proc/self/status", "re");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmHWM: %llu", &kb) == 1) break;
  if (f) fclose(f);
  if (kb) return kb * 1024;
  struct rusage ru;
  getrusage(RUSAGE_SELF, &ru);
  return (uint64_t)ru.ru_maxrss * 1024;
}
static void report(struct cli *c, const struct times *t, uint64_t discarded)
{
  double sum = 0;
  int threads = massrt_pool_threads(c->x->pool);
  for (uint64_t i = 0; i < t->n; i++) sum += t->ms[i];
  const struct { const char *name; double v; } rows[] = {
    { "median", quantile(t->ms, t->n, 0.5) }, { "p50", quantile(t->ms, t->n, 0.5) }, { "p90", quantile(t->ms, t->n, 0.9) },
    { "p99", quantile(t->ms, t->n, 0.99) },   { "min", t->ms[0] },                   { "max", t->ms[t->n - 1] }, { "mean", sum / (double)t->n },
  };
  enum { ROWS = sizeof rows / sizeof *rows };
  if (!c->json) {
    printf("%s: %llu runs on %d thread%s (%s), %llu discarded before\n  latency", c->p->name, (unsigned long long)t->n, threads, threads == 1 ? "" : "s", c->x->v->target,
           (unsigned long long)discarded);
    for (int i = 0; i < ROWS; i++) printf("  %s %.4g ms", rows[i].name, rows[i].v);
    printf("\n  throughput %.4g runs/s\n  start to ready %.3g ms, peak memory %.1f MiB\n", 1e3 * (double)t->n / sum, c->start_ms, (double)cli_peak_rss() / 1048576);
    return;
  }
  json_key(c, "model");
  json_string(c->p->name);
  for (int i = 0; i < ROWS; i++) {
    char key[16];
    snprintf(key, sizeof key, "%s_ms", rows[i].name);
    json_key(c, key);
    json_number(rows[i].v);
  }
  json_key(c, "throughput_per_s");
  json_number(1e3 * (double)t->n / sum);
  json_key(c, "runs");
  printf("%llu", (unsigned long long)t->n);
  json_key(c, "discarded");
  printf("%llu", (unsigned long long)discarded);
  json_key(c, "threads");
  printf("%d", threads);
  json_key(c, "target");
  json_string(c->x->v->target);
  json_key(c, "start_ms");
  json_number(c->start_ms);
  json_key(c, "peak_rss_bytes");
  printf("%llu", (unsigned long long)cli_peak_rss());
  json_key(c, "arena_bytes");
  printf("%llu", (unsigned long long)c->x->arena_bytes);
}
int cli_bench(struct cli *c)
{
  struct times t = { 0 };
  uint64_t discarded = 0;
  int64_t start = massrt_now_ns(), end = start + (int64_t)(c->seconds * 1e9);
  int rc = warm_up(c, &t, start, &discarded);
  while (!rc && (!t.n || (massrt_now_ns() < end && t.n < RUNS_MAX))) rc = once(c, &t);
  if (!rc) {
    qsort(t.ms, t.n, sizeof *t.ms, by_value);
    report(c, &t, discarded);
  }
  free(t.ms);
  return rc;
}
