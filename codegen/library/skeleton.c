/* Helpers of the skeletons; skeleton.h says what each does. */
#include <string.h>
#include "codegen/library/skeleton.h"

static const struct ir_ix *counter(struct kir_kern *k, const char *name, enum ir_sym_kind kind, const struct ir_ix *trips)
{
  int64_t lo, hi;
  ir_ix_range(trips, &lo, &hi);
  const struct ir_ix *v = ir_ix_fresh(k->ixs, name, kind, 0, hi == IR_IX_INF ? hi : hi < 1 ? 0 : hi - 1, 1);
  if (!ir_ix_const(trips, &lo)) ir_facts_push(&k->facts, ir_ix_addi(ir_ix_sub(trips, v), -1));
  return v;
}

const struct ir_ix *cg_for_begin(struct kir_emit *e, struct cg_for *f, const char *name, const struct ir_ix *trips, unsigned unroll)
{
  *f = (struct cg_for){ .outer = e->at, .mark = ir_facts_mark(&e->k->facts) };
  if (ir_ix_is(trips, 1)) return ir_ix_int(e->k->ixs, 0);
  const struct ir_ix *v = counter(e->k, name, IR_SYM_LOOP, trips);
  f->op = kir_emit(e, KIR_for, IR_f32, 1, NULL, 0, (const struct ir_ix *[]){ ir_ix_int(e->k->ixs, 0), trips }, 2);
  f->op->var = v;
  f->op->sub = unroll;
  e->at = &f->op->body[0];
  return v;
}

void cg_for_end(struct kir_emit *e, struct cg_for *f)
{
  e->at = f->outer;
  ir_facts_reset(&e->k->facts, f->mark);
}

void cg_if_begin(struct kir_emit *e, struct cg_if *c, const struct ir_ix *const *ge0, unsigned n)
{
  *c = (struct cg_if){ .outer = e->at, .mark = ir_facts_mark(&e->k->facts) };
  const struct ir_ix *left[32];
  unsigned n_left = 0;
  for (unsigned i = 0; i < n; i++)
    if (!ir_known_ge0(&e->k->facts, ge0[i])) {
      IR_ASSERT(n_left < 32);
      left[n_left++] = ge0[i];
    }
  if (!n_left) return;
  c->op = kir_emit(e, KIR_if, IR_f32, 1, NULL, 0, left, n_left);
  for (unsigned i = 0; i < n_left; i++) ir_facts_push(&e->k->facts, left[i]);
  e->at = &c->op->body[0];
}

void cg_if_end(struct kir_emit *e, struct cg_if *c)
{
  e->at = c->outer;
  ir_facts_reset(&e->k->facts, c->mark);
}

const struct ir_ix *cg_grid(struct kir_kern *k, const char *name, const struct ir_ix *trips)
{
  if (ir_ix_is(trips, 1)) return ir_ix_int(k->ixs, 0);
  const struct ir_ix *v = counter(k, name, IR_SYM_ID, trips);
  ir_push(k->arena, &k->grid, ((struct kir_digit){ v, trips }));
  return v;
}

const struct ir_ix *cg_coord(struct kir_kern *k, const char *name, int64_t ext)
{
  return ext == 1 ? ir_ix_int(k->ixs, 0) : ir_ix_fresh(k->ixs, name, IR_SYM_AXIS, 0, ext - 1, 1);
}

struct kir_expr *cg_expr_move(struct ir_arena *a, const struct kir_expr *e, const struct cg_move *m)
{
  struct kir_expr *r = ir_arena_copy(a, e, sizeof *e);
  if (e->ix) r->ix = ir_ix_subst(e->ix, m->from, m->to, m->n);
  if (e->n_at) {
    r->at = IR_NEWN(a, const struct ir_ix *, e->n_at);
    for (unsigned i = 0; i < e->n_at; i++) r->at[i] = ir_ix_subst(e->at[i], m->from, m->to, m->n);
  }
  for (unsigned i = 0; i < e->n; i++) r->a[i] = cg_expr_move(a, e->a[i], m);
  if (e->n_axes) {
    r->axes = ir_arena_copy(a, e->axes, e->n_axes * sizeof *e->axes);
    for (unsigned i = 0; i < e->n_axes; i++) r->axes[i].ext = ir_ix_subst(e->axes[i].ext, m->from, m->to, m->n);
  }
  return e->kind == KIR_E_READ && m->read ? m->read(m->arg, r) : r;
}

struct kir_expr *cg_expr_f(struct ir_arena *a, enum ir_elem elem, double f)
{
  struct kir_expr *e = IR_NEW(a, struct kir_expr);
  *e = (struct kir_expr){ .kind = KIR_E_CONST, .elem = elem, .f = f, .i = (int64_t)f };
  return e;
}

