/* Runs a model's statements. A frame is the body of the model or one use of a block: its variables, its tensors, and the path that its names begin with.
 * Loops and conditions run in the frame that they stand in. Hostile files end: statements run, nodes, weights and uses within uses are limited. */
#include "models/mkmodel.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_STATEMENTS = 1 << 20, MAX_NODES = 100000, MAX_USES = 32, MAX_BODIES = 64, MAX_BASES = 8, MAX_RANK = 16 };
struct frame { struct mk_scope scope; const char *path; unsigned uses; };
struct names { const char **v; uint32_t n, cap; };
struct builder {
  struct mk_model *m;
  struct ir_arena *arena;
  const struct ir_yaml *blocks;
  const char **used;                 /* names of nodes and weights: a hash set */
  uint32_t n_used, cap_used, statements;
};

/* ---- names ---- */
static bool use_name(struct builder *b, const char *s)   /* false: it is taken */
{
  if (2 * b->n_used >= b->cap_used) {
    const char **old = b->used;
    uint32_t n = b->cap_used;
    b->cap_used = n ? 2 * n : 1024;
    b->used = IR_NEWN(b->arena, const char *, b->cap_used);
    b->n_used = 0;
    for (uint32_t i = 0; i < n; i++)
      if (old[i]) use_name(b, old[i]);
  }
  uint32_t i = (uint32_t)ir_hash(s, strlen(s), 5) & (b->cap_used - 1);
  for (; b->used[i]; i = (i + 1) & (b->cap_used - 1))
    if (!strcmp(b->used[i], s)) return false;
  b->used[i] = s;
  b->n_used++;
  return true;
}
static const char *path_join(struct builder *b, const char *path, const char *name)
{
  if (!*name) return path;
  return *path ? ir_arena_printf(b->arena, "%s.%s", path, name) : name;
}
static const char *unique(struct builder *b, const char *s)
{
  const char *name = s;
  for (unsigned i = 1; !use_name(b, name); i++) name = ir_arena_printf(b->arena, "%s_%u", s, i);
  return name;
}
static void bind(struct frame *f, const char *name, const char *value)
{
  for (uint32_t i = 0; i < f->scope.tensors.n; i++)
    if (!strcmp(f->scope.tensors.v[i].name, name)) { f->scope.tensors.v[i].value = value; return; }
  if (f->scope.tensors.n == f->scope.tensors.cap)
    f->scope.tensors.v = ir_vec_grow(f->scope.arena, f->scope.tensors.v, f->scope.tensors.n, &f->scope.tensors.cap, sizeof *f->scope.tensors.v);
  f->scope.tensors.v[f->scope.tensors.n].name = name;
  f->scope.tensors.v[f->scope.tensors.n++].value = value;
}
static const char *lookup(const struct frame *f, const struct ir_yaml *at, const char *name)
{
  if (!*name) return "";             /* an optional operand that is left out */
  for (uint32_t i = 0; i < f->scope.tensors.n; i++)
    if (!strcmp(f->scope.tensors.v[i].name, name)) return f->scope.tensors.v[i].value;
  mk_fail(at, "no tensor is called %s here", name);
  return NULL;
}
/* A name or a list of names; dflt where y is NULL. */
static bool name_list(struct builder *b, const struct frame *f, const struct ir_yaml *y, const char *dflt, struct names *out)
{
  unsigned n = y && y->kind == IR_YAML_SEQ ? y->n : 1;
  *out = (struct names){ IR_NEWN(b->arena, const char *, n), n, n };
  if (!y) { out->v[0] = dflt; return true; }
  for (unsigned i = 0; i < n; i++) TRY((out->v[i] = mk_name(&f->scope, y->kind == IR_YAML_SEQ ? y->item[i] : y)));
  return true;
}

