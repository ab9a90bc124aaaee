/* Transcendentals in f32, for vectors of any length: LLVM would call libm lane by lane, 25 times slower.
 *
 *   function   method                                                                        error, ulp (tests/unit/codegen/test_scalar.c holds them to it)
 *   exp        x = n*ln2 + r, polynomial of degree 7 (Cephes), 2^n in two factors            1
 *   log        m in [sqrt(1/2), sqrt(2)), polynomial of degree 11 (Cephes)                   1
 *   tanh       x + x^3*polynomial below 0.6, 1 - 2/(exp(2x) + 1) beyond (N. Juffa)           2
 *   erf        x*polynomial below 0.93, 1 - exp of a polynomial beyond (N. Juffa)            1.2
 *   sigmoid    e = exp(-|x|): 1/(1+e), or e/(1+e) for negative x                             2
 *   sin, cos   reduction by pi/2 in f64 up to 2^20 quarter turns, beyond that libm           1.6
 *   pow        log2 and exp2 in f64                                                          1
 * Infinities, NaN, signed zeros and subnormals are as C's. */
#include "codegen/llvm.h"

static val k_(val like, double x) { return ll_real(LLVMTypeOf(like), x); }
static val add(struct ll *l, val a, val b) { return LLVMBuildFAdd(l->b, a, b, ""); }
static val sub(struct ll *l, val a, val b) { return LLVMBuildFSub(l->b, a, b, ""); }
static val mul(struct ll *l, val a, val b) { return LLVMBuildFMul(l->b, a, b, ""); }
static val divide(struct ll *l, val a, val b) { return LLVMBuildFDiv(l->b, a, b, ""); }
static val neg(struct ll *l, val a) { return LLVMBuildFNeg(l->b, a, ""); }
static val pick(struct ll *l, val c, val a, val b) { return LLVMBuildSelect(l->b, c, a, b, ""); }
static val cmp(struct ll *l, LLVMRealPredicate p, val a, val b) { return LLVMBuildFCmp(l->b, p, a, b, ""); }
static val unary(struct ll *l, const char *name, val a) { return ll_intrinsic(l, name, LLVMTypeOf(a), &a, 1); }
static val copysign_(struct ll *l, val size, val sign) { return ll_intrinsic(l, "llvm.copysign", LLVMTypeOf(size), (val[]){ size, sign }, 2); }
static val ibin(struct ll *l, LLVMOpcode op, val a, int64_t k) { return LLVMBuildBinOp(l->b, op, a, ll_int(LLVMTypeOf(a), k), ""); }
static val bits(struct ll *l, val v, type scalar) { return LLVMBuildBitCast(l->b, v, ll_like(v, scalar), ""); }
/* clamps that let NaN through: a comparison with NaN is false, and x is what stays */
static val at_least(struct ll *l, val x, double lo) { return pick(l, cmp(l, LLVMRealOGT, k_(x, lo), x), k_(x, lo), x); }
static val at_most(struct ll *l, val x, double hi) { return pick(l, cmp(l, LLVMRealOLT, k_(x, hi), x), k_(x, hi), x); }
static val horner(struct ll *l, val x, const double *c, unsigned n)          /* c[0]*x^(n-1) + .. + c[n-1] */
{
  val r = k_(x, c[0]);
  for (unsigned i = 1; i < n; i++) r = ll_mad(l, r, x, k_(x, c[i]));
  return r;
}
#define POLY(l, x, ...) horner(l, x, (const double[]){ __VA_ARGS__ }, sizeof((double[]){ __VA_ARGS__ }) / sizeof(double))

