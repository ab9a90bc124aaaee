#include "compiler/options.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum id { O_OUT, O_C, O_SHARED, O_HEADER, O_NAME, O_TARGET, O_MACHINE, O_DIM, O_SHAPE, O_LEVEL, O_NO_WINOGRAD, O_PRECISION, O_PLACE, O_TUNE, O_EXTERNAL, O_NVRTC, O_USE_KERNELS, O_EMIT, O_DUMP_AFTER, O_DUMP_DIR, O_STOP_AFTER, O_VERIFY,
          O_TIME, O_MD, O_MF, O_MT, O_JOBS, O_THREADS, O_VERBOSE, O_QUIET, O_JSON, O_HELP, O_VERSION, O_EXPLAIN };
static const struct row { const char *name; enum id id; const char *arg, *text; } rows[] = {
  { "-o", O_OUT, "FILE", "output; default: the model's stem with .bin, .o or .so" },
  { "-c", O_C, NULL, "a relocatable object with a C interface" },
  { "-shared", O_SHARED, NULL, "a shared library with a C interface" },
  { "--header", O_HEADER, "FILE", "the C header of -c and -shared (default: beside the output)" },
  { "--name", O_NAME, "ID", "prefix of the exported symbols (default: the output's stem)" },
  { "--target", O_TARGET, "T", "cpu (this machine), cpu:x86-64-v2, -v3, -v4, a processor such as cpu:znver4; cuda (code for sm_80 and sm_90a), cuda:sm_86, opencl; several with commas" },
  { "--machine", O_MACHINE, "FILE", "YAML: facts of the processor that is compiled for (cores, caches, ..), instead of those that massc assumes" },
  { "--dim", O_DIM, "NAME=N", "bind a symbolic dim; NAME=LO..HI or LO..HI%M bounds it" },
  { "--shape", O_SHAPE, "IN=1,3,?", "shape of an input; ? stays dynamic" },
  { "-O0", O_LEVEL, NULL, "plain loops, one kernel per operation" },
  { "-O1", O_LEVEL, NULL, "fusion and default schedules" },
  { "-O2", O_LEVEL, NULL, "the default: cost model" },
  { "-O3", O_LEVEL, NULL, "a wider search" },
  { "--no-winograd", O_NO_WINOGRAD, NULL, "only direct convolutions" },
  { "--precision", O_PRECISION, "P", "fp16, bf16, tf32: what contractions read; sums and what lies between stay float32 (default: the model's own types)" },
  { "--place", O_PLACE, "FILE", "YAML: node patterns to places" },
  { "--tune", O_TUNE, "FILE", "records of kernels that massc tune measured, instead of massc's own choice" },
  { "--nvrtc", O_NVRTC, "FILE", "the NVRTC library (default: a toolkit's, PyPI's)" },
  { "--use-kernels", O_USE_KERNELS, "DIR", "edited files of kernels, as --emit=cuda and --emit=opencl name them, instead of generated ones" },
  { "--external-root", O_EXTERNAL, "DIR", "where external data may lie" },
  { "--emit", O_EMIT, "KIND", "write text instead: ir, graph, kernels, llvm, asm, cuda, opencl; -o DIR/: a file per kernel" },
  { "--dump-after", O_DUMP_AFTER, "PASS", "print the graph after a pass (all: after every one that changed something)" },
  { "--dump-dir", O_DUMP_DIR, "DIR", "dumps go into files there" },
  { "--stop-after", O_STOP_AFTER, "PASS", "end after a pass and print what is there" },
  { "--verify", O_VERIFY, NULL, "check the graph after every pass" },
  { "--time-passes", O_TIME, NULL, "print how long each pass took" },
  { "-MD", O_MD, NULL, "write a depfile" },
  { "-MF", O_MF, "FILE", "its name (default: the output's, with the ending .d)" },
  { "-MT", O_MT, "NAME", "its target (default: the output)" },
  { "-j", O_JOBS, "N", "threads (default: all cores)" },
  { "--threads", O_THREADS, "N", "tune: threads of the programs that it measures (default: all cores)" },
  { "-v", O_VERBOSE, NULL, "say more" },
  { "-q", O_QUIET, NULL, "no warnings, no progress" },
  { "--json", O_JSON, NULL, "check: one JSON object" },
  { "--help", O_HELP, NULL, "this text" },
  { "--version", O_VERSION, NULL, "version" },
  { "--explain", O_EXPLAIN, "M0123", "explain a diagnostic" },
};
void options_help(FILE *f)
{
  fprintf(f, "usage: massc [options] MODEL.onnx\n       massc check [options] MODEL.onnx\n       massc tune [options] MODEL.onnx -o FILE\n\nTurns an ONNX model into an executable (default), object or shared library.\n\n");
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
    fprintf(f, "  %-24s %s\n", left, rows[i].text);
  }
  fprintf(f, "\nExit status: 0; 1 the model or a flag's value is wrong; 2 usage; 70 a bug in massc; 74 a file could not be read or written.\n");
}
static int usage(const char *fmt, const char *arg)
{
  fprintf(stderr, "massc: ");
  fprintf(stderr, fmt, arg);
  fprintf(stderr, "; see massc --help\n");
  return IR_EXIT_USAGE;
}
static int bad(const char *opt, const char *value, const char *expected)
{
  fprintf(stderr, "massc: error M0003: %s: \"%s\": %s\n", opt, value, expected);
  return IR_EXIT_MODEL;
}
static bool number(const char **s, int64_t *out)
{
  char *end;
  errno = 0;
  long long v = strtoll(*s, &end, 10);
  if (end == *s || errno || **s == ' ' || **s == '+') return false;
  *s = end;
  *out = v;
  return true;
}
/* NAME=N, NAME=LO..HI, NAME=LO..HI%M */
static int add_dim(struct ir_arena *a, struct options *o, const char *v)
{
  const char *eq = strrchr(v, '='), *s = eq ? eq + 1 : "";
  int64_t lo, hi, by = 1;
  bool ok = eq && eq > v && number(&s, &lo);
  hi = lo;
  if (ok && !strncmp(s, "..", 2)) { s += 2; ok = number(&s, &hi); }
  if (ok && *s == '%') { s++; ok = number(&s, &by); }
  if (!ok || *s || lo < 0 || hi < lo || hi > INT32_MAX || by < 1) return bad("--dim", v, "expected NAME=N, NAME=LO..HI or NAME=LO..HI%M with 0 <= LO <= HI < 2^31");
  for (unsigned i = 0; i < o->onnx.n_dims; i++)
    if (strlen(o->onnx.dims[i].name) == (size_t)(eq - v) && !strncmp(o->onnx.dims[i].name, v, (size_t)(eq - v))) return bad("--dim", v, "this dim is given twice");
  if (o->onnx.n_dims == sizeof o->onnx.dims / sizeof *o->onnx.dims) return bad("--dim", v, "too many");
  o->onnx.dims[o->onnx.n_dims].name = ir_arena_strndup(a, v, (size_t)(eq - v));
  o->onnx.dims[o->onnx.n_dims].lo = lo;
  o->onnx.dims[o->onnx.n_dims].hi = hi;
  o->onnx.dims[o->onnx.n_dims++].by = by;
  return 0;
}
static int add_shape(struct ir_arena *a, struct options *o, const char *v)
{
  const char *eq = strrchr(v, '='), *s = eq ? eq + 1 : "";
  if (!eq || eq == v) return bad("--shape", v, "expected INPUT=1,3,?");
  for (unsigned i = 0; i < o->onnx.n_shapes; i++)
    if (strlen(o->onnx.shapes[i].input) == (size_t)(eq - v) && !strncmp(o->onnx.shapes[i].input, v, (size_t)(eq - v))) return bad("--shape", v, "this input is given twice");
  if (o->onnx.n_shapes == sizeof o->onnx.shapes / sizeof *o->onnx.shapes) return bad("--shape", v, "too many");
  o->onnx.shapes[o->onnx.n_shapes].input = ir_arena_strndup(a, v, (size_t)(eq - v));
  unsigned rank = 0;
  while (*s) {
    int64_t d = -1;
    if (rank == IR_MAX_RANK) return bad("--shape", v, "rank over 16");
    if (*s == '?') s++;
    else if (!number(&s, &d) || d < 0) return bad("--shape", v, "a dim is a number from 0 up, or ?");
    o->onnx.shapes[o->onnx.n_shapes].dim[rank++] = d;
    if (*s == ',') s++;
    else if (*s) return bad("--shape", v, "dims are separated by commas");
  }
  o->onnx.shapes[o->onnx.n_shapes++].rank = rank;
  return 0;
}
static int set_emit(struct options *o, const char *v)
{
  static const char *const names[] = { "", "ir", "graph", "kernels", "llvm", "asm", "cuda", "opencl" };
  for (unsigned i = 1; i < sizeof names / sizeof *names; i++)
    if (!strcmp(names[i], v)) { o->emit = (enum emit_kind)i; return 0; }
  return bad("--emit", v, "expected ir, graph, kernels, llvm, asm, cuda or opencl");
}
static int set_precision(struct options *o, const char *v)
{
  if (strcmp(v, "fp16") && strcmp(v, "bf16") && strcmp(v, "tf32")) return bad("--precision", v, "expected fp16, bf16 or tf32");
  o->precision = v;
  o->pass.narrow = true;
  o->pass.precision = *v == 'f' ? IR_f16 : *v == 'b' ? IR_bf16 : IR_tf32;
  return 0;
}
static int set_pass(const char *opt, const char **out, const char *v)
{
  *out = v;
  return pass_find(v, strlen(v)) || (!strcmp(opt, "--dump-after") && !strcmp(v, "all")) ? 0 : bad(opt, v, "no such pass; see docs/graph-ir.md for their names");
}
static bool is_identifier(const char *s)
{
  if (!*s || (*s >= '0' && *s <= '9')) return false;
  for (; *s; s++)
    if (!(*s == '_' || (*s >= '0' && *s <= '9') || ((*s | 32) >= 'a' && (*s | 32) <= 'z'))) return false;
  return true;
}
static int apply(struct ir_arena *a, struct options *o, const struct row *r, const char *v)
{
  int64_t k;
  const char *s = v;
  switch (r->id) {
  case O_OUT: o->out = v; break;
  case O_C: o->kind = LINK_OBJECT; break;
  case O_SHARED: o->kind = LINK_SHARED; break;
  case O_HEADER: o->header = v; break;
  case O_NAME: o->name = v; return is_identifier(v) ? 0 : bad("--name", v, "not a C identifier");
  case O_TARGET: o->target = v; break;
  case O_MACHINE: o->machine = v; break;
  case O_DIM: return add_dim(a, o, v);
  case O_SHAPE: return add_shape(a, o, v);
  case O_LEVEL: o->pass.level = r->name[2] - '0'; break;
  case O_NO_WINOGRAD: o->pass.no_winograd = true; break;
  case O_PRECISION: return set_precision(o, v);
  case O_PLACE: o->pass.place_file = v; break;
  case O_TUNE: o->tune = v; break;
  case O_NVRTC: o->nvrtc = v; break;
  case O_USE_KERNELS: o->use_kernels = v; break;
  case O_EXTERNAL: o->onnx.external_root = v; break;
  case O_EMIT: return set_emit(o, v);
  case O_DUMP_AFTER: return set_pass(r->name, &o->pass.dump_after, v);
  case O_DUMP_DIR: o->pass.dump_dir = v; break;
  case O_STOP_AFTER: return set_pass(r->name, &o->pass.stop_after, v);
  case O_VERIFY: o->pass.verify = true; break;
  case O_TIME: o->pass.time = true; break;
  case O_MD: o->depfile = true; break;
  case O_MF: o->dep_file = v; o->depfile = true; break;
  case O_MT: o->dep_target = v; break;
  case O_JOBS: if (!number(&s, &k) || *s || k < 1 || k > 64) return bad("-j", v, "expected 1 to 64"); o->pass.jobs = (unsigned)k; break;
  case O_THREADS: if (!number(&s, &k) || *s || k < 1 || k > 1024) return bad("--threads", v, "expected 1 to 1024"); o->threads = (unsigned)k; break;
  case O_VERBOSE: o->verbose = true; break;
  case O_QUIET: o->quiet = true; break;
  case O_JSON: o->json = true; break;
  case O_HELP: o->command = CMD_HELP; break;
  case O_VERSION: o->command = CMD_VERSION; break;
  case O_EXPLAIN: o->command = CMD_EXPLAIN; o->explain = v; break;
  }
  return 0;
}
/* --x V, --x=V, -j4; NULL: no such option */
static const struct row *find_row(char *arg, char **value)
{
  *value = NULL;
  char *eq = !strncmp(arg, "--", 2) ? strchr(arg, '=') : NULL;
  size_t n = eq ? (size_t)(eq - arg) : strlen(arg);
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (strlen(rows[i].name) == n && !strncmp(rows[i].name, arg, n)) { if (eq) *value = eq + 1; return &rows[i]; }
    if (rows[i].id == O_JOBS && !strncmp(arg, "-j", 2) && arg[2]) { *value = arg + 2; return &rows[i]; }
  }
  return NULL;
}
/* What of the command line changes the result: for --info, without paths. */
static void note_flag(struct ir_buf *b, const struct row *r, const char *v)
{
  if (r->id == O_TARGET || r->id == O_DIM || r->id == O_SHAPE || r->id == O_PRECISION) ir_buf_printf(b, "%s%s=%s", b->n ? " " : "", r->name, v);
  if (r->id == O_LEVEL || r->id == O_NO_WINOGRAD || r->id == O_PLACE || r->id == O_MACHINE || r->id == O_TUNE || r->id == O_USE_KERNELS) ir_buf_printf(b, "%s%s", b->n ? " " : "", r->name);
}
int options_parse(struct ir_arena *a, int argc, char **argv, struct options *o)
{
  struct ir_buf text = { 0 };
  bool only_files = false;
  o->pass.level = 2;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  o->pass.jobs = cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
  int i = 1, status = 0;
  if (argc > 1 && !strcmp(argv[1], "check")) { o->command = CMD_CHECK; i++; }
  if (argc > 1 && !strcmp(argv[1], "tune")) { o->command = CMD_TUNE; i++; }
  for (; i < argc && !status; i++) {
    char *arg = argv[i], *v;
    if (!only_files && !strcmp(arg, "--")) { only_files = true; continue; }
    if (only_files || arg[0] != '-' || !arg[1]) {
      if (o->model) return usage("more than one model: \"%s\"", arg);
      o->model = arg;
      continue;
    }
    const struct row *r = find_row(arg, &v);
    if (!r) return usage("unknown option \"%s\"", arg);
    if (r->arg && !v) {
      if (i + 1 == argc) return usage("%s needs a value", r->name);
      v = argv[++i];
    } else if (!r->arg && v) return usage("%s takes no value", r->name);
    status = apply(a, o, r, v);
    note_flag(&text, r, v);
  }
  o->text = ir_arena_strdup(a, text.s ? text.s : "");
  ir_buf_deinit(&text);
  if (status) return status;
  if (o->command >= CMD_HELP) return 0;
  if (!o->model) return usage("no model given%s", "");
  if (o->json && o->command != CMD_CHECK) return usage("--json goes with massc check%s", "");
  if (o->emit && o->command == CMD_CHECK) return usage("check and --emit exclude each other%s", "");
  if (o->command == CMD_TUNE && (o->emit || o->kind != LINK_EXE || o->tune || o->pass.stop_after || o->depfile || !o->pass.level)) return usage("tune writes a tuning file; it goes with none of --emit, -c, -shared, --tune, --stop-after, -MD, -O0%s", "");
  if (o->threads && o->command != CMD_TUNE) return usage("--threads goes with massc tune%s", "");
  if (o->emit && o->use_kernels) return usage("--emit and --use-kernels exclude each other%s", "");
  if (o->tune && !o->pass.level) return usage("-O0 and --tune exclude each other%s", "");
  if (o->emit && o->kind != LINK_EXE) return usage("--emit and %s exclude each other", o->kind == LINK_OBJECT ? "-c" : "-shared");
  return 0;
}
