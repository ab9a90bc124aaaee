/* order: groups in an order that keeps few bytes alive: list scheduling, at each step the ready group that frees most (frees minus makes), ties by model order; the bodies of loops stay as they are.
 * Sizes with symbols count with every symbol at its lower bound, or 8 if that is smaller and allowed.
 * Requires: schedule. Keeps: dependencies. */
#include "passes/internal.h"

static int64_t guess_symbol(void *arg, const struct ir_sym *s, bool *known)
{
  (void)arg;
  *known = true;
  int64_t v = s->lo > 8 ? s->lo : s->hi < 8 ? s->hi : 8;
  return v;
}
static int64_t bytes_guess(struct ir_module *m, const struct ir_value *v)
{
  struct ir_ix_env env = { guess_symbol, NULL, NULL };
  int64_t n = 0;
  const struct ir_ix *e = v->layout ? v->layout->elems : ir_type_elems(m, v->type);
  return ir_ix_eval(e, &env, &n) ? n * (int64_t)ir_elem_bytes(v->type->elem) : 0;
}
struct item { uint32_t waits, group; IR_VEC(uint32_t) readers; bool done; };
struct live { uint32_t readers; bool forever; };

static int64_t gain(struct ir_module *m, const struct ir_node *n)
{
  int64_t g = 0;
  for (unsigned i = 0; i < n->n_out; i++)
    if (!ir_value_is_result(n->out[i])) g -= bytes_guess(m, n->out[i]);
  for (unsigned i = 0; i < n->n_in; i++) {
    const struct ir_value *v = n->in[i];
    if (!v->def || pass_is_weight(v)) continue;
    const struct live *l = v->scratch;
    if (!l->forever && l->readers == 1) g += bytes_guess(m, v);
  }
  return g;
}
static void read_all(const struct ir_node *n)
{
  for (unsigned i = 0; i < n->n_in; i++)
    if (n->in[i]->def && !pass_is_weight(n->in[i])) ((struct live *)n->in[i]->scratch)->readers--;
}
/* The graph's list in the same order, weights in front. */
static void relink(struct ir_graph *g, struct pass_program *p)
{
  struct ir_node *first = p->groups.n ? p->groups.v[0].node : NULL, *behind = NULL;
  for (uint32_t i = p->groups.n; i-- > 0;) {
    struct ir_node *n = p->groups.v[i].node;
    if (n->graph != g || p->groups.v[i].end) continue;
    if (behind) ir_node_move_before(n, behind);
    behind = n;
  }
  for (struct ir_node *n = g->first, *next; n && first; n = next) {
    next = n->next;
    if (n->op != IR_OP_group && !pass_is_step(n) && n->order > first->order) ir_node_move_before(n, first);
  }
  ir_graph_order(g);
}
/* Entries of the list that go together: a loop with its body. */
static uint32_t span(const struct pass_group *g)
{
  uint32_t n = 1;
  if (g->node->op == IR_OP_loop)
    while (g[n].node != g->node) n++;
  return n + (g->node->op == IR_OP_loop);
}
bool pass_order(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  struct pass_group *all = ir_arena_copy(c->scratch, p->groups.v, p->groups.n * sizeof *all), **old = IR_NEWN(c->scratch, struct pass_group *, p->groups.n + 1);
  uint32_t n = 0, entries = p->groups.n;
  for (uint32_t i = 0; i < entries; i += span(&all[i])) old[n++] = &all[i];
  struct item *item = IR_NEWN(c->scratch, struct item, n);
  for (uint32_t i = 0; i < n; i++) old[i]->node->scratch = &item[i];
  for (uint32_t i = 0; i < n; i++) {
    item[i].group = i;
    for (unsigned k = 0; k < old[i]->node->n_out; k++) {
      struct ir_value *v = old[i]->node->out[k];
      struct live *l = IR_NEW(c->scratch, struct live);
      l->readers = v->uses.n;
      l->forever = ir_value_is_result(v);
      v->scratch = l;
    }
  }
  for (uint32_t i = 0; i < n; i++)
    for (unsigned k = 0; k < old[i]->node->n_in; k++) {
      const struct ir_value *v = old[i]->node->in[k];
      if (!v->def || pass_is_weight(v)) continue;
      struct item *from = v->def->scratch;
      ir_push(c->scratch, &from->readers, i);
      item[i].waits++;
    }
  for (uint32_t i = 0, bind = UINT32_MAX, from = 0; i < n && c->m->late.n; i++) {   /* all before a bind, and all behind it, stay there */
    if (old[i]->node->op != IR_OP_bind) {
      if (bind != UINT32_MAX) { ir_push(c->scratch, &item[bind].readers, i); item[i].waits++; }
      continue;
    }
    for (uint32_t k = from; k < i; k++) { ir_push(c->scratch, &item[k].readers, i); item[i].waits++; }
    from = bind = i;
  }
  IR_VEC(uint32_t) ready = { 0 };
  for (uint32_t i = 0; i < n; i++)
    if (!item[i].waits) ir_push(c->scratch, &ready, i);
  p->groups.n = 0;
  while (ready.n) {
    uint32_t best = 0;
    int64_t most = INT64_MIN;
    for (uint32_t r = 0; r < ready.n && r < 256; r++) {
      int64_t g = gain(c->m, old[ready.v[r]]->node);
      if (g > most || (g == most && ready.v[r] < ready.v[best])) { most = g; best = r; }
    }
    uint32_t i = ready.v[best];
    ready.v[best] = ready.v[--ready.n];
    for (uint32_t k = 0; k < span(old[i]); k++) ir_push(p->arena, &p->groups, old[i][k]);
    read_all(old[i]->node);
    for (uint32_t r = 0; r < item[i].readers.n; r++)
      if (!--item[item[i].readers.v[r]].waits) ir_push(c->scratch, &ready, item[i].readers.v[r]);
  }
  IR_ASSERT(p->groups.n == entries);
  relink(c->m->main, p);
  return true;
}
