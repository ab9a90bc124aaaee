/* winograd: 3x3 convolutions by transformed tiles equal the nest's own evaluation, for sizes that do not fill tiles, vectors or panels. */
#include "tests/unit/codegen/lowering.h"

extern const struct cg_skeleton cg_skeleton_winograd;
/* Records are given as text; small shapes would not be chosen. */
static char record[400];
static struct kir_sched *given(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct ir_diags d = { .file = "record" };
  (void)n;
  (void)t;
  struct kir_sched *s = kir_sched_parse(a, &d, record, strlen(record));
  ck_assert_msg(s != NULL, "%s\n%s", d.first.s, record);
  return s;
}
static struct cg_skeleton forced = { .name = "winograd", .schedule = given };
/* 3e-6 of the largest result: three times what 4x4 tiles of these sums have. */
static struct lowering l = { &forced, .tolerance = 3e-6 };

struct form { int c, o, h, w, p; int tiles, outs, panels /* of a task, in vectors: outs; of a register tile: panels */, rows, part; };
static const struct form forms[] = {
  { 16, 16, 8, 8, 1, 4, 1, 1, 4, 16 },    { 19, 21, 7, 9, 1, 6, 2, 2, 3, 19 },  { 32, 48, 13, 13, 1, 16, 3, 3, 4, 16 }, { 48, 33, 5, 6, 0, 2, 2, 1, 2, 16 },
  { 17, 64, 14, 3, 2, 5, 2, 2, 5, 17 },   { 64, 16, 1, 1, 1, 1, 1, 1, 1, 32 },  { 16, 80, 4, 15, 1, 3, 5, 1, 1, 16 },
};
enum { FORMS = sizeof forms / sizeof *forms };

static void on(int i)
{
  l.t = cg_target_at((unsigned)i);
  forced.lower = cg_skeleton_winograd.lower;
}
static void set_record(const struct form *f, int m)
{
  unsigned v = l.t->vec_lanes;
  /* steps in vectors of 16: of shorter ones there are as many more, so that the blocks stay the same */
  int cols = f->panels * (int)v, outs = f->outs * 16 / cols * cols, blocks = (f->o + cols - 1) / cols * cols;
  if (outs < cols || blocks % outs) outs = cols;
  snprintf(record, sizeof record, "sched winograd { loops = grid n/1 t/%d o/%d, for h/%d, for w/%d, for o/%d, for c/%d, for t/%d; tile = fma.v%u; W = packed prefetch 4096 far 32768 }", f->tiles,
           outs, m, m, cols, f->part, f->rows, v);
}

START_TEST(equals_the_sum)
{
  char x[400], y[400];
  on(_i);
  for (int f = 0; f < 3 * FORMS; f++) {
    const struct form *s = &forms[f / 3];
    int m = 2 + f % 3, oh = s->h + 2 * s->p - 2, ow = s->w + 2 * s->p - 2;
    struct kir_bind b = { "N", 1 + f % 2 };
    if (oh < 1 || ow < 1) continue;
    lw_blocked(x, sizeof x, "N", s->c, s->h, s->w, s->p);
    lw_blocked(y, sizeof y, "N", s->o, oh, ow, f % 2);
    set_record(s, m);
    lw_check(&l, f, &b, 1,
             "nest @t(X: f32%s zero slack 2, W: f32[%d, %d, 3, 3] const, Y: f32%s out zero slack 2) where N in 1..64 {\n"
             " Y[n < N, o < %d, h < %d, w < %d] = sum[c < %d, i < 3, j < 3] X[n, c, h + i - %d, w + j - %d]*W[o, c, i, j] }",
             x, s->o, s->c, y, s->o, oh, ow, s->c, s->p, s->p);
  }
}
END_TEST

