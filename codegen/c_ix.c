/* Index expressions as C.
 *
 * A text is of 32 bits where no partial sum can leave them, else of 64: every sum adds its terms from left to right, so it is enough that the first is wide and
 * that every product that does not fit is made wide in its first factor. Division is floor division: plain where the dividend's range is not negative. */
#include <string.h>
#include "codegen/c.h"

enum { MAX_ITEMS = 2 * IR_IX_MAX_TERMS };
struct item {                          /* k * product of factors, the last perhaps a % b */
  int64_t k, lo, hi;                   /* range of all of it */
  const struct ir_ix *part, *a, *b;    /* part: the term, or the cofactor of a % b */
};
static bool in32(int64_t lo, int64_t hi) { return lo >= INT32_MIN && hi <= INT32_MAX; }
static int64_t clamp(__int128 x) { return x > IR_IX_INF ? IR_IX_INF : x < -IR_IX_INF ? -IR_IX_INF : (int64_t)x; }
static void times(int64_t *lo, int64_t *hi, int64_t l, int64_t h)
{
  __int128 p[4] = { (__int128)*lo * l, (__int128)*lo * h, (__int128)*hi * l, (__int128)*hi * h }, a = p[0], b = p[0];
  for (unsigned i = 1; i < 4; i++) {
    if (p[i] < a) a = p[i];
    if (p[i] > b) b = p[i];
  }
  *lo = clamp(a);
  *hi = clamp(b);
}
static unsigned items_of(const struct ir_ix *e, struct item *it)
{
  unsigned n = 0;
  struct ir_modpart m;
  while (n < IR_IX_MAX_TERMS && ir_ix_modpart(e, &m)) {
    int64_t lo, hi, top, bottom;
    struct item x = { .k = m.k, .part = m.co, .a = m.a, .b = m.b };
    ir_ix_range(m.b, &bottom, &top);
    ir_ix_range(m.a, &lo, &hi);
    x.hi = top == IR_IX_INF ? top : top > 0 ? top - 1 : 0;
    if (lo >= 0 && hi < x.hi) x.hi = hi;
    ir_ix_range(m.co, &lo, &hi);
    times(&x.lo, &x.hi, lo, hi);
    times(&x.lo, &x.hi, m.k, m.k);
    it[n++] = x;
    e = m.rest;
  }
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned nf;
    const struct ir_atom *const *f;
    struct item x = { .k = ir_ix_term(e, i, &nf, &f), .part = ir_ix_part(e, i) };
    ir_ix_range(x.part, &x.lo, &x.hi);
    it[n++] = x;
  }
  for (unsigned i = 1; i < n; i++)     /* the largest step first, the constant last, a positive term in front */
    for (unsigned j = i; j > 0; j--) {
      int64_t k, p = it[j - 1].k, q = it[j].k;
      bool cp = !it[j - 1].a && ir_ix_const(it[j - 1].part, &k), cq = !it[j].a && ir_ix_const(it[j].part, &k);
      bool before = cp != cq ? cp : (p < 0) != (q < 0) ? p < 0 : (q < 0 ? -q : q) > (p < 0 ? -p : p);
      if (!before) break;
      struct item t = it[j - 1];
      it[j - 1] = it[j];
      it[j] = t;
    }
  return n;
}
static int64_t magnitude(const struct item *x) { return x->lo == INT64_MIN || -x->lo > x->hi ? (x->lo == INT64_MIN ? IR_IX_INF : -x->lo) : x->hi; }
static bool wide_items(const struct item *it, unsigned n)
{
  int64_t sum = 0;
  for (unsigned i = 0; i < n; i++) {
    int64_t m = magnitude(&it[i]);
    if (m >= INT32_MAX || (sum += m) >= INT32_MAX) return true;    /* conditions add 1 */
  }
  return false;
}
bool c_ix_wide(const struct ir_ix *e)
{
  struct item it[MAX_ITEMS];
  return wide_items(it, items_of(e, it));
}
bool c_sym_wide(const struct ir_sym *s) { return !in32(s->lo, s->hi); }

