/* main of an emitted executable: options, and the order of the work. */
#include "runtime/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern const struct massrt_program massrt_program __attribute__((visibility("hidden")));

int cli_fail(const struct cli *c, int status, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  fflush(stdout);
  fprintf(stderr, "%s: ", c->self);
  vfprintf(stderr, fmt, ap);
  fputc('\n', stderr);
  va_end(ap);
  return status;
}
int cli_no_memory(const struct cli *c) { return cli_fail(c, MASSRT_E_MEMORY, "no memory"); }
void *cli_alloc(uint64_t bytes)
{
  if (bytes > INT64_MAX / 2) return NULL;
  uint64_t n = bytes ? (bytes + 63) / 64 * 64 : 64;
  void *p = aligned_alloc(64, n);
  if (p) memset(p, 0, n);
  return p;
}

/* ---- options: --x V, --x=V ---- */
enum opt { O_INPUT, O_OUTPUT, O_EXPECT, O_RTOL, O_ATOL, O_BENCH, O_JSON, O_THREADS, O_DEVICE, O_PROFILE, O_INFO, O_TOP, O_HELP, O_VERSION };
enum value { NONE, NEEDED, MAYBE };                  /* MAYBE: after "=", or the next word if that is a number */
static const struct { const char *name; enum opt opt; enum value value; } options[] = {
  { "--input", O_INPUT, NEEDED },   { "--output", O_OUTPUT, NEEDED },   { "--expect", O_EXPECT, NEEDED }, { "--rtol", O_RTOL, NEEDED },
  { "--atol", O_ATOL, NEEDED },     { "--bench", O_BENCH, MAYBE },      { "--json", O_JSON, NONE },       { "--threads", O_THREADS, NEEDED },
  { "--device", O_DEVICE, NEEDED }, { "--profile", O_PROFILE, NEEDED }, { "--info", O_INFO, NONE },       { "--top", O_TOP, NEEDED },
  { "--help", O_HELP, NONE },       { "--version", O_VERSION, NONE },
};
static bool number(const char *s, double lo, double hi, double *out)
{
  char *end;
  double v = strtod(s, &end);
  if (end == s || *end || !(v >= lo && v <= hi)) return false;
  *out = v;
  return true;
}
static int want_number(const struct cli *c, const char *name, const char *s, double lo, double hi, double *out)
{
  if (number(s, lo, hi, out)) return 0;
  return cli_fail(c, MASSRT_E_USAGE, "%s %s: expected a number from %g to %g", name, s, lo, hi);
}
static int want_int(const struct cli *c, const char *name, const char *s, int hi, int *out)
{
  double v;
  if (!number(s, 1, hi, &v) || v != (int)v) return cli_fail(c, MASSRT_E_USAGE, "%s %s: expected a whole number from 1 to %d", name, s, hi);
  *out = (int)v;
  return 0;
}
static int set_option(struct cli *c, enum opt o, const char *name, const char *v)
{
  switch (o) {
  case O_INPUT: c->inputs.v[c->inputs.n++] = v; return 0;
  case O_OUTPUT: c->outputs.v[c->outputs.n++] = v; return 0;
  case O_EXPECT: c->expects.v[c->expects.n++] = v; return 0;
  case O_RTOL: return want_number(c, name, v, 0, 1e300, &c->rtol);
  case O_ATOL: return want_number(c, name, v, 0, 1e300, &c->atol);
  case O_BENCH: c->bench = true; return v ? want_number(c, name, v, 1e-3, 1e6, &c->seconds) : 0;
  case O_JSON: c->json = true; return 0;
  case O_THREADS: return want_int(c, name, v, MASSRT_MAX_THREADS, &c->threads);
  case O_DEVICE: c->device = v; return 0;
  case O_PROFILE: c->profile = v; return 0;
  case O_INFO: c->info = true; return 0;
  case O_TOP: return want_int(c, name, v, 1000000, &c->top);
  case O_HELP: c->help = true; return 0;
  case O_VERSION: c->version = true; return 0;
  }
  return 0;
}
static int parse_options(struct cli *c, int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i], *eq = strchr(a, '=');
    size_t n = eq ? (size_t)(eq - a) : strlen(a), k = 0;
    double unused;
    while (k < sizeof options / sizeof *options && (strlen(options[k].name) != n || memcmp(options[k].name, a, n))) k++;
    if (k == sizeof options / sizeof *options) return cli_fail(c, MASSRT_E_USAGE, "unknown %s \"%s\"; %s --help lists the options", *a == '-' ? "option" : "argument", a, c->self);
    const char *v = eq ? eq + 1 : NULL, *next = i + 1 < argc ? argv[i + 1] : NULL;
    if (v && options[k].value == NONE) return cli_fail(c, MASSRT_E_USAGE, "%s takes no value", options[k].name);
    if (!v && options[k].value == NEEDED) {
      if (!next) return cli_fail(c, MASSRT_E_USAGE, "%s needs a value", options[k].name);
      v = next;
      i++;
    }
    if (!v && options[k].value == MAYBE && next && number(next, -1e300, 1e300, &unused)) { v = next; i++; }
    int rc = set_option(c, options[k].opt, options[k].name, v);
    if (rc) return rc;
  }
  return 0;
}

