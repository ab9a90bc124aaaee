/* Reading a nest as attention (chain.h).
 *
 * Four statements are reductions: scores, maxima, sums, result. All others are expanded where they are read, so it does not matter into how many statements the
 * maps between them were cut. A `term` is an expression together with what its symbols stand for; following the read of an expanded temporary gives another
 * one. The axes of the maxima are the rows; what the axes of the other statements are follows from the coordinates at which they read the maxima and at
 * which the scores are read. */
#include <string.h>
#include "codegen/library/chain.h"

enum { MAX_ENV = IR_MAX_RANK + 2, MAX_TERMS = 4096 /* looked at: shared temporaries expand to trees */ };
struct env { const struct ir_ix *from[MAX_ENV], *to[MAX_ENV]; unsigned n; };
struct term { const struct kir_expr *e; struct env v; };
struct read {
  const struct cg_chain *c;
  const char *why;
  unsigned budget;
};

static bool refuse(struct read *r, const char *why)
{
  if (!r->why) r->why = why;
  return false;
}
static void bind(struct env *v, const struct ir_ix *from, const struct ir_ix *to)
{
  IR_ASSERT(v->n < MAX_ENV);
  v->from[v->n] = from;
  v->to[v->n++] = to;
}
static const struct ir_ix *put(const struct env *v, const struct ir_ix *e) { return v->n ? ir_ix_subst(e, v->from, v->to, v->n) : e; }
static const struct kir_stmt *writer(const struct kir_nest *n, const struct kir_arr *x)
{
  for (unsigned i = 0; i < n->stmts.n; i++)
    if (n->stmts.v[i]->dst == x) return n->stmts.v[i];
  return NULL;
}
static bool is_red(const struct kir_stmt *s) { return s->e->kind == KIR_E_RED; }

static struct term whole(const struct kir_expr *e) { return (struct term){ .e = e }; }

/* Through reads of expanded temporaries. */
static struct term resolve(const struct cg_chain *c, struct term t)
{
  while (t.e->kind == KIR_E_READ && !t.e->arr->arg && !t.e->els) {
    const struct kir_stmt *w = writer(c->n, t.e->arr);
    if (!w || is_red(w)) break;
    struct env v = { .n = 0 };
    for (unsigned k = 0; k < w->n_axes; k++) bind(&v, w->axes[k].var, put(&t.v, t.e->at[cg_dim_of(w, k)]));
    t = (struct term){ w->e, v };
  }
  return t;
}
static struct term arg(const struct cg_chain *c, const struct term *t, unsigned i) { return resolve(c, (struct term){ t->e->a[i], t->v }); }
static bool is_fn(const struct term *t, enum ir_map f) { return t->e->kind == KIR_E_FN && t->e->sub == f; }
static bool is_const(const struct term *t, double f) { return t->e->kind == KIR_E_CONST && ir_elem_class(t->e->elem) == 'F' && t->e->f == f; }
static bool reads(const struct term *t, const struct kir_stmt *s) { return t->e->kind == KIR_E_READ && t->e->arr == s->dst && !t->e->els; }

/* The same value, whatever the names of temporaries. */
static bool same(struct read *r, struct term a, struct term b)
{
  if (!r->budget) return false;
  r->budget--;
  if (a.e->kind == KIR_E_READ && b.e->kind == KIR_E_READ && a.e->arr == b.e->arr && a.e->n_at == b.e->n_at) {
    bool eq = !a.e->els == !b.e->els && (!a.e->els || (a.e->els->f == b.e->els->f && a.e->els->i == b.e->els->i));
    for (unsigned d = 0; d < a.e->n_at && eq; d++) eq = put(&a.v, a.e->at[d]) == put(&b.v, b.e->at[d]);
    if (eq) return true;
  }
  a = resolve(r->c, a);
  b = resolve(r->c, b);
  const struct kir_expr *x = a.e, *y = b.e;
  if (x->kind != y->kind || x->elem != y->elem || x->n != y->n || x->sub != y->sub || x->kind == KIR_E_RED) return false;
  if (x->kind == KIR_E_CONST) return ir_elem_class(x->elem) == 'F' ? !memcmp(&x->f, &y->f, sizeof x->f) : x->i == y->i;
  if (x->kind == KIR_E_READ) {
    if (x->arr != y->arr || !x->els != !y->els || (x->els && (x->els->f != y->els->f || x->els->i != y->els->i))) return false;
    for (unsigned d = 0; d < x->n_at; d++)
      if (put(&a.v, x->at[d]) != put(&b.v, y->at[d])) return false;
    return true;
  }
  if (x->ix && put(&a.v, x->ix) != put(&b.v, y->ix)) return false;
  for (unsigned i = 0; i < x->n; i++)
    if (!same(r, (struct term){ x->a[i], a.v }, (struct term){ y->a[i], b.v })) return false;
  return true;
}

