/* the importer: names, order, symbols, functions, subgraphs, what operators mean at the edges of their versions */
#include "compiler/onnx/onnx.h"
#include "wire_make.h"
#include "tests/unit/tap.h"
#include <stdlib.h>

static struct ir_arena *arena;
static struct ir_diags diags;
static struct onnx_options options;
static struct onnx_file *file;
static void setup(void) { arena = ir_arena_create(); diags = (struct ir_diags){ .file = "m.onnx" }; options = (struct onnx_options){ 0 }; file = NULL; }
static void teardown(void) { onnx_close(file); ir_arena_destroy(arena); ir_buf_deinit(&diags.first); }
static void again(void) { teardown(); setup(); }

/* ---- making models ---- */
static struct ir_buf graph;
static void begin(void) { graph = (struct ir_buf){ 0 }; }
static void input(const char *name, unsigned rank, const int64_t *dim) { w_msg(&graph, 11, w_value(name, 1, rank, dim)); }
static void output(const char *name) { w_msg(&graph, 12, w_value(name, 1, 0, NULL)); }
static void ints(const char *name, unsigned n, const int64_t *v) { w_msg(&graph, 5, w_tensor(name, 7, 1, (int64_t[]){ n }, v, 8 * n)); }
static void floats(const char *name, unsigned rank, const int64_t *dim, const float *v, unsigned n) { w_msg(&graph, 5, w_tensor(name, 1, rank, dim, v, 4 * n)); }
static void node(struct ir_buf n) { w_msg(&graph, 1, n); }
static void plain(const char *op, const char *in, const char *out) { node(w_node(op, in, out)); }
static struct ir_module *import_buf(struct ir_buf b)
{
  file = onnx_read_bytes(arena, &diags, (unsigned char *)b.s, b.n, NULL, &options);
  struct ir_module *m = file ? onnx_import(arena, &diags, file, &options) : NULL;
  const char *why;
  if (m) ck_assert_msg(ir_verify(m, IR_P_IMPORTED, &why), "%s", why);
  ck_assert((m != NULL) == !diags.errors);
  ir_buf_deinit(&b);
  return m;
}
static struct ir_module *import(int64_t opset) { return import_buf(w_model(opset, graph)); }
static struct ir_module *accepted(int64_t opset)
{
  struct ir_module *m = import(opset);
  ck_assert_msg(m, "%s", diags.first.s);
  return m;
}
static void refused(int64_t opset, const char *code, const char *text)
{
  struct ir_module *m = import(opset);
  ck_assert_msg(!m, "accepted, expected %s", code);
  ck_assert_msg(strstr(diags.first.s, code) && strstr(diags.first.s, text), "%s, expected %s %s", diags.first.s, code, text);
  again();
}
static unsigned count(const struct ir_module *m, enum ir_op op)
{
  unsigned k = 0;
  for (const struct ir_node *n = m->main->first; n; n = n->next) k += n->op == op;
  return k;
}
/* Runs m on one input; the result must equal `want` within 1e-6. */
static void gives(struct ir_module *m, unsigned rank, const int64_t *dim, const double *x, unsigned n, const double *want)
{
  struct ir_tensor *in = ir_tensor_create(arena, IR_f32, rank, dim), **out = IR_NEWN(arena, struct ir_tensor *, m->main->results.n);
  memcpy(in->f, x, (size_t)in->n * sizeof *x);
  ck_assert_msg(ir_eval(arena, m->main, &in, 1, out), "%s", diags.first.s);
  ck_assert_int_eq(out[0]->n, n);
  for (unsigned i = 0; i < n; i++) ck_assert_double_eq_tol(out[0]->f[i], want[i], 1e-6);
  again();
}
static const int64_t d6[] = { 6 }, d23[] = { 2, 3 }, dn3[] = { -1, 3 };

