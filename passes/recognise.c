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

static const struct { const char *name; bool (*match)(struct ir_node *n, struct found *f); } rows[] = {
  { "softmax", softmax },
};
bool pass_recognise(struct pass_ctx *c)
{
  for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
    next = n->next;
    struct found f;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
      if (rows[i].match(n, &f)) {
        ir_outline(c->m->main, IR_OP_composite, f.n, f.count, rows[i].name);
        c->changed = true;
        break;
      }
  }
  return true;
}
