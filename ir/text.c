/* The printer. Numbers follow the text: what is printed first has the lower one. Constants and symbols are declared at the file's head, in order of first use. */
#include "ir/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ir_literal_elem(enum ir_op op, unsigned n_in, struct ir_value *const *in, const bool *is_literal, enum ir_elem result, enum ir_elem *out)
{
  static const char kinds[] = {
#define MAP(name, arity, kind) #kind[0],
#include "ir/maps.def"
#undef MAP
  };
  *out = result;
  if (ir_op_def(op)->class == IR_C_REGION) return false;
  if (!ir_op_is_map(op) || kinds[ir_op_map(op)] != 'P') return true;
  for (unsigned i = 0; i < n_in; i++)
    if (!is_literal[i]) { *out = in[i]->type->elem; return true; }
  return false;
}

/* ---- numbers of values ---- */
static void number_graph(struct ir_graph *g, uint32_t *next, unsigned depth)
{
  IR_ASSERT(depth < IR_TEXT_DEPTH);
  for (uint32_t i = 0; i < g->params.n; i++) g->params.v[i]->id = (*next)++;
  uint32_t id = 1;
  for (struct ir_node *n = g->first; n; n = n->next) {
    n->id = id++;
    if (n->op == IR_OP_const) continue;
    for (unsigned i = 0; i < n->n_out; i++) n->out[i]->id = (*next)++;
    for (unsigned i = 0; i < n->n_body; i++) number_graph(n->body[i], next, depth + 1);
  }
}
void ir_renumber(struct ir_module *m)
{
  uint32_t next = 1;
  if (m->main) number_graph(m->main, &next, 0);
}

/* ---- printer ---- */
struct const_entry { const struct ir_node *node; const char *name; };
struct printer {
  struct ir_arena *arena;                              /* of this print */
  struct ir_module *m;
  struct ir_buf *b;
  struct ir_set const_set, const_names, value_names;   /* const_entry by content; names */
  IR_VEC(struct const_entry *) consts;
  bool *sym_used, *seen;                               /* by number of the symbol; expressions by id */
  uint32_t n_seen;
};
static void put_quoted(struct ir_buf *b, const char *s)
{
  ir_buf_add(b, "\"", 1);
  for (; *s; s++)
    if (*s == '"' || *s == '\\') ir_buf_printf(b, "\\%c", *s);
    else if ((unsigned char)*s < 32 || *s == 127) ir_buf_printf(b, "\\x%02x", (unsigned char)*s);
    else ir_buf_add(b, s, 1);
  ir_buf_add(b, "\"", 1);
}
static bool is_word(const char *s, bool (*ok)(int))
{
  if (!ir_word_start((unsigned char)*s)) return false;
  while (*s && ok((unsigned char)*s)) s++;
  return !*s;
}
static bool name_char(int c) { return ir_name_char(c); }
static bool word_char(int c) { return ir_word_char(c); }
static void put_name(struct ir_buf *b, const char *s)
{
  if (is_word(s, name_char)) ir_buf_printf(b, "%s", s);
  else put_quoted(b, s);
}
static void put_word(struct ir_buf *b, const char *s)
{
  if (is_word(s, word_char) && strcmp(s, "_")) ir_buf_printf(b, "%s", s);
  else put_quoted(b, s);
}
/* The shortest digits that come back as x in type e. */
static void put_float(struct ir_buf *b, enum ir_elem e, double x)
{
  char s[40];
  if (isnan(x)) { ir_buf_printf(b, "nan"); return; }
  if (isinf(x)) { ir_buf_printf(b, x < 0 ? "-inf" : "inf"); return; }
  int digits = e == IR_f64 ? 15 : e == IR_f32 ? 6 : 1;       /* that many digits of a decimal survive the type, and %g strips zeros: fewer need no trial */
  for (; digits <= 17; digits++) {
    snprintf(s, sizeof s, "%.*g", digits, x);
    if (ir_round_to(e, strtod(s, NULL)) == x) break;
  }
  ir_buf_printf(b, "%s", s);
}
static void put_element(struct ir_buf *b, enum ir_elem e, double f, int64_t i)
{
  if (ir_elem_float(e)) put_float(b, e, f);
  else if (e == IR_bool) ir_buf_printf(b, i ? "true" : "false");
  else if (e == IR_u64) ir_buf_printf(b, "%llu", (unsigned long long)i);
  else ir_buf_printf(b, "%lld", (long long)i);
}

