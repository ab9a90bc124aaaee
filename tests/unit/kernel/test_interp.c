/* the interpreter: flat kerns written by hand; what it computes and what it finds */
#include "util.h"
#include <time.h>

/* ---- building flat code briefly ---- */
struct kb { struct nb b; struct kir_kern *k; struct kir_emit e; };
static struct kb kb_create(struct nb b)
{
  struct kb x = { b, kir_kern_create(b.n, "t"), { 0 } };
  x.k->flat = true;
  x.e = (struct kir_emit){ x.k, &x.k->body };
  return x;
}
static struct kir_op *ld(struct kb *x, struct kir_arr *a, unsigned lanes, const struct ir_ix *off)
{
  struct kir_op *o = kir_emit(&x->e, KIR_load, a->elem, lanes, NULL, 0, &off, 1);
  o->arr = a;
  return o;
}
static struct kir_op *st(struct kb *x, struct kir_arr *a, const struct ir_ix *off, struct kir_op *v)
{
  struct kir_op *o = kir_emit(&x->e, KIR_store, a->elem, v->lanes, &v, 1, &off, 1);
  o->arr = a;
  return o;
}
static struct kir_op *ew(struct kb *x, enum ir_map f, struct kir_op *a, struct kir_op *b)
{
  struct kir_op *o = kir_emit(&x->e, KIR_ew, a->elem, a->lanes, (struct kir_op *[]){ a, b }, b ? 2 : 1, NULL, 0);
  o->sub = f;
  return o;
}
static struct kir_op *cst(struct kb *x, enum ir_elem e, unsigned lanes, double f)
{
  struct kir_op *o = kir_emit(&x->e, KIR_const, e, lanes, NULL, 0, NULL, 0);
  o->f = f;
  return o;
}
static struct kir_op *get(struct kb *x, struct kir_reg *r, const struct ir_ix *i)
{
  struct kir_op *o = kir_emit(&x->e, KIR_get, r->elem, r->lanes, NULL, 0, &i, 1);
  o->reg = r;
  return o;
}
static void set(struct kb *x, struct kir_reg *r, const struct ir_ix *i, struct kir_op *v) { kir_emit(&x->e, KIR_set, r->elem, r->lanes, &v, 1, &i, 1)->reg = r; }
static struct kir_op *op0(struct kb *x, enum kir_opcode o) { return kir_emit(&x->e, o, IR_f32, 1, NULL, 0, NULL, 0); }
static const struct ir_ix *loop(struct kb *x, const char *name, const struct ir_ix *lo, const struct ir_ix *hi, unsigned sub, struct kir_block **out)
{
  struct kir_op *o = kir_emit(&x->e, KIR_for, IR_i64, 1, NULL, 0, IXS(lo, hi), 2);
  int64_t a, b;
  ir_ix_range(hi, &a, &b);
  o->var = ir_ix_fresh(x->k->ixs, name, IR_SYM_LOOP, 0, b, 1);
  o->sub = sub;
  *out = x->e.at;
  x->e.at = &o->body[0];
  return o->var;
}
static struct kir_op *branch(struct kb *x, const struct ir_ix *ge0, struct kir_block **out)
{
  struct kir_op *o = kir_emit(&x->e, KIR_if, IR_i64, 1, NULL, 0, &ge0, 1);
  *out = x->e.at;
  x->e.at = &o->body[0];
  return o;
}
static bool runs(struct kb *x, const struct kir_bind *s, unsigned n, struct ir_tensor **t, uint64_t seed, const char **why)
{
  *why = "";
  return kir_run(x->k, s, n, t, seed, why);
}
#define FINDS(x, t, part) do { const char *w; bool found = false; \
  for (uint64_t seed_ = 0; seed_ < 8 && !found; seed_++) found = !runs(x, NULL, 0, t, seed_, &w) && strstr(w, part); \
  ck_assert_msg(found, "not found: %s (last: %s)", part, w); } while (0)
#define FINDS_EACH(x, t) do { const char *w; for (uint64_t seed_ = 0; seed_ < 8; seed_++) ck_assert(!runs(x, NULL, 0, t, seed_, &w)); } while (0)
#define RUNS(x, t) do { const char *w; for (uint64_t seed_ = 0; seed_ < 4; seed_++) ck_assert_msg(runs(x, NULL, 0, t, seed_, &w), "%s", w); } while (0)
#define VERIFIES(x) do { const char *w = ""; ck_assert_msg(kir_verify((x)->k, &w), "%s", w); \
  ck_assert_msg(kir_verify(kern_round_trip((x)->b.a, (x)->k), &w), "%s", w); } while (0)
#define REFUSED(x, part) do { const char *w = ""; ck_assert(!kir_verify((x)->k, &w)); ck_assert_msg(strstr(w, part), "%s", w); } while (0)

