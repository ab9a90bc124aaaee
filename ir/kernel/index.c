/* Elements of integer values as index expressions, for coordinates that depend on data: a read of an argument becomes a load in the expression, arithmetic on
 * integers becomes arithmetic of expressions. Index arithmetic does not wrap: indices near the ends of i64 are out of bounds either way. */
#include "ir/kernel/internal.h"

static const struct ir_ix *to_ix(struct kir_nest *n, const struct kir_expr *e, unsigned depth);

/* A bool expression as 0 or 1. */
static const struct ir_ix *condition(struct kir_nest *n, const struct kir_expr *e, unsigned depth)
{
  if (e->kind == KIR_E_CONST) return ir_ix_int(n->ixs, e->i != 0);
  if (e->kind == KIR_E_IX) return e->ix;
  if (e->kind != KIR_E_FN) return NULL;
  bool logic = e->sub == IR_MAP_and || e->sub == IR_MAP_or || e->sub == IR_MAP_not;
  const struct ir_ix *a = logic ? condition(n, e->a[0], depth + 1) : to_ix(n, e->a[0], depth + 1);
  const struct ir_ix *b = e->n < 2 ? NULL : logic ? condition(n, e->a[1], depth + 1) : to_ix(n, e->a[1], depth + 1), *one = ir_ix_int(n->ixs, 1);
  if (!a || (e->n > 1 && !b)) return NULL;
  switch ((enum ir_map)e->sub) {
  case IR_MAP_eq: return ir_ix_eq0(ir_ix_sub(a, b));
  case IR_MAP_lt: return ir_ix_lt(a, b);
  case IR_MAP_le: return ir_ix_le(a, b);
  case IR_MAP_and: return ir_ix_mul(a, b);
  case IR_MAP_or: return ir_ix_sub(one, ir_ix_mul(ir_ix_sub(one, a), ir_ix_sub(one, b)));
  case IR_MAP_not: return ir_ix_sub(one, a);
  default: return NULL;
  }
}
static const struct ir_ix *arithmetic(struct kir_nest *n, const struct kir_expr *e, unsigned depth)
{
  if (e->sub == IR_MAP_select) {
    const struct ir_ix *p = condition(n, e->a[0], depth + 1), *x = to_ix(n, e->a[1], depth + 1), *y = to_ix(n, e->a[2], depth + 1);
    return p && x && y ? ir_ix_select(p, x, y) : NULL;
  }
  const struct ir_ix *a = to_ix(n, e->a[0], depth + 1), *b = e->n > 1 ? to_ix(n, e->a[1], depth + 1) : NULL;
  if (!a || (e->n > 1 && !b)) return NULL;
  switch ((enum ir_map)e->sub) {
  case IR_MAP_add: return ir_ix_add(a, b);
  case IR_MAP_sub: return ir_ix_sub(a, b);
  case IR_MAP_mul: return ir_ix_mul(a, b);
  case IR_MAP_min: return ir_ix_min(a, b);
  case IR_MAP_max: return ir_ix_max(a, b);
  case IR_MAP_neg: return ir_ix_neg(a);
  default: return NULL;
  }
}
static const struct ir_ix *to_ix(struct kir_nest *n, const struct kir_expr *e, unsigned depth)
{
  if (depth > 32 || ir_elem_class(e->elem) == 'F') return NULL;
  switch (e->kind) {
  case KIR_E_CONST: return ir_ix_int(n->ixs, e->i);
  case KIR_E_IX: return e->ix;
  case KIR_E_CAST: return ir_elem_bits(e->elem) >= ir_elem_bits(e->a[0]->elem) ? to_ix(n, e->a[0], depth + 1) : NULL;
  case KIR_E_FN: return arithmetic(n, e, depth);
  case KIR_E_SELECT: {
    const struct ir_ix *a = to_ix(n, e->a[0], depth + 1), *b = to_ix(n, e->a[1], depth + 1);
    return a && b ? ir_ix_select(e->ix, a, b) : NULL;
  }
  case KIR_E_READ:
    if (!e->arr->arg || e->els) return NULL;
    return ir_ix_load(n->ixs, e->arr->index, e->at, e->n_at, -IR_IX_INF, IR_IX_INF);
  default: return NULL;
  }
}
const struct ir_ix *kir_index(struct kir_nest_builder *b, const struct ir_value *v, const struct ir_ix *const *c)
{
  return to_ix(kir_builder_nest(b), kir_value(b, v, c), 0);
}
