/* The nest's evaluator: the meaning of a nest, in no other order than the statements'.
 *
 * Each statement becomes a program for a stack machine (no recursion at run time; sides of a SELECT that are not taken are jumped over), which runs once per
 * element. Floats are doubles, rounded to the expression's type after every function and cast; a reduction is accumulated in double and rounded once. */
#include "ir/kernel/internal.h"
#include <stdlib.h>
#include <string.h>

enum code { C_CONST, C_IX, C_READ, C_FN, C_CAST, C_BRANCH /* if ix == 0 */, C_JUMP, C_RED, C_STEP };
struct array { const struct kir_arr *arr; struct kir_dom dom; union kir_val *v; uint8_t *written; int64_t stride[IR_MAX_RANK], lo[IR_MAX_RANK], hi[IR_MAX_RANK], n; };
struct red { enum kir_red op; unsigned n; uint32_t var[IR_MAX_RANK]; const struct kir_ixp *ext[IR_MAX_RANK]; int64_t hi[IR_MAX_RANK], cur[IR_MAX_RANK]; union kir_val acc; uint32_t first; };
struct ins {
  enum code code;
  enum ir_elem elem, from;
  unsigned n, f;
  union kir_val k;
  const struct kir_ixp *ix, **at;
  struct array *arr;
  bool els;
  struct red *red;
  uint32_t to;
};
struct eval {
  const struct kir_nest *n;
  struct ir_arena *arena;
  struct kir_ixm *m;
  struct kir_row row;
  struct array *args, *temps;
  const char **why;
  IR_VEC(struct ins) prog;
  union kir_val *stack; unsigned depth, max_depth;
};

