/* The lexer that the text forms share, and their common parts: symbols, arrays, expressions. */
#include "ir/kernel/lex.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 400 };

bool kir_lex_error(struct kir_lex *x, const char *fmt, ...)
{
  unsigned line = 1, col = 1;
  char s[300], near[24] = "";
  va_list ap;
  for (const char *p = x->begin; p < x->s; p++)
    if (*p == '\n') line++, col = 1;
    else col++;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  for (size_t i = 0; i + 1 < sizeof near && x->s + i < x->end && x->s[i] != '\n'; i++) near[i] = x->s[i];
  if (!x->diags->errors) ir_error(x->diags, IR_M0004, NULL, NULL, "line %u, column %u: %s, found \"%s\"", line, col, s, near);
  return false;
}
void kir_lex_blank(struct kir_lex *x)
{
  for (; x->s < x->end; x->s++)
    if (*x->s == '#') while (x->s + 1 < x->end && x->s[1] != '\n') x->s++;
    else if (*x->s != ' ' && *x->s != '\n' && *x->s != '\t' && *x->s != '\r') return;
}
bool kir_lex_try(struct kir_lex *x, const char *w)
{
  size_t n = strlen(w);
  kir_lex_blank(x);
  if ((size_t)(x->end - x->s) < n || memcmp(x->s, w, n)) return false;
  if (kir_is_name(*w, true) && x->s + n < x->end && kir_is_name(x->s[n], false) && x->s[n] != '.') return false;
  x->s += n;
  return true;
}
bool kir_lex_eat(struct kir_lex *x, const char *w) { return kir_lex_try(x, w) || kir_lex_error(x, "expected \"%s\"", w); }
bool kir_lex_name(struct kir_lex *x, const char **out, size_t *len)
{
  kir_lex_blank(x);
  const char *p = x->s;
  while (p < x->end && kir_is_name(*p, p == x->s)) p++;
  *out = x->s;
  *len = (size_t)(p - x->s);
  if (!*len || *len > 200) return kir_lex_error(x, "expected a name");
  x->s = p;
  return true;
}
static bool digits(struct kir_lex *x, uint64_t max, uint64_t *out)
{
  const char *p = x->s;
  uint64_t v = 0;
  for (; p < x->end && *p >= '0' && *p <= '9'; p++) {
    unsigned d = (unsigned)(*p - '0');
    if (v > (max - d) / 10) return kir_lex_error(x, "the number is too large");
    v = v * 10 + d;
  }
  if (p == x->s) return kir_lex_error(x, "expected a number");
  x->s = p;
  *out = v;
  return true;
}
bool kir_lex_int(struct kir_lex *x, int64_t *out)
{
  uint64_t v = 0;
  kir_lex_blank(x);
  bool neg = x->s < x->end && *x->s == '-';
  x->s += neg;
  TRY(digits(x, neg ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &v));
  *out = neg ? (int64_t)(0 - v) : (int64_t)v;
  return true;
}
bool kir_lex_uint(struct kir_lex *x, int64_t lo, int64_t hi, int64_t *out)
{
  TRY(kir_lex_int(x, out));
  return (*out >= lo && *out <= hi) || kir_lex_error(x, "expected a number in %lld..%lld", (long long)lo, (long long)hi);
}
static bool float_lit(struct kir_lex *x, double *out)
{
  char s[64];
  size_t n = 0;
  bool neg = kir_lex_try(x, "-");
  if (kir_lex_try(x, "inf")) return *out = neg ? -INFINITY : INFINITY, true;
  if (kir_lex_try(x, "nan")) return *out = NAN, true;
  kir_lex_blank(x);
  const char *p = x->s;
  for (; p < x->end && n + 1 < sizeof s && ((*p >= '0' && *p <= '9') || *p == '.' || *p == 'e' || ((*p == '-' || *p == '+') && n && s[n - 1] == 'e')); p++) s[n++] = *p;
  s[n] = 0;
  char *e;
  *out = strtod(s, &e);
  if (!n || *e) return kir_lex_error(x, "expected a number");
  if (neg) *out = -*out;
  x->s = p;
  return true;
}
bool kir_lex_lit(struct kir_lex *x, enum ir_elem e, double *f, int64_t *i)
{
  uint64_t u = 0;
  *f = 0;
  *i = 0;
  if (kir_is_f(e)) {
    TRY(float_lit(x, f));
    *f = ir_round_to(e, *f);
    return true;
  }
  kir_lex_blank(x);
  if (ir_elem_class(e) != 'U') TRY(kir_lex_int(x, i));
  else {
    TRY(digits(x, UINT64_MAX, &u));
    *i = (int64_t)u;
  }
  return ir_wrap_to(e, *i) == *i || kir_lex_error(x, "the number does not fit %s", ir_elem_name(e));
}
bool kir_lex_elem(struct kir_lex *x, enum ir_elem *out)
{
  const char *s;
  size_t n;
  TRY(kir_lex_name(x, &s, &n));
  return ir_elem_parse(s, n, out) || (x->s = s, kir_lex_error(x, "expected an element type"));
}

