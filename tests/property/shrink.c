/* Greedy shrinking: a change is kept when the case still fails; the list of changes is gone through until none helps. Each works on a fresh module, made from
 * the text, and gives a text. */
#include "tests/property/property.h"
#include <stdlib.h>

struct shrinker { struct kase *k; bool (*fails)(void *arg, const struct kase *k); void *arg; unsigned left; };

/* ---- changes: number i of a kind; false: there is no such one ---- */
static struct ir_node *node_at(struct ir_module *m, unsigned i)      /* from the last one on */
{
  struct ir_node *n = m->main->last;
  for (; n && (n->op == IR_OP_const || i); n = n->prev)
    if (n->op != IR_OP_const) i--;
  return n;
}
static bool one_result(struct ir_module *m, unsigned i)
{
  struct ir_graph *g = m->main;
  if (i >= g->results.n || g->results.n < 2) return false;
  g->results.v[0] = g->results.v[i];
  g->results.n = 1;
  g->result_names.n = g->result_names.n > 1 ? 1 : g->result_names.n;
  return true;
}
static bool fewer_results(struct ir_module *m, unsigned i)
{
  struct ir_graph *g = m->main;
  if (i >= g->results.n || g->results.n < 2) return false;
  memmove(g->results.v + i, g->results.v + i + 1, (g->results.n - i - 1) * sizeof *g->results.v);
  g->results.n--;
  g->result_names.n = 0;
  return true;
}
static bool to_operand(struct ir_module *m, unsigned i)
{
  struct ir_node *n = node_at(m, i / 4);
  if (!n) return false;
  if (i % 4 < n->n_in && n->in[i % 4]->type == n->out[0]->type) ir_value_replace(n->out[0], n->in[i % 4]);
  return true;
}
static bool to_param(struct ir_module *m, unsigned i)
{
  struct ir_node *n = node_at(m, i);
  char name[32];
  if (!n) return false;
  if (ir_value_is_result(n->out[0])) return true;
  snprintf(name, sizeof name, "q%u_%u", m->main->params.n, i);
  ir_value_replace(n->out[0], ir_graph_param(m->main, n->out[0]->type, ir_arena_strdup(m->arena, name)));
  return true;
}
static bool const_to_splat(struct ir_module *m, unsigned i)
{
  struct ir_node *n = m->main->first;
  for (; n && (n->op != IR_OP_const || n->data->kind == IR_DATA_SPLAT || i); n = n->next)
    if (n->op == IR_OP_const && n->data->kind != IR_DATA_SPLAT) i--;
  if (!n) return false;
  struct ir_builder b = { .g = m->main, .at = n };
  ir_value_replace(n->out[0], ir_const_splat(&b, n->out[0]->type, 0.5, 1));
  return true;
}
static bool no_param(struct ir_module *m, unsigned i)
{
  struct ir_graph *g = m->main;
  if (i >= g->params.n) return false;
  struct ir_value *v = g->params.v[i];
  if (v->uses.n || ir_value_is_result(v)) return true;
  memmove(g->params.v + i, g->params.v + i + 1, (g->params.n - i - 1) * sizeof *g->params.v);
  g->params.n--;
  for (uint32_t k = i; k < g->params.n; k++) g->params.v[k]->index = k;
  return true;
}
static bool (*const changes[])(struct ir_module *m, unsigned i) = { one_result, fewer_results, to_operand, to_param, const_to_splat, no_param };

/* ---- trying ---- */
static bool keep_if_fails(struct shrinker *s, struct kase *t)
{
  s->left--;
  if (s->fails(s->arg, t)) {
    char *old = s->k->text;
    if (t->text != old) free(old);
    *s->k = *t;
    return true;
  }
  if (t->text != s->k->text) free(t->text);
  return false;
}
/* 0: no such change; 1: it did not help; 2: it did. */
static int try_change(struct shrinker *s, unsigned c, unsigned i)
{
  struct ir_arena *a = ir_arena_create();
  const char *why;
  struct kase t = *s->k;
  struct ir_module *m = case_module(a, s->k, &why);
  int r = m && changes[c](m, i);
  if (r) {
    struct ir_buf b = { 0 };
    ir_graph_sweep(m->main);
    ir_print(&b, m);
    t.text = b.s;
    const char *body = strstr(s->k->text, b.s);          /* nothing changed: no try */
    if (body && !strcmp(body, b.s)) free(b.s);
    else r += keep_if_fails(s, &t);
  }
  ir_arena_destroy(a);
  return r;
}
void shrink(struct kase *k, bool (*fails)(void *arg, const struct kase *k), void *arg, unsigned attempts)
{
  struct shrinker s = { k, fails, arg, attempts };
  for (unsigned z = 0; z < k->n_sizes && k->n_sizes > 1; z++) {
    struct kase t = *k;
    t.sizes[0] = k->sizes[z];
    t.n_sizes = 1;
    keep_if_fails(&s, &t);
  }
  for (bool again = true; again;) {
    again = false;
    for (unsigned c = 0; c < sizeof changes / sizeof *changes; c++)
      for (unsigned i = 0; s.left; i++) {
        int r = try_change(&s, c, i);
        if (!r) break;
        if (r == 2) { again = true; i--; }
      }
  }
}