/* What a term reads of reductions: `of`, at one place; and others, if `also` allows one. */
struct look {
  const struct kir_stmt *of, *also;
  const struct ir_ix *at[IR_MAX_RANK], *also_at[IR_MAX_RANK];
  bool found, also_found;
};
static bool note(const struct term *t, const struct kir_stmt *s, const struct ir_ix **at, bool *found)
{
  for (unsigned d = 0; d < s->dst->rank; d++) {
    const struct ir_ix *x = put(&t->v, t->e->at[d]);
    if (*found && at[d] != x) return false;
    at[d] = x;
  }
  return *found = true;
}
static bool look(struct read *r, struct term t, struct look *l)
{
  if (!r->budget) return refuse(r, "expressions are too large");
  r->budget--;
  t = resolve(r->c, t);
  if (t.e->kind == KIR_E_RED) return refuse(r, "a reduction stands inside of an expression");
  if (t.e->kind == KIR_E_READ) {
    if (l->of && reads(&t, l->of)) return note(&t, l->of, l->at, &l->found) || refuse(r, "a statement is read at two places");
    if (l->also && reads(&t, l->also)) return note(&t, l->also, l->also_at, &l->also_found) || refuse(r, "a statement is read at two places");
    return (t.e->arr->arg && !t.e->arr->out) || refuse(r, "a value of the chain is read elsewhere");
  }
  for (unsigned i = 0; i < t.e->n; i++) TRY(look(r, (struct term){ t.e->a[i], t.v }, l));
  return true;
}

struct use { const struct ir_ix *sym; bool memory; unsigned budget; bool any; };
static void use(const struct cg_chain *c, struct term t, struct use *u)
{
  if (!u->budget) u->any = true;
  if (u->any) return;
  u->budget--;
  t = resolve(c, t);
  if (!u->memory && t.e->ix && ir_ix_uses(put(&t.v, t.e->ix), u->sym)) u->any = true;
  for (unsigned d = 0; d < t.e->n_at && (!u->memory || t.e->arr->arg); d++) u->any |= ir_ix_uses(put(&t.v, t.e->at[d]), u->sym);
  for (unsigned i = 0; i < t.e->n; i++) use(c, (struct term){ t.e->a[i], t.v }, u);
}
bool cg_chain_uses(const struct cg_chain *c, const struct kir_expr *e, const struct ir_ix *sym)
{
  struct use u = { .sym = sym, .budget = MAX_TERMS };
  use(c, whole(e), &u);
  return u.any;
}
bool cg_chain_reads_along(const struct cg_chain *c, const struct kir_expr *e, const struct ir_ix *sym)
{
  struct use u = { .sym = sym, .memory = true, .budget = MAX_TERMS };
  use(c, whole(e), &u);
  return u.any;
}

static struct kir_expr *expand(void *arg, struct kir_expr *e)
{
  const struct cg_chain *c = arg;
  const struct ir_ix *from[IR_MAX_RANK], *to[IR_MAX_RANK];
  const struct kir_stmt *w = e->arr->arg ? NULL : writer(c->n, e->arr);
  if (!w || e->els || w->e->kind == KIR_E_RED) return e;
  for (unsigned k = 0; k < w->n_axes; k++) {
    from[k] = w->axes[k].var;
    to[k] = e->at[cg_dim_of(w, k)];
  }
  return cg_expr_move(c->a, w->e, &(struct cg_move){ from, to, w->n_axes, expand, (void *)c });
}
struct kir_expr *cg_chain_flat(const struct cg_chain *c, const struct kir_expr *e) { return cg_expr_move(c->a, e, &(struct cg_move){ .read = expand, .arg = (void *)c }); }

