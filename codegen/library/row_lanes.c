/* row on lanes: a warp holds a row in its registers (`hold = reg`), element c in register c/(lanes*v), lane c/v%lanes, place c%v.
 *
 * Every array that is read along the row is copied into a tile once; every temporary is a tile, over (r, c) or over r alone; reductions fold registers, places
 * and lanes. The warps of a block are rows of the tiles, so that a tile dim says who stores what. Places beyond the row's end hold the value that does not
 * change the first reduction that reads them; where another value is needed, the operand is selected. */
#include "codegen/library/row.h"
#include "codegen/library/flat.h"
#include "codegen/library/skeleton.h"
#include <math.h>
#include <string.h>

enum { REGISTERS = 64, TILES = 32 }; /* elements a lane holds of one tile; tiles in all */

struct held {
  const void *what;
  const struct ir_ix **at;
  unsigned n;
  struct kir_reg *reg;
  const struct kir_expr *fill;
};
struct rows {
  struct ir_arena *a;
  struct kir_nest *n;
  struct cg_flat *f; /* of the analysis: bindings, facts */
  struct kir_kern *k;
  struct kir_emit e;
  unsigned shared;
  const struct ir_ix *row[IR_MAX_RANK], *r, *c, *C; /* coordinates of the row; tile coordinates; the row's length */
  int64_t ext;                                      /* of the tiles along c */
  struct kir_layout full, thin;                     /* over (r, c), over r */
  struct held held[TILES];
  unsigned n_held;
  const char *why;
};

/* ---- is it such a nest? ---- */
/* The one axis along which all statements run; NULL: there is none, or more. */
static const struct ir_ix *length(const struct kir_nest *n, unsigned shared)
{
  const struct ir_ix *C = NULL;
  for (unsigned i = 0; i < n->stmts.n; i++) {
    const struct kir_stmt *s = n->stmts.v[i];
    if (s->n_axes > shared + 1 || (s->n_axes > shared && C && s->axes[shared].ext != C)) return NULL;
    if (s->n_axes > shared) C = s->axes[shared].ext;
    const struct kir_expr *todo[64];
    unsigned depth = 0;
    for (todo[depth++] = s->e; depth;) {
      const struct kir_expr *e = todo[--depth];
      if (e->kind == KIR_E_RED) {
        if (e->n_axes != 1 || (C && e->axes[0].ext != C) || cg_has_red(e->a[0]) || s->n_axes > shared) return NULL;
        C = e->axes[0].ext;
      }
      for (unsigned j = 0; j < 3 && depth < 60; j++)
        if (e->a[j]) todo[depth++] = e->a[j];
    }
  }
  return C;
}
static bool analyse(struct rows *s)
{
  int64_t lo, hi;
  bool any = false;
  const char *why;
  s->f = cg_flat_begin(s->a, s->n, &why);
  if (!s->f) return false;
  for (unsigned i = 0; i < s->n->stmts.n; i++) {
    const struct kir_stmt *p = s->n->stmts.v[i];
    any |= cg_has_red(p->e);
    if (!cg_plain(p)) return false;
    for (unsigned d = 0; d < p->dst->rank; d++)
      if (cg_halo_dim(p->dst, d)) return false;
    if (!p->dst->arg) s->f->slot[p->dst->index].where = CG_BUF;
  }
  if (!any) return false;
  s->shared = cg_shared_axes(s->f);
  s->C = length(s->n, s->shared);
  if (!s->C) return false;
  ir_ix_range(s->C, &lo, &hi);
  return hi <= REGISTERS * 32;
}
static const struct kir_stmt *first(const struct rows *s) { return s->n->stmts.v[0]; }

