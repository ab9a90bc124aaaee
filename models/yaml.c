/* Reading a network's file, and what is wrong with it. */
#include "models/mkmodel.h"
#include <string.h>

bool mk_fail(const struct ir_yaml *at, const char *fmt, ...)
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
struct ir_yaml *mk_yaml_read(struct ir_arena *a, const char *path)
{
  struct ir_mapping m;
  struct ir_yaml_error e;
  int rc = ir_file_map(path, &m);
  if (rc) { mk_fail(NULL, "%s: %s", path, strerror(rc)); return NULL; }
  struct ir_yaml *y = ir_yaml_read(a, path, m.p, m.n, &e);
  ir_file_unmap(&m);
  if (!y) mk_fail(&(struct ir_yaml){ .file = path, .line = e.line }, "%s", e.why);
  return y;
}
bool mk_yaml_keys(const struct ir_yaml *map, const char *what, const char *const *keys)
{
  if (map->kind != IR_YAML_MAP) return mk_fail(map, "%s must be a map", what);
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
