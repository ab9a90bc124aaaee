/* layout: how stored values lie in memory.
 *
 * Feature maps [n,c,spatial..] around convolutions and windows are stored in blocks of target->block channels (NCHW16c): the block is what a vector register
 * holds, so that every reader and writer moves whole vectors. A value that zero-padding readers have is stored with that halo of zeros, as wide as the widest
 * need; its producer writes it. Model inputs that such a reader has get a copy in that layout; results stay dense. What is not a feature map stays dense.
 * On targets that say `channels_last` the block is all channels where there are a multiple of 8, around convolutions of float32 and narrower, and without halos:
 * readers guard.
 * A pass over the nodes in order: results of convolutions start blocked regions, maps, windows, spatial reductions and
 * transposed convolutions without overlap (contractions) continue them.
 * Requires: place. Keeps: values. Afterwards every stored value's layout is final. */
#include "passes/internal.h"
#include <string.h>

struct need { bool blocked; uint8_t halo[IR_MAX_RANK][2]; };
static struct need *need_of(struct pass_ctx *c, struct ir_value *v)
{
  if (!v->scratch) v->scratch = IR_NEW(c->scratch, struct need);
  return v->scratch;
}
static bool map_like(const struct ir_value *v)   /* [n, c static, spatial..] of floats with a plane of more than one element */
{
  const struct ir_type *t = v->type;
  int64_t k;
  if (t->rank < 3 || ir_elem_class(t->elem) != 'F' || !ir_ix_const(t->dim[1], &k)) return false;
  for (unsigned d = 2; d < t->rank; d++)
    if (!ir_ix_is(t->dim[d], 1)) return true;
  return false;
}
/* Channels of a block of v; 1: it stays dense. */
static unsigned block_of(const struct pass_ctx *c, const struct ir_value *v)
{
  int64_t channels;
  if (!c->target->channels_last) return c->target->block;
  return ir_ix_const(v->type->dim[1], &channels) && channels % 8 == 0 && channels <= 1 << 16 ? (unsigned)channels : 1;
}
/* What stores its results in blocks, whatever it reads, and reads inputs of the model so. */
static bool starts(const struct pass_ctx *c, const struct ir_node *n)
{
  return c->target->channels_last ? n->op == IR_OP_conv && ir_elem_narrower(n->in[0]->type->elem, IR_f64) : n->op == IR_OP_conv || n->op == IR_OP_window;
}
/* A contraction of a blocked value's channels that makes at least a block of others in their place: a transposed convolution whose windows do not overlap. */
static bool spreads(const struct pass_ctx *c, const struct ir_node *n)
{
  const struct need *k = n->op == IR_OP_dot ? n->in[0]->scratch : NULL;
  int64_t channels;
  if (!k || !k->blocked || !ir_ix_const(n->out[0]->type->dim[1], &channels) || channels < (int64_t)block_of(c, n->out[0]) || !pass_is_weight(n->in[1]) || n->in[0]->type->rank < 3) return false;
  const char *spec = ir_attr_get_str(n, "spec"), *y = strchr(spec, ',') + 1, *r = strstr(spec, "->") + 2;
  return r[0] == spec[0] && !strchr(r, spec[1]) && memchr(y, spec[1], n->in[1]->type->rank) && memchr(y, r[1], n->in[1]->type->rank);
}
/* What only convolutions read is stored as they want it by whoever makes it, if that is a kernel which can store anywhere. */
static bool feeds(const struct pass_ctx *c, const struct ir_node *n)
{
  const struct ir_value *v = n->out[0];
  if (!c->target->channels_last || !v->uses.n || ir_value_is_result(v)) return false;
  if (!ir_op_is_map(n->op) && n->op != IR_OP_cast && n->op != IR_OP_pad && n->op != IR_OP_view) return false;
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (!starts(c, v->uses.v[i]) || v->uses.v[i]->in[0] != v) return false;
  return true;
}
static bool continues(const struct pass_ctx *c, const struct ir_node *n)
{
  if (starts(c, n) || spreads(c, n) || feeds(c, n)) return true;
  if (ir_op_is_map(n->op) || n->op == IR_OP_cast || n->op == IR_OP_concat || n->op == IR_OP_transfer || n->op == IR_OP_window) {
    for (unsigned i = 0; i < n->n_in; i++) {
      const struct need *k = n->in[i]->scratch;
      if (k && k->blocked && n->in[i]->type->rank == n->out[0]->type->rank) return true;
    }
  }
  return false;
}
static uint8_t clamp8(int64_t x) { return x < 0 ? 0 : x > 200 ? 200 : (uint8_t)x; }
/* Zeros that a reader wants around its operand along spatial axis d. Past the end it may want fewer than its pads, where the stride does not reach them. */
static void reader_halo(const struct ir_node *n, struct need *k, const struct ir_type *x)
{
  const int64_t *pads, *kernel = NULL, *st, *di;
  unsigned s = x->rank - 2;
  if (ir_attr_get_ints(n, "pads", &pads) != 2 * s) return;
  bool has_st = ir_attr_get_ints(n, "strides", &st) == s, has_di = ir_attr_get_ints(n, "dilations", &di) == s;
  if (n->op == IR_OP_window) ir_attr_get_ints(n, "kernel", &kernel);
  for (unsigned d = 0; d < s; d++) {
    int64_t size, kd, out, hi = pads[s + d];
    bool known = ir_ix_const(x->dim[d + 2], &size) && ir_ix_const(n->out[0]->type->dim[d + 2], &out) && (kernel ? (kd = kernel[d], true) : ir_ix_const(n->in[1]->type->dim[d + 2], &kd));
    if (known) hi = (out - 1) * (has_st ? st[d] : 1) + (kd - 1) * (has_di ? di[d] : 1) - pads[d] - (size - 1);
    uint8_t lo8 = clamp8(pads[d]), hi8 = clamp8(hi);
    if (pads[d] > 200 || hi > 200) continue;     /* absurd paddings are guarded, not stored */
    if (lo8 > k->halo[d + 2][0]) k->halo[d + 2][0] = lo8;
    if (hi8 > k->halo[d + 2][1]) k->halo[d + 2][1] = hi8;
  }
}
static bool pads_with_zeros(const struct ir_node *n)
{
  const int64_t *in_dil;
  unsigned k = n->op == IR_OP_conv ? ir_attr_get_ints(n, "in_dilations", &in_dil) : 0;
  for (unsigned i = 0; i < k; i++)
    if (in_dil[i] != 1) return false;
  return n->op == IR_OP_conv || (n->op == IR_OP_window && !strcmp(ir_attr_get_str(n, "op"), "sum"));
}
static bool any_halo(const struct need *k)
{
  for (unsigned d = 0; d < IR_MAX_RANK; d++)
    if (k->halo[d][0] || k->halo[d][1]) return true;
  return false;
}
static void set_layout(struct pass_ctx *c, struct ir_value *v, const struct need *k, unsigned block)
{
  v->layout = ir_layout_blocked(c->m, v->type, 1, block, k->halo, c->target->plane_pad);
}
/* A copy of v in another layout, for the nodes that prov names. */
static struct ir_value *copy_of(struct pass_ctx *c, struct ir_value *v, const struct ir_prov *prov)
{
  struct ir_builder b = { .g = c->m->main, .at = v->def ? v->def->next : c->m->main->first, .prov = prov };
  struct ir_node *n = ir_build(&b, IR_OP_copy, &v, 1, NULL, 0);
  n->place = v->def ? v->def->place : "cpu";
  n->out[0]->name = v->name;
  c->changed = true;
  return n->out[0];
}
static void lay_out_input(struct pass_ctx *c, struct ir_value *v)
{
  struct need *k = v->scratch;
  int64_t ch;
  if (!k || !map_like(v) || !ir_ix_const(v->type->dim[1], &ch)) return;
  unsigned block = block_of(c, v);
  bool wide = block > 1 && ch >= (int64_t)block;
  if (!any_halo(k) && !wide) return;
  uint32_t n = 0;
  struct ir_node **readers = IR_NEWN(c->scratch, struct ir_node *, v->uses.n);
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (starts(c, v->uses.v[i])) readers[n++] = v->uses.v[i];
  if (!n) return;
  const struct ir_prov *prov = readers[0]->prov;
  for (uint32_t i = 1; i < n; i++) prov = ir_prov_union(c->m, prov, readers[i]->prov);
  struct ir_value *w = copy_of(c, v, prov);
  set_layout(c, w, k, wide ? block : 1);
  for (uint32_t i = 0; i < n; i++)
    for (unsigned j = 0; j < readers[i]->n_in; j++)
      if (readers[i]->in[j] == v) ir_node_set_in(readers[i], j, w);
}
static void keep_results_dense(struct pass_ctx *c)
{
  struct ir_graph *g = c->m->main;
  for (uint32_t i = 0; i < g->results.n; i++) {
    struct ir_value *v = g->results.v[i];
    if (!v->layout) continue;
    if (v->uses.n) {
      g->results.v[i] = copy_of(c, v, pass_value_prov(v));
      continue;
    }
    v->layout = NULL;
    if (v->def->op != IR_OP_transfer) continue;
    struct ir_value *from = v->def->in[0];        /* it copies bytes: what it reads is dense, too */
    if (pass_one_use(from)) from->layout = NULL;
    else ir_node_set_in(v->def, 0, copy_of(c, from, from->def->prov));
  }
}
bool pass_layout(struct pass_ctx *c)
{
  struct ir_graph *g = c->m->main;
  bool halos = !c->target->channels_last;
  if (c->target->block < 2 && halos) return true;
  for (uint32_t i = 0; i < g->params.n; i++) g->params.v[i]->scratch = NULL;
  for (struct ir_node *n = g->first; n; n = n->next)
    for (unsigned i = 0; i < n->n_out; i++) n->out[i]->scratch = NULL;
  for (struct ir_node *n = g->first; n; n = n->next) {
    if (n->n_out != 1 || pass_is_weight(n->out[0])) continue;
    if (halos && pads_with_zeros(n)) reader_halo(n, need_of(c, n->in[0]), n->in[0]->type);
    else if (starts(c, n) && (!halos || n->op == IR_OP_window)) need_of(c, n->in[0]);
    if (map_like(n->out[0]) && block_of(c, n->out[0]) > 1 && continues(c, n)) need_of(c, n->out[0])->blocked = true;
  }
  /* a transfer copies bytes: both sides have one layout */
  for (struct ir_node *n = g->last; n; n = n->prev)
    if (n->op == IR_OP_transfer && n->out[0]->scratch && n->in[0]->def) {
      struct need *from = need_of(c, n->in[0]), *to = n->out[0]->scratch;
      to->blocked |= from->blocked;
      *from = *to;
    }
  for (struct ir_node *n = g->first; n; n = n->next) {
    struct ir_value *v = n->n_out == 1 ? n->out[0] : NULL;
    struct need *k = v ? v->scratch : NULL;
    if (k && k->blocked) { set_layout(c, v, k, block_of(c, v)); c->changed = true; }
  }
  for (struct ir_node *n = g->first; n; n = n->next)
    if (n->op == IR_OP_transfer) n->out[0]->layout = n->in[0]->layout;
  for (uint32_t i = 0; i < g->params.n; i++) lay_out_input(c, g->params.v[i]);
  for (struct ir_node *n = g->first; n && c->target->channels_last; n = n->next)
    if (n->op == IR_OP_transfer && !n->out[0]->layout) lay_out_input(c, n->out[0]);
  keep_results_dense(c);
  return true;
}