static bool fault(struct eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fault(struct eval *e, const char *fmt, ...)
{
  char s[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  *e->why = ir_arena_printf(e->n->arena, "%s", s);
  return false;
}

/* ---- arrays ---- */
/* Values lie dense over lo..hi: the shape of arguments, the domain of temporaries. */
static bool dense(struct eval *e, struct array *x, bool temp)
{
  x->n = 1;
  for (unsigned d = x->dom.rank; d-- > 0;) {
    x->lo[d] = temp ? x->dom.lo[d] : 0;
    x->hi[d] = temp ? x->dom.hi[d] : x->dom.shape[d];
    x->stride[d] = x->n;
    if (!ir_mul64(x->n, x->hi[d] - x->lo[d], &x->n)) return fault(e, "%s is too large", x->arr->name);
  }
  return true;
}
static bool arrays(struct eval *e, struct ir_tensor *const *args)
{
  e->args = IR_NEWN(e->arena, struct array, e->n->args.n + 1);
  e->temps = IR_NEWN(e->arena, struct array, e->n->temps.n + 1);
  for (uint32_t i = 0; i < e->n->args.n; i++) {
    struct array *x = &e->args[i];
    x->arr = e->n->args.v[i];
    struct kir_arr plain = *x->arr;
    plain.at = plain.elems = NULL;             /* storage does not matter here */
    TRY(kir_dom_init(e->arena, &x->dom, &plain, e->m, &e->row, e->why));
    TRY(dense(e, x, false));
    if (!args[i] || args[i]->n != x->n || args[i]->elem != x->arr->elem) return fault(e, "argument %s: the tensor does not have its type and shape", x->arr->name);
    x->v = args[i]->p;
    if (x->arr->out) x->written = IR_NEWN(e->arena, uint8_t, x->n + 1);
  }
  for (uint32_t i = 0; i < e->n->temps.n; i++) {
    struct array *x = &e->temps[i];
    x->arr = e->n->temps.v[i];
    TRY(kir_dom_init(e->arena, &x->dom, x->arr, e->m, &e->row, e->why));
    TRY(dense(e, x, true));
    x->v = IR_NEWN(e->arena, union kir_val, x->n + 1);
    x->written = IR_NEWN(e->arena, uint8_t, x->n + 1);
  }
  return true;
}
static struct array *find(struct eval *e, const struct kir_arr *a)
{
  for (uint32_t i = 0; i < e->n->args.n; i++)
    if (e->n->args.v[i] == a) return &e->args[i];
  for (uint32_t i = 0; i < e->n->temps.n; i++)
    if (e->n->temps.v[i] == a) return &e->temps[i];
  ir_bug("nest_eval", "array %s is not the nest's", a->name);
}
/* An element of an integer argument, for indices that are loaded. */
static bool load_index(void *arg, unsigned array, const int64_t *at, unsigned n, int64_t *out)
{
  struct eval *e = arg;
  if (array >= e->n->args.n || n != e->args[array].dom.rank || kir_is_f(e->args[array].arr->elem)) return false;
  struct array *x = &e->args[array];
  int64_t o = 0;
  for (unsigned d = 0; d < n; d++) {
    if (at[d] < x->lo[d] || at[d] >= x->hi[d]) return false;
    o += (at[d] - x->lo[d]) * x->stride[d];
  }
  *out = x->v[o].i;
  return true;
}

/* ---- compiling ---- */
static struct ins *emit(struct eval *e, enum code c, int push)
{
  ir_push(e->arena, &e->prog, ((struct ins){ .code = c }));
  e->depth = (unsigned)((int)e->depth + push);
  if (e->depth > e->max_depth) e->max_depth = e->depth;
  return &e->prog.v[e->prog.n - 1];
}
static uint32_t var_of(const struct ir_ix *v)
{
  int64_t by;
  const struct ir_sym *s = kir_base_sym(v, &by);
  if (!s || by != 1) ir_bug("nest_eval", "an axis is no symbol");
  return s->id;
}
static void compile(struct eval *e, const struct kir_expr *x, unsigned level);
static void compile_select(struct eval *e, const struct kir_expr *x, unsigned level)
{
  emit(e, C_BRANCH, 0)->ix = kir_ixp_get(e->m, x->ix);
  uint32_t branch = e->prog.n - 1;
  compile(e, x->a[0], level);
  emit(e, C_JUMP, -1);
  uint32_t jump = e->prog.n - 1;
  e->prog.v[branch].to = e->prog.n;
  compile(e, x->a[1], level);
  e->prog.v[jump].to = e->prog.n;
}
static void compile_red(struct eval *e, const struct kir_expr *x, unsigned level)
{
  struct red *r = IR_NEW(e->arena, struct red);
  r->op = (enum kir_red)x->sub;
  r->n = x->n_axes;
  if (r->n > IR_MAX_RANK) ir_bug("nest_eval", "too many axes");
  for (unsigned i = 0; i < r->n; i++) {
    r->var[i] = var_of(x->axes[i].var);
    r->ext[i] = kir_ixp_get(e->m, x->axes[i].ext);
  }
  struct ins *b = emit(e, C_RED, 0);
  b->red = r;
  b->elem = x->elem;
  uint32_t begin = e->prog.n - 1;
  r->first = e->prog.n;
  compile(e, x->a[0], level);
  struct ins *s = emit(e, C_STEP, 0);
  s->red = r;
  s->elem = x->elem;
  e->prog.v[begin].to = e->prog.n;
}
static void compile(struct eval *e, const struct kir_expr *x, unsigned level)
{
  struct ins *i;
  if (level > 20000) ir_bug("nest_eval", "an expression is nested too deeply");
  switch (x->kind) {
  case KIR_E_CONST:
    i = emit(e, C_CONST, 1);
    if (kir_is_f(x->elem)) i->k.f = x->f;
    else i->k.i = x->i;
    return;
  case KIR_E_IX:
    i = emit(e, C_IX, 1);
    i->ix = kir_ixp_get(e->m, x->ix);
    i->elem = x->elem;
    return;
  case KIR_E_READ:
    i = emit(e, C_READ, 1);
    i->arr = find(e, x->arr);
    i->n = x->n_at;
    i->at = IR_NEWN(e->arena, const struct kir_ixp *, x->n_at + 1);
    for (unsigned d = 0; d < x->n_at; d++) i->at[d] = kir_ixp_get(e->m, x->at[d]);
    i->els = x->els != NULL;
    if (x->els && kir_is_f(x->elem)) i->k.f = x->els->f;
    else if (x->els) i->k.i = x->els->i;
    return;
  case KIR_E_FN:
    for (unsigned j = 0; j < x->n; j++) compile(e, x->a[j], level + 1);
    i = emit(e, C_FN, 1 - (int)x->n);
    i->n = x->n;
    i->f = x->sub;
    i->from = x->a[0]->elem;
    i->elem = x->elem;
    return;
  case KIR_E_CAST:
    compile(e, x->a[0], level + 1);
    i = emit(e, C_CAST, 0);
    i->from = x->a[0]->elem;
    i->elem = x->elem;
    return;
  case KIR_E_SELECT: compile_select(e, x, level + 1); return;
  case KIR_E_RED: compile_red(e, x, level + 1); return;
  case KIR_E_TILE: break;
  }
  ir_bug("nest_eval", "a tile in a nest");
}

/* ---- running ---- */
/* Inside the shape: the element. Outside: `else`, or the zeros that are stored there. */
static bool read(struct eval *e, const struct ins *i, union kir_val *out)
{
  const struct array *x = i->arr;
  int64_t o = 0;
  bool outside = false, stored = true;
  for (unsigned d = 0; d < i->n; d++) {
    int64_t c = kir_ixp_eval(i->at[d], &e->row);
    if (c < x->lo[d] || c >= x->hi[d]) {
      outside = true;
      stored &= c >= x->dom.lo[d] && c < x->dom.hi[d] && x->arr->zero_pad && !(x->arr->slack >> d & 1);
    } else o += (c - x->lo[d]) * x->stride[d];
  }
  if (outside) {
    *out = i->k;
    if (i->els) return true;
    *out = (union kir_val){ 0 };
    return stored || fault(e, "%s is read outside of what is stored", x->arr->name);
  }
  if (x->written && !x->written[o]) return fault(e, "%s is read before it is written", x->arr->name);
  *out = x->v[o];
  return true;
}
static bool next(struct eval *e, struct red *r)
{
  for (unsigned i = r->n; i-- > 0;) {
    if (++r->cur[i] < r->hi[i]) {
      e->row.v[r->var[i]] = r->cur[i];
      return true;
    }
    e->row.v[r->var[i]] = r->cur[i] = 0;
  }
  return false;
}
static bool element(struct eval *e, union kir_val *out)
{
  union kir_val *s = e->stack;
  for (uint32_t pc = 0; pc < e->prog.n; pc++) {
    const struct ins *i = &e->prog.v[pc];
    switch (i->code) {
    case C_CONST: *s++ = i->k; break;
    case C_IX: {
      union kir_val k = { .i = kir_ixp_eval(i->ix, &e->row) };
      *s++ = kir_cast_val(IR_i64, i->elem, k);
      break;
    }
    case C_READ: TRY(read(e, i, s)); s++; break;
    case C_FN:
      s -= i->n;
      *s = kir_map_val((enum ir_map)i->f, i->from, i->elem, s[0], s[i->n > 1], s[i->n > 2 ? 2 : 0]);
      s++;
      break;
    case C_CAST: s[-1] = kir_cast_val(i->from, i->elem, s[-1]); break;
    case C_BRANCH: if (!kir_ixp_eval(i->ix, &e->row)) pc = i->to - 1; break;
    case C_JUMP: pc = i->to - 1; break;
    case C_RED: {
      struct red *r = i->red;
      bool empty = false;
      r->acc = kir_red_neutral(r->op, i->elem);
      for (unsigned d = 0; d < r->n; d++) {
        r->hi[d] = kir_ixp_eval(r->ext[d], &e->row);
        e->row.v[r->var[d]] = r->cur[d] = 0;
        empty |= r->hi[d] <= 0;
      }
      if (!empty) break;
      *s++ = r->acc;
      pc = i->to - 1;
      break;
    }
    case C_STEP:
      i->red->acc = kir_red_step(i->red->op, i->elem, i->red->acc, *--s);
      if (next(e, i->red)) pc = i->red->first - 1;
      else *s++ = kir_round(i->elem, i->red->acc);
      break;
    }
  }
  *out = s[-1];
  return true;
}
static bool statement(struct eval *e, const struct kir_stmt *st)
{
  struct array *dst = find(e, st->dst);
  int64_t hi[IR_MAX_RANK], zero[IR_MAX_RANK] = { 0 }, c[IR_MAX_RANK] = { 0 };
  uint32_t var[IR_MAX_RANK];
  const struct kir_ixp *at[IR_MAX_RANK];
  if (st->n_axes > IR_MAX_RANK || (!st->at && st->n_axes != st->dst->rank)) ir_bug("nest_eval", "%s: axes do not fit", st->dst->name);
  for (unsigned i = 0; i < st->n_axes; i++) {
    var[i] = var_of(st->axes[i].var);
    hi[i] = kir_ix_run(e->m, st->axes[i].ext, &e->row);
    if (hi[i] <= 0) return true;
  }
  for (unsigned d = 0; d < st->dst->rank; d++) at[d] = kir_ixp_get(e->m, st->at ? st->at[d] : st->axes[d].var);
  e->prog.n = 0;
  e->depth = e->max_depth = 0;
  compile(e, st->e, 0);
  e->stack = IR_NEWN(e->arena, union kir_val, e->max_depth + 4);
  do {
    union kir_val v;
    int64_t o = 0;
    for (unsigned i = 0; i < st->n_axes; i++) e->row.v[var[i]] = c[i];
    TRY(element(e, &v));
    if (e->row.failed) return fault(e, "%s: an index divides by a number below 1, or is loaded from outside of an array", st->dst->name);
    for (unsigned d = 0; d < st->dst->rank; d++) {
      int64_t k = kir_ixp_eval(at[d], &e->row);
      if (k < dst->lo[d] || k >= dst->hi[d]) return fault(e, "%s is written outside of its shape", st->dst->name);
      o += (k - dst->lo[d]) * dst->stride[d];
    }
    if (!dst->written) return fault(e, "%s is written, but no result", st->dst->name);
    if (dst->written[o]++) return fault(e, "an element of %s is written twice", st->dst->name);
    dst->v[o] = kir_cast_val(st->e->elem, st->dst->elem, v);
  } while (kir_dom_next(zero, hi, st->n_axes, c));
  return true;
}
static bool all_written(struct eval *e)
{
  for (uint32_t i = 0; i < e->n->args.n; i++)
    for (int64_t j = 0; e->args[i].written && j < e->args[i].n; j++)
      if (!e->args[i].written[j]) return fault(e, "element %lld of %s is never written", (long long)j, e->args[i].arr->name);
  return true;
}
static bool bind(struct eval *e, const struct kir_bind *syms, unsigned n_syms)
{
  uint8_t *known = IR_NEWN(e->arena, uint8_t, kir_ixm_syms(e->m) + 1);
  struct kir_used u;
  e->row = (struct kir_row){ .v = IR_NEWN(e->arena, int64_t, kir_ixm_syms(e->m) + 1), .load = load_index, .arg = e };
  TRY(kir_row_bind(e->n->arena, &e->row, e->n->ixs, syms, n_syms, known, e->why));
  kir_nest_used(&u, e->n, false);
  bool ok = kir_all_bound(e->n->arena, &u, known, e->why);
  kir_used_deinit(&u);
  return ok;
}
bool kir_nest_eval(const struct kir_nest *n, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *args, const char **why)
{
  const char *ignored;
  struct eval e = { .n = n, .arena = ir_arena_create(), .why = why ? why : &ignored };
  e.m = kir_ixm_create(e.arena, n->ixs);
  bool ok = bind(&e, syms, n_syms) && arrays(&e, args);
  for (uint32_t i = 0; ok && i < n->stmts.n; i++) ok = statement(&e, n->stmts.v[i]);
  ok = ok && all_written(&e);
  if (!ok) *e.why = ir_arena_strdup(n->arena, *e.why);
  ir_arena_destroy(e.arena);
  return ok;
}
