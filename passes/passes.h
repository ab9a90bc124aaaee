/* passes: graph to graph, then graph to program; the door of this folder.
 *
 * Owns: the rows of passes.def, one file each, and the program that the last ones make (kernels, buffers, steps, weights).
 * Needs: ir, ir/kernel, runtime/core (planner), targets only through ir/target.h.  Never: reads ONNX, includes codegen or LLVM.
 * A pass is  bool pass_NAME(struct pass_ctx *)  with its contract in one line above it; false: a diagnostic was made. */
#ifndef MASSC_PASSES_H
#define MASSC_PASSES_H
#include "ir/target.h"
#include "runtime/abi.h"

/* ---- tuning files (tune.c, docs/tuning.md) ---- */
struct pass_tune_row { const char *kernel, *sched; unsigned line; bool used, told; };     /* which kernel, its record; was it met, was it left with a warning */
struct pass_tune { const char *file; IR_VEC(struct pass_tune_row) rows; bool measuring; /* weights may grow as they like */ };
/* NULL: a diagnostic (M0001, M0408). */
struct pass_tune *pass_tune_parse(struct ir_arena *a, struct ir_diags *d, const char *file, const void *text, size_t bytes);
struct pass_tune *pass_tune_read(struct ir_arena *a, struct ir_diags *d, const char *path);
const char *pass_tune_key(struct ir_arena *a, const struct ir_target *t, const struct kir_nest *n);     /* how rows name a kernel; t has an isa */
const char *pass_tune_text(struct ir_arena *a, const struct kir_sched *s);                             /* a record in one line */
/* A warning when rows for one of the targets met no kernel, or none is for one of them. */
void pass_tune_report(const struct pass_tune *t, struct ir_diags *d, const struct ir_target *targets, unsigned n);

struct pass_options {
  int level;                           /* -O0 .. -O3 */
  const char *place_file;              /* --place, or NULL */
  unsigned jobs;                       /* threads for schedule and lower; 0: one */
  const char *stop_after, *dump_after; /* pass names; dump_after "all" dumps after every one that changed something */
  const char *dump_dir;                /* NULL: standard error */
  bool verify, time;
  bool no_winograd;                    /* only records that store weights as they are */
  struct pass_tune *tune;              /* --tune, or NULL; rows are marked */
  bool narrow;                         /* --precision: operands of contractions become `precision` */
  enum ir_elem precision;
};
/* What pass precision did. Bytes: of the weights that contractions read, each use counted. */
struct pass_precision { unsigned contractions, rewritten; uint64_t bytes_before, bytes_after; };

/* ---- the program: what the graph becomes from `schedule` on ---- */
struct pass_kernel {                   /* a distinct kernel: groups of equal nest and record share it */
  struct kir_nest *nest;
  struct kir_sched *sched;
  struct kir_kern *kern;               /* after lower */
  struct ir_arena *arena;              /* its own: lowering runs in parallel */
  const struct ir_target *target;
  uint64_t hash;
  const char *name;                    /* function symbol */
};
struct pass_group {                    /* one use of a kernel; or a transfer; or the beginning or end of a loop, between which its body's stand */
  struct ir_node *node;
  bool end;
  struct kir_nest *nest;               /* its own nest: names, values */
  uint32_t kernel;
  const struct ir_ix *work, *bytes;    /* operations, and bytes that must move, in the module's table */
  const struct ir_ix *products;        /* multiplications that a contraction's kernel does; 0 of other kernels */
  const struct ir_ix *computes, *moves;/* ns that the target expects: of one core that computes, caches included; of reading weights; 0: nothing is known */
};
struct pass_weight {                   /* a stored weight: a value in the layout that a kernel's argument asks for */
  const struct ir_value *v;
  const struct kir_arr *arr;
  uint64_t offset, bytes, hash;
};
struct pass_buffer { const struct ir_value *v; const struct ir_ix *bytes; uint32_t first, last, place; int64_t offset; };
struct pass_program {
  struct ir_arena *arena;
  struct ir_module *m;
  const struct ir_target *target, *host;     /* host: as of the context */
  int level;
  int64_t room;                        /* schedule: bytes by which records may make weights larger, all together */
  const char *suffix;                  /* of the names of the processor's kernels, which are symbols, when several versions go into one executable; or "" */
  IR_VEC(struct pass_kernel) kernels;
  IR_VEC(struct pass_group) groups;    /* in order of execution */
  IR_VEC(struct pass_buffer) buffers;
  IR_VEC(struct pass_weight) weights;
  uint64_t weights_bytes;
  int64_t arena_bytes, device_bytes, live_bytes;       /* static plan, of place 0, of place 1, of both; -1: per shape */
  IR_VEC(uint32_t) most;               /* steps: of each symbol of the tables the expression that it is at most; MASSRT_NO_EXPR: none is known */
  struct massrt_program tables;        /* steps: the tables of abi.h but for functions and weights */
};

struct pass_ctx {
  struct ir_module *m;
  struct ir_arena *scratch;            /* one pass's; reset behind it */
  const struct pass_options *opt;
  const struct ir_target *target;
  const struct ir_target *host;        /* of what is placed on the processor when target is a device; else NULL */
  struct pass_program *prog;
  struct pass_precision *precision;    /* the report; may be NULL */
  const uint32_t *binds; uint32_t n_binds;     /* fuse's own: where the graph's binds stand */
  bool changed;                        /* set by a pass that changed something */
};

struct pass_def { const char *name; bool (*run)(struct pass_ctx *c); int min_level; enum ir_phase phase; const char *text; bool bodies; /* runs on loops' bodies first */ };
extern const struct pass_def pass_defs[];            /* pipeline order; ends with name NULL */
const struct pass_def *pass_find(const char *name, size_t n);
/* Runs the pipeline of c->opt->level from pass `from` (NULL: the start) to stop_after (or the end). Another target's program begins at "schedule", on the same
 * graph; its weights may start with those of the one before, which are then shared where their storage is the same. */
bool pass_run_all(struct pass_ctx *c, const char *from);
bool pass_run_one(struct pass_ctx *c, const struct pass_def *p);   /* with verifying, timing and dumping as the options say */

/* The text of the program: groups with schedules, kernels, buffers, steps. */
void pass_program_print(struct ir_buf *b, const struct pass_program *p);
/* Evaluates the weights and writes them to fd at base + their offsets, in slices of at most 16 MiB. *hash, if not NULL, gets what is
 * written mixed into it. False: a diagnostic (M0002) that names path. */
bool pass_weights_write(struct pass_program *p, struct ir_diags *d, const char *path, int fd, int64_t base, uint64_t *hash);
bool pass_is_weight(const struct ir_value *v);       /* known at compile time */
#endif
