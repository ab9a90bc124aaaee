/* The importer's frame: inputs and their symbols, names and scopes, nodes one by one, functions and subgraphs in place, results.
 *
 * A name stands for a value, a tensor that becomes a constant when it is first read, nothing (an optional input that a caller left out), or a fault that was
 * reported already: nodes that read such a one are looked at only to see whether they are supported, so that one run names every unsupported node. */
#include "compiler/onnx/import.h"
#include <ctype.h>
#include <string.h>

enum { MAX_OPSETS = 1000, MAX_DIM_NAMES = 10000, MAX_ATTRIBUTES = 10000, MAX_SPENT = 1 << 30 };
struct entry {
  struct ir_value *v;
  const struct onnx_tensor *tensor;
  const char *why;                   /* cannot be read: why */
  bool absent, fault;
};
struct onnx_scope {
  struct onnx_importer *im;
  struct onnx_scope *parent;         /* of a subgraph, whose nodes see the names around it; NULL for the model and for functions */
  struct onnx_ctx *caller;           /* of a function's body */
  const Onnx__FunctionProto *fn;
  const char *prefix;                /* of node names, "" or "caller/" */
  Onnx__OperatorSetIdProto *const *opsets;
  size_t n_opsets;
  struct onnx_names names;
  IR_VEC(struct entry) entries;
  struct onnx_names declared;        /* value_info: number in `infos` */
  IR_VEC(const Onnx__ValueInfoProto *) infos;
};

static bool has(const char *s) { return s && *s; }
static const char *domain_of(const char *s) { return !s || !strcmp(s, "ai.onnx") ? "" : s; }
static bool same(const char *a, const char *b) { return !strcmp(a ? a : "", b ? b : ""); }

/* ---- names ---- */
static struct entry *find(struct onnx_scope *s, const char *name)
{
  uint32_t id;
  for (; s; s = s->parent)
    if (onnx_names_find(&s->names, name, &id)) return &s->entries.v[id];
  return NULL;
}
static bool bind(struct onnx_scope *s, const char *name, struct entry e)
{
  if (!onnx_names_add(s->im->arena, &s->names, name, s->entries.n)) return false;
  ir_push(s->im->arena, &s->entries, e);
  return true;
}
static struct onnx_scope *scope_new(struct onnx_importer *im, struct onnx_scope *parent)
{
  struct onnx_scope *s = IR_NEW(im->arena, struct onnx_scope);
  s->im = im;
  s->parent = parent;
  s->prefix = parent ? parent->prefix : "";
  if (parent) { s->opsets = parent->opsets; s->n_opsets = parent->n_opsets; }
  return s;
}
const Onnx__AttributeProto *onnx_scope_attr(const struct onnx_scope *s, const char *name)
{
  while (s && !s->fn) s = s->parent;
  if (!s) return NULL;
  const Onnx__NodeProto *n = s->caller->node;
  for (size_t i = 0; i < n->n_attribute; i++) {
    const Onnx__AttributeProto *a = n->attribute[i];
    if (!same(a->name, name)) continue;
    return has(a->ref_attr_name) ? onnx_scope_attr(s->caller->scope, a->ref_attr_name) : a;    /* calls are at most ONNX_MAX_CALLS deep */
  }
  for (size_t i = 0; i < s->fn->n_attribute_proto; i++)
    if (same(s->fn->attribute_proto[i]->name, name)) return s->fn->attribute_proto[i];
  return NULL;
}

