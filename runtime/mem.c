/* Memory of an instance. Blocks of 4 MiB and more are mapped at multiples of 2 MiB and asked to be huge pages: activations are streamed, and with 4 KiB pages
 * the page walks cost a few percent. */
#include "runtime/internal.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { MAP_FROM = 4 << 20, HUGE = 2 << 20 };

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static void *map(size_t bytes)
{
  size_t n = round_up(bytes, HUGE);
  uint8_t *p = mmap(NULL, n + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  size_t head = round_up((uintptr_t)p, HUGE) - (uintptr_t)p;
  if (head) munmap(p, head);
  if (HUGE - head) munmap(p + head + n, HUGE - head);
  madvise(p + head, n, MADV_HUGEPAGE);
  return p + head;
}
static void *system_alloc(void *arg, size_t bytes, size_t align)
{
  (void)arg;
  return bytes >= MAP_FROM ? map(bytes) : aligned_alloc(align, round_up(bytes, align));
}
static void system_free(void *arg, void *p, size_t bytes)
{
  (void)arg;
  if (bytes >= MAP_FROM) munmap(p, round_up(bytes, HUGE));
  else free(p);
}
void massrt_mem_init(struct massrt_mem *m, const struct massrt_config *c)
{
  *m = c->alloc ? (struct massrt_mem){ c->alloc, c->free, c->arg } : (struct massrt_mem){ system_alloc, system_free, NULL };
}
void *massrt_alloc(const struct massrt_mem *m, size_t bytes, size_t align)
{
  if (bytes > SIZE_MAX / 4) return NULL;
  return m->alloc(m->arg, bytes ? bytes : 1, align);
}
void massrt_release(const struct massrt_mem *m, void *p, size_t bytes)
{
  if (p) m->free(m->arg, p, bytes ? bytes : 1);
}
