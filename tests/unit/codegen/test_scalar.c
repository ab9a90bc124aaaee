/* Scalar functions and casts as machine code against ir/scalar.c, on special values, neighbours of 2^k and random bit patterns. Arithmetic must agree to the bit
 * (the sign of a zero from min and max is open); functions stay within the bounds that codegen/llvm_math.c states, in units of the last place of what double
 * libm gives. */
#include "tests/unit/codegen/kerns.h"
#include "tests/unit/codegen/run_native.h"
#include "tests/unit/tap.h"
#include <math.h>
#include <string.h>
#include <time.h>

enum { LEVELS = 3, LANES = 8 };
static const char *const map_name[] = {
#define MAP(name, arity, kind) #name,
#include "ir/maps.def"
#undef MAP
};
static const struct { int arity; char kind; } map_info[] = {
#define MAP(name, arity, kind) { arity, #kind[0] },
#include "ir/maps.def"
#undef MAP
};
static bool is_float(enum ir_elem e) { return ir_elem_class(e) == 'F'; }

/* ---- which functions a type has, and how exact they are ---- */
static bool libm_only(enum ir_map f)
{
  switch (f) {
  case IR_MAP_tan: case IR_MAP_asin: case IR_MAP_acos: case IR_MAP_atan: case IR_MAP_sinh: case IR_MAP_cosh: case IR_MAP_asinh: case IR_MAP_acosh: case IR_MAP_atanh: return true;
  default: return false;
  }
}
static double bound_f32(enum ir_map f)
{
  switch (f) {
  case IR_MAP_exp: case IR_MAP_log: case IR_MAP_pow: return 1;
  case IR_MAP_erf: return 1.2;
  case IR_MAP_sin: case IR_MAP_cos: return 1.6;
  case IR_MAP_tanh: case IR_MAP_sigmoid: return 2;
  default: return libm_only(f) ? 2.5 : 0;
  }
}
static bool applies(enum ir_map f, enum ir_elem e)
{
  bool math = bound_f32(f) > 0;
  bool bits = f == IR_MAP_and || f == IR_MAP_or || f == IR_MAP_xor || f == IR_MAP_shl || f == IR_MAP_shr;
  if (is_float(e)) return !bits && f != IR_MAP_select;
  if (f == IR_MAP_select) return false;
  if (e == IR_bool) return (!math || f == IR_MAP_pow) && f != IR_MAP_sqrt && f != IR_MAP_recip;
  return f == IR_MAP_pow || (!math && f != IR_MAP_sqrt && f != IR_MAP_recip);     /* of integers: no sensible meaning */
}

/* ---- inputs ---- */
enum { N = 2048 };
static double float_input(enum ir_elem e, int64_t i, uint64_t *s)
{
  static const double special[] = { 0.0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 0.5, -0.5, 1.5, 2.5, -2.5, 2, 3, -3, 0x1p-149, -0x1p-149, 0x1p-126, 0x1.fffffep127, -0x1.fffffep127,
                                    88.7, 88.8, -87.4, -103.9, -104.1, 9, 0.6, 0.93, 3.9, 4.1, 1e5, 1.6e6, 1e10, 3e38, 0x1p-24, 65504, 65520, 1e-8, 16777217, 3.14159265, 1.57079633 };
  enum { S = sizeof special / sizeof *special };
  uint64_t r = kb_rnd(s);
  if (i < S * S) return ir_round_to(e, special[i % S]);
  double m = 1 + (double)(r >> 12 & 0xffffff) / 0x1p24, x = ldexp(m, (int)(r >> 40) % (r & 1 ? 127 : 8));
  return ir_round_to(e, r & 2 ? -x : r & 4 ? ldexp(x, -60) : x);
}
static double float_second(enum ir_elem e, int64_t i, uint64_t *s)
{
  enum { S = 41 };
  uint64_t t = 1;
  if (i < S * S) return float_input(e, i / S, &t);
  uint64_t r = kb_rnd(s);
  return r & 1 ? (double)(int64_t)(r >> 1 & 31) - 16 : float_input(e, i, s);
}
static int64_t int_input(enum ir_elem e, int64_t i, uint64_t *s)
{
  static const int64_t special[] = { 0, 1, -1, 2, -2, 3, 7, -7, 127, -128, 255, 32767, -32768, 65535, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, 8, 31, 63, 64 };
  enum { S = sizeof special / sizeof *special };
  uint64_t r = kb_rnd(s);
  return ir_wrap_to(e, i < S * S ? special[i % S] : (int64_t)(r >> (r & 63)));
}
static int64_t int_second(enum ir_elem e, int64_t i, uint64_t *s)
{
  enum { S = 23 };
  uint64_t t = 1;
  return int_input(e, i < S * S ? i / S : i, i < S * S ? &t : s);
}
static void fill(struct ir_tensor *t, bool second)
{
  uint64_t s = 88172645463325252u;
  for (int64_t i = 0; i < t->n; i++)
    if (is_float(t->elem)) t->f[i] = second ? float_second(t->elem, i, &s) : float_input(t->elem, i, &s);
    else t->i[i] = second ? int_second(t->elem, i, &s) : int_input(t->elem, i, &s);
}

