/* Scalar functions of maps.def, casts, folds over lanes. ir/scalar.c says what each means. Functions that llvm_math.c does not expand, and all of f64's, are
 * calls of libm, lane by lane. */
#include <string.h>
#include "codegen/llvm.h"

static bool is_float(enum ir_elem e) { return ir_elem_class(e) == 'F'; }
static bool is_signed(enum ir_elem e) { return ir_elem_class(e) == 'I'; }
static val fcmp(struct ll *l, LLVMRealPredicate p, val a, val b) { return LLVMBuildFCmp(l->b, p, a, b, ""); }
static val icmp(struct ll *l, LLVMIntPredicate p, val a, val b) { return LLVMBuildICmp(l->b, p, a, b, ""); }
static val pick(struct ll *l, val c, val a, val b) { return LLVMBuildSelect(l->b, c, a, b, ""); }
static val same(val like, int64_t k) { return ll_int(LLVMTypeOf(like), k); }
static val real(val like, double x) { return ll_real(LLVMTypeOf(like), x); }
static val unary(struct ll *l, const char *intrinsic, val a) { return ll_intrinsic(l, intrinsic, LLVMTypeOf(a), &a, 1); }

/* ---- calls of libm ---- */
static bool is_double(struct ll *l, val v) { return LLVMTypeOf(v) == ll_like(v, l->f64); }
static val libm(struct ll *l, const char *name, val a, val b)
{
  char full[32];
  snprintf(full, sizeof full, "%s%s", name, is_double(l, a) ? "" : "f");
  type t = is_double(l, a) ? l->f64 : l->f32, sig = LLVMFunctionType(t, (type[]){ t, t }, b ? 2 : 1, 0);
  val fn = LLVMGetNamedFunction(l->m, full);
  if (!fn) {
    fn = LLVMAddFunction(l->m, full, sig);
    ll_attr(l, fn, LLVMAttributeFunctionIndex, "nounwind");
  }
  unsigned n = ll_lanes(a);
  val r = LLVMGetPoison(LLVMTypeOf(a));
  for (unsigned i = 0; i < n; i++) {
    val x = LLVMBuildCall2(l->b, sig, fn, (val[]){ ll_lane(l, a, i), b ? ll_lane(l, b, i) : NULL }, b ? 2 : 1, "");
    r = n == 1 ? x : LLVMBuildInsertElement(l->b, r, x, ll_int(l->i32, i), "");
  }
  return r;
}
static const char *libm_name(enum ir_map f)
{
  switch (f) {
  case IR_MAP_exp: return "exp";
  case IR_MAP_log: return "log";
  case IR_MAP_sin: return "sin";
  case IR_MAP_cos: return "cos";
  case IR_MAP_tan: return "tan";
  case IR_MAP_asin: return "asin";
  case IR_MAP_acos: return "acos";
  case IR_MAP_atan: return "atan";
  case IR_MAP_sinh: return "sinh";
  case IR_MAP_cosh: return "cosh";
  case IR_MAP_tanh: return "tanh";
  case IR_MAP_asinh: return "asinh";
  case IR_MAP_acosh: return "acosh";
  case IR_MAP_atanh: return "atanh";
  case IR_MAP_erf: return "erf";
  case IR_MAP_pow: return "pow";
  default: return NULL;
  }
}

