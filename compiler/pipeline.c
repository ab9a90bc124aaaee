#include "compiler/pipeline.h"
#include "compiler/tune.h"
#include "codegen/machine.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- targets ---- */
enum { MAX_TARGETS = 8 };
static bool find_target(struct ir_diags *d, const char *name, size_t n, struct ir_target *out)
{
  const struct cg_target *t = cg_target_find(name, n);
  if (!t)
    return ir_error(d, IR_M0401, NULL, NULL, "unknown target \"%.*s\"; expected cpu, cpu:x86-64-v2, cpu:x86-64-v3, cpu:x86-64-v4, cpu:PROCESSOR, cuda, cuda:sm_80 .. or opencl", (int)n, name);
  *out = target_of(t);
  return true;
}
/* "a,b,c": one target per x86-64 level, the highest first; the program picks when it starts. A name that says no kind is of the one before it: "cuda:sm_80,sm_90a". */
static bool find_targets(struct ir_diags *d, const char *names, struct ir_target *out, unsigned *out_n)
{
  *out_n = 0;
  for (const char *s = names;; s++) {
    size_t n = strcspn(s, ",");
    struct ir_target t;
    size_t kind = *out_n && !memchr(s, ':', n) && !cg_target_find(s, n) ? strcspn(out[0].name, ":") + 1 : 0;
    char name[64];
    snprintf(name, sizeof name, "%.*s%.*s", (int)kind, kind ? out[0].name : "", (int)(n < 50 ? n : 50), s);
    TRY(find_target(d, name, strlen(name), &t));
    if (*out_n && ((const struct cg_target *)t.impl)->kind != ((const struct cg_target *)out[0].impl)->kind)
      return ir_error(d, IR_M0401, NULL, NULL, "targets %s and %s do not go into one program; name one", out[0].name, t.name);
    unsigned level = ((const struct cg_target *)t.impl)->level, at = 0;
    while (at < *out_n && ((const struct cg_target *)out[at].impl)->level > level) at++;
    if (at < *out_n && ((const struct cg_target *)out[at].impl)->level == level)
      return ir_error(d, IR_M0401, NULL, NULL, "targets %s and %s are compiled for the same level; name one", out[at].name, t.name);
    if (*out_n == MAX_TARGETS) return ir_error(d, IR_M0401, NULL, NULL, "more than %d targets", MAX_TARGETS);
    memmove(out + at + 1, out + at, (*out_n - at) * sizeof *out);
    out[at] = t;
    ++*out_n;
    s += n;
    if (!*s) return true;
  }
}

/* --machine: facts of the processor. They are those of the level that the file names, if it names one. */
static bool describe_targets(struct ir_arena *a, struct ir_diags *d, const char *path, struct ir_target *t, unsigned n)
{
  const struct ir_yaml *y = cg_machine_read(a, d, path);
  unsigned matching = 0;
  TRY(y);
  for (unsigned i = 0; i < n; i++) {
    struct cg_target *new = ir_arena_copy(a, t[i].impl, sizeof *new);
    unsigned level = new->level;
    if (new->kind != CG_CPU) return ir_error(d, IR_M0401, NULL, NULL, "--machine describes a processor, target %s is none", t[i].name);
    TRY(cg_machine_apply(a, d, y, new));
    if (new->level != level) continue;
    t[i] = target_of(new);
    matching++;
  }
  return matching || ir_error(d, IR_M0407, NULL, NULL, "%s describes a processor of another level than %s; give --target", path, t[0].name);
}

/* One line that changes, on a terminal only. */
static void progress(const struct options *o, const char *what)
{
  if (o->quiet || o->verbose || o->pass.time || !isatty(STDERR_FILENO)) return;
  fprintf(stderr, "\r\033[K%s%s", what ? "massc: " : "", what ? what : "");
  fflush(stderr);
}

