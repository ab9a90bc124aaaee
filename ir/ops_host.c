/* Steps of the host program: bind, and functions of the processor (runtime/core/host.h) whose work or result's size depends on the data. */
#include "ir/ops.h"
#include "runtime/core/host.h"

static bool wants(struct ir_module *m, struct ir_node *n, unsigned i, enum ir_elem e, unsigned rank)
{
  const struct ir_type *t = n->in[i]->type;
  return (t->elem == e && t->rank == rank) || ir_op_error(m, n, IR_M0202, "operand %u is %s, expected %s of rank %u", i, ir_type_str(m->arena, t), ir_elem_name(e), rank);
}

/* ---- bind v {syms} ---- */
static bool bind_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_attr *s = ir_attr_find(n, "syms");
  int64_t elems;
  TRY(wants(m, n, 0, IR_i64, n->in[0]->type->rank ? 1 : 0));
  if (!ir_type_static(n->in[0]->type, NULL, &elems) || elems != s->n) return ir_op_error(m, n, IR_M0201, "%u symbols for %s", s->n, ir_type_str(m->arena, n->in[0]->type));
  for (unsigned i = 0; i < s->n; i++)
    if (!ir_ix_as_sym(s->ix[i]) || !ir_is_late(m, s->ix[i])) return ir_op_error(m, n, IR_M0302, "%s is not a late symbol", ir_ix_str(m->arena, s->ix[i]));
  out[0] = n->in[0]->type;
  return true;
}
static bool bind_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_attr *s = ir_attr_find(n, "syms");
  op_set_form(m, n->out[0], s->ix, s->n);
  return s->n <= 64;
}
static bool bind_eval(struct ir_eval_ctx *c, const struct ir_node *n)
{
  const struct ir_attr *s = ir_attr_find(n, "syms");
  const struct ir_tensor *x = ir_eval_in(c, n, 0);
  struct ir_tensor *y = ir_eval_out(c, n, 0);
  if (!y) return false;
  for (unsigned i = 0; i < s->n; i++) ir_eval_bind(c, s->ix[i], y->i[i] = x->i[i]);
  return true;
}
const struct ir_op_def ir_def_bind = {
  .name = "bind", .class = IR_C_CONTROL, .min_in = 1, .max_in = 1, .n_out = 1, .attrs = { { "syms", IR_A_IXS, true, NULL } },
  .infer = bind_infer, .form = bind_form, .eval = bind_eval,
};

/* ---- functions of the processor: the reference evaluates them with the function itself ---- */
static bool host_eval(struct ir_eval_ctx *c, const struct ir_node *n)
{
  struct ir_host h = { 0 };
  union massrt_word w[8 + IR_HOST_WORDS];
  unsigned k = 0;
  int64_t tasks;
  IR_ASSERT(n->n_in + n->n_out <= 8);
  for (unsigned i = 0; i < n->n_in + n->n_out; i++) {
    bool in = i < n->n_in;
    struct ir_tensor *t = in ? ir_eval_in(c, n, i) : ir_eval_out(c, n, i - n->n_in);
    if (!t) return false;
    w[k].p = ir_arena_alloc(c->arena, (size_t)t->n * ir_elem_bytes(t->elem) + 8);
    if (in) ir_tensor_to_bytes(t, w[k].p);
    k++;
  }
  ir_op_def(n->op)->host(c->m, n, &h);
  for (unsigned i = 0; i < h.n_words; i++) TRY(ir_eval_ix(c, h.word[i], &w[k++].i));
  TRY(ir_eval_ix(c, h.tasks, &tasks));
  massrt_host_fn[h.fn](w, 0, tasks, NULL);
  for (unsigned i = 0; i < n->n_out; i++) ir_tensor_from_bytes(ir_eval_out(c, n, i), w[n->n_in + i].p);
  return true;
}
static const struct ir_type *i64_of(struct ir_module *m, unsigned rank, const struct ir_ix *const *dim) { return ir_type_get(m, IR_i64, rank, dim); }

