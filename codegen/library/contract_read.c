/* Reading a nest as a contraction.
 *
 * The anchor is the one statement that is a sum of products of two reads; every other statement is its epilogue, over the same index space. Which axes are rows,
 * columns, batch or summed follows from who reads them. The operand called w is the one along whose own axis vectors run: the axis with unit stride in the
 * output if it has one, else the constant operand's.
 *
 * Then axes are split at divisors (an output channel o read as o/q is a group and a channel within it) and merged when every access is contiguous in two of them
 * (rows and columns of an image without a halo), so that tiles run over their product. */
#include <string.h>
#include "codegen/library/contract.h"

static const struct kir_expr *strip(const struct kir_expr *e)
{
  while (e->kind == KIR_E_CAST) e = e->a[0];
  return e;
}

static bool has_red(const struct kir_expr *e)
{
  if (e->kind == KIR_E_RED) return true;
  for (unsigned i = 0; i < e->n; i++)
    if (has_red(e->a[i])) return true;
  return false;
}

static const struct kir_stmt *find_anchor(const struct kir_nest *n, const char **why)
{
  const struct kir_stmt *s = NULL;
  for (unsigned i = 0; i < n->stmts.n; i++) {
    if (!has_red(n->stmts.v[i]->e)) continue;
    if (s) {
      *why = "more than one reduction";
      return NULL;
    }
    s = n->stmts.v[i];
  }
  *why = "no sum of products";
  if (!s || s->e->kind != KIR_E_RED || s->e->sub != KIR_SUM) return NULL;
  const struct kir_expr *p = s->e->a[0];
  if (p->kind != KIR_E_FN || p->sub != IR_MAP_mul) return NULL;
  const struct kir_expr *f0 = strip(p->a[0]), *f1 = strip(p->a[1]);
  if (f0->kind != KIR_E_READ || f1->kind != KIR_E_READ || !f0->arr->arg || !f1->arr->arg) {
    *why = "a factor is no read of an argument";
    return NULL;
  }
  return s;
}

/* ---- axes ---- */
static bool add_axis(struct cg_contract *c, const char *name, const struct ir_ix *var, const struct ir_ix *ext)
{
  if (c->n_ax == CG_MAX_AXES) return false;
  struct cg_axis *x = &c->ax[c->n_ax++];
  *x = (struct cg_axis){ .var = var, .ext = ext };
  ir_ix_const(ext, &x->n);
  for (;;) {                                      /* names are unique among the axes */
    bool taken = false;
    for (unsigned i = 0; i + 1 < c->n_ax; i++) taken |= !strcmp(c->ax[i].name, name);
    if (!taken) break;
    name = ir_arena_printf(c->a, "%s'", name);
  }
  x->name = name;
  return true;
}
static bool take_axes(struct cg_contract *c, const struct kir_axis *ax, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    if (!add_axis(c, ir_ix_as_sym(ax[i].var)->name, ax[i].var, ax[i].ext)) return false;
  return true;
}
static bool uses(const struct ir_ix *const *at, unsigned n, const struct ir_ix *var)
{
  for (unsigned i = 0; i < n; i++)
    if (ir_ix_uses(at[i], var)) return true;
  return false;
}
static bool read_uses(const struct kir_expr *r, const struct ir_ix *var) { return uses(r->at, r->n_at, var); }

static void set_roles(struct cg_contract *c, unsigned first_k)
{
  for (unsigned i = 0; i < c->n_ax; i++) {
    bool x = read_uses(c->xr, c->ax[i].var), w = read_uses(c->wr, c->ax[i].var);
    c->ax[i].role = i >= first_k ? CG_K : x == w ? CG_BATCH : x ? CG_M : CG_N;
  }
}

