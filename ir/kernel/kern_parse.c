/* The kern's text form: parser. The grammar is in docs/kernel-ir.md; kern_text.c prints it. */
#include "ir/kernel/lex.h"
#include <string.h>

enum { MAX_LIST = 64 };
struct parser {
  struct kir_lex x;
  struct kir_kern *k;
  struct kir_emit e;
  IR_VEC(struct kir_op *) vals;
  const struct ir_ix *ix[MAX_LIST];                    /* of the op at hand */
  struct kir_op *src[3];
  unsigned depth;
};

/* ---- names ---- */
static bool same(const char *name, const char *s, size_t n) { return strlen(name) == n && !memcmp(name, s, n); }
static struct kir_arr *find_arr(void *arg, const char *s, size_t n)
{
  const struct kir_kern *k = ((struct parser *)arg)->k;
  for (uint32_t i = 0; i < k->args.n; i++)
    if (same(k->args.v[i]->name, s, n)) return k->args.v[i];
  for (uint32_t i = 0; i < k->bufs.n; i++)
    if (same(k->bufs.v[i]->name, s, n)) return k->bufs.v[i];
  return NULL;
}
static struct kir_reg *find_reg(void *arg, const char *s, size_t n)
{
  const struct kir_kern *k = ((struct parser *)arg)->k;
  for (uint32_t i = 0; i < k->regs.n; i++)
    if (same(k->regs.v[i]->name, s, n)) return k->regs.v[i];
  return NULL;
}
static struct kir_arr *arr(struct parser *p)
{
  const char *s;
  size_t n;
  if (!kir_lex_name(&p->x, &s, &n)) return NULL;
  struct kir_arr *a = find_arr(p, s, n);
  if (!a) p->x.s = s, kir_lex_error(&p->x, "expected an array");
  return a;
}
static struct kir_reg *reg(struct parser *p)
{
  const char *s;
  size_t n;
  if (!kir_lex_eat(&p->x, "%") || !kir_lex_name(&p->x, &s, &n)) return NULL;
  struct kir_reg *r = find_reg(p, s, n);
  if (!r) p->x.s = s, kir_lex_error(&p->x, "expected a register");
  return r;
}
static const struct ir_ix *symbol(struct parser *p)
{
  const struct ir_ix *e = kir_lex_ix(&p->x);
  const struct ir_sym *s = e ? ir_ix_as_sym(e) : NULL;
  if (!s || s->def || s->kind == IR_SYM_COORD) return e ? kir_lex_error(&p->x, "expected a symbol") : 0, NULL;
  return e;
}
static const struct kir_inst *inst(struct parser *p)
{
  const char *s;
  size_t n;
  if (!kir_lex_eat(&p->x, "by") || !kir_lex_name(&p->x, &s, &n)) return NULL;
  const struct kir_inst *q = kir_inst_find(ir_arena_strndup(p->x.arena, s, n));
  if (!q) p->x.s = s, kir_lex_error(&p->x, "no row of kinst.def");
  return q;
}
/* "f32", "v16f32" */
static bool type(struct parser *p, enum ir_elem *e, unsigned *lanes)
{
  const char *s;
  size_t n;
  *lanes = 1;
  TRY(kir_lex_name(&p->x, &s, &n));
  if (*s == 'v') {
    size_t i = 1;
    for (*lanes = 0; i < n && s[i] >= '0' && s[i] <= '9' && *lanes <= KIR_MAX_VEC; i++) *lanes = *lanes * 10 + (unsigned)(s[i] - '0');
    s += i;
    n -= i;
  }
  return (*lanes >= 1 && *lanes <= KIR_MAX_VEC && ir_elem_parse(s, n, e)) || kir_lex_error(&p->x, "expected a type");
}
static bool sources(struct parser *p, struct kir_op *o)
{
  do {
    int64_t v;
    if (o->n_src == 3) return kir_lex_error(&p->x, "more than 3 operands");
    TRY(kir_lex_eat(&p->x, "%") && kir_lex_uint(&p->x, 0, UINT32_MAX, &v));
    if (v >= p->vals.n) return kir_lex_error(&p->x, "%%%lld is not defined", (long long)v);
    p->src[o->n_src++] = p->vals.v[v];
    const char *s = p->x.s;
    if (!kir_lex_try(&p->x, ",")) return true;
    kir_lex_blank(&p->x);
    if (p->x.s < p->x.end && *p->x.s == '%') continue;
    p->x.s = s;                                        /* a number follows: the op's own */
    return true;
  } while (true);
}
static bool index1(struct parser *p, struct kir_op *o)  /* "ix]" */
{
  TRY((p->ix[o->n_ix++] = kir_lex_ix(&p->x)));
  return kir_lex_eat(&p->x, "]");
}
static bool array_at(struct parser *p, struct kir_op *o, struct kir_arr **out) { return (*out = arr(p)) && kir_lex_eat(&p->x, "[") && index1(p, o); }
static bool reg_at(struct parser *p, struct kir_op *o, struct kir_reg **out) { return (*out = reg(p)) && kir_lex_eat(&p->x, "[") && index1(p, o); }
static bool list(struct parser *p, struct kir_op *o, const char *close)
{
  unsigned n;
  TRY(kir_lex_ixs(&p->x, close, MAX_LIST - o->n_ix, p->ix + o->n_ix, &n));
  o->n_ix += n;
  return true;
}
static bool guards(struct parser *p, struct kir_op *o)
{
  if (kir_lex_try(&p->x, "if")) TRY(kir_lex_eat(&p->x, "(") && list(p, o, ")"));
  if (kir_lex_try(&p->x, "upto")) TRY(kir_lex_eat(&p->x, "(") && (o->upto = kir_lex_ix(&p->x)) && kir_lex_eat(&p->x, ")"));
  if (kir_lex_try(&p->x, "stride")) TRY(kir_lex_int(&p->x, &o->stride));
  return true;
}
static struct kir_op *finish(struct parser *p, const struct kir_op *o)
{
  struct kir_op *r = kir_emit(&p->e, o->op, o->elem, o->lanes, p->src, o->n_src, p->ix, o->n_ix), keep = *r;
  *r = *o;
  r->src = keep.src;
  r->ix = keep.ix;
  r->prev = keep.prev;
  r->next = NULL;
  r->id = keep.id;
  return r;
}

