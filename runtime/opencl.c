/* OpenCL devices (1.2 and later) through the loader, libOpenCL. Source is built when a program is loaded; what the driver made of it is kept in
 * $XDG_CACHE_HOME/massc (else $HOME/.cache/massc), by content of the source, device and driver.
 *
 * Arena and weights are shared virtual memory where the device has it (OpenCL 2.0, coarse-grained), and words are addresses. Else they are buffers, and words sub-buffers of them:
 * a launch of NVIDIA's driver takes 0.5 ms where there are hundreds of these. MASSC_OPENCL_SVM=0 forbids the former. */
#include "runtime/device.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int32_t cl_int;
typedef uint64_t cl_flags;
enum { PLATFORM_NAME = 0x0902, TYPE_GPU = 4, DEVICE_TYPE = 0x1000, DEVICE_SVM = 0x1053, SVM_COARSE = 1, DEVICE_NAME = 0x102B, DEVICE_VERSION = 0x102F, DRIVER_VERSION = 0x102D, MEM_READ_WRITE = 1, MEM_READ_ONLY = 4,
       NO_MEMORY = -6, REGION = 0x1220, BUILD_LOG = 0x1183, BINARY_SIZES = 0x1165, BINARIES = 0x1166 };
#define FUNCTIONS \
  F(platforms, "clGetPlatformIDs", (unsigned, void **, unsigned *)) F(devices, "clGetDeviceIDs", (void *, cl_flags, unsigned, void **, unsigned *)) \
  F(device_info, "clGetDeviceInfo", (void *, unsigned, size_t, void *, size_t *)) F(platform_info, "clGetPlatformInfo", (void *, unsigned, size_t, void *, size_t *)) \
  F(build_info, "clGetProgramBuildInfo", (void *, void *, unsigned, size_t, void *, size_t *)) F(program_info, "clGetProgramInfo", (void *, unsigned, size_t, void *, size_t *)) \
  F(build, "clBuildProgram", (void *, unsigned, void *const *, const char *, void *, void *)) F(set_arg, "clSetKernelArg", (void *, unsigned, size_t, const void *)) \
  F(launch, "clEnqueueNDRangeKernel", (void *, void *, unsigned, const size_t *, const size_t *, const size_t *, unsigned, void *const *, void **)) \
  F(write, "clEnqueueWriteBuffer", (void *, void *, unsigned, size_t, size_t, const void *, unsigned, void *const *, void **)) \
  F(read, "clEnqueueReadBuffer", (void *, void *, unsigned, size_t, size_t, void *, unsigned, void *const *, void **)) \
  F(copy, "clEnqueueCopyBuffer", (void *, void *, void *, size_t, size_t, size_t, unsigned, void *const *, void **)) \
  F(svm_arg, "?clSetKernelArgSVMPointer", (void *, unsigned, const void *)) \
  F(svm_copy, "?clEnqueueSVMMemcpy", (void *, unsigned, void *, const void *, size_t, unsigned, void *const *, void **)) F(svm_free, "?clSVMFree", (void *, void *)) \
  F(finish, "clFinish", (void *)) F(free_mem, "clReleaseMemObject", (void *)) F(free_kernel, "clReleaseKernel", (void *)) F(free_program, "clReleaseProgram", (void *)) \
  F(free_queue, "clReleaseCommandQueue", (void *)) F(free_context, "clReleaseContext", (void *))
#define MAKERS \
  F(context, "clCreateContext", (const void *, unsigned, void *const *, void *, void *, cl_int *)) F(queue, "clCreateCommandQueue", (void *, void *, cl_flags, cl_int *)) \
  F(buffer, "clCreateBuffer", (void *, cl_flags, size_t, void *, cl_int *)) F(part, "clCreateSubBuffer", (void *, cl_flags, unsigned, const void *, cl_int *)) \
  F(program, "clCreateProgramWithSource", (void *, unsigned, const char *const *, const size_t *, cl_int *)) \
  F(binary, "clCreateProgramWithBinary", (void *, unsigned, void *const *, const size_t *, const unsigned char *const *, cl_int *, cl_int *)) \
  F(kernel, "clCreateKernel", (void *, const char *, cl_int *)) F(svm_alloc, "?clSVMAlloc", (void *, cl_flags, size_t, unsigned))
