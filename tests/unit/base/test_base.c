/* arenas, vectors, interning, hashing, diagnostics */
#include "ir/base/base.h"
#include "ir/base/yaml_tree.h"
#include "tests/unit/tap.h"
#include <stdlib.h>
#include <string.h>

START_TEST(arena_is_zeroed_and_aligned)
{
  struct ir_arena *a = ir_arena_create();
  for (size_t n = 1; n < 300000; n = n * 3 + 1) {
    unsigned char *p = ir_arena_alloc(a, n);
    ck_assert_uint_eq((uintptr_t)p % 16, 0);
    for (size_t i = 0; i < n; i++) ck_assert_uint_eq(p[i], 0);
    memset(p, 0xff, n);
  }
  ir_arena_destroy(a);
}
END_TEST
START_TEST(vector_grows)
{
  struct ir_arena *a = ir_arena_create();
  IR_VEC(int) v = { 0 };
  for (int i = 0; i < 1000; i++) ir_push(a, &v, i * i);
  ck_assert_uint_eq(v.n, 1000);
  for (int i = 0; i < 1000; i++) ck_assert_int_eq(v.v[i], i * i);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(interned_strings_are_one_pointer)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_strtab *t = ir_strtab_create(a);
  const char *first[2000];
  char s[32];
  for (int i = 0; i < 2000; i++) first[i] = ir_intern(t, s, (size_t)snprintf(s, sizeof s, "name%d", i));
  for (int i = 0; i < 2000; i++) ck_assert_ptr_eq(first[i], ir_intern(t, s, (size_t)snprintf(s, sizeof s, "name%d", i)));
  ck_assert_ptr_eq(ir_intern(t, "name1x", 5), first[1]);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(hash_is_stable)
{
  ck_assert(ir_hash("massc", 5, 0) == ir_hash("massc!", 5, 0));
  ck_assert(ir_hash("massc", 5, 0) != ir_hash("massd", 5, 0));
  ck_assert(ir_hash("", 0, 1) != ir_hash("", 0, 2));
}
END_TEST
START_TEST(diagnostic_names_file_node_and_op)
{
  struct ir_diags d = { .file = "m.onnx" };
  ck_assert(!ir_error(&d, IR_M0201, "Conv\n7", "Conv", "weight has %d channels", 3));
  ck_assert_str_eq(d.first.s, "m.onnx: \"Conv\\x0a7\" (Conv): error M0201: weight has 3 channels");
  ck_assert_int_eq(d.status, IR_EXIT_MODEL);
  ir_buf_deinit(&d.first);
}
END_TEST
START_TEST(floor_division)
{
  for (int64_t a = -20; a <= 20; a++)
    for (int64_t b = 1; b < 7; b++) {
      int64_t q = ir_floordiv(a, b), r = ir_floormod(a, b);
      ck_assert_int_eq(q * b + r, a);
      ck_assert(r >= 0 && r < b);
    }
}
END_TEST
START_TEST(yaml_becomes_a_tree)
{
  static const char text[] = "a: 1\nb: ['2', &x {c: d}, *x]\n";
  struct ir_arena *a = ir_arena_create();
  struct ir_yaml_error e;
  struct ir_yaml *y = ir_yaml_read(a, "f.yaml", text, sizeof text - 1, &e), *b = ir_yaml_get(y, "b");
  ck_assert(y && y->kind == IR_YAML_MAP && y->n == 2 && b && b->kind == IR_YAML_SEQ && b->n == 3 && b->line == 2 && !strcmp(b->file, "f.yaml"));
  ck_assert_str_eq(ir_yaml_get(y, "a")->s, "1");
  ck_assert(!ir_yaml_get(y, "a")->quoted && b->item[0]->quoted && b->item[1] == b->item[2] && !ir_yaml_get(y, "c") && !ir_yaml_get(b, "c"));
  ck_assert_str_eq(ir_yaml_get(b->item[2], "c")->s, "d");
  ir_arena_destroy(a);
}
END_TEST
START_TEST(yaml_says_what_is_wrong_and_where)
{
  static const struct { const char *text; unsigned line; const char *why; } bad[] = {
    { "", 1, "the file is empty" },
    { "# nothing\n", 1, "the file is empty" },
    { "a: 1\n? [b]\n: 2\n", 2, "a key must be a name" },
    { "a: 1\nb: 2\na: 3\n", 3, "key a stands twice" },
    { "a: 1\nb: &x [1, *x]\n", 2, "nested too deeply, or within itself" },
    { "a: 1\nb: [1, 2\n", 3, NULL },
    { "a: *nowhere\n", 1, NULL },
  };
  struct ir_arena *a = ir_arena_create();
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct ir_yaml_error e = { 0 };
    ck_assert_msg(!ir_yaml_read(a, "f", bad[i].text, strlen(bad[i].text), &e), "%s", bad[i].text);
    ck_assert_msg(e.line == bad[i].line && e.why && *e.why, "%s: line %u, %s", bad[i].text, e.line, e.why ? e.why : "");
    if (bad[i].why) ck_assert_str_eq(e.why, bad[i].why);
  }
  char deep[400];
  memset(deep, '[', 200);
  memset(deep + 200, ']', 200);
  struct ir_yaml_error e = { 0 };
  ck_assert(!ir_yaml_read(a, "f", deep, sizeof deep, &e) && e.line == 1 && e.why);
  ir_arena_destroy(a);
}
END_TEST
int main(void)
{
  Suite *s = suite_create("base");
  TCase *t = tcase_create("base");
  tcase_add_test(t, arena_is_zeroed_and_aligned);
  tcase_add_test(t, vector_grows);
  tcase_add_test(t, interned_strings_are_one_pointer);
  tcase_add_test(t, hash_is_stable);
  tcase_add_test(t, diagnostic_names_file_node_and_op);
  tcase_add_test(t, floor_division);
  tcase_add_test(t, yaml_becomes_a_tree);
  tcase_add_test(t, yaml_says_what_is_wrong_and_where);
  suite_add_tcase(s, t);
  return tap_run(s);
}
