/* choose: offers of faster records are taken by gain per byte, as many as three quarters of the weights allow. */
#include "tests/road.h"
#include "tests/unit/tap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* By the number of results; weights of 9216, 18432 and 55296 bytes, so 62208 more are allowed. */
static struct kir_sched record[3][2];
static const struct { int64_t results; double gain[2]; int64_t bytes[2]; } offers[3] = {
  { 16, { 10, 30 }, { 10000, 20000 } },     /* the second is the better bargain, 1.5 a thousand bytes: one step */
  { 32, { 40, 41 }, { 20000, 60000 } },     /* 2 a thousand, then next to nothing */
  { 48, { 30, 60 }, { 30000, 63000 } },     /* 1 a thousand: comes last, and is too large then */
};
static unsigned offer(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, struct ir_choice out[IR_MAX_CHOICES])
{
  unsigned k = 0;
  (void)t;
  (void)a;
  for (unsigned i = 0; i < 3; i++)
    for (uint32_t j = 0; j < n->args.n; j++)
      if (n->args.v[j]->space == KIR_CONST && ir_ix_is(n->args.v[j]->hi[0], offers[i].results))
        for (; k < 2; k++) out[k] = (struct ir_choice){ &record[i][k], offers[i].gain[k], offers[i].bytes[k] };
  return k;
}
static const char text[] =
  "const @a: f32[16,16,3,3] = file \"w.bin\" 0 9216\n"
  "const @b: f32[32,16,3,3] = file \"w.bin\" 9216 18432\n"
  "const @c: f32[48,32,3,3] = file \"w.bin\" 27648 55296\n"
  "graph g (%x: f32[2,16,12,12]) -> %3 {\n"
  "  %1 = conv %x, @a {pads=[1,1,1,1]} : f32[2,16,12,12]\n"
  "  %2 = conv %1, @b {pads=[1,1,1,1]} : f32[2,32,12,12]\n"
  "  %3 = conv %2, @c {pads=[1,1,1,1]} : f32[2,48,12,12]\n"
  "}\n";
/* The records of the three convolutions, as numbers of offers from 1; 0: the default. */
static void chosen(int level, bool no_winograd, unsigned out[3])
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "text" };
  char dir[] = "/tmp/massc-choose-XXXXXX", path[64];
  ck_assert(mkdtemp(dir) != NULL);
  snprintf(path, sizeof path, "%s/w.bin", dir);
  FILE *f = fopen(path, "w");
  ck_assert(f && !ftruncate(fileno(f), 82944) && !fclose(f));
  struct ir_module *m = ir_parse(a, &d, text, sizeof text - 1, dir);
  ck_assert_msg(m != NULL, "%s", d.first.s);
  struct ir_target t = road_target(cg_target_find("cpu:x86-64-v3", 13));
  t.choices = offer;
  struct pass_options o = { .level = level, .verify = true, .stop_after = "schedule", .no_winograd = no_winograd };
  struct pass_program p = { .arena = m->arena, .m = m, .target = &t, .level = level, .arena_bytes = -1, .live_bytes = -1 };
  struct pass_ctx c = { .m = m, .opt = &o, .target = &t, .prog = &p };
  ck_assert(pass_run_all(&c, NULL));
  memset(out, 0, 3 * sizeof *out);
  for (uint32_t i = 0; i < p.kernels.n; i++)
    for (unsigned k = 0; k < 6; k++)
      if (p.kernels.v[i].sched == &record[k / 2][k % 2]) out[k / 2] = k % 2 + 1;
  road_end(&p);
  remove(path);
  rmdir(dir);
  ir_arena_destroy(a);
}

START_TEST(by_gain_per_byte)
{
  unsigned r[3];
  for (unsigned k = 0; k < 6; k++) record[k / 2][k % 2].kind = "other";
  chosen(2, false, r);
  ck_assert_uint_eq(r[0], 2);
  ck_assert_uint_eq(r[1], 1);
  ck_assert_uint_eq(r[2], 0);
}
END_TEST
START_TEST(not_when_turned_off)
{
  unsigned r[3];
  for (unsigned k = 0; k < 6; k++) record[k / 2][k % 2].kind = "other";
  chosen(2, true, r);
  ck_assert(!r[0] && !r[1] && !r[2]);
  chosen(1, false, r);
  ck_assert(!r[0] && !r[1] && !r[2]);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("choose");
  TCase *t = tcase_create("choose");
  tcase_add_test(t, by_gain_per_byte);
  tcase_add_test(t, not_when_turned_off);
  suite_add_tcase(s, t);
  return tap_run(s);
}
