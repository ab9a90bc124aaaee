/* The driver. Worker and parent share one mapping: the number of the execution at hand and its input, so that the parent has both whatever became of the worker.
 *
 * Coverage: where the build asks gcc for it (-fsanitize-coverage=trace-pc), inputs that reach an edge for the first time join the corpus. An edge is a pair of
 * program counters, hashed, as in AFL; collisions lose some. Without it the corpus is the seeds. */
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CPU_SECONDS = 10 /* of one input */, EDGES = 1 << 16, MAX_CORPUS = 20000 };
#define RSS_LIMIT ((uint64_t)2 << 30)

struct shared { uint64_t runs, accepted, corpus; size_t n; unsigned char input[FUZZ_MAX_INPUT]; };
struct job {
  const struct fuzz_target *t;
  const char *self, *keep, *found, *corpus;
  uint64_t seed, runs;
  double seconds;
  bool go_on;
  struct shared *s;
};

/* ---- coverage ---- */
static unsigned char edges[EDGES];
static bool new_edge;
extern char __executable_start;
void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize("address", "undefined"), no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void)
{
  static uint64_t before;
  uint64_t pc = (uint64_t)((char *)__builtin_return_address(0) - &__executable_start) * 0x9e3779b97f4a7c15u >> 48;
  unsigned char *e = &edges[(pc ^ before) % EDGES];
  if (!*e) *e = 1, new_edge = true;
  before = pc >> 1;
}

