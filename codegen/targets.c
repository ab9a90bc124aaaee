/* The targets that massc compiles for: x86-64 levels as machines/ describes them, rows of targets.def, and "cpu", which is this machine. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "codegen/machine.h"
#include "machines.h"

enum { N_LEVELS = 3, N_TEXTS = sizeof machine_texts / sizeof *machine_texts };
static struct cg_target levels[N_LEVELS];

static const struct { const char *name; unsigned level; } processors[] = {
#define CPU_NAME(nm, lv) { "cpu:" nm, lv },
#define GPU(...)
#include "codegen/targets.def"
#undef CPU_NAME
#undef GPU
};
static const struct cg_target gpus[] = {
#define CPU_NAME(...)
#define GPU(kind_, name_, arch_, lv, cores_, shared, threads, blocks, core_shared, gops_, matrix, gbytes_) \
  { .name = name_, .kind = kind_, .arch = arch_, .level = lv, .vec_lanes = 4, .n_vregs = 255, .fma = true, .cores = cores_, .warps = 8, .lanes = 32, .shared_bytes = shared, \
    .core_threads = threads, .core_blocks = blocks, .core_shared_bytes = core_shared, .gops = gops_, .matrix_gops = matrix, .gbytes = gbytes_ },
#include "codegen/targets.def"
#undef CPU_NAME
#undef GPU
};
enum { N_PROCESSORS = sizeof processors / sizeof *processors, N_GPUS = sizeof gpus / sizeof *gpus };

static struct cg_target named[N_PROCESSORS], here;
static pthread_once_t once = PTHREAD_ONCE_INIT;

bool cg_target_exact(const struct cg_target *t) { return t->arch && t->arch[strlen(t->arch) - 1] == 'a'; }
static const struct cg_target *at_level(unsigned level)
{
  const struct cg_target *t = &levels[0];
  for (unsigned i = 0; i < N_LEVELS; i++)
    if (levels[i].level <= level) t = &levels[i];
  return t;
}

static unsigned this_level(void)
{
  __builtin_cpu_init();
  return __builtin_cpu_supports("x86-64-v4") ? 4 : __builtin_cpu_supports("x86-64-v3") ? 3 : 2;
}

static void measured(int64_t *v, long bytes) { if (bytes > 0) *v = bytes; }

/* Text i of machines/ into t. */
static void describe(struct ir_arena *a, unsigned i, bool whole, struct cg_target *t)
{
  struct ir_diags d = { .file = machine_texts[i].file };
  struct ir_yaml_error e = { 0 };
  const struct ir_yaml *y = ir_yaml_read(a, machine_texts[i].file, machine_texts[i].text, strlen(machine_texts[i].text), &e);
  if (!y || !cg_machine_apply(a, &d, y, t) || (whole && !cg_machine_whole(y))) ir_bug("targets", "%s: %s", machine_texts[i].file, e.why ? e.why : d.first.s ? d.first.s : "a key is missing");
}
/* A processor has a text of its own, or is as its level. */
static void describe_processor(struct ir_arena *a, const char *name, struct cg_target *t)
{
  for (unsigned i = N_LEVELS; i < N_TEXTS; i++)
    if (!strncmp(machine_texts[i].file, name, strlen(name)) && !strcmp(machine_texts[i].file + strlen(name), ".yaml")) describe(a, i, false, t);
}
/* The processor of a level. Its names live as long as massc. */
static struct cg_target of_level(struct ir_arena *a, unsigned i)
{
  struct cg_target t = { .warps = 1, .lanes = 1 };
  describe(a, i, true, &t);
  t.cpu = ir_arena_printf(a, "x86-64-v%u", t.level);
  t.name = ir_arena_printf(a, "cpu:%s", t.cpu);
  return t;
}
static void fill(void)
{
  static struct ir_arena *a;                     /* for as long as the process */
  a = ir_arena_create();
  for (unsigned i = 0; i < N_LEVELS; i++) levels[i] = of_level(a, i);
  for (unsigned i = 0; i < N_PROCESSORS; i++) {
    named[i] = *at_level(processors[i].level);
    named[i].name = processors[i].name;
    describe_processor(a, strchr(processors[i].name, ':') + 1, &named[i]);
  }
  here = *at_level(this_level());
  if (here.level == 4 && __builtin_cpu_is("amdfam19h")) describe_processor(a, "znver4", &here);     /* Zen 3 has no AVX-512 */
  measured(&here.l1_bytes, sysconf(_SC_LEVEL1_DCACHE_SIZE));
  measured(&here.l2_bytes, sysconf(_SC_LEVEL2_CACHE_SIZE));
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  here.cores = cores > 0 ? (unsigned)cores : 1;
}

const struct cg_target *cg_target_at(unsigned i)
{
  pthread_once(&once, fill);
  if (i < N_LEVELS) return &levels[i];
  if (i < N_LEVELS + N_PROCESSORS) return &named[i - N_LEVELS];
  return i - N_LEVELS - N_PROCESSORS < N_GPUS ? &gpus[i - N_LEVELS - N_PROCESSORS] : NULL;
}

const struct cg_target *cg_target_find(const char *name, size_t n)
{
  pthread_once(&once, fill);
  if (n == 3 && !memcmp(name, "cpu", 3)) return &here;
  if (n == 4 && !memcmp(name, "cuda", 4)) return &gpus[0];
  const struct cg_target *t;
  for (unsigned i = 0; (t = cg_target_at(i)); i++)
    if (strlen(t->name) == n && !memcmp(t->name, name, n)) return t;
  return NULL;
}

void cg_target_rates(const struct cg_target *t, const char *inst, double *out_gops, double *out_gbytes)
{
  bool matrix = inst && t->matrix_gops && (!strncmp(inst, "mma.", 4) || !strncmp(inst, "wgmma.", 6));
  *out_gops = !matrix ? t->gops : strstr(inst, ".tf32") ? t->matrix_gops / 2 : t->matrix_gops;
  *out_gbytes = t->gbytes;
}
