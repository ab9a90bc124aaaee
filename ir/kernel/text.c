/* What the text of nests and of kerns have in common: symbols, literals, arrays, expressions. The grammar is in docs/kernel-ir.md. */
#include "ir/kernel/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- symbols in use ---- */
const struct ir_sym *kir_base_sym(const struct ir_ix *sym, int64_t *out_by)
{
  unsigned nf;
  const struct ir_atom *const *f;
  if (ir_ix_nterms(sym) != 1) return NULL;
  int64_t k = ir_ix_term(sym, 0, &nf, &f);
  if (nf != 1 || f[0]->kind != IR_ATOM_SYM || k < 1) return NULL;
  if (out_by) *out_by = k;
  return f[0]->sym;
}
unsigned kir_sym_bound(struct ir_ixs *t)
{
  unsigned n = 0;
  for (unsigned i = 0; i < ir_ixs_nsyms(t); i++) {
    const struct ir_sym *s = ir_ixs_sym(t, i), *b = kir_base_sym(ir_ix_find(t, s->name), NULL);
    if (s->id >= n) n = s->id + 1;
    if (b && b->id >= n) n = b->id + 1;
  }
  return n;
}
void kir_used_init(struct kir_used *u, struct ir_ixs *t)
{
  u->t = t;
  u->n = kir_sym_bound(t);
  u->on = calloc(u->n + 1u, 1);
  if (!u->on) ir_bug("kir", "out of memory");
}
void kir_used_deinit(struct kir_used *u) { free(u->on); }
void kir_used_ix(struct kir_used *u, const struct ir_ix *e)
{
  if (!e) return;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned nf;
    const struct ir_atom *const *f;
    ir_ix_term(e, i, &nf, &f);
    for (unsigned j = 0; j < nf; j++) {
      const struct ir_atom *a = f[j];
      if (a->kind == IR_ATOM_SYM) {
        if (a->sym->def) kir_used_ix(u, a->sym->def);
        else if (a->sym->id < u->n) u->on[a->sym->id] = 1;
        continue;
      }
      kir_used_ix(u, a->a);
      kir_used_ix(u, a->b);
      for (unsigned k = 0; a->kind == IR_ATOM_LOAD && k < a->n; k++) kir_used_ix(u, a->at[k]);
    }
  }
}
void kir_used_arr(struct kir_used *u, const struct kir_arr *a)
{
  for (unsigned d = 0; d < a->rank; d++) {
    kir_used_ix(u, a->lo[d]);
    kir_used_ix(u, a->hi[d]);
    kir_used_ix(u, a->shape[d]);
  }
  kir_used_ix(u, a->at);
  kir_used_ix(u, a->elems);
}
void kir_used_expr(struct kir_used *u, const struct kir_expr *e)
{
  kir_used_ix(u, e->ix);
  for (unsigned i = 0; i < e->n_at; i++) kir_used_ix(u, e->at[i]);
  for (unsigned i = 0; i < e->n_axes; i++) {
    kir_used_ix(u, e->axes[i].var);
    kir_used_ix(u, e->axes[i].ext);
  }
  for (unsigned i = 0; i < e->n; i++) kir_used_expr(u, e->a[i]);
}
bool kir_used_sym(const struct kir_used *u, const struct ir_ix *sym)
{
  const struct ir_sym *s = kir_base_sym(sym, NULL);
  return s && s->id < u->n && u->on[s->id];
}

/* ---- symbols and facts ---- */
static const char *const kind_word[] = { [IR_SYM_DIM] = "", [IR_SYM_COORD] = " coord", [IR_SYM_AXIS] = " axis", [IR_SYM_LOOP] = " loop", [IR_SYM_ID] = " id" };

void kir_text_where(struct ir_buf *b, const struct kir_used *u, bool axes)
{
  const char *sep = " where ";
  for (unsigned i = 0; i < ir_ixs_nsyms(u->t); i++) {
    const struct ir_sym *s = ir_ixs_sym(u->t, i);
    const struct ir_ix *e = ir_ix_find(u->t, s->name);
    if (s->kind == IR_SYM_COORD || (s->kind != IR_SYM_DIM && !axes) || !kir_used_sym(u, e)) continue;
    ir_buf_printf(b, "%s", sep);
    ir_ix_print(b, e);
    ir_buf_printf(b, "%s in ", kind_word[s->kind]);
    if (s->lo > -IR_IX_INF) ir_buf_printf(b, "%lld", (long long)s->lo);
    ir_buf_printf(b, "..");
    if (s->hi < IR_IX_INF) ir_buf_printf(b, "%lld", (long long)s->hi);
    if (s->by > 1) ir_buf_printf(b, " by %lld", (long long)s->by);
    sep = ", ";
  }
}
void kir_text_facts(struct ir_buf *b, const struct ir_facts *f)
{
  for (uint32_t i = 0; i < f->ge0.n; i++) {
    ir_buf_printf(b, i ? ", 0 <= " : " given 0 <= ");
    ir_ix_print(b, f->ge0.v[i]);
  }
}