/* ---- operator sets ---- */
static bool opset_of(struct onnx_scope *s, const char *domain, int64_t *out)
{
  for (; s; s = s->caller ? s->caller->scope : s->parent)   /* a function that does not import a domain uses its caller's */
    for (size_t i = 0; i < s->n_opsets; i++)
      if (same(domain_of(s->opsets[i]->domain), domain)) { *out = s->opsets[i]->version; return true; }
  return false;
}
static bool check_opsets(struct onnx_importer *im, Onnx__OperatorSetIdProto *const *o, size_t n, const char *where)
{
  bool ok = n <= MAX_OPSETS || ir_error(im->diags, IR_M0102, where, NULL, "imports %zu operator sets", n);
  for (size_t i = 0; ok && i < n; i++) {
    const char *d = domain_of(o[i]->domain);
    if (!*d && (o[i]->version < 1 || o[i]->version > ONNX_MAX_OPSET))
      ok = ir_error(im->diags, IR_M0104, where, NULL, "imports opset %lld of ai.onnx, 1 to %d are known", (long long)o[i]->version, ONNX_MAX_OPSET);
    for (size_t k = 0; k < i; k++)
      if (same(d, domain_of(o[k]->domain)) && o[i]->version != o[k]->version)
        ok = ir_error(im->diags, IR_M0104, where, NULL, "imports domain \"%s\" in versions %lld and %lld", d, (long long)o[k]->version, (long long)o[i]->version);
  }
  return ok;
}
/* Files of IR version 1 and 2 import nothing and mean opset 1. */
static bool model_opsets(struct onnx_importer *im, struct onnx_scope *s)
{
  static Onnx__OperatorSetIdProto one = ONNX__OPERATOR_SET_ID_PROTO__INIT;
  static Onnx__OperatorSetIdProto *const ones[] = { &one };
  one.version = 1;
  const Onnx__ModelProto *m = im->file->model;
  s->opsets = m->opset_import;
  s->n_opsets = m->n_opset_import;
  if (!s->n_opsets && m->ir_version < 3) { s->opsets = ones; s->n_opsets = 1; }
  if (!s->n_opsets) return ir_error(im->diags, IR_M0104, NULL, NULL, "the model imports no operator set");
  return check_opsets(im, s->opsets, s->n_opsets, NULL);
}

