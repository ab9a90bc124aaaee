/* Types, and the small functions that a file brings along: only those that its kernel calls, each with what it needs itself. In their texts $F is how a function
 * begins, $T the type, $U its unsigned companion, $N the type's name in the kernel IR, $I and $L the 64-bit integer. */
#include <string.h>
#include "codegen/c.h"

const char *c_type(struct cc *c, enum ir_elem e)
{
  switch (e) {
  case IR_bool: return "bool";
  case IR_i8: return c->d->i8;
  case IR_i16: return "short";
  case IR_i32: return "int";
  case IR_i64: return c->d->i64;
  case IR_u8: return "unsigned char";
  case IR_u16: return "unsigned short";
  case IR_u32: return "unsigned";
  case IR_u64: return c->d->u64;
  case IR_f16: case IR_bf16: case IR_f32: case IR_tf32: return "float";
  case IR_f64: c->f64 = true; return "double";
  default: c_fail(c, "a value of type %s", ir_elem_name(e)); return "int";
  }
}
const char *c_store_type(struct cc *c, enum ir_elem e)
{
  return e == IR_f16 || e == IR_bf16 ? "unsigned short" : e == IR_bool ? "unsigned char" : c_type(c, e);
}
static const char *unsigned_type(struct cc *c, enum ir_elem e)
{
  switch (ir_elem_bits(e)) {
  case 8: return "unsigned char";
  case 16: return "unsigned short";
  case 32: return "unsigned";
  default: return c->d->u64;
  }
}
const char *c_space(const struct cc *c, const struct kir_arr *a) { return a->arg ? c->d->global : c->d->local; }

static const struct c_named *known(const struct cc *c, const char *name)
{
  for (uint32_t i = 0; i < c->help.n; i++)
    if (!strcmp(c->help.v[i].name, name)) return &c->help.v[i];
  return NULL;
}
const char *c_vec(struct cc *c, enum ir_elem e, unsigned lanes, bool stored)
{
  bool half = e == IR_f16 || e == IR_bf16;
  const char *elem = half ? stored ? "u16" : "f32" : e == IR_tf32 ? "f32" : e == IR_bool && stored ? "u8" : ir_elem_name(e);
  const char *type = stored ? c_store_type(c, e) : c_type(c, e), *name = c_printf(c, "%sx%u", elem, lanes);
  unsigned bytes = lanes * (half ? stored ? 2 : 4 : ir_elem_bytes(e)), align = bytes & (0u - bytes);
  if (align > 16) align = 16;
  if (known(c, name)) return name;
  bool cuda = c->d->warps;
  const char *text = cuda ? c_printf(c, "typedef struct __align__(%u) { %s v[%u]; } %s;", align, type, lanes, name)
                          : c_printf(c, "typedef struct { %s v[%u]; } __attribute__((aligned(%u))) %s;", type, lanes, align, name);
  ir_push(c->a, &c->help, ((struct c_named){ text, name }));
  return name;
}

