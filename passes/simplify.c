/* simplify: rules that bring patterns into one spelling, and scale factors into the weights of the contraction before them.
 *
 * Each rule is a function of one node that returns what the node's result can be replaced by, or NULL. All are tried on every node in order, and again on the
 * readers of what was replaced, until nothing changes; every rule shrinks the graph or moves a constant closer to the weights, and a cap of 32 rewrites per
 * node of the graph is a safety net.
 * Requires: fold. Keeps: results bit for bit but for the order of products with constants (scales move into weights). */
#include "passes/internal.h"
#include <math.h>
#include <string.h>

typedef struct ir_value *rule(struct pass_ctx *c, struct ir_node *n);

/* ---- identities ---- */
static struct ir_value *same_type(struct ir_node *n, struct ir_value *x) { return x->type == n->out[0]->type ? x : NULL; }
static struct ir_value *identity_move(struct pass_ctx *c, struct ir_node *n)
{
  const int64_t *p;
  (void)c;
  switch (n->op) {
  case IR_OP_reshape: case IR_OP_broadcast: case IR_OP_cast: return same_type(n, n->in[0]);
  case IR_OP_transpose: {
    unsigned k = ir_attr_get_ints(n, "perm", &p);
    for (unsigned d = 0; d < k; d++)
      if (p[d] != d) return NULL;
    return n->in[0];
  }
  case IR_OP_slice: {
    const struct ir_attr *s = ir_attr_find(n, "start"), *t = ir_attr_find(n, "step");
    for (unsigned d = 0; s && d < s->n; d++)
      if (!ir_ix_is(s->ix[d], 0) || !ir_ix_is(t->ix[d], 1)) return NULL;
    return same_type(n, n->in[0]);
  }
  case IR_OP_pad: {
    const struct ir_attr *lo = ir_attr_find(n, "lo");
    for (unsigned d = 0; lo && d < lo->n; d++)
      if (!ir_ix_is(lo->ix[d], 0)) return NULL;
    return same_type(n, n->in[0]);
  }
  case IR_OP_concat: return n->n_in == 1 ? n->in[0] : NULL;
  case IR_OP_window: {                       /* adaptive pooling to the size that is there */
    unsigned k = ir_attr_get_ints(n, "kernel", &p);
    for (unsigned d = 0; d < k; d++)
      if (p[d] != 1) return NULL;
    ir_attr_get_ints(n, "strides", &p);
    for (unsigned d = 0; d < k; d++)
      if (p[d] != 1) return NULL;
    ir_attr_get_ints(n, "pads", &p);
    for (unsigned d = 0; d < 2 * k; d++)
      if (p[d]) return NULL;
    return same_type(n, n->in[0]);
  }
  default: return NULL;
  }
}
/* x*1, x/1, x+0, x-0; x+(-0) and the like keep signed zeros: x + 0 turns -0 into 0, so only -0 is neutral for add, 0 for sub. */
static struct ir_value *neutral_operand(struct pass_ctx *c, struct ir_node *n)
{
  double k;
  (void)c;
  if (n->n_in != 2) return NULL;
  bool fl = ir_elem_class(n->out[0]->type->elem) == 'F';
  for (unsigned i = 0; i < 2; i++) {
    if (!ir_value_is_splat(n->in[i], &k)) continue;
    struct ir_value *x = n->in[1 - i];
    if (x->type != n->out[0]->type) continue;
    if (n->op == IR_OP_mul && k == 1) return x;
    if (n->op == IR_OP_add && k == 0 && (!fl || signbit(k))) return x;
    if (i == 1 && n->op == IR_OP_div && k == 1) return x;
    if (i == 1 && n->op == IR_OP_sub && k == 0 && (!fl || !signbit(k))) return x;
  }
  return NULL;
}
static struct ir_value *reshape_of_reshape(struct pass_ctx *c, struct ir_node *n)
{
  (void)c;
  if (n->op != IR_OP_reshape || !pass_has_op(n->in[0], IR_OP_reshape)) return NULL;
  struct ir_builder b = pass_at(n);
  return ir_reshape(&b, n->in[0]->def->in[0], n->out[0]->type->rank, n->out[0]->type->dim);
}
static struct ir_value *transpose_of_transpose(struct pass_ctx *c, struct ir_node *n)
{
  const int64_t *p, *q;
  int64_t r[IR_MAX_RANK];
  (void)c;
  if (n->op != IR_OP_transpose || !pass_has_op(n->in[0], IR_OP_transpose)) return NULL;
  unsigned k = ir_attr_get_ints(n, "perm", &p);
  ir_attr_get_ints(n->in[0]->def, "perm", &q);
  for (unsigned d = 0; d < k; d++) r[d] = q[p[d]];
  struct ir_builder b = pass_at(n);
  return ir_transpose(&b, n->in[0]->def->in[0], r);
}

