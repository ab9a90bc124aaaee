/* Attributes, operands and builder helpers for the rows' functions. */
#include "compiler/onnx/import.h"
#include <math.h>
#include <string.h>

bool onnx_bad(struct onnx_ctx *c, enum ir_msg m, const char *fmt, ...)
{
  char s[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  return ir_error(c->im->diags, m, c->name, c->op, "%s", s);
}
const char *onnx_show(struct onnx_ctx *c, const struct ir_value *v) { return ir_type_str(c->arena, v->type); }

/* ---- attributes ---- */
const Onnx__AttributeProto *onnx_attr(struct onnx_ctx *c, const char *name)
{
  const Onnx__NodeProto *n = c->node;
  const Onnx__AttributeProto *a = NULL;
  for (size_t i = 0; i < n->n_attribute && !a; i++)
    if (n->attribute[i]->name && !strcmp(n->attribute[i]->name, name)) {
      a = n->attribute[i];
      if (i < 64) c->read |= (uint64_t)1 << i;
    }
  return a && a->ref_attr_name && *a->ref_attr_name ? onnx_scope_attr(c->scope, a->ref_attr_name) : a;
}
/* Attributes that change nothing in a compiled model. */
static bool without_effect(const char *name)
{
  static const char *const names[] = { "consumed_inputs", "else_branch", "extrapolation_value", "is_test", "momentum", "ratio", "round_mode", "saturate", "seed", "spatial", "storage_order", "then_branch" };
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(names[i], name)) return true;
  return false;
}
bool onnx_all_read(struct onnx_ctx *c)
{
  for (size_t i = 0; i < c->node->n_attribute && i < 64; i++) {
    const char *name = c->node->attribute[i]->name;
    if (c->read >> i & 1 || (name && without_effect(name))) continue;
    return onnx_bad(c, IR_M0302, "attribute \"%s\" is not one of %s in opset %lld", name ? name : "", c->op, (long long)c->opset);
  }
  return true;
}
/* Old files (IR version 1 and 2) leave `type` out; then the field that is set speaks. */
static bool has_type(struct onnx_ctx *c, const Onnx__AttributeProto *a, const char *name, int type, bool untyped_fits, const char *what)
{
  if (a->has_type && a->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED ? (int)a->type == type : untyped_fits) return true;
  return onnx_bad(c, IR_M0302, "attribute %s is of type %d, expected %s", name, a->has_type ? (int)a->type : 0, what);
}
bool onnx_attr_int(struct onnx_ctx *c, const char *name, int64_t dflt, int64_t *out)
{
  const Onnx__AttributeProto *a = onnx_attr(c, name);
  *out = a ? a->i : dflt;
  return !a || has_type(c, a, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, a->has_i, "an integer");
}
bool onnx_attr_flag(struct onnx_ctx *c, const char *name, bool dflt, bool *out)
{
  int64_t v;
  TRY(onnx_attr_int(c, name, dflt, &v));
  *out = v != 0;
  return true;
}
bool onnx_attr_float(struct onnx_ctx *c, const char *name, double dflt, double *out)
{
  const Onnx__AttributeProto *a = onnx_attr(c, name);
  *out = a ? (double)a->f : dflt;
  return !a || has_type(c, a, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, a->has_f, "a float");
}
bool onnx_attr_str(struct onnx_ctx *c, const char *name, const char *dflt, const char **out)
{
  const Onnx__AttributeProto *a = onnx_attr(c, name);
  TRY(!a || onnx_spend(c->im, a->s.len));
  *out = a ? ir_arena_strndup(c->arena, a->s.data ? (const char *)a->s.data : "", a->s.len) : dflt;
  return !a || has_type(c, a, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, a->has_s, "a string");
}
bool onnx_attr_ints(struct onnx_ctx *c, const char *name, struct onnx_ints *out)
{
  const Onnx__AttributeProto *a = onnx_attr(c, name);
  *out = (struct onnx_ints){ 0 };
  if (!a) return true;
  TRY(has_type(c, a, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, !a->n_floats && !a->has_i && !a->has_s, "a list of integers"));
  if (a->n_ints > 1 << 20) return onnx_bad(c, IR_M0302, "attribute %s has %zu entries", name, a->n_ints);
  *out = (struct onnx_ints){ true, (unsigned)a->n_ints, a->ints };
  return true;
}
bool onnx_attr_floats(struct onnx_ctx *c, const char *name, struct onnx_floats *out)
{
  const Onnx__AttributeProto *a = onnx_attr(c, name);
  *out = (struct onnx_floats){ 0 };
  if (!a) return true;
  TRY(has_type(c, a, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS, !a->n_ints && !a->has_i && !a->has_s, "a list of floats"));
  TRY(onnx_spend(c->im, 8 * (uint64_t)a->n_floats));
  double *v = IR_NEWN(c->arena, double, a->n_floats);
  for (size_t i = 0; i < a->n_floats; i++) v[i] = (double)a->floats[i];
  *out = (struct onnx_floats){ true, (unsigned)a->n_floats, v };
  return true;
}
bool onnx_attr_tensor(struct onnx_ctx *c, const char *name, const struct onnx_tensor **out)
{
  const Onnx__AttributeProto *a = onnx_attr(c, name);
  *out = NULL;
  if (!a) return true;
  TRY(has_type(c, a, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR, a->t != NULL, "a tensor"));
  if (!a->t) return onnx_bad(c, IR_M0302, "attribute %s holds no tensor", name);
  *out = onnx_tensor_of(c->im->file, a->t);
  return true;
}
bool onnx_axis(struct onnx_ctx *c, int64_t axis, unsigned rank, unsigned *out)
{
  if (axis < -(int64_t)rank || axis >= (int64_t)rank) return onnx_bad(c, IR_M0302, "axis %lld is outside of rank %u", (long long)axis, rank);
  *out = (unsigned)(axis < 0 ? axis + rank : axis);
  return true;
}
bool onnx_attr_axis(struct onnx_ctx *c, const char *name, int64_t dflt, unsigned rank, unsigned *out)
{
  int64_t v;
  return onnx_attr_int(c, name, dflt, &v) && onnx_axis(c, v, rank, out);
}
bool onnx_axes(struct onnx_ctx *c, const char *name, int slot, unsigned rank, bool sort, struct onnx_ints *out)
{
  TRY(onnx_ints(c, name, slot, out));
  if (out->n > rank) return onnx_bad(c, IR_M0302, "%u axes for rank %u", out->n, rank);
  int64_t *v = IR_NEWN(c->arena, int64_t, out->n);
  unsigned seen = 0;
  for (unsigned i = 0; i < out->n; i++) {
    unsigned a;
    TRY(onnx_axis(c, out->v[i], rank, &a));
    if (seen & 1u << a) return onnx_bad(c, IR_M0302, "axis %u stands twice", a);
    seen |= 1u << a;
    v[i] = a;
  }
  for (unsigned a = 0, k = 0; sort && a < rank; a++)
    if (seen & 1u << a) v[k++] = a;
  out->v = v;
  return true;
}

