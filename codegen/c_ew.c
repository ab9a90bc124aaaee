/* Scalar functions of maps.def, casts and constants as C expressions. ir/scalar.c says what each means. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "codegen/c.h"

static bool is_float(enum ir_elem e) { return ir_elem_class(e) == 'F'; }
static bool is_half(enum ir_elem e) { return e == IR_f16 || e == IR_bf16; }
static bool is_narrow(enum ir_elem e) { return is_half(e) || e == IR_tf32; }      /* values are floats, rounded */
static bool is_signed(enum ir_elem e) { return ir_elem_class(e) == 'I'; }
static struct c_text call(struct cc *c, const char *f, struct c_text a) { return (struct c_text){ c_printf(c, "%s(%s)", f, a.s), C_ATOM }; }
static struct c_text call2(struct cc *c, const char *f, struct c_text a, struct c_text b) { return (struct c_text){ c_printf(c, "%s(%s, %s)", f, a.s, b.s), C_ATOM }; }
/* Sums and products keep the order they are written in: the right operand is in parentheses unless it binds tighter. */
static struct c_text infix(struct cc *c, const char *op, unsigned prec, struct c_text a, struct c_text b)
{
  return (struct c_text){ c_printf(c, "%s%s%s", c_in(c, a, prec), op, c_in(c, b, prec - 1)), prec };
}
static struct c_text as(struct cc *c, const char *type, struct c_text a) { return (struct c_text){ c_printf(c, "(%s)%s", type, c_in(c, a, C_UNARY)), C_UNARY }; }
static struct c_text choose(struct cc *c, struct c_text p, struct c_text a, struct c_text b)
{
  return (struct c_text){ c_printf(c, "%s ? %s : %s", c_in(c, p, C_OR), c_in(c, a, C_COND), c_in(c, b, C_COND)), C_COND };
}

/* ---- constants ---- */
static const char *number(struct cc *c, double x, bool f32)
{
  char s[64];
  for (int digits = f32 ? 6 : 15; digits <= 17; digits++) {
    snprintf(s, sizeof s, "%.*g", digits, x);
    if (f32 ? (float)strtod(s, NULL) == (float)x : strtod(s, NULL) == x) break;
  }
  return c_printf(c, "%s%s%s", s, strpbrk(s, ".e") ? "" : ".0", f32 ? "f" : "");
}
struct c_text c_const(struct cc *c, enum ir_elem e, double f, int64_t i)
{
  if (e == IR_bool) return (struct c_text){ i ? "true" : "false", C_ATOM };
  if (is_float(e)) {
    f = ir_round_to(e, f);
    bool f32 = e != IR_f64;
    if (isnan(f)) return (struct c_text){ f32 ? c->d->nan : c_printf(c, "(double)%s", c->d->nan), f32 ? C_ATOM : C_UNARY };
    if (isinf(f)) return (struct c_text){ c_printf(c, "%s%s%s", f < 0 ? "-" : "", f32 ? "" : "(double)", c->d->inf), f < 0 || !f32 ? C_UNARY : C_ATOM };
    return (struct c_text){ number(c, f, f32), signbit(f) ? C_UNARY : C_ATOM };
  }
  i = ir_wrap_to(e, i);
  if (e == IR_u64) return (struct c_text){ c_printf(c, "%lluU%s", (unsigned long long)i, c->d->i64_suffix), C_ATOM };
  if (e == IR_u32) return (struct c_text){ c_printf(c, "%lluu", (unsigned long long)i), C_ATOM };
  const char *sfx = e == IR_i64 ? c->d->i64_suffix : "";
  if ((e == IR_i64 && i == INT64_MIN) || (e == IR_i32 && i == INT32_MIN)) return (struct c_text){ c_printf(c, "-%lld%s - 1", (long long)-(i + 1), sfx), C_ADD };
  return (struct c_text){ c_printf(c, "%lld%s", (long long)i, sfx), i < 0 ? C_UNARY : C_ATOM };
}

