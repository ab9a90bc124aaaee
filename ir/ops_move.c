/* Movement: ops that are an index map, and cast. */
#include "ir/ops.h"

static const struct ir_ix *attr_ix(struct ir_module *m, const struct ir_node *n, const char *key, unsigned d)   /* IXS or INTS */
{
  const struct ir_attr *a = ir_attr_find(n, key);
  if (!a || d >= a->n) return NULL;
  return a->kind == IR_A_IXS ? a->ix[d] : ir_ix_int(m->ixs, a->is[d]);
}
static bool rank_of_attr(struct ir_module *m, const struct ir_node *n, const char *key, unsigned rank)
{
  const struct ir_attr *a = ir_attr_find(n, key);
  unsigned k = a ? a->n : 0;
  return k == rank || ir_op_error(m, n, IR_M0302, "%s has %u entries for rank %u", key, k, rank);
}

/* ---- cast {to} ---- */
static bool cast_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  out[0] = ir_type_get(m, ir_attr_find(n, "to")->elem, n->in[0]->type->rank, n->in[0]->type->dim);
  return true;
}
static bool cast_form(struct ir_module *m, struct ir_node *n)
{
  char to = ir_elem_class(n->out[0]->type->elem);
  if (!n->in[0]->form || to == 'F' || ir_elem_bits(n->out[0]->type->elem) < 32) return false;
  op_set_form(m, n->out[0], n->in[0]->form, n->in[0]->form_n);
  return true;
}
static struct kir_expr *cast_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  return kir_cast(kir_builder_nest(b), n->out[out]->type->elem, kir_value(b, n->in[0], c));
}
const struct ir_op_def ir_def_cast = {
  .name = "cast", .class = IR_C_MAP, .min_in = 1, .max_in = 1, .n_out = 1, .attrs = { { "to", IR_A_ELEM, true, NULL } },
  .infer = cast_infer, .form = cast_form, .nest = cast_nest,
};

/* ---- copy: stores a value once more, perhaps in another layout ---- */
static bool same_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  (void)m;
  out[0] = n->in[0]->type;
  return true;
}
static bool same_form(struct ir_module *m, struct ir_node *n)
{
  if (n->in[0]->form) op_set_form(m, n->out[0], n->in[0]->form, n->in[0]->form_n);
  return n->in[0]->form != NULL;
}
static struct kir_expr *same_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  (void)out;
  return kir_value(b, n->in[0], c);
}
const struct ir_op_def ir_def_copy = { .name = "copy", .class = IR_C_MOVE, .min_in = 1, .max_in = 1, .n_out = 1, .infer = same_infer, .form = same_form, .nest = same_nest };

/* ---- reshape {dims}: row-major order is kept ---- */
static bool reshape_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  out[0] = op_type_of_dims(m, n, n->in[0]->type->elem, "dims");
  if (!out[0]) return false;
  const struct ir_ix *a = ir_type_elems(m, n->in[0]->type), *b = ir_type_elems(m, out[0]);
  if (a == b) return true;
  if (ir_prove_eq0(&m->facts, ir_ix_sub(a, b)) == IR_NO)
    return ir_op_error(m, n, IR_M0201, "cannot reshape %s to %s: %s elements into %s", ir_type_str(m->arena, n->in[0]->type), ir_type_str(m->arena, out[0]), ir_ix_str(m->arena, a), ir_ix_str(m->arena, b));
  return ir_require_eq(m, a, b, "Reshape keeps the number of elements");
}
/* Coordinates of x under those of y: the dims of both are walked together and cut into the smallest runs of equal product, so that most axes pass through
 * and only a real split or merge makes a division. */
