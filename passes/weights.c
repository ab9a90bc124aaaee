/* weights: lists the stored weights, each once per layout, and later writes them: evaluated from the mapped model and packed in slices of at most 16 MiB.
 *
 * A weight is a tree of movement and maps over constants (transposes, folded scales). Movement is a strided view of the mapped bytes and costs nothing; maps
 * over float32 go through a plain loop; everything else through the reference evaluator, which is also what tests compare with. Packing reads the view in
 * order and writes where the kernel's argument wants each element: its `at` is nearly always a sum of functions of one coordinate each, which become tables.
 * Requires: lower. */
#include "passes/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE = 16 << 20, GATHER = 4 << 20, PAGE = 4096 };

/* ---- the list ---- */
static bool same_ix(const struct ir_ix *a, const struct ir_ix *b)   /* of different tables: by text */
{
  if (!a || !b) return a == b;
  struct ir_buf x = { 0 }, y = { 0 };
  ir_ix_print(&x, a);
  ir_ix_print(&y, b);
  bool same = x.n == y.n && !memcmp(x.s, y.s, x.n);
  ir_buf_deinit(&x);
  ir_buf_deinit(&y);
  return same;
}
static bool same_storage(const struct kir_arr *a, const struct kir_arr *b)
{
  if (a->elem != b->elem || a->rank != b->rank || a->winograd != b->winograd || !same_ix(a->at, b->at) || !same_ix(a->elems, b->elems)) return false;
  for (unsigned d = 0; d < a->rank; d++)
    if (!same_ix(a->lo[d], b->lo[d]) || !same_ix(a->hi[d], b->hi[d])) return false;
  return true;
}
uint32_t pass_weight_find(const struct pass_program *p, const struct ir_value *v, const struct kir_arr *arr)
{
  for (uint32_t i = 0; i < p->weights.n; i++)
    if (p->weights.v[i].v == v && same_storage(p->weights.v[i].arr, arr)) return i;
  ir_bug("pass_weight_find", "a weight that is not stored");
}
static void add_weight(struct pass_ctx *c, const struct ir_value *v, const struct kir_arr *arr)
{
  struct pass_program *p = c->prog;
  int64_t elems;
  uint64_t align = c->target->align;
  for (uint32_t i = 0; i < p->weights.n; i++)
    if (p->weights.v[i].v == v && same_storage(p->weights.v[i].arr, arr)) return;
  if (!kir_arg_size(arr, NULL, 0, &elems)) ir_bug("weights", "a weight of unknown size");
  struct pass_weight w = { .v = v, .arr = arr, .offset = p->weights_bytes, .bytes = (uint64_t)elems * ir_elem_bytes(arr->elem) };
  p->weights_bytes = (w.offset + w.bytes + align - 1) / align * align;
  ir_push(p->arena, &p->weights, w);
}
int64_t pass_weight_growth(const struct pass_weight *w)
{
  int64_t elems;
  if (!w->arr->winograd || !ir_type_static(w->v->type, NULL, &elems)) return 0;
  return (int64_t)w->bytes - elems * (int64_t)ir_elem_bytes(w->v->type->elem);
}
bool pass_weights(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct pass_group *g = &p->groups.v[i];
    if (g->node->op != IR_OP_group) continue;
    const struct kir_kern *k = p->kernels.v[g->kernel].kern;
    for (uint32_t j = 0; j < k->args.n; j++) {
      const struct ir_value *v = pass_outer_value(g->node, g->nest->args.v[j]);
      if (pass_is_weight(v)) add_weight(c, v, k->args.v[j]);
    }
  }
  c->changed = p->weights.n > 0;
  return true;
}

/* Weights are too large for an arena; without memory for a slice there is no output. n == 0 gives a block too. */
static void *claim(int64_t n, size_t bytes)
{
  void *p = calloc(n ? (size_t)n : 1, bytes);
  if (p) return p;
  fprintf(stderr, "massc: out of memory\n");
  exit(IR_EXIT_BUG);
}

/* ---- values as strided views ---- */
struct view { const unsigned char *p; unsigned rank; int64_t dim[IR_MAX_RANK], stride[IR_MAX_RANK]; void *owned; };  /* strides in elements */

