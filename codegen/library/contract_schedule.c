/* The schedules of the skeleton `contract` for one core with vectors: a tile of the output that fills the registers, rows cut evenly, enough tasks for the cores,
 * k loops in the order of x's storage. */
#include <string.h>
#include "codegen/library/contract.h"

enum { UNROLL = 4, PREFETCH = 4096, CHAIN = 128, TASKS_A_CORE = 4 };

/* What a record is asked to be. */
struct variant {
  unsigned vecs, rows;                            /* of the tile; 0: the best by what was measured */
  unsigned tasks;                                 /* a core, at least */
  bool other_order;                               /* of tasks: the smaller operand's are neighbours */
};
struct plan {
  struct cg_contract *c;
  const struct cg_target *t;
  struct variant v;
  struct kir_sched *s;
  bool whole;                                     /* columns may not overrun the axis: it is part of a coordinate */
  bool staged;                                    /* the task copies its rows of x */
  int64_t columns;                                /* of a task, then; 0: all */
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
  if (2 * in > rows) return (double)in / (double)cg_ceil_div(in, rows);
  int64_t lines = rows / in;
  return (double)in * (double)out / (double)cg_ceil_div(out, lines);
}
/* May tiles be so wide? */
static bool width_fits(const struct plan *p, unsigned vecs)
{
  int64_t cols = (int64_t)vecs * p->lanes, n = p->c->ax[p->c->vec].n ? p->c->ax[p->c->vec].n : 1 << 20;
  return (cols <= cg_round_up(n, p->lanes) || vecs == 1) && !(p->whole && n % cols);
}
static bool asked_tile(struct plan *p)
{
  p->lanes = widest(p);
  p->rows = p->v.rows;
  p->cols = (int64_t)p->v.vecs * p->lanes;
  return width_fits(p, p->v.vecs);
}
/* Measured shares of peak (docs/kernel-ir.md): one vector wide is bound by loads, short tiles by the latency of the accumulators. The best first; share16: of 16 registers. */
static const struct { unsigned vecs, share, share16; } widths[] = { { 2, 98, 98 }, { 3, 97, 97 }, { 4, 96, 80 }, { 1, 82, 75 } };
static void choose_tile(struct plan *p)
{
  const struct cg_axis *v = &p->c->ax[p->c->vec];
  int64_t m = rows_wanted(p), n = v->n ? v->n : 1 << 20;
  bool big = p->t->n_vregs >= 32;
  double best = -1;
  p->lanes = widest(p);
  for (unsigned i = 0; i < 4; i++) {
    unsigned vecs = widths[i].vecs, rows = cg_tile_rows(p->t, vecs);
    int64_t cols = (int64_t)vecs * p->lanes;
    double accs = even_rows(p, rows) * vecs;
    double share = (big ? widths[i].share : widths[i].share16) * (double)n / (double)cg_round_up(n, cols);
    if (m && accs < p->t->accumulators) share *= accs / p->t->accumulators;
    if (!m && vecs != (big ? 4 : 3)) continue;  /* rows come one by one, too: wide tiles stream w well for few of them */
    if (!width_fits(p, vecs)) continue;
    if (share > best) {
      best = share;
      p->rows = rows;
      p->cols = cols;
    }
  }
  if (best < 0) {
    p->rows = cg_tile_rows(p->t, 1);
    p->cols = p->lanes;
  }
  if (m && m <= 4) {                              /* bound by reading w: as wide as the registers allow */
    unsigned vecs = (p->t->n_vregs - (p->t->fma ? 2 : 4)) / ((unsigned)m + 1);
    p->rows = (unsigned)m;
    while (vecs > 8 || (vecs > 1 && !width_fits(p, vecs))) vecs--;
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
  int64_t tiles = cg_ceil_div(x->n, r), hi = cg_ceil_div(x->n, tiles);
  if (tiles > 1)
    for (int64_t h = r; 4 * h >= 3 * r; h--)      /* an equal division, if a little less high, needs no second body */
      if (x->n % h == 0) {
        hi = h;
        break;
      }
  p->step[in] = hi;
  if (tiles == 1 && out != CG_MAX_AXES && c->ax[out].n && 2 * x->n <= r) {
    int64_t k = r / x->n, n = c->ax[out].n;
    p->step[out] = n < k ? n : cg_ceil_div(n, cg_ceil_div(n, k));
  }
}
static void add_tail(struct plan *p, unsigned axis)
{
  const struct cg_axis *x = &p->c->ax[axis];
  int64_t s = p->step[axis], n = x->n;
  if (p->chunk[axis] && n % p->chunk[axis] == 0) n = p->chunk[axis];      /* every task has the same */
  if (s == 1 || (n && n % s == 0)) return;
  IR_ASSERT(p->s->n_tails < 3);
  unsigned t = p->s->n_tails++, n_peel = 0;
  p->s->tail[t].axis = x->name;
  bool even = n && (!p->chunk[axis] || n == p->chunk[axis]) && n % (s - 1) <= n / (s - 1);       /* tiles of s and s-1 cover it */
  if (even) p->s->tail[t].peel[n_peel++] = s - 1;
  else if (!n)
    for (int64_t q = s > 6 ? s / 2 : 4; q >= 1; q /= 2) {
      if (q < s && n_peel < CG_MAX_PEEL) p->s->tail[t].peel[n_peel++] = q;
    }
  else {
    int64_t rest = n % s;
    p->s->tail[t].peel[n_peel++] = rest;
    if (p->chunk[axis] && p->chunk[axis] % s) p->s->tail[t].peel[n_peel++] = 1;
  }
  p->s->tail[t].n = n_peel;
}

/* How large a part of each m axis a task gets: enough tasks for the cores, and whole tiles; a batch of unknown size is a digit of the grid. */
static void choose_chunks(struct plan *p)
{
  struct cg_contract *c = p->c;
  int64_t tasks = 1;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_BATCH || c->ax[i].role == CG_N) {
      int64_t k = c->ax[i].n ? i == c->vec ? cg_ceil_div(c->ax[i].n, p->cols) : c->ax[i].n : 1;
      if (!ir_mul64(tasks, k, &tasks)) return;
    }
  int64_t want = cg_ceil_div(p->v.tasks * (int64_t)p->t->cores, tasks > 0 ? tasks : 1);
  for (unsigned i = 0; i < c->n_ax; i++) {
    int64_t step = p->step[i], n = c->ax[i].n;
    if (c->ax[i].role != CG_M || n == 1) continue;
    if (!n) {
      p->chunk[i] = step == 1 ? 1 : cg_round_up(96, step);
      continue;
    }
    int64_t tiles = cg_ceil_div(n, step), chunks = want < tiles ? want : tiles;
    if (chunks <= 1) continue;
    while (tiles % chunks) chunks++;
    if (n % step && step > 1) continue;           /* uneven tiles stay together */
    p->chunk[i] = tiles / chunks * step;
    want = cg_ceil_div(want, chunks);
  }
}

