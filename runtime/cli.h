/* cli.h: the command line of an emitted executable (docs/commands.md, "An emitted executable"). main.c reads the options and orders the work; each subject has
 * a file of its own. Only these files print. Functions return 0 or an exit status, and have then printed why. */
#ifndef MASSRT_CLI_H
#define MASSRT_CLI_H
#include "runtime/internal.h"
#include <stdio.h>

struct cli_list { const char **v; int n; };
struct cli {
  const struct massrt_program *p;
  const char *self;                                   /* name of the executable */
  struct cli_list inputs, outputs, expects;           /* as typed */
  bool bench, json, info, help, version;
  double seconds, rtol, atol;                         /* tolerances: negative when not given */
  int threads, top;
  const char *device, *profile;
  int64_t entry_ns;                                   /* massrt_now_ns() at the first instruction of main */
  double before_ms, start_ms;                         /* process start to entry; process start to ready */
  struct massrt_exec *x;
  struct massrt_tensor *in, *out;                     /* of the model, in its order; data allocated */
  int json_fields;                                    /* printed so far of the one object */
};

/* "NAME: text" on standard error; returns status. */
int cli_fail(const struct cli *c, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int cli_no_memory(const struct cli *c);
int cli_run(struct cli *c);                             /* outputs whose size depends on the data lie in the instance until the next run */
void *cli_alloc(uint64_t bytes);                      /* aligned to 64, zeroed; NULL: none */

/* One "[NAME=]VALUE" or "NAME[2,3]=VALUE". */
struct cli_spec { uint32_t index; bool named; uint32_t rank; int64_t dim[MASSRT_MAX_RANK]; bool shaped; const char *value; };
/* Resolves a list against the model's inputs or outputs (what: "input", "output", "expect"). The longest name wins; an .npz file without a name goes to all that
 * no value names (to write) or whose names it holds (to read); other values without a name go, in order, to the rest. *out is to be freed. */
int cli_resolve(const struct cli *c, const struct cli_list *list, const struct massrt_io *io, uint32_t n, const char *what, struct cli_spec **out, int *out_n);
/* Reads s->value, an .npy, .npz or .pb file, for io; t->data is to be freed. what: "input", "expected". */
int cli_read_file(const struct cli *c, const struct cli_spec *s, const struct massrt_io *io, const char *what, struct massrt_tensor *t);

int cli_read_inputs(struct cli *c);                   /* c->in */
int cli_check_outputs(const struct cli *c);           /* names and endings of --output and --expect, before anything runs */
int cli_write_outputs(const struct cli *c);
void cli_summary(struct cli *c);                      /* of every output, with --top */
int cli_compare(struct cli *c);                       /* --expect; 1 when outside of the tolerance */
int cli_bench(struct cli *c);
uint64_t cli_peak_rss(void);                          /* bytes */
int cli_profile(struct cli *c);
void cli_info(struct cli *c);
const char *cli_step_name(const struct massrt_program *p, uint32_t step);   /* of the kernel or function, or "copy", "bind", ..; NULL: of a loop, whose steps have names */
void cli_help(const struct cli *c);

/* ---- text and JSON ---- */
void cli_type(char *out, size_t n, const struct massrt_program *p, const struct massrt_io *io);      /* "f32[batch,3,224,224]" */
void json_key(struct cli *c, const char *key);        /* of the one object: comma, newline, quoted key */
void json_string_to(FILE *f, const char *s);           /* NULL is "" */
void json_string(const char *s);
void json_number(double v);                           /* null for what JSON has no number for */
void json_shape(const struct massrt_tensor *t);
#endif
