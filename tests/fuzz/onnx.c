/* The ONNX reader and importer, and every pass behind them: each ends with a graph or program that verifies, or with a diagnostic. */
#include "compiler/onnx/onnx.h"
#include "tests/fuzz/make_onnx.h"
#include "tests/road.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS = 200, WEIGHTS_MAX = 1 << 20 };

static void seeds(struct fuzz *f)
{
  for (unsigned i = 0; i < SEEDS; i++) {
    struct ir_buf b = { 0 };
    f->random = i;
    make_model(f, &b);
    fuzz_seed(f, b.s, b.n);
    ir_buf_deinit(&b);
  }
}
static void make(struct fuzz *f, struct ir_buf *out)
{
  struct ir_buf a = { 0 };
  bool fresh = fuzz_chance(f, 2);
  if (fresh) make_model(f, &a);
  else { const struct ir_buf *b = fuzz_any(f); ir_buf_add(&a, b->s ? b->s : "", b->n); }
  for (size_t rounds = !fresh + fuzz_below(f, 4); rounds--;) {
    struct ir_buf b = { 0 };
    fuzz_wire(f, &a, &b);
    ir_buf_deinit(&a);
    a = b;
  }
  *out = a;
}
/* Fewer changes: what comes behind the importer is of interest. */
static void make_valid(struct fuzz *f, struct ir_buf *out)
{
  if (fuzz_chance(f, 4)) make(f, out);
  else make_model(f, out);
}

struct import { struct ir_arena *a; struct ir_diags d; struct onnx_file *f; struct ir_module *m; };
static void import(struct import *x, const unsigned char *p, size_t n)
{
  const char *why;
  x->a = ir_arena_create();
  x->d = (struct ir_diags){ .file = "fuzz.onnx" };
  x->f = onnx_read_bytes(x->a, &x->d, p, n, SOURCE_ROOT "/tests/fuzz/external", NULL);
  x->m = x->f ? onnx_import(x->a, &x->d, x->f, NULL) : NULL;
  if (!x->m && !x->d.errors) ir_bug("fuzz", "refused without a diagnostic");
  if (x->m && x->d.errors) ir_bug("fuzz", "imported with a diagnostic: %s", x->d.first.s);
  if (x->m && !ir_verify(x->m, IR_P_IMPORTED, &why)) ir_bug("fuzz", "the imported graph does not verify: %s", why);
}
static void end(struct import *x)
{
  onnx_close(x->f);
  ir_arena_destroy(x->a);
  ir_buf_deinit(&x->d.first);
}
static bool run_onnx(const unsigned char *p, size_t n)
{
  struct import x;
  import(&x, p, n);
  bool accepted = x.m != NULL;
  end(&x);
  return accepted;
}

/* Level and target follow from the bytes, so that a file alone repeats the run. */
static bool run_passes(const unsigned char *p, size_t n)
{
  static const char *const targets[] = { "cpu:x86-64-v2", "cpu:x86-64-v3", "cpu:x86-64-v4" };
  struct import x;
  struct pass_program prog = { 0 };
  uint64_t h = ir_hash(p, n, 0);
  const char *name = targets[h % 3];
  struct ir_target t = road_target(cg_target_find(name, strlen(name)));
  import(&x, p, n);
  bool ok = x.m && road_run(x.m, &t, h >> 8 & 1 ? 2 : 0, &prog);
  if (x.m && !ok && !x.d.errors) ir_bug("fuzz", "a pass refuses without a diagnostic");
  if (ok && prog.weights_bytes <= WEIGHTS_MAX) {
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pass_weights_write(&prog, &x.d, "/dev/null", fd, 0, NULL);
    close(fd);
  }
  road_end(&prog);
  end(&x);
  return ok;
}

static const struct fuzz_target targets[] = {
  { "onnx", "bytes of a model: reader and importer", seeds, make, run_onnx },
  { "passes", "models, imported and compiled up to the tables of the program", seeds, make_valid, run_passes },
  { 0 }
};
int main(int argc, char **argv) { return fuzz_main(argc, argv, targets); }
