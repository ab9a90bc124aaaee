/* TensorProto -> struct ir_data. Raw bytes and packed floats stay where they are; the other typed fields become little-endian bytes in the arena. */
#include "compiler/onnx/internal.h"
#include <string.h>

bool onnx_elem(int32_t t, enum ir_elem *out, const char **why)
{
  static const struct { int32_t t; enum ir_elem e; } rows[] = {
    { 1, IR_f32 }, { 2, IR_u8 }, { 3, IR_i8 }, { 4, IR_u16 }, { 5, IR_i16 }, { 6, IR_i32 }, { 7, IR_i64 }, { 9, IR_bool }, { 10, IR_f16 }, { 11, IR_f64 },
    { 12, IR_u32 }, { 13, IR_u64 }, { 16, IR_bf16 },
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].t == t) { *out = rows[i].e; return true; }
  *why = t == 8 ? "string elements" : t == 14 || t == 15 ? "complex elements" : t >= 17 && t <= 20 ? "8-bit float elements" : t >= 21 && t <= 28 ? "elements under 8 bits"
       : "an unknown element type";
  return false;
}

static bool bad(struct onnx_file *f, const char *where, const char *what, uint64_t found, uint64_t expected)
{
  return ir_error(f->diags, IR_M0103, where, NULL, "%s: found %llu, expected %llu", what, (unsigned long long)found, (unsigned long long)expected);
}
static bool load_shape(struct onnx_file *f, const Onnx__TensorProto *t, const char *where, struct onnx_tensor *out)
{
  if (t->n_dims > IR_MAX_RANK) return ir_error(f->diags, IR_M0201, where, NULL, "tensor has rank %zu, at most 16 is supported", t->n_dims);
  out->rank = (unsigned)t->n_dims;
  int64_t most = 1;                  /* product of the dims that are not 0, so that [2^62, 2^62, 0] is refused as well */
  out->elems = 1;
  for (unsigned i = 0; i < out->rank; i++) {
    int64_t d = out->dim[i] = t->dims[i];
    if (d < 0) return ir_error(f->diags, IR_M0201, where, NULL, "tensor has dimension %lld", (long long)d);
    if (d && !ir_mul64(most, d, &most)) return ir_error(f->diags, IR_M0201, where, NULL, "the product of the tensor's dimensions overflows");
    out->elems = d ? out->elems * (out->elems ? d : 0) : 0;
  }
  if (most > INT64_MAX / 16) return ir_error(f->diags, IR_M0201, where, NULL, "the product of the tensor's dimensions overflows");
  return true;
}

/* ---- typed fields ---- */
/* Which typed field holds elements of this type (ONNX's comments at TensorProto). */
static unsigned typed_field(enum ir_elem e)
{
  switch (e) {
  case IR_f32: return 4;
  case IR_i64: return 7;
  case IR_f64: return 10;
  case IR_u32: case IR_u64: return 11;
  default: return 5;
  }
}
static size_t count_of(const Onnx__TensorProto *t, unsigned field)
{
  switch (field) {
  case 4: return t->n_float_data;
  case 5: return t->n_int32_data;
  case 7: return t->n_int64_data;
  case 9: return t->has_raw_data ? t->raw_data.len : 0;
  case 10: return t->n_double_data;
  default: return t->n_uint64_data;
  }
}
static void store(unsigned char *p, enum ir_elem e, uint64_t v)
{
  if (e == IR_bool) v = v != 0;
  for (unsigned i = 0; i < ir_elem_bytes(e); i++) p[i] = (unsigned char)(v >> 8 * i);
}
static uint64_t typed_at(const Onnx__TensorProto *t, unsigned field, size_t i)
{
  switch (field) {
  case 5: return (uint64_t)(int64_t)t->int32_data[i];
  case 7: return (uint64_t)t->int64_data[i];
  default: return t->uint64_data[i];
  }
}
/* Room for the elements in the arena. What files blow up into (a varint of one byte becomes eight) is bounded in all. */
static unsigned char *typed_room(struct onnx_file *f, struct onnx_tensor *out, const char *where)
{
  uint64_t bytes = (uint64_t)out->elems * ir_elem_bytes(out->elem);
  if (bytes > ((uint64_t)1 << 30) - f->typed_bytes) {
    ir_error(f->diags, IR_M0102, where, NULL, "more than 1 GiB of tensors in typed fields; write them as raw_data");
    return NULL;
  }
  f->typed_bytes += bytes;
  out->data.bytes = bytes;
  return ir_arena_alloc(f->arena, bytes);
}
static bool typed_left(struct onnx_file *f, const Onnx__TensorProto *t, const char *where, struct onnx_tensor *out)
{
  const unsigned char *p = f->p + t->left_offset, *end = p + t->left_bytes;
  if ((uint64_t)out->elems > t->left_bytes) return bad(f, where, "elements in the tensor's data", t->left_bytes, (uint64_t)out->elems);
  unsigned char *q = typed_room(f, out, where);
  if (!q) return false;
  out->data.p = q;
  uint64_t v, n = 0;
  for (; p < end; n++) {
    if (!onnx_wire_varint(&p, end, &v)) return ir_error(f->diags, IR_M0101, where, NULL, "a bad number in the tensor's data");
    if (n < (uint64_t)out->elems) store(q + n * ir_elem_bytes(out->elem), out->elem, v);
  }
  return n == (uint64_t)out->elems || bad(f, where, "elements in the tensor's data", n, (uint64_t)out->elems);
}
static bool typed_here(struct onnx_file *f, const Onnx__TensorProto *t, unsigned field, const char *where, struct onnx_tensor *out)
{
  size_t n = count_of(t, field);
  if (n != (uint64_t)out->elems) return bad(f, where, "elements in the tensor's data", n, (uint64_t)out->elems);
  unsigned char *q = typed_room(f, out, where);
  if (!q) return false;
  out->data.p = q;
  if (field == 4) memcpy(q, t->float_data, n * 4);
  else if (field == 10) memcpy(q, t->double_data, n * 8);
  else for (size_t i = 0; i < n; i++) store(q + i * ir_elem_bytes(out->elem), out->elem, typed_at(t, field, i));
  return true;
}