unsigned cg_tile_rows(const struct cg_target *t, unsigned vecs)
{
  static const unsigned char rows[3][4] = { { 24, 14, 9, 6 }, { 12, 6, 4, 2 }, { 10, 5, 3, 2 } };
  return rows[t->n_vregs >= 32 ? 0 : t->fma ? 1 : 2][vecs - 1];
}
int64_t cg_pow2_up(int64_t x)
{
  int64_t p = 1;
  while (p < x) p *= 2;
  return p;
}
void cg_factor(struct kir_layout *l, unsigned dim, int64_t ext, char axis, int64_t stride)
{
  if (ext > 1) l->f[l->n++] = (struct kir_factor){ (uint8_t)dim, axis, (int32_t)ext, (int32_t)stride };
}
struct kir_op *cg_map_reg(struct kir_emit *e, struct kir_reg *r, struct kir_expr *x)
{
  struct kir_op *o = kir_emit(e, KIR_map, r->elem, 1, NULL, 0, NULL, 0);
  o->reg = r;
  o->e = x;
  return o;
}
struct kir_op *cg_map_arr(struct kir_emit *e, struct kir_arr *arr, const struct ir_ix *const *at, struct kir_expr *x, const struct kir_layout *lay)
{
  struct kir_op *o = kir_emit(e, KIR_map, arr->elem, 1, NULL, 0, at, arr->rank);
  o->arr = arr;
  o->e = x;
  o->lay = ir_arena_copy(e->k->arena, lay, sizeof *lay);
  return o;
}

/* ---- halos ---- */
static const struct ir_ix *shape_hi(const struct kir_arr *a, unsigned d) { return a->shape[d] ? a->shape[d] : a->hi[d]; }
static bool low_halo(const struct kir_arr *a, unsigned d) { return a->shape[d] && !(a->slack >> d & 1) && !ir_ix_is(a->lo[d], 0); }
static bool high_halo(const struct kir_arr *a, unsigned d) { return a->shape[d] && !(a->slack >> d & 1) && a->hi[d] != a->shape[d]; }

bool cg_halo_axis(const struct kir_arr *out, unsigned d) { return out->zero_pad && (low_halo(out, d) || high_halo(out, d)); }
bool cg_has_halo(const struct kir_arr *out)
{
  bool any = false;
  for (unsigned d = 0; d < out->rank; d++) any |= cg_halo_axis(out, d);
  return any;
}

/* zeros in lo[d] <= c < lo[d]+ext[d]: a tile of zeros, stored everywhere */
static void zero_box(struct kir_emit *e, struct kir_arr *out, const struct ir_ix *const *lo, const struct ir_ix *const *ext, unsigned vec, unsigned lanes)
{
  struct cg_for f[IR_MAX_RANK];
  const struct ir_ix *at[IR_MAX_RANK], *place = ir_ix_int(e->k->ixs, 0);
  struct kir_layout lay = { 0 };
  struct kir_block *outer = e->at;
  if (lanes > 1) {
    IR_ASSERT(kir_layout_parse("z=1", 3, &lay));
    lay.f[lay.n++] = (struct kir_factor){ 0, 'v', (int32_t)lanes, 1 };
    place = cg_coord(e->k, "z_", lanes);
  }
  struct kir_reg *r = kir_reg_tile(e->k, "z", out->elem, lay.n_dims, (int64_t[]){ lanes }, &lay);
  if (lanes > 1) {
    r->n_axes[0] = 1;
    r->axes[0][0].axis = ir_ix_as_sym(place)->name;
    r->axes[0][0].ext = lanes;
  }
  kir_emit(e, KIR_tile, out->elem, 1, NULL, 0, NULL, 0)->reg = r;
  kir_emit(e, KIR_fill, out->elem, 1, NULL, 0, NULL, 0)->reg = r;
  for (unsigned d = 0; d < out->rank; d++) {
    if (d == vec && lanes > 1) {
      const struct ir_ix *b = cg_for_begin(e, &f[d], "z", ir_ix_cdivi(ext[d], lanes), 0);
      at[d] = ir_ix_add(lo[d], ir_ix_add(ir_ix_muli(b, lanes), place));
    } else {
      at[d] = ir_ix_add(lo[d], cg_for_begin(e, &f[d], "z", ext[d], 0));
    }
  }
  cg_map_arr(e, out, at, kir_tile(e->k->arena, r, &place, lay.n_dims), &lay);
  for (unsigned d = out->rank; d-- > 0;) cg_for_end(e, &f[d]);
  IR_ASSERT(e->at == outer);
}

/* The halo is cut into boxes: below and above the shape on the first axis with a halo, the other axes whole; then, within its shape, the same for the next. */
void cg_zero_halo(struct kir_emit *e, struct kir_arr *out, const struct ir_ix *const *lo, const struct ir_ix *const *ext, unsigned vec, unsigned lanes)
{
  const struct ir_ix *l[IR_MAX_RANK], *x[IR_MAX_RANK], *zero = ir_ix_int(e->k->ixs, 0);
  for (unsigned d = 0; d < out->rank; d++) {
    bool halo = low_halo(out, d) || high_halo(out, d);
    l[d] = halo ? out->lo[d] : lo[d];
    x[d] = halo ? ir_ix_sub(out->hi[d], out->lo[d]) : ext[d];
  }
  for (unsigned d = 0; d < out->rank; d++) {
    if (low_halo(out, d)) {
      l[d] = out->lo[d];
      x[d] = ir_ix_neg(out->lo[d]);
      zero_box(e, out, l, x, vec, lanes);
    }
    if (high_halo(out, d)) {
      l[d] = shape_hi(out, d);
      x[d] = ir_ix_sub(out->hi[d], l[d]);
      zero_box(e, out, l, x, vec, lanes);
    }
    if (low_halo(out, d) || high_halo(out, d)) {
      l[d] = zero;
      x[d] = shape_hi(out, d);
    }
  }
}
