/* instances: results, shapes, errors, memory; with the hand-written program of tests/abi_sample.c */
#include "runtime/internal.h"
#include "tests/unit/tap.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern const struct massrt_program massrt_program;

/* ---- counting what asks the system for memory: the linker sends these names here (--wrap) ---- */
static atomic_int calls;
#define WRAP(type, name, params, ...) type __real_##name params; type __wrap_##name params; type __wrap_##name params { atomic_fetch_add(&calls, 1); return __real_##name(__VA_ARGS__); }
WRAP(void *, malloc, (size_t n), n)
WRAP(void *, calloc, (size_t n, size_t m), n, m)
WRAP(void *, realloc, (void *p, size_t n), p, n)
WRAP(void *, aligned_alloc, (size_t a, size_t n), a, n)
WRAP(void *, mmap64, (void *p, size_t n, int a, int b, int c, long d), p, n, a, b, c, d)
WRAP(int, munmap, (void *p, size_t n), p, n)

/* ---- a case: n rows ---- */
enum { ROWS = 64 };
struct the_case { float x[ROWS * 4], m[2 * ROWS], y[ROWS * 4]; int64_t z; struct massrt_tensor in[2], out[2]; };
static void make_case(struct the_case *c, int64_t n)
{
  for (int i = 0; i < ROWS * 4; i++) c->x[i] = (float)((i * 37) % 23) / 4 - 2;
  for (int i = 0; i < 2 * ROWS; i++) c->m[i] = (float)i;
  memset(c->y, 0xff, sizeof c->y);
  c->z = -1;
  c->in[0] = (struct massrt_tensor){ c->x, sizeof c->x, MASSRT_F32, 2, { n, 4 } };
  c->in[1] = (struct massrt_tensor){ c->m, sizeof c->m, MASSRT_F32, 1, { 2 * n } };
  c->out[0] = (struct massrt_tensor){ c->y, sizeof c->y };
  c->out[1] = (struct massrt_tensor){ &c->z, sizeof c->z };
}
static void check_case(const struct the_case *c, int64_t n)
{
  static const float w[] = { 1, -2, 3, 0.5f }, b[] = { 0.25f, 0.5f, -1, 4 };
  for (int64_t i = 0; i < 4 * n; i++) {
    float h = w[i % 4] * c->x[i] + b[i % 4], y = (h > 0 ? h : 0) + 10 + (i == 0 ? c->m[2 * n - 1] : 0);
    ck_assert_msg(c->y[i] == y, "y[%d] is %g, not %g", (int)i, c->y[i], y);
  }
  ck_assert_int_eq(c->z, 4 * n);
  ck_assert(c->out[0].elem == MASSRT_F32 && c->out[0].rank == 2 && c->out[0].dim[0] == n && c->out[0].dim[1] == 4);
  ck_assert(c->out[1].elem == MASSRT_I64 && c->out[1].rank == 1 && c->out[1].dim[0] == 1);
}
static struct massrt_exec *create(int threads)
{
  struct massrt_config c = { .size = sizeof c, .threads = threads };
  struct massrt_exec *x;
  ck_assert_msg(massrt_create(&massrt_program, &c, &x) == 0, "%s", massrt_error(NULL));
  return x;
}

