/* Index expressions: the table, symbols, monomials, sums and products. See ix_internal.h for the representation.
 *
 * Terms are in graded lexicographic order (higher degree first, then by the atoms' creation numbers), which multiplication keeps; so polynomial division may
 * look at leading terms. What does not fit (coefficients over 64 bits, too many terms) is wrapped: o = opaque(e) is a symbol that stands for e, and a sum or
 * product of wrapped operands always fits. Substitution unwraps again, so an expression recovers as soon as it becomes small. */
#include "ir/ix_internal.h"

/* ---- interning ---- */
static void **set_find(struct ix_set *s, uint64_t hash, bool (*eq)(const void *obj, const void *key), const void *key)
{
  uint32_t i = (uint32_t)hash & (s->cap - 1);
  while (s->slot[i] && (*(const uint64_t *)s->slot[i] != hash || !eq(s->slot[i], key))) i = (i + 1) & (s->cap - 1);
  return &s->slot[i];
}
static void set_room(struct ir_ixs *t, struct ix_set *s)
{
  if (2 * s->n < s->cap) return;
  void **old = s->slot;
  uint32_t oldcap = s->cap;
  s->cap = oldcap ? 2 * oldcap : 256;
  s->slot = IR_NEWN(t->arena, void *, s->cap);
  for (uint32_t i = 0; i < oldcap; i++) {
    if (!old[i]) continue;
    uint32_t j = (uint32_t) * (const uint64_t *)old[i] & (s->cap - 1);
    while (s->slot[j]) j = (j + 1) & (s->cap - 1);
    s->slot[j] = old[i];
  }
}
static inline uint64_t mix(uint64_t h, uint64_t x) { h = (h ^ x) * 0x9e3779b97f4a7c15u; return h ^ h >> 29; }

struct mono_key { const struct ir_atom *const *a; uint32_t n; };
static bool mono_eq(const void *obj, const void *key)
{
  const struct ix_mono *m = obj;
  const struct mono_key *k = key;
  return m->n == k->n && (!k->n || !memcmp(m->a, k->a, k->n * sizeof *k->a));
}
static const struct ix_mono *mono_intern(struct ir_ixs *t, const struct ir_atom *const *a, uint32_t n)
{
  uint64_t h = n;
  for (uint32_t i = 0; i < n; i++) h = mix(h, a[i]->id);
  set_room(t, &t->monos);
  struct mono_key key = { a, n };
  void **slot = set_find(&t->monos, h, mono_eq, &key);
  if (*slot) return *slot;
  struct ix_mono *m = ir_arena_alloc(t->arena, sizeof *m + n * sizeof *a);
  m->hash = h;
  m->id = t->n_monos++;
  m->n = n;
  for (uint32_t i = 0; i < n; i++) {
    const struct ix_atom *x = ix_atom_of(a[i]);
    m->a[i] = a[i];
    m->test |= ix_is_test(a[i]);
    m->div |= a[i]->kind == IR_ATOM_DIV;
    m->rich |= a[i]->kind != IR_ATOM_SYM || !x->key_sym;
    m->bloom |= x->bloom;
    if (x->depth > m->depth) m->depth = x->depth;
  }
  m->lo = -IR_IX_INF;
  m->hi = IR_IX_INF;
  mono_facts(m);
  t->monos.n++;
  *slot = m;
  ir_push(t->arena, &t->objs, ((struct ix_obj){ OBJ_MONO, m }));
  return m;
}
struct ix_key { const struct term *v; uint32_t n; };
static bool ix_eq(const void *obj, const void *key)
{
  const struct ir_ix *e = obj;
  const struct ix_key *k = key;
  if (e->n != k->n) return false;
  for (uint32_t i = 0; i < k->n; i++)
    if (e->v[i].k != k->v[i].k || e->v[i].m != k->v[i].m) return false;
  return true;
}
static void ix_facts(struct ir_ix *e)
{
  int64_t lo, hi, by = 0;
  poly_range(e->t, e->v, e->n, &lo, &hi);
  if (lo > e->lo) e->lo = lo;
  if (hi < e->hi) e->hi = hi;
  for (uint32_t i = 0; i < e->n; i++) {
    int64_t k;
    if (!ir_mul64(e->v[i].k, e->v[i].m->by, &k)) k = e->v[i].k;
    by = gcd64(by, k);
  }
  e->by = by;
}
const struct ir_ix *ix_intern(struct ir_ixs *t, const struct term *v, uint32_t n)
{
  uint64_t h = n;
  for (uint32_t i = 0; i < n; i++) h = mix(mix(h, v[i].m->id), (uint64_t)v[i].k);
  struct ix_key key = { v, n };
  set_room(t, &t->exprs);
  void **slot = set_find(&t->exprs, h, ix_eq, &key);
  if (*slot) return *slot;
  struct ir_ix *e = ir_arena_alloc(t->arena, sizeof *e + n * sizeof *v);
  e->hash = h;
  e->t = t;
  e->id = t->n_exprs++;
  e->n = n;
  e->proof = 2;
  if (n) memcpy(e->v, v, n * sizeof *v);
  for (uint32_t i = 0; i < n; i++) {
    const struct ix_mono *m = v[i].m;
    e->bloom |= m->bloom;
    e->rich |= m->rich;
    if (m->depth > e->depth) e->depth = m->depth;
    if (m->rich)
      for (uint32_t j = 0; j < m->n; j++) e->over |= ix_atom_of(m->a[j])->over;
  }
  e->lo = -IR_IX_INF;
  e->hi = IR_IX_INF;
  t->exprs.n++;
  *slot = e;
  ir_push(t->arena, &t->objs, ((struct ix_obj){ OBJ_IX, e }));
  ix_facts(e);                       /* may intern others, so the slot is filled by now */
  return e;
}
const struct ir_ix *ix_of_poly(struct ir_ixs *t, const struct poly *p) { return p->n <= IR_IX_MAX_TERMS ? ix_intern(t, p->v, p->n) : NULL; }
const struct ir_ix *ix_of_mono(struct ir_ixs *t, int64_t k, const struct ix_mono *m) { return k ? ix_intern(t, &(struct term){ k, m }, 1) : t->zero; }

