/* massc tune: the fastest record of each kernel, as measured on this machine, into a text file.
 *
 * Each kernel for which the target has a choice of records (cg_alternatives) gets its first one in a first program, its second in a second, and so on; the programs are real
 * ones, and --profile of each tells what its kernels take, with weights that come from memory and neighbours that use the caches as they do in the model. Kernels that
 * have fewer records than others start again with their first, which so gets the best of more runs. Then records are taken as pass choose takes them: the fastest that stores no more than the
 * model's weights, and steps up from there by gain per byte. Weakness: neighbours change from program to program, and with them what lies in the caches. */
#include "compiler/tune.h"
#include "ir/base/yaml_tree.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
enum { REPEATS = 3 };
static const double WORTH = 0.98;                 /* of the time: what is no more than noise is not taken */

struct alternative { const char *text; double us; int64_t bytes; };       /* us: of one use, the least that was measured; bytes: that it stores more, of all uses */
struct entry {
  const char *key;
  uint32_t uses;
  unsigned n, best;
  struct alternative alt[IR_MAX_ALTERNATIVES];
};
struct tuning {
  struct ir_arena *arena;
  struct ir_diags *d;
  const struct options *o;
  const struct tune_road *road;
  const struct ir_target *target;
  IR_VEC(struct entry) entries;
  int64_t room;                                   /* bytes that the weights may grow by */
  unsigned rounds;
};

/* ---- kernels with a choice ---- */
static struct entry *find(struct tuning *t, const char *key)
{
  for (uint32_t i = 0; i < t->entries.n; i++)
    if (!strcmp(t->entries.v[i].key, key)) return &t->entries.v[i];
  return NULL;
}
static void add_entry(struct tuning *t, const struct pass_group *g, const char *key)
{
  struct ir_choice x[IR_MAX_ALTERNATIVES];
  struct entry e = { .key = key };
  unsigned n = t->target->alternatives(t->target, t->arena, g->nest, x);
  for (unsigned i = 0; i < n; i++)
    if (!t->o->pass.no_winograd || strcmp(x[i].s->kind, "winograd")) e.alt[e.n++] = (struct alternative){ pass_tune_text(t->arena, x[i].s), HUGE_VAL, x[i].bytes };
  if (e.n > t->rounds) t->rounds = e.n;
  if (e.n > 1) ir_push(t->arena, &t->entries, e);
}
/* Groups outside of loops: those inside keep massc's choice. */
static bool tunable(const struct pass_group *g) { return g->node->op == IR_OP_group && !g->node->graph->owner; }
static void collect(struct tuning *t, const struct pass_program *p)
{
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct pass_group *g = &p->groups.v[i];
    if (!tunable(g)) continue;
    const char *key = pass_tune_key(t->arena, t->target, g->nest);
    if (!find(t, key)) add_entry(t, g, key);
    struct entry *e = find(t, key);
    if (e) e->uses++;
  }
  for (uint32_t i = 0; i < t->entries.n; i++)
    for (unsigned k = 0; k < t->entries.v[i].n; k++) t->entries.v[i].alt[k].bytes *= t->entries.v[i].uses;
  t->room = p->room;
}

