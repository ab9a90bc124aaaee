/* steps: the tables of runtime/abi.h: expressions, symbols, inputs and outputs, buffers, arguments, launches and the list of steps.
 * Requires: memory, weights. Functions, the weights' address and names of versions are filled in by the host program's emission. */
#include "passes/internal.h"
#include <string.h>

/* ---- expressions ---- */
struct base { const struct ir_sym *sym; uint32_t index; int64_t by; };   /* a base symbol is the model's symbol divided by `by` */
struct memo { const struct ir_ix *e; uint32_t index; };
struct tables {
  struct pass_ctx *c;
  struct ir_arena *a;
  IR_VEC(struct massrt_expr) exprs;
  IR_VEC(struct massrt_sym) syms;
  IR_VEC(struct base) bases;
  IR_VEC(struct massrt_arg) args;
  IR_VEC(struct massrt_launch) launches;
  IR_VEC(struct massrt_step) steps;
  struct memo *slot; uint32_t n_memo, cap;
  struct ir_launch *facts;             /* of each kernel; blocks NULL: not asked yet */
  uint32_t n_binds;
  bool ok;
};
static uint32_t emit(struct tables *t, uint32_t op, uint32_t a, uint32_t b, int64_t k)
{
  for (uint32_t i = 0; i < t->exprs.n && i < 4096; i++) {
    const struct massrt_expr *x = &t->exprs.v[i];
    if (x->op == op && x->a == a && x->b == b && x->k == k) return i;
  }
  uint32_t late = 0;
  bool leaf = op == MASSRT_X_CONST || op == MASSRT_X_SYM, unary = op == MASSRT_X_GE0 || op == MASSRT_X_EQ0;
  if (op == MASSRT_X_SYM && t->syms.v[k].axis == MASSRT_SYM_LATE) late = t->syms.v[k].input;
  if (!leaf) late = t->exprs.v[a].late;
  if (!leaf && !unary && t->exprs.v[b].late > late) late = t->exprs.v[b].late;
  ir_push(t->a, &t->exprs, ((struct massrt_expr){ .op = op, .a = a, .b = b, .late = late, .k = k }));
  return t->exprs.n - 1;
}
static uint32_t emit_const(struct tables *t, int64_t k) { return emit(t, MASSRT_X_CONST, 0, 0, k); }
static uint32_t expr(struct tables *t, const struct ir_ix *e);
static uint32_t emit_sym(struct tables *t, const struct ir_sym *s)
{
  for (uint32_t i = 0; i < t->bases.n; i++)
    if (t->bases.v[i].sym == s) {
      uint32_t v = emit(t, MASSRT_X_SYM, 0, 0, t->bases.v[i].index);
      return t->bases.v[i].by == 1 ? v : emit(t, MASSRT_X_DIV, v, emit_const(t, t->bases.v[i].by), 0);
    }
  t->ok = ir_error(t->c->m->diags, IR_M0303, NULL, NULL, "the size \"%s\" depends on the values of a tensor, which massc cannot plan for yet", s->name);
  return 0;
}
static uint32_t emit_atom(struct tables *t, const struct ir_atom *a)
{
  static const uint32_t op[] = { [IR_ATOM_DIV] = MASSRT_X_DIV, [IR_ATOM_MIN] = MASSRT_X_MIN, [IR_ATOM_MAX] = MASSRT_X_MAX, [IR_ATOM_BCAST] = MASSRT_X_BCAST, [IR_ATOM_GE0] = MASSRT_X_GE0, [IR_ATOM_EQ0] = MASSRT_X_EQ0 };
  if (a->kind == IR_ATOM_SYM) return a->sym->def ? expr(t, a->sym->def) : emit_sym(t, a->sym);
  IR_ASSERT(a->kind != IR_ATOM_LOAD);
  uint32_t x = expr(t, a->a), y = a->b ? expr(t, a->b) : 0;
  return emit(t, op[a->kind], x, y, 0);
}
static uint32_t expr(struct tables *t, const struct ir_ix *e)
{
  uint32_t sum = MASSRT_NO_EXPR;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned n;
    const struct ir_atom *const *f;
    int64_t k = ir_ix_term(e, i, &n, &f);
    uint32_t v = MASSRT_NO_EXPR;
    if (k != 1 || !n) v = emit_const(t, k);
    for (unsigned j = 0; j < n; j++) {
      uint32_t x = emit_atom(t, f[j]);
      v = v == MASSRT_NO_EXPR ? x : emit(t, MASSRT_X_MUL, v, x, 0);
    }
    sum = sum == MASSRT_NO_EXPR ? v : emit(t, MASSRT_X_ADD, sum, v, 0);
  }
  return sum == MASSRT_NO_EXPR ? emit_const(t, 0) : sum;
}

