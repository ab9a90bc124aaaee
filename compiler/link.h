/* Linking and output files: objects and weights -> executable, relocatable object or shared library.
 *
 * Weights never pass through the linker: ld links a placeholder in .lrodata, alone in the last segment, then the weights are appended to the file and the
 * segment's and section's headers are pointed at them. The output is written to a temporary file beside it and renamed at the end. */
#ifndef MASSC_LINK_H
#define MASSC_LINK_H
#include "ir/base/base.h"
enum link_kind { LINK_EXE, LINK_OBJECT, LINK_SHARED };
struct link_blob { const void *p; size_t n; const char *name; };       /* a relocatable object in memory */
struct link_job {
  enum link_kind kind;
  const char *out;                                    /* path */
  const struct link_blob *objects; unsigned n_objects; /* kernels, host program; the runtime's own objects are added here */
  const char *weights_symbol; uint64_t weights_bytes; /* the symbol is hidden and page-aligned; 0 bytes is legal */
  bool (*write_weights)(void *arg, int fd, int64_t offset);   /* writes weights_bytes at offset with pwrite; false: a diagnostic was made */
  void *arg;
  const char *prefix;                                 /* OBJECT, SHARED: only symbols PREFIX_* stay global */
  bool verbose;                                       /* print the commands */
};
/* Exit through diagnostics: M0002 (with errno's text), M0402 (ld, objcopy or libc6-dev absent). Nothing is left at `out` on failure (an old file stays). */
bool link_output(struct ir_diags *d, const struct link_job *j);
/* Writes bytes to a file whole or not at all ("-": standard output). */
bool link_write_file(struct ir_diags *d, const char *path, const void *p, size_t n, unsigned mode);
#endif