static struct kir_expr *reshape_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct ir_ixs *t = kir_builder_nest(b)->ixs;
  const struct ir_type *x = n->in[0]->type, *y = n->out[out]->type;
  const struct ir_ix *at[IR_MAX_RANK], *one = ir_ix_int(t, 1);
  for (unsigned i = 0, j = 0; i < x->rank || j < y->rank;) {
    unsigned i0 = i, j0 = j;
    const struct ir_ix *px = one, *py = one;
    if (i < x->rank) px = kir_dim(b, x->dim[i++]);
    if (j < y->rank) py = kir_dim(b, y->dim[j++]);
    while (px != py && (i < x->rank || j < y->rank)) {
      int64_t kx, ky;
      bool grow_x = i < x->rank && (j == y->rank || (ir_ix_const(px, &kx) && ir_ix_const(py, &ky) ? kx < ky : ir_ix_nterms(px) <= 1 && ir_known_ge0(NULL, ir_ix_sub(py, px))));
      if (grow_x) px = ir_ix_mul(px, kir_dim(b, x->dim[i++]));
      else if (j < y->rank) py = ir_ix_mul(py, kir_dim(b, y->dim[j++]));
      else px = ir_ix_mul(px, kir_dim(b, x->dim[i++]));
    }
    const struct ir_ix *lin = ir_ix_int(t, 0);
    for (unsigned d = j0; d < j; d++) lin = ir_ix_add(ir_ix_mul(lin, kir_dim(b, y->dim[d])), c[d]);
    for (unsigned d = i; d-- > i0;) {
      const struct ir_ix *e = kir_dim(b, x->dim[d]);
      at[d] = ir_ix_is(e, 1) ? ir_ix_int(t, 0) : d == i0 ? lin : ir_ix_mod(lin, e);
      if (d > i0) lin = ir_ix_div(lin, e);
    }
  }
  return kir_value(b, n->in[0], at);
}
/* Where the elements numbered at[] of a transpose's or slice's result stand in its operand; the sizes of both are known. */
static bool moved(struct ir_module *m, const struct ir_node *n, int64_t *at, unsigned count)
{
  const struct ir_value *x = n->in[0], *y = n->out[0];
  int64_t from[IR_MAX_RANK], to[IR_MAX_RANK], start[IR_MAX_RANK], step[IR_MAX_RANK], unused;
  const int64_t *perm = NULL;
  unsigned rank = y->type->rank;
  if (!ir_type_static(x->type, from, &unused) || !ir_type_static(y->type, to, &unused)) return false;
  if (n->op == IR_OP_transpose) ir_attr_get_ints(n, "perm", &perm);
  for (unsigned d = 0; d < rank && !perm; d++)
    if (!ir_ix_const(attr_ix(m, n, "start", d), &start[d]) || !ir_ix_const(attr_ix(m, n, "step", d), &step[d])) return false;
  for (unsigned i = 0; i < count; i++) {
    int64_t c[IR_MAX_RANK], rest = at[i];
    for (unsigned d = rank; d-- > 0; rest /= to[d]) {
      int64_t k = rest % to[d];
      c[perm ? (unsigned)perm[d] : d] = perm ? k : start[d] + step[d] * k;
    }
    at[i] = 0;
    for (unsigned d = 0; d < rank; d++) at[i] = at[i] * from[d] + c[d];
  }
  return true;
}
/* A list that is cut, turned and laid out anew in higher rank, as PyTorch's exporters reverse the pads of F.pad. */
static bool moved_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_ix *r[64];
  const struct ir_value *v = n->in[0];
  int64_t at[64], count;
  if (!ir_type_static(n->out[0]->type, NULL, &count) || count > 64) return false;
  for (int64_t i = 0; i < count; i++) at[i] = i;
  for (unsigned depth = 0; !v->form; depth++) {
    const struct ir_node *d = v->def;
    if (depth == 16 || !d || (d->op != IR_OP_reshape && d->op != IR_OP_transpose && d->op != IR_OP_slice)) return false;
    if (d->op != IR_OP_reshape) TRY(moved(m, d, at, (unsigned)count));
    v = d->in[0];
  }
  for (int64_t i = 0; i < count; i++) {
    if (at[i] < 0 || at[i] >= v->form_n) return false;
    r[i] = v->form[at[i]];
  }
  op_set_form(m, n->out[0], r, (unsigned)count);
  return true;
}
static bool reshape_form(struct ir_module *m, struct ir_node *n) { return n->out[0]->type->rank <= 1 && (same_form(m, n) || moved_form(m, n)); }
const struct ir_op_def ir_def_reshape = {
  .name = "reshape", .class = IR_C_MOVE, .min_in = 1, .max_in = 1, .n_out = 1, .attrs = { { "dims", IR_A_IXS, false, NULL } },
  .infer = reshape_infer, .form = reshape_form, .nest = reshape_nest,
};

