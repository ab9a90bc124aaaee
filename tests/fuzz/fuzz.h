/* tests/fuzz: random input for everything that reads input. docs in README.md.
 *
 * A target makes inputs out of random numbers and a corpus, and runs the code under test on one. The driver does the rest: a worker process runs them, its
 * parent watches it, so that a crash, an assertion, a hang and unbounded memory all end the same way: the input is in a file, with the command to repeat it. */
#ifndef MASSC_FUZZ_H
#define MASSC_FUZZ_H
#include "ir/base/base.h"

enum { FUZZ_MAX_INPUT = 1 << 20 };
struct fuzz {
  uint64_t random;                       /* splitmix64's state */
  struct ir_arena *arena;                /* lives as long as the worker */
  IR_VEC(struct ir_buf) corpus;          /* seeds, and in builds with coverage what reached new code */
};
struct fuzz_target {
  const char *name, *what;
  void (*seeds)(struct fuzz *f);         /* calls fuzz_seed */
  void (*make)(struct fuzz *f, struct ir_buf *out);
  /* One execution; p is a heap block of exactly n bytes. True: the input was accepted. What is wrong ends the process: signal, sanitizer, ir_bug. */
  bool (*run)(const unsigned char *p, size_t n);
};
/* main: TARGET and options as README.md says. The last target has no name. */
int fuzz_main(int argc, char **argv, const struct fuzz_target *targets);

/* ---- random numbers ---- */
uint64_t fuzz_next(struct fuzz *f);
static inline size_t fuzz_below(struct fuzz *f, size_t n) { return n ? (size_t)(fuzz_next(f) % n) : 0; }
static inline bool fuzz_chance(struct fuzz *f, unsigned one_in) { return fuzz_below(f, one_in) == 0; }
/* Small, or one of those at which code breaks: powers of two, their neighbours, limits of types. */
int64_t fuzz_number(struct fuzz *f);
#define FUZZ_PICK(f, list) ((list)[fuzz_below((f), sizeof(list) / sizeof *(list))])

/* ---- corpus ---- */
void fuzz_seed(struct fuzz *f, const void *p, size_t n);
const struct ir_buf *fuzz_any(struct fuzz *f);
void fuzz_noise(struct fuzz *f, struct ir_buf *b);        /* flips bits, cuts, or repeats a piece */

/* ---- protobuf (wire.c): the same message with a few fields changed, dropped, doubled, cut or taken from a member of the corpus, lengths kept right ---- */
void fuzz_wire(struct fuzz *f, const struct ir_buf *in, struct ir_buf *out);

/* ---- text (tokens.c): from one or two of the corpus, changed token by token ---- */
void fuzz_text(struct fuzz *f, struct ir_buf *out);
#endif
