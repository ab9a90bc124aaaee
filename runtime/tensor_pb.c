/* ONNX's TensorProto in protobuf's wire format: a sequence of (field number << 3 | wire type) and payload; wire type 0 is a varint, 1 eight bytes, 2 a length and
 * its bytes, 5 four bytes. Repeated numbers come packed (type 2) or one by one. Fields used (onnx.proto): 1 dims, 2 data_type, 4 float_data, 5 int32_data (all
 * that is smaller than 32 bits too), 7 int64_data, 8 name, 9 raw_data, 10 double_data, 11 uint64_data (u32 too), 14 data_location.
 * A SequenceProto or OptionalProto is told from a TensorProto by its fields: 1 is a text or 3 is present. */
#include "runtime/tensor_bytes.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum wire { VARINT, I64, LEN, I32 = 5 };
enum field { DIMS = 1, DATA_TYPE, SEGMENT, FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA, NAME, RAW_DATA, DOUBLE_DATA, UINT64_DATA, LOCATION = 14 };
static const struct type { uint8_t number, field; } types[] = {                  /* by element type */
  [MASSRT_BOOL] = { 9, INT32_DATA }, [MASSRT_I8] = { 3, INT32_DATA },   [MASSRT_I16] = { 5, INT32_DATA },  [MASSRT_I32] = { 6, INT32_DATA }, [MASSRT_I64] = { 7, INT64_DATA },
  [MASSRT_U8] = { 2, INT32_DATA },   [MASSRT_U16] = { 4, INT32_DATA },  [MASSRT_U32] = { 12, UINT64_DATA }, [MASSRT_U64] = { 13, UINT64_DATA },
  [MASSRT_F16] = { 10, INT32_DATA }, [MASSRT_BF16] = { 16, INT32_DATA }, [MASSRT_F32] = { 1, FLOAT_DATA },  [MASSRT_F64] = { 11, DOUBLE_DATA },
};
struct cursor { const uint8_t *p, *end; };
struct payload { unsigned field, wire; uint64_t v; const uint8_t *p; uint64_t n; };               /* v: of VARINT, I64, I32; p, n: of LEN */

static bool varint(struct cursor *c, uint64_t *out)
{
  *out = 0;
  for (unsigned shift = 0; shift < 70 && c->p < c->end; shift += 7) {
    uint8_t b = *c->p++;
    if (shift < 64) *out |= (uint64_t)(b & 127) << shift;
    if (b < 128) return true;
  }
  return false;
}
static bool fixed(struct cursor *c, unsigned n, uint64_t *out)
{
  if ((size_t)(c->end - c->p) < n) return false;
  *out = 0;
  memcpy(out, c->p, n);
  c->p += n;
  return true;
}
static bool number(struct cursor *c, unsigned wire, uint64_t *out)
{
  return wire == VARINT ? varint(c, out) : wire == I64 ? fixed(c, 8, out) : wire == I32 && fixed(c, 4, out);
}
static bool next(struct cursor *c, struct payload *f)
{
  uint64_t key;
  if (!varint(c, &key) || key >> 3 == 0 || key >> 32) return false;
  *f = (struct payload){ .field = (unsigned)(key >> 3), .wire = key & 7 };
  if (f->wire != LEN) return number(c, f->wire, &f->v);
  if (!varint(c, &f->n) || f->n > (size_t)(c->end - c->p)) return false;
  f->p = c->p;
  c->p += f->n;
  return true;
}

