/* tensor_file.h: tensors in files: NumPy's .npy (versions 1 to 3) and .npz (stored or deflated entries), ONNX's TensorProto (.pb) and raw bytes. Data land in memory aligned
 * to 64 bytes. A file's header is not trusted: it is parsed with bounds, sizes are computed with overflow checks, and memory is taken only for bytes that are
 * there (or, compressed, may be).
 * Functions return 0, MASSRT_E_FILE (cannot be read or written, another format, damaged), MASSRT_E_INPUT (something that massc does not have: a type, a
 * sequence, encryption) or MASSRT_E_MEMORY; err then holds the reason without the file's name. */
#ifndef MASSRT_TENSOR_FILE_H
#define MASSRT_TENSOR_FILE_H
#include "runtime/internal.h"

enum massrt_format { MASSRT_NO_FORMAT, MASSRT_NPY, MASSRT_NPZ, MASSRT_PB, MASSRT_RAW };
enum massrt_format massrt_format_of(const char *path);                           /* by its ending; "-" is npy */

/* Reads an npy file; "-" is standard input. Big-endian data are swapped, Fortran order is transposed. elem: the type that the reader expects; it tells bf16 and
 * f16 from each other where the file says only "2 bytes" (V2), and is not checked otherwise. t->data is to be freed. */
int massrt_npy_read(const char *path, uint32_t elem, struct massrt_tensor *t, char *err, size_t err_n);
/* Exactly t->bytes bytes into t->data, which the caller provides; the file must have this size. */
int massrt_raw_read(const char *path, struct massrt_tensor *t, char *err, size_t err_n);
/* A serialised TensorProto, its values raw or in a typed field. t->data is to be freed. */
int massrt_pb_read(const char *path, struct massrt_tensor *t, char *err, size_t err_n);

/* "-" is standard output. A regular file that could not be written whole is removed. */
int massrt_npy_write(const char *path, const struct massrt_tensor *t, char *err, size_t err_n);
int massrt_raw_write(const char *path, const struct massrt_tensor *t, char *err, size_t err_n);
int massrt_pb_write(const char *path, const char *name, const struct massrt_tensor *t, char *err, size_t err_n);

/* ---- npz: a zip archive of NAME.npy ---- */
struct massrt_npz_entry { char *name; uint64_t at, bytes, packed_bytes; unsigned method; };        /* name without .npy; at: of the local header */
struct massrt_npz { int fd; struct massrt_npz_entry *entry; uint32_t n; };
int massrt_npz_open(const char *path, struct massrt_npz *z, char *err, size_t err_n);
void massrt_npz_close(struct massrt_npz *z);                                     /* of a zeroed or a failed one: nothing */
const struct massrt_npz_entry *massrt_npz_find(const struct massrt_npz *z, const char *name);      /* NULL: none */
int massrt_npz_read(const struct massrt_npz *z, const struct massrt_npz_entry *x, uint32_t elem, struct massrt_tensor *t, char *err, size_t err_n);
/* n tensors, stored, dated 1980-01-01. MASSRT_E_INPUT: an archive of 4 GiB or more. */
int massrt_npz_write(const char *path, uint32_t n, const char *const *name, const struct massrt_tensor *t, char *err, size_t err_n);
#endif
