/* The skeleton `contract`: nests in many storage forms and sizes, lowered and expanded for three vector widths, run by the interpreter, against the nest's own
 * evaluation. */
#include "tests/unit/tap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "codegen/codegen.h"
#include "tests/unit/codegen/nests.h"
#include "tests/unit/codegen/run_native.h"

static const struct cg_target targets[] = {
  { .name = "test:v16", .vec_lanes = 16, .n_vregs = 32, .fma = true, .accumulators = 16, .l1_bytes = 32 << 10, .l2_bytes = 1 << 20, .cores = 2, .warps = 1, .lanes = 1 },
  { .name = "test:v8", .vec_lanes = 8, .n_vregs = 16, .fma = true, .accumulators = 8, .l1_bytes = 32 << 10, .l2_bytes = 256 << 10, .cores = 2, .warps = 1, .lanes = 1 },
  { .name = "test:v4", .vec_lanes = 4, .n_vregs = 16, .fma = false, .accumulators = 8, .l1_bytes = 32 << 10, .l2_bytes = 256 << 10, .cores = 2, .warps = 1, .lanes = 1 },
};
enum { N_TARGETS = sizeof targets / sizeof *targets };

static uint64_t seed = 1;
static unsigned rnd(unsigned n)
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(seed >> 33) % n;
}
static int pick(const int *v, unsigned n) { return v[rnd(n)]; }
#define PICK(...) pick((const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

struct binds { const struct kir_bind *b; unsigned n; };
static int64_t sym_value(void *arg, const struct ir_sym *s, bool *known)
{
  const struct binds *b = arg;
  for (unsigned i = 0; i < b->n; i++)
    if ((*known = !strcmp(s->name, b->b[i].name))) return b->b[i].value;
  *known = false;
  return 0;
}
static int64_t value(const struct ir_ix *e, const struct kir_bind *b, unsigned n_b)
{
  struct binds all = { b, n_b };
  struct ir_ix_env env = { sym_value, NULL, &all };
  int64_t v;
  ck_assert(ir_ix_eval(e, &env, &v));
  return v;
}
/* Small integers: every sum is exact, whatever its order. */
static struct ir_tensor *dense(struct ir_arena *a, const struct kir_arr *arr, const struct kir_bind *b, unsigned n_b)
{
  int64_t dim[IR_MAX_RANK];
  for (unsigned d = 0; d < arr->rank; d++) dim[d] = value(arr->shape[d] ? arr->shape[d] : arr->hi[d], b, n_b);
  struct ir_tensor *t = ir_tensor_create(a, arr->elem, arr->rank, dim);
  for (int64_t i = 0; i < t->n && !arr->out; i++) t->f[i] = (int)rnd(9) - 4;
  return t;
}
static void dump(const struct kir_nest *n, const struct kir_sched *s, const struct kir_kern *k)
{
  struct ir_buf b = { 0 };
  kir_nest_print(&b, n);
  kir_sched_print(&b, s);
  if (k) kir_kern_print(&b, k);
  fprintf(stderr, "\n%s\n", b.s);
  ir_buf_deinit(&b);
}

