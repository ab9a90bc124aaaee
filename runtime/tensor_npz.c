/* The npz format: a zip archive whose members NAME.npy are npy files. Read through the central directory at the file's end (the local headers that numpy.savez
 * writes leave the sizes to it), with the 64-bit records of large archives; members are stored or deflated; ours are stored. Source: PKWARE's APPNOTE.TXT, 4.3. */
#include "runtime/inflate.h"
#include "runtime/tensor_bytes.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { END = 22, LOCATOR = 20, END64 = 56, CENTRAL = 46, LOCAL = 30, COMMENT_MAX = 65535, DIRECTORY_MAX = 64 << 20, ZIP64 = 1, STORED = 0, DEFLATED = 8 };
#define SIG_LOCAL 0x04034b50u
#define SIG_CENTRAL 0x02014b50u
#define SIG_END 0x06054b50u
#define SIG_END64 0x06064b50u
#define SIG_LOCATOR 0x07064b50u

static uint32_t u16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const uint8_t *p) { return u16(p) | u16(p + 2) << 16; }
static uint64_t u64(const uint8_t *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }
static bool read_at(int fd, uint64_t at, void *p, uint64_t n)
{
  return at <= INT64_MAX && lseek(fd, (off_t)at, SEEK_SET) >= 0 && massrt_read_full(fd, p, n) == (int64_t)n;
}
static int damaged(struct massrt_err *e) { return massrt_fail(e, MASSRT_E_FILE, "not an npz file, or damaged"); }

