/* The tile of the skeleton `contract`: fill, the k loops, one multiplication, the epilogue.
 *
 * Rows and columns of the accumulator lie in registers as the instruction says, repeated until the part of one warp, lane or core is covered; warps (or lanes)
 * divide the tile outside of that. A `pipe` among the k loops copies the operands' parts of each stage into shared memory, rows times k. */
#include <string.h>
#include "codegen/library/contract.h"

enum { MAX_REGS = 256 };

struct tile {
  struct cg_lower_state *l;
  struct cg_axes *st;
  const struct ir_ix *from[CG_MAX_AXES], *to[CG_MAX_AXES];   /* axes -> base + tile coordinate */
  const struct ir_ix *coord[CG_MAX_AXES];         /* tile coordinates; NULL for step 1 */
  struct kir_reg *acc, *temp[CG_MAX_ITEMS];       /* of acc, and of epilogue temporaries by item */
  struct kir_arr *staged[2];                      /* x and w in shared memory; NULL: read in place */
  const struct ir_ix *part;                       /* where warps split the sum: which part of it; else NULL */
};

/* ---- layouts ---- */
static int64_t extent(const struct tile *t, enum cg_role role, bool of_unit)
{
  int64_t n = 1;
  for (unsigned i = 0; i < t->l->c->n_ax; i++) {
    int64_t s = t->st->ax[i].step, u = t->l->unit_step[i];
    if (t->l->c->ax[i].role == role && s > 1) n *= of_unit && u ? u : s;
  }
  return n;
}
/* Names the axes of dim d of r: those of the role that keep a step. */
static void name_axes(const struct tile *t, struct kir_reg *r, unsigned d, enum cg_role role)
{
  for (unsigned i = 0; i < t->l->c->n_ax; i++) {
    if (t->l->c->ax[i].role != role || t->st->ax[i].step <= 1) continue;
    IR_ASSERT(r->n_axes[d] < 4);
    r->axes[d][r->n_axes[d]].axis = ir_ix_as_sym(t->coord[i])->name;
    r->axes[d][r->n_axes[d]++].ext = t->st->ax[i].step;
  }
}
static void inst_factors(struct kir_layout *l, unsigned dim, const struct kir_layout *in, char name)
{
  for (unsigned i = 0; i < in->n; i++)
    if (in->dim[in->f[i].dim][0] == name) cg_factor(l, dim, in->f[i].ext, in->f[i].axis, in->f[i].stride);
}
static void name_dims(struct kir_layout *l, const char *names) { IR_ASSERT(kir_layout_parse(names, strlen(names), l)); }

