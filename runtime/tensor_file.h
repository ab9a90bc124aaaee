/* tensor_file.h: tensors in files: NumPy's .npy (versions 1 to 3) and raw bytes. Data land in memory aligned to 64 bytes.
 * A file's header is not trusted: it is parsed with bounds, sizes are computed with overflow checks, and memory is taken only for bytes that are there. */
#ifndef MASSRT_TENSOR_FILE_H
#define MASSRT_TENSOR_FILE_H
#include "runtime/internal.h"

/* Reads an npy file; "-" is standard input. Big-endian data are swapped, Fortran order is transposed. elem: the type that the reader expects; it tells bf16 and
 * f16 from each other where the file says only "2 bytes" (V2), and is not checked otherwise. t->data is to be freed.
 * Returns 0, MASSRT_E_FILE (cannot be read, not npy, damaged), MASSRT_E_INPUT (a type that massc does not have) or MASSRT_E_MEMORY; err then holds the reason
 * without the file's name. */
int massrt_npy_read(const char *path, uint32_t elem, struct massrt_tensor *t, char *err, size_t err_n);
/* Exactly t->bytes bytes into t->data, which the caller provides; the file must have this size. */
int massrt_raw_read(const char *path, struct massrt_tensor *t, char *err, size_t err_n);
/* "-" is standard output. A regular file that could not be written whole is removed. */
int massrt_npy_write(const char *path, const struct massrt_tensor *t, char *err, size_t err_n);
int massrt_raw_write(const char *path, const struct massrt_tensor *t, char *err, size_t err_n);
#endif
