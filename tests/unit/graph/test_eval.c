/* The evaluator's driver: symbols from inputs, requirements, regions, constants; element conversion. */
#include "graph_test.h"
#include "ir/kernel/kir.h"
#include <math.h>

static struct ir_tensor *tensor(struct fixture *f, enum ir_elem e, unsigned rank, const int64_t *d, const double *v)
{
  struct ir_tensor *t = ir_tensor_create(f->a, e, rank, d);
  for (int64_t i = 0; i < t->n; i++)
    if (ir_elem_class(e) == 'F') t->f[i] = v[i];
    else t->i[i] = (int64_t)v[i];
  return t;
}
static struct ir_module *parsed(struct fixture *f, const char *text)
{
  struct ir_module *m = ir_parse(f->a, &f->d, text, strlen(text), NULL);
  ck_assert_msg(m != NULL, "%s", f->d.first.s);
  VERIFIED(m);
  return m;
}

/* ---- elements ---- */
START_TEST(every_half_comes_back_from_its_value)
{
  FIXTURE(f);
  int64_t n = 65536;
  uint16_t *bits = malloc(65536 * 2), *back = malloc(65536 * 2);
  for (unsigned i = 0; i < 65536; i++) bits[i] = (uint16_t)i;
  for (int k = 0; k < 2; k++) {
    enum ir_elem e = k ? IR_bf16 : IR_f16;
    struct ir_tensor *t = ir_tensor_create(f.a, e, 1, &n);
    ir_tensor_from_bytes(t, bits);
    ir_tensor_to_bytes(t, back);
    for (unsigned i = 0; i < 65536; i++) {
      bool nan = k ? (i & 0x7fff) > 0x7f80 : (i & 0x7fff) > 0x7c00;
      ck_assert(nan == (isnan(t->f[i]) != 0));
      if (!nan) ck_assert_uint_eq(back[i], i);
    }
  }
  /* values written down in IEEE 754-2008, table 3.5 and bfloat16's definition as the upper half of a float */
  struct ir_tensor *h = ir_tensor_create(f.a, IR_f16, 1, (int64_t[]){ 5 });
  ir_tensor_from_bytes(h, (uint16_t[]){ 0x3c00, 0xc000, 0x7bff, 0x0001, 0xfc00 });
  ck_assert(h->f[0] == 1 && h->f[1] == -2 && h->f[2] == 65504 && h->f[3] == 0x1p-24 && h->f[4] == -(double)INFINITY);
  for (unsigned i = 0; i < 65536; i += 7) {
    uint32_t w = i << 16;
    float x;
    memcpy(&x, &w, 4);
    ir_tensor_from_bytes(h, (uint16_t[]){ (uint16_t)i, 0, 0, 0, 0 });
    h->elem = IR_bf16;
    ir_tensor_from_bytes(h, (uint16_t[]){ (uint16_t)i, 0, 0, 0, 0 });
    ck_assert(isnan(x) ? isnan(h->f[0]) : h->f[0] == (double)x);
    h->elem = IR_f16;
  }
  free(bits);
  free(back);
  DONE(f);
}
END_TEST
/* cvt.rna.tf32.f32 (PTX ISA): 10 bits of fraction, to nearest, ties away from zero; written down by hand */
START_TEST(tf32_has_ten_bits_and_rounds_ties_away)
{
  static const double pair[][2] = { { 1, 1 }, { 1 + 0x1p-11, 1 + 0x1p-10 }, { -1 - 0x1p-11, -1 - 0x1p-10 }, { 1 + 0x1p-11 - 0x1p-23, 1 }, { 1 + 3 * 0x1p-11, 1 + 2 * 0x1p-10 },
                                    { 0x1.ffep0, 2 }, { 0x1.ffdffep0, 0x1.ffcp0 }, { 0x1.ffdfp127, 0x1.ffcp127 }, { 0x1.ffep127, INFINITY }, { -0x1.fffffep127, -INFINITY }, { INFINITY, INFINITY },
                                    { 0x1p-136, 0x1p-136 }, { 0x1p-137, 0x1p-136 }, { 0x1.8p-138, 0 }, { 0x1p-126 + 0x1p-137, 0x1p-126 + 0x1p-136 }, { 0.0, 0.0 } };
  for (unsigned i = 0; i < sizeof pair / sizeof *pair; i++) {
    float x = (float)pair[i][0], y = -1;
    ck_assert(ir_round_to(IR_tf32, pair[i][0]) == pair[i][1]);
    ir_round_floats(IR_tf32, &x, &y, 1);
    ck_assert((double)y == pair[i][1]);
  }
  ck_assert(isnan(ir_round_to(IR_tf32, NAN)) && ir_elem_bytes(IR_tf32) == 4);
}
END_TEST
START_TEST(integers_come_back_from_their_bytes)
{
  FIXTURE(f);
  for (unsigned e = 0; e < IR_ELEM_COUNT; e++) {
    if (ir_elem_class((enum ir_elem)e) == 'F') continue;
    unsigned char in[16 * 8], out[16 * 8];
    uint64_t seed = e;
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(e == IR_bool ? next_random(&seed) & 1 : next_random(&seed));
    struct ir_tensor *t = ir_tensor_create(f.a, (enum ir_elem)e, 1, (int64_t[]){ 16 });
    ir_tensor_from_bytes(t, in);
    ir_tensor_to_bytes(t, out);
    ck_assert_int_eq(memcmp(in, out, 16 * ir_elem_bytes((enum ir_elem)e)), 0);
    for (int k = 0; k < 16; k++) ck_assert_int_eq(ir_wrap_to((enum ir_elem)e, t->i[k]), t->i[k]);
  }
  DONE(f);
}
END_TEST

