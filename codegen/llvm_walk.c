/* The walk over a flat kern's ops, and its control flow.
 *
 *   void NAME(const union massrt_word *args, i64 t0, i64 t1, void *scratch)
 *     entry:  pointers and dims from args                       level 0
 *     task:   phi t; grid digits                                level 1
 *     body:   the ops; a loop is head (phis, what was hoisted into it; ends in a branch to its body), body, latch
 *
 * Register arrays are SSA values reg[..].cur[i]: a loop gets phis for the arrays that its body sets, a branch joins them. Phis that only phis read are removed at
 * the end. An array with an index that is not constant once the replayed loops are gone is a stack array. */
#include <string.h>
#include "codegen/llvm.h"

static void walk(struct ll *l, const struct kir_block *b);

/* ---- register arrays ---- */
static unsigned reg_number(struct ll *l, const struct kir_reg *r)
{
  for (unsigned i = 0; i < l->k->regs.n; i++)
    if (l->k->regs.v[i] == r) return i;
  ir_bug(__func__, "register array %s is not of kern %s", r->name, l->k->name);
}
static type reg_type(struct ll *l, const struct kir_reg *r) { return ll_vec(ll_elem_type(l, r->elem), r->lanes ? r->lanes : 1); }
static type reg_mem_type(struct ll *l, const struct kir_reg *r) { return ll_vec(r->elem == IR_bool ? l->i8 : ll_elem_type(l, r->elem), r->lanes ? r->lanes : 1); }

static void make_stack_array(struct ll *l, const struct kir_reg *r)
{
  struct ll_reg *x = &l->reg[reg_number(l, r)];
  if (x->mem) return;
  LLVMPositionBuilderBefore(l->hoist, l->level_end[0]);
  x->mem = LLVMBuildAlloca(l->hoist, LLVMArrayType2(reg_mem_type(l, r), r->count), "");
  ll_level(l, x->mem, 0);
}
/* Finds arrays with dynamic indices: only replayed loops' variables are bound, to any constant, while this looks. */
static void find_stack_arrays(struct ll *l, const struct kir_block *b)
{
  for (const struct kir_op *o = b->first; o; o = o->next) {
    if ((o->op == KIR_get || o->op == KIR_set) && !ll_static(l, o->ix[0])) make_stack_array(l, o->reg);
    if (o->op == KIR_for && o->sub == 0xffff) ll_bind(l, o->var, NULL, 0);
    find_stack_arrays(l, &o->body[0]);
    find_stack_arrays(l, &o->body[1]);
  }
}
static val stack_place(struct ll *l, const struct kir_reg *r, const struct ir_ix *ix)
{
  return ll_iop(l, LL_GEP, l->reg[reg_number(l, r)].mem, ll_ix(l, ix), NULL, reg_mem_type(l, r));
}
static val *reg_place(struct ll *l, const struct kir_reg *r, const struct ir_ix *ix)
{
  int64_t k = 0;
  if (!ll_const_int(ll_ix(l, ix), &k) || k < 0 || k >= r->count) {
    ll_fail(l, "register %lld of %s, which has %u", (long long)k, r->name, r->count);
    k = 0;
  }
  return &l->reg[reg_number(l, r)].cur[k];
}
static val reg_get(struct ll *l, const struct kir_op *o)
{
  const struct kir_reg *r = o->reg;
  if (!l->reg[reg_number(l, r)].mem) return *reg_place(l, r, o->ix[0]);
  val v = LLVMBuildLoad2(l->b, reg_mem_type(l, r), stack_place(l, r, o->ix[0]), "");
  return r->elem == IR_bool ? LLVMBuildTrunc(l->b, v, reg_type(l, r), "") : v;
}
static void reg_set(struct ll *l, const struct kir_op *o, val v)
{
  const struct kir_reg *r = o->reg;
  v = ll_splat(l, v, r->lanes ? r->lanes : 1);
  if (LLVMTypeOf(v) != reg_type(l, r)) {
    ll_fail(l, "a value of %u x %s is set into %s of %u x %s", o->src[0]->lanes, ir_elem_name(o->src[0]->elem), r->name, r->lanes, ir_elem_name(r->elem));
    return;
  }
  if (!l->reg[reg_number(l, r)].mem) {
    *reg_place(l, r, o->ix[0]) = v;
    return;
  }
  if (r->elem == IR_bool) v = LLVMBuildZExt(l->b, v, reg_mem_type(l, r), "");
  LLVMBuildStore(l->b, v, stack_place(l, r, o->ix[0]));
}

