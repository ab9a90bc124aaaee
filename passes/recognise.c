/* recognise: compositions that deserve a kernel of their own become composites; their body stays as their meaning, so whoever does not know one may inline it.
 * One row per composition: a function that looks at its last node and lists the nodes. Exporters write these whole or in pieces; the importer composes them
 * from the same core ops, so one pattern finds both.
 * Requires: simplify. Keeps: the meaning, node by node. */
#include "passes/internal.h"
#include <string.h>

enum { MAX_NODES = 16 };
struct found { struct ir_node *n[MAX_NODES]; unsigned count; };

static bool reduces(const struct ir_value *v, const char *op, const struct ir_value *x)
{
  return pass_has_op(v, IR_OP_reduce) && !strcmp(ir_attr_get_str(v->def, "op"), op) && v->def->in[0] == x;
}
static bool same_axes(const struct ir_node *a, const struct ir_node *b)
{
  const int64_t *p, *q;
  unsigned n = ir_attr_get_ints(a, "axes", &p), m = ir_attr_get_ints(b, "axes", &q);
  return n == m && (!n || !memcmp(p, q, n * sizeof *p));
}
/* exp(x - max x) / sum exp(x - max x) over the same axes */
static bool softmax(struct ir_node *n, struct found *f)
{
  if (n->op != IR_OP_div || !pass_has_op(n->in[0], IR_OP_exp)) return false;
  struct ir_value *e = n->in[0], *s = n->in[1];
  if (!reduces(s, "sum", e) || e->uses.n != 2 || s->uses.n != 1) return false;
  struct ir_value *d = e->def->in[0];
  if (!pass_has_op(d, IR_OP_sub) || d->uses.n != 1) return false;
  struct ir_value *x = d->def->in[0], *m = d->def->in[1];
  if (!reduces(m, "max", x) || m->uses.n != 1 || !same_axes(m->def, s->def)) return false;
  *f = (struct found){ { m->def, d->def, e->def, s->def, n }, 5 };
  return true;
}

/* dot(softmax(maps(dot(q, k))), v): scores, scale and mask, weights, sum. The maps are a chain over the scores; what a mask is made of stays outside. */
static bool is_composite(const struct ir_value *v, const char *name) { return pass_has_op(v, IR_OP_composite) && v->def->name && !strcmp(v->def->name, name); }
static bool over_scores(const struct ir_node *n, const struct ir_value *v)
{
  return ir_op_def(n->op)->class == IR_C_MAP && n->out[0]->type->rank == v->type->rank && !memcmp(n->out[0]->type->dim, v->type->dim, v->type->rank * sizeof *v->type->dim);
}
static bool attention(struct ir_node *n, struct found *f)
{
  if (n->op != IR_OP_dot || pass_is_weight(n->in[0]) || pass_is_weight(n->in[1])) return false;
  unsigned side = is_composite(n->in[0], "softmax") ? 0 : 1;
  struct ir_value *p = n->in[side];
  if (!is_composite(p, "softmax") || !pass_one_use(p) || n->in[1 - side] == p) return false;
  *f = (struct found){ { n, p->def }, 2 };
  for (struct ir_value *v = p->def->in[0]; pass_one_use(v) && v->def && f->count < MAX_NODES; ) {
    struct ir_node *d = v->def, *chain = NULL;
    f->n[f->count++] = d;
    if (d->op == IR_OP_dot) return !pass_is_weight(d->in[0]) && !pass_is_weight(d->in[1]);
    if (!over_scores(d, v)) return false;
    for (unsigned i = 0; i < d->n_in; i++)
      if (d->in[i]->def && d->in[i]->type->rank == v->type->rank && (over_scores(d->in[i]->def, v) || d->in[i]->def->op == IR_OP_dot)) {
        if (chain) return false;
        chain = d->in[i]->def;
      }
    if (!chain) return false;
    v = chain->out[0];
  }
  return false;
}

static const struct { const char *name; bool (*match)(struct ir_node *n, struct found *f); } rows[] = {
  { "softmax", softmax },
  { "attention", attention },          /* made of softmax, so behind it */
};
/* Composites among the nodes are inlined first: a composite's body holds core ops only. */
static void make(struct pass_ctx *c, struct found *f, const char *name)
{
  struct pass_nodes all = { 0 };
  for (unsigned i = 0; i < f->count; i++) {
    if (f->n[i]->op != IR_OP_composite) { ir_push(c->scratch, &all, f->n[i]); continue; }
    for (struct ir_node *x = f->n[i]->body[0]->first; x; x = x->next)
      if (x->op != IR_OP_const) ir_push(c->scratch, &all, x);
    ir_inline(f->n[i]);
  }
  pass_sort_nodes(c, &all);
  ir_outline(c->m->main, IR_OP_composite, all.v, all.n, name);
  c->changed = true;
}
bool pass_recognise(struct pass_ctx *c)
{
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
      next = n->next;
      struct found f;
      if (rows[i].match(n, &f)) make(c, &f, rows[i].name);
    }
  return true;
}
