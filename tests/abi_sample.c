/* A program written by hand as the compiler emits them, for the runtime's and the linker's tests: with a symbolic batch n (1 to 64),
 *   h = relu(w * x + b), y = h + bias[0]      x, h, y f32[n,4]; w, b f32[4]; bias one f32 at the end of the weights
 *   z = n * 4 as i64[1]: an argument of kind EXPR; m f32[2*n] is a second input that only takes part in y's first element: y[0] += m[2*n - 1]
 * in two launches (relu: one task a row, uses scratch; add: one task) and a copy.
 *
 * SAMPLE_WEIGHTS: bytes of weights; they are outside, in `massrt_weights`, when it is defined. SAMPLE_PREFIX: exports PREFIX_create and so on, as -c does.
 * SAMPLE_LEVEL: x86-64 level that the only version claims to need. SAMPLE_SCALE: factor of h, so that two samples differ.
 * SAMPLE_X, SAMPLE_M: other names of the inputs. */
#include "runtime/abi.h"
#include "runtime/massrt.h"
#include <string.h>

#ifndef SAMPLE_LEVEL
#define SAMPLE_LEVEL 1
#endif
#ifndef SAMPLE_SCALE
#define SAMPLE_SCALE 1.0f
#endif
#ifndef SAMPLE_X
#define SAMPLE_X "x"
#define SAMPLE_M "m"
#endif
#ifdef SAMPLE_WEIGHTS
extern const uint8_t massrt_weights[] __attribute__((visibility("hidden")));
#define BIAS_AT (SAMPLE_WEIGHTS - 4)
#define WEIGHTS_BYTES SAMPLE_WEIGHTS
#else
static const float massrt_weights[32] __attribute__((aligned(4096))) = { 1, -2, 3, 0.5f, [16] = 0.25f, 0.5f, -1, 4, [31] = 10 };
#define BIAS_AT 124
#define WEIGHTS_BYTES sizeof massrt_weights
#endif

static void relu(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  const float *x = a[0].p, *w = a[1].p, *b = a[2].p;
  float *h = a[3].p, *row = scratch;
  for (int64_t t = t0; t < t1; t++) {
    for (int i = 0; i < 4; i++) row[i] = w[i] * x[4 * t + i] + b[i];
    for (int i = 0; i < 4; i++) h[4 * t + i] = row[i] > 0 ? SAMPLE_SCALE * row[i] : 0;
  }
}
static void add(const union massrt_word *a, int64_t t0, int64_t t1, void *scratch)
{
  const float *h = a[0].p, *bias = a[1].p, *m = a[2].p;
  float *y = a[3].p;
  int64_t n = a[4].i;
  (void)scratch;
  if (t0 == t1) return;
  for (int64_t i = 0; i < 4 * n; i++) y[i] = h[i] + *bias;
  y[0] += m[2 * n - 1];
  *(int64_t *)a[5].p = 4 * n;
}

