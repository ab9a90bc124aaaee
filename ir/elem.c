/* Element types: names, and one element at its little-endian bytes. Exact for every type; halves are widened and narrowed by hand. */
#include "ir/internal.h"
#include <math.h>
#include <string.h>

static const struct { const char *name; unsigned bits; char class; } elems[] = {
#define ELEM(name, bits, class) { #name, bits, #class[0] },
#include "runtime/core/elem.def"
#undef ELEM
};
const char *ir_elem_name(enum ir_elem e) { return elems[e].name; }
unsigned ir_elem_bits(enum ir_elem e) { return elems[e].bits; }
char ir_elem_class(enum ir_elem e) { return elems[e].class; }
static unsigned digits(enum ir_elem e)               /* of a float type's significand, the first one counted */
{
  switch (e) {
  case IR_bf16: return 8;
  case IR_f16: case IR_tf32: return 11;
  case IR_f32: return 24;
  case IR_f64: return 53;
  default: return 0;
  }
}
bool ir_elem_narrower(enum ir_elem e, enum ir_elem than) { return digits(e) && digits(e) < digits(than); }
bool ir_elem_parse(const char *s, size_t n, enum ir_elem *out)
{
  for (unsigned i = 0; i < IR_ELEM_COUNT; i++)
    if (strlen(elems[i].name) == n && !memcmp(elems[i].name, s, n)) { *out = (enum ir_elem)i; return true; }
  return false;
}

/* IEEE binary16 and bfloat16 are both 1 sign bit, `eb` exponent bits, `mb` fraction bits. */
static double widen(uint16_t h, int eb, int mb)
{
  int bias = (1 << (eb - 1)) - 1, e = h >> mb & ((1 << eb) - 1), f = h & ((1 << mb) - 1);
  double x = e == (1 << eb) - 1 ? (f ? NAN : INFINITY) : e ? ldexp((1 << mb) + f, e - bias - mb) : ldexp(f, 1 - bias - mb);
  return h >> 15 ? -x : x;
}
/* x is representable, or an infinity or NaN: ir_round_to came first. */
static uint16_t narrow(double x, int eb, int mb)
{
  int bias = (1 << (eb - 1)) - 1, e;
  uint16_t sign = signbit(x) ? 0x8000 : 0, top = (uint16_t)(((1 << eb) - 1) << mb);
  if (isnan(x)) return sign | top | (uint16_t)(1 << (mb - 1));
  if (isinf(x)) return sign | top;
  if (x == 0) return sign;
  double f = frexp(fabs(x), &e);                     /* f in [0.5, 1) */
  if (e - 1 < 1 - bias) return sign | (uint16_t)ldexp(fabs(x), bias - 1 + mb);
  return sign | (uint16_t)((e - 1 + bias) << mb) | (uint16_t)(ldexp(f, mb + 1) - (1 << mb));
}
void ir_elem_load(enum ir_elem e, const void *p, double *f, int64_t *i)
{
  *f = 0;
  *i = 0;
  switch (e) {
#define INT(name, T) case IR_##name: { T x; memcpy(&x, p, sizeof x); *i = (int64_t)x; *f = (double)x; break; }
  INT(i8, int8_t) INT(i16, int16_t) INT(i32, int32_t) INT(i64, int64_t) INT(u8, uint8_t) INT(u16, uint16_t) INT(u32, uint32_t) INT(u64, uint64_t)
#undef INT
  case IR_bool: *i = *(const unsigned char *)p != 0; *f = (double)*i; break;
  case IR_f16: case IR_bf16: { uint16_t h; memcpy(&h, p, 2); *f = e == IR_f16 ? widen(h, 5, 10) : widen(h, 8, 7); break; }
  case IR_f32: case IR_tf32: { float x; memcpy(&x, p, 4); *f = (double)x; break; }
  case IR_f64: memcpy(f, p, 8); break;
  case IR_ELEM_COUNT: ir_bug("ir_elem_load", "no element type");
  }
}
void ir_elem_store(enum ir_elem e, void *p, double f, int64_t i)
{
  switch (e) {
  case IR_bool: *(unsigned char *)p = i != 0; break;
  case IR_i8: case IR_u8: memcpy(p, &(uint8_t){ (uint8_t)i }, 1); break;
  case IR_i16: case IR_u16: memcpy(p, &(uint16_t){ (uint16_t)i }, 2); break;
  case IR_i32: case IR_u32: memcpy(p, &(uint32_t){ (uint32_t)i }, 4); break;
  case IR_i64: case IR_u64: memcpy(p, &i, 8); break;
  case IR_f16: memcpy(p, &(uint16_t){ narrow(ir_round_to(e, f), 5, 10) }, 2); break;
  case IR_bf16: memcpy(p, &(uint16_t){ narrow(ir_round_to(e, f), 8, 7) }, 2); break;
  case IR_f32: case IR_tf32: memcpy(p, &(float){ (float)ir_round_to(e, f) }, 4); break;
  case IR_f64: memcpy(p, &f, 8); break;
  case IR_ELEM_COUNT: ir_bug("ir_elem_store", "no element type");
  }
}

/* Rounding by bits: half of the last kept place is added, less one where it is even already. */
static uint16_t f32_to_bf16(uint32_t u)
{
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)((u >> 16 & 0x8000) | 0x7fc0);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static uint16_t f32_to_f16(uint32_t u)
{
  uint16_t sign = u >> 16 & 0x8000;
  u &= 0x7fffffff;
  if (u > 0x7f800000) return sign | 0x7e00;
  if (u >= 0x477ff000) return sign | 0x7c00;         /* from 65520 on */
  if (u >= 0x38800000) return sign | (uint16_t)((u + 0xfff + (u >> 13 & 1) - 0x38000000) >> 13);
  float x;                                           /* below 2^-14: a multiple of 2^-24 */
  memcpy(&x, &u, 4);
  return sign | (uint16_t)lrintf(x * 0x1p24f);
}
/* Half of the last kept place is added; the exponent takes the carry, so that what is too large becomes infinite. */
static uint32_t f32_to_tf32(uint32_t u) { return (u & 0x7fffffff) > 0x7f800000 ? u | 0x400000 : (u + 0x1000) & ~0x1fffu; }
void ir_round_floats(enum ir_elem to, const void *from, void *out, int64_t n)
{
  const unsigned char *p = from;
  unsigned char *q = out;
  IR_ASSERT(to == IR_f16 || to == IR_bf16 || to == IR_tf32);
  for (int64_t i = 0; i < n; i++) {
    uint32_t u;
    memcpy(&u, p + 4 * i, 4);
    if (to == IR_tf32) {
      memcpy(q + 4 * i, &(uint32_t){ f32_to_tf32(u) }, 4);
      continue;
    }
    uint16_t h = to == IR_f16 ? f32_to_f16(u) : f32_to_bf16(u);
    memcpy(q + 2 * i, &h, 2);
  }
}
