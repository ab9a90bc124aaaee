/* Runs flat kerns as OpenCL C on the first device of the OpenCL loader (PoCL in CI), opened with dlopen, and compiles them as CUDA C with NVRTC; for the tests of
 * codegen/c*.c. Contexts are opened in the process that uses them: Check forks. */
#ifndef MASSC_TESTS_RUN_OPENCL_H
#define MASSC_TESTS_RUN_OPENCL_H
#include "codegen/codegen.h"

bool opencl_here(void);                                   /* there is a loader and a device */
/* As run_native. Outputs are filled with 0xff before; what is stored behind a buffer's end is found. */
bool run_opencl(const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *bufs, const char **why);
struct cg_nvrtc *nvrtc_of_tests(void);                    /* $MASSC_NVRTC, or as massc finds it; NULL: there is none */
/* The kern as CUDA C, a cubin for each of the architectures sm_80 and sm_90a. */
bool compile_cuda(const struct kir_kern *k, const struct cg_target *t, const char **why);
#endif