/* ---- reading ---- */
struct tensor { struct massrt_tensor t; uint64_t elems; int64_t type; bool has_type; const uint8_t *raw; uint64_t raw_n; bool has_raw; };
static int damaged(struct massrt_err *e) { return massrt_fail(e, MASSRT_E_FILE, "not a TensorProto, or damaged"); }
static int add_dim(struct massrt_tensor *t, uint64_t v, struct massrt_err *e)
{
  if (t->rank == MASSRT_MAX_RANK) return massrt_fail(e, MASSRT_E_INPUT, "its rank is above %d", MASSRT_MAX_RANK);
  if (v > INT64_MAX) return massrt_fail(e, MASSRT_E_FILE, "damaged: a dimension is negative");
  t->dim[t->rank++] = (int64_t)v;
  return 0;
}
static int header_field(struct tensor *x, const struct payload *f, struct massrt_err *e)
{
  struct cursor c = { f->p, f->p + f->n };
  uint64_t v;
  int rc = 0;
  switch (f->field) {
  case DIMS:
    if (f->wire == VARINT) return add_dim(&x->t, f->v, e);
    if (f->wire != LEN) return damaged(e);
    while (c.p < c.end && !rc) rc = varint(&c, &v) ? add_dim(&x->t, v, e) : massrt_fail(e, MASSRT_E_INPUT, "a SequenceProto or OptionalProto; only tensors can be read");
    return rc;
  case DATA_TYPE:
    x->type = (int64_t)f->v;
    x->has_type = f->wire == VARINT;
    return x->has_type ? 0 : damaged(e);
  case SEGMENT: return massrt_fail(e, MASSRT_E_INPUT, "a SequenceProto, an OptionalProto or one segment of a tensor; only whole tensors can be read");
  case RAW_DATA:
    x->raw = f->p;
    x->raw_n = f->n;
    x->has_raw = true;
    return f->wire == LEN ? 0 : damaged(e);
  case LOCATION: return f->v ? massrt_fail(e, MASSRT_E_INPUT, "its values lie in another file (external data)") : 0;
  default: return 0;
  }
}
static int pb_header(struct cursor c, struct tensor *x, struct massrt_err *e)
{
  struct payload f;
  int rc = 0;
  while (c.p < c.end && !rc) rc = next(&c, &f) ? header_field(x, &f, e) : damaged(e);
  if (rc) return rc;
  if (!x->has_type) return damaged(e);
  for (x->t.elem = 0; x->t.elem < MASSRT_N_ELEMS && types[x->t.elem].number != x->type; x->t.elem++) {}
  if (x->t.elem == MASSRT_N_ELEMS)
    return massrt_fail(e, MASSRT_E_INPUT, "its element type (number %lld of TensorProto.DataType) cannot be read; bool, integers and floats of 8 to 64 bits can", (long long)x->type);
  if (!massrt_shape_bytes(x->t.elem, x->t.rank, x->t.dim, &x->elems, &x->t.bytes)) return massrt_fail(e, MASSRT_E_FILE, "damaged: the size of the shape overflows");
  return 0;
}
/* One value of a typed field: its low bytes, if they hold it. */
static bool fits(uint32_t elem, uint64_t v)
{
  int64_t s = (int64_t)v;
  switch (elem) {
  case MASSRT_BOOL: return v <= 1;
  case MASSRT_I8: return s >= INT8_MIN && s <= INT8_MAX;
  case MASSRT_I16: return s >= INT16_MIN && s <= INT16_MAX;
  case MASSRT_I32: return s >= INT32_MIN && s <= INT32_MAX;
  case MASSRT_U8: return v <= UINT8_MAX;
  case MASSRT_U16: case MASSRT_F16: case MASSRT_BF16: return v <= UINT16_MAX;
  case MASSRT_U32: return v <= UINT32_MAX;
  default: return true;
  }
}
/* The values of the type's field, in file order, into data; counted even where data are full. */
struct values { const struct tensor *x; uint8_t *data; uint64_t n; };
static int add_value(struct values *to, uint64_t bits, struct massrt_err *e)
{
  unsigned w = massrt_elem_bytes[to->x->t.elem];
  if (types[to->x->t.elem].field == INT32_DATA) bits = (uint64_t)(int64_t)(int32_t)bits;      /* as every reader of an int32 does */
  if (!fits(to->x->t.elem, bits)) return massrt_fail(e, MASSRT_E_FILE, "damaged: element %llu does not fit its type %s", (unsigned long long)to->n, massrt_elem_name[to->x->t.elem]);
  if (to->n < to->x->elems) memcpy(to->data + to->n * w, &bits, w);
  to->n++;
  return 0;
}
static int typed_values(struct cursor c, struct values *to, struct massrt_err *e)
{
  unsigned field = types[to->x->t.elem].field, one = field == FLOAT_DATA ? I32 : field == DOUBLE_DATA ? I64 : VARINT;
  struct payload f;
  uint64_t bits;
  int rc = 0;
  while (c.p < c.end && !rc) {
    if (!next(&c, &f)) return damaged(e);
    if (f.field != field) continue;
    if (f.wire != LEN && f.wire != one) return damaged(e);
    if (f.wire == one) rc = add_value(to, f.v, e);
    for (struct cursor v = { f.p, f.p + f.n }; f.wire == LEN && v.p < v.end && !rc;) rc = number(&v, one, &bits) ? add_value(to, bits, e) : damaged(e);
  }
  return rc;
}
static int pb_data(struct cursor c, struct tensor *x, struct massrt_err *e)
{
  unsigned long long want = x->elems, bytes = x->t.bytes;
  if (x->has_raw && x->raw_n != x->t.bytes) return massrt_fail(e, MASSRT_E_FILE, "damaged: its shape needs %llu bytes of data, %llu are there", bytes, (unsigned long long)x->raw_n);
  if (x->t.bytes > 8 * (uint64_t)(c.end - c.p)) return massrt_fail(e, MASSRT_E_FILE, "truncated: its shape needs %llu elements", want);     /* a value takes a byte or more */
  uint8_t *data = massrt_data_memory(x->t.bytes);
  if (!data) return massrt_fail(e, MASSRT_E_MEMORY, "no memory for %llu bytes", bytes);
  if (x->has_raw) memcpy(data, x->raw, x->raw_n);
  struct values to = { x, data, 0 };
  int rc = x->has_raw ? 0 : typed_values(c, &to, e);
  if (!rc && !x->has_raw && to.n != x->elems) rc = massrt_fail(e, MASSRT_E_FILE, "damaged: its shape needs %llu elements, %llu are there", want, (unsigned long long)to.n);
  for (uint64_t i = 0; !rc && x->t.elem == MASSRT_BOOL && i < x->elems; i++) data[i] = data[i] != 0;
  if (rc) free(data);
  else x->t.data = data;
  return rc;
}
int massrt_pb_read(const char *path, struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  uint8_t *s = NULL;
  uint64_t n = 0;
  struct tensor x = { 0 };
  int fd = massrt_open_in(path);
  if (fd < 0) return massrt_fail_errno(&e, "cannot be opened");
  int rc = massrt_read_rest(fd, &s, &n, &e);
  close(fd);
  if (rc) return rc;
  struct cursor c = { s, s + n };
  rc = pb_header(c, &x, &e);
  if (!rc) rc = pb_data(c, &x, &e);
  free(s);
  if (!rc) *t = x.t;
  return rc;
}

