/* Files beside the model: tuning files, descriptions of processors. What is accepted has records that parse, and makes targets for which nests are scheduled and lowered. */
#include "codegen/machine.h"
#include "passes/passes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/codegen/nests.h"
#include <glob.h>
#include <string.h>

static bool ended(struct ir_diags *d, bool accepted)
{
  if (accepted && d->errors) ir_bug("fuzz", "accepted with a diagnostic: %s", d->first.s);
  if (!accepted && !d->errors) ir_bug("fuzz", "refused without a diagnostic");
  ir_buf_deinit(&d->first);
  return accepted;
}
static bool run_tune(const unsigned char *p, size_t n)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "fuzz" };
  const struct pass_tune *t = pass_tune_parse(a, &d, "fuzz", p, n);
  for (uint32_t i = 0; t && i < t->rows.n; i++) {
    struct ir_diags own = { .file = "row" };
    const struct kir_sched *s = kir_sched_parse(a, &own, t->rows.v[i].sched, strlen(t->rows.v[i].sched));
    if (!s || strcmp(pass_tune_text(a, s), t->rows.v[i].sched)) ir_bug("fuzz", "a record that does not print the same: %s", t->rows.v[i].sched);
  }
  bool ok = ended(&d, t);
  ir_arena_destroy(a);
  return ok;
}
static void lowers(struct ir_arena *a, struct kir_nest *n, const struct cg_target *t)
{
  const char *why = "";
  const struct kir_sched *s = cg_schedule(a, n, t, 2);
  struct cg_expected e = cg_expect(a, n, s, t);
  if (!(e.products > 0 && e.ops > 0 && e.near > 0 && e.weights > 0)) ir_bug("fuzz", "nothing is expected of %s", n->name);
  struct kir_kern *k = cg_lower(a, n, s, t, &why);
  if (!k) ir_bug("fuzz", "does not lower: %s", why);
}
/* Every 16th makes kernels. */
static bool run_machine(const unsigned char *p, size_t n)
{
  static const struct conv_case conv = { .n = 1, .c = 32, .h = 8, .w = 8, .o = 33, .kh = 3, .kw = 3, .stride = 1, .pad = 1, .dil = 1, .groups = 1, .x = HALO, .y = BLOCKED, .relu = true };
  static const struct gemm_case gemm = { .b = 1, .m = 65, .n = 96, .k = 1024, .constant = true };
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "fuzz" };
  const struct ir_yaml *y = cg_machine_parse(a, &d, "fuzz", p, n);
  struct cg_target t = *cg_target_at(ir_hash(p, n, 1) % 3);
  bool ok = ended(&d, y && cg_machine_apply(a, &d, y, &t));
  if (ok && ir_hash(p, n, 0) % 16 == 0) {
    lowers(a, conv_nest(a, &conv), &t);
    lowers(a, gemm_nest(a, &gemm), &t);
  }
  ir_arena_destroy(a);
  return ok;
}

/* ---- seeds ---- */
static const char tune_seed[] =
  "# A comment\nmassc_tune: 1\nprocessor: \"AMD EPYC\"\nthreads: 1\nkernels:\n"
  "- kernel: \"x86-64-v4 conv_add_max f32[batch,32,16,16] f32[32,32,3,3] -> f32[batch,32,16,16] #2a91a2ecb74c4b87\"\n"
  "  sched: \"sched winograd { loops = grid n/1 t/8 o/32, for h/4, for w/4, for o/32, for c/32, for t/8; tile = fma.v16; x1 = packed prefetch 4096 far 32768 }\"\n  us: 13.81\n  default_us: 40.54\n"
  "- {kernel: \"x86-64-v3 dot f32[1,128] #1\", sched: 'sched contract { loops = grid n/1 o/16, for hw/16, for c/16 sums, for c/1 unroll 8; tile = fma.v8; x1 = packed; tail = hw peel 12 }'}\n";
static void tune_seeds(struct fuzz *f)
{
  fuzz_seed(f, tune_seed, strlen(tune_seed));
  fuzz_seed(f, "massc_tune: 1\nkernels: []\n", 27);
}
static void machine_seeds(struct fuzz *f)
{
  glob_t g;
  struct ir_mapping m;
  if (glob(SOURCE_ROOT "/codegen/machines/*.yaml", 0, NULL, &g)) ir_bug("fuzz", "no descriptions at %s", SOURCE_ROOT);
  for (size_t i = 0; i < g.gl_pathc; i++) {
    if (ir_file_map(g.gl_pathv[i], &m)) continue;
    fuzz_seed(f, m.p, m.n);
    ir_file_unmap(&m);
  }
  globfree(&g);
}
static const struct fuzz_target targets[] = {
  { "tune", "tuning files", tune_seeds, fuzz_text, run_tune },
  { "machine", "descriptions of processors", machine_seeds, fuzz_text, run_machine },
  { 0 }
};
int main(int argc, char **argv) { return fuzz_main(argc, argv, targets); }