/* ---- weights ---- */
static const struct { const char *name; enum mk_elem e; } elems[] = {
  { "float", MK_F32 }, { "double", MK_F64 }, { "int64", MK_I64 }, { "int32", MK_I32 }, { "int8", MK_I8 }, { "uint8", MK_U8 }, { "bool", MK_BOOL },
};
static bool elem_of(const struct ir_yaml *y, enum mk_elem *out)
{
  *out = MK_F32;
  if (!y) return true;
  for (size_t i = 0; y->kind == IR_YAML_SCALAR && i < sizeof elems / sizeof *elems; i++)
    if (!strcmp(elems[i].name, y->s)) { *out = elems[i].e; return true; }
  return mk_fail(y, "unknown element type (float, double, int64, int32, int8, uint8, bool)");
}
static bool weight_shape(const struct frame *f, const struct ir_yaml *y, struct mk_weight *w)
{
  struct mk_val d = { .kind = MK_LIST };
  if (y) TRY(mk_eval(&f->scope, y, &d));
  if (d.kind != MK_LIST || d.n > MAX_RANK) return mk_fail(y, "dims must be a list of at most %d integers", MAX_RANK);
  int64_t *dim = IR_NEWN(f->scope.arena, int64_t, d.n + 1);
  w->elems = 1;
  for (unsigned i = 0; i < d.n; i++) {
    if (d.v[i].kind != MK_INT || d.v[i].i < 0) return mk_fail(y, "dim %u is not a number of elements", i);
    dim[i] = d.v[i].i;
    if (!ir_mul64(w->elems, dim[i], &w->elems)) return mk_fail(y, "the tensor is too large");
  }
  w->rank = d.n;
  w->dim = dim;
  if (!ir_mul64(w->elems, mk_elem_bytes(w->elem), &w->bytes)) return mk_fail(y, "the tensor is too large");
  return true;
}
static bool flatten(const struct ir_yaml *at, const struct mk_val *v, struct mk_val *out, int64_t room, int64_t *n)   /* list depth is bounded */
{
  if (v->kind == MK_STR) return mk_fail(at, "a tensor holds numbers");
  if (v->kind == MK_LIST) {
    for (unsigned i = 0; i < v->n; i++) TRY(flatten(at, &v->v[i], out, room, n));
    return true;
  }
  if (*n == room) return mk_fail(at, "more values than the tensor has elements");
  out[(*n)++] = *v;
  return true;
}
static bool weight_values(struct builder *b, const struct frame *f, const struct ir_yaml *y, struct mk_weight *w)
{
  struct mk_val v, *all;
  int64_t n = 0;
  TRY(mk_eval(&f->scope, y, &v));
  if (w->elems > 1 << 22) return mk_fail(y, "a tensor given by its values may have 4194304 elements");
  all = IR_NEWN(b->arena, struct mk_val, w->elems + 1);
  TRY(flatten(y, &v, all, w->elems, &n));
  if (n != w->elems) return mk_fail(y, "%lld values for %lld elements", (long long)n, (long long)w->elems);
  w->init = MK_VALUES;
  w->values = all;
  return true;
}
static double fan_in(const struct mk_weight *w)
{
  double p = 1;
  for (unsigned i = w->rank > 1; i < w->rank; i++) p *= (double)w->dim[i];
  return p > 1 ? p : 1;
}
static double as_float(const struct mk_val *v) { return v->kind == MK_INT ? (double)v->i : v->f; }
/* init: zeros | ones | he | lecun | {he: gain} | {lecun: gain} | {normal: [mean, deviation]} | {uniform: [from, to]} | {const: v} */
static bool weight_init(const struct frame *f, const struct ir_yaml *y, double fan, struct mk_weight *w)
{
  const char *kind = !y ? "zeros" : y->kind == IR_YAML_SCALAR ? y->s : y->kind == IR_YAML_MAP && y->n == 1 ? y->key[0] : "";
  struct mk_val v = { .kind = MK_INT, .i = 1 };
  if (y && y->kind == IR_YAML_MAP && y->n == 1) TRY(mk_eval(&f->scope, y->item[0], &v));
  bool two = v.kind == MK_LIST && v.n == 2 && v.v[0].kind <= MK_FLOAT && v.v[1].kind <= MK_FLOAT, one = v.kind <= MK_FLOAT;
  w->init = MK_UNIFORM;
  if (!strcmp(kind, "zeros")) return true;
  if (!strcmp(kind, "ones")) { w->a = w->b = 1; return true; }
  if (!strcmp(kind, "const") && one) { w->a = w->b = as_float(&v); return true; }
  if (!strcmp(kind, "uniform") && two) { w->a = as_float(&v.v[0]); w->b = as_float(&v.v[1]); return true; }
  w->init = MK_NORMAL;
  if (!strcmp(kind, "normal") && two) { w->a = as_float(&v.v[0]); w->b = as_float(&v.v[1]); return true; }
  if (!strcmp(kind, "he") && one) { w->b = as_float(&v) * __builtin_sqrt(2 / fan); return true; }
  if (!strcmp(kind, "lecun") && one) { w->b = as_float(&v) * __builtin_sqrt(1 / fan); return true; }
  return mk_fail(y, "init must be zeros, ones, he, lecun, {he: gain}, {lecun: gain}, {normal: [mean, deviation]}, {uniform: [from, to]} or {const: value}");
}
static bool add_weight(struct builder *b, struct frame *f, const char *path, const char *key, const struct ir_yaml *y, const char **out_name)
{
  static const char *const keys[] = { "dims", "type", "init", "value", "fan", NULL };
  struct mk_weight w = { 0 };
  const struct ir_yaml *fan = NULL, *value = NULL;
  TRY(mk_yaml_keys(y, "a weight", keys));
  TRY(elem_of(ir_yaml_get(y, "type"), &w.elem) && weight_shape(f, ir_yaml_get(y, "dims"), &w));
  w.name = *out_name = path_join(b, path, key);
  if (!use_name(b, w.name)) return mk_fail(y, "a second tensor is called %s", w.name);
  if ((value = ir_yaml_get(y, "value"))) TRY(weight_values(b, f, value, &w));
  else {
    struct mk_val v = { .kind = MK_FLOAT, .f = fan_in(&w) };
    if ((fan = ir_yaml_get(y, "fan"))) TRY(mk_eval(&f->scope, fan, &v));
    if (v.kind > MK_FLOAT || as_float(&v) <= 0) return mk_fail(fan, "fan must be a positive number");
    TRY(weight_init(f, ir_yaml_get(y, "init"), as_float(&v), &w));
  }
  if (b->m->weights.n == MAX_NODES) return mk_fail(y, "more than %d weights", MAX_NODES);
  ir_push(b->arena, &b->m->weights, w);
  return true;
}

