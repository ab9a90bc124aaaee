/* RNN, GRU, LSTM: for each direction one contraction of the whole sequence with W, then a loop that carries the state. Equations: ONNX's text of the operators.
 *
 * With sequence_lens a sample's state stops where its sequence ends and its further outputs are 0; backwards each sample starts at its own end. */
#include "compiler/onnx/loop.h"
#include "compiler/onnx/arith.h"
#include <math.h>
#include <string.h>
#include <strings.h>

enum { X, W, R, B, LENS, H0, C0, P };
enum kind { SIMPLE, GATED, LONG };           /* the row's argument: RNN, GRU, LSTM */
struct activation { const char *name; double alpha, beta; };
struct cell {
  enum kind kind;
  unsigned gates, dirs, n_f;
  int64_t hidden;
  bool backwards, input_forget, linear_before_reset, batch_first;
  double clip;
  struct activation f[6];                    /* n_f for each direction */
  struct ir_value *x, *lens;                 /* [t,b,i]; [b] or NULL */
};
static struct ir_value *add_given(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y) { return x && y ? onnx_2(c, IR_OP_add, x, y) : x; }
static struct ir_value *k(struct onnx_ctx *c, const struct ir_value *x, double v) { return onnx_like(c, x, v); }

/* ---- activations ---- */
/* Those that take alpha, beta: their defaults; NAN: takes none. */
static const struct activation known[] = {
  { "Sigmoid", NAN, NAN }, { "Tanh", NAN, NAN }, { "Relu", NAN, NAN }, { "Softsign", NAN, NAN }, { "Softplus", NAN, NAN }, { "LeakyRelu", 0.01, NAN }, { "ThresholdedRelu", 1, NAN },
  { "Elu", 1, NAN }, { "HardSigmoid", 0.2, 0.5 }, { "Affine", 1, 0 }, { "ScaledTanh", 1, 1 },
};
static struct ir_value *activate(struct onnx_ctx *c, const struct activation *f, struct ir_value *x)
{
  struct ir_value *a = k(c, x, f->alpha), *b = k(c, x, f->beta), *zero = k(c, x, 0), *one = k(c, x, 1);
  switch (f->name[0]) {
  case 'T': return f->name[1] == 'a' ? onnx_1(c, IR_OP_tanh, x) : onnx_select(c, onnx_2(c, IR_OP_lt, a, x), x, zero);
  case 'R': return onnx_2(c, IR_OP_max, x, zero);
  case 'L': return onnx_select(c, onnx_2(c, IR_OP_lt, x, zero), mul(c, x, a), x);
  case 'E': return onnx_select(c, onnx_2(c, IR_OP_lt, x, zero), mul(c, a, sub(c, onnx_1(c, IR_OP_exp, x), one)), x);
  case 'H': return onnx_2(c, IR_OP_max, onnx_2(c, IR_OP_min, add_given(c, mul(c, x, a), b), one), zero);
  case 'A': return add_given(c, mul(c, x, a), b);
  default: break;
  }
  if (!strcmp(f->name, "Softsign")) return onnx_2(c, IR_OP_div, x, add_given(c, onnx_1(c, IR_OP_abs, x), one));
  if (!strcmp(f->name, "Softplus")) return add_given(c, onnx_2(c, IR_OP_max, x, zero), onnx_1(c, IR_OP_log, add_given(c, onnx_1(c, IR_OP_exp, onnx_1(c, IR_OP_neg, onnx_1(c, IR_OP_abs, x))), one)));
  if (!strcmp(f->name, "ScaledTanh")) return mul(c, a, onnx_1(c, IR_OP_tanh, mul(c, b, x)));
  return onnx_1(c, IR_OP_sigmoid, x);
}
static bool activation(struct onnx_ctx *c, const ProtobufCBinaryData *name, struct activation *f)
{
  for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
    if (strlen(known[i].name) == name->len && !strncasecmp(known[i].name, (const char *)name->data, name->len)) { *f = known[i]; return true; }
  return onnx_bad(c, IR_M0302, "activation \"%.*s\" is not known", (int)(name->len < 40 ? name->len : 40), (const char *)name->data);
}
static bool activations(struct onnx_ctx *c, struct cell *s)
{
  static const char *const dflt[][3] = { { "Tanh" }, { "Sigmoid", "Tanh" }, { "Sigmoid", "Tanh", "Tanh" } };
  const Onnx__AttributeProto *a = onnx_attr(c, "activations");
  struct onnx_floats alpha, beta;
  unsigned n = s->n_f * s->dirs, ka = 0, kb = 0;
  TRY(onnx_attr_floats(c, "activation_alpha", &alpha) && onnx_attr_floats(c, "activation_beta", &beta));
  if (a && a->n_strings != n) return onnx_bad(c, IR_M0302, "%zu activations, %u are needed", a->n_strings, n);
  for (unsigned i = 0; i < n; i++) {
    const char *d = dflt[s->kind][i % s->n_f];
    ProtobufCBinaryData name = { strlen(d), (uint8_t *)(uintptr_t)d };
    TRY(activation(c, a ? &a->strings[i] : &name, &s->f[i]));
    if (!isnan(s->f[i].alpha) && ka < alpha.n) s->f[i].alpha = alpha.v[ka++];
    if (!isnan(s->f[i].beta) && kb < beta.n) s->f[i].beta = beta.v[kb++];
  }
  return true;
}

