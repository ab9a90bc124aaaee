/* The schedules of the skeleton `contract` on a GPU: a block's tile of the result, parts of both operands in shared memory for each stage of the sum, divided among
 * warps (where operands run along the sum) or lanes.
 *
 * Rows are the innermost one or two m axes (pixels of an image), columns the n axis. A tile of lanes is the largest that still gives every multiprocessor two blocks, one of warps what a model takes
 * to be fastest. */
#include <string.h>
#include "codegen/library/contract.h"

struct plan {
  struct cg_contract *c;
  const struct cg_target *t;
  struct kir_sched *s;
  int64_t step[CG_MAX_AXES], lane[CG_MAX_AXES];   /* of the tile, and of one lane */
};
struct tile { int64_t rows, cols, lane_rows, lane_cols, split; enum { MMA /* a warp's matrix instructions */, GROUP /* wgmma */, FMA /* ordinary units */ } how; };
static const struct tile warp_tiles[] = {             /* lane_: of a warp; split: warps that take a stage's sum in parts */
  { 128, 256, 64, 64, 1 }, { 128, 128, 64, 32, 1 }, { 128, 64, 32, 32, 1 }, { 128, 32, 32, 32, 1 }, { 64, 128, 32, 32, 1 }, { 64, 64, 32, 32, 1 }, { 64, 32, 32, 32, 2 }, { 32, 64, 32, 32, 2 },
  { 32, 32, 32, 32, 4 }, { 16, 64, 16, 64, 4 }, { 16, 32, 16, 32, 4 }, { 64, 32, 32, 16, 1 }, { 32, 64, 16, 32, 1 }, { 32, 32, 16, 16, 1 }, { 16, 64, 16, 16, 1 }, { 16, 32, 16, 8, 1 },
  /* warps in groups of four (wgmma); lane_: of a group */
  { 128, 256, 64, 256, 1, GROUP }, { 128, 192, 64, 192, 1, GROUP }, { 128, 128, 64, 128, 1, GROUP }, { 128, 64, 64, 64, 1, GROUP }, { 64, 128, 64, 128, 1, GROUP }, { 64, 64, 64, 64, 1, GROUP },
  /* float32: of a warp's 64x32 each lane has 8x8 */
  { 128, 128, 64, 32, 1, FMA }, { 128, 64, 64, 32, 1, FMA }, { 64, 64, 64, 32, 4, FMA }, { 64, 32, 64, 32, 8, FMA }, { 64, 32, 64, 32, 4, FMA }, { 32, 64, 32, 32, 4, FMA },
  { 32, 32, 32, 32, 8, FMA }, { 32, 32, 32, 32, 4, FMA }, { 64, 16, 64, 16, 8, FMA }, { 16, 32, 16, 32, 8, FMA }, { 32, 16, 32, 16, 8, FMA },
  { 64, 64, 32, 32, 1, FMA }, { 64, 32, 32, 32, 2, FMA }, { 32, 32, 32, 32, 2, FMA }, { 32, 32, 32, 16, 1, FMA }
};
static const struct tile tiles[] = {
  { 128, 128, 8, 8, 1 }, { 128, 64, 8, 4, 1 }, { 64, 64, 4, 4, 1 }, { 32, 64, 4, 4, 1 }, { 64, 32, 4, 4, 1 }, { 32, 32, 4, 2, 1 }, { 16, 32, 2, 2, 1 }
};

