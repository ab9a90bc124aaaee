#include "runtime/core/json.h"

/* Length of the UTF-8 sequence at s (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing behind U+10FFFF); 0: none. */
static size_t sequence(const unsigned char *s, size_t n)
{
  unsigned char lo = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80, hi = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
  size_t k = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
  if (!k || k > n) return 0;
  for (size_t i = 1; i < k; i++, lo = 0x80, hi = 0xbf)
    if (s[i] < lo || s[i] > hi) return 0;
  return k;
}
void massrt_json_string(void (*put)(void *arg, const char *p, size_t n), void *arg, const char *s, size_t n)
{
  static const char hex[] = "0123456789abcdef";
  put(arg, "\"", 1);
  while (n) {
    const unsigned char c = (unsigned char)*s;
    const char control[] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
    size_t k = sequence((const unsigned char *)s, n);
    if (c == '"' || c == '\\') put(arg, "\\", 1);
    if (!k) put(arg, "\\ufffd", 6);
    else if (c < ' ') put(arg, control, sizeof control);
    else put(arg, s, k);
    s += k ? k : 1;
    n -= k ? k : 1;
  }
  put(arg, "\"", 1);
}
