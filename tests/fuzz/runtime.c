/* What an executable reads at run time: tensor files, and the words of its command line (with the sample program of tests/abi_sample.c). */
#include "runtime/tensor_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/onnx/wire_make.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int massrt_sample_main(int argc, char **argv);      /* runtime/main.c's main, under this name */

/* ---- npy ---- */
static const char *const headers[] = {
  "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "{'descr': '>f8', 'fortran_order': True, 'shape': (4, 1, 2), }", "{'descr': '|b1', 'fortran_order': False, 'shape': (), }",
  "{'descr': '<i8', 'fortran_order': False, 'shape': (7,), }", "{'shape': (0, 5), 'descr': '<V2', 'fortran_order': True}", "{'descr': '<f2', 'fortran_order': False, 'shape': (3L, 2L), }",
  "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "{'descr': '<U7', 'fortran_order': False, 'shape': (2,), }",
};
/* Version, length, header, data. */
static void put_npy(struct ir_buf *b, unsigned version, const char *head, size_t n, size_t data)
{
  ir_buf_add(b, "\x93NUMPY", 6);
  ir_buf_printf(b, "%c%c", (int)version, 0);
  if (b->n < 8) ir_buf_add(b, "\0\0", 8 - b->n);
  for (unsigned i = 0; i < (version == 1 ? 2 : 4); i++) { char c = (char)(n >> 8 * i); ir_buf_add(b, &c, 1); }
  ir_buf_add(b, head, n);
  for (size_t i = 0; i < data; i++) { char c = (char)i; ir_buf_add(b, &c, 1); }
}
static void npy_seeds(struct fuzz *f)
{
  for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++) fuzz_seed(f, headers[i], strlen(headers[i]));
}
/* The corpus holds headers; what is run is a file, whose first byte says how it is read: by name or through a pipe, and the type that is expected. */
static void npy_make(struct fuzz *f, struct ir_buf *out)
{
  struct ir_buf head = { 0 };
  char how = (char)fuzz_next(f);
  if (fuzz_chance(f, 2)) { const struct ir_buf *b = fuzz_any(f); ir_buf_add(&head, b->s, b->n); }
  else fuzz_text(f, &head);
  if (fuzz_chance(f, 4)) ir_buf_add(&head, "                                                                \n", 1 + fuzz_below(f, 64));
  ir_buf_add(out, &how, 1);
  put_npy(out, fuzz_chance(f, 40) ? (unsigned)fuzz_below(f, 256) : 1 + (unsigned)fuzz_below(f, 3), head.s ? head.s : "", head.n, fuzz_chance(f, 2) ? (size_t)8 * fuzz_below(f, 9) : fuzz_below(f, 100));
  ir_buf_deinit(&head);
  if (fuzz_chance(f, 8)) fuzz_noise(f, out);
}
/* A file of these bytes, or a pipe, and its path. */
static int file_of(const void *p, size_t n, bool pipe_it, char path[64])
{
  int fd[2] = { -1, -1 };
  if (pipe_it ? pipe(fd) : (fd[0] = memfd_create("fuzz", 0)) < 0) ir_bug("fuzz", "no file descriptor");
  if (write(pipe_it ? fd[1] : fd[0], p, n) != (ssize_t)n) ir_bug("fuzz", "cannot write");
  if (pipe_it) close(fd[1]);
  snprintf(path, 64, "/proc/self/fd/%d", fd[0]);
  return fd[0];
}
/* What was read has the size that its shape says, and every byte of it. True if rc is 0. */
static bool check(int rc, const char *err, struct massrt_tensor *t)
{
  uint64_t elems, bytes, sum = 0;
  if (rc && !*err) ir_bug("fuzz", "refused without a reason");
  if (rc) return false;
  if (!massrt_shape_bytes(t->elem, t->rank, t->dim, &elems, &bytes) || bytes != t->bytes) ir_bug("fuzz", "shape and size disagree");
  for (uint64_t i = 0; i < bytes; i++) sum += ((const uint8_t *)t->data)[i];
  __asm__ volatile("" : : "r"(sum));     /* the bytes are wanted, not their sum */
  free(t->data);
  return true;
}
static bool run_npy(const unsigned char *p, size_t n)
{
  struct massrt_tensor t = { 0 };
  char path[64], err[256] = "";
  if (!n) return false;
  int fd = file_of(p + 1, n - 1, p[0] & 1 && n < 60000, path);
  bool ok = check(massrt_npy_read(path, (p[0] >> 1) % MASSRT_N_ELEMS, &t, err, sizeof err), err, &t);
  close(fd);
  return ok;
}