/* ---- atoms ---- */
static bool atom_eq(const void *obj, const void *key)
{
  const struct ix_atom *x = obj, *y = key;
  if (x->key_sym != y->key_sym || x->pub.kind != y->pub.kind || x->pub.a != y->pub.a || x->pub.b != y->pub.b || x->pub.array != y->pub.array || x->pub.n != y->pub.n) return false;
  return !x->pub.n || !memcmp(x->pub.at, y->pub.at, x->pub.n * sizeof *x->pub.at);
}
static uint64_t atom_hash(const struct ix_atom *k)
{
  uint64_t h = mix((uint64_t)k->pub.kind, k->pub.array);
  h = mix(h, k->key_sym ? ((const struct ix_sym *)k->key_sym)->pub.id + 1 : 0);
  h = mix(h, k->pub.a ? k->pub.a->id + 1 : 0);
  h = mix(h, k->pub.b ? k->pub.b->id + 1 : 0);
  for (unsigned i = 0; i < k->pub.n; i++) h = mix(h, k->pub.at[i]->id);
  return h;
}
static unsigned key_depth(const struct ix_atom *k)
{
  unsigned d = 0;
  if (k->pub.a && k->pub.a->depth >= d) d = k->pub.a->depth + 1;
  if (k->pub.b && k->pub.b->depth >= d) d = k->pub.b->depth + 1;
  for (unsigned i = 0; i < k->pub.n; i++)
    if (k->pub.at[i]->depth >= d) d = k->pub.at[i]->depth + 1;
  return d;
}
static const struct ir_sym *hidden_sym(struct ir_ixs *t, const struct ir_ix *def)
{
  struct ix_sym *s = IR_NEW(t->arena, struct ix_sym);
  s->pub = (struct ir_sym){ .name = ir_arena_printf(t->arena, def ? "$%u" : LOST "%u", t->n_opaque++), .kind = IR_SYM_DIM, .lo = -IR_IX_INF, .hi = IR_IX_INF, .by = 1, .id = t->n_syms++, .def = def };
  if (def) { s->pub.lo = def->lo; s->pub.hi = def->hi; s->pub.by = def->by ? def->by : 1; }
  return &s->pub;
}
/* Interns the atom whose key fields are set. One nested too deeply loses its meaning: it becomes a symbol without definition, which no evaluation accepts. */
static const struct ix_atom *atom_intern(struct ir_ixs *t, struct ix_atom key, int64_t lo, int64_t hi)
{
  unsigned depth = key_depth(&key);
  if (depth > MAX_DEPTH) { key.pub.array = key.pub.array * 16 + (unsigned)key.pub.kind + 1; key.pub.kind = IR_ATOM_SYM; key.pub.sym = NULL; }
  uint64_t h = atom_hash(&key);
  set_room(t, &t->atoms);
  void **slot = set_find(&t->atoms, h, atom_eq, &key);
  struct ix_atom *x = *slot;
  if (x) {
    if (x->pub.kind == IR_ATOM_LOAD) { if (lo > x->lo) x->lo = lo; if (hi < x->hi) x->hi = hi; }
    return x;
  }
  x = ir_arena_copy(t->arena, &key, sizeof key);
  x->hash = h;
  x->pub.id = t->n_atoms++;
  x->lo = lo;
  x->hi = hi;
  x->depth = depth > MAX_DEPTH ? 0 : depth;
  if (key.pub.n) x->pub.at = ir_arena_copy(t->arena, key.pub.at, key.pub.n * sizeof *key.pub.at);
  if (key.pub.kind == IR_ATOM_SYM) {
    bool opaque = !key.key_sym;
    if (opaque) { x->pub.sym = hidden_sym(t, depth > MAX_DEPTH ? NULL : key.pub.a); x->over = true; }
    x->bloom = (uint64_t)1 << (x->pub.sym->id % 64);
    if (x->pub.sym->def) x->bloom = x->pub.sym->def->bloom;
  }
  const struct ir_ix *ops[2] = { key.pub.a, key.pub.b };
  if (depth <= MAX_DEPTH) {
    for (unsigned i = 0; i < 2; i++) if (ops[i]) { x->bloom |= ops[i]->bloom; x->over |= ops[i]->over; }
    for (unsigned i = 0; i < key.pub.n; i++) { x->bloom |= key.pub.at[i]->bloom; x->over |= key.pub.at[i]->over; }
  }
  atom_facts(x);
  t->atoms.n++;
  *slot = x;
  ir_push(t->arena, &t->objs, ((struct ix_obj){ OBJ_ATOM, x }));
  const struct ir_atom *self = &x->pub;
  x->mono = mono_intern(t, &self, 1);
  x->ix = ix_of_mono(t, 1, x->mono);
  return x;
}
const struct ir_ix *ix_atom(struct ir_ixs *t, enum ir_atom_kind kind, const struct ir_ix *a, const struct ir_ix *b)
{
  return atom_intern(t, (struct ix_atom){ .pub = { .kind = kind, .a = a, .b = b } }, -IR_IX_INF, IR_IX_INF)->ix;
}
const struct ir_ix *ix_opaque(const struct ir_ix *def)
{
  const struct ir_sym *s = ir_ix_as_sym(def);
  if (s && s->def) return def;
  return atom_intern(def->t, (struct ix_atom){ .pub = { .kind = IR_ATOM_SYM, .a = def } }, def->lo, def->hi)->ix;
}
const struct ir_ix *ir_ix_opaque(const struct ir_ix *e)
{
  int64_t k;
  return ir_ix_const(e, &k) || ir_ix_as_sym(e) ? e : ix_opaque(e);
}
const struct ir_ix *ir_ix_load(struct ir_ixs *t, unsigned array, const struct ir_ix *const *at, unsigned n, int64_t lo, int64_t hi)
{
  return atom_intern(t, (struct ix_atom){ .pub = { .kind = IR_ATOM_LOAD, .array = array, .n = n, .at = at } }, lo, hi)->ix;
}