/* ---- what a block sets, and joining it ---- */
static void mark_set(struct ll *l, const struct kir_block *b, bool *set)
{
  for (const struct kir_op *o = b->first; o; o = o->next) {
    if (o->op == KIR_set) set[reg_number(l, o->reg)] = true;
    mark_set(l, &o->body[0], set);
    mark_set(l, &o->body[1], set);
  }
}
struct joined { unsigned n; val **place, *before; };    /* the registers concerned, and their values where control split */
static struct joined joined_of(struct ll *l, const struct kir_op *o)
{
  unsigned n_regs = l->k->regs.n, n = 0;
  bool *set = IR_NEWN(l->arena, bool, n_regs + 1);
  mark_set(l, &o->body[0], set);
  mark_set(l, &o->body[1], set);
  for (unsigned i = 0; i < n_regs; i++) n += set[i] && !l->reg[i].mem ? l->k->regs.v[i]->count : 0;
  struct joined j = { .place = IR_NEWN(l->arena, val *, n + 1), .before = IR_NEWN(l->arena, val, n + 1) };
  for (unsigned i = 0; i < n_regs; i++)
    for (unsigned q = 0; set[i] && !l->reg[i].mem && q < l->k->regs.v[i]->count; q++) {
      j.place[j.n] = &l->reg[i].cur[q];
      j.before[j.n++] = l->reg[i].cur[q];
    }
  return j;
}
static val new_phi(struct ll *l, type t)
{
  val p = LLVMBuildPhi(l->b, t, "");
  ir_push(l->arena, &l->phis, p);
  return p;
}
static val *values_now(struct ll *l, const struct joined *j)
{
  val *v = IR_NEWN(l->arena, val, j->n + 1);
  for (unsigned i = 0; i < j->n; i++) v[i] = *j->place[i];
  return v;
}
static void restore(const struct joined *j, const val *v)
{
  for (unsigned i = 0; i < j->n; i++) *j->place[i] = v[i];
}
/* At a join with predecessors a and b. */
static void merge(struct ll *l, const struct joined *j, const val *va, LLVMBasicBlockRef a, const val *vb, LLVMBasicBlockRef b)
{
  for (unsigned i = 0; i < j->n; i++) {
    *j->place[i] = va[i];
    if (va[i] == vb[i]) continue;
    val p = *j->place[i] = new_phi(l, LLVMTypeOf(va[i]));
    LLVMAddIncoming(p, (val *)&va[i], &a, 1);
    LLVMAddIncoming(p, (val *)&vb[i], &b, 1);
  }
}
static void remove_dead_phis(struct ll *l)
{
  struct ll_table live = { 0 };
  IR_VEC(val) work = { 0 };
  for (unsigned i = 0; i < l->phis.n; i++)
    for (LLVMUseRef u = LLVMGetFirstUse(l->phis.v[i]); u; u = LLVMGetNextUse(u))
      if (!LLVMIsAPHINode(LLVMGetUser(u))) {
        ir_push(l->arena, &work, l->phis.v[i]);
        *ll_table_at(l, &live, 0, l->phis.v[i], NULL, NULL, NULL) = l;
        break;
      }
  while (work.n) {
    val p = work.v[--work.n];
    for (unsigned i = 0; i < LLVMCountIncoming(p); i++) {
      val q = LLVMGetIncomingValue(p, i);
      if (!LLVMIsAPHINode(q) || ll_table_get(&live, 0, q, NULL, NULL, NULL)) continue;
      *ll_table_at(l, &live, 0, q, NULL, NULL, NULL) = l;
      ir_push(l->arena, &work, q);
    }
  }
  for (unsigned i = 0; i < l->phis.n; i++) {
    val p = l->phis.v[i];
    if (ll_table_get(&live, 0, p, NULL, NULL, NULL)) continue;
    LLVMReplaceAllUsesWith(p, LLVMGetPoison(LLVMTypeOf(p)));
    LLVMInstructionEraseFromParent(p);
  }
}