/* ---- literals ---- */
static void float_lit(struct ir_buf *b, enum ir_elem e, double f)
{
  char s[40];
  if (isnan(f)) snprintf(s, sizeof s, "nan");
  else if (isinf(f)) snprintf(s, sizeof s, f < 0 ? "-inf" : "inf");
  else {
    for (int p = 1; p <= 17; p++) {
      snprintf(s, sizeof s, "%.*g", p, f);
      if (ir_round_to(e, strtod(s, NULL)) == f) break;
    }
    if (!strpbrk(s, ".e")) strcat(s, ".0");
  }
  ir_buf_printf(b, "%s", s);
}
void kir_text_lit(struct ir_buf *b, enum ir_elem e, double f, int64_t i)
{
  if (ir_elem_class(e) == 'F') float_lit(b, e, f);
  else if (ir_elem_class(e) == 'U') ir_buf_printf(b, "%llu", (unsigned long long)i);
  else ir_buf_printf(b, "%lld", (long long)i);
}

/* ---- arrays ---- */
static void ix(struct ir_buf *b, const struct ir_ix *e) { ir_ix_print(b, e); }

static bool zero_to(const struct kir_arr *a, unsigned d, const struct ir_ix *hi) { return ir_ix_is(a->lo[d], 0) && a->hi[d] == hi; }

void kir_text_arr(struct ir_buf *b, const struct kir_arr *a, const char *name)
{
  ir_buf_printf(b, "%s: %s[", name, ir_elem_name(a->elem));
  for (unsigned d = 0; d < a->rank; d++) {
    const struct ir_ix *sh = a->shape[d];
    if (d) ir_buf_printf(b, ", ");
    if (!sh && ir_ix_is(a->lo[d], 0)) sh = a->hi[d];
    if (sh) ix(b, sh);
    if (sh && zero_to(a, d, sh)) continue;
    if (sh) ir_buf_printf(b, " in ");
    ix(b, a->lo[d]);
    ir_buf_printf(b, " .. ");
    ix(b, a->hi[d]);
  }
  ir_buf_printf(b, "]");
  if (a->at) {
    ir_buf_printf(b, " @ ");
    ix(b, a->at);
  }
  if (a->elems) {
    ir_buf_printf(b, " elems ");
    ix(b, a->elems);
  }
  if (a->space == KIR_CONST) ir_buf_printf(b, " const");
  if (a->out) ir_buf_printf(b, " out");
  if (a->zero_pad) ir_buf_printf(b, " zero");
  if (a->slack) ir_buf_printf(b, " slack %u", a->slack);
  if (a->winograd) ir_buf_printf(b, " winograd %u", a->winograd);
  if (a->align) ir_buf_printf(b, " align %u", a->align);
  if (a->swz) ir_buf_printf(b, " swz(%u, %u, %u)", a->swz >> 16, a->swz >> 8 & 255, a->swz & 255);
  if (a->space == KIR_SHARED) ir_buf_printf(b, " at %llu", (unsigned long long)a->byte_offset);
}

/* ---- expressions ----
 * Infix: add sub mul div, with the usual precedence, left-associative. Every other function is name(operands). An f32 constant is a literal with a point
 * (or inf, nan); constants and indices of other types, and indices of f32, are ELEM{..}. */
struct exprs { struct ir_buf *b; const char *(*name)(const struct kir_arr *, void *); void *arg; };

