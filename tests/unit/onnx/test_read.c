/* the reader: bounds of the wire walk, tensors, external data */
#include "compiler/onnx/internal.h"
#include "wire_make.h"
#include "tests/unit/tap.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ir_arena *arena;
static struct ir_diags diags;
static void setup(void) { arena = ir_arena_create(); diags = (struct ir_diags){ .file = "m.onnx" }; }
static void teardown(void) { ir_arena_destroy(arena); ir_buf_deinit(&diags.first); }

static struct onnx_file *read_buf(const struct ir_buf *b, const char *dir) { return onnx_read_bytes(arena, &diags, (const unsigned char *)b->s, b->n, dir, NULL); }
/* b is freed; the first diagnostic must hold `code` */
static void refuse(struct ir_buf b, const char *code)
{
  struct onnx_file *f = read_buf(&b, NULL);
  ck_assert_msg(!f, "accepted, expected %s", code);
  ck_assert_msg(diags.first.s && strstr(diags.first.s, code), "%s, expected %s", diags.first.s, code);
  ir_buf_deinit(&b);
}
static struct ir_buf model_of(struct ir_buf tensor)
{
  struct ir_buf g = { 0 };
  w_msg(&g, 5, tensor);
  return w_model(13, g);
}
static struct ir_buf small_model(void)
{
  struct ir_buf g = { 0 };
  float w[6] = { 1, 2, 3, 4, 5, 6 };
  w_msg(&g, 1, w_node("Add", "x w", "y"));
  w_msg(&g, 5, w_tensor("w", 1, 2, (int64_t[]){ 2, 3 }, w, sizeof w));
  w_msg(&g, 11, w_value("x", 1, 2, (int64_t[]){ -1, 3 }));
  w_msg(&g, 12, w_value("y", 1, 2, (int64_t[]){ -1, 3 }));
  return w_model(13, g);
}