/* ---- putting other coordinates in ---- */
static void move_at(struct ir_arena *a, const struct ir_ix ***at, unsigned n, const struct cg_move *m)
{
  const struct ir_ix **r = IR_NEWN(a, const struct ir_ix *, n);
  for (unsigned i = 0; i < n; i++) r[i] = ir_ix_subst((*at)[i], m->from, m->to, m->n);
  *at = r;
}
static struct kir_expr *read_of(struct kir_expr *e)
{
  while (e->kind == KIR_E_CAST) e = e->a[0];
  return e;
}
static void move_all(struct cg_contract *c, const struct cg_move *m)
{
  c->x = cg_expr_move(c->a, c->x, m);
  c->w = cg_expr_move(c->a, c->w, m);
  c->xr = read_of(c->x);
  c->wr = read_of(c->w);
  move_at(c->a, &c->acc_at, c->acc->rank, m);
  for (unsigned i = 0; i < c->n_items; i++) {
    move_at(c->a, &c->item[i].at, c->item[i].dst->rank, m);
    c->item[i].e = cg_expr_move(c->a, c->item[i].e, m);
  }
}

/* ---- epilogue ---- */
struct match { const struct cg_contract *c; const struct kir_stmt *s; const struct ir_ix *from[CG_MAX_AXES], *to[CG_MAX_AXES]; unsigned n; bool bad; };
static const struct ir_ix *const *defined_at(const struct cg_contract *c, const struct kir_arr *arr)
{
  if (arr == c->acc) return c->acc_at;
  for (unsigned i = 0; i < c->n_items; i++)
    if (c->item[i].dst == arr) return c->item[i].at;
  return NULL;
}
/* A read of a value of this nest says which of our axes each axis of the statement is. */
static void match_reads(struct match *m, const struct kir_expr *e)
{
  for (unsigned i = 0; i < e->n; i++) match_reads(m, e->a[i]);
  if (e->kind != KIR_E_READ) return;
  const struct ir_ix *const *def = defined_at(m->c, e->arr);
  if (!def) {
    m->bad |= !e->arr->arg || e->arr->out;        /* a value that is not there yet */
    return;
  }
  for (unsigned d = 0; d < e->n_at; d++) {
    if (e->at[d] == def[d] && !ir_ix_as_sym(def[d])) continue;
    unsigned i = 0;
    while (i < m->n && m->from[i] != e->at[d]) i++;
    if (i < m->n) m->bad |= m->to[i] != def[d];
    else if (ir_ix_as_sym(e->at[d]) && ir_ix_as_sym(def[d]) && m->n < CG_MAX_AXES) {
      m->from[m->n] = e->at[d];
      m->to[m->n++] = def[d];
    } else m->bad = true;
  }
}
static const struct ir_ix *const *stmt_at(const struct kir_stmt *s, struct ir_arena *a)
{
  if (s->at) return s->at;
  const struct ir_ix **at = IR_NEWN(a, const struct ir_ix *, s->n_axes);
  for (unsigned i = 0; i < s->n_axes; i++) at[i] = s->axes[i].var;
  return at;
}
static bool add_item(struct cg_contract *c, struct kir_arr *dst, const struct ir_ix *const *at, struct kir_expr *e)
{
  if (c->n_items == CG_MAX_ITEMS) return false;
  c->item[c->n_items++] = (struct cg_item){ dst, ir_arena_copy(c->a, at, dst->rank * sizeof *at), e };
  return true;
}
static bool epilogue(struct cg_contract *c, const struct kir_stmt *s, unsigned n_y)
{
  struct match m = { .c = c, .s = s };
  match_reads(&m, s->e);
  if (m.bad || m.n != s->n_axes || m.n != n_y) return false;
  for (unsigned i = 0; i < m.n; i++) {            /* one to one, and of the same extent */
    const struct ir_ix *ext = NULL;
    for (unsigned j = 0; j < s->n_axes; j++)
      if (s->axes[j].var == m.from[i]) ext = s->axes[j].ext;
    for (unsigned j = 0; j < i; j++)
      if (m.to[j] == m.to[i]) return false;
    unsigned k = 0;
    while (c->ax[k].var != m.to[i]) k++;
    if (ext != c->ax[k].ext) return false;
  }
  struct cg_move mv = { m.from, m.to, m.n, NULL, NULL };
  const struct ir_ix **at = (const struct ir_ix **)stmt_at(s, c->a);
  move_at(c->a, &at, s->dst->rank, &mv);
  return add_item(c, s->dst, at, cg_expr_move(c->a, s->e, &mv));
}

