/* fake_cuda.c: a CUDA driver of one device that computes nothing and counts time: a kernel takes 1 ms, a copy to the device 100 ms, one to the host 10000. What is
 * captured takes its time when it is replayed. Order and state of the calls are checked: a wrong one fails with status 1. Tests put it in front as libcuda.so.1.
 *
 * FAKE_CUDA_DEVICE="90 13000": versions of the device (80) and of the driver. FAKE_CUDA_LOG: a file that gets a line for each call that queues or records.
 * FAKE_CUDA_FAIL="cuMemAlloc_v2 2 2": the second call of that function returns error 2; from 700 on the context is lost, and all later calls return it too. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ptr;
static double now, captured;
static bool capturing;
struct graph { double ms; };
struct event { double at; };

/* The error that the test wants of this call; 0: none. */
static int call(const char *name)
{
  static int seen, lost;
  char which[64] = "";
  int nth = 0, code = 0;
  const char *s = getenv("FAKE_CUDA_FAIL");
  if (lost || !s || sscanf(s, "%63s %d %d", which, &nth, &code) != 3 || strcmp(which, name) || ++seen != nth) return lost;
  if (code >= 700) lost = code;
  return code;
}
__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
  const char *path = getenv("FAKE_CUDA_LOG");
  FILE *f = path ? fopen(path, "ae") : NULL;
  va_list ap;
  if (!f) return;
  va_start(ap, fmt);
  vfprintf(f, fmt, ap);
  va_end(ap);
  fputc('\n', f);
  fclose(f);
}
static int version(int which)
{
  int v[2] = { 80, 13000 };
  const char *s = getenv("FAKE_CUDA_DEVICE");
  if (s) sscanf(s, "%d %d", &v[0], &v[1]);
  return v[which];
}
static int queue(double ms)
{
  *(capturing ? &captured : &now) += ms;
  return 0;
}
static int queued(const char *what, const char *name, const char *function, double ms)
{
  note("%s %s", what, name);
  int r = call(function);
  return r ? r : queue(ms);
}
#define OK(name, params) int name params { return 0; }
OK(cuInit, (unsigned f)) OK(cuDevicePrimaryCtxRelease_v2, (int d)) OK(cuCtxSetCurrent, (void *c)) OK(cuModuleUnload, (void *m)) OK(cuFuncSetAttribute, (void *f, int a, int v))
OK(cuStreamDestroy_v2, (void *s))
int cuGetErrorName(int e, const char **s) { *s = e == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_OF_TESTS"; return 0; }
int cuGetErrorString(int e, const char **s) { *s = e == 2 ? "out of memory" : "an error of tests"; return 0; }
int cuDriverGetVersion(int *v) { *v = version(1); return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int k) { *d = k; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "a device of tests", (size_t)n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? version(0) / 10 : a == 76 ? version(0) % 10 : 0; return 0; }
static int some(void **out) { *out = malloc(1); return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { return some(c); }
int cuModuleLoadDataEx(void **m, const void *image, unsigned n, int *o, void **v) { return some(m); }
int cuModuleGetFunction(void **f, void *m, const char *name) { return !(*f = strdup(name)); }
int cuStreamCreate(void **s, unsigned f) { return some(s); }
int cuMemAlloc_v2(ptr *p, size_t n)
{
  int r = call("cuMemAlloc_v2");
  if (r) return r;
  *p = (ptr)aligned_alloc(64, (n + 63) / 64 * 64);
  return !*p;
}
int cuMemFree_v2(ptr p) { free((void *)p); return 0; }
int cuMemAllocHost_v2(void **p, size_t n) { *p = aligned_alloc(64, (n + 63) / 64 * 64); return !*p; }
int cuMemFreeHost(void *p) { free(p); return 0; }
int cuMemcpyHtoD_v2(ptr to, const void *from, size_t n) { return capturing; }
int cuMemcpyHtoDAsync_v2(ptr to, const void *from, size_t n, void *s) { return queued("copy", "", "cuMemcpyHtoDAsync_v2", 100); }
int cuMemcpyDtoHAsync_v2(void *to, ptr from, size_t n, void *s) { return queued("copy", "", "cuMemcpyDtoHAsync_v2", 10000); }
int cuMemcpyDtoDAsync_v2(ptr to, ptr from, size_t n, void *s) { return queued("copy", "", "cuMemcpyDtoDAsync_v2", 1); }
int cuStreamSynchronize(void *s)
{
  int r = call("cuStreamSynchronize");
  note("sync");
  return r ? r : capturing;
}
int cuLaunchKernel(void *f, unsigned x, unsigned y, unsigned z, unsigned a, unsigned b, unsigned c, unsigned shared, void *s, void **p, void **e)
{
  return queued("launch", f, "cuLaunchKernel", 1);
}
struct attribute { int id; char pad[4]; union { int i; char pad[64]; } value; };
struct config { unsigned grid[3], block[3], shared; void *stream; struct attribute *attributes; unsigned n; };
int cuLaunchKernelEx(const struct config *g, void *f, void **p, void **e)
{
  bool early = g->n == 1 && g->attributes->id == 6 && g->attributes->value.i == 1;
  return queued(early ? "early" : "odd", f, "cuLaunchKernelEx", 1);
}
int cuStreamBeginCapture_v2(void *s, int mode)
{
  bool was = capturing;
  capturing = true;
  note("record %d", mode);
  captured = 0;
  return was;
}
int cuStreamEndCapture(void *s, void **out)
{
  struct graph *g = malloc(sizeof *g);
  bool was = capturing;
  capturing = false;
  g->ms = captured;
  *out = g;
  note("recorded");
  int r = call("cuStreamEndCapture");
  return r ? r : !was;
}
int cuGraphDestroy(void *g) { free(g); return 0; }
int cuGraphInstantiateWithFlags(void **out, void *g, unsigned long long f)
{
  *out = malloc(sizeof(struct graph));
  memcpy(*out, g, sizeof(struct graph));
  return 0;
}
int cuGraphExecDestroy(void *g) { note("forget"); free(g); return 0; }
int cuGraphLaunch(void *g, void *s) 
{
  return capturing ? 1 : queued("replay", "", "cuGraphLaunch", ((struct graph *)g)->ms);
}
int cuEventCreate(void **e, unsigned f) { return !(*e = calloc(1, sizeof(struct event))); }
int cuEventDestroy_v2(void *e) { free(e); return 0; }
int cuEventRecord(void *e, void *s) { note("event"); ((struct event *)e)->at = now; return capturing; }
int cuEventSynchronize(void *e) { return capturing; }
int cuEventElapsedTime(float *ms, void *a, void *b) { *ms = (float)(((struct event *)b)->at - ((struct event *)a)->at); return 0; }
