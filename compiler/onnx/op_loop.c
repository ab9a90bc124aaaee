/* Control flow: If, Loop, Scan. What is known when the model is compiled is decided here: an If with a known condition is its branch, a short Loop with a known
 * count is written out. All else is the core's loop; an If is two of them, with count 1 or 0. */
#include "compiler/onnx/loop.h"
#include "compiler/onnx/rows.h"
#include <math.h>
#include <string.h>

static bool subgraph(struct onnx_ctx *c, const char *name, const Onnx__GraphProto **out)
{
  const Onnx__AttributeProto *a = onnx_attr(c, name);
  *out = a ? a->g : NULL;
  return *out || onnx_bad(c, IR_M0302, "attribute %s holds no graph", name);
}
static struct ir_value *scalar(struct onnx_ctx *c, struct ir_value *v) { return v ? ir_reshape(c->b, v, 0, NULL) : NULL; }
static struct ir_value *zeros(struct onnx_ctx *c, const struct ir_type *t) { return ir_broadcast(c->b, ir_const_splat(c->b, ir_type_get(c->m, t->elem, 0, NULL), 0, 0), t->rank, t->dim); }
static bool same_types(struct onnx_ctx *c, const char *what, const struct ir_value *a, const struct ir_value *b)
{
  if (!a || !b) return false;
  return a->type == b->type || onnx_bad(c, IR_M0301, "%s is %s here and %s there; at run time only one shape is supported", what, onnx_show(c, a), onnx_show(c, b));
}

/* ---- If ---- */
/* One branch: its results in place of init, if it is taken. */
static bool branch(struct onnx_ctx *c, const Onnx__GraphProto *g, struct ir_value *count, struct ir_value *const *init, struct ir_value **out)
{
  struct onnx_loop l;
  struct ir_value **r = IR_NEWN(c->arena, struct ir_value *, c->n_out + 1);
  TRY(onnx_loop_begin(c, &l, NULL, count, NULL, init, c->n_out));
  bool ok = onnx_run_graph(c, g, NULL, 0, r, c->n_out);
  for (unsigned k = 0; ok && k < c->n_out; k++) ok = same_types(c, "a result of the branches", init[k], r[k]);
  if (!ok) { onnx_loop_drop(c); return false; }
  return onnx_loop_end(c, &l, NULL, r, NULL, 0, out);
}
/* The types of a branch's results: it is read once, and what was made of it is swept away. */
static bool branch_types(struct onnx_ctx *c, const Onnx__GraphProto *g, struct ir_value **zero)
{
  struct onnx_frame f;
  onnx_frame_enter(c, &f);
  bool ok = onnx_run_graph(c, g, NULL, 0, zero, c->n_out);
  onnx_frame_leave(c);
  for (unsigned k = 0; ok && k < c->n_out; k++) {
    if (!zero[k]) return onnx_bad(c, IR_M0301, "output %u of a branch has no value", k);
    zero[k] = zeros(c, zero[k]->type);
  }
  return ok;
}
bool import_if(struct onnx_ctx *c)
{
  int64_t cond;
  unsigned n;
  const Onnx__GraphProto *yes, *no;
  TRY(onnx_operands(c, 1, 1) && subgraph(c, "then_branch", &yes) && subgraph(c, "else_branch", &no));
  if (ir_value_const_ints(c->in[0], 1, &cond, &n) && n == 1) return onnx_inline_graph(c, cond ? yes : no);
  struct ir_value *p = scalar(c, c->in[0]), *one = onnx_const(c, IR_i64, 1), *zero = onnx_const(c, IR_i64, 0);
  if (!p || p->type->elem != IR_bool) return onnx_bad(c, IR_M0202, "the condition is %s, expected bool", onnx_show(c, c->in[0]));
  struct ir_value **v = IR_NEWN(c->arena, struct ir_value *, c->n_out + 1), **w = IR_NEWN(c->arena, struct ir_value *, c->n_out + 1);
  TRY(branch_types(c, yes, v) && branch(c, yes, onnx_select(c, p, one, zero), v, w));
  return branch(c, no, onnx_select(c, p, zero, one), w, c->out);
}

