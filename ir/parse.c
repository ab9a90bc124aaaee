/* The parser of the graph's text form (docs/graph-ir.md, section "Text form"): recursive descent over regions, at most IR_TEXT_DEPTH deep, everything else flat.
 * Any bytes are safe. The first fault ends it with a diagnostic that names the line. What is read is built as it stands: checked and inferred, but identical
 * nodes stay two. */
#include "ir/text.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct decl { const struct ir_type *type; const struct ir_layout *layout; struct ir_data data; const char *name; bool weight; };
struct file { const char *name; struct ir_mapping map; };
struct named { const char *key; const void *p; };
struct scope { struct ir_graph *g; struct ir_set values; };
struct parser {
  struct ir_arena *arena;
  struct ir_module *m;
  const char *start, *s, *end, *dir;                   /* *end is 0 */
  bool failed;
  unsigned errors;                                     /* made before */
  struct ir_set consts, aliases;                       /* "@name" -> decl; symbol -> expression */
  IR_VEC(struct file) files;
};

/* ---- faults ---- */
static unsigned line_number(const struct parser *p)
{
  unsigned line = 1;
  for (const char *s = p->start; s < p->s && s < p->end; s++) line += *s == '\n';
  return line;
}
static bool fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct parser *p, const char *fmt, ...)
{
  if (p->failed) return false;
  p->failed = true;
  va_list ap;
  va_start(ap, fmt);
  char text[512];
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (p->m->diags->errors == p->errors) ir_error(p->m->diags, IR_M0205, NULL, NULL, "line %u: %s", line_number(p), text);
  return false;
}

/* ---- tokens ---- */
static void skip(struct parser *p)
{
  for (; p->s < p->end; p->s++)
    if (*p->s == ';') { while (p->s < p->end && *p->s != '\n') p->s++; if (p->s == p->end) return; }
    else if (*p->s != ' ' && *p->s != '\n' && *p->s != '\t' && *p->s != '\r') return;
}
static bool at(struct parser *p, const char *what)
{
  skip(p);
  size_t n = strlen(what);
  return (size_t)(p->end - p->s) >= n && !memcmp(p->s, what, n);
}
static bool take(struct parser *p, const char *what)
{
  if (!at(p, what)) return false;
  p->s += strlen(what);
  return true;
}
static bool expect(struct parser *p, const char *what) { return take(p, what) || fail(p, "expected \"%s\"", what); }
static size_t word_length(struct parser *p, bool (*ok)(int))
{
  skip(p);
  size_t n = 0;
  if (p->s == p->end || !ir_word_start((unsigned char)*p->s)) return 0;
  while (p->s + n < p->end && ok((unsigned char)p->s[n])) n++;
  return n;
}
static bool word_char(int c) { return ir_word_char(c); }
static bool name_char(int c) { return ir_name_char(c); }
static bool place_char(int c) { return ir_place_char(c); }
static bool take_word(struct parser *p, const char *what)
{
  size_t n = word_length(p, word_char);
  if (n != strlen(what) || memcmp(p->s, what, n)) return false;
  p->s += n;
  return true;
}
static const char *intern(struct parser *p, const char *s, size_t n) { return ir_intern(p->m->strs, s, n); }
static int hex(int c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }
static const char *string(struct parser *p, const char *mark)    /* between two marks, with escapes */
{
  struct ir_buf b = { 0 };
  const char *r = NULL;
  bool ok = expect(p, mark);
  while (ok && p->s < p->end && *p->s != *mark && *p->s != '\n') {
    char c = *p->s++;
    if (c == '\\' && p->s < p->end) {
      c = *p->s++;
      if (c == 'x') {
        int hi = p->end - p->s >= 2 ? hex(p->s[0]) : -1, lo = hi < 0 ? -1 : hex(p->s[1]);
        if (lo < 0 || hi * 16 + lo == 0) { ok = fail(p, "bad \\x in a string"); break; }
        c = (char)(hi * 16 + lo);
        p->s += 2;
      }
    }
    if (!c) { ok = fail(p, "a zero byte in a string"); break; }
    ir_buf_add(&b, &c, 1);
  }
  if (ok && p->s < p->end && *p->s == *mark) p->s++, r = intern(p, b.s ? b.s : "", b.n);
  else if (ok) fail(p, "a string without end");
  ir_buf_deinit(&b);
  return r;
}
static const char *quoted(struct parser *p) { return string(p, "\""); }
static const char *backquoted(struct parser *p) { return string(p, "`"); }         /* as ir_ix_print writes names that are no words */
/* A word of the given characters, or a quoted string; NULL with a fault. */
static const char *word_or_quoted(struct parser *p, bool (*ok)(int), const char *what)
{
  if (at(p, "\"")) return quoted(p);
  size_t n = word_length(p, ok);
  if (!n) { fail(p, "expected %s", what); return NULL; }
  p->s += n;
  return intern(p, p->s - n, n);
}
static bool integer(struct parser *p, int64_t *out)
{
  skip(p);
  const char *digits = p->s + (p->s < p->end && *p->s == '-');
  if (digits == p->end || *digits < '0' || *digits > '9') return fail(p, "expected an integer");
  char *stop;
  errno = 0;
  *out = strtoll(p->s, &stop, 10);
  if (errno) return fail(p, "integer out of range");
  p->s = stop;
  return true;
}
static bool small(struct parser *p, int64_t max, unsigned *out)
{
  int64_t v;
  TRY(integer(p, &v));
  if (v < 0 || v > max) return fail(p, "%lld is not within 0..%lld", (long long)v, (long long)max);
  *out = (unsigned)v;
  return true;
}
static bool real(struct parser *p, double *out)
{
  if (take_word(p, "nan")) { *out = (double)NAN; return true; }
  if (take_word(p, "inf")) { *out = (double)INFINITY; return true; }
  if (at(p, "-inf")) { p->s += 4; *out = -(double)INFINITY; return true; }
  skip(p);
  const char *digits = p->s + (p->s < p->end && *p->s == '-');
  if (digits == p->end || ((*digits < '0' || *digits > '9') && *digits != '.')) return fail(p, "expected a number");
  char *stop;
  *out = strtod(p->s, &stop);
  if (stop == p->s) return fail(p, "expected a number");
  p->s = stop;
  return true;
}
static bool element(struct parser *p, enum ir_elem e, double *f, int64_t *i)
{
  *f = 0;
  *i = 0;
  if (ir_elem_float(e)) return real(p, f);
  if (e == IR_bool) {
    if (take_word(p, "true")) *i = 1;
    else if (!take_word(p, "false")) return fail(p, "expected true or false");
    return true;
  }
  skip(p);
  if (e == IR_u64 && p->s < p->end && *p->s >= '0' && *p->s <= '9') {
    char *stop;
    errno = 0;
    *i = (int64_t)strtoull(p->s, &stop, 10);
    if (errno) return fail(p, "integer out of range");
    p->s = stop;
    return true;
  }
  TRY(integer(p, i));
  return ir_wrap_to(e, *i) == *i || fail(p, "%lld does not fit %s", (long long)*i, ir_elem_name(e));
}
/* "[" item { "," item } "]": one(p, arg) reads an item. */
static bool list(struct parser *p, bool (*one)(struct parser *p, void *arg), void *arg)
{
  TRY(expect(p, "["));
  if (take(p, "]")) return true;
  do TRY(one(p, arg));
  while (take(p, ","));
  return expect(p, "]");
}