/* ---- exp ---- */
static val pow2(struct ll *l, val i) { return bits(l, ibin(l, LLVMShl, ibin(l, LLVMAdd, i, 127), 23), l->f32); }
/* exp(x) = p * 2^i */
static val exp_parts(struct ll *l, val x, val *i)
{
  val big = k_(x, 0x1.8p23), t = ll_mad(l, x, k_(x, 0x1.715476p+0), big), n = sub(l, t, big);       /* the low bits of t count n */
  val r = ll_mad(l, n, k_(x, -0x1.63p-1), x);
  r = ll_mad(l, n, k_(x, 2.12194440e-4), r);
  val p = POLY(l, r, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1);
  *i = ibin(l, LLVMSub, bits(l, t, l->i32), 0x4b400000);
  return add(l, ll_mad(l, p, mul(l, r, r), r), k_(x, 1));
}
static val exp_(struct ll *l, val x)
{
  val i, p = exp_parts(l, at_most(l, at_least(l, x, -104), 89), &i), half = ibin(l, LLVMAShr, i, 1);
  return mul(l, mul(l, p, pow2(l, half)), pow2(l, LLVMBuildSub(l->b, i, half, "")));
}
static val exp_small(struct ll *l, val x)       /* for |x| < 87 */
{
  val i, p = exp_parts(l, x, &i);
  return mul(l, p, pow2(l, i));
}

/* ---- log ---- */
static val log_(struct ll *l, val x)
{
  val tiny = cmp(l, LLVMRealOLT, x, k_(x, 0x1p-126)), y = pick(l, tiny, mul(l, x, k_(x, 0x1p23)), x);
  val b = bits(l, y, l->i32), e = ibin(l, LLVMAShr, ibin(l, LLVMSub, b, 0x3f3504f3), 23);
  val f = sub(l, bits(l, LLVMBuildSub(l->b, b, ibin(l, LLVMShl, e, 23), ""), l->f32), k_(x, 1));
  val n = add(l, LLVMBuildSIToFP(l->b, e, LLVMTypeOf(x), ""), pick(l, tiny, k_(x, -23), k_(x, 0)));
  val z = mul(l, f, f);
  val p = POLY(l, f, 7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1);
  val r = mul(l, mul(l, f, z), p);
  r = ll_mad(l, n, k_(x, -2.12194440e-4), r);
  r = ll_mad(l, z, k_(x, -0.5), r);
  r = add(l, f, r);
  r = ll_mad(l, n, k_(x, 0x1.63p-1), r);
  r = pick(l, cmp(l, LLVMRealOLT, x, k_(x, __builtin_inf())), r, x);       /* +inf and NaN are their own logarithm */
  r = pick(l, cmp(l, LLVMRealOLT, x, k_(x, 0)), k_(x, __builtin_nan("")), r);
  return pick(l, cmp(l, LLVMRealOEQ, x, k_(x, 0)), k_(x, -__builtin_inf()), r);
}

/* ---- tanh, erf, sigmoid ---- */
static val tanh_(struct ll *l, val x)
{
  val a = unary(l, "llvm.fabs", x), e = exp_small(l, at_most(l, add(l, a, a), 20));       /* tanh(10) rounds to 1 */
  val far = sub(l, k_(x, 1), divide(l, k_(x, 2), add(l, e, k_(x, 1)))), s = mul(l, x, x);
  val near = mul(l, POLY(l, s, 1.57394409e-2, -5.23025580e-2, 1.33152470e-1, -3.33327681e-1), s);
  return pick(l, cmp(l, LLVMRealOLT, a, k_(x, 0.6)), ll_mad(l, near, x, x), copysign_(l, far, x));
}
static val erf_(struct ll *l, val x)
{
  val a = unary(l, "llvm.fabs", x), t = at_most(l, a, 4), s = mul(l, t, t);       /* erf(4) rounds to 1 */
  val r = POLY(l, t, -1.72853470e-5, 3.83197126e-4), u = POLY(l, t, -3.88396438e-3, 2.42546219e-2);
  r = ll_mad(l, r, s, u);
  r = ll_mad(l, r, t, k_(x, -1.06777877e-1));
  r = ll_mad(l, r, t, k_(x, -6.34846687e-1));
  r = ll_mad(l, r, t, k_(x, -1.28717512e-1));
  r = ll_mad(l, r, t, neg(l, t));
  val far = copysign_(l, sub(l, k_(x, 1), exp_small(l, r)), x);
  val near = POLY(l, s, -5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1);
  return pick(l, cmp(l, LLVMRealOLT, a, k_(x, 0.927734375)), ll_mad(l, near, x, x), far);
}
static val sigmoid_(struct ll *l, val x)
{
  val e = exp_(l, neg(l, unary(l, "llvm.fabs", x)));
  return divide(l, pick(l, cmp(l, LLVMRealOLT, x, k_(x, 0)), e, k_(x, 1)), add(l, e, k_(x, 1)));
}

