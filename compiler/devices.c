/* Targets as passes see them, and the code of a program's kernels for a device: CUDA C through NVRTC to cubins and PTX, OpenCL C as it stands. */
#include "compiler/pipeline.h"
#include "codegen/codegen.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- the target, as passes see it ---- */
static struct kir_sched *schedule(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, int level) { return cg_schedule(a, n, t->impl, level); }
static unsigned choices(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, struct ir_choice out[IR_MAX_CHOICES])
{
  struct cg_choice c[CG_MAX_CHOICES];
  unsigned k = cg_choices(a, n, t->impl, c);
  for (unsigned i = 0; i < k; i++) out[i] = (struct ir_choice){ c[i].s, c[i].gain, c[i].bytes };
  return k;
}
static unsigned alternatives(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, struct ir_choice out[IR_MAX_ALTERNATIVES])
{
  struct cg_choice c[CG_MAX_ALTERNATIVES];
  _Static_assert((int)CG_MAX_ALTERNATIVES <= (int)IR_MAX_ALTERNATIVES, "as many");
  unsigned k = cg_alternatives(a, n, t->impl, c);
  for (unsigned i = 0; i < k; i++) out[i] = (struct ir_choice){ c[i].s, c[i].gain, c[i].bytes };
  return k;
}
static struct ir_expected expect(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, const struct kir_sched *s)
{
  struct cg_expected e = cg_expect(a, n, s, t->impl);
  return (struct ir_expected){ e.products, e.ops, e.near, e.weights, e.growth };
}
static struct kir_kern *lower(const struct ir_target *t, struct ir_arena *a, struct kir_nest *n, const struct kir_sched *s, const char **why)
{
  struct kir_kern *k = cg_lower(a, n, s, t->impl, why);
  if (k && !k->flat) cg_expand(k, t->impl);
  return k;
}
static void launch_facts(struct ir_arena *a, const struct kir_kern *k, const struct cg_target *t, struct cg_launch *out)
{
  struct ir_buf text = { 0 };
  const char *why = NULL;
  if (!cg_c(a, k, t, NULL, &text, out, &why)) ir_bug("codegen", "kernel %s: %s", k->name, why ? why : "no reason given");
  ir_buf_deinit(&text);
}
static void launch(const struct ir_target *t, struct ir_arena *a, const struct kir_kern *k, struct ir_launch *out)
{
  struct cg_launch *l = IR_NEW(a, struct cg_launch);
  launch_facts(a, k, t->impl, l);
  *out = (struct ir_launch){ l->blocks, l->size, l->n_sizes };
}
struct ir_target target_of(const struct cg_target *t)
{
  enum { DEVICE_ALIGN = 512 };                           /* what OpenCL devices ask of a part of a buffer */
  struct ir_target r = { .name = t->name, .place = "cpu", .kind = (unsigned)t->kind, .align = MASSRT_ALIGN, .block = 16, .plane_pad = 16, .schedule = schedule, .choices = choices, .lower = lower, .impl = t };
  if (t->kind == CG_CPU) {
    r.isa = t->cpu;
    r.alternatives = alternatives;
    r.expect = expect;
    return r;
  }
  r.choices = NULL;
  r.place = t->kind == CG_CUDA ? "cuda:0" : "opencl:0";
  r.align = DEVICE_ALIGN;
  r.block = 1;
  r.channels_last = t->kind != CG_CPU;            /* tiles in shared memory take operands that run along the summed axis */
  r.plane_pad = 0;
  r.launch = launch;
  return r;
}