/* ---- dims of inputs ---- */
/* A name that the text form can hold: letters, digits, _ and . only; c0, c1 .. are coordinates there. */
static const char *symbol_name(struct onnx_importer *im, const char *name)
{
  static const char *const words[] = { "min", "max", "bcast", "floor", "load", "inf", "dims", "const", "graph" };
  char *s = ir_arena_printf(im->arena, "%s%.200s", isalpha((unsigned char)*name) || *name == '_' ? "" : "_", name);
  for (char *p = s; *p; p++)
    if (!isalnum((unsigned char)*p) && *p != '_' && *p != '.') *p = '_';
  bool taken = s[0] == 'c' && s[1] && !s[1 + strspn(s + 1, "0123456789")];
  for (unsigned i = 0; i < sizeof words / sizeof *words; i++) taken |= !strcmp(s, words[i]);
  return taken ? ir_arena_printf(im->arena, "%s_", s) : s;
}
static const struct ir_ix *make_dim(struct onnx_importer *im, const char *name)
{
  int64_t lo = 1, hi = INT32_MAX, by = 1;
  for (unsigned i = 0; im->opt && i < im->opt->n_dims; i++) {
    if (strcmp(im->opt->dims[i].name, name)) continue;
    im->dims_used |= (uint64_t)1 << i;
    lo = im->opt->dims[i].lo;
    hi = im->opt->dims[i].hi;
    by = im->opt->dims[i].by > 1 ? im->opt->dims[i].by : 1;
    if (lo < 0 || lo > hi || hi > INT32_MAX) {
      ir_error(im->diags, IR_M0003, NULL, NULL, "--dim %s=%lld..%lld: expected 0 <= LO <= HI <= %d", name, (long long)lo, (long long)hi, INT32_MAX);
      return NULL;
    }
    if ((lo + by - 1) / by * by > hi) {
      ir_error(im->diags, IR_M0003, NULL, NULL, "--dim %s=%lld..%lld%%%lld: there is no such number", name, (long long)lo, (long long)hi, (long long)by);
      return NULL;
    }
    if (lo == hi) return ir_ix_int(im->m->ixs, lo);
  }
  const char *s = symbol_name(im, name);
  return ir_ix_find(im->m->ixs, s) ? ir_ix_fresh(im->m->ixs, s, IR_SYM_DIM, lo, hi, by) : ir_ix_sym(im->m->ixs, s, IR_SYM_DIM, lo, hi, by);
}
static const struct ir_ix *named_dim(struct onnx_importer *im, const char *name)
{
  uint32_t i;
  if (onnx_names_find(&im->dim_names, name, &i)) return im->dims.v[i].e;
  if (im->dims.n == MAX_DIM_NAMES) { ir_error(im->diags, IR_M0102, NULL, NULL, "the inputs have more than %d dims without a size", MAX_DIM_NAMES); return NULL; }
  const struct ir_ix *e = make_dim(im, name);
  onnx_names_add(im->arena, &im->dim_names, name, im->dims.n);
  ir_push(im->arena, &im->dims, ((struct onnx_dim){ name, e }));
  return e;
}
/* Exporters' words for "unknown": they stand for several dims at once, which are not equal. */
static bool says_unknown(const char *name) { return !strcmp(name, "?") || !strcmp(name, "-1") || !strcmp(name, "None"); }
static const struct ir_ix *input_dim(struct onnx_importer *im, const char *input, unsigned axis, const Onnx__TensorShapeProto__Dimension *d, int64_t given)
{
  if (given >= 0) return ir_ix_int(im->m->ixs, given);
  if (d && d->has_dim_value && d->dim_value >= 0) return ir_ix_int(im->m->ixs, d->dim_value);
  if (d && has(d->dim_param) && !says_unknown(d->dim_param)) return named_dim(im, d->dim_param);
  return named_dim(im, ir_arena_printf(im->arena, "%s.%u", input, axis));   /* exporters also write -1 for "unknown" */
}
static bool check_given(struct onnx_importer *im, const char *input, const Onnx__TensorShapeProto *shape, const int64_t *given, unsigned rank)
{
  if (!shape) return true;
  if (shape->n_dim != rank) return ir_error(im->diags, IR_M0003, NULL, NULL, "--shape %s has rank %u, the model declares rank %zu", input, rank, shape->n_dim);
  for (unsigned i = 0; i < rank; i++)
    if (given[i] >= 0 && shape->dim[i]->has_dim_value && shape->dim[i]->dim_value > 0 && shape->dim[i]->dim_value != given[i])
      return ir_error(im->diags, IR_M0003, NULL, NULL, "--shape %s: axis %u is %lld, the model declares %lld", input, i, (long long)given[i], (long long)shape->dim[i]->dim_value);
  return true;
}
static const struct ir_type *input_type(struct onnx_importer *im, const Onnx__ValueInfoProto *in)
{
  const Onnx__TypeProto *t = in->type;
  const char *why = NULL;
  enum ir_elem e;
  if (!t || !t->tensor_type) {
    ir_error(im->diags, IR_M0301, NULL, NULL, "input \"%s\" is no tensor; sequences, maps, optionals and sparse tensors are not supported as inputs", in->name);
    return NULL;
  }
  if (!onnx_elem(t->tensor_type->elem_type, &e, &why)) {
    ir_error(im->diags, IR_M0301, NULL, NULL, "input \"%s\" has %s: not supported", in->name, why);
    return NULL;
  }
  const Onnx__TensorShapeProto *shape = t->tensor_type->shape;
  const int64_t *given = NULL;
  unsigned rank = shape ? (unsigned)shape->n_dim : 0;
  for (unsigned i = 0; im->opt && i < im->opt->n_shapes; i++)
    if (!strcmp(im->opt->shapes[i].input, in->name)) { given = im->opt->shapes[i].dim; rank = im->opt->shapes[i].rank; }
  if (!shape && !given) {
    ir_error(im->diags, IR_M0201, NULL, NULL, "input \"%s\" declares no shape; give one with --shape %s=1,3,?,?", in->name, in->name);
    return NULL;
  }
  if ((shape && shape->n_dim > IR_MAX_RANK) || rank > IR_MAX_RANK) { ir_error(im->diags, IR_M0201, NULL, NULL, "input \"%s\" has a rank over %d", in->name, IR_MAX_RANK); return NULL; }
  if (given && !check_given(im, in->name, shape, given, rank)) return NULL;
  const struct ir_ix *dim[IR_MAX_RANK];
  int64_t most = 1, k;
  for (unsigned i = 0; i < rank; i++) {
    dim[i] = input_dim(im, in->name, i, shape ? shape->dim[i] : NULL, given ? given[i] : -1);
    if (!dim[i]) return NULL;
    if (ir_ix_const(dim[i], &k) && k && (!ir_mul64(most, k, &most) || most > INT64_MAX / 64)) {
      ir_error(im->diags, IR_M0201, NULL, NULL, "input \"%s\": the product of its dimensions overflows", in->name);
      return NULL;
    }
  }
  return ir_type_get(im->m, e, rank, dim);
}

