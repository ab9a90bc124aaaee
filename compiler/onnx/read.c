/* Opening a model: map, strip (wire.c), unpack the rest with protobuf-c under a budget, load every tensor (tensor.c). */
#include "compiler/onnx/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- protobuf-c's allocator: the heap, with a limit; each block is preceded by its size ---- */
enum { BLOCK_HEAD = 16 };
static void *budget_alloc(void *arg, size_t n)
{
  struct onnx_budget *b = arg;
  if (n > b->left || n + BLOCK_HEAD > b->left) { b->spent = true; return NULL; }
  char *p = malloc(n + BLOCK_HEAD);
  if (!p) { b->spent = true; return NULL; }
  memcpy(p, &n, sizeof n);
  b->left -= n + BLOCK_HEAD;
  return p + BLOCK_HEAD;
}
static void budget_free(void *arg, void *p)
{
  struct onnx_budget *b = arg;
  size_t n;
  if (!p) return;
  memcpy(&n, (char *)p - BLOCK_HEAD, sizeof n);
  b->left += n + BLOCK_HEAD;
  free((char *)p - BLOCK_HEAD);
}
static bool unpack(struct onnx_file *f)
{
  struct ir_buf rest = { 0 };
  bool ok = onnx_wire_strip(f->diags, f->p, f->n, &onnx__model_proto__descriptor, &rest);
  if (ok) {
    /* An ordinary model takes 3 to 5 times its rest; a file of empty messages would take 50 times. */
    f->budget.left = ((size_t)64 << 20) + 12 * rest.n;
    f->alloc = (ProtobufCAllocator){ budget_alloc, budget_free, &f->budget };
    f->model = onnx__model_proto__unpack(&f->alloc, rest.n, (const uint8_t *)(rest.s ? rest.s : ""));
    if (!f->model && f->budget.spent) ok = ir_error(f->diags, IR_M0102, NULL, NULL, "the model's messages take more memory than %zu MiB", (((size_t)64 << 20) + 12 * rest.n) >> 20);
    else if (!f->model) ok = ir_error(f->diags, IR_M0101, NULL, NULL, "the file is damaged or not an ONNX model");
  }
  ir_buf_deinit(&rest);
  return ok;
}

/* ---- every tensor of the model; recursion is bounded by ONNX_MAX_DEPTH ---- */
static bool load_graph(struct onnx_file *f, const Onnx__GraphProto *g);

static bool load_one(struct onnx_file *f, Onnx__TensorProto *t, const char *where)
{
  if (!t) return true;
  struct onnx_tensor *x = IR_NEW(f->arena, struct onnx_tensor);
  bool ok = onnx_tensor_load(f, t, t->name && *t->name ? t->name : where, x);
  ir_push(f->arena, &f->tensors, x);
  t->left_field = f->tensors.n;
  return ok;
}
static bool load_attr(struct onnx_file *f, const Onnx__AttributeProto *a, const char *where)
{
  bool ok = load_one(f, a->t, where);
  for (size_t i = 0; i < a->n_tensors; i++) ok &= load_one(f, a->tensors[i], where);
  if (a->g) ok &= load_graph(f, a->g);
  for (size_t i = 0; i < a->n_graphs; i++) ok &= load_graph(f, a->graphs[i]);
  return ok;
}
static bool load_nodes(struct onnx_file *f, Onnx__NodeProto *const *nodes, size_t n)
{
  bool ok = true;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < nodes[i]->n_attribute; k++) {
      const char *where = nodes[i]->name && *nodes[i]->name ? nodes[i]->name : nodes[i]->op_type;
      ok &= load_attr(f, nodes[i]->attribute[k], where);
    }
  return ok;
}
static bool load_graph(struct onnx_file *f, const Onnx__GraphProto *g)
{
  bool ok = true;
  for (size_t i = 0; i < g->n_initializer; i++) ok &= load_one(f, g->initializer[i], NULL);
  return load_nodes(f, g->node, g->n_node) && ok;
}
static bool load_tensors(struct onnx_file *f)
{
  bool ok = load_graph(f, f->model->graph);
  for (size_t i = 0; i < f->model->n_functions; i++) {
    const Onnx__FunctionProto *fn = f->model->functions[i];
    ok &= load_nodes(f, fn->node, fn->n_node);
    for (size_t k = 0; k < fn->n_attribute_proto; k++) ok &= load_attr(f, fn->attribute_proto[k], fn->name);
  }
  return ok;
}
struct onnx_tensor *onnx_tensor_of(const struct onnx_file *f, const Onnx__TensorProto *t)
{
  IR_ASSERT(t->left_field >= 1 && t->left_field <= f->tensors.n);
  return f->tensors.v[t->left_field - 1];
}

/* ---- opening ---- */
static bool read_bytes(struct onnx_file *f)
{
  if (!f->n) return ir_error(f->diags, IR_M0101, NULL, NULL, "the file is empty");
  TRY(unpack(f));
  if (!f->model->graph) return ir_error(f->diags, IR_M0101, NULL, NULL, "there is no graph in it: not an ONNX model");
  return load_tensors(f) && onnx_external_check(f);
}
static struct onnx_file *finish(struct onnx_file *f)
{
  if (read_bytes(f)) return f;
  onnx_close(f);
  return NULL;
}
static const char *folder_of(struct ir_arena *a, const char *path)
{
  const char *slash = strrchr(path, '/');
  return !slash ? "." : slash == path ? "/" : ir_arena_strndup(a, path, (size_t)(slash - path));
}
struct onnx_file *onnx_read_bytes(struct ir_arena *a, struct ir_diags *d, const unsigned char *p, size_t n, const char *dir, const struct onnx_options *o)
{
  struct onnx_file *f = IR_NEW(a, struct onnx_file);
  *f = (struct onnx_file){ .arena = a, .diags = d, .root = dir && o && o->external_root ? o->external_root : dir, .root_named = o && o->external_root, .p = p, .n = n };
  return finish(f);
}
struct onnx_file *onnx_read(struct ir_arena *a, struct ir_diags *d, const char *path, const struct onnx_options *o)
{
  struct onnx_file *f = IR_NEW(a, struct onnx_file);
  const char *slash = strrchr(path, '/');
  *f = (struct onnx_file){ .arena = a, .diags = d, .path = ir_arena_strdup(a, path), .data_name = ir_arena_strdup(a, slash ? slash + 1 : path), .mapped = true };
  f->root_named = o && o->external_root;
  f->root = f->root_named ? o->external_root : folder_of(a, path);
  int err = ir_file_map(path, &f->map);
  if (err) { ir_error(d, IR_M0001, NULL, NULL, "cannot read the model: %s", strerror(err)); return NULL; }
  f->p = f->map.p;
  f->n = f->map.n;
  ir_push(a, &f->depfiles, f->path);
  return finish(f);
}
void onnx_close(struct onnx_file *f)
{
  if (!f) return;
  if (f->model) onnx__model_proto__free_unpacked(f->model, &f->alloc);
  f->model = NULL;
  onnx_external_close(f);
  if (f->mapped) ir_file_unmap(&f->map);
}
unsigned onnx_depfiles(const struct onnx_file *f, const char *const **out_paths)
{
  *out_paths = f->depfiles.v;
  return f->depfiles.n;
}