/* ---- machine code, in parallel: each job takes a contiguous share of the kernels, so that the bytes do not depend on who was faster ---- */
struct chunk { struct pass_program *p; const struct cg_target *t; uint32_t first, last; struct ir_buf obj; struct ir_arena *arena; const char *why; bool ok; enum cg_form form; };
struct chunks { struct chunk *v; uint32_t n; atomic_uint next; };
static void *chunk_worker(void *arg)
{
  struct chunks *all = arg;
  for (uint32_t i; (i = atomic_fetch_add(&all->next, 1)) < all->n;) {
    struct chunk *c = &all->v[i];
    uint32_t n = 0;
    struct kir_kern **k = IR_NEWN(c->arena, struct kir_kern *, c->last - c->first + 1);
    for (uint32_t j = c->first; j < c->last; j++)
      if (!c->p->kernels.v[j].target->kind) k[n++] = c->p->kernels.v[j].kern;
    c->ok = !n || cg_llvm(c->arena, k, n, c->t, c->form, &c->obj, &c->why);
  }
  return NULL;
}
enum { PER_CHUNK = 4, MAX_CHUNKS = 256 };   /* kernels in one module: small enough to balance; no matter of -j, which must not show in the output */
static struct chunks emit_kernels(struct ir_arena *a, struct pass_program *p, const struct cg_target *t, unsigned jobs, enum cg_form form)
{
  uint32_t per = p->kernels.n > PER_CHUNK * MAX_CHUNKS ? (p->kernels.n + MAX_CHUNKS - 1) / MAX_CHUNKS : PER_CHUNK;
  struct chunks all = { .n = (p->kernels.n + per - 1) / per };
  all.v = IR_NEWN(a, struct chunk, all.n + 1);
  for (uint32_t i = 0; i < all.n; i++) {
    uint32_t last = (i + 1) * per;
    all.v[i] = (struct chunk){ .p = p, .t = t, .first = i * per, .last = last < p->kernels.n ? last : p->kernels.n, .arena = ir_arena_create(), .form = form };
  }
  pthread_t th[63];
  unsigned n = 0;
  while (n + 1 < jobs && n < 63 && n + 1 < all.n && !pthread_create(&th[n], NULL, chunk_worker, &all)) n++;
  chunk_worker(&all);
  for (unsigned i = 0; i < n; i++) pthread_join(th[i], NULL);
  for (uint32_t i = 0; i < all.n; i++)
    if (!all.v[i].ok) ir_bug("codegen", "kernels %u..%u: %s", all.v[i].first, all.v[i].last, all.v[i].why ? all.v[i].why : "no reason given");
  return all;
}
static void free_chunks(struct chunks *all)
{
  for (uint32_t i = 0; i < all->n; i++) { ir_buf_deinit(&all->v[i].obj); ir_arena_destroy(all->v[i].arena); }
}

