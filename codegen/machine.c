/* Descriptions of processors: facts of a target as YAML, one key for each (docs/tuning.md). The three levels' come with massc as text; --machine reads another. */
#include "codegen/machine.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind { COUNT, BYTES, RATE, FLAG, TEXT };
static const struct key { const char *name; enum kind kind; size_t at; double lo, hi; } keys[] = {
  { "level", COUNT, offsetof(struct cg_target, level), 2, 4 },
  { "tune_cpu", TEXT, offsetof(struct cg_target, tune), 0, 0 },
  { "cores", COUNT, offsetof(struct cg_target, cores), 1, 1024 },
  { "clock_ghz", RATE, offsetof(struct cg_target, clock_ghz), 0.1, 10 },
  { "vector_lanes", COUNT, offsetof(struct cg_target, vec_lanes), 4, 16 },
  { "vector_registers", COUNT, offsetof(struct cg_target, n_vregs), 16, 32 },
  { "fma", FLAG, offsetof(struct cg_target, fma), 0, 0 },
  { "fma_ports", COUNT, offsetof(struct cg_target, fma_ports), 1, 8 },
  { "accumulators", COUNT, offsetof(struct cg_target, accumulators), 1, 32 },
  { "l1_bytes", BYTES, offsetof(struct cg_target, l1_bytes), 4 << 10, 16 << 20 },
  { "l2_bytes", BYTES, offsetof(struct cg_target, l2_bytes), 32 << 10, 1 << 30 },
  { "memory_gbytes_per_s", RATE, offsetof(struct cg_target, gbytes), 0.1, 1e5 },
  { "weights_bytes_per_cycle", RATE, offsetof(struct cg_target, weights_cycle), 0.1, 1e4 },
  { "l3_bytes_per_cycle", RATE, offsetof(struct cg_target, l3_cycle), 0.1, 1e4 },
  { "scratch_bytes_per_cycle", RATE, offsetof(struct cg_target, scratch_cycle), 0.1, 1e4 },
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static bool bad(struct ir_diags *d, const struct ir_yaml *at, const char *expected)
{
  return ir_error(d, IR_M0407, NULL, NULL, "%s:%u: found \"%s\", expected %s", at->file, at->line, at->kind == IR_YAML_SCALAR ? at->s : at->kind == IR_YAML_MAP ? "a mapping" : "a list", expected);
}
static bool bad_number(struct ir_diags *d, const struct key *k, const struct ir_yaml *at)
{
  char range[96];
  snprintf(range, sizeof range, "for %s %s from %.10g to %.10g", k->name, k->kind == RATE ? "a number" : "an integer", k->lo, k->hi);
  return bad(d, at, range);
}
static bool set(struct ir_arena *a, struct ir_diags *d, const struct key *k, const struct ir_yaml *y, struct cg_target *t)
{
  void *at = (char *)t + k->at;
  char *end;
  if (y->kind != IR_YAML_SCALAR) return bad(d, y, "one value");
  if (k->kind == TEXT) *(const char **)at = ir_arena_strdup(a, y->s);
  else if (k->kind == FLAG) {
    if (strcmp(y->s, "true") && strcmp(y->s, "false")) return bad(d, y, "true or false");
    *(bool *)at = *y->s == 't';
  } else {
    double v = strtod(y->s, &end);
    if (end == y->s || *end || !(v >= k->lo && v <= k->hi) || (k->kind != RATE && v != floor(v))) return bad_number(d, k, y);
    if (k->kind == COUNT) *(unsigned *)at = (unsigned)v;
    else if (k->kind == BYTES) *(int64_t *)at = (int64_t)v;
    else *(double *)at = v;
  }
  return true;
}
/* What the level's instructions and registers allow. */
static bool possible(struct ir_diags *d, const struct ir_yaml *y, const struct cg_target *t)
{
  const struct ir_yaml *lanes = ir_yaml_get(y, "vector_lanes"), *registers = ir_yaml_get(y, "vector_registers"), *fma = ir_yaml_get(y, "fma"), *tune = ir_yaml_get(y, "tune_cpu");
  if (lanes && ((t->vec_lanes & (t->vec_lanes - 1)) || t->vec_lanes > 1u << t->level)) return bad(d, lanes, "4, 8 (from level 3 on) or 16 (level 4) float32 in a vector");
  if (registers && t->n_vregs != 16 && (t->n_vregs != 32 || t->level < 4)) return bad(d, registers, "16 vector registers, or 32 at level 4");
  if (fma && t->fma && t->level < 3) return bad(d, fma, "false: level 2 has no fused multiply-add");
  if (tune && (!*tune->s || strspn(tune->s, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(tune->s))) return bad(d, tune, "a processor as LLVM names it, such as znver4");
  return true;
}
static const struct key *find(const char *name)
{
  for (unsigned i = 0; i < N_KEYS; i++)
    if (!strcmp(keys[i].name, name)) return &keys[i];
  return NULL;
}
static bool unknown_key(struct ir_diags *d, const struct ir_yaml *y, unsigned i)
{
  struct ir_buf b = { 0 };
  for (unsigned k = 0; k < N_KEYS; k++) ir_buf_printf(&b, "%s%s", k ? ", " : "", keys[k].name);
  ir_error(d, IR_M0407, NULL, NULL, "%s:%u: unknown key \"%s\"; known are %s", y->file, y->item[i]->line, y->key[i], b.s);
  ir_buf_deinit(&b);
  return false;
}
bool cg_machine_apply(struct ir_arena *a, struct ir_diags *d, const struct ir_yaml *y, struct cg_target *t)
{
  struct cg_target new = *t;
  if (y->kind != IR_YAML_MAP) return bad(d, y, "a mapping of facts, such as \"cores: 8\"");
  for (unsigned i = 0; i < y->n; i++) {
    const struct key *k = find(y->key[i]);
    if (!k) return unknown_key(d, y, i);
    TRY(set(a, d, k, y->item[i], &new));
  }
  TRY(possible(d, y, &new));
  new.gops = new.clock_ghz * new.fma_ports * new.vec_lanes * (new.fma ? 2 : 1);
  *t = new;
  return true;
}
bool cg_machine_whole(const struct ir_yaml *y)
{
  for (unsigned i = 0; i < N_KEYS; i++) TRY(ir_yaml_get(y, keys[i].name) != NULL);
  return true;
}
struct ir_yaml *cg_machine_parse(struct ir_arena *a, struct ir_diags *d, const char *file, const void *text, size_t bytes)
{
  struct ir_yaml_error e;
  struct ir_yaml *y = ir_yaml_read(a, file, text, bytes, &e);
  if (!y) ir_error(d, IR_M0407, NULL, NULL, "%s:%u: %s; expected a YAML mapping of facts, such as \"cores: 8\"", file, e.line, e.why);
  return y;
}
struct ir_yaml *cg_machine_read(struct ir_arena *a, struct ir_diags *d, const char *path)
{
  struct ir_mapping m;
  int rc = ir_file_map(path, &m);
  if (rc) return (void)ir_error(d, IR_M0001, NULL, NULL, "cannot read %s: %s", path, strerror(rc)), NULL;
  struct ir_yaml *y = cg_machine_parse(a, d, path, m.p, m.n);
  ir_file_unmap(&m);
  return y;
}