/* ---- storage ---- */
const struct ir_ix *cg_offset(const struct kir_arr *arr, const struct ir_ix *const *at, struct ir_ixs *ixs)
{
  if (arr->at) {
    const struct ir_ix *from[IR_MAX_RANK];
    for (unsigned d = 0; d < arr->rank; d++) from[d] = ir_ix_coord(ixs, d);
    return ir_ix_subst(arr->at, from, at, arr->rank);
  }
  const struct ir_ix *off = ir_ix_int(ixs, 0);
  for (unsigned d = 0; d < arr->rank; d++) off = ir_ix_add(ir_ix_mul(off, ir_ix_sub(arr->hi[d], arr->lo[d])), ir_ix_sub(at[d], arr->lo[d]));
  return off;
}
static bool unit_stride(const struct cg_contract *c, const struct kir_arr *arr, const struct ir_ix *const *at, const struct ir_ix *var)
{
  const struct ir_ix *off = cg_offset(arr, at, c->ixs);
  return ir_ix_is(ir_ix_sub(ir_ix_subst1(off, var, ir_ix_int(c->ixs, 1)), ir_ix_subst1(off, var, ir_ix_int(c->ixs, 0))), 1);
}
static const struct cg_item *first_out(const struct cg_contract *c)
{
  for (unsigned i = 0; i < c->n_items; i++)
    if (c->item[i].dst->arg) return &c->item[i];
  return NULL;
}

/* Calls fn for every access: reads, and what is stored. w is left out when it will be packed. False as soon as fn says so. */
typedef bool each_fn(void *arg, const struct kir_arr *arr, const struct ir_ix *const *at);
static bool each_in(const struct kir_expr *e, each_fn *fn, void *arg)
{
  for (unsigned i = 0; i < e->n; i++)
    if (!each_in(e->a[i], fn, arg)) return false;
  return e->kind != KIR_E_READ || !e->arr->arg || fn(arg, e->arr, e->at);
}
static bool each_access(const struct cg_contract *c, bool with_w, each_fn *fn, void *arg)
{
  if (!fn(arg, c->xr->arr, c->xr->at) || (with_w && !fn(arg, c->wr->arr, c->wr->at))) return false;
  for (unsigned i = 0; i < c->n_items; i++) {
    const struct cg_item *t = &c->item[i];
    if (t->dst->arg && !fn(arg, t->dst, t->at)) return false;
    if (!each_in(t->e, fn, arg)) return false;
  }
  return true;
}

/* ---- splitting and merging ---- */
/* Replaces axis i by `outer * q + i`; or axes i and i+1 by one. */
static bool split(struct cg_contract *c, unsigned i, int64_t q)
{
  struct cg_axis old = c->ax[i];
  if (c->n_ax == CG_MAX_AXES || !old.n || old.n % q || q <= 1 || q == old.n) return false;
  const char *gname = ir_arena_printf(c->a, "%sg", old.name);
  const struct ir_ix *g = ir_ix_fresh(c->ixs, gname, IR_SYM_AXIS, 0, old.n / q - 1, 1), *in = ir_ix_fresh(c->ixs, old.name, IR_SYM_AXIS, 0, q - 1, 1);
  const struct ir_ix *to = ir_ix_add(ir_ix_muli(g, q), in);
  memmove(&c->ax[i + 1], &c->ax[i], (c->n_ax - i) * sizeof *c->ax);
  c->n_ax++;
  c->ax[i] = (struct cg_axis){ gname, g, ir_ix_int(c->ixs, old.n / q), old.n / q, old.role };
  c->ax[i + 1] = (struct cg_axis){ old.name, in, ir_ix_int(c->ixs, q), q, old.role };
  move_all(c, &(struct cg_move){ &old.var, &to, 1, NULL, NULL });
  return true;
}
/* Splits the first y axis that an operand reads divided. */
static bool split_one(struct cg_contract *c, unsigned n_y)
{
  for (unsigned o = 0; o < 2; o++) {
    const struct kir_expr *r = o ? c->wr : c->xr;
    for (unsigned d = 0; d < r->n_at; d++)
      for (unsigned t = 0; t < ir_ix_nterms(r->at[d]); t++) {
        const struct ir_atom *const *f;
        unsigned n;
        int64_t q;
        ir_ix_term(r->at[d], t, &n, &f);
        for (unsigned j = 0; j < n; j++)
          for (unsigned i = 0; i < n_y && f[j]->kind == IR_ATOM_DIV && ir_ix_const(f[j]->b, &q); i++)
            if (f[j]->a == c->ax[i].var && split(c, i, q)) return true;
      }
  }
  return false;
}

