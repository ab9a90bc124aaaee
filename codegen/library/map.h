/* map.h: the two forms of the map skeleton: loops and vectors (map.c), blocks, warps and lanes (map_lanes.c). */
#ifndef MASSC_CODEGEN_MAP_H
#define MASSC_CODEGEN_MAP_H
#include "codegen/codegen.h"

struct cg_space;
unsigned cg_map_lanes_piece(struct cg_space *s);        /* 4 where so many neighbours are one whole piece of every array, else 1 */
struct kir_sched *cg_map_lanes_record(struct ir_arena *a, int64_t each /* elements of a lane */, unsigned of /* in pieces of so many */, const struct cg_target *t);
struct kir_sched *cg_map_lanes_schedule(struct ir_arena *a, struct cg_space *s, const struct cg_target *t);
struct kir_kern *cg_map_lanes_lower(struct cg_space *s, const struct kir_sched *r, const struct cg_target *t, const char **why);
#endif
