/* Ops and control flow: one walk over a flat kern.
 *
 * A value that is used once, in its own block, is written where it is used, unless something between could change what it reads: another set, a store, a barrier,
 * a loop. Constants stand wherever they are used. What would make a line too long gets a name. */
#include <string.h>
#include "codegen/c.h"

enum { LONGEST = 110 /* characters of a value that stands inside of another */ };

/* ---- values ---- */
static uint32_t hash_of(const struct kir_op *o, uint32_t cap) { return (uint32_t)(((uintptr_t)o >> 4) * 0x9e3779b97f4a7c15ull >> 40) & (cap - 1); }
static struct c_val *slot(struct c_val *v, uint32_t cap, const struct kir_op *o)
{
  uint32_t i = hash_of(o, cap);
  while (v[i].op && v[i].op != o) i = (i + 1) & (cap - 1);
  return &v[i];
}
static struct c_val *val(struct cc *c, const struct kir_op *o)
{
  if (2 * c->n_val >= c->cap_val) {
    uint32_t cap = c->cap_val ? 2 * c->cap_val : 256;
    struct c_val *v = IR_NEWN(c->a, struct c_val, cap);
    for (uint32_t i = 0; i < c->cap_val; i++)
      if (c->val[i].op) *slot(v, cap, c->val[i].op) = c->val[i];
    c->val = v;
    c->cap_val = cap;
  }
  struct c_val *x = slot(c->val, c->cap_val, o);
  if (!x->op) {
    x->op = o;
    c->n_val++;
  }
  return x;
}
static bool has_value(const struct kir_op *o)
{
  switch (o->op) {
  case KIR_const: case KIR_idx: case KIR_test: case KIR_ew: case KIR_fma: case KIR_cast: case KIR_bitcast: case KIR_splat: case KIR_extract: case KIR_vred: case KIR_get:
  case KIR_load: case KIR_shfl: return true;
  default: return false;
  }
}
static void count(struct cc *c, const struct kir_block *b)
{
  uint32_t pos = 0;
  for (const struct kir_op *o = b->first; o; o = o->next, pos++) {
    struct c_val *x = val(c, o);
    x->at = b;
    x->pos = pos;
    c->descriptors |= o->op == KIR_wgmma;
    c->own_tiles |= o->op == KIR_mma_sync && !o->inst->text;
    for (unsigned i = 0; i < o->n_src; i++) {
      struct c_val *s = val(c, o->src[i]);
      s->uses++;
      s->user = o;
      s->user_at = b;
    }
    count(c, &o->body[0]);
    count(c, &o->body[1]);
  }
}
static bool reads_memory(const struct kir_op *o) { return o->op == KIR_get || o->op == KIR_load; }
/* From the last op to the first: the user's place is known. `last` is the place of the nearest effect behind. */
static void choose(struct cc *c, const struct kir_block *b)
{
  uint32_t next_effect = UINT32_MAX;
  for (const struct kir_op *o = b->last; o; o = o->prev) {
    struct c_val *x = val(c, o);
    x->root = x->pos;
    if (!has_value(o)) {
      next_effect = x->pos;
      choose(c, &o->body[0]);
      choose(c, &o->body[1]);
      continue;
    }
    if (o->op == KIR_const || o->op == KIR_splat) x->inl = true;
    else if (o->op != KIR_shfl && x->uses == 1 && x->user_at == b) {
      uint32_t root = val(c, x->user)->root;
      x->inl = (!reads_memory(o) || next_effect >= root) && !(o->op == KIR_load && c_whole(c->k, o));
      if (x->inl) x->root = root;
    }
  }
}
static struct c_text of(struct cc *c, const struct kir_op *o)
{
  struct c_val *x = val(c, o);
  if (!x->t.s) {
    c_fail(c, "a value is used before it is made");
    x->t = (struct c_text){ "0", C_ATOM };
  }
  return x->t;
}
static void declare(struct cc *c, struct c_val *x)
{
  const struct kir_op *o = x->op;
  const char *n = c_name(c, NULL, o->op == KIR_load ? o->arr->name : o->op == KIR_get ? o->reg->name : o->op == KIR_idx ? "i" : o->op == KIR_test ? "p" : "t");
  if (o->lanes == 1) {
    c_line(c, "const %s %s = %s;", c_type(c, o->elem), n, c_at_lane(c, x->t.s, "0"));
    x->t = (struct c_text){ n, C_ATOM };
    return;
  }
  if (c_has_lane(x->t.s)) {
    c_line(c, "%s %s;", c_vec(c, o->elem, o->lanes, false), n);
    c_line(c, "EACH(v, %u) %s.v[v] = %s;", o->lanes, n, c_at_lane(c, x->t.s, "v"));
    x->t = (struct c_text){ c_printf(c, "%s.v[%c]", n, C_LANE), C_ATOM };
    x->var = n;
  } else {
    c_line(c, "const %s %s = %s;", c_type(c, o->elem), n, x->t.s);
    x->t = (struct c_text){ n, C_ATOM };
  }
}

