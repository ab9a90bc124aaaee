/* executables, objects and libraries: what runs, what is exported, what fails without a trace
 * arguments: relocatable objects of tests/abi_sample.c: with prefix alpha and beta (3 MiB of weights outside), and one with 3 GiB */
#include "compiler/link.h"
#include "runtime/massrt.h"
#include "tests/unit/tap.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };
static const uint64_t SMALL = 3 * MIB, BIG = 3072ull * MIB;
static const char *objects[3];
static char dir[64];
enum { ALPHA, BETA, HUGE_WEIGHTS };

/* ---- helpers ---- */
static bool put(int fd, int64_t at, const float *v, size_t n) { return pwrite(fd, v, n * sizeof *v, at) == (ssize_t)(n * sizeof *v); }
/* w, b and, at the very end, bias: as abi_sample.c's own; a hole between */
static bool write_weights(void *arg, int fd, int64_t at)
{
  uint64_t bytes = *(uint64_t *)arg;
  const float w[] = { 1, -2, 3, 0.5f }, b[] = { 0.25f, 0.5f, -1, 4 }, bias[] = { 10 };
  return put(fd, at, w, 4) && put(fd, at + 64, b, 4) && put(fd, at + (int64_t)bytes - 4, bias, 1);
}
static bool write_fails(void *arg, int fd, int64_t at) { (void)fd; (void)at; return ir_error(arg, IR_M0002, NULL, NULL, "no weights"); }
static bool write_is_killed(void *arg, int fd, int64_t at) { (void)arg; (void)fd; (void)at; raise(SIGTERM); return true; }
static struct link_blob load(int which)
{
  struct ir_mapping m;
  ck_assert_int_eq(ir_file_map(objects[which], &m), 0);
  return (struct link_blob){ m.p, m.n, "sample" };
}
static bool make(struct ir_diags *d, enum link_kind kind, int which, const char *out)
{
  static struct link_blob blob;
  static uint64_t bytes;
  blob = load(which);
  bytes = which == HUGE_WEIGHTS ? BIG : SMALL;
  return link_output(d, &(struct link_job){ .kind = kind, .out = out, .objects = &blob, .n_objects = 1, .weights_symbol = "massrt_weights", .weights_bytes = bytes,
                                            .write_weights = write_weights, .arg = &bytes, .prefix = which == BETA ? "beta" : "alpha" });
}
static const char *in_dir(const char *name)
{
  static char path[4][128];
  static int k;
  snprintf(path[k = (k + 1) % 4], sizeof *path, "%s/%s", dir, name);
  return path[k];
}
static int entries(const char *path)
{
  int n = 0;
  DIR *d = opendir(path);
  for (struct dirent *e; (e = readdir(d));) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
  closedir(d);
  return n;
}
static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *fmt, ...)
{
  char cmd[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(cmd, sizeof cmd, fmt, ap);
  va_end(ap);
  int st = system(cmd);
  return WIFEXITED(st) ? WEXITSTATUS(st) : 255;
}
static void setup(void)
{
  strcpy(dir, "link-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(dir));
}
static void teardown(void) { ck_assert_int_eq(shell("rm -rf %s", dir), 0); }
/* x = 1, n = 2, m = 5: rows of h are relu(1.25, -1.5, 2, 4.5); y = h + 10, y[0] += 5 */
static const float expected[8] = { 16.25f, 10, 12, 14.5f, 11.25f, 10, 12, 14.5f };
static void check_raw(const char *path)
{
  struct ir_mapping m;
  ck_assert_int_eq(ir_file_map(path, &m), 0);
  ck_assert_uint_eq(m.n, sizeof expected);
  ck_assert_int_eq(memcmp(m.p, expected, sizeof expected), 0);
  ir_file_unmap(&m);
}

/* ---- what runs ---- */
START_TEST(executable_runs)
{
  struct ir_diags d = { .out = stderr };
  struct stat st;
  ck_assert(make(&d, LINK_EXE, ALPHA, in_dir("m.bin")));
  ck_assert_int_eq(entries(dir), 1);
  ck_assert_int_eq(stat(in_dir("m.bin"), &st), 0);
  ck_assert_int_eq(st.st_mode & 0777, 0777 & ~umask(022));
  ck_assert_uint_lt((uint64_t)st.st_size, SMALL + 2 * MIB);
  ck_assert_int_eq(shell("%s --input 'x[2]=1' --input m=5 --output y=%s", in_dir("m.bin"), in_dir("y.raw")), 0);
  check_raw(in_dir("y.raw"));
}
END_TEST
START_TEST(same_bytes_again)
{
  struct ir_diags d = { .out = stderr };
  ck_assert(make(&d, LINK_EXE, ALPHA, in_dir("a.bin")));
  ck_assert_int_eq(shell("mkdir %s", in_dir("other")), 0);
  ck_assert_int_eq(setenv("LD_RUN_PATH", "/somewhere", 1), 0);   /* ld would write it into the program */
  ck_assert(make(&d, LINK_EXE, ALPHA, in_dir("other/b")));
  ck_assert_int_eq(shell("cmp %s %s", in_dir("a.bin"), in_dir("other/b")), 0);
  ck_assert(make(&d, LINK_OBJECT, ALPHA, in_dir("a.o")));
  ck_assert(make(&d, LINK_OBJECT, ALPHA, in_dir("other/b.o")));
  ck_assert_int_eq(shell("cmp %s %s", in_dir("a.o"), in_dir("other/b.o")), 0);
}
END_TEST
START_TEST(strip_keeps_the_weights)
{
  struct ir_diags d = { .out = stderr };
  ck_assert(make(&d, LINK_EXE, ALPHA, in_dir("m.bin")));
  ck_assert_int_eq(shell("strip %s", in_dir("m.bin")), 0);
  ck_assert_int_eq(shell("%s --input 'x[2]=1' --input m=5 --output y=%s", in_dir("m.bin"), in_dir("y.raw")), 0);
  check_raw(in_dir("y.raw"));
}
END_TEST
START_TEST(three_gigabytes_of_weights)
{
  struct ir_diags d = { .out = stderr };
  struct rusage ru;
  ck_assert(make(&d, LINK_EXE, HUGE_WEIGHTS, in_dir("m.bin")));
  getrusage(RUSAGE_CHILDREN, &ru);
  ck_assert_int_lt(ru.ru_maxrss, 64 << 10);                   /* KiB of ld */
  ck_assert_int_eq(shell("%s --input 'x[2]=1' --input m=5 --output y=%s", in_dir("m.bin"), in_dir("y.raw")), 0);
  check_raw(in_dir("y.raw"));
}
END_TEST
START_TEST(shared_library_exports_the_prefix_only)
{
  struct ir_diags d = { .out = stderr };
  char path[128];
  ck_assert(make(&d, LINK_SHARED, ALPHA, in_dir("m.so")));
  snprintf(path, sizeof path, "./%s", in_dir("m.so"));
  void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  ck_assert_msg(h != NULL, "%s", dlerror());
  int (*create)(const struct massrt_config *, struct massrt_exec **) = (int (*)(const struct massrt_config *, struct massrt_exec **))dlsym(h, "alpha_create");
  int (*run)(struct massrt_exec *, const struct massrt_tensor *, struct massrt_tensor *) =
    (int (*)(struct massrt_exec *, const struct massrt_tensor *, struct massrt_tensor *))dlsym(h, "alpha_run");
  void (*destroy)(struct massrt_exec *) = (void (*)(struct massrt_exec *))dlsym(h, "alpha_destroy");
  ck_assert(create && run && destroy && !dlsym(h, "massrt_create") && !dlsym(h, "massrt_program"));
  float x[8], m[4], y[8];
  int64_t z[1];
  for (int i = 0; i < 8; i++) x[i] = 1;
  for (int i = 0; i < 4; i++) m[i] = 5;
  struct massrt_tensor in[] = { { x, sizeof x, MASSRT_F32, 2, { 2, 4 } }, { m, sizeof m, MASSRT_F32, 1, { 4 } } };
  struct massrt_tensor out[] = { { y, sizeof y }, { z, sizeof z } };
  struct massrt_exec *e;
  ck_assert_int_eq(create(NULL, &e), 0);
  ck_assert_int_eq(run(e, in, out), 0);
  ck_assert_int_eq(memcmp(y, expected, sizeof y), 0);
  ck_assert_int_eq(z[0], 8);
  destroy(e);
  ck_assert_int_eq(shell("nm -D --defined-only %s | grep -v ' alpha_'", in_dir("m.so")), 1);
}
END_TEST
static const char two_models[] =
  "#include \"runtime/massrt.h\"\n#include <stdio.h>\n"
  "#define MODEL(p) int p##_create(const struct massrt_config *, struct massrt_exec **); \\\n"
  " int p##_run(struct massrt_exec *, const struct massrt_tensor *, struct massrt_tensor *); void p##_destroy(struct massrt_exec *);\n"
  "MODEL(alpha) MODEL(beta)\n"
  "int main(void) {\n"
  "  float x[4] = { 1, 1, 1, 1 }, m[2] = { 5, 5 }, y[2][4]; long z[2];\n"
  "  struct massrt_tensor in[] = { { x, sizeof x, MASSRT_F32, 2, { 1, 4 } }, { m, sizeof m, MASSRT_F32, 1, { 2 } } };\n"
  "  struct massrt_tensor a[] = { { y[0], 16 }, { &z[0], 8 } }, b[] = { { y[1], 16 }, { &z[1], 8 } };\n"
  "  struct massrt_exec *p, *q;\n"
  "  if (alpha_create(0, &p) || beta_create(0, &q) || alpha_run(p, in, a) || beta_run(q, in, b)) return 2;\n"
  "  alpha_destroy(p); beta_destroy(q);\n"
  "  for (int i = 0; i < 4; i++) if ((y[0][i] - 10 - 5 * !i) * 2 != y[1][i] - 10 - 5 * !i) return 3;\n"
  "  printf(\"%g %g\\n\", y[0][3], y[1][3]);\n"
  "  return y[0][3] != 14.5f || y[1][3] != 19;\n}\n";
START_TEST(two_models_in_one_program)
{
  struct ir_diags d = { .out = stderr };
  ck_assert(make(&d, LINK_OBJECT, ALPHA, in_dir("alpha.o")));
  ck_assert(make(&d, LINK_OBJECT, BETA, in_dir("beta.o")));
  ck_assert(link_write_file(&d, in_dir("main.c"), two_models, sizeof two_models - 1, 0666));
  ck_assert_int_eq(shell("nm --defined-only -g %s | grep -v ' alpha_'", in_dir("alpha.o")), 1);
  ck_assert_int_eq(shell("cc -I %s %s %s %s -o %s -lm", SOURCE_ROOT, in_dir("main.c"), in_dir("alpha.o"), in_dir("beta.o"), in_dir("prog")), 0);
  ck_assert_int_eq(shell("./%s >%s", in_dir("prog"), in_dir("text")), 0);
  ck_assert_int_eq(shell("readelf -W -l %s | grep -q 'GNU_STACK.* RW '", in_dir("prog")), 0);
}
END_TEST
START_TEST(no_weights)
{
  struct ir_diags d = { .out = stderr };
  struct link_blob blob = load(ALPHA);
  ck_assert(link_output(&d, &(struct link_job){ LINK_EXE, in_dir("m.bin"), &blob, 1, "massrt_weights", 0 }));
  ck_assert_int_eq(shell("%s --info >%s", in_dir("m.bin"), in_dir("text")), 0);
}
END_TEST
START_TEST(empty_chroot_with_libc_and_libm)
{
  struct ir_diags d = { .out = stderr };
  ck_assert(make(&d, LINK_EXE, ALPHA, in_dir("m.bin")));
  ck_assert_int_eq(shell("cd %s && mkdir -p r/lib64 r/lib/x86_64-linux-gnu && cp m.bin r && cp -L /lib64/ld-linux-x86-64.so.2 r/lib64 &&"
                         " cp -L /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libm.so.6 r/lib/x86_64-linux-gnu", dir), 0);
  pid_t pid = fork();
  if (!pid) {
    if (chroot(in_dir("r")) || chdir("/")) _exit(99);
    execl("/m.bin", "m.bin", "--input", "x[2]=1", "--input", "m=5", "--output", "y=y.raw", (char *)NULL);
    _exit(98);
  }
  int st;
  waitpid(pid, &st, 0);
  ck_assert(WIFEXITED(st));
  ck_assert_int_eq(WEXITSTATUS(st), 0);
  check_raw(in_dir("r/y.raw"));
}
END_TEST

/* ---- what fails ---- */
static void fails(struct ir_diags *d, const char *out, enum ir_msg code, int status, const char *text)
{
  ck_assert(!make(d, LINK_EXE, ALPHA, out));
  ck_assert_uint_eq(d->errors, 1);
  ck_assert_int_eq(d->status, status);
  ck_assert_msg(strstr(d->first.s, ir_msg_name(code)) && strstr(d->first.s, text), "%s", d->first.s);
  ir_buf_deinit(&d->first);
}
START_TEST(bad_places)
{
  fails(&(struct ir_diags){ 0 }, dir, IR_M0002, IR_EXIT_IO, "Is a directory");
  fails(&(struct ir_diags){ 0 }, "-", IR_M0003, IR_EXIT_MODEL, "standard output");
  fails(&(struct ir_diags){ 0 }, "", IR_M0002, IR_EXIT_IO, "empty");
  fails(&(struct ir_diags){ 0 }, "/dev/null", IR_M0002, IR_EXIT_IO, "not a regular file");
  fails(&(struct ir_diags){ 0 }, in_dir("absent/m.bin"), IR_M0002, IR_EXIT_IO, "No such file");
  fails(&(struct ir_diags){ 0 }, "/proc/m.bin", IR_M0002, IR_EXIT_IO, "/proc/m.bin");
  ck_assert_int_eq(entries(dir), 0);
}
END_TEST
START_TEST(failing_weights_keep_the_old_file)
{
  struct ir_diags d = { 0 };
  struct link_blob blob = load(ALPHA);
  ck_assert(link_write_file(&d, in_dir("m.bin"), "old", 3, 0666));
  ck_assert(!link_output(&d, &(struct link_job){ LINK_EXE, in_dir("m.bin"), &blob, 1, "massrt_weights", SMALL, write_fails, &d }));
  ck_assert_str_eq(strrchr(d.first.s, ':') + 2, "no weights");
  ck_assert_int_eq(entries(dir), 1);
  ck_assert_int_eq(shell("test $(cat %s) = old", in_dir("m.bin")), 0);
  ir_buf_deinit(&d.first);
}
END_TEST
START_TEST(damaged_object_shows_what_ld_said)
{
  struct ir_diags d = { 0 };
  struct link_blob blob = { "not an object", 13, "bad" };
  ck_assert(!link_output(&d, &(struct link_job){ LINK_EXE, in_dir("m.bin"), &blob, 1, "massrt_weights", 0 }));
  ck_assert_msg(strstr(d.first.s, "failed with status 1") && strstr(d.first.s, "0.o"), "%s", d.first.s);
  ck_assert_int_eq(entries(dir), 0);
  ir_buf_deinit(&d.first);
}
END_TEST
START_TEST(tools_absent)
{
  ck_assert_int_eq(setenv("PATH", "/nonexistent", 1), 0);
  fails(&(struct ir_diags){ 0 }, in_dir("m.bin"), IR_M0402, IR_EXIT_MODEL, "binutils");
  ck_assert_int_eq(entries(dir), 0);
  ck_assert_int_eq(setenv("PATH", "/usr/bin:/bin", 1), 0);
}
END_TEST
START_TEST(a_signal_leaves_nothing)
{
  pid_t pid = fork();
  if (!pid) {
    struct ir_diags d = { 0 };
    struct link_blob blob = load(ALPHA);
    link_output(&d, &(struct link_job){ LINK_EXE, in_dir("m.bin"), &blob, 1, "massrt_weights", SMALL, write_is_killed, &d });
    _exit(0);
  }
  int st;
  waitpid(pid, &st, 0);
  ck_assert(WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM);
  ck_assert_int_eq(entries(dir), 0);
}
END_TEST
static bool write_all(void *arg, int fd, int64_t at)
{
  static const char chunk[1 << 16];
  for (uint64_t i = 0; i < SMALL; i += sizeof chunk)
    if (pwrite(fd, chunk, sizeof chunk, at + (int64_t)i) != sizeof chunk && pwrite(fd, chunk, 1, at + (int64_t)(i + sizeof chunk - 1)) != 1)   /* a short write tells why at the next */
      return ir_error(arg, IR_M0002, NULL, NULL, "%s", strerror(errno));
  return true;
}
/* 2 MiB: the weights do not fit; 200 KiB: what ld writes does not; 64 KiB: the temporary files do not */
START_TEST(disk_full)
{
  static const char *const sizes[] = { "size=2m", "size=200k", "size=64k" };
  struct ir_diags d = { 0 };
  struct link_blob blob = load(ALPHA);
  ck_assert_int_eq(mount("none", dir, "tmpfs", 0, sizes[_i]), 0);
  bool ok = link_output(&d, &(struct link_job){ LINK_EXE, in_dir("m.bin"), &blob, 1, "massrt_weights", SMALL, write_all, &d });
  int left = entries(dir);
  umount(dir);
  ck_assert(!ok);
  ck_assert_int_eq(left, 0);
  ck_assert_int_eq(d.status, IR_EXIT_IO);
  ck_assert_msg(strstr(d.first.s, "No space left on device") != NULL, "%s", d.first.s);
  ir_buf_deinit(&d.first);
}
END_TEST
START_TEST(files_whole_or_not_at_all)
{
  struct ir_diags d = { 0 };
  struct stat st;
  ck_assert(link_write_file(&d, in_dir("t"), "text", 4, 0666));
  ck_assert(link_write_file(&d, in_dir("t"), "more text", 9, 0666));
  ck_assert_int_eq(stat(in_dir("t"), &st), 0);
  ck_assert_int_eq(st.st_size, 9);
  ck_assert_int_eq(symlink("t", in_dir("link")), 0);
  ck_assert(link_write_file(&d, in_dir("link"), "x", 1, 0666));
  ck_assert_int_eq(stat(in_dir("t"), &st), 0);
  ck_assert_int_eq(st.st_size, 1);
  ck_assert(link_write_file(&d, "/dev/null", "x", 1, 0666));
  ck_assert_uint_eq(d.errors, 0);
  ck_assert(!link_write_file(&d, "/dev/full", "x", 1, 0666));
  ck_assert(!link_write_file(&d, dir, "x", 1, 0666));
  ck_assert_int_eq(entries(dir), 2);
  ir_buf_deinit(&d.first);
}
END_TEST
int main(int argc, char **argv)
{
  if (argc < 4) return 2;
  for (int i = 0; i < 3; i++) objects[i] = argv[i + 1];
  Suite *s = suite_create("link");
  TCase *t = tcase_create("link");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, executable_runs);
  tcase_add_test(t, same_bytes_again);
  tcase_add_test(t, strip_keeps_the_weights);
  tcase_add_test(t, three_gigabytes_of_weights);
  tcase_add_test(t, shared_library_exports_the_prefix_only);
  tcase_add_test(t, two_models_in_one_program);
  tcase_add_test(t, no_weights);
  tcase_add_test(t, bad_places);
  tcase_add_test(t, failing_weights_keep_the_old_file);
  tcase_add_test(t, damaged_object_shows_what_ld_said);
  tcase_add_test(t, tools_absent);
  tcase_add_test(t, a_signal_leaves_nothing);
  if (geteuid()) fprintf(stderr, "skipped: empty_chroot_with_libc_and_libm, disk_full (chroot and mount are root's)\n");
  else {
    tcase_add_test(t, empty_chroot_with_libc_and_libm);
    tcase_add_loop_test(t, disk_full, 0, 3);
  }
  tcase_add_test(t, files_whole_or_not_at_all);
  suite_add_tcase(s, t);
  return tap_run(s);
}
