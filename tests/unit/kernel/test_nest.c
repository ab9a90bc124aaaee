/* nests: text, evaluation, hash, storage of arguments */
#include "util.h"

/* parse(print(n)) prints the same */
static void round_trip(const struct nb *b)
{
  const char *s = nest_str(b, b->n);
  struct ir_diags d = { .file = "nest" };
  struct kir_nest *n = kir_nest_parse(b->a, &d, s, strlen(s));
  ck_assert_msg(n != NULL, "%s\n%s", d.first.s, s);
  ck_assert_str_eq(nest_str(b, n), s);
  ck_assert(kir_nest_hash(n) == kir_nest_hash(b->n));
  ir_buf_deinit(&d.first);
}
static const struct ir_ix *dM(const struct nb *b) { return dim(b, "M", 1, 4096, 1); }
static const struct ir_ix *d64(const struct nb *b) { return num(b, 64); }
static const struct ir_ix *d256(const struct nb *b) { return num(b, 256); }
static const struct ir_ix *dN8(const struct nb *b) { return dim(b, "N", 8, 4096, 8); }
static const struct ir_ix *dK8(const struct nb *b) { return dim(b, "K", 8, 4096, 8); }

/* ---- the examples of docs/kernel-ir.md ---- */
static struct nb example_a(void)
{
  struct nb b = nb_create("add_gelu");
  const struct ir_ix *R = dim(&b, "R", 1, 32768, 1);
  struct kir_arr *x = kir_arg(b.n, "x", IR_f32, 2, IXS(R, num(&b, 768)), false), *v = kir_arg(b.n, "b", IR_f32, 1, IXS(num(&b, 768)), false), *y = kir_arg(b.n, "y", IR_f32, 2, IXS(R, num(&b, 768)), true);
  struct kir_axis r = axis(&b, "r", R), c = axis(&b, "c", num(&b, 768));
  struct kir_stmt *t = kir_stmt(b.n, NULL, AXES(r, c), 2, fn2(&b, IR_MAP_add, kir_read(b.n, x, IXS(r.var, c.var), NULL), kir_read(b.n, v, IXS(c.var), NULL)));
  struct kir_expr *tv = kir_read(b.n, t->dst, IXS(r.var, c.var), NULL);
  struct kir_expr *g = kir_fn(b.n, IR_MAP_erf, fn2(&b, IR_MAP_mul, tv, kir_const(b.n, IR_f32, 0.70710678, 0)), NULL, NULL);
  kir_stmt(b.n, y, AXES(r, c), 2, fn2(&b, IR_MAP_mul, fn2(&b, IR_MAP_mul, kir_const(b.n, IR_f32, 0.5, 0), tv), fn2(&b, IR_MAP_add, kir_const(b.n, IR_f32, 1, 0), g)));
  return b;
}
static struct nb example_b(void)
{
  struct nb b = nb_create("softmax");
  const struct ir_ix *R = dim(&b, "R", 1, 32768, 1), *C = dim(&b, "C", 1, 1024, 4);
  struct kir_arr *x = kir_arg(b.n, "x", IR_f32, 2, IXS(R, C), false), *y = kir_arg(b.n, "y", IR_f32, 2, IXS(R, C), true);
  struct kir_axis r = axis(&b, "r", R), c = axis(&b, "c", C);
  struct kir_expr *xv = kir_read(b.n, x, IXS(r.var, c.var), NULL);
  struct kir_stmt *m = kir_stmt(b.n, NULL, AXES(r), 1, kir_red(b.n, KIR_MAX, AXES(c), 1, xv));
  struct kir_stmt *p = kir_stmt(b.n, NULL, AXES(r, c), 2, kir_fn(b.n, IR_MAP_exp, fn2(&b, IR_MAP_sub, xv, kir_read(b.n, m->dst, IXS(r.var), NULL)), NULL, NULL));
  struct kir_expr *pv = kir_read(b.n, p->dst, IXS(r.var, c.var), NULL);
  struct kir_stmt *l = kir_stmt(b.n, NULL, AXES(r), 1, kir_red(b.n, KIR_SUM, AXES(c), 1, pv));
  kir_stmt(b.n, y, AXES(r, c), 2, fn2(&b, IR_MAP_div, pv, kir_read(b.n, l->dst, IXS(r.var), NULL)));
  return b;
}
static struct nb example_c(void) { return gemm_nest("gemm", IR_f32, dM, d64, d256); }
static struct nb example_e(void) { return gemm_nest("gemm16", IR_f16, dM, dN8, dK8); }
/* NCHW16c with a stored halo; W dense */
static struct nb example_d(int64_t C, int64_t O, int64_t H, int64_t W)
{
  struct nb b = nb_create("conv3x3");
  const struct ir_ix *N = dim(&b, "N", 1, 64, 1), *c[4];
  struct kir_arr *X = kir_arg(b.n, "X", IR_f32, 4, IXS(N, num(&b, C), num(&b, H), num(&b, W)), false), *F = kir_arg(b.n, "W", IR_f32, 4, IXS(num(&b, O), num(&b, C), num(&b, 3), num(&b, 3)), false),
                 *Y = kir_arg(b.n, "Y", IR_f32, 4, IXS(N, num(&b, O), num(&b, H), num(&b, W)), true);
  for (unsigned d = 0; d < 4; d++) c[d] = ir_ix_coord(b.t, d);
  const struct ir_ix *plane = ir_ix_add(ir_ix_muli(ir_ix_add(ir_ix_muli(c[0], C / 16), ir_ix_divi(c[1], 16)), (H + 2) * (W + 2) + 1),
                                        ir_ix_add(ir_ix_muli(ir_ix_addi(c[2], 1), W + 2), ir_ix_addi(c[3], 1)));
  X->at = ir_ix_add(ir_ix_muli(plane, 16), ir_ix_modi(c[1], 16));
  X->elems = ir_ix_muli(N, C / 16 * ((H + 2) * (W + 2) + 1) * 16);
  for (unsigned d = 2; d < 4; d++) {
    X->lo[d] = num(&b, -1);
    X->hi[d] = ir_ix_addi(X->shape[d], 1);
  }
  X->zero_pad = true;
  X->align = 64;
  struct kir_axis n = axis(&b, "n", N), o = axis(&b, "o", num(&b, O)), h = axis(&b, "h", num(&b, H)), w = axis(&b, "w", num(&b, W)), k = axis(&b, "c", num(&b, C)), i = axis(&b, "i", num(&b, 3)), j = axis(&b, "j", num(&b, 3));
  struct kir_expr *x = kir_read(b.n, X, IXS(n.var, k.var, ir_ix_addi(ir_ix_add(h.var, i.var), -1), ir_ix_addi(ir_ix_add(w.var, j.var), -1)), NULL);
  kir_stmt(b.n, Y, AXES(n, o, h, w), 4, kir_red(b.n, KIR_SUM, AXES(k, i, j), 3, fn2(&b, IR_MAP_mul, x, kir_read(b.n, F, IXS(o.var, k.var, i.var, j.var), NULL))));
  return b;
}