/* ---- expressions, and the symbols in them ---- */
static void note_symbols(struct printer *p, const struct ir_ix *e)
{
  int64_t k;
  if (ir_ix_const(e, &k)) return;
  uint32_t id = ir_ix_id(e);
  if (id >= p->n_seen) {
    uint32_t n = id * 2 + 64;
    bool *grown = IR_NEWN(p->arena, bool, n);
    if (p->n_seen) memcpy(grown, p->seen, p->n_seen * sizeof *grown);
    p->seen = grown;
    p->n_seen = n;
  }
  if (p->seen[id]) return;
  p->seen[id] = true;
  for (unsigned i = 0; i < ir_ixs_nsyms(p->m->ixs); i++) {
    const struct ir_sym *s = ir_ixs_sym(p->m->ixs, i);
    const struct ir_ix *v = p->sym_used[i] || s->kind != IR_SYM_DIM ? NULL : ir_ix_find(p->m->ixs, s->name);
    if (v && ir_ix_uses(e, v)) p->sym_used[i] = true;
  }
}
static void put_ix(struct printer *p, const struct ir_ix *e)
{
  note_symbols(p, e);
  ir_ix_print(p->b, e);
}
static void put_ixs(struct printer *p, const struct ir_ix *const *e, unsigned n)
{
  ir_buf_printf(p->b, "[");
  for (unsigned i = 0; i < n; i++) {
    if (i) ir_buf_printf(p->b, ",");
    put_ix(p, e[i]);
  }
  ir_buf_printf(p->b, "]");
}

/* ---- types and layouts ---- */
static void put_halo(struct printer *p, const struct ir_layout *l, unsigned rank)
{
  const char *sep = " halo(";
  for (unsigned d = 0; d < rank; d++)
    if (l->halo[d][0] || l->halo[d][1]) { ir_buf_printf(p->b, "%s%u:%u:%u", sep, d, l->halo[d][0], l->halo[d][1]); sep = ","; }
  if (*sep == ',') ir_buf_printf(p->b, ")");
}
/* "0,1/16,2,3,1%16 halo(2:1:1,3:1:1) pad(1:16)": only where it gives this very layout back for the type. */
static bool put_short_layout(struct printer *p, const struct ir_layout *l, const struct ir_type *t)
{
  const struct ir_blocking *k = ir_layout_blocking(p->m, l);
  if (!k || k->axis >= t->rank) {
    struct ir_layout plain = *l;
    plain.zero = false;
    k = l->zero ? ir_layout_blocking(p->m, ir_layout_get(p->m, &plain)) : NULL;
    if (!k || k->axis >= t->rank) return false;
  }
  struct ir_layout again = *ir_layout_blocked(p->m, t, k->axis, k->block, l->halo, k->pad);
  again.zero = l->zero;
  if (ir_layout_get(p->m, &again) != l) return false;
  for (unsigned d = 0; d < t->rank; d++) {
    ir_buf_printf(p->b, "%s%u", d ? "," : "@", d);
    if (d == k->axis && k->block > 1) ir_buf_printf(p->b, "/%u", k->block);
  }
  if (k->block > 1) ir_buf_printf(p->b, ",%u%%%u", k->axis, k->block);
  put_halo(p, l, t->rank);
  if (k->pad) ir_buf_printf(p->b, " pad(%u:%u)", k->axis, k->pad);
  return true;
}
static void put_layout(struct printer *p, const struct ir_layout *l, const struct ir_type *t)
{
  if (!put_short_layout(p, l, t)) {
    ir_buf_printf(p->b, "@{at=");
    put_ix(p, l->at);
    ir_buf_printf(p->b, ", elems=");
    put_ix(p, l->elems);
    ir_buf_printf(p->b, ", lo=");
    put_ixs(p, l->lo, t->rank);
    ir_buf_printf(p->b, ", hi=");
    put_ixs(p, l->hi, t->rank);
    ir_buf_printf(p->b, "}");
    put_halo(p, l, t->rank);
  }
  if (l->zero) ir_buf_printf(p->b, " zero");
}
static void put_type(struct printer *p, const struct ir_value *v)
{
  ir_buf_printf(p->b, "%s", ir_elem_name(v->type->elem));
  put_ixs(p, v->type->dim, v->type->rank);
  if (v->layout) put_layout(p, v->layout, v->type);
  if (v->weight) ir_buf_printf(p->b, " weight");
}

