/* Contractions of matrices: MatMul, Gemm, Einsum. */
#include "compiler/onnx/rows.h"
#include <ctype.h>
#include <string.h>

/* ---- a pair of operands whose axes carry labels ---- */
struct labelled { struct ir_value *v; char label[IR_MAX_RANK + 1]; };

static int place(const char *s, char l)
{
  const char *p = strchr(s, l);
  return p && l ? (int)(p - s) : -1;
}
/* Drops axis `i`, of size 1. */
static void drop(struct onnx_ctx *c, struct labelled *x, unsigned i)
{
  int64_t axis = i;
  x->v = onnx_drop_axes(c, x->v, &axis, 1);
  memmove(x->label + i, x->label + i + 1, strlen(x->label + i));
}
/* Labels that both have: equal sizes stay; a 1 against something else leaves; sizes that may be 1 at run time are broadcast first. */
static bool agree(struct onnx_ctx *c, struct labelled *x, struct labelled *y)
{
  for (unsigned i = 0; x->v && y->v && x->label[i];) {
    int j = place(y->label, x->label[i]);
    const struct ir_ix *a = x->v->type->dim[i], *b = j < 0 ? a : y->v->type->dim[j];
    if (a == b) { i++; continue; }
    if (ir_ix_is(a, 1)) { drop(c, x, i); continue; }
    if (ir_ix_is(b, 1)) { drop(c, y, (unsigned)j); i++; continue; }
    const struct ir_ix *r = ir_dim_broadcast(c->m, a, b), *dx[IR_MAX_RANK], *dy[IR_MAX_RANK];
    if (!r) return onnx_bad(c, IR_M0201, "operands %s and %s do not fit together", onnx_show(c, x->v), onnx_show(c, y->v));
    if (r == a || r == b) { i++; continue; }         /* required to be equal */
    for (unsigned d = 0; d < x->v->type->rank; d++) dx[d] = d == i ? r : x->v->type->dim[d];
    for (unsigned d = 0; d < y->v->type->rank; d++) dy[d] = d == (unsigned)j ? r : y->v->type->dim[d];
    x->v = ir_broadcast(c->b, x->v, x->v->type->rank, dx);
    y->v = ir_broadcast(c->b, y->v, y->v->type->rank, dy);
    i++;
  }
  return x->v && y->v;
}
/* The contraction to labels `to`; labels of neither operand (both dropped) come back as 1. */
static struct ir_value *contract(struct onnx_ctx *c, struct labelled x, struct labelled y, const char *to)
{
  if (!agree(c, &x, &y)) return NULL;
  char spec[3 * IR_MAX_RANK + 8], kept[IR_MAX_RANK + 1];
  unsigned n = 0;
  for (const char *p = to; *p; p++)
    if (place(x.label, *p) >= 0 || place(y.label, *p) >= 0) kept[n++] = *p;
  kept[n] = 0;
  snprintf(spec, sizeof spec, "%s,%s->%s", x.label, y.label, kept);
  struct ir_value *v = onnx_dot(c, x.v, y.v, spec);
  if (!v || n == strlen(to)) return v;
  const struct ir_ix *dim[IR_MAX_RANK];
  unsigned rank = 0, k = 0;
  for (const char *p = to; *p; p++) dim[rank++] = k < n && kept[k] == *p ? v->type->dim[k++] : onnx_k(c, 1);
  return ir_reshape(c->b, v, rank, dim);
}