/* Milliseconds from the start of the process to now, at the entry of main. The processor time used so far covers exec and dynamic linking, but no waiting for
 * pages; the kernel's own start time is in ticks of 10 ms, rounded down. So: the first, but at least what the second proves. */
static double since_process_start(void)
{
  struct timespec t;
  char s[1024];
  unsigned long long ticks = 0;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  double used = (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6, proved = 0;
  clock_gettime(CLOCK_BOOTTIME, &t);
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, s, sizeof s - 1);
  if (fd >= 0) close(fd);
  s[n > 0 ? n : 0] = 0;
  const char *p = strrchr(s, ')');                     /* the name before it may hold anything; start time is field 22, the 20th after it */
  for (int i = 0; p && i < 20; i++) p = strchr(p + 1, ' ');
  if (p && sscanf(p, "%llu", &ticks) == 1) {
    double tick_ms = 1e3 / (double)sysconf(_SC_CLK_TCK);
    proved = (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6 - (double)(ticks + 1) * tick_ms;
  }
  return used > proved ? used : proved;
}
static int make_outputs(struct cli *c)
{
  c->out = cli_alloc(c->p->n_outputs * sizeof *c->out);
  if (!c->out) return cli_no_memory(c);
  int rc = massrt_prepare(c->x, c->in, c->out);
  if (rc) return cli_fail(c, rc, "%s", massrt_error(c->x));
  for (uint32_t i = 0; i < c->p->n_outputs; i++) {
    struct massrt_tensor *t = &c->out[i];
    uint64_t elems;
    if (c->p->outputs[i].buffer) continue;      /* the instance's own */
    massrt_shape_bytes(t->elem, t->rank, t->dim, &elems, &t->bytes);
    t->data = cli_alloc(t->bytes);
    if (!t->data) return cli_no_memory(c);
  }
  return 0;
}
int cli_run(struct cli *c)
{
  for (uint32_t i = 0; i < c->p->n_outputs; i++)
    if (c->p->outputs[i].buffer) c->out[i].data = NULL;
  int rc = massrt_run(c->x, c->in, c->out);
  for (uint32_t i = 0; i < c->p->n_outputs && !rc; i++)
    if (c->p->outputs[i].buffer) c->out[i].data = (void *)massrt_output(c->x, i, &c->out[i].bytes);
  return rc;
}
static int run_model(struct cli *c)
{
  struct massrt_config config = { .size = sizeof config, .threads = c->threads, .device = c->device };
  int rc = cli_check_outputs(c);
  if (rc) return rc;
  rc = massrt_create(c->p, &config, &c->x);
  if (rc) return cli_fail(c, rc, "%s", massrt_error(NULL));
  rc = cli_read_inputs(c);
  if (!rc) rc = make_outputs(c);
  if (rc) return rc;
  c->start_ms = c->before_ms + (double)(massrt_now_ns() - c->entry_ns) * 1e-6;
  if (c->json) printf("{");
  if (c->bench) rc = cli_bench(c);
  if (!rc && c->profile) rc = cli_profile(c);
  if (!rc && !c->bench && !c->profile && (rc = cli_run(c))) cli_fail(c, rc, "%s", massrt_error(c->x));
  if (!rc) rc = cli_write_outputs(c);
  if (!rc && c->expects.n) rc = cli_compare(c);
  else if (!rc && (c->top || (!c->outputs.n && !c->bench && !c->profile))) cli_summary(c);
  if (c->json) printf("\n}\n");
  return rc;
}
static int do_work(struct cli *c)
{
  if (c->help) { cli_help(c); return 0; }
  if (c->version) { printf("%s (%s) %s\n", c->p->name, c->p->producer, c->p->hash); return 0; }
  if (c->info) { cli_info(c); return 0; }
  return run_model(c);
}
static void free_tensors(struct massrt_tensor *t, uint32_t n)
{
  for (uint32_t i = 0; t && i < n; i++) free(t[i].data);
  free(t);
}
int main(int argc, char **argv)
{
  struct cli c = { .p = &massrt_program, .entry_ns = massrt_now_ns(), .seconds = 3, .rtol = -1, .atol = -1 };
  c.before_ms = since_process_start();
  c.self = argc && argv[0] ? strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0] : massrt_program.name;
  const char **lists = calloc(3 * (size_t)argc + 3, sizeof *lists);
  if (!lists) return cli_no_memory(&c);
  c.inputs.v = lists;
  c.outputs.v = lists + argc;
  c.expects.v = lists + 2 * argc;
  int rc = parse_options(&c, argc, argv);
  if (!rc) rc = do_work(&c);
  if (fflush(stdout) || ferror(stdout)) {
    int status = cli_fail(&c, MASSRT_E_FILE, "standard output: %s", strerror(errno));
    if (!rc) rc = status;
  }
  massrt_destroy(c.x);
  free_tensors(c.in, c.p->n_inputs);
  for (uint32_t i = 0; c.out && i < c.p->n_outputs; i++)
    if (c.p->outputs[i].buffer) c.out[i].data = NULL;
  free_tensors(c.out, c.p->n_outputs);
  free(lists);
  return rc;
}