static void add_part(struct plan *p, enum kir_loop_kind kind, unsigned axis, int64_t step)
{
  struct kir_loop *l = p->s->loops.n ? &p->s->loops.v[p->s->loops.n - 1] : NULL;
  if (!l || l->kind != kind || l->n == 4) {
    ir_push(p->c->a, &p->s->loops, ((struct kir_loop){ .kind = kind }));
    l = &p->s->loops.v[p->s->loops.n - 1];
  }
  l->part[l->n].axis = p->c->ax[axis].name;
  l->part[l->n++].step = step;
}
/* Is there another m axis outside of axis i, for what i leaves of a tile? */
static bool wider(const struct cg_contract *c, unsigned i)
{
  while (i-- > 0)
    if (c->ax[i].role == CG_M && c->ax[i].n > 8) return true;
  return false;
}
/* Is the axis a place within a group, so that what lies behind its end is the next group's and no guard sees it? */
static bool shared_coord(const struct cg_contract *c, const struct ir_ix *e, unsigned i)
{
  if (e == c->ax[i].var || !ir_ix_uses(e, c->ax[i].var)) return false;
  for (unsigned k = 0; k < c->n_ax; k++)
    if (k != i && ir_ix_uses(e, c->ax[k].var)) return true;
  return false;
}
static bool grouped(const struct cg_contract *c, unsigned i)
{
  for (unsigned k = 0; k < c->n_items; k++)
    for (unsigned d = 0; d < c->item[k].dst->rank; d++)
      if (shared_coord(c, c->item[k].at[d], i)) return true;
  for (unsigned d = 0; d < c->acc->rank; d++)
    if (shared_coord(c, c->acc_at[d], i)) return true;
  return false;
}
/* Blocks that a tile makes, unknown extents taken as 1; rows are cut from the innermost m axis and, where that is short, the next. */
static int64_t place(struct plan *p, const struct tile *q)
{
  const struct cg_contract *c = p->c;
  int64_t rows = q->rows, lane = q->lane_rows, blocks = 1;
  unsigned left = 2;
  for (unsigned i = c->n_ax; i-- > 0;) {
    const struct cg_axis *x = &c->ax[i];
    p->step[i] = p->lane[i] = 1;
    if (x->role == CG_M && x->n != 1 && left && rows > 1) {
      int64_t s = x->n && cg_pow2_up(x->n) < rows ? cg_pow2_up(x->n) : rows;
      if (left == 2 && x->n && x->n > 8 && wider(c, i))                           /* 55 is 7 times 8 rather than 64 */
        for (int64_t h = s; h >= 8; h /= 2)
          if (cg_round_up(x->n, h) < cg_round_up(x->n, s)) s = h;
      if (grouped(c, i)) {
        if (!x->n) return -1;
        while (x->n % s) s /= 2;
      }
      p->step[i] = s;
      rows /= s;
      p->lane[i] = s < lane ? s : lane;
      lane /= p->lane[i];
      left--;
    }
    if (i == c->vec) {
      if (grouped(c, i) && (!x->n || x->n % q->cols)) return -1;
      p->step[i] = q->cols;
      p->lane[i] = q->lane_cols;
    }
    if (x->role != CG_K && (!x->n || !ir_mul64(blocks, cg_ceil_div(x->n, p->step[i]), &blocks))) continue;
  }
  for (unsigned i = c->n_ax; i-- > 0 && rows == 16 && lane == 16;)                /* matrix units take 16 rows where there is one: the weights must come in anyway */
    if (c->ax[i].role == CG_M && c->ax[i].n == 1) {
      p->step[i] = p->lane[i] = rows;
      rows = lane = 1;
    }
  return rows == 1 && lane == 1 ? blocks : -1;
}
static bool choose(struct plan *p)
{
  const unsigned n_tiles = sizeof tiles / sizeof *tiles;
  const struct cg_contract *c = p->c;
  int64_t m = 1, n = c->ax[c->vec].n;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_M) {
      if (!c->ax[i].n) m = 0;
      else if (m && !ir_mul64(m, c->ax[i].n, &m)) return false;
    }
  if (m && m < 8) return false;                   /* a row or two: nothing is used often enough */
  unsigned best = n_tiles;
  for (unsigned i = 0; i < n_tiles; i++) {
    if (m && tiles[i].rows > 16 && tiles[i].rows > cg_pow2_up(m)) continue;
    if (n && tiles[i].cols > 32 && tiles[i].cols > cg_pow2_up(n)) continue;
    if (!m && tiles[i].rows > 64) continue;
    int64_t blocks = place(p, &tiles[i]);
    if (blocks < 0) continue;
    best = i;
    if (blocks >= 2 * (int64_t)p->t->cores) break;
  }
  return best < n_tiles && place(p, &tiles[best]) >= 0;
}
/* The longest summed axis goes through the stages in steps; the others are loops around it, as digits of the same pipe. */
static bool k_loops(struct plan *p)
{
  const struct cg_contract *c = p->c;
  int in = -1;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_K && (in < 0 || !c->ax[i].n || (c->ax[in].n && c->ax[i].n >= c->ax[in].n))) in = (int)i;
  if (in < 0 || c->ax[in].n == 1) return false;
  int64_t ks = 16, n = c->ax[in].n;
  for (int64_t k = 8; n && k >= 4; k /= 2)
    if (cg_round_up(n, k) < cg_round_up(n, ks)) ks = k;
  unsigned others = 0;
  for (unsigned i = 0; i < c->n_ax; i++) others += c->ax[i].role == CG_K && (int)i != in && c->ax[i].n != 1;
  if (others > 3) return false;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_K && (int)i != in && c->ax[i].n != 1) add_part(p, KIR_PIPE, i, 1);
  add_part(p, KIR_PIPE, (unsigned)in, ks);
  p->s->loops.v[p->s->loops.n - 1].depth = p->t->kind == CG_CUDA ? 3 : 1;
  return true;
}
/* Lowering chooses the storage of weights, so it is tried on a copy of the nest. */
static bool fits(const struct kir_nest *n, const struct kir_sched *s, const struct cg_target *t)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { 0 };
  struct ir_buf b = { 0 };
  const char *why;
  kir_nest_print(&b, n);
  struct kir_nest *copy = kir_nest_parse(a, &d, b.s, b.n);
  bool ok = copy && cg_lower(a, copy, s, t, &why);
  ir_buf_deinit(&b);
  ir_buf_deinit(&d.first);
  ir_arena_destroy(a);
  return ok;
}
static void loops(struct plan *p, enum kir_loop_kind kind)
{
  const struct cg_contract *c = p->c;
  unsigned parts = 0;
  for (unsigned i = 0; i < c->n_ax; i++)
    if ((c->ax[i].role == CG_M || c->ax[i].role == CG_N) && p->step[i] > 1 && parts++ < 4) add_part(p, kind, i, p->lane[i]);
}
/* Blocks that run at the same time share parts of the larger operand, so that it comes from memory once: its axes are the outer digits. */
static void grid(struct plan *p)
{
  const struct cg_contract *c = p->c;
  enum cg_role outer = cg_contract_extent(c, CG_M, 64) > cg_contract_extent(c, CG_N, 64) ? CG_M : CG_N, order[] = { CG_BATCH, outer, outer == CG_M ? CG_N : CG_M };
  for (unsigned r = 0; r < 3; r++)
    for (unsigned i = 0; i < c->n_ax; i++)
      if (c->ax[i].role == order[r] && (c->ax[i].n != 1 || i == c->vec || p->step[i] > 1)) add_part(p, KIR_GRID, i, p->step[i]);
}
/* ---- matrix units ---- */
/* Stages of the pipe: as many as are of use, in half of what a multiprocessor has, so that another block fits beside; the largest tiles have all, and groups where there
 * is no other block. */
