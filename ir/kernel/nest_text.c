/* The nest's text form: printer and parser. The grammar is in docs/kernel-ir.md. */
#include "ir/kernel/lex.h"
#include <string.h>

struct printer { struct ir_buf *b; const struct kir_nest *n; bool numbered; char tmp[32]; };

static const char *array_name(const struct kir_arr *a, void *arg)
{
  struct printer *p = arg;
  if (!p->numbered) return a->name;
  uint32_t i = 0;
  const uint32_t n = a->arg ? p->n->args.n : p->n->temps.n;
  struct kir_arr *const *v = a->arg ? p->n->args.v : p->n->temps.v;
  while (i < n && v[i] != a) i++;
  snprintf(p->tmp, sizeof p->tmp, "%c%u", a->arg ? 'a' : 't', i);
  return p->tmp;
}
/* A temporary that its statement declares: of the expression's type, over the statement's axes. */
static bool declared_by(const struct kir_arr *t, const struct kir_stmt *s)
{
  if (s->dst != t || s->at || s->e->elem != t->elem || s->n_axes != t->rank || t->at || t->elems || t->zero_pad || t->slack) return false;
  for (unsigned d = 0; d < t->rank; d++)
    if (!ir_ix_is(t->lo[d], 0) || t->hi[d] != s->axes[d].ext || (t->shape[d] && t->shape[d] != t->hi[d])) return false;
  return true;
}
static bool declared(const struct kir_nest *n, const struct kir_arr *t)
{
  for (uint32_t i = 0; i < n->stmts.n; i++)
    if (n->stmts.v[i]->dst == t) return declared_by(t, n->stmts.v[i]);
  return false;
}
static void statement(struct printer *p, const struct kir_stmt *s)
{
  struct ir_buf *b = p->b;
  ir_buf_printf(b, "  %s[", array_name(s->dst, p));
  for (unsigned i = 0; i < s->n_axes; i++) {
    if (i) ir_buf_printf(b, ", ");
    ir_ix_print(b, s->axes[i].var);
    ir_buf_printf(b, " < ");
    ir_ix_print(b, s->axes[i].ext);
  }
  ir_buf_printf(b, "]");
  if (s->at) {
    ir_buf_printf(b, " at [");
    for (unsigned i = 0; i < s->dst->rank; i++) {
      if (i) ir_buf_printf(b, ", ");
      ir_ix_print(b, s->at[i]);
    }
    ir_buf_printf(b, "]");
  }
  ir_buf_printf(b, " = ");
  kir_text_expr(b, s->e, array_name, p);
  ir_buf_printf(b, "\n");
}
void kir_nest_used(struct kir_used *u, const struct kir_nest *n, bool facts)
{
  kir_used_init(u, n->ixs);
  for (uint32_t i = 0; i < n->args.n; i++) kir_used_arr(u, n->args.v[i]);
  for (uint32_t i = 0; i < n->temps.n; i++) kir_used_arr(u, n->temps.v[i]);
  for (uint32_t i = 0; facts && i < n->facts.ge0.n; i++) kir_used_ix(u, n->facts.ge0.v[i]);
  for (uint32_t i = 0; i < n->stmts.n; i++) {
    const struct kir_stmt *s = n->stmts.v[i];
    for (unsigned j = 0; j < s->n_axes; j++) kir_used_ix(u, s->axes[j].ext);
    for (unsigned j = 0; s->at && j < s->dst->rank; j++) kir_used_ix(u, s->at[j]);
    kir_used_expr(u, s->e);
  }
}
/* What is known of axes is their extents: the statements say it. */
static bool of_axes(const struct ir_ix *e)
{
  struct kir_used u;
  bool yes = false;
  kir_used_init(&u, ir_ix_table(e));
  kir_used_ix(&u, e);
  for (unsigned i = 0; i < ir_ixs_nsyms(u.t); i++) {
    const struct ir_sym *s = ir_ixs_sym(u.t, i);
    yes |= s->kind == IR_SYM_AXIS && kir_used_sym(&u, ir_ix_find(u.t, s->name));
  }
  kir_used_deinit(&u);
  return yes;
}
static void print_facts(struct ir_buf *b, const struct ir_facts *f)
{
  const char *sep = " given 0 <= ";
  for (uint32_t i = 0; i < f->ge0.n; i++) {
    if (of_axes(f->ge0.v[i])) continue;
    ir_buf_printf(b, "%s", sep);
    ir_ix_print(b, f->ge0.v[i]);
    sep = ", 0 <= ";
  }
}
void kir_nest_text(struct ir_buf *b, const struct kir_nest *n, bool numbered)
{
  struct printer p = { b, n, numbered, "" };
  struct kir_used u;
  ir_buf_printf(b, "nest @%s(", numbered ? "" : n->name);
  for (uint32_t i = 0; i < n->args.n; i++) {
    if (i) ir_buf_printf(b, ", ");
    kir_text_arr(b, n->args.v[i], array_name(n->args.v[i], &p));
  }
  ir_buf_printf(b, ")");
  kir_nest_used(&u, n, true);
  kir_text_where(b, &u, false);
  kir_used_deinit(&u);
  print_facts(b, &n->facts);
  ir_buf_printf(b, " {\n");
  for (uint32_t i = 0; i < n->temps.n; i++)
    if (!declared(n, n->temps.v[i])) {
      ir_buf_printf(b, "  temp ");
      kir_text_arr(b, n->temps.v[i], array_name(n->temps.v[i], &p));
      ir_buf_printf(b, "\n");
    }
  for (uint32_t i = 0; i < n->stmts.n; i++) statement(&p, n->stmts.v[i]);
  ir_buf_printf(b, "}\n");
}
void kir_nest_print(struct ir_buf *b, const struct kir_nest *n) { kir_nest_text(b, n, false); }

