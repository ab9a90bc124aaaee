/* The host program: emitted, linked with kernels, weights and the runtime into a shared library, and run; and its text. */
#include "runtime/massrt.h"
#include "tests/unit/codegen/kerns.h"
#include "tests/unit/codegen/run_native.h"
#include "tests/unit/tap.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* y[r*4 + c] = x[r*4 + c] + w[c], a task per row */
static struct kir_kern *add_rows(struct kb *b)
{
  struct kir_block *outer;
  kb_open(b);
  const struct ir_ix *rows = ir_ix_sym(b->n->ixs, "n", IR_SYM_DIM, 1, 1000, 1), *elems = ir_ix_muli(rows, 4);
  struct kir_arr *x = kir_arg(b->n, "x", IR_f32, 1, IX(elems), false), *w = kb_arg(b, "w", IR_f32, 4, false), *y = kir_arg(b->n, "y", IR_f32, 1, IX(elems), true);
  kb_kern(b);
  b->k->name = "add_rows";
  ir_push(b->a, &b->k->syms, rows);
  const struct ir_ix *r = kb_grid(b, "r", rows, 1000), *c = kb_for(b, "c", kb_int(b, 0), kb_int(b, 4), 4, 0, &outer), *at = ir_ix_add(ir_ix_muli(r, 4), c);
  kb_store(b, y, at, kb_ew(b, IR_MAP_add, IR_f32, kb_load(b, x, 1, at), kb_load(b, w, 1, c), NULL));
  return b->k;
}

/* x: f32[n,4] -> buffer0 = x + weights[16..20) -> buffer1 = buffer0 + weights[0..4) -> y: a copy of it */
static const struct massrt_expr exprs[] = { { .op = MASSRT_X_SYM, .k = 0 }, { .op = MASSRT_X_CONST, .k = 4 }, { .op = MASSRT_X_MUL, .a = 0, .b = 1 }, { .op = MASSRT_X_MUL, .a = 2, .b = 1 } };
static const struct massrt_sym syms[] = { { "n", 1, 1000, 1, 0, 0 } };
static const struct massrt_require requires_[] = { { 0, 0, "n is no size" } };
static const uint32_t dims[] = { 0, 1 };
static const char *const dim_names[] = { "n", NULL };
static const struct massrt_io inputs[] = { { "x", MASSRT_F32, 2, dims, dim_names } }, outputs[] = { { "y", MASSRT_F32, 2, dims, dim_names } };
static const struct massrt_buffer buffers[] = { { 3, 0, 1, 0, -1 }, { 3, 1, 2, 0, -1 } };
static const struct massrt_arg args[] = { { MASSRT_A_INPUT, 0, 0 }, { MASSRT_A_WEIGHT, 0, 64 }, { MASSRT_A_BUFFER, 0, 0 }, { MASSRT_A_EXPR, 0, 0 },
                                          { MASSRT_A_BUFFER, 0, 0 }, { MASSRT_A_WEIGHT, 0, 0 }, { MASSRT_A_BUFFER, 1, 0 }, { MASSRT_A_EXPR, 0, 0 }, { MASSRT_A_OUTPUT, 0, 0 } };