/* ---- floats ---- */
static bool not_nan(val v)         /* a constant that is a number */
{
  if (!LLVMIsConstant(v)) return false;
  if (ll_lanes(v) > 1) v = LLVMGetAggregateElement(v, 0);
  LLVMBool lossy;
  double x = v && LLVMIsAConstantFP(v) ? LLVMConstRealGetDouble(v, &lossy) : __builtin_nan("");
  return x == x;
}
/* maxps gives its second operand when either is NaN: one instruction keeps NaN where the first is known to be a number. The sign of max(-0, 0) is the second's. */
static val minmax(struct ll *l, LLVMRealPredicate p, val a, val b)
{
  if (not_nan(b)) {
    val t = a;
    a = b, b = t;
  }
  val m = pick(l, fcmp(l, p, a, b), a, b);
  return not_nan(a) ? m : pick(l, fcmp(l, LLVMRealUNO, a, a), a, m);
}
static val float_mod(struct ll *l, val a, val b)
{
  val r = libm(l, "fmod", a, b), zero = real(r, 0);
  val wrong = LLVMBuildXor(l->b, fcmp(l, LLVMRealOLT, r, zero), fcmp(l, LLVMRealOLT, b, zero), "");
  val zero_like_b = ll_intrinsic(l, "llvm.copysign", LLVMTypeOf(r), (val[]){ zero, b }, 2);
  return pick(l, fcmp(l, LLVMRealOEQ, r, zero), zero_like_b, pick(l, wrong, LLVMBuildFAdd(l->b, r, b, ""), r));
}
static val float_sign(struct ll *l, val a)
{
  val zero = real(a, 0), s = pick(l, fcmp(l, LLVMRealOGT, a, zero), real(a, 1), pick(l, fcmp(l, LLVMRealOLT, a, zero), real(a, -1), zero));
  return pick(l, fcmp(l, LLVMRealUNO, a, a), a, s);
}
static val double_sigmoid(struct ll *l, val a)
{
  return LLVMBuildFDiv(l->b, real(a, 1), LLVMBuildFAdd(l->b, real(a, 1), libm(l, "exp", LLVMBuildFNeg(l->b, a, ""), NULL), ""), "");
}
static val float_math(struct ll *l, enum ir_map f, val a, val b)
{
  val r = is_double(l, a) ? NULL : ll_math(l, f, a, b);
  if (r) return r;
  if (f == IR_MAP_sigmoid) return double_sigmoid(l, a);
  if (libm_name(f)) return libm(l, libm_name(f), a, b);
  ll_fail(l, "function %d has no meaning for floats", (int)f);
  return a;
}
static val ew_float(struct ll *l, enum ir_map f, val a, val b, val c)
{
  switch (f) {
  case IR_MAP_abs: return unary(l, "llvm.fabs", a);
  case IR_MAP_neg: return LLVMBuildFNeg(l->b, a, "");
  case IR_MAP_sign: return float_sign(l, a);
  case IR_MAP_floor: return unary(l, "llvm.floor", a);
  case IR_MAP_ceil: return unary(l, "llvm.ceil", a);
  case IR_MAP_round: return unary(l, "llvm.roundeven", a);
  case IR_MAP_sqrt: return unary(l, "llvm.sqrt", a);
  case IR_MAP_recip: return LLVMBuildFDiv(l->b, real(a, 1), a, "");
  case IR_MAP_not: return LLVMBuildUIToFP(l->b, fcmp(l, LLVMRealOEQ, a, real(a, 0)), LLVMTypeOf(a), "");
  case IR_MAP_isnan: return fcmp(l, LLVMRealUNO, a, a);
  case IR_MAP_isinf: return fcmp(l, LLVMRealOEQ, unary(l, "llvm.fabs", a), real(a, __builtin_inf()));
  case IR_MAP_add: return LLVMBuildFAdd(l->b, a, b, "");
  case IR_MAP_sub: return LLVMBuildFSub(l->b, a, b, "");
  case IR_MAP_mul: return LLVMBuildFMul(l->b, a, b, "");
  case IR_MAP_div: return LLVMBuildFDiv(l->b, a, b, "");
  case IR_MAP_mod: return float_mod(l, a, b);
  case IR_MAP_min: return minmax(l, LLVMRealOLT, a, b);
  case IR_MAP_max: return minmax(l, LLVMRealOGT, a, b);
  case IR_MAP_eq: return fcmp(l, LLVMRealOEQ, a, b);
  case IR_MAP_lt: return fcmp(l, LLVMRealOLT, a, b);
  case IR_MAP_le: return fcmp(l, LLVMRealOLE, a, b);
  case IR_MAP_select: return pick(l, a, b, c);
  default: return float_math(l, f, a, b);
  }
}

