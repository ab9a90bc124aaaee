/* device.h: what a device's runtime (cuda.c, opencl.c) gives to instances. Driver libraries are loaded when a device is opened, never linked.
 *
 * All functions return a massrt_status and leave a text in d->error. Work is queued in order; copies to the host have happened after sync. */
#ifndef MASSRT_DEVICE_H
#define MASSRT_DEVICE_H
#include "runtime/internal.h"

struct massrt_device {                             /* the first member of a backend's own */
  const struct massrt_device_ops *ops;
  uint32_t arch;                                   /* CUDA: 10 * major + minor */
  char name[128];                                  /* "cuda:0, NVIDIA H100 80GB HBM3" */
  char error[384];
};
struct massrt_device_ops {
  const char *word;                                /* "cuda": as in --device cuda:1 */
  /* select: what stands behind "word:", or NULL for the first. On an error *out is NULL and why says what is missing. */
  int (*open)(const char *select, struct massrt_device **out, char *why, size_t n);
  void (*close)(struct massrt_device *d);          /* frees all that it gave */
  /* Code of the device's kernels and its copy of the weights; once, before all below. p outlives d. */
  int (*load)(struct massrt_device *d, const struct massrt_program *p);
  int (*reserve)(struct massrt_device *d, uint64_t bytes);              /* the arena; contents and words of one before are gone */
  /* The word by which kernels and copies know bytes of the arena (or, weights, of those) from offset on. Valid until reserve or unbind. */
  int (*bind)(struct massrt_device *d, bool weights, uint64_t offset, uint64_t bytes, union massrt_word *out);
  void (*unbind)(struct massrt_device *d);         /* all words are forgotten; NULL: nothing to do */
  void *(*host_alloc)(struct massrt_device *d, uint64_t bytes);         /* memory that the device copies fast; aligned to MASSRT_ALIGN; NULL: none */
  void (*host_free)(struct massrt_device *d, void *p);
  int (*to_device)(struct massrt_device *d, union massrt_word to, const void *from, uint64_t bytes);
  int (*to_host)(struct massrt_device *d, void *to, union massrt_word from, uint64_t bytes);
  int (*inside)(struct massrt_device *d, union massrt_word to, union massrt_word from, uint64_t bytes);
  /* blocks >= 1. elapsed_ns, when not NULL, waits and gets the time on the device. */
  int (*launch)(struct massrt_device *d, uint32_t kernel, const union massrt_word *args, int64_t blocks, int64_t *elapsed_ns);
  int (*sync)(struct massrt_device *d);
  /* What is queued between record and recorded is not done but kept, to be queued again by replay. NULL: not for this kind of device. */
  int (*record)(struct massrt_device *d);
  int (*recorded)(struct massrt_device *d, bool keep, void **out);
  int (*replay)(struct massrt_device *d, void *graph, int64_t *elapsed_ns);    /* elapsed_ns: as of launch */
  void (*forget)(struct massrt_device *d, void *graph);
};
extern const struct massrt_device_ops massrt_cuda, massrt_opencl;
const struct massrt_device_ops *massrt_device_find(uint32_t kind);      /* of massrt_kind; NULL: no device */
/* What `open` of a backend is. Its device has `bytes`, of which the driver's functions are a table of pointers at `functions`, in the order of names (one string,
 * words between spaces; `?` before a word: may be absent, then NULL). start: opens the device; what it leaves is closed by ops->close when it fails. */
struct massrt_backend {
  const struct massrt_device_ops *ops;
  const char *const *libraries, *names;            /* libraries: the first that can be loaded; ends with NULL */
  size_t bytes, functions;
  int (*start)(struct massrt_device *d, const char *select);
};
int massrt_device_open(const struct massrt_backend *b, const char *select, struct massrt_device **out, char *why, size_t n);
int massrt_device_result(struct massrt_exec *x, int rc);       /* rc; where it is a failure, x's error is the device's (exec.c) */
#endif
