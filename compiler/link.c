/* Linking: see link.h. The steps, for all kinds: objects, the runtime and a placeholder for the weights into temporary files; ld; for relocatable objects
 * objcopy, which makes all but PREFIX_* local; the weights behind the linked file; rename. */
#include "compiler/link.h"
#include "compiler/link_elf.h"
#include "compiler/link_tools.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* the runtime's objects, as bytes (runtime/meson.build) */
extern const unsigned char _binary_runtime_rt_o_start[], _binary_runtime_rt_o_end[], _binary_runtime_rt_main_o_start[], _binary_runtime_rt_main_o_end[];

/* ld.bfd opens a new segment after a writable one only across an unused page, hence the second term; ld.lld would put the section first. gold does not know
 * INSERT and is not used. */
static const char script[] = "SECTIONS { .lrodata ALIGN(0x1000) + 0x40000 : { KEEP(*(.lrodata)) } } INSERT AFTER .bss;\n";

struct linking {
  struct ir_diags *d;
  const struct link_job *j;
  struct ir_arena *a;
  struct link_temp *t;
  const char *out;                               /* j->out, symbolic links followed */
  IR_VEC(const char *) objects;
};
struct argv { char **v; uint32_t n, cap; };

static void arg(struct linking *l, struct argv *v, const char *s) { ir_push(l->a, v, (char *)s); }
static void args(struct linking *l, struct argv *v, const char *const *s) { while (*s) arg(l, v, *s++); }
#define ARGS(l, v, ...) args(l, v, (const char *const[]){ __VA_ARGS__, NULL })

/* ---- the output's place ---- */
/* The place to write to: where a symbolic link leads. Devices and directories are refused, since renaming would replace them. */
static bool resolve_output(struct ir_diags *d, struct ir_arena *a, const char *out, const char **real)
{
  struct stat st;
  char path[PATH_MAX];
  *real = out;
  if (!*out) return ir_error(d, IR_M0002, NULL, NULL, "the output's name is empty");
  if (realpath(out, path)) *real = ir_arena_strdup(a, path);
  if (stat(*real, &st)) return true;
  if (S_ISDIR(st.st_mode)) return ir_error(d, IR_M0002, NULL, NULL, "%s: %s", out, strerror(EISDIR));
  return S_ISREG(st.st_mode) || ir_error(d, IR_M0002, NULL, NULL, "%s: not a regular file", out);
}
static mode_t file_mode(mode_t wanted)
{
  mode_t mask = umask(0);
  umask(mask);
  return wanted & ~mask;
}