/* Of each dim, outermost first: units, repetitions of the instruction, the instruction's own factors. Warps that split the sum are neighbours: dim z. */
static bool acc_layout(const struct tile *t, struct kir_layout *lay)
{
  const struct kir_inst *in = t->l->in;
  int64_t I = extent(t, CG_M, false), J = extent(t, CG_N, false), wi = extent(t, CG_M, true), wj = extent(t, CG_N, true), nr = kir_layout_count(&in->C, 'r');
  if (I % wi || J % wj || wi % in->m || wj % in->n) return cg_refuse(t->l, "the tile is no multiple of the instruction");
  int64_t ri = wi / in->m, rj = wj / in->n, together = kir_layout_count(&in->C, 'w'), next = together * t->l->split;       /* warps of an instruction, and that have one part of the tile */
  if (ri * rj * nr > MAX_REGS) return cg_refuse(t->l, "the tile does not fit the registers");
  name_dims(lay, t->part ? "i=1, j=1, z=1" : "i=1, j=1");
  if (t->l->unit == 'l') {                        /* lanes inside of registers: neighbours read and store neighbours, along the dim in which the result is contiguous */
    bool rows = cg_contract_rows_run(t->l->c);
    cg_factor(lay, 0, ri, 'r', nr * rj);
    cg_factor(lay, 0, I / wi, 'l', rows ? 1 : J / wj);
    cg_factor(lay, 1, rj, 'r', nr);
    cg_factor(lay, 1, J / wj, 'l', rows ? I / wi : 1);
    return in->m == 1 && in->n == 1 ? true : cg_refuse(t->l, "lanes divide a tile of scalar instructions");
  }
  if (together > 1 && t->part) return cg_refuse(t->l, "warps that multiply together do not split the sum");
  cg_factor(lay, 0, I / wi, t->l->unit, next * (J / wj));
  cg_factor(lay, 0, ri, 'r', nr * rj);
  inst_factors(lay, 0, &in->C, 'i');
  cg_factor(lay, 1, J / wj, t->l->unit, next);
  cg_factor(lay, 1, rj, 'r', nr);
  inst_factors(lay, 1, &in->C, 'j');
  if (t->part) cg_factor(lay, 2, t->l->split, 'w', 1);
  return true;
}
/* ks x rows, dealt to lanes one by one, first along the dim in which the operand is contiguous. */
static bool lane_copy_layout(const struct tile *t, int64_t rows, int64_t ks, bool along_k, const char *names, struct kir_layout *lay)
{
  int64_t L = t->l->k->lanes, lk, lr;
  if (along_k) {
    lk = ks < L ? ks : L;
    lr = L / lk < rows ? L / lk : rows;
  } else {
    lr = rows < L ? rows : L;
    lk = L / lr < ks ? L / lr : ks;
  }
  if (ks % lk || rows % lr || (lk & (lk - 1)) || (lr & (lr - 1))) return cg_refuse(t->l, "a staged tile does not divide among the lanes");
  name_dims(lay, names);
  cg_factor(lay, 0, ks / lk, 'r', rows / lr);
  cg_factor(lay, 0, lk, 'l', along_k ? 1 : lr);
  cg_factor(lay, 1, rows / lr, 'r', 1);
  cg_factor(lay, 1, lr, 'l', along_k ? lk : 1);
  return true;
}
/* rows x cols, cols contiguous: pieces of `vec` elements dealt to lanes along a row, then to rows, then to warps. */
static bool copy_layout(const struct tile *t, int64_t rows, int64_t cols, int64_t vec, const char *names, struct kir_layout *lay)
{
  int64_t L = t->l->k->lanes, W = t->l->k->warps;
  if (cols % vec) return cg_refuse(t->l, "a staged row is no multiple of its pieces");
  int64_t lj = cols / vec < L ? cols / vec : L;
  while (L % lj || cols / vec % lj) lj--;
  int64_t li = L / lj < rows ? L / lj : rows, w = rows / li < W ? rows / li : W;
  if (rows % (li * w)) return cg_refuse(t->l, "a staged tile does not divide among the lanes");
  int64_t rj = cols / vec / lj, ri = rows / li / w;
  name_dims(lay, names);
  cg_factor(lay, 0, w, 'w', 1);
  cg_factor(lay, 0, ri, 'r', rj);
  cg_factor(lay, 0, li, 'l', lj);
  cg_factor(lay, 1, rj, 'r', 1);
  cg_factor(lay, 1, lj, 'l', 1);
  cg_factor(lay, 1, vec, 'v', 1);
  return true;
}

static void coordinates(struct tile *t)
{
  struct cg_contract *c = t->l->c;
  for (unsigned i = 0; i < c->n_ax; i++) {
    const struct cg_left *x = &t->st->ax[i];
    t->from[i] = c->ax[i].var;
    t->to[i] = x->base;
    if (c->ax[i].role == CG_K || x->step <= 1) continue;
    t->coord[i] = cg_coord(t->l->k, ir_arena_printf(c->a, "%s_", c->ax[i].name), x->step);
    t->to[i] = ir_ix_add(x->base, t->coord[i]);
  }
}
static struct kir_reg *new_tile(struct tile *t, const char *name, enum ir_elem elem, const struct kir_layout *lay)
{
  struct kir_reg *r = kir_reg_tile(t->l->k, name, elem, lay->n_dims, (int64_t[]){ extent(t, CG_M, false), extent(t, CG_N, false), t->l->split }, lay);
  name_axes(t, r, 0, CG_M);
  name_axes(t, r, 1, CG_N);
  if (lay->n_dims == 3) {
    r->axes[2][0].axis = ir_ix_as_sym(t->part)->name;
    r->axes[2][0].ext = t->l->split;
    r->n_axes[2] = 1;
  }
  kir_emit(&t->l->e, KIR_tile, elem, 1, NULL, 0, NULL, 0)->reg = r;
  return r;
}
/* The coordinate along a whole dim: its axes' coordinates as digits. */
static const struct ir_ix *dim_coord(const struct tile *t, enum cg_role role)
{
  const struct ir_ix *at = cg_num(t->l, 0);
  for (unsigned i = 0; i < t->l->c->n_ax; i++)
    if (t->l->c->ax[i].role == role && t->st->ax[i].step > 1) at = ir_ix_add(ir_ix_muli(at, t->st->ax[i].step), t->coord[i]);
  return at;
}
static struct kir_expr *tile_expr(struct tile *t, struct kir_reg *r)
{
  return kir_tile(t->l->k->arena, r, (const struct ir_ix *[]){ dim_coord(t, CG_M), dim_coord(t, CG_N) }, 2);
}