static struct kir_expr *moved(struct cg_chain *c, const struct kir_expr *e, const struct env *v)
{
  return cg_expr_move(c->a, e, &(struct cg_move){ v->from, v->to, v->n, NULL, NULL });
}
static const struct ir_ix **moved_at(struct cg_chain *c, const struct kir_stmt *s, const struct env *v)
{
  const struct ir_ix **at = IR_NEWN(c->a, const struct ir_ix *, s->dst->rank + 1);
  for (unsigned d = 0; d < s->dst->rank; d++) at[d] = put(v, s->at ? s->at[d] : s->axes[d].var);
  return at;
}
static bool known(const struct env *v, const struct ir_ix *from)
{
  for (unsigned i = 0; i < v->n; i++)
    if (v->from[i] == from) return true;
  return false;
}

/* ---- the statements ---- */
static bool find_reductions(struct read *r, struct cg_chain *c)
{
  static const enum kir_red op[4] = { KIR_SUM, KIR_MAX, KIR_SUM, KIR_SUM };
  const struct kir_stmt **slot[4] = { &c->s, &c->m, &c->l, &c->o };
  unsigned n = 0;
  for (unsigned i = 0; i < c->n->stmts.n; i++) {
    const struct kir_stmt *s = c->n->stmts.v[i];
    if (!s->dst->arg && !cg_plain(s)) return refuse(r, "a temporary is written at computed coordinates");
    if (!is_red(s)) {
      if (cg_has_red(s->e)) return refuse(r, "a reduction stands inside of an expression");
      continue;
    }
    if (n == 4 || s->e->sub != op[n] || s->e->n_axes != 1 || s->e->elem != IR_f32) return refuse(r, "the reductions are not those of attention");
    if (n < 3 && s->dst->arg) return refuse(r, "weights of the attention are stored");
    *slot[n++] = s;
  }
  return n == 4 || refuse(r, "the reductions are not those of attention");
}
/* The rows are the axes of m; the scores are read at rows and j. */
static bool read_scores(struct read *r, struct cg_chain *c)
{
  const struct kir_expr *t = c->m->e->a[0];
  struct look l = { .of = c->s };
  struct env v = { .n = 0 };
  c->n_rows = c->m->n_axes;
  memcpy(c->row, c->m->axes, c->n_rows * sizeof *c->row);
  c->j = c->m->e->axes[0];
  TRY(look(r, whole(t), &l));
  if (!l.found || t->elem != IR_f32) return refuse(r, "the maxima are not of scores");
  c->t = (struct kir_expr *)t;
  c->s_at = ir_arena_copy(c->a, l.at, sizeof l.at);
  bool has_j = false;
  for (unsigned k = 0; k < c->s->n_axes; k++) {
    const struct ir_ix *to = l.at[cg_dim_of(c->s, k)], *ext = to == c->j.var ? c->j.ext : NULL;
    has_j |= to == c->j.var;
    for (unsigned i = 0; i < c->n_rows; i++)
      if (c->row[i].var == to) ext = c->row[i].ext;
    if (ext != c->s->axes[k].ext) return refuse(r, "scores are read at other places than rows and keys");
    bind(&v, c->s->axes[k].var, to);
  }
  if (!has_j) return refuse(r, "scores do not depend on the key");
  const struct kir_expr *e = c->s->e;
  c->d = e->axes[0];
  for (unsigned i = 0; i <= c->n_rows; i++)
    if ((i < c->n_rows ? c->row[i].var : c->j.var) == c->d.var) {
      int64_t lo, hi;
      ir_ix_range(c->d.ext, &lo, &hi);
      c->d.var = ir_ix_fresh(c->n->ixs, "d", IR_SYM_AXIS, 0, hi > 0 && hi < IR_IX_INF ? hi - 1 : hi, 1);
    }
  bind(&v, e->axes[0].var, c->d.var);
  struct term p = resolve(c, whole(moved(c, e->a[0], &v)));
  if (!is_fn(&p, IR_MAP_mul) || p.e->elem != IR_f32) return refuse(r, "scores are no sums of products");
  c->q = moved(c, p.e->a[0], &p.v);
  c->k = moved(c, p.e->a[1], &p.v);
  if (cg_chain_uses(c, c->q, c->j.var)) {
    struct kir_expr *x = c->q;
    c->q = c->k;
    c->k = x;
  }
  struct look none = { .of = NULL };
  return !cg_chain_uses(c, c->q, c->j.var) ? look(r, whole(c->q), &none) && look(r, whole(c->k), &none) : refuse(r, "both factors of the scores depend on the key");
}

