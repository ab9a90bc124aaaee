/* place: gives every node a place, by the patterns of --place or the target's (the processor, or its device), and puts a transfer wherever a value crosses places.
 *
 * The file is a YAML mapping from a glob pattern over ONNX node names to a place, first match wins:
 *     "/features/?*": cpu
 *     "*":           cpu:1
 * Places known here: cpu, cpu:1 .. cpu:15, and the target's device. Inputs and results are the processor's, and so is every loop, with its body. A value is
 * transferred once per place that reads it. Weights belong to whoever reads them.
 * Requires: nothing. Keeps: values. Afterwards only transfers read across places. */
#include "passes/internal.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct row { const char *pattern, *place; bool used; };
typedef IR_VEC(struct row) rows_vec;

/* The target's place, when s names it: "cuda" or "cuda:0". NULL else. */
static const char *device_place(const struct pass_ctx *c, const char *s)
{
  if (!c->target || !c->target->kind) return NULL;
  size_t n = strcspn(c->target->place, ":");
  return !strcmp(s, c->target->place) || (!strncmp(s, c->target->place, n) && !s[n]) ? c->target->place : NULL;
}
static bool known_place(const struct pass_ctx *c, const char *s)
{
  char *end;
  if (device_place(c, s)) return true;
  if (!strcmp(s, "cpu")) return true;
  if (strncmp(s, "cpu:", 4) || !s[4]) return false;
  long k = strtol(s + 4, &end, 10);
  return !*end && k >= 0 && k < 16;
}
static bool bad_yaml(struct pass_ctx *c, const char *why, size_t line)
{
  return ir_error(c->m->diags, IR_M0403, NULL, NULL, "%s:%zu: %s; a mapping from node patterns to places is expected", c->opt->place_file, line + 1, why);
}
static bool read_rows(struct pass_ctx *c, FILE *f, rows_vec *rows)
{
  yaml_parser_t p;
  yaml_event_t e;
  yaml_parser_initialize(&p);
  yaml_parser_set_input_file(&p, f);
  const char *key = NULL;
  int depth = 0;
  bool ok = true, end = false;
  while (ok && !end) {
    if (!yaml_parser_parse(&p, &e)) { ok = bad_yaml(c, p.problem ? p.problem : "cannot be parsed", p.problem_mark.line); break; }
    switch (e.type) {
    case YAML_MAPPING_START_EVENT: if (depth++) ok = bad_yaml(c, "a nested mapping", e.start_mark.line); break;
    case YAML_MAPPING_END_EVENT: depth--; break;
    case YAML_SCALAR_EVENT:
      if (!depth) { ok = bad_yaml(c, "a plain value", e.start_mark.line); break; }
      if (!key) { key = ir_arena_strdup(c->m->arena, (const char *)e.data.scalar.value); break; }
      const char *place = ir_arena_strdup(c->m->arena, (const char *)e.data.scalar.value);
      if (!known_place(c, place)) ok = ir_error(c->m->diags, IR_M0403, NULL, NULL, "%s:%zu: unknown place \"%s\"; known are cpu and cpu:1 to cpu:15%s%s", c->opt->place_file, e.start_mark.line + 1, place,
                           c->target && c->target->kind ? ", and " : "", c->target && c->target->kind ? c->target->place : "");
      if (device_place(c, place)) place = device_place(c, place);
      ir_push(c->m->arena, rows, ((struct row){ key, place, false }));
      key = NULL;
      break;
    case YAML_SEQUENCE_START_EVENT: ok = bad_yaml(c, "a list", e.start_mark.line); break;
    case YAML_ALIAS_EVENT: ok = bad_yaml(c, "an alias", e.start_mark.line); break;
    case YAML_STREAM_END_EVENT: end = true; break;
    default: break;
    }
    yaml_event_delete(&e);
  }
  yaml_parser_delete(&p);
  return ok;
}
static bool read_file(struct pass_ctx *c, rows_vec *rows)
{
  FILE *f = fopen(c->opt->place_file, "r");
  if (!f) return ir_error(c->m->diags, IR_M0001, NULL, NULL, "cannot read %s: %s", c->opt->place_file, strerror(errno));
  bool ok = read_rows(c, f, rows);
  fclose(f);
  return ok;
}
static const char *place_of(const struct pass_ctx *c, const struct ir_node *n, const rows_vec *rows)
{
  if (pass_on_host(n) || ir_node_late(n)) return "cpu";   /* their conditions and sizes are looked at there */
  for (uint32_t r = 0; r < rows->n; r++)
    for (unsigned i = 0; n->prov && i < n->prov->n; i++)
      if (!fnmatch(rows->v[r].pattern, n->prov->name[i], 0)) { rows->v[r].used = true; return rows->v[r].place; }
  return c->target ? c->target->place : "cpu";
}
static const char *value_place(const struct ir_value *v) { return v->def ? v->def->place : "cpu"; }

/* One transfer per value and place. */
static struct ir_value *transferred(struct pass_ctx *c, struct ir_value *v, const char *place)
{
  for (uint32_t i = 0; i < v->uses.n; i++)
    if (v->uses.v[i]->op == IR_OP_transfer && !strcmp(v->uses.v[i]->place, place)) return v->uses.v[i]->out[0];
  struct ir_builder b = { .g = c->m->main, .at = v->def ? v->def->next : c->m->main->first, .prov = pass_value_prov(v) };
  struct ir_attr a = ir_attr_str("place", place);
  struct ir_node *t = ir_build(&b, IR_OP_transfer, &v, 1, &a, 1);
  t->place = place;
  return t->out[0];
}
/* A loop's body is where the loop is. */
static void settle(struct ir_graph *g, const char *place)
{
  for (struct ir_node *n = g->first; n; n = n->next) {
    n->place = place;
    if (n->op == IR_OP_loop) settle(n->body[0], place);
  }
}
bool pass_place(struct pass_ctx *c)
{
  rows_vec rows = { 0 };
  if (c->opt->place_file) TRY(read_file(c, &rows));
  for (struct ir_node *n = c->m->main->first; n; n = n->next) n->place = place_of(c, n, &rows);
  for (struct ir_node *n = c->m->main->first; n; n = n->next)
    if (n->op == IR_OP_loop) settle(n->body[0], n->place);
  for (uint32_t r = 0; r < rows.n; r++)
    if (!rows.v[r].used) TRY(ir_error(c->m->diags, IR_M0403, NULL, NULL, "%s: pattern \"%s\" matches no node", c->opt->place_file, rows.v[r].pattern));
  for (struct ir_node *n = c->m->main->first; n; n = n->next) {
    if (n->op == IR_OP_transfer || (n->n_out && pass_is_weight(n->out[0]))) continue;
    for (unsigned i = 0; i < n->n_in; i++) {
      if (pass_is_weight(n->in[i]) || !strcmp(value_place(n->in[i]), n->place)) continue;
      ir_node_set_in(n, i, transferred(c, n->in[i], n->place));
      c->changed = true;
    }
  }
  struct ir_graph *g = c->m->main;
  for (uint32_t i = 0; i < g->results.n; i++)
    if (g->results.v[i]->def && !pass_is_weight(g->results.v[i]) && pass_on_device(c, g->results.v[i]->def)) {
      g->results.v[i] = transferred(c, g->results.v[i], "cpu");
      c->changed = true;
    }
  return true;
}