/* ---- scales into weights ---- */
static bool only_axis(const struct ir_type *t, unsigned axis)   /* every dim but this one is 1 (or t is a scalar) */
{
  for (unsigned d = 0; d < t->rank; d++)
    if (d != axis && !ir_ix_is(t->dim[d], 1)) return false;
  return true;
}
/* s, which varies along axis `from` only, as a factor of a weight of rank `rank` along axis `to` */
static struct ir_value *scale_along(struct ir_builder *b, struct ir_value *s, unsigned from, unsigned rank, unsigned to)
{
  const struct ir_ix *dim[IR_MAX_RANK];
  if (!s->type->rank) return s;
  for (unsigned d = 0; d < rank; d++) dim[d] = d == to ? s->type->dim[from] : ir_ix_int(b->g->module->ixs, 1);
  struct ir_value *v = ir_reshape(b, s, rank, dim);
  v->weight = true;
  return v;
}
static struct ir_value *mark(struct ir_value *v)
{
  if (v) v->weight = true;
  return v;
}
/* mul(conv(x, w), s) = conv(x, w*s) when s is a weight that varies along the channels only */
static struct ir_value *scale_into_conv(struct pass_ctx *c, struct ir_node *n)
{
  struct ir_value *x, *s = n->op == IR_OP_mul ? pass_weight_operand(n, &x) : NULL;
  (void)c;
  if (!s || !pass_has_op(x, IR_OP_conv) || !pass_one_use(x) || x->type != n->out[0]->type || !only_axis(s->type, 1)) return NULL;
  struct ir_node *conv = x->def;
  if (!pass_is_weight(conv->in[1])) return NULL;
  struct ir_builder b = pass_at(n);
  b.prov = ir_prov_union(c->m, n->prov, conv->prov);
  struct ir_value *w = mark(ir_map2(&b, IR_OP_mul, conv->in[1], scale_along(&b, s, 1, conv->in[1]->type->rank, 0)));
  struct ir_value *in[] = { conv->in[0], w };
  return ir_build(&b, IR_OP_conv, in, 2, conv->attr, conv->n_attr)->out[0];
}
/* mul(dot(x, w), s) = dot(x, w*s) when s varies along one label of w only */
static struct ir_value *scale_into_dot(struct pass_ctx *c, struct ir_node *n)
{
  struct ir_value *x, *s = n->op == IR_OP_mul ? pass_weight_operand(n, &x) : NULL;
  if (!s || !pass_has_op(x, IR_OP_dot) || !pass_one_use(x) || x->type != n->out[0]->type || !pass_is_weight(x->def->in[1])) return NULL;
  const char *spec = ir_attr_get_str(x->def, "spec"), *y = strchr(spec, ',') + 1, *r = strstr(spec, "->") + 2;
  unsigned axis = 0, rank = x->def->in[1]->type->rank, to = 0;
  for (unsigned d = 0; d < s->type->rank; d++)
    if (!ir_ix_is(s->type->dim[d], 1)) axis = d;
  if (s->type->rank && !only_axis(s->type, axis)) return NULL;
  while (to < rank && s->type->rank && y[to] != r[axis]) to++;
  if (to == rank) return NULL;
  struct ir_builder b = pass_at(n);
  b.prov = ir_prov_union(c->m, n->prov, x->def->prov);
  struct ir_value *w = mark(ir_map2(&b, IR_OP_mul, x->def->in[1], scale_along(&b, s, axis, rank, to)));
  struct ir_value *in[] = { x->def->in[0], w };
  return ir_build(&b, IR_OP_dot, in, 2, x->def->attr, x->def->n_attr)->out[0];
}
/* The one element of a float32 constant of rank 0; a half type's products would leave its range. */
static bool scalar_f32(const struct ir_value *v, double *k) { return !v->type->rank && v->type->elem == IR_f32 && pass_has_op(v, IR_OP_const) && ir_value_is_splat(v, k); }
static bool scaled(struct ir_value *v, struct ir_value **x, double *k) { return pass_has_op(v, IR_OP_mul) && scalar_f32(v->def->in[1], k) && (*x = v->def->in[0])->type == v->type; }
/* The scale whose square root each side of a contraction got: 1/sqrt(D) of D summed elements if it may have been that, else the product. */
static double square(const struct ir_node *n, double root)
{
  const char *spec = ir_attr_get_str(n, "spec"), *r = strstr(spec, "->") + 2;
  int64_t k, elems = 1;
  for (unsigned d = 0; d < n->in[0]->type->rank; d++)
    if (!strchr(r, spec[d]) && (!ir_ix_const(n->in[0]->type->dim[d], &k) || (elems *= k) > 1 << 20)) return root * root;
  float s = (float)(1 / sqrt((double)elems));
  return sqrtf(s) == (float)root ? s : root * root;
}
/* dot(x*a, y*b) = dot(x, y)*(a*b), none of them a weight: the scale of scores stands in one place */
static struct ir_value *scales_out_of_dot(struct pass_ctx *c, struct ir_node *n)
{
  double a, b;
  struct ir_value *in[2];
  (void)c;
  if (n->op != IR_OP_dot || pass_is_weight(n->in[0]) || pass_is_weight(n->in[1])) return NULL;
  bool left = scaled(n->in[0], &in[0], &a), right = scaled(n->in[1], &in[1], &b);
  if (!left && !right) return NULL;
  double k = left && right ? (a == b ? square(n, a) : a * b) : left ? a : b;
  if (!isfinite((float)k) || k == 0) return NULL;
  if (!left) in[0] = n->in[0];
  if (!right) in[1] = n->in[1];
  struct ir_builder at = pass_at(n);
  struct ir_value *y = ir_build(&at, IR_OP_dot, in, 2, n->attr, n->n_attr)->out[0];
  return ir_map2(&at, IR_OP_mul, y, mark(ir_const_f(&at, IR_f32, k)));
}
/* mul(mul(x, a), b) = mul(x, a*b) for scalars, behind a contraction: the scale of scores */
static struct ir_value *scale_of_scale(struct pass_ctx *c, struct ir_node *n)
{
  double a, b;
  struct ir_value *x, *y;
  (void)c;
  if (!pass_has_op(n->out[0], IR_OP_mul) || !scaled(n->out[0], &y, &b) || !pass_one_use(y) || !scaled(y, &x, &a) || !pass_has_op(x, IR_OP_dot)) return NULL;
  if (!isfinite((float)(a * b)) || a * b == 0) return NULL;
  struct ir_builder at = pass_at(n);
  return ir_map2(&at, IR_OP_mul, x, mark(ir_const_f(&at, IR_f32, a * b)));
}
/* mul(add(conv, b), s) = add(mul(conv, s), b*s), so that the scale can go on into the weights */
static struct ir_value *scale_over_bias(struct pass_ctx *c, struct ir_node *n)
{
  struct ir_value *x, *y, *s = n->op == IR_OP_mul ? pass_weight_operand(n, &x) : NULL;
  (void)c;
  if (!s || !pass_has_op(x, IR_OP_add) || !pass_one_use(x) || x->type != n->out[0]->type) return NULL;
  struct ir_value *bias = pass_weight_operand(x->def, &y);
  if (!bias || !(pass_has_op(y, IR_OP_conv) || pass_has_op(y, IR_OP_dot)) || !pass_one_use(y) || y->type != x->type) return NULL;
  struct ir_builder b = pass_at(n);
  b.prov = ir_prov_union(c->m, n->prov, x->def->prov);
  return ir_map2(&b, IR_OP_add, ir_map2(&b, IR_OP_mul, y, s), mark(ir_map2(&b, IR_OP_mul, bias, s)));
}
/* add(add(x, a), b) = add(x, a + b) for weights a, b; sub of a weight is add of its negative */
static struct ir_value *bias_of_bias(struct pass_ctx *c, struct ir_node *n)
{
  struct ir_value *x, *y, *k = n->op == IR_OP_add ? pass_weight_operand(n, &x) : NULL;
  (void)c;
  if (!k || ir_elem_class(k->type->elem) != 'F' || !pass_has_op(x, IR_OP_add) || !pass_one_use(x) || x->type != n->out[0]->type) return NULL;
  struct ir_value *a = pass_weight_operand(x->def, &y);
  if (!a || y->type != x->type || !(pass_has_op(y, IR_OP_conv) || pass_has_op(y, IR_OP_dot))) return NULL;
  struct ir_builder b = pass_at(n);
  b.prov = ir_prov_union(c->m, n->prov, x->def->prov);
  return ir_map2(&b, IR_OP_add, y, mark(ir_map2(&b, IR_OP_add, a, k)));
}
static struct ir_value *sub_weight(struct pass_ctx *c, struct ir_node *n)
{
  (void)c;
  if (n->op != IR_OP_sub || !pass_is_weight(n->in[1]) || pass_is_weight(n->in[0]) || ir_elem_class(n->out[0]->type->elem) != 'F') return NULL;
  if (n->in[0]->type != n->out[0]->type) return NULL;
  struct ir_builder b = pass_at(n);
  return ir_map2(&b, IR_OP_add, n->in[0], mark(ir_map1(&b, IR_OP_neg, n->in[1])));
}

