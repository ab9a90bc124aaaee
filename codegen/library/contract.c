/* contract: matmul, convolution and their kin as tiles of the output that stay in registers while the sum runs.
 *
 * The record's loops, outermost first, cut every axis down to the step of the register tile: rows are the m axes that keep a step, columns the n axis along
 * which vectors run. Below the last m or n loop lies the tile: fill, the k loops, one multiplication of a column of x by a row of w, then the epilogue at each
 * element that the thread owns. A constant w is packed in panels of the tile's width in the order of the k loops, so that a panel streams through once.
 *
 * `tail = AXIS peel s1 s2 ..` is one body per size: whole tiles, then tiles of s1, then of s2. For a constant extent the counts are chosen so that they come out
 * even if that is possible (49 = 13 + 3*12), else greedily. A tile that may overrun its axis is guarded through the arrays' shapes. */
#include <string.h>
#include "codegen/library/contract.h"

enum { UNROLL = 4, PREFETCH = 4096, MAX_PEEL = 6 };

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/* ================================================================ schedule ================================================================ */
struct plan {
  struct cg_contract *c;
  const struct cg_target *t;
  struct kir_sched *s;
  bool whole;                                     /* columns may not overrun the axis: it is part of a coordinate */
  unsigned lanes, rows;                           /* places of a vector; rows at most */
  int64_t cols;                                   /* of the tile */
  int64_t step[CG_MAX_AXES], chunk[CG_MAX_AXES];  /* m axes: of the tile, and of a task (0: the whole axis) */
};

static struct kir_loop *add_loop(struct plan *p, enum kir_loop_kind kind)
{
  ir_push(p->c->a, &p->s->loops, ((struct kir_loop){ .kind = kind }));
  return &p->s->loops.v[p->s->loops.n - 1];
}
static void add_part(struct plan *p, enum kir_loop_kind kind, unsigned axis, int64_t step)
{
  struct kir_loop *l = p->s->loops.n ? &p->s->loops.v[p->s->loops.n - 1] : NULL;
  if (kind != KIR_GRID || !l || l->kind != KIR_GRID || l->n == 4) l = add_loop(p, kind);
  l->part[l->n].axis = p->c->ax[axis].name;
  l->part[l->n++].step = step;
}

/* Vectors: the widest that every access allows. Columns: as many vectors as leave room for rows, with little of the last tile wasted. */
static unsigned widest(const struct plan *p)
{
  const struct cg_axis *v = &p->c->ax[p->c->vec];
  for (unsigned l = p->t->vec_lanes; l >= 4; l /= 2)
    if ((!v->n || v->n > l / 2) && (!p->whole || v->n % l == 0) && cg_contract_lanes_ok(p->c, l)) return l;
  return 1;
}
/* How many rows there are where that is known: the m axes of a constant extent. 0: the innermost is not. */
static int64_t rows_wanted(const struct plan *p)
{
  int64_t m = 1;
  for (unsigned i = p->c->n_ax; i-- > 0;)
    if (p->c->ax[i].role == CG_M) {
      if (!p->c->ax[i].n && m == 1) return 0;
      if (p->c->ax[i].n) m *= p->c->ax[i].n;
    }
  return m;
}
/* Rows that a tile of at most `rows` will have: even tiles of the innermost m axis, several of its lines where it is short. */
static double even_rows(const struct plan *p, int64_t rows)
{
  int64_t in = 0, out = 1;
  for (unsigned i = p->c->n_ax; i-- > 0;) {
    int64_t n = p->c->ax[i].n;
    if (p->c->ax[i].role != CG_M || n == 1) continue;
    if (in) {
      out = n ? n : 1;
      break;
    }
    if (!n) return (double)rows;
    in = n;
  }
  if (!in) return 1;
  if (2 * in > rows) return (double)in / (double)ceil_div(in, rows);
  int64_t lines = rows / in;
  return (double)in * (double)out / (double)ceil_div(out, lines);
}
static void choose_tile(struct plan *p)
{
  /* measured shares of peak (docs/kernel-ir.md): one vector wide is bound by loads, short tiles by the latency of the accumulators */
  static const struct { unsigned rows, vecs, share; } wide[] = { { 14, 2, 98 }, { 9, 3, 97 }, { 6, 4, 96 }, { 24, 1, 82 } },
                                                      narrow[] = { { 6, 2, 98 }, { 4, 3, 97 }, { 2, 4, 80 }, { 12, 1, 75 } };
  const struct cg_axis *v = &p->c->ax[p->c->vec];
  int64_t m = rows_wanted(p), n = v->n ? v->n : 1 << 20;
  bool big = p->t->n_vregs >= 32;
  double best = -1;
  p->lanes = widest(p);
  for (unsigned i = 0; i < 4; i++) {
    unsigned rows = big ? wide[i].rows : narrow[i].rows, vecs = big ? wide[i].vecs : narrow[i].vecs;
    int64_t cols = (int64_t)vecs * p->lanes;
    double accs = even_rows(p, rows) * vecs;
    double share = (big ? wide[i].share : narrow[i].share) * (double)n / (double)round_up(n, cols);
    double full = big ? 16 : 8;                   /* accumulators that hide the latency of a multiplication */
    if (m && accs < full) share *= accs / full;
    if (!m && (big ? rows != 6 : rows != 4)) continue;  /* rows come one by one, too: wide tiles stream w well for few of them */
    if ((cols > round_up(n, p->lanes) && vecs > 1) || (p->whole && n % cols)) continue;
    if (share > best) {
      best = share;
      p->rows = rows;
      p->cols = cols;
    }
  }
  if (best < 0) {
    p->rows = big ? 24 : 12;
    p->cols = p->lanes;
  }
  if (m && m <= 4) {                              /* bound by reading w: as wide as the registers allow */
    unsigned vecs = (p->t->n_vregs - 2) / ((unsigned)m + 1);
    p->rows = (unsigned)m;
    while (vecs > 8 || (vecs > 1 && ((int64_t)vecs * p->lanes > round_up(n, p->lanes) || (p->whole && n % ((int64_t)vecs * p->lanes))))) vecs--;
    p->cols = (int64_t)vecs * p->lanes;
  }
}

