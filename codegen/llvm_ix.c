/* Index expressions to i64.
 *
 * Code moves outwards by itself: every value has a level (0 the function's entry, 1 the loop over tasks, then one per loop), an operation's level is the
 * deepest of its operands', and it is inserted before the terminator of that level's head block, once per function and operands (`cse`). The terms of a sum
 * are added in the order of their levels and the constant last, so an inner loop sees one addition to a sum that was formed outside, and constants end in
 * addressing modes; LLVM's own strength reduction is off (llvm.c). What depends on memory (index arrays) stays where it is used: a guard may protect it.
 *
 * A symbol is v + off: unrolled and replayed loops bind the same v with growing offsets, which multiply out into constants. */
#include <string.h>
#include "codegen/llvm.h"

/* ---- levels and single operations ---- */
void ll_level(struct ll *l, val v, unsigned level)
{
  if (!LLVMIsConstant(v)) *ll_table_at(l, &l->levels, 0, v, NULL, NULL, NULL) = (void *)(uintptr_t)(level + 1);
}
static unsigned level_of(const struct ll *l, val v)
{
  if (!v || LLVMIsConstant(v)) return 0;
  uintptr_t p = (uintptr_t)ll_table_get(&l->levels, 0, v, NULL, NULL, NULL);
  return p ? (unsigned)p - 1 : LL_HERE;
}
static val build(LLVMBuilderRef b, enum ll_iop op, val x, val y, val z, type t)
{
  switch (op) {
  case LL_ADD: return LLVMBuildAdd(b, x, y, "");
  case LL_SUB: return LLVMBuildSub(b, x, y, "");
  case LL_MUL: return LLVMBuildMul(b, x, y, "");
  case LL_UDIV: return LLVMBuildUDiv(b, x, y, "");
  case LL_UREM: return LLVMBuildURem(b, x, y, "");
  case LL_SDIV: return LLVMBuildSDiv(b, x, y, "");
  case LL_ASHR: return LLVMBuildAShr(b, x, y, "");
  case LL_MIN: return LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSLT, x, y, ""), x, y, "");
  case LL_MAX: return LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSGT, x, y, ""), x, y, "");
  case LL_GE: return LLVMBuildICmp(b, LLVMIntSGE, x, y, "");
  case LL_EQ: return LLVMBuildICmp(b, LLVMIntEQ, x, y, "");
  case LL_SELECT: return LLVMBuildSelect(b, x, y, z, "");
  case LL_WIDEN: return LLVMBuildZExt(b, x, t, "");
  case LL_GEP: return LLVMBuildInBoundsGEP2(b, t, x, &y, 1, "");
  }
  return NULL;
}
static unsigned deepest(const struct ll *l, val a, val b, val c)
{
  unsigned x = level_of(l, a), y = level_of(l, b), z = level_of(l, c);
  return x > y ? (x > z ? x : z) : y > z ? y : z;
}
val ll_iop(struct ll *l, enum ll_iop op, val a, val b, val c, type t)
{
  int64_t k;
  if (b && ll_const_int(b, &k)) {
    if (k == 0 && (op == LL_ADD || op == LL_SUB || op == LL_GEP)) return a;
    if (k == 1 && (op == LL_MUL || op == LL_UDIV || op == LL_SDIV)) return a;
    if (k == 0 && op == LL_MUL) return b;
  }
  unsigned level = deepest(l, a, b, c);
  if (level == LL_HERE) return build(l->b, op, a, b, c, t);
  void **p = ll_table_at(l, &l->cse, op, a, b, c, t);
  if (*p) return *p;
  LLVMPositionBuilderBefore(l->hoist, l->level_end[level]);
  val v = build(l->hoist, op, a, b, c, t);
  *p = v;
  ll_level(l, v, level);
  return v;
}
static val int64(struct ll *l, int64_t k) { return ll_int(l->i64, k); }
static val widen(struct ll *l, val i1) { return ll_iop(l, LL_WIDEN, i1, NULL, NULL, l->i64); }

