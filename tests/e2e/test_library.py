"""The library form: objects with generated headers in one C program, a header in C++, shared libraries opened at run time."""
from e2e import *

CC = os.environ.get("CC", "cc")
MAIN = r"""
#include "alexnet.h"
#include "resnet.h"
#include <stdio.h>
#include <stdlib.h>

static float *read_raw(const char *path, size_t n)
{
  float *x = malloc(n * sizeof *x);
  FILE *f = fopen(path, "rb");
  if (!f || fread(x, sizeof *x, n, f) != n) { perror(path); exit(3); }
  fclose(f);
  return x;
}
static int check(const char *name, int rc, const char *why, const float *y, const char *expected, size_t n)
{
  if (rc) { fprintf(stderr, "%s: %s\n", name, why); return 1; }
  float *e = read_raw(expected, n), top = 0, worst = 0;
  for (size_t i = 0; i < n; i++) {
    float d = y[i] < e[i] ? e[i] - y[i] : y[i] - e[i], a = e[i] < 0 ? -e[i] : e[i];
    if (!(d <= 1e30f)) d = 1e30f;
    if (d > worst) worst = d;
    if (a > top) top = a;
  }
  free(e);
  printf("%s: %g of the largest value\n", name, (double)(worst / top));
  return !(top > 0 && worst <= 1e-6f * top);
}
int main(void)
{
  enum { N = 2, ALEX = 224 * 224 * 3, RES = 64 * 64 * 3, CLASSES = 20 };
  struct alexnet *a = NULL;
  struct resnet *r = NULL, *r2 = NULL;
  struct massrt_signature s;
  int bad = 0, rc;
  if (alexnet_create(NULL, &a)) { fprintf(stderr, "%s\n", alexnet_error(NULL)); return 3; }
  if (resnet_create(NULL, &r) || resnet_create(NULL, &r2)) { fprintf(stderr, "%s\n", resnet_error(NULL)); return 3; }
  if (alexnet_input_signature(a, ALEXNET_INPUT_INPUT, &s) || s.rank != ALEXNET_INPUT_INPUT_RANK || s.elem != ALEXNET_INPUT_INPUT_ELEM || s.dim[1] != 3 || s.dim[0] >= 0) return 4;
  if (alexnet_input_signature(a, 1, &s) == 0) return 5;
  float *x = read_raw("alexnet.in.raw", N * ALEX), *z = read_raw("resnet.in.raw", N * RES), ya[N * CLASSES], yr[N * CLASSES], yr2[N * CLASSES];
  struct massrt_tensor in = { 0 }, out = { 0 };
  in.data = x; in.elem = MASSRT_F32; in.rank = 4; in.dim[0] = N; in.dim[1] = 3; in.dim[2] = in.dim[3] = 224; in.bytes = N * ALEX * sizeof *x;
  out.data = ya; out.bytes = sizeof ya;
  rc = alexnet_run(a, &in, &out);
  bad |= check("alexnet", rc, alexnet_error(a), ya, "alexnet.out.raw", N * CLASSES);
  if (out.rank != 2 || out.dim[0] != N || out.dim[1] != CLASSES) return 6;
  in.data = z; in.dim[2] = in.dim[3] = 64; in.bytes = N * RES * sizeof *z;
  out.data = yr; out.bytes = sizeof yr;
  rc = resnet_run(r, &in, &out);
  bad |= check("resnet", rc, resnet_error(r), yr, "resnet.out.raw", N * CLASSES);
  out.data = yr2;
  rc = resnet_run(r2, &in, &out);
  bad |= check("resnet, second instance", rc, resnet_error(r2), yr2, "resnet.out.raw", N * CLASSES);
  in.dim[1] = 4;                                        /* must be refused, with a reason */
  if (resnet_run(r, &in, &out) == 0 || !resnet_error(r) || !*resnet_error(r)) return 7;
  fprintf(stderr, "refused: %s\n", resnet_error(r));
  alexnet_destroy(a);
  resnet_destroy(r);
  resnet_destroy(r2);
  free(x);
  free(z);
  return bad;
}
"""
OPENED = r"""
#include "alexnet.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
  void *lib = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
  if (!lib) { fprintf(stderr, "%s\n", dlerror()); return 3; }
  int (*create)(const struct massrt_config *, struct alexnet **) = (int (*)(const struct massrt_config *, struct alexnet **))dlsym(lib, "alexnet_create");
  int (*run)(struct alexnet *, const struct massrt_tensor *, struct massrt_tensor *) = (int (*)(struct alexnet *, const struct massrt_tensor *, struct massrt_tensor *))dlsym(lib, "alexnet_run");
  void (*destroy)(struct alexnet *) = (void (*)(struct alexnet *))dlsym(lib, "alexnet_destroy");
  if (!create || !run || !destroy) { fprintf(stderr, "a function is missing\n"); return 4; }
  if (dlsym(lib, "massrt_create") || dlsym(lib, "massrt_run")) { fprintf(stderr, "the runtime shows\n"); return 5; }
  enum { N = 2 * 3 * 224 * 224 };
  static float x[N], y[40], e[40];
  FILE *f = fopen("alexnet.in.raw", "rb"), *g = fopen("alexnet.out.raw", "rb");
  if (!f || !g || fread(x, 4, N, f) != N || fread(e, 4, 40, g) != 40) return 6;
  struct alexnet *a = NULL;
  struct massrt_config c = { 0 };
  c.size = sizeof c;
  c.threads = 2;
  struct massrt_tensor in = { 0 }, out = { 0 };
  in.data = x; in.elem = MASSRT_F32; in.rank = 4; in.dim[0] = 2; in.dim[1] = 3; in.dim[2] = in.dim[3] = 224; in.bytes = sizeof x;
  out.data = y; out.bytes = sizeof y;
  if (create(&c, &a) || run(a, &in, &out)) return 7;
  for (int i = 0; i < 40; i++) if (y[i] - e[i] > 1e-4f || e[i] - y[i] > 1e-4f || e[i] != e[i]) { fprintf(stderr, "%d: %g, expected %g\n", i, (double)y[i], (double)e[i]); return 8; }
  destroy(a);
  dlclose(lib);
  fclose(f);
  fclose(g);
  return 0;
}
"""

