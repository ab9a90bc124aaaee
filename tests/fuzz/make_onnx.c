/* The generator keeps a list of values with the type it believes they have; a node takes operands from the list or makes initialisers that fit them. It does no
 * inference: an output gets the type of the first operand, which is true of most operators, and where it is not the next node is an invalid one, which is
 * wanted too. */
#include "tests/fuzz/make_onnx.h"
#include "tests/unit/onnx/wire_make.h"

enum { MAX_RANK = 6, MAX_VALUES = 64, MAX_DEPTH = 3, FLOAT = 1, INT64 = 7, BOOL = 9 };
struct type { int elem; unsigned rank; int64_t dim[MAX_RANK]; /* -1: symbolic */ };
struct value { char name[8]; struct type t; };
struct gen {
  struct fuzz *f;
  struct ir_buf *graph;                  /* being written */
  struct value v[MAX_VALUES];
  unsigned n, names, depth, nodes;
  int64_t opset;
  bool function;                         /* no initialisers here */
};
struct operator { const char *name, *operands, *attrs; };
static const struct operator operators[] = {
#define OPERATOR(name, operands, attrs) { #name, operands, attrs },
#include "tests/fuzz/operators.def"
#undef OPERATOR
};
static const struct { const char *name; int since, until; } rows[] = {
#define ROW(domain, op, since, until, fn, arg) { #op, since, until },
#include "compiler/onnx/rows.def"
#undef ROW
};

