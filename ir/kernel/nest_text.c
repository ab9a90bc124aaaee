/* The nest's text form: printer and parser. The grammar is in docs/kernel-ir.md. */
#include "ir/kernel/internal.h"
#include <string.h>

struct printer { struct ir_buf *b; const struct kir_nest *n; bool numbered; char tmp[32]; };

static const char *array_name(const struct kir_arr *a, void *arg)
{
  struct printer *p = arg;
  if (!p->numbered) return a->name;
  uint32_t i = 0;
  const uint32_t n = a->arg ? p->n->args.n : p->n->temps.n;
  struct kir_arr *const *v = a->arg ? p->n->args.v : p->n->temps.v;
  while (i < n && v[i] != a) i++;
  snprintf(p->tmp, sizeof p->tmp, "%c%u", a->arg ? 'a' : 't', i);
  return p->tmp;
}
/* A temporary that its statement declares: of the expression's type, over the statement's axes. */
static bool declared_by(const struct kir_arr *t, const struct kir_stmt *s)
{
  if (s->dst != t || s->at || s->e->elem != t->elem || s->n_axes != t->rank || t->at || t->elems || t->zero_pad || t->slack) return false;
  for (unsigned d = 0; d < t->rank; d++)
    if (!ir_ix_is(t->lo[d], 0) || t->hi[d] != s->axes[d].ext || (t->shape[d] && t->shape[d] != t->hi[d])) return false;
  return true;
}
static bool declared(const struct kir_nest *n, const struct kir_arr *t)
{
  for (uint32_t i = 0; i < n->stmts.n; i++)
    if (n->stmts.v[i]->dst == t) return declared_by(t, n->stmts.v[i]);
  return false;
}
static void statement(struct printer *p, const struct kir_stmt *s)
{
  struct ir_buf *b = p->b;
  ir_buf_printf(b, "  %s[", array_name(s->dst, p));
  for (unsigned i = 0; i < s->n_axes; i++) {
    if (i) ir_buf_printf(b, ", ");
    ir_ix_print(b, s->axes[i].var);
    ir_buf_printf(b, " < ");
    ir_ix_print(b, s->axes[i].ext);
  }
  ir_buf_printf(b, "]");
  if (s->at) {
    ir_buf_printf(b, " at [");
    for (unsigned i = 0; i < s->dst->rank; i++) {
      if (i) ir_buf_printf(b, ", ");
      ir_ix_print(b, s->at[i]);
    }
    ir_buf_printf(b, "]");
  }
  ir_buf_printf(b, " = ");
  kir_text_expr(b, s->e, array_name, p);
  ir_buf_printf(b, "\n");
}
void kir_nest_used(struct kir_used *u, const struct kir_nest *n, bool facts)
{
  kir_used_init(u, n->ixs);
  for (uint32_t i = 0; i < n->args.n; i++) kir_used_arr(u, n->args.v[i]);
  for (uint32_t i = 0; i < n->temps.n; i++) kir_used_arr(u, n->temps.v[i]);
  for (uint32_t i = 0; facts && i < n->facts.ge0.n; i++) kir_used_ix(u, n->facts.ge0.v[i]);
  for (uint32_t i = 0; i < n->stmts.n; i++) {
    const struct kir_stmt *s = n->stmts.v[i];
    for (unsigned j = 0; j < s->n_axes; j++) kir_used_ix(u, s->axes[j].ext);
    for (unsigned j = 0; s->at && j < s->dst->rank; j++) kir_used_ix(u, s->at[j]);
    kir_used_expr(u, s->e);
  }
}
void kir_nest_text(struct ir_buf *b, const struct kir_nest *n, bool numbered)
{
  struct printer p = { b, n, numbered, "" };
  struct kir_used u;
  ir_buf_printf(b, "nest @%s(", numbered ? "" : n->name);
  for (uint32_t i = 0; i < n->args.n; i++) {
    if (i) ir_buf_printf(b, ", ");
    kir_text_arr(b, n->args.v[i], array_name(n->args.v[i], &p));
  }
  ir_buf_printf(b, ")");
  kir_nest_used(&u, n, true);
  kir_text_where(b, &u, false);
  kir_used_deinit(&u);
  kir_text_facts(b, &n->facts);
  ir_buf_printf(b, " {\n");
  for (uint32_t i = 0; i < n->temps.n; i++)
    if (!declared(n, n->temps.v[i])) {
      ir_buf_printf(b, "  temp ");
      kir_text_arr(b, n->temps.v[i], array_name(n->temps.v[i], &p));
      ir_buf_printf(b, "\n");
    }
  for (uint32_t i = 0; i < n->stmts.n; i++) statement(&p, n->stmts.v[i]);
  ir_buf_printf(b, "}\n");
}
void kir_nest_print(struct ir_buf *b, const struct kir_nest *n) { kir_nest_text(b, n, false); }
