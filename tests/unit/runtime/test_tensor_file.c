/* npy and raw files: round trips, what NumPy writes, hostile headers */
#include "runtime/tensor_file.h"
#include "tests/unit/tap.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64], err[256];
static void setup(void)
{
  snprintf(path, sizeof path, "tensor-%d.npy", (int)getpid());
  *err = 0;
}
static void teardown(void) { unlink(path); }
static void write_bytes(const void *p, size_t n)
{
  FILE *f = fopen(path, "wb");
  ck_assert(f && fwrite(p, 1, n, f) == n && !fclose(f));
}
/* A file of version 1 (or 2, 3): header text, then data. */
static void write_npy(int version, const char *header, const void *data, size_t n)
{
  unsigned char b[70000] = "\x93NUMPY";
  size_t h = strlen(header), at = 8;
  b[6] = (unsigned char)version;
  b[at++] = h & 255;
  b[at++] = (unsigned char)(h >> 8);
  if (version > 1) { b[at++] = 0; b[at++] = 0; }
  memcpy(b + at, header, h);
  if (n) memcpy(b + at + h, data, n);
  write_bytes(b, at + h + n);
}
static int read_it(struct massrt_tensor *t) { return massrt_npy_read(path, MASSRT_F32, t, err, sizeof err); }