/* ---- monomials ---- */
int mono_cmp(const struct ix_mono *a, const struct ix_mono *b)
{
  if (a == b) return 0;
  if (a->n != b->n) return a->n > b->n ? -1 : 1;
  for (uint32_t i = 0; i < a->n; i++)
    if (a->a[i] != b->a[i]) return a->a[i]->id < b->a[i]->id ? -1 : 1;
  return 0;
}
const struct ix_mono *mono_mul(struct ir_ixs *t, const struct ix_mono *a, const struct ix_mono *b)
{
  if (!a->n) return b;
  if (!b->n) return a;
  if (a->n + b->n > MAX_DEGREE) return NULL;
  const struct ir_atom *v[MAX_DEGREE];
  uint32_t n = 0, i = 0, j = 0;
  while (i < a->n || j < b->n) {
    const struct ir_atom *x = j == b->n || (i < a->n && a->a[i]->id <= b->a[j]->id) ? a->a[i++] : b->a[j++];
    if (n && v[n - 1] == x && ix_is_test(x)) continue;
    v[n++] = x;
  }
  return mono_intern(t, v, n);
}
const struct ix_mono *mono_div(struct ir_ixs *t, const struct ix_mono *a, const struct ix_mono *b)
{
  if (!b->n) return a;
  if (a == b) return t->one;
  if (a->n < b->n || b->bloom & ~a->bloom) return NULL;
  const struct ir_atom *v[MAX_DEGREE];
  uint32_t n = 0, j = 0;
  for (uint32_t i = 0; i < a->n; i++)
    if (j < b->n && a->a[i] == b->a[j]) j++;
    else v[n++] = a->a[i];
  return j == b->n ? mono_intern(t, v, n) : NULL;
}
const struct ix_mono *mono_without(struct ir_ixs *t, const struct ix_mono *a, const struct ir_atom *x) { return mono_div(t, a, ix_atom_of(x)->mono); }