/* ---- transpose {perm}: v[c] has dim i = x's dim perm[i] ---- */
static bool transpose_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type;
  const int64_t *p;
  const struct ir_ix *dim[IR_MAX_RANK];
  bool seen[IR_MAX_RANK] = { 0 };
  TRY(rank_of_attr(m, n, "perm", x->rank));
  ir_attr_get_ints(n, "perm", &p);
  for (unsigned d = 0; d < x->rank; d++) {
    if (p[d] < 0 || p[d] >= x->rank || seen[p[d]]) return ir_op_error(m, n, IR_M0302, "perm is not a permutation of 0..%u", x->rank - 1);
    seen[p[d]] = true;
    dim[d] = x->dim[p[d]];
  }
  out[0] = ir_type_get(m, x->elem, x->rank, dim);
  return true;
}
static struct kir_expr *transpose_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  const int64_t *p;
  const struct ir_ix *at[IR_MAX_RANK];
  (void)out;
  unsigned rank = ir_attr_get_ints(n, "perm", &p);
  for (unsigned d = 0; d < rank; d++) at[p[d]] = c[d];
  return kir_value(b, n->in[0], at);
}
static bool transpose_form(struct ir_module *m, struct ir_node *n) { return n->out[0]->type->rank <= 1 && same_form(m, n); }
const struct ir_op_def ir_def_transpose = {
  .name = "transpose", .class = IR_C_MOVE, .min_in = 1, .max_in = 1, .n_out = 1, .attrs = { { "perm", IR_A_INTS, false, NULL } },
  .infer = transpose_infer, .form = transpose_form, .nest = transpose_nest,
};

/* ---- broadcast {dims}: dims of x are right-aligned, equal or 1 ---- */
static bool broadcast_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type, *t = op_type_of_dims(m, n, x->elem, "dims");
  if (!t) return false;
  if (x->rank > t->rank) return ir_op_error(m, n, IR_M0201, "%s does not broadcast to a lower rank", ir_type_str(m->arena, x));
  for (unsigned d = 0; d < x->rank; d++) {
    const struct ir_ix *have = x->dim[d], *want = t->dim[t->rank - x->rank + d];
    if (have != want && !ir_ix_is(have, 1) && ir_dim_broadcast(m, have, want) != want)
      return ir_op_error(m, n, IR_M0201, "%s does not broadcast to %s", ir_type_str(m->arena, x), ir_type_str(m->arena, t));
  }
  out[0] = t;
  return true;
}
static struct kir_expr *broadcast_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  const struct ir_type *x = n->in[0]->type, *r = n->out[out]->type;
  struct ir_type tail = *r;
  const struct ir_ix *at[IR_MAX_RANK];
  unsigned skip = r->rank - x->rank;
  tail.rank = x->rank;
  for (unsigned d = 0; d < x->rank; d++) tail.dim[d] = r->dim[skip + d];
  op_broadcast_at(b, x, &tail, c + skip, at);
  return kir_value(b, n->in[0], at);
}
static bool broadcast_form(struct ir_module *m, struct ir_node *n)
{
  int64_t count;
  const struct ir_ix *r[64];
  if (!n->in[0]->form || n->out[0]->type->rank > 1 || !ir_type_static(n->out[0]->type, NULL, &count) || count > 64) return false;
  for (unsigned i = 0; i < (unsigned)count; i++) r[i] = n->in[0]->form[n->in[0]->form_n == 1 ? 0 : i];
  op_set_form(m, n->out[0], r, (unsigned)count);
  return true;
}
const struct ir_op_def ir_def_broadcast = {
  .name = "broadcast", .class = IR_C_MOVE, .min_in = 1, .max_in = 1, .n_out = 1, .attrs = { { "dims", IR_A_IXS, false, NULL } },
  .infer = broadcast_infer, .form = broadcast_form, .nest = broadcast_nest,
};