#define F(field, name, params) cl_int (*field) params;
struct functions {
  FUNCTIONS
#undef F
#define F(field, name, params) void *(*field) params;
  MAKERS
};
#undef F
#define F(field, name, params) " " name
static const char names[] = FUNCTIONS MAKERS;
#undef F

struct opencl {
  struct massrt_device d;
  struct functions f;
  const struct massrt_program *p;
  void *device, *context, *queue, *arena, *weights, **program, **kernel;
  struct word { bool weights; uint64_t offset, bytes; void *mem; } *word;
  bool svm;
  uint32_t n_words, cap_words;
  char version[256];
};
static int failed(struct opencl *c, const char *what, cl_int r)
{
  snprintf(c->d.error, sizeof c->d.error, "%s: %s: OpenCL error %d", c->d.name, what, r);
  return r == -4 /* memory object */ || r == -6 /* host memory */ ? MASSRT_E_MEMORY : MASSRT_E_DEVICE;
}
#define CALL(c, what, call) do { cl_int r_ = (c)->f.call; if (r_) return failed(c, what, r_); } while (0)

static void opencl_unbind(struct massrt_device *d)
{
  struct opencl *c = (struct opencl *)d;
  for (uint32_t i = 0; i < c->n_words; i++) c->f.free_mem(c->word[i].mem);
  c->n_words = 0;
}
/* ---- blocks: addresses or buffers ---- */
static void *block(struct opencl *c, cl_flags flags, uint64_t bytes)
{
  cl_int r;
  return c->svm ? c->f.svm_alloc(c->context, flags, bytes, 0) : c->f.buffer(c->context, flags, bytes, NULL, &r);
}
static void release(struct opencl *c, void *p)
{
  if (p && c->svm) c->f.svm_free(c->context, p);
  else if (p) c->f.free_mem(p);
}
static cl_int block_write(struct opencl *c, void *to, const void *from, uint64_t bytes, bool wait)
{
  return c->svm ? c->f.svm_copy(c->queue, wait, to, from, bytes, 0, NULL, NULL) : c->f.write(c->queue, to, wait, 0, bytes, from, 0, NULL, NULL);
}
static void opencl_close(struct massrt_device *d)
{
  struct opencl *c = (struct opencl *)d;
  if (c->queue) c->f.finish(c->queue);
  opencl_unbind(d);
  for (uint32_t i = 0; c->kernel && i < c->p->n_kernels; i++) {
    if (c->kernel[i]) c->f.free_kernel(c->kernel[i]);
    if (c->program[i]) c->f.free_program(c->program[i]);
  }
  release(c, c->arena);
  release(c, c->weights);
  if (c->queue) c->f.free_queue(c->queue);
  if (c->context) c->f.free_context(c->context);
  free(c->kernel);
  free(c->program);
  free(c->word);
  free(c);
}
/* Device `number` of all platforms, the first whose name or platform's name contains `part`, or, where nothing is asked for, the first GPU, else the first. */
static int find(struct opencl *c, const char *select)
{
  enum { MOST = 16 };
  void *platform[MOST], *device[MOST];
  unsigned n = 0, m = 0;
  char *end = NULL, name[128], text[128];
  bool any = !select || !*select;
  long number = any ? 0 : strtol(select, &end, 10), k = 0;
  bool by_name = end && *end;
  if (c->f.platforms(MOST, platform, &n)) n = 0;                            /* -1001: no platform */
  for (unsigned i = 0; i < n && i < MOST; i++) {
    if (c->f.devices(platform[i], (cl_flags)0xffffffff, MOST, device, &m)) continue;
    for (unsigned j = 0; j < m && j < MOST; j++, k++) {
      cl_flags type = 0;
      if (c->f.device_info(device[j], DEVICE_NAME, sizeof name, name, NULL) || c->f.platform_info(platform[i], PLATFORM_NAME, sizeof text, text, NULL)) continue;
      if (by_name ? !strstr(name, select) && !strstr(text, select) : !any && k != number) continue;
      bool better = any && !c->f.device_info(device[j], DEVICE_TYPE, sizeof type, &type, NULL) && type & TYPE_GPU;
      if (c->device && !better) continue;
      c->device = device[j];
      snprintf(c->d.name, sizeof c->d.name, "opencl:%ld, %.80s", k, name);
      if (!any || better) return MASSRT_OK;
    }
  }
  if (c->device) return MASSRT_OK;
  snprintf(c->d.error, sizeof c->d.error, "opencl:%s: there is no such device; %ld are there", any ? "0" : select, k);
  return MASSRT_E_DEVICE;
}
static int start(struct massrt_device *d, const char *select)
{
  struct opencl *c = (struct opencl *)d;
  cl_int r;
  char driver[96] = "", device[96] = "";
  int rc = find(c, select);
  if (rc) return rc;
  CALL(c, "its version", device_info(c->device, DRIVER_VERSION, sizeof driver, driver, NULL));
  CALL(c, "its version", device_info(c->device, DEVICE_VERSION, sizeof device, device, NULL));
  snprintf(c->version, sizeof c->version, "%s %s", device, driver);
  c->context = c->f.context(NULL, 1, &c->device, NULL, NULL, &r);
  if (!c->context) return failed(c, "no context", r);
  c->queue = c->f.queue(c->context, c->device, 0, &r);
  cl_flags kinds = 0;
  const char *wish = getenv("MASSC_OPENCL_SVM");
  c->svm = !(wish && !strcmp(wish, "0")) && c->f.svm_alloc && c->f.svm_free && c->f.svm_copy && c->f.svm_arg && !c->f.device_info(c->device, DEVICE_SVM, sizeof kinds, &kinds, NULL) && kinds & SVM_COARSE;
  return c->queue ? MASSRT_OK : failed(c, "no queue", r);
}
static int opencl_open(const char *select, struct massrt_device **out, char *why, size_t n)
{
  static const char *const libraries[] = { "libOpenCL.so.1", "libOpenCL.so", NULL };
  static const struct massrt_backend backend = { &massrt_opencl, libraries, names + 1, sizeof(struct opencl), offsetof(struct opencl, f), start };
  return massrt_device_open(&backend, select, out, why, n);
}

