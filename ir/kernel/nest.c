/* The nest's constructors: expressions, statements, arguments. */
#include "ir/kernel/internal.h"
#include <stdlib.h>
#include <string.h>

struct kir_nest *kir_nest_create(struct ir_arena *a, const char *name)
{
  struct kir_nest *n = IR_NEW(a, struct kir_nest);
  n->arena = a;
  n->ixs = ir_ixs_create(a);
  n->facts.arena = a;
  n->name = ir_arena_strdup(a, name);
  return n;
}

/* ---- names: of arrays must not read as a reduction or a word of the texts ---- */
static bool reserved(const char *s)
{
  for (int r = KIR_SUM; r <= KIR_OR; r++)
    if (!strcmp(s, kir_red_name((enum kir_red)r))) return true;
  static const char *const words[] = { "if", "inf", "nan", "temp", "loops", "tile", "tail", "hold", "epi" };   /* the last five: of schedules */
  for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
    if (!strcmp(s, words[i])) return true;
  return false;
}
static bool taken(struct kir_arr *const *v, uint32_t n, const char *s)
{
  for (uint32_t i = 0; i < n; i++)
    if (!strcmp(v[i]->name, s)) return true;
  return false;
}
const char *kir_name_clean(struct ir_arena *a, const char *s)
{
  char *r = ir_arena_strdup(a, s && *s ? s : "x");
  for (char *p = r; *p; p++)
    if (!kir_is_name(*p, p == r)) *p = '_';
  return reserved(r) ? ir_arena_printf(a, "%s_", r) : r;
}
const char *kir_arr_name(struct ir_arena *a, const char *s, struct kir_arr *const *v1, uint32_t n1, struct kir_arr *const *v2, uint32_t n2)
{
  const char *base = kir_name_clean(a, s), *r = base;
  for (unsigned k = 1; taken(v1, n1, r) || taken(v2, n2, r); k++) r = ir_arena_printf(a, "%s.%u", base, k);
  return r;
}

/* An array over 0..dim in each axis, with a name of its own. */
static struct kir_arr *new_arr(struct kir_nest *n, const char *name, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim)
{
  IR_ASSERT(rank <= IR_MAX_RANK);
  struct kir_arr *r = IR_NEW(n->arena, struct kir_arr);
  r->name = kir_arr_name(n->arena, name, n->args.v, n->args.n, n->temps.v, n->temps.n);
  r->elem = e;
  r->rank = rank;
  for (unsigned d = 0; d < rank; d++) {
    r->lo[d] = ir_ix_int(n->ixs, 0);
    r->hi[d] = r->shape[d] = dim[d];
  }
  return r;
}
struct kir_arr *kir_arg(struct kir_nest *n, const char *name, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim, bool out)
{
  struct kir_arr *r = new_arr(n, name, e, rank, dim);
  r->arg = true;
  r->out = out;
  r->index = n->args.n;
  ir_push(n->arena, &n->args, r);
  return r;
}
struct kir_arr *kir_nest_temp(struct kir_nest *n, const char *name, enum ir_elem e, unsigned rank, const struct ir_ix *const *dim)
{
  struct kir_arr *r = new_arr(n, name, e, rank, dim);
  r->index = n->temps.n;
  ir_push(n->arena, &n->temps, r);
  return r;
}