/* ---- atoms ---- */
static struct c_text atom_text(const char *s) { return (struct c_text){ s, C_ATOM }; }
static const char *cast(struct cc *c, bool wide, struct c_text t) { return c_printf(c, "(%s)%s", wide ? c->d->i64 : "int", c_in(c, t, C_UNARY)); }
struct c_text c_ix_as(struct cc *c, const struct ir_ix *e, bool wide)
{
  struct c_text t = c_ix(c, e);
  int64_t k;
  if (c_ix_wide(e) == wide || ir_ix_const(e, &k)) return t;
  return (struct c_text){ cast(c, wide, t), C_UNARY };
}
bool c_ix_reads(const struct ir_ix *e)
{
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned n;
    const struct ir_atom *const *f;
    ir_ix_term(e, i, &n, &f);
    for (unsigned j = 0; j < n; j++) {
      if (f[j]->kind == IR_ATOM_LOAD || (f[j]->kind == IR_ATOM_SYM && f[j]->sym->def && c_ix_reads(f[j]->sym->def))) return true;
      if (f[j]->kind != IR_ATOM_SYM && (c_ix_reads(f[j]->a) || (f[j]->b && c_ix_reads(f[j]->b)))) return true;
    }
  }
  return false;
}
/* The block from whose start on all of e is known; the kernel's if it holds no loop's symbol. *out_moves: it reads memory or the place in a vector. */
static unsigned level_of(struct cc *c, const struct ir_ix *e, bool *out_moves)
{
  unsigned level = 0;
  *out_moves |= c->k->vsym && ir_ix_uses(e, c->k->vsym);
  for (uint32_t i = 0; i < c->loops.n; i++)
    if (ir_ix_uses(e, c->loops.v[i].what)) level = c->loop_level[i];
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned n;
    const struct ir_atom *const *f;
    ir_ix_term(e, i, &n, &f);
    for (unsigned j = 0; j < n; j++) {
      *out_moves |= f[j]->kind == IR_ATOM_LOAD || (f[j]->kind == IR_ATOM_SYM && f[j]->sym->def);
      if (f[j]->kind == IR_ATOM_SYM || f[j]->kind == IR_ATOM_LOAD) continue;
      level_of(c, f[j]->a, out_moves);
      if (f[j]->b) level_of(c, f[j]->b, out_moves);
    }
  }
  return level;
}
static struct c_text plain_quotient(struct cc *c, const struct ir_ix *a, const struct ir_ix *b, bool mod, bool *wide);
/* A quotient or rest of a sum gets a name, once in the block where its loops are. */
static struct c_text quotient(struct cc *c, const struct ir_ix *a, const struct ir_ix *b, bool mod, bool *wide)
{
  bool moves = false;
  unsigned la = level_of(c, a, &moves), lb = level_of(c, b, &moves), level = la > lb ? la : lb;
  if (moves || ir_ix_nterms(a) < 2) return plain_quotient(c, a, b, mod, wide);
  for (uint32_t i = 0; i < c->quotients.n; i++) {
    const struct c_quotient *q = &c->quotients.v[i];
    if (q->a != a || q->b != b || q->mod != mod) continue;
    *wide = q->wide;
    return atom_text(q->name);
  }
  struct c_text t = plain_quotient(c, a, b, mod, wide);
  const char *n = c_name(c, NULL, mod ? "r" : "q");
  c_declare(c, level, c_printf(c, "const %s %s = %s;", *wide ? c->d->i64 : "int", n, t.s));
  struct c_quotient q = { a, b, mod, *wide, level, n };
  uint32_t at = c->quotients.n;
  ir_push(c->a, &c->quotients, q);
  for (; at > 0 && c->quotients.v[at - 1].level > level; at--) c->quotients.v[at] = c->quotients.v[at - 1];   /* by level, so that a block's go when it closes */
  c->quotients.v[at] = q;
  return atom_text(n);
}
static struct c_text plain_quotient(struct cc *c, const struct ir_ix *a, const struct ir_ix *b, bool mod, bool *wide)
{
  int64_t lo, hi, blo, bhi;
  bool w = c_ix_wide(a) || c_ix_wide(b);
  ir_ix_range(a, &lo, &hi);
  ir_ix_range(b, &blo, &bhi);
  struct c_text x = c_ix_as(c, a, w), y = c_ix_as(c, b, w), r;
  if (lo >= 0) r = (struct c_text){ c_printf(c, "%s%s%s", c_in(c, x, C_MUL), mod ? " % " : "/", c_in(c, y, C_UNARY)), C_MUL };
  else r = atom_text(c_printf(c, "%s(%s, %s)", c_help(c, mod ? "floormod" : "floordiv", w ? IR_i64 : IR_i32), x.s, y.s));
  *wide = w;
  int64_t top = mod ? bhi : hi, bottom = mod ? 0 : lo;
  if (w && in32(bottom, top)) {
    r = (struct c_text){ cast(c, false, r), C_UNARY };
    *wide = false;
  }
  return r;
}
static struct c_text sym_text(struct cc *c, const struct ir_sym *s, bool *wide)
{
  *wide = c_sym_wide(s);
  if (s->def) {
    struct c_text t = c_ix(c, s->def);
    *wide = c_ix_wide(s->def);
    return t;
  }
  const struct ir_ix *e = ir_ix_find(c->k->ixs, s->name);
  if (e && e == c->k->vsym) return atom_text("\1");
  if (e && e == c->k->lane) { c->lane = e; *wide = false; }
  if (e && e == c->k->warp) { c->warp = e; *wide = false; }
  return atom_text(c_name(c, s, s->name));
}
static struct c_text compare(struct cc *c, const struct ir_ix *e, bool eq);
static const struct kir_arr *array_of(struct cc *c, unsigned array)
{
  if (array < c->k->args.n) return c->k->args.v[array];
  c_fail(c, "index array %u is no argument", array);
  return NULL;
}
static struct c_text load_text(struct cc *c, const struct ir_atom *a, bool *wide)
{
  const struct kir_arr *arr = array_of(c, a->array);
  const struct ir_ix *from[IR_MAX_RANK], *off = ir_ix_int(c->k->ixs, 0);
  if (!arr) return atom_text("0");
  for (unsigned d = 0; d < arr->rank; d++) from[d] = ir_ix_coord(c->k->ixs, d);
  if (arr->at) off = arr->rank ? ir_ix_subst(arr->at, from, a->at, arr->rank) : arr->at;
  else
    for (unsigned d = 0; d < arr->rank; d++) off = ir_ix_add(ir_ix_mul(off, ir_ix_sub(arr->hi[d], arr->lo[d])), ir_ix_sub(a->at[d], arr->lo[d]));
  int64_t lo, hi;
  ir_atom_range(a, &lo, &hi);
  *wide = !in32(lo, hi);
  return (struct c_text){ cast(c, *wide, atom_text(c_element(c, arr, off, 1))), C_UNARY };
}
static struct c_text atom(struct cc *c, const struct ir_atom *a, bool *wide)
{
  switch (a->kind) {
  case IR_ATOM_SYM: return sym_text(c, a->sym, wide);
  case IR_ATOM_DIV: return quotient(c, a->a, a->b, false, wide);
  case IR_ATOM_MIN: case IR_ATOM_MAX: {
    *wide = c_ix_wide(a->a) || c_ix_wide(a->b);
    struct c_text x = c_ix_as(c, a->a, *wide), y = c_ix_as(c, a->b, *wide);
    return atom_text(c_printf(c, "%s(%s, %s)", c_help(c, a->kind == IR_ATOM_MIN ? "min" : "max", *wide ? IR_i64 : IR_i32), x.s, y.s));
  }
  case IR_ATOM_BCAST: {
    *wide = c_ix_wide(a->a) || c_ix_wide(a->b);
    struct c_text x = c_ix_as(c, a->a, *wide), y = c_ix_as(c, a->b, *wide);
    return (struct c_text){ c_printf(c, "%s == 1 ? %s : %s", c_in(c, x, C_CMP), c_in(c, y, C_OR), c_in(c, x, C_COND)), C_COND };
  }
  case IR_ATOM_GE0: case IR_ATOM_EQ0: *wide = false; return compare(c, a->a, a->kind == IR_ATOM_EQ0);
  case IR_ATOM_LOAD: return load_text(c, a, wide);
  }
  return atom_text("0");
}

