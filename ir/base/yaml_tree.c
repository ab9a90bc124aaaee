#include "ir/base/yaml_tree.h"
#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 64 };
struct loader { struct ir_arena *arena; const char *file; yaml_document_t *doc; struct ir_yaml **made; unsigned char *open; struct ir_yaml_error *error; };

static struct ir_yaml *fail(struct ir_yaml_error *e, unsigned line, const char *why)
{
  *e = (struct ir_yaml_error){ line, why };
  return NULL;
}
static struct ir_yaml *convert(struct loader *l, int id, unsigned depth);
static bool convert_seq(struct loader *l, const yaml_node_t *n, struct ir_yaml *y, unsigned depth)
{
  y->kind = IR_YAML_SEQ;
  y->n = (unsigned)(n->data.sequence.items.top - n->data.sequence.items.start);
  y->item = IR_NEWN(l->arena, struct ir_yaml *, y->n);
  for (unsigned i = 0; i < y->n; i++) TRY(y->item[i] = convert(l, n->data.sequence.items.start[i], depth + 1));
  return true;
}
static bool convert_map(struct loader *l, const yaml_node_t *n, struct ir_yaml *y, unsigned depth)
{
  y->kind = IR_YAML_MAP;
  y->n = (unsigned)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
  y->item = IR_NEWN(l->arena, struct ir_yaml *, y->n);
  y->key = IR_NEWN(l->arena, const char *, y->n);
  for (unsigned i = 0; i < y->n; i++) {
    struct ir_yaml *k = convert(l, n->data.mapping.pairs.start[i].key, depth + 1);
    TRY(k && (y->item[i] = convert(l, n->data.mapping.pairs.start[i].value, depth + 1)));
    if (k->kind != IR_YAML_SCALAR) return fail(l->error, k->line, "a key must be a name");
    y->key[i] = k->s;
    for (unsigned j = 0; j < i; j++)
      if (!strcmp(y->key[j], k->s)) return fail(l->error, k->line, ir_arena_printf(l->arena, "key %s stands twice", k->s));
  }
  return true;
}
static struct ir_yaml *convert(struct loader *l, int id, unsigned depth)
{
  yaml_node_t *n = yaml_document_get_node(l->doc, id);
  struct ir_yaml *y = l->made[id];
  bool ok = true;
  if (y && !l->open[id]) return y;
  if (l->open[id] || depth > MAX_DEPTH) return fail(l->error, (unsigned)n->start_mark.line + 1, "nested too deeply, or within itself");
  y = l->made[id] = IR_NEW(l->arena, struct ir_yaml);
  y->file = l->file;
  y->line = (unsigned)n->start_mark.line + 1;
  l->open[id] = 1;
  if (n->type == YAML_SEQUENCE_NODE) ok = convert_seq(l, n, y, depth);
  else if (n->type == YAML_MAPPING_NODE) ok = convert_map(l, n, y, depth);
  else {
    y->quoted = n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    y->s = ir_arena_strndup(l->arena, (const char *)n->data.scalar.value, n->data.scalar.length);
  }
  l->open[id] = 0;
  return ok ? y : NULL;
}
struct ir_yaml *ir_yaml_read(struct ir_arena *a, const char *file, const void *text, size_t bytes, struct ir_yaml_error *out)
{
  yaml_parser_t p;
  yaml_document_t d;
  struct ir_yaml *y;
  if (!yaml_parser_initialize(&p)) return fail(out, 1, "out of memory");
  yaml_parser_set_input_string(&p, text ? text : "", bytes);
  if (!yaml_parser_load(&p, &d)) y = fail(out, (unsigned)p.problem_mark.line + 1, p.problem ? ir_arena_strdup(a, p.problem) : "not YAML");
  else {
    size_t n = (size_t)(d.nodes.top - d.nodes.start) + 1;
    struct loader l = { a, ir_arena_strdup(a, file), &d, IR_NEWN(a, struct ir_yaml *, n), IR_NEWN(a, unsigned char, n), out };
    y = n == 1 ? fail(out, 1, "the file is empty") : convert(&l, 1, 0);
    yaml_document_delete(&d);
  }
  yaml_parser_delete(&p);
  return y;
}
struct ir_yaml *ir_yaml_get(const struct ir_yaml *map, const char *key)
{
  if (!map || map->kind != IR_YAML_MAP) return NULL;
  for (unsigned i = 0; i < map->n; i++)
    if (!strcmp(map->key[i], key)) return map->item[i];
  return NULL;
}
