#include "codegen/library/space.h"
#include <stdlib.h>
#include <string.h>

enum { COPIES = 32, PIECES = 10 }; /* bodies in all, pieces of one level */

/* ---- making the space ---- */
static bool same_form(const struct kir_stmt *a, const struct kir_stmt *b)
{
  if (a->n_axes != b->n_axes || a->dst->rank != b->dst->rank || !cg_plain(a) || !cg_plain(b)) return false;
  for (unsigned i = 0; i < a->n_axes; i++)
    if (a->axes[i].ext != b->axes[i].ext || cg_dim_of(a, i) != cg_dim_of(b, i)) return false;
  for (unsigned d = 0; d < a->dst->rank; d++)
    if (cg_halo_dim(a->dst, d) != cg_halo_dim(b->dst, d) || (cg_halo_dim(a->dst, d) && (a->dst->lo[d] != b->dst->lo[d] || a->dst->hi[d] != b->dst->hi[d])))
      return false;
  return true;
}
/* Anything may be stored up to the end of a block: whole vectors, then. */
static bool all_slack(const struct cg_space *s, unsigned d)
{
  for (unsigned k = 0; k < s->n_stmts; k++)
    if (!(s->stmts[k]->dst->slack >> d & 1) || s->stmts[k]->dst->hi[d] != s->stmts[0]->dst->hi[d]) return false;
  return true;
}
static void add_axis(struct cg_space *s, const char *name, const struct kir_arr *dst, int d, int of)
{
  struct cg_axis *x = &s->axis[s->n_axes++];
  struct ir_ixs *t = s->f->k->ixs;
  int64_t a, b, lo, hi;
  x->name = name;
  x->dim = d;
  x->halo = cg_halo_dim(dst, (unsigned)d);
  x->shape = cg_extent(dst, (unsigned)d);
  x->lo = x->halo ? dst->lo[d] : ir_ix_int(t, 0);
  x->hi = x->halo || all_slack(s, (unsigned)d) ? dst->hi[d] : x->shape;
  if (of >= 0) x->of[x->n++] = (uint8_t)of;
  ir_ix_range(x->lo, &lo, &a);
  ir_ix_range(x->hi, &b, &hi);
  x->sym = ir_ix_fresh(t, "x", IR_SYM_AXIS, lo, hi == IR_IX_INF ? hi : hi > lo ? hi - 1 : lo, 1);
}
static bool make_axes(struct cg_space *s)
{
  const struct kir_stmt *p = s->stmts[0];
  for (unsigned d = 0; d < p->dst->rank; d++) {
    int of = -1;
    for (unsigned i = 0; i < p->n_axes; i++)
      if (cg_dim_of(p, i) == (int)d) of = (int)i;
    if (of >= 0 || cg_halo_dim(p->dst, d)) {
      if (s->n_axes == IR_MAX_RANK) return false;
      add_axis(s, of >= 0 ? ir_ix_as_sym(p->axes[of].var)->name : "z", p->dst, (int)d, of);
    }
  }
  return true;
}

/* Coordinate of the i-th of the axes that were merged into x, when x is at e. */
static const struct ir_ix *digit(const struct cg_space *s, const struct cg_axis *x, unsigned i, const struct ir_ix *e)
{
  const struct kir_stmt *p = s->stmts[0];
  for (unsigned j = x->n; j-- > i + 1;) e = ir_ix_div(e, p->axes[x->of[j]].ext);
  return i ? ir_ix_mod(e, p->axes[x->of[i]].ext) : e;
}
/* Binds the axes of statement k; at[a] is where axis a of the space is. */
static void bind(struct cg_space *s, unsigned k, const struct ir_ix *const *at)
{
  for (unsigned a = 0; a < s->n_axes; a++)
    for (unsigned i = 0; i < s->axis[a].n; i++) cg_flat_bind(s->f, s->stmts[k]->axes[s->axis[a].of[i]].var, digit(s, &s->axis[a], i, at[a]));
}
static void coordinates(struct cg_space *s, unsigned k, const struct ir_ix *const *at, const struct ir_ix **out)
{
  const struct kir_stmt *p = s->stmts[k];
  for (unsigned d = 0; d < p->dst->rank; d++) out[d] = cg_flat_at(s->f, p->at ? p->at[d] : p->axes[d].var);
  for (unsigned a = 0; a < s->n_axes; a++)
    if (s->axis[a].halo) out[s->axis[a].dim] = at[a];
}
void cg_space_bind(struct cg_space *s, unsigned i, const struct ir_ix **out_at)
{
  bind(s, i, s->base);
  coordinates(s, i, s->base, out_at);
}