/* ---- one kern with all functions of a type: y[f*N + i] = f(x[i], z[i]), predicates to p ---- */
static void all_maps(struct kb *b, enum ir_elem e, unsigned lanes, struct ir_tensor **bufs)
{
  struct kir_block *outer;
  kb_open(b);
  struct kir_arr *x = kb_arg(b, "x", e, N, false), *z = kb_arg(b, "z", e, N, false), *y = kb_arg(b, "y", e, (int64_t)IR_MAP_COUNT * N, true);
  struct kir_arr *p = kb_arg(b, "p", IR_bool, (int64_t)IR_MAP_COUNT * N, true);
  kb_kern(b);
  const struct ir_ix *at = ir_ix_muli(kb_for(b, "i", kb_int(b, 0), kb_int(b, N / lanes), N / lanes, 0, &outer), lanes);
  struct kir_op *vx = kb_load(b, x, lanes, at), *vz = kb_load(b, z, lanes, at);
  for (int f = 0; f < IR_MAP_COUNT; f++) {
    if (!applies((enum ir_map)f, e)) continue;
    bool pred = map_info[f].kind == 'P';
    kb_store(b, pred ? p : y, ir_ix_addi(at, (int64_t)f * N), kb_ew(b, (enum ir_map)f, pred ? IR_bool : e, vx, map_info[f].arity > 1 ? vz : NULL, NULL));
  }
  bufs[0] = kb_buf(b, e, N);
  bufs[1] = kb_buf(b, e, N);
  bufs[2] = kb_buf(b, e, (int64_t)IR_MAP_COUNT * N);
  bufs[3] = kb_buf(b, IR_bool, (int64_t)IR_MAP_COUNT * N);
  fill(bufs[0], false);
  fill(bufs[1], true);
}
static double ulp_of(enum ir_elem e, double x)
{
  static const int digits[] = { [IR_f16] = 11, [IR_bf16] = 8, [IR_f32] = 24, [IR_f64] = 53, [IR_tf32] = 11 }, least[] = { [IR_f16] = -24, [IR_bf16] = -133, [IR_f32] = -149, [IR_f64] = -1074, [IR_tf32] = -136 };
  int k;
  frexp(x, &k);
  k -= digits[e];
  return ldexp(1, k < least[e] ? least[e] : k);
}
static bool close_enough(enum ir_map f, enum ir_elem e, double got, double exact, double *err)
{
  double want = ir_round_to(e, exact), bound = bound_f32(f);
  *err = 0;
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  if (got == want) return true;
  if (bound == 0 || isinf(want) != isinf(got)) {
    if (bound == 0 || e == IR_f64) return bound != 0 && fabs(got) >= 0x1.ffffffffffffep1023 && want / got > 0;
    double max = e == IR_f16 ? 65504 : e == IR_bf16 ? 0x1.fep127 : e == IR_tf32 ? 0x1.ffcp127 : 0x1.fffffep127;              /* at the threshold of overflow either is within the bound */
    return (isinf(got) ? fabs(exact) : fabs(got)) >= max * (1 - 4 * ulp_of(e, 1)) && signbit(got) == signbit(want);
  }
  *err = fabs(got - exact) / ulp_of(e, exact);
  return *err <= (e == IR_f32 ? bound : 1.01);         /* the narrow types are rounded from f32; f64 is libm */
}
static void check_map(const struct cg_target *t, enum ir_map f, enum ir_elem e, struct ir_tensor **bufs)
{
  bool pred = map_info[f].kind == 'P';
  for (int64_t i = 0; i < N; i++) {
    int64_t at = (int64_t)f * N + i;
    if (!is_float(e)) {
      int64_t want = ir_scalar_i(f, e, bufs[0]->i[i], bufs[1]->i[i], 0), got = pred ? bufs[3]->i[at] : bufs[2]->i[at];
      ck_assert_msg(got == want, "%s %s %s(%lld, %lld) = %lld, not %lld", t->name, ir_elem_name(e), map_name[f], (long long)bufs[0]->i[i], (long long)bufs[1]->i[i], (long long)got,
                    (long long)want);
      continue;
    }
    double x = bufs[0]->f[i], z = bufs[1]->f[i], want = ir_scalar_f(f, x, z, 0), err;
    if (pred) ck_assert_msg(bufs[3]->i[at] == (want != 0), "%s %s %s(%a, %a)", t->name, ir_elem_name(e), map_name[f], x, z);
    else ck_assert_msg(close_enough(f, e, bufs[2]->f[at], want, &err), "%s %s %s(%a, %a) = %a, not %a: %.2f ulp", t->name, ir_elem_name(e), map_name[f], x, z,
                       bufs[2]->f[at], ir_round_to(e, want), err);
  }
}
START_TEST(functions)
{
  const struct cg_target *t = cg_target_at((unsigned)_i % LEVELS);
  enum ir_elem e = (enum ir_elem)(_i / LEVELS);
  if (!native_runs(t)) return;
  struct kb b;
  struct ir_tensor *bufs[4];
  const char *why = NULL;
  for (unsigned lanes = 1; lanes <= LANES; lanes += LANES - 1) {
    all_maps(&b, e, lanes, bufs);
    ck_assert_msg(run_native(b.k, t, NULL, 0, bufs, &why), "%s: %s", t->name, why);
    for (int f = 0; f < IR_MAP_COUNT; f++)
      if (applies((enum ir_map)f, e)) check_map(t, (enum ir_map)f, e, bufs);
    kb_close(&b);
  }
}
END_TEST

