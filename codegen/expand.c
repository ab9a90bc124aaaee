/* Tiled code to flat code.
 *
 * A tiled op is executed by all threads of a block together; its layout says which warp, lane, register and vector place owns which element. Expansion makes it
 * each thread's own code: register factors become loops that are replayed, vector factors the width of loads, stores and arithmetic, warp and lane factors
 * digits of the thread's ids. Factors are first cut where an axis of the tile's dim begins, so that every axis coordinate is a sum of digits and no division is
 * left. A read becomes a vector load, one element for all places, or a strided load by the coefficient of its offset along the vector; where there is none (a
 * vector across two blocks of a layout, a mask from below) it becomes one scalar access for each place: right, and slow, so schedules avoid it.
 *
 * Guards come from the arrays' domains. They are proved on axis coordinates first, where extents of loops bound them best; what is left after substitution is
 * uniform along the vector, a number of places (`upto`), or torn into scalars. */
#include <string.h>
#include "codegen/codegen.h"
#include "codegen/library/flat.h"

enum { MAX_FACTORS = 24, MAX_GUARDS = 2 * IR_MAX_RANK + 4 };

struct digit { char axis; int32_t ext, stride; const struct ir_ix *sym, *def; };
struct ex {
  struct kir_kern *k;
  struct ir_arena *a;
  struct kir_emit e;
  IR_VEC(struct digit) units;                     /* digits of warp and lane ids that were named */
  const struct ir_ix *place[8];                   /* the place in a vector of 2^i elements */
  bool early;                                     /* the kernel begins while those before it run */
};

/* ---- factors and coordinates ---- */
struct factor { char axis; int32_t ext, stride; const struct ir_ix *digit; unsigned dim; };
struct factors { unsigned n; struct factor f[MAX_FACTORS]; };
struct axis { const struct ir_ix *var; int64_t ext; };
/* where an op stands: what replaces the tile coordinates, and which registers and places */
struct site {
  unsigned lanes;
  const struct ir_ix *v;                          /* NULL for one lane */
  unsigned n;
  const struct ir_ix *from[16], *to[16];
  const struct ir_ix *reg;
  const struct kir_layout *lay;
  struct factors loops;                           /* register factors: outermost first */
};

static const struct ir_ix *num(struct ex *x, int64_t i) { return ir_ix_int(x->k->ixs, i); }
static bool known(struct ex *x, const struct ir_ix *e) { return ir_known_ge0(&x->k->facts, e); }

static const struct ir_ix *place(struct ex *x, unsigned lanes)
{
  unsigned i = (unsigned)__builtin_ctz(lanes);
  IR_ASSERT(lanes == 1u << i && i < 8);
  if (!x->place[i]) x->place[i] = ir_ix_fresh(x->k->ixs, "v", IR_SYM_ID, 0, lanes - 1, 1);
  return x->place[i];
}

static const struct ir_ix *unit(struct ex *x, char axis, int32_t ext, int32_t stride)
{
  for (uint32_t i = 0; i < x->units.n; i++) {
    const struct digit *d = &x->units.v[i];
    if (d->axis == axis && d->ext == ext && d->stride == stride) return d->sym;
  }
  struct digit d = { axis, ext, stride, NULL, NULL };
  unsigned total = axis == 'l' ? x->k->lanes : x->k->warps;
  d.sym = ir_ix_fresh(x->k->ixs, axis == 'l' ? "l" : "w", IR_SYM_ID, 0, ext - 1, 1);
  d.def = ir_ix_divi(axis == 'l' ? x->k->lane : x->k->warp, stride);
  if ((int64_t)ext * stride < total) d.def = ir_ix_modi(d.def, ext);
  ir_push(x->a, &x->units, d);
  return d.sym;
}
/* An expression as it stands in flat code: digits replaced by what they are. */
static const struct ir_ix *flat(struct ex *x, const struct ir_ix *e)
{
  for (uint32_t i = 0; i < x->units.n; i++) e = ir_ix_subst1(e, x->units.v[i].sym, x->units.v[i].def);
  return e;
}
/* The same for an integer that has a value for each place. */
static const struct ir_ix *flat_v(struct ex *x, const struct site *s, const struct ir_ix *e)
{
  e = flat(x, e);
  return s->v ? ir_ix_subst1(e, s->v, x->k->vsym) : e;
}

/* The axes that an index is made of: a sum of tile coordinates, each times the extent of those within. */
static unsigned index_axes(struct ex *x, const struct ir_ix *ix, struct axis *out)
{
  int64_t scale[4];
  unsigned n = 0;
  for (unsigned i = 0; i < ir_ix_nterms(ix); i++) {
    const struct ir_atom *const *f;
    unsigned nf;
    int64_t k = ir_ix_term(ix, i, &nf, &f);
    if (nf != 1 || f[0]->kind != IR_ATOM_SYM || f[0]->sym->kind != IR_SYM_AXIS) continue;
    unsigned j = n++;
    IR_ASSERT(n <= 4);
    for (; j > 0 && scale[j - 1] < k; j--) {
      scale[j] = scale[j - 1];
      out[j] = out[j - 1];
    }
    scale[j] = k;
    out[j] = (struct axis){ ir_ix_find(x->k->ixs, f[0]->sym->name), f[0]->sym->hi + 1 };
  }
  return n;
}
/* Of a tile its own; of a copy to shared memory (at ix) those of its last coordinates; else the dim is the axis. */
static unsigned dim_axes(struct ex *x, const struct kir_reg *r, const struct kir_layout *l, unsigned d, const struct kir_op *o, struct axis *out)
{
  if (r && r->n_axes[d]) {
    for (unsigned i = 0; i < r->n_axes[d]; i++) out[i] = (struct axis){ ir_ix_find(x->k->ixs, r->axes[d][i].axis), r->axes[d][i].ext };
    return r->n_axes[d];
  }
  if (o && !o->reg && o->arr->space == KIR_SHARED && o->arr->rank >= l->n_dims) return index_axes(x, o->ix[o->arr->rank - l->n_dims + d], out);
  int64_t ext = 1;
  for (unsigned i = 0; i < l->n; i++)
    if (l->f[i].dim == d) ext *= l->f[i].ext;
  out[0] = (struct axis){ ir_ix_find(x->k->ixs, l->dim[d]), ext };
  return 1;
}

/* Factors of one dim, outermost first, cut at the borders of its axes; `inner` elements lie inside of the last factor. */
static void cut(const struct factor *f, unsigned n, const struct axis *ax, unsigned n_ax, int64_t inner, struct factors *out)
{
  struct factors r = { 0 };                       /* innermost first */
  int64_t w = inner;
  for (unsigned i = n; i-- > 0;) {
    struct factor c = f[i];
    int64_t border = 1;
    for (unsigned b = n_ax; b-- > 1;) {
      border *= ax[b].ext;
      if (border <= w || border >= w * c.ext) continue;
      int32_t part = (int32_t)(border / w);
      IR_ASSERT(border % w == 0 && c.ext % part == 0 && r.n < MAX_FACTORS - 2);
      r.f[r.n] = c;
      r.f[r.n++].ext = part;
      c.ext /= part;
      c.stride *= part;
      w = border;
    }
    r.f[r.n++] = c;
    w *= c.ext;
  }
  for (unsigned i = r.n; i-- > 0;) {
    IR_ASSERT(out->n < MAX_FACTORS);
    out->f[out->n++] = r.f[i];
  }
}

static void name_digits(struct ex *x, struct site *s, struct factors *f, unsigned from, const char *name)
{
  for (unsigned i = from; i < f->n; i++) {
    struct factor *c = &f->f[i];
    if (c->ext == 1) c->digit = num(x, 0);
    else if (c->axis == 'v') c->digit = s->v;
    else if (c->axis == 'r') {
      c->digit = ir_ix_fresh(x->k->ixs, name, IR_SYM_LOOP, 0, c->ext - 1, 1);
      s->loops.f[s->loops.n++] = *c;
    } else c->digit = unit(x, c->axis, c->ext, c->stride);
  }
}

/* Axis coordinates of a dim from its digits (outermost first). */
static void coordinates(struct ex *x, struct site *s, const struct factor *f, unsigned n, const struct axis *ax, unsigned n_ax)
{
  const struct ir_ix *sum = num(x, 0);
  int64_t w = 1;
  unsigned a = n_ax;
  for (unsigned i = n; i-- > 0;) {
    sum = ir_ix_add(sum, ir_ix_muli(f[i].digit, w));
    w *= f[i].ext;
    if (i && (a == 0 || w < ax[a - 1].ext)) continue;
    if (a == 0) continue;
    a--;
    if (ax[a].ext > 1 && ax[a].var) {
      IR_ASSERT(s->n < 16);
      s->from[s->n] = ax[a].var;
      s->to[s->n++] = sum;
    }
    sum = num(x, 0);
    w = 1;
    while (a > 0 && ax[a - 1].ext == 1) a--;
  }
}