/* Bias, residual and activation; a temporary read twice; two results. */
START_TEST(takes_what_follows)
{
  char x[400], y[400], r[400];
  on(_i);
  for (int f = 0; f < 3 * FORMS; f++) {
    const struct form *s = &forms[f / 3];
    int m = 2 + f % 3, oh = s->h + 2 * s->p - 2, ow = s->w + 2 * s->p - 2;
    if (oh < 1 || ow < 1) continue;
    lw_blocked(x, sizeof x, "1", s->c, s->h, s->w, s->p);
    lw_blocked(y, sizeof y, "1", s->o, oh, ow, 1);
    lw_blocked(r, sizeof r, "1", s->o, oh, ow, 0);
    set_record(s, m);
    lw_check(&l, f, NULL, 0,
             "nest @t(X: f32%s zero slack 2, W: f32[%d, %d, 3, 3] const, b: f32[1, %d, 1, 1] const, R: f32%s slack 2, Y: f32%s out zero slack 2, Z: f32%s out slack 2) {\n"
             " s[n < 1, o < %d, h < %d, w < %d] = sum[c < %d, i < 3, j < 3] X[n, c, h + i - %d, w + j - %d]*W[o, c, i, j]\n"
             " t[n < 1, o < %d, h < %d, w < %d] = s[n, o, h, w] + b[0, o, 0, 0]\n"
             " Y[n < 1, o < %d, h < %d, w < %d] = max(t[n, o, h, w] + R[n, o, h, w], 0.0)\n"
             " Z[n < 1, o < %d, h < %d, w < %d] = select(lt(t[n, o, h, w], 0.0), t[n, o, h, w]*0.1, t[n, o, h, w]) }",
             x, s->o, s->c, s->o, r, y, r, s->o, oh, ow, s->c, s->p, s->p, s->o, oh, ow, s->o, oh, ow, s->o, oh, ow);
  }
}
END_TEST

static struct kir_nest *convolution(struct ir_arena *a, const char *x, const char *w, int o, int c, int oh, const char *sum)
{
  char y[400], text[2000];
  lw_blocked(y, sizeof y, "N", o, oh, oh, 0);
  snprintf(text, sizeof text, "nest @t(X: %s, W: %s, Y: f32%s out slack 2) where N in 1..64 { Y[n < N, o < %d, h < %d, w < %d] = sum[c < %d, i < 3, j < 3] %s }", x, w, y, o, oh, oh, c, sum);
  return lw_parse(a, text);
}
/* What is not such a convolution is left to others, and so is what would not gain. */
START_TEST(leaves_others_alone)
{
  static const char w[] = "f32[64, 64, 3, 3] const", sum[] = "X[n, c, h + i - 1, w + j - 1]*W[o, c, i, j]";
  char x[400], halo[440], dense[400];
  struct cg_choice out[CG_MAX_CHOICES];
  struct ir_arena *a = ir_arena_create();
  const struct cg_target *t = cg_target_find("cpu:x86-64-v4", 13);
  lw_blocked(x, sizeof x, "N", 64, 56, 56, 1);
  snprintf(halo, sizeof halo, "f32%s zero", x);
  snprintf(dense, sizeof dense, "f32[N, 64, 56 in -1 .. 57, 56 in -1 .. 57] zero");
  ck_assert_uint_eq(cg_choices(a, convolution(a, halo, w, 64, 64, 56, sum), t, out), 3);
  ck_assert_str_eq(out[0].s->kind, "winograd");
  ck_assert(out[0].bytes == (16 - 9) * 4 * 64 * 64 && out[1].bytes == (25 - 9) * 4 * 64 * 64 && out[2].bytes == (36 - 9) * 4 * 64 * 64 && out[2].gain > out[1].gain && out[1].gain > out[0].gain && out[0].gain > 0);
  ck_assert_str_eq(cg_schedule(a, convolution(a, halo, w, 64, 64, 56, sum), t, 2)->kind, "contract");
  ck_assert_uint_eq(cg_choices(a, convolution(a, halo, w, 64, 64, 28, "X[n, c, 2*h + i - 1, 2*w + j - 1]*W[o, c, i, j]"), t, out), 0);
  ck_assert_uint_eq(cg_choices(a, convolution(a, halo, w, 64, 64, 54, "X[n, c, h + 2*i - 1, w + 2*j - 1]*W[o, c, i, j]"), t, out), 0);
  ck_assert_uint_eq(cg_choices(a, convolution(a, halo, "f32[64, 64, 3, 3]", 64, 64, 56, sum), t, out), 0);
  ck_assert_uint_eq(cg_choices(a, convolution(a, dense, w, 64, 64, 56, sum), t, out), 0);
  ck_assert_uint_eq(cg_choices(a, convolution(a, halo, "f32[64, 32, 3, 3] const", 64, 32, 56, "X[n, 32*(o/32) + c, h + i - 1, w + j - 1]*W[o, c, i, j]"), t, out), 0);
  ck_assert_uint_eq(cg_choices(a, convolution(a, halo, "f32[8, 64, 3, 3] const", 8, 64, 56, sum), t, out), 0);
  ck_assert_uint_eq(cg_choices(a, convolution(a, halo, w, 64, 64, 56, sum), cg_target_find("cuda", 4), out), 0);
  ir_arena_destroy(a);
}
END_TEST
/* What a tuning file may choose: tiles of 2, 3 and 4, each storing more than those before; what is chosen is among it. */
static void check_alternatives(struct ir_arena *a, const char *x, const char *w, const int *shape, const struct cg_target *t)
{
  static const char sum[] = "X[n, c, h + i - 1, w + j - 1]*W[o, c, i, j]";
  struct cg_choice all[CG_MAX_ALTERNATIVES];
  const char *why = "";
  unsigned n = cg_alternatives(a, convolution(a, x, w, shape[1], shape[0], shape[2], sum), t, all), transformed = 0;
  ck_assert_str_eq(all[0].s->kind, "contract");
  for (unsigned k = 0; k < n; k++) {
    if (strcmp(all[k].s->kind, "winograd")) continue;
    transformed++;
    ck_assert(all[k].bytes >= (16 - 9) * 4 * shape[0] * shape[1]);
    struct kir_kern *kern = cg_lower(a, convolution(a, x, w, shape[1], shape[0], shape[2], sum), all[k].s, t, &why);
    ck_assert_msg(kern && kir_verify(kern, &why), "%s", why);
  }
  ck_assert_uint_ge(transformed, 3);
}
/* Every chosen record is one that lowers. */
START_TEST(chosen_records_lower)
{
  static const int shapes[][3] = { { 32, 64, 40 }, { 64, 64, 56 }, { 100, 60, 27 }, { 128, 128, 28 }, { 256, 512, 26 }, { 256, 256, 14 }, { 512, 1024, 13 }, { 512, 512, 7 } };
  const struct cg_target *t = cg_target_at((unsigned)_i);
  for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    struct ir_arena *a = ir_arena_create();
    struct cg_choice out[CG_MAX_CHOICES];
    char x[400], xs[440], w[100];
    const char *why = "";
    int c = shapes[i][0], o = shapes[i][1], h = shapes[i][2];
    lw_blocked(x, sizeof x, "N", c, h, h, 1);
    snprintf(xs, sizeof xs, "f32%s zero slack 2", x);
    snprintf(w, sizeof w, "f32[%d, %d, 3, 3] const", o, c);
    unsigned n = cg_choices(a, convolution(a, xs, w, o, c, h, "X[n, c, h + i - 1, w + j - 1]*W[o, c, i, j]"), t, out);
    ck_assert(n >= 1 || h == 7);
    for (unsigned k = 0; k < n; k++) {
      struct kir_kern *kern = cg_lower(a, convolution(a, xs, w, o, c, h, "X[n, c, h + i - 1, w + j - 1]*W[o, c, i, j]"), out[k].s, t, &why);
      ck_assert_msg(kern != NULL, "%s", why);
      ck_assert_msg(kir_verify(kern, &why), "%s", why);
    }
    check_alternatives(a, xs, w, shapes[i], t);
    ir_arena_destroy(a);
  }
}
END_TEST