/* ---- single values ---- */
static struct c_text index_value(struct cc *c, const struct kir_op *o)
{
  if (o->elem == IR_i64 || o->elem == IR_u64) return c_ix_as(c, o->ix[0], true);
  struct c_text t = c_ix(c, o->ix[0]);
  if (o->elem == IR_i32) return c_ix_as(c, o->ix[0], false);
  if (o->elem == IR_f16 || o->elem == IR_bf16 || o->elem == IR_tf32) return c_cast(c, IR_i64, o->elem, t);
  return (struct c_text){ c_printf(c, "(%s)%s", c_type(c, o->elem), c_in(c, t, C_UNARY)), C_UNARY };
}
static const char map_kind[] = {
#define MAP(name, arity, kind) #kind[0],
#include "ir/maps.def"
#undef MAP
};
static struct c_text elementwise(struct cc *c, const struct kir_op *o)
{
  struct c_text a[3] = { { 0 } };
  char kind = map_kind[o->sub];
  for (unsigned i = 0; i < o->n_src && i < 3; i++) a[i] = of(c, o->src[i]);
  return c_ew(c, (enum ir_map)o->sub, kind == 'P' ? o->src[0]->elem : kind == 'X' ? o->src[1]->elem : o->elem, a);
}
static struct c_text folded(struct cc *c, const struct kir_op *o)
{
  static const enum ir_map m[] = { [KIR_SUM] = IR_MAP_add, [KIR_PROD] = IR_MAP_mul, [KIR_MAX] = IR_MAP_max, [KIR_MIN] = IR_MAP_min, [KIR_AND] = IR_MAP_and, [KIR_OR] = IR_MAP_or };
  struct c_text v = of(c, o->src[0]), part[KIR_MAX_VEC];
  unsigned n = o->src[0]->lanes;
  for (unsigned i = 0; i < n; i++) part[i] = (struct c_text){ c_at_lane(c, v.s, c_printf(c, "%u", i)), v.prec };
  for (; n > 1; n = (n + 1) / 2)
    for (unsigned i = 0; i < n / 2; i++) part[i] = c_ew(c, m[o->sub], o->elem, (struct c_text[]){ part[i], part[i + (n + 1) / 2], { 0 } });
  return part[0];
}
/* The value that another lane of the warp holds. Without shuffles it goes through shared memory, and all of the block takes part. */
static struct c_text exchanged(struct cc *c, const struct kir_op *o)
{
  struct c_text v = of(c, o->src[0]);
  bool small = ir_elem_bits(o->elem) < 32 && ir_elem_class(o->elem) != 'F';
  if (c->d->warps) {
    struct c_text r = { c_printf(c, "__shfl_xor_sync(0xffffffffu, %s, %lld)", small ? c_printf(c, "(int)%s", c_in(c, v, C_UNARY)) : v.s, (long long)o->i), C_ATOM };
    return small ? (struct c_text){ c_printf(c, "(%s)%s", c_type(c, o->elem), r.s), C_UNARY } : r;
  }
  const char *n = c_name(c, NULL, "t"), *bits = ir_elem_bits(o->elem) == 64 ? "exchange_64" : "exchange";
  enum ir_elem e = ir_elem_bits(o->elem) == 64 ? IR_i64 : IR_i32;
  bool f = ir_elem_class(o->elem) == 'F';
  enum ir_elem from = o->elem == IR_f16 || o->elem == IR_bf16 ? IR_f32 : o->elem;
  struct c_text in = f ? c_bits(c, from, e, v) : c_cast(c, o->elem, e, v);
  c->exchange = true;
  c_line(c, "%s[thread] = %s;", bits, in.s);
  c_line(c, "%s", c->d->barrier);
  struct c_text back = { c_printf(c, "%s[thread ^ %lld]", bits, (long long)o->i), C_ATOM };
  back = f ? c_bits(c, e, from, back) : c_cast(c, e, o->elem, back);
  c_line(c, "const %s %s = %s;", c_type(c, o->elem), n, back.s);
  c_line(c, "%s", c->d->barrier);
  return (struct c_text){ n, C_ATOM };
}
static struct c_text value_of(struct cc *c, const struct kir_op *o)
{
  struct c_text a[3] = { { 0 } };
  for (unsigned i = 0; i < o->n_src && i < 3; i++) a[i] = of(c, o->src[i]);
  switch (o->op) {
  case KIR_const: return c_const(c, o->elem, o->f, o->i);
  case KIR_idx: return index_value(c, o);
  case KIR_test: return c_cond(c, o->ix[0]);
  case KIR_ew: return elementwise(c, o);
  case KIR_fma: return c_fma(c, o->elem, a);
  case KIR_cast: return c_cast(c, o->src[0]->elem, o->elem, a[0]);
  case KIR_bitcast: return c_bits(c, o->src[0]->elem, o->elem, a[0]);
  case KIR_splat: return a[0];
  case KIR_extract: return (struct c_text){ c_at_lane(c, a[0].s, c_printf(c, "%lld", (long long)o->i)), a[0].prec };
  case KIR_vred: return folded(c, o);
  case KIR_get: return c_get(c, o);
  case KIR_load: return c_load(c, o);
  case KIR_shfl: return exchanged(c, o);
  default: return (struct c_text){ NULL, C_ATOM };
  }
}