/* ---- symbols ---- */
static const struct ir_sym *base_sym(const struct ir_ix *sym, int64_t *by)   /* a symbol with a known divisor is by * base */
{
  unsigned n;
  const struct ir_atom *const *f;
  IR_ASSERT(ir_ix_nterms(sym) == 1);
  *by = ir_ix_term(sym, 0, &n, &f);
  IR_ASSERT(n == 1 && f[0]->kind == IR_ATOM_SYM);
  return f[0]->sym;
}
static struct ll_sym *sym_slot(struct ll *l, uint32_t id)
{
  if (id >= l->n_sym) {
    uint32_t n = (id + 1) * 2;
    struct ll_sym *s = IR_NEWN(l->arena, struct ll_sym, n);
    if (l->n_sym) memcpy(s, l->sym, l->n_sym * sizeof *s);
    l->sym = s;
    l->n_sym = n;
  }
  return &l->sym[id];
}
void ll_bind(struct ll *l, const struct ir_ix *sym, val v, int64_t off)
{
  int64_t by;
  const struct ir_sym *s = base_sym(sym, &by);
  if (by != 1) {
    if (v) v = ll_iop(l, LL_SDIV, ll_iop(l, LL_ADD, v, int64(l, off), NULL, NULL), int64(l, by), NULL, NULL), off = 0;
    else off /= by;
  }
  *sym_slot(l, s->id) = (struct ll_sym){ true, v, off };
}
bool ll_static(struct ll *l, const struct ir_ix *e)
{
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned n;
    const struct ir_atom *const *f;
    ir_ix_term(e, i, &n, &f);
    for (unsigned j = 0; j < n; j++) {
      const struct ir_atom *a = f[j];
      if (a->kind == IR_ATOM_LOAD) return false;
      if (a->kind == IR_ATOM_SYM) {
        const struct ll_sym *s = sym_slot(l, a->sym->id);
        if (!s->bound || s->v) return false;
      } else if (!ll_static(l, a->a) || (a->b && !ll_static(l, a->b))) {
        return false;
      }
    }
  }
  return true;
}

/* ---- sums ---- */
enum { MAX_TERMS = 192, MAX_PARTS = 16 };
struct term { int64_t k; val v; };
struct sum { int64_t k; unsigned n; struct term t[MAX_TERMS]; };

static val ix(struct ll *l, const struct ir_ix *e);
static val atom(struct ll *l, const struct ir_atom *a);
static void sum_of(struct ll *l, const struct ir_ix *e, struct sum *s);

static int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static int64_t wrap_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static void add_term(struct ll *l, struct sum *s, int64_t k, val v)
{
  if (!v) {
    s->k = wrap_add(s->k, k);
    return;
  }
  for (unsigned i = 0; i < s->n; i++)
    if (s->t[i].v == v) {
      s->t[i].k = wrap_add(s->t[i].k, k);
      return;
    }
  if (s->n == MAX_TERMS) ll_fail(l, "an index expression has more than %d terms", MAX_TERMS);
  else s->t[s->n++] = (struct term){ k, v };
}

