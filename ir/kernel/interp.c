/* The interpreter of flat kerns: what a kern means, and what it must not do.
 *
 * The body becomes linear code with jumps. A task (a block of the grid) runs its warps one instruction row at a time: a random ready warp runs until it meets a
 * barrier, ends, or is interrupted; all at the barrier: the epoch counts on. Lanes go in lockstep under a mask; branches push and pop it.
 * Every element has a poison mark: outputs, registers and shared memory start with it, arithmetic carries it, and a poisoned element of a result is a fault.
 * Shared memory is a row of bytes whose cells hold one element each (buffers may overlap, so a cell is only what was last stored there, with its type); each
 * byte remembers who wrote and read it in which epoch: two threads on one byte, one writing, without a barrier between them, is a race.
 * Asynchronous copies land at once or when they are waited for, by the seed; until then their bytes may not be touched.
 * Weakness: warps interleave between instructions that touch memory, not within one; races are found by the shadow, not by the order that occurred. */
#include "ir/kernel/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { END = KIR_OPCODE_COUNT, NEXT /* of a loop */, ELSE, ENDIF };
enum cls { C_NONE, C_SHAPE, C_ZERO, C_SLACK };         /* what an element of an argument is: outside of the domain, .. */

struct mem {                                           /* an argument */
  const struct kir_arr *arr;
  union kir_val *v;
  int64_t n;
  struct kir_dom dom;
  uint8_t *poison, *cls;                               /* NULL: all known; NULL: not an output */
  uint8_t *state;                                      /* outputs: 0 not stored, 1 stored, 2 stored and read back since by the task that stored it */
  uint32_t *task;
};
struct ins {
  unsigned code;
  const struct kir_op *o;
  const struct kir_ixp **ix, *upto;
  uint32_t to, val, src[3];                            /* first element of the op's value, of its operands (of lane 0; lanes are `lanes` apart) */
  uint32_t slot, var;                                  /* loops: trip limit, symbol */
  unsigned sl[3];                                      /* vector widths of the operands */
  struct mem *mem, *mem2;
  uint32_t reg, reg2, reg3;
  bool uniform;                                        /* no lane in ix[0] */
};
struct product { const struct ins *i; int64_t a, b, c; double *sum; bool done; };   /* of wgmma, until it is waited for: first elements of A and B, register, 16 rows x n */
struct copy { uint32_t byte; unsigned n; enum ir_elem elem; union kir_val v[16]; uint8_t poison[16]; bool late; int thread; };
struct warp {
  uint32_t pc;
  int64_t *sym, *limit;
  union kir_val *val;
  uint8_t *poison;
  struct { uint8_t *before, *els; } *masks; unsigned n_masks;
  uint8_t *mask;                                       /* of lanes */
  unsigned active;
  IR_VEC(struct copy) cur;                             /* copies since the last commit */
  IR_VEC(struct copy) flying; IR_VEC(uint32_t) groups; /* committed ones; group ends in flying */
  IR_VEC(struct product) products; unsigned n_products; /* products.v keeps the room of earlier ones */
  bool at_barrier, ended;
};
struct run {
  const struct kir_kern *k;
  struct ir_arena *arena;
  struct kir_ixm *m;
  struct kir_row row;
  const char **why;
  uint64_t rnd;
  unsigned L, W;
  struct mem *mem;
  IR_VEC(struct ins) prog;
  uint32_t n_val, n_limit, max_masks, vsym, lane, warp;
  struct warp *warps, *w;
  uint32_t task, epoch;
  /* shared memory, by byte */
  size_t n_bytes;
  union kir_val *cell;
  uint8_t *tag;                                        /* 0 poison, 1 + elem: an element begins, 255: goes on */
  uint32_t *we, *re;
  int32_t *wt, *rt;
  uint8_t *fly;
};