static unsigned dim_factors(const struct kir_layout *l, unsigned d, struct factor *out)
{
  unsigned n = 0;
  for (unsigned i = 0; i < l->n; i++)
    if (l->f[i].dim == d && l->f[i].ext > 1) out[n++] = (struct factor){ l->f[i].axis, l->f[i].ext, l->f[i].stride, NULL, d };
  return n;
}

static void site_init(struct ex *x, struct site *s, const struct kir_layout *l, const struct kir_reg *r, const struct kir_op *o)
{
  *s = (struct site){ .lanes = (unsigned)kir_layout_count(l, 'v'), .lay = l, .reg = num(x, 0) };
  if (s->lanes > 1) s->v = place(x, s->lanes);
  for (unsigned d = 0; d < l->n_dims; d++) {
    struct factor in[MAX_FACTORS];
    struct factors fs = { 0 };
    struct axis ax[4];
    unsigned n = dim_factors(l, d, in), n_ax = dim_axes(x, r, l, d, o, ax);
    cut(in, n, ax, n_ax, 1, &fs);
    name_digits(x, s, &fs, 0, l->dim[d]);
    coordinates(x, s, fs.f, fs.n, ax, n_ax);
    for (unsigned i = 0; i < fs.n; i++)
      if (fs.f[i].axis == 'r') s->reg = ir_ix_add(s->reg, ir_ix_muli(fs.f[i].digit, fs.f[i].stride));
  }
}
static const struct ir_ix *at_site(const struct site *s, const struct ir_ix *e) { return ir_ix_subst(e, s->from, s->to, s->n); }

/* ---- emitting ---- */
static struct kir_op *emit(struct ex *x, enum kir_opcode op, enum ir_elem elem, unsigned lanes, struct kir_op *const *src, unsigned n_src)
{
  return kir_emit(&x->e, op, elem, lanes, src, n_src, NULL, 0);
}
static struct kir_op *emit_ix(struct ex *x, enum kir_opcode op, enum ir_elem elem, unsigned lanes, struct kir_op *const *src, unsigned n_src, const struct ir_ix *ix)
{
  return kir_emit(&x->e, op, elem, lanes, src, n_src, &ix, 1);
}
static struct kir_op *widen(struct ex *x, struct kir_op *v, unsigned lanes) { return v->lanes == lanes ? v : emit(x, KIR_splat, v->elem, lanes, &v, 1); }
static struct kir_op *open_replay(struct ex *x, const struct ir_ix *var, int64_t ext, struct kir_block **outer)
{
  struct kir_op *o = kir_emit(&x->e, KIR_for, IR_f32, 1, NULL, 0, (const struct ir_ix *[]){ num(x, 0), num(x, ext) }, 2);
  o->var = var;
  o->sub = 0xffff;
  *outer = x->e.at;
  x->e.at = &o->body[0];
  return o;
}
static struct kir_op *emit_set(struct ex *x, struct kir_reg *r, const struct ir_ix *i, struct kir_op *v)
{
  v = widen(x, v, r->lanes);
  struct kir_op *o = emit_ix(x, KIR_set, r->elem, r->lanes, &v, 1, flat(x, i));
  o->reg = r;
  return o;
}
static struct kir_op *emit_get(struct ex *x, struct kir_reg *r, const struct ir_ix *i)
{
  struct kir_op *o = emit_ix(x, KIR_get, r->elem, r->lanes, NULL, 0, flat(x, i));
  o->reg = r;
  return o;
}

/* ---- accesses ---- */
struct access {
  struct kir_arr *arr;
  const struct ir_ix *off;                        /* of place 0 */
  const struct ir_ix *g[MAX_GUARDS], *upto;
  unsigned n_g;
  int64_t stride;
  bool torn;                                      /* off and g still hold the place: one access for each */
  const struct kir_expr *els;
};

/* a/b - k*(a/(k*b)) is the rest of a/b by k. */
static void nested_divisions(struct ex *x, const struct ir_ix *g, const struct ir_atom *inner)
{
  int64_t b, kb;
  if (!ir_ix_const(inner->b, &b)) return;
  for (unsigned i = 0; i < ir_ix_nterms(g); i++) {
    const struct ir_atom *const *f;
    unsigned n;
    ir_ix_term(g, i, &n, &f);
    if (n != 1 || f[0]->kind != IR_ATOM_DIV || f[0]->a != inner->a || !ir_ix_const(f[0]->b, &kb) || kb <= b || kb % b) continue;
    const struct ir_ix *rem = ir_ix_sub(ir_ix_div(inner->a, inner->b), ir_ix_muli(ir_ix_div(f[0]->a, f[0]->b), kb / b));
    ir_facts_push(&x->k->facts, rem);
    ir_facts_push(&x->k->facts, ir_ix_addi(ir_ix_neg(rem), kb / b - 1));
  }
}
/* Also by what a division means: b*(a/b) <= a < b*(a/b) + b. */
static bool proved(struct ex *x, const struct ir_ix *g)
{
  if (known(x, g)) return true;
  uint32_t mark = ir_facts_mark(&x->k->facts);
  for (unsigned i = 0; i < ir_ix_nterms(g); i++) {
    const struct ir_atom *const *f;
    unsigned n;
    ir_ix_term(g, i, &n, &f);
    for (unsigned j = 0; j < n; j++)
      if (f[j]->kind == IR_ATOM_DIV) {
        const struct ir_ix *rem = ir_ix_mod(f[j]->a, f[j]->b);
        ir_facts_push(&x->k->facts, rem);
        ir_facts_push(&x->k->facts, ir_ix_addi(ir_ix_sub(f[j]->b, rem), -1));
        nested_divisions(x, g, f[j]);
      }
  }
  bool yes = ir_facts_mark(&x->k->facts) > mark && known(x, g);
  ir_facts_reset(&x->k->facts, mark);
  return yes;
}

static const struct ir_ix *offset(struct ex *x, const struct kir_arr *arr, const struct ir_ix *const *at)
{
  const struct ir_ix *off = num(x, 0);
  if (arr->at) {
    const struct ir_ix *from[IR_MAX_RANK];
    for (unsigned d = 0; d < arr->rank; d++) from[d] = ir_ix_coord(x->k->ixs, d);
    return ir_ix_subst(arr->at, from, at, arr->rank);
  }
  for (unsigned d = 0; d < arr->rank; d++) off = ir_ix_add(ir_ix_mul(off, ir_ix_sub(arr->hi[d], arr->lo[d])), ir_ix_sub(at[d], arr->lo[d]));
  return off;
}

/* rest - a/b >= 0 is b*rest + b-1 - a >= 0, and rest + a/b >= 0 is b*rest + a >= 0. */
static const struct ir_ix *undivided(const struct ir_ix *g)
{
  for (unsigned i = 0; i < ir_ix_nterms(g); i++) {
    const struct ir_atom *const *f;
    unsigned n;
    int64_t k = ir_ix_term(g, i, &n, &f), q;
    if (n != 1 || f[0]->kind != IR_ATOM_DIV || (k != 1 && k != -1) || !ir_ix_const(f[0]->b, &q)) continue;
    const struct ir_ix *rest = ir_ix_sub(g, ir_ix_muli(ir_ix_div(f[0]->a, f[0]->b), k));
    return k > 0 ? ir_ix_add(ir_ix_muli(rest, q), f[0]->a) : ir_ix_addi(ir_ix_sub(ir_ix_muli(rest, q), f[0]->a), q - 1);
  }
  return g;
}
/* One guard along the vector: uniform, a bound of the places, or neither (false). */
static bool add_guard(struct access *c, const struct site *s, const struct ir_ix *g)
{
  const struct ir_ix *co, *rest;
  int64_t k;
  if (!s->v || !ir_ix_uses(g, s->v)) {
    c->g[c->n_g++] = g;
    return true;
  }
  if (!ir_ix_linear(g, s->v, &co, &rest) || !ir_ix_const(co, &k) || (k != 1 && k != -1)) return false;
  if (ir_ix_by(k > 0 ? rest : ir_ix_addi(rest, 1)) % s->lanes == 0) {
    c->g[c->n_g++] = rest;
    return true;
  }
  if (k > 0) return false;
  rest = ir_ix_addi(rest, 1);
  c->upto = c->upto ? ir_ix_min(c->upto, rest) : rest;
  return true;
}

static void tear(struct access *c, const struct ir_ix *off, const struct ir_ix *const *g, unsigned n_g)
{
  c->torn = true;
  c->upto = NULL;
  c->stride = 1;
  c->off = off;
  c->n_g = n_g;
  memcpy(c->g, g, n_g * sizeof *g);
}

