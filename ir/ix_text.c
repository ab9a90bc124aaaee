/* Text of index expressions.
 *   sum := ["-"] product {("+" | "-") product}      product := unary {("*" | "/" | "%") unary}      unary := "-" unary | primary
 *   primary := number | name | "(" sum ")" | "[" sum rel sum "]" | ("min" | "max" | "bcast") "(" sum {"," sum} ")" | "opaque" "(" sum ")" | "i" number "[" sum {"," sum} "]"
 *   rel := ">=" | "<=" | ">" | "<" | "=="
 * Printed terms, factors and operands of min, max, bcast stand in an order of their content, not of their making: symbols first (coordinates behind the others),
 * so that a text read into another table prints as it was.
 * A name that is not of letters, digits, "_" and inner "." stands in backquotes, with \xHH for what does not print. / is floor division. */
#include "ir/ix_internal.h"
#include <ctype.h>
#include <stdlib.h>

/* ---- print ---- */
static void put(struct ir_buf *b, const char *s) { ir_buf_add(b, s, strlen(s)); }
static bool name_char(int c) { return c == '_' || (c < 128 && isalnum(c)); }
static size_t plain_name(const char *s, const char *end)      /* length of the identifier at s, 0: none */
{
  const char *p = s;
  if (p == end || !(*p == '_' || ((unsigned char)*p < 128 && isalpha((unsigned char)*p)))) return 0;
  while (p < end && (name_char((unsigned char)*p) || (*p == '.' && p + 1 < end && name_char((unsigned char)p[1])))) p++;
  return (size_t)(p - s);
}
void ir_ix_print_name(struct ir_buf *b, const char *s)
{
  size_t n = strlen(s);
  if (n && plain_name(s, s + n) == n) { ir_buf_add(b, s, n); return; }
  put(b, "`");
  for (; *s; s++)
    if ((unsigned char)*s < 32 || *s == 127 || *s == '`' || *s == '\\') ir_buf_printf(b, "\\x%02x", (unsigned char)*s);
    else ir_buf_add(b, s, 1);
  put(b, "`");
}
static void put_sum(struct ir_buf *b, struct ir_ixs *t, const struct term *v, uint32_t n);
static void put_ix(struct ir_buf *b, const struct ir_ix *e) { put_sum(b, e->t, e->v, e->n); }
static bool single_atom(const struct ir_ix *e)         /* printed without an operator */
{
  if (e->n != 1 || e->v[0].k != 1 || e->v[0].m->n != 1) return false;
  const struct ir_atom *a = e->v[0].m->a[0];
  return a->kind != IR_ATOM_DIV && (a->kind != IR_ATOM_SYM || !a->sym->whole);
}
static void put_operand(struct ir_buf *b, const struct ir_ix *e)      /* right of / or %, or left of % */
{
  bool bare = single_atom(e) || ir_ix_as_sym(e) || !e->n || (e->n == 1 && !e->v[0].m->n && e->v[0].k >= 0);
  if (!bare) put(b, "(");
  put_ix(b, e);
  if (!bare) put(b, ")");
}
static void put_list(struct ir_buf *b, const char *open, const struct ir_ix *const *v, unsigned n, const char *close)
{
  put(b, open);
  for (unsigned i = 0; i < n; i++) { if (i) put(b, ", "); put_ix(b, v[i]); }
  put(b, close);
}
static void put_test(struct ir_buf *b, const struct ir_ix *e, const char *less, const char *more)      /* positive terms against negative ones */
{
  struct poly pos = { .n = 0 }, neg = { .n = 0 };
  for (uint32_t i = 0; i < e->n; i++)
    if (e->v[i].k > 0 || e->v[i].k == INT64_MIN) pos.v[pos.n++] = e->v[i];
    else neg.v[neg.n++] = (struct term){ -e->v[i].k, e->v[i].m };
  bool flip = neg.n && neg.v[0].m->n;               /* "c3 <= c2" rather than "c2 >= c3"; constants stay right */
  put(b, "[");
  put_sum(b, e->t, flip ? neg.v : pos.v, flip ? neg.n : pos.n);
  put(b, flip ? less : more);
  put_sum(b, e->t, flip ? pos.v : neg.v, flip ? pos.n : neg.n);
  put(b, "]");
}
/* min(a, min(b, c)) is min(a, b, c), by text, constants last */
static int by_text(const void *a, const void *b)
{
  const struct ir_buf *x = a, *y = b;
  bool dx = isdigit((unsigned char)*x->s) || *x->s == '-', dy = isdigit((unsigned char)*y->s) || *y->s == '-';
  return dx != dy ? dx - dy : strcmp(x->s, y->s);
}
static void put_set(struct ir_buf *b, const char *open, const struct ir_atom *a)
{
  struct ir_buf v[32] = { 0 };
  const struct ir_ix *todo[32] = { a->a, a->b };
  unsigned n = 0, left = 2;
  while (left) {
    const struct ir_ix *e = todo[--left];
    const struct ir_atom *inner = single_atom(e) ? e->v[0].m->a[0] : NULL;
    if (inner && inner->kind == a->kind && n + left + 2 < 32) { todo[left++] = inner->a; todo[left++] = inner->b; }
    else put_ix(&v[n++], e);
  }
  qsort(v, n, sizeof *v, by_text);
  put(b, open);
  for (unsigned i = 0; i < n; i++) {
    if (i) put(b, ", ");
    ir_buf_add(b, v[i].s, v[i].n);
    ir_buf_deinit(&v[i]);
  }
  put(b, ")");
}
static void put_atom(struct ir_buf *b, const struct ir_atom *a, bool whole, bool alone)
{
  char open[32];
  switch (a->kind) {
  case IR_ATOM_SYM:
    if (a->sym->def) put_list(b, "opaque(", &a->sym->def, 1, ")");
    else if (whole) ir_ix_print_name(b, a->sym->whole->name);
    else if (a->sym->whole) { put(b, alone ? "" : "("); ir_ix_print_name(b, a->sym->whole->name); ir_buf_printf(b, "/%lld%s", (long long)a->sym->whole->by, alone ? "" : ")"); }
    else ir_ix_print_name(b, a->sym->name);
    break;
  case IR_ATOM_DIV: {
    if (!alone) put(b, "(");
    bool paren = a->a->n > 1;
    if (paren) put(b, "(");
    put_ix(b, a->a);
    put(b, paren ? ")/" : "/");
    put_operand(b, a->b);
    if (!alone) put(b, ")");
    break;
  }
  case IR_ATOM_MIN: put_set(b, "min(", a); break;
  case IR_ATOM_MAX: put_set(b, "max(", a); break;
  case IR_ATOM_BCAST: put_set(b, "bcast(", a); break;
  case IR_ATOM_GE0: put_test(b, a->a, " <= ", " >= "); break;
  case IR_ATOM_EQ0: put_test(b, a->a, " == ", " == "); break;
  case IR_ATOM_LOAD:
    snprintf(open, sizeof open, "i%u[", a->array);
    put_list(b, open, a->at, a->n, "]");
    break;
  }
}
/* k * product of factors; the last factor may be e % mod, with no atom */
struct factor { const struct ir_atom *a; struct ir_buf s; };       /* s: in parentheses where a product needs them */
struct item { int64_t k; unsigned n; bool mod; struct factor *f; };
static int by_content(const void *x, const void *y)
{
  const struct factor *f = x, *g = y;
  const struct ir_sym *a = f->a && f->a->kind == IR_ATOM_SYM ? f->a->sym : NULL, *b = g->a && g->a->kind == IR_ATOM_SYM ? g->a->sym : NULL;
  if (!a || !b) return !a && !b ? strcmp(f->s.s, g->s.s) : (!a) - (!b);
  if (a->def || b->def) return a->def && b->def ? strcmp(f->s.s, g->s.s) : (a->def != NULL) - (b->def != NULL);
  bool ca = a->kind == IR_SYM_COORD, cb = b->kind == IR_SYM_COORD;
  if (ca != cb) return ca - cb;
  if (ca && strlen(a->name) != strlen(b->name)) return strlen(a->name) < strlen(b->name) ? -1 : 1;    /* c9 before c10 */
  return ca ? strcmp(a->name, b->name) : (a->id > b->id) - (a->id < b->id);
}
static int by_degree(const void *x, const void *y)
{
  const struct item *a = x, *b = y;
  if (a->mod != b->mod) return a->mod - b->mod;
  if (a->n != b->n) return a->n > b->n ? -1 : 1;
  for (unsigned i = 0; i < a->n; i++) {
    int c = by_content(&a->f[i], &b->f[i]);
    if (c) return c;
  }
  return 0;
}
static struct item make_item(int64_t k, const struct ix_mono *m, const struct ir_ix *e, const struct ir_ix *mod)
{
  struct item x = { .k = k, .n = m->n, .mod = e != NULL, .f = calloc(m->n + 1, sizeof *x.f) };
  if (!x.f) ir_bug(__func__, "out of memory");
  for (uint32_t i = 0; i < m->n; i++) {             /* 8*base prints as N */
    const struct ir_sym *w = m->a[i]->kind == IR_ATOM_SYM ? m->a[i]->sym->whole : NULL;
    bool whole = w && x.k % w->by == 0;
    if (whole) x.k /= w->by;
    x.f[i].a = m->a[i];
    put_atom(&x.f[i].s, m->a[i], whole, false);
  }
  qsort(x.f, x.n, sizeof *x.f, by_content);
  if (!e) return x;
  struct ir_buf *s = &x.f[x.n++].s;
  put(s, "(");
  put_operand(s, e);
  put(s, " % ");
  put_operand(s, mod);
  put(s, ")");
  return x;
}
static void put_item(struct ir_buf *b, const struct item *x, bool first)
{
  bool neg = x->k < 0 && x->k != INT64_MIN;
  int64_t k = neg ? -x->k : x->k;
  put(b, first ? (neg ? "-" : "") : neg ? " - " : " + ");
  bool show_k = k != 1 || !x->n, alone = !show_k && x->n == 1 && !(first && neg);
  const char *times = "";
  if (show_k) { ir_buf_printf(b, "%lld", (long long)k); times = "*"; }
  for (unsigned i = 0; i < x->n; i++) {
    const struct ir_buf *s = &x->f[i].s;
    bool bare = alone && *s->s == '(';
    put(b, times);
    ir_buf_add(b, s->s + bare, s->n - 2 * bare);
    times = "*";
  }
}
static void drop_item(struct item *x)
{
  for (unsigned k = 0; k < x->n; k++) ir_buf_deinit(&x->f[k].s);
  free(x->f);
}
/* Several quotients may share the terms of a remainder; which gets them is decided by the order of their content. */
static void order_terms(const struct poly *p, uint32_t *order)
{
  struct item it[IR_IX_MAX_TERMS];
  for (uint32_t i = 0; i < p->n; i++) {
    it[i] = make_item(p->v[i].k, p->v[i].m, NULL, NULL);
    uint32_t j = i;
    for (; j && by_degree(&it[i], &it[order[j - 1]]) < 0; j--) order[j] = order[j - 1];
    order[j] = i;
  }
  for (uint32_t i = 0; i < p->n; i++) drop_item(&it[i]);
}
static bool find_mod(struct ir_ixs *t, const struct poly *p, struct modpart *out, struct poly *rest)
{
  uint32_t order[IR_IX_MAX_TERMS], quotients = 0;
  for (uint32_t i = 0; i < p->n; i++) quotients += p->v[i].m->div;
  bool several = quotients > 1 && p->n <= IR_IX_MAX_TERMS;
  if (several) order_terms(p, order);
  return poly_find_mod(t, p->v, p->n, several ? order : NULL, out, rest);
}
static void put_sum(struct ir_buf *b, struct ir_ixs *t, const struct term *v, uint32_t n)
{
  struct item it[2 * IR_IX_MAX_TERMS];
  unsigned ni = 0;
  struct poly p, rest;
  struct modpart mp;
  poly_set(&p, v, n);
  while (ni < IR_IX_MAX_TERMS && find_mod(t, &p, &mp, &rest)) { it[ni++] = make_item(mp.k, mp.m, mp.e, mp.mod); poly_set(&p, rest.v, rest.n); }
  bool constant = p.n && !p.v[p.n - 1].m->n;         /* it comes last */
  for (uint32_t i = 0; i + constant < p.n; i++) it[ni++] = make_item(p.v[i].k, p.v[i].m, NULL, NULL);
  qsort(it, ni, sizeof *it, by_degree);
  if (constant) it[ni++] = make_item(p.v[p.n - 1].k, p.v[p.n - 1].m, NULL, NULL);
  if (!ni) put(b, "0");
  unsigned first = 0;
  while (first < ni && it[first].k < 0) first++;     /* a positive one leads, if there is any */
  if (first == ni) first = 0;
  for (unsigned i = 0; i < ni; i++) put_item(b, &it[i == 0 ? first : i <= first ? i - 1 : i], i == 0);
  for (unsigned i = 0; i < ni; i++) drop_item(&it[i]);
}
void ir_ix_print(struct ir_buf *b, const struct ir_ix *e) { put_ix(b, e); }
const char *ir_ix_str(struct ir_arena *a, const struct ir_ix *e)
{
  struct ir_buf b = { 0 };
  put_ix(&b, e);
  const char *s = ir_arena_strndup(a, b.s, b.n);
  ir_buf_deinit(&b);
  return s;
}