/* ---- inputs and outputs ---- */
static void bind_symbols(struct tables *t, const struct ir_graph *g)
{
  for (uint32_t i = 0; i < g->params.n; i++) {
    const struct ir_type *ty = g->params.v[i]->type;
    for (unsigned d = 0; d < ty->rank; d++) {
      const struct ir_sym *s = ir_ix_as_sym(ty->dim[d]);
      if (!s) continue;
      unsigned n;
      const struct ir_atom *const *f;
      int64_t by = ir_ix_term(ty->dim[d], 0, &n, &f);
      bool seen = false;
      for (uint32_t k = 0; k < t->bases.n && !seen; k++) seen = t->bases.v[k].sym == f[0]->sym;
      if (seen) continue;
      ir_push(t->a, &t->bases, ((struct base){ f[0]->sym, t->syms.n, by }));
      ir_push(t->a, &t->syms, ((struct massrt_sym){ s->name, s->lo, s->hi, s->by > 1 ? s->by : by, i, d }));
    }
  }
}
/* Symbols that are elements of inputs. */
static void bind_values(struct tables *t)
{
  for (uint32_t i = 0; i < t->c->m->value_syms.n; i++) {
    const struct ir_value_sym *v = &t->c->m->value_syms.v[i];
    const struct ir_sym *s = ir_ix_as_sym(v->sym);
    ir_push(t->a, &t->bases, ((struct base){ s, t->syms.n, 1 }));
    ir_push(t->a, &t->syms, ((struct massrt_sym){ s->name, s->lo, s->hi, 1, v->param, MASSRT_SYM_VALUE + v->elem }));
  }
}
/* Symbols that are bound while the program runs: their number of the bind, from 1. */
static void bind_late(struct tables *t)
{
  for (uint32_t i = 0; i < t->c->prog->groups.n; i++) {
    struct ir_node *n = t->c->prog->groups.v[i].node;
    if (n->op != IR_OP_bind) continue;
    const struct ir_attr *a = ir_attr_find(n, "syms");
    n->scratch = (void *)(uintptr_t)t->syms.n;
    t->n_binds++;
    for (unsigned k = 0; k < a->n; k++) {
      const struct ir_sym *s = ir_ix_as_sym(a->ix[k]);
      ir_push(t->a, &t->bases, ((struct base){ s, t->syms.n, 1 }));
      ir_push(t->a, &t->syms, ((struct massrt_sym){ s->name, s->lo, s->hi, 1, t->n_binds, MASSRT_SYM_LATE }));
    }
  }
}
/* Of late symbols: what is known of them before they are. */
static void find_bounds(struct tables *t)
{
  const struct ir_module *m = t->c->m;
  struct pass_program *p = t->c->prog;
  p->most.n = 0;
  for (uint32_t i = 0; i < t->bases.n; i++) {
    uint32_t most = MASSRT_NO_EXPR;
    for (uint32_t k = 0; k < m->late.n; k++)
      if (ir_ix_as_sym(m->late.v[k].sym) == t->bases.v[i].sym && m->late.v[k].most) most = expr(t, m->late.v[k].most);
    ir_push(t->a, &p->most, most);
  }
}
static struct massrt_io io_of(struct tables *t, const char *name, const struct ir_type *ty)
{
  uint32_t *dims = IR_NEWN(t->a, uint32_t, ty->rank + 1);
  const char **names = IR_NEWN(t->a, const char *, ty->rank + 1);
  for (unsigned d = 0; d < ty->rank; d++) {
    int64_t k;
    dims[d] = expr(t, ty->dim[d]);
    names[d] = ir_ix_const(ty->dim[d], &k) ? NULL : ir_ix_str(t->a, ty->dim[d]);
  }
  return (struct massrt_io){ name ? name : "", ty->elem, ty->rank, dims, names, 0, 0 };
}