/* ---- structure ---- */
START_TEST(lists_of_operators_agree) { const char *why = onnx_check_lists(arena); ck_assert_msg(!why, "%s", why); }
END_TEST
START_TEST(opsets_are_checked)
{
  static const int64_t bad[] = { 0, -1, 29, INT64_MAX };
  for (unsigned i = 0; i < 4; i++) {
    begin(); input("x", 1, d6); plain("Relu", "x", "y"); output("y");
    refused(bad[i], "M0104", "opset");
  }
  begin(); input("x", 1, d6); plain("Relu", "x", "y"); output("y");
  accepted(28);
  again();
  begin(); input("x", 1, d6);
  struct ir_buf n = w_node("FusedThing", "x", "y");
  w_str(&n, 7, "com.example");
  node(n); output("y");
  refused(13, "M0104", "com.example");
}
END_TEST
START_TEST(names_must_hang_together)
{
  begin(); input("x", 1, d6); plain("Relu", "z", "y"); output("y");
  refused(13, "M0105", "reads \"z\"");
  begin(); input("x", 1, d6); plain("Relu", "x", "y"); plain("Neg", "x", "y"); output("y");
  refused(13, "M0105", "\"y\"");
  begin(); input("x", 1, d6); plain("Relu", "x", "x"); output("x");
  refused(13, "M0105", "\"x\"");
  begin(); input("x", 1, d6); input("x", 1, d6); plain("Relu", "x", "y"); output("y");
  refused(13, "M0105", "stands twice");
  begin(); input("x", 1, d6); plain("Relu", "x", "y"); output("q");
  refused(13, "M0105", "\"q\"");
  begin(); input("x", 1, d6); plain("Relu", "x", "y");
  refused(13, "M0105", "no outputs");
  begin(); input("x", 1, d6); node((struct ir_buf){ 0 }); output("x");
  refused(13, "M0105", "no operator");
}
END_TEST
START_TEST(a_cycle_names_a_node_on_it)
{
  begin(); input("x", 1, d6);
  plain("Add", "x c", "a"); plain("Neg", "a", "b"); plain("Abs", "b", "c"); output("b");
  refused(13, "M0105", "cycle");
  begin(); input("x", 1, d6); plain("Add", "x a", "a"); output("a");
  refused(13, "M0105", "cycle");
}
END_TEST
START_TEST(unsorted_nodes_are_sorted)
{
  begin(); input("x", 1, d6); plain("Neg", "b", "y"); plain("Abs", "a", "b"); plain("Sqrt", "x", "a"); output("y");
  gives(accepted(13), 1, d6, (double[]){ 1, 4, 9, 16, 25, 36 }, 6, (double[]){ -1, -2, -3, -4, -5, -6 });
}
END_TEST
START_TEST(every_unsupported_node_is_reported)
{
  begin(); input("x", 1, d6);
  plain("Det", "x", "a"); plain("Bogus", "x", "c"); plain("Relu", "c", "d"); plain("ImageDecoder", "d", "e"); output("e");
  ck_assert_ptr_null(import(22));
  ck_assert_uint_eq(diags.errors, 3);                /* Det, Bogus, ImageDecoder; Relu reads what Bogus did not make and says nothing */
}
END_TEST
START_TEST(initialised_inputs_are_constants)
{
  begin(); input("x", 1, d6); input("w", 1, d6); plain("Add", "x w", "y"); output("y");
  floats("w", 1, d6, (float[]){ 1, 1, 1, 1, 1, 1 }, 6);
  struct ir_module *m = accepted(13);
  ck_assert_uint_eq(m->main->params.n, 1);
}
END_TEST
START_TEST(nodes_without_a_name_are_numbered)
{
  begin(); input("x", 1, d6); plain("Neg", "x", "a"); plain("Exp", "a", "y"); output("y");
  struct ir_module *m = accepted(13);
  ck_assert_str_eq(m->main->last->prov->name[0], "Op_1");
}
END_TEST
START_TEST(unread_attributes_are_refused)
{
  begin(); input("x", 1, d6);
  struct ir_buf n = w_node("Relu", "x", "y");
  w_attr_int(&n, "leak", 1);
  node(n); output("y");
  refused(13, "M0302", "leak");
}
END_TEST
START_TEST(attribute_types_are_checked)
{
  begin(); input("x", 2, d23);
  struct ir_buf n = w_node("Softmax", "x", "y");
  w_attr_str(&n, "axis", "last");
  node(n); output("y");
  refused(13, "M0302", "axis");
  begin(); input("x", 2, d23);
  n = w_node("Softmax", "x", "y");
  w_attr_int(&n, "axis", 2);
  node(n); output("y");
  refused(13, "M0302", "axis 2");
}
END_TEST
START_TEST(declared_shapes_are_hints)
{
  begin(); input("x", 2, d23); plain("Relu", "x", "y"); output("y");
  w_msg(&graph, 13, w_value("y", 1, 2, (int64_t[]){ 2, 4 }));
  accepted(13);
  ck_assert_uint_eq(diags.warnings, 1);
}
END_TEST
START_TEST(absurd_inputs_are_refused)
{
  begin(); input("x", 2, (int64_t[]){ (int64_t)1 << 62, 4 }); plain("Relu", "x", "y"); output("y");
  refused(13, "M0201", "overflows");
  begin();
  struct ir_buf v = { 0 }, t = { 0 }, tt = { 0 };
  w_int(&tt, 1, 1); w_msg(&t, 1, tt); w_str(&v, 1, "x"); w_msg(&v, 2, t);
  w_msg(&graph, 11, v);
  plain("Relu", "x", "y"); output("y");
  refused(13, "M0201", "--shape x");
}
END_TEST

