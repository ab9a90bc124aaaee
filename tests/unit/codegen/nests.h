/* Contractions as nests, in the storage forms that layouts make: shared by the tests of codegen. */
#ifndef MASSC_TEST_NESTS_H
#define MASSC_TEST_NESTS_H
#include "ir/kernel/kir.h"

enum storage { ROWS, BLOCKED /* channels in blocks of 16 */, HALO /* blocked, with a halo of zeros */, ROWS_HALO };
struct conv_case {
  int n, c, h, w, o, kh, kw, stride, pad, dil, groups;
  enum storage x, y;
  bool residual, relu, bias, batch /* the batch is a symbol */;
};
struct gemm_case {
  int b, m, n, k;
  bool sym /* m is a symbol */, t /* w stored [n,k] */, constant /* w is a constant */, bias, residual, relu;
};
/* Arguments: x, w, [bias], [residual], y. */
struct kir_nest *conv_nest(struct ir_arena *a, const struct conv_case *c);
struct kir_nest *gemm_nest(struct ir_arena *a, const struct gemm_case *c);
#endif