START_TEST(small_model_is_read)
{
  struct ir_buf b = small_model();
  struct onnx_file *f = read_buf(&b, NULL);
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(f->model->graph->n_node, 1);
  ck_assert_str_eq(f->model->graph->node[0]->op_type, "Add");
  struct onnx_tensor *t = onnx_tensor_of(f, f->model->graph->initializer[0]);
  ck_assert_int_eq(t->elems, 6);
  ck_assert_int_eq(t->elem, IR_f32);
  float v;
  memcpy(&v, t->data.p + 20, 4);
  ck_assert(v == 6);
  onnx_close(f);
  ir_buf_deinit(&b);
}
END_TEST
/* Only the ends of top-level fields may be ends of a model; no prefix may crash, and one that ends within the graph is refused. */
START_TEST(every_prefix_is_refused_or_read)
{
  struct ir_buf b = small_model();
  unsigned accepted = 0;
  for (size_t n = 0; n < b.n; n++) {
    unsigned char *copy = malloc(n ? n : 1);          /* exactly n bytes, for the address sanitizer */
    memcpy(copy, b.s, n);
    struct onnx_file *f = onnx_read_bytes(arena, &diags, copy, n, NULL, NULL);
    if (f) accepted++;
    onnx_close(f);
    free(copy);
  }
  ck_assert_uint_eq(accepted, 0);                     /* the graph is the last field */
  ir_buf_deinit(&b);
}
END_TEST
START_TEST(every_bit_flip_is_survived)
{
  struct ir_buf b = small_model();
  for (size_t i = 0; i < 8 * b.n; i++) {
    b.s[i / 8] ^= (char)(1 << i % 8);
    onnx_close(read_buf(&b, NULL));
    b.s[i / 8] ^= (char)(1 << i % 8);
  }
  ir_buf_deinit(&b);
}
END_TEST
START_TEST(empty_and_foreign_files_are_refused)
{
  struct ir_buf b = { 0 };
  refuse(b, "M0101");
  teardown(); setup();
  ir_buf_add(&b, "\x7f" "ELF\2\1\1", 7);
  refuse(b, "M0101");
}
END_TEST
START_TEST(overlong_numbers_and_groups_are_refused)
{
  static const struct { const char *bytes; size_t n; } row[] = {
    { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11 },        /* 65th bit */
    { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 },    /* eleven bytes */
    { "\x0b\x0c", 2 }, { "\x0f\x00", 2 },                          /* group, wire type 7 */
    { "\x00\x00", 2 },                                             /* field 0 */
    { "\x0a\x01\x00", 3 },                                         /* ir_version as a string */
    { "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },        /* a graph of 2^64-1 bytes */
    { "\x3a\x00\x3a\x00", 4 },                                     /* two graphs */
  };
  for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
    struct ir_buf b = { 0 };
    ir_buf_add(&b, row[i].bytes, row[i].n);
    refuse(b, "M0101");
    teardown(); setup();
  }
}
END_TEST
/* graph > node > attribute > graph ..: three messages a level */
static struct ir_buf nested(unsigned levels)
{
  struct ir_buf g = { 0 };
  for (unsigned i = 0; i < levels; i++) {
    struct ir_buf a = { 0 }, n = { 0 }, up = { 0 };
    w_msg(&a, 6, g);
    w_msg(&n, 5, a);
    w_msg(&up, 1, n);
    g = up;
  }
  return w_model(13, g);
}
START_TEST(nesting_is_bounded)
{
  struct ir_buf b = nested(42);
  struct onnx_file *f = read_buf(&b, NULL);
  ck_assert_ptr_nonnull(f);
  onnx_close(f);
  ir_buf_deinit(&b);
  refuse(nested(43), "M0102");
  teardown(); setup();
  refuse(nested(3000), "M0102");
}
END_TEST
START_TEST(memory_is_bounded)
{
  struct ir_buf g = { 0 };
  for (unsigned i = 0; i < 3000000; i++) ir_buf_add(&g, "\x0a\x00", 2);   /* empty nodes */
  refuse(w_model(13, g), "M0102");
  teardown(); setup();
  struct ir_buf g2 = { 0 };
  for (unsigned i = 0; i < 9000000; i++) ir_buf_add(&g2, "\x0a\x00", 2);
  refuse(w_model(13, g2), "M0102");
}
END_TEST
/* protobuf-c with every allocation failing in turn: a refusal, no crash, nothing left behind. */
static int allow, live;
static void *failing_alloc(void *arg, size_t n)
{
  (void)arg;
  if (allow-- <= 0) return NULL;
  live++;
  return malloc(n);
}
static void counted_free(void *arg, void *p)
{
  (void)arg;
  live -= p != NULL;
  free(p);
}
START_TEST(every_allocation_may_fail)
{
  ProtobufCAllocator alloc = { failing_alloc, counted_free, NULL };
  struct ir_buf b = small_model();
  Onnx__ModelProto *m = NULL;
  for (int n = 0; !m && n < 1000; n++) {
    allow = n;
    m = onnx__model_proto__unpack(&alloc, b.n, (uint8_t *)b.s);
    ck_assert_int_eq(live == 0, m == NULL);
  }
  ck_assert_ptr_nonnull(m);
  allow = 0;
  onnx__model_proto__free_unpacked(m, &alloc);
  ck_assert_int_eq(live, 0);
  ir_buf_deinit(&b);
}
END_TEST
START_TEST(long_payloads_stay_where_they_are)
{
  enum { N = 5000 };
  float *w = calloc(N, 4);
  for (int i = 0; i < N; i++) w[i] = (float)i;
  struct ir_buf raw = w_tensor("a", 1, 1, (int64_t[]){ N }, w, N * 4), packed = w_tensor("b", 1, 1, (int64_t[]){ N }, NULL, 0), ints = w_tensor("c", 7, 1, (int64_t[]){ N }, NULL, 0);
  w_bytes(&packed, 4, w, N * 4);
  struct ir_buf v = { 0 }, g = { 0 };
  for (int i = 0; i < N; i++) w_varint(&v, (uint64_t)(int64_t)(i - 100));
  w_msg(&ints, 7, v);
  w_msg(&g, 5, raw);
  w_msg(&g, 5, packed);
  w_msg(&g, 5, ints);
  struct ir_buf b = w_model(13, g);
  struct onnx_file *f = read_buf(&b, NULL);
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(f->tensors.n, 3);
  for (int i = 0; i < 2; i++) {
    const struct ir_data *d = &f->tensors.v[i]->data;
    ck_assert(d->p > (unsigned char *)b.s && d->p + d->bytes < (unsigned char *)b.s + b.n);
    ck_assert_mem_eq(d->p, w, N * 4);
  }
  for (int i = 0; i < N; i++) {
    int64_t x;
    memcpy(&x, f->tensors.v[2]->data.p + 8 * i, 8);
    ck_assert_int_eq(x, i - 100);
  }
  onnx_close(f);
  ir_buf_deinit(&b);
  free(w);
}
END_TEST
/* All types that the IR has, as typed fields. Row: ONNX's number, field, bytes that 1 and 2 become. */
START_TEST(typed_fields_become_bytes)
{
  static const struct { int type, field; const char *bytes; unsigned n; } row[] = {
    { 2, 5, "\1\2", 2 }, { 3, 5, "\1\2", 2 }, { 9, 5, "\1\1", 2 }, { 4, 5, "\1\0\2\0", 4 }, { 5, 5, "\1\0\2\0", 4 }, { 10, 5, "\1\0\2\0", 4 }, { 16, 5, "\1\0\2\0", 4 },
    { 6, 5, "\1\0\0\0\2\0\0\0", 8 }, { 12, 11, "\1\0\0\0\2\0\0\0", 8 }, { 7, 7, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16 }, { 13, 11, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16 },
  };
  for (unsigned i = 0; i < sizeof row / sizeof *row; i++)
    for (int packed = 0; packed < 2; packed++) {
      struct ir_buf t = w_tensor("t", row[i].type, 1, (int64_t[]){ 2 }, NULL, 0);
      if (packed) w_bytes(&t, (unsigned)row[i].field, "\1\2", 2);
      else { w_int(&t, (unsigned)row[i].field, 1); w_int(&t, (unsigned)row[i].field, 2); }
      struct ir_buf b = model_of(t);
      struct onnx_file *f = read_buf(&b, NULL);
      ck_assert_msg(f, "%s", diags.first.s);
      ck_assert_uint_eq(f->tensors.v[0]->data.bytes, row[i].n);
      ck_assert_mem_eq(f->tensors.v[0]->data.p, row[i].bytes, row[i].n);
      onnx_close(f);
      ir_buf_deinit(&b);
    }
}
END_TEST
START_TEST(bytes_must_fit_the_shape)
{
  const int64_t huge[] = { (int64_t)1 << 62, 2 }, hole[] = { (int64_t)1 << 62, (int64_t)1 << 62, 0 }, neg[] = { -1 }, two[] = { 2 };
  refuse(model_of(w_tensor("t", 1, 1, two, "1234", 4)), "M0103");
  teardown(); setup();
  refuse(model_of(w_tensor("t", 1, 1, two, NULL, 0)), "M0103");
  teardown(); setup();
  refuse(model_of(w_tensor("t", 1, 2, huge, "", 0)), "M0201");
  teardown(); setup();
  refuse(model_of(w_tensor("t", 1, 3, hole, "", 0)), "M0201");
  teardown(); setup();
  refuse(model_of(w_tensor("t", 1, 1, neg, "", 0)), "M0201");
  teardown(); setup();
  int64_t ones[17];
  for (int i = 0; i < 17; i++) ones[i] = 1;
  refuse(model_of(w_tensor("t", 1, 17, ones, "1234", 4)), "M0201");
  teardown(); setup();
  struct ir_buf both = w_tensor("t", 7, 1, two, "1234567812345678", 16);
  w_int(&both, 7, 1);
  refuse(model_of(both), "M0103");
}
END_TEST
/* A file that brings the reader's private fields must not reach memory through them. */
START_TEST(private_fields_of_a_file_are_dropped)
{
  struct ir_buf t = w_tensor("t", 1, 1, (int64_t[]){ 1000 }, NULL, 0);
  w_int(&t, 1000, 9);
  w_int(&t, 1001, 0);
  w_int(&t, 1002, 4000);
  refuse(model_of(t), "M0103");
}
END_TEST