/* The text reads back, to the same text. */
static struct kir_kern *check_text(struct ir_arena *a, const struct kir_kern *k)
{
  struct ir_diags d = { 0 };
  struct ir_buf b1 = { 0 }, b2 = { 0 };
  kir_kern_print(&b1, k);
  struct kir_kern *p = kir_kern_parse(a, &d, b1.s, b1.n);
  ck_assert_msg(p != NULL, "%s\n%s", d.first.s, b1.s);
  kir_kern_print(&b2, p);
  if (strcmp(b1.s, b2.s)) ck_abort_msg("%s\n---\n%s", b1.s, b2.s);
  ir_buf_deinit(&b1);
  ir_buf_deinit(&b2);
  ir_buf_deinit(&d.first);
  return p;
}
/* Each result is what is wanted; where its storage has a halo, that is zero. */
static void compare(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *b,
                    unsigned n_b, struct ir_tensor *const *want, struct ir_tensor *const *raw)
{
  for (unsigned i = 0; i < k->args.n; i++) {
    const struct kir_arr *y = k->args.v[i];
    if (!y->out) continue;
    struct ir_tensor *got = dense(a, y, b, n_b);
    ck_assert(kir_arg_unpack(y, b, n_b, raw[i], got));
    for (int64_t j = 0; j < got->n; j++)
      if (got->f[j] != want[i]->f[j]) {
        dump(n, s, k);
        ck_abort_msg("%s: element %lld is %g, must be %g", t->name, (long long)j, got->f[j], want[i]->f[j]);
      }
    if (!y->zero_pad || y->slack) continue;
    struct ir_tensor *all = ir_tensor_create(a, y->elem, 1, (int64_t[]){ raw[i]->n });
    ck_assert(kir_arg_pack(y, b, n_b, want[i], all));
    int64_t bad = 0;
    for (int64_t j = 0; j < all->n; j++) bad += all->f[j] == 0 && raw[i]->f[j] != 0 && !isnan(raw[i]->f[j]);
    ck_assert_msg(!bad, "%lld elements of the halo are not zero", (long long)bad);
  }
}
/* Lowers, expands and runs n; its results must be the nest's evaluation, and what lies around them zero. */
static void check_nest(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const struct kir_bind *b, unsigned n_b)
{
  struct ir_tensor *arg[8], *want[8], *raw[8];
  const char *why = "";
  unsigned n_args = n->args.n;
  for (unsigned i = 0; i < n_args; i++) want[i] = arg[i] = dense(a, n->args.v[i], b, n_b);
  ck_assert_msg(kir_nest_eval(n, b, n_b, want, &why), "%s", why);
  struct kir_kern *k = cg_lower(a, n, s, t, &why);
  if (!k) dump(n, s, NULL);
  ck_assert_msg(k != NULL, "%s", why);
  if (getenv("SHOW")) dump(n, s, k);
  if (!kir_verify(k, &why)) {
    dump(n, s, k);
    ck_abort_msg("tiled: %s", why);
  }
  struct kir_kern *read = check_text(a, k);
  cg_expand(k, t);
  if (getenv("SHOW")) dump(n, s, k);
  if (!kir_verify(k, &why)) {
    dump(n, s, k);
    ck_abort_msg("flat: %s", why);
  }
  check_text(a, k);
  for (unsigned i = 0; i < n_args; i++) {
    int64_t elems;
    ck_assert(kir_arg_size(k->args.v[i], b, n_b, &elems));
    raw[i] = ir_tensor_create(a, k->args.v[i]->elem, 1, &elems);
    if (!k->args.v[i]->out) ck_assert(kir_arg_pack(k->args.v[i], b, n_b, arg[i], raw[i]));
  }
  if (!kir_run(k, b, n_b, raw, rnd(1000), &why)) {
    dump(n, s, k);
    ck_abort_msg("%s: %s", t->name, why);
  }
  compare(a, n, s, k, t, b, n_b, want, raw);
  cg_expand(read, t);                             /* the tiled text is all that expansion needs */
  if (!kir_verify(read, &why) || !kir_run(read, b, n_b, raw, rnd(1000), &why)) {
    dump(n, s, read);
    ck_abort_msg("%s, read back: %s", t->name, why);
  }
  compare(a, n, s, k, t, b, n_b, want, raw);
  if (!t->level || !native_runs(t)) return;
  if (!run_native(k, t, b, n_b, raw, &why)) {
    dump(n, s, k);
    ck_abort_msg("%s, native: %s", t->name, why);
  }
  compare(a, n, s, k, t, b, n_b, want, raw);
}

