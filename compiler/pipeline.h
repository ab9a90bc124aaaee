/* From options to output: the road as one page. */
#ifndef MASSC_PIPELINE_H
#define MASSC_PIPELINE_H
#include "compiler/options.h"
int compile(struct ir_arena *a, struct options *o);        /* exit status */
struct cg_target;
struct ir_target target_of(const struct cg_target *t);     /* as passes see it */
/* What a kernel of a device became. */
struct device_code { struct massrt_device_kernel device; struct massrt_image images[2]; struct ir_buf text[2]; };
/* Compiles the kernels of p that are a device's, on o's threads; kernels: p's table with them. ptx: 80 for PTX as well, which later devices run; 0: none.
 * False: a diagnostic. */
bool device_compile(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned ptx, struct massrt_kernel **kernels, struct device_code **out);
void device_free(struct device_code *c, uint32_t n);
/* The file of a kernel for a GPU (--emit cuda, opencl). */
void emit_c(struct ir_arena *a, const struct pass_program *p, uint32_t kernel, struct ir_buf *out);
/* The C header of a library form: names, types, ranks and static dims of inputs and outputs, and the functions. */
void header_print(struct ir_buf *b, const struct massrt_program *p, const char *prefix);
/* Text of `massc check`. */
void check_print(struct ir_buf *b, const struct pass_program *p, const char *model, bool json);
void json_string(struct ir_buf *b, const char *s, size_t n);   /* quoted and escaped */
#endif
