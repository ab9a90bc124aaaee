/* CUDA devices through the driver's library, libcuda. One primary context and one stream for each instance; every kernel is a module of its own. Runs whose steps
 * are all the device's are captured once for each shape and launched whole. Kernels that wait for the one before them themselves (griddepcontrol.wait, as those
 * for sm_90 do) are launched while it still runs; MASSC_EARLY_LAUNCH=0 forbids it (docs/abi.md). */
#include "runtime/device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int cu_result;
typedef unsigned long long cu_ptr;
struct cu_attr { int id; char pad[4]; union { int i; char pad[64]; } value; };
struct cu_config { unsigned grid[3], block[3], shared_bytes; void *stream; struct cu_attr *attrs; unsigned n_attrs; };
enum { OVERLAP_SINCE = 12030 /* the driver's version that records early launches */ };
enum { ATTR_MAJOR = 75, ATTR_MINOR = 76, ATTR_SHARED_OPTIN = 97, FUNC_SHARED = 8, FUNC_CARVEOUT = 9 /* per cent of the first cache that is shared memory */, LAUNCH_OVERLAP = 6, CAPTURE_THREAD = 1 };

/* One row per function, in the order of the table. */
#define FUNCTIONS \
  F(init, "cuInit", (unsigned)) F(count, "cuDeviceGetCount", (int *)) F(device, "cuDeviceGet", (int *, int)) F(device_name, "cuDeviceGetName", (char *, int, int)) \
  F(attribute, "cuDeviceGetAttribute", (int *, int, int)) F(retain, "cuDevicePrimaryCtxRetain", (void **, int)) F(release, "cuDevicePrimaryCtxRelease_v2", (int)) \
  F(current, "cuCtxSetCurrent", (void *)) F(module, "cuModuleLoadDataEx", (void **, const void *, unsigned, int *, void **)) F(unload, "cuModuleUnload", (void *)) \
  F(function, "cuModuleGetFunction", (void **, void *, const char *)) F(function_set, "cuFuncSetAttribute", (void *, int, int)) \
  F(alloc, "cuMemAlloc_v2", (cu_ptr *, size_t)) F(free, "cuMemFree_v2", (cu_ptr)) F(host_alloc, "cuMemAllocHost_v2", (void **, size_t)) F(host_free, "cuMemFreeHost", (void *)) \
  F(upload, "cuMemcpyHtoD_v2", (cu_ptr, const void *, size_t)) F(to_device, "cuMemcpyHtoDAsync_v2", (cu_ptr, const void *, size_t, void *)) \
  F(to_host, "cuMemcpyDtoHAsync_v2", (void *, cu_ptr, size_t, void *)) F(inside, "cuMemcpyDtoDAsync_v2", (cu_ptr, cu_ptr, size_t, void *)) \
  F(stream, "cuStreamCreate", (void **, unsigned)) F(stream_free, "cuStreamDestroy_v2", (void *)) F(sync, "cuStreamSynchronize", (void *)) \
  F(launch, "cuLaunchKernel", (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **)) \
  F(capture, "cuStreamBeginCapture_v2", (void *, int)) F(captured, "cuStreamEndCapture", (void *, void **)) F(graph_free, "cuGraphDestroy", (void *)) \
  F(instantiate, "cuGraphInstantiateWithFlags", (void **, void *, unsigned long long)) F(exec_free, "cuGraphExecDestroy", (void *)) F(replay, "cuGraphLaunch", (void *, void *)) \
  F(event, "cuEventCreate", (void **, unsigned)) F(event_free, "cuEventDestroy_v2", (void *)) F(mark, "cuEventRecord", (void *, void *)) F(event_sync, "cuEventSynchronize", (void *)) \
  F(elapsed, "cuEventElapsedTime", (float *, void *, void *)) F(error_name, "cuGetErrorName", (cu_result, const char **)) F(error_text, "cuGetErrorString", (cu_result, const char **)) \
  F(version, "cuDriverGetVersion", (int *)) F(launch_ex, "?cuLaunchKernelEx", (const struct cu_config *, void *, void **, void **))
#define F(field, name, params) cu_result (*field) params;
struct functions { FUNCTIONS };
#undef F
#define F(field, name, params) " " name
static const char names[] = FUNCTIONS;
#undef F

