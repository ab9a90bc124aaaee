/* run_native.h says what this is. */
#include "tests/unit/codegen/run_native.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool native_runs(const struct cg_target *t)
{
  __builtin_cpu_init();
  return t->level == 4 ? __builtin_cpu_supports("x86-64-v4") : t->level == 3 ? __builtin_cpu_supports("x86-64-v3") : __builtin_cpu_supports("x86-64-v2");
}

/* ---- object, library, function ---- */
struct native { void *lib; massrt_kernel_fn *fn; };

static bool write_all(const char *path, const void *p, size_t n)
{
  FILE *f = fopen(path, "wb");
  bool ok = f && fwrite(p, 1, n, f) == n;
  return (f ? fclose(f) == 0 : false) && ok;
}
static bool fail(const struct kir_kern *k, const char **why, const char *what)
{
  *why = ir_arena_printf(k->arena, "%s: %s", k->name, what);
  return false;
}
/* Builds dir/k.so; the directory and what is in it are gone afterwards. */
static bool build_and_open(const struct kir_kern *k, const struct ir_buf *object, const char *dir, struct native *n, const char **why)
{
  char o[64], so[64], cmd[256];
  snprintf(o, sizeof o, "%s/k.o", dir);
  snprintf(so, sizeof so, "%s/k.so", dir);
  snprintf(cmd, sizeof cmd, "ld -shared -z noexecstack -o %s %s", so, o);
  bool ok = write_all(o, object->s, object->n) && system(cmd) == 0;
  if (!ok) fail(k, why, "ld failed");
  else if (!dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL) || !(n->lib = dlopen(so, RTLD_NOW | RTLD_LOCAL))) ok = fail(k, why, dlerror());
  unlink(o);
  unlink(so);
  return ok;
}
struct native *native_load(const struct kir_kern *k, const struct cg_target *t, const char **why)
{
  struct kir_kern *one = (struct kir_kern *)k;
  struct ir_buf object = { 0 };
  char dir[] = "/tmp/massc-native-XXXXXX";
  struct native *n = calloc(1, sizeof *n);
  bool ok = n && cg_llvm(k->arena, &one, 1, t, CG_OBJECT, &object, why) && (mkdtemp(dir) || fail(k, why, strerror(errno)));
  if (ok) {
    ok = build_and_open(k, &object, dir, n, why);
    rmdir(dir);
  }
  if (ok && !(n->fn = (massrt_kernel_fn *)dlsym(n->lib, k->name))) ok = fail(k, why, "the object lacks the function");
  ir_buf_deinit(&object);
  if (ok) return n;
  native_unload(n);
  return NULL;
}
massrt_kernel_fn *native_fn(const struct native *n) { return n->fn; }
void native_unload(struct native *n)
{
  if (n && n->lib) dlclose(n->lib);
  free(n);
}
int native_spills(const struct kir_kern *k, const struct cg_target *t, const char **why)
{
  struct kir_kern *one = (struct kir_kern *)k;
  struct ir_buf text = { 0 };
  int n = -1;
  if (cg_llvm(k->arena, &one, 1, t, CG_ASM, &text, why)) {
    n = 0;
    for (char *s = text.s, *line; (line = strsep(&s, "\n"));)
      n += (strstr(line, "mov") && strstr(line, "mm") && strstr(line, "(%rsp)"));
  }
  ir_buf_deinit(&text);
  return n;
}

/* ---- elements ---- */
void native_put(enum ir_elem e, const struct ir_tensor *t, int64_t i, void *p)
{
  unsigned bytes = ir_elem_bytes(e);
  if (ir_elem_class(e) != 'F') {
    memcpy(p, &t->i[i], bytes);
    return;
  }
  float f = (float)t->f[i];
  _Float16 h = (_Float16)t->f[i];
  uint32_t u;
  memcpy(&u, &f, 4);
  if (e == IR_f64) memcpy(p, &t->f[i], 8);
  else if (e == IR_f32 || e == IR_tf32) memcpy(p, &f, 4);
  else if (e == IR_f16) memcpy(p, &h, 2);
  else memcpy(p, (char *)&u + 2, 2);          /* bf16: the value is one already */
}
void native_get(enum ir_elem e, struct ir_tensor *t, int64_t i, const void *p)
{
  if (ir_elem_class(e) != 'F') {
    uint64_t u = 0;
    memcpy(&u, p, ir_elem_bytes(e));
    t->i[i] = ir_wrap_to(e, (int64_t)u);
    return;
  }
  float f = 0;
  _Float16 h;
  if (e == IR_f64) memcpy(&t->f[i], p, 8);
  else if (e == IR_f16) memcpy(&h, p, 2), t->f[i] = (double)h;
  else {
    memcpy((char *)&f + (e == IR_bf16 ? 2 : 0), p, e == IR_bf16 ? 2 : 4);
    t->f[i] = f;
  }
}

