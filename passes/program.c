/* What the passes that make the program share, and its text. */
#include "passes/internal.h"
#include <string.h>

bool pass_on_device(const struct pass_ctx *c, const struct ir_node *n) { return c->target && c->target->kind && n->place && !strcmp(n->place, c->target->place); }
const struct ir_value *pass_outer_value(const struct ir_node *n, const struct kir_arr *arg)
{
  if (!n->n_body) return arg->value;
  if (!arg->out) return n->in[arg->value->index];
  for (unsigned i = 0; i < n->n_out; i++)
    if (n->body[0]->results.v[i] == arg->value) return n->out[i];
  ir_bug("pass_outer_value", "an argument that the group does not have");
}
const struct ir_ix *pass_stored_bytes(struct ir_module *m, const struct ir_value *v)
{
  return ir_ix_muli(v->layout ? v->layout->elems : ir_type_elems(m, v->type), ir_elem_bytes(v->type->elem));
}

/* ---- text ---- */
static void print_indented(struct ir_buf *b, const struct ir_buf *x)
{
  for (size_t i = 0, from = 0; i < x->n; i++)
    if (x->s[i] == '\n') { ir_buf_add(b, "  ", 2); ir_buf_add(b, x->s + from, i + 1 - from); from = i + 1; }
}
void pass_program_print(struct ir_buf *b, const struct pass_program *p)
{
  for (uint32_t i = 0; i < p->kernels.n; i++) {
    const struct pass_kernel *k = &p->kernels.v[i];
    struct ir_buf x = { 0 };
    ir_buf_printf(b, "kernel %u @%s {\n", i, k->name);
    kir_nest_print(&x, k->nest);
    kir_sched_print(&x, k->sched);
    if (x.n && x.s[x.n - 1] != '\n') ir_buf_add(&x, "\n", 1);
    print_indented(b, &x);
    ir_buf_deinit(&x);
    ir_buf_printf(b, "}\n");
  }
  for (uint32_t i = 0; i < p->buffers.n; i++) {
    const struct pass_buffer *u = &p->buffers.v[i];
    ir_buf_printf(b, "buffer %u: ", i);
    ir_ix_print(b, u->bytes);
    ir_buf_printf(b, " bytes, steps %u..%u, offset %lld\n", u->first, u->last, (long long)u->offset);
  }
  for (uint32_t i = 0; i < p->weights.n; i++) {
    const struct pass_weight *w = &p->weights.v[i];
    ir_buf_printf(b, "weight %u: %s %s, %llu bytes at %llu\n", i, w->v->name ? w->v->name : "-", ir_type_str(p->arena, w->v->type), (unsigned long long)w->bytes, (unsigned long long)w->offset);
  }
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct ir_node *n = p->groups.v[i].node;
    ir_buf_printf(b, "step %u: %s", i, n->op == IR_OP_transfer ? "copy" : ir_op_def(n->op)->class == IR_C_CONTROL ? ir_op_def(n->op)->name : n->op == IR_OP_loop ? p->groups.v[i].end ? "end of loop" : "loop" : p->kernels.v[p->groups.v[i].kernel].name);
    for (unsigned k = 0; n->prov && k < n->prov->n; k++) ir_buf_printf(b, "%s\"%s\"", k ? ", " : "  ; ", n->prov->name[k]);
    ir_buf_printf(b, "\n");
  }
}
