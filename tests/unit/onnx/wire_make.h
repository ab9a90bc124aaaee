/* Wire bytes by hand: what protobuf libraries refuse to write is what the reader has to stand. */
#ifndef MASSC_TEST_WIRE_MAKE_H
#define MASSC_TEST_WIRE_MAKE_H
#include "ir/base/base.h"
#include <string.h>

static inline void w_varint(struct ir_buf *b, uint64_t v)
{
  unsigned char c;
  do { c = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0)); ir_buf_add(b, &c, 1); v >>= 7; } while (v);
}
static inline void w_int(struct ir_buf *b, unsigned field, int64_t v) { w_varint(b, field << 3); w_varint(b, (uint64_t)v); }
static inline void w_bytes(struct ir_buf *b, unsigned field, const void *p, size_t n) { w_varint(b, field << 3 | 2); w_varint(b, n); ir_buf_add(b, p, n); }
static inline void w_str(struct ir_buf *b, unsigned field, const char *s) { w_bytes(b, field, s, strlen(s)); }
/* Appends m as field and frees it. */
static inline void w_msg(struct ir_buf *b, unsigned field, struct ir_buf m) { w_bytes(b, field, m.s, m.n); ir_buf_deinit(&m); }

/* ---- ONNX ---- */
static inline struct ir_buf w_tensor(const char *name, int elem, unsigned rank, const int64_t *dim, const void *raw, size_t n)
{
  struct ir_buf t = { 0 };
  for (unsigned i = 0; i < rank; i++) w_int(&t, 1, dim[i]);
  w_int(&t, 2, elem);
  w_str(&t, 8, name);
  if (raw) w_bytes(&t, 9, raw, n);
  return t;
}
/* dim < 0: a dim named "d<axis>" */
static inline struct ir_buf w_value(const char *name, int elem, unsigned rank, const int64_t *dim)
{
  struct ir_buf v = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 };
  for (unsigned i = 0; i < rank; i++) {
    struct ir_buf d = { 0 };
    char s[16];
    snprintf(s, sizeof s, "d%u", i);
    if (dim[i] < 0) w_str(&d, 2, s);
    else w_int(&d, 1, dim[i]);
    w_msg(&shape, 1, d);
  }
  w_int(&tensor, 1, elem);
  w_msg(&tensor, 2, shape);
  w_msg(&type, 1, tensor);
  w_str(&v, 1, name);
  w_msg(&v, 2, type);
  return v;
}
/* names separated by blanks, "-" for an absent one */
static inline void w_names(struct ir_buf *b, unsigned field, const char *names)
{
  while (*names) {
    size_t n = strcspn(names, " ");
    w_bytes(b, field, names, n == 1 && *names == '-' ? 0 : n);
    names += n + (names[n] == ' ');
  }
}
static inline struct ir_buf w_node(const char *op, const char *in, const char *out)
{
  struct ir_buf n = { 0 };
  w_names(&n, 1, in);
  w_names(&n, 2, out);
  w_str(&n, 4, op);
  return n;
}
static inline void w_attr_int(struct ir_buf *node, const char *name, int64_t v)
{
  struct ir_buf a = { 0 };
  w_str(&a, 1, name);
  w_int(&a, 3, v);
  w_int(&a, 20, 2);
  w_msg(node, 5, a);
}
static inline void w_attr_ints(struct ir_buf *node, const char *name, unsigned n, const int64_t *v)
{
  struct ir_buf a = { 0 };
  w_str(&a, 1, name);
  for (unsigned i = 0; i < n; i++) w_int(&a, 8, v[i]);
  w_int(&a, 20, 7);
  w_msg(node, 5, a);
}
static inline void w_attr_float(struct ir_buf *node, const char *name, float v)
{
  struct ir_buf a = { 0 };
  w_str(&a, 1, name);
  w_varint(&a, 2 << 3 | 5);
  ir_buf_add(&a, &v, 4);
  w_int(&a, 20, 1);
  w_msg(node, 5, a);
}
static inline void w_attr_str(struct ir_buf *node, const char *name, const char *v)
{
  struct ir_buf a = { 0 };
  w_str(&a, 1, name);
  w_str(&a, 4, v);
  w_int(&a, 20, 3);
  w_msg(node, 5, a);
}
/* graph becomes the model's; it is freed */
static inline struct ir_buf w_model(int64_t opset, struct ir_buf graph)
{
  struct ir_buf m = { 0 }, o = { 0 };
  w_int(&m, 1, 8);
  w_int(&o, 2, opset);
  w_msg(&m, 8, o);
  w_msg(&m, 7, graph);
  return m;
}
#endif
