/* Loads and stores: bases, storage types, guards, masks, strides.
 *
 * A guarded load takes its address from a constant that holds the `else` value when the guard fails: no branch, so the block stays whole. A guarded store
 * branches. `upto` becomes a mask; LLVM turns masks into branches where the target has none. */
#include <string.h>
#include "codegen/llvm.h"

val ll_base(struct ll *l, const struct kir_arr *a)
{
  if (a->arg) return l->args[a->index];
  if (a->swz) ll_fail(l, "buffer %s is swizzled, which only GPUs need", a->name);
  return ll_iop(l, LL_GEP, l->scratch, ll_int(l->i64, (int64_t)a->byte_offset), NULL, l->i8);
}

/* ---- f16 and bf16, where the target has no instruction ---- */
static val bits_of(struct ll *l, val v, type scalar) { return LLVMBuildBitCast(l->b, v, ll_like(v, scalar), ""); }
static val bin(struct ll *l, LLVMOpcode op, val a, int64_t k) { return LLVMBuildBinOp(l->b, op, a, ll_int(LLVMTypeOf(a), k), ""); }
static bool f16c(const struct ll *l) { return l->t->level >= 3; }

static val half_to_float(struct ll *l, val v)
{
  if (f16c(l)) return LLVMBuildFPExt(l->b, bits_of(l, v, LLVMHalfTypeInContext(l->c)), ll_like(v, l->f32), "");
  val h = LLVMBuildZExt(l->b, v, ll_like(v, l->i32), "");
  val em = bin(l, LLVMShl, bin(l, LLVMAnd, h, 0x7fff), 13), sign = bin(l, LLVMShl, bin(l, LLVMAnd, h, 0x8000), 16);
  val scaled = bits_of(l, LLVMBuildFMul(l->b, bits_of(l, em, l->f32), ll_real(ll_like(v, l->f32), 0x1p112), ""), l->i32);   /* rebiases; subnormals too */
  val special = LLVMBuildICmp(l->b, LLVMIntUGE, em, ll_int(LLVMTypeOf(em), 0x0f800000), "");
  val r = LLVMBuildSelect(l->b, special, bin(l, LLVMOr, em, 0x7f800000), scaled, "");
  return bits_of(l, LLVMBuildOr(l->b, r, sign, ""), l->f32);
}
/* Nearest, ties to even (after F. Giesen's float_to_half_fast3_rtne). */
static val float_to_half(struct ll *l, val v)
{
  if (f16c(l)) return bits_of(l, LLVMBuildFPTrunc(l->b, v, ll_like(v, LLVMHalfTypeInContext(l->c)), ""), l->i16);
  val u = bits_of(l, v, l->i32), sign = bin(l, LLVMAnd, u, 0x80000000), a = LLVMBuildXor(l->b, u, sign, "");
  type t = LLVMTypeOf(u);
  val special = LLVMBuildSelect(l->b, LLVMBuildICmp(l->b, LLVMIntSGT, a, ll_int(t, 255 << 23), ""), ll_int(t, 0x7e00), ll_int(t, 0x7c00), "");
  int64_t magic = (127 - 15 + 23 - 10 + 1) << 23;
  val sub = bits_of(l, LLVMBuildFAdd(l->b, bits_of(l, a, l->f32), bits_of(l, ll_int(t, magic), l->f32), ""), l->i32);
  sub = bin(l, LLVMSub, sub, magic);
  val odd = bin(l, LLVMAnd, bin(l, LLVMLShr, a, 13), 1);
  val norm = bin(l, LLVMLShr, LLVMBuildAdd(l->b, bin(l, LLVMAdd, a, (int64_t)(((uint32_t)(15 - 127) << 23) + 0xfff)), odd, ""), 13);
  val r = LLVMBuildSelect(l->b, LLVMBuildICmp(l->b, LLVMIntSLT, a, ll_int(t, 113 << 23), ""), sub, norm, "");
  r = LLVMBuildSelect(l->b, LLVMBuildICmp(l->b, LLVMIntSGE, a, ll_int(t, (127 + 16) << 23), ""), special, r, "");
  r = LLVMBuildOr(l->b, r, bin(l, LLVMLShr, sign, 16), "");
  return LLVMBuildTrunc(l->b, r, ll_like(v, l->i16), "");
}
static val bfloat_to_float(struct ll *l, val v) { return bits_of(l, bin(l, LLVMShl, LLVMBuildZExt(l->b, v, ll_like(v, l->i32), ""), 16), l->f32); }
static val float_to_bfloat(struct ll *l, val v)
{
  val u = bits_of(l, v, l->i32), odd = bin(l, LLVMAnd, bin(l, LLVMLShr, u, 16), 1);
  val r = LLVMBuildAdd(l->b, bin(l, LLVMAdd, u, 0x7fff), odd, "");
  r = LLVMBuildSelect(l->b, LLVMBuildFCmp(l->b, LLVMRealUNO, v, v, ""), bin(l, LLVMOr, u, 0x400000), r, "");
  return LLVMBuildTrunc(l->b, bin(l, LLVMLShr, r, 16), ll_like(v, l->i16), "");
}
val ll_from_storage(struct ll *l, enum ir_elem e, val v)
{
  if (e == IR_f16) return half_to_float(l, v);
  if (e == IR_bf16) return bfloat_to_float(l, v);
  return e == IR_bool ? LLVMBuildICmp(l->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "") : v;
}
val ll_to_storage(struct ll *l, enum ir_elem e, val v)
{
  if (e == IR_f16) return float_to_half(l, v);
  if (e == IR_bf16) return float_to_bfloat(l, v);
  return e == IR_bool ? LLVMBuildZExt(l->b, v, ll_like(v, l->i8), "") : v;
}
/* Nearest, ties away from zero: half of the last kept place is added; the exponent takes the carry. */
static val float_to_tf32(struct ll *l, val v)
{
  val u = bits_of(l, v, l->i32), r = bin(l, LLVMAnd, bin(l, LLVMAdd, u, 0x1000), 0xffffe000);
  return LLVMBuildSelect(l->b, LLVMBuildFCmp(l->b, LLVMRealUNO, v, v, ""), v, bits_of(l, r, l->f32), "");
}
val ll_round(struct ll *l, enum ir_elem e, val v)
{
  if (e == IR_tf32) return float_to_tf32(l, v);
  return e == IR_f16 || e == IR_bf16 ? ll_from_storage(l, e, ll_to_storage(l, e, v)) : v;
}

