/* The table of ops, and the map ops, which are all alike: one row of maps.def each. */
#include "ir/ops.h"

/* ---- shared by the families ---- */
void op_broadcast_at(struct kir_nest_builder *b, const struct ir_type *x, const struct ir_type *r, const struct ir_ix *const *c, const struct ir_ix **out)
{
  struct ir_ixs *t = kir_builder_nest(b)->ixs;
  for (unsigned d = 0; d < x->rank; d++) {
    const struct ir_ix *xd = x->dim[d], *rd = r->dim[d];
    if (xd == rd) out[d] = c[d];
    else if (ir_ix_is(xd, 1)) out[d] = ir_ix_int(t, 0);
    else {                                       /* equal to the result's, or 1 at run time */
      const struct ir_ix *one = ir_ix_eq0(ir_ix_addi(kir_dim(b, xd), -1));
      out[d] = ir_ix_mul(c[d], ir_ix_sub(ir_ix_int(t, 1), one));
    }
  }
}
const struct ir_type *op_type_of_dims(struct ir_module *m, const struct ir_node *n, enum ir_elem e, const char *key)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  if (!a) return ir_type_get(m, e, 0, NULL);
  if (a->n > IR_MAX_RANK) { ir_op_error(m, n, IR_M0201, "rank %u; at most %d is supported", a->n, IR_MAX_RANK); return NULL; }
  for (unsigned d = 0; d < a->n; d++) {
    int64_t k;
    if (ir_ix_const(a->ix[d], &k) && k < 0) { ir_op_error(m, n, IR_M0201, "axis %u would have size %lld", d, (long long)k); return NULL; }
  }
  return ir_type_get(m, e, a->n, a->ix);
}
const struct ir_ix *op_loop(struct kir_nest_builder *b, const char *name, const struct ir_ix *ext, struct kir_axis *axes, unsigned *n)
{
  if (ir_ix_is(ext, 1)) return ir_ix_int(kir_builder_nest(b)->ixs, 0);
  axes[*n] = (struct kir_axis){ kir_axis(b, name, ext), ext };
  return axes[(*n)++].var;
}
void op_set_form(struct ir_module *m, struct ir_value *v, const struct ir_ix *const *e, unsigned n)
{
  v->form = ir_arena_copy(m->arena, e, n * sizeof *e);
  v->form_n = n;
}

