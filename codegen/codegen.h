/* codegen: from nests to machine code, the door of this folder.
 *
 * Owns: targets (facts), schedules (one generator per skeleton), skeletons (codegen/library: nest + schedule -> tiled kern), expansion (tiled -> flat),
 *       the LLVM walk, the host program.
 * Needs: ir/kernel, LLVM's C API, runtime/abi.h.  Never: names a graph op (a test looks), reads a model. */
#ifndef MASSC_CODEGEN_H
#define MASSC_CODEGEN_H
#include "ir/kernel/kir.h"
#include "runtime/abi.h"

/* ---- targets: rows of targets.def ---- */
struct cg_target {
  const char *name;                    /* "cpu:x86-64-v4" */
  const char *cpu, *tune;              /* LLVM's target-cpu and tune-cpu */
  unsigned level;                      /* x86-64 level, abi.h */
  unsigned vec_lanes;                  /* f32 lanes of a vector register */
  unsigned n_vregs;
  bool fma;
  int64_t l1_bytes, l2_bytes;          /* per core */
  unsigned cores;                      /* tasks are made for at least 4 times as many */
  unsigned warps, lanes;               /* GPU forms: lanes 32 */
};
const struct cg_target *cg_target_find(const char *name, size_t n);   /* "cpu" is this machine's level; named processors map to their level. NULL: unknown */
const struct cg_target *cg_target_at(unsigned i);                     /* NULL behind the last */
/* What the target's facts allow: float32 operations of a core in 1e9 per second, bandwidth of memory in 1e9 bytes per second. For predictions, not schedules. */
void cg_target_rates(const struct cg_target *t, double *out_gops, double *out_gbytes);

/* ---- schedules and skeletons ---- */
/* The record for a nest: level 0 always "naive". Never fails: naive takes any nest. */
struct kir_sched *cg_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, int level);
/* Tiled code. May choose storage (`at`, domain) of arguments whose space is KIR_CONST: weights are packed as the schedule says; the caller reads it back from
 * the kern's arguments. NULL with *why when the record does not fit the nest. */
struct kir_kern *cg_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why);
void cg_expand(struct kir_kern *k, const struct cg_target *t);        /* tiled -> flat, in place */

/* one file per skeleton; rows of library/skeletons.def */
struct cg_skeleton {
  const char *name;
  struct kir_sched *(*schedule)(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t);   /* NULL: not for this nest */
  struct kir_kern *(*lower)(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why);
};

/* ---- LLVM ---- */
enum cg_form { CG_OBJECT, CG_LLVM_TEXT, CG_ASM };
/* Compiles flat kerns into one relocatable object (or text). Each becomes a function `name` of type massrt_kernel_fn: args[0..n_args) pointers, then the syms.
 * Thread-safe: an own LLVM context per call. False: LLVM refused (our bug); *why in the arena. */
bool cg_llvm(struct ir_arena *a, struct kir_kern *const *k, unsigned n, const struct cg_target *t, enum cg_form form, struct ir_buf *out, const char **why);

/* ---- host program: the tables of abi.h and the step list as native code ---- */
struct cg_host {                       /* filled by passes/steps: abi.h's program with compiler-side pointers */
  struct massrt_program p;             /* counts and tables; fn, run and weights are set by codegen */
  const struct cg_target *const *targets; unsigned n_targets;      /* one version each; kernel symbols are NAME or, for several, NAME.v<level> */
  struct cg_other { const struct cg_target *target; const char *symbol; } *others;   /* versions with a program of their own, in another object */
  unsigned n_others;
  const char *symbol;                  /* of the program; NULL: massrt_program, or PREFIX_massrt_program. One of `others` of another object has its own */
  const char *prefix;                  /* of exported symbols: PREFIX_create .. ; "" only the program symbol */
  const char *weights_symbol;          /* "massrt_weights", section .lrodata */
};
void cg_host_print(struct ir_buf *b, const struct cg_host *h);        /* the step list as text */
bool cg_host_emit(struct ir_arena *a, const struct cg_host *h, enum cg_form form, struct ir_buf *out, const char **why);
#endif