struct pair { const struct cg_contract *c; const struct ir_ix *a, *b, *ext; };
/* Is the access contiguous in axes a and b: off = s*(a*ext + b) + rest, and surely inside of the array? */
static bool contiguous(void *arg, const struct kir_arr *arr, const struct ir_ix *const *at)
{
  const struct pair *p = arg;
  const struct ir_ix *ca, *cb, *ra, *rb;
  if (!uses(at, arr->rank, p->a) && !uses(at, arr->rank, p->b)) return true;
  const struct ir_ix *off = cg_offset(arr, at, p->c->ixs);
  if (!ir_ix_linear(off, p->a, &ca, &ra) || !ir_ix_linear(off, p->b, &cb, &rb) || ca != ir_ix_mul(cb, p->ext)) return false;
  for (unsigned d = 0; d < arr->rank; d++) {
    if (!ir_ix_uses(at[d], p->a) && !ir_ix_uses(at[d], p->b)) continue;
    const struct ir_ix *hi = arr->shape[d] ? arr->shape[d] : arr->hi[d];
    if (!ir_known_ge0(&p->c->nest->facts, at[d]) || !ir_known_ge0(&p->c->nest->facts, ir_ix_addi(ir_ix_sub(hi, at[d]), -1))) return false;
  }
  return true;
}
static bool merge_one(struct cg_contract *c, unsigned n_y, bool with_w)
{
  for (unsigned i = 0; i + 1 < n_y; i++) {
    struct cg_axis a = c->ax[i], b = c->ax[i + 1];
    struct pair p = { c, a.var, b.var, b.ext };
    int64_t lo, hi;
    if (a.role != b.role || (a.role == CG_N && !with_w) || !each_access(c, with_w, contiguous, &p)) continue;
    const struct ir_ix *ext = ir_ix_mul(a.ext, b.ext);
    ir_ix_range(ext, &lo, &hi);
    const char *name = ir_arena_printf(c->a, "%s%s", a.name, b.name);
    const struct ir_ix *q = ir_ix_fresh(c->ixs, name, IR_SYM_AXIS, 0, hi == IR_IX_INF ? hi : hi > 0 ? hi - 1 : 0, 1);
    const struct ir_ix *from[2] = { a.var, b.var }, *to[2] = { ir_ix_div(q, b.ext), ir_ix_mod(q, b.ext) };
    c->ax[i] = (struct cg_axis){ .name = name, .var = q, .ext = ext, .role = a.role };
    ir_ix_const(ext, &c->ax[i].n);
    memmove(&c->ax[i + 1], &c->ax[i + 2], (c->n_ax - i - 2) * sizeof *c->ax);
    c->n_ax--;
    move_all(c, &(struct cg_move){ from, to, 2, NULL, NULL });
    return true;
  }
  return false;
}