/* ---- single accesses ---- */
static void mark_invariant(struct ll *l, val load)
{
  LLVMMetadataRef none = LLVMMDNodeInContext2(l->c, NULL, 0);
  LLVMSetMetadata(load, LLVMGetMDKindIDInContext(l->c, "invariant.load", 14), LLVMMetadataAsValue(l->c, none));
}
static val load_at(struct ll *l, const struct kir_arr *a, val p, unsigned lanes)
{
  val v = LLVMBuildLoad2(l->b, ll_vec(ll_store_type(l, a->elem), lanes), p, "");
  LLVMSetAlignment(v, ir_elem_bytes(a->elem));
  if (a->space == KIR_CONST) mark_invariant(l, v);
  return v;
}
static void store_at(struct ll *l, const struct kir_arr *a, val v, val p) { LLVMSetAlignment(LLVMBuildStore(l->b, v, p), ir_elem_bytes(a->elem)); }
static val step(struct ll *l, const struct kir_arr *a, val p, int64_t elems)
{
  val k = ll_int(l->i64, elems);
  return elems ? LLVMBuildInBoundsGEP2(l->b, ll_store_type(l, a->elem), p, &k, 1, "") : p;
}
static val else_value(struct ll *l, const struct kir_op *o, unsigned lanes)     /* in storage form, a constant */
{
  type t = ll_vec(ll_elem_type(l, o->elem), lanes);
  if (ir_elem_class(o->elem) == 'F') return ll_to_storage(l, o->elem, ll_real(t, ir_round_to(o->elem, o->f)));
  return o->elem == IR_bool ? ll_int(ll_vec(l->i8, lanes), o->i != 0) : ll_int(t, o->i);
}
static val else_slot(struct ll *l, const struct kir_op *o, unsigned lanes)
{
  val c = else_value(l, o, lanes);
  void **p = ll_table_at(l, &l->slots, 0, c, NULL, NULL, NULL);
  if (*p) return *p;
  val g = LLVMAddGlobal(l->m, LLVMTypeOf(c), "");
  LLVMSetInitializer(g, c);
  LLVMSetGlobalConstant(g, 1);
  LLVMSetLinkage(g, LLVMPrivateLinkage);
  LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
  return *p = g;
}
static bool is_true(val c)
{
  int64_t k;
  return ll_const_int(c, &k) && k != 0;
}
static val guarded(struct ll *l, const struct kir_op *o, val ok, val p, unsigned lanes)
{
  return is_true(ok) ? p : LLVMBuildSelect(l->b, ok, p, else_slot(l, o, lanes), "");
}