static void check_scheduled(struct ir_arena *a, struct kir_nest *n, const struct cg_target *t, const struct kir_bind *b, unsigned n_b)
{
  struct kir_sched *s = cg_schedule(a, n, t, 2);
  ck_assert_str_eq(s->kind, "contract");
  check_nest(a, n, s, t, b, n_b);
}
static const char *const levels[] = { "cpu:x86-64-v2", "cpu:x86-64-v3", "cpu:x86-64-v4" };
static void check_conv_on(struct conv_case c, const struct cg_target *t)
{
  struct ir_arena *a = ir_arena_create();
  check_scheduled(a, conv_nest(a, &c), t, &(struct kir_bind){ "N", c.n }, c.batch);
  ir_arena_destroy(a);
}
static void check_gemm_on(struct gemm_case c, const struct cg_target *t)
{
  struct ir_arena *a = ir_arena_create();
  check_scheduled(a, gemm_nest(a, &c), t, &(struct kir_bind){ "M", c.m }, c.sym);
  ir_arena_destroy(a);
}
static const struct cg_target *level(unsigned l) { return cg_target_find(levels[l], strlen(levels[l])); }
static void check_conv(struct conv_case c)
{
  for (unsigned t = 0; t < N_TARGETS; t++) check_conv_on(c, &targets[t]);
}
static void check_gemm(struct gemm_case c)
{
  for (unsigned t = 0; t < N_TARGETS; t++) check_gemm_on(c, &targets[t]);
}

static const struct conv_case convs[] = {
  { 1, 32, 7, 7, 32, 3, 3, 1, 1, 1, 1, HALO, HALO, false, true, true, false },
  { 1, 16, 5, 29, 48, 3, 3, 1, 1, 1, 1, HALO, BLOCKED, true, true, true, false },
  { 2, 32, 14, 14, 20, 1, 1, 1, 0, 1, 1, BLOCKED, BLOCKED, true, true, true, true },
  { 1, 20, 9, 9, 33, 1, 1, 2, 0, 1, 1, BLOCKED, HALO, false, false, true, false },
  { 3, 3, 23, 19, 16, 7, 7, 2, 3, 1, 1, ROWS, BLOCKED, false, true, true, true },
  { 1, 3, 11, 13, 5, 3, 3, 1, 1, 1, 1, ROWS, ROWS, true, true, true, false },
  { 1, 8, 6, 6, 12, 3, 3, 1, 2, 2, 2, BLOCKED, BLOCKED, false, true, false, false },
  { 1, 12, 5, 5, 18, 3, 3, 2, 1, 1, 3, ROWS, ROWS, false, true, true, false },
  { 1, 64, 4, 4, 64, 3, 3, 1, 1, 1, 2, HALO, HALO, true, true, true, false },
  { 1, 16, 16, 14, 16, 3, 3, 1, 1, 1, 1, HALO, HALO, false, true, true, true },
  { 2, 8, 9, 15, 40, 1, 1, 1, 0, 1, 1, ROWS, HALO, true, false, true, false },
  { 1, 9, 12, 33, 6, 3, 3, 1, 1, 1, 1, ROWS_HALO, ROWS_HALO, false, true, true, true },
  { 1, 17, 1, 1, 7, 1, 1, 1, 0, 1, 1, ROWS, ROWS, false, true, true, false },
  { 2, 10, 13, 17, 14, 3, 5, 3, 2, 2, 2, ROWS, BLOCKED, true, true, true, true },          /* stride, dilation, groups and padding at once */
  { 1, 48, 11, 19, 33, 5, 3, 2, 4, 3, 3, ROWS_HALO, ROWS, false, true, true, false },
  { 1, 32, 15, 13, 32, 3, 3, 2, 2, 2, 1, HALO, HALO, true, true, true, false },
};
START_TEST(convolutions) { check_conv(convs[_i]); }
END_TEST

