/* chain.h: what the files of the skeleton `chain` share: a nest read as attention. */
#ifndef MASSC_CG_CHAIN_H
#define MASSC_CG_CHAIN_H
#include "codegen/library/flat.h"
#include "codegen/library/skeleton.h"

enum { CG_CHAIN_OUTS = 8 };
/* Of a running maximum: any finite score is as large, so rows masked by finite numbers have their mean. */
#define CG_CHAIN_LOWEST -0x1.fffffep127
struct cg_chain_out {
  struct kir_arr *dst;
  const struct ir_ix **at; /* coordinates of dst */
  struct kir_expr *e;      /* NULL: the result of the second product itself */
};
/* scores s = sum[d] q*k; t, an expression over s; m = max[j] t; p = exp(t - m); l = sum[j] p; o = sum[j] p*v, p divided by l there or by what reads o.
 * All expressions and coordinates are in the symbols of row[], j, d and e; coordinates of statements are those at which expressions read them. */
struct cg_chain {
  struct ir_arena *a;
  const struct kir_nest *n;
  const struct kir_stmt *s, *m, *l, *o;
  struct kir_axis row[IR_MAX_RANK]; /* for each of their values there is one softmax */
  unsigned n_rows;
  int i;                            /* the row axis that k and v do not know; -1: none */
  struct kir_axis j, d, e;          /* e.var NULL: o has no axis of its own */
  struct kir_expr *q, *k, *t, *v;
  const struct ir_ix **s_at, **l_at, **o_at;
  bool divided;                     /* o is a sum of p/l */
  bool nan_zero;                    /* and where that is NaN, 0 */
  struct cg_chain_out out[CG_CHAIN_OUTS];
  unsigned n_outs;
};
/* False with *why: not attention. Makes symbols in the nest's table. */
bool cg_chain_read(struct cg_chain *c, struct ir_arena *a, const struct kir_nest *n, const char **why);
/* Does e, seen through temporaries, depend on the symbol? */
bool cg_chain_uses(const struct cg_chain *c, const struct kir_expr *e, const struct ir_ix *sym);
/* Does the place of something that it reads from memory? */
bool cg_chain_reads_along(const struct cg_chain *c, const struct kir_expr *e, const struct ir_ix *sym);
/* e with temporaries put in, but for results of reductions. */
struct kir_expr *cg_chain_flat(const struct cg_chain *c, const struct kir_expr *e);
/* ---- records ---- */
static inline const char *cg_chain_axis(const struct ir_ix *var) { return ir_ix_as_sym(var)->name; }
const struct kir_stage *cg_chain_stage(const struct kir_sched *s, const char *operand); /* NULL: none */
void cg_chain_loop(struct ir_arena *a, struct kir_sched *s, enum kir_loop_kind kind, const char *axis, int64_t step); /* grid loops join */
/* The form of GPUs (chain_lanes.c). */
struct kir_sched *cg_chain_lanes_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t);
struct kir_kern *cg_chain_lanes_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why);

/* c, free of i and j, so that keys j > i + c have no part in row i: a causal mask hides them. NULL: nothing is known. */
const struct ir_ix *cg_chain_causal(const struct cg_chain *c, struct ir_facts *known);
#endif
