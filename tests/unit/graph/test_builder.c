/* attributes, constants, the helpers that compose */
#include "graph_test.h"

static struct ir_value *reduced(struct fixture *f, struct ir_value *x, const struct ir_attr *a, unsigned n)
{
  struct ir_node *r = ir_build(&f->b, IR_OP_reduce, &x, 1, a, n);
  return r ? r->out[0] : NULL;
}
START_TEST(attributes_take_declared_order_and_lose_defaults)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 2, 3);
  struct ir_attr op = ir_attr_str("op", "sum"), axes = ir_attr_ints(f.m, "axes", (int64_t[]){ 1 }, 1);
  struct ir_value *a = reduced(&f, x, (struct ir_attr[]){ axes, op }, 2), *b = reduced(&f, x, (struct ir_attr[]){ op, axes }, 2);
  ck_assert_ptr_nonnull(a);
  ck_assert_ptr_eq(a, b);
  ck_assert_str_eq(a->def->attr[0].key, "op");
  struct ir_attr p[] = { op, ir_attr_int("axis", 1), ir_attr_int("exclusive", 0), ir_attr_int("reverse", 1) };
  struct ir_node *n = ir_build(&f.b, IR_OP_prefix, &x, 1, p, 4);
  ck_assert_ptr_nonnull(n);
  ck_assert_uint_eq(n->n_attr, 3);                         /* exclusive=0 is the default */
  ck_assert_int_eq(ir_attr_get_int(n, "exclusive"), 0);
  ck_assert_int_eq(ir_attr_get_int(n, "reverse"), 1);
  ck_assert_ptr_eq(ir_build(&f.b, IR_OP_prefix, &x, 1, (struct ir_attr[]){ p[3], p[1], p[0] }, 3), n);
  DONE(f);
}
END_TEST
START_TEST(wrong_attributes_are_diagnostics_at_the_onnx_node)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 2, 3);
  f.b.onnx_node = "Sum_3";
  f.b.onnx_op = "ReduceSum";
  struct ir_attr op = ir_attr_str("op", "sum"), odd = ir_attr_int("colour", 1);
  ck_assert_ptr_null(reduced(&f, x, (struct ir_attr[]){ op, odd }, 2));
  ck_assert_ptr_nonnull(strstr(f.d.first.s, "\"Sum_3\" (ReduceSum): error M0302"));
  ck_assert_ptr_null(reduced(&f, x, NULL, 0));
  ck_assert_ptr_null(reduced(&f, x, (struct ir_attr[]){ op, op }, 2));
  ck_assert_ptr_null(reduced(&f, x, (struct ir_attr[]){ ir_attr_int("op", 3) }, 1));
  ck_assert_uint_eq(f.d.errors, 4);
  ck_assert_ptr_null(f.b.g->first);
  DONE(f);
}
END_TEST
START_TEST(an_operand_that_failed_passes_silently)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 2), *y = PARAM(&f, "y", IR_f32, 3);
  ck_assert_ptr_null(ir_map2(&f.b, IR_OP_add, x, y));
  ck_assert_uint_eq(f.d.errors, 1);
  ck_assert_ptr_null(ir_map1(&f.b, IR_OP_neg, NULL));
  ck_assert_ptr_null(ir_cast(&f.b, ir_reshape(&f.b, NULL, 0, NULL), IR_i32));
  ck_assert_uint_eq(f.d.errors, 1);
  DONE(f);
}
END_TEST
START_TEST(constants_have_one_spelling)
{
  FIXTURE(f);
  int64_t three = 3, seven[3] = { 7, 7, 7 }, mixed[3] = { 7, 8, 7 };
  struct ir_value *a = ir_const_ints(&f.b, IR_i64, 1, &three, seven), *b = ir_const_splat(&f.b, ir_type_ints(f.m, IR_i64, 1, &three), 0, 7);
  ck_assert_ptr_eq(a, b);
  struct ir_value *c = ir_const_ints(&f.b, IR_i64, 1, &three, mixed);
  ck_assert_int_eq(c->def->data->kind, IR_DATA_BYTES);
  mixed[1] = 9;                                            /* the bytes were copied */
  int64_t v[3];
  unsigned n;
  ck_assert(ir_value_const_ints(c, 3, v, &n));
  ck_assert_int_eq(v[1], 8);
  ck_assert(!ir_value_const_ints(c, 2, v, &n));
  double x;
  ck_assert(!ir_value_is_splat(c, &x));
  /* a scalar read from a file is a splat too, and rounding happens once */
  float tenth = 0.1f;
  struct ir_data d = { .kind = IR_DATA_BYTES, .p = (unsigned char *)&tenth, .bytes = 4, .file = "w", .offset = 0 };
  ck_assert_ptr_eq(ir_const_bytes(&f.b, ir_type_ints(f.m, IR_f32, 0, NULL), &d, "w"), ir_const_f(&f.b, IR_f32, 0.1));
  d.bytes = 3;
  ck_assert_ptr_null(ir_const_bytes(&f.b, ir_type_ints(f.m, IR_f32, 0, NULL), &d, "w"));
  ck_assert_ptr_nonnull(strstr(f.d.first.s, "M0103"));
  DONE(f);
}
END_TEST
START_TEST(splats_are_seen_through_movement_and_casts)
{
  FIXTURE(f);
  double x;
  struct ir_value *k = ir_const_f(&f.b, IR_f32, 2.75), *b = ir_broadcast(&f.b, k, 2, (const struct ir_ix *[]){ dim(&f, "n"), num(&f, 4) });
  ck_assert_uint_eq(b->type->rank, 2);
  ck_assert(ir_value_is_splat(b, &x));
  ck_assert(x == 2.75);
  ck_assert(ir_value_is_splat(ir_cast(&f.b, b, IR_bool), &x));
  ck_assert(x == 1);
  ck_assert(ir_value_is_splat(ir_cast(&f.b, ir_const_f(&f.b, IR_f64, 1.0 / 3), IR_f16), &x));
  ck_assert(x == ir_round_to(IR_f16, 1.0 / 3) && x != 1.0 / 3);
  ck_assert(!ir_value_is_splat(PARAM(&f, "x", IR_f32, 1), &x));
  DONE(f);
}
END_TEST
START_TEST(broadcast_aligns_at_the_last_axis)
{
  FIXTURE(f);
  const struct ir_ix *n = dim(&f, "n");
  struct ir_value *x = PARAM(&f, "x", IR_f32, 3, 1);
  struct ir_value *y = ir_broadcast(&f.b, x, 3, (const struct ir_ix *[]){ n, num(&f, 3), num(&f, 5) });
  ck_assert_str_eq(ir_type_str(f.a, y->type), "f32[n,3,5]");
  ck_assert_ptr_eq(ir_broadcast(&f.b, x, 2, (const struct ir_ix *[]){ num(&f, 1), num(&f, 1) }), x);     /* the target's 1 gives way, as Expand has it */
  ck_assert_ptr_eq(ir_broadcast(&f.b, x, 1, (const struct ir_ix *[]){ num(&f, 1) }), x);
  ck_assert_ptr_null(ir_broadcast(&f.b, x, 2, (const struct ir_ix *[]){ num(&f, 4), num(&f, 1) }));
  ck_assert_uint_eq(f.d.errors, 1);
  VERIFIED(f.m);
  DONE(f);
}
END_TEST
START_TEST(maps_lift_ranks_by_unit_axes)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 2, 3, 4), *v = PARAM(&f, "v", IR_f32, 4), *s = ir_const_f(&f.b, IR_f32, 1);
  struct ir_value *y = ir_map2(&f.b, IR_OP_add, v, x);
  ck_assert_str_eq(ir_type_str(f.a, y->type), "f32[2,3,4]");
  ck_assert_int_eq(y->def->in[0]->def->op, IR_OP_reshape);
  ck_assert_str_eq(ir_type_str(f.a, y->def->in[0]->type), "f32[1,1,4]");
  ck_assert_ptr_eq(ir_map2(&f.b, IR_OP_add, x, s)->def->in[1], s);         /* rank 0 stays */
  struct ir_value *c = ir_map2(&f.b, IR_OP_lt, x, v);
  ck_assert_int_eq(c->type->elem, IR_bool);
  ck_assert_ptr_eq(ir_map3(&f.b, IR_OP_select, c, x, s)->type, x->type);
  VERIFIED(f.m);
  DONE(f);
}
END_TEST
START_TEST(nothing_is_built_for_an_identity)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 2, 3);
  ck_assert_ptr_eq(ir_reshape(&f.b, x, 2, x->type->dim), x);
  ck_assert_ptr_eq(ir_transpose(&f.b, x, (int64_t[]){ 0, 1 }), x);
  ck_assert_ptr_eq(ir_cast(&f.b, x, IR_f32), x);
  ck_assert_ptr_null(f.b.g->first);
  ck_assert_str_eq(ir_type_str(f.a, ir_transpose(&f.b, x, (int64_t[]){ 1, 0 })->type), "f32[3,2]");
  DONE(f);
}
END_TEST
MAIN("builder", attributes_take_declared_order_and_lose_defaults, wrong_attributes_are_diagnostics_at_the_onnx_node, an_operand_that_failed_passes_silently, constants_have_one_spelling,
     splats_are_seen_through_movement_and_casts, broadcast_aligns_at_the_last_axis, maps_lift_ranks_by_unit_axes, nothing_is_built_for_an_identity)