/* ---- nodes ---- */
/* An attribute that is a tensor: {value, dims, type} */
static bool attr_tensor(struct builder *b, const struct frame *f, const struct ir_yaml *y, struct mk_attr *a)
{
  static const char *const keys[] = { "dims", "type", "value", NULL };
  const struct ir_yaml *value = ir_yaml_get(y, "value");
  struct mk_weight *w = IR_NEW(b->arena, struct mk_weight);
  TRY(mk_yaml_keys(y, "a tensor", keys));
  if (!value) return mk_fail(y, "a tensor in an attribute needs its value");
  TRY(elem_of(ir_yaml_get(y, "type"), &w->elem) && weight_shape(f, ir_yaml_get(y, "dims"), w) && weight_values(b, f, value, w));
  a->tensor = w;
  return true;
}
static bool node_attrs(struct builder *b, const struct frame *f, const struct ir_yaml *y, struct mk_node *n)
{
  if (!y) return true;
  if (y->kind != IR_YAML_MAP) return mk_fail(y, "attrs must be a map");
  n->n_attr = y->n;
  n->attr = IR_NEWN(b->arena, struct mk_attr, y->n);
  for (unsigned i = 0; i < y->n; i++) {
    struct mk_val *v = &n->attr[i].v;
    n->attr[i].key = y->key[i];
    if (y->item[i]->kind == IR_YAML_MAP) {
      TRY(attr_tensor(b, f, y->item[i], &n->attr[i]));
      continue;
    }
    TRY(mk_eval(&f->scope, y->item[i], v));
    for (unsigned j = 0; v->kind == MK_LIST && j < v->n; j++)
      if (v->v[j].kind == MK_LIST || (v->v[j].kind == MK_STR) != (v->v[0].kind == MK_STR)) return mk_fail(y->item[i], "a list of an attribute holds numbers or strings");
  }
  return true;
}
static bool node_operands(const struct frame *f, const struct ir_yaml *y, const struct names *in, struct mk_node *n)
{
  n->n_in = in->n;
  n->in = in->v;
  for (unsigned i = 0; i < in->n; i++) TRY((n->in[i] = lookup(f, y, in->v[i])));
  return true;
}
/* {op, name, in, out, attrs, weights, domain}: without `in`, x and then the weights */
static bool run_op(struct builder *b, struct frame *f, const struct ir_yaml *y)
{
  static const char *const keys[] = { "op", "name", "in", "out", "attrs", "weights", "domain", NULL };
  const struct ir_yaml *weights = ir_yaml_get(y, "weights"), *name = ir_yaml_get(y, "name"), *domain = ir_yaml_get(y, "domain");
  struct mk_node n = { .domain = "" };
  struct names in, out;
  TRY(mk_yaml_keys(y, "a node", keys));
  TRY((n.op = mk_name(&f->scope, ir_yaml_get(y, "op"))));
  if (domain) TRY((n.domain = mk_name(&f->scope, domain)));
  const char *own = "";
  if (name) TRY((own = mk_name(&f->scope, name)));
  const char *path = path_join(b, f->path, own);
  if (weights && weights->kind != IR_YAML_MAP) return mk_fail(weights, "weights must be a map");
  TRY(name_list(b, f, ir_yaml_get(y, "in"), "x", &in) && name_list(b, f, ir_yaml_get(y, "out"), "x", &out));
  for (unsigned i = 0; weights && i < weights->n; i++) {
    const char *value;
    TRY(add_weight(b, f, path, weights->key[i], weights->item[i], &value));
    bind(f, weights->key[i], value);
  }
  if (!ir_yaml_get(y, "in") && weights) {
    in = (struct names){ IR_NEWN(b->arena, const char *, weights->n + 1), weights->n + 1, 0 };
    in.v[0] = "x";
    for (unsigned i = 0; i < weights->n; i++) in.v[i + 1] = weights->key[i];
  }
  TRY(node_operands(f, y, &in, &n) && node_attrs(b, f, ir_yaml_get(y, "attrs"), &n));
  n.name = unique(b, *path ? ir_arena_printf(b->arena, "%s/%s", path, n.op) : n.op);
  n.n_out = out.n;
  n.out = IR_NEWN(b->arena, const char *, out.n);
  for (unsigned i = 0; i < out.n; i++) {
    n.out[i] = *out.v[i] ? unique(b, ir_arena_printf(b->arena, "%s_output_%u", n.name, i)) : "";
    if (*out.v[i]) bind(f, out.v[i], n.out[i]);
  }
  if (b->m->nodes.n == MAX_NODES) return mk_fail(y, "more than %d nodes", MAX_NODES);
  ir_push(b->arena, &b->m->nodes, n);
  return true;
}

