/* The verifier: the legal graph written as rules. Each phase adds some. The first fault is reported with the node and its line number in the text form. */
#include "ir/internal.h"
#include <string.h>

enum { MAX_DEPTH = 32 };
struct verifier {
  struct ir_module *m;
  struct ir_arena *arena;
  enum ir_phase phase;
  struct ir_set values;                                /* defined so far, and their graphs */
  IR_VEC(const struct ir_ix *) bound;                  /* late symbols, so far */
  const char *why;
};

static bool bad(struct verifier *v, const struct ir_node *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool bad(struct verifier *v, const struct ir_node *n, const char *fmt, ...)
{
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (n) v->why = ir_arena_printf(v->m->arena, "%s%s%s%s: %s", ir_op_def(n->op)->name, n->prov ? " \"" : "", n->prov ? n->prov->name[0] : "", n->prov ? "\"" : "", text);
  else v->why = ir_arena_printf(v->m->arena, "%s", text);
  return false;
}
#define RULE(cond, n, ...) do { if (!(cond)) return bad(v, n, __VA_ARGS__); } while (0)

static bool same(const void *a, const void *b) { return a == b; }
static uint64_t address_hash(const void *p) { return ir_hash(&p, sizeof p, 0); }
static bool defined(const struct verifier *v, const struct ir_value *x) { return ir_set_find(&v->values, address_hash(x), x, same) != NULL; }
static void define(struct verifier *v, struct ir_value *x) { ir_set_add(v->arena, &v->values, address_hash(x), x); }

/* ---- values ---- */
static bool check_layout(struct verifier *v, const struct ir_node *n, const struct ir_value *x)
{
  const struct ir_layout *l = x->layout;
  if (!l) return true;                               /* dense row-major */
  RULE(l->at && l->elems, n, "a layout without an offset");
  for (unsigned d = 0; d < x->type->rank; d++) {
    RULE(l->lo[d] && l->hi[d], n, "the layout's domain lacks axis %u", d);
    RULE(ir_prove_ge0(&v->m->facts, ir_ix_neg(l->lo[d])) != IR_NO && ir_prove_ge0(&v->m->facts, ir_ix_sub(l->hi[d], x->type->dim[d])) != IR_NO, n,
         "the layout's domain does not hold axis %u of %s", d, ir_type_str(v->m->arena, x->type));
    RULE(!ir_ix_uses(l->elems, ir_ix_coord(v->m->ixs, d)), n, "a layout's size depends on a coordinate");
  }
  for (unsigned d = x->type->rank; d < IR_MAX_RANK; d++) RULE(!l->lo[d] && !l->hi[d], n, "the layout has more axes than %s", ir_type_str(v->m->arena, x->type));
  return true;
}
static bool check_value(struct verifier *v, const struct ir_node *n, const struct ir_value *x, const struct ir_graph *g, unsigned index)
{
  RULE(x->graph == g, n, "result %u belongs to another graph", index);
  RULE(x->index == index, n, "result %u has the number %u", index, x->index);
  RULE(x->type && x->type->rank <= IR_MAX_RANK, n, "result %u has no type", index);
  RULE(ir_type_get(v->m, x->type->elem, x->type->rank, x->type->dim) == x->type, n, "the type of result %u is not interned", index);
  for (uint32_t k = 0; k < x->uses.n; k++) {
    const struct ir_node *u = x->uses.v[k];
    unsigned slots = 0, entries = 0;
    RULE(u->graph == g, n, "result %u is used in another graph", index);
    for (unsigned i = 0; i < u->n_in; i++) slots += u->in[i] == x;
    RULE(slots > 0, n, "the uses of result %u name %s, which does not read it", index, ir_op_def(u->op)->name);
    if (slots == 1) continue;
    for (uint32_t j = 0; j < x->uses.n; j++) entries += x->uses.v[j] == u;
    RULE(slots == entries, n, "%s reads result %u %u times, its uses say %u", ir_op_def(u->op)->name, index, slots, entries);
  }
  return v->phase < IR_P_LAID_OUT || check_layout(v, n, x);
}

/* ---- nodes ---- */
static bool check_operands(struct verifier *v, const struct ir_node *n)
{
  const struct ir_op_def *d = ir_op_def(n->op);
  RULE((int)n->n_in >= d->min_in && (d->max_in < 0 || (int)n->n_in <= d->max_in), n, "%u operands", n->n_in);
  for (unsigned i = 0; i < n->n_in; i++) {
    const struct ir_value *x = n->in[i];
    RULE(x, n, "operand %u is missing", i);
    RULE(x->graph == n->graph, n, "operand %u lies in another region", i);
    RULE(defined(v, x), n, "operand %u is defined later", i);
    bool listed = false;
    for (uint32_t k = x->uses.n; k-- > 0 && !listed;) listed = x->uses.v[k] == n;
    RULE(listed, n, "operand %u does not list this use", i);
  }
  return true;
}
static bool check_attrs(struct verifier *v, const struct ir_node *n)
{
  const struct ir_attr_decl *d = ir_op_def(n->op)->attrs;
  unsigned k = 0;
  for (unsigned i = 0; i < 12 && d[i].key; i++) {
    if (k < n->n_attr && n->attr[k].key && !strcmp(n->attr[k].key, d[i].key)) {
      RULE(n->attr[k].kind == d[i].kind, n, "attribute \"%s\" is of another kind", d[i].key);
      k++;
    } else RULE(!d[i].required, n, "attribute \"%s\" is missing", d[i].key);
  }
  RULE(k == n->n_attr, n, "attribute \"%s\" is unknown, out of order or stands twice", n->attr[k].key);
  return true;
}
/* Inferring again gives the types that are there, or ones that the requirements may make equal. Diagnostics of infer become the reason. */
static bool check_types(struct verifier *v, struct ir_node *n)
{
  if (n->op == IR_OP_const) return true;
  struct ir_diags quiet = { .quiet = true }, *saved = v->m->diags;
  const struct ir_type **t = IR_NEWN(v->arena, const struct ir_type *, n->n_out + 1);
  uint32_t requires = v->m->requires.n;
  v->m->diags = &quiet;
  bool ok = ir_op_def(n->op)->infer(v->m, n, t);
  v->m->diags = saved;
  if (!ok) bad(v, n, "%s", quiet.first.s ? quiet.first.s : "does not infer");
  ir_buf_deinit(&quiet.first);
  TRY(ok);
  RULE(v->m->requires.n == requires, n, "needs a requirement that the module does not have: %s", v->m->requires.v[requires].why ? v->m->requires.v[requires].why : "");
  for (unsigned i = 0; i < n->n_out; i++) {
    const struct ir_type *a = n->out[i]->type, *b = t[i];
    bool agree = a->elem == b->elem && a->rank == b->rank;
    for (unsigned d = 0; agree && d < a->rank; d++) agree = a->dim[d] == b->dim[d] || ir_prove_eq0(&v->m->facts, ir_ix_sub(a->dim[d], b->dim[d])) != IR_NO;
    RULE(agree, n, "result %u is %s, but %s follows", i, ir_type_str(v->m->arena, a), ir_type_str(v->m->arena, b));
  }
  return true;
}
static bool check_const(struct verifier *v, const struct ir_node *n)
{
  RULE(n->data, n, "no data");
  if (n->data->kind == IR_DATA_SPLAT) return true;
  int64_t elems;
  RULE(ir_type_static(n->out[0]->type, NULL, &elems), n, "bytes for a type with symbols: %s", ir_type_str(v->m->arena, n->out[0]->type));
  RULE(n->data->p || n->data->bytes == 0, n, "no bytes");
  RULE(n->data->bytes == (uint64_t)elems * ir_elem_bytes(n->out[0]->type->elem), n, "%llu bytes for %s", (unsigned long long)n->data->bytes, ir_type_str(v->m->arena, n->out[0]->type));
  return true;
}
static bool check_phase(struct verifier *v, const struct ir_node *n, unsigned depth)
{
  if (v->phase >= IR_P_OUTLINED && depth == 0)
    RULE(n->op == IR_OP_group || n->op == IR_OP_loop || n->op == IR_OP_transfer || ir_op_def(n->op)->class == IR_C_CONTROL || n->op == IR_OP_const || n->out[0]->weight, n, "stands at the top level of an outlined graph");
  if (v->phase < IR_P_PLACED || depth || n->op == IR_OP_const) return true;
  RULE(n->place, n, "has no place");
  for (unsigned i = 0; i < n->n_in; i++) {
    const struct ir_node *d = n->in[i]->def;
    if (!d || d->op == IR_OP_const || n->op == IR_OP_transfer || !d->place) continue;
    const char *from = d->op == IR_OP_transfer ? ir_attr_get_str(d, "place") : d->place;
    RULE(!strcmp(from, n->place), n, "runs on %s, operand %u lies on %s", n->place, i, from);
  }
  return true;
}
/* Late symbols are read behind their bind. */
static bool check_late(struct verifier *v, const struct ir_node *n)
{
  if (n->op == IR_OP_bind) {
    const struct ir_attr *s = ir_attr_find(n, "syms");
    for (unsigned i = 0; i < s->n; i++) ir_push(v->arena, &v->bound, s->ix[i]);
    return true;
  }
  for (uint32_t k = 0; k < v->m->late.n; k++) {
    const struct ir_ix *s = v->m->late.v[k].sym;
    bool bound = false;
    for (uint32_t i = 0; i < v->bound.n && !bound; i++) bound = v->bound.v[i] == s;
    RULE(bound || !ir_node_uses(n, s), n, "reads %s, which no bind before it has bound", ir_ix_str(v->m->arena, s));
  }
  return true;
}
static bool check_graph(struct verifier *v, struct ir_graph *g, unsigned depth);
static bool check_node(struct verifier *v, struct ir_node *n, unsigned depth)
{
  RULE(n->op < IR_OP_COUNT, NULL, "a node with op number %d", (int)n->op);
  const struct ir_op_def *d = ir_op_def(n->op);
  TRY(check_operands(v, n) && check_attrs(v, n) && check_late(v, n));
  RULE(d->n_out < 0 || (unsigned)d->n_out == n->n_out, n, "%u results", n->n_out);
  RULE((d->class == IR_C_REGION) == (n->n_body > 0), n, "%u bodies", n->n_body);
  RULE((n->op == IR_OP_const) == (n->data != NULL), n, "data where none belongs, or none");
  for (unsigned i = 0; i < n->n_out; i++) {
    RULE(n->out[i]->def == n, n, "result %u is defined elsewhere", i);
    TRY(check_value(v, n, n->out[i], n->graph, i));
  }
  if (n->op == IR_OP_const) TRY(check_const(v, n));
  for (unsigned i = 0; i < n->n_body; i++) {
    RULE(n->body[i]->owner == n, n, "body %u has another owner", i);
    TRY(check_graph(v, n->body[i], depth + 1));
  }
  TRY(check_types(v, n) && check_phase(v, n, depth));
  for (unsigned i = 0; i < n->n_out; i++) define(v, n->out[i]);
  return true;
}
static bool check_graph(struct verifier *v, struct ir_graph *g, unsigned depth)
{
  RULE(depth < MAX_DEPTH, NULL, "regions nest deeper than %d", MAX_DEPTH);
  RULE(g->module == v->m, NULL, "a graph of another module");
  for (uint32_t i = 0; i < g->params.n; i++) {
    RULE(!g->params.v[i]->def, NULL, "parameter %u has a definition", i);
    TRY(check_value(v, NULL, g->params.v[i], g, i));
    define(v, g->params.v[i]);
  }
  const struct ir_node *prev = NULL;
  for (struct ir_node *n = g->first; n; prev = n, n = n->next) {
    RULE(n->graph == g && n->prev == prev, n, "the list of nodes is broken");
    RULE(!prev || prev->order < n->order, n, "order numbers do not rise");
    TRY(check_node(v, n, depth));
  }
  RULE(g->last == prev, NULL, "the list of nodes does not end at its last");
  for (uint32_t i = 0; i < g->results.n; i++) RULE(g->results.v[i] && g->results.v[i]->graph == g && defined(v, g->results.v[i]), NULL, "result %u of a graph is not defined in it", i);
  return true;
}
bool ir_verify(struct ir_module *m, enum ir_phase p, const char **why)
{
  struct verifier v = { .m = m, .arena = ir_arena_create(), .phase = p };
  bool ok = m->main ? check_graph(&v, m->main, 0) : bad(&v, NULL, "no graph");
  ir_arena_destroy(v.arena);
  *why = v.why;
  return ok;
}
