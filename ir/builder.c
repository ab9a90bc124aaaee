/* Building nodes: attributes in declared order without defaults, types inferred, identical pure nodes found again; and the small helpers that compose. */
#include "ir/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- attributes ---- */
struct ir_attr ir_attr_int(const char *key, int64_t v) { return (struct ir_attr){ .key = key, .kind = IR_A_INT, .i = v }; }
struct ir_attr ir_attr_float(const char *key, double v) { return (struct ir_attr){ .key = key, .kind = IR_A_FLOAT, .f = v }; }
struct ir_attr ir_attr_str(const char *key, const char *v) { return (struct ir_attr){ .key = key, .kind = IR_A_STR, .s = v }; }
struct ir_attr ir_attr_elem(const char *key, enum ir_elem v) { return (struct ir_attr){ .key = key, .kind = IR_A_ELEM, .elem = v }; }
struct ir_attr ir_attr_ints(struct ir_module *m, const char *key, const int64_t *v, unsigned n)
{
  return (struct ir_attr){ .key = key, .kind = IR_A_INTS, .n = n, .is = ir_arena_copy(m->arena, v, n * sizeof *v) };
}
struct ir_attr ir_attr_ixs(struct ir_module *m, const char *key, const struct ir_ix *const *v, unsigned n)
{
  return (struct ir_attr){ .key = key, .kind = IR_A_IXS, .n = n, .ix = ir_arena_copy(m->arena, v, n * sizeof *v) };
}
const struct ir_attr *ir_attr_find(const struct ir_node *n, const char *key)
{
  for (unsigned i = 0; i < n->n_attr; i++)
    if (n->attr[i].key == key || !strcmp(n->attr[i].key, key)) return &n->attr[i];
  return NULL;
}
static const struct ir_attr_decl *decl_of(enum ir_op op, const char *key)
{
  const struct ir_attr_decl *d = ir_op_def(op)->attrs;
  for (unsigned i = 0; i < 12 && d[i].key; i++)
    if (!strcmp(d[i].key, key)) return &d[i];
  return NULL;
}
/* The value when absent; asking for a key that the op does not have, as another kind, or without default is a bug of the caller. */
static const char *dflt_of(const struct ir_node *n, const char *key, enum ir_attr_kind kind)
{
  const struct ir_attr_decl *d = decl_of(n->op, key);
  if (!d || d->kind != kind) ir_bug("ir_attr_get", "%s has no such attribute \"%s\"", ir_op_def(n->op)->name, key);
  return d->dflt;
}
int64_t ir_attr_get_int(const struct ir_node *n, const char *key)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  const char *d = a ? NULL : dflt_of(n, key, IR_A_INT);
  return a ? a->i : d ? strtoll(d, NULL, 10) : 0;
}
double ir_attr_get_float(const struct ir_node *n, const char *key)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  const char *d = a ? NULL : dflt_of(n, key, IR_A_FLOAT);
  return a ? a->f : d ? strtod(d, NULL) : 0;
}
const char *ir_attr_get_str(const struct ir_node *n, const char *key)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  return a ? a->s : dflt_of(n, key, IR_A_STR);
}
unsigned ir_attr_get_ints(const struct ir_node *n, const char *key, const int64_t **out)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  if (!a) dflt_of(n, key, IR_A_INTS);
  *out = a ? a->is : NULL;
  return a ? a->n : 0;
}
enum ir_elem ir_attr_get_elem(const struct ir_node *n, const char *key)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  if (!a) ir_bug("ir_attr_get_elem", "%s without \"%s\"", ir_op_def(n->op)->name, key);
  return a->elem;
}
/* A list's default is one number, meaning all of them: strides "1", pads "0". */
static bool is_default(const struct ir_attr_decl *d, const struct ir_attr *a)
{
  if (!d->dflt || d->required) return false;
  enum ir_elem e;
  switch (a->kind) {
  case IR_A_INT: return a->i == strtoll(d->dflt, NULL, 10);
  case IR_A_FLOAT: return a->f == strtod(d->dflt, NULL);
  case IR_A_STR: return !strcmp(a->s, d->dflt);
  case IR_A_ELEM: return ir_elem_parse(d->dflt, strlen(d->dflt), &e) && e == a->elem;
  case IR_A_INTS:
    for (unsigned i = 0; i < a->n; i++)
      if (a->is[i] != strtoll(d->dflt, NULL, 10)) return false;
    return true;
  case IR_A_IXS: return false;
  }
  return false;
}
static bool check_keys(struct ir_module *m, const struct ir_node *n, const struct ir_attr *attrs, unsigned n_attr)
{
  for (unsigned i = 0; i < n_attr; i++) {
    if (!decl_of(n->op, attrs[i].key)) return ir_op_error(m, n, IR_M0302, "%s has no attribute \"%s\"", ir_op_def(n->op)->name, attrs[i].key);
    for (unsigned j = 0; j < i; j++)
      if (!strcmp(attrs[i].key, attrs[j].key)) return ir_op_error(m, n, IR_M0302, "attribute \"%s\" stands twice", attrs[i].key);
  }
  return true;
}
/* The form that a node keeps: declared order, defaults left out, payload in the module's arena. */
bool ir_attrs_normalise(struct ir_module *m, struct ir_node *n, const struct ir_attr *attrs, unsigned n_attr)
{
  TRY(check_keys(m, n, attrs, n_attr));
  const struct ir_attr_decl *decl = ir_op_def(n->op)->attrs;
  struct ir_attr kept[12];
  unsigned k = 0;
  for (unsigned i = 0; i < 12 && decl[i].key; i++) {
    const struct ir_attr *a = NULL;
    for (unsigned j = 0; j < n_attr && !a; j++)
      if (!strcmp(attrs[j].key, decl[i].key)) a = &attrs[j];
    if (!a && decl[i].required) return ir_op_error(m, n, IR_M0302, "%s needs attribute \"%s\"", ir_op_def(n->op)->name, decl[i].key);
    if (!a) continue;
    struct ir_attr v = *a;
    v.key = decl[i].key;
    if (v.kind == IR_A_INT && decl[i].kind == IR_A_FLOAT) { v.kind = IR_A_FLOAT; v.f = (double)a->i; }
    if (v.kind == IR_A_INTS && decl[i].kind == IR_A_IXS) {
      const struct ir_ix **x = IR_NEWN(m->arena, const struct ir_ix *, v.n);
      for (unsigned j = 0; j < v.n; j++) x[j] = ir_ix_int(m->ixs, a->is[j]);
      v.kind = IR_A_IXS;
      v.ix = x;
    }
    if (v.kind != decl[i].kind) return ir_op_error(m, n, IR_M0302, "attribute \"%s\" of %s is of another kind", v.key, ir_op_def(n->op)->name);
    if (is_default(&decl[i], &v)) continue;
    if (v.kind == IR_A_INTS) v.is = ir_arena_copy(m->arena, v.is, v.n * sizeof *v.is);
    if (v.kind == IR_A_IXS) v.ix = ir_arena_copy(m->arena, v.ix, v.n * sizeof *v.ix);
    if (v.kind == IR_A_STR) v.s = ir_intern(m->strs, v.s, strlen(v.s));
    kept[k++] = v;
  }
  n->n_attr = k;
  n->attr = ir_arena_copy(m->arena, kept, k * sizeof *kept);
  return true;
}