/* ---- polynomials on the stack ---- */
void poly_set(struct poly *p, const struct term *v, uint32_t n)
{
  p->n = n;
  if (n) memcpy(p->v, v, n * sizeof *v);
}
static void sort_terms(struct term *v, uint32_t *n)   /* insertion sort, equal monomials not yet merged */
{
  for (uint32_t i = 1; i < *n; i++) {
    struct term x = v[i];
    uint32_t j = i;
    for (; j && mono_cmp(v[j - 1].m, x.m) > 0; j--) v[j] = v[j - 1];
    v[j] = x;
  }
}
static bool merge_equal(struct term *v, uint32_t *n)
{
  uint32_t o = 0;
  for (uint32_t i = 0; i < *n; i++) {
    if (o && v[o - 1].m == v[i].m) {
      TRY(ir_add64(v[o - 1].k, v[i].k, &v[o - 1].k));
      if (!v[o - 1].k) o--;
    } else v[o++] = v[i];
  }
  *n = o;
  return true;
}
bool poly_addmul(struct ir_ixs *t, struct poly *r, const struct term *a, uint32_t na, int64_t k, const struct ix_mono *m, const struct term *b, uint32_t nb)
{
  struct term p[POLY_CAP];
  bool test = m->test;
  if (na > POLY_CAP || nb > POLY_CAP) return false;
  for (uint32_t i = 0; i < nb; i++) {
    TRY(ir_mul64(k, b[i].k, &p[i].k));
    TRY((p[i].m = mono_mul(t, m, b[i].m)));
  }
  if (test && nb > 1) {              /* idempotence breaks the order */
    sort_terms(p, &nb);
    TRY(merge_equal(p, &nb));
  }
  uint32_t n = 0, i = 0, j = 0;
  if (!k) nb = 0;
  while (i < na || j < nb) {
    if (n == POLY_CAP) return false;
    int c = i == na ? 1 : j == nb ? -1 : mono_cmp(a[i].m, p[j].m);
    if (c < 0) r->v[n++] = a[i++];
    else if (c > 0) r->v[n++] = p[j++];
    else {
      TRY(ir_add64(a[i].k, p[j].k, &r->v[n].k));
      r->v[n].m = a[i].m;
      n += r->v[n].k != 0;
      i++;
      j++;
    }
  }
  r->n = n;
  return true;
}
bool poly_addi(struct ir_ixs *t, struct poly *p, int64_t k)
{
  if (!k) return true;
  if (p->n && !p->v[p->n - 1].m->n) {
    struct term *c = &p->v[p->n - 1];
    TRY(ir_add64(c->k, k, &c->k));
    if (!c->k) p->n--;
    return true;
  }
  if (p->n == POLY_CAP) return false;
  p->v[p->n++] = (struct term){ k, t->one };
  return true;
}
bool poly_scale(struct poly *p, int64_t k)
{
  for (uint32_t i = 0; i < p->n; i++) TRY(ir_mul64(p->v[i].k, k, &p->v[i].k));
  if (!k) p->n = 0;
  return true;
}
bool poly_replace(struct ir_ixs *t, struct poly *r, const struct poly *p, const struct ir_atom *x, const struct term *e, uint32_t ne)
{
  struct poly acc = { .n = 0 };
  for (uint32_t i = 0; i < p->n; i++) {
    const struct ix_mono *m = p->v[i].m, *rest = mono_without(t, m, x);
    if (rest && mono_without(t, rest, x)) return false;     /* a power: the callers have no use for it */
    if (rest) TRY(poly_addmul(t, r, acc.v, acc.n, p->v[i].k, rest, e, ne));
    else TRY(poly_addmul(t, r, acc.v, acc.n, 1, t->one, &p->v[i], 1));
    poly_set(&acc, r->v, r->n);
  }
  poly_set(r, acc.v, acc.n);
  return true;
}
bool poly_divide(struct ir_ixs *t, const struct poly *a, const struct ir_ix *b, struct poly *q, struct poly *r)
{
  q->n = 0;
  poly_set(r, a->v, a->n);
  if (!b->n) return false;
  for (unsigned steps = 0; steps < IR_IX_MAX_TERMS; steps++) {
    const struct ix_mono *f = NULL;
    int64_t k = 0;
    for (uint32_t i = 0; i < r->n && !f; i++)
      if (!(r->v[i].k == INT64_MIN && b->v[0].k == -1) && r->v[i].k % b->v[0].k == 0 && (f = mono_div(t, r->v[i].m, b->v[0].m))) k = r->v[i].k / b->v[0].k;
    if (!f) return true;
    struct poly x;
    struct term one = { 1, t->one };
    TRY(k != INT64_MIN && poly_addmul(t, &x, r->v, r->n, -k, f, b->v, b->n));
    poly_set(r, x.v, x.n);
    TRY(poly_addmul(t, &x, q->v, q->n, k, f, &one, 1));
    poly_set(q, x.v, x.n);
  }
  return true;
}

