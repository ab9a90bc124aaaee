/* text forms: layouts, schedules, tiled kerns; hostile text */
#include "util.h"

START_TEST(layouts)
{
  static const struct { const char *s; int r, l, w, v; } good[] = {
    { "i=14r2, j=2r1.16v1", 28, 1, 1, 16 },             /* registers 2*i + j/16 */
    { "i=2r1.8l4, k=2r2.4l1.2v1", 4, 32, 1, 2 },        /* A of mma.m16n8k16 */
    { "i=4w1.2r1.8l4, j=16r2.4l1.2v1", 32, 32, 4, 2 },
    { "i=1, j=8r1.16v1", 8, 1, 1, 16 }, { "", 1, 1, 1, 1 },
  };
  static const char *const bad[] = { "i", "i=", "i=2", "i=2q1", "i=2r", "i=2r0", "i=0r1", "i=2r1,", "i=2r1 j=2r1", "i=2r1, i=2r1", "ab=2r1", "i=99999999999r1", "i=2r1.", "a=1, b=1, c=1, d=1, e=1" };
  for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
    struct kir_layout l;
    struct ir_buf b = { 0 };
    ck_assert(kir_layout_parse(good[i].s, strlen(good[i].s), &l));
    kir_layout_print(&b, &l);
    ck_assert_str_eq(b.s ? b.s : "", good[i].s);
    ck_assert_int_eq(kir_layout_count(&l, 'r'), good[i].r);
    ck_assert_int_eq(kir_layout_count(&l, 'l'), good[i].l);
    ck_assert_int_eq(kir_layout_count(&l, 'w'), good[i].w);
    ck_assert_int_eq(kir_layout_count(&l, 'v'), good[i].v);
    ir_buf_deinit(&b);
  }
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct kir_layout l;
    ck_assert_msg(!kir_layout_parse(bad[i], strlen(bad[i]), &l), "accepted: %s", bad[i]);
  }
}
END_TEST
START_TEST(instructions_have_their_shape)               /* factors of a dim multiply to the instruction's extent */
{
  ck_assert_uint_gt(kir_inst_count(), 0);
  for (unsigned i = 0; i < kir_inst_count(); i++) {
    const struct kir_inst *q = kir_inst_at(i);
    const struct { const struct kir_layout *l; unsigned e[2]; char d[2]; } f[] = { { &q->A, { q->m, q->k }, "ik" }, { &q->B, { q->k, q->n }, "kj" }, { &q->C, { q->m, q->n }, "ij" } };
    ck_assert_ptr_eq(kir_inst_find(q->name), q);
    for (unsigned j = 0; j < 3; j++)
      for (unsigned d = 0; d < f[j].l->n_dims; d++) {
        unsigned n = 1;
        for (unsigned x = 0; x < f[j].l->n; x++)
          if (f[j].l->f[x].dim == d) n *= (unsigned)f[j].l->f[x].ext;
        ck_assert_uint_eq(n, f[j].e[f[j].l->dim[d][0] != f[j].d[0]]);
      }
  }
  ck_assert_ptr_null(kir_inst_find("mma"));
}
END_TEST

