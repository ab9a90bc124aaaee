/* The kern's text form: printer. The grammar is in docs/kernel-ir.md; kern_parse.c reads it. */
#include "ir/kernel/internal.h"
#include <string.h>

/* ---- numbering and symbols: one walk each, without recursion over nesting ---- */
struct kir_op *kir_walk(const struct kir_kern *k, struct kir_walk *w)
{
  if (!w->started) {
    w->started = true;
    w->next = k->body.first;
  }
  for (;;) {
    struct kir_op *o = w->next;
    if (o) {
      w->next = o->next;
      for (int i = 1; i >= 0; i--)
        if (o->body[i].first) {
          IR_ASSERT(w->n < KIR_MAX_NEST * 2);
          w->stack[w->n++] = w->next;
          w->next = o->body[i].first;
        }
      return o;
    }
    if (!w->n) return NULL;
    w->next = w->stack[--w->n];
  }
}
bool kir_op_has_value(const struct kir_op *o)
{
  switch (o->op) {
  case KIR_const: case KIR_idx: case KIR_test: case KIR_ew: case KIR_fma: case KIR_cast: case KIR_bitcast: case KIR_splat: case KIR_extract: case KIR_vred:
  case KIR_get: case KIR_load: case KIR_shfl: return true;
  default: return false;
  }
}
static void number(const struct kir_kern *k)
{
  struct kir_walk w = { 0 };
  uint32_t id = 0;
  for (struct kir_op *o; (o = kir_walk(k, &w)) != NULL;)
    if (kir_op_has_value(o)) o->id = id++;
}
void kir_kern_used(struct kir_used *u, const struct kir_kern *k, bool facts)
{
  struct kir_walk w = { 0 };
  kir_used_init(u, k->ixs);
  for (uint32_t i = 0; i < k->args.n; i++) kir_used_arr(u, k->args.v[i]);
  for (uint32_t i = 0; i < k->syms.n; i++) kir_used_ix(u, k->syms.v[i]);
  for (uint32_t i = 0; facts && i < k->facts.ge0.n; i++) kir_used_ix(u, k->facts.ge0.v[i]);
  for (uint32_t i = 0; i < k->grid.n; i++) {
    kir_used_ix(u, k->grid.v[i].var);
    kir_used_ix(u, k->grid.v[i].trips);
  }
  kir_used_ix(u, k->vsym);
  kir_used_ix(u, k->lane);
  kir_used_ix(u, k->warp);
  for (struct kir_op *o; (o = kir_walk(k, &w)) != NULL;) {
    for (unsigned i = 0; i < o->n_ix; i++) kir_used_ix(u, o->ix[i]);
    kir_used_ix(u, o->upto);
    kir_used_ix(u, o->var);
    if (o->e) kir_used_expr(u, o->e);
  }
}