/* ---- control ---- */
static void push_level(struct ll *l, val terminator)
{
  if (l->level + 1 == LL_MAX_LEVELS) ll_fail(l, "loops nest deeper than %d", LL_MAX_LEVELS);
  else l->level++;
  l->level_end[l->level] = terminator;
}
/* An empty piece of assembly, no instruction: loads do not move across it. When LLVM lines up a block it puts loads of one array side by side, up to four of them,
 * and so those of the next copies of a body into this one, where they take the registers that a tile needs. */
static void apart(struct ll *l)
{
  type t = LLVMFunctionType(LLVMVoidTypeInContext(l->c), NULL, 0, 0);
  LLVMBuildCall2(l->b, t, LLVMGetInlineAsm(t, "", 0, "", 0, 1, 0, LLVMInlineAsmDialectATT, 0), NULL, 0, "");
}
/* var = lo, lo + step, .. < hi, the body `copies` times per trip with var, var + 1, ..; surely: at least one trip. */
static void run_loop(struct ll *l, const struct kir_op *o, val lo, val hi, int64_t copies, bool surely)
{
  struct joined j = joined_of(l, o);
  LLVMBasicBlockRef pre = LLVMGetInsertBlock(l->b), head = ll_block(l, ""), body = ll_block(l, ""), exit = ll_block(l, "");
  if (surely) LLVMBuildBr(l->b, head);
  else LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntSLT, lo, hi, ""), head, exit);
  LLVMPositionBuilderAtEnd(l->b, head);
  val i = LLVMBuildPhi(l->b, l->i64, ir_ix_as_sym(o->var)->name);
  LLVMAddIncoming(i, &lo, &pre, 1);
  val *phi = IR_NEWN(l->arena, val, j.n + 1);
  for (unsigned q = 0; q < j.n; q++) {
    *j.place[q] = phi[q] = new_phi(l, LLVMTypeOf(j.before[q]));
    LLVMAddIncoming(phi[q], &j.before[q], &pre, 1);
  }
  push_level(l, LLVMBuildBr(l->b, body));
  ll_level(l, i, l->level);
  LLVMPositionBuilderAtEnd(l->b, body);
  for (int64_t c = 0; c < copies; c++) {
    if (c) apart(l);
    ll_bind(l, o->var, i, c);
    walk(l, &o->body[0]);
  }
  val next = LLVMBuildAdd(l->b, i, ll_int(l->i64, copies), ""), *after = values_now(l, &j);
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(l->b);
  LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntSLT, next, hi, ""), head, exit);
  LLVMAddIncoming(i, &next, &latch, 1);
  for (unsigned q = 0; q < j.n; q++) LLVMAddIncoming(phi[q], &after[q], &latch, 1);
  l->level--;
  LLVMPositionBuilderAtEnd(l->b, exit);
  if (!surely) merge(l, &j, j.before, pre, after, latch);
}
/* Replayed rows of a tile may load together what then is in registers or folded into multiplications; SSE has neither so many nor such operands. */
static void replay(struct ll *l, const struct kir_op *o, int64_t lo, int64_t hi)
{
  for (int64_t v = lo; v < hi && !l->why; v++) {
    if (v > lo && (o->sub != 0xffff || !l->t->fma)) apart(l);
    ll_bind(l, o->var, NULL, v);
    walk(l, &o->body[0]);
  }
}
/* Both ends known: whole trips of `unroll`, then the rest one by one. */
static void for_const(struct ll *l, const struct kir_op *o, int64_t lo, int64_t hi, int64_t unroll)
{
  int64_t whole = (hi - lo) / unroll * unroll;
  if (whole == unroll) replay(l, o, lo, lo + whole);
  else if (whole > 0) run_loop(l, o, ll_int(l->i64, lo), ll_int(l->i64, lo + whole), unroll, true);
  if (lo + whole < hi) replay(l, o, lo + whole, hi);
}
static void for_dynamic(struct ll *l, const struct kir_op *o, val lo, val hi, int64_t unroll)
{
  int64_t a, b, c;
  ir_ix_range(o->ix[0], &a, &b);
  ir_ix_range(o->ix[1], &c, &a);
  bool surely = b < c, whole = unroll == 1 || (ir_ix_is(o->ix[0], 0) && ir_ix_by(o->ix[1]) % unroll == 0);
  if (whole) {
    run_loop(l, o, lo, hi, unroll, surely);
    return;
  }
  val trips = ll_iop(l, LL_MAX, ll_iop(l, LL_SUB, hi, lo, NULL, NULL), ll_int(l->i64, 0), NULL, NULL);
  val full = ll_iop(l, LL_MUL, ll_iop(l, LL_UDIV, trips, ll_int(l->i64, unroll), NULL, NULL), ll_int(l->i64, unroll), NULL, NULL);
  val mid = ll_iop(l, LL_ADD, lo, full, NULL, NULL);
  run_loop(l, o, lo, mid, unroll, false);
  run_loop(l, o, mid, hi, 1, false);
}
static void walk_for(struct ll *l, const struct kir_op *o)
{
  val lo = ll_ix(l, o->ix[0]), hi = ll_ix(l, o->ix[1]);
  int64_t a, b;
  bool known = ll_const_int(lo, &a) && ll_const_int(hi, &b);
  if (o->sub == 0xffff && !known) ll_fail(l, "a replayed loop's ends are not constant");
  else if (o->sub == 0xffff) replay(l, o, a, b);
  else if (known && a < b) for_const(l, o, a, b, o->sub > 1 ? o->sub : 1);
  else if (!known) for_dynamic(l, o, lo, hi, o->sub > 1 ? o->sub : 1);
}
static void walk_if(struct ll *l, const struct kir_op *o)
{
  val c = ll_all_ge0(l, o->ix, o->n_ix);
  int64_t k;
  if (ll_const_int(c, &k)) {
    walk(l, &o->body[k == 0]);
    return;
  }
  struct joined j = joined_of(l, o);
  LLVMBasicBlockRef yes = ll_block(l, ""), no = ll_block(l, ""), end = ll_block(l, "");
  LLVMBuildCondBr(l->b, c, yes, no);
  LLVMPositionBuilderAtEnd(l->b, yes);
  walk(l, &o->body[0]);
  val *v_yes = values_now(l, &j);
  LLVMBasicBlockRef end_yes = LLVMGetInsertBlock(l->b);
  LLVMBuildBr(l->b, end);
  restore(&j, j.before);
  LLVMPositionBuilderAtEnd(l->b, no);
  walk(l, &o->body[1]);
  val *v_no = values_now(l, &j);
  LLVMBasicBlockRef end_no = LLVMGetInsertBlock(l->b);
  LLVMBuildBr(l->b, end);
  LLVMPositionBuilderAtEnd(l->b, end);
  merge(l, &j, v_yes, end_yes, v_no, end_no);
}