/* exp(t - m): where it reads m, and t. */
static bool is_exp(const struct cg_chain *c, struct term t, const struct ir_ix **at_m, struct term *out_t)
{
  if (!is_fn(&t, IR_MAP_exp) || t.e->elem != IR_f32) return false;
  t = arg(c, &t, 0);
  if (!is_fn(&t, IR_MAP_sub)) return false;
  struct term m = arg(c, &t, 1);
  if (!reads(&m, c->m)) return false;
  for (unsigned d = 0; d < c->m->dst->rank; d++) at_m[d] = put(&m.v, m.e->at[d]);
  *out_t = (struct term){ t.e->a[0], t.v };
  return true;
}
/* Which rows the axes of s are, from where it reads m. */
static bool map_rows(const struct cg_chain *c, const struct kir_stmt *s, const struct ir_ix *const *at_m, struct env *out)
{
  for (unsigned i = 0; i < c->n_rows; i++) {
    const struct ir_ix *x = at_m[cg_dim_of(c->m, i)];
    unsigned k = 0;
    while (k < s->n_axes && s->axes[k].var != x) k++;
    if (k == s->n_axes || s->axes[k].ext != c->row[i].ext || known(out, x)) return false;
    bind(out, x, c->row[i].var);
  }
  return true;
}
static bool keys_of(struct read *r, const struct cg_chain *c, const struct kir_stmt *s, struct env *v)
{
  bind(v, s->e->axes[0].var, c->j.var);
  return s->e->axes[0].ext == c->j.ext || refuse(r, "sums run over another number of keys");
}
static bool read_sums(struct read *r, struct cg_chain *c)
{
  const struct ir_ix *at_m[IR_MAX_RANK];
  struct env v = { .n = 0 };
  struct term t;
  if (!is_exp(c, resolve(c, whole(c->l->e->a[0])), at_m, &t)) return refuse(r, "the sums are not of exp(t - m)");
  if (!map_rows(c, c->l, at_m, &v) || v.n != c->l->n_axes) return refuse(r, "the sums have other rows than the maxima");
  TRY(keys_of(r, c, c->l, &v));
  if (!is_exp(c, resolve(c, (struct term){ c->l->e->a[0], v }), at_m, &t) || !same(r, t, whole(c->t))) return refuse(r, "the sums are of other scores");
  c->l_at = moved_at(c, c->l, &v);
  return true;
}