static void collect(struct cg_space *s)
{
  const struct ir_ix *at[IR_MAX_RANK], *c[IR_MAX_RANK];
  uint32_t facts = ir_facts_mark(&s->f->k->facts);
  s->uses.seen.n = s->uses.offs.n = s->uses.arrs.n = s->uses.conds.n = s->uses.exprs.n = s->out_offs.n = 0;
  for (unsigned a = 0; a < s->n_axes; a++) {
    const struct cg_axis *x = &s->axis[a];
    at[a] = x->sym;
    cg_flat_assume(s->f, ir_ix_sub(ir_ix_addi(x->shape, -1), x->sym)); /* what lies beyond is a case of its own */
    cg_flat_assume(s->f, x->sym);
  }
  for (unsigned k = 0; k < s->n_stmts; k++) {
    uint32_t mark = cg_flat_mark(s->f);
    bind(s, k, at);
    cg_flat_uses(s->f, s->stmts[k]->e, &s->uses);
    coordinates(s, k, at, c);
    ir_push(s->f->k->arena, &s->out_offs, cg_flat_offset(s->f, s->stmts[k]->dst, c));
    cg_flat_unbind(s->f, mark);
  }
  ir_facts_reset(&s->f->k->facts, facts);
  s->n_asked = s->uses.conds.n;
  for (unsigned a = 0; a < s->n_axes; a++)
    if (s->axis[a].halo) {
      ir_push(s->f->k->arena, &s->uses.conds, s->axis[a].sym);
      ir_push(s->f->k->arena, &s->uses.conds, ir_ix_sub(ir_ix_addi(s->axis[a].shape, -1), s->axis[a].sym));
    }
}

/* Axes in the order of the first result's storage, outermost first, where every one has a distance there that is known: neighbours of the last are neighbours in memory. */
static void order_axes(struct cg_space *s)
{
  int64_t dist[IR_MAX_RANK];
  const struct ir_ix *co, *rest;
  for (unsigned a = 0; a < s->n_axes; a++) {
    if (s->axis[a].halo || !ir_ix_linear(s->out_offs.v[0], s->axis[a].sym, &co, &rest)) return;
    if (!ir_ix_const(co, &dist[a])) {
      if (a) return;
      dist[a] = INT64_MAX;                        /* a batch of images whose size is not known */
    }
  }
  bool moved = false;
  for (unsigned a = 1; a < s->n_axes; a++) {
    struct cg_axis x = s->axis[a];
    int64_t d = dist[a];
    unsigned i = a;
    for (; i && dist[i - 1] < d; i--) {
      s->axis[i] = s->axis[i - 1];
      dist[i] = dist[i - 1];
      moved = true;
    }
    s->axis[i] = x;
    dist[i] = d;
  }
  if (moved) collect(s);
}