/* Rows of the tile: the innermost m axis, and the next one where that is short. */
static void choose_rows(struct plan *p)
{
  struct cg_contract *c = p->c;
  unsigned in = CG_MAX_AXES, out = CG_MAX_AXES;
  for (unsigned i = 0; i < c->n_ax; i++) {
    if (c->ax[i].role != CG_M) continue;
    p->step[i] = 1;
    if (c->ax[i].n == 1) continue;
    out = in;
    in = i;
  }
  if (in == CG_MAX_AXES) return;
  struct cg_axis *x = &c->ax[in];
  int64_t r = p->rows;
  if (!x->n) {
    p->step[in] = r;
    return;
  }
  int64_t tiles = ceil_div(x->n, r), hi = ceil_div(x->n, tiles);
  if (tiles > 1)
    for (int64_t h = r; 4 * h >= 3 * r; h--)      /* an equal division, if a little less high, needs no second body */
      if (x->n % h == 0) {
        hi = h;
        break;
      }
  p->step[in] = hi;
  if (tiles == 1 && out != CG_MAX_AXES && c->ax[out].n && 2 * x->n <= r) {
    int64_t k = r / x->n, n = c->ax[out].n;
    p->step[out] = n < k ? n : ceil_div(n, ceil_div(n, k));
  }
}
static void add_tail(struct plan *p, unsigned axis)
{
  const struct cg_axis *x = &p->c->ax[axis];
  int64_t s = p->step[axis];
  if (s == 1 || (x->n && x->n % s == 0)) return;
  IR_ASSERT(p->s->n_tails < 3);
  unsigned t = p->s->n_tails++, n = 0;
  p->s->tail[t].axis = x->name;
  bool even = x->n && !p->chunk[axis] && x->n % (s - 1) <= x->n / (s - 1);       /* tiles of s and s-1 cover it */
  if (even) p->s->tail[t].peel[n++] = s - 1;
  else if (!x->n)
    for (int64_t q = s > 6 ? s / 2 : 4; q >= 1; q /= 2) {
      if (q < s && n < MAX_PEEL) p->s->tail[t].peel[n++] = q;
    }
  else {
    int64_t rest = x->n % s;
    p->s->tail[t].peel[n++] = rest;
    if (p->chunk[axis] && p->chunk[axis] % s) p->s->tail[t].peel[n++] = 1;
  }
  p->s->tail[t].n = n;
}

/* How large a part of each m axis a task gets: enough tasks for the cores, and whole tiles; a batch of unknown size is a digit of the grid. */
static void choose_chunks(struct plan *p)
{
  struct cg_contract *c = p->c;
  int64_t tasks = 1;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_BATCH || c->ax[i].role == CG_N) {
      int64_t k = c->ax[i].n ? i == c->vec ? ceil_div(c->ax[i].n, p->cols) : c->ax[i].n : 1;
      if (!ir_mul64(tasks, k, &tasks)) return;
    }
  int64_t want = ceil_div(4 * (int64_t)p->t->cores, tasks > 0 ? tasks : 1);
  for (unsigned i = 0; i < c->n_ax; i++) {
    int64_t step = p->step[i], n = c->ax[i].n;
    if (c->ax[i].role != CG_M || n == 1) continue;
    if (!n) {
      p->chunk[i] = step == 1 ? 1 : round_up(96, step);
      continue;
    }
    int64_t tiles = ceil_div(n, step), chunks = want < tiles ? want : tiles;
    if (chunks <= 1) continue;
    while (tiles % chunks) chunks++;
    if (n % step && step > 1) continue;           /* uneven tiles stay together */
    p->chunk[i] = tiles / chunks * step;
    want = ceil_div(want, chunks);
  }
}

/* Bytes of an operand that all tasks of one batch element read, where they are known. */
static double bytes_of(const struct cg_contract *c, enum cg_role r)
{
  double b = 4;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == r || c->ax[i].role == CG_K) b *= c->ax[i].n ? (double)c->ax[i].n : 16;
  return b;
}

static void mn_loops(struct plan *p)
{
  struct cg_contract *c = p->c;
  bool w_first = bytes_of(c, CG_N) > bytes_of(c, CG_M);   /* the larger operand is read once, by neighbouring tasks */
  for (unsigned pass = 0; pass < 3; pass++) {
    if ((pass == 0) == w_first && pass < 2)
      for (unsigned i = 0; i < c->n_ax; i++)
        if (c->ax[i].role == CG_N) add_part(p, KIR_GRID, i, i == c->vec ? p->cols : 1);
    if (pass == 0)
      for (unsigned i = 0; i < c->n_ax; i++)
        if (c->ax[i].role == CG_BATCH) add_part(p, KIR_GRID, i, 1);
    if (pass == 0)
      for (unsigned i = 0; i < c->n_ax; i++)
        if (c->ax[i].role == CG_M && p->chunk[i]) add_part(p, KIR_GRID, i, p->chunk[i]);
  }
  for (unsigned i = 0; i < c->n_ax; i++) {
    if (c->ax[i].role != CG_M) continue;
    if (c->ax[i].n == 1 || (p->chunk[i] && p->chunk[i] == p->step[i])) continue;
    add_part(p, KIR_FOR, i, p->step[i]);
    add_tail(p, i);
  }
}

