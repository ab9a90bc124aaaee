/* The device's own time in a run. What a run queues between copies from the host is recorded as one piece in the first run; each later run replays the pieces, each
 * between two events. Copies to the host are left out, so a run whose inputs all come first is one piece. */
#include "runtime/pieces.h"
#include <stdio.h>
#include <stdlib.h>

enum { PIECES = 256 };
struct massrt_pieces {
  void *graph[PIECES];                             /* NULL: a piece of nothing */
  uint32_t n, at, queued;                          /* queued: in the open piece */
  bool recorded;
  int64_t ns;
};

struct massrt_pieces *massrt_pieces_create(const struct massrt_exec *x)
{
  return x->recordable ? calloc(1, sizeof(struct massrt_pieces)) : NULL;
}
void massrt_pieces_destroy(struct massrt_exec *x)
{
  for (uint32_t i = 0; x->pieces && i < x->pieces->n; i++)
    if (x->pieces->graph[i]) x->device->ops->forget(x->device, x->pieces->graph[i]);
  free(x->pieces);
  x->pieces = NULL;
}
int64_t massrt_pieces_ns(const struct massrt_exec *x) { return x->pieces->ns; }

static int open_piece(struct massrt_exec *x)
{
  x->pieces->queued = 0;
  return x->pieces->recorded ? MASSRT_OK : massrt_device_result(x, x->device->ops->record(x->device));
}
static int replay_piece(struct massrt_exec *x)
{
  struct massrt_pieces *p = x->pieces;
  int64_t ns = 0;
  void *graph = p->graph[p->at++];
  int rc = graph ? x->device->ops->replay(x->device, graph, p->recorded ? &ns : NULL) : MASSRT_OK;
  p->ns += ns;
  return massrt_device_result(x, rc);
}
static int close_piece(struct massrt_exec *x)
{
  struct massrt_pieces *p = x->pieces;
  if (!p->recorded) {
    bool room = p->n < PIECES;
    void *graph = NULL;
    int rc = x->device->ops->recorded(x->device, room && p->queued, &graph);
    if (rc) return massrt_device_result(x, rc);
    if (!room) {
      snprintf(x->error, sizeof x->error, "inputs are copied to the device in more than %d places", PIECES);
      return MASSRT_E_DEVICE;
    }
    p->graph[p->n++] = graph;
  }
  return replay_piece(x);
}
bool massrt_piece_queues(struct massrt_exec *x)
{
  x->pieces->queued++;
  return !x->pieces->recorded;
}
int massrt_piece_copy(struct massrt_exec *x, union massrt_word to, const void *from, uint64_t bytes)
{
  int rc = close_piece(x);
  if (!rc) rc = massrt_device_result(x, x->device->ops->to_device(x->device, to, from, bytes));
  return rc ? rc : open_piece(x);
}
int massrt_pieces_run(struct massrt_exec *x)
{
  struct massrt_pieces *p = x->pieces;
  p->at = 0;
  p->ns = 0;
  int rc = open_piece(x);
  if (!rc) rc = x->p->run(x);
  if (!rc) rc = close_piece(x);
  void *none;
  if (rc && !p->recorded) x->device->ops->recorded(x->device, false, &none);       /* not left recording */
  p->recorded = p->recorded || !rc;
  return rc;
}
