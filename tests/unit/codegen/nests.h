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
/* Operands of a type narrower than f32, summed in f32: A [M,K], B [N,K], b [N], C [M,N] = max(A*B' + b, 0). by: N and K are symbols and multiples of it; 0: they are n and k. */
struct kir_nest *narrow_gemm_nest(struct ir_arena *a, enum ir_elem e, int by, int n, int k);
/* The same in f32, B [N,K], sizes n and k, M a symbol. */
struct kir_nest *rows_gemm_nest(struct ir_arena *a, int n, int k);
/* 3x3, padding 1, NHWC: X [1,c,h,w], W [o,c,3,3], all of such a type, relu. */
struct kir_nest *narrow_conv_nest(struct ir_arena *a, enum ir_elem e, int c, int h, int w, int o);
#endif