/* Is x's storage linear in axis i within aligned blocks of q? */
static bool linear_in_blocks(const struct cg_contract *c, unsigned i, int64_t q)
{
  const struct ir_ix *co, *rest, *in = ir_ix_fresh(c->ixs, "place", IR_SYM_ID, 0, q - 1, 1), *out = ir_ix_fresh(c->ixs, "group", IR_SYM_LOOP, 0, c->ax[i].n / q - 1, 1);
  const struct ir_ix *off = ir_ix_subst1(cg_offset(c->xr->arr, c->xr->at, c->ixs), c->ax[i].var, ir_ix_add(ir_ix_muli(out, q), in));
  return ir_ix_linear(off, in, &co, &rest) && ir_ix_linear(off, out, &co, &rest);
}
static void k_loops(struct plan *p)
{
  struct cg_contract *c = p->c;
  unsigned first = CG_MAX_AXES, last = CG_MAX_AXES, n_k = 0;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_K && c->ax[i].n != 1) {
      if (first == CG_MAX_AXES) first = i;
      last = i;
      n_k++;
    }
  if (!n_k) return;
  const struct cg_axis *x = &c->ax[first];
  const struct ir_ix *co, *rest;
  bool plain = ir_ix_linear(cg_offset(c->xr->arr, c->xr->at, c->ixs), x->var, &co, &rest);
  int64_t block = 0;
  for (int64_t q = 16; q >= 4 && !block; q /= 2)
    if (x->n >= q && x->n % q == 0 && (n_k > 1 || !plain) && linear_in_blocks(c, first, q)) block = q;
  if (block) add_part(p, KIR_FOR, first, block);
  else add_part(p, KIR_FOR, first, 1);
  for (unsigned i = first + 1; i < c->n_ax; i++)
    if (c->ax[i].role == CG_K && c->ax[i].n != 1) add_part(p, KIR_FOR, i, 1);
  if (block) add_part(p, KIR_FOR, first, 1);
  struct kir_loop *l = &p->s->loops.v[p->s->loops.n - 1];
  int64_t trips = block ? block : c->ax[last].n;
  l->unroll = block >= 8 ? 8 : trips && trips <= 12 ? (unsigned)trips : UNROLL;
  if (l->unroll == 1) l->unroll = 0;
}

static const char *inst_name(unsigned lanes) { return lanes == 16 ? "fma.v16" : lanes == 8 ? "fma.v8" : lanes == 4 ? "fma.v4" : "fma"; }

static struct kir_sched *schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct cg_contract c;
  const char *why;
  if (t->lanes > 1 || !cg_contract_read(&c, a, n, &why) || c.elem != IR_f32) return NULL;
  struct plan p = { .c = &c, .t = t, .s = IR_NEW(a, struct kir_sched) };
  p.s->kind = "contract";
  p.whole = cg_contract_whole(&c);
  choose_tile(&p);
  p.s->inst = inst_name(p.lanes);
  choose_rows(&p);
  choose_chunks(&p);
  mn_loops(&p);
  k_loops(&p);
  struct kir_stage st = { .operand = c.wr->arr->name, .how = KIR_DIRECT };
  if (cg_contract_packable(&c)) {
    st.how = KIR_PACKED;
    st.prefetch = PREFETCH;
  }
  ir_push(a, &p.s->stages, st);
  return p.s;
}

/* ================================================================= lower ================================================================= */
/* What is left of an axis inside of the loops so far: base <= value < lim, at most `step` (0: not known). exact: lim is base + step. */
struct left { const struct ir_ix *base, *lim; int64_t step; bool exact; };
struct state { struct left ax[CG_MAX_AXES]; };
struct lower {
  struct cg_contract *c;
  const struct kir_sched *s;
  const struct cg_target *t;
  const struct kir_inst *in;
  struct kir_kern *k;
  struct kir_emit e;
  unsigned last_mn;                               /* the last loop over an m or n axis */
  const char *why;
};

static bool refuse(struct lower *l, const char *why)
{
  if (!l->why) l->why = why;
  return false;
}
static int find_axis(const struct cg_contract *c, const char *name)
{
  for (unsigned i = 0; i < c->n_ax; i++)
    if (!strcmp(c->ax[i].name, name)) return (int)i;
  return -1;
}
static const struct ir_ix *num(struct lower *l, int64_t i) { return ir_ix_int(l->k->ixs, i); }

static const struct ir_ix *trips_of(struct lower *l, const struct left *x, int64_t s)
{
  if (x->exact && x->step) return num(l, ceil_div(x->step, s));
  return ir_ix_simplify(&l->k->facts, ir_ix_cdivi(ir_ix_sub(x->lim, x->base), s));
}
static void enter(struct left *x, int64_t s, const struct ir_ix *v)
{
  const struct ir_ix *base = ir_ix_add(x->base, ir_ix_muli(v, s)), *end = ir_ix_addi(base, s);
  bool exact = s == 1 || (x->exact && x->step && x->step % s == 0);
  *x = (struct left){ base, exact ? end : ir_ix_min(end, x->lim), s, exact };
}