/* ---- scalar code ---- */
static const struct ir_ix *dM(const struct nb *b) { return dim(b, "M", 1, 4096, 1); }
static const struct ir_ix *d50(const struct nb *b) { return num(b, 50); }
static const struct ir_ix *d40(const struct nb *b) { return num(b, 40); }
static struct kb scalar_gemm(void)                      /* rows are tasks */
{
  struct kb x = kb_create(gemm_nest("gemm", IR_f32, dM, d50, d40));
  struct kir_arr **a = x.b.n->args.v;
  const struct ir_ix *M = ir_ix_find(x.b.t, "M"), *m = ir_ix_fresh(x.b.t, "g", IR_SYM_ID, 0, 4095, 1), *zero = num(&x.b, 0);
  ir_push(x.k->arena, &x.k->grid, ((struct kir_digit){ m, M }));
  ir_push(x.k->arena, &x.k->syms, M);
  struct kir_reg *acc = kir_reg_var(x.k, "acc", IR_f32, 1, 1);
  struct kir_block *b1, *b2;
  const struct ir_ix *n = loop(&x, "n", zero, num(&x.b, 50), 0, &b1);
  set(&x, acc, zero, cst(&x, IR_f32, 1, 0));
  const struct ir_ix *k = loop(&x, "k", zero, num(&x.b, 40), 4, &b2);
  struct kir_op *v[3] = { ld(&x, a[0], 1, ir_ix_add(ir_ix_muli(m, 40), k)), ld(&x, a[1], 1, ir_ix_add(ir_ix_muli(k, 50), n)), get(&x, acc, zero) };
  set(&x, acc, zero, kir_emit(&x.e, KIR_fma, IR_f32, 1, v, 3, NULL, 0));
  x.e.at = b2;
  struct kir_op *y = ew(&x, IR_MAP_max, ew(&x, IR_MAP_add, get(&x, acc, zero), ld(&x, a[2], 1, n)), cst(&x, IR_f32, 1, 0));
  st(&x, a[3], ir_ix_add(ir_ix_muli(m, 50), n), y);
  x.e.at = b1;
  return x;
}
START_TEST(gemm_at_lanes_1)
{
  enum { M = 30, N = 50, K = 40 };
  struct kb x = scalar_gemm();
  struct ir_tensor *t[] = { seeded(x.b.a, IR_f32, M * K, 1), seeded(x.b.a, IR_f32, K * N, 2), seeded(x.b.a, IR_f32, N, 3), tensor(x.b.a, IR_f32, M * N) };
  double ref[M * N];
  const char *why;
  VERIFIES(&x);
  clock_t c = clock();
  ck_assert_msg(runs(&x, &(struct kir_bind){ "M", M }, 1, t, 1, &why), "%s", why);
  ck_assert_msg(clock() - c < CLOCKS_PER_SEC / 2, "slow: %g s", (double)(clock() - c) / CLOCKS_PER_SEC);
  gemm_ref(t[0], t[1], t[2], IR_f32, M, N, K, ref);
  for (int i = 0; i < M * N; i++) ck_assert_double_eq(t[3]->f[i], ref[i]);
  struct kb parsed = { x.b, kern_round_trip(x.b.a, x.k), { 0 } };
  memset(t[3]->f, 0, sizeof ref);
  ck_assert_msg(runs(&parsed, &(struct kir_bind){ "M", M }, 1, t, 1, &why), "%s", why);
  for (int i = 0; i < M * N; i++) ck_assert_double_eq(t[3]->f[i], ref[i]);
  ck_assert(!runs(&x, NULL, 0, t, 1, &why));
  ck_assert_str_eq(why, "symbol M is not bound");
  ir_arena_destroy(x.b.a);
}
END_TEST

