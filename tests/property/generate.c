/* Random graphs: a few parameters, then nodes one by one, each by a generator that makes operands fit. What bounds.c does not find good is taken out again. */
#include "tests/property/property.h"
#include <math.h>
#include <stdlib.h>

enum { MAX_POOL = 64, ELEMS = 6000, WORK = 400000 };
static const int64_t sizes[] = { 1, 2, 3, 5, 7, 8, 16, 17 };
struct gen {
  struct rnd *r;
  struct ir_module *m;
  struct ir_builder b;
  struct ir_value *pool[MAX_POOL];
  unsigned n;
  const struct ir_ix *sym[4];
  unsigned n_sym;
  struct sizes z[MAX_SIZES];
  uint64_t data;
};

/* ---- sizes ---- */
static int64_t sym_value(void *arg, const struct ir_sym *s, bool *known)
{
  const struct sizes *z = arg;
  const char *name = s->whole ? s->whole->name : s->name;
  *known = false;
  for (unsigned i = 0; i < z->n; i++)
    if (!strcmp(z->sym[i].name, name)) { *known = true; return z->sym[i].value / (s->whole ? s->whole->by : 1); }
  return 0;
}
/* The larger of the values that e takes. */
static int64_t value_of(const struct gen *g, const struct ir_ix *e)
{
  int64_t best = 0;
  for (unsigned i = 0; i < MAX_SIZES; i++) {
    struct ir_ix_env env = { .sym = sym_value, .arg = (void *)&g->z[i] };
    int64_t v = INT64_MAX;
    if (!ir_ix_eval(e, &env, &v) || v > best) best = v;
  }
  return best;
}
static int64_t elems(const struct gen *g, const struct ir_type *t)
{
  int64_t k = 1;
  for (unsigned d = 0; d < t->rank; d++) k *= value_of(g, t->dim[d]);
  return k;
}
static const struct ir_ix *num(struct gen *g, int64_t k) { return ir_ix_int(g->m->ixs, k); }
static void make_symbols(struct gen *g)
{
  static const struct { const char *name; int64_t lo, hi, by; } kinds[] = { { "n", 1, 17, 1 }, { "m", 1, 64, 1 }, { "k", 8, 32, 8 }, { "seq", 1, 4096, 1 } };
  g->n_sym = 4;
  for (unsigned i = 0; i < g->n_sym; i++) {
    g->sym[i] = ir_ix_sym(g->m->ixs, kinds[i].name, IR_SYM_DIM, kinds[i].lo, kinds[i].hi, kinds[i].by);
    for (unsigned z = 0; z < MAX_SIZES; z++) {
      strcpy(g->z[z].sym[i].name, kinds[i].name);
      g->z[z].sym[i].value = kinds[i].by > 1 ? kinds[i].by * (1 + (int64_t)rnd_below(g->r, 2)) : RND_PICK(g->r, sizes);
      g->z[z].n = g->n_sym;
    }
  }
}
static const struct ir_ix *any_dim(struct gen *g) { return rnd_chance(g->r, 2) ? g->sym[rnd_below(g->r, g->n_sym)] : num(g, RND_PICK(g->r, sizes)); }
static enum ir_elem any_elem(struct gen *g)
{
  static const enum ir_elem rare[] = { IR_f64, IR_f16, IR_bf16, IR_i32, IR_i64, IR_i64, IR_u8, IR_i8, IR_i16, IR_u32, IR_bool };
  return rnd_chance(g->r, 4) ? RND_PICK(g->r, rare) : IR_f32;
}
static char class(const struct ir_value *v) { return ir_elem_class(v->type->elem); }

