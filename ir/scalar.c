/* The specification of maps.def: what every scalar function means, in double or in 64-bit integers. */
#include "ir/ir.h"
#include <math.h>

static double nan_min(double a, double b) { return isnan(a) ? a : isnan(b) ? b : a < b || (a == b && signbit(a)) ? a : b; }
static double nan_max(double a, double b) { return isnan(a) ? a : isnan(b) ? b : a > b || (a == b && !signbit(a)) ? a : b; }
static double float_mod(double a, double b)   /* the sign of the divisor, as Python's % */
{
  double r = fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r == 0 ? copysign(0, b) : r;
}
double ir_scalar_f(enum ir_map f, double a, double b, double c)
{
  switch (f) {
  case IR_MAP_abs: return fabs(a);
  case IR_MAP_neg: return -a;
  case IR_MAP_sign: return isnan(a) ? a : (a > 0) - (a < 0);
  case IR_MAP_floor: return floor(a);
  case IR_MAP_ceil: return ceil(a);
  case IR_MAP_round: return nearbyint(a);
  case IR_MAP_exp: return exp(a);
  case IR_MAP_log: return log(a);
  case IR_MAP_sqrt: return sqrt(a);
  case IR_MAP_recip: return 1 / a;
  case IR_MAP_sin: return sin(a);
  case IR_MAP_cos: return cos(a);
  case IR_MAP_tan: return tan(a);
  case IR_MAP_asin: return asin(a);
  case IR_MAP_acos: return acos(a);
  case IR_MAP_atan: return atan(a);
  case IR_MAP_sinh: return sinh(a);
  case IR_MAP_cosh: return cosh(a);
  case IR_MAP_tanh: return tanh(a);
  case IR_MAP_asinh: return asinh(a);
  case IR_MAP_acosh: return acosh(a);
  case IR_MAP_atanh: return atanh(a);
  case IR_MAP_erf: return erf(a);
  case IR_MAP_sigmoid: return 1 / (1 + exp(-a));
  case IR_MAP_not: return a == 0;
  case IR_MAP_isnan: return isnan(a);
  case IR_MAP_isinf: return isinf(a) != 0;
  case IR_MAP_add: return a + b;
  case IR_MAP_sub: return a - b;
  case IR_MAP_mul: return a * b;
  case IR_MAP_div: return a / b;
  case IR_MAP_mod: return float_mod(a, b);
  case IR_MAP_pow: return pow(a, b);
  case IR_MAP_min: return nan_min(a, b);
  case IR_MAP_max: return nan_max(a, b);
  case IR_MAP_eq: return a == b;
  case IR_MAP_lt: return a < b;
  case IR_MAP_le: return a <= b;
  case IR_MAP_select: return a != 0 ? b : c;
  case IR_MAP_and: case IR_MAP_or: case IR_MAP_xor: case IR_MAP_shl: case IR_MAP_shr: case IR_MAP_COUNT: break;
  }
  ir_bug("ir_scalar_f", "function %d has no meaning for floats", (int)f);
}