/* A factor as v + off. */
static struct ll_sym factor(struct ll *l, const struct ir_atom *a)
{
  if (a->kind == IR_ATOM_SYM) {
    struct ll_sym *s = sym_slot(l, a->sym->id);
    if (!s->bound && a->sym->def) {
      val v = ix(l, a->sym->def);
      *(s = sym_slot(l, a->sym->id)) = (struct ll_sym){ true, v, 0 };
    }
    if (!s->bound) ll_fail(l, "symbol %s has no value", a->sym->name);
    return *s;
  }
  val v = atom(l, a);
  int64_t k;
  return ll_const_int(v, &k) ? (struct ll_sym){ true, NULL, k } : (struct ll_sym){ true, v, 0 };
}
/* k * product of factors, multiplied out over the offsets. */
static void add_product(struct ll *l, struct sum *s, int64_t k, unsigned n, const struct ir_atom *const *f)
{
  struct term part[MAX_PARTS] = { { k, NULL } };
  unsigned np = 1;
  for (unsigned j = 0; j < n; j++) {
    struct ll_sym x = factor(l, f[j]);
    if (x.v && x.off && np * 2 > MAX_PARTS) x = (struct ll_sym){ true, ll_iop(l, LL_ADD, x.v, int64(l, x.off), NULL, NULL), 0 };
    unsigned old = np;
    for (unsigned i = 0; i < old; i++) {
      struct term p = part[i];
      part[i] = x.v ? (struct term){ p.k, p.v ? ll_iop(l, LL_MUL, p.v, x.v, NULL, NULL) : x.v } : (struct term){ wrap_mul(p.k, x.off), p.v };
      if (x.v && x.off) part[np++] = (struct term){ wrap_mul(p.k, x.off), p.v };
    }
  }
  for (unsigned i = 0; i < np; i++)
    if (part[i].k) add_term(l, s, part[i].k, part[i].v);
}
static void sum_of(struct ll *l, const struct ir_ix *e, struct sum *s)
{
  s->k = 0;
  s->n = 0;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned n;
    const struct ir_atom *const *f;
    int64_t k = ir_ix_term(e, i, &n, &f);
    add_product(l, s, k, n, f);
  }
  for (unsigned i = 1; i < s->n; i++)        /* by level, stable */
    for (unsigned j = i; j > 0 && level_of(l, s->t[j].v) < level_of(l, s->t[j - 1].v); j--) {
      struct term t = s->t[j];
      s->t[j] = s->t[j - 1];
      s->t[j - 1] = t;
    }
}
static val term_value(struct ll *l, const struct term *t) { return ll_iop(l, LL_MUL, t->v, int64(l, t->k), NULL, NULL); }
static val terms_value(struct ll *l, const struct sum *s)      /* without the constant; NULL: none */
{
  val v = NULL;
  for (unsigned i = 0; i < s->n; i++)
    if (s->t[i].k) v = v ? ll_iop(l, LL_ADD, v, term_value(l, &s->t[i]), NULL, NULL) : term_value(l, &s->t[i]);
  return v;
}
static val sum_value(struct ll *l, const struct sum *s)
{
  val v = terms_value(l, s);
  return v ? ll_iop(l, LL_ADD, v, int64(l, s->k), NULL, NULL) : int64(l, s->k);
}
static val ix(struct ll *l, const struct ir_ix *e)
{
  int64_t k;
  if (ir_ix_const(e, &k)) return int64(l, k);
  struct sum s;
  sum_of(l, e, &s);
  return sum_value(l, &s);
}
val ll_ix(struct ll *l, const struct ir_ix *e) { return ix(l, e); }

/* ---- atoms ---- */
static bool is_pow2(int64_t k) { return k > 0 && !(k & (k - 1)); }
static val floor_div(struct ll *l, val a, val b, bool a_ge0)
{
  int64_t k;
  bool known = ll_const_int(b, &k);
  if (known && is_pow2(k)) return ll_iop(l, LL_ASHR, a, int64(l, __builtin_ctzll((uint64_t)k)), NULL, NULL);
  if (a_ge0) return ll_iop(l, LL_UDIV, a, b, NULL, NULL);
  val q = ll_iop(l, LL_SDIV, a, b, NULL, NULL), r = ll_iop(l, LL_SUB, a, ll_iop(l, LL_MUL, q, b, NULL, NULL), NULL, NULL);
  val exact = widen(l, ll_iop(l, LL_GE, r, int64(l, 0), NULL, NULL));        /* q + [r >= 0] - 1 */
  return ll_iop(l, LL_SUB, ll_iop(l, LL_ADD, q, exact, NULL, NULL), int64(l, 1), NULL, NULL);
}
/* (sum of multiples of k + c) / k: what replaying and unrolling leave of tile arithmetic. */
static bool divides_out(struct sum *s, int64_t k)
{
  for (unsigned i = 0; i < s->n; i++)
    if (s->t[i].k % k) return false;
  for (unsigned i = 0; i < s->n; i++) s->t[i].k /= k;
  s->k = ir_floordiv(s->k, k);
  return true;
}
static val division(struct ll *l, const struct ir_atom *a)
{
  int64_t lo, hi, k;
  val b = ix(l, a->b);
  struct sum s;
  sum_of(l, a->a, &s);
  if (ll_const_int(b, &k)) {
    if (k < 1) {
      ll_fail(l, "a divisor is %lld", (long long)k);
      return b;
    }
    if (divides_out(&s, k)) return sum_value(l, &s);
  } else {
    ir_ix_range(a->b, &lo, &hi);
    if (lo < 1) b = ll_iop(l, LL_MAX, b, int64(l, 1), NULL, NULL);     /* hoisted out of the guard that excludes it, 0 must not trap */
  }
  ir_ix_range(a->a, &lo, &hi);
  return floor_div(l, sum_value(l, &s), b, lo >= 0);
}