/* ---- values ---- */
static bool constant(struct parser *p, struct kir_op *o) /* the type, behind the literal, tells how to read it */
{
  const char *lit = p->x.s, *colon = memchr(lit, ':', (size_t)(p->x.end - lit));
  if (!colon) return kir_lex_error(&p->x, "expected a type");
  p->x.s = colon + 1;
  TRY(type(p, &o->elem, &o->lanes));
  const char *end = p->x.s;
  p->x.s = lit;
  TRY(kir_lex_lit(&p->x, o->elem, &o->f, &o->i));
  kir_lex_blank(&p->x);
  if (p->x.s != colon) return kir_lex_error(&p->x, "expected \":\"");
  p->x.s = end;
  return true;
}
static bool value_fields(struct parser *p, struct kir_op *o)
{
  const char *s;
  size_t n;
  enum kir_red red;
  switch (o->op) {
  case KIR_idx: case KIR_test: return kir_lex_eat(&p->x, "(") && list(p, o, ")") && (o->n_ix == 1 || kir_lex_error(&p->x, "expected one expression"));
  case KIR_vred:
    TRY(kir_lex_name(&p->x, &s, &n));
    if (!kir_red_parse(s, n, &red)) return kir_lex_error(&p->x, "expected a reduction");
    o->sub = red;
    return sources(p, o);
  case KIR_extract: case KIR_shfl: return sources(p, o) && kir_lex_eat(&p->x, ",") && kir_lex_int(&p->x, &o->i);
  case KIR_get: return reg_at(p, o, &o->reg);
  case KIR_load:
    TRY(array_at(p, o, &o->arr) && guards(p, o));
    return !kir_lex_try(&p->x, "else") || kir_lex_lit(&p->x, o->arr->elem, &o->f, &o->i);
  default: return sources(p, o);
  }
}
static bool value(struct parser *p)
{
  struct kir_op o = { .stride = 1 };
  int64_t id;
  const char *s;
  size_t n;
  enum ir_map f;
  TRY(kir_lex_uint(&p->x, 0, UINT32_MAX, &id));
  if (id != p->vals.n) return kir_lex_error(&p->x, "values are numbered in order: %%%u", p->vals.n);
  TRY(kir_lex_eat(&p->x, "=") && kir_lex_name(&p->x, &s, &n));
  if (kir_map_parse(s, n, &f)) o.op = KIR_ew, o.sub = f;
  else if (!kir_op_parse(s, n, &o.op) || !kir_op_has_value(&o) || o.op == KIR_ew) return p->x.s = s, kir_lex_error(&p->x, "expected an op with a value");
  if (o.op == KIR_const) TRY(constant(p, &o));
  else TRY(value_fields(p, &o) && kir_lex_eat(&p->x, ":") && type(p, &o.elem, &o.lanes));
  struct kir_op *r = finish(p, &o);
  ir_push(p->x.arena, &p->vals, r);
  return true;
}