PREPARE = r"""
#include "bert.h"
#include <stdio.h>
#include <time.h>
static double now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3; }
int main(void)
{
  enum { SHAPES = 31 };
  struct bert *b = NULL;
  struct massrt_tensor in[3] = { { 0 } }, out[2] = { { 0 } };
  double us[SHAPES];
  if (bert_create(NULL, &b)) return 3;
  for (int k = 0; k < SHAPES; k++) {
    for (int i = 0; i < 3; i++) {
      in[i].elem = MASSRT_I64; in[i].rank = 2; in[i].dim[0] = 1 + k % 4; in[i].dim[1] = 512 - 16 * k;
    }
    double t = now_us();
    if (bert_prepare(b, in, out)) { fprintf(stderr, "%s\n", bert_error(b)); return 4; }
    us[k] = now_us() - t;
    if (out[0].rank != 3 || out[0].dim[0] != in[0].dim[0] || out[0].dim[1] != in[0].dim[1]) return 5;
    for (int j = k; j > 0 && us[j] < us[j - 1]; j--) { double x = us[j]; us[j] = us[j - 1]; us[j - 1] = x; }
  }
  bert_destroy(b);
  printf("%.0f us for a new shape, %.0f at most\n", us[SHAPES / 2], us[SHAPES - 1]);
  return us[SHAPES / 2] > 1000;
}
"""


def npy_to_raw(npy, raw):
    with open(raw, "wb") as f:
        read_npy(npy)[1].tofile(f)


def prepared():
    """Objects, headers, inputs and what the executables make of them."""
    if not shutil.which(CC):
        raise Skip(f"no C compiler ({CC})")
    if os.path.exists("alexnet.o"):
        return
    for name, make, size in (("alexnet", small_alexnet, 224), ("resnet", small_resnet, 64)):
        model = make()
        massc(model, "-o", f"{name}.bin")
        write_npy(f"{name}.in.npy", (2, 3, size, size), ((i * 2654435761 % 1000003) / 500001.5 - 1 for i in range(2 * 3 * size * size)))
        run(f"./{name}.bin", "--input", f"{name}.in.npy", "--output", f"{name}.out.npy")
        for end in ("in", "out"):
            npy_to_raw(f"{name}.{end}.npy", f"{name}.{end}.raw")
    massc("-c", "resnet.onnx", "-o", "resnet.o")
    massc("-c", "alexnet.onnx", "-o", "alexnet.o")


