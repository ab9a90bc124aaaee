/* internal.h: what the files of the runtime share. Nothing here is visible outside of an emitted program. */
#ifndef MASSRT_INTERNAL_H
#define MASSRT_INTERNAL_H
#include "runtime/abi.h"
#include "runtime/massrt.h"
#include <stdbool.h>

/* ---- memory: the caller's allocator, or the system's (mapped with huge pages from 4 MiB up) ---- */
struct massrt_mem {
  void *(*alloc)(void *arg, size_t bytes, size_t align);
  void (*free)(void *arg, void *p, size_t bytes);
  void *arg;
};
void massrt_mem_init(struct massrt_mem *m, const struct massrt_config *c);
void *massrt_alloc(const struct massrt_mem *m, size_t bytes, size_t align);       /* contents undefined; NULL when there is none; 0 bytes are one */
void massrt_release(const struct massrt_mem *m, void *p, size_t bytes);           /* bytes as allocated; NULL is fine */

/* ---- processor (cpu.c) ---- */
unsigned massrt_cpu_level(void);                                                  /* x86-64 level that processor and kernel support: 1 .. 4 */
void massrt_cpu_missing(unsigned level, char *out, size_t n);                     /* "avx2, fma": what level needs and is absent */
int massrt_usable_cores(void);                                                    /* cores this process may run on; hardware threads of one core count once */

/* ---- threads (threads.c) ---- */
enum { MASSRT_MAX_THREADS = 1024 };
struct massrt_pool;
/* n - 1 workers beside the caller; fewer when the system has no more threads. scratch_bytes: of each thread, zeroed. NULL: no memory. */
struct massrt_pool *massrt_pool_create(const struct massrt_mem *m, int n, size_t scratch_bytes);
void massrt_pool_destroy(struct massrt_pool *p);
int massrt_pool_threads(const struct massrt_pool *p);
/* Runs the tasks 0 <= t < tasks in `ways` contiguous ranges, one a thread, the caller's first; returns when all are done. */
void massrt_pool_run(struct massrt_pool *p, massrt_kernel_fn *fn, const union massrt_word *args, int64_t tasks, int ways);
void massrt_pool_wake(struct massrt_pool *p);                                     /* sleeping workers begin to spin: work is near */

/* ---- instances (exec.c) ---- */
struct massrt_device;                                                             /* device.h */
struct massrt_pieces;                                                             /* pieces.h */
struct massrt_shape;                                                              /* what belongs to one set of input shapes */
enum { MASSRT_SHAPES = 8 };
struct massrt_block { uint8_t *p; uint64_t bytes; };
struct massrt_exec {
  const struct massrt_program *p;
  const struct massrt_version *v;
  struct massrt_mem mem;
  struct massrt_pool *pool;
  struct massrt_shape *shape[MASSRT_SHAPES];                                      /* most recently used first */
  uint32_t n_shapes, n_dims;                                                      /* n_dims: of all inputs together */
  bool ready;                                                                     /* args belong to shape[0] */
  struct massrt_block *block;                                                     /* [0] the arena; [n] what has a size since bind number n */
  struct massrt_device *device;                                                   /* place 1, or NULL */
  uint64_t device_bytes;                                                          /* of its arena */
  uint8_t *stage; uint64_t stage_bytes;                                           /* inputs, then outputs, where the device copies from and to; NULL: no device */
  uint64_t generation;                                                            /* grows when arena or stage of the device move */
  bool recordable;                                                                /* every step is the device's */
  union massrt_word *args;
  uint32_t *io_args; uint32_t n_io_args;                                          /* arguments that point into inputs and outputs */
  void (*trace)(void *arg, uint32_t step, int64_t start_ns, int64_t end_ns); void *trace_arg;    /* called after each step but those of loops when set */
  struct massrt_pieces *pieces;                                                   /* while the device's own time is measured, else NULL */
  char error[512];
};
void massrt_signature_of(const struct massrt_program *p, const struct massrt_io *io, struct massrt_signature *out);
const int64_t *massrt_values(const struct massrt_exec *x);                        /* of the last prepared shapes */
int64_t massrt_now_ns(void);
/* Shapes for inputs that the caller leaves open: dim -1 is filled in from the symbols that the others bind, then from each symbol's smallest size (at least
 * 1). Errors as massrt_prepare. */
int massrt_complete(struct massrt_exec *x, struct massrt_tensor *inputs);

/* ---- element types (elem.c) ---- */
extern const uint8_t massrt_elem_bytes[];
extern const char *const massrt_elem_name[];
enum { MASSRT_N_ELEMS = 13 };
bool massrt_elem_is_float(uint32_t elem);
double massrt_elem_get(uint32_t elem, const void *p, uint64_t i);                 /* 64-bit integers are rounded */
void massrt_elem_set(uint32_t elem, void *p, uint64_t i, double v);               /* rounded to nearest even; integers truncate and saturate */
/* Elements and bytes of a shape; false: a negative dim, or more than 2^63 - 1. */
bool massrt_shape_bytes(uint32_t elem, uint32_t rank, const int64_t *dim, uint64_t *out_elems, uint64_t *out_bytes);
/* "f32[1,3,224,224]"; dims of -1 by their names, or "?". Returns out. */
char *massrt_type_text(char *out, size_t n, uint32_t elem, uint32_t rank, const int64_t *dim, const char *const *dim_name);
#endif
