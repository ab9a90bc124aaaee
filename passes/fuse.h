/* Between fuse and outline: the group that a node belongs to (node->scratch). */
#ifndef MASSC_PASSES_FUSE_H
#define MASSC_PASSES_FUSE_H
#include "passes/internal.h"
struct pass_fusion {
  IR_VEC(struct ir_node *) nodes;
  struct ir_node *anchor;              /* NULL: maps or movement only */
  uint32_t first, last;                /* least and greatest order of its nodes */
  const struct ir_type *row;           /* a group of rows: the type that its reductions read; NULL: none */
  uint32_t reduced;                    /* its reduced axes, one bit each */
  uint32_t stamp;                      /* of a search */
  bool done;
};
/* The group n, made by outline, is taken apart: fused anew (a composite that has no skeleton), or every node a group of its own. */
void pass_split_group(struct pass_ctx *c, struct ir_node *n, bool fuse_again);
void pass_fuse_node(struct pass_ctx *c, struct ir_node *n);       /* finds the group of one node; those before it have theirs */
bool pass_dissolves(const struct ir_node *n);   /* movement that becomes part of its readers' index expressions, widening that is part of their loads */
#endif