/* ---- external data ---- */
static struct ir_buf external(const char *location, const char *offset, const char *length)
{
  struct ir_buf t = w_tensor("w", 1, 1, (int64_t[]){ 2 }, NULL, 0);
  const char *kv[3][2] = { { "location", location }, { "offset", offset }, { "length", length } };
  for (int i = 0; i < 3; i++) {
    if (!kv[i][1]) continue;
    struct ir_buf e = { 0 };
    w_str(&e, 1, kv[i][0]);
    w_str(&e, 2, kv[i][1]);
    w_msg(&t, 13, e);
  }
  w_int(&t, 14, 1);
  return model_of(t);
}
static void write_file(const char *path, const void *p, size_t n)
{
  FILE *f = fopen(path, "wb");
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(fwrite(p, 1, n, f), n);
  fclose(f);
}
/* A folder with model/w.bin, model/sub/w.bin, secret.bin beside it, and links. */
static char folder[64], model_dir[80];
static void make_folder(void)
{
  char path[160], secret[160];
  float w[4] = { 1, 2, 3, 4 };
  snprintf(folder, sizeof folder, "onnx_external.XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  snprintf(model_dir, sizeof model_dir, "%s/model", folder);
  ck_assert_int_eq(mkdir(model_dir, 0700), 0);
  snprintf(path, sizeof path, "%s/sub", model_dir);
  ck_assert_int_eq(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/sub/w.bin", model_dir); write_file(path, w, sizeof w);
  snprintf(path, sizeof path, "%s/w.bin", model_dir); write_file(path, w, sizeof w);
  snprintf(path, sizeof path, "%s/secret.bin", folder); write_file(path, w, sizeof w);
  snprintf(path, sizeof path, "%s/link.bin", model_dir); ck_assert_int_eq(symlink("../secret.bin", path), 0);
  snprintf(path, sizeof path, "%s/dir", model_dir); ck_assert_int_eq(symlink("..", path), 0);
  snprintf(path, sizeof path, "%s/inner.bin", model_dir); ck_assert_int_eq(symlink("w.bin", path), 0);
  snprintf(path, sizeof path, "%s/hard.bin", model_dir); snprintf(secret, sizeof secret, "%s/secret.bin", folder); ck_assert_int_eq(link(secret, path), 0);
  snprintf(path, sizeof path, "%s/pipe", model_dir); ck_assert_int_eq(mkfifo(path, 0600), 0);
}
static void remove_folder(void)
{
  static const char *const names[] = { "model/sub/w.bin", "model/sub", "model/w.bin", "model/link.bin", "model/dir", "model/inner.bin", "model/hard.bin", "model/pipe", "model", "secret.bin", "" };
  char path[160];
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
}
START_TEST(external_data_is_mapped)
{
  static const struct { const char *location, *offset, *length; float first; } row[] = {
    { "w.bin", NULL, NULL, 1 }, { "w.bin", "8", NULL, 3 }, { "w.bin", "4", "8", 2 }, { "sub/w.bin", "0", "8", 1 }, { "./w.bin", NULL, "8", 1 },
  };
  make_folder();
  for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
    struct ir_buf b = external(row[i].location, row[i].offset, row[i].length);
    struct onnx_file *f = read_buf(&b, model_dir);
    ck_assert_msg(f, "%s", diags.first.s);
    float v;
    memcpy(&v, f->tensors.v[0]->data.p, 4);
    ck_assert(v == row[i].first);
    const char *const *paths;
    ck_assert_uint_eq(onnx_depfiles(f, &paths), 1);
    onnx_close(f);
    ir_buf_deinit(&b);
  }
  remove_folder();
}
END_TEST
START_TEST(external_data_stays_beneath_the_folder)
{
  static const struct { const char *location, *offset, *length, *code; } row[] = {
    { "../secret.bin", NULL, NULL, "M0106" }, { "sub/../../secret.bin", NULL, NULL, "M0106" }, { "/etc/hostname", NULL, NULL, "M0106" }, { "link.bin", NULL, NULL, "M0106" },
    { "dir/secret.bin", NULL, NULL, "M0106" }, { "inner.bin", NULL, NULL, "M0106" }, { "hard.bin", NULL, NULL, "M0106" }, { "pipe", NULL, NULL, "M0106" }, { "sub", NULL, NULL, "M0106" }, { ".", NULL, NULL, "M0106" },
    { "", NULL, NULL, "M0106" }, { "sub/", NULL, NULL, "M0106" }, { "w.bin/x", NULL, NULL, "M0106" }, { "none.bin", NULL, NULL, "M0001" }, { NULL, NULL, NULL, "M0103" },
    { "w.bin", "12", NULL, "M0103" }, { "w.bin", "18446744073709551615", NULL, "M0103" }, { "w.bin", "18446744073709551616", NULL, "M0103" }, { "w.bin", "-1", NULL, "M0103" },
    { "w.bin", "0", "16", "M0103" }, { "w.bin", "", NULL, "M0103" },
  };
  make_folder();
  for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
    struct ir_buf b = external(row[i].location, row[i].offset, row[i].length);
    struct onnx_file *f = read_buf(&b, model_dir);
    bool ok = !f && strstr(diags.first.s, row[i].code);
    if (!ok) remove_folder();
    ck_assert_msg(ok, "\"%s\": %s, expected %s", row[i].location ? row[i].location : "none", f ? "accepted" : diags.first.s, row[i].code);
    ir_buf_deinit(&b);
    teardown(); setup();
  }
  remove_folder();
}
END_TEST
START_TEST(external_data_needs_a_folder) { refuse(external("w.bin", NULL, NULL), "M0106"); }
END_TEST
START_TEST(another_root_may_be_named)
{
  make_folder();
  struct onnx_options o = { .external_root = model_dir };
  static const char *const names[] = { "w.bin", "hard.bin" };       /* whoever names the folder vouches for its links */
  for (unsigned i = 0; i < 2; i++) {
    struct ir_buf b = external(names[i], NULL, NULL);
    struct onnx_file *f = onnx_read_bytes(arena, &diags, (unsigned char *)b.s, b.n, folder, &o);
    if (!f) remove_folder();
    ck_assert_msg(f, "%s", diags.first.s);
    onnx_close(f);
    ir_buf_deinit(&b);
  }
  remove_folder();
}
END_TEST
START_TEST(missing_file_is_an_io_error)
{
  ck_assert_ptr_null(onnx_read(arena, &diags, "no/such/model.onnx", NULL));
  ck_assert_ptr_nonnull(strstr(diags.first.s, "M0001"));
  ck_assert_int_eq(diags.status, IR_EXIT_IO);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("onnx_read");
  TCase *t = tcase_create("read");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, small_model_is_read);
  tcase_add_test(t, every_prefix_is_refused_or_read);
  tcase_add_test(t, every_bit_flip_is_survived);
  tcase_add_test(t, empty_and_foreign_files_are_refused);
  tcase_add_test(t, overlong_numbers_and_groups_are_refused);
  tcase_add_test(t, nesting_is_bounded);
  tcase_add_test(t, memory_is_bounded);
  tcase_add_test(t, every_allocation_may_fail);
  tcase_add_test(t, long_payloads_stay_where_they_are);
  tcase_add_test(t, typed_fields_become_bytes);
  tcase_add_test(t, bytes_must_fit_the_shape);
  tcase_add_test(t, private_fields_of_a_file_are_dropped);
  tcase_add_test(t, external_data_is_mapped);
  tcase_add_test(t, external_data_stays_beneath_the_folder);
  tcase_add_test(t, external_data_needs_a_folder);
  tcase_add_test(t, another_root_may_be_named);
  tcase_add_test(t, missing_file_is_an_io_error);
  suite_add_tcase(s, t);
  return tap_run(s);
}
