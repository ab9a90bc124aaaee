/* massrt.h: the runtime inside of every emitted program, the door of this folder, and what callers of a library form see.
 *
 * Owns: instances of a model, the thread pool, tensor files, the command line of executables (main.c).
 * Needs: abi.h, libc, libm, threads.  Never: includes the compiler's headers, prints or exits unasked (main.c alone does), allocates while a model runs whose
 *        shapes are prepared, but for values whose size it computes from data.
 * Plain C, usable from C++. One run at a time per instance; instances of one model share its weights. All functions return a massrt_status; the text of the
 * last error belongs to the instance. */
#ifndef MASSRT_H
#define MASSRT_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#ifndef MASSRT_TYPES
#define MASSRT_TYPES
enum massrt_status { MASSRT_OK = 0, MASSRT_E_INPUT = 1 /* an input does not fit */, MASSRT_E_USAGE = 2, MASSRT_E_DEVICE = 69 /* processor or device lacks something */,
                     MASSRT_E_MEMORY = 71, MASSRT_E_FILE = 74 };
enum massrt_elem {
  MASSRT_BOOL, MASSRT_I8, MASSRT_I16, MASSRT_I32, MASSRT_I64, MASSRT_U8, MASSRT_U16, MASSRT_U32, MASSRT_U64, MASSRT_F16, MASSRT_BF16, MASSRT_F32, MASSRT_F64
};
enum { MASSRT_MAX_RANK = 16 };
struct massrt_tensor {              /* dense, row-major, little-endian; the caller's memory, aligned to its element */
  void *data;
  uint64_t bytes;                   /* capacity of data */
  uint32_t elem, rank;
  int64_t dim[MASSRT_MAX_RANK];
};
struct massrt_config {              /* zeroed: defaults */
  uint32_t size;                    /* sizeof(struct massrt_config) */
  int threads;                      /* 0: all usable cores */
  void *(*alloc)(void *arg, size_t bytes, size_t align);   /* NULL: the system's */
  void (*free)(void *arg, void *p, size_t bytes);
  void *arg;
  const char *device;               /* NULL: the first of the kind compiled for */
};
struct massrt_signature { const char *name; uint32_t elem, rank; int64_t dim[MASSRT_MAX_RANK]; /* -1: dynamic */ const char *dim_name[MASSRT_MAX_RANK]; };
#endif

struct massrt_program;
struct massrt_exec;
/* Checks the program's version and the processor. *out NULL on an error whose text massrt_error(NULL) gives (per thread). */
int massrt_create(const struct massrt_program *p, const struct massrt_config *c, struct massrt_exec **out);
void massrt_destroy(struct massrt_exec *x);
const char *massrt_error(const struct massrt_exec *x);
uint32_t massrt_n_inputs(const struct massrt_exec *x);
uint32_t massrt_n_outputs(const struct massrt_exec *x);
int massrt_input_signature(const struct massrt_exec *x, uint32_t i, struct massrt_signature *out);
int massrt_output_signature(const struct massrt_exec *x, uint32_t i, struct massrt_signature *out);
/* Makes the instance ready for inputs of these shapes: symbols, requirements, memory plan, argument blocks. Called by run when the
 * shapes differ from the last ones. Data is looked at for inputs whose values state sizes (a shape, axes) only. Output types and shapes are written to outputs (data untouched) when outputs is not NULL. */
int massrt_prepare(struct massrt_exec *x, const struct massrt_tensor *inputs, struct massrt_tensor *outputs);
/* Outputs: data and bytes are the caller's; type and shape come back. Where a dim depends on the data (-1 after prepare) data may be NULL: massrt_output tells where the
 * result lies until the next run; NULL for other outputs. */
int massrt_run(struct massrt_exec *x, const struct massrt_tensor *inputs, struct massrt_tensor *outputs);
const void *massrt_output(const struct massrt_exec *x, uint32_t i, uint64_t *out_bytes);
#ifdef __cplusplus
}
#endif
#endif
