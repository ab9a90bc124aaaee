/* arith.h: short names for the arithmetic that formulas of operators are made of; operands broadcast (onnx_2). */
#ifndef MASSC_ONNX_ARITH_H
#define MASSC_ONNX_ARITH_H
#include "compiler/onnx/rows.h"

static inline struct ir_value *add(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_add, x, y); }
static inline struct ir_value *sub(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_sub, x, y); }
static inline struct ir_value *mul(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_mul, x, y); }
static inline struct ir_value *divide(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_div, x, y); }
static inline struct ir_value *max(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_max, x, y); }
static inline struct ir_value *min(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return onnx_2(c, IR_OP_min, x, y); }
#endif