/* ---- masks ---- */
/* How many lanes take part: NULL, all of them. */
static val active_lanes(struct ll *l, const struct kir_op *o, val ok)
{
  if (!o->upto) return NULL;
  val n = ll_ix(l, o->upto);
  int64_t k;
  if (ll_const_int(n, &k) && k >= (int64_t)o->lanes) return NULL;
  return is_true(ok) ? n : LLVMBuildSelect(l->b, ok, n, ll_int(l->i64, 0), "");
}
static val mask_of(struct ll *l, val n, unsigned lanes)
{
  val clamped = ll_iop(l, LL_MAX, ll_iop(l, LL_MIN, n, ll_int(l->i64, lanes), NULL, NULL), ll_int(l->i64, 0), NULL, NULL);
  val w = ll_splat(l, LLVMBuildTrunc(l->b, clamped, l->i32, ""), lanes);
  return LLVMBuildICmp(l->b, LLVMIntSLT, ll_const_lanes(l, lanes, l->i32, 1), w, "");
}
static val masked(struct ll *l, const char *name, type over, val *a)
{
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  type t[] = { over, l->ptr };
  return LLVMBuildCall2(l->b, LLVMIntrinsicGetType(l->c, id, t, 2), LLVMGetIntrinsicDeclaration(l->m, id, t, 2), a, 4, "");
}
static val in_lane(struct ll *l, val ok, val n, unsigned j)       /* guard of lane j alone */
{
  return n ? LLVMBuildICmp(l->b, LLVMIntSGT, n, ll_int(l->i64, j), "") : ok;
}

/* ---- loads ---- */
static bool per_lane(const struct ll *l, const struct kir_op *o)      /* offset or guards are no linear function of the lane */
{
  if (!l->k->vsym || o->lanes == 1) return false;
  for (unsigned i = 0; i < o->n_ix; i++)
    if (ir_ix_uses(o->ix[i], l->k->vsym)) return true;
  return false;
}
static val load_lanes(struct ll *l, const struct kir_op *o)
{
  val r = LLVMGetPoison(ll_vec(ll_store_type(l, o->elem), o->lanes));
  for (unsigned j = 0; j < o->lanes; j++) {
    ll_bind(l, l->k->vsym, NULL, j);
    val ok = ll_all_ge0(l, o->ix + 1, o->n_ix - 1), n = active_lanes(l, o, ok);
    val v = load_at(l, o->arr, guarded(l, o, in_lane(l, ok, n, j), ll_addr(l, o->arr, o->ix[0]), 1), 1);
    r = LLVMBuildInsertElement(l->b, r, v, ll_int(l->i32, j), "");
  }
  ll_bind(l, l->k->vsym, NULL, 0);
  return r;
}
static val load_strided(struct ll *l, const struct kir_op *o, val p, val ok, val n)
{
  val r = LLVMGetPoison(ll_vec(ll_store_type(l, o->elem), o->lanes));
  for (unsigned j = 0; j < o->lanes; j++) {
    val v = load_at(l, o->arr, guarded(l, o, in_lane(l, ok, n, j), step(l, o->arr, p, (int64_t)j * o->stride), 1), 1);
    r = LLVMBuildInsertElement(l->b, r, v, ll_int(l->i32, j), "");
  }
  return r;
}
/* Every second element: two vectors that end at the last one wanted, and one shuffle. */
static val load_even(struct ll *l, const struct kir_op *o, val p)
{
  unsigned n = o->lanes;
  val a = load_at(l, o->arr, p, n), b = load_at(l, o->arr, step(l, o->arr, p, (int64_t)n - 1), n), m[256];
  for (unsigned j = 0; j < n; j++) m[j] = ll_int(l->i32, 2 * j < n ? 2 * j : n + (2 * j - (n - 1)));
  return LLVMBuildShuffleVector(l->b, a, b, LLVMConstVector(m, n), "");
}
static val load_masked(struct ll *l, const struct kir_op *o, val p, val n)
{
  return masked(l, "llvm.masked.load", ll_vec(ll_store_type(l, o->elem), o->lanes),
                (val[]){ p, ll_int(l->i32, ir_elem_bytes(o->elem)), mask_of(l, n, o->lanes), else_value(l, o, o->lanes) });
}
static val load_storage(struct ll *l, const struct kir_op *o)
{
  if (per_lane(l, o)) return load_lanes(l, o);
  val ok = ll_all_ge0(l, o->ix + 1, o->n_ix - 1), p = ll_addr(l, o->arr, o->ix[0]), n = active_lanes(l, o, ok);
  if (o->lanes == 1) return load_at(l, o->arr, guarded(l, o, in_lane(l, ok, n, 0), p, 1), 1);
  if (o->stride == 0 && !n) return ll_splat(l, load_at(l, o->arr, guarded(l, o, ok, p, 1), 1), o->lanes);
  if (o->stride == 1) return n ? load_masked(l, o, p, n) : load_at(l, o->arr, guarded(l, o, ok, p, o->lanes), o->lanes);
  if (o->stride == 2 && !n && is_true(ok) && o->lanes % 2 == 0) return load_even(l, o, p);
  return load_strided(l, o, p, ok, n);
}
val ll_load(struct ll *l, const struct kir_op *o)
{
  if (o->elem != o->arr->elem) {
    ll_fail(l, "a load of %s from %s, which holds %s", ir_elem_name(o->elem), o->arr->name, ir_elem_name(o->arr->elem));
    return LLVMGetPoison(ll_vec(ll_elem_type(l, o->elem), o->lanes));
  }
  return ll_from_storage(l, o->elem, load_storage(l, o));
}

