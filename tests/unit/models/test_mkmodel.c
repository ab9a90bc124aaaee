/* The language of models/: expressions, statements, names, weights; what is wrong is refused; and the file is ONNX, as protobuf-c reads it. */
#include "models/mkmodel.h"
#include "onnx.pb-c.h"
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ir_arena *arena;
static char dir[] = "/tmp/mkmodel_XXXXXX";
static void setup(void) { arena = ir_arena_create(); }
static void teardown(void) { ir_arena_destroy(arena); }
static const char *file(const char *name, const char *text)
{
  const char *path = ir_arena_printf(arena, "%s/%s", dir, name);
  FILE *f = fopen(path, "wb");
  ck_assert_ptr_nonnull(f);
  fputs(text, f);
  fclose(f);
  return path;
}
static struct mk_model *build(const char *text) { return mk_build(arena, file("m.yaml", text), "m", NULL, 0); }

static const char *eval(const char *text)
{
  struct mk_scope s = { .arena = arena };
  struct ir_yaml at = { .file = "expression", .line = 1 };
  struct mk_val v, list[3] = { { .kind = MK_INT, .i = 3 }, { .kind = MK_INT, .i = 4 }, { .kind = MK_INT, .i = 23 } };
  struct ir_buf b = { 0 };
  mk_scope_set(&s, "n", (struct mk_val){ .kind = MK_INT, .i = 7 });
  mk_scope_set(&s, "order", (struct mk_val){ .kind = MK_STR, .s = "batch" });
  mk_scope_set(&s, "depth", (struct mk_val){ .kind = MK_LIST, .n = 3, .v = list });
  if (!mk_eval_text(&s, &at, text, &v)) return NULL;
  mk_val_print(&b, &v);
  const char *out = ir_arena_strdup(arena, b.s);
  ir_buf_deinit(&b);
  return out;
}
START_TEST(expressions)
{
  static const char *const row[][2] = {
    { "1 + 2*3", "7" }, { "(1 + 2)*3", "9" }, { "-n//2", "-4" }, { "-n % 4", "1" }, { "n/2", "3.5" }, { "1.5e1", "15" }, { "depth[2]", "23" }, { "[1, 2, 4][n - 6]", "2" },
    { "len(depth) + max(depth)", "26" }, { "min(n, 3, 5.5)", "3" }, { "sqrt(4.0)/4", "0.5" }, { "floor(2.7)", "2" }, { "ceil(2.1)", "3" }, { "range(3) + [9]", "[0, 1, 2, 9]" },
    { "n == 7 and not n > 8", "1" }, { "n < 7 or n != 7", "0" }, { "order", "batch" }, { "order == 'batch'", "1" }, { "order == 3", "0" }, { "'a' + 'b'", "ab" }, { "- - 3", "3" },
    { "9223372036854775807", "9223372036854775807" }, { "[]", "[]" }, { "[[1, 2], [3]]", "[[1, 2], [3]]" },
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    const char *v = eval(row[i][0]);
    ck_assert_msg(v && !strcmp(v, row[i][1]), "%s = %s, not %s", row[i][0], v ? v : "an error", row[i][1]);
  }
}
END_TEST
START_TEST(expressions_without_value)
{
  static const char *const wrong[] = {
    "", "1 +", "(1", "[1", "nosuch", "f(1)", "1/0", "1 % 0", "1 // 0", "depth[3]", "depth[-1]", "n[0]", "1 2", "'a", "9223372036854775807 + 1", "99999999999999999999", "order + 1",
    "order < 1", "sqrt(-1)", "range(-1)", "range(99999999)", "len(n)", "min()", "2.5 % 1", "@", "depth*2",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) ck_assert_msg(!eval(wrong[i]), "%s", wrong[i]);
  char deep[2001];
  memset(deep, '(', 2000);
  deep[2000] = 0;
  ck_assert_ptr_null(eval(deep));
}
END_TEST