/* ---- slice {start, step, dims}: v[c] = x[start + step*c] ---- */
static bool slice_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type, *t = op_type_of_dims(m, n, x->elem, "dims");
  if (!t) return false;
  TRY(rank_of_attr(m, n, "dims", x->rank) && rank_of_attr(m, n, "start", x->rank) && rank_of_attr(m, n, "step", x->rank));
  for (unsigned d = 0; d < x->rank; d++) {
    const struct ir_ix *s = attr_ix(m, n, "start", d), *k = attr_ix(m, n, "step", d);
    const struct ir_ix *last = ir_ix_add(s, ir_ix_mul(k, ir_ix_addi(t->dim[d], -1)));
    if (ir_prove_eq0(&m->facts, t->dim[d]) == IR_YES) continue;
    if (ir_prove_ge0(&m->facts, s) == IR_NO || ir_prove_ge0(&m->facts, last) == IR_NO || ir_prove_ge0(&m->facts, ir_ix_sub(ir_ix_addi(x->dim[d], -1), ir_ix_max(s, last))) == IR_NO)
      return ir_op_error(m, n, IR_M0201, "slice of axis %u leaves %s", d, ir_type_str(m->arena, x));
  }
  out[0] = t;
  return true;
}
static struct kir_expr *slice_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  const struct ir_ix *at[IR_MAX_RANK];
  struct ir_module *m = n->graph->module;
  for (unsigned d = 0; d < n->out[out]->type->rank; d++)
    at[d] = ir_ix_add(kir_dim(b, attr_ix(m, n, "start", d)), ir_ix_mul(kir_dim(b, attr_ix(m, n, "step", d)), c[d]));
  return kir_value(b, n->in[0], at);
}
static bool slice_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_value *x = n->in[0], *y = n->out[0];
  int64_t start, step, count;
  const struct ir_ix *r[64];
  if (!x->form || y->type->rank != 1 || !ir_ix_const(attr_ix(m, n, "start", 0), &start) || !ir_ix_const(attr_ix(m, n, "step", 0), &step)) return false;
  if (!ir_type_static(y->type, NULL, &count) || count > 64) return false;
  for (int64_t i = 0; i < count; i++) {
    int64_t k = start + step * i;
    if (k < 0 || k >= x->form_n) return false;
    r[i] = x->form[k];
  }
  op_set_form(m, n->out[0], r, (unsigned)count);
  return true;
}
const struct ir_op_def ir_def_slice = {
  .name = "slice", .class = IR_C_MOVE, .min_in = 1, .max_in = 1, .n_out = 1,
  .attrs = { { "start", IR_A_IXS, false, NULL }, { "step", IR_A_IXS, false, NULL }, { "dims", IR_A_IXS, false, NULL } },
  .infer = slice_infer, .form = slice_form, .nest = slice_nest,
};

/* ---- pad x, value {lo, hi}: value (rank 0) around x; negative counts cut ---- */
static bool pad_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type;
  const struct ir_ix *dim[IR_MAX_RANK];
  TRY(rank_of_attr(m, n, "lo", x->rank) && rank_of_attr(m, n, "hi", x->rank));
  if (n->in[1]->type->rank || n->in[1]->type->elem != x->elem) return ir_op_error(m, n, IR_M0202, "the padding value is %s, not %s[]", ir_type_str(m->arena, n->in[1]->type), ir_elem_name(x->elem));
  for (unsigned d = 0; d < x->rank; d++) {
    dim[d] = ir_ix_add(x->dim[d], ir_ix_add(attr_ix(m, n, "lo", d), attr_ix(m, n, "hi", d)));
    if (ir_prove_ge0(&m->facts, dim[d]) == IR_NO) return ir_op_error(m, n, IR_M0201, "padding cuts more than axis %u of %s has", d, ir_type_str(m->arena, x));
  }
  out[0] = ir_type_get(m, x->elem, x->rank, dim);
  return true;
}
static struct kir_expr *pad_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  const struct ir_ix *at[IR_MAX_RANK];
  struct ir_module *m = n->graph->module;
  for (unsigned d = 0; d < n->out[out]->type->rank; d++) at[d] = ir_ix_sub(c[d], kir_dim(b, attr_ix(m, n, "lo", d)));
  return kir_value_or(b, n->in[0], at, kir_value(b, n->in[1], NULL));
}
const struct ir_op_def ir_def_pad = {
  .name = "pad", .class = IR_C_MOVE, .min_in = 2, .max_in = 2, .n_out = 1, .attrs = { { "lo", IR_A_IXS, false, NULL }, { "hi", IR_A_IXS, false, NULL } },
  .infer = pad_infer, .nest = pad_nest,
};

