/* Registers, loads, stores, copies and matrix instructions.
 *
 * A vector access that is one aligned piece goes through a struct of that alignment, which compilers make one access of 4, 8 or 16 bytes; any other is one access
 * for each place. A guarded load is `guard ? x[i] : else`. */
#include <string.h>
#include "codegen/c.h"

static bool half(enum ir_elem e) { return e == IR_f16 || e == IR_bf16; }

/* ---- registers ---- */
bool c_packed(const struct kir_reg *r) { return (half(r->elem) && r->lanes == 2) || (r->elem == IR_tf32 && r->lanes == 1); }
static const char *reg(struct cc *c, const struct kir_reg *r, const struct ir_ix *i)
{
  const char *n = c_name(c, r, r->name);
  return r->count == 1 ? n : c_printf(c, "%s[%s]", n, c_ix(c, i).s);
}
void c_declare_regs(struct cc *c)
{
  for (uint32_t i = 0; i < c->k->regs.n; i++) {
    const struct kir_reg *r = c->k->regs.v[i];
    const char *t = c_packed(r) ? "unsigned" : r->lanes > 1 ? c_vec(c, r->elem, r->lanes, false) : c_type(c, r->elem), *n = c_name(c, r, r->name);
    if (r->count == 1) c_line(c, "%s %s;", t, n);
    else c_line(c, "%s %s[%u];", t, n, r->count);
  }
}
struct c_text c_get(struct cc *c, const struct kir_op *o)
{
  const char *s = reg(c, o->reg, o->ix[0]);
  if (c_packed(o->reg) && o->reg->elem == IR_tf32) s = c_printf(c, "%s(%s)", c_help(c, "bits_float", IR_f32), s);
  else if (c_packed(o->reg)) s = c_printf(c, "%s(%s, %c)", c_help(c, o->reg->elem == IR_f16 ? "part_f16" : "part_bf16", o->elem), s, C_LANE);
  else if (o->reg->lanes > 1) s = c_printf(c, "%s.v[%c]", s, C_LANE);
  return (struct c_text){ s, C_ATOM };
}
void c_set(struct cc *c, const struct kir_op *o, struct c_text v, const char *var)
{
  const struct kir_reg *r = o->reg;
  const char *s = reg(c, r, o->ix[0]);
  if (c_packed(r)) v = c_unrounded(v);
  if (r->elem == IR_tf32 && r->lanes == 1) c_line(c, "%s = %s(%s);", s, c_help(c, "float_bits", IR_f32), v.s);
  else if (r->lanes == 1) c_line(c, "%s = %s;", s, v.s);
  else if (!c_packed(r)) {
    if (var && o->src[0]->op != KIR_load) c_line(c, "%s = %s;", s, var);
    else c_line(c, "EACH(v, %u) %s.v[v] = %s;", r->lanes, s, c_at_lane(c, v.s, "v"));
  } else if (var && o->src[0]->op == KIR_load) c_line(c, "%s = %s.v[0] | (unsigned)%s.v[1] << 16;", s, var, var);
  else c_line(c, "%s = %s(%s, %s);", s, c_help(c, r->elem == IR_f16 ? "pair_f16" : "pair_bf16", r->elem), c_at_lane(c, v.s, "0"), c_at_lane(c, v.s, "1"));
}