/* Is this surely outside of the array's shape: are zeros written there? Anything else that is stored stays inside. */
static bool in_halo(struct ex *x, const struct kir_arr *arr, const struct ir_ix *const *at)
{
  for (unsigned d = 0; d < arr->rank; d++)
    if (arr->shape[d] && !(arr->slack >> d & 1) && (known(x, ir_ix_sub(num(x, -1), at[d])) || known(x, ir_ix_sub(at[d], arr->shape[d])))) return true;
  return false;
}
/* Adds what is neither proved nor there. */
static unsigned guard(struct ex *x, const struct site *s, const struct ir_ix *e, const struct ir_ix **g, unsigned n)
{
  if (proved(x, e)) return n;
  const struct ir_ix *here = at_site(s, e);
  for (unsigned i = 0; i < n; i++)
    if (g[i] == here) return n;
  if (proved(x, here)) return n;
  IR_ASSERT(n < MAX_GUARDS);
  g[n] = here;
  return n + 1;
}
/* arr[at..] at a site; els: what a read gives outside of the array's shape, or NULL. o (may be NULL): the op whose guards hold for the access. */
static void access_init(struct ex *x, const struct site *s, struct access *c, struct kir_arr *arr, const struct ir_ix *const *at, const struct kir_expr *els, bool stored, const struct kir_op *o)
{
  const struct ir_ix *g[MAX_GUARDS], *off = at_site(s, offset(x, arr, at)), *zero = num(x, 0), *co, *rest;
  unsigned n_g = 0;
  *c = (struct access){ .arr = arr, .stride = 1, .els = els };
  bool els_zero = els && els->f == 0 && els->i == 0, halo = stored && in_halo(x, arr, at);
  for (unsigned d = 0; d < arr->rank && arr->space != KIR_SHARED; d++) {
    bool domain = stored ? halo || (arr->slack >> d & 1) : !els || (els_zero && arr->zero_pad && !(arr->slack >> d & 1));
    const struct ir_ix *lo = domain ? arr->lo[d] : zero, *hi = domain || !arr->shape[d] ? arr->hi[d] : arr->shape[d];
    const struct ir_ix *two[2] = { ir_ix_sub(at[d], lo), ir_ix_addi(ir_ix_sub(hi, at[d]), -1) };
    for (unsigned i = 0; i < 2; i++) n_g = guard(x, s, two[i], g, n_g);
  }
  for (unsigned i = o && o->arr ? o->arr->rank : 0; o && i < o->n_ix; i++) n_g = guard(x, s, o->ix[i], g, n_g);
  bool ok = true;
  if (s->v) {
    ok = ir_ix_linear(off, s->v, &co, &rest) && ir_ix_const(co, &c->stride) && c->stride >= 0;     /* backwards: one by one */
    if (ok) c->off = rest;
  } else c->off = off;
  for (unsigned i = 0; i < n_g && ok; i++) ok = add_guard(c, s, s->v && ir_ix_uses(g[i], s->v) ? undivided(g[i]) : g[i]);
  bool lanes = x->k->lanes > 1 && s->v && c->stride != 0;     /* of a warp: pieces lie aligned and are whole */
  if (ok && lanes) ok = c->stride == 1 && !c->upto && ir_ix_by(c->off) % s->lanes == 0;
  if (!ok || (c->upto && c->stride == 0)) tear(c, off, g, n_g);
}

static struct kir_op *emit_load(struct ex *x, const struct access *c, unsigned lanes, const struct ir_ix *const *from, const struct ir_ix *const *to, unsigned n)
{
  const struct ir_ix *ix[1 + MAX_GUARDS];
  ix[0] = flat(x, ir_ix_subst(c->off, from, to, n));
  for (unsigned i = 0; i < c->n_g; i++) ix[1 + i] = flat(x, ir_ix_subst(c->g[i], from, to, n));
  struct kir_op *o = kir_emit(&x->e, KIR_load, c->arr->elem, lanes, NULL, 0, ix, 1 + c->n_g);
  o->arr = c->arr;
  if (c->upto) o->upto = flat(x, c->upto);
  o->stride = lanes > 1 ? c->stride : 1;
  if (c->els) {
    o->f = c->els->f;
    o->i = c->els->i;
  }
  return o;
}
static struct kir_op *is_place(struct ex *x, unsigned lanes, unsigned j)
{
  return emit_ix(x, KIR_test, IR_bool, lanes, NULL, 0, ir_ix_eq0(ir_ix_addi(x->k->vsym, -(int64_t)j)));
}
static struct kir_op *load(struct ex *x, const struct site *s, const struct access *c)
{
  if (!c->torn) return emit_load(x, c, c->stride == 0 ? 1 : s->lanes, NULL, NULL, 0);
  struct kir_op *all = NULL;
  for (unsigned j = 0; j < s->lanes; j++) {
    const struct ir_ix *jj = num(x, j);
    struct kir_op *one = widen(x, emit_load(x, c, 1, &s->v, &jj, 1), s->lanes);
    if (all) {
      struct kir_op *src[3] = { is_place(x, s->lanes, j), one, all };
      all = emit(x, KIR_ew, c->arr->elem, s->lanes, src, 3);
      all->sub = IR_MAP_select;
    } else all = one;
  }
  return all;
}

static void emit_store(struct ex *x, const struct access *c, struct kir_op *v, const struct ir_ix *const *own, unsigned n_own, const struct ir_ix *from, const struct ir_ix *to)
{
  const struct ir_ix *ix[1 + MAX_GUARDS + 4];
  unsigned n = 1;
  ix[0] = flat(x, from ? ir_ix_subst1(c->off, from, to) : c->off);
  for (unsigned i = 0; i < c->n_g; i++) ix[n++] = flat(x, from ? ir_ix_subst1(c->g[i], from, to) : c->g[i]);
  for (unsigned i = 0; i < n_own; i++) ix[n++] = own[i];
  struct kir_op *o = kir_emit(&x->e, KIR_store, c->arr->elem, v->lanes, &v, 1, ix, n);
  o->arr = c->arr;
  if (c->upto) o->upto = flat(x, c->upto);
  o->stride = v->lanes > 1 ? c->stride : 1;
}
static void store(struct ex *x, const struct site *s, const struct access *c, struct kir_op *v, const struct ir_ix *const *own, unsigned n_own)
{
  v = widen(x, v, s->lanes);
  if (!c->torn) {
    emit_store(x, c, v, own, n_own, NULL, NULL);
    return;
  }
  for (unsigned j = 0; j < s->lanes; j++) {
    struct kir_op *one = emit(x, KIR_extract, v->elem, 1, &v, 1);
    one->i = j;
    emit_store(x, c, one, own, n_own, s->v, num(x, j));
  }
}

/* An axis that the layout omits holds copies: the lowest owner stores. */
static unsigned owner(struct ex *x, const struct kir_layout *l, const struct ir_ix **out)
{
  unsigned n = 0;
  for (unsigned u = 0; u < 2; u++) {
    char axis = "lw"[u];
    int64_t c = 1, total = u ? x->k->warps : x->k->lanes;
    for (unsigned i = 0; i < l->n; i++)
      if (l->f[i].axis == axis && (int64_t)l->f[i].ext * l->f[i].stride > c) c = (int64_t)l->f[i].ext * l->f[i].stride;
    if (c < total) out[n++] = ir_ix_sub(num(x, c - 1), u ? x->k->warp : x->k->lane);
  }
  return n;
}

/* ---- expressions ---- */
/* Reads that do not need the inner replayed loops are emitted before those. */
struct memo { const struct kir_expr *e; struct kir_op *v; };
struct eval { struct ex *x; const struct site *s; const struct kir_op *copy; /* whose guards its read has */ IR_VEC(struct memo) done; };

/* The register of tile r that belongs to the element of the site: dims of the tile are found by name among the site's. */
static const struct ir_ix *part(struct ex *x, const struct site *s, const struct kir_reg *r)
{
  if (r->lay.n_dims == s->lay->n_dims) {
    IR_ASSERT(r->lay.n == s->lay->n);
    return s->reg;
  }
  const struct ir_ix *reg = num(x, 0);
  for (unsigned d = 0; d < r->lay.n_dims; d++) {
    unsigned sd = 0, j = 0;
    while (sd < s->lay->n_dims && strcmp(s->lay->dim[sd], r->lay.dim[d])) sd++;
    IR_ASSERT(sd < s->lay->n_dims);
    for (unsigned i = 0; i < r->lay.n; i++) {
      if (r->lay.f[i].dim != d || r->lay.f[i].axis != 'r' || r->lay.f[i].ext == 1) continue;
      while (j < s->loops.n && s->loops.f[j].dim != sd) j++;
      IR_ASSERT(j < s->loops.n && s->loops.f[j].ext == r->lay.f[i].ext);
      reg = ir_ix_add(reg, ir_ix_muli(s->loops.f[j++].digit, r->lay.f[i].stride));
    }
  }
  return reg;
}