/* ---- pieces ---- */
static void list(struct ir_buf *b, const char *open, const struct ir_ix *const *ix, unsigned n, const char *close)
{
  ir_buf_printf(b, "%s", open);
  for (unsigned i = 0; i < n; i++) {
    if (i) ir_buf_printf(b, ", ");
    ir_ix_print(b, ix[i]);
  }
  ir_buf_printf(b, "%s", close);
}
static void type(struct ir_buf *b, const struct kir_op *o)
{
  if (o->lanes > 1) ir_buf_printf(b, " : v%u%s", o->lanes, ir_elem_name(o->elem));
  else ir_buf_printf(b, " : %s", ir_elem_name(o->elem));
}
static void sources(struct ir_buf *b, const struct kir_op *o)
{
  for (unsigned i = 0; i < o->n_src; i++) ir_buf_printf(b, "%s%%%u", i ? ", " : " ", o->src[i]->id);
}
static void regix(struct ir_buf *b, const struct kir_reg *r, const struct ir_ix *i)
{
  ir_buf_printf(b, "%%%s[", r->name);
  ir_ix_print(b, i);
  ir_buf_printf(b, "]");
}
static void arrix(struct ir_buf *b, const struct kir_arr *a, const struct ir_ix *i)
{
  ir_buf_printf(b, "%s[", a->name);
  ir_ix_print(b, i);
  ir_buf_printf(b, "]");
}
static void guards(struct ir_buf *b, const struct kir_op *o, unsigned from)
{
  if (o->n_ix > from) list(b, " if (", o->ix + from, o->n_ix - from, ")");
  if (o->upto) list(b, " upto (", &o->upto, 1, ")");
  if (o->stride != 1 && o->op != KIR_cp_async) ir_buf_printf(b, " stride %lld", (long long)o->stride);
}
static void target(struct ir_buf *b, const struct kir_op *o)      /* of copy and map */
{
  if (o->reg) ir_buf_printf(b, " %%%s", o->reg->name);
  else {
    ir_buf_printf(b, " %s", o->arr->name);
    list(b, "[", o->ix, o->arr->rank, "]");
  }
  if (o->lay) {
    ir_buf_printf(b, " <");
    kir_layout_print(b, o->lay);
    ir_buf_printf(b, ">");
  }
}
static void reg(struct ir_buf *b, const struct kir_reg *r)
{
  ir_buf_printf(b, "  reg %%%s: ", r->name);
  if (!r->n_dims && !r->lay.n_dims) {
    if (r->lanes > 1) ir_buf_printf(b, "v%u", r->lanes);
    ir_buf_printf(b, "%s x %u\n", ir_elem_name(r->elem), r->count);
    return;
  }
  if (r->lanes != (unsigned)kir_layout_count(&r->lay, 'v')) ir_buf_printf(b, "v%u", r->lanes);
  ir_buf_printf(b, "%s[", ir_elem_name(r->elem));
  for (unsigned d = 0; d < r->n_dims; d++) {
    ir_buf_printf(b, "%s%lld", d ? ", " : "", (long long)r->dim[d]);
    for (unsigned i = 0; i < r->n_axes[d]; i++)
      ir_buf_printf(b, "%s%s/%lld", i ? " x " : " = ", r->axes[d][i].axis, (long long)r->axes[d][i].ext);
  }
  ir_buf_printf(b, "] <");
  kir_layout_print(b, &r->lay);
  if (r->count != (unsigned)kir_layout_count(&r->lay, 'r')) ir_buf_printf(b, "> x %u\n", r->count);
  else ir_buf_printf(b, ">\n");
}