/* ---- epilogue ---- */
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
/* Through shared memory to a layout in which each lane owns whole pieces of rows; what warps have of one sum is added on the way. */
static bool relayout(struct tile *t)
{
  struct cg_lower_state *l = t->l;
  struct kir_layout lay;
  int64_t dim[3] = { l->split, extent(t, CG_M, false), extent(t, CG_N, false) };
  TRY(copy_layout(t, dim[1], dim[2], cg_contract_piece(l->c), "i=1, j=1", &lay));
  if (!l->in->fetch) dim[2] += CG_PIECE / ir_elem_bytes(t->acc->elem);
  uint64_t before = l->k->scratch_bytes;
  struct kir_arr *b = kir_buf(l->k, "e", t->acc->elem, t->part ? 3 : 2, t->part ? dim : dim + 1);
  uint64_t bytes = l->k->scratch_bytes - b->byte_offset;
  b->byte_offset = 0;                             /* the stages are done with; the op's first barrier says so */
  l->k->scratch_bytes = bytes > before ? bytes : before;
  if (l->in->fetch) b->swz = 2 << 16 | 3 << 8 | 4;
  struct kir_reg *e = new_tile(t, "e", t->acc->elem, &lay);
  struct kir_op *o = kir_emit(&l->e, KIR_relayout, e->elem, 1, NULL, 0, NULL, 0);
  o->reg = e;
  o->reg2 = t->acc;
  o->arr = b;
  t->acc = e;
  return true;
}
static bool emit_epilogue(struct tile *t)
{
  struct cg_lower_state *l = t->l;
  struct cg_contract *c = l->c;
  struct cg_move m = { t->from, t->to, c->n_ax, read_tile, t };
  if (l->s->epi_shared) TRY(relayout(t));
  for (unsigned i = 0; i < c->n_items; i++) {
    const struct cg_item *it = &c->item[i];
    struct kir_expr *e = cg_expr_move(c->a, it->e, &m);
    const struct ir_ix *at[IR_MAX_RANK];
    if (!it->dst->arg || (it->dst != c->acc && is_read(c, i + 1, it->dst))) {
      struct kir_reg *r = new_tile(t, "t", it->dst->elem, &t->acc->lay);
      cg_map_reg(&l->e, r, e);
      t->temp[i] = r;
      e = tile_expr(t, r);
    }
    if (!it->dst->arg) continue;
    for (unsigned d = 0; d < it->dst->rank; d++) at[d] = ir_ix_subst(it->at[d], t->from, t->to, c->n_ax);
    cg_map_arr(&l->e, it->dst, at, e, &t->acc->lay);
  }
  return true;
}

