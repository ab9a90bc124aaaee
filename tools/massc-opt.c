/* massc-opt: runs passes on the text form of a graph.
 *   massc-opt [--passes "a b"] [--dir DIR] [--place FILE] [--precision=fp16|bf16|tf32] [--channels-last] [-O0|-O1|-O2|-O3] [FILE]
 * reads FILE (or standard input), verifies, runs the passes in turn with the verifier after each, prints. --dir: where constants of kind `file` lie.
 * Exit status: 0; 1 the text is wrong; 2 usage; 70 a pass broke the graph; 74 the file cannot be read. */
#include "passes/passes.h"
#include <stdlib.h>
#include <string.h>

/* What goldens are made for: fixed facts, so that they are the same on every machine. Passes that need more of a target (schedule and what follows) are not for text. */
static struct ir_target golden_target = { .name = "golden", .place = "cpu", .align = 64, .block = 16, .plane_pad = 16 };

/* Small steps for goldens of the graph's own functions. */
struct step { const char *name; void (*run)(struct ir_module *m); };
static void sweep(struct ir_module *m) { ir_graph_sweep(m->main); }
static void cse(struct ir_module *m) { ir_graph_cse(m->main); }
static void inline_all(struct ir_module *m)
{
  for (struct ir_node *n = m->main->first, *next; n; n = next) {
    next = n->next;
    if (!n->n_body) continue;
    if (n->body[0]->first) next = n->body[0]->first;       /* what comes out is looked at too */
    ir_inline(n);
  }
}
static void outline_all(struct ir_module *m)               /* everything but constants as one group */
{
  IR_VEC(struct ir_node *) v = { 0 };
  for (struct ir_node *n = m->main->first; n; n = n->next)
    if (n->op != IR_OP_const) ir_push(m->arena, &v, n);
  if (v.n) ir_outline(m->main, IR_OP_group, v.v, v.n, "k0");
}
static void nothing(struct ir_module *m) { (void)m; }
static const struct step steps[] = { { "none", nothing }, { "sweep", sweep }, { "cse", cse }, { "inline", inline_all }, { "outline_all", outline_all } };

static int usage(const char *what)
{
  fprintf(stderr, "massc-opt: %s\nusage: massc-opt [--passes \"a b\"] [--dir DIR] [--place FILE] [--precision=fp16|bf16|tf32] [--channels-last] [-O0|-O1|-O2|-O3] [FILE]\npasses:", what);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) fprintf(stderr, " %s", steps[i].name);
  for (const struct pass_def *p = pass_defs; p->name && strcmp(p->name, "schedule"); p++) fprintf(stderr, " %s", p->name);
  fprintf(stderr, "\n");
  return IR_EXIT_USAGE;
}
static bool read_all(const char *path, struct ir_buf *b)
{
  FILE *f = path ? fopen(path, "rb") : stdin;
  char part[65536];
  if (!f) return false;
  for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) ir_buf_add(b, part, n);
  bool ok = !ferror(f);
  if (path) fclose(f);
  return ok;
}
static void check(struct ir_module *m, const char *after)
{
  const char *why;
  if (ir_verify(m, IR_P_IMPORTED, &why)) return;
  struct ir_buf b = { 0 };
  ir_print(&b, m);
  fwrite(b.s, 1, b.n, stderr);
  ir_bug(after, "%s", why);
}
static const struct pass_def *graph_pass(const char *s, size_t n)
{
  const struct pass_def *p = pass_find(s, n);
  return p && p < pass_find("schedule", 8) ? p : NULL;
}
static bool run(struct ir_module *m, const char *names, const struct pass_options *o, int *status)
{
  struct pass_ctx c = { .m = m, .opt = o, .target = &golden_target };
  for (const char *s = names; *(s += strspn(s, " ,"));) {
    size_t n = strcspn(s, " ,"), i = 0;
    const struct pass_def *p = graph_pass(s, n);
    while (i < sizeof steps / sizeof *steps && (strlen(steps[i].name) != n || memcmp(steps[i].name, s, n))) i++;
    if (i < sizeof steps / sizeof *steps) {
      steps[i].run(m);
      check(m, steps[i].name);
    } else if (!p) {
      *status = usage(ir_arena_printf(m->arena, "no pass %.*s", (int)n, s));
      return false;
    } else if (!pass_run_one(&c, p)) {
      *status = IR_EXIT_MODEL;
      return false;
    }
    s += n;
  }
  return true;
}
int main(int argc, char **argv)
{
  const char *names = "", *dir = NULL, *path = NULL;
  struct pass_options o = { .level = 2, .verify = true };
  for (int i = 1; i < argc; i++) {
    bool more = i + 1 < argc;
    if (!strcmp(argv[i], "--passes") && more) names = argv[++i];
    else if (!strncmp(argv[i], "--passes=", 9)) names = argv[i] + 9;
    else if (!strcmp(argv[i], "--place") && more) o.place_file = argv[++i];
    else if (!strncmp(argv[i], "--place=", 8)) o.place_file = argv[i] + 8;
    else if (!strcmp(argv[i], "--precision=fp16") || !strcmp(argv[i], "--precision=bf16") || !strcmp(argv[i], "--precision=tf32")) {
      o.narrow = true;
      o.precision = argv[i][12] == 'f' ? IR_f16 : argv[i][12] == 'b' ? IR_bf16 : IR_tf32;
    }
    else if (!strcmp(argv[i], "--channels-last")) golden_target = (struct ir_target){ .name = "golden", .place = "cuda:0", .kind = 1, .align = 512, .block = 1, .channels_last = true };
    else if (!strcmp(argv[i], "--dir") && more) dir = argv[++i];
    else if (!strncmp(argv[i], "--dir=", 6)) dir = argv[i] + 6;
    else if (!strncmp(argv[i], "-O", 2) && argv[i][2] >= '0' && argv[i][2] <= '3' && !argv[i][3]) o.level = argv[i][2] - '0';
    else if ((argv[i][0] == '-' && argv[i][1]) || path) return usage(ir_arena_printf(ir_arena_create(), "unexpected argument %s", argv[i]));
    else path = argv[i];
  }
  if (path && !strcmp(path, "-")) path = NULL;
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .out = stderr, .file = path ? path : "<standard input>" };
  struct ir_buf text = { 0 }, out = { 0 };
  int status = IR_EXIT_OK;
  struct ir_module *m = NULL;
  if (!read_all(path, &text)) ir_error(&d, IR_M0001, NULL, NULL, "cannot read it");
  else m = ir_parse(a, &d, text.s ? text.s : "", text.n, dir);
  if (m) check(m, "ir_parse");
  if (m && run(m, names, &o, &status)) {
    ir_print(&out, m);
    fwrite(out.s, 1, out.n, stdout);
  }
  ir_buf_deinit(&text);
  ir_buf_deinit(&out);
  ir_buf_deinit(&d.first);
  ir_arena_destroy(a);
  return m ? status : d.status;
}