/* ---- merging ---- */
static bool linear(const struct ir_ix *e, const struct ir_ix *sym)
{
  const struct ir_ix *co, *rest;
  return ir_ix_linear(e, sym, &co, &rest);
}
static bool linear_everywhere(const struct cg_space *s, const struct ir_ix *sym)
{
  for (unsigned i = 0; i < s->out_offs.n; i++)
    if (!linear(s->out_offs.v[i], sym)) return false;
  for (unsigned i = 0; i < s->uses.offs.n; i++)
    if (!linear(s->uses.offs.v[i], sym)) return false;
  for (unsigned i = 0; i < s->uses.conds.n; i++)
    if (ir_ix_uses(s->uses.conds.v[i], sym)) return false;
  for (unsigned i = 0; i < s->uses.exprs.n; i++)
    if (ir_ix_uses(s->uses.exprs.v[i], sym)) return false;
  return true;
}
static void merge_pair(struct cg_space *s, unsigned a)
{
  struct cg_axis *x = &s->axis[a], *y = &s->axis[a + 1];
  int64_t lo, hi;
  x->shape = ir_ix_mul(x->shape, y->shape);
  x->hi = ir_ix_mul(x->hi, y->hi);
  x->dim = -1;
  x->name = "e";
  for (unsigned i = 0; i < y->n; i++) x->of[x->n++] = y->of[i];
  ir_ix_range(x->hi, &lo, &hi);
  x->sym = ir_ix_fresh(s->f->k->ixs, "x", IR_SYM_AXIS, 0, hi == IR_IX_INF ? hi : hi > 0 ? hi - 1 : 0, 1);
  s->n_axes--;
  memmove(y, y + 1, (s->n_axes - a - 1) * sizeof *y);
}
static void merge_axes(struct cg_space *s)
{
  for (unsigned a = s->n_axes; a-- > 1;) {
    struct cg_space before = *s;
    if (s->axis[a].halo || s->axis[a - 1].halo || s->axis[a].hi != s->axis[a].shape || s->axis[a - 1].hi != s->axis[a - 1].shape) continue;
    if (!linear_everywhere(s, s->axis[a].sym) || !linear_everywhere(s, s->axis[a - 1].sym)) continue;
    merge_pair(s, a - 1);
    collect(s);
    if (linear_everywhere(s, s->axis[a - 1].sym)) continue;
    *s = before;
    collect(s);
  }
}
static void name_axes(struct cg_space *s)
{
  for (unsigned a = 0; a < s->n_axes; a++)
    for (unsigned b = 0, same = 0; b < a; b++)
      if (!strcmp(s->axis[a].name, s->axis[b].name)) s->axis[a].name = ir_arena_printf(s->f->k->arena, "%s.%u", s->axis[a].name, ++same), b = 0;
}

/* ---- the axis of the vectors ---- */
/* Least constant divisor under which sym stands in e, 0: none; -1: it stands in another atom. */
static int64_t block_of(const struct ir_ix *e, const struct ir_ix *sym)
{
  int64_t best = 0;
  for (unsigned i = 0; i < ir_ix_nterms(e); i++) {
    unsigned nf;
    const struct ir_atom *const *fa;
    ir_ix_term(e, i, &nf, &fa);
    for (unsigned j = 0; j < nf; j++) {
      if (fa[j]->kind == IR_ATOM_SYM || !fa[j]->a || !(ir_ix_uses(fa[j]->a, sym) || (fa[j]->b && ir_ix_uses(fa[j]->b, sym)))) continue;
      int64_t k;
      if (fa[j]->kind != IR_ATOM_DIV || fa[j]->a != sym || !ir_ix_const(fa[j]->b, &k) || k < 2) return -1;
      if (!best || k < best) best = k;
    }
  }
  return best;
}
/* e grows by 1 with sym, all along (0) or within aligned blocks (their size); -1: it does not. */
static int64_t unit_along(const struct ir_ix *e, const struct ir_ix *sym)
{
  struct ir_ixs *t = ir_ix_table(e);
  const struct ir_ix *co, *rest;
  int64_t k = block_of(e, sym);
  if (k < 0) return -1;
  if (!k) return ir_ix_linear(e, sym, &co, &rest) && ir_ix_is(co, 1) ? 0 : -1;
  const struct ir_ix *q = ir_ix_fresh(t, "q", IR_SYM_AXIS, 0, IR_IX_INF, 1), *r = ir_ix_fresh(t, "r", IR_SYM_AXIS, 0, k - 1, 1);
  e = ir_ix_subst1(e, sym, ir_ix_add(ir_ix_muli(q, k), r));
  return ir_ix_linear(e, r, &co, &rest) && ir_ix_is(co, 1) ? k : -1;
}
bool cg_unit_along(const struct ir_ix *e, const struct ir_ix *sym) { return unit_along(e, sym) >= 0; }
static void find_vec(struct cg_space *s)
{
  s->vec = -1;
  s->block = 0;
  for (unsigned a = s->n_axes; a-- > 0 && s->vec < 0;) {
    int64_t d = 0;
    bool unit = true;
    for (unsigned i = 0; i < s->out_offs.n && unit; i++) {
      int64_t k = unit_along(s->out_offs.v[i], s->axis[a].sym);
      unit = k >= 0 && !(k && d && k != d);
      if (k > 0) d = k;
    }
    if (unit) {
      s->vec = (int)a;
      s->block = d;
    }
  }
}

