/* runtime/core/expr: values of a program's size expressions (abi.h) for one binding of its symbols. */
#ifndef MASSRT_EXPR_H
#define MASSRT_EXPR_H
#include "runtime/abi.h"

/* values[i] of each expression i whose `late` is just that; operands have smaller numbers, and no larger `late`. syms: one value per symbol.
 * Returns 0; else -1 and *out_bad, the number of the first expression that has no value: arithmetic overflows, a divisor is below 1, the dims of a broadcast
 * differ and neither is 1, or the row is no expression (an operand that is not before it, a symbol that does not exist). */
int massrt_eval_exprs(const struct massrt_expr *x, uint32_t n, uint32_t late, const int64_t *syms, uint32_t n_syms, int64_t *values, uint32_t *out_bad);
#endif
