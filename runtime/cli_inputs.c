/* --input: names, files, fills, shapes. */
#include "runtime/cli.h"
#include "runtime/tensor_file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- [NAME=]VALUE ---- */
/* "[2,3]=" after a name: true with the sizes and the text behind it. */
static bool parse_dims(const char *s, struct cli_spec *out)
{
  s++;
  for (out->rank = 0; *s != ']'; out->rank++) {
    char *end;
    if (out->rank == MASSRT_MAX_RANK || *s < '0' || *s > '9') return false;
    errno = 0;
    out->dim[out->rank] = strtoll(s, &end, 10);
    if (errno || (*end != ',' && *end != ']') || (*end == ',' && end[1] == ']')) return false;
    s = *end == ',' ? end + 1 : end;
  }
  if (s[1] != '=') return false;
  out->shaped = true;
  out->value = s + 2;
  return true;
}
static bool parse_named(const char *text, const struct massrt_io *io, uint32_t n, struct cli_spec *out)
{
  size_t longest = 0;
  for (uint32_t i = 0; i < n; i++) {
    struct cli_spec s = { .index = i, .named = true };
    size_t len = strlen(io[i].name);
    if (strncmp(text, io[i].name, len) || (out->named && len < longest)) continue;
    if (text[len] == '=') s.value = text + len + 1;
    else if (text[len] != '[' || !parse_dims(text + len, &s)) continue;
    longest = len;
    *out = s;
  }
  return out->named;
}
static int unknown_name(const struct cli *c, const char *text, const struct massrt_io *io, uint32_t n, const char *what)
{
  char names[512];
  size_t at = 0;
  *names = 0;
  for (uint32_t i = 0; i < n && at < sizeof names; i++) at += (size_t)snprintf(names + at, sizeof names - at, "%s\"%s\"", i ? ", " : "", io[i].name);
  return cli_fail(c, MASSRT_E_INPUT, "--%s %s: no %s has this name; there %s %s", what, text, strcmp(what, "input") ? "output" : "input",
                  n == 1 ? "is" : "are", n ? names : "none");
}
/* NAME=.. that matched no name. A file of such a name is reached as ./NAME=.. */
static bool looks_named(const char *text)
{
  size_t n = strcspn(text, "=/");
  return text[n] == '=';
}
struct resolving { const struct cli *c; const struct massrt_io *io; uint32_t n; const char *what; bool *taken; struct cli_spec *out; int n_out; };
static int add(struct resolving *r, const struct cli_spec *s)
{
  if (r->taken[s->index]) return cli_fail(r->c, MASSRT_E_USAGE, "--%s: \"%s\" is given twice", r->what, r->io[s->index].name);
  r->taken[s->index] = true;
  r->out[r->n_out++] = *s;
  return 0;
}
/* An archive without a name. */
static int add_archive(struct resolving *r, const char *file)
{
  struct massrt_npz z = { 0 };
  char err[256];
  bool write = !strcmp(r->what, "output");
  int rc = write ? 0 : massrt_npz_open(file, &z, err, sizeof err), before = r->n_out;
  if (rc) return cli_fail(r->c, rc, "--%s %s: %s", r->what, file, err);
  for (uint32_t i = 0; i < r->n; i++)
    if (!r->taken[i] && (write || massrt_npz_find(&z, r->io[i].name))) add(r, &(struct cli_spec){ .index = i, .value = file });
  if (r->n_out == before && !write) rc = cli_fail(r->c, MASSRT_E_INPUT, "--%s %s: none of its %u arrays has the name of an %s", r->what, file, z.n, strcmp(r->what, "input") ? "output" : "input");
  massrt_npz_close(&z);
  return rc;
}
static int add_next(struct resolving *r, const char *text, uint32_t *next)
{
  const char *thing = strcmp(r->what, "input") ? "output" : "input";
  while (*next < r->n && r->taken[*next]) ++*next;
  if (looks_named(text) && (!strcmp(r->what, "output") || access(text, F_OK))) return unknown_name(r->c, text, r->io, r->n, r->what);
  if (*next == r->n) return cli_fail(r->c, MASSRT_E_INPUT, "--%s %s: the model has no further %s", r->what, text, thing);
  return add(r, &(struct cli_spec){ .index = *next, .value = text });
}
/* Three rounds: named values, archives, the others. */
static int resolve(struct resolving *r, const struct cli_list *list, bool *done)
{
  uint32_t next = 0;
  int rc = 0;
  for (int i = 0; i < list->n && !rc; i++) {
    struct cli_spec s = { .value = list->v[i] };
    done[i] = parse_named(list->v[i], r->io, r->n, &s);
    if (done[i]) rc = add(r, &s);
  }
  for (int i = 0; i < list->n && !rc; i++) {
    if (done[i] || massrt_format_of(list->v[i]) != MASSRT_NPZ || (looks_named(list->v[i]) && access(list->v[i], F_OK))) continue;
    rc = add_archive(r, list->v[i]);
    done[i] = true;
  }
  for (int i = 0; i < list->n && !rc; i++)
    if (!done[i]) rc = add_next(r, list->v[i], &next);
  return rc;
}
int cli_resolve(const struct cli *c, const struct cli_list *list, const struct massrt_io *io, uint32_t n, const char *what, struct cli_spec **out, int *out_n)
{
  struct resolving r = { c, io, n, what, calloc(n + 1, 1), calloc(n + 1, sizeof **out), 0 };
  bool *done = calloc((size_t)list->n + 1, 1);
  int rc = r.taken && r.out && done ? resolve(&r, list, done) : cli_no_memory(c);
  free(r.taken);
  free(done);
  *out = r.out;
  *out_n = r.n_out;
  return rc;
}
/* The array for io in an archive: that of its name, or the only one. */
static int read_npz(const char *file, const struct massrt_io *io, struct massrt_tensor *t, char *err, size_t err_n)
{
  struct massrt_npz z;
  int rc = massrt_npz_open(file, &z, err, err_n);
  if (rc) return rc;
  const struct massrt_npz_entry *x = massrt_npz_find(&z, io->name);
  if (!x && z.n == 1) x = z.entry;
  if (x) rc = massrt_npz_read(&z, x, io->elem, t, err, err_n);
  else {
    snprintf(err, err_n, "none of its %u arrays has this name", z.n);
    rc = MASSRT_E_INPUT;
  }
  massrt_npz_close(&z);
  return rc;
}
int cli_read_file(const struct cli *c, const struct cli_spec *s, const struct massrt_io *io, const char *what, struct massrt_tensor *t)
{
  char err[256];
  enum massrt_format f = massrt_format_of(s->value);
  int rc = f == MASSRT_NPZ  ? read_npz(s->value, io, t, err, sizeof err)
           : f == MASSRT_PB ? massrt_pb_read(s->value, t, err, sizeof err)
                            : massrt_npy_read(s->value, io->elem, t, err, sizeof err);
  return rc ? cli_fail(c, rc, "%s \"%s\": %s: %s", what, io->name, s->value, err) : 0;
}

