/* What is read of NVRTC's log, and how many blocks a multiprocessor holds: figures of CUDA's occupancy calculator, worked out beside. */
#include "tests/unit/tap.h"
#include <stdlib.h>
#include <string.h>
#include "codegen/codegen.h"

START_TEST(logs)
{
  struct cg_usage u;
  ck_assert(cg_usage_read("ptxas info    : 0 bytes gmem\nptxas info    : Compiling entry function 'k' for 'sm_90a'\nptxas info    : Function properties for k\n"
                          "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nptxas info    : Used 32 registers, used 1 barriers, 2368 bytes smem\n", &u));
  ck_assert(u.registers == 32 && u.shared_bytes == 2368 && !u.stack_bytes && !u.spill_bytes);
  ck_assert(cg_usage_read("    72 bytes stack frame, 68 bytes spill stores, 132 bytes spill loads\nptxas info    : Used 255 registers, 400 bytes cmem[0]\n", &u));
  ck_assert(u.registers == 255 && !u.shared_bytes && u.stack_bytes == 72 && u.spill_bytes == 200);
  static const char *const none[] = { "", " registers", "Used registers", "warning: unused", "x registers" };
  for (unsigned i = 0; i < sizeof none / sizeof *none; i++) ck_assert(!cg_usage_read(none[i], &u) && !u.registers);
}
END_TEST

static const struct { const char *target; unsigned registers, shared, threads, dynamic, blocks; } cases[] = {
  { "cuda:sm_90a", 32, 0, 128, 0, 16 },              /* 2048 threads: 16 of 128; registers 65536 / (32 * 32) = 64 warps */
  { "cuda:sm_90a", 64, 0, 256, 0, 4 },               /* 65536 / (64 * 32) = 32 warps: 4 of 8 */
  { "cuda:sm_90a", 33, 0, 256, 0, 6 },               /* 33 round up to 40: 51 warps, 48 in fours: 6 of 8 */
  { "cuda:sm_90a", 255, 0, 256, 0, 1 },              /* 256: 8 warps */
  { "cuda:sm_90a", 255, 0, 512, 0, 0 },              /* 16 warps do not fit 8: it cannot be launched */
  { "cuda:sm_90a", 16, 0, 32, 0, 32 },               /* the number of blocks */
  { "cuda:sm_86", 16, 0, 32, 0, 16 },
  { "cuda:sm_89", 16, 0, 32, 0, 24 },
  { "cuda:sm_89", 32, 0, 1024, 0, 1 },               /* 1536 threads */
  { "cuda:sm_80", 32, 48 << 10, 128, 0, 3 },         /* 164 KiB / (48 + 1) KiB */
  { "cuda:sm_80", 32, 0, 128, 163 << 10, 1 },        /* (163 + 1) KiB: all of it */
  { "cuda:sm_86", 32, 10 << 10, 128, 40 << 10, 1 },  /* 100 / 51 */
  { "cuda:sm_90a", 32, 100, 128, 0, 16 },            /* 100 + 1024 round up to 1152: 202 of them; threads bind */
};
START_TEST(blocks)
{
  const struct cg_target *t = cg_target_find(cases[_i].target, strlen(cases[_i].target));
  struct cg_usage u = { .registers = cases[_i].registers, .shared_bytes = cases[_i].shared };
  ck_assert_uint_eq(cg_blocks_per_core(t, &u, cases[_i].threads, cases[_i].dynamic), cases[_i].blocks);
}
END_TEST

START_TEST(rates)
{
  double ordinary, matrix, tf32, gbytes;
  const struct cg_target *t;
  for (unsigned i = 0; (t = cg_target_at(i)); i++) {
    cg_target_rates(t, NULL, &ordinary, &gbytes);
    cg_target_rates(t, "mma.m16n8k16.f16.f32", &matrix, &gbytes);
    cg_target_rates(t, "mma.m16n8k8.tf32.f32", &tf32, &gbytes);
    ck_assert(ordinary > 0 && gbytes > 0);
    ck_assert(t->kind == CG_CUDA ? matrix >= 2 * ordinary && tf32 * 2 == matrix : matrix == ordinary && tf32 == ordinary);
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("usage");
  TCase *t = tcase_create("usage");
  tcase_add_test(t, logs);
  tcase_add_loop_test(t, blocks, 0, sizeof cases / sizeof *cases);
  tcase_add_test(t, rates);
  suite_add_tcase(s, t);
  return tap_run(s);
}