bool cg_space_init(struct cg_space *s, struct cg_flat *f, bool merge)
{
  *s = (struct cg_space){ .f = f, .tile = -1 };
  s->stmts = IR_NEWN(f->k->arena, struct kir_stmt *, f->n->stmts.n + 1);
  for (unsigned i = 0; i < f->n->stmts.n; i++) {
    struct kir_stmt *p = f->n->stmts.v[i];
    if (!cg_plain(p)) return false;
    if (!p->dst->arg) continue;
    if (s->n_stmts && !same_form(s->stmts[0], p)) return false;
    s->stmts[s->n_stmts++] = p;
  }
  if (!s->n_stmts || !make_axes(s)) return false;
  collect(s);
  order_axes(s);
  if (merge) merge_axes(s);
  name_axes(s);
  find_vec(s);
  return true;
}
int64_t cg_space_extent(const struct cg_space *s, unsigned a)
{
  int64_t lo, hi;
  ir_ix_range(ir_ix_sub(s->axis[a].hi, s->axis[a].lo), &lo, &hi);
  return lo < 1 ? 1 : lo;
}

int64_t cg_space_shape(const struct cg_space *s, unsigned a)
{
  int64_t lo, hi;
  ir_ix_range(s->axis[a].shape, &lo, &hi);
  return lo < 1 ? 1 : lo;
}

/* ---- tasks ---- */
static bool symbolic(const struct cg_space *s, unsigned a)
{
  int64_t k;
  return !ir_ix_const(ir_ix_sub(s->axis[a].hi, s->axis[a].lo), &k);
}
/* Rows with a stored halo around them stay whole, however long: a grid over single places would cost more than any balance gains. */
static bool whole_row(const struct cg_space *s, const unsigned *order, unsigned i, unsigned n) { return n > 1 && i + 1 == n && s->axis[order[i]].halo && symbolic(s, order[i]); }
/* The tile's axis is order[i] or stands further out, so i is no grid. */
static bool tile_within(const struct cg_space *s, const unsigned *order, unsigned i)
{
  bool any = false;
  for (unsigned j = 0; j <= i; j++) any |= s->tile == (int)order[j];
  return any;
}
static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
void cg_space_tasks(struct cg_space *s, int64_t cost, int64_t task, int64_t least, const struct cg_target *t)
{
  unsigned order[IR_MAX_RANK], n = 0;
  int64_t step[IR_MAX_RANK], trips[IR_MAX_RANK], total = cost, inner = at_least(cost, 1);
  for (unsigned a = 0; a < s->n_axes; a++)
    if ((int)a != s->vec || s->block) order[n++] = a;
  if (s->vec >= 0 && !s->block) order[n++] = (unsigned)s->vec;
  for (unsigned i = 0; i < n; i++) {
    step[i] = (int)order[i] == s->vec && s->block ? s->block : at_least(s->step[order[i]], 1);
    trips[i] = (cg_space_extent(s, order[i]) + step[i] - 1) / step[i];
    if (step[i] > 1) inner *= step[i];
    if (!ir_mul64(total, trips[i], &total)) total = INT64_MAX / 64;
  }
  if (s->vec >= 0 && s->block) total = at_least(total, total * s->block);
  task = at_least(at_most(task, total / (4 * at_least(t->cores, 1))), least);
  unsigned split = n; /* the axis before is cut into tasks; those outside of it are the grid, those inside loops. What is symbolic may be large: not inside */
  while (split > 0 && (tile_within(s, order, split - 1) || whole_row(s, order, split - 1, n) || (!symbolic(s, order[split - 1]) && inner * trips[split - 1] <= task))) inner *= trips[--split];
  s->n_levels = 0;
  for (unsigned i = 0; i < n; i++) {
    bool vec = (int)order[i] == s->vec && !s->block;
    int64_t chunk = 1;
    if (i + 1 == split && !s->axis[order[i]].halo) {
      int64_t tasks = (trips[i] * inner + task - 1) / task; /* equal ones */
      chunk = symbolic(s, order[i]) ? at_least(task / inner, 1) : (trips[i] + tasks - 1) / at_least(tasks, 1);
      if (vec) chunk = (chunk + 4 * t->vec_lanes - 1) / (4 * t->vec_lanes) * (4 * t->vec_lanes);
    }
    if (i < split) s->level[s->n_levels++] = (struct cg_level){ CG_L_GRID, order[i], chunk * step[i] };
    if (i >= split && !vec && (int)order[i] != s->tile) s->level[s->n_levels++] = (struct cg_level){ CG_L_FOR, order[i], step[i] };
    if (i < split && chunk > 1 && !vec) s->level[s->n_levels++] = (struct cg_level){ CG_L_FOR, order[i], step[i] };
  }
}