/* ---- operands ---- */
struct ir_value *onnx_in(struct onnx_ctx *c, unsigned i) { return i < c->n_in ? c->in[i] : NULL; }
bool onnx_operands(struct onnx_ctx *c, unsigned need, unsigned most)
{
  if (c->n_in > most) return onnx_bad(c, IR_M0203, "%u operands, at most %u are allowed", c->n_in, most);
  for (unsigned i = 0; i < need; i++)
    if (!onnx_in(c, i)) return onnx_bad(c, IR_M0203, "operand %u is missing", i);
  return true;
}
static bool not_known(struct onnx_ctx *c, const char *name, int slot)
{
  return onnx_bad(c, IR_M0303, "operand %d (%s, %s) is only known at run time; massc needs its value when it compiles", slot, name, onnx_show(c, c->in[slot]));
}
bool onnx_ints(struct onnx_ctx *c, const char *name, int slot, struct onnx_ints *out)
{
  *out = (struct onnx_ints){ 0 };
  if (slot < 0) return !name || onnx_attr_ints(c, name, out);
  struct ir_value *x = onnx_in(c, (unsigned)slot);
  if (!x) return true;
  int64_t n;
  unsigned k;
  name = name ? name : "integers";
  if (x->type->rank > 1) return onnx_bad(c, IR_M0201, "operand %d (%s) is %s, expected rank 1", slot, name, onnx_show(c, x));
  if (!ir_type_static(x->type, NULL, &n) || n > 1 << 20) return not_known(c, name, slot);
  TRY(onnx_spend(c->im, 8 * (uint64_t)n));
  int64_t *v = IR_NEWN(c->arena, int64_t, n);
  if (!n) k = 0;                                     /* an input without elements is known */
  else if (!ir_value_const_ints(x, (unsigned)n, v, &k)) return not_known(c, name, slot);
  *out = (struct onnx_ints){ true, k, v };
  return true;
}
struct ir_value *onnx_outermost(struct onnx_ctx *c, struct ir_value *v)
{
  for (struct onnx_frame *f = c->im->frame; f; f = f->up)
    for (uint32_t i = 0; i < f->outer.n; i++)
      if (f->inner.v[i] == v) { v = f->outer.v[i]; break; }
  return v;
}
static struct ir_node *bind_of(struct ir_value *v)
{
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (v->uses.v[i]->op == IR_OP_bind) return v->uses.v[i];
  return NULL;
}
/* Behind v, where all of its readers can see it; they read the bind's result from here on. */
bool onnx_bind(struct onnx_ctx *c, struct ir_value *v, int64_t lo, int64_t hi, const struct ir_ix *most, const struct ir_ix *const **out)
{
  struct ir_value *o = onnx_outermost(c, v);
  int64_t n;
  if (o->type->rank > 1 || !ir_type_static(o->type, NULL, &n) || n > 64) return false;
  if (o->def && o->def->op == IR_OP_bind) { *out = ir_attr_find(o->def, "syms")->ix; return true; }
  struct ir_builder b = *c->b;
  b.g = o->graph;
  b.at = o->def ? o->def->next : o->graph->first;
  struct ir_value *x = o->type->elem == IR_i64 ? o : ir_cast(&b, o, IR_i64);
  if (!x) return false;
  struct ir_node *bind = bind_of(x);
  if (!bind) {
    const struct ir_ix **s = IR_NEWN(c->m->arena, const struct ir_ix *, n + 1);
    for (int64_t i = 0; i < n; i++) s[i] = ir_late_symbol(c->m, ir_arena_printf(c->m->arena, "%s.size", c->op ? c->op : "late"), lo, hi, most);
    struct ir_attr a = ir_attr_ixs(c->m, "syms", s, (unsigned)n);
    if (x != o) b.at = x->def->next;
    bind = ir_build(&b, IR_OP_bind, &x, 1, &a, 1);
    if (!bind) return false;
    b.at = bind->next;
    struct ir_value *with = x == o ? bind->out[0] : ir_cast(&b, bind->out[0], o->type->elem);
    IR_VEC(struct ir_node *) readers = { 0 };
    for (uint32_t i = 0; i < o->uses.n; i++) ir_push(c->arena, &readers, o->uses.v[i]);
    for (uint32_t i = 0; i < readers.n; i++)
      for (unsigned k = 0; k < readers.v[i]->n_in; k++)
        if (readers.v[i]->in[k] == o && readers.v[i] != bind && readers.v[i] != x->def && readers.v[i] != with->def) ir_node_set_in(readers.v[i], k, with);
  }
  *out = ir_attr_find(bind, "syms")->ix;
  return true;
}
/* The form of a value that is computed from inputs: their elements become symbols, which the runtime reads before it plans; what is computed from data becomes
 * symbols that it reads in mid-run. Only asked for where an operator needs numbers, so that other inputs stay data. */
