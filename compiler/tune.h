/* massc tune: which records of a model's kernels are the fastest on this machine. */
#ifndef MASSC_TUNE_H
#define MASSC_TUNE_H
#include "compiler/pipeline.h"

/* How it gets programs: the pipeline's own functions. */
struct tune_road {
  void *arg;
  /* An executable at `out` with the records of rows (NULL: massc's own choice). *p: its program, to be dropped even after a failure. False: a diagnostic. */
  bool (*build)(const struct tune_road *r, struct pass_tune *rows, const char *out, struct pass_program *p);
  void (*drop)(struct pass_program *p);
  void (*progress)(const struct tune_road *r, const char *what);      /* NULL: nothing goes on */
};
/* Writes the file. False: a diagnostic. */
bool tune(struct ir_arena *a, struct ir_diags *d, const struct options *o, const struct ir_target *target, const struct tune_road *road, const char *out);
#endif