/* ---- floats ---- */
static const char *libm(struct cc *c, enum ir_map f, bool f64)
{
  static const char *const names[IR_MAP_COUNT] = {
    [IR_MAP_abs] = "fabs", [IR_MAP_floor] = "floor", [IR_MAP_ceil] = "ceil", [IR_MAP_round] = "rint", [IR_MAP_exp] = "exp", [IR_MAP_log] = "log", [IR_MAP_sqrt] = "sqrt",
    [IR_MAP_sin] = "sin", [IR_MAP_cos] = "cos", [IR_MAP_tan] = "tan", [IR_MAP_asin] = "asin", [IR_MAP_acos] = "acos", [IR_MAP_atan] = "atan", [IR_MAP_sinh] = "sinh",
    [IR_MAP_cosh] = "cosh", [IR_MAP_tanh] = "tanh", [IR_MAP_asinh] = "asinh", [IR_MAP_acosh] = "acosh", [IR_MAP_atanh] = "atanh", [IR_MAP_erf] = "erf", [IR_MAP_pow] = "pow"
  };
  return !names[f] ? NULL : c->d->f_suffix && !f64 ? c_printf(c, "%sf", names[f]) : names[f];
}
static struct c_text ew_float(struct cc *c, enum ir_map f, enum ir_elem e, const struct c_text *a)
{
  enum ir_elem t = e == IR_f64 ? e : IR_f32;
  struct c_text zero = c_const(c, t, 0, 0), one = c_const(c, t, 1, 0);
  const char *m = libm(c, f, t == IR_f64);
  switch (f) {
  case IR_MAP_neg: return (struct c_text){ c_printf(c, "-%s", c_in(c, a[0], C_ATOM)), C_UNARY };
  case IR_MAP_sign: return call(c, c_help(c, "sign", t), a[0]);
  case IR_MAP_recip: return infix(c, "/", C_MUL, one, a[0]);
  case IR_MAP_not: return choose(c, infix(c, " == ", C_EQ, a[0], zero), one, zero);
  case IR_MAP_isnan: return infix(c, " != ", C_EQ, a[0], a[0]);
  case IR_MAP_isinf: return infix(c, " == ", C_EQ, call(c, libm(c, IR_MAP_abs, t == IR_f64), a[0]), c_const(c, t, INFINITY, 0));
  case IR_MAP_sigmoid: return call(c, c_help(c, t == IR_f64 ? "sigmoid_f64" : "sigmoid_f32", t), a[0]);
  case IR_MAP_add: return infix(c, " + ", C_ADD, a[0], a[1]);
  case IR_MAP_sub: return infix(c, " - ", C_ADD, a[0], a[1]);
  case IR_MAP_mul: return infix(c, "*", C_MUL, a[0], a[1]);
  case IR_MAP_div: return infix(c, "/", C_MUL, a[0], a[1]);
  case IR_MAP_mod: return call2(c, c_help(c, t == IR_f64 ? "mod_f64" : "mod_f32", t), a[0], a[1]);
  case IR_MAP_min: return call2(c, c_help(c, t == IR_f32 && c->d->warps ? "min_f32" : "min", t), a[0], a[1]);
  case IR_MAP_max: return call2(c, c_help(c, t == IR_f32 && c->d->warps ? "max_f32" : "max", t), a[0], a[1]);
  case IR_MAP_eq: return infix(c, " == ", C_EQ, a[0], a[1]);
  case IR_MAP_lt: return infix(c, " < ", C_CMP, a[0], a[1]);
  case IR_MAP_le: return infix(c, " <= ", C_CMP, a[0], a[1]);
  case IR_MAP_select: return choose(c, a[0], a[1], a[2]);
  case IR_MAP_pow: return call2(c, m, a[0], a[1]);
  default: break;
  }
  if (m) return call(c, m, a[0]);
  c_fail(c, "function %d has no meaning for floats", (int)f);
  return a[0];
}

