/* What the files of compiler/onnx share: the stripped wire form, the open file, tensors. The importer's own header is import.h. */
#ifndef MASSC_ONNX_INTERNAL_H
#define MASSC_ONNX_INTERNAL_H
#include "compiler/onnx/onnx.h"
#include "onnx.pb-c.h"

/* ---- wire.c ---- */
enum {
  ONNX_MAX_DEPTH = 128,              /* of messages; a graph within a graph takes three (graph, node, attribute) */
  ONNX_MAX_MESSAGES = 8 << 20,
  ONNX_LEFT_BYTES = 4096,            /* longer tensor payloads stay in the file */
};
#define ONNX_MAX_REST ((size_t)512 << 20)
/* Checks the wire form of a message of type `top` and writes the same message without unknown fields and without tensor payloads over ONNX_LEFT_BYTES to
 * `rest` (heap; the caller frees it). No recursion. False with M0101 (damaged) or M0102 (too deep, too many, too large). */
bool onnx_wire_strip(struct ir_diags *d, const unsigned char *p, size_t n, const ProtobufCMessageDescriptor *top, struct ir_buf *rest);
/* One base-128 number at *p, not past end; at most 10 bytes, no bits beyond 64. */
bool onnx_wire_varint(const unsigned char **p, const unsigned char *end, uint64_t *out);

/* ---- tensor.c ---- */
struct onnx_tensor {
  const Onnx__TensorProto *proto;
  const char *name;                  /* NULL: none */
  const char *why;                   /* why massc cannot use it (strings, sub-byte elements ..), or NULL; then only type and shape are set */
  enum ir_elem elem;
  unsigned rank;
  int64_t dim[IR_MAX_RANK], elems;
  struct ir_data data;               /* bytes in the mapping, the message or the arena */
  uint32_t number;                   /* in the file */
};
/* ONNX's TensorProto.DataType. False: massc has no such element; *why says it in words. */
bool onnx_elem(int32_t data_type, enum ir_elem *out, const char **why);
/* Fills out from the message; false with M0103, M0106, M0201 or M0001. `where` names the tensor or its node in the diagnostic. */
bool onnx_tensor_load(struct onnx_file *f, const Onnx__TensorProto *t, const char *where, struct onnx_tensor *out);

/* ---- external.c ---- */
struct onnx_mapped { const char *location, *path; struct ir_mapping map; uint64_t device, inode; };
/* Opens `location` beneath the root folder, once per file. False with M0106 or M0001. */
bool onnx_external_map(struct onnx_file *f, const char *location, const char *where, const struct onnx_mapped **out);
/* Once all tensors are loaded: two that share some of their bytes, but not all, are refused with M0103. */
bool onnx_external_check(struct onnx_file *f);
void onnx_external_close(struct onnx_file *f);

/* ---- read.c ---- */
struct onnx_budget { size_t left; bool spent; };
struct onnx_file {
  struct ir_arena *arena;
  struct ir_diags *diags;
  const char *path, *root;           /* root NULL: external data is refused */
  bool root_named;                   /* by the user (--external-root) */
  const char *data_name;             /* how constants in the model's own file name it; NULL: from memory */
  struct ir_mapping map;
  const unsigned char *p;
  size_t n;
  bool mapped;
  Onnx__ModelProto *model;
  ProtobufCAllocator alloc;
  struct onnx_budget budget;
  uint64_t typed_bytes;              /* made of *_data fields so far */
  IR_VEC(struct onnx_mapped *) externals;
  IR_VEC(const char *) depfiles;
  IR_VEC(struct onnx_tensor *) tensors;   /* TensorProto.left_field is the number in here + 1, once all are loaded */
};
struct onnx_tensor *onnx_tensor_of(const struct onnx_file *f, const Onnx__TensorProto *t);
#endif