/* ---- TensorProto and npz: from what the writers make ---- */
static struct massrt_tensor sample(uint32_t elem, uint32_t rank, void *data)
{
  struct massrt_tensor t = { .data = data, .elem = elem, .rank = rank };
  uint64_t elems;
  for (uint32_t i = 0; i < rank; i++) t.dim[i] = i + 1;
  massrt_shape_bytes(elem, rank, t.dim, &elems, &t.bytes);
  return t;
}
static void seed_file(struct fuzz *f, int fd)
{
  static char text[65536];
  ssize_t n = pread(fd, text, sizeof text, 0);
  if (n <= 0) ir_bug("fuzz", "a writer wrote nothing");
  fuzz_seed(f, text, (size_t)n);
  close(fd);
}
static void pb_seeds(struct fuzz *f)
{
  static uint64_t data[64] = { 1, 2, 3 };
  char path[64], err[256] = "";
  for (uint32_t e = 0; e < MASSRT_N_ELEMS; e++) {
    struct massrt_tensor t = sample(e, e % 4, data);
    int fd = file_of("", 0, false, path);
    if (massrt_pb_write(path, "x", &t, err, sizeof err)) ir_bug("fuzz", "%s", err);
    seed_file(f, fd);
    struct ir_buf b = { 0 };             /* the same in a typed field: three numbers, packed and not */
    w_int(&b, 1, 3);
    w_int(&b, 2, 1 + e);
    if (e & 1) w_bytes(&b, 4 + e % 8, data, 24);
    else for (unsigned i = 0; i < 3; i++) w_int(&b, 5 + e % 7, i);
    fuzz_seed(f, b.s, b.n);
    ir_buf_deinit(&b);
  }
}
static void pb_make(struct fuzz *f, struct ir_buf *out) { fuzz_wire(f, fuzz_any(f), out); }
static bool run_pb(const unsigned char *p, size_t n)
{
  struct massrt_tensor t = { 0 };
  char path[64], err[256] = "";
  int fd = file_of(p, n, n % 2 && n < 60000, path);
  bool ok = check(massrt_pb_read(path, &t, err, sizeof err), err, &t);
  close(fd);
  return ok;
}
static void npz_seeds(struct fuzz *f)
{
  static uint64_t data[64] = { 4, 5, 6 };
  static const char *const names[] = { "x", "arr_0", "a long name/with a slash" };
  char path[64], err[256] = "";
  for (uint32_t n = 0; n <= 3; n++) {
    struct massrt_tensor t[3] = { sample(MASSRT_F32, 2, data), sample(MASSRT_BOOL, 0, data), sample(MASSRT_I64, 3, data) };
    int fd = file_of("", 0, false, path);
    if (massrt_npz_write(path, n, names, t, err, sizeof err)) ir_bug("fuzz", "%s", err);
    seed_file(f, fd);
  }
}
/* Numbers of two, four and eight bytes change anywhere. */
static void npz_make(struct fuzz *f, struct ir_buf *out)
{
  const struct ir_buf *b = fuzz_any(f);
  ir_buf_add(out, b->s, b->n);
  for (size_t k = 1 + fuzz_below(f, 4); k--;) {
    size_t width = (size_t)2 << fuzz_below(f, 3);
    if (out->n < width) continue;
    size_t at = fuzz_chance(f, 2) ? fuzz_below(f, out->n - width + 1) : out->n - width - fuzz_below(f, out->n - width < 200 ? out->n - width + 1 : 200);
    int64_t v = fuzz_chance(f, 3) ? fuzz_number(f) : (int64_t)fuzz_below(f, out->n + 2);
    memcpy(out->s + at, &v, width);
  }
  if (fuzz_chance(f, 4)) fuzz_noise(f, out);
}
static bool run_npz(const unsigned char *p, size_t n)
{
  struct massrt_npz z = { 0 };
  char path[64], err[256] = "";
  int fd = file_of(p, n, false, path);
  bool ok = false;
  if (!massrt_npz_open(path, &z, err, sizeof err)) {
    for (uint32_t i = 0; i < z.n && i < 64; i++) {
      struct massrt_tensor t = { 0 };
      ok |= check(massrt_npz_read(&z, &z.entry[i], MASSRT_F32, &t, err, sizeof err), err, &t);
    }
    massrt_npz_close(&z);
  } else if (!*err) ir_bug("fuzz", "refused without a reason");
  close(fd);
  return ok;
}

