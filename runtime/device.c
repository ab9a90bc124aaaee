#include "runtime/device.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct massrt_device_ops *massrt_device_find(uint32_t kind)
{
  return kind == MASSRT_K_CUDA ? &massrt_cuda : kind == MASSRT_K_OPENCL ? &massrt_opencl : NULL;
}
/* False: a library of this name, or a function, is missing; why says which. */
static bool load(const char *const *libraries, const char *names, void **table, char *why, size_t n)
{
  void *lib = NULL;
  for (const char *const *l = libraries; *l && !lib; l++) lib = dlopen(*l, RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    snprintf(why, n, "%s cannot be loaded", libraries[0]);
    return false;
  }
  for (const char *s = names; *s; table++) {
    char word[64];
    bool may = *s == '?';
    s += may;
    size_t len = strcspn(s, " ");
    snprintf(word, sizeof word, "%.*s", (int)len, s);
    *table = dlsym(lib, word);
    if (!*table && !may) {
      snprintf(why, n, "%s has no %s: the driver is too old", libraries[0], word);
      dlclose(lib);
      return false;
    }
    s += len;
    s += *s == ' ';
  }
  return true;
}
int massrt_device_open(const struct massrt_backend *b, const char *select, struct massrt_device **out, char *why, size_t n)
{
  struct massrt_device *d = calloc(1, b->bytes);
  *out = NULL;
  if (!d) { snprintf(why, n, "no memory"); return MASSRT_E_MEMORY; }
  d->ops = b->ops;
  if (!load(b->libraries, b->names, (void **)((char *)d + b->functions), why, n)) {
    free(d);
    return MASSRT_E_DEVICE;
  }
  int rc = b->start(d, select);
  if (rc) {
    snprintf(why, n, "%s", d->error);
    b->ops->close(d);
    return rc;
  }
  *out = d;
  return MASSRT_OK;
}