/* ---- index expressions and symbols ---- */
const struct ir_ix *kir_lex_ix(struct kir_lex *x)
{
  kir_lex_blank(x);
  const struct ir_ix *e = ir_ix_parse(x->n->ixs, &x->s, x->end, NULL, NULL);
  if (!e) kir_lex_error(x, "expected an index expression of known symbols");
  return e;
}
bool kir_lex_ixs(struct kir_lex *x, const char *close, unsigned max, const struct ir_ix **out, unsigned *n)
{
  *n = 0;
  if (kir_lex_try(x, close)) return true;
  do {
    if (*n == max) return kir_lex_error(x, "more than %u expressions", max);
    TRY((out[(*n)++] = kir_lex_ix(x)) != NULL);
  } while (kir_lex_try(x, ","));
  return kir_lex_eat(x, close);
}
static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }
const char *kir_lex_sym(struct kir_lex *x)
{
  char s[256];
  size_t n = 0;
  kir_lex_blank(x);
  const char *p = x->s;
  if (p < x->end && *p == '`') {
    for (p++; p < x->end && *p != '`' && *p != '\n' && n + 1 < sizeof s; p++) {
      if (*p != '\\') s[n++] = *p;
      else if (x->end - p > 3 && hex(p[2]) >= 0 && hex(p[3]) >= 0) {
        s[n++] = (char)(hex(p[2]) * 16 + hex(p[3]));
        p += 3;
      } else break;
    }
    if (p == x->end || *p != '`' || !n || memchr(s, 0, n)) return kir_lex_error(x, "expected a symbol"), NULL;
    p++;
  } else {
    while (p < x->end && kir_is_name(*p, p == x->s) && *p != '\'' && n + 1 < sizeof s && !(*p == '.' && (p + 1 == x->end || !kir_is_name(p[1], false) || p[1] == '.'))) s[n++] = *p++;
    if (!n) return kir_lex_error(x, "expected a symbol"), NULL;
  }
  x->s = p;
  return ir_arena_strndup(x->arena, s, n);
}
static bool is_coord(const char *s) { return s[0] == 'c' && s[1] && strspn(s + 1, "0123456789") == strlen(s + 1); }
const struct ir_ix *kir_lex_declare(struct kir_lex *x, const char *name, enum ir_sym_kind kind, int64_t lo, int64_t hi, int64_t by, bool again)
{
  const struct ir_ix *e = ir_ix_find(x->n->ixs, name);
  if (is_coord(name)) return kir_lex_error(x, "%s is the name of a coordinate", name), NULL;
  if (lo > hi || by < 1 || (by > 1 && (ir_floordiv(hi, by) * by < lo))) return kir_lex_error(x, "symbol %s has no values", name), NULL;
  if (!e) return ir_ix_sym(x->n->ixs, name, kind, lo, hi, by);
  const struct ir_sym *s = ir_ix_as_sym(e);
  if (again && s && s->kind == kind && s->lo == lo && s->hi == hi && s->by == by) return e;
  return kir_lex_error(x, "symbol %s is declared already, in another way", name), NULL;
}
bool kir_lex_axes(struct kir_lex *x, struct kir_axis *out, unsigned *n)
{
  *n = 0;
  if (kir_lex_try(x, "]")) return true;
  do {
    int64_t lo, hi, k;
    const char *name = kir_lex_sym(x);
    if (*n == IR_MAX_RANK) return kir_lex_error(x, "more than %d axes", IR_MAX_RANK);
    struct kir_axis *a = &out[(*n)++];
    TRY(name && kir_lex_eat(x, "<") && (a->ext = kir_lex_ix(x)));
    ir_ix_range(a->ext, &lo, &hi);
    bool fresh = !ir_ix_find(x->n->ixs, name);
    TRY((a->var = kir_lex_declare(x, name, IR_SYM_AXIS, 0, hi == IR_IX_INF ? hi : hi > 0 ? hi - 1 : 0, 1, true)));
    if (fresh && !ir_ix_const(a->ext, &k)) ir_facts_push(&x->n->facts, ir_ix_sub(ir_ix_addi(a->ext, -1), a->var));
  } while (kir_lex_try(x, ","));
  return kir_lex_eat(x, "]");
}
static bool where1(struct kir_lex *x, bool kinds)
{
  enum ir_sym_kind kind = IR_SYM_DIM;
  int64_t lo = -IR_IX_INF, hi = IR_IX_INF, by = 1;
  const char *name = kir_lex_sym(x);
  TRY(name);
  if (kinds) kind = kir_lex_try(x, "axis") ? IR_SYM_AXIS : kir_lex_try(x, "loop") ? IR_SYM_LOOP : kir_lex_try(x, "id") ? IR_SYM_ID : kind;
  TRY(kir_lex_eat(x, "in"));
  if (!kir_lex_try(x, "..")) TRY(kir_lex_int(x, &lo) && kir_lex_eat(x, ".."));
  if (x->s < x->end && (*x->s == '-' || (*x->s >= '0' && *x->s <= '9'))) TRY(kir_lex_int(x, &hi));
  if (kir_lex_try(x, "by")) TRY(kir_lex_uint(x, 1, 1ll << 40, &by));
  return kir_lex_declare(x, name, kind, lo, hi, by, false) != NULL;
}
bool kir_lex_where(struct kir_lex *x, bool kinds)
{
  if (kir_lex_try(x, "where"))
    do TRY(where1(x, kinds));
    while (kir_lex_try(x, ","));
  return true;
}
bool kir_lex_given(struct kir_lex *x, struct ir_facts *f)
{
  if (!kir_lex_try(x, "given")) return true;
  do {
    const struct ir_ix *e;
    TRY(kir_lex_eat(x, "0") && kir_lex_eat(x, "<=") && (e = kir_lex_ix(x)));
    ir_facts_push(f, e);
  } while (kir_lex_try(x, ","));
  return true;
}
/* ---- arrays ---- */
static bool dim(struct kir_lex *x, struct kir_arr *a, unsigned d)
{
  const struct ir_ix *e;
  TRY((e = kir_lex_ix(x)));
  if (kir_lex_try(x, "in")) {
    a->shape[d] = e;
    TRY((a->lo[d] = kir_lex_ix(x)) && kir_lex_eat(x, "..") && (a->hi[d] = kir_lex_ix(x)));
  } else if (kir_lex_try(x, "..")) {
    a->lo[d] = e;
    TRY((a->hi[d] = kir_lex_ix(x)));
  } else {
    a->lo[d] = ir_ix_int(x->n->ixs, 0);
    a->hi[d] = a->shape[d] = e;
  }
  return true;
}
static bool swizzle(struct kir_lex *x, struct kir_arr *a)
{
  int64_t B, M, S;
  TRY(kir_lex_eat(x, "(") && kir_lex_uint(x, 1, 8, &B) && kir_lex_eat(x, ",") && kir_lex_uint(x, 0, 16, &M) && kir_lex_eat(x, ",") && kir_lex_uint(x, 1, 16, &S) && kir_lex_eat(x, ")"));
  a->swz = (uint32_t)(B << 16 | M << 8 | S);
  return true;
}
bool kir_lex_arr(struct kir_lex *x, struct kir_arr *a)
{
  int64_t k;
  TRY(kir_lex_eat(x, ":") && kir_lex_elem(x, &a->elem) && kir_lex_eat(x, "["));
  if (!kir_lex_try(x, "]")) {
    do {
      if (a->rank == IR_MAX_RANK) return kir_lex_error(x, "more than %d dimensions", IR_MAX_RANK);
      TRY(dim(x, a, a->rank++));
    } while (kir_lex_try(x, ","));
    TRY(kir_lex_eat(x, "]"));
  }
  if (kir_lex_try(x, "@")) TRY((a->at = kir_lex_ix(x)));
  if (kir_lex_try(x, "elems")) TRY((a->elems = kir_lex_ix(x)));
  if (kir_lex_try(x, "const")) a->space = KIR_CONST;
  a->out = kir_lex_try(x, "out");
  a->zero_pad = kir_lex_try(x, "zero");
  if (kir_lex_try(x, "slack")) {
    TRY(kir_lex_uint(x, 1, 65535, &k));
    a->slack = (uint16_t)k;
  }
  if (kir_lex_try(x, "winograd")) {
    TRY(kir_lex_uint(x, 2, KIR_WINOGRAD_MAX, &k));
    a->winograd = (unsigned)k;
  }
  if (kir_lex_try(x, "align")) {
    TRY(kir_lex_uint(x, 1, 1 << 20, &k));
    a->align = (unsigned)k;
  }
  if (kir_lex_try(x, "swz")) TRY(swizzle(x, a));
  if (kir_lex_try(x, "at")) {
    TRY(kir_lex_uint(x, 0, 1ll << 40, &k));
    a->byte_offset = (uint64_t)k;
    a->space = KIR_SHARED;
  }
  return true;
}
bool kir_lex_layout(struct kir_lex *x, struct kir_layout *out)
{
  const char *p = memchr(x->s, '>', (size_t)(x->end - x->s));
  if (!p || !kir_layout_parse(x->s, (size_t)(p - x->s), out)) return kir_lex_error(x, "expected a layout");
  x->s = p + 1;
  return true;
}

