/* The targets that massc compiles for: rows of targets.def, and "cpu", which is this machine. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "codegen/codegen.h"

/* Of a named target's cores nothing is known, and the program must not depend on where it was compiled. */
enum { NAMED_CORES = 8, N_LEVELS = 0
#define CPU_LEVEL(...) + 1
#define CPU_NAME(...)
#define GPU(...)
#include "codegen/targets.def"
#undef CPU_LEVEL
#undef CPU_NAME
#undef GPU
};

static const struct cg_target levels[] = {
#define CPU_LEVEL(lv, tun, lanes_, vregs, fma_, l1, l2) \
  { .name = "cpu:x86-64-v" #lv, .cpu = "x86-64-v" #lv, .tune = tun, .level = lv, .vec_lanes = lanes_, .n_vregs = vregs, .fma = fma_, .l1_bytes = l1, .l2_bytes = l2, \
    .cores = NAMED_CORES, .warps = 1, .lanes = 1 },
#define CPU_NAME(name, level)
#define GPU(...)
#include "codegen/targets.def"
#undef CPU_LEVEL
#undef CPU_NAME
#undef GPU
};

static const struct { const char *name; unsigned level; } processors[] = {
#define CPU_LEVEL(...)
#define CPU_NAME(nm, lv) { "cpu:" nm, lv },
#define GPU(...)
#include "codegen/targets.def"
#undef CPU_LEVEL
#undef CPU_NAME
#undef GPU
};
static const struct cg_target gpus[] = {
#define CPU_LEVEL(...)
#define CPU_NAME(...)
#define GPU(kind_, name_, arch_, lv, cores_, shared, threads, blocks, core_shared, gops_, matrix, gbytes_) \
  { .name = name_, .kind = kind_, .arch = arch_, .level = lv, .vec_lanes = 4, .n_vregs = 255, .fma = true, .cores = cores_, .warps = 8, .lanes = 32, .shared_bytes = shared, \
    .core_threads = threads, .core_blocks = blocks, .core_shared_bytes = core_shared, .gops = gops_, .matrix_gops = matrix, .gbytes = gbytes_ },
#include "codegen/targets.def"
#undef CPU_LEVEL
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

static void fill(void)
{
  for (unsigned i = 0; i < N_PROCESSORS; i++) {
    named[i] = *at_level(processors[i].level);
    named[i].name = processors[i].name;
  }
  here = *at_level(this_level());
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

/* Processors: two vector units that multiply and add (in one instruction or in turn) at 3 GHz; two channels of DDR4. Within a factor of two of what is in use. */
void cg_target_rates(const struct cg_target *t, const char *inst, double *out_gops, double *out_gbytes)
{
  bool cpu = t->kind == CG_CPU, matrix = inst && t->matrix_gops && (!strncmp(inst, "mma.", 4) || !strncmp(inst, "wgmma.", 6));
  *out_gops = cpu ? 3.0 * 2 * t->vec_lanes * (t->fma ? 2 : 1) : !matrix ? t->gops : strstr(inst, ".tf32") ? t->matrix_gops / 2 : t->matrix_gops;
  *out_gbytes = cpu ? 25 : t->gbytes;
}
