/* tensor_bytes.h: what the formats of tensor files share: reasons as text, reading and writing of descriptors, memory for data. */
#ifndef MASSRT_TENSOR_BYTES_H
#define MASSRT_TENSOR_BYTES_H
#include "runtime/tensor_file.h"

struct massrt_err { char *s; size_t n; };                                        /* the reason of a failure, to be filled in */
int massrt_fail(struct massrt_err *e, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));      /* returns status */
int massrt_fail_errno(struct massrt_err *e, const char *what);                   /* MASSRT_E_FILE, "what: text of errno" */

int massrt_open_in(const char *path);                                            /* "-": standard input; -1 with errno */
int64_t massrt_read_full(int fd, void *p, uint64_t n);                           /* until n bytes or the end; -1 on an error */
bool massrt_write_full(int fd, const void *p, uint64_t n);
void *massrt_data_memory(uint64_t bytes);                                        /* aligned to 64, to be freed; NULL: none */
/* Reads `bytes` bytes that a header promises. Where the file's size is not known (pipes), memory grows with what arrives. */
int massrt_read_data(int fd, uint64_t bytes, void **out, struct massrt_err *e);
/* Reads all that is left of a file or pipe. */
int massrt_read_rest(int fd, uint8_t **out, uint64_t *out_bytes, struct massrt_err *e);

/* A file being written: "-" is standard output. massrt_out_end returns 0 or MASSRT_E_FILE; a regular file that is not whole is removed. */
struct massrt_out_file { const char *path; int fd; bool regular, failed; };
int massrt_out_begin(struct massrt_out_file *f, const char *path, struct massrt_err *e);
void massrt_out_put(struct massrt_out_file *f, const void *p, uint64_t n);
int massrt_out_end(struct massrt_out_file *f, struct massrt_err *e);

/* ---- tensor_npy.c ---- */
enum { MASSRT_NPY_HEADER = 768 };                                                /* 16 dims of 20 characters, and the rest */
size_t massrt_npy_header(char *s, const struct massrt_tensor *t);                /* s: MASSRT_NPY_HEADER bytes; its length */
int massrt_npy_read_fd(int fd, uint32_t expected, struct massrt_tensor *t, struct massrt_err *e);
#endif