/* ---- operands ---- */
static bool read_cell(struct onnx_ctx *c, struct cell *s)
{
  static const unsigned gates[] = { 1, 3, 4 };
  const char *dir;
  int64_t hidden, old, dirs;
  *s = (struct cell){ .kind = (enum kind)c->row->arg, .gates = gates[c->row->arg], .n_f = (unsigned)c->row->arg + 1 };
  TRY(onnx_operands(c, 3, s->kind == LONG ? 8 : 6) && onnx_attr_str(c, "direction", "forward", &dir) && onnx_attr_int(c, "hidden_size", 0, &hidden) && onnx_attr_float(c, "clip", 0, &s->clip));
  TRY(onnx_attr_flag(c, "layout", false, &s->batch_first) && onnx_attr_flag(c, "input_forget", false, &s->input_forget) && onnx_attr_flag(c, "linear_before_reset", false, &s->linear_before_reset));
  TRY(onnx_attr_int(c, "output_sequence", 0, &old));
  s->backwards = !strcmp(dir, "reverse");
  s->dirs = strcmp(dir, "bidirectional") ? 1 : 2;
  if (s->dirs == 1 && !s->backwards && strcmp(dir, "forward")) return onnx_bad(c, IR_M0302, "direction is \"%s\"", dir);
  const struct ir_type *x = c->in[X]->type, *w = c->in[W]->type, *r = c->in[R]->type;
  if (x->rank != 3 || w->rank != 3 || r->rank != 3) return onnx_bad(c, IR_M0201, "X is %s, W %s, R %s: expected rank 3", onnx_show(c, c->in[X]), onnx_show(c, c->in[W]), onnx_show(c, c->in[R]));
  if (!ir_ix_const(r->dim[2], &s->hidden) || !ir_ix_const(r->dim[0], &dirs) || dirs != s->dirs || !ir_ix_is(r->dim[1], s->gates * s->hidden) || w->dim[0] != r->dim[0] || w->dim[1] != r->dim[1])
    return onnx_bad(c, IR_M0201, "W is %s, R %s; expected [%u, %u*hidden, ..] twice", onnx_show(c, c->in[W]), onnx_show(c, c->in[R]), s->dirs, s->gates);
  if (hidden && hidden != s->hidden) return onnx_bad(c, IR_M0302, "hidden_size is %lld, R %s", (long long)hidden, onnx_show(c, c->in[R]));
  return activations(c, s);
}
/* Rows from..from + n of direction d of an operand [dirs, ..], without the axis of directions. */
static struct ir_value *rows(struct onnx_ctx *c, struct ir_value *v, unsigned d, int64_t from, int64_t n)
{
  const struct ir_ix *start[IR_MAX_RANK], *dim[IR_MAX_RANK];
  int64_t step[IR_MAX_RANK];
  for (unsigned a = 0; a < v->type->rank; a++) {
    start[a] = onnx_k(c, !a ? d : a == 1 ? from : 0);
    dim[a] = !a ? onnx_k(c, 1) : a == 1 && n ? onnx_k(c, n) : v->type->dim[a];
    step[a] = 1;
  }
  return ir_reshape(c->b, onnx_slice(c, v, start, step, dim), v->type->rank - 1, dim + 1);
}
/* Gates from..from + n of a bias [dirs, 2*gates*hidden]; second: of its recurrent half. NULL without one. */
static struct ir_value *bias(struct onnx_ctx *c, const struct cell *s, unsigned d, unsigned from, unsigned n, bool second)
{
  struct ir_value *b = onnx_in(c, B);
  return b ? rows(c, b, d, (from + (second ? s->gates : 0)) * s->hidden, n * s->hidden) : NULL;
}
static struct ir_value *initial(struct onnx_ctx *c, const struct cell *s, unsigned slot, unsigned d)
{
  struct ir_value *v = onnx_in(c, slot);
  const struct ir_ix *dim[] = { s->x->type->dim[1], onnx_k(c, s->hidden) };
  if (v && v->type->rank != 3) { onnx_bad(c, IR_M0201, "operand %u is %s, expected rank 3", slot, onnx_show(c, v)); return NULL; }
  if (v) v = rows(c, s->batch_first ? ir_transpose(c->b, v, (int64_t[]){ 1, 0, 2 }) : v, d, 0, 0);
  return ir_broadcast(c->b, v ? v : k(c, s->x, 0), 2, dim);
}

