/* codegen's C printer, shared by its files alone (c*.c): flat kerns as CUDA C or OpenCL C 1.2.
 *
 * c.c        a file: head, prelude, signature; names       c_ix.c    index expressions and conditions
 * c_walk.c   ops and control flow                           c_mem.c   loads, stores, registers, copies
 * c_ew.c     scalar functions, casts, constants             c_help.c  types, and the small functions that a file brings along
 *
 * Values: f16, bf16 and tf32 are held as float, rounded after every op; bool as bool. Memory: bool is a byte, f16 and bf16 are 16-bit words. A vector of n is a struct
 * with v[n]; the text of a vector value has C_LANE where the place stands, so that a chain of operations becomes one loop over places. */
#ifndef MASSC_CG_C_H
#define MASSC_CG_C_H
#include "codegen/codegen.h"

#define C_LANE '\1'
enum { C_ATOM, C_UNARY, C_MUL, C_ADD, C_SHIFT, C_CMP, C_EQ, C_BAND, C_XOR, C_BOR, C_AND, C_OR, C_COND };   /* precedence, tightest first */
struct c_text { const char *s; unsigned prec; const char *unrounded; /* what s rounds to a half type, where that is all it does; else NULL */ };

/* What the two languages spell differently. */
struct c_dialect {
  const char *name, *ending;           /* "CUDA C", "cu" */
  const char *kernel;                  /* before the kernel's name: linkage, return type; %u: lanes, %u: warps */
  const char *function;                /* before a helper's return type */
  const char *global, *local;          /* address spaces in front of a pointer's target */
  const char *shared;                  /* of a static array */
  const char *restrict_;
  const char *block, *lane, *warp;     /* ids */
  const char *barrier;
  const char *i64, *u64, *i8, *i64_suffix;
  const char *inf, *nan;
  const char *prelude;
  unsigned static_bytes;               /* shared memory above this is asked for at launch */
  bool f_suffix;                       /* expf */
  bool warps;                          /* has shuffles, asynchronous copies, matrix units */
};
extern const struct c_dialect c_cuda, c_opencl;