START_TEST(examples_print_as_documented)
{
  struct nb b = example_a();
  ck_assert_str_eq(nest_str(&b, b.n),
                   "nest @add_gelu(x: f32[R, 768], b: f32[768], y: f32[R, 768] out) where R in 1..32768 {\n"
                   "  t[r < R, c < 768] = x[r, c] + b[c]\n"
                   "  y[r < R, c < 768] = 0.5*t[r, c]*(1.0 + erf(t[r, c]*0.70710677))\n"
                   "}\n");
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(examples_parse_back)
{
  struct nb b[] = { example_a(), example_b(), example_c(), example_d(64, 64, 56, 56), example_e() };
  for (unsigned i = 0; i < sizeof b / sizeof *b; i++) {
    round_trip(&b[i]);
    ir_arena_destroy(b[i].a);
  }
}
END_TEST
START_TEST(every_form_parses_back)
{
  struct nb b = nb_create("all");
  const struct ir_ix *R = dim(&b, "R", 4, IR_IX_INF, 4), *odd = dim(&b, "batch size", 0, 9, 1);
  struct kir_arr *x = kir_arg(b.n, "sum", IR_f16, 2, IXS(R, odd), false), *i = kir_arg(b.n, "0 input/x", IR_i64, 1, IXS(R), false), *y = kir_arg(b.n, "y", IR_f16, 2, IXS(R, ir_ix_addi(odd, 2)), true),
                 *u = kir_arg(b.n, "y", IR_bool, 0, NULL, true);
  x->space = KIR_CONST;
  x->slack = 2;
  x->shape[1] = odd;
  x->hi[1] = ir_ix_muli(ir_ix_cdivi(odd, 8), 8);
  x->align = 64;
  ir_facts_push(&b.n->facts, ir_ix_sub(R, odd));
  struct kir_axis r = axis(&b, "r", R), c = axis(&b, "c", odd), k = axis(&b, "k", num(&b, 3));
  struct kir_expr *v = kir_read(b.n, x, IXS(ir_ix_load(b.t, 1, IXS(r.var), 1, -IR_IX_INF, IR_IX_INF), ir_ix_addi(c.var, -1)), kir_const(b.n, IR_f16, -INFINITY, 0));
  struct kir_expr *w = kir_fn(b.n, IR_MAP_select, kir_fn(b.n, IR_MAP_lt, v, kir_const(b.n, IR_f16, -0.1, 0), NULL), v, kir_fn(b.n, IR_MAP_neg, v, NULL, NULL));
  struct kir_arr *t = kir_nest_temp(b.n, "t", IR_f16, 2, IXS(R, ir_ix_addi(odd, 2)));
  struct kir_stmt *s = kir_stmt(b.n, t, AXES(r, c), 2, kir_select(b.n, ir_ix_le(c.var, r.var), w, kir_ix(b.n, IR_f16, ir_ix_add(ir_ix_modi(r.var, 3), c.var))));
  s->at = ir_arena_copy(b.a, IXS(r.var, ir_ix_addi(c.var, 2)), 2 * sizeof(void *));
  struct kir_expr *tv = kir_read(b.n, t, IXS(r.var, c.var), NULL);
  struct kir_expr *deep = fn2(&b, IR_MAP_sub, tv, fn2(&b, IR_MAP_sub, tv, fn2(&b, IR_MAP_div, tv, fn2(&b, IR_MAP_mul, fn2(&b, IR_MAP_add, tv, tv), tv))));
  kir_stmt(b.n, y, AXES(r, c), 2, deep);
  kir_stmt(b.n, u, NULL, 0, kir_fn(b.n, IR_MAP_eq, kir_const(b.n, IR_i64, 0, INT64_MIN), kir_cast(b.n, IR_i64, kir_const(b.n, IR_u8, 0, 255)), NULL));
  kir_stmt(b.n, NULL, AXES(r), 1, kir_red(b.n, KIR_MIN, AXES(k), 1, kir_read(b.n, i, IXS(r.var), NULL)));
  round_trip(&b);
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(bad_text_is_refused)
{
  static const char *const bad[] = {
    "", "nest", "nest @x", "nest @x(", "nest @x() {", "nest @x(a: f99[]) {\n}\n", "nest @x(a: f32[n]) {\n}\n", "nest @x() {\n  y[] = 1.0\n}\n trailing",
    "nest @x(y: f32[] out) {\n  y[] = zz[1]\n}\n", "nest @x(y: f32[] out) {\n  y[] = add(1.0)\n}\n", "nest @x(y: f32[] out) {\n  y[] = f16{}\n}\n",
    "nest @x(y: f32[] out) {\n  y[] = 1.0 + f16{1.0}\n}\n", "nest @x(y: f32[4] out) {\n  y[] = 1.0\n}\n", "nest @x(y: f32[4] out) {\n  y[i < 4] = sum[i < 4 2.0\n}\n",
    "nest @x(y: f32[4] out, y: f32[]) {\n}\n", "nest @x(y: f32[] out) where n in 4..1 {\n}\n", "nest @x(y: f32[4] out) {\n  y[i < 4] = 1.0\n  z[i < 5] = 1.0\n}\n",
    "nest @x(y: f32[] out) {\n  y[] = if([0 <= 1], 1.0)\n}\n", "nest @x(y: f32[] out) {\n  y[] = y[0]\n}\n", "nest @x(y: f32[] out) {\n  y[] = erf(i64{3}\n",
  };
  struct ir_arena *a = ir_arena_create();
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct ir_diags d = { .file = "bad" };
    ck_assert_msg(kir_nest_parse(a, &d, bad[i], strlen(bad[i])) == NULL, "accepted: %s", bad[i]);
    ck_assert_msg(d.errors > 0, "no diagnostic: %s", bad[i]);
    ir_buf_deinit(&d.first);
  }
  ir_arena_destroy(a);
}
END_TEST
START_TEST(broken_text_never_crashes)
{
  struct nb b = example_e();
  const char *s = nest_str(&b, b.n);
  size_t n = strlen(s);
  uint32_t x = 7;
  for (int i = 0; i < 4000; i++) {
    struct ir_arena *a = ir_arena_create();
    struct ir_diags d = { .file = "fuzz" };
    char *m = ir_arena_strdup(a, s);
    for (int k = 0; k < 1 + i % 3; k++) {
      x = x * 1664525u + 1013904223u;
      m[(x >> 8) % n] = "[](){}<>=,.:+-*/0129xMNk%@ \n"[(x >> 3) % 28];
    }
    kir_nest_parse(a, &d, m, i % 2 ? n : (x >> 5) % n);
    ir_buf_deinit(&d.first);
    ir_arena_destroy(a);
  }
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(hash_ignores_names)
{
  struct nb a = example_c(), b = gemm_nest("other", IR_f32, dM, d64, d256), c = gemm_nest("gemm", IR_f16, dM, d64, d256);
  b.n->args.v[0]->name = "weights";
  ck_assert(kir_nest_hash(a.n) == kir_nest_hash(b.n));
  ck_assert(kir_nest_hash(a.n) != kir_nest_hash(c.n));
  ir_arena_destroy(a.a);
  ir_arena_destroy(b.a);
  ir_arena_destroy(c.a);
}
END_TEST

/* ---- evaluation against plain loops ---- */
/* X[M,256] W[256,64] bias[64] y[M,64] each once; of a table of 1000 rows the three that are read. */
START_TEST(bytes_to_move)
{
  struct nb b = example_c(), g = nb_create("gather");
  const struct ir_ix *m = dM(&b);
  int64_t k;
  ck_assert(ir_ix_const(ir_ix_subst1(kir_nest_bytes(b.n), m, ir_ix_int(b.t, 5)), &k));
  ck_assert_int_eq(k, 4 * (5 * 256 + 256 * 64 + 64 + 5 * 64));
  struct kir_arr *table = kir_arg(g.n, "table", IR_f32, 2, IXS(num(&g, 1000), num(&g, 16)), false), *y = kir_arg(g.n, "y", IR_f32, 2, IXS(num(&g, 3), num(&g, 16)), true);
  kir_arg(g.n, "ids", IR_i64, 1, IXS(num(&g, 3)), false);
  struct kir_axis r = axis(&g, "r", num(&g, 3)), c = axis(&g, "c", num(&g, 16));
  kir_stmt(g.n, y, AXES(r, c), 2, kir_read(g.n, table, IXS(ir_ix_load(g.t, 2, IXS(r.var), 1, 0, 999), c.var), NULL));
  ck_assert(ir_ix_const(kir_nest_bytes(g.n), &k));
  ck_assert_int_eq(k, 2 * 3 * 16 * 4 + 3 * 8);
  ir_arena_destroy(b.a);
  ir_arena_destroy(g.a);
}
END_TEST
static int64_t products(const struct nb *b, const char *record, const struct ir_ix *sym, int64_t value)
{
  struct ir_diags d = { .file = "record" };
  const struct kir_sched *s = kir_sched_parse(b->a, &d, record, strlen(record));
  int64_t k;
  ck_assert_msg(s != NULL, "%s", d.first.s);
  ck_assert(ir_ix_const(ir_ix_subst1(kir_nest_products(b->n, s), sym, ir_ix_int(b->t, value)), &k));
  return k;
}
/* Sums of products only, no bias; a 3x3 convolution of 20 x 21 pixels, 32 to 48 channels, directly and in tiles of 4 x 4, of which 5 x 6 cover it with 6 x 6 products each. */
START_TEST(products_by_record)
{
  struct nb g = example_c(), s = example_b(), d = example_d(32, 48, 20, 21);
  const struct ir_ix *n = dim(&d, "N", 1, 64, 1);
  ck_assert_int_eq(products(&g, "sched contract { loops = grid m/8 }", dM(&g), 5), 5 * 64 * 256);
  ck_assert_int_eq(products(&s, "sched row { loops = grid r/1 }", dim(&s, "R", 1, 32768, 1), 5), 0);
  ck_assert_int_eq(products(&d, "sched contract { loops = grid n/1 o/32 }", n, 3), 3LL * 48 * 20 * 21 * 32 * 9);
  ck_assert_int_eq(products(&d, "sched winograd { loops = grid n/1 t/28 o/32, for h/4, for w/4, for o/32, for c/32, for t/14 }", n, 3), 3LL * 48 * (5 * 6) * (6 * 6) * 32);
  ir_arena_destroy(g.a);
  ir_arena_destroy(s.a);
  ir_arena_destroy(d.a);
}
END_TEST
START_TEST(gemm_with_bias_and_relu)
{
  enum { M = 5, N = 64, K = 256 };
  struct nb b = example_c();
  const char *why = "";
  struct ir_tensor *t[] = { seeded(b.a, IR_f32, M * K, 1), seeded(b.a, IR_f32, K * N, 2), seeded(b.a, IR_f32, N, 3), tensor(b.a, IR_f32, M * N) };
  double ref[M * N];
  ck_assert_msg(kir_nest_eval(b.n, &(struct kir_bind){ "M", M }, 1, t, &why), "%s", why);
  gemm_ref(t[0], t[1], t[2], IR_f32, M, N, K, ref);
  for (int i = 0; i < M * N; i++) ck_assert_double_eq(t[3]->f[i], ref[i]);
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(softmax_rows)
{
  enum { R = 7, C = 68 };
  struct nb b = example_b();
  const char *why = "";
  struct ir_tensor *t[] = { seeded(b.a, IR_f32, R * C, 1), tensor(b.a, IR_f32, R * C) };
  ck_assert_msg(kir_nest_eval(b.n, (struct kir_bind[]){ { "R", R }, { "C", C } }, 2, t, &why), "%s", why);
  for (int r = 0; r < R; r++) {
    const double *x = t[0]->f + r * C;
    double m = -INFINITY, l = 0;
    for (int c = 0; c < C; c++) m = x[c] > m ? x[c] : m;
    for (int c = 0; c < C; c++) l += (float)exp((float)(x[c] - m));
    for (int c = 0; c < C; c++) ck_assert_double_eq(t[1]->f[r * C + c], (float)((float)exp((float)(x[c] - m)) / (double)(float)l));
  }
  ir_arena_destroy(b.a);
}
END_TEST
static void conv_ref(const double *x, const double *f, double *y, int N, int C, int O, int H, int W)
{
  for (int n = 0; n < N; n++)
    for (int o = 0; o < O; o++)
      for (int h = 0; h < H; h++)
        for (int w = 0; w < W; w++) {
          double s = 0;
          for (int c = 0; c < C; c++)
            for (int i = 0; i < 3; i++)
              for (int j = 0; j < 3; j++) {
                int p = h + i - 1, q = w + j - 1;
                if (p >= 0 && p < H && q >= 0 && q < W) s += x[((n * C + c) * H + p) * W + q] * f[((o * C + c) * 3 + i) * 3 + j];
              }
          y[((n * O + o) * H + h) * W + w] = (float)s;
        }
}
START_TEST(conv_with_padding)                          /* zeros stored around X, and by `else 0` */
{
  enum { N = 2, C = 16, O = 3, H = 5, W = 4 };
  double ref[N * O * H * W];
  for (int guarded = 0; guarded < 2; guarded++) {
    struct nb b = example_d(C, O, H, W);
    const char *why = "";
    if (guarded) {
      struct kir_arr *X = b.n->args.v[0];
      for (unsigned d = 2; d < 4; d++) X->lo[d] = num(&b, 0), X->hi[d] = X->shape[d];
      X->at = X->elems = NULL;
      X->zero_pad = false;
      b.n->stmts.v[0]->e->a[0]->a[0]->els = kir_const(b.n, IR_f32, 0, 0);
      round_trip(&b);
    }
    struct ir_tensor *t[] = { seeded(b.a, IR_f32, N * C * H * W, 1), seeded(b.a, IR_f32, O * C * 9, 2), tensor(b.a, IR_f32, N * O * H * W) };
    ck_assert_msg(kir_nest_eval(b.n, &(struct kir_bind){ "N", N }, 1, t, &why), "%s", why);
    conv_ref(t[0]->f, t[1]->f, ref, N, C, O, H, W);
    for (int i = 0; i < N * O * H * W; i++) ck_assert_double_eq(t[2]->f[i], ref[i]);
    ir_arena_destroy(b.a);
  }
}
END_TEST
START_TEST(half_precision_rounds_once_per_function)
{
  struct nb b = nb_create("round");
  struct kir_arr *x = kir_arg(b.n, "x", IR_f16, 0, NULL, false), *y = kir_arg(b.n, "y", IR_f16, 0, NULL, true);
  struct kir_expr *v = kir_read(b.n, x, NULL, NULL);
  const char *why;
  kir_stmt(b.n, y, NULL, 0, fn2(&b, IR_MAP_sub, fn2(&b, IR_MAP_add, v, kir_const(b.n, IR_f16, 1.0 / 2048, 0)), v));
  struct ir_tensor *t[] = { tensor(b.a, IR_f16, 1), tensor(b.a, IR_f16, 1) };
  t[0]->f[0] = 1;                                      /* 1 + 2^-11 ties to even: 1 */
  ck_assert(kir_nest_eval(b.n, NULL, 0, t, &why));
  ck_assert_double_eq(t[1]->f[0], 0);
  t[0]->f[0] = 1.0009765625;                           /* 1 + 2^-10 + 2^-11 ties to even: 1 + 2^-9 */
  ck_assert(kir_nest_eval(b.n, NULL, 0, t, &why));
  ck_assert_double_eq(t[1]->f[0], 0.0009765625);
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(integers_selects_casts_and_loaded_indices)
{
  struct nb b = nb_create("ints");
  struct kir_arr *x = kir_arg(b.n, "x", IR_i8, 1, IXS(num(&b, 4)), false);
  kir_arg(b.n, "i", IR_i64, 1, IXS(num(&b, 4)), false);
  struct kir_arr *y = kir_arg(b.n, "y", IR_i8, 1, IXS(num(&b, 4)), true), *z = kir_arg(b.n, "z", IR_u8, 1, IXS(num(&b, 4)), true);
  struct kir_axis a = axis(&b, "a", num(&b, 4));
  const char *why = "";
  struct kir_expr *g = kir_read(b.n, x, IXS(ir_ix_load(b.t, 1, IXS(a.var), 1, -IR_IX_INF, IR_IX_INF)), kir_const(b.n, IR_i8, 0, -7));
  kir_stmt(b.n, y, AXES(a), 1, kir_select(b.n, ir_ix_ge0(ir_ix_addi(a.var, -1)), fn2(&b, IR_MAP_add, g, g), kir_read(b.n, x, IXS(num(&b, 9)), NULL)));
  kir_stmt(b.n, z, AXES(a), 1, kir_cast(b.n, IR_u8, fn2(&b, IR_MAP_mul, kir_const(b.n, IR_f32, 100.5, 0), kir_ix(b.n, IR_f32, ir_ix_addi(a.var, -1)))));
  struct ir_tensor *t[] = { tensor(b.a, IR_i8, 4), tensor(b.a, IR_i64, 4), tensor(b.a, IR_i8, 4), tensor(b.a, IR_u8, 4) };
  int64_t xs[] = { 1, -100, 100, 3 }, is[] = { 0, 2, 5, 1 };
  memcpy(t[0]->i, xs, sizeof xs);
  memcpy(t[1]->i, is, sizeof is);
  ck_assert(!kir_nest_eval(b.n, NULL, 0, t, &why));    /* a = 0 reads x[9] */
  ck_assert_msg(strstr(why, "outside"), "%s", why);
  b.n->stmts.v[0]->e->a[1] = kir_const(b.n, IR_i8, 0, 42);
  ck_assert_msg(kir_nest_eval(b.n, NULL, 0, t, &why), "%s", why);
  int64_t ys[] = { 42, -56 /* 200 wraps */, -14, 56 /* -200 */ }, zs[] = { 0, 0, 100, 201 };
  for (int k = 0; k < 4; k++) ck_assert_int_eq(t[2]->i[k], ys[k]);
  for (int k = 0; k < 4; k++) ck_assert_int_eq(t[3]->i[k], zs[k]);
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(faults_of_evaluation)
{
  struct nb b = example_c();
  const char *why = "";
  struct ir_tensor *t[] = { seeded(b.a, IR_f32, 256, 1), seeded(b.a, IR_f32, 256 * 64, 2), seeded(b.a, IR_f32, 64, 3), tensor(b.a, IR_f32, 64) };
  ck_assert(!kir_nest_eval(b.n, NULL, 0, t, &why));
  ck_assert_str_eq(why, "symbol M is not bound");
  ck_assert(!kir_nest_eval(b.n, &(struct kir_bind){ "M", 5000 }, 1, t, &why));
  ck_assert_msg(strstr(why, "range"), "%s", why);
  ck_assert(!kir_nest_eval(b.n, &(struct kir_bind){ "M", 2 }, 1, t, &why));
  ck_assert_msg(strstr(why, "shape"), "%s", why);
  struct kir_stmt *last = b.n->stmts.v[1];
  last->axes[0].ext = num(&b, 0);
  ck_assert(!kir_nest_eval(b.n, &(struct kir_bind){ "M", 1 }, 1, t, &why));
  ck_assert_msg(strstr(why, "never written"), "%s", why);
  ir_arena_destroy(b.a);
}
END_TEST

/* ---- storage ---- */
START_TEST(arguments_pack_and_unpack)
{
  enum { N = 2, C = 32, H = 3, W = 5, PLANE = (H + 2) * (W + 2) + 1 };
  struct nb b = example_d(C, 16, H, W);
  struct kir_arr *X = b.n->args.v[0];
  struct kir_bind n = { "N", N };
  int64_t elems = 0;
  ck_assert(kir_arg_size(X, &n, 1, &elems));
  ck_assert_int_eq(elems, N * (C / 16) * PLANE * 16);
  struct ir_tensor *x = seeded(b.a, IR_f32, N * C * H * W, 1), *raw = tensor(b.a, IR_f32, elems), *back = tensor(b.a, IR_f32, N * C * H * W);
  for (int64_t i = 0; i < elems; i++) raw->f[i] = 99;
  ck_assert(kir_arg_pack(X, &n, 1, x, raw));
  double sum = 0, want = 0;
  for (int64_t i = 0; i < elems; i++) sum += raw->f[i];
  for (int64_t i = 0; i < x->n; i++) want += x->f[i];
  ck_assert_double_eq(sum, want);                      /* all else is 0 */
  ck_assert_double_eq(raw->f[((1 * 2 + 20 / 16) * PLANE + (2 + 1) * (W + 2) + 4 + 1) * 16 + 20 % 16], x->f[((1 * C + 20) * H + 2) * W + 4]);
  ck_assert(kir_arg_unpack(X, &n, 1, raw, back));
  ck_assert(!memcmp(back->f, x->f, 8 * (size_t)x->n));
  ck_assert(!kir_arg_size(X, NULL, 0, &elems));
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(storage_that_mixes_coordinates)             /* a skewed matrix: (c0 + c1) / 2 is no sum of tables */
{
  struct nb b = nb_create("skew");
  struct kir_arr *x = kir_arg(b.n, "x", IR_f32, 2, IXS(num(&b, 4), num(&b, 6)), false);
  const struct ir_ix *c0 = ir_ix_coord(b.t, 0), *c1 = ir_ix_coord(b.t, 1);
  x->at = ir_ix_add(ir_ix_muli(c0, 12), ir_ix_add(ir_ix_muli(c1, 2), ir_ix_modi(ir_ix_add(c0, c1), 2)));
  x->elems = num(&b, 48);
  struct ir_tensor *d = seeded(b.a, IR_f32, 24, 1), *raw = tensor(b.a, IR_f32, 48), *back = tensor(b.a, IR_f32, 24);
  ck_assert(kir_arg_pack(x, NULL, 0, d, raw));
  ck_assert_double_eq(raw->f[2 * 12 + 3 * 2 + 1], d->f[2 * 6 + 3]);
  ck_assert_double_eq(raw->f[2 * 12 + 4 * 2], d->f[2 * 6 + 4]);
  ck_assert(kir_arg_unpack(x, NULL, 0, raw, back));
  ck_assert(!memcmp(back->f, d->f, 8 * 24));
  ir_arena_destroy(b.a);
}
END_TEST

static void add(TCase *t)
{
  tcase_add_test(t, examples_print_as_documented);
  tcase_add_test(t, examples_parse_back);
  tcase_add_test(t, every_form_parses_back);
  tcase_add_test(t, bad_text_is_refused);
  tcase_add_test(t, broken_text_never_crashes);
  tcase_add_test(t, hash_ignores_names);
  tcase_add_test(t, bytes_to_move);
  tcase_add_test(t, products_by_record);
  tcase_add_test(t, gemm_with_bias_and_relu);
  tcase_add_test(t, softmax_rows);
  tcase_add_test(t, conv_with_padding);
  tcase_add_test(t, half_precision_rounds_once_per_function);
  tcase_add_test(t, integers_selects_casts_and_loaded_indices);
  tcase_add_test(t, faults_of_evaluation);
  tcase_add_test(t, arguments_pack_and_unpack);
  tcase_add_test(t, storage_that_mixes_coordinates);
}
int main(void) { return run_suite("nest", add); }
