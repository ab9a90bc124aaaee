/* --use-kernels DIR: edited files of kernels in place of what would be generated. Files are found by name, as --emit names them; the definition in a file must
 * take what the executable passes. Parameters may be renamed, and helpers may be anything: only the tokens of the entry's declaration are looked at. */
#include "compiler/pipeline.h"
#include "codegen/codegen.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- tokens: identifiers and numbers, literals, single characters; without comments and lines of the preprocessor ---- */
struct token { const char *s; size_t n; unsigned conditions; /* #if that it stands in */ };
struct tokens { IR_VEC(struct token) v; };
static bool is(struct token t, const char *s) { return t.n == strlen(s) && !memcmp(t.s, s, t.n); }
static bool is_any(struct token t, const char *const *s)
{
  for (; *s; s++)
    if (is(t, *s)) return true;
  return false;
}
static bool is_word(char c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '$'; }
static const char *skip_line(const char *s)
{
  while (*s && *s != '\n') s += *s == '\\' && s[1] ? 2 : 1;
  return s;
}
static const char *skip_comment(const char *s)
{
  const char *end = strstr(s + 2, "*/");
  return end ? end + 2 : s + strlen(s);
}
static const char *skip_literal(const char *s)
{
  char q = *s++;
  while (*s && *s != q && *s != '\n') s += *s == '\\' && s[1] ? 2 : 1;
  return s + (*s == q);
}
/* What a line of the preprocessor does to the number of conditions that what follows stands in. */
static unsigned conditions_behind(const char *s, unsigned n)
{
  s += 1 + strspn(s + 1, " \t");
  return !strncmp(s, "if", 2) ? n + 1 : !strncmp(s, "endif", 5) && n ? n - 1 : n;
}
static struct tokens tokens_of(struct ir_arena *a, const char *s)
{
  struct tokens r = { 0 };
  unsigned conditions = 0;
  bool fresh = true;                                     /* nothing but blanks since the line began */
  while (*s) {
    const char *from = s;
    if (*s == '\n') { fresh = true; s++; continue; }
    if (*s == ' ' || *s == '\t' || *s == '\r') { s++; continue; }
    if (*s == '/' && s[1] == '*') { s = skip_comment(s); continue; }
    if (fresh && *s == '#') conditions = conditions_behind(s, conditions);
    if ((*s == '/' && s[1] == '/') || (fresh && *s == '#')) { s = skip_line(s); continue; }
    fresh = false;
    if (*s == '"' || *s == '\'') s = skip_literal(s);
    else if (is_word(*s)) while (is_word(*s)) s++;
    else s++;
    ir_push(a, &r.v, ((struct token){ from, (size_t)(s - from), conditions }));
  }
  return r;
}

/* ---- the entry's declaration ---- */
struct declaration { const struct token *first, *name, *end; };       /* end: the parenthesis that closes the parameters */
static const struct token *closing(const struct token *t, const struct token *end)
{
  unsigned depth = 0;
  for (; t < end; t++) {
    if (is(*t, "(")) depth++;
    if (is(*t, ")") && !--depth) return t;
  }
  return NULL;
}
static bool declares(const struct token *from, const struct token *to, bool opencl)
{
  static const char *const kernel[] = { "__kernel", "kernel", NULL }, *const global[] = { "__global__", NULL };
  for (; from < to; from++)
    if (is_any(*from, opencl ? kernel : global)) return true;
  return false;
}
/* The definition of `entry` outside of all bodies; extern "C" { is no body. */
static bool find_entry(const struct tokens *t, const char *entry, bool opencl, struct declaration *out)
{
  const struct token *v = t->v.v, *end = v + t->v.n, *first = v, *close;
  unsigned depth = 0;
  for (const struct token *x = v; x < end; x++) {
    if (is(*x, "{") && !(x > v && x[-1].s[0] == '"')) depth++;
    else if (is(*x, "}") && depth) depth--;
    if (!depth && (is(*x, ";") || is(*x, "}") || is(*x, "{"))) first = x + 1;
    if (depth || !is(*x, entry) || x + 1 >= end || !is(x[1], "(") || !(close = closing(x + 1, end)) || close + 1 >= end || !is(close[1], "{")) continue;
    if (!declares(first, x, opencl)) continue;
    *out = (struct declaration){ first, x, close };
    return true;
  }
  return false;
}
/* A parameter's type: its tokens without qualifiers that do not change how it is passed, and without its name. */
static const char *type_of(struct ir_arena *a, const struct token *from, const struct token *to)
{
  static const char *const drop[] = { "const", "volatile", "restrict", "__restrict", "__restrict__", NULL };
  const char *s = "";
  unsigned words = 0;
  for (const struct token *x = from; x < to; x++) words += is_word(x->s[0]) && !is_any(*x, drop);
  for (const struct token *x = from; x < to; x++) {
    bool word = is_word(x->s[0]);
    if (is_any(*x, drop) || (word && words > 1 && x + 1 == to)) continue;
    struct token t = is(*x, "global") ? (struct token){ "__global", 8, 0 } : *x;
    s = ir_arena_printf(a, "%s%s%.*s", s, *s ? " " : "", (int)t.n, t.s);
  }
  return s;
}
struct types { IR_VEC(const char *) v; };
static struct types types_of(struct ir_arena *a, const struct declaration *d)
{
  struct types r = { 0 };
  const struct token *from = d->name + 2;
  if (from == d->end || (from + 1 == d->end && is(*from, "void"))) return r;
  for (const struct token *x = from; x <= d->end; x++)
    if (x == d->end || is(*x, ",")) {
      ir_push(a, &r.v, type_of(a, from, x));
      from = x + 1;
    }
  return r;
}
/* What follows a word in parentheses: "__launch_bounds__(128)". -1: it is not there. */
static long after(const struct declaration *d, const char *word, unsigned which)
{
  for (const struct token *x = d->first; x + 1 + 2 * which < d->name; x++)
    if (is(*x, word) && is(x[1], "(")) return strtol(x[2 + 2 * which].s, NULL, 0);
  return -1;
}
/* Does the entry wait for earlier kernels in every thread: a statement of its own, in no block and under no #if? A file whose author took the wait away is then
 * launched when the kernel before it has ended. That nothing is touched before the wait is up to who moves it. */