/* ---- statements ---- */
static bool run_body(struct builder *b, struct frame *f, const struct ir_yaml *body, unsigned depth);
static bool bind_params(struct frame *inner, const struct frame *outer, const struct ir_yaml *use, const struct ir_yaml *params)
{
  const struct ir_yaml *with = ir_yaml_get(use, "with");
  if (with && with->kind != IR_YAML_MAP) return mk_fail(with, "with must be a map");
  for (unsigned i = 0; with && i < with->n; i++)
    if (!ir_yaml_get(params, with->key[i])) return mk_fail(with->item[i], "the block has no parameter %s", with->key[i]);
  for (unsigned i = 0; params && i < params->n; i++) {
    const struct ir_yaml *given = ir_yaml_get(with, params->key[i]), *dflt = params->item[i];
    struct mk_val v;
    if (given) TRY(mk_eval(&outer->scope, given, &v));
    else if (dflt->kind == IR_YAML_SCALAR && !*dflt->s && !dflt->quoted) return mk_fail(use, "the block needs its parameter %s", params->key[i]);
    else TRY(mk_eval(&inner->scope, dflt, &v));
    mk_scope_set(&inner->scope, params->key[i], v);
  }
  return true;
}
/* {use: BLOCK, name, in, out, with: {parameter: value}} */
static bool run_use(struct builder *b, struct frame *f, const struct ir_yaml *y, unsigned depth)
{
  static const char *const keys[] = { "use", "name", "in", "out", "with", NULL }, *const block_keys[] = { "params", "in", "out", "body", NULL };
  TRY(mk_yaml_keys(y, "a use", keys));
  const char *block = mk_name(&f->scope, ir_yaml_get(y, "use"));
  TRY(block);
  const struct ir_yaml *def = ir_yaml_get(b->blocks, block), *name = ir_yaml_get(y, "name"), *body, *params;
  if (!def) return mk_fail(y, "no block is called %s", block);
  TRY(mk_yaml_keys(def, "a block", block_keys));
  if (!(body = ir_yaml_get(def, "body"))) return mk_fail(def, "a block needs a body");
  if ((params = ir_yaml_get(def, "params")) && params->kind != IR_YAML_MAP) return mk_fail(params, "params must be a map");
  if (f->uses == MAX_USES) return mk_fail(y, "blocks use blocks more than %d deep", MAX_USES);
  const struct mk_scope *top = &f->scope;
  while (top->parent) top = top->parent;
  const char *own = "";
  if (name) TRY((own = mk_name(&f->scope, name)));
  struct frame inner = { { .arena = b->arena, .parent = top }, path_join(b, f->path, own), f->uses + 1 };
  struct names from, to;
  TRY(bind_params(&inner, f, y, params));
  TRY(name_list(b, f, ir_yaml_get(y, "in"), "x", &from) && name_list(b, &inner, ir_yaml_get(def, "in"), "x", &to));
  if (from.n != to.n) return mk_fail(y, "the block takes %u tensors, not %u", to.n, from.n);
  for (unsigned i = 0; i < to.n; i++) {
    const char *v = lookup(f, y, from.v[i]);
    TRY(v);
    bind(&inner, to.v[i], v);
  }
  TRY(run_body(b, &inner, body, depth + 1));
  TRY(name_list(b, &inner, ir_yaml_get(def, "out"), "x", &from) && name_list(b, f, ir_yaml_get(y, "out"), "x", &to));
  if (from.n != to.n) return mk_fail(y, "the block gives %u tensors, not %u", from.n, to.n);
  for (unsigned i = 0; i < to.n; i++) {
    const char *v = lookup(&inner, def, from.v[i]);
    TRY(v);
    bind(f, to.v[i], v);
  }
  return true;
}
/* {for: {i: 3 or a list}, body} */
static bool run_for(struct builder *b, struct frame *f, const struct ir_yaml *y, unsigned depth)
{
  static const char *const keys[] = { "for", "body", NULL };
  const struct ir_yaml *over = ir_yaml_get(y, "for"), *body = ir_yaml_get(y, "body");
  struct mk_val v;
  TRY(mk_yaml_keys(y, "a loop", keys));
  if (over->kind != IR_YAML_MAP || over->n != 1 || !body) return mk_fail(y, "a loop is {for: {name: count or list}, body: [..]}");
  TRY(mk_eval(&f->scope, over->item[0], &v));
  if (v.kind != MK_LIST && (v.kind != MK_INT || v.i < 0)) return mk_fail(over, "a loop needs a count or a list");
  int64_t n = v.kind == MK_LIST ? v.n : v.i;
  for (int64_t i = 0; i < n; i++) {
    if (++b->statements > MAX_STATEMENTS) return mk_fail(y, "more than %d statements run", MAX_STATEMENTS);
    mk_scope_set(&f->scope, over->key[0], v.kind == MK_LIST ? v.v[i] : (struct mk_val){ .kind = MK_INT, .i = i });
    TRY(run_body(b, f, body, depth + 1));
  }
  return true;
}
/* {if: condition, then, else} */
static bool run_if(struct builder *b, struct frame *f, const struct ir_yaml *y, unsigned depth)
{
  static const char *const keys[] = { "if", "then", "else", NULL };
  int64_t v;
  TRY(mk_yaml_keys(y, "a condition", keys) && mk_eval_int(&f->scope, ir_yaml_get(y, "if"), &v));
  const struct ir_yaml *body = ir_yaml_get(y, v ? "then" : "else");
  return !body || run_body(b, f, body, depth + 1);
}
static bool run_set(struct frame *f, const struct ir_yaml *y)
{
  static const char *const keys[] = { "set", NULL };
  const struct ir_yaml *set = ir_yaml_get(y, "set");
  TRY(mk_yaml_keys(y, "an assignment", keys));
  if (set->kind != IR_YAML_MAP) return mk_fail(set, "set must be a map");
  for (unsigned i = 0; i < set->n; i++) {
    struct mk_val v;
    TRY(mk_eval(&f->scope, set->item[i], &v));
    mk_scope_set(&f->scope, set->key[i], v);
  }
  return true;
}
/* {weights: {..}, name}: tensors that later statements share */
static bool run_weights(struct builder *b, struct frame *f, const struct ir_yaml *y)
{
  static const char *const keys[] = { "weights", "name", NULL };
  const struct ir_yaml *w = ir_yaml_get(y, "weights"), *name = ir_yaml_get(y, "name");
  const char *own = "", *value;
  TRY(mk_yaml_keys(y, "weights", keys));
  if (w->kind != IR_YAML_MAP) return mk_fail(w, "weights must be a map");
  if (name) TRY((own = mk_name(&f->scope, name)));
  for (unsigned i = 0; i < w->n; i++) {
    TRY(add_weight(b, f, path_join(b, f->path, own), w->key[i], w->item[i], &value));
    bind(f, w->key[i], value);
  }
  return true;
}
static bool run_body(struct builder *b, struct frame *f, const struct ir_yaml *body, unsigned depth)
{
  if (body->kind != IR_YAML_SEQ) return mk_fail(body, "a body is a list of statements");
  if (depth > MAX_BODIES) return mk_fail(body, "statements are nested more than %d deep", MAX_BODIES);
  for (unsigned i = 0; i < body->n; i++) {
    const struct ir_yaml *y = body->item[i];
    if (++b->statements > MAX_STATEMENTS) return mk_fail(y, "more than %d statements run", MAX_STATEMENTS);
    if (ir_yaml_get(y, "op")) TRY(run_op(b, f, y));
    else if (ir_yaml_get(y, "use")) TRY(run_use(b, f, y, depth));
    else if (ir_yaml_get(y, "for")) TRY(run_for(b, f, y, depth));
    else if (ir_yaml_get(y, "if")) TRY(run_if(b, f, y, depth));
    else if (ir_yaml_get(y, "set")) TRY(run_set(f, y));
    else if (ir_yaml_get(y, "weights")) TRY(run_weights(b, f, y));
    else return mk_fail(y, "a statement has one of the keys op, use, for, if, set, weights");
  }
  return true;
}