/* ---- sets by interned string ---- */
static bool key_eq(const void *key, const void *elem) { return ((const struct named *)elem)->key == key; }
static uint64_t key_hash(const char *s) { return ir_hash(&s, sizeof s, 0); }
static const void *lookup(const struct ir_set *set, const char *key)
{
  const struct named *n = ir_set_find(set, key_hash(key), key, key_eq);
  return n ? n->p : NULL;
}
static void define(struct parser *p, struct ir_set *set, const char *key, const void *v)
{
  struct named *n = IR_NEW(p->arena, struct named);
  *n = (struct named){ key, v };
  ir_set_add(p->arena, set, key_hash(key), n);
}

/* ---- expressions ---- */
static const struct ir_ix *unknown_symbol(void *arg, struct ir_ixs *t, const char *name)
{
  struct parser *p = arg;
  unsigned k;
  char back[16];
  if (sscanf(name, "c%2u", &k) == 1 && k < IR_MAX_RANK) {
    snprintf(back, sizeof back, "c%u", k);
    if (!strcmp(back, name)) return ir_ix_coord(t, k);
  }
  return lookup(&p->aliases, ir_intern(p->m->strs, name, strlen(name)));
}
static const struct ir_ix *expression(struct parser *p)
{
  skip(p);
  const struct ir_ix *e = ir_ix_parse(p->m->ixs, &p->s, p->end, unknown_symbol, p);
  if (!e) fail(p, "bad expression");
  return e;
}
struct exprs { const struct ir_ix **v; unsigned n, max; };
static bool one_expr(struct parser *p, void *arg)
{
  struct exprs *x = arg;
  if (x->n == x->max) return fail(p, "a list of more than %u expressions", x->max);
  return (x->v[x->n++] = expression(p)) != NULL;
}
struct ints { IR_VEC(int64_t) v; };
static bool one_int(struct parser *p, void *arg)
{
  struct ints *x = arg;
  int64_t v;
  TRY(integer(p, &v));
  ir_push(p->arena, &x->v, v);
  return true;
}

