/* Tensors of the reference evaluator: dense row-major, floats as double, integers and bool as int64_t. */
#include "ir/internal.h"

struct ir_tensor *ir_tensor_create(struct ir_arena *a, enum ir_elem e, unsigned rank, const int64_t *dim)
{
  struct ir_tensor *t = IR_NEW(a, struct ir_tensor);
  IR_ASSERT(rank <= IR_MAX_RANK);
  t->elem = e;
  t->rank = rank;
  t->n = 1;
  for (unsigned d = 0; d < rank; d++) {
    bool ok = dim[d] >= 0 && ir_mul64(t->n, dim[d], &t->n);
    IR_ASSERT(ok);
    t->dim[d] = dim[d];
  }
  t->p = ir_arena_alloc(a, (size_t)t->n * 8);
  return t;
}
void ir_tensor_from_bytes(struct ir_tensor *t, const void *bytes)
{
  unsigned size = ir_elem_bytes(t->elem);
  bool real = ir_elem_float(t->elem);
  for (int64_t k = 0; k < t->n; k++) {
    double f;
    int64_t i;
    ir_elem_load(t->elem, (const char *)bytes + k * size, &f, &i);
    if (real) t->f[k] = f;
    else t->i[k] = i;
  }
}
void ir_tensor_to_bytes(const struct ir_tensor *t, void *bytes)
{
  unsigned size = ir_elem_bytes(t->elem);
  bool real = ir_elem_float(t->elem);
  for (int64_t k = 0; k < t->n; k++) ir_elem_store(t->elem, (char *)bytes + k * size, real ? t->f[k] : 0, real ? 0 : t->i[k]);
}
