/* NVRTC, NVIDIA's compiler of CUDA C as a library, loaded when it is first needed: no toolkit, no driver and no GPU. codegen.h says where it is looked for.
 *
 * The library opens libnvrtc-builtins.so.N by that name alone, and CUDA 13's has no search path of its own: the one beside it is opened first, for all. */
#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include "codegen/codegen.h"

/* Entry points: one line each. */
#define ENTRIES(X) \
  X(int, CreateProgram, (void **, const char *, const char *, int, const char *const *, const char *const *)) \
  X(int, CompileProgram, (void *, int, const char *const *)) \
  X(int, DestroyProgram, (void **)) \
  X(int, GetProgramLogSize, (void *, size_t *)) \
  X(int, GetProgramLog, (void *, char *)) \
  X(int, GetPTXSize, (void *, size_t *)) \
  X(int, GetPTX, (void *, char *)) \
  X(int, GetCUBINSize, (void *, size_t *)) \
  X(int, GetCUBIN, (void *, char *)) \
  X(int, Version, (int *, int *)) \
  X(const char *, GetErrorString, (int))
struct cg_nvrtc {
  void *lib;
  const char *path;
  int major, minor;
#define X(ret, name, args) ret (*name) args;
  ENTRIES(X)
#undef X
};

static void open_builtins(const char *path)
{
  const char *slash = strrchr(path, '/');
  char pattern[4096];
  glob_t g;
  if (!slash || snprintf(pattern, sizeof pattern, "%.*s/libnvrtc-builtins.so.*", (int)(slash - path), path) >= (int)sizeof pattern) return;
  if (!glob(pattern, 0, NULL, &g))
    for (size_t i = 0; i < g.gl_pathc; i++) dlopen(g.gl_pathv[i], RTLD_NOW | RTLD_GLOBAL);
  globfree(&g);
}
static struct cg_nvrtc *load(struct ir_arena *a, const char *path, const char **why)
{
  open_builtins(path);
  void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    *why = ir_arena_strdup(a, dlerror());
    return NULL;
  }
  struct cg_nvrtc *n = IR_NEW(a, struct cg_nvrtc);
  n->lib = lib;
  n->path = ir_arena_strdup(a, path);
#define X(ret, name, args) \
  if (!(*(void **)&n->name = dlsym(lib, "nvrtc" #name))) { *why = ir_arena_printf(a, "%s has no function nvrtc" #name, path); return NULL; }
  ENTRIES(X)
#undef X
  if (n->Version(&n->major, &n->minor) || n->major < 12) {
    *why = ir_arena_printf(a, "%s is NVRTC %d.%d; 12.0 or later is needed", path, n->major, n->minor);
    return NULL;
  }
  return n;
}
static struct cg_nvrtc *load_matches(struct ir_arena *a, const char *pattern)
{
  const char *ignored;
  struct cg_nvrtc *n = NULL;
  glob_t g;
  if (!glob(pattern, 0, NULL, &g))
    for (size_t i = g.gl_pathc; i-- > 0 && !n;) n = load(a, g.gl_pathv[i], &ignored);
  globfree(&g);
  return n;
}
/* Below a folder of Python packages: the wheel for CUDA 13, then the one for 12. */
static struct cg_nvrtc *load_wheel(struct ir_arena *a, const char *packages)
{
  struct cg_nvrtc *n = load_matches(a, ir_arena_printf(a, "%s/nvidia/cu13/lib/libnvrtc.so.1[3-9]", packages));
  return n ? n : load_matches(a, ir_arena_printf(a, "%s/nvidia/cuda_nvrtc/lib/libnvrtc.so.1[2-9]", packages));
}
struct cg_nvrtc *cg_nvrtc_open(struct ir_arena *a, const char *file, const char **why)
{
  static const char *const plain[] = { "libnvrtc.so.13", "libnvrtc.so.12" }, *const roots[] = { "VIRTUAL_ENV", "CONDA_PREFIX", "HOME" },
                    *const system[] = { "/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages", "/usr/lib/python3*/dist-packages" };
  struct cg_nvrtc *n = NULL;
  if (file) return load(a, file, why);
  const char *ignored, *home;
  for (unsigned i = 0; i < 2 && !n; i++)
    if ((home = getenv(i ? "CUDA_PATH" : "CUDA_HOME")) && *home) n = load_matches(a, ir_arena_printf(a, "%s/lib64/libnvrtc.so.1[2-9]", home));
  for (unsigned i = 0; i < 2 && !n; i++) n = load(a, plain[i], &ignored);
  if (!n) n = load_matches(a, "/usr/local/cuda/lib64/libnvrtc.so.1[2-9]");
  for (unsigned i = 0; i < 3 && !n; i++)
    for (unsigned j = 0; j < 2 && !n && (home = getenv(roots[i])) && *home; j++) n = load_wheel(a, ir_arena_printf(a, j ? "%s/.local/lib/python3*/site-packages" : "%s/lib/python3*/site-packages", home));
  for (unsigned i = 0; i < 3 && !n; i++) n = load_wheel(a, system[i]);
  if (!n) *why = "NVRTC is not installed: pip install nvidia-cuda-nvrtc (CUDA 13) or nvidia-cuda-nvrtc-cu12, or name its library with --nvrtc FILE";
  return n;
}
const char *cg_nvrtc_name(struct ir_arena *a, const struct cg_nvrtc *n) { return ir_arena_printf(a, "NVRTC %d.%d, %s", n->major, n->minor, n->path); }

static void log_of(const struct cg_nvrtc *n, void *prog, struct ir_buf *log)
{
  size_t size = 0;
  char *s = !n->GetProgramLogSize(prog, &size) && size > 1 ? calloc(size + 1, 1) : NULL;
  if (s && !n->GetProgramLog(prog, s)) ir_buf_add(log, s, strlen(s));
  free(s);
}
bool cg_nvrtc_compile(struct ir_arena *a, const struct cg_nvrtc *n, const struct cg_cuda_job *j, struct ir_buf *out, struct ir_buf *log, const char **why)
{
  bool cubin = !strncmp(j->arch, "sm_", 3);
  const char *options[24] = { ir_arena_printf(a, "--gpu-architecture=%s", j->arch), "--std=c++17", "--fmad=false"};
  unsigned n_options = 3;
  for (unsigned i = 0; i < j->n_options && n_options < 24; i++) options[n_options++] = j->options[i];
  void *prog = NULL;
  int r = n->CreateProgram(&prog, j->source, ir_arena_printf(a, "%s.cu", j->name), 0, NULL, NULL);
  if (!r) r = n->CompileProgram(prog, (int)n_options, options);
  if (prog && log) log_of(n, prog, log);
  size_t size = 0;
  if (!r) r = cubin ? n->GetCUBINSize(prog, &size) : n->GetPTXSize(prog, &size);
  char *s = r ? NULL : malloc(size + 1);
  if (!r) r = !s ? -1 : cubin ? n->GetCUBIN(prog, s) : n->GetPTX(prog, s);
  if (!r) ir_buf_add(out, s, cubin ? size : strlen(s));
  free(s);
  if (r) *why = ir_arena_printf(a, "kernel %s for %s: %s", j->name, j->arch, r < 0 ? "out of memory" : n->GetErrorString(r));
  if (prog) n->DestroyProgram(&prog);
  return !r;
}