/* ---- bytes ---- */
/* Bytes that are not 0 mean true; the IR knows only 0 and 1. */
static bool clean_bools(struct onnx_file *f, struct onnx_tensor *out, const char *where)
{
  if (out->elem != IR_bool) return true;
  uint64_t i = 0;
  while (i < out->data.bytes && out->data.p[i] <= 1) i++;
  if (i == out->data.bytes) return true;
  const unsigned char *p = out->data.p;
  unsigned char *q = typed_room(f, out, where);
  if (!q) return false;
  for (i = 0; i < out->data.bytes; i++) q[i] = p[i] != 0;
  out->data.p = q;
  out->data.file = NULL;
  out->data.offset = 0;
  return true;
}
static bool raw_bytes(struct onnx_file *f, const char *where, struct onnx_tensor *out, const unsigned char *p, uint64_t n, const char *file, uint64_t offset)
{
  uint64_t want = (uint64_t)out->elems * ir_elem_bytes(out->elem);
  if (n != want) return bad(f, where, "bytes of the tensor's data", n, want);
  out->data.p = p;
  out->data.bytes = n;
  out->data.file = file;
  out->data.offset = offset;
  return clean_bools(f, out, where);
}
static bool parse_u64(const char *s, uint64_t *out)
{
  uint64_t v = 0;
  if (!*s) return false;
  for (; *s; s++) {
    if (*s < '0' || *s > '9') return false;
    if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v)) return false;
  }
  *out = v;
  return true;
}
static bool load_external(struct onnx_file *f, const Onnx__TensorProto *t, const char *where, struct onnx_tensor *out)
{
  const char *location = NULL;
  uint64_t offset = 0, length = 0;
  bool has_length = false;
  for (size_t i = 0; i < t->n_external_data; i++) {
    const char *k = t->external_data[i]->key, *v = t->external_data[i]->value;
    if (!k || !v) continue;
    bool ok = true;
    if (!strcmp(k, "location")) location = v;
    else if (!strcmp(k, "offset")) ok = parse_u64(v, &offset);
    else if (!strcmp(k, "length")) ok = has_length = parse_u64(v, &length);
    if (!ok) return ir_error(f->diags, IR_M0103, where, NULL, "external data: %s is \"%s\", expected a number of bytes", k, v);
  }
  if (!location) return ir_error(f->diags, IR_M0103, where, NULL, "external data without a location");
  for (unsigned field = 4; field <= 11; field++)
    if (count_of(t, field)) return ir_error(f->diags, IR_M0103, where, NULL, "the tensor has external data and data of its own");
  const struct onnx_mapped *m;
  TRY(onnx_external_map(f, location, where, &m));
  uint64_t want = (uint64_t)out->elems * ir_elem_bytes(out->elem);
  if (has_length && length != want) return bad(f, where, "length of the tensor's external data", length, want);
  if (offset > m->map.n || want > m->map.n - offset)
    return ir_error(f->diags, IR_M0103, where, NULL, "external data at offset %llu, %llu bytes, reaches past the end of \"%s\" (%zu bytes)", (unsigned long long)offset,
                    (unsigned long long)want, location, m->map.n);
  return raw_bytes(f, where, out, m->map.p + offset, want, m->location, offset);
}
static bool load_left(struct onnx_file *f, const Onnx__TensorProto *t, const char *where, struct onnx_tensor *out)
{
  unsigned field = t->left_field;
  if (field != 5 && field != 7 && field != 11) return raw_bytes(f, where, out, f->p + t->left_offset, t->left_bytes, f->data_name, t->left_offset);
  return typed_left(f, t, where, out);
}
/* Which one field brings the data; 0: none, 1: several. */
static unsigned data_field(const Onnx__TensorProto *t)
{
  unsigned found = t->has_left_field ? t->left_field : 0;
  for (unsigned field = 4; field <= 11; field++) {
    if (field == 6 || field == 8 || !count_of(t, field)) continue;
    if (found) return 1;
    found = field;
  }
  return found;
}
bool onnx_tensor_load(struct onnx_file *f, const Onnx__TensorProto *t, const char *where, struct onnx_tensor *out)
{
  *out = (struct onnx_tensor){ .proto = t, .name = t->name, .data.kind = IR_DATA_BYTES };
  TRY(load_shape(f, t, where, out));
  if (!onnx_elem(t->data_type, &out->elem, &out->why)) return true;
  if (t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) return load_external(f, t, where, out);
  unsigned field = data_field(t);
  if (field == 1) return ir_error(f->diags, IR_M0103, where, NULL, "the tensor's data stands in several fields");
  if (!field) return !out->elems || bad(f, where, "elements in the tensor's data", 0, (uint64_t)out->elems);
  if (field != 9 && field != typed_field(out->elem))
    return ir_error(f->diags, IR_M0103, where, NULL, "the data of a tensor of %s stands in field %u, expected raw_data or field %u", ir_elem_name(out->elem), field, typed_field(out->elem));
  if (t->has_left_field) return load_left(f, t, where, out);
  if (field == 9) return raw_bytes(f, where, out, t->raw_data.data, t->raw_data.len, NULL, 0);
  return typed_here(f, t, field, where, out);
}
