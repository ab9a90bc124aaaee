/* Random nests: every skeleton that takes one makes a kern that equals the nest's evaluation. A seed makes a nest; SEEDS=first:last runs others. */
#include "tests/unit/codegen/lowering.h"

#define SKELETON(name) extern const struct cg_skeleton cg_skeleton_##name;
SKELETON(naive)
SKELETON(map)
SKELETON(row)
SKELETON(window)
SKELETON(each)
SKELETON(block)
static const struct cg_skeleton *const skeletons[] = { &cg_skeleton_naive, &cg_skeleton_map, &cg_skeleton_row, &cg_skeleton_window },
                                *const for_lanes[] = { &cg_skeleton_map, &cg_skeleton_row, &cg_skeleton_each, &cg_skeleton_block, &cg_skeleton_naive };
static const struct cg_target gpu = { .name = "test:gpu", .vec_lanes = 4, .n_vregs = 255, .fma = true, .cores = 8, .warps = 2, .lanes = 32 };

struct gen {
  uint64_t x;
  char s[4000];
  size_t n;
  unsigned rank, args;
  int dim[4];
  char decl[2000];
  size_t nd;
  const char *elem;
};
static unsigned rnd(struct gen *g, unsigned n)
{
  g->x ^= g->x << 13, g->x ^= g->x >> 7, g->x ^= g->x << 17;
  return (unsigned)(g->x >> 33) % n;
}
static void put(struct gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct gen *g, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  g->n += (size_t)vsnprintf(g->s + g->n, sizeof g->s - g->n, fmt, ap);
  va_end(ap);
}
static void declare(struct gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void declare(struct gen *g, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  g->nd += (size_t)vsnprintf(g->decl + g->nd, sizeof g->decl - g->nd, fmt, ap);
  va_end(ap);
}
static int size(struct gen *g)
{
  static const int n[] = { 1, 2, 3, 5, 7, 8, 15, 16, 17, 19, 31, 33 };
  return n[rnd(g, sizeof n / sizeof *n)];
}
/* The storage of a new array of these dims: dense, blocked by 16 along axis 1, a halo around the last one or two axes. */
static void storage(struct gen *g, const int *dim, unsigned rank)
{
  int blocks = rank == 4 ? (dim[1] + 15) / 16 : 0, p = (int)rnd(g, 3), h, w;
  switch (rank == 4 ? rnd(g, 3) : rank == 2 && rnd(g, 4) == 0 ? 3 : 0) {
  case 1:
    h = dim[2] + 2 * p, w = dim[3] + 2 * p;
    declare(g, "[%d, %d in 0 .. %d, %d in %d .. %d, %d in %d .. %d] @ ((c0*%d + c1/16)*%d + (c2 + %d)*%d + c3 + %d)*16 + c1 %% 16 elems %d%s slack 2", dim[0],
            dim[1], blocks * 16, dim[2], -p, dim[2] + p, dim[3], -p, dim[3] + p, blocks, h * w + p, p, w, p, dim[0] * blocks * (h * w + p) * 16,
            p ? " zero" : "");
    break;
  case 3: declare(g, "[%d, %d in %d .. %d] @ c0*%d + c1 + %d%s", dim[0], dim[1], -p, dim[1] + p + 1, dim[1] + 2 * p + 1, p, " zero"); break;
  default:
    declare(g, "[");
    for (unsigned d = 0; d < rank; d++) declare(g, "%s%d", d ? ", " : "", dim[d]);
    declare(g, "]");
  }
}
/* A read of a new array at coordinates made of the axes i0.. and perhaps the reduction axes k (0..K-1). */
static void read_new(struct gen *g, unsigned n_red, const int *K)
{
  unsigned a = g->args++, form[4], rank = 0;
  int dim[4];
  bool els = rnd(g, 3) == 0;
  char at[400] = "";
  unsigned order[4] = { 0, 1, 2, 3 };
  for (unsigned d = 0; rnd(g, 3) == 0 && d + 1 < g->rank; d++) {
    unsigned t = order[d];
    order[d] = order[d + 1], order[d + 1] = t;
  }
  for (unsigned i = 0; i < g->rank; i++) {
    unsigned d = order[i];
    char *e = at + strlen(at);
    form[rank] = rnd(g, 8);
    dim[rank] = g->dim[d];
    const char *sep = rank ? ", " : "";
    unsigned k = n_red ? rnd(g, 3) : 9;
    if (k < n_red) { /* a window */
      int s = 1 + (int)rnd(g, 2), p = els ? (int)rnd(g, 2) : 0;
      dim[rank] = (g->dim[d] - 1) * s + K[k] - 2 * p;
      if (dim[rank] < 1) dim[rank] = 1, els = true;
      sprintf(e, "%s%d*i%u + k%u - %d", sep, s, d, k, p);
      if (p || (g->dim[d] - 1) * s + K[k] - p > dim[rank]) els = true;
    } else if (form[rank] == 0) continue; /* broadcast: no such axis */
    else if (form[rank] == 1) sprintf(e, "%s%d - i%u", sep, g->dim[d] - 1, d);
    else if (form[rank] == 2) {
      dim[rank] = 2 * g->dim[d];
      sprintf(e, "%s2*i%u + 1", sep, d);
    } else if (form[rank] == 3 && els) {
      dim[rank] = g->dim[d] > 2 ? g->dim[d] - 1 : 1;
      sprintf(e, "%si%u - 1", sep, d);
    } else sprintf(e, "%si%u", sep, d);
    rank++;
  }
  declare(g, "x%u: %s", a, g->elem);
  storage(g, dim, rank);
  declare(g, ", ");
  put(g, els ? "(x%u[%s] else %s)" : "x%u[%s]", a, at, !strcmp(g->elem, "f32") ? (rnd(g, 2) ? "0.0" : "-1.5") : "0");
}
static void expr(struct gen *g, unsigned depth, unsigned n_red, const int *K)
{
  unsigned f = depth ? rnd(g, 7) : 9;
  if (f == 0) {
    put(g, "if([i%u <= %u], ", rnd(g, g->rank), rnd(g, 20));
    expr(g, depth - 1, n_red, K);
    put(g, ", ");
    expr(g, depth - 1, n_red, K);
    put(g, ")");
  } else if (f < 4) {
    put(g, f == 1 ? "max(" : "(");
    expr(g, depth - 1, n_red, K);
    put(g, f == 1 ? ", " : f == 2 ? " + " : "*");
    expr(g, depth - 1, n_red, K);
    put(g, ")");
  } else if (f == 4) put(g, "%s{i%u + 3}", g->elem, rnd(g, g->rank));
  else read_new(g, n_red, K);
}
static void axes(struct gen *g, unsigned rank)
{
  for (unsigned d = 0; d < rank; d++) put(g, "%si%u < %d", d ? ", " : "", d, g->dim[d]);
}
/* 0: a map; 1: a window or full reduction with a map behind it; 2: rows */
static void nest(struct gen *g, uint64_t seed, unsigned kind)
{
  static const char *const red[] = { "sum", "max", "min" };
  int K[2];
  *g = (struct gen){ .x = seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull, .elem = seed % 5 == 4 ? "i32" : "f32" };
  for (int i = 0; i < 8; i++) rnd(g, 2);
  g->rank = 1 + rnd(g, 4);
  if (g->rank == 4 && rnd(g, 2)) g->dim[0] = 1;
  for (unsigned d = 0, n = 1; d < g->rank; d++, n *= (unsigned)g->dim[d - 1]) {
    g->dim[d] = size(g);
    if (n * (unsigned)g->dim[d] > 3000) g->dim[d] = 2;
  }
  if (kind == 0) {
    put(g, "  y0[");
    axes(g, g->rank);
    put(g, "] = ");
    expr(g, 3, 0, NULL);
  } else if (kind == 1) {
    unsigned n = 1 + rnd(g, 2);
    for (unsigned i = 0; i < n; i++) K[i] = 1 + (int)rnd(g, 5);
    put(g, "  t0[");
    axes(g, g->rank);
    put(g, "] = %s[k0 < %d", red[rnd(g, 3)], K[0]);
    if (n > 1) put(g, ", k1 < %d", K[1]);
    put(g, "] ");
    expr(g, 1, n, K);
    put(g, "\n  y0[");
    axes(g, g->rank);
    put(g, "] = t0[");
    for (unsigned d = 0; d < g->rank; d++) put(g, "%si%u", d ? ", " : "", d);
    put(g, "] + ");
    expr(g, 1, 0, NULL);
  } else { /* the last axis is reduced twice, the second time of what the first gave */
    if (g->rank == 1) g->rank = 2, g->dim[1] = size(g);
    unsigned last = g->rank - 1;
    char row[60] = "";
    for (unsigned d = 0; d < last; d++) sprintf(row + strlen(row), "%si%u", d ? ", " : "", d);
    put(g, "  t0[");
    axes(g, last);
    put(g, "] = %s[i%u < %d] ", red[rnd(g, 3)], last, g->dim[last]);
    expr(g, 1, 0, NULL);
    put(g, "\n  t1[");
    axes(g, g->rank);
    put(g, "] = ");
    expr(g, 1, 0, NULL);
    put(g, " - t0[%s]\n  t2[", row);
    axes(g, last);
    put(g, "] = %s[i%u < %d] t1[%s, i%u]\n  y0[", red[rnd(g, 3)], last, g->dim[last], row, last);
    axes(g, g->rank);
    put(g, "] = t1[%s, i%u] + t2[%s]", row, last, row);
  }
  char body[4000];
  memcpy(body, g->s, sizeof body);
  declare(g, "y0: %s", g->elem);
  size_t at = g->nd;
  storage(g, g->dim, g->rank);
  char *zero = strstr(g->decl + at, " zero"), *z = zero ? zero : strstr(g->decl + at, " slack");
  char tail[40] = "";
  if (z) {
    snprintf(tail, sizeof tail, "%s", z);
    g->nd -= strlen(z);
  }
  declare(g, " out%s", tail);
  g->n = 0;
  put(g, "nest @r(%s) {\n%s\n}", g->decl, body);
}

static void run(int i, bool lanes)
{
  int first = i * 40, last = first + 40, taken = 0;
  if (getenv("SEEDS")) sscanf(getenv("SEEDS"), "%d:%d", &first, &last);
  for (int seed = first; seed < last; seed++) {
    struct gen g;
    nest(&g, (uint64_t)seed, (unsigned)seed % 3);
    for (unsigned k = 0; k < (lanes ? 5 : 4); k++) {       /* every 16th seed as OpenCL C, too */
      const struct cg_target *on = lanes ? seed % 16 == 5 ? cg_target_find("opencl", 6) : &gpu : cg_target_at((unsigned)seed / 3 % 3);
      struct lowering l = { (lanes ? for_lanes : skeletons)[k], .t = on, .tolerance = 1e-5, .no_native = lanes || seed % 8,
                            .no_text = lanes };
      taken += lw_run(&l, g.s, NULL, 0, (uint64_t)seed);
    }
  }
  ck_assert_int_ge(taken, (last - first) / 3);
}
START_TEST(cpu) { run(_i, false); }
END_TEST
START_TEST(on_lanes) { run(_i, true); }
END_TEST
static void add(TCase *t)
{
  tcase_add_loop_test(t, cpu, 0, 6);
  tcase_add_loop_test(t, on_lanes, 0, 4);
}
int main(void) { return lw_main("random", add); }