START_TEST(round_trip)
{
  static const int64_t dims[][4] = { { 0 }, { 7 }, { 2, 3, 5 }, { 2, 0, 3 }, { 1, 2, 3, 4 } };
  static const uint32_t ranks[] = { 0, 1, 3, 3, 4 };
  uint8_t data[1024];
  for (int i = 0; i < (int)sizeof data; i++) data[i] = (uint8_t)(i * 7 + 1);
  for (uint32_t e = 0; e < MASSRT_N_ELEMS; e++)
    for (int k = 0; k < 5; k++) {
      struct massrt_tensor t = { .data = data, .elem = e, .rank = ranks[k] }, u;
      uint64_t elems;
      memcpy(t.dim, dims[k], sizeof dims[k]);
      ck_assert(massrt_shape_bytes(e, t.rank, t.dim, &elems, &t.bytes));
      ck_assert_int_eq(massrt_npy_write(path, &t, err, sizeof err), 0);
      ck_assert_msg(massrt_npy_read(path, e, &u, err, sizeof err) == 0, "%s", err);
      ck_assert(u.elem == e && u.rank == t.rank && u.bytes == t.bytes && !memcmp(u.dim, t.dim, t.rank * 8) && !memcmp(u.data, data, t.bytes));
      ck_assert_uint_eq((uintptr_t)u.data % 64, 0);
      free(u.data);
    }
}
END_TEST
/* The bytes that numpy.save writes for np.arange(3, dtype='<i2'): the header ends at a multiple of 64. */
START_TEST(as_numpy_writes)
{
  static const char want[] = "\x93NUMPY\x01\0v\0{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }                                                            \n"
                             "\0\0\1\0\2\0";
  int16_t v[] = { 0, 1, 2 };
  char got[256];
  struct massrt_tensor t = { v, 6, MASSRT_I16, 1, { 3 } };
  ck_assert_int_eq(massrt_npy_write(path, &t, err, sizeof err), 0);
  FILE *f = fopen(path, "rb");
  ck_assert_uint_eq(fread(got, 1, sizeof got, f), sizeof want - 1);
  fclose(f);
  ck_assert_int_eq(memcmp(got, want, sizeof want - 1), 0);
}
END_TEST
START_TEST(fortran_order_is_transposed)
{
  const float column_major[] = { 0, 3, 1, 4, 2, 5 };
  struct massrt_tensor t;
  write_npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", column_major, sizeof column_major);
  ck_assert_msg(read_it(&t) == 0, "%s", err);
  for (int i = 0; i < 6; i++) ck_assert(((float *)t.data)[i] == (float)i);
  free(t.data);
  int16_t v[24], *u;                                          /* 2x3x4: element [i,j,k] holds 100i + 10j + k */
  for (int i = 0; i < 2; i++) for (int j = 0; j < 3; j++) for (int k = 0; k < 4; k++) v[i + 2 * j + 6 * k] = (int16_t)(100 * i + 10 * j + k);
  write_npy(2, "{'shape': (2, 3, 4), 'fortran_order': True, 'descr': '<i2'}", v, sizeof v);
  ck_assert_msg(read_it(&t) == 0, "%s", err);
  u = t.data;
  for (int i = 0; i < 2; i++) for (int j = 0; j < 3; j++) for (int k = 0; k < 4; k++) ck_assert_int_eq(u[(i * 3 + j) * 4 + k], 100 * i + 10 * j + k);
  free(t.data);
}
END_TEST
START_TEST(big_endian_is_swapped)
{
  const unsigned char v[] = { 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0 };
  struct massrt_tensor t;
  write_npy(1, "{\"descr\": \">f4\", \"fortran_order\": False, \"shape\": (2L,)}", v, sizeof v);
  ck_assert_msg(read_it(&t) == 0, "%s", err);
  ck_assert(((float *)t.data)[0] == 1 && ((float *)t.data)[1] == -2);
  free(t.data);
}
END_TEST
START_TEST(two_byte_voids_are_what_is_expected)
{
  const uint16_t v[] = { 0x3f80 };
  struct massrt_tensor t;
  write_npy(3, "{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }", v, sizeof v);
  ck_assert_int_eq(massrt_npy_read(path, MASSRT_BF16, &t, err, sizeof err), 0);
  ck_assert(t.elem == MASSRT_BF16 && massrt_elem_get(t.elem, t.data, 0) == 1);
  free(t.data);
  ck_assert_int_eq(read_it(&t), MASSRT_E_INPUT);
}
END_TEST
static const struct { const char *header; int status; const char *says; } hostile[] = {
  { "", MASSRT_E_FILE, "not a dictionary" },
  { "{", MASSRT_E_FILE, "key" },
  { "{}", MASSRT_E_FILE, "missing" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,", MASSRT_E_FILE, "dimension" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", MASSRT_E_FILE, "no end" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", MASSRT_E_FILE, "dimension" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", MASSRT_E_FILE, "dimension" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", MASSRT_E_FILE, "overflows" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (2305843009213693952,)}", MASSRT_E_FILE, "overflows" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}", MASSRT_E_FILE, "truncated" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': 3}", MASSRT_E_FILE, "tuple" },
  { "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}", MASSRT_E_FILE, "fortran_order" },
  { "{'descr': '<f4', 'shape': (1,)}", MASSRT_E_FILE, "missing" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", MASSRT_E_FILE, "unknown key" },
  { "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}", MASSRT_E_INPUT, "cannot be read" },
  { "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", MASSRT_E_INPUT, "record" },
  { "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", MASSRT_E_INPUT, "'<c8'" },
  { "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", MASSRT_E_INPUT, "'|O'" },
  { "{'descr': '', 'fortran_order': False, 'shape': (1,)}", MASSRT_E_INPUT, "''" },
  { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}", MASSRT_E_INPUT, "rank" },
};
START_TEST(hostile_headers)
{
  struct massrt_tensor t;
  write_npy(1, hostile[_i].header, "abcd", 4);
  int rc = read_it(&t);
  ck_assert_msg(rc == hostile[_i].status && strstr(err, hostile[_i].says), "%s: %d, %s", hostile[_i].header, rc, err);
}
END_TEST
START_TEST(not_npy_at_all)
{
  struct massrt_tensor t;
  write_bytes("", 0);
  ck_assert_int_eq(read_it(&t), MASSRT_E_FILE);
  write_bytes("\x93NUMPY\x09\0\0\0", 10);
  ck_assert_int_eq(read_it(&t), MASSRT_E_FILE);
  ck_assert_ptr_nonnull(strstr(err, "version 9.0"));
  write_bytes("\x93NUMPY\x02\0\xff\xff\xff\x7f", 12);
  ck_assert_int_eq(read_it(&t), MASSRT_E_FILE);
  ck_assert_ptr_nonnull(strstr(err, "claims 2147483647 bytes"));
  ck_assert_int_eq(massrt_npy_read("absent.npy", MASSRT_F32, &t, err, sizeof err), MASSRT_E_FILE);
  ck_assert_int_eq(massrt_npy_read(".", MASSRT_F32, &t, err, sizeof err), MASSRT_E_FILE);
}
END_TEST
/* Every prefix of a good file is refused; random damage never crashes, and what is accepted is whole. */
START_TEST(truncated_and_damaged)
{
  float v[6] = { 1, 2, 3, 4, 5, 6 };
  unsigned char good[256];
  struct massrt_tensor t = { v, sizeof v, MASSRT_F32, 2, { 2, 3 } };
  ck_assert_int_eq(massrt_npy_write(path, &t, err, sizeof err), 0);
  FILE *f = fopen(path, "rb");
  size_t n = fread(good, 1, sizeof good, f);
  fclose(f);
  unlink(path);
  int fd = memfd_create("npy", 0);                             /* a file in memory: this is many files */
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  for (size_t i = 0; i < n; i++) {
    ck_assert(!ftruncate(fd, 0) && pwrite(fd, good, i, 0) == (ssize_t)i);
    ck_assert_int_ne(read_it(&t), 0);
  }
  uint64_t seed = 1;
  for (int i = 0; i < 20000; i++) {
    unsigned char bad[256];
    memcpy(bad, good, n);
    for (int k = 0; k < 1 + i % 3; k++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      bad[(seed >> 33) % n] = (unsigned char)(seed >> 56);
    }
    ck_assert_int_eq(pwrite(fd, bad, n, 0), (ssize_t)n);
    if (read_it(&t)) continue;
    uint64_t elems, bytes;
    ck_assert(massrt_shape_bytes(t.elem, t.rank, t.dim, &elems, &bytes) && bytes == t.bytes && bytes <= n);
    free(t.data);
  }
}
END_TEST
/* A pipe has no size: memory follows what arrives, whatever the header promises. */
START_TEST(from_a_pipe)
{
  static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}";
  struct massrt_tensor t;
  ck_assert_int_eq(mkfifo(path, 0600), 0);
  if (!fork()) {
    FILE *f = fopen(path, "wb");
    fprintf(f, "\x93NUMPY\x01%c%c%c%s1234", 0, (int)sizeof header - 1, 0, header);
    fclose(f);
    _exit(0);
  }
  ck_assert_int_eq(read_it(&t), MASSRT_E_FILE);
  ck_assert_ptr_nonnull(strstr(err, "promises 4000000000000 bytes of data, 4 are there"));
}
END_TEST
START_TEST(raw)
{
  float v[4] = { 1, 2, 3, 4 }, w[4] = { 0 };
  struct massrt_tensor t = { v, sizeof v, MASSRT_F32, 1, { 4 } }, u = { w, sizeof w, MASSRT_F32, 1, { 4 } };
  ck_assert_int_eq(massrt_raw_write(path, &t, err, sizeof err), 0);
  ck_assert_int_eq(massrt_raw_read(path, &u, err, sizeof err), 0);
  ck_assert_int_eq(memcmp(v, w, sizeof v), 0);
  u.bytes = 12;
  ck_assert_int_eq(massrt_raw_read(path, &u, err, sizeof err), MASSRT_E_INPUT);
  ck_assert_str_eq(err, "has 16 bytes, expected 12");
  t.bytes = 12;
  ck_assert_int_eq(massrt_raw_write(path, &t, err, sizeof err), 0);
  u.bytes = 16;
  ck_assert_int_eq(massrt_raw_read(path, &u, err, sizeof err), MASSRT_E_INPUT);
  ck_assert_str_eq(err, "has 12 bytes, expected 16");
}
END_TEST
START_TEST(writing_fails)
{
  float v[4] = { 1, 2, 3, 4 };
  struct massrt_tensor t = { v, sizeof v, MASSRT_F32, 1, { 4 } };
  ck_assert_int_eq(massrt_npy_write("/dev/full", &t, err, sizeof err), MASSRT_E_FILE);
  ck_assert_ptr_nonnull(strstr(err, "No space left"));
  ck_assert_int_eq(massrt_npy_write("absent/x.npy", &t, err, sizeof err), MASSRT_E_FILE);
  ck_assert_int_eq(massrt_npy_write(".", &t, err, sizeof err), MASSRT_E_FILE);
}
END_TEST
int main(void)
{
  Suite *s = suite_create("tensor_file");
  TCase *t = tcase_create("tensor_file");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, round_trip);
  tcase_add_test(t, as_numpy_writes);
  tcase_add_test(t, fortran_order_is_transposed);
  tcase_add_test(t, big_endian_is_swapped);
  tcase_add_test(t, two_byte_voids_are_what_is_expected);
  tcase_add_loop_test(t, hostile_headers, 0, sizeof hostile / sizeof *hostile);
  tcase_add_test(t, not_npy_at_all);
  tcase_add_test(t, truncated_and_damaged);
  tcase_add_test(t, from_a_pipe);
  tcase_add_test(t, raw);
  tcase_add_test(t, writing_fails);
  suite_add_tcase(s, t);
  return tap_run(s);
}
