/* codegen: from nests to machine code, the door of this folder.
 *
 * Owns: targets (facts), schedules (one generator per skeleton), skeletons (codegen/library: nest + schedule -> tiled kern), expansion (tiled -> flat),
 *       the LLVM walk, the host program.
 * Needs: ir/kernel, LLVM's C API, runtime/abi.h.  Never: names a graph op (a test looks), reads a model. */
#ifndef MASSC_CODEGEN_H
#define MASSC_CODEGEN_H
#include "ir/kernel/kir.h"
#include "runtime/abi.h"

/* ---- targets: descriptions in machines/, rows of targets.def ---- */
enum cg_kind { CG_CPU, CG_CUDA, CG_OPENCL };
struct cg_target {
  const char *name;                    /* "cpu:x86-64-v4", "cuda:sm_80", "opencl" */
  enum cg_kind kind;
  const char *arch;                    /* CUDA: "sm_80" */
  const char *cpu, *tune;              /* LLVM's target-cpu and tune-cpu */
  unsigned level;                      /* x86-64 level, abi.h; of CUDA 80, 90 */
  unsigned vec_lanes;                  /* f32 lanes of a vector register */
  unsigned n_vregs;
  bool fma;
  unsigned fma_ports;                  /* vector multiply-adds in a cycle; processors, as the facts that follow (machines/) */
  unsigned accumulators;               /* sums side by side that hide how long a multiply-add takes */
  int64_t l1_bytes, l2_bytes;          /* per core */
  double clock_ghz;
  double weights_cycle, l3_cycle, scratch_cycle;   /* bytes in a cycle: weights from memory while all cores compute; from the third cache for one that reads in order; written and read back beyond the second */
  unsigned cores;                      /* tasks are made for at least 4 times as many */
  unsigned warps, lanes;               /* of a block, GPU forms: lanes 32 */
  int64_t shared_bytes;                /* a block's, at most; GPUs */
  unsigned core_threads, core_blocks;  /* what a multiprocessor holds at once, CUDA */
  int64_t core_shared_bytes;
  double gops, matrix_gops, gbytes;    /* rates of a core or multiprocessor, of its matrix units, of memory; for predictions */
};
const struct cg_target *cg_target_find(const char *name, size_t n);   /* "cpu" is this machine's level; named processors map to their level; "cuda" is sm_80. NULL: unknown */
const struct cg_target *cg_target_at(unsigned i);                     /* NULL behind the last */
bool cg_target_exact(const struct cg_target *t);                      /* CUDA: its code runs on that version and no other (sm_90a) */
/* What the target's facts allow: operations of a core in 1e9 per second, bandwidth of memory in 1e9 bytes per second. inst: a schedule's instruction (NULL: of the
 * ordinary units); matrix units have a rate of their own. For predictions, not schedules. */
void cg_target_rates(const struct cg_target *t, const char *inst, double *out_gops, double *out_gbytes);

/* ---- schedules and skeletons ---- */
/* The record for a nest: level 0 always "naive". Never fails: naive takes any nest. */
struct kir_sched *cg_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, int level);
/* Tiled code. May choose storage (`at`, domain) of arguments whose space is KIR_CONST: weights are packed as the schedule says; the caller reads it back from
 * the kern's arguments. NULL with *why when the record does not fit the nest. */
struct kir_kern *cg_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why);
void cg_expand(struct kir_kern *k, const struct cg_target *t);        /* tiled -> flat, in place */

/* Records that take less time than cg_schedule's, but store more for constants: whoever sees all kernels chooses. In the order of their bytes. Their number. */
enum { CG_MAX_CHOICES = 4 };
struct cg_choice { struct kir_sched *s; double gain /* cycles of all cores, to be compared with others of this target */; int64_t bytes /* more */; };
unsigned cg_choices(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice out[CG_MAX_CHOICES]);

/* Records that a tuning file may give a nest: cg_schedule's first, those of cg_choices, other algorithms, tiles and splits. All are exact enough; each stands once, with
 * no gain. Their number; 0: there is nothing to choose. */
enum { CG_MAX_ALTERNATIVES = 32 };
unsigned cg_alternatives(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice out[CG_MAX_ALTERNATIVES]);

/* What the cost model expects of a kernel on a processor, in a nanosecond: of one core, multiplications of sums of products, other operations, bytes that lie in caches; of all
 * cores, bytes of weights, of which the record stores so many times as many. */
struct cg_expected { double products, ops, near, weights, growth; };
struct cg_expected cg_expect(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t);

/* one file per skeleton; rows of library/skeletons.def */
struct cg_skeleton {
  const char *name;
  struct kir_sched *(*schedule)(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t);   /* NULL: not for this nest */
  struct kir_kern *(*lower)(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why);
  bool plain;                          /* also at level 0 */
  unsigned (*choices)(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice *out);   /* its records are chosen by cg_choices alone; NULL: by cg_schedule */
  unsigned (*alternatives)(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice *out, unsigned room);   /* more records, may be NULL */
  double (*share)(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t);   /* of a core's multiply-adds that a record should reach; NULL: all */
};