/* ---- the f32 functions over every 2^14th of all floats, for their bounds ---- */
static const enum ir_map swept[] = { IR_MAP_exp, IR_MAP_log, IR_MAP_tanh, IR_MAP_erf, IR_MAP_sigmoid, IR_MAP_sin, IR_MAP_cos };
enum { SWEEP = 1 << 18 };
static double sweep(const struct cg_target *t, enum ir_map f, char *bad, size_t n_bad)      /* the largest error; bad: one that is too large, or empty */
{
  struct kb b;
  struct kir_block *outer;
  const char *why = NULL;
  double worst = 0, err;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", IR_f32, SWEEP, false), *y = kb_arg(&b, "y", IR_f32, SWEEP, true);
  kb_kern(&b);
  const struct ir_ix *at = ir_ix_muli(kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, SWEEP / 16), SWEEP / 16, 0, &outer), 16);
  kb_store(&b, y, at, kb_ew(&b, f, IR_f32, kb_load(&b, x, 16, at), NULL, NULL));
  struct ir_tensor *bx = kb_buf(&b, IR_f32, SWEEP), *by = kb_buf(&b, IR_f32, SWEEP);
  for (uint32_t i = 0; i < SWEEP; i++) {
    uint32_t u = i * 16384u + i % 16381u;
    float v;
    memcpy(&v, &u, 4);
    bx->f[i] = (double)v;
  }
  bool ok = run_native(b.k, t, NULL, 0, (struct ir_tensor *[]){ bx, by }, &why);
  snprintf(bad, n_bad, "%s", ok ? "" : why);
  for (int64_t i = 0; ok && i < SWEEP; i++) {
    double want = ir_scalar_f(f, bx->f[i], 0, 0);
    if (!close_enough(f, IR_f32, by->f[i], want, &err)) snprintf(bad, n_bad, "%s %s(%a) = %a, not %a: %.2f ulp", t->name, map_name[f], bx->f[i], by->f[i], want, err);
    if (err > worst) worst = err;
  }
  kb_close(&b);
  return worst;
}
START_TEST(f32_functions_keep_their_bounds)
{
  const struct cg_target *t = cg_target_at((unsigned)_i);
  if (!native_runs(t)) return;
  for (unsigned i = 0; i < sizeof swept / sizeof *swept; i++) {
    char bad[256];
    sweep(t, swept[i], bad, sizeof bad);
    ck_assert_msg(!*bad, "%s", bad);
  }
}
END_TEST
static int print_errors(void)          /* `test_scalar errors` */
{
  char bad[256];
  for (unsigned l = 0; l < LEVELS; l++)
    for (unsigned i = 0; native_runs(cg_target_at(l)) && i < sizeof swept / sizeof *swept; i++) {
      double worst = sweep(cg_target_at(l), swept[i], bad, sizeof bad);
      printf("%s %s: %.2f ulp %s\n", cg_target_at(l)->name, map_name[swept[i]], worst, bad);
    }
  return 0;
}