/* ---- effects ---- */
static bool target(struct parser *p, struct kir_op *o)
{
  struct kir_layout lay;
  kir_lex_blank(&p->x);
  if (p->x.s < p->x.end && *p->x.s == '%') TRY((o->reg = reg(p)));
  else TRY((o->arr = arr(p)) && kir_lex_eat(&p->x, "[") && list(p, o, "]"));
  kir_lex_blank(&p->x);
  if (p->x.end - p->x.s < 2 || p->x.s[0] != '<' || p->x.s[1] == '-') return true;
  p->x.s++;
  TRY(kir_lex_layout(&p->x, &lay));
  o->lay = ir_arena_copy(p->x.arena, &lay, sizeof lay);
  return true;
}
static bool loop_head(struct parser *p, struct kir_op *o)
{
  int64_t u;
  TRY((o->var = symbol(p)) && kir_lex_eat(&p->x, "="));
  if (o->op == KIR_pipe) {
    TRY(kir_lex_eat(&p->x, "0") && kir_lex_eat(&p->x, "..") && (p->ix[o->n_ix++] = kir_lex_ix(&p->x)) && kir_lex_eat(&p->x, "depth") && kir_lex_uint(&p->x, 1, 1 << 20, &u));
    o->depth = (unsigned)u;
    return true;
  }
  TRY((p->ix[o->n_ix++] = kir_lex_ix(&p->x)) && kir_lex_eat(&p->x, "..") && (p->ix[o->n_ix++] = kir_lex_ix(&p->x)));
  if (o->sub == KIR_REPLAY || !kir_lex_try(&p->x, "unroll")) return true;
  TRY(kir_lex_uint(&p->x, 1, KIR_REPLAY - 1, &u));
  o->sub = (unsigned)u;
  return true;
}
static bool product(struct parser *p, struct kir_op *o)  /* of mma */
{
  struct kir_expr *a, *b;
  TRY((o->reg = reg(p)) && kir_lex_eat(&p->x, "+=") && (a = kir_lex_primary(&p->x)) && kir_lex_eat(&p->x, "*") && (b = kir_lex_primary(&p->x)));
  if (a->elem != b->elem) return kir_lex_error(&p->x, "operands of different types");
  o->e = kir_fn(p->x.n, IR_MAP_mul, a, b, NULL);
  TRY(kir_lex_eat(&p->x, "over") && kir_lex_eat(&p->x, "(") && (p->ix[0] = kir_lex_ix(&p->x)));
  o->n_ix = 1;
  if (kir_lex_try(&p->x, "<")) {
    o->var = p->ix[0];
    if (!ir_ix_as_sym(o->var)) return kir_lex_error(&p->x, "expected a symbol");
    TRY((p->ix[0] = kir_lex_ix(&p->x)));
  }
  return kir_lex_eat(&p->x, ")") && (o->inst = inst(p));
}
static bool times(struct parser *p, int64_t max, int64_t *out) { return kir_lex_eat(&p->x, "x") && kir_lex_uint(&p->x, 1, max, out); }
static bool effect_fields(struct parser *p, struct kir_op *o)
{
  const char *s;
  size_t n;
  enum kir_red red;
  int64_t k;
  struct kir_lex *x = &p->x;
  switch (o->op) {
  case KIR_set: TRY(reg_at(p, o, &o->reg) && kir_lex_eat(x, "=") && sources(p, o)); o->elem = o->reg->elem, o->lanes = o->reg->lanes; return true;
  case KIR_store: TRY(array_at(p, o, &o->arr) && kir_lex_eat(x, "=") && sources(p, o) && guards(p, o)); o->elem = o->arr->elem, o->lanes = p->src[0]->lanes; return true;
  case KIR_prefetch: TRY(array_at(p, o, &o->arr)); o->sub = kir_lex_try(x, "far"); return true;
  case KIR_for: case KIR_pipe: return loop_head(p, o);
  case KIR_if: return kir_lex_eat(x, "(") && list(p, o, ")");
  case KIR_tile: return (o->reg = reg(p));
  case KIR_fill: return (o->reg = reg(p)) && kir_lex_eat(x, "<-") && kir_lex_lit(x, o->reg->elem, &o->f, &o->i);
  case KIR_copy: case KIR_map:
    TRY(target(p, o) && kir_lex_eat(x, "<-") && (o->e = kir_lex_expr(x)));
    if (o->arr && o->n_ix != o->arr->rank) return kir_lex_error(x, "other coordinates than the array has");
    if (o->arr && kir_lex_try(x, "if")) TRY(kir_lex_eat(x, "(") && list(p, o, ")"));
    if (o->op == KIR_copy && kir_lex_try(x, "via")) TRY(kir_lex_eat(x, "cp.async") && (o->i = 1));
    return true;
  case KIR_mma: return product(p, o);
  case KIR_reduce:
    TRY((o->reg = reg(p)) && kir_lex_eat(x, "<-") && kir_lex_name(x, &s, &n));
    if (!kir_red_parse(s, n, &red)) return kir_lex_error(x, "expected a reduction");
    o->sub = red;
    return kir_lex_eat(x, "over") && kir_lex_uint(x, 0, 3, &o->i) && kir_lex_eat(x, "of") && (o->reg2 = reg(p));
  case KIR_relayout: return (o->reg = reg(p)) && kir_lex_eat(x, "<-") && (o->reg2 = reg(p)) && (!kir_lex_try(x, "via") || (o->arr = arr(p)));
  case KIR_cp_async:
    TRY(array_at(p, o, &o->arr) && kir_lex_eat(x, "<-") && array_at(p, o, &o->arr2) && times(p, KIR_MAX_VEC, &k));
    o->elem = o->arr->elem;
    o->lanes = (unsigned)k;
    return guards(p, o);
  case KIR_wait: return kir_lex_uint(x, 0, 1 << 20, &o->i);
  case KIR_ldmatrix: return reg_at(p, o, &o->reg) && kir_lex_eat(x, "<-") && array_at(p, o, &o->arr) && times(p, 4, &o->i) && ((o->sub = kir_lex_try(x, "trans")), true);
  case KIR_mma_sync: return reg_at(p, o, &o->reg) && kir_lex_eat(x, "+=") && reg_at(p, o, &o->reg2) && kir_lex_eat(x, "*") && reg_at(p, o, &o->reg3) && (o->inst = inst(p));
  case KIR_wgmma:
    return reg_at(p, o, &o->reg) && kir_lex_eat(x, "+=") && array_at(p, o, &o->arr) && kir_lex_eat(x, "*") && array_at(p, o, &o->arr2) && times(p, 4, &o->i) && (o->inst = inst(p));
  case KIR_wgmma_wait: return (o->reg = reg(p));
  default: return true;
  }
}
static bool block(struct parser *p, struct kir_block *b);
static bool effect(struct parser *p)
{
  struct kir_op o = { .stride = 1, .lanes = 1 };
  const char *s;
  size_t n;
  TRY(kir_lex_name(&p->x, &s, &n));
  if (same("unroll", s, n)) o.op = KIR_for, o.sub = KIR_REPLAY;
  else if (!kir_op_parse(s, n, &o.op) || kir_op_has_value(&o)) return p->x.s = s, kir_lex_error(&p->x, "expected an op");
  TRY(effect_fields(p, &o));
  struct kir_op *r = finish(p, &o);
  if (o.op != KIR_for && o.op != KIR_if && o.op != KIR_pipe) return true;
  TRY(kir_lex_eat(&p->x, "{") && block(p, &r->body[0]));
  if (o.op == KIR_pipe) return kir_lex_eat(&p->x, "do") && kir_lex_eat(&p->x, "{") && block(p, &r->body[1]);
  return o.op != KIR_if || !kir_lex_try(&p->x, "else") || (kir_lex_eat(&p->x, "{") && block(p, &r->body[1]));
}
static bool block(struct parser *p, struct kir_block *b)
{
  struct kir_block *outer = p->e.at;
  if (++p->depth >= KIR_MAX_NEST - 1) return kir_lex_error(&p->x, "nested too deeply");
  p->e.at = b;
  while (!kir_lex_try(&p->x, "}")) {
    kir_lex_blank(&p->x);
    bool is_value = p->x.end - p->x.s > 1 && p->x.s[0] == '%' && p->x.s[1] >= '0' && p->x.s[1] <= '9';
    p->x.s += is_value;
    TRY(is_value ? value(p) : effect(p));
  }
  p->e.at = outer;
  p->depth--;
  return true;
}