/* ---- stores ---- */
struct around { LLVMBasicBlockRef end; };
static struct around if_begin(struct ll *l, val ok)
{
  struct around a = { NULL };
  if (is_true(ok)) return a;
  LLVMBasicBlockRef yes = ll_block(l, "");
  a.end = ll_block(l, "");
  LLVMBuildCondBr(l->b, ok, yes, a.end);
  LLVMPositionBuilderAtEnd(l->b, yes);
  return a;
}
static void if_end(struct ll *l, struct around a)
{
  if (!a.end) return;
  LLVMBuildBr(l->b, a.end);
  LLVMPositionBuilderAtEnd(l->b, a.end);
}
static void store_lane(struct ll *l, const struct kir_op *o, val v, unsigned j, val ok, val p)
{
  struct around a = if_begin(l, ok);
  store_at(l, o->arr, ll_lane(l, v, j), p);
  if_end(l, a);
}
static void store_lanes(struct ll *l, const struct kir_op *o, val v)
{
  for (unsigned j = 0; j < o->lanes; j++) {
    ll_bind(l, l->k->vsym, NULL, j);
    val ok = ll_all_ge0(l, o->ix + 1, o->n_ix - 1), n = active_lanes(l, o, ok);
    store_lane(l, o, v, j, in_lane(l, ok, n, j), ll_addr(l, o->arr, o->ix[0]));
  }
  ll_bind(l, l->k->vsym, NULL, 0);
}
void ll_store(struct ll *l, const struct kir_op *o, val v)
{
  v = ll_to_storage(l, o->arr->elem, v);
  if (ll_like(v, ll_store_type(l, o->arr->elem)) != LLVMTypeOf(v)) {
    ll_fail(l, "a store of another type to %s, which holds %s", o->arr->name, ir_elem_name(o->arr->elem));
    return;
  }
  if (per_lane(l, o)) {
    store_lanes(l, o, v);
    return;
  }
  val ok = ll_all_ge0(l, o->ix + 1, o->n_ix - 1), p = ll_addr(l, o->arr, o->ix[0]), n = active_lanes(l, o, ok);
  if (o->lanes > 1 && o->stride == 1 && n) {
    masked(l, "llvm.masked.store", LLVMTypeOf(v), (val[]){ v, p, ll_int(l->i32, ir_elem_bytes(o->arr->elem)), mask_of(l, n, o->lanes) });
    return;
  }
  if (o->lanes == 1 || o->stride == 0) {
    store_lane(l, o, v, 0, in_lane(l, ok, n, 0), p);
    return;
  }
  struct around a = if_begin(l, n ? ll_int(l->i1, 1) : ok);
  if (o->stride == 1) store_at(l, o->arr, v, p);
  for (unsigned j = 0; o->stride != 1 && j < o->lanes; j++) store_lane(l, o, v, j, n ? in_lane(l, ok, n, j) : ll_int(l->i1, 1), step(l, o->arr, p, (int64_t)j * o->stride));
  if_end(l, a);
}