/* ---- constants ---- */
static bool same_const(const void *key, const void *elem)
{
  const struct ir_node *a = key, *b = ((const struct const_entry *)elem)->node;
  const struct ir_data *x = a->data, *y = b->data;
  if (a->out[0]->type != b->out[0]->type || a->out[0]->layout != b->out[0]->layout || x->kind != y->kind) return false;
  if (x->kind == IR_DATA_SPLAT) return !memcmp(&x->splat, &y->splat, sizeof x->splat) && x->splat_i == y->splat_i;
  return x->bytes == y->bytes && !x->file == !y->file && (x->p == y->p || (!x->file && !memcmp(x->p, y->p, x->bytes)));
}
static bool same_string(const void *a, const void *b) { return !strcmp(a, b); }
static const char *fresh_name(struct printer *p, struct ir_set *names, const char *want, bool numbered)
{
  const char *s = numbered ? ir_arena_printf(p->arena, "%s%u", want, p->consts.n + 1) : want;
  for (unsigned k = 1; ir_set_find(names, ir_hash(s, strlen(s), 0), s, same_string); k++) s = ir_arena_printf(p->arena, "%s.%u", want, k);
  ir_set_add(p->arena, names, ir_hash(s, strlen(s), 0), (void *)s);
  return s;
}
static const char *const_name(struct printer *p, const struct ir_node *n)
{
  const struct ir_data *d = n->data;
  uint64_t h = d->kind == IR_DATA_SPLAT ? (uint64_t)d->splat_i ^ ir_hash(&d->splat, sizeof d->splat, 1) : d->file ? (uint64_t)(uintptr_t)d->p : ir_hash(d->p, d->bytes, 2);
  struct const_entry *e = ir_set_find(&p->const_set, h, n, same_const);
  if (e) return e->name;
  e = IR_NEW(p->arena, struct const_entry);
  e->node = n;
  e->name = fresh_name(p, &p->const_names, n->name ? n->name : "c", !n->name);
  ir_set_add(p->arena, &p->const_set, h, e);
  ir_push(p->arena, &p->consts, e);
  return e->name;
}
static void put_source(struct printer *p, const struct ir_node *n)
{
  struct ir_data *d = (struct ir_data *)n->data;         /* the hash is kept there */
  enum ir_elem e = n->out[0]->type->elem;
  if (d->kind == IR_DATA_SPLAT) {
    ir_buf_printf(p->b, "splat ");
    put_element(p->b, e, d->splat, d->splat_i);
  } else if (d->file) {
    ir_buf_printf(p->b, "file ");
    put_quoted(p->b, d->file);
    ir_buf_printf(p->b, " %llu %llu hash 0x%016llx", (unsigned long long)d->offset, (unsigned long long)d->bytes, (unsigned long long)ir_data_hash(d, d->bytes));
  } else {
    ir_buf_printf(p->b, "[");
    for (uint64_t at = 0; at < d->bytes; at += ir_elem_bytes(e)) {
      double f;
      int64_t i;
      ir_elem_load(e, d->p + at, &f, &i);
      if (at) ir_buf_printf(p->b, ",");
      put_element(p->b, e, f, i);
    }
    ir_buf_printf(p->b, "]");
  }
}

