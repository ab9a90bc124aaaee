/* The text parsers: graph, nest, schedule record, kern. What is accepted is checked by its verifier, and its print parses back to the same print. Seeds are what
 * the printers make: of the goldens, and of nests lowered for every level and by GPU records. */
#include "codegen/codegen.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/codegen/nests.h"
#include <glob.h>
#include <string.h>

/* ---- one execution: parse, check, print, parse again, print ---- */
typedef void *parse_fn(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n);
typedef void print_fn(struct ir_buf *b, void *x);

static bool round_trip(parse_fn *parse, print_fn *print, const unsigned char *p, size_t n)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "fuzz" };
  struct ir_buf one = { 0 }, two = { 0 };
  void *x = parse(a, &d, (const char *)p, n);
  bool accepted = x != NULL;
  if (!x && !d.errors) ir_bug("fuzz", "refused without a diagnostic");
  if (x) {
    if (d.errors) ir_bug("fuzz", "accepted with a diagnostic: %s", d.first.s);
    print(&one, x);
    x = parse(a, &d, one.s ? one.s : "", one.n);
    if (!x) ir_bug("fuzz", "what was printed is refused: %s\n%s", d.first.s, one.s);
    print(&two, x);
    if (one.n != two.n || memcmp(one.s, two.s, one.n)) ir_bug("fuzz", "printed, parsed and printed again it differs:\n%s---\n%s", one.s, two.s);
  }
  ir_buf_deinit(&one);
  ir_buf_deinit(&two);
  ir_buf_deinit(&d.first);
  ir_arena_destroy(a);
  return accepted;
}
static void *parse_graph(struct ir_arena *a, struct ir_diags *d, const char *s, size_t n)
{
  struct ir_module *m = ir_parse(a, d, s, n, NULL);
  const char *why;
  if (m && !ir_verify(m, IR_P_IMPORTED, &why)) ir_bug("fuzz", "the parsed graph does not verify: %s", why);
  return m;
}
static void print_graph(struct ir_buf *b, void *x) { ir_print(b, x); }
static void *parse_nest(struct ir_arena *a, struct ir_diags *d, const char *s, size_t n) { return kir_nest_parse(a, d, s, n); }
static void print_nest(struct ir_buf *b, void *x) { kir_nest_print(b, x); }
static void *parse_sched(struct ir_arena *a, struct ir_diags *d, const char *s, size_t n) { return kir_sched_parse(a, d, s, n); }
static void print_sched(struct ir_buf *b, void *x) { kir_sched_print(b, x); }
static void *parse_kern(struct ir_arena *a, struct ir_diags *d, const char *s, size_t n)
{
  struct kir_kern *k = kir_kern_parse(a, d, s, n);
  const char *why = NULL;                /* the verifier takes long: every eighth, by content */
  if (k && ir_hash(s, n, 0) % 8 == 0 && !kir_verify(k, &why) && !why) ir_bug("fuzz", "the verifier refuses without a reason");
  return k;
}
static void print_kern(struct ir_buf *b, void *x) { kir_kern_print(b, x); }

static bool run_graph(const unsigned char *p, size_t n) { return round_trip(parse_graph, print_graph, p, n); }
static bool run_nest(const unsigned char *p, size_t n) { return round_trip(parse_nest, print_nest, p, n); }
static bool run_sched(const unsigned char *p, size_t n) { return round_trip(parse_sched, print_sched, p, n); }
static bool run_kern(const unsigned char *p, size_t n) { return round_trip(parse_kern, print_kern, p, n); }

