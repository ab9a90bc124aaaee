/* Outputs: files, the summary, the comparison with expected values; and the JSON that all of the command line prints. */
#include "runtime/cli.h"
#include "runtime/core/json.h"
#include "runtime/tensor_file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON ---- */
static void put_file(void *f, const char *p, size_t n) { fwrite(p, 1, n, f); }
void json_string_to(FILE *f, const char *s) { massrt_json_string(put_file, f, s ? s : "", s ? strlen(s) : 0); }
void json_string(const char *s) { json_string_to(stdout, s); }
void json_key(struct cli *c, const char *key)
{
  printf("%s\n  ", c->json_fields++ ? "," : "");
  json_string(key);
  printf(": ");
}
void json_number(double v)
{
  if (isfinite(v)) printf("%.9g", v);
  else printf("null");
}
void json_shape(const struct massrt_tensor *t)
{
  putchar('[');
  for (uint32_t a = 0; a < t->rank; a++) printf("%s%lld", a ? ", " : "", (long long)t->dim[a]);
  putchar(']');
}

/* ---- files ---- */
static int resolve(const struct cli *c, const struct cli_list *list, const char *what, struct cli_spec **out, int *out_n)
{
  int rc = cli_resolve(c, list, c->p->outputs, c->p->n_outputs, what, out, out_n);
  for (int i = 0; i < *out_n && !rc; i++)
    if (massrt_format_of((*out)[i].value) == MASSRT_NO_FORMAT)
      rc = cli_fail(c, MASSRT_E_USAGE, "--%s %s: expected a file that ends in .npy, .npz, .pb or .raw, or - (npy)", what, (*out)[i].value);
  return rc;
}
int cli_check_outputs(const struct cli *c)
{
  struct cli_spec *s = NULL;
  int n, rc = resolve(c, &c->outputs, "output", &s, &n);
  for (int i = 0; i < n && !rc; i++)
    if (c->json && !strcmp(s[i].value, "-")) rc = cli_fail(c, MASSRT_E_USAGE, "--output - and --json both want standard output");
  free(s);
  if (rc) return rc;
  rc = resolve(c, &c->expects, "expect", &s, &n);
  free(s);
  return rc;
}
/* All outputs that go to the archive s[i], which is the first of them. */
static int write_archive(const struct cli *c, const struct cli_spec *s, int n, int i, char *err, size_t err_n)
{
  const char **name = calloc((size_t)n, sizeof *name);
  struct massrt_tensor *t = calloc((size_t)n, sizeof *t);
  uint32_t k = 0;
  for (int j = i; j < n && name && t; j++) {
    if (strcmp(s[j].value, s[i].value)) continue;
    name[k] = c->p->outputs[s[j].index].name;
    t[k++] = c->out[s[j].index];
  }
  int rc = name && t ? massrt_npz_write(s[i].value, k, name, t, err, err_n) : MASSRT_E_MEMORY;
  free(name);
  free(t);
  return rc;
}
static int write_output(const struct cli *c, const struct cli_spec *s, int n, int i, char *err, size_t err_n)
{
  const struct massrt_tensor *t = &c->out[s[i].index];
  switch (massrt_format_of(s[i].value)) {
  case MASSRT_RAW: return massrt_raw_write(s[i].value, t, err, err_n);
  case MASSRT_PB: return massrt_pb_write(s[i].value, c->p->outputs[s[i].index].name, t, err, err_n);
  case MASSRT_NPZ:
    for (int j = 0; j < i; j++)
      if (!strcmp(s[j].value, s[i].value)) return 0;
    return write_archive(c, s, n, i, err, err_n);
  default: return massrt_npy_write(s[i].value, t, err, err_n);
  }
}
int cli_write_outputs(const struct cli *c)
{
  struct cli_spec *s = NULL;
  char err[256] = "no memory";
  int n, rc = resolve(c, &c->outputs, "output", &s, &n);
  fflush(stdout);
  for (int i = 0; i < n && !rc; i++) {
    rc = write_output(c, s, n, i, err, sizeof err);
    if (rc) cli_fail(c, rc, "output \"%s\": %s: %s", c->p->outputs[s[i].index].name, s[i].value, err);
  }
  free(s);
  return rc;
}