START_TEST(right_on_any_number_of_threads)
{
  struct the_case c;
  struct massrt_exec *x = create(_i);
  for (int64_t n = 1; n <= ROWS; n++) {
    if (n == 13) continue;
    make_case(&c, n);
    ck_assert_msg(massrt_run(x, c.in, c.out) == 0, "%s", massrt_error(x));
    check_case(&c, n);
  }
  massrt_destroy(x);
}
END_TEST
START_TEST(shapes_come_and_go)
{
  struct the_case c;
  struct massrt_exec *x = create(2);
  for (int i = 0; i < 300; i++) {
    int64_t n = 20 + (i * i + i / 7) % 11;                     /* 11 shapes: more than are kept */
    make_case(&c, n);
    ck_assert_int_eq(massrt_run(x, c.in, c.out), 0);
    check_case(&c, n);
    if (i % 5) continue;
    make_case(&c, 13);                                         /* refused, and what is prepared stays good */
    ck_assert_int_eq(massrt_run(x, c.in, c.out), MASSRT_E_INPUT);
  }
  massrt_destroy(x);
}
END_TEST
START_TEST(nothing_is_allocated_between_runs)
{
  struct the_case c;
  struct massrt_exec *x = create(2);
  atomic_store(&calls, 0);
  make_case(&c, 7);
  ck_assert_int_eq(massrt_run(x, c.in, c.out), 0);
  ck_assert_int_gt(atomic_load(&calls), 0);                    /* the counter counts */
  make_case(&c, 9);
  ck_assert_int_eq(massrt_run(x, c.in, c.out), 0);
  int rc = 0;
  atomic_store(&calls, 0);
  for (int i = 0; i < 100; i++) {                              /* no assertions here: Check allocates in them */
    make_case(&c, i % 2 ? 7 : 9);
    rc |= massrt_run(x, c.in, c.out);
  }
  int during = atomic_load(&calls);
  ck_assert_int_eq(rc, 0);
  ck_assert_int_eq(during, 0);
  massrt_destroy(x);
}
END_TEST
START_TEST(two_instances)
{
  struct the_case c, d;
  struct massrt_exec *x = create(2), *y = create(1);
  make_case(&c, 3);
  make_case(&d, 40);
  for (int i = 0; i < 10; i++) {
    ck_assert_int_eq(massrt_run(x, c.in, c.out), 0);
    ck_assert_int_eq(massrt_run(y, d.in, d.out), 0);
    check_case(&c, 3);
    check_case(&d, 40);
  }
  massrt_destroy(x);
  massrt_destroy(y);
}
END_TEST

/* ---- inputs that do not fit ---- */
struct change { const char *text; int status; uint32_t which, elem, rank; int64_t d0, d1; };
static const struct change changes[] = {
  { "input \"x\": element type is f64, expected f32", MASSRT_E_INPUT, 0, MASSRT_F64, 2, 2, 4 },
  { "input \"x\": element type is unknown, expected f32", MASSRT_E_INPUT, 0, 77, 2, 2, 4 },
  { "input \"x\": rank is 1, expected 2", MASSRT_E_INPUT, 0, MASSRT_F32, 1, 2, 4 },
  { "input \"m\": rank is 3000000000, expected 1", MASSRT_E_INPUT, 1, MASSRT_F32, 3000000000u, 4, 0 },
  { "input \"x\", axis 1: size is 5, expected 4", MASSRT_E_INPUT, 0, MASSRT_F32, 2, 2, 5 },
  { "input \"x\", axis 0 (n): size is 0, expected 1 to 64", MASSRT_E_INPUT, 0, MASSRT_F32, 2, 0, 4 },
  { "input \"x\", axis 0 (n): size is -1, expected 1 to 64", MASSRT_E_INPUT, 0, MASSRT_F32, 2, -1, 4 },
  { "input \"x\", axis 0 (n): size is 4611686018427387904, expected 1 to 64", MASSRT_E_INPUT, 0, MASSRT_F32, 2, 1ll << 62, 4 },
  { "input \"m\", axis 0 (2*n): size is 5, expected 4", MASSRT_E_INPUT, 1, MASSRT_F32, 1, 5, 0 },
};
START_TEST(inputs_that_do_not_fit)
{
  struct the_case c;
  const struct change *h = &changes[_i];
  struct massrt_exec *x = create(1);
  make_case(&c, 2);
  c.in[h->which].elem = h->elem;
  c.in[h->which].rank = h->rank;
  c.in[h->which].dim[0] = h->d0;
  if (h->rank == 2) c.in[h->which].dim[1] = h->d1;
  ck_assert_int_eq(massrt_run(x, c.in, c.out), h->status);
  ck_assert_str_eq(massrt_error(x), h->text);
  make_case(&c, 2);
  ck_assert_int_eq(massrt_run(x, c.in, c.out), 0);
  check_case(&c, 2);
  massrt_destroy(x);
}
END_TEST
START_TEST(requirement_fails)
{
  struct the_case c;
  struct massrt_exec *x = create(1);
  make_case(&c, 13);
  ck_assert_int_eq(massrt_prepare(x, c.in, c.out), MASSRT_E_INPUT);
  ck_assert_str_eq(massrt_error(x), "the shapes of the inputs do not fit: n must not be 13");
  massrt_destroy(x);
}
END_TEST
/* The sample with a first dim of y that element 0 of input m states: read whenever the instance is made ready, truncated, held within its range. */
START_TEST(values_state_sizes)
{
  static const struct { float m; int64_t y; } rows[] = { { 3.7f, 3 }, { 5, 5 }, { 3, 3 }, { 0, 0 }, { 1e30f, 100 }, { NAN, 0 }, { -2, -1 } };
  struct the_case c;
  struct massrt_exec *x;
  struct massrt_program p = massrt_program;
  struct massrt_expr exprs[32];
  struct massrt_sym syms[2] = { p.syms[0], { "k", -100, 100, 1, 1, MASSRT_SYM_VALUE } };
  struct massrt_io out[2] = { p.outputs[0], p.outputs[1] };
  ck_assert_uint_lt(p.n_exprs, 31);
  memcpy(exprs, p.exprs, p.n_exprs * sizeof *exprs);
  exprs[p.n_exprs] = (struct massrt_expr){ .op = MASSRT_X_SYM, .k = 1 };
  uint32_t dims[2] = { p.n_exprs++, p.outputs[0].dims[1] };
  out[0].dims = dims;
  p.n_syms = 2;
  p.syms = syms;
  p.exprs = exprs;
  p.outputs = out;
  ck_assert_int_eq(massrt_create(&p, NULL, &x), 0);
  make_case(&c, 2);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    *(float *)c.in[1].data = rows[i].m;
    int rc = massrt_prepare(x, c.in, c.out);
    ck_assert_int_eq(rc, rows[i].y < 0 ? MASSRT_E_INPUT : 0);
    if (!rc) ck_assert_int_eq(c.out[0].dim[0], rows[i].y);
  }
  c.in[1].data = NULL;
  ck_assert_int_eq(massrt_prepare(x, c.in, c.out), MASSRT_E_INPUT);
  ck_assert_ptr_nonnull(strstr(massrt_error(x), "input \"m\": its values state sizes"));
  massrt_destroy(x);
}
END_TEST
START_TEST(memory_too_small_or_misaligned)
{
  struct the_case c;
  struct massrt_exec *x = create(1);
  make_case(&c, 2);
  c.in[0].bytes = 31;
  ck_assert_int_eq(massrt_run(x, c.in, c.out), MASSRT_E_USAGE);
  make_case(&c, 2);
  c.out[0].bytes = 31;
  ck_assert_int_eq(massrt_run(x, c.in, c.out), MASSRT_E_USAGE);
  make_case(&c, 2);
  c.out[0].data = NULL;
  ck_assert_int_eq(massrt_run(x, c.in, c.out), MASSRT_E_USAGE);
  make_case(&c, 2);
  c.in[1].data = (char *)c.m + 1;
  ck_assert_int_eq(massrt_run(x, c.in, c.out), MASSRT_E_USAGE);
  ck_assert_ptr_nonnull(strstr(massrt_error(x), "misaligned"));
  massrt_destroy(x);
}
END_TEST
START_TEST(open_dims_are_completed)
{
  struct the_case c;
  struct massrt_exec *x = create(1);
  make_case(&c, -1);
  c.in[1].dim[0] = -1;
  ck_assert_int_eq(massrt_complete(x, c.in), 0);
  ck_assert_int_eq(c.in[0].dim[0], 1);
  ck_assert_int_eq(c.in[1].dim[0], 2);
  c.in[0].dim[0] = 9;
  c.in[1].dim[0] = -1;
  ck_assert_int_eq(massrt_complete(x, c.in), 0);
  ck_assert_int_eq(c.in[1].dim[0], 18);
  massrt_destroy(x);
}
END_TEST