/* ---- table and symbols ---- */
struct ir_ixs *ir_ixs_create(struct ir_arena *a)
{
  struct ir_ixs *t = IR_NEW(a, struct ir_ixs);
  t->arena = a;
  t->one = mono_intern(t, NULL, 0);
  t->zero = ix_intern(t, NULL, 0);
  return t;
}
struct ir_ixs *ir_ix_table(const struct ir_ix *e) { return e->t; }
struct sym_entry { uint64_t hash; struct ix_sym *s; };
static bool name_eq(const void *obj, const void *key) { return !strcmp(((const struct sym_entry *)obj)->s->pub.name, key); }
static struct ix_sym *sym_find(struct ir_ixs *t, const char *name)
{
  if (!t->names.cap) return NULL;
  struct sym_entry *e = *set_find(&t->names, ir_hash(name, strlen(name), 3), name_eq, name);
  return e ? e->s : NULL;
}
static const struct ix_atom *sym_atom(struct ir_ixs *t, struct ix_sym *s)
{
  return atom_intern(t, (struct ix_atom){ .key_sym = s, .pub = { .kind = IR_ATOM_SYM, .sym = &s->pub } }, s->pub.lo, s->pub.hi);
}
static int64_t up_div(int64_t x, int64_t by) { return x == -IR_IX_INF || x == IR_IX_INF ? x : -ir_floordiv(-x, by); }
static int64_t down_div(int64_t x, int64_t by) { return x == -IR_IX_INF || x == IR_IX_INF ? x : ir_floordiv(x, by); }
static struct ix_sym *sym_create(struct ir_ixs *t, const char *name, enum ir_sym_kind kind, int64_t lo, int64_t hi, int64_t by)
{
  struct ix_sym *s = IR_NEW(t->arena, struct ix_sym);
  if (by < 1) by = 1;
  s->lo0 = lo;
  s->hi0 = hi;
  s->pub = (struct ir_sym){ ir_arena_strdup(t->arena, name), kind, lo, hi, by, t->n_syms++, NULL, NULL };
  if (by > 1) {
    struct ix_sym *base = s->base = IR_NEW(t->arena, struct ix_sym);
    base->pub = (struct ir_sym){ ir_arena_printf(t->arena, "%s/%lld", name, (long long)by), kind, up_div(lo, by), down_div(hi, by), 1, t->n_syms++, NULL, &s->pub };
    s->atom = base->atom = sym_atom(t, base);
    base->ix = s->atom->ix;
    s->ix = ix_of_mono(t, by, s->atom->mono);
  } else {
    s->atom = sym_atom(t, s);
    s->ix = s->atom->ix;
  }
  struct sym_entry *e = IR_NEW(t->arena, struct sym_entry);
  *e = (struct sym_entry){ ir_hash(name, strlen(name), 3), s };
  set_room(t, &t->names);
  *set_find(&t->names, e->hash, name_eq, name) = e;
  t->names.n++;
  ir_push(t->arena, &t->syms, s);
  return s;
}
const struct ir_ix *ir_ix_sym(struct ir_ixs *t, const char *name, enum ir_sym_kind kind, int64_t lo, int64_t hi, int64_t by)
{
  struct ix_sym *s = sym_find(t, name);
  if (!s) return sym_create(t, name, kind, lo, hi, by)->ix;
  bool same_range = (s->lo0 == lo && s->hi0 == hi) || (s->pub.lo == lo && s->pub.hi == hi);
  if (s->pub.kind != kind || !same_range || s->pub.by != (by < 1 ? 1 : by))
    ir_bug(__func__, "symbol %s exists as kind %d, %lld..%lld by %lld; asked for as kind %d, %lld..%lld by %lld", name, (int)s->pub.kind, (long long)s->pub.lo, (long long)s->pub.hi,
           (long long)s->pub.by, (int)kind, (long long)lo, (long long)hi, (long long)by);
  return s->ix;
}
static bool coord_name(const char *s)      /* c0 .. c15 belong to coordinates */
{
  if (*s++ != 'c' || *s < '0' || *s > '9') return false;
  while (*s >= '0' && *s <= '9') s++;
  return !*s;
}
const struct ir_ix *ir_ix_fresh(struct ir_ixs *t, const char *prefix, enum ir_sym_kind kind, int64_t lo, int64_t hi, int64_t by)
{
  struct ix_sym *first = sym_find(t, prefix);
  if (!first && (kind == IR_SYM_COORD || !coord_name(prefix))) return sym_create(t, prefix, kind, lo, hi, by)->ix;
  char name[256];
  uint32_t k = first && first->next ? first->next : 1;
  do snprintf(name, sizeof name, "%.200s.%u", prefix, k++); while (sym_find(t, name));
  if (first) first->next = k;
  return sym_create(t, name, kind, lo, hi, by)->ix;
}
const struct ir_ix *ir_ix_find(struct ir_ixs *t, const char *name)
{
  struct ix_sym *s = sym_find(t, name);
  return s ? s->ix : NULL;
}
const struct ir_ix *ir_ix_coord(struct ir_ixs *t, unsigned k)
{
  char name[16];
  IR_ASSERT(k < IR_IX_COORDS);
  snprintf(name, sizeof name, "c%u", k);
  struct ix_sym *s = sym_find(t, name);
  if (!s) return sym_create(t, name, IR_SYM_COORD, 0, IR_IX_INF, 1)->ix;
  if (s->pub.kind != IR_SYM_COORD) ir_bug(__func__, "the name %s is taken by another symbol", name);
  return s->ix;
}
const struct ir_sym *ir_ix_as_sym(const struct ir_ix *e)
{
  if (e->n != 1 || e->v[0].m->n != 1 || e->v[0].m->a[0]->kind != IR_ATOM_SYM) return NULL;
  const struct ir_sym *s = e->v[0].m->a[0]->sym;
  if (s->whole) return e->v[0].k == s->whole->by ? s->whole : NULL;
  return e->v[0].k == 1 ? s : NULL;
}
unsigned ir_ixs_nsyms(const struct ir_ixs *t) { return t->syms.n; }
const struct ir_sym *ir_ixs_sym(const struct ir_ixs *t, unsigned i) { return &t->syms.v[i]->pub; }
static void refresh_facts(struct ir_ixs *t)
{
  for (uint32_t i = 0; i < t->objs.n; i++) {     /* operands precede what is made of them */
    struct ix_obj o = t->objs.v[i];
    if (o.kind == OBJ_ATOM) atom_facts(o.p);
    else if (o.kind == OBJ_MONO) mono_facts(o.p);
    else { struct ir_ix *e = o.p; ix_facts(e); if (e->proof == IR_UNKNOWN) e->proof = 2; }
  }
  memset(t->div_cache, 0, sizeof t->div_cache);
}
void ir_ix_narrow(const struct ir_ix *sym, int64_t lo, int64_t hi)
{
  struct ix_sym *s = (struct ix_sym *)ir_ix_as_sym(sym);
  IR_ASSERT(s && !s->pub.def);
  if (lo <= s->pub.lo && hi >= s->pub.hi) return;
  if (lo > s->pub.lo) s->pub.lo = lo;
  if (hi < s->pub.hi) s->pub.hi = hi;
  if (s->base) { s->base->pub.lo = up_div(s->pub.lo, s->pub.by); s->base->pub.hi = down_div(s->pub.hi, s->pub.by); }
  refresh_facts(sym->t);
}