/* ---- one step ---- */
static struct ir_value *gate(struct onnx_ctx *c, const struct cell *s, struct ir_value *g, unsigned from, unsigned n)
{
  if (!g) return NULL;
  const struct ir_ix *start[] = { onnx_k(c, 0), onnx_k(c, from * s->hidden) }, *dim[] = { g->type->dim[0], onnx_k(c, n * s->hidden) };
  return onnx_slice(c, g, start, (int64_t[]){ 1, 1 }, dim);
}
static struct ir_value *squash(struct onnx_ctx *c, const struct cell *s, unsigned d, unsigned f, struct ir_value *x)
{
  if (x && s->clip > 0) x = onnx_2(c, IR_OP_max, onnx_2(c, IR_OP_min, x, k(c, x, s->clip)), k(c, x, -s->clip));
  return x ? activate(c, &s->f[d * s->n_f + f], x) : NULL;
}
/* What a step reads besides its input and state: R, P, and the second bias of GRU's last gate where it is not in the input. */
struct inside { struct ir_value *r, *p, *rb; };
static struct ir_value *recurrent(struct onnx_ctx *c, struct ir_value *h, struct ir_value *r) { return onnx_dot(c, h, r, "bh,gh->bg"); }
static void step_long(struct onnx_ctx *c, const struct cell *s, unsigned d, const struct inside *in, struct ir_value *x, struct ir_value *const *state, struct ir_value **next)
{
  struct ir_value *g = add_given(c, x, recurrent(c, state[0], in->r)), *C = state[1], *peep[3] = { 0 };
  for (unsigned q = 0; in->p && q < 3; q++) {
    const struct ir_ix *from = onnx_k(c, q * s->hidden), *n = onnx_k(c, s->hidden);
    peep[q] = onnx_slice(c, in->p, &from, (int64_t[]){ 1 }, &n);
  }
  struct ir_value *i = squash(c, s, d, 0, add_given(c, gate(c, s, g, 0, 1), peep[0] ? mul(c, peep[0], C) : NULL));
  struct ir_value *f = s->input_forget ? sub(c, k(c, i, 1), i) : squash(c, s, d, 0, add_given(c, gate(c, s, g, 2, 1), peep[2] ? mul(c, peep[2], C) : NULL));
  next[1] = add_given(c, mul(c, f, C), mul(c, i, squash(c, s, d, 1, gate(c, s, g, 3, 1))));
  struct ir_value *o = squash(c, s, d, 0, add_given(c, gate(c, s, g, 1, 1), peep[1] ? mul(c, peep[1], next[1]) : NULL));
  next[0] = next[1] ? mul(c, o, activate(c, &s->f[d * s->n_f + 2], next[1])) : NULL;
}
static void step_gated(struct onnx_ctx *c, const struct cell *s, unsigned d, const struct inside *in, struct ir_value *x, struct ir_value *const *state, struct ir_value **next)
{
  int64_t n = s->hidden;
  const struct ir_ix *zero = onnx_k(c, 0), *cols = onnx_k(c, n);
  const int64_t one[] = { 1, 1 };
  struct ir_value *H = state[0], *rzr = onnx_slice(c, in->r, (const struct ir_ix *[]){ zero, zero }, one, (const struct ir_ix *[]){ onnx_k(c, 2 * n), cols });
  struct ir_value *rh = onnx_slice(c, in->r, (const struct ir_ix *[]){ onnx_k(c, 2 * n), zero }, one, (const struct ir_ix *[]){ cols, cols });
  struct ir_value *zr = squash(c, s, d, 0, add_given(c, gate(c, s, x, 0, 2), recurrent(c, H, rzr))), *z = gate(c, s, zr, 0, 1), *r = gate(c, s, zr, 1, 1), *t;
  if (!zr || !rh) { next[0] = NULL; return; }
  if (s->linear_before_reset) t = mul(c, r, add_given(c, recurrent(c, H, rh), in->rb));
  else t = recurrent(c, mul(c, r, H), rh);
  struct ir_value *h = t ? squash(c, s, d, 1, add_given(c, gate(c, s, x, 2, 1), t)) : NULL;
  next[0] = h ? add_given(c, mul(c, sub(c, k(c, z, 1), z), h), mul(c, z, H)) : NULL;
}
static void step_simple(struct onnx_ctx *c, const struct cell *s, unsigned d, const struct inside *in, struct ir_value *x, struct ir_value *const *state, struct ir_value **next)
{
  next[0] = squash(c, s, d, 0, add_given(c, x, recurrent(c, state[0], in->r)));
}