static bool holds(struct token t, const char *s)
{
  size_t n = strlen(s);
  for (size_t i = 0; i + n <= t.n; i++)
    if (!memcmp(t.s + i, s, n)) return true;
  return false;
}
static bool entry_waits(const struct tokens *t, const struct declaration *d)
{
  const struct token *end = t->v.v + t->v.n;
  unsigned depth = 0;
  bool told = false;
  for (const struct token *x = t->v.v; x < end && !told; x++) told = x->s[0] == '"' && holds(*x, "griddepcontrol.wait");
  for (const struct token *x = d->end + 1; x < end && told; x++) {
    if (is(*x, "{")) depth++;
    if (is(*x, "}") && !--depth) break;
    bool begins = is(x[-1], "{") || is(x[-1], "}") || is(x[-1], ";"), waits = is(*x, "wait_for_earlier_kernels");
    if (is(*x, "asm") || is(*x, "__asm__"))
      for (const struct token *y = x + 1; y < end && !is(*y, ";"); y++) waits |= y->s[0] == '"' && holds(*y, "griddepcontrol.wait");
    if (depth == 1 && begins && waits && !x->conditions) return true;
  }
  return false;
}
static const char *wrong_block(struct ir_arena *a, const struct declaration *d, const struct cg_launch *l)
{
  long bound = after(d, "__launch_bounds__", 0), x = after(d, "reqd_work_group_size", 0), y = after(d, "reqd_work_group_size", 1);
  if (bound >= 0 && bound < (long)(l->lanes * l->warps)) return ir_arena_printf(a, "__launch_bounds__(%ld), but it is launched with %u threads", bound, l->lanes * l->warps);
  if (x >= 0 && (x != (long)l->lanes || y != (long)l->warps)) return ir_arena_printf(a, "reqd_work_group_size(%ld, %ld, ..), but it is launched with %u x %u", x, y, l->lanes, l->warps);
  return NULL;
}
/* Why a file cannot stand for a kernel; NULL: it can. *out_waits: whether it waits for earlier kernels. */
static const char *mismatch(struct ir_arena *a, const struct kernel_text *want, bool opencl, const char *text, bool *out_waits)
{
  const char *entry = want->launch.name, *why;
  struct tokens wt = tokens_of(a, want->text), gt = tokens_of(a, text);
  struct declaration w, g;
  if (!find_entry(&wt, entry, opencl, &w)) ir_bug("use-kernels", "kernel %s is not in its own text", entry);
  if (!find_entry(&gt, entry, opencl, &g)) return ir_arena_printf(a, "no definition of the kernel %s; its name must stay as --emit wrote it", entry);
  struct types wa = types_of(a, &w), ga = types_of(a, &g);
  if (wa.v.n != ga.v.n) return ir_arena_printf(a, "kernel %s takes %u arguments; expected %u, as --emit wrote them", entry, ga.v.n, wa.v.n);
  for (uint32_t i = 0; i < wa.v.n; i++)
    if (strcmp(wa.v.v[i], ga.v.v[i])) return ir_arena_printf(a, "argument %u of kernel %s is \"%s\"; expected \"%s\"", i + 1, entry, ga.v.v[i], wa.v.v[i]);
  *out_waits = entry_waits(&gt, &g);
  if ((why = wrong_block(a, &g, &want->launch))) return ir_arena_printf(a, "kernel %s has %s", entry, why);
  return NULL;
}

