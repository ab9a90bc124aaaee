/* Convolutions of few channels before and after pass unfold: the same values from the evaluator, infinities in the input included, and channels in whole pieces. */
#include "passes/passes.h"
#include "tests/unit/graph/graph_test.h"
#include <math.h>

static const struct ir_target target = { .name = "golden", .place = "cuda:0", .kind = 1, .align = 512, .block = 1, .channels_last = true };
static const struct { const char *elem; int n, c, h, w, o, kh, kw, sh, sw, top, left, bottom, right, dh, dw; } cases[] = {
  { "f16", 1, 3, 23, 27, 5, 11, 11, 4, 4, 2, 2, 2, 2, 1, 1 },   /* AlexNet's, ResNet's and YOLOv3's first */
  { "f16", 2, 3, 14, 17, 4, 7, 7, 2, 2, 3, 3, 3, 3, 1, 1 },
  { "f16", 1, 3, 9, 8, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1 },
  { "bf16", 2, 3, 13, 11, 3, 3, 3, 2, 2, 0, 1, 1, 0, 1, 1 },    /* one-sided padding, odd sizes */
  { "bf16", 1, 1, 12, 13, 7, 5, 5, 1, 3, 2, 0, 2, 0, 1, 1 },
  { "f16", 1, 4, 11, 19, 3, 3, 4, 1, 2, 0, 3, 0, 3, 2, 3 },     /* dilated; padding as wide as the taps */
  { "f16", 1, 3, 9, 9, 4, 3, 3, 1, 1, -1, -2, 0, -1, 1, 1 },    /* cut instead of padded */
  { "f16", 1, 8, 6, 7, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1 },       /* whole pieces, but too few for a step of the sum */
  { "bf16", 1, 18, 5, 6, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1 },     /* more channels: zeros only */
  { "f16", 1, 12, 5, 4, 3, 3, 1, 2, 1, 1, 0, 1, 0, 1, 1 },
};
enum { CASES = sizeof cases / sizeof *cases };