/* ---- types and layouts ---- */
static bool halo(struct parser *p, unsigned rank, uint8_t out[][2])
{
  if (!take_word(p, "halo")) return true;
  TRY(expect(p, "("));
  do {
    unsigned d = 0, lo = 0, hi = 0;
    TRY(small(p, (int64_t)rank - 1, &d) && expect(p, ":") && small(p, 255, &lo) && expect(p, ":") && small(p, 255, &hi));
    out[d][0] = (uint8_t)lo;
    out[d][1] = (uint8_t)hi;
  } while (take(p, ","));
  return expect(p, ")");
}
/* 0,1/16,2,3,1%16 halo(2:1:1) pad(1:16) */
static bool short_layout(struct parser *p, const struct ir_type *t, const struct ir_layout **out)
{
  unsigned d = 0, axis = t->rank, block = 1, pad = 0, k = 0;
  uint8_t h[IR_MAX_RANK][2] = { 0 };
  for (unsigned i = 0; i < t->rank; i++) {
    if (i) TRY(expect(p, ","));
    TRY(small(p, IR_MAX_RANK, &d));
    if (d != i) return fail(p, "axes of a layout stand in order");
    if (!take(p, "/")) continue;
    if (axis < t->rank) return fail(p, "a layout blocks one axis");
    axis = d;
    TRY(small(p, 1 << 20, &block));
  }
  if (axis < t->rank) {
    TRY(expect(p, ",") && small(p, IR_MAX_RANK, &d) && expect(p, "%") && small(p, 1 << 20, &k));
    if (d != axis || k != block || block < 2) return fail(p, "the block of a layout is named twice: 1/16 .. 1%%16");
  }
  TRY(halo(p, t->rank, h));
  if (take_word(p, "pad")) {
    TRY(expect(p, "(") && small(p, (int64_t)t->rank - 1, &d) && expect(p, ":") && small(p, 1 << 20, &pad) && expect(p, ")"));
    if (axis < t->rank && axis != d) return fail(p, "the padded axis is the blocked one");
    axis = d;
  }
  if (t->rank == 0) return fail(p, "a scalar has no layout");
  *out = ir_layout_blocked(p->m, t, axis < t->rank ? axis : 0, block, (const uint8_t (*)[2])h, pad);
  return true;
}
static bool general_layout(struct parser *p, const struct ir_type *t, const struct ir_layout **out)
{
  struct ir_layout l = { 0 };
  struct exprs lo = { l.lo, 0, t->rank }, hi = { l.hi, 0, t->rank };
  TRY(expect(p, "at") && expect(p, "=") && (l.at = expression(p)));
  TRY(expect(p, ",") && expect(p, "elems") && expect(p, "=") && (l.elems = expression(p)));
  TRY(expect(p, ",") && expect(p, "lo") && expect(p, "=") && list(p, one_expr, &lo));
  TRY(expect(p, ",") && expect(p, "hi") && expect(p, "=") && list(p, one_expr, &hi) && expect(p, "}"));
  if (lo.n != t->rank || hi.n != t->rank) return fail(p, "the layout's domain does not have rank %u", t->rank);
  TRY(halo(p, t->rank, l.halo));
  *out = ir_layout_get(p->m, &l);
  return true;
}
static bool layout(struct parser *p, const struct ir_type *t, const struct ir_layout **out)
{
  TRY(take(p, "{") ? general_layout(p, t, out) : short_layout(p, t, out));
  if (!take_word(p, "zero")) return true;
  struct ir_layout l = **out;
  l.zero = true;
  *out = ir_layout_get(p->m, &l);
  return true;
}
struct typed { const struct ir_type *type; const struct ir_layout *layout; bool weight; const char *place; };
static bool type(struct parser *p, struct typed *out)
{
  const struct ir_ix *dim[IR_MAX_RANK];
  struct exprs x = { dim, 0, IR_MAX_RANK };
  enum ir_elem e;
  int64_t k;
  *out = (struct typed){ 0 };
  size_t n = word_length(p, word_char);
  if (!n || !ir_elem_parse(p->s, n, &e)) return fail(p, "expected a type");
  p->s += n;
  TRY(list(p, one_expr, &x));
  for (unsigned i = 0; i < x.n; i++)
    if (ir_ix_const(dim[i], &k) && k < 0) return fail(p, "a dimension is negative");
  out->type = ir_type_get(p->m, e, x.n, dim);
  if (take(p, "@")) TRY(layout(p, out->type, &out->layout));
  out->weight = take_word(p, "weight");
  return true;
}
static bool place(struct parser *p, struct typed *t)
{
  if (at(p, "\"")) return (t->place = quoted(p)) != NULL;
  size_t n = word_length(p, place_char);
  if (!n || (n == 3 && !memcmp(p->s, "loc", 3))) return true;
  t->place = intern(p, p->s, n);
  p->s += n;
  return true;
}

