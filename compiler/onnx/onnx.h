/* compiler/onnx: the frontend, the door of this folder.
 *
 * Owns: the schema (onnx.proto, written from ONNX's field numbers), the reader (bounded walk of the wire format, payloads left in the mapped file, external
 *       data beneath the model's folder), the importer (one table of operator rows).
 * Needs: ir, protobuf-c.  Never: optimises, knows targets. */
#ifndef MASSC_ONNX_H
#define MASSC_ONNX_H
#include "ir/ir.h"

/* ---- reader: bytes -> message tree ---- */
struct onnx_file;                                      /* keeps mappings alive; everything lies in the arena given */
struct onnx_options {
  const char *external_root;                           /* NULL: the model's folder */
  struct { const char *name; int64_t lo, hi, by; } dims[32]; unsigned n_dims;   /* --dim: lo == hi binds */
  struct { const char *input; unsigned rank; int64_t dim[IR_MAX_RANK]; /* -1: dynamic */ } shapes[32]; unsigned n_shapes; /* --shape */
};
/* Maps and reads a model. NULL with diagnostics: M0001, M0101, M0102, M0103, M0106. */
struct onnx_file *onnx_read(struct ir_arena *a, struct ir_diags *d, const char *path, const struct onnx_options *o);
/* The same from memory (fuzzing; external data is refused when dir is NULL). */
struct onnx_file *onnx_read_bytes(struct ir_arena *a, struct ir_diags *d, const unsigned char *p, size_t n, const char *dir, const struct onnx_options *o);
/* Writes docs/support.md: every operator of ai.onnx, the opsets that changed it, supported or the reason why not. */
void onnx_list_operators(FILE *out);
const char *onnx_check_lists(struct ir_arena *a);      /* a fault in the lists of operators, for the tests; NULL: none */
void onnx_close(struct onnx_file *f);                  /* unmaps; constants of the module die with it */
unsigned onnx_depfiles(const struct onnx_file *f, const char *const **out_paths);     /* model first, then external data */

/* ---- importer: message tree -> graph IR ---- */
/* NULL with diagnostics; every unsupported node is reported, not only the first. */
struct ir_module *onnx_import(struct ir_arena *a, struct ir_diags *d, struct onnx_file *f, const struct onnx_options *o);
#endif