static const struct kir_arr *array_of(struct ll *l, unsigned array)
{
  if (array < l->k->args.n) return l->k->args.v[array];
  ll_fail(l, "index array %u is no argument", array);
  return NULL;
}
static void bind_coords(struct ll *l, const struct ir_ix *e, const val *c, unsigned n);
static void bind_atom(struct ll *l, const struct ir_atom *a, const val *c, unsigned n)
{
  if (a->kind == IR_ATOM_LOAD) return;
  if (a->kind != IR_ATOM_SYM) {
    bind_coords(l, a->a, c, n);
    if (a->b) bind_coords(l, a->b, c, n);
  } else if (a->sym->kind == IR_SYM_COORD) {
    unsigned d = 0;
    for (const char *p = a->sym->name + 1; *p >= '0' && *p <= '9'; p++) d = d * 10 + (unsigned)(*p - '0');
    if (d < n) *sym_slot(l, a->sym->id) = (struct ll_sym){ true, c[d], 0 };
  }
}
static void bind_coords(struct ll *l, const struct ir_ix *e, const val *c, unsigned n)
{
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned nf;
    const struct ir_atom *const *f;
    ir_ix_term(e, i, &nf, &f);
    for (unsigned j = 0; j < nf; j++) bind_atom(l, f[j], c, n);
  }
}
static val element_offset(struct ll *l, const struct kir_arr *a, const val *c, unsigned n)
{
  if (a->at) {
    bind_coords(l, a->at, c, n);
    return ix(l, a->at);
  }
  val off = int64(l, 0);
  for (unsigned d = 0; d < n; d++) {
    val lo = ix(l, a->lo[d]), ext = ll_iop(l, LL_SUB, ix(l, a->hi[d]), lo, NULL, NULL);
    off = ll_iop(l, LL_ADD, ll_iop(l, LL_MUL, off, ext, NULL, NULL), ll_iop(l, LL_SUB, c[d], lo, NULL, NULL), NULL, NULL);
  }
  return off;
}
static val index_load(struct ll *l, const struct ir_atom *a)
{
  const struct kir_arr *arr = array_of(l, a->array);
  if (!arr) return int64(l, 0);
  val c[IR_MAX_RANK];
  for (unsigned i = 0; i < a->n; i++) c[i] = ix(l, a->at[i]);
  val off = element_offset(l, arr, c, a->n);
  val p = LLVMBuildInBoundsGEP2(l->b, ll_store_type(l, arr->elem), ll_base(l, arr), &off, 1, "");
  val v = LLVMBuildLoad2(l->b, ll_store_type(l, arr->elem), p, "");
  LLVMSetAlignment(v, ir_elem_bytes(arr->elem));
  return ir_elem_class(arr->elem) == 'I' ? LLVMBuildSExt(l->b, v, l->i64, "") : LLVMBuildZExt(l->b, v, l->i64, "");
}

static val test_i1(struct ll *l, const struct ir_atom *a)     /* hoisted, as a part of arithmetic */
{
  val x = ix(l, a->a);
  return ll_iop(l, a->kind == IR_ATOM_GE0 ? LL_GE : LL_EQ, x, int64(l, 0), NULL, NULL);
}
static val atom(struct ll *l, const struct ir_atom *a)
{
  switch (a->kind) {
  case IR_ATOM_DIV: return division(l, a);
  case IR_ATOM_MIN: return ll_iop(l, LL_MIN, ix(l, a->a), ix(l, a->b), NULL, NULL);
  case IR_ATOM_MAX: return ll_iop(l, LL_MAX, ix(l, a->a), ix(l, a->b), NULL, NULL);
  case IR_ATOM_BCAST: {
    val x = ix(l, a->a);
    return ll_iop(l, LL_SELECT, ll_iop(l, LL_EQ, x, int64(l, 1), NULL, NULL), ix(l, a->b), x, NULL);
  }
  case IR_ATOM_GE0: case IR_ATOM_EQ0: return widen(l, test_i1(l, a));
  case IR_ATOM_LOAD: return index_load(l, a);
  case IR_ATOM_SYM: break;
  }
  ir_bug(__func__, "atom kind %d", (int)a->kind);
}