/* `test_scalar bench`: ns per element of 4096 floats that stay in the first-level cache */
static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void bench_map(const struct cg_target *t, enum ir_map f)
{
  enum { B = 4096 };
  static _Alignas(64) float in[B], out[B];
  struct kb b;
  struct kir_block *outer;
  const char *why = NULL;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", IR_f32, B, false), *y = kb_arg(&b, "y", IR_f32, B, true);
  kb_kern(&b);
  const struct ir_ix *at = ir_ix_muli(kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, B / 16), B / 16, 0, &outer), 16);
  struct kir_op *v = kb_load(&b, x, 16, at);
  kb_store(&b, y, at, kb_ew(&b, f, IR_f32, v, map_info[f].arity > 1 ? v : NULL, NULL));
  struct native *n = native_load(b.k, t, &why);
  double best = 1;
  for (int i = 0; i < B; i++) in[i] = (float)i / 500 + 0.01f;
  for (int r = 0; r < 2000; r++) {
    double t0 = seconds();
    native_fn(n)((union massrt_word[]){ { .p = in }, { .p = out } }, 0, 1, NULL);
    double s = seconds() - t0;
    if (s < best) best = s;
  }
  printf("%s %-8s %.3f ns\n", t->name, map_name[f], best / B * 1e9);
  native_unload(n);
  kb_close(&b);
}
static int bench(void)
{
  for (unsigned l = 0; l < LEVELS; l++)
    for (int f = 0; native_runs(cg_target_at(l)) && f < IR_MAP_COUNT; f++)
      if (applies((enum ir_map)f, IR_f32) && map_info[f].kind == 'A') bench_map(cg_target_at(l), (enum ir_map)f);
  return 0;
}