/* What a transformer needs: shared weights, integer weights, several results, an operand left out, loops, conditions, blocks in blocks. */
static const char transformer[] =
  "opset: {\"\": 20, com.microsoft: 1}\n"
  "params: {batch: \"b\", seq: \"s\", layers: 2, width: 8, vocab: 11, tie: 1}\n"
  "inputs: [{name: ids, type: int64, dims: [batch, seq]}]\n"
  "outputs: [{name: logits, dims: [batch, seq, vocab]}, {name: hidden, value: h, dims: [batch, seq, width]}, {name: again, value: h, dims: [batch, seq, width]}]\n"
  "blocks:\n"
  "  linear:\n"
  "    params: {n: , cin: , cout: }\n"
  "    body:\n"
  "    - {op: MatMul, name: \"{n}\", weights: {weight: {dims: [cin, cout], init: lecun, fan: cin}}}\n"
  "    - {op: Add, name: \"{n}\", weights: {bias: {dims: [cout], init: {uniform: [-1, 1]}}}}\n"
  "  layer:\n"
  "    params: {c: 8}\n"
  "    body:\n"
  "    - {use: linear, with: {n: \"up\", cin: c, cout: 3*c}, out: y}\n"
  "    - {op: Split, name: split, in: y, out: [q, k, v], attrs: {axis: -1, num_outputs: 3}}\n"
  "    - {op: Add, in: [q, k], out: y}\n"
  "    - {op: Clip, in: [y, \"\", top], out: y, weights: {top: {value: 6.0}}}\n"
  "    - {op: Concat, in: [y, v], out: y, attrs: {axis: -1}}\n"
  "    - {use: linear, with: {n: \"down\", cin: 2*c, cout: c}, in: y, out: y}\n"
  "    - {op: Add, in: [x, y]}\n"
  "body:\n"
  "- {weights: {wte: {dims: [vocab, width], init: {normal: [0.0, 0.5]}}}, name: embed}\n"
  "- {op: Gather, name: embed, in: [wte, ids]}\n"
  "- for: {i: layers}\n"
  "  body: [{use: layer, name: \"h.{i}\", with: {c: width}}]\n"
  "- {op: FastGelu, domain: com.microsoft, in: [x], out: h, attrs: {note: \"layer {layers}\", f: [1, 0.5], s: [\"a\", \"b\"], alpha: 1.0}}\n"
  "- if: tie\n"
  "  then: [{op: Transpose, in: wte, out: w, attrs: {perm: [1, 0]}}]\n"
  "  else: [{weights: {w: {dims: [width, vocab]}}}]\n"
  "- {op: MatMul, name: head, in: [h, w]}\n"
  "- {op: Reshape, in: [x, shape], weights: {shape: {type: int64, dims: [3], value: [0, [0, vocab]]}}}\n";