struct cu_kernel { void *module, *function; bool overlaps; };
struct cuda {
  struct massrt_device d;
  struct functions f;
  const struct massrt_program *p;
  int device;
  void *context, *stream, *begin, *end;            /* begin, end: events */
  cu_ptr arena, weights;
  struct cu_kernel *kernel;
  bool early;                                      /* the driver launches kernels early */
  bool behind_kernel;                              /* what was queued last, in the open recording if there is one, is a kernel */
};
static int failed(struct cuda *c, const char *what, cu_result r)
{
  const char *name = NULL, *text = NULL;
  if (c->f.error_name) c->f.error_name(r, &name);
  if (c->f.error_text) c->f.error_text(r, &text);
  snprintf(c->d.error, sizeof c->d.error, "%s: %s: %s (%s)", c->d.name, what, text ? text : "unknown error", name ? name : "?");
  return r == 2 /* CUDA_ERROR_OUT_OF_MEMORY */ ? MASSRT_E_MEMORY : MASSRT_E_DEVICE;
}
#define CALL(c, what, call) do { cu_result r_ = (c)->f.call; if (r_) return failed(c, what, r_); } while (0)

static void cuda_close(struct massrt_device *d)
{
  struct cuda *c = (struct cuda *)d;
  if (c->context) {
    c->f.current(c->context);
    if (c->stream) { c->f.sync(c->stream); c->f.stream_free(c->stream); }
    if (c->begin) c->f.event_free(c->begin);
    if (c->end) c->f.event_free(c->end);
    for (uint32_t i = 0; c->kernel && i < c->p->n_kernels; i++)
      if (c->kernel[i].module) c->f.unload(c->kernel[i].module);
    if (c->arena) c->f.free(c->arena);
    if (c->weights) c->f.free(c->weights);
    c->f.release(c->device);
  }
  free(c->kernel);
  free(c);
}
static int start(struct massrt_device *d, const char *select)
{
  struct cuda *c = (struct cuda *)d;
  char *end = NULL, name[96] = "";
  long k = select && *select ? strtol(select, &end, 10) : 0;
  int n, major, minor, version;
  snprintf(c->d.name, sizeof c->d.name, "cuda");
  CALL(c, "the driver does not start", init(0));
  CALL(c, "devices cannot be counted", count(&n));
  if ((end && *end) || k < 0 || k >= n) {
    snprintf(c->d.error, sizeof c->d.error, "cuda:%s: there is no such device; %d are there", select ? select : "0", n);
    return MASSRT_E_DEVICE;
  }
  CALL(c, "device", device(&c->device, (int)k));
  CALL(c, "its name", device_name(name, sizeof name, c->device));
  snprintf(c->d.name, sizeof c->d.name, "cuda:%ld, %s", k, name);
  CALL(c, "its version", attribute(&major, ATTR_MAJOR, c->device));
  CALL(c, "its version", attribute(&minor, ATTR_MINOR, c->device));
  c->d.arch = (uint32_t)(10 * major + minor);
  CALL(c, "the driver's version", version(&version));
  const char *early = getenv("MASSC_EARLY_LAUNCH");
  c->early = !(early && !strcmp(early, "0")) && c->f.launch_ex && c->d.arch >= 90 && version >= OVERLAP_SINCE;
  CALL(c, "no context", retain(&c->context, c->device));
  CALL(c, "no context", current(c->context));
  CALL(c, "no stream", stream(&c->stream, 1));
  CALL(c, "no event", event(&c->begin, 0));
  CALL(c, "no event", event(&c->end, 0));
  return MASSRT_OK;
}
static int cuda_open(const char *select, struct massrt_device **out, char *why, size_t n)
{
  static const char *const libraries[] = { "libcuda.so.1", NULL };
  static const struct massrt_backend backend = { &massrt_cuda, libraries, names + 1, sizeof(struct cuda), offsetof(struct cuda, f), start };
  return massrt_device_open(&backend, select, out, why, n);
}

