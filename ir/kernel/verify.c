/* The kern's verifier. The rules are those of docs/kernel-ir.md, section "Verifier"; `rule n` in the code names them.
 *
 * Structure (rule 1) is checked completely, and kir_run relies on it. Accesses (rules 2 to 4) are proved where the prover can; where it cannot, the verifier
 * looks for a counterexample: it draws values for dims, grid, loops and ids from the outside in, as the code itself would, climbs to the corners from there, and evaluates. So what is refused
 * is wrong, and what is accepted is not always proved; the interpreter checks the rest on every run. */
#include "ir/kernel/internal.h"
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 48, ATTEMPTS = 4 * SAMPLES, CLIMBS = 3, MAX_SCRATCH = 64 << 20 };

struct frame { const struct kir_op *o; unsigned body; uint32_t facts; };
struct verify {
  const struct kir_kern *k;
  const char **why;
  struct kir_op **op; uint8_t *visible; uint32_t n;    /* ops by number; visible: its value can be used here */
  struct frame stack[KIR_MAX_NEST]; unsigned depth;
  struct ir_facts facts;
  struct ir_arena *arena;                              /* scratch */
  struct kir_ixm *m;
  struct kir_row row;
  uint8_t *bound;                                      /* symbols that have a value here */
  uint32_t lane, warp, vsym;
  uint64_t rnd;
  const struct kir_op *at;                             /* the op at hand, for messages */
  unsigned commits, waits, copies;
};