/* ---- diagnostics ---- */
bool ir_op_error(struct ir_module *m, const struct ir_node *n, enum ir_msg msg, const char *fmt, ...)
{
  va_list ap, aq;
  va_start(ap, fmt);
  va_copy(aq, ap);
  int len = vsnprintf(NULL, 0, fmt, ap);
  char *s = ir_arena_alloc(m->arena, (size_t)len + 1);
  vsnprintf(s, (size_t)len + 1, fmt, aq);
  va_end(aq);
  va_end(ap);
  const struct ir_tables *t = m->tables;
  const char *node = t->onnx_node ? t->onnx_node : n && n->prov ? n->prov->name[0] : NULL;
  return ir_error(m->diags, msg, node, t->onnx_op ? t->onnx_op : n ? ir_op_def(n->op)->name : NULL, "%s", s);
}

/* ---- nodes ---- */
/* A sum of numbers alone that did not fit. */
static bool overflowed(const struct ir_ix *e)
{
  const struct ir_atom *const *f;
  unsigned k;
  if (!ir_ix_overflowed(e)) return false;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    ir_ix_term(e, i, &k, &f);
    for (unsigned j = 0; j < k; j++)
      if (f[j]->kind == IR_ATOM_SYM && f[j]->sym->def && ir_ix_const(f[j]->sym->def, &(int64_t){ 0 })) return true;
  }
  return false;
}
/* The dims that are known multiply to at most 2^57: sizes in bytes, with halos and paddings, then fit 64 bits. */
static bool countable(struct ir_module *m, const struct ir_node *n, const struct ir_type *t)
{
  int64_t p = 1, k;
  for (unsigned d = 0; d < t->rank; d++)
    if (overflowed(t->dim[d])) return ir_op_error(m, n, IR_M0201, "dimension %u of the result overflows 64 bits", d);
    else if (ir_ix_const(t->dim[d], &k) && k && (!ir_mul64(p, k, &p) || p > INT64_MAX / 64)) return ir_op_error(m, n, IR_M0201, "the result is %s: the product of its dimensions overflows", ir_type_str(m->arena, t));
  return true;
}
static bool infer(struct ir_module *m, struct ir_node *n)
{
  const struct ir_op_def *def = ir_op_def(n->op);
  if ((int)n->n_in < def->min_in || (def->max_in >= 0 && (int)n->n_in > def->max_in)) return ir_op_error(m, n, IR_M0203, "%s has %u operands", def->name, n->n_in);
  unsigned n_out = def->n_out >= 0 ? (unsigned)def->n_out : n->n_body ? n->body[0]->results.n : 1;
  const struct ir_type **t = IR_NEWN(m->arena, const struct ir_type *, n_out);
  n->n_out = n_out;
  TRY(def->infer(m, n, t));
  for (unsigned i = 0; i < n_out; i++) TRY(countable(m, n, t[i]));
  n->out = IR_NEWN(m->arena, struct ir_value *, n_out);
  for (unsigned i = 0; i < n_out; i++) {
    n->out[i] = ir_value_new(n->graph, t[i]);
    n->out[i]->def = n;
    n->out[i]->index = i;
  }
  return true;
}
static struct ir_node *insert(struct ir_node *n, struct ir_node *at)
{
  struct ir_graph *g = n->graph;
  n->in = ir_arena_copy(g->module->arena, n->in, n->n_in * sizeof *n->in);
  ir_node_link(g, n, at);
  ir_node_add_uses(n);
  ir_node_intern(n);
  ir_node_refresh_form(n);
  return n;
}
struct ir_node *ir_node_make(struct ir_graph *g, struct ir_node *at, const struct ir_node *proto)
{
  struct ir_node *n = ir_arena_copy(g->module->arena, proto, sizeof *proto);
  n->graph = g;
  for (unsigned i = 0; i < n->n_body; i++) n->body[i]->owner = n;
  return infer(g->module, n) ? insert(n, at) : NULL;
}
/* The node that is there already, at or before the place where a new one would go. */
static struct ir_node *reuse(struct ir_builder *b, struct ir_node *n)
{
  if (n->op != IR_OP_const) n->prov = ir_prov_union(n->graph->module, n->prov, b->prov);   /* half the model would own the constant 0 */
  if (b->at == n) b->at = n->next;                   /* its readers come behind it */
  else if (b->at && n->order > b->at->order) ir_node_move_before(n, b->at);
  return n;
}
static struct ir_node *build(struct ir_builder *b, enum ir_op op, struct ir_value *const *in, unsigned n_in, const struct ir_attr *attrs, unsigned n_attr, struct ir_graph *body)
{
  struct ir_module *m = b->g->module;
  IR_ASSERT(op != IR_OP_const && op < IR_OP_COUNT);
  for (unsigned i = 0; i < n_in; i++) {
    if (!in[i]) return NULL;                         /* an earlier diagnostic */
    IR_ASSERT(in[i]->graph == b->g);
  }
  struct ir_node tmp = { .op = op, .graph = b->g, .n_in = n_in, .in = (struct ir_value **)in, .n_body = body != NULL, .prov = b->prov };
  if (body) { tmp.body = ir_arena_copy(m->arena, &body, sizeof body); }
  const char *saved_node = m->tables->onnx_node, *saved_op = m->tables->onnx_op;
  m->tables->onnx_node = b->onnx_node;
  m->tables->onnx_op = b->onnx_op;
  struct ir_node *n = NULL, *twin;
  if (ir_attrs_normalise(m, &tmp, attrs, n_attr)) {
    twin = body ? NULL : ir_node_twin(m, &tmp);
    if (twin) n = reuse(b, twin);
    else {
      n = ir_arena_copy(m->arena, &tmp, sizeof tmp);
      if (body) body->owner = n;
      n = infer(m, n) ? insert(n, b->at) : NULL;
    }
  }
  m->tables->onnx_node = saved_node;
  m->tables->onnx_op = saved_op;
  return n;
}
struct ir_node *ir_build(struct ir_builder *b, enum ir_op op, struct ir_value *const *in, unsigned n_in, const struct ir_attr *attrs, unsigned n_attr)
{
  return build(b, op, in, n_in, attrs, n_attr, NULL);
}
struct ir_node *ir_build_loop(struct ir_builder *b, struct ir_value *const *in, unsigned n_in, const struct ir_attr *attrs, unsigned n_attr, struct ir_graph *body)
{
  return build(b, IR_OP_loop, in, n_in, attrs, n_attr, body);
}
static struct ir_value *first(struct ir_node *n) { return n ? n->out[0] : NULL; }