/* ---- graphs ---- */
START_TEST(symbols_come_from_the_inputs)
{
  FIXTURE(f);
  struct ir_module *m = parsed(&f,
    "dims n 1..\ndims s 1..\n"
    "graph g (%x: f32[n,2*s + 1], %y: f32[s]) -> %1, %2 require 8 - n >= 0 \"at most 8 rows\" {\n"
    "  %1 = reduce %x {op=sum, axes=[1]} : f32[n,1]\n"
    "  %2 = mul %y, 2 : f32[s]\n"
    "}\n");
  struct ir_tensor *in[2] = { tensor(&f, IR_f32, 2, (int64_t[]){ 2, 5 }, (double[]){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }), tensor(&f, IR_f32, 1, (int64_t[]){ 2 }, (double[]){ 3, 4 }) }, *out[2];
  ck_assert_msg(ir_eval(f.a, m->main, in, 2, out), "%s", f.d.first.s);
  ck_assert(out[0]->n == 2 && out[0]->f[0] == 15 && out[0]->f[1] == 40);
  ck_assert(out[1]->n == 2 && out[1]->f[0] == 6 && out[1]->f[1] == 8);
  in[1] = tensor(&f, IR_f32, 1, (int64_t[]){ 3 }, (double[]){ 3, 4, 5 });
  ck_assert(!ir_eval(f.a, m->main, in, 2, out));                           /* 2*s + 1 is 5, so s is 2 */
  ck_assert_uint_eq(f.d.errors, 1);
  in[0] = tensor(&f, IR_f32, 2, (int64_t[]){ 9, 7 }, (double[63]){ 0 });
  ck_assert(!ir_eval(f.a, m->main, in, 2, out));
  ck_assert_uint_eq(f.d.errors, 2);
  ck_assert(!ir_eval(f.a, m->main, in, 1, out));
  in[0]->elem = IR_f16;
  ck_assert(!ir_eval(f.a, m->main, in, 2, out));
  DONE(f);
}
END_TEST
START_TEST(a_linear_dim_tells_its_symbol)
{
  FIXTURE(f);
  struct ir_module *m = parsed(&f, "dims s 1..\ngraph g (%x: f32[2*s + 1]) -> %1 {\n  %1 = index {elem=i64, e=[s]} : i64[]\n}\n");
  struct ir_tensor *in = tensor(&f, IR_f32, 1, (int64_t[]){ 7 }, (double[7]){ 0 }), *out;
  ck_assert_msg(ir_eval(f.a, m->main, &in, 1, &out), "%s", f.d.first.s);
  ck_assert_int_eq(out->i[0], 3);
  in = tensor(&f, IR_f32, 1, (int64_t[]){ 8 }, (double[8]){ 0 });
  ck_assert(!ir_eval(f.a, m->main, &in, 1, &out));
  DONE(f);
}
END_TEST
START_TEST(one_rounding_per_node)
{
  FIXTURE(f);                                  /* 1 + 2^-11 is a tie in half precision, to even: 1 */
  struct ir_module *m = parsed(&f, "graph g (%x: f16[1]) -> %1, %2 {\n  %1 = add %x, 0.00048828125 : f16[1]\n  %2 = add %1, 0.00048828125 : f16[1]\n}\n");
  struct ir_tensor *in = tensor(&f, IR_f16, 1, (int64_t[]){ 1 }, (double[]){ 1 }), *out[2];
  ck_assert(ir_eval(f.a, m->main, &in, 1, out));
  ck_assert(out[0]->f[0] == 1 && out[1]->f[0] == 1);
  DONE(f);
}
END_TEST
/* A softmax: as nodes, as a composite, as a group: the same. */
START_TEST(a_region_means_its_body)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 3, 4);
  struct ir_attr mx[] = { ir_attr_str("op", "max"), ir_attr_ints(f.m, "axes", (int64_t[]){ 1 }, 1) }, sm[] = { ir_attr_str("op", "sum"), mx[1] };
  struct ir_value *top = ir_build(&f.b, IR_OP_reduce, &x, 1, mx, 2)->out[0], *e = ir_map1(&f.b, IR_OP_exp, ir_map2(&f.b, IR_OP_sub, x, top));
  struct ir_value *sum = ir_build(&f.b, IR_OP_reduce, &e, 1, sm, 2)->out[0], *p = ir_map2(&f.b, IR_OP_div, e, sum);
  result(&f, ir_map2(&f.b, IR_OP_add, p, x));
  result(&f, sum);
  double v[12];
  uint64_t seed = 3;
  for (int i = 0; i < 12; i++) v[i] = (next_random(&seed) % 1000) / 250.0 - 2;
  struct ir_tensor *in = tensor(&f, IR_f32, 2, (int64_t[]){ 3, 4 }, v), *plain[2], *out[2];
  ck_assert_msg(ir_eval(f.a, f.m->main, &in, 1, plain), "%s", f.d.first.s);
  for (int r = 0; r < 3; r++) {                /* against the formula; each node rounds to float once */
    double s = 0, m = -1e9;
    for (int c = 0; c < 4; c++) m = fmax(m, (float)v[4 * r + c]);
    for (int c = 0; c < 4; c++) s += exp((float)v[4 * r + c] - m);
    ck_assert(fabs(plain[1]->f[r] - s) < 1e-6 * s);
    for (int c = 0; c < 4; c++) ck_assert(fabs(plain[0]->f[4 * r + c] - (exp((float)v[4 * r + c] - m) / s + v[4 * r + c])) < 1e-6);
  }
  struct ir_node *nodes[] = { top->def, e->def->in[0]->def, e->def, sum->def, p->def };
  struct ir_node *c = ir_outline(f.b.g, IR_OP_composite, nodes, 5, "softmax");
  VERIFIED(f.m);
  ck_assert(ir_eval(f.a, f.m->main, &in, 1, out));
  ck_assert(!memcmp(out[0]->f, plain[0]->f, 12 * 8) && !memcmp(out[1]->f, plain[1]->f, 3 * 8));
  ir_outline(f.b.g, IR_OP_group, &c, 1, "k");
  VERIFIED(f.m);
  ck_assert(ir_eval(f.a, f.m->main, &in, 1, out));
  ck_assert(!memcmp(out[0]->f, plain[0]->f, 12 * 8) && !memcmp(out[1]->f, plain[1]->f, 3 * 8));
  DONE(f);
}
END_TEST
START_TEST(constants_evaluate_and_the_rest_says_no)
{
  FIXTURE(f);
  int64_t six = 6;
  struct ir_value *k = ir_const_ints(&f.b, IR_i32, 1, &six, (int64_t[]){ 1, 2, 3, 4, 5, 6 });
  struct ir_value *t = ir_transpose(&f.b, ir_reshape(&f.b, k, 2, (const struct ir_ix *[]){ num(&f, 2), num(&f, 3) }), (int64_t[]){ 1, 0 });
  struct ir_value *y = ir_map2(&f.b, IR_OP_mul, ir_cast(&f.b, t, IR_f32), ir_const_f(&f.b, IR_f32, 0.5));
  struct ir_tensor *out;
  ck_assert(ir_eval_const(f.a, y, UINT64_MAX, &out));
  static const double want[6] = { 0.5, 2, 1, 2.5, 1.5, 3 };
  ck_assert(out->rank == 2 && out->dim[0] == 3 && !memcmp(out->f, want, sizeof want));
  struct ir_value *x = PARAM(&f, "x", IR_f32, 3, 2);
  ck_assert(ir_eval_const(f.a, y, 37, &out));                    /* elements of k, reshape, transpose, cast, 0.5 and mul, and the operations of mul */
  ck_assert(!ir_eval_const(f.a, y, 36, &out));
  ck_assert(!ir_eval_const(f.a, ir_map2(&f.b, IR_OP_add, y, x), UINT64_MAX, &out));
  ck_assert(!ir_eval_const(f.a, ir_broadcast(&f.b, ir_const_f(&f.b, IR_f32, 1), 1, (const struct ir_ix *[]){ dim(&f, "n") }), UINT64_MAX, &out));
  ck_assert_uint_eq(f.d.errors, 0);
  DONE(f);
}
END_TEST
START_TEST(absurd_sizes_are_refused)
{
  FIXTURE(f);
  struct ir_module *m = parsed(&f, "dims n 1..\ngraph g (%x: f32[n]) -> %1 {\n  %1 = broadcast %x {dims=[72057594037927936,n]} : f32[72057594037927936,n]\n}\n");
  struct ir_tensor *in = tensor(&f, IR_f32, 1, (int64_t[]){ 3 }, (double[]){ 1, 2, 3 }), *out;
  ck_assert(!ir_eval(f.a, m->main, &in, 1, &out));
  ck_assert_ptr_nonnull(strstr(f.d.first.s, "too large"));
  DONE(f);
}
END_TEST
/* Elements taken along axis 0, by the evaluator and by the nest: negative places from the end, those outside at the border. The view is also read through maps. */
START_TEST(a_view_loads_its_places)
{
  FIXTURE(f);
  struct ir_module *m = parsed(&f,
    "graph g (%x: f32[3,4], %i: i32[2,4]) -> %2 {\n"
    "  %1 = add %i, 0 : i32[2,4]\n"
    "  %2 = view %x, %1 {map=[c2,3 - c1], dims=[2,4], wrap=[3]} : f32[2,4]\n"
    "}\n");
  struct ir_tensor *in[] = { tensor(&f, IR_f32, 2, (int64_t[]){ 3, 4 }, (double[]){ 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9 }),
                             tensor(&f, IR_i32, 2, (int64_t[]){ 2, 4 }, (double[]){ 0, 1, -2, -3, 2, 0, -9, 7 }) }, *out;
  double flipped[8];
  for (int r = 0; r < 2; r++) for (int c = 0; c < 4; c++) flipped[4 * r + c] = in[0]->f[4 * (int[]){ 0, 1, 1, 0, 2, 0, 0, 2 }[4 * r + c] + 3 - c];
  ck_assert_msg(ir_eval(f.a, m->main, in, 2, &out), "%s", f.d.first.s);
  ck_assert_int_eq(memcmp(out->f, flipped, sizeof flipped), 0);
  struct ir_node *nodes[] = { m->main->last->prev, m->main->last }, *g = ir_outline(m->main, IR_OP_group, nodes, 2, "v");
  struct kir_nest *n = kir_nest_of(f.a, g);
  const char *why = "";
  ck_assert_ptr_nonnull(n);
  struct ir_tensor *args[] = { in[0], in[1], ir_tensor_create(f.a, IR_f32, 2, (int64_t[]){ 2, 4 }) };
  ck_assert_uint_eq(n->args.n, 3);
  bool i_first = n->args.v[0]->elem == IR_i32;
  ck_assert_msg(kir_nest_eval(n, NULL, 0, (struct ir_tensor *[]){ args[i_first], args[!i_first], args[2] }, &why), "%s", why);
  ck_assert_int_eq(memcmp(args[2]->f, flipped, sizeof flipped), 0);
  DONE(f);
}
END_TEST
/* h = 2 h + i, from (1, -1): (2, -2), (5, -3), (12, -4); stacked before the condition, which lets at most n of them happen while h[0] < 4 (or forever). */
START_TEST(a_loop_carries_stacks_and_ends)
{
  FIXTURE(f);
  struct ir_module *m = parsed(&f, "graph main (%n: i64[], %p: bool[], %h: f32[2]) -> %2, %3, %1 {\n"
                                   "  %1, %2, %3 = loop _ %n, %p, %h {carried=2, trips=[3]} : bool[], f32[2], f32[3,2] (%4: i64[], %5: bool[], %6: f32[2]) -> %13, %9, %9 {\n"
                                   "    %7 = mul %6, 2 : f32[2]\n    %8 = cast %4 {to=f32} : f32[]\n    %9 = add %7, %8 : f32[2]\n"
                                   "    %10 = slice %9 {start=[0], step=[1], dims=[1]} : f32[1]\n    %11 = reshape %10 : f32[]\n    %12 = lt %11, 4 : bool[]\n    %13 = and %12, %5 : bool[]\n  }\n}\n");
  static const struct { double n, p; int64_t times; } runs[] = { { 1, 1, 1 }, { 3, 1, 2 /* 5 is not below 4 */ }, { 0, 1, 0 }, { 3, 0, 0 } };
  static const double h[][2] = { { 1, -1 }, { 2, -2 }, { 5, -3 } };
  for (unsigned i = 0; i < sizeof runs / sizeof *runs; i++) {
    struct ir_tensor *in[] = { tensor(&f, IR_i64, 0, NULL, &runs[i].n), tensor(&f, IR_bool, 0, NULL, &runs[i].p), tensor(&f, IR_f32, 1, (int64_t[]){ 2 }, h[0]) }, *out[3];
    ck_assert_msg(ir_eval(f.a, m->main, in, 3, out), "%s", f.d.first.s);
    int64_t k = runs[i].times;
    ck_assert(out[0]->f[0] == h[k][0] && out[0]->f[1] == h[k][1]);
    for (int64_t t = 0; t < 3; t++) ck_assert(out[1]->f[2 * t] == (t < k ? h[t + 1][0] : 0) && out[1]->f[2 * t + 1] == (t < k ? h[t + 1][1] : 0));
    ck_assert_int_eq(out[2]->i[0], runs[i].p && k < 2);
  }
  DONE(f);
}
END_TEST
MAIN("eval", every_half_comes_back_from_its_value, tf32_has_ten_bits_and_rounds_ties_away, integers_come_back_from_their_bytes, symbols_come_from_the_inputs, a_linear_dim_tells_its_symbol, one_rounding_per_node,
     a_region_means_its_body, constants_evaluate_and_the_rest_says_no, absurd_sizes_are_refused, a_view_loads_its_places, a_loop_carries_stacks_and_ends)
