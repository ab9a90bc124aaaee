/* codegen's LLVM walk, shared by its files alone (llvm*.c, host.c).
 *
 * llvm.c       module, target machine, functions, emission          llvm_ix.c    index expressions -> i64, hoisting, addresses
 * llvm_walk.c  ops and control flow                                 llvm_mem.c   loads and stores: guards, masks, strides, storage types
 * llvm_ew.c    scalar functions, casts, folds over lanes            llvm_math.c  transcendentals in f32
 *
 * Values: f16, bf16 and tf32 are held as float, rounded after every op; bool as i1; all others as themselves. Memory: bool is a byte, f16 and bf16 are i16 that
 * llvm_mem.c converts. Vectors of any length are LLVM's. */
#ifndef MASSC_CODEGEN_LLVM_H
#define MASSC_CODEGEN_LLVM_H
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include "codegen/codegen.h"

typedef LLVMValueRef val;              /* LLVM's own typedefs are pointers; two that stand in every line get short names */
typedef LLVMTypeRef type;

enum { LL_MAX_LEVELS = 64, LL_HERE = 1 << 20 /* level of a value that depends on memory: computed where it is used */ };

struct ll_slot { const void *key[4]; uintptr_t op; void *v; };
struct ll_table { struct ll_slot *s; uint32_t n, cap; };   /* (op, up to 4 pointers) -> pointer; order never matters */

struct ll_sym { bool bound; val v; int64_t off; };         /* value is v + off; v NULL: the constant off */
struct ll_reg { val *cur, mem; };                          /* register array: SSA values, or a stack array when an index is not constant */

struct ll {
  struct ir_arena *arena;
  const struct cg_target *t;
  LLVMContextRef c;
  LLVMModuleRef m;
  LLVMBuilderRef b, hoist;             /* where the walk is; for insertion into heads of loops */
  LLVMTargetMachineRef tm;
  type i1, i8, i16, i32, i64, f32, f64, ptr;
  const char *why;                     /* the first thing that could not be done */
  /* the kern being walked */
  const struct kir_kern *k;
  val fn, scratch, *args;
  val level_end[LL_MAX_LEVELS];        /* terminators of the heads: 0 the entry, 1 the loop over tasks, then loops outside in */
  unsigned level;
  struct ll_sym *sym; uint32_t n_sym;  /* by ir_sym.id */
  struct ll_reg *reg;                  /* by place in k->regs */
  struct ll_table vals;                /* kir_op -> its value */
  struct ll_table slots;               /* of the module: constant -> where it lies */
  struct ll_table cse, levels;         /* (opcode, operands) -> value; value -> its level + 1 */
  IR_VEC(val) phis;
};

/* ---- llvm.c ---- */
void ll_fail(struct ll *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool ll_open(struct ll *l, struct ir_arena *a, const struct cg_target *t, const char *module, const char **why);
bool ll_finish(struct ll *l, enum cg_form form, struct ir_buf *out, const char **why);   /* verifies, emits */
void ll_close(struct ll *l);
val ll_function(struct ll *l, const char *name, type ret, const type *params, unsigned n);
void ll_attr(struct ll *l, val fn, unsigned at, const char *name);
void *ll_table_get(const struct ll_table *t, uintptr_t op, const void *k0, const void *k1, const void *k2, const void *k3);   /* NULL: absent */
void **ll_table_at(struct ll *l, struct ll_table *t, uintptr_t op, const void *k0, const void *k1, const void *k2, const void *k3);

/* ---- types and constants ---- */
type ll_vec(type t, unsigned lanes);                                 /* t itself for one lane */
unsigned ll_lanes(val v);
type ll_like(val v, type scalar);                                    /* scalar, with the lanes of v */
type ll_elem_type(struct ll *l, enum ir_elem e);                     /* of a value */
type ll_store_type(struct ll *l, enum ir_elem e);                    /* in memory */
val ll_int(type t, int64_t k);                                       /* splat if t is a vector */
val ll_real(type t, double x);
val ll_splat(struct ll *l, val v, unsigned lanes);                   /* v itself if it has that many */
val ll_const_lanes(struct ll *l, unsigned n, type t, int64_t step);  /* <0, step, 2*step ..> */
val ll_intrinsic(struct ll *l, const char *name, type over, const val *a, unsigned n);
val ll_lane(struct ll *l, val v, unsigned i);
LLVMBasicBlockRef ll_block(struct ll *l, const char *name);
bool ll_const_int(val v, int64_t *out);

/* ---- llvm_ix.c ---- */
void ll_bind(struct ll *l, const struct ir_ix *sym, val v, int64_t off);
bool ll_static(struct ll *l, const struct ir_ix *e);                 /* every symbol is bound to a constant */
val ll_ix(struct ll *l, const struct ir_ix *e);                      /* i64 */
val ll_cond(struct ll *l, const struct ir_ix *e, bool ge0);          /* i1: e >= 0, or e != 0 */
val ll_all_ge0(struct ll *l, const struct ir_ix *const *e, unsigned n);
val ll_ix_lanes(struct ll *l, const struct ir_ix *e, unsigned lanes, type t);   /* per lane with vsym = its number; t an integer type */
val ll_cond_lanes(struct ll *l, const struct ir_ix *e, unsigned lanes);         /* per lane: e != 0 */
val ll_addr(struct ll *l, const struct kir_arr *a, const struct ir_ix *e);      /* of element e */
/* The index arithmetic itself: each op is made once, at the outermost level where its operands are known. */
enum ll_iop { LL_ADD, LL_SUB, LL_MUL, LL_UDIV, LL_UREM, LL_SDIV, LL_ASHR, LL_MIN, LL_MAX, LL_GE, LL_EQ, LL_SELECT, LL_WIDEN, LL_GEP };
val ll_iop(struct ll *l, enum ll_iop op, val a, val b, val c, type t /* LL_GEP: of an element */);
void ll_level(struct ll *l, val v, unsigned level);                  /* v is known from this level on */

/* ---- llvm_mem.c ---- */
val ll_load(struct ll *l, const struct kir_op *o);
void ll_store(struct ll *l, const struct kir_op *o, val v);
val ll_base(struct ll *l, const struct kir_arr *a);
val ll_from_storage(struct ll *l, enum ir_elem e, val v);
val ll_to_storage(struct ll *l, enum ir_elem e, val v);

/* ---- llvm_ew.c ---- */
val ll_ew(struct ll *l, enum ir_map f, enum ir_elem e, val a, val b, val c);    /* e: the operands' type */
val ll_fma(struct ll *l, enum ir_elem e, val a, val b, val c);
val ll_cast(struct ll *l, enum ir_elem from, enum ir_elem to, val v);
val ll_round(struct ll *l, enum ir_elem e, val v);                   /* a float to what f16, bf16 or tf32 can hold */
val ll_vred(struct ll *l, enum kir_red r, enum ir_elem e, val v);
val ll_mad(struct ll *l, val a, val b, val c);                       /* a*b + c, fused where the target can */

/* ---- llvm_math.c ---- */
val ll_math(struct ll *l, enum ir_map f, val a, val b);              /* float or vectors of it; NULL: no expansion for f */

/* ---- llvm_walk.c ---- */
bool ll_kern(struct ll *l, const struct kir_kern *k);
#endif
