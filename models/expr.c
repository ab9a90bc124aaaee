/* Expressions of the YAML files, evaluated while they are read.
 *   or := and {"or" and}   and := not {"and" not}   not := "not" not | cmp   cmp := sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
 *   sum := product {("+" | "-") product}   product := unary {("*" | "/" | "//" | "%") unary}   unary := "-" unary | postfix
 *   postfix := primary {"[" or "]"}   primary := number | 'text' | name | function "(" [or {"," or}] ")" | "(" or ")" | "[" [or {"," or}] "]"
 * Integers are checked 64-bit; "/" gives a float, "//" is floor division, "+" joins lists and strings. Truth is 0 and 1. */
#include "models/mkmodel.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NEST = 48, MAX_ITEMS = 1 << 20 };
struct ex { const char *s; const struct mk_scope *scope; const struct ir_yaml *at; unsigned depth; };

void mk_scope_set(struct mk_scope *s, const char *name, struct mk_val v)
{
  for (uint32_t i = 0; i < s->vars.n; i++)
    if (!strcmp(s->vars.v[i].name, name)) { s->vars.v[i].v = v; return; }
  ir_push(s->arena, &s->vars, ((struct mk_var){ name, v }));
}
const struct mk_val *mk_scope_find(const struct mk_scope *s, const char *name)
{
  for (; s; s = s->parent)
    for (uint32_t i = 0; i < s->vars.n; i++)
      if (!strcmp(s->vars.v[i].name, name)) return &s->vars.v[i].v;
  return NULL;
}
static struct mk_val of_int(int64_t i) { return (struct mk_val){ .kind = MK_INT, .i = i }; }
static struct mk_val of_float(double f) { return (struct mk_val){ .kind = MK_FLOAT, .f = f }; }
static bool number(const struct mk_val *v) { return v->kind == MK_INT || v->kind == MK_FLOAT; }
static double as_float(const struct mk_val *v) { return v->kind == MK_INT ? (double)v->i : v->f; }

/* ---- operators ---- */
static bool join(struct ex *x, const struct mk_val *a, const struct mk_val *b, struct mk_val *out)
{
  struct ir_arena *m = x->scope->arena;
  if (a->kind == MK_STR && b->kind == MK_STR) { *out = (struct mk_val){ .kind = MK_STR, .s = ir_arena_printf(m, "%s%s", a->s, b->s) }; return true; }
  if (a->kind != MK_LIST || b->kind != MK_LIST) return mk_fail(x->at, "+ takes two numbers, two lists or two strings");
  if (a->n + b->n > MAX_ITEMS) return mk_fail(x->at, "the list is too long");
  struct mk_val *v = IR_NEWN(m, struct mk_val, a->n + b->n);
  for (unsigned i = 0; i < a->n + b->n; i++) v[i] = i < a->n ? a->v[i] : b->v[i - a->n];
  *out = (struct mk_val){ .kind = MK_LIST, .n = a->n + b->n, .v = v };
  return mk_list_depth(x->at, out);
}
static bool arith_int(struct ex *x, const char *op, int64_t a, int64_t b, int64_t *out)
{
  bool div = op[0] == '%' || op[0] == '/';
  if (div && (!b || (a == INT64_MIN && b == -1))) return mk_fail(x->at, "division by zero");
  bool ok = op[0] == '+' ? ir_add64(a, b, out) : op[0] == '-' ? !__builtin_sub_overflow(a, b, out) : op[0] == '*' ? ir_mul64(a, b, out) : true;
  if (op[0] == '%') *out = ir_floormod(a, b);
  if (op[0] == '/') *out = ir_floordiv(a, b);
  return ok || mk_fail(x->at, "the number is too large");
}
static bool arith(struct ex *x, const char *op, const struct mk_val *a, const struct mk_val *b, struct mk_val *out)
{
  if (op[0] == '+' && !(number(a) && number(b))) return join(x, a, b, out);
  if (!number(a) || !number(b)) return mk_fail(x->at, "%s takes numbers", op);
  if (a->kind == MK_INT && b->kind == MK_INT && strcmp(op, "/")) { out->kind = MK_INT; return arith_int(x, op, a->i, b->i, &out->i); }
  double p = as_float(a), q = as_float(b);
  if (!strcmp(op, "/") && q == 0) return mk_fail(x->at, "division by zero");
  if (!strcmp(op, "//") || op[0] == '%') return mk_fail(x->at, "%s takes integers", op);
  *out = of_float(op[0] == '+' ? p + q : op[0] == '-' ? p - q : op[0] == '*' ? p * q : p / q);
  return true;
}
static bool compare(struct ex *x, const char *op, const struct mk_val *a, const struct mk_val *b, struct mk_val *out)
{
  int c;
  if (number(a) && number(b)) {
    double p = as_float(a), q = as_float(b);
    c = a->kind == MK_INT && b->kind == MK_INT ? (a->i > b->i) - (a->i < b->i) : (p > q) - (p < q);
  } else if (a->kind == MK_STR && b->kind == MK_STR) c = strcmp(a->s, b->s);
  else if (op[0] == '=' || op[0] == '!') c = 1;     /* of different kinds: not equal */
  else return mk_fail(x->at, "%s compares numbers or strings", op);
  *out = of_int(op[0] == '=' ? c == 0 : op[0] == '!' ? c != 0 : op[0] == '<' ? (op[1] ? c <= 0 : c < 0) : op[1] ? c >= 0 : c > 0);
  return true;
}
static bool truth(const struct mk_val *v)
{
  return v->kind == MK_INT ? v->i != 0 : v->kind == MK_FLOAT ? v->f != 0 : v->kind == MK_STR ? *v->s != 0 : v->n != 0;
}

