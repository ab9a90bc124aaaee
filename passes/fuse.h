/* Between fuse and outline: the group that a node belongs to (node->scratch). */
#ifndef MASSC_PASSES_FUSE_H
#define MASSC_PASSES_FUSE_H
#include "passes/internal.h"
struct pass_fusion {
  IR_VEC(struct ir_node *) nodes;
  struct ir_node *anchor;              /* NULL: maps or movement only */
  uint32_t first, last;                /* least and greatest order of its nodes */
  uint32_t stamp;                      /* of a search */
  bool done;
};
bool pass_dissolves(const struct ir_node *n);   /* movement that becomes part of its readers' index expressions */
#endif
