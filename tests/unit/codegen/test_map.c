/* map: nests without reductions, in vectors, equal their evaluation: odd sizes, broadcasts, transposes, paddings, concatenations, layouts, halos. */
#include "tests/unit/codegen/lowering.h"

extern const struct cg_skeleton cg_skeleton_map;
static struct lowering l = { &cg_skeleton_map };
static void on(int i) { l.t = cg_target_at((unsigned)i); }
static const int sizes[] = { 1, 3, 7, 15, 16, 17, 31, 33, 64, 101 };
enum { SIZES = sizeof sizes / sizeof *sizes };

START_TEST(elementwise)
{
  on(_i);
  for (int i = 0; i < SIZES; i++) {
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[%d], y: f32[%d] out) { y[i < %d] = max(x[i], 0.0)*2.0 + 1.0 }", sizes[i], sizes[i], sizes[i]);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[3, %d], b: f32[%d], y: f32[3, %d] out) { t[r < 3, c < %d] = x[r, c] + b[c]\n y[r < 3, c < %d] = t[r, c]*t[r, c] }",
             sizes[i], sizes[i], sizes[i], sizes[i], sizes[i]);
    lw_check(&l, i, NULL, 0,
             "nest @t(x: f32[2, 3, %d], z: f32[2, 3, %d], y: f32[2, 3, %d] out, u: f32[2, 3, %d] out) { y[a < 2, b < 3, c < %d] = x[a, b, c] + z[a, b, c]\n"
             " u[a < 2, b < 3, c < %d] = x[a, b, c]*z[a, b, c] }",
             sizes[i], sizes[i], sizes[i], sizes[i], sizes[i], sizes[i]);
    lw_check(&l, i, (struct kir_bind[]){ { "R", sizes[i] } }, 1,
             "nest @t(x: f32[R, 37], b: f32[37], s: f32[R], y: f32[R, 37] out) where R in 1..500 { y[r < R, c < 37] = x[r, c]*s[r] + b[c] }");
    lw_check(&l, i, (struct kir_bind[]){ { "R", 3 }, { "C", sizes[i] } }, 2,
             "nest @t(x: f32[R, C], b: f32[C], y: f32[R, C] out) where R in 1..500, C in 1..999 { y[r < R, c < C] = x[r, c] + b[c] }");
    lw_check(&l, i, (struct kir_bind[]){ { "R", 3 }, { "C", sizes[i] } }, 2,
             "nest @t(x: f32[R, C], z: f32[R, C], y: f32[R, C] out) where R in 1..500, C in 1..999 { y[r < R, c < C] = x[r, c] - z[r, c] }");
  }
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32[], y: f32[] out) { y[] = x[]*3.0 }");
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32[20000], y: f32[20000] out) { y[i < 20000] = x[i]*3.0 }");
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32[40009], y: f32[40009] out) { y[i < 40009] = x[i]*3.0 }");
}
END_TEST
START_TEST(types)
{
  on(_i);
  for (int i = 0; i < SIZES; i += 2) {
    lw_check(&l, i, NULL, 0, "nest @t(x: i32[%d], y: u8[%d] out, z: bool[%d] out) { y[i < %d] = u8(x[i]*x[i])\n z[i < %d] = lt(x[i], i32{2}) }", sizes[i],
             sizes[i], sizes[i], sizes[i], sizes[i]);
    lw_check(&l, i, NULL, 0,
             "nest @t(x: f16[%d], b: bool[%d], y: f16[%d] out, z: f64[%d] out) { y[i < %d] = select(b[i], x[i], x[i]*x[i])\n z[i < %d] = f64(x[i]) }", sizes[i],
             sizes[i], sizes[i], sizes[i], sizes[i], sizes[i]);
    lw_check(&l, i, NULL, 0, "nest @t(y: i64[5, %d] out) { y[i < 5, j < %d] = if([j <= i], i64{i*10 + j}, i64{-1}) }", sizes[i], sizes[i]);
  }
}
END_TEST
START_TEST(moves)
{
  on(_i);
  for (int i = 0; i < SIZES; i++) {
    int n = sizes[i];
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[%d, 7], y: f32[7, %d] out) { y[c < 7, r < %d] = x[r, c] }", n, n, n);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[3, %d, 5], y: f32[5, 3, %d] out) { y[c < 5, a < 3, r < %d] = x[a, %d - r, c] }", n, n, n, n - 1);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[4, %d], y: f32[7, %d] out) { y[i < 7, j < %d] = x[i - 2, j - 1] else -1.5 }", n, n + 4, n + 4);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[4, %d], y: f32[4, %d] out) { y[i < 4, j < %d] = x[i, 2*j] }", 2 * n, n, n);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[4, %d], z: f32[3, %d], y: f32[7, %d] out) { y[i < 7, j < %d] = if([i <= 3], x[i, j], z[i - 4, j]) }", n, n, n, n);
    lw_check(&l, i, NULL, 0, "nest @t(x: f32[4, %d], z: f32[4, 18], y: f32[4, %d] out) { y[i < 4, j < %d] = if([j <= %d], x[i, j], z[i, j - %d])*2.0 }", n,
             n + 18, n + 18, n - 1, n);
  }
}
END_TEST
START_TEST(layouts)
{
  char x[400], y[400], z[400];
  on(_i);
  static const int channels[] = { 3, 16, 19, 48 }, maps[] = { 1, 4, 7 };
  for (unsigned i = 0; i < 4; i++)
    for (unsigned j = 0; j < 3; j++) {
      int c = channels[i], h = maps[j], w = h + 1;
      struct kir_bind b = { "N", 1 + (int)j };
      lw_blocked(x, sizeof x, "N", c, h, w, 0);
      lw_blocked(y, sizeof y, "N", c, h, w, 1);
      lw_blocked(z, sizeof z, "N", c, h, w, 2);
      lw_check(&l, i, &b, 1,
               "nest @t(x: f32%s slack 2, b: f32[%d], y: f32%s out zero slack 2) where N in 1..64 { y[n < N, o < %d, h < %d, w < %d] = max(x[n, o, h, w] + "
               "b[o], 0.0) }",
               x, c, y, c, h, w);
      lw_check(&l, i, &b, 1,
               "nest @t(x: f32%s zero slack 2, z: f32%s zero slack 2, y: f32%s out slack 2) where N in 1..64 { y[n < N, o < %d, h < %d, w < %d] = x[n, o, h, "
               "w] + z[n, o, h, w] }",
               y, z, x, c, h, w);
      lw_check(&l, i, &b, 1, "nest @t(x: f32[N, %d, %d, %d], y: f32%s out zero slack 2) where N in 1..64 { y[n < N, o < %d, h < %d, w < %d] = x[n, o, h, w] }",
               c, h, w, z, c, h, w);
      lw_check(&l, i, &b, 1, "nest @t(x: f32%s zero slack 2, y: f32[N, %d, %d, %d] out) where N in 1..64 { y[n < N, o < %d, h < %d, w < %d] = x[n, o, h, w] }",
               y, c, h, w, c, h, w);
      lw_check(&l, i, &b, 1, "nest @t(x: f32%s zero slack 2, y: f32[N, %d, %d, %d] out) where N in 1..64 { y[n < N, h < %d, w < %d, o < %d] = x[n, o, h, w] }",
               z, h, w, c, h, w, c);
    }
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32%s zero slack 2, y: f32%s out zero slack 2) { y[o < 19] at [0, o, 0, 0] = x[0, o, 0, 0]*2.0 }",
           lw_blocked(x, sizeof x, "1", 19, 1, 1, 1), lw_blocked(y, sizeof y, "1", 19, 1, 1, 1));
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32[5, 9], y: f32[5 in 0 .. 5, 9 in -2 .. 10] @ c0*12 + c1 + 2 out zero) { y[h < 5, w < 9] = x[h, w]*2.0 }");
  lw_check(&l, 1, NULL, 0, "nest @t(x: f32[5, 30], y: f32[5 in -1 .. 6, 30 in -2 .. 33] @ c0*35 + c1 + 37 out zero) { y[h < 5, w < 30] = x[h, w]*2.0 }");
}
END_TEST
/* A row between its halos is one task, whatever its length, dense or in blocks of channels: not a task for each place. */
START_TEST(rows_with_a_halo)
{
  static const char *const text[] = {
    "nest @t(x: f32[3, H, W], y: f32[3, H in -1 .. H + 1, W in -1 .. W + 1] @ c0*(H + 2)*(W + 2) + (c1 + 1)*(W + 2) + c2 + 1 out zero) "
    "where H in 1..999, W in 1..999 { y[c < 3, h < H, w < W] = x[c, h, w] }",
    "nest @t(x: f32[19, H, W], y: f32[19 in 0 .. 32, H in -1 .. H + 1, W in -1 .. W + 1] @ ((c0/16*(H + 2) + c1 + 1)*(W + 2) + c2 + 1)*16 + c0 % 16 out zero slack 1) "
    "where H in 1..999, W in 1..999 { y[c < 19, h < H, w < W] = x[c, h, w] }",
  };
  on(_i);
  for (unsigned k = 0; k < 2; k++) {
    for (int i = 0; i < SIZES; i++) lw_check(&l, i, (struct kir_bind[]){ { "H", 4 }, { "W", sizes[i] } }, 2, "%s", text[k]);
    struct ir_arena *a = ir_arena_create();
    const struct kir_sched *s = cg_skeleton_map.schedule(a, lw_parse(a, text[k]), l.t);
    for (uint32_t i = 0; i < s->loops.n; i++)
      for (unsigned j = 0; j < s->loops.v[i].n && s->loops.v[i].kind == KIR_GRID; j++) ck_assert_str_ne(s->loops.v[i].part[j].axis, "w");
    ir_arena_destroy(a);
  }
}
END_TEST
/* ---- blocks, warps and lanes ---- */
static const struct cg_target gpu = { .name = "test:gpu", .vec_lanes = 4, .n_vregs = 255, .fma = true, .cores = 8, .warps = 8, .lanes = 32 };
START_TEST(lanes)
{
  char x[400], y[400];
  struct lowering g = { &cg_skeleton_map, .t = &gpu, .no_native = true };
  for (int i = 0; i < SIZES; i++) {
    int n = sizes[i];
    struct kir_bind b = { "R", n };
    lw_check(&g, i, &b, 1,
             "nest @t(x: f32[R, 768] align 64, b: f32[768] align 64, y: f32[R, 768] out align 64) where R in 1..32768 { t[r < R, c < 768] = x[r, c] + b[c]\n"
             " y[r < R, c < 768] = 0.5*t[r, c]*(1.0 + erf(t[r, c]*0.70710678)) }");
    lw_check(&g, i, NULL, 0, "nest @t(x: f32[%d, 7], y: f32[7, %d] out) { y[c < 7, r < %d] = x[r, c] }", n, n, n);
    lw_check(&g, i, NULL, 0, "nest @t(x: f32[4, %d], y: f32[7, %d] out) { y[i < 7, j < %d] = x[i - 2, j - 1] else -1.5 }", n, n + 4, n + 4);
    lw_check(&g, i, NULL, 0, "nest @t(x: f32[4, %d], z: f32[3, %d], y: f32[7, %d] out) { y[i < 7, j < %d] = if([i <= 3], x[i, j], z[i - 4, j]) }", n, n, n, n);
    lw_check(&g, i, NULL, 0, "nest @t(x: f16[%d], y: f32[%d] out, z: bool[%d] out) { y[i < %d] = f32(x[i])\n z[i < %d] = lt(x[i], f16{1}) }", n, n, n, n, n);
  }
  struct kir_bind b = { "N", 2 };
  lw_check(&g, 1, &b, 1, "nest @t(x: f32%s zero slack 2, y: f32%s out zero slack 2) where N in 1..64 { y[n < N, o < 19, h < 5, w < 4] = x[n, o, h, w]*2.0 }",
           lw_blocked(x, sizeof x, "N", 19, 5, 4, 0), lw_blocked(y, sizeof y, "N", 19, 5, 4, 2));
  lw_check(&g, 1, NULL, 0, "nest @t(x: f32[], y: f32[] out) { y[] = x[]*3.0 }");
}
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, elementwise, 0, 3);
  tcase_add_loop_test(t, types, 0, 3);
  tcase_add_loop_test(t, moves, 0, 3);
  tcase_add_loop_test(t, layouts, 0, 3);
  tcase_add_loop_test(t, rows_with_a_halo, 0, 3);
  tcase_add_test(t, lanes);
}
int main(void) { return lw_main("map", add); }