/* ---- the central directory ---- */
struct directory { uint64_t n, at, bytes; };
static int find_directory(int fd, uint64_t size, struct directory *d, struct massrt_err *e)
{
  uint8_t b[END64];
  uint64_t tail = size < END + COMMENT_MAX ? size : END + COMMENT_MAX, k = tail;
  uint8_t *s = malloc(tail + 1);
  if (!s) return massrt_fail(e, MASSRT_E_MEMORY, "no memory");
  bool found = false;
  if (tail >= END && read_at(fd, size - tail, s, tail))
    for (k = tail - END; !(found = u32(s + k) == SIG_END) && k; k--) {}
  if (found) *d = (struct directory){ u16(s + k + 10), u32(s + k + 16), u32(s + k + 12) };
  free(s);
  if (!found) return damaged(e);
  uint64_t end = size - tail + k;
  if ((d->n == 0xffff || d->at == UINT32_MAX || d->bytes == UINT32_MAX) && end >= LOCATOR && read_at(fd, end - LOCATOR, b, LOCATOR) && u32(b) == SIG_LOCATOR) {
    if (!read_at(fd, u64(b + 8), b, END64) || u32(b) != SIG_END64) return damaged(e);
    *d = (struct directory){ u64(b + 32), u64(b + 48), u64(b + 40) };
  }
  if (d->bytes > DIRECTORY_MAX || d->bytes > size || d->at > size - d->bytes || d->n > d->bytes / CENTRAL) return damaged(e);
  return 0;
}
/* The 64-bit values of an extra field stand for those that are all ones, in this order. */
static bool wide(const uint8_t *p, const uint8_t *end, uint64_t *const *v, unsigned n)
{
  unsigned need = 0;
  for (unsigned i = 0; i < n; i++) need += *v[i] == UINT32_MAX;
  for (; need && end - p >= 4; p += 4 + u16(p + 2)) {
    const uint8_t *x = p + 4, *stop = x + u16(p + 2);
    if (stop > end) return false;
    for (unsigned i = 0; u16(p) == ZIP64 && i < n; i++) {
      if (*v[i] != UINT32_MAX) continue;
      if (stop - x < 8) return false;
      *v[i] = u64(x);
      x += 8;
      need--;
    }
  }
  return !need;
}
static bool strip_npy(char *name, uint32_t n)
{
  if (n < 4 || memcmp(name + n - 4, ".npy", 4) || memchr(name, 0, n)) return false;
  name[n - 4] = 0;
  return true;
}
static int read_directory(const uint8_t *p, const uint8_t *end, struct massrt_npz *z, uint64_t n, struct massrt_err *e)
{
  for (uint64_t i = 0; i < n; i++) {
    if (end - p < CENTRAL || u32(p) != SIG_CENTRAL) return damaged(e);
    uint32_t name_n = u16(p + 28), extra = u16(p + 30), rest = u16(p + 32);
    if ((uint64_t)(end - p) < (uint64_t)CENTRAL + name_n + extra + rest) return damaged(e);
    struct massrt_npz_entry x = { .at = u32(p + 42), .bytes = u32(p + 24), .packed_bytes = u32(p + 20), .method = u16(p + 10) };
    if (!wide(p + CENTRAL + name_n, p + CENTRAL + name_n + extra, (uint64_t *[]){ &x.bytes, &x.packed_bytes, &x.at }, 3)) return damaged(e);
    x.name = calloc(name_n + 1, 1);
    if (!x.name) return massrt_fail(e, MASSRT_E_MEMORY, "no memory");
    memcpy(x.name, p + CENTRAL, name_n);
    if (u16(p + 8) & 1) x.method = UINT16_MAX;                                     /* encrypted */
    if (strip_npy(x.name, name_n)) z->entry[z->n++] = x;
    else free(x.name);
    p += CENTRAL + name_n + extra + rest;
  }
  return 0;
}
static int open_archive(struct massrt_npz *z, struct massrt_err *e)
{
  struct stat st;
  struct directory d = { 0 };
  if (fstat(z->fd, &st)) return massrt_fail_errno(e, "cannot be read");
  if (!S_ISREG(st.st_mode)) return massrt_fail(e, MASSRT_E_FILE, "not a regular file; an npz file is read from its end");
  int rc = find_directory(z->fd, (uint64_t)st.st_size, &d, e);
  if (rc) return rc;
  uint8_t *s = malloc(d.bytes + 1);
  z->entry = calloc(d.n + 1, sizeof *z->entry);
  rc = !s || !z->entry ? massrt_fail(e, MASSRT_E_MEMORY, "no memory") : read_at(z->fd, d.at, s, d.bytes) ? read_directory(s, s + d.bytes, z, d.n, e) : damaged(e);
  free(s);
  return rc;
}
int massrt_npz_open(const char *path, struct massrt_npz *z, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  *z = (struct massrt_npz){ .fd = massrt_open_in(path) };
  if (z->fd < 0) { *z = (struct massrt_npz){ 0 }; return massrt_fail_errno(&e, "cannot be opened"); }
  int rc = open_archive(z, &e);
  if (!rc) return 0;
  if (!z->entry) z->entry = calloc(1, sizeof *z->entry);                           /* what tells an open one */
  massrt_npz_close(z);
  return rc;
}
void massrt_npz_close(struct massrt_npz *z)
{
  if (z->entry) close(z->fd);
  for (uint32_t i = 0; i < z->n; i++) free(z->entry[i].name);
  free(z->entry);
  *z = (struct massrt_npz){ 0 };
}
const struct massrt_npz_entry *massrt_npz_find(const struct massrt_npz *z, const char *name)
{
  for (uint32_t i = 0; i < z->n; i++)
    if (!strcmp(z->entry[i].name, name)) return &z->entry[i];
  return NULL;
}
/* A memory file with the bytes of a deflated member. */
static int inflate_member(const struct massrt_npz *z, const struct massrt_npz_entry *x, uint64_t at, int *out_fd, struct massrt_err *e)
{
  struct stat st;
  if (fstat(z->fd, &st) || at > (uint64_t)st.st_size || x->packed_bytes > (uint64_t)st.st_size - at || x->bytes / MASSRT_INFLATE_MAX_RATIO > x->packed_bytes) return damaged(e);
  uint8_t *packed = malloc(x->packed_bytes + 1), *out = MAP_FAILED;
  int fd = packed ? memfd_create("npz", MFD_CLOEXEC) : -1;
  if (fd >= 0 && !ftruncate(fd, (off_t)x->bytes)) out = mmap(NULL, x->bytes + !x->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  bool ok = out != MAP_FAILED && read_at(z->fd, at, packed, x->packed_bytes) && massrt_inflate(packed, x->packed_bytes, out, x->bytes);
  int rc = out == MAP_FAILED ? massrt_fail(e, MASSRT_E_MEMORY, "no memory") : ok ? 0 : massrt_fail(e, MASSRT_E_FILE, "damaged: \"%s\" cannot be decompressed", x->name);
  if (out != MAP_FAILED) munmap(out, x->bytes + !x->bytes);
  free(packed);
  if (rc && fd >= 0) close(fd);
  *out_fd = fd;
  return rc;
}
int massrt_npz_read(const struct massrt_npz *z, const struct massrt_npz_entry *x, uint32_t elem, struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  uint8_t h[LOCAL];
  bool packed = x->method == DEFLATED;
  if (!packed && x->method != STORED) return massrt_fail(&e, MASSRT_E_INPUT, "\"%s\" is encrypted or compressed in a way that numpy does not write; stored and deflated members can be read", x->name);
  if (x->at > INT64_MAX || !read_at(z->fd, x->at, h, LOCAL) || u32(h) != SIG_LOCAL || (!packed && x->bytes != x->packed_bytes)) return damaged(&e);
  uint64_t at = x->at + LOCAL + u16(h + 26) + u16(h + 28);
  int fd = z->fd, rc = packed ? inflate_member(z, x, at, &fd, &e) : 0;
  if (rc) return rc;
  if (packed) at = 0;
  rc = at > INT64_MAX || lseek(fd, (off_t)at, SEEK_SET) < 0 ? damaged(&e) : massrt_npy_read_fd(fd, elem, t, &e);
  bool fits = !rc && (uint64_t)lseek(fd, 0, SEEK_CUR) - at == x->bytes;
  if (packed) close(fd);
  if (rc || fits) return rc;
  free(t->data);
  return massrt_fail(&e, MASSRT_E_FILE, "damaged: \"%s\" does not have the size of its data", x->name);
}

/* ---- writing ---- */
static void put16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static void put32(uint8_t *p, uint32_t v) { put16(p, v); put16(p + 2, v >> 16); }
/* CRC-32 as zip has it: polynomial 0xedb88320, reflected, both ends inverted. */
static uint32_t crc32(uint32_t crc, const uint8_t *p, uint64_t n)
{
  uint32_t table[256];
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int k = 0; k < 8; k++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
  }
  for (crc = ~crc; n; n--) crc = crc >> 8 ^ table[(crc ^ *p++) & 255];
  return ~crc;
}
struct member { const char *name; char head[MASSRT_NPY_HEADER]; uint32_t head_n, crc, bytes, at; };
/* What the local and the central header have in common: version 2.0, flags (UTF-8 names), stored, 1980-01-01, CRC, sizes, length of the name. */
static void common(uint8_t *p, const struct member *m)
{
  put16(p, 20);
  put16(p + 2, 0x800);
  put16(p + 8, 0x21);
  put32(p + 10, m->crc);
  put32(p + 14, m->bytes);
  put32(p + 18, m->bytes);
  put16(p + 22, (uint32_t)strlen(m->name) + 4);
}
static void put_name(struct massrt_out_file *f, const struct member *m)
{
  massrt_out_put(f, m->name, strlen(m->name));
  massrt_out_put(f, ".npy", 4);
}
static void put_member(struct massrt_out_file *f, const struct member *m, const struct massrt_tensor *t)
{
  uint8_t h[LOCAL] = { 0 };
  put32(h, SIG_LOCAL);
  common(h + 4, m);
  massrt_out_put(f, h, LOCAL);
  put_name(f, m);
  massrt_out_put(f, m->head, m->head_n);
  massrt_out_put(f, t->data, t->bytes);
}
static void put_directory(struct massrt_out_file *f, const struct member *m, uint32_t n, uint32_t at)
{
  uint8_t end[END] = { 0 };
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint8_t h[CENTRAL] = { 0 };
    put32(h, SIG_CENTRAL);
    put16(h + 4, 20);
    common(h + 6, &m[i]);
    put32(h + 42, m[i].at);
    massrt_out_put(f, h, CENTRAL);
    put_name(f, &m[i]);
    bytes += CENTRAL + (uint32_t)strlen(m[i].name) + 4;
  }
  put32(end, SIG_END);
  put16(end + 8, n);
  put16(end + 10, n);
  put32(end + 12, bytes);
  put32(end + 16, at);
  massrt_out_put(f, end, END);
}
int massrt_npz_write(const char *path, uint32_t n, const char *const *name, const struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  struct massrt_out_file f;
  struct member *m = calloc((size_t)n + 1, sizeof *m);
  uint64_t at = 0, directory = 0;
  if (!m) return massrt_fail(&e, MASSRT_E_MEMORY, "no memory");
  for (uint32_t i = 0; i < n && at + directory < UINT32_MAX; i++) {
    m[i].name = name[i];
    m[i].head_n = (uint32_t)massrt_npy_header(m[i].head, &t[i]);
    m[i].at = (uint32_t)at;
    m[i].bytes = (uint32_t)(m[i].head_n + t[i].bytes);
    m[i].crc = crc32(crc32(0, (uint8_t *)m[i].head, m[i].head_n), t[i].data, t[i].bytes);
    at += LOCAL + strlen(name[i]) + 4 + m[i].head_n + t[i].bytes;
    directory += CENTRAL + strlen(name[i]) + 4;
  }
  int rc = n >= 0xffff || at + directory >= UINT32_MAX ? massrt_fail(&e, MASSRT_E_INPUT, "would have 4 GiB or more; write .npy files") : massrt_out_begin(&f, path, &e);
  if (!rc) {
    for (uint32_t i = 0; i < n; i++) put_member(&f, &m[i], &t[i]);
    put_directory(&f, m, n, (uint32_t)at);
    rc = massrt_out_end(&f, &e);
  }
  free(m);
  return rc;
}