enum { FORM_DEPTH = 32, FORM_MAX = 64 };
/* An integer cast from floats that are computed from sizes, as floor(h * 2.0) is: towards 0, which is down if nothing is below it. */
static bool rounded_fractions(struct onnx_ctx *c, struct ir_value *v)
{
  struct onnx_fraction f[FORM_MAX];
  unsigned n;
  if (!v->def || v->def->op != IR_OP_cast || v->type->elem == IR_bool || !onnx_is_float(v->def->in[0]) || !onnx_fractions(c, v->def->in[0], f, &n)) return false;
  const struct ir_ix **e = IR_NEWN(c->m->arena, const struct ir_ix *, n + 1);
  for (unsigned i = 0; i < n; i++) {
    if (!ir_known_ge0(&c->m->facts, f[i].n)) return false;
    e[i] = ir_ix_div(f[i].n, f[i].d);
  }
  v->form = e;
  v->form_n = n;
  return true;
}
static bool demand_form(struct onnx_ctx *c, struct ir_value *v, bool floats, unsigned depth, struct onnx_ixs *out)
{
  int64_t n;
  struct onnx_ixs unused;
  *out = (struct onnx_ixs){ true, v->form_n, v->form };
  if (v->form) return true;
  if (depth > FORM_DEPTH || v->type->rank > 1 || !ir_type_static(v->type, NULL, &n) || n > FORM_MAX || (v->type->elem == IR_bool && !floats)) return false;
  if (ir_elem_class(v->type->elem) == 'F' && !floats) return false;
  if (v->def && ir_op_def(v->def->op)->form) {
    struct ir_node *d = v->def;
    for (unsigned i = 0; i < d->n_in; i++) demand_form(c, d->in[i], false, depth + 1, &unused);
    if (ir_op_def(d->op)->form(c->m, d) && v->form) { *out = (struct onnx_ixs){ true, v->form_n, v->form }; return true; }
  }
  if (rounded_fractions(c, v)) { *out = (struct onnx_ixs){ true, v->form_n, v->form }; return true; }
  if (v->def || v->graph != c->m->main) {
    if (ir_elem_class(v->type->elem) == 'F' || !onnx_bind(c, v, -INT32_MAX, INT32_MAX, NULL, &out->v)) return false;
    out->n = (unsigned)n;
    if (!v->def) { v->form = out->v; v->form_n = out->n; }          /* a parameter of a body */
    return true;
  }
  const struct ir_ix **e = IR_NEWN(c->m->arena, const struct ir_ix *, n + 1);
  for (int64_t i = 0; i < n; i++) e[i] = ir_value_symbol(c->m, v->index, (unsigned)i);
  v->form = out->v = e;
  v->form_n = out->n = (unsigned)n;
  return true;
}
bool onnx_form(struct onnx_ctx *c, struct ir_value *v, struct onnx_ixs *out) { return demand_form(c, v, false, 0, out); }
bool onnx_number(struct onnx_ctx *c, unsigned slot, const struct ir_ix **out)
{
  struct ir_value *x = onnx_in(c, slot);
  struct onnx_ixs form;
  if (!x || !demand_form(c, x, true, 0, &form) || form.n != 1) return false;
  *out = form.v[0];
  return true;
}
bool onnx_ixs(struct onnx_ctx *c, const char *name, int slot, struct onnx_ixs *out)
{
  struct ir_value *x = slot >= 0 ? onnx_in(c, (unsigned)slot) : NULL;
  if (x && x->type->rank <= 1 && demand_form(c, x, false, 0, out)) return true;
  struct onnx_ints v;
  TRY(onnx_ints(c, name, slot, &v));
  const struct ir_ix **e = IR_NEWN(c->arena, const struct ir_ix *, v.n);
  for (unsigned i = 0; i < v.n; i++) e[i] = onnx_k(c, v.v[i]);
  *out = (struct onnx_ixs){ v.present, v.n, e };
  return true;
}
/* Floats of a constant, also through reshape, cast to a wider float and concat, as exporters build Resize's scales. */
static bool const_floats(const struct ir_value *v, double *out, unsigned max, unsigned *n, unsigned depth)
{
  double s;
  int64_t elems;
  if (!ir_type_static(v->type, NULL, &elems) || elems > max - *n) return false;
  if (ir_value_is_splat(v, &s)) { for (int64_t i = 0; i < elems; i++) out[(*n)++] = s; return true; }
  if (!v->def || depth > 16) return false;
  if (v->def->op == IR_OP_concat && v->type->rank == 1) {
    for (unsigned i = 0; i < v->def->n_in; i++) TRY(const_floats(v->def->in[i], out, max, n, depth + 1));
    return true;
  }
  if (v->def->op == IR_OP_reshape || (v->def->op == IR_OP_cast && onnx_is_float(v))) return const_floats(v->def->in[0], out, max, n, depth + 1);
  if (v->def->op != IR_OP_const || v->def->data->kind != IR_DATA_BYTES) return false;
  const unsigned char *p = v->def->data->p;
  for (int64_t i = 0; i < elems; i++) {
    float f;
    if (v->type->elem == IR_f32) { memcpy(&f, p + 4 * i, 4); out[(*n)++] = (double)f; }
    else if (v->type->elem == IR_f64) memcpy(&out[(*n)++], p + 8 * i, 8);
    else return false;
  }
  return true;
}
bool onnx_const_floats(const struct ir_value *v, double *out, unsigned max, unsigned *n) { return const_floats(v, out, max, n, 0); }
bool onnx_floats(struct onnx_ctx *c, int slot, struct onnx_floats *out)
{
  enum { MAX = 256 };
  struct ir_value *x = onnx_in(c, (unsigned)slot);
  *out = (struct onnx_floats){ 0 };
  if (!x) return true;
  double *v = IR_NEWN(c->arena, double, MAX);
  unsigned n = 0;
  if (!const_floats(x, v, MAX, &n, 0)) return not_known(c, "floats", slot);
  *out = (struct onnx_floats){ true, n, v };
  return true;
}
bool onnx_to_elem(struct onnx_ctx *c, int64_t t, enum ir_elem *out)
{
  const char *why = "an unknown element type";
  if (t >= 0 && t <= INT32_MAX && onnx_elem((int32_t)t, out, &why)) return true;
  return onnx_bad(c, IR_M0301, "element type %lld: %s are not supported", (long long)t, why);
}