static int64_t view_elems(const struct view *x)
{
  int64_t n = 1;
  for (unsigned d = 0; d < x->rank; d++) n *= x->dim[d];
  return n;
}
static void dense_strides(struct view *x)
{
  int64_t s = 1;
  for (unsigned d = x->rank; d-- > 0; s *= x->dim[d]) x->stride[d] = s;
}
static bool is_dense(const struct view *x)
{
  int64_t s = 1;
  for (unsigned d = x->rank; d-- > 0; s *= x->dim[d])
    if (x->dim[d] != 1 && x->stride[d] != s) return false;
  return true;
}
static struct view view_new(const struct ir_type *t)
{
  struct view x = { .rank = t->rank };
  int64_t n;
  if (!ir_type_static(t, x.dim, &n)) ir_bug("weights", "a weight of unknown shape");
  dense_strides(&x);
  x.p = x.owned = claim(n, ir_elem_bytes(t->elem));
  return x;
}
/* Calls row(arg, offsets of the operands, n) for each innermost run; offs[i] counts in strides of x[i]. */
struct walk { const struct view *x[4]; unsigned n; int64_t off[4]; };
static bool walk_next(struct walk *w, int64_t *c, unsigned outer)
{
  const struct view *r = w->x[0];
  for (unsigned d = outer; d-- > 0;) {
    for (unsigned i = 0; i < w->n; i++) w->off[i] += w->x[i]->stride[d];
    if (++c[d] < r->dim[d]) return true;
    for (unsigned i = 0; i < w->n; i++) w->off[i] -= w->x[i]->stride[d] * r->dim[d];
    c[d] = 0;
  }
  return false;
}
/* An operand of a map, with the result's rank: stride 0 where it is broadcast. */
static struct view spread(const struct view *x, const struct view *r)
{
  struct view y = *x;
  y.rank = r->rank;
  for (unsigned d = 0; d < r->rank; d++) {
    unsigned have = x->rank + d >= r->rank ? x->rank + d - r->rank : IR_MAX_RANK;
    bool broadcast = have == IR_MAX_RANK || (x->dim[have] == 1 && r->dim[d] != 1);
    y.stride[d] = broadcast ? 0 : x->stride[have];
    y.dim[d] = r->dim[d];
  }
  return y;
}
static inline float load(const unsigned char *p, int64_t i)      /* files do not align their tensors */
{
  float f;
  memcpy(&f, p + i * (int64_t)sizeof f, sizeof f);
  return f;
}
static void map_row(enum ir_map f, float *r, const unsigned char *a, int64_t sa, const unsigned char *b, int64_t sb, int64_t n)
{
  if (f == IR_MAP_mul) for (int64_t i = 0; i < n; i++) r[i] = load(a, i * sa) * load(b, i * sb);
  else if (f == IR_MAP_add) for (int64_t i = 0; i < n; i++) r[i] = load(a, i * sa) + load(b, i * sb);
  else for (int64_t i = 0; i < n; i++) r[i] = (float)ir_scalar_f(f, load(a, i * sa), load(b, i * sb), 0);
}
static struct view evaluate(const struct ir_value *v);
static struct view evaluate_map(const struct ir_node *n)
{
  struct view r = view_new(n->out[0]->type), in[2] = { 0 }, op[2];
  for (unsigned i = 0; i < n->n_in; i++) { in[i] = evaluate(n->in[i]); op[i] = spread(&in[i], &r); }
  if (n->n_in == 1) op[1] = op[0];
  if (r.rank && view_elems(&r)) {
    struct walk w = { .x = { &r, &op[0], &op[1] }, .n = 3 };
    int64_t c[IR_MAX_RANK] = { 0 };
    unsigned last = r.rank - 1;
    do map_row(ir_op_map(n->op), (float *)r.owned + w.off[0], op[0].p + 4 * w.off[1], op[0].stride[last], op[1].p + 4 * w.off[2], op[1].stride[last], r.dim[last]);
    while (walk_next(&w, c, last));
  } else if (!r.rank) map_row(ir_op_map(n->op), r.owned, op[0].p, 0, op[1].p, 0, 1);
  free(in[0].owned);
  free(in[1].owned);
  return r;
}
static struct view evaluate_slow(const struct ir_value *v)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_tensor *t;
  if (!ir_eval_const(a, (struct ir_value *)v, UINT64_MAX, &t)) ir_bug("weights", "a weight cannot be evaluated");
  struct view x = view_new(v->type);
  ir_tensor_to_bytes(t, x.owned);
  ir_arena_destroy(a);
  return x;
}
static struct view compact(struct view x, unsigned size)   /* dense again */
{
  struct view r = x;
  int64_t n = view_elems(&x);
  r.p = r.owned = claim(n, size);
  dense_strides(&r);
  struct walk w = { .x = { &r, &x }, .n = 2 };
  int64_t c[IR_MAX_RANK] = { 0 };
  if (n) do memcpy((char *)r.owned + w.off[0] * size, x.p + w.off[1] * size, size); while (walk_next(&w, c, r.rank));
  free(x.owned);
  return r;
}
static struct view dense(struct view x, unsigned size) { return is_dense(&x) ? x : compact(x, size); }
static struct view evaluate_move(const struct ir_node *n)
{
  const struct ir_value *v = n->out[0];
  struct view x = evaluate(n->in[0]), y = x;
  const int64_t *perm;
  y.rank = v->type->rank;
  ir_type_static(v->type, y.dim, NULL);
  if (n->op == IR_OP_reshape) {
    x = dense(x, ir_elem_bytes(v->type->elem));
    y.p = x.p;
    y.owned = x.owned;
    dense_strides(&y);
  } else if (n->op == IR_OP_transpose) {
    unsigned k = ir_attr_get_ints(n, "perm", &perm);
    for (unsigned d = 0; d < k; d++) y.stride[d] = x.stride[perm[d]];
  } else {
    struct view r = y;
    y = spread(&x, &r);
  }
  return y;
}
static struct view evaluate_cast(const struct ir_node *n)      /* float32 to a narrower type */
{
  struct view x = dense(evaluate(n->in[0]), 4), r = view_new(n->out[0]->type);
  ir_round_floats(n->out[0]->type->elem, x.p, r.owned, view_elems(&r));
  free(x.owned);
  return r;
}
static struct view evaluate_concat(const struct ir_node *n)
{
  struct view r = view_new(n->out[0]->type);
  unsigned size = ir_elem_bytes(n->out[0]->type->elem), axis = (unsigned)ir_attr_get_int(n, "axis");
  int64_t outer = 1, inner = size, done = 0;
  for (unsigned d = 0; d < r.rank; d++) *(d < axis ? &outer : &inner) *= d == axis ? 1 : r.dim[d];
  for (unsigned i = 0; i < n->n_in; i++) {
    struct view x = dense(evaluate(n->in[i]), size);
    int64_t run = x.dim[axis] * inner;
    for (int64_t o = 0; o < outer && run; o++) memcpy((char *)r.owned + (o * r.dim[axis] + done) * inner, x.p + o * run, (size_t)run);
    done += x.dim[axis];
    free(x.owned);
  }
  return r;
}
static struct view evaluate_const(const struct ir_value *v)
{
  const struct ir_data *d = v->def->data;
  if (d->kind == IR_DATA_BYTES) {
    struct view x = { .p = d->p, .rank = v->type->rank };
    ir_type_static(v->type, x.dim, NULL);
    dense_strides(&x);
    return x;
  }
  static const struct ir_type one = { .rank = 0 };
  struct ir_type t = one;
  t.elem = v->type->elem;
  struct view x = view_new(&t), r = { .rank = v->type->rank };
  struct ir_tensor k = { .elem = t.elem, .n = 1 };
  double f = d->splat;
  int64_t i = d->splat_i;
  if (ir_elem_class(t.elem) == 'F') k.f = &f;
  else k.i = &i;
  ir_tensor_to_bytes(&k, x.owned);
  ir_type_static(v->type, r.dim, NULL);
  return spread(&x, &r);
}
static struct view evaluate(const struct ir_value *v)
{
  const struct ir_node *n = v->def;
  if (n->op == IR_OP_const) return evaluate_const(v);
  bool f32 = v->type->elem == IR_f32;
  for (unsigned i = 0; i < n->n_in; i++) f32 &= n->in[i]->type->elem == IR_f32;
  if (ir_op_is_map(n->op) && n->n_in <= 2 && f32) return evaluate_map(n);
  if (n->op == IR_OP_reshape || n->op == IR_OP_transpose || n->op == IR_OP_broadcast) return evaluate_move(n);
  if (n->op == IR_OP_concat) return evaluate_concat(n);
  if (n->op == IR_OP_cast && n->in[0]->type->elem == IR_f32 && (v->type->elem == IR_f16 || v->type->elem == IR_bf16 || v->type->elem == IR_tf32)) return evaluate_cast(n);
  return evaluate_slow(v);
}