/* ---- schedules ---- */
static const char *const scheds[] = {
  "sched naive {}\n",
  "sched map { loops = grid r/8, for c/16; tile = v16 }\n",
  "sched row { loops = grid r/8, warp r/1; tile = v4; hold = reg }\n",
  "sched contract { loops = grid m/336, for k/256, for n/32, for m/14, for k/1 unroll 4; tile = fma.v16; B = direct prefetch 4096 far 32768; tail = m peel 7 1 }\n",
  "sched contract { loops = grid n/1 o/32 h/1, for w/14, for c/16 sums, for i/1, for j/1, for c/1 unroll 8; tile = fma.v16; W = packed; tail = w peel 1, h.1 peel }\n",
  "sched contract { loops = grid m/128 n/128 raster 8, pipe k/32 depth 4, warp m/64 n/32; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(2, 3, 3); B = shared sync; epi = shared }\n",
};
START_TEST(schedules_parse_back)
{
  struct ir_arena *a = ir_arena_create();
  for (unsigned i = 0; i < sizeof scheds / sizeof *scheds; i++) {
    struct ir_diags d = { .file = "sched" };
    struct ir_buf b = { 0 };
    struct kir_sched *s = kir_sched_parse(a, &d, scheds[i], strlen(scheds[i]));
    ck_assert_msg(s != NULL, "%s", d.first.s);
    kir_sched_print(&b, s);
    ck_assert_str_eq(b.s, scheds[i]);
    ir_buf_deinit(&b);
  }
  struct ir_diags d = { .file = "sched" };
  struct kir_sched *s = kir_sched_parse(a, &d, scheds[5], strlen(scheds[5]));
  ck_assert_uint_eq(s->loops.n, 3);
  ck_assert_int_eq(s->loops.v[1].kind, KIR_PIPE);
  ck_assert_uint_eq(s->loops.v[1].depth, 4);
  ck_assert_str_eq(s->loops.v[2].part[1].axis, "n");
  ck_assert_int_eq(s->loops.v[2].part[1].step, 32);
  ck_assert_uint_eq(s->stages.v[0].swz, 2 << 16 | 3 << 8 | 3);
  ck_assert(s->epi_shared);
  ir_arena_destroy(a);
}
END_TEST
START_TEST(bad_schedules_are_refused)
{
  static const char *const bad[] = { "", "sched", "sched map", "sched map {", "sched map { loops = }", "sched map { loops = grid }", "sched map { loops = grid r/0 }", "sched map { loops = grid r/8 for c/1 }",
    "sched map { loops = grid a/1 b/1 c/1 d/1 e/1 }", "sched map { A = }", "sched map { A = magic }", "sched map { tail = m 7 }", "sched map { epi = reg }", "sched map {} x", "sched map { tile = v4 hold = reg }",
    "sched map { loops = for r/1; loops = for r/1 }", "sched map { A = shared swz(1, 2) }", "sched map { tail = m peel 1 2 3 4 5 6 7 }", "sched map { tail = a peel 1, b peel 1, c peel 1, d peel 1 }" };
  struct ir_arena *a = ir_arena_create();
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct ir_diags d = { .file = "sched" };
    ck_assert_msg(kir_sched_parse(a, &d, bad[i], strlen(bad[i])) == NULL, "accepted: %s", bad[i]);
    ck_assert_msg(d.errors == 1, "no diagnostic: %s", bad[i]);
    ir_buf_deinit(&d.first);
  }
  ir_arena_destroy(a);
}
END_TEST