/* ---- the file ---- */
static struct ir_yaml *merge(struct ir_arena *a, struct ir_yaml *base, struct ir_yaml *over)   /* base's keys first, over's values */
{
  struct ir_yaml *m = IR_NEW(a, struct ir_yaml);
  if (!base || base->kind != IR_YAML_MAP || over->kind != IR_YAML_MAP) return over;
  *m = *over;
  m->n = 0;
  m->key = IR_NEWN(a, const char *, base->n + over->n);
  m->item = IR_NEWN(a, struct ir_yaml *, base->n + over->n);
  for (unsigned i = 0; i < base->n; i++) {
    struct ir_yaml *o = ir_yaml_get(over, base->key[i]);
    m->key[m->n] = base->key[i];
    m->item[m->n++] = o ? o : base->item[i];
  }
  for (unsigned i = 0; i < over->n; i++)
    if (!ir_yaml_get(base, over->key[i])) { m->key[m->n] = over->key[i]; m->item[m->n++] = over->item[i]; }
  return m;
}
/* The file on top of its base: params and blocks are merged, other keys replaced. */
static struct ir_yaml *load(struct ir_arena *a, const char *path, unsigned depth)
{
  struct ir_yaml *y = mk_yaml_read(a, path), *base;
  static const char *const keys[] = { "base", "opset", "params", "inputs", "outputs", "blocks", "body", NULL };
  if (!y || !mk_yaml_keys(y, "a model", keys)) return NULL;
  struct ir_yaml *name = ir_yaml_get(y, "base");
  if (!name) return y;
  if (name->kind != IR_YAML_SCALAR || depth == MAX_BASES) { mk_fail(name, "base must be a file, at most %d deep", MAX_BASES); return NULL; }
  const char *slash = strrchr(path, '/');
  base = load(a, slash ? ir_arena_printf(a, "%.*s/%s", (int)(slash - path), path, name->s) : name->s, depth + 1);
  if (!base) return NULL;
  struct ir_yaml *m = merge(a, base, y);
  for (unsigned i = 0; i < m->n; i++)
    if (!strcmp(m->key[i], "params") || !strcmp(m->key[i], "blocks")) m->item[i] = merge(a, ir_yaml_get(base, m->key[i]), m->item[i]);
  return m;
}
static bool set_params(struct frame *f, const struct ir_yaml *params, const struct ir_yaml *file, struct mk_override *o, unsigned n)
{
  if (params && params->kind != IR_YAML_MAP) return mk_fail(params, "params must be a map");
  for (unsigned i = 0; params && i < params->n; i++) {
    struct mk_val v;
    const struct ir_yaml *y = params->item[i];
    struct mk_override *given = NULL;
    for (unsigned j = 0; j < n; j++)
      if (!strcmp(o[j].key, params->key[i])) { given = &o[j]; given->used = true; }
    if (given && strspn(given->text, "-0123456789.[")) {
      struct ir_yaml at = { .file = given->key, .line = 1 };
      TRY(mk_eval_text(&f->scope, &at, given->text, &v));
    } else if (given) v = (struct mk_val){ .kind = MK_STR, .s = given->text };
    else TRY(mk_eval(&f->scope, y, &v));
    mk_scope_set(&f->scope, params->key[i], v);
  }
  for (unsigned j = 0; j < n; j++) {
    if (o[j].used) continue;
    struct ir_buf b = { 0 };
    ir_buf_add(&b, "", 0);
    for (unsigned i = 0; params && i < params->n; i++) ir_buf_printf(&b, "%s%s", i ? ", " : "", params->key[i]);
    mk_fail(params ? params : file, "the model has no parameter %s (it has %s)", o[j].key, b.s);
    ir_buf_deinit(&b);
    return false;
  }
  return true;
}
static bool set_opsets(struct builder *b, struct frame *f, const struct ir_yaml *file)
{
  const struct ir_yaml *y = ir_yaml_get(file, "opset");
  struct mk_opset o = { "", 17 };
  if (y && y->kind == IR_YAML_MAP) {
    for (unsigned i = 0; i < y->n; i++) {
      o.domain = y->key[i];
      TRY(mk_eval_int(&f->scope, y->item[i], &o.version));
      ir_push(b->arena, &b->m->opsets, o);
    }
    return true;
  }
  if (y) TRY(mk_eval_int(&f->scope, y, &o.version));
  ir_push(b->arena, &b->m->opsets, o);
  return true;
}
static bool read_io(const struct frame *f, const struct ir_yaml *y, struct mk_io *io)
{
  static const char *const keys[] = { "name", "type", "dims", "value", NULL };
  struct mk_val d;
  TRY(mk_yaml_keys(y, "an input or output", keys));
  if (!ir_yaml_get(y, "name") || !ir_yaml_get(y, "dims")) return mk_fail(y, "an input or output needs name and dims");
  TRY((io->name = mk_name(&f->scope, ir_yaml_get(y, "name"))) && elem_of(ir_yaml_get(y, "type"), &io->elem) && mk_eval(&f->scope, ir_yaml_get(y, "dims"), &d));
  if (d.kind != MK_LIST || d.n > MAX_RANK) return mk_fail(y, "dims must be a list of at most %d", MAX_RANK);
  for (unsigned i = 0; i < d.n; i++)
    if ((d.v[i].kind != MK_INT && d.v[i].kind != MK_STR) || (d.v[i].kind == MK_INT && d.v[i].i < 0)) return mk_fail(y, "dim %u must be a number or a name", i);
  io->rank = d.n;
  io->dim = d.v;
  return true;
}
static bool add_inputs(struct builder *b, struct frame *f, const struct ir_yaml *file)
{
  const struct ir_yaml *y = ir_yaml_get(file, "inputs");
  if (!y || y->kind != IR_YAML_SEQ) return mk_fail(y ? y : file, "a model needs a list of inputs");
  for (unsigned i = 0; i < y->n; i++) {
    struct mk_io io = { 0 };
    TRY(read_io(f, y->item[i], &io));
    if (!use_name(b, io.name)) return mk_fail(y->item[i], "a second tensor is called %s", io.name);
    ir_push(b->arena, &b->m->inputs, io);
    bind(f, io.name, io.name);
  }
  return true;
}
/* Outputs keep the names that the YAML gives them: the node that makes the value is told; what no node makes, or is an output already, is copied. */
static bool add_outputs(struct builder *b, struct frame *f, const struct ir_yaml *file)
{
  const struct ir_yaml *y = ir_yaml_get(file, "outputs");
  if (!y || y->kind != IR_YAML_SEQ) return mk_fail(y ? y : file, "a model needs a list of outputs");
  for (unsigned i = 0; i < y->n; i++) {
    struct mk_io io = { 0 };
    const struct ir_yaml *name = ir_yaml_get(y->item[i], "value");
    TRY(read_io(f, y->item[i], &io));
    const char *from = name ? mk_name(&f->scope, name) : "x", *value = from ? lookup(f, y->item[i], from) : NULL, **def = NULL;
    TRY(value);
    if (!use_name(b, io.name)) return mk_fail(y->item[i], "a second tensor is called %s", io.name);
    for (uint32_t j = 0; j < b->m->nodes.n; j++)
      for (unsigned k = 0; k < b->m->nodes.v[j].n_out; k++)
        if (!strcmp(b->m->nodes.v[j].out[k], value)) def = &b->m->nodes.v[j].out[k];
    for (uint32_t j = 0; j < b->m->outputs.n; j++)
      if (!strcmp(b->m->outputs.v[j].name, value)) def = NULL;
    if (!def) {
      struct mk_node n = { .name = unique(b, ir_arena_printf(b->arena, "%s/Identity", io.name)), .op = "Identity", .domain = "", .n_in = 1, .n_out = 1 };
      n.in = ir_arena_copy(b->arena, &value, sizeof value);
      n.out = ir_arena_copy(b->arena, &io.name, sizeof io.name);
      ir_push(b->arena, &b->m->nodes, n);
    } else {
      for (uint32_t j = 0; j < b->m->nodes.n; j++)
        for (unsigned k = 0; k < b->m->nodes.v[j].n_in; k++)
          if (!strcmp(b->m->nodes.v[j].in[k], value)) b->m->nodes.v[j].in[k] = io.name;
      for (uint32_t j = 0; j < f->scope.tensors.n; j++)
        if (!strcmp(f->scope.tensors.v[j].value, value)) f->scope.tensors.v[j].value = io.name;
      *def = io.name;
    }
    ir_push(b->arena, &b->m->outputs, io);
  }
  return true;
}
struct mk_model *mk_build(struct ir_arena *a, const char *path, const char *name, struct mk_override *o, unsigned n)
{
  struct builder b = { .arena = a, .m = IR_NEW(a, struct mk_model) };
  struct ir_yaml *file = load(a, path, 0);
  if (!file) return NULL;
  struct frame f = { { .arena = a }, "", 0 };
  const struct ir_yaml *body = ir_yaml_get(file, "body");
  b.blocks = ir_yaml_get(file, "blocks");
  b.m->arena = a;
  b.m->name = name;
  if (!body) { mk_fail(file, "a model needs a body"); return NULL; }
  bool ok = set_params(&f, ir_yaml_get(file, "params"), file, o, n) && set_opsets(&b, &f, file) && add_inputs(&b, &f, file) && run_body(&b, &f, body, 0) && add_outputs(&b, &f, file);
  return ok ? b.m : NULL;
}
