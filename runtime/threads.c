/* The thread pool.
 *
 * Each worker has a mailbox of one cache line: the caller writes a job (function, arguments, range of tasks) and then its number; the worker, which spins on
 * the number, sees all of it with one transfer of the line. Its answer is the same number in a line of its own. So a hand-off costs two line transfers, workers
 * that a job does not need are not disturbed, and nothing is shared by all. A worker without a job spins for SPIN_NS, then sleeps in a futex; the caller does
 * the same while it waits for slow workers. Both sleepers announce themselves before they look at the number for the last time (Dekker's pattern, hence the
 * sequentially consistent accesses), so no wake-up is lost and an awake partner costs no system call.
 * A worker takes its job by moving `taken` to the job's number. A caller that is done with its own part takes back what is not taken yet (the worker sleeps, or waits
 * for a core) and does it itself; the worker finds the number moved and goes on to the next.
 * Weakness: ranges are static; a worker that the system takes off its core in the middle of its range delays the launch. */
#include "runtime/internal.h"
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPIN_NS = 100000, YIELD_NS = 5000, LINE = 64, STACK_BYTES = 1 << 20 };

struct worker {
  _Alignas(LINE) atomic_uint go;               /* number of the last job given */
  atomic_uint asleep;
  massrt_kernel_fn *fn;                        /* NULL: leave */
  const union massrt_word *args;
  int64_t t0, t1;
  _Alignas(LINE) atomic_uint done;             /* number of the last job finished */
  atomic_uint awaited;                         /* the caller sleeps until done changes */
  atomic_uint taken;                           /* number of the last job begun, by the worker or by the caller in its place */
  _Alignas(LINE) void *scratch;
  struct massrt_pool *pool;
  pthread_t thread;
};
struct massrt_pool {
  struct massrt_mem mem;
  int n, workers;                              /* n: threads with the caller */
  int64_t spin_ns;                             /* 0 when there are more threads than cores: a spinning thread would keep a working one off */
  uint64_t bytes, scratch_bytes;
  uint8_t *scratch;
  struct worker w[];
};

