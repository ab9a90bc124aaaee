/* Causal masks: which keys no weight of a row falls on, whatever the scores.
 *
 * A test [i - j + c >= 0] somewhere in the map over the scores is a candidate. With the opposite known, the map must come out as -inf, or as a number as low as
 * masks have it. -inf is as good as not being there: the weight is 0, and a row that has nothing else is NaN with and without it (scores that are themselves NaN
 * or +inf are not looked for where they are hidden by addition). A finite mask stands for itself: a row whose keys are all hidden has their mean. So then every row
 * must keep a key surely: c is not negative, and nothing but the score decides about keys that the test lets through. */
#include <math.h>
#include "codegen/library/chain.h"

enum { CANDIDATES = 4 };
#define LOW -1e30 /* masks are as low; scores are not */

struct find { const struct ir_ix *i, *j, *c[CANDIDATES]; unsigned n; };
static void candidate(struct find *f, const struct ir_ix *e)
{
  const struct ir_ix *co, *rest;
  if (!ir_ix_linear(e, f->i, &co, &rest) || !ir_ix_is(co, 1) || !ir_ix_linear(rest, f->j, &co, &rest) || !ir_ix_is(co, -1)) return;
  for (unsigned k = 0; k < f->n; k++)
    if (f->c[k] == rest) return;
  if (f->n < CANDIDATES) f->c[f->n++] = rest;
}
static void find_tests(struct find *f, const struct kir_expr *e)
{
  for (unsigned i = 0; i < e->n; i++) find_tests(f, e->a[i]);
  for (unsigned k = 0; e->ix && k < ir_ix_nterms(e->ix); k++) {
    const struct ir_atom *const *a;
    unsigned n;
    ir_ix_term(e->ix, k, &n, &a);
    for (unsigned m = 0; m < n; m++)
      if (a[m]->kind == IR_ATOM_GE0) {
        candidate(f, a[m]->a);
        candidate(f, ir_ix_addi(ir_ix_neg(a[m]->a), -1)); /* a test for what is hidden */
      }
  }
}

/* 1, 0, or -1: not known. */
static int truth(const struct ir_facts *known, const struct kir_expr *e)
{
  int64_t k;
  int a, b;
  if (e->kind == KIR_E_CONST) return e->i != 0;
  if (e->kind == KIR_E_IX) return ir_ix_const(ir_ix_simplify(known, e->ix), &k) ? k != 0 : -1;
  if (e->kind != KIR_E_FN || e->elem != IR_bool) return -1;
  if (e->sub == IR_MAP_not) return (a = truth(known, e->a[0])) < 0 ? -1 : !a;
  if (e->sub != IR_MAP_and && e->sub != IR_MAP_or) return -1;
  int rules = e->sub == IR_MAP_or; /* the value that decides alone */
  a = truth(known, e->a[0]);
  b = truth(known, e->a[1]);
  return a == rules || b == rules ? rules : a < 0 || b < 0 ? -1 : !rules;
}
static double worse(double a, double b) { return a > b ? a : b; }
/* What e is at most, as far as masks decide it; +inf: anything. */
static double at_most(const struct ir_facts *known, const struct kir_expr *e)
{
  int64_t k;
  if (e->kind == KIR_E_CONST) return isnan(e->f) ? INFINITY : e->f;
  if (e->kind == KIR_E_SELECT) {
    if (ir_ix_const(ir_ix_simplify(known, e->ix), &k)) return at_most(known, e->a[k == 0]);
    return worse(at_most(known, e->a[0]), at_most(known, e->a[1]));
  }
  if (e->kind != KIR_E_FN) return INFINITY;
  if (e->sub == IR_MAP_select) {
    int c = truth(known, e->a[0]);
    return c < 0 ? worse(at_most(known, e->a[1]), at_most(known, e->a[2])) : at_most(known, e->a[c ? 1 : 2]);
  }
  if (e->sub == IR_MAP_add) {
    double a = at_most(known, e->a[0]), b = at_most(known, e->a[1]);
    return a <= LOW ? a : b <= LOW ? b : INFINITY;
  }
  return INFINITY;
}
/* Does a read other than of the scores decide about e? */
static bool reads_more(const struct cg_chain *c, const struct ir_facts *known, const struct kir_expr *e)
{
  int64_t k;
  if (e->kind == KIR_E_READ) return e->arr != c->s->dst;
  if (e->kind == KIR_E_SELECT) return !ir_ix_const(ir_ix_simplify(known, e->ix), &k) || reads_more(c, known, e->a[k == 0]);
  if (e->kind == KIR_E_FN && e->sub == IR_MAP_select) {
    int t = truth(known, e->a[0]);
    return t < 0 || reads_more(c, known, e->a[t ? 1 : 2]);
  }
  for (unsigned i = 0; i < e->n; i++)
    if (reads_more(c, known, e->a[i])) return true;
  return false;
}

const struct ir_ix *cg_chain_causal(const struct cg_chain *c, struct ir_facts *known)
{
  if (c->i < 0) return NULL;
  struct find f = { .i = c->row[c->i].var, .j = c->j.var };
  const struct kir_expr *t = cg_chain_flat(c, c->t);
  find_tests(&f, t);
  for (unsigned k = 0; k < f.n; k++) {
    uint32_t mark = ir_facts_mark(known);
    const struct ir_ix *sees = ir_ix_add(ir_ix_sub(f.i, f.j), f.c[k]);
    ir_facts_push(known, ir_ix_addi(ir_ix_neg(sees), -1));
    double most = at_most(known, t);
    ir_facts_reset(known, mark);
    if (most > LOW) continue;
    ir_facts_push(known, sees);
    bool fine = most == -INFINITY || (ir_known_ge0(known, f.c[k]) && !reads_more(c, known, t));
    ir_facts_reset(known, mark);
    if (fine) return f.c[k];
  }
  return NULL;
}