/* ---- tiled kerns: the pipelined half-precision product, a softmax row held in registers, a masked store ---- */
static const char *const kerns[] = {
  "kern @gemm16(A: f16[M, K] align 64, B: f16[N, K] const align 64, b: f16[N], C: f16[M, N] out; M, N, K) where M in 1..4096, N in 8..4096 by 8, K in 8..4096 by 8, "
  "v id in 0..63, lane id in 0..31, warp id in 0..7, gm id in 0..31, gn id in 0..31, i id in 0..127, j id in 0..127, k id in 0..31, t loop in 0..127, stage id in 0..3 given 0 <= M - 128*gm - 1\n"
  "  grid(gm < (M + 127)/128, gn < (N/8 + 15)/16) block(warp < 8, lane < 32) vec v scratch 65536 tiled {\n"
  "  buf sA: f16[4, 128, 32] align 64 swz(2, 3, 3) at 0\n"
  "  buf sB: f16[4, 128, 32] align 64 swz(2, 3, 3) at 32768\n"
  "  buf e: f32[128, 128] align 64 swz(2, 3, 4) at 0\n"
  "  reg %c: f32[128, 128] <i=2w4.4r8.2r1.8l4, j=4w1.4r2.4l1.2v1>\n"
  "  reg %e: f32[128, 128] <i=8w1.8r1.2l16, j=16l1.8v1>\n"
  "  tile %c\n"
  "  fill %c <- 0.0\n"
  "  pipe t = 0 .. (K/8 + 3)/4 depth 4 {\n"
  "    copy sA[stage, i, k] <i=8w1.2r1.8l4, k=4l1.8v1> <- A[128*gm + i, k + 32*t] else 0.0 via cp.async\n"
  "    copy sB[stage, j, k] <j=8w1.2r1.8l4, k=4l1.8v1> <- B[128*gn + j, k + 32*t] else 0.0 via cp.async\n"
  "  } do {\n"
  "    mma %c += sA[stage, i, k] * sB[stage, j, k] over (k < 32) by mma.m16n8k16.f16.f32\n"
  "  }\n"
  "  tile %e\n"
  "  relayout %e <- %c via e\n"
  "  map C[128*gm + i, 128*gn + j] <i=8w1.8r1.2l16, j=16l1.8v1> <- f16(max(%e[i, j] + f32(b[128*gn + j]), 0.0))\n"
  "}\n",
  "kern @softmax(x: f32[R, C], y: f32[R, C] out; R, C) where R in 1..32768, C in 4..1024 by 4, v id in 0..63, lane id in 0..31, warp id in 0..7, g id in 0..4095, t loop in 0..3, c.1 id in 0..1023\n"
  "  grid(g < (R + 7)/8) block(warp < 8, lane < 32) vec v tiled {\n"
  "  reg %t: f32[1024] <c=8r1.32l1.4v1>\n"
  "  reg %m: f32 x 1\n"
  "  reg %l: f32 x 1\n"
  "  if (R - warp - 8*g - 1) {\n"
  "    tile %t\n"
  "    map %t <- x[warp + 8*g, c.1] else -inf\n"
  "    tile %m\n"
  "    reduce %m <- max over 0 of %t\n"
  "    map %t <- exp(%t[c.1] - %m[])\n"
  "    tile %l\n"
  "    reduce %l <- sum over 0 of %t\n"
  "    map y[warp + 8*g, c.1] <c=8r1.32l1.4v1> <- if([c.1 + 1 <= C], %t[c.1]/%l[], 0.0) if (C - c.1 - 1, 6 - warp)\n"
  "  } else {\n"
  "    unroll t = 0 .. 4 {\n"
  "    }\n"
  "  }\n"
  "}\n",
};
START_TEST(tiled_kerns_parse_back)
{
  struct ir_arena *a = ir_arena_create();
  for (unsigned i = 0; i < sizeof kerns / sizeof *kerns; i++) {
    struct ir_diags d = { .file = "kern" };
    struct kir_kern *k = kir_kern_parse(a, &d, kerns[i], strlen(kerns[i]));
    ck_assert_msg(k != NULL, "%s", d.first.s);
    const char *why = "";
    ck_assert_str_eq(kern_str(a, k), kerns[i]);
    kern_round_trip(a, k);
    ck_assert_msg(kir_verify(k, &why), "%s", why);
  }
  ir_arena_destroy(a);
}
END_TEST
START_TEST(tiles_are_verified)
{
  static const struct { const char *from, *to, *why; } cases[] = {
    { "i=8w1.8r1.2l16, j=16l1.8v1>\n  tile", "i=8w1.4r1.2l16, j=16l1.8v1>\n  tile", "rule 1" },       /* half of the rows */
    { "%c: f32[128, 128] <i=2w4", "%c: f32[128, 128] <i=2w8", "rule 10" },                             /* 12 warps of 8 */
    { "scratch 65536", "scratch 65535", "rule 10" }, { "e: f32[128, 128] align 64 swz(2, 3, 4) at 0", "e: f32[128, 128] align 64 swz(2, 3, 4) at 4", "rule 10" },
    { "C: f16[M, N] out", "C: f16[M, N]", "rule 8" }, { "<- f16(max(", "<- (max(", "rule 1" }, { "depth 4 {", "depth 17 {", "rule 1" },
  };
  struct ir_arena *a = ir_arena_create();
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct ir_diags d = { .file = "kern" };
    const char *at = strstr(kerns[0], cases[i].from), *why = "";
    ck_assert_ptr_nonnull(at);
    char *s = ir_arena_printf(a, "%.*s%s%s", (int)(at - kerns[0]), kerns[0], cases[i].to, at + strlen(cases[i].from));
    struct kir_kern *k = kir_kern_parse(a, &d, s, strlen(s));
    ck_assert_msg(k != NULL, "%s", d.first.s);
    ck_assert(!kir_verify(k, &why));
    ck_assert_msg(strstr(why, cases[i].why), "%s: %s", cases[i].to, why);
  }
  ir_arena_destroy(a);
}
END_TEST

START_TEST(corners_are_found)                           /* the one place h = 226, w = 13 of 229 * 14 reads 2 elements too far */
{
  static const char text[] = "kern @c(x: f32[50176], y: f32[51296] out) where v id in 0..63, lane id in 0..0, warp id in 0..0, h loop in 0..228, w loop in 0..13\n"
    "  grid() block(warp < 1, lane < 1) vec v flat {\n  for h = 0 .. 229 {\n    if (h - 3, 226 - h) {\n      for w = 0 .. 14 {\n"
    "        %%0 = load x[224*h + 16*w - %d] : v16f32\n        store y[224*h + 16*w] = %%0\n      }\n    }\n  }\n}\n";
  struct ir_arena *a = ir_arena_create();
  for (int off = 670; off <= 672; off += 2) {
    struct ir_diags d = { .file = "kern" };
    char *s = ir_arena_printf(a, text, off);
    const char *why = "";
    struct kir_kern *k = kir_kern_parse(a, &d, s, strlen(s));
    ck_assert_msg(k != NULL, "%s", d.first.s);
    ck_assert_msg(kir_verify(k, &why) == (off == 672), "%d: %s", off, why);
    ck_assert(off == 672 || strstr(why, "rule 2: op 3 (load): x: elements 50162..50177 of 50176"));
  }
  ir_arena_destroy(a);
}
END_TEST