/* ---- steps ---- */
static bool add_object(struct linking *l, const char *name, const void *p, size_t n)
{
  const char *path;
  TRY(link_temp_write(l->d, l->t, name, p, n, &path));
  ir_push(l->a, &l->objects, path);
  return true;
}
static bool write_objects(struct linking *l)
{
  unsigned char *w = ir_arena_alloc(l->a, LINK_PLACEHOLDER_OBJECT);
  for (unsigned i = 0; i < l->j->n_objects; i++) TRY(add_object(l, ir_arena_printf(l->a, "%u.o", i), l->j->objects[i].p, l->j->objects[i].n));
  TRY(add_object(l, "rt.o", _binary_runtime_rt_o_start, (size_t)(_binary_runtime_rt_o_end - _binary_runtime_rt_o_start)));
  if (l->j->kind == LINK_EXE) TRY(add_object(l, "main.o", _binary_runtime_rt_main_o_start, (size_t)(_binary_runtime_rt_main_o_end - _binary_runtime_rt_main_o_start)));
  return add_object(l, "weights.o", w, link_elf_placeholder(w, l->j->weights_symbol));
}
static const char *need_program(struct linking *l, const char *const *names)
{
  const char *p = link_find_program(l->a, names);
  if (!p) ir_error(l->d, IR_M0402, NULL, NULL, "%s is not on the path; it comes with Debian's package binutils (linking also needs libc6-dev)", names[0]);
  return p;
}
static const char *need_ld(struct linking *l)
{
  static const char *const names[] = { "ld", "ld.bfd", "x86_64-linux-gnu-ld", NULL }, *const bfd[] = { "ld.bfd", "x86_64-linux-gnu-ld.bfd", NULL };
  const char *p = link_find_program(l->a, bfd);
  return p ? p : need_program(l, names);
}
static const char *need_libc(struct linking *l)
{
  const char *dir = link_libc_dir(l->a);
  if (!dir) ir_error(l->d, IR_M0402, NULL, NULL, "the C library's files for linking (Scrt1.o, libc.so, ..) are absent; they come with Debian's package libc6-dev");
  return dir;
}
/* The options of both linked kinds. The same inputs give the same bytes: no build-id, no paths. */
static bool link_final(struct linking *l, const char *linked)
{
  bool exe = l->j->kind == LINK_EXE;
  const char *ld = need_ld(l), *dir = ld ? need_libc(l) : NULL, *script_path, *version_path;
  struct argv v = { 0 };
  if (!dir) return false;
  TRY(link_temp_write(l->d, l->t, "weights.ld", script, sizeof script - 1, &script_path));
  ARGS(l, &v, ld, "-m", "elf_x86_64", exe ? "-pie" : "-shared", "--build-id=none", "--hash-style=gnu", "--gc-sections", "--eh-frame-hdr", "-z", "noexecstack", "-z",
       "relro", "-z", "now", "-o", linked);
  if (exe) ARGS(l, &v, "-dynamic-linker", "/lib64/ld-linux-x86-64.so.2", ir_arena_printf(l->a, "%s/Scrt1.o", dir));
  else {
    const char *text = ir_arena_printf(l->a, "{ global: %s_*; local: *; };\n", l->j->prefix);
    TRY(link_temp_write(l->d, l->t, "export.map", text, strlen(text), &version_path));
    ARGS(l, &v, "--version-script", version_path);
  }
  arg(l, &v, ir_arena_printf(l->a, "%s/crti.o", dir));
  for (uint32_t i = 0; i < l->objects.n; i++) arg(l, &v, l->objects.v[i]);
  ARGS(l, &v, "-T", script_path, "-L", dir, "--as-needed", "-lm", "-lc", ir_arena_printf(l->a, "%s/crtn.o", dir));
  arg(l, &v, NULL);
  return link_run(l->d, l->j->out, v.v, l->j->verbose);
}
static bool link_relocatable(struct linking *l, const char *linked)
{
  static const char *const objcopy_names[] = { "objcopy", NULL };
  const char *ld = need_ld(l), *objcopy = ld ? need_program(l, objcopy_names) : NULL, *joined = link_temp_path(l->t, "joined.o");
  struct argv v = { 0 }, w = { 0 };
  if (!objcopy) return false;
  ARGS(l, &v, ld, "-m", "elf_x86_64", "-r", "-z", "noexecstack", "-o", joined);
  for (uint32_t i = 0; i < l->objects.n; i++) arg(l, &v, l->objects.v[i]);
  arg(l, &v, NULL);
  TRY(link_run(l->d, l->j->out, v.v, l->j->verbose));
  ARGS(l, &w, objcopy, "--wildcard", ir_arena_printf(l->a, "--keep-global-symbol=%s_*", l->j->prefix), joined, linked);
  arg(l, &w, NULL);
  return link_run(l->d, l->j->out, w.v, l->j->verbose);
}
static bool attach(struct linking *l, int fd)
{
  int64_t offset;
  struct stat st;
  if (!l->j->weights_bytes) return true;         /* the placeholder's zeros stay */
  const char *why = link_elf_attach(fd, l->j->weights_bytes, &offset);
  if (why && *why) ir_bug("link", "%s", why);
  if (why) return ir_error(l->d, IR_M0002, NULL, NULL, "%s: %s", l->j->out, strerror(errno));
  TRY(l->j->write_weights(l->j->arg, fd, offset));
  if (fstat(fd, &st)) return ir_error(l->d, IR_M0002, NULL, NULL, "%s: %s", l->j->out, strerror(errno));
  if ((uint64_t)st.st_size < (uint64_t)offset + l->j->weights_bytes && ftruncate(fd, offset + (off_t)l->j->weights_bytes))   /* zeros at the end may be left out */
    return ir_error(l->d, IR_M0002, NULL, NULL, "%s: %s", l->j->out, strerror(errno));
  return true;
}
static bool finish(struct linking *l, const char *linked)
{
  int fd = open(linked, O_RDWR | O_CLOEXEC);
  if (fd < 0) return ir_error(l->d, IR_M0002, NULL, NULL, "%s: %s", linked, strerror(errno));
  bool ok = attach(l, fd);
  if (ok && fchmod(fd, file_mode(l->j->kind == LINK_OBJECT ? 0666 : 0777))) ok = ir_error(l->d, IR_M0002, NULL, NULL, "%s: %s", l->j->out, strerror(errno));
  if (close(fd) && ok) ok = ir_error(l->d, IR_M0002, NULL, NULL, "%s: %s", l->j->out, strerror(errno));
  TRY(ok);
  return !rename(linked, l->out) || ir_error(l->d, IR_M0002, NULL, NULL, "%s: %s", l->j->out, strerror(errno));
}
static bool do_link(struct linking *l)
{
  const char *linked = link_temp_path(l->t, "linked");
  TRY(write_objects(l));
  TRY(l->j->kind == LINK_OBJECT ? link_relocatable(l, linked) : link_final(l, linked));
  return finish(l, linked);
}
bool link_output(struct ir_diags *d, const struct link_job *j)
{
  struct linking l = { .d = d, .j = j };
  if (!strcmp(j->out, "-")) return ir_error(d, IR_M0003, NULL, NULL, "-o -: only text can go to standard output; name a file");
  l.a = ir_arena_create();
  bool ok = resolve_output(d, l.a, j->out, &l.out) && (l.t = link_temp_begin(d, l.out)) && do_link(&l);
  link_temp_end(l.t);
  ir_arena_destroy(l.a);
  return ok;
}