/* ---- which operand is w ---- */
static bool own_axis(const struct cg_contract *c, enum cg_role r, unsigned n_y)
{
  for (unsigned i = 0; i < n_y; i++)
    if (c->ax[i].role == r) return true;
  return false;
}
static void swap(struct cg_contract *c)
{
  struct kir_expr *e = c->x, *r = c->xr;
  c->x = c->w;
  c->xr = c->wr;
  c->w = e;
  c->wr = r;
  for (unsigned i = 0; i < c->n_ax; i++) c->ax[i].role = c->ax[i].role == CG_M ? CG_N : c->ax[i].role == CG_N ? CG_M : c->ax[i].role;
}
static void choose_vec(struct cg_contract *c, unsigned n_y)
{
  const struct cg_item *out = first_out(c);
  c->vec = CG_MAX_AXES;
  for (unsigned i = 0; i < n_y; i++) {
    if (c->ax[i].role != CG_N) continue;
    c->vec = i;                                   /* the last one, unless one has unit stride */
    if (out && unit_stride(c, out->dst, out->at, c->ax[i].var)) break;
  }
}
/* Does the output run with unit stride along an axis of x alone, and x too? */
static bool x_is_better(const struct cg_contract *c, unsigned n_y)
{
  const struct cg_item *out = first_out(c);
  for (unsigned i = 0; out && i < n_y; i++) {
    if (c->ax[i].role == CG_N && unit_stride(c, out->dst, out->at, c->ax[i].var)) return false;
    if (c->ax[i].role == CG_M && unit_stride(c, out->dst, out->at, c->ax[i].var))
      return c->xr->arr->space == KIR_CONST || (unit_stride(c, c->xr->arr, c->xr->at, c->ax[i].var) && (!c->ax[i].n || c->ax[i].n >= 8));
  }
  return c->wr->arr->space != KIR_CONST && c->xr->arr->space == KIR_CONST;
}

const struct cg_axis *cg_coord_axis(const struct cg_contract *c, const struct ir_ix *e)
{
  const struct ir_ix *co, *rest;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (ir_ix_linear(e, c->ax[i].var, &co, &rest) && ir_ix_is(co, 1)) {
      if (ir_ix_is(rest, 0)) return &c->ax[i];
      const struct ir_ix *g, *none;
      for (unsigned j = 0; j < c->n_ax && c->ax[i].n; j++)
        if (j != i && ir_ix_linear(rest, c->ax[j].var, &g, &none) && ir_ix_is(none, 0) && ir_ix_is(g, c->ax[i].n)) return &c->ax[i];
    }
  return NULL;
}
bool cg_contract_packable(const struct cg_contract *c)
{
  int64_t k;
  bool seen = false;
  if (c->wr->arr->space != KIR_CONST || c->wr->els) return false;
  for (unsigned d = 0; d < c->wr->n_at; d++) {
    const struct cg_axis *x = cg_coord_axis(c, c->wr->at[d]);
    if (!ir_ix_const(c->wr->arr->hi[d], &k) || !ir_ix_is(c->wr->arr->lo[d], 0)) return false;
    if (!x && !ir_ix_is(c->wr->at[d], 0)) return false;
    seen |= x == &c->ax[c->vec];
  }
  return seen;
}

struct lanes { const struct cg_contract *c; const struct ir_ix *from, *to, *v; };
static bool linear_in_v(void *arg, const struct kir_arr *arr, const struct ir_ix *const *at)
{
  const struct lanes *l = arg;
  const struct ir_ix *co, *rest;
  int64_t k;
  if (!uses(at, arr->rank, l->from)) return true;
  const struct ir_ix *off = ir_ix_subst1(cg_offset(arr, at, l->c->ixs), l->from, l->to);
  return ir_ix_linear(off, l->v, &co, &rest) && ir_ix_const(co, &k);
}
bool cg_contract_lanes_ok(const struct cg_contract *c, unsigned lanes)
{
  const struct cg_axis *x = &c->ax[c->vec];
  int64_t most = x->n ? (x->n - 1) / lanes : IR_IX_INF;
  struct lanes l = { .c = c, .from = x->var, .v = ir_ix_fresh(c->ixs, "place", IR_SYM_ID, 0, lanes - 1, 1) };
  l.to = ir_ix_add(ir_ix_muli(ir_ix_fresh(c->ixs, "group", IR_SYM_LOOP, 0, most, 1), lanes), l.v);
  return each_access(c, !cg_contract_packable(c), linear_in_v, &l);
}

