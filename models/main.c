/* mkmodel: a network of models/ as an ONNX file with seeded weights. */
#include "models/mkmodel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t EXTERNAL_ABOVE = 1u << 30;   /* protobuf ends at 2 GiB */
static const char usage[] =
  "usage: mkmodel NAME [-o FILE.onnx] [--seed N] [--external] [key=value ...]\n"
  "Writes the network of models/NAME.yaml (or of a YAML file) as ONNX with seeded weights. Keys are the network's params: mkmodel NAME batch=8 width=16.\n"
  "  -o FILE     output; default NAME.onnx; - is standard output\n"
  "  --seed N    another set of weights; default 0\n"
  "  --external  weights in a file beside it, FILE.onnx.data; always so above 1 GiB\n"
  "  --help\n";

static int usage_error(const char *what, const char *arg)
{
  fprintf(stderr, "mkmodel: %s%s\n%s", what, arg, usage);
  return IR_EXIT_USAGE;
}
/* NAME.yaml in ./models, beside this program's folder (build/, build/models/), or where it was installed; a path as it is. */
static const char *find_model(struct ir_arena *a, const char *name)
{
  static const char *const places[] = { "../models", "../../models", "../share/massc/models" };
  size_t n = strlen(name);
  char self[4096];
  if (strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml"))) return name;
  const char *path = ir_arena_printf(a, "models/%s.yaml", name);
  if (!access(path, R_OK)) return path;
  ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
  while (len > 0 && self[len - 1] != '/') len--;
  for (size_t i = 0; len > 0 && i < sizeof places / sizeof *places; i++) {
    path = ir_arena_printf(a, "%.*s%s/%s.yaml", (int)len, self, places[i], name);
    if (!access(path, R_OK)) return path;
  }
  return NULL;
}
static const char *stem(struct ir_arena *a, const char *path)
{
  const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *dot = strrchr(base, '.');
  return ir_arena_strndup(a, base, dot ? (size_t)(dot - base) : strlen(base));
}
static int failed(const char *file, int err)
{
  if (err == EFBIG) { mk_fail(NULL, "%s: more than 2 GiB, which one ONNX file cannot hold", file); return IR_EXIT_MODEL; }
  mk_fail(NULL, "%s: %s", file, strerror(err));
  return IR_EXIT_IO;
}
/* What is there and no regular file (a pipe, a device) is written to as it is. */
static int write_stream(const struct mk_model *m, uint64_t seed, const char *out)
{
  FILE *f = strcmp(out, "-") ? fopen(out, "wb") : stdout;
  int err = f ? mk_write(m, seed, f, NULL) : errno;
  if (f && f != stdout && fclose(f) && !err) err = errno;
  return err ? failed(f == stdout ? "standard output" : out, err) : IR_EXIT_OK;
}
/* Whole or not at all: to a temporary file beside it, then renamed. */
struct target { const char *path, *tmp; FILE *f; };
static bool target_open(struct ir_arena *a, const char *path, struct target *t)
{
  *t = (struct target){ path, ir_arena_printf(a, "%s.%ld.tmp", path, (long)getpid()), NULL };
  return (t->f = fopen(t->tmp, "wb")) != NULL;
}
static int target_close(struct target *t, int err)   /* 0 or an errno value */
{
  if (!t->f) return err;
  if (fclose(t->f) && !err) err = errno;
  if (!err && rename(t->tmp, t->path)) err = errno;
  if (err) unlink(t->tmp);
  return err;
}
static int write_file(struct ir_arena *a, const struct mk_model *m, uint64_t seed, const char *out, bool external)
{
  const char *slash = strrchr(out, '/'), *data = ir_arena_printf(a, "%s.data", out);
  struct mk_side side = { .location = ir_arena_printf(a, "%s.data", slash ? slash + 1 : out) };
  struct target t, u = { 0 };
  if (!target_open(a, out, &t)) return failed(out, errno);
  int err = external && !target_open(a, data, &u) ? errno : 0;
  side.f = u.f;
  if (!err) err = mk_write(m, seed, t.f, external ? &side : NULL);
  err = target_close(&u, err);                       /* first: a model never names weights that are not there */
  err = target_close(&t, err);
  return err ? failed(out, err) : IR_EXIT_OK;
}
static bool parse_seed(const char *s, uint64_t *out)
{
  char *end;
  errno = 0;
  *out = strtoull(s, &end, 0);
  return *s >= '0' && *s <= '9' && !*end && !errno;
}
static int run(struct ir_arena *a, int argc, char **argv)
{
  const char *name = NULL, *out = NULL;
  uint64_t seed = 0;
  bool external = false;
  IR_VEC(struct mk_override) over = { 0 };
  for (int i = 1; i < argc; i++) {
    const char *s = argv[i], *eq = strchr(s, '=');
    if (!strcmp(s, "--help") || !strcmp(s, "-h")) { fputs(usage, stdout); return IR_EXIT_OK; }
    bool is_out = !strcmp(s, "-o"), is_seed = !strcmp(s, "--seed") || !strncmp(s, "--seed=", 7);
    const char *v = is_seed && eq ? eq + 1 : is_out || is_seed ? argv[++i] : NULL;
    if ((is_out || is_seed) && !v) return usage_error("no value for ", s);
    if (is_out) out = v;
    else if (is_seed) { if (!parse_seed(v, &seed)) return usage_error("--seed takes a number, not ", v); }
    else if (!strcmp(s, "--external")) external = true;
    else if (*s == '-' && s[1]) return usage_error("unknown option ", s);
    else if (eq) { struct mk_override o = { ir_arena_strndup(a, s, (size_t)(eq - s)), eq + 1, false }; ir_push(a, &over, o); }
    else if (name) return usage_error("a second model: ", s);
    else name = s;
  }
  if (!name) return usage_error("no model", "");
  const char *path = find_model(a, name);
  if (!path) { mk_fail(NULL, "no model is called %s: there is no models/%s.yaml", name, name); return IR_EXIT_MODEL; }
  const char *model = stem(a, path);
  const struct mk_model *m = mk_build(a, path, model, over.v, over.n);
  if (!m) return IR_EXIT_MODEL;
  if (!out) out = ir_arena_printf(a, "%s.onnx", model);
  struct stat st;
  bool stream = !strcmp(out, "-") || (!stat(out, &st) && !S_ISREG(st.st_mode));
  if (stream && external) return usage_error("--external needs a file to lie beside, not ", out);
  return stream ? write_stream(m, seed, out) : write_file(a, m, seed, out, external || mk_payload(m) > EXTERNAL_ABOVE);
}
int main(int argc, char **argv)
{
  struct ir_arena *a = ir_arena_create();
  int rc = run(a, argc, argv);
  ir_arena_destroy(a);
  return rc;
}