static bool large(const struct tile *q) { return q->rows * q->cols > 128 * 128; }
static bool alone(const struct plan *p, const struct tile *q, int64_t blocks) { return large(q) || (q->how == GROUP && blocks <= (int64_t)p->t->cores); }
/* Bytes of a row of an operand in a stage of ks terms. */
static int64_t row_bytes(const struct plan *p, int64_t ks) { return ks * ir_elem_bytes(p->c->xr->arr->elem); }
static int64_t row_end(const struct tile *q) { return q->how == FMA ? CG_PIECE : 0; }      /* what a row in shared memory is longer: contract_tile.c */
static int64_t stage_bytes(const struct plan *p, const struct tile *q, int64_t ks) { return (q->rows + q->cols) * (row_bytes(p, ks) + row_end(q)); }
static unsigned stages(const struct plan *p, const struct tile *q, int64_t blocks, int64_t ks, double terms)
{
  if (p->t->kind == CG_OPENCL) return 1;            /* copies are synchronous */
  int64_t n = p->t->shared_bytes / (alone(p, q, blocks) ? 1 : 2) / stage_bytes(p, q, ks);
  if (n > 8) n = 8;
  while (n > 2 && (double)n > terms / (double)ks + 1) n--;
  return n < 2 ? 2 : (unsigned)n;
}
/* What warps that split the sum have of it, in shared memory at the end. */
static int64_t parts_bytes(const struct tile *q) { return q->split * q->rows * (q->cols * 4 + row_end(q)); }
static int64_t warps_of(const struct tile *q) { return q->rows / q->lane_rows * (q->cols / q->lane_cols) * q->split * (q->how == GROUP ? 4 : 1); }
/* Of a row's bytes, how many an instruction takes: 32 on matrix units, four elements else. */
static int64_t inst_bytes(const struct plan *p, const struct tile *q) { return q->how == FMA ? row_bytes(p, 4) : 32; }
/* Have matrix units no part in it? */
static bool ordinary(const struct plan *p) { return p->t->kind == CG_OPENCL || p->c->xr->arr->elem == IR_f32; }
static double larger(double a, double b) { return a > b ? a : b; }
/* What an H100 shows of each kind of tile (docs/codegen-c.md; those of ordinary units are estimates): multiplications of a multiprocessor in a cycle, bytes that it brings in, and cycles that a stage
 * takes beside, for barriers, issue and the first of its multiplications. A stage is 128 bytes of each row: 64 terms of 16 bits, or 32 of tf32, which take as long. */
