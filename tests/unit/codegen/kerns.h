/* Small builders for kerns written by hand in tests. */
#ifndef MASSC_TESTS_KERNS_H
#define MASSC_TESTS_KERNS_H
#include "codegen/codegen.h"

struct kb { struct ir_arena *a; struct kir_nest *n; struct kir_kern *k; struct kir_emit e; };
#define IX(...) (const struct ir_ix *[]){ __VA_ARGS__ }
#define SRC(...) (struct kir_op *[]){ __VA_ARGS__ }

static inline const struct ir_ix *kb_int(struct kb *b, int64_t k) { return ir_ix_int(b->n->ixs, k); }
static inline void kb_open(struct kb *b)
{
  b->a = ir_arena_create();
  b->n = kir_nest_create(b->a, "t");
}
static inline struct kir_arr *kb_arg(struct kb *b, const char *name, enum ir_elem e, int64_t elems, bool out)
{
  return kir_arg(b->n, name, e, 1, IX(kb_int(b, elems)), out);
}
static inline void kb_kern(struct kb *b)            /* when all arguments are there */
{
  b->k = kir_kern_create(b->n, "t");
  b->k->flat = true;
  b->e = (struct kir_emit){ b->k, &b->k->body };
}
static inline void kb_close(struct kb *b) { ir_arena_destroy(b->a); }
static inline const struct ir_ix *kb_grid(struct kb *b, const char *name, const struct ir_ix *trips, int64_t hi)
{
  const struct ir_ix *v = ir_ix_fresh(b->n->ixs, name, IR_SYM_ID, 0, hi - 1, 1);
  ir_push(b->k->arena, &b->k->grid, ((struct kir_digit){ v, trips }));
  return v;
}
/* opens a loop; *outer is where to go back to: b->e.at = outer */
static inline const struct ir_ix *kb_for(struct kb *b, const char *name, const struct ir_ix *lo, const struct ir_ix *hi, int64_t max, unsigned unroll, struct kir_block **outer)
{
  const struct ir_ix *v = ir_ix_fresh(b->n->ixs, name, IR_SYM_LOOP, 0, max - 1, 1);
  struct kir_op *o = kir_emit(&b->e, KIR_for, IR_f32, 1, NULL, 0, IX(lo, hi), 2);
  o->var = v;
  o->sub = unroll;
  *outer = b->e.at;
  b->e.at = &o->body[0];
  return v;
}
static inline struct kir_op *kb_load(struct kb *b, struct kir_arr *arr, unsigned lanes, const struct ir_ix *at)
{
  struct kir_op *o = kir_emit(&b->e, KIR_load, arr->elem, lanes, NULL, 0, IX(at), 1);
  o->arr = arr;
  return o;
}
static inline struct kir_op *kb_store(struct kb *b, struct kir_arr *arr, const struct ir_ix *at, struct kir_op *v)
{
  struct kir_op *o = kir_emit(&b->e, KIR_store, arr->elem, v->lanes, SRC(v), 1, IX(at), 1);
  o->arr = arr;
  return o;
}
static inline struct kir_op *kb_const(struct kb *b, enum ir_elem e, unsigned lanes, double f, int64_t i)
{
  struct kir_op *o = kir_emit(&b->e, KIR_const, e, lanes, NULL, 0, NULL, 0);
  o->f = f;
  o->i = i;
  return o;
}
static inline struct kir_op *kb_ew(struct kb *b, enum ir_map f, enum ir_elem e, struct kir_op *x, struct kir_op *y, struct kir_op *z)
{
  struct kir_op *o = kir_emit(&b->e, KIR_ew, e, x->lanes, SRC(x, y, z), z ? 3 : y ? 2 : 1, NULL, 0);
  o->sub = f;
  return o;
}
static inline struct kir_op *kb_get(struct kb *b, struct kir_reg *r, const struct ir_ix *i)
{
  struct kir_op *o = kir_emit(&b->e, KIR_get, r->elem, r->lanes, NULL, 0, IX(i), 1);
  o->reg = r;
  return o;
}
static inline void kb_set(struct kb *b, struct kir_reg *r, const struct ir_ix *i, struct kir_op *v)
{
  struct kir_op *o = kir_emit(&b->e, KIR_set, r->elem, r->lanes, SRC(v), 1, IX(i), 1);
  o->reg = r;
}
/* a raw buffer of n elements */
static inline struct ir_tensor *kb_buf(struct kb *b, enum ir_elem e, int64_t n)
{
  struct ir_tensor *t = IR_NEW(b->a, struct ir_tensor);
  *t = (struct ir_tensor){ .elem = e, .rank = 1, .dim = { n }, .n = n, .p = ir_arena_alloc(b->a, (size_t)n * 8 + 8) };
  return t;
}
static inline uint64_t kb_rnd(uint64_t *s)
{
  *s ^= *s << 13;
  *s ^= *s >> 7;
  *s ^= *s << 17;
  return *s;
}
#endif