/* ---- control ---- */
static void walk(struct cc *c, const struct kir_block *b);
static void walk_for(struct cc *c, const struct kir_op *o)
{
  const struct ir_sym *s = ir_ix_as_sym(o->var);
  bool wide = c_sym_wide(s) || c_ix_wide(o->ix[1]);
  const char *n = c_name(c, s, s->name);
  if (o->sub == KIR_REPLAY) c_line(c, "#pragma unroll");
  else if (o->sub > 1) c_line(c, "#pragma unroll %u", o->sub);
  c_line(c, "for (%s %s = %s; %s < %s; %s++) {", wide ? c->d->i64 : "int", n, c_ix(c, o->ix[0]).s, n, c_in(c, c_ix(c, o->ix[1]), C_ADD), n);
  c_open(c);
  if (c->loops.n < C_SCOPES) {
    c->loop_level[c->loops.n] = c->level;
    ir_push(c->a, &c->loops, ((struct c_named){ o->var, NULL }));
  }
  walk(c, &o->body[0]);
  c_close(c);
  c_line(c, "}");
}
static void walk_if(struct cc *c, const struct kir_op *o)
{
  struct c_text g = c_all_ge0(c, o->ix, o->n_ix);
  if (!g.s) {
    c_line(c, "{");
  } else if (!o->body[0].first) {
    if (!o->body[1].first) return;
    c_line(c, "if (!(%s)) {", g.s);
    c_open(c);
    walk(c, &o->body[1]);
    c_close(c);
    c_line(c, "}");
    return;
  } else c_line(c, "if (%s) {", g.s);
  c_open(c);
  walk(c, &o->body[0]);
  c_close(c);
  if (g.s && o->body[1].first) {
    c_line(c, "} else {");
    c_open(c);
    walk(c, &o->body[1]);
    c_close(c);
  }
  c_line(c, "}");
}
static void effect(struct cc *c, const struct kir_op *o)
{
  switch (o->op) {
  case KIR_set: c_set(c, o, of(c, o->src[0]), val(c, o->src[0])->var); return;
  case KIR_store: c_store(c, o, of(c, o->src[0]), val(c, o->src[0])->var); return;
  case KIR_prefetch: return;
  case KIR_for: walk_for(c, o); return;
  case KIR_if: walk_if(c, o); return;
  case KIR_barrier:
    if (c->descriptors) c_line(c, "%s();", c_help(c, "show_to_descriptors", IR_f32));
    c_line(c, "%s", c->d->barrier);
    return;
  case KIR_cp_async: c_cp_async(c, o); return;
  case KIR_commit: if (c->d->warps) c_line(c, "asm volatile(\"cp.async.commit_group;\" ::: \"memory\");"); return;
  case KIR_wait: if (c->d->warps) c_line(c, "asm volatile(\"cp.async.wait_group %lld;\" ::: \"memory\");", (long long)o->i); return;
  case KIR_ldmatrix: c_ldmatrix(c, o); return;
  case KIR_mma_sync: c_mma(c, o); return;
  case KIR_wgmma: c_wgmma(c, o); return;
  case KIR_wgmma_wait: c_wgmma_wait(c, o); return;
  default: c_fail(c, "op %d does not exist on a GPU", (int)o->op);
  }
}
/* ---- the wait for earlier kernels: before the first op of the outermost block that touches what they write or read, so that every thread comes by ---- */
static bool changes(const struct kir_arr *a) { return a && a->arg && a->space != KIR_CONST; }
static bool touches(const struct kir_op *o)
{
  if (changes(o->arr) || changes(o->arr2) || (o->upto && c_ix_reads(o->upto))) return true;
  for (unsigned i = 0; i < o->n_ix; i++)
    if (c_ix_reads(o->ix[i])) return true;
  for (unsigned i = 0; i < 2; i++)
    for (const struct kir_op *p = o->body[i].first; p; p = p->next)
      if (touches(p)) return true;
  return false;
}
/* Behind it the next kernel's blocks may come in, where a multiprocessor has one of this kernel's at most: the kernel after the next cannot come in then, before these
 * blocks have waited. */