/* ---- concat {axis} ---- */
static bool concat_infer(struct ir_module *m, struct ir_node *n, const struct ir_type **out)
{
  const struct ir_type *x = n->in[0]->type;
  int64_t axis = ir_attr_get_int(n, "axis");
  const struct ir_ix *dim[IR_MAX_RANK], *sum = ir_ix_int(m->ixs, 0);
  if (axis < 0 || axis >= x->rank) return ir_op_error(m, n, IR_M0302, "axis %lld does not fit %s", (long long)axis, ir_type_str(m->arena, x));
  for (unsigned d = 0; d < x->rank; d++) dim[d] = x->dim[d];
  for (unsigned i = 0; i < n->n_in; i++) {
    const struct ir_type *t = n->in[i]->type;
    if (t->elem != x->elem || t->rank != x->rank) return ir_op_error(m, n, IR_M0202, "operands differ: %s and %s", ir_type_str(m->arena, x), ir_type_str(m->arena, t));
    for (unsigned d = 0; d < t->rank; d++)
      if (d != axis && t->dim[d] != dim[d]) {
        if (ir_prove_eq0(&m->facts, ir_ix_sub(t->dim[d], dim[d])) == IR_NO)
          return ir_op_error(m, n, IR_M0201, "operands %s and %s differ on axis %u, expected on axis %lld alone", ir_type_str(m->arena, x), ir_type_str(m->arena, t), d, (long long)axis);
        TRY(ir_require_eq(m, t->dim[d], dim[d], "operands of Concat agree outside of the axis"));
      }
    sum = ir_ix_add(sum, t->dim[axis]);
  }
  dim[axis] = sum;
  out[0] = ir_type_get(m, x->elem, x->rank, dim);
  return true;
}
static struct kir_expr *concat_nest(struct kir_nest_builder *b, const struct ir_node *n, unsigned out, const struct ir_ix *const *c)
{
  struct kir_nest *nest = kir_builder_nest(b);
  unsigned rank = n->out[out]->type->rank, axis = (unsigned)ir_attr_get_int(n, "axis");
  const struct ir_ix *at[IR_MAX_RANK], *start = ir_ix_int(nest->ixs, 0), **starts = IR_NEWN(nest->arena, const struct ir_ix *, n->n_in);
  for (unsigned i = 0; i < n->n_in; i++) {
    starts[i] = start;
    start = ir_ix_add(start, kir_dim(b, n->in[i]->type->dim[axis]));
  }
  struct kir_expr *e = NULL;
  for (unsigned i = n->n_in; i-- > 0;) {
    for (unsigned d = 0; d < rank; d++) at[d] = d == axis ? ir_ix_sub(c[d], starts[i]) : c[d];
    struct kir_expr *x = kir_value(b, n->in[i], at);
    e = e ? kir_select(nest, ir_ix_lt(c[axis], starts[i + 1]), x, e) : x;
  }
  return e;
}
static bool concat_form(struct ir_module *m, struct ir_node *n)
{
  const struct ir_ix *r[64];
  unsigned k = 0;
  if (n->out[0]->type->rank != 1) return false;
  for (unsigned i = 0; i < n->n_in; i++) {
    if (!n->in[i]->form || k + n->in[i]->form_n > 64) return false;
    for (unsigned j = 0; j < n->in[i]->form_n; j++) r[k++] = n->in[i]->form[j];
  }
  op_set_form(m, n->out[0], r, k);
  return true;
}
const struct ir_op_def ir_def_concat = {
  .name = "concat", .class = IR_C_MOVE, .min_in = 1, .max_in = -1, .n_out = 1, .attrs = { { "axis", IR_A_INT, true, NULL } },
  .infer = concat_infer, .form = concat_form, .nest = concat_nest,
};