/* ---- dims and constants ---- */
static bool dims(struct parser *p, bool late)
{
  const char *name = at(p, "`") ? backquoted(p) : word_or_quoted(p, word_char, "the name of a dimension");
  TRY(name);
  if (ir_ix_find(p->m->ixs, name) || lookup(&p->aliases, name) || unknown_symbol(p, p->m->ixs, name)) return fail(p, "dimension %s is declared twice", name);
  if (!late && take(p, "=")) {
    const struct ir_ix *e = expression(p);
    if (e) define(p, &p->aliases, name, e);
    return e != NULL;
  }
  int64_t lo, hi = IR_IX_INF, by = 1;
  TRY(integer(p, &lo) && expect(p, ".."));
  if (p->s < p->end && *p->s >= '0' && *p->s <= '9') TRY(integer(p, &hi));
  if (p->s < p->end && *p->s == '%') { p->s++; TRY(integer(p, &by)); }
  if ((lo < 0 && !late) || lo < -IR_IX_INF / 2 || hi < lo || by < 1 || (late && by > 1)) return fail(p, "bad range of dimension %s", name);
  if (lo > IR_IX_INF - by || ir_floordiv(lo + by - 1, by) > (hi == IR_IX_INF ? hi : hi / by)) return fail(p, "no multiple of %lld lies in the range of %s", (long long)by, name);
  if (late) {
    const struct ir_ix *most = take(p, "<=") ? expression(p) : NULL;
    TRY(most || p->errors == p->m->diags->errors);
    ir_late_symbol(p->m, name, lo, hi, most);
  } else ir_ix_sym(p->m->ixs, name, IR_SYM_DIM, lo, hi, by);
  return true;
}
/* value NAME = PARAMETER[ELEMENT] */
static bool value_symbol(struct parser *p)
{
  const char *name = at(p, "`") ? backquoted(p) : word_or_quoted(p, word_char, "the name of a symbol");
  int64_t param, elem;
  TRY(name);
  if (ir_ix_find(p->m->ixs, name) || lookup(&p->aliases, name) || unknown_symbol(p, p->m->ixs, name)) return fail(p, "dimension %s is declared twice", name);
  TRY(expect(p, "=") && integer(p, &param) && expect(p, "[") && integer(p, &elem) && expect(p, "]"));
  if (param < 0 || elem < 0 || param > 1 << 20 || elem > 1 << 20) return fail(p, "no such element of an input");
  const struct ir_ix *s = ir_ix_sym(p->m->ixs, name, IR_SYM_DIM, -INT32_MAX, INT32_MAX, 1);
  ir_push(p->m->arena, &p->m->value_syms, ((struct ir_value_sym){ s, (unsigned)param, (unsigned)elem }));
  return true;
}
static bool value_symbols_fit(struct parser *p)
{
  for (uint32_t i = 0; i < p->m->value_syms.n; i++) {
    const struct ir_value_sym *s = &p->m->value_syms.v[i];
    int64_t n = 0;
    const struct ir_type *t = s->param < p->m->main->params.n ? p->m->main->params.v[s->param]->type : NULL;
    if (!t || t->rank > 1 || !ir_type_static(t, NULL, &n) || s->elem >= n) return fail(p, "input %u has no element %u", s->param, s->elem);
  }
  return true;
}
static bool open_file(struct parser *p, const char *name, struct ir_mapping *out)
{
  for (uint32_t i = 0; i < p->files.n; i++)
    if (p->files.v[i].name == name) { *out = p->files.v[i].map; return true; }
  if (!p->dir || *name == '/' || strstr(name, "..")) return fail(p, "constants in files are not allowed here: \"%s\"", name);
  int err = ir_file_map(ir_arena_printf(p->arena, "%s/%s", p->dir, name), out);
  if (err) return fail(p, "\"%s\": %s", name, strerror(err));
  ir_push(p->arena, &p->files, ((struct file){ name, *out }));
  return true;
}
static bool file_source(struct parser *p, struct ir_data *d)
{
  int64_t offset, bytes;
  struct ir_mapping map;
  TRY((d->file = quoted(p)) && integer(p, &offset) && integer(p, &bytes) && open_file(p, d->file, &map));
  if (offset < 0 || bytes < 0 || (uint64_t)offset > map.n || (uint64_t)bytes > map.n - (uint64_t)offset) return fail(p, "bytes %lld + %lld lie outside of \"%s\"", (long long)offset, (long long)bytes, d->file);
  d->kind = IR_DATA_BYTES;
  d->offset = (uint64_t)offset;
  d->bytes = (uint64_t)bytes;
  d->p = map.p + offset;
  if (!take_word(p, "hash")) return true;
  skip(p);
  char *stop;
  errno = 0;
  uint64_t hash = strtoull(p->s, &stop, 16);
  if (stop == p->s || errno) return fail(p, "bad hash");
  p->s = stop;
  return ir_data_hash(d, d->bytes) == hash || fail(p, "the content of \"%s\" has changed", d->file);
}
struct elements { enum ir_elem e; struct ir_buf b; };
static bool one_element(struct parser *p, void *arg)
{
  struct elements *x = arg;
  double f;
  int64_t i;
  unsigned char bytes[8];
  TRY(element(p, x->e, &f, &i));
  ir_elem_store(x->e, bytes, f, i);
  ir_buf_add(&x->b, bytes, ir_elem_bytes(x->e));
  return true;
}
static bool source(struct parser *p, struct decl *d)
{
  if (take_word(p, "splat")) {
    d->data.kind = IR_DATA_SPLAT;
    return element(p, d->type->elem, &d->data.splat, &d->data.splat_i);
  }
  if (take_word(p, "file")) return file_source(p, &d->data);
  struct elements x = { .e = d->type->elem };
  bool ok = list(p, one_element, &x);
  d->data = (struct ir_data){ .kind = IR_DATA_BYTES, .p = ir_arena_copy(p->m->arena, x.b.s, x.b.n), .bytes = x.b.n };
  ir_buf_deinit(&x.b);
  return ok;
}
static bool constant(struct parser *p)
{
  struct typed t;
  TRY(expect(p, "@"));
  struct decl *d = IR_NEW(p->arena, struct decl);
  TRY(d->name = word_or_quoted(p, name_char, "a name"));
  TRY(expect(p, ":") && type(p, &t) && expect(p, "="));
  d->type = t.type;
  d->layout = t.layout;
  d->weight = t.weight;
  TRY(source(p, d));
  struct ir_data normal;
  if (!ir_data_normalise(p->m, d->type, &d->data, &normal)) return fail(p, "%llu bytes do not fit %s", (unsigned long long)d->data.bytes, ir_type_str(p->m->arena, d->type));
  const char *key = intern(p, ir_arena_printf(p->arena, "@%s", d->name), strlen(d->name) + 1);
  if (lookup(&p->consts, key)) return fail(p, "constant @%s is declared twice", d->name);
  define(p, &p->consts, key, d);
  return true;
}

