/* row.h: the two forms of the row skeleton: one thread for a row (row.c, flat code), a warp for a row (row_lanes.c, tiled code). */
#ifndef MASSC_CODEGEN_ROW_H
#define MASSC_CODEGEN_ROW_H
#include "codegen/codegen.h"

struct kir_sched *cg_row_lanes_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t);
struct kir_kern *cg_row_lanes_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *r, const struct cg_target *t, const char **why);
#endif
