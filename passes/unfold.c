/* unfold: convolutions of few channels get more, so that matrix units take them.
 *
 * Matrix units want operands that run along the summed axis in whole pieces of 8. Where there are less than FEW channels, the taps along the last spatial axis become
 * channels of a value of its own (im2col along one axis): 11x11 taps of 3 channels are 11x1 taps of 33, stored as 40. That costs taps/stride times the bytes of x, once,
 * and wastes least of the sum; the kernel that rounds or lays out x anyway makes it. More channels that are no multiple of 8 get zeros up to one.
 * The weights follow at compile time. Zeros meet zeros: no element of x is multiplied that was not before, so infinities stay where they were.
 * Requires: place. Keeps: values, but for the order of sums. Afterwards layout finds channels that it can put innermost. */
#include "passes/internal.h"
#include <string.h>

enum { FEW = 16, PIECE = 8 };

struct shape { unsigned rank, last; int64_t channels, taps, to; };     /* of x; taps that become channels; channels afterwards */

static bool ones(const struct ir_node *n, const char *key)
{
  const int64_t *v;
  unsigned k = ir_attr_get_ints(n, key, &v);
  for (unsigned i = 0; i < k; i++)
    if (v[i] != 1) return false;
  return true;
}
static bool wanted(const struct pass_ctx *c, const struct ir_node *n, struct shape *s)
{
  int64_t w[IR_MAX_RANK], elems;
  if (n->op != IR_OP_conv || !pass_on_device(c, n) || !ir_elem_narrower(n->in[0]->type->elem, IR_f64)) return false;
  if (pass_is_weight(n->in[0]) || !pass_is_weight(n->in[1]) || ir_attr_get_int(n, "groups") != 1 || !ones(n, "in_dilations")) return false;
  if (!ir_type_static(n->in[1]->type, w, &elems) || !elems || (w[1] >= FEW && w[1] % PIECE == 0) || elems / w[0] < FEW) return false;
  s->rank = n->in[0]->type->rank;
  s->last = s->rank - 1;
  s->channels = w[1];
  s->taps = w[1] < FEW ? w[s->last] : 1;
  s->to = (s->channels * s->taps + PIECE - 1) / PIECE * PIECE;
  if (s->to < FEW) s->to = FEW;
  return s->taps <= 32;
}
/* ---- values; all are where n is ---- */
static struct ir_value *made(const struct ir_node *n, struct ir_node *new, bool weight)
{
  new->place = n->place;
  new->out[0]->weight = weight;
  return new->out[0];
}
static struct ir_value *padded(struct ir_builder *b, const struct ir_node *n, struct ir_value *x, unsigned axis, int64_t lo, int64_t hi)
{
  struct ir_module *m = n->graph->module;
  const struct ir_ix *at[2][IR_MAX_RANK];
  if (!lo && !hi) return x;
  for (unsigned d = 0; d < x->type->rank; d++) {
    at[0][d] = ir_ix_int(m->ixs, d == axis ? lo : 0);
    at[1][d] = ir_ix_int(m->ixs, d == axis ? hi : 0);
  }
  struct ir_value *zero = ir_const_splat(b, ir_type_get(m, x->type->elem, 0, NULL), 0, 0);
  zero->weight = true;
  struct ir_attr a[] = { ir_attr_ixs(m, "lo", at[0], x->type->rank), ir_attr_ixs(m, "hi", at[1], x->type->rank) };
  return made(n, ir_build(b, IR_OP_pad, (struct ir_value *[]){ x, zero }, 2, a, 2), x->weight);
}
static int64_t entry(const struct ir_node *n, const char *key, unsigned i, int64_t otherwise)
{
  const int64_t *v;
  return i < ir_attr_get_ints(n, key, &v) ? v[i] : otherwise;
}
/* x', channel t*channels + c of which is what tap t along the last axis reads of channel c. */
static struct ir_value *unfolded(struct ir_builder *b, const struct ir_node *n, struct ir_value *x, const struct shape *s)
{
  struct ir_module *m = n->graph->module;
  const struct ir_ix *map[IR_MAX_RANK], *dim[IR_MAX_RANK];
  unsigned spatial = s->rank - 2;
  for (unsigned d = 0; d < s->rank; d++) {
    map[d] = ir_ix_coord(m->ixs, d);
    dim[d] = x->type->dim[d];
  }
  x = padded(b, n, x, s->last, entry(n, "pads", spatial - 1, 0), entry(n, "pads", 2 * spatial - 1, 0));
  map[1] = ir_ix_modi(ir_ix_coord(m->ixs, 1), s->channels);
  map[s->last] = ir_ix_add(ir_ix_muli(ir_ix_coord(m->ixs, s->last), entry(n, "strides", spatial - 1, 1)),
                           ir_ix_muli(ir_ix_divi(ir_ix_coord(m->ixs, 1), s->channels), entry(n, "dilations", spatial - 1, 1)));
  dim[1] = ir_ix_int(m->ixs, s->channels * s->taps);
  dim[s->last] = n->out[0]->type->dim[s->last];
  struct ir_attr a[] = { ir_attr_ixs(m, "map", map, s->rank), ir_attr_ixs(m, "dims", dim, s->rank) };
  return made(n, ir_build(b, IR_OP_view, &x, 1, a, 2), false);
}
/* An input of the device is read as it came, and rounded behind that, in one kernel; what is computed there is stored rounded already. */
static bool is_input(const struct ir_value *x) { return !x->def || x->def->op == IR_OP_transfer; }
static struct ir_value *activations(struct ir_builder *b, const struct ir_node *n, const struct shape *s)
{
  struct ir_value *x = n->in[0];
  enum ir_elem e = x->type->elem;
  if (pass_has_op(x, IR_OP_cast) && pass_one_use(x) && is_input(x->def->in[0]) && ir_elem_class(x->def->in[0]->type->elem) == 'F') x = x->def->in[0];
  if (s->taps > 1) x = unfolded(b, n, x, s);
  x = padded(b, n, x, 1, 0, s->to - s->channels * s->taps);
  return x->type->elem == e ? x : made(n, ir_cast(b, x, e)->def, false);
}
static struct ir_value *weights(struct ir_builder *b, const struct ir_node *n, const struct shape *s)
{
  struct ir_value *w = n->in[1];
  if (s->taps > 1) {
    int64_t perm[IR_MAX_RANK] = { 0, s->last, 1 };
    const struct ir_ix *dim[IR_MAX_RANK];
    for (unsigned d = 2; d < s->last; d++) {
      perm[d + 1] = d;
      dim[d] = w->type->dim[d];
    }
    dim[0] = w->type->dim[0];
    dim[1] = ir_ix_int(n->graph->module->ixs, s->channels * s->taps);
    dim[s->last] = ir_ix_int(n->graph->module->ixs, 1);
    w = made(n, ir_transpose(b, w, perm)->def, true);
    w = made(n, ir_reshape(b, w, s->rank, dim)->def, true);
  }
  return padded(b, n, w, 1, 0, s->to - s->channels * s->taps);
}
static void rewrite(struct pass_ctx *c, struct ir_node *n, const struct shape *s)
{
  struct ir_builder b = pass_at(n);
  struct ir_value *in[] = { activations(&b, n, s), weights(&b, n, s) };
  struct ir_attr attr[16];
  unsigned spatial = s->rank - 2, k = 0;
  for (unsigned i = 0; i < n->n_attr; i++) {
    const struct ir_attr *a = &n->attr[i];
    bool pads = !strcmp(a->key, "pads"), last = s->taps > 1 && (pads || !strcmp(a->key, "strides") || !strcmp(a->key, "dilations"));
    attr[k] = *a;
    if (last) {
      int64_t v[2 * IR_MAX_RANK];
      memcpy(v, a->is, a->n * sizeof *v);
      for (unsigned j = spatial; j <= a->n; j += spatial) v[j - 1] = !pads;
      attr[k] = ir_attr_ints(c->m, a->key, v, a->n);
    }
    k++;
  }
  struct ir_node *conv = ir_build(&b, IR_OP_conv, in, 2, attr, k);
  conv->place = n->place;
  pass_replace(c, n, conv->out[0]);
}
bool pass_unfold(struct pass_ctx *c)
{
  struct shape s;
  if (!c->target->channels_last) return true;
  for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
    next = n->next;
    if (wanted(c, n, &s)) rewrite(c, n, &s);
  }
  ir_graph_sweep(c->m->main);
  return true;
}
