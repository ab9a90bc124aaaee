/* A walk over the protobuf wire format before protobuf-c sees it.
 *
 * protobuf-c unpacks by recursion, copies every payload and allocates what the file asks for. So this walk keeps a stack of its own, checks that every message
 * is what the schema says, counts, and writes the message anew: unknown fields are gone, and a long tensor payload is replaced by three private fields that say
 * where its bytes are. protobuf-c then unpacks only this small rest. The schema is protobuf-c's own descriptors, so there is no second copy of it here.
 *
 * Stricter than protobuf: groups are refused, as is a singular field that stands twice (protobuf merges those; no exporter writes them). */
#include "compiler/onnx/internal.h"
#include <stdlib.h>
#include <string.h>

bool onnx_wire_varint(const unsigned char **p, const unsigned char *end, uint64_t *out)
{
  uint64_t v = 0;
  const unsigned char *q = *p;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (q == end) return false;
    unsigned char b = *q++;
    if (shift == 63 && b > 1) return false;
    v |= (uint64_t)(b & 0x7f) << shift;
    if (!(b & 0x80)) { *p = q; *out = v; return true; }
  }
  return false;
}

struct frame {
  const ProtobufCMessageDescriptor *desc;
  const unsigned char *end;
  size_t length_at;                  /* in the rest: five bytes that become the length */
  uint64_t seen;                     /* singular fields met so far, by index in the descriptor */
};
struct walk {
  struct ir_diags *d;
  const unsigned char *start, *p;
  struct ir_buf *rest;
  unsigned depth;
  size_t messages;
  struct frame stack[ONNX_MAX_DEPTH];
};

static struct frame *top(struct walk *w) { return &w->stack[w->depth - 1]; }
static bool damaged(struct walk *w, const char *what)
{
  return ir_error(w->d, IR_M0101, NULL, NULL, "%s at byte %zu (in %s): the file is damaged or not an ONNX model", what, (size_t)(w->p - w->start),
                  w->depth ? top(w)->desc->short_name : "the file");
}
static bool too_large(struct walk *w, const char *what) { return ir_error(w->d, IR_M0102, NULL, NULL, "%s at byte %zu", what, (size_t)(w->p - w->start)); }

static void put_varint(struct ir_buf *b, uint64_t v)
{
  unsigned char s[10];
  size_t n = 0;
  for (; v >= 0x80; v >>= 7) s[n++] = (unsigned char)(v | 0x80);
  s[n++] = (unsigned char)v;
  ir_buf_add(b, s, n);
}
static void put_tag(struct ir_buf *b, unsigned field, unsigned wire) { put_varint(b, (uint64_t)field << 3 | wire); }