/* ---- LLVM ---- */
enum cg_form { CG_OBJECT, CG_LLVM_TEXT, CG_ASM };
/* Compiles flat kerns into one relocatable object (or text). Each becomes a function `name` of type massrt_kernel_fn: args[0..n_args) pointers, then the syms.
 * Thread-safe: an own LLVM context per call. False: LLVM refused (our bug); *why in the arena. */
bool cg_llvm(struct ir_arena *a, struct kir_kern *const *k, unsigned n, const struct cg_target *t, enum cg_form form, struct ir_buf *out, const char **why);

/* ---- CUDA C and OpenCL C (docs/codegen-c.md) ----
 * One self-contained file: head as a comment (lines separated by newlines; may be NULL), prelude, the kernel. False with *why: an op that the target lacks (our
 * bug: schedules are filtered). */
enum { CG_MAX_SIZES = 32 };
struct cg_launch {                     /* how the kernel is called: pointers of the kern's arguments in their order, then sizes */
  const char *name;                    /* the entry */
  const struct ir_ix *blocks;          /* grid, one dimension, in the kern's dims; 0: nothing to do, no launch. At most 2^31 - 1 */
  unsigned lanes, warps;               /* block: x, y */
  uint64_t dynamic_bytes, shared_bytes;/* shared memory to ask for at launch (0: it is in the kernel); all of it */
  bool waits;                          /* it waits for earlier kernels itself, and may be launched before they have ended (sm_90 and later) */
  unsigned n_pointers, n_sizes;        /* pointers: global memory, aligned to 16 bytes */
  const struct ir_ix *size[CG_MAX_SIZES];       /* dims, passed by value in size_bytes: 4 (int) or 8 */
  unsigned char size_bytes[CG_MAX_SIZES];
};
bool cg_c(struct ir_arena *a, const struct kir_kern *k, const struct cg_target *t, const char *head, struct ir_buf *out, struct cg_launch *launch, const char **why);
const char *cg_c_ending(const struct cg_target *t);                  /* "cu", "cl" */

/* NVRTC: --nvrtc FILE, else $CUDA_HOME, $CUDA_PATH, the loader's path, /usr/local/cuda, then PyPI's wheels nvidia-cuda-nvrtc and nvidia-cuda-nvrtc-cu12 in the
 * virtual environment, the user's and the system's Python packages. NULL with *why, which says how to get it. Never unloaded. Thread-safe once open. */
struct cg_nvrtc;
struct cg_nvrtc *cg_nvrtc_open(struct ir_arena *a, const char *file, const char **why);
const char *cg_nvrtc_name(struct ir_arena *a, const struct cg_nvrtc *n);       /* "NVRTC 13.0, /usr/.." */
struct cg_cuda_job {
  const char *source, *name;
  const char *arch;                    /* "sm_80": a cubin; "compute_80": PTX */
  const char *const *options; unsigned n_options;                    /* more of them, "--ptxas-options=-v" */
};
bool cg_nvrtc_compile(struct ir_arena *a, const struct cg_nvrtc *n, const struct cg_cuda_job *j, struct ir_buf *out, struct ir_buf *log /* may be NULL */, const char **why);

/* What a CUDA kernel takes of a multiprocessor. */
struct cg_usage { unsigned registers; /* of a thread */ uint64_t shared_bytes /* static */, stack_bytes, spill_bytes; /* of a thread; stores and loads */ };
bool cg_usage_read(const char *log, struct cg_usage *out);           /* NVRTC's log with --ptxas-options=-v; false: it says nothing of registers */
/* How many blocks of so many threads, with dynamic_bytes of shared memory more, a multiprocessor holds at once; 0: it cannot be launched. */
unsigned cg_blocks_per_core(const struct cg_target *t, const struct cg_usage *u, unsigned threads, uint64_t dynamic_bytes);

/* ---- host program: the tables of abi.h and the step list as native code ---- */
struct cg_host {                       /* filled by passes/steps: abi.h's program with compiler-side pointers */
  struct massrt_program p;             /* counts and tables; fn, run and weights are set by codegen */
  const struct cg_target *const *targets; unsigned n_targets;      /* one version each; kernel symbols are NAME or, for several, NAME.v<level> */
  struct cg_other { const struct cg_target *target; const char *symbol; unsigned ptx; } *others;   /* versions with a program of their own, in another object */
  unsigned n_others;
  const char *symbol;                  /* of the program; NULL: massrt_program, or PREFIX_massrt_program. One of `others` of another object has its own */
  unsigned ptx;                        /* oldest CUDA device that the kernels' PTX runs on; 0: there is none */
  const char *prefix;                  /* of exported symbols: PREFIX_create .. ; "" only the program symbol */
  const char *weights_symbol;          /* "massrt_weights", section .lrodata */
  uint64_t hash_at;                    /* p.hash being NULL: where the text lies behind the weights */
};
void cg_host_print(struct ir_buf *b, const struct cg_host *h);        /* the step list as text */
bool cg_host_emit(struct ir_arena *a, const struct cg_host *h, enum cg_form form, struct ir_buf *out, const char **why);
#endif