/* ---- measuring ---- */
static bool failed(struct tuning *t, const char *what, const char *why) { return ir_error(t->d, IR_M0409, NULL, NULL, "%s: %s; the model must run on this machine with random inputs", what, why); }
/* Standard output of a program that is open as fd. */
static bool output_of(struct tuning *t, int fd, char *const *argv, struct ir_buf *out)
{
  int ends[2], status;
  pid_t pid;
  char part[1 << 14];
  posix_spawn_file_actions_t f;
  if (pipe2(ends, O_CLOEXEC)) return failed(t, "pipe", strerror(errno));
  posix_spawn_file_actions_init(&f);
  posix_spawn_file_actions_adddup2(&f, ends[1], STDOUT_FILENO);
  int rc = posix_spawn(&pid, ir_arena_printf(t->arena, "/proc/self/fd/%d", fd), &f, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&f);
  close(ends[1]);
  for (ssize_t n; !rc && (n = read(ends[0], part, sizeof part)) != 0;)
    if (n > 0) ir_buf_add(out, part, (size_t)n);
    else if (errno != EINTR) break;
  close(ends[0]);
  if (rc) return failed(t, "the program cannot be started", strerror(rc));
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return failed(t, "wait", strerror(errno));
  if (WIFEXITED(status) && !WEXITSTATUS(status)) return true;
  return failed(t, "the program that measures ended", WIFEXITED(status) ? ir_arena_printf(t->arena, "with status %d", WEXITSTATUS(status)) : ir_arena_printf(t->arena, "by signal %d", WTERMSIG(status)));
}
/* What a profile (JSON) says: *run_ms, and of each kernel the mean time of a launch. */
struct launched { const char *kernel; double us; unsigned times; };
struct profile { double run_ms; IR_VEC(struct launched) v; };
static bool number(const struct ir_yaml *y, double *out)
{
  char *end;
  if (!y || y->kind != IR_YAML_SCALAR) return false;
  *out = strtod(y->s, &end);
  return end != y->s && !*end;
}
static bool read_profile(struct tuning *t, const struct ir_buf *text, struct profile *p)
{
  struct ir_yaml_error e;
  const struct ir_yaml *y = ir_yaml_read(t->arena, "profile", text->s, text->n, &e), *rows = ir_yaml_get(y, "launches");
  if (!rows || rows->kind != IR_YAML_SEQ || !number(ir_yaml_get(y, "profile_run_ms"), &p->run_ms)) return failed(t, "the profile", "is none");
  for (unsigned i = 0; i < rows->n; i++) {
    const struct ir_yaml *name = ir_yaml_get(rows->item[i], "kernel");
    double us;
    uint32_t k = 0;
    if (!name || name->kind != IR_YAML_SCALAR || !number(ir_yaml_get(rows->item[i], "us"), &us)) return failed(t, "the profile", "has a row of another form");
    while (k < p->v.n && strcmp(p->v.v[k].kernel, name->s)) k++;
    if (k == p->v.n) ir_push(t->arena, &p->v, ((struct launched){ .kernel = name->s }));
    p->v.v[k].us += us;
    p->v.v[k].times++;
  }
  return true;
}
static bool profile_once(struct tuning *t, int fd, struct profile *p)
{
  char *threads = ir_arena_printf(t->arena, "%u", t->o->threads);
  char *const argv[] = { "massc-tune", "--profile", "/dev/null", "--json", t->o->threads ? "--threads" : NULL, threads, NULL };
  struct ir_buf text = { 0 };
  bool ok = output_of(t, fd, argv, &text) && read_profile(t, &text, p);
  ir_buf_deinit(&text);
  return ok;
}
static void note(struct tuning *t, const struct pass_program *p, const struct profile *q)
{
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct pass_group *g = &p->groups.v[i];
    struct entry *e = tunable(g) ? find(t, pass_tune_key(t->arena, t->target, g->nest)) : NULL;
    const struct pass_kernel *k = &p->kernels.v[g->kernel];
    if (!e) continue;
    const char *text = pass_tune_text(t->arena, k->sched);
    for (unsigned j = 0; j < e->n; j++)
      for (uint32_t l = 0; l < q->v.n && !strcmp(e->alt[j].text, text); l++)
        if (!strcmp(q->v.v[l].kernel, k->name)) e->alt[j].us = fmin(e->alt[j].us, q->v.v[l].us / q->v.v[l].times);
  }
}
/* Builds a program with these rows (NULL: massc's own choice), runs it and notes what its kernels take. *ms: the least that a run took. */
static bool measure(struct tuning *t, struct pass_tune *rows, const char *dir, double *ms)
{
  struct pass_program p;
  const char *exe = ir_arena_printf(t->arena, "%s/p.bin", dir);
  bool ok = t->road->build(t->road, rows, exe, &p);
  int fd = ok ? open(exe, O_RDONLY | O_CLOEXEC) : -1;
  unlink(exe);                                     /* nothing stays behind whatever comes */
  if (ok && fd < 0) ok = failed(t, exe, strerror(errno));
  if (ok && !t->entries.n) collect(t, &p);
  *ms = HUGE_VAL;
  for (unsigned i = 0; i < REPEATS && ok; i++) {
    struct profile q = { 0 };
    ok = profile_once(t, fd, &q);
    if (!ok) break;
    note(t, &p, &q);
    *ms = fmin(*ms, q.run_ms);
  }
  if (fd >= 0) close(fd);
  t->road->drop(&p);
  return ok;
}
static struct pass_tune *rows_of_round(struct tuning *t, unsigned round)
{
  struct pass_tune *r = IR_NEW(t->arena, struct pass_tune);
  r->file = "massc tune";
  r->measuring = true;
  for (uint32_t i = 0; i < t->entries.n; i++) {
    const struct entry *e = &t->entries.v[i];
    ir_push(t->arena, &r->rows, ((struct pass_tune_row){ .kernel = e->key, .sched = e->alt[round < e->n ? round : 0].text }));
  }
  return r;
}