static struct kir_op *read(struct eval *v, const struct kir_expr *e)
{
  for (uint32_t i = 0; i < v->done.n; i++)
    if (v->done.v[i].e == e) return v->done.v[i].v;
  struct access c;
  access_init(v->x, v->s, &c, e->arr, e->at, e->els, false, v->copy);
  return load(v->x, v->s, &c);
}

static struct kir_op *integer(struct eval *v, const struct kir_expr *e)
{
  const struct ir_ix *ix = at_site(v->s, e->ix);
  bool wide = v->s->v && ir_ix_uses(ix, v->s->v), real = ir_elem_class(e->elem) == 'F';
  struct kir_op *o = emit_ix(v->x, KIR_idx, real ? IR_i64 : e->elem, wide ? v->s->lanes : 1, NULL, 0, flat_v(v->x, v->s, ix));
  return real ? emit(v->x, KIR_cast, e->elem, o->lanes, &o, 1) : o;
}

/* Depth of e is bounded by the group it was made from. */
static struct kir_op *eval(struct eval *v, const struct kir_expr *e)
{
  struct ex *x = v->x;
  struct kir_op *src[3];
  unsigned lanes = 1;
  switch (e->kind) {
  case KIR_E_CONST: {
    struct kir_op *o = emit(x, KIR_const, e->elem, 1, NULL, 0);
    o->f = e->f;
    o->i = e->i;
    return o;
  }
  case KIR_E_IX: return integer(v, e);
  case KIR_E_READ: return read(v, e);
  case KIR_E_TILE: return emit_get(x, e->reg, part(x, v->s, e->reg));
  case KIR_E_CAST: {
    src[0] = eval(v, e->a[0]);
    return emit(x, KIR_cast, e->elem, src[0]->lanes, src, 1);
  }
  case KIR_E_FN: case KIR_E_SELECT: {
    unsigned first = e->kind == KIR_E_SELECT;
    if (first) {
      const struct ir_ix *ix = at_site(v->s, e->ix);
      bool wide = v->s->v && ir_ix_uses(ix, v->s->v);
      src[0] = emit_ix(x, KIR_test, IR_bool, wide ? v->s->lanes : 1, NULL, 0, flat_v(x, v->s, ix));
    }
    for (unsigned i = 0; i < e->n; i++) src[first + i] = eval(v, e->a[i]);
    for (unsigned i = 0; i < first + e->n; i++)
      if (src[i]->lanes > lanes) lanes = src[i]->lanes;
    for (unsigned i = 0; i < first + e->n; i++) src[i] = widen(x, src[i], lanes);
    struct kir_op *o = emit(x, KIR_ew, e->elem, lanes, src, first + e->n);
    o->sub = first ? (unsigned)IR_MAP_select : e->sub;
    return o;
  }
  case KIR_E_RED: break;
  }
  ir_bug(__func__, "a reduction inside of an expression");
}

static bool uses_loops(const struct site *s, const struct ir_ix *e, unsigned from)
{
  for (unsigned i = from; i < s->loops.n; i++)
    if (ir_ix_uses(e, s->loops.f[i].digit)) return true;
  return false;
}
/* Emits the reads of e that need only the first `depth` loops. */
static void hoist(struct eval *v, const struct kir_expr *e, unsigned depth)
{
  for (unsigned i = 0; i < e->n; i++) hoist(v, e->a[i], depth);
  if (e->kind != KIR_E_READ) return;
  for (uint32_t i = 0; i < v->done.n; i++)
    if (v->done.v[i].e == e) return;
  for (unsigned d = 0; d < e->n_at; d++)
    if (uses_loops(v->s, at_site(v->s, e->at[d]), depth)) return;
  struct memo m = { e, read(v, e) };
  ir_push(v->x->a, &v->done, m);
}

/* ---- map, copy ---- */
/* The tile whose index space an expression lies in. */
static const struct kir_reg *tile_of(const struct kir_expr *e, unsigned n_dims)
{
  if (e->kind == KIR_E_TILE && e->reg->lay.n_dims == n_dims) return e->reg;
  for (unsigned i = 0; i < e->n; i++) {
    const struct kir_reg *r = tile_of(e->a[i], n_dims);
    if (r) return r;
  }
  return NULL;
}
/* The dim of the vector goes outside: what depends on it alone is then loaded once. */
static void vector_dim_first(struct site *s)
{
  unsigned vd = 0, n = 0;
  struct factors f = { 0 };
  for (unsigned i = 0; i < s->lay->n; i++)
    if (s->lay->f[i].axis == 'v') vd = s->lay->f[i].dim;
  for (unsigned pass = 0; pass < 2; pass++)
    for (unsigned i = 0; i < s->loops.n; i++)
      if ((s->loops.f[i].dim == vd) == !pass) f.f[n++] = s->loops.f[i];
  f.n = n;
  s->loops = f;
}

static void expand_map(struct ex *x, struct kir_op *o)
{
  struct site s;
  const struct kir_layout *lay = o->reg ? &o->reg->lay : o->lay;
  site_init(x, &s, lay, o->reg ? o->reg : tile_of(o->e, lay->n_dims), o);
  vector_dim_first(&s);
  struct kir_block *outer = x->e.at, *dummy;
  struct eval v = { .x = x, .s = &s, .copy = o->op == KIR_copy && o->arr ? o : NULL };
  for (unsigned i = 0; i <= s.loops.n; i++) {
    hoist(&v, o->e, i);
    if (i < s.loops.n) open_replay(x, s.loops.f[i].digit, s.loops.f[i].ext, &dummy);
  }
  struct kir_op *val = eval(&v, o->e);
  if (o->reg) emit_set(x, o->reg, s.reg, val);
  else {
    struct access c;
    const struct ir_ix *own[2];
    access_init(x, &s, &c, o->arr, o->ix, NULL, true, o->op == KIR_map ? o : NULL);
    unsigned n_own = owner(x, lay, own);
    store(x, &s, &c, val, own, n_own);
  }
  x->e.at = outer;
}

static void expand_copy(struct ex *x, struct kir_op *o)
{
  struct site s;
  struct access from, to;
  const struct ir_ix *own[2], *ix[2 + MAX_GUARDS];
  struct kir_block *outer = x->e.at, *dummy;
  if (o->i == 0 || o->reg) {
    expand_map(x, o);
    return;
  }
  site_init(x, &s, o->lay, NULL, o);
  access_init(x, &s, &from, o->e->arr, o->e->at, o->e->els, false, o);
  access_init(x, &s, &to, o->arr, o->ix, NULL, true, NULL);
  if (from.torn || from.stride != 1 || to.torn || to.stride != 1) {        /* no whole aligned pieces: through registers */
    expand_map(x, o);
    return;
  }
  unsigned n_own = owner(x, o->lay, own);
  if (n_own) {
    struct kir_op *c = kir_emit(&x->e, KIR_if, IR_f32, 1, NULL, 0, own, n_own);
    x->e.at = &c->body[0];
  }
  for (unsigned i = 0; i < s.loops.n; i++) open_replay(x, s.loops.f[i].digit, s.loops.f[i].ext, &dummy);
  ix[0] = flat(x, to.off);
  ix[1] = flat(x, from.off);
  for (unsigned i = 0; i < from.n_g; i++) ix[2 + i] = flat(x, from.g[i]);
  struct kir_op *c = kir_emit(&x->e, KIR_cp_async, o->arr->elem, s.lanes, NULL, 0, ix, 2 + from.n_g);
  c->arr = o->arr;
  c->arr2 = o->e->arr;
  x->e.at = outer;
}

/* ---- mma ---- */
struct mma {
  struct ex *x;
  const struct kir_op *o;
  const struct kir_inst *in;
  struct factors rep[2];                          /* of i and j: units and repetitions outside of the instruction's own factors */
  struct axis ax[2][4];
  unsigned n_ax[2];
  const struct ir_ix *k, *kvar;                   /* first k of the step; the k coordinate, or NULL for one k */
};
/* Dims of the accumulator beside i and j are divided among warps: each has a part of the sum. */
static void other_dims(struct mma *m, struct site *s)
{
  const struct kir_reg *c = m->o->reg;
  for (unsigned d = 2; d < c->lay.n_dims; d++) {
    struct factor in[MAX_FACTORS];
    struct factors f = { 0 };
    struct axis ax[4];
    unsigned n = dim_factors(&c->lay, d, in), n_ax = dim_axes(m->x, c, &c->lay, d, NULL, ax);
    for (unsigned i = 0; i < n; i++) IR_ASSERT(in[i].axis == 'w');
    cut(in, n, ax, n_ax, 1, &f);
    name_digits(m->x, s, &f, 0, c->lay.dim[d]);
    coordinates(m->x, s, f.f, f.n, ax, n_ax);
  }
}

