/* Fuzzing of the ONNX reader and importer: any bytes give a graph that verifies, or a diagnostic; never a crash, a hang or much memory.
 *
 * With libFuzzer: LLVMFuzzerTestOneInput. Without: a main of its own,
 *   fuzz_onnx [--seconds N] [--runs N] [--seed N] [MODEL.onnx ..]
 * which mutates the given models (else a few built in) with knowledge of the wire format: it parses the message tree loosely, then changes numbers, repeats,
 * drops, swaps, truncates and nests fields, so that lengths stay right and the mutants get past the outer checks; one in eight is plain bit noise. */
#include "compiler/onnx/onnx.h"
#include "tests/unit/onnx/wire_make.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  struct ir_arena *a = ir_arena_create();
  struct ir_diags d = { .file = "fuzz.onnx" };
  struct onnx_file *f = onnx_read_bytes(a, &d, p, n, NULL, NULL);
  struct ir_module *m = f ? onnx_import(a, &d, f, NULL) : NULL;
  const char *why;
  if (m && !ir_verify(m, IR_P_IMPORTED, &why)) ir_bug("fuzz_onnx", "the imported graph does not verify: %s", why);
  if (!m && !d.errors) ir_bug("fuzz_onnx", "refused without a diagnostic");
  onnx_close(f);
  ir_arena_destroy(a);
  ir_buf_deinit(&d.first);
  return 0;
}