/* ---- operands ---- */
static struct ir_value *pick(struct gen *g) { return g->pool[rnd_chance(g->r, 2) ? g->n - 1 - rnd_below(g->r, g->n < 3 ? g->n : 3) : rnd_below(g->r, g->n)]; }
static struct ir_value *pick_class(struct gen *g, const char *classes)
{
  for (unsigned i = 0; i < 12; i++) {
    struct ir_value *v = pick(g);
    if (strchr(classes, class(v))) return v;
  }
  return NULL;
}
static struct ir_value *pick_rank(struct gen *g, unsigned lo, unsigned hi)
{
  for (unsigned i = 0; i < 12; i++) {
    struct ir_value *v = pick(g);
    if (v->type->rank >= lo && v->type->rank <= hi) return v;
  }
  return NULL;
}
/* Multiples of 1/4, small integers, no zeros when `solid`. */
static struct ir_value *constant(struct gen *g, enum ir_elem e, unsigned rank, const int64_t *dim, bool solid)
{
  const struct ir_type *t = ir_type_ints(g->m, e, rank, dim);
  int64_t n = 1;
  for (unsigned d = 0; d < rank; d++) n *= dim[d];
  if (n > ELEMS) return NULL;
  struct ir_tensor *x = ir_tensor_create(g->m->arena, e, rank, dim);
  for (int64_t i = 0; i < n; i++) {
    int64_t v = (int64_t)rnd_below(g->r, 13) - 6;
    if (solid && !v) v = 1;
    if (ir_elem_class(e) == 'F') x->f[i] = (double)v / 4;
    else x->i[i] = ir_elem_class(e) == 'B' ? v & 1 : ir_elem_class(e) == 'U' ? llabs(v) : v;
  }
  unsigned char *p = ir_arena_alloc(g->m->arena, (size_t)n * ir_elem_bytes(e) + 1);
  ir_tensor_to_bytes(x, p);
  struct ir_data d = { .kind = IR_DATA_BYTES, .p = p, .bytes = (uint64_t)n * ir_elem_bytes(e) };
  return ir_const_bytes(&g->b, t, &d, NULL);
}
static struct ir_value *scalar(struct gen *g, enum ir_elem e, bool solid) { return constant(g, e, 0, NULL, solid); }
/* Of x's element, with x's shape or one that broadcasts to it. */
static struct ir_value *fitting(struct gen *g, struct ir_value *x, bool solid)
{
  for (unsigned i = 0; i < 8 && !solid; i++) {
    struct ir_value *v = pick(g);
    if (v->type->elem != x->type->elem || v->type->rank > x->type->rank) continue;
    bool fits = true;
    for (unsigned d = 0; d < v->type->rank; d++) {
      const struct ir_ix *a = v->type->dim[d], *b = x->type->dim[x->type->rank - v->type->rank + d];
      fits &= a == b || ir_ix_is(a, 1);
    }
    if (fits) return v;
  }
  int64_t dim[IR_MAX_RANK];
  unsigned r = x->type->rank, drop = rnd_below(g->r, r + 1);
  for (unsigned d = drop; d < r; d++)
    if (!ir_ix_const(x->type->dim[d], &dim[d - drop]) || rnd_chance(g->r, 3)) dim[d - drop] = 1;
  return constant(g, x->type->elem, r - drop, dim, solid);
}
static struct ir_value *node(struct gen *g, enum ir_op op, struct ir_value *const *in, unsigned n_in, const struct ir_attr *a, unsigned n)
{
  for (unsigned i = 0; i < n_in; i++)
    if (!in[i]) return NULL;
  struct ir_node *r = ir_build(&g->b, op, in, n_in, a, n);
  return r ? r->out[0] : NULL;
}

