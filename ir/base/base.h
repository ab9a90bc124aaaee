/* ir/base: the bottom layer of the compiler.
 *
 * Owns: arenas, growing vectors, text buffers, string interning, hashing, file mapping and diagnostics.
 * Needs: libc; yaml_tree.h (YAML files as trees) libyaml.  Never: knows what a graph or a kernel is, exits (but for ir_bug), prints except through struct ir_diags.
 * Memory: everything that belongs to a compilation lives in arenas and is never freed piece by piece. */
#ifndef MASSC_IR_BASE_H
#define MASSC_IR_BASE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- arena: zeroed memory with one lifetime ---- */
struct ir_arena;
struct ir_arena *ir_arena_create(void);
void ir_arena_destroy(struct ir_arena *a);                  /* NULL is fine */
void *ir_arena_alloc(struct ir_arena *a, size_t bytes);     /* zeroed, aligned to 16; out of memory ends the process with 70 */
char *ir_arena_strdup(struct ir_arena *a, const char *s);
char *ir_arena_strndup(struct ir_arena *a, const char *s, size_t n);
char *ir_arena_printf(struct ir_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void *ir_arena_copy(struct ir_arena *a, const void *p, size_t bytes);
#define IR_NEW(arena, T) ((T *)ir_arena_alloc((arena), sizeof(T)))
#define IR_NEWN(arena, T, n) ((T *)ir_arena_alloc((arena), sizeof(T) * (size_t)(n)))

/* ---- vector that grows in an arena:  IR_VEC(struct ir_node *) nodes;  ir_push(a, &nodes, n); ---- */
#define IR_VEC(T) struct { T *v; uint32_t n, cap; }
void *ir_vec_grow(struct ir_arena *a, void *v, uint32_t n, uint32_t *cap, size_t elem_bytes);
#define ir_push(arena, vec, x) \
  ((vec)->n == (vec)->cap ? (void)((vec)->v = ir_vec_grow((arena), (vec)->v, (vec)->n, &(vec)->cap, sizeof *(vec)->v)) : (void)0, \
   (vec)->v[(vec)->n++] = (x))

/* ---- text buffer on the heap; s is always terminated once anything was added ---- */
struct ir_buf { char *s; size_t n, cap; };
void ir_buf_add(struct ir_buf *b, const void *p, size_t n);
void ir_buf_printf(struct ir_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ir_buf_deinit(struct ir_buf *b);

/* ---- hashing and interned strings ---- */
uint64_t ir_hash(const void *p, size_t n, uint64_t seed);  /* same value on every machine and in every run */
struct ir_strtab;                                          /* string -> one pointer; compare pointers afterwards */
struct ir_strtab *ir_strtab_create(struct ir_arena *a);
const char *ir_intern(struct ir_strtab *t, const char *s, size_t n);

/* ---- files ---- */
struct ir_mapping { const unsigned char *p; size_t n; };       /* read-only mapping; n == 0 gives p == NULL */
/* Maps a regular file. Returns 0 or an errno value (EISDIR, ENOENT, ..). The mapping lives until ir_file_unmap. */
int ir_file_map(const char *path, struct ir_mapping *out);
void ir_file_unmap(struct ir_mapping *m);

/* ---- exit statuses of massc (docs/commands.md) ---- */
enum { IR_EXIT_OK = 0, IR_EXIT_MODEL = 1, IR_EXIT_USAGE = 2, IR_EXIT_BUG = 70, IR_EXIT_IO = 74 };

/* ---- diagnostics: the user's model or flags are wrong ----
 * Made once, where the facts are known; the maker then returns false, passed up with TRY.
 * One line each:  FILE: "node" (Op): error M0123: what was found, what was expected, what to do
 * The codes and their long explanations (massc --explain) are the rows of messages.def. */
enum ir_msg {
#define MSG(code, title, text) IR_##code,
#include "messages.def"
#undef MSG
  IR_MSG_COUNT
};
struct ir_diags {
  FILE *out;              /* NULL: counted only */
  const char *file;       /* the model, as the user named it */
  unsigned errors, warnings;
  unsigned max_errors;    /* further ones are counted, not printed; 0 means 100 */
  int status;             /* exit status of the first error: IR_EXIT_MODEL or IR_EXIT_IO */
  bool quiet;             /* no warnings */
  struct ir_buf first;    /* text of the first error, for tests and for --json */
};
/* node, op: NULL where there is none. Control characters of names are escaped. Always returns false. */
bool ir_error(struct ir_diags *d, enum ir_msg m, const char *node, const char *op, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void ir_warn(struct ir_diags *d, enum ir_msg m, const char *node, const char *op, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
const char *ir_msg_name(enum ir_msg m);                    /* "M0101" */
const char *ir_msg_title(enum ir_msg m);
const char *ir_msg_text(enum ir_msg m);
#define TRY(x) do { if (!(x)) return false; } while (0)

/* ---- our own mistakes ---- */
/* Prints "massc: internal error in WHERE: ..." and where to report it, then exits with 70. Hooks (the graph at hand) are printed first. */
_Noreturn void ir_bug(const char *where, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ir_bug_hook(void (*fn)(void *), void *arg);           /* called once by ir_bug; NULL removes it */
#define IR_ASSERT(c) do { if (!(c)) ir_bug(__func__, "%s:%d: %s", __FILE__, __LINE__, #c); } while (0)

/* ---- checked 64-bit arithmetic: false on overflow, *out untouched ---- */
static inline bool ir_add64(int64_t a, int64_t b, int64_t *out) { int64_t r; if (__builtin_add_overflow(a, b, &r)) return false; *out = r; return true; }
static inline bool ir_mul64(int64_t a, int64_t b, int64_t *out) { int64_t r; if (__builtin_mul_overflow(a, b, &r)) return false; *out = r; return true; }
static inline int64_t ir_floordiv(int64_t a, int64_t b) { int64_t q = a / b; return q - (a % b != 0 && (a < 0) != (b < 0)); }
static inline int64_t ir_floormod(int64_t a, int64_t b) { int64_t r = a % b; return r != 0 && (r < 0) != (b < 0) ? r + b : r; }
#endif
