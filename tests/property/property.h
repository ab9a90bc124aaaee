/* tests/property: random graphs through the whole compiler, held against the reference evaluator. README.md says how to run it.
 *
 * A case is a text: the graph, behind comment lines that say which sizes its symbols take and which inputs it gets. So cases can be kept, shrunk and read. */
#ifndef MASSC_PROPERTY_H
#define MASSC_PROPERTY_H
#include "codegen/codegen.h"
#include "ir/ir.h"
#include <string.h>

/* ---- random numbers: splitmix64 ---- */
struct rnd { uint64_t s; };
static inline uint64_t rnd_next(struct rnd *r)
{
  uint64_t z = r->s += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static inline unsigned rnd_below(struct rnd *r, unsigned n) { return n ? (unsigned)(rnd_next(r) % n) : 0; }
static inline bool rnd_chance(struct rnd *r, unsigned one_in) { return rnd_below(r, one_in) == 0; }
#define RND_PICK(r, list) ((list)[rnd_below((r), sizeof(list) / sizeof *(list))])

/* ---- cases ---- */
enum { MAX_SIZES = 2, MAX_SYMS = 8 };
struct sizes { unsigned n; struct { char name[24]; int64_t value; } sym[MAX_SYMS]; };
struct kase {
  char *text;                            /* of the graph; heap */
  struct sizes sizes[MAX_SIZES];         /* the same program runs with each */
  unsigned n_sizes;
  uint64_t data;                         /* seed of the inputs */
};
char *case_print(const struct kase *k);                                  /* heap */
bool case_parse(const char *s, size_t n, struct kase *out);              /* the form of case_print; a graph alone has no symbols, seed 1 */
void case_free(struct kase *k);
/* A module of its own; NULL: *why. */
struct ir_module *case_module(struct ir_arena *a, const struct kase *k, const char **why);
/* Inputs of g under sizes; NULL: a symbol without a size. Floats are multiples of 1/4 from -2 to 2, so that much of what is computed is exact. */
struct ir_tensor **case_inputs(struct ir_arena *a, const struct ir_graph *g, const struct sizes *z, uint64_t data);

/* ---- generate.c ---- */
bool generate(struct rnd *r, struct kase *out);                          /* false: nothing came of these numbers; try others */

/* ---- bounds.c: what a compiled program may differ by ----
 * Evaluates every value of m->main and bounds the distance of any correct evaluation in the values' own types, sums in any order. good[i] of the i-th node in
 * list order: the bound is useful and no step was decided by a rounding. Bounds of the results in out_err (0: must be equal). False: m cannot be evaluated. */
struct bounds { unsigned n_nodes; bool *good, all_good; /* of the results */ double *err; /* per result */ struct ir_tensor **result; const char *why; };
bool bounds_of(struct ir_arena *a, struct ir_module *m, struct ir_tensor *const *ins, struct bounds *out);

/* ---- execute.c: one configuration, in this process ----
 * Compiles the case and runs it. False: *why (arena). What crashes, crashes: callers fork. */
struct config { const char *target; int level; int threads; };
bool execute(struct ir_arena *a, const struct kase *k, const struct config *c, const char **why);

/* ---- shrink.c: the smallest case found by greedy changes that still `fails` ---- */
void shrink(struct kase *k, bool (*fails)(void *arg, const struct kase *k), void *arg, unsigned attempts);
#endif
