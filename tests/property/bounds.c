/* How far a correct program may be from the reference: a forward error analysis over the actual values, one bound per tensor.
 *
 * u is half an ulp of 1 in the element's type. A tensor is exact when every correct program has exactly its values: inputs are; a sum or product of exact ones is when
 * no rounding can happen in any order, which granules tell: all elements are multiples of a power of two (the granule), and the largest partial sum is at most
 * 2^precision granules. Steps that jump (floor, comparisons, casts to integers, positions of maxima) are good only on exact operands. Long chains lose their
 * bound: what grew beyond 1/1000 of the largest element is not good either. */
#include "tests/property/property.h"
#include <math.h>

struct val { const struct ir_tensor *t; double max, least /* nonzero magnitude */, err, granule; bool good, exact, floats; };
struct all { struct ir_arena *a; IR_VEC(const struct ir_value *) key; IR_VEC(struct val) v; };

static double unit(enum ir_elem e) { return e == IR_f64 ? 0x1p-53 : e == IR_f32 ? 0x1p-24 : e == IR_f16 || e == IR_tf32 ? 0x1p-11 : 0x1p-8; }
/* The largest power of two that divides all elements; INFINITY for zeros alone. */
static double granule_of(const struct ir_tensor *t)
{
  double g = INFINITY;
  for (int64_t i = 0; i < t->n; i++) {
    int e;
    double f = frexp(t->f[i], &e);
    if (f == 0 || !isfinite(f)) continue;
    int64_t m = (int64_t)ldexp(f, 53);
    double own = ldexp(1, e - 53 + __builtin_ctzll((unsigned long long)(m < 0 ? -m : m)));
    if (own < g) g = own;
  }
  return g;
}
static struct val describe(const struct ir_tensor *t)
{
  struct val v = { .t = t, .good = true, .exact = true, .floats = ir_elem_class(t->elem) == 'F', .least = INFINITY };
  for (int64_t i = 0; i < t->n && v.floats; i++) {
    double a = fabs(t->f[i]);
    if (!isfinite(a) || a > 1e30 || (a != 0 && a < 1e-4)) v.good = false;          /* subnormals, overflow: other tests' */
    if (a > v.max) v.max = a;
    if (a < v.least) v.least = a;
  }
  if (v.floats) v.granule = granule_of(t);
  return v;
}
static const struct val *find(const struct all *all, const struct ir_value *v)
{
  for (uint32_t i = 0; i < all->key.n; i++)
    if (all->key.v[i] == v) return &all->v.v[i];
  ir_bug("bounds", "a value without a tensor");
}