/* ---- code ---- */
enum { MAX_JOBS = 64 };
struct failure { const char *why, *log; const struct kernel_file *file; };
struct job {
  const struct cg_nvrtc *nvrtc;
  struct pass_program *p;
  const struct kernel_file *const *edited;
  struct device_code *out;
  unsigned ptx;
  atomic_uint next;
  atomic_bool failed;
  struct ir_arena *arena[MAX_JOBS];        /* of each worker */
  struct failure failure[MAX_JOBS];
};
struct worker { struct job *j; unsigned i; };
static bool nvrtc(struct job *j, struct ir_arena *a, const struct cg_cuda_job *q, struct ir_buf *out, struct cg_usage *usage, struct failure *f)
{
  struct ir_buf log = { 0 };
  bool ok = cg_nvrtc_compile(a, j->nvrtc, q, out, &log, &f->why);
  if (!ok) f->log = ir_arena_strdup(a, log.s ? log.s : "");
  else if (usage && log.s) cg_usage_read(log.s, usage);
  ir_buf_deinit(&log);
  return ok;
}
static bool compile_cuda(struct job *j, struct ir_arena *a, const struct cg_target *t, const char *source, const char *entry, struct device_code *c, struct failure *f)
{
  if (!j->nvrtc) return true;                            /* massc check */
  static const char *const verbose[] = { "--ptxas-options=-v" };
  struct cg_cuda_job q = { .source = source, .name = entry, .arch = t->arch, .options = verbose, .n_options = 1 };
  if (!nvrtc(j, a, &q, &c->text[0], &c->usage, f)) return false;
  c->images[0] = (struct massrt_image){ MASSRT_I_CUBIN, t->level, c->text[0].s, c->text[0].n };
  c->device.n_images = 1;
  if (!j->ptx) return true;
  q.arch = ir_arena_printf(a, "compute_%u", j->ptx);
  q.n_options = 0;
  if (!nvrtc(j, a, &q, &c->text[1], NULL, f)) return false;
  c->images[1] = (struct massrt_image){ MASSRT_I_PTX, j->ptx, c->text[1].s, c->text[1].n };
  c->device.n_images = 2;
  return true;
}
/* Do its blocks compute for long, and fit twice into a multiprocessor? Launched early they would come in wherever the kernel before leaves room, two to one multiprocessor
 * and none to another. */