/* ---- values and initialisers ---- */
static const int64_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 16, 17 };
static struct value *add_value(struct gen *g, struct type t)
{
  struct value *v = &g->v[g->n < MAX_VALUES ? g->n++ : fuzz_below(g->f, MAX_VALUES)];
  snprintf(v->name, sizeof v->name, "v%u", g->names++);
  v->t = t;
  return v;
}
static int elem_of(struct fuzz *f)
{
  static const int common[] = { 1, 1, 1, 1, 1, 7, 7, 9, 10, 6, 11, 2, 3, 16 };
  return fuzz_chance(f, 20) ? (int)fuzz_below(f, 30) : FUZZ_PICK(f, common);
}
static struct type any_type(struct gen *g)
{
  struct type t = { g->function || !fuzz_chance(g->f, 4) ? FLOAT : elem_of(g->f), (unsigned)(fuzz_chance(g->f, 3) ? fuzz_below(g->f, MAX_RANK) : 4), { 0 } };
  for (unsigned d = 0; d < t.rank; d++) t.dim[d] = fuzz_chance(g->f, 4) ? -1 : fuzz_chance(g->f, 60) ? fuzz_number(g->f) : FUZZ_PICK(g->f, sizes);
  return t;
}
static unsigned bytes_of(int elem)
{
  static const unsigned char n[] = { 0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2 };
  return elem >= 0 && elem < (int)sizeof n ? n[elem] : 1;
}
static void external(struct fuzz *f, struct ir_buf *t, int64_t bytes)
{
  static const char *const places[] = { "w.data", "w.data", "w.data", "absent", "../w.data", "/etc/hostname", "", ".", "./w.data", "w.data/x", "a/../w.data" }, *const keys[] = { "location", "offset", "length", "checksum", "" };
  for (unsigned i = 0; i < 3; i++) {
    struct ir_buf e = { 0 };
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)(fuzz_chance(f, 4) ? fuzz_number(f) : i == 1 ? 0 : bytes));
    if (fuzz_chance(f, 12)) continue;
    w_str(&e, 1, fuzz_chance(f, 20) ? FUZZ_PICK(f, keys) : keys[i]);
    w_str(&e, 2, i ? text : FUZZ_PICK(f, places));
    w_msg(t, 13, e);
  }
  w_int(t, 14, fuzz_chance(f, 10) ? 0 : 1);
}
/* ints: content for integers, else random. */
static struct ir_buf tensor(struct gen *g, const char *name, struct type t, const int64_t *ints)
{
  struct fuzz *f = g->f;
  struct ir_buf b = { 0 }, raw = { 0 };
  int64_t elems = 1;
  for (unsigned d = 0; d < t.rank; d++) elems *= t.dim[d] < 0 || t.dim[d] > 4096 ? 1 : t.dim[d];
  if (elems > 2048) elems = fuzz_chance(f, 4) ? 2048 : 1;
  for (int64_t i = 0; i < elems; i++) {
    float v = (float)(int64_t)fuzz_below(f, 9) / 4 - 1;
    int64_t k = ints ? ints[i] : t.elem == BOOL ? (int64_t)fuzz_below(f, 2) : fuzz_number(f);
    if (t.elem == FLOAT) ir_buf_add(&raw, &v, 4);
    else ir_buf_add(&raw, &k, bytes_of(t.elem) < 8 ? bytes_of(t.elem) : 8);
  }
  for (unsigned d = 0; d < t.rank; d++) w_int(&b, 1, t.dim[d]);
  w_int(&b, 2, t.elem);
  if (name) w_str(&b, 8, name);
  if (fuzz_chance(f, 24)) external(f, &b, (int64_t)raw.n);
  else if (fuzz_chance(f, 4) && raw.n) {
    bool wide = t.elem == INT64;
    if (t.elem == FLOAT) w_bytes(&b, 4, raw.s, raw.n);
    else for (int64_t i = 0; i < elems; i++) w_int(&b, wide ? 7 : t.elem == 11 ? 10 : 5, ints ? ints[i] : (int64_t)fuzz_below(f, 3));
  } else w_bytes(&b, 9, raw.s ? raw.s : "", fuzz_chance(f, 80) ? fuzz_below(f, raw.n + 1) : raw.n);
  ir_buf_deinit(&raw);
  return b;
}
static const char *initialiser(struct gen *g, struct type t, const int64_t *ints)
{
  struct value *v = add_value(g, t);
  if (g->function) {                     /* a Constant instead */
    struct ir_buf n = w_node("Constant", "", v->name), a = { 0 };
    w_str(&a, 1, "value");
    w_msg(&a, 5, tensor(g, NULL, t, ints));
    w_int(&a, 20, 4);
    w_msg(&n, 5, a);
    w_msg(g->graph, 7, n);
  } else w_msg(g->graph, 5, tensor(g, v->name, t, ints));
  return v->name;
}
static const char *ints(struct gen *g, unsigned n, const int64_t *v) { return initialiser(g, (struct type){ INT64, 1, { n } }, v); }
static const struct value *any_value(struct gen *g, int want)
{
  for (unsigned i = 0; i < 6; i++) {
    const struct value *v = &g->v[g->n - 1 - fuzz_below(g->f, fuzz_chance(g->f, 2) && g->n > 3 ? 3 : g->n)];
    if (!want || v->t.elem == want) return v;
  }
  return &g->v[fuzz_below(g->f, g->n)];
}

/* ---- lists that fit a type ---- */
static int64_t axis_of(struct fuzz *f, unsigned rank) { return fuzz_chance(f, 20) ? fuzz_number(f) : (int64_t)fuzz_below(f, rank + !rank) - (fuzz_chance(f, 2) ? (int64_t)rank : 0); }
static unsigned axes_of(struct fuzz *f, unsigned rank, int64_t *out)
{
  unsigned n = 0;
  for (unsigned d = 0; d < rank && n < 16; d++)
    if (fuzz_chance(f, 2)) out[n++] = fuzz_chance(f, 30) ? fuzz_number(f) : (int64_t)d - (fuzz_chance(f, 3) ? (int64_t)rank : 0);
  return n;
}
static unsigned list_of(struct fuzz *f, unsigned n, int64_t most, int64_t *out)
{
  if (fuzz_chance(f, 40)) n += (unsigned)fuzz_below(f, 3);
  for (unsigned i = 0; i < n; i++) out[i] = fuzz_chance(f, 60) ? fuzz_number(f) : 1 + (int64_t)fuzz_below(f, (size_t)most);
  return n;
}
static unsigned zeros_of(struct fuzz *f, unsigned n, int64_t most, int64_t *out)
{
  n = list_of(f, n, most, out);
  for (unsigned i = 0; i < n; i++) out[i] -= out[i] > -5;
  return n;
}
/* The dims in other groups, with 0 and -1 as Reshape has them. */
static unsigned shape_of(struct fuzz *f, const struct type *t, int64_t *out)
{
  unsigned n = 0;
  for (unsigned d = 0; d < t->rank; d++) {
    if (n && fuzz_chance(f, 4) && t->dim[d] > 0 && out[n - 1] > 0 && t->dim[d] < 1000 && out[n - 1] < 1000) out[n - 1] *= t->dim[d];
    else out[n++] = fuzz_chance(f, 5) ? 0 : fuzz_chance(f, 60) ? fuzz_number(f) : t->dim[d];
  }
  if (n && fuzz_chance(f, 3)) out[fuzz_below(f, n)] = -1;
  if (n < MAX_RANK && fuzz_chance(f, 4)) out[n++] = 1;
  return n;
}