/* ---- symbols and options ---- */
START_TEST(dims_become_symbols)
{
  begin(); input("x", 2, dn3); plain("Relu", "x", "y"); output("y");
  struct ir_module *m = accepted(13);
  const struct ir_sym *s = ir_ix_as_sym(m->main->params.v[0]->type->dim[0]);
  ck_assert_ptr_nonnull(s);
  ck_assert_str_eq(s->name, "d0");
  ck_assert_int_eq(s->lo, 1);
  ck_assert_int_eq(s->hi, INT32_MAX);
}
END_TEST
START_TEST(dim_option_binds_and_bounds)
{
  static const struct { int64_t lo, hi, by; } row[] = { { 8, 8, 0 }, { 1, 64, 0 }, { 64, 4096, 64 }, { 0, 8, 1 } };
  for (unsigned i = 0; i < 4; i++) {
    begin(); input("x", 2, dn3); plain("Relu", "x", "y"); output("y");
    options = (struct onnx_options){ .dims = { { "d0", row[i].lo, row[i].hi, row[i].by } }, .n_dims = 1 };
    const struct ir_ix *e = accepted(13)->main->params.v[0]->type->dim[0];
    int64_t lo, hi;
    ir_ix_range(e, &lo, &hi);
    ck_assert_int_eq(lo, row[i].lo);
    ck_assert_int_eq(hi, row[i].hi);
    ck_assert_int_eq(ir_ix_by(e), row[i].lo == row[i].hi ? row[i].lo : row[i].by ? row[i].by : 1);
    again();
  }
}
END_TEST
START_TEST(bad_options_are_refused)
{
  static const struct { const char *name; int64_t lo, hi, by; } row[] = { { "batch", 1, 1, 0 }, { "d0", 9, 2, 0 }, { "d0", -4, 4, 0 }, { "d0", 5, 7, 8 } };
  for (unsigned i = 0; i < 4; i++) {
    begin(); input("x", 2, dn3); plain("Relu", "x", "y"); output("y");
    options = (struct onnx_options){ .dims = { { row[i].name, row[i].lo, row[i].hi, row[i].by } }, .n_dims = 1 };
    refused(13, "M0003", "--dim");
  }
  static const struct { const char *input; unsigned rank; int64_t dim; } shape[] = { { "z", 2, 2 }, { "x", 1, 2 }, { "x", 2, 4 } };
  for (unsigned i = 0; i < 3; i++) {
    begin(); input("x", 2, d23); plain("Relu", "x", "y"); output("y");
    options = (struct onnx_options){ .shapes = { { shape[i].input, shape[i].rank, { shape[i].dim, 3 } } }, .n_shapes = 1 };
    refused(13, "M0003", "--shape");
  }
}
END_TEST
START_TEST(shape_option_gives_sizes)
{
  begin(); input("x", 2, dn3); plain("Relu", "x", "y"); output("y");
  options = (struct onnx_options){ .shapes = { { "x", 2, { 5, -1 } } }, .n_shapes = 1 };
  ck_assert_str_eq(ir_type_str(arena, accepted(13)->main->params.v[0]->type), "f32[5,3]");
}
END_TEST
START_TEST(names_of_dims_cannot_be_taken_for_coordinates)
{
  struct ir_buf v = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 }, d = { 0 }, e = { 0 };
  begin();
  w_str(&d, 2, "c0"); w_str(&e, 2, "past seq+1");
  w_msg(&shape, 1, d); w_msg(&shape, 1, e);
  w_int(&tensor, 1, 1); w_msg(&tensor, 2, shape); w_msg(&type, 1, tensor); w_str(&v, 1, "x"); w_msg(&v, 2, type);
  w_msg(&graph, 11, v);
  plain("Relu", "x", "y"); output("y");
  ck_assert_str_eq(ir_type_str(arena, accepted(13)->main->params.v[0]->type), "f32[c0_,past_seq_1]");
}
END_TEST
/* "?" twice, as paddle2onnx writes height and width: two dims, and not equal ones. */
START_TEST(unknown_is_no_name_of_a_dim)
{
  static const char *const word[] = { "?", "-1", "None" };
  for (unsigned i = 0; i < sizeof word / sizeof *word; i++) {
    struct ir_buf v = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 }, d = { 0 }, e = { 0 };
    again(); begin();
    w_str(&d, 2, word[i]); w_str(&e, 2, word[i]);
    w_msg(&shape, 1, d); w_msg(&shape, 1, e);
    w_int(&tensor, 1, 1); w_msg(&tensor, 2, shape); w_msg(&type, 1, tensor); w_str(&v, 1, "x"); w_msg(&v, 2, type);
    w_msg(&graph, 11, v);
    plain("Relu", "x", "y"); output("y");
    const struct ir_type *x = accepted(13)->main->params.v[0]->type;
    ck_assert_ptr_nonnull(ir_ix_as_sym(x->dim[0]));
    ck_assert_ptr_nonnull(ir_ix_as_sym(x->dim[1]));
    ck_assert_ptr_ne(x->dim[0], x->dim[1]);
  }
}
END_TEST
/* x.view(x.shape[0], -1), as exporters write it: nothing of the shape computation is left. */
START_TEST(shape_computations_vanish)
{
  begin(); input("x", 3, (int64_t[]){ -1, 4, 6 });
  plain("Shape", "x", "s"); plain("Gather", "s zero", "n"); plain("Unsqueeze", "n zero1", "n1");
  struct ir_buf n = w_node("Concat", "n1 minus", "t");
  w_attr_int(&n, "axis", 0);
  node(n); plain("Reshape", "x t", "y"); output("y");
  w_msg(&graph, 5, w_tensor("zero", 7, 0, NULL, (int64_t[]){ 0 }, 8));
  ints("zero1", 1, (int64_t[]){ 0 });
  ints("minus", 1, (int64_t[]){ -1 });
  struct ir_module *m = accepted(13);
  ck_assert_uint_eq(count(m, IR_OP_index) + count(m, IR_OP_gather) + count(m, IR_OP_concat), 0);
  ck_assert_str_eq(ir_type_str(arena, m->main->results.v[0]->type), "f32[d0,24]");
}
END_TEST