/* ---- functions ---- */
static bool fn_extreme(struct ex *x, const char *name, const struct mk_val *v, unsigned n, struct mk_val *out)
{
  if (n == 1 && v->kind == MK_LIST) { n = v->n; v = v->v; }
  for (unsigned i = 0; i < n; i++) {
    if (!number(&v[i])) return mk_fail(x->at, "%s takes numbers", name);
    bool better = !i || (name[1] == 'i' ? as_float(&v[i]) < as_float(out) : as_float(&v[i]) > as_float(out));
    if (better) *out = v[i];
  }
  return n ? true : mk_fail(x->at, "%s of nothing", name);
}
static bool fn_range(struct ex *x, const char *name, const struct mk_val *v, unsigned n, struct mk_val *out)
{
  (void)name;
  if (n != 1 || v->kind != MK_INT || v->i < 0 || v->i > MAX_ITEMS) return mk_fail(x->at, "range takes one number, at most %d", MAX_ITEMS);
  *out = (struct mk_val){ .kind = MK_LIST, .n = (unsigned)v->i, .v = IR_NEWN(x->scope->arena, struct mk_val, v->i) };
  for (unsigned i = 0; i < out->n; i++) out->v[i] = of_int(i);
  return true;
}
static bool fn_len(struct ex *x, const char *name, const struct mk_val *v, unsigned n, struct mk_val *out)
{
  if (n != 1 || v->kind != MK_LIST) return mk_fail(x->at, "%s takes one list", name);
  *out = of_int(v->n);
  return true;
}
static bool fn_real(struct ex *x, const char *name, const struct mk_val *v, unsigned n, struct mk_val *out)
{
  if (n != 1 || !number(v)) return mk_fail(x->at, "%s takes one number", name);
  double f = as_float(v);
  if (!strcmp(name, "float")) { *out = of_float(f); return true; }
  if (!strcmp(name, "sqrt")) { *out = of_float(sqrt(f)); return f >= 0 || mk_fail(x->at, "the root of a negative number"); }
  f = !strcmp(name, "ceil") ? ceil(f) : !strcmp(name, "round") ? rint(f) : floor(f);
  if (!(f > -9e18 && f < 9e18)) return mk_fail(x->at, "the number is too large");
  *out = v->kind == MK_INT ? *v : of_int((int64_t)f);
  return true;
}
static const struct { const char *name; bool (*fn)(struct ex *, const char *, const struct mk_val *, unsigned, struct mk_val *); } functions[] = {
  { "min", fn_extreme }, { "max", fn_extreme }, { "range", fn_range }, { "len", fn_len }, { "sqrt", fn_real }, { "floor", fn_real }, { "ceil", fn_real }, { "round", fn_real },
  { "float", fn_real },
};