/* ---- sin, cos ---- */
static val call_lanes(struct ll *l, const char *name, val x)
{
  val fn = LLVMGetNamedFunction(l->m, name);
  type sig = LLVMFunctionType(l->f32, &l->f32, 1, 0);
  if (!fn) fn = LLVMAddFunction(l->m, name, sig);
  val r = LLVMGetPoison(LLVMTypeOf(x));
  unsigned n = ll_lanes(x);
  for (unsigned i = 0; i < n; i++) {
    val in = ll_lane(l, x, i), out = LLVMBuildCall2(l->b, sig, fn, &in, 1, "");
    r = n == 1 ? out : LLVMBuildInsertElement(l->b, r, out, ll_int(l->i32, i), "");
  }
  return r;
}
static val any_lane(struct ll *l, val c)
{
  return ll_lanes(c) == 1 ? c : ll_intrinsic(l, "llvm.vector.reduce.or", LLVMTypeOf(c), &c, 1);
}
static val sincos_near(struct ll *l, val x, int quarter)       /* sin of x + quarter * pi/2 */
{
  val d = LLVMBuildFPExt(l->b, x, ll_like(x, l->f64), ""), n = unary(l, "llvm.roundeven", mul(l, d, k_(d, 0x1.45f306dc9c883p-1)));
  d = ll_mad(l, n, k_(d, -1.57079632673412561417e+00), d);     /* 33 bits of pi/2: n times it is exact */
  d = ll_mad(l, n, k_(d, -6.07710050650619224932e-11), d);
  val r = LLVMBuildFPTrunc(l->b, d, LLVMTypeOf(x), ""), z = mul(l, r, r);
  val q = ibin(l, LLVMAdd, LLVMBuildFPToSI(l->b, n, ll_like(x, l->i32), ""), quarter);
  val s = ll_mad(l, mul(l, POLY(l, z, -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1), z), r, r);
  val c = ll_mad(l, POLY(l, z, 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2), mul(l, z, z), ll_mad(l, z, k_(x, -0.5), k_(x, 1)));
  val odd = LLVMBuildICmp(l->b, LLVMIntNE, ibin(l, LLVMAnd, q, 1), ll_int(LLVMTypeOf(q), 0), "");
  val sign = ibin(l, LLVMShl, ibin(l, LLVMAnd, q, 2), 30);
  return bits(l, LLVMBuildXor(l->b, bits(l, pick(l, odd, c, s), l->i32), sign, ""), l->f32);
}
static val sincos_(struct ll *l, val x, int quarter, const char *name)
{
  LLVMBasicBlockRef near = ll_block(l, ""), far = ll_block(l, ""), end = ll_block(l, "");
  val big = cmp(l, LLVMRealUGE, unary(l, "llvm.fabs", x), k_(x, 1.6e6));       /* infinities and NaN too */
  LLVMBuildCondBr(l->b, any_lane(l, big), far, near);
  LLVMPositionBuilderAtEnd(l->b, near);
  val a = sincos_near(l, x, quarter);
  LLVMBuildBr(l->b, end);
  LLVMPositionBuilderAtEnd(l->b, far);
  val b = call_lanes(l, name, x);
  LLVMBuildBr(l->b, end);
  LLVMPositionBuilderAtEnd(l->b, end);
  val p = LLVMBuildPhi(l->b, LLVMTypeOf(x), "");
  LLVMAddIncoming(p, &a, &near, 1);
  LLVMAddIncoming(p, &b, &far, 1);
  return p;
}

