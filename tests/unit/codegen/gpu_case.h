/* Writes a kernel with inputs and expected results into a folder, for tests/gpu/run.py, which runs them on a GPU where nothing of this project is built. */
#ifndef MASSC_TESTS_GPU_CASE_H
#define MASSC_TESTS_GPU_CASE_H
#include "codegen/codegen.h"

/* raw: one tensor per argument, laid out as its `at` says; of outputs the expected values. tolerance: of a difference, relative to the largest value. NAME.json, NAME.cu, NAME.ARCH.cubin, NAME.bin. */
bool gpu_case_write(const char *dir, const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *raw, double tolerance,
                    const char **why);
#endif