/* What of the accumulator's dim d lies outside of the instruction, cut and named; register repetitions are left to `loops`. */
static void repetitions(struct mma *m, struct site *s, unsigned d)
{
  struct factor f[MAX_FACTORS];
  const struct kir_reg *c = m->o->reg;
  unsigned n = dim_factors(&c->lay, d, f);
  int64_t inner = 1, size = d ? m->in->n : m->in->m;
  while (inner < size) {
    IR_ASSERT(n > 0);
    inner *= f[--n].ext;
  }
  IR_ASSERT(inner == size);
  m->n_ax[d] = dim_axes(m->x, c, &c->lay, d, NULL, m->ax[d]);
  cut(f, n, m->ax[d], m->n_ax[d], size, &m->rep[d]);
  name_digits(m->x, s, &m->rep[d], 0, c->lay.dim[d]);
}
static unsigned own_factors(const struct kir_layout *l, char dim, struct factor *out)
{
  for (unsigned d = 0; d < l->n_dims; d++)
    if (l->dim[d][0] == dim) return dim_factors(l, d, out);
  return 0;
}
/* Site of a fragment: dim d (i or j) and k, on the instruction's layout `l`. */
static void fragment(struct mma *m, struct site *s, const struct kir_layout *l, unsigned d)
{
  struct ex *x = m->x;
  struct factors f = m->rep[d], k = { 0 };
  *s = (struct site){ .lanes = (unsigned)kir_layout_count(l, 'v'), .lay = l, .reg = num(x, 0) };
  if (s->lanes > 1) s->v = place(x, s->lanes);
  unsigned own = f.n;
  struct factor in[MAX_FACTORS];
  cut(in, own_factors(l, d ? 'j' : 'i', in), m->ax[d], m->n_ax[d], 1, &f);       /* a line of pixels may be shorter than the instruction's 8 rows */
  name_digits(x, s, &f, own, d ? "j" : "i");
  coordinates(x, s, f.f, f.n, m->ax[d], m->n_ax[d]);
  other_dims(m, s);
  k.n = own_factors(l, 'k', k.f);
  name_digits(x, s, &k, 0, "k");
  if (m->kvar) {
    const struct ir_ix *sum = num(x, 0);
    for (unsigned i = 0; i < k.n; i++) sum = ir_ix_add(ir_ix_muli(sum, k.f[i].ext), k.f[i].digit);
    s->from[s->n] = m->kvar;
    s->to[s->n++] = ir_ix_add(m->k, sum);
  }
  for (unsigned i = own; i < f.n; i++)
    if (f.f[i].axis == 'r') s->reg = ir_ix_add(s->reg, ir_ix_muli(f.f[i].digit, f.f[i].stride));
  for (unsigned i = 0; i < k.n; i++)
    if (k.f[i].axis == 'r') s->reg = ir_ix_add(s->reg, ir_ix_muli(k.f[i].digit, k.f[i].stride));
}
/* Is e a whole number of pieces, and k? */
static bool runs_along_k(const struct mma *m, const struct ir_ix *e, unsigned piece)
{
  const struct ir_ix *rest = ir_ix_sub(e, m->kvar);
  return ir_ix_is(rest, 0) || (!ir_ix_uses(rest, m->kvar) && ir_ix_by(rest) % piece == 0);
}
/* Does ldmatrix fetch this fragment (of i or j, d)? From a shared array whose rows are whole 16-byte pieces: along k, the last coordinate, or, transposed on the way, along
 * i or j with k as the coordinate before: elements of 16 bits only. */
static enum { NO_MATRIX, ROWS_OF_K, ROWS_ACROSS } by_ldmatrix(const struct mma *m, const struct kir_expr *e, unsigned d)
{
  unsigned n = e->n_at, piece = 16 / ir_elem_bytes(m->in->ab);
  if (!m->in->fetch || e->kind != KIR_E_READ || e->arr->space != KIR_SHARED || !m->kvar || ir_ix_by(ir_ix_sub(e->arr->hi[n - 1], e->arr->lo[n - 1])) % piece) return NO_MATRIX;
  if (runs_along_k(m, e->at[n - 1], piece)) return ROWS_OF_K;
  return n > 1 && piece == 8 && e->at[n - 2] == m->kvar && m->n_ax[d] == 1 && e->at[n - 1] == m->ax[d][0].var ? ROWS_ACROSS : NO_MATRIX;
}
/* One matrix of 8 rows of 16 bytes per register; lane 8q+r gives the address of row r of matrix q. The fragment's digits, seen as addresses: a digit 8l4 is the row, or
 * those that it was cut into; 4l1 and v lie inside of a row (transposed, it is the other way round); a register digit of stride s is a digit of lane/8. pair: a digit of
 * repetitions, whose last bit takes part, so that one instruction fetches two fragments; it stands for the number of the pair then. */
static void emit_ldmatrix(struct mma *m, const struct site *s, unsigned d, const struct kir_expr *e, struct kir_reg *r, const struct ir_ix *first, const struct ir_ix *pair)
{
  struct ex *x = m->x;
  const struct ir_ix *from[16], *to[16], *ix[2];
  unsigned n = 0;
  int64_t regs = kir_layout_count(s->lay, 'r');
  bool across = by_ldmatrix(m, e, d) == ROWS_ACROSS;
  for (int32_t stride = 4; stride < 32; stride *= 2)
    for (int32_t ext = 2; ext * stride <= 32; ext *= 2) {
      from[n] = unit(x, 'l', ext, stride);
      to[n++] = across ? num(x, 0) : unit(x, 'l', ext, stride / 4);
    }
  from[n] = unit(x, 'l', 4, 1);
  to[n++] = num(x, 0);
  if (s->v) {
    from[n] = s->v;
    to[n++] = across ? unit(x, 'l', 8, 1) : num(x, 0);
  }
  for (unsigned i = 0; i < s->loops.n; i++) {
    from[n] = s->loops.f[i].digit;
    to[n++] = unit(x, 'l', s->loops.f[i].ext, 8 * s->loops.f[i].stride);
  }
  if (pair) {
    from[n] = pair;
    to[n++] = ir_ix_add(ir_ix_muli(pair, 2), unit(x, 'l', 2, (int32_t)(8 * regs)));
    first = ir_ix_subst1(first, pair, ir_ix_muli(pair, 2));
  }
  ix[0] = flat(x, first);
  ix[1] = flat(x, ir_ix_subst(at_site(s, offset(x, e->arr, e->at)), from, to, n));
  struct kir_op *o = kir_emit(&x->e, KIR_ldmatrix, e->arr->elem, 1, NULL, 0, ix, 2);
  o->reg = r;
  o->arr = e->arr;
  o->i = pair ? 2 * regs : regs;
  o->sub = across;
}
static void fetch(struct mma *m, const struct kir_layout *l, unsigned d, const struct kir_expr *e, struct kir_reg *r, const struct ir_ix *first)
{
  struct ex *x = m->x;
  struct site s;
  struct kir_block *outer = x->e.at, *dummy;
  fragment(m, &s, l, d);
  if (by_ldmatrix(m, e, d) != NO_MATRIX) {
    emit_ldmatrix(m, &s, d, e, r, first, NULL);
    return;
  }
  for (unsigned i = 0; i < s.loops.n; i++) open_replay(x, s.loops.f[i].digit, s.loops.f[i].ext, &dummy);
  struct eval v = { .x = x, .s = &s };
  emit_set(x, r, ir_ix_add(first, s.reg), eval(&v, e));
  x->e.at = outer;
}
static const struct ir_ix *rep_reg(struct ex *x, const struct factors *f, bool compact, int64_t scale)
{
  const struct ir_ix *r = num(x, 0);
  for (unsigned i = 0; i < f->n; i++) {
    if (f->f[i].axis != 'r') continue;
    r = compact ? ir_ix_add(ir_ix_muli(r, f->f[i].ext), f->f[i].digit) : ir_ix_add(r, ir_ix_muli(f->f[i].digit, f->f[i].stride));
  }
  return ir_ix_muli(r, scale);
}
static int64_t rep_count(const struct factors *f)
{
  int64_t n = 1;
  for (unsigned i = 0; i < f->n; i++)
    if (f->f[i].axis == 'r') n *= f->f[i].ext;
  return n;
}
static void open_reps(struct ex *x, const struct factors *f)
{
  struct kir_block *dummy;
  for (unsigned i = 0; i < f->n; i++)
    if (f->f[i].axis == 'r') open_replay(x, f->f[i].digit, f->f[i].ext, &dummy);
}
/* All of B for one step of k: two fragments at once where ldmatrix takes them. */
static void fetch_all(struct mma *m, const struct kir_expr *e, struct kir_reg *r, const struct ir_ix *first)
{
  struct ex *x = m->x;
  struct factors f = m->rep[1];
  struct factor *last = NULL;
  struct site s;
  for (unsigned i = 0; i < f.n; i++)
    if (f.f[i].axis == 'r' && f.f[i].ext > 1) last = &f.f[i];
  bool pairs = last && last->ext % 2 == 0 && by_ldmatrix(m, e, 1) != NO_MATRIX && kir_layout_count(&m->in->B, 'r') == 2;
  if (pairs) last->ext /= 2;
  open_reps(x, &f);
  if (!pairs) {
    fetch(m, &m->in->B, 1, e, r, first);
    return;
  }
  fragment(m, &s, &m->in->B, 1);
  emit_ldmatrix(m, &s, 1, e, r, first, last->digit);
}

