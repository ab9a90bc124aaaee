/* Order of a graph's nodes. ONNX asks for topological order; files that lack it are read all the same. Depth-first search with a stack of its own, in file
 * order, so that a sorted graph keeps its order. A node also reads what the subgraphs in its attributes take from outside. */
#include "compiler/onnx/import.h"
#include <string.h>

static uint32_t slot_of(const struct onnx_names *t, const char *name)
{
  uint32_t i = (uint32_t)ir_hash(name, strlen(name), 7) & (t->cap - 1);
  while (t->slot[i].name && strcmp(t->slot[i].name, name)) i = (i + 1) & (t->cap - 1);
  return i;
}
bool onnx_names_find(const struct onnx_names *t, const char *name, uint32_t *out)
{
  if (!t->cap) return false;
  uint32_t i = slot_of(t, name);
  if (!t->slot[i].name) return false;
  *out = t->slot[i].id;
  return true;
}
bool onnx_names_add(struct ir_arena *a, struct onnx_names *t, const char *name, uint32_t id)
{
  if (2 * t->n >= t->cap) {
    struct onnx_names old = *t;
    t->cap = old.cap ? old.cap * 2 : 16;
    t->slot = ir_arena_alloc(a, t->cap * sizeof *t->slot);
    for (uint32_t i = 0; i < old.cap; i++)
      if (old.slot[i].name) t->slot[slot_of(t, old.slot[i].name)] = (typeof(*t->slot)){ old.slot[i].name, old.slot[i].id };
  }
  uint32_t i = slot_of(t, name);
  if (t->slot[i].name) return false;
  t->slot[i] = (typeof(*t->slot)){ name, id };
  t->n++;
  return true;
}

struct edges { IR_VEC(uint32_t) to; };
struct search {
  struct ir_arena *a;
  struct ir_diags *d;
  Onnx__NodeProto *const *nodes;
  struct onnx_names made;            /* output name -> node */
};

static bool has(const char *s) { return s && *s; }
static void read_name(struct search *s, struct edges *e, const char *name, uint32_t self, bool inner)
{
  uint32_t id;
  if (!has(name) || !onnx_names_find(&s->made, name, &id) || (inner && id == self)) return;
  for (uint32_t i = e->to.n; i-- > 0 && i + 8 > e->to.n;)
    if (e->to.v[i] == id) return;
  ir_push(s->a, &e->to, id);
}
/* Every name read in a subgraph; one that the subgraph makes itself is not in `made`, since ONNX forbids shadowing. Bounded by ONNX_MAX_DEPTH. */
static void read_graph(struct search *s, struct edges *e, const Onnx__GraphProto *g, uint32_t self)
{
  for (size_t i = 0; i < g->n_output; i++) read_name(s, e, g->output[i]->name, self, true);
  for (size_t i = 0; i < g->n_node; i++) {
    const Onnx__NodeProto *n = g->node[i];
    for (size_t k = 0; k < n->n_input; k++) read_name(s, e, n->input[k], self, true);
    for (size_t k = 0; k < n->n_attribute; k++) {
      if (n->attribute[k]->g) read_graph(s, e, n->attribute[k]->g, self);
      for (size_t j = 0; j < n->attribute[k]->n_graphs; j++) read_graph(s, e, n->attribute[k]->graphs[j], self);
    }
  }
}
static struct edges reads_of(struct search *s, uint32_t i)
{
  struct edges e = { 0 };
  const Onnx__NodeProto *n = s->nodes[i];
  for (size_t k = 0; k < n->n_input; k++) read_name(s, &e, n->input[k], i, false);
  for (size_t k = 0; k < n->n_attribute; k++) {
    if (n->attribute[k]->g) read_graph(s, &e, n->attribute[k]->g, i);
    for (size_t j = 0; j < n->attribute[k]->n_graphs; j++) read_graph(s, &e, n->attribute[k]->graphs[j], i);
  }
  return e;
}
static const char *name_of(const Onnx__NodeProto *n) { return has(n->name) ? n->name : n->n_output && has(n->output[0]) ? n->output[0] : NULL; }
static bool collect(struct search *s, uint32_t n)
{
  bool ok = true;
  for (uint32_t i = 0; i < n; i++)
    for (size_t k = 0; k < s->nodes[i]->n_output; k++) {
      const char *name = s->nodes[i]->output[k];
      if (has(name) && !onnx_names_add(s->a, &s->made, name, i))
        ok = ir_error(s->d, IR_M0105, name_of(s->nodes[i]), s->nodes[i]->op_type, "makes \"%s\", which another output makes already", name);
    }
  return ok;
}
bool onnx_order(struct ir_arena *a, struct ir_diags *d, Onnx__NodeProto *const *nodes, uint32_t n, uint32_t *out)
{
  struct search s = { .a = a, .d = d, .nodes = nodes };
  TRY(collect(&s, n));
  enum { NEW, OPEN, DONE };
  unsigned char *state = IR_NEWN(a, unsigned char, n);
  struct level { uint32_t node, next; struct edges e; } *stack = IR_NEWN(a, struct level, (size_t)n + 1);
  uint32_t done = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (state[i] != NEW) continue;
    uint32_t depth = 0;
    stack[depth++] = (struct level){ i, 0, reads_of(&s, i) };
    state[i] = OPEN;
    while (depth) {
      struct level *l = &stack[depth - 1];
      if (l->next == l->e.to.n) { state[l->node] = DONE; out[done++] = l->node; depth--; continue; }
      uint32_t k = l->e.to.v[l->next++];
      if (state[k] == OPEN) return ir_error(d, IR_M0105, name_of(nodes[k]), nodes[k]->op_type, "is part of a cycle: its outputs lead back to its inputs");
      if (state[k] == DONE) continue;
      state[k] = OPEN;
      stack[depth++] = (struct level){ k, 0, reads_of(&s, k) };
    }
  }
  return true;
}