/* ---- tensors and inputs of the graph ---- */
bool onnx_spend(struct onnx_importer *im, uint64_t bytes)
{
  bool before = im->spent > MAX_SPENT;
  if (bytes > MAX_SPENT || (im->spent += bytes) > MAX_SPENT) im->spent = MAX_SPENT + 1;
  if (im->spent <= MAX_SPENT) return true;
  if (!before) ir_error(im->diags, IR_M0102, im->b.onnx_node, im->b.onnx_op, "the graph takes more than %d MiB to import", MAX_SPENT >> 20);
  return false;
}
struct ir_value *onnx_tensor_value(struct onnx_importer *im, const struct onnx_tensor *t, const char *name)
{
  if (t->why) {
    ir_error(im->diags, IR_M0301, im->b.onnx_node, im->b.onnx_op, "tensor \"%s\" has %s: not supported", name ? name : "", t->why);
    return NULL;
  }
  struct ir_data d = t->data;
  if (!d.file && !onnx_spend(im, d.bytes)) return NULL;    /* the builder copies literals */
  if (!t->elems) d.bytes = 0;
  return ir_const_bytes(&im->b, ir_type_ints(im->m, t->elem, t->rank, t->dim), &d, name);
}
static bool bind_tensors(struct onnx_scope *s, const Onnx__GraphProto *g)
{
  bool ok = true;
  for (size_t i = 0; i < g->n_initializer; i++) {
    const char *name = g->initializer[i]->name;
    if (!has(name)) ok = ir_error(s->im->diags, IR_M0105, NULL, NULL, "initialiser %zu has no name", i);
    else if (!bind(s, name, (struct entry){ .tensor = onnx_tensor_of(s->im->file, g->initializer[i]) }))
      ok = ir_error(s->im->diags, IR_M0105, NULL, NULL, "initialiser \"%s\" stands twice", name);
  }
  for (size_t i = 0; i < g->n_sparse_initializer; i++) {
    const Onnx__TensorProto *v = g->sparse_initializer[i]->values;
    if (!v || !has(v->name)) ok = ir_error(s->im->diags, IR_M0105, NULL, NULL, "sparse initialiser %zu has no name", i);
    else if (!bind(s, v->name, (struct entry){ .why = "is a sparse tensor" })) ok = ir_error(s->im->diags, IR_M0105, NULL, NULL, "initialiser \"%s\" stands twice", v->name);
  }
  return ok;
}
static bool bind_inputs(struct onnx_scope *s, const Onnx__GraphProto *g)
{
  bool ok = true;
  struct onnx_names seen = { 0 };
  for (size_t i = 0; i < g->n_input; i++) {
    const Onnx__ValueInfoProto *in = g->input[i];
    if (!has(in->name)) { ok = ir_error(s->im->diags, IR_M0105, NULL, NULL, "input %zu has no name", i); continue; }
    if (!onnx_names_add(s->im->arena, &seen, in->name, 0)) { ok = ir_error(s->im->diags, IR_M0105, NULL, NULL, "input \"%s\" stands twice", in->name); continue; }
    if (find(s, in->name)) continue;                 /* it has an initialiser: a constant */
    const struct ir_type *t = input_type(s->im, in);
    bind(s, in->name, t ? (struct entry){ .v = ir_graph_param(s->im->m->main, t, in->name) } : (struct entry){ .fault = true });
    ok &= t != NULL;
  }
  return ok;
}
static void declare(struct onnx_scope *s, Onnx__ValueInfoProto *const *v, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (has(v[i]->name) && v[i]->type && v[i]->type->tensor_type && onnx_names_add(s->im->arena, &s->declared, v[i]->name, s->infos.n))
      ir_push(s->im->arena, &s->infos, v[i]);
}
/* The declared shape of an inner value is a hint; where it contradicts, ours stands and a warning says so. */
static void check_declared(struct onnx_scope *s, const struct onnx_ctx *c, const char *name, const struct ir_value *v)
{
  uint32_t id;
  if (!onnx_names_find(&s->declared, name, &id)) return;
  const Onnx__TypeProto__Tensor *t = s->infos.v[id]->type->tensor_type;
  const char *why, *what = NULL;
  enum ir_elem e;
  if (t->has_elem_type && t->elem_type && onnx_elem(t->elem_type, &e, &why) && e != v->type->elem) what = "another element type";
  else if (t->shape && t->shape->n_dim != v->type->rank) what = "another rank";
  for (unsigned d = 0; !what && t->shape && d < v->type->rank; d++) {
    int64_t k;
    const Onnx__TensorShapeProto__Dimension *x = t->shape->dim[d];
    if (x->has_dim_value && x->dim_value > 0 && ir_ix_const(v->type->dim[d], &k) && k != x->dim_value) what = "another shape";
  }
  if (what) ir_warn(s->im->diags, IR_M0204, c->name, c->op, "\"%s\" is %s; the model declares %s", name, ir_type_str(s->im->arena, v->type), what);
}