/* ---- conditions: compared where they are used, since flags do not outlive a block ---- */
static val compare(struct ll *l, const struct ir_ix *e, bool eq)
{
  struct sum s;
  sum_of(l, e, &s);
  val v = terms_value(l, &s);
  if (!v) return ll_int(l->i1, eq ? s.k == 0 : s.k >= 0);
  return LLVMBuildICmp(l->b, eq ? LLVMIntEQ : LLVMIntSGE, v, int64(l, (int64_t)(0 - (uint64_t)s.k)), "");
}
/* e = k * product of tests + c with (k, c) = (1, 0) or (-1, 1): "and", and its "not" */
static bool is_tests(const struct ir_ix *e, bool *negated, unsigned *n, const struct ir_atom *const **f)
{
  int64_t k = 0, c = 0;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned m;
    const struct ir_atom *const *g;
    int64_t x = ir_ix_term(e, i, &m, &g);
    if (m == 0) c = x;
    else if (k) return false;
    else k = x, *n = m, *f = g;
  }
  *negated = k == -1 && c == 1;
  if (!*negated && (k != 1 || c != 0)) return false;
  for (unsigned j = 0; j < *n; j++)
    if ((*f)[j]->kind != IR_ATOM_GE0 && (*f)[j]->kind != IR_ATOM_EQ0) return false;
  return true;
}
val ll_cond(struct ll *l, const struct ir_ix *e, bool ge0)
{
  if (ge0) return compare(l, e, false);
  bool neg;
  unsigned n;
  const struct ir_atom *const *f;
  if (!is_tests(e, &neg, &n, &f)) return LLVMBuildNot(l->b, compare(l, e, true), "");
  val v = ll_int(l->i1, 1);
  for (unsigned j = 0; j < n; j++) v = LLVMBuildAnd(l->b, v, compare(l, f[j]->a, f[j]->kind == IR_ATOM_EQ0), "");
  return neg ? LLVMBuildNot(l->b, v, "") : v;
}
val ll_all_ge0(struct ll *l, const struct ir_ix *const *e, unsigned n)
{
  val v = ll_int(l->i1, 1);
  for (unsigned i = 0; i < n; i++) v = LLVMBuildAnd(l->b, v, compare(l, e[i], false), "");
  return v;
}