/* Arrays lie so that four neighbours along the row are one aligned piece. */
static void piece_of(void *arg, const struct kir_expr *e)
{
  struct rows *s = ((void **)arg)[0];
  bool *ok = ((void **)arg)[1];
  const struct ir_ix *c[IR_MAX_RANK], *co, *rest;
  if (!e->arr->arg) return;
  for (unsigned d = 0; d < e->n_at; d++) c[d] = cg_flat_at(s->f, e->at[d]);
  const struct ir_ix *off = cg_flat_offset(s->f, e->arr, c);
  if (!ir_ix_uses(off, s->c)) return;
  *ok &= ir_ix_linear(off, s->c, &co, &rest) && ir_ix_is(co, 1) && ir_ix_by(rest) % 4 == 0;
}
static bool vectors(struct rows *s)
{
  bool ok = ir_ix_by(s->C) % 4 == 0;
  void *arg[2] = { s, &ok };
  int64_t lo, hi;
  ir_ix_range(s->C, &lo, &hi);
  s->c = ir_ix_fresh(s->n->ixs, "x", IR_SYM_AXIS, 0, hi > 0 ? hi - 1 : 0, 1);
  for (unsigned i = 0; i < s->n->stmts.n && ok; i++) {
    const struct kir_stmt *p = s->n->stmts.v[i];
    uint32_t mark = cg_flat_mark(s->f);
    if (p->n_axes > s->shared) cg_flat_bind(s->f, p->axes[s->shared].var, s->c);
    const struct kir_expr *red = p->e;
    while (red && red->kind != KIR_E_RED) red = red->a[0];
    if (red) cg_flat_bind(s->f, red->axes[0].var, s->c);
    cg_reads(p->e, piece_of, arg);
    if (p->dst->arg && p->n_axes > s->shared) {
      struct kir_expr w = { .kind = KIR_E_READ, .arr = p->dst, .n_at = p->dst->rank };
      const struct ir_ix *at[IR_MAX_RANK];
      for (unsigned d = 0; d < p->dst->rank; d++) at[d] = p->at ? p->at[d] : p->axes[d].var;
      w.at = at;
      piece_of(arg, &w);
    }
    cg_flat_unbind(s->f, mark);
  }
  return ok;
}

struct kir_sched *cg_row_lanes_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct rows s = { .a = a, .n = (struct kir_nest *)n };
  if (!analyse(&s)) return NULL;
  struct kir_sched *r = IR_NEW(a, struct kir_sched);
  const char *name = s.shared ? ir_ix_as_sym(first(&s)->axes[s.shared - 1].var)->name : "r";
  r->kind = "row";
  r->inst = vectors(&s) ? "v4" : "v1";
  r->hold = "reg";
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_GRID, .n = 1, .part = { { name, t->warps } } }));
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_WARP, .n = 1, .part = { { name, 1 } } }));
  return r;
}

/* ---- tiles ---- */
static struct kir_reg *tile(struct rows *s, const char *name, enum ir_elem e, bool full)
{
  const struct ir_ix *co[2] = { s->r, s->c };
  int64_t dim[2] = { s->k->warps, s->ext };
  struct kir_reg *t = kir_reg_tile(s->k, name, e, full ? 2 : 1, dim, full ? &s->full : &s->thin);
  for (unsigned d = 0; d < (full ? 2u : 1u); d++)
    if (ir_ix_as_sym(co[d])) {
      t->n_axes[d] = 1;
      t->axes[d][0].axis = ir_ix_as_sym(co[d])->name;
      t->axes[d][0].ext = dim[d];
    }
  kir_emit(&s->e, KIR_tile, e, 1, NULL, 0, NULL, 0)->reg = t;
  return t;
}
static struct kir_expr *value(struct rows *s, struct kir_reg *t) { return kir_tile(s->a, t, (const struct ir_ix *[]){ s->r, s->c }, t->n_dims); }
static void set(struct rows *s, struct kir_reg *t, struct kir_expr *e)
{
  struct kir_op *o = kir_emit(&s->e, e->kind == KIR_E_READ ? KIR_copy : KIR_map, t->elem, 1, NULL, 0, (const struct ir_ix *[]){ s->r, s->c }, t->n_dims);
  o->reg = t;
  o->e = e;
}
static struct held *find(struct rows *s, const void *what, const struct ir_ix *const *at, unsigned n)
{
  for (unsigned i = 0; i < s->n_held; i++)
    if (s->held[i].what == what && s->held[i].n == n && (!n || !memcmp(s->held[i].at, at, n * sizeof *at))) return &s->held[i];
  return NULL;
}
static struct held *keep(struct rows *s, const void *what, const struct ir_ix *const *at, unsigned n, struct kir_reg *t, const struct kir_expr *fill)
{
  if (s->n_held == TILES) {
    s->why = "too many values are held";
    return &s->held[TILES - 1];
  }
  s->held[s->n_held] = (struct held){ what, ir_arena_copy(s->a, at, n * sizeof *at), n, t, fill };
  return &s->held[s->n_held++];
}
static struct kir_expr *neutral(struct rows *s, enum kir_red r, enum ir_elem e)
{
  unsigned bits = ir_elem_bits(e);
  bool u = ir_elem_class(e) == 'U';
  int64_t top = u ? (bits == 64 ? -1 : (int64_t)((1ull << bits) - 1)) : (int64_t)((1ull << (bits - 1)) - 1);
  switch (r) {
  case KIR_PROD: return kir_const(s->n, e, 1, 1);
  case KIR_MAX: return kir_const(s->n, e, -INFINITY, e == IR_bool || u ? 0 : -top - 1);
  case KIR_MIN: return kir_const(s->n, e, INFINITY, e == IR_bool ? 1 : top);
  case KIR_AND: return kir_const(s->n, e, 1, e == IR_bool ? 1 : -1);
  case KIR_SUM:
  case KIR_OR: break;
  }
  return kir_const(s->n, e, 0, 0);
}

