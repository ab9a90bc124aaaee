/* The rows' functions, one declaration each, from the table itself. */
#ifndef MASSC_ONNX_ROWS_H
#define MASSC_ONNX_ROWS_H
#include "compiler/onnx/import.h"
enum onnx_reduction { ONNX_SUM, ONNX_PROD, ONNX_MAX, ONNX_MIN, ONNX_MEAN, ONNX_L1, ONNX_L2, ONNX_SUM_SQUARE, ONNX_LOG_SUM, ONNX_LOG_SUM_EXP };
#define ROW(domain, op, since, until, fn, arg) bool fn(struct onnx_ctx *c);
#include "compiler/onnx/rows.def"
#undef ROW
struct ir_value *onnx_matmul(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y);
#endif