/* The weights of the second product: exp(t - m), perhaps divided by l, perhaps 0 where that is NaN. */
struct weights { struct term exp; struct ir_ix const *at_l[IR_MAX_RANK]; bool divided, nan_zero; };
static bool reciprocal(const struct cg_chain *c, const struct term *t, struct term *out)
{
  if (is_fn(t, IR_MAP_recip)) *out = arg(c, t, 0);
  else if (is_fn(t, IR_MAP_div)) {
    struct term one = arg(c, t, 0);
    if (!is_const(&one, 1)) return false;
    *out = arg(c, t, 1);
  } else return false;
  return reads(out, c->l);
}
static bool division(const struct cg_chain *c, struct term *t, struct term *out_l)
{
  if (is_fn(t, IR_MAP_div)) {
    *out_l = arg(c, t, 1);
    if (!reads(out_l, c->l)) return false;
    *t = arg(c, t, 0);
    return true;
  }
  for (unsigned i = 0; i < 2 && is_fn(t, IR_MAP_mul); i++) {
    struct term f = arg(c, t, i);
    if (!reciprocal(c, &f, out_l)) continue;
    *t = arg(c, t, 1 - i);
    return true;
  }
  return false;
}
/* Half models round weights to their type before the product. Here they stay as they are: they are not known before all keys are seen, and more exact. */
static struct term unrounded(const struct cg_chain *c, struct term t)
{
  while (t.e->kind == KIR_E_CAST && ir_elem_class(t.e->elem) == 'F' && ir_elem_class(t.e->a[0]->elem) == 'F') t = arg(c, &t, 0);
  return t;
}
static bool weights(struct read *r, const struct cg_chain *c, struct term t, struct weights *w)
{
  struct term l, nan, y;
  *w = (struct weights){ .divided = false };
  t = unrounded(c, resolve(c, t));
  if (is_fn(&t, IR_MAP_select)) {
    nan = arg(c, &t, 0);
    y = arg(c, &t, 1);
    if (!is_fn(&nan, IR_MAP_isnan) || !is_const(&y, 0)) return false;
    y = arg(c, &t, 2);
    if (!same(r, arg(c, &nan, 0), y)) return false;
    w->nan_zero = true;
    t = unrounded(c, y);
  }
  if (division(c, &t, &l)) {
    w->divided = true;
    for (unsigned d = 0; d < c->l->dst->rank; d++) w->at_l[d] = put(&l.v, l.e->at[d]);
  }
  w->exp = t;
  return is_fn(&t, IR_MAP_exp) && (w->divided || !w->nan_zero);
}
static bool read_result(struct read *r, struct cg_chain *c)
{
  const struct kir_expr *body = c->o->e;
  const struct ir_ix *at_m[IR_MAX_RANK];
  struct env v = { .n = 0 };
  struct weights w;
  struct term p = resolve(c, whole(body->a[0])), t;
  unsigned side = 0;
  if (!is_fn(&p, IR_MAP_mul) || p.e->elem != IR_f32) return refuse(r, "the result is no sum of products");
  while (side < 2 && !weights(r, c, arg(c, &p, side), &w)) side++;
  if (side == 2 || !is_exp(c, w.exp, at_m, &t) || !map_rows(c, c->o, at_m, &v)) return refuse(r, "the result is no sum of exp(t - m)*v");
  for (unsigned k = 0; k < c->o->n_axes; k++) {
    struct kir_axis x = c->o->axes[k];
    if (known(&v, x.var)) continue;
    if (c->e.var) return refuse(r, "the result has two axes of its own");
    c->e = x;
    bool taken = x.var == c->j.var;
    for (unsigned i = 0; i < c->n_rows; i++) taken |= c->row[i].var == x.var;
    int64_t lo, hi;
    ir_ix_range(x.ext, &lo, &hi);
    if (taken) c->e.var = ir_ix_fresh(c->n->ixs, "e", IR_SYM_AXIS, 0, hi > 0 && hi < IR_IX_INF ? hi - 1 : hi, 1);
    bind(&v, x.var, c->e.var);
  }
  TRY(keys_of(r, c, c->o, &v));
  p = resolve(c, whole(moved(c, body->a[0], &v)));
  if (!weights(r, c, arg(c, &p, side), &w) || !is_exp(c, w.exp, at_m, &t) || !same(r, t, whole(c->t))) return refuse(r, "the result is of other scores");
  for (unsigned d = 0; w.divided && d < c->l->dst->rank; d++)
    if (w.at_l[d] != c->l_at[d]) return refuse(r, "weights are divided by the sum of another row");
  c->divided = w.divided;
  c->nan_zero = w.nan_zero;
  c->v = moved(c, p.e->a[1 - side], &p.v);
  c->o_at = moved_at(c, c->o, &v);
  struct look none = { .of = NULL };
  return look(r, whole(c->v), &none);
}

