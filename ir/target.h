/* What passes may know of a target. Filled by codegen, handed in by compiler; passes never include codegen. */
#ifndef MASSC_IR_TARGET_H
#define MASSC_IR_TARGET_H
#include "ir/kernel/kir.h"

struct ir_target {
  const char *name;                    /* "cpu:x86-64-v4" */
  unsigned block;                      /* channels of a blocked activation layout; 1: none */
  unsigned plane_pad;                  /* elements behind each channel-block plane, against cache-set conflicts */
  /* The schedule record of a nest; level 0: the slow road. Never fails. */
  struct kir_sched *(*schedule)(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, int level);
  /* Nest and record to flat code; chooses the storage of arguments that are weights. NULL with *why: the record does not fit. */
  struct kir_kern *(*lower)(const struct ir_target *t, struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const char **why);
  const void *impl;                    /* codegen's own */
};
#endif
