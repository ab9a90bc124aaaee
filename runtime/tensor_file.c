/* Bytes of tensor files: descriptors, memory, raw files. */
#include "runtime/tensor_bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 64 << 20 };

int massrt_fail(struct massrt_err *e, int status, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(e->s, e->n, fmt, ap);
  va_end(ap);
  return status;
}
int massrt_fail_errno(struct massrt_err *e, const char *what) { return massrt_fail(e, MASSRT_E_FILE, "%s: %s", what, strerror(errno)); }

int massrt_open_in(const char *path) { return strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO); }
int64_t massrt_read_full(int fd, void *p, uint64_t n)
{
  uint64_t got = 0;
  while (got < n) {
    ssize_t r = read(fd, (char *)p + got, n - got);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return -1;
    if (!r) break;
    got += (uint64_t)r;
  }
  return (int64_t)got;
}
bool massrt_write_full(int fd, const void *p, uint64_t n)
{
  for (uint64_t done = 0; done < n;) {
    ssize_t r = write(fd, (const char *)p + done, n - done < (1 << 30) ? n - done : 1 << 30);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return false;
    done += (uint64_t)r;
  }
  return true;
}
void *massrt_data_memory(uint64_t bytes) { return bytes > INT64_MAX - 64 ? NULL : aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64); }
int massrt_read_data(int fd, uint64_t bytes, void **out, struct massrt_err *e)
{
  struct stat st;
  off_t at = lseek(fd, 0, SEEK_CUR);
  bool sized = at >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode);
  if (sized && (uint64_t)(st.st_size - at) < bytes)
    return massrt_fail(e, MASSRT_E_FILE, "truncated: its header promises %llu bytes of data, %llu are there", (unsigned long long)bytes, (unsigned long long)(st.st_size - at));
  uint64_t cap = sized || bytes < READ_STEP ? bytes : READ_STEP, got = 0;
  uint8_t *p = massrt_data_memory(cap);
  for (;;) {
    if (!p) return massrt_fail(e, MASSRT_E_MEMORY, "no memory for %llu bytes", (unsigned long long)cap);
    int64_t r = massrt_read_full(fd, p + got, cap - got);
    if (r < 0) { free(p); return massrt_fail_errno(e, "cannot be read"); }
    got += (uint64_t)r;
    if (got == bytes) break;
    if (got < cap) {
      free(p);
      return massrt_fail(e, MASSRT_E_FILE, "truncated: its header promises %llu bytes of data, %llu are there", (unsigned long long)bytes, (unsigned long long)got);
    }
    uint64_t more = cap > bytes / 2 ? bytes : cap * 2;
    uint8_t *q = massrt_data_memory(more);
    if (q) memcpy(q, p, got);
    free(p);
    p = q;
    cap = more;
  }
  *out = p;
  return 0;
}

int massrt_read_rest(int fd, uint8_t **out, uint64_t *out_bytes, struct massrt_err *e)
{
  struct stat st;
  off_t at = lseek(fd, 0, SEEK_CUR);
  uint64_t cap = at >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > at ? (uint64_t)(st.st_size - at) + 1 : 1 << 16, got = 0;
  for (uint8_t *p = malloc(cap);;) {
    if (!p) return massrt_fail(e, MASSRT_E_MEMORY, "no memory for %llu bytes", (unsigned long long)cap);
    int64_t r = massrt_read_full(fd, p + got, cap - got);
    if (r < 0) { free(p); return massrt_fail_errno(e, "cannot be read"); }
    got += (uint64_t)r;
    *out = p;
    *out_bytes = got;
    if (got < cap) return 0;
    p = realloc(p, cap *= 2);
    if (!p) free(*out);
  }
}

/* ---- writing ---- */
int massrt_out_begin(struct massrt_out_file *f, const char *path, struct massrt_err *e)
{
  struct stat st;
  bool out = !strcmp(path, "-");
  *f = (struct massrt_out_file){ .path = path, .fd = out ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) };
  if (f->fd < 0) return massrt_fail_errno(e, "cannot be written");
  f->regular = !out && !fstat(f->fd, &st) && S_ISREG(st.st_mode);
  return 0;
}
void massrt_out_put(struct massrt_out_file *f, const void *p, uint64_t n)
{
  if (!f->failed && !massrt_write_full(f->fd, p, n)) f->failed = true;           /* errno stays: nothing is called before massrt_out_end */
}
int massrt_out_end(struct massrt_out_file *f, struct massrt_err *e)
{
  int rc = f->failed ? massrt_fail_errno(e, "cannot be written") : 0;
  if (close(f->fd) && !rc) rc = massrt_fail_errno(e, "cannot be written");
  if (rc && f->regular) unlink(f->path);
  return rc;
}

/* ---- raw ---- */
int massrt_raw_read(const char *path, struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  uint8_t more;
  int fd = massrt_open_in(path);
  if (fd < 0) return massrt_fail_errno(&e, "cannot be opened");
  int64_t got = massrt_read_full(fd, t->data, t->bytes);
  int64_t rest = got == (int64_t)t->bytes ? massrt_read_full(fd, &more, 1) : 0;
  struct stat st;
  bool sized = !fstat(fd, &st) && S_ISREG(st.st_mode);
  close(fd);
  if (got < 0 || rest < 0) return massrt_fail_errno(&e, "cannot be read");
  if (got == (int64_t)t->bytes && !rest) return 0;
  if (sized) return massrt_fail(&e, MASSRT_E_INPUT, "has %lld bytes, expected %llu", (long long)st.st_size, (unsigned long long)t->bytes);
  return massrt_fail(&e, MASSRT_E_INPUT, "has %s than the expected %llu bytes", rest ? "more" : "fewer", (unsigned long long)t->bytes);
}

int massrt_raw_write(const char *path, const struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  struct massrt_out_file f;
  int rc = massrt_out_begin(&f, path, &e);
  if (rc) return rc;
  massrt_out_put(&f, t->data, t->bytes);
  return massrt_out_end(&f, &e);
}

/* ---- by ending ---- */
enum massrt_format massrt_format_of(const char *path)
{
  static const struct { const char *end; enum massrt_format f; } ends[] = { { ".npy", MASSRT_NPY }, { ".npz", MASSRT_NPZ }, { ".pb", MASSRT_PB }, { ".raw", MASSRT_RAW } };
  size_t n = strlen(path);
  if (!strcmp(path, "-")) return MASSRT_NPY;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (n >= strlen(ends[i].end) && !strcmp(path + n - strlen(ends[i].end), ends[i].end)) return ends[i].f;
  return MASSRT_NO_FORMAT;
}