/* Each lane's own instruction: a row's element is one scalar for all places of a vector. */
static void mma_lanes(struct mma *m, struct kir_reg *B, const struct ir_ix *b, const struct ir_ix *c)
{
  struct ex *x = m->x;
  struct kir_reg *acc = m->o->reg;
  struct site s;
  fragment(m, &s, &m->in->A, 0);
  struct eval v = { .x = x, .s = &s };
  open_reps(x, &m->rep[0]);
  struct kir_op *a = widen(x, eval(&v, m->o->e->a[0]), acc->lanes);
  open_reps(x, &m->rep[1]);
  struct kir_op *src[3] = { a, emit_get(x, B, b), emit_get(x, acc, c) };
  emit_set(x, acc, c, emit(x, KIR_fma, acc->elem, acc->lanes, src, 3));
}
static void mma_warp(struct mma *m, struct kir_reg *A, struct kir_reg *B, const struct ir_ix *a, const struct ir_ix *b, const struct ir_ix *c)
{
  struct ex *x = m->x;
  open_reps(x, &m->rep[0]);
  if (A != m->o->e->a[0]->reg) fetch(m, &m->in->A, 0, m->o->e->a[0], A, a);
  open_reps(x, &m->rep[1]);
  struct kir_op *o = kir_emit(&x->e, KIR_mma_sync, m->in->c, 1, NULL, 0, (const struct ir_ix *[]){ flat(x, c), flat(x, a), flat(x, b) }, 3);
  o->inst = m->in;
  o->reg = m->o->reg;
  o->reg2 = A;
  o->reg3 = B;
}

/* The coordinate along k: the only one that both operands have and the accumulator has not. */
static bool is_axis(const struct kir_reg *r, const char *name)
{
  for (unsigned d = 0; d < r->n_dims; d++)
    for (unsigned i = 0; i < r->n_axes[d]; i++)
      if (!strcmp(r->axes[d][i].axis, name)) return true;
  return false;
}
static bool expr_uses(const struct kir_expr *e, const struct ir_ix *sym)
{
  for (unsigned i = 0; i < e->n_at; i++)
    if (ir_ix_uses(e->at[i], sym)) return true;
  return e->n && expr_uses(e->a[0], sym);
}
static const struct ir_ix *k_coordinate(struct ex *x, const struct kir_op *o)
{
  if (o->var) return o->var;
  for (unsigned i = ir_ixs_nsyms(x->k->ixs); i-- > 0;) {
    const struct ir_sym *s = ir_ixs_sym(x->k->ixs, i);
    if (s->kind != IR_SYM_AXIS || is_axis(o->reg, s->name)) continue;
    const struct ir_ix *e = ir_ix_find(x->k->ixs, s->name);
    if (e && expr_uses(o->e->a[0], e) && expr_uses(o->e->a[1], e)) return e;
  }
  return NULL;
}
/* The offset of the first element of operand e of the instruction: its own coordinates along dim d (i or j) and k are 0. */
static const struct ir_ix *first_element(struct mma *m, const struct kir_expr *e, unsigned d)
{
  struct ex *x = m->x;
  struct factors f = m->rep[d];
  struct site s = { 0 };
  unsigned n = f.n;
  cut(&(struct factor){ 'z', (int32_t)(d ? m->in->n : m->in->m), 1, NULL, d }, 1, m->ax[d], m->n_ax[d], 1, &f);
  for (; n < f.n; n++) f.f[n].digit = num(x, 0);
  coordinates(x, &s, f.f, f.n, m->ax[d], m->n_ax[d]);
  if (m->kvar) {
    s.from[s.n] = m->kvar;
    s.to[s.n++] = num(x, 0);
  }
  return flat(x, at_site(&s, offset(x, e->arr, e->at)));
}
/* Warps together, operands in shared memory: one op for all steps of k. It is waited for at the end of the pipe's trip, or at once. */
static void expand_wgmma(struct mma *m, int64_t steps)
{
  struct ex *x = m->x;
  const struct kir_expr *ea = m->o->e->a[0], *eb = m->o->e->a[1];
  struct kir_block *outer = x->e.at;
  struct site dummy = { 0 };
  m->kvar = k_coordinate(x, m->o);
  repetitions(m, &dummy, 0);
  repetitions(m, &dummy, 1);
  open_reps(x, &m->rep[0]);
  open_reps(x, &m->rep[1]);
  const struct ir_ix *c = flat(x, ir_ix_add(rep_reg(x, &m->rep[0], false, 1), rep_reg(x, &m->rep[1], false, 1)));
  struct kir_op *o = kir_emit(&x->e, KIR_wgmma, m->in->c, 1, NULL, 0, (const struct ir_ix *[]){ c, first_element(m, ea, 0), first_element(m, eb, 1) }, 3);
  o->inst = m->in;
  o->reg = m->o->reg;
  o->arr = ea->arr;
  o->arr2 = eb->arr;
  o->i = steps;
  x->e.at = outer;
}
static void expand_mma(struct ex *x, struct kir_op *o)
{
  struct mma m = { .x = x, .o = o, .in = o->inst, .k = num(x, 0) };
  struct site dummy = { 0 };
  struct kir_block *outer = x->e.at, *mid;
  const struct kir_expr *ea = o->e->a[0], *eb = o->e->a[1];
  bool own = kir_layout_count(&m.in->C, 'l') == 1;   /* each lane executes it for itself */
  int64_t steps, na = kir_layout_count(&m.in->A, 'r'), nb = kir_layout_count(&m.in->B, 'r');
  IR_ASSERT(ir_ix_const(o->ix[0], &steps) && steps % m.in->k == 0);
  steps /= m.in->k;
  if (kir_layout_count(&m.in->C, 'w') > 1) {
    expand_wgmma(&m, steps);
    return;
  }
  const struct ir_ix *step = num(x, 0);
  if (!ir_ix_is(o->ix[0], 1)) m.kvar = k_coordinate(x, o);
  if (steps > 1) {
    step = ir_ix_fresh(x->k->ixs, "s", IR_SYM_LOOP, 0, steps - 1, 1);
    open_replay(x, step, steps, &mid);
  }
  m.k = ir_ix_muli(step, m.in->k);
  repetitions(&m, &dummy, 0);
  repetitions(&m, &dummy, 1);
  const struct ir_ix *b = rep_reg(x, &m.rep[1], true, nb), *c = ir_ix_add(rep_reg(x, &m.rep[0], false, 1), rep_reg(x, &m.rep[1], false, 1));
  struct kir_reg *B = kir_reg_var(x->k, "b", eb->kind == KIR_E_READ ? eb->arr->elem : eb->elem, (unsigned)(nb * rep_count(&m.rep[1])), (unsigned)kir_layout_count(&m.in->B, 'v'));
  if (own) B->elem = eb->elem;
  mid = x->e.at;
  fetch_all(&m, eb, B, b);
  x->e.at = mid;
  if (own) mma_lanes(&m, B, b, c);
  else {
    bool held = ea->kind == KIR_E_TILE;           /* A is a tile in registers already: one register group per k step */
    struct kir_reg *A = held ? ea->reg : kir_reg_var(x->k, "a", m.in->ab, (unsigned)na, (unsigned)kir_layout_count(&m.in->A, 'v'));
    mma_warp(&m, A, B, held ? ir_ix_muli(step, na) : num(x, 0), b, c);
  }
  x->e.at = outer;
}

/* ---- the other ops ---- */
static void barrier(struct ex *x) { emit(x, KIR_barrier, IR_f32, 1, NULL, 0); }