/* ---- one node ---- */
static bool call_function(struct onnx_ctx *c, const Onnx__FunctionProto *fn);

static const char *function_key(struct onnx_importer *im, const char *domain, const char *name, const char *overload)
{
  return ir_arena_printf(im->arena, "%s\1%s\1%s", domain_of(domain), name ? name : "", overload ? overload : "");
}
static bool collect_functions(struct onnx_importer *im)
{
  const Onnx__ModelProto *m = im->file->model;
  bool ok = true;
  for (size_t i = 0; i < m->n_functions; i++) {
    const Onnx__FunctionProto *f = m->functions[i];
    if (!has(f->name)) ok = ir_error(im->diags, IR_M0105, NULL, NULL, "function %zu has no name", i);
    else if (!onnx_names_add(im->arena, &im->functions, function_key(im, f->domain, f->name, f->overload), (uint32_t)i))
      ok = ir_error(im->diags, IR_M0105, NULL, NULL, "function \"%s\" of domain \"%s\" stands twice", f->name, domain_of(f->domain));
  }
  return ok;
}
static const Onnx__FunctionProto *find_function(struct onnx_importer *im, const Onnx__NodeProto *n)
{
  uint32_t i;
  if (!im->functions.n || !onnx_names_find(&im->functions, function_key(im, n->domain, n->op_type, n->overload), &i)) return NULL;
  return im->file->model->functions[i];
}
/* ---- bodies ---- */
enum { COPY_DEPTH = 8 };
/* Known when massc compiles, whatever comes in: constants, dims, and what is made of them in a few steps. */
static bool is_constant(const struct ir_value *v, unsigned depth)
{
  if (!v->def || depth > COPY_DEPTH || v->def->n_body) return false;
  for (unsigned i = 0; i < v->def->n_in; i++)
    if (!is_constant(v->def->in[i], depth + 1)) return false;
  return true;
}
static struct ir_value *make_again(struct onnx_importer *im, const struct ir_value *v)
{
  const struct ir_node *n = v->def;
  struct ir_value **in = IR_NEWN(im->arena, struct ir_value *, n->n_in + 1);
  if (n->op == IR_OP_const) return ir_const_bytes(&im->b, v->type, n->data, n->name);
  for (unsigned i = 0; i < n->n_in; i++) in[i] = make_again(im, n->in[i]);       /* is_constant has bounded the depth */
  struct ir_node *copy = ir_build(&im->b, n->op, in, n->n_in, n->attr, n->n_attr);
  return copy ? copy->out[v->index] : NULL;
}
static struct ir_value *captured(struct onnx_importer *im, struct onnx_frame *f, struct ir_value *v)
{
  if (!f || v->graph == f->g) return v;
  v = captured(im, f->up, v);                                                    /* depth: subgraphs in subgraphs, at most ONNX_MAX_CALLS */
  for (uint32_t i = 0; i < f->outer.n; i++)
    if (f->outer.v[i] == v) return f->inner.v[i];
  struct ir_value *p = ir_graph_param(f->g, v->type, NULL);
  p->form = v->form;
  p->form_n = v->form_n;
  ir_push(im->arena, &f->outer, v);
  ir_push(im->arena, &f->inner, p);
  return p;
}
struct ir_value *onnx_capture(struct onnx_importer *im, struct ir_value *v)
{
  if (!v || v->graph == im->b.g) return v;
  return is_constant(v, 0) ? make_again(im, v) : captured(im, im->frame, v);
}
void onnx_frame_enter(struct onnx_ctx *c, struct onnx_frame *f)
{
  struct onnx_importer *im = c->im;
  *f = (struct onnx_frame){ .up = im->frame, .g = ir_graph_create(im->m, NULL), .saved = im->b };
  im->frame = f;
  im->b.g = f->g;
  im->b.at = NULL;
}
void onnx_frame_leave(struct onnx_ctx *c)
{
  c->im->b = c->im->frame->saved;
  c->im->frame = c->im->frame->up;
}
/* The value of a name where nodes are being made. */
static struct ir_value *value_of(struct onnx_importer *im, struct entry *e, const char *name)
{
  if (e->tensor && (!e->v || e->v->graph != im->b.g)) {
    e->v = onnx_tensor_value(im, e->tensor, name);
    e->fault |= !e->v;
  }
  return onnx_capture(im, e->v);
}
/* Sets c->in[i]; false: the name is unknown or faulty (reported now or before). */
static bool take_input(struct onnx_ctx *c, unsigned i)
{
  const char *name = c->node->input[i];
  if (!has(name)) return true;
  struct entry *e = find(c->scope, name);
  if (!e) return onnx_bad(c, IR_M0105, "reads \"%s\", which nothing makes", name);
  if (e->fault) return false;
  if (e->why) return onnx_bad(c, IR_M0301, "reads \"%s\", which %s: not supported", name, e->why);
  c->in[i] = value_of(c->im, e, name);
  return !e->fault;
}
static bool take_inputs(struct onnx_ctx *c)
{
  bool ok = true;
  for (unsigned i = 0; i < c->n_in; i++) ok &= take_input(c, i);
  while (c->n_in && !has(c->node->input[c->n_in - 1])) c->n_in--;
  return ok;
}
static bool set_outputs(struct onnx_ctx *c, bool ok)
{
  for (unsigned i = 0; i < c->node->n_output; i++) {
    const char *name = c->node->output[i];
    if (!has(name)) continue;
    struct ir_value *v = ok ? c->out[i] : NULL;
    struct entry e = { .v = v, .fault = !ok };
    if (ok && !v) e.why = ir_arena_printf(c->arena, "is output %u of %s", i, c->op ? c->op : "?");
    if (v && !v->name) v->name = ir_arena_strdup(c->m->arena, name);
    if (!bind(c->scope, name, e)) return onnx_bad(c, IR_M0105, "makes \"%s\", which is an input or initialiser already", name);
    if (v) check_declared(c->scope, c, name, v);
  }
  return ok;
}
static bool find_row(struct onnx_ctx *c)
{
  const char *domain = domain_of(c->node->domain), *why;
  if (!opset_of(c->scope, domain, &c->opset)) return onnx_bad(c, IR_M0104, "is of domain \"%s\", which the model does not import", domain);
  c->row = onnx_row_find(domain, c->op, c->opset, c->arena, &why);
  return c->row || onnx_bad(c, IR_M0301, "%s", why);
}
static bool do_node(struct onnx_ctx *c)
{
  const Onnx__FunctionProto *fn = find_function(c->im, c->node);
  bool known = fn || find_row(c), ready = take_inputs(c);
  if (!known || !ready) return false;
  unsigned errors = c->im->diags->errors;
  bool ok = fn ? call_function(c, fn) : c->row->fn(c) && onnx_all_read(c);
  ok &= c->im->diags->errors == errors;                                       /* an output that nobody asked for may be refused too */
  if (!ok && c->im->diags->errors == errors) onnx_bad(c, IR_M0302, "cannot be imported");   /* a builder's refusal without words */
  return ok;
}
static bool import_node(struct onnx_scope *s, const Onnx__NodeProto *n, uint32_t index)
{
  struct onnx_importer *im = s->im;
  struct ir_builder saved = im->b;
  if (++im->nodes > ONNX_MAX_NODES) return ir_error(im->diags, IR_M0102, n->name, n->op_type, "more than %d nodes after inlining", ONNX_MAX_NODES);
  if (!onnx_spend(im, 512 * (1 + (uint64_t)n->n_input + n->n_output) + strlen(s->prefix) + (n->name ? strlen(n->name) : 0))) return false;
  struct onnx_ctx c = { .im = im, .scope = s, .node = n, .op = has(n->op_type) ? n->op_type : NULL, .n_in = (unsigned)n->n_input, .n_out = (unsigned)n->n_output,
                        .arena = im->arena, .m = im->m, .b = &im->b };
  c.name = has(n->name) ? ir_arena_printf(im->arena, "%s%s", s->prefix, n->name) : ir_arena_printf(im->arena, "%sOp_%u", s->prefix, index);
  c.in = IR_NEWN(im->arena, struct ir_value *, n->n_input + 1);
  c.out = IR_NEWN(im->arena, struct ir_value *, n->n_output + 1);
  im->b.prov = ir_prov_get(im->m, 1, &c.name);
  im->b.onnx_node = c.name;
  im->b.onnx_op = c.op;
  bool ok = !c.op ? onnx_bad(&c, IR_M0105, "has no operator") : n->n_attribute > MAX_ATTRIBUTES ? onnx_bad(&c, IR_M0102, "%zu attributes", n->n_attribute) : do_node(&c);
  ok = set_outputs(&c, ok);
  im->b = saved;
  return ok;
}
static bool import_nodes(struct onnx_scope *s, Onnx__NodeProto *const *nodes, size_t n)
{
  struct onnx_importer *im = s->im;
  if (n > ONNX_MAX_NODES) return ir_error(im->diags, IR_M0102, NULL, NULL, "more than %d nodes", ONNX_MAX_NODES);
  uint32_t *order = IR_NEWN(im->arena, uint32_t, n);
  TRY(onnx_order(im->arena, im->diags, nodes, (uint32_t)n, order));
  bool ok = true;
  for (size_t i = 0; i < n && im->nodes <= ONNX_MAX_NODES && im->spent <= MAX_SPENT; i++) ok &= import_node(s, nodes[order[i]], order[i]);
  return ok;
}