/* ---- constants ---- */
static bool all_equal(const unsigned char *p, uint64_t bytes, unsigned elem) { return bytes >= elem && !memcmp(p, p + elem, bytes - elem); }
/* A literal whose elements are all the same is a splat, as is any single element; other literals are copied. False: the bytes do not fit the type. */
bool ir_data_normalise(struct ir_module *m, const struct ir_type *t, const struct ir_data *d, struct ir_data *out)
{
  *out = *d;
  bool real = ir_elem_float(t->elem);
  if (d->kind == IR_DATA_SPLAT) {
    *out = (struct ir_data){ .kind = IR_DATA_SPLAT };
    if (real) out->splat = ir_round_to(t->elem, d->splat);
    else { out->splat_i = ir_wrap_to(t->elem, d->splat_i); out->splat = (double)out->splat_i; }
    return true;
  }
  int64_t n;
  unsigned size = ir_elem_bytes(t->elem);
  uint64_t bytes;
  if (!ir_type_static(t, NULL, &n) || __builtin_mul_overflow((uint64_t)n, size, &bytes) || bytes != d->bytes) return false;
  if (n == 1 || (!d->file && all_equal(d->p, bytes, size))) {
    *out = (struct ir_data){ .kind = IR_DATA_SPLAT };
    ir_elem_load(t->elem, d->p, &out->splat, &out->splat_i);
    return true;
  }
  if (!d->file) out->p = ir_arena_copy(m->arena, d->p, bytes);
  return true;
}
struct ir_value *ir_const_bytes(struct ir_builder *b, const struct ir_type *t, const struct ir_data *d, const char *name)
{
  struct ir_module *m = b->g->module;
  struct ir_data *data = IR_NEW(m->arena, struct ir_data);
  if (!ir_data_normalise(m, t, d, data)) {
    ir_error(m->diags, IR_M0103, b->onnx_node ? b->onnx_node : name, b->onnx_op, "%llu bytes do not fit %s", (unsigned long long)d->bytes, ir_type_str(m->arena, t));
    return NULL;
  }
  struct ir_node *n = IR_NEW(m->arena, struct ir_node);
  *n = (struct ir_node){ .op = IR_OP_const, .graph = b->g, .data = data, .prov = b->prov, .n_out = 1, .out = IR_NEW(m->arena, struct ir_value *) };
  n->out[0] = ir_value_new(b->g, t);
  n->out[0]->def = n;
  n->name = name && *name ? ir_intern(m->strs, name, strlen(name)) : NULL;
  n->out[0]->name = n->name;
  struct ir_node *twin = ir_node_twin(m, n);
  if (!twin) return insert(n, b->at)->out[0];
  if (!twin->name) twin->name = twin->out[0]->name = n->name;
  return reuse(b, twin)->out[0];
}
struct ir_value *ir_const_splat(struct ir_builder *b, const struct ir_type *t, double f, int64_t i)
{
  return ir_const_bytes(b, t, &(struct ir_data){ .kind = IR_DATA_SPLAT, .splat = f, .splat_i = i }, NULL);
}
struct ir_value *ir_const_f(struct ir_builder *b, enum ir_elem e, double v)
{
  return ir_const_splat(b, ir_type_get(b->g->module, e, 0, NULL), v, ir_elem_float(e) ? 0 : (int64_t)v);
}
struct ir_value *ir_const_ints(struct ir_builder *b, enum ir_elem e, unsigned rank, const int64_t *dim, const int64_t *v)
{
  const struct ir_type *t = ir_type_ints(b->g->module, e, rank, dim);
  int64_t n;
  unsigned size = ir_elem_bytes(e);
  bool fits = ir_type_static(t, NULL, &n);
  IR_ASSERT(fits);
  unsigned char *p = ir_arena_alloc(b->g->module->arena, (size_t)n * size);
  for (int64_t k = 0; k < n; k++) ir_elem_store(e, p + k * size, (double)v[k], v[k]);
  return ir_const_bytes(b, t, &(struct ir_data){ .kind = IR_DATA_BYTES, .p = p, .bytes = (uint64_t)n * size }, NULL);
}
uint64_t ir_data_hash(struct ir_data *d, uint64_t bytes)
{
  if (d->hash) return d->hash;
  uint64_t h = d->kind == IR_DATA_SPLAT ? ir_hash(&d->splat_i, sizeof d->splat_i, ir_hash(&d->splat, sizeof d->splat, bytes)) : ir_hash(d->p, bytes, bytes);
  return d->hash = h ? h : 1;
}

