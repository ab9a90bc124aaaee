/* Files as they are printed: tests/unit/codegen/c/NAME.nest, and beside it what it becomes, NAME.cu and NAME.cl. BLESS=1 writes them. */
#include "tests/unit/codegen/lowering.h"

static const char *const names[] = { "add_relu", "softmax", "conv", "half_gemm", "attention", "half_attention", "gather" };
enum { NAMES = sizeof names / sizeof *names };
static char *read_file(const char *path)
{
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *s = calloc(1, 1 << 16);
  size_t n = fread(s, 1, (1 << 16) - 1, f);
  s[n] = 0;
  fclose(f);
  return s;
}
static void print_one(const char *name, const struct cg_target *t)
{
  struct ir_arena *a = ir_arena_create();
  char path[500];
  struct ir_buf out = { 0 }, head = { 0 };
  const char *why = "";
  snprintf(path, sizeof path, "%s/%s.nest", GOLDENS, name);
  char *text = read_file(path);
  ck_assert_msg(text != NULL, "%s", path);
  struct kir_nest *n = lw_parse(a, text);
  struct kir_sched *s = cg_schedule(a, n, t, 2);
  struct kir_kern *k = cg_lower(a, n, s, t, &why);
  ck_assert_msg(k != NULL, "%s", why);
  cg_expand(k, t);
  kir_sched_print(&head, s);
  ck_assert_msg(cg_c(a, k, t, head.s, &out, NULL, &why), "%s", why);
  snprintf(path, sizeof path, "%s/%s.%s", GOLDENS, name, cg_c_ending(t));
  if (getenv("BLESS")) {
    FILE *f = fopen(path, "wb");
    ck_assert(f && fwrite(out.s, 1, out.n, f) == out.n && !fclose(f));
  }
  char *want = read_file(path);
  ck_assert_msg(want && strlen(want) == out.n && !memcmp(want, out.s, out.n), "%s differs; it is now\n%.*s", path, (int)out.n, out.s);
  free(want);
  free(text);
  ir_buf_deinit(&out);
  ir_buf_deinit(&head);
  ir_arena_destroy(a);
}
START_TEST(cuda) { print_one(names[_i], cg_target_find("cuda", 4)); }
END_TEST
START_TEST(opencl) { print_one(names[_i], cg_target_find("opencl", 6)); }
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, cuda, 0, NAMES);
  tcase_add_loop_test(t, opencl, 0, NAMES);
}
int main(void) { return lw_main("c", add); }
