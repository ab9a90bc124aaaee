/* precision: rewrites element types on request (--precision). Operands of contractions, which are dots and convolutions, are rounded to the narrow type; sums, their results and
 * all that is computed between contractions (norms, softmax, long sums), inputs and results of the model stay float32. A value that a contraction reads is rounded
 * for all of its readers (residuals), as if a program in the narrow type had stored it: so weights and such activations are stored in that type alone. Casts fuse like any map.
 * Contractions whose operands are not float32 keep the model's own types. Casts come in here, before patterns are recognised, since they belong to the patterns.
 * Requires: simplify (batch norms are in the weights, which are rounded once). Keeps: types of all results; not their last bits. */
#include "passes/internal.h"

/* One cast for all readers. */
static struct ir_value *narrow(struct pass_ctx *c, struct ir_node *n, struct ir_value *x)
{
  struct ir_builder b = pass_at(n);
  for (uint32_t i = 0; i < x->uses.n; i++) {
    struct ir_node *u = x->uses.v[i];
    if (u->op == IR_OP_cast && u->graph == n->graph && u->out[0]->type->elem == c->opt->precision && u->order < n->order) return u->out[0];
  }
  struct ir_value *v = ir_cast(&b, x, c->opt->precision);
  v->weight = pass_is_weight(x);
  return v;
}
static void count(struct pass_precision *r, const struct ir_value *v, enum ir_elem to)
{
  int64_t elems;
  if (!pass_is_weight(v) || !ir_type_static(v->type, NULL, &elems)) return;
  r->bytes_before += (uint64_t)elems * ir_elem_bytes(v->type->elem);
  r->bytes_after += (uint64_t)elems * ir_elem_bytes(to);
}
/* The units for TF32 take what is stored rounded; between two activations (attention) sums stay float32's. */
static bool wants(const struct pass_ctx *c, const struct ir_node *n)
{
  return n->in[0]->type->elem == IR_f32 && !ir_attr_find(n, "to") && (c->opt->precision != IR_tf32 || pass_is_weight(n->in[0]) || pass_is_weight(n->in[1]));
}
static bool is_contraction(const struct ir_node *n) { return (n->op == IR_OP_dot || n->op == IR_OP_conv) && !(pass_is_weight(n->in[0]) && pass_is_weight(n->in[1])); }
static void rewrite(struct pass_ctx *c, struct ir_node *n, struct pass_precision *r)
{
  struct ir_attr attr[16];
  struct ir_value *in[2] = { narrow(c, n, n->in[0]), narrow(c, n, n->in[1]) };
  struct ir_builder b = pass_at(n);
  unsigned k = 0;
  for (; k < n->n_attr; k++) attr[k] = n->attr[k];
  attr[k++] = ir_attr_elem("to", IR_f32);
  for (unsigned i = 0; i < 2; i++) count(r, n->in[i], c->opt->precision);
  pass_replace(c, n, ir_build(&b, n->op, in, 2, attr, k)->out[0]);
}
/* What else reads a rounded activation reads it rounded: `wide` stands before each such reader, and fuse gives it to the reader. */
static void share(struct pass_ctx *c, struct ir_node *cast)
{
  struct ir_value *x = cast->in[0];
  if (cast->op != IR_OP_cast || cast->out[0]->type->elem != c->opt->precision || x->type->elem != IR_f32 || !x->def || pass_is_weight(x)) return;
  uint32_t n = 0;
  struct ir_node **reader = IR_NEWN(c->scratch, struct ir_node *, x->uses.n + 1);
  for (uint32_t i = 0; i < x->uses.n; i++)
    if (x->uses.v[i] != cast && x->uses.v[i]->op != IR_OP_cast && x->uses.v[i]->graph == cast->graph) reader[n++] = x->uses.v[i];
  if (!n || x->def->graph != cast->graph) return;
  ir_node_move_before(cast, x->def->next);
  for (uint32_t i = 0; i < n; i++) {
    struct ir_builder b = pass_at(reader[i]);
    struct ir_value *wide = ir_cast(&b, cast->out[0], IR_f32);
    for (unsigned k = 0; k < reader[i]->n_in; k++)
      if (reader[i]->in[k] == x) ir_node_set_in(reader[i], k, wide);
  }
}
bool pass_precision(struct pass_ctx *c)
{
  struct pass_precision unused, *r = c->precision ? c->precision : &unused;
  if (!c->opt->narrow) return true;
  ir_graph_order(c->m->main);
  for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
    next = n->next;
    if (!is_contraction(n)) continue;
    r->contractions++;
    if (!wants(c, n)) continue;
    r->rewritten++;
    rewrite(c, n, r);
  }
  for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
    next = n->next;                               /* casts move up */
    share(c, n);
  }
  ir_graph_sweep(c->m->main);
  return c->m->diags->errors == 0;
}