/* ---- hostile text: edits of good text, pieces of it, and its tokens shuffled; parsed kerns are verified and printed ---- */
static uint32_t state = 1;
static uint32_t rnd(uint32_t n) { state = state * 1664525u + 1013904223u; return (state >> 8) % n; }
static void try_kern(const char *s, size_t n)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "fuzz" };
  struct kir_kern *k = kir_kern_parse(a, &d, s, n);
  const char *why;
  if (k) {
    kern_round_trip(a, k);
    kir_verify(k, &why);
  } else ck_assert_uint_gt(d.errors, 0);
  ir_buf_deinit(&d.first);
  ir_arena_destroy(a);
}
START_TEST(hostile_kerns)
{
  for (int i = 0; i < 3000; i++) {
    const char *src = kerns[i % 2];
    size_t n = strlen(src);
    char *s = strdup(src);
    for (uint32_t k = rnd(3); k < 3; k++) {
      uint32_t at = rnd((uint32_t)n), from = rnd((uint32_t)n), len = rnd(12);
      if (rnd(2)) s[at] = "[](){}<>=,.:+-*/0129xMNk%@;\n"[rnd(28)];
      else if (at + len < n && from + len < n) memmove(s + at, s + from, len);
    }
    try_kern(s, rnd(4) ? n : rnd((uint32_t)n));
    free(s);
  }
}
END_TEST
START_TEST(hostile_schedules)
{
  for (int i = 0; i < 5000; i++) {
    struct ir_arena *a = ir_arena_create();
    struct ir_diags d = { .file = "fuzz" };
    char *s = ir_arena_strdup(a, scheds[i % 6]);
    size_t n = strlen(s);
    for (uint32_t k = rnd(3); k < 3; k++) s[rnd((uint32_t)n)] = "{}=,;/()0129xmk. \n"[rnd(18)];
    struct kir_sched *r = kir_sched_parse(a, &d, s, rnd(4) ? n : rnd((uint32_t)n));
    struct ir_buf b = { 0 };
    if (r) kir_sched_print(&b, r);
    ir_buf_deinit(&b);
    ir_buf_deinit(&d.first);
    ir_arena_destroy(a);
  }
}
END_TEST
START_TEST(nesting_is_bounded)
{
  static const char head[] = "kern @x(y: f32[4] out) where v id in 0..63, lane id in 0..0, warp id in 0..0\n grid() block(warp < 1, lane < 1) vec v flat {\n";
  struct ir_buf b = { 0 };
  ir_buf_add(&b, head, strlen(head));
  for (int i = 0; i < 100000; i++) ir_buf_printf(&b, "if (0) {\n");
  try_kern(b.s, b.n);
  b.n = 0;
  ir_buf_printf(&b, "nest @x(y: f32[] out) {\n  y[] = ");
  for (int i = 0; i < 100000; i++) ir_buf_printf(&b, i % 2 ? "(" : "abs(");
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "deep" };
  ck_assert_ptr_null(kir_nest_parse(a, &d, b.s, b.n));
  ck_assert_msg(strstr(d.first.s, "too deeply"), "%s", d.first.s);
  ir_buf_deinit(&d.first);
  ir_buf_deinit(&b);
  ir_arena_destroy(a);
}
END_TEST

static void add(TCase *t)
{
  tcase_set_timeout(t, 60);
  tcase_add_test(t, layouts);
  tcase_add_test(t, instructions_have_their_shape);
  tcase_add_test(t, schedules_parse_back);
  tcase_add_test(t, bad_schedules_are_refused);
  tcase_add_test(t, tiled_kerns_parse_back);
  tcase_add_test(t, tiles_are_verified);
  tcase_add_test(t, corners_are_found);
  tcase_add_test(t, hostile_kerns);
  tcase_add_test(t, hostile_schedules);
  tcase_add_test(t, nesting_is_bounded);
}
int main(void) { return run_suite("text", add); }
