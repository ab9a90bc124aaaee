/* npz files: round trips, the bytes that numpy.savez writes (sizes in 64-bit records of the local header), compression, damage */
#include "runtime/tensor_file.h"
#include "tests/unit/tap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char path[64], err[256];
static int fd;
static void setup(void)
{
  fd = memfd_create("npz", 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  *err = 0;
}
static void teardown(void) { close(fd); }
static void write_bytes(const void *p, size_t n) { ck_assert(!ftruncate(fd, 0) && pwrite(fd, p, n, 0) == (ssize_t)n); }

/* numpy.savez(a=np.array([1, 2], np.int16)) */
#define NPY "\x93NUMPY\x01\0\x76\0{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }                                                            \n\x01\0\x02\0"
static const char saved[] =
  "PK\x03\x04\x2d\0\0\0\0\0\0\0\x21\0\x9d\x32\x85\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x05\0\x14\0" "a.npy" "\x01\0\x10\0\x84\0\0\0\0\0\0\0\x84\0\0\0\0\0\0\0" NPY
  "PK\x01\x02\x2d\x03\x2d\0\0\0\0\0\0\0\x21\0\x9d\x32\x85\x3a\x84\0\0\0\x84\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\x80\x01\0\0\0\0" "a.npy"
  "PK\x05\x06\0\0\0\0\x01\0\x01\0\x33\0\0\0\xbb\0\0\0\0";                                    /* and the literal's own 0 */
enum { SAVED = sizeof saved, CENTRAL = 0xbb, END = 0xbb + 0x33 };

static int open_and_read(struct massrt_tensor *t)
{
  struct massrt_npz z;
  int rc = massrt_npz_open(path, &z, err, sizeof err);
  if (rc) return rc;
  const struct massrt_npz_entry *x = massrt_npz_find(&z, "a");
  rc = x ? massrt_npz_read(&z, x, MASSRT_F32, t, err, sizeof err) : -1;
  massrt_npz_close(&z);
  return rc;
}
static void expect_saved(void)
{
  struct massrt_tensor t;
  ck_assert_msg(open_and_read(&t) == 0, "%s", err);
  ck_assert(t.elem == MASSRT_I16 && t.rank == 1 && t.dim[0] == 2 && !memcmp(t.data, "\1\0\2", 4));
  free(t.data);
}
START_TEST(as_numpy_writes)
{
  char longer[SAVED + 100] = { 0 };
  ck_assert_int_eq(SAVED, 260);
  write_bytes(saved, SAVED);
  expect_saved();
  memcpy(longer, saved, SAVED);                                                              /* an archive's comment */
  longer[SAVED - 2] = 100;
  write_bytes(longer, sizeof longer);
  expect_saved();
}
END_TEST
/* The same archive with the 64-bit records that only large archives have. */
START_TEST(large_records)
{
  char b[512];
  memcpy(b, saved, CENTRAL);
  char *p = b + CENTRAL;
  memcpy(p, saved + CENTRAL, 46 + 5);
  memset(p + 20, 0xff, 8);                                                                   /* sizes, then the offset: all in the extra field */
  memset(p + 42, 0xff, 4);
  p[30] = 4 + 24;
  memcpy(p + 51, "\x01\0\x18\0\x84\0\0\0\0\0\0\0\x84\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 28);
  p += 51 + 28;
  size_t end64 = (size_t)(p - b);
  memset(p, 0, 56);
  memcpy(p, "PK\x06\x06", 4);
  p[24] = p[32] = 1;
  p[40] = 51 + 28;
  p[48] = (char)CENTRAL;
  p += 56;
  memset(p, 0, 20);
  memcpy(p, "PK\x06\x07", 4);
  memcpy(p + 8, &end64, 8);
  p += 20;
  memcpy(p, saved + END, 22);
  memset(p + 8, 0xff, 12);
  write_bytes(b, (size_t)(p + 22 - b));
  expect_saved();
}
END_TEST
START_TEST(round_trip)
{
  static const char *const names[] = { "x", "a/b.0", "empty" };
  float v[6] = { 1, 2, 3, 4, 5, 6 };
  int64_t w = -5;
  struct massrt_tensor t[] = { { v, sizeof v, MASSRT_F32, 2, { 2, 3 } }, { &w, 8, MASSRT_I64, 0, { 0 } }, { v, 0, MASSRT_U8, 2, { 3, 0 } } }, u;
  struct massrt_npz z;
  ck_assert_int_eq(massrt_npz_write(path, 3, names, t, err, sizeof err), 0);
  ck_assert_msg(massrt_npz_open(path, &z, err, sizeof err) == 0 && z.n == 3, "%s", err);
  for (int i = 0; i < 3; i++) {
    const struct massrt_npz_entry *x = massrt_npz_find(&z, names[i]);
    ck_assert_ptr_nonnull(x);
    ck_assert_msg(massrt_npz_read(&z, x, MASSRT_F32, &u, err, sizeof err) == 0, "%s", err);
    ck_assert(u.elem == t[i].elem && u.rank == t[i].rank && u.bytes == t[i].bytes && !memcmp(u.dim, t[i].dim, u.rank * 8) && !memcmp(u.data, t[i].data, u.bytes));
    free(u.data);
  }
  ck_assert_ptr_null(massrt_npz_find(&z, "y"));
  massrt_npz_close(&z);
}
END_TEST
/* The checksum is the one that numpy computed: the bytes 14..17 of both headers. */
START_TEST(checksum)
{
  static const char *const name = "a";
  int16_t v[] = { 1, 2 };
  struct massrt_tensor t = { v, 4, MASSRT_I16, 1, { 2 } };
  char b[512];
  ck_assert_int_eq(massrt_npz_write(path, 1, &name, &t, err, sizeof err), 0);
  ck_assert_int_gt(pread(fd, b, sizeof b, 0), 64);
  ck_assert_int_eq(memcmp(b + 14, "\x9d\x32\x85\x3a", 4), 0);
}
END_TEST
START_TEST(refusals)
{
  char b[SAVED];
  struct massrt_tensor t;
  memcpy(b, saved, SAVED);
  b[CENTRAL + 10] = 12;                                                                      /* bzip2 */
  write_bytes(b, SAVED);
  ck_assert_int_eq(open_and_read(&t), MASSRT_E_INPUT);
  ck_assert_ptr_nonnull(strstr(err, "\"a\" is encrypted or compressed"));
  b[CENTRAL + 10] = 8;                                                                       /* says that it is deflated, and is not */
  write_bytes(b, SAVED);
  ck_assert_int_eq(open_and_read(&t), MASSRT_E_FILE);
  ck_assert_ptr_nonnull(strstr(err, "\"a\" cannot be decompressed"));
  b[CENTRAL + 10] = 0;
  b[CENTRAL + 8] = 1;
  write_bytes(b, SAVED);
  ck_assert_int_eq(open_and_read(&t), MASSRT_E_INPUT);
  ck_assert_ptr_nonnull(strstr(err, "encrypted"));
  memcpy(b, saved, SAVED);
  b[CENTRAL + 20] = b[CENTRAL + 24] = (char)0x83;                                            /* a byte less than its data */
  write_bytes(b, SAVED);
  ck_assert_int_eq(open_and_read(&t), MASSRT_E_FILE);
  ck_assert_ptr_nonnull(strstr(err, "size of its data"));
  ck_assert_int_eq(massrt_npz_open("/dev/null", &(struct massrt_npz){ 0 }, err, sizeof err), MASSRT_E_FILE);
}
END_TEST
START_TEST(truncated_and_damaged)
{
  struct massrt_tensor t;
  uint64_t seed = 1, elems, bytes;
  for (size_t n = 0; n < SAVED; n++) {
    write_bytes(saved, n);
    ck_assert_int_ne(open_and_read(&t), 0);
  }
  for (int i = 0; i < 20000; i++) {
    char bad[SAVED];
    memcpy(bad, saved, SAVED);
    for (int k = 0; k < 1 + i % 3; k++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      size_t at = (seed >> 33) % SAVED;
      bad[i % 2 ? at : CENTRAL + at % (SAVED - CENTRAL)] = (char)(seed >> 56);
    }
    write_bytes(bad, SAVED);
    if (open_and_read(&t)) continue;
    ck_assert(massrt_shape_bytes(t.elem, t.rank, t.dim, &elems, &bytes) && bytes == t.bytes && bytes <= SAVED);
    free(t.data);
  }
}
END_TEST
int main(void)
{
  Suite *s = suite_create("tensor_npz");
  TCase *t = tcase_create("tensor_npz");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, as_numpy_writes);
  tcase_add_test(t, large_records);
  tcase_add_test(t, round_trip);
  tcase_add_test(t, checksum);
  tcase_add_test(t, refusals);
  tcase_add_test(t, truncated_and_damaged);
  suite_add_tcase(s, t);
  return tap_run(s);
}