/* ---- sums and products ---- */
const struct ir_ix *ir_ix_int(struct ir_ixs *t, int64_t k) { return ix_of_mono(t, k, t->one); }
static bool has_test(const struct ir_ix *e)
{
  for (uint32_t i = 0; i < e->n; i++)
    if (e->v[i].m->test) return true;
  return false;
}
static bool is_const(const struct ir_ix *e) { return !e->n || (e->n == 1 && !e->v[0].m->n); }
static const struct ir_ix *add_scaled(const struct ir_ix *a, int64_t k, const struct ir_ix *b)
{
  IR_ASSERT(a->t == b->t);
  struct poly r;
  if (poly_addmul(a->t, &r, a->v, a->n, k, a->t->one, b->v, b->n) && r.n <= IR_IX_MAX_TERMS) return ix_of_poly(a->t, &r);
  return NULL;
}
const struct ir_ix *ir_ix_add(const struct ir_ix *a, const struct ir_ix *b)
{
  if (!b->n) return a;
  if (!a->n) return b;
  const struct ir_ix *r = add_scaled(a, 1, b);
  return r ? r : add_scaled(ix_opaque(a), 1, ix_opaque(b));
}
const struct ir_ix *ir_ix_sub(const struct ir_ix *a, const struct ir_ix *b)
{
  if (a == b) return a->t->zero;
  const struct ir_ix *r = add_scaled(a, -1, b);
  return r ? r : add_scaled(ix_opaque(a), -1, ix_opaque(b));
}
static const struct ir_ix *mul_terms(const struct ir_ix *a, const struct ir_ix *b)
{
  struct poly acc = { .n = 0 }, r;
  if (a->n > b->n) { const struct ir_ix *x = a; a = b; b = x; }
  for (uint32_t i = 0; i < a->n; i++) {
    bool fits;
    if (a->v[i].m->test || !has_test(b)) fits = poly_addmul(a->t, &r, acc.v, acc.n, a->v[i].k, a->v[i].m, b->v, b->n);
    else {                            /* tests on the right: term by term, for the order */
      fits = true;
      for (uint32_t j = 0; fits && j < b->n; j++) {
        fits = poly_addmul(a->t, &r, acc.v, acc.n, b->v[j].k, b->v[j].m, &a->v[i], 1);
        if (fits && j + 1 < b->n) poly_set(&acc, r.v, r.n);
      }
    }
    if (!fits) return NULL;
    poly_set(&acc, r.v, r.n);
  }
  return ix_of_poly(a->t, &acc);
}
const struct ir_ix *ir_ix_mul(const struct ir_ix *a, const struct ir_ix *b)
{
  IR_ASSERT(a->t == b->t);
  if (!a->n || !b->n) return a->t->zero;
  if (ir_ix_is(a, 1)) return b;
  if (ir_ix_is(b, 1)) return a;
  bool ta = has_test(a), tb = has_test(b);
  if (ta && b->n > MAX_SPREAD) { if (a->n > MAX_SPREAD && tb) a = ix_opaque(a); b = ix_opaque(b); }
  else if (tb && a->n > MAX_SPREAD) a = ix_opaque(a);
  const struct ir_ix *r = mul_terms(a, b);
  return r ? r : mul_terms(is_const(a) ? a : ix_opaque(a), is_const(b) && !is_const(a) ? b : ix_opaque(b));
}
const struct ir_ix *ir_ix_addi(const struct ir_ix *a, int64_t k) { return k ? ir_ix_add(a, ir_ix_int(a->t, k)) : a; }
const struct ir_ix *ir_ix_muli(const struct ir_ix *a, int64_t k) { return k == 1 ? a : ir_ix_mul(ir_ix_int(a->t, k), a); }
const struct ir_ix *ir_ix_neg(const struct ir_ix *a) { return ir_ix_muli(a, -1); }