/* ---- functions and control ---- */
static struct ir_buf function(const char *name, const char *in, const char *out)
{
  struct ir_buf f = { 0 }, o = { 0 };
  w_str(&f, 1, name);
  w_names(&f, 4, in);
  w_names(&f, 5, out);
  w_str(&f, 10, "own");
  w_int(&o, 2, 18);
  w_msg(&f, 9, o);
  return f;
}
static struct ir_buf call(const char *name, const char *in, const char *out)
{
  struct ir_buf n = w_node(name, in, out);
  w_str(&n, 7, "own");
  return n;
}
START_TEST(functions_are_inlined_with_their_attributes)
{
  begin(); input("x", 1, d6);
  struct ir_buf n = call("Leaky", "x", "y"), f = function("Leaky", "v", "w"), inner = w_node("LeakyRelu", "v", "w"), ref = { 0 };
  w_attr_float(&n, "k", 0.5f);
  w_str(&ref, 1, "alpha"); w_int(&ref, 20, 1); w_str(&ref, 21, "k");
  w_msg(&inner, 5, ref);
  w_msg(&f, 7, inner);
  node(n); output("y");
  struct ir_buf m = w_model(18, graph);
  w_msg(&m, 25, f);
  struct ir_module *mod = import_buf(m);
  ck_assert_msg(mod, "%s", diags.first.s);
  ck_assert_str_eq(mod->main->last->prov->name[0], "Op_0/Op_0");
  gives(mod, 1, d6, (double[]){ -2, -1, 0, 1, 2, 3 }, 6, (double[]){ -1, -0.5, 0, 1, 2, 3 });
}
END_TEST
START_TEST(functions_that_call_themselves_are_refused)
{
  begin(); input("x", 1, d6); node(call("Rec", "x", "y")); output("y");
  struct ir_buf f = function("Rec", "v", "w"), m = w_model(18, graph);
  w_msg(&f, 7, call("Rec", "v", "w"));
  w_msg(&m, 25, f);
  ck_assert_ptr_null(import_buf(m));
  ck_assert_ptr_nonnull(strstr(diags.first.s, "M0102"));
}
END_TEST
START_TEST(functions_that_multiply_are_bounded)        /* 2^40 nodes if they were all made */
{
  begin(); input("x", 1, d6); node(call("f0", "x", "y")); output("y");
  struct ir_buf m = w_model(18, graph);
  for (int i = 0; i < 40; i++) {
    char name[16], next[16];
    snprintf(name, sizeof name, "f%d", i);
    snprintf(next, sizeof next, "f%d", i + 1);
    struct ir_buf f = function(name, "v", "w");
    w_msg(&f, 7, i < 39 ? call(next, "v", "u") : w_node("Neg", "v", "u"));
    w_msg(&f, 7, i < 39 ? call(next, "u", "w") : w_node("Exp", "u", "w"));
    w_msg(&m, 25, f);
  }
  ck_assert_ptr_null(import_buf(m));
  ck_assert_ptr_nonnull(strstr(diags.first.s, "M0102"));
}
END_TEST
static void branch(struct ir_buf *n, const char *attr, const char *op)
{
  struct ir_buf a = { 0 }, g = { 0 };
  w_msg(&g, 1, w_node(op, "x", "inner"));
  w_msg(&g, 12, w_value("inner", 1, 0, NULL));
  w_str(&a, 1, attr);
  w_msg(&a, 6, g);
  w_int(&a, 20, 5);
  w_msg(n, 5, a);
}
START_TEST(a_known_condition_chooses_the_branch)
{
  for (int cond = 0; cond < 2; cond++) {
    begin(); input("x", 1, d6);
    struct ir_buf n = w_node("If", "c", "y");
    branch(&n, "then_branch", "Neg");
    branch(&n, "else_branch", "Abs");
    node(n); output("y");
    w_msg(&graph, 5, w_tensor("c", 9, 0, NULL, cond ? "\1" : "\0", 1));
    double want[6];
    for (int i = 0; i < 6; i++) want[i] = cond ? 3 - i : i < 3 ? 3 - i : i - 3;
    gives(accepted(16), 1, d6, (double[]){ -3, -2, -1, 0, 1, 2 }, 6, want);
  }
  begin(); input("x", 1, d6);
  w_msg(&graph, 11, w_value("c", 9, 0, NULL));
  struct ir_buf n = w_node("If", "c", "y");
  branch(&n, "then_branch", "Neg");
  branch(&n, "else_branch", "Abs");
  node(n); output("y");
  struct ir_module *m = accepted(16);                /* at run time: a loop for each branch, of one iteration or none */
  ck_assert_uint_eq(count(m, IR_OP_loop), 2);
  for (int cond = 0; cond < 2; cond++) {
    struct ir_tensor *in[] = { ir_tensor_create(arena, IR_f32, 1, d6), ir_tensor_create(arena, IR_bool, 0, NULL) }, *out;
    for (int i = 0; i < 6; i++) in[0]->f[i] = i - 3;
    in[1]->i[0] = cond;
    ck_assert_msg(ir_eval(arena, m->main, in, 2, &out), "%s", diags.first.s);
    for (int i = 0; i < 6; i++) ck_assert(out->f[i] == (cond ? 3 - i : i < 3 ? 3 - i : i - 3));
  }
  again();
  begin(); input("x", 1, d6);                        /* Shape's result is no f32[6] */
  w_msg(&graph, 11, w_value("c", 9, 0, NULL));
  n = w_node("If", "c", "y");
  branch(&n, "then_branch", "Neg");
  branch(&n, "else_branch", "Shape");
  node(n); output("y");
  refused(16, "M0301", "run time");
}
END_TEST