/* ---- integers and bool ---- */
/* A divisor that cannot trap: 1 for 0, and for -1, whose quotient is the negation. */
static val int_div(struct ll *l, bool sign, bool mod, val a, val b)
{
  val zero = same(a, 0), one = same(a, 1), by0 = icmp(l, LLVMIntEQ, b, zero);
  if (!sign) {
    val d = pick(l, by0, one, b);
    return pick(l, by0, zero, mod ? LLVMBuildURem(l->b, a, d, "") : LLVMBuildUDiv(l->b, a, d, ""));
  }
  val by_m1 = icmp(l, LLVMIntEQ, b, same(a, -1)), d = pick(l, LLVMBuildOr(l->b, by0, by_m1, ""), one, b);
  if (!mod) return pick(l, by0, zero, pick(l, by_m1, LLVMBuildNeg(l->b, a, ""), LLVMBuildSDiv(l->b, a, d, "")));
  val r = LLVMBuildSRem(l->b, a, d, "");           /* 0 for both */
  val wrong = LLVMBuildAnd(l->b, icmp(l, LLVMIntNE, r, zero), icmp(l, LLVMIntSLT, LLVMBuildXor(l->b, r, d, ""), zero), "");
  return LLVMBuildAdd(l->b, r, pick(l, wrong, d, zero), "");
}
static val int_shift(struct ll *l, enum ir_map f, bool sign, val a, val b)
{
  unsigned bits = LLVMGetIntTypeWidth(ll_lanes(a) > 1 ? LLVMGetElementType(LLVMTypeOf(a)) : LLVMTypeOf(a));
  val in = icmp(l, LLVMIntULT, b, same(b, bits));
  if (f == IR_MAP_shr && sign) return LLVMBuildAShr(l->b, a, pick(l, in, b, same(b, bits - 1)), "");
  val s = pick(l, in, b, same(b, 0));
  return pick(l, in, f == IR_MAP_shl ? LLVMBuildShl(l->b, a, s, "") : LLVMBuildLShr(l->b, a, s, ""), same(a, 0));
}
static val int_sign(struct ll *l, bool sign, val a)
{
  val p = LLVMBuildZExt(l->b, icmp(l, sign ? LLVMIntSGT : LLVMIntNE, a, same(a, 0)), LLVMTypeOf(a), "");
  return sign ? LLVMBuildAdd(l->b, p, LLVMBuildAShr(l->b, a, same(a, LLVMGetIntTypeWidth(ll_lanes(a) > 1 ? LLVMGetElementType(LLVMTypeOf(a)) : LLVMTypeOf(a)) - 1), ""), "") : p;
}
/* By squaring; a negative exponent gives 0 but for a = +-1. 64 steps at most, as many as the exponent has bits: unrolled for the bits of the type. */
static val int_pow(struct ll *l, bool sign, val a, val b)
{
  unsigned bits = LLVMGetIntTypeWidth(ll_lanes(a) > 1 ? LLVMGetElementType(LLVMTypeOf(a)) : LLVMTypeOf(a));
  val r = same(a, 1), x = a, zero = same(a, 0), one = same(a, 1);
  for (unsigned i = 0; i < bits; i++) {
    val bit = LLVMBuildAnd(l->b, LLVMBuildLShr(l->b, b, same(b, i), ""), one, "");
    r = LLVMBuildMul(l->b, r, pick(l, icmp(l, LLVMIntNE, bit, zero), x, one), "");
    x = LLVMBuildMul(l->b, x, x, "");
  }
  if (!sign) return r;
  val odd = icmp(l, LLVMIntNE, LLVMBuildAnd(l->b, b, one, ""), zero), neg = icmp(l, LLVMIntSLT, b, zero);
  val m1 = pick(l, icmp(l, LLVMIntEQ, a, same(a, -1)), pick(l, odd, same(a, -1), one), zero);
  return pick(l, neg, pick(l, icmp(l, LLVMIntEQ, a, one), one, m1), r);
}
/* exp of an integer and the like: through f64, truncated. */
static val int_as_float(struct ll *l, enum ir_map f, enum ir_elem e, val a, val b)
{
  val x = ll_cast(l, e, IR_f64, a), y = b ? ll_cast(l, e, IR_f64, b) : NULL;
  return ll_cast(l, IR_f64, e, ew_float(l, f, x, y, NULL));
}
static val ew_int(struct ll *l, enum ir_map f, enum ir_elem e, val a, val b, val c)
{
  bool s = is_signed(e);
  switch (f) {
  case IR_MAP_abs: return s ? pick(l, icmp(l, LLVMIntSLT, a, same(a, 0)), LLVMBuildNeg(l->b, a, ""), a) : a;
  case IR_MAP_neg: return LLVMBuildNeg(l->b, a, "");
  case IR_MAP_sign: return int_sign(l, s, a);
  case IR_MAP_floor: case IR_MAP_ceil: case IR_MAP_round: return a;
  case IR_MAP_not: return LLVMBuildNot(l->b, a, "");
  case IR_MAP_isnan: case IR_MAP_isinf: return ll_int(ll_like(a, l->i1), 0);
  case IR_MAP_add: return LLVMBuildAdd(l->b, a, b, "");
  case IR_MAP_sub: return LLVMBuildSub(l->b, a, b, "");
  case IR_MAP_mul: return LLVMBuildMul(l->b, a, b, "");
  case IR_MAP_div: return int_div(l, s, false, a, b);
  case IR_MAP_mod: return int_div(l, s, true, a, b);
  case IR_MAP_pow: return int_pow(l, s, a, b);
  case IR_MAP_min: return pick(l, icmp(l, s ? LLVMIntSLT : LLVMIntULT, a, b), a, b);
  case IR_MAP_max: return pick(l, icmp(l, s ? LLVMIntSGT : LLVMIntUGT, a, b), a, b);
  case IR_MAP_eq: return icmp(l, LLVMIntEQ, a, b);
  case IR_MAP_lt: return icmp(l, s ? LLVMIntSLT : LLVMIntULT, a, b);
  case IR_MAP_le: return icmp(l, s ? LLVMIntSLE : LLVMIntULE, a, b);
  case IR_MAP_and: return LLVMBuildAnd(l->b, a, b, "");
  case IR_MAP_or: return LLVMBuildOr(l->b, a, b, "");
  case IR_MAP_xor: return LLVMBuildXor(l->b, a, b, "");
  case IR_MAP_shl: case IR_MAP_shr: return int_shift(l, f, s, a, b);
  case IR_MAP_select: return pick(l, a, b, c);
  default: return int_as_float(l, f, e, a, b);
  }
}
/* As integers 0 and 1 whose result is wrapped to "is not 0". */
static val ew_bool(struct ll *l, enum ir_map f, val a, val b, val c)
{
  switch (f) {
  case IR_MAP_abs: case IR_MAP_neg: case IR_MAP_sign: case IR_MAP_floor: case IR_MAP_ceil: case IR_MAP_round: return a;
  case IR_MAP_not: return LLVMBuildNot(l->b, a, "");
  case IR_MAP_isnan: case IR_MAP_isinf: return same(a, 0);
  case IR_MAP_add: case IR_MAP_or: case IR_MAP_max: return LLVMBuildOr(l->b, a, b, "");
  case IR_MAP_sub: case IR_MAP_xor: return LLVMBuildXor(l->b, a, b, "");
  case IR_MAP_mul: case IR_MAP_div: case IR_MAP_and: case IR_MAP_min: return LLVMBuildAnd(l->b, a, b, "");
  case IR_MAP_mod: return same(a, 0);
  case IR_MAP_eq: return LLVMBuildNot(l->b, LLVMBuildXor(l->b, a, b, ""), "");
  case IR_MAP_lt: return LLVMBuildAnd(l->b, LLVMBuildNot(l->b, a, ""), b, "");
  case IR_MAP_le: case IR_MAP_pow: return f == IR_MAP_le ? LLVMBuildOr(l->b, LLVMBuildNot(l->b, a, ""), b, "") : LLVMBuildOr(l->b, a, LLVMBuildNot(l->b, b, ""), "");
  case IR_MAP_select: return pick(l, a, b, c);
  default: {
    type t = ll_like(a, l->i8);
    return ll_cast(l, IR_u8, IR_bool, ew_int(l, f, IR_u8, LLVMBuildZExt(l->b, a, t, ""), b ? LLVMBuildZExt(l->b, b, t, "") : NULL, NULL));
  }
  }
}
val ll_ew(struct ll *l, enum ir_map f, enum ir_elem e, val a, val b, val c)
{
  return is_float(e) ? ew_float(l, f, a, b, c) : e == IR_bool ? ew_bool(l, f, a, b, c) : ew_int(l, f, e, a, b, c);
}