static void expand_fill(struct ex *x, struct kir_op *o)
{
  struct kir_block *outer = x->e.at;
  const struct ir_ix *i = num(x, 0);
  if (o->reg->count > 1) {
    i = ir_ix_fresh(x->k->ixs, "r", IR_SYM_LOOP, 0, o->reg->count - 1, 1);
    open_replay(x, i, o->reg->count, &outer);
  }
  struct kir_op *c = emit(x, KIR_const, o->reg->elem, 1, NULL, 0);
  c->f = o->f;
  c->i = o->i;
  emit_set(x, o->reg, i, c);
  x->e.at = outer;
}

static struct kir_op *combine(struct ex *x, enum kir_red r, struct kir_op *a, struct kir_op *b)
{
  static const enum ir_map f[] = { [KIR_SUM] = IR_MAP_add, [KIR_PROD] = IR_MAP_mul, [KIR_MAX] = IR_MAP_max, [KIR_MIN] = IR_MAP_min, [KIR_AND] = IR_MAP_and, [KIR_OR] = IR_MAP_or };
  struct kir_op *src[2] = { a, b };
  struct kir_op *o = emit(x, KIR_ew, a->elem, a->lanes, src, 2);
  o->sub = f[r];
  return o;
}
/* Folds registers, places of the vector and lanes of one dim; the other dims of the tile stay. */
static void expand_reduce(struct ex *x, struct kir_op *o)
{
  struct site s;
  const struct kir_reg *t = o->reg2;
  struct kir_block *outer = x->e.at, *dummy;
  site_init(x, &s, &t->lay, t, NULL);
  unsigned dim = (unsigned)o->i;
  for (unsigned i = 0; i < s.loops.n; i++)
    if (s.loops.f[i].dim != dim) open_replay(x, s.loops.f[i].digit, s.loops.f[i].ext, &dummy);
  struct kir_reg *acc = kir_reg_var(x->k, "f", t->elem, 1, t->lanes);
  const struct ir_ix *zero = num(x, 0), *first = s.reg;
  int64_t trips = 1;
  for (unsigned i = 0; i < s.loops.n; i++)
    if (s.loops.f[i].dim == dim) {
      first = ir_ix_subst1(first, s.loops.f[i].digit, zero);
      trips *= s.loops.f[i].ext;
    }
  emit_set(x, acc, zero, emit_get(x, (struct kir_reg *)t, first));
  if (trips > 1) {
    struct kir_block *mid = x->e.at;
    const struct ir_ix *q = ir_ix_fresh(x->k->ixs, "q", IR_SYM_LOOP, 0, trips - 1, 1), *reg = s.reg, *rest = q;
    for (unsigned i = s.loops.n; i-- > 0;)
      if (s.loops.f[i].dim == dim) {
        reg = ir_ix_subst1(reg, s.loops.f[i].digit, ir_ix_modi(rest, s.loops.f[i].ext));
        rest = ir_ix_divi(rest, s.loops.f[i].ext);
      }
    struct kir_op *f = open_replay(x, q, trips, &dummy);
    f->ix[0] = num(x, 1);
    emit_set(x, acc, zero, combine(x, (enum kir_red)o->sub, emit_get(x, acc, zero), emit_get(x, (struct kir_reg *)t, reg)));
    x->e.at = mid;
  }
  struct kir_op *v = emit_get(x, acc, zero);
  if (t->lanes > 1) {
    v = emit(x, KIR_vred, t->elem, 1, &v, 1);
    v->sub = o->sub;
  }
  for (unsigned i = 0; i < t->lay.n; i++) {
    if (t->lay.f[i].dim != dim) continue;
    IR_ASSERT(t->lay.f[i].axis != 'w');
    for (int64_t d = t->lay.f[i].stride, e = 1; t->lay.f[i].axis == 'l' && e < t->lay.f[i].ext; e *= 2, d *= 2) {
      struct kir_op *y = emit(x, KIR_shfl, v->elem, 1, &v, 1);
      y->i = d;
      v = combine(x, (enum kir_red)o->sub, v, y);
    }
  }
  const struct ir_ix *to = num(x, 0);             /* the result's register: its dims are the tile's without `dim` */
  for (unsigned d = 0; d < o->reg->lay.n_dims; d++)
    for (unsigned i = 0, j = 0; i < o->reg->lay.n; i++) {
      if (o->reg->lay.f[i].dim != d || o->reg->lay.f[i].axis != 'r' || o->reg->lay.f[i].ext == 1) continue;
      unsigned sd = 0;
      while (strcmp(s.lay->dim[sd], o->reg->lay.dim[d])) sd++;
      while (s.loops.f[j].dim != sd) j++;
      to = ir_ix_add(to, ir_ix_muli(s.loops.f[j++].digit, o->reg->lay.f[i].stride));
    }
  emit_set(x, o->reg, to, v);
  x->e.at = outer;
}

/* The coordinate along dim d of tile r: its axes as digits. */
static const struct ir_ix *dim_coordinate(struct ex *x, const struct kir_reg *r, unsigned d)
{
  struct axis ax[4];
  unsigned n = dim_axes(x, r, &r->lay, d, NULL, ax);
  const struct ir_ix *sum = num(x, 0);
  for (unsigned i = 0; i < n; i++) sum = ir_ix_add(ir_ix_muli(sum, ax[i].ext), ax[i].ext > 1 ? ax[i].var : num(x, 0));
  return sum;
}
/* reg <- reg2 through shared memory; owns both barriers. The buffer has the result's dims, in their order; before them one that the operand alone has, and that is summed. */
static void expand_relayout(struct ex *x, struct kir_op *o)
{
  unsigned n = o->reg->lay.n_dims, summed = o->reg2->lay.n_dims - n;
  int64_t parts = summed ? o->reg2->dim[n] : 1;
  IR_ASSERT(summed <= 1 && parts <= 16);
  for (unsigned pass = 0; pass < 2; pass++) {
    struct kir_reg *r = pass ? o->reg : o->reg2;
    struct site s;
    struct access c[16];
    struct kir_block *outer, *dummy;
    const struct ir_ix *at[5];
    barrier(x);
    outer = x->e.at;
    site_init(x, &s, &r->lay, r, NULL);
    for (unsigned d = 0; d < n; d++) at[summed + d] = dim_coordinate(x, r, d);
    for (int64_t i = 0; i < (pass ? parts : 1); i++) {
      if (summed) at[0] = pass ? num(x, i) : dim_coordinate(x, r, n);
      access_init(x, &s, &c[i], o->arr, at, NULL, !pass, NULL);
    }
    for (unsigned i = 0; i < s.loops.n; i++) open_replay(x, s.loops.f[i].digit, s.loops.f[i].ext, &dummy);
    if (pass) {
      struct kir_op *v = load(x, &s, &c[0]);
      for (int64_t i = 1; i < parts; i++) v = combine(x, KIR_SUM, v, load(x, &s, &c[i]));
      emit_set(x, r, s.reg, v);
    } else {
      const struct ir_ix *own[2];
      unsigned n_own = owner(x, &r->lay, own);
      store(x, &s, &c[0], emit_get(x, r, s.reg), own, n_own);
    }
    x->e.at = outer;
  }
}

/* ---- loops, branches, pipes ---- */
static void block(struct ex *x, const struct kir_block *in);