/* ---- expressions ---- */
static struct kir_expr *make(struct kir_nest *n, enum kir_ekind k, enum ir_elem e)
{
  struct kir_expr *x = IR_NEW(n->arena, struct kir_expr);
  x->kind = k;
  x->elem = e;
  return x;
}
struct kir_expr *kir_const(struct kir_nest *n, enum ir_elem e, double f, int64_t i)
{
  struct kir_expr *x = make(n, KIR_E_CONST, e);
  if (ir_elem_class(e) == 'F') x->f = ir_round_to(e, f);
  else x->i = ir_wrap_to(e, i);
  return x;
}
struct kir_expr *kir_ix(struct kir_nest *n, enum ir_elem e, const struct ir_ix *ix)
{
  int64_t k;
  if (ir_ix_const(ix, &k)) return kir_const(n, e, (double)k, k);
  struct kir_expr *x = make(n, KIR_E_IX, e);
  x->ix = ix;
  return x;
}
struct kir_expr *kir_read(struct kir_nest *n, struct kir_arr *arr, const struct ir_ix *const *at, struct kir_expr *els)
{
  struct kir_expr *x = make(n, KIR_E_READ, arr->elem);
  IR_ASSERT(!els || (els->kind == KIR_E_CONST && els->elem == arr->elem));
  x->arr = arr;
  x->n_at = arr->rank;
  x->at = ir_arena_copy(n->arena, at, sizeof *at * arr->rank);
  x->els = els;
  return x;
}
struct kir_expr *kir_tile(struct ir_arena *a, struct kir_reg *reg, const struct ir_ix *const *at, unsigned n_at)
{
  struct kir_expr *x = IR_NEW(a, struct kir_expr);
  x->kind = KIR_E_TILE;
  x->elem = reg->elem;
  x->reg = reg;
  x->n_at = n_at;
  x->at = ir_arena_copy(a, at, sizeof *at * n_at);
  return x;
}
struct kir_expr *kir_fn(struct kir_nest *n, enum ir_map f, struct kir_expr *a, struct kir_expr *b, struct kir_expr *c)
{
  char kind = kir_map_kind(f);
  struct kir_expr *x = make(n, KIR_E_FN, kind == 'P' ? IR_bool : kind == 'X' ? b->elem : a->elem);
  x->sub = f;
  x->n = kir_map_arity(f);
  x->a[0] = a;
  x->a[1] = x->n > 1 ? b : NULL;
  x->a[2] = x->n > 2 ? c : NULL;
  return x;
}
struct kir_expr *kir_cast(struct kir_nest *n, enum ir_elem to, struct kir_expr *a)
{
  if (a->elem == to) return a;
  struct kir_expr *x = make(n, KIR_E_CAST, to);
  x->n = 1;
  x->a[0] = a;
  return x;
}
struct kir_expr *kir_select(struct kir_nest *n, const struct ir_ix *cond, struct kir_expr *a, struct kir_expr *b)
{
  int64_t k;
  if (ir_ix_const(cond, &k)) return k ? a : b;
  struct kir_expr *x = make(n, KIR_E_SELECT, a->elem);
  x->ix = cond;
  x->n = 2;
  x->a[0] = a;
  x->a[1] = b;
  return x;
}
struct kir_expr *kir_red(struct kir_nest *n, enum kir_red op, const struct kir_axis *axes, unsigned n_axes, struct kir_expr *a)
{
  struct kir_expr *x = make(n, KIR_E_RED, a->elem);
  x->sub = op;
  x->n = 1;
  x->a[0] = a;
  x->axes = ir_arena_copy(n->arena, axes, sizeof *axes * n_axes);
  x->n_axes = n_axes;
  return x;
}
struct kir_stmt *kir_stmt(struct kir_nest *n, struct kir_arr *dst, const struct kir_axis *axes, unsigned n_axes, struct kir_expr *e)
{
  if (!dst) {
    const struct ir_ix *dim[IR_MAX_RANK];
    IR_ASSERT(n_axes <= IR_MAX_RANK);
    for (unsigned d = 0; d < n_axes; d++) dim[d] = axes[d].ext;
    dst = kir_nest_temp(n, "t", e->elem, n_axes, dim);
  }
  struct kir_stmt *s = IR_NEW(n->arena, struct kir_stmt);
  s->dst = dst;
  s->axes = ir_arena_copy(n->arena, axes, sizeof *axes * n_axes);
  s->n_axes = n_axes;
  s->e = e;
  ir_push(n->arena, &n->stmts, s);
  return s;
}

/* The text with arguments and temporaries numbered: names do not count. */
uint64_t kir_nest_hash(const struct kir_nest *n)
{
  struct ir_buf b = { 0 };
  kir_nest_text(&b, n, true);
  uint64_t h = ir_hash(b.s, b.n, 0);
  ir_buf_deinit(&b);
  return h;
}