/* ---- values and nodes ---- */
static bool is_scalar_const(const struct ir_value *v) { return v->def && v->def->op == IR_OP_const && v->type->rank == 0 && v->def->data->kind == IR_DATA_SPLAT; }
static void put_value(struct printer *p, const struct ir_value *v)
{
  const struct ir_node *n = v->def;
  if (n && n->op == IR_OP_const) {
    if (is_scalar_const(v) && v->type->elem == IR_bool) { ir_buf_printf(p->b, n->data->splat_i ? "true" : "false"); return; }
    ir_buf_printf(p->b, "@");
    put_name(p->b, const_name(p, n));
  } else if (!n && v->name) {
    ir_buf_printf(p->b, "%%");
    put_name(p->b, v->name);
  } else ir_buf_printf(p->b, "%%%u", v->id);
}
static void put_operands(struct printer *p, const struct ir_node *n)
{
  bool *literal = IR_NEWN(p->arena, bool, n->n_in + 1);
  for (unsigned i = 0; i < n->n_in; i++) literal[i] = is_scalar_const(n->in[i]);
  enum ir_elem e;
  bool told = n->n_out && ir_literal_elem(n->op, n->n_in, n->in, literal, n->out[0]->type->elem, &e);
  for (unsigned i = 0; i < n->n_in; i++) {
    ir_buf_printf(p->b, i ? ", " : " ");
    const struct ir_value *v = n->in[i];
    if (literal[i] && told && v->type->elem == e) put_element(p->b, e, v->def->data->splat, v->def->data->splat_i);
    else put_value(p, v);
  }
}
static void put_attr(struct printer *p, const struct ir_node *n, const struct ir_attr *a)
{
  bool bare = a->kind == IR_A_STR && is_word(a->s, word_char);
  if (a->kind != IR_A_STR || bare || a->key != ir_op_def(n->op)->attrs[0].key) ir_buf_printf(p->b, "%s=", a->key);
  switch (a->kind) {
  case IR_A_INT: ir_buf_printf(p->b, "%lld", (long long)a->i); break;
  case IR_A_FLOAT: put_float(p->b, IR_f64, a->f); break;
  case IR_A_STR: put_word(p->b, a->s); break;
  case IR_A_IXS: put_ixs(p, a->ix, a->n); break;
  case IR_A_ELEM: ir_buf_printf(p->b, "%s", ir_elem_name(a->elem)); break;
  case IR_A_INTS:
    for (unsigned i = 0; i < a->n; i++) ir_buf_printf(p->b, "%s%lld", i ? "," : "[", (long long)a->is[i]);
    ir_buf_printf(p->b, a->n ? "]" : "[]");
    break;
  }
}
static bool place_char(int c) { return ir_place_char(c); }
static void put_place(struct ir_buf *b, const char *s)
{
  if (is_word(s, place_char) && !ir_after_type(s)) ir_buf_printf(b, "%s", s);
  else put_quoted(b, s);
}
static void put_graph(struct printer *p, struct ir_graph *g, unsigned depth);
static void put_node(struct printer *p, const struct ir_node *n, unsigned depth)
{
  ir_buf_printf(p->b, "%*s", 2 * (int)depth, "");
  for (unsigned i = 0; i < n->n_out; i++) {
    if (i) ir_buf_printf(p->b, ", ");
    put_value(p, n->out[i]);
  }
  ir_buf_printf(p->b, " = %s", ir_op_def(n->op)->name);
  if (ir_op_def(n->op)->class == IR_C_REGION) {
    ir_buf_printf(p->b, n->op == IR_OP_composite ? " @" : " ");
    if (n->name) put_word(p->b, n->name);
    else ir_buf_printf(p->b, "_");
  }
  put_operands(p, n);
  for (unsigned i = 0; i < n->n_attr; i++) {
    ir_buf_printf(p->b, i ? ", " : " {");
    put_attr(p, n, &n->attr[i]);
  }
  ir_buf_printf(p->b, n->n_attr ? "} :" : " :");
  for (unsigned i = 0; i < n->n_out; i++) {
    ir_buf_printf(p->b, i ? ", " : " ");
    put_type(p, n->out[i]);
    if (i == 0 && n->place) { ir_buf_printf(p->b, " "); put_place(p->b, n->place); }
  }
  for (unsigned i = 0; i < n->n_body; i++) {
    ir_buf_printf(p->b, " ");
    put_graph(p, n->body[i], depth + 1);
  }
  for (unsigned i = 0; n->prov && i < n->prov->n; i++) {
    ir_buf_printf(p->b, i ? ", " : " loc ");
    put_quoted(p->b, n->prov->name[i]);
  }
  ir_buf_printf(p->b, "\n");
}
static void put_requires(struct printer *p)
{
  for (uint32_t i = 0; i < p->m->requires.n; i++) {
    const struct ir_require *r = &p->m->requires.v[i];
    ir_buf_printf(p->b, i ? ", " : " require ");
    put_ix(p, r->e);
    ir_buf_printf(p->b, r->eq ? " == 0" : " >= 0");
    if (r->why) { ir_buf_printf(p->b, " "); put_quoted(p->b, r->why); }
  }
}
/* "(%x: type) -> %y require .. { nodes }" */
static void put_graph(struct printer *p, struct ir_graph *g, unsigned depth)
{
  ir_buf_printf(p->b, "(");
  for (uint32_t i = 0; i < g->params.n; i++) {
    if (i) ir_buf_printf(p->b, ", ");
    put_value(p, g->params.v[i]);
    ir_buf_printf(p->b, ": ");
    put_type(p, g->params.v[i]);
  }
  ir_buf_printf(p->b, ") ->");
  for (uint32_t i = 0; i < g->results.n; i++) {
    ir_buf_printf(p->b, i ? ", " : " ");
    put_value(p, g->results.v[i]);
    if (i < g->result_names.n && g->result_names.v[i]) { ir_buf_printf(p->b, " "); put_quoted(p->b, g->result_names.v[i]); }
  }
  if (g == p->m->main) put_requires(p);
  ir_buf_printf(p->b, " {\n");
  for (const struct ir_node *n = g->first; n; n = n->next)
    if (n->op != IR_OP_const) put_node(p, n, depth);
  ir_buf_printf(p->b, "%*s}", 2 * (int)(depth - 1), "");
}
/* Two parameters of one graph cannot have one name: the later one is known by its number. */
static void drop_double_names(struct ir_arena *a, struct ir_graph *g, unsigned depth)
{
  struct ir_set names = { 0 };
  for (uint32_t i = 0; i < g->params.n; i++) {
    struct ir_value *v = g->params.v[i];
    if (!v->name) continue;
    uint64_t h = ir_hash(v->name, strlen(v->name), 0);
    if (ir_set_find(&names, h, v->name, same_string)) v->name = NULL;
    else ir_set_add(a, &names, h, (void *)v->name);
  }
  for (struct ir_node *n = g->first; n; n = n->next)
    for (unsigned i = 0; i < n->n_body && depth < IR_TEXT_DEPTH; i++) drop_double_names(a, n->body[i], depth + 1);
}