/* ---- text and other small files ---- */
static bool write_fd(struct ir_diags *d, int fd, const char *path, const void *p, size_t n)
{
  for (size_t done = 0; done < n;) {
    ssize_t r = write(fd, (const char *)p + done, n - done);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return ir_error(d, IR_M0002, NULL, NULL, "%s: %s", path, strerror(errno));
    done += (size_t)r;
  }
  return true;
}
static bool write_in_place(struct ir_diags *d, const char *path, const void *p, size_t n)   /* a device or a pipe */
{
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return ir_error(d, IR_M0002, NULL, NULL, "%s: %s", path, strerror(errno));
  bool ok = write_fd(d, fd, path, p, n);
  return close(fd) && ok ? ir_error(d, IR_M0002, NULL, NULL, "%s: %s", path, strerror(errno)) : ok;
}
static bool write_and_rename(struct ir_diags *d, const char *path, const char *real, const void *p, size_t n, unsigned mode)
{
  const char *temp;
  struct link_temp *t = link_temp_begin(d, real);
  bool ok = t && link_temp_write(d, t, "file", p, n, &temp);
  if (ok && (chmod(temp, file_mode(mode)) || rename(temp, real))) ok = ir_error(d, IR_M0002, NULL, NULL, "%s: %s", path, strerror(errno));
  link_temp_end(t);
  return ok;
}
bool link_write_file(struct ir_diags *d, const char *path, const void *p, size_t n, unsigned mode)
{
  struct stat st;
  const char *real;
  if (!strcmp(path, "-")) { fflush(stdout); return write_fd(d, STDOUT_FILENO, "standard output", p, n); }
  if (!stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return write_in_place(d, path, p, n);
  struct ir_arena *a = ir_arena_create();
  bool ok = resolve_output(d, a, path, &real) && write_and_rename(d, path, real, p, n, mode);
  ir_arena_destroy(a);
  return ok;
}
