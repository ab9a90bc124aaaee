/* massc-eval MODEL.onnx [IN.pb ..] [-o OUT.pb ..]: runs a model through the importer and the reference evaluator.
 *
 * Inputs and outputs are ONNX TensorProtos in the model's order. Without -o the graph is printed instead. For tests: it shows what the importer means, without
 * passes, kernels or a compiler. Exit: 0, 1 a diagnostic, 2 usage, 74 a file. */
#include "compiler/onnx/internal.h"
#include <stdlib.h>
#include <string.h>

static int data_type(enum ir_elem e)
{
  const char *why;
  enum ir_elem x;
  for (int t = 1; t < 32; t++)
    if (onnx_elem(t, &x, &why) && x == e) return t;
  return 0;
}
static struct ir_tensor *read_tensor(struct ir_arena *a, struct ir_diags *d, const char *path, const struct ir_type *want)
{
  struct ir_mapping map;
  struct onnx_file f = { .arena = a, .diags = d };
  struct ir_buf rest = { 0 };
  struct onnx_tensor t;
  int err = ir_file_map(path, &map);
  if (err) { ir_error(d, IR_M0001, NULL, NULL, "%s: %s", path, strerror(err)); return NULL; }
  f.p = map.p;
  f.n = map.n;
  Onnx__TensorProto *p = onnx_wire_strip(d, map.p, map.n, &onnx__tensor_proto__descriptor, &rest) ? onnx__tensor_proto__unpack(NULL, rest.n, (uint8_t *)(rest.s ? rest.s : "")) : NULL;
  ir_buf_deinit(&rest);
  if (!p || !onnx_tensor_load(&f, p, path, &t)) return NULL;
  if (t.why || t.elem != want->elem) { ir_error(d, IR_M0202, NULL, NULL, "%s: the model wants %s, the file holds %s", path, ir_type_str(a, want), t.why ? t.why : ir_elem_name(t.elem)); return NULL; }
  struct ir_tensor *x = ir_tensor_create(a, t.elem, t.rank, t.dim);
  if (x && t.elems) ir_tensor_from_bytes(x, t.data.p);
  onnx__tensor_proto__free_unpacked(p, NULL);
  return x;
}
static bool write_tensor(struct ir_diags *d, const char *path, const struct ir_tensor *t)
{
  Onnx__TensorProto p = ONNX__TENSOR_PROTO__INIT;
  size_t bytes = (size_t)t->n * ir_elem_bytes(t->elem);
  p.n_dims = t->rank;
  p.dims = (int64_t *)t->dim;
  p.has_data_type = p.has_raw_data = true;
  p.data_type = data_type(t->elem);
  p.raw_data = (ProtobufCBinaryData){ bytes, calloc(bytes + 1, 1) };
  ir_tensor_to_bytes(t, p.raw_data.data);
  uint8_t *out = malloc(onnx__tensor_proto__get_packed_size(&p) + 1);
  size_t n = onnx__tensor_proto__pack(&p, out);
  FILE *f = fopen(path, "wb");
  bool ok = f && fwrite(out, 1, n, f) == n;
  ok &= f && !fclose(f);
  free(out);
  free(p.raw_data.data);
  return ok || ir_error(d, IR_M0002, NULL, NULL, "%s cannot be written", path);
}
static bool evaluate(struct ir_arena *a, struct ir_diags *d, struct ir_module *m, char **in, unsigned n_in, char **out, unsigned n_out)
{
  struct ir_graph *g = m->main;
  if (n_in != g->params.n || n_out > g->results.n) {
    fprintf(stderr, "massc-eval: the model has %u inputs and %u outputs\n", g->params.n, g->results.n);
    exit(IR_EXIT_USAGE);
  }
  struct ir_tensor **ins = IR_NEWN(a, struct ir_tensor *, n_in), **outs = IR_NEWN(a, struct ir_tensor *, g->results.n);
  for (unsigned i = 0; i < n_in; i++) TRY((ins[i] = read_tensor(a, d, in[i], g->params.v[i]->type)) != NULL);
  TRY(ir_eval(a, g, ins, n_in, outs));
  for (unsigned i = 0; i < n_out; i++) TRY(write_tensor(d, out[i], outs[i]));
  return true;
}
int main(int argc, char **argv)
{
  int o = 2;
  if (argc < 2) { fprintf(stderr, "usage: massc-eval MODEL.onnx [IN.pb ..] [-o OUT.pb ..]\n"); return IR_EXIT_USAGE; }
  while (o < argc && strcmp(argv[o], "-o")) o++;
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .out = stderr, .file = argv[1] };
  struct onnx_file *f = onnx_read(a, &d, argv[1], NULL);
  struct ir_module *m = f ? onnx_import(a, &d, f, NULL) : NULL;
  const char *why = NULL;
  if (m && !ir_verify(m, IR_P_IMPORTED, &why)) ir_bug("massc-eval", "the imported graph does not verify: %s", why);
  if (m && o == argc) {
    struct ir_buf b = { 0 };
    ir_print(&b, m);
    fwrite(b.s, 1, b.n, stdout);
    ir_buf_deinit(&b);
  } else if (m) evaluate(a, &d, m, argv + 2, (unsigned)o - 2, argv + o + 1, (unsigned)(argc - o - 1));
  onnx_close(f);
  ir_arena_destroy(a);
  int status = d.errors ? d.status : 0;
  ir_buf_deinit(&d.first);
  return status;
}