/* ---- the head ---- */
static bool buf(struct parser *p)
{
  const char *s;
  size_t n;
  TRY(kir_lex_name(&p->x, &s, &n));
  if (find_arr(p, s, n)) return kir_lex_error(&p->x, "the name is taken");
  struct kir_arr *a = IR_NEW(p->x.arena, struct kir_arr);
  a->name = ir_arena_strndup(p->x.arena, s, n);
  a->index = p->k->bufs.n;
  TRY(kir_lex_arr(&p->x, a));
  if (a->space != KIR_SHARED || a->out) return kir_lex_error(&p->x, "a buffer has a place in the scratch");
  ir_push(p->x.arena, &p->k->bufs, a);
  return true;
}
static bool tile_dims(struct parser *p, struct kir_reg *r)
{
  struct kir_lex *x = &p->x;
  if (kir_lex_try(x, "]")) return true;
  do {
    unsigned d = r->n_dims++;
    if (d == 4) return kir_lex_error(x, "more than 4 dims");
    TRY(kir_lex_uint(x, 1, 1 << 20, &r->dim[d]));
    if (!kir_lex_try(x, "=")) continue;
    do {
      unsigned i = r->n_axes[d];
      if (i == 4) return kir_lex_error(x, "more than 4 axes");
      TRY((r->axes[d][i].axis = kir_lex_sym(x)) && kir_lex_eat(x, "/") && kir_lex_uint(x, 1, 1 << 20, &r->axes[d][i].ext));
      r->n_axes[d]++;
    } while (kir_lex_try(x, "x"));
  } while (kir_lex_try(x, ","));
  return kir_lex_eat(x, "]");
}
static bool new_reg(struct parser *p)
{
  struct kir_lex *x = &p->x;
  struct kir_reg *r = IR_NEW(x->arena, struct kir_reg);
  const char *s;
  size_t n;
  int64_t k;
  TRY(kir_lex_eat(x, "%") && kir_lex_name(x, &s, &n));
  if (find_reg(p, s, n)) return kir_lex_error(x, "the name is taken");
  r->name = ir_arena_strndup(x->arena, s, n);
  TRY(kir_lex_eat(x, ":") && type(p, &r->elem, &r->lanes));
  if (kir_lex_try(x, "[")) {
    TRY(tile_dims(p, r) && kir_lex_eat(x, "<") && kir_lex_layout(x, &r->lay));
    int64_t c = kir_layout_count(&r->lay, 'r'), v = kir_layout_count(&r->lay, 'v');
    if (c > 1 << 20 || v > KIR_MAX_VEC) return kir_lex_error(x, "the layout is too large");
    r->count = (unsigned)c;
    if (r->lanes == 1) r->lanes = (unsigned)v;
    if (kir_lex_try(x, "x")) {
      TRY(kir_lex_uint(x, 1, 1 << 20, &k));
      r->count = (unsigned)k;
    }
  } else {
    TRY(times(p, 1 << 20, &k));
    r->count = (unsigned)k;
  }
  r->id = p->k->regs.n;
  ir_push(x->arena, &p->k->regs, r);
  return true;
}
static bool grid_and_block(struct parser *p)
{
  struct kir_lex *x = &p->x;
  struct kir_kern *k = p->k;
  int64_t n;
  TRY(kir_lex_eat(x, "grid") && kir_lex_eat(x, "("));
  if (!kir_lex_try(x, ")")) {
    do {
      struct kir_digit d;
      TRY((d.var = symbol(p)) && kir_lex_eat(x, "<") && (d.trips = kir_lex_ix(x)));
      if (k->grid.n == 32) return kir_lex_error(x, "more than 32 digits");
      ir_push(x->arena, &k->grid, d);
    } while (kir_lex_try(x, ","));
    TRY(kir_lex_eat(x, ")"));
  }
  TRY(kir_lex_eat(x, "block") && kir_lex_eat(x, "(") && (k->warp = symbol(p)) && kir_lex_eat(x, "<") && kir_lex_uint(x, 1, KIR_MAX_THREADS, &n));
  k->warps = (unsigned)n;
  TRY(kir_lex_eat(x, ",") && (k->lane = symbol(p)) && kir_lex_eat(x, "<") && kir_lex_uint(x, 1, KIR_MAX_THREADS, &n));
  k->lanes = (unsigned)n;
  TRY(kir_lex_eat(x, ")") && kir_lex_eat(x, "vec") && (k->vsym = symbol(p)));
  if (kir_lex_try(x, "scratch")) {
    TRY(kir_lex_uint(x, 1, 1ll << 40, &n));
    k->scratch_bytes = (uint64_t)n;
  }
  k->flat = kir_lex_try(x, "flat");
  return k->flat || kir_lex_eat(x, "tiled");
}
static bool head(struct parser *p)
{
  struct kir_lex *x = &p->x;
  const char *s;
  size_t n;
  TRY(kir_lex_eat(x, "kern") && kir_lex_eat(x, "@"));
  p->k->name = "";
  if (x->s < x->end && *x->s != '(') {
    TRY(kir_lex_name(x, &s, &n));
    p->k->name = ir_arena_strndup(x->arena, s, n);
  }
  TRY(kir_lex_eat(x, "("));
  const char *args = x->s;
  TRY(kir_lex_skip_parens(x) && kir_lex_where(x, true));
  const char *rest = x->s;
  x->s = args;
  kir_lex_blank(x);
  if (x->s < x->end && *x->s != ')' && *x->s != ';') TRY(kir_lex_args(x));
  for (uint32_t i = 0; i < x->n->args.n; i++) ir_push(x->arena, &p->k->args, x->n->args.v[i]);
  if (kir_lex_try(x, ";")) {
    do {
      const struct ir_ix *e;
      TRY((e = symbol(p)));
      ir_push(x->arena, &p->k->syms, e);
    } while (kir_lex_try(x, ","));
  }
  TRY(kir_lex_eat(x, ")"));
  x->s = rest;
  return kir_lex_given(x, &p->k->facts) && grid_and_block(p);
}
static bool kern(struct parser *p)
{
  struct kir_lex *x = &p->x;
  TRY(head(p) && kir_lex_eat(x, "{"));
  while (kir_lex_try(x, "buf")) TRY(buf(p));
  while (kir_lex_try(x, "reg")) TRY(new_reg(p));
  TRY(block(p, &p->k->body));
  kir_lex_blank(x);
  return x->s == x->end || kir_lex_error(x, "expected the end");
}
struct kir_kern *kir_kern_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n)
{
  struct kir_nest *owner = kir_nest_create(a, "");
  struct kir_kern *k = IR_NEW(a, struct kir_kern);
  struct parser p = { .k = k, .x = { .arena = a, .diags = d, .begin = text, .s = text, .end = text + n, .n = owner, .array = find_arr, .reg = find_reg, .arg = &p } };
  k->arena = a;
  k->ixs = owner->ixs;
  k->facts.arena = a;
  p.e = (struct kir_emit){ k, &k->body };
  return kern(&p) ? k : NULL;
}