/* ---- records ---- */
void cg_space_record(const struct cg_space *s, struct ir_arena *a, struct kir_sched *out)
{
  for (unsigned i = 0; i < s->n_levels; i++) {
    const struct cg_level *l = &s->level[i];
    if (l->kind == CG_L_VEC) continue;
    enum kir_loop_kind kind = l->kind == CG_L_GRID ? KIR_GRID : KIR_FOR;
    struct kir_loop *last = out->loops.n ? &out->loops.v[out->loops.n - 1] : NULL;
    if (!last || last->kind != kind || kind != KIR_GRID || last->n == 4) {
      ir_push(a, &out->loops, ((struct kir_loop){ .kind = kind }));
      last = &out->loops.v[out->loops.n - 1];
    }
    last->part[last->n].axis = s->axis[l->axis].name;
    last->part[last->n++].step = l->step;
  }
}
bool cg_space_levels(struct cg_space *s, const struct kir_sched *r, unsigned lanes, const char **why)
{
  s->n_levels = 0;
  for (unsigned i = 0; i < r->loops.n; i++)
    for (unsigned j = 0; j < r->loops.v[i].n; j++) {
      const char *name = r->loops.v[i].part[j].axis;
      unsigned a = 0;
      while (a < s->n_axes && strcmp(s->axis[a].name, name)) a++;
      if (a == s->n_axes || s->n_levels + s->n_axes >= CG_LEVELS || (r->loops.v[i].kind != KIR_GRID && r->loops.v[i].kind != KIR_FOR) ||
          r->loops.v[i].part[j].step < 1) {
        *why = ir_arena_printf(s->f->k->arena, "no loop over %s fits here", name);
        return false;
      }
      s->level[s->n_levels++] = (struct cg_level){ r->loops.v[i].kind == KIR_GRID ? CG_L_GRID : CG_L_FOR, a, r->loops.v[i].part[j].step };
    }
  for (unsigned a = 0; a < s->n_axes; a++) { /* the register tile */
    int64_t left = 0;
    for (unsigned i = 0; i < s->n_levels; i++)
      if (s->level[i].axis == a) left = s->level[i].step;
    if ((int)a != s->vec && left != 1 && (!left || (int)a != s->tile)) s->level[s->n_levels++] = (struct cg_level){ CG_L_FOR, a, 1 };
  }
  if (s->vec >= 0) s->level[s->n_levels++] = (struct cg_level){ CG_L_VEC, (unsigned)s->vec, lanes };
  return true;
}

/* ---- loops ---- */
static void level(struct cg_space *s, unsigned l);

/* Where conditions change along x (0 <= x < trips) when axis `a` is at base + x*step + 0..step-1 and the others are anywhere in what is left of them. */
static unsigned pieces(struct cg_space *s, unsigned a, int64_t step, int64_t trips, int64_t *cut)
{
  const struct ir_ix *from[IR_MAX_RANK], *to[IR_MAX_RANK], *x, *co, *rest;
  struct ir_ixs *t = s->f->k->ixs;
  unsigned n = 0;
  int64_t k, lo, hi;
  cut[n++] = 0;
  cut[n++] = trips;
  if (!s->uses.conds.n || trips < 2 || s->zeros) return 1;
  x = ir_ix_fresh(t, "x", IR_SYM_AXIS, 0, trips - 1, 1);
  for (unsigned b = 0; b < s->n_axes; b++) {
    int64_t left;
    from[b] = s->axis[b].sym;
    ir_ix_range(s->size[b], &lo, &left);
    if (b == a) to[b] = ir_ix_add(s->base[b], ir_ix_add(ir_ix_muli(x, step), ir_ix_fresh(t, "r", IR_SYM_AXIS, 0, step - 1, 1)));
    else to[b] = left == 1 ? s->base[b] : ir_ix_add(s->base[b], ir_ix_fresh(t, "r", IR_SYM_AXIS, 0, left == IR_IX_INF ? left : left - 1, 1));
  }
  for (unsigned i = s->whole >> a & 1 ? s->n_asked : 0; i < s->uses.conds.n; i++) {
    const struct ir_ix *g = ir_ix_subst(s->uses.conds.v[i], from, to, s->n_axes);
    if (!ir_ix_linear(g, x, &co, &rest) || !ir_ix_const(co, &k) || !k) continue;
    ir_ix_range(rest, &lo, &hi);
    int64_t c[2] = { 0, 0 }; /* first x where it surely holds (k < 0: no longer), and where it may */
    if (lo > -IR_IX_INF / 2 && lo < IR_IX_INF / 2) c[0] = k > 0 ? ir_floordiv(-lo + k - 1, k) : ir_floordiv(lo, -k) + 1;
    if (hi > -IR_IX_INF / 2 && hi < IR_IX_INF / 2) c[1] = k > 0 ? ir_floordiv(-hi + k - 1, k) : ir_floordiv(hi, -k) + 1;
    for (unsigned j = 0; j < 2; j++) {
      unsigned at = 0;
      if (c[j] <= 0 || c[j] >= trips) continue;
      while (cut[at] < c[j]) at++;
      if (cut[at] == c[j]) continue;
      if (n > PIECES || s->copies * n > COPIES) continue;
      memmove(cut + at + 1, cut + at, (n - at) * sizeof *cut);
      cut[at] = c[j];
      n++;
    }
  }
  return n - 1;
}

