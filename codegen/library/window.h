/* window.h: nests whose reductions move along with the result, as window.c (vectors) and each.c (lanes) see them. */
#ifndef MASSC_CODEGEN_WINDOW_H
#define MASSC_CODEGEN_WINDOW_H
#include "codegen/library/space.h"

bool cg_window_chained(const struct kir_nest *n); /* a reduction of reductions: each tap would compute the inner one again */
bool cg_window_fits(struct cg_space *s);          /* every reduction is made anew for each result: no axis of the space is missing in its operand */
int64_t cg_window_taps(const struct cg_space *s); /* of the longest reduction, at least */
#endif