/* ---- code: built, or taken from the cache ---- */
static uint64_t hash(const void *p, size_t n, uint64_t h)                   /* FNV-1a */
{
  for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
  return h;
}
/* Empty when there is no place for a cache. */
static void cache_path(const struct opencl *c, const struct massrt_image *m, char *out, size_t n)
{
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  char dir[400];
  *out = 0;
  if (base && *base == '/') snprintf(dir, sizeof dir, "%.300s", base);
  else if (home && *home == '/') snprintf(dir, sizeof dir, "%.300s/.cache", home);
  else return;
  mkdir(dir, 0777);
  strcat(dir, "/massc");
  mkdir(dir, 0777);
  uint64_t a = hash(m->data, m->bytes, 0xcbf29ce484222325u), b = hash(c->d.name, strlen(c->d.name), hash(c->version, strlen(c->version), 0x9ae16a3b2f90404fu));
  snprintf(out, n, "%s/%016llx%016llx.bin", dir, (unsigned long long)hash(m->data, m->bytes, b), (unsigned long long)a);
}
static void *from_cache(struct opencl *c, const char *path)
{
  FILE *f = *path ? fopen(path, "rb") : NULL;
  void *program = NULL;
  struct stat st;
  if (!f) return NULL;
  unsigned char *data = !fstat(fileno(f), &st) && st.st_size > 0 && st.st_size < 1 << 28 ? malloc((size_t)st.st_size) : NULL;
  size_t n = data ? (size_t)st.st_size : 0;
  if (data && fread(data, 1, n, f) == n) {
    cl_int status, r;
    program = c->f.binary(c->context, 1, &c->device, &n, (const unsigned char *const *)&data, &status, &r);
    if (program && (status || c->f.build(program, 1, &c->device, "", NULL, NULL))) {
      c->f.free_program(program);
      program = NULL;
    }
  }
  free(data);
  fclose(f);
  return program;
}
/* Whole or not at all; a cache that cannot be written is no error. */
static void to_cache(struct opencl *c, void *program, const char *path)
{
  size_t n = 0;
  char temporary[600];
  if (!*path || c->f.program_info(program, BINARY_SIZES, sizeof n, &n, NULL) || !n) return;
  unsigned char *data = malloc(n);
  if (data && !c->f.program_info(program, BINARIES, sizeof data, &data, NULL)) {
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *f = fopen(temporary, "wb");
    bool ok = f && fwrite(data, 1, n, f) == n;
    if (f && fclose(f)) ok = false;
    if (f && (!ok || rename(temporary, path))) unlink(temporary);
  }
  free(data);
}
static int build(struct opencl *c, uint32_t i, const struct massrt_image *m)
{
  const char *text = m->data;
  size_t n = m->bytes;
  cl_int r;
  c->program[i] = c->f.program(c->context, 1, &text, &n, &r);
  if (!c->program[i]) return failed(c, c->p->kernels[i].name, r);
  r = c->f.build(c->program[i], 1, &c->device, "", NULL, NULL);
  if (!r) return MASSRT_OK;
  char log[200] = "";
  size_t need = 0;
  char *all = !c->f.build_info(c->program[i], c->device, BUILD_LOG, 0, NULL, &need) && need ? malloc(need) : NULL;
  if (all && !c->f.build_info(c->program[i], c->device, BUILD_LOG, need, all, NULL)) snprintf(log, sizeof log, "%.*s", (int)(need < 199 ? need : 199), all);
  free(all);
  snprintf(c->d.error, sizeof c->d.error, "%s: kernel %.80s does not build (%d): %s", c->d.name, c->p->kernels[i].name, r, log);
  return MASSRT_E_DEVICE;
}
static int load_kernel(struct opencl *c, uint32_t i)
{
  const struct massrt_device_kernel *k = c->p->kernels[i].device;
  char path[500];
  cl_int r;
  int rc = MASSRT_OK;
  cache_path(c, &k->images[0], path, sizeof path);
  c->program[i] = from_cache(c, path);
  if (!c->program[i]) {
    rc = build(c, i, &k->images[0]);
    if (!rc) to_cache(c, c->program[i], path);
  }
  if (rc) return rc;
  c->kernel[i] = c->f.kernel(c->program[i], k->entry, &r);
  return c->kernel[i] ? MASSRT_OK : failed(c, c->p->kernels[i].name, r);
}
static int opencl_load(struct massrt_device *d, const struct massrt_program *p)
{
  struct opencl *c = (struct opencl *)d;
  c->p = p;
  c->program = calloc(p->n_kernels + 1, sizeof *c->program);
  c->kernel = calloc(p->n_kernels + 1, sizeof *c->kernel);
  if (!c->program || !c->kernel) { snprintf(d->error, sizeof d->error, "no memory"); free(c->kernel); c->kernel = NULL; return MASSRT_E_MEMORY; }
  for (uint32_t i = 0; i < p->n_kernels; i++)
    if (p->kernels[i].device) {
      int rc = load_kernel(c, i);
      if (rc) return rc;
    }
  c->weights = block(c, MEM_READ_ONLY, p->weights_bytes + MASSRT_ALIGN);
  if (!c->weights) return failed(c, "no memory for the weights", NO_MEMORY);
  cl_int r = p->weights_bytes ? block_write(c, c->weights, p->weights, p->weights_bytes, true) : 0;
  return r ? failed(c, "the weights cannot be copied", r) : MASSRT_OK;
}