/* ---- what is stored ---- */
/* Solves `coordinates at which o is read` = o's own for the axes of s: an axis is a coordinate, or axis/n and axis%n are two. */
static bool solve(const struct cg_chain *c, const struct kir_stmt *s, const struct ir_ix *const *at, struct env *out)
{
  const struct kir_arr *o = c->o->dst;
  for (unsigned k = 0; k < s->n_axes; k++) {
    const struct ir_ix *x = s->axes[k].var, *ext = NULL, *to = NULL;
    for (unsigned d = 0; d < o->rank && !to; d++) {
      const struct ir_ix *n = cg_extent(o, d);
      if (at[d] == x) {
        to = c->o_at[d];
        ext = n;
      }
      for (unsigned h = 0; h < o->rank && !to; h++)
        if (h != d && at[d] == ir_ix_mod(x, n) && at[h] == ir_ix_div(x, n)) {
          to = ir_ix_add(ir_ix_mul(c->o_at[h], n), c->o_at[d]);
          ext = ir_ix_mul(cg_extent(o, h), n);
        }
    }
    if (!to || ext != s->axes[k].ext) return false;
    bind(out, x, to);
  }
  for (unsigned d = 0; d < o->rank; d++)
    if (put(out, at[d]) != c->o_at[d]) return false;
  return true;
}
static bool add_out(struct read *r, struct cg_chain *c, const struct kir_stmt *s, const struct env *v, struct kir_expr *e)
{
  for (unsigned d = 0; d < s->dst->rank; d++)
    if (cg_halo_dim(s->dst, d)) return refuse(r, "an output has a halo");
  if (c->n_outs == CG_CHAIN_OUTS) return refuse(r, "too many outputs");
  c->out[c->n_outs++] = (struct cg_chain_out){ s->dst, moved_at(c, s, v), e };
  return true;
}
static bool read_outputs(struct read *r, struct cg_chain *c)
{
  for (unsigned i = 0; i < c->n->stmts.n; i++) {
    const struct kir_stmt *s = c->n->stmts.v[i];
    struct look l = { .of = c->o->dst->arg ? NULL : c->o, .also = c->l };
    struct env v = { .n = 0 };
    if (!s->dst->arg) continue;
    if (s == c->o) {
      const struct ir_ix **at = c->o_at;
      for (unsigned d = 0; d < s->dst->rank; d++)
        if (cg_halo_dim(s->dst, d)) return refuse(r, "an output has a halo");
      c->out[c->n_outs++] = (struct cg_chain_out){ s->dst, at, NULL };
      continue;
    }
    TRY(look(r, whole(s->e), &l));
    if (!l.found || !solve(c, s, l.at, &v)) return refuse(r, "an output is not of the result's rows");
    for (unsigned d = 0; l.also_found && d < c->l->dst->rank; d++)
      if (put(&v, l.also_at[d]) != c->l_at[d]) return refuse(r, "an output reads the sum of another row");
    TRY(add_out(r, c, s, &v, moved(c, s->e, &v)));
  }
  return c->n_outs || refuse(r, "nothing is stored");
}

bool cg_chain_read(struct cg_chain *c, struct ir_arena *a, const struct kir_nest *n, const char **why)
{
  struct read r = { .c = c, .budget = MAX_TERMS };
  *c = (struct cg_chain){ .a = a, .n = n, .i = -1 };
  if (!find_reductions(&r, c) || !read_scores(&r, c) || !read_sums(&r, c) || !read_result(&r, c) || !read_outputs(&r, c)) {
    *why = r.why;
    return false;
  }
  for (unsigned i = 0; i < c->n_rows; i++)
    if (!ir_ix_is(c->row[i].ext, 1) && cg_chain_uses(c, c->q, c->row[i].var) && !cg_chain_uses(c, c->k, c->row[i].var) && !cg_chain_uses(c, c->v, c->row[i].var)) c->i = (int)i;
  return true;
}