/* ---- casts: every type to every type ---- */
static double cast_want_f(enum ir_elem from, enum ir_elem to, double x, int64_t k)
{
  if (is_float(from)) return ir_round_to(to, x);
  if (to == IR_f32) return from == IR_u64 ? (float)(uint64_t)k : (float)k;
  return ir_round_to(to, from == IR_u64 ? (double)(uint64_t)k : (double)k);
}
static int64_t cast_want_i(enum ir_elem from, enum ir_elem to, double x, int64_t k)
{
  if (!is_float(from)) return to == IR_bool ? k != 0 : ir_wrap_to(to, k);
  if (to == IR_bool) return x != 0;
  unsigned bits = ir_elem_bits(to);
  bool u = ir_elem_class(to) == 'U';
  double top = ldexp(1, (int)bits - !u), lo = u ? 0 : -top;       /* towards zero; what does not fit becomes the nearest that does, NaN 0 */
  if (isnan(x)) return 0;
  if (trunc(x) >= top) return ir_wrap_to(to, (int64_t)(bits == 64 && u ? UINT64_MAX : (1ull << (bits - !u)) - 1));
  if (trunc(x) <= lo) return u ? 0 : (int64_t)(UINT64_MAX << (bits - 1));
  return u ? (int64_t)(uint64_t)x : (int64_t)x;
}
START_TEST(casts)
{
  const struct cg_target *t = cg_target_at((unsigned)_i % LEVELS);
  enum ir_elem from = (enum ir_elem)(_i / LEVELS);
  if (!native_runs(t)) return;
  struct kb b;
  struct kir_block *outer;
  struct kir_arr *y[IR_ELEM_COUNT];
  struct ir_tensor *bufs[IR_ELEM_COUNT + 1];
  const char *why = NULL;
  kb_open(&b);
  struct kir_arr *x = kb_arg(&b, "x", from, N, false);
  for (int to = 0; to < IR_ELEM_COUNT; to++) y[to] = kb_arg(&b, "y", (enum ir_elem)to, N, true);
  kb_kern(&b);
  const struct ir_ix *at = ir_ix_muli(kb_for(&b, "i", kb_int(&b, 0), kb_int(&b, N / LANES), N / LANES, 0, &outer), LANES);
  struct kir_op *v = kb_load(&b, x, LANES, at);
  for (int to = 0; to < IR_ELEM_COUNT; to++) kb_store(&b, y[to], at, kir_emit(&b.e, KIR_cast, (enum ir_elem)to, LANES, SRC(v), 1, NULL, 0));
  bufs[0] = kb_buf(&b, from, N);
  fill(bufs[0], false);
  for (int to = 0; to < IR_ELEM_COUNT; to++) bufs[to + 1] = kb_buf(&b, (enum ir_elem)to, N);
  ck_assert_msg(run_native(b.k, t, NULL, 0, bufs, &why), "%s: %s", t->name, why);
  for (int to = 0; to < IR_ELEM_COUNT; to++)
    for (int64_t i = 0; i < N; i++) {
      double f = is_float(from) ? bufs[0]->f[i] : 0;
      int64_t k = is_float(from) ? 0 : bufs[0]->i[i];
      if (is_float((enum ir_elem)to)) {
        double want = cast_want_f(from, (enum ir_elem)to, f, k), got = bufs[to + 1]->f[i];
        ck_assert_msg(got == want || (isnan(got) && isnan(want)), "%s %s -> %s: %a %lld gives %a, not %a", t->name, ir_elem_name(from), ir_elem_name((enum ir_elem)to), f, (long long)k, got, want);
      } else {
        int64_t want = cast_want_i(from, (enum ir_elem)to, f, k), got = bufs[to + 1]->i[i];
        ck_assert_msg(got == want, "%s %s -> %s: %a %lld gives %lld, not %lld", t->name, ir_elem_name(from), ir_elem_name((enum ir_elem)to), f, (long long)k, (long long)got, (long long)want);
      }
    }
  kb_close(&b);
}
END_TEST

/* ---- folds over lanes, of any number of them ---- */
START_TEST(folds)
{
  const struct cg_target *t = cg_target_at((unsigned)_i);
  if (!native_runs(t)) return;
  for (unsigned lanes = 2; lanes <= 16; lanes += lanes < 8 ? 1 : 4) {
    struct kb b;
    const char *why = NULL;
    kb_open(&b);
    struct kir_arr *x = kb_arg(&b, "x", IR_i32, lanes, false), *y = kb_arg(&b, "y", IR_i32, 6, true), *f = kb_arg(&b, "f", IR_f32, 2 * lanes, true);
    kb_kern(&b);
    struct kir_op *v = kb_load(&b, x, lanes, kb_int(&b, 0));
    for (unsigned r = 0; r < 6; r++) {
      struct kir_op *o = kir_emit(&b.e, KIR_vred, IR_i32, 1, SRC(v), 1, NULL, 0);
      o->sub = r;
      kb_store(&b, y, kb_int(&b, r), o);
    }
    kb_store(&b, f, kb_int(&b, 0), kir_emit(&b.e, KIR_cast, IR_f32, lanes, SRC(v), 1, NULL, 0));
    struct kir_op *e = kir_emit(&b.e, KIR_extract, IR_i32, 1, SRC(v), 1, NULL, 0);
    e->i = lanes - 1;
    kb_store(&b, f, kb_int(&b, lanes), kir_emit(&b.e, KIR_bitcast, IR_f32, 1, SRC(e), 1, NULL, 0));
    struct ir_tensor *bx = kb_buf(&b, IR_i32, lanes), *by = kb_buf(&b, IR_i32, 6), *bf = kb_buf(&b, IR_f32, 2 * lanes);
    int64_t want[6] = { 0, 1, INT32_MIN, INT32_MAX, -1, 0 };
    for (unsigned i = 0; i < lanes; i++) {
      int64_t k = bx->i[i] = (int64_t)(i * 7 % 11) * 3 - 8;
      want[KIR_SUM] += k;
      want[KIR_PROD] = (int32_t)(want[KIR_PROD] * k);
      want[KIR_MAX] = k > want[KIR_MAX] ? k : want[KIR_MAX];
      want[KIR_MIN] = k < want[KIR_MIN] ? k : want[KIR_MIN];
      want[KIR_AND] &= k;
      want[KIR_OR] |= k;
    }
    ck_assert_msg(run_native(b.k, t, NULL, 0, (struct ir_tensor *[]){ bx, by, bf }, &why), "%s: %s", t->name, why);
    for (unsigned r = 0; r < 6; r++) ck_assert_int_eq(by->i[r], want[r]);
    int32_t last = (int32_t)bx->i[lanes - 1];
    float as_float;
    memcpy(&as_float, &last, 4);
    for (unsigned i = 0; i < lanes; i++) ck_assert_double_eq(bf->f[i], (double)bx->i[i]);
    ck_assert(bf->f[lanes] == (double)as_float || isnan(as_float));
    kb_close(&b);
  }
}
END_TEST