/* ---- operands ---- */
static const char *fitting(struct gen *g, const struct value *x)
{
  struct type t = x->t;
  if (!fuzz_chance(g->f, 3)) {
    for (unsigned i = g->n; i-- > 0;)
      if (g->v[i].t.elem == t.elem && g->v[i].t.rank == t.rank && !memcmp(g->v[i].t.dim, t.dim, t.rank * sizeof *t.dim) && !fuzz_chance(g->f, 4)) return g->v[i].name;
  }
  unsigned cut = (unsigned)fuzz_below(g->f, t.rank + 1);
  for (unsigned d = 0; d < t.rank; d++)
    if (t.dim[d] < 0 || fuzz_chance(g->f, 4)) t.dim[d] = 1;
  if (fuzz_chance(g->f, 2)) { memmove(t.dim, t.dim + cut, (t.rank - cut) * sizeof *t.dim); t.rank -= cut; }
  return initialiser(g, t, NULL);
}
static const char *operand(struct gen *g, char kind, const struct value *x)
{
  struct fuzz *f = g->f;
  const struct type *t = &x->t;
  int64_t l[4 * MAX_RANK + 8], c = t->rank > 1 ? t->dim[1] : 1, k;
  unsigned n;
  if (c < 0 || c > 64) c = 3;
  switch (kind) {
  case 'x': return x->name;
  case 'y': return fitting(g, x);
  case 'b': return any_value(g, BOOL)->t.elem == BOOL && !fuzz_chance(f, 4) ? any_value(g, BOOL)->name : initialiser(g, (struct type){ BOOL, (unsigned)fuzz_below(f, 2), { 1 } }, NULL);
  case 'j':
    if (fuzz_chance(f, 2)) return any_value(g, INT64)->name;
    n = list_of(f, 1 + (unsigned)fuzz_below(f, 4), 3, l);
    return ints(g, n, l);
  case 'w': {
    struct type w = { t->elem, t->rank, { FUZZ_PICK(f, sizes), c } };
    for (unsigned d = 2; d < w.rank; d++) w.dim[d] = 1 + (int64_t)fuzz_below(f, 3);
    if (fuzz_chance(f, 4)) w.dim[1] = 1;
    return initialiser(g, w, NULL);
  }
  case 'm': {
    struct type m = { t->elem, fuzz_chance(f, 4) ? 3 : 2, { 0 } };
    for (unsigned d = 0; d < m.rank; d++) m.dim[d] = FUZZ_PICK(f, sizes);
    if (t->rank && t->dim[t->rank - 1] > 0 && t->dim[t->rank - 1] < 64) m.dim[m.rank - 2] = t->dim[t->rank - 1];
    return initialiser(g, m, NULL);
  }
  case 'c': return initialiser(g, (struct type){ t->elem, 1, { fuzz_chance(f, 30) ? 2 : c } }, NULL);
  case 'f': return initialiser(g, (struct type){ t->elem, (unsigned)fuzz_chance(f, 8), { 1 } }, NULL);
  case 'i': k = fuzz_number(f); return initialiser(g, (struct type){ INT64, (unsigned)fuzz_chance(f, 4), { 1 } }, &k);
  case 'A': n = axes_of(f, t->rank, l); return ints(g, n, l);
  case 'S': n = shape_of(f, t, l); return ints(g, n, l);
  case 'P': n = zeros_of(f, 2 * t->rank, 3, l); return ints(g, n, l);
  case 'D': n = list_of(f, t->rank, 4, l); return ints(g, n, l);
  default: return initialiser(g, (struct type){ FLOAT, 1, { fuzz_chance(f, 3) ? 0 : t->rank } }, NULL);
  }
}

