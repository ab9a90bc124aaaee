/* What passes may know of a target. Filled by codegen, handed in by compiler; passes never include codegen. */
#ifndef MASSC_IR_TARGET_H
#define MASSC_IR_TARGET_H
#include "ir/kernel/kir.h"

/* How a device's kernel is launched: blocks of its grid, and the sizes that follow its pointers, in the kern's table. */
struct ir_launch { const struct ir_ix *blocks; const struct ir_ix *const *size; unsigned n_sizes; };
/* A record of a nest that takes less time than `schedule`'s, and stores more for weights. */
struct ir_choice { struct kir_sched *s; double gain; int64_t bytes; };
enum { IR_MAX_CHOICES = 4, IR_MAX_ALTERNATIVES = 32 };
/* What a target expects of a kernel in a nanosecond: of one core, multiplications of sums of products, other operations, bytes that lie in caches; of all cores, bytes of
 * weights, of which the record stores so many times as many. */
struct ir_expected { double products, ops, near, weights, growth; };
struct ir_target {
  const char *name;                    /* "cpu:x86-64-v4", "cuda:sm_90a" */
  const char *isa;                     /* what kernels are compiled for, as tuning files name it: "x86-64-v4"; NULL: there is nothing to tune */
  const char *place;                   /* of nodes that --place does not mention: "cpu", "cuda:0" */
  unsigned kind;                       /* of massrt_kind, abi.h; 0: the processor */
  unsigned align;                      /* bytes, of buffers and weights */
  unsigned block;                      /* channels of a blocked activation layout; 1: none */
  bool channels_last;                  /* instead: feature maps around convolutions of 16-bit operands are stored with all channels innermost (NHWC) */
  unsigned plane_pad;                  /* elements behind each channel-block plane, against cache-set conflicts */
  /* The schedule record of a nest; level 0: the slow road. Never fails. */
  struct kir_sched *(*schedule)(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, int level);
  /* Such records, by bytes; their number. gain: in a unit of the target's. NULL: it has none. */
  unsigned (*choices)(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, struct ir_choice out[IR_MAX_CHOICES]);
  /* Records that a tuning file may give a nest, the first of them schedule's; gain is not set. Their number; 0: there is nothing to choose. NULL: as 0. */
  unsigned (*alternatives)(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, struct ir_choice out[IR_MAX_ALTERNATIVES]);
  struct ir_expected (*expect)(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s);    /* NULL: nothing */
  /* Nest and record to flat code; chooses the storage of arguments that are weights. NULL with *why: the record does not fit. */
  struct kir_kern *(*lower)(const struct ir_target *t, struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const char **why);
  void (*launch)(const struct ir_target *t, struct ir_arena *a, const struct kir_kern *k, struct ir_launch *out);   /* NULL: tasks of the kern's grid, then its syms */
  const void *impl;                    /* codegen's own */
};
#endif