enum { X_4, X_N, X_4N, X_1, X_2, X_2N, X_16N, X_BYTES_Z };
static const struct massrt_expr exprs[] = {
  { MASSRT_X_CONST, 0, 0, 0, 4 },      { MASSRT_X_SYM, 0, 0, 0, 0 },     { MASSRT_X_MUL, X_4, X_N, 0, 0 },    { MASSRT_X_CONST, 0, 0, 0, 1 },
  { MASSRT_X_CONST, 0, 0, 0, 2 },      { MASSRT_X_MUL, X_2, X_N, 0, 0 }, { MASSRT_X_MUL, X_4, X_4N, 0, 0 },   { MASSRT_X_CONST, 0, 0, 0, 8 },
  { MASSRT_X_CONST, 0, 0, 0, -13 },    { MASSRT_X_ADD, 1, 8, 0, 0 },     { MASSRT_X_EQ0, 9, 0, 0, 0 },        { MASSRT_X_CONST, 0, 0, 0, 0 },
};
static const struct massrt_sym syms[] = { { "n", 1, 64, 1, 0, 0 } };
static const struct massrt_require requires_[] = { { 10, 1, "n must not be 13" } };
static const uint32_t x_dims[] = { X_N, X_4 }, m_dims[] = { X_2N }, z_dims[] = { X_1 };
static const char *const x_names[] = { "n", 0 }, *const m_names[] = { "2*n" };
static const struct massrt_io inputs[] = { { SAMPLE_X, MASSRT_F32, 2, x_dims, x_names }, { SAMPLE_M, MASSRT_F32, 1, m_dims, m_names } };
static const struct massrt_io outputs[] = { { "y", MASSRT_F32, 2, x_dims, x_names }, { "z", MASSRT_I64, 1, z_dims, 0 } };
static const struct massrt_buffer buffers[] = { { X_16N, 0, 1, 0, -1 }, { X_BYTES_Z, 1, 2, 0, -1 } };
static const struct massrt_arg args[] = {
  { MASSRT_A_INPUT, 0, 0 },  { MASSRT_A_WEIGHT, 0, 0 },       { MASSRT_A_WEIGHT, 0, 64 }, { MASSRT_A_BUFFER, 0, 0 },                       /* relu */
  { MASSRT_A_BUFFER, 0, 0 }, { MASSRT_A_WEIGHT, 0, BIAS_AT }, { MASSRT_A_INPUT, 1, 0 },   { MASSRT_A_OUTPUT, 0, 0 }, { MASSRT_A_EXPR, X_N, 0 },
  { MASSRT_A_BUFFER, 1, 0 },                                                                                                               /* add */
  { MASSRT_A_OUTPUT, 1, 0 },                                                                                                               /* copy */
};
static const struct massrt_kernel kernels[] = { { "relu_4", 16, 0 }, { "add_4", 0, 0 } };
static const struct massrt_launch launches[] = {
  { 0, 0, 4, X_N, MASSRT_NO_EXPR, MASSRT_NO_EXPR, MASSRT_NO_EXPR, MASSRT_NO_EXPR, MASSRT_NO_EXPR, 0, "Mul_0, Add_1, Relu_2", "g0" },
  { 1, 4, 6, X_1, X_4N, X_16N, X_4N, X_4N, X_1, 0, "Add_3, Shape_4", "g1" },
};
static const struct massrt_step steps[] = {
  { MASSRT_S_LAUNCH, 0, 0, 0, MASSRT_NO_EXPR, 0, "Mul_0, Add_1, Relu_2" },
  { MASSRT_S_LAUNCH, 1, 0, 0, MASSRT_NO_EXPR, 0, "Add_3, Shape_4" },
  { MASSRT_S_COPY, 9, 10, X_BYTES_Z, X_BYTES_Z, 0, "Shape_4" },
};
static massrt_kernel_fn *const fns[] = { relu, add };
static const struct massrt_version versions[] = { { "cpu:x86-64-sample", SAMPLE_LEVEL, MASSRT_K_CPU, 0, 0, fns } };
static const struct massrt_place places[] = { { "cpu", MASSRT_K_CPU, MASSRT_ALIGN, -1 } };

static int run(struct massrt_exec *x)
{
  int rc = massrt_launch(x, 0);
  if (!rc) rc = massrt_launch(x, 1);
  if (!rc) rc = massrt_copy(x, 2);
  return rc;
}
#define COUNT(a) sizeof a / sizeof *a
__attribute__((visibility("hidden"))) const struct massrt_program massrt_program = {
  MASSRT_MAGIC, MASSRT_ABI_VERSION, sizeof massrt_program, 0, "sample", "hand 1", "-O2", "0123456789abcdef",
  COUNT(exprs), COUNT(syms), COUNT(requires_), COUNT(inputs), COUNT(outputs), COUNT(buffers), COUNT(args), COUNT(kernels), COUNT(launches), COUNT(steps),
  COUNT(versions), 2, COUNT(places), 0, exprs, syms, requires_, inputs, outputs, buffers, args, kernels, launches, steps, versions, places, -1, -1, (const uint8_t *)massrt_weights,
  WEIGHTS_BYTES, 0, run
};

#ifdef SAMPLE_PREFIX
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define EXPORT(name) PASTE(SAMPLE_PREFIX, name)
int EXPORT(_create)(const struct massrt_config *c, struct massrt_exec **out) { return massrt_create(&massrt_program, c, out); }
int EXPORT(_run)(struct massrt_exec *x, const struct massrt_tensor *in, struct massrt_tensor *out) { return massrt_run(x, in, out); }
void EXPORT(_destroy)(struct massrt_exec *x) { massrt_destroy(x); }
const char *EXPORT(_error)(const struct massrt_exec *x) { return massrt_error(x); }
#endif