static const struct gemm_case gemms[] = {
  { 1, 1, 1, 1, false, false, true, false, false, false },
  { 1, 49, 64, 19, false, false, true, true, true, true },
  { 1, 5, 37, 40, true, true, true, true, false, true },
  { 1, 1, 200, 33, true, false, true, true, false, false },
  { 1, 13, 70, 7, true, false, true, false, true, true },
  { 3, 15, 17, 9, false, false, false, false, false, false },
  { 2, 7, 31, 8, false, true, false, false, true, true },
  { 1, 4, 129, 16, false, false, true, true, false, true },
  { 1, 100, 5, 3, false, false, true, true, false, false },
  { 1, 65, 100, 1024, false, false, true, true, false, true },
};
START_TEST(matmuls) { check_gemm(gemms[_i]); }
END_TEST

START_TEST(random_convolutions)
{
  seed = 77 + (uint64_t)_i * 1000003;
  struct conv_case c = { .n = 1 + (int)rnd(2), .h = 1 + (int)rnd(17), .w = 1 + (int)rnd(30), .kh = PICK(1, 1, 2, 3, 5), .kw = PICK(1, 1, 2, 3), .stride = PICK(1, 1, 2, 3), .dil = PICK(1, 1, 1, 2),
                         .groups = PICK(1, 1, 1, 2, 4), .x = (enum storage)rnd(4), .y = (enum storage)rnd(4), .residual = rnd(2), .relu = rnd(2), .bias = rnd(2), .batch = rnd(2) };
  c.c = c.groups * PICK(1, 3, 4, 8, 16, 17, 32);
  c.o = c.groups * PICK(c.groups > 1 ? 3 : 1, 2, 5, 8, 16, 31, 33);
  c.pad = (int)rnd((unsigned)(c.kh < c.kw ? c.kh : c.kw));
  if (c.h + 2 * c.pad < c.dil * (c.kh - 1) + 1) c.h = c.dil * (c.kh - 1) + 1;
  if (c.w + 2 * c.pad < c.dil * (c.kw - 1) + 1) c.w = c.dil * (c.kw - 1) + 1;
  check_conv(c);
  check_conv_on(c, level((unsigned)_i % 3));
}
END_TEST
START_TEST(random_matmuls)
{
  seed = 5 + (uint64_t)_i * 1000033;
  struct gemm_case c = { .b = PICK(1, 1, 2, 3), .m = PICK(1, 2, 3, 4, 5, 7, 13, 14, 15, 29, 49), .n = PICK(1, 4, 5, 15, 16, 17, 31, 32, 33, 64, 97), .k = PICK(1, 2, 3, 16, 17, 40), .sym = rnd(2),
                                 .t = rnd(2), .constant = rnd(2), .bias = rnd(2), .residual = rnd(2), .relu = rnd(2) };
  check_gemm(c);
  check_gemm_on(c, level((unsigned)_i % 3));
}
END_TEST