/* ---- storage of constants ---- */
/* Coordinates of w: [groups and others][column panel][k in the order of the loops][column in the panel]. */
static bool pack_w(struct lower *l)
{
  struct cg_contract *c = l->c;
  struct kir_arr *w = c->wr->arr;
  const struct kir_expr *r = c->wr;
  struct ir_ixs *t = c->ixs;
  int64_t nr = 0, ext[IR_MAX_RANK], elems = 1;
  unsigned dn = IR_MAX_RANK;
  for (unsigned i = 0; i < l->s->loops.n; i++)
    for (unsigned j = 0; j < l->s->loops.v[i].n; j++)
      if (find_axis(c, l->s->loops.v[i].part[j].axis) == (int)c->vec) nr = l->s->loops.v[i].part[j].step;
  if (!cg_contract_packable(c) || nr < 1) return refuse(l, "this operand cannot be packed");
  for (unsigned d = 0; d < w->rank; d++) {
    const struct ir_ix *hi = w->shape[d] ? w->shape[d] : w->hi[d];
    if (!ir_ix_const(hi, &ext[d])) return refuse(l, "this operand cannot be packed");
    if (cg_coord_axis(c, r->at[d]) == &c->ax[c->vec]) dn = d;
  }
  if (cg_contract_whole(c) && c->ax[c->vec].n % nr) return refuse(l, "panels straddle groups");
  const struct ir_ix *at = num(l, 0), *n = ir_ix_coord(t, dn);
  for (unsigned d = 0; d < w->rank; d++) {        /* batch and other columns first */
    const struct cg_axis *x = cg_coord_axis(c, r->at[d]);
    if (d == dn || !x || x->role == CG_K) continue;
    at = ir_ix_add(ir_ix_muli(at, ext[d]), ir_ix_coord(t, d));
    elems *= ext[d];
  }
  at = ir_ix_add(ir_ix_muli(at, ceil_div(ext[dn], nr)), ir_ix_divi(n, nr));
  elems *= round_up(ext[dn], nr);
  int64_t left[IR_MAX_RANK];
  memcpy(left, ext, sizeof left);
  for (unsigned i = 0; i < l->s->loops.n; i++)
    for (unsigned j = 0; j < l->s->loops.v[i].n; j++)
      for (unsigned d = 0; d < w->rank; d++) {
        const struct cg_axis *x = cg_coord_axis(c, r->at[d]);
        int64_t s = l->s->loops.v[i].part[j].step;
        if (!x || x->role != CG_K || strcmp(x->name, l->s->loops.v[i].part[j].axis)) continue;
        const struct ir_ix *digit = ir_ix_coord(t, d);
        if (left[d] != ext[d]) digit = ir_ix_modi(digit, left[d]);
        at = ir_ix_add(ir_ix_muli(at, ceil_div(left[d], s)), ir_ix_divi(digit, s));
        elems *= ceil_div(left[d], s);
        if (ext[d] % left[d] || left[d] % s) return refuse(l, "a packed operand's blocks do not divide its axis");
        left[d] = s;
      }
  for (unsigned d = 0; d < w->rank; d++) {
    const struct cg_axis *x = cg_coord_axis(c, r->at[d]);
    if (x && x->role == CG_K && left[d] != 1) return refuse(l, "a packed operand's axis is not cut down to 1");
    w->shape[d] = num(l, ext[d]);
    w->lo[d] = num(l, 0);
    w->hi[d] = num(l, d == dn ? round_up(ext[d], nr) : ext[d]);
  }
  w->at = ir_ix_add(ir_ix_muli(at, nr), ir_ix_modi(n, nr));
  w->elems = num(l, elems);
  w->zero_pad = true;
  w->align = 64;
  return true;
}
/* Constants that go along the columns get zeros up to a whole tile: no masks where they are read. */
static void pad_const(struct lower *l, const struct kir_expr *e, int64_t nr)
{
  const struct cg_axis *v = &l->c->ax[l->c->vec];
  for (unsigned i = 0; i < e->n; i++) pad_const(l, e->a[i], nr);
  if (e->kind != KIR_E_READ || e->arr->space != KIR_CONST || e->arr->at || e->els || !v->n) return;
  for (unsigned d = 0; d < e->n_at; d++) {
    if (e->at[d] != v->var || e->arr->zero_pad) continue;
    e->arr->shape[d] = e->arr->shape[d] ? e->arr->shape[d] : e->arr->hi[d];
    e->arr->hi[d] = num(l, round_up(v->n, nr));
    e->arr->zero_pad = true;
    return;
  }
}

/* ---- the tile ---- */
struct tile {
  struct lower *l;
  struct state *st;
  const struct ir_ix *from[CG_MAX_AXES], *to[CG_MAX_AXES];   /* axes -> base + tile coordinate */
  struct kir_reg *acc, *temp[CG_MAX_ITEMS];       /* of acc, and of epilogue temporaries by item */
  const struct ir_ix *coord[CG_MAX_AXES];         /* tile coordinates; NULL for step 1 */
  unsigned n_coord;
};

