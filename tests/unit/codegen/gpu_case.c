/* gpu_case.h says what this is. */
#include "tests/unit/codegen/gpu_case.h"
#include "tests/unit/codegen/run_native.h"
#include "tests/unit/codegen/run_opencl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool write_file(const char *path, const void *p, size_t n)
{
  FILE *f = fopen(path, "wb");
  bool ok = f && fwrite(p, 1, n, f) == n;
  return (f ? fclose(f) == 0 : false) && ok;
}
static void json(struct ir_buf *b, const struct kir_kern *k, const struct cg_launch *l, struct native_binds *v, struct ir_tensor *const *raw, double tolerance)
{
  struct ir_ix_env env = { .sym = native_lookup, .arg = v };
  int64_t blocks = 0, offset = 0;
  ir_ix_eval(l->blocks, &env, &blocks);
  ir_buf_printf(b, "{\"entry\": \"%s\", \"blocks\": %lld, \"lanes\": %u, \"warps\": %u, \"dynamic\": %llu, \"tolerance\": %g, \"args\": [", l->name, (long long)blocks, l->lanes, l->warps,
                (unsigned long long)l->dynamic_bytes, tolerance);
  for (uint32_t i = 0; i < k->args.n; i++) {
    enum ir_elem e = k->args.v[i]->elem;
    ir_buf_printf(b, "%s{\"elem\": \"%s\", \"n\": %lld, \"bytes\": %u, \"offset\": %lld, \"out\": %s}", i ? ", " : "", ir_elem_name(e), (long long)raw[i]->n, ir_elem_bytes(e),
                  (long long)offset, k->args.v[i]->out ? "true" : "false");
    offset += raw[i]->n * ir_elem_bytes(e);
  }
  ir_buf_printf(b, "], \"sizes\": [");
  for (unsigned i = 0; i < l->n_sizes; i++) {
    int64_t x = 0;
    ir_ix_eval(l->size[i], &env, &x);
    ir_buf_printf(b, "%s[%lld, %u]", i ? ", " : "", (long long)x, l->size_bytes[i]);
  }
  ir_buf_printf(b, "]}\n");
}
bool gpu_case_write(const char *dir, const struct kir_kern *k, const struct cg_target *t, const struct kir_bind *syms, unsigned n_syms, struct ir_tensor *const *raw, double tolerance,
                    const char **why)
{
  static const char *const archs[] = { "sm_80", "sm_90a" };
  struct cg_nvrtc *nvrtc = nvrtc_of_tests();
  struct ir_buf source = { 0 }, info = { 0 };
  struct native_binds v = { syms, n_syms };
  struct cg_launch l;
  struct stat st;
  bool ok = cg_c(k->arena, k, t, NULL, &source, &l, why);
  if (!ok) return false;
  json(&info, k, &l, &v, raw, tolerance);
  /* kernels of one name differ in their arguments' values and sizes */
  const char *name = ir_arena_printf(k->arena, "%s/%s_%08x", dir, l.name, (unsigned)ir_hash(info.s, info.n, ir_hash(source.s, source.n, 0)));
  if (!stat(ir_arena_printf(k->arena, "%s.json", name), &st)) return true;
  for (unsigned i = 0; i < 2 && nvrtc && ok; i++) {
    struct ir_buf out = { 0 };
    struct cg_cuda_job j = { .source = source.s, .name = l.name, .arch = archs[i] };
    ok = cg_nvrtc_compile(k->arena, nvrtc, &j, &out, NULL, why) && write_file(ir_arena_printf(k->arena, "%s.%s.cubin", name, archs[i]), out.s, out.n);
    ir_buf_deinit(&out);
  }
  size_t bytes = 0, at = 0;
  for (uint32_t i = 0; i < k->args.n; i++) bytes += (size_t)raw[i]->n * ir_elem_bytes(k->args.v[i]->elem);
  unsigned char *p = calloc(bytes + 1, 1);
  for (uint32_t i = 0; p && i < k->args.n; i++)
    for (int64_t j = 0; j < raw[i]->n; j++, at += ir_elem_bytes(k->args.v[i]->elem)) native_put(k->args.v[i]->elem, raw[i], j, p + at);
  ok = ok && p && write_file(ir_arena_printf(k->arena, "%s.bin", name), p, bytes) && write_file(ir_arena_printf(k->arena, "%s.cu", name), source.s, source.n) &&
       write_file(ir_arena_printf(k->arena, "%s.json", name), info.s, info.n);
  free(p);
  ir_buf_deinit(&source);
  ir_buf_deinit(&info);
  return ok;
}
