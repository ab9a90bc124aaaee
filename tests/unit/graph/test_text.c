/* text form: what is printed parses back to the same text; wrong text is a diagnostic, never a crash */
#include "graph_test.h"

static const char *const samples[] = {
  /* every kind of declaration, constant, name, attribute and literal */
  "dims n 1..\n"
  "dims h 8..64%8\n"
  "dims `odd name` 0..7\n"
  "const @w: f32[4,3,1,1] = [1,2.5,-0.1,4,5,6,7,8,9,1e-30,inf,nan]\n"
  "const @\"b \\\"quoted\\\"\\x01\": f32[4,1,1] = splat 0.1\n"
  "const @big: u64[2] = [18446744073709551615,0]\n"
  "const @none: i32[0] = []\n"
  "const @p: bool[2] = [true,false]\n"
  "graph \"a graph\" (%x: f32[n,3,h,h], %\"in:put\": f32[`odd name`]) -> %y \"out\", %\"in:put\", @none, true require 64 - n >= 0 \"a \\\"reason\\\"\", -5 + h == 0 {\n"
  "  %1 = conv %x, @w {strides=[2,2], pads=[1,1,1,1]} : f32[n,4,h/2 + 1,h/2 + 1] loc \"Conv_0\", \"Pad_1\"\n"
  "  %2 = max %1, 0 : f32[n,4,h/2 + 1,h/2 + 1] loc \"Relu\\x0a1\"\n"
  "  %3 = reshape @\"b \\\"quoted\\\"\\x01\" {dims=[1,4,1,1]} : f32[1,4,1,1]\n"
  "  %4 = add %2, %3 : f32[n,4,h/2 + 1,h/2 + 1]\n"
  "  %5 = lt %4, 0.25 : bool[n,4,h/2 + 1,h/2 + 1]\n"
  "  %6 = select %5, %4, -inf : f32[n,4,h/2 + 1,h/2 + 1]\n"
  "  %y = reduce %6 {op=sum, axes=[1,2]} : f32[n,1,1,h/2 + 1]\n"
  "}\n",
  /* layouts, weights, places, regions in regions */
  "const @k: f32[64,64] @1,0/16,2 = splat 1\n"
  "graph g () -> {\n}\n",
  "dims n 1..\n"
  "const @w: f32[64,32]@0/16,1,0%16 zero weight = splat 1\n"
  "graph g (%x: f32[n,32,8,8]@0,1/16,2,3,1%16 halo(2:1:1,3:1:2) pad(1:16), %m: f32[4,4]@{at=c0*8 + c1, elems=32, lo=[0,0], hi=[4,8]}) -> %2, %4 {\n"
  "  %2 = group k7 %x {anchor=conv} : f32[n,32,8,8]@0,1,2,3 halo(3:0:1) cpu:1 (%a: f32[n,32,8,8]@0,1/16,2,3,1%16 halo(2:1:1,3:1:2) pad(1:16)) -> %c {\n"
  "    %c = composite @soft %a : f32[n,32,8,8] (%b: f32[n,32,8,8]) -> %d {\n"
  "      %d = exp %b : f32[n,32,8,8]\n"
  "    } loc \"Exp_0\"\n"
  "  }\n"
  "  %3 = transfer %2 {place=\"cpu 2\"} : f32[n,32,8,8] cpu:1\n"
  "  %4 = group _ %3, true, @w : f32[n,32,8,8] \"loc\" (%7: f32[n,32,8,8], %8: bool[], %9: f32[64,32]) -> %10 {\n"
  "    %10 = copy %7 : f32[n,32,8,8]\n"
  "  }\n"
  "}\n",
  /* forms: index, shape arithmetic; composite atoms whose order of creation differs from the text's */
  "dims s 1..1024\n"
  "dims b 1..\n"
  "graph g (%x: f32[b,s]) -> %1, %2, %3 {\n"
  "  %1 = index {elem=i64, e=[c0*2 + s/3 + b/2,c1 % 4,7], dims=[3]} : i64[3]\n"
  "  %2 = index {elem=bool, e=[[c1 <= c0]], dims=[s,s]} : bool[s,s]\n"
  "  %3 = slice %x {start=[0,s/2], step=[1,1], dims=[b,s - s/2]} : f32[b,-s/2 + s]\n"
  "}\n",
};
static struct ir_module *parsed(struct fixture *f, const char *text) { return ir_parse(f->a, &f->d, text, strlen(text), NULL); }
START_TEST(printed_text_is_a_fixed_point)
{
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    FIXTURE(f);
    struct ir_module *m = parsed(&f, samples[i]);
    if (i == 1) { ck_assert_ptr_null(m); ck_assert_uint_gt(f.d.errors, 0); DONE(f); continue; }      /* axes out of order */
    ck_assert_msg(m != NULL, "sample %zu: %s", i, f.d.first.s);
    VERIFIED(m);
    char *once = printed(&f, m);
    struct ir_module *m2 = parsed(&f, once);
    ck_assert_msg(m2 != NULL, "sample %zu: %s\n%s", i, f.d.first.s, once);
    VERIFIED(m2);
    ck_assert_str_eq(printed(&f, m2), once);
    ck_assert_str_eq(printed(&f, m), once);
    DONE(f);
  }
}
END_TEST
START_TEST(text_in_its_own_spelling_comes_back_to_the_letter)
{
  static const char text[] =
    "dims n 1..2147483647\n"
    "const @conv1.weight: f32[64,3,7,7] = splat 0.5\n"
    "graph stem (%x: f32[n,3,224,224]) -> %3 \"out\" {\n"
    "  %2 = conv %x, @conv1.weight {strides=[2,2], pads=[3,3,3,3]} : f32[n,64,112,112] loc \"Conv_0\"\n"
    "  %3 = max %2, 0 : f32[n,64,112,112] loc \"Relu_1\"\n"
    "}\n";
  FIXTURE(f);
  struct ir_module *m = parsed(&f, text);
  ck_assert_msg(m != NULL, "%s", f.d.first.s);
  ck_assert_str_eq(printed(&f, m), text);
  ck_assert_ptr_nonnull(m->main->first);
  struct ir_node *c = m->main->last->in[0]->def;
  ck_assert_int_eq(c->op, IR_OP_conv);
  ck_assert_str_eq(c->prov->name[0], "Conv_0");
  ck_assert_str_eq(m->main->result_names.v[0], "out");
  DONE(f);
}
END_TEST
START_TEST(a_built_graph_prints_and_comes_back)
{
  FIXTURE(f);
  const struct ir_ix *n = dim(&f, "n"), *s = dim(&f, "s");
  struct ir_value *x = ir_graph_param(f.b.g, ir_type_get(f.m, IR_f32, 3, (const struct ir_ix *[]){ n, s, num(&f, 8) }), "x");
  struct ir_value *y = ir_reshape(&f.b, x, 2, (const struct ir_ix *[]){ ir_ix_mul(n, s), num(&f, 8) });
  struct ir_value *two[2] = { y, ir_map1(&f.b, IR_OP_exp, y) };
  struct ir_attr a = ir_attr_int("axis", 0);
  struct ir_value *z = ir_build(&f.b, IR_OP_concat, two, 2, &a, 1)->out[0];
  result(&f, ir_map2(&f.b, IR_OP_add, z, ir_const_f(&f.b, IR_f32, 0.1)));
  ir_require_ge0(f.m, ir_ix_sub(num(&f, 64), s), "table");
  char *once = printed(&f, f.m);
  struct ir_module *m = parsed(&f, once);
  ck_assert_msg(m != NULL, "%s\n%s", f.d.first.s, once);
  ck_assert_str_eq(printed(&f, m), once);
  ck_assert_uint_eq(m->requires.n, 1);
  ck_assert_int_eq(ir_ix_as_sym(ir_ix_find(m->ixs, "s"))->hi, 64);
  DONE(f);
}
END_TEST
START_TEST(text_does_not_depend_on_what_was_made_first)
{
  FIXTURE(f);
  const struct ir_ix *w = dim(&f, "w"), *h = dim(&f, "h"), *h2 = ir_ix_divi(h, 2), *w3 = ir_ix_divi(w, 3), *hw = ir_ix_mul(w3, h2), *m = ir_ix_min(ir_ix_mul(h, h), ir_ix_mul(w, w));
  const struct ir_ix *d[5] = { w3, ir_ix_add(w3, h2), ir_ix_add(hw, w3), ir_ix_mul(m, w3), ir_ix_add(ir_ix_modi(w, 5), ir_ix_modi(h, 7)) };
  result(&f, ir_graph_param(f.b.g, ir_type_get(f.m, IR_f32, 5, d), "x"));
  char *once = printed(&f, f.m);
  struct ir_module *back = parsed(&f, once);
  ck_assert_msg(back != NULL, "%s\n%s", f.d.first.s, once);
  ck_assert_str_eq(printed(&f, back), once);
  DONE(f);
}
END_TEST
START_TEST(twins_stay_two_in_text)
{
  static const char text[] =
    "graph g (%x: f32[2]) -> %2, %3 {\n"
    "  %2 = exp %x : f32[2]\n"
    "  %3 = exp %x : f32[2]\n"
    "}\n";
  FIXTURE(f);
  struct ir_module *m = parsed(&f, text);
  ck_assert_ptr_nonnull(m);
  ck_assert_str_eq(printed(&f, m), text);
  ck_assert_uint_eq(ir_graph_cse(m->main), 1);
  DONE(f);
}
END_TEST
START_TEST(equal_constants_of_two_names_get_different_ones)
{
  FIXTURE(f);
  int64_t two = 2;
  struct ir_value *x = PARAM(&f, "x", IR_f32, 2);
  f.b.at = NULL;
  struct ir_data d = { .kind = IR_DATA_BYTES, .p = (const unsigned char *)(float[]){ 1, 2 }, .bytes = 8 }, e = { .kind = IR_DATA_BYTES, .p = (const unsigned char *)(float[]){ 3, 4 }, .bytes = 8 };
  struct ir_value *a = ir_const_bytes(&f.b, ir_type_ints(f.m, IR_f32, 1, &two), &d, "same"), *b = ir_const_bytes(&f.b, ir_type_ints(f.m, IR_f32, 1, &two), &e, "same");
  result(&f, ir_map2(&f.b, IR_OP_add, ir_map2(&f.b, IR_OP_mul, x, a), b));
  char *once = printed(&f, f.m);
  ck_assert_ptr_nonnull(strstr(once, "@same.1: f32[2] = [3,4]"));
  struct ir_module *m = parsed(&f, once);
  ck_assert_ptr_nonnull(m);
  ck_assert_str_eq(printed(&f, m), once);
  DONE(f);
}
END_TEST
START_TEST(constants_in_files)
{
  FIXTURE(f);
  char dir[] = "/tmp/massc-text-XXXXXX";
  ck_assert_ptr_nonnull(mkdtemp(dir));
  char path[64];
  snprintf(path, sizeof path, "%s/w.bin", dir);
  FILE *o = fopen(path, "wb");
  ck_assert_ptr_nonnull(o);
  float w[3] = { 9, 1, 2 };
  fwrite(w, 4, 3, o);
  fclose(o);
  static const char text[] = "const @w: f32[2] = file \"w.bin\" 4 8\ngraph g (%x: f32[2]) -> %2 {\n  %2 = add %x, @w : f32[2]\n}\n";
  struct ir_module *m = ir_parse(f.a, &f.d, text, strlen(text), dir);
  ck_assert_msg(m != NULL, "%s", f.d.first.s);
  ck_assert_int_eq(memcmp(m->main->last->in[1]->def->data->p, w + 1, 8), 0);
  char *once = printed(&f, m);
  ck_assert_ptr_nonnull(strstr(once, "file \"w.bin\" 4 8 hash 0x"));
  struct ir_module *m2 = ir_parse(f.a, &f.d, once, strlen(once), dir);
  ck_assert_msg(m2 != NULL, "%s", f.d.first.s);
  ck_assert_str_eq(printed(&f, m2), once);
  ck_assert_ptr_null(ir_parse(f.a, &f.d, text, strlen(text), NULL));       /* no folder: refused */
  o = fopen(path, "r+b");
  fwrite(w, 4, 1, o);
  fwrite(w, 4, 1, o);                                                      /* 1 becomes 9 */
  fclose(o);
  ck_assert_ptr_null(ir_parse(f.a, &f.d, once, strlen(once), dir));        /* the hash tells */
  remove(path);
  remove(dir);
  DONE(f);
}
END_TEST