/* ---- parse: recursive descent, at most 64 deep ---- */
enum { MAX_NEST = 64, MAX_ARGS = 16 };
struct parser {
  struct ir_ixs *t;
  const char *s, *end;
  const struct ir_ix *(*unknown)(void *arg, struct ir_ixs *t, const char *name);
  void *arg;
  int depth;
};
static const struct ir_ix *sum(struct parser *p);
static void skip(struct parser *p, bool lines)
{
  while (p->s < p->end && (*p->s == ' ' || *p->s == '\t' || (lines && (*p->s == '\n' || *p->s == '\r')))) p->s++;
}
static bool eat(struct parser *p, const char *w)
{
  size_t n = strlen(w);
  skip(p, true);
  if ((size_t)(p->end - p->s) < n || memcmp(p->s, w, n)) return false;
  p->s += n;
  return true;
}
static const struct ir_ix *number(struct parser *p, bool neg)
{
  const char *start = p->s;
  int64_t v = 0;
  for (; p->s < p->end && isdigit((unsigned char)*p->s); p->s++)
    if (!ir_mul64(v, 10, &v) || !(neg ? ir_add64(v, -(*p->s - '0'), &v) : ir_add64(v, *p->s - '0', &v))) { p->s = start; return NULL; }
  return ir_ix_int(p->t, v);
}
static const struct ir_ix *named(struct parser *p, const char *name, const char *start)
{
  const struct ir_ix *e = ir_ix_find(p->t, name);
  if (!e && p->unknown) e = p->unknown(p->arg, p->t, name);
  if (!e && name[0] == 'c' && isdigit((unsigned char)name[1]) && (!name[2] || (name[1] == '1' && name[2] >= '0' && name[2] <= '5' && !name[3])))
    e = ir_ix_coord(p->t, (unsigned)strtoul(name + 1, NULL, 10));
  if (!e) p->s = start;
  return e;
}
static const struct ir_ix *quoted(struct parser *p)
{
  const char *start = p->s++;
  char name[512];
  size_t n = 0;
  for (; p->s < p->end && *p->s != '`' && *p->s != '\n'; p->s++) {
    unsigned c = (unsigned char)*p->s;
    if (c == '\\') {
      if (p->end - p->s < 4 || p->s[1] != 'x' || !isxdigit((unsigned char)p->s[2]) || !isxdigit((unsigned char)p->s[3])) break;
      char hex[3] = { p->s[2], p->s[3], 0 };
      c = (unsigned)strtoul(hex, NULL, 16);
      p->s += 3;
    }
    if (!c || n + 1 == sizeof name) break;
    name[n++] = (char)c;
  }
  if (p->s == p->end || *p->s != '`' || !n) { p->s = start; return NULL; }
  p->s++;
  name[n] = 0;
  return named(p, name, start);
}
static unsigned arguments(struct parser *p, const struct ir_ix **v, const char *close)
{
  unsigned n = 0;
  do {
    if (n == MAX_ARGS || !(v[n++] = sum(p))) return 0;
  } while (eat(p, ","));
  return eat(p, close) ? n : 0;
}
static const struct ir_ix *call(struct parser *p, const char *name, size_t len)
{
  static const struct { const char *name; const struct ir_ix *(*fn)(const struct ir_ix *, const struct ir_ix *); } fns[] = {
    { "min", ir_ix_min }, { "max", ir_ix_max }, { "bcast", ir_ix_bcast }, { "opaque", NULL }
  };
  for (unsigned i = 0; i < sizeof fns / sizeof *fns; i++) {
    if (strlen(fns[i].name) != len || memcmp(name, fns[i].name, len)) continue;
    const struct ir_ix *v[MAX_ARGS];
    p->s++;
    unsigned n = arguments(p, v, ")");
    if (!fns[i].fn) return n == 1 ? ix_opaque(v[0]) : NULL;
    if (n < 2) return NULL;
    const struct ir_ix *e = v[n - 1];
    while (--n) e = fns[i].fn(v[n - 1], e);
    return e;
  }
  return NULL;
}
static const struct ir_ix *test(struct parser *p)
{
  const struct ir_ix *a = sum(p), *b;
  if (!a) return NULL;
  int rel = eat(p, ">=") ? 0 : eat(p, "<=") ? 1 : eat(p, "==") ? 2 : eat(p, ">") ? 3 : eat(p, "<") ? 4 : -1;
  if (rel < 0 || !(b = sum(p)) || !eat(p, "]")) return NULL;
  return rel == 0 ? ir_ix_le(b, a) : rel == 1 ? ir_ix_le(a, b) : rel == 2 ? ir_ix_eq0(ir_ix_sub(a, b)) : rel == 3 ? ir_ix_lt(b, a) : ir_ix_lt(a, b);
}
static const struct ir_ix *word(struct parser *p)
{
  const char *start = p->s;
  size_t n = plain_name(p->s, p->end);
  if (!n || n > 500) return NULL;
  p->s += n;
  if (p->s < p->end && *p->s == '(') {
    const struct ir_ix *e = call(p, start, n);
    if (e || p->s != start + n) return e;
  }
  if (p->s < p->end && *p->s == '[' && n > 1 && n < 8 && *start == 'i') {
    size_t d = 1;
    while (d < n && isdigit((unsigned char)start[d])) d++;
    if (d == n) {
      const struct ir_ix *v[MAX_ARGS];
      p->s++;
      unsigned k = arguments(p, v, "]");
      return k ? ir_ix_load(p->t, (unsigned)strtoul(start + 1, NULL, 10), v, k, -IR_IX_INF, IR_IX_INF) : NULL;
    }
  }
  char name[512];
  memcpy(name, start, n);
  name[n] = 0;
  return named(p, name, start);
}
static const struct ir_ix *primary(struct parser *p)
{
  skip(p, false);
  if (p->s == p->end) return NULL;
  if (isdigit((unsigned char)*p->s)) return number(p, false);
  if (*p->s == '`') return quoted(p);
  if (*p->s != '(' && *p->s != '[') return word(p);
  bool paren = *p->s++ == '(';
  const struct ir_ix *e = paren ? sum(p) : test(p);
  return e && (!paren || eat(p, ")")) ? e : NULL;
}
static const struct ir_ix *unary(struct parser *p)
{
  bool neg = false;
  skip(p, false);
  while (p->s < p->end && *p->s == '-') {
    neg = !neg;
    p->s++;
    skip(p, false);
  }
  if (neg && p->s < p->end && isdigit((unsigned char)*p->s)) return number(p, true);
  const struct ir_ix *e = primary(p);
  return e && neg ? ir_ix_neg(e) : e;
}
static int operator_ahead(struct parser *p, const char *set)      /* on this line; else the expression has ended before the space */
{
  const char *s = p->s;
  while (s < p->end && (*s == ' ' || *s == '\t')) s++;
  if (s == p->end || !strchr(set, *s) || !*s) return 0;
  if (*s == '-' && s + 1 < p->end && s[1] == '>') return 0;      /* an arrow of the text around */
  p->s = s + 1;
  return *s;
}
static const struct ir_ix *product(struct parser *p)
{
  const struct ir_ix *e = unary(p), *x;
  for (int op; e && (op = operator_ahead(p, "*/%"));) {
    if (!(x = unary(p))) return NULL;
    if (op != '*' && x->hi < 1) return NULL;         /* divisors are positive */
    e = op == '*' ? ir_ix_mul(e, x) : op == '/' ? ir_ix_div(e, x) : ir_ix_mod(e, x);
  }
  return e;
}
static const struct ir_ix *sum(struct parser *p)
{
  if (++p->depth > MAX_NEST) return NULL;
  skip(p, true);
  const struct ir_ix *e = product(p), *x;
  for (int op; e && (op = operator_ahead(p, "+-"));) {
    if (!(x = product(p))) return NULL;
    e = op == '+' ? ir_ix_add(e, x) : ir_ix_sub(e, x);
  }
  p->depth--;
  return e;
}
const struct ir_ix *ir_ix_parse(struct ir_ixs *t, const char **s, const char *end, const struct ir_ix *(*unknown)(void *arg, struct ir_ixs *t, const char *name), void *arg)
{
  struct parser p = { t, *s, end, unknown, arg, 0 };
  const struct ir_ix *e = sum(&p);
  *s = p.s;
  return e;
}
