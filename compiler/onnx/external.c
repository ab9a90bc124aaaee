/* External data: files beneath the model's folder, opened folder by folder without following links, so that no name reaches outside. A file with a second name
 * (a hard link) may be one from outside too, and is read only where the user named the folder. */
#include "compiler/onnx/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refused(struct onnx_file *f, const char *where, const char *location, const char *why)
{
  return ir_error(f->diags, IR_M0106, where, NULL, "external data \"%s\" %s; it must be a regular file beneath %s, reached without links (--external-root names another folder)",
                  location, why, f->root ? f->root : "the model's folder");
}
static bool unreadable(struct onnx_file *f, const char *where, const char *location, int err)
{
  if (err == ELOOP || err == ENOTDIR || err == EMLINK) return refused(f, where, location, "leads through a symbolic link or a file");
  return ir_error(f->diags, IR_M0001, where, NULL, "external data \"%s\" beneath %s: %s", location, f->root, strerror(err));
}
/* Opens the next component of *rest in `dir`, which is closed. -1: errno is set. */
static int open_step(int dir, const char **rest)
{
  const char *s = *rest + strspn(*rest, "/"), *e = s + strcspn(s, "/");
  char part[256];
  int fd = -1;
  if ((size_t)(e - s) >= sizeof part) errno = ENAMETOOLONG;
  else {
    memcpy(part, s, (size_t)(e - s));
    part[e - s] = 0;
    bool last = e[strspn(e, "/")] == 0;
    fd = openat(dir, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK | O_NOCTTY : O_DIRECTORY));
  }
  int err = errno;
  close(dir);
  errno = err;
  *rest = e + strspn(e, "/");
  return fd;
}
static int open_beneath(const char *root, const char *location)
{
  int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (fd >= 0 && *location) fd = open_step(fd, &location);
  return fd;
}
/* No empty name, no root, no "..", nothing that ends in a slash. */
static const char *bad_name(const char *s)
{
  if (!*s) return "has no name";
  if (*s == '/') return "is an absolute path";
  for (const char *p = s; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && p[0] == '.' && p[1] == '.') return "leaves the folder through \"..\"";
    if (n == 0) return "has an empty component";
    p += n;
    if (*p == '/' && !*++p) return "is a folder";
  }
  return NULL;
}
static bool map_fd(struct onnx_file *f, int fd, const struct stat *st, const char *location, const char *where, struct ir_mapping *out)
{
  if (!S_ISREG(st->st_mode)) return refused(f, where, location, "is not a regular file");
  if (st->st_nlink > 1 && !f->root_named) return refused(f, where, location, "is a hard link");
  if (!st->st_size) return true;
  void *p = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (p == MAP_FAILED) return unreadable(f, where, location, errno);
  *out = (struct ir_mapping){ p, (size_t)st->st_size };
  return true;
}
static const struct onnx_mapped *find_location(const struct onnx_file *f, const char *location)
{
  for (uint32_t i = f->externals.n; i-- > 0;)
    if (!strcmp(f->externals.v[i]->location, location)) return f->externals.v[i];
  return NULL;
}
static const struct onnx_mapped *find_file(const struct onnx_file *f, const struct stat *st)   /* the same file by another name, as "./w.bin" */
{
  for (uint32_t i = f->externals.n; i-- > 0;)
    if (f->externals.v[i]->device == st->st_dev && f->externals.v[i]->inode == st->st_ino) return f->externals.v[i];
  return NULL;
}
bool onnx_external_map(struct onnx_file *f, const char *location, const char *where, const struct onnx_mapped **out)
{
  struct stat st;
  if (!f->root) return refused(f, where, location, "cannot be found: the model has no folder");
  if ((*out = find_location(f, location))) return true;
  if (f->externals.n >= 65536) return ir_error(f->diags, IR_M0102, where, NULL, "more than 65536 files of external data");
  const char *why = bad_name(location);
  if (why) return refused(f, where, location, why);
  int fd = open_beneath(f->root, location);
  if (fd < 0) return unreadable(f, where, location, errno);
  struct onnx_mapped *m = IR_NEW(f->arena, struct onnx_mapped);
  bool ok = fstat(fd, &st) ? unreadable(f, where, location, errno) : (*out = find_file(f, &st)) || map_fd(f, fd, &st, location, where, &m->map);
  close(fd);
  if (!ok || *out) return ok;
  m->location = ir_arena_strdup(f->arena, location);
  m->path = !strcmp(f->root, ".") ? m->location : ir_arena_printf(f->arena, "%s/%s", f->root, location);
  m->device = st.st_dev;
  m->inode = st.st_ino;
  ir_push(f->arena, &f->externals, m);
  ir_push(f->arena, &f->depfiles, m->path);
  *out = m;
  return true;
}

/* ---- overlap ---- */
static int by_place(const void *a, const void *b)
{
  const struct onnx_tensor *x = *(struct onnx_tensor *const *)a, *y = *(struct onnx_tensor *const *)b;
  int files = strcmp(x->data.file, y->data.file);
  if (files) return files;
  if (x->data.offset != y->data.offset) return x->data.offset < y->data.offset ? -1 : 1;
  if (x->data.bytes != y->data.bytes) return x->data.bytes < y->data.bytes ? -1 : 1;
  return (x->number > y->number) - (x->number < y->number);
}
static bool check_pair(struct onnx_file *f, const struct onnx_tensor *x, const struct onnx_tensor *y)   /* x begins first */
{
  if (strcmp(x->data.file, y->data.file) || x->data.offset + x->data.bytes <= y->data.offset) return true;
  if (x->data.offset == y->data.offset && x->data.bytes == y->data.bytes) return true;
  return ir_error(f->diags, IR_M0103, y->name, NULL, "external data at offset %llu, %llu bytes, overlaps that of \"%s\" (offset %llu, %llu bytes); two tensors may share all of their bytes or none",
                  (unsigned long long)y->data.offset, (unsigned long long)y->data.bytes, x->name ? x->name : "", (unsigned long long)x->data.offset, (unsigned long long)x->data.bytes);
}
bool onnx_external_check(struct onnx_file *f)
{
  struct onnx_tensor **v = IR_NEWN(f->arena, struct onnx_tensor *, f->tensors.n + 1);
  uint32_t n = 0, widest = 0;
  bool ok = true;
  for (uint32_t i = 0; i < f->tensors.n; i++) {
    struct onnx_tensor *x = f->tensors.v[i];
    x->number = i;
    if (x->proto && x->proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL && x->data.file && x->data.bytes) v[n++] = x;
  }
  qsort(v, n, sizeof *v, by_place);
  for (uint32_t i = 1; i < n; i++) {                   /* widest: the one that reaches furthest so far */
    ok &= check_pair(f, v[widest], v[i]);
    if (strcmp(v[widest]->data.file, v[i]->data.file) || v[i]->data.offset + v[i]->data.bytes > v[widest]->data.offset + v[widest]->data.bytes) widest = i;
  }
  return ok;
}
void onnx_external_close(struct onnx_file *f)
{
  for (uint32_t i = 0; i < f->externals.n; i++) ir_file_unmap(&f->externals.v[i]->map);
  f->externals.n = 0;
}