/* ---- programs and configurations that do not fit ---- */
START_TEST(signatures)
{
  struct massrt_exec *x = create(1);
  struct massrt_signature s;
  ck_assert_uint_eq(massrt_n_inputs(x), 2);
  ck_assert_uint_eq(massrt_n_outputs(x), 2);
  ck_assert_int_eq(massrt_input_signature(x, 0, &s), 0);
  ck_assert(!strcmp(s.name, "x") && s.elem == MASSRT_F32 && s.rank == 2 && s.dim[0] == -1 && s.dim[1] == 4 && !strcmp(s.dim_name[0], "n"));
  ck_assert_int_eq(massrt_output_signature(x, 1, &s), 0);
  ck_assert(!strcmp(s.name, "z") && s.elem == MASSRT_I64 && s.rank == 1 && s.dim[0] == 1);
  ck_assert_int_eq(massrt_output_signature(x, 2, &s), MASSRT_E_USAGE);
  massrt_destroy(x);
}
END_TEST
START_TEST(programs_that_are_refused)
{
  struct massrt_exec *x = (struct massrt_exec *)1;
  struct massrt_program p = massrt_program;
  p.magic++;
  ck_assert_int_eq(massrt_create(&p, NULL, &x), MASSRT_E_USAGE);
  ck_assert_ptr_null(x);
  p = massrt_program;
  p.abi++;
  ck_assert_int_eq(massrt_create(&p, NULL, &x), MASSRT_E_USAGE);
  p = massrt_program;
  p.bytes -= 8;
  ck_assert_int_eq(massrt_create(&p, NULL, &x), MASSRT_E_USAGE);
  ck_assert_int_eq(massrt_create(&massrt_program, &(struct massrt_config){ .threads = -1 }, &x), MASSRT_E_USAGE);
  ck_assert_int_eq(massrt_create(&massrt_program, &(struct massrt_config){ .threads = 100000 }, &x), MASSRT_E_USAGE);
  ck_assert_int_eq(massrt_create(&massrt_program, &(struct massrt_config){ .device = "cuda:0" }, &x), MASSRT_E_DEVICE);
  ck_assert_ptr_nonnull(strstr(massrt_error(NULL), "cuda:0"));
}
END_TEST
/* Levels: 1 is always there; of several the first that fits; 5 stands for a processor of the future. */
START_TEST(version_by_level)
{
  struct massrt_exec *x;
  struct massrt_program p = massrt_program;
  struct massrt_version v[] = { { .target = "cpu:later", .level = 5, .fn = p.versions[0].fn }, { .target = "cpu:x86-64", .level = 1, .fn = p.versions[0].fn } };
  p.versions = v;
  p.n_versions = 2;
  ck_assert_int_eq(massrt_create(&p, NULL, &x), 0);
  ck_assert_str_eq(x->v->target, "cpu:x86-64");
  massrt_destroy(x);
  p.n_versions = 1;
  ck_assert_int_eq(massrt_create(&p, NULL, &x), MASSRT_E_DEVICE);
  ck_assert_ptr_nonnull(strstr(massrt_error(NULL), "cpu:later"));
}
END_TEST