/* ---- memory ---- */
static int opencl_reserve(struct massrt_device *d, uint64_t bytes)
{
  struct opencl *c = (struct opencl *)d;
  CALL(c, "an earlier step failed", finish(c->queue));
  opencl_unbind(d);
  release(c, c->arena);
  c->arena = block(c, MEM_READ_WRITE, bytes + MASSRT_ALIGN);
  return c->arena ? MASSRT_OK : failed(c, "no memory for the activations", NO_MEMORY);
}
/* One object for all that is the same part: some drivers keep what was written by the object through which it was (PoCL 6: github.com/pocl/pocl/issues/1969). */
static int opencl_bind(struct massrt_device *d, bool weights, uint64_t offset, uint64_t bytes, union massrt_word *out)
{
  struct opencl *c = (struct opencl *)d;
  const struct { size_t origin, size; } region = { offset, bytes ? bytes : 4 };
  cl_int r;
  if (c->svm) {
    out->p = (uint8_t *)(weights ? c->weights : c->arena) + offset;
    return MASSRT_OK;
  }
  for (uint32_t i = c->n_words; i-- > 0;)
    if (c->word[i].weights == weights && c->word[i].offset == offset && c->word[i].bytes == bytes) {
      out->p = c->word[i].mem;
      return MASSRT_OK;
    }
  if (c->n_words == c->cap_words) {
    struct word *w = realloc(c->word, (c->cap_words * 2 + 64) * sizeof *w);
    if (!w) return failed(c, "no memory", NO_MEMORY);
    c->word = w;
    c->cap_words = c->cap_words * 2 + 64;
  }
  out->p = c->f.part(weights ? c->weights : c->arena, 0, REGION, &region, &r);
  if (!out->p) return failed(c, "a part of the memory", r);
  c->word[c->n_words++] = (struct word){ weights, offset, bytes, out->p };
  return MASSRT_OK;
}
static void *opencl_host_alloc(struct massrt_device *d, uint64_t bytes)
{
  (void)d;
  return aligned_alloc(MASSRT_ALIGN, (bytes + MASSRT_ALIGN) / MASSRT_ALIGN * MASSRT_ALIGN);
}
static void opencl_host_free(struct massrt_device *d, void *p) { (void)d; free(p); }
static int opencl_to_device(struct massrt_device *d, union massrt_word to, const void *from, uint64_t bytes)
{
  struct opencl *c = (struct opencl *)d;
  cl_int r = block_write(c, to.p, from, bytes, false);
  return r ? failed(c, "copy to the device", r) : MASSRT_OK;
}
static int opencl_to_host(struct massrt_device *d, void *to, union massrt_word from, uint64_t bytes)
{
  struct opencl *c = (struct opencl *)d;
  cl_int r = c->svm ? c->f.svm_copy(c->queue, 0, to, from.p, bytes, 0, NULL, NULL) : c->f.read(c->queue, from.p, 0, 0, bytes, to, 0, NULL, NULL);
  return r ? failed(c, "copy from the device", r) : MASSRT_OK;
}
static int opencl_inside(struct massrt_device *d, union massrt_word to, union massrt_word from, uint64_t bytes)
{
  struct opencl *c = (struct opencl *)d;
  cl_int r = c->svm ? c->f.svm_copy(c->queue, 0, to.p, from.p, bytes, 0, NULL, NULL) : c->f.copy(c->queue, from.p, to.p, 0, 0, bytes, 0, NULL, NULL);
  return r ? failed(c, "copy", r) : MASSRT_OK;
}

