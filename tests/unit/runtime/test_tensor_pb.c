/* TensorProto files: round trips, the bytes that onnx writes (typed fields by helper.make_tensor, raw by numpy_helper.from_array), hostile bytes */
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
  fd = memfd_create("pb", 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  *err = 0;
}
static void teardown(void) { close(fd); }
static void write_bytes(const void *p, size_t n) { ck_assert(!ftruncate(fd, 0) && pwrite(fd, p, n, 0) == (ssize_t)n); }
static int read_it(struct massrt_tensor *t) { return massrt_pb_read(path, t, err, sizeof err); }

START_TEST(round_trip)
{
  static const int64_t dims[][4] = { { 0 }, { 7 }, { 2, 3, 5 }, { 2, 0, 3 }, { 1, 300, 3, 1 } };
  static const uint32_t ranks[] = { 0, 1, 3, 3, 4 };
  uint8_t data[8192];
  for (uint32_t e = 0; e < MASSRT_N_ELEMS; e++)
    for (int k = 0; k < 5; k++) {
      struct massrt_tensor t = { .data = data, .elem = e, .rank = ranks[k] }, u;
      uint64_t elems;
      for (int i = 0; i < (int)sizeof data; i++) data[i] = e == MASSRT_BOOL ? i & 1 : (uint8_t)(i * 7 + 1);
      memcpy(t.dim, dims[k], sizeof dims[k]);
      ck_assert(massrt_shape_bytes(e, t.rank, t.dim, &elems, &t.bytes));
      ck_assert_int_eq(massrt_pb_write(path, "name", &t, err, sizeof err), 0);
      ck_assert_msg(read_it(&u) == 0, "%s", err);
      ck_assert(u.elem == e && u.rank == t.rank && u.bytes == t.bytes && !memcmp(u.dim, t.dim, t.rank * 8) && !memcmp(u.data, data, t.bytes));
      ck_assert_uint_eq((uintptr_t)u.data % 64, 0);
      free(u.data);
    }
}
END_TEST
/* Field for field what onnx.numpy_helper.from_array(np.array([[1, 2, 3]], np.int16), "r") serialises to. */
START_TEST(as_onnx_writes)
{
  static const char want[] = "\x08\x01\x08\x03\x10\x05\x42\x01r\x4a\x06\1\0\2\0\3";          /* and the literal's own 0 */
  int16_t v[] = { 1, 2, 3 };
  char got[64];
  struct massrt_tensor t = { v, 6, MASSRT_I16, 2, { 1, 3 } };
  ck_assert_int_eq(massrt_pb_write(path, "r", &t, err, sizeof err), 0);
  ck_assert_int_eq(pread(fd, got, sizeof got, 0), sizeof want);
  ck_assert_int_eq(memcmp(got, want, sizeof want), 0);
}
END_TEST
#define TYPED(e, r, bytes, ...) { bytes, sizeof bytes - 1, e, r, { __VA_ARGS__ } }
static const struct { const char *bytes; size_t n; uint32_t elem, rank; double v[3]; } typed[] = {
  TYPED(MASSRT_F32, 1, "\x08\x02\x10\x01\x22\x08\x00\x00\xc0\x3f\x00\x00\x00\xc0\x42\x01\x66", 1.5, -2),
  TYPED(MASSRT_F32, 1, "\x0a\x01\x02\x10\x01\x25\x00\x00\xc0\x3f\x25\x00\x00\x00\xc0", 1.5, -2),        /* packed dims, values one by one */
  TYPED(MASSRT_F16, 1, "\x08\x02\x10\x0a\x2a\x05\x80\x78\x80\x80\x03\x42\x01\x68", 1, -2),
  TYPED(MASSRT_BF16, 1, "\x08\x02\x10\x10\x2a\x05\x80\x7f\x80\x80\x03\x42\x01\x62", 1, -2),
  TYPED(MASSRT_I8, 1, "\x08\x03\x10\x03\x2a\x15\x80\xff\xff\xff\xff\xff\xff\xff\xff\x01\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x42\x02\x69\x38", -128, 127, -1),
  TYPED(MASSRT_U8, 1, "\x08\x02\x10\x02\x2a\x03\xff\x01\x00\x42\x02\x75\x38", 255, 0),
  TYPED(MASSRT_I64, 1, "\x08\x02\x10\x07\x3a\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x80\x80\x80\x80\x80\x20\x42\x01\x69", -1, 1099511627776),
  TYPED(MASSRT_F64, 1, "\x08\x01\x10\x0b\x42\x01\x64\x52\x08\x9a\x99\x99\x99\x99\x99\xb9\x3f", 0.1),
  TYPED(MASSRT_U32, 1, "\x08\x01\x10\x0c\x42\x03\x75\x33\x32\x5a\x05\xff\xff\xff\xff\x0f", 4294967295),
  TYPED(MASSRT_BOOL, 1, "\x08\x02\x10\x09\x2a\x02\x01\x00\x42\x02\x62\x6f", 1, 0),
  TYPED(MASSRT_I32, 0, "\x10\x06\x2a\x0a\xf9\xff\xff\xff\xff\xff\xff\xff\xff\x01\x42\x03\x69\x33\x32", -7),
  TYPED(MASSRT_I32, 0, "\x10\x06\x2a\x05\xf9\xff\xff\xff\x0f", -7),                                     /* 32 bits are enough */
  TYPED(MASSRT_BOOL, 1, "\x08\x02\x10\x09\x4a\x02\x02\x00", 1, 0),                                      /* a bool is 0 or 1 afterwards */
};
START_TEST(typed_fields)
{
  struct massrt_tensor t;
  write_bytes(typed[_i].bytes, typed[_i].n);
  ck_assert_msg(read_it(&t) == 0, "%s", err);
  ck_assert(t.elem == typed[_i].elem && t.rank == typed[_i].rank);
  for (uint64_t k = 0; k < (t.rank ? (uint64_t)t.dim[0] : 1); k++) ck_assert(massrt_elem_get(t.elem, t.data, k) == typed[_i].v[k]);
  if (t.elem == MASSRT_BOOL) ck_assert_int_eq(*(uint8_t *)t.data, 1);
  free(t.data);
}
END_TEST
#define BAD(status, says, bytes) { bytes, sizeof bytes - 1, status, says }
static const struct { const char *bytes; size_t n; int status; const char *says; } hostile[] = {
  BAD(MASSRT_E_FILE, "not a TensorProto", ""),
  BAD(MASSRT_E_FILE, "not a TensorProto", "\x93NUMPY"),
  BAD(MASSRT_E_FILE, "not a TensorProto", "\x08\x02"),                                       /* no data_type */
  BAD(MASSRT_E_FILE, "not a TensorProto", "\x10\x01\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),      /* a length of 2^64 - 1 */
  BAD(MASSRT_E_FILE, "not a TensorProto", "\x10\x01\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
  BAD(MASSRT_E_FILE, "not a TensorProto", "\x10\x01\x0b"),                                   /* wire type 3: groups */
  BAD(MASSRT_E_FILE, "negative", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01"),
  BAD(MASSRT_E_FILE, "overflows", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x08\x04\x10\x01"),
  BAD(MASSRT_E_FILE, "truncated", "\x08\x80\x80\x80\x80\x80\x20\x10\x01"),                   /* 2^40 elements, no data */
  BAD(MASSRT_E_FILE, "needs 1 elements, 0 are there", "\x10\x01\x42\x02\x61\x62"),
  BAD(MASSRT_E_FILE, "needs 1 elements, 2 are there", "\x10\x07\x3a\x02\x01\x02"),
  BAD(MASSRT_E_FILE, "needs 4 bytes of data, 3 are there", "\x10\x01\x4a\x03\x01\x02\x03"),
  BAD(MASSRT_E_FILE, "element 0 does not fit its type u8", "\x10\x02\x2a\x02\x80\x02"),
  BAD(MASSRT_E_FILE, "element 0 does not fit its type bool", "\x10\x09\x2a\x01\x02"),
  BAD(MASSRT_E_FILE, "not a TensorProto", "\x10\x01\x22\x03\x01\x02\x03"),                   /* three quarters of a float */
  BAD(MASSRT_E_INPUT, "SequenceProto", "\x10\x01\x1a\x0e\x08\x02\x10\x01\x4a\x08\0\0\0\0\0\0\0\0"),
  BAD(MASSRT_E_INPUT, "SequenceProto", "\x0a\x01n\x10\x01\x1a\x0e\x08\x02\x10\x01\x4a\x08\0\0\0\0\0\0\0\0"),
  BAD(MASSRT_E_INPUT, "SequenceProto", "\x0a\x01\xffn\x10\x01"),
  BAD(MASSRT_E_INPUT, "number 8 of", "\x10\x08\x32\x01x"),
  BAD(MASSRT_E_INPUT, "external data", "\x10\x01\x70\x01"),
  BAD(MASSRT_E_INPUT, "rank", "\x0a\x11\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\x10\x01"),
};
START_TEST(hostile_bytes)
{
  struct massrt_tensor t;
  write_bytes(hostile[_i].bytes, hostile[_i].n);
  int rc = read_it(&t);
  ck_assert_msg(rc == hostile[_i].status && strstr(err, hostile[_i].says), "%d: %s", rc, err);
}
END_TEST
/* Prefixes and random damage of every typed file: what is accepted is whole. */
START_TEST(damaged)
{
  struct massrt_tensor t;
  uint64_t seed = 1, elems, bytes;
  char bad[64];
  size_t n = typed[_i].n;
  for (int i = 0; i < 5000; i++) {
    memcpy(bad, typed[_i].bytes, n);
    for (int k = 0; k < i % 4; k++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      bad[(seed >> 33) % n] = (char)(seed >> 56);
    }
    write_bytes(bad, i % 2 ? n : (seed >> 20) % n);
    if (read_it(&t)) continue;
    ck_assert(massrt_shape_bytes(t.elem, t.rank, t.dim, &elems, &bytes) && bytes == t.bytes && bytes <= 8 * n);
    free(t.data);
  }
}
END_TEST
int main(void)
{
  Suite *s = suite_create("tensor_pb");
  TCase *t = tcase_create("tensor_pb");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, round_trip);
  tcase_add_test(t, as_onnx_writes);
  tcase_add_loop_test(t, typed_fields, 0, sizeof typed / sizeof *typed);
  tcase_add_loop_test(t, hostile_bytes, 0, sizeof hostile / sizeof *hostile);
  tcase_add_loop_test(t, damaged, 0, sizeof typed / sizeof *typed);
  suite_add_tcase(s, t);
  return tap_run(s);
}