/* ---- reading ---- */
static bool or_expr(struct ex *x, struct mk_val *out);
static void skip(struct ex *x) { while (*x->s == ' ' || *x->s == '\t' || *x->s == '\n') x->s++; }
static bool eat(struct ex *x, const char *w)
{
  size_t n = strlen(w);
  skip(x);
  if (strncmp(x->s, w, n) || (isalpha((unsigned char)*w) && (isalnum((unsigned char)x->s[n]) || x->s[n] == '_'))) return false;
  x->s += n;
  return true;
}
bool mk_list_depth(const struct ir_yaml *at, struct mk_val *l)
{
  l->depth = 1;
  for (unsigned i = 0; i < l->n; i++)
    if (l->v[i].kind == MK_LIST && l->v[i].depth >= l->depth) l->depth = l->v[i].depth + 1;
  return l->depth <= 16 || mk_fail(at, "lists are nested too deeply");
}
static bool list(struct ex *x, const char *close, struct mk_val *out)
{
  IR_VEC(struct mk_val) v = { 0 };
  *out = (struct mk_val){ .kind = MK_LIST };
  if (eat(x, close)) return true;
  do {
    struct mk_val e = { 0 };
    TRY(or_expr(x, &e));
    ir_push(x->scope->arena, &v, e);
  } while (eat(x, ","));
  if (!eat(x, close)) return mk_fail(x->at, "expected %s before \"%.20s\"", close, x->s);
  out->n = v.n;
  out->v = v.v;
  return mk_list_depth(x->at, out);
}
static bool literal(struct ex *x, struct mk_val *out)
{
  char *end, *real;
  errno = 0;
  int64_t i = strtoll(x->s, &end, 10);
  bool big = errno == ERANGE;
  double f = strtod(x->s, &real);
  if (real == end && big) return mk_fail(x->at, "the number is too large");
  *out = real > end ? of_float(f) : of_int(i);
  x->s = real > end ? real : end;
  return true;
}
static bool word(struct ex *x, struct mk_val *out)
{
  const char *start = x->s;
  while (isalnum((unsigned char)*x->s) || *x->s == '_') x->s++;
  const char *name = ir_arena_strndup(x->scope->arena, start, (size_t)(x->s - start));
  if (x->s == start) return mk_fail(x->at, *start ? "expected a value before \"%.20s\"" : "expected a value at the end%s", start);
  if (*x->s != '(') {
    const struct mk_val *v = mk_scope_find(x->scope, name);
    if (!v) return mk_fail(x->at, "no parameter or variable is called %s", name);
    *out = *v;
    return true;
  }
  struct mk_val args;
  x->s++;
  TRY(list(x, ")", &args));
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (!strcmp(functions[i].name, name)) return functions[i].fn(x, name, args.v, args.n, out);
  return mk_fail(x->at, "no function is called %s", name);
}
static bool primary(struct ex *x, struct mk_val *out)
{
  if (eat(x, "(")) { TRY(or_expr(x, out)); return eat(x, ")") || mk_fail(x->at, "expected ) before \"%.20s\"", x->s); }
  if (eat(x, "[")) return list(x, "]", out);
  if (*x->s == '\'') {
    const char *end = strchr(x->s + 1, '\'');
    if (!end) return mk_fail(x->at, "a string without end: %.20s", x->s);
    *out = (struct mk_val){ .kind = MK_STR, .s = ir_arena_strndup(x->scope->arena, x->s + 1, (size_t)(end - x->s - 1)) };
    x->s = end + 1;
    return true;
  }
  return isdigit((unsigned char)*x->s) ? literal(x, out) : word(x, out);
}
static bool postfix(struct ex *x, struct mk_val *out)
{
  TRY(primary(x, out));
  while (eat(x, "[")) {
    struct mk_val i = { 0 };
    TRY(or_expr(x, &i));
    if (!eat(x, "]")) return mk_fail(x->at, "expected ] before \"%.20s\"", x->s);
    if (out->kind != MK_LIST || i.kind != MK_INT || i.i < 0 || i.i >= out->n) return mk_fail(x->at, "an index outside of its list");
    *out = (struct mk_val)out->v[i.i];
  }
  return true;
}
static bool unary(struct ex *x, struct mk_val *out)
{
  bool neg = false;
  while (eat(x, "-")) neg = !neg;
  TRY(postfix(x, out));
  struct mk_val zero = of_int(0), v = *out;
  return neg ? arith(x, "-", &zero, &v, out) : true;
}
static bool product(struct ex *x, struct mk_val *out)
{
  TRY(unary(x, out));
  for (;;) {
    const char *op = eat(x, "*") ? "*" : eat(x, "//") ? "//" : eat(x, "/") ? "/" : eat(x, "%") ? "%" : NULL;
    if (!op) return true;
    struct mk_val a = *out, b = { 0 };
    TRY(unary(x, &b) && arith(x, op, &a, &b, out));
  }
}
static bool sum(struct ex *x, struct mk_val *out)
{
  TRY(product(x, out));
  for (;;) {
    const char *op = eat(x, "+") ? "+" : eat(x, "-") ? "-" : NULL;
    if (!op) return true;
    struct mk_val a = *out, b = { 0 };
    TRY(product(x, &b) && arith(x, op, &a, &b, out));
  }
}
static bool comparison(struct ex *x, struct mk_val *out)
{
  TRY(sum(x, out));
  const char *op = eat(x, "==") ? "==" : eat(x, "!=") ? "!=" : eat(x, "<=") ? "<=" : eat(x, ">=") ? ">=" : eat(x, "<") ? "<" : eat(x, ">") ? ">" : NULL;
  if (!op) return true;
  struct mk_val a = *out, b = { 0 };
  return sum(x, &b) && compare(x, op, &a, &b, out);
}
static bool not_expr(struct ex *x, struct mk_val *out)
{
  bool neg = false, any = false;
  while (eat(x, "not")) { neg = !neg; any = true; }
  TRY(comparison(x, out));
  if (any) *out = of_int(truth(out) != neg);
  return true;
}
static bool and_expr(struct ex *x, struct mk_val *out)
{
  TRY(not_expr(x, out));
  while (eat(x, "and")) {
    struct mk_val b = { 0 };
    TRY(not_expr(x, &b));
    *out = of_int(truth(out) && truth(&b));
  }
  return true;
}
static bool or_expr(struct ex *x, struct mk_val *out)
{
  if (++x->depth > MAX_NEST) return mk_fail(x->at, "the expression is nested too deeply");
  TRY(and_expr(x, out));
  while (eat(x, "or")) {
    struct mk_val b = { 0 };
    TRY(and_expr(x, &b));
    *out = of_int(truth(out) || truth(&b));
  }
  x->depth--;
  return true;
}
bool mk_eval_text(const struct mk_scope *s, const struct ir_yaml *at, const char *text, struct mk_val *out)
{
  struct ex x = { text, s, at, 0 };
  *out = (struct mk_val){ 0 };
  TRY(or_expr(&x, out));
  skip(&x);
  return !*x.s || mk_fail(at, "unexpected \"%.20s\" in \"%s\"", x.s, text);
}

