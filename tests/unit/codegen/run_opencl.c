/* run_opencl.h says what this is. */
#include "tests/unit/codegen/run_opencl.h"
#include "tests/unit/codegen/run_native.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- OpenCL 1.2, as far as it is used ---- */
#define ENTRIES(X) \
  X(int, GetPlatformIDs, (unsigned, void **, unsigned *)) \
  X(int, GetDeviceIDs, (void *, uint64_t, unsigned, void **, unsigned *)) \
  X(void *, CreateContext, (const intptr_t *, unsigned, void *const *, void *, void *, int *)) \
  X(void *, CreateCommandQueue, (void *, void *, uint64_t, int *)) \
  X(void *, CreateProgramWithSource, (void *, unsigned, const char **, const size_t *, int *)) \
  X(int, BuildProgram, (void *, unsigned, void *const *, const char *, void *, void *)) \
  X(int, GetProgramBuildInfo, (void *, void *, unsigned, size_t, void *, size_t *)) \
  X(void *, CreateKernel, (void *, const char *, int *)) \
  X(void *, CreateBuffer, (void *, uint64_t, size_t, void *, int *)) \
  X(int, SetKernelArg, (void *, unsigned, size_t, const void *)) \
  X(int, EnqueueNDRangeKernel, (void *, void *, unsigned, const size_t *, const size_t *, const size_t *, unsigned, void *, void *)) \
  X(int, EnqueueReadBuffer, (void *, void *, unsigned, size_t, size_t, void *, unsigned, void *, void *)) \
  X(int, Finish, (void *)) \
  X(int, ReleaseMemObject, (void *)) \
  X(int, ReleaseKernel, (void *)) \
  X(int, ReleaseProgram, (void *))
enum { CANARY = 64, COPY_HOST_PTR = 1 << 5, READ_WRITE = 1, BUILD_LOG = 0x1183 };
static struct {
  bool tried, ok;
  void *device, *context, *queue;
#define X(ret, name, args) ret (*name) args;
  ENTRIES(X)
#undef X
} cl;