/* A size that an input states: printed, read back, and the evaluator takes it from the input; a symbol without its element is refused. */
START_TEST(symbols_of_values)
{
  FIXTURE(f);
  static const char text[] = "value s.at1 = 1[1]\ngraph main (%x: f32[1], %s: i64[2]) -> %3 {\n  %3 = broadcast %x {dims=[s.at1]} : f32[s.at1]\n}\n";
  struct ir_module *m = ir_parse(f.a, &f.d, text, strlen(text), NULL);
  ck_assert_msg(m != NULL, "%s", f.d.first.s);
  ck_assert_str_eq(printed(&f, m), text);
  struct ir_tensor *in[] = { ir_tensor_create(f.a, IR_f32, 1, (int64_t[]){ 1 }), ir_tensor_create(f.a, IR_i64, 1, (int64_t[]){ 2 }) }, *out;
  in[0]->f[0] = 7;
  in[1]->i[1] = 3;
  ck_assert_msg(ir_eval(f.a, m->main, in, 2, &out), "%s", f.d.first.s);
  ck_assert(out->n == 3 && out->f[2] == 7);
  in[1]->i[1] = -1;
  ck_assert(!ir_eval(f.a, m->main, in, 2, &out));
  static const char *const wrong[] = { "value s = 2[0]\n", "value s = 1[2]\n", "value s = 0[-1]\n", "value s = x\n" };
  for (int i = 0; i < 4; i++) {
    char *t = ir_arena_printf(f.a, "%sgraph g (%%x: f32[1], %%s: i64[2]) -> %%x {\n}\n", wrong[i]);
    ck_assert_ptr_null(ir_parse(f.a, &f.d, t, strlen(t), NULL));
  }
  DONE(f);
}
END_TEST