static bool long_blocks(const struct pass_kernel *k, const struct cg_launch *l)
{
  enum { LONG = 8 << 20 /* operations of a block */, RESERVED = 1 << 10 /* bytes of each block's shared memory */ };
  const struct cg_target *t = k->target->impl;
  int64_t work, blocks;
  if (2 * ((int64_t)l->shared_bytes + RESERVED) > t->core_shared_bytes) return false;
  return ir_ix_const(kir_nest_work(k->nest), &work) && ir_ix_const(l->blocks, &blocks) && blocks > 0 && work / blocks >= LONG;
}
static bool compile_kernel(struct job *j, struct ir_arena *a, uint32_t i, struct failure *f)
{
  const char *why = NULL;
  const struct pass_kernel *k = &j->p->kernels.v[i];
  const struct cg_target *t = k->target->impl;
  struct device_code *c = &j->out[i];
  struct cg_launch l;
  struct ir_buf source = { 0 };
  double gops, gbytes;
  if (t->kind == CG_CPU) return true;
  cg_target_rates(t, k->sched->inst, &gops, &gbytes);
  if (!cg_c(a, k->kern, t, NULL, &source, &l, &why)) ir_bug("codegen", "kernel %s: %s", k->name, why ? why : "no reason given");
  if ((f->file = j->edited ? j->edited[i] : NULL)) {
    source.n = 0;
    ir_buf_add(&source, f->file->text, strlen(f->file->text));
  }
  c->device = (struct massrt_device_kernel){ .entry = ir_arena_strdup(a, l.name), .lanes = l.lanes, .warps = l.warps, .n_pointers = l.n_pointers, .n_sizes = l.n_sizes,
                                             .dynamic_bytes = l.dynamic_bytes, .size_bytes = ir_arena_copy(a, l.size_bytes, sizeof l.size_bytes), .images = c->images,
                                             .gops = (uint32_t)(gops * t->cores), .gbytes = (uint32_t)gbytes,
                                             .overlaps = (f->file ? f->file->waits : l.waits) && !long_blocks(k, &l) };
  c->shared_bytes = l.shared_bytes;
  if (t->kind == CG_OPENCL) {
    c->text[0] = source;
    c->images[0] = (struct massrt_image){ MASSRT_I_OPENCL, 0, source.s, source.n };
    c->device.n_images = 1;
    return true;
  }
  bool ok = compile_cuda(j, a, t, source.s, l.name, c, f);
  ir_buf_deinit(&source);
  return ok;
}
static void *worker(void *arg)
{
  struct worker *w = arg;
  struct job *j = w->j;
  for (uint32_t i; !j->failed && (i = atomic_fetch_add(&j->next, 1)) < j->p->kernels.n;)
    if (!compile_kernel(j, j->arena[w->i], i, &j->failure[w->i])) j->failed = true;
  return NULL;
}
/* The first lines of what NVRTC says: of our own text a bug's trace, of an edited file what its author looks for. */
static bool refused(struct ir_diags *d, const struct failure *f)
{
  enum { SHOWN = 2000 };
  size_t n = strlen(f->log);
  while (n && f->log[n - 1] == '\n') n--;
  if (d->out && n) fprintf(d->out, "%.*s\n", (int)(n < SHOWN ? n : SHOWN), f->log);
  return f->file ? ir_error(d, IR_M0406, NULL, NULL, "%s: NVRTC refused it: %s", f->file->path, f->why) : ir_error(d, IR_M0405, NULL, NULL, "NVRTC refused a kernel: %s", f->why);
}
bool device_compile(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned ptx, const struct kernel_file *const *edited, struct massrt_kernel **kernels, struct device_code **out)
{
  struct job j = { .p = p, .ptx = ptx, .edited = edited };
  struct worker w[MAX_JOBS];
  pthread_t th[MAX_JOBS];
  const char *why = NULL;
  unsigned n = o->pass.jobs < 1 ? 1 : o->pass.jobs > MAX_JOBS ? MAX_JOBS : o->pass.jobs, started = 1;
  if (o->command == CMD_CHECK) setenv("CUDA_CACHE_DISABLE", "1", 1);   /* where there is a driver, NVRTC keeps what it made, and says nothing of registers the second time */
  if (p->target->kind == MASSRT_K_CUDA && !(j.nvrtc = cg_nvrtc_open(a, o->nvrtc, &why))) {
    if (o->command != CMD_CHECK) return ir_error(d, IR_M0405, NULL, NULL, "%s", why);
    ir_warn(d, IR_M0405, NULL, NULL, "registers, spills and occupancy are not known: %s", why);
  }
  *out = j.out = IR_NEWN(a, struct device_code, p->kernels.n + 1);
  for (unsigned i = 0; i < n; i++) {
    j.arena[i] = ir_arena_create();
    w[i] = (struct worker){ &j, i };
  }
  while (started < n && started < p->kernels.n && !pthread_create(&th[started], NULL, worker, &w[started])) started++;
  worker(&w[0]);
  for (unsigned i = 1; i < started; i++) pthread_join(th[i], NULL);
  for (unsigned i = 0; i < n; i++)
    if (j.failure[i].why) refused(d, &j.failure[i]);
  struct massrt_kernel *k = IR_NEWN(a, struct massrt_kernel, p->kernels.n + 1);
  for (uint32_t i = 0; i < p->kernels.n; i++) {
    k[i] = p->tables.kernels[i];
    if (!j.out[i].device.n_images) continue;
    struct massrt_device_kernel *x = &j.out[i].device;
    x->entry = ir_arena_strdup(a, x->entry);
    x->size_bytes = ir_arena_copy(a, x->size_bytes, CG_MAX_SIZES);
    k[i].device = x;
  }
  for (unsigned i = 0; i < n; i++) ir_arena_destroy(j.arena[i]);
  *kernels = k;
  return !j.failed;
}
void device_free(struct device_code *c, uint32_t n)
{
  for (uint32_t i = 0; c && i < n; i++) {
    ir_buf_deinit(&c[i].text[0]);
    ir_buf_deinit(&c[i].text[1]);
  }
}