/* ---- rules ---- */
static void inexact(struct val *r, double err)
{
  r->exact = false;
  r->err = err;
}
/* A sum of k products (or of k elements, y NULL) whose terms are at most `term`; `te` is each term's own error. */
static void sum(struct val *r, double k, double term, double te, double granule, bool exact)
{
  double u = unit(r->t->elem) < 0x1p-24 ? unit(r->t->elem) : fmax(unit(r->t->elem), 0x1p-24);
  if (exact && k * term <= granule / u / 2) return;
  inexact(r, k * te + k * u * k * term + unit(r->t->elem) * r->max);
}
static double work(const struct ir_node *n, const struct val *x, const struct val *r)
{
  double k = 1;
  if (n->op == IR_OP_window) {
    const int64_t *s;
    unsigned c = ir_attr_get_ints(n, "kernel", &s);
    while (c--) k *= (double)s[c];
    return k;
  }
  if (n->op == IR_OP_prefix) return (double)x->t->dim[ir_attr_get_int(n, "axis")];
  return r->t->n ? (double)x->t->n / (double)r->t->n : 1;
}
static double dot_terms(const struct ir_node *n, const struct val *x, const struct val *y)
{
  double k = 1;
  if (n->op == IR_OP_conv) {
    for (unsigned d = 1; d < y->t->rank; d++) k *= (double)y->t->dim[d];
    return k;
  }
  const char *s = ir_attr_get_str(n, "spec"), *out = strstr(s, "->") + 2;
  for (unsigned d = 0; d < x->t->rank; d++)
    if (!strchr(out, s[d])) k *= (double)x->t->dim[d];
  for (unsigned d = 0; d < y->t->rank; d++) {
    char c = s[x->t->rank + 1 + d];
    if (!strchr(out, c) && !memchr(s, c, x->t->rank)) k *= (double)y->t->dim[d];
  }
  return k;
}
static void reduction(const struct ir_node *n, const struct val *x, struct val *r)
{
  const char *op = ir_attr_get_str(n, "op");
  double k = work(n, x, r);
  if (!strcmp(op, "sum")) sum(r, k, x->max, x->err, x->granule, x->exact);
  else if (!strcmp(op, "prod")) {
    r->good &= x->exact && k <= 8;
    inexact(r, k * unit(r->t->elem) * pow(fmax(x->max, 1), k));
  } else r->err = x->err, r->exact = x->exact;
}
static void map(enum ir_map f, const struct val *const *x, unsigned n, struct val *r)
{
  double u = unit(r->t->elem), a = x[0]->err, b = n > 1 ? x[1]->err : 0, c = n > 2 ? x[2]->err : 0, m = r->max;
  bool exact = true, jumps = false;
  for (unsigned i = 0; i < n; i++) exact &= x[i]->exact;
  switch (f) {
  case IR_MAP_abs: case IR_MAP_neg: case IR_MAP_min: case IR_MAP_max: r->exact = exact; r->err = fmax(a, b); return;
  case IR_MAP_select: r->exact = exact; r->err = fmax(b, c); r->good &= x[0]->exact; return;
  case IR_MAP_floor: case IR_MAP_ceil: case IR_MAP_round: case IR_MAP_sign: case IR_MAP_isnan: case IR_MAP_isinf: case IR_MAP_eq: case IR_MAP_lt: case IR_MAP_le: case IR_MAP_mod: jumps = true; break;
  case IR_MAP_add: case IR_MAP_sub: if (!exact || m > fmin(x[0]->granule, x[1]->granule) / u / 2) inexact(r, a + b + u * m); return;
  case IR_MAP_mul: if (!exact || m > x[0]->granule * x[1]->granule / u / 2) inexact(r, a * x[1]->max + b * x[0]->max + a * b + u * m); return;
  case IR_MAP_div: r->good &= x[1]->least > 2 * b && x[1]->least > 0.01; inexact(r, (a + m * b) / (x[1]->least - b) + 2 * u * m); return;
  case IR_MAP_recip: r->good &= x[0]->least > 2 * a && x[0]->least > 0.01; inexact(r, a / ((x[0]->least - a) * x[0]->least) + 2 * u * m); return;
  case IR_MAP_exp: r->good &= a < 0.1 && x[0]->max < 20; inexact(r, m * expm1(a) + 8 * u * m); return;
  case IR_MAP_log: r->good &= x[0]->least > 2 * a && x[0]->least > 0.01; inexact(r, a / (x[0]->least - a) + 8 * u * fmax(m, 1)); return;
  case IR_MAP_sqrt: r->good &= x[0]->least > 2 * a; inexact(r, (a > 0 ? a / sqrt(x[0]->least) : 0) + 2 * u * m); return;
  case IR_MAP_sin: case IR_MAP_cos: case IR_MAP_tanh: case IR_MAP_erf: case IR_MAP_sigmoid: case IR_MAP_atan: case IR_MAP_asinh:
    r->good &= x[0]->max < 100;
    inexact(r, 1.2 * a + 8 * u * fmax(1, m));
    return;
  case IR_MAP_and: case IR_MAP_or: case IR_MAP_xor: case IR_MAP_not: case IR_MAP_shl: case IR_MAP_shr: return;
  default: r->good &= exact && m < 1e4; inexact(r, 16 * u * fmax(1, m)); return;     /* tan, pow, cosh ..: of exact operands alone */
  }
  if (jumps) r->good &= exact;
}
static void cast(const struct val *x, struct val *r)
{
  double u = unit(r->t->elem);
  if (!r->floats) {                                     /* to an integer: in its range, and nothing was rounded before */
    unsigned bits = ir_elem_bits(r->t->elem);
    r->good &= x->exact && (!x->floats || (x->max < ldexp(1, bits > 32 ? 31 : (int)bits - 1) && ir_elem_class(r->t->elem) != 'U'));
  } else if (!x->exact) inexact(r, x->err + u * r->max);
  else if (r->max > r->granule / u / 2 || (x->floats && x->granule < r->granule)) inexact(r, u * 2 * r->max);
}
static void node_rule(const struct ir_node *n, const struct val *const *x, struct val *r)
{
  if (n->op == IR_OP_isnan || n->op == IR_OP_isinf) { r->good = x[0]->exact; return; }      /* what nothing else is good for */
  for (unsigned i = 0; i < n->n_in; i++) r->good &= x[i]->good;
  if (ir_op_is_map(n->op)) { map(ir_op_map(n->op), x, n->n_in, r); goto check; }
  switch (n->op) {
  case IR_OP_const: case IR_OP_index: return;
  case IR_OP_cast: cast(x[0], r); break;
  case IR_OP_reduce: case IR_OP_prefix: case IR_OP_window: if (r->floats) reduction(n, x[0], r); break;
  case IR_OP_argreduce: r->good &= x[0]->exact; break;
  case IR_OP_dot: case IR_OP_conv:
    if (r->floats) sum(r, dot_terms(n, x[0], x[1]), x[0]->max * x[1]->max, x[0]->err * x[1]->max + x[1]->err * x[0]->max, x[0]->granule * x[1]->granule, x[0]->exact && x[1]->exact);
    break;
  case IR_OP_gather: case IR_OP_view:
    for (unsigned i = 1; i < n->n_in; i++) r->good &= x[i]->exact;
    inexact(r, x[0]->err);
    r->exact = x[0]->exact;
    break;
  case IR_OP_loop:                                      /* generate.c's: steps that round nothing */
    for (unsigned i = 0; i < n->n_in; i++) r->good &= x[i]->exact;
    break;
  default:                                              /* movement */
    for (unsigned i = 0; i < n->n_in; i++) { r->exact &= x[i]->exact; r->err = fmax(r->err, x[i]->err); }
  }
check:
  if (r->floats && !(r->err <= fmax(r->max, 1) * (unit(r->t->elem) > 0x1p-24 ? 0.1 : 1e-3))) r->good = false;
}