static const struct massrt_kernel kernels[] = { { .name = "add_rows" } };
static const struct massrt_place places[] = { { "cpu", MASSRT_K_CPU, MASSRT_ALIGN, -1 } };
static const struct massrt_launch launches[] = { { 0, 0, 4, 0, 2, 3, 0, 0, 0, 0, "Add_0", "g0" }, { 0, 4, 4, 0, 2, 3, 2, 0, 0, 0, "Add_1", "g1" } };
static const struct massrt_step steps[] = { { .kind = MASSRT_S_LAUNCH, .a = 0, .nodes = "Add_0" }, { .kind = MASSRT_S_LAUNCH, .a = 1, .nodes = "Add_1" }, { MASSRT_S_COPY, 6, 8, 3, 3, 0, "Add_1" } };
static struct cg_host host_of(const struct cg_target *const *t, unsigned n)
{
  return (struct cg_host){ .p = { .name = "net", .producer = "massc test", .flags = "", .hash = "0", .n_exprs = 4, .n_syms = 1, .n_requires = 1, .n_inputs = 1, .n_outputs = 1,
      .n_buffers = 2, .n_args = 9, .n_kernels = 1, .n_launches = 2, .n_steps = 3, .n_groups = 2, .n_places = 1, .places = places, .exprs = exprs, .syms = syms, .requires_ = requires_, .inputs = inputs,
      .outputs = outputs, .buffers = buffers, .args = args, .kernels = kernels, .launches = launches, .steps = steps, .arena_bytes = -1, .live_bytes = -1, .weights_bytes = 128 },
    .targets = t, .n_targets = n, .prefix = "net", .weights_symbol = "host_test_weights" };
}
static void write_object(const char *dir, const char *name, struct ir_buf *b)
{
  char path[96];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "wb");
  ck_assert(f && fwrite(b->s, 1, b->n, f) == b->n && fclose(f) == 0);
  ir_buf_deinit(b);
}
/* host, one object of kernels per target, stub, runtime -> a loaded library */
static void *load(struct kb *b, const struct cg_target *const *t, unsigned n, const char *dir)
{
  struct ir_buf o = { 0 };
  const char *why = NULL;
  char cmd[1024], name[32];
  struct cg_host h = host_of(t, n);
  ck_assert_msg(cg_host_emit(b->a, &h, CG_OBJECT, &o, &why), "%s", why);
  write_object(dir, "host.o", &o);
  for (unsigned i = 0; i < n; i++) {
    if (n > 1) b->k->name = ir_arena_printf(b->a, "add_rows.v%u", t[i]->level);
    ck_assert_msg(cg_llvm(b->a, &b->k, 1, t[i], CG_OBJECT, &o, &why), "%s", why);
    snprintf(name, sizeof name, "k%u.o", i);
    write_object(dir, name, &o);
  }
  snprintf(cmd, sizeof cmd, "ld -shared -z noexecstack -o %s/net.so %s/host.o %s/k*.o %s %s", dir, dir, dir, HOST_STUB, HOST_RT);
  ck_assert_int_eq(system(cmd), 0);
  snprintf(cmd, sizeof cmd, "%s/net.so", dir);
  void *lib = dlopen(cmd, RTLD_NOW | RTLD_LOCAL);
  ck_assert_msg(lib != NULL, "%s", dlerror());
  snprintf(cmd, sizeof cmd, "rm -r %s", dir);
  ck_assert_int_eq(system(cmd), 0);
  return lib;
}
/* a function by name; dlsym's result is no function pointer in C's eyes */
#define FN(ret, name, ...) ret (*name)(__VA_ARGS__) = (ret (*)(__VA_ARGS__))dlsym(lib, "net_" #name); ck_assert_ptr_nonnull(name)
static void check_run(void *lib, const char *target)
{
  FN(int, create, const struct massrt_config *, struct massrt_exec **);
  FN(int, run, struct massrt_exec *, const struct massrt_tensor *, struct massrt_tensor *);
  FN(int, prepare, struct massrt_exec *, const struct massrt_tensor *, struct massrt_tensor *);
  FN(void, destroy, struct massrt_exec *);
  FN(const char *, error, const struct massrt_exec *);
  FN(uint32_t, n_inputs, const struct massrt_exec *);
  FN(uint32_t, n_outputs, const struct massrt_exec *);
  FN(int, input_signature, const struct massrt_exec *, uint32_t, struct massrt_signature *);
  FN(int, output_signature, const struct massrt_exec *, uint32_t, struct massrt_signature *);
  const struct massrt_program *(*table)(void) = (const struct massrt_program *(*)(void))dlsym(lib, "host_test_program");
  const struct massrt_program *p = table();
  ck_assert_uint_eq(p->magic, MASSRT_MAGIC);
  ck_assert_uint_eq(p->bytes, sizeof *p);
  ck_assert_str_eq(p->launches[1].nodes, "Add_1");
  ck_assert_str_eq(p->steps[2].nodes, "Add_1");
  ck_assert_uint_eq(p->steps[2].bytes, 3);
  ck_assert_str_eq(p->versions[0].target, target);
  ck_assert_ptr_null(dlsym(lib, "net_massrt_program"));
  struct massrt_exec *x = NULL;
  struct massrt_signature s;
  ck_assert_msg(create(&(struct massrt_config){ .size = sizeof(struct massrt_config), .threads = 2 }, &x) == 0, "%s", error(NULL));
  ck_assert_uint_eq(n_inputs(x), 1);
  ck_assert_uint_eq(n_outputs(x), 1);
  ck_assert_int_eq(input_signature(x, 0, &s), 0);
  ck_assert_str_eq(s.name, "x");
  ck_assert_int_eq(s.dim[0], -1);
  ck_assert_int_eq(output_signature(x, 0, &s), 0);
  ck_assert_int_eq(s.dim[1], 4);
  for (int64_t n = 1; n <= 5; n += 2) {
    float in[20], out[20] = { 0 };
    for (int i = 0; i < 20; i++) in[i] = (float)i;
    struct massrt_tensor ti = { in, sizeof in, MASSRT_F32, 2, { n, 4 } }, to = { out, sizeof out, 0, 0, { 0 } };
    ck_assert_int_eq(prepare(x, &ti, &to), 0);
    ck_assert_int_eq(to.dim[0], n);
    ck_assert_int_eq(run(x, &ti, &to), 0);
    for (int i = 0; i < 20; i++) ck_assert_float_eq(out[i], i < 4 * n ? (float)(i + 11 * (i % 4 + 1)) : 0);
  }
  struct massrt_tensor bad = { NULL, 0, MASSRT_F32, 2, { 1, 5 } }, out = { 0 };
  ck_assert_int_eq(run(x, &bad, &out), MASSRT_E_INPUT);
  ck_assert_uint_gt(strlen(error(x)), 0);
  destroy(x);
}
START_TEST(a_library_runs)
{
  struct kb b;
  char dir[] = "/tmp/massc-host-XXXXXX";
  const struct cg_target *t = cg_target_find("cpu", 3);
  add_rows(&b);
  ck_assert_ptr_nonnull(mkdtemp(dir));
  check_run(load(&b, &t, 1, dir), t->name);
  kb_close(&b);
}
END_TEST
START_TEST(versions_stand_highest_first)
{
  struct kb b;
  char dir[] = "/tmp/massc-host-XXXXXX";
  const struct cg_target *t[] = { cg_target_at(0), cg_target_at(2), cg_target_at(1) };
  add_rows(&b);
  ck_assert_ptr_nonnull(mkdtemp(dir));
  check_run(load(&b, t, 3, dir), "cpu:x86-64-v4");
  kb_close(&b);
}
END_TEST
START_TEST(an_executables_program_is_hidden)
{
  struct ir_arena *a = ir_arena_create();
  const struct cg_target *t = cg_target_at(0);
  struct cg_host h = host_of(&t, 1);
  struct ir_buf out = { 0 };
  const char *why = NULL;
  h.prefix = "";
  h.weights_symbol = NULL;
  ck_assert(cg_host_emit(a, &h, CG_LLVM_TEXT, &out, &why));
  ck_assert_ptr_nonnull(strstr(out.s, "@massrt_program = hidden constant"));
  ck_assert_ptr_null(strstr(out.s, "_create"));
  ir_buf_deinit(&out);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(the_step_list_prints)
{
  const struct cg_target *t[] = { cg_target_at(2), cg_target_at(1) };
  struct cg_host h = host_of(t, 2);
  struct ir_buf out = { 0 };
  cg_host_print(&out, &h);
  ck_assert_str_eq(out.s,
                   "program \"net\": weights 128 bytes, arena -1 bytes, for cpu:x86-64-v4, cpu:x86-64-v3 {\n"
                   "  v2 = n * 4\n"
                   "  v3 = v2 * 4\n"
                   "  require n >= 0: n is no size\n"
                   "  input0 \"x\": f32[n, 4]\n"
                   "  output0 \"y\": f32[n, 4]\n"
                   "  buffer0: v3 bytes, steps 0..1\n"
                   "  buffer1: v3 bytes, steps 1..2\n"
                   "  0: launch add_rows(input0, weights+64, buffer0, n) tasks n work v2 bytes v3 products n loc \"Add_0\"\n"
                   "  1: launch add_rows(buffer0, weights+0, buffer1, n) tasks n work v2 bytes v3 products v2 loc \"Add_1\"\n"
                   "  2: copy output0 <- buffer1 bytes v3\n"
                   "}\n");
  ir_buf_deinit(&out);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("host");
  TCase *t = tcase_create("host");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, a_library_runs);
  tcase_add_test(t, versions_stand_highest_first);
  tcase_add_test(t, an_executables_program_is_hidden);
  tcase_add_test(t, the_step_list_prints);
  suite_add_tcase(s, t);
  return tap_run(s);
}