/* ---- MatMul: numpy's; batch axes get the letters a.., the matrix axes x, y, z ---- */
static struct labelled matrix(struct ir_value *v, unsigned batch, bool right)
{
  struct labelled l = { .v = v };
  unsigned r = v->type->rank, k = 0, own = r > 2 ? r - 2 : 0;
  for (unsigned d = 0; d < own; d++) l.label[k++] = (char)('a' + (batch - own) + d);
  if (r == 1) l.label[k++] = 'y';
  else { l.label[k++] = right ? 'y' : 'x'; l.label[k++] = right ? 'z' : 'y'; }
  return l;
}
struct ir_value *onnx_matmul(struct onnx_ctx *c, struct ir_value *x, struct ir_value *y)
{
  if (!x || !y) return NULL;
  unsigned rx = x->type->rank, ry = y->type->rank, batch = rx > ry ? rx : ry, k = 0;
  if (!rx || !ry) { onnx_bad(c, IR_M0201, "operands %s and %s: scalars cannot be multiplied as matrices", onnx_show(c, x), onnx_show(c, y)); return NULL; }
  const struct ir_ix *a = x->type->dim[rx - 1], *b = y->type->dim[ry == 1 ? 0 : ry - 2];
  if (ir_prove_eq0(&c->m->facts, ir_ix_sub(a, b)) == IR_NO) {
    onnx_bad(c, IR_M0201, "operands %s and %s do not fit together: %s columns, %s rows", onnx_show(c, x), onnx_show(c, y), ir_ix_str(c->arena, a), ir_ix_str(c->arena, b));
    return NULL;
  }
  if (!ir_require_eq(c->m, a, b, "the operands of MatMul agree")) return NULL;
  batch = batch > 2 ? batch - 2 : 0;
  char to[IR_MAX_RANK + 1];
  for (; k < batch; k++) to[k] = (char)('a' + k);
  if (rx > 1) to[k++] = 'x';
  if (ry > 1) to[k++] = 'z';
  to[k] = 0;
  return contract(c, matrix(x, batch, false), matrix(y, batch, true), to);
}
bool import_matmul(struct onnx_ctx *c)
{
  TRY(onnx_operands(c, 2, 2));
  return onnx_out(c, onnx_matmul(c, c->in[0], c->in[1]));
}
/* alpha * A * B + beta * C */
bool import_gemm(struct onnx_ctx *c)
{
  bool ta, tb, broadcast;
  double alpha, beta;
  char spec[16];
  TRY(c->opset >= 7 || onnx_attr_flag(c, "broadcast", false, &broadcast));   /* C's shape says it all */
  TRY(onnx_operands(c, c->opset < 11 ? 3 : 2, 3) && onnx_attr_flag(c, "transA", false, &ta) && onnx_attr_flag(c, "transB", false, &tb));
  TRY(onnx_attr_float(c, "alpha", 1, &alpha) && onnx_attr_float(c, "beta", 1, &beta));
  struct ir_value *a = c->in[0], *b = c->in[1], *bias = onnx_in(c, 2);
  if (a->type->rank != 2 || b->type->rank != 2) return onnx_bad(c, IR_M0201, "operands %s and %s, expected matrices", onnx_show(c, a), onnx_show(c, b));
  snprintf(spec, sizeof spec, "%s,%s->ij", ta ? "ki" : "ik", tb ? "jk" : "kj");
  struct ir_value *v = onnx_dot(c, a, b, spec);
  if (v && alpha != 1) v = onnx_2(c, IR_OP_mul, v, onnx_like(c, v, alpha));
  if (v && bias && beta != 0) {
    if (beta != 1) bias = onnx_2(c, IR_OP_mul, bias, onnx_like(c, bias, beta));
    struct ir_value *sum = onnx_2(c, IR_OP_add, v, bias);
    if (sum && sum->type->rank != 2) return onnx_bad(c, IR_M0201, "C is %s, expected what broadcasts to %s", onnx_show(c, c->in[2]), onnx_show(c, v));
    v = sum;
  }
  return onnx_out(c, v);
}

/* ---- Einsum ----
 * The ellipsis gets digits-free letters that the equation does not use. Operands are contracted from left to right; a label that neither the result nor a
 * later operand has is summed there. */
enum { MAX_TERMS = 16 };
struct einsum { unsigned n; char in[MAX_TERMS][IR_MAX_RANK + 1], out[IR_MAX_RANK + 1]; };

