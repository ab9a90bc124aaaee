/* Nests as the schedules for GPUs make them: the interpreter, OpenCL C run by the OpenCL loader's first device and CUDA C compiled by NVRTC, each where it is there. */
#include "tests/unit/codegen/lowering.h"

static const char *const names[] = { "opencl", "cuda:sm_80" };
static const char *wanted;             /* the skeleton that must take the nest */
static const char *wanted_inst;        /* on CUDA, how its instruction begins; NULL: any */

static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct kir_sched *s = cg_schedule(a, n, t, wanted && !strcmp(wanted, "naive") ? 0 : 2);
  if (wanted && strcmp(wanted, "naive")) ck_assert_str_eq(s->kind, wanted);
  if (wanted_inst && t->kind == CG_CUDA) ck_assert_msg(!strncmp(s->inst, wanted_inst, strlen(wanted_inst)), "%s", s->inst);
  return s;
}
static const struct cg_skeleton chosen = { "chosen", schedule, cg_lower, false };
static void check(const char *kind, double tolerance, const struct kir_bind *b, unsigned nb, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void check(const char *kind, double tolerance, const struct kir_bind *b, unsigned nb, const char *fmt, ...)
{
  char text[4096];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  wanted = kind;
  for (unsigned i = 0; i < 2; i++) {
    struct lowering l = { &chosen, .t = cg_target_find(names[i], strlen(names[i])), .tolerance = tolerance, .no_text = true };
    ck_assert_msg(lw_run(&l, text, b, nb, 3 + i), "not taken:\n%s", text);
  }
}

/* ---- maps ---- */
START_TEST(elementwise)
{
  static const int sizes[] = { 1, 7, 64, 1027 };
  int n = sizes[_i];
  check("map", 0, NULL, 0, "nest @add_relu(x: f32[3, %d], b: f32[%d] const, y: f32[3, %d] out) { y[r < 3, c < %d] = max(x[r, c] + b[c], 0.0) }", n, n, n, n);
  check("map", 0, (struct kir_bind[]){ { "R", n } }, 1,
        "nest @gelu(x: f32[R, 12], y: f32[R, 12] out) where R in 1..32768 { y[r < R, c < 12] = 0.5*x[r, c]*(1.0 + erf(x[r, c]*0.70710677)) }");
  check("map", 0, (struct kir_bind[]){ { "R", n } }, 1, "nest @t(x: f32[R, 5], y: f32[5, R] out) where R in 1.. { y[c < 5, r < R] = x[r, c] }");
  check("map", 0, NULL, 0, "nest @pad(x: f32[2, %d], y: f32[2, %d] out) { y[r < 2, c < %d] = x[r, c - 3] else -1.5 }", n, n + 5, n + 5);
  check("map", 0, NULL, 0, "nest @half(x: f16[2, %d], z: bf16[2, %d], y: f16[2, %d] out) { y[r < 2, c < %d] = f16(f32(x[r, c])*f32(z[r, c]) + 0.25) }", n, n, n, n);
}
END_TEST
START_TEST(empty)
{
  check("map", 0, (struct kir_bind[]){ { "R", 0 } }, 1, "nest @e(x: f32[R, 5], y: f32[R, 5] out) where R in 0..9 { y[r < R, c < 5] = x[r, c] + 1.0 }");
  check(NULL, 0, (struct kir_bind[]){ { "R", 0 } }, 1, "nest @e(x: f32[3, R], y: f32[3] out) where R in 0..9 { y[r < 3] = sum[c < R] x[r, c] }");
}
END_TEST
START_TEST(indices)
{
  check("map", 0, NULL, 0, "nest @g(x: f32[7, 9], i: i64[5], y: f32[5, 9] out) { y[r < 5, c < 9] = x[max(min(i1[r], 6), 0), c] }");
  check("map", 0, NULL, 0, "nest @r(y: i32[40] out) { y[r < 40] = i32{3*r %% 7 - r/3} }");
  check("map", 0, NULL, 0, "nest @s(x: f32[40], y: f32[40] out) { y[r < 40] = if([r >= 11], x[r - 11], x[r + 3]) }");
}
END_TEST

/* Every function of maps.def that a type has. */
static const struct { const char *name; unsigned arity; char kind; } maps[] = {
#define MAP(name, arity, kind) { #name, arity, #kind[0] },
#include "ir/maps.def"
#undef MAP
};
static bool applies(unsigned f, const char *e)
{
  static const char *const bits[] = { "and", "or", "xor", "shl", "shr" }, *const predicates[] = { "eq", "lt", "le" }, *const undefined[] = { "exp", "log", "sqrt", "recip", "asin", "acos", "tan", "sinh", "cosh", "acosh", "atanh" };
  bool real = *e == 'f' || !strncmp(e, "bf", 2) || !strncmp(e, "tf", 2);
  if (maps[f].kind == 'X' || maps[f].kind == 'P') return false;
  for (unsigned i = 0; i < 5; i++)
    if (!strcmp(maps[f].name, bits[i])) return !real && strcmp(e, "bool");
  for (unsigned i = 0; i < 3; i++)
    if (!strcmp(maps[f].name, predicates[i])) return true;
  if (real) return true;
  for (unsigned i = 0; i < sizeof undefined / sizeof *undefined; i++)  /* of an integer they may give NaN, infinity, or what the type does not hold */
    if (!strcmp(maps[f].name, undefined[i])) return false;
  return strcmp(e, "bool") || strchr("asmf", maps[f].name[0]);
}
static const char *const elems[] = { "f32", "f64", "f16", "bf16", "tf32", "i32", "i64", "u8", "i8", "u32", "bool" };
enum { ELEMS = sizeof elems / sizeof *elems };
START_TEST(functions)
{
  const char *e = elems[_i];
  char args[8000] = "", body[3000] = "", text[12000];
  size_t na = 0, nb = 0;
  for (unsigned f = 0; f < sizeof maps / sizeof *maps; f++) {
    if (!applies(f, e)) continue;
    na += (size_t)snprintf(args + na, sizeof args - na, ", y%u: %s[21] out", f, e);
    nb += (size_t)snprintf(body + nb, sizeof body - nb, "y%u[i < 21] = %s(x[i]%s) ", f, maps[f].name, maps[f].arity == 2 ? ", z[i]" : "");
    if (na < 360) continue;
    snprintf(text, sizeof text, "nest @f(x: %s[21], z: %s[21]%s) { %s}", e, e, args, body);
    check("map", 3e-6, NULL, 0, "%s", text);
    na = nb = 0;
  }
  snprintf(text, sizeof text, "nest @f(x: %s[21], z: %s[21]%s) { %s}", e, e, args, body);
  if (na) check("map", 3e-6, NULL, 0, "%s", text);
}
END_TEST
START_TEST(casts)
{
  char args[2000] = "", body[2000] = "";
  size_t na = 0, nb = 0;
  for (unsigned j = 0; j < ELEMS; j++) {
    if (j == (unsigned)_i) continue;
    na += (size_t)snprintf(args + na, sizeof args - na, ", y%u: %s[33] out", j, elems[j]);
    nb += (size_t)snprintf(body + nb, sizeof body - nb, "y%u[i < 33] = %s(x[i]) ", j, elems[j]);
  }
  check("map", 0, NULL, 0, "nest @c(x: %s[33]%s) { %s}", elems[_i], args, body);
}
END_TEST

/* ---- rows and blocks ---- */
#define SOFTMAX(R, C) \
  " m[r < " R "] = max[c < " C "] x[r, c] p[r < " R ", c < " C "] = exp(x[r, c] - m[r]) l[r < " R "] = sum[c < " C "] p[r, c] y[r < " R ", c < " C "] = p[r, c]/l[r] }"
START_TEST(softmax)
{
  check("row", 0, NULL, 0, "nest @s(x: f32[11, 37], y: f32[11, 37] out) {" SOFTMAX("11", "37"));
  check("row", 0, (struct kir_bind[]){ { "R", 9 } }, 1, "nest @s(x: f32[R, 256], y: f32[R, 256] out) where R in 1..32768 {" SOFTMAX("R", "256"));
  check("block", 0, NULL, 0, "nest @s(x: f32[3, 3001], y: f32[3, 3001] out) {" SOFTMAX("3", "3001"));
  check("block", 0, (struct kir_bind[]){ { "C", 77 } }, 1, "nest @s(x: f32[3, C], y: f32[3, C] out) where C in 1..100000 {" SOFTMAX("3", "C"));
}
END_TEST
START_TEST(norm)
{
  check("row", 0, NULL, 0,
        "nest @n(x: f32[5, 96], g: f32[96] const, y: f32[5, 96] out) { s[r < 5] = sum[c < 96] x[r, c] v[r < 5] = sum[c < 96] (x[r, c] - s[r]*0.010416667)*(x[r, c] - "
        "s[r]*0.010416667) y[r < 5, c < 96] = (x[r, c] - s[r]*0.010416667)/sqrt(v[r]*0.010416667 + 1.0)*g[c] }");
  check("row", 0, NULL, 0, "nest @n(x: f16[5, 64], y: f16[5, 64] out) { s[r < 5] = sum[c < 64] f32(x[r, c]) y[r < 5, c < 64] = f16(f32(x[r, c])/(1.0 + abs(s[r]))) }");
  check("block", 0, NULL, 0, "nest @m(x: f32[40000], y: f32[] out) { y[] = max[i < 40000] x[i] }");
  check("block", 0, NULL, 0, "nest @m(x: i64[3, 9000], y: i64[3] out) { y[r < 3] = sum[i < 9000] x[r, i] }");
}
END_TEST
START_TEST(attention)
{
  check(NULL, 0, (struct kir_bind[]){ { "L", 5 + 30 * _i } }, 1,
        "nest @a(q: f32[2, L, 8], k: f32[2, L, 8], v: f32[2, L, 8], y: f32[2, L, 8] out) where L in 1..500 { s[z < 2, i < L, j < L] = sum[d < 8] q[z, i, d]*k[z, j, d] t[z < 2, i < L, j < "
        "L] = 0.25*s[z, i, j] m[z < 2, i < L] = max[j < L] t[z, i, j] p[z < 2, i < L, j < L] = exp(t[z, i, j] - m[z, i]) l[z < 2, i < L] = sum[j < L] p[z, i, j] o[z < 2, i < L, d < 8] = "
        "sum[j < L] p[z, i, j]*v[z, j, d] y[z < 2, i < L, d < 8] = o[z, i, d]/l[z, i] }");
}
END_TEST

/* ---- one thread for a result ---- */
START_TEST(windows)
{
  check("each", 0, NULL, 0, "nest @p(x: f32[2, 3, 9, 11], y: f32[2, 3, 5, 6] out) { y[n < 2, c < 3, h < 5, w < 6] = max[i < 3, j < 3] x[n, c, 2*h + i - 1, 2*w + j - 1] else -inf }");
  check("each", 0, (struct kir_bind[]){ { "N", 2 } }, 1,
        "nest @d(x: f32[N, 6, 7, 7], w: f32[6, 3, 3] const, b: f32[6] const, y: f32[N, 6, 7, 7] out) where N in 1..64 { t[n < N, c < 6, h < 7, w < 7] = sum[i < 3, j < 3] x[n, c, h + i - 1, "
        "w + j - 1] else 0.0*w[c, i, j] y[n < N, c < 6, h < 7, w < 7] = max(t[n, c, h, w] + b[c], 0.0) }");
}
END_TEST
START_TEST(wide_windows)               /* channels innermost, and results enough: four for a thread */
{
  static const char *const e[] = { "f16", "f32" };
  const char *t = e[_i];
  wanted_inst = "v4";
  check("each", 0, NULL, 0, "nest @p(x: %s[1, 64, 84, 83] @ c1 + 5312*c2 + 64*c3 elems 446208, y: %s[1, 64, 42, 42] @ c1 + 2688*c2 + 64*c3 elems 112896 out) { y[c < 64, h < 42, w < 42] at [0, c, h, w] = "
                            "max[i < 3, j < 3] x[0, c, 2*h + i - 1, 2*w + j - 1] else -inf }", t, t);
}
END_TEST
/* ---- tiles ---- */
#define GEMM(M, N, K, W, EPI) \
  "nest @g(x: f32[" M ", " K "], w: f32[" W "] const, b: f32[" N "] const, y: f32[" M ", " N "] out) %s { t[m < " M ", n < " N "] = sum[k < " K "] x[m, k]*" EPI \
  " y[m < " M ", n < " N "] = max(t[m, n] + b[n], 0.0) }"
START_TEST(products)
{
  check("contract", 0, NULL, 0, GEMM("49", "70", "37", "37, 70", "w[k, n]"), "");
  check("contract", 0, NULL, 0, GEMM("130", "96", "64", "96, 64", "w[n, k]"), "");
  check("contract", 0, (struct kir_bind[]){ { "M", 19 } }, 1, GEMM("M", "40", "24", "24, 40", "w[k, n]"), "where M in 1..4096");
  check("contract", 0, (struct kir_bind[]){ { "B", 3 }, { "L", 21 } }, 2,
        "nest @qk(q: f32[B, L, 20], k: f32[B, L, 20], y: f32[B, L, L] out) where B in 1..64, L in 1..500 { y[b < B, i < L, j < L] = sum[d < 20] q[b, i, d]*k[b, j, d] }");
  check("contract", 0, NULL, 0, "nest @t(x: f16[40, 64], w: f16[64, 48] const, y: f16[40, 48] out) { t[m < 40, n < 48] = sum[k < 64] f32(x[m, k])*f32(w[k, n]) y[m < 40, n < 48] = f16(t[m, n]) }");
}
END_TEST
START_TEST(convolutions)
{
  static const struct { int c, h, w, o, k, s, p; } v[] = { { 3, 23, 21, 20, 7, 2, 3 }, { 16, 14, 14, 40, 3, 1, 1 }, { 40, 7, 7, 33, 1, 1, 0 }, { 20, 9, 13, 16, 1, 2, 0 }, { 8, 30, 5, 70, 3, 2, 1 } };
  int c = v[_i].c, h = v[_i].h, w = v[_i].w, o = v[_i].o, k = v[_i].k, s = v[_i].s, p = v[_i].p, oh = (h + 2*p - k)/s + 1, ow = (w + 2*p - k)/s + 1;
  check("contract", 0, (struct kir_bind[]){ { "N", 2 } }, 1,
        "nest @c(x: f32[N, %d, %d, %d], w: f32[%d, %d, %d, %d] const, b: f32[%d] const, r: f32[N, %d, %d, %d], y: f32[N, %d, %d, %d] out) where N in 1..64 { t[n < N, o < %d, h < %d, w < %d] = "
        "sum[c < %d, i < %d, j < %d] x[n, c, %d*h + i - %d, %d*w + j - %d] else 0.0*w[o, c, i, j] y[n < N, o < %d, h < %d, w < %d] = max(t[n, o, h, w] + b[o] + r[n, o, h, w], 0.0) }",
        c, h, w, o, c, k, k, o, o, oh, ow, o, oh, ow, o, oh, ow, c, k, k, s, p, s, p, o, oh, ow);
}
END_TEST
START_TEST(units)                      /* matrix units on CUDA for what is narrower than float32; warps of ordinary ones else */
{
  static const char *const e[] = { "f16", "bf16", "tf32", "f32" };
  const char *t = e[_i];
  wanted_inst = _i == 3 ? "fma.m8n4k4" : "mma";
#define HALF(M, N, K, W, READ) \
  "nest @h(x: %s[" M ", " K "], w: %s[" W "] const, b: f32[" N "] const, y: %s[" M ", " N "] out) where M in 1..4096 { t[m < " M ", n < " N "] = sum[k < " K "] f32(x[m, k])*f32(" READ ") y[m < " M ", n < " \
  N "] = %s(max(t[m, n] + b[n], 0.0)) }"
  check("contract", 0, (struct kir_bind[]){ { "M", 37 } }, 1, HALF("M", "72", "64", "72, 64", "w[n, k]"), t, t, t, t);
  check("contract", 0, (struct kir_bind[]){ { "M", 130 } }, 1, HALF("M", "136", "72", "72, 136", "w[k, n]"), t, t, t, t);
  check("contract", 0, NULL, 0,
        "nest @c(x: %s[1, 9, 17, 64], w: %s[40, 64, 3, 3] const, y: %s[1, 9, 17, 40] out) { t[n < 1, h < 9, q < 17, o < 40] = sum[c < 64, i < 3, j < 3] f32(x[n, h + i - 1, q + j - 1, c] else 0)"
        "*f32(w[o, c, i, j]) y[n < 1, h < 9, q < 17, o < 40] = %s(max(t[n, h, q, o], 0.0)) }", t, t, t, t);
  /* a 1x1 convolution of 7x7 pixels, channels innermost: 49 merged rows are no multiple of a tile */
  check("contract", 0, NULL, 0,
        "nest @p(x: %s[1, 96, 7, 7] @ c1 + 672*c2 + 96*c3 elems 4704, w: %s[40, 96, 1, 1] const, r: f32[1, 40, 7, 7] @ c1 + 280*c2 + 40*c3 elems 1960, y: %s[1, 40, 7, 7] @ c1 + 280*c2 + 40*c3 elems 1960 out) { "
        "t[o < 40, h < 7, q < 7] = sum[c < 96] f32(x[0, c, h, q])*f32(w[o, c, 0, 0]) y[o < 40, h < 7, q < 7] at [0, o, h, q] = %s(t[o, h, q] + r[0, o, h, q]) }", t, t, t, t);
  /* many pixels of few columns */
  check("contract", 0, NULL, 0,
        "nest @m(x: %s[1, 32, 128, 126] @ c1 + 4032*c2 + 32*c3 elems 516096, w: %s[32, 32, 1, 1] const, y: %s[1, 32, 128, 126] @ c1 + 4032*c2 + 32*c3 elems 516096 out) { t[o < 32, h < 128, q < 126] = "
        "sum[c < 32] f32(x[0, c, h, q])*f32(w[o, c, 0, 0]) y[o < 32, h < 128, q < 126] at [0, o, h, q] = %s(t[o, h, q]) }", t, t, t, t);
  /* lines of three pixels: a fragment of eight rows holds parts of two */
  check("contract", 0, NULL, 0,
        "nest @s(x: %s[2, 5, 3, 32], w: %s[24, 32, 3, 1] const, y: %s[2, 5, 3, 24] out) { t[n < 2, h < 5, q < 3, o < 24] = sum[c < 32, i < 3] f32(x[n, h + i - 1, q, c] else 0)*f32(w[o, c, i, 0]) "
        "y[n < 2, h < 5, q < 3, o < 24] = %s(t[n, h, q, o]) }", t, t, t, t);
  /* one row of a short sum: a dense layer behind an image; only matrix units make a tile of it */
  if (_i == 3) wanted_inst = NULL;
  check(NULL, 0, NULL, 0,
        "nest @d(x: %s[1, 16, 3, 2] @ c1 + 32*c2 + 16*c3 elems 96, w: %s[70, 16, 3, 2] const, b: f32[70] const, y: f32[1, 70] out) { t[n < 70] = sum[c < 16, i < 3, j < 2] f32(x[0, c, i, j])*f32(w[n, c, i, j]) "
        "y[n < 70] at [0, n] = max(t[n] + b[n], 0.0) }", t, t);
}
END_TEST
START_TEST(one_row)
{
  static const char *const e[] = { "f32", "f16", "bf16", "tf32" };
  const char *t = e[_i];
  wanted_inst = "v";
  check("stream", 0, NULL, 0, "nest @g(x: %s[1, 1024], w: %s[1024, 72] const, b: f32[72] const, y: f32[1, 72] out) { t[n < 72] = sum[k < 1024] f32(x[0, k])*f32(w[k, n]) "
                              "y[n < 72] at [0, n] = max(t[n] + b[n], 0.0) }", t, t);
  /* an end of the sum in the middle of a step, columns that do not fill the last block, the sum as a result of its own */
  check("stream", 0, NULL, 0, "nest @r(x: %s[1, 328], w: %s[37, 328] const, r: f32[1, 37], s: f32[1, 37] out, y: %s[1, 37] out) { s[n < 37] at [0, n] = sum[k < 328] f32(x[0, k])*f32(w[n, k]) "
                              "y[n < 37] at [0, n] = %s(s[0, n] + r[0, n]) }", t, t, t, t);
  /* a dense layer behind an image whose channels lie innermost, and planes: the weights follow x */
  check("stream", 0, NULL, 0, "nest @d(x: %s[1, 64, 3, 2] @ c1 + 128*c2 + 64*c3 elems 384, w: %s[70, 64, 3, 2] const, y: f32[1, 70] out) { y[n < 70] at [0, n] = sum[c < 64, i < 3, j < 2] f32(x[0, c, i, j])*f32(w[n, c, i, j]) }",
        t, t);
  check("stream", 0, NULL, 0, "nest @p(x: %s[1, 40, 3, 4], w: %s[6, 40, 3, 4] const, y: f32[1, 6] out) { y[n < 6] at [0, n] = sum[c < 40, i < 3, j < 4] f32(x[0, c, i, j])*f32(w[n, c, i, j]) }", t, t);
  /* a 1x1 convolution of one pixel; so many columns that a warp takes two */
  check("stream", 0, NULL, 0, "nest @c(x: %s[1, 256, 1, 1], w: %s[3200, 256, 1, 1] const, y: f32[1, 3200, 1, 1] out) { y[o < 3200] at [0, o, 0, 0] = sum[c < 256] f32(x[0, c, 0, 0])*f32(w[o, c, 0, 0]) }", t, t);
}
END_TEST
/* Convolutions of three channels as pass unfold leaves them: the value whose channels are the taps of a line, 16 bytes a store, and the convolution of it. */
START_TEST(few_channels)
{
  static const struct { int h, w, k, s, p, o; } v[] = { { 21, 23, 11, 4, 2, 40 }, { 17, 30, 7, 2, 3, 64 }, { 9, 14, 3, 1, 1, 32 }, { 11, 8, 3, 2, 0, 24 } };
  static const char *const e[] = { "f16", "bf16", "tf32", "f32" };
  const char *t = e[_i % 4];
  int i = _i / 4, h = v[i].h, w = v[i].w, k = v[i].k, s = v[i].s, p = v[i].p, o = v[i].o, oh = (h + 2*p - k)/s + 1, ow = (w + 2*p - k)/s + 1, c = (3*k + 7)/8*8 < 16 ? 16 : (3*k + 7)/8*8;
  wanted_inst = NULL;
  check("map", 0, NULL, 0,
        "nest @u(x: f32[2, 3, %d, %d], y: %s[2, %d, %d, %d] @ %d*c0 + c1 + %d*c2 + %d*c3 elems %d out) { y[n < 2, o < %d, h < %d, w < %d] = %s(if([o < %d], x[n, o %% 3, h, %d*w + o/3 - %d] else 0.0, 0.0)) }",
        h, w, t, c, h, ow, c*h*ow, c*ow, c, 2*c*h*ow, c, h, ow, t, 3*k, s, p);
  wanted_inst = _i % 4 == 3 ? "fma.m8n4k4" : "mma";
  check("contract", 0, NULL, 0,
        "nest @c(x: %s[2, %d, %d, %d] @ %d*c0 + c1 + %d*c2 + %d*c3 elems %d, w: %s[%d, %d, %d, 1] const, b: f32[%d] const, y: %s[2, %d, %d, %d] @ %d*c0 + c1 + %d*c2 + %d*c3 elems %d out) { "
        "t[n < 2, o < %d, h < %d, w < %d] = sum[c < %d, i < %d] f32(x[n, c, %d*h + i - %d, w] else 0)*f32(w[o, c, i, 0]) y[n < 2, o < %d, h < %d, w < %d] = %s(max(t[n, o, h, w] + b[o], 0.0)) }",
        t, c, h, ow, c*h*ow, c*ow, c, 2*c*h*ow, t, o, c, k, o, t, o, oh, ow, o*oh*ow, o*ow, o, 2*o*oh*ow, o, oh, ow, c, k, s, p, o, oh, ow, t);
}
END_TEST
START_TEST(grouped)
{
  check(NULL, 0, NULL, 0,
        "nest @c(x: f32[2, 24, 9, 9], w: f32[48, 8, 3, 3] const, y: f32[2, 48, 9, 9] out) { y[n < 2, o < 48, h < 9, w < 9] = sum[c < 8, i < 3, j < 3] x[n, o/16*8 + c, h + i - 1, w + j - 1] "
        "else 0.0*w[o, c, i, j] }");
  /* heads in groups of three: a tile of four would write into the next group, which devices that run blocks side by side show */
  check(NULL, 0, NULL, 0, "nest @d(x: f32[2, 9, 4, 6], w: f32[2, 3, 6, 8], y: f32[2, 9, 4, 8] out) { y[n < 2, o < 9, h < 4, v < 8] = sum[k < 6] x[n, o, h, k]*w[n, o/3, k, v] }");
}
END_TEST
START_TEST(plain)                      /* -O0 */
{
  check("naive", 0, (struct kir_bind[]){ { "M", 7 } }, 1,
        "nest @g(x: f32[M, 20], w: f32[20, 9] const, y: f32[M, 9] out) where M in 1..4096 { y[m < M, n < 9] = sum[k < 20] x[m, k]*w[k, n] }");
  check("naive", 0, NULL, 0, "nest @c(x: f32[1, 3, 9, 9], w: f32[5, 3, 3, 3] const, y: f32[1, 5, 9, 9] out) { y[n < 1, o < 5, h < 9, w < 9] = sum[c < 3, i < 3, j < 3] x[n, c, h + i - 1, "
                             "w + j - 1] else 0.0*w[o, c, i, j] }");
}
END_TEST

/* Not in main: a device that is opened before Check forks is dead in the child. */
START_TEST(what_is_here)
{
  printf("# OpenCL %s, NVRTC %s\n", opencl_here() ? "is there" : "is absent: nothing is run", nvrtc_of_tests() ? "is there" : "is absent: CUDA C is not compiled");
  fflush(stdout);
}
END_TEST

static void add(TCase *t)
{
  tcase_add_test(t, what_is_here);
  tcase_add_loop_test(t, elementwise, 0, 4);
  tcase_add_test(t, empty);
  tcase_add_test(t, indices);
  tcase_add_loop_test(t, functions, 0, ELEMS);
  tcase_add_loop_test(t, casts, 0, ELEMS);
  tcase_add_test(t, softmax);
  tcase_add_test(t, norm);
  tcase_add_loop_test(t, attention, 0, 2);
  tcase_add_test(t, windows);
  tcase_add_loop_test(t, wide_windows, 0, 2);
  tcase_add_test(t, products);
  tcase_add_loop_test(t, convolutions, 0, 5);
  tcase_add_loop_test(t, units, 0, 4);
  tcase_add_loop_test(t, one_row, 0, 4);
  tcase_add_loop_test(t, few_channels, 0, 16);
  tcase_add_test(t, grouped);
  tcase_add_test(t, plain);
}
int main(void) { return lw_main("gpu", add); }