/* ---- addresses ---- */
static const char *offset(struct cc *c, const struct kir_arr *a, const struct ir_ix *at, int64_t stride, unsigned *prec)
{
  struct c_text t = c_ix(c, at);
  *prec = t.prec;
  if (stride) {
    bool zero = ir_ix_is(at, 0);
    const char *step = stride == 1 ? c_printf(c, "%c", C_LANE) : c_printf(c, "%c*%lld", C_LANE, (long long)stride);
    t.s = zero ? step : c_printf(c, "%s + %s", c_in(c, t, C_ADD), step);
    *prec = C_ADD;
  }
  if (a->swz) {
    t.s = c_printf(c, "%s(%s, %u, %u, %u)", c_help(c, "swz", a->elem), t.s, a->swz >> 16, a->swz >> 8 & 255, a->swz & 255);
    *prec = C_ATOM;
  }
  return t.s;
}
static const char *array(struct cc *c, const struct kir_arr *a) { return c_name(c, a, a->name); }
static const char *element(struct cc *c, const struct kir_arr *a, const struct ir_ix *at, int64_t stride)
{
  unsigned prec;
  return c_printf(c, "%s[%s]", array(c, a), offset(c, a, at, stride, &prec));
}
const char *c_element(struct cc *c, const struct kir_arr *a, const struct ir_ix *at, int64_t stride) { return element(c, a, at, stride > 1 ? stride : 0); }
static const char *pointer(struct cc *c, const struct kir_arr *a, const struct ir_ix *at)
{
  unsigned prec;
  const char *s = offset(c, a, at, 0, &prec);
  return ir_ix_is(at, 0) ? array(c, a) : c_printf(c, "%s + %s", array(c, a), prec > C_ADD ? c_printf(c, "(%s)", s) : s);
}
/* The piece of `lanes` elements at an offset, as an lvalue. */
static const char *piece(struct cc *c, const struct kir_arr *a, const struct ir_ix *at, unsigned lanes, bool constant)
{
  return c_printf(c, "*(%s%s%s *)(%s)", constant ? "const " : "", c_space(c, a), c_vec(c, a->elem, lanes, true), pointer(c, a, at));
}
static bool per_lane(const struct kir_kern *k, const struct kir_op *o)
{
  for (unsigned i = 0; i < o->n_ix && k->vsym; i++)
    if (ir_ix_uses(o->ix[i], k->vsym)) return true;
  return false;
}
bool c_whole(const struct kir_kern *k, const struct kir_op *o)
{
  if (o->lanes < 2 || o->stride != 1 || o->upto || per_lane(k, o) || o->lanes & (o->lanes - 1)) return false;
  if (o->arr->swz && 1u << (o->arr->swz >> 8 & 255) < o->lanes) return false;
  return ir_ix_by(o->ix[0]) % o->lanes == 0;
}
/* Guards, and in a vector the number of places, as one condition; s NULL: none. */
static struct c_text guard(struct cc *c, const struct kir_op *o, bool place)
{
  struct c_text g = c_all_ge0(c, o->ix + 1, o->n_ix - 1);
  if (!place || !o->upto) return g;
  const char *n = c_printf(c, "%s < %s", o->lanes > 1 ? "\1" : "0", c_in(c, c_ix(c, o->upto), C_ADD));
  return g.s ? (struct c_text){ c_printf(c, "%s && %s", g.s, n), C_AND } : (struct c_text){ n, C_CMP };
}

/* ---- loads and stores ---- */
static const char *load_piece(struct cc *c, const struct kir_op *o)
{
  const char *t = c_vec(c, o->elem, o->lanes, true), *n = c_name(c, NULL, o->arr->name), *p = piece(c, o->arr, o->ix[0], o->lanes, true);
  struct c_text g = guard(c, o, false);
  if (!g.s) {
    c_line(c, "const %s %s = %s;", t, n, p);
    return n;
  }
  struct c_text els = c_to_storage(c, o->elem, c_const(c, o->elem, o->f, o->i));
  c_line(c, "%s %s;", t, n);
  c_line(c, "if (%s) %s = %s;", g.s, n, p);
  c_line(c, "else EACH(v, %u) %s.v[v] = %s;", o->lanes, n, els.s);
  return n;
}
/* The same order of bytes in registers and in memory? */
struct c_text c_load(struct cc *c, const struct kir_op *o)
{
  if (o->elem != o->arr->elem) c_fail(c, "a load of %s from %s, which holds %s", ir_elem_name(o->elem), o->arr->name, ir_elem_name(o->arr->elem));
  if (c_whole(c->k, o)) {
    const char *n = load_piece(c, o);
    return c_from_storage(c, o->elem, (struct c_text){ c_printf(c, "%s.v[%c]", n, C_LANE), C_ATOM });
  }
  bool vec = o->lanes > 1;
  struct c_text x = { element(c, o->arr, o->ix[0], vec ? o->stride : 0), C_ATOM }, g = guard(c, o, true), els = c_const(c, o->elem, o->f, o->i);
  x = c_from_storage(c, o->elem, x);
  if (!g.s) return x;
  return (struct c_text){ c_printf(c, "%s ? %s : %s", c_in(c, g, C_OR), c_in(c, x, C_COND), c_in(c, els, C_COND)), C_COND };
}
static void store_piece(struct cc *c, const struct kir_op *o, struct c_text v, const char *var)
{
  struct c_text g = guard(c, o, false);
  bool same = !half(o->elem) && o->elem != IR_bool;
  const char *t = c_vec(c, o->elem, o->lanes, true), *n = var;
  if (!var || !same || o->src[0]->lanes != o->lanes) {
    n = c_name(c, NULL, o->arr->name);
    c_line(c, "%s %s;", t, n);
    c_line(c, "EACH(v, %u) %s.v[v] = %s;", o->lanes, n, c_at_lane(c, c_to_storage(c, o->elem, v).s, "v"));
  }
  c_line(c, "%s%s%s%s = %s;", g.s ? "if (" : "", g.s ? g.s : "", g.s ? ") " : "", piece(c, o->arr, o->ix[0], o->lanes, false), n);
}
void c_store(struct cc *c, const struct kir_op *o, struct c_text v, const char *var)
{
  if (c_whole(c->k, o)) {
    store_piece(c, o, v, var);
    return;
  }
  bool vec = o->lanes > 1;
  struct c_text g = guard(c, o, true);
  const char *to = element(c, o->arr, o->ix[0], vec ? o->stride : 0), *x = c_to_storage(c, o->arr->elem, v).s;
  const char *s = g.s ? c_printf(c, "if (%s) %s = %s;", g.s, to, x) : c_printf(c, "%s = %s;", to, x);
  if (vec) c_line(c, "EACH(v, %u) %s", o->lanes, c_at_lane(c, s, "v"));
  else c_line(c, "%s", c_at_lane(c, s, "0"));
}