static int64_t tile_dim(struct tile *t, struct kir_reg *r, unsigned d, enum cg_role role)
{
  int64_t n = 1;
  for (unsigned i = 0; i < t->l->c->n_ax; i++) {
    int64_t s = t->st->ax[i].step;
    if (t->l->c->ax[i].role != role || s <= 1) continue;
    IR_ASSERT(r->n_axes[d] < 4);
    r->axes[d][r->n_axes[d]].axis = ir_ix_as_sym(t->coord[i])->name;
    r->axes[d][r->n_axes[d]++].ext = s;
    n *= s;
  }
  return n;
}
static void coordinates(struct tile *t)
{
  struct cg_contract *c = t->l->c;
  for (unsigned i = 0; i < c->n_ax; i++) {
    const struct left *x = &t->st->ax[i];
    t->from[i] = c->ax[i].var;
    t->to[i] = x->base;
    if (c->ax[i].role == CG_K || x->step <= 1) continue;
    t->coord[i] = cg_coord(t->l->k, ir_arena_printf(c->a, "%s_", c->ax[i].name), x->step);
    t->to[i] = ir_ix_add(x->base, t->coord[i]);
  }
}
static void factor(struct kir_layout *l, unsigned dim, int64_t ext, char axis, int64_t stride)
{
  if (ext > 1) l->f[l->n++] = (struct kir_factor){ (uint8_t)dim, axis, (int32_t)ext, (int32_t)stride };
}
/* Accumulators of one core: rows x (vectors x places). */
static struct kir_reg *new_tile(struct tile *t, const char *name, enum ir_elem elem)
{
  struct kir_layout lay;
  struct kir_reg r = { 0 };
  int64_t dim[2];
  dim[0] = tile_dim(t, &r, 0, CG_M);
  dim[1] = tile_dim(t, &r, 1, CG_N);
  IR_ASSERT(kir_layout_parse("i=1, j=1", 8, &lay));
  int64_t v = t->l->in->n;
  factor(&lay, 0, dim[0], 'r', dim[1] / v);
  factor(&lay, 1, dim[1] / v, 'r', 1);
  factor(&lay, 1, v, 'v', 1);
  struct kir_reg *reg = kir_reg_tile(t->l->k, name, elem, 2, dim, &lay);
  memcpy(reg->axes, r.axes, sizeof r.axes);
  memcpy(reg->n_axes, r.n_axes, sizeof r.n_axes);
  kir_emit(&t->l->e, KIR_tile, elem, 1, NULL, 0, NULL, 0)->reg = reg;
  return reg;
}
static struct kir_expr *tile_expr(struct tile *t, struct kir_reg *r)
{
  const struct ir_ix *at[2];
  for (unsigned d = 0; d < 2; d++) {
    at[d] = num(t->l, 0);
    for (unsigned i = 0; i < r->n_axes[d]; i++) at[d] = ir_ix_add(ir_ix_muli(at[d], r->axes[d][i].ext), ir_ix_find(t->l->k->ixs, r->axes[d][i].axis));
  }
  return kir_tile(t->l->k->arena, r, at, 2);
}
/* Values of this nest are in tiles. */
static struct kir_expr *read_tile(void *arg, struct kir_expr *e)
{
  struct tile *t = arg;
  struct cg_contract *c = t->l->c;
  if (e->arr == c->acc) return tile_expr(t, t->acc);
  for (unsigned i = 0; i < c->n_items; i++)
    if (c->item[i].dst == e->arr && t->temp[i]) return tile_expr(t, t->temp[i]);
  return e;
}

static bool is_read(const struct cg_contract *c, unsigned from, const struct kir_arr *arr);
static bool expr_reads(const struct kir_expr *e, const struct kir_arr *arr)
{
  if (e->kind == KIR_E_READ && e->arr == arr) return true;
  for (unsigned i = 0; i < e->n; i++)
    if (expr_reads(e->a[i], arr)) return true;
  return false;
}
static bool is_read(const struct cg_contract *c, unsigned from, const struct kir_arr *arr)
{
  for (unsigned i = from; i < c->n_items; i++)
    if (expr_reads(c->item[i].e, arr)) return true;
  return false;
}
static void emit_epilogue(struct tile *t)
{
  struct lower *l = t->l;
  struct cg_contract *c = l->c;
  struct cg_move m = { t->from, t->to, c->n_ax, read_tile, t };
  for (unsigned i = 0; i < c->n_items; i++) {
    const struct cg_item *it = &c->item[i];
    struct kir_expr *e = cg_expr_move(c->a, it->e, &m);
    const struct ir_ix *at[IR_MAX_RANK];
    if (!it->dst->arg || (it->dst != c->acc && is_read(c, i + 1, it->dst))) {
      struct kir_reg *r = new_tile(t, "t", it->dst->elem);
      struct kir_op *o = kir_emit(&l->e, KIR_map, it->dst->elem, 1, NULL, 0, NULL, 0);
      o->reg = r;
      o->e = e;
      t->temp[i] = r;
      e = tile_expr(t, r);
    }
    if (!it->dst->arg) continue;
    for (unsigned d = 0; d < it->dst->rank; d++) at[d] = ir_ix_subst(it->at[d], t->from, t->to, c->n_ax);
    cg_map_arr(&l->e, it->dst, at, e, &t->acc->lay);
  }
}

