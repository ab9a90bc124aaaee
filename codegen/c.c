/* A file of CUDA C or OpenCL C: head, prelude, one kernel. docs/codegen-c.md explains what each construct becomes. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "codegen/c.h"

const struct c_dialect c_cuda = {
  .name = "CUDA C", .ending = "cu", .kernel = "extern \"C\" __global__ void __launch_bounds__(%u%s)\n", .function = "static __device__ __forceinline__",
  .global = "", .local = "", .shared = "__shared__ __align__(128)", .restrict_ = "__restrict__ ", .block = "(int)blockIdx.x", .lane = "(int)threadIdx.x", .warp = "(int)threadIdx.y",
  .barrier = "__syncthreads();", .i64 = "long long", .u64 = "unsigned long long", .i8 = "signed char", .i64_suffix = "LL", .inf = "INF", .nan = "NOT_A_NUMBER",
  .prelude = "#define INF __int_as_float(0x7f800000)\n#define NOT_A_NUMBER __int_as_float(0x7fc00000)\n",
  .static_bytes = 48 << 10, .f_suffix = true, .warps = true,
};
const struct c_dialect c_opencl = {
  .name = "OpenCL C", .ending = "cl", .kernel = "__kernel __attribute__((reqd_work_group_size(%u, %u, 1))) void\n", .function = "static inline",
  .global = "__global ", .local = "__local ", .shared = "__local", .restrict_ = "restrict ", .block = "(int)get_group_id(0)", .lane = "(int)get_local_id(0)", .warp = "(int)get_local_id(1)",
  .barrier = "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);", .i64 = "long", .u64 = "ulong", .i8 = "char", .i64_suffix = "L", .inf = "INFINITY", .nan = "NAN",
  .prelude = "#pragma OPENCL FP_CONTRACT OFF\n", .static_bytes = UINT32_MAX, .f_suffix = false, .warps = false,
};

/* ---- text ---- */
void c_fail(struct cc *c, const char *fmt, ...)
{
  char s[300];
  va_list ap;
  if (c->why) return;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  c->why = ir_arena_printf(c->a, "%s", s);
}
static const char *vprint(struct cc *c, const char *fmt, va_list ap)
{
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  char *s = ir_arena_alloc(c->a, (size_t)n + 1);
  vsnprintf(s, (size_t)n + 1, fmt, again);
  va_end(again);
  return s;
}
const char *c_printf(struct cc *c, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  const char *s = vprint(c, fmt, ap);
  va_end(ap);
  return s;
}
void c_line(struct cc *c, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  const char *s = vprint(c, fmt, ap);
  va_end(ap);
  ir_buf_printf(&c->scope[c->level].body, "%*s%s\n", (int)(2 * c->level + 2), "", s);
}
void c_open(struct cc *c)
{
  if (c->level + 1 == C_SCOPES) c_fail(c, "blocks nest deeper than %d", C_SCOPES);
  else c->scope[++c->level] = (struct c_scope){ 0 };
}
void c_close(struct cc *c)
{
  struct c_scope *s = &c->scope[c->level];
  if (!c->level) return;
  while (c->quotients.n && c->quotients.v[c->quotients.n - 1].level == c->level) c->quotients.n--;
  while (c->loops.n && c->loop_level[c->loops.n - 1] == c->level) c->loops.n--;
  struct ir_buf *out = &c->scope[--c->level].body;
  if (s->decl.n) ir_buf_add(out, s->decl.s, s->decl.n);
  if (s->body.n) ir_buf_add(out, s->body.s, s->body.n);
  ir_buf_deinit(&s->decl);
  ir_buf_deinit(&s->body);
}
void c_declare(struct cc *c, unsigned level, const char *line) { ir_buf_printf(&c->scope[level].decl, "%*s%s\n", (int)(2 * level + 2), "", line); }
const char *c_in(struct cc *c, struct c_text t, unsigned prec) { return t.prec <= prec ? t.s : c_printf(c, "(%s)", t.s); }
bool c_has_lane(const char *s) { return strchr(s, C_LANE) != NULL; }
const char *c_at_lane(struct cc *c, const char *s, const char *lane)
{
  if (!c_has_lane(s)) return s;
  struct ir_buf b = { 0 };
  for (; *s; s++) ir_buf_add(&b, *s == C_LANE ? lane : s, *s == C_LANE ? strlen(lane) : 1);
  const char *r = ir_arena_strndup(c->a, b.s, b.n);
  ir_buf_deinit(&b);
  return r;
}

