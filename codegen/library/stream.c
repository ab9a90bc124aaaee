/* stream: on lanes, a product with one row (a dense layer at batch 1, a 1x1 convolution of one pixel): nothing is used twice, so the time is that of reading the weights.
 *
 * A warp makes one column or two; each lane multiplies its own places of the sum, in pieces of 16 bytes, and in the end the lanes' parts are added up. Weights and x come
 * through shared memory, not for being used again, but since a pipe keeps as many bytes under way as memory needs; compilers put a load in front of its use. The
 * constant w is stored a column after the other, the sum's axes in the order of x's storage, so that they are one run of both.
 *
 *     sched stream { loops = grid n/8, warp n/2, pipe k/256 depth 4, lane k/8; tile = v8; x = shared cp.async; w = shared cp.async } */
#include <string.h>
#include "codegen/library/contract.h"

enum { WARPS = 4, BUSY = 12 /* warps of a multiprocessor before they take two columns */, DEPTH = 16, UNDER_WAY = 64 << 10 /* bytes of a multiprocessor */ };

struct stream {
  struct cg_contract c;
  int64_t K, stride[CG_MAX_AXES];      /* terms of a sum; of a summed axis, in x's storage */
  unsigned v;                          /* elements of a piece */
  int last;                            /* the summed axis along which x runs */
};

/* Are the summed axes one run of x's storage, without gaps or guards? */
static bool one_run(struct stream *s)
{
  const struct cg_contract *c = &s->c;
  const struct ir_ix *off = cg_offset(c->xr->arr, c->xr->at, c->ixs), *co, *rest = off;
  unsigned left = 0;
  s->K = 1;
  s->last = -1;
  for (unsigned i = 0; i < c->n_ax; i++) {
    bool one = c->ax[i].n == 1;
    if (one) rest = ir_ix_subst1(rest, c->ax[i].var, ir_ix_int(c->ixs, 0));
    else if (c->ax[i].role == CG_K) left++;
  }
  off = rest;
  while (left) {
    int found = -1;
    for (unsigned i = 0; i < c->n_ax && found < 0; i++)
      if (c->ax[i].role == CG_K && c->ax[i].n > 1 && ir_ix_linear(off, c->ax[i].var, &co, &rest) && ir_ix_is(co, s->K)) found = (int)i;
    if (found < 0) return false;
    if (s->last < 0) s->last = found;
    s->stride[found] = s->K;
    if (!ir_mul64(s->K, c->ax[found].n, &s->K)) return false;
    off = rest;
    left--;
  }
  int64_t first;
  return s->last >= 0 && ir_ix_const(off, &first) && first % s->v == 0;
}
/* Has every statement one axis at most? Most nests are told apart so, before they are read as a contraction, which names axes. */
static bool one_axis(const struct kir_nest *n)
{
  for (unsigned i = 0; i < n->stmts.n; i++) {
    unsigned longer = 0;
    for (unsigned d = 0; d < n->stmts.v[i]->n_axes; d++) longer += !ir_ix_is(n->stmts.v[i]->axes[d].ext, 1);
    if (longer > 1) return false;
  }
  return true;
}
static bool take(struct stream *s, struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, const char **why)
{
  struct cg_contract *c = &s->c;
  *s = (struct stream){ .v = 1 };
  *why = "no product of one row";
  if (!one_axis(n) || !cg_contract_read(c, a, n, why)) return false;
  *why = "no product of one row with a constant matrix";
  if (c->elem != IR_f32 || !cg_contract_packable(c) || c->wr->arr->at || c->xr->els || c->xr->arr->elem != c->wr->arr->elem) return false;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (!c->ax[i].n || (c->ax[i].role != CG_K && i != c->vec && c->ax[i].n != 1)) return false;
  s->v = 16 / ir_elem_bytes(c->wr->arr->elem);
  *why = "the sum is too short, or no run of whole pieces";
  return one_run(s) && s->K % s->v == 0 && s->K >= (int64_t)t->lanes * s->v;
}
/* Stages: what keeps memory busy, dealt to the blocks that a multiprocessor has at once. */
static unsigned depth(const struct stream *s, const struct cg_target *t, int64_t block)
{
  int64_t stage = (block + 1) * 16 * t->lanes, blocks = cg_ceil_div(cg_ceil_div(s->c.ax[s->c.vec].n, block), t->cores), n = UNDER_WAY / (stage * blocks), steps = cg_ceil_div(s->K, (int64_t)s->v * t->lanes);
  if (t->kind != CG_CUDA) return 1;
  if (n > steps + 1) n = steps + 1;
  return n < 4 ? 4 : n > DEPTH ? DEPTH : (unsigned)n;
}
static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct stream s;
  const char *why;
  if (t->lanes < 2 || !take(&s, a, n, t, &why)) return NULL;
  int64_t N = s.c.ax[s.c.vec].n, cols = N >= 2 * BUSY * (int64_t)t->cores ? 2 : 1;
  const char *name = s.c.ax[s.c.vec].name, *k = s.c.ax[s.last].name;
  struct kir_sched *r = IR_NEW(a, struct kir_sched);
  r->kind = "stream";
  r->inst = ir_arena_printf(a, "v%u", s.v);
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_GRID, .n = 1, .part = { { name, cols * WARPS } } }));
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_WARP, .n = 1, .part = { { name, cols } } }));
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_PIPE, .n = 1, .part = { { k, (int64_t)s.v * t->lanes } }, .depth = depth(&s, t, cols * WARPS) }));
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_LANE, .n = 1, .part = { { k, s.v } } }));
  for (unsigned o = 0; o < 2; o++)
    ir_push(a, &r->stages, ((struct kir_stage){ .operand = (o ? s.c.wr : s.c.xr)->arr->name, .how = KIR_STAGED, .via = t->kind == CG_CUDA ? "cp.async" : "sync" }));
  return r;
}

