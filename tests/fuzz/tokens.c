/* Text: tokens of one member of the corpus are dropped, doubled, swapped, replaced by others of the corpus or by numbers at which code breaks, nested deeply, or
 * joined with another member's end. One in sixteen gets plain noise besides. */
#include "tests/fuzz/fuzz.h"
#include <ctype.h>
#include <string.h>

enum { MAX_TOKENS = 4096 };
struct token { const char *s; unsigned n; };     /* with the blanks before it */

static bool word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }
static unsigned tokenize(const struct ir_buf *b, struct token *t)
{
  unsigned k = 0;
  const char *s = b->s, *end = s + b->n;
  while (s < end && k < MAX_TOKENS) {
    const char *from = s;
    while (s < end && isspace((unsigned char)*s)) s++;
    if (s < end && word(*s)) while (s < end && word(*s)) s++;
    else if (s < end && *s == '"') for (s++; s < end && s[-1] != '\n' && !(*s == '"' && s[-1] != '\\'); s++) ;
    else if (s < end) s++;
    t[k++] = (struct token){ from, (unsigned)(s - from) };
  }
  return k;
}
static void put(struct ir_buf *out, struct token t) { ir_buf_add(out, t.s, t.n); }
static struct token any_token(struct fuzz *f)
{
  const struct ir_buf *b = fuzz_any(f);
  if (!b->n) return (struct token){ " ", 1 };
  size_t at = fuzz_below(f, b->n), end;
  while (at && word(b->s[at]) && word(b->s[at - 1])) at--;
  for (end = at + 1; end < b->n && word(b->s[at]) && word(b->s[end]);) end++;
  return (struct token){ b->s + at, (unsigned)(end - at) };
}
static void change(struct fuzz *f, struct ir_buf *out, const struct token *t, unsigned n, unsigned *i)
{
  static const char *const deep[] = { "(", "[", "{", "((1+", "-(", "min(", "max(0,", "sum[", "<", "%" };
  struct token x = t[*i];
  unsigned other = (unsigned)fuzz_below(f, n);
  switch (fuzz_below(f, 10)) {
  case 0: return;
  case 1: put(out, x); put(out, x); return;
  case 2: put(out, t[other]); return;
  case 3: put(out, any_token(f)); return;
  case 4: ir_buf_printf(out, " %lld", (long long)fuzz_number(f)); return;
  case 5: put(out, x); put(out, any_token(f)); return;
  case 6: if (*i + 1 < n) put(out, t[*i + 1]); put(out, x); ++*i; return;
  case 7:                                                        /* a run of tokens from elsewhere in the text */
    for (unsigned k = 0, m = 1 + (unsigned)fuzz_below(f, 24); k < m && other + k < n; k++) put(out, t[other + k]);
    return;
  case 8: *i += (unsigned)fuzz_below(f, 8); return;              /* a run is dropped */
  default:
    if (!fuzz_chance(f, 8)) { put(out, x); put(out, t[other]); return; }
    const char *d = FUZZ_PICK(f, deep);
    for (size_t k = fuzz_below(f, 2000); k--;) ir_buf_add(out, d, strlen(d));
    put(out, x);
  }
}
void fuzz_text(struct fuzz *f, struct ir_buf *out)
{
  static struct token t[MAX_TOKENS], u[MAX_TOKENS];
  unsigned n = tokenize(fuzz_any(f), t), changes = 1 + (unsigned)fuzz_below(f, fuzz_chance(f, 4) ? 12 : 3);
  if (fuzz_chance(f, 6)) {
    unsigned m = tokenize(fuzz_any(f), u), cut = (unsigned)fuzz_below(f, m + 1);
    n = (unsigned)fuzz_below(f, n + 1);
    while (n < MAX_TOKENS && cut < m) t[n++] = u[cut++];
  }
  for (unsigned i = 0; i < n; i++) {
    if (changes && fuzz_below(f, n - i) < changes) { changes--; change(f, out, t, n, &i); }
    else put(out, t[i]);
  }
  if (fuzz_chance(f, 16)) fuzz_noise(f, out);
}
