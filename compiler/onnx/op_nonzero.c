/* NonZero where its size is known: of a constant, or of one value that fills a shape (how exporters write counting). */
#include "compiler/onnx/rows.h"

/* Every place of a shape, as [rank, elements]. */
static bool every_place(struct onnx_ctx *c)
{
  const struct ir_type *t = c->in[0]->type;
  const struct ir_ix *dim[] = { onnx_k(c, t->rank), onnx_product(c, t, 0, t->rank) }, *e = onnx_k(c, 0), *d = ir_ix_coord(c->m->ixs, 0), *i = ir_ix_coord(c->m->ixs, 1);
  for (unsigned a = 0; a < t->rank; a++) {
    const struct ir_ix *at = ir_ix_div(i, onnx_product(c, t, a + 1, t->rank));
    if (a) at = ir_ix_mod(at, t->dim[a]);
    e = ir_ix_add(e, ir_ix_mul(ir_ix_eq0(ir_ix_addi(d, -(int64_t)a)), at));
  }
  return onnx_out(c, onnx_index(c, IR_i64, 2, dim, &e, 1));
}
bool import_non_zero(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 1, 1));
  struct ir_value *x = c->in[0];
  struct ir_tensor *t;
  double v;
  if (ir_value_is_splat(x, &v) && v != 0 && x->type->rank) return every_place(c);
  if (!ir_eval_const(c->arena, x, &t)) return onnx_bad(c, IR_M0301, "the operand (%s) is only known at run time, and with it the size of the result: not supported yet", onnx_show(c, x));
  TRY(onnx_spend(c->im, 8 * ((uint64_t)t->rank + 1) * (uint64_t)t->n));
  bool f = ir_elem_class(t->elem) == 'F';
  int64_t n = 0, k = 0;
  for (int64_t i = 0; i < t->n; i++) n += f ? t->f[i] != 0 : t->i[i] != 0;
  int64_t *at = IR_NEWN(c->arena, int64_t, (size_t)n * t->rank + 1);
  for (int64_t i = 0; i < t->n; i++) {
    if (f ? t->f[i] == 0 : t->i[i] == 0) continue;
    for (int64_t rest = i, d = (int64_t)t->rank - 1; d >= 0; rest /= t->dim[d], d--) at[d * n + k] = rest % t->dim[d];
    k++;
  }
  return onnx_out(c, ir_const_ints(c->b, IR_i64, 2, (int64_t[]){ t->rank, n }, at));
}