/* ---- packing ---- */
struct packer { const struct kir_arr *arr; struct view x; unsigned size; int64_t *at[IR_MAX_RANK]; bool separable; };
static int64_t zero_sym(void *arg, const struct ir_sym *s, bool *known)
{
  const int64_t *c = arg;
  *known = s->kind == IR_SYM_COORD;
  return *known ? c[atoi(s->name + 1)] : 0;
}
static int64_t at_of(const struct ir_ix *at, int64_t *c)
{
  struct ir_ix_env env = { zero_sym, NULL, c };
  int64_t r;
  if (!ir_ix_eval(at, &env, &r)) ir_bug("weights", "a weight's layout cannot be evaluated");
  return r;
}
/* at(c) == sum over d of at(0..c_d..0) - (rank-1)*at(0), as expressions */
static bool separable(const struct ir_ix *at, unsigned rank)
{
  struct ir_ixs *t = ir_ix_table(at);
  const struct ir_ix *c[IR_MAX_RANK], *to[IR_MAX_RANK], *zero = ir_ix_int(t, 0), *sum = zero;
  for (unsigned d = 0; d < rank; d++) { c[d] = ir_ix_coord(t, d); to[d] = zero; }
  const struct ir_ix *origin = ir_ix_subst(at, c, to, rank);
  for (unsigned d = 0; d < rank; d++) {
    to[d] = c[d];
    sum = ir_ix_add(sum, ir_ix_sub(ir_ix_subst(at, c, to, rank), origin));
    to[d] = zero;
  }
  return ir_ix_add(sum, origin) == at;
}
static void make_tables(struct packer *k)
{
  const struct ir_ix *at = k->arr->at;
  unsigned rank = k->x.rank;
  int64_t c[IR_MAX_RANK] = { 0 };
  k->separable = !at || separable(at, rank);
  for (unsigned d = 0; d < rank; d++) {
    k->at[d] = claim(k->x.dim[d] + 1, sizeof(int64_t));
  }
  if (!at) {
    int64_t stride = 1, hi, lo;
    for (unsigned d = rank; d-- > 0; stride *= hi - lo) {
      if (!ir_ix_const(k->arr->hi[d], &hi) || !ir_ix_const(k->arr->lo[d], &lo)) ir_bug("weights", "a weight of unknown size");
      for (int64_t i = 0; i < k->x.dim[d]; i++) k->at[d][i] = (i - lo) * stride;
    }
    return;
  }
  int64_t origin = at_of(at, c);
  for (unsigned d = 0; d < rank && k->separable; d++, c[d - 1] = 0)
    for (int64_t i = 0; i < k->x.dim[d]; i++) {
      c[d] = i;
      k->at[d][i] = at_of(at, c) - (d ? origin : 0);
    }
}
/* The elements with lo <= c0 < hi into buf, which begins at element `first` of the stored weight. */
static void pack(const struct packer *k, int64_t lo, int64_t hi, unsigned char *buf, int64_t first)
{
  const struct view *x = &k->x;
  unsigned last = x->rank - 1, size = k->size;
  int64_t c[IR_MAX_RANK] = { lo };
  while (c[0] < hi) {
    int64_t src = 0, dst = -first;
    for (unsigned d = 0; d < last; d++) { src += c[d] * x->stride[d]; dst += k->at[d][c[d]]; }
    int64_t from = last ? 0 : lo, to = last ? x->dim[last] : hi;
    for (int64_t i = from; i < to; i++) {
      int64_t s = src + i * x->stride[last], t;
      if (k->separable) t = dst + k->at[last][i];
      else { c[last] = i; t = at_of(k->arr->at, c) - first; }
      if (size == 4) memcpy(buf + t * 4, x->p + s * 4, 4);      /* one move */
      else memcpy(buf + t * size, x->p + s * size, size);
    }
    c[last] = last ? 0 : hi;
    if (!last) break;
    unsigned d = last;
    while (d-- > 0) {
      if (++c[d] < (d ? x->dim[d] : hi) || !d) break;
      c[d] = 0;
    }
  }
}
/* ir_hash in four lanes, of which none waits for the others: faster than memory. */
static uint64_t hash_long(const void *p, size_t n, uint64_t seed)
{
  uint64_t h[4] = { seed, 1, 2, 3 }, w[4];
  const unsigned char *s = p;
  size_t rest = n;
  for (; rest >= sizeof w; s += sizeof w, rest -= sizeof w) {
    memcpy(w, s, sizeof w);
    for (int i = 0; i < 4; i++) {
      h[i] = (h[i] ^ w[i]) * 0x100000001b3u;
      h[i] ^= h[i] >> 29;
    }
  }
  return ir_hash(s, rest, ir_hash(h, sizeof h, n));
}
/* Bytes on their way to the file: written in aligned blocks of GATHER, which file systems keep in large pages of their cache. */
struct output { struct ir_diags *d; const char *path; int fd; int64_t base; uint64_t *hash; unsigned char *buf; int64_t at; size_t n; };   /* base: where the weights begin */
static bool flush(struct output *o)
{
  int64_t at = o->at;
  size_t n = o->n;
  o->n = 0;
  for (const unsigned char *s = o->buf; n;) {
    ssize_t k = pwrite(o->fd, s, n, at);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return ir_error(o->d, IR_M0002, NULL, NULL, "%s: cannot write weights: %s", o->path, strerror(k ? errno : ENOSPC));
    s += k;
    n -= (size_t)k;
    at += k;
  }
  return true;
}
static bool put(struct output *o, const void *p, size_t n, int64_t at)
{
  if (o->hash) *o->hash = hash_long(p, n, *o->hash ^ (uint64_t)at);
  at += o->base;
  for (const unsigned char *s = p; n;) {
    int64_t end = o->at + (int64_t)o->n, border = (o->at / GATHER + 1) * GATHER;
    if (o->n && (at < end || at >= border || at - end > PAGE)) TRY(flush(o));
    if (!o->n) { o->at = end = at; border = (at / GATHER + 1) * GATHER; }
    memset(o->buf + o->n, 0, (size_t)(at - end));                      /* between two weights */
    size_t k = (size_t)(border - at) < n ? (size_t)(border - at) : n;
    memcpy(o->buf + (at - o->at), s, k);
    o->n = (size_t)(at - o->at) + k;
    s += k;
    n -= k;
    at += (int64_t)k;
  }
  return true;
}
/* How far the slice that begins at lo reaches, and where it lies: at most SLICE bytes, no element of a later slice within. */
static int64_t slice_end(const struct packer *k, int64_t lo, int64_t rest, int64_t *first, int64_t *end)
{
  int64_t n = k->x.dim[0], best = n, a = INT64_MAX, b = INT64_MIN, max = SLICE / k->size;
  int64_t *least = claim(n + 1, sizeof *least);
  least[n] = INT64_MAX;
  for (int64_t i = n; i-- > lo;) least[i] = least[i + 1] < k->at[0][i] ? least[i + 1] : k->at[0][i];
  bool found = false;
  for (int64_t i = lo; i < n; i++) {
    int64_t t = k->at[0][i], na = a < t ? a : t, nb = b > t + rest ? b : t + rest;
    if (found && nb - na + 1 > max) break;
    a = na;
    b = nb;
    if (i + 1 == n || least[i + 1] > b) { best = i + 1; *first = a; *end = b + 1; found = true; }
  }
  free(least);
  return best;
}
/* Transformed 3x3 kernels (ir/kernel/winograd.c), BLOCK results' at a time: what is made together lies together. */
static void pack_winograd(const struct packer *k, float *buf)
{
  enum { BLOCK = 16, MOST = (KIR_WINOGRAD_MAX + 2) * (KIR_WINOGRAD_MAX + 2) };
  const struct view *x = &k->x;
  unsigned n = k->arr->winograd + 2;
  double g[KIR_WINOGRAD_MAX + 2][3];
  float u[BLOCK][MOST], w[9];
  kir_winograd_matrix(k->arr->winograd, g);
  for (int64_t o = 0; o < x->dim[0]; o += BLOCK)
    for (int64_t c = 0; c < x->dim[1]; c++) {
      int64_t some = x->dim[0] - o < BLOCK ? x->dim[0] - o : BLOCK;
      for (int64_t i = 0; i < some; i++) {
        for (unsigned t = 0; t < 9; t++) w[t] = load(x->p, (o + i) * x->stride[0] + c * x->stride[1] + t / 3 * x->stride[2] + t % 3 * x->stride[3]);
        kir_winograd_weight(k->arr->winograd, g, w, u[i]);
      }
      for (unsigned t = 0; t < n * n; t++) {
        int64_t to = k->at[1][c] + k->at[2][t / n] + k->at[3][t % n];
        for (int64_t i = 0; i < some; i++) buf[to + k->at[0][o + i]] = u[i][t];
      }
    }
}
static bool write_winograd(struct output *o, const struct pass_weight *w, struct packer *k)
{
  float *buf = claim((int64_t)w->bytes, 1);
  struct view x = k->x;
  for (unsigned e = 2; e < 4; e++) k->x.dim[e] = w->arr->winograd + 2;
  make_tables(k);
  k->x = x;
  pack_winograd(k, buf);
  bool ok = put(o, buf, w->bytes, (int64_t)w->offset);
  free(buf);
  for (unsigned e = 0; e < 4; e++) free(k->at[e]);
  free(k->x.owned);
  return ok;
}
static bool write_weight(struct output *o, const struct pass_weight *w)
{
  struct packer k = { .arr = w->arr, .x = evaluate(w->v), .size = ir_elem_bytes(w->arr->elem) };
  bool ok = true;
  if (!view_elems(&k.x)) { free(k.x.owned); return true; }
  if (!k.x.rank) { ok = put(o, k.x.p, k.size, (int64_t)w->offset); free(k.x.owned); return ok; }
  if (k.arr->winograd) return write_winograd(o, w, &k);
  make_tables(&k);
  int64_t rest = 0, first = 0, end = (int64_t)(w->bytes / k.size);
  for (unsigned e = 1; e < k.x.rank; e++) {
    int64_t m = 0;
    for (int64_t i = 0; i < k.x.dim[e]; i++) m = k.at[e][i] > m ? k.at[e][i] : m;
    rest += m;
  }
  for (int64_t lo = 0, hi; lo < k.x.dim[0] && ok; lo = hi) {
    if (k.separable && w->bytes > SLICE) hi = slice_end(&k, lo, rest, &first, &end);
    else hi = k.x.dim[0];
    unsigned char *buf = claim(end - first, k.size);
    pack(&k, lo, hi, buf, first);
    ok = put(o, buf, (size_t)(end - first) * k.size, (int64_t)w->offset + first * k.size);
    free(buf);
  }
  for (unsigned e = 0; e < k.x.rank; e++) free(k.at[e]);
  free(k.x.owned);
  return ok;
}
bool pass_weights_write(struct pass_program *p, struct ir_diags *d, const char *path, int fd, int64_t base, uint64_t *hash)
{
  struct output o = { d, path, fd, base, hash, claim(GATHER, 1), 0, 0 };
  bool ok = true;
  for (uint32_t i = 0; i < p->weights.n && ok; i++) ok = write_weight(&o, &p->weights.v[i]);
  ok = ok && flush(&o);
  free(o.buf);
  return ok;
}