static Onnx__ModelProto *unpack(const struct mk_model *m, uint64_t seed)
{
  char *bytes = NULL;
  size_t n = 0;
  FILE *f = open_memstream(&bytes, &n);
  ck_assert_int_eq(mk_write(m, seed, f, NULL), 0);
  fclose(f);
  Onnx__ModelProto *p = onnx__model_proto__unpack(NULL, n, (const uint8_t *)bytes);
  ck_assert_ptr_nonnull(p);
  ck_assert_uint_eq(onnx__model_proto__get_packed_size(p), n);        /* nothing was unknown or written in another way */
  free(bytes);
  return p;
}
static const Onnx__NodeProto *node(const Onnx__GraphProto *g, const char *name)
{
  for (size_t i = 0; i < g->n_node; i++)
    if (!strcmp(g->node[i]->name, name)) return g->node[i];
  ck_abort_msg("no node %s", name);
}
static const Onnx__TensorProto *tensor(const Onnx__GraphProto *g, const char *name)
{
  for (size_t i = 0; i < g->n_initializer; i++)
    if (!strcmp(g->initializer[i]->name, name)) return g->initializer[i];
  ck_abort_msg("no weight %s", name);
}
START_TEST(a_model_becomes_onnx)
{
  struct mk_model *m = build(transformer);
  ck_assert_ptr_nonnull(m);
  Onnx__ModelProto *p = unpack(m, 0);
  const Onnx__GraphProto *g = p->graph;
  ck_assert_uint_eq(p->n_opset_import, 2);
  ck_assert(p->opset_import[0]->version == 20 && !strcmp(p->opset_import[1]->domain, "com.microsoft"));
  ck_assert_uint_eq(g->n_node, 1 + 2 * 9 + 4 + 1);      /* and one Identity, for the value that is an output twice */
  const Onnx__NodeProto *n = node(g, "h.1.up/MatMul");
  ck_assert_str_eq(n->input[1], "h.1.up.weight");
  ck_assert_str_eq(n->input[0], node(g, "h.0/Add_1")->output[0]);
  n = node(g, "h.0/Clip");
  ck_assert(n->n_input == 3 && !*n->input[1] && !strcmp(n->input[2], "h.0.top"));
  n = node(g, "h.0.split/Split");
  ck_assert(n->n_output == 3 && n->attribute[0]->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT && n->attribute[0]->i == -1);
  n = node(g, "FastGelu");
  ck_assert_str_eq(n->domain, "com.microsoft");
  ck_assert_int_eq(memcmp(n->attribute[0]->s.data, "layer 2", 7), 0);
  ck_assert(n->attribute[1]->n_floats == 2 && n->attribute[1]->floats[1] == 0.5f);
  ck_assert(n->attribute[2]->n_strings == 2 && n->attribute[2]->strings[1].data[0] == 'b');
  ck_assert(n->attribute[3]->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT && n->attribute[3]->f == 1);
  ck_assert_str_eq(n->output[0], "hidden");
  ck_assert_str_eq(node(g, "head/MatMul")->input[0], "hidden");
  ck_assert_str_eq(node(g, "again/Identity")->input[0], "hidden");
  ck_assert_str_eq(node(g, "Transpose")->input[0], "embed.wte");
  ck_assert_str_eq(g->node[g->n_node - 2]->output[0], "logits");
  const Onnx__TensorProto *w = tensor(g, "shape");
  static const int64_t shape[3] = { 0, 0, 11 };
  ck_assert(w->data_type == MK_I64 && w->n_dims == 1 && w->dims[0] == 3 && w->raw_data.len == 24 && !memcmp(w->raw_data.data, shape, 24));
  ck_assert(tensor(g, "h.0.top")->n_dims == 0 && *(const float *)tensor(g, "h.0.top")->raw_data.data == 6);
  const Onnx__TensorShapeProto *dims = g->output[0]->type->tensor_type->shape;
  ck_assert(dims->n_dim == 3 && !strcmp(dims->dim[1]->dim_param, "s") && dims->dim[2]->dim_value == 11);
  ck_assert_int_eq(g->input[0]->type->tensor_type->elem_type, MK_I64);
  onnx__model_proto__free_unpacked(p, NULL);
}
END_TEST
START_TEST(external_data)
{
  struct mk_model *m = build("inputs: [{name: a, dims: [300]}]\noutputs: [{name: y, value: x, dims: [300]}]\nbody:\n- {op: Sum, in: [a, u, v, w], weights: {u: {dims: [1], init: ones},\n"
                             "    v: {dims: [300], init: he}, w: {dims: [3, 300], init: he}}}\n");
  ck_assert_ptr_nonnull(m);
  ck_assert_uint_eq(mk_payload(m), 4 + 1200 + 3600);
  char *bytes[2] = { 0 };
  size_t n[2];
  FILE *f = open_memstream(&bytes[0], &n[0]), *side = open_memstream(&bytes[1], &n[1]);
  ck_assert_int_eq(mk_write(m, 3, f, &(struct mk_side){ side, "m.onnx.data" }), 0);
  fclose(f);
  fclose(side);
  Onnx__ModelProto *p = onnx__model_proto__unpack(NULL, n[0], (const uint8_t *)bytes[0]), *all = unpack(m, 3);
  ck_assert_ptr_nonnull(p);
  ck_assert_uint_eq(n[1], 1216 + 3600);                               /* 1200 is no multiple of 64 */
  ck_assert_uint_eq(tensor(p->graph, "u")->raw_data.len, 4);         /* what is small stays */
  static const struct { const char *name, *offset, *length; size_t at; } row[] = { { "v", "0", "1200", 0 }, { "w", "1216", "3600", 1216 } };
  for (int i = 0; i < 2; i++) {
    const Onnx__TensorProto *t = tensor(p->graph, row[i].name), *in = tensor(all->graph, row[i].name);
    ck_assert(t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL && t->n_external_data == 3 && !t->raw_data.len);
    ck_assert_str_eq(t->external_data[0]->value, "m.onnx.data");
    ck_assert_str_eq(t->external_data[1]->value, row[i].offset);
    ck_assert_str_eq(t->external_data[2]->value, row[i].length);
    ck_assert(!memcmp(bytes[1] + row[i].at, in->raw_data.data, in->raw_data.len));
  }
  onnx__model_proto__free_unpacked(p, NULL);
  onnx__model_proto__free_unpacked(all, NULL);
  free(bytes[0]);
  free(bytes[1]);
}
END_TEST
START_TEST(over_2_GiB)
{
  struct mk_model *m = build("inputs: [{name: a, dims: [1]}]\noutputs: [{name: y, value: x, dims: [1]}]\nbody: [{op: Add, in: [a, w], weights: {w: {dims: [536870912], init: he}}}]\n");
  ck_assert_ptr_nonnull(m);
  FILE *f = fopen("/dev/null", "wb");
  ck_assert_int_eq(mk_write(m, 0, f, NULL), EFBIG);
  fclose(f);
}
END_TEST
START_TEST(an_attribute_is_a_tensor)
{
  struct mk_model *m = build("inputs: [{name: a, dims: [1]}]\noutputs: [{name: y, value: x, dims: [1]}]\nbody:\n"
                             "- {op: Constant, in: [], out: c, attrs: {value: {type: int64, dims: [2, 20], value: range(40)}}}\n"
                             "- {op: Constant, in: [], out: d, attrs: {value: {value: 2.5}}}\n- {op: Add, in: [c, d]}\n");
  ck_assert_ptr_nonnull(m);
  Onnx__ModelProto *p = unpack(m, 0);
  const Onnx__NodeProto *c = p->graph->node[0], *d = p->graph->node[1];
  ck_assert(!c->n_input && c->attribute[0]->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR && !strcmp(c->attribute[0]->name, "value"));
  const Onnx__TensorProto *t = c->attribute[0]->t;
  ck_assert(t->n_dims == 2 && t->dims[1] == 20 && t->data_type == MK_I64 && t->raw_data.len == 320);
  for (int64_t i = 0; i < 40; i++) ck_assert(!memcmp(t->raw_data.data + 8 * i, &i, 8));
  float v;
  t = d->attribute[0]->t;
  ck_assert(!t->n_dims && t->data_type == MK_F32 && t->raw_data.len == 4);
  memcpy(&v, t->raw_data.data, 4);
  ck_assert(v == 2.5f);
  onnx__model_proto__free_unpacked(p, NULL);
}
END_TEST
START_TEST(overrides)
{
  struct mk_override o[] = { { "batch", "4", false }, { "seq", "time", false }, { "layers", "1", false }, { "tie", "0", false } };
  struct mk_model *m = mk_build(arena, file("m.yaml", transformer), "m", o, 4);
  ck_assert_ptr_nonnull(m);
  ck_assert(m->inputs.v[0].dim[0].i == 4 && !strcmp(m->inputs.v[0].dim[1].s, "time"));
  ck_assert_uint_eq(m->nodes.n, 1 + 9 + 3 + 1);
  struct mk_override bad[] = { { "nosuch", "4", false } };
  ck_assert_ptr_null(mk_build(arena, file("m.yaml", transformer), "m", bad, 1));
  struct mk_override worse[] = { { "layers", "4+", false } };
  ck_assert_ptr_null(mk_build(arena, file("m.yaml", transformer), "m", worse, 1));
}
END_TEST
START_TEST(a_base)
{
  file("base.yaml", "params: {n: 2, m: n + 1}\ninputs: [{name: a, dims: [m]}]\noutputs: [{name: y, value: a, dims: [m]}]\nbody: []\n");
  struct mk_model *m = build("base: base.yaml\nparams: {n: 5}\n");
  ck_assert_ptr_nonnull(m);
  ck_assert_int_eq(m->inputs.v[0].dim[0].i, 6);
  ck_assert_str_eq(m->nodes.v[0].op, "Identity");
  ck_assert_ptr_null(build("base: m.yaml\n"));          /* its own base */
  ck_assert_ptr_null(build("base: nosuch.yaml\n"));
}
END_TEST

