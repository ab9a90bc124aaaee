/* Codes are canonical: of each length, in the order of their symbols, they are consecutive numbers. So a decoder needs no tree, only how many codes there are of
 * each length, and reads bit by bit until the number falls within those of its length (as Mark Adler's puff does). */
#include "runtime/inflate.h"
#include <string.h>

enum { MAX_BITS = 15, LITERALS = 288, DISTANCES = 30, LENGTH_CODES = 19, END_OF_BLOCK = 256 };
struct stream { const uint8_t *p, *end; uint64_t bits; unsigned n_bits; bool bad; uint8_t *out; size_t at, size; };
struct code { uint16_t count[MAX_BITS + 1], symbol[LITERALS]; };

static unsigned take(struct stream *s, unsigned k)      /* k <= 16 bits, the first lowest; 0 and s->bad behind the end */
{
  while (s->n_bits < k && s->p < s->end) { s->bits |= (uint64_t)*s->p++ << s->n_bits; s->n_bits += 8; }
  if (s->n_bits < k) { s->bad = true; return 0; }
  unsigned v = (unsigned)(s->bits & ((1u << k) - 1));
  s->bits >>= k;
  s->n_bits -= k;
  return v;
}
/* False: more codes than there is room for. */
static bool make_code(struct code *c, const uint8_t *length, unsigned n)
{
  uint16_t at[MAX_BITS + 1] = { 0 };
  int left = 1;
  memset(c, 0, sizeof *c);
  for (unsigned i = 0; i < n; i++) c->count[length[i]]++;
  c->count[0] = 0;
  for (unsigned k = 1; k <= MAX_BITS; k++) {
    left = left * 2 - c->count[k];
    if (left < 0) return false;
    if (k < MAX_BITS) at[k + 1] = (uint16_t)(at[k] + c->count[k]);
  }
  for (unsigned i = 0; i < n; i++)
    if (length[i]) c->symbol[at[length[i]]++] = (uint16_t)i;
  return true;
}
static unsigned decode(struct stream *s, const struct code *c)
{
  int code = 0, first = 0, index = 0;
  for (unsigned k = 1; k <= MAX_BITS && !s->bad; k++) {
    code |= (int)take(s, 1);
    int count = c->count[k];
    if (code - count < first) return c->symbol[index + code - first];
    index += count;
    first = (first + count) * 2;
    code *= 2;
  }
  s->bad = true;                                        /* an incomplete code, and none of its codes */
  return END_OF_BLOCK;
}
static bool repeat(struct stream *s, size_t distance, size_t n)
{
  if (distance > s->at || n > s->size - s->at) return false;
  for (; n; n--, s->at++) s->out[s->at] = s->out[s->at - distance];       /* may overlap what it writes */
  return true;
}
static bool compressed(struct stream *s, const struct code *literals, const struct code *distances)
{
  static const uint16_t length_base[] = { 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258 },
                        distance_base[] = { 1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };
  static const uint8_t length_bits[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
  for (;;) {
    unsigned v = decode(s, literals);
    if (s->bad) return false;
    if (v == END_OF_BLOCK) return true;
    if (v < END_OF_BLOCK) {
      if (s->at == s->size) return false;
      s->out[s->at++] = (uint8_t)v;
      continue;
    }
    v -= END_OF_BLOCK + 1;
    if (v >= sizeof length_bits) return false;
    size_t n = length_base[v] + take(s, length_bits[v]);
    unsigned d = decode(s, distances);
    if (s->bad || d >= DISTANCES) return false;
    size_t distance = distance_base[d] + take(s, d < 4 ? 0 : d / 2 - 1);
    if (s->bad || !repeat(s, distance, n)) return false;
  }
}
static bool fixed_block(struct stream *s)
{
  uint8_t length[LITERALS];
  struct code literals, distances;
  for (unsigned i = 0; i < LITERALS; i++) length[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  make_code(&literals, length, LITERALS);
  memset(length, 5, DISTANCES);
  make_code(&distances, length, DISTANCES);
  return compressed(s, &literals, &distances);
}
static bool dynamic_block(struct stream *s)
{
  static const uint8_t order[LENGTH_CODES] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
  uint8_t length[LITERALS + 32] = { 0 };
  struct code literals, distances;
  unsigned n_literals = take(s, 5) + 257, n_distances = take(s, 5) + 1, n = take(s, 4) + 4;
  if (s->bad || n_literals > 286 || n_distances > DISTANCES) return false;
  for (unsigned i = 0; i < n; i++) length[order[i]] = (uint8_t)take(s, 3);
  if (!make_code(&literals, length, LENGTH_CODES)) return false;
  memset(length, 0, sizeof length);
  for (unsigned i = 0; i < n_literals + n_distances;) {
    unsigned v = decode(s, &literals), times = 1;
    if (s->bad) return false;
    if (v >= 16) {
      if (v == 16 && !i) return false;
      times = v == 16 ? 3 + take(s, 2) : v == 17 ? 3 + take(s, 3) : 11 + take(s, 7);
      v = v == 16 ? length[i - 1] : 0;
    }
    if (s->bad || i + times > n_literals + n_distances) return false;
    while (times--) length[i++] = (uint8_t)v;
  }
  return length[END_OF_BLOCK] && make_code(&literals, length, n_literals) && make_code(&distances, length + n_literals, n_distances) && compressed(s, &literals, &distances);
}
static bool stored_block(struct stream *s)
{
  s->p -= s->n_bits / 8;                                /* whole bytes that were read ahead */
  s->bits = s->n_bits = 0;
  unsigned n = take(s, 16), not_n = take(s, 16);
  if (s->bad || n != (~not_n & 0xffff) || n > (size_t)(s->end - s->p) || n > s->size - s->at) return false;
  memcpy(s->out + s->at, s->p, n);
  s->p += n;
  s->at += n;
  return true;
}
bool massrt_inflate(const uint8_t *p, size_t n, uint8_t *out, size_t out_n)
{
  struct stream s = { .p = p, .end = p + n, .out = out, .size = out_n };
  for (bool last = false; !last;) {
    last = take(&s, 1);
    unsigned kind = take(&s, 2);
    if (s.bad || !(kind == 0 ? stored_block(&s) : kind == 1 ? fixed_block(&s) : kind == 2 && dynamic_block(&s))) return false;
  }
  return s.at == out_n;
}
