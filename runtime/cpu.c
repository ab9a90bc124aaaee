/* What the processor has: instruction set levels of the x86-64 psABI, and cores. cpuid is read here because the compiler's own __builtin_cpu_supports needs
 * libgcc, which emitted programs are not linked with. */
#include "runtime/internal.h"
#include <cpuid.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One feature that a level adds: bit of register reg (0 eax .. 3 edx) of cpuid leaf; xcr0: state that the kernel must save for it. */
struct feature { unsigned level; const char *name; unsigned leaf, reg, bit, xcr0; };
enum { EXT = 0x80000001, YMM = 0x06, ZMM = 0xe6 };
static const struct feature features[] = {
  { 2, "cx16", 1, 2, 13, 0 }, { 2, "lahf", EXT, 2, 0, 0 }, { 2, "popcnt", 1, 2, 23, 0 }, { 2, "sse3", 1, 2, 0, 0 }, { 2, "ssse3", 1, 2, 9, 0 },
  { 2, "sse4.1", 1, 2, 19, 0 }, { 2, "sse4.2", 1, 2, 20, 0 },
  { 3, "avx", 1, 2, 28, YMM }, { 3, "avx2", 7, 1, 5, YMM }, { 3, "bmi1", 7, 1, 3, 0 }, { 3, "bmi2", 7, 1, 8, 0 }, { 3, "f16c", 1, 2, 29, YMM },
  { 3, "fma", 1, 2, 12, YMM }, { 3, "lzcnt", EXT, 2, 5, 0 }, { 3, "movbe", 1, 2, 22, 0 },
  { 4, "avx512f", 7, 1, 16, ZMM }, { 4, "avx512bw", 7, 1, 30, ZMM }, { 4, "avx512cd", 7, 1, 28, ZMM }, { 4, "avx512dq", 7, 1, 17, ZMM },
  { 4, "avx512vl", 7, 1, 31, ZMM },
};
enum { N_FEATURES = sizeof features / sizeof *features };

static unsigned xcr0(void)
{
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;     /* OSXSAVE */
  __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return a;
}
static bool has(const struct feature *f)
{
  unsigned r[4];
  if (!__get_cpuid_count(f->leaf, 0, &r[0], &r[1], &r[2], &r[3])) return false;
  return r[f->reg] >> f->bit & 1 && (xcr0() & f->xcr0) == f->xcr0;
}
unsigned massrt_cpu_level(void)
{
  unsigned level = 4;
  for (int i = 0; i < N_FEATURES; i++)
    if (features[i].level <= level && !has(&features[i])) level = features[i].level - 1;
  return level;
}
void massrt_cpu_missing(unsigned level, char *out, size_t n)
{
  size_t at = 0;
  *out = 0;
  for (int i = 0; i < N_FEATURES && at < n; i++)
    if (features[i].level <= level && !has(&features[i])) at += (size_t)snprintf(out + at, n - at, "%s%s", at ? ", " : "", features[i].name);
}

/* The lowest hardware thread of the core that `cpu` belongs to; cpu itself where the kernel does not tell. */
static int first_sibling(int cpu)
{
  char path[96], text[32] = "";
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  int fd = open(path, O_RDONLY | O_CLOEXEC), first = cpu;
  if (fd < 0) return cpu;
  if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%d", &first) != 1) first = cpu;
  close(fd);
  return first;
}
int massrt_usable_cores(void)
{
  enum { CPUS = 8192 };
  static const size_t bytes = CPU_ALLOC_SIZE(CPUS);
  unsigned long words[CPUS / (8 * sizeof(unsigned long))];
  cpu_set_t *may = (cpu_set_t *)words;
  int cores = 0;
  if (sched_getaffinity(0, bytes, may)) return 1;
  for (int c = 0; c < CPUS; c++) {
    if (!CPU_ISSET_S(c, bytes, may)) continue;
    int first = first_sibling(c);
    cores += first >= c || !CPU_ISSET_S(first, bytes, may);
  }
  if (cores < 1) cores = 1;
  return cores < MASSRT_MAX_THREADS ? cores : MASSRT_MAX_THREADS;
}