/* ---- operands ---- */
struct operand { struct ir_value *v; bool literal, boolean; const char *at; };      /* a literal is read again when its type is known */
static const char *value_key(struct parser *p)         /* behind the %: "%name" interned */
{
  skip(p);
  size_t n = 0;
  while (p->s + n < p->end && p->s[n] >= '0' && p->s[n] <= '9') n++;
  const char *name = n ? intern(p, p->s, n) : word_or_quoted(p, name_char, "a value");
  if (!name) return NULL;
  p->s += n;
  const char *key = ir_arena_printf(p->arena, n ? "#%s" : "%%%s", name);
  return intern(p, key, strlen(key));
}
static struct ir_value *scalar(struct scope *s, enum ir_elem e, double f, int64_t i)
{
  struct ir_builder b = { .g = s->g };
  return ir_const_splat(&b, ir_type_get(s->g->module, e, 0, NULL), f, i);
}
static struct ir_value *const_value(struct parser *p, struct scope *s, const char *key)
{
  const struct ir_value *known = lookup(&s->values, key);
  if (known) return (struct ir_value *)known;
  const struct decl *d = lookup(&p->consts, key);
  if (!d) { fail(p, "constant %s is not declared", key); return NULL; }
  struct ir_builder b = { .g = s->g };
  struct ir_value *v = ir_const_bytes(&b, d->type, &d->data, d->name);
  if (!v) { p->failed = true; return NULL; }
  v->layout = d->layout;
  v->weight = d->weight;
  define(p, &s->values, key, v);
  return v;
}
static bool operand(struct parser *p, struct scope *s, struct operand *out)
{
  *out = (struct operand){ 0 };
  if (take(p, "%")) {
    const char *key = value_key(p);
    TRY(key);
    out->v = (struct ir_value *)lookup(&s->values, key);
    return out->v || fail(p, "value %%%s is used before it is defined", key + 1);
  }
  if (take(p, "@")) {
    const char *name = word_or_quoted(p, name_char, "a name");
    TRY(name);
    return (out->v = const_value(p, s, intern(p, ir_arena_printf(p->arena, "@%s", name), strlen(name) + 1))) != NULL;
  }
  out->boolean = take_word(p, "true");
  if (out->boolean || take_word(p, "false")) return (out->v = scalar(s, IR_bool, 0, out->boolean)) != NULL;
  skip(p);
  out->literal = true;
  out->at = p->s;
  double f;
  return real(p, &f);
}
static bool resolve_literals(struct parser *p, struct scope *s, enum ir_op op, struct operand *o, unsigned n, enum ir_elem result)
{
  struct ir_value **v = IR_NEWN(p->arena, struct ir_value *, n + 1);
  bool *scalars = IR_NEWN(p->arena, bool, n + 1);
  enum ir_elem e;
  for (unsigned i = 0; i < n; i++) {
    v[i] = o[i].v;
    scalars[i] = o[i].literal || (o[i].v->def && o[i].v->def->op == IR_OP_const && o[i].v->type->rank == 0);
  }
  bool told = ir_literal_elem(op, n, v, scalars, result, &e);
  const char *back = p->s;
  for (unsigned i = 0; i < n; i++) {
    if (!o[i].literal) continue;
    p->s = o[i].at;
    double f;
    int64_t k;
    if (!told) return fail(p, "the type of this literal is not known");
    TRY(element(p, e, &f, &k));
    TRY(o[i].v = scalar(s, e, f, k));
  }
  p->s = back;
  return true;
}