enum { W_VARINT = 0, W_64 = 1, W_LEN = 2, W_32 = 5 };
static unsigned wire_of(const ProtobufCFieldDescriptor *f)
{
  switch (f->type) {
  case PROTOBUF_C_TYPE_FLOAT: case PROTOBUF_C_TYPE_FIXED32: case PROTOBUF_C_TYPE_SFIXED32: return W_32;
  case PROTOBUF_C_TYPE_DOUBLE: case PROTOBUF_C_TYPE_FIXED64: case PROTOBUF_C_TYPE_SFIXED64: return W_64;
  case PROTOBUF_C_TYPE_STRING: case PROTOBUF_C_TYPE_BYTES: case PROTOBUF_C_TYPE_MESSAGE: return W_LEN;
  default: return W_VARINT;
  }
}
static bool is_payload(const struct frame *f, const ProtobufCFieldDescriptor *fd)
{
  if (f->desc != &onnx__tensor_proto__descriptor) return false;
  return fd->id == 4 || fd->id == 5 || fd->id == 7 || fd->id == 9 || fd->id == 10 || fd->id == 11;
}
/* A packed list holds whole elements. */
static bool packed_ok(const ProtobufCFieldDescriptor *fd, const unsigned char *p, const unsigned char *end)
{
  unsigned w = wire_of(fd);
  if (w == W_32) return (end - p) % 4 == 0;
  if (w == W_64) return (end - p) % 8 == 0;
  for (uint64_t v; p < end;) TRY(onnx_wire_varint(&p, end, &v));
  return true;
}
static bool mark_seen(struct walk *w, const ProtobufCFieldDescriptor *fd)
{
  struct frame *f = top(w);
  uint64_t bit = (uint64_t)1 << (fd - f->desc->fields);
  if (f->seen & bit) return damaged(w, "a field that stands twice");
  f->seen |= bit;
  return true;
}
static bool push(struct walk *w, const ProtobufCMessageDescriptor *desc, const unsigned char *end)
{
  if (w->depth == ONNX_MAX_DEPTH) return too_large(w, "messages are nested more than 128 deep");
  if (++w->messages > ONNX_MAX_MESSAGES) return too_large(w, "more than 8388608 messages");
  IR_ASSERT(desc->n_fields <= 64);
  w->stack[w->depth++] = (struct frame){ .desc = desc, .end = end, .length_at = w->rest->n };
  return true;
}
/* The length of the message that ended, as a varint padded to five bytes, which every reader accepts. */
static void pop(struct walk *w)
{
  struct frame *f = &w->stack[--w->depth];
  if (!w->depth) return;
  size_t n = w->rest->n - f->length_at - 5;
  for (unsigned i = 0; i < 5; i++) w->rest->s[f->length_at + i] = (char)((n >> 7 * i & 0x7f) | (i < 4 ? 0x80 : 0));
}
static bool leave_payload(struct walk *w, const ProtobufCFieldDescriptor *fd, size_t n)
{
  const ProtobufCFieldDescriptor *left = protobuf_c_message_descriptor_get_field(top(w)->desc, 1000);
  TRY(mark_seen(w, left));
  put_tag(w->rest, 1000, W_VARINT); put_varint(w->rest, fd->id);
  put_tag(w->rest, 1001, W_VARINT); put_varint(w->rest, (uint64_t)(w->p - w->start));
  put_tag(w->rest, 1002, W_VARINT); put_varint(w->rest, n);
  w->p += n;
  return true;
}
static bool length_field(struct walk *w, const ProtobufCFieldDescriptor *fd, size_t n)
{
  if (fd->type == PROTOBUF_C_TYPE_MESSAGE) {
    put_tag(w->rest, fd->id, W_LEN);
    TRY(push(w, fd->descriptor, w->p + n));
    ir_buf_add(w->rest, "\0\0\0\0\0", 5);
    return true;
  }
  if (n > ONNX_LEFT_BYTES && is_payload(top(w), fd)) return leave_payload(w, fd, n);
  if (wire_of(fd) != W_LEN && !packed_ok(fd, w->p, w->p + n)) return damaged(w, "a list that ends within a number");
  put_tag(w->rest, fd->id, W_LEN);
  put_varint(w->rest, n);
  ir_buf_add(w->rest, w->p, n);
  w->p += n;
  return true;
}
static bool field(struct walk *w)
{
  const unsigned char *end = top(w)->end;
  uint64_t tag, v = 0;
  if (!onnx_wire_varint(&w->p, end, &tag) || tag > UINT32_MAX || tag < 8) return damaged(w, "a bad field number");
  unsigned id = (unsigned)(tag >> 3), wire = tag & 7;
  size_t n = wire == W_32 ? 4 : wire == W_64 ? 8 : 0;
  switch (wire) {
  case W_VARINT: if (!onnx_wire_varint(&w->p, end, &v)) return damaged(w, "a bad number"); break;
  case W_LEN:
    if (!onnx_wire_varint(&w->p, end, &v)) return damaged(w, "a bad length");
    if (v > (uint64_t)(end - w->p)) return damaged(w, "a length that reaches past the end");
    n = (size_t)v;
    break;
  case W_32: case W_64: if ((size_t)(end - w->p) < n) return damaged(w, "a number that reaches past the end"); break;
  default: return damaged(w, "a group or unknown wire type");
  }
  const ProtobufCFieldDescriptor *fd = id < 1000 ? protobuf_c_message_descriptor_get_field(top(w)->desc, id) : NULL;
  if (!fd) { w->p += n; return true; }
  bool repeated = fd->label == PROTOBUF_C_LABEL_REPEATED;
  if (wire != wire_of(fd) && !(repeated && wire == W_LEN)) return damaged(w, "a field of the wrong wire type");
  if (!repeated) TRY(mark_seen(w, fd));
  if (wire == W_LEN) return length_field(w, fd, n);
  put_tag(w->rest, id, wire);
  if (wire == W_VARINT) put_varint(w->rest, v);
  else { ir_buf_add(w->rest, w->p, n); w->p += n; }
  return true;
}
bool onnx_wire_strip(struct ir_diags *d, const unsigned char *p, size_t n, const ProtobufCMessageDescriptor *desc, struct ir_buf *rest)
{
  struct walk *w = calloc(1, sizeof *w);
  IR_ASSERT(w);
  *w = (struct walk){ .d = d, .start = p, .p = p, .rest = rest };
  bool ok = push(w, desc, p + n);
  while (ok && w->depth) {
    if (w->p == top(w)->end) { pop(w); continue; }
    ok = field(w);
    if (ok && rest->n > ONNX_MAX_REST) ok = too_large(w, "more than 512 MiB besides tensor payloads");
  }
  free(w);
  return ok;
}