/* ---- arguments and launches ---- */
/* bytes: an expression, or NULL */
static void add_step(struct tables *t, enum massrt_step_kind kind, uint32_t a, uint32_t b, uint32_t c, const struct ir_ix *bytes, const char *nodes)
{
  ir_push(t->a, &t->steps, ((struct massrt_step){ kind, a, b, c, bytes ? expr(t, bytes) : MASSRT_NO_EXPR, 0, nodes }));
}
/* Read and written. */
static const struct ir_ix *twice(struct tables *t, const struct ir_ix *bytes) { return ir_ix_mul(ir_ix_int(t->c->m->ixs, 2), bytes); }
/* A parameter that has memory of its own: the counter, or a carried value. */
static bool inside_loop(const struct ir_value *v) { return v->index <= ir_attr_get_int(v->graph->owner, "carried"); }
/* device: where a kernel of the device finds it */
static struct massrt_arg where(struct tables *t, const struct ir_value *v, const struct kir_arr *arr, bool device)
{
  struct pass_program *p = t->c->prog;
  const struct ir_graph *g = t->c->m->main;
  while (v->graph->owner && !v->def && !inside_loop(v)) v = v->graph->owner->in[v->index];   /* captured: what it is outside */
  if (!v->def && !v->graph->owner) return (struct massrt_arg){ MASSRT_A_INPUT, v->index, 0 };
  if (pass_is_weight(v)) return (struct massrt_arg){ device ? MASSRT_A_DEVICE_WEIGHT : MASSRT_A_WEIGHT, 0, p->weights.v[pass_weight_find(p, v, arr)].offset };
  for (uint32_t i = 0; i < g->results.n && v->graph == g && !ir_type_late(t->c->m, v->type); i++)
    if (g->results.v[i] == v) return (struct massrt_arg){ MASSRT_A_OUTPUT, i, 0 };
  for (uint32_t i = 0; i < p->buffers.n; i++)
    if (p->buffers.v[i].v == v) return (struct massrt_arg){ MASSRT_A_BUFFER, i, 0 };
  ir_bug("steps", "a value without a place in memory");
}
static const char *provenance(struct tables *t, const struct ir_node *n)
{
  struct ir_buf b = { 0 };
  for (unsigned i = 0; n->prov && i < n->prov->n; i++) ir_buf_printf(&b, "%s%s", i ? ", " : "", n->prov->name[i]);
  const char *s = ir_arena_strdup(t->a, b.s ? b.s : "");
  ir_buf_deinit(&b);
  return s;
}
/* On the processor: the kern's tasks, then its syms. */
static const struct ir_launch *facts_of(struct tables *t, uint32_t kernel)
{
  const struct pass_kernel *k = &t->c->prog->kernels.v[kernel];
  struct ir_launch *l = &t->facts[kernel];
  if (l->blocks) return l;
  if (k->target->launch) {
    k->target->launch(k->target, t->a, k->kern, l);
    return l;
  }
  *l = (struct ir_launch){ ir_ix_int(k->kern->ixs, 1), k->kern->syms.v, k->kern->syms.n };
  for (uint32_t i = 0; i < k->kern->grid.n; i++) l->blocks = ir_ix_mul(l->blocks, k->kern->grid.v[i].trips);
  return l;
}
static void launch(struct tables *t, const struct pass_group *g)
{
  struct ir_ixs *ixs = t->c->m->ixs;
  const struct pass_kernel *k = &t->c->prog->kernels.v[g->kernel];
  uint32_t first = t->args.n;
  for (uint32_t i = 0; i < k->kern->args.n; i++)
    ir_push(t->a, &t->args, where(t, pass_outer_value(g->node, g->nest->args.v[i]), k->kern->args.v[i], k->target->kind != 0));
  const struct ir_launch *l = facts_of(t, g->kernel);
  const struct ir_ix *tasks = ir_ix_move(ixs, l->blocks);
  for (uint32_t i = 0; i < l->n_sizes; i++) ir_push(t->a, &t->args, ((struct massrt_arg){ MASSRT_A_EXPR, expr(t, ir_ix_move(ixs, l->size[i])), 0 }));
  const char *nodes = provenance(t, g->node);
  add_step(t, MASSRT_S_LAUNCH, t->launches.n, 0, 0, NULL, nodes);
  ir_push(t->a, &t->launches, ((struct massrt_launch){ g->kernel, first, t->args.n - first, expr(t, tasks), expr(t, g->work), expr(t, g->bytes), expr(t, g->products), expr(t, g->computes), expr(t, g->moves), 0, nodes, k->name }));
}
/* n: the node that it belongs to */
static void copy(struct tables *t, const struct ir_node *n, const struct ir_value *from, const struct ir_value *to)
{
  const struct ir_ix *bytes = pass_stored_bytes(t->c->m, to);
  uint32_t first = t->args.n;
  ir_push(t->a, &t->args, where(t, from, NULL, false));
  ir_push(t->a, &t->args, where(t, to, NULL, false));
  add_step(t, MASSRT_S_COPY, first, first + 1, expr(t, bytes), twice(t, bytes), provenance(t, n));
}
/* The carried values start as the operands; the loop's arguments are condition, count and counter. */
static void loop_begins(struct tables *t, struct ir_node *n)
{
  const struct ir_graph *g = n->body[0];
  for (unsigned k = 0; k < ir_attr_get_int(n, "carried"); k++) copy(t, n, n->in[k + 1], g->params.v[k + 1]);
  n->scratch = (void *)(uintptr_t)t->steps.n;
  uint32_t first = t->args.n;
  ir_push(t->a, &t->args, where(t, g->params.v[1], NULL, false));
  ir_push(t->a, &t->args, where(t, n->in[0], NULL, false));
  ir_push(t->a, &t->args, where(t, g->params.v[0], NULL, false));
  add_step(t, MASSRT_S_LOOP, first, 0, 0, NULL, provenance(t, n));
}
static void loop_ends(struct tables *t, const struct ir_node *n)
{
  const struct ir_graph *g = n->body[0];
  unsigned carried = (unsigned)ir_attr_get_int(n, "carried");
  struct massrt_step *begin = &t->steps.v[(uintptr_t)n->scratch];
  uint32_t at = (uint32_t)(uintptr_t)n->scratch, counter = begin->a + 2;
  for (unsigned k = carried; k < n->n_out; k++) {
    uint32_t first = t->args.n;
    ir_push(t->a, &t->args, where(t, g->results.v[k], NULL, false));
    ir_push(t->a, &t->args, where(t, n->out[k], NULL, false));
    const struct ir_ix *bytes = pass_stored_bytes(t->c->m, g->results.v[k]);
    add_step(t, MASSRT_S_STACK, first, counter, expr(t, bytes), twice(t, bytes), provenance(t, n));
  }
  for (unsigned k = 0; k < carried; k++) copy(t, n, g->results.v[k], g->params.v[k + 1]);
  t->steps.v[at].b = t->steps.n;
  add_step(t, MASSRT_S_NEXT, at, 0, 0, NULL, provenance(t, n));
  for (unsigned k = 0; k < carried; k++)
    if (n->out[k]->uses.n || ir_value_is_result(n->out[k])) copy(t, n, g->params.v[k + 1], n->out[k]);
}
static void bind(struct tables *t, const struct ir_node *n)
{
  uint32_t first = t->args.n;
  ir_push(t->a, &t->args, where(t, n->in[0], NULL, false));
  add_step(t, MASSRT_S_BIND, first, (uint32_t)(uintptr_t)n->scratch, ir_attr_find(n, "syms")->n, pass_stored_bytes(t->c->m, n->in[0]), provenance(t, n));
  if (n->out[0]->uses.n) copy(t, n, n->in[0], n->out[0]);
}
static void host_call(struct tables *t, const struct ir_node *n)
{
  uint32_t first = t->args.n;
  struct ir_host h = { 0 };
  ir_op_def(n->op)->host(t->c->m, n, &h);
  const struct ir_ix *bytes = ir_ix_int(t->c->m->ixs, 0);
  for (unsigned i = 0; i < n->n_in + n->n_out; i++) {
    const struct ir_value *v = i < n->n_in ? n->in[i] : n->out[i - n->n_in];
    ir_push(t->a, &t->args, where(t, v, NULL, false));
    bytes = ir_ix_add(bytes, pass_stored_bytes(t->c->m, v));
  }
  for (unsigned i = 0; i < h.n_words; i++) ir_push(t->a, &t->args, ((struct massrt_arg){ MASSRT_A_EXPR, expr(t, h.word[i]), 0 }));
  add_step(t, MASSRT_S_CALL, h.fn, first, expr(t, h.tasks), bytes, provenance(t, n));
}
static void step(struct tables *t, const struct pass_group *g)
{
  if (g->node->op == IR_OP_transfer) copy(t, g->node, g->node->in[0], g->node->out[0]);
  else if (g->node->op == IR_OP_bind) bind(t, g->node);
  else if (ir_op_def(g->node->op)->host) host_call(t, g->node);
  else if (g->node->op != IR_OP_loop) launch(t, g);
  else if (g->end) loop_ends(t, g->node);
  else loop_begins(t, g->node);
}
bool pass_steps(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  struct ir_graph *g = c->m->main;
  struct tables t = { .c = c, .a = p->arena, .facts = IR_NEWN(c->scratch, struct ir_launch, p->kernels.n + 1), .ok = true };
  bind_symbols(&t, g);
  bind_values(&t);
  bind_late(&t);
  find_bounds(&t);
  struct massrt_io *in = IR_NEWN(t.a, struct massrt_io, g->params.n + 1), *out = IR_NEWN(t.a, struct massrt_io, g->results.n + 1);
  for (uint32_t i = 0; i < g->params.n; i++) in[i] = io_of(&t, g->params.v[i]->name, g->params.v[i]->type);
  for (uint32_t i = 0; i < g->results.n; i++) out[i] = io_of(&t, i < g->result_names.n ? g->result_names.v[i] : g->results.v[i]->name, g->results.v[i]->type);
  for (uint32_t i = 0; i < g->results.n; i++)
    for (uint32_t k = 0; k < p->buffers.n && ir_type_late(c->m, g->results.v[i]->type); k++)
      if (p->buffers.v[k].v == g->results.v[i]) out[i].buffer = k + 1;
  struct massrt_require *req = IR_NEWN(t.a, struct massrt_require, c->m->requires.n + 1);
  for (uint32_t i = 0; i < c->m->requires.n; i++) req[i] = (struct massrt_require){ expr(&t, c->m->requires.v[i].e), c->m->requires.v[i].eq, c->m->requires.v[i].why };
  struct massrt_buffer *buf = IR_NEWN(t.a, struct massrt_buffer, p->buffers.n + 1);
  for (uint32_t i = 0; i < p->buffers.n; i++) buf[i] = (struct massrt_buffer){ expr(&t, p->buffers.v[i].bytes), p->buffers.v[i].first, p->buffers.v[i].last, p->buffers.v[i].place, p->buffers.v[i].offset };
  struct massrt_kernel *ker = IR_NEWN(t.a, struct massrt_kernel, p->kernels.n + 1);
  for (uint32_t i = 0; i < p->kernels.n; i++) ker[i] = (struct massrt_kernel){ p->kernels.v[i].name, p->kernels.v[i].kern->scratch_bytes, NULL };
  for (uint32_t i = 0; i < p->groups.n; i++)
    step(&t, &p->groups.v[i]);
  struct massrt_place *places = IR_NEWN(t.a, struct massrt_place, 2);
  places[0] = (struct massrt_place){ "cpu", MASSRT_K_CPU, MASSRT_ALIGN, p->arena_bytes };
  if (c->target->kind) places[1] = (struct massrt_place){ c->target->place, c->target->kind, c->target->align, p->device_bytes };
  int64_t transformed = 0;
  for (uint32_t i = 0; i < p->weights.n; i++) transformed += pass_weight_growth(&p->weights.v[i]);
  p->tables = (struct massrt_program){
    .magic = MASSRT_MAGIC, .abi = MASSRT_ABI_VERSION, .bytes = sizeof(struct massrt_program),
    .n_exprs = t.exprs.n, .n_syms = t.syms.n, .n_requires = c->m->requires.n, .n_inputs = g->params.n, .n_outputs = g->results.n, .n_buffers = p->buffers.n,
    .n_args = t.args.n, .n_kernels = p->kernels.n, .n_launches = t.launches.n, .n_steps = t.steps.n, .n_groups = p->groups.n, .n_places = c->target->kind ? 2 : 1, .n_binds = t.n_binds,
    .exprs = t.exprs.v, .syms = t.syms.v, .requires_ = req, .inputs = in, .outputs = out, .buffers = buf, .args = t.args.v, .kernels = ker, .launches = t.launches.v, .steps = t.steps.v, .places = places,
    .arena_bytes = p->arena_bytes, .live_bytes = p->live_bytes, .weights_bytes = p->weights_bytes, .transformed_bytes = (uint64_t)transformed,
  };
  c->changed = true;
  return t.ok;
}