/* ---- attributes ---- */
static bool attr_value(struct parser *p, struct ir_attr *a)
{
  struct ints ints = { 0 };
  struct exprs ixs = { IR_NEWN(p->arena, const struct ir_ix *, 64), 0, 64 };
  size_t n;
  switch (a->kind) {
  case IR_A_INT: return integer(p, &a->i);
  case IR_A_FLOAT: return real(p, &a->f);
  case IR_A_STR: return (a->s = word_or_quoted(p, word_char, "a word or a string")) != NULL;
  case IR_A_ELEM:
    n = word_length(p, word_char);
    if (!n || !ir_elem_parse(p->s, n, &a->elem)) return fail(p, "expected an element type");
    p->s += n;
    return true;
  case IR_A_INTS:
    TRY(list(p, one_int, &ints));
    a->is = ints.v.v;
    a->n = ints.v.n;
    return true;
  case IR_A_IXS:
    TRY(list(p, one_expr, &ixs));
    a->ix = ixs.v;
    a->n = ixs.n;
    return true;
  }
  return false;
}
static bool attr(struct parser *p, enum ir_op op, struct ir_attr *a)
{
  const struct ir_attr_decl *d = ir_op_def(op)->attrs;
  if (at(p, "\"")) {
    if (!d[0].key || d[0].kind != IR_A_STR) return fail(p, "%s has no text as its first attribute", ir_op_def(op)->name);
    *a = (struct ir_attr){ .key = d[0].key, .kind = IR_A_STR };
    return attr_value(p, a);
  }
  const char *key = word_or_quoted(p, word_char, "an attribute");
  TRY(key && expect(p, "="));
  for (unsigned i = 0; i < 12 && d[i].key; i++)
    if (!strcmp(d[i].key, key)) {
      *a = (struct ir_attr){ .key = d[i].key, .kind = d[i].kind };
      return attr_value(p, a);
    }
  return fail(p, "%s has no attribute \"%s\"", ir_op_def(op)->name, key);
}
static bool attrs(struct parser *p, enum ir_op op, struct ir_attr *out, unsigned *n)
{
  *n = 0;
  if (!take(p, "{") || take(p, "}")) return true;
  do {
    if (*n == 12) return fail(p, "too many attributes");
    TRY(attr(p, op, &out[(*n)++]));
  } while (take(p, ","));
  return expect(p, "}");
}