/* ---- looking ---- */
bool ir_ix_const(const struct ir_ix *e, int64_t *out)
{
  if (!is_const(e)) return false;
  *out = e->n ? e->v[0].k : 0;
  return true;
}
bool ir_ix_is(const struct ir_ix *e, int64_t k) { return k ? e->n == 1 && !e->v[0].m->n && e->v[0].k == k : !e->n; }
void ir_ix_range(const struct ir_ix *e, int64_t *lo, int64_t *hi) { *lo = e->lo; *hi = e->hi; }
int64_t ir_ix_by(const struct ir_ix *e) { return e->by; }
bool ir_ix_overflowed(const struct ir_ix *e) { return e->over; }
unsigned ir_ix_nterms(const struct ir_ix *e) { return e->n; }
int64_t ir_ix_term(const struct ir_ix *e, unsigned i, unsigned *out_nfactors, const struct ir_atom *const **out_factors)
{
  *out_nfactors = e->v[i].m->n;
  *out_factors = e->v[i].m->a;
  return e->v[i].k;
}
uint32_t ir_ix_id(const struct ir_ix *e) { return e->id; }

/* Visited expressions: a small direct-mapped cache, so that shared sub-expressions cost one visit and reading writes nothing to the table. */
struct seen { const struct ir_ix *e[64]; };
static bool uses(const struct ir_ix *e, const struct ix_atom *x, struct seen *s)
{
  if (!(e->bloom & x->bloom) || s->e[e->id % 64] == e) return false;
  for (uint32_t i = 0; i < e->n; i++) {
    const struct ix_mono *m = e->v[i].m;
    if (!(m->bloom & x->bloom)) continue;
    for (uint32_t j = 0; j < m->n; j++) {
      const struct ir_atom *a = m->a[j];
      if (a == &x->pub) return true;
      if (a->kind == IR_ATOM_SYM) { if (a->sym->def && uses(a->sym->def, x, s)) return true; continue; }
      if (a->a && uses(a->a, x, s)) return true;
      if (a->b && uses(a->b, x, s)) return true;
      for (unsigned k = 0; k < a->n; k++)
        if (uses(a->at[k], x, s)) return true;
    }
  }
  s->e[e->id % 64] = e;
  return false;
}
static const struct ix_atom *whole_atom(const struct ir_ix *sym)
{
  IR_ASSERT(ir_ix_as_sym(sym));
  return ix_atom_of(sym->v[0].m->a[0]);
}
bool ir_ix_uses(const struct ir_ix *e, const struct ir_ix *sym)
{
  struct seen s = { { NULL } };
  return uses(e, whole_atom(sym), &s);
}
bool ir_ix_linear(const struct ir_ix *e, const struct ir_ix *sym, const struct ir_ix **out_coeff, const struct ir_ix **out_rest)
{
  const struct ix_atom *x = whole_atom(sym);
  struct ir_ixs *t = e->t;
  struct poly coeff = { .n = 0 }, rest = { .n = 0 }, r;
  struct term one = { 1, t->one };
  struct seen seen = { { NULL } };
  int64_t by = sym->v[0].k;
  for (uint32_t i = 0; i < e->n; i++) {
    const struct ix_mono *m = mono_without(t, e->v[i].m, &x->pub);
    if (!m) {
      if (e->v[i].m->bloom & x->bloom && uses(ix_of_mono(t, 1, e->v[i].m), x, &seen)) return false;
      rest.v[rest.n++] = e->v[i];
      continue;
    }
    if (m->bloom & x->bloom && uses(ix_of_mono(t, 1, m), x, &seen)) return false;
    if (e->v[i].k % by) return false;
    if (!poly_addmul(t, &r, coeff.v, coeff.n, e->v[i].k / by, m, &one, 1)) return false;
    poly_set(&coeff, r.v, r.n);
  }
  *out_coeff = ix_of_poly(t, &coeff);
  *out_rest = ix_of_poly(t, &rest);
  return true;
}
