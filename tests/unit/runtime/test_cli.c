/* the command line of an executable (docs/commands.md): words, statuses, messages; arguments: the sample program, and the same with inputs "in" and "in=x[2]" */
#include "tests/unit/tap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *sample, *names;
static char dir[64], text[1 << 16];

/* Runs the line by the shell in a fresh directory, $M and $N being the programs; both outputs into `text`. The status. */
static int run(const char *line)
{
  char cmd[4096];
  snprintf(cmd, sizeof cmd, "cd %s && M='%s' N='%s' && { %s; } 2>&1", dir, sample, names, line);
  FILE *p = popen(cmd, "r");
  size_t n = fread(text, 1, sizeof text - 1, p);
  text[n] = 0;
  int st = pclose(p);
  return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}
static void setup(void)
{
  strcpy(dir, "cli-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(dir));
  ck_assert_int_eq(run("$M --input 'x[2]=1' --input m=5 --output y=y.npy --output z.npy; $M --input 'x[2]=1' --input m=5 --output y.raw;"
                       " $M --input 'x[5]=1' --input m=1 --output y5.npy; $M --input 'x[2]=1' --input m=5 --output all.npz; $M --input 'x[2]=1' --input m=5 --output y=y.pb --output z.pb; head -c 100 y.npy >short.npy"), 0);
}
static void teardown(void)
{
  char cmd[128];
  snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
  ck_assert_int_eq(system(cmd), 0);
}

/* y for x = 1, n = 2, m = 5 (abi_sample.c): 16.25 10 12 14.5 / 11.25 10 12 14.5; z = 8 */
static const struct { const char *line; int status; const char *says; } rows[] = {
  { "$M --input 'x[2]=1' --input m=5", 0, "y: f32[2,4]  min 10  max 16.25  mean 12.5625" },
  { "$M --input 'x[2]=1' --input m=5", 0, "first 16.25 10 12 14.5 11.25 10 ..\nz: i64[1]  min 8  max 8  mean 8\n  first 8\n" },
  { "$M --input 'x[2,4]=1' --input=m=5 --top 2", 0, "[1] top 2:  3 (14.5)  2 (12)" },
  { "$M --input 'x[2]=1' --input 'm[4]=5' --expect y=y.npy", 0, "y: agrees" },
  { "$M --input 'x[2]=1' --input m=5 --expect=y.npy --expect z.npy", 0, "z: agrees" },
  { "$M --input 'x[2]=1' --input m=5 --expect y=y.raw", 0, "y: agrees" },
  { "$M --input 'x[2]=1' --input m=6 --expect y=y.npy", 1, "largest difference 1 at [0,0] (found 17.25, expected 16.25), 0.0615 of the largest expected value" },
  { "$M --input 'x[2]=1' --input m=6 --expect y=y.npy --atol 1", 0, "y: agrees" },
  { "$M --input 'x[2]=1' --input m=6 --expect y=y.npy --rtol=0.07", 0, "y: agrees" },
  { "$M --input 'x[2]=1' --input m=5.001 --expect y=y.npy", 0, "agrees" },                       /* 6e-5 of 16.25 */
  { "$M --input 'x[2]=1' --input m=5.01 --expect y=y.npy", 1, "differs" },
  { "$M --input 'x[5]=1' --input m=5 --expect y=y.npy", 1, "y.npy is f32[2,4], the output is f32[5,4]" },
  { "$M --input 'x[2]=1' --input m=5 --expect z=y.npy", 1, "y.npy is f32[2,4], the output is i64[1]" },
  { "$M --input 'x[2]=1' --input m=5 --expect q=y.npy", 1, "no output has this name; there are \"y\", \"z\"" },
  { "$M --input x=y.npy --input m=0 --output - | cmp - /dev/null; $M --input y.npy --input m=0 --output - >a.npy && $M --input - --input m=0 <y.npy --expect a.npy", 0, "agrees" },
  { "$M --input x=y.npy --input m=y.npy", 1, "input \"m\": rank is 2, expected 1" },
  { "$M --input z.npy --input m=1", 1, "input \"x\": element type is i64, expected f32" },
  { "$M --input 'x[3]=1' --input 'm[5]=1'", 1, "input \"m\", axis 0 (2*n): size is 5, expected 6" },
  { "$M --input 'x[3,5]=1' --input m=1", 1, "input \"x\", axis 1: size is 5, expected 4" },
  { "$M --input 'x[65]=1' --input m=1", 1, "size is 65, expected 1 to 64" },
  { "$M --input 'x[99999999999999999999]=1' --input m=1", 1, "no input has this name" },
  { "$M --input 'x[4611686018427387904]=1' --input m=1", 1, "expected 1 to 64" },
  { "$M --input 'x[1,2,3]=1' --input m=1", 1, "3 sizes in brackets, expected 2 (all axes) or 1" },
  { "$M --input 'x[13]=1' --input m=1", 1, "n must not be 13" },
  { "$M --input w=1 --input m=1", 1, "no input has this name; there are \"x\", \"m\"" },
  { "$M --input x=1 --input x=1", 2, "\"x\" is given twice" },
  { "$M --input x=1 --input m=1 --input y.npy", 1, "no further input" },
  { "$M --input x=1", 2, "input \"m\" (f32[2*n]) is not given" },
  { "$M --input x=y.txt --input m=1", 2, "expected a file that ends in" },
  { "$M --input x=random:x --input m=1", 2, "SEED a number" },
  { "$M --input absent.npy --input m=1", 74, "input \"x\": absent.npy: cannot be opened: No such file" },
  { "$M --input short.npy --input m=1", 74, "truncated" },
  { "$M --input x=y.raw --input m=1", 1, "a raw file has no shape" },
  { "$M --input 'x[2]=y.raw' --input m=1", 0, "y: f32[2,4]" },
  { "$M --input 'x[3]=y.raw' --input m=1", 1, "y.raw: has 32 bytes, expected 48" },
  { "$M --input x=zeros --input m=0 --output absent/y.npy", 74, "output \"y\": absent/y.npy: cannot be written" },
  { "$M --input x=zeros --input m=0 --output y.txt", 2, "expected a file that ends in" },
  { "$M --input x=zeros --input m=0 --output q=y.npy", 1, "no output has this name" },
  { "$M --input x=zeros --input m=0 --output - --json", 2, "both want standard output" },
  { "$M --input x=zeros --input m=0 >/dev/full", 74, "No space left" },
  { "$M --input 'x[2]=1' --input m=5 --expect all.npz", 0, "z: agrees" },
  { "$M --input 'x[2]=1' --input m=6 --expect all.npz", 1, "y: differs" },
  { "$M --input 'x[2]=1' --input m=5 --expect z=all.npz --expect y.pb", 0, "y: agrees" },
  { "$M --input 'x[2]=1' --input m=5 --expect z=y.pb", 1, "y.pb is f32[2,4], the output is i64[1]" },
  { "$M --input 'x[2]=1' --input m=5 --output z=z2.npz --output y=z2.npz && cmp z2.npz all.npz || $M --input 'x[2]=1' --input m=5 --expect z2.npz", 0, "z: agrees" },
  { "$M --input all.npz --input m=0", 1, "none of its 2 arrays has the name of an input" },
  { "$M --input x=all.npz --input m=0", 1, "input \"x\": all.npz: none of its 2 arrays has this name" },
  { "$M --input 'x[2]=1' --input m=5 --output y=one.npz && $M --input x=one.npz --input m=0 --output - | cmp - y.npy", 1, "differ" },
  { "$M --input y.pb --input m=0 --output a.npy && $M --input x=y.npy --input m=0 --expect a.npy", 0, "agrees" },
  { "$M --input x=z.pb --input m=0", 1, "input \"x\": element type is i64, expected f32" },
  { "$M --input absent.npz", 74, "--input absent.npz: cannot be opened" },
  { "cp y.npy bad.npz; $M --input bad.npz", 74, "not an npz file" },
  { "cp y.npy bad.pb; $M --input x=bad.pb --input m=1", 74, "not a TensorProto" },
  { "$N --input 'in=x[2]=5' --input 'in[2]=1' --expect y=y.npy", 0, "y: agrees" },               /* the longest name wins */
  { "$N --input 'in=x[2][4]=5' --input in=y.npy", 0, "y: f32[2,4]" },
  { "$N --input 'in=x=5'", 2, "expected a file that ends in" },
  { "$M --threads 0", 2, "whole number from 1" },
  { "$M --threads 1.5", 2, "whole number" },
  { "$M --threads 100000", 2, "whole number" },
  { "$M --device cuda:1", 69, "device cuda:1" },
  { "$M --bogus", 2, "unknown option \"--bogus\"" },
  { "$M file.npy", 2, "unknown argument \"file.npy\"" },
  { "$M --input", 2, "--input needs a value" },
  { "$M --info=1", 2, "--info takes no value" },
  { "$M --bench=-1", 2, "expected a number" },
  { "$M --bench=nan", 2, "expected a number" },
  { "$M --version", 0, "sample (hand 1) 0123456789abcdef\n" },
  { "$M --help", 0, "x: f32[n,4]" },
  { "$M --info", 0, "n: from 1 to 64" },
  { "$M --info --json", 0, "\"shape\": [\"n\", 4]" },
  { "$M --bench=0.1 --threads 2", 0, "on 2 threads" },
  { "$M --bench 0.1 --threads 1 --input 'x[7]=random'", 0, "on 1 thread " },
  { "$M --profile t.json --threads 1 && grep -c relu_4 t.json", 0, "relu_4: Mul_0, Add_1, Relu_2" },
  { "$M --profile /dev/full --threads 1", 74, "--profile /dev/full" },
};
START_TEST(lines)
{
  int rc = run(rows[_i].line);
  ck_assert_msg(rc == rows[_i].status && strstr(text, rows[_i].says), "%s\nstatus %d, not %d\n%s", rows[_i].line, rc, rows[_i].status, text);
}
END_TEST
static double field(const char *key)
{
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\": ", key);
  char *p = strstr(text, quoted);
  ck_assert_msg(p != NULL, "no %s in %s", key, text);
  return atof(p + strlen(quoted));
}
START_TEST(bench_json)
{
  static const char *const keys[] = { "median_ms", "p50_ms", "p90_ms", "p99_ms", "min_ms", "runs", "start_ms", "peak_rss_bytes", "throughput_per_s" };
  ck_assert_int_eq(run("$M --bench=0.2 --json --threads 2 2>/dev/null"), 0);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) ck_assert_msg(field(keys[i]) > 0, "%s", keys[i]);
  ck_assert(field("threads") == 2);
  ck_assert(field("min_ms") <= field("median_ms") && field("median_ms") <= field("p90_ms") && field("p90_ms") <= field("p99_ms"));
  ck_assert(field("peak_rss_bytes") > 500e3 && field("peak_rss_bytes") < 100e6);
  ck_assert(text[0] == '{' && !strcmp(text + strlen(text) - 3, "\n}\n"));
}
END_TEST
/* A few thousand values of seed 1: near a standard normal; another seed gives others, the same seed the same. */
START_TEST(random_values)
{
  ck_assert_int_eq(run("for s in 1 1 2; do $M --input 'x[64]=random:'$s --input m=random:7 --output y$s-$((i=i+1)).npy; done; cmp y1-1.npy y1-2.npy && ! cmp -s y1-1.npy y2-3.npy"), 0);
}
END_TEST
int main(int argc, char **argv)
{
  static char full[2][4096];
  if (argc < 3 || !realpath(argv[1], full[0]) || !realpath(argv[2], full[1])) return 2;
  sample = full[0];
  names = full[1];
  Suite *s = suite_create("cli");
  TCase *t = tcase_create("cli");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, lines, 0, sizeof rows / sizeof *rows);
  tcase_add_test(t, bench_json);
  tcase_add_test(t, random_values);
  suite_add_tcase(s, t);
  return tap_run(s);
}