/* ---- the caller's memory ---- */
struct budget { long live, bytes; int calls, fail_at; };
static void *budget_alloc(void *arg, size_t bytes, size_t align)
{
  struct budget *b = arg;
  if (b->calls++ == b->fail_at) return NULL;
  b->live++;
  b->bytes += (long)bytes;
  void *p = aligned_alloc(align, (bytes + align - 1) / align * align);
  memset(p, 0xa5, bytes);
  return p;
}
static void budget_free(void *arg, void *p, size_t bytes)
{
  struct budget *b = arg;
  b->live--;
  b->bytes -= (long)bytes;
  free(p);
}
/* Every allocation fails in turn; whatever happens, nothing is lost, and a later try succeeds. */
START_TEST(each_allocation_fails_once)
{
  int failures = 0;
  for (int k = 0; k < 100; k++) {
    struct budget b = { .fail_at = k };
    struct massrt_config cfg = { .size = sizeof cfg, .threads = 2, .alloc = budget_alloc, .free = budget_free, .arg = &b };
    struct the_case c;
    struct massrt_exec *x;
    make_case(&c, 5);
    int rc = massrt_create(&massrt_program, &cfg, &x);
    if (!rc) {
      rc = massrt_run(x, c.in, c.out);
      if (rc) ck_assert_int_eq(massrt_run(x, c.in, c.out), 0);
      check_case(&c, 5);
      massrt_destroy(x);
    }
    ck_assert(rc == 0 || rc == MASSRT_E_MEMORY);
    ck_assert_int_eq(b.live, 0);
    ck_assert_int_eq(b.bytes, 0);
    failures += rc != 0;
    if (!rc) break;
  }
  ck_assert_int_ge(failures, 5);
}
END_TEST
int main(void)
{
  Suite *s = suite_create("exec");
  TCase *t = tcase_create("exec");
  tcase_add_loop_test(t, right_on_any_number_of_threads, 0, 5);    /* 0: all cores */
  tcase_add_test(t, shapes_come_and_go);
  tcase_add_test(t, nothing_is_allocated_between_runs);
  tcase_add_test(t, two_instances);
  tcase_add_loop_test(t, inputs_that_do_not_fit, 0, sizeof changes / sizeof *changes);
  tcase_add_test(t, requirement_fails);
  tcase_add_test(t, values_state_sizes);
  tcase_add_test(t, memory_too_small_or_misaligned);
  tcase_add_test(t, open_dims_are_completed);
  tcase_add_test(t, signatures);
  tcase_add_test(t, programs_that_are_refused);
  tcase_add_test(t, version_by_level);
  tcase_add_test(t, each_allocation_fails_once);
  suite_add_tcase(s, t);
  return tap_run(s);
}
