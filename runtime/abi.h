/* abi.h: what emitted programs and the runtime promise each other (docs/abi.md). Depends on nothing but stdint; compiled into massc (which fills the tables),
 * into the runtime (which reads them) and checked by tests/abi_sample.c, a program written by hand.
 *
 * An emitted object defines one hidden `const struct massrt_program` (massrt_program; NAME_massrt_program in the library form) and the functions that it points
 * to. Everything is position independent, read-only, and describes the model completely, so that tools can read an executable without running it. */
#ifndef MASSRT_ABI_H
#define MASSRT_ABI_H
#include <stdint.h>

#define MASSRT_ABI_VERSION 10u
#define MASSRT_MAGIC 0x4353414du /* "MASC" */
#define MASSRT_ALIGN 64          /* bytes; every buffer and weight starts at a multiple */
#define MASSRT_NO_EXPR UINT32_MAX

/* Sizes: value[i] of the expression table, computed in order from the symbols by `prepare`. Arithmetic is checked; an overflow is an error. */
enum massrt_expr_op { MASSRT_X_CONST /* k */, MASSRT_X_SYM /* symbol k */, MASSRT_X_ADD, MASSRT_X_MUL, MASSRT_X_DIV /* floor */, MASSRT_X_MIN, MASSRT_X_MAX,
                      MASSRT_X_BCAST, MASSRT_X_GE0, MASSRT_X_EQ0 };
struct massrt_expr { uint32_t op, a, b, late /* number of the bind after which it is known; 0: from the inputs */; int64_t k; };

/* A symbol is bound by the first input whose dim it is; or, axis being MASSRT_SYM_VALUE + j, by element j of an input (rank 0 or 1), held within lo..hi. */
#define MASSRT_SYM_VALUE 0x80000000u
#define MASSRT_SYM_LATE 0x40000000u  /* the axis of a symbol that bind number `input` (from 1) reads while the program runs, held within lo..hi */
struct massrt_sym { const char *name; int64_t lo, hi, by; uint32_t input, axis; };
struct massrt_require { uint32_t expr, eq; const char *why; };             /* value >= 0, or == 0 */

struct massrt_io {                                                          /* an input or output of the model; dense row-major */
  const char *name;
  uint32_t elem;                                                            /* enum of runtime/core/elem.def */
  uint32_t rank;
  const uint32_t *dims;                                                     /* expressions */
  const char *const *dim_names;                                             /* printed for dims that are not constant: "batch", "2*n + 1" */
  uint32_t buffer, pad;                                                     /* of an output with late dims: 1 + the buffer that it lies in; 0: the caller's memory */
};

struct massrt_buffer { uint32_t bytes /* expression */, first, last /* places in the order of sub-graphs that use it */, place; int64_t offset; /* static plan; -1: planned per shape */ };

enum massrt_arg_kind { MASSRT_A_BUFFER /* arena + offset of buffer `index` */, MASSRT_A_WEIGHT /* weights + offset */, MASSRT_A_INPUT, MASSRT_A_OUTPUT, MASSRT_A_EXPR /* value `index` */,
                       MASSRT_A_DEVICE_WEIGHT /* the device's copy of weights, + offset */ };
struct massrt_arg { uint32_t kind, index; uint64_t offset; };

union massrt_word { void *p; int64_t i; };
/* Tasks t0 <= t < t1 of a kernel. scratch: the kernel's scratch_bytes, aligned to 64, this thread's own. */
typedef void massrt_kernel_fn(const union massrt_word *args, int64_t t0, int64_t t1, void *scratch);

/* Code for a device. A cubin runs on its own major version from its minor on, `exact` (sm_90a) on no other; PTX on its version and all later ones; OpenCL C is
 * built when it is first needed. */
enum massrt_image_form { MASSRT_I_CUBIN, MASSRT_I_PTX, MASSRT_I_OPENCL };
struct massrt_image { uint32_t form, arch /* 80 */; const void *data; uint64_t bytes; };
/* A kernel for a device: its arguments are pointers, then sizes of 4 or 8 bytes; a task of a launch is one block of lanes * warps threads. */
struct massrt_device_kernel {
  const char *entry;
  uint32_t lanes, warps, n_pointers, n_sizes, n_images;
  uint32_t overlaps;                                                        /* it waits itself for the kernel before it (griddepcontrol.wait), and may start early */
  uint64_t dynamic_bytes;                                                   /* shared memory to ask for */
  uint32_t gops, gbytes;                                                    /* typical rates of the whole device, of the units that it uses: what its time is predicted by */
  const uint8_t *size_bytes;
  const struct massrt_image *images;
};
struct massrt_kernel {
  const char *name;                                                         /* symbol of the function, from content */
  uint64_t scratch_bytes;
  const struct massrt_device_kernel *device;                                /* NULL: a function of the processor */
};
struct massrt_launch {                                                      /* one use of a kernel */
  uint32_t kernel, first_arg, n_args, tasks /* expression */;
  uint32_t work, bytes;                                                     /* expressions: operations; bytes read and written at least once */
  uint32_t products;                                                        /* expression: multiplications that a contraction does, by Winograd's transform fewer than its work says; 0: it is none */
  uint32_t computes, moves, pad;                                            /* expressions: ns that the compiler expects: of one core that computes, and of reading weights; 0: nothing is known */
  const char *nodes;                                                        /* "Conv_7, Add_8": ONNX nodes it came from */
  const char *group;                                                        /* sub-graph */
};
enum massrt_step_kind {
  MASSRT_S_LAUNCH,                                                          /* a: launch */
  MASSRT_S_COPY,                                                            /* a, b: args from, to; c: bytes expression */
  MASSRT_S_LOOP,                                                            /* a: three args: condition (bool), count, counter (i64); b: the step that ends it */
  MASSRT_S_NEXT,                                                            /* a: the step that began the loop */
  MASSRT_S_BIND,                                                            /* a: arg of i64 values; b: first symbol; c: how many */
  MASSRT_S_CALL,                                                            /* a: function (runtime/core/host.def); b: first arg; c: tasks expression */
  MASSRT_S_STACK,                                                           /* a: two args: from, to at the counter's place; b: arg of the counter; c: bytes expression */
};
struct massrt_step {
  uint32_t kind, a, b, c;
  uint32_t bytes, pad;                                                      /* expression: bytes read and written at least once; MASSRT_NO_EXPR: the launch says, or none */
  const char *nodes;                                                        /* as a launch's */
};