/* ---- pow ---- */
static val log2_f64(struct ll *l, val d)      /* of a float's magnitude, which is normal in f64: 1e-12; 0 -> -inf, inf and NaN themselves */
{
  val b = bits(l, d, l->i64), e = ibin(l, LLVMAShr, ibin(l, LLVMSub, b, 0x3fe6a09e667f3bcd), 52);
  val m = bits(l, LLVMBuildSub(l->b, b, ibin(l, LLVMShl, e, 52), ""), l->f64);
  val s = divide(l, sub(l, m, k_(d, 1)), add(l, m, k_(d, 1))), z = mul(l, s, s);
  val p = POLY(l, z, 1. / 17, 1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1);
  val n = LLVMBuildSIToFP(l->b, LLVMBuildTrunc(l->b, e, ll_like(d, l->i32), ""), LLVMTypeOf(d), "");
  val r = ll_mad(l, mul(l, s, p), k_(d, 2 * 1.4426950408889634), n);
  r = pick(l, cmp(l, LLVMRealOLT, d, k_(d, __builtin_inf())), r, d);
  return pick(l, cmp(l, LLVMRealOEQ, d, k_(d, 0)), k_(d, -__builtin_inf()), r);
}
static val exp2_f64(struct ll *l, val t)
{
  t = at_most(l, at_least(l, t, -200), 200);
  val big = k_(t, 0x1.8p52), s = add(l, t, big), f = mul(l, sub(l, t, sub(l, s, big)), k_(t, 0.69314718055994531));
  val p = POLY(l, f, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1);
  val n = ibin(l, LLVMSub, bits(l, s, l->i64), 0x4338000000000000);
  return mul(l, p, bits(l, ibin(l, LLVMShl, ibin(l, LLVMAdd, n, 1023), 52), l->f64));
}
static val pow_(struct ll *l, val x, val y)
{
  val d = LLVMBuildFPExt(l->b, x, ll_like(x, l->f64), ""), e = LLVMBuildFPExt(l->b, y, LLVMTypeOf(d), "");
  val lg = log2_f64(l, unary(l, "llvm.fabs", d)), t = pick(l, cmp(l, LLVMRealOEQ, lg, k_(d, 0)), k_(d, 0), mul(l, e, lg));    /* |x| = 1, whatever y */
  val r = LLVMBuildFPTrunc(l->b, exp2_f64(l, t), LLVMTypeOf(x), "");
  val whole = cmp(l, LLVMRealOEQ, unary(l, "llvm.floor", y), y), h = mul(l, y, k_(y, 0.5));
  val odd = LLVMBuildAnd(l->b, whole, cmp(l, LLVMRealUNE, unary(l, "llvm.floor", h), h), "");
  r = pick(l, odd, copysign_(l, r, x), r);
  val finite_neg = LLVMBuildAnd(l->b, cmp(l, LLVMRealOLT, x, k_(x, 0)), cmp(l, LLVMRealONE, x, k_(x, -__builtin_inf())), "");
  r = pick(l, LLVMBuildAnd(l->b, finite_neg, LLVMBuildNot(l->b, whole, ""), ""), k_(x, __builtin_nan("")), r);
  return pick(l, cmp(l, LLVMRealOEQ, y, k_(y, 0)), k_(x, 1), r);
}
/* Exponents that models write as constants. */
static bool const_exponent(val y, double *out)
{
  if (!LLVMIsConstant(y)) return false;
  if (ll_lanes(y) > 1) y = LLVMGetAggregateElement(y, 0);
  LLVMBool lossy;
  if (!y || !LLVMIsAConstantFP(y)) return false;
  *out = LLVMConstRealGetDouble(y, &lossy);
  return true;
}
static val pow_special(struct ll *l, val x, val y)
{
  double k;
  if (!const_exponent(y, &k)) return NULL;
  if (k == 1) return x;
  if (k == 2) return mul(l, x, x);
  if (k == 3) return mul(l, mul(l, x, x), x);
  return k == -1 ? divide(l, k_(x, 1), x) : NULL;
}

val ll_math(struct ll *l, enum ir_map f, val a, val b)
{
  switch (f) {
  case IR_MAP_exp: return exp_(l, a);
  case IR_MAP_log: return log_(l, a);
  case IR_MAP_tanh: return tanh_(l, a);
  case IR_MAP_erf: return erf_(l, a);
  case IR_MAP_sigmoid: return sigmoid_(l, a);
  case IR_MAP_sin: return sincos_(l, a, 0, "sinf");
  case IR_MAP_cos: return sincos_(l, a, 1, "cosf");
  case IR_MAP_pow: {
    val r = pow_special(l, a, b);
    return r ? r : pow_(l, a, b);
  }
  default: return NULL;
  }
}