/* A record that does not fit is refused with a reason. */
START_TEST(refuses_other_records)
{
#define LOOPS "loops = grid n/1 t/14 o/64, for h/4, for w/4, for o/32, for c/64, for t/14"
  static const struct { bool good; const char *text; } records[] = {
    { true, LOOPS "; tile = fma.v16; W = packed" },
    { false, LOOPS "; tile = fma.v16" },
    { false, LOOPS "; tile = fma.v32; W = packed" },
    { false, LOOPS "; tile = mma.m16n8k16.f16.f32; W = packed" },
    { false, "loops = grid n/1 t/14 o/64, for h/5, for w/5, for o/32, for c/64, for t/14; tile = fma.v16; W = packed" },
    { false, "loops = grid n/1 t/14 o/64, for h/4, for w/2, for o/32, for c/64, for t/14; tile = fma.v16; W = packed" },
    { false, "loops = grid n/2 t/14 o/64, for h/4, for w/4, for o/32, for c/64, for t/14; tile = fma.v16; W = packed" },
    { false, "loops = grid n/1 t/14 o/48, for h/4, for w/4, for o/32, for c/64, for t/14; tile = fma.v16; W = packed" },
    { false, "loops = grid n/1 t/14 o/64, for h/4, for w/4, for o/32, for c/48, for t/14; tile = fma.v16; W = packed" },
    { false, "loops = grid n/1 t/14 o/64, for h/4, for w/4, for o/32, for c/64, for t/4; tile = fma.v16; W = packed" },
    { false, "loops = grid n/1 t/14000000000 o/64, for h/4, for w/4, for o/32, for c/64, for t/14; tile = fma.v16; W = packed" },
    { false, "loops = grid n/1 t/14 o/64, for h/4, for w/4, for o/32, for i/1, for c/64, for t/14; tile = fma.v16; W = packed" },
    { false, "loops = grid n/1 t/14, for h/4, for w/4; tile = fma.v16; W = packed" },
  };
  char x[400], halo[440];
  lw_blocked(x, sizeof x, "N", 64, 56, 56, 1);
  snprintf(halo, sizeof halo, "f32%s zero", x);
  l.t = cg_target_find("cpu:x86-64-v4", 13);
  for (unsigned i = 0; i < sizeof records / sizeof *records; i++) {
    struct ir_arena *a = ir_arena_create();
    const char *why = NULL;
    snprintf(record, sizeof record, "sched winograd { %s }", records[i].text);
    struct kir_nest *n = convolution(a, halo, "f32[64, 64, 3, 3] const", 64, 64, 56, "X[n, c, h + i - 1, w + j - 1]*W[o, c, i, j]");
    struct kir_kern *k = cg_lower(a, n, given(a, n, l.t), l.t, &why);
    ck_assert_msg(records[i].good ? k != NULL : !k && why, "%s", record);
    ir_arena_destroy(a);
  }
}
END_TEST