/* ---- parser ---- */
static struct kir_arr *find_array(void *arg, const char *name, size_t len)
{
  const struct kir_nest *n = arg;
  for (uint32_t i = 0; i < n->args.n; i++)
    if (strlen(n->args.v[i]->name) == len && !memcmp(n->args.v[i]->name, name, len)) return n->args.v[i];
  for (uint32_t i = 0; i < n->temps.n; i++)
    if (strlen(n->temps.v[i]->name) == len && !memcmp(n->temps.v[i]->name, name, len)) return n->temps.v[i];
  return NULL;
}
static struct kir_arr *new_array(struct kir_lex *x)
{
  const char *s;
  size_t n;
  if (!kir_lex_name(x, &s, &n)) return NULL;
  const char *name = ir_arena_strndup(x->arena, s, n);
  if (find_array(x->n, s, n)) return kir_lex_error(x, "%s is declared already", name), NULL;
  if (strcmp(kir_name_clean(x->arena, name), name)) return kir_lex_error(x, "%s is a reserved word", name), NULL;
  struct kir_arr *a = IR_NEW(x->arena, struct kir_arr);
  a->name = name;
  return a;
}
/* Arguments may use symbols that "where" declares behind them: they are read twice, first skipped. */
bool kir_lex_args(struct kir_lex *x)
{
  do {
    struct kir_arr *a = new_array(x);
    if (!a) return false;
    TRY(kir_lex_arr(x, a));
    a->arg = true;
    a->index = x->n->args.n;
    ir_push(x->arena, &x->n->args, a);
  } while (kir_lex_try(x, ","));
  return true;
}
bool kir_lex_skip_parens(struct kir_lex *x)
{
  unsigned depth = 1;
  bool quoted = false;
  for (; x->s < x->end && depth; x->s++) {
    if (*x->s == '`') quoted = !quoted;
    else if (!quoted) depth += (*x->s == '(') - (*x->s == ')');
  }
  return !depth || kir_lex_error(x, "expected \")\"");
}
static bool parse_statement(struct kir_lex *x)
{
  struct kir_axis ax[IR_MAX_RANK];
  const struct ir_ix *at[IR_MAX_RANK];
  unsigned n, n_at = 0;
  const char *s;
  size_t len;
  TRY(kir_lex_name(x, &s, &len) && kir_lex_eat(x, "["));
  const char *name = ir_arena_strndup(x->arena, s, len);
  struct kir_arr *dst = find_array(x->n, s, len);
  if (strcmp(kir_name_clean(x->arena, name), name)) return kir_lex_error(x, "%s is a reserved word", name);
  TRY(kir_lex_axes(x, ax, &n));
  bool where = kir_lex_try(x, "at");
  if (where && !dst) return kir_lex_error(x, "%s is not declared", name);
  if (where) TRY(kir_lex_eat(x, "[") && kir_lex_ixs(x, "]", IR_MAX_RANK, at, &n_at));
  struct kir_expr *e;
  TRY(kir_lex_eat(x, "=") && (e = kir_lex_expr(x)));
  if (!dst) {
    const struct ir_ix *dim[IR_MAX_RANK];
    for (unsigned d = 0; d < n; d++) dim[d] = ax[d].ext;
    dst = kir_nest_temp(x->n, name, e->elem, n, dim);
  } else if (dst->arg && !dst->out) return kir_lex_error(x, "%s is an operand", name);
  if (dst->elem != e->elem) return kir_lex_error(x, "%s has another type than the expression", name);
  if ((where ? n_at : n) != dst->rank) return kir_lex_error(x, "%s has %u dimensions", name, dst->rank);
  struct kir_stmt *st = kir_stmt(x->n, dst, ax, n, e);
  if (where) st->at = ir_arena_copy(x->arena, at, sizeof *at * n_at);
  return true;
}
static bool parse_temp(struct kir_lex *x)
{
  struct kir_arr *a = new_array(x);
  if (!a) return false;
  TRY(kir_lex_arr(x, a));
  if (a->space != KIR_GLOBAL || a->out || a->at) return kir_lex_error(x, "a temporary has no storage");
  a->index = x->n->temps.n;
  ir_push(x->arena, &x->n->temps, a);
  return true;
}
static bool parse_nest(struct kir_lex *x)
{
  const char *s;
  size_t len;
  TRY(kir_lex_eat(x, "nest") && kir_lex_eat(x, "@"));
  if (x->s < x->end && *x->s == '(') x->n->name = "";
  else {
    TRY(kir_lex_name(x, &s, &len));
    x->n->name = ir_arena_strndup(x->arena, s, len);
  }
  TRY(kir_lex_eat(x, "("));
  const char *args = x->s, *body;
  TRY(kir_lex_skip_parens(x) && kir_lex_where(x, false));
  body = x->s;
  x->s = args;
  if (!kir_lex_try(x, ")")) TRY(kir_lex_args(x) && kir_lex_eat(x, ")"));
  x->s = body;
  TRY(kir_lex_given(x, &x->n->facts) && kir_lex_eat(x, "{"));
  while (kir_lex_try(x, "temp")) TRY(parse_temp(x));
  while (!kir_lex_try(x, "}")) TRY(parse_statement(x));
  kir_lex_blank(x);
  return x->s == x->end || kir_lex_error(x, "expected the end");
}
struct kir_nest *kir_nest_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n)
{
  struct kir_nest *r = kir_nest_create(a, "");
  struct kir_lex x = { .arena = a, .diags = d, .begin = text, .s = text, .end = text + n, .n = r, .array = find_array, .arg = r };
  return parse_nest(&x) ? r : NULL;
}