/* name, what it needs, text in both, or in CUDA C and in OpenCL C */
static const struct row { const char *name, *needs, *text, *opencl; bool typed; } rows[] = {
  { "floordiv", NULL, "$F $T floordiv_$N($T a, $T b) { return a/b - (a % b < 0); }", NULL, true },
  { "floormod", NULL, "$F $T floormod_$N($T a, $T b) { $T r = a % b; return r < 0 ? r + b : r; }", NULL, true },
  { "max_f32", NULL, "$F float max_f32(float a, float b) { float r; asm(\"max.NaN.f32 %0, %1, %2;\" : \"=f\"(r) : \"f\"(a), \"f\"(b)); return r; }", NULL, false },
  { "min_f32", NULL, "$F float min_f32(float a, float b) { float r; asm(\"min.NaN.f32 %0, %1, %2;\" : \"=f\"(r) : \"f\"(a), \"f\"(b)); return r; }", NULL, false },
  { "max", NULL, "$F $T max_$N($T a, $T b) { return a > b || a != a ? a : b; }", NULL, true },
  { "min", NULL, "$F $T min_$N($T a, $T b) { return a < b || a != a ? a : b; }", NULL, true },
  { "sign", NULL, "$F $T sign_$N($T x) { return x != x ? x : ($T)((x > 0) - (x < 0)); }", NULL, true },
  { "mod_f32", NULL, "$F float mod_f32(float a, float b) { float r = fmodf(a, b); return r == 0 ? copysignf(0.0f, b) : (r < 0) != (b < 0) ? r + b : r; }",
    "$F float mod_f32(float a, float b) { float r = fmod(a, b); return r == 0 ? copysign(0.0f, b) : (r < 0) != (b < 0) ? r + b : r; }", false },
  { "mod_f64", NULL, "$F double mod_f64(double a, double b) { double r = fmod(a, b); return r == 0 ? copysign(0.0, b) : (r < 0) != (b < 0) ? r + b : r; }", NULL, false },
  { "sigmoid_f32", NULL, "$F float sigmoid_f32(float x) { return 1.0f/(1.0f + expf(-x)); }", "$F float sigmoid_f32(float x) { return 1.0f/(1.0f + exp(-x)); }", false },
  { "sigmoid_f64", NULL, "$F double sigmoid_f64(double x) { return 1.0/(1.0 + exp(-x)); }", NULL, false },
  /* integers: x/0 and x%0 are 0, the most negative number over -1 wraps, % has the divisor's sign */
  { "div", NULL, "$F $T div_$N($T a, $T b) { return b == 0 ? 0 : b == ($T)-1 && ($T)-1 < 0 ? ($T)(0 - ($U)a) : ($T)(a/b); }", NULL, true },
  { "rem", NULL, "$F $T rem_$N($T a, $T b) { $T r = b == 0 || (b == ($T)-1 && ($T)-1 < 0) ? 0 : ($T)(a % b); return r != 0 && (r < 0) != (b < 0) ? ($T)(r + b) : r; }", NULL, true },
  { "shl", NULL, "$F $T shl_$N($T a, $T b) { return ($U)b < 8*sizeof($T) ? ($T)(($U)a << b) : 0; }", NULL, true },
  { "shr", NULL, "$F $T shr_$N($T a, $T b) { return ($U)b < 8*sizeof($T) ? ($T)(a >> b) : a < 0 ? ($T)-1 : 0; }", NULL, true },
  { "ipow", NULL, "$F $T ipow_$N($T a, $T b) { if (b < 0) return a == 1 ? 1 : a == ($T)-1 ? (b & 1 ? ($T)-1 : 1) : 0; $U r = 1, x = ($U)a, n = ($U)b;"
                  " for (; n; n >>= 1, x = ($U)(x*x)) if (n & 1) r = ($U)(r*x); return ($T)r; }", NULL, true },
  /* floats to integers: towards zero, to the nearest that fits, NaN to 0 */
  { "f32_to", NULL, "$F $T f32_to_$N(float x) { return x != x ? 0 : x <= $Af ? $M : x >= $Bf ? $X : ($T)x; }", NULL, true },
  { "f64_to", NULL, "$F $T f64_to_$N(double x) { return x != x ? 0 : x <= $A ? $M : x >= $B ? $X : ($T)x; }", NULL, true },
  { "float_bits", NULL, "$F unsigned float_bits(float x) { return __float_as_uint(x); }", "$F unsigned float_bits(float x) { return as_uint(x); }", false },
  { "bits_float", NULL, "$F float bits_float(unsigned u) { return __uint_as_float(u); }", "$F float bits_float(unsigned u) { return as_float(u); }", false },
  { "double_bits", NULL, "$F $I double_bits(double x) { return __double_as_longlong(x); }", "$F $I double_bits(double x) { return as_long(x); }", false },
  { "bits_double", NULL, "$F double bits_double($I u) { return __longlong_as_double(u); }", "$F double bits_double($I u) { return as_double(u); }", false },
  { "from_f16", "bits_float", "$F float from_f16(unsigned short h) { float x; asm(\"cvt.f32.f16 %0, %1;\" : \"=f\"(x) : \"h\"(h)); return x; }",
    "$F float from_f16(unsigned short h) {\n"
    "  unsigned m = (h & 0x7fffu) << 13, s = (h & 0x8000u) << 16;\n"
    "  return bits_float(s | (m >= 0x0f800000u ? m | 0x7f800000u : as_uint(as_float(m)*5192296858534827628530496329220096.0f)));\n}", false },
  { "to_f16", NULL, "$F unsigned short to_f16(float x) { unsigned short h; asm(\"cvt.rn.f16.f32 %0, %1;\" : \"=h\"(h) : \"f\"(x)); return h; }",
    "$F unsigned short to_f16(float x) {\n"
    "  unsigned u = as_uint(x), s = u & 0x80000000u, a = u ^ s, r;\n"
    "  if (a >= 0x47800000u) r = a > 0x7f800000u ? 0x7e00u : 0x7c00u;\n"
    "  else if (a < 0x38800000u) r = as_uint(as_float(a) + 0.5f) - 0x3f000000u;\n"
    "  else r = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;\n"
    "  return (unsigned short)(r | s >> 16);\n}", false },
  { "f16_round", "from_f16 to_f16", "$F float f16_round(float x) { return from_f16(to_f16(x)); }", NULL, false },
  { "from_bf16", "bits_float", "$F float from_bf16(unsigned short h) { return bits_float((unsigned)h << 16); }", NULL, false },
  { "to_bf16", "float_bits", "$F unsigned short to_bf16(float x) { unsigned u = float_bits(x); return (unsigned short)((x != x ? u | 0x400000u : u + 0x7fffu + (u >> 16 & 1u)) >> 16); }", NULL,
    false },
  { "bf16_round", "from_bf16 to_bf16", "$F float bf16_round(float x) { return from_bf16(to_bf16(x)); }", NULL, false },
  { "tf32_round", "bits_float", "$F float tf32_round(float x) { unsigned u; asm(\"cvt.rna.tf32.f32 %0, %1;\" : \"=r\"(u) : \"f\"(x)); return bits_float(u); }",
    "$F float tf32_round(float x) { return x != x ? x : as_float((as_uint(x) + 0x1000u) & 0xffffe000u); }", false },
  /* f64 through f32 rounded to odd: the second rounding is then the only one */
  { "odd_float", "float_bits bits_float", "$F float odd_float(double x) { float f = (float)x; double back = f; unsigned u = float_bits(f); u -= fabs(back) > fabs(x);"
                                          " return bits_float(u | (back != x && x == x)); }", NULL, false },
  { "pair_f16", NULL, "$F unsigned pair_f16(float a, float b) { unsigned u; asm(\"cvt.rn.f16x2.f32 %0, %1, %2;\" : \"=r\"(u) : \"f\"(b), \"f\"(a)); return u; }", NULL, false },
  { "pair_bf16", NULL, "$F unsigned pair_bf16(float a, float b) { unsigned u; asm(\"cvt.rn.bf16x2.f32 %0, %1, %2;\" : \"=r\"(u) : \"f\"(b), \"f\"(a)); return u; }", NULL, false },
  { "part_f16", "from_f16", "$F float part_f16(unsigned u, int i) { return from_f16((unsigned short)(u >> 16*i)); }", NULL, false },
  { "part_bf16", "from_bf16", "$F float part_bf16(unsigned u, int i) { return from_bf16((unsigned short)(u >> 16*i)); }", NULL, false },
  { "swz", NULL, "$F int swz(int i, int bits, int from, int shift) { return i ^ ((i >> (from + shift) & ((1 << bits) - 1)) << from); }", NULL, false },
  { "shared_address", NULL, "$F unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }", NULL, false },
  { "cp_async", "shared_address",
    "$F void cp_async(void *to, const void *from, bool ok) {\n"
    "  asm volatile(\"cp.async.cg.shared.global [%0], [%1], 16, %2;\" :: \"r\"(shared_address(to)), \"l\"(from), \"r\"(ok ? 16 : 0) : \"memory\");\n}", NULL, false },
  { "cp_async_8", "shared_address",
    "$F void cp_async_8(void *to, const void *from, bool ok) {\n"
    "  asm volatile(\"cp.async.ca.shared.global [%0], [%1], 8, %2;\" :: \"r\"(shared_address(to)), \"l\"(from), \"r\"(ok ? 8 : 0) : \"memory\");\n}", NULL, false },
  { "cp_async_4", "shared_address",
    "$F void cp_async_4(void *to, const void *from, bool ok) {\n"
    "  asm volatile(\"cp.async.ca.shared.global [%0], [%1], 4, %2;\" :: \"r\"(shared_address(to)), \"l\"(from), \"r\"(ok ? 4 : 0) : \"memory\");\n}", NULL, false },
  /* programmatic dependent launch (PTX ISA, griddepcontrol): the next kernel's blocks may come in now, where there are no more of this one than an H100 has multiprocessors; what earlier kernels wrote is there, and read, behind the wait */
  { "start_next_kernel", NULL,
    "$F void start_next_kernel() {\n#if __CUDA_ARCH__ >= 900\n  if (gridDim.x <= 132) asm volatile(\"griddepcontrol.launch_dependents;\");\n#endif\n}", NULL, false },
  { "wait_for_earlier_kernels", NULL,
    "$F void wait_for_earlier_kernels() {\n#if __CUDA_ARCH__ >= 900\n  asm volatile(\"griddepcontrol.wait;\" ::: \"memory\");\n#endif\n}", NULL, false },
  /* wgmma's operands (PTX ISA, matrix descriptor): rows of 128 bytes, swizzled, groups of eight rows 1024 bytes apart */
  { "descriptor", "shared_address",
    "$F unsigned long long descriptor(const void *p) { return (unsigned long long)(shared_address(p) >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62; }", NULL, false },
  { "show_to_descriptors", NULL, "$F void show_to_descriptors() { asm volatile(\"fence.proxy.async.shared::cta;\" ::: \"memory\"); }", NULL, false },
  { "ldmatrix_1", "shared_address",
    "$F void ldmatrix_1(unsigned *r, const void *row) { asm volatile(\"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];\" : \"=r\"(r[0]) : \"r\"(shared_address(row))); }", NULL, false },
  { "ldmatrix_2", "shared_address",
    "$F void ldmatrix_2(unsigned *r, const void *row) {\n"
    "  asm volatile(\"ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\" : \"=r\"(r[0]), \"=r\"(r[1]) : \"r\"(shared_address(row)) : \"memory\");\n}", NULL, false },
  { "ldmatrix_4", "shared_address",
    "$F void ldmatrix_4(unsigned *r, const void *row) {\n"
    "  asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\" : \"=r\"(r[0]), \"=r\"(r[1]), \"=r\"(r[2]), \"=r\"(r[3]) : \"r\"(shared_address(row)) : \"memory\");\n}",
    NULL, false },
  { "ldmatrix_1t", "shared_address",
    "$F void ldmatrix_1t(unsigned *r, const void *row) {\n"
    "  asm volatile(\"ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];\" : \"=r\"(r[0]) : \"r\"(shared_address(row)) : \"memory\");\n}", NULL, false },
  { "ldmatrix_2t", "shared_address",
    "$F void ldmatrix_2t(unsigned *r, const void *row) {\n"
    "  asm volatile(\"ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\" : \"=r\"(r[0]), \"=r\"(r[1]) : \"r\"(shared_address(row)) : \"memory\");\n}", NULL, false },
  { "ldmatrix_4t", "shared_address",
    "$F void ldmatrix_4t(unsigned *r, const void *row) {\n"
    "  asm volatile(\"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\" : \"=r\"(r[0]), \"=r\"(r[1]), \"=r\"(r[2]), \"=r\"(r[3]) : \"r\"(shared_address(row)) : "
    "\"memory\");\n}", NULL, false },
};

