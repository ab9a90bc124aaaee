/* Element types: conversion to and from double, sizes of shapes, type text. */
#include "runtime/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const uint8_t massrt_elem_bytes[] = {
#define ELEM(name, bits, class) bits / 8,
#include "runtime/core/elem.def"
#undef ELEM
};
const char *const massrt_elem_name[] = {
#define ELEM(name, bits, class) #name,
#include "runtime/core/elem.def"
#undef ELEM
};
static const char *const classes[] = {
#define ELEM(name, bits, class) #class,
#include "runtime/core/elem.def"
#undef ELEM
};
_Static_assert(sizeof classes / sizeof *classes >= MASSRT_N_ELEMS && MASSRT_F64 + 1 == MASSRT_N_ELEMS, "massrt.h and elem.def agree");
bool massrt_elem_is_float(uint32_t elem) { return *classes[elem] == 'F'; }

/* A binary float of `mant` mantissa bits and 15 - mant exponent bits, IEEE 754 in layout. */
static double small_get(uint16_t h, int mant)
{
  int ebits = 15 - mant, bias = (1 << (ebits - 1)) - 1, e = h >> mant & ((1 << ebits) - 1), m = h & ((1 << mant) - 1);
  double v = e == (1 << ebits) - 1 ? (m ? NAN : INFINITY) : e ? ldexp((1 << mant) + m, e - bias - mant) : ldexp(m, 1 - bias - mant);
  return h >> 15 ? -v : v;
}
static uint16_t small_set(double v, int mant)
{
  int ebits = 15 - mant, bias = (1 << (ebits - 1)) - 1, inf = (1 << ebits) - 1, e;
  uint16_t sign = (uint16_t)(signbit(v) ? 0x8000 : 0);
  v = fabs(v);
  if (isnan(v)) return (uint16_t)(sign | inf << mant | 1 << (mant - 1));
  if (isinf(v)) return (uint16_t)(sign | inf << mant);
  frexp(v, &e);
  e = e - 1 < 1 - bias ? 1 - bias : e - 1;
  double steps = nearbyint(ldexp(v, mant - e));            /* units of the last place: the carry into the exponent comes by itself */
  int64_t bits = v == 0 ? 0 : e + bias > inf ? (int64_t)inf << mant : ((int64_t)(e + bias - 1) << mant) + (int64_t)steps;
  return (uint16_t)(sign | (bits > (int64_t)inf << mant ? (int64_t)inf << mant : bits));
}
double massrt_elem_get(uint32_t elem, const void *p, uint64_t i)
{
#define GET(T) { T v; memcpy(&v, (const char *)p + i * sizeof v, sizeof v); return (double)v; }
  switch (elem) {
  case MASSRT_BOOL: return ((const uint8_t *)p)[i] != 0;
  case MASSRT_I8: GET(int8_t)
  case MASSRT_I16: GET(int16_t)
  case MASSRT_I32: GET(int32_t)
  case MASSRT_I64: GET(int64_t)
  case MASSRT_U8: GET(uint8_t)
  case MASSRT_U16: GET(uint16_t)
  case MASSRT_U32: GET(uint32_t)
  case MASSRT_U64: GET(uint64_t)
  case MASSRT_F32: GET(float)
  case MASSRT_F64: GET(double)
  default: { uint16_t h; memcpy(&h, (const char *)p + i * 2, 2); return small_get(h, elem == MASSRT_F16 ? 10 : 7); }
  }
#undef GET
}
void massrt_elem_set(uint32_t elem, void *p, uint64_t i, double v)
{
#define SET(T, lo, hi) { T w = v != v ? 0 : v <= (double)lo ? lo : v >= (double)hi ? hi : (T)v; memcpy((char *)p + i * sizeof w, &w, sizeof w); return; }
  switch (elem) {
  case MASSRT_BOOL: ((uint8_t *)p)[i] = v != 0; return;
  case MASSRT_I8: SET(int8_t, INT8_MIN, INT8_MAX)
  case MASSRT_I16: SET(int16_t, INT16_MIN, INT16_MAX)
  case MASSRT_I32: SET(int32_t, INT32_MIN, INT32_MAX)
  case MASSRT_I64: SET(int64_t, INT64_MIN, INT64_MAX)
  case MASSRT_U8: SET(uint8_t, 0, UINT8_MAX)
  case MASSRT_U16: SET(uint16_t, 0, UINT16_MAX)
  case MASSRT_U32: SET(uint32_t, 0, UINT32_MAX)
  case MASSRT_U64: SET(uint64_t, 0, UINT64_MAX)
  case MASSRT_F32: { float f = (float)v; memcpy((char *)p + i * 4, &f, 4); return; }
  case MASSRT_F64: memcpy((char *)p + i * 8, &v, 8); return;
  default: { uint16_t h = small_set(v, elem == MASSRT_F16 ? 10 : 7); memcpy((char *)p + i * 2, &h, 2); }
  }
#undef SET
}
bool massrt_shape_bytes(uint32_t elem, uint32_t rank, const int64_t *dim, uint64_t *out_elems, uint64_t *out_bytes)
{
  uint64_t n = 1, limit = (uint64_t)INT64_MAX;
  bool empty = false;
  for (uint32_t i = 0; i < rank; i++) {
    if (dim[i] < 0) return false;
    empty |= dim[i] == 0;
  }
  for (uint32_t i = 0; i < rank && !empty; i++)
    if (__builtin_mul_overflow(n, (uint64_t)dim[i], &n) || n > limit) return false;
  if (empty) n = 0;
  if (n > limit / massrt_elem_bytes[elem]) return false;
  *out_elems = n;
  *out_bytes = n * massrt_elem_bytes[elem];
  return true;
}
char *massrt_type_text(char *out, size_t n, uint32_t elem, uint32_t rank, const int64_t *dim, const char *const *dim_name)
{
  size_t at = (size_t)snprintf(out, n, "%s[", elem < MASSRT_N_ELEMS ? massrt_elem_name[elem] : "?");
  for (uint32_t i = 0; i < rank && at < n; i++) {
    const char *sep = i ? "," : "";
    if (dim[i] >= 0) at += (size_t)snprintf(out + at, n - at, "%s%lld", sep, (long long)dim[i]);
    else at += (size_t)snprintf(out + at, n - at, "%s%s", sep, dim_name && dim_name[i] ? dim_name[i] : "?");
  }
  if (at < n) snprintf(out + at, n - at, "]");
  return out;
}