/* Axis a is surely in a halo. */
static bool around(const struct cg_space *s, unsigned a)
{
  const struct ir_facts *f = &s->f->k->facts;
  if (!s->axis[a].halo) return false;
  return ir_prove_ge0(f, ir_ix_neg(ir_ix_add(s->base[a], s->size[a]))) == IR_YES || ir_prove_ge0(f, ir_ix_sub(s->base[a], s->axis[a].shape)) == IR_YES;
}
static void piece(struct cg_space *s, unsigned l, const struct ir_ix *lo, const struct ir_ix *hi, bool whole)
{
  struct cg_level *v = &s->level[l];
  const struct ir_ix *base = s->base[v->axis], *size = s->size[v->axis], *x = s->grid[l];
  struct ir_ixs *t = s->f->k->ixs;
  struct cg_open o;
  int64_t a, b, n;
  bool single = ir_ix_const(lo, &a) && ir_ix_const(hi, &b) && b == a + 1, opened = s->grid[l] ? !whole : !single;
  if (opened && s->grid[l]) cg_flat_if(s->f, (const struct ir_ix *[]){ ir_ix_sub(x, lo), ir_ix_sub(ir_ix_addi(hi, -1), x) }, 2, &o);
  else if (opened) x = cg_flat_for(s->f, s->axis[v->axis].name, lo, hi, 0, &o);
  if (single) x = lo;
  s->base[v->axis] = ir_ix_add(base, ir_ix_muli(x, v->step));
  s->size[v->axis] = ir_ix_int(t, v->step);
  const struct ir_ix *left = ir_ix_sub(size, ir_ix_muli(x, v->step));
  if (single && ir_ix_const(left, &n) && n < v->step) s->size[v->axis] = left;
  else if (v->step > 1 && ir_ix_by(size) % v->step && !(ir_ix_const(size, &n) && ir_ix_const(hi, &b) && b * v->step <= n)) /* the last one may be shorter */
    s->size[v->axis] = ir_ix_simplify(&s->f->k->facts, ir_ix_min(left, s->size[v->axis]));
  bool zeros = s->zeros;
  s->zeros |= around(s, v->axis);
  level(s, l + 1);
  s->zeros = zeros;
  if (opened) cg_flat_close(s->f, &o);
  s->base[v->axis] = base;
  s->size[v->axis] = size;
}

