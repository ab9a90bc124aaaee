/* YAML files as trees, through libyaml. Aliases share their node; a node inside of itself, or nesting beyond 64, is an error. */
#include "models/mkmodel.h"
#include <errno.h>
#include <string.h>
#include <yaml.h>

bool mk_fail(const struct mk_yaml *at, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  if (at) fprintf(stderr, "mkmodel: %s:%u: ", at->file, at->line);
  else fprintf(stderr, "mkmodel: ");
  vfprintf(stderr, fmt, ap);
  fputc('\n', stderr);
  va_end(ap);
  return false;
}
struct loader { struct ir_arena *arena; const char *file; yaml_document_t *doc; struct mk_yaml **made; unsigned char *open; };
static struct mk_yaml *convert(struct loader *l, int id, unsigned depth)
{
  yaml_node_t *n = yaml_document_get_node(l->doc, id);
  struct mk_yaml *y = l->made[id];
  if (y && !l->open[id]) return y;
  y = l->made[id] = IR_NEW(l->arena, struct mk_yaml);
  y->file = l->file;
  y->line = (unsigned)n->start_mark.line + 1;
  if (l->open[id] || depth > 64) { mk_fail(y, "nested too deeply, or within itself"); return NULL; }
  l->open[id] = 1;
  if (n->type == YAML_SCALAR_NODE) {
    y->kind = MK_SCALAR;
    y->quoted = n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    y->s = ir_arena_strndup(l->arena, (const char *)n->data.scalar.value, n->data.scalar.length);
  } else if (n->type == YAML_SEQUENCE_NODE) {
    y->kind = MK_SEQ;
    y->n = (unsigned)(n->data.sequence.items.top - n->data.sequence.items.start);
    y->item = IR_NEWN(l->arena, struct mk_yaml *, y->n);
    for (unsigned i = 0; i < y->n; i++)
      if (!(y->item[i] = convert(l, n->data.sequence.items.start[i], depth + 1))) return NULL;
  } else {
    y->kind = MK_MAP;
    y->n = (unsigned)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    y->item = IR_NEWN(l->arena, struct mk_yaml *, y->n);
    y->key = IR_NEWN(l->arena, const char *, y->n);
    for (unsigned i = 0; i < y->n; i++) {
      struct mk_yaml *k = convert(l, n->data.mapping.pairs.start[i].key, depth + 1);
      if (!k || !(y->item[i] = convert(l, n->data.mapping.pairs.start[i].value, depth + 1))) return NULL;
      if (k->kind != MK_SCALAR) { mk_fail(k, "a key must be a name"); return NULL; }
      y->key[i] = k->s;
      for (unsigned j = 0; j < i; j++)
        if (!strcmp(y->key[j], k->s)) { mk_fail(k, "key %s stands twice", k->s); return NULL; }
    }
  }
  l->open[id] = 0;
  return y;
}
static struct mk_yaml *read_document(struct ir_arena *a, const char *path, FILE *f)
{
  yaml_parser_t p;
  yaml_document_t d;
  struct mk_yaml *y = NULL, at = { .file = path, .line = 1 };
  if (!yaml_parser_initialize(&p)) { mk_fail(&at, "out of memory"); return NULL; }
  yaml_parser_set_input_file(&p, f);
  if (!yaml_parser_load(&p, &d)) {
    at.line = (unsigned)p.problem_mark.line + 1;
    mk_fail(&at, "%s", p.problem ? p.problem : "not YAML");
  } else {
    size_t n = (size_t)(d.nodes.top - d.nodes.start) + 1;
    struct loader l = { a, ir_arena_strdup(a, path), &d, IR_NEWN(a, struct mk_yaml *, n), IR_NEWN(a, unsigned char, n) };
    if (n == 1) mk_fail(&at, "the file is empty");
    else y = convert(&l, 1, 0);
    yaml_document_delete(&d);
  }
  yaml_parser_delete(&p);
  return y;
}
struct mk_yaml *mk_yaml_read(struct ir_arena *a, const char *path)
{
  FILE *f = fopen(path, "rb");
  if (!f) { mk_fail(NULL, "%s: %s", path, strerror(errno)); return NULL; }
  struct mk_yaml *y = read_document(a, path, f);
  fclose(f);
  return y;
}
struct mk_yaml *mk_yaml_get(const struct mk_yaml *map, const char *key)
{
  if (!map || map->kind != MK_MAP) return NULL;
  for (unsigned i = 0; i < map->n; i++)
    if (!strcmp(map->key[i], key)) return map->item[i];
  return NULL;
}
bool mk_yaml_keys(const struct mk_yaml *map, const char *what, const char *const *keys)
{
  if (map->kind != MK_MAP) return mk_fail(map, "%s must be a map", what);
  for (unsigned i = 0; i < map->n; i++) {
    unsigned k = 0;
    while (keys[k] && strcmp(keys[k], map->key[i])) k++;
    if (keys[k]) continue;
    struct ir_buf b = { 0 };
    for (k = 0; keys[k]; k++) ir_buf_printf(&b, "%s%s", k ? ", " : "", keys[k]);
    mk_fail(map->item[i], "%s has no key %s (only %s)", what, map->key[i], b.s);
    ir_buf_deinit(&b);
    return false;
  }
  return true;
}