/* ---- ops ---- */
static void value(struct ir_buf *b, const struct kir_op *o)
{
  ir_buf_printf(b, "%%%u = %s", o->id, o->op == KIR_ew ? kir_map_name((enum ir_map)o->sub) : kir_op_name(o->op));
  switch (o->op) {
  case KIR_const:
    ir_buf_printf(b, " ");
    kir_text_lit(b, o->elem, o->f, o->i);
    break;
  case KIR_idx: case KIR_test: list(b, " (", o->ix, 1, ")"); break;
  case KIR_vred: ir_buf_printf(b, " %s", kir_red_name((enum kir_red)o->sub)); sources(b, o); break;
  case KIR_extract: case KIR_shfl: sources(b, o); ir_buf_printf(b, ", %lld", (long long)o->i); break;
  case KIR_get:
    ir_buf_printf(b, " ");
    regix(b, o->reg, o->ix[0]);
    break;
  case KIR_load:
    ir_buf_printf(b, " ");
    arrix(b, o->arr, o->ix[0]);
    guards(b, o, 1);
    if (o->n_ix > 1 || o->upto) {
      ir_buf_printf(b, " else ");
      kir_text_lit(b, o->elem, o->f, o->i);
    }
    break;
  default: sources(b, o); break;
  }
  type(b, o);
}
static void effect(struct ir_buf *b, const struct kir_op *o)
{
  ir_buf_printf(b, "%s", o->op == KIR_for && o->sub == KIR_REPLAY ? "unroll" : kir_op_name(o->op));
  switch (o->op) {
  case KIR_set: ir_buf_printf(b, " "); regix(b, o->reg, o->ix[0]); ir_buf_printf(b, " ="); sources(b, o); break;
  case KIR_store: ir_buf_printf(b, " "); arrix(b, o->arr, o->ix[0]); ir_buf_printf(b, " ="); sources(b, o); guards(b, o, 1); break;
  case KIR_prefetch: ir_buf_printf(b, " "); arrix(b, o->arr, o->ix[0]); if (o->sub) ir_buf_printf(b, " far"); break;
  case KIR_for:
    ir_buf_printf(b, " ");
    ir_ix_print(b, o->var);
    list(b, " = ", o->ix, 1, " .. ");
    ir_ix_print(b, o->ix[1]);
    if (o->sub > 1 && o->sub != KIR_REPLAY) ir_buf_printf(b, " unroll %u", o->sub);
    break;
  case KIR_if: list(b, " (", o->ix, o->n_ix, ")"); break;
  case KIR_tile: ir_buf_printf(b, " %%%s", o->reg->name); break;
  case KIR_fill:
    ir_buf_printf(b, " %%%s <- ", o->reg->name);
    kir_text_lit(b, o->reg->elem, o->f, o->i);
    break;
  case KIR_copy: case KIR_map:
    target(b, o);
    ir_buf_printf(b, " <- ");
    kir_text_expr(b, o->e, NULL, NULL);
    if (o->arr && o->n_ix > o->arr->rank) list(b, " if (", o->ix + o->arr->rank, o->n_ix - o->arr->rank, ")");
    if (o->op == KIR_copy && o->i == 1) ir_buf_printf(b, " via cp.async");
    break;
  case KIR_mma:
    ir_buf_printf(b, " %%%s += ", o->reg->name);
    kir_text_primary(b, o->e->a[0]);
    ir_buf_printf(b, " * ");
    kir_text_primary(b, o->e->a[1]);
    ir_buf_printf(b, " over (");
    if (o->var) {
      ir_ix_print(b, o->var);
      ir_buf_printf(b, " < ");
    }
    list(b, "", o->ix, 1, ")");
    ir_buf_printf(b, " by %s", o->inst->name);
    break;
  case KIR_reduce:
    ir_buf_printf(b, " %%%s <- %s over %lld of %%%s", o->reg->name, kir_red_name((enum kir_red)o->sub), (long long)o->i, o->reg2->name);
    break;
  case KIR_relayout:
    ir_buf_printf(b, " %%%s <- %%%s", o->reg->name, o->reg2->name);
    if (o->arr) ir_buf_printf(b, " via %s", o->arr->name);
    break;
  case KIR_pipe:
    ir_buf_printf(b, " ");
    ir_ix_print(b, o->var);
    list(b, " = 0 .. ", o->ix, 1, "");
    ir_buf_printf(b, " depth %u", o->depth);
    break;
  case KIR_cp_async:
    ir_buf_printf(b, " ");
    arrix(b, o->arr, o->ix[0]);
    ir_buf_printf(b, " <- ");
    arrix(b, o->arr2, o->ix[1]);
    ir_buf_printf(b, " x %u", o->lanes);
    guards(b, o, 2);
    break;
  case KIR_wait: ir_buf_printf(b, " %lld", (long long)o->i); break;
  case KIR_ldmatrix:
    ir_buf_printf(b, " ");
    regix(b, o->reg, o->ix[0]);
    ir_buf_printf(b, " <- ");
    arrix(b, o->arr, o->ix[1]);
    ir_buf_printf(b, " x %lld%s", (long long)o->i, o->sub ? " trans" : "");
    break;
  case KIR_mma_sync:
    ir_buf_printf(b, " ");
    regix(b, o->reg, o->ix[0]);
    ir_buf_printf(b, " += ");
    regix(b, o->reg2, o->ix[1]);
    ir_buf_printf(b, " * ");
    regix(b, o->reg3, o->ix[2]);
    ir_buf_printf(b, " by %s", o->inst->name);
    break;
  case KIR_wgmma:
    ir_buf_printf(b, " ");
    regix(b, o->reg, o->ix[0]);
    ir_buf_printf(b, " += ");
    arrix(b, o->arr, o->ix[1]);
    ir_buf_printf(b, " * ");
    arrix(b, o->arr2, o->ix[2]);
    ir_buf_printf(b, " x %lld by %s", (long long)o->i, o->inst->name);
    break;
  case KIR_wgmma_wait: ir_buf_printf(b, " %%%s", o->reg->name); break;
  default: break;        /* barrier, commit */
  }
}
static bool has_bodies(const struct kir_op *o) { return o->op == KIR_for || o->op == KIR_if || o->op == KIR_pipe; }