/* ---- random numbers, corpus ---- */
uint64_t fuzz_next(struct fuzz *f)
{
  uint64_t z = f->random += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
int64_t fuzz_number(struct fuzz *f)
{
  static const int64_t odd[] = { 0, -1, 15, 16, 17, 63, 64, 65, 127, 128, 255, 256, 1023, 1024, 65535, 65536, INT32_MAX, INT32_MIN, (int64_t)1 << 31, (int64_t)1 << 32,
                                 (int64_t)1 << 40, (int64_t)1 << 62, INT64_MAX, INT64_MIN, INT64_MAX - 1 };
  switch (fuzz_below(f, 8)) {
  case 0: return FUZZ_PICK(f, odd);
  case 1: return -(int64_t)fuzz_below(f, 9);
  case 2: return (int64_t)((uint64_t)1 << fuzz_below(f, 63)) + (int64_t)fuzz_below(f, 3) - 1;
  default: return (int64_t)fuzz_below(f, 20);
  }
}
void fuzz_seed(struct fuzz *f, const void *p, size_t n)
{
  struct ir_buf b = { 0 };
  if (n > FUZZ_MAX_INPUT || f->corpus.n == MAX_CORPUS) return;
  ir_buf_add(&b, p, n);
  ir_push(f->arena, &f->corpus, b);
}
const struct ir_buf *fuzz_any(struct fuzz *f)
{
  IR_ASSERT(f->corpus.n);
  return &f->corpus.v[fuzz_below(f, f->corpus.n)];
}
void fuzz_noise(struct fuzz *f, struct ir_buf *b)
{
  if (!b->n) return;
  size_t at = fuzz_below(f, b->n), n = fuzz_below(f, b->n - at < 64 ? b->n - at : 64);
  switch (fuzz_below(f, 4)) {
  case 0: b->n = at; break;
  case 1: {
    struct ir_buf piece = { 0 };
    ir_buf_add(&piece, b->s + at, b->n - at);
    ir_buf_add(b, piece.s + n, piece.n - n);
    ir_buf_deinit(&piece);
    break;
  }
  default:
    for (size_t k = 1 + fuzz_below(f, 4); k--;) b->s[fuzz_below(f, b->n)] ^= (char)(1 << fuzz_below(f, 8));
  }
}
static void free_corpus(struct fuzz *f)
{
  for (uint32_t i = 0; i < f->corpus.n; i++) ir_buf_deinit(&f->corpus.v[i]);
  ir_arena_destroy(f->arena);
}

/* ---- files ---- */
static bool file_seed(struct fuzz *f, const char *path)
{
  struct ir_mapping m;
  if (ir_file_map(path, &m)) return false;
  fuzz_seed(f, m.p ? (const void *)m.p : "", m.n);
  ir_file_unmap(&m);
  return true;
}
/* Every file of the folder joins the corpus, in the order of their names. */
static void folder_seeds(struct fuzz *f, const char *dir)
{
  struct dirent **e;
  int n = scandir(dir, &e, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    if (*e[i]->d_name != '.') file_seed(f, ir_arena_printf(f->arena, "%s/%s", dir, e[i]->d_name));
    free(e[i]);
  }
  if (n >= 0) free(e);
}
static void write_input(const struct job *j, const char *path)
{
  FILE *o = fopen(path, "wb");
  if (!o || fwrite(j->s->input, 1, j->s->n, o) != j->s->n) fprintf(stderr, "cannot write %s\n", path);
  if (o) fclose(o);
}

/* ---- worker ---- */
static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static void execute(struct job *j, struct fuzz *f, const void *p, size_t n)
{
  struct itimerval limit = { .it_value = { CPU_SECONDS, 0 } };
  unsigned char *exact = malloc(n + !n);                 /* no byte more: the address sanitizer sees the first one behind */
  IR_ASSERT(exact);
  memcpy(exact, p, n);
  memcpy(j->s->input, p, n);
  j->s->n = n;
  setitimer(ITIMER_PROF, &limit, NULL);
  new_edge = false;
  j->s->accepted += j->t->run(exact, n);
  if (new_edge) fuzz_seed(f, p, n);
  free(exact);
  j->s->corpus = f->corpus.n;
}
static void work(struct job *j)
{
  struct fuzz f = { .arena = ir_arena_create() };
  double t0 = now();
  bool first = j->s->runs == 0;                          /* not after a finding */
  j->t->seeds(&f);
  uint32_t own = f.corpus.n;
  if (j->found) folder_seeds(&f, ir_arena_printf(f.arena, "%s/%s", j->found, j->t->name));
  if (j->corpus) folder_seeds(&f, j->corpus);
  for (uint32_t i = 0, n = f.corpus.n; i < n && (first || i < own); i++) {   /* seeds and old findings as they are */
    execute(j, &f, f.corpus.v[i].s, f.corpus.v[i].n);
    j->s->runs += first;
  }
  while (j->s->runs < j->runs && now() - t0 < j->seconds) {
    struct ir_buf b = { 0 };
    f.random = (j->seed << 40) + ++j->s->runs * 0x2545f4914f6cdd1du;
    j->t->make(&f, &b);
    execute(j, &f, b.s ? b.s : "", b.n < FUZZ_MAX_INPUT ? b.n : FUZZ_MAX_INPUT);
    ir_buf_deinit(&b);
  }
  free_corpus(&f);
}

/* ---- parent ---- */
static uint64_t rss_of(pid_t pid)
{
  char path[64];
  unsigned long long pages = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
  FILE *f = fopen(path, "r");
  if (f && fscanf(f, "%*s %llu", &pages) != 1) pages = 0;
  if (f) fclose(f);
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
/* NULL: the worker came to its end. */
static const char *watch(pid_t pid)
{
  static char text[64];
  int st;
  bool large = false;
  for (unsigned ms = 1; waitpid(pid, &st, WNOHANG) == 0; ms = ms < 50 ? ms * 2 : 50) {
    if (!large && rss_of(pid) > RSS_LIMIT) { large = true; kill(pid, SIGKILL); }
    usleep(ms * 1000);
  }
  if (large) return "more than 2 GiB of memory";
  if (WIFEXITED(st) && !WEXITSTATUS(st)) return NULL;
  if (WIFSIGNALED(st) && WTERMSIG(st) == SIGPROF) return "more than 10 seconds for one input";
  if (WIFSIGNALED(st)) snprintf(text, sizeof text, "signal %d", WTERMSIG(st));
  else snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(st));
  return text;
}
static void report(const struct job *j, const char *what)
{
  char path[4096];
  snprintf(path, sizeof path, "%s/%s-%016llx", j->keep, j->t->name, (unsigned long long)ir_hash(j->s->input, j->s->n, 0));
  write_input(j, path);
  fprintf(stderr, "%s: execution %llu, %zu bytes: %s\nagain: %s %s %s\n", j->t->name, (unsigned long long)j->s->runs, j->s->n, what, j->self, j->t->name, path);
}
static unsigned fuzz(struct job *j)
{
  unsigned findings = 0;
  double t0 = now(), total = j->seconds;
  for (;;) {
    pid_t pid = fork();
    if (!pid) { work(j); exit(0); }
    const char *what = pid < 0 ? "cannot fork" : watch(pid);
    if (what) { findings++; report(j, what); }
    j->seconds = total - (now() - t0);
    if (!what || !j->go_on || j->seconds <= 0 || j->s->runs >= j->runs || pid < 0) break;
    j->s->runs += j->s->runs == 0;
  }
  double s = now() - t0;
  printf("%s: %llu executions in %.0f s, %.0f/s, %llu accepted, corpus %llu, seed %llu, findings %u\n", j->t->name, (unsigned long long)j->s->runs, s, (double)j->s->runs / s,
         (unsigned long long)j->s->accepted, (unsigned long long)j->s->corpus, (unsigned long long)j->seed, findings);
  return findings;
}
static void replay(struct job *j, const char *path)
{
  struct fuzz f = { .arena = ir_arena_create() };
  if (!file_seed(&f, path)) { fprintf(stderr, "cannot read %s\n", path); exit(74); }
  execute(j, &f, f.corpus.v[0].s, f.corpus.v[0].n);
  printf("%s: %s\n", path, j->s->accepted ? "accepted" : "refused");
  j->s->accepted = 0;
  free_corpus(&f);
}
static int usage(const char *self, const struct fuzz_target *t)
{
  fprintf(stderr, "usage: %s TARGET [--seconds=N] [--runs=N] [--seed=N] [--found=DIR] [--corpus=DIR] [--keep=DIR] [--go-on] [FILE..]\n", self);
  for (; t->name; t++) fprintf(stderr, "  %-10s %s\n", t->name, t->what);
  return 2;
}
int fuzz_main(int argc, char **argv, const struct fuzz_target *targets)
{
  struct job j = { .t = targets, .self = argv[0], .keep = ".", .seed = 1, .runs = UINT64_MAX, .seconds = 1e9 };
  bool files = false;
  while (argc > 1 && j.t->name && strcmp(j.t->name, argv[1])) j.t++;
  if (argc < 2 || !j.t->name) return usage(argv[0], targets);
  j.s = mmap(NULL, sizeof *j.s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  IR_ASSERT(j.s != MAP_FAILED);
  for (int i = 2; i < argc; i++) {
    const char *a = argv[i], *v = strchr(a, '=') ? strchr(a, '=') + 1 : "";
    if (!strncmp(a, "--seconds=", 10)) j.seconds = atof(v);
    else if (!strncmp(a, "--runs=", 7)) j.runs = strtoull(v, NULL, 10);
    else if (!strncmp(a, "--seed=", 7)) j.seed = strtoull(v, NULL, 10);
    else if (!strncmp(a, "--found=", 8)) j.found = v;
    else if (!strncmp(a, "--corpus=", 9)) j.corpus = v;
    else if (!strncmp(a, "--keep=", 7)) j.keep = v;
    else if (!strcmp(a, "--go-on")) j.go_on = true;
    else if (*a == '-') return usage(argv[0], targets);
    else { files = true; replay(&j, a); }
  }
  const char *env = getenv("MASSC_FUZZ_SECONDS");
  if (env && *env) j.seconds = atof(env);
  return files ? 0 : fuzz(&j) > 0;
}
