/* The reference evaluator's driver: binds symbols from the inputs' sizes, checks requirements, evaluates the nodes that the results need in order, and lets go of
 * each tensor after its last reader. An op without an eval function is evaluated through its nest, by the nest's own evaluator (ir/kernel); a region through its
 * body, so that a group or composite means what its nodes mean. */
#include "ir/internal.h"
#include "ir/kernel/kir.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_ELEMS_LOG2 = 32 };
struct held { struct ir_tensor t; unsigned refs; };          /* on the heap; several values may hold one */
struct cell { const struct ir_value *v; struct held *h; uint32_t left; /* readers to come */ };
struct ir_eval_values {
  struct ir_arena *arena;
  struct ir_set cells;
  bool quiet;                                                /* a failure is an answer, not a fault of the user */
  uint64_t left;                                             /* elements and operations that may still be evaluated */
  struct { int64_t value; bool known; } *sym;                /* by number in the module's table */
  unsigned n_syms;
};

static bool fault(struct ir_eval_ctx *c, const struct ir_node *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool fault(struct ir_eval_ctx *c, const struct ir_node *n, const char *fmt, ...)
{
  if (c->values->quiet) return false;
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return n ? ir_op_error(c->m, n, IR_M0201, "%s", text) : ir_error(c->m->diags, IR_M0201, NULL, NULL, "%s", text);
}

/* ---- cells ---- */
static bool cell_eq(const void *key, const void *elem) { return ((const struct cell *)elem)->v == key; }
static struct cell *cell(struct ir_eval_values *s, const struct ir_value *v)
{
  uint64_t h = ir_hash(&v, sizeof v, 0);
  struct cell *x = ir_set_find(&s->cells, h, v, cell_eq);
  if (x) return x;
  x = IR_NEW(s->arena, struct cell);
  x->v = v;
  ir_set_add(s->arena, &s->cells, h, x);
  return x;
}
static void let_go(struct cell *x)
{
  if (x->h && --x->h->refs == 0) { free(x->h->t.p); free(x->h); }
  x->h = NULL;
}
static void hold(struct cell *x, struct held *h)
{
  h->refs++;
  let_go(x);
  x->h = h;
}
static void read_once(struct cell *x)
{
  if (x->left && --x->left == 0) let_go(x);
}
static struct held *new_held(struct ir_eval_ctx *c, const struct ir_node *n, const struct ir_type *t)
{
  struct ir_tensor x = { .elem = t->elem, .rank = t->rank, .n = 1 };
  for (unsigned d = 0; d < t->rank; d++) {
    if (!ir_eval_ix(c, t->dim[d], &x.dim[d])) return NULL;
    if (x.dim[d] < 0) { fault(c, n, "axis %u of %s is negative: %lld", d, ir_type_str(c->m->arena, t), (long long)x.dim[d]); return NULL; }
    if (!ir_mul64(x.n, x.dim[d], &x.n) || x.n >> MAX_ELEMS_LOG2) { fault(c, n, "%s is too large to evaluate", ir_type_str(c->m->arena, t)); return NULL; }
  }
  struct held *h = calloc(1, sizeof *h);
  if (h) x.p = calloc((size_t)x.n + 1, 8);
  if (!h || !x.p) { free(h); fault(c, n, "%s does not fit in memory", ir_type_str(c->m->arena, t)); return NULL; }
  h->t = x;
  return h;
}
struct ir_tensor *ir_eval_in(struct ir_eval_ctx *c, const struct ir_node *n, unsigned i)
{
  struct cell *x = cell(c->values, n->in[i]);
  IR_ASSERT(x->h);
  return &x->h->t;
}
struct ir_tensor *ir_eval_out(struct ir_eval_ctx *c, const struct ir_node *n, unsigned i)
{
  struct cell *x = cell(c->values, n->out[i]);
  if (x->h) return &x->h->t;
  struct held *h = new_held(c, n, n->out[i]->type);
  if (h) hold(x, h);
  return h ? &h->t : NULL;
}

/* ---- symbols ---- */
static unsigned sym_number(const struct ir_ixs *t, const struct ir_sym *s)
{
  for (unsigned i = 0; i < ir_ixs_nsyms(t); i++)
    if (ir_ixs_sym(t, i) == s) return i;
  return ir_ixs_nsyms(t);
}
static int64_t sym_value(void *arg, const struct ir_sym *s, bool *known)
{
  struct ir_eval_ctx *c = arg;
  unsigned i = sym_number(c->m->ixs, s);
  int64_t v = 0;
  if (i < c->values->n_syms && c->values->sym[i].known) { *known = true; return c->values->sym[i].value; }
  *known = s->def && ir_ix_eval(s->def, &c->env, &v);
  return v;
}
bool ir_eval_ix(struct ir_eval_ctx *c, const struct ir_ix *e, int64_t *out)
{
  return ir_ix_const(e, out) || ir_ix_eval(e, &c->env, out) || fault(c, NULL, "%s has no value: a symbol is not bound by the inputs, or it overflows", ir_ix_str(c->m->arena, e));
}
static bool bind(struct ir_eval_ctx *c, unsigned i, int64_t v)
{
  const struct ir_sym *s = ir_ixs_sym(c->m->ixs, i);
  if (v < s->lo || v > s->hi || v % s->by) return fault(c, NULL, "%s = %lld is outside of its range %lld..%lld%%%lld", s->name, (long long)v, (long long)s->lo, (long long)s->hi, (long long)s->by);
  c->values->sym[i].value = v;
  c->values->sym[i].known = true;
  return true;
}
void ir_eval_bind(struct ir_eval_ctx *c, const struct ir_ix *sym, int64_t v)
{
  const struct ir_sym *s = ir_ix_as_sym(sym);
  unsigned i = sym_number(c->m->ixs, s);
  c->values->sym[i].value = v < s->lo ? s->lo : v > s->hi ? s->hi : v;
  c->values->sym[i].known = true;
}
/* e = size with one unknown symbol in it, linearly, tells the symbol. */
static bool solve(struct ir_eval_ctx *c, const struct ir_ix *e, int64_t size)
{
  for (unsigned i = 0; i < c->values->n_syms; i++) {
    const struct ir_sym *s = ir_ixs_sym(c->m->ixs, i);
    const struct ir_ix *v = c->values->sym[i].known || s->kind != IR_SYM_DIM || s->def || ir_is_late(c->m, ir_ix_find(c->m->ixs, s->name)) ? NULL : ir_ix_find(c->m->ixs, s->name), *k, *r;
    int64_t kn, rn;
    if (!v || !ir_ix_uses(e, v) || !ir_ix_linear(e, v, &k, &r) || !ir_ix_eval(k, &c->env, &kn) || !ir_ix_eval(r, &c->env, &rn) || kn == 0) continue;
    if ((size - rn) % kn) return fault(c, NULL, "no %s makes %s equal to %lld", s->name, ir_ix_str(c->m->arena, e), (long long)size);
    return bind(c, i, (size - rn) / kn);
  }
  return true;
}
static int64_t held(double v) { return v != v ? 0 : v < -INT32_MAX ? -INT32_MAX : v > INT32_MAX ? INT32_MAX : (int64_t)v; }
static bool bind_values(struct ir_eval_ctx *c, struct ir_graph *g, struct ir_tensor *const *ins)
{
  for (uint32_t i = 0; g == c->m->main && i < c->m->value_syms.n; i++) {
    const struct ir_value_sym *s = &c->m->value_syms.v[i];
    const struct ir_tensor *t = ins[s->param];
    if (s->elem >= t->n) return fault(c, NULL, "input %u has no element %u", s->param, s->elem);
    TRY(bind(c, sym_number(c->m->ixs, ir_ix_as_sym(s->sym)), held(ir_elem_class(t->elem) == 'F' ? t->f[s->elem] : (double)t->i[s->elem])));
  }
  return true;
}
static bool bind_inputs(struct ir_eval_ctx *c, struct ir_graph *g, struct ir_tensor *const *ins)
{
  int64_t v;
  TRY(bind_values(c, g, ins));
  for (unsigned pass = 0; pass < 2; pass++)                  /* plain symbols first */
    for (uint32_t i = 0; i < g->params.n; i++) {
      const struct ir_type *t = g->params.v[i]->type;
      for (unsigned d = 0; d < t->rank; d++)
        if ((pass || ir_ix_as_sym(t->dim[d])) && !ir_ix_eval(t->dim[d], &c->env, &v)) TRY(solve(c, t->dim[d], ins[i]->dim[d]));
    }
  for (uint32_t i = 0; i < g->params.n; i++) {
    const struct ir_value *p = g->params.v[i];
    for (unsigned d = 0; d < p->type->rank; d++) {
      TRY(ir_eval_ix(c, p->type->dim[d], &v));
      if (v != ins[i]->dim[d])
        return fault(c, NULL, "input %u%s%s: axis %u is %lld, %s wants %lld", i, p->name ? " " : "", p->name ? p->name : "", d, (long long)ins[i]->dim[d],
                     ir_type_str(c->m->arena, p->type), (long long)v);
    }
  }
  return true;
}
static bool reads_bound(const struct ir_ix *e, const struct ir_node *bind)
{
  const struct ir_attr *syms = ir_attr_find(bind, "syms");
  for (unsigned i = 0; i < syms->n; i++)
    if (ir_ix_uses(e, syms->ix[i])) return true;
  return false;
}
/* Those without late symbols, before anything is evaluated; then, after each bind, those whose last symbol it has bound. */
static bool check_requirements(struct ir_eval_ctx *c, const struct ir_node *bind)
{
  for (uint32_t i = 0; i < c->m->requires.n; i++) {
    const struct ir_require *r = &c->m->requires.v[i];
    int64_t v;
    if (bind ? !reads_bound(r->e, bind) || !ir_ix_eval(r->e, &c->env, &v) : ir_is_late(c->m, r->e)) continue;
    TRY(ir_eval_ix(c, r->e, &v));
    if (r->eq ? v != 0 : v < 0) return fault(c, NULL, "%s: %s is %lld, must be %s0", r->why ? r->why : "a requirement fails", ir_ix_str(c->m->arena, r->e), (long long)v, r->eq ? "" : "at least ");
  }
  return true;
}

/* ---- nodes ---- */
static bool eval_const(struct ir_eval_ctx *c, const struct ir_node *n)
{
  struct ir_tensor *t = ir_eval_out(c, n, 0);
  TRY(t);
  if (n->data->kind == IR_DATA_BYTES) { ir_tensor_from_bytes(t, n->data->p); return true; }
  for (int64_t k = 0; k < t->n; k++)
    if (ir_elem_float(t->elem)) t->f[k] = n->data->splat;
    else t->i[k] = n->data->splat_i;
  return true;
}
static struct ir_tensor *argument(struct ir_eval_ctx *c, const struct ir_node *n, const struct kir_arr *a)
{
  for (unsigned i = 0; i < n->n_in && !a->out; i++)
    if (n->in[i] == a->value) return ir_eval_in(c, n, i);
  for (unsigned i = 0; i < n->n_out && a->out; i++)
    if (n->out[i] == a->value) return ir_eval_out(c, n, i);
  ir_bug("eval_nest", "argument %s of the nest of %s is none of its values", a->name, ir_op_def(n->op)->name);
}
static bool spend(struct ir_eval_ctx *c, const struct ir_node *n, int64_t units)
{
  if (units < 0 || (uint64_t)units > c->values->left) return fault(c, n, "takes too long to evaluate");
  c->values->left -= (uint64_t)units;
  return true;
}
static bool eval_nest(struct ir_eval_ctx *c, const struct ir_node *n)
{
  struct kir_nest *nest = kir_nest_of(c->arena, n);
  if (!nest) ir_bug("ir_eval", "%s has neither an eval function nor a nest", ir_op_def(n->op)->name);
  int64_t work;
  if (ir_ix_const(kir_nest_work(nest), &work)) TRY(spend(c, n, work));
  struct ir_tensor **args = IR_NEWN(c->arena, struct ir_tensor *, nest->args.n + 1);
  for (uint32_t i = 0; i < nest->args.n; i++) TRY(args[i] = argument(c, n, nest->args.v[i]));
  struct kir_bind *syms = IR_NEWN(c->arena, struct kir_bind, c->values->n_syms + 1);
  unsigned n_syms = 0;
  for (unsigned i = 0; i < c->values->n_syms; i++)
    if (c->values->sym[i].known) syms[n_syms++] = (struct kir_bind){ ir_ixs_sym(c->m->ixs, i)->name, c->values->sym[i].value };
  const char *why = "";
  return kir_nest_eval(nest, syms, n_syms, args, &why) || fault(c, n, "%s", why);
}
static void round_once(struct ir_tensor *t)
{
  if (ir_elem_float(t->elem))
    for (int64_t k = 0; k < t->n; k++) t->f[k] = ir_round_to(t->elem, t->f[k]);
  else
    for (int64_t k = 0; k < t->n; k++) t->i[k] = ir_wrap_to(t->elem, t->i[k]);
}
static bool run(struct ir_eval_ctx *c, struct ir_node *const *nodes, uint32_t n, struct ir_value *const *results, uint32_t n_results, unsigned depth);
static bool eval_region(struct ir_eval_ctx *c, const struct ir_node *n, unsigned depth)
{
  struct ir_graph *g = n->body[0];
  IR_VEC(struct ir_node *) nodes = { 0 };
  for (struct ir_node *x = g->first; x; x = x->next) ir_push(c->values->arena, &nodes, x);
  for (uint32_t i = 0; i < g->params.n; i++) hold(cell(c->values, g->params.v[i]), cell(c->values, n->in[i])->h);
  bool ok = run(c, nodes.v, nodes.n, g->results.v, g->results.n, depth + 1);
  for (uint32_t i = 0; ok && i < g->results.n; i++) hold(cell(c->values, n->out[i]), cell(c->values, g->results.v[i])->h);
  for (uint32_t i = 0; i < g->results.n; i++) let_go(cell(c->values, g->results.v[i]));
  for (uint32_t i = 0; i < g->params.n; i++) let_go(cell(c->values, g->params.v[i]));
  return ok;
}
/* A place in t's memory, by element. */
static void put_slice(struct ir_tensor *t, int64_t at, const struct ir_tensor *x) { memcpy(t->i + at * x->n, x->i, (size_t)x->n * sizeof *x->i); }
static bool eval_loop(struct ir_eval_ctx *c, const struct ir_node *n, unsigned depth)
{
  struct ir_graph *g = n->body[0];
  uint32_t carried = (uint32_t)ir_attr_get_int(n, "carried");
  int64_t trip = ir_eval_in(c, n, 0)->i[0], i = 0;
  IR_VEC(struct ir_node *) nodes = { 0 };
  for (struct ir_node *x = g->first; x; x = x->next) ir_push(c->values->arena, &nodes, x);
  for (uint32_t k = carried; k < g->results.n; k++) TRY(ir_eval_out(c, n, k));
  for (uint32_t k = 0; k < carried; k++) hold(cell(c->values, n->out[k]), cell(c->values, n->in[k + 1])->h);
  for (; i < trip && cell(c->values, n->out[0])->h->t.i[0]; i++) {
    struct held *count = spend(c, n, 1) ? new_held(c, n, g->params.v[0]->type) : NULL;
    TRY(count);
    count->t.i[0] = i;
    hold(cell(c->values, g->params.v[0]), count);
    for (uint32_t k = 1; k < g->params.n; k++) hold(cell(c->values, g->params.v[k]), cell(c->values, k <= carried ? n->out[k - 1] : n->in[k])->h);
    TRY(run(c, nodes.v, nodes.n, g->results.v, g->results.n, depth + 1));
    for (uint32_t k = 0; k < g->results.n; k++) {
      struct held *h = cell(c->values, g->results.v[k])->h;
      if (k < carried) { hold(cell(c->values, n->out[k]), h); continue; }
      struct ir_tensor *all = ir_eval_out(c, n, k);
      if (i >= all->dim[0]) return fault(c, n, "more iterations than the %lld that are stacked", (long long)all->dim[0]);
      put_slice(all, i, &h->t);
    }
    for (uint32_t k = 0; k < g->results.n; k++) let_go(cell(c->values, g->results.v[k]));
    for (uint32_t k = 0; k < g->params.n; k++) let_go(cell(c->values, g->params.v[k]));
  }
  return true;
}
static bool eval_node(struct ir_eval_ctx *c, const struct ir_node *n, unsigned depth)
{
  if (n->op == IR_OP_const) return eval_const(c, n);
  if (n->op == IR_OP_loop) return eval_loop(c, n, depth);
  if (n->n_body) return eval_region(c, n, depth);
  const struct ir_op_def *def = ir_op_def(n->op);
  c->arena = ir_arena_create();
  bool ok = def->eval ? def->eval(c, n) : eval_nest(c, n);
  ir_arena_destroy(c->arena);
  c->arena = NULL;
  for (unsigned i = 0; ok && i < n->n_out; i++) round_once(ir_eval_out(c, n, i));
  return ok && (n->op != IR_OP_bind || check_requirements(c, n));
}
/* The nodes in order; afterwards only the results are held. */
static bool run(struct ir_eval_ctx *c, struct ir_node *const *nodes, uint32_t n, struct ir_value *const *results, uint32_t n_results, unsigned depth)
{
  IR_ASSERT(depth < 64);
  for (uint32_t k = 0; k < n; k++)
    for (unsigned i = 0; i < nodes[k]->n_in; i++) cell(c->values, nodes[k]->in[i])->left++;
  for (uint32_t i = 0; i < n_results; i++) cell(c->values, results[i])->left++;
  for (uint32_t k = 0; k < n; k++) {
    TRY(eval_node(c, nodes[k], depth));
    for (unsigned i = 0; i < nodes[k]->n_in; i++) read_once(cell(c->values, nodes[k]->in[i]));
    for (unsigned i = 0; i < nodes[k]->n_out; i++)
      if (!cell(c->values, nodes[k]->out[i])->left) let_go(cell(c->values, nodes[k]->out[i]));
  }
  for (uint32_t i = 0; i < n_results; i++) cell(c->values, results[i])->left = 0;
  return true;
}

/* ---- what is needed ---- */
static int by_order(const void *a, const void *b)
{
  uint32_t x = (*(struct ir_node *const *)a)->order, y = (*(struct ir_node *const *)b)->order;
  return (x > y) - (x < y);
}
struct needed { IR_VEC(struct ir_node *) nodes; struct ir_set seen; bool param; };
static bool same(const void *a, const void *b) { return a == b; }
static void need(struct ir_arena *a, struct needed *s, const struct ir_value *v)
{
  if (!v->def) { s->param = true; return; }
  uint64_t h = ir_hash(&v->def, sizeof v->def, 0);
  if (ir_set_find(&s->seen, h, v->def, same)) return;
  ir_set_add(a, &s->seen, h, v->def);
  ir_push(a, &s->nodes, v->def);
}
static void collect(struct ir_arena *a, struct needed *s, struct ir_value *const *results, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++) need(a, s, results[i]);
  for (uint32_t k = 0; k < s->nodes.n; k++)
    for (unsigned i = 0; i < s->nodes.v[k]->n_in; i++) need(a, s, s->nodes.v[k]->in[i]);
  if (s->nodes.n) qsort(s->nodes.v, s->nodes.n, sizeof *s->nodes.v, by_order);
}

