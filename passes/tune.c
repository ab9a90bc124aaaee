/* tune: rows of a tuning file, and which record they give a kernel. Part of pass schedule.
 *
 * A row names a kernel by a text that does not depend on names: what it is compiled for, what it does, the types of its arguments, a hash of its nest; and says the
 * record that it is to have. A record is taken only where the target offers it for this nest, so a file of another version of massc, or a wrong one, cannot make
 * kernels that are wrong or less exact than is allowed: such a row is told and left. */
#include "passes/internal.h"
#include "ir/base/yaml_tree.h"
#include <string.h>

const char *pass_tune_key(struct ir_arena *a, const struct ir_target *t, const struct kir_nest *n)
{
  struct ir_buf b = { 0 };
  bool results = false;
  ir_buf_printf(&b, "%s %s", t->isa, n->name);
  for (uint32_t i = 0; i < n->args.n; i++) {
    const struct kir_arr *x = n->args.v[i];
    if (x->out && !results) ir_buf_printf(&b, " ->");
    results |= x->out;
    ir_buf_printf(&b, " %s[", ir_elem_name(x->elem));
    for (unsigned d = 0; d < x->rank; d++) {
      if (d) ir_buf_printf(&b, ",");
      ir_ix_print(&b, x->shape[d] ? x->shape[d] : ir_ix_sub(x->hi[d], x->lo[d]));
    }
    ir_buf_printf(&b, "]");
  }
  ir_buf_printf(&b, " #%016llx", (unsigned long long)kir_nest_hash(n));
  const char *key = ir_arena_strdup(a, b.s);
  ir_buf_deinit(&b);
  return key;
}
const char *pass_tune_text(struct ir_arena *a, const struct kir_sched *s)
{
  struct ir_buf b = { 0 };
  kir_sched_print(&b, s);
  while (b.n && b.s[b.n - 1] == '\n') b.n--;
  const char *text = ir_arena_strndup(a, b.s, b.n);
  ir_buf_deinit(&b);
  return text;
}

/* ---- the file ---- */
static bool bad(struct ir_diags *d, const struct ir_yaml *at, const char *what, const char *expected)
{
  return ir_error(d, IR_M0408, NULL, NULL, "%s:%u: %s; expected %s", at->file, at->line, what, expected);
}
static bool known_keys(struct ir_arena *a, struct ir_diags *d, const struct ir_yaml *y, const char *const *keys, const char *expected)
{
  if (y->kind != IR_YAML_MAP) return bad(d, y, "no mapping", expected);
  for (unsigned i = 0; i < y->n; i++) {
    unsigned k = 0;
    while (keys[k] && strcmp(keys[k], y->key[i])) k++;
    if (!keys[k]) return bad(d, y->item[i], ir_arena_printf(a, "unknown key \"%s\"", y->key[i]), expected);
  }
  return true;
}
/* The record in massc's own spelling, whatever spaces the file has. */
static bool read_record(struct ir_arena *a, struct ir_diags *d, const struct ir_yaml *y, const char **out)
{
  struct ir_diags own = { .file = "sched" };
  const struct kir_sched *s = kir_sched_parse(a, &own, y->s, strlen(y->s));
  if (!s) bad(d, y, ir_arena_printf(a, "no record: %s", own.first.s ? own.first.s : "?"), "\"sched KIND { .. }\" as --stop-after schedule prints it");
  else *out = pass_tune_text(a, s);
  ir_buf_deinit(&own.first);
  return s;
}
static bool read_row(struct ir_arena *a, struct ir_diags *d, const struct ir_yaml *y, struct pass_tune *t)
{
  static const char *const keys[] = { "kernel", "sched", "us", "default_us", NULL };
  static const char expected[] = "a mapping with kernel and sched (and us, default_us: what was measured)";
  struct pass_tune_row r = { .line = y->line };
  TRY(known_keys(a, d, y, keys, expected));
  const struct ir_yaml *kernel = ir_yaml_get(y, "kernel"), *sched = ir_yaml_get(y, "sched");
  if (!kernel || kernel->kind != IR_YAML_SCALAR || !sched || sched->kind != IR_YAML_SCALAR) return bad(d, y, "kernel or sched is missing or no text", expected);
  r.kernel = kernel->s;
  TRY(read_record(a, d, sched, &r.sched));
  for (uint32_t i = 0; i < t->rows.n; i++)
    if (!strcmp(t->rows.v[i].kernel, r.kernel)) return bad(d, y, ir_arena_printf(a, "kernel \"%s\" stands in line %u too", r.kernel, t->rows.v[i].line), "each kernel once");
  ir_push(a, &t->rows, r);
  return true;
}
static bool read_rows(struct ir_arena *a, struct ir_diags *d, const struct ir_yaml *y, struct pass_tune *t)
{
  static const char *const keys[] = { "massc_tune", "processor", "threads", "kernels", NULL };
  static const char expected[] = "a mapping with massc_tune: 1 and kernels (and processor, threads: where it was measured)";
  TRY(known_keys(a, d, y, keys, expected));
  const struct ir_yaml *version = ir_yaml_get(y, "massc_tune"), *rows = ir_yaml_get(y, "kernels");
  if (!version || version->kind != IR_YAML_SCALAR || strcmp(version->s, "1")) return bad(d, version ? version : y, "not massc_tune: 1", "the form that massc tune of this version writes");
  if (!rows || rows->kind != IR_YAML_SEQ) return bad(d, rows ? rows : y, "no list of kernels", expected);
  for (unsigned i = 0; i < rows->n; i++) TRY(read_row(a, d, rows->item[i], t));
  return true;
}
struct pass_tune *pass_tune_parse(struct ir_arena *a, struct ir_diags *d, const char *file, const void *text, size_t bytes)
{
  struct ir_yaml_error e;
  struct pass_tune *t = IR_NEW(a, struct pass_tune);
  const struct ir_yaml *y = ir_yaml_read(a, file, text, bytes, &e);
  t->file = file;
  if (!y) return (void)ir_error(d, IR_M0408, NULL, NULL, "%s:%u: %s; expected a file that massc tune wrote", file, e.line, e.why), NULL;
  return read_rows(a, d, y, t) ? t : NULL;
}
struct pass_tune *pass_tune_read(struct ir_arena *a, struct ir_diags *d, const char *path)
{
  struct ir_mapping m;
  int rc = ir_file_map(path, &m);
  if (rc) return (void)ir_error(d, IR_M0001, NULL, NULL, "cannot read %s: %s", path, strerror(rc)), NULL;
  struct pass_tune *t = pass_tune_parse(a, d, path, m.p, m.n);
  ir_file_unmap(&m);
  return t;
}

