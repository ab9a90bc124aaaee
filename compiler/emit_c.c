/* A kernel's file of CUDA C or OpenCL C: what stands in its head, for reading and for calling it by hand. */
#include "compiler/pipeline.h"
#include "codegen/codegen.h"
#include <string.h>

static void total(struct ir_buf *b, const struct ir_ix *e, const char *unit)
{
  int64_t k;
  if (ir_ix_const(e, &k)) ir_buf_printf(b, "%.6g %s", (double)k, unit);
  else {
    ir_ix_print(b, e);
    ir_buf_printf(b, " %s", unit);
  }
}
static void uses(struct ir_buf *b, const struct pass_program *p, uint32_t kernel)
{
  for (uint32_t i = 0; i < p->groups.n; i++) {
    const struct pass_group *g = &p->groups.v[i];
    if (g->node->op == IR_OP_transfer || g->kernel != kernel) continue;
    ir_buf_printf(b, "  %s:", g->node->name ? g->node->name : "?");
    for (unsigned j = 0; g->node->prov && j < g->node->prov->n; j++) ir_buf_printf(b, "%s %s", j ? "," : "", g->node->prov->name[j]);
    ir_buf_printf(b, "; ");
    total(b, g->work, "operations");
    ir_buf_printf(b, ", ");
    total(b, g->bytes, "bytes");
    ir_buf_printf(b, "\n");
  }
}
static void launch(struct ir_buf *b, const struct kir_kern *k, const struct cg_launch *l, const struct cg_target *t)
{
  ir_buf_printf(b, "Launch: ");
  ir_ix_print(b, l->blocks);
  ir_buf_printf(b, " blocks of %u x %u threads; arguments:", l->lanes, l->warps);
  for (uint32_t i = 0; i < k->args.n; i++) ir_buf_printf(b, "%s %s", i ? "," : "", k->args.v[i]->name);
  for (unsigned i = 0; i < l->n_sizes; i++) {
    ir_buf_printf(b, ", ");
    ir_ix_print(b, l->size[i]);
    ir_buf_printf(b, " (%u bytes)", l->size_bytes[i]);
  }
  ir_buf_printf(b, "; pointers lie on 16 bytes");
  if (l->dynamic_bytes) ir_buf_printf(b, "; %llu bytes of dynamic shared memory", (unsigned long long)l->dynamic_bytes);
  ir_buf_printf(b, "\n%s\n", t->kind == CG_OPENCL ? "Compiles with any OpenCL C 1.2 compiler." : "Compiles with nvcc -cubin -arch=ARCH --fmad=false, or NVRTC with the same options, for sm_80 and later.");
}
void emit_c(struct ir_arena *a, const struct pass_program *p, uint32_t kernel, struct ir_buf *out)
{
  const struct pass_kernel *k = &p->kernels.v[kernel];
  const struct cg_target *t = p->target->impl;
  struct ir_buf head = { 0 }, text = { 0 };
  struct cg_launch l;
  const char *why = NULL;
  if (!cg_c(a, k->kern, t, NULL, &text, &l, &why)) ir_bug("codegen", "kernel %s: %s", k->name, why ? why : "no reason given");
  ir_buf_deinit(&text);
  ir_buf_printf(&head, "%s, by massc " MASSC_VERSION " for %s\nSub-graphs and their ONNX nodes:\n", k->name, t->name);
  uses(&head, p, kernel);
  launch(&head, k->kern, &l, t);
  kir_sched_print(&head, k->sched);
  ir_buf_printf(&head, "\n");
  kir_nest_print(&head, k->nest);
  if (!cg_c(a, k->kern, t, head.s, out, &l, &why)) ir_bug("codegen", "kernel %s: %s", k->name, why ? why : "no reason given");
  ir_buf_deinit(&head);
}