/* ---- functions and subgraphs, in place ---- */
static bool take_result(struct onnx_scope *s, struct onnx_ctx *c, const char *name, unsigned i, struct ir_value **out)
{
  struct entry *e = has(name) ? find(s, name) : NULL;
  if (!e) return onnx_bad(c, IR_M0105, "output %u of its body (\"%s\") is made by nothing", i, name ? name : "");
  *out = value_of(c->im, e, name);
  return !e->fault && (*out || !e->tensor);
}
static bool call_function(struct onnx_ctx *c, const Onnx__FunctionProto *fn)
{
  struct onnx_importer *im = c->im;
  if (im->calls == ONNX_MAX_CALLS) return onnx_bad(c, IR_M0102, "functions call each other more than %d deep", ONNX_MAX_CALLS);
  if (c->n_in > fn->n_input || c->n_out > fn->n_output)
    return onnx_bad(c, IR_M0203, "%u operands and %u results, the function has %zu and %zu", c->n_in, c->n_out, fn->n_input, fn->n_output);
  TRY(check_opsets(im, fn->opset_import, fn->n_opset_import, fn->name));
  struct onnx_scope *s = scope_new(im, NULL);
  s->caller = c;
  s->fn = fn;
  s->opsets = fn->opset_import;
  s->n_opsets = fn->n_opset_import;
  s->prefix = ir_arena_printf(im->arena, "%s/", c->name);
  for (size_t i = 0; i < fn->n_input; i++) {
    struct ir_value *v = onnx_in(c, (unsigned)i);
    if (!has(fn->input[i]) || !bind(s, fn->input[i], (struct entry){ .v = v, .absent = !v })) return onnx_bad(c, IR_M0105, "input %zu of the function has no name, or one that stands twice", i);
  }
  im->calls++;
  bool ok = import_nodes(s, fn->node, fn->n_node);
  im->calls--;
  for (unsigned i = 0; ok && i < c->n_out; i++)
    if (has(c->node->output[i])) ok &= take_result(s, c, fn->output[i], i, &c->out[i]);
  return ok;
}
bool onnx_run_graph(struct onnx_ctx *c, const Onnx__GraphProto *g, struct ir_value *const *in, unsigned n_in, struct ir_value **out, unsigned n_out)
{
  if (g->n_input != n_in) return onnx_bad(c, IR_M0203, "its subgraph has %zu inputs, expected %u", g->n_input, n_in);
  if (g->n_output < n_out) return onnx_bad(c, IR_M0203, "its subgraph has %zu outputs, expected %u", g->n_output, n_out);
  if (c->im->calls == ONNX_MAX_CALLS) return onnx_bad(c, IR_M0102, "subgraphs are more than %d deep", ONNX_MAX_CALLS);
  struct onnx_scope *s = scope_new(c->im, c->scope);
  for (unsigned i = 0; i < n_in; i++)
    if (!has(g->input[i]->name) || !bind(s, g->input[i]->name, (struct entry){ .v = in[i] })) return onnx_bad(c, IR_M0105, "input %u of its subgraph has no name, or one that stands twice", i);
  TRY(bind_tensors(s, g));
  c->im->calls++;
  bool ok = import_nodes(s, g->node, g->n_node);
  c->im->calls--;
  for (unsigned i = 0; ok && i < n_out; i++) ok &= take_result(s, c, g->output[i]->name, i, &out[i]);
  return ok;
}
bool onnx_inline_graph(struct onnx_ctx *c, const Onnx__GraphProto *g) { return onnx_run_graph(c, g, NULL, 0, c->out, c->n_out); }

