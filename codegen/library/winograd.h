/* winograd.h: what the files of the skeleton `winograd` share: a contraction read as a 3x3 convolution, and what its record says. */
#ifndef MASSC_CG_WINOGRAD_H
#define MASSC_CG_WINOGRAD_H
#include "codegen/library/contract.h"
#include "codegen/library/flat.h"

/* Tiles of a kernel are an axis of their own in records; the nest has none. */
#define CG_WINOGRAD_TILES "t"

struct cg_winograd {
  struct cg_contract c;
  int n;                            /* the axis of images; -1: there is one */
  unsigned o, h, w, k, i, j;        /* axes of the results, of the sum */
  int64_t O, H, W, C, ph, pw;       /* channels and size of the results, channels of the input, padding before */
  struct kir_arr *x, *u;
};
/* False with *why: not a float32 3x3 convolution of stride 1 with constant weights [o, c, i, j], known sizes, and an input whose padding is stored. */
bool cg_winograd_read(struct cg_winograd *w, struct ir_arena *a, const struct kir_nest *n, const char **why);

/* Do vectors of so many channels lie together in the input and in what reads and stores results, and have results nothing stored around them but zeros of the image? */
bool cg_winograd_fits(const struct cg_winograd *w, unsigned lanes);
struct kir_kern *cg_winograd_lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why);

struct cg_winograd_record {
  int64_t m;                        /* results of a tile to a side */
  int64_t tiles, outs;              /* of a task: tiles, channels of results */
  int64_t cols, part, rows;         /* of the product's register tile: channels, summed channels in one chain, tiles */
  int64_t ahead, far;               /* elements of the weights that prefetches into the first and the second cache are ahead; 0: none */
};
/* What a record's loops say; steps that it has no loop for stay as they were. False: a loop that such a record does not have. */
bool cg_winograd_loops(const struct cg_winograd *w, const struct kir_sched *s, struct cg_winograd_record *r);
#endif