/* e at the present bindings, with tiles for what is held, and reductions made. fill: what lies beyond the row's end of an array that is read now. */
static struct kir_expr *rewrite(struct rows *s, const struct kir_expr *e, const struct kir_expr *fill);
static struct kir_expr *read(struct rows *s, const struct kir_expr *e, const struct kir_expr *fill)
{
  const struct ir_ix *at[IR_MAX_RANK];
  for (unsigned d = 0; d < e->n_at; d++) at[d] = cg_flat_at(s->f, e->at[d]);
  if (!e->arr->arg || e->arr->out) {
    struct held *h = find(s, e->arr, NULL, 0);
    if (h) return value(s, h->reg);
    s->why = "a value is read before it is made";
    return kir_const(s->n, e->elem, 0, 0);
  }
  struct held *h = find(s, e->arr, at, e->n_at);
  if (h) return value(s, h->reg);
  bool along = false;
  for (unsigned d = 0; d < e->n_at; d++) along |= ir_ix_uses(at[d], s->c);
  struct kir_expr *x = ir_arena_copy(s->a, e, sizeof *e);
  x->at = ir_arena_copy(s->a, at, e->n_at * sizeof *at);
  if (!along) return x;
  bool own = e->els != NULL, ends = false; /* the array ends where the row does: what lies beyond reads as `els` */
  for (unsigned d = 0; d < e->n_at; d++) ends |= at[d] == s->c && cg_extent(e->arr, d) == s->C;
  if (!own && ends && fill && fill->elem == e->elem) x->els = (struct kir_expr *)fill;
  struct kir_reg *t = tile(s, e->arr->name, e->elem, true);
  set(s, t, x);
  keep(s, e->arr, at, e->n_at, t, own ? NULL : x->els);
  return value(s, t);
}
static bool whole(const struct rows *s) { return ir_known_ge0(&s->f->k->facts, ir_ix_addi(s->C, -s->ext)); }
static struct kir_expr *reduction(struct rows *s, const struct kir_expr *e)
{
  enum ir_elem t = cg_red_elem(e->elem);
  struct kir_expr *fill = neutral(s, e->sub, t);
  uint32_t mark = cg_flat_mark(s->f);
  cg_flat_bind(s->f, e->axes[0].var, s->c);
  struct kir_expr *x = rewrite(s, e->a[0], fill);
  cg_flat_unbind(s->f, mark);
  if (x->elem != t) x = kir_cast(s->n, t, x);
  struct kir_reg *from = x->kind == KIR_E_TILE && x->reg->n_dims == 2 ? x->reg : NULL;
  bool filled = whole(s);
  for (unsigned i = 0; from && i < s->n_held; i++)
    if (s->held[i].reg == from && s->held[i].fill && s->held[i].fill->f == fill->f && s->held[i].fill->i == fill->i) filled = true;
  if (!from || !filled) {
    from = tile(s, "a", t, true);
    set(s, from, filled ? x : kir_select(s->n, ir_ix_ge0(ir_ix_addi(ir_ix_sub(s->C, s->c), -1)), x, fill));
  }
  struct kir_reg *to = tile(s, "f", t, false);
  struct kir_op *o = kir_emit(&s->e, KIR_reduce, t, 1, NULL, 0, NULL, 0);
  o->reg = to;
  o->reg2 = from;
  o->sub = e->sub;
  o->i = 1; /* dim c */
  return kir_cast(s->n, e->elem, value(s, to));
}
static struct kir_expr *rewrite(struct rows *s, const struct kir_expr *e, const struct kir_expr *fill)
{
  if (e->kind == KIR_E_READ) return read(s, e, fill);
  if (e->kind == KIR_E_RED) return reduction(s, e);
  if (e->kind == KIR_E_IX) return kir_ix(s->n, e->elem, cg_flat_at(s->f, e->ix));
  if (e->kind == KIR_E_SELECT) return kir_select(s->n, cg_flat_at(s->f, e->ix), rewrite(s, e->a[0], NULL), rewrite(s, e->a[1], NULL));
  struct kir_expr *x = ir_arena_copy(s->a, e, sizeof *e);
  for (unsigned i = 0; i < 3; i++)
    if (e->a[i]) x->a[i] = rewrite(s, e->a[i], NULL);
  return x;
}
static bool has_tile(const struct kir_expr *e, unsigned dims)
{
  return e && ((e->kind == KIR_E_TILE && e->reg->n_dims == dims) || has_tile(e->a[0], dims) || has_tile(e->a[1], dims) || has_tile(e->a[2], dims));
}
static void statement(struct rows *s, const struct kir_stmt *p)
{
  bool full = p->n_axes > s->shared;
  uint32_t mark = cg_flat_mark(s->f);
  for (unsigned i = 0; i < s->shared; i++) cg_flat_bind(s->f, p->axes[i].var, s->row[i]);
  if (full) cg_flat_bind(s->f, p->axes[s->shared].var, s->c);
  struct kir_expr *x = rewrite(s, p->e, NULL);
  if (!p->dst->arg || !has_tile(x, full ? 2 : 1)) {
    struct kir_reg *t = x->kind == KIR_E_TILE && x->reg->n_dims == (full ? 2u : 1u) && x->elem == p->dst->elem ? x->reg : NULL;
    if (!t) set(s, t = tile(s, p->dst->name, p->dst->elem, full), x);
    keep(s, p->dst, NULL, 0, t, NULL);
    x = value(s, t);
  }
  if (p->dst->arg) {
    const struct ir_ix *at[IR_MAX_RANK];
    for (unsigned d = 0; d < p->dst->rank; d++) at[d] = cg_flat_at(s->f, p->at ? p->at[d] : p->axes[d].var);
    cg_map_arr(&s->e, s->k->args.v[p->dst->index], at, x, full ? &s->full : &s->thin);
  }
  cg_flat_unbind(s->f, mark);
}