#ifndef MASSC_LIBFUZZER
static uint64_t state;
static uint64_t next(void)           /* splitmix64 */
{
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static size_t below(size_t n) { return n ? (size_t)(next() % n) : 0; }

/* ---- a loose view of the wire format ---- */
struct field { unsigned id, wire; size_t at, head, end; };   /* [at, end), payload of length fields from head on */
static bool varint(const unsigned char *p, size_t n, size_t *at, uint64_t *out)
{
  *out = 0;
  for (unsigned s = 0; *at < n && s < 64; s += 7) {
    unsigned char b = p[(*at)++];
    *out |= (uint64_t)(b & 0x7f) << s;
    if (!(b & 0x80)) return true;
  }
  return false;
}
enum { MAX_FIELDS = 256 };
static unsigned fields_of(const unsigned char *p, size_t n, struct field *f)
{
  unsigned k = 0;
  for (size_t at = 0; at < n && k < MAX_FIELDS;) {
    uint64_t tag, v = 0;
    f[k].at = at;
    if (!varint(p, n, &at, &tag)) return 0;
    f[k].id = (unsigned)(tag >> 3);
    f[k].wire = tag & 7;
    if (f[k].wire == 0) { if (!varint(p, n, &at, &v)) return 0; f[k].head = at; }
    else if (f[k].wire == 2) {
      if (!varint(p, n, &at, &v) || v > n - at) return 0;
      f[k].head = at;
      at += v;
    } else if (f[k].wire == 1 || f[k].wire == 5) {
      f[k].head = at;
      at += f[k].wire == 1 ? 8 : 4;
      if (at > n) return 0;
    } else return 0;
    f[k++].end = at;
  }
  return k;
}
static int64_t odd_number(void)
{
  static const int64_t v[] = { 0, 1, -1, 2, 3, 4, 7, 16, 17, 28, 29, 64, 127, 1 << 20, INT32_MAX, INT32_MIN, (int64_t)1 << 40, (int64_t)1 << 62, INT64_MAX, INT64_MIN };
  return next() & 3 ? v[below(sizeof v / sizeof *v)] : (int64_t)below(32);
}
static const char *odd_name(void)
{
  static const char *const v[] = { "", "x", "y", "w", "Conv", "Reshape", "Slice", "Pad", "If", "Concat", "Split", "Squeeze", "Unsqueeze", "Tile", "Resize", "Gather", "MaxPool", "AveragePool", "Softmax",
    "ReduceSum", "Einsum", "ConvTranspose", "Range", "OneHot", "Expand", "ConstantOfShape", "Transpose", "Flatten", "Shape", "Cast", "BatchNormalization", "Gemm", "MatMul", "axes", "axis", "pads",
    "strides", "kernel_shape", "dilations", "group", "SAME_UPPER", "reflect", "linear", "starts", "c0", "a,b->" };
  return v[below(sizeof v / sizeof *v)];
}
static void mutate(const unsigned char *p, size_t n, unsigned depth, struct ir_buf *out);
static void copy_changed(const unsigned char *p, const struct field *f, unsigned depth, struct ir_buf *out)
{
  if (f->wire == 0) w_int(out, f->id, odd_number());
  else if (f->wire != 2) {
    ir_buf_add(out, p + f->at, f->head - f->at);
    for (size_t i = f->head; i < f->end; i++) { unsigned char b = (unsigned char)next(); ir_buf_add(out, &b, 1); }
  } else {
    struct field sub[1 + MAX_FIELDS];
    struct ir_buf b = { 0 };
    bool message = f->end > f->head && fields_of(p + f->head, f->end - f->head, sub) > 0;
    if (message && below(8)) mutate(p + f->head, f->end - f->head, depth + 1, &b);
    else if (below(2)) ir_buf_printf(&b, "%s", odd_name());
    else { ir_buf_add(&b, p + f->head, below(f->end - f->head + 1)); if (b.n && below(2)) b.s[below(b.n)] = (char)next(); }
    w_bytes(out, f->id, b.s ? b.s : "", b.n);
    ir_buf_deinit(&b);
  }
}
/* One or a few fields of the message change, the rest is copied. */
static void mutate(const unsigned char *p, size_t n, unsigned depth, struct ir_buf *out)
{
  struct field f[MAX_FIELDS];
  unsigned k = fields_of(p, n, f), at = (unsigned)below(k), how = (unsigned)below(depth > 40 ? 6 : 8);
  if (!k) { ir_buf_add(out, p, n); return; }
  for (unsigned i = 0; i < k; i++) {
    const unsigned char *q = p + f[i].at;
    size_t m = f[i].end - f[i].at;
    if (i != at) { ir_buf_add(out, q, m); continue; }
    switch (how) {
    case 0: break;                                                   /* dropped */
    case 1: ir_buf_add(out, q, m); ir_buf_add(out, q, m); break;      /* twice */
    case 2: { const struct field *g = &f[below(k)]; ir_buf_add(out, p + g->at, g->end - g->at); break; }   /* another one */
    case 3: ir_buf_add(out, q, below(m + 1)); break;                  /* cut */
    default: copy_changed(p, &f[i], depth, out);
    }
  }
  if (k == MAX_FIELDS) ir_buf_add(out, p + f[k - 1].end, n - f[k - 1].end);
}

/* ---- seeds ---- */
static struct ir_buf seed_conv(void)
{
  struct ir_buf g = { 0 }, n = w_node("Conv", "x w", "c");
  float w[2 * 3 * 3 * 3] = { 0 };
  w_attr_ints(&n, "pads", 4, (int64_t[]){ 1, 1, 1, 1 });
  w_attr_ints(&n, "strides", 2, (int64_t[]){ 2, 2 });
  w_attr_str(&n, "auto_pad", "NOTSET");
  w_attr_int(&n, "group", 1);
  w_msg(&g, 1, n);
  w_msg(&g, 1, w_node("Relu", "c", "r"));
  n = w_node("MaxPool", "r", "p");
  w_attr_ints(&n, "kernel_shape", 2, (int64_t[]){ 2, 2 });
  w_attr_int(&n, "ceil_mode", 1);
  w_msg(&g, 1, n);
  w_msg(&g, 1, w_node("GlobalAveragePool", "p", "a"));
  w_msg(&g, 1, w_node("Flatten", "a", "y"));
  w_msg(&g, 5, w_tensor("w", 1, 4, (int64_t[]){ 2, 3, 3, 3 }, w, sizeof w));
  w_msg(&g, 11, w_value("x", 1, 4, (int64_t[]){ -1, 3, 8, 8 }));
  w_msg(&g, 12, w_value("y", 1, 2, (int64_t[]){ -1, 2 }));
  return w_model(13, g);
}
static struct ir_buf seed_shapes(void)
{
  struct ir_buf g = { 0 }, n;
  const int64_t axes[] = { 0 }, ends[] = { 2 }, rep[] = { 1, 2, 1 };
  w_msg(&g, 1, w_node("Shape", "x", "s"));
  w_msg(&g, 1, w_node("Slice", "s zero two", "s2"));
  n = w_node("Concat", "s2 minus", "s3");
  w_attr_int(&n, "axis", 0);
  w_msg(&g, 1, n);
  w_msg(&g, 1, w_node("Reshape", "x s3", "r"));
  w_msg(&g, 1, w_node("Tile", "r rep", "t"));
  n = w_node("Transpose", "t", "u");
  w_attr_ints(&n, "perm", 3, (int64_t[]){ 2, 0, 1 });
  w_msg(&g, 1, n);
  n = w_node("Split", "u", "a b");
  w_attr_int(&n, "axis", -1);
  w_msg(&g, 1, n);
  w_msg(&g, 1, w_node("ReduceSum", "a zero", "q"));
  w_msg(&g, 1, w_node("Unsqueeze", "q zero", "q2"));
  w_msg(&g, 1, w_node("Pad", "b pads", "v"));
  w_msg(&g, 1, w_node("Gather", "v zero", "h"));
  w_msg(&g, 1, w_node("Expand", "h rep", "y"));
  w_msg(&g, 5, w_tensor("zero", 7, 1, (int64_t[]){ 1 }, axes, 8));
  w_msg(&g, 5, w_tensor("two", 7, 1, (int64_t[]){ 1 }, ends, 8));
  w_msg(&g, 5, w_tensor("minus", 7, 1, (int64_t[]){ 1 }, (int64_t[]){ -1 }, 8));
  w_msg(&g, 5, w_tensor("rep", 7, 1, (int64_t[]){ 3 }, rep, 24));
  w_msg(&g, 5, w_tensor("pads", 7, 1, (int64_t[]){ 6 }, (int64_t[]){ 0, 1, 0, 0, 0, 2 }, 48));
  w_msg(&g, 11, w_value("x", 1, 4, (int64_t[]){ -1, 4, -1, 6 }));
  w_msg(&g, 12, w_value("y", 1, 0, NULL));
  w_msg(&g, 12, w_value("q2", 1, 0, NULL));
  return w_model(13, g);
}
static struct ir_buf seed_nested(void)
{
  struct ir_buf g = { 0 }, then = { 0 }, other = { 0 }, n = w_node("If", "c", "y"), a = { 0 }, b = { 0 }, f = { 0 }, m, o = { 0 }, call = w_node("Twice", "y", "z");
  w_msg(&then, 1, w_node("Neg", "x", "t"));
  w_msg(&then, 12, w_value("t", 1, 0, NULL));
  w_msg(&other, 1, w_node("Abs", "x", "e"));
  w_msg(&other, 12, w_value("e", 1, 0, NULL));
  w_str(&a, 1, "then_branch"); w_msg(&a, 6, then); w_int(&a, 20, 5);
  w_str(&b, 1, "else_branch"); w_msg(&b, 6, other); w_int(&b, 20, 5);
  w_msg(&n, 5, a);
  w_msg(&n, 5, b);
  w_str(&call, 7, "own");
  w_attr_float(&call, "k", 2);
  w_msg(&g, 1, n);
  w_msg(&g, 1, call);
  w_msg(&g, 5, w_tensor("c", 9, 0, NULL, "\1", 1));
  w_msg(&g, 11, w_value("x", 1, 2, (int64_t[]){ -1, 3 }));
  w_msg(&g, 12, w_value("z", 1, 2, (int64_t[]){ -1, 3 }));
  m = w_model(18, g);
  w_str(&f, 1, "Twice");
  w_str(&f, 4, "v");
  w_str(&f, 5, "w");
  w_str(&f, 6, "k");
  struct ir_buf inner = w_node("LeakyRelu", "v", "u"), ref = { 0 };
  w_str(&ref, 1, "alpha"); w_int(&ref, 20, 1); w_str(&ref, 21, "k");
  w_msg(&inner, 5, ref);
  w_msg(&f, 7, inner);
  w_msg(&f, 7, w_node("Add", "u u", "w"));
  w_str(&f, 10, "own");
  w_int(&o, 2, 18);
  w_msg(&f, 9, o);
  w_msg(&m, 25, f);
  struct ir_buf own = { 0 };
  w_str(&own, 1, "own");
  w_int(&own, 2, 1);
  w_msg(&m, 8, own);
  return m;
}
static struct ir_buf seed_file(const char *path)
{
  struct ir_mapping map;
  struct ir_buf b = { 0 };
  if (ir_file_map(path, &map)) { fprintf(stderr, "fuzz_onnx: cannot read %s\n", path); exit(IR_EXIT_IO); }
  ir_buf_add(&b, map.p, map.n);
  ir_file_unmap(&map);
  return b;
}
static void one_run(const struct ir_buf *seed)
{
  struct ir_buf a = { 0 }, b = { 0 };
  ir_buf_add(&a, seed->s, seed->n);
  for (unsigned rounds = 1 + (unsigned)below(4); rounds--;) {
    if (below(8)) mutate((unsigned char *)a.s, a.n, 0, &b);
    else {
      ir_buf_add(&b, a.s, below(4) ? a.n : below(a.n + 1));
      if (b.n) b.s[below(b.n)] ^= (char)(1 << below(8));
    }
    ir_buf_deinit(&a);
    a = b;
    b = (struct ir_buf){ 0 };
    if (!a.s) ir_buf_add(&a, "", 0);
  }
  unsigned char *exact = malloc(a.n + !a.n);           /* no byte more, for the address sanitizer */
  memcpy(exact, a.s, a.n);
  alarm(30);                                           /* a hang ends the run */
  LLVMFuzzerTestOneInput(exact, a.n);
  free(exact);
  ir_buf_deinit(&a);
}
int main(int argc, char **argv)
{
  static struct ir_buf seeds[4096];
  seeds[0] = seed_conv();
  seeds[1] = seed_shapes();
  seeds[2] = seed_nested();
  unsigned n_seeds = 3;
  double seconds = 1e9;
  uint64_t runs = UINT64_MAX, done = 0, seed = 1, only = UINT64_MAX;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--seconds") && i + 1 < argc) seconds = atof(argv[++i]);
    else if (!strcmp(argv[i], "--runs") && i + 1 < argc) runs = strtoull(argv[++i], NULL, 10);
    else if (!strcmp(argv[i], "--seed") && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10);
    else if (!strcmp(argv[i], "--only") && i + 1 < argc) only = strtoull(argv[++i], NULL, 10);   /* the run that a crash named */
    else if (n_seeds < 4096) seeds[n_seeds++] = seed_file(argv[i]);
  }
#ifndef __SANITIZE_ADDRESS__
  setrlimit(RLIMIT_DATA, &(struct rlimit){ (rlim_t)2 << 30, (rlim_t)2 << 30 });   /* and so does much memory */
#endif
  struct timespec t0, t;
  clock_gettime(CLOCK_MONOTONIC, &t0);
  const char *log = getenv("FUZZ_LOG");                /* a file that holds the number of the run at hand */
  FILE *at = log ? fopen(log, "w") : NULL;
  for (; done < runs; done++) {
    if (only != UINT64_MAX) done = only;
    if (at) { rewind(at); fprintf(at, "%llu\n", (unsigned long long)done); fflush(at); }
    state = seed * 1000003 + done;
    one_run(&seeds[below(n_seeds)]);
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (only != UINT64_MAX || (double)(t.tv_sec - t0.tv_sec) + (double)(t.tv_nsec - t0.tv_nsec) * 1e-9 > seconds) { done++; break; }
  }
  if (at) fclose(at);
  printf("%llu runs without a crash\n", (unsigned long long)done);
  for (unsigned i = 0; i < n_seeds; i++) ir_buf_deinit(&seeds[i]);
  return 0;
}
#endif