/* ---- integers: unsigned arithmetic, since a signed overflow is undefined in C ---- */
static struct c_text wrap(struct cc *c, const char *op, unsigned prec, enum ir_elem e, struct c_text a, struct c_text b)
{
  const char *u = e == IR_i64 || e == IR_u64 ? c->d->u64 : "unsigned";
  bool already = e == IR_u32 || e == IR_u64;
  struct c_text r = infix(c, op, prec, already ? a : as(c, u, a), already ? b : as(c, u, b));
  return already ? r : as(c, c_type(c, e), r);
}
static struct c_text ew_int(struct cc *c, enum ir_map f, enum ir_elem e, const struct c_text *a)
{
  bool s = is_signed(e);
  const char *t = c_type(c, e);
  struct c_text zero = c_const(c, e, 0, 0);
  switch (f) {
  case IR_MAP_abs: return s ? choose(c, infix(c, " < ", C_CMP, a[0], zero), wrap(c, " - ", C_ADD, e, zero, a[0]), a[0]) : a[0];
  case IR_MAP_neg: return wrap(c, " - ", C_ADD, e, zero, a[0]);
  case IR_MAP_sign: return call(c, c_help(c, "sign", e), a[0]);
  case IR_MAP_floor: case IR_MAP_ceil: case IR_MAP_round: return a[0];
  case IR_MAP_not: return as(c, t, (struct c_text){ c_printf(c, "~%s", c_in(c, a[0], C_ATOM)), C_UNARY });
  case IR_MAP_isnan: case IR_MAP_isinf: return (struct c_text){ "false", C_ATOM };
  case IR_MAP_add: return wrap(c, " + ", C_ADD, e, a[0], a[1]);
  case IR_MAP_sub: return wrap(c, " - ", C_ADD, e, a[0], a[1]);
  case IR_MAP_mul: return wrap(c, "*", C_MUL, e, a[0], a[1]);
  case IR_MAP_div: return call2(c, c_help(c, "div", e), a[0], a[1]);
  case IR_MAP_mod: return call2(c, c_help(c, "rem", e), a[0], a[1]);
  case IR_MAP_pow: return call2(c, c_help(c, "ipow", e), a[0], a[1]);
  case IR_MAP_min: return call2(c, c_help(c, "min", e), a[0], a[1]);
  case IR_MAP_max: return call2(c, c_help(c, "max", e), a[0], a[1]);
  case IR_MAP_eq: return infix(c, " == ", C_EQ, a[0], a[1]);
  case IR_MAP_lt: return infix(c, " < ", C_CMP, a[0], a[1]);
  case IR_MAP_le: return infix(c, " <= ", C_CMP, a[0], a[1]);
  case IR_MAP_and: return infix(c, " & ", C_BAND, a[0], a[1]);
  case IR_MAP_or: return infix(c, " | ", C_BOR, a[0], a[1]);
  case IR_MAP_xor: return infix(c, " ^ ", C_XOR, a[0], a[1]);
  case IR_MAP_shl: return call2(c, c_help(c, "shl", e), a[0], a[1]);
  case IR_MAP_shr: return call2(c, c_help(c, "shr", e), a[0], a[1]);
  case IR_MAP_select: return choose(c, a[0], a[1], a[2]);
  default: {                           /* exp of an integer and the like: through f64, truncated */
    struct c_text x[2] = { c_cast(c, e, IR_f64, a[0]), a[1].s ? c_cast(c, e, IR_f64, a[1]) : a[1] };
    return c_cast(c, IR_f64, e, ew_float(c, f, IR_f64, x));
  }
  }
}
static struct c_text negated(struct cc *c, struct c_text a) { return (struct c_text){ c_printf(c, "!%s", c_in(c, a, C_ATOM)), C_UNARY }; }
/* As integers 0 and 1 whose result is wrapped to "is not 0". */
static struct c_text ew_bool(struct cc *c, enum ir_map f, const struct c_text *a)
{
  switch (f) {
  case IR_MAP_abs: case IR_MAP_neg: case IR_MAP_sign: case IR_MAP_floor: case IR_MAP_ceil: case IR_MAP_round: return a[0];
  case IR_MAP_not: return negated(c, a[0]);
  case IR_MAP_isnan: case IR_MAP_isinf: case IR_MAP_mod: return (struct c_text){ "false", C_ATOM };
  case IR_MAP_add: case IR_MAP_or: case IR_MAP_max: return infix(c, " || ", C_OR, a[0], a[1]);
  case IR_MAP_sub: case IR_MAP_xor: return infix(c, " != ", C_EQ, a[0], a[1]);
  case IR_MAP_mul: case IR_MAP_div: case IR_MAP_and: case IR_MAP_min: return infix(c, " && ", C_AND, a[0], a[1]);
  case IR_MAP_eq: return infix(c, " == ", C_EQ, a[0], a[1]);
  case IR_MAP_lt: return infix(c, " && ", C_AND, negated(c, a[0]), a[1]);
  case IR_MAP_le: return infix(c, " || ", C_OR, negated(c, a[0]), a[1]);
  case IR_MAP_pow: return infix(c, " || ", C_OR, a[0], negated(c, a[1]));
  case IR_MAP_select: return choose(c, a[0], a[1], a[2]);
  default: {
    struct c_text x[3] = { c_cast(c, IR_bool, IR_u8, a[0]), a[1].s ? c_cast(c, IR_bool, IR_u8, a[1]) : a[1], { NULL, C_ATOM } };
    return c_cast(c, IR_u8, IR_bool, ew_int(c, f, IR_u8, x));
  }
  }
}
static struct c_text rounded(struct cc *c, enum ir_elem e, struct c_text a)
{
  if (!is_narrow(e)) return a;
  struct c_text r = call(c, c_help(c, c_printf(c, "%s_round", ir_elem_name(e)), e), a);
  if (is_half(e)) r.unrounded = a.s;              /* a store rounds */
  return r;
}
struct c_text c_ew(struct cc *c, enum ir_map f, enum ir_elem e, const struct c_text *a)
{
  if (!is_float(e)) return e == IR_bool ? ew_bool(c, f, a) : ew_int(c, f, e, a);
  struct c_text r = ew_float(c, f, e, a);
  bool exact = f == IR_MAP_select || f == IR_MAP_max || f == IR_MAP_min || f == IR_MAP_neg || f == IR_MAP_abs || f == IR_MAP_eq || f == IR_MAP_lt || f == IR_MAP_le || f == IR_MAP_isnan || f == IR_MAP_isinf;
  return exact ? r : rounded(c, e, r);
}
struct c_text c_fma(struct cc *c, enum ir_elem e, const struct c_text *a)
{
  if (!is_float(e)) return ew_int(c, IR_MAP_add, e, (struct c_text[]){ ew_int(c, IR_MAP_mul, e, a), a[2] });
  const char *f = e == IR_f64 || !c->d->f_suffix ? "fma" : "fmaf";
  return rounded(c, e, (struct c_text){ c_printf(c, "%s(%s, %s, %s)", f, a[0].s, a[1].s, a[2].s), C_ATOM });
}