/* ---- wrong text ---- */
static const struct { const char *text, *says; } wrong[] = {
  { "", "expected dims, late, value, const or graph" },
  { "graph g (%x: f32[2]) -> %y {\n}\n", "line 1: value %y is used before it is defined" },
  { "graph g (%x: f32[2]) -> %1 {\n  %1 = exp %2 : f32[2]\n}\n", "line 2: value %2 is used before" },
  { "graph g (%x: f32[2]) -> %1 {\n  %1 = frob %x : f32[2]\n}\n", "line 2: unknown op" },
  { "graph g (%x: f32[2]) -> %1 {\n  %1 = exp %x : f32[3]\n}\n", "the result is f32[2], not f32[3]" },
  { "graph g (%x: f32[2]) -> %1 {\n  %1 = exp %x : f32[2]\n  %1 = exp %x : f32[2]\n}\n", "line 3: value %1 is defined twice" },
  { "graph g (%x: f32[2], %y: f32[3]) -> %1 {\n  %1 = add %x, %y : f32[2]\n}\n", "M0201" },
  { "graph g (%x: f32[n]) -> %x {\n}\n", "bad expression" },
  { "graph g (%x: f32[-2]) -> %x {\n}\n", "a dimension is negative" },
  { "graph g (%x: q7[2]) -> %x {\n}\n", "expected a type" },
  { "dims n 5..3\n", "bad range" },
  { "dims n 9..15%8\n", "no multiple of 8" },
  { "dims n 1..2\ndims n 1..2\n", "declared twice" },
  { "const @a: f32[3] = [1,2]\n", "8 bytes do not fit f32[3]" },
  { "const @a: i8[1] = [300]\n", "300 does not fit i8" },
  { "const @a: f32[] = splat 1\nconst @a: f32[] = splat 1\n", "declared twice" },
  { "const @a: f32[2] = file \"../x\" 0 8\n", "not allowed here" },
  { "graph g (%x: f32[2]) -> @b {\n}\n", "constant @b is not declared" },
  { "graph g (%x: f32[2]) -> 5 {\n}\n", "a number cannot be a result" },
  { "graph g (%x: bool[2]) -> %1 {\n  %1 = eq 1, 2 : bool[]\n}\n", "the type of this literal is not known" },
  { "graph g (%x: f32[2]) -> %1 {\n  %1 = exp %x {a=1} : f32[2]\n}\n", "exp has no attribute \"a\"" },
  { "graph g (%x: f32[2]) -> %1 {\n  %1 = group k %x : f32[2]\n}\n", "group with 0 bodies" },
  { "graph g (%x: f32[2]) -> %1 {\n  %1 = group k %x : f32[2] (%a: f32[3]) -> %a {\n  }\n}\n", "M0202" },
  { "graph g (%x: f32[2]@0/0,0%0) -> %x {\n}\n", "the block of a layout" },
  { "graph g (%x: f32[2]) -> %x {\n} more", "text behind the graph" },
  { "graph g (%x: f32[2]) -> %x {\n", "expected \"%\"" },
  { "graph g (%x: f32[2]) -> \"un", "a string without end" },
};
START_TEST(wrong_text_says_where_and_what)
{
  FIXTURE(f);
  f.d.quiet = true;
  ck_assert_ptr_null(parsed(&f, wrong[_i].text));
  ck_assert_uint_gt(f.d.errors, 0);
  ck_assert_msg(strstr(f.d.first.s, wrong[_i].says) != NULL, "%s\nsays: %s", wrong[_i].text, f.d.first.s);
  DONE(f);
}
END_TEST
START_TEST(deep_regions_are_refused)
{
  FIXTURE(f);
  struct ir_buf b = { 0 };
  ir_buf_printf(&b, "graph g (%%x: f32[2]) -> %%1 {\n");
  for (int i = 0; i < 5000; i++) ir_buf_printf(&b, "%%1 = composite @c %%x : f32[2] (%%x: f32[2]) -> %%1 {\n");
  ck_assert_ptr_null(ir_parse(f.a, &f.d, b.s, b.n, NULL));
  ck_assert_ptr_nonnull(strstr(f.d.first.s, "regions nest deeper"));
  ir_buf_deinit(&b);
  DONE(f);
}
END_TEST
/* Bytes changed, cut, doubled: a module or a diagnostic. What parses also verifies, prints and comes back. */
START_TEST(damaged_text_never_crashes)
{
  static const char alphabet[] = "%@{}[]()=:,.;-> 0123456789\"\\xnabcdefgops\n*/+`";
  uint64_t seed = 7;
  unsigned good = 0;
  for (unsigned round = 0; round < 3000; round++) {
    FIXTURE(f);
    const char *from = samples[round % (sizeof samples / sizeof *samples)];
    size_t n = strlen(from), m = n;
    char *s = malloc(2 * n + 16);
    memcpy(s, from, n);
    for (unsigned k = 1 + next_random(&seed) % 4; k; k--) {
      size_t at = next_random(&seed) % (m + 1);
      switch (next_random(&seed) % 4) {
      case 0: m = at; break;
      case 1: if (at < m) s[at] = alphabet[next_random(&seed) % (sizeof alphabet - 1)]; break;
      case 2: if (at < m) { memmove(s + at, s + at + 1, m - at - 1); m--; } break;
      case 3: if (m < 2 * n) { memmove(s + at + 1, s + at, m - at); s[at] = next_random(&seed) % 3 ? alphabet[next_random(&seed) % (sizeof alphabet - 1)] : (char)next_random(&seed); m++; } break;
      }
      if (!m) break;
    }
    f.d.quiet = true;
    struct ir_module *g = ir_parse(f.a, &f.d, s, m, NULL);
    if (g) {
      good++;
      VERIFIED(g);
      char *once = printed(&f, g);
      struct ir_module *again = parsed(&f, once);
      ck_assert_msg(again != NULL, "%s\n%s", f.d.first.s, once);
      ck_assert_str_eq(printed(&f, again), once);
    } else ck_assert_uint_gt(f.d.errors, 0);
    free(s);
    DONE(f);
  }
  ck_assert_uint_gt(good, 50);                             /* the damage is not so heavy that nothing is tested */
}
END_TEST
int main(void)
{
  Suite *s = suite_create("text");
  TCase *t = tcase_create("text");
  const TTest *const tests[] = { printed_text_is_a_fixed_point, text_in_its_own_spelling_comes_back_to_the_letter, a_built_graph_prints_and_comes_back, text_does_not_depend_on_what_was_made_first, twins_stay_two_in_text,
    equal_constants_of_two_names_get_different_ones, constants_in_files, symbols_of_values, deep_regions_are_refused, damaged_text_never_crashes };
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tcase_add_test(t, tests[i]);
  tcase_add_loop_test(t, wrong_text_says_where_and_what, 0, sizeof wrong / sizeof *wrong);
  tcase_set_timeout(t, 60);
  suite_add_tcase(s, t);
  return tap_run(s);
}