struct c_named { const void *what; const char *name; uint64_t hash, id; unsigned number; };   /* hashes of name and of what it was made from, with which number */
/* A block of the text: what is named at its start, and the rest. */
enum { C_SCOPES = 160 };
struct c_scope { struct ir_buf decl, body; };
struct c_quotient { const struct ir_ix *a, *b; bool mod, wide; unsigned level; const char *name; };
struct c_val { const struct kir_op *op; unsigned uses; const struct kir_op *user; const struct kir_block *at, *user_at; uint32_t pos, root; bool inl; struct c_text t; const char *var; };
struct cc {
  struct ir_arena *a;
  const struct c_dialect *d;
  const struct kir_kern *k;
  struct c_scope scope[C_SCOPES]; unsigned level;    /* open blocks; 0 the kernel's */
  IR_VEC(struct c_quotient) quotients; /* that have a name now */
  IR_VEC(struct c_named) loops;        /* loop symbols, name NULL, in the order of the scopes they belong to */
  unsigned loop_level[C_SCOPES];
  const char *why;                     /* the first thing that could not be done */
  IR_VEC(struct c_named) names;        /* arrays, registers, symbols; what NULL: only taken */
  IR_VEC(struct c_named) help;         /* what the prelude needs: what is the text */
  struct c_val *val; uint32_t n_val, cap_val;   /* by kir_op, open addressing */
  const struct ir_ix *lane, *warp;     /* set when they are used */
  bool exchange, f64;
  bool waited;                         /* for the kernels before this one */
  bool own_tiles;                      /* lanes hold tiles of many registers: left to itself, ptxas sometimes spills them for more blocks at once */
  bool descriptors;                    /* it reads shared memory through descriptors: what threads wrote there must be made visible to them */
};
void c_fail(struct cc *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- c.c ---- */
const char *c_name(struct cc *c, const void *what, const char *base);        /* of `what`; made from base at first. NULL: a fresh one */
void c_line(struct cc *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));   /* indented, with a newline */
void c_open(struct cc *c);                                                   /* a block: lines go into it */
void c_close(struct cc *c);
void c_declare(struct cc *c, unsigned level, const char *line);              /* at the start of an open block */
const char *c_printf(struct cc *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *c_in(struct cc *c, struct c_text t, unsigned prec);              /* in parentheses if it binds weaker than prec */
const char *c_at_lane(struct cc *c, const char *s, const char *lane);        /* the place put in */
bool c_has_lane(const char *s);

/* ---- c_help.c ---- */
const char *c_type(struct cc *c, enum ir_elem e);                            /* of a value */
const char *c_store_type(struct cc *c, enum ir_elem e);                      /* in memory */
const char *c_vec(struct cc *c, enum ir_elem e, unsigned lanes, bool stored);/* the struct's name */
const char *c_help(struct cc *c, const char *name, enum ir_elem e);          /* the name of a helper for a type, which the file then has */
bool c_is_help(const char *name);                                            /* a helper's own, which nothing else may have */
const char *c_space(const struct cc *c, const struct kir_arr *a);            /* "__global " or "" */

/* ---- c_ix.c ---- */
bool c_ix_wide(const struct ir_ix *e);                                       /* is its text of 64 bits? */
struct c_text c_ix(struct cc *c, const struct ir_ix *e);
bool c_ix_reads(const struct ir_ix *e);                                      /* an element of an array */
struct c_text c_ix_as(struct cc *c, const struct ir_ix *e, bool wide);
struct c_text c_cond(struct cc *c, const struct ir_ix *e);                   /* e != 0 */
struct c_text c_all_ge0(struct cc *c, const struct ir_ix *const *e, unsigned n);   /* s NULL: always */
bool c_sym_wide(const struct ir_sym *s);

/* ---- c_ew.c ---- */
struct c_text c_const(struct cc *c, enum ir_elem e, double f, int64_t i);
struct c_text c_ew(struct cc *c, enum ir_map f, enum ir_elem e, const struct c_text *a);   /* e: the operands' type */
struct c_text c_cast(struct cc *c, enum ir_elem from, enum ir_elem to, struct c_text a);
struct c_text c_fma(struct cc *c, enum ir_elem e, const struct c_text *a);
struct c_text c_bits(struct cc *c, enum ir_elem from, enum ir_elem to, struct c_text a);
struct c_text c_from_storage(struct cc *c, enum ir_elem e, struct c_text a);
struct c_text c_unrounded(struct c_text a);                                  /* for what rounds it itself */
struct c_text c_to_storage(struct cc *c, enum ir_elem e, struct c_text a);

/* ---- c_mem.c ---- */
bool c_packed(const struct kir_reg *r);                                      /* words of 32 bits, as matrix instructions take them: pairs of 16-bit floats, tf32 */
void c_declare_regs(struct cc *c);
struct c_text c_get(struct cc *c, const struct kir_op *o);
void c_set(struct cc *c, const struct kir_op *o, struct c_text v, const char *var);
struct c_text c_load(struct cc *c, const struct kir_op *o);                  /* may print declarations */
void c_store(struct cc *c, const struct kir_op *o, struct c_text v, const char *var);
bool c_whole(const struct kir_kern *k, const struct kir_op *o);              /* a vector load or store that is one aligned piece */
void c_cp_async(struct cc *c, const struct kir_op *o);
void c_ldmatrix(struct cc *c, const struct kir_op *o);
void c_wgmma(struct cc *c, const struct kir_op *o);
void c_wgmma_wait(struct cc *c, const struct kir_op *o);
void c_mma(struct cc *c, const struct kir_op *o);
const char *c_element(struct cc *c, const struct kir_arr *a, const struct ir_ix *at, int64_t stride);   /* "x[i]" */

/* ---- c_walk.c ---- */
void c_body(struct cc *c);
#endif