val ll_mad(struct ll *l, val a, val b, val c)
{
  if (l->t->fma) return ll_intrinsic(l, "llvm.fma", LLVMTypeOf(a), (val[]){ a, b, c }, 3);
  return LLVMBuildFAdd(l->b, LLVMBuildFMul(l->b, a, b, ""), c, "");
}
val ll_fma(struct ll *l, enum ir_elem e, val a, val b, val c)
{
  return is_float(e) ? ll_mad(l, a, b, c) : ll_ew(l, IR_MAP_add, e, ll_ew(l, IR_MAP_mul, e, a, b, NULL), c, NULL);
}

/* ---- casts ---- */
/* f64 to a narrower format through f32 rounded to odd: truncated, with the last bit set when inexact; the second rounding then is the only one. */
static val double_to_odd_float(struct ll *l, val v)
{
  val f = LLVMBuildFPTrunc(l->b, v, ll_like(v, l->f32), ""), back = LLVMBuildFPExt(l->b, f, LLVMTypeOf(v), "");
  val away = fcmp(l, LLVMRealOGT, unary(l, "llvm.fabs", back), unary(l, "llvm.fabs", v)), inexact = fcmp(l, LLVMRealONE, back, v);
  val bits = LLVMBuildBitCast(l->b, f, ll_like(v, l->i32), "");
  bits = LLVMBuildSub(l->b, bits, LLVMBuildZExt(l->b, away, LLVMTypeOf(bits), ""), "");
  bits = LLVMBuildOr(l->b, bits, LLVMBuildZExt(l->b, inexact, LLVMTypeOf(bits), ""), "");
  return LLVMBuildBitCast(l->b, bits, ll_like(v, l->f32), "");
}
static val float_to_float(struct ll *l, enum ir_elem from, enum ir_elem to, val v)
{
  if (to == IR_f64) return from == IR_f64 ? v : LLVMBuildFPExt(l->b, v, ll_like(v, l->f64), "");
  if (from != IR_f64) return ll_round(l, to, v);
  return to == IR_f32 ? LLVMBuildFPTrunc(l->b, v, ll_like(v, l->f32), "") : ll_round(l, to, double_to_odd_float(l, v));
}
static val int_to_float(struct ll *l, enum ir_elem from, enum ir_elem to, val v)
{
  type t = ll_like(v, to == IR_f32 ? l->f32 : l->f64);
  val r = is_signed(from) ? LLVMBuildSIToFP(l->b, v, t, "") : LLVMBuildUIToFP(l->b, v, t, "");
  return to == IR_f16 || to == IR_bf16 || to == IR_tf32 ? float_to_float(l, IR_f64, to, r) : r;
}
/* Towards zero; what does not fit becomes the nearest that does, NaN 0. */
static val float_to_int(struct ll *l, enum ir_elem to, val v)
{
  const char *name = is_signed(to) ? "llvm.fptosi.sat" : "llvm.fptoui.sat";
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  type t[] = { ll_like(v, ll_elem_type(l, to)), LLVMTypeOf(v) };
  return LLVMBuildCall2(l->b, LLVMIntrinsicGetType(l->c, id, t, 2), LLVMGetIntrinsicDeclaration(l->m, id, t, 2), &v, 1, "");
}
val ll_cast(struct ll *l, enum ir_elem from, enum ir_elem to, val v)
{
  if (from == to) return v;
  if (is_float(from) && is_float(to)) return float_to_float(l, from, to, v);
  if (is_float(to)) return int_to_float(l, from, to, v);
  if (to == IR_bool) return is_float(from) ? fcmp(l, LLVMRealUNE, v, real(v, 0)) : icmp(l, LLVMIntNE, v, same(v, 0));
  if (is_float(from)) return float_to_int(l, to, v);
  return LLVMBuildIntCast2(l->b, v, ll_like(v, ll_elem_type(l, to)), is_signed(from), "");
}