/* ---- summary ---- */
struct stats { double min, max, mean; uint64_t elems, nans; };
static struct stats measure(const struct massrt_tensor *t)
{
  struct stats s = { INFINITY, -INFINITY, 0, 0, 0 };
  uint64_t bytes;
  massrt_shape_bytes(t->elem, t->rank, t->dim, &s.elems, &bytes);
  for (uint64_t i = 0; i < s.elems; i++) {
    double v = massrt_elem_get(t->elem, t->data, i);
    if (isnan(v)) { s.nans++; continue; }
    if (v < s.min) s.min = v;
    if (v > s.max) s.max = v;
    s.mean += v;
  }
  s.mean = s.elems > s.nans ? s.mean / (double)(s.elems - s.nans) : NAN;
  if (s.elems == s.nans) s.min = s.max = NAN;
  return s;
}
/* Indices of the k largest of n elements from `base` on, largest first; equal ones by index, NaN behind all numbers. */
static uint64_t largest(const struct massrt_tensor *t, uint64_t base, uint64_t n, uint64_t k, uint64_t *best)
{
  uint64_t have = 0;
  for (uint64_t i = 0; i < n; i++) {
    double v = massrt_elem_get(t->elem, t->data, base + i);
    uint64_t at = have;
    while (at) {
      double w = massrt_elem_get(t->elem, t->data, base + best[at - 1]);
      if (!(v > w || (isnan(w) && !isnan(v)))) break;
      at--;
    }
    if (at == k) continue;
    if (have < k) have++;
    memmove(&best[at + 1], &best[at], (have - 1 - at) * sizeof *best);
    best[at] = i;
  }
  return have;
}
static void print_index(const struct massrt_tensor *t, uint32_t rank, uint64_t flat)      /* of the first `rank` axes: "[0,813]" */
{
  uint64_t at[MASSRT_MAX_RANK];
  for (uint32_t a = rank; a-- > 0; flat /= (uint64_t)t->dim[a]) at[a] = flat % (uint64_t)t->dim[a];
  putchar('[');
  for (uint32_t a = 0; a < rank; a++) printf("%s%llu", a ? "," : "", (unsigned long long)at[a]);
  putchar(']');
}
static void print_top(const struct cli *c, const struct massrt_tensor *t, uint64_t elems)
{
  enum { ROWS = 32 };
  uint64_t n = t->rank ? (uint64_t)t->dim[t->rank - 1] : 1, rows = elems ? elems / n : 0, k = (uint64_t)c->top < n ? (uint64_t)c->top : n;
  uint64_t *best = calloc(k + 1, sizeof *best);
  if (c->json) printf(", \"top\": [");
  for (uint64_t r = 0; r < rows && best && (c->json || r < ROWS); r++) {
    uint64_t have = largest(t, r * n, n, k, best);
    if (c->json) printf("%s[", r ? ", " : "");
    else { printf("  "); if (t->rank > 1) print_index(t, t->rank - 1, r); printf(" top %llu:", (unsigned long long)k); }
    for (uint64_t i = 0; i < have; i++) {
      double v = massrt_elem_get(t->elem, t->data, r * n + best[i]);
      if (!c->json) { printf("  %llu (%.6g)", (unsigned long long)best[i], v); continue; }
      printf("%s{\"index\": %llu, \"value\": ", i ? ", " : "", (unsigned long long)best[i]);
      json_number(v);
      putchar('}');
    }
    printf(c->json ? "]" : "\n");
  }
  if (c->json) putchar(']');
  else if (rows > ROWS) printf("  .. and %llu rows more\n", (unsigned long long)(rows - ROWS));
  free(best);
}
static void summary_text(const struct cli *c, uint32_t i, const struct stats *s)
{
  enum { FIRST = 6 };
  const struct massrt_tensor *t = &c->out[i];
  char type[512];
  printf("%s: %s", c->p->outputs[i].name, massrt_type_text(type, sizeof type, t->elem, t->rank, t->dim, NULL));
  if (s->elems) printf("  min %.6g  max %.6g  mean %.6g", s->min, s->max, s->mean);
  if (s->nans) printf("  nan %llu", (unsigned long long)s->nans);
  printf(s->elems ? "\n  first" : "  empty\n");
  for (uint64_t k = 0; k < s->elems && k < FIRST; k++) printf(" %.6g", massrt_elem_get(t->elem, t->data, k));
  if (s->elems) printf(s->elems > FIRST ? " ..\n" : "\n");
  if (c->top) print_top(c, t, s->elems);
}
static void summary_json(const struct cli *c, uint32_t i, const struct stats *s)
{
  const struct massrt_tensor *t = &c->out[i];
  printf("%s\n    {\"name\": ", i ? "," : "");
  json_string(c->p->outputs[i].name);
  printf(", \"type\": \"%s\", \"shape\": ", massrt_elem_name[t->elem]);
  json_shape(t);
  printf(", \"min\": ");
  json_number(s->min);
  printf(", \"max\": ");
  json_number(s->max);
  printf(", \"mean\": ");
  json_number(s->mean);
  printf(", \"nan\": %llu", (unsigned long long)s->nans);
  if (c->top) print_top(c, t, s->elems);
  putchar('}');
}
void cli_summary(struct cli *c)
{
  if (c->json) { json_key(c, "outputs"); putchar('['); }
  for (uint32_t i = 0; i < c->p->n_outputs; i++) {
    struct stats s = measure(&c->out[i]);
    if (c->json) summary_json(c, i, &s);
    else summary_text(c, i, &s);
  }
  if (c->json) printf("]");
}