/* ---- seeds ---- */
static void seed_print(struct fuzz *f, print_fn *print, void *x)
{
  struct ir_buf b = { 0 };
  print(&b, x);
  fuzz_seed(f, b.s, b.n);
  ir_buf_deinit(&b);
}
/* Both graphs of every golden. */
static void graph_seeds(struct fuzz *f)
{
  glob_t g;
  struct ir_mapping m;
  if (glob(SOURCE_ROOT "/tests/golden/*/*.ir", 0, NULL, &g)) ir_bug("fuzz", "no goldens at %s", SOURCE_ROOT);
  for (size_t i = 0; i < g.gl_pathc; i++) {
    if (ir_file_map(g.gl_pathv[i], &m) || !m.n) continue;
    const char *s = (const char *)m.p, *cut = memmem(s, m.n, "; ---\n", 6);
    fuzz_seed(f, s, cut ? (size_t)(cut - s) : m.n);
    if (cut) fuzz_seed(f, cut + 6, m.n - (size_t)(cut + 6 - s));
    ir_file_unmap(&m);
  }
  globfree(&g);
}
static const struct cg_target gpu = { .name = "fuzz:gpu", .vec_lanes = 1, .n_vregs = 255, .fma = true, .cores = 8, .warps = 8, .lanes = 32 };
enum what { NESTS, SCHEDS, KERNS };
static void lower_seeds(struct fuzz *f, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t)
{
  const char *why;
  struct kir_kern *k = cg_lower(n->arena, n, s, t, &why);
  if (!k) ir_bug("fuzz", "a seed does not lower: %s", why);
  seed_print(f, print_kern, k);
  if (k->flat) return;
  cg_expand(k, t);
  seed_print(f, print_kern, k);
}
static void nest_seeds_of(struct fuzz *f, enum what w, struct kir_nest *(*make)(struct ir_arena *a))
{
  static const char *const levels[] = { "cpu:x86-64-v2", "cpu:x86-64-v4" };
  struct ir_arena *a = ir_arena_create();
  if (w == NESTS) seed_print(f, print_nest, make(a));
  for (unsigned i = 0; w != NESTS && i < 4; i++) {
    const struct cg_target *t = cg_target_find(levels[i / 2], strlen(levels[i / 2]));
    struct kir_nest *n = make(a);
    struct kir_sched *s = cg_schedule(a, n, t, i % 2 ? 2 : 0);
    if (w == SCHEDS) seed_print(f, print_sched, s);
    else lower_seeds(f, n, s, t);
  }
  ir_arena_destroy(a);
}
static struct kir_nest *parse_seed(struct ir_arena *a, const char *text)
{
  struct ir_diags d = { .file = "seed" };
  struct kir_nest *n = kir_nest_parse(a, &d, text, strlen(text));
  if (!n) ir_bug("fuzz", "%s", d.first.s);
  return n;
}
static struct kir_nest *conv(struct ir_arena *a)
{
  return conv_nest(a, &(struct conv_case){ .n = 1, .c = 20, .h = 7, .w = 9, .o = 33, .kh = 3, .kw = 3, .stride = 1, .pad = 1, .dil = 1, .groups = 1, .x = HALO, .y = BLOCKED, .residual = true,
                                           .relu = true, .bias = true, .batch = true });
}
static struct kir_nest *gemm(struct ir_arena *a) { return gemm_nest(a, &(struct gemm_case){ .b = 2, .m = 5, .n = 33, .k = 7, .sym = true, .constant = true, .bias = true, .relu = true }); }
static struct kir_nest *map(struct ir_arena *a)
{
  return parse_seed(a, "nest @add_gelu(x: f32[R, 768], b: f32[768] const, y: f32[R, 768] out) where R in 1..32768 {\n  t[r < R, c < 768] = x[r, c] + b[c]\n"
                       "  y[r < R, c < 768] = (0.5 * t[r, c]) * (1.0 + erf(t[r, c] * 0.70710678118654757))\n}\n");
}
static struct kir_nest *row(struct ir_arena *a)
{
  return parse_seed(a, "nest @softmax(x: f32[R, C], y: f32[R, C] out) where R in 1..4096, C in 1..1024 {\n  m[r < R] = max[c < C] x[r, c]\n  p[r < R, c < C] = exp(x[r, c] - m[r])\n"
                       "  l[r < R] = sum[c < C] p[r, c]\n  y[r < R, c < C] = p[r, c] / l[r]\n}\n");
}
static struct kir_nest *window(struct ir_arena *a)
{
  return parse_seed(a, "nest @pool(x: f32[N, 5, 9, 9], y: f32[N, 5, 5, 5] out) where N in 1..16 {\n"
                       "  y[n < N, c < 5, h < 5, w < 5] = max[i < 3, j < 3] x[n, c, 2*h + i - 1, 2*w + j - 1] else -inf\n}\n");
}
static void seeds(struct fuzz *f, enum what w)
{
  static struct kir_nest *(*const make[])(struct ir_arena *a) = { conv, gemm, map, row, window };
  for (unsigned i = 0; i < sizeof make / sizeof *make; i++) nest_seeds_of(f, w, make[i]);
}
/* Matrix units, warps and pipes. */
static const char half_sched[] = "sched contract { loops = grid m/128 n/128 raster 8, pipe k/32 depth 4, warp m/64 n/32; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(2, 3, 3); "
                                 "B = shared cp.async swz(2, 3, 3); epi = shared }\n";
static const char lane_sched[] = "sched contract { loops = grid m/64 n/64, pipe k/16 depth 1, lane m/4 n/4; tile = fma; A = shared sync; B = shared sync }\n";
static void nest_seeds(struct fuzz *f) { seeds(f, NESTS); }
static void sched_seeds(struct fuzz *f)
{
  seeds(f, SCHEDS);
  fuzz_seed(f, half_sched, strlen(half_sched));
  fuzz_seed(f, lane_sched, strlen(lane_sched));
}
static void kern_seeds(struct fuzz *f)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "seed" };
  seeds(f, KERNS);
  struct kir_sched *half = kir_sched_parse(a, &d, half_sched, strlen(half_sched)), *lane = kir_sched_parse(a, &d, lane_sched, strlen(lane_sched));
  if (!half || !lane) ir_bug("fuzz", "%s", d.first.s);
  lower_seeds(f, narrow_gemm_nest(a, IR_f16, 8, 0, 0), half, &gpu);
  lower_seeds(f, rows_gemm_nest(a, 64, 32), lane, &gpu);
  ir_arena_destroy(a);
}

static const struct fuzz_target targets[] = {
  { "graph", "text of graphs", graph_seeds, fuzz_text, run_graph },
  { "nest", "text of nests", nest_seeds, fuzz_text, run_nest },
  { "sched", "text of schedule records", sched_seeds, fuzz_text, run_sched },
  { "kern", "text of kerns", kern_seeds, fuzz_text, run_kern },
  { 0 }
};
int main(int argc, char **argv) { return fuzz_main(argc, argv, targets); }