/* ---- the multiplication ---- */
/* The summed axis that is left with a step, and its coordinate. */
static int k_axis(const struct tile *t)
{
  for (unsigned i = 0; i < t->l->c->n_ax; i++)
    if (t->l->c->ax[i].role == CG_K && t->st->ax[i].step > 1) return (int)i;
  return -1;
}
static bool enter_k(struct tile *t)
{
  int k = k_axis(t);
  for (unsigned i = 0; i < t->l->c->n_ax; i++) {
    if (t->l->c->ax[i].role != CG_K) continue;
    if (t->st->ax[i].step != 1 && (int)i != k) return cg_refuse(t->l, "more than one summed axis is left in the tile, or one of unknown extent");
    t->to[i] = t->st->ax[i].base;
    if ((int)i != k) continue;
    t->coord[i] = cg_coord(t->l->k, ir_arena_printf(t->l->c->a, "%s_", t->l->c->ax[i].name), t->st->ax[i].step);
    t->to[i] = ir_ix_add(t->to[i], t->coord[i]);
  }
  return true;
}
/* An operand at the tile's coordinates. Where k may overrun its axis, zeros come instead. */
static struct kir_expr *operand(const struct tile *t, struct kir_expr *e)
{
  struct cg_contract *c = t->l->c;
  int k = k_axis(t);
  struct kir_expr *r = cg_expr_move(c->a, e, &(struct cg_move){ t->from, t->to, c->n_ax, NULL, NULL });
  if (k >= 0 && !t->st->ax[k].exact && !cg_uncast(r)->els) cg_uncast(r)->els = cg_expr_f(c->a, cg_uncast(r)->elem, 0);
  return r;
}
static void prefetch_w(struct tile *t, const struct kir_expr *w, unsigned bytes)
{
  struct cg_lower_state *l = t->l;
  struct cg_contract *c = l->c;
  const struct ir_ix *at[IR_MAX_RANK], *co = t->coord[c->vec];
  int64_t line = 64 / ir_elem_bytes(w->elem);
  for (unsigned d = 0; d < w->n_at; d++) at[d] = co ? ir_ix_subst1(w->at[d], co, cg_num(l, 0)) : w->at[d];
  for (int64_t j = 0; j < t->st->ax[c->vec].step; j += line) {
    const struct ir_ix *off = ir_ix_addi(cg_offset(w->arr, at, c->ixs), bytes / ir_elem_bytes(w->elem) + j);
    kir_emit(&l->e, KIR_prefetch, w->elem, 1, NULL, 0, &off, 1)->arr = w->arr;
  }
}
/* Operand o (0: x, 1: w) in shared memory at k: [stage, row, k], or [stage, k, row] for lanes, which read scalars of one k. */
static struct kir_expr *staged(struct tile *t, unsigned o, const struct ir_ix *k)
{
  const struct ir_ix *row = dim_coord(t, o ? CG_N : CG_M), *stage = ir_ix_find(t->l->k->ixs, "stage");
  bool turned = t->l->unit == 'l';
  return kir_read((struct kir_nest *)t->l->c->nest, t->staged[o], (const struct ir_ix *[]){ stage, turned ? k : row, turned ? row : k }, NULL);
}
/* The same of x, from the task's copy of its rows. */
static struct kir_expr *from_rows(struct tile *t)
{
  struct cg_lower_state *l = t->l;
  const struct ir_ix *at[] = { t->to[cg_only_axis(l->c, CG_K)], ir_ix_sub(t->to[cg_only_axis(l->c, CG_M)], l->x_first) };
  return kir_read((struct kir_nest *)l->c->nest, l->x_rows, at, NULL);
}
static bool emit_mma(struct tile *t)
{
  struct cg_lower_state *l = t->l;
  struct cg_contract *c = l->c;
  bool fresh = !t->staged[0] && !t->staged[1];    /* a pipe has entered k already */
  if (fresh) TRY(enter_k(t));
  int k = k_axis(t);
  int64_t steps = k < 0 ? 1 : t->st->ax[k].step / l->split;
  const struct ir_ix *at_k = k < 0 ? NULL : t->coord[k], *kk = at_k;
  if (t->part) {                                  /* this warp's part of the stage */
    kk = cg_coord(l->k, "k_", steps);
    at_k = ir_ix_add(ir_ix_muli(t->part, steps), kk);
  }
  if (steps % l->in->k) return cg_refuse(l, "the step of the summed axis is no multiple of the instruction's");
  struct kir_expr *p = IR_NEW(c->a, struct kir_expr), *f[2];
  for (unsigned o = 0; o < 2; o++) {
    struct kir_expr *e = o ? c->w : c->x;
    if (l->in->text) e = cg_uncast(e);               /* the instruction converts */
    if (l->in->text && e->elem != l->in->ab) return cg_refuse(l, "the instruction multiplies another type");
    f[o] = t->staged[o] ? cg_recast(c->a, e, staged(t, o, at_k)) : !o && l->x_rows ? cg_recast(c->a, e, from_rows(t)) : operand(t, e);
  }
  if (kir_layout_count(&l->in->C, 'w') > 1) {
    for (unsigned o = 0; o < 2; o++)
      if (!t->staged[o] || t->staged[o]->swz != kir_wgmma_swz(l->in) || t->staged[o]->byte_offset % KIR_WGMMA_ALIGN || steps != kir_wgmma_row(l->in))
        return cg_refuse(l, "the instruction reads rows of 128 bytes, in their swizzle, in shared memory");
  }
  *p = (struct kir_expr){ .kind = KIR_E_FN, .elem = c->elem, .sub = IR_MAP_mul, .n = 2, .a = { f[0], f[1] } };
  const struct kir_stage *st = cg_find_stage(l->s, c->wr->arr);
  if (st && st->prefetch && st->how == KIR_PACKED) prefetch_w(t, cg_uncast(f[1]), st->prefetch);
  struct kir_op *o = kir_emit(&l->e, KIR_mma, c->elem, 1, NULL, 0, (const struct ir_ix *[]){ cg_num(l, steps) }, 1);
  o->reg = t->acc;
  o->e = p;
  o->inst = l->in;
  o->var = kk;
  return true;
}