static void emit_mma(struct tile *t)
{
  struct lower *l = t->l;
  struct cg_contract *c = l->c;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_K) t->to[i] = t->st->ax[i].base;
  struct cg_move m = { t->from, t->to, c->n_ax, NULL, NULL };
  struct kir_expr *p = IR_NEW(l->k->arena, struct kir_expr);
  const struct kir_expr *wr;
  *p = (struct kir_expr){ .kind = KIR_E_FN, .elem = c->elem, .sub = IR_MAP_mul, .n = 2, .a = { cg_expr_move(c->a, c->x, &m), cg_expr_move(c->a, c->w, &m) } };
  for (wr = p->a[1]; wr->kind == KIR_E_CAST;) wr = wr->a[0];
  const struct kir_stage *st = l->s->stages.n ? &l->s->stages.v[0] : NULL;
  if (st && st->prefetch && st->how == KIR_PACKED) {
    const struct ir_ix *at[IR_MAX_RANK];
    struct kir_arr *w = c->wr->arr;
    int64_t line = 64 / ir_elem_bytes(w->elem), cols = t->st->ax[c->vec].step;
    for (unsigned d = 0; d < w->rank; d++) at[d] = t->coord[c->vec] ? ir_ix_subst1(wr->at[d], t->coord[c->vec], num(l, 0)) : wr->at[d];
    for (int64_t j = 0; j < cols; j += line) {
      const struct ir_ix *off = ir_ix_addi(cg_offset(w, at, c->ixs), st->prefetch / ir_elem_bytes(w->elem) + j);
      kir_emit(&l->e, KIR_prefetch, w->elem, 1, NULL, 0, &off, 1)->arr = w;
    }
  }
  struct kir_op *o = kir_emit(&l->e, KIR_mma, c->elem, 1, NULL, 0, (const struct ir_ix *[]){ num(l, 1) }, 1);
  o->reg = t->acc;
  o->e = p;
  o->inst = l->in;
}

static bool k_part(struct tile *t, unsigned i)
{
  struct lower *l = t->l;
  if (i == l->s->loops.n) {
    for (unsigned a = 0; a < l->c->n_ax; a++)
      if (l->c->ax[a].role == CG_K && t->st->ax[a].step != 1) return refuse(l, "a summed axis is not cut down to 1");
    emit_mma(t);
    return true;
  }
  const struct kir_loop *lp = &l->s->loops.v[i];
  int a = lp->n == 1 ? find_axis(l->c, lp->part[0].axis) : -1;
  if (a < 0 || lp->kind != KIR_FOR || l->c->ax[a].role != CG_K) return refuse(l, "below the tile only `for` loops over one summed axis may stand");
  struct left save = t->st->ax[a];
  struct cg_for f;
  const struct ir_ix *v = cg_for_begin(&l->e, &f, lp->part[0].axis, trips_of(l, &save, lp->part[0].step), lp->unroll);
  enter(&t->st->ax[a], lp->part[0].step, v);
  bool ok = k_part(t, i + 1);
  cg_for_end(&l->e, &f);
  t->st->ax[a] = save;
  return ok;
}

/* Where x is read with something else outside of its shape, most tiles do not reach the border: *out_in are the conditions (>= 0) under which one does not.
 * Each guard is taken at its least value over the tile and the summed axes. */
static unsigned interior(const struct tile *t, const struct ir_ix **out_in)
{
  const struct lower *l = t->l;
  const struct kir_expr *x = l->c->xr;
  const struct ir_ix *to[CG_MAX_AXES];
  unsigned n = 0;
  if (!x->els) return 0;
  for (unsigned i = 0; i < l->c->n_ax; i++) to[i] = l->c->ax[i].role == CG_K ? l->c->ax[i].var : t->to[i];
  for (unsigned d = 0; d < x->n_at; d++) {
    const struct ir_ix *at = ir_ix_subst(x->at[d], t->from, to, l->c->n_ax), *hi = x->arr->shape[d] ? x->arr->shape[d] : x->arr->hi[d];
    const struct ir_ix *g[2] = { at, ir_ix_addi(ir_ix_sub(hi, at), -1) };
    for (unsigned i = 0; i < 2; i++) {
      if (ir_known_ge0(&l->k->facts, g[i])) continue;
      for (unsigned a = 0; a < l->c->n_ax; a++) {
        bool k = l->c->ax[a].role == CG_K;
        const struct ir_ix *v = k ? l->c->ax[a].var : t->coord[a], *co, *rest;
        int64_t c, most = (k ? l->c->ax[a].n : t->st->ax[a].step) - 1;
        if (!v || !ir_ix_uses(g[i], v)) continue;
        if (!ir_ix_linear(g[i], v, &co, &rest) || !ir_ix_const(co, &c) || most < 0) return 0;
        g[i] = c > 0 ? rest : ir_ix_addi(rest, c * most);
      }
      if (!ir_known_ge0(&l->k->facts, g[i])) out_in[n++] = g[i];
    }
  }
  return n;
}

static bool tile_body(struct tile *t)
{
  struct lower *l = t->l;
  t->acc = new_tile(t, "c", l->c->elem);
  kir_emit(&l->e, KIR_fill, l->c->elem, 1, NULL, 0, NULL, 0)->reg = t->acc;
  TRY(k_part(t, l->last_mn + 1));
  emit_epilogue(t);
  return true;
}
static bool tile_part(struct lower *l, struct state *st)
{
  struct tile t = { .l = l, .st = st };
  struct cg_contract *c = l->c;
  int64_t rows = 1, cols = 1;
  for (unsigned i = 0; i < c->n_ax; i++) {
    int64_t s = st->ax[i].step;
    if (c->ax[i].role == CG_K) continue;
    if (!s) return refuse(l, "an axis of unknown extent is left in the tile");
    if (c->ax[i].role == CG_BATCH && s != 1) return refuse(l, "a batch axis is left in the tile");
    if (c->ax[i].role == CG_N && s != 1 && i != c->vec) return refuse(l, "only one n axis may stay in the tile");
    if (c->ax[i].role == CG_M) rows *= s;
    if (i == c->vec) cols = s;
  }
  if (cg_contract_whole(c) && c->ax[c->vec].n % cols) return refuse(l, "columns straddle groups");
  if (cols % l->in->n || rows * cols / l->in->n > 64) return refuse(l, "the tile does not fit the instruction or the registers");
  coordinates(&t);
  const struct ir_ix *in[2 * IR_MAX_RANK];
  unsigned n_in = interior(&t, in);
  if (!n_in) return tile_body(&t);
  struct kir_block *outer = l->e.at;
  struct kir_op *o = kir_emit(&l->e, KIR_if, c->elem, 1, NULL, 0, in, n_in);
  bool ok = true;
  for (unsigned i = 0; i < 2 && ok; i++) {        /* the same twice: facts make the difference */
    struct tile b = t;
    l->e.at = &o->body[i];
    ok = tile_body(&b);
  }
  l->e.at = outer;
  return ok;
}