/* ---- per lane ---- */
static bool fits32(const struct ir_ix *e)
{
  int64_t lo, hi;
  ir_ix_range(e, &lo, &hi);
  if (lo < INT32_MIN || hi > INT32_MAX) return false;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned n;
    const struct ir_atom *const *f;
    ir_ix_term(e, i, &n, &f);
    for (unsigned j = 0; j < n; j++)
      if (f[j]->kind != IR_ATOM_SYM && (f[j]->kind == IR_ATOM_LOAD || !fits32(f[j]->a) || (f[j]->b && !fits32(f[j]->b)))) return false;
  }
  return true;
}
static bool varies(const struct ll *l, const struct ir_atom *a)
{
  const struct ir_ix *v = l->k->vsym;
  if (!v) return false;
  if (a->kind == IR_ATOM_SYM) return a->sym == ir_ix_as_sym(v);
  for (unsigned i = 0; i < a->n && a->kind == IR_ATOM_LOAD; i++)
    if (ir_ix_uses(a->at[i], v)) return true;
  return a->kind != IR_ATOM_LOAD && (ir_ix_uses(a->a, v) || (a->b && ir_ix_uses(a->b, v)));
}
static val lanes_of(struct ll *l, const struct ir_ix *e, unsigned n, type t);
static val lanes_splat(struct ll *l, val scalar, unsigned n, type t) { return ll_splat(l, LLVMBuildIntCast2(l->b, scalar, t, 1, ""), n); }
static val lanes_div(struct ll *l, const struct ir_atom *a, unsigned n, type t)
{
  val x = lanes_of(l, a->a, n, t), y = lanes_of(l, a->b, n, t);
  int64_t lo, hi, k;
  if (ir_ix_const(a->b, &k) && is_pow2(k)) return LLVMBuildAShr(l->b, x, ll_int(LLVMTypeOf(x), __builtin_ctzll((uint64_t)k)), "");
  ir_ix_range(a->b, &lo, &hi);
  val zero = ll_int(LLVMTypeOf(x), 0), one = ll_int(LLVMTypeOf(x), 1);
  if (lo < 1) y = LLVMBuildSelect(l->b, LLVMBuildICmp(l->b, LLVMIntSGT, y, one, ""), y, one, "");
  ir_ix_range(a->a, &lo, &hi);
  if (lo >= 0) return LLVMBuildUDiv(l->b, x, y, "");
  val q = LLVMBuildSDiv(l->b, x, y, ""), r = LLVMBuildSub(l->b, x, LLVMBuildMul(l->b, q, y, ""), "");
  return LLVMBuildAdd(l->b, q, LLVMBuildSExt(l->b, LLVMBuildICmp(l->b, LLVMIntSLT, r, zero, ""), LLVMTypeOf(x), ""), "");
}
static val lanes_test(struct ll *l, const struct ir_atom *a, unsigned n);
static val lanes_atom(struct ll *l, const struct ir_atom *a, unsigned n, type t)
{
  if (a->kind == IR_ATOM_SYM) return ll_const_lanes(l, n, t, 1);
  if (a->kind == IR_ATOM_DIV) return lanes_div(l, a, n, t);
  if (a->kind == IR_ATOM_GE0 || a->kind == IR_ATOM_EQ0) return LLVMBuildZExt(l->b, lanes_test(l, a, n), ll_vec(t, n), "");
  if (a->kind == IR_ATOM_LOAD) {                       /* lane by lane */
    val r = LLVMGetPoison(ll_vec(t, n));
    for (unsigned j = 0; j < n; j++) {
      ll_bind(l, l->k->vsym, NULL, j);
      r = LLVMBuildInsertElement(l->b, r, LLVMBuildIntCast2(l->b, index_load(l, a), t, 1, ""), ll_int(l->i32, j), "");
    }
    ll_bind(l, l->k->vsym, NULL, 0);
    return r;
  }
  val x = lanes_of(l, a->a, n, t), y = lanes_of(l, a->b, n, t);
  if (a->kind == IR_ATOM_BCAST) return LLVMBuildSelect(l->b, LLVMBuildICmp(l->b, LLVMIntEQ, x, ll_int(LLVMTypeOf(x), 1), ""), y, x, "");
  return LLVMBuildSelect(l->b, LLVMBuildICmp(l->b, a->kind == IR_ATOM_MIN ? LLVMIntSLT : LLVMIntSGT, x, y, ""), x, y, "");
}
/* e in vectors of t: terms without the lane number are one scalar sum. */
static val lanes_of(struct ll *l, const struct ir_ix *e, unsigned n, type t)
{
  struct sum s = { 0 };
  val r = NULL;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned nf, fixed = 0;
    const struct ir_atom *const *f, *rest[64];
    int64_t k = ir_ix_term(e, i, &nf, &f);
    val v = NULL;
    for (unsigned j = 0; j < nf; j++) {
      if (!varies(l, f[j])) {
        if (fixed < 64) rest[fixed++] = f[j];
        continue;
      }
      val x = lanes_atom(l, f[j], n, t);
      v = v ? LLVMBuildMul(l->b, v, x, "") : x;
    }
    struct sum c = { 0 };
    add_product(l, v ? &c : &s, k, fixed, rest);
    if (!v) continue;
    v = LLVMBuildMul(l->b, v, lanes_splat(l, sum_value(l, &c), n, t), "");
    r = r ? LLVMBuildAdd(l->b, r, v, "") : v;
  }
  val scalar = sum_value(l, &s);
  int64_t k;
  if (!r) return lanes_splat(l, scalar, n, t);
  return ll_const_int(scalar, &k) && k == 0 ? r : LLVMBuildAdd(l->b, r, lanes_splat(l, scalar, n, t), "");
}
/* [s + k*v >= 0] with a small constant k: s is clamped to what decides, so 32 bits are enough whatever s is. */
static val lanes_linear(struct ll *l, const struct ir_ix *e, unsigned n, bool eq)
{
  struct sum s = { 0 };
  int64_t kv = 0;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned nf;
    const struct ir_atom *const *f;
    int64_t k = ir_ix_term(e, i, &nf, &f);
    bool v = false;
    for (unsigned j = 0; j < nf; j++) v |= varies(l, f[j]);
    if (!v) add_product(l, &s, k, nf, f);
    else if (nf == 1 && f[0]->kind == IR_ATOM_SYM && k > -65536 && k < 65536) kv = k;
    else return NULL;
  }
  int64_t far = (kv < 0 ? -kv : kv) * (int64_t)n + 1;
  val x = ll_iop(l, LL_MAX, ll_iop(l, LL_MIN, sum_value(l, &s), int64(l, far), NULL, NULL), int64(l, -far), NULL, NULL);
  return LLVMBuildICmp(l->b, eq ? LLVMIntEQ : LLVMIntSGE, lanes_splat(l, x, n, l->i32), ll_const_lanes(l, n, l->i32, -kv), "");
}
static val lanes_test(struct ll *l, const struct ir_atom *a, unsigned n)
{
  bool eq = a->kind == IR_ATOM_EQ0;
  if (!varies(l, a)) return ll_splat(l, compare(l, a->a, eq), n);
  val v = lanes_linear(l, a->a, n, eq);
  if (v) return v;
  val x = lanes_of(l, a->a, n, fits32(a->a) ? l->i32 : l->i64);
  return LLVMBuildICmp(l->b, eq ? LLVMIntEQ : LLVMIntSGE, x, ll_int(LLVMTypeOf(x), 0), "");
}
val ll_ix_lanes(struct ll *l, const struct ir_ix *e, unsigned lanes, type t)
{
  if (lanes == 1) return LLVMBuildIntCast2(l->b, ix(l, e), t, 1, "");
  val v = lanes_of(l, e, lanes, fits32(e) ? l->i32 : l->i64);
  return LLVMBuildIntCast2(l->b, v, ll_vec(t, lanes), 1, "");
}
val ll_cond_lanes(struct ll *l, const struct ir_ix *e, unsigned lanes)
{
  if (lanes == 1) return ll_cond(l, e, false);
  bool neg;
  unsigned n;
  const struct ir_atom *const *f;
  if (!is_tests(e, &neg, &n, &f)) {
    val x = lanes_of(l, e, lanes, fits32(e) ? l->i32 : l->i64);
    return LLVMBuildICmp(l->b, LLVMIntNE, x, ll_int(LLVMTypeOf(x), 0), "");
  }
  val v = ll_int(ll_vec(l->i1, lanes), 1);
  for (unsigned j = 0; j < n; j++) v = LLVMBuildAnd(l->b, v, lanes_test(l, f[j], lanes), "");
  return neg ? LLVMBuildNot(l->b, v, "") : v;
}

/* ---- addresses: base, then the terms of each level, the constant where it is used ---- */
val ll_addr(struct ll *l, const struct kir_arr *a, const struct ir_ix *e)
{
  type t = ll_store_type(l, a->elem);
  struct sum s;
  sum_of(l, e, &s);
  val p = ll_base(l, a), v = NULL;
  for (unsigned i = 0; i < s.n; i++) {
    if (!s.t[i].k) continue;
    v = v ? ll_iop(l, LL_ADD, v, term_value(l, &s.t[i]), NULL, NULL) : term_value(l, &s.t[i]);
    if (i + 1 < s.n && level_of(l, s.t[i + 1].v) == level_of(l, s.t[i].v)) continue;
    p = ll_iop(l, LL_GEP, p, v, NULL, t);
    v = NULL;
  }
  if (v) p = ll_iop(l, LL_GEP, p, v, NULL, t);
  if (!s.k) return p;
  val k = int64(l, s.k);
  return LLVMBuildInBoundsGEP2(l->b, t, p, &k, 1, "");
}