/* ---- all of a graph ---- */
bool bounds_of(struct ir_arena *a, struct ir_module *m, struct ir_tensor *const *ins, struct bounds *out)
{
  struct ir_graph *g = m->main;
  struct all all = { .a = a };
  uint32_t kept = g->results.n, at = kept;
  *out = (struct bounds){ 0 };
  for (struct ir_node *n = g->first; n; n = n->next) { 
    out->n_nodes++;
    for (unsigned i = 0; i < n->n_out; i++) ir_push(m->arena, &g->results, n->out[i]);
  }
  struct ir_tensor **t = IR_NEWN(a, struct ir_tensor *, g->results.n + 1);
  bool ok = ir_eval(a, g, ins, g->params.n, t);
  g->results.n = kept;
  if (!ok) { out->why = m->diags->first.s ? m->diags->first.s : "no diagnostic"; return false; }
  out->good = IR_NEWN(a, bool, out->n_nodes + 1);
  out->err = IR_NEWN(a, double, kept + 1);
  out->result = t;
  for (uint32_t i = 0; i < g->params.n; i++) { ir_push(a, &all.key, g->params.v[i]); ir_push(a, &all.v, describe(ins[i])); }
  unsigned k = 0;
  for (const struct ir_node *n = g->first; n; n = n->next) {
    const struct val **x = IR_NEWN(a, const struct val *, n->n_in + 1);
    for (unsigned i = 0; i < n->n_in; i++) x[i] = find(&all, n->in[i]);
    out->good[k] = true;
    for (unsigned i = 0; i < n->n_out; i++) {
      struct val r = describe(t[at++]);
      node_rule(n, x, &r);
      out->good[k] &= r.good;
      ir_push(a, &all.key, n->out[i]);
      ir_push(a, &all.v, r);
    }
    k++;
  }
  out->all_good = true;
  for (uint32_t i = 0; i < kept; i++) {
    const struct val *v = find(&all, g->results.v[i]);
    out->err[i] = v->err;
    out->all_good &= v->good;
  }
  return true;
}