/* ---- nodes ---- */
static bool graph_body(struct parser *p, struct ir_graph *g, unsigned depth);
struct line {                                          /* one node, as read */
  const char *at;
  IR_VEC(const char *) keys;
  IR_VEC(struct operand) in;
  IR_VEC(struct typed) types;
  IR_VEC(const char *) loc;
  IR_VEC(struct ir_graph *) body;
  struct ir_attr attr[12];
  unsigned n_attr;
};
static bool region_name(struct parser *p, enum ir_op op, const char **out)
{
  if (op == IR_OP_composite) TRY(expect(p, "@"));
  if (take_word(p, "_")) return true;
  return (*out = word_or_quoted(p, word_char, "a name")) != NULL;
}
static bool result_types(struct parser *p, struct line *l)
{
  TRY(expect(p, ":"));
  do {
    struct typed t;
    TRY(type(p, &t) && place(p, &t));
    ir_push(p->arena, &l->types, t);
  } while (take(p, ","));
  return l->types.n == l->keys.n || fail(p, "%u results, but %u types", l->keys.n, l->types.n);
}
static bool bodies(struct parser *p, struct line *l, unsigned depth)
{
  while (at(p, "(")) {
    if (l->body.n == 4) return fail(p, "too many bodies");
    struct ir_graph *g = ir_graph_create(p->m, NULL);
    ir_push(p->arena, &l->body, g);
    TRY(graph_body(p, g, depth + 1));
  }
  return true;
}
static bool origin(struct parser *p, struct line *l)
{
  if (!take_word(p, "loc")) return true;
  do {
    const char *s = quoted(p);
    TRY(s);
    ir_push(p->arena, &l->loc, s);
  } while (take(p, ","));
  return true;
}
/* The text's types may be sharper than what is inferred now, never another one. */
static bool types_agree(struct parser *p, struct line *l, struct ir_node *n)
{
  if (n->n_out != l->types.n) return fail(p, "%s has %u results", ir_op_def(n->op)->name, n->n_out);
  for (unsigned i = 0; i < n->n_out; i++) {
    const struct ir_type *a = n->out[i]->type, *b = l->types.v[i].type;
    bool ok = a->elem == b->elem && a->rank == b->rank;
    for (unsigned d = 0; ok && d < a->rank; d++) ok = a->dim[d] == b->dim[d] || ir_prove_eq0(&p->m->facts, ir_ix_sub(a->dim[d], b->dim[d])) != IR_NO;
    if (!ok) return fail(p, "the result is %s, not %s", ir_type_str(p->m->arena, a), ir_type_str(p->m->arena, b));
    n->out[i]->type = b;
    n->out[i]->layout = l->types.v[i].layout;
    n->out[i]->weight = l->types.v[i].weight;
  }
  return true;
}
static bool build(struct parser *p, struct scope *s, enum ir_op op, const char *name, struct line *l)
{
  struct ir_module *m = p->m;
  TRY(resolve_literals(p, s, op, l->in.v, l->in.n, l->types.v[0].type->elem));
  struct ir_node proto = { .op = op, .graph = s->g, .n_in = l->in.n, .name = name, .place = l->types.v[0].place, .n_body = l->body.n };
  proto.in = IR_NEWN(p->arena, struct ir_value *, l->in.n + 1);
  for (unsigned i = 0; i < l->in.n; i++) proto.in[i] = l->in.v[i].v;
  proto.prov = ir_prov_get(m, l->loc.n, l->loc.v);
  proto.body = ir_arena_copy(m->arena, l->body.v, l->body.n * sizeof *l->body.v);
  if ((proto.n_body > 0) != (ir_op_def(op)->class == IR_C_REGION)) return fail(p, "%s with %u bodies", ir_op_def(op)->name, proto.n_body);
  if (!l->loc.n) m->tables->onnx_node = ir_arena_printf(m->arena, "line %u", line_number(p));       /* whom diagnostics name */
  struct ir_node *n = ir_attrs_normalise(m, &proto, l->attr, l->n_attr) ? ir_node_make(s->g, NULL, &proto) : NULL;
  m->tables->onnx_node = NULL;
  if (!n) return fail(p, "%s does not fit its operands", ir_op_def(op)->name);
  TRY(types_agree(p, l, n));
  for (unsigned i = 0; i < n->n_out; i++) {
    if (lookup(&s->values, l->keys.v[i])) return fail(p, "value %%%s is defined twice", l->keys.v[i] + 1);
    define(p, &s->values, l->keys.v[i], n->out[i]);
  }
  return true;
}
static bool node(struct parser *p, struct scope *s, unsigned depth)
{
  skip(p);
  struct line l = { .at = p->s };
  const char *name = NULL;
  enum ir_op op;
  do {
    const char *key = expect(p, "%") ? value_key(p) : NULL;
    TRY(key);
    ir_push(p->arena, &l.keys, key);
  } while (take(p, ","));
  TRY(expect(p, "="));
  size_t n = word_length(p, word_char);
  if (!n || !ir_op_parse(p->s, n, &op) || op == IR_OP_const) return fail(p, "unknown op");
  p->s += n;
  if (ir_op_def(op)->class == IR_C_REGION) TRY(region_name(p, op, &name));
  if (!at(p, "{") && !at(p, ":")) {
    do {
      struct operand o;
      TRY(operand(p, s, &o));
      ir_push(p->arena, &l.in, o);
    } while (take(p, ","));
  }
  TRY(attrs(p, op, l.attr, &l.n_attr) && result_types(p, &l) && bodies(p, &l, depth) && origin(p, &l));
  const char *back = p->s;
  p->s = l.at;                                         /* faults from here on name the node's line */
  bool ok = build(p, s, op, name, &l);
  p->s = back;
  return ok;
}