/* ---- accuracy ---- */
/* Coefficients of the product of (x - p) over the points but for one (skip; none: skip == n). */
static void product(const double *p, unsigned n, unsigned skip, double *out)
{
  for (unsigned i = 0; i <= n; i++) out[i] = i == 0;
  unsigned degree = 0;
  for (unsigned k = 0; k < n; k++) {
    if (k == skip) continue;
    degree++;
    for (unsigned i = degree + 1; i-- > 0;) out[i] = (i ? out[i - 1] : 0) - p[k] * (i < degree ? out[i] : 0);
  }
}
/* How much rounding of the products is enlarged: the square root of the largest eigenvalue, over kernels, of what reaches a result, for each result of a tile. */
START_TEST(bounds_the_error)
{
  unsigned m = (unsigned)_i, n = m + 2, np = n - 1;
  double p[5] = { 0 }, bt[6][6] = { { 0 } }, at[4][6] = { { 0 } }, g[6][3], worst = 0;
  memcpy(p + 1, kir_winograd_points(m), m * sizeof *p);
  for (unsigned a = 0; a < n; a++) product(p, np, a, bt[a]);
  for (unsigned i = 0; i < m; i++)
    for (unsigned a = 0; a < np; a++) at[i][a] = pow(p[a], i);
  at[m - 1][np] = 1;
  kir_winograd_matrix(m, g);
  /* the transforms are an identity: for unit inputs and kernels */
  for (unsigned d = 0; d < n; d++)
    for (unsigned k = 0; k < 3; k++)
      for (unsigned i = 0; i < m; i++) {
        double y = 0;
        for (unsigned a = 0; a < n; a++) y += at[i][a] * bt[a][d] * g[a][k];
        ck_assert(fabs(y - (d == i + k)) < 1e-12);
      }
  for (unsigned i = 0; i < m * m; i++) {
    double q[9][9] = { { 0 } }, v[9], r[9], len = 0;
    for (unsigned ab = 0; ab < n * n; ab++) {
      unsigned a = ab / n, b = ab % n;
      double f = pow(at[i / m][a] * at[i % m][b], 2), ba = 0, bb = 0;
      for (unsigned k = 0; k < n; k++) ba += bt[a][k] * bt[a][k], bb += bt[b][k] * bt[b][k];
      for (unsigned s = 0; s < 81; s++) q[s / 9][s % 9] += f * ba * bb * g[a][s / 9 / 3] * g[b][s / 9 % 3] * g[a][s % 9 / 3] * g[b][s % 9 % 3];
    }
    for (unsigned s = 0; s < 9; s++) v[s] = 1 + 0.1 * s;
    for (unsigned turn = 0; turn < 500; turn++) {
      len = 0;
      for (unsigned s = 0; s < 9; s++) {
        r[s] = 0;
        for (unsigned k = 0; k < 9; k++) r[s] += q[s][k] * v[k];
        len += r[s] * r[s];
      }
      len = sqrt(len);
      for (unsigned s = 0; s < 9; s++) v[s] = r[s] / len;
    }
    if (len > worst) worst = len;
  }
  ck_assert_msg(sqrt(worst) <= kir_winograd_worst(m) && sqrt(worst) > 0.99 * kir_winograd_worst(m), "%g", sqrt(worst));
}
END_TEST

static void add(TCase *t)
{
  tcase_add_loop_test(t, equals_the_sum, 0, 3);
  tcase_add_loop_test(t, takes_what_follows, 0, 3);
  tcase_add_test(t, leaves_others_alone);
  tcase_add_test(t, refuses_other_records);
  tcase_add_loop_test(t, chosen_records_lower, 0, 3);
  tcase_add_loop_test(t, bounds_the_error, 2, 5);
}
int main(void) { return lw_main("winograd", add); }