/* ---- the command line: words between newlines. Those that write files, run for long or start many threads come only with --info, which does nothing ---- */
static const char *const lines[] = {
  "--input\nx[2]=1\n--input\nm=5\n--top\n2", "--input\nx[2,4]=random:7\n--input=m=zeros\n--rtol\n1e-3\n--atol=0.5", "--input\nx=absent.npy\n--input\nm=1", "--info\n--threads\n4\n--bench=0.5",
  "--info\n--json", "--help", "--version", "--input\nm[4]=-1e9\n--input\nx[2]=nan\n--expect\ny=absent.npy", "--input\nx[]=1\n--input\n[1]=5", "--input\nx[13]=0x1p4\n--input\n=5",
  "--info\n--profile\np.json\n--device\ncpu", "--input\nrandom:18446744073709551615\n--input\n-\n--top=0",
};
static void cli_seeds(struct fuzz *f)
{
  for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) fuzz_seed(f, lines[i], strlen(lines[i]));
}
static bool writes(const char *s) { return strstr(s, "--output") || strstr(s, "--profile") || strstr(s, "--bench") || strstr(s, "--threads"); }
static bool run_cli(const unsigned char *p, size_t n)
{
  static int quiet = -1;
  enum { MAX_WORDS = 64 };
  char *argv[MAX_WORDS + 3], *text = malloc(n + 1), *s = text;
  int argc = 2;
  bool info = false;
  argv[0] = "sample";
  if (quiet < 0) {                       /* both outputs and the input go nowhere; what a finding says is still on the parent's */
    quiet = open("/dev/null", O_RDWR);
    dup2(quiet, 0);
    dup2(quiet, 1);
  }
  memcpy(text, p, n);
  text[n] = 0;
  for (char *w; argc < MAX_WORDS && (w = strsep(&s, "\n"));) { argv[argc++] = w; info |= writes(w); }
  argv[1] = info ? "--info" : "--top=1";   /* in front: behind, an option that lacks its value would take it */
  argv[argc] = NULL;
  int err = dup(2);
  dup2(quiet, 2);
  int rc = massrt_sample_main(argc, argv);
  dup2(err, 2);
  close(err);
  free(text);
  return rc == 0;
}

static const struct fuzz_target targets[] = {
  { "npy", "NumPy files", npy_seeds, npy_make, run_npy },
  { "npz", "zip archives of them", npz_seeds, npz_make, run_npz },
  { "pb", "TensorProto files", pb_seeds, pb_make, run_pb },
  { "cli", "words of an executable's command line", cli_seeds, fuzz_text, run_cli },
  { 0 }
};
int main(int argc, char **argv) { return fuzz_main(argc, argv, targets); }