/* ---- movement ---- */
struct ir_value *ir_reshape(struct ir_builder *b, struct ir_value *x, unsigned rank, const struct ir_ix *const *dim)
{
  if (!x) return NULL;
  if (ir_type_get(b->g->module, x->type->elem, rank, dim) == x->type) return x;
  struct ir_attr a = ir_attr_ixs(b->g->module, "dims", dim, rank);
  return first(ir_build(b, IR_OP_reshape, &x, 1, &a, 1));
}
struct ir_value *ir_transpose(struct ir_builder *b, struct ir_value *x, const int64_t *perm)
{
  if (!x) return NULL;
  bool identity = true;
  for (unsigned i = 0; i < x->type->rank; i++) identity &= perm[i] == (int64_t)i;
  if (identity) return x;
  struct ir_attr a = ir_attr_ints(b->g->module, "perm", perm, x->type->rank);
  return first(ir_build(b, IR_OP_transpose, &x, 1, &a, 1));
}
struct ir_value *ir_cast(struct ir_builder *b, struct ir_value *x, enum ir_elem to)
{
  if (!x || x->type->elem == to) return x;
  struct ir_attr a = ir_attr_elem("to", to);
  return first(ir_build(b, IR_OP_cast, &x, 1, &a, 1));
}
/* Unit axes in front, up to `rank`. */
static struct ir_value *lift(struct ir_builder *b, struct ir_value *x, unsigned rank)
{
  const struct ir_ix *dim[IR_MAX_RANK] = { 0 };
  unsigned more = rank - x->type->rank;
  for (unsigned d = 0; d < rank; d++) dim[d] = d < more ? ir_ix_int(b->g->module->ixs, 1) : x->type->dim[d - more];
  return ir_reshape(b, x, rank, dim);
}
struct ir_value *ir_broadcast(struct ir_builder *b, struct ir_value *x, unsigned rank, const struct ir_ix *const *dim)
{
  if (!x) return NULL;
  struct ir_module *m = b->g->module;
  unsigned r = x->type->rank > rank ? x->type->rank : rank;
  const struct ir_ix *to[IR_MAX_RANK];
  x = lift(b, x, r);
  for (unsigned d = 0; x && d < r; d++) {
    to[d] = d < r - rank ? x->type->dim[d] : ir_dim_broadcast(m, x->type->dim[d], dim[d - (r - rank)]);
    if (to[d]) continue;
    ir_error(m->diags, IR_M0201, b->onnx_node, b->onnx_op, "%s does not broadcast: axis %u should be %s", ir_type_str(m->arena, x->type), d, ir_ix_str(m->arena, dim[d - (r - rank)]));
    return NULL;
  }
  if (!x || ir_type_get(m, x->type->elem, r, to) == x->type) return x;
  struct ir_attr a = ir_attr_ixs(m, "dims", to, r);
  return first(ir_build(b, IR_OP_broadcast, &x, 1, &a, 1));
}