/* ---- ops ---- */
static val of(struct ll *l, const struct kir_op *o)
{
  val v = ll_table_get(&l->vals, 0, o, NULL, NULL, NULL);
  if (v) return v;
  ll_fail(l, "a value is used before it is made");
  return LLVMGetPoison(ll_vec(ll_elem_type(l, o->elem), o->lanes));
}
static val src(struct ll *l, const struct kir_op *o, unsigned i) { return i < o->n_src ? ll_splat(l, of(l, o->src[i]), o->lanes) : NULL; }

static val constant(struct ll *l, const struct kir_op *o)
{
  type t = ll_vec(ll_elem_type(l, o->elem), o->lanes);
  return ir_elem_class(o->elem) == 'F' ? ll_real(t, ir_round_to(o->elem, o->f)) : ll_int(t, o->elem == IR_bool ? o->i != 0 : o->i);
}
static val index_value(struct ll *l, const struct kir_op *o)
{
  type t = ll_vec(ll_elem_type(l, o->elem), o->lanes);
  if (ir_elem_class(o->elem) != 'F') return ll_ix_lanes(l, o->ix[0], o->lanes, ll_elem_type(l, o->elem));
  return ll_round(l, o->elem, LLVMBuildSIToFP(l->b, ll_ix_lanes(l, o->ix[0], o->lanes, l->i64), t, ""));
}
static const char map_kind[] = {
#define MAP(name, arity, kind) #kind[0],
#include "ir/maps.def"
#undef MAP
};
static val elementwise(struct ll *l, const struct kir_op *o)
{
  char kind = map_kind[o->sub];
  enum ir_elem e = kind == 'P' ? o->src[0]->elem : kind == 'X' ? o->src[1]->elem : o->elem;
  val v = ll_ew(l, (enum ir_map)o->sub, e, src(l, o, 0), src(l, o, 1), src(l, o, 2));
  return kind == 'A' ? ll_round(l, e, v) : v;
}
static val bitcast(struct ll *l, const struct kir_op *o)
{
  val v = ll_to_storage(l, o->src[0]->elem, src(l, o, 0));
  return ll_from_storage(l, o->elem, LLVMBuildBitCast(l->b, v, ll_vec(ll_store_type(l, o->elem), o->lanes), ""));
}
static void prefetch(struct ll *l, const struct kir_op *o)
{
  ll_intrinsic(l, "llvm.prefetch", l->ptr, (val[]){ ll_addr(l, o->arr, o->ix[0]), ll_int(l->i32, 0), ll_int(l->i32, o->sub ? 2 : 3), ll_int(l->i32, 1) }, 4);
}
/* On a CPU an asynchronous copy is a load and a store. */
static void copy_now(struct ll *l, const struct kir_op *o)
{
  struct kir_op ld = { .op = KIR_load, .elem = o->arr2->elem, .lanes = o->lanes, .n_ix = o->n_ix - 1, .ix = o->ix + 1, .arr = o->arr2, .stride = 1 };
  struct kir_op st = { .op = KIR_store, .elem = o->arr->elem, .lanes = o->lanes, .n_ix = 1, .ix = o->ix, .arr = o->arr, .stride = 1 };
  ll_store(l, &st, ll_load(l, &ld));
}
static val value_of(struct ll *l, const struct kir_op *o)
{
  switch (o->op) {
  case KIR_const: return constant(l, o);
  case KIR_idx: return index_value(l, o);
  case KIR_test: return ll_cond_lanes(l, o->ix[0], o->lanes);
  case KIR_ew: return elementwise(l, o);
  case KIR_fma: return ll_round(l, o->elem, ll_fma(l, o->elem, src(l, o, 0), src(l, o, 1), src(l, o, 2)));
  case KIR_cast: return ll_cast(l, o->src[0]->elem, o->elem, src(l, o, 0));
  case KIR_bitcast: return bitcast(l, o);
  case KIR_splat: return src(l, o, 0);
  case KIR_extract: return ll_lane(l, of(l, o->src[0]), (unsigned)o->i);
  case KIR_vred: return ll_vred(l, (enum kir_red)o->sub, o->elem, of(l, o->src[0]));
  case KIR_get: return ll_splat(l, reg_get(l, o), o->lanes);
  case KIR_load: return ll_load(l, o);
  default: return NULL;
  }
}
static void effect(struct ll *l, const struct kir_op *o)
{
  switch (o->op) {
  case KIR_set: reg_set(l, o, of(l, o->src[0])); return;
  case KIR_store: ll_store(l, o, ll_splat(l, of(l, o->src[0]), o->lanes)); return;
  case KIR_prefetch: prefetch(l, o); return;
  case KIR_for: walk_for(l, o); return;
  case KIR_if: walk_if(l, o); return;
  case KIR_barrier: case KIR_commit: case KIR_wait: return;      /* one warp of one lane: nothing to wait for */
  case KIR_cp_async: copy_now(l, o); return;
  default: ll_fail(l, "op %d does not exist on a CPU", (int)o->op);
  }
}
static void walk(struct ll *l, const struct kir_block *b)
{
  for (const struct kir_op *o = b->first; o && !l->why; o = o->next) {
    val v = value_of(l, o);
    if (v) *ll_table_at(l, &l->vals, 0, o, NULL, NULL, NULL) = v;
    else effect(l, o);
  }
}