static bool fault(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fault(struct run *r, const char *fmt, ...)
{
  char s[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  *r->why = ir_arena_printf(r->k->arena, "%s", s);
  return false;
}
static uint64_t rnd(struct run *r)                     /* splitmix64 */
{
  uint64_t z = r->rnd += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* ================================================ linear code ================================================ */
static struct mem *mem_of(struct run *r, const struct kir_arr *a)
{
  for (uint32_t i = 0; i < r->k->args.n; i++)
    if (r->k->args.v[i] == a) return &r->mem[i];
  for (uint32_t i = 0; i < r->k->bufs.n; i++)
    if (r->k->bufs.v[i] == a) return &r->mem[r->k->args.n + i];
  return NULL;
}
static uint32_t emit(struct run *r, unsigned code, const struct kir_op *o)
{
  ir_push(r->arena, &r->prog, ((struct ins){ .code = code, .o = o }));
  return r->prog.n - 1;
}
static uint32_t base_id(const struct ir_ix *sym) { return kir_base_sym(sym, NULL)->id; }

static bool lower_op(struct run *r, const struct kir_op *o, const uint32_t *reg_first, uint32_t *val_of)
{
  uint32_t at = emit(r, o->op, o);                     /* may move prog.v */
  struct ins *i = &r->prog.v[at];
  if (kir_op_stage(o->op) == 'T') return fault(r, "%s is an op of tiled code", kir_op_name(o->op));
  i->ix = IR_NEWN(r->arena, const struct kir_ixp *, o->n_ix + 1);
  for (unsigned j = 0; j < o->n_ix; j++) i->ix[j] = kir_ixp_get(r->m, o->ix[j]);
  i->uniform = o->n_ix && !kir_ixp_uses(i->ix[0], r->lane) && !kir_ixp_uses(i->ix[0], r->vsym);
  if (o->upto) i->upto = kir_ixp_get(r->m, o->upto);
  if (o->n_src > 3) return fault(r, "%s has %u operands", kir_op_name(o->op), o->n_src);
  for (unsigned j = 0; j < o->n_src; j++) {
    i->src[j] = val_of[o->src[j]->id];
    i->sl[j] = o->src[j]->lanes;
  }
  if (kir_op_has_value(o)) {
    i->val = val_of[o->id] = r->n_val;
    r->n_val += o->lanes * r->L;
  }
  if (o->arr && !(i->mem = mem_of(r, o->arr))) return fault(r, "%s is no array of the kern", o->arr->name);
  if (o->arr2 && !(i->mem2 = mem_of(r, o->arr2))) return fault(r, "%s is no array of the kern", o->arr2->name);
  if (o->reg) i->reg = reg_first[o->reg->id];
  if (o->reg2) i->reg2 = reg_first[o->reg2->id];
  if (o->reg3) i->reg3 = reg_first[o->reg3->id];
  return true;
}
/* Loops: FOR (limit, first value; jumps behind NEXT when empty) body NEXT. Branches: IF (to ELSE) body ELSE (to ENDIF) body ENDIF. */
static bool lower_code(struct run *r, const uint32_t *reg_first, uint32_t *val_of)
{
  struct { const struct kir_op *o; uint32_t at; bool second; } stack[KIR_MAX_NEST];
  unsigned n = 0, masks = 0;
  const struct kir_op *o = r->k->body.first, *next;
  for (;;) {
    for (; o; o = next) {
      uint32_t at = r->prog.n;
      next = o->next;
      TRY(lower_op(r, o, reg_first, val_of));
      if (o->op != KIR_for && o->op != KIR_if) continue;
      if (n == KIR_MAX_NEST) return fault(r, "nested too deeply");
      if (o->op == KIR_for) {
        r->prog.v[at].slot = r->n_limit++;
        r->prog.v[at].var = base_id(o->var);
      } else if (++masks > r->max_masks) r->max_masks = masks;
      stack[n].o = o, stack[n].at = at, stack[n++].second = false;
      next = o->body[0].first;
    }
    if (!n) break;
    o = stack[n - 1].o;
    uint32_t at = stack[n - 1].at;
    if (o->op == KIR_if && !stack[n - 1].second) {
      stack[n - 1].second = true;
      uint32_t e = emit(r, ELSE, o);
      r->prog.v[at].to = e;
      stack[n - 1].at = e;
      o = o->body[1].first;
      continue;
    }
    n--;
    if (o->op == KIR_if) {
      uint32_t e = emit(r, ENDIF, o);
      r->prog.v[at].to = e;
      masks--;
    } else {
      uint32_t e = emit(r, NEXT, o);
      r->prog.v[e].slot = r->prog.v[at].slot;
      r->prog.v[e].var = r->prog.v[at].var;
      r->prog.v[e].to = at + 1;
      r->prog.v[at].to = e + 1;
    }
    o = o->next;
  }
  emit(r, END, NULL);
  return true;
}
static bool lower_kern(struct run *r)
{
  uint32_t *reg_first = IR_NEWN(r->arena, uint32_t, r->k->regs.n + 1), id = 0;
  struct kir_walk w = { 0 };
  for (uint32_t i = 0; i < r->k->regs.n; i++) {
    const struct kir_reg *g = r->k->regs.v[i];
    reg_first[g->id] = r->n_val;
    r->n_val += g->count * g->lanes * r->L;
  }
  for (struct kir_op *o; (o = kir_walk(r->k, &w)) != NULL;) o->id = id++;
  return lower_code(r, reg_first, IR_NEWN(r->arena, uint32_t, id + 1));
}

/* ================================================ arguments ================================================ */
static bool classify(struct run *r, struct mem *m)
{
  const struct kir_arr *a = m->arr;
  int64_t c[IR_MAX_RANK];
  m->cls = IR_NEWN(r->arena, uint8_t, m->n + 1);
  for (unsigned d = 0; d < a->rank; d++) {
    c[d] = m->dom.lo[d];
    if (m->dom.lo[d] >= m->dom.hi[d]) return true;
  }
  do {
    int64_t o = kir_dom_at(&m->dom, c);
    enum cls k = C_SHAPE;
    if (o < 0 || o >= m->n) return fault(r, "%s: an element of its domain lies outside of its buffer", a->name);
    for (unsigned d = 0; d < a->rank; d++)
      if (c[d] < 0 || c[d] >= m->dom.shape[d]) k = a->slack >> d & 1 || !a->zero_pad ? C_SLACK : k == C_SLACK ? k : C_ZERO;
    if (m->cls[o]) return fault(r, "%s: two elements share a place", a->name);
    m->cls[o] = (uint8_t)k;
  } while (kir_dom_next(m->dom.lo, m->dom.hi, a->rank, c));
  return true;
}
static bool open_args(struct run *r, struct ir_tensor *const *bufs)
{
  uint32_t n = r->k->args.n;
  r->mem = IR_NEWN(r->arena, struct mem, n + r->k->bufs.n + 1);
  for (uint32_t i = 0; i < n; i++) {
    struct mem *m = &r->mem[i];
    m->arr = r->k->args.v[i];
    TRY(kir_dom_init(r->arena, &m->dom, m->arr, r->m, &r->row, r->why));
    m->n = m->dom.elems;
    if (!bufs[i] || bufs[i]->n < m->n || bufs[i]->elem != m->arr->elem) return fault(r, "argument %s: the buffer does not have its type and size", m->arr->name);
    m->v = bufs[i]->p;
    if (!m->arr->out && !m->arr->at && !m->arr->slack) continue;
    TRY(classify(r, m));
    m->poison = IR_NEWN(r->arena, uint8_t, m->n + 1);
    for (int64_t j = 0; j < m->n; j++) m->poison[j] = m->arr->out || m->cls[j] == C_NONE || m->cls[j] == C_SLACK;
    if (!m->arr->out) continue;
    m->state = IR_NEWN(r->arena, uint8_t, m->n + 1);
    m->task = IR_NEWN(r->arena, uint32_t, m->n + 1);
    for (int64_t j = 0; j < m->n; j++) m->v[j].i = 0;
  }
  for (uint32_t i = 0; i < r->k->bufs.n; i++) {
    struct mem *m = &r->mem[n + i];
    m->arr = r->k->bufs.v[i];
    TRY(kir_dom_init(r->arena, &m->dom, m->arr, r->m, &r->row, r->why));
    m->n = m->dom.elems;
    if (m->arr->byte_offset + (uint64_t)m->n * ir_elem_bytes(m->arr->elem) > r->k->scratch_bytes) return fault(r, "buffer %s lies outside of the scratch", m->arr->name);
  }
  return true;
}
static bool check_outputs(struct run *r)
{
  for (uint32_t i = 0; i < r->k->args.n; i++) {
    struct mem *m = &r->mem[i];
    for (int64_t j = 0; m->state && j < m->n; j++) {
      if (m->cls[j] == C_SHAPE && !m->state[j]) return fault(r, "%s: element %lld is never stored", m->arr->name, (long long)j);
      if (m->cls[j] == C_ZERO && (m->poison[j] || (kir_is_f(m->arr->elem) ? m->v[j].f != 0 : m->v[j].i != 0)))
        return fault(r, "%s: element %lld, of the halo, is not zero", m->arr->name, (long long)j);
    }
  }
  return true;
}
static bool load_index(void *arg, unsigned array, const int64_t *at, unsigned n, int64_t *out)
{
  struct run *r = arg;
  if (array >= r->k->args.n) return false;
  struct mem *m = &r->mem[array];
  if (n != m->dom.rank || kir_is_f(m->arr->elem)) return false;
  for (unsigned d = 0; d < n; d++)
    if (at[d] < m->dom.lo[d] || at[d] >= m->dom.hi[d]) return false;
  if (n && !m->dom.tab[0]) return false;               /* its offset would use the row at hand */
  int64_t o = kir_dom_at(&m->dom, at);
  if (o < 0 || o >= m->n) return false;
  *out = m->v[o].i;
  return true;
}

/* ================================================ shared memory ================================================ */
static int64_t swizzled(const struct kir_arr *a, int64_t el)
{
  unsigned B = a->swz >> 16, M = a->swz >> 8 & 255, S = a->swz & 255;
  return a->swz ? el ^ (((el >> (M + S)) & ((1ll << B) - 1)) << M) : el;
}
static bool touch(struct run *r, const struct kir_arr *a, size_t byte, unsigned n, int thread, bool write)
{
  if (!r->we) return true;
  for (size_t b = byte; b < byte + n; b++) {
    if (r->fly[b]) return fault(r, "%s: byte %zu of shared memory is touched while a copy into it is in flight", a->name, b);
    if (r->we[b] == r->epoch && r->wt[b] != thread) return fault(r, "race: %s: thread %d %s byte %zu that thread %d wrote since the last barrier", a->name, thread, write ? "writes" : "reads", b, r->wt[b]);
    if (write && r->re[b] == r->epoch && r->rt[b] != thread) return fault(r, "race: %s: thread %d writes byte %zu that another thread read since the last barrier", a->name, thread, b);
    if (write) {
      r->we[b] = r->epoch;
      r->wt[b] = thread;
    } else {
      r->rt[b] = r->re[b] == r->epoch && r->rt[b] != thread ? -2 : thread;
      r->re[b] = r->epoch;
    }
  }
  return true;
}
static void cell_put(struct run *r, size_t byte, enum ir_elem e, union kir_val v, bool poison)
{
  memset(r->tag + byte, 255, ir_elem_bytes(e));
  r->tag[byte] = poison ? 0 : (uint8_t)(1 + e);
  r->cell[byte] = v;
}
static bool cell_get(const struct run *r, size_t byte, enum ir_elem e, union kir_val *v)   /* false: poison */
{
  if (r->tag[byte] != 1 + e) return false;
  for (unsigned i = 1; i < ir_elem_bytes(e); i++)
    if (r->tag[byte + i] != 255) return false;
  *v = r->cell[byte];
  return true;
}

/* ================================================ memory ================================================ */
static bool in_bounds(struct run *r, const struct mem *m, const struct kir_op *o, int64_t el)
{
  return (el >= 0 && el < m->n) || fault(r, "%s %s: element %lld is out of bounds (it has %lld)", kir_op_name(o->op), m->arr->name, (long long)el, (long long)m->n);
}
static bool load1(struct run *r, struct mem *m, const struct kir_op *o, int64_t el, int thread, union kir_val *v, uint8_t *poison)
{
  TRY(in_bounds(r, m, o, el));
  if (m->v) {
    *v = m->v[el];
    *poison = m->poison && m->poison[el];
    if (!m->state || !m->state[el]) return true;
    if (m->task[el] != r->task) return fault(r, "race: %s: element %lld is read by another task than wrote it", m->arr->name, (long long)el);
    m->state[el] = 2;
    return true;
  }
  enum ir_elem e = m->arr->elem;
  size_t byte = m->arr->byte_offset + (size_t)swizzled(m->arr, el) * ir_elem_bytes(e);
  if (swizzled(m->arr, el) >= m->n) return fault(r, "%s: the swizzle leaves the buffer", m->arr->name);
  TRY(touch(r, m->arr, byte, ir_elem_bytes(e), thread, false));
  *poison = !cell_get(r, byte, e, v);
  return true;
}
static bool store1(struct run *r, struct mem *m, const struct kir_op *o, int64_t el, int thread, union kir_val v, uint8_t poison)
{
  TRY(in_bounds(r, m, o, el));
  if (!m->v) {
    enum ir_elem e = m->arr->elem;
    size_t byte = m->arr->byte_offset + (size_t)swizzled(m->arr, el) * ir_elem_bytes(e);
    if (swizzled(m->arr, el) >= m->n) return fault(r, "%s: the swizzle leaves the buffer", m->arr->name);
    TRY(touch(r, m->arr, byte, ir_elem_bytes(e), thread, true));
    cell_put(r, byte, e, v, poison);
    return true;
  }
  if (!m->state) return fault(r, "%s is stored to, but no result", m->arr->name);
  if (m->cls[el] == C_NONE) return fault(r, "%s: element %lld, outside of the domain, is stored", m->arr->name, (long long)el);
  if (m->cls[el] != C_SLACK) {
    if (poison) return fault(r, "%s: element %lld gets a value that was never set", m->arr->name, (long long)el);
    if (m->state[el] == 1 && m->cls[el] == C_SHAPE) return fault(r, "%s: element %lld is stored twice", m->arr->name, (long long)el);
    if (m->state[el] && m->task[el] != r->task && m->cls[el] == C_SHAPE) return fault(r, "race: %s: element %lld is stored by two tasks", m->arr->name, (long long)el);
  }
  m->state[el] = 1;
  m->task[el] = r->task;
  m->v[el] = v;
  m->poison[el] = poison;
  return true;
}
static bool guards_hold(struct run *r, const struct ins *i, unsigned from)
{
  for (unsigned g = from; g < i->o->n_ix; g++)
    if (kir_ixp_eval(i->ix[g], &r->row) < 0) return false;
  return true;
}
#define EACH_LANE(r, l) for (unsigned l = 0; l < (r)->L; l++) if ((r)->w->mask[l] && ((r)->row.v[(r)->lane] = l, true))
static int thread_of(const struct run *r, unsigned l) { return (int)((unsigned)(r->w - r->warps) * r->L + l); }

/* A wide access of one lane is made in pieces of 16 bytes; the swizzle must not tear them. */
static bool torn(struct run *r, const struct mem *m, int64_t el, unsigned lanes)
{
  if (!m->arr->swz || r->L == 1 || lanes < 2) return false;
  unsigned piece = 16 / ir_elem_bytes(m->arr->elem);
  if (piece > lanes) piece = lanes;
  for (unsigned j = 0; j < lanes; j++)
    if (j % piece && swizzled(m->arr, el + j) != swizzled(m->arr, el + j - 1) + 1) return true;
  return false;
}
static bool do_load(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  EACH_LANE(r, l) {
    union kir_val *v = r->w->val + i->val + l * o->lanes, els = { 0 };
    uint8_t *p = r->w->poison + i->val + l * o->lanes;
    if (kir_is_f(o->elem)) els.f = o->f;
    else els.i = o->i;
    int64_t n = !guards_hold(r, i, 1) ? 0 : i->upto ? kir_ixp_eval(i->upto, &r->row) : o->lanes;
    int64_t el = n > 0 ? kir_ixp_eval(i->ix[0], &r->row) : 0;
    if (n >= o->lanes && o->stride == 1 && torn(r, i->mem, el, o->lanes)) return fault(r, "load %s: the swizzle tears the vector", o->arr->name);
    for (unsigned j = 0; j < o->lanes; j++) {
      if (j < n) TRY(load1(r, i->mem, o, el + (int64_t)j * o->stride, thread_of(r, l), &v[j], &p[j]));
      else v[j] = els, p[j] = 0;
    }
  }
  return true;
}
static bool do_store(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  EACH_LANE(r, l) {
    const union kir_val *v = r->w->val + i->src[0] + l * i->sl[0];
    const uint8_t *p = r->w->poison + i->src[0] + l * i->sl[0];
    if (!guards_hold(r, i, 1)) continue;
    int64_t n = i->upto ? kir_ixp_eval(i->upto, &r->row) : i->sl[0], el = kir_ixp_eval(i->ix[0], &r->row);
    if (n >= i->sl[0] && o->stride == 1 && torn(r, i->mem, el, i->sl[0])) return fault(r, "store %s: the swizzle tears the vector", o->arr->name);
    for (unsigned j = 0; j < i->sl[0] && j < n; j++) TRY(store1(r, i->mem, o, el + (int64_t)j * o->stride, thread_of(r, l), v[j], p[j]));
  }
  return true;
}
static bool all_lanes(struct run *r, const struct kir_op *o)
{
  return r->w->active == r->L || fault(r, "%s where only some lanes are", kir_op_name(o->op));
}

/* ---- asynchronous copies ---- */
static bool do_cp_async(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  enum ir_elem e = o->arr->elem;
  unsigned bytes = ir_elem_bytes(e);
  if (o->lanes > 16 || o->arr->space != KIR_SHARED || o->arr2->elem != e) return fault(r, "cp_async: operands do not fit");
  EACH_LANE(r, l) {
    struct copy c = { .n = o->lanes, .elem = e, .late = rnd(r) & 1, .thread = thread_of(r, l) };
    int64_t to = kir_ixp_eval(i->ix[0], &r->row);
    if (guards_hold(r, i, 2)) {
      int64_t from = kir_ixp_eval(i->ix[1], &r->row);
      if (from % (16 / bytes) && o->lanes * bytes == 16) return fault(r, "cp_async: element %lld of %s is not on 16 bytes", (long long)from, o->arr2->name);
      for (unsigned j = 0; j < o->lanes; j++) TRY(load1(r, i->mem2, o, from + j, c.thread, &c.v[j], &c.poison[j]));
    }
    TRY(in_bounds(r, i->mem, o, to));
    TRY(in_bounds(r, i->mem, o, to + o->lanes - 1));
    int64_t at = swizzled(o->arr, to);
    if (torn(r, i->mem, to, o->lanes) || at + o->lanes > i->mem->n) return fault(r, "cp_async %s: the swizzle tears the copy", o->arr->name);
    c.byte = (uint32_t)(o->arr->byte_offset + (size_t)at * bytes);
    if (c.byte % (o->lanes * bytes)) return fault(r, "cp_async: byte %u of shared memory is not aligned", c.byte);
    TRY(touch(r, o->arr, c.byte, c.n * bytes, c.thread, true));
    for (unsigned j = 0; j < c.n; j++) cell_put(r, c.byte + j * bytes, e, c.v[j], c.late || c.poison[j]);
    if (r->fly) memset(r->fly + c.byte, 1, c.n * bytes);
    ir_push(r->arena, &r->w->cur, c);
  }
  return true;
}
static void do_commit(struct run *r)
{
  for (uint32_t j = 0; j < r->w->cur.n; j++) ir_push(r->arena, &r->w->flying, r->w->cur.v[j]);
  r->w->cur.n = 0;
  ir_push(r->arena, &r->w->groups, r->w->flying.n);
}
static bool do_wait(struct run *r, const struct kir_op *o)
{
  struct warp *w = r->w;
  if (w->groups.n <= (uint64_t)o->i) return true;
  uint32_t done = w->groups.n - (uint32_t)o->i, end = w->groups.v[done - 1];
  for (uint32_t j = 0; j < end; j++) {
    struct copy *c = &w->flying.v[j];
    unsigned bytes = ir_elem_bytes(c->elem);
    if (r->fly) memset(r->fly + c->byte, 0, c->n * bytes);
    for (unsigned b = 0; b < c->n; b++) cell_put(r, c->byte + b * bytes, c->elem, c->v[b], c->poison[b]);
    if (!r->we) continue;
    for (size_t b = c->byte; b < c->byte + c->n * bytes; b++) r->we[b] = r->epoch, r->wt[b] = c->thread;   /* visible to others behind a barrier only */
  }
  if (end) memmove(w->flying.v, w->flying.v + end, sizeof *w->flying.v * (w->flying.n - end));
  w->flying.n -= end;
  if (done) memmove(w->groups.v, w->groups.v + done, sizeof *w->groups.v * (w->groups.n - done));
  w->groups.n -= done;
  for (uint32_t j = 0; j < w->groups.n; j++) w->groups.v[j] -= end;
  return true;
}

/* ================================================ values ================================================ */
static uint32_t reg_at(struct run *r, uint32_t first, const struct kir_reg *g, int64_t n, unsigned l) { return first + ((uint32_t)n * r->L + l) * g->lanes; }
static bool reg_number(struct run *r, const struct ins *i, unsigned which, const struct kir_reg *g, unsigned span, int64_t *out)
{
  *out = kir_ixp_eval(i->ix[which], &r->row);
  return (*out >= 0 && *out + span <= g->count) || fault(r, "%s: register %lld of %%%s does not exist", kir_op_name(i->o->op), (long long)*out, g->name);
}
static bool do_get_set(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  bool get = o->op == KIR_get;
  unsigned n = o->reg->lanes;
  EACH_LANE(r, l) {
    int64_t k;
    TRY(reg_number(r, i, 0, o->reg, 1, &k));
    uint32_t at = reg_at(r, i->reg, o->reg, k, l), v = get ? i->val + l * n : i->src[0] + l * n, to = get ? v : at, from = get ? at : v;
    memcpy(r->w->val + to, r->w->val + from, sizeof *r->w->val * n);
    memcpy(r->w->poison + to, r->w->poison + from, n);
  }
  return true;
}
static void do_ix(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  EACH_LANE(r, l)
    for (unsigned j = 0; j < o->lanes; j++) {
      r->row.v[r->vsym] = j;
      union kir_val k = { .i = kir_ixp_eval(i->ix[0], &r->row) };
      r->w->val[i->val + l * o->lanes + j] = kir_cast_val(IR_i64, o->elem, k);
      r->w->poison[i->val + l * o->lanes + j] = 0;
    }
}
static void do_ew(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  enum ir_map f = (enum ir_map)o->sub;
  enum ir_elem from = o->src[0]->elem;
  EACH_LANE(r, l)
    for (unsigned j = 0; j < o->lanes; j++) {
      uint32_t at = l * o->lanes + j, a = i->src[0] + at, b = o->n_src > 1 ? i->src[1] + at : a, c = o->n_src > 2 ? i->src[2] + at : a, to = i->val + at;
      const uint8_t *p = r->w->poison;
      union kir_val *v = r->w->val;
      r->w->poison[to] = f == IR_MAP_select ? p[a] | (v[a].i ? p[b] : p[c]) : p[a] | p[b] | p[c];
      if (r->w->poison[to]) v[to].i = 0;
      else v[to] = kir_map_val(f, from, o->elem, v[a], v[b], v[c]);
    }
}
static void do_fma(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  EACH_LANE(r, l)
    for (unsigned j = 0; j < o->lanes; j++) {
      uint32_t at = l * o->lanes + j, to = i->val + at;
      union kir_val *v = r->w->val, a = v[i->src[0] + at], b = v[i->src[1] + at], c = v[i->src[2] + at], x;
      if (kir_is_f(o->elem)) x.f = o->elem == IR_f64 ? fma(a.f, b.f, c.f) : a.f * b.f + c.f;
      else x.i = (int64_t)((uint64_t)a.i * (uint64_t)b.i + (uint64_t)c.i);
      v[to] = kir_round(o->elem, x);
      r->w->poison[to] = r->w->poison[i->src[0] + at] | r->w->poison[i->src[1] + at] | r->w->poison[i->src[2] + at];
    }
}
static uint64_t to_bits(enum ir_elem e, union kir_val v)
{
  union { float f; uint32_t u; } s = { .f = (float)v.f };
  union { _Float16 h; uint16_t u; } h = { .h = (_Float16)v.f };
  union { double d; uint64_t u; } d = { .d = v.f };
  return e == IR_f32 || e == IR_tf32 ? s.u : e == IR_bf16 ? s.u >> 16 : e == IR_f16 ? h.u : e == IR_f64 ? d.u : (uint64_t)v.i;
}
static union kir_val from_bits(enum ir_elem e, uint64_t x)
{
  union { float f; uint32_t u; } s = { .u = e == IR_bf16 ? (uint32_t)x << 16 : (uint32_t)x };
  union { _Float16 h; uint16_t u; } h = { .u = (uint16_t)x };
  union { double d; uint64_t u; } d = { .u = x };
  union kir_val v;
  if (kir_is_f(e)) v.f = e == IR_f16 ? (double)h.h : e == IR_f64 ? d.d : (double)s.f;
  else v.i = ir_wrap_to(e, (int64_t)x);
  return v;
}
static bool do_lanewise(struct run *r, const struct ins *i)   /* const cast bitcast splat extract vred shfl */
{
  const struct kir_op *o = i->o;
  union kir_val *v = r->w->val;
  uint8_t *p = r->w->poison;
  EACH_LANE(r, l) {
    uint32_t to = i->val + l * o->lanes, a = i->src[0] + l * i->sl[0];
    if (o->op == KIR_vred) {
      union kir_val acc = v[a];
      p[to] = p[a];
      for (unsigned j = 1; j < i->sl[0]; j++) {
        acc = kir_round(o->elem, kir_red_step((enum kir_red)o->sub, o->elem, acc, v[a + j]));
        p[to] |= p[a + j];
      }
      v[to] = acc;
      continue;
    }
    if (o->op == KIR_extract) {
      if (o->i < 0 || o->i >= i->sl[0]) return fault(r, "extract: no element %lld", (long long)o->i);
      v[to] = v[a + (uint32_t)o->i], p[to] = p[a + (uint32_t)o->i];
      continue;
    }
    if (o->op == KIR_shfl) {
      unsigned other = l ^ (unsigned)o->i;
      if (other >= r->L) return fault(r, "shfl: there is no lane %u", other);
      a = i->src[0] + other * i->sl[0];
    }
    for (unsigned j = 0; j < o->lanes; j++) {
      uint32_t s = o->op == KIR_splat ? a : a + j;
      if (o->op == KIR_const) {
        if (kir_is_f(o->elem)) v[to + j].f = ir_round_to(o->elem, o->f);
        else v[to + j].i = ir_wrap_to(o->elem, o->i);
        p[to + j] = 0;
        continue;
      }
      p[to + j] = p[s];
      if (o->op == KIR_cast) v[to + j] = kir_cast_val(o->src[0]->elem, o->elem, v[s]);
      else if (o->op == KIR_bitcast) v[to + j] = from_bits(o->elem, to_bits(o->src[0]->elem, v[s]));
      else v[to + j] = v[s];
    }
  }
  return true;
}

/* ---- matrix instructions: a row's layouts are its meaning ---- */
/* Coordinate of a register, lane and vector place along a dim. */
static int64_t coord(const struct kir_layout *L, char dim, unsigned reg, unsigned lane, unsigned v)
{
  int64_t c = 0;
  for (unsigned i = 0; i < L->n; i++) {
    const struct kir_factor *f = &L->f[i];
    if (L->dim[f->dim][0] != dim) continue;
    unsigned x = f->axis == 'r' ? reg : f->axis == 'l' ? lane : f->axis == 'v' ? v : 0;
    c = c * f->ext + x / (unsigned)f->stride % (unsigned)f->ext;
  }
  return c;
}
static bool is_rounded(struct run *r, enum ir_elem e, double x)      /* what a product of tf32 must get */
{
  return e != IR_tf32 || isnan(x) || x == ir_round_to(e, x) || fault(r, "an operand of a product holds %g, which is not rounded", x);
}
struct frag { const struct kir_layout *lay; const struct kir_reg *reg; uint32_t first; int64_t at; char d0, d1; unsigned n1; };
static bool gather(struct run *r, const struct frag *f, double *m, bool put)   /* registers of the warp -> matrix, or back */
{
  unsigned regs = (unsigned)kir_layout_count(f->lay, 'r'), vec = (unsigned)kir_layout_count(f->lay, 'v');
  if (vec != f->reg->lanes) return fault(r, "mma_sync: %%%s has vectors of %u, the instruction wants %u", f->reg->name, f->reg->lanes, vec);
  for (unsigned g = 0; g < regs; g++)
    for (unsigned l = 0; l < r->L; l++)
      for (unsigned v = 0; v < vec; v++) {
        uint32_t at = reg_at(r, f->first, f->reg, f->at + g, l) + v;
        double *x = m + coord(f->lay, f->d0, g, l, v) * f->n1 + coord(f->lay, f->d1, g, l, v);
        if (put) {
          r->w->val[at].f = isnan(*x) ? *x : ir_round_to(f->reg->elem, *x);
          r->w->poison[at] = isnan(*x);
        } else *x = r->w->poison[at] ? (double)NAN : r->w->val[at].f;
        TRY(is_rounded(r, f->reg->elem, *x));
      }
  return true;
}
/* Without a text of its own an instruction is each lane's own multiplications: of what this lane holds. */
static bool do_own(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  unsigned k = o->inst->k;
  int64_t c, a, b;
  r->row.v[r->lane] = 0;
  TRY(reg_number(r, i, 0, o->reg, 1, &c) && reg_number(r, i, 1, o->reg2, 1, &a) && reg_number(r, i, 2, o->reg3, 1, &b));
  for (unsigned l = 0; l < r->L; l++) {
    uint32_t at = reg_at(r, i->reg, o->reg, c, l), x = reg_at(r, i->reg2, o->reg2, a, l), y = reg_at(r, i->reg3, o->reg3, b, l);
    for (unsigned v = 0; v < k; v++) {
      r->w->val[at].f = ir_round_to(o->reg->elem, fma(r->w->val[x + v].f, r->w->val[y + v].f, r->w->val[at].f));
      r->w->poison[at] |= r->w->poison[x + v] | r->w->poison[y + v];
    }
  }
  return true;
}
static bool do_mma(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  const struct kir_inst *q = o->inst;
  struct frag C = { &q->C, o->reg, i->reg, 0, 'i', 'j', q->n }, A = { &q->A, o->reg2, i->reg2, 0, 'i', 'k', q->k }, B = { &q->B, o->reg3, i->reg3, 0, 'k', 'j', q->n };
  TRY(all_lanes(r, o));
  if (kir_layout_count(&q->C, 'l') != (int64_t)r->L) return fault(r, "mma_sync: %s needs a warp of %lld lanes", q->name, (long long)kir_layout_count(&q->C, 'l'));
  if (!q->text) return do_own(r, i);
  r->row.v[r->lane] = 0;
  TRY(reg_number(r, i, 0, o->reg, (unsigned)kir_layout_count(&q->C, 'r'), &C.at));
  TRY(reg_number(r, i, 1, o->reg2, (unsigned)kir_layout_count(&q->A, 'r'), &A.at));
  TRY(reg_number(r, i, 2, o->reg3, (unsigned)kir_layout_count(&q->B, 'r'), &B.at));
  double *a = calloc(q->m * q->k + q->k * q->n + q->m * q->n + 3, sizeof *a), *b = a + q->m * q->k, *c = b + q->k * q->n;
  if (!a) ir_bug("interp", "out of memory");
  bool ok = gather(r, &A, a, false) && gather(r, &B, b, false) && gather(r, &C, c, false);
  for (unsigned x = 0; ok && x < q->m; x++)
    for (unsigned y = 0; y < q->n; y++)
      for (unsigned z = 0; z < q->k; z++) c[x * q->n + y] += a[x * q->k + z] * b[z * q->n + y];
  ok = ok && gather(r, &C, c, true);
  free(a);
  return ok;
}
/* ---- wgmma: a warp's share is 16 of A's rows; by the seed the operands are read at once or when it is waited for ---- */
enum { ROWS = 16 };
static bool operand(struct run *r, const struct ins *i, struct mem *m, int64_t first, unsigned rows, unsigned cols, double *out)
{
  for (unsigned x = 0; x < rows; x++)
    for (unsigned z = 0; z < cols; z++) {
      union kir_val v;
      uint8_t poison;
      TRY(load1(r, m, i->o, first + x * kir_wgmma_row(i->o->inst) + z, thread_of(r, 0), &v, &poison));
      out[x * cols + z] = poison ? (double)NAN : v.f;
      TRY(is_rounded(r, i->o->inst->ab, out[x * cols + z]));
    }
  return true;
}
static bool multiply(struct run *r, struct product *p)
{
  const struct kir_op *o = p->i->o;
  unsigned n = o->inst->n, k = (unsigned)o->i * o->inst->k, part = (unsigned)(r->w - r->warps) % 4 * ROWS;
  double *a = calloc((size_t)(ROWS + n) * k, sizeof *a), *b = a + (size_t)ROWS * k;
  if (!a) ir_bug("interp", "out of memory");
  bool ok = operand(r, p->i, p->i->mem, p->a + part * kir_wgmma_row(o->inst), ROWS, k, a) && operand(r, p->i, p->i->mem2, p->b, n, k, b);
  for (unsigned x = 0; ok && x < ROWS; x++)
    for (unsigned y = 0; y < n; y++)
      for (unsigned z = 0; z < k; z++) p->sum[x * n + y] += a[x * k + z] * b[y * k + z];
  free(a);
  p->done = true;
  return ok;
}
/* An operand's first element, the same for the four warps that execute the instruction together. */
static bool of_group(struct run *r, const struct ins *i, unsigned which, int64_t *out)
{
  int64_t w = r->w - r->warps, x;
  for (int64_t j = w / 4 * 4; j < w / 4 * 4 + 4; j++) {
    r->row.v[r->warp] = j;
    x = kir_ixp_eval(i->ix[which], &r->row);
    if (j % 4 && x != *out) return r->row.v[r->warp] = w, fault(r, "wgmma: warps %lld to %lld have different operands", (long long)(w / 4 * 4), (long long)(w / 4 * 4 + 3));
    *out = x;
  }
  r->row.v[r->warp] = w;
  return (*out / kir_wgmma_row(i->o->inst) % 8 == 0 && *out % i->o->inst->k == 0) || fault(r, "wgmma: an operand begins at element %lld, within eight rows", (long long)*out);
}
static bool do_wgmma(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  const struct kir_inst *q = o->inst;
  struct warp *w = r->w;
  TRY(all_lanes(r, o));
  if (r->L != 32 || r->W % 4 || kir_layout_count(&q->C, 'w') != 4) return fault(r, "%s needs groups of four warps", q->name);
  if (w->n_products == w->products.n) ir_push(r->arena, &w->products, ((struct product){ .sum = IR_NEWN(r->arena, double, ROWS * 256) }));
  struct product *p = &w->products.v[w->n_products++];
  p->i = i;
  p->done = false;
  r->row.v[r->lane] = 0;
  unsigned regs = (unsigned)kir_layout_count(&q->C, 'r');
  TRY(reg_number(r, i, 0, o->reg, regs, &p->c) && of_group(r, i, 1, &p->a) && of_group(r, i, 2, &p->b));
  TRY(gather(r, &(struct frag){ &q->C, o->reg, i->reg, p->c, 'i', 'j', q->n }, p->sum, false));
  for (unsigned g = 0; g < regs; g++)
    for (unsigned l = 0; l < r->L; l++) memset(w->poison + reg_at(r, i->reg, o->reg, p->c + g, l), 1, o->reg->lanes);
  return rnd(r) & 1 ? true : multiply(r, p);
}
static bool do_wgmma_wait(struct run *r)
{
  for (unsigned n = 0; n < r->w->n_products; n++) {
    struct product *p = &r->w->products.v[n];
    const struct kir_op *o = p->i->o;
    TRY((p->done || multiply(r, p)) && gather(r, &(struct frag){ &o->inst->C, o->reg, p->i->reg, p->c, 'i', 'j', o->inst->n }, p->sum, true));
  }
  r->w->n_products = 0;
  return true;
}
static bool do_ldmatrix(struct run *r, const struct ins *i)
{
  const struct kir_op *o = i->o;
  int64_t first;
  unsigned bytes = ir_elem_bytes(o->arr->elem), row_elems = 16 / bytes, per = 4 / bytes;      /* of a row of 16 bytes, of a register */
  TRY(all_lanes(r, o));
  if (r->L != 32 || (bytes != 2 && (bytes != 4 || o->sub)) || o->reg->lanes != per || o->i < 1 || o->i > 4) return fault(r, "ldmatrix: operands do not fit");
  r->row.v[r->lane] = 0;
  TRY(reg_number(r, i, 0, o->reg, (unsigned)o->i, &first));
  for (unsigned l = 0; l < 8 * (unsigned)o->i; l++) {
    r->row.v[r->lane] = l;
    int64_t el = kir_ixp_eval(i->ix[1], &r->row);
    if (el < 0 || el + row_elems > i->mem->n || torn(r, i->mem, el, row_elems) || (o->arr->byte_offset + bytes * (uint64_t)swizzled(o->arr, el)) % 16)
      return fault(r, "ldmatrix %s: the row at %lld is torn, unaligned or out of bounds", o->arr->name, (long long)el);
    for (unsigned j = 0; j < row_elems; j++) {
      unsigned row = o->sub ? j : l % 8, col = o->sub ? l % 8 : j;
      uint32_t at = reg_at(r, i->reg, o->reg, first + l / 8, row * 4 + col / per) + col % per;
      TRY(load1(r, i->mem, o, el + j, thread_of(r, l), &r->w->val[at], &r->w->poison[at]));
    }
  }
  return true;
}

/* ================================================ control ================================================ */
/* A value that must be the same for all lanes. */
static bool uniform(struct run *r, const struct kir_ixp *p, const struct kir_op *o, int64_t *out)
{
  bool first = true;
  EACH_LANE(r, l) {
    int64_t x = kir_ixp_eval(p, &r->row);
    if (!first && x != *out) return fault(r, "%s: the bounds differ between lanes", kir_op_name(o->op));
    *out = x;
    first = false;
  }
  return true;
}
static void set_mask(struct run *r, const uint8_t *m)
{
  memcpy(r->w->mask, m, r->L);
  r->w->active = 0;
  for (unsigned l = 0; l < r->L; l++) r->w->active += m[l];
}
static void do_if(struct run *r, const struct ins *i)
{
  struct warp *w = r->w;
  unsigned n = w->n_masks++;
  uint8_t *then = w->masks[n].els + r->L;             /* scratch behind it */
  memcpy(w->masks[n].before, w->mask, r->L);
  memset(w->masks[n].els, 0, r->L);
  memset(then, 0, r->L);
  EACH_LANE(r, l) {
    bool yes = guards_hold(r, i, 0);
    then[l] = yes;
    w->masks[n].els[l] = !yes;
  }
  set_mask(r, then);
  w->pc = w->active ? w->pc + 1 : i->to;               /* at ELSE */
}
/* One instruction of the warp at hand; *yield: others may run now. */
static bool step(struct run *r, bool *yield)
{
  struct warp *w = r->w;
  const struct ins *i = &r->prog.v[w->pc];
  const struct kir_op *o = i->o;
  int64_t lo = 0, hi = 0;
  *yield = false;
  switch (i->code) {
  case KIR_for:
    TRY(uniform(r, i->ix[0], o, &lo) && uniform(r, i->ix[1], o, &hi));
    w->limit[i->slot] = hi;
    w->sym[i->var] = lo;
    w->pc = lo < hi ? w->pc + 1 : i->to;
    return true;
  case NEXT: w->pc = ++w->sym[i->var] < w->limit[i->slot] ? i->to : w->pc + 1; return true;
  case KIR_if: do_if(r, i); return true;
  case ELSE:
    set_mask(r, w->masks[w->n_masks - 1].els);
    w->pc = w->active ? w->pc + 1 : i->to;
    return true;
  case ENDIF:
    set_mask(r, w->masks[--w->n_masks].before);
    w->pc++;
    return true;
  case END:
    w->ended = *yield = true;
    if (w->n_products) return fault(r, "a wgmma is never waited for");
    return (!w->cur.n && !w->flying.n) || fault(r, "asynchronous copies are never waited for");
  case KIR_const: case KIR_cast: case KIR_bitcast: case KIR_splat: case KIR_extract: case KIR_vred: TRY(do_lanewise(r, i)); break;
  case KIR_shfl: TRY(all_lanes(r, o) && do_lanewise(r, i)); break;
  case KIR_idx: case KIR_test: do_ix(r, i); break;
  case KIR_ew: do_ew(r, i); break;
  case KIR_fma: do_fma(r, i); break;
  case KIR_get: case KIR_set: TRY(do_get_set(r, i)); break;
  case KIR_load: TRY(do_load(r, i)); *yield = true; break;
  case KIR_store: TRY(do_store(r, i)); *yield = true; break;
  case KIR_prefetch: break;
  case KIR_barrier:
    TRY(all_lanes(r, o));
    w->at_barrier = *yield = true;
    break;
  case KIR_cp_async: TRY(do_cp_async(r, i)); *yield = true; break;
  case KIR_commit: TRY(all_lanes(r, o)); do_commit(r); break;
  case KIR_wait: TRY(all_lanes(r, o) && do_wait(r, o)); break;
  case KIR_ldmatrix: TRY(do_ldmatrix(r, i)); *yield = true; break;
  case KIR_mma_sync: TRY(do_mma(r, i)); break;
  case KIR_wgmma: TRY(do_wgmma(r, i)); *yield = true; break;
  case KIR_wgmma_wait: TRY(all_lanes(r, o) && do_wgmma_wait(r)); break;
  default: return fault(r, "%s cannot be run", kir_op_name(o->op));
  }
  w->pc++;
  return true;
}

/* ================================================ tasks ================================================ */
static void reset_warp(struct run *r, struct warp *w, unsigned n)
{
  w->pc = 0;
  w->n_masks = w->n_products = 0;
  w->at_barrier = w->ended = false;
  w->cur.n = w->flying.n = w->groups.n = 0;
  memcpy(w->sym, r->row.v, sizeof *w->sym * kir_ixm_syms(r->m));
  w->sym[r->warp] = n;
  memset(w->poison, 1, r->n_val);
  memset(w->mask, 1, r->L);
  w->active = r->L;
}
static bool run_warp(struct run *r, struct warp *w)
{
  bool yield;
  int64_t *sym = r->row.v;
  r->w = w;
  r->row.v = w->sym;
  bool ok = true;
  do ok = step(r, &yield) && (!r->row.failed || fault(r, "an index divides by a number below 1, or is loaded from outside of an array"));
  while (ok && !w->ended && !w->at_barrier && !(yield && r->W > 1 && rnd(r) % 8 == 0));
  r->row.v = sym;
  return ok;
}
static bool run_task(struct run *r)
{
  if (r->n_bytes) memset(r->tag, 0, r->n_bytes);
  if (r->fly) memset(r->fly, 0, r->n_bytes);
  r->epoch++;
  for (unsigned i = 0; i < r->W; i++) reset_warp(r, &r->warps[i], i);
  for (;;) {
    unsigned ready = 0, waiting = 0;
    for (unsigned i = 0; i < r->W; i++) {
      ready += !r->warps[i].ended && !r->warps[i].at_barrier;
      waiting += r->warps[i].at_barrier;
    }
    if (!ready && !waiting) return true;
    if (!ready && waiting < r->W) return fault(r, "deadlock: a barrier is not reached by all warps");
    if (!ready) {
      r->epoch++;
      for (unsigned i = 0; i < r->W; i++) r->warps[i].at_barrier = false;
      continue;
    }
    unsigned pick = (unsigned)(rnd(r) % ready), i = 0;
    for (;; i++)
      if (!r->warps[i].ended && !r->warps[i].at_barrier && !pick--) break;
    TRY(run_warp(r, &r->warps[i]));
  }
}
static void open_warps(struct run *r)
{
  r->warps = IR_NEWN(r->arena, struct warp, r->W);
  for (unsigned i = 0; i < r->W; i++) {
    struct warp *w = &r->warps[i];
    w->sym = IR_NEWN(r->arena, int64_t, kir_ixm_syms(r->m) + 1);
    w->limit = IR_NEWN(r->arena, int64_t, r->n_limit + 1);
    w->val = IR_NEWN(r->arena, union kir_val, r->n_val + 1);
    w->poison = IR_NEWN(r->arena, uint8_t, r->n_val + 1);
    w->mask = IR_NEWN(r->arena, uint8_t, r->L);
    w->masks = ir_arena_alloc(r->arena, sizeof *w->masks * (r->max_masks + 1));
    for (unsigned j = 0; j <= r->max_masks; j++) {
      w->masks[j].before = IR_NEWN(r->arena, uint8_t, r->L);
      w->masks[j].els = IR_NEWN(r->arena, uint8_t, 2 * r->L);
    }
  }
  r->n_bytes = r->k->scratch_bytes;
  if (!r->n_bytes) return;
  r->cell = IR_NEWN(r->arena, union kir_val, r->n_bytes + 8);
  r->tag = IR_NEWN(r->arena, uint8_t, r->n_bytes + 8);
  if (r->W * r->L == 1) return;
  r->we = IR_NEWN(r->arena, uint32_t, r->n_bytes + 8);
  r->re = IR_NEWN(r->arena, uint32_t, r->n_bytes + 8);
  r->wt = IR_NEWN(r->arena, int32_t, r->n_bytes + 8);
  r->rt = IR_NEWN(r->arena, int32_t, r->n_bytes + 8);
  r->fly = IR_NEWN(r->arena, uint8_t, r->n_bytes + 8);
}
static bool run_grid(struct run *r)
{
  int64_t trips[64], tasks = 1;
  uint32_t n = r->k->grid.n;
  if (n > 64) return fault(r, "too many digits in the grid");
  for (uint32_t i = 0; i < n; i++) {
    trips[i] = kir_ix_run(r->m, r->k->grid.v[i].trips, &r->row);
    if (trips[i] <= 0) return true;
    if (!ir_mul64(tasks, trips[i], &tasks) || tasks > 1 << 24) return fault(r, "too many tasks to interpret");
  }
  uint32_t *order = IR_NEWN(r->arena, uint32_t, tasks);
  for (uint32_t i = 0; i < tasks; i++) {
    uint32_t j = (uint32_t)(rnd(r) % (i + 1u));
    order[i] = order[j];
    order[j] = i;
  }
  for (int64_t i = 0; i < tasks; i++) {
    int64_t t = order[i];
    r->task = (uint32_t)t + 1;
    for (uint32_t d = n; d-- > 0; t /= trips[d]) r->row.v[base_id(r->k->grid.v[d].var)] = t % trips[d];
    TRY(run_task(r));
  }
  return true;
}
static bool bind(struct run *r, const struct kir_bind *syms, unsigned n_syms)
{
  uint8_t *known = IR_NEWN(r->arena, uint8_t, kir_ixm_syms(r->m) + 1);
  struct kir_used u;
  r->row = (struct kir_row){ .v = IR_NEWN(r->arena, int64_t, kir_ixm_syms(r->m) + 1), .load = load_index, .arg = r };
  TRY(kir_row_bind(r->k->arena, &r->row, r->k->ixs, syms, n_syms, known, r->why));
  kir_kern_used(&u, r->k, false);
  bool ok = kir_all_bound(r->k->arena, &u, known, r->why);
  kir_used_deinit(&u);
  return ok;
}
bool kir_run(const struct kir_kern *k, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *bufs, uint64_t seed, const char **why)
{
  const char *ignored;
  struct run r = { .k = k, .arena = ir_arena_create(), .why = why ? why : &ignored, .rnd = seed, .L = k->lanes, .W = k->warps };
  for (unsigned i = 0; i < IR_IX_COORDS; i++) ir_ix_coord(k->ixs, i);
  r.m = kir_ixm_create(r.arena, k->ixs);
  r.vsym = base_id(k->vsym);
  r.lane = base_id(k->lane);
  r.warp = base_id(k->warp);
  bool ok = (k->flat || fault(&r, "only flat code can be run")) && kir_verify_structure(k, r.why) && bind(&r, syms, n_syms) && open_args(&r, bufs) && lower_kern(&r);
  if (ok) {
    open_warps(&r);
    ok = run_grid(&r) && check_outputs(&r);
  }
  if (!ok) *r.why = ir_arena_strdup(k->arena, *r.why);
  ir_arena_destroy(r.arena);
  return ok;
}