/* A level of loops or of the grid. */
static void loop_level(struct cg_space *s, unsigned l)
{
  struct cg_level *v = &s->level[l];
  struct ir_ixs *t = s->f->k->ixs;
  const struct ir_ix *trips = ir_ix_cdivi(s->size[v->axis], v->step);
  int64_t n, size, cut[PIECES + 4];
  if (!ir_ix_const(trips, &n) || !ir_ix_const(s->size[v->axis], &size)) {
    piece(s, l, ir_ix_int(t, 0), trips, true);
    return;
  }
  unsigned np = pieces(s, v->axis, v->step, n, cut), copies = s->copies;
  if (size % v->step && cut[np - 1] < n - 1 && (s->copies * np < COPIES || (int)v->axis == s->tile)) { /* the last one is shorter */
    cut[np + 1] = n;
    cut[np++] = n - 1;
  }
  s->copies *= np;
  for (unsigned i = 0; i < np; i++) piece(s, l, ir_ix_int(t, cut[i]), ir_ix_int(t, cut[i + 1]), np == 1);
  s->copies = copies;
}
/* Loops over an axis with a halo: what lies around the shape is apart. A grid cannot be cut so; where its step is 1 its pieces fall there anyway. */
static void halo_level(struct cg_space *s, unsigned l)
{
  struct cg_level *v = &s->level[l];
  const struct cg_axis *ax = &s->axis[v->axis];
  const struct ir_ix *base = s->base[v->axis], *size = s->size[v->axis], *zero = ir_ix_int(s->f->k->ixs, 0), *cut[4] = { ax->lo, zero, ax->shape, ax->hi };
  if (v->kind == CG_L_GRID && !ir_ix_const(size, &(int64_t){ 0 })) {
    for (unsigned i = 0; i < 3; i++)
      if (cut[i] != cut[i + 1]) piece(s, l, ir_ix_sub(cut[i], ax->lo), ir_ix_sub(cut[i + 1], ax->lo), false);
    return;
  }
  if (v->kind == CG_L_GRID || s->zeros) {
    loop_level(s, l);
    return;
  }
  for (unsigned i = 0; i < 3; i++) {
    if (cut[i] == cut[i + 1]) continue;
    s->base[v->axis] = cut[i];
    s->size[v->axis] = ir_ix_sub(cut[i + 1], cut[i]);
    loop_level(s, l);
  }
  s->base[v->axis] = base;
  s->size[v->axis] = size;
}

/* The rest of an axis in vectors: elements [from, to) of it. */
static void vectors(struct cg_space *s, unsigned l, const struct ir_ix *from, const struct ir_ix *to)
{
  struct cg_level *v = &s->level[l];
  struct cg_flat *f = s->f;
  struct ir_ixs *t = f->k->ixs;
  const struct ir_ix *base = s->base[v->axis], *keep = s->size[v->axis], *size = ir_ix_sub(to, from), *start = ir_ix_add(base, from);
  const struct ir_ix *full = ir_ix_divi(size, v->step), *rest = ir_ix_modi(size, v->step), *zero = ir_ix_int(t, 0), *vec = f->v;
  unsigned lanes = f->lanes;
  int64_t n, trips;
  struct cg_open o, tail;
  s->size[v->axis] = ir_ix_int(t, 1);
  if (v->step == 1 || ir_ix_is(size, 1)) { /* scalars */
    f->lanes = 1;
    f->v = NULL;
    if (ir_ix_is(size, 1)) {
      s->base[v->axis] = start;
      level(s, l + 1);
    } else {
      s->base[v->axis] = ir_ix_add(start, cg_flat_for(f, s->axis[v->axis].name, zero, size, 0, &o));
      level(s, l + 1);
      cg_flat_close(f, &o);
    }
    f->lanes = lanes;
    f->v = vec;
    s->base[v->axis] = base;
    s->size[v->axis] = keep;
    return;
  }
  if (!ir_ix_is(full, 0)) {
    bool one = ir_ix_is(full, 1);
    const struct ir_ix *x = one ? zero : cg_flat_for(f, s->axis[v->axis].name, zero, full, ir_ix_const(full, &trips) && trips <= 4 ? 0xffff : 0, &o);
    uint32_t facts = ir_facts_mark(&f->k->facts);
    const struct ir_ix *at = ir_ix_add(ir_ix_muli(x, v->step), f->v);
    if (!ir_ix_const(size, &n)) cg_flat_assume(f, ir_ix_sub(ir_ix_addi(size, -1), at));
    s->base[v->axis] = ir_ix_add(start, at);
    level(s, l + 1);
    ir_facts_reset(&f->k->facts, facts);
    if (!one) cg_flat_close(f, &o);
  }
  if (!ir_ix_is(rest, 0)) {
    bool sure = ir_ix_const(rest, &n);
    const struct ir_ix *limit = ir_ix_sub(size, ir_ix_muli(full, v->step));
    if (!sure) cg_flat_if(f, (const struct ir_ix *[]){ ir_ix_addi(limit, -1) }, 1, &tail);
    uint32_t facts = ir_facts_mark(&f->k->facts), memo = f->memo.n;
    cg_flat_assume(f, ir_ix_sub(ir_ix_addi(limit, -1), f->v)); /* of the lanes that take part */
    f->upto = limit;
    s->base[v->axis] = ir_ix_add(start, ir_ix_add(ir_ix_muli(full, v->step), f->v));
    level(s, l + 1);
    f->upto = NULL;
    f->memo.n = memo;
    ir_facts_reset(&f->k->facts, facts);
    if (!sure) cg_flat_close(f, &tail);
  }
  s->base[v->axis] = base;
  s->size[v->axis] = keep;
}
static void vec_level(struct cg_space *s, unsigned l)
{
  struct cg_level *v = &s->level[l];
  struct ir_ixs *t = s->f->k->ixs;
  const struct cg_axis *ax = &s->axis[v->axis];
  int64_t n, cut[PIECES + 4];
  const struct ir_ix *size = s->size[v->axis], *zero = ir_ix_int(t, 0);
  if (ir_ix_const(size, &n)) {
    unsigned np = pieces(s, v->axis, 1, n, cut), copies = s->copies;
    s->copies *= np;
    for (unsigned i = 0; i < np; i++) vectors(s, l, ir_ix_int(t, cut[i]), ir_ix_int(t, cut[i + 1]));
    s->copies = copies;
  } else if (ax->halo && s->base[v->axis] == ax->lo && !s->zeros) {
    const struct ir_ix *a = ir_ix_neg(ax->lo), *b = ir_ix_add(a, ax->shape);
    if (!ir_ix_is(a, 0)) vectors(s, l, zero, a);
    vectors(s, l, a, b);
    if (b != size) vectors(s, l, b, size);
  } else {
    vectors(s, l, zero, size);
  }
}
static void level(struct cg_space *s, unsigned l)
{
  if (l == s->n_levels) s->body(s, s->arg);
  else if (s->level[l].kind == CG_L_VEC) vec_level(s, l);
  else if (s->axis[s->level[l].axis].halo && s->base[s->level[l].axis] == s->axis[s->level[l].axis].lo &&
           (s->level[l].kind == CG_L_FOR || s->level[l].step == 1))
    halo_level(s, l);
  else loop_level(s, l);
}
void cg_space_loops(struct cg_space *s, void (*body)(struct cg_space *s, void *arg), void *arg)
{
  s->body = body;
  s->arg = arg;
  s->copies = 1;
  for (unsigned a = 0; a < s->n_axes; a++) {
    s->base[a] = s->axis[a].lo;
    s->size[a] = ir_ix_sub(s->axis[a].hi, s->axis[a].lo);
  }
  for (unsigned l = 0; l < s->n_levels; l++) { /* digits stand outside of all control */
    const struct cg_level *v = &s->level[l];
    const struct ir_ix *trips = ir_ix_cdivi(s->size[v->axis], v->step);
    s->grid[l] = v->kind == CG_L_GRID && !ir_ix_is(trips, 1) ? cg_flat_grid(s->f, s->axis[v->axis].name, trips) : NULL;
  }
  level(s, 0);
}