/* ---- use ---- */
static void leave(struct pass_ctx *c, struct pass_tune_row *r, const char *why)
{
  if (!r->told) ir_warn(c->m->diags, IR_M0404, NULL, NULL, "%s:%u: %s; kernel \"%s\" gets massc's own choice", c->opt->tune->file, r->line, why, r->kernel);
  r->told = true;
}
static struct pass_tune_row *row_of(struct pass_tune *t, const char *key)
{
  for (uint32_t i = 0; i < t->rows.n; i++)
    if (!strcmp(t->rows.v[i].kernel, key)) return &t->rows.v[i];
  return NULL;
}
struct kir_sched *pass_tuned(struct pass_ctx *c, const struct ir_target *target, const struct kir_nest *n, int64_t *left)
{
  struct ir_choice x[IR_MAX_ALTERNATIVES];
  if (!c->opt->tune || !target->isa || !target->alternatives) return NULL;
  struct pass_tune_row *r = row_of(c->opt->tune, pass_tune_key(c->scratch, target, n));
  if (!r) return NULL;
  r->used = true;
  unsigned k = target->alternatives(target, c->m->arena, n, x), i = 0;
  while (i < k && strcmp(pass_tune_text(c->scratch, x[i].s), r->sched)) i++;
  if (i == k) return leave(c, r, "this version of massc has no such record for it"), NULL;
  if (c->opt->no_winograd && !strcmp(x[i].s->kind, "winograd")) return leave(c, r, "Winograd's transform is turned off (--no-winograd)"), NULL;
  if (x[i].bytes > *left) return leave(c, r, "transformed weights would add more than three quarters of the weights"), NULL;
  *left -= x[i].bytes;
  return x[i].s;
}
/* Is the row for one of the targets? Rows of other levels wait for another --target. */
static bool row_for(const struct pass_tune_row *r, const struct ir_target *targets, unsigned n)
{
  for (unsigned k = 0; k < n; k++) {
    size_t length = targets[k].isa ? strlen(targets[k].isa) : 0;
    if (length && !strncmp(r->kernel, targets[k].isa, length) && r->kernel[length] == ' ') return true;
  }
  return false;
}
void pass_tune_report(const struct pass_tune *t, struct ir_diags *d, const struct ir_target *targets, unsigned n)
{
  uint32_t others = 0, for_us = 0;
  const struct pass_tune_row *first = NULL;
  for (uint32_t i = 0; i < t->rows.n; i++) {
    const struct pass_tune_row *r = &t->rows.v[i];
    if (!row_for(r, targets, n)) continue;
    for_us++;
    if (r->used) continue;
    if (first) others++;
    else first = r;
  }
  if (t->rows.n && !for_us) ir_warn(d, IR_M0404, NULL, NULL, "%s: none of its rows is for %s; the first is for \"%s\"", t->file, targets->name, t->rows.v->kernel);
  else if (others) ir_warn(d, IR_M0404, NULL, NULL, "%s:%u: the model has no kernel \"%s\", and %u further rows have none", t->file, first->line, first->kernel, others);
  else if (first) ir_warn(d, IR_M0404, NULL, NULL, "%s:%u: the model has no kernel \"%s\"", t->file, first->line, first->kernel);
}