bool cg_contract_stage_rows(struct cg_lower_state *l, const struct cg_axes *st)
{
  struct cg_contract *c = l->c;
  struct kir_arr *x = c->xr->arr;
  const struct kir_stage *sg = cg_find_stage(l->s, x);
  int m = cg_only_axis(c, CG_M), k = cg_only_axis(c, CG_K);
  for (unsigned i = 0; i < l->n_loops; i++)
    if (l->s->loops.v[i].kind == KIR_PIPE) return true;
  if (!sg || sg->how != KIR_STAGED) return true;
  if (l->unit || m < 0 || k < 0 || !c->ax[k].n || !st->ax[m].step || c->xr->els) return cg_refuse(l, "only rows of one m axis over one summed axis are staged by a task");
  unsigned lanes = l->t->vec_lanes;
  int64_t rows = st->ax[m].step, dim[2] = { cg_round_up(c->ax[k].n, lanes), rows % 256 ? rows : rows + 16 };
  struct cg_for fr, fk;
  struct kir_layout lay;
  const struct ir_ix *from[CG_MAX_AXES], *to[CG_MAX_AXES];
  l->x_rows = kir_buf(l->k, ir_arena_printf(c->a, "s%s", x->name), x->elem, 2, dim);
  l->x_first = st->ax[m].base;
  const struct ir_ix *v = cg_coord(l->k, "k_", lanes), *r = cg_for_begin(&l->e, &fr, "r", ir_ix_sub(st->ax[m].lim, st->ax[m].base), 0);
  const struct ir_ix *kk = ir_ix_add(ir_ix_muli(cg_for_begin(&l->e, &fk, "k", cg_num(l, dim[0] / lanes), 0), lanes), v);
  for (unsigned i = 0; i < c->n_ax; i++) {
    from[i] = c->ax[i].var;
    to[i] = (int)i == m ? ir_ix_add(st->ax[i].base, r) : (int)i == k ? kk : st->ax[i].base;
  }
  IR_ASSERT(kir_layout_parse("k=1, r=1", 8, &lay));
  cg_factor(&lay, 0, lanes, 'v', 1);
  struct kir_op *o = kir_emit(&l->e, KIR_copy, x->elem, 1, NULL, 0, (const struct ir_ix *[]){ kk, r }, 2);
  o->arr = l->x_rows;
  o->e = cg_expr_move(c->a, c->xr, &(struct cg_move){ from, to, c->n_ax, NULL, NULL });
  o->lay = ir_arena_copy(c->a, &lay, sizeof lay);
  cg_for_end(&l->e, &fk);
  cg_for_end(&l->e, &fr);
  return true;
}

