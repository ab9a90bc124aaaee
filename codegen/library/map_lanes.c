/* map on lanes: all axes are one row of elements e, cut into blocks, warps and lanes (`loops = grid e/2048, warp e/256, lane e/8`). A lane has `lane`
 * neighbours, in pieces of 4 where every array lies so that a piece is whole and aligned, else one by one; results of 2 bytes whose operands lie here and there (channels
 * innermost made of planes) in pieces of 8, so that stores are whole. Coordinates are the digits of e. */
#include "codegen/library/map.h"
#include "codegen/library/space.h"
#include <string.h>

/* Elements in all, stored halos included. */
static const struct ir_ix *volume(const struct cg_space *s)
{
  const struct ir_ix *E = ir_ix_int(s->f->k->ixs, 1);
  for (unsigned a = 0; a < s->n_axes; a++) E = ir_ix_mul(E, ir_ix_sub(s->axis[a].hi, s->axis[a].lo));
  return E;
}
static void stand_at(struct cg_space *s, const struct ir_ix *e)
{
  for (unsigned a = s->n_axes; a-- > 0;) {
    const struct ir_ix *ext = ir_ix_sub(s->axis[a].hi, s->axis[a].lo);
    s->base[a] = ir_ix_add(s->axis[a].lo, a ? ir_ix_mod(e, ext) : e);
    s->size[a] = ir_ix_int(s->f->k->ixs, 1);
    e = ir_ix_div(e, ext);
  }
}
/* Along v an offset is the same, runs on in a whole piece of n, runs on across pieces, or jumps. */
enum along { SAME, PIECE, CROSSED, SCATTERED };
static enum along along(const struct ir_ix *off, const struct ir_ix *v, int64_t n)
{
  const struct ir_ix *co, *rest;
  int64_t k;
  if (!ir_ix_linear(off, v, &co, &rest) || !ir_ix_const(co, &k)) return SCATTERED;
  return k == 0 ? SAME : k != 1 ? SCATTERED : ir_ix_by(rest) % n == 0 ? PIECE : CROSSED;
}
/* Are n neighbours one aligned piece of every array, or one element of it? gather: operands may also be read here and there, element by element, since one lane's
 * neighbours are then no nearer to each other than those of neighbouring lanes. */
static bool pieces_of(struct cg_space *s, int64_t n, bool gather)
{
  struct cg_flat *f = s->f;
  const struct ir_ix *E = volume(s), *c[IR_MAX_RANK];
  bool ok = ir_ix_by(E) % n == 0;
  int64_t lo, hi;
  ir_ix_range(E, &lo, &hi);
  const struct ir_ix *q = ir_ix_fresh(f->k->ixs, "q", IR_SYM_AXIS, 0, hi == IR_IX_INF ? hi : hi / n, 1), *v = ir_ix_fresh(f->k->ixs, "v", IR_SYM_AXIS, 0, n - 1, 1);
  stand_at(s, ir_ix_add(ir_ix_muli(q, n), v));
  for (unsigned i = 0; i < s->n_stmts && ok; i++) {
    struct cg_uses u = { 0 };
    uint32_t mark = cg_flat_mark(f);
    cg_space_bind(s, i, c);
    cg_flat_uses(f, s->stmts[i]->e, &u);
    ok = along(cg_flat_offset(f, s->stmts[i]->dst, c), v, n) == PIECE;
    cg_flat_unbind(f, mark);
    for (unsigned j = 0; j < u.offs.n && ok; j++) {
      enum along a = along(u.offs.v[j], v, n);
      ok = a == SAME || a == PIECE || (gather && a == SCATTERED);
    }
    for (unsigned j = 0; j < u.conds.n && ok && !gather; j++) ok = !ir_ix_uses(u.conds.v[j], v);
  }
  return ok;
}
/* Elements of a piece: 4; 16 bytes of what matrix units take where operands are gathered, so that stores are of 16 bytes; 1: none. */
static unsigned piece(struct cg_space *s)
{
  unsigned bytes = ir_elem_bytes(s->stmts[0]->dst->elem);
  bool narrow = true;
  for (unsigned i = 0; i < s->n_stmts; i++) narrow &= ir_elem_narrower(s->stmts[i]->dst->elem, IR_f32) && ir_elem_bytes(s->stmts[i]->dst->elem) == bytes;
  return pieces_of(s, 4, false) ? 4 : narrow && pieces_of(s, 16 / bytes, true) ? 16 / bytes : 1;
}

struct kir_sched *cg_map_lanes_record(struct ir_arena *a, int64_t each, unsigned of, const struct cg_target *t)
{
  struct kir_sched *r = IR_NEW(a, struct kir_sched);
  r->kind = "map";
  r->inst = of > 4 ? "v8" : of > 1 ? "v4" : "v1";
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_GRID, .n = 1, .part = { { "e", each * t->lanes * t->warps } } }));
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_WARP, .n = 1, .part = { { "e", each * t->lanes } } }));
  ir_push(a, &r->loops, ((struct kir_loop){ .kind = KIR_LANE, .n = 1, .part = { { "e", each } } }));
  return r;
}
unsigned cg_map_lanes_piece(struct cg_space *s) { return pieces_of(s, 4, false) ? 4 : 1; }
struct kir_sched *cg_map_lanes_schedule(struct ir_arena *a, struct cg_space *s, const struct cg_target *t)
{
  unsigned of = piece(s);
  return cg_map_lanes_record(a, of > 1 ? 8 : 1, of, t);
}
struct kir_kern *cg_map_lanes_lower(struct cg_space *s, const struct kir_sched *r, const struct cg_target *t, const char **why)
{
  struct cg_flat *f = s->f;
  const struct kir_loop *l = r->loops.v;
  int64_t step[3];
  bool fits = r->loops.n == 3 && l[0].kind == KIR_GRID && l[1].kind == KIR_WARP && l[2].kind == KIR_LANE;
  for (unsigned i = 0; fits && i < 3; i++) step[i] = l[i].part[0].step;
  if (!fits || step[2] < 1 || step[1] != step[2] * t->lanes || step[0] % step[1] || step[0] / step[1] > 32) {
    *why = "the record is not of blocks, warps and lanes of one row";
    return NULL;
  }
  unsigned v = piece(s);
  if (step[2] % v) v = 1;
  const struct ir_ix *E = volume(s);
  kir_block(f->k, (unsigned)(step[0] / step[1]), t->lanes);
  cg_flat_lanes(f, v);
  const struct ir_ix *first = ir_ix_muli(cg_flat_grid(f, "e", ir_ix_cdivi(E, step[0])), step[0]);
  first = ir_ix_add(first, ir_ix_add(ir_ix_muli(f->k->warp, step[1]), ir_ix_muli(f->k->lane, step[2])));
  for (int64_t u = 0; u < step[2]; u += v) {
    const struct ir_ix *e = ir_ix_addi(first, u), *inside = ir_ix_addi(ir_ix_sub(E, e), -1);
    struct cg_open o;
    cg_flat_if(f, &inside, 1, &o);
    if (v > 1) cg_flat_assume(f, ir_ix_addi(ir_ix_sub(E, e), -(int64_t)v)); /* e and E are by v */
    stand_at(s, v > 1 ? ir_ix_add(e, f->v) : e);
    cg_space_store(s);
    cg_flat_close(f, &o);
  }
  return cg_flat_end(f);
}