/* ---- launches ---- */
static int opencl_launch(struct massrt_device *d, uint32_t kernel, const union massrt_word *args, int64_t blocks, int64_t *elapsed_ns)
{
  struct opencl *c = (struct opencl *)d;
  const struct massrt_device_kernel *k = c->p->kernels[kernel].device;
  const size_t local[2] = { k->lanes, k->warps }, global[2] = { (size_t)blocks * k->lanes, k->warps };
  void *f = c->kernel[kernel];
  for (uint32_t i = 0; i < k->n_pointers; i++) {
    cl_int r = c->svm ? c->f.svm_arg(f, i, args[i].p) : c->f.set_arg(f, i, sizeof(void *), &args[i].p);
    if (r) return failed(c, "argument", r);
  }
  for (uint32_t i = 0; i < k->n_sizes; i++) CALL(c, "argument", set_arg(f, k->n_pointers + i, k->size_bytes[i], &args[k->n_pointers + i].i));
  int64_t t = 0;
  if (elapsed_ns) {
    CALL(c, "an earlier step failed", finish(c->queue));
    t = massrt_now_ns();
  }
  CALL(c, "launch", launch(c->queue, f, 2, NULL, global, local, 0, NULL, NULL));
  if (elapsed_ns) {
    CALL(c, "the kernel failed", finish(c->queue));
    *elapsed_ns = massrt_now_ns() - t;
  }
  return MASSRT_OK;
}
static int opencl_sync(struct massrt_device *d)
{
  struct opencl *c = (struct opencl *)d;
  CALL(c, "a step failed", finish(c->queue));
  return MASSRT_OK;
}
const struct massrt_device_ops massrt_opencl = {
  .word = "opencl", .open = opencl_open, .close = opencl_close, .load = opencl_load, .reserve = opencl_reserve, .bind = opencl_bind, .unbind = opencl_unbind,
  .host_alloc = opencl_host_alloc, .host_free = opencl_host_free, .to_device = opencl_to_device, .to_host = opencl_to_host, .inside = opencl_inside, .launch = opencl_launch,
  .sync = opencl_sync,
};