/* places mask bool[n] -> at i64[n], count i64 */
static bool places_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  TRY(wants(m, n, 0, IR_bool, 1));
  out[0] = i64_of(m, 1, n->in[0]->type->dim);
  out[1] = i64_of(m, 0, NULL);
  return true;
}
static void places_host(struct ir_module *m, const struct ir_node *n, struct ir_host *out)
{
  *out = (struct ir_host){ .fn = MASSRT_H_places, .n_words = 1, .word = { n->in[0]->type->dim[0] }, .tasks = ir_ix_int(m->ixs, 1) };
}
const struct ir_op_def ir_def_places = { .name = "places", .class = IR_C_CONTROL, .min_in = 1, .max_in = 1, .n_out = 2, .infer = places_infer, .eval = host_eval, .host = places_host };

/* nms boxes f32[b,n,4], scores f32[b*c,n], most i64, iou f32, least f32 {center, all} -> order i64[b*c,n], count i64[b*c] */
static bool nms_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  TRY(wants(m, n, 0, IR_f32, 3) && wants(m, n, 1, IR_f32, 2) && wants(m, n, 2, IR_i64, 0) && wants(m, n, 3, IR_f32, 0) && wants(m, n, 4, IR_f32, 0));
  const struct ir_type *b = n->in[0]->type, *s = n->in[1]->type;
  if (!ir_ix_is(b->dim[2], 4) || b->dim[1] != s->dim[1]) return ir_op_error(m, n, IR_M0201, "boxes are %s, scores %s", ir_type_str(m->arena, b), ir_type_str(m->arena, s));
  out[0] = i64_of(m, 2, s->dim);
  out[1] = i64_of(m, 1, s->dim);
  return true;
}
static void nms_host(struct ir_module *m, const struct ir_node *n, struct ir_host *out)
{
  const struct ir_type *b = n->in[0]->type, *s = n->in[1]->type;
  const struct ir_ix *one = ir_ix_int(m->ixs, 1), *classes = ir_ix_div(s->dim[0], ir_ix_max(b->dim[0], one));
  *out = (struct ir_host){ .fn = MASSRT_H_nms, .n_words = 4, .tasks = s->dim[0],
                           .word = { s->dim[1], ir_ix_max(classes, one), ir_ix_int(m->ixs, ir_attr_get_int(n, "center")), ir_ix_int(m->ixs, ir_attr_get_int(n, "all")) } };
}
const struct ir_op_def ir_def_nms = {
  .name = "nms", .class = IR_C_CONTROL, .min_in = 5, .max_in = 5, .n_out = 2, .attrs = { { "center", IR_A_INT, false, "0" }, { "all", IR_A_INT, false, "0" } },
  .infer = nms_infer, .eval = host_eval, .host = nms_host,
};

/* distinct x[n,m] {sorted} -> order i64[n], inverse i64[n], counts i64[n], count i64 */
static bool distinct_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  TRY(wants(m, n, 0, n->in[0]->type->elem, 2));
  out[0] = out[1] = out[2] = i64_of(m, 1, n->in[0]->type->dim);
  out[3] = i64_of(m, 0, NULL);
  return true;
}
static void distinct_host(struct ir_module *m, const struct ir_node *n, struct ir_host *out)
{
  const struct ir_type *x = n->in[0]->type;
  *out = (struct ir_host){ .fn = MASSRT_H_distinct, .n_words = 4, .tasks = ir_ix_int(m->ixs, 1),
                           .word = { x->dim[0], x->dim[1], ir_ix_int(m->ixs, (int)x->elem), ir_ix_int(m->ixs, ir_attr_get_int(n, "sorted")) } };
}
const struct ir_op_def ir_def_distinct = {
  .name = "distinct", .class = IR_C_CONTROL, .min_in = 1, .max_in = 1, .n_out = 4, .attrs = { { "sorted", IR_A_INT, false, "1" } },
  .infer = distinct_infer, .eval = host_eval, .host = distinct_host,
};
