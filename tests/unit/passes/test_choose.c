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
/* What a tuning file may choose of them. */
static struct kir_sched plain;
static unsigned alternatives(const struct ir_target *t, struct ir_arena *a, const struct kir_nest *n, struct ir_choice out[IR_MAX_ALTERNATIVES])
{
  unsigned k = offer(t, a, n, out + 1);
  out[0] = (struct ir_choice){ .s = &plain };
  return k ? k + 1 : 0;
}
/* Rows of a tuning file for convolutions of so many results. */
static struct { unsigned convolution /* from 1 */, record; } rows[3];
static struct pass_tune *tuning(struct ir_arena *a, const struct ir_target *t, struct ir_module *m)
{
  struct pass_tune *r = IR_NEW(a, struct pass_tune);
  unsigned at = 0;
  r->file = "rows";
  for (struct ir_node *n = m->main->first; n; n = n->next) {
    struct kir_nest *nest = n->op == IR_OP_group ? kir_nest_of(a, n) : NULL;
    struct ir_choice x[IR_MAX_ALTERNATIVES];
    if (!nest || !alternatives(t, a, nest, x)) continue;
    at++;
    for (unsigned i = 0; i < 3; i++)
      if (rows[i].convolution == at) ir_push(a, &r->rows, ((struct pass_tune_row){ .kernel = pass_tune_key(a, t, nest), .sched = pass_tune_text(a, x[rows[i].record].s) }));
  }
  return r;
}
static bool tuned;
static unsigned warnings;
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
  t.alternatives = alternatives;
  t.isa = "x86-64-v3";
  struct pass_options o = { .level = level, .verify = true, .stop_after = "schedule", .no_winograd = no_winograd };
  struct pass_program p = { .arena = m->arena, .m = m, .target = &t, .level = level, .arena_bytes = -1, .live_bytes = -1 };
  struct pass_ctx c = { .m = m, .opt = &o, .target = &t, .prog = &p };
  if (tuned) {                                   /* the groups are known behind outline */
    o.stop_after = "outline";
    ck_assert(pass_run_all(&c, NULL));
    o.tune = tuning(m->arena, &t, m);
    o.stop_after = "schedule";
    ck_assert_uint_gt(o.tune->rows.n, 0);
  }
  ck_assert(pass_run_all(&c, tuned ? "schedule" : NULL));
  warnings = d.warnings;
  if (tuned) pass_tune_report(o.tune, &d, &t, 1);
  ck_assert_uint_eq(d.warnings, warnings);       /* every row met its kernel */
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

static void tuned_rows(unsigned c0, unsigned r0, unsigned c1, unsigned r1, unsigned c2, unsigned r2)
{
  plain.kind = "map";
  for (unsigned k = 0; k < 6; k++) record[k / 2][k % 2] = (struct kir_sched){ .kind = k % 2 ? "row" : "other", .inst = (const char *[]){ "a", "b", "c" }[k / 2] };
  memset(rows, 0, sizeof rows);
  rows[0].convolution = c0, rows[0].record = r0;
  rows[1].convolution = c1, rows[1].record = r1;
  rows[2].convolution = c2, rows[2].record = r2;
  tuned = true;
}
/* Rows decide, with steps and without; what they leave goes to the others by gain per byte. */
START_TEST(tuned_records_come_first)
{
  unsigned r[3];
  tuned_rows(1, 1, 2, 0, 0, 0);                   /* 10000 bytes; the default; 52208 left: 30000 of the third's */
  chosen(2, false, r);
  ck_assert(r[0] == 1 && r[1] == 0 && r[2] == 1 && !warnings);
  tuned_rows(1, 2, 3, 1, 0, 0);
  chosen(1, false, r);                            /* no steps at -O1 */
  ck_assert(r[0] == 2 && r[1] == 0 && r[2] == 1 && !warnings);
  tuned = false;
}
END_TEST
/* 20000 and 60000 and 63000 bytes do not go into 62208: the second and the third get what is massc's own choice, the second with 42208 left, and are told. */
START_TEST(tuned_records_must_fit)
{
  unsigned r[3];
  tuned_rows(1, 2, 2, 2, 3, 2);
  chosen(2, false, r);
  ck_assert(r[0] == 2 && r[1] == 1 && r[2] == 0);
  ck_assert_uint_eq(warnings, 2);
  tuned = false;
}
END_TEST

int main(void)
{
  Suite *s = suite_create("choose");
  TCase *t = tcase_create("choose");
  tcase_add_test(t, by_gain_per_byte);
  tcase_add_test(t, not_when_turned_off);
  tcase_add_test(t, tuned_records_come_first);
  tcase_add_test(t, tuned_records_must_fit);
  suite_add_tcase(s, t);
  return tap_run(s);
}