/* ---- vectors: y[i] = i < n ? 2*x[3*i] + i : -1 over 16 elements, 4 at a time, x of 40 elements ---- */
START_TEST(vectors_guards_upto_and_strides)
{
  struct nb b = nb_create("v");
  kir_arg(b.n, "x", IR_f32, 1, IXS(num(&b, 40)), false);
  kir_arg(b.n, "y", IR_f32, 1, IXS(num(&b, 14)), true);
  struct kb x = kb_create(b);
  struct kir_block *up;
  const struct ir_ix *q = loop(&x, "q", num(&b, 0), num(&b, 4), 0, &up), *i = ir_ix_muli(q, 4);
  struct kir_op *v = ld(&x, b.n->args.v[0], 4, ir_ix_muli(i, 3));
  v->stride = 3;
  v->upto = ir_ix_sub(num(&b, 11), i);                  /* 11 elements are read */
  v->n_ix = 2;
  v->ix = (const struct ir_ix **)ir_arena_copy(b.a, IXS(v->ix[0], ir_ix_sub(num(&b, 2), q)), 2 * sizeof(void *));   /* guard: q <= 2 */
  v->f = -0.5;
  struct kir_op *j = kir_emit(&x.e, KIR_idx, IR_i64, 4, NULL, 0, IXS(ir_ix_add(i, x.k->vsym)), 1), *jf = kir_emit(&x.e, KIR_cast, IR_f32, 4, &j, 1, NULL, 0);
  struct kir_op *t = kir_emit(&x.e, KIR_test, IR_bool, 4, NULL, 0, IXS(ir_ix_lt(ir_ix_add(i, x.k->vsym), num(&b, 11))), 1);
  struct kir_op *two = cst(&x, IR_f32, 1, 2), *s = kir_emit(&x.e, KIR_splat, IR_f32, 4, &two, 1, NULL, 0);
  struct kir_op *sel = kir_emit(&x.e, KIR_ew, IR_f32, 4, (struct kir_op *[]){ t, ew(&x, IR_MAP_add, ew(&x, IR_MAP_mul, s, v), jf), ew(&x, IR_MAP_mul, s, v) }, 3, NULL, 0);
  sel->sub = IR_MAP_select;
  struct kir_op *o = st(&x, b.n->args.v[1], i, sel);
  o->upto = ir_ix_sub(num(&b, 14), i);
  struct ir_tensor *a[] = { seeded(b.a, IR_f32, 40, 1), tensor(b.a, IR_f32, 14) };
  VERIFIES(&x);
  RUNS(&x, a);
  for (int k = 0; k < 14; k++) ck_assert_double_eq(a[1]->f[k], k < 11 ? 2 * a[0]->f[3 * k] + k : -1);
  o->upto = NULL;                                       /* the last store runs over the end */
  FINDS(&x, a, "out of bounds");
  REFUSED(&x, "rule 2");
  o->upto = ir_ix_sub(num(&b, 13), i);
  FINDS(&x, a, "element 13 is never stored");
  o->upto = ir_ix_sub(num(&b, 14), i);
  v->n_ix = 1;
  v->upto = NULL;
  FINDS(&x, a, "out of bounds");
  REFUSED(&x, "rule 2");
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(vred_extract_bitcast_and_integers)
{
  struct nb b = nb_create("i");
  kir_arg(b.n, "x", IR_i8, 1, IXS(num(&b, 8)), false);
  kir_arg(b.n, "y", IR_i8, 1, IXS(num(&b, 3)), true);
  kir_arg(b.n, "z", IR_i32, 1, IXS(num(&b, 1)), true);
  struct kb x = kb_create(b);
  struct kir_op *v = ld(&x, b.n->args.v[0], 8, num(&b, 0));
  struct kir_op *sum = kir_emit(&x.e, KIR_vred, IR_i8, 1, &v, 1, NULL, 0), *max = kir_emit(&x.e, KIR_vred, IR_i8, 1, &v, 1, NULL, 0), *third = kir_emit(&x.e, KIR_extract, IR_i8, 1, &v, 1, NULL, 0);
  sum->sub = KIR_SUM;
  max->sub = KIR_MAX;
  third->i = 3;
  struct kir_op *f = cst(&x, IR_f32, 1, -2);
  st(&x, b.n->args.v[1], num(&b, 0), sum);
  st(&x, b.n->args.v[1], num(&b, 1), max);
  st(&x, b.n->args.v[1], num(&b, 2), third);
  st(&x, b.n->args.v[2], num(&b, 0), kir_emit(&x.e, KIR_bitcast, IR_i32, 1, &f, 1, NULL, 0));
  struct ir_tensor *a[] = { tensor(b.a, IR_i8, 8), tensor(b.a, IR_i8, 3), tensor(b.a, IR_i32, 1) };
  int64_t in[] = { 100, 100, -3, 7, 0, 1, 2, 3 };
  memcpy(a[0]->i, in, sizeof in);
  VERIFIES(&x);
  RUNS(&x, a);
  ck_assert_int_eq(a[1]->i[0], -46);                    /* 210 wraps */
  ck_assert_int_eq(a[1]->i[1], 100);
  ck_assert_int_eq(a[1]->i[2], 7);
  ck_assert_int_eq(a[2]->i[0], (int32_t)0xc0000000u);
  ir_arena_destroy(b.a);
}
END_TEST

/* ---- results: each element once; poison; halo; slack ---- */
START_TEST(results_are_stored_once_and_set)
{
  struct nb b = nb_create("r");
  kir_arg(b.n, "y", IR_f32, 1, IXS(num(&b, 4)), true);
  struct kb x = kb_create(b);
  struct kir_arr *y = b.n->args.v[0];
  struct kir_reg *r = kir_reg_var(x.k, "r", IR_f32, 2, 4);
  set(&x, r, num(&b, 0), cst(&x, IR_f32, 4, 1));
  st(&x, y, num(&b, 0), get(&x, r, num(&b, 0)));
  struct ir_tensor *a[] = { tensor(b.a, IR_f32, 4) };
  RUNS(&x, a);
  struct kir_op *twice = st(&x, y, num(&b, 3), cst(&x, IR_f32, 1, 1));
  FINDS(&x, a, "stored twice");
  twice->prev->prev->next = NULL;                       /* without the constant and the store */
  x.k->body.last = twice->prev->prev;
  struct kir_op *back = ld(&x, y, 4, num(&b, 0));       /* reading back, then storing again, accumulates */
  st(&x, y, num(&b, 0), ew(&x, IR_MAP_add, back, back));
  RUNS(&x, a);
  ck_assert_double_eq(a[0]->f[2], 2);
  x.k->body.first->next->ix[0] = num(&b, 1);            /* sets register 1; 0 is never set */
  FINDS(&x, a, "never set");
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(halo_is_zero_and_slack_is_free)
{
  struct nb b = nb_create("h");
  struct kir_arr *y = kir_arg(b.n, "y", IR_f32, 2, IXS(num(&b, 3), num(&b, 2)), true);   /* domain 3+1 (slack) x -1..3 (halo), rows of 5: one gap */
  y->hi[0] = num(&b, 4);
  y->lo[1] = num(&b, -1);
  y->hi[1] = num(&b, 3);
  y->zero_pad = true;
  y->slack = 1;
  y->at = ir_ix_add(ir_ix_muli(ir_ix_coord(b.t, 0), 5), ir_ix_addi(ir_ix_coord(b.t, 1), 1));
  y->elems = num(&b, 20);
  struct kb x = kb_create(b);
  struct kir_block *up;
  const struct ir_ix *i = loop(&x, "i", num(&b, 0), num(&b, 3), 0, &up);
  struct kir_op *v = st(&x, y, ir_ix_addi(ir_ix_muli(i, 5), 1), cst(&x, IR_f32, 2, 7)), *l = st(&x, y, ir_ix_muli(i, 5), cst(&x, IR_f32, 1, 0)), *h = st(&x, y, ir_ix_addi(ir_ix_muli(i, 5), 3), cst(&x, IR_f32, 1, 0));
  struct ir_tensor *a[] = { tensor(b.a, IR_f32, 20), };
  VERIFIES(&x);
  RUNS(&x, a);
  x.e.at = up;
  struct kir_op *s = st(&x, y, num(&b, 15), cst(&x, IR_f32, 4, 9));        /* all of the slack row */
  RUNS(&x, a);
  s->ix[0] = num(&b, 16);
  FINDS(&x, a, "outside of the domain");
  s->ix[0] = num(&b, 15);
  h->ix[0] = ir_ix_muli(i, 5);
  FINDS(&x, a, "of the halo, is not zero");
  h->ix[0] = ir_ix_addi(ir_ix_muli(i, 5), 3);
  l->src[0]->f = 1;
  FINDS(&x, a, "of the halo, is not zero");
  ck_assert_ptr_ne(v, NULL);
  ir_arena_destroy(b.a);
}
END_TEST
START_TEST(padding_of_operands_is_poison)
{
  struct nb b = nb_create("p");
  struct kir_arr *in = kir_arg(b.n, "x", IR_f32, 1, IXS(num(&b, 3)), false), *y = kir_arg(b.n, "y", IR_f32, 1, IXS(num(&b, 1)), true);
  in->hi[0] = num(&b, 4);
  in->slack = 1;
  struct kb x = kb_create(b);
  struct kir_op *v = ld(&x, in, 4, num(&b, 0)), *s = kir_emit(&x.e, KIR_vred, IR_f32, 1, &v, 1, NULL, 0);
  st(&x, y, num(&b, 0), s);
  struct ir_tensor *a[] = { seeded(b.a, IR_f32, 4, 1), tensor(b.a, IR_f32, 1) };
  FINDS(&x, a, "never set");
  v->upto = num(&b, 3);
  RUNS(&x, a);
  ir_arena_destroy(b.a);
}
END_TEST

/* ---- threads: y[lane + 32*warp] = x of the mirrored thread, through shared memory ---- */
static struct kb mirror(unsigned warps)
{
  struct nb b = nb_create("m");
  kir_arg(b.n, "x", IR_f32, 1, IXS(num(&b, 32 * warps)), false);
  kir_arg(b.n, "y", IR_f32, 1, IXS(num(&b, 32 * warps)), true);
  struct kb x = kb_create(b);
  kir_block(x.k, warps, 32);
  struct kir_arr *s = kir_buf(x.k, "s", IR_f32, 1, (int64_t[]){ 32 * warps });
  const struct ir_ix *me = ir_ix_add(x.k->lane, ir_ix_muli(x.k->warp, 32));
  st(&x, s, me, ld(&x, b.n->args.v[0], 1, me));
  op0(&x, KIR_barrier);
  st(&x, b.n->args.v[1], me, ld(&x, s, 1, ir_ix_sub(num(&b, 32 * warps - 1), me)));
  return x;
}
START_TEST(shared_memory_and_barriers)
{
  struct kb x = mirror(4);
  struct ir_tensor *a[] = { seeded(x.b.a, IR_f32, 128, 1), tensor(x.b.a, IR_f32, 128) };
  VERIFIES(&x);
  RUNS(&x, a);
  for (int i = 0; i < 128; i++) ck_assert_double_eq(a[1]->f[i], a[0]->f[127 - i]);
  struct kir_op *bar = x.k->body.first->next->next;
  ck_assert_int_eq(bar->op, KIR_barrier);
  bar->prev->next = bar->next;
  bar->next->prev = bar->prev;
  FINDS_EACH(&x, a);                                    /* what is not there yet is poison, what is there is a race */
  x.k->warps = 1;                                       /* within a warp the lanes go in step: only the order tells */
  x.k->body.last->prev->ix[0] = x.k->body.last->ix[0] = x.k->lane;
  x.b.n->args.v[1]->hi[0] = x.b.n->args.v[1]->shape[0] = num(&x.b, 32);
  RUNS(&x, a);
  ir_arena_destroy(x.b.a);
}
END_TEST
START_TEST(races_by_kind)
{
  static const struct { int init, shift; const char *part; } cases[] = { { 1, 1, "that thread" }, { 0, 1, "another thread read" }, { 1, 0, NULL } };
  for (unsigned i = 0; i < 3; i++) {
    struct nb b = nb_create("r");
    kir_arg(b.n, "y", IR_f32, 1, IXS(num(&b, 64)), true);
    struct kb x = kb_create(b);
    kir_block(x.k, 2, 32);
    struct kir_arr *s = kir_buf(x.k, "s", IR_f32, 1, (int64_t[]){ 64 });
    const struct ir_ix *me = ir_ix_add(x.k->lane, ir_ix_muli(x.k->warp, 32)), *other = cases[i].shift ? ir_ix_sub(num(&b, 63), me) : me;
    st(&x, s, me, cst(&x, IR_f32, 1, 0));
    op0(&x, KIR_barrier);
    if (cases[i].init) st(&x, s, me, cst(&x, IR_f32, 1, 1));
    struct kir_op *v = ld(&x, s, 1, other);
    if (!cases[i].init) st(&x, s, me, cst(&x, IR_f32, 1, 1));
    st(&x, b.n->args.v[0], me, v);
    struct ir_tensor *a[] = { tensor(b.a, IR_f32, 64) };
    if (cases[i].part) {
      FINDS_EACH(&x, a);
      FINDS(&x, a, cases[i].part);
    } else RUNS(&x, a);
    ir_arena_destroy(b.a);
  }
}
END_TEST
START_TEST(barrier_under_a_condition)
{
  struct kb x = mirror(4);
  struct ir_tensor *a[] = { seeded(x.b.a, IR_f32, 128, 1), tensor(x.b.a, IR_f32, 128) };
  struct kir_block *up;
  struct kir_op *c = branch(&x, ir_ix_addi(x.k->warp, -1), &up);
  op0(&x, KIR_barrier);
  FINDS(&x, a, "deadlock");
  REFUSED(&x, "rule 5");
  c->ix[0] = ir_ix_addi(x.k->lane, -1);
  FINDS(&x, a, "only some lanes");
  REFUSED(&x, "rule 5");
  ir_arena_destroy(x.b.a);
}
END_TEST
START_TEST(lanes_branch_under_masks)
{
  struct kb x = mirror(1);
  struct kir_block *up;
  struct kir_arr *y = x.b.n->args.v[1];
  x.k->body.last = x.k->body.last->prev->prev;          /* without the last load and store */
  x.k->body.last->next = NULL;
  struct kir_op *c = branch(&x, ir_ix_addi(x.k->lane, -10), &up);
  st(&x, y, x.k->lane, cst(&x, IR_f32, 1, 1));
  x.e.at = &c->body[1];
  st(&x, y, x.k->lane, cst(&x, IR_f32, 1, 2));
  struct ir_tensor *a[] = { seeded(x.b.a, IR_f32, 32, 1), tensor(x.b.a, IR_f32, 32) };
  VERIFIES(&x);
  RUNS(&x, a);
  for (int i = 0; i < 32; i++) ck_assert_double_eq(a[1]->f[i], i >= 10 ? 1 : 2);
  ir_arena_destroy(x.b.a);
}
END_TEST
START_TEST(shuffles_sum_a_warp)
{
  struct kb x = mirror(1);
  x.k->body = (struct kir_block){ 0 };
  struct kir_op *v = ld(&x, x.b.n->args.v[0], 1, x.k->lane);
  for (int d = 16; d; d /= 2) {
    struct kir_op *o = kir_emit(&x.e, KIR_shfl, IR_f32, 1, &v, 1, NULL, 0);
    o->i = d;
    v = ew(&x, IR_MAP_add, v, o);
  }
  st(&x, x.b.n->args.v[1], x.k->lane, v);
  struct ir_tensor *a[] = { seeded(x.b.a, IR_f32, 32, 1), tensor(x.b.a, IR_f32, 32) };
  double sum = 0;
  for (int i = 0; i < 32; i++) sum += a[0]->f[i];
  VERIFIES(&x);
  RUNS(&x, a);
  for (int i = 0; i < 32; i++) ck_assert_double_eq(a[1]->f[i], sum);
  ir_arena_destroy(x.b.a);
}
END_TEST

/* ---- asynchronous copies: 4 f32 a lane into shared, read mirrored ---- */
static struct kb async(struct kir_op **wait, struct kir_op **barrier, struct kir_op **copy)
{
  struct nb b = nb_create("a");
  kir_arg(b.n, "x", IR_f32, 1, IXS(num(&b, 256)), false);
  kir_arg(b.n, "y", IR_f32, 1, IXS(num(&b, 256)), true);
  struct kb x = kb_create(b);
  kir_block(x.k, 2, 32);
  struct kir_arr *s = kir_buf(x.k, "s", IR_f32, 1, (int64_t[]){ 256 });
  const struct ir_ix *me = ir_ix_muli(ir_ix_add(x.k->lane, ir_ix_muli(x.k->warp, 32)), 4);
  *copy = kir_emit(&x.e, KIR_cp_async, IR_f32, 4, NULL, 0, IXS(me, me, ir_ix_sub(num(&b, 240), me)), 3);   /* the last 12 are zeros */
  (*copy)->arr = s;
  (*copy)->arr2 = b.n->args.v[0];
  op0(&x, KIR_commit);
  *wait = op0(&x, KIR_wait);
  *barrier = op0(&x, KIR_barrier);
  st(&x, b.n->args.v[1], me, ld(&x, s, 4, ir_ix_sub(num(&b, 252), me)));
  return x;
}
static void unlink_op(struct kir_op *o) { o->prev->next = o->next; o->next->prev = o->prev; }
START_TEST(asynchronous_copies)
{
  struct kir_op *wait, *barrier, *copy;
  struct kb x = async(&wait, &barrier, &copy);
  struct ir_tensor *a[] = { seeded(x.b.a, IR_f32, 256, 1), tensor(x.b.a, IR_f32, 256) };
  VERIFIES(&x);
  RUNS(&x, a);
  for (int i = 0; i < 256; i++) {
    int from = (63 - i / 4) * 4 + i % 4;
    ck_assert_double_eq(a[1]->f[i], from < 244 ? a[0]->f[from] : 0);
  }
  wait->i = 1;                                          /* waits for nothing */
  FINDS(&x, a, "in flight");
  wait->i = 0;
  unlink_op(barrier);
  FINDS_EACH(&x, a);
  struct kb y = async(&wait, &barrier, &copy);
  unlink_op(wait);
  REFUSED(&y, "rule 7");
  FINDS(&y, a, "in flight");
  struct kb z = async(&wait, &barrier, &copy);
  copy->ix[1] = ir_ix_addi(copy->ix[1], 1);
  FINDS(&z, a, "16 bytes");
  REFUSED(&z, "rule 3");
  copy->ix[1] = copy->ix[0];
  copy->arr->swz = 1u << 16 | 1 << 8 | 3;               /* swaps pairs: tears 4 elements */
  FINDS(&z, a, "tears");
  ir_arena_destroy(x.b.a);
  ir_arena_destroy(y.b.a);
  ir_arena_destroy(z.b.a);
}
END_TEST

/* ---- mma: C[16,8] += A[16,16] * B[16,8]; fragments by the ISA's formulas; through ldmatrix A (1), and B from rows of k, transposed (2) ---- */
START_TEST(mma_sync_by_the_isa)
{
  for (int ldm = 0; ldm < 3; ldm++) {
    struct nb b = nb_create("mma");
    struct kir_arr *A = kir_arg(b.n, "A", IR_f16, 2, IXS(num(&b, 16), num(&b, 16)), false), *B = kir_arg(b.n, "B", IR_f16, 2, IXS(num(&b, 8), num(&b, 16)), false),   /* B stored [n,k] */
                   *C = kir_arg(b.n, "C", IR_f32, 2, IXS(num(&b, 16), num(&b, 8)), true);
    struct kb x = kb_create(b);
    kir_block(x.k, 1, 32);
    struct kir_reg *ra = kir_reg_var(x.k, "a", IR_f16, 4, 2), *rb = kir_reg_var(x.k, "b", IR_f16, 2, 2), *rc = kir_reg_var(x.k, "c", IR_f32, 2, 2);
    const struct ir_ix *g = ir_ix_divi(x.k->lane, 4), *t2 = ir_ix_muli(ir_ix_modi(x.k->lane, 4), 2);
    struct kir_arr *s = kir_buf(x.k, "s", IR_f16, 2, (int64_t[]){ 16, 16 });
    for (int r = 0; r < 4 && !ldm; r++)                 /* PTX: a0,a1 (g, t2), a2,a3 (g+8, t2), a4.. (g, t2+8), a6.. (g+8, t2+8) */
      set(&x, ra, num(&b, r), ld(&x, A, 2, ir_ix_add(ir_ix_muli(ir_ix_addi(g, r % 2 * 8), 16), ir_ix_addi(t2, r / 2 * 8))));
    if (ldm) {
      st(&x, s, ir_ix_muli(x.k->lane, 8), ld(&x, A, 8, ir_ix_muli(x.k->lane, 8)));
      op0(&x, KIR_barrier);
      const struct ir_ix *row = ir_ix_modi(x.k->lane, 16), *half = ir_ix_divi(x.k->lane, 16);    /* lanes 0-7: matrix 0 = rows 0-7, k 0-7; 8-15: rows 8-15; 16..: k 8-15 */
      struct kir_op *o = kir_emit(&x.e, KIR_ldmatrix, IR_f16, 2, NULL, 0, IXS(num(&b, 0), ir_ix_add(ir_ix_muli(row, 16), ir_ix_muli(half, 8))), 2);
      o->reg = ra;
      o->arr = s;
      o->i = 4;
    }
    if (ldm == 2) {                                     /* t[k, n]: row k of it holds what B has in column k; lanes 0-15 give the rows' places */
      struct kir_arr *t = kir_buf(x.k, "t", IR_f16, 2, (int64_t[]){ 16, 8 });
      for (int e = 0; e < 4; e++) st(&x, t, ir_ix_add(ir_ix_muli(x.k->lane, 4), num(&b, e)), ld(&x, B, 1, ir_ix_add(ir_ix_muli(ir_ix_addi(ir_ix_muli(ir_ix_modi(x.k->lane, 2), 4), e), 16), ir_ix_divi(x.k->lane, 2))));
      op0(&x, KIR_barrier);
      struct kir_op *o = kir_emit(&x.e, KIR_ldmatrix, IR_f16, 2, NULL, 0, IXS(num(&b, 0), ir_ix_muli(ir_ix_modi(x.k->lane, 16), 8)), 2);
      o->reg = rb;
      o->arr = t;
      o->i = 2;
      o->sub = 1;
    }
    for (int r = 0; r < 2; r++) {
      if (ldm < 2) set(&x, rb, num(&b, r), ld(&x, B, 2, ir_ix_add(ir_ix_muli(g, 16), ir_ix_addi(t2, 8 * r))));     /* b0,b1 (k t2, n g), b2,b3 (k t2+8) */
      set(&x, rc, num(&b, r), cst(&x, IR_f32, 2, 0.5));
    }
    struct kir_op *m = kir_emit(&x.e, KIR_mma_sync, IR_f32, 2, NULL, 0, IXS(num(&b, 0), num(&b, 0), num(&b, 0)), 3);
    m->reg = rc;
    m->reg2 = ra;
    m->reg3 = rb;
    m->inst = kir_inst_find("mma.m16n8k16.f16.f32");
    for (int r = 0; r < 2; r++) st(&x, C, ir_ix_add(ir_ix_muli(ir_ix_addi(g, 8 * r), 8), t2), get(&x, rc, num(&b, r)));   /* c0,c1 (g, t2), c2,c3 (g+8, t2) */
    struct ir_tensor *a[] = { seeded(b.a, IR_f16, 256, 1), seeded(b.a, IR_f16, 128, 2), tensor(b.a, IR_f32, 128) };
    VERIFIES(&x);
    RUNS(&x, a);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 8; j++) {
        double sum = 0.5;
        for (int k = 0; k < 16; k++) sum += a[0]->f[i * 16 + k] * a[1]->f[j * 16 + k];
        ck_assert_double_eq(a[2]->f[i * 8 + j], (float)sum);
      }
    m->ix[1] = num(&b, 1);
    REFUSED(&x, "rule 4");
    ir_arena_destroy(b.a);
  }
}
END_TEST

/* ---- mma of tf32: C[16,8] += A[16,8] * B[8,8]; fragments by the ISA's formulas, loaded (0) or through ldmatrix, whose rows are 4 such elements (1); from words that are not rounded (2) ---- */
START_TEST(tf32_mma_by_the_isa)
{
  for (int how = 0; how < 3; how++) {
    struct nb b = nb_create("mma");
    enum ir_elem e = how == 2 ? IR_f32 : IR_tf32;
    struct kir_arr *A = kir_arg(b.n, "A", e, 2, IXS(num(&b, 16), num(&b, 8)), false), *B = kir_arg(b.n, "B", e, 2, IXS(num(&b, 8), num(&b, 8)), false),      /* B stored [n,k] */
                   *C = kir_arg(b.n, "C", IR_f32, 2, IXS(num(&b, 16), num(&b, 8)), true);
    struct kb x = kb_create(b);
    kir_block(x.k, 1, 32);
    struct kir_reg *r[3] = { kir_reg_var(x.k, "a", IR_tf32, 4, 1), kir_reg_var(x.k, "b", IR_tf32, 2, 1), kir_reg_var(x.k, "c", IR_f32, 2, 2) };
    struct kir_op *last = NULL;
    const struct ir_ix *g = ir_ix_divi(x.k->lane, 4), *t = ir_ix_modi(x.k->lane, 4);
    for (int o = 0; o < 2 && how == 1; o++) {           /* rows of 8: lanes 0-7 give the first rows' first halves; then A's rows 8-15, and second halves */
      struct kir_arr *s = kir_buf(x.k, o ? "sB" : "sA", IR_tf32, 2, (int64_t[]){ o ? 8 : 16, 8 });
      unsigned n = o ? 2 : 4;
      st(&x, s, ir_ix_muli(x.k->lane, n), ld(&x, o ? B : A, n, ir_ix_muli(x.k->lane, n)));
      op0(&x, KIR_barrier);
      const struct ir_ix *row = ir_ix_modi(x.k->lane, o ? 8 : 16), *half = ir_ix_modi(ir_ix_divi(x.k->lane, o ? 8 : 16), 2);
      last = kir_emit(&x.e, KIR_ldmatrix, IR_tf32, 1, NULL, 0, IXS(num(&b, 0), ir_ix_add(ir_ix_muli(row, 8), ir_ix_muli(half, 4))), 2);
      last->reg = r[o];
      last->arr = s;
      last->i = n;
    }
    for (int i = 0; i < 4 && how != 1; i++) {           /* PTX: a0 (g, t), a1 (g+8, t), a2 (g, t+4), a3 (g+8, t+4) */
      struct kir_op *v = ld(&x, A, 1, ir_ix_add(ir_ix_muli(ir_ix_addi(g, i % 2 * 8), 8), ir_ix_addi(t, i / 2 * 4)));
      set(&x, r[0], num(&b, i), how == 2 ? kir_emit(&x.e, KIR_bitcast, IR_tf32, 1, (struct kir_op *[]){ v }, 1, NULL, 0) : v);
    }
    for (int i = 0; i < 2; i++) {                       /* b0 (k t, n g), b1 (k t+4) */
      if (how != 1) {
        struct kir_op *v = ld(&x, B, 1, ir_ix_add(ir_ix_muli(g, 8), ir_ix_addi(t, 4 * i)));
        set(&x, r[1], num(&b, i), how == 2 ? kir_emit(&x.e, KIR_cast, IR_tf32, 1, (struct kir_op *[]){ v }, 1, NULL, 0) : v);
      }
      set(&x, r[2], num(&b, i), cst(&x, IR_f32, 2, 0.5));
    }
    struct kir_op *m = kir_emit(&x.e, KIR_mma_sync, IR_f32, 2, NULL, 0, IXS(num(&b, 0), num(&b, 0), num(&b, 0)), 3);
    m->reg = r[2];
    m->reg2 = r[0];
    m->reg3 = r[1];
    m->inst = kir_inst_find("mma.m16n8k8.tf32.f32");
    for (int i = 0; i < 2; i++) st(&x, C, ir_ix_add(ir_ix_muli(ir_ix_addi(g, 8 * i), 8), ir_ix_muli(t, 2)), get(&x, r[2], num(&b, i)));      /* c0,c1 (g, 2t), c2,c3 (g+8, 2t) */
    struct ir_tensor *a[] = { seeded(b.a, e, 128, 1), seeded(b.a, e, 64, 2), tensor(b.a, IR_f32, 128) };
    if (how == 2) a[0]->f[77] = 1 + 0x1p-11;
    VERIFIES(&x);
    if (how == 2) FINDS(&x, a, "not rounded");
    else {
      RUNS(&x, a);
      for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
          double sum = 0.5;
          for (int k = 0; k < 8; k++) sum += a[0]->f[i * 8 + k] * a[1]->f[j * 8 + k];
          ck_assert_double_eq(a[2]->f[i * 8 + j], (float)sum);
        }
    }
    if (last) {
      last->sub = 1;                                    /* transposition is of 16-bit elements */
      REFUSED(&x, "rule 1");
    }
    ir_arena_destroy(b.a);
  }
}
END_TEST