static struct kir_expr *move_expr(struct ir_arena *a, const struct kir_expr *e, const struct ir_ix *const *from, const struct ir_ix *const *to, unsigned n)
{
  struct kir_expr *r = ir_arena_copy(a, e, sizeof *e);
  if (e->ix) r->ix = ir_ix_subst(e->ix, from, to, n);
  if (e->n_at) r->at = IR_NEWN(a, const struct ir_ix *, e->n_at);
  for (unsigned i = 0; i < e->n_at; i++) r->at[i] = ir_ix_subst(e->at[i], from, to, n);
  for (unsigned i = 0; i < e->n; i++) r->a[i] = move_expr(a, e->a[i], from, to, n);
  return r;
}
static void move_block(struct ir_arena *a, const struct kir_block *in, struct kir_block *out, const struct ir_ix *const *from, const struct ir_ix *const *to, unsigned n)
{
  for (struct kir_op *o = in->first; o; o = o->next) {
    struct kir_op *c = ir_arena_copy(a, o, sizeof *o);
    IR_ASSERT(!o->n_src);                         /* tiled code has no values */
    c->ix = IR_NEWN(a, const struct ir_ix *, o->n_ix);
    for (unsigned i = 0; i < o->n_ix; i++) c->ix[i] = ir_ix_subst(o->ix[i], from, to, n);
    if (o->e) c->e = move_expr(a, o->e, from, to, n);
    for (unsigned i = 0; i < 2; i++) {
      c->body[i] = (struct kir_block){ 0 };
      move_block(a, &o->body[i], &c->body[i], from, to, n);
    }
    c->prev = out->last;
    c->next = NULL;
    if (out->last) out->last->next = c;
    else out->first = c;
    out->last = c;
  }
}
/* Copies of weights come first where the pipe stands at the top of a kernel for CUDA: they do not wait for the kernels before (c_walk.c). */
enum part { ALL, WEIGHTS, OTHERS };
enum { DEEP = 4 };
static bool copies_weights(const struct kir_op *o)
{
  const struct kir_expr *e = o->e;
  while (o->op == KIR_copy && e && e->kind == KIR_E_CAST) e = e->a[0];
  return o->op == KIR_copy && o->arr && e && e->kind == KIR_E_READ && e->arr->space == KIR_CONST;
}
/* Is what it produces copies into different buffers, some of them of weights? Then their order is free. */
static bool weights_may_come_first(const struct ex *x, const struct kir_op *pipe)
{
  bool any = false;
  if (!x->early || x->e.at != &x->k->body) return false;
  for (const struct kir_op *o = pipe->body[0].first; o; o = o->next) {
    if (o->op != KIR_copy || !o->arr) return false;
    for (const struct kir_op *p = pipe->body[0].first; p != o; p = p->next)
      if (p->arr == o->arr) return false;
    any |= copies_weights(o);
  }
  return any;
}
static struct kir_block take(const struct kir_block *b, enum part part)
{
  struct kir_block r = { 0 };
  for (struct kir_op *o = b->first, *next; o; o = next) {
    next = o->next;
    if (part != ALL && copies_weights(o) != (part == WEIGHTS)) continue;
    o->prev = r.last;
    o->next = NULL;
    if (r.last) r.last->next = o;
    else r.first = o;
    r.last = o;
  }
  return r;
}
/* One half of a pipe at trip t, or a part of it. */
static void pipe_half(struct ex *x, const struct kir_op *o, unsigned half, const struct ir_ix *t, enum part part)
{
  const struct ir_ix *stage = ir_ix_find(x->k->ixs, "stage"), *from[2] = { o->var, stage }, *to[2] = { t, ir_ix_modi(t, o->depth) };
  struct kir_block b = { 0 };
  move_block(x->a, &o->body[half], &b, from, to, stage ? 2 : 1);
  b = take(&b, part);
  block(x, &b);
}
/* The registers that a trip's asynchronous multiplication sums into; NULL: it has none. */
static struct kir_reg *multiplied(const struct kir_op *pipe)
{
  for (const struct kir_op *o = pipe->body[1].first; o; o = o->next)
    if (o->op == KIR_mma && kir_layout_count(&o->inst->C, 'w') > 1) return o->reg;
  return NULL;
}
static void wait_for(struct ex *x, int64_t left) { emit(x, KIR_wait, IR_f32, 1, NULL, 0)->i = left; }
static void commit(struct ex *x) { emit(x, KIR_commit, IR_f32, 1, NULL, 0); }
static void produce_if(struct ex *x, const struct kir_op *o, const struct ir_ix *t, enum part part)
{
  const struct ir_ix *c = ir_ix_addi(ir_ix_sub(o->ix[0], t), -1);
  struct kir_block *outer = x->e.at;
  uint32_t mark = ir_facts_mark(&x->k->facts);
  struct kir_op *i = emit_ix(x, KIR_if, IR_f32, 1, NULL, 0, flat(x, c));
  x->e.at = &i->body[0];
  ir_facts_push(&x->k->facts, c);
  pipe_half(x, o, 0, t, part);
  ir_facts_reset(&x->k->facts, mark);
  x->e.at = outer;
  if (part != WEIGHTS) commit(x);                 /* weights that came first are of the first stage's group, which is waited for first */
}
/* The first d - 1 stages. */
static void fill_pipe(struct ex *x, const struct kir_op *o, unsigned d, enum part part)
{
  const struct ir_ix *p = ir_ix_fresh(x->k->ixs, "p", IR_SYM_LOOP, 0, d - 2, 1);
  struct kir_block *outer;
  open_replay(x, p, d - 1, &outer);
  produce_if(x, o, p, part);
  x->e.at = outer;
}
/* The first barrier is for re-entry and for memory used before. Depth 1: barrier, copy, wait, barrier, consume. A deep pipe consumes first: what is copied then is needed
 * in several trips, and its addresses are computed while the matrix units work; in a shallow one the copy must have the whole trip, unless the multiplication is asynchronous. */
static void expand_pipe(struct ex *x, struct kir_op *o)
{
  struct kir_block *outer = x->e.at;
  uint32_t mark = ir_facts_mark(&x->k->facts);
  const struct ir_ix *last = ir_ix_addi(ir_ix_sub(o->ix[0], o->var), -1);
  unsigned d = o->depth;
  struct kir_reg *acc = multiplied(o);
  bool first = d >= DEEP || (acc && d > 1);
  if (d > 1) {
    bool early = weights_may_come_first(x, o);
    barrier(x);
    if (early) fill_pipe(x, o, d, WEIGHTS);
    fill_pipe(x, o, d, early ? OTHERS : ALL);
  }
  struct kir_op *f = kir_emit(&x->e, KIR_for, IR_f32, 1, NULL, 0, (const struct ir_ix *[]){ num(x, 0), o->ix[0] }, 2);
  f->var = o->var;
  x->e.at = &f->body[0];
  ir_facts_push(&x->k->facts, last);
  if (d == 1) {
    barrier(x);
    pipe_half(x, o, 0, o->var, ALL);
    commit(x);
    wait_for(x, 0);
    barrier(x);
  } else {
    wait_for(x, d - 2);
    barrier(x);
    if (first) pipe_half(x, o, 1, o->var, ALL);
    produce_if(x, o, ir_ix_addi(o->var, d - 1), ALL);
  }
  if (!first) pipe_half(x, o, 1, o->var, ALL);
  if (acc) emit(x, KIR_wgmma_wait, IR_f32, 1, NULL, 0)->reg = acc;
  x->e.at = outer;
  ir_facts_reset(&x->k->facts, mark);
}

static void append(struct ex *x, struct kir_op *o)
{
  o->prev = x->e.at->last;
  o->next = NULL;
  if (o->prev) o->prev->next = o;
  else x->e.at->first = o;
  x->e.at->last = o;
}
static void nested(struct ex *x, struct kir_op *o)
{
  struct kir_block in[2] = { o->body[0], o->body[1] }, *outer = x->e.at;
  uint32_t mark = ir_facts_mark(&x->k->facts);
  o->body[0] = o->body[1] = (struct kir_block){ 0 };
  append(x, o);
  if (o->op == KIR_for) {
    ir_facts_push(&x->k->facts, ir_ix_addi(ir_ix_sub(o->ix[1], o->var), -1));
    ir_facts_push(&x->k->facts, ir_ix_sub(o->var, o->ix[0]));
  } else
    for (unsigned i = 0; i < o->n_ix; i++) ir_facts_push(&x->k->facts, o->ix[i]);
  x->e.at = &o->body[0];
  block(x, &in[0]);
  ir_facts_reset(&x->k->facts, mark);
  x->e.at = &o->body[1];
  block(x, &in[1]);
  x->e.at = outer;
}

/* Nesting is bounded by the loops of a schedule record. */
static void block(struct ex *x, const struct kir_block *in)
{
  for (struct kir_op *o = in->first, *next; o; o = next) {
    next = o->next;
    switch (o->op) {
    case KIR_tile: break;
    case KIR_fill: expand_fill(x, o); break;
    case KIR_map: expand_map(x, o); break;
    case KIR_copy: expand_copy(x, o); break;
    case KIR_mma: expand_mma(x, o); break;
    case KIR_reduce: expand_reduce(x, o); break;
    case KIR_relayout: expand_relayout(x, o); break;
    case KIR_pipe: expand_pipe(x, o); break;
    case KIR_for: case KIR_if: nested(x, o); break;
    default: append(x, o); break;                 /* flat already */
    }
  }
}

void cg_expand(struct kir_kern *k, const struct cg_target *t)
{
  if (k->flat) return;
  struct ex x = { .k = k, .a = k->arena, .e = { .k = k }, .early = t->kind == CG_CUDA };
  struct kir_block in = k->body;
  k->body = (struct kir_block){ 0 };
  x.e.at = &k->body;
  block(&x, &in);
  k->flat = true;
  cg_take_syms(k);
  for (uint32_t i = 0; i < k->regs.n; i++) {      /* tiles are register arrays now */
    k->regs.v[i]->n_dims = 0;
    k->regs.v[i]->lay = (struct kir_layout){ 0 };
  }
}