/* ---- edges of versions ---- */
START_TEST(axes_move_from_attribute_to_operand)
{
  static const char *const ops[] = { "Squeeze", "Unsqueeze", "ReduceSum" };
  for (unsigned i = 0; i < 3; i++)
    for (int opset = 12; opset < 14; opset++)
      for (int operand = 0; operand < 2; operand++) {
        begin(); input("x", 2, (int64_t[]){ 1, 6 });
        struct ir_buf n = w_node(ops[i], operand ? "x a" : "x", "y");
        if (!operand) w_attr_ints(&n, "axes", 1, (int64_t[]){ 0 });
        node(n); output("y");
        ints("a", 1, (int64_t[]){ 0 });
        if (operand == (opset == 13)) { accepted(opset); again(); }
        else { ck_assert_ptr_null(import(opset)); again(); }
      }
}
END_TEST
static const double x23[] = { 0, 1, 2, 3, 4, 5 };
START_TEST(softmax_changes_its_default_at_13)
{
  static const int64_t d123[] = { 1, 2, 3 };
  double row[6], all[6], s = 0, r[2] = { 0, 0 };
  for (int i = 0; i < 6; i++) { double e = __builtin_exp(x23[i]); s += e; r[i / 3] += e; }
  for (int i = 0; i < 6; i++) { all[i] = __builtin_exp(x23[i]) / s; row[i] = __builtin_exp(x23[i]) / r[i / 3]; }
  begin(); input("x", 3, d123); plain("Softmax", "x", "y"); output("y");
  gives(accepted(12), 3, d123, x23, 6, all);
  begin(); input("x", 3, d123); plain("Softmax", "x", "y"); output("y");
  gives(accepted(13), 3, d123, x23, 6, row);
}
END_TEST
START_TEST(clip_takes_attributes_then_operands)
{
  double want[] = { 1, 1, 2, 3, 4, 4 };
  begin(); input("x", 1, d6);
  struct ir_buf n = w_node("Clip", "x", "y");
  w_attr_float(&n, "min", 1); w_attr_float(&n, "max", 4);
  node(n); output("y");
  gives(accepted(10), 1, d6, x23, 6, want);
  begin(); input("x", 1, d6); plain("Clip", "x lo hi", "y"); output("y");
  floats("lo", 0, NULL, (float[]){ 1 }, 1); floats("hi", 0, NULL, (float[]){ 4 }, 1);
  gives(accepted(11), 1, d6, x23, 6, want);
  begin(); input("x", 1, d6); plain("Clip", "x - hi", "y"); output("y");
  floats("hi", 0, NULL, (float[]){ 4 }, 1);
  gives(accepted(11), 1, d6, x23, 6, (double[]){ 0, 1, 2, 3, 4, 4 });
  begin(); input("x", 1, d6); plain("Clip", "x hi hi", "y"); output("y");
  floats("hi", 0, NULL, (float[]){ 4 }, 1);
  refused(10, "M0203", "operands");
}
END_TEST
START_TEST(broadcasting_before_opset_7_has_an_axis)
{
  for (int axis = 0; axis < 2; axis++) {
    begin(); input("x", 2, d23);
    struct ir_buf n = w_node("Add", "x w", "y");
    w_attr_int(&n, "broadcast", 1);
    w_attr_int(&n, "axis", axis);
    node(n); output("y");
    float w[] = { 10, 20, 30 };
    floats("w", 1, (int64_t[]){ axis ? 3 : 2 }, w, axis ? 3 : 2);
    double rows[] = { 10, 11, 12, 23, 24, 25 }, columns[] = { 10, 21, 32, 13, 24, 35 };
    gives(accepted(6), 2, d23, x23, 6, axis ? columns : rows);
  }
  begin(); input("x", 2, d23); plain("Add", "x w", "y"); output("y");
  floats("w", 1, (int64_t[]){ 3 }, (float[]){ 10, 20, 30 }, 3);
  gives(accepted(7), 2, d23, x23, 6, (double[]){ 10, 21, 32, 13, 24, 35 });
  begin(); input("x", 2, d23); plain("Add", "x w", "y"); output("y");
  floats("w", 1, (int64_t[]){ 3 }, (float[]){ 10, 20, 30 }, 3);
  refused(6, "M0201", "broadcast");
}
END_TEST
START_TEST(split_changes_at_13_and_18)
{
  for (int opset = 11; opset <= 18; opset++) {
    begin(); input("x", 1, (int64_t[]){ 5 });
    struct ir_buf n = w_node("Split", "x", "a b");
    if (opset >= 18) w_attr_int(&n, "num_outputs", 2);
    node(n); output("b");
    if (opset < 18) refused(opset, "M0201", "equal parts");
    else gives(accepted(opset), 1, (int64_t[]){ 5 }, x23, 2, (double[]){ 3, 4 });
  }
}
END_TEST
START_TEST(operators_begin_and_end)
{
  static const struct { const char *op; int opset; bool known; } row[] = {
    { "Round", 10, false }, { "Round", 11, true }, { "Sign", 8, false }, { "Sign", 9, true }, { "Mish", 17, false }, { "Mish", 18, true }, { "Gelu", 19, false }, { "Gelu", 20, true },
  };
  for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
    begin(); input("x", 1, d6); plain(row[i].op, "x", "y"); output("y");
    if (row[i].known) { accepted(row[i].opset); again(); }
    else refused(row[i].opset, "M0301", row[i].op);
  }
  for (int opset = 9; opset < 11; opset++) {
    begin(); input("x", 4, (int64_t[]){ 1, 1, 2, 3 }); plain("Upsample", "x s", "y"); output("y");
    floats("s", 1, (int64_t[]){ 4 }, (float[]){ 1, 1, 2, 2 }, 4);
    if (opset == 9) { accepted(9); again(); }
    else refused(10, "M0301", "Upsample");
  }
}
END_TEST
/* Negative steps and bounds: numpy's x[5:1:-2], x[-100:4], x[::-1] */
START_TEST(slices_clamp_as_numpy)
{
  static const struct { int64_t start, end, step; unsigned n; double want[6]; } row[] = {
    { 5, 1, -2, 2, { 5, 3 } }, { -100, 4, 1, 4, { 0, 1, 2, 3 } }, { -1, INT64_MIN, -1, 6, { 5, 4, 3, 2, 1, 0 } }, { 4, INT64_MAX, 1, 2, { 4, 5 } }, { 3, 3, 1, 0, { 0 } }, { 1, -1, 3, 2, { 1, 4 } },
  };
  for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
    begin(); input("x", 1, d6); plain("Slice", "x s e a t", "y"); output("y");
    ints("s", 1, &row[i].start); ints("e", 1, &row[i].end); ints("a", 1, (int64_t[]){ 0 }); ints("t", 1, &row[i].step);
    gives(accepted(13), 1, d6, x23, row[i].n, row[i].want);
  }
}
END_TEST
/* Average of 3 elements over an edge: without the padding, with it, and where ceil_mode lets a window hang over. */
START_TEST(average_pooling_counts)
{
  static const struct { bool include, ceil; unsigned n; double want[4]; } row[] = {
    { false, false, 3, { 0.5, 2, 4 } }, { true, false, 3, { 1.0 / 3, 2, 4 } }, { true, true, 4, { 1.0 / 3, 2, 4, 5.0 / 2 } }, { false, true, 4, { 0.5, 2, 4, 5 } },
  };
  static const int64_t d116[] = { 1, 1, 6 };
  for (unsigned i = 0; i < 4; i++) {
    begin(); input("x", 3, d116);
    struct ir_buf n = w_node("AveragePool", "x", "y");
    w_attr_ints(&n, "kernel_shape", 1, (int64_t[]){ 3 });
    w_attr_ints(&n, "strides", 1, (int64_t[]){ 2 });
    w_attr_ints(&n, "pads", 2, (int64_t[]){ 1, 1 });
    w_attr_int(&n, "count_include_pad", row[i].include);
    w_attr_int(&n, "ceil_mode", row[i].ceil);
    node(n); output("y");
    gives(accepted(19), 3, d116, x23, row[i].n, row[i].want);
  }
}
END_TEST
START_TEST(same_padding_of_a_symbolic_dim)
{
  for (int lower = 0; lower < 2; lower++)
    for (int64_t len = 1; len < 9; len++) {
      int64_t dim[] = { 1, 1, len }, out = (len + 1) / 2, total = (out - 1) * 2 + 3 - len;
      double x[8], want[4];
      if (total < 0) total = 0;
      for (int i = 0; i < 8; i++) x[i] = i + 1;
      for (int64_t p = 0; p < out; p++) {
        want[p] = 0;
        for (int64_t k = 0; k < 3; k++) {
          int64_t at = 2 * p + k - (lower ? total - total / 2 : total / 2);
          if (at >= 0 && at < len) want[p] += x[at];
        }
      }
      begin(); input("x", 3, (int64_t[]){ 1, 1, -1 });
      struct ir_buf n = w_node("Conv", "x w", "y");
      w_attr_str(&n, "auto_pad", lower ? "SAME_LOWER" : "SAME_UPPER");
      w_attr_ints(&n, "strides", 1, (int64_t[]){ 2 });
      node(n); output("y");
      floats("w", 3, (int64_t[]){ 1, 1, 3 }, (float[]){ 1, 1, 1 }, 3);
      gives(accepted(13), 3, dim, x, (unsigned)out, want);
    }
}
END_TEST
/* What fuzzing found. */
START_TEST(known_indices_are_checked)
{
  static const int64_t outside[] = { 4, -5 };
  for (unsigned i = 0; i < 2; i++) {
    begin(); input("x", 2, (int64_t[]){ 3, 4 });
    ints("at", 1, &outside[i]);
    struct ir_buf n = w_node("Gather", "x at", "y");
    w_attr_int(&n, "axis", 1);
    node(n); output("y");
    refused(13, "M0201", "outside of axis 1");
  }
}
END_TEST
START_TEST(a_gather_of_a_symbolic_dim_is_clamped)      /* index 3 of an axis that may have fewer */
{
  begin(); input("x", 2, (int64_t[]){ -1, 2 });
  ints("at", 2, (int64_t[]){ 3, -1 });
  plain("Gather", "x at", "y"); output("y");
  gives(accepted(13), 2, (int64_t[]){ 2, 2 }, (double[]){ 1, 2, 3, 4 }, 4, (double[]){ 3, 4, 3, 4 });
}
END_TEST
START_TEST(one_hot_has_two_values)
{
  begin(); w_msg(&graph, 11, w_value("x", 7, 1, d6));
  plain("OneHot", "x d v", "y"); output("y");
  w_msg(&graph, 5, w_tensor("d", 7, 0, NULL, (int64_t[]){ 5 }, 8));
  floats("v", 1, (int64_t[]){ 1 }, (float[]){ 0 }, 1);
  refused(13, "M0201", "not two");
}
END_TEST
START_TEST(the_smallest_step_of_a_range)
{
  begin();
  ints("a", 1, (int64_t[]){ 0 }); ints("b", 1, (int64_t[]){ -1 }); ints("c", 1, (int64_t[]){ INT64_MIN });
  plain("Range", "a b c", "y"); output("y");
  refused(13, "M0302", "delta");
}
END_TEST
START_TEST(negative_depth_of_one_hot)
{
  begin(); w_msg(&graph, 11, w_value("x", 7, 1, d6));
  plain("OneHot", "x d v", "y"); output("y");
  w_msg(&graph, 5, w_tensor("d", 7, 0, NULL, (int64_t[]){ -5 }, 8));
  floats("v", 1, (int64_t[]){ 2 }, (float[]){ 0, 1 }, 2);
  refused(13, "M0201", "-5");
}
END_TEST
START_TEST(mean_of_an_empty_list)
{
  begin(); input("x", 1, d6); ints("e", 0, NULL);
  w_msg(&graph, 5, w_tensor("e0", 7, 1, (int64_t[]){ 0 }, "", 0));
  plain("ReduceMean", "e0", "y"); output("y");
  accepted(13);
}
END_TEST
START_TEST(weight_of_a_loss_is_a_vector)
{
  begin(); input("x", 2, d23);
  w_msg(&graph, 11, w_value("t", 7, 1, (int64_t[]){ 2 }));
  plain("NegativeLogLikelihoodLoss", "x t w", "y"); output("y");
  floats("w", 3, (int64_t[]){ 3, 1, 1 }, (float[]){ 1, 2, 3 }, 3);
  refused(13, "M0201", "weight");
}
END_TEST