/* ---- generators, one per kind of node; NULL: nothing fits ---- */
static struct ir_value *g_unary(struct gen *g)
{
  static const enum ir_op f[] = { IR_OP_abs, IR_OP_neg, IR_OP_sign, IR_OP_floor, IR_OP_ceil, IR_OP_round, IR_OP_exp, IR_OP_sin, IR_OP_cos, IR_OP_tanh, IR_OP_erf, IR_OP_sigmoid, IR_OP_atan, IR_OP_asinh },
                          i[] = { IR_OP_abs, IR_OP_neg, IR_OP_sign, IR_OP_not };
  struct ir_value *x = pick_class(g, "FIUB");
  if (class(x) == 'B') return ir_map1(&g->b, IR_OP_not, x);
  return ir_map1(&g->b, class(x) == 'F' ? RND_PICK(g->r, f) : RND_PICK(g->r, i), x);
}
/* log, sqrt, recip of what is at least 1. */
static struct ir_value *g_positive(struct gen *g)
{
  static const enum ir_op f[] = { IR_OP_log, IR_OP_sqrt, IR_OP_recip };
  struct ir_value *x = pick_class(g, "F");
  return x ? ir_map1(&g->b, RND_PICK(g->r, f), ir_map2(&g->b, IR_OP_add, ir_map1(&g->b, IR_OP_abs, x), ir_const_f(&g->b, x->type->elem, 1))) : NULL;
}
static struct ir_value *g_binary(struct gen *g)
{
  static const enum ir_op f[] = { IR_OP_add, IR_OP_add, IR_OP_sub, IR_OP_mul, IR_OP_mul, IR_OP_min, IR_OP_max }, i[] = { IR_OP_add, IR_OP_sub, IR_OP_mul, IR_OP_min, IR_OP_max, IR_OP_div, IR_OP_mod, IR_OP_and, IR_OP_or, IR_OP_xor, IR_OP_shl, IR_OP_shr },
                          b[] = { IR_OP_and, IR_OP_or, IR_OP_xor };
  struct ir_value *x = pick(g), *y = fitting(g, x, false);
  enum ir_op op = class(x) == 'F' ? RND_PICK(g->r, f) : class(x) == 'B' ? RND_PICK(g->r, b) : RND_PICK(g->r, i);
  return y ? rnd_chance(g->r, 3) ? ir_map2(&g->b, op, y, x) : ir_map2(&g->b, op, x, y) : NULL;
}
/* x held within lo..hi, where a function of f is defined and steep nowhere. */
static struct ir_value *held(struct gen *g, struct ir_value *x, double lo, double hi)
{
  return ir_map2(&g->b, IR_OP_min, ir_map2(&g->b, IR_OP_max, x, ir_const_f(&g->b, x->type->elem, lo)), ir_const_f(&g->b, x->type->elem, hi));
}
static struct ir_value *g_held(struct gen *g)
{
  static const struct { enum ir_op op; double lo, hi; } f[] = { { IR_OP_tan, -1, 1 }, { IR_OP_asin, -0.75, 0.75 }, { IR_OP_acos, -0.75, 0.75 }, { IR_OP_sinh, -4, 4 }, { IR_OP_cosh, -4, 4 }, { IR_OP_acosh, 1.25, 8 },
                                                                { IR_OP_atanh, -0.75, 0.75 }, { IR_OP_pow, 0.25, 2 } };
  struct ir_value *x = pick_class(g, "F");
  unsigned i = rnd_below(g->r, sizeof f / sizeof *f);
  if (!x || !(x = held(g, x, f[i].lo, f[i].hi))) return NULL;
  if (f[i].op != IR_OP_pow) return ir_map1(&g->b, f[i].op, x);
  struct ir_value *y = fitting(g, x, false);
  return y ? ir_map2(&g->b, IR_OP_pow, x, held(g, y, -2, 2)) : NULL;
}
/* Of x with an infinity or NaN in some places. */
static struct ir_value *g_is(struct gen *g)
{
  static const double odd[] = { INFINITY, -INFINITY, NAN };
  struct ir_value *x = pick_class(g, "F"), *y = x ? fitting(g, x, false) : NULL, *where = y ? ir_map2(&g->b, IR_OP_lt, x, y) : NULL;
  x = where ? ir_map3(&g->b, IR_OP_select, where, ir_const_f(&g->b, x->type->elem, RND_PICK(g->r, odd)), x) : NULL;
  return x ? ir_map1(&g->b, rnd_chance(g->r, 2) ? IR_OP_isnan : IR_OP_isinf, x) : NULL;
}
static struct ir_value *g_copy(struct gen *g)
{
  struct ir_value *x = pick(g);
  return node(g, IR_OP_copy, &x, 1, NULL, 0);
}
static struct ir_value *g_div(struct gen *g)
{
  struct ir_value *x = pick_class(g, "F");
  return x ? ir_map2(&g->b, IR_OP_div, x, fitting(g, x, true)) : NULL;
}
static struct ir_value *g_compare(struct gen *g)
{
  static const enum ir_op f[] = { IR_OP_eq, IR_OP_lt, IR_OP_le };
  struct ir_value *x = pick_class(g, "FIU"), *y = x ? fitting(g, x, false) : NULL;
  return y ? ir_map2(&g->b, RND_PICK(g->r, f), x, y) : NULL;
}
static struct ir_value *g_select(struct gen *g)
{
  struct ir_value *c = pick_class(g, "B"), *x = pick(g);
  if (!c || rnd_chance(g->r, 2)) { struct ir_value *y = class(x) == 'B' ? NULL : fitting(g, x, false); c = y ? ir_map2(&g->b, IR_OP_lt, x, y) : NULL; }
  if (!c) return NULL;
  for (unsigned d = 0; d < c->type->rank && c->type->rank == x->type->rank; d++)
    if (c->type->dim[d] != x->type->dim[d] && !ir_ix_is(c->type->dim[d], 1)) return NULL;
  if (c->type->rank && c->type->rank != x->type->rank) return NULL;
  return ir_map3(&g->b, IR_OP_select, c, x, fitting(g, x, false));
}
static struct ir_value *g_cast(struct gen *g) { return ir_cast(&g->b, pick(g), any_elem(g)); }
static struct ir_value *g_transpose(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 2, 5);
  int64_t p[IR_MAX_RANK];
  if (!x) return NULL;
  for (unsigned i = 0; i < x->type->rank; i++) p[i] = i;
  for (unsigned i = 0; i + 1 < x->type->rank; i++) { unsigned j = i + rnd_below(g->r, x->type->rank - i); int64_t t = p[i]; p[i] = p[j]; p[j] = t; }
  return ir_transpose(&g->b, x, p);
}
/* Neighbours merge, numbers split, unit axes come and go. */
static struct ir_value *g_reshape(struct gen *g)
{
  struct ir_value *x = pick(g);
  const struct ir_ix *dim[IR_MAX_RANK];
  unsigned n = 0, r = x->type->rank;
  for (unsigned d = 0; d < r; d++) {
    int64_t k;
    if (rnd_chance(g->r, 4)) dim[n++] = num(g, 1);
    if (n && d && rnd_chance(g->r, 3)) { dim[n - 1] = ir_ix_mul(dim[n - 1], x->type->dim[d]); continue; }
    if (ir_ix_by(x->type->dim[d]) % 2 == 0 && ir_ix_by(x->type->dim[d]) > 0 && rnd_chance(g->r, 2)) { k = 2; dim[n++] = ir_ix_divi(x->type->dim[d], k); dim[n++] = num(g, k); }
    else dim[n++] = x->type->dim[d];
    if (n > 6) return NULL;
  }
  return ir_reshape(&g->b, x, n, dim);
}
static struct ir_value *g_broadcast(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 0, 4);
  const struct ir_ix *dim[IR_MAX_RANK];
  if (!x) return NULL;
  unsigned r = x->type->rank, more = rnd_below(g->r, 2);
  for (unsigned d = 0; d < more; d++) dim[d] = any_dim(g);
  for (unsigned d = 0; d < r; d++) dim[more + d] = ir_ix_is(x->type->dim[d], 1) ? any_dim(g) : x->type->dim[d];
  return ir_broadcast(&g->b, x, r + more, dim);
}
static struct ir_value *g_slice(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 1, 5);
  const struct ir_ix *start[IR_MAX_RANK], *step[IR_MAX_RANK], *dim[IR_MAX_RANK];
  if (!x) return NULL;
  for (unsigned d = 0; d < x->type->rank; d++) {
    const struct ir_ix *e = x->type->dim[d];
    int64_t k, lo, hi, s = 1, from = 0, count = 0;
    bool known = ir_ix_const(e, &k);
    ir_ix_range(e, &lo, &hi);
    start[d] = num(g, 0);
    step[d] = num(g, 1);
    dim[d] = e;
    if (rnd_chance(g->r, 2)) continue;
    if (known && k > 0) {
      from = rnd_below(g->r, (unsigned)k);
      s = rnd_chance(g->r, 3) ? -1 - (int64_t)rnd_below(g->r, 2) : 1 + (int64_t)rnd_below(g->r, 3);
      count = 1 + (int64_t)rnd_below(g->r, (unsigned)(s > 0 ? (k - 1 - from) / s + 1 : from / -s + 1));
      start[d] = num(g, from);
      step[d] = num(g, s);
      dim[d] = num(g, count);
    } else if (!known && rnd_chance(g->r, 2)) { start[d] = ir_ix_addi(e, -1); step[d] = num(g, -1); }       /* reversed */
    else if (!known && lo >= 2) { start[d] = num(g, 1); dim[d] = ir_ix_addi(e, -1); }
  }
  struct ir_attr a[] = { ir_attr_ixs(g->m, "start", start, x->type->rank), ir_attr_ixs(g->m, "step", step, x->type->rank), ir_attr_ixs(g->m, "dims", dim, x->type->rank) };
  return node(g, IR_OP_slice, &x, 1, a, 3);
}
static struct ir_value *g_pad(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 1, 4);
  const struct ir_ix *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
  if (!x) return NULL;
  for (unsigned d = 0; d < x->type->rank; d++) {
    lo[d] = num(g, rnd_chance(g->r, 2) ? 0 : (int64_t)rnd_below(g->r, 3));
    hi[d] = rnd_chance(g->r, 8) ? g->sym[0] : num(g, rnd_chance(g->r, 2) ? 0 : (int64_t)rnd_below(g->r, 4));
  }
  struct ir_value *in[] = { x, scalar(g, x->type->elem, false) };
  struct ir_attr a[] = { ir_attr_ixs(g->m, "lo", lo, x->type->rank), ir_attr_ixs(g->m, "hi", hi, x->type->rank) };
  return node(g, IR_OP_pad, in, 2, a, 2);
}
static struct ir_value *g_concat(struct gen *g)
{
  struct ir_value *in[4] = { pick_rank(g, 1, 5) };
  if (!in[0]) return NULL;
  unsigned n = 1, axis = rnd_below(g->r, in[0]->type->rank);
  for (unsigned tries = 0; n < 4 && tries < 12; tries++) {
    struct ir_value *v = pick(g);
    bool fits = v->type->elem == in[0]->type->elem && v->type->rank == in[0]->type->rank;
    for (unsigned d = 0; fits && d < v->type->rank; d++) fits = d == axis || v->type->dim[d] == in[0]->type->dim[d];
    if (fits) in[n++] = v;
  }
  struct ir_attr a = ir_attr_int("axis", axis);
  return node(g, IR_OP_concat, in, n, &a, 1);
}
static struct ir_value *g_gather(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 1, 4), *i = rnd_chance(g->r, 2) ? pick_class(g, "I") : NULL;
  int64_t dim[2] = { RND_PICK(g->r, sizes), 2 };
  if (!x) return NULL;
  if (!i || x->type->rank + i->type->rank > 6) i = constant(g, rnd_chance(g->r, 2) ? IR_i64 : IR_i32, rnd_below(g->r, 3), dim, false);
  struct ir_value *in[] = { x, i };
  struct ir_attr a = ir_attr_int("axis", rnd_below(g->r, x->type->rank));
  return node(g, IR_OP_gather, in, 2, &a, 1);
}
static struct ir_value *reduce(struct gen *g, struct ir_value *x, const char *op, const int64_t *axes, unsigned n)
{
  struct ir_attr a[] = { ir_attr_str("op", op), ir_attr_ints(g->m, "axes", axes, n) };
  return node(g, IR_OP_reduce, &x, 1, a, 2);
}
/* The same, said by how many elements each axis is reduced over: so do models that read their axes. */
static struct ir_value *reduce_over(struct gen *g, struct ir_value *x, const char *op, const int64_t *axes, unsigned n)
{
  const struct ir_ix *over[IR_MAX_RANK], *dim[IR_MAX_RANK];
  for (unsigned d = 0; d < x->type->rank; d++) { over[d] = num(g, 1); dim[d] = x->type->dim[d]; }
  for (unsigned i = 0; i < n; i++) { over[axes[i]] = x->type->dim[axes[i]]; dim[axes[i]] = num(g, 1); }
  struct ir_attr a[] = { ir_attr_str("op", op), ir_attr_ixs(g->m, "over", over, x->type->rank), ir_attr_ixs(g->m, "dims", dim, x->type->rank) };
  return node(g, IR_OP_reduce, &x, 1, a, 3);
}
static struct ir_value *g_reduce(struct gen *g)
{
  static const char *const f[] = { "sum", "sum", "max", "min", "prod" }, *const b[] = { "and", "or" };
  struct ir_value *x = pick_rank(g, 1, 5);
  int64_t axes[IR_MAX_RANK];
  unsigned n = 0;
  if (!x) return NULL;
  for (unsigned d = 0; d < x->type->rank; d++)
    if (rnd_chance(g->r, 2)) axes[n++] = d;
  const char *op = class(x) == 'B' ? RND_PICK(g->r, b) : RND_PICK(g->r, f);
  return rnd_chance(g->r, 4) ? reduce_over(g, x, op, axes, n) : reduce(g, x, op, axes, n);
}
static struct ir_value *g_argreduce(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 1, 5);
  if (!x || class(x) == 'B') return NULL;
  struct ir_attr a[] = { ir_attr_str("op", rnd_chance(g->r, 2) ? "max" : "min"), ir_attr_int("axis", rnd_below(g->r, x->type->rank)), ir_attr_int("last", rnd_below(g->r, 2)) };
  return node(g, IR_OP_argreduce, &x, 1, a, 3);
}
static struct ir_value *g_prefix(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 1, 4);
  if (!x || class(x) == 'B') return NULL;
  struct ir_attr a[] = { ir_attr_str("op", "sum"), ir_attr_int("axis", rnd_below(g->r, x->type->rank)), ir_attr_int("exclusive", rnd_below(g->r, 2)), ir_attr_int("reverse", rnd_below(g->r, 2)) };
  return node(g, IR_OP_prefix, &x, 1, a, 4);
}
/* kernel, strides, dilations, pads for the spatial axes of x; false where nothing would be left for some size. */
struct sliding { unsigned s; int64_t kernel[IR_MAX_RANK], stride[IR_MAX_RANK], dil[IR_MAX_RANK], pad[2 * IR_MAX_RANK]; const struct ir_ix *dim[IR_MAX_RANK]; };
static bool slide(struct gen *g, const struct ir_type *t, struct sliding *w)
{
  *w = (struct sliding){ .s = t->rank - 2 };
  for (unsigned i = 0; i < w->s; i++) {
    int64_t lo, hi;
    ir_ix_range(t->dim[i + 2], &lo, &hi);
    w->kernel[i] = 1 + rnd_below(g->r, 3);
    w->stride[i] = rnd_chance(g->r, 3) ? 2 : 1;
    w->dil[i] = rnd_chance(g->r, 5) ? 2 : 1;
    int64_t span = (w->kernel[i] - 1) * w->dil[i] + 1;
    w->pad[i] = rnd_below(g->r, (unsigned)(w->kernel[i] < 3 ? w->kernel[i] : 3));
    w->pad[i + w->s] = rnd_chance(g->r, 2) ? w->pad[i] : (int64_t)rnd_below(g->r, (unsigned)w->kernel[i]);
    if (lo + w->pad[i] + w->pad[i + w->s] < span) return false;
    w->dim[i] = ir_ix_addi(ir_ix_divi(ir_ix_addi(t->dim[i + 2], w->pad[i] + w->pad[i + w->s] - span), w->stride[i]), 1);
  }
  return true;
}
static struct ir_value *image(struct gen *g)
{
  for (unsigned i = 0; i < 12; i++) {
    struct ir_value *x = pick(g);
    if (x->type->rank >= 3 && x->type->rank <= 5 && class(x) == 'F') return x;
  }
  return NULL;
}
static struct ir_value *g_window(struct gen *g)
{
  struct ir_value *x = image(g);
  struct sliding w;
  if (!x || !slide(g, x->type, &w)) return NULL;
  struct ir_attr a[] = { ir_attr_str("op", rnd_chance(g->r, 2) ? "max" : "sum"), ir_attr_ints(g->m, "kernel", w.kernel, w.s), ir_attr_ints(g->m, "strides", w.stride, w.s), ir_attr_ints(g->m, "pads", w.pad, 2 * w.s),
                         ir_attr_ints(g->m, "dilations", w.dil, w.s), ir_attr_ixs(g->m, "dims", w.dim, w.s) };
  return node(g, IR_OP_window, &x, 1, a, 6);
}
/* With weights, and what follows a convolution in networks. */
static struct ir_value *g_conv(struct gen *g)
{
  struct ir_value *x = image(g);
  struct sliding w;
  int64_t dim[IR_MAX_RANK], c, groups = 1;
  if (!x || !ir_ix_const(x->type->dim[1], &c) || !slide(g, x->type, &w)) return NULL;
  if (rnd_chance(g->r, 3)) groups = rnd_chance(g->r, 2) || c % 2 ? c : 2;
  dim[0] = groups > 1 ? groups * (1 + (int64_t)rnd_below(g->r, 2)) : RND_PICK(g->r, sizes);
  dim[1] = c / groups;
  int64_t taps = c / groups;
  for (unsigned i = 0; i < w.s; i++) taps *= dim[2 + i] = w.kernel[i];
  if (taps * dim[0] * elems(g, x->type) / (c ? c : 1) > WORK) return NULL;
  struct ir_value *in[] = { x, constant(g, x->type->elem, x->type->rank, dim, false) };
  int64_t gaps[IR_MAX_RANK];
  for (unsigned i = 0; i < w.s; i++) gaps[i] = 1 + rnd_below(g->r, 2);
  struct ir_attr a[] = { ir_attr_ints(g->m, "strides", w.stride, w.s), ir_attr_ints(g->m, "pads", w.pad, 2 * w.s), ir_attr_ints(g->m, "dilations", w.dil, w.s), ir_attr_int("groups", groups),
                         ir_attr_ints(g->m, "in_dilations", gaps, w.s) };
  struct ir_value *y = node(g, IR_OP_conv, in, 2, a, rnd_chance(g->r, 6) ? 5 : 4);
  if (!y || rnd_chance(g->r, 3)) return y;
  int64_t bias[IR_MAX_RANK] = { 1, dim[0], 1, 1, 1 };
  struct ir_value *k = constant(g, x->type->elem, x->type->rank, bias, true);
  if (rnd_chance(g->r, 2)) y = ir_map2(&g->b, IR_OP_mul, y, k);
  y = ir_map2(&g->b, IR_OP_add, y, constant(g, x->type->elem, x->type->rank, bias, false));
  if (y && y->type == x->type && rnd_chance(g->r, 2)) y = ir_map2(&g->b, IR_OP_add, y, x);
  return rnd_chance(g->r, 2) ? ir_map2(&g->b, IR_OP_max, y, ir_const_f(&g->b, x->type->elem, 0)) : y;
}
static struct ir_value *g_dot(struct gen *g)
{
  static const char *const specs[][2] = { { "ik,kj->ij", "ab" }, { "ik,jk->ij", "ab" }, { "ki,kj->ij", "ab" }, { "bik,kj->bij", "bab" }, { "bik,bkj->bij", "bab" }, { "bhik,bhjk->bhij", "" }, { "k,kj->j", "" },
                                          { "ik,k->i", "" }, { "i,j->ij", "" }, { "bik,bkj->ibj", "" } };
  const char *s = RND_PICK(g->r, specs)[0], *comma = strchr(s, ','), *arrow = strstr(s, "->");
  unsigned nx = (unsigned)(comma - s), ny = (unsigned)(arrow - comma - 1);
  struct ir_value *x = pick_rank(g, nx, nx);
  if (!x || class(x) == 'B') return NULL;
  struct ir_value *y = NULL;
  int64_t dim[IR_MAX_RANK], work = elems(g, x->type);
  bool fits = true;
  for (unsigned d = 0; d < ny; d++) {
    const char *p = memchr(s, comma[1 + d], nx);
    dim[d] = RND_PICK(g->r, sizes);
    if (p && !ir_ix_const(x->type->dim[p - s], &dim[d])) fits = false;
  }
  if (fits && !rnd_chance(g->r, 3)) y = constant(g, x->type->elem, ny, dim, false);
  for (unsigned i = 0; i < 16 && !y; i++) {
    struct ir_value *v = pick(g);
    bool ok = v->type->elem == x->type->elem && v->type->rank == ny;
    for (unsigned d = 0; ok && d < ny; d++) {
      const char *p = memchr(s, comma[1 + d], nx);
      ok = !p || v->type->dim[d] == x->type->dim[p - s];
    }
    if (ok) y = v;
  }
  if (!y || work * elems(g, y->type) > 8 * WORK) return NULL;
  struct ir_value *in[] = { x, y };
  struct ir_attr a = ir_attr_str("spec", s);
  return node(g, IR_OP_dot, in, 2, &a, 1);
}
static struct ir_value *g_index(struct gen *g)
{
  const struct ir_ix *dim[2] = { any_dim(g), any_dim(g) }, *c0 = ir_ix_coord(g->m->ixs, 0), *c1 = ir_ix_coord(g->m->ixs, 1), *e;
  unsigned rank = 1 + rnd_below(g->r, 2);
  bool test = rank == 2 && rnd_chance(g->r, 2);
  switch (rnd_below(g->r, 4)) {
  case 0: e = rank == 2 ? ir_ix_sub(c1, c0) : ir_ix_addi(ir_ix_muli(c0, 3), -2); break;
  case 1: e = ir_ix_modi(c0, 5); break;
  case 2: e = ir_ix_add(ir_ix_divi(c0, 2), dim[0]); break;
  default: e = ir_ix_min(c0, rank == 2 ? c1 : num(g, 4));
  }
  if (test) e = ir_ix_ge0(ir_ix_sub(c1, c0));
  struct ir_attr a[] = { ir_attr_elem("elem", test ? IR_bool : rnd_chance(g->r, 2) ? IR_i64 : IR_i32), ir_attr_ixs(g->m, "e", &e, 1), ir_attr_ixs(g->m, "dims", dim, rank) };
  return node(g, IR_OP_index, NULL, 0, a, 3);
}
/* Elements of x at places that a grid and a tensor state; clamped at the ends. */
static struct ir_value *g_view(struct gen *g)
{
  struct ir_value *x = pick_rank(g, 1, 3), *in[2] = { x, NULL };
  const struct ir_ix *map[IR_MAX_RANK], *dim[IR_MAX_RANK], *wrap = num(g, 0);
  int64_t size[IR_MAX_RANK];
  if (!x) return NULL;
  unsigned r = x->type->rank, n_in = 1 + rnd_below(g->r, 2);
  for (unsigned d = 0; d < r; d++) {
    dim[d] = any_dim(g);
    map[d] = rnd_chance(g->r, 2) ? ir_ix_coord(g->m->ixs, d) : ir_ix_addi(ir_ix_muli(ir_ix_coord(g->m->ixs, d), rnd_chance(g->r, 2) ? 2 : -1), rnd_below(g->r, 4));
    if (!ir_ix_const(dim[d], &size[d]) || rnd_chance(g->r, 2)) size[d] = 1;
  }
  if (n_in == 2) {
    in[1] = constant(g, IR_i64, r, size, false);
    map[rnd_below(g->r, r)] = ir_ix_coord(g->m->ixs, r);
  }
  struct ir_attr a[] = { ir_attr_ixs(g->m, "map", map, r), ir_attr_ixs(g->m, "dims", dim, r), ir_attr_ixs(g->m, "wrap", &wrap, 1) };
  return node(g, IR_OP_view, in, n_in, a, n_in == 2 ? 3 : 2);
}
/* exp(x - max) / sum: a row that passes recognise. */
static struct ir_value *g_softmax(struct gen *g)
{
  struct ir_value *x = pick_class(g, "F");
  if (!x || !x->type->rank) return NULL;
  int64_t axis = rnd_below(g->r, x->type->rank);
  struct ir_value *e = ir_map1(&g->b, IR_OP_exp, ir_map2(&g->b, IR_OP_sub, x, reduce(g, x, "max", &axis, 1)));
  return e ? ir_map2(&g->b, IR_OP_div, e, reduce(g, e, "sum", &axis, 1)) : NULL;
}
/* (x - mean) / sqrt(variance + 1) */
static struct ir_value *g_norm(struct gen *g)
{
  struct ir_value *x = pick_class(g, "F");
  int64_t axis, n;
  if (!x || !x->type->rank || !ir_ix_const(x->type->dim[axis = x->type->rank - 1], &n)) return NULL;
  struct ir_value *k = ir_const_f(&g->b, x->type->elem, (double)n), *mean = ir_map2(&g->b, IR_OP_div, reduce(g, x, "sum", &axis, 1), k), *d = ir_map2(&g->b, IR_OP_sub, x, mean);
  struct ir_value *var = d ? ir_map2(&g->b, IR_OP_div, reduce(g, ir_map2(&g->b, IR_OP_mul, d, d), "sum", &axis, 1), k) : NULL;
  return var ? ir_map2(&g->b, IR_OP_div, d, ir_map1(&g->b, IR_OP_sqrt, ir_map2(&g->b, IR_OP_add, var, ir_const_f(&g->b, x->type->elem, 1)))) : NULL;
}
/* A few times state = f(state, y), in steps that round nothing: the last state, or all of them. The condition may be false from the start. */
static struct ir_value *g_loop(struct gen *g)
{
  static const enum ir_op f[] = { IR_OP_min, IR_OP_max, IR_OP_sub }, i[] = { IR_OP_add, IR_OP_mul, IR_OP_xor, IR_OP_max }, b[] = { IR_OP_and, IR_OP_or, IR_OP_xor };
  struct ir_value *x = pick(g), *y = fitting(g, x, false), *go = constant(g, IR_bool, 0, NULL, true), *v[4];
  int64_t trips = 1 + rnd_below(g->r, 4);
  if (!y) return NULL;
  bool all = x->type->rank < 5 && rnd_chance(g->r, 3);
  struct ir_graph *body = ir_graph_create(g->m, "body");
  struct ir_builder in = { .g = body };
  const struct ir_type *types[] = { ir_type_ints(g->m, IR_i64, 0, NULL), go->type, x->type, y->type };
  for (unsigned k = 0; k < 4; k++) v[k] = ir_graph_param(body, types[k], NULL);
  enum ir_op op = class(x) == 'F' ? RND_PICK(g->r, f) : class(x) == 'B' ? RND_PICK(g->r, b) : RND_PICK(g->r, i);
  struct ir_value *next = op == IR_OP_sub ? ir_map1(&in, IR_OP_neg, v[2]) : ir_map2(&in, op, v[2], v[3]);
  if (!next || next->type != x->type) return NULL;
  ir_push(g->m->arena, &body->results, v[1]);
  ir_push(g->m->arena, &body->results, next);
  if (all) ir_push(g->m->arena, &body->results, next);
  const struct ir_ix *places = num(g, trips);
  struct ir_attr a[] = { ir_attr_int("carried", 2), ir_attr_ixs(g->m, "trips", &places, 1) };
  struct ir_value *operands[] = { ir_const_splat(&g->b, types[0], 0, trips), all ? ir_const_splat(&g->b, types[1], 0, 1) : go, x, y };     /* what is stacked has all its places */
  struct ir_node *n = ir_build_loop(&g->b, operands, 4, a, all ? 2 : 1, body);
  return n ? n->out[n->n_out - 1] : NULL;
}
static const struct { struct ir_value *(*fn)(struct gen *g); unsigned weight; } kinds[] = {
  { g_unary, 5 }, { g_positive, 2 }, { g_binary, 8 }, { g_div, 1 }, { g_held, 1 }, { g_is, 1 }, { g_copy, 1 }, { g_loop, 1 }, { g_compare, 2 }, { g_select, 2 }, { g_cast, 2 }, { g_transpose, 4 }, { g_reshape, 5 }, { g_broadcast, 3 }, { g_slice, 4 },
  { g_pad, 3 }, { g_concat, 3 }, { g_gather, 3 }, { g_reduce, 5 }, { g_argreduce, 1 }, { g_prefix, 1 }, { g_window, 4 }, { g_conv, 6 }, { g_dot, 6 }, { g_index, 1 }, { g_view, 2 }, { g_softmax, 2 }, { g_norm, 2 },
};