/* ---- attributes ---- */
static void make_graph(struct gen *g, struct ir_buf *out);
static void attr_head(struct ir_buf *a, const char *name, size_t n, int type) { w_bytes(a, 1, name, n); w_int(a, 20, type); }
static void attr_words(struct gen *g, struct ir_buf *a, const char *words, size_t n)
{
  const char *s = words + 1, *end = words + n;
  for (;;) {
    const char *e = memchr(s, '|', (size_t)(end - s));
    if (!e || fuzz_chance(g->f, 3)) { w_bytes(a, 4, s, (size_t)((e ? e : end) - s)); return; }
    s = e + 1;
  }
}
static void attr_list(struct ir_buf *a, unsigned n, const int64_t *v) { for (unsigned i = 0; i < n; i++) w_int(a, 8, v[i]); }
static void attribute(struct gen *g, struct ir_buf *node, const char *s, size_t n, const struct type *t)
{
  struct fuzz *f = g->f;
  struct ir_buf a = { 0 };
  size_t colon = (size_t)((const char *)memchr(s, ':', n) - s);
  unsigned spatial = t->rank > 2 ? t->rank - 2 : 0, k;
  int64_t l[4 * MAX_RANK + 8];
  float v = (float)fuzz_below(f, 40) / 16 - 0.5f;
  const char *kind = s + colon + 1;
  static const int type_of[128] = { ['a'] = 2, ['i'] = 2, ['b'] = 2, ['d'] = 2, ['g'] = 2, ['f'] = 1, ['t'] = 4, ['S'] = 3, ['G'] = 5, ['F'] = 6 };
  int type = type_of[(unsigned char)*kind] ? type_of[(unsigned char)*kind] : 7;
  attr_head(&a, s, colon, fuzz_chance(f, 100) ? (int)fuzz_below(f, 15) : type);
  if (g->function && fuzz_chance(f, 6)) w_str(&a, 21, "k");
  else switch (*kind) {
  case 'a': w_int(&a, 3, axis_of(f, t->rank)); break;
  case 'i': w_int(&a, 3, fuzz_number(f)); break;
  case 'b': w_int(&a, 3, fuzz_chance(f, 60) ? fuzz_number(f) : (int64_t)fuzz_below(f, 2)); break;
  case 'd': w_int(&a, 3, elem_of(f)); break;
  case 'g': w_int(&a, 3, fuzz_chance(f, 2) || t->rank < 2 ? 1 + (int64_t)fuzz_below(f, 4) : t->dim[1]); break;
  case 'f': w_varint(&a, 2 << 3 | 5); ir_buf_add(&a, &v, 4); break;
  case 't': w_msg(&a, 5, tensor(g, NULL, (struct type){ elem_of(f), (unsigned)fuzz_below(f, 2), { fuzz_chance(f, 4) ? 3 : 1 } }, NULL)); break;
  case 'S': attr_words(g, &a, kind, n - colon - 1); break;
  case 'G': { struct ir_buf sub = { 0 }; make_graph(g, &sub); w_msg(&a, 6, sub); break; }
  case 'F': for (k = t->rank; k--;) { w_varint(&a, 7 << 3 | 5); v = (float)(1 + fuzz_below(f, 4)); ir_buf_add(&a, &v, 4); } break;
  case 'A': k = axes_of(f, t->rank, l); attr_list(&a, k, l); break;
  case 'L': k = list_of(f, spatial, 3, l); attr_list(&a, k, l); break;
  case 'P': k = zeros_of(f, kind[1] == '2' ? 2 * t->rank : 2 * spatial, 2, l); attr_list(&a, k, l); break;
  case 'p':
    for (k = 0; k < t->rank; k++) l[k] = k;
    for (unsigned i = 0; i + 1 < k; i++) { unsigned j = i + (unsigned)fuzz_below(f, k - i); int64_t x = l[i]; l[i] = l[j]; l[j] = x; }
    if (fuzz_chance(f, 30)) l[0] = fuzz_number(f);
    attr_list(&a, k, l);
    break;
  default: k = shape_of(f, t, l); attr_list(&a, k, l);
  }
  w_msg(node, 5, a);
}
static void attributes(struct gen *g, struct ir_buf *node, const char *s, const struct type *t)
{
  while (*s) {
    size_t n = strcspn(s, " ");
    bool must = memchr(s, ':', n) && strchr("GtdS", *((const char *)memchr(s, ':', n) + 1)) != NULL;
    if (!fuzz_chance(g->f, 10) && (must || fuzz_chance(g->f, 2))) attribute(g, node, s, n, t);
    s += n + (s[n] == ' ');
  }
}