/* ---- random: the same values on every machine ---- */
static uint64_t mix(uint64_t z)                        /* splitmix64's output function */
{
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static uint64_t draw(uint64_t key, uint64_t i) { return mix(key + (i + 1) * 0x9e3779b97f4a7c15u); }
/* Standard normal, near enough: the sum of twelve uniform 16-bit numbers (mean 6, variance 1), exact in integers, so it needs no library function. */
static double normal(uint64_t key, uint64_t i)
{
  uint64_t sum = 0;
  for (unsigned k = 0; k < 3; k++)
    for (uint64_t w = draw(key, 3 * i + k); w; w >>= 16) sum += w & 0xffff;
  return (double)((int64_t)sum - 6 * 65535) / 65536;
}
static void fill_random(struct massrt_tensor *t, uint64_t elems, uint64_t seed, uint32_t index)
{
  uint64_t key = mix(mix(seed) + index);
  for (uint64_t i = 0; i < elems; i++) {
    double v = t->elem == MASSRT_BOOL ? (double)(draw(key, i) >> 63)
               : t->elem == MASSRT_U8 ? (double)(draw(key, i) >> 56)
               : t->elem == MASSRT_I8 ? (double)(draw(key, i) >> 56) - 128
               : massrt_elem_is_float(t->elem) ? normal(key, i) : (double)(draw(key, i) % 10);
    massrt_elem_set(t->elem, t->data, i, v);
  }
}

/* ---- reading ---- */
enum source { FROM_FILE, FROM_RAW, FROM_RANDOM, FROM_VALUE };
struct source_of { enum source kind; uint64_t seed; double value; };
static int classify(const struct cli *c, const struct cli_spec *s, struct source_of *out)
{
  char *end;
  bool word = s->named || access(s->value, F_OK);
  *out = (struct source_of){ FROM_VALUE, 0, 0 };
  if (word && !strncmp(s->value, "random", 6) && (!s->value[6] || s->value[6] == ':')) {
    errno = 0;
    out->kind = FROM_RANDOM;
    out->seed = s->value[6] ? strtoull(s->value + 7, &end, 10) : 0;
    if (s->value[6] && (s->value[7] < '0' || s->value[7] > '9' || *end || errno)) return cli_fail(c, MASSRT_E_USAGE, "--input %s: expected random:SEED, SEED a number", s->value);
    return 0;
  }
  if (word && !strcmp(s->value, "zeros")) return 0;
  out->value = strtod(s->value, &end);
  if (s->named && end != s->value && !*end) return 0;
  out->kind = massrt_format_of(s->value) == MASSRT_RAW ? FROM_RAW : FROM_FILE;
  if (massrt_format_of(s->value) != MASSRT_NO_FORMAT) return 0;
  return cli_fail(c, MASSRT_E_USAGE, "--input: \"%s\" for \"%s\": expected a file that ends in .npy, .npz, .pb or .raw, - (npy from standard input), random, zeros or a number", s->value, c->p->inputs[s->index].name);
}
/* Sizes from NAME[2,3]=: of all axes, or of the dynamic ones alone. */
static int apply_dims(const struct cli *c, const struct cli_spec *s, const struct massrt_signature *sig, struct massrt_tensor *t)
{
  uint32_t dynamic = 0, k = 0;
  for (uint32_t a = 0; a < sig->rank; a++) dynamic += sig->dim[a] < 0;
  if (s->rank != sig->rank && s->rank != dynamic)
    return cli_fail(c, MASSRT_E_INPUT, "input \"%s\": %u sizes in brackets, expected %u (all axes) or %u (the dynamic ones)", sig->name, s->rank, sig->rank, dynamic);
  for (uint32_t a = 0; a < sig->rank; a++)
    if (s->rank == sig->rank || sig->dim[a] < 0) t->dim[a] = s->dim[k++];
  return 0;
}
static int make_data(const struct cli *c, const struct cli_spec *s, const struct source_of *from, uint32_t index)
{
  struct massrt_tensor *t = &c->in[index];
  char err[256];
  uint64_t elems;
  if (!massrt_shape_bytes(t->elem, t->rank, t->dim, &elems, &t->bytes)) return cli_fail(c, MASSRT_E_INPUT, "input \"%s\": the shape's size overflows", c->p->inputs[index].name);
  t->data = cli_alloc(t->bytes);
  if (!t->data) return cli_no_memory(c);
  if (from->kind == FROM_RANDOM) fill_random(t, elems, from->seed, index);
  if (from->kind == FROM_VALUE && from->value != 0)
    for (uint64_t i = 0; i < elems; i++) massrt_elem_set(t->elem, t->data, i, from->value);
  int rc = from->kind == FROM_RAW ? massrt_raw_read(s->value, t, err, sizeof err) : 0;
  return rc ? cli_fail(c, rc, "input \"%s\": %s: %s", c->p->inputs[index].name, s->value, err) : 0;
}
static bool open_shape(const struct massrt_tensor *t)
{
  for (uint32_t a = 0; a < t->rank; a++)
    if (t->dim[a] < 0) return true;
  return false;
}
/* What each input comes from: files are read at once, since their shapes give others theirs. */
static int first_pass(const struct cli *c, const struct cli_spec *specs, int n, const struct cli_spec **of, struct source_of *from)
{
  for (int i = 0; i < n; i++) {
    const struct cli_spec *s = &specs[i];
    struct massrt_signature sig;
    massrt_input_signature(c->x, s->index, &sig);
    of[s->index] = s;
    int rc = classify(c, s, &from[s->index]);
    bool file = from[s->index].kind == FROM_FILE;
    if (!rc && file && s->shaped) rc = cli_fail(c, MASSRT_E_USAGE, "--input %s: a file of this kind has its own shape", s->value);
    else if (!rc && file) rc = cli_read_file(c, s, &c->p->inputs[s->index], "input", &c->in[s->index]);
    else if (!rc && s->shaped) rc = apply_dims(c, s, &sig, &c->in[s->index]);
    if (!rc && from[s->index].kind == FROM_RAW && open_shape(&c->in[s->index]))
      rc = cli_fail(c, MASSRT_E_INPUT, "input \"%s\": a raw file has no shape; give the sizes of its dynamic dims: --input '%s[2,3]=%s'", sig.name, sig.name, s->value);
    if (rc) return rc;
  }
  return 0;
}
static int missing(const struct cli *c, uint32_t i)
{
  char type[512];
  cli_type(type, sizeof type, c->p, &c->p->inputs[i]);
  return cli_fail(c, MASSRT_E_USAGE, "input \"%s\" (%s) is not given: --input %s=FILE.npy, or %s=random; --bench makes random ones", c->p->inputs[i].name, type,
                  c->p->inputs[i].name, c->p->inputs[i].name);
}
/* Files whose rank differs from the model's are left to massrt_prepare to refuse: their dims must not be looked at by rank. */
static bool ranks_fit(const struct cli *c)
{
  for (uint32_t i = 0; i < c->p->n_inputs; i++)
    if (c->in[i].rank != c->p->inputs[i].rank) return false;
  return true;
}
/* Inputs whose values state sizes: they are needed before shapes are known, and have a shape of their own. */
static bool states_sizes(const struct cli *c, uint32_t i)
{
  for (uint32_t k = 0; k < c->p->n_syms; k++)
    if (c->p->syms[k].axis != MASSRT_SYM_LATE && c->p->syms[k].input == i && c->p->syms[k].axis & MASSRT_SYM_VALUE) return true;
  return false;
}
static int second_pass(struct cli *c, const struct cli_spec **of, const struct source_of *from)
{
  for (uint32_t i = 0; i < c->p->n_inputs; i++)
    if (!of[i] && !c->bench && !c->profile) return missing(c, i);
  if (!ranks_fit(c)) {
    int rc = massrt_prepare(c->x, c->in, NULL);
    return cli_fail(c, rc, "%s", massrt_error(c->x));
  }
  int rc = 0;
  for (uint32_t i = 0; i < c->p->n_inputs && !rc; i++)
    if (states_sizes(c, i) && (!of[i] || from[i].kind != FROM_FILE) && !open_shape(&c->in[i])) rc = make_data(c, of[i], &from[i], i);
  if (rc) return rc;
  rc = massrt_complete(c->x, c->in);
  if (rc) return cli_fail(c, rc, "%s", massrt_error(c->x));
  rc = massrt_prepare(c->x, c->in, NULL);              /* refuse shapes before memory is taken for them */
  if (rc) return cli_fail(c, rc, "%s", massrt_error(c->x));
  for (uint32_t i = 0; i < c->p->n_inputs && !rc; i++)
    if (!c->in[i].data) rc = make_data(c, of[i], &from[i], i);
  return rc;
}
int cli_read_inputs(struct cli *c)
{
  uint32_t n = c->p->n_inputs;
  struct cli_spec *specs = NULL;
  int n_specs = 0;
  const struct cli_spec **of = calloc(n + 1, sizeof *of);
  struct source_of *from = calloc(n + 1, sizeof *from);
  c->in = calloc(n + 1, sizeof *c->in);
  int rc = of && from && c->in ? cli_resolve(c, &c->inputs, c->p->inputs, n, "input", &specs, &n_specs) : cli_no_memory(c);
  for (uint32_t i = 0; i < n && !rc; i++) {
    struct massrt_signature sig;
    massrt_input_signature(c->x, i, &sig);
    c->in[i] = (struct massrt_tensor){ .elem = sig.elem, .rank = sig.rank };
    memcpy(c->in[i].dim, sig.dim, sizeof sig.dim);
    from[i].kind = FROM_RANDOM;
  }
  if (!rc) rc = first_pass(c, specs, n_specs, of, from);
  if (!rc) rc = second_pass(c, of, from);
  free(specs);
  free(of);
  free(from);
  return rc;
}