/* ---- k loops ---- */
/* Copies operand o's part of one stage. */
static bool stage_operand(struct tile *t, unsigned o, unsigned depth)
{
  struct cg_lower_state *l = t->l;
  struct cg_contract *c = l->c;
  struct kir_expr *r = operand(t, cg_uncast(o ? c->w : c->x));
  const struct kir_stage *sg = cg_find_stage(l->s, r->arr);
  int k = k_axis(t);
  if (!sg || sg->how != KIR_STAGED) return true;
  if (k < 0) return cg_refuse(l, "a pipe stages an axis of the sum");
  int64_t rows = extent(t, o ? CG_N : CG_M, false), dim[3] = { depth, rows, t->st->ax[k].step };
  struct kir_layout lay;
  if (l->unit == 'l') {
    bool along_k = cg_contract_runs(c, o, (unsigned)k);
    TRY(lane_copy_layout(t, rows, dim[2], along_k, o ? "k=1, j=1" : "k=1, i=1", &lay));
    dim[1] = dim[2];
    dim[2] = along_k ? rows + 1 : rows;           /* columns of a copied tile in different banks */
  } else {
    unsigned piece = CG_PIECE / ir_elem_bytes(r->elem);
    TRY(copy_layout(t, rows, dim[2], piece, o ? "j=1, k=1" : "i=1, k=1", &lay));
    if (!l->in->fetch) dim[2] += piece;
  }
  struct kir_arr *b = kir_buf(l->k, ir_arena_printf(c->a, "s%s", r->arr->name), r->elem, 3, dim);
  b->swz = sg->swz;
  const struct ir_ix *at[3] = { ir_ix_find(l->k->ixs, "stage"), dim_coord(t, o ? CG_N : CG_M), t->coord[k] }, *row = at[1];
  if (l->unit == 'l') at[1] = at[2], at[2] = row;
  struct kir_op *op = kir_emit(&l->e, KIR_copy, r->elem, 1, NULL, 0, at, 3);
  op->arr = b;
  op->e = r;
  op->lay = ir_arena_copy(c->a, &lay, sizeof lay);
  op->i = sg->via && !strcmp(sg->via, "cp.async");
  t->staged[o] = b;
  return true;
}
/* `pipe` over one or several summed axes: one trip count, its digits outermost first. */
static bool pipe(struct tile *t, unsigned i)
{
  struct cg_lower_state *l = t->l;
  const struct kir_loop *lp = &l->s->loops.v[i];
  const struct ir_ix *trips[4], *total = cg_num(l, 1);
  struct cg_axes save = *t->st;
  int a[4];
  if (i + 1 != l->n_loops || !lp->depth) return cg_refuse(l, "a pipe is the last of the summed loops, and has a depth");
  for (unsigned j = 0; j < lp->n; j++) {
    a[j] = cg_find_axis(l->c, lp->part[j].axis);
    if (a[j] < 0 || l->c->ax[a[j]].role != CG_K) return cg_refuse(l, "a pipe is over summed axes");
    trips[j] = cg_trips(l, &t->st->ax[a[j]], lp->part[j].step);
    total = ir_ix_mul(total, trips[j]);
  }
  int64_t lo, hi;
  ir_ix_range(total, &lo, &hi);
  ir_ix_sym(l->k->ixs, "stage", IR_SYM_LOOP, 0, 15, 1);
  const struct ir_ix *v = ir_ix_fresh(l->k->ixs, "t", IR_SYM_LOOP, 0, hi == IR_IX_INF ? hi : hi < 1 ? 0 : hi - 1, 1), *rest = v;
  struct kir_op *o = kir_emit(&l->e, KIR_pipe, l->c->elem, 1, NULL, 0, &total, 1);
  struct kir_block *outer = l->e.at;
  uint32_t mark = ir_facts_mark(&l->k->facts);
  o->var = v;
  o->depth = lp->depth;
  ir_facts_push(&l->k->facts, ir_ix_addi(ir_ix_sub(total, v), -1));
  for (unsigned j = lp->n; j-- > 0;) {
    cg_enter(&t->st->ax[a[j]], lp->part[j].step, j ? ir_ix_mod(rest, trips[j]) : rest);
    rest = ir_ix_div(rest, trips[j]);
  }
  l->e.at = &o->body[0];
  bool ok = enter_k(t) && stage_operand(t, 0, lp->depth) && stage_operand(t, 1, lp->depth);
  if (ok && !t->staged[0] && !t->staged[1]) ok = cg_refuse(l, "a pipe stages at least one operand");
  l->e.at = &o->body[1];
  ok = ok && emit_mma(t);
  l->e.at = outer;
  ir_facts_reset(&l->k->facts, mark);
  *t->st = save;
  t->staged[0] = t->staged[1] = NULL;
  return ok;
}
/* Adds what the registers hold to the sum over the trips of a loop that `sums`. */
static void add_to(struct tile *t, struct kir_reg *total)
{
  struct cg_contract *c = t->l->c;
  struct kir_expr *e = IR_NEW(c->a, struct kir_expr);
  *e = (struct kir_expr){ .kind = KIR_E_FN, .elem = c->elem, .sub = IR_MAP_add, .n = 2, .a = { tile_expr(t, total), tile_expr(t, t->acc) } };
  cg_map_reg(&t->l->e, total, e);
}
static struct kir_reg *zero_tile(struct tile *t, const char *name, const struct kir_layout *lay)
{
  struct kir_reg *r = new_tile(t, name, t->l->c->elem, lay);
  kir_emit(&t->l->e, KIR_fill, t->l->c->elem, 1, NULL, 0, NULL, 0)->reg = r;
  return r;
}
static bool k_part(struct tile *t, unsigned i)
{
  struct cg_lower_state *l = t->l;
  if (i == l->n_loops) return emit_mma(t);
  const struct kir_loop *lp = &l->s->loops.v[i];
  if (lp->kind == KIR_PIPE) return pipe(t, i);
  int a = lp->n == 1 ? cg_find_axis(l->c, lp->part[0].axis) : -1;
  if (a < 0 || lp->kind != KIR_FOR || l->c->ax[a].role != CG_K) return cg_refuse(l, "below the tile only `for` loops over one summed axis may stand, and a pipe");
  struct cg_left save = t->st->ax[a];
  struct kir_reg *total = t->acc;
  struct cg_for f;
  const struct ir_ix *v = cg_for_begin(&l->e, &f, lp->part[0].axis, cg_trips(l, &save, lp->part[0].step), lp->unroll);
  cg_enter(&t->st->ax[a], lp->part[0].step, v);
  if (lp->sums && t->part) return cg_refuse(l, "warps split a sum that is made of sums");
  if (lp->sums) t->acc = zero_tile(t, "p", &total->lay);
  bool ok = k_part(t, i + 1);
  if (lp->sums) add_to(t, total);
  cg_for_end(&l->e, &f);
  t->acc = total;
  t->st->ax[a] = save;
  return ok;
}