/* ---- the file ---- */
static const struct ir_late *late_of(const struct printer *p, const struct ir_sym *s)
{
  for (uint32_t k = 0; k < p->m->late.n; k++)
    if (ir_ix_as_sym(p->m->late.v[k].sym) == s) return &p->m->late.v[k];
  return NULL;
}
static void put_dims(struct printer *p)
{
  struct ir_ixs *t = p->m->ixs;
  for (unsigned i = ir_ixs_nsyms(t); i-- > 0;) {        /* what a definition or a bound uses is older */
    const struct ir_late *late = late_of(p, ir_ixs_sym(t, i));
    if (p->sym_used[i] && ir_ixs_sym(t, i)->def) note_symbols(p, ir_ixs_sym(t, i)->def);
    if (p->sym_used[i] && late && late->most) note_symbols(p, late->most);
  }
  for (unsigned i = 0; i < ir_ixs_nsyms(t); i++) {
    const struct ir_sym *s = ir_ixs_sym(t, i);
    if (!p->sym_used[i]) continue;
    const struct ir_value_sym *from = NULL;
    for (uint32_t k = 0; k < p->m->value_syms.n; k++)
      if (ir_ix_as_sym(p->m->value_syms.v[k].sym) == s) from = &p->m->value_syms.v[k];
    const struct ir_late *late = late_of(p, s);
    ir_buf_printf(p->b, from ? "value " : late ? "late " : "dims ");
    ir_ix_print(p->b, ir_ix_find(t, s->name));
    if (from) {
      ir_buf_printf(p->b, " = %u[%u]\n", from->param, from->elem);
      continue;
    }
    if (s->def) {
      ir_buf_printf(p->b, " = ");
      ir_ix_print(p->b, s->def);
    } else {
      ir_buf_printf(p->b, " %lld..", (long long)s->lo);
      if (s->hi != IR_IX_INF) ir_buf_printf(p->b, "%lld", (long long)s->hi);
      if (s->by > 1) ir_buf_printf(p->b, "%%%lld", (long long)s->by);
    }
    if (late && late->most) {
      ir_buf_printf(p->b, " <= ");
      ir_ix_print(p->b, late->most);
    }
    ir_buf_printf(p->b, "\n");
  }
}
static void put_consts(struct printer *p)
{
  for (uint32_t i = 0; i < p->consts.n; i++) {
    ir_buf_printf(p->b, "const @");
    put_name(p->b, p->consts.v[i]->name);
    ir_buf_printf(p->b, ": ");
    put_type(p, p->consts.v[i]->node->out[0]);
    ir_buf_printf(p->b, " = ");
    put_source(p, p->consts.v[i]->node);
    ir_buf_printf(p->b, "\n");
  }
}
void ir_print(struct ir_buf *b, struct ir_module *m)
{
  if (!m->main) return;
  struct printer p = { .arena = ir_arena_create(), .m = m };
  struct ir_buf graph = { 0 }, consts = { 0 };
  p.sym_used = IR_NEWN(p.arena, bool, ir_ixs_nsyms(m->ixs) + 1);
  drop_double_names(p.arena, m->main, 0);
  ir_renumber(m);
  p.b = &graph;
  ir_buf_printf(&graph, "graph ");
  if (m->main->name) put_name(&graph, m->main->name);
  else ir_buf_printf(&graph, "_");
  ir_buf_printf(&graph, " ");
  put_graph(&p, m->main, 1);
  p.b = &consts;
  put_consts(&p);
  p.b = b;
  put_dims(&p);
  ir_buf_add(b, consts.s, consts.n);
  ir_buf_add(b, graph.s, graph.n);
  ir_buf_add(b, "\n", 1);
  ir_buf_deinit(&graph);
  ir_buf_deinit(&consts);
  ir_arena_destroy(p.arena);
}