/* ---- map ops ---- */
static const struct { const char *name; unsigned arity; char kind; } rows[IR_MAP_COUNT] = {
#define MAP(name, arity, kind) { #name, arity, #kind[0] },
#include "ir/maps.def"
#undef MAP
};
static bool map_elem(struct ir_module *m, struct ir_node *n, enum ir_elem *out)
{
  enum ir_map f = ir_op_map(n->op);
  unsigned first = f == IR_MAP_select;
  if (first && n->in[0]->type->elem != IR_bool) return ir_op_error(m, n, IR_M0202, "the condition is %s, not bool", ir_type_str(m->arena, n->in[0]->type));
  enum ir_elem e = n->in[first]->type->elem;
  for (unsigned i = first + 1; i < n->n_in; i++)
    if (n->in[i]->type->elem != e)
      return ir_op_error(m, n, IR_M0202, "operands have different types: %s and %s", ir_type_str(m->arena, n->in[first]->type), ir_type_str(m->arena, n->in[i]->type));
  bool bits = f == IR_MAP_and || f == IR_MAP_or || f == IR_MAP_xor || f == IR_MAP_not || f == IR_MAP_shl || f == IR_MAP_shr;
  if (bits && ir_elem_class(e) == 'F') return ir_op_error(m, n, IR_M0202, "%s is not defined on %s", rows[f].name, ir_elem_name(e));
  *out = rows[f].kind == 'P' ? IR_bool : e;
  return true;
}
static bool no_broadcast(struct ir_module *m, struct ir_node *n, unsigned axis, const struct ir_ix *a, const struct ir_ix *b)
{
  struct ir_buf all = { 0 };
  for (unsigned i = 0; i < n->n_in; i++) ir_buf_printf(&all, "%s%s", i ? ", " : "", ir_type_str(m->arena, n->in[i]->type));
  ir_op_error(m, n, IR_M0201, "operands %s do not broadcast: axis %u is %s and %s", all.s, axis, ir_ix_str(m->arena, a), ir_ix_str(m->arena, b));
  ir_buf_deinit(&all);
  return false;
}
static bool map_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  enum ir_elem e = IR_bool;
  TRY(map_elem(m, n, &e));
  unsigned rank = 0;
  for (unsigned i = 0; i < n->n_in; i++)
    if (n->in[i]->type->rank > rank) rank = n->in[i]->type->rank;
  const struct ir_ix *dim[IR_MAX_RANK];
  for (unsigned d = 0; d < rank; d++) dim[d] = ir_ix_int(m->ixs, 1);
  for (unsigned i = 0; i < n->n_in; i++) {
    const struct ir_type *t = n->in[i]->type;
    if (t->rank && t->rank != rank) return ir_op_error(m, n, IR_M0201, "operand %s does not have rank %u", ir_type_str(m->arena, t), rank);
    for (unsigned d = 0; d < t->rank; d++) {
      const struct ir_ix *r = ir_dim_broadcast(m, dim[d], t->dim[d]);
      if (!r) return no_broadcast(m, n, d, dim[d], t->dim[d]);
      dim[d] = r;
    }
  }
  out[0] = ir_type_get(m, e, rank, dim);
  return true;
}
static struct kir_expr *map_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct kir_expr *a[3] = { 0 };
  const struct ir_ix *at[IR_MAX_RANK];
  for (unsigned i = 0; i < n->n_in; i++) {
    op_broadcast_at(b, n->in[i]->type, n->out[out]->type, c, at);
    a[i] = kir_value(b, n->in[i], at);
  }
  return kir_fn(kir_builder_nest(b), ir_op_map(n->op), a[0], a[1], a[2]);
}
/* Integer content: maps of expressions. Division truncates in ONNX; the algebra's floors, so signs must be known. */
static const struct ir_ix *map_form1(struct ir_module *m, enum ir_map f, const struct ir_ix *a, const struct ir_ix *b, const struct ir_ix *c)
{
  switch (f) {
  case IR_MAP_neg: return ir_ix_neg(a);
  case IR_MAP_abs: return ir_known_ge0(&m->facts, a) ? a : ir_ix_max(a, ir_ix_neg(a));
  case IR_MAP_floor: case IR_MAP_ceil: case IR_MAP_round: return a;
  case IR_MAP_add: return ir_ix_add(a, b);
  case IR_MAP_sub: return ir_ix_sub(a, b);
  case IR_MAP_mul: return ir_ix_mul(a, b);
  case IR_MAP_div: return ir_known_ge0(&m->facts, a) && ir_known_ge0(&m->facts, ir_ix_addi(b, -1)) ? ir_ix_div(a, b) : NULL;
  case IR_MAP_mod: return ir_known_ge0(&m->facts, ir_ix_addi(b, -1)) ? ir_ix_mod(a, b) : NULL;
  case IR_MAP_min: return ir_ix_min(a, b);
  case IR_MAP_max: return ir_ix_max(a, b);
  case IR_MAP_eq: return ir_ix_eq0(ir_ix_sub(a, b));
  case IR_MAP_lt: return ir_ix_lt(a, b);
  case IR_MAP_le: return ir_ix_le(a, b);
  case IR_MAP_select: return ir_ix_select(a, b, c);
  case IR_MAP_not: return NULL;
  default: return NULL;
  }
}
static bool map_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_ix *r[64];
  int64_t count;
  if (!ir_type_static(n->out[0]->type, NULL, &count) || count > 64 || n->out[0]->type->rank > 1) return false;
  for (unsigned i = 0; i < n->n_in; i++)
    if (!n->in[i]->form) return false;
  for (unsigned k = 0; k < (unsigned)count; k++) {
    const struct ir_ix *a[3] = { 0 };
    for (unsigned i = 0; i < n->n_in; i++) a[i] = n->in[i]->form[n->in[i]->form_n == 1 ? 0 : k];
    enum ir_map f = ir_op_map(n->op);
    bool logic = n->in[0]->type->elem == IR_bool;
    r[k] = logic && f == IR_MAP_and ? ir_ix_mul(a[0], a[1]) : logic && f == IR_MAP_not ? ir_ix_sub(ir_ix_int(m->ixs, 1), a[0]) : map_form1(m, f, a[0], a[1], a[2]);
    if (!r[k]) return false;
  }
  op_set_form(m, n->out[0], r, (unsigned)count);
  return true;
}
#define MAP(nm, arity, kind) \
  static const struct ir_op_def map_def_##nm = { .name = #nm, .class = IR_C_MAP, .min_in = arity, .max_in = arity, .n_out = 1, .infer = map_infer, .form = map_form, .nest = map_nest };
#include "ir/maps.def"
#undef MAP

const struct ir_op_def *const ir_op_defs[IR_OP_COUNT] = {
#define OP(name) [IR_OP_##name] = &ir_def_##name,
#include "ir/ops.def"
#undef OP
#define MAP(name, arity, kind) [IR_OP_##name] = &map_def_##name,
#include "ir/maps.def"
#undef MAP
};
bool ir_op_parse(const char *s, size_t n, enum ir_op *out)
{
  for (unsigned i = 0; i < IR_OP_COUNT; i++)
    if (strlen(ir_op_defs[i]->name) == n && !memcmp(ir_op_defs[i]->name, s, n)) { *out = (enum ir_op)i; return true; }
  return false;
}
