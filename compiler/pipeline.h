/* From options to output: the road as one page. */
#ifndef MASSC_PIPELINE_H
#define MASSC_PIPELINE_H
#include "codegen/codegen.h"
#include "compiler/options.h"
int compile(struct ir_arena *a, struct options *o);        /* exit status */
struct ir_target target_of(const struct cg_target *t);     /* as passes see it */

/* ---- kernels of devices as files ---- */
struct kernel_text { const char *file, *text; uint32_t kernel; unsigned versions; struct cg_launch launch; };   /* kernel: of the last version that has its bit in versions */
struct kernel_texts { struct kernel_text *v; uint32_t n, cap; };
/* The distinct texts of the device's kernels of n versions (the newest architecture first), without heads, and what --emit calls their files. */
struct kernel_texts kernel_texts(struct ir_arena *a, const struct pass_program *p, unsigned n);
const struct kernel_text *kernel_text_of(const struct kernel_texts *all, const struct pass_program *p, unsigned version, uint32_t kernel);   /* NULL: not the device's */
void kernel_print(struct ir_arena *a, const struct pass_program *p, unsigned n, const struct kernel_text *t, struct ir_buf *out);           /* with its head */
struct kernel_file { const char *name, *path, *text; bool used, waits; };                  /* waits: for earlier kernels, as a generated one does */
struct kernel_files { IR_VEC(struct kernel_file) v; const struct kernel_file ***of; };     /* of[version][kernel]: NULL where there is no file */
/* --use-kernels: reads the files of a folder for n versions. False: diagnostics (M0406): a file that no kernel asks for, or whose entry is not the kernel's. */
bool kernel_files_read(struct ir_arena *a, struct ir_diags *d, const char *dir, struct pass_program *p, unsigned n, struct kernel_files *out);

/* What a kernel of a device became. */
struct device_code { struct massrt_device_kernel device; struct massrt_image images[2]; struct ir_buf text[2]; struct cg_usage usage; /* CUDA */ uint64_t shared_bytes; };
/* Compiles the kernels of p that are a device's, on o's threads; kernels: p's table with them. ptx: 80 for PTX as well, which later devices run; 0: none.
 * edited: of each kernel, its file of --use-kernels or NULL; NULL: none. False: a diagnostic; but massc check goes on without NVRTC, and only the facts of
 * launches are known then. */
bool device_compile(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned ptx, const struct kernel_file *const *edited, struct massrt_kernel **kernels, struct device_code **out);
void device_free(struct device_code *c, uint32_t n);
/* The C header of a library form: names, types, ranks and static dims of inputs and outputs, and the functions. */
void header_print(struct ir_buf *b, const struct massrt_program *p, const char *prefix);
/* Text of `massc check` of n versions. code: of each its kernels as compiled, or NULL for the processor's. */
void check_print(struct ir_buf *b, const struct pass_program *p, unsigned n, struct device_code *const *code, const char *model, bool json);
void json_string(struct ir_buf *b, const char *s, size_t n);   /* quoted and escaped */
#endif
