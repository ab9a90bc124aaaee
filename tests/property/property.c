/* property [--seconds=N] [--count=N] [--seed=N] [--keep=DIR] [--cover] [CASE.ir ..]: random graphs through the compiler, held against the evaluator.
 *
 * Each case is compiled for two configurations, at -O0 and at one of -O1, -O2 and -O3, for levels of the processor that this machine has; --all and given files: every one. A configuration runs in a
 * process of its own, so that a crash is a failure like others. A failure is shrunk and written to DIR/NAME.ir. MASSC_PROPERTY_SEED and MASSC_PROPERTY_SECONDS replace
 * the options. Exit status: 0, 1 something failed, 2 usage. */
#include "tests/property/property.h"
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LEVELS = 4 /* -O0 .. -O3 */, CPU_SECONDS = 60, ATTEMPTS = 200, WHY = 4096 };
static const char *const targets[] = { "cpu:x86-64-v2", "cpu:x86-64-v3", "cpu:x86-64-v4" };
static struct config configs[3 * LEVELS];
static unsigned n_configs;
static char *why;                        /* shared with the children */

static bool machine_has(unsigned level)
{
  __builtin_cpu_init();
  return level == 4 ? __builtin_cpu_supports("x86-64-v4") : level == 3 ? __builtin_cpu_supports("x86-64-v3") : __builtin_cpu_supports("x86-64-v2");
}
static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
/* What the child printed last, for the report of a death. */
static bool passes(const struct kase *k, const struct config *c)
{
  int st, fds[2];
  *why = 0;
  if (pipe(fds)) ir_bug("property", "no pipe");
  pid_t pid = fork();
  if (!pid) {
    dup2(fds[1], 2);
    close(fds[0]);
    close(fds[1]);
    struct ir_arena *a = ir_arena_create();
    const char *text = NULL;
    struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
    setrlimit(RLIMIT_CPU, &cpu);
    bool ok = execute(a, k, c, &text);
    if (!ok) snprintf(why, WHY, "%s", text ? text : "no reason given");
    _exit(ok ? 0 : 1);
  }
  close(fds[1]);
  char said[1024];
  size_t n = 0;
  for (ssize_t r; pid > 0 && (r = read(fds[0], said + n, sizeof said - 1 - n)) > 0;) if ((n += (size_t)r) == sizeof said - 1) n = sizeof said / 2;
  close(fds[0]);
  said[n] = 0;
  if (pid < 0 || waitpid(pid, &st, 0) != pid) ir_bug("property", "no process");
  if (WIFEXITED(st) && WEXITSTATUS(st) == 0) return true;
  if (!*why) snprintf(why, WHY, "%s %d: %s", WIFSIGNALED(st) ? "signal" : "exit status", WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st), said);
  return false;
}
/* A diagnostic that says so is an honest answer; anything else is a failure. */
static bool unsupported(void) { return strstr(why, "refused: ") == why && strstr(why, "M0301") != NULL; }
/* While shrinking: what is no fair case any more is none. M0303: a parameter with a size such as k/8 and none that tells k. */
static bool fails(void *arg, const struct kase *k)
{
  static const char *const unfair[] = { "the evaluator refuses", "no useful bound", "a symbol without a size", "M0303" };
  if (passes(k, arg) || unsupported()) return false;
  for (unsigned i = 0; i < sizeof unfair / sizeof *unfair; i++)
    if (strstr(why, unfair[i])) return false;
  return true;
}

