/* The list of passes and how one is run: timed, verified, dumped. The order, with its reasons, is passes.def. */
#include "passes/internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct pass_def pass_defs[] = {
#define PASS(name, level, phase, text) { #name, pass_##name, level, IR_P_##phase, text, true },
#define PASS_ONCE(name, level, phase, text) { #name, pass_##name, level, IR_P_##phase, text, false },
#include "passes/passes.def"
#undef PASS
#undef PASS_ONCE
  { 0 }
};
const struct pass_def *pass_find(const char *name, size_t n)
{
  for (const struct pass_def *p = pass_defs; p->name; p++)
    if (strlen(p->name) == n && !memcmp(p->name, name, n)) return p;
  return NULL;
}
static void print_state(struct pass_ctx *c, struct ir_buf *b)
{
  if (c->prog && c->prog->groups.n) pass_program_print(b, c->prog);
  else ir_print(b, c->m);
}
static bool dump(struct pass_ctx *c, const struct pass_def *p)
{
  struct ir_buf b = { 0 };
  print_state(c, &b);
  FILE *f = stderr;
  if (c->opt->dump_dir) {
    char *path = ir_arena_printf(c->scratch, "%s/%02d-%s.ir", c->opt->dump_dir, (int)(p - pass_defs), p->name);
    f = fopen(path, "w");
    if (!f) { ir_buf_deinit(&b); return ir_error(c->m->diags, IR_M0002, NULL, NULL, "cannot write %s", path); }
  } else fprintf(f, "; after %s\n", p->name);
  fwrite(b.s, 1, b.n, f);
  if (f != stderr) fclose(f);
  ir_buf_deinit(&b);
  return true;
}
/* Writes the graph where a report can take it from. */
static void dump_on_bug(void *arg)
{
  struct pass_ctx *c = arg;
  struct ir_buf b = { 0 };
  char path[] = "/tmp/massc-bug-XXXXXX";
  ir_print(&b, c->m);
  int fd = mkstemp(path);
  if (fd >= 0 && write(fd, b.s, b.n) == (ssize_t)b.n) fprintf(stderr, "The graph at that moment is in %s.\n", path);
  if (fd >= 0) close(fd);
  ir_buf_deinit(&b);
}
static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
/* A pass over a graph does the bodies of its loops first, as if each were the whole graph. Depth: a loop in a loop, as deep as the model's subgraphs. */
static bool run_bodies(struct pass_ctx *c, const struct pass_def *p)
{
  struct ir_graph *g = c->m->main;
  bool ok = true;
  for (struct ir_node *n = g->first; n && ok; n = n->next)
    if (n->op == IR_OP_loop) {
      c->m->main = n->body[0];
      ok = run_bodies(c, p) && p->run(c);
    }
  c->m->main = g;
  return ok;
}
bool pass_run_one(struct pass_ctx *c, const struct pass_def *p)
{
  double t = now();
  const char *why = NULL;
  c->scratch = ir_arena_create();
  c->changed = false;
  ir_bug_hook(dump_on_bug, c);
  bool ok = (!p->bodies || run_bodies(c, p)) && p->run(c);
  if (ok && c->opt->verify && !ir_verify(c->m, p->phase, &why)) ir_bug(p->name, "the graph does not verify: %s", why);
  ir_bug_hook(NULL, NULL);
  if (ok && c->opt->time) fprintf(stderr, "%8.2f ms  %s\n", (now() - t) * 1e3, p->name);
  const char *d = c->opt->dump_after;
  if (ok && d && (!strcmp(d, p->name) || (!strcmp(d, "all") && c->changed))) ok = dump(c, p);
  ir_arena_destroy(c->scratch);
  c->scratch = NULL;
  return ok;
}
bool pass_run_all(struct pass_ctx *c, const char *from)
{
  for (const struct pass_def *p = from ? pass_find(from, strlen(from)) : pass_defs; p->name; p++) {
    if (c->opt->level >= p->min_level) TRY(pass_run_one(c, p));
    if (c->opt->stop_after && !strcmp(c->opt->stop_after, p->name)) break;
  }
  return true;
}
