/* For the files of this folder: the passes themselves and what several share. */
#ifndef MASSC_PASSES_INTERNAL_H
#define MASSC_PASSES_INTERNAL_H
#include "passes/passes.h"

#define PASS(name, level, phase, text) bool pass_##name(struct pass_ctx *c);
#define PASS_ONCE PASS
#include "passes/passes.def"
#undef PASS
#undef PASS_ONCE

/* ---- rewriting (rewrite.c) ---- */
/* A builder that puts nodes before n and gives them n's origin. */
struct ir_builder pass_at(struct ir_node *n);
/* Replaces the one result of n wherever it is read; n itself goes with the next sweep. */
void pass_replace(struct pass_ctx *c, struct ir_node *n, struct ir_value *with);
static inline bool pass_has_op(const struct ir_value *v, enum ir_op op) { return v->def && v->def->op == op; }
static inline bool pass_one_use(const struct ir_value *v) { return v->uses.n == 1 && !ir_value_is_result(v); }
/* A map of two operands of which one is a weight: that one, and the other in *x. */
struct ir_value *pass_weight_operand(const struct ir_node *n, struct ir_value **x);

/* ---- rules of simplify (simplify_*.c): what n's one result can be replaced by, or NULL ---- */
struct ir_value *pass_known_elements(struct pass_ctx *c, struct ir_node *n);
struct ir_value *pass_known_truth(struct pass_ctx *c, struct ir_node *n);
struct ir_value *pass_known_places(struct pass_ctx *c, struct ir_node *n);
struct ir_value *pass_map_of_broadcast(struct pass_ctx *c, struct ir_node *n);
struct ir_value *pass_unit_splat(struct pass_ctx *c, struct ir_node *n);
struct ir_value *pass_weight_last(struct pass_ctx *c, struct ir_node *n);
struct ir_value *pass_map_of_merged(struct pass_ctx *c, struct ir_node *n);
struct ir_value *pass_transpose_of_merged(struct pass_ctx *c, struct ir_node *n);
/* Does r merge neighbouring axes of x and no more? Axis d of r is then made of x's axes first[d] .. first[d + 1] - 1. */
bool pass_merged_axes(const struct ir_type *x, const struct ir_type *r, unsigned *first);

/* What the processor does between kernels: a loop, a bind, a function of its own. */
static inline bool pass_on_host(const struct ir_node *n) { return n->op == IR_OP_loop || ir_op_def(n->op)->class == IR_C_CONTROL; }
/* A step of its own, with no kernel of ours. */
static inline bool pass_is_step(const struct ir_node *n) { return n->op == IR_OP_transfer || pass_on_host(n); }
int pass_by_order(const void *a, const void *b);                    /* of two struct ir_node *, for qsort: the graph's order */
struct pass_nodes { struct ir_node **v; uint32_t n, cap; };
void pass_sort_nodes(struct pass_ctx *c, struct pass_nodes *s);   /* in the order of the graph's list; renumbers it */

/* Provenance of a copy of v: what made it, or the loop whose parameter it is. */
static inline const struct ir_prov *pass_value_prov(const struct ir_value *v)
{
  const struct ir_node *n = v->def ? v->def : v->graph->owner;
  return n ? n->prov : NULL;
}

/* ---- schedule's own (choose.c, tune.c) ---- */
/* Records for the groups of c->m->main that a tuning file names, or that take less time and store more for weights than the target's default: in the nodes' scratch, NULL
 * for the default. False: it did not choose, and scratch says nothing. */
bool pass_choose(struct pass_ctx *c);
/* The record that --tune gives a nest, NULL: none. *left: bytes that weights may still grow by. */
struct kir_sched *pass_tuned(struct pass_ctx *c, const struct ir_target *target, const struct kir_nest *n, int64_t *left);

/* ---- the program (program.c) ---- */
bool pass_on_device(const struct pass_ctx *c, const struct ir_node *n);
static inline const struct ir_target *pass_target(const struct pass_ctx *c, const struct ir_node *n) { return c->host && !pass_on_device(c, n) ? c->host : c->target; }
/* The value outside of a group that an argument of its nest stands for. */
const struct ir_value *pass_outer_value(const struct ir_node *n, const struct kir_arr *arg);
const struct ir_ix *pass_stored_bytes(struct ir_module *m, const struct ir_value *v);   /* with its layout's halo and padding */
int64_t pass_weight_growth(const struct pass_weight *w);   /* bytes beyond those of the value, where it is stored transformed */
/* Number of the stored weight of v in arr's layout; a bug if there is none. */
uint32_t pass_weight_find(const struct pass_program *p, const struct ir_value *v, const struct kir_arr *arr);
#endif