/* ---- entries ---- */
static void begin(struct ir_eval_ctx *c, struct ir_eval_values *s, struct ir_module *m, bool quiet)
{
  *s = (struct ir_eval_values){ .arena = ir_arena_create(), .quiet = quiet, .left = UINT64_MAX, .n_syms = ir_ixs_nsyms(m->ixs) };
  s->sym = ir_arena_alloc(s->arena, (s->n_syms + 1) * sizeof *s->sym);
  *c = (struct ir_eval_ctx){ .m = m, .values = s, .env = { .sym = sym_value, .arg = c } };
}
static void end(struct ir_eval_ctx *c)
{
  for (uint32_t i = 0; i < c->values->cells.cap; i++)         /* none is ever removed, so no tombstones; the order does not matter */
    if (c->values->cells.slot[i].p) let_go(c->values->cells.slot[i].p);
  ir_arena_destroy(c->values->arena);
}
static struct ir_tensor *keep(struct ir_arena *a, const struct ir_tensor *t)
{
  struct ir_tensor *r = ir_tensor_create(a, t->elem, t->rank, t->dim);
  memcpy(r->p, t->p, (size_t)t->n * 8);
  return r;
}
static bool hold_input(struct ir_eval_ctx *c, const struct ir_value *p, const struct ir_tensor *in)
{
  struct held *h = new_held(c, NULL, p->type);
  TRY(h);
  memcpy(h->t.p, in->p, (size_t)in->n * 8);
  hold(cell(c->values, p), h);
  return true;
}
static bool eval(struct ir_eval_ctx *c, struct ir_arena *a, struct ir_graph *g, struct ir_tensor *const *ins, unsigned n_in, struct ir_tensor **outs)
{
  if (n_in != g->params.n) return fault(c, NULL, "%u inputs given, %u wanted", n_in, g->params.n);
  for (unsigned i = 0; i < n_in; i++) {
    const struct ir_type *t = g->params.v[i]->type;
    if (ins[i]->elem != t->elem || ins[i]->rank != t->rank)
      return fault(c, NULL, "input %u is %s of rank %u, wanted is %s", i, ir_elem_name(ins[i]->elem), ins[i]->rank, ir_type_str(c->m->arena, t));
  }
  TRY(bind_inputs(c, g, ins) && check_requirements(c, NULL));
  for (unsigned i = 0; i < n_in; i++) TRY(hold_input(c, g->params.v[i], ins[i]));
  struct needed s = { 0 };
  for (struct ir_node *n = g->first; n; n = n->next)
    if (n->op == IR_OP_bind) need(c->values->arena, &s, n->out[0]);
  collect(c->values->arena, &s, g->results.v, g->results.n);
  TRY(run(c, s.nodes.v, s.nodes.n, g->results.v, g->results.n, 0));
  for (uint32_t i = 0; i < g->results.n; i++) outs[i] = keep(a, &cell(c->values, g->results.v[i])->h->t);
  return true;
}
bool ir_eval(struct ir_arena *a, struct ir_graph *g, struct ir_tensor *const *ins, unsigned n_in, struct ir_tensor **outs)
{
  struct ir_eval_ctx c;
  struct ir_eval_values s;
  begin(&c, &s, g->module, false);
  bool ok = eval(&c, a, g, ins, n_in, outs);
  end(&c);
  return ok;
}
bool ir_eval_const(struct ir_arena *a, struct ir_value *v, uint64_t most, struct ir_tensor **out)
{
  struct ir_eval_ctx c;
  struct ir_eval_values s;
  struct needed need = { 0 };
  begin(&c, &s, v->graph->module, true);
  collect(s.arena, &need, &v, 1);
  bool ok = !need.param;
  int64_t elems;
  s.left = most;
  for (uint32_t i = 0; ok && i < need.nodes.n; i++)
    for (unsigned k = 0; ok && k < need.nodes.v[i]->n_out; k++) ok = ir_type_static(need.nodes.v[i]->out[k]->type, NULL, &elems) && spend(&c, need.nodes.v[i], elems);
  ok = ok && run(&c, need.nodes.v, need.nodes.n, &v, 1, 0);
  if (ok) *out = keep(a, &cell(&s, v)->h->t);
  end(&c);
  return ok;
}
