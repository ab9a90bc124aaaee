/* YAML files as trees (libyaml). */
#ifndef MASSC_IR_BASE_YAML_TREE_H
#define MASSC_IR_BASE_YAML_TREE_H
#include "ir/base/base.h"

struct ir_yaml {
  enum { IR_YAML_SCALAR, IR_YAML_SEQ, IR_YAML_MAP } kind;
  const char *file;                    /* as given to ir_yaml_read, and the line: for messages */
  unsigned line;
  bool quoted;                         /* SCALAR: it stands in quotes */
  const char *s;
  unsigned n;
  const char **key;                    /* MAP: each stands once */
  struct ir_yaml **item;
};
struct ir_yaml_error { unsigned line; const char *why; };
/* The first document of a text. Aliases share their node; a node inside of itself, nesting beyond 64, a key that is no name or stands twice, and an empty text are
 * errors. NULL: *out says what and where. */
struct ir_yaml *ir_yaml_read(struct ir_arena *a, const char *file, const void *text, size_t bytes, struct ir_yaml_error *out);
struct ir_yaml *ir_yaml_get(const struct ir_yaml *map, const char *key);        /* NULL: absent, or no map */
#endif
