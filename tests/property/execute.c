/* Compiling and running inside of the test: passes, machine code of all kernels as one library, weights in a memory file, the runtime's own instance; only the
 * host program is replaced by a loop over its list of steps. The runtime's memory ends at a page that cannot be touched, and so do inputs and outputs. */
#include "runtime/internal.h"
#include "tests/property/property.h"
#include "tests/road.h"
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct run { struct ir_arena *a; const char **why; };
static bool fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct run *r, const char *fmt, ...)
{
  char s[1000];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  *r->why = ir_arena_strdup(r->a, s);
  return false;
}

/* ---- memory that ends at a wall ---- */
enum { PAGE = 4096 };
static void *walled(void *arg, size_t bytes, size_t align)
{
  (void)arg;
  size_t room = (bytes + align - 1) / align * align, body = (room + PAGE - 1) / PAGE * PAGE;
  unsigned char *p = mmap(NULL, body + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  memset(p, 0xa5, body);                                 /* nothing may rely on zeros */
  mprotect(p + body, PAGE, PROT_NONE);
  return p + body - room;
}
static void unwalled(void *arg, void *p, size_t bytes) { (void)arg; (void)p; (void)bytes; }   /* the process ends soon */

/* ---- code, weights ---- */
static bool write_file(const char *path, const struct ir_buf *b)
{
  FILE *f = fopen(path, "wb");
  bool ok = f && fwrite(b->s, 1, b->n, f) == b->n;
  return (f ? fclose(f) == 0 : false) && ok;
}
static bool link_and_open(struct run *r, const struct ir_buf *object, const char *dir, void **lib)
{
  char o[64], so[64], cmd[256];
  snprintf(o, sizeof o, "%s/k.o", dir);
  snprintf(so, sizeof so, "%s/k.so", dir);
  snprintf(cmd, sizeof cmd, "ld -shared -z noexecstack -o %s %s", so, o);
  bool ok = write_file(o, object) && system(cmd) == 0;
  if (!ok) fail(r, "ld failed");
  else if (!dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL) || !(*lib = dlopen(so, RTLD_NOW | RTLD_LOCAL))) ok = fail(r, "%s", dlerror());
  unlink(o);
  unlink(so);
  return ok;
}
static bool load_kernels(struct run *r, struct pass_program *p, const struct cg_target *t, massrt_kernel_fn **fn)
{
  struct ir_buf object = { 0 };
  char dir[] = "/tmp/massc-property-XXXXXX";
  void *lib;
  if (!p->kernels.n) return true;
  struct kir_kern **k = IR_NEWN(r->a, struct kir_kern *, p->kernels.n);
  for (uint32_t i = 0; i < p->kernels.n; i++) {
    const char *why;
    k[i] = p->kernels.v[i].kern;
    if (!kir_verify(k[i], &why)) return fail(r, "kernel %s does not verify: %s", p->kernels.v[i].name, why);
  }
  if (!cg_llvm(r->a, k, p->kernels.n, t, CG_OBJECT, &object, r->why)) return false;
  if (!mkdtemp(dir)) return fail(r, "%s", strerror(errno));
  bool ok = link_and_open(r, &object, dir, &lib);
  rmdir(dir);
  ir_buf_deinit(&object);
  for (uint32_t i = 0; i < p->kernels.n && ok; i++)
    if (!(fn[i] = (massrt_kernel_fn *)dlsym(lib, p->kernels.v[i].name))) ok = fail(r, "the object lacks %s", p->kernels.v[i].name);
  return ok;
}
static bool load_weights(struct run *r, struct pass_program *p)
{
  p->tables.weights = (const uint8_t *)"";
  if (!p->weights_bytes) return true;
  int fd = memfd_create("weights", 0);
  if (fd < 0 || ftruncate(fd, (off_t)p->weights_bytes)) return fail(r, "%s", strerror(errno));
  if (!pass_weights_write(p, p->m->diags, "memory", fd, 0, NULL)) return fail(r, "weights: %s", p->m->diags->first.s);
  void *w = mmap(NULL, p->weights_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (w == MAP_FAILED) return fail(r, "%s", strerror(errno));
  p->tables.weights = w;
  return true;
}
static int run_steps(struct massrt_exec *x)
{
  int rc = 0;
  for (uint32_t i = 0; i < x->p->n_steps && !rc; i++) {
    const struct massrt_step *s = &x->p->steps[i];
    switch ((enum massrt_step_kind)s->kind) {
    case MASSRT_S_LAUNCH: rc = massrt_launch(x, i); break;
    case MASSRT_S_COPY: rc = massrt_copy(x, i); break;
    case MASSRT_S_STACK: rc = massrt_stack(x, i); break;
    case MASSRT_S_BIND: rc = massrt_bind(x, i); break;
    case MASSRT_S_CALL: rc = massrt_call(x, i); break;
    case MASSRT_S_LOOP:
      rc = massrt_loop_begin(x, i);
      if (!massrt_loop_again(x, i)) i = s->b;
      break;
    case MASSRT_S_NEXT:
      if (massrt_loop_again(x, s->a)) i = s->a;
      break;
    }
  }
  return rc;
}

/* ---- one run ---- */
static bool tensor_of(struct run *r, const struct ir_tensor *x, bool content, struct massrt_tensor *out)
{
  unsigned size = ir_elem_bytes(x->elem);
  *out = (struct massrt_tensor){ .elem = x->elem, .rank = x->rank, .bytes = (uint64_t)x->n * size };
  memcpy(out->dim, x->dim, x->rank * sizeof *x->dim);
  out->data = walled(NULL, out->bytes + !out->bytes, size);
  if (!out->data) return fail(r, "no memory");
  if (content) ir_tensor_to_bytes(x, out->data);
  return true;
}
static bool compare(struct run *r, uint32_t i, const struct ir_tensor *want, double err, const struct massrt_tensor *got)
{
  if (got->elem != want->elem || got->rank != want->rank || memcmp(got->dim, want->dim, want->rank * sizeof *want->dim)) return fail(r, "result %u has another type or shape", i);
  struct ir_tensor *t = ir_tensor_create(r->a, want->elem, want->rank, want->dim);
  ir_tensor_from_bytes(t, got->data);
  bool f = ir_elem_class(want->elem) == 'F';
  for (int64_t k = 0; k < want->n; k++)
    if (f ? !(fabs(t->f[k] - want->f[k]) <= err) : t->i[k] != want->i[k])
      return fail(r, "result %u, element %lld of %lld: %.9g, expected %.9g (+- %.3g)", i, (long long)k, (long long)want->n, f ? t->f[k] : (double)t->i[k],
                  f ? want->f[k] : (double)want->i[k], err);
  return true;
}
static bool run_sizes(struct run *r, const struct kase *k, unsigned z, struct massrt_exec *x)
{
  struct ir_module *m = case_module(r->a, k, r->why);
  struct bounds b;
  if (!m) return false;
  struct ir_tensor **ins = case_inputs(r->a, m->main, &k->sizes[z], k->data);
  if (!ins) return fail(r, "a symbol without a size");
  if (!bounds_of(r->a, m, ins, &b)) return fail(r, "the evaluator refuses: %s", b.why);
  if (!b.all_good) return fail(r, "no useful bound");
  uint32_t n_in = m->main->params.n, n_out = m->main->results.n;
  struct massrt_tensor *in = IR_NEWN(r->a, struct massrt_tensor, n_in + 1), *out = IR_NEWN(r->a, struct massrt_tensor, n_out + 1);
  for (uint32_t i = 0; i < n_in; i++) TRY(tensor_of(r, ins[i], true, &in[i]));
  for (uint32_t i = 0; i < n_out; i++) TRY(tensor_of(r, b.result[i], false, &out[i]));
  if (massrt_run(x, in, out)) return fail(r, "the runtime refuses: %s", massrt_error(x));
  for (uint32_t i = 0; i < n_out; i++) TRY(compare(r, i, b.result[i], b.err[i], &out[i]));
  return true;
}
bool execute(struct ir_arena *a, const struct kase *k, const struct config *c, const char **why)
{
  struct run r = { a, why };
  const struct cg_target *t = cg_target_find(c->target, strlen(c->target));
  struct ir_target target = road_target(t);
  struct ir_module *m = case_module(a, k, why);
  struct pass_program p;
  struct massrt_exec *x;
  if (!m) return false;
  if (!road_run(m, &target, c->level, &p)) return fail(&r, "refused: %s", m->diags->first.s ? m->diags->first.s : "no diagnostic");
  massrt_kernel_fn **fn = IR_NEWN(a, massrt_kernel_fn *, p.kernels.n + 1);
  TRY(load_kernels(&r, &p, t, fn) && load_weights(&r, &p));
  struct massrt_version version = { .target = t->name, .level = t->level, .fn = fn };
  p.tables.versions = &version;
  p.tables.n_versions = 1;
  p.tables.name = p.tables.producer = p.tables.flags = p.tables.hash = "property";
  p.tables.run = run_steps;
  struct massrt_config config = { .size = sizeof config, .threads = c->threads, .alloc = walled, .free = unwalled };
  if (massrt_create(&p.tables, &config, &x)) return fail(&r, "the runtime refuses: %s", massrt_error(NULL));
  bool ok = true;
  for (unsigned z = 0; z < k->n_sizes && ok; z++) ok = run_sizes(&r, k, z, x);
  massrt_destroy(x);
  road_end(&p);
  return ok;
}