/* Rows of x a multiple of 4096 bytes apart lie in one set of the first cache: a column of a tile would evict itself. Then a task copies its rows, as many as half
 * of the second cache holds, and runs over many columns. */
static void choose_staging(struct plan *p)
{
  struct cg_contract *c = p->c;
  int m = cg_only_axis(c, CG_M), k = cg_only_axis(c, CG_K);
  const struct ir_ix *off = cg_offset(c->xr->arr, c->xr->at, c->ixs), *co, *rest;
  int64_t stride, panels = cg_ceil_div(c->ax[c->vec].n, p->cols), bytes = ir_elem_bytes(c->xr->arr->elem);
  if (m < 0 || k < 0 || c->xr->els || c->ax[m].n < 64 || !c->ax[k].n || panels < 4) return;
  if (!ir_ix_linear(off, c->ax[k].var, &co, &rest) || !ir_ix_is(co, 1)) return;
  if (!ir_ix_linear(off, c->ax[m].var, &co, &rest) || !ir_ix_const(co, &stride) || stride * bytes % 4096) return;
  int64_t most = p->t->l2_bytes / 2 / (c->ax[k].n * bytes), n = c->ax[m].n, chunks = cg_ceil_div(n, most < p->rows ? p->rows : most), want = p->v.tasks * (int64_t)p->t->cores;
  while (chunks < n && n % chunks && chunks < 2 * cg_ceil_div(n, p->rows)) chunks++;
  p->staged = true;
  p->chunk[m] = cg_ceil_div(n, chunks);
  p->step[m] = cg_ceil_div(p->chunk[m], cg_ceil_div(p->chunk[m], p->rows));
  chunks = cg_ceil_div(n, p->chunk[m]);
  if (chunks < want) {                            /* a copy serves four panels at least */
    int64_t each = cg_ceil_div(panels, cg_ceil_div(want, chunks));
    p->columns = (each < 4 ? 4 : each) * p->cols;
  }
}