/* ---- names: identifiers, unique in the file ---- */
static const char *const reserved[] = {
  "v", "scratch", "exchange", "exchange_64", "thread", "block", "INF", "NOT_A_NUMBER", "EACH", "INFINITY", "NAN",
  "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char", "class", "compl", "const", "constexpr", "continue",
  "decltype", "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable",
  "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq", "private", "protected", "public", "register", "restrict", "return", "short", "signed", "sizeof",
  "static", "struct", "switch", "template", "this", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using", "virtual", "void", "volatile", "wchar_t", "while",
  "xor", "xor_eq", "half", "uchar", "ushort", "uint", "ulong", "kernel", "global", "local", "constant", "image2d_t", "event_t", "sampler_t", "size_t", "vec_step", "pipe", "generic",
  "read_only", "write_only", "read_write", "unix", "linux", "warpSize", "gridDim", "blockIdx", "blockDim", "threadIdx", "min", "max", "abs", "mad", "mix", "step", "dot", "cross", "length",
  "distance", "normalize", "sign", "clamp", "select", "any", "all", "shuffle", "barrier", "printf", "clock", "exp", "log", "pow", "sqrt", "sin", "cos", "tan", "floor", "ceil", "round", "erf",
  "fma", "main", "atan", "y0", "y1", "yn", "j0", "j1", "jn", "gamma", "index", "signbit", "isnan", "isinf", "degrees", "radians", "rotate", "hypot", "prefetch"
};
/* Where s looks like one of the prelude's own names: "f32x4", "max_f32". NULL: nowhere. */
static const char *like_prelude(const char *s)
{
  for (unsigned e = 0; e < IR_ELEM_COUNT; e++) {
    const char *n = ir_elem_name((enum ir_elem)e);
    for (const char *at = strstr(s, n); at; at = strstr(at + 1, n))
      if (at == s || at[-1] == '_') return at;
  }
  return NULL;
}
static bool taken(const struct cc *c, const char *s)
{
  uint64_t hash = ir_hash(s, strlen(s), 0);
  for (uint32_t i = 0; i < c->names.n; i++)
    if (c->names.v[i].hash == hash && !strcmp(c->names.v[i].name, s)) return true;
  for (unsigned i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (!strcmp(reserved[i], s)) return true;
  return !strncmp(s, "__", 2) || c_is_help(s);
}
static const char *identifier(struct cc *c, const char *s)
{
  bool digit = *s >= '0' && *s <= '9';
  char *r = (char *)c_printf(c, "%s%.60s", digit || !*s ? "x" : "", s);
  for (char *p = r; *p; p++)
    if (!((*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z' && (*p & 0x80) == 0))) *p = '_';
  return r;
}
const char *c_name(struct cc *c, const void *what, const char *base)
{
  for (uint32_t i = 0; what && i < c->names.n; i++)
    if (c->names.v[i].what == what) return c->names.v[i].name;
  const char *id = identifier(c, base), *n;
  for (const char *at; (at = like_prelude(id));) id = c_printf(c, "%.*sx%s", (int)(at - id), id, at);
  n = id;
  uint64_t id_hash = ir_hash(id, strlen(id), 0);
  unsigned i = 0;
  for (uint32_t k = c->names.n; k-- > 0 && !i;)             /* its numbers so far */
    if (c->names.v[k].id == id_hash) i = c->names.v[k].number;
  while (taken(c, n)) i++, n = c_printf(c, "%s%s%u", id, id[strlen(id) - 1] >= '0' && id[strlen(id) - 1] <= '9' ? "_" : "", i);
  ir_push(c->a, &c->names, ((struct c_named){ what, n, ir_hash(n, strlen(n), 0), id_hash, i }));
  return n;
}

/* ---- the kernel ---- */
static const struct ir_sym *sym_of(const struct ir_ix *e) { return ir_ix_as_sym(e); }
static void arguments(struct cc *c, struct ir_buf *b)
{
  const struct kir_kern *k = c->k;
  for (uint32_t i = 0; i < k->args.n; i++) {
    const struct kir_arr *a = k->args.v[i];
    ir_buf_printf(b, "%s%s%s%s *%s%s", i ? ", " : "", a->out ? "" : "const ", c->d->global, c_store_type(c, a->elem), a->space == KIR_CONST ? c->d->restrict_ : "", c_name(c, a, a->name));
  }
  for (uint32_t i = 0; i < k->syms.n; i++) {
    const struct ir_sym *s = sym_of(k->syms.v[i]);
    ir_buf_printf(b, "%s%s %s", i || k->args.n ? ", " : "", c_sym_wide(s) ? c->d->i64 : "int", c_name(c, s, s->name));
  }
}
/* Mixed radix, innermost digit last. */
static void digits(struct cc *c)
{
  const struct kir_kern *k = c->k;
  if (!k->grid.n) return;
  if (k->grid.n > 1) c_declare(c, 0, c_printf(c, "int block = %s;", c->d->block));
  for (uint32_t i = k->grid.n; i-- > 0;) {
    const struct ir_sym *s = sym_of(k->grid.v[i].var);
    const char *n = c_name(c, s, s->name), *t = c_sym_wide(s) ? c->d->i64 : "int";
    struct c_text trips = i ? c_ix_as(c, k->grid.v[i].trips, false) : (struct c_text){ NULL, C_ATOM };
    if (k->grid.n == 1) c_declare(c, 0, c_printf(c, "const %s %s = %s;", t, n, c->d->block));
    else if (!i) c_declare(c, 0, c_printf(c, "const %s %s = block;", t, n));
    else {
      c_declare(c, 0, c_printf(c, "const %s %s = block %% %s;", t, n, c_in(c, trips, C_UNARY)));
      c_declare(c, 0, c_printf(c, "block /= %s;", c_in(c, trips, C_UNARY)));
    }
  }
}
static bool dynamic(const struct cc *c) { return c->k->scratch_bytes > c->d->static_bytes; }
static void scratch(struct cc *c, struct ir_buf *b)
{
  const struct kir_kern *k = c->k;
  if (c->exchange) {
    ir_buf_printf(b, "  %s int exchange[%u];\n", c->d->shared, k->warps * k->lanes);
    ir_buf_printf(b, "  %s %s exchange_64[%u];\n", c->d->shared, c->d->i64, k->warps * k->lanes);
    ir_buf_printf(b, "  const int thread = %s*%u + %s;\n", c->d->warp, k->lanes, c->d->lane);
  }
  if (!k->scratch_bytes) return;
  const char *shared = c->descriptors ? "__shared__ __align__(1024)" : c->d->shared;
  if (dynamic(c)) ir_buf_printf(b, "  extern %s unsigned char scratch[];\n", shared);
  else ir_buf_printf(b, "  %s unsigned char scratch[%llu]%s;\n", shared, (unsigned long long)k->scratch_bytes, c->d->warps ? "" : " __attribute__((aligned(64)))");
  for (uint32_t i = 0; i < k->bufs.n; i++) {
    const struct kir_arr *a = k->bufs.v[i];
    const char *t = c_printf(c, "%s%s", c->d->local, c_store_type(c, a->elem));
    ir_buf_printf(b, "  %s *const %s = (%s *)(scratch + %llu);\n", t, c_name(c, a, a->name), t, (unsigned long long)a->byte_offset);
  }
}
static void unit(struct cc *c, struct ir_buf *b, const struct ir_ix *used, const char *id)
{
  if (!used) return;
  const struct ir_sym *s = sym_of(used);
  ir_buf_printf(b, "  const int %s = %s;\n", c_name(c, s, s->name), id);
}
/* Head lines as a comment; nothing in them may end it. */
static void head_text(struct ir_buf *out, const char *head)
{
  for (const char *s = head; s && *s;) {
    size_t n = strcspn(s, "\n");
    ir_buf_printf(out, s == head ? "/* " : " * ");
    for (size_t i = 0; i < n; i++) {
      bool ends = (s[i] == '*' && i + 1 < n && s[i + 1] == '/') || (s[i] == '/' && i + 1 < n && s[i + 1] == '*');
      ir_buf_printf(out, (unsigned char)s[i] < 32 ? "?" : "%c%s", s[i], ends ? " " : "");
    }
    s += n + (s[n] == '\n');
    ir_buf_printf(out, *s ? "\n" : " */\n");
  }
}
static void launch_of(struct cc *c, const char *name, struct cg_launch *l)
{
  const struct kir_kern *k = c->k;
  const struct ir_ix *blocks = ir_ix_int(k->ixs, 1);
  for (uint32_t i = 0; i < k->grid.n; i++) blocks = ir_ix_mul(blocks, k->grid.v[i].trips);
  *l = (struct cg_launch){ .name = name, .blocks = blocks, .lanes = k->lanes, .warps = k->warps, .dynamic_bytes = dynamic(c) ? k->scratch_bytes : 0, .shared_bytes = k->scratch_bytes, .waits = c->waited,
                           .n_pointers = k->args.n, .n_sizes = k->syms.n };
  for (uint32_t i = 0; i < k->syms.n && i < CG_MAX_SIZES; i++) {
    l->size[i] = k->syms.v[i];
    l->size_bytes[i] = c_sym_wide(sym_of(k->syms.v[i])) ? 8 : 4;
  }
}
bool cg_c(struct ir_arena *a, const struct kir_kern *k, const struct cg_target *t, const char *head, struct ir_buf *out, struct cg_launch *launch, const char **why)
{
  struct cc c = { .a = a, .d = t->kind == CG_OPENCL ? &c_opencl : &c_cuda, .k = k };
  struct ir_buf args = { 0 }, top = { 0 };
  if (!k->flat) c_fail(&c, "the kern is tiled");
  if (k->syms.n > CG_MAX_SIZES) c_fail(&c, "the kern takes %u sizes; at most %d are passed", k->syms.n, CG_MAX_SIZES);
  const char *name = c_name(&c, k, k->name);
  arguments(&c, &args);
  for (uint32_t i = 0; i < k->bufs.n; i++) c_name(&c, k->bufs.v[i], k->bufs.v[i]->name);
  c_declare_regs(&c);
  digits(&c);
  c_body(&c);
  unit(&c, &top, c.lane, c.d->lane);
  unit(&c, &top, c.warp, c.d->warp);
  scratch(&c, &top);
  if (!c.why) {
    head_text(out, head);
    if (c.f64 && t->kind == CG_OPENCL) ir_buf_printf(out, "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n");
    ir_buf_printf(out, "%s#define EACH(v, n) _Pragma(\"unroll\") for (int v = 0; v < n; v++)\n", c.d->prelude);
    for (uint32_t i = 0; i < c.help.n; i++) ir_buf_printf(out, "%s\n", (const char *)c.help.v[i].what);
    ir_buf_printf(out, "\n");
    if (c.d->warps) ir_buf_printf(out, c.d->kernel, k->warps * k->lanes, c.own_tiles ? ", 1" : "");
    else ir_buf_printf(out, c.d->kernel, k->lanes, k->warps);
    ir_buf_printf(out, "%s(%s)\n{\n", name, args.s ? args.s : "void");
    ir_buf_add(out, top.s ? top.s : "", top.n);
    if (c.scope[0].decl.n) ir_buf_add(out, c.scope[0].decl.s, c.scope[0].decl.n);
    if (c.scope[0].body.n) ir_buf_add(out, c.scope[0].body.s, c.scope[0].body.n);
    ir_buf_printf(out, "}\n");
    if (launch) launch_of(&c, name, launch);
  }
  ir_buf_deinit(&args);
  ir_buf_deinit(&top);
  while (c.level) c_close(&c);
  ir_buf_deinit(&c.scope[0].decl);
  ir_buf_deinit(&c.scope[0].body);
  *why = c.why;
  return !c.why;
}
const char *cg_c_ending(const struct cg_target *t) { return t->kind == CG_OPENCL ? c_opencl.ending : c_cuda.ending; }