/* ---- axes at run time ---- */
bool onnx_axes_known(struct onnx_ctx *c, int slot)
{
  struct ir_value *x = slot >= 0 ? onnx_in(c, (unsigned)slot) : NULL;
  int64_t v[64];
  unsigned n;
  return !x || ir_value_const_ints(x, 64, v, &n);
}
bool onnx_axset(struct onnx_ctx *c, const char *name, int slot, unsigned rank, struct onnx_axset *out)
{
  struct onnx_ixs a;
  TRY(onnx_ixs(c, name, slot, &a));
  *out = (struct onnx_axset){ .present = a.present, .n = a.present ? a.n : rank };
  if (out->n > rank) return onnx_bad(c, IR_M0302, "%u axes for rank %u", out->n, rank);
  for (unsigned d = 0; d < rank; d++) out->is[d] = onnx_k(c, 0);
  for (unsigned j = 0; j < out->n; j++) {
    const struct ir_ix *e = a.present ? a.v[j] : onnx_k(c, j);
    TRY(ir_require_ge0(c->m, ir_ix_addi(e, rank), "an axis is not below -rank") && ir_require_ge0(c->m, ir_ix_sub(onnx_k(c, (int64_t)rank - 1), e), "an axis is below the rank"));
    e = ir_ix_select(ir_ix_ge0(e), e, ir_ix_addi(e, rank));
    for (unsigned d = 0; d < rank; d++) {
      out->at[j][d] = ir_ix_eq0(ir_ix_addi(e, -(int64_t)d));
      out->is[d] = ir_ix_add(out->is[d], out->at[j][d]);
    }
  }
  return true;
}
const struct ir_ix *onnx_read_size(struct onnx_ctx *c, const struct ir_ix *e)
{
  int64_t k;
  if (ir_ix_const(e, &k)) return e;
  e = ir_ix_opaque(e);
  ir_require_ge0(c->m, e, "a size is not negative");
  return e;
}
struct ir_value *onnx_drop_axset(struct onnx_ctx *c, struct ir_value *x, const struct onnx_axset *s)
{
  const struct ir_ix *dim[IR_MAX_RANK], *before = onnx_k(c, 0), *one = onnx_k(c, 1);
  if (!x) return NULL;
  unsigned rank = x->type->rank, left = rank - s->n;
  for (unsigned j = 0; j < left; j++) dim[j] = onnx_k(c, 0);
  for (unsigned d = 0; d < rank; d++) {
    const struct ir_ix *kept = ir_ix_sub(one, s->is[d]);
    for (unsigned j = 0; j < left; j++) dim[j] = ir_ix_add(dim[j], ir_ix_mul(x->type->dim[d], ir_ix_mul(kept, ir_ix_eq0(ir_ix_addi(before, -(int64_t)j)))));
    before = ir_ix_add(before, kept);
  }
  for (unsigned j = 0; j < left; j++) dim[j] = onnx_read_size(c, dim[j]);
  return ir_reshape(c->b, x, left, dim);
}