/* ---- casts ---- */
struct c_text c_cast(struct cc *c, enum ir_elem from, enum ir_elem to, struct c_text a)
{
  if (from == to) return a;
  if (to == IR_bool) return infix(c, " != ", C_EQ, a, c_const(c, is_half(from) ? IR_f32 : from, 0, 0));
  if (is_float(from) && is_float(to)) {
    if (to == IR_f64) return as(c, "double", a);
    if (from != IR_f64) return rounded(c, to, a);
    return is_narrow(to) ? rounded(c, to, call(c, c_help(c, "odd_float", from), a)) : as(c, "float", a);
  }
  if (is_narrow(to)) return ir_elem_bits(from) < 32 ? rounded(c, to, as(c, "float", a)) : c_cast(c, IR_f64, to, as(c, c_type(c, IR_f64), a));
  if (is_float(to)) return as(c, c_type(c, to), a);
  if (is_float(from)) return call(c, c_help(c, from == IR_f64 ? "f64_to" : "f32_to", to), a);
  return as(c, c_type(c, to), a);
}
struct c_text c_from_storage(struct cc *c, enum ir_elem e, struct c_text a)
{
  if (is_half(e)) return call(c, c_help(c, e == IR_f16 ? "from_f16" : "from_bf16", e), a);
  return e == IR_bool ? infix(c, " != ", C_EQ, a, (struct c_text){ "0", C_ATOM }) : a;
}
struct c_text c_unrounded(struct c_text a) { return a.unrounded ? (struct c_text){ .s = a.unrounded, .prec = C_COND } : a; }
struct c_text c_to_storage(struct cc *c, enum ir_elem e, struct c_text a) { return is_half(e) ? call(c, c_help(c, e == IR_f16 ? "to_f16" : "to_bf16", e), c_unrounded(a)) : a; }
/* The same bits: 16-bit floats as their words, f32 and f64 through their integers. */
struct c_text c_bits(struct cc *c, enum ir_elem from, enum ir_elem to, struct c_text a)
{
  if (from == to) return a;
  if (is_half(from)) a = c_to_storage(c, from, a);
  else if (is_float(from)) a = call(c, c_help(c, from == IR_f64 ? "double_bits" : "float_bits", from), a);
  if (is_half(to)) return c_from_storage(c, to, as(c, "unsigned short", a));
  if (is_float(to)) return call(c, c_help(c, to == IR_f64 ? "bits_double" : "bits_float", to), a);
  return as(c, c_type(c, to), a);
}