static struct ir_tensor *random_tensor(struct fixture *f, const struct ir_type *t, uint64_t seed)
{
  int64_t dim[IR_MAX_RANK];
  ir_type_static(t, dim, NULL);
  struct ir_tensor *x = ir_tensor_create(f->a, t->elem, t->rank, dim);
  for (int64_t i = 0; i < x->n; i++) x->f[i] = ir_round_to(t->elem, (double)(int32_t)(next_random(&seed) % 2001 - 1000u) / 500);
  x->f[x->n / 3] = INFINITY;           /* what no window holds must not reach it */
  return x;
}
static const struct ir_node *the_conv(const struct ir_module *m)
{
  const struct ir_node *r = NULL;
  for (const struct ir_node *n = m->main->first; n; n = n->next)
    if (n->op == IR_OP_conv) r = n;
  return r;
}
static void run(struct ir_module *m, const char *name)
{
  static const struct pass_options o = { .level = 2, .verify = true };
  struct pass_ctx c = { .m = m, .opt = &o, .target = &target };
  ck_assert(pass_run_one(&c, pass_find(name, strlen(name))));
}
static void compare(struct fixture *f, const char *text)
{
  struct ir_tensor *x, *before, *after;
  const char *why = "";
  f->m = ir_parse(f->a, &f->d, text, strlen(text), NULL);
  ck_assert_msg(f->m != NULL, "%s", f->d.first.s);
  x = random_tensor(f, f->m->main->params.v[0]->type, 7);
  run(f->m, "fold");
  run(f->m, "place");
  ck_assert(ir_eval(f->a, f->m->main, &x, 1, &before));
  run(f->m, "unfold");
  ck_assert_msg(ir_verify(f->m, IR_P_PLACED, &why), "%s", why);
  int64_t channels, infinite = 0;
  const struct ir_node *conv = the_conv(f->m);
  ck_assert(ir_ix_const(conv->in[0]->type->dim[1], &channels));
  ck_assert_msg(channels % 8 == 0 && channels >= 16, "%d channels", (int)channels);
  ck_assert(conv->in[1]->weight);
  ck_assert(ir_eval(f->a, f->m->main, &x, 1, &after));
  ck_assert_int_eq(before->n, after->n);
  for (int64_t i = 0; i < before->n; i++) {
    double a = before->f[i], b = after->f[i];
    infinite += !isfinite(a);
    ck_assert_msg(isnan(a) ? isnan(b) : isinf(a) ? a == b : fabs(a - b) <= 1e-6 * (1 + fabs(a)), "element %d: %g, %g", (int)i, a, b);
  }
  ck_assert(infinite < before->n);
}
START_TEST(planes)
{
  FIXTURE(f);
  struct ir_buf b = { 0 };
  int n = cases[_i].n, c = cases[_i].c, o = cases[_i].o, kh = cases[_i].kh, kw = cases[_i].kw;
  int oh = (cases[_i].h + cases[_i].top + cases[_i].bottom - cases[_i].dh * (kh - 1) - 1) / cases[_i].sh + 1;
  int ow = (cases[_i].w + cases[_i].left + cases[_i].right - cases[_i].dw * (kw - 1) - 1) / cases[_i].sw + 1;
  ir_buf_printf(&b, "const @w: %s[%d,%d,%d,%d] = [", cases[_i].elem, o, c, kh, kw);
  for (int i = 0; i < o * c * kh * kw; i++) ir_buf_printf(&b, "%s%g", i ? "," : "", (i * 37 % 127 - 63) / 32.0);    /* no two taps or channels alike */
  ir_buf_printf(&b, "]\ngraph main (%%x: %s[%d,%d,%d,%d]) -> %%1 {\n  %%1 = conv %%x, @w {strides=[%d,%d], pads=[%d,%d,%d,%d], dilations=[%d,%d], to=f32} : f32[%d,%d,%d,%d]\n}\n",
                cases[_i].elem, n, c, cases[_i].h, cases[_i].w, cases[_i].sh, cases[_i].sw, cases[_i].top, cases[_i].left, cases[_i].bottom, cases[_i].right, cases[_i].dh, cases[_i].dw, n, o, oh, ow);
  compare(&f, b.s);
  ir_buf_deinit(&b);
  DONE(f);
}
END_TEST
START_TEST(lines_and_volumes)
{
  FIXTURE(f);
  compare(&f, "const @w: f16[2,3,6] = [-1.96875,-0.8125,0.34375,1.5,-1.3125,-0.15625,1,-1.8125,-0.65625,0.5,1.65625,-1.15625,0,1.15625,-1.65625,-0.5,0.65625,1.8125,-1,0.15625,1.3125,-1.5,-0"
              ".34375,0.8125,1.96875,-0.84375,0.3125,1.46875,-1.34375,-0.1875,0.96875,-1.84375,-0.6875,0.46875,1.625,-1.1875]\n"
              "graph main (%x: f16[2,3,21]) -> %1 {\n  %1 = conv %x, @w {strides=[2], pads=[1,2], to=f32} : f32[2,2,10]\n}\n");
  compare(&f, "const @w: f16[2,2,2,2,3] = [-1.96875,-0.8125,0.34375,1.5,-1.3125,-0.15625,1,-1.8125,-0.65625,0.5,1.65625,-1.15625,0,1.15625,-1.65625,-0.5,0.65625,1.8125,-1,0.15625,1.3125,-1.5,-0"
              ".34375,0.8125,1.96875,-0.84375,0.3125,1.46875,-1.34375,-0.1875,0.96875,-1.84375,-0.6875,0.46875,1.625,-1.1875,-0.03125,1.125,-1.6875,-0.53125,0.625,1."
              "78125,-1.03125,0.125,1.28125,-1.53125,-0.375,0.78125]\n"
              "graph main (%x: f16[1,2,5,4,7]) -> %1 {\n  %1 = conv %x, @w {strides=[2,1,2], pads=[1,0,1,0,0,1], to=f32} : f32[1,2,3,3,4]\n}\n");
  DONE(f);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("unfold");
  TCase *t = tcase_create("unfold");
  tcase_add_loop_test(t, planes, 0, CASES);
  tcase_add_test(t, lines_and_volumes);
  suite_add_tcase(s, t);
  return tap_run(s);
}