/* ---- dot labels absorb movement ---- */
static struct ir_value *redot(struct ir_node *n, struct ir_value *x, struct ir_value *y, const char *spec)
{
  struct ir_builder b = pass_at(n);
  struct ir_value *in[] = { x, y };
  struct ir_attr a = ir_attr_str("spec", spec);
  struct ir_node *r = ir_build(&b, IR_OP_dot, in, 2, &a, 1);
  return r ? r->out[0] : NULL;
}
/* An operand's transpose permutes its labels. */
static struct ir_value *transpose_into_dot(struct pass_ctx *c, struct ir_node *n)
{
  if (n->op != IR_OP_dot) return NULL;
  const char *spec = ir_attr_get_str(n, "spec");
  for (unsigned i = 0; i < 2; i++) {
    if (!pass_has_op(n->in[i], IR_OP_transpose)) continue;
    const int64_t *p;
    unsigned k = ir_attr_get_ints(n->in[i]->def, "perm", &p), at = i ? (unsigned)(strchr(spec, ',') + 1 - spec) : 0;
    char *s = ir_arena_strdup(c->m->arena, spec);
    for (unsigned d = 0; d < k; d++) s[at + p[d]] = spec[at + d];
    struct ir_value *v = n->in[i]->def->in[0];
    return redot(n, i ? n->in[0] : v, i ? v : n->in[1], s);
  }
  return NULL;
}
static char free_label(const char *spec)
{
  for (char c = 'a'; c <= 'z'; c++)
    if (!strchr(spec, c)) return c;
  return 0;
}
/* dot(reshape(x), w), where the reshape only merges neighbouring axes: each merged label becomes one for every axis of x; a weight that has it is reshaped too, for
 * free, and the result is merged behind. */