/* ---- expressions ---- */
static struct kir_expr *fail(struct kir_lex *x, const char *what)
{
  kir_lex_error(x, "%s", what);
  return NULL;
}
static struct kir_expr *coords(struct kir_lex *x, struct kir_arr *a, struct kir_reg *g)
{
  const struct ir_ix *at[IR_MAX_RANK];
  unsigned n;
  struct kir_expr *els = NULL;
  if (!kir_lex_eat(x, "[") || !kir_lex_ixs(x, "]", IR_MAX_RANK, at, &n)) return NULL;
  if (g) return kir_tile(x->n->arena, g, at, n);
  if (n != a->rank) return fail(x, "the number of coordinates is not the array's");
  if (kir_lex_try(x, "else")) {
    double f;
    int64_t i;
    if (!kir_lex_lit(x, a->elem, &f, &i)) return NULL;
    els = kir_const(x->n, a->elem, f, i);
  }
  return kir_read(x->n, a, at, els);
}
/* Behind ELEM: {literal} or {index}. A number alone is a literal. */
static bool literal_inside(const struct kir_lex *x, bool is_float)
{
  char t[64], *e;
  const char *p = memchr(x->s, '}', (size_t)(x->end - x->s));
  size_t n = p ? (size_t)(p - x->s) : 0;
  if (!n || n >= sizeof t) return false;
  memcpy(t, x->s, n);
  t[n] = 0;
  if (is_float) (void)!strtod(t, &e);
  else if (*(e = t + (*t == '-'))) e += strspn(e, "0123456789");
  return !*e;
}
static struct kir_expr *braces(struct kir_lex *x, enum ir_elem e)
{
  double f = 0;
  int64_t i = 0;
  const struct ir_ix *ix;
  if (!kir_lex_eat(x, "{")) return NULL;
  if (literal_inside(x, kir_is_f(e))) {
    if (!kir_lex_lit(x, e, &f, &i) || !kir_lex_eat(x, "}")) return NULL;
    return kir_const(x->n, e, f, i);
  }
  if (!(ix = kir_lex_ix(x)) || !kir_lex_eat(x, "}")) return NULL;
  return kir_ix(x->n, e, ix);
}
static struct kir_expr *function(struct kir_lex *x, enum ir_map f)
{
  struct kir_expr *a[3] = { 0 };
  unsigned n = kir_map_arity(f);
  for (unsigned i = 0; i < n; i++)
    if (!kir_lex_eat(x, i ? "," : "(") || !(a[i] = kir_lex_expr(x))) return NULL;
  if (!kir_lex_eat(x, ")")) return NULL;
  bool select = f == IR_MAP_select;
  if (select && a[0]->elem != IR_bool) return fail(x, "select wants a bool first");
  for (unsigned i = select ? 2 : 1; i < n; i++)
    if (a[i]->elem != a[i - 1]->elem) return fail(x, "operands of different types");
  if (kir_is_f(a[0]->elem) && f >= IR_MAP_and && f <= IR_MAP_shr) return fail(x, "no function of floats");
  return kir_fn(x->n, f, a[0], a[1], a[2]);
}
static struct kir_expr *select_ix(struct kir_lex *x)
{
  const struct ir_ix *c;
  struct kir_expr *a, *b;
  if (!kir_lex_eat(x, "(") || !(c = kir_lex_ix(x)) || !kir_lex_eat(x, ",") || !(a = kir_lex_expr(x)) || !kir_lex_eat(x, ",") || !(b = kir_lex_expr(x)) || !kir_lex_eat(x, ")"))
    return NULL;
  if (a->elem != b->elem) return fail(x, "operands of different types");
  return kir_select(x->n, c, a, b);
}
static struct kir_expr *reduction(struct kir_lex *x, enum kir_red op)
{
  struct kir_axis ax[IR_MAX_RANK];
  unsigned n;
  if (!kir_lex_axes(x, ax, &n)) return NULL;
  struct kir_expr *a = kir_lex_expr(x);
  if (a && kir_is_f(a->elem) && (op == KIR_AND || op == KIR_OR)) return fail(x, "no reduction of floats");
  return a ? kir_red(x->n, op, ax, n, a) : NULL;
}
static struct kir_expr *named(struct kir_lex *x)
{
  const char *s;
  size_t n;
  enum ir_elem e;
  enum ir_map f;
  enum kir_red r;
  struct kir_expr *a;
  if (!kir_lex_name(x, &s, &n)) return NULL;
  char c = x->s < x->end ? *x->s : 0;
  if (c == '{' && ir_elem_parse(s, n, &e)) return braces(x, e);
  if (c == '(' && n == 2 && !memcmp(s, "if", 2)) return select_ix(x);
  if (c == '(' && ir_elem_parse(s, n, &e)) {
    x->s++;
    if (!(a = kir_lex_expr(x)) || !kir_lex_eat(x, ")")) return NULL;
    return kir_cast(x->n, e, a);
  }
  if (c == '(' && kir_map_parse(s, n, &f)) return function(x, f);
  if (c == '[' && kir_red_parse(s, n, &r)) {
    x->s++;
    return reduction(x, r);
  }
  struct kir_arr *arr = x->array(x->arg, s, n);
  if (!arr) {
    x->s = s;
    return fail(x, "expected an array or a function");
  }
  return coords(x, arr, NULL);
}
struct kir_expr *kir_lex_primary(struct kir_lex *x)
{
  const char *s;
  size_t n;
  double f;
  int64_t i;
  if (x->depth > MAX_DEPTH) return fail(x, "nested too deeply");
  if (kir_lex_try(x, "(")) {
    struct kir_expr *e = kir_lex_expr(x);
    return e && kir_lex_eat(x, ")") ? e : NULL;
  }
  if (kir_lex_try(x, "%")) {
    struct kir_reg *g;
    if (!x->reg || !kir_lex_name(x, &s, &n) || !(g = x->reg(x->arg, s, n))) return fail(x, "expected a register");
    return coords(x, NULL, g);
  }
  const char *back = x->s;
  bool word = x->s < x->end && kir_is_name(*x->s, true);
  if (word && !kir_lex_try(x, "inf") && !kir_lex_try(x, "nan")) return named(x);
  x->s = back;
  return kir_lex_lit(x, IR_f32, &f, &i) ? kir_const(x->n, IR_f32, f, 0) : NULL;
}
static struct kir_expr *infix(struct kir_lex *x, struct kir_expr *a, enum ir_map f, struct kir_expr *b)
{
  if (!b) return NULL;
  if (a->elem != b->elem) return fail(x, "operands of different types");
  return kir_fn(x->n, f, a, b, NULL);
}
static struct kir_expr *product(struct kir_lex *x)
{
  struct kir_expr *a = kir_lex_primary(x);
  while (a) {
    if (kir_lex_try(x, "*")) a = infix(x, a, IR_MAP_mul, kir_lex_primary(x));
    else if (kir_lex_try(x, "/")) a = infix(x, a, IR_MAP_div, kir_lex_primary(x));
    else break;
  }
  return a;
}
struct kir_expr *kir_lex_expr(struct kir_lex *x)
{
  x->depth++;
  struct kir_expr *a = product(x);
  while (a) {
    if (kir_lex_try(x, "+")) a = infix(x, a, IR_MAP_add, product(x));
    else if (kir_lex_try(x, "-")) a = infix(x, a, IR_MAP_sub, product(x));
    else break;
  }
  x->depth--;
  return a;
}