static void mn_loops(struct plan *p)
{
  struct cg_contract *c = p->c;
  if (p->staged) {                                /* x's rows, then all columns of a task */
    for (unsigned i = 0; i < c->n_ax; i++)
      if (c->ax[i].role == CG_BATCH || (c->ax[i].role == CG_N && i != c->vec)) add_part(p, KIR_GRID, i, 1);
    add_part(p, KIR_GRID, (unsigned)cg_only_axis(c, CG_M), p->chunk[cg_only_axis(c, CG_M)]);
    if (p->columns) add_part(p, KIR_GRID, c->vec, p->columns);
    add_part(p, KIR_FOR, c->vec, p->cols);
    add_part(p, KIR_FOR, (unsigned)cg_only_axis(c, CG_M), p->step[cg_only_axis(c, CG_M)]);
    add_tail(p, (unsigned)cg_only_axis(c, CG_M));
    return;
  }
  bool w_first = (cg_contract_extent(c, CG_N, 16) > cg_contract_extent(c, CG_M, 16)) != p->v.other_order;     /* the larger operand is read once, by neighbouring tasks */
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
/* A long chain of additions rounds more often than it must: its error grows with the root of its length. So the outermost summed axis is cut into parts of about
 * CHAIN terms, each summed from zero and then added to the sum of all: one addition more in 128. `terms` come with each of the axis's blocks.
 * 0: no cut, or none that divides the axis. */
static int64_t part_of_sum(int64_t n, int64_t block, int64_t terms)
{
  int64_t blocks = n / block;
  if (blocks * terms < CHAIN + CHAIN / 2) return 0;
  for (int64_t g = terms < CHAIN ? CHAIN / terms : 1; g >= 1 && g * terms >= CHAIN / 4; g--)
    if (blocks % g == 0) return g * block;
  return 0;
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
  int64_t terms = block ? block : 1, whole = terms, part;
  for (unsigned i = first + 1; i < c->n_ax && terms < CHAIN; i++)
    if (c->ax[i].role == CG_K && c->ax[i].n > 1) terms *= c->ax[i].n;
  part = x->n ? part_of_sum(x->n, whole, terms) : 0;
  if (part) {
    add_part(p, KIR_FOR, first, part);
    p->s->loops.v[p->s->loops.n - 1].sums = true;
  }
  if (part != whole) add_part(p, KIR_FOR, first, whole);
  for (unsigned i = first + 1; i < c->n_ax; i++)
    if (c->ax[i].role == CG_K && c->ax[i].n != 1) add_part(p, KIR_FOR, i, 1);
  if (block) add_part(p, KIR_FOR, first, 1);
  struct kir_loop *l = &p->s->loops.v[p->s->loops.n - 1];
  int64_t trips = block ? block : c->ax[last].n;
  l->unroll = block >= 8 ? 8 : trips && trips <= 12 ? (unsigned)trips : UNROLL;
  if (l->unroll == 1) l->unroll = 0;
}

static const char *inst_name(unsigned lanes) { return lanes == 16 ? "fma.v16" : lanes == 8 ? "fma.v8" : lanes == 4 ? "fma.v4" : "fma"; }

/* NULL: the nest has no such record. c: as cg_contract_read left it. */
static struct kir_sched *record(struct ir_arena *a, struct cg_contract *c, const struct cg_target *t, struct variant v)
{
  struct plan p = { .c = c, .t = t, .v = v, .s = IR_NEW(a, struct kir_sched) };
  p.s->kind = "contract";
  p.whole = cg_contract_whole(c);
  if (!v.vecs) choose_tile(&p);
  else if (!asked_tile(&p)) return NULL;
  p.s->inst = inst_name(p.lanes);
  choose_rows(&p);
  choose_chunks(&p);
  choose_staging(&p);
  mn_loops(&p);
  k_loops(&p);
  struct kir_stage st = { .operand = c->wr->arr->name, .how = KIR_DIRECT };
  if (cg_contract_packable(c)) {
    st.how = KIR_PACKED;
    st.prefetch = PREFETCH;
  }
  if (p.staged) ir_push(a, &p.s->stages, ((struct kir_stage){ .operand = c->xr->arr->name, .how = KIR_STAGED }));
  ir_push(a, &p.s->stages, st);
  return p.s;
}
struct kir_sched *cg_contract_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct cg_contract c;
  const char *why;
  if (t->lanes > 1) return cg_contract_lanes_schedule(a, n, t);
  if (!cg_contract_read(&c, a, n, &why) || c.elem != IR_f32) return NULL;
  return record(a, &c, t, (struct variant){ .tasks = TASKS_A_CORE });
}
/* The step that a record's innermost loop over an axis leaves to the tile; the whole axis where there is none (0: not known). */
static int64_t tile_step(const struct kir_sched *s, const struct cg_axis *x)
{
  int64_t step = x->n;
  for (uint32_t i = 0; i < s->loops.n; i++)
    for (unsigned p = 0; p < s->loops.v[i].n; p++)
      if (!strcmp(s->loops.v[i].part[p].axis, x->name)) step = s->loops.v[i].part[p].step;
  return step;
}
/* As choose_tile has it, for the tile that the record says. */
double cg_contract_share(struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t)
{
  struct cg_contract c;
  const char *why;
  const struct kir_inst *in = s->inst ? kir_inst_find(s->inst) : NULL;
  if (!in || !cg_contract_read(&c, a, n, &why)) return 1;
  const struct cg_axis *v = &c.ax[c.vec];
  int64_t cols = tile_step(s, v), lanes = in->n, rows = 1;
  for (unsigned i = 0; i < c.n_ax; i++)
    if (c.ax[i].role == CG_M && tile_step(s, &c.ax[i]) > 1) rows *= tile_step(s, &c.ax[i]);
  double vecs = (double)cg_ceil_div(cols > 0 ? cols : lanes, lanes), share = 0.9, accs = (double)rows * vecs;
  for (unsigned i = 0; i < sizeof widths / sizeof *widths; i++)
    if (widths[i].vecs == (unsigned)vecs) share = 0.01 * (t->n_vregs >= 32 ? widths[i].share : widths[i].share16);
  if (accs < t->accumulators) share *= accs / t->accumulators;
  if (v->n && cols > 0) share *= (double)v->n / (double)cg_round_up(v->n, cols);
  return share * (double)lanes / t->vec_lanes;
}
/* Other splits of the best tile; then other tiles, as many rows as fit the registers, three quarters and half of them. */
unsigned cg_contract_alternatives(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t, struct cg_choice *out, unsigned room)
{
  static const struct variant splits[] = { { .tasks = 1 }, { .tasks = 2 }, { .tasks = 8 }, { .tasks = TASKS_A_CORE, .other_order = true } };
  struct cg_contract c;
  const char *why;
  unsigned k = 0;
  if (t->lanes > 1 || !cg_contract_read(&c, a, n, &why) || c.elem != IR_f32) return 0;
  for (unsigned i = 0; i < sizeof splits / sizeof *splits; i++) k = cg_add_alternative(out, k, room, record(a, &c, t, splits[i]), 0);
  for (unsigned vecs = 1; vecs <= 4; vecs++)
    for (unsigned q = 4; q >= 2; q--) {
      unsigned rows = cg_tile_rows(t, vecs) * q / 4;
      if (rows) k = cg_add_alternative(out, k, room, record(a, &c, t, (struct variant){ .vecs = vecs, .rows = rows, .tasks = TASKS_A_CORE }), 0);
    }
  return k;
}