/* ---- code and weights ---- */
/* The cubin for this device, or the PTX. */
static const struct massrt_image *image_for(const struct massrt_device_kernel *k, uint32_t arch)
{
  const struct massrt_image *ptx = NULL;
  for (uint32_t i = 0; i < k->n_images; i++) {
    const struct massrt_image *m = &k->images[i];
    if (m->form == MASSRT_I_CUBIN && m->arch / 10 == arch / 10 && m->arch <= arch) return m;
    if (m->form == MASSRT_I_PTX && m->arch <= arch) ptx = m;
  }
  return ptx;
}
static int load_kernel(struct cuda *c, uint32_t i)
{
  const struct massrt_device_kernel *k = c->p->kernels[i].device;
  const struct massrt_image *m = image_for(k, c->d.arch);
  char what[200];
  snprintf(what, sizeof what, "kernel %s", c->p->kernels[i].name);
  if (!m) {
    snprintf(c->d.error, sizeof c->d.error, "%s: kernel %s has no code for this device (sm_%u)", c->d.name, c->p->kernels[i].name, c->d.arch);
    return MASSRT_E_DEVICE;
  }
  CALL(c, what, module(&c->kernel[i].module, m->data, 0, NULL, NULL));
  CALL(c, what, function(&c->kernel[i].function, c->kernel[i].module, k->entry));
  if (k->dynamic_bytes) CALL(c, what, function_set(c->kernel[i].function, FUNC_SHARED, (int)k->dynamic_bytes));
  c->kernel[i].overlaps = k->overlaps && c->early && m->arch >= 90;      /* code for sm_80 has no wait */
  if (c->early) CALL(c, what, function_set(c->kernel[i].function, FUNC_CARVEOUT, 100));      /* kernels with different ones cannot share a multiprocessor */
  return MASSRT_OK;
}
static int cuda_load(struct massrt_device *d, const struct massrt_program *p)
{
  struct cuda *c = (struct cuda *)d;
  c->p = p;
  c->kernel = calloc(p->n_kernels + 1, sizeof *c->kernel);
  if (!c->kernel) { snprintf(d->error, sizeof d->error, "no memory"); return MASSRT_E_MEMORY; }
  CALL(c, "no context", current(c->context));
  for (uint32_t i = 0; i < p->n_kernels; i++)
    if (p->kernels[i].device) {
      int rc = load_kernel(c, i);
      if (rc) return rc;
    }
  CALL(c, "no memory for the weights", alloc(&c->weights, p->weights_bytes + MASSRT_ALIGN));
  if (p->weights_bytes) CALL(c, "the weights cannot be copied", upload(c->weights, p->weights, p->weights_bytes));
  return MASSRT_OK;
}

/* ---- memory ---- */
static int cuda_reserve(struct massrt_device *d, uint64_t bytes)
{
  struct cuda *c = (struct cuda *)d;
  CALL(c, "no context", current(c->context));
  CALL(c, "an earlier step failed", sync(c->stream));
  if (c->arena) CALL(c, "memory cannot be freed", free(c->arena));
  c->arena = 0;
  CALL(c, "no memory for the activations", alloc(&c->arena, bytes + MASSRT_ALIGN));
  return MASSRT_OK;
}
static int cuda_bind(struct massrt_device *d, bool weights, uint64_t offset, uint64_t bytes, union massrt_word *out)
{
  struct cuda *c = (struct cuda *)d;
  (void)bytes;
  out->i = (int64_t)((weights ? c->weights : c->arena) + offset);
  return MASSRT_OK;
}
static void *cuda_host_alloc(struct massrt_device *d, uint64_t bytes)
{
  struct cuda *c = (struct cuda *)d;
  void *p = NULL;
  return c->f.current(c->context) || c->f.host_alloc(&p, bytes + 1) ? NULL : p;
}
static void cuda_host_free(struct massrt_device *d, void *p)
{
  struct cuda *c = (struct cuda *)d;
  if (p && !c->f.current(c->context)) c->f.host_free(p);
}
static int cuda_to_device(struct massrt_device *d, union massrt_word to, const void *from, uint64_t bytes)
{
  struct cuda *c = (struct cuda *)d;
  c->behind_kernel = false;
  CALL(c, "copy to the device", to_device((cu_ptr)to.i, from, bytes, c->stream));
  return MASSRT_OK;
}
static int cuda_to_host(struct massrt_device *d, void *to, union massrt_word from, uint64_t bytes)
{
  struct cuda *c = (struct cuda *)d;
  c->behind_kernel = false;
  CALL(c, "copy from the device", to_host(to, (cu_ptr)from.i, bytes, c->stream));
  return MASSRT_OK;
}
static int cuda_inside(struct massrt_device *d, union massrt_word to, union massrt_word from, uint64_t bytes)
{
  struct cuda *c = (struct cuda *)d;
  c->behind_kernel = false;
  CALL(c, "copy", inside((cu_ptr)to.i, (cu_ptr)from.i, bytes, c->stream));
  return MASSRT_OK;
}

