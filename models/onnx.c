/* ONNX's wire format (onnx.proto of the ONNX project; protocol buffers, proto2). Field numbers stand at each call. The weights are neither held nor built up:
 * a message's length must precede it, so lengths are computed from the shapes, and the payloads are made a piece at a time while they are written. */
#include "models/mkmodel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, BYTES = 2, FIXED32 = 5, PIECE = 1 << 18, ALIGN = 64, SIDE_MIN = 1024 };
static void varint(struct ir_buf *b, uint64_t v)
{
  unsigned char c;
  do {
    c = (unsigned char)(v & 127);
    v >>= 7;
    if (v) c |= 128;
    ir_buf_add(b, &c, 1);
  } while (v);
}
static void tag(struct ir_buf *b, unsigned field, unsigned wire) { varint(b, field << 3 | wire); }
static void put_int(struct ir_buf *b, unsigned field, int64_t v) { tag(b, field, VARINT); varint(b, (uint64_t)v); }
static void put_bytes(struct ir_buf *b, unsigned field, const void *p, size_t n) { tag(b, field, BYTES); varint(b, n); ir_buf_add(b, p, n); }
static void put_str(struct ir_buf *b, unsigned field, const char *s) { put_bytes(b, field, s, strlen(s)); }
static void put_float(struct ir_buf *b, unsigned field, double v)
{
  float f = (float)v;
  tag(b, field, FIXED32);
  ir_buf_add(b, &f, 4);
}
static void put_message(struct ir_buf *b, unsigned field, struct ir_buf *m)
{
  put_bytes(b, field, m->s, m->n);
  ir_buf_deinit(m);
}