/* ---- nodes of the tree ---- */
void mk_val_print(struct ir_buf *b, const struct mk_val *v)
{
  if (v->kind == MK_INT) ir_buf_printf(b, "%lld", (long long)v->i);
  else if (v->kind == MK_FLOAT) ir_buf_printf(b, "%.9g", v->f);
  else if (v->kind == MK_STR) ir_buf_printf(b, "%s", v->s);
  else {
    ir_buf_printf(b, "[");
    for (unsigned i = 0; i < v->n; i++) {
      if (i) ir_buf_printf(b, ", ");
      mk_val_print(b, &v->v[i]);                    /* lists nest no deeper than the text they came from */
    }
    ir_buf_printf(b, "]");
  }
}
const char *mk_name(const struct mk_scope *s, const struct ir_yaml *y)
{
  struct ir_buf b = { 0 };
  const char *p = y->kind == IR_YAML_SCALAR ? y->s : NULL, *name = NULL;
  if (!p) { mk_fail(y, "expected a name"); return NULL; }
  ir_buf_add(&b, "", 0);
  while (*p) {
    if (*p != '{') { ir_buf_add(&b, p++, 1); continue; }
    const char *end = strchr(p, '}');
    struct mk_val v;
    if (!end) { mk_fail(y, "{ without } in \"%s\"", y->s); goto done; }
    if (!mk_eval_text(s, y, ir_arena_strndup(s->arena, p + 1, (size_t)(end - p - 1)), &v)) goto done;
    mk_val_print(&b, &v);
    p = end + 1;
  }
  name = ir_arena_strndup(s->arena, b.s, b.n);
done:
  ir_buf_deinit(&b);
  return name;
}
bool mk_eval(const struct mk_scope *s, const struct ir_yaml *y, struct mk_val *out)
{
  if (y->kind == IR_YAML_MAP) return mk_fail(y, "expected a value, found a map");
  if (y->kind == IR_YAML_SCALAR && !y->quoted) return mk_eval_text(s, y, y->s, out);
  *out = (struct mk_val){ .kind = y->kind == IR_YAML_SEQ ? MK_LIST : MK_STR };
  if (y->kind == IR_YAML_SCALAR) return (out->s = mk_name(s, y)) != NULL;
  out->n = y->n;
  out->v = IR_NEWN(s->arena, struct mk_val, y->n);
  for (unsigned i = 0; i < y->n; i++) TRY(mk_eval(s, y->item[i], &out->v[i]));
  return mk_list_depth(y, out);
}
bool mk_eval_int(const struct mk_scope *s, const struct ir_yaml *y, int64_t *out)
{
  struct mk_val v;
  TRY(mk_eval(s, y, &v));
  if (v.kind != MK_INT) return mk_fail(y, "expected an integer");
  *out = v.i;
  return true;
}