static int level(const struct kir_expr *e)     /* 1 sum, 2 product, 3 all that needs no parentheses */
{
  if (e->kind == KIR_E_RED) return 0;
  if (e->kind != KIR_E_FN) return 3;
  return e->sub == IR_MAP_add || e->sub == IR_MAP_sub ? 1 : e->sub == IR_MAP_mul || e->sub == IR_MAP_div ? 2 : 3;
}
static void print(struct exprs *p, const struct kir_expr *e, unsigned depth);
static void paren(struct exprs *p, const struct kir_expr *e, bool yes, unsigned depth)
{
  if (yes) ir_buf_printf(p->b, "(");
  print(p, e, depth);
  if (yes) ir_buf_printf(p->b, ")");
}
static void coords(struct ir_buf *b, const struct ir_ix *const *at, unsigned n)
{
  ir_buf_printf(b, "[");
  for (unsigned i = 0; i < n; i++) {
    if (i) ir_buf_printf(b, ", ");
    ix(b, at[i]);
  }
  ir_buf_printf(b, "]");
}
static void operands(struct exprs *p, const char *name, const struct kir_expr *e, unsigned depth)
{
  ir_buf_printf(p->b, "%s(", name);
  for (unsigned i = 0; i < e->n; i++) {
    if (i) ir_buf_printf(p->b, ", ");
    print(p, e->a[i], depth);
  }
  ir_buf_printf(p->b, ")");
}
static void print_fn(struct exprs *p, const struct kir_expr *e, unsigned depth)
{
  int l = level(e);
  if (l == 3) {
    operands(p, kir_map_name((enum ir_map)e->sub), e, depth);
    return;
  }
  paren(p, e->a[0], level(e->a[0]) < l, depth);
  ir_buf_printf(p->b, "%s", e->sub == IR_MAP_add ? " + " : e->sub == IR_MAP_sub ? " - " : e->sub == IR_MAP_mul ? "*" : "/");
  paren(p, e->a[1], level(e->a[1]) <= l, depth);
}
static void print_const(struct exprs *p, const struct kir_expr *e)
{
  if (e->elem != IR_f32) ir_buf_printf(p->b, "%s{", ir_elem_name(e->elem));
  kir_text_lit(p->b, e->elem, e->f, e->i);
  if (e->elem != IR_f32) ir_buf_printf(p->b, "}");
}
static void print(struct exprs *p, const struct kir_expr *e, unsigned depth)
{
  if (depth > 20000) ir_bug("kir", "an expression is nested too deeply");
  switch (e->kind) {
  case KIR_E_CONST: print_const(p, e); break;
  case KIR_E_IX:
    ir_buf_printf(p->b, "%s{", ir_elem_name(e->elem));
    ix(p->b, e->ix);
    ir_buf_printf(p->b, "}");
    break;
  case KIR_E_READ:
    ir_buf_printf(p->b, "%s", p->name ? p->name(e->arr, p->arg) : e->arr->name);
    coords(p->b, e->at, e->n_at);
    if (e->els) {
      ir_buf_printf(p->b, " else ");
      kir_text_lit(p->b, e->elem, e->els->f, e->els->i);
    }
    break;
  case KIR_E_TILE:
    ir_buf_printf(p->b, "%%%s", e->reg->name);
    coords(p->b, e->at, e->n_at);
    break;
  case KIR_E_FN: print_fn(p, e, depth + 1); break;
  case KIR_E_CAST: operands(p, ir_elem_name(e->elem), e, depth + 1); break;
  case KIR_E_SELECT:
    ir_buf_printf(p->b, "if(");
    ix(p->b, e->ix);
    ir_buf_printf(p->b, ", ");
    print(p, e->a[0], depth + 1);
    ir_buf_printf(p->b, ", ");
    print(p, e->a[1], depth + 1);
    ir_buf_printf(p->b, ")");
    break;
  case KIR_E_RED:
    ir_buf_printf(p->b, "%s[", kir_red_name((enum kir_red)e->sub));
    for (unsigned i = 0; i < e->n_axes; i++) {
      if (i) ir_buf_printf(p->b, ", ");
      ix(p->b, e->axes[i].var);
      ir_buf_printf(p->b, " < ");
      ix(p->b, e->axes[i].ext);
    }
    ir_buf_printf(p->b, "] ");
    print(p, e->a[0], depth + 1);
    break;
  }
}
void kir_text_expr(struct ir_buf *b, const struct kir_expr *e, const char *(*name)(const struct kir_arr *a, void *arg), void *arg)
{
  struct exprs p = { b, name, arg };
  print(&p, e, 0);
}
void kir_text_primary(struct ir_buf *b, const struct kir_expr *e)
{
  struct exprs p = { b, NULL, NULL };
  paren(&p, e, level(e) < 3, 0);
}