/* ---- a whole array rounded ---- */
START_TEST(rounding_of_arrays)
{
  enum { COUNT = 1 << 17 };
  enum ir_elem to = _i == 2 ? IR_tf32 : _i ? IR_bf16 : IR_f16;
  static uint32_t u[COUNT], want32[COUNT], got32[COUNT];
  static double f[COUNT];
  static uint16_t want[COUNT], got[COUNT];
  uint64_t s = 7;
  for (uint32_t i = 0; i < COUNT; i++) {           /* every exponent and sign, with fractions at and beside the halves of both types' last places */
    uint32_t tail[4] = { (uint32_t)(s = s * 6364136223846793005u + 1442695040888963407u) >> 9, 0x1000, 0x8000, 0 };
    u[i] = i << 23 | ((tail[i >> 9 & 3] + (i >> 11 & 31) * 0x2000 + (i >> 16) - (i >> 10 & 1)) & 0x7fffff);
    float x;
    memcpy(&x, &u[i], 4);
    f[i] = ir_round_to(to, (double)x);
  }
  ir_tensor_to_bytes(&(struct ir_tensor){ .elem = to, .n = COUNT, .f = f }, to == IR_tf32 ? (void *)want32 : want);
  ir_round_floats(to, u, to == IR_tf32 ? (void *)got32 : got, COUNT);
  for (uint32_t i = 0; i < COUNT && to == IR_tf32; i++)
    ck_assert_msg(want32[i] == got32[i] || (isnan(f[i]) && (got32[i] & 0x7fffffff) > 0x7f800000), "0x%08x: 0x%08x, want 0x%08x", u[i], got32[i], want32[i]);
  for (uint32_t i = 0; i < COUNT; i++)
    ck_assert_msg(want[i] == got[i] || (isnan(f[i]) && (got[i] & 0x7fff) > (to == IR_f16 ? 0x7c00 : 0x7f80)), "0x%08x: 0x%04x, want 0x%04x", u[i], got[i], want[i]);
}
END_TEST

int main(int argc, char **argv)
{
  if (argc > 1 && !strcmp(argv[1], "errors")) return print_errors();
  if (argc > 1 && !strcmp(argv[1], "bench")) return bench();
  Suite *s = suite_create("scalar");
  TCase *t = tcase_create("scalar");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, functions, 0, IR_ELEM_COUNT * LEVELS);
  tcase_add_loop_test(t, casts, 0, IR_ELEM_COUNT * LEVELS);
  tcase_add_loop_test(t, folds, 0, LEVELS);
  tcase_add_loop_test(t, rounding_of_arrays, 0, 3);
  tcase_add_loop_test(t, f32_functions_keep_their_bounds, 0, LEVELS);
  suite_add_tcase(s, t);
  return tap_run(s);
}