/* ---- Loop ---- */
enum { UNROLL_TRIPS = 1024, UNROLL_NODES = 256 /* written out though the core's loop would do */ };
static bool is_true(const struct ir_value *v) { double k; return !v || (ir_value_is_splat(v, &k) && k != 0); }
static bool is_false(const struct ir_value *v) { double k; return v && ir_value_is_splat(v, &k) && k == 0; }
static struct ir_value *stack(struct onnx_ctx *c, struct ir_value *const *v, unsigned n)
{
  struct ir_value **x = IR_NEWN(c->arena, struct ir_value *, n + 1);
  struct ir_attr axis = ir_attr_int("axis", 0);
  for (unsigned i = 0; i < n; i++) {
    const struct ir_ix *dim[IR_MAX_RANK + 1] = { onnx_k(c, 1) };
    if (!v[i] || v[i]->type->rank == IR_MAX_RANK) return NULL;
    memcpy(dim + 1, v[i]->type->dim, v[i]->type->rank * sizeof *dim);
    x[i] = ir_reshape(c->b, v[i], v[i]->type->rank + 1, dim);
  }
  return n == 1 ? x[0] : onnx_node(c, IR_OP_concat, x, n, &axis, 1);
}
/* trips iterations in a row, while the condition is known to hold; *known false: it is not known, and nothing was said. */
static bool unrolled(struct onnx_ctx *c, const Onnx__GraphProto *g, int64_t trips, bool *known)
{
  unsigned carried = c->n_in - 2, n_out = (unsigned)g->n_output, scans = n_out - 1 - carried;
  struct ir_value **in = IR_NEWN(c->arena, struct ir_value *, carried + 2), **out = IR_NEWN(c->arena, struct ir_value *, n_out + 1);
  struct ir_value **all = IR_NEWN(c->arena, struct ir_value *, (size_t)trips * scans + 1);
  int64_t i = 0;
  in[1] = onnx_in(c, 1) ? c->in[1] : ir_const_splat(c->b, ir_type_get(c->m, IR_bool, 0, NULL), 1, 1);
  for (unsigned k = 0; k < carried; k++) in[k + 2] = c->in[k + 2];
  *known = true;
  for (; i < trips && !is_false(in[1]); i++) {
    if (!is_true(in[1])) { *known = false; return true; }
    in[0] = ir_const_ints(c->b, IR_i64, 0, NULL, &i);
    TRY(onnx_run_graph(c, g, in, carried + 2, out, n_out));
    in[1] = out[0];
    for (unsigned k = 0; k < carried; k++) in[k + 2] = out[k + 1];
    for (unsigned k = 0; k < scans; k++) all[k * trips + i] = out[1 + carried + k];
  }
  for (unsigned k = 0; k < carried && k < c->n_out; k++) c->out[k] = in[k + 2];
  for (unsigned k = 0; k < scans && carried + k < c->n_out; k++) {
    if (!i) return onnx_bad(c, IR_M0301, "the loop has no iteration, and its stacked outputs no known shape");
    TRY(c->out[carried + k] = stack(c, all + k * trips, (unsigned)i));
  }
  return true;
}
/* The number of iterations as an expression: the count, if the condition never changes. */
static const struct ir_ix *trip_expression(struct onnx_ctx *c)
{
  const struct ir_ix *n, *p;
  struct ir_value *cond = onnx_in(c, 1);
  if (!onnx_in(c, 0) || !onnx_number(c, 0, &n)) return NULL;
  n = ir_ix_max(n, onnx_k(c, 0));
  if (is_true(cond)) return n;
  return onnx_number(c, 1, &p) ? onnx_read_size(c, ir_ix_select(ir_ix_eq0(p), onnx_k(c, 0), n)) : NULL;
}
/* ---- the most iterations that a condition allows: it compares a counter with something that the body does not change ---- */
static struct ir_value *uncast(struct ir_value *v)
{
  while (v->def && (v->def->op == IR_OP_cast || v->def->op == IR_OP_reshape) && v->def->in[0]->type->elem != IR_bool && !onnx_is_float(v->def->in[0])) v = v->def->in[0];
  return v;
}
static bool plus_const(struct ir_value *v, struct ir_value **base, int64_t *by)
{
  double k;
  *base = uncast(v);
  *by = 0;
  const struct ir_node *d = (*base)->def;
  if (!d || d->op != IR_OP_add) return true;
  for (unsigned i = 0; i < 2; i++)
    if (ir_value_is_splat(d->in[i], &k) && fabs(k) < 1 << 30) { *base = uncast(d->in[1 - i]); *by = (int64_t)k; return true; }
  return false;
}
/* v, in the body, is from + by*i in iteration i. */
static bool counts(const struct onnx_loop *l, struct ir_value *v, struct ir_value *const *next, int64_t *from, int64_t *by)
{
  struct ir_value *base, *again;
  int64_t add, k;
  unsigned n;
  if (!plus_const(v, &base, &add)) return false;
  if (base == l->i) { *from = add; *by = 1; return true; }
  for (unsigned s = 0; s < l->n_state; s++)
    if (l->state[s] == base && next[s] && plus_const(next[s], &again, by) && again == base && *by > 0 && ir_value_const_ints(l->init[s], 1, &k, &n) && n == 1 && k > -(1 << 30) && k < 1 << 30) {
      *from = k + add;
      return true;
    }
  return false;
}
static const struct ir_ix *limit_of(struct onnx_ctx *c, const struct onnx_loop *l, struct ir_value *v)
{
  struct onnx_ixs form;
  struct ir_value *o = onnx_outermost(c, uncast(v));
  if (o->graph == l->frame.g && !o->form) return NULL;
  if (!onnx_form(c, o, &form) || form.n != 1) return NULL;
  for (uint32_t s = l->late; s < c->m->late.n && o->graph == l->frame.g; s++)
    if (ir_ix_uses(form.v[0], c->m->late.v[s].sym)) return NULL;
  return form.v[0];
}
/* cond holds behind iteration i only while from + by*i < limit: that is one iteration, and one more for each such i. */
static const struct ir_ix *most_trips(struct onnx_ctx *c, const struct onnx_loop *l, struct ir_value *cond, struct ir_value *const *next, unsigned depth)
{
  const struct ir_node *d = uncast(cond)->def;
  int64_t from, by;
  if (!d || depth > 8) return NULL;
  if (d->op == IR_OP_and) {
    const struct ir_ix *a = most_trips(c, l, d->in[0], next, depth + 1), *b = most_trips(c, l, d->in[1], next, depth + 1);
    return a && b ? ir_ix_min(a, b) : a ? a : b;
  }
  if ((d->op != IR_OP_lt && d->op != IR_OP_le) || ir_elem_class(d->in[0]->type->elem) == 'F' || !counts(l, d->in[0], next, &from, &by)) return NULL;
  const struct ir_ix *limit = limit_of(c, l, d->in[1]);
  if (!limit) return NULL;
  const struct ir_ix *more = ir_ix_divi(ir_ix_addi(limit, by - 1 - from + (d->op == IR_OP_le)), by);
  return ir_ix_addi(ir_ix_max(more, onnx_k(c, 0)), 1);
}
/* The first `done` places of a stack, which has room for all iterations that there may be. */
static struct ir_value *front(struct onnx_ctx *c, struct ir_value *v, struct ir_value *done)
{
  const struct ir_ix *start[IR_MAX_RANK], *dim[IR_MAX_RANK], *const *n;
  int64_t step[IR_MAX_RANK];
  if (!onnx_bind(c, done, 0, INT32_MAX, v->type->dim[0], &n)) return NULL;
  for (unsigned d = 0; d < v->type->rank; d++) {
    start[d] = onnx_k(c, 0);
    step[d] = 1;
    dim[d] = d ? v->type->dim[d] : n[0];
  }
  return onnx_slice(c, v, start, step, dim);
}
/* *again: it ends by a condition and stacks, so it counts what it has done in one more carried value, *most times at most. Set where that is found out. */
static bool rolled(struct onnx_ctx *c, const Onnx__GraphProto *g, bool *again, const struct ir_ix **most)
{
  unsigned carried = c->n_in - 2, n_out = (unsigned)g->n_output, scans = n_out - 1 - carried;
  struct ir_value **in = IR_NEWN(c->arena, struct ir_value *, carried + 2), **out = IR_NEWN(c->arena, struct ir_value *, n_out + 1), **r = IR_NEWN(c->arena, struct ir_value *, n_out + 2);
  struct ir_value **init = IR_NEWN(c->arena, struct ir_value *, carried + 1);
  struct onnx_loop l;
  const struct ir_ix *trips = !scans ? NULL : *again ? *most : trip_expression(c);
  int64_t far = INT64_MAX;
  struct ir_value *count = onnx_in(c, 0) ? ir_cast(c->b, scalar(c, c->in[0]), IR_i64) : ir_const_ints(c->b, IR_i64, 0, NULL, &far);
  memcpy(init, c->in + 2, carried * sizeof *init);
  init[carried] = onnx_const(c, IR_i64, 0);
  TRY(onnx_loop_begin(c, &l, trips, count, onnx_in(c, 1) ? scalar(c, c->in[1]) : NULL, init, carried + *again));
  in[0] = l.i;
  in[1] = l.cond_in;
  for (unsigned k = 0; k < carried; k++) in[k + 2] = l.state[k];
  bool ok = onnx_run_graph(c, g, in, carried + 2, out, n_out), steady = false;
  if (ok) {
    steady = is_true(out[0]) || out[0] == l.cond_in;
    const struct ir_ix *bound = scans && !steady && !*again && out[0] ? most_trips(c, &l, out[0], out + 1, 0) : NULL;
    if (scans && !trips && !bound) ok = onnx_bad(c, IR_M0303, "the number of iterations is known at run time only, and with it the size of what the loop stacks");
    if (ok && scans && !steady && !*again) {
      onnx_loop_drop(c);
      *again = true;
      *most = !trips ? bound : bound ? ir_ix_min(trips, bound) : trips;
      return true;
    }
    for (unsigned k = 0; ok && k < carried; k++) ok = same_types(c, "a carried value", l.state[k], out[k + 1]);
    if (ok && out[0]) out[0] = scalar(c, out[0]);
  }
  if (!ok) { onnx_loop_drop(c); return false; }
  struct ir_value **state = out + 1, **stacks = out + 1 + carried;
  if (*again) {
    state = IR_NEWN(c->arena, struct ir_value *, carried + 1);
    memcpy(state, out + 1, carried * sizeof *state);
    state[carried] = onnx_2(c, IR_OP_add, l.state[carried], onnx_const(c, IR_i64, 1));
  }
  TRY(onnx_loop_end(c, &l, out[0], state, stacks, scans, r));
  for (unsigned k = 0; k < c->n_out && k < carried; k++) c->out[k] = r[k];
  for (unsigned k = carried; k < c->n_out && k < carried + scans; k++)
    TRY((c->out[k] = *again ? front(c, r[k + 1], r[carried]) : r[k]) != NULL);
  *again = false;
  return true;
}
bool import_loop(struct onnx_ctx *c)
{
  const Onnx__GraphProto *g;
  int64_t trips;
  unsigned n;
  TRY(subgraph(c, "body", &g));
  if (c->n_in < 2) { struct ir_value **in = IR_NEWN(c->arena, struct ir_value *, 3); memcpy(in, c->in, c->n_in * sizeof *in); c->in = in; c->n_in = 2; }
  for (unsigned i = 2; i < c->n_in; i++)
    if (!c->in[i]) return onnx_bad(c, IR_M0203, "operand %u is missing", i);
  if (g->n_input != c->n_in || g->n_output + 1 < c->n_in) return onnx_bad(c, IR_M0203, "its body has %zu inputs and %zu outputs for %u operands", g->n_input, g->n_output, c->n_in);
  bool counted = onnx_in(c, 0) && ir_value_const_ints(c->in[0], 1, &trips, &n) && n == 1 && trips <= UNROLL_TRIPS, known = false;
  if (counted && (trips <= 1 || (uint64_t)trips * g->n_node <= UNROLL_NODES)) TRY(unrolled(c, g, trips, &known));
  bool again = false;
  const struct ir_ix *most = NULL;
  return known || (rolled(c, g, &again, &most) && (!again || rolled(c, g, &again, &most)));
}