static int64_t int_pow(int64_t a, int64_t b, bool uns)   /* wraps; a negative exponent gives 0 but for +-1 */
{
  if (b < 0 && !uns) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
  uint64_t r = 1, x = (uint64_t)a;
  for (uint64_t n = (uint64_t)b; n; n >>= 1, x *= x)
    if (n & 1) r *= x;
  return (int64_t)r;
}
static int64_t shift(enum ir_map f, enum ir_elem e, int64_t a, int64_t b)
{
  unsigned bits = ir_elem_bits(e);
  bool sign = ir_elem_class(e) == 'I';
  if (b < 0 || b >= bits) return f == IR_MAP_shr && sign && a < 0 ? -1 : 0;
  return f == IR_MAP_shl ? (int64_t)((uint64_t)a << b) : sign ? a >> b : (int64_t)((uint64_t)a >> b);
}
static int64_t wrapped(enum ir_map f, enum ir_elem e, int64_t a, int64_t b, int64_t c)
{
  uint64_t x = (uint64_t)a, y = (uint64_t)b;
  bool uns = e == IR_u64;               /* smaller unsigned types fit int64_t */
  switch (f) {
  case IR_MAP_abs: return uns ? a : a < 0 ? (int64_t)(0 - x) : a;
  case IR_MAP_neg: return (int64_t)(0 - x);
  case IR_MAP_sign: return uns ? a != 0 : (a > 0) - (a < 0);
  case IR_MAP_floor: case IR_MAP_ceil: case IR_MAP_round: return a;
  case IR_MAP_not: return e == IR_bool ? !a : ~a;
  case IR_MAP_isnan: case IR_MAP_isinf: return 0;
  case IR_MAP_add: return (int64_t)(x + y);
  case IR_MAP_sub: return (int64_t)(x - y);
  case IR_MAP_mul: return (int64_t)(x * y);
  case IR_MAP_div: return b == 0 ? 0 : uns ? (int64_t)(x / y) : b == -1 ? (int64_t)(0 - x) : a / b;
  case IR_MAP_mod: return b == 0 ? 0 : uns ? (int64_t)(x % y) : b == -1 ? 0 : ir_floormod(a, b);
  case IR_MAP_pow: return int_pow(a, b, uns);
  case IR_MAP_min: return uns ? (x < y ? a : b) : a < b ? a : b;
  case IR_MAP_max: return uns ? (x > y ? a : b) : a > b ? a : b;
  case IR_MAP_eq: return a == b;
  case IR_MAP_lt: return uns ? x < y : a < b;
  case IR_MAP_le: return uns ? x <= y : a <= b;
  case IR_MAP_and: return a & b;
  case IR_MAP_or: return a | b;
  case IR_MAP_xor: return a ^ b;
  case IR_MAP_shl: case IR_MAP_shr: return shift(f, e, a, b);
  case IR_MAP_select: return a ? b : c;
  default: return (int64_t)ir_scalar_f(f, (double)a, (double)b, (double)c);   /* exp of an integer and the like: truncated */
  }
}
int64_t ir_scalar_i(enum ir_map f, enum ir_elem e, int64_t a, int64_t b, int64_t c)
{
  int64_t r = wrapped(f, e, a, b, c);
  bool predicate = f == IR_MAP_eq || f == IR_MAP_lt || f == IR_MAP_le || f == IR_MAP_isnan || f == IR_MAP_isinf;
  return predicate ? r : ir_wrap_to(e, r);
}
int64_t ir_wrap_to(enum ir_elem e, int64_t x)
{
  switch (e) {
  case IR_bool: return x != 0;
  case IR_i8: return (int8_t)x;
  case IR_i16: return (int16_t)x;
  case IR_i32: return (int32_t)x;
  case IR_u8: return (uint8_t)x;
  case IR_u16: return (uint16_t)x;
  case IR_u32: return (uint32_t)x;
  default: return x;
  }
}
/* Round to a format with `bits` of significand, least exponent of a subnormal's ulp, and largest finite value; ties as `nearest` has them. */
static double round_bits(double x, int bits, int min_ulp, double max, double nearest(double))
{
  if (x == 0 || !isfinite(x)) return x;
  int e;
  frexp(x, &e);
  int u = e - bits > min_ulp ? e - bits : min_ulp;
  double y = ldexp(nearest(ldexp(x, -u)), u);
  return fabs(y) > max ? copysign(INFINITY, x) : copysign(y, x);
}
double ir_round_to(enum ir_elem e, double x)
{
  switch (e) {
  case IR_f16: return round_bits(x, 11, -24, 65504, nearbyint);
  case IR_bf16: return round_bits(x, 8, -133, 3.3895313892515355e38, nearbyint);
  case IR_tf32: return round_bits(x, 11, -136, 0x1.ffcp127, round);
  case IR_f32: return (float)x;
  default: return x;
  }
}
