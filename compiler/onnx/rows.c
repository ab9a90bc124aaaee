/* The table of rows: finding one, or saying why there is none; and the page that lists them. */
#include "compiler/onnx/rows.h"
#include <stdlib.h>
#include <string.h>

static const struct onnx_row rows[] = {
#define ROW(domain, op, since, until, fn, arg) { domain, #op, since, until, fn, arg },
#include "compiler/onnx/rows.def"
#undef ROW
};
static const struct { const char *name, *versions, *reason; } operators[] = {
#define OPERATOR(name, versions, reason) { #name, versions, reason },
#include "compiler/onnx/operators.def"
#undef OPERATOR
};
enum { N_ROWS = sizeof rows / sizeof *rows, N_OPERATORS = sizeof operators / sizeof *operators };

/* The deprecated ones end in "<version>d" and are gone from there on. */
static int gone_since(const char *versions)
{
  size_t n = strlen(versions);
  if (!n || versions[n - 1] != 'd') return ONNX_MAX_OPSET + 1;
  while (n && versions[n - 1] != ' ') n--;
  return atoi(versions + n);
}
const struct onnx_row *onnx_row_find(const char *domain, const char *op, int64_t version, struct ir_arena *a, const char **why)
{
  const struct onnx_row *other = NULL;
  for (unsigned i = 0; i < N_ROWS; i++) {
    if (strcmp(rows[i].op, op) || strcmp(rows[i].domain, domain)) continue;
    if (version >= rows[i].since && version <= rows[i].until) return &rows[i];
    other = &rows[i];
  }
  if (other) {
    *why = !a ? "" : ir_arena_printf(a, "there is no %s in opset %lld; massc knows it from opset %d to %d", op, (long long)version, other->since, other->until);
    return NULL;
  }
  for (unsigned i = 0; i < N_OPERATORS && !*domain; i++)
    if (!strcmp(operators[i].name, op)) { *why = operators[i].reason; return NULL; }
  *why = *domain ? ir_arena_printf(a, "massc knows no such operator of domain \"%s\", and the model has no function of this name", domain) : "there is no such operator in ai.onnx";
  return NULL;
}

/* ---- docs/support.md ---- */
static bool supported(const char *op, int version)
{
  const char *why;
  return onnx_row_find("", op, version, NULL, &why) != NULL;
}
static void version_list(FILE *out, const char *versions)
{
  for (const char *s = versions; *s;) {
    size_t n = strcspn(s, " ");
    fprintf(out, "%s%.*s", s == versions ? "" : ", ", (int)n, s);
    s += n + (s[n] == ' ');
  }
}
void onnx_list_operators(FILE *out)
{
  unsigned have = 0;
  for (unsigned i = 0; i < N_OPERATORS; i++) have += !*operators[i].reason;
  fprintf(out, "# ONNX operators\n\nmassc reads opsets 1 to %d of ai.onnx and knows %u of its %u operators. Model-local functions of any domain are read in place.\n\n", ONNX_MAX_OPSET, have, (unsigned)N_OPERATORS);
  fprintf(out, "This page is written by `gen_support`; edit `compiler/onnx/rows.def` and `operators.def`, not this file.\n\n| operator | opsets that changed it | supported |\n|---|---|---|\n");
  for (unsigned i = 0; i < N_OPERATORS; i++) {
    fprintf(out, "| %s | ", operators[i].name);
    version_list(out, operators[i].versions);
    int last = gone_since(operators[i].versions) - 1;
    if (*operators[i].reason) fprintf(out, " | no: %s |\n", operators[i].reason);
    else fprintf(out, " | opsets %d to %d |\n", atoi(operators[i].versions), last);
  }
  fprintf(out, "\nOf the domain com.microsoft:");
  for (unsigned i = 0, n = 0; i < N_ROWS; i++)
    if (!strcmp(rows[i].domain, "com.microsoft")) fprintf(out, "%s %s", n++ ? "," : "", rows[i].op);
  fprintf(out, ".\n");
}
/* For the tests: a fault in the two lists, or NULL. Every operator has a row for each of its versions, or a reason. */
const char *onnx_check_lists(struct ir_arena *a)
{
  for (unsigned i = 0; i < N_OPERATORS; i++) {
    const char *op = operators[i].name;
    if (i && strcmp(operators[i - 1].name, op) >= 0) return ir_arena_printf(a, "operators.def: %s is out of order", op);
    int end = gone_since(operators[i].versions);
    bool want = !*operators[i].reason;
    for (int v = 1; v <= ONNX_MAX_OPSET + 1; v++)
      if (supported(op, v) != (want && v >= atoi(operators[i].versions) && v < end && v <= ONNX_MAX_OPSET)) return ir_arena_printf(a, "%s, opset %d: rows.def and operators.def disagree", op, v);
  }
  for (unsigned i = 0; i < N_ROWS; i++)
    if (!*rows[i].domain) {
      unsigned k = 0;
      while (k < N_OPERATORS && strcmp(operators[k].name, rows[i].op)) k++;
      if (k == N_OPERATORS) return ir_arena_printf(a, "rows.def: there is no %s", rows[i].op);
    }
  return NULL;
}