/* ---- the function ---- */
static val word(struct ll *l, val args, unsigned i, type t)
{
  val k = ll_int(l->i64, i), v = LLVMBuildLoad2(l->b, t, LLVMBuildInBoundsGEP2(l->b, l->i64, args, &k, 1, ""), "");
  ll_level(l, v, 0);
  return v;
}
static void load_args(struct ll *l, const struct kir_kern *k)
{
  val args = LLVMGetParam(l->fn, 0);
  l->args = IR_NEWN(l->arena, val, k->args.n + 1);
  for (unsigned i = 0; i < k->args.n; i++) l->args[i] = word(l, args, i, l->ptr);
  for (unsigned i = 0; i < k->syms.n; i++) ll_bind(l, k->syms.v[i], word(l, args, k->args.n + i, l->i64), 0);
  if (k->lane) ll_bind(l, k->lane, NULL, 0);
  if (k->warp) ll_bind(l, k->warp, NULL, 0);
  if (k->vsym) ll_bind(l, k->vsym, NULL, 0);
}
static void make_regs(struct ll *l, const struct kir_kern *k)
{
  l->reg = IR_NEWN(l->arena, struct ll_reg, k->regs.n + 1);
  for (unsigned i = 0; i < k->regs.n; i++) l->reg[i].cur = IR_NEWN(l->arena, val, k->regs.v[i]->count + 1);
  find_stack_arrays(l, &k->body);
}
static void forget_regs(struct ll *l, const struct kir_kern *k)
{
  for (unsigned i = 0; i < k->regs.n; i++)
    for (unsigned q = 0; q < k->regs.v[i]->count; q++) l->reg[i].cur[q] = LLVMGetPoison(reg_type(l, k->regs.v[i]));
}
/* Mixed radix, innermost digit last. */
static void bind_digits(struct ll *l, const struct kir_kern *k, val t)
{
  for (unsigned i = k->grid.n; i-- > 0;) {
    val trips = ll_ix(l, k->grid.v[i].trips);
    ll_bind(l, k->grid.v[i].var, i ? ll_iop(l, LL_UREM, t, trips, NULL, NULL) : t, 0);
    if (i) t = ll_iop(l, LL_UDIV, t, trips, NULL, NULL);
  }
}
static LLVMBasicBlockRef begin(struct ll *l, const char *name)
{
  l->fn = ll_function(l, name, LLVMVoidTypeInContext(l->c), (type[]){ l->ptr, l->i64, l->i64, l->ptr }, 4);
  ll_attr(l, l->fn, 1, "noalias");
  ll_attr(l, l->fn, 1, "readonly");
  ll_attr(l, l->fn, 4, "noalias");
  for (unsigned i = 0; i < 4; i++) ll_level(l, LLVMGetParam(l->fn, i), 0);
  l->scratch = LLVMGetParam(l->fn, 3);
  LLVMBasicBlockRef entry = ll_block(l, "entry"), start = ll_block(l, "");
  LLVMPositionBuilderAtEnd(l->b, entry);
  l->level_end[0] = LLVMBuildBr(l->b, start);
  LLVMPositionBuilderBefore(l->b, l->level_end[0]);
  return start;
}
static void tasks(struct ll *l, const struct kir_kern *k, LLVMBasicBlockRef start)
{
  LLVMBasicBlockRef head = ll_block(l, "task"), body = ll_block(l, ""), exit = ll_block(l, "");
  val t0 = LLVMGetParam(l->fn, 1), t1 = LLVMGetParam(l->fn, 2);
  LLVMPositionBuilderAtEnd(l->b, start);
  LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntSLT, t0, t1, ""), head, exit);
  LLVMPositionBuilderAtEnd(l->b, head);
  val t = LLVMBuildPhi(l->b, l->i64, "t");
  LLVMAddIncoming(t, &t0, &start, 1);
  push_level(l, LLVMBuildBr(l->b, body));
  ll_level(l, t, 1);
  bind_digits(l, k, t);
  LLVMPositionBuilderAtEnd(l->b, body);
  forget_regs(l, k);
  walk(l, &k->body);
  val next = LLVMBuildAdd(l->b, t, ll_int(l->i64, 1), "");
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(l->b);
  LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntSLT, next, t1, ""), head, exit);
  LLVMAddIncoming(t, &next, &latch, 1);
  LLVMPositionBuilderAtEnd(l->b, exit);
  LLVMBuildRetVoid(l->b);
}
bool ll_kern(struct ll *l, const struct kir_kern *k)
{
  l->k = k;
  l->vals = l->cse = l->levels = (struct ll_table){ 0 };
  l->sym = NULL;
  l->n_sym = 0;
  l->level = 0;
  l->phis.n = 0;
  if (!k->flat) ll_fail(l, "the kern is tiled");
  if (k->warps > 1 || k->lanes > 1) ll_fail(l, "the kern has %u warps of %u lanes", k->warps, k->lanes);
  if (l->why) return false;
  LLVMBasicBlockRef start = begin(l, k->name);
  load_args(l, k);
  make_regs(l, k);
  tasks(l, k, start);
  remove_dead_phis(l);
  return !l->why;
}
