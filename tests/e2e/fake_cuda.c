/* fake_cuda.c: a CUDA driver of one device (sm_80) that computes nothing and counts time: a kernel takes 1 ms, a copy to the device 100 ms, one to the host 10000. What is
 * captured takes its time when it is replayed. Order and state of the calls are checked: a wrong one fails with status 1. Tests put it in front as libcuda.so.1. */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ptr;
static double now, captured;
static bool capturing;
struct graph { double ms; };
struct event { double at; };

static int queue(double ms)
{
  *(capturing ? &captured : &now) += ms;
  return 0;
}
#define OK(name, params) int name params { return 0; }
OK(cuInit, (unsigned f)) OK(cuDevicePrimaryCtxRelease_v2, (int d)) OK(cuCtxSetCurrent, (void *c)) OK(cuModuleUnload, (void *m)) OK(cuFuncSetAttribute, (void *f, int a, int v))
OK(cuStreamDestroy_v2, (void *s)) OK(cuGetErrorName, (int e, const char **s)) OK(cuGetErrorString, (int e, const char **s))
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int k) { *d = k; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "a device of tests", (size_t)n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : 0; return 0; }
static int some(void **out) { *out = malloc(1); return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { return some(c); }
int cuModuleLoadDataEx(void **m, const void *image, unsigned n, int *o, void **v) { return some(m); }
int cuModuleGetFunction(void **f, void *m, const char *name) { return some(f); }
int cuStreamCreate(void **s, unsigned f) { return some(s); }
int cuMemAlloc_v2(ptr *p, size_t n) { *p = (ptr)aligned_alloc(64, (n + 63) / 64 * 64); return !*p; }
int cuMemFree_v2(ptr p) { free((void *)p); return 0; }
int cuMemAllocHost_v2(void **p, size_t n) { *p = aligned_alloc(64, (n + 63) / 64 * 64); return !*p; }
int cuMemFreeHost(void *p) { free(p); return 0; }
int cuMemcpyHtoD_v2(ptr to, const void *from, size_t n) { return capturing; }
int cuMemcpyHtoDAsync_v2(ptr to, const void *from, size_t n, void *s) { return queue(100); }
int cuMemcpyDtoHAsync_v2(void *to, ptr from, size_t n, void *s) { return queue(10000); }
int cuMemcpyDtoDAsync_v2(ptr to, ptr from, size_t n, void *s) { return queue(1); }
int cuStreamSynchronize(void *s) { return capturing; }
int cuLaunchKernel(void *f, unsigned x, unsigned y, unsigned z, unsigned a, unsigned b, unsigned c, unsigned shared, void *s, void **p, void **e) { return queue(1); }
int cuStreamBeginCapture_v2(void *s, int mode)
{
  bool was = capturing;
  capturing = true;
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
  return !was;
}
int cuGraphDestroy(void *g) { free(g); return 0; }
int cuGraphInstantiateWithFlags(void **out, void *g, unsigned long long f)
{
  *out = malloc(sizeof(struct graph));
  memcpy(*out, g, sizeof(struct graph));
  return 0;
}
int cuGraphExecDestroy(void *g) { free(g); return 0; }
int cuGraphLaunch(void *g, void *s) { return capturing || queue(((struct graph *)g)->ms); }
int cuEventCreate(void **e, unsigned f) { return !(*e = calloc(1, sizeof(struct event))); }
int cuEventDestroy_v2(void *e) { free(e); return 0; }
int cuEventRecord(void *e, void *s) { ((struct event *)e)->at = now; return capturing; }
int cuEventSynchronize(void *e) { return capturing; }
int cuEventElapsedTime(float *ms, void *a, void *b) { *ms = (float)(((struct event *)b)->at - ((struct event *)a)->at); return 0; }