/* ---- the kern ---- */
struct lower {
  struct stream *s;
  struct kir_kern *k;
  struct kir_emit e;
  const struct ir_ix *r, *c;                      /* tile coordinates: column, place in a step of the sum */
  const struct ir_ix *from[CG_MAX_AXES], *to[CG_MAX_AXES];
  struct kir_layout full, thin, flat;             /* over (r, c), over r, over c */
  struct kir_reg *sum, *temp[CG_MAX_ITEMS];
};
static struct kir_reg *tile(struct lower *l, const char *name, enum ir_elem e, const struct kir_layout *lay)
{
  int64_t dim[2] = { kir_layout_count(lay, 'w') * kir_layout_count(lay, 'r'), kir_layout_count(lay, 'l') * kir_layout_count(lay, 'v') };
  const struct ir_ix *co[2] = { l->r, l->c };
  struct kir_reg *t = kir_reg_tile(l->k, name, e, lay->n_dims, dim, lay);
  for (unsigned d = 0; d < lay->n_dims; d++)
    if (ir_ix_as_sym(co[d])) {
      t->n_axes[d] = 1;
      t->axes[d][0].axis = ir_ix_as_sym(co[d])->name;
      t->axes[d][0].ext = dim[d];
    }
  kir_emit(&l->e, KIR_tile, e, 1, NULL, 0, NULL, 0)->reg = t;
  return t;
}
static struct kir_expr *value(struct lower *l, struct kir_reg *t) { return kir_tile(l->k->arena, t, (const struct ir_ix *[]){ l->r, l->c }, t->n_dims); }
static struct kir_expr *fn(struct lower *l, enum ir_map f, struct kir_expr *x, struct kir_expr *y)
{
  struct kir_expr *e = IR_NEW(l->k->arena, struct kir_expr);
  *e = (struct kir_expr){ .kind = KIR_E_FN, .elem = l->s->c.elem, .sub = f, .n = 2, .a = { x, y } };
  return e;
}
/* Copies an operand's part of a stage; zeros behind the end of the sum, which the outermost summed coordinate shows. Gives what reads it: [stage, column, place] of w. */
static struct kir_expr *stage(struct lower *l, struct kir_expr *e, unsigned deep, bool ends, bool async)
{
  const struct cg_contract *c = &l->s->c;
  bool w = e == c->w;
  struct kir_expr *from = cg_expr_move(l->k->arena, cg_uncast(e), &(struct cg_move){ l->from, l->to, c->n_ax, NULL, NULL });
  int64_t rows = kir_layout_count(&l->thin, 'w') * kir_layout_count(&l->thin, 'r'), step = kir_layout_count(&l->flat, 'l') * kir_layout_count(&l->flat, 'v');
  struct kir_arr *b = kir_buf(l->k, ir_arena_printf(l->k->arena, "s%s", from->arr->name), from->elem, w ? 3 : 2, w ? (int64_t[]){ deep, rows, step } : (int64_t[]){ deep, step });
  const struct ir_ix *s = ir_ix_find(l->k->ixs, "stage"), *at[3] = { s, w ? l->r : l->c, l->c };
  if (ends && !from->els) from->els = cg_expr_f(l->k->arena, from->elem, 0);
  struct kir_op *o = kir_emit(&l->e, KIR_copy, from->elem, 1, NULL, 0, at, b->rank);
  o->arr = b;
  o->e = from;
  o->lay = ir_arena_copy(l->k->arena, w ? &l->full : &l->flat, sizeof l->full);
  o->i = async;
  return cg_recast(l->k->arena, e, kir_read((struct kir_nest *)c->nest, b, at, NULL));
}
static void stand_at(struct lower *l, const struct ir_ix *column, const struct ir_ix *e)
{
  const struct cg_contract *c = &l->s->c;
  for (unsigned i = 0; i < c->n_ax; i++) {
    l->from[i] = c->ax[i].var;
    l->to[i] = ir_ix_int(l->k->ixs, 0);
    if (i == c->vec) l->to[i] = column;
    else if (e && c->ax[i].role == CG_K && c->ax[i].n > 1) {
      l->to[i] = ir_ix_divi(e, l->s->stride[i]);
      if (l->s->stride[i] * c->ax[i].n < l->s->K) l->to[i] = ir_ix_modi(l->to[i], c->ax[i].n);
    }
  }
}
static void store_columns(struct lower *l)
{
  const struct cg_contract *c = &l->s->c;
  struct kir_arr *w = c->wr->arr;
  const struct ir_ix *at = ir_ix_int(l->k->ixs, 0);
  for (unsigned d = 0; d < w->rank; d++) {
    const struct cg_axis *x = cg_coord_axis(c, c->wr->at[d]);
    if (x && x->n != 1) at = ir_ix_add(at, ir_ix_muli(ir_ix_coord(c->ixs, d), x == &c->ax[c->vec] ? l->s->K : l->s->stride[x - c->ax]));
  }
  w->at = at;
}
static struct kir_expr *read_tile(void *arg, struct kir_expr *e)
{
  struct lower *l = arg;
  const struct cg_contract *c = &l->s->c;
  if (e->arr == c->acc) return value(l, l->sum);
  for (unsigned i = 0; i < c->n_items; i++)
    if (c->item[i].dst == e->arr && l->temp[i]) return value(l, l->temp[i]);
  return e;
}
static void epilogue(struct lower *l)
{
  const struct cg_contract *c = &l->s->c;
  for (unsigned i = 0; i < c->n_items; i++) {
    const struct cg_item *it = &c->item[i];
    const struct ir_ix *at[IR_MAX_RANK];
    struct kir_reg *t = tile(l, "t", it->dst->elem, &l->thin);
    cg_map_reg(&l->e, t, cg_expr_move(l->k->arena, it->e, &(struct cg_move){ l->from, l->to, c->n_ax, read_tile, l }));
    l->temp[i] = t;
    if (!it->dst->arg) continue;
    for (unsigned d = 0; d < it->dst->rank; d++) at[d] = ir_ix_subst(it->at[d], l->from, l->to, c->n_ax);
    cg_map_arr(&l->e, it->dst, at, value(l, t), &l->thin);
  }
}
static void layouts(struct lower *l, int64_t warps, int64_t cols, int64_t lanes, int64_t v)
{
  IR_ASSERT(kir_layout_parse("r=1, c=1", 8, &l->full) && kir_layout_parse("r=1", 3, &l->thin));
  for (struct kir_layout *y = &l->full;; y = &l->thin) {
    cg_factor(y, 0, warps, 'w', 1);
    cg_factor(y, 0, cols, 'r', 1);
    if (y == &l->thin) break;
  }
  IR_ASSERT(kir_layout_parse("c=1", 3, &l->flat));
  for (struct kir_layout *y = &l->full;; y = &l->flat) {
    cg_factor(y, y->n_dims - 1, lanes, 'l', 1);
    cg_factor(y, y->n_dims - 1, v, 'v', 1);
    if (y == &l->flat) break;
  }
}
static bool record_fits(const struct stream *s, const struct kir_sched *r, const struct cg_target *t)
{
  const struct kir_loop *p = r->loops.v;
  if (r->loops.n != 4 || p[0].kind != KIR_GRID || p[1].kind != KIR_WARP || p[2].kind != KIR_PIPE || p[3].kind != KIR_LANE) return false;
  int64_t block = p[0].part[0].step, cols = p[1].part[0].step;
  return cols >= 1 && cols <= 8 && block >= cols && block % cols == 0 && block / cols <= 32 && p[2].part[0].step == (int64_t)s->v * t->lanes && p[2].depth >= 1 && p[2].depth <= DEPTH && p[3].part[0].step == s->v;
}
/* The loop over the sum: lanes' parts of it in the tile `parts`. */
static void sum_up(struct lower *l, const struct kir_sched *r, const struct ir_ix *column, struct kir_reg *parts)
{
  const struct kir_loop *lp = &r->loops.v[2];
  int64_t step = lp->part[0].step, trips = cg_ceil_div(l->s->K, step);
  bool ends = l->s->K % step != 0, async = r->stages.n && r->stages.v[0].via && !strcmp(r->stages.v[0].via, "cp.async");
  const struct ir_ix *n = ir_ix_int(l->k->ixs, trips), *v = ir_ix_fresh(l->k->ixs, "t", IR_SYM_LOOP, 0, trips - 1, 1);
  ir_ix_sym(l->k->ixs, "stage", IR_SYM_LOOP, 0, DEPTH - 1, 1);
  struct kir_op *o = kir_emit(&l->e, KIR_pipe, l->s->c.elem, 1, NULL, 0, &n, 1);
  struct kir_block *outer = l->e.at;
  o->var = v;
  o->depth = lp->depth;
  l->e.at = &o->body[0];
  stand_at(l, column, ir_ix_add(ir_ix_muli(v, step), l->c));
  struct kir_expr *x = stage(l, l->s->c.x, lp->depth, ends, async), *w = stage(l, l->s->c.w, lp->depth, ends, async);
  l->e.at = &o->body[1];
  cg_map_reg(&l->e, parts, fn(l, IR_MAP_add, value(l, parts), fn(l, IR_MAP_mul, x, w)));
  l->e.at = outer;
}
static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *r, const struct cg_target *t, const char **why)
{
  struct stream s;
  if (!take(&s, a, n, t, why)) return NULL;
  *why = "the record is not of columns for warps and steps of the sum for lanes";
  if (!record_fits(&s, r, t)) return NULL;
  int64_t block = r->loops.v[0].part[0].step, cols = r->loops.v[1].part[0].step, N = s.c.ax[s.c.vec].n;
  struct lower l = { .s = &s, .k = kir_kern_create(n, n->name) };
  l.e = (struct kir_emit){ l.k, &l.k->body };
  kir_block(l.k, (unsigned)(block / cols), t->lanes);
  layouts(&l, block / cols, cols, t->lanes, s.v);
  store_columns(&l);
  l.r = cg_coord(l.k, "r", block);
  l.c = cg_coord(l.k, "c", (int64_t)s.v * t->lanes);
  const struct ir_ix *column = ir_ix_add(ir_ix_muli(cg_grid(l.k, r->loops.v[0].part[0].axis, ir_ix_int(l.k->ixs, cg_ceil_div(N, block))), block), l.r);
  struct kir_reg *parts = tile(&l, "p", s.c.elem, &l.full);
  kir_emit(&l.e, KIR_fill, s.c.elem, 1, NULL, 0, NULL, 0)->reg = parts;
  sum_up(&l, r, column, parts);
  l.sum = tile(&l, "s", s.c.elem, &l.thin);
  struct kir_op *o = kir_emit(&l.e, KIR_reduce, s.c.elem, 1, NULL, 0, NULL, 0);
  o->reg = l.sum;
  o->reg2 = parts;
  o->sub = KIR_SUM;
  o->i = 1;                                       /* dim c */
  stand_at(&l, column, NULL);
  epilogue(&l);
  return l.k;
}
const struct cg_skeleton cg_skeleton_stream = { .name = "stream", .schedule = schedule, .lower = lower };
