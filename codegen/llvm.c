/* Flat kerns to an object through LLVM 19's C interface: module, target machine, emission. No mid-level passes run: the walk writes what they would make of it. */
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <llvm-c/Analysis.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include "codegen/llvm.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void init_targets(void)
{
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  /* Two passes of code generation would undo what the walk decides. Loop strength reduction gives every address of a large tile a pointer of its own (112 in a
   * 14 x 32 tile unrolled by 8: 85 instead of 117 GFLOP/s) and takes half of the compile time; the scheduler before register allocation hoists loads above
   * the multiplications of a tile that fills the registers, and spills (67 instead of 104). Both are options of the process, not of a module. */
  LLVMParseCommandLineOptions(3, (const char *const[]){ "massc", "-disable-lsr", "-enable-misched=false" }, NULL);
}

void ll_fail(struct ll *l, const char *fmt, ...)
{
  if (l->why) return;
  char s[256];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(s, sizeof s, fmt, ap);
  va_end(ap);
  l->why = ir_arena_strdup(l->arena, s);
}

static bool open_machine(struct ll *l, const char **why)
{
  static const char triple[] = "x86_64-pc-linux-gnu";
  LLVMTargetRef t;
  char *err = NULL;
  if (LLVMGetTargetFromTriple(triple, &t, &err)) {
    *why = ir_arena_strdup(l->arena, err);
    LLVMDisposeMessage(err);
    return false;
  }
  l->tm = LLVMCreateTargetMachine(t, triple, l->t->cpu, "", LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
  LLVMSetTarget(l->m, triple);
  LLVMTargetDataRef d = LLVMCreateTargetDataLayout(l->tm);
  LLVMSetModuleDataLayout(l->m, d);
  LLVMDisposeTargetData(d);
  return true;
}

bool ll_open(struct ll *l, struct ir_arena *a, const struct cg_target *t, const char *module, const char **why)
{
  pthread_once(&once, init_targets);
  *l = (struct ll){ .arena = a, .t = t, .c = LLVMContextCreate() };
  l->m = LLVMModuleCreateWithNameInContext(module, l->c);
  l->b = LLVMCreateBuilderInContext(l->c);
  l->hoist = LLVMCreateBuilderInContext(l->c);
  l->i1 = LLVMInt1TypeInContext(l->c);
  l->i8 = LLVMInt8TypeInContext(l->c);
  l->i16 = LLVMInt16TypeInContext(l->c);
  l->i32 = LLVMInt32TypeInContext(l->c);
  l->i64 = LLVMInt64TypeInContext(l->c);
  l->f32 = LLVMFloatTypeInContext(l->c);
  l->f64 = LLVMDoubleTypeInContext(l->c);
  l->ptr = LLVMPointerTypeInContext(l->c, 0);
  return open_machine(l, why);
}

void ll_close(struct ll *l)
{
  if (l->tm) LLVMDisposeTargetMachine(l->tm);
  LLVMDisposeBuilder(l->b);
  LLVMDisposeBuilder(l->hoist);
  LLVMDisposeModule(l->m);
  LLVMContextDispose(l->c);
}

void ll_attr(struct ll *l, val fn, unsigned at, const char *name)
{
  LLVMAddAttributeAtIndex(fn, at, LLVMCreateEnumAttribute(l->c, LLVMGetEnumAttributeKindForName(name, strlen(name)), 0));
}

static void string_attr(struct ll *l, val fn, const char *key, const char *v)
{
  LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, LLVMCreateStringAttribute(l->c, key, (unsigned)strlen(key), v, (unsigned)strlen(v)));
}

val ll_function(struct ll *l, const char *name, type ret, const type *params, unsigned n)
{
  val fn = LLVMAddFunction(l->m, name, LLVMFunctionType(ret, (type *)params, n, 0));
  string_attr(l, fn, "target-cpu", l->t->cpu);
  string_attr(l, fn, "tune-cpu", l->t->tune);
  ll_attr(l, fn, LLVMAttributeFunctionIndex, "nounwind");
  return fn;
}

static bool emit(struct ll *l, enum cg_form form, struct ir_buf *out, const char **why)
{
  char *err = NULL;
  LLVMMemoryBufferRef mb;
  if (LLVMTargetMachineEmitToMemoryBuffer(l->tm, l->m, form == CG_ASM ? LLVMAssemblyFile : LLVMObjectFile, &err, &mb)) {
    *why = ir_arena_printf(l->arena, "LLVM: %s", err);
    LLVMDisposeMessage(err);
    return false;
  }
  ir_buf_add(out, LLVMGetBufferStart(mb), LLVMGetBufferSize(mb));
  LLVMDisposeMemoryBuffer(mb);
  return true;
}

bool ll_finish(struct ll *l, enum cg_form form, struct ir_buf *out, const char **why)
{
  char *err = NULL;
  if (LLVMVerifyModule(l->m, LLVMReturnStatusAction, &err)) {
    *why = ir_arena_printf(l->arena, "LLVM: %s", err);
    LLVMDisposeMessage(err);
    return false;
  }
  LLVMDisposeMessage(err);
  if (form != CG_LLVM_TEXT) return emit(l, form, out, why);
  char *s = LLVMPrintModuleToString(l->m);
  ir_buf_add(out, s, strlen(s));
  LLVMDisposeMessage(s);
  return true;
}

bool cg_llvm(struct ir_arena *a, struct kir_kern *const *k, unsigned n, const struct cg_target *t, enum cg_form form, struct ir_buf *out, const char **why)
{
  struct ll l;
  bool ok = ll_open(&l, a, t, "massc", why);
  for (unsigned i = 0; ok && i < n; i++)
    if (!ll_kern(&l, k[i])) {
      *why = ir_arena_printf(a, "%s: %s", k[i]->name, l.why);
      ok = false;
    }
  ok = ok && ll_finish(&l, form, out, why);
  ll_close(&l);
  return ok;
}