static void report(struct kase *k, const struct config *c, const char *keep)
{
  char path[512];
  shrink(k, fails, (void *)c, ATTEMPTS);
  passes(k, c);
  char *text = case_print(k);
  snprintf(path, sizeof path, "%s/property-%016llx.ir", keep, (unsigned long long)ir_hash(text, strlen(text), 0));
  FILE *f = fopen(path, "w");
  if (f) { fputs(text, f); fclose(f); }
  printf("FAILED -O%d %s: %s\n%s(in %s)\n", c->level, c->target, why, text, path);
  fflush(stdout);
  free(text);
}
static bool run_file(const char *path)
{
  struct ir_mapping m;
  struct kase k;
  bool ok = true;
  if (ir_file_map(path, &m) || !case_parse((const char *)m.p, m.n, &k)) { printf("FAILED %s: cannot be read\n", path); return false; }
  for (unsigned i = 0; i < n_configs; i++) {
    if (passes(&k, &configs[i])) continue;
    printf("FAILED %s: -O%d %s: %s\n", path, configs[i].level, configs[i].target, why);
    ok = false;
  }
  case_free(&k);
  ir_file_unmap(&m);
  return ok;
}
static unsigned run_folder(const char *dir, unsigned *n_files)
{
  struct dirent **e;
  char path[4096];
  unsigned failed = 0;
  int n = scandir(dir, &e, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    size_t len = strlen(e[i]->d_name);
    if (len > 3 && !strcmp(e[i]->d_name + len - 3, ".ir")) {
      snprintf(path, sizeof path, "%s/%s", dir, e[i]->d_name);
      failed += !run_file(path);
      ++*n_files;
    }
    free(e[i]);
  }
  if (n >= 0) free(e);
  return failed;
}
/* Operations that no random graph holds: passes make them and have tests of their own, or sizes depend on their data (tests/e2e/test_operators.py). */
static bool made_by_passes(enum ir_op op) { return op == IR_OP_group || op == IR_OP_composite || op == IR_OP_transfer || ir_op_def(op)->class == IR_C_CONTROL; }
/* --cover: every operation of the lists comes up in some graph. */
static int cover(uint64_t seed, uint64_t count)
{
  unsigned seen[IR_OP_COUNT] = { 0 }, missing = 0;
  for (uint64_t i = 0; i < count; i++) {
    struct rnd r = { (seed << 32) + i };
    struct kase k;
    if (!generate(&r, &k)) continue;
    struct ir_arena *a = ir_arena_create();
    const char *text;
    struct ir_module *m = case_module(a, &k, &text);
    for (const struct ir_node *n = m ? m->main->first : NULL; n; n = n->next) seen[n->op]++;
    ir_arena_destroy(a);
    case_free(&k);
  }
  for (unsigned op = 0; op < IR_OP_COUNT; op++) {
    if (seen[op] || made_by_passes(op)) continue;
    printf("no graph holds the operation %s; generate.c needs a generator for it\n", ir_op_def(op)->name);
    missing++;
  }
  printf("%u operations are missing\n", missing);
  return missing > 0;
}
static const char *env_or(const char *name, const char *dflt)
{
  const char *v = getenv(name);
  return v && *v ? v : dflt;
}
int main(int argc, char **argv)
{
  uint64_t seed = 1, count = UINT64_MAX;
  double seconds = 60;
  const char *keep = ".", *found = NULL;
  bool all = false, print = false, files = false, covering = false;
  unsigned failed = 0, n_found = 0, runs = 0, cases = 0, barren = 0, without = 0;
  for (unsigned t = 0; t < 3; t++)
    for (int o = 0; o < LEVELS && machine_has(t + 2); o++) configs[n_configs++] = (struct config){ targets[t], o, 1 + (int)(t & 1) };
  why = mmap(NULL, WHY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 1; i < argc; i++) {
    const char *v = strchr(argv[i], '=') ? strchr(argv[i], '=') + 1 : "";
    if (!strncmp(argv[i], "--seconds=", 10)) seconds = atof(v);
    else if (!strncmp(argv[i], "--count=", 8)) { count = strtoull(v, NULL, 10); seconds = 1e9; }
    else if (!strncmp(argv[i], "--seed=", 7)) seed = strtoull(v, NULL, 10);
    else if (!strncmp(argv[i], "--keep=", 7)) keep = v;
    else if (!strncmp(argv[i], "--found=", 8)) found = v;
    else if (!strcmp(argv[i], "--all")) all = true;
    else if (!strcmp(argv[i], "--cover")) covering = true;
    else if (!strcmp(argv[i], "--print")) print = true;
    else if (*argv[i] == '-') { fprintf(stderr, "usage: property [--seconds=N] [--count=N] [--seed=N] [--found=DIR] [--keep=DIR] [--all] [--print] [--cover] [CASE.ir ..]\n"); return 2; }
    else { files = true; failed += !run_file(argv[i]); }
  }
  if (covering) return cover(seed, count);
  if (files) return failed > 0;
  seed = strtoull(env_or("MASSC_PROPERTY_SEED", ""), NULL, 10) ? strtoull(getenv("MASSC_PROPERTY_SEED"), NULL, 10) : seed;
  seconds = atof(env_or("MASSC_PROPERTY_SECONDS", "")) > 0 ? atof(getenv("MASSC_PROPERTY_SECONDS")) : seconds;
  if (found) failed += run_folder(found, &n_found);
  double t0 = now();
  for (uint64_t i = 0; i < count && now() - t0 < seconds && failed < 20; i++) {
    struct rnd r = { (seed << 32) + i };
    struct kase k;
    if (!generate(&r, &k)) { barren++; continue; }
    cases++;
    if (print) {
      char *text = case_print(&k);
      puts(text);
      free(text);
      case_free(&k);
      continue;
    }
    unsigned first = LEVELS * (unsigned)rnd_below(&r, n_configs / LEVELS), second = LEVELS * (unsigned)rnd_below(&r, n_configs / LEVELS) + 1 + (unsigned)rnd_below(&r, LEVELS - 1);
    for (unsigned c = 0; c < n_configs; c++) {
      if (!all && c != first && c != second) continue;
      runs++;
      if (passes(&k, &configs[c])) continue;
      if (unsupported()) { without++; continue; }
      printf("case %llu of seed %llu fails; shrinking\n", (unsigned long long)i, (unsigned long long)seed);
      fflush(stdout);
      report(&k, &configs[c], keep);
      failed++;
      break;
    }
    case_free(&k);
  }
  printf("property: %u graphs (%u barren), %u programs, %u of them without a kernel, in %.0f s, %u old findings, seed %llu, %u failed; MASSC_PROPERTY_SEED=N and MASSC_PROPERTY_SECONDS=N go on\n", cases, barren, runs, without,
         now() - t0, n_found, (unsigned long long)seed, failed);
  return failed > 0;
}
