/* --bench: latency and throughput. Runs are discarded until the medians of two windows in a row agree within 2 %, for at most a third of the time.
 *
 * Latency is what a caller sees: inputs and outputs lie in the host's memory, and their copies count. Of a device that can record the steps the time of the steps alone
 * is measured too, by its own events, in half of the time once more. */
#include "runtime/cli.h"
#include "runtime/pieces.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { RUNS_MAX = 1 << 20 };                           /* of a tiny model: its times shall not dwarf its memory */
enum { DEVICE_WARM = 3, DEVICE_LEAST = 5 };            /* runs: not counted (the first records), counted at least */
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
static int add(struct cli *c, struct times *t, int64_t ns)
{
  if (t->n == t->cap) {
    double *more = realloc(t->ms, (t->cap = t->cap ? 2 * t->cap : 4096) * sizeof *more);
    if (!more) return cli_no_memory(c);
    t->ms = more;
  }
  t->ms[t->n++] = (double)ns * 1e-6;
  return 0;
}
static int once(struct cli *c, struct times *t)
{
  int64_t a = massrt_now_ns();
  int rc = cli_run(c);
  int64_t b = massrt_now_ns();
  return rc ? cli_fail(c, rc, "%s", massrt_error(c->x)) : add(c, t, b - a);
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
/* Times of the device alone; none where it cannot be asked. */
static int on_device(struct cli *c, struct times *t)
{
  int rc = 0;
  c->x->pieces = massrt_pieces_create(c->x);
  if (!c->x->pieces) return 0;
  int64_t end = massrt_now_ns() + (int64_t)(c->seconds * 0.5e9);
  for (int i = 0; !rc && (i < DEVICE_WARM + DEVICE_LEAST || (massrt_now_ns() < end && t->n < RUNS_MAX)); i++) {
    rc = cli_run(c);
    if (rc) cli_fail(c, rc, "%s", massrt_error(c->x));
    else if (i >= DEVICE_WARM) rc = add(c, t, massrt_pieces_ns(c->x));
  }
  massrt_pieces_destroy(c->x);
  if (t->n) qsort(t->ms, t->n, sizeof *t->ms, by_value);
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
static void report(struct cli *c, const struct times *t, const struct times *device, uint64_t discarded)
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
    if (device->n) printf("\n  device alone  median %.4g ms  min %.4g ms  (%llu runs)", quantile(device->ms, device->n, 0.5), device->ms[0], (unsigned long long)device->n);
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
  if (device->n) {
    json_key(c, "device_median_ms");
    json_number(quantile(device->ms, device->n, 0.5));
    json_key(c, "device_min_ms");
    json_number(device->ms[0]);
    json_key(c, "device_runs");
    printf("%llu", (unsigned long long)device->n);
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
  printf("%llu", (unsigned long long)c->x->block[0].bytes);
}
int cli_bench(struct cli *c)
{
  struct times t = { 0 }, device = { 0 };
  uint64_t discarded = 0;
  int64_t start = massrt_now_ns(), end = start + (int64_t)(c->seconds * 1e9);
  int rc = warm_up(c, &t, start, &discarded);
  while (!rc && (!t.n || (massrt_now_ns() < end && t.n < RUNS_MAX))) rc = once(c, &t);
  if (!rc) rc = on_device(c, &device);
  if (!rc) {
    qsort(t.ms, t.n, sizeof *t.ms, by_value);
    report(c, &t, &device, discarded);
  }
  free(t.ms);
  free(device.ms);
  return rc;
}
