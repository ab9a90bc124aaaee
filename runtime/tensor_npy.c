/* The npy format: "\x93NUMPY", version, length of the header (2 bytes in version 1, 4 later), the header: a Python dict literal with the keys descr,
 * fortran_order and shape; then the data. Source: numpy/lib/format.py. */
#include "runtime/tensor_bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_MAX = 64 << 10 };

/* ---- the header ---- */
struct scan { const char *s, *end; };
struct header { uint32_t elem, rank; int64_t dim[MASSRT_MAX_RANK]; bool fortran, swap, has_descr, has_order, has_shape; };

static void space(struct scan *c)
{
  while (c->s < c->end && (*c->s == ' ' || *c->s == '\n' || *c->s == '\t' || *c->s == '\r')) c->s++;
}
static bool take(struct scan *c, char ch)
{
  space(c);
  if (c->s == c->end || *c->s != ch) return false;
  c->s++;
  return true;
}
static bool take_word(struct scan *c, const char *w)
{
  space(c);
  size_t n = strlen(w);
  if ((size_t)(c->end - c->s) < n || memcmp(c->s, w, n)) return false;
  c->s += n;
  return true;
}
static bool take_string(struct scan *c, char *out, size_t n)
{
  space(c);
  if (c->s == c->end || (*c->s != '\'' && *c->s != '"')) return false;
  char quote = *c->s++;
  size_t at = 0;
  for (; c->s < c->end && *c->s != quote; c->s++)
    if (at + 1 < n) out[at++] = *c->s >= ' ' && *c->s < 127 ? *c->s : '?';
  out[at] = 0;
  return c->s < c->end && *c->s++ == quote;
}
static bool take_int(struct scan *c, int64_t *out)
{
  space(c);
  int64_t v = 0;
  const char *start = c->s;
  for (; c->s < c->end && *c->s >= '0' && *c->s <= '9'; c->s++)
    if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *c->s - '0', &v)) return false;
  if (c->s == start) return false;
  if (c->s < c->end && *c->s == 'L') c->s++;        /* written by Python 2 */
  *out = v;
  return true;
}
static int parse_shape(struct scan *c, struct header *h, struct massrt_err *e)
{
  if (!take(c, '(')) return massrt_fail(e, MASSRT_E_FILE, "damaged header: the shape is not a tuple");
  for (h->rank = 0; !take(c, ')'); h->rank++) {
    if (h->rank == MASSRT_MAX_RANK) return massrt_fail(e, MASSRT_E_INPUT, "its rank is above %d", MASSRT_MAX_RANK);
    if (!take_int(c, &h->dim[h->rank])) return massrt_fail(e, MASSRT_E_FILE, "damaged header: a dimension of the shape is not a number from 0 to 2^63 - 1");
    if (!take(c, ',') && !(c->s < c->end && *c->s == ')')) return massrt_fail(e, MASSRT_E_FILE, "damaged header: the shape has no end");
  }
  h->has_shape = true;
  return 0;
}
static int parse_descr(struct scan *c, uint32_t expected, struct header *h, struct massrt_err *e)
{
  static const struct { const char *code; uint32_t elem; } types[] = {
    { "b1", MASSRT_BOOL }, { "?", MASSRT_BOOL }, { "i1", MASSRT_I8 }, { "i2", MASSRT_I16 }, { "i4", MASSRT_I32 }, { "i8", MASSRT_I64 }, { "u1", MASSRT_U8 },
    { "u2", MASSRT_U16 }, { "u4", MASSRT_U32 }, { "u8", MASSRT_U64 }, { "f2", MASSRT_F16 }, { "f4", MASSRT_F32 }, { "f8", MASSRT_F64 },
  };
  char d[32];
  if (!take_string(c, d, sizeof d)) return massrt_fail(e, MASSRT_E_INPUT, "its element type is a record; only plain numbers can be read");
  const char *code = strchr("<>|=", d[0]) && d[0] ? d + 1 : d;
  h->swap = d[0] == '>';
  h->has_descr = true;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (!strcmp(code, types[i].code)) { h->elem = types[i].elem; return 0; }
  if (!strcmp(code, "V2") && (expected == MASSRT_BF16 || expected == MASSRT_F16)) { h->elem = expected; return 0; }
  return massrt_fail(e, MASSRT_E_INPUT, "its element type '%s' cannot be read; bool, integers and floats of up to 64 bits can", d);
}
static int parse_header(const char *s, size_t n, uint32_t expected, struct header *h, struct massrt_err *e)
{
  struct scan c = { s, s + n };
  if (!take(&c, '{')) return massrt_fail(e, MASSRT_E_FILE, "damaged header: not a dictionary");
  while (!take(&c, '}')) {
    char key[32];
    int rc = 0;
    if (!take_string(&c, key, sizeof key) || !take(&c, ':')) return massrt_fail(e, MASSRT_E_FILE, "damaged header: a key is missing");
    if (!strcmp(key, "descr")) rc = parse_descr(&c, expected, h, e);
    else if (!strcmp(key, "shape")) rc = parse_shape(&c, h, e);
    else if (!strcmp(key, "fortran_order")) {
      h->fortran = take_word(&c, "True");
      h->has_order = h->fortran || take_word(&c, "False");
      if (!h->has_order) rc = massrt_fail(e, MASSRT_E_FILE, "damaged header: fortran_order is neither True nor False");
    } else rc = massrt_fail(e, MASSRT_E_FILE, "damaged header: unknown key '%s'", key);
    if (rc) return rc;
    space(&c);
    if (!take(&c, ',') && !(c.s < c.end && *c.s == '}')) return massrt_fail(e, MASSRT_E_FILE, "damaged header: it has no end");
  }
  if (!h->has_descr || !h->has_order || !h->has_shape) return massrt_fail(e, MASSRT_E_FILE, "damaged header: descr, fortran_order or shape is missing");
  return 0;
}
static int read_header(int fd, uint32_t expected, struct header *h, struct massrt_err *e)
{
  uint8_t m[12];
  if (massrt_read_full(fd, m, 10) != 10 || memcmp(m, "\x93NUMPY", 6)) return massrt_fail(e, MASSRT_E_FILE, "not an npy file");
  if (m[6] < 1 || m[6] > 3) return massrt_fail(e, MASSRT_E_FILE, "npy version %u.%u is not known", m[6], m[7]);
  uint32_t n = m[8] | (uint32_t)m[9] << 8;
  if (m[6] > 1) {
    if (massrt_read_full(fd, m + 10, 2) != 2) return massrt_fail(e, MASSRT_E_FILE, "truncated in its header");
    n |= (uint32_t)m[10] << 16 | (uint32_t)m[11] << 24;
  }
  if (n > HEADER_MAX) return massrt_fail(e, MASSRT_E_FILE, "its header claims %u bytes; at most %u are read", n, (unsigned)HEADER_MAX);
  char *s = malloc(n + 1);
  if (!s) return massrt_fail(e, MASSRT_E_MEMORY, "no memory for its header");
  int rc = massrt_read_full(fd, s, n) == (int64_t)n ? parse_header(s, n, expected, h, e) : massrt_fail(e, MASSRT_E_FILE, "truncated in its header");
  free(s);
  return rc;
}

