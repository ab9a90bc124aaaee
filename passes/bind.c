/* bind: the importer has bound the symbols; what is left is to drop what nothing reads and to merge what is the same.
 * Requires: a module as imported. Keeps: every result and its name. */
#include "passes/internal.h"

bool pass_bind(struct pass_ctx *c)
{
  unsigned n = ir_graph_sweep(c->m->main);
  n += ir_graph_cse(c->m->main);
  c->changed = n > 0;
  return true;
}