struct split { unsigned first[IR_MAX_RANK + 1]; const char *spec; char labels[IR_MAX_RANK]; const struct ir_type *x; unsigned rank; };
static bool split_labels(struct split *s, const struct ir_type *x, const struct ir_type *r, const char *spec, const char *of)
{
  char used[128];
  bool any = false;
  *s = (struct split){ .spec = of, .x = x, .rank = r->rank };
  if (strlen(spec) + x->rank >= sizeof used || !pass_merged_axes(x, r, s->first)) return false;
  snprintf(used, sizeof used, "%s", spec);
  for (unsigned d = 0; d < r->rank; d++) {
    bool one = s->first[d + 1] - s->first[d] == 1;
    any |= !one;
    for (unsigned i = s->first[d]; i < s->first[d + 1]; i++) {
      s->labels[i] = one ? of[d] : free_label(used);
      if (!s->labels[i]) return false;
      used[strlen(used) + 1] = 0;
      used[strlen(used)] = s->labels[i];
    }
  }
  return any;
}
/* The labels at p, n of them, with merged ones taken apart; dims (if wanted) likewise, from those of t. False: too many. */
static bool taken_apart(const struct split *s, const char *p, unsigned n, const struct ir_type *t, char *out, const struct ir_ix **dim, unsigned *rank)
{
  *rank = 0;
  for (unsigned k = 0; k < n; k++) {
    const char *at = memchr(s->spec, p[k], s->rank);
    unsigned d = at ? (unsigned)(at - s->spec) : 0, from = at ? s->first[d] : 0, to = at ? s->first[d + 1] : 1;
    for (unsigned i = from; i < to; i++) {
      if (*rank == IR_MAX_RANK) return false;
      if (dim) dim[*rank] = at ? s->x->dim[i] : t->dim[k];
      out[(*rank)++] = at ? s->labels[i] : p[k];
    }
  }
  out[*rank] = 0;
  return true;
}
static struct ir_value *merge_into_dot(struct pass_ctx *c, struct ir_node *n)
{
  struct split s;
  char l[3][IR_MAX_RANK + 1];
  if (n->op != IR_OP_dot) return NULL;
  const char *spec = ir_attr_get_str(n, "spec"), *y = strchr(spec, ',') + 1, *r = strstr(spec, "->") + 2;
  for (unsigned side = 0; side < 2; side++) {
    struct ir_value *o = n->in[1 - side], *v = n->in[side], *in[2];
    const char *mine = side ? y : spec, *other = side ? spec : y;
    const struct ir_ix *dim[IR_MAX_RANK];
    unsigned rank, k, rr;
    if (!pass_has_op(v, IR_OP_reshape) || pass_is_weight(v) || !split_labels(&s, v->def->in[0]->type, v->type, spec, mine)) continue;
    if (!taken_apart(&s, mine, v->type->rank, v->type, l[side], NULL, &k) || !taken_apart(&s, other, o->type->rank, o->type, l[1 - side], dim, &rank)) continue;
    if (!taken_apart(&s, r, n->out[0]->type->rank, n->out[0]->type, l[2], NULL, &rr)) continue;
    bool same = !strncmp(other, l[1 - side], o->type->rank) && rank == o->type->rank;
    int64_t size;
    bool known = pass_is_weight(o);                      /* a weight's size stays a number, though the operands agree only by a requirement */
    for (unsigned i = 0; i < rank && known; i++) known = ir_ix_const(dim[i], &size);
    if (!same && !known) continue;
    struct ir_builder b = pass_at(n);
    in[side] = v->def->in[0];
    in[1 - side] = same ? o : mark(ir_reshape(&b, o, rank, dim));
    struct ir_value *z = redot(n, in[0], in[1], ir_arena_printf(c->m->arena, "%s,%s->%s", l[0], l[1], l[2]));
    return ir_reshape(&b, z, n->out[0]->type->rank, n->out[0]->type->dim);
  }
  return NULL;
}

