/* What ptxas says of a kernel, and how many of its blocks fit a multiprocessor at once: registers, shared memory, threads and the number of blocks are what there is
 * a bound of; the least of the four counts (CUDA C++ Programming Guide, table of technical specifications; CUDA's occupancy calculator). */
#include <stdlib.h>
#include <string.h>
#include "codegen/codegen.h"

enum { WARP = 32, WARP_REGISTERS = 65536 / WARP, REGISTER_UNIT = 256 / WARP, WARP_UNIT = 4, SHARED_UNIT = 128, RESERVED_BYTES = 1024 };

/* The number in front of a word: "Used 32 registers", "2368 bytes smem". */
static bool before(const char *log, const char *word, uint64_t *out)
{
  const char *at = strstr(log, word);
  if (!at) return false;
  const char *s = at;
  while (s > log && s[-1] >= '0' && s[-1] <= '9') s--;
  if (s == at) return false;
  *out = strtoull(s, NULL, 10);
  return true;
}
bool cg_usage_read(const char *log, struct cg_usage *out)
{
  uint64_t registers, stores = 0, loads = 0;
  *out = (struct cg_usage){ 0 };
  if (!before(log, " registers", &registers)) return false;
  out->registers = (unsigned)registers;
  before(log, " bytes stack frame", &out->stack_bytes);
  before(log, " bytes spill stores", &stores);
  before(log, " bytes spill loads", &loads);
  before(log, " bytes smem", &out->shared_bytes);
  out->spill_bytes = stores + loads;
  return true;
}
static uint64_t up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }
unsigned cg_blocks_per_core(const struct cg_target *t, const struct cg_usage *u, unsigned threads, uint64_t dynamic_bytes)
{
  unsigned warps = (threads + WARP - 1) / WARP, per_warp = (unsigned)up(u->registers ? u->registers : 1, REGISTER_UNIT);
  uint64_t shared = up(u->shared_bytes + dynamic_bytes + RESERVED_BYTES, SHARED_UNIT), n = t->core_blocks, k;
  if (!warps || !n) return 0;
  if ((k = t->core_threads / WARP / warps) < n) n = k;
  if ((k = WARP_REGISTERS / per_warp / WARP_UNIT * WARP_UNIT / warps) < n) n = k;
  if ((k = (uint64_t)t->core_shared_bytes / shared) < n) n = k;
  return (unsigned)n;
}
