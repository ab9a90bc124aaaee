/* const and index: values without operands. */
#include "ir/ops.h"

static bool const_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  (void)m;
  out[0] = n->out[0]->type;       /* set by the builder: a constant brings its type */
  return true;
}
static bool const_form(struct ir_module *m, struct ir_node *n)
{
  int64_t v[64];
  unsigned k;
  const struct ir_ix *e[64];
  if (n->out[0]->type->rank > 1 || !ir_value_const_ints(n->out[0], 64, v, &k)) return false;
  for (unsigned i = 0; i < k; i++) e[i] = ir_ix_int(m->ixs, v[i]);
  op_set_form(m, n->out[0], e, k);
  return true;
}
const struct ir_op_def ir_def_const = { .name = "const", .class = IR_C_CONST, .n_out = 1, .infer = const_infer, .form = const_form };

static const struct ir_attr *index_exprs(const struct ir_node *n) { return ir_attr_find(n, "e"); }
static bool index_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_attr *e = index_exprs(n);
  int64_t count;
  out[0] = op_type_of_dims(m, n, ir_attr_find(n, "elem")->elem, "dims");
  if (!out[0]) return false;
  if (e->n == 1) return true;
  if (out[0]->rank != 1 || !ir_type_static(out[0], NULL, &count) || count != e->n)
    return ir_op_error(m, n, IR_M0302, "%u expressions for %s: one, or one per element", e->n, ir_type_str(m->arena, out[0]));
  return true;
}
static bool index_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_attr *e = index_exprs(n);
  const struct ir_type *t = n->out[0]->type;
  int64_t count;
  const struct ir_ix *r[64];
  if (t->rank > 1 || !ir_type_static(t, NULL, &count) || count > 64) return false;
  for (unsigned i = 0; i < (unsigned)count; i++)
    r[i] = e->n == 1 ? ir_ix_subst1(e->ix[0], ir_ix_coord(m->ixs, 0), ir_ix_int(m->ixs, i)) : e->ix[i];
  op_set_form(m, n->out[0], r, (unsigned)count);
  return true;
}
/* v[c] = e(c); a list of expressions is a chain of selects over the one coordinate */
static struct kir_expr *index_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  const struct ir_attr *e = index_exprs(n);
  struct kir_nest *nest = kir_builder_nest(b);
  const struct ir_type *t = n->out[out]->type;
  const struct ir_ix *from[IR_MAX_RANK], *v = NULL;
  for (unsigned d = 0; d < t->rank; d++) from[d] = ir_ix_coord(nest->ixs, d);
  for (unsigned i = e->n; i-- > 0;) {
    const struct ir_ix *x = ir_ix_subst(kir_dim(b, e->ix[i]), from, c, t->rank);
    v = v ? ir_ix_select(ir_ix_eq0(ir_ix_addi(c[0], -(int64_t)i)), x, v) : x;
  }
  return kir_ix(nest, t->elem, v);
}
const struct ir_op_def ir_def_index = {
  .name = "index", .class = IR_C_CONST, .n_out = 1,
  .attrs = { { "elem", IR_A_ELEM, true, NULL }, { "e", IR_A_IXS, true, NULL }, { "dims", IR_A_IXS, false, NULL } },
  .infer = index_infer, .form = index_form, .nest = index_nest,
};