/* ---- copies into shared memory, matrix instructions ---- */
void c_cp_async(struct cc *c, const struct kir_op *o)
{
  unsigned bytes = o->lanes * ir_elem_bytes(o->arr->elem);
  struct c_text g = c_all_ge0(c, o->ix + 2, o->n_ix - 2);
  const char *to = pointer(c, o->arr, o->ix[0]), *from = pointer(c, o->arr2, o->ix[1]);
  if (c->d->warps && (bytes == 16 || bytes == 8 || bytes == 4)) {
    c_line(c, "%s(%s, %s, %s);", c_help(c, bytes == 16 ? "cp_async" : bytes == 8 ? "cp_async_8" : "cp_async_4", o->elem), to, from, g.s ? g.s : "true");
    return;
  }
  const char *copy = c_printf(c, "%s = %s;", piece(c, o->arr, o->ix[0], o->lanes, false), piece(c, o->arr2, o->ix[1], o->lanes, true));
  if (!g.s) c_line(c, "%s", copy);
  else {
    c_line(c, "if (%s) %s", g.s, copy);
    c_line(c, "else EACH(v, %u) (%s)[v] = 0;", o->lanes, to);
  }
}
void c_ldmatrix(struct cc *c, const struct kir_op *o)
{
  if (!c->d->warps) c_fail(c, "ldmatrix exists in CUDA only");
  const char *n = c_name(c, o->reg, o->reg->name), *i = c_ix(c, o->ix[0]).s;
  const char *first = o->reg->count == 1 ? c_printf(c, "&%s", n) : ir_ix_is(o->ix[0], 0) ? n : c_printf(c, "%s + %s", n, i);
  c_line(c, "%s(%s, %s);", c_help(c, c_printf(c, "ldmatrix_%d%s", (int)o->i, o->sub ? "t" : ""), o->elem), first, pointer(c, o->arr, o->ix[1]));
}
static void operands(struct cc *c, struct ir_buf *b, const struct kir_reg *r, const struct ir_ix *first, int64_t regs, const char *constraint)
{
  for (int64_t i = 0; i < regs; i++) {
    const char *s = reg(c, r, ir_ix_addi(first, i));
    bool whole = c_packed(r) || r->lanes == 1;
    for (unsigned v = 0; v < (whole ? 1 : r->lanes); v++)
      ir_buf_printf(b, "%s\"%s\"(%s%s)", b->n ? ", " : "", constraint, s, whole ? "" : c_printf(c, ".v[%u]", v));
  }
}
/* Each lane for itself: its element of the result, a vector along k of each factor. */
static void fma_along_k(struct cc *c, const struct kir_op *o)
{
  const char *d = reg(c, o->reg, o->ix[0]);
  const struct c_text part[3] = { { c_printf(c, "%s.v[v]", reg(c, o->reg2, o->ix[1])), C_ATOM }, { c_printf(c, "%s.v[v]", reg(c, o->reg3, o->ix[2])), C_ATOM }, { d, C_ATOM } };
  c_line(c, "EACH(v, %u) %s = %s;", o->inst->k, d, c_fma(c, o->reg->elem, part).s);
}
void c_mma(struct cc *c, const struct kir_op *o)
{
  const struct kir_inst *in = o->inst;
  struct ir_buf d = { 0 }, ab = { 0 };
  if (!in->text) {
    fma_along_k(c, o);
    return;
  }
  if (!c->d->warps) {
    c_fail(c, "%s exists in CUDA only", in->name);
    return;
  }
  operands(c, &d, o->reg, o->ix[0], kir_layout_count(&in->C, 'r'), "+f");
  operands(c, &ab, o->reg2, o->ix[1], kir_layout_count(&in->A, 'r'), "r");
  operands(c, &ab, o->reg3, o->ix[2], kir_layout_count(&in->B, 'r'), "r");
  c_line(c, "asm volatile(\"%s\"", in->text);
  c_line(c, "             : %s", d.s);
  c_line(c, "             : %s);", ab.s);
  ir_buf_deinit(&d);
  ir_buf_deinit(&ab);
}
/* ---- wgmma: operands by descriptors, whose start counts 16 bytes; asynchronous ---- */
static const char *unswizzled(struct cc *c, const struct kir_arr *a, const struct ir_ix *at)
{
  struct c_text t = c_ix(c, at);
  return ir_ix_is(at, 0) ? array(c, a) : c_printf(c, "%s + %s", array(c, a), c_in(c, t, C_ADD));
}
void c_wgmma(struct cc *c, const struct kir_op *o)
{
  const struct kir_inst *in = o->inst;
  int64_t regs = kir_layout_count(&in->C, 'r'), places = kir_layout_count(&in->C, 'v');
  struct ir_buf d = { 0 }, list = { 0 };
  if (!c->d->warps) c_fail(c, "wgmma exists in CUDA only");
  const char *turns = ir_elem_bytes(in->ab) == 2 ? ", 0, 0" : "";                           /* operands of 16 bits could be transposed */
  int64_t step = in->k * ir_elem_bytes(in->ab) / 16;
  operands(c, &d, o->reg, o->ix[0], regs, "+f");
  for (int64_t i = 0; i < regs * places; i++) ir_buf_printf(&list, "%s%%%lld", i ? "," : "", (long long)i);
  const char *make = c_help(c, "descriptor", IR_f32), *a = c_name(c, NULL, "da"), *b = c_name(c, NULL, "db");
  c_line(c, "asm volatile(\"wgmma.fence.sync.aligned;\" ::: \"memory\");");
  c_line(c, "const unsigned long long %s = %s(%s), %s = %s(%s);", a, make, unswizzled(c, o->arr, o->ix[1]), b, make, unswizzled(c, o->arr2, o->ix[2]));
  for (int64_t i = 0; i < o->i; i++) {
    c_line(c, "asm volatile(\"{.reg .pred p; setp.eq.u32 p, 0, 0; %s {%s}, %%%lld, %%%lld, p, 1, 1%s;}\"", in->text, list.s, (long long)(regs * places), (long long)(regs * places + 1), turns);
    c_line(c, "             : %s", d.s);
    c_line(c, "             : \"l\"(%s + %lld), \"l\"(%s + %lld));", a, (long long)(i * step), b, (long long)(i * step));
  }
  c_line(c, "asm volatile(\"wgmma.commit_group.sync.aligned;\" ::: \"memory\");");
  ir_buf_deinit(&d);
  ir_buf_deinit(&list);
}
void c_wgmma_wait(struct cc *c, const struct kir_op *o)
{
  struct ir_buf d = { 0 };
  operands(c, &d, o->reg, ir_ix_int(c->k->ixs, 0), o->reg->count, "+f");
  c_line(c, "asm volatile(\"wgmma.wait_group.sync.aligned 0;\" : %s :: \"memory\");", d.s);
  ir_buf_deinit(&d);
}