/* ---- graphs ---- */
static bool params(struct parser *p, struct scope *s)
{
  TRY(expect(p, "("));
  if (take(p, ")")) return true;
  do {
    struct typed t;
    const char *key = expect(p, "%") ? value_key(p) : NULL;
    TRY(key);
    if (lookup(&s->values, key)) return fail(p, "value %%%s is defined twice", key + 1);
    TRY(expect(p, ":") && type(p, &t));
    struct ir_value *v = ir_graph_param(s->g, t.type, *key == '%' ? key + 1 : NULL);
    v->layout = t.layout;
    v->weight = t.weight;
    define(p, &s->values, key, v);
  } while (take(p, ","));
  return expect(p, ")");
}
static bool requires(struct parser *p)
{
  do {
    struct ir_require r = { .e = expression(p) };
    TRY(r.e);
    r.eq = take(p, "==");
    TRY((r.eq || expect(p, ">=")) && expect(p, "0"));
    if (at(p, "\"")) TRY(r.why = quoted(p));
    ir_push(p->m->arena, &p->m->requires, r);
    ir_facts_push(&p->m->facts, r.e);
    if (r.eq) ir_facts_push(&p->m->facts, ir_ix_neg(r.e));
  } while (take(p, ","));
  return true;
}
/* Results stand before the nodes: their text is kept and read at the end. */
static bool skip_results(struct parser *p, bool top)
{
  while (!at(p, "{") && !(top && at(p, "require"))) {
    if (p->s == p->end) return fail(p, "expected \"{\"");
    if (*p->s == '"') { TRY(quoted(p)); continue; }
    if (*p->s++ != '%') continue;
    while (p->s < p->end && ir_name_char((unsigned char)*p->s)) p->s++;      /* a value may be called "require" */
  }
  return true;
}
static bool results(struct parser *p, struct scope *s, bool top)
{
  if (at(p, "{") || (top && at(p, "require"))) return true;
  do {
    struct operand o;
    TRY(operand(p, s, &o));
    if (o.literal) return fail(p, "a number cannot be a result");
    const char *name = NULL;
    if (top && at(p, "\"")) TRY(name = quoted(p));
    ir_push(p->m->arena, &s->g->results, o.v);
    if (top) ir_push(p->m->arena, &s->g->result_names, name);
  } while (take(p, ","));
  return at(p, "{") || (top && at(p, "require")) || fail(p, "expected \",\" or \"{\" behind a result");
}
static bool graph_body(struct parser *p, struct ir_graph *g, unsigned depth)
{
  struct scope s = { .g = g };
  bool top = depth == 0;
  if (depth >= IR_TEXT_DEPTH) return fail(p, "regions nest deeper than %d", IR_TEXT_DEPTH);
  TRY(params(p, &s) && expect(p, "->"));
  skip(p);
  const char *at_results = p->s;
  TRY(skip_results(p, top));
  if (top && take_word(p, "require")) TRY(requires(p));
  TRY(expect(p, "{"));
  while (!take(p, "}")) TRY(node(p, &s, depth));
  const char *back = p->s;
  p->s = at_results;
  TRY(results(p, &s, top));
  p->s = back;
  return true;
}
static bool file(struct parser *p)
{
  for (;;) {
    if (take_word(p, "dims")) TRY(dims(p, false));
    else if (take_word(p, "late")) TRY(dims(p, true));
    else if (take_word(p, "value")) TRY(value_symbol(p));
    else if (take_word(p, "const")) TRY(constant(p));
    else if (take_word(p, "graph")) break;
    else return fail(p, "expected dims, late, value, const or graph");
  }
  const char *name = NULL;
  if (!take_word(p, "_")) TRY(name = word_or_quoted(p, name_char, "the graph's name"));
  TRY(graph_body(p, ir_graph_create(p->m, name), 0));
  TRY(value_symbols_fit(p));
  skip(p);
  return p->s == p->end || fail(p, "text behind the graph");
}
struct ir_module *ir_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n, const char *dir)
{
  struct parser p = { .arena = ir_arena_create(), .m = ir_module_create(a, d), .dir = dir, .errors = d->errors };
  p.start = p.s = ir_arena_strndup(p.arena, text, n);    /* behind the last byte stands a 0, so that strtod and the like stop there */
  p.end = p.start + n;
  bool ok = file(&p);
  const char *why;
  if (ok && !ir_verify(p.m, IR_P_IMPORTED, &why)) ok = fail(&p, "%s", why);   /* a later requirement may belie an earlier type */
  if (!ok)
    for (uint32_t i = 0; i < p.files.n; i++) ir_file_unmap(&p.files.v[i].map);
  ir_arena_destroy(p.arena);
  return ok ? p.m : NULL;
}