/* Ends of an integer type: what is below $A becomes $M, what is from $B on $X. */
static void ends(struct cc *c, enum ir_elem e, const char *out[4])
{
  unsigned bits = ir_elem_bits(e);
  bool u = ir_elem_class(e) == 'U';
  out[0] = u ? "0.0" : c_printf(c, "-%.1f", (double)(1ull << (bits - 1)));
  out[1] = u ? "0" : bits == 64 ? c_printf(c, "(-9223372036854775807%s - 1)", c->d->i64_suffix) : c_printf(c, "(-%llu - 1)", (1ull << (bits - 1)) - 1);
  out[2] = c_printf(c, "%.1f", u ? 2.0 * (double)(1ull << (bits - 1)) : (double)(1ull << (bits - 1)));
  out[3] = bits == 64 ? c_printf(c, "%s%s%s", u ? "18446744073709551615" : "9223372036854775807", u ? "U" : "", c->d->i64_suffix)
                      : c_printf(c, "%llu%s", u ? (bits == 32 ? 0xffffffffull : (1ull << bits) - 1) : (1ull << (bits - 1)) - 1, u ? "u" : "");
}
static const char *fill(struct cc *c, const char *s, enum ir_elem e)
{
  struct ir_buf b = { 0 };
  const char *end[4] = { "", "", "", "" };
  if (strstr(s, "$A")) ends(c, e, end);
  for (; *s; s++) {
    if (*s != '$') {
      ir_buf_add(&b, s, 1);
      continue;
    }
    const char *t = "";
    switch (*++s) {
    case 'F': t = c->d->function; break;
    case 'T': t = c_type(c, e); break;
    case 'U': t = unsigned_type(c, e); break;
    case 'N': t = ir_elem_name(e); break;
    case 'I': t = c->d->i64; break;
    case 'A': t = end[0]; break;
    case 'M': t = end[1]; break;
    case 'B': t = end[2]; break;
    case 'X': t = end[3]; break;
    default: break;
    }
    ir_buf_add(&b, t, strlen(t));
  }
  const char *r = ir_arena_strndup(c->a, b.s, b.n);
  ir_buf_deinit(&b);
  return r;
}
bool c_is_help(const char *name)
{
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!rows[i].typed && !strcmp(rows[i].name, name)) return true;
  return false;
}
const char *c_help(struct cc *c, const char *name, enum ir_elem e)
{
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *r = &rows[i];
    if (strcmp(r->name, name)) continue;
    const char *full = r->typed ? c_printf(c, "%s_%s", name, ir_elem_name(e)) : name;
    if (known(c, full)) return full;
    for (const char *s = r->needs; s && *s;) {
      size_t n = strcspn(s, " ");
      c_help(c, ir_arena_strndup(c->a, s, n), e);
      s += n + (s[n] == ' ');
    }
    const char *text = fill(c, r->opencl && !c->d->warps ? r->opencl : r->text, e);
    ir_push(c->a, &c->help, ((struct c_named){ text, full }));
    return full;
  }
  c_fail(c, "there is no function %s", name);
  return name;
}