/* TensorProto: dims 1, data_type 2, name 8, raw_data 9, external_data 13 {key 1, value 2}, data_location 14 (1: external) */
static void put_form(struct ir_buf *b, const struct mk_weight *w)
{
  for (unsigned i = 0; i < w->rank; i++) put_int(b, 1, w->dim[i]);
  put_int(b, 2, w->elem);
}
static void put_given(struct ir_buf *b, unsigned field, const struct mk_weight *w)   /* a small tensor with its elements */
{
  struct ir_buf m = { 0 };
  int64_t piece[32];
  put_form(&m, w);
  tag(&m, 9, BYTES);
  varint(&m, (uint64_t)w->bytes);
  for (int64_t i = 0; i < w->elems; i += 32) {
    int64_t n = w->elems - i < 32 ? w->elems - i : 32;
    mk_weight_fill(w, 0, i, n, piece);
    ir_buf_add(&m, piece, (size_t)n * mk_elem_bytes(w->elem));
  }
  put_message(b, field, &m);
}
/* AttributeProto: name 1, f 2, i 3, s 4, t 5, floats 7, ints 8, strings 9, type 20 */
static void put_attr(struct ir_buf *b, const struct mk_attr *a)
{
  enum { FLOAT = 1, INT = 2, STRING = 3, TENSOR = 4, FLOATS = 6, INTS = 7, STRINGS = 8 };
  struct ir_buf m = { 0 };
  const struct mk_val *v = &a->v;
  put_str(&m, 1, a->key);
  if (a->tensor) { put_given(&m, 5, a->tensor); put_int(&m, 20, TENSOR); }
  else if (v->kind == MK_INT) { put_int(&m, 3, v->i); put_int(&m, 20, INT); }
  else if (v->kind == MK_FLOAT) { put_float(&m, 2, v->f); put_int(&m, 20, FLOAT); }
  else if (v->kind == MK_STR) { put_str(&m, 4, v->s); put_int(&m, 20, STRING); }
  else {
    bool floats = false, strings = false;
    for (unsigned i = 0; i < v->n; i++) { floats |= v->v[i].kind == MK_FLOAT; strings |= v->v[i].kind == MK_STR; }
    for (unsigned i = 0; i < v->n; i++) {
      const struct mk_val *e = &v->v[i];
      if (strings) put_str(&m, 9, e->s);
      else if (floats) put_float(&m, 7, e->kind == MK_INT ? (double)e->i : e->f);
      else put_int(&m, 8, e->i);
    }
    put_int(&m, 20, strings ? STRINGS : floats ? FLOATS : INTS);
  }
  put_message(b, 5, &m);
}
/* NodeProto: input 1, output 2, name 3, op_type 4, attribute 5, domain 7 */
static void put_node(struct ir_buf *b, const struct mk_node *n)
{
  struct ir_buf m = { 0 };
  for (unsigned i = 0; i < n->n_in; i++) put_str(&m, 1, n->in[i]);
  for (unsigned i = 0; i < n->n_out; i++) put_str(&m, 2, n->out[i]);
  put_str(&m, 3, n->name);
  put_str(&m, 4, n->op);
  for (unsigned i = 0; i < n->n_attr; i++) put_attr(&m, &n->attr[i]);
  if (*n->domain) put_str(&m, 7, n->domain);
  put_message(b, 1, &m);
}
/* ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; Tensor: elem_type 1, shape 2; TensorShapeProto: dim 1; Dimension: dim_value 1, dim_param 2 */
static void put_io(struct ir_buf *b, unsigned field, const struct mk_io *v)
{
  struct ir_buf m = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 };
  ir_buf_add(&shape, "", 0);
  for (unsigned i = 0; i < v->rank; i++) {
    struct ir_buf dim = { 0 };
    if (v->dim[i].kind == MK_INT) put_int(&dim, 1, v->dim[i].i);
    else put_str(&dim, 2, v->dim[i].s);
    put_message(&shape, 1, &dim);
  }
  put_int(&tensor, 1, v->elem);
  put_message(&tensor, 2, &shape);
  put_message(&type, 1, &tensor);
  put_str(&m, 1, v->name);
  put_message(&m, 2, &type);
  put_message(b, field, &m);
}
/* A weight's message without its payload, whose place is told where it lies outside. at: the end of the side file so far. */
static bool is_outside(const struct mk_weight *w, const struct mk_side *side) { return side && w->bytes >= SIDE_MIN; }
static uint64_t side_place(uint64_t at) { return (at + ALIGN - 1) / ALIGN * ALIGN; }
static void put_entry(struct ir_buf *b, const char *key, const char *value)
{
  struct ir_buf m = { 0 };
  put_str(&m, 1, key);
  put_str(&m, 2, value);
  put_message(b, 13, &m);
}
static void put_number(struct ir_buf *b, const char *key, uint64_t v)
{
  char s[24];
  snprintf(s, sizeof s, "%llu", (unsigned long long)v);
  put_entry(b, key, s);
}
static void put_weight_head(struct ir_buf *b, const struct mk_weight *w, const struct mk_side *side, uint64_t at)
{
  struct ir_buf m = { 0 };
  bool outside = is_outside(w, side);
  put_form(&m, w);
  put_str(&m, 8, w->name);
  if (outside) {
    put_entry(&m, "location", side->location);
    put_number(&m, "offset", side_place(at));
    put_number(&m, "length", (uint64_t)w->bytes);
    put_int(&m, 14, 1);
  } else {
    tag(&m, 9, BYTES);
    varint(&m, (uint64_t)w->bytes);
  }
  tag(b, 5, BYTES);
  varint(b, m.n + (outside ? 0 : (uint64_t)w->bytes));
  ir_buf_add(b, m.s, m.n);
  ir_buf_deinit(&m);
}
static bool write_buf(FILE *f, const struct ir_buf *b) { return fwrite(b->s, 1, b->n, f) == b->n; }
static bool write_payload(FILE *f, const struct mk_weight *w, uint64_t seed, void *piece)
{
  unsigned size = mk_elem_bytes(w->elem);
  uint64_t key = mk_weight_key(seed, w->name);
  for (int64_t i = 0; i < w->elems;) {
    int64_t n = w->elems - i < PIECE ? w->elems - i : PIECE;
    mk_weight_fill(w, key, i, n, piece);
    if (fwrite(piece, size, (size_t)n, f) != (size_t)n) return false;
    i += n;
  }
  return true;
}
static bool write_weight(FILE *f, const struct mk_weight *w, uint64_t seed, const struct mk_side *side, uint64_t *at, void *piece)
{
  static const char zeros[ALIGN];
  struct ir_buf b = { 0 };
  put_weight_head(&b, w, side, *at);
  bool ok = write_buf(f, &b);
  ir_buf_deinit(&b);
  if (!ok || !is_outside(w, side)) return ok && write_payload(f, w, seed, piece);
  size_t gap = (size_t)(side_place(*at) - *at);
  *at += gap + (uint64_t)w->bytes;
  return fwrite(zeros, 1, gap, side->f) == gap && write_payload(side->f, w, seed, piece);
}
uint64_t mk_payload(const struct mk_model *m)
{
  uint64_t n = 0;
  for (uint32_t i = 0; i < m->weights.n; i++)
    if (!ir_add64((int64_t)n, m->weights.v[i].bytes, (int64_t *)&n)) return INT64_MAX;
  return n;
}
static int graph_size(const struct mk_model *m, const struct mk_side *side, uint64_t *bytes)   /* adds the weights' messages; 0 or EFBIG */
{
  uint64_t at = 0;
  for (uint32_t i = 0; i < m->weights.n; i++) {
    const struct mk_weight *w = &m->weights.v[i];
    struct ir_buf b = { 0 };
    put_weight_head(&b, w, side, at);
    *bytes += b.n;
    ir_buf_deinit(&b);
    if (is_outside(w, side)) at = side_place(at) + (uint64_t)w->bytes;
    else *bytes += (uint64_t)w->bytes;
    if (*bytes > INT32_MAX || at > INT64_MAX) return EFBIG;
  }
  return 0;
}
/* GraphProto: node 1, name 2, initializer 5, input 11, output 12. ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8 {domain 1, version 2} */
int mk_write(const struct mk_model *m, uint64_t seed, FILE *f, const struct mk_side *side)
{
  struct ir_buf head = { 0 }, nodes = { 0 }, ios = { 0 }, tail = { 0 };
  uint64_t graph_bytes, at = 0;
  int err;
  for (uint32_t i = 0; i < m->nodes.n; i++) put_node(&nodes, &m->nodes.v[i]);
  put_str(&nodes, 2, m->name);
  for (uint32_t i = 0; i < m->inputs.n; i++) put_io(&ios, 11, &m->inputs.v[i]);
  for (uint32_t i = 0; i < m->outputs.n; i++) put_io(&ios, 12, &m->outputs.v[i]);
  graph_bytes = nodes.n + ios.n;
  err = graph_size(m, side, &graph_bytes);
  put_int(&head, 1, 8);                              /* IR version 8: opsets up to 18 and beyond, no initialiser needs to be an input */
  put_str(&head, 2, "mkmodel");
  tag(&head, 7, BYTES);
  varint(&head, graph_bytes);
  for (uint32_t i = 0; i < m->opsets.n; i++) {
    struct ir_buf b = { 0 };
    if (*m->opsets.v[i].domain) put_str(&b, 1, m->opsets.v[i].domain);
    put_int(&b, 2, m->opsets.v[i].version);
    put_message(&tail, 8, &b);
  }
  void *piece = malloc((size_t)PIECE * 8);
  if (!piece) err = ENOMEM;
  errno = 0;
  if (!err && (!write_buf(f, &head) || !write_buf(f, &nodes))) err = errno ? errno : EIO;
  for (uint32_t i = 0; !err && i < m->weights.n; i++)
    if (!write_weight(f, &m->weights.v[i], seed, side, &at, piece)) err = errno ? errno : EIO;
  if (!err && (!write_buf(f, &ios) || !write_buf(f, &tail) || fflush(f) || (side && fflush(side->f)))) err = errno ? errno : EIO;
  free(piece);
  ir_buf_deinit(&head);
  ir_buf_deinit(&nodes);
  ir_buf_deinit(&ios);
  ir_buf_deinit(&tail);
  return err;
}