static void block(struct ir_buf *b, const struct kir_block *body, unsigned depth)
{
  IR_ASSERT(depth < KIR_MAX_NEST);
  for (const struct kir_op *o = body->first; o; o = o->next) {
    ir_buf_printf(b, "%*s", 2 * (int)depth, "");
    if (kir_op_has_value(o)) value(b, o);
    else effect(b, o);
    if (has_bodies(o)) {
      ir_buf_printf(b, " {\n");
      block(b, &o->body[0], depth + 1);
      if (o->op == KIR_pipe || o->body[1].first) {
        ir_buf_printf(b, "%*s} %s {\n", 2 * (int)depth, "", o->op == KIR_pipe ? "do" : "else");
        block(b, &o->body[1], depth + 1);
      }
      ir_buf_printf(b, "%*s}", 2 * (int)depth, "");
    }
    ir_buf_printf(b, "\n");
  }
}

void kir_kern_print(struct ir_buf *b, const struct kir_kern *k)
{
  struct kir_used u;
  number(k);
  ir_buf_printf(b, "kern @%s(", k->name);
  for (uint32_t i = 0; i < k->args.n; i++) {
    if (i) ir_buf_printf(b, ", ");
    kir_text_arr(b, k->args.v[i], k->args.v[i]->name);
  }
  list(b, k->syms.n ? "; " : "", k->syms.v, k->syms.n, ")");
  kir_kern_used(&u, k, true);
  kir_text_where(b, &u, true);
  kir_used_deinit(&u);
  kir_text_facts(b, &k->facts);
  ir_buf_printf(b, "\n  grid(");
  for (uint32_t i = 0; i < k->grid.n; i++) {
    if (i) ir_buf_printf(b, ", ");
    ir_ix_print(b, k->grid.v[i].var);
    ir_buf_printf(b, " < ");
    ir_ix_print(b, k->grid.v[i].trips);
  }
  ir_buf_printf(b, ") block(");
  ir_ix_print(b, k->warp);
  ir_buf_printf(b, " < %u, ", k->warps);
  ir_ix_print(b, k->lane);
  ir_buf_printf(b, " < %u) vec ", k->lanes);
  ir_ix_print(b, k->vsym);
  if (k->scratch_bytes) ir_buf_printf(b, " scratch %llu", (unsigned long long)k->scratch_bytes);
  ir_buf_printf(b, " %s {\n", k->flat ? "flat" : "tiled");
  for (uint32_t i = 0; i < k->bufs.n; i++) {
    ir_buf_printf(b, "  buf ");
    kir_text_arr(b, k->bufs.v[i], k->bufs.v[i]->name);
    ir_buf_printf(b, "\n");
  }
  for (uint32_t i = 0; i < k->regs.n; i++) reg(b, k->regs.v[i]);
  block(b, &k->body, 1);
  ir_buf_printf(b, "}\n");
}
