/* chain_gen.h: code of the skeleton `chain`: what its two forms share. */
#ifndef MASSC_CG_CHAIN_GEN_H
#define MASSC_CG_CHAIN_GEN_H
#include "codegen/library/chain.h"

enum { CG_CHAIN_TILE = 32 /* rows of a tile at most */ };

struct gen {
  struct cg_chain *c;
  struct cg_flat *f;
  unsigned lanes, vecs;             /* of a block of rows */
  int64_t cols, block, rj, re;      /* rows of a task; keys of a block; rows of the tiles */
  int64_t D, E, pitch;              /* widths of the products; between rows of the scratch */
  const struct ir_ix *v, *i0, *I;   /* place in a vector along i; first row of the task; number of rows */
  const struct ir_ix *ks;           /* number of keys that the task needs */
  const struct ir_ix *causal;       /* row i needs those up to i + causal; NULL: all */
  bool along;                       /* the maps over the scores read arrays along i */
  bool once;                        /* one block holds all keys */
  bool each;                        /* each row for itself */
  struct kir_arr *qs, *p, *os, *stat, *kb, *vb;
};
enum { ST_M, ST_N, ST_L, ST_A, ST_ROWS }; /* rows of stat */

static inline const struct ir_ix *num(const struct gen *g, int64_t i) { return ir_ix_int(g->f->k->ixs, i); }

/* Scratch, in elements. */
static inline struct kir_op *ld(struct gen *g, struct kir_arr *b, const struct ir_ix *off, unsigned lanes, int64_t stride)
{
  struct kir_op *o = kir_emit(&g->f->em, KIR_load, IR_f32, lanes, NULL, 0, &off, 1);
  o->arr = b;
  o->stride = stride;
  return o;
}
static inline void st(struct gen *g, struct kir_arr *b, const struct ir_ix *off, struct kir_op *v, unsigned lanes)
{
  v = cg_flat_wide(g->f, v, lanes);
  kir_emit(&g->f->em, KIR_store, IR_f32, lanes, &v, 1, &off, 1)->arr = b;
}

static inline struct kir_op *f32c(struct gen *g, double x) { return cg_flat_const(g->f, IR_f32, x, 0); }
static inline struct kir_op *ew(struct gen *g, enum ir_map m, struct kir_op *a, struct kir_op *b) { return cg_flat_ew(g->f, m, IR_f32, a, b); }
static inline struct kir_op *pick(struct gen *g, struct kir_op *c, struct kir_op *a, struct kir_op *b)
{
  unsigned lanes = c->lanes;
  if (a->lanes > lanes) lanes = a->lanes;
  if (b->lanes > lanes) lanes = b->lanes;
  struct kir_op *s[3] = { cg_flat_wide(g->f, c, lanes), cg_flat_wide(g->f, a, lanes), cg_flat_wide(g->f, b, lanes) };
  struct kir_op *o = kir_emit(&g->f->em, KIR_ew, IR_f32, lanes, s, 3, NULL, 0);
  o->sub = IR_MAP_select;
  return o;
}
/* max without care for NaN in x: it keeps m, and exp(NaN - m) makes the sum NaN. */
static inline struct kir_op *larger(struct gen *g, struct kir_op *m, struct kir_op *x) { return pick(g, cg_flat_ew(g->f, IR_MAP_lt, IR_bool, m, x), x, m); }
static inline struct kir_op *multiply_add(struct gen *g, struct kir_op *a, struct kir_op *b, struct kir_op *c)
{
  struct kir_op *s[3] = { cg_flat_wide(g->f, a, c->lanes), cg_flat_wide(g->f, b, c->lanes), c };
  return kir_emit(&g->f->em, KIR_fma, IR_f32, c->lanes, s, 3, NULL, 0);
}
/* An op on other lanes than before: what is at hand is not so there. */
static inline void set_lanes(struct gen *g, unsigned n, const struct ir_ix *v)
{
  g->f->lanes = n;
  g->f->v = v;
  g->f->memo.n = 0;
}

/* Grid digits are bound, i0 and the buffers are there. Blocks of rows, vectors along them (chain_tile.c); or each row for itself, vectors along keys and widths
 * (chain_rows.c). */
void cg_chain_blocks(struct gen *g);
void cg_chain_rows(struct gen *g);
/* Stores all outputs of row i. Its result is column `slot` of os, its sum in stat; where weights are divided, so is 1 over it. */
void cg_chain_outputs(struct gen *g, const struct ir_ix *i, const struct ir_ix *slot);
/* A row whose scores are all -inf has l = 0: that is NaN. */
struct kir_op *cg_chain_sum(struct gen *g, struct kir_op *l);
#endif