/* ---- halos: the tasks of the first block of the axes with a halo write the zeros of what they own of the other axes ---- */
static bool write_halos(struct lower *l, const struct state *st)
{
  struct cg_contract *c = l->c;
  const struct ir_ix *from[CG_MAX_AXES], *base[CG_MAX_AXES];
  for (unsigned i = 0; i < c->n_ax; i++) {
    from[i] = c->ax[i].var;
    base[i] = st->ax[i].base;
  }
  for (unsigned k = 0; k < c->n_items; k++) {
    struct kir_arr *y = c->item[k].dst;
    const struct ir_ix *lo[IR_MAX_RANK], *ext[IR_MAX_RANK], *first[CG_MAX_AXES];
    unsigned n_first = 0, vec = IR_MAX_RANK;
    bool used[CG_MAX_AXES] = { false };
    if (!y->arg || !cg_has_halo(y)) continue;
    for (unsigned d = 0; d < y->rank; d++) {
      bool halo = cg_halo_axis(y, d);
      lo[d] = ir_ix_subst(c->item[k].at[d], from, base, c->n_ax);
      ext[d] = num(l, 1);
      for (unsigned i = 0; i < c->n_ax; i++) {
        if (!ir_ix_uses(c->item[k].at[d], c->ax[i].var)) continue;
        if (halo || used[i]) continue;
        used[i] = true;
        if (cg_coord_axis(c, c->item[k].at[d]) != &c->ax[i]) {
          if (!st->ax[i].exact || st->ax[i].step != 1) return refuse(l, "an output with a halo is stored along two axes at once");
          continue;
        }
        ext[d] = ir_ix_sub(st->ax[i].lim, st->ax[i].base);
        if (i == c->vec) vec = d;
      }
    }
    for (unsigned i = 0; i < c->n_ax; i++)
      if (c->ax[i].role != CG_K && !used[i] && !ir_ix_is(st->ax[i].base, 0)) first[n_first++] = ir_ix_neg(st->ax[i].base);
    unsigned lanes = l->in->n;
    struct cg_if f;
    if (vec == IR_MAX_RANK) lanes = 1;
    else if (lanes > 1) {                         /* whole vectors: the padding of the last block belongs to it */
      int64_t s = st->ax[c->vec].step;
      if (!st->ax[c->vec].exact && s) ext[vec] = num(l, s);
    }
    cg_if_begin(&l->e, &f, first, n_first);
    cg_zero_halo(&l->e, y, lo, ext, vec == IR_MAX_RANK ? 0 : vec, lanes);
    cg_if_end(&l->e, &f);
  }
  return true;
}

/* ---- loops over m and n ---- */
static bool go(struct lower *l, unsigned i, struct state *st, bool in_grid);

