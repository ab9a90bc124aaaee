/* Seeded weights. Element number i of a tensor is a function of (seed, tensor name, i): a 64-bit mix (splitmix64's finaliser, Steele, Lea and Flood 2014) of a
 * key plus i times the golden ratio, so any range can be made alone and in any order. Normal values are the sum of the mix's four 16-bit parts (Irwin-Hall):
 * near enough to a Gaussian for weights, within 3.5 deviations, and the same bits on every machine, which logarithms and cosines would not promise. */
#include "models/mkmodel.h"
#include <string.h>

static uint64_t mix(uint64_t z)
{
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
uint64_t mk_weight_key(uint64_t seed, const char *name) { return mix(seed * 0x9e3779b97f4a7c15u + ir_hash(name, strlen(name), 17)); }
static uint64_t bits(uint64_t key, int64_t i) { return mix(key + (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u); }
static double normal(uint64_t h)
{
  enum { MEAN = 2 * 65535 };                        /* of the sum; its deviation is sqrt((65536^2 - 1) / 3) */
  int sum = (int)(h & 0xffff) + (int)(h >> 16 & 0xffff) + (int)(h >> 32 & 0xffff) + (int)(h >> 48);
  return (sum - MEAN) * (1.0 / 37837.227);
}
static double unit(uint64_t h) { return (double)(h >> 11) * 0x1p-53; }     /* 0 <= u < 1 */
unsigned mk_elem_bytes(enum mk_elem e)
{
  switch (e) {
  case MK_F32: case MK_I32: return 4;
  case MK_I64: case MK_F64: return 8;
  case MK_U8: case MK_I8: case MK_BOOL: return 1;
  }
  return 0;
}
static double element(const struct mk_weight *w, uint64_t key, int64_t i)
{
  if (w->init == MK_VALUES) return w->values[i].kind == MK_INT ? (double)w->values[i].i : w->values[i].f;
  if (w->a == w->b && w->init == MK_UNIFORM) return w->a;
  return w->init == MK_NORMAL ? w->a + w->b * normal(bits(key, i)) : w->a + (w->b - w->a) * unit(bits(key, i));
}
static int64_t integer(const struct mk_weight *w, uint64_t key, int64_t i)
{
  if (w->init == MK_VALUES && w->values[i].kind == MK_INT) return w->values[i].i;
  double v = element(w, key, i);
  return v > 9e18 ? INT64_MAX : v < -9e18 ? INT64_MIN : (int64_t)__builtin_floor(v);
}
void mk_weight_fill(const struct mk_weight *w, uint64_t key, int64_t first, int64_t n, void *out)
{
  float *f = out;
  double *d = out;
  int64_t *i64 = out;
  int32_t *i32 = out;
  uint8_t *u8 = out;
  switch (w->elem) {
  case MK_F32:
    if (w->init == MK_NORMAL) for (int64_t i = 0; i < n; i++) f[i] = (float)(w->a + w->b * normal(bits(key, first + i)));
    else for (int64_t i = 0; i < n; i++) f[i] = (float)element(w, key, first + i);
    break;
  case MK_F64: for (int64_t i = 0; i < n; i++) d[i] = element(w, key, first + i); break;
  case MK_I64: for (int64_t i = 0; i < n; i++) i64[i] = integer(w, key, first + i); break;
  case MK_I32: for (int64_t i = 0; i < n; i++) i32[i] = (int32_t)integer(w, key, first + i); break;
  case MK_U8: case MK_I8: for (int64_t i = 0; i < n; i++) u8[i] = (uint8_t)integer(w, key, first + i); break;
  case MK_BOOL: for (int64_t i = 0; i < n; i++) u8[i] = integer(w, key, first + i) != 0; break;
  }
}