/* ---- the plain body ---- */
void cg_space_store(struct cg_space *s)
{
  struct cg_flat *f = s->f;
  const struct ir_ix *c[IR_MAX_RANK], *inside[2 * IR_MAX_RANK];
  unsigned n_in = 0;
  bool out = s->zeros;
  for (unsigned a = 0; a < s->n_axes; a++) {
    if (!s->axis[a].halo) continue;
    const struct ir_ix *g[2] = { s->base[a], ir_ix_sub(ir_ix_addi(s->axis[a].shape, -1), s->base[a]) };
    for (unsigned i = 0; i < 2; i++) {
      enum ir_proof p = ir_prove_ge0(&f->k->facts, g[i]);
      if (p == IR_NO) out = true;
      else if (p == IR_UNKNOWN) inside[n_in++] = g[i];
    }
  }
  for (unsigned k = 0; k < s->n_stmts; k++) {
    const struct kir_stmt *p = s->stmts[k];
    uint32_t mark = cg_flat_mark(f);
    cg_space_bind(s, k, c);
    struct kir_op *v;
    if (out) {
      v = cg_flat_const(f, p->dst->elem, 0, 0);
    } else {
      for (unsigned i = 0; i < n_in; i++) cg_flat_mask(f, inside[i]);
      v = cg_flat_expr(f, p->e);
      for (unsigned i = n_in; i-- > 0;) v = cg_flat_masked(f, inside[i], v);
    }
    cg_flat_store(f, p->dst, c, v);
    cg_flat_unbind(f, mark);
  }
}