/* ---- wgmma: C[64,64] += A[64,K]*B[64,K]^T, K 64 of f16 or 32 of tf32; thread l of warp w has rows 16w + l/4 and + 8, columns 8j + 2*(l % 4) and + 1 (PTX ISA, D of m64nNk16) ---- */
START_TEST(wgmma_by_the_isa)
{
  for (int form = 0; form < 6; form++) {
    int broken = form % 3, K = form < 3 ? 64 : 32;          /* rows of 128 bytes */
    enum ir_elem el = form < 3 ? IR_f16 : IR_tf32;
    unsigned piece = form < 3 ? 8 : 4;
    struct nb b = nb_create("wgmma");
    struct kir_arr *A = kir_arg(b.n, "A", el, 2, IXS(num(&b, 64), num(&b, K)), false), *B = kir_arg(b.n, "B", el, 2, IXS(num(&b, 64), num(&b, K)), false),
                   *C = kir_arg(b.n, "C", IR_f32, 2, IXS(num(&b, 64), num(&b, 64)), true);
    struct kb x = kb_create(b);
    kir_block(x.k, 4, 32);
    struct kir_arr *from[2] = { A, B }, *s[2];
    struct kir_reg *c = kir_reg_var(x.k, "c", IR_f32, 16, 2);
    const struct ir_ix *thread = ir_ix_add(ir_ix_muli(x.k->warp, 32), x.k->lane);
    for (int i = 0; i < 2; i++) {
      s[i] = kir_buf(x.k, i ? "sB" : "sA", el, 2, (int64_t[]){ 64, K });
      s[i]->swz = 3u << 16 | (form < 3 ? 3u : 2u) << 8 | 3;
      for (int e = 0; e < 4; e++) {                     /* a piece of 16 bytes each */
        const struct ir_ix *at = ir_ix_muli(ir_ix_addi(thread, 128 * e), piece);
        st(&x, s[i], at, ld(&x, from[i], piece, at));
      }
    }
    for (int r = 0; r < 16; r++) set(&x, c, num(&b, r), cst(&x, IR_f32, 2, 0.5));
    op0(&x, KIR_barrier);
    struct kir_op *m = kir_emit(&x.e, KIR_wgmma, IR_f32, 1, NULL, 0, IXS(num(&b, 0), num(&b, 0), broken == 1 ? ir_ix_muli(x.k->warp, 8 * K) : num(&b, 0)), 3);
    m->reg = c;
    m->arr = s[0];
    m->arr2 = s[1];
    m->i = 4;
    m->inst = kir_inst_find(form < 3 ? "wgmma.m64n64k16.f16.f32" : "wgmma.m64n64k8.tf32.f32");
    if (broken != 2) op0(&x, KIR_wgmma_wait)->reg = c;
    for (int r = 0; r < 16; r++) {
      const struct ir_ix *row = ir_ix_add(ir_ix_add(ir_ix_muli(x.k->warp, 16), ir_ix_divi(x.k->lane, 4)), num(&b, r % 2 * 8)), *col = ir_ix_add(num(&b, r / 2 * 8), ir_ix_muli(ir_ix_modi(x.k->lane, 4), 2));
      st(&x, C, ir_ix_add(ir_ix_muli(row, 64), col), get(&x, c, num(&b, r)));
    }
    struct ir_tensor *a[] = { seeded(b.a, el, 64 * K, 1), seeded(b.a, el, 64 * K, 2), tensor(b.a, IR_f32, 4096) };
    if (broken == 1) FINDS(&x, a, "different operands");
    else if (broken) FINDS(&x, a, "never set");
    else {
      VERIFIES(&x);
      RUNS(&x, a);
      for (int i = 0; i < 64; i++)
        for (int j = 0; j < 64; j++) {
          double sum = 0.5;
          for (int k = 0; k < K; k++) sum += a[0]->f[i * K + k] * a[1]->f[j * K + k];
          ck_assert_double_eq(a[2]->f[i * 64 + j], (float)sum);
        }
      s[1]->swz = 0;
      REFUSED(&x, "rule 1");
    }
    ir_arena_destroy(b.a);
  }
}
END_TEST