/* ---- a table of pointers ---- */
static uint64_t mix(uint64_t h, uintptr_t x) { return (h ^ x) * 0x9e3779b97f4a7c15u ^ (h >> 29); }
static struct ll_slot *probe(const struct ll_table *t, const struct ll_slot *k)
{
  uint64_t h = mix(mix(mix(mix(mix(0, k->op), (uintptr_t)k->key[0]), (uintptr_t)k->key[1]), (uintptr_t)k->key[2]), (uintptr_t)k->key[3]);
  for (uint32_t i = (uint32_t)(h >> 32) & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
    struct ll_slot *s = &t->s[i];
    if (!s->v || (s->op == k->op && !memcmp(s->key, k->key, sizeof k->key))) return s;
  }
}
void *ll_table_get(const struct ll_table *t, uintptr_t op, const void *k0, const void *k1, const void *k2, const void *k3)
{
  struct ll_slot key = { .key = { k0, k1, k2, k3 }, .op = op };
  return t->cap ? probe(t, &key)->v : NULL;
}
/* The place of a key's value: NULL until something is written there, at once. */
void **ll_table_at(struct ll *l, struct ll_table *t, uintptr_t op, const void *k0, const void *k1, const void *k2, const void *k3)
{
  if (t->n * 2 >= t->cap) {
    struct ll_table old = *t;
    t->cap = old.cap ? old.cap * 2 : 256;
    t->s = IR_NEWN(l->arena, struct ll_slot, t->cap);
    for (uint32_t i = 0; i < old.cap; i++)
      if (old.s[i].v) *probe(t, &old.s[i]) = old.s[i];
  }
  struct ll_slot key = { .key = { k0, k1, k2, k3 }, .op = op }, *s = probe(t, &key);
  if (!s->v) {
    *s = key;
    t->n++;
  }
  return &s->v;
}

/* ---- types and constants ---- */
type ll_vec(type t, unsigned lanes) { return lanes == 1 ? t : LLVMVectorType(t, lanes); }
static bool is_vec(type t) { return LLVMGetTypeKind(t) == LLVMVectorTypeKind; }
unsigned ll_lanes(val v) { return is_vec(LLVMTypeOf(v)) ? LLVMGetVectorSize(LLVMTypeOf(v)) : 1; }
type ll_like(val v, type scalar) { return ll_vec(scalar, ll_lanes(v)); }

static type int_type(struct ll *l, unsigned bits) { return bits == 8 ? l->i8 : bits == 16 ? l->i16 : bits == 32 ? l->i32 : l->i64; }
type ll_elem_type(struct ll *l, enum ir_elem e)
{
  if (e == IR_bool) return l->i1;
  if (ir_elem_class(e) == 'F') return e == IR_f64 ? l->f64 : l->f32;
  return int_type(l, ir_elem_bits(e));
}
type ll_store_type(struct ll *l, enum ir_elem e) { return e == IR_f32 || e == IR_f64 || e == IR_tf32 ? ll_elem_type(l, e) : int_type(l, ir_elem_bits(e)); }

static val splat_const(val c, type t)
{
  if (!is_vec(t)) return c;
  unsigned n = LLVMGetVectorSize(t);
  val v[256];
  IR_ASSERT(n <= 256);
  for (unsigned i = 0; i < n; i++) v[i] = c;
  return LLVMConstVector(v, n);
}
static type scalar_of(type t) { return is_vec(t) ? LLVMGetElementType(t) : t; }
val ll_int(type t, int64_t k) { return splat_const(LLVMConstInt(scalar_of(t), (uint64_t)k, 1), t); }
val ll_real(type t, double x) { return splat_const(LLVMConstReal(scalar_of(t), x), t); }
val ll_const_lanes(struct ll *l, unsigned n, type t, int64_t step)
{
  val v[256];
  IR_ASSERT(n <= 256);
  (void)l;
  for (unsigned i = 0; i < n; i++) v[i] = LLVMConstInt(t, (uint64_t)((int64_t)i * step), 1);
  return n == 1 ? v[0] : LLVMConstVector(v, n);
}
val ll_splat(struct ll *l, val v, unsigned lanes)
{
  if (lanes == 1 || ll_lanes(v) == lanes) return v;
  type t = LLVMVectorType(LLVMTypeOf(v), lanes);
  if (LLVMIsConstant(v)) return splat_const(v, t);
  val p = LLVMGetPoison(t), one = LLVMBuildInsertElement(l->b, p, v, ll_int(l->i64, 0), "");
  return LLVMBuildShuffleVector(l->b, one, p, LLVMConstNull(LLVMVectorType(l->i32, lanes)), "");
}
val ll_lane(struct ll *l, val v, unsigned i) { return ll_lanes(v) == 1 ? v : LLVMBuildExtractElement(l->b, v, ll_int(l->i32, i), ""); }
val ll_intrinsic(struct ll *l, const char *name, type over, const val *a, unsigned n)
{
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  IR_ASSERT(id);
  val f = LLVMGetIntrinsicDeclaration(l->m, id, &over, 1);
  return LLVMBuildCall2(l->b, LLVMIntrinsicGetType(l->c, id, &over, 1), f, (val *)a, n, "");
}
LLVMBasicBlockRef ll_block(struct ll *l, const char *name) { return LLVMAppendBasicBlockInContext(l->c, l->fn, name); }
bool ll_const_int(val v, int64_t *out)
{
  if (!LLVMIsAConstantInt(v)) return false;
  *out = LLVMConstIntGetSExtValue(v);
  return true;
}
