/* Layouts: which warp, lane, register and vector place owns which element of a tile. */
#include "ir/kernel/internal.h"
#include <string.h>

/* Names of dims are single letters: their text needs no memory of the caller's. */
static const char letters[52][2] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z",
  "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z" };
static const char *letter(char c)
{
  return c >= 'a' && c <= 'z' ? letters[c - 'a'] : c >= 'A' && c <= 'Z' ? letters[c - 'A' + 26] : NULL;
}

static bool number(const char **s, const char *end, int32_t *out)
{
  int64_t v = 0;
  const char *p = *s;
  for (; p < end && *p >= '0' && *p <= '9'; p++)
    if ((v = v * 10 + (*p - '0')) > INT32_MAX) return false;
  if (p == *s) return false;
  *s = p;
  *out = (int32_t)v;
  return true;
}
/* "14r2" or "1" */
static bool factor(const char **s, const char *end, unsigned dim, struct kir_layout *l)
{
  struct kir_factor f = { .dim = (uint8_t)dim };
  if (!number(s, end, &f.ext)) return false;
  if (*s == end || !strchr("wlrv", **s)) return f.ext == 1;
  f.axis = *(*s)++;
  if (!number(s, end, &f.stride) || f.ext < 1 || f.stride < 1 || l->n == sizeof l->f / sizeof *l->f) return false;
  l->f[l->n++] = f;
  return true;
}
static void blank(const char **s, const char *end) { while (*s < end && **s == ' ') (*s)++; }

bool kir_layout_parse(const char *s, size_t n, struct kir_layout *out)
{
  const char *end = s + n;
  *out = (struct kir_layout){ 0 };
  for (blank(&s, end); s < end; blank(&s, end)) {
    if (out->n_dims) {
      if (*s++ != ',') return false;
      blank(&s, end);
    }
    if (out->n_dims == 4 || end - s < 2 || !letter(*s) || s[1] != '=') return false;
    for (unsigned d = 0; d < out->n_dims; d++)
      if (out->dim[d][0] == *s) return false;
    unsigned d = out->n_dims++;
    out->dim[d] = letter(*s);
    s += 2;
    do
      if (!factor(&s, end, d, out)) return false;
    while (s < end && *s == '.' && s++);
  }
  return true;
}

void kir_layout_print(struct ir_buf *b, const struct kir_layout *l)
{
  for (unsigned d = 0; d < l->n_dims; d++) {
    const char *sep = "";
    ir_buf_printf(b, "%s%s=", d ? ", " : "", l->dim[d]);
    for (unsigned i = 0; i < l->n; i++)
      if (l->f[i].dim == d) {
        ir_buf_printf(b, "%s%d%c%d", sep, l->f[i].ext, l->f[i].axis, l->f[i].stride);
        sep = ".";
      }
    if (!*sep) ir_buf_printf(b, "1");
  }
}

int64_t kir_layout_count(const struct kir_layout *l, char axis)
{
  int64_t c = 1;
  for (unsigned i = 0; i < l->n; i++)
    if (l->f[i].axis == axis) c += (int64_t)(l->f[i].ext - 1) * l->f[i].stride;
  return c;
}