/* ---- the folder ---- */
static bool ends(const char *s, const char *ending) { return strlen(s) > strlen(ending) && !strcmp(s + strlen(s) - strlen(ending), ending); }
static int by_name(const void *x, const void *y) { return strcmp(((const struct kernel_file *)x)->name, ((const struct kernel_file *)y)->name); }
static bool read_file(struct ir_arena *a, struct ir_diags *d, struct kernel_file *f)
{
  struct ir_mapping m;
  int e = ir_file_map(f->path, &m);
  if (e) return ir_error(d, IR_M0001, NULL, NULL, "cannot read %s: %s", f->path, strerror(e));
  bool text = m.p && !memchr(m.p, 0, m.n);
  if (text) f->text = ir_arena_strndup(a, (const char *)m.p, m.n);
  ir_file_unmap(&m);
  return text || ir_error(d, IR_M0406, NULL, NULL, "%s holds no text; expected a kernel as --emit writes it", f->path);
}
static bool read_folder(struct ir_arena *a, struct ir_diags *d, const char *dir, const char *ending, struct kernel_files *out)
{
  DIR *at = opendir(dir);
  bool ok = true;
  if (!at) return ir_error(d, IR_M0001, NULL, NULL, "cannot read the folder %s: %s", dir, strerror(errno));
  for (struct dirent *e; (e = readdir(at));)
    if (e->d_name[0] != '.' && (ends(e->d_name, ".cu") || ends(e->d_name, ".cl")))
      ir_push(a, &out->v, ((struct kernel_file){ .name = ir_arena_strdup(a, e->d_name), .path = ir_arena_printf(a, "%s%s%s", dir, ends(dir, "/") ? "" : "/", e->d_name) }));
  closedir(at);
  if (!out->v.n) return ir_error(d, IR_M0406, NULL, NULL, "the folder %s has no file of a kernel; expected NAME.%s, as --emit writes them", dir, ending);
  qsort(out->v.v, out->v.n, sizeof *out->v.v, by_name);
  for (uint32_t i = 0; i < out->v.n; i++) ok = read_file(a, d, &out->v.v[i]) && ok;
  return ok;
}
static struct kernel_file *find(const struct kernel_files *f, const char *name)
{
  for (uint32_t i = 0; i < f->v.n; i++)
    if (!strcmp(f->v.v[i].name, name)) return &f->v.v[i];
  return NULL;
}
/* Of one architecture, of several that it shares its text with, of all. */
static struct kernel_file *choose(struct ir_arena *a, const struct kernel_files *f, const struct kernel_text *t, const char *name, const struct cg_target *target)
{
  const char *ending = cg_c_ending(target);
  struct kernel_file *r = target->arch ? find(f, ir_arena_printf(a, "%s.%s.%s", name, target->arch, ending)) : NULL;
  if (!r) r = find(f, t->file);
  return r ? r : find(f, ir_arena_printf(a, "%s.%s", name, ending));
}
static bool check_file(struct ir_arena *a, struct ir_diags *d, struct kernel_file *f, const struct kernel_text *t, bool opencl)
{
  const char *why = f->used ? NULL : mismatch(a, t, opencl, f->text, &f->waits);
  f->used = true;
  return !why || ir_error(d, IR_M0406, NULL, NULL, "%s: %s", f->path, why);
}
bool kernel_files_read(struct ir_arena *a, struct ir_diags *d, const char *dir, struct pass_program *p, unsigned n, struct kernel_files *out)
{
  const struct cg_target *t = p->target->impl;
  bool ok = true;
  if (t->kind == CG_CPU) return ir_error(d, IR_M0003, NULL, NULL, "--use-kernels goes with --target=cuda or --target=opencl; target %s has no files of kernels", t->name);
  TRY(read_folder(a, d, dir, cg_c_ending(t), out));
  struct kernel_texts all = kernel_texts(a, p, n);
  out->of = IR_NEWN(a, const struct kernel_file **, n);
  for (unsigned i = 0; i < n; i++) {
    out->of[i] = IR_NEWN(a, const struct kernel_file *, p[i].kernels.n + 1);
    for (uint32_t k = 0; k < p[i].kernels.n; k++) {
      const struct kernel_text *text = kernel_text_of(&all, p, i, k);
      struct kernel_file *f = text ? choose(a, out, text, p[i].kernels.v[k].name, p[i].target->impl) : NULL;
      if (f) ok = check_file(a, d, f, text, t->kind == CG_OPENCL) && ok;
      out->of[i][k] = f;
    }
  }
  for (uint32_t i = 0; i < out->v.n; i++)
    if (!out->v.v[i].used) ok = ir_error(d, IR_M0406, NULL, NULL, "%s: no kernel of this model and target has that name; --emit with the same options writes those that there are", out->v.v[i].path);
  return ok;
}
