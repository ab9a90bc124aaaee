#include "runtime/device.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const struct massrt_device_ops *massrt_device_find(uint32_t kind)
{
  return kind == MASSRT_K_CUDA ? &massrt_cuda : kind == MASSRT_K_OPENCL ? &massrt_opencl : NULL;
}
void *massrt_dlopen(const char *const *libraries, const char *names, void **table, char *why, size_t n)
{
  void *lib = NULL;
  for (const char *const *l = libraries; *l && !lib; l++) lib = dlopen(*l, RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    snprintf(why, n, "%s cannot be loaded", libraries[0]);
    return NULL;
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
      return NULL;
    }
    s += len;
    s += *s == ' ';
  }
  return lib;
}