static void wait_once(struct cc *c)
{
  if (c->waited || !c->d->warps) return;
  c_line(c, "%s();", c_help(c, "wait_for_earlier_kernels", IR_f32));
  c_line(c, "%s();", c_help(c, "start_next_kernel", IR_f32));
  c->waited = true;
}
static void walk(struct cc *c, const struct kir_block *b)
{
  for (const struct kir_op *o = b->first; o && !c->why; o = o->next) {
    if (b == &c->k->body && !c->waited && touches(o)) wait_once(c);
    if (!has_value(o)) {
      effect(c, o);
      continue;
    }
    if (!val(c, o)->uses) continue;
    struct c_text t = value_of(c, o);
    struct c_val *x = val(c, o);
    x->t = t;
    if (o->op == KIR_load && c_whole(c->k, o)) {       /* "NAME.v[", perhaps inside of a conversion */
      const char *e = strstr(t.s, ".v[\1]"), *s = e;
      while (s > t.s && s[-1] != '(') s--;
      x->var = ir_arena_strndup(c->a, s, (size_t)(e - s));
      if (x->uses > 1 && strcmp(s, t.s)) declare(c, x);
    } else if (!(o->op == KIR_shfl && !c->d->warps) && (!x->inl || (strlen(t.s) > LONGEST && o->op != KIR_const))) declare(c, x);
  }
}
void c_body(struct cc *c)
{
  count(c, &c->k->body);
  choose(c, &c->k->body);
  walk(c, &c->k->body);
  wait_once(c);                                       /* order is transitive only if all wait */
}
