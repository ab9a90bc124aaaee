/* schedule: every group gets its nest and a schedule record; groups whose nests and records are equal share one kernel. A group of several operations that no
 * skeleton but plain loops takes is split into single ones.
 * Requires: outline. Result: prog->groups in the order of the graph, prog->kernels. */
#include "passes/fuse.h"
#include <string.h>

/* ---- sharing ---- */
static uint64_t identity(const struct kir_nest *n, const struct kir_sched *s)
{
  struct ir_buf b = { 0 };
  kir_sched_print(&b, s);
  uint64_t h = ir_hash(b.s, b.n, kir_nest_hash(n));
  ir_buf_deinit(&b);
  return h;
}
/* "conv_add_max.layer1.0.conv2.5d0c1a2b": what it does, the first ONNX node of its first use, its content. Symbols show up in profilers and stack traces. */
static const char *kernel_name(struct pass_ctx *c, const struct ir_node *n, uint64_t hash)
{
  struct pass_program *p = c->prog;
  char from[64] = "";
  const char *s = n->prov && n->prov->n ? n->prov->name[0] : "";
  size_t k = 0;
  for (bool gap = false; *s && k + 1 < sizeof from - 16; s++) {
    bool plain = (*s >= '0' && *s <= '9') || ((*s | 32) >= 'a' && (*s | 32) <= 'z') || *s == '_';
    if (plain && gap && k) from[k++] = '.';
    if (plain) from[k++] = *s;
    gap = !plain;
  }
  return ir_arena_printf(p->arena, "%s%s%s.%08x%s", n->name, k ? "." : "", from, (unsigned)(hash >> 32), p->suffix && !pass_target(c, n)->kind ? p->suffix : "");
}
/* A new kernel gets a nest in an arena of its own, since lowering runs in parallel. */
static uint32_t kernel_of(struct pass_ctx *c, const struct ir_node *node, struct kir_sched *s, uint64_t hash)
{
  struct pass_program *p = c->prog;
  for (uint32_t i = 0; i < p->kernels.n; i++)
    if (p->kernels.v[i].hash == hash && p->kernels.v[i].target == pass_target(c, node)) return i;
  struct pass_kernel k = { .target = pass_target(c, node), .hash = hash, .arena = ir_arena_create(), .name = kernel_name(c, node, hash) };
  for (uint32_t i = 0; i < p->kernels.n; i++)
    if (!strcmp(p->kernels.v[i].name, k.name)) k.name = ir_arena_printf(p->arena, "%s%08x", k.name, (unsigned)hash);
  k.nest = kir_nest_of(k.arena, node);
  k.sched = s;                                    /* it names axes and operands, which are called the same in every nest of a node */
  ir_push(p->arena, &p->kernels, k);
  return p->kernels.n - 1;
}
/* More than one operation that is not a view. */
static bool compound(const struct ir_node *n)
{
  unsigned k = 0;
  for (const struct ir_node *x = n->body[0]->first; x; x = x->next) k += x->op != IR_OP_const && !pass_dissolves(x);
  return k > 1;
}
/* Groups that only plain loops could compute are taken apart: a composite into what fuse makes of its pieces, others into single nodes. */
static void split_unschedulable(struct pass_ctx *c)
{
  struct ir_arena *a = ir_arena_create();
  for (struct ir_node *n = c->m->main->first, *next; n; n = next) {
    next = n->next;
    if (n->op != IR_OP_group || !compound(n)) continue;
    const struct kir_nest *nest = kir_nest_of(a, n);
    if (nest && strcmp(pass_target(c, n)->schedule(pass_target(c, n), a, nest, c->opt->level)->kind, "naive")) continue;
    struct ir_node *before = n->prev;
    bool composite = !strcmp(ir_attr_get_str(n, "anchor"), "composite");
    pass_split_group(c, n, composite);
    if (composite) next = before ? before->next : c->m->main->first;   /* the pieces are looked at as well */
  }
  ir_arena_destroy(a);
}
static const struct ir_ix *products(struct pass_ctx *c, const struct kir_nest *n, const struct kir_sched *s)
{
  bool contracts = !strcmp(s->kind, "contract") || !strcmp(s->kind, "winograd") || !strcmp(s->kind, "chain");
  return contracts ? ir_ix_move(c->m->ixs, kir_nest_products(n, s)) : ir_ix_int(c->m->ixs, 0);
}
/* ns that so many take at `rate` of them each. */
static const struct ir_ix *take(const struct ir_ix *e, double rate)
{
  enum { FINE = 1024 };
  int64_t r = (int64_t)(rate * FINE);
  return ir_ix_cdivi(ir_ix_muli(e, FINE), r > 0 ? r : 1);
}
static const struct ir_ix *weight_bytes(const struct kir_nest *n)
{
  const struct ir_ix *all = ir_ix_int(n->ixs, 0);
  for (uint32_t i = 0; i < n->args.n; i++) {
    const struct kir_arr *a = n->args.v[i];
    const struct ir_ix *bytes = ir_ix_int(n->ixs, ir_elem_bytes(a->elem));
    if (a->space != KIR_CONST) continue;
    for (unsigned d = 0; d < a->rank; d++) bytes = ir_ix_mul(bytes, a->shape[d] ? a->shape[d] : ir_ix_sub(a->hi[d], a->lo[d]));
    all = ir_ix_add(all, ir_ix_min(bytes, kir_nest_bytes(n)));     /* of a table no more than is looked up */
  }
  return all;
}
static void predict(struct pass_ctx *c, struct pass_group *g, const struct kir_sched *s)
{
  const struct ir_target *t = pass_target(c, g->node);
  g->computes = g->moves = ir_ix_int(c->m->ixs, 0);
  if (!t->expect) return;
  struct ir_expected e = t->expect(t, c->m->arena, g->nest, s);
  const struct ir_ix *weights = weight_bytes(g->nest), *others = ir_ix_sub(kir_nest_bytes(g->nest), weights);
  const struct ir_ix *work = ir_ix_is(g->products, 0) ? take(kir_nest_work(g->nest), e.ops) : take(kir_nest_products(g->nest, s), e.products);
  g->computes = ir_ix_move(c->m->ixs, ir_ix_max(work, take(others, e.near)));
  g->moves = ir_ix_move(c->m->ixs, take(weights, e.weights / e.growth));
}
static bool schedule_graph(struct pass_ctx *c);
/* A loop stands in the list twice, around its body. */
static bool schedule_loop(struct pass_ctx *c, struct ir_node *n)
{
  struct pass_program *p = c->prog;
  struct ir_graph *g = c->m->main;
  ir_push(p->arena, &p->groups, ((struct pass_group){ .node = n, .work = ir_ix_int(c->m->ixs, 0), .bytes = ir_ix_int(c->m->ixs, 0) }));
  c->m->main = n->body[0];
  bool ok = schedule_graph(c);
  c->m->main = g;
  ir_push(p->arena, &p->groups, ((struct pass_group){ .node = n, .end = true, .work = ir_ix_int(c->m->ixs, 0), .bytes = ir_ix_int(c->m->ixs, 0) }));
  return ok;
}
static bool schedule_graph(struct pass_ctx *c)
{
  struct pass_program *p = c->prog;
  if (c->opt->level > 0) split_unschedulable(c);
  bool chosen = pass_choose(c);
  for (struct ir_node *n = c->m->main->first; n; n = n->next) {
    if (n->op == IR_OP_loop) TRY(schedule_loop(c, n));
    if (n->op != IR_OP_group && (n->op == IR_OP_loop || !pass_is_step(n))) continue;
    struct pass_group g = { .node = n };
    if (n->op == IR_OP_group) {
      struct ir_arena *a = p->arena;
      g.nest = kir_nest_of(a, n);
      if (!g.nest) return ir_error(c->m->diags, IR_M0301, n->prov && n->prov->n ? n->prov->name[0] : NULL, n->name, "no kernel exists for this operation yet");
      struct kir_sched *s = chosen && n->scratch ? n->scratch : pass_target(c, n)->schedule(pass_target(c, n), a, g.nest, c->opt->level);
      g.kernel = kernel_of(c, n, s, identity(g.nest, s));
      g.work = ir_ix_move(c->m->ixs, kir_nest_work(g.nest));
      g.bytes = ir_ix_move(c->m->ixs, kir_nest_bytes(g.nest));
      g.products = products(c, g.nest, s);
      predict(c, &g, s);
    }
    ir_push(p->arena, &p->groups, g);
  }
  return true;
}
bool pass_schedule(struct pass_ctx *c)
{
  c->changed = true;
  return schedule_graph(c);
}