/* Where x is read with something else outside of its shape, most tiles do not reach the border: *out_in are the conditions (>= 0) under which one does not.
 * Each guard is taken at its least value over the tile and the summed axes. */
static unsigned interior(const struct tile *t, const struct ir_ix **out_in)
{
  const struct cg_lower_state *l = t->l;
  const struct kir_expr *x = l->c->xr;
  const struct ir_ix *to[CG_MAX_AXES];
  unsigned n = 0;
  if (!x->els || l->unit) return 0;               /* warps and lanes fill what they stage */
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
  struct cg_lower_state *l = t->l;
  struct kir_layout lay;
  if (l->split > 1) t->part = cg_coord(l->k, "z_", l->split);
  TRY(acc_layout(t, &lay));
  unsigned warps = (unsigned)kir_layout_count(&lay, 'w'), lanes = (unsigned)kir_layout_count(&lay, 'l');
  if (warps > l->k->warps || lanes > l->k->lanes) kir_block(l->k, warps, lanes);
  t->acc = zero_tile(t, "c", &lay);
  TRY(k_part(t, l->last_mn + 1));
  return emit_epilogue(t);
}
bool cg_contract_tile(struct cg_lower_state *l, struct cg_axes *st)
{
  struct tile t = { .l = l, .st = st };
  struct cg_contract *c = l->c;
  int64_t cols = 1;
  for (unsigned i = 0; i < c->n_ax; i++) {
    int64_t s = st->ax[i].step;
    if (c->ax[i].role == CG_K) continue;
    if (!s) return cg_refuse(l, "an axis of unknown extent is left in the tile");
    if (c->ax[i].role == CG_BATCH && s != 1) return cg_refuse(l, "a batch axis is left in the tile");
    if (c->ax[i].role == CG_N && s != 1 && i != c->vec) return cg_refuse(l, "only one n axis may stay in the tile");
    if (i == c->vec) cols = s;
  }
  if (cg_contract_whole(c) && c->ax[c->vec].n % cols) return cg_refuse(l, "columns straddle groups");
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