/* A coordinate that is the axis, or its quotient and rest (of merged axes), is guarded by the array's extent; any other is not. */
static bool guarded(void *arg, const struct kir_arr *arr, const struct ir_ix *const *at)
{
  const struct cg_contract *c = arg;
  const struct ir_ix *co, *rest, *v = c->ax[c->vec].var;
  for (unsigned d = 0; d < arr->rank; d++)
    if (at[d] != v && ir_ix_linear(at[d], v, &co, &rest) && !ir_ix_is(co, 0) && arr->out) return false;
  return true;
}
bool cg_contract_whole(const struct cg_contract *c) { return !each_access(c, true, guarded, (void *)c); }

struct kir_expr *cg_uncast(struct kir_expr *e)
{
  while (e->kind == KIR_E_CAST) e = e->a[0];
  return e;
}
struct kir_expr *cg_recast(struct ir_arena *a, const struct kir_expr *of, struct kir_expr *r)
{
  if (of->kind != KIR_E_CAST) return r;
  struct kir_expr *e = ir_arena_copy(a, of, sizeof *of);
  e->a[0] = cg_recast(a, of->a[0], r);
  return e;
}
double cg_contract_extent(const struct cg_contract *c, enum cg_role role, int64_t unknown)
{
  double n = 1;
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == role) n *= (double)(c->ax[i].n ? c->ax[i].n : unknown);
  return n;
}
bool cg_contract_read(struct cg_contract *c, struct ir_arena *a, const struct kir_nest *n, const char **why)
{
  *c = (struct cg_contract){ .a = a, .ixs = n->ixs, .nest = n };
  const struct kir_stmt *s = find_anchor(n, why);
  if (!s) return false;
  *why = "too many axes or statements";
  c->acc = s->dst;
  c->elem = s->e->elem;
  c->acc_at = (const struct ir_ix **)stmt_at(s, a);
  c->x = s->e->a[0]->a[0];
  c->w = s->e->a[0]->a[1];
  c->xr = read_of(c->x);
  c->wr = read_of(c->w);
  unsigned n_y = s->n_axes;
  if (!take_axes(c, s->axes, s->n_axes) || !take_axes(c, s->e->axes, s->e->n_axes)) return false;
  if (s->dst->arg) {                              /* the sum itself is a result */
    if (!add_item(c, s->dst, c->acc_at, kir_read((struct kir_nest *)n, s->dst, c->acc_at, NULL))) return false;
  }
  for (unsigned i = 0; i < n->stmts.n; i++) {
    if (n->stmts.v[i] == s) continue;
    if (!epilogue(c, n->stmts.v[i], n_y)) {
      *why = ir_arena_printf(a, "statement %s is not over the contraction's index space", n->stmts.v[i]->dst->name);
      return false;
    }
  }
  for (unsigned before = c->n_ax; split_one(c, n_y); before = c->n_ax) n_y += c->n_ax - before;
  set_roles(c, n_y);
  if (!own_axis(c, CG_N, n_y) || (own_axis(c, CG_M, n_y) && x_is_better(c, n_y))) swap(c);
  if (!own_axis(c, CG_N, n_y)) {
    *why = "neither operand has an axis of its own";
    return false;
  }
  bool constant = c->xr->arr->space == KIR_CONST || c->wr->arr->space == KIR_CONST;
  if (!own_axis(c, CG_M, n_y) && own_axis(c, CG_BATCH, n_y) && constant) {
    *why = "one weight for each channel: nothing is used twice";
    return false;
  }
  choose_vec(c, n_y);
  for (unsigned before = c->n_ax; merge_one(c, n_y, !cg_contract_packable(c)); before = c->n_ax) {
    n_y -= before - c->n_ax;
    choose_vec(c, n_y);
  }
  choose_vec(c, n_y);
  return true;
}