/* ---- order of bytes and of elements ---- */
static void swap_bytes(uint8_t *p, uint64_t elems, unsigned w)
{
  for (; elems; elems--, p += w)
    for (unsigned i = 0; i < w / 2; i++) { uint8_t b = p[i]; p[i] = p[w - 1 - i]; p[w - 1 - i] = b; }
}
/* Column-major p to row-major q: walks q in order, moving through p by strides. */
static void transpose(const uint8_t *p, uint8_t *q, const struct header *h, uint64_t elems, unsigned w)
{
  uint64_t stride[MASSRT_MAX_RANK], s = 1, from = 0;
  int64_t at[MASSRT_MAX_RANK] = { 0 };
  for (uint32_t i = 0; i < h->rank; s *= (uint64_t)h->dim[i++]) stride[i] = s;
  for (uint64_t k = 0; k < elems; k++) {
    memcpy(q + k * w, p + from * w, w);
    for (uint32_t i = h->rank; i-- > 0;) {
      from += stride[i];
      if (++at[i] < h->dim[i]) break;
      from -= stride[i] * (uint64_t)h->dim[i];
      at[i] = 0;
    }
  }
}
static int to_row_major(void **data, const struct header *h, uint64_t elems, uint64_t bytes, struct massrt_err *e)
{
  uint8_t *q = massrt_data_memory(bytes);
  if (!q) return massrt_fail(e, MASSRT_E_MEMORY, "no memory for %llu bytes", (unsigned long long)bytes);
  transpose(*data, q, h, elems, massrt_elem_bytes[h->elem]);
  free(*data);
  *data = q;
  return 0;
}
int massrt_npy_read_fd(int fd, uint32_t expected, struct massrt_tensor *t, struct massrt_err *e)
{
  struct header h = { 0 };
  uint64_t elems, bytes;
  void *data = NULL;
  int rc = read_header(fd, expected, &h, e);
  if (rc) return rc;
  if (!massrt_shape_bytes(h.elem, h.rank, h.dim, &elems, &bytes)) return massrt_fail(e, MASSRT_E_FILE, "damaged header: the size of the shape overflows");
  rc = massrt_read_data(fd, bytes, &data, e);
  if (!rc && h.swap) swap_bytes(data, elems, massrt_elem_bytes[h.elem]);
  if (!rc && h.fortran && h.rank > 1) rc = to_row_major(&data, &h, elems, bytes, e);
  if (rc) { free(data); return rc; }
  *t = (struct massrt_tensor){ .data = data, .bytes = bytes, .elem = h.elem, .rank = h.rank };
  memcpy(t->dim, h.dim, sizeof t->dim);
  return 0;
}
int massrt_npy_read(const char *path, uint32_t elem, struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  int fd = massrt_open_in(path);
  if (fd < 0) return massrt_fail_errno(&e, "cannot be opened");
  int rc = massrt_npy_read_fd(fd, elem, t, &e);
  close(fd);
  return rc;
}
/* ---- writing ---- */
size_t massrt_npy_header(char *s, const struct massrt_tensor *t)
{
  enum { n = MASSRT_NPY_HEADER };
  static const char *const descr[] = { "|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<V2" /* as ml_dtypes' bfloat16 */, "<f4", "<f8" };
  size_t at = 10 + (size_t)snprintf(s + 10, n - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[t->elem]);
  for (uint32_t i = 0; i < t->rank; i++) at += (size_t)snprintf(s + at, n - at, "%lld,%s", (long long)t->dim[i], i + 1 < t->rank ? " " : "");
  at += (size_t)snprintf(s + at, n - at, "), }");
  size_t total = (at + 1 + 63) / 64 * 64;
  memset(s + at, ' ', total - at);
  s[total - 1] = '\n';
  memcpy(s, "\x93NUMPY\1\0", 8);
  s[8] = (char)((total - 10) & 255);
  s[9] = (char)((total - 10) >> 8);
  return total;
}
int massrt_npy_write(const char *path, const struct massrt_tensor *t, char *err, size_t err_n)
{
  char head[MASSRT_NPY_HEADER];
  struct massrt_err e = { err, err_n };
  struct massrt_out_file f;
  int rc = massrt_out_begin(&f, path, &e);
  if (rc) return rc;
  massrt_out_put(&f, head, massrt_npy_header(head, t));
  massrt_out_put(&f, t->data, t->bytes);
  return massrt_out_end(&f, &e);
}