/* ---- one refusal per rule of the verifier that no test above shows ---- */
START_TEST(verifier_refuses)
{
  struct kb x = scalar_gemm();
  struct kir_op *n = x.k->body.first, *k = n->body[0].first->next->next, *load = k->body[0].first, *set_acc = k->body[0].last, *store = n->body[0].last;
  VERIFIES(&x);

  n->body[0].first->lanes = 2;                          /* 1: types */
  REFUSED(&x, "rule 1");
  n->body[0].first->lanes = 1;
  store->src[0] = set_acc->src[0];                      /* 1: defined in a block that has ended */
  REFUSED(&x, "not defined");
  store->src[0] = store->prev;
  const struct ir_ix *off = load->ix[0];
  load->ix[0] = ir_ix_fresh(x.b.t, "q", IR_SYM_LOOP, 0, 9, 1);           /* 1: a symbol of nowhere */
  REFUSED(&x, "without value");
  load->ix[0] = ir_ix_addi(off, 1);                     /* 2: one row too far at the end */
  REFUSED(&x, "rule 2");
  load->ix[0] = ir_ix_addi(off, -1);
  REFUSED(&x, "rule 2");
  load->ix[0] = off;
  set_acc->ix[0] = k->var;                              /* 4: a loop that is not replayed */
  REFUSED(&x, "rule 4");
  set_acc->ix[0] = num(&x.b, 1);
  REFUSED(&x, "rule 4");
  set_acc->ix[0] = num(&x.b, 0);
  store->arr = x.b.n->args.v[2];                        /* 8: not a result; never stored */
  REFUSED(&x, "rule 8");
  x.b.n->args.v[2]->out = true;
  store->ix[0] = n->var;
  REFUSED(&x, "C is never stored");
  x.b.n->args.v[2]->out = false;
  store->arr = x.b.n->args.v[3];
  store->ix[0] = ir_ix_add(ir_ix_muli(x.k->grid.v[0].var, 50), n->var);
  VERIFIES(&x);
  x.k->regs.v[0]->count = 100000;                       /* 10: registers; the buffer outside of the scratch */
  REFUSED(&x, "rule 10");
  x.k->regs.v[0]->count = 1;
  kir_buf(x.k, "s", IR_f32, 1, (int64_t[]){ 64 });
  VERIFIES(&x);
  x.k->scratch_bytes = 100;
  REFUSED(&x, "rule 10");
  ir_arena_destroy(x.b.a);

  struct kb y = mirror(4);
  y.k->body.first->next->ix[0] = ir_ix_muli(y.k->lane, 2);                /* 6: all warps store the same */
  REFUSED(&y, "rule 6");
  ir_arena_destroy(y.b.a);
}
END_TEST

static void add(TCase *t)
{
  tcase_add_test(t, gemm_at_lanes_1);
  tcase_add_test(t, vectors_guards_upto_and_strides);
  tcase_add_test(t, vred_extract_bitcast_and_integers);
  tcase_add_test(t, results_are_stored_once_and_set);
  tcase_add_test(t, halo_is_zero_and_slack_is_free);
  tcase_add_test(t, padding_of_operands_is_poison);
  tcase_add_test(t, shared_memory_and_barriers);
  tcase_add_test(t, races_by_kind);
  tcase_add_test(t, barrier_under_a_condition);
  tcase_add_test(t, lanes_branch_under_masks);
  tcase_add_test(t, shuffles_sum_a_warp);
  tcase_add_test(t, asynchronous_copies);
  tcase_add_test(t, mma_sync_by_the_isa);
  tcase_add_test(t, tf32_mma_by_the_isa);
  tcase_add_test(t, wgmma_by_the_isa);
  tcase_add_test(t, verifier_refuses);
}
int main(void) { return run_suite("interp", add); }