static bool einsum_term(struct onnx_ctx *c, const char *s, size_t n, const char *ellipsis, unsigned have, char *out)
{
  unsigned k = 0;
  for (size_t i = 0; i < n; i++) {
    if (s[i] == ' ') continue;
    if (n - i >= 3 && !memcmp(s + i, "...", 3)) {
      if (k + have > IR_MAX_RANK) break;
      memcpy(out + k, ellipsis + strlen(ellipsis) - have, have);
      k += have;
      i += 2;
    } else if (isalpha((unsigned char)s[i]) && k < IR_MAX_RANK) out[k++] = s[i];
    else return onnx_bad(c, IR_M0302, "equation holds \"%.*s\"", (int)(n < 64 ? n : 64), s);
  }
  out[k] = 0;
  return true;
}
static unsigned letters_of(const char *s, size_t n, bool *dots)
{
  unsigned k = 0;
  *dots = false;
  for (size_t i = 0; i < n; i++) { k += isalpha((unsigned char)s[i]) != 0; *dots |= s[i] == '.'; }
  return k;
}
/* As many unused letters as the widest ellipsis has axes. */
static bool ellipsis_letters(struct onnx_ctx *c, const char *eq, const char *end, char *out)
{
  unsigned most = 0, k = 0;
  const char *s = eq;
  for (unsigned i = 0; i < c->n_in; i++) {
    size_t n = strcspn(s, ",-");
    bool dots;
    unsigned own = letters_of(s, n, &dots);
    if (s > end || own > c->in[i]->type->rank) return onnx_bad(c, IR_M0302, "equation \"%s\" does not fit operand %u, %s", eq, i, onnx_show(c, c->in[i]));
    if (dots && c->in[i]->type->rank - own > most) most = c->in[i]->type->rank - own;
    s += n + (s[n] == ',');
  }
  for (char l = 'A'; l <= 'z' && k < most; l++)
    if (isalpha((unsigned char)l) && !strchr(eq, l)) out[k++] = l;
  out[k] = 0;
  return k == most || onnx_bad(c, IR_M0302, "equation \"%s\" has too many labels", eq);
}
/* Without "->": the ellipsis, then the labels that stand once, in order. */
static void implicit_result(struct einsum *e, const char *ellipsis)
{
  unsigned k = 0, count[128] = { 0 };
  for (unsigned i = 0; i < e->n; i++)
    for (const char *p = e->in[i]; *p; p++) count[(unsigned char)*p & 127]++;
  for (const char *p = ellipsis; *p && k < IR_MAX_RANK; p++) e->out[k++] = *p;
  for (int l = 'A'; l <= 'z'; l++)
    if (isalpha(l) && count[l] == 1 && !strchr(ellipsis, l) && k < IR_MAX_RANK) e->out[k++] = (char)l;
  e->out[k] = 0;
}
static bool einsum_parse(struct onnx_ctx *c, const char *eq, struct einsum *e)
{
  const char *arrow = strstr(eq, "->"), *end = arrow ? arrow : eq + strlen(eq), *s = eq;
  char ellipsis[IR_MAX_RANK + 1];
  TRY(ellipsis_letters(c, eq, end, ellipsis));
  for (e->n = 0; e->n < c->n_in; e->n++) {
    size_t n = strcspn(s, ",-");
    bool dots;
    unsigned own = letters_of(s, n, &dots), rank = c->in[e->n]->type->rank;
    TRY(einsum_term(c, s, n, ellipsis, dots ? rank - own : 0, e->in[e->n]));
    if (strlen(e->in[e->n]) != rank) return onnx_bad(c, IR_M0201, "equation \"%s\" does not fit operand %u, %s", eq, e->n, onnx_show(c, c->in[e->n]));
    s += n + (s[n] == ',');
  }
  if (s < end) return onnx_bad(c, IR_M0203, "equation \"%s\" has more terms than there are operands, %u", eq, c->n_in);
  if (arrow) return einsum_term(c, arrow + 2, strlen(arrow + 2), ellipsis, (unsigned)strlen(ellipsis), e->out);
  implicit_result(e, ellipsis);
  return true;
}
/* Sums the labels that `keep` does not need and orders the rest as in `to`. */
static struct ir_value *arrange(struct onnx_ctx *c, struct labelled x, const char *to)
{
  int64_t axes[IR_MAX_RANK], perm[IR_MAX_RANK];
  unsigned n = 0;
  for (unsigned i = 0; x.label[i]; i++)
    if (place(to, x.label[i]) < 0) axes[n++] = i;
  x.v = onnx_drop_axes(c, onnx_reduce(c, "sum", x.v, axes, n), axes, n);
  while (n) { n--; memmove(x.label + axes[n], x.label + axes[n] + 1, strlen(x.label + axes[n])); }
  for (unsigned i = 0; to[i]; i++) {
    int p = place(x.label, to[i]);
    if (p < 0) { onnx_bad(c, IR_M0302, "label '%c' of the result is in no operand", to[i]); return NULL; }
    perm[i] = p;
  }
  return x.v ? ir_transpose(c->b, x.v, perm) : NULL;
}
static bool twice(const char *s)
{
  for (; *s; s++)
    if (strchr(s + 1, *s)) return true;
  return false;
}
bool import_einsum(struct onnx_ctx *c)
{
  const char *eq;
  struct einsum e = { 0 };
  TRY(onnx_operands(c, c->n_in ? c->n_in : 1, MAX_TERMS) && onnx_attr_str(c, "equation", "", &eq) && einsum_parse(c, eq, &e));
  for (unsigned i = 0; i < e.n; i++)
    if (twice(e.in[i])) return onnx_bad(c, IR_M0301, "equation \"%s\" takes a diagonal (a label twice in one operand), which is not supported", eq);
  if (twice(e.out)) return onnx_bad(c, IR_M0302, "equation \"%s\" has a label twice in the result", eq);
  struct labelled x = { .v = c->in[0] };
  strcpy(x.label, e.in[0]);
  for (unsigned i = 1; i < e.n; i++) {
    struct labelled y = { .v = c->in[i] };
    char keep[2 * IR_MAX_RANK + 1];
    unsigned k = 0;
    strcpy(y.label, e.in[i]);
    for (unsigned side = 0; side < 2; side++)
      for (const char *p = side ? y.label : x.label; *p; p++) {
        bool need = place(e.out, *p) >= 0;
        for (unsigned j = i + 1; j < e.n; j++) need |= place(e.in[j], *p) >= 0;
        if (need && !(side && place(x.label, *p) >= 0)) keep[k++] = *p;
      }
    keep[k] = 0;
    if (k > IR_MAX_RANK) return onnx_bad(c, IR_M0201, "equation \"%s\" needs rank %u on the way; at most %d is supported", eq, k, IR_MAX_RANK);
    x.v = contract(c, x, y, keep);
    if (!x.v) return false;
    strcpy(x.label, keep);
  }
  return onnx_out(c, arrange(c, x, e.out));
}
