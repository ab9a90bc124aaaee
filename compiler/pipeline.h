/* From options to output: the road as one page. */
#ifndef MASSC_PIPELINE_H
#define MASSC_PIPELINE_H
#include "compiler/options.h"
int compile(struct ir_arena *a, struct options *o);        /* exit status */
/* The file of a kernel for a GPU (--emit cuda, opencl). */
void emit_c(struct ir_arena *a, const struct pass_program *p, uint32_t kernel, struct ir_buf *out);
/* The C header of a library form: names, types, ranks and static dims of inputs and outputs, and the functions. */
void header_print(struct ir_buf *b, const struct massrt_program *p, const char *prefix);
/* Text of `massc check`. */
void check_print(struct ir_buf *b, const struct pass_program *p, const char *model, bool json);
void json_string(struct ir_buf *b, const char *s, size_t n);   /* quoted and escaped */
#endif
