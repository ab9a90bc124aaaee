#include "ir/base/base.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- arena: a list of chunks, each at least as large as the last ---- */
struct chunk { struct chunk *next; size_t used, cap; };
enum { CHUNK_HEAD = 32, CHUNK_MIN = 64 << 10, CHUNK_MAX = 4 << 20 };
struct ir_arena { struct chunk *head; };

_Noreturn static void no_memory(size_t bytes)
{
  fprintf(stderr, "massc: out of memory (%zu bytes)\n", bytes);
  exit(IR_EXIT_BUG);
}
struct ir_arena *ir_arena_create(void)
{
  struct ir_arena *a = calloc(1, sizeof *a);
  if (!a) no_memory(sizeof *a);
  return a;
}
void ir_arena_destroy(struct ir_arena *a)
{
  if (!a) return;
  for (struct chunk *c = a->head, *n; c; c = n) { n = c->next; free(c); }
  free(a);
}
void *ir_arena_alloc(struct ir_arena *a, size_t bytes)
{
  if (bytes > SIZE_MAX / 2) no_memory(bytes);
  bytes = (bytes + 15) & ~(size_t)15;
  struct chunk *c = a->head;
  if (!c || c->cap - c->used < bytes) {
    size_t cap = c ? c->cap * 2 : CHUNK_MIN;
    if (cap > CHUNK_MAX) cap = CHUNK_MAX;
    if (cap < bytes) cap = bytes;
    struct chunk *fresh = calloc(1, CHUNK_HEAD + cap);
    if (!fresh) no_memory(cap);
    fresh->cap = cap;
    if (c && bytes > CHUNK_MAX / 2) { fresh->next = c->next; c->next = fresh; }   /* a large block does not end the current chunk */
    else { fresh->next = c; a->head = fresh; }
    c = fresh;
  }
  void *p = (char *)c + CHUNK_HEAD + c->used;
  c->used += bytes;
  return p;
}
void *ir_arena_copy(struct ir_arena *a, const void *p, size_t bytes)
{
  void *q = ir_arena_alloc(a, bytes);
  if (bytes) memcpy(q, p, bytes);
  return q;
}
char *ir_arena_strndup(struct ir_arena *a, const char *s, size_t n)
{
  char *q = ir_arena_alloc(a, n + 1);
  memcpy(q, s, n);
  return q;
}
char *ir_arena_strdup(struct ir_arena *a, const char *s) { return ir_arena_strndup(a, s, strlen(s)); }
char *ir_arena_printf(struct ir_arena *a, const char *fmt, ...)
{
  va_list ap, aq;
  va_start(ap, fmt);
  va_copy(aq, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  char *q = ir_arena_alloc(a, (size_t)n + 1);
  vsnprintf(q, (size_t)n + 1, fmt, aq);
  va_end(aq);
  va_end(ap);
  return q;
}
void *ir_vec_grow(struct ir_arena *a, void *v, uint32_t n, uint32_t *cap, size_t elem_bytes)
{
  uint32_t c = *cap ? *cap * 2 : 8;
  void *q = ir_arena_alloc(a, (size_t)c * elem_bytes);
  if (n) memcpy(q, v, (size_t)n * elem_bytes);
  *cap = c;
  return q;
}

/* ---- text buffer ---- */
static void buf_room(struct ir_buf *b, size_t n)
{
  if (b->cap - b->n > n) return;
  size_t cap = b->cap ? b->cap : 256;
  while (cap - b->n <= n) cap *= 2;
  char *s = realloc(b->s, cap);
  if (!s) no_memory(cap);
  b->s = s;
  b->cap = cap;
}
void ir_buf_add(struct ir_buf *b, const void *p, size_t n)
{
  buf_room(b, n);
  if (n) memcpy(b->s + b->n, p, n);
  b->n += n;
  b->s[b->n] = 0;
}
void ir_buf_printf(struct ir_buf *b, const char *fmt, ...)
{
  va_list ap, aq;
  va_start(ap, fmt);
  va_copy(aq, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  buf_room(b, (size_t)n);
  vsnprintf(b->s + b->n, (size_t)n + 1, fmt, aq);
  b->n += (size_t)n;
  va_end(aq);
  va_end(ap);
}
void ir_buf_deinit(struct ir_buf *b)
{
  free(b->s);
  *b = (struct ir_buf){ 0 };
}

/* ---- hash: 64-bit FNV-1a over 8-byte words with a final mix (xorshift-multiply) ---- */
uint64_t ir_hash(const void *p, size_t n, uint64_t seed)
{
  const unsigned char *s = p;
  uint64_t h = seed ^ 0xcbf29ce484222325u ^ (n * 0x9e3779b97f4a7c15u);
  for (; n >= 8; s += 8, n -= 8) {
    uint64_t w;
    memcpy(&w, s, 8);
    h = (h ^ w) * 0x100000001b3u;
    h ^= h >> 29;
  }
  for (; n; s++, n--) h = (h ^ *s) * 0x100000001b3u;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93u;
  return h ^ h >> 32;
}
struct ir_strtab { struct ir_arena *arena; const char **slot; uint32_t n, cap; };
struct ir_strtab *ir_strtab_create(struct ir_arena *a)
{
  struct ir_strtab *t = IR_NEW(a, struct ir_strtab);
  t->arena = a;
  return t;
}
static const char **strtab_slot(struct ir_strtab *t, const char *s, size_t n)
{
  uint32_t i = (uint32_t)ir_hash(s, n, 1) & (t->cap - 1);
  while (t->slot[i] && (strncmp(t->slot[i], s, n) || t->slot[i][n])) i = (i + 1) & (t->cap - 1);
  return &t->slot[i];
}
const char *ir_intern(struct ir_strtab *t, const char *s, size_t n)
{
  if (memchr(s, 0, n)) n = strlen(s);
  if (2 * t->n >= t->cap) {
    const char **old = t->slot;
    uint32_t oldcap = t->cap;
    t->cap = oldcap ? oldcap * 2 : 256;
    t->slot = IR_NEWN(t->arena, const char *, t->cap);
    for (uint32_t i = 0; i < oldcap; i++)
      if (old[i]) *strtab_slot(t, old[i], strlen(old[i])) = old[i];
  }
  const char **p = strtab_slot(t, s, n);
  if (!*p) { *p = ir_arena_strndup(t->arena, s, n); t->n++; }
  return *p;
}

/* ---- files ---- */
int ir_file_map(const char *path, struct ir_mapping *out)
{
  *out = (struct ir_mapping){ 0 };
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno;
  struct stat st;
  int err = 0;
  if (fstat(fd, &st)) err = errno;
  else if (S_ISDIR(st.st_mode)) err = EISDIR;
  else if (!S_ISREG(st.st_mode)) err = EINVAL;
  else if (st.st_size > 0) {
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) err = errno;
    else *out = (struct ir_mapping){ p, (size_t)st.st_size };
  }
  close(fd);
  return err;
}
void ir_file_unmap(struct ir_mapping *m)
{
  if (m->p) munmap((void *)m->p, m->n);
  *m = (struct ir_mapping){ 0 };
}

/* ---- diagnostics ---- */
static const struct { const char *name, *title, *text; } msgs[] = {
#define MSG(code, title, text) { #code, title, text },
#include "messages.def"
#undef MSG
};
const char *ir_msg_name(enum ir_msg m) { return msgs[m].name; }
const char *ir_msg_title(enum ir_msg m) { return msgs[m].title; }
const char *ir_msg_text(enum ir_msg m) { return msgs[m].text; }

static void add_escaped(struct ir_buf *b, const char *s)
{
  size_t n = 0;
  for (; *s && n < 200; s++, n++)
    if ((unsigned char)*s < 32 || *s == 127) ir_buf_printf(b, "\\x%02x", (unsigned char)*s);
    else ir_buf_add(b, s, 1);
  if (*s) ir_buf_add(b, "...", 3);
}
static void report(struct ir_diags *d, const char *level, enum ir_msg m, const char *node, const char *op, const char *fmt, va_list ap, struct ir_buf *b)
{
  va_list aq;
  va_copy(aq, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  char *text = malloc((size_t)n + 1);
  if (!text) no_memory((size_t)n + 1);
  vsnprintf(text, (size_t)n + 1, fmt, aq);
  va_end(aq);
  if (d->file) { add_escaped(b, d->file); ir_buf_printf(b, ": "); }
  if (node) { ir_buf_printf(b, "\""); add_escaped(b, node); ir_buf_printf(b, "\""); }
  if (op) { ir_buf_printf(b, node ? " (" : "("); add_escaped(b, op); ir_buf_printf(b, ")"); }
  ir_buf_printf(b, "%s%s %s: ", node || op ? ": " : "", level, msgs[m].name);
  for (const char *s = text; *s; s++)
    if ((unsigned char)*s < 32) ir_buf_printf(b, "\\x%02x", (unsigned char)*s);
    else ir_buf_add(b, s, 1);
  ir_buf_add(b, "\n", 1);
  free(text);
}
bool ir_error(struct ir_diags *d, enum ir_msg m, const char *node, const char *op, const char *fmt, ...)
{
  struct ir_buf b = { 0 };
  va_list ap;
  va_start(ap, fmt);
  report(d, "error", m, node, op, fmt, ap, &b);
  va_end(ap);
  if (!d->errors++) {
    d->status = m == IR_M0001 || m == IR_M0002 ? IR_EXIT_IO : IR_EXIT_MODEL;
    ir_buf_add(&d->first, b.s, b.n - 1);
  }
  if (d->out && d->errors <= (d->max_errors ? d->max_errors : 100)) fwrite(b.s, 1, b.n, d->out);
  ir_buf_deinit(&b);
  return false;
}
void ir_warn(struct ir_diags *d, enum ir_msg m, const char *node, const char *op, const char *fmt, ...)
{
  if (d->quiet || !d->out) { d->warnings++; return; }
  struct ir_buf b = { 0 };
  va_list ap;
  va_start(ap, fmt);
  report(d, "warning", m, node, op, fmt, ap, &b);
  va_end(ap);
  if (d->warnings++ < 20) fwrite(b.s, 1, b.n, d->out);
  ir_buf_deinit(&b);
}

/* ---- our own mistakes ---- */
static void (*bug_fn)(void *);
static void *bug_arg;
void ir_bug_hook(void (*fn)(void *), void *arg)
{
  bug_fn = fn;
  bug_arg = arg;
}
void ir_bug(const char *where, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  fprintf(stderr, "massc: internal error in %s: ", where);
  vfprintf(stderr, fmt, ap);
  fprintf(stderr, "\nThis is a bug in massc. Please report it with the model and the command line.\n");
  va_end(ap);
  if (bug_fn) { void (*fn)(void *) = bug_fn; bug_fn = NULL; fn(bug_arg); }
  exit(IR_EXIT_BUG);
}
