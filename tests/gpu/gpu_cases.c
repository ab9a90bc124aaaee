/* gpu_cases DIR MODEL.onnx ..: every distinct kernel of the models that is small enough to be evaluated, with random inputs and expected results, for run.py.
 * gpu_cases --opencl MODEL.onnx ..: the same kernels as OpenCL C, run here by the OpenCL loader's first device. Free dims are 2, or the least they can be. */
#include "compiler/onnx/onnx.h"
#include "tests/road.h"
#include "tests/unit/codegen/gpu_case.h"
#include "tests/unit/codegen/run_opencl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORK = 60000000, MOST_ELEMS = 4 << 20, MAX_SYMS = 64 };

static struct ir_tensor *tensor(struct ir_arena *a, enum ir_elem e, int64_t n)
{
  struct ir_tensor *t = IR_NEW(a, struct ir_tensor);
  *t = (struct ir_tensor){ .elem = e, .rank = 1, .dim = { n }, .n = n, .p = ir_arena_alloc(a, 8 * (size_t)(n + 1)) };
  return t;
}
static void fill(struct ir_tensor *t, uint64_t *x)
{
  for (int64_t i = 0; i < t->n; i++) {
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    int64_t r = (int64_t)(*x >> 40) % 257 - 128;
    if (ir_elem_class(t->elem) == 'F') t->f[i] = ir_round_to(t->elem, (double)r / 64);
    else t->i[i] = t->elem == IR_bool ? r & 1 : llabs(r) % 7;
  }
}
static unsigned bind_all(struct ir_ixs *t, struct kir_bind *out)
{
  unsigned n = 0;
  for (unsigned i = 0; i < ir_ixs_nsyms(t) && n < MAX_SYMS; i++) {
    const struct ir_sym *s = ir_ixs_sym(t, i);
    int64_t want = s->lo > 2 ? s->lo : 2;
    if (s->kind == IR_SYM_DIM) out[n++] = (struct kir_bind){ s->name, want > s->hi ? s->hi : (want + s->by - 1) / s->by * s->by };
  }
  return n;
}
struct env { const struct kir_bind *b; unsigned n; };
static int64_t lookup(void *arg, const struct ir_sym *s, bool *known)
{
  struct env *e = arg;
  *known = false;
  for (unsigned i = 0; i < e->n; i++)
    if (!strcmp(e->b[i].name, s->name)) {
      *known = true;
      return e->b[i].value;
    }
  return 0;
}
/* Runs the kernel and compares its results with the evaluation's. */
static bool run_here(const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *b, unsigned nb, struct ir_tensor **dense, struct ir_tensor **raw, const char **why)
{
  TRY(run_opencl(k, t, b, nb, raw, why));
  for (uint32_t i = 0; i < k->args.n; i++) {
    const struct kir_arr *x = k->args.v[i];
    struct ir_tensor *got = tensor(k->arena, x->elem, dense[i]->n);
    double top = 0;
    if (!x->out) continue;
    if (!kir_arg_unpack(x, b, nb, raw[i], got)) return false;
    bool f = ir_elem_class(x->elem) == 'F';
    for (int64_t j = 0; f && j < got->n; j++)
      if (isfinite(dense[i]->f[j])) top = fmax(top, fabs(dense[i]->f[j]));
    for (int64_t j = 0; j < got->n; j++)
      if (f ? !(fabs(got->f[j] - dense[i]->f[j]) <= 2e-5 * top || got->f[j] == dense[i]->f[j] || (isnan(got->f[j]) && isnan(dense[i]->f[j]))) : got->i[j] != dense[i]->i[j]) {
        *why = ir_arena_printf(k->arena, "%s[%lld] is %.9g, want %.9g", x->name, (long long)j, f ? got->f[j] : (double)got->i[j], f ? dense[i]->f[j] : (double)dense[i]->i[j]);
        return false;
      }
  }
  return true;
}
/* 1 written or run, 0 too large, -1 an error */
static int one(const char *dir, struct ir_node *node, const struct pass_kernel *k, double work, const struct cg_target *t)
{
  struct ir_arena *a = k->arena;
  struct kir_nest *ref = kir_nest_of(a, node);
  struct kir_bind b[MAX_SYMS];
  unsigned nb = bind_all(ref->ixs, b);
  struct env e = { b, nb };
  struct ir_ix_env env = { .sym = lookup, .arg = &e };
  uint64_t x = 88172645463325252ull;
  const char *why = "";
  if (work > MOST_WORK) return 0;
  struct ir_tensor **dense = IR_NEWN(a, struct ir_tensor *, ref->args.n + 1), **raw = IR_NEWN(a, struct ir_tensor *, ref->args.n + 1);
  for (uint32_t i = 0; i < ref->args.n; i++) {
    int64_t n = 1, d;
    const struct kir_arr *arr = ref->args.v[i];
    for (unsigned j = 0; j < arr->rank; j++) {
      if (!ir_ix_eval(arr->shape[j] ? arr->shape[j] : arr->hi[j], &env, &d)) return -1;
      n *= d;
    }
    if (n > MOST_ELEMS) return 0;
    dense[i] = tensor(a, arr->elem, n);
    if (!arr->out) fill(dense[i], &x);
  }
  bool ok = kir_nest_eval(ref, b, nb, dense, &why);
  for (uint32_t i = 0; ok && i < ref->args.n; i++) {
    int64_t n = 0;
    ok = kir_arg_size(k->kern->args.v[i], b, nb, &n);
    if (ok) raw[i] = tensor(a, ref->args.v[i]->elem, n);
    ok = ok && kir_arg_pack(k->kern->args.v[i], b, nb, dense[i], raw[i]);
  }
  ok = ok && (dir ? gpu_case_write(dir, k->kern, t, b, nb, raw, 2e-5, &why) : run_here(k->kern, t, b, nb, dense, raw, &why));
  if (!ok) fprintf(stderr, "%s: %s\n", k->name, why);
  return ok ? 1 : -1;
}
static int model(const char *dir, const char *path, const struct cg_target *ct)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .out = stderr, .file = path };
  struct onnx_options o = { 0 };
  struct onnx_file *f = onnx_read(a, &d, path, &o);
  struct ir_module *m = f ? onnx_import(a, &d, f, &o) : NULL;
  struct ir_target t = road_target(ct);
  struct pass_program p;
  unsigned count[3] = { 0 };
  t.block = 1;
  t.plane_pad = 0;
  if (!m || !road_run(m, &t, 2, &p)) return 1;
  for (uint32_t i = 0; i < p.kernels.n; i++)
    for (uint32_t j = 0; j < p.groups.n; j++) {
      const struct pass_group *g = &p.groups.v[j];
      if (g->node->op == IR_OP_transfer || g->kernel != i) continue;
      struct kir_bind b[MAX_SYMS];
      struct env e = { b, bind_all(m->ixs, b) };
      struct ir_ix_env env = { .sym = lookup, .arg = &e };
      int64_t work = INT64_MAX;
      ir_ix_eval(g->work, &env, &work);
      count[1 + one(dir, g->node, &p.kernels.v[i], (double)work, ct)]++;
      break;
    }
  printf("%s: %u kernels %s, %u too large, %u failed\n", path, count[2], dir ? "written" : "run", count[1], count[0]);
  road_end(&p);
  onnx_close(f);
  return count[0] != 0;
}
int main(int argc, char **argv)
{
  int bad = 0;
  if (argc < 3) {
    fprintf(stderr, "usage: gpu_cases DIR|--opencl MODEL.onnx ..\n");
    return 2;
  }
  bool here = !strcmp(argv[1], "--opencl");
  if (here && !opencl_here()) {
    printf("no OpenCL device\n");
    return 77;
  }
  for (int i = 2; i < argc; i++) bad |= here ? model(NULL, argv[i], cg_target_find("opencl", 6)) : model(argv[1], argv[i], cg_target_find("cuda:sm_80", 10));
  return bad;
}