int main(void)
{
  Suite *s = suite_create("onnx_import");
  TCase *t = tcase_create("import");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, lists_of_operators_agree);
  tcase_add_test(t, opsets_are_checked);
  tcase_add_test(t, names_must_hang_together);
  tcase_add_test(t, a_cycle_names_a_node_on_it);
  tcase_add_test(t, unsorted_nodes_are_sorted);
  tcase_add_test(t, every_unsupported_node_is_reported);
  tcase_add_test(t, initialised_inputs_are_constants);
  tcase_add_test(t, nodes_without_a_name_are_numbered);
  tcase_add_test(t, unread_attributes_are_refused);
  tcase_add_test(t, attribute_types_are_checked);
  tcase_add_test(t, declared_shapes_are_hints);
  tcase_add_test(t, absurd_inputs_are_refused);
  tcase_add_test(t, dims_become_symbols);
  tcase_add_test(t, unknown_is_no_name_of_a_dim);
  tcase_add_test(t, dim_option_binds_and_bounds);
  tcase_add_test(t, bad_options_are_refused);
  tcase_add_test(t, shape_option_gives_sizes);
  tcase_add_test(t, names_of_dims_cannot_be_taken_for_coordinates);
  tcase_add_test(t, shape_computations_vanish);
  tcase_add_test(t, functions_are_inlined_with_their_attributes);
  tcase_add_test(t, functions_that_call_themselves_are_refused);
  tcase_add_test(t, functions_that_multiply_are_bounded);
  tcase_add_test(t, a_known_condition_chooses_the_branch);
  tcase_add_test(t, axes_move_from_attribute_to_operand);
  tcase_add_test(t, softmax_changes_its_default_at_13);
  tcase_add_test(t, clip_takes_attributes_then_operands);
  tcase_add_test(t, broadcasting_before_opset_7_has_an_axis);
  tcase_add_test(t, split_changes_at_13_and_18);
  tcase_add_test(t, operators_begin_and_end);
  tcase_add_test(t, slices_clamp_as_numpy);
  tcase_add_test(t, average_pooling_counts);
  tcase_add_test(t, same_padding_of_a_symbolic_dim);
  tcase_add_test(t, known_indices_are_checked);
  tcase_add_test(t, a_gather_of_a_symbolic_dim_is_clamped);
  tcase_add_test(t, one_hot_has_two_values);
  tcase_add_test(t, the_smallest_step_of_a_range);
  tcase_add_test(t, negative_depth_of_one_hot);
  tcase_add_test(t, mean_of_an_empty_list);
  tcase_add_test(t, weight_of_a_loss_is_a_vector);
  suite_add_tcase(s, t);
  return tap_run(s);
}