/* ---- lanes ---- */
bool cg_contract_runs(const struct cg_contract *c, unsigned operand, unsigned axis)
{
  const struct kir_expr *r = operand ? c->wr : c->xr;
  return unit_stride(c, r->arr, r->at, c->ax[axis].var);
}
bool cg_contract_rows_run(const struct cg_contract *c)
{
  const struct cg_item *out = first_out(c);
  for (unsigned i = 0; out && i < c->n_ax; i++)
    if (c->ax[i].role == CG_M && c->ax[i].n != 1 && unit_stride(c, out->dst, out->at, c->ax[i].var)) return true;
  return false;
}
unsigned cg_contract_piece(const struct cg_contract *c)
{
  const struct cg_item *out = &c->item[c->n_items - 1];
  const struct ir_ix *first = ir_ix_subst1(cg_offset(out->dst, out->at, c->ixs), c->ax[c->vec].var, ir_ix_int(c->ixs, 0));
  unsigned n = 16 / ir_elem_bytes(out->dst->elem);
  while (n > 1 && !ir_ix_is(first, 0) && ir_ix_by(first) % n) n /= 2;
  return n ? n : 1;
}
static int unit_dim(const struct kir_arr *arr, const struct ir_ix *const *at)
{
  for (unsigned d = 0; d < arr->rank; d++)
    if (arr->shape[d] && ir_ix_is(arr->shape[d], 1) && ir_ix_is(at[d], 0)) return (int)d;
  return -1;
}
static const struct ir_ix **with_coord(struct cg_contract *c, const struct kir_arr *arr, const struct ir_ix *const *at, const struct ir_ix *var)
{
  const struct ir_ix **r = ir_arena_copy(c->a, at, arr->rank * sizeof *at);
  int d = unit_dim(arr, at);
  if (d >= 0) r[d] = var;
  return r;
}
/* A product with one row has no m axis. It gets one of extent 1, the coordinate of a dim of extent 1 in the results and in x, which guards what a tile of more rows reads
 * and stores. */
static void one_row(struct cg_contract *c)
{
  for (unsigned i = 0; i < c->n_ax; i++)
    if (c->ax[i].role == CG_M) return;
  if (c->n_ax == CG_MAX_AXES) return;
  for (unsigned k = 0; k < c->n_items; k++)
    if (c->item[k].dst->arg && unit_dim(c->item[k].dst, c->item[k].at) < 0) return;
  const struct ir_ix *var = ir_ix_fresh(c->ixs, "one", IR_SYM_AXIS, 0, 63, 1);
  c->ax[c->n_ax++] = (struct cg_axis){ .name = "one", .var = var, .ext = ir_ix_int(c->ixs, 1), .n = 1, .role = CG_M };
  c->acc_at = with_coord(c, c->acc, c->acc_at, var);
  for (unsigned k = 0; k < c->n_items; k++) c->item[k].at = with_coord(c, c->item[k].dst, c->item[k].at, var);
  struct kir_expr **at = &c->x;
  while ((*at)->kind == KIR_E_CAST) {
    *at = ir_arena_copy(c->a, *at, sizeof **at);
    at = &(*at)->a[0];
  }
  *at = c->xr = ir_arena_copy(c->a, *at, sizeof **at);
  c->xr->at = with_coord(c, c->xr->arr, c->xr->at, var);
  if (!c->xr->els) c->xr->els = cg_expr_f(c->a, c->xr->elem, 0);
}
void cg_contract_for_lanes(struct cg_contract *c)
{
  unsigned m = 0, n = 0, n_y = 0;
  for (unsigned i = 0; i < c->n_ax; i++) {
    m += c->ax[i].role == CG_M && c->ax[i].n != 1;
    n += c->ax[i].role == CG_N && c->ax[i].n != 1;
    n_y += c->ax[i].role != CG_K;
  }
  if (n > m && m) {
    swap(c);
    choose_vec(c, n_y);
  }
  one_row(c);
}