/* ---- sums ---- */
/* |k| * factors, made wide where asked. */
static struct c_text product(struct cc *c, const struct item *x, int64_t k, bool wide)
{
  struct c_text f[80];
  bool w[80], any = false;
  unsigned n = 0, nf;
  const struct ir_atom *const *fa;
  if (ir_ix_nterms(x->part)) ir_ix_term(x->part, 0, &nf, &fa);
  else nf = 0;
  for (unsigned i = 0; i < nf && n < 78; i++) {
    const struct ir_sym *s = fa[i]->kind == IR_ATOM_SYM ? fa[i]->sym : NULL;
    if (s && s->whole) {               /* 8*base is N */
      bool ok = k % s->whole->by == 0;
      f[n] = atom_text(c_name(c, s->whole, s->whole->name));
      w[n] = c_sym_wide(s->whole);
      if (ok) k /= s->whole->by;
      else f[n] = (struct c_text){ c_printf(c, "%s/%lld", f[n].s, (long long)s->whole->by), C_MUL };
    } else f[n] = atom(c, fa[i], &w[n]);
    if (f[n].prec == C_MUL && n) f[n] = atom_text(c_in(c, f[n], C_UNARY));
    n++;
  }
  if (x->a) {
    f[n] = quotient(c, x->a, x->b, true, &w[n]);
    if (n || k != 1) f[n] = atom_text(c_in(c, f[n], C_UNARY));
    n++;
  }
  if (!n) {
    bool big = !in32(k, k);
    return atom_text(c_printf(c, "%lld%s", (long long)k, big || wide ? c->d->i64_suffix : ""));
  }
  for (unsigned i = 0; i < n; i++) any |= w[i];
  if (n == 1 && k == 1 && (!wide || w[0])) return f[0];
  struct ir_buf b = { 0 };
  unsigned prec = n == 1 && k == 1 ? C_UNARY : C_MUL;
  if (wide && !w[0]) ir_buf_printf(&b, "(%s)%s", c->d->i64, c_in(c, f[0], C_UNARY));
  else ir_buf_printf(&b, "%s", c_in(c, f[0], prec == C_MUL ? C_MUL : C_UNARY));
  for (unsigned i = 1; i < n; i++) ir_buf_printf(&b, "*%s", c_in(c, f[i], C_UNARY));
  if (k != 1) ir_buf_printf(&b, "*%lld%s", (long long)k, in32(k, k) ? "" : c->d->i64_suffix);
  const char *s = ir_arena_strndup(c->a, b.s, b.n);
  ir_buf_deinit(&b);
  return (struct c_text){ s, prec };
}
/* Items from..: their sum; wide: of 64 bits. sign -1: of the negated ones. */
static struct c_text sum(struct cc *c, const struct item *it, unsigned n, bool wide)
{
  if (!n) return atom_text("0");
  if (n == 1 && it[0].k > 0) return product(c, &it[0], it[0].k, wide && (magnitude(&it[0]) > INT32_MAX || wide));
  struct ir_buf b = { 0 };
  for (unsigned i = 0; i < n; i++) {
    bool neg = it[i].k < 0 && it[i].k != INT64_MIN, w = wide && (i == 0 || magnitude(&it[i]) > INT32_MAX);
    struct c_text p = product(c, &it[i], neg ? -it[i].k : it[i].k, w);
    ir_buf_printf(&b, "%s%s", i ? neg ? " - " : " + " : neg ? "-" : "", c_in(c, p, i || neg ? C_MUL : C_ADD));
  }
  const char *s = ir_arena_strndup(c->a, b.s, b.n);
  ir_buf_deinit(&b);
  return (struct c_text){ s, C_ADD };
}
struct c_text c_ix(struct cc *c, const struct ir_ix *e)
{
  struct item it[MAX_ITEMS];
  unsigned n = items_of(e, it);
  return sum(c, it, n, wide_items(it, n));
}