/* ---- weights ---- */
START_TEST(an_element_depends_on_its_number_alone)
{
  enum { N = 1000 };
  struct mk_weight w = { .name = "w", .elem = MK_F32, .elems = N, .init = MK_NORMAL, .b = 2 };
  float all[N], one, other[N];
  uint64_t key = mk_weight_key(5, "w");
  mk_weight_fill(&w, key, 0, N, all);
  for (int i = N; i-- > 0;) { mk_weight_fill(&w, key, i, 1, &one); ck_assert(one == all[i]); }
  mk_weight_fill(&w, mk_weight_key(6, "w"), 0, N, other);
  ck_assert(memcmp(all, other, sizeof all));
  mk_weight_fill(&w, mk_weight_key(5, "v"), 0, N, other);
  ck_assert(memcmp(all, other, sizeof all));
}
END_TEST
START_TEST(moments)
{
  enum { N = 1 << 20 };
  float *v = malloc(N * sizeof *v);
  struct mk_weight w = { .name = "w", .elem = MK_F32, .elems = N, .init = MK_NORMAL, .a = 1, .b = 0.5 };
  mk_weight_fill(&w, mk_weight_key(1, "w"), 0, N, v);
  double s = 0, s2 = 0, lag = 0;
  for (int i = 0; i < N; i++) { double x = v[i] - 1.0; s += x; s2 += x * x; lag += i ? x * (v[i - 1] - 1.0) : 0; }
  ck_assert(fabs(s / N) < 0.5 * 4 / sqrt(N));             /* 4 deviations of the mean */
  ck_assert(fabs(s2 / N / 0.25 - 1) < 0.01);
  ck_assert(fabs(lag / N / 0.25) < 0.005);                /* neighbours are independent */
  w.init = MK_UNIFORM;
  w.a = -1;
  w.b = 3;
  mk_weight_fill(&w, mk_weight_key(1, "w"), 0, N, v);
  s = s2 = 0;
  for (int i = 0; i < N; i++) { ck_assert(v[i] >= -1 && v[i] <= 3); s += v[i]; s2 += ((double)v[i] - 1) * (v[i] - 1); }
  ck_assert(fabs(s / N - 1) < 0.006 && fabs(s2 / N - 16 / 12.0) < 0.01);
  free(v);
}
END_TEST
START_TEST(same_seed_same_bytes)
{
  struct mk_model *m = build(transformer);
  Onnx__ModelProto *a = unpack(m, 3), *b = unpack(m, 3), *c = unpack(m, 4);
  for (size_t i = 0; i < a->graph->n_initializer; i++) {
    ProtobufCBinaryData x = a->graph->initializer[i]->raw_data, y = b->graph->initializer[i]->raw_data, z = c->graph->initializer[i]->raw_data;
    ck_assert(x.len == y.len && !memcmp(x.data, y.data, x.len));
    bool random = strstr(a->graph->initializer[i]->name, "bias") != NULL;
    if (random) ck_assert(memcmp(x.data, z.data, x.len));
  }
  onnx__model_proto__free_unpacked(a, NULL);
  onnx__model_proto__free_unpacked(b, NULL);
  onnx__model_proto__free_unpacked(c, NULL);
}
END_TEST