/* Where buffers lie and kernels run. Place 0 is the processor; there is at most one other. */
enum massrt_kind { MASSRT_K_CPU, MASSRT_K_CUDA, MASSRT_K_OPENCL };
struct massrt_place { const char *name /* "cpu", "cuda:0" */; uint32_t kind, align /* bytes; of buffers and weights */; int64_t arena_bytes; /* static plan's total; -1: planned per shape */ };

/* One compiled version. The first that the processor, or the device of its kind, can run is used. */
struct massrt_program;
struct massrt_version {
  const char *target;                                                       /* "cpu:x86-64-v4", "cuda:sm_90a" */
  uint32_t level;                                                           /* x86-64 level: 1 .. 4; CUDA: 80, 90 */
  uint32_t kind;                                                            /* of massrt_kind */
  uint32_t exact, ptx;                                                      /* CUDA: level and no other; oldest device that its PTX runs on, 0: it has none */
  massrt_kernel_fn *const *fn;                                              /* one per kernel; NULL where it is a device's */
  const struct massrt_program *program;                                     /* a version with tables of its own (other tiles, other packed weights): then fn is NULL,
                                                                               and that program's first version is meant. NULL: the tables of this program */
};

struct massrt_exec;                                                         /* an instance: the runtime's own */
struct massrt_program {
  uint32_t magic, abi, bytes /* sizeof */, pad;
  const char *name, *producer /* "massc 0.1" */, *flags, *hash;
  uint32_t n_exprs, n_syms, n_requires, n_inputs, n_outputs, n_buffers, n_args, n_kernels, n_launches, n_steps, n_versions, n_groups, n_places, n_binds;
  const struct massrt_expr *exprs; const struct massrt_sym *syms; const struct massrt_require *requires_;
  const struct massrt_io *inputs, *outputs;
  const struct massrt_buffer *buffers; const struct massrt_arg *args; const struct massrt_kernel *kernels;
  const struct massrt_launch *launches; const struct massrt_step *steps; const struct massrt_version *versions; const struct massrt_place *places;
  int64_t arena_bytes;                                                      /* of place 0: static plan's total; -1: planned per shape */
  int64_t live_bytes;                                                       /* of all places: largest sum of live buffers at one step, static plan; else -1 */
  const uint8_t *weights; uint64_t weights_bytes, transformed_bytes;         /* transformed: what weights stored transformed take more than as they are in the model */
  int (*run)(struct massrt_exec *x);                                        /* the host program: the steps as native code; 0, or the first error returned */
};

/* What emitted code calls: does step number `step`, which is of the kind that the name says. Returns 0 or an error of enum massrt_status. */
int massrt_launch(struct massrt_exec *x, uint32_t step);
int massrt_copy(struct massrt_exec *x, uint32_t step);
int massrt_stack(struct massrt_exec *x, uint32_t step);
/* Reads symbols; what follows from them - sizes, requirements, memory - is known afterwards. */
int massrt_bind(struct massrt_exec *x, uint32_t step);
int massrt_call(struct massrt_exec *x, uint32_t step);
/* A loop (step: where it begins): begin once, then its body as long as again returns 1. The counter's memory is all the state. */
int massrt_loop_begin(struct massrt_exec *x, uint32_t step);
int massrt_loop_again(struct massrt_exec *x, uint32_t step);

_Static_assert(sizeof(struct massrt_expr) == 24, "abi");
_Static_assert(sizeof(struct massrt_sym) == 40, "abi");
_Static_assert(sizeof(struct massrt_require) == 16, "abi");
_Static_assert(sizeof(struct massrt_io) == 40, "abi");
_Static_assert(sizeof(struct massrt_buffer) == 24, "abi");
_Static_assert(sizeof(struct massrt_arg) == 16, "abi");
_Static_assert(sizeof(struct massrt_kernel) == 24, "abi");
_Static_assert(sizeof(struct massrt_launch) == 56, "abi");
_Static_assert(sizeof(struct massrt_step) == 32, "abi");
_Static_assert(sizeof(struct massrt_version) == 40, "abi");
_Static_assert(sizeof(struct massrt_image) == 24, "abi");
_Static_assert(sizeof(struct massrt_device_kernel) == 64, "abi");
_Static_assert(sizeof(struct massrt_place) == 24, "abi");
_Static_assert(sizeof(struct massrt_program) == 248, "abi");
#endif