/* ---- nodes, graphs ---- */
static const struct operator *pick(struct gen *g)
{
  static const struct operator plain = { NULL, "x", "" };
  static struct operator other;
  if (fuzz_chance(g->f, 60)) return &FUZZ_PICK(g->f, operators);
  unsigned r;
  do r = (unsigned)fuzz_below(g->f, sizeof rows / sizeof *rows); while ((g->opset < rows[r].since || g->opset > rows[r].until) && !fuzz_chance(g->f, 40));
  for (unsigned i = 0; i < sizeof operators / sizeof *operators; i++)
    if (!strcmp(operators[i].name, rows[r].name)) return &operators[i];
  other = plain;
  other.name = rows[r].name;
  return &other;
}
static void make_node(struct gen *g)
{
  struct operator op = *pick(g);
  struct fuzz *f = g->f;
  if (g->depth >= MAX_DEPTH && strchr(op.attrs, 'G')) op = operators[0];
  const struct value x = *any_value(g, op.operands[0] == 'j' ? INT64 : op.operands[0] == 'b' ? BOOL : fuzz_chance(f, 8) ? 0 : FLOAT);
  char in[256] = "", out[64] = "", name[16];
  size_t at = 0;
  for (const char *s = op.operands; *s && at + 16 < sizeof in; s++) {
    bool maybe = *s == '?';
    if (maybe) s++;
    if (*s == '*') { if (!fuzz_chance(f, 3)) s -= 2; else break; continue; }
    const char *v = maybe && fuzz_chance(f, 2) ? "-" : operand(g, *s, &x);
    if (fuzz_chance(f, 200)) v = "absent";
    at += (size_t)snprintf(in + at, sizeof in - at, "%s%s", at ? " " : "", v);
  }
  struct type t = x.t;
  unsigned outs = !strcmp(op.name, "Split") ? 1 + (unsigned)fuzz_below(f, 4) : fuzz_chance(f, 12) ? 2 : 1;
  for (unsigned i = 0; i < outs; i++) {
    const struct value *v = add_value(g, t);
    strcat(strcat(out, i ? " " : ""), v->name);
  }
  struct ir_buf n = w_node(op.name, in, out);
  snprintf(name, sizeof name, "N_%u", g->nodes++);
  if (!fuzz_chance(f, 4)) w_str(&n, 3, name);
  if (!strcmp(op.name, "Twice") || fuzz_chance(f, 200)) w_str(&n, 7, "own");
  attributes(g, &n, op.attrs, &t);
  w_msg(g->graph, g->function ? 7 : 1, n);
}
static void value_info(struct gen *g, struct ir_buf *out, unsigned field, const struct value *v, bool typed)
{
  struct ir_buf b = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 };
  static const char *const syms[] = { "n", "n", "m", "batch", "", "2*n" };
  w_str(&b, 1, v->name);
  if (typed) {
    for (unsigned d = 0; d < v->t.rank; d++) {
      struct ir_buf dim = { 0 };
      if (v->t.dim[d] >= 0) w_int(&dim, 1, v->t.dim[d]);
      else if (!fuzz_chance(g->f, 20)) w_str(&dim, 2, d ? FUZZ_PICK(g->f, syms) : "n");
      w_msg(&shape, 1, dim);
    }
    w_int(&tensor, 1, v->t.elem);
    if (fuzz_chance(g->f, 60)) ir_buf_deinit(&shape);
    else w_msg(&tensor, 2, shape);
    w_msg(&type, 1, tensor);
    w_msg(&b, 2, type);
  }
  w_msg(out, field, b);
}
/* A subgraph sees the values of the graphs around it. */
static void make_graph(struct gen *g, struct ir_buf *out)
{
  struct ir_buf *around = g->graph;
  unsigned seen = g->n, inputs = g->depth && !fuzz_chance(g->f, 8) ? 0 : 1 + (unsigned)fuzz_below(g->f, 3);
  g->graph = out;
  g->depth++;
  for (unsigned i = 0; i < inputs; i++) {
    const struct value *v = add_value(g, any_type(g));
    value_info(g, out, 11, v, !fuzz_chance(g->f, 100));
  }
  for (unsigned i = 0, n = g->depth > 1 ? 1 + (unsigned)fuzz_below(g->f, 2) : 1 + (unsigned)fuzz_below(g->f, 6); i < n; i++) make_node(g);
  for (unsigned i = 0, n = 1 + fuzz_chance(g->f, 4); i < n && i < g->n; i++) {
    const struct value *v = fuzz_chance(g->f, 8) ? any_value(g, 0) : &g->v[g->n - 1 - i];
    value_info(g, out, 12, v, fuzz_chance(g->f, 3));
  }
  g->depth--;
  g->graph = around;
  if (g->depth) g->n = seen;
}
static void opset(struct ir_buf *m, const char *domain, int64_t version)
{
  struct ir_buf o = { 0 };
  if (*domain) w_str(&o, 1, domain);
  w_int(&o, 2, version);
  w_msg(m, 8, o);
}
static void make_function(struct fuzz *f, struct ir_buf *m, int64_t version)
{
  struct ir_buf b = { 0 }, o = { 0 };
  struct gen g = { .f = f, .graph = &b, .opset = version, .function = true, .depth = MAX_DEPTH };
  w_str(&b, 1, fuzz_chance(f, 12) ? "Relu" : "Twice");
  for (unsigned i = 0; i < 2; i++) w_str(&b, 4, add_value(&g, (struct type){ FLOAT, 4, { 1, 3, 8, 8 } })->name);
  w_str(&b, 6, "k");
  for (size_t i = 1 + fuzz_below(f, 3); i--;) make_node(&g);
  w_str(&b, 5, g.v[g.n - 1].name);
  w_str(&b, 10, fuzz_chance(f, 12) ? "" : "own");
  w_int(&o, 2, fuzz_chance(f, 12) ? fuzz_number(f) : version);
  w_msg(&b, 9, o);
  w_msg(m, 25, b);
}
void make_model(struct fuzz *f, struct ir_buf *out)
{
  struct ir_buf graph = { 0 };
  struct gen g = { .f = f, .opset = fuzz_chance(f, 20) ? fuzz_number(f) : fuzz_chance(f, 3) ? 1 + (int64_t)fuzz_below(f, 28) : 9 + (int64_t)fuzz_below(f, 14) };
  make_graph(&g, &graph);
  w_int(out, 1, fuzz_chance(f, 30) ? fuzz_number(f) : 8);
  if (!fuzz_chance(f, 40)) opset(out, "", g.opset);
  if (fuzz_chance(f, 3)) opset(out, "own", 1);
  w_msg(out, 7, graph);
  if (fuzz_chance(f, 3)) make_function(f, out, g.opset);
}