/* ---- launches ---- */
enum { MAX_PARAMS = 128 };
/* Waits for what was queued since the event `begin`, and tells its time. */
static int since_begin(struct cuda *c, const char *what, int64_t *out_ns)
{
  float ms;
  CALL(c, "event", mark(c->end, c->stream));
  CALL(c, what, event_sync(c->end));
  CALL(c, "event", elapsed(&ms, c->begin, c->end));
  *out_ns = (int64_t)((double)ms * 1e6);
  return MASSRT_OK;
}
static int cuda_launch(struct massrt_device *d, uint32_t kernel, const union massrt_word *args, int64_t blocks, int64_t *elapsed_ns)
{
  struct cuda *c = (struct cuda *)d;
  const struct massrt_device_kernel *k = c->p->kernels[kernel].device;
  void *param[MAX_PARAMS];
  uint32_t n = k->n_pointers + k->n_sizes;
  if (blocks > INT32_MAX || n > MAX_PARAMS) {
    snprintf(d->error, sizeof d->error, "%s: %lld blocks or %u arguments are too many", d->name, (long long)blocks, n);
    return MASSRT_E_DEVICE;
  }
  for (uint32_t i = 0; i < n; i++) param[i] = (void *)&args[i];             /* a size of 4 bytes is the lower half of its word */
  if (elapsed_ns) CALL(c, "event", mark(c->begin, c->stream));
  bool early = c->kernel[kernel].overlaps && c->behind_kernel && !elapsed_ns;
  c->behind_kernel = !elapsed_ns;
  if (early) {
    struct cu_attr overlap = { .id = LAUNCH_OVERLAP, .value.i = 1 };
    struct cu_config g = { { (unsigned)blocks, 1, 1 }, { k->lanes, k->warps, 1 }, (unsigned)k->dynamic_bytes, c->stream, &overlap, 1 };
    CALL(c, "launch", launch_ex(&g, c->kernel[kernel].function, param, NULL));
  } else CALL(c, "launch", launch(c->kernel[kernel].function, (unsigned)blocks, 1, 1, k->lanes, k->warps, 1, (unsigned)k->dynamic_bytes, c->stream, param, NULL));
  return elapsed_ns ? since_begin(c, "the kernel failed", elapsed_ns) : MASSRT_OK;
}
static int cuda_sync(struct massrt_device *d)
{
  struct cuda *c = (struct cuda *)d;
  c->behind_kernel = false;
  CALL(c, "a step failed", sync(c->stream));
  return MASSRT_OK;
}
static int cuda_record(struct massrt_device *d)
{
  struct cuda *c = (struct cuda *)d;
  CALL(c, "no context", current(c->context));
  c->behind_kernel = false;
  CALL(c, "steps cannot be recorded", capture(c->stream, CAPTURE_THREAD));
  return MASSRT_OK;
}
static int cuda_recorded(struct massrt_device *d, bool keep, void **out)
{
  struct cuda *c = (struct cuda *)d;
  void *graph = NULL;
  c->behind_kernel = false;
  cu_result r = c->f.captured(c->stream, &graph);
  if (!r && keep) r = c->f.instantiate(out, graph, 0);
  if (graph) c->f.graph_free(graph);
  return r ? failed(c, "steps cannot be recorded", r) : MASSRT_OK;
}
static int cuda_replay(struct massrt_device *d, void *graph, int64_t *elapsed_ns)
{
  struct cuda *c = (struct cuda *)d;
  CALL(c, "no context", current(c->context));
  c->behind_kernel = false;
  if (elapsed_ns) CALL(c, "event", mark(c->begin, c->stream));
  CALL(c, "launch of the recorded steps", replay(graph, c->stream));
  return elapsed_ns ? since_begin(c, "the recorded steps failed", elapsed_ns) : MASSRT_OK;
}
static void cuda_forget(struct massrt_device *d, void *graph)
{
  struct cuda *c = (struct cuda *)d;
  c->f.exec_free(graph);
}
const struct massrt_device_ops massrt_cuda = {
  .word = "cuda", .open = cuda_open, .close = cuda_close, .load = cuda_load, .reserve = cuda_reserve, .bind = cuda_bind, .host_alloc = cuda_host_alloc, .host_free = cuda_host_free,
  .to_device = cuda_to_device, .to_host = cuda_to_host, .inside = cuda_inside, .launch = cuda_launch, .sync = cuda_sync, .record = cuda_record, .recorded = cuda_recorded,
  .replay = cuda_replay, .forget = cuda_forget,
};