/* sizes s[0] > s[1] > ..; how many tiles of each cover an extent that is known */
static void counts(int64_t n, const int64_t *s, unsigned n_s, int64_t *out)
{
  for (unsigned i = 0; i < n_s; i++) out[i] = 0;
  if (n_s >= 2)
    for (int64_t c = n / s[0]; c >= 0; c--)
      if ((n - c * s[0]) % s[1] == 0) {
        out[0] = c;
        out[1] = (n - c * s[0]) / s[1];
        return;
      }
  for (unsigned i = 0; i < n_s; i++) {
    out[i] = n / s[i];
    n %= s[i];
  }
}
/* One body per peel size. */
static bool peeled(struct lower *l, unsigned i, struct state *st, unsigned a, int64_t step, const int64_t *peel, unsigned n_peel)
{
  struct left x = st->ax[a];
  const struct ir_ix *at = x.base;
  int64_t s[MAX_PEEL + 1] = { step }, cnt[MAX_PEEL + 1], most = -1, lo;
  bool fixed = x.exact && x.step;
  for (unsigned j = 0; j < n_peel && j < MAX_PEEL; j++) s[j + 1] = peel[j];
  n_peel++;
  if (fixed) counts(x.step, s, n_peel, cnt);
  else ir_ix_range(ir_ix_sub(x.lim, x.base), &lo, &most);
  for (unsigned j = 0; j < n_peel; j++) {
    const struct ir_ix *trips = fixed ? num(l, cnt[j]) : ir_ix_simplify(&l->k->facts, ir_ix_divi(ir_ix_sub(x.lim, at), s[j]));
    if (ir_ix_is(trips, 0) || (!fixed && most < s[j])) continue;
    struct cg_for f;
    struct state in = *st;
    uint32_t mark = ir_facts_mark(&l->k->facts);
    const struct ir_ix *v = cg_for_begin(&l->e, &f, l->c->ax[a].name, trips, 0), *base = ir_ix_add(at, ir_ix_muli(v, s[j]));
    in.ax[a] = (struct left){ base, ir_ix_addi(base, s[j]), s[j], true };
    ir_facts_push(&l->k->facts, ir_ix_sub(x.lim, in.ax[a].lim));
    bool ok = go(l, i + 1, &in, false);
    cg_for_end(&l->e, &f);
    ir_facts_reset(&l->k->facts, mark);
    if (!ok) return false;
    at = ir_ix_add(at, ir_ix_muli(trips, s[j]));
    if (!fixed && s[j] - 1 < most) most = s[j] - 1;
  }
  return true;
}
static bool later(const struct lower *l, unsigned i, const char *axis)
{
  for (unsigned k = i + 1; k < l->s->loops.n; k++)
    for (unsigned j = 0; j < l->s->loops.v[k].n; j++)
      if (!strcmp(l->s->loops.v[k].part[j].axis, axis)) return true;
  return false;
}
static bool grid(struct lower *l, unsigned i, struct state *st)
{
  const struct kir_loop *lp = &l->s->loops.v[i];
  for (unsigned j = 0; j < lp->n; j++) {
    int a = find_axis(l->c, lp->part[j].axis);
    if (a < 0 || l->c->ax[a].role == CG_K) return refuse(l, "a grid loop is over no axis of the result");
    const struct ir_ix *v = cg_grid(l->k, ir_arena_printf(l->c->a, "g%s", lp->part[j].axis), trips_of(l, &st->ax[a], lp->part[j].step));
    enter(&st->ax[a], lp->part[j].step, v);
  }
  return go(l, i + 1, st, true);
}
static bool go(struct lower *l, unsigned i, struct state *st, bool in_grid)
{
  const struct kir_loop *lp = i < l->s->loops.n ? &l->s->loops.v[i] : NULL;
  if (lp && lp->kind == KIR_GRID && in_grid) {
    struct state in = *st;
    return grid(l, i, &in);
  }
  if (in_grid) TRY(write_halos(l, st));
  if (i > l->last_mn || !lp) return tile_part(l, st);
  int a = lp->n == 1 ? find_axis(l->c, lp->part[0].axis) : -1;
  if (a < 0 || lp->kind != KIR_FOR || l->c->ax[a].role == CG_K || lp->part[0].step < 1) return refuse(l, "above the tile only `for` loops over one m or n axis may stand, below the grid");
  for (unsigned t = 0; t < l->s->n_tails; t++)
    if (!strcmp(l->s->tail[t].axis, lp->part[0].axis) && !later(l, i, lp->part[0].axis))
      return peeled(l, i, st, (unsigned)a, lp->part[0].step, l->s->tail[t].peel, l->s->tail[t].n);
  struct cg_for f;
  struct state in = *st;
  const struct ir_ix *v = cg_for_begin(&l->e, &f, lp->part[0].axis, trips_of(l, &in.ax[a], lp->part[0].step), lp->unroll);
  enter(&in.ax[a], lp->part[0].step, v);
  bool ok = go(l, i + 1, &in, false);
  cg_for_end(&l->e, &f);
  return ok;
}

static struct kir_kern *lower(struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t, const char **why)
{
  struct cg_contract c;
  if (!cg_contract_read(&c, a, n, why)) return NULL;
  struct lower l = { .c = &c, .s = s, .t = t, .in = s->inst ? kir_inst_find(s->inst) : NULL, .k = kir_kern_create(n, n->name), .why = NULL };
  struct state st;
  *why = "no such instruction";
  if (!l.in || l.in->text || l.in->c != c.elem) return NULL;
  l.e = (struct kir_emit){ l.k, &l.k->body };
  for (unsigned i = 0; i < c.n_ax; i++) st.ax[i] = (struct left){ num(&l, 0), c.ax[i].ext, c.ax[i].n, c.ax[i].n != 0 };
  int64_t cols = 1;
  bool any = false;
  for (unsigned i = 0; i < s->loops.n; i++)
    for (unsigned j = 0; j < s->loops.v[i].n; j++) {
      int x = find_axis(&c, s->loops.v[i].part[j].axis);
      if (x < 0 || s->loops.v[i].part[j].step < 1) {
        *why = ir_arena_printf(a, "the nest has no axis %s", s->loops.v[i].part[j].axis);
        return NULL;
      }
      if (c.ax[x].role == CG_K) continue;
      l.last_mn = i;
      any = true;
      if ((unsigned)x == c.vec) cols = s->loops.v[i].part[j].step;
    }
  *why = "no loop over a result's axis";
  if (!any) return NULL;
  if (s->stages.n && s->stages.v[0].how == KIR_PACKED && !pack_w(&l)) {
    *why = l.why;
    return NULL;
  }
  for (unsigned i = 0; i < c.n_items; i++) pad_const(&l, c.item[i].e, cols);
  if (!go(&l, 0, &st, true)) {
    *why = l.why;
    return NULL;
  }
  ir_facts_reset(&l.k->facts, n->facts.ge0.n);
  for (uint32_t i = 0; i < l.k->grid.n; i++) ir_facts_push(&l.k->facts, ir_ix_addi(ir_ix_sub(l.k->grid.v[i].trips, l.k->grid.v[i].var), -1));
  return l.k;
}

const struct cg_skeleton cg_skeleton_contract = { .name = "contract", .schedule = schedule, .lower = lower };
