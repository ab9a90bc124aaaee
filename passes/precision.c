/* precision: rewrites element types when asked to (half precision, TF32). Without a request the model's own types stand, and nothing else can be requested yet:
 * the pass holds the place where such casts have to come in, before patterns are recognised, since they belong to the patterns.
 * Requires: simplify. Keeps: everything. */
#include "passes/internal.h"

bool pass_precision(struct pass_ctx *c)
{
  (void)c;
  return true;
}