@case("cc main.c alexnet.o resnet.o -lm: both models in one program")
def objects():
    prepared()
    open("main.c", "w").write(MAIN)
    run(CC, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "alexnet.o", "resnet.o", "-lm", "-lpthread", "-o", "both")
    d = run("./both")
    assert "refused: " in d.err and "4" in d.err, d.err
    return d.out.replace("\n", "; ")


@case("linked with -no-pie, linked with -static")
def link_flags():
    prepared()
    open("main.c", "w").write(MAIN)
    run(CC, "main.c", "alexnet.o", "resnet.o", "-lm", "-o", "both")
    run("./both")
    run(CC, "-no-pie", "main.c", "alexnet.o", "resnet.o", "-lm", "-o", "both")
    run("./both")
    run(CC, "-static", "main.c", "alexnet.o", "resnet.o", "-lm", "-o", "both")
    run("./both")


@case("an object exports its prefix and nothing else")
def exports():
    prepared()
    nm = tool("nm", "binutils")
    for name in ("alexnet", "resnet"):
        shown = {line.split()[-1] for line in run(nm, "-g", "--defined-only", f"{name}.o").out.splitlines() if line.strip()}
        assert shown, "nothing is exported"
        assert all(s.startswith(name + "_") for s in shown), shown
        for f in ("create", "run", "destroy", "error", "prepare", "input_signature", "output_signature"):
            assert f"{name}_{f}" in shown, f"{name}_{f} is missing"


@case("headers compile alone, as C and as C++, together and twice")
def headers():
    prepared()
    open("h.c", "w").write('#include "alexnet.h"\n#include "resnet.h"\n#include "alexnet.h"\nint main(void) { return ALEXNET_INPUT_INPUT_DIM1 - 3 + RESNET_N_OUTPUTS - 1; }\n')
    run(CC, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "h.c")
    cxx = shutil.which(os.environ.get("CXX", "c++"))
    if not cxx:
        raise Skip("no C++ compiler (Debian package g++)")
    shutil.copy("h.c", "h.cc")
    run(cxx, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "h.cc")


@case("--name and --header")
def names():
    prepared()
    massc("-c", "alexnet.onnx", "--name", "eyes", "--header", "look.h", "-o", "other.o")
    assert "eyes_create" in open("look.h").read()
    assert "eyes_create" in run(tool("nm", "binutils"), "-g", "--defined-only", "other.o").out
    assert not os.path.exists("other.h")
    massc("-c", "alexnet.onnx", "--name", "2eyes", "-o", "no.o", status=1)
    assert not os.path.exists("no.o")


@case("BERT of 12 layers: a shape that is new is prepared within a millisecond")
def new_shapes():
    """Symbols, sizes, memory plan and arguments: everything between known shapes and the first launch. The width does not count, so it is small."""
    if not shutil.which(CC):
        raise Skip(f"no C compiler ({CC})")
    mkmodel("bert-base", "bert.onnx", "width=128", "heads=2", "vocab=100")
    massc("-c", "bert.onnx", "-o", "bert.o")
    open("prepare.c", "w").write(PREPARE)
    run(CC, "-O2", "prepare.c", "bert.o", "-lm", "-lpthread", "-o", "prepare")
    return run("./prepare").out.strip()


@case("-shared: opened with dlopen, hides its runtime")
def shared():
    prepared()
    massc("-shared", "alexnet.onnx", "-o", "libalex.so", "--name", "alexnet", "--header", "alexnet.h")
    open("opened.c", "w").write(OPENED)
    run(CC, "-Wall", "-Wextra", "-Werror", "opened.c", "-ldl", "-o", "opened")
    run("./opened", "./libalex.so")


main()