/* ---- conditions ---- */
/* e >= 0, or e == 0: what is positive against what is negative; "x - 5 >= 0" is x >= 5, "55 - x >= 0" is x < 56. */
static struct c_text compare(struct cc *c, const struct ir_ix *e, bool eq)
{
  struct item it[MAX_ITEMS], pos[MAX_ITEMS], neg[MAX_ITEMS];
  unsigned n = items_of(e, it), np = 0, nn = 0;
  bool wide = wide_items(it, n);
  int64_t k = 0;
  for (unsigned i = 0; i < n; i++) {
    int64_t q;
    if (!it[i].a && ir_ix_const(it[i].part, &q)) k = q;
    else if (it[i].k > 0) pos[np++] = it[i];
    else {
      neg[nn] = it[i];
      neg[nn].k = -it[i].k;
      neg[nn].lo = it[i].hi == IR_IX_INF ? -IR_IX_INF : -it[i].hi;
      neg[nn++].hi = it[i].lo == INT64_MIN || it[i].lo == -IR_IX_INF ? IR_IX_INF : -it[i].lo;
    }
  }
  if (!np && !nn) return atom_text((eq ? k == 0 : k >= 0) ? "1" : "0");
  bool less = nn && (!np || k >= 0), big = !in32(k, k) || k == INT32_MAX || k == INT32_MIN;
  if (wide || big) wide = true;
  const char *sfx = wide && !in32(k, k) ? c->d->i64_suffix : "";
  struct c_text l, r;
  const char *op;
  if (less) {                          /* neg <= pos + k */
    l = sum(c, neg, nn, wide);
    r = sum(c, pos, np, wide);
    bool strict = !eq && k != INT64_MAX;
    long long q = (long long)(strict ? k + 1 : k);
    if (!np) r = atom_text(c_printf(c, "%lld%s", q, sfx));
    else if (q) r = (struct c_text){ c_printf(c, "%s + %lld%s", r.s, q, sfx), C_ADD };
    op = eq ? "==" : strict ? "<" : "<=";
  } else {                             /* pos >= neg - k */
    l = sum(c, pos, np, wide);
    r = sum(c, neg, nn, wide);
    long long q = (long long)(k == INT64_MIN ? INT64_MAX : -k);
    if (!nn) r = atom_text(c_printf(c, "%lld%s", q, sfx));
    else if (q) r = (struct c_text){ c_printf(c, "%s %c %lld%s", r.s, q < 0 ? '-' : '+', q < 0 ? -q : q, sfx), C_ADD };
    op = eq ? "==" : ">=";
  }
  return (struct c_text){ c_printf(c, "%s %s %s", c_in(c, l, C_ADD), op, c_in(c, r, C_ADD)), eq ? C_EQ : C_CMP };
}
struct c_text c_all_ge0(struct cc *c, const struct ir_ix *const *e, unsigned n)
{
  struct c_text r = { NULL, C_ATOM };
  for (unsigned i = 0; i < n; i++) {
    int64_t lo, hi, k;
    ir_ix_range(e[i], &lo, &hi);
    if (ir_ix_const(e[i], &k) ? k >= 0 : lo >= 0) continue;
    struct c_text t = compare(c, e[i], false);
    r = r.s ? (struct c_text){ c_printf(c, "%s && %s", r.s, c_in(c, t, C_EQ)), C_AND } : t;
  }
  return r;
}
/* A product of tests, or 1 - it, reads as "and". */
struct c_text c_cond(struct cc *c, const struct ir_ix *e)
{
  int64_t k = 0, one = 0;
  unsigned n = 0;
  const struct ir_atom *const *f = NULL;
  bool tests = true;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned m;
    const struct ir_atom *const *g;
    int64_t x = ir_ix_term(e, i, &m, &g);
    if (!m) one = x;
    else if (k) tests = false;
    else k = x, n = m, f = g;
  }
  bool neg = k == -1 && one == 1;
  tests &= neg || (k == 1 && one == 0);
  for (unsigned i = 0; tests && i < n; i++) tests = f[i]->kind == IR_ATOM_GE0 || f[i]->kind == IR_ATOM_EQ0;
  if (!tests) {
    if (ir_ix_const(e, &k)) return atom_text(k ? "1" : "0");
    return (struct c_text){ c_printf(c, "%s != 0", c_in(c, c_ix(c, e), C_CMP)), C_EQ };
  }
  struct c_text r = { NULL, C_ATOM };
  for (unsigned i = 0; i < n; i++) {
    struct c_text t = compare(c, f[i]->a, f[i]->kind == IR_ATOM_EQ0);
    r = r.s ? (struct c_text){ c_printf(c, "%s && %s", r.s, c_in(c, t, C_EQ)), C_AND } : t;
  }
  return neg ? (struct c_text){ c_printf(c, "!(%s)", r.s), C_UNARY } : r;
}