/* ---- writing: dims, data_type, name, raw_data ---- */
static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
  for (; v > 127; v >>= 7) *p++ = (uint8_t)(v | 128);
  *p++ = (uint8_t)v;
  return p;
}
static uint8_t *put_field(uint8_t *p, enum field f, enum wire w, uint64_t v) { return put_varint(put_varint(p, (uint64_t)f << 3 | w), v); }
int massrt_pb_write(const char *path, const char *name, const struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_err e = { err, err_n };
  struct massrt_out_file f;
  uint8_t head[32 + 11 * MASSRT_MAX_RANK], tail[16], *p = head;
  int rc = massrt_out_begin(&f, path, &e);
  if (rc) return rc;
  for (uint32_t i = 0; i < t->rank; i++) p = put_field(p, DIMS, VARINT, (uint64_t)t->dim[i]);
  p = put_field(p, DATA_TYPE, VARINT, types[t->elem].number);
  p = put_field(p, NAME, LEN, strlen(name));
  massrt_out_put(&f, head, (uint64_t)(p - head));
  massrt_out_put(&f, name, strlen(name));
  massrt_out_put(&f, tail, (uint64_t)(put_field(tail, RAW_DATA, LEN, t->bytes) - tail));
  massrt_out_put(&f, t->data, t->bytes);
  return massrt_out_end(&f, &e);
}