/* ---- building ---- */
bool onnx_out(struct onnx_ctx *c, struct ir_value *v)
{
  c->out[0] = v;
  return v != NULL;
}
static bool is_half(enum ir_elem e) { return e == IR_f16 || e == IR_bf16; }
void onnx_widen(struct onnx_ctx *c)
{
  c->elem = c->in[0]->type->elem;
  for (unsigned i = 0; i < c->n_in; i++)
    if (c->in[i] && is_half(c->in[i]->type->elem)) c->in[i] = ir_cast(c->b, c->in[i], IR_f32);
}
bool onnx_narrow(struct onnx_ctx *c, struct ir_value *v) { return onnx_out(c, is_half(c->elem) ? ir_cast(c->b, v, c->elem) : v); }
struct ir_value *onnx_const(struct onnx_ctx *c, enum ir_elem e, double v)
{
  return ir_const_splat(c->b, ir_type_get(c->m, e, 0, NULL), v, isfinite(v) && fabs(v) < 9e18 ? (int64_t)v : 0);
}
struct ir_value *onnx_like(struct onnx_ctx *c, const struct ir_value *x, double v) { return x ? onnx_const(c, x->type->elem, v) : NULL; }
struct ir_value *onnx_node(struct onnx_ctx *c, enum ir_op op, struct ir_value *const *in, unsigned n_in, const struct ir_attr *attrs, unsigned n_attr)
{
  struct ir_node *n = ir_build(c->b, op, in, n_in, attrs, n_attr);
  return n ? n->out[0] : NULL;
}
struct ir_value *onnx_reduce(struct onnx_ctx *c, const char *op, struct ir_value *x, const int64_t *axes, unsigned n)
{
  if (!n) return x;
  struct ir_attr a[] = { ir_attr_str("op", op), ir_attr_ints(c->m, "axes", axes, n) };
  return onnx_node(c, IR_OP_reduce, &x, 1, a, 2);
}
struct ir_value *onnx_mean(struct onnx_ctx *c, struct ir_value *x, const int64_t *axes, unsigned n)
{
  if (!x) return NULL;
  const struct ir_ix *count = onnx_k(c, 1);
  for (unsigned i = 0; i < n; i++) count = ir_ix_mul(count, x->type->dim[axes[i]]);
  int64_t k;
  struct ir_value *d = ir_ix_const(count, &k) ? onnx_like(c, x, (double)k) : ir_cast(c->b, onnx_index(c, IR_i64, 0, NULL, &count, 1), x->type->elem);
  return onnx_2(c, IR_OP_div, onnx_reduce(c, "sum", x, axes, n), d);
}
struct ir_value *onnx_drop_axes(struct onnx_ctx *c, struct ir_value *x, const int64_t *axes, unsigned n)
{
  if (!x) return NULL;
  const struct ir_ix *dim[IR_MAX_RANK];
  unsigned drop = 0, k = 0;
  for (unsigned i = 0; i < n; i++) drop |= 1u << axes[i];
  for (unsigned d = 0; d < x->type->rank; d++)
    if (!(drop & 1u << d)) dim[k++] = x->type->dim[d];
  return ir_reshape(c->b, x, k, dim);
}
struct ir_value *onnx_along(struct onnx_ctx *c, struct ir_value *x, unsigned axis, unsigned rank)
{
  if (!x) return NULL;
  const struct ir_ix *dim[IR_MAX_RANK], *n = x->type->rank ? ir_type_elems(c->m, x->type) : onnx_k(c, 1);
  for (unsigned d = 0; d < rank; d++) dim[d] = d == axis ? n : onnx_k(c, 1);
  return ir_reshape(c->b, x, rank, dim);
}
struct ir_value *onnx_index(struct onnx_ctx *c, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim, const struct ir_ix *const *expr, unsigned n)
{
  struct ir_attr a[] = { ir_attr_elem("elem", e), ir_attr_ixs(c->m, "e", expr, n), ir_attr_ixs(c->m, "dims", dim, rank) };
  return onnx_node(c, IR_OP_index, NULL, 0, a, 3);
}
struct ir_value *onnx_gather(struct onnx_ctx *c, struct ir_value *x, struct ir_value *i, unsigned axis)
{
  struct ir_value *in[] = { x, i };
  struct ir_attr a = ir_attr_int("axis", axis);
  return onnx_node(c, IR_OP_gather, in, 2, &a, 1);
}
struct ir_value *onnx_dot(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y, const char *spec)
{
  struct ir_value *in[] = { x, y };
  struct ir_attr a = ir_attr_str("spec", ir_arena_strdup(c->m->arena, spec));
  return onnx_node(c, IR_OP_dot, in, 2, &a, 1);
}
struct ir_value *onnx_pad(struct onnx_ctx *c, struct ir_value *x, struct ir_value *value, const struct ir_ix *const *lo, const struct ir_ix *const *hi)
{
  if (!x) return NULL;
  bool none = true;
  for (unsigned d = 0; d < x->type->rank; d++) none &= ir_ix_is(lo[d], 0) && ir_ix_is(hi[d], 0);
  if (none) return x;
  struct ir_value *in[] = { x, value };
  struct ir_attr a[] = { ir_attr_ixs(c->m, "lo", lo, x->type->rank), ir_attr_ixs(c->m, "hi", hi, x->type->rank) };
  return onnx_node(c, IR_OP_pad, in, 2, a, 2);
}
struct ir_value *onnx_slice(struct onnx_ctx *c, struct ir_value *x, const struct ir_ix *const *start, const int64_t *step, const struct ir_ix *const *dims)
{
  if (!x) return NULL;
  unsigned rank = x->type->rank;
  bool whole = true;
  for (unsigned d = 0; d < rank; d++) whole &= ir_ix_is(start[d], 0) && step[d] == 1 && dims[d] == x->type->dim[d];
  if (whole) return x;
  struct ir_attr a[] = { ir_attr_ixs(c->m, "start", start, rank), ir_attr_ints(c->m, "step", step, rank), ir_attr_ixs(c->m, "dims", dims, rank) };
  return onnx_node(c, IR_OP_slice, &x, 1, a, 3);
}
bool onnx_is_float(const struct ir_value *v) { return ir_elem_class(v->type->elem) == 'F'; }
const struct ir_ix *onnx_product(struct onnx_ctx *c, const struct ir_type *t, unsigned from, unsigned to)
{
  const struct ir_ix *p = onnx_k(c, 1);
  for (unsigned d = from; d < to; d++) p = ir_ix_mul(p, t->dim[d]);
  return p;
}
