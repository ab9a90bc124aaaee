/* Runs flat kerns as machine code inside of a test: cg_llvm, `ld -shared`, dlopen. Same interface as kir_run, so that a skeleton's test can hold kir_nest_eval,
 * kir_run and this against each other.
 *
 * Every buffer lies between pages that cannot be touched, flush to the upper one but for the alignment of 64; what is stored behind its end within that gap is
 * found afterwards. The tasks are run in two ranges. Processor and target must fit: native_runs. */
#ifndef MASSC_TESTS_RUN_NATIVE_H
#define MASSC_TESTS_RUN_NATIVE_H
#include "codegen/codegen.h"

/* Sizes by the names of their symbols: env.sym with env.arg = struct native_binds. */
struct native_binds { const struct kir_bind *s; unsigned n; };
int64_t native_lookup(void *binds, const struct ir_sym *s, bool *known);
bool native_runs(const struct cg_target *t);              /* this machine has the target's level */

struct native;                                            /* a loaded kern */
struct native *native_load(const struct kir_kern *k, const struct cg_target *t, const char **why);       /* NULL: *why, in the kern's arena */
massrt_kernel_fn *native_fn(const struct native *n);
void native_unload(struct native *n);
/* Number of moves of vector registers to and from the stack in the object: spills. */
int native_spills(const struct kir_kern *k, const struct cg_target *t, const char **why);

/* bufs: one per argument, rank 1, laid out as the argument's `at` says; `out` ones are written. False with *why. */
bool run_native(const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *bufs, const char **why);
/* Element i of a tensor as bytes, and back. */
void native_put(enum ir_elem e, const struct ir_tensor *t, int64_t i, void *p);
void native_get(enum ir_elem e, struct ir_tensor *t, int64_t i, const void *p);
#endif
