/* Kernels as files of CUDA C or OpenCL C (--emit cuda, opencl): what stands in their heads, for reading and for calling them by hand, and what they are called.
 *
 * A kernel whose text is the same for every architecture is one file, NAME.cu; else there are variants, NAME.sm_90a.cu, named by the oldest architecture that
 * each is for. Schedules differ by architecture, and a kernel's name has a hash of its schedule: a variant is as a rule the only one of its name. */
#include "compiler/pipeline.h"
#include "codegen/codegen.h"
#include <string.h>

static const struct cg_target *target_at(const struct pass_program *p) { return p->target->impl; }
static bool is_devices(const struct pass_program *p, uint32_t kernel) { return p->kernels.v[kernel].target->kind == p->target->kind; }

/* ---- head ---- */
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
    if (g->node->op != IR_OP_group || g->kernel != kernel) continue;
    ir_buf_printf(b, "  %s:", g->node->name ? g->node->name : "?");
    for (unsigned j = 0; g->node->prov && j < g->node->prov->n; j++) ir_buf_printf(b, "%s %s", j ? "," : "", g->node->prov->name[j]);
    ir_buf_printf(b, "; ");
    total(b, g->work, "operations");
    ir_buf_printf(b, ", ");
    total(b, g->bytes, "bytes");
    ir_buf_printf(b, "\n");
  }
}
static void launch(struct ir_buf *b, const struct kir_kern *k, const struct cg_launch *l)
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
  ir_buf_printf(b, "\n");
}
/* The versions of a file, the oldest first. */
static const char *names(struct ir_arena *a, const struct pass_program *p, unsigned n, unsigned versions)
{
  const char *s = "";
  for (unsigned i = n; i-- > 0;)
    if (versions & 1u << i) s = ir_arena_printf(a, "%s%s%s", s, *s ? ", " : "", target_at(&p[i])->arch ? target_at(&p[i])->arch : target_at(&p[i])->name);
  return s;
}
static void compilers(struct ir_buf *b, const struct cg_target *oldest, const char *archs)
{
  if (oldest->kind == CG_OPENCL) ir_buf_printf(b, "Compiles with any OpenCL C 1.2 compiler.\n");
  else ir_buf_printf(b, "Compiles with nvcc -cubin -arch=ARCH --fmad=false, or NVRTC with the same options, for ARCH = %s%s.\n", archs, cg_target_exact(oldest) ? "" : " and later");
}
static unsigned oldest(const struct kernel_text *t)
{
  unsigned i = 0;
  while (t->versions >> (i + 1)) i++;
  return i;
}
void kernel_print(struct ir_arena *a, const struct pass_program *p, unsigned n, const struct kernel_text *t, struct ir_buf *out)
{
  const struct pass_program *q = &p[oldest(t)];
  const struct pass_kernel *k = &q->kernels.v[t->kernel];
  const char *archs = names(a, p, n, t->versions), *why = NULL;
  struct ir_buf head = { 0 };
  ir_buf_printf(&head, "%s, by massc " MASSC_VERSION " for %s\nSub-graphs and their ONNX nodes:\n", k->name, archs);
  uses(&head, q, t->kernel);
  launch(&head, k->kern, &t->launch);
  compilers(&head, target_at(q), archs);
  kir_sched_print(&head, k->sched);
  ir_buf_printf(&head, "\n");
  kir_nest_print(&head, k->nest);
  if (!cg_c(a, k->kern, target_at(q), head.s, out, NULL, &why)) ir_bug("codegen", "kernel %s: %s", k->name, why ? why : "no reason given");
  ir_buf_deinit(&head);
}

/* ---- files ---- */
static struct kernel_text text_of(struct ir_arena *a, const struct pass_program *p, uint32_t kernel, unsigned version)
{
  const struct pass_kernel *k = &p->kernels.v[kernel];
  struct kernel_text t = { .kernel = kernel, .versions = 1u << version };
  struct ir_buf text = { 0 };
  const char *why = NULL;
  if (!cg_c(a, k->kern, target_at(p), NULL, &text, &t.launch, &why)) ir_bug("codegen", "kernel %s: %s", k->name, why ? why : "no reason given");
  t.text = ir_arena_strndup(a, text.s, text.n);
  ir_buf_deinit(&text);
  return t;
}
struct kernel_texts kernel_texts(struct ir_arena *a, const struct pass_program *p, unsigned n)
{
  struct kernel_texts all = { 0 };
  for (unsigned i = n; i-- > 0;)
    for (uint32_t k = 0; k < p[i].kernels.n; k++) {
      if (!is_devices(&p[i], k)) continue;
      struct kernel_text t = text_of(a, &p[i], k, i);
      uint32_t at = 0;
      while (at < all.n && (strcmp(p[oldest(&all.v[at])].kernels.v[all.v[at].kernel].name, p[i].kernels.v[k].name) || strcmp(all.v[at].text, t.text))) at++;
      if (at < all.n) all.v[at].versions |= t.versions;
      else ir_push(a, &all, t);
    }
  for (uint32_t i = 0; i < all.n; i++) {
    struct kernel_text *t = &all.v[i];
    const struct pass_program *q = &p[oldest(t)];
    const char *name = q->kernels.v[t->kernel].name, *ending = cg_c_ending(target_at(q));
    t->file = t->versions + 1 == 1u << n ? ir_arena_printf(a, "%s.%s", name, ending) : ir_arena_printf(a, "%s.%s.%s", name, target_at(q)->arch, ending);
  }
  return all;
}
const struct kernel_text *kernel_text_of(const struct kernel_texts *all, const struct pass_program *p, unsigned version, uint32_t kernel)
{
  for (uint32_t i = 0; i < all->n; i++) {
    const struct kernel_text *t = &all->v[i];
    if (t->versions & 1u << version && !strcmp(p[oldest(t)].kernels.v[t->kernel].name, p[version].kernels.v[kernel].name)) return t;
  }
  return NULL;
}
