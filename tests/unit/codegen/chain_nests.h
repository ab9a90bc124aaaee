/* Attention as nests, made of pieces: shared by the tests of the skeleton `chain`. */
#ifndef MASSC_TEST_CHAIN_NESTS_H
#define MASSC_TEST_CHAIN_NESTS_H
#include "tests/unit/codegen/lowering.h"
#include "codegen/library/chain.h"

extern const struct cg_skeleton cg_skeleton_chain;
static struct lowering l = { &cg_skeleton_chain, .tolerance = 4e-6 };

/* ---- nests from pieces: $I, $J rows and keys, $D, $E widths of the products, $H heads ---- */
struct size { int i, j, d, e, h; };
static const char *fill_in(char *out, size_t size, const char *pattern, const struct size *z)
{
  size_t n = 0;
  for (const char *p = pattern; *p && n + 24 < size; p++) {
    int v = p[0] != '$' ? 0 : p[1] == 'I' ? z->i : p[1] == 'J' ? z->j : p[1] == 'D' ? z->d : p[1] == 'E' ? z->e : z->h;
    if (p[0] != '$') out[n++] = *p;
    else if (v > 0) n += (size_t)snprintf(out + n, size - n, "%d", v), p++;
    else out[n++] = *++p; /* 0: a symbol of that name */
  }
  out[n] = 0;
  return out;
}
static void check(int seed, const struct size *z, const struct kir_bind *b, unsigned nb, const char *args, const char *where, const char *body)
{
  char pattern[4096], text[8192];
  snprintf(pattern, sizeof pattern, "nest @t(%s) %s {\n%s}", args, where, body);
  fill_in(text, sizeof text, pattern, z);
  ck_assert_msg(lw_run(&l, text, b, nb, (uint64_t)seed), "not taken:\n%s", text);
}
#define ROWS "n < 2, o < $H, i < $I"
#define SCORES " s[" ROWS ", j < $J] = sum[d < $D] q[n, i, $D*o + d]*k[n, j, $D*o + d]\n"
#define MAPPED(T) " t[" ROWS ", j < $J] = " T "\n"
#define SOFTMAX " m[" ROWS "] = max[j < $J] t[n, o, i, j]\n p[" ROWS ", j < $J] = exp(t[n, o, i, j] - m[n, o, i])\n l[" ROWS "] = sum[j < $J] p[n, o, i, j]\n"
#define VALUES " y[n < 2, o < $H, i < $I, e < $E] = sum[j < $J] p[n, o, i, j]/l[n, o, i]*v[n, j, $E*o + e]\n"
#define QKV "q: f32[2, $I, $D*$H], k: f32[2, $J, $D*$H], v: f32[2, $J, $E*$H], "
#define Y "y: f32[2, $H, $I, $E] out"
static void mapped(int seed, struct size z, const char *extra, const char *t)
{
  char args[512], body[2048];
  snprintf(args, sizeof args, QKV "%s" Y, extra);
  snprintf(body, sizeof body, SCORES MAPPED("%s") SOFTMAX VALUES, t);
  check(seed, &z, NULL, 0, args, "", body);
}

/* ---- what stands between the products and softmax; extra: arguments ---- */
struct form { const char *extra, *t; };
/* Masks by key, by row and key, finite or not, added or selected; biases, soft caps. With 0.5 true, rows with all keys masked are common where there are few:
 * NaN where the mask is -inf, a mean where it is finite. */
static const struct form mask_forms[] = {
  { "x: bool[2, 1, 1, $J], ", "select(x[n, 0, 0, j], s[n, o, i, j]*0.125, -inf)" },
  { "x: bool[2, 1, 1, $J], ", "select(x[n, 0, 0, j], s[n, o, i, j]*0.125, -3.4028235e38)" },
  { "x: bool[2, 1, $I, $J], ", "select(x[n, 0, i, j], s[n, o, i, j], -inf)" },
  { "x: bool[2, 1, 1, $J], ", "s[n, o, i, j] + select(x[n, 0, 0, j], 0.0, -3.4028235e38)" },
  { "x: f32[1, $H, $I, $J], ", "s[n, o, i, j]*0.125 + x[0, o, i, j]" },
  { "x: f32[2, 1, $I, 1], z: f32[$J], ", "tanh(s[n, o, i, j]*x[n, 0, i, 0])*3.0 + z[j]" },
  { "", "max(s[n, o, i, j], -0.5)" },
  { "", "0.125*s[n, o, i, j] - 0.0625*f32{i - j}" },
};
/* Keys hidden by their place are left out; not where a row might keep none, or the mask is no mask. In the last two the first rows keep no key. */
static const struct form causal_forms[] = {
  { "", "if([j <= i], s[n, o, i, j]*0.125, -inf)" },
  { "", "if([j > i], -3.4028235e38, s[n, o, i, j]*0.125)" },
  { "", "if([j <= i + 20], s[n, o, i, j]*0.125, -10000.0)" },
  { "", "s[n, o, i, j]*0.125 + if([j <= i], 0.0, -3.4028235e38)" },
  { "x: bool[2, $J], ", "if([j <= i]*[j + 5 >= i], select(x[n, j], s[n, o, i, j], -inf), -inf)" },
  { "x: bool[2, $J], ", "select(x[n, j], if([j <= i], s[n, o, i, j], -3.4028235e38), -3.4028235e38)" },  /* a row of x may be all masked */
  { "x: f32[2, $J], ", "if([j <= i], s[n, o, i, j]*0.125, x[n, j])" },
  { "", "if([j <= i - 3], s[n, o, i, j]*0.125, -3.4028235e38)" },                                         /* a mean of all */
  { "", "if([j <= i - 3], s[n, o, i, j]*0.125, -inf)" },                                                  /* NaN */
};
#define FORMS(f) f, sizeof f / sizeof *f
/* The first `compiled` ones also for CUDA, where that is asked for. */
static void every_form(const struct form *f, unsigned n, int seed, struct size z, unsigned compiled)
{
  for (unsigned i = 0; i < n; i++) {
    l.no_compiler = i >= compiled;
    mapped(seed, z, f[i].extra, f[i].t);
  }
}
#endif
