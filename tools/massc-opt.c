/* massc-opt: runs passes on the text form of a graph.
 *   massc-opt [--passes "a b"] [--dir DIR] [FILE]
 * reads FILE (or standard input), verifies, runs the passes in turn with the verifier after each, prints. --dir: where constants of kind `file` lie.
 * Exit status: 0; 1 the text is wrong; 2 usage; 70 a pass broke the graph; 74 the file cannot be read. */
#include "ir/ir.h"
#include <stdlib.h>
#include <string.h>

struct pass { const char *name; bool (*run)(struct ir_module *m); };
static bool sweep(struct ir_module *m) { ir_graph_sweep(m->main); return true; }
static bool cse(struct ir_module *m) { ir_graph_cse(m->main); return true; }
static bool inline_all(struct ir_module *m)
{
  for (struct ir_node *n = m->main->first, *next; n; n = next) {
    next = n->next;
    if (n->n_body) { next = n->body[0]->first ? n->body[0]->first : next; ir_inline(n); }
  }
  return true;
}
static bool nothing(struct ir_module *m) { (void)m; return true; }
static const struct pass passes[] = { { "none", nothing }, { "sweep", sweep }, { "cse", cse }, { "inline", inline_all } };

static int usage(const char *what)
{
  fprintf(stderr, "massc-opt: %s\nusage: massc-opt [--passes \"a b\"] [--dir DIR] [FILE]\npasses:", what);
  for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) fprintf(stderr, " %s", passes[i].name);
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
static bool run(struct ir_module *m, const char *names, int *status)
{
  for (const char *s = names; *(s += strspn(s, " ,"));) {
    size_t n = strcspn(s, " ,"), i = 0;
    while (i < sizeof passes / sizeof *passes && (strlen(passes[i].name) != n || memcmp(passes[i].name, s, n))) i++;
    if (i == sizeof passes / sizeof *passes) {
      *status = usage(ir_arena_printf(m->arena, "no pass %.*s", (int)n, s));
      return false;
    }
    if (!passes[i].run(m)) { *status = IR_EXIT_MODEL; return false; }
    check(m, passes[i].name);
    s += n;
  }
  return true;
}
int main(int argc, char **argv)
{
  const char *names = "", *dir = NULL, *path = NULL;
  for (int i = 1; i < argc; i++) {
    bool more = i + 1 < argc;
    if (!strcmp(argv[i], "--passes") && more) names = argv[++i];
    else if (!strncmp(argv[i], "--passes=", 9)) names = argv[i] + 9;
    else if (!strcmp(argv[i], "--dir") && more) dir = argv[++i];
    else if (!strncmp(argv[i], "--dir=", 6)) dir = argv[i] + 6;
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
  if (m && run(m, names, &status)) {
    ir_print(&out, m);
    fwrite(out.s, 1, out.n, stdout);
  }
  ir_buf_deinit(&text);
  ir_buf_deinit(&out);
  ir_buf_deinit(&d.first);
  ir_arena_destroy(a);
  return m ? status : d.status;
}