/* ---- what a tuning file may choose ---- */
static void check_alternatives(struct ir_arena *a, struct kir_nest *(*make)(struct ir_arena *a, const void *arg), const void *arg, const struct cg_target *t, unsigned least, const struct kir_bind *b, unsigned n_b)
{
  struct cg_choice out[CG_MAX_ALTERNATIVES];
  struct kir_nest *n = make(a, arg);
  struct ir_buf first = { 0 }, own = { 0 };
  unsigned k = cg_alternatives(a, n, t, out);
  ck_assert_uint_ge(k, least);
  if (!k) out[0].s = cg_schedule(a, n, t, 2);    /* a single one is no choice */
  kir_sched_print(&first, out[0].s);
  kir_sched_print(&own, cg_schedule(a, n, t, 2));
  ck_assert_str_eq(first.s, own.s);
  for (unsigned i = 0; i < k; i++) {
    struct ir_arena *one = ir_arena_create();    /* lowering packs constants */
    if (!strcmp(out[i].s->kind, "contract")) check_nest(one, make(one, arg), out[i].s, t, b, n_b);
    ir_arena_destroy(one);
  }
  ir_buf_deinit(&first);
  ir_buf_deinit(&own);
}
static struct kir_nest *make_conv(struct ir_arena *a, const void *c) { return conv_nest(a, c); }
static struct kir_nest *make_gemm(struct ir_arena *a, const void *c) { return gemm_nest(a, c); }
START_TEST(alternative_convolutions)
{
  struct ir_arena *a = ir_arena_create();
  check_alternatives(a, make_conv, &convs[_i], level((unsigned)_i % 3), convs[_i].o > 8 ? 2 : 0, &(struct kir_bind){ "N", convs[_i].n }, convs[_i].batch);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(alternative_matmuls)
{
  struct ir_arena *a = ir_arena_create();
  check_alternatives(a, make_gemm, &gemms[_i], level((unsigned)_i % 3), gemms[_i].n > 1 ? 2 : 0, &(struct kir_bind){ "M", gemms[_i].m }, gemms[_i].sym);
  ir_arena_destroy(a);
}
END_TEST

/* ---- machine code ---- */
START_TEST(native_convolutions)
{
  for (unsigned l = 0; l < 3; l++) check_conv_on(convs[_i], level(l));
}
END_TEST
START_TEST(native_matmuls)
{
  for (unsigned l = 0; l < 3; l++) check_gemm_on(gemms[_i], level(l));
}
END_TEST
/* The sum over the parts of a loop that `sums` waits on the stack meanwhile: each register is set to zero, loaded and stored there once, and nothing else is. */
START_TEST(tiles_stay_in_registers)
{
  static const struct conv_case c[] = { { 1, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1, HALO, HALO, false, true, true, true }, { 1, 256, 14, 14, 64, 1, 1, 1, 0, 1, 1, BLOCKED, HALO, false, true, true, true } };
  struct ir_arena *a = ir_arena_create();
  const struct cg_target *t = level(2);
  struct kir_nest *n = conv_nest(a, &c[_i]);
  const char *why = "";
  struct kir_sched *s = cg_schedule(a, n, t, 2);
  for (int parts = 1; parts >= 0; parts--) {
    bool sums = false;
    for (uint32_t i = 0; i < s->loops.n; i++) {
      sums |= s->loops.v[i].sums;
      if (!parts) s->loops.v[i].sums = false;
    }
    ck_assert(sums);
    n = conv_nest(a, &c[_i]);
    struct kir_kern *k = cg_lower(a, n, s, t, &why);
    ck_assert_msg(k != NULL, "%s", why);
    cg_expand(k, t);
    ck_assert_int_le(native_spills(k, t, &why), parts * 3 * t->n_vregs);
  }
  ir_arena_destroy(a);
}
END_TEST

/* ---- GPU forms: docs/kernel-ir.md examples (d) and (e), run by the interpreter with all warps and lanes ---- */
static const struct cg_target gpu = { .name = "test:gpu", .vec_lanes = 1, .n_vregs = 255, .fma = true, .cores = 8, .warps = 8, .lanes = 32 };

static void check_record(struct ir_arena *a, struct kir_nest *n, const char *record, const struct kir_bind *b, unsigned n_b)
{
  struct ir_diags d = { 0 };
  struct kir_sched *s = kir_sched_parse(a, &d, record, strlen(record));
  ck_assert_msg(s != NULL, "%s", d.first.s);
  check_nest(a, n, s, &gpu, b, n_b);
}
/* size: M, N, K, multiples of `by` but for M. */
static void check_forms(struct ir_arena *a, enum ir_elem e, int by, const int *size, const char *const *form, unsigned n, uint64_t first_seed)
{
  struct kir_bind b[3] = { { "M", size[0] }, { "N", size[1] }, { "K", size[2] } };
  seed = first_seed;
  for (unsigned f = 0; f < n; f++) check_record(a, narrow_gemm_nest(a, e, by, 0, 0), form[f], b, 3);
}
static const char *const gemm_forms[] = {
  "sched contract { loops = grid m/128 n/128 raster 8, pipe k/32 depth 4, warp m/64 n/32; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(2, 3, 3); "
  "B = shared cp.async swz(2, 3, 3); epi = shared }",
  "sched contract { loops = grid m/64 n/32, pipe k/32 depth 2, warp m/32 n/16; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(2, 3, 3); "
  "B = shared cp.async swz(2, 3, 3) }",
  "sched contract { loops = grid m/32 n/16, pipe k/16 depth 1, warp m/16 n/16; tile = mma.m16n8k16.f16.f32; A = shared cp.async; B = shared cp.async }",
  "sched contract { loops = grid m/32 n/32, pipe k/32 depth 3, warp m/32 n/16; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(2, 3, 3); "
  "B = shared cp.async swz(2, 3, 3); epi = shared }",
  /* warps that take a stage's sum in parts: alone, with columns, with rows and columns of their own */
  "sched contract { loops = grid m/16 n/32, pipe k/64 depth 2, warp m/16 n/32 k/16; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(3, 3, 3); "
  "B = shared cp.async swz(3, 3, 3); epi = shared }",
  /* few columns: a tile as high as any and no wider than they are */
  "sched contract { loops = grid m/128 n/32, pipe k/32 depth 3, warp m/32 n/32; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(2, 3, 3); "
  "B = shared cp.async swz(2, 3, 3); epi = shared }",
  /* groups of four warps */
  "sched contract { loops = grid m/64 n/64, pipe k/64 depth 2, warp m/64 n/64; tile = wgmma.m64n64k16.f16.f32; A = shared cp.async swz(3, 3, 3); B = shared cp.async swz(3, 3, 3) }",
  "sched contract { loops = grid m/128 n/128, pipe k/64 depth 3, warp m/64 n/64; tile = wgmma.m64n64k16.f16.f32; A = shared cp.async swz(3, 3, 3); "
  "B = shared cp.async swz(3, 3, 3); epi = shared }",
  "sched contract { loops = grid m/128 n/128, pipe k/64 depth 1, warp m/128 n/128; tile = wgmma.m64n128k16.f16.f32; A = shared cp.async swz(3, 3, 3); "
  "B = shared cp.async swz(3, 3, 3); epi = shared }",
  "sched contract { loops = grid m/32 n/64, pipe k/64 depth 3, warp m/16 n/32 k/32; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(3, 3, 3); "
  "B = shared cp.async swz(3, 3, 3); epi = shared }",
};
START_TEST(half_gemm)
{
  static const int sizes[][3] = { { 1, 8, 8 }, { 33, 136, 40 }, { 64, 64, 64 }, { 129, 24, 136 } };
  struct ir_arena *a = ir_arena_create();
  check_forms(a, IR_f16, 8, sizes[_i], gemm_forms, sizeof gemm_forms / sizeof *gemm_forms, (uint64_t)_i + 1);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(half_gemm_odd)                         /* operands read in place: nothing is aligned */
{
  struct ir_arena *a = ir_arena_create();
  check_record(a, narrow_gemm_nest(a, IR_f16, 0, 19, 37), "sched contract { loops = grid m/32 n/16, for k/16, warp m/16 n/16; tile = mma.m16n8k16.f16.f32 }", &(struct kir_bind){ "M", 33 }, 1);
  ir_arena_destroy(a);
}
END_TEST
static const int sizes_by_4[][3] = { { 1, 8, 8 }, { 33, 132, 36 }, { 64, 64, 64 }, { 65, 20, 76 } };
static const char *const tf32_forms[] = {
  "sched contract { loops = grid m/64 n/32, pipe k/32 depth 3, warp m/32 n/16; tile = mma.m16n8k8.tf32.f32; A = shared cp.async swz(3, 2, 3); B = shared cp.async swz(3, 2, 3) }",
  "sched contract { loops = grid m/32 n/32, pipe k/16 depth 2, warp m/32 n/16; tile = mma.m16n8k8.tf32.f32; A = shared cp.async swz(2, 2, 3); B = shared cp.async swz(2, 2, 3); epi = shared }",
  "sched contract { loops = grid m/32 n/16, pipe k/8 depth 1, warp m/16 n/8; tile = mma.m16n8k8.tf32.f32; A = shared cp.async; B = shared cp.async }",
  /* a fragment of B alone, since there is no second one beside it; warps that take a stage's sum in parts */
  "sched contract { loops = grid m/16 n/32, pipe k/64 depth 2, warp m/16 n/32 k/16; tile = mma.m16n8k8.tf32.f32; A = shared cp.async swz(3, 2, 4); B = shared cp.async swz(3, 2, 4); epi = shared }",
  "sched contract { loops = grid m/32 n/32, pipe k/32 depth 2, warp m/32 n/32 k/8; tile = mma.m16n8k8.tf32.f32; A = shared cp.async swz(3, 2, 3); B = shared cp.async swz(3, 2, 3); epi = shared }",
  "sched contract { loops = grid m/64 n/64, pipe k/32 depth 3, warp m/64 n/64; tile = wgmma.m64n64k8.tf32.f32; A = shared cp.async swz(3, 2, 3); B = shared cp.async swz(3, 2, 3) }",
  "sched contract { loops = grid m/128 n/128, pipe k/32 depth 2, warp m/64 n/128; tile = wgmma.m64n128k8.tf32.f32; A = shared cp.async swz(3, 2, 3); B = shared cp.async swz(3, 2, 3); epi = shared }",
};
START_TEST(tf32_gemm)
{
  struct ir_arena *a = ir_arena_create();
  check_forms(a, IR_tf32, 4, sizes_by_4[_i], tf32_forms, sizeof tf32_forms / sizeof *tf32_forms, (uint64_t)_i + 1);
  check_record(a, narrow_gemm_nest(a, IR_tf32, 0, 19, 37), "sched contract { loops = grid m/32 n/16, for k/8, warp m/16 n/16; tile = mma.m16n8k8.tf32.f32 }", &(struct kir_bind){ "M", 33 }, 1);
  ir_arena_destroy(a);
}
END_TEST
static const char *const f32_forms[] = {
  "sched contract { loops = grid m/64 n/32, pipe k/32 depth 3, warp m/64 n/32; tile = fma.m8n4k4; A = shared cp.async; B = shared cp.async }",
  "sched contract { loops = grid m/64 n/64, pipe k/8 depth 2, warp m/32 n/32; tile = fma.m8n4k4; A = shared cp.async; B = shared cp.async; epi = shared }",
  "sched contract { loops = grid m/16 n/8, pipe k/4 depth 1, warp m/8 n/4; tile = fma.m8n4k4; A = shared sync; B = shared sync }",
  /* warps that take a stage's sum in parts: alone, with rows or columns of their own */
  "sched contract { loops = grid m/32 n/16, pipe k/32 depth 2, warp m/32 n/16 k/4; tile = fma.m8n4k4; A = shared cp.async; B = shared cp.async; epi = shared }",
  "sched contract { loops = grid m/64 n/64, pipe k/64 depth 3, warp m/64 n/32 k/16; tile = fma.m8n4k4; A = shared cp.async; B = shared cp.async; epi = shared }",
  "sched contract { loops = grid m/32 n/32, pipe k/16 depth 1, warp m/16 n/32 k/8; tile = fma.m8n4k4; A = shared sync; B = shared sync; epi = shared }",
};
START_TEST(f32_gemm)
{
  struct ir_arena *a = ir_arena_create();
  check_forms(a, IR_f32, 4, sizes_by_4[_i], f32_forms, sizeof f32_forms / sizeof *f32_forms, (uint64_t)_i + 1);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(lanes_gemm)                            /* the OpenCL form: each lane its own tile */
{
  struct ir_arena *a = ir_arena_create();
  check_record(a, rows_gemm_nest(a, 72, 20), "sched contract { loops = grid m/64 n/64, pipe k/16 depth 1, lane m/4 n/4; tile = fma; A = shared sync; B = shared sync }",
               &(struct kir_bind){ "M", 65 }, 1);
  ir_arena_destroy(a);
}
END_TEST
static const char *const conv_forms[] = {
  "sched contract { loops = grid h/8 w/16 o/64, pipe i/1 j/1 c/32 depth 4, warp h/4 w/16 o/32; tile = mma.m16n8k16.f16.f32; X = shared cp.async swz(2, 3, 3); "
  "W = shared cp.async swz(2, 3, 3); epi = shared }",
  "sched contract { loops = grid h/8 w/16 o/64, for i/1, for j/1, pipe c/32 depth 4, warp h/4 w/16 o/32; tile = mma.m16n8k16.f16.f32; X = shared cp.async swz(2, 3, 3); "
  "W = shared cp.async swz(2, 3, 3); epi = shared }",
  "sched contract { loops = grid h/8 w/16 o/64, pipe i/1 j/1 c/64 depth 3, warp h/4 w/16 o/64; tile = wgmma.m64n64k16.f16.f32; X = shared cp.async swz(3, 3, 3); "
  "W = shared cp.async swz(3, 3, 3); epi = shared }",
  "sched contract { loops = grid h/2 w/8 o/32, pipe i/1 j/1 c/64 depth 3, warp h/2 w/8 o/32 c/16; tile = mma.m16n8k16.f16.f32; X = shared cp.async swz(3, 3, 3); "
  "W = shared cp.async swz(3, 3, 3); epi = shared }",
};
static const char *const tf32_conv_forms[] = {
  "sched contract { loops = grid h/8 w/16 o/64, pipe i/1 j/1 c/32 depth 3, warp h/4 w/16 o/32; tile = mma.m16n8k8.tf32.f32; X = shared cp.async swz(3, 2, 3); W = shared cp.async swz(3, 2, 3); epi = shared }",
  "sched contract { loops = grid h/2 w/8 o/32, pipe i/1 j/1 c/32 depth 3, warp h/2 w/8 o/32 c/8; tile = mma.m16n8k8.tf32.f32; X = shared cp.async swz(3, 2, 3); W = shared cp.async swz(3, 2, 3); epi = shared }",
};
START_TEST(tf32_conv)
{
  struct ir_arena *a = ir_arena_create();
  check_record(a, narrow_conv_nest(a, IR_tf32, 36, 9, 17, 40), tf32_conv_forms[_i], NULL, 0);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(half_conv)
{
  struct ir_arena *a = ir_arena_create();
  check_record(a, narrow_conv_nest(a, IR_f16, 64, 9, 17, 72), conv_forms[_i], NULL, 0);
  ir_arena_destroy(a);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("contract");
  TCase *t = tcase_create("contract");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, convolutions, 0, sizeof convs / sizeof *convs);
  tcase_add_loop_test(t, matmuls, 0, sizeof gemms / sizeof *gemms);
  tcase_add_loop_test(t, random_convolutions, 0, 24);
  tcase_add_loop_test(t, random_matmuls, 0, 24);
  tcase_add_loop_test(t, native_convolutions, 0, sizeof convs / sizeof *convs);
  tcase_add_loop_test(t, alternative_convolutions, 0, sizeof convs / sizeof *convs);
  tcase_add_loop_test(t, alternative_matmuls, 0, sizeof gemms / sizeof *gemms);
  tcase_add_loop_test(t, native_matmuls, 0, sizeof gemms / sizeof *gemms);
  tcase_add_loop_test(t, tiles_stay_in_registers, 0, 2);
  tcase_add_loop_test(t, half_gemm, 0, 4);
  tcase_add_test(t, half_gemm_odd);
  tcase_add_loop_test(t, tf32_gemm, 0, 4);
  tcase_add_loop_test(t, f32_gemm, 0, 4);
  tcase_add_test(t, lanes_gemm);
  tcase_add_loop_test(t, half_conv, 0, sizeof conv_forms / sizeof *conv_forms);
  tcase_add_loop_test(t, tf32_conv, 0, sizeof tf32_conv_forms / sizeof *tf32_conv_forms);
  suite_add_tcase(s, t);
  return tap_run(s);
}