/* ---- names ---- */
static const char *stem(struct ir_arena *a, const char *path)
{
  const char *base = strrchr(path, '/');
  base = base ? base + 1 : path;
  const char *dot = strrchr(base, '.');
  return ir_arena_strndup(a, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}
static const char *identifier(struct ir_arena *a, const char *s)
{
  char *r = ir_arena_printf(a, "%s%s", *s >= '0' && *s <= '9' ? "m" : "", s);
  for (char *c = r; *c; c++)
    if (!((*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z'))) *c = '_';
  return r;
}

/* ---- output ---- */
/* Behind the weights lies the text of the hash, for what they hold is known when they have been written. */
enum { HASH_TEXT = 17 };
struct weights_arg { struct pass_program *p; struct ir_diags *d; const char *out; uint64_t hash; };
static bool write_weights(void *arg, int fd, int64_t offset)
{
  struct weights_arg *w = arg;
  char text[HASH_TEXT];
  TRY(pass_weights_write(w->p, w->d, w->out, fd, offset, &w->hash));
  snprintf(text, sizeof text, "%016llx", (unsigned long long)w->hash);
  return pwrite(fd, text, sizeof text, offset + (int64_t)w->p->weights_bytes) == sizeof text || ir_error(w->d, IR_M0002, NULL, NULL, "%s: cannot write: %s", w->out, strerror(errno));
}
/* Hash of what the executable computes but for what the weights hold: the tables, edited kernels. */
static uint64_t tables_hash(const struct pass_program *p, const struct kernel_files *edited)
{
  struct ir_buf b = { 0 };
  pass_program_print(&b, p);
  for (uint32_t i = 0; i < edited->v.n; i++) ir_buf_printf(&b, "%s\n%s", edited->v.v[i].name, edited->v.v[i].text);
  uint64_t h = ir_hash(b.s ? b.s : "", b.n, 0);
  ir_buf_deinit(&b);
  return h;
}
/* A path as make reads it. */
static void make_word(struct ir_buf *b, const char *s)
{
  for (; *s; s++) {
    if (*s == ' ' || *s == '#') ir_buf_add(b, "\\", 1);
    if (*s == '$') ir_buf_add(b, "$", 1);
    ir_buf_add(b, s, 1);
  }
}
/* A name beside the output's, with another ending: "a.bin" -> "a.h". */
static const char *beside(struct ir_arena *a, const char *out, const char *ending)
{
  const char *slash = strrchr(out, '/'), *base = slash ? slash + 1 : out, *dot = strrchr(base, '.');
  return ir_arena_printf(a, "%.*s%s", (int)(dot && dot > base ? (size_t)(dot - out) : strlen(out)), out, ending);
}
static bool write_depfile(struct ir_arena *a, struct ir_diags *d, const struct options *o, const struct onnx_file *f, const struct kernel_files *edited, const char *out)
{
  const char *const *paths;
  unsigned n = onnx_depfiles(f, &paths);
  struct ir_buf b = { 0 };
  make_word(&b, o->dep_target ? o->dep_target : out);
  ir_buf_printf(&b, ":");
  for (unsigned i = 0; i < n; i++) { ir_buf_printf(&b, " "); make_word(&b, paths[i]); }
  if (o->pass.place_file) { ir_buf_printf(&b, " "); make_word(&b, o->pass.place_file); }
  if (o->machine) { ir_buf_printf(&b, " "); make_word(&b, o->machine); }
  if (o->tune) { ir_buf_printf(&b, " "); make_word(&b, o->tune); }
  for (uint32_t i = 0; i < edited->v.n; i++) { ir_buf_printf(&b, " "); make_word(&b, edited->v.v[i].path); }
  ir_buf_printf(&b, "\n");
  bool ok = link_write_file(d, o->dep_file ? o->dep_file : beside(a, out, ".d"), b.s, b.n, 0644);
  ir_buf_deinit(&b);
  return ok;
}
static bool write_text(struct ir_diags *d, const char *out, struct ir_buf *b)
{
  bool ok = link_write_file(d, out ? out : "-", b->s ? b->s : "", b->n, 0644);
  ir_buf_deinit(b);
  return ok;
}
/* CUDA C, OpenCL C: of all versions. */
static bool emit_kernel_texts(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned n, bool files)
{
  struct kernel_texts all = kernel_texts(a, p, n);
  struct ir_buf b = { 0 };
  for (uint32_t i = 0; i < all.n; i++) {
    kernel_print(a, p, n, &all.v[i], &b);
    if (!files) { ir_buf_printf(&b, "\n"); continue; }
    bool ok = link_write_file(d, ir_arena_printf(a, "%s%s", o->out, all.v[i].file), b.s, b.n, 0644);
    ir_buf_deinit(&b);
    b = (struct ir_buf){ 0 };
    TRY(ok);
  }
  return files || write_text(d, o->out, &b);
}
/* -o DIR/: one file per kernel, or one with the graph. */
static bool emit_files(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned n)
{
  const char *ending = o->emit == EMIT_KERNELS ? "kern" : o->emit == EMIT_LLVM ? "ll" : "s";
  struct ir_buf graph = { 0 };
  if (mkdir(o->out, 0777) && errno != EEXIST) return ir_error(d, IR_M0002, NULL, NULL, "cannot make the folder %s: %s", o->out, strerror(errno));
  if (o->emit < EMIT_KERNELS) {
    ir_print(&graph, p->m);
    return write_text(d, ir_arena_printf(a, "%s%s.ir", o->out, stem(a, o->model)), &graph);
  }
  if (o->emit >= EMIT_CUDA) return emit_kernel_texts(a, d, o, p, n, true);
  for (uint32_t i = 0; i < p->kernels.n; i++) {
    struct pass_kernel *k = &p->kernels.v[i];
    struct ir_buf b = { 0 };
    const char *why = NULL;
    if (o->emit == EMIT_KERNELS) kir_kern_print(&b, k->kern);
    else if (!cg_llvm(a, &k->kern, 1, p->target->impl, o->emit == EMIT_LLVM ? CG_LLVM_TEXT : CG_ASM, &b, &why)) ir_bug("codegen", "kernel %s: %s", k->name, why ? why : "no reason given");
    bool ok = link_write_file(d, ir_arena_printf(a, "%s%s.%s", o->out, k->name, ending), b.s, b.n, 0644);
    ir_buf_deinit(&b);
    TRY(ok);
  }
  return true;
}
static bool emit_text(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned n)
{
  struct ir_buf b = { 0 };
  size_t length = o->out ? strlen(o->out) : 0;
  if (length && o->out[length - 1] == '/') return emit_files(a, d, o, p, n);
  if (o->emit >= EMIT_CUDA) return emit_kernel_texts(a, d, o, p, n, false);
  if (o->emit == EMIT_IR || o->emit == EMIT_GRAPH) ir_print(&b, p->m);
  else if (o->emit == EMIT_KERNELS) {
    for (uint32_t i = 0; i < p->kernels.n; i++) { kir_kern_print(&b, p->kernels.v[i].kern); ir_buf_printf(&b, "\n"); }
  } else {
    struct chunks all = emit_kernels(a, p, p->target->impl, o->pass.jobs, o->emit == EMIT_LLVM ? CG_LLVM_TEXT : CG_ASM);
    for (uint32_t i = 0; i < all.n; i++) ir_buf_add(&b, all.v[i].obj.s, all.v[i].obj.n);
    free_chunks(&all);
  }
  return write_text(d, o->out, &b);
}
/* Objects of one version: its kernels, then its host program. The first version's program knows the others. */
struct version { struct pass_program *p; struct chunks kernels; struct device_code *device; const struct kernel_file *const *edited; struct ir_buf host; unsigned ptx; };
static bool emit_version(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct version *v, unsigned n, const char *prefix, uint64_t hash_at)
{
  const struct cg_target *t = v->p->target->impl, *cpu = v->p->host ? v->p->host->impl : t;
  struct cg_other *others = IR_NEWN(a, struct cg_other, n + 1);
  for (unsigned i = 1; i < n; i++) others[i - 1] = (struct cg_other){ v[i].p->target->impl, ir_arena_printf(a, "massrt_program%s", v[i].p->suffix), v[i].ptx };
  struct cg_host h = { .p = v->p->tables, .targets = &t, .n_targets = 1, .others = others, .n_others = n ? n - 1 : 0, .prefix = prefix, .weights_symbol = "massrt_weights",
                       .symbol = n ? NULL : ir_arena_printf(a, "massrt_program%s", v->p->suffix), .ptx = v->ptx, .hash_at = hash_at };
  struct massrt_kernel *kernels;
  h.p.name = stem(a, o->model);
  h.p.producer = "massc " MASSC_VERSION;
  h.p.flags = o->text;
  if (v->p->target->kind) {
    TRY(device_compile(a, d, o, v->p, v->ptx, v->edited, &kernels, &v->device));
    h.p.kernels = kernels;
  }
  const char *why = NULL;
  v->kernels = emit_kernels(a, v->p, cpu, o->pass.jobs, CG_OBJECT);
  if (!cg_host_emit(a, &h, CG_OBJECT, &v->host, &why)) ir_bug("host", "%s", why ? why : "no reason given");
  return true;
}
/* PTX of the newest version that is not for one device only; it runs on all later ones. */
static void choose_ptx(struct version *v, unsigned n)
{
  for (unsigned i = 0; i < n; i++) {
    const struct cg_target *t = v[i].p->target->impl;
    if (t->kind != CG_CUDA || cg_target_exact(t)) continue;
    v[i].ptx = t->level;
    return;
  }
}
static bool emit_program(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned n, const struct onnx_file *f)
{
  static const char *const endings[] = { ".bin", ".o", ".so" };
  const char *out = o->out ? o->out : ir_arena_printf(a, "%s%s", stem(a, o->model), endings[o->kind]);
  const char *prefix = o->kind == LINK_EXE ? "" : o->name ? o->name : identifier(a, stem(a, out));
  struct kernel_files edited = { 0 };
  if (o->use_kernels) TRY(kernel_files_read(a, d, o->use_kernels, p, n, &edited));
  struct version v[MAX_TARGETS] = { 0 };
  struct pass_program *last = &p[n - 1];               /* its list of weights goes on from those before */
  uint32_t n_blobs = 0;
  bool ok = true;
  for (unsigned i = 0; i < n; i++) {
    v[i].p = &p[i];
    v[i].edited = edited.of ? edited.of[i] : NULL;
  }
  choose_ptx(v, n);
  for (unsigned i = 0; i < n; i++) {
    progress(o, ir_arena_printf(a, "compiling %u kernels for %s", p[i].kernels.n, p[i].target->name));
    if (!i) p->tables.weights_bytes = last->weights_bytes, p->tables.transformed_bytes = last->tables.transformed_bytes;
    ok = ok && emit_version(a, d, o, &v[i], i ? 0 : n, prefix, last->weights_bytes);
    n_blobs += v[i].kernels.n + 1;
  }
  struct link_blob *blobs = IR_NEWN(a, struct link_blob, n_blobs + 1);
  n_blobs = 0;
  for (unsigned i = 0; i < n; i++) {
    for (uint32_t k = 0; k < v[i].kernels.n; k++)
      if (v[i].kernels.v[k].obj.n) blobs[n_blobs++] = (struct link_blob){ v[i].kernels.v[k].obj.s, v[i].kernels.v[k].obj.n, "kernels" };
    blobs[n_blobs++] = (struct link_blob){ v[i].host.s, v[i].host.n, "host" };
  }
  struct weights_arg w = { last, d, out, tables_hash(p, &edited) };
  struct link_job j = { .kind = o->kind, .out = out, .objects = blobs, .n_objects = n_blobs, .weights_symbol = "massrt_weights", .weights_bytes = last->weights_bytes + HASH_TEXT,
                        .write_weights = write_weights, .arg = &w, .prefix = prefix, .verbose = o->verbose };
  progress(o, ir_arena_printf(a, "writing %.0f MB of weights", (double)last->weights_bytes * 1e-6));
  ok = ok && link_output(d, &j);
  progress(o, NULL);
  for (unsigned i = 0; i < n; i++) {
    free_chunks(&v[i].kernels);
    device_free(v[i].device, p[i].kernels.n);
    ir_buf_deinit(&v[i].host);
  }
  if (ok && o->kind != LINK_EXE) {
    struct ir_buf b = { 0 };
    struct massrt_program described = p->tables;
    described.name = stem(a, o->model);
    described.producer = "massc " MASSC_VERSION;
    header_print(&b, &described, prefix);
    ok = link_write_file(d, o->header ? o->header : beside(a, out, ".h"), b.s, b.n, 0644);
    ir_buf_deinit(&b);
  }
  if (ok && o->depfile) ok = write_depfile(a, d, o, f, &edited, out);
  return ok;
}
/* An output that would replace what it is made of. */
static bool replaces_input(struct ir_diags *d, const struct onnx_file *f, const char *out)
{
  const char *const *paths;
  struct stat x, y;
  unsigned n = onnx_depfiles(f, &paths);
  if (!out || stat(out, &x) || !S_ISREG(x.st_mode)) return false;
  for (unsigned i = 0; i < n; i++)
    if (!stat(paths[i], &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino) return !ir_error(d, IR_M0003, NULL, NULL, "the output %s is the input %s; give -o another name", out, paths[i]);
  return false;
}
/* Kernels of devices are compiled, for what they take is known then; what NVRTC refuses is a diagnostic as ever. */
static bool check_text(struct ir_arena *a, struct ir_diags *d, const struct options *o, struct pass_program *p, unsigned n)
{
  struct device_code *code[MAX_TARGETS] = { 0 };
  struct kernel_files edited = { 0 };
  struct massrt_kernel *unused;
  struct ir_buf b = { 0 };
  bool ok = !o->use_kernels || kernel_files_read(a, d, o->use_kernels, p, n, &edited);
  for (unsigned i = 0; i < n && ok && p->target->kind; i++) ok = device_compile(a, d, o, &p[i], 0, edited.of ? edited.of[i] : NULL, &unused, &code[i]);
  if (ok) check_print(&b, p, n, code, o->model, o->json);
  for (unsigned i = 0; i < n; i++) device_free(code[i], p[i].kernels.n);
  return ok && write_text(d, o->out, &b);
}

/* ---- the road ---- */
static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
/* What --precision changed: a rewrite is never silent. */
static void report_precision(const struct options *o, const struct pass_precision *r)
{
  if (!o->precision || o->quiet || o->json) return;
  progress(o, NULL);
  fprintf(stderr, "massc: --precision %s: %u of %u contractions take %s operands and sum in float32", o->precision, r->rewritten, r->contractions, o->precision);
  if (r->bytes_before > r->bytes_after) fprintf(stderr, "; their weights shrink from %.1f to %.1f MB", (double)r->bytes_before * 1e-6, (double)r->bytes_after * 1e-6);
  if (r->rewritten < r->contractions) fprintf(stderr, "; %u keep their types", r->contractions - r->rewritten);
  fprintf(stderr, "\n");
}
/* The graph passes once, then a program for each target from `schedule` on. again: the graph has been through them. */
static bool run_passes(struct ir_module *m, const struct options *o, const struct ir_target *t, unsigned n, bool again, struct pass_program *p)
{
  static struct ir_target host;                          /* of what is placed on the processor beside a device */
  struct pass_precision precision = { 0 };
  struct pass_ctx c = { .m = m, .opt = &o->pass, .target = t, .prog = p, .precision = &precision };
  if (t->kind) {
    host = target_of(cg_target_find("cpu:x86-64-v2", 13));
    host.block = 1;
    host.plane_pad = 0;
    host.align = t->align;
    c.host = &host;
  }
  for (unsigned i = 0; i < n; i++) {
    p[i] = (struct pass_program){ .arena = m->arena, .m = m, .target = &t[i], .host = c.host, .level = o->pass.level, .arena_bytes = -1, .live_bytes = -1 };
    p[i].suffix = n == 1 ? "" : ir_arena_printf(m->arena, ".v%u", ((const struct cg_target *)t[i].impl)->level);
    if (i) {                                             /* weights in the same storage are shared */
      for (uint32_t k = 0; k < p[i - 1].weights.n; k++) ir_push(m->arena, &p[i].weights, p[i - 1].weights.v[k]);
      p[i].weights_bytes = p[i - 1].weights_bytes;
    }
    c.target = &t[i];
    c.prog = &p[i];
    TRY(pass_run_all(&c, i || again ? "schedule" : NULL));
  }
  if (!again) report_precision(o, &precision);
  return true;
}
/* One kind of target has no text in another's language. */
static bool target_fits(struct ir_diags *d, const struct options *o, const struct cg_target *t)
{
  static const char *const texts[] = { [CG_CPU] = "llvm or asm", [CG_CUDA] = "cuda", [CG_OPENCL] = "opencl" };
  bool wrong = t->kind == CG_CPU ? o->emit >= EMIT_CUDA : o->emit >= EMIT_LLVM && o->emit != (t->kind == CG_CUDA ? EMIT_CUDA : EMIT_OPENCL);
  return !wrong || ir_error(d, IR_M0401, NULL, NULL, "target %s has no text of that kind; expected --emit=%s", t->name, texts[t->kind]);
}
/* A program for "cuda" has code for sm_80 and sm_90a; one for sm_90a alone gets code for sm_80 too, whose PTX runs on what comes later. */
static const char *target_names(struct ir_arena *a, const struct options *o)
{
  const char *t = o->target ? o->target : o->emit == EMIT_CUDA ? "cuda" : o->emit == EMIT_OPENCL ? "opencl" : "cpu";
  if (o->emit && o->emit != EMIT_CUDA) return t;
  if (!strcmp(t, "cuda")) return "cuda:sm_80,sm_90a";
  if (!strcmp(t, "cuda:sm_90a") && !o->emit && o->command != CMD_CHECK) return ir_arena_printf(a, "%s,sm_80", t);
  return t;
}
static void drop_program(struct pass_program *p)
{
  for (uint32_t k = 0; k < p->kernels.n; k++) ir_arena_destroy(p->kernels.v[k].arena);
}

/* ---- massc tune: one program after another of the same graph ---- */
struct road { struct ir_arena *a; struct ir_diags *d; const struct options *o; const struct onnx_file *file; struct ir_module *m; const struct ir_target *target; bool again; };
static bool build_tuned(const struct tune_road *r, struct pass_tune *rows, const char *out, struct pass_program *p)
{
  struct road *x = r->arg;
  struct options o = *x->o;
  bool again = x->again;
  o.pass.tune = rows;
  o.out = out;
  o.quiet = true;                                        /* its progress is tune's */
  *p = (struct pass_program){ 0 };
  x->again = true;
  return run_passes(x->m, &o, x->target, 1, again, p) && emit_program(x->a, x->d, &o, p, 1, x->file);
}
static void tune_progress(const struct tune_road *r, const char *what) { progress(((const struct road *)r->arg)->o, what); }
static bool run_tune(struct ir_arena *a, struct ir_diags *d, const struct options *o, const struct onnx_file *f, struct ir_module *m, const struct ir_target *t, unsigned n)
{
  struct road x = { a, d, o, f, m, t, false };
  struct tune_road r = { &x, build_tuned, drop_program, tune_progress };
  if (n > 1) return ir_error(d, IR_M0401, NULL, NULL, "massc tune measures one target, %s and %s are two", t[0].name, t[1].name);
  return tune(a, d, o, t, &r, o->out ? o->out : ir_arena_printf(a, "%s.tune.yaml", stem(a, o->model)));
}
static bool run(struct ir_arena *a, struct ir_diags *d, struct options *o, struct onnx_file **file)
{
  struct ir_target targets[MAX_TARGETS + 1];
  struct pass_program p[MAX_TARGETS];
  unsigned n;
  double t0 = seconds();
  TRY(find_targets(d, target_names(a, o), targets, &n));
  if (o->machine) TRY(describe_targets(a, d, o->machine, targets, n));
  TRY(target_fits(d, o, targets[0].impl));
  if (o->tune) TRY((o->pass.tune = pass_tune_read(a, d, o->tune)) != NULL);
  TRY((*file = onnx_read(a, d, o->model, &o->onnx)) != NULL);
  TRY(!replaces_input(d, *file, o->out) && !replaces_input(d, *file, o->header));
  struct ir_module *m = onnx_import(a, d, *file, &o->onnx);
  TRY(m && !d->errors);
  if (o->pass.time) fprintf(stderr, "%8.2f ms  import\n", (seconds() - t0) * 1e3);
  if (o->emit == EMIT_IR) return emit_text(a, d, o, &(struct pass_program){ .m = m }, 1);
  if (o->emit == EMIT_GRAPH && !o->pass.stop_after) o->pass.stop_after = "outline";
  if ((o->emit && o->emit < EMIT_CUDA) || o->pass.stop_after) n = 1;      /* text is of the first target, but for that of kernels in C */
  if (o->command == CMD_TUNE) return run_tune(a, d, o, *file, m, targets, n);
  progress(o, "passes");
  bool passed = run_passes(m, o, targets, n, false, p);
  progress(o, NULL);
  TRY(passed);
  if (o->tune && p->kernels.n) pass_tune_report(o->pass.tune, d, targets, n);
  t0 = seconds();
  if (o->pass.stop_after && o->emit != EMIT_GRAPH) {
    struct ir_buf b = { 0 };
    if (p->groups.n) pass_program_print(&b, p);
    else ir_print(&b, m);
    drop_program(p);
    return write_text(d, o->out, &b);
  }
  bool ok = o->command == CMD_CHECK ? check_text(a, d, o, p, n) : o->emit ? emit_text(a, d, o, p, n) : emit_program(a, d, o, p, n, *file);
  if (o->pass.time) fprintf(stderr, "%8.2f ms  code, weights, linking\n", (seconds() - t0) * 1e3);
  for (unsigned i = 0; i < n; i++) drop_program(&p[i]);
  return ok;
}
/* massc check --json of a model that is refused: every diagnostic, one string each. */
static void refused_json(const char *model, const char *lines)
{
  struct ir_buf b = { 0 };
  ir_buf_printf(&b, "{\"model\": ");
  json_string(&b, model, strlen(model));
  ir_buf_printf(&b, ", \"supported\": false, \"diagnostics\": [");
  for (const char *s = lines, *first = lines; *s; s += strcspn(s, "\n") + 1) {
    if (s != first) ir_buf_printf(&b, ", ");
    json_string(&b, s, strcspn(s, "\n"));
  }
  ir_buf_printf(&b, "]}\n");
  fwrite(b.s, 1, b.n, stdout);
  ir_buf_deinit(&b);
}
int compile(struct ir_arena *a, struct options *o)
{
  char *lines = NULL;
  size_t size;
  bool json = o->command == CMD_CHECK && o->json;
  struct ir_diags d = { .out = json ? open_memstream(&lines, &size) : stderr, .file = o->model, .quiet = o->quiet || json };
  struct onnx_file *f = NULL;
  bool ok = run(a, &d, o, &f);
  onnx_close(f);
  if (json && d.out) {
    fclose(d.out);
    if (!ok) refused_json(o->model, lines);
    fputs(lines, stderr);
    free(lines);
  }
  ir_buf_deinit(&d.first);
  return ok ? IR_EXIT_OK : d.status ? d.status : IR_EXIT_MODEL;
}