/* ---- one direction ---- */
/* x at the loop's time, [b, gates]; backwards from the end, or from each sample's own end. */
static struct ir_value *at_time(struct onnx_ctx *c, struct ir_value *x, struct ir_value *i, struct ir_value *lens, bool back)
{
  const struct ir_ix *last = ir_ix_addi(x->type->dim[0], -1);
  if (!back) return onnx_gather(c, x, i, 0);
  if (!lens) return onnx_gather(c, x, sub(c, onnx_index(c, IR_i64, 0, NULL, &last, 1), i), 0);
  const struct ir_ix *map[] = { ir_ix_coord(c->m->ixs, 2), ir_ix_coord(c->m->ixs, 0), ir_ix_coord(c->m->ixs, 1) };
  struct ir_value *in[] = { x, sub(c, sub(c, lens, onnx_const(c, IR_i64, 1)), i) };      /* behind the end: clamped, and not used */
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, 3), ir_attr_ixs(c->m, "dims", x->type->dim + 1, 2) };
  return onnx_node(c, IR_OP_view, in, 2, a, 2);
}
/* The outputs, stacked backwards, in the order of time. */
static struct ir_value *in_order(struct onnx_ctx *c, const struct cell *s, struct ir_value *y)
{
  const struct ir_ix *const *dim = y->type->dim, *start[] = { ir_ix_addi(dim[0], -1), onnx_k(c, 0), onnx_k(c, 0) };
  if (!s->lens) return onnx_slice(c, y, start, (int64_t[]){ -1, 1, 1 }, dim);
  const struct ir_ix *t = ir_ix_coord(c->m->ixs, 0), *n = ir_ix_coord(c->m->ixs, 3);
  const struct ir_ix *map[] = { ir_ix_select(ir_ix_lt(t, n), ir_ix_sub(ir_ix_addi(n, -1), t), t), ir_ix_coord(c->m->ixs, 1), ir_ix_coord(c->m->ixs, 2) };
  struct ir_value *in[] = { y, onnx_along(c, s->lens, 1, 3) };
  struct ir_attr a[] = { ir_attr_ixs(c->m, "map", map, 3), ir_attr_ixs(c->m, "dims", dim, 3) };
  return onnx_node(c, IR_OP_view, in, 2, a, 2);
}
/* out: outputs [t,b,h], last states [b,h] */
static bool direction(struct onnx_ctx *c, const struct cell *s, unsigned d, struct ir_value **out)
{
  struct onnx_loop l;
  bool back = s->backwards || d == 1;
  unsigned n = s->kind == LONG ? 2 : 1, early = s->kind == GATED && s->linear_before_reset ? 2 : s->gates;   /* gates whose second bias may be added at once */
  struct ir_value *x = onnx_dot(c, s->x, rows(c, c->in[W], d, 0, 0), "tbi,gi->tbg"), *b = bias(c, s, d, 0, s->gates, false), *rb = bias(c, s, d, 0, early, true);
  if (rb && early < s->gates) {
    const struct ir_ix *zero = onnx_k(c, 0), *rest = onnx_k(c, (s->gates - early) * s->hidden);
    rb = onnx_pad(c, rb, k(c, rb, 0), &zero, &rest);
  }
  if (b) x = add_given(c, x, add_given(c, b, rb));
  struct ir_value *r = rows(c, c->in[R], d, 0, 0), *p = onnx_in(c, P) && s->kind == LONG ? rows(c, c->in[P], d, 0, 0) : NULL, *late = early < s->gates ? bias(c, s, d, 2, 1, true) : NULL;
  struct ir_value *init[] = { initial(c, s, H0, d), n > 1 ? initial(c, s, C0, d) : NULL }, *next[2], *y;
  TRY(x && onnx_loop_begin(c, &l, x->type->dim[0], NULL, NULL, init, n));
  struct inside in = { onnx_capture(c->im, r), onnx_capture(c->im, p), onnx_capture(c->im, late) };
  struct ir_value *lens = s->lens ? onnx_along(c, onnx_capture(c->im, s->lens), 0, 2) : NULL, *xt = at_time(c, onnx_capture(c->im, x), l.i, lens, back);
  (s->kind == LONG ? step_long : s->kind == GATED ? step_gated : step_simple)(c, s, d, &in, xt, l.state, next);
  y = next[0];
  for (unsigned i = 0; lens && i < n; i++) next[i] = onnx_select(c, onnx_2(c, IR_OP_lt, l.i, lens), next[i], l.state[i]);
  if (lens) y = onnx_select(c, onnx_2(c, IR_OP_lt, l.i, lens), y, k(c, y, 0));
  TRY(onnx_loop_end(c, &l, NULL, next, &y, 1, out + 1));          /* states, then the stack */
  out[0] = back ? in_order(c, s, out[n + 1]) : out[n + 1];
  return out[0] != NULL;
}
/* v[d] with an axis of directions at `axis`, joined. */
static struct ir_value *joined(struct onnx_ctx *c, struct ir_value *const *v, unsigned n, unsigned axis)
{
  struct ir_value *x[2];
  const struct ir_ix *dim[4];
  struct ir_attr a = ir_attr_int("axis", axis);
  unsigned rank = v[0]->type->rank + 1;
  for (unsigned i = 0; i < n; i++) {
    for (unsigned d = 0; d < rank; d++) dim[d] = d == axis ? onnx_k(c, 1) : v[i]->type->dim[d - (d > axis)];
    x[i] = ir_reshape(c->b, v[i], rank, dim);
  }
  return n == 1 ? x[0] : onnx_node(c, IR_OP_concat, x, n, &a, 1);
}
bool import_recurrent(struct onnx_ctx *c)
{
  struct cell s;
  TRY(read_cell(c, &s));
  onnx_widen(c);
  s.x = s.batch_first ? ir_transpose(c->b, c->in[X], (int64_t[]){ 1, 0, 2 }) : c->in[X];
  s.lens = onnx_in(c, LENS) ? ir_cast(c->b, c->in[LENS], IR_i64) : NULL;
  struct ir_value *of[2][4] = { { 0 } }, *v[2], *y;
  for (unsigned d = 0; d < s.dirs; d++) TRY(direction(c, &s, d, of[d]));
  for (unsigned i = 0; i < c->n_out && i < (s.kind == LONG ? 3 : 2); i++) {
    for (unsigned d = 0; d < s.dirs; d++) v[d] = of[d][i];
    y = joined(c, v, s.dirs, i == 0);
    if (y && s.batch_first) y = i ? ir_transpose(c->b, y, (int64_t[]){ 1, 0, 2 }) : ir_transpose(c->b, y, (int64_t[]){ 2, 0, 1, 3 });
    TRY(c->out[i] = y ? ir_cast(c->b, y, c->elem) : NULL);
  }
  return true;
}