/* ---- folds over lanes ---- */
static enum ir_map red_map(enum kir_red r)
{
  static const enum ir_map m[] = { [KIR_SUM] = IR_MAP_add, [KIR_PROD] = IR_MAP_mul, [KIR_MAX] = IR_MAP_max, [KIR_MIN] = IR_MAP_min, [KIR_AND] = IR_MAP_and, [KIR_OR] = IR_MAP_or };
  return m[r];
}
static val lanes_from(struct ll *l, val v, unsigned at, unsigned n)
{
  val m[256], p = LLVMGetPoison(LLVMTypeOf(v));
  for (unsigned i = 0; i < n; i++) m[i] = ll_int(l->i32, at + i);
  return n == 1 ? ll_lane(l, v, at) : LLVMBuildShuffleVector(l->b, v, p, LLVMConstVector(m, n), "");
}
/* Halves are combined until one lane is left; an odd lane joins the result at once. */
val ll_vred(struct ll *l, enum kir_red r, enum ir_elem e, val v)
{
  val odd = NULL;
  for (unsigned n = ll_lanes(v); n > 1; n /= 2) {
    if (n % 2) {
      val x = ll_lane(l, v, n - 1);
      odd = odd ? ll_round(l, e, ll_ew(l, red_map(r), e, odd, x, NULL)) : x;
    }
    v = ll_round(l, e, ll_ew(l, red_map(r), e, lanes_from(l, v, 0, n / 2), lanes_from(l, v, n / 2, n / 2), NULL));
  }
  return odd ? ll_round(l, e, ll_ew(l, red_map(r), e, v, odd, NULL)) : v;
}