/* ---- maps: ONNX's ranks become the core's rule (the result's rank, or 0) by unit axes in front ---- */
static struct ir_value *map(struct ir_builder *b, enum ir_op op, struct ir_value **x, unsigned n)
{
  unsigned rank = 0;
  for (unsigned i = 0; i < n; i++) {
    if (!x[i]) return NULL;
    if (x[i]->type->rank > rank) rank = x[i]->type->rank;
  }
  for (unsigned i = 0; i < n; i++)
    if (x[i]->type->rank && x[i]->type->rank < rank && !(x[i] = lift(b, x[i], rank))) return NULL;
  return first(ir_build(b, op, x, n, NULL, 0));
}
struct ir_value *ir_map1(struct ir_builder *b, enum ir_op op, struct ir_value *x) { return map(b, op, &x, 1); }
struct ir_value *ir_map2(struct ir_builder *b, enum ir_op op, struct ir_value *x, struct ir_value *y) { return map(b, op, (struct ir_value *[]){ x, y }, 2); }
struct ir_value *ir_map3(struct ir_builder *b, enum ir_op op, struct ir_value *x, struct ir_value *y, struct ir_value *z)
{
  return map(b, op, (struct ir_value *[]){ x, y, z }, 3);
}

/* ---- what is known of a value ---- */
bool ir_value_const_ints(const struct ir_value *v, unsigned max, int64_t *out, unsigned *out_n)
{
  int64_t n;
  if (v->form) {
    if (v->form_n > max) return false;
    for (unsigned i = 0; i < v->form_n; i++) TRY(ir_ix_const(v->form[i], &out[i]));
    *out_n = v->form_n;
    return true;
  }
  if (!v->def || v->def->op != IR_OP_const || ir_elem_float(v->type->elem) || !ir_type_static(v->type, NULL, &n) || (uint64_t)n > max) return false;
  const struct ir_data *d = v->def->data;
  double f;
  for (int64_t i = 0; i < n; i++)
    if (d->kind == IR_DATA_SPLAT) out[i] = d->splat_i;
    else ir_elem_load(v->type->elem, d->p + i * ir_elem_bytes(v->type->elem), &f, &out[i]);
  *out_n = (unsigned)n;
  return true;
}
static bool const_splat(const struct ir_value *v, double *out)
{
  const struct ir_data *d = v->def->data;
  unsigned size = ir_elem_bytes(v->type->elem);
  int64_t i;
  if (d->kind == IR_DATA_SPLAT) *out = ir_elem_float(v->type->elem) ? d->splat : (double)d->splat_i;
  else if (!all_equal(d->p, d->bytes, size)) return false;
  else ir_elem_load(v->type->elem, d->p, out, &i);
  return true;
}
static bool cast_splat(const struct ir_node *n, double *x)     /* the value that the cast gives, if that is beyond doubt */
{
  enum ir_elem to = n->out[0]->type->elem;
  if (ir_elem_float(to)) { *x = ir_round_to(to, *x); return true; }
  if (to == IR_bool) { *x = *x != 0; return true; }
  return *x == trunc(*x) && fabs(*x) < 0x1p53 && (double)ir_wrap_to(to, (int64_t)*x) == *x;
}
bool ir_value_is_splat(const struct ir_value *v, double *out)
{
  const struct ir_node *casts[16];
  unsigned k = 0;
  int64_t i;
  bool known = false;
  for (; v->def && !known; v = v->def->in[0]) {
    const struct ir_node *n = v->def;
    if (n->op == IR_OP_const) { TRY(const_splat(v, out)); known = true; break; }
    if (v->form && v->form_n == 1 && ir_ix_const(v->form[0], &i)) { *out = (double)i; known = true; break; }
    if (n->op == IR_OP_cast && k < 16) casts[k++] = n;
    else if (n->op != IR_OP_broadcast && n->op != IR_OP_reshape && n->op != IR_OP_transpose && n->op != IR_OP_copy && n->op != IR_OP_slice) return false;
  }
  if (!known) return false;
  while (k)
    if (!cast_splat(casts[--k], out)) return false;
  return true;
}
