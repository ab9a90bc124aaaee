/* Cases as text:   ; data 17      ; sizes n=3 m=8      (one or two such lines)      then the graph */
#include "tests/property/property.h"
#include <ctype.h>
#include <stdlib.h>

char *case_print(const struct kase *k)
{
  struct ir_buf b = { 0 };
  ir_buf_printf(&b, "; data %llu\n", (unsigned long long)k->data);
  for (unsigned i = 0; i < k->n_sizes; i++) {
    ir_buf_printf(&b, "; sizes");
    for (unsigned s = 0; s < k->sizes[i].n; s++) ir_buf_printf(&b, " %s=%lld", k->sizes[i].sym[s].name, (long long)k->sizes[i].sym[s].value);
    ir_buf_printf(&b, "\n");
  }
  ir_buf_printf(&b, "%s", k->text);
  return b.s;
}
static bool parse_sizes(const char *s, const char *end, struct sizes *z)
{
  while (s < end) {
    while (s < end && *s == ' ') s++;
    const char *eq = memchr(s, '=', (size_t)(end - s));
    if (s == end) break;
    if (!eq || z->n == MAX_SYMS || (size_t)(eq - s) >= sizeof z->sym->name) return false;
    memcpy(z->sym[z->n].name, s, (size_t)(eq - s));
    char *after;
    z->sym[z->n++].value = strtoll(eq + 1, &after, 10);
    s = after;
  }
  return true;
}
bool case_parse(const char *s, size_t n, struct kase *out)
{
  const char *end = s + n;
  *out = (struct kase){ .data = 1 };
  for (const char *line = s, *nl; line < end && *line == ';'; line = nl + 1) {
    nl = memchr(line, '\n', (size_t)(end - line));
    if (!nl) break;
    if (!strncmp(line, "; data ", 7)) out->data = strtoull(line + 7, NULL, 10);
    if (strncmp(line, "; sizes", 7)) continue;
    if (out->n_sizes == MAX_SIZES || !parse_sizes(line + 7, nl, &out->sizes[out->n_sizes])) return false;
    out->n_sizes++;
  }
  if (!out->n_sizes) out->n_sizes = 1;
  out->text = strndup(s, n);
  return out->text != NULL;
}
void case_free(struct kase *k)
{
  free(k->text);
  k->text = NULL;
}
struct ir_module *case_module(struct ir_arena *a, const struct kase *k, const char **why)
{
  struct ir_diags *d = IR_NEW(a, struct ir_diags);
  d->file = "case";
  struct ir_module *m = ir_parse(a, d, k->text, strlen(k->text), NULL);
  if (!m) *why = ir_arena_strdup(a, d->first.s ? d->first.s : "does not parse");
  else if (!ir_verify(m, IR_P_IMPORTED, why)) m = NULL;
  return m;
}

/* ---- inputs ---- */
static int64_t size_of(void *arg, const struct ir_sym *s, bool *known)
{
  const struct sizes *z = arg;
  const char *name = s->whole ? s->whole->name : s->name;
  *known = false;
  for (unsigned i = 0; i < z->n; i++)
    if (!strcmp(z->sym[i].name, name)) { *known = true; return z->sym[i].value / (s->whole ? s->whole->by : 1); }
  return 0;
}
static void fill(struct ir_tensor *t, struct rnd r)
{
  char k = ir_elem_class(t->elem);
  for (int64_t i = 0; i < t->n; i++) {
    int64_t v = (int64_t)rnd_below(&r, 17) - 8;
    if (k == 'F') t->f[i] = (double)v / 4;
    else t->i[i] = k == 'B' ? v & 1 : k == 'U' ? (v + 8) / 2 : v / 2;
  }
}
struct ir_tensor **case_inputs(struct ir_arena *a, const struct ir_graph *g, const struct sizes *z, uint64_t data)
{
  struct ir_ix_env env = { .sym = size_of, .arg = (void *)z };
  struct ir_tensor **t = IR_NEWN(a, struct ir_tensor *, g->params.n + 1);
  for (uint32_t i = 0; i < g->params.n; i++) {
    const struct ir_type *ty = g->params.v[i]->type;
    int64_t dim[IR_MAX_RANK];
    for (unsigned d = 0; d < ty->rank; d++)
      if (!ir_ix_eval(ty->dim[d], &env, &dim[d])) return NULL;
    if (!(t[i] = ir_tensor_create(a, ty->elem, ty->rank, dim))) return NULL;
    fill(t[i], (struct rnd){ data * 1000 + i });
  }
  return t;
}
