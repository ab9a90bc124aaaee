/* Storage of the constants that a contraction reads: its packed operand, and what its epilogue adds along the columns. */
#include <string.h>
#include "codegen/library/contract.h"

/* Coordinates of w: [groups and others][column panel][k in the order of the loops][column in the panel]. */
bool cg_contract_pack(struct cg_lower_state *l)
{
  struct cg_contract *c = l->c;
  struct kir_arr *w = c->wr->arr;
  const struct kir_expr *r = c->wr;
  struct ir_ixs *t = c->ixs;
  int64_t nr = 0, ext[IR_MAX_RANK], elems = 1;
  unsigned dn = IR_MAX_RANK;
  for (unsigned i = 0; i < l->s->loops.n; i++)
    for (unsigned j = 0; j < l->s->loops.v[i].n; j++)
      if (cg_find_axis(c, l->s->loops.v[i].part[j].axis) == (int)c->vec) nr = l->s->loops.v[i].part[j].step;
  if (!cg_contract_packable(c) || nr < 1) return cg_refuse(l, "this operand cannot be packed");
  for (unsigned d = 0; d < w->rank; d++) {
    const struct ir_ix *hi = w->shape[d] ? w->shape[d] : w->hi[d];
    if (!ir_ix_const(hi, &ext[d])) return cg_refuse(l, "this operand cannot be packed");
    if (cg_coord_axis(c, r->at[d]) == &c->ax[c->vec]) dn = d;
  }
  if (cg_contract_whole(c) && c->ax[c->vec].n % nr) return cg_refuse(l, "panels straddle groups");
  const struct ir_ix *at = cg_num(l, 0), *n = ir_ix_coord(t, dn);
  for (unsigned d = 0; d < w->rank; d++) {        /* batch and other columns first */
    const struct cg_axis *x = cg_coord_axis(c, r->at[d]);
    if (d == dn || !x || x->role == CG_K) continue;
    at = ir_ix_add(ir_ix_muli(at, ext[d]), ir_ix_coord(t, d));
    elems *= ext[d];
  }
  at = ir_ix_add(ir_ix_muli(at, cg_ceil_div(ext[dn], nr)), ir_ix_divi(n, nr));
  elems *= cg_round_up(ext[dn], nr);
  int64_t left[IR_MAX_RANK];
  memcpy(left, ext, sizeof left);
  for (unsigned i = 0; i < l->s->loops.n; i++)
    for (unsigned j = 0; j < l->s->loops.v[i].n; j++)
      for (unsigned d = 0; d < w->rank; d++) {
        const struct cg_axis *x = cg_coord_axis(c, r->at[d]);
        int64_t s = l->s->loops.v[i].part[j].step;
        if (!x || x->role != CG_K || strcmp(x->name, l->s->loops.v[i].part[j].axis)) continue;
        const struct ir_ix *digit = ir_ix_coord(t, d);
        if (left[d] != ext[d]) digit = ir_ix_modi(digit, left[d]);
        at = ir_ix_add(ir_ix_muli(at, cg_ceil_div(left[d], s)), ir_ix_divi(digit, s));
        elems *= cg_ceil_div(left[d], s);
        if (ext[d] % left[d] || left[d] % s) return cg_refuse(l, "a packed operand's blocks do not divide its axis");
        left[d] = s;
      }
  for (unsigned d = 0; d < w->rank; d++) {
    const struct cg_axis *x = cg_coord_axis(c, r->at[d]);
    if (x && x->role == CG_K && left[d] != 1) return cg_refuse(l, "a packed operand's axis is not cut down to 1");
    w->shape[d] = cg_num(l, ext[d]);
    w->lo[d] = cg_num(l, 0);
    w->hi[d] = cg_num(l, d == dn ? cg_round_up(ext[d], nr) : ext[d]);
  }
  w->at = ir_ix_add(ir_ix_muli(at, nr), ir_ix_modi(n, nr));
  w->elems = cg_num(l, elems);
  w->zero_pad = true;
  w->align = 64;
  return true;
}
/* Constants that go along the columns get zeros up to a whole tile: no masks where they are read. */
void cg_contract_pad(struct cg_lower_state *l, const struct kir_expr *e, int64_t nr)
{
  const struct cg_axis *v = &l->c->ax[l->c->vec];
  for (unsigned i = 0; i < e->n; i++) cg_contract_pad(l, e->a[i], nr);
  if (e->kind != KIR_E_READ || e->arr->space != KIR_CONST || e->arr->at || e->els || !v->n) return;
  for (unsigned d = 0; d < e->n_at; d++) {
    if (e->at[d] != v->var || e->arr->zero_pad) continue;
    e->arr->shape[d] = e->arr->shape[d] ? e->arr->shape[d] : e->arr->hi[d];
    e->arr->hi[d] = cg_num(l, cg_round_up(v->n, nr));
    e->arr->zero_pad = true;
    return;
  }
}