/* ---- a graph ---- */
static void params(struct gen *g)
{
  for (unsigned i = 0, n = 1 + rnd_below(g->r, 3); i < n; i++) {
    const struct ir_ix *dim[IR_MAX_RANK];
    unsigned rank = rnd_chance(g->r, 3) ? rnd_below(g->r, 6) : 4 - rnd_below(g->r, 3);
    char name[8];
    bool picture = rank > 2 && rnd_chance(g->r, 2);         /* all but the batch known, as layouts want it */
    for (unsigned d = 0; d < rank; d++) dim[d] = picture && d ? num(g, RND_PICK(g->r, sizes)) : any_dim(g);
    const struct ir_type *t = ir_type_get(g->m, picture && rnd_chance(g->r, 2) ? IR_f32 : any_elem(g), rank, dim);
    if (elems(g, t) > ELEMS) { i--; continue; }
    snprintf(name, sizeof name, "p%u", i);
    g->pool[g->n++] = ir_graph_param(g->b.g, t, ir_arena_strdup(g->m->arena, name));
  }
}
static void nodes(struct gen *g)
{
  unsigned total = 0, want = 2 + rnd_below(g->r, rnd_chance(g->r, 3) ? 14 : 6);
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) total += kinds[i].weight;
  for (unsigned tries = 0; want && tries < 60 && g->n < MAX_POOL; tries++) {
    unsigned at = rnd_below(g->r, total), k = 0;
    while (at >= kinds[k].weight) at -= kinds[k++].weight;
    struct ir_value *v = kinds[k].fn(g);
    if (!v || v->type->rank > 6 || elems(g, v->type) > ELEMS || elems(g, v->type) == 0) continue;
    g->pool[g->n++] = v;
    want--;
  }
}
/* Results: what nothing reads, and sometimes what something reads. Nodes that are not good in every run are left out. */
static bool choose_results(struct gen *g, struct ir_arena *a)
{
  struct ir_graph *gr = g->b.g;
  bool *good = NULL;
  unsigned n = 0;
  g->m->main = gr;
  for (unsigned z = 0; z < MAX_SIZES; z++) {
    struct bounds b;
    struct ir_tensor **ins = case_inputs(a, gr, &g->z[z], g->data);
    if (!ins || !bounds_of(a, g->m, ins, &b)) return false;
    if (!good) { good = b.good; n = b.n_nodes; }
    for (unsigned i = 0; i < n; i++) good[i] &= b.good[i];
  }
  unsigned i = 0;
  for (struct ir_node *x = gr->first; x; x = x->next) x->scratch = good[i++] ? x : NULL;
  for (struct ir_node *x = gr->first; x; x = x->next) {
    bool read = false;
    const struct ir_value *v = x->out[x->n_out - 1];
    for (uint32_t k = 0; k < v->uses.n; k++) read |= v->uses.v[k]->scratch != NULL;
    if (x->scratch && x->op != IR_OP_const && (!read || rnd_chance(g->r, 10))) ir_push(g->m->arena, &gr->results, x->out[x->n_out - 1]);
  }
  if (gr->results.n && rnd_chance(g->r, 40)) ir_push(g->m->arena, &gr->results, gr->results.v[0]);
  if (gr->results.n && rnd_chance(g->r, 40)) ir_push(g->m->arena, &gr->results, gr->params.v[0]);
  ir_graph_sweep(gr);
  return gr->results.n > 0;
}
bool generate(struct rnd *r, struct kase *out)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "generate" };
  struct gen g = { .r = r, .data = 1 + rnd_below(r, 1000) };
  *out = (struct kase){ .n_sizes = MAX_SIZES, .data = g.data };
  g.m = ir_module_create(a, &d);
  g.b.g = ir_graph_create(g.m, "g");
  make_symbols(&g);
  params(&g);
  nodes(&g);
  bool ok = choose_results(&g, a);
  if (ok) {
    struct ir_buf b = { 0 };
    ir_print(&b, g.m);
    out->text = b.s;
    memcpy(out->sizes, g.z, sizeof g.z);
  }
  ir_buf_deinit(&d.first);
  ir_arena_destroy(a);
  return ok;
}