struct rates { double multiply, bring, stage; };
static struct rates rates_of(const struct tile *q)
{
  if (q->how == FMA) {                            /* a lane's a x b elements take a*b multiplications, and a + b reads of shared memory of two cycles each */
    double a = (double)q->lane_rows / 8, b = (double)q->lane_cols / 4;
    return (struct rates){ 220 / larger(1, 2 * (a + b) / (a * b)), 285, 100 };
  }
  return q->how == GROUP ? (struct rates){ 1900, 230, 150 } : q->split > 1 ? (struct rates){ 587, 237, 65 } : (struct rates){ 627, 285, 177 };
}
/* Cycles of a kernel of `blocks` such tiles. Blocks that share a multiprocessor hide each other's latency, and share its rates; all share that of the second cache, from which
 * a stage takes LATENCY, hidden by those that are under way. */
static double cycles_of(const struct plan *p, const struct tile *q, int64_t blocks, int64_t ks, double terms)
{
  static const double latency = 1650, second = 5000 /* bytes a cycle */, behind = 1.29 /* of mma.sync, for its latency */, start = 2096 /* launch, filling of the pipe */, element = 0.209 /* epilogue */;
  unsigned depth = stages(p, q, blocks, ks, terms);
  int64_t each = cg_ceil_div(blocks, p->t->cores), bytes = depth * stage_bytes(p, q, ks);
  if (q->split > 1 && parts_bytes(q) > bytes) bytes = parts_bytes(q);
  int64_t together = p->t->core_shared_bytes / (bytes + 1024), threads = p->t->core_threads / (32 * warps_of(q));
  if (together > threads) together = threads;
  if (q->how == FMA) {                            /* registers: the tile, a column of factors, and what addresses take */
    int64_t a = q->lane_rows / 8, b = q->lane_cols / 4, most = 65536 / (32 * warps_of(q) * (a * b + 4 * b + 48));
    if (together > most) together = most;
  }
  if (together > each) together = each;
  if (together < 1) together = 1;
  double rounds = (double)cg_ceil_div(each, together), area = (double)(q->rows * q->cols), edges = (double)(q->rows + q->cols) * 128;
  struct rates r = rates_of(q);
  double work = larger(area * 64 / r.multiply, edges / r.bring), one = q->how == GROUP ? larger((double)together * work, latency / (depth - 1)) : behind * work;
  double stage = larger(rounds * (r.stage + one), (double)each * work);
  if (q->how == GROUP) stage = larger(stage, (double)blocks * edges / second);
  return terms * (double)row_bytes(p, 1) / 128 * stage + rounds * start + (double)each * area * element * (together > 1 ? 1 : 1.5);
}
/* Do results that are contiguous along the columns pass through shared memory, so that lanes store whole pieces of 16 bytes, or, where rows begin anywhere, neighbours? */
static bool leaves_in_pieces(const struct plan *p, const struct tile *q)
{
  return !cg_contract_rows_run(p->c) && q->rows * q->cols * 4 <= p->t->shared_bytes / (large(q) ? 1 : 2);
}
/* terms: of each sum; ks: of a stage; groups: may warps multiply together? NULL: no tile fits. */
static const struct tile *choose_units(struct plan *p, double terms, int64_t ks, bool groups, int64_t *out_blocks)
{
  const struct cg_contract *c = p->c;
  enum { ROWS = 256 };                            /* where their number is not known */
  double best = 0;
  bool unknown = false;
  const struct tile *chosen = NULL;
  for (unsigned i = 0; i < c->n_ax; i++) unknown |= c->ax[i].role == CG_M && !c->ax[i].n;
  for (unsigned i = 0; i < sizeof warp_tiles / sizeof *warp_tiles; i++) {
    const struct tile *q = &warp_tiles[i];
    if ((q->how == FMA) != ordinary(p) || (q->how == GROUP && (!groups || row_bytes(p, ks) != KIR_WGMMA_ROW_BYTES))) continue;
    int64_t blocks = place(p, q);
    if (blocks < 0 || row_bytes(p, ks) % (inst_bytes(p, q) * q->split) || (q->split > 1 && parts_bytes(q) > p->t->shared_bytes)) continue;
    if (q->how == FMA && q->split == 1 && !leaves_in_pieces(p, q)) continue;        /* a lane's own elements all over the result: their addresses fill its registers */
    if (unknown) blocks *= cg_ceil_div(ROWS, q->rows);
    double cycles = cycles_of(p, q, blocks, ks, terms);
    if (chosen && cycles >= best) continue;
    best = cycles;
    chosen = q;
    *out_blocks = blocks;
  }
  return chosen && place(p, chosen) >= 0 ? chosen : NULL;
}
/* Of rows of so many bytes, of elements of `size`: their pieces of 16 bytes go through the banks in turn. */
static uint32_t swizzle(int64_t bytes, unsigned size)
{
  uint32_t piece = size == 2 ? 3 << 8 : 2 << 8;
  return bytes == 256 ? 3 << 16 | piece | 4 : bytes == 128 ? 3 << 16 | piece | 3 : bytes == 64 ? 2 << 16 | piece | 3 : 0;
}
/* The record for a tile; k: the axis that goes through the stages. NULL: it does not fit. */
static struct kir_sched *record(struct plan *p, const struct kir_nest *n, const struct tile *q, unsigned k, int64_t ks, double terms, int64_t blocks)
{
  const struct cg_contract *c = p->c;
  const char *elem = ir_elem_name(c->xr->arr->elem);
  unsigned size = ir_elem_bytes(c->xr->arr->elem);
  unsigned others = 0;
  if (q->split > 1 && c->ax[k].n % (2 * ks) == 0) ks *= 2;         /* fewer barriers */
  p->s = IR_NEW(c->a, struct kir_sched);
  p->s->kind = "contract";
  p->s->inst = q->how == FMA ? "fma.m8n4k4" : q->how == GROUP ? ir_arena_printf(c->a, "wgmma.m64n%lldk%u.%s.f32", (long long)q->lane_cols, 32 / size, elem) : ir_arena_printf(c->a, "mma.m16n8k%u.%s.f32", 32 / size, elem);
  grid(p);
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_K && i != k && c->ax[i].n != 1 && others++ < 3) add_part(p, KIR_PIPE, i, 1);
  add_part(p, KIR_PIPE, k, ks);
  p->s->loops.v[p->s->loops.n - 1].depth = stages(p, q, blocks, ks, terms);
  loops(p, KIR_WARP);
  if (q->split > 1) add_part(p, KIR_WARP, k, ks / q->split);
  p->s->epi_shared = q->split > 1 || leaves_in_pieces(p, q);
  for (unsigned o = 0; o < 2; o++)
    ir_push(c->a, &p->s->stages, ((struct kir_stage){ .operand = (o ? c->wr : c->xr)->arr->name, .how = KIR_STAGED, .via = p->t->kind == CG_CUDA ? "cp.async" : "sync", .swz = q->how == FMA ? 0 : swizzle(row_bytes(p, ks), size) }));
  return others <= 3 && fits(n, p->s, p->t) ? p->s : NULL;
}
/* Both operands are of one type and run along the last summed axis, in whole pieces of 16 bytes. A constant w is stored so. */
static struct kir_sched *units(const struct kir_nest *n, struct cg_contract *c, const struct cg_target *t)
{
  struct plan p = { .c = c, .t = t };
  enum ir_elem e = c->xr->arr->elem;
  double terms = 1;
  int k = -1;
  unsigned size = ir_elem_bytes(e);
  if (!ir_elem_narrower(e, IR_f64)) return NULL;
  if (c->wr->arr->elem != e || cg_contract_whole(c)) return NULL;
  for (unsigned i = 0; i < c->n_ax; i++) {
    if (c->ax[i].role == CG_K && c->ax[i].n != 1 && cg_contract_runs(c, 0, i)) k = (int)i;
    if (c->ax[i].role == CG_K) terms *= c->ax[i].n ? (double)c->ax[i].n : 64;
  }
  if (k < 0 || c->ax[k].n % (16 / size) || c->ax[k].n < 32 / size) return NULL;
  if (!cg_contract_runs(c, 1, (unsigned)k) && !cg_contract_packable(c)) return NULL;
  int64_t ks = 128 / size;
  while (ks > 32 / size && cg_round_up(c->ax[k].n, ks) > cg_round_up(c->ax[k].n, ks / 2)) ks /= 2;
  for (int groups = !ordinary(&p) && !strcmp(t->arch, "sm_90a"); groups >= 0; groups--) {
    int64_t blocks = 0;
    const struct tile *q = choose_units(&p, terms, ks, groups, &blocks);
    struct kir_sched *s = q ? record(&p, n, q, (unsigned)k, ks, terms, blocks) : NULL;
    if (s || (q && q->how != GROUP)) return s;
  }
  return NULL;
}
struct kir_sched *cg_contract_lanes_schedule(struct ir_arena *a, const struct kir_nest *n, const struct cg_target *t)
{
  struct cg_contract c;
  const char *why;
  if (!cg_contract_read(&c, a, n, &why) || c.elem != IR_f32 || t->kind == CG_CPU) return NULL;
  cg_contract_for_lanes(&c);
  struct kir_sched *matrix = units(n, &c, t);
  if (matrix) return matrix;
  struct plan p = { .c = &c, .t = t, .s = IR_NEW(a, struct kir_sched) };
  p.s->kind = "contract";
  p.s->inst = "fma";
  if (cg_contract_whole(&c) || !choose(&p)) return NULL;
  grid(&p);
  if (!k_loops(&p)) return NULL;
  loops(&p, KIR_LANE);
  for (unsigned o = 0; o < 2; o++) {
    const struct kir_arr *arr = o ? c.wr->arr : c.xr->arr;
    bool word = ir_elem_bytes(arr->elem) == 4;
    ir_push(a, &p.s->stages, ((struct kir_stage){ .operand = arr->name, .how = KIR_STAGED, .via = t->kind == CG_CUDA && word ? "cp.async" : "sync" }));
  }
  return fits(n, p.s, t) ? p.s : NULL;
}