/* ---- buffers ---- */
enum { PAGE = 4096, CANARY = 0xa5 };
struct guarded { unsigned char *map, *p; size_t map_bytes, bytes, room; };
static bool guarded_alloc(struct guarded *g, size_t bytes)
{
  g->bytes = bytes;
  g->room = (bytes + 63) / 64 * 64;
  size_t body = (g->room + PAGE - 1) / PAGE * PAGE;
  g->map_bytes = body + 2 * PAGE;
  g->map = mmap(NULL, g->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (g->map == MAP_FAILED) return false;
  memset(g->map, CANARY, g->map_bytes);
  mprotect(g->map, PAGE, PROT_NONE);
  mprotect(g->map + PAGE + body, PAGE, PROT_NONE);
  g->p = g->map + PAGE + body - g->room;
  return true;
}
static bool guarded_intact(const struct guarded *g)
{
  for (const unsigned char *q = g->map + PAGE; q < g->p; q++)
    if (*q != CANARY) return false;
  for (size_t i = g->bytes; i < g->room; i++)
    if (g->p[i] != CANARY) return false;
  return true;
}

/* ---- running ---- */
int64_t native_lookup(void *binds, const struct ir_sym *s, bool *known)
{
  const struct native_binds *b = binds;
  for (unsigned i = 0; i < b->n; i++)
    if (!strcmp(b->s[i].name, s->name)) {
      *known = true;
      return b->s[i].value;
    }
  *known = false;
  return 0;
}
static bool eval(const struct kir_kern *k, const struct ir_ix *e, struct native_binds *b, int64_t *out, const char **why)
{
  struct ir_ix_env env = { .sym = native_lookup, .arg = b };
  return ir_ix_eval(e, &env, out) || fail(k, why, ir_ix_str(k->arena, e));
}
static bool run_tasks(const struct kir_kern *k, struct native *n, struct native_binds *b, union massrt_word *args, const char **why)
{
  int64_t tasks = 1;
  for (unsigned i = 0; i < k->grid.n; i++) {
    int64_t trips;
    TRY(eval(k, k->grid.v[i].trips, b, &trips, why));
    tasks *= trips;
  }
  struct guarded scratch;
  TRY(guarded_alloc(&scratch, k->scratch_bytes));
  n->fn(args, 0, tasks / 2, scratch.p);
  n->fn(args, tasks / 2, tasks, scratch.p);
  bool ok = guarded_intact(&scratch) || fail(k, why, "a store beyond the scratch memory");
  munmap(scratch.map, scratch.map_bytes);
  return ok;
}
static bool run_on(const struct kir_kern *k, struct native *n, struct native_binds *b, struct ir_tensor *const *bufs, struct guarded *g, const char **why)
{
  union massrt_word *args = IR_NEWN(k->arena, union massrt_word, k->args.n + k->syms.n + 1);
  for (unsigned i = 0; i < k->args.n; i++) {
    enum ir_elem e = k->args.v[i]->elem;
    if (!guarded_alloc(&g[i], (size_t)bufs[i]->n * ir_elem_bytes(e))) return fail(k, why, "no memory");
    for (int64_t j = 0; j < bufs[i]->n; j++) native_put(e, bufs[i], j, g[i].p + (size_t)j * ir_elem_bytes(e));
    args[i].p = g[i].p;
  }
  for (unsigned i = 0; i < k->syms.n; i++) TRY(eval(k, k->syms.v[i], b, &args[k->args.n + i].i, why));
  TRY(run_tasks(k, n, b, args, why));
  for (unsigned i = 0; i < k->args.n; i++) {
    if (!guarded_intact(&g[i])) return fail(k, why, ir_arena_printf(k->arena, "a store beyond argument %s", k->args.v[i]->name));
    enum ir_elem e = k->args.v[i]->elem;
    for (int64_t j = 0; k->args.v[i]->out && j < bufs[i]->n; j++) native_get(e, bufs[i], j, g[i].p + (size_t)j * ir_elem_bytes(e));
  }
  return true;
}
bool run_native(const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *bufs, const char **why)
{
  struct native *n = native_load(k, t, why);
  if (!n) return false;
  struct native_binds b = { syms, n_syms };
  struct guarded *g = IR_NEWN(k->arena, struct guarded, k->args.n + 1);
  bool ok = run_on(k, n, &b, bufs, g, why);
  for (unsigned i = 0; i < k->args.n; i++)
    if (g[i].map) munmap(g[i].map, g[i].map_bytes);
  native_unload(n);
  return ok;
}