int64_t massrt_now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static void futex_wait(atomic_uint *a, unsigned seen) { syscall(SYS_futex, a, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0); }
static void futex_wake(atomic_uint *a) { syscall(SYS_futex, a, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

/* True when *a left `seen` within ns. After YIELD_NS the core is offered to others each time around: on a busy machine the thread waited for may stand in the
 * queue of this very core. */
static bool spin(atomic_uint *a, unsigned seen, int64_t ns)
{
  int64_t start = 0, now = 0;
  do {
    for (int i = 0; i < 64; i++) {
      if (atomic_load_explicit(a, memory_order_acquire) != seen) return true;
      __builtin_ia32_pause();
    }
    now = massrt_now_ns();
    if (!start) start = now;
    if (now - start > YIELD_NS) sched_yield();
  } while (now - start < ns);
  return false;
}
static void await(atomic_uint *a, unsigned seen, atomic_uint *flag, int64_t spin_ns)
{
  while (!spin(a, seen, spin_ns)) {
    atomic_store(flag, 1);
    if (atomic_load(a) == seen) futex_wait(a, seen);   /* returns at once when it changed meanwhile; massrt_pool_wake ends it without a change */
    atomic_store(flag, 0);
  }
}
static void post(atomic_uint *a, unsigned value, atomic_uint *flag)
{
  atomic_store(a, value);
  if (atomic_load(flag)) futex_wake(a);
}
/* Who gets true does the job of that number; what the mailbox holds stays until its `done`. */
static bool take(struct worker *w, unsigned job)
{
  unsigned before = job - 1;
  return atomic_load(&w->taken) == before && atomic_compare_exchange_strong(&w->taken, &before, job);
}
static void *work(void *arg)
{
  struct worker *w = arg;
  for (unsigned seen = 0;;) {
    await(&w->go, seen, &w->asleep, w->pool->spin_ns);
    if (!take(w, ++seen)) continue;
    if (!w->fn) return NULL;
    w->fn(w->args, w->t0, w->t1, w->scratch);
    post(&w->done, seen, &w->awaited);
  }
}
static void give(struct worker *w, massrt_kernel_fn *fn, const union massrt_word *args, int64_t t0, int64_t t1)
{
  w->fn = fn;
  w->args = args;
  w->t0 = t0;
  w->t1 = t1;
  post(&w->go, atomic_load_explicit(&w->go, memory_order_relaxed) + 1, &w->asleep);
}
/* tasks * i / n without overflow */
static int64_t cut(int64_t tasks, int i, int n) { return tasks / n * i + tasks % n * i / n; }

void massrt_pool_run(struct massrt_pool *p, massrt_kernel_fn *fn, const union massrt_word *args, int64_t tasks, int ways)
{
  if (ways > p->workers + 1) ways = p->workers + 1;
  if (ways > tasks) ways = tasks < 1 ? 1 : (int)tasks;
  for (int i = 1; i < ways; i++) give(&p->w[i - 1], fn, args, cut(tasks, i, ways), cut(tasks, i + 1, ways));
  fn(args, 0, cut(tasks, 1, ways), p->scratch);
  for (int i = 1; i < ways; i++) {
    struct worker *w = &p->w[i - 1];
    unsigned want = atomic_load_explicit(&w->go, memory_order_relaxed);
    if (take(w, want)) {
      fn(args, w->t0, w->t1, p->scratch);
      atomic_store(&w->done, want);
      continue;
    }
    await(&w->done, want - 1, &w->awaited, p->spin_ns);
  }
}
void massrt_pool_wake(struct massrt_pool *p)
{
  for (int i = 0; i < p->workers; i++)
    if (atomic_load_explicit(&p->w[i].asleep, memory_order_relaxed)) futex_wake(&p->w[i].go);
}
int massrt_pool_threads(const struct massrt_pool *p) { return p->workers + 1; }

static void start_workers(struct massrt_pool *p)
{
  sigset_t all, old;
  pthread_attr_t attr;
  if (pthread_attr_init(&attr)) return;
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  sigfillset(&all);                            /* signals belong to the threads of the program around */
  pthread_sigmask(SIG_SETMASK, &all, &old);
  for (; p->workers < p->n - 1; p->workers++) {
    struct worker *w = &p->w[p->workers];
    if (pthread_create(&w->thread, &attr, work, w)) break;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attr);
}
struct massrt_pool *massrt_pool_create(const struct massrt_mem *m, int n, size_t scratch_bytes)
{
  uint64_t bytes = sizeof(struct massrt_pool) + (uint64_t)(n - 1) * sizeof(struct worker), each;
  if (scratch_bytes > INT64_MAX / 2 / (size_t)n) return NULL;
  each = (scratch_bytes + 4 * LINE - 1) / LINE * LINE;         /* a line between neighbours keeps the prefetcher of one off the other's */
  struct massrt_pool *p = massrt_alloc(m, bytes, LINE);
  if (!p) return NULL;
  memset(p, 0, bytes);
  p->mem = *m;
  p->bytes = bytes;
  p->n = n;
  p->spin_ns = n > massrt_usable_cores() ? 0 : SPIN_NS;
  p->scratch_bytes = each * (uint64_t)n;
  p->scratch = massrt_alloc(m, p->scratch_bytes, MASSRT_ALIGN);
  if (!p->scratch) { massrt_release(m, p, bytes); return NULL; }
  memset(p->scratch, 0, p->scratch_bytes);
  for (int i = 0; i < n - 1; i++) {
    p->w[i].pool = p;
    p->w[i].scratch = p->scratch + each * (uint64_t)(i + 1);
  }
  start_workers(p);
  return p;
}
void massrt_pool_destroy(struct massrt_pool *p)
{
  if (!p) return;
  for (int i = 0; i < p->workers; i++) give(&p->w[i], NULL, NULL, 0, 0);
  for (int i = 0; i < p->workers; i++) pthread_join(p->w[i].thread, NULL);
  struct massrt_mem m = p->mem;
  massrt_release(&m, p->scratch, p->scratch_bytes);
  massrt_release(&m, p, p->bytes);
}