static bool fail(struct verify *v, int rule, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool fail(struct verify *v, int rule, const char *fmt, ...)
{
  char s[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  if (v->at) *v->why = ir_arena_printf(v->k->arena, "rule %d: op %u (%s): %s", rule, v->at->id, kir_op_name(v->at->op), s);
  else *v->why = ir_arena_printf(v->k->arena, "rule %d: %s", rule, s);
  return false;
}

/* ================================================ rule 1: structure and types ================================================ */
static bool known_arr(const struct kir_kern *k, const struct kir_arr *a)
{
  for (uint32_t i = 0; i < k->args.n; i++)
    if (k->args.v[i] == a) return true;
  for (uint32_t i = 0; i < k->bufs.n; i++)
    if (k->bufs.v[i] == a) return true;
  return false;
}
static bool known_reg(const struct kir_kern *k, const struct kir_reg *r) { return r && r->id < k->regs.n && k->regs.v[r->id] == r; }

/* What an op must have: sources, index expressions (min..max), and which of arr, arr2, reg, reg2, reg3, var, e, inst. */
enum { ARR = 1, ARR2 = 2, REG = 4, REG2 = 8, REG3 = 16, VAR = 32, EXPR = 64, INST = 128 };
static const struct need { int8_t src, min_ix, max_ix; uint8_t has; } needs[KIR_OPCODE_COUNT] = {
  [KIR_const] = { 0, 0, 0, 0 }, [KIR_idx] = { 0, 1, 1, 0 }, [KIR_test] = { 0, 1, 1, 0 }, [KIR_ew] = { -1, 0, 0, 0 }, [KIR_fma] = { 3, 0, 0, 0 },
  [KIR_cast] = { 1, 0, 0, 0 }, [KIR_bitcast] = { 1, 0, 0, 0 }, [KIR_splat] = { 1, 0, 0, 0 }, [KIR_extract] = { 1, 0, 0, 0 }, [KIR_vred] = { 1, 0, 0, 0 },
  [KIR_get] = { 0, 1, 1, REG }, [KIR_load] = { 0, 1, -1, ARR }, [KIR_set] = { 1, 1, 1, REG }, [KIR_store] = { 1, 1, -1, ARR }, [KIR_prefetch] = { 0, 1, 1, ARR },
  [KIR_for] = { 0, 2, 2, VAR }, [KIR_if] = { 0, 0, -1, 0 }, [KIR_tile] = { 0, 0, 0, REG }, [KIR_fill] = { 0, 0, 0, REG }, [KIR_copy] = { 0, 0, -1, EXPR },
  [KIR_map] = { 0, 0, -1, EXPR }, [KIR_mma] = { 0, 1, 1, REG | EXPR | INST }, [KIR_reduce] = { 0, 0, 0, REG | REG2 }, [KIR_relayout] = { 0, 0, 0, REG | REG2 },
  [KIR_pipe] = { 0, 1, 1, VAR }, [KIR_barrier] = { 0, 0, 0, 0 }, [KIR_cp_async] = { 0, 2, -1, ARR | ARR2 }, [KIR_commit] = { 0, 0, 0, 0 }, [KIR_wait] = { 0, 0, 0, 0 },
  [KIR_shfl] = { 1, 0, 0, 0 }, [KIR_ldmatrix] = { 0, 2, 2, REG | ARR }, [KIR_mma_sync] = { 0, 3, 3, REG | REG2 | REG3 | INST },
  [KIR_wgmma] = { 0, 3, 3, REG | ARR | ARR2 | INST }, [KIR_wgmma_wait] = { 0, 0, 0, REG },
};
static bool fields(struct verify *v, const struct kir_op *o)
{
  const struct need *n = &needs[o->op];
  if (n->src >= 0 && o->n_src != (unsigned)n->src) return fail(v, 1, "%u operands", o->n_src);
  if (o->n_ix < (unsigned)n->min_ix || (n->max_ix >= 0 && o->n_ix > (unsigned)n->max_ix)) return fail(v, 1, "%u index expressions", o->n_ix);
  for (unsigned i = 0; i < o->n_ix; i++)
    if (!o->ix[i] || ir_ix_table(o->ix[i]) != v->k->ixs) return fail(v, 1, "an index expression of another table");
  if ((n->has & ARR && !known_arr(v->k, o->arr)) || (n->has & ARR2 && !known_arr(v->k, o->arr2))) return fail(v, 1, "no array of this kern");
  if ((n->has & REG && !known_reg(v->k, o->reg)) || (n->has & REG2 && !known_reg(v->k, o->reg2)) || (n->has & REG3 && !known_reg(v->k, o->reg3))) return fail(v, 1, "no register of this kern");
  if (n->has & VAR && (!o->var || !ir_ix_as_sym(o->var) || !kir_base_sym(o->var, NULL))) return fail(v, 1, "no loop variable");
  if (n->has & EXPR && !o->e) return fail(v, 1, "no expression");
  if (n->has & INST && !o->inst) return fail(v, 1, "no instruction");
  return true;
}
/* Every symbol of flat code has a value where it stands; the place in a vector only in idx and test. */
static bool symbols(struct verify *v, const struct kir_op *o)
{
  v->bound[v->vsym] = o->op == KIR_idx || o->op == KIR_test;
  for (unsigned i = 0; i < o->n_ix; i++)
    if (!kir_ixp_only(kir_ixp_get(v->m, o->ix[i]), v->bound)) return fail(v, 1, "index expression %u has a symbol without value here", i);
  return !o->upto || kir_ixp_only(kir_ixp_get(v->m, o->upto), v->bound) || fail(v, 1, "upto has a symbol without value here");
}
static bool same_type(struct verify *v, const struct kir_op *o, unsigned from)
{
  for (unsigned i = from; i < o->n_src; i++)
    if (o->src[i]->elem != o->elem || o->src[i]->lanes != o->lanes) return fail(v, 1, "operand %u has another type than the result", i);
  return true;
}
static bool ew_types(struct verify *v, const struct kir_op *o)
{
  enum ir_map f = (enum ir_map)o->sub;
  if (o->sub >= IR_MAP_COUNT) return fail(v, 1, "no such function");
  char kind = kir_map_kind(f);
  if (o->n_src != kir_map_arity(f)) return fail(v, 1, "%s has %u operands", kir_map_name(f), o->n_src);
  enum ir_elem e = o->src[0]->elem;
  if (kir_is_f(e) && f >= IR_MAP_and && f <= IR_MAP_shr) return fail(v, 1, "%s of floats", kir_map_name(f));
  for (unsigned i = 0; i < o->n_src; i++)
    if (o->src[i]->lanes != o->lanes) return fail(v, 1, "operand %u has %u lanes, the result %u", i, o->src[i]->lanes, o->lanes);
  if (kind == 'X') return e != IR_bool ? fail(v, 1, "select wants a bool") : same_type(v, o, 1);
  for (unsigned i = 1; i < o->n_src; i++)
    if (o->src[i]->elem != e) return fail(v, 1, "operands of different types");
  return o->elem == (kind == 'P' ? IR_bool : e) || fail(v, 1, "the result has the wrong type");
}
static bool memory_types(struct verify *v, const struct kir_op *o)
{
  unsigned lanes = o->op == KIR_store ? o->src[0]->lanes : o->lanes;
  enum ir_elem e = o->op == KIR_store ? o->src[0]->elem : o->elem;
  if (e != o->arr->elem) return fail(v, 1, "%s has elements of type %s", o->arr->name, ir_elem_name(o->arr->elem));
  if (o->upto && ir_ix_table(o->upto) != v->k->ixs) return fail(v, 1, "an index expression of another table");
  if (o->stride < 0 || (o->op == KIR_store && o->stride == 0 && lanes > 1)) return fail(v, 1, "stride %lld", (long long)o->stride);
  if (o->op == KIR_store && o->arr->arg && !o->arr->out) return fail(v, 8, "%s is no result", o->arr->name);
  return true;
}
static bool mma_types(struct verify *v, const struct kir_op *o)
{
  const struct kir_inst *q = o->inst;
  const struct { const struct kir_reg *r; const struct kir_layout *l; enum ir_elem e; } f[] = { { o->reg, &q->C, q->c }, { o->reg2, &q->A, q->ab }, { o->reg3, &q->B, q->ab } };
  for (unsigned i = 0; i < 3; i++)
    if (f[i].r->elem != f[i].e || f[i].r->lanes != (unsigned)kir_layout_count(f[i].l, 'v')) return fail(v, 1, "%%%s does not fit %s", f[i].r->name, q->name);
  return v->k->lanes == (unsigned)kir_layout_count(&q->C, 'l') || fail(v, 1, "%s needs a warp of %lld lanes", q->name, (long long)kir_layout_count(&q->C, 'l'));
}
static bool wgmma_types(struct verify *v, const struct kir_op *o)
{
  const struct kir_inst *q = o->inst;
  const struct kir_arr *two[2] = { o->arr, o->arr2 };
  if (kir_layout_count(&q->C, 'w') != 4 || o->reg->elem != q->c || o->reg->lanes != 2 || o->i < 1 || o->i > 4) return fail(v, 1, "operands do not fit %s", q->name);
  for (unsigned i = 0; i < 2; i++) {
    const struct kir_arr *a = two[i];
    int64_t pitch;
    bool rows = a->space == KIR_SHARED && a->elem == q->ab && a->rank && ir_ix_const(ir_ix_sub(a->hi[a->rank - 1], a->lo[a->rank - 1]), &pitch) && pitch == kir_wgmma_row(q);
    if (!rows || a->swz != kir_wgmma_swz(q) || a->byte_offset % KIR_WGMMA_ALIGN)
      return fail(v, 1, "%s has no rows of %d bytes, swizzled so, from a multiple of %d bytes on", a->name, KIR_WGMMA_ROW_BYTES, KIR_WGMMA_ALIGN);
  }
  return (v->k->lanes == 32 && v->k->warps % 4 == 0) || fail(v, 1, "%s needs groups of four warps", q->name);
}
static bool types(struct verify *v, const struct kir_op *o)
{
  const struct kir_op *a = o->n_src ? o->src[0] : NULL;
  switch (o->op) {
  case KIR_ew: return ew_types(v, o);
  case KIR_fma: return same_type(v, o, 0);
  case KIR_idx: return !kir_is_f(o->elem) || fail(v, 1, "an index is an integer");
  case KIR_test: return o->elem == IR_bool || fail(v, 1, "a test is a bool");
  case KIR_cast: return a->lanes == o->lanes || fail(v, 1, "other lanes");
  case KIR_bitcast: return (a->lanes == o->lanes && ir_elem_bits(a->elem) == ir_elem_bits(o->elem)) || fail(v, 1, "another size");
  case KIR_splat: return (a->lanes == 1 && a->elem == o->elem) || fail(v, 1, "the operand is no scalar of the type");
  case KIR_extract: return (o->lanes == 1 && a->elem == o->elem && o->i >= 0 && o->i < a->lanes) || fail(v, 1, "element %lld of %u", (long long)o->i, a->lanes);
  case KIR_vred: return (o->lanes == 1 && a->elem == o->elem && o->sub <= KIR_OR && !(kir_is_f(o->elem) && (o->sub == KIR_AND || o->sub == KIR_OR))) || fail(v, 1, "operand and result do not fit");
  case KIR_shfl: return o->i > 0 && o->i < v->k->lanes && !(v->k->lanes & (v->k->lanes - 1)) ? same_type(v, o, 0) : fail(v, 1, "lane ^ %lld of %u lanes", (long long)o->i, v->k->lanes);
  case KIR_get: return (o->elem == o->reg->elem && o->lanes == o->reg->lanes) || fail(v, 1, "%%%s has another type", o->reg->name);
  case KIR_set: return (a->elem == o->reg->elem && a->lanes == o->reg->lanes) || fail(v, 1, "%%%s has another type", o->reg->name);
  case KIR_load: case KIR_store: return memory_types(v, o);
  case KIR_cp_async:
    if (o->arr->space != KIR_SHARED || o->arr2->elem != o->arr->elem || !o->arr2->arg) return fail(v, 1, "copies go from an argument to shared memory of the same type");
    return (o->lanes <= 16 && (o->lanes * ir_elem_bytes(o->arr->elem) & ~28u) == 0) || fail(v, 3, "copies are of 4, 8 or 16 bytes");
  case KIR_wait: return (o->i >= 0 && o->i < 1 << 20) || fail(v, 1, "wait %lld", (long long)o->i);
  case KIR_ldmatrix:
    return (v->k->lanes == 32 && o->reg->lanes * ir_elem_bytes(o->arr->elem) == 4 && o->reg->lanes <= 2 && !(o->sub && o->reg->lanes == 1) && o->reg->elem == o->arr->elem &&
            o->arr->space == KIR_SHARED && (o->i == 1 || o->i == 2 || o->i == 4)) ||
           fail(v, 1, "operands do not fit");
  case KIR_mma_sync: return mma_types(v, o);
  case KIR_wgmma: return wgmma_types(v, o);
  case KIR_pipe: return (o->depth >= 1 && o->depth <= 16) || fail(v, 1, "depth %u", o->depth);
  case KIR_reduce: return (o->i >= 0 && o->i < (int64_t)o->reg2->lay.n_dims && o->sub <= KIR_OR && o->reg->elem == o->reg2->elem) || fail(v, 1, "operand and result do not fit");
  case KIR_relayout:
    return (o->reg->elem == o->reg2->elem && (o->reg2->n_dims == o->reg->n_dims || (o->arr && o->reg2->n_dims == o->reg->n_dims + 1)) && (!o->arr || o->arr->rank == o->reg2->n_dims)) ||
           fail(v, 1, "operand and result do not fit");
  case KIR_mma:
    return (o->e->n >= 2 && o->e->a[0] && o->e->a[1] && o->reg->elem == o->inst->c && o->e->a[0]->elem == o->inst->ab && o->e->a[1]->elem == o->inst->ab) || fail(v, 1, "operands do not fit %s", o->inst->name);
  case KIR_copy: case KIR_map:
    if (!o->reg == !o->arr || (o->reg && !known_reg(v->k, o->reg)) || (o->arr && !known_arr(v->k, o->arr))) return fail(v, 1, "one target, of this kern");
    if (o->arr && (o->n_ix < o->arr->rank || !o->lay)) return fail(v, 1, "%s wants %u coordinates and a layout", o->arr->name, o->arr->rank);
    if (o->e->elem != (o->reg ? o->reg->elem : o->arr->elem)) return fail(v, 1, "target and expression have different types");
    return !o->arr || !o->arr->arg || o->arr->out || fail(v, 8, "%s is no result", o->arr->name);
  default: return true;
  }
}
static bool expression(struct verify *v, const struct kir_expr *e, unsigned depth)
{
  if (depth > 20000) return fail(v, 1, "an expression is nested too deeply");
  if (e->kind == KIR_E_READ && (!known_arr(v->k, e->arr) || e->n_at != e->arr->rank)) return fail(v, 1, "a read of no array of this kern, or with other coordinates");
  if (e->kind == KIR_E_TILE && !known_reg(v->k, e->reg)) return fail(v, 1, "a tile of another kern");
  if (e->kind == KIR_E_RED) return fail(v, 1, "a reduction within an expression");
  for (unsigned i = 0; i < e->n; i++) TRY(expression(v, e->a[i], depth + 1));
  return true;
}
static bool operands(struct verify *v, const struct kir_op *o)
{
  for (unsigned i = 0; i < o->n_src; i++) {
    const struct kir_op *s = o->src[i];
    if (!s || s->id >= v->n || v->op[s->id] != s || !kir_op_has_value(s) || !v->visible[s->id]) return fail(v, 1, "operand %u is not defined where it is used", i);
  }
  return true;
}
static bool registers(struct verify *v)
{
  for (uint32_t i = 0; i < v->k->regs.n; i++) {
    const struct kir_reg *r = v->k->regs.v[i];
    int64_t n = 1;
    if (r->id != i || r->n_dims > 4 || r->lanes < 1 || r->lanes > KIR_MAX_VEC || r->count < 1 || r->count > 4096) return fail(v, 10, "register %%%s: %u of %u lanes", r->name, r->count, r->lanes);
    if (r->lay.n_dims && r->lay.n_dims != r->n_dims) return fail(v, 1, "tile %%%s: its layout has %u dims", r->name, r->lay.n_dims);
    for (unsigned d = 0; d < r->lay.n_dims; d++, n = 1) {
      for (unsigned j = 0; j < r->lay.n; j++)
        if (r->lay.f[j].dim == d) n *= r->lay.f[j].ext;
      if (n != r->dim[d]) return fail(v, 1, "tile %%%s: dim %s has %lld elements, its layout %lld", r->name, r->lay.dim[d], (long long)r->dim[d], (long long)n);
    }
    if (kir_layout_count(&r->lay, 'w') > v->k->warps || kir_layout_count(&r->lay, 'l') > v->k->lanes) return fail(v, 10, "tile %%%s is owned by more threads than the block has", r->name);
  }
  return true;
}
static bool buffers(struct verify *v)
{
  if (v->k->warps < 1 || v->k->lanes < 1 || (uint64_t)v->k->warps * v->k->lanes > KIR_MAX_THREADS) return fail(v, 10, "a block of %u x %u", v->k->warps, v->k->lanes);
  if (v->k->scratch_bytes > MAX_SCRATCH) return fail(v, 10, "%llu bytes of scratch", (unsigned long long)v->k->scratch_bytes);
  for (uint32_t i = 0; i < v->k->args.n; i++)
    if (!v->k->args.v[i]->arg || v->k->args.v[i]->space == KIR_SHARED || v->k->args.v[i]->rank > IR_MAX_RANK) return fail(v, 1, "argument %s is none", v->k->args.v[i]->name);
  for (uint32_t i = 0; i < v->k->bufs.n; i++) {
    const struct kir_arr *b = v->k->bufs.v[i];
    int64_t bytes = ir_elem_bytes(b->elem), lo, hi;
    for (unsigned d = 0; d < b->rank; d++)
      if (!ir_ix_const(b->lo[d], &lo) || !ir_ix_const(b->hi[d], &hi) || hi < lo || !ir_mul64(bytes, hi - lo, &bytes)) return fail(v, 10, "buffer %s has no constant size", b->name);
    if (b->space != KIR_SHARED || b->arg || b->at) return fail(v, 1, "buffer %s is none", b->name);
    if (b->byte_offset > v->k->scratch_bytes || (uint64_t)bytes > v->k->scratch_bytes - b->byte_offset) return fail(v, 10, "buffer %s lies outside of the scratch", b->name);
  }
  return true;
}

/* ================================================ rules 2, 3, 4: accesses ================================================ */
static uint32_t draw(struct verify *v, uint32_t n)
{
  v->rnd = v->rnd * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(v->rnd >> 33) % n;
}
static int64_t draw_in(struct verify *v, int64_t lo, int64_t hi)       /* the ends often */
{
  if (hi == IR_IX_INF || hi - lo > 100000) hi = lo + 300;
  switch (draw(v, 4)) {
  case 0: return lo;
  case 1: return hi;
  default: return lo + draw(v, (uint32_t)(hi - lo + 1));
  }
}
static void set(struct verify *v, const struct ir_ix *sym, int64_t x)
{
  int64_t by;
  const struct ir_sym *s = kir_base_sym(sym, &by);
  v->row.v[s->id] = x / by;
}
/* Values for everything around the op at hand; false: these dims and choices do not lead there. */
static bool sample(struct verify *v)
{
  struct ir_ixs *t = v->k->ixs;
  for (unsigned i = 0; i < ir_ixs_nsyms(t); i++) {
    const struct ir_sym *s = ir_ixs_sym(t, i);
    int64_t by = s->by, lo = s->lo == -IR_IX_INF ? 0 : -ir_floordiv(-s->lo, by), hi = s->hi == IR_IX_INF ? s->hi : ir_floordiv(s->hi, by);
    if (s->kind == IR_SYM_DIM) set(v, ir_ix_find(t, s->name), by * draw_in(v, lo, hi));
  }
  for (uint32_t i = 0; i < v->k->grid.n; i++) {
    int64_t n = kir_ix_run(v->m, v->k->grid.v[i].trips, &v->row);
    if (n <= 0) return false;
    set(v, v->k->grid.v[i].var, draw_in(v, 0, n - 1));
  }
  v->row.v[v->lane] = draw(v, v->k->lanes);
  v->row.v[v->warp] = draw(v, v->k->warps);
  v->row.v[v->vsym] = 0;
  for (uint32_t i = 0; i < v->k->facts.ge0.n; i++)
    if (kir_ix_run(v->m, v->k->facts.ge0.v[i], &v->row) < 0) {
      bool dims_only = true;                           /* facts on axes of the nest mean nothing here */
      struct kir_used u;
      kir_used_init(&u, t);
      kir_used_ix(&u, v->k->facts.ge0.v[i]);
      for (unsigned j = 0; j < ir_ixs_nsyms(t); j++) {
        const struct ir_sym *s = ir_ixs_sym(t, j);
        dims_only &= s->kind == IR_SYM_DIM || !kir_used_sym(&u, ir_ix_find(t, s->name));
      }
      kir_used_deinit(&u);
      if (dims_only) return false;
    }
  for (unsigned i = 0; i < v->depth; i++) {
    const struct kir_op *o = v->stack[i].o;
    if (o->op == KIR_for || o->op == KIR_pipe) {
      int64_t lo = o->op == KIR_for ? kir_ix_run(v->m, o->ix[0], &v->row) : 0, hi = kir_ix_run(v->m, o->ix[o->op == KIR_for], &v->row);
      if (lo >= hi) return false;
      set(v, o->var, draw_in(v, lo, hi - 1));
      continue;
    }
    bool all = true;
    for (unsigned j = 0; j < o->n_ix; j++) all &= kir_ix_run(v->m, o->ix[j], &v->row) >= 0;
    if (all != !v->stack[i].body) return false;
  }
  return !v->row.failed;
}
static const struct ir_ix *elems(const struct kir_kern *k, const struct kir_arr *a)
{
  if (a->elems) return a->elems;
  const struct ir_ix *n = ir_ix_int(k->ixs, 1);
  for (unsigned d = 0; d < a->rank; d++) n = ir_ix_mul(n, ir_ix_sub(a->hi[d], a->lo[d]));
  return n;
}
/* n elements, `stride` apart, from `off` of arr: within it, and on a multiple of `align` elements. */
struct access { const struct kir_arr *arr; const struct ir_ix *off, *upto; int64_t n, stride, align; unsigned guards; };
static bool proved(struct verify *v, const struct kir_op *o, const struct access *x)
{
  const struct ir_ix *size = elems(v->k, x->arr), *last = ir_ix_addi(ir_ix_sub(size, x->off), -1 - (x->n - 1) * x->stride);
  uint32_t mark = ir_facts_mark(&v->facts);
  for (unsigned i = x->guards; i < o->n_ix; i++) ir_facts_push(&v->facts, o->ix[i]);
  if (x->upto) ir_facts_push(&v->facts, ir_ix_addi(x->upto, -1));
  bool ok = ir_known_ge0(&v->facts, x->off) && (ir_known_ge0(&v->facts, last) ||
            (x->upto && ir_known_ge0(&v->facts, ir_ix_sub(ir_ix_addi(ir_ix_sub(size, x->off), -1), ir_ix_muli(ir_ix_addi(x->upto, -1), x->stride)))));
  ir_facts_reset(&v->facts, mark);
  return ok && ir_ix_by(x->off) % x->align == 0;
}
/* The values at hand lead to the access: inside of all ranges, conditions and guards. */
static bool live(struct verify *v, const struct kir_op *o, const struct access *x)
{
  for (uint32_t i = 0; i < v->k->grid.n; i++) {
    int64_t g = kir_ix_run(v->m, v->k->grid.v[i].var, &v->row);
    if (g < 0 || g >= kir_ix_run(v->m, v->k->grid.v[i].trips, &v->row)) return false;
  }
  for (unsigned i = 0; i < v->depth; i++) {
    const struct kir_op *f = v->stack[i].o;
    if (f->op != KIR_if) {
      int64_t at = kir_ix_run(v->m, f->var, &v->row), lo = f->op == KIR_for ? kir_ix_run(v->m, f->ix[0], &v->row) : 0;
      if (at < lo || at >= kir_ix_run(v->m, f->ix[f->op == KIR_for], &v->row)) return false;
      continue;
    }
    bool all = true;
    for (unsigned j = 0; j < f->n_ix; j++) all &= kir_ix_run(v->m, f->ix[j], &v->row) >= 0;
    if (all != !v->stack[i].body) return false;
  }
  for (unsigned i = x->guards; i < o->n_ix; i++)
    if (kir_ix_run(v->m, o->ix[i], &v->row) < 0) return false;
  return !v->row.failed && (!x->upto || kir_ix_run(v->m, x->upto, &v->row) > 0);
}
static bool wrong(struct verify *v, const struct access *x)           /* at the values at hand */
{
  int64_t n = x->upto ? kir_ix_run(v->m, x->upto, &v->row) : x->n;
  if (n > x->n) n = x->n;
  int64_t a = kir_ix_run(v->m, x->off, &v->row), b = a + (n - 1) * x->stride, e = kir_ix_run(v->m, elems(v->k, x->arr), &v->row);
  if (v->row.failed) return v->row.failed = false;
  if (a < 0 || b >= e) return fail(v, 2, "%s: elements %lld..%lld of %lld", x->arr->name, (long long)a, (long long)b, (long long)e), true;
  if (a % x->align) return fail(v, 3, "%s: element %lld is not on a multiple of %lld", x->arr->name, (long long)a, (long long)x->align), true;
  return false;
}
/* Moves one variable after the other as far as the offset goes on growing (sign 1) or falling (sign -1): offsets are mostly monotone, so this finds the corners. */
static void climb(struct verify *v, const struct kir_op *o, const struct access *x, int sign)
{
  uint32_t var[KIR_MAX_NEST + 40], n = 0;
  for (uint32_t i = 0; i < v->k->grid.n && i < 32; i++) var[n++] = kir_base_sym(v->k->grid.v[i].var, NULL)->id;
  for (unsigned i = 0; i < v->depth; i++)
    if (v->stack[i].o->op != KIR_if) var[n++] = kir_base_sym(v->stack[i].o->var, NULL)->id;
  if (v->k->lanes > 1) var[n++] = v->lane;
  if (v->k->warps > 1) var[n++] = v->warp;
  bool moved = true;
  for (unsigned round = 0; moved && round < 4; round++) {
    moved = false;
    for (uint32_t i = 0; i < 2 * n; i++) {
      int64_t *at = &v->row.v[var[i / 2]];
      for (int64_t step = 512; step; step /= 2)
        for (unsigned tries = 0; tries < 3; tries++) {
          int64_t before = kir_ix_run(v->m, x->off, &v->row), back = *at;
          *at += i % 2 ? step : -step;
          bool in = *at >= 0 && (var[i / 2] != v->lane || *at < v->k->lanes) && (var[i / 2] != v->warp || *at < v->k->warps);
          if (in && live(v, o, x) && (sign > 0 ? kir_ix_run(v->m, x->off, &v->row) > before : kir_ix_run(v->m, x->off, &v->row) < before)) {
            moved = true;
            continue;
          }
          v->row.failed = false;
          *at = back;
          break;
        }
    }
  }
}
static bool refuted(struct verify *v, const struct kir_op *o, const struct access *x)
{
  for (unsigned tried = 0, done = 0; tried < ATTEMPTS && done < SAMPLES; tried++) {
    bool here = sample(v) && live(v, o, x);
    v->row.failed = false;
    if (!here) continue;
    if (wrong(v, x)) return true;
    if (done++ >= CLIMBS) continue;
    climb(v, o, x, 1);
    if (wrong(v, x)) return true;
    climb(v, o, x, -1);
    if (wrong(v, x)) return true;
  }
  return false;
}
static bool access(struct verify *v, const struct kir_op *o, struct access x) { return proved(v, o, &x) || !refuted(v, o, &x); }
static bool accesses(struct verify *v, const struct kir_op *o)
{
  switch (o->op) {
  case KIR_load: return access(v, o, (struct access){ o->arr, o->ix[0], o->upto, o->lanes, o->stride, 1, 1 });
  case KIR_store: return access(v, o, (struct access){ o->arr, o->ix[0], o->upto, o->src[0]->lanes, o->stride, 1, 1 });
  case KIR_ldmatrix: return access(v, o, (struct access){ o->arr, o->ix[1], NULL, 16 / ir_elem_bytes(o->arr->elem), 1, 16 / ir_elem_bytes(o->arr->elem), 2 });
  case KIR_wgmma:                                      /* the first and the last piece of each operand */
    for (unsigned i = 0; i < 2; i++) {
      unsigned piece = 16 / ir_elem_bytes(o->inst->ab);
      const struct kir_arr *a = i ? o->arr2 : o->arr;
      const struct ir_ix *last = ir_ix_addi(o->ix[1 + i], ((i ? o->inst->n : o->inst->m) - 1) * kir_wgmma_row(o->inst) + o->i * o->inst->k - piece);
      TRY(access(v, o, (struct access){ a, o->ix[1 + i], NULL, piece, 1, piece, 3 }) && access(v, o, (struct access){ a, last, NULL, piece, 1, piece, 3 }));
    }
    return true;
  case KIR_cp_async:
    if (o->arr->byte_offset % (o->lanes * ir_elem_bytes(o->arr->elem))) return fail(v, 3, "%s begins at byte %llu", o->arr->name, (unsigned long long)o->arr->byte_offset);
    return access(v, o, (struct access){ o->arr, o->ix[0], NULL, o->lanes, 1, o->lanes, o->n_ix }) && access(v, o, (struct access){ o->arr2, o->ix[1], NULL, o->lanes, 1, o->lanes, 2 });
  default: return true;
  }
}
/* Rule 4: a register number is a constant once the replayed loops are. */
static bool replayed(struct verify *v, const struct ir_ix *e)
{
  uint8_t *ok = calloc(kir_ixm_syms(v->m) + 1u, 1);
  int64_t k;
  if (!ok) ir_bug("verify", "out of memory");
  for (unsigned i = 0; i < v->depth; i++) {
    const struct kir_op *o = v->stack[i].o;
    if (o->op == KIR_for && o->sub == KIR_REPLAY && ir_ix_const(o->ix[0], &k) && ir_ix_const(o->ix[1], &k)) ok[kir_base_sym(o->var, NULL)->id] = 1;
  }
  bool r = kir_ixp_only(kir_ixp_get(v->m, e), ok);
  free(ok);
  return r;
}
static bool number(struct verify *v, const struct kir_reg *r, const struct ir_ix *e, int64_t n)
{
  if (!replayed(v, e)) return fail(v, 4, "register number of %%%s is not constant", r->name);
  const struct ir_ix *last = ir_ix_sub(ir_ix_int(v->k->ixs, r->count - n), e);
  if (ir_known_ge0(&v->facts, e) && ir_known_ge0(&v->facts, last)) return true;
  for (unsigned i = 0; i < SAMPLES; i++)
    if (sample(v)) {
      int64_t k = kir_ix_run(v->m, e, &v->row);
      if (k < 0 || k > (int64_t)r->count - n) return fail(v, 4, "%%%s has no register %lld", r->name, (long long)(k < 0 ? k : k > INT64_MAX - n ? k : k + n - 1));
    } else v->row.failed = false;
  return true;
}
static bool numbers(struct verify *v, const struct kir_op *o)
{
  switch (o->op) {
  case KIR_get: case KIR_set: return number(v, o->reg, o->ix[0], 1);
  case KIR_ldmatrix: return number(v, o->reg, o->ix[0], o->i);
  case KIR_mma_sync:
    return number(v, o->reg, o->ix[0], kir_layout_count(&o->inst->C, 'r')) && number(v, o->reg2, o->ix[1], kir_layout_count(&o->inst->A, 'r')) &&
           number(v, o->reg3, o->ix[2], kir_layout_count(&o->inst->B, 'r'));
  case KIR_wgmma: return number(v, o->reg, o->ix[0], kir_layout_count(&o->inst->C, 'r'));
  default: return true;
  }
}

/* ================================================ rules 5, 6, 7: threads ================================================ */
static bool uses(struct verify *v, const struct ir_ix *e, uint32_t base) { return kir_ixp_uses(kir_ixp_get(v->m, e), base); }
static bool around_uses(struct verify *v, uint32_t base)               /* conditions and bounds around the op at hand */
{
  for (unsigned i = 0; i < v->depth; i++)
    for (unsigned j = 0; j < v->stack[i].o->n_ix; j++)
      if (uses(v, v->stack[i].o->ix[j], base)) return true;
  return false;
}
static bool ix_uses(struct verify *v, const struct kir_op *o, uint32_t base)
{
  for (unsigned j = 0; j < o->n_ix; j++)
    if (uses(v, o->ix[j], base)) return true;
  return o->upto && uses(v, o->upto, base);
}
static bool threads(struct verify *v, const struct kir_op *o)
{
  bool lane = v->k->lanes > 1, warp = v->k->warps > 1;
  switch (o->op) {
  case KIR_barrier: case KIR_relayout:
    if ((lane && around_uses(v, v->lane)) || (warp && around_uses(v, v->warp))) return fail(v, 5, "it is not reached by all threads of the block");
    return true;
  case KIR_wgmma: case KIR_wgmma_wait:                 /* a group of four warps; which of them differ the interpreter sees */
  case KIR_shfl: case KIR_ldmatrix: case KIR_mma_sync: case KIR_commit: case KIR_wait:
    return !lane || !around_uses(v, v->lane) || fail(v, 5, "it is not reached by all lanes of the warp");
  case KIR_store: case KIR_cp_async:                    /* one element, stored by all */
    if (o->arr->space != KIR_SHARED) return true;
    if (lane && !ix_uses(v, o, v->lane) && !around_uses(v, v->lane)) return fail(v, 6, "all lanes store the same element of %s", o->arr->name);
    if (warp && !ix_uses(v, o, v->warp) && !around_uses(v, v->warp)) return fail(v, 6, "all warps store the same element of %s", o->arr->name);
    return true;
  default: return true;
  }
}

/* ================================================ the walk ================================================ */
static bool op(struct verify *v, const struct kir_op *o, bool structure_only)
{
  v->at = o;
  if (o->op >= KIR_OPCODE_COUNT || o->lanes > KIR_MAX_VEC || o->elem >= IR_ELEM_COUNT || (kir_op_has_value(o) && o->lanes < 1)) return fail(v, 1, "no op of the list, or %u lanes", o->lanes);
  if (v->k->flat && kir_op_stage(o->op) == 'T') return fail(v, 1, "an op of tiled code in flat code");
  if ((o->body[0].first || o->body[1].first) && o->op != KIR_for && o->op != KIR_if && o->op != KIR_pipe) return fail(v, 1, "it has a body");
  TRY(fields(v, o) && operands(v, o) && types(v, o));
  if (v->k->flat) TRY(symbols(v, o));
  if (o->e) TRY(expression(v, o->e, 0));
  v->copies += o->op == KIR_cp_async;
  v->commits += o->op == KIR_commit;
  v->waits += o->op == KIR_wait;
  return structure_only || (numbers(v, o) && accesses(v, o) && threads(v, o));
}
static void enter_facts(struct verify *v, const struct kir_op *o, unsigned body)
{
  if (o->op == KIR_for && !body) {
    ir_facts_push(&v->facts, ir_ix_sub(o->var, o->ix[0]));
    ir_facts_push(&v->facts, ir_ix_sub(ir_ix_addi(o->ix[1], -1), o->var));
  } else if (o->op == KIR_pipe) {
    ir_facts_push(&v->facts, o->var);
    ir_facts_push(&v->facts, ir_ix_sub(ir_ix_addi(o->ix[0], -1), o->var));
  } else if (o->op == KIR_if && !body) {
    for (unsigned i = 0; i < o->n_ix; i++) ir_facts_push(&v->facts, o->ix[i]);
  } else if (o->op == KIR_if && o->n_ix == 1) ir_facts_push(&v->facts, ir_ix_addi(ir_ix_neg(o->ix[0]), -1));
}
static bool number_ops(struct verify *v)
{
  IR_VEC(struct kir_op *) ops = { 0 };
  struct kir_walk w = { 0 };
  for (struct kir_op *o; (o = kir_walk(v->k, &w)) != NULL;) {
    o->id = ops.n;
    ir_push(v->arena, &ops, o);
    if (o->next && o->next->prev != o) return fail(v, 1, "broken links at op %u", o->id);
  }
  v->op = ops.v;
  v->n = ops.n;
  return true;
}
static void bind(struct verify *v, const struct kir_op *o, bool yes)
{
  if (o->op != KIR_if) v->bound[kir_base_sym(o->var, NULL)->id] = yes;
}
static bool walk(struct verify *v, bool structure_only)
{
  const struct kir_op *o = v->k->body.first;
  uint32_t last = 0;
  for (;;) {
    while (o) {
      TRY(op(v, o, structure_only));
      v->visible[last = o->id] = 1;
      if (o->op != KIR_for && o->op != KIR_if && o->op != KIR_pipe) {
        o = o->next;
        continue;
      }
      if (v->depth == KIR_MAX_NEST) return fail(v, 1, "blocks are nested too deeply");
      v->stack[v->depth++] = (struct frame){ o, 0, ir_facts_mark(&v->facts) };
      enter_facts(v, o, 0);
      bind(v, o, true);
      o = o->body[0].first;
    }
    if (!v->depth) return true;
    struct frame *f = &v->stack[v->depth - 1];          /* a block ends: what it defined is out of sight */
    for (uint32_t i = f->o->id + 1; i <= last; i++) v->visible[i] = 0;
    ir_facts_reset(&v->facts, f->facts);
    if (f->body || f->o->op == KIR_for) {
      bind(v, f->o, false);
      o = f->o->next;
      v->depth--;
      continue;
    }
    f->body = 1;
    enter_facts(v, f->o, 1);
    o = f->o->body[1].first;
  }
}
static bool stored(const struct kir_kern *k, const struct kir_arr *a)
{
  struct kir_walk w = { 0 };
  for (struct kir_op *o; (o = kir_walk(k, &w)) != NULL;)
    if ((o->op == KIR_store || o->op == KIR_map || o->op == KIR_copy) && o->arr == a) return true;
  return false;
}
static bool verify(const struct kir_kern *k, const char **why, bool structure_only)
{
  const char *ignored;
  struct verify v = { .k = k, .why = why ? why : &ignored, .arena = ir_arena_create(), .rnd = 1 };
  for (unsigned i = 0; i < IR_IX_COORDS; i++) ir_ix_coord(k->ixs, i);
  v.facts.arena = v.arena;
  bool ok = number_ops(&v) && buffers(&v) && registers(&v);
  if (ok) {
    v.m = kir_ixm_create(v.arena, k->ixs);
    v.row.v = IR_NEWN(v.arena, int64_t, kir_ixm_syms(v.m) + 1);
    v.lane = kir_base_sym(k->lane, NULL)->id;
    v.warp = kir_base_sym(k->warp, NULL)->id;
    v.vsym = kir_base_sym(k->vsym, NULL)->id;
    v.visible = IR_NEWN(v.arena, uint8_t, v.n + 1);
    v.bound = IR_NEWN(v.arena, uint8_t, kir_ixm_syms(v.m) + 1);
    for (unsigned i = 0; i < ir_ixs_nsyms(k->ixs); i++) {
      const struct ir_sym *s = ir_ixs_sym(k->ixs, i);
      if (s->kind == IR_SYM_DIM) v.bound[kir_base_sym(ir_ix_find(k->ixs, s->name), NULL)->id] = 1;
    }
    v.bound[v.lane] = v.bound[v.warp] = 1;
    for (uint32_t i = 0; i < k->grid.n; i++) v.bound[kir_base_sym(k->grid.v[i].var, NULL)->id] = 1;
    for (uint32_t i = 0; i < k->facts.ge0.n; i++) ir_facts_push(&v.facts, k->facts.ge0.v[i]);
    for (uint32_t i = 0; i < k->grid.n; i++) {
      ir_facts_push(&v.facts, k->grid.v[i].var);
      ir_facts_push(&v.facts, ir_ix_sub(ir_ix_addi(k->grid.v[i].trips, -1), k->grid.v[i].var));
    }
    ok = walk(&v, structure_only);
  }
  v.at = NULL;
  if (ok && !structure_only && v.copies && (!v.commits || !v.waits)) ok = fail(&v, 7, "asynchronous copies are never committed or waited for");
  for (uint32_t i = 0; ok && !structure_only && i < k->args.n; i++)
    if (k->args.v[i]->out && !stored(k, k->args.v[i])) ok = fail(&v, 8, "%s is never stored", k->args.v[i]->name);
  ir_arena_destroy(v.arena);
  return ok;
}
bool kir_verify(const struct kir_kern *k, const char **why) { return verify(k, why, false); }
bool kir_verify_structure(const struct kir_kern *k, const char **why) { return verify(k, why, true); }
