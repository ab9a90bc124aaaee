/* Building a kern: registers, buffers, ops. */
#include "ir/kernel/internal.h"
#include <string.h>

/* A symbol of this name, or of NAME.1, .. where the model's dims took it or a kern of the same nest narrowed it. */
static const struct ir_ix *id_sym(struct ir_ixs *t, const char *name, int64_t hi)
{
  const struct ir_ix *e = ir_ix_find(t, name);
  const struct ir_sym *s = e ? ir_ix_as_sym(e) : NULL;
  if (s && s->kind == IR_SYM_ID && s->lo == 0 && s->hi == hi && s->by == 1) return e;
  return ir_ix_fresh(t, name, IR_SYM_ID, 0, hi, 1);
}

struct kir_kern *kir_kern_create(struct kir_nest *n, const char *name)
{
  struct kir_kern *k = IR_NEW(n->arena, struct kir_kern);
  k->arena = n->arena;
  k->ixs = n->ixs;
  k->facts.arena = n->arena;
  for (uint32_t i = 0; i < n->facts.ge0.n; i++) ir_facts_push(&k->facts, n->facts.ge0.v[i]);
  k->name = ir_arena_strdup(n->arena, name);
  for (uint32_t i = 0; i < n->args.n; i++) ir_push(k->arena, &k->args, n->args.v[i]);
  k->vsym = id_sym(k->ixs, "v", KIR_MAX_VEC - 1);
  k->lane = id_sym(k->ixs, "lane", KIR_MAX_THREADS - 1);
  k->warp = id_sym(k->ixs, "warp", KIR_MAX_THREADS - 1);
  k->warps = k->lanes = 1;
  return k;
}
void kir_block(struct kir_kern *k, unsigned warps, unsigned lanes)
{
  IR_ASSERT(warps >= 1 && lanes >= 1 && (uint64_t)warps * lanes <= KIR_MAX_THREADS);
  k->warps = warps;
  k->lanes = lanes;
  ir_ix_narrow(k->warp, 0, warps - 1);
  ir_ix_narrow(k->lane, 0, lanes - 1);
}

struct kir_op *kir_emit(struct kir_emit *e, enum kir_opcode op, enum ir_elem elem, unsigned lanes, struct kir_op *const *src, unsigned n_src,
                        const struct ir_ix *const *ix, unsigned n_ix)
{
  struct kir_op *o = IR_NEW(e->k->arena, struct kir_op);
  o->op = op;
  o->elem = elem;
  o->lanes = lanes;
  o->n_src = n_src;
  o->src = n_src ? ir_arena_copy(e->k->arena, src, sizeof *src * n_src) : NULL;
  o->n_ix = n_ix;
  o->ix = n_ix ? ir_arena_copy(e->k->arena, ix, sizeof *ix * n_ix) : NULL;
  o->stride = 1;
  o->id = e->k->n_ops++;
  struct kir_block *b = e->at;
  o->prev = b->last;
  if (b->last) b->last->next = o;
  else b->first = o;
  b->last = o;
  return o;
}

static bool reg_taken(const struct kir_kern *k, const char *name)
{
  for (uint32_t i = 0; i < k->regs.n; i++)
    if (!strcmp(k->regs.v[i]->name, name)) return true;
  return false;
}
static struct kir_reg *reg(struct kir_kern *k, const char *prefix, enum ir_elem elem)
{
  struct kir_reg *r = IR_NEW(k->arena, struct kir_reg);
  const char *base = kir_name_clean(k->arena, prefix);
  r->name = base;
  for (unsigned i = 1; reg_taken(k, r->name); i++) r->name = ir_arena_printf(k->arena, "%s.%u", base, i);
  r->elem = elem;
  r->id = k->regs.n;
  ir_push(k->arena, &k->regs, r);
  return r;
}
struct kir_reg *kir_reg_tile(struct kir_kern *k, const char *prefix, enum ir_elem elem, unsigned n_dims, const int64_t *dim, const struct kir_layout *lay)
{
  struct kir_reg *r = reg(k, prefix, elem);
  IR_ASSERT(n_dims <= 4);
  r->n_dims = n_dims;
  for (unsigned d = 0; d < n_dims; d++) r->dim[d] = dim[d];
  if (lay) r->lay = *lay;
  r->count = (unsigned)kir_layout_count(&r->lay, 'r');
  r->lanes = (unsigned)kir_layout_count(&r->lay, 'v');
  return r;
}
struct kir_reg *kir_reg_var(struct kir_kern *k, const char *prefix, enum ir_elem elem, unsigned count, unsigned lanes)
{
  struct kir_reg *r = reg(k, prefix, elem);
  r->count = count;
  r->lanes = lanes;
  return r;
}

struct kir_arr *kir_buf(struct kir_kern *k, const char *prefix, enum ir_elem elem, unsigned rank, const int64_t *dim)
{
  IR_ASSERT(rank <= IR_MAX_RANK);
  struct kir_arr *r = IR_NEW(k->arena, struct kir_arr);
  int64_t bytes = ir_elem_bytes(elem);
  r->name = kir_arr_name(k->arena, prefix, k->args.v, k->args.n, k->bufs.v, k->bufs.n);
  r->elem = elem;
  r->rank = rank;
  for (unsigned d = 0; d < rank; d++) {
    r->lo[d] = ir_ix_int(k->ixs, 0);
    r->hi[d] = r->shape[d] = ir_ix_int(k->ixs, dim[d]);
    IR_ASSERT(dim[d] >= 0 && ir_mul64(bytes, dim[d], &bytes));
  }
  r->space = KIR_SHARED;
  r->align = 64;
  r->index = k->bufs.n;
  r->byte_offset = (k->scratch_bytes + 63) / 64 * 64;
  k->scratch_bytes = r->byte_offset + (uint64_t)bytes;
  ir_push(k->arena, &k->bufs, r);
  return r;
}