/* ---- the model ---- */
static bool take_outputs(struct onnx_scope *s, const Onnx__GraphProto *g)
{
  struct onnx_importer *im = s->im;
  struct ir_graph *main = im->m->main;
  bool ok = true;
  if (!g->n_output) return ir_error(im->diags, IR_M0105, NULL, NULL, "the graph has no outputs");
  for (size_t i = 0; i < g->n_output; i++) {
    const char *name = g->output[i]->name;
    struct entry *e = has(name) ? find(s, name) : NULL;
    if (!e) { ok = ir_error(im->diags, IR_M0105, NULL, NULL, "output %zu (\"%s\") is made by nothing", i, name ? name : ""); continue; }
    if (e->why) { ok = ir_error(im->diags, IR_M0301, NULL, NULL, "output \"%s\" %s: not supported", name, e->why); continue; }
    struct ir_value *v = e->fault ? NULL : value_of(im, e, name);
    if (!v) { ok = false; continue; }
    ir_push(im->m->arena, &main->results, v);
    ir_push(im->m->arena, &main->result_names, ir_arena_strdup(im->m->arena, name));
  }
  return ok;
}
static bool check_options(struct onnx_importer *im)
{
  bool ok = true;
  for (unsigned i = 0; im->opt && i < im->opt->n_dims; i++) {
    if (im->dims_used & (uint64_t)1 << i) continue;
    struct ir_buf b = { 0 };
    for (uint32_t k = 0; k < im->dims.n && k < 16; k++) ir_buf_printf(&b, "%s%s", k ? ", " : "", im->dims.v[k].name);
    ok = ir_error(im->diags, IR_M0003, NULL, NULL, "--dim %s: the model's inputs have no such dim; they have: %s", im->opt->dims[i].name, b.n ? b.s : "none");
    ir_buf_deinit(&b);
  }
  for (unsigned i = 0; im->opt && i < im->opt->n_shapes; i++) {
    bool found = false;
    for (uint32_t k = 0; k < im->m->main->params.n; k++) found |= same(im->m->main->params.v[k]->name, im->opt->shapes[i].input);
    if (!found && !im->diags->errors) ok = ir_error(im->diags, IR_M0003, NULL, NULL, "--shape %s: the model has no such input", im->opt->shapes[i].input);
  }
  return ok;
}
struct ir_module *onnx_import(struct ir_arena *a, struct ir_diags *d, struct onnx_file *f, const struct onnx_options *o)
{
  struct onnx_importer im = { .arena = a, .diags = d, .file = f, .opt = o, .m = ir_module_create(a, d) };
  const Onnx__GraphProto *g = f->model->graph;
  if (!im.m->main) im.m->main = ir_graph_create(im.m, "main");
  im.b.g = im.m->main;
  struct onnx_scope *s = scope_new(&im, NULL);
  bool ok = model_opsets(&im, s);
  if (!ok) return NULL;
  ok &= collect_functions(&im);
  ok &= bind_tensors(s, g);
  ok &= bind_inputs(s, g);
  declare(s, g->value_info, g->n_value_info);
  declare(s, g->output, g->n_output);
  ok &= check_options(&im);
  ok &= import_nodes(s, g->node, g->n_node);
  ok = ok && take_outputs(s, g);
  if (!ok) return NULL;
  ir_graph_sweep(im.m->main);
  ir_graph_order(im.m->main);
  return im.m;
}
