/* ONNX models out of random numbers. */
#ifndef MASSC_FUZZ_MAKE_ONNX_H
#define MASSC_FUZZ_MAKE_ONNX_H
#include "tests/fuzz/fuzz.h"
/* A model of a few nodes, most of them as operators.def says; functions, subgraphs, initialisers of every kind. Often valid, never surely. */
void make_model(struct fuzz *f, struct ir_buf *out);
#endif