/* ---- Scan (from opset 9 on): states, then sequences that are read one place an iteration ---- */
struct scan { const Onnx__GraphProto *body; unsigned states, seqs; int64_t *in_axis, *in_back, *out_axis, *out_back; };
static bool scan_list(struct onnx_ctx *c, const char *name, unsigned n, int64_t **out)
{
  struct onnx_ints a;
  TRY(onnx_attr_ints(c, name, &a));
  if (a.present && a.n != n) return onnx_bad(c, IR_M0302, "%s has %u entries, %u are needed", name, a.n, n);
  *out = IR_NEWN(c->arena, int64_t, n + 1);
  for (unsigned i = 0; i < n; i++) (*out)[i] = a.present ? a.v[i] : 0;
  return true;
}
static bool scan_attributes(struct onnx_ctx *c, struct scan *s)
{
  int64_t seqs;
  if (c->opset < 9) return onnx_bad(c, IR_M0301, "opset 8's form, with a batch axis and sequence lengths, is not supported; convert the model to opset 9 or later");
  TRY(subgraph(c, "body", &s->body) && onnx_attr_int(c, "num_scan_inputs", 0, &seqs) && onnx_operands(c, c->n_in, UINT32_MAX));
  if (seqs < 1 || seqs > c->n_in) return onnx_bad(c, IR_M0302, "num_scan_inputs is %lld for %u operands", (long long)seqs, c->n_in);
  s->seqs = (unsigned)seqs;
  s->states = c->n_in - s->seqs;
  if (s->body->n_input != c->n_in || s->body->n_output < s->states) return onnx_bad(c, IR_M0203, "its body has %zu inputs and %zu outputs for %u operands", s->body->n_input, s->body->n_output, c->n_in);
  unsigned outs = (unsigned)s->body->n_output - s->states;
  return scan_list(c, "scan_input_axes", s->seqs, &s->in_axis) && scan_list(c, "scan_input_directions", s->seqs, &s->in_back) &&
         scan_list(c, "scan_output_axes", outs, &s->out_axis) && scan_list(c, "scan_output_directions", outs, &s->out_back);
}
/* The stack's first axis becomes `axis`, and is turned round. */
static struct ir_value *laid(struct onnx_ctx *c, struct ir_value *v, int64_t axis, bool back)
{
  unsigned at;
  int64_t perm[IR_MAX_RANK], step[IR_MAX_RANK];
  const struct ir_ix *start[IR_MAX_RANK];
  unsigned rank = v->type->rank;
  if (!onnx_axis(c, axis, rank, &at)) return NULL;
  for (unsigned d = 0; d < rank; d++) {
    step[d] = back && !d ? -1 : 1;
    start[d] = back && !d ? ir_ix_addi(v->type->dim[0], -1) : onnx_k(c, 0);
    perm[d] = d < at ? d + 1 : d == at ? 0 : d;
  }
  return ir_transpose(c->b, onnx_slice(c, v, start, step, v->type->dim), perm);
}
bool import_scan(struct onnx_ctx *c)
{
  struct scan s;
  struct onnx_loop l;
  TRY(scan_attributes(c, &s));
  const struct ir_ix *trips = NULL;
  for (unsigned k = 0; k < s.seqs; k++) {
    unsigned at;
    struct ir_value *x = c->in[s.states + k];
    TRY(onnx_axis(c, s.in_axis[k], x->type->rank, &at));
    s.in_axis[k] = at;
    if (trips) TRY(ir_require_eq(c->m, trips, x->type->dim[at], "the sequences of Scan are equally long"));
    trips = trips ? trips : x->type->dim[at];
  }
  unsigned n_out = (unsigned)s.body->n_output;
  struct ir_value **in = IR_NEWN(c->arena, struct ir_value *, c->n_in + 1), **out = IR_NEWN(c->arena, struct ir_value *, n_out + 1), **r = IR_NEWN(c->arena, struct ir_value *, n_out + 1);
  TRY(onnx_loop_begin(c, &l, trips, NULL, NULL, c->in, s.states));
  const struct ir_ix *last = ir_ix_addi(trips, -1);
  for (unsigned k = 0; k < s.states; k++) in[k] = l.state[k];
  for (unsigned k = 0; k < s.seqs; k++) {
    struct ir_value *i = s.in_back[k] ? onnx_2(c, IR_OP_sub, onnx_index(c, IR_i64, 0, NULL, &last, 1), l.i) : l.i;
    in[s.states + k] = onnx_gather(c, onnx_capture(c->im, c->in[s.states + k]), i, (unsigned)s.in_axis[k]);
  }
  bool ok = onnx_run_graph(c, s.body, in, c->n_in, out, n_out);
  for (unsigned k = 0; ok && k < s.states; k++) ok = same_types(c, "a state", l.state[k], out[k]);
  if (!ok) { onnx_loop_drop(c); return false; }
  TRY(onnx_loop_end(c, &l, NULL, out, out + s.states, n_out - s.states, r));
  for (unsigned k = 0; k < c->n_out && k < n_out; k++) TRY(c->out[k] = k < s.states ? r[k] : laid(c, r[k], s.out_axis[k - s.states], s.out_back[k - s.states]));
  return true;
}