/* ---- operations, reads ---- */
struct cost { struct ir_ixs *t; const struct kir_arr *arr; const struct ir_ix *ops, *reads; };
static void count(struct cost *c, const struct kir_expr *e, const struct ir_ix *times)
{
  if (e->kind == KIR_E_RED) {
    for (unsigned i = 0; i < e->n_axes; i++) times = ir_ix_mul(times, e->axes[i].ext);
    c->ops = ir_ix_add(c->ops, times);
  }
  if (e->kind == KIR_E_FN) c->ops = ir_ix_add(c->ops, times);
  if (e->kind == KIR_E_READ && e->arr == c->arr) c->reads = ir_ix_add(c->reads, times);
  unsigned n = e->kind == KIR_E_SELECT ? 2 : e->kind == KIR_E_RED || e->kind == KIR_E_CAST ? 1 : e->kind == KIR_E_FN ? e->n : 0;
  for (unsigned i = 0; i < n; i++) count(c, e->a[i], times);
}
/* arr: whose reads are counted, or NULL */
static struct cost cost_of(const struct kir_nest *n, const struct kir_arr *arr)
{
  struct cost c = { n->ixs, arr, ir_ix_int(n->ixs, 0), ir_ix_int(n->ixs, 0) };
  for (uint32_t i = 0; i < n->stmts.n; i++) {
    const struct kir_stmt *s = n->stmts.v[i];
    const struct ir_ix *times = ir_ix_int(n->ixs, 1);
    for (unsigned d = 0; d < s->n_axes; d++) times = ir_ix_mul(times, s->axes[d].ext);
    count(&c, s->e, times);
  }
  return c;
}
const struct ir_ix *kir_nest_work(const struct kir_nest *n) { return cost_of(n, NULL).ops; }
static const struct kir_expr *uncast(const struct kir_expr *e)
{
  while (e->kind == KIR_E_CAST || e->kind == KIR_E_SELECT) e = e->a[0];
  return e;
}
static bool sums_products(const struct kir_expr *e)
{
  if (e->kind != KIR_E_RED || e->sub != KIR_SUM) return false;
  const struct kir_expr *x = uncast(e->a[0]);
  return x->kind == KIR_E_FN && x->sub == IR_MAP_mul;
}
/* The step of a record's loops of a kind over an axis; 0: it has none. */
static int64_t step_of(const struct kir_sched *s, enum kir_loop_kind kind, const struct kir_axis *x)
{
  const char *name = ir_ix_as_sym(x->var)->name;
  for (uint32_t i = 0; i < s->loops.n; i++)
    for (unsigned p = 0; p < s->loops.v[i].n && s->loops.v[i].kind == kind; p++)
      if (!strcmp(s->loops.v[i].part[p].axis, name)) return s->loops.v[i].part[p].step;
  return 0;
}
/* In a record of Winograd's transform (docs/kernel-ir.md) the axes of the image are those of the results that a task does not divide: m results take m+2 products along
 * each, whole tiles, and none for the taps, which are the sum's axes without a loop. */
static const struct ir_ix *transformed(const struct kir_stmt *st, const struct kir_sched *s, const struct ir_ix *k)
{
  for (unsigned d = 0; d < st->n_axes; d++) {
    const struct kir_axis *x = &st->axes[d];
    int64_t m = step_of(s, KIR_GRID, x) ? 0 : step_of(s, KIR_FOR, x);
    k = ir_ix_mul(k, m ? ir_ix_muli(ir_ix_divi(ir_ix_addi(x->ext, m - 1), m), m + 2) : x->ext);
  }
  for (unsigned d = 0; d < st->e->n_axes; d++)
    if (step_of(s, KIR_FOR, &st->e->axes[d])) k = ir_ix_mul(k, st->e->axes[d].ext);
  return k;
}
static const struct ir_ix *direct(const struct kir_stmt *st, const struct ir_ix *k)
{
  for (unsigned d = 0; d < st->n_axes; d++) k = ir_ix_mul(k, st->axes[d].ext);
  for (unsigned d = 0; d < st->e->n_axes; d++) k = ir_ix_mul(k, st->e->axes[d].ext);
  return k;
}
const struct ir_ix *kir_nest_products(const struct kir_nest *n, const struct kir_sched *s)
{
  const struct ir_ix *all = ir_ix_int(n->ixs, 0), *one = ir_ix_int(n->ixs, 1);
  for (uint32_t i = 0; i < n->stmts.n; i++) {
    const struct kir_stmt *st = n->stmts.v[i];
    if (!sums_products(st->e)) continue;
    all = ir_ix_add(all, !strcmp(s->kind, "winograd") ? transformed(st, s, one) : direct(st, one));
  }
  return all;
}
/* Index expressions may load from integers, which count() does not see: those count whole. */
static const struct ir_ix *elems_moved(const struct kir_nest *n, const struct kir_arr *a)
{
  const struct ir_ix *all = ir_ix_int(n->ixs, 1), *reads;
  for (unsigned d = 0; d < a->rank; d++) all = ir_ix_mul(all, a->shape[d] ? a->shape[d] : ir_ix_sub(a->hi[d], a->lo[d]));
  if (a->out || ir_elem_class(a->elem) != 'F') return all;
  reads = cost_of(n, a).reads;
  return ir_known_ge0(&n->facts, ir_ix_sub(reads, all)) ? all : ir_known_ge0(&n->facts, ir_ix_sub(all, reads)) ? reads : ir_ix_min(all, reads);
}
const struct ir_ix *kir_nest_bytes(const struct kir_nest *n)
{
  const struct ir_ix *sum = ir_ix_int(n->ixs, 0);
  for (uint32_t i = 0; i < n->args.n; i++) sum = ir_ix_add(sum, ir_ix_mul(ir_ix_int(n->ixs, ir_elem_bytes(n->args.v[i]->elem)), elems_moved(n, n->args.v[i])));
  return sum;
}