static rule *const rules[] = {
  identity_move, neutral_operand, reshape_of_reshape, transpose_of_transpose, sub_weight, scale_over_bias, scale_into_conv, scale_into_dot, bias_of_bias,
  transpose_into_dot, merge_into_dot, scales_out_of_dot, scale_of_scale,
  pass_known_elements, pass_known_truth, pass_known_places, pass_map_of_broadcast, pass_unit_splat, pass_weight_last, pass_transpose_of_merged, pass_map_of_merged,
};
static bool apply(struct pass_ctx *c, struct ir_node *n)
{
  if (n->n_out != 1 || n->op == IR_OP_const) return false;
  if (!n->out[0]->uses.n && !ir_value_is_result(n->out[0])) return false;
  for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++) {
    struct ir_value *v = rules[i](c, n);
    if (v && v != n->out[0]) { pass_replace(c, n, v); return true; }
  }
  return false;
}
bool pass_simplify(struct pass_ctx *c)
{
  uint64_t nodes = 0, done = 0;
  for (struct ir_node *n = c->m->main->first; n; n = n->next) nodes++;
  for (bool again = true; again && done < 32 * nodes + 64;) {
    again = false;
    for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
      next = n->next;
      if (apply(c, n)) { again = true; done++; }
    }
    ir_graph_sweep(c->m->main);
    ir_graph_cse(c->m->main);
  }
  return pass_fold(c);
}