#define IO "inputs: [{name: a, dims: [2]}]\noutputs: [{name: y, value: x, dims: [2]}]\n"
START_TEST(what_is_wrong_is_refused)
{
  static const char *const wrong[] = {
    "", "[", "just text", "- a\n- b", "inputs: []", IO, IO "body: 3", IO "body: []", IO "body: [3]", IO "body: [{op: Relu}]", IO "body: [{op: Relu, in: a, nosuch: 1}]",
    IO "body: [{use: nosuch, in: a}]", IO "body: [{nosuch: 1}]", IO "body: [{op: Relu, in: a, attrs: {k: [1, \"a\"]}}]", IO "body: [{op: Relu, in: a, attrs: {k: [[1]]}}]",
    IO "body: [{op: Relu, in: a, weights: {w: {dims: [-1]}}}]", IO "body: [{op: Relu, in: a, weights: {w: {dims: [9223372036854775807, 9]}}}]",
    IO "body: [{op: Relu, in: a, weights: {w: {dims: [2], init: nosuch}}}]", IO "body: [{op: Relu, in: a, weights: {w: {dims: [2], value: [1]}}}]",
    IO "body: [{op: Relu, in: a, weights: {w: {dims: [2], value: [1, 2, 3]}}}]", IO "body: [{op: Relu, in: a, weights: {w: {dims: [2], type: float7}}}]",
    IO "body: [{op: Relu, in: a, weights: {a: {dims: [2]}}}]", IO "body: [{weights: {w: {dims: [1], init: {he: \"x\"}}}}]", IO "body: [{set: {x: nosuch}}]", IO "body: [{for: {i: -1}, body: []}]",
    IO "body: [{for: {i: 1}}]", IO "body: [{if: \"yes\", then: []}]", IO "body: [{op: Relu, in: a, name: \"{\"}]", IO "body: [{op: Relu, in: a, name: \"{1 +}\"}]",
    IO "body: &b [{for: {i: 2}, body: *b}]", IO "body: [{for: {i: 100000}, body: [{for: {j: 100000}, body: []}]}]",
    IO "blocks: {f: {body: [{use: f}]}}\nbody: [{use: f, in: a}]", IO "blocks: {f: {body: [], in: [p, q]}}\nbody: [{use: f, in: a}]",
    IO "blocks: {f: {params: {n: }, body: []}}\nbody: [{use: f, in: a}]", IO "blocks: {f: {body: [], in: p}}\nbody: [{use: f, in: a}]",
    IO "blocks: {f: {body: []}}\nbody: [{use: f, in: a, with: {n: 1}}]", IO "body: [{op: Relu, in: a}]\nbody: []", IO "params: {v: \"{w}\"}\nbody: [{op: Relu, in: a}]",
    "inputs: [{name: a, dims: 2}]\noutputs: []\nbody: []", "inputs: [{name: a, dims: [1.5]}]\noutputs: []\nbody: []", "inputs: [{name: a, dims: [1]}, {name: a, dims: [1]}]\noutputs: []\nbody: []",
    IO "body: [{op: Relu, in: a, attrs: {t: {dims: [1]}}}]", IO "body: [{op: Relu, in: a, attrs: {t: {init: ones}}}]", IO "body: [{op: Relu, in: a, attrs: {t: {dims: [2], value: 1}}}]",
    IO "body: [{set: {v: [1]}}, {for: {i: 30}, body: [{set: {v: [v]}}]}, {op: Relu, in: a}]",
  };
  ck_assert_ptr_nonnull(build(IO "body: [{op: Relu, in: a}]"));
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) ck_assert_msg(!build(wrong[i]), "accepted: %s", wrong[i]);
}
END_TEST
int main(void)
{
  if (!mkdtemp(dir) || !freopen("/dev/null", "w", stderr)) return 99;
  Suite *s = suite_create("mkmodel");
  TCase *c = tcase_create("mkmodel");
  tcase_set_timeout(c, 60);
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, expressions);
  tcase_add_test(c, expressions_without_value);
  tcase_add_test(c, a_model_becomes_onnx);
  tcase_add_test(c, external_data);
  tcase_add_test(c, over_2_GiB);
  tcase_add_test(c, an_attribute_is_a_tensor);
  tcase_add_test(c, overrides);
  tcase_add_test(c, a_base);
  tcase_add_test(c, an_element_depends_on_its_number_alone);
  tcase_add_test(c, moments);
  tcase_add_test(c, same_seed_same_bytes);
  tcase_add_test(c, what_is_wrong_is_refused);
  suite_add_tcase(s, c);
  SRunner *r = srunner_create(s);
  srunner_set_tap(r, "-");
  srunner_run_all(r, CK_SILENT);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  const char *names[] = { "m.yaml", "base.yaml" };
  for (int i = 0; i < 2; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    unlink(path);
  }
  rmdir(dir);
  return failed != 0;
}
