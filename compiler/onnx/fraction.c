/* Fractions: floats that exporters compute from sizes, as the scales of Resize and Upsample are. cast(h)*2/cast(h) is 2*h over h. Floats hold sizes and their
 * multiples exactly, and a quotient of them rounds to no other side of an integer, so floor and ceil of it are exact too; one that is computed with further is
 * left alone. A scale is taken for the quotient that it stands for: where its division rounds down, the size that it gives is not one smaller. */
#include "compiler/onnx/import.h"
#include <math.h>

enum { DEPTH = 24, VISITS = 256, MOST = 64 };
struct search { struct onnx_ctx *c; unsigned left; };      /* values that may still be looked at: a value is met again on every way to it */
/* A multiple of 1/1024 below 2^20: what a float of a model is when it is meant to be exact. */
static bool of_float(struct onnx_ctx *c, double v, struct onnx_fraction *out)
{
  if (!(fabs(v) < 1 << 20) || v * 1024 != floor(v * 1024)) return false;
  int64_t n = (int64_t)(v * 1024), d = 1024;
  for (; d > 1 && n % 2 == 0; n /= 2) d /= 2;
  *out = (struct onnx_fraction){ onnx_k(c, n), onnx_k(c, d) };
  return true;
}
static bool of_const(struct onnx_ctx *c, struct ir_value *v, struct onnx_fraction *out, unsigned n)
{
  double f[MOST];
  unsigned k = 0;
  if (!onnx_const_floats(v, f, MOST, &k) || k != n) return false;
  for (unsigned i = 0; i < n; i++) TRY(of_float(c, f[i], &out[i]));
  return true;
}
static bool exact(const struct onnx_fraction *f)
{
  int64_t d;
  return ir_ix_const(f->d, &d) && (d & (d - 1)) == 0;
}
static bool known_positive(struct onnx_ctx *c, const struct ir_ix *e) { return ir_known_ge0(&c->m->facts, ir_ix_addi(e, -1)); }
static bool combine(struct onnx_ctx *c, enum ir_op op, const struct onnx_fraction *a, const struct onnx_fraction *b, struct onnx_fraction *out)
{
  if (!exact(a) || !exact(b)) return false;
  if (op == IR_OP_mul) *out = (struct onnx_fraction){ ir_ix_mul(a->n, b->n), ir_ix_mul(a->d, b->d) };
  else if (op == IR_OP_div) *out = (struct onnx_fraction){ ir_ix_mul(a->n, b->d), ir_ix_mul(a->d, b->n) };
  else {
    const struct ir_ix *l = ir_ix_mul(a->n, b->d), *r = ir_ix_mul(b->n, a->d);
    *out = (struct onnx_fraction){ op == IR_OP_add ? ir_ix_add(l, r) : ir_ix_sub(l, r), ir_ix_mul(a->d, b->d) };
  }
  return known_positive(c, out->d);
}
static bool find(struct search *s, struct ir_value *v, unsigned depth, struct onnx_fraction *out, unsigned *n);
static bool of_maps(struct search *s, const struct ir_node *d, unsigned depth, struct onnx_fraction *out, unsigned n)
{
  struct onnx_fraction a[2][MOST];
  unsigned k[2];
  for (unsigned i = 0; i < d->n_in; i++)
    if (!find(s, d->in[i], depth, a[i], &k[i]) || (k[i] != n && k[i] != 1)) return false;
  for (unsigned i = 0; i < n; i++) {
    const struct onnx_fraction *x = &a[0][k[0] == 1 ? 0 : i], *y = &a[1][d->n_in == 1 || k[1] == 1 ? 0 : i];
    if (d->n_in == 2) TRY(combine(s->c, d->op, x, y, &out[i]));
    else out[i] = (struct onnx_fraction){ ir_ix_div(d->op == IR_OP_ceil ? ir_ix_add(x->n, ir_ix_addi(x->d, -1)) : x->n, x->d), onnx_k(s->c, 1) };
  }
  return true;
}
static bool find(struct search *s, struct ir_value *v, unsigned depth, struct onnx_fraction *out, unsigned *n)
{
  struct onnx_ctx *c = s->c;
  const struct ir_node *d = v->def;
  struct onnx_ixs form;
  int64_t elems;
  if (v->type->rank > 1 || depth > DEPTH || !s->left || !s->left-- || !ir_type_static(v->type, NULL, &elems) || elems > MOST) return false;
  *n = (unsigned)elems;
  if (!onnx_is_float(v)) {
    if (!onnx_form(c, v, &form) || form.n != *n) return false;
    for (unsigned i = 0; i < *n; i++) out[i] = (struct onnx_fraction){ form.v[i], onnx_k(c, 1) };
    return true;
  }
  if (of_const(c, v, out, *n)) return true;
  if (!d) return false;
  switch (d->op) {
  case IR_OP_cast: case IR_OP_reshape: case IR_OP_copy: return find(s, d->in[0], depth + 1, out, n) && *n == elems;
  case IR_OP_broadcast: {
    unsigned k;
    if (!find(s, d->in[0], depth + 1, out, &k) || (k != 1 && k != *n)) return false;
    for (unsigned i = k; i < *n; i++) out[i] = out[0];
    return true;
  }
  case IR_OP_concat: {
    unsigned at = 0, k;
    for (unsigned i = 0; i < d->n_in; at += k, i++) TRY(find(s, d->in[i], depth + 1, out + at, &k));
    return at == *n;
  }
  case IR_OP_add: case IR_OP_sub: case IR_OP_mul: case IR_OP_div: case IR_OP_floor: case IR_OP_ceil: return of_maps(s, d, depth + 1, out, *n);
  default: return false;
  }
}
bool onnx_fractions(struct onnx_ctx *c, struct ir_value *v, struct onnx_fraction *out, unsigned *n)
{
  return find(&(struct search){ c, VISITS }, v, 0, out, n);
}