/* ---- comparison ---- */
struct diff { double largest, found, expected, max_expected, norm; uint64_t at, outside, elems; double rtol, atol; };
static bool float_pair(uint32_t a, uint32_t b) { return massrt_elem_is_float(a) && massrt_elem_is_float(b); }
static bool same_shape(const struct massrt_tensor *a, const struct massrt_tensor *b)
{
  return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof *a->dim);
}
/* Found and expected agree when both are NaN, both the same infinity, or |found - expected| <= atol + rtol * |expected|. */
static double distance(double y, double e)
{
  if (y == e || (isnan(y) && isnan(e))) return 0;
  double d = fabs(y - e);
  return isnan(d) ? INFINITY : d;
}
static bool same_bits(const struct massrt_tensor *a, const struct massrt_tensor *b, uint64_t i)
{
  unsigned w = massrt_elem_bytes[a->elem];
  return !memcmp((char *)a->data + i * w, (char *)b->data + i * w, w);
}
static void compare(const struct cli *c, const struct massrt_tensor *y, const struct massrt_tensor *e, struct diff *d)
{
  uint64_t bytes;
  double sum_d = 0, sum_e = 0;
  bool floats = massrt_elem_is_float(y->elem), half = y->elem == MASSRT_F16 || y->elem == MASSRT_BF16;
  *d = (struct diff){ 0 };
  massrt_shape_bytes(y->elem, y->rank, y->dim, &d->elems, &bytes);
  for (uint64_t i = 0; i < d->elems; i++) {
    double v = fabs(massrt_elem_get(e->elem, e->data, i));
    if (isfinite(v) && v > d->max_expected) d->max_expected = v;
  }
  d->rtol = c->rtol >= 0 ? c->rtol : floats ? half ? 1e-2 : 1e-4 : 0;       /* integers and bools: exact unless told */
  d->atol = c->atol >= 0 ? c->atol : floats ? 1e-5 * d->max_expected : 0;
  for (uint64_t i = 0; i < d->elems; i++) {
    double v = massrt_elem_get(y->elem, y->data, i), w = massrt_elem_get(e->elem, e->data, i), x = distance(v, w);
    if (x == 0 && !floats && !same_bits(y, e, i)) x = 1;                      /* 64-bit integers that round to one double */
    if (isfinite(x)) { sum_d += x * x; sum_e += isfinite(w) ? w * w : 0; }
    d->outside += x > d->atol + d->rtol * (isfinite(w) ? fabs(w) : 0);
    if (x <= d->largest && i) continue;
    d->largest = x;
    d->at = i;
    d->found = v;
    d->expected = w;
  }
  d->norm = sum_d == 0 ? 0 : sum_e > 0 ? sqrt(sum_d / sum_e) : INFINITY;
}
static void print_diff(struct cli *c, uint32_t i, const struct diff *d, bool first)
{
  const struct massrt_tensor *t = &c->out[i];
  double relative = d->largest == 0 ? 0 : d->largest / d->max_expected;
  if (c->json) {
    printf("%s\n    {\"name\": ", first ? "" : ",");
    json_string(c->p->outputs[i].name);
    printf(", \"ok\": %s, \"outside\": %llu, \"max_abs_error\": ", d->outside ? "false" : "true", (unsigned long long)d->outside);
    json_number(d->largest);
    printf(", \"max_error_of_largest\": ");
    json_number(relative);
    printf(", \"norm_error\": ");
    json_number(d->norm);
    printf(", \"rtol\": %g, \"atol\": %g, \"at\": ", d->rtol, d->atol);
    if (d->elems) print_index(t, t->rank, d->at);
    else printf("null");
    putchar('}');
    return;
  }
  printf("%s: %s", c->p->outputs[i].name, d->outside ? "differs" : "agrees");
  if (d->elems) {
    printf("; largest difference %.3g", d->largest);
    if (d->largest > 0) {
      printf(" at ");
      print_index(t, t->rank, d->at);
      printf(" (found %.9g, expected %.9g), %.3g of the largest expected value", d->found, d->expected, relative);
    }
    printf("; norm-wise error %.3g", d->norm);
  }
  if (d->outside) printf("; %llu of %llu elements outside of rtol %g, atol %.3g", (unsigned long long)d->outside, (unsigned long long)d->elems, d->rtol, d->atol);
  putchar('\n');
}
static int read_expected(const struct cli *c, const struct cli_spec *s, struct massrt_tensor *e)
{
  const struct massrt_tensor *y = &c->out[s->index];
  const char *name = c->p->outputs[s->index].name;
  char err[256], want[512], have[512];
  *e = *y;
  e->data = NULL;
  bool raw = massrt_format_of(s->value) == MASSRT_RAW;
  if (raw && !(e->data = cli_alloc(e->bytes))) return cli_no_memory(c);
  int rc = raw ? massrt_raw_read(s->value, e, err, sizeof err) : cli_read_file(c, s, &c->p->outputs[s->index], "expected", e);
  if (rc) return raw ? cli_fail(c, rc, "expected \"%s\": %s: %s", name, s->value, err) : rc;
  if (same_shape(e, y) && (e->elem == y->elem || float_pair(e->elem, y->elem))) return 0;
  massrt_type_text(have, sizeof have, e->elem, e->rank, e->dim, NULL);
  massrt_type_text(want, sizeof want, y->elem, y->rank, y->dim, NULL);
  return cli_fail(c, MASSRT_E_INPUT, "expected \"%s\": %s is %s, the output is %s", name, s->value, have, want);
}
int cli_compare(struct cli *c)
{
  struct cli_spec *s = NULL;
  bool differs = false;
  int n, rc = resolve(c, &c->expects, "expect", &s, &n);
  if (c->json) { json_key(c, "expect"); putchar('['); }
  for (int i = 0; i < n && !rc; i++) {
    struct massrt_tensor e = { 0 };
    struct diff d;
    rc = read_expected(c, &s[i], &e);
    if (!rc) {
      compare(c, &c->out[s[i].index], &e, &d);
      print_diff(c, s[i].index, &d, !i);
      differs |= d.outside > 0;
    }
    free(e.data);
  }
  if (c->json) putchar(']');
  free(s);
  return rc ? rc : differs ? MASSRT_E_INPUT : 0;
}
