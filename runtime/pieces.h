/* pieces.h: measures what the device alone takes for a run, for --bench (pieces.c). While x->pieces is set, massrt_run replays what was recorded, in pieces between
 * the copies of inputs, and writes no output. */
#ifndef MASSRT_PIECES_H
#define MASSRT_PIECES_H
#include "runtime/device.h"

struct massrt_pieces *massrt_pieces_create(const struct massrt_exec *x);          /* NULL: the steps are not all the device's, it cannot record them, or there is no memory */
void massrt_pieces_destroy(struct massrt_exec *x);                                /* x->pieces, which may be NULL */
int64_t massrt_pieces_ns(const struct massrt_exec *x);                            /* of the last run, by events; the first is not timed */
/* For exec.c: the steps of a run; whether a step on the device is to be queued; a copy from the host, between two pieces. */
int massrt_pieces_run(struct massrt_exec *x);
bool massrt_piece_queues(struct massrt_exec *x);
int massrt_piece_copy(struct massrt_exec *x, union massrt_word to, const void *from, uint64_t bytes);
#endif