/* ---- choosing ---- */
static double gain(const struct entry *e, unsigned from, unsigned to) { return (e->alt[from].us - e->alt[to].us) * e->uses; }
/* The best step up from what an entry has: more bytes, less time; the most gain per byte. */
static unsigned step_up(const struct entry *e, int64_t room, double *out)
{
  unsigned best = e->best;
  *out = 0;
  for (unsigned i = 0; i < e->n; i++) {
    int64_t more = e->alt[i].bytes - e->alt[e->best].bytes;
    double g = gain(e, e->best, i);
    if (more > 0 && more <= room && e->alt[i].us < WORTH * e->alt[e->best].us && g / (double)more > *out) {
      *out = g / (double)more;
      best = i;
    }
  }
  return best;
}
static void choose(struct tuning *t)
{
  int64_t room = t->room;
  for (uint32_t i = 0; i < t->entries.n; i++) {
    struct entry *e = &t->entries.v[i];
    for (unsigned k = 1; k < e->n; k++)
      if (e->alt[k].bytes <= 0 && e->alt[k].us < e->alt[e->best].us && e->alt[k].us < WORTH * e->alt[0].us) e->best = k;
  }
  for (;;) {
    struct entry *at = NULL;
    double most = 0, g;
    unsigned to = 0;
    for (uint32_t i = 0; i < t->entries.n; i++) {
      unsigned k = step_up(&t->entries.v[i], room, &g);
      if (g <= most) continue;
      most = g;
      at = &t->entries.v[i];
      to = k;
    }
    if (!at) return;
    room -= at->alt[to].bytes - at->alt[at->best].bytes;
    at->best = to;
  }
}
static struct pass_tune *chosen_rows(struct tuning *t)
{
  struct pass_tune *r = IR_NEW(t->arena, struct pass_tune);
  r->file = "massc tune";
  for (uint32_t i = 0; i < t->entries.n; i++) ir_push(t->arena, &r->rows, ((struct pass_tune_row){ .kernel = t->entries.v[i].key, .sched = t->entries.v[i].alt[t->entries.v[i].best].text }));
  return r;
}

/* ---- the file ---- */
/* In double quotes, as YAML and JSON have it. */
static void put_text(struct ir_buf *b, const char *s) { json_string(b, s, strlen(s)); }
static const char *processor(struct ir_arena *a)
{
  static const char *const field = "model name";
  char line[256];
  const char *found = "x86-64";
  FILE *f = fopen("/proc/cpuinfo", "re");
  while (f && fgets(line, sizeof line, f)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, field, strlen(field)) || !colon) continue;
    found = ir_arena_strndup(a, colon + 1 + strspn(colon + 1, " "), strcspn(colon + 1 + strspn(colon + 1, " "), "\n"));
    break;
  }
  if (f) fclose(f);
  return found;
}
static bool write_file(struct tuning *t, const char *out)
{
  struct ir_buf b = { 0 };
  ir_buf_printf(&b, "# Records of kernels, as massc tune measured them: massc --tune FILE uses them (docs/tuning.md). us: of one launch; default_us: of the record that massc starts from.\nmassc_tune: 1\nprocessor: ");
  put_text(&b, processor(t->arena));
  if (t->o->threads) ir_buf_printf(&b, "\nthreads: %u", t->o->threads);
  ir_buf_printf(&b, "\nkernels:%s\n", t->entries.n ? "" : " []");
  for (uint32_t i = 0; i < t->entries.n; i++) {
    const struct entry *e = &t->entries.v[i];
    ir_buf_printf(&b, "- kernel: ");
    put_text(&b, e->key);
    ir_buf_printf(&b, "\n  sched: ");
    put_text(&b, e->alt[e->best].text);
    ir_buf_printf(&b, "\n  us: %.2f\n  default_us: %.2f\n", e->alt[e->best].us, e->alt[0].us);
  }
  bool ok = link_write_file(t->d, out, b.s, b.n, 0644);
  ir_buf_deinit(&b);
  return ok;
}
static bool tune_in(struct tuning *t, const char *dir, const char *out)
{
  double own, tuned, ms;
  TRY(measure(t, NULL, dir, &own));
  for (unsigned r = 0; r < t->rounds; r++) {
    t->road->progress(t->road, ir_arena_printf(t->arena, "measuring records of %u kernels, program %u of %u", t->entries.n, r + 1, t->rounds));
    TRY(measure(t, rows_of_round(t, r), dir, &ms));
  }
  choose(t);
  TRY(measure(t, chosen_rows(t), dir, &tuned));
  t->road->progress(t->road, NULL);
  TRY(write_file(t, out));
  if (!t->o->quiet)
    fprintf(stderr, "massc: %u kernels, %u programs: %.3f ms a run, %.3f before; %s\n", t->entries.n, t->rounds + 2, tuned, own, out);
  return true;
}
bool tune(struct ir_arena *a, struct ir_diags *d, const struct options *o, const struct ir_target *target, const struct tune_road *road, const char *out)
{
  struct tuning t = { .arena = a, .d = d, .o = o, .road = road, .target = target };
  const char *folder = getenv("TMPDIR"), *slash = strrchr(out, '/');
  char *dir = ir_arena_printf(a, "%s/massc-tune-XXXXXX", folder && *folder ? folder : "/tmp");
  if (!target->isa) return ir_error(d, IR_M0401, NULL, NULL, "massc tune measures on this machine's processor, target %s is none", target->name);
  if (strcmp(out, "-") && access(slash ? ir_arena_strndup(a, out, (size_t)(slash - out) + 1) : ".", W_OK)) return ir_error(d, IR_M0002, NULL, NULL, "%s: cannot write: %s", out, strerror(errno));   /* before it takes minutes */
  if (!mkdtemp(dir)) return ir_error(d, IR_M0002, NULL, NULL, "%s: cannot make a folder: %s", dir, strerror(errno));
  bool ok = tune_in(&t, dir, out);
  road->progress(road, NULL);
  rmdir(dir);
  return ok;
}