static bool open_device(void)
{
  const char *vendors = getenv("OCL_ICD_VENDORS");
  if (vendors && access(vendors, F_OK)) return false;      /* no driver is to be found: the leak checker does not survive even the loader */
  void *lib = dlopen("libOpenCL.so.1", RTLD_NOW), *platform;
  unsigned n = 0;
  int e = 0;
  if (!lib) return false;
#define X(ret, name, args) \
  if (!(*(void **)&cl.name = dlsym(lib, "cl" #name))) return false;
  ENTRIES(X)
#undef X
  if (cl.GetPlatformIDs(1, &platform, &n) || !n || cl.GetDeviceIDs(platform, 0xffffffff, 1, &cl.device, &n) || !n) return false;
  cl.context = cl.CreateContext(NULL, 1, &cl.device, NULL, NULL, &e);
  if (e) return false;
  cl.queue = cl.CreateCommandQueue(cl.context, cl.device, 0, &e);
  return !e;
}
bool opencl_here(void)
{
  if (!cl.tried) cl.ok = open_device();
  cl.tried = true;
  return cl.ok;
}

/* ---- running ---- */
static bool fail(const struct kir_kern *k, const char **why, const char *what, int e)
{
  *why = ir_arena_printf(k->arena, "%s: %s %d", k->name, what, e);
  return false;
}
static bool build(const struct kir_kern *k, const char *source, void **out_program, const char **why)
{
  int e = 0;
  *out_program = cl.CreateProgramWithSource(cl.context, 1, &source, NULL, &e);
  if (!e) e = cl.BuildProgram(*out_program, 1, &cl.device, "-cl-std=CL1.2", NULL, NULL);
  if (!e) return true;
  char log[3000] = "";
  cl.GetProgramBuildInfo(*out_program, cl.device, BUILD_LOG, sizeof log - 1, log, NULL);
  *why = ir_arena_printf(k->arena, "build %d: %s\n%s", e, log, source);
  return false;
}
static bool launch(const struct kir_kern *k, void *program, const struct cg_launch *l, struct native_binds *b, void **mem, const char **why)
{
  struct ir_ix_env env = { .sym = native_lookup, .arg = b };
  int64_t blocks;
  int e = 0;
  if (!ir_ix_eval(l->blocks, &env, &blocks)) return fail(k, why, "the grid has no value", 0);
  if (!blocks) return true;
  void *kernel = cl.CreateKernel(program, l->name, &e);
  if (e) return fail(k, why, "no kernel", e);
  for (unsigned i = 0; i < l->n_pointers; i++) e |= cl.SetKernelArg(kernel, i, sizeof(void *), &mem[i]);
  for (unsigned i = 0; i < l->n_sizes; i++) {
    int64_t v;
    if (!ir_ix_eval(l->size[i], &env, &v)) return fail(k, why, "a size has no value", 0);
    int small = (int)v;
    e |= cl.SetKernelArg(kernel, l->n_pointers + i, l->size_bytes[i], l->size_bytes[i] == 4 ? (void *)&small : &v);
  }
  size_t local[2] = { l->lanes, l->warps }, global[2] = { (size_t)blocks * l->lanes, l->warps };
  if (!e) e = cl.EnqueueNDRangeKernel(cl.queue, kernel, 2, NULL, global, local, 0, NULL, NULL);
  if (!e) e = cl.Finish(cl.queue);
  cl.ReleaseKernel(kernel);
  return !e || fail(k, why, "launch", e);
}
static bool run(const struct kir_kern *k, void *program, const struct cg_launch *l, struct native_binds *b, struct ir_tensor *const *bufs, void **mem, const char **why)
{
  int e = 0;
  for (unsigned i = 0; i < k->args.n; i++) {
    enum ir_elem t = k->args.v[i]->elem;
    size_t n = (size_t)bufs[i]->n * ir_elem_bytes(t);
    unsigned char *p = ir_arena_alloc(k->arena, n + CANARY);
    memset(p, 0xff, n + CANARY);
    for (int64_t j = 0; !k->args.v[i]->out && j < bufs[i]->n; j++) native_put(t, bufs[i], j, p + (size_t)j * ir_elem_bytes(t));
    mem[i] = cl.CreateBuffer(cl.context, READ_WRITE | COPY_HOST_PTR, n + CANARY, p, &e);
    if (e) return fail(k, why, "buffer", e);
  }
  TRY(launch(k, program, l, b, mem, why));
  for (unsigned i = 0; i < k->args.n; i++) {
    enum ir_elem t = k->args.v[i]->elem;
    size_t n = (size_t)bufs[i]->n * ir_elem_bytes(t);
    unsigned char *p = ir_arena_alloc(k->arena, n + CANARY);
    if ((e = cl.EnqueueReadBuffer(cl.queue, mem[i], 1, 0, n + CANARY, p, 0, NULL, NULL))) return fail(k, why, "read", e);
    for (unsigned j = 0; j < CANARY; j++)
      if (p[n + j] != 0xff) return fail(k, why, "a store beyond argument", (int)i);
    for (int64_t j = 0; k->args.v[i]->out && j < bufs[i]->n; j++) native_get(t, bufs[i], j, p + (size_t)j * ir_elem_bytes(t));
  }
  return true;
}
bool run_opencl(const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *bufs, const char **why)
{
  struct ir_buf source = { 0 };
  struct cg_launch l;
  struct native_binds b = { syms, n_syms };
  void *program = NULL, **mem = IR_NEWN(k->arena, void *, k->args.n + 1);
  if (!opencl_here()) return fail(k, why, "no OpenCL", 0);
  bool ok = cg_c(k->arena, k, t, NULL, &source, &l, why) && build(k, source.s, &program, why) && run(k, program, &l, &b, bufs, mem, why);
  for (unsigned i = 0; i < k->args.n; i++)
    if (mem[i]) cl.ReleaseMemObject(mem[i]);
  if (program) cl.ReleaseProgram(program);
  if (!ok && source.s && !strstr(*why, "kernel")) *why = ir_arena_printf(k->arena, "%s\n%s", *why, source.s);
  if (getenv("C_TEXT") && source.s) fputs(source.s, stderr);
  ir_buf_deinit(&source);
  return ok;
}

/* ---- NVRTC ---- */
struct cg_nvrtc *nvrtc_of_tests(void)
{
  static struct cg_nvrtc *n;
  static struct ir_arena *arena;                       /* for as long as the library is there */
  const char *why;
  if (!arena) n = cg_nvrtc_open(arena = ir_arena_create(), getenv("MASSC_NVRTC"), &why);
  return n;
}
bool compile_cuda(const struct kir_kern *k, const struct cg_target *t, const char **why)
{
  static const char *const archs[] = { "sm_80", "sm_90a" };
  struct ir_buf source = { 0 }, out = { 0 }, log = { 0 };
  bool ok = cg_c(k->arena, k, t, NULL, &source, NULL, why);
  for (unsigned i = 0; i < 2 && ok; i++) {
    struct cg_cuda_job j = { .source = source.s, .name = "k", .arch = archs[i] };
    ok = cg_nvrtc_compile(k->arena, nvrtc_of_tests(), &j, &out, &log, why);
    if (!ok) *why = ir_arena_printf(k->arena, "%s\n%s\n%s", *why, log.s ? log.s : "", source.s);
  }
  if (getenv("C_TEXT") && source.s) fputs(source.s, stderr);
  ir_buf_deinit(&source);
  ir_buf_deinit(&out);
  ir_buf_deinit(&log);
  return ok;
}
