#include "runtime/core/expr.h"
#include <stdbool.h>

static bool divide(int64_t a, int64_t b, int64_t *out)      /* floor */
{
  if (b < 1) return false;
  *out = a / b - (a % b < 0);
  return true;
}
static bool broadcast(int64_t a, int64_t b, int64_t *out)
{
  *out = a == 1 ? b : a;
  return a == 1 || b == 1 || a == b;
}
static bool value(const struct massrt_expr *x, int64_t a, int64_t b, int64_t *out)
{
  switch (x->op) {
  case MASSRT_X_ADD: return !__builtin_add_overflow(a, b, out);
  case MASSRT_X_MUL: return !__builtin_mul_overflow(a, b, out);
  case MASSRT_X_DIV: return divide(a, b, out);
  case MASSRT_X_MIN: *out = a < b ? a : b; return true;
  case MASSRT_X_MAX: *out = a > b ? a : b; return true;
  case MASSRT_X_BCAST: return broadcast(a, b, out);
  case MASSRT_X_GE0: *out = a >= 0; return true;
  case MASSRT_X_EQ0: *out = a == 0; return true;
  default: return false;
  }
}
static bool unary(uint32_t op) { return op == MASSRT_X_GE0 || op == MASSRT_X_EQ0; }
int massrt_eval_exprs(const struct massrt_expr *x, uint32_t n, uint32_t late, const int64_t *syms, uint32_t n_syms, int64_t *values, uint32_t *out_bad)
{
  for (uint32_t i = 0; i < n; i++) {
    bool ok;
    if (x[i].late != late) continue;
    if (x[i].op == MASSRT_X_CONST) { values[i] = x[i].k; continue; }
    if (x[i].op == MASSRT_X_SYM) {
      ok = x[i].k >= 0 && x[i].k < n_syms;
      if (ok) values[i] = syms[x[i].k];
    } else {
      ok = x[i].a < i && (unary(x[i].op) || x[i].b < i);
      ok = ok && value(&x[i], values[x[i].a], unary(x[i].op) ? 0 : values[x[i].b], &values[i]);
    }
    if (!ok) { *out_bad = i; return -1; }
  }
  return 0;
}