/* ---- the kern ---- */
static void layouts(struct rows *s, unsigned warps, unsigned lanes, unsigned v, int64_t regs)
{
  s->full = (struct kir_layout){ .n_dims = 2, .dim = { "r", "c" } };
  if (warps > 1) s->full.f[s->full.n++] = (struct kir_factor){ 0, 'w', (int32_t)warps, 1 };
  s->thin = s->full;
  s->thin.n_dims = 1;
  s->full.f[s->full.n++] = (struct kir_factor){ 1, 'r', (int32_t)regs, 1 };
  s->full.f[s->full.n++] = (struct kir_factor){ 1, 'l', (int32_t)lanes, 1 };
  if (v > 1) s->full.f[s->full.n++] = (struct kir_factor){ 1, 'v', (int32_t)v, 1 };
}
struct kir_kern *cg_row_lanes_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *r, const struct cg_target *t, const char **why)
{
  struct rows s = { .a = a, .n = n };
  if (!analyse(&s) || r->loops.n != 2 || r->loops.v[0].kind != KIR_GRID || r->loops.v[1].kind != KIR_WARP || r->loops.v[0].part[0].step < 1 ||
      r->loops.v[0].part[0].step > 32) {
    *why = "the record holds no rows that a warp can keep";
    return NULL;
  }
  unsigned warps = (unsigned)r->loops.v[0].part[0].step, v = r->inst && !strcmp(r->inst, "v4") && vectors(&s) ? 4 : 1;
  int64_t lo, hi, per = (int64_t)t->lanes * v, regs;
  const struct ir_ix *R = ir_ix_int(n->ixs, 1), *q;
  ir_ix_range(s.C, &lo, &hi);
  regs = (hi + per - 1) / per;
  s.ext = regs * per;
  s.k = kir_kern_create(n, n->name);
  s.e = (struct kir_emit){ s.k, &s.k->body };
  kir_block(s.k, warps, t->lanes);
  layouts(&s, warps, t->lanes, v, regs);
  for (unsigned i = 0; i < s.shared; i++) R = ir_ix_mul(R, first(&s)->axes[i].ext);
  s.r = cg_coord(s.k, "r", warps);
  s.c = cg_coord(s.k, "c", s.ext);
  q = ir_ix_add(ir_ix_muli(cg_grid(s.k, r->loops.v[0].part[0].axis, ir_ix_cdivi(R, warps)), warps), s.r);
  for (unsigned i = s.shared; i-- > 0;) { /* the row's number, in digits; the outermost may lie beyond the last row */
    const struct ir_ix *ext = first(&s)->axes[i].ext;
    s.row[i] = i ? ir_ix_mod(q, ext) : q;
    q = ir_ix_div(q, ext);
  }
  for (unsigned i = 0; i < n->stmts.n; i++) statement(&s, n->stmts.v[i]);
  if (s.why) {
    *why = s.why;
    return NULL;
  }
  return s.k;
}
