/* The host program: the tables of abi.h as constants, the step list as native code, and for the library form the exported functions.
 *
 * Tables with pointers lie in .data.rel.ro; weights are reached through the program table alone (R_X86_64_64), because they may lie more than 2 GiB away.
 * Everything is hidden but the functions of the library form. */
#include <string.h>
#include "codegen/llvm.h"
#include "runtime/core/host.h"

/* ---- constants ---- */
static val c32(struct ll *l, uint32_t x) { return LLVMConstInt(l->i32, x, 0); }
static val c64(struct ll *l, uint64_t x) { return LLVMConstInt(l->i64, x, 0); }
static val null(struct ll *l) { return LLVMConstNull(l->ptr); }
static val hidden(val g)
{
  LLVMSetVisibility(g, LLVMHiddenVisibility);
  return g;
}
static val private_constant(struct ll *l, const char *name, val init)
{
  val g = LLVMAddGlobal(l->m, LLVMTypeOf(init), name);
  LLVMSetInitializer(g, init);
  LLVMSetGlobalConstant(g, 1);
  LLVMSetLinkage(g, LLVMPrivateLinkage);
  return g;
}
static val string(struct ll *l, const char *s)      /* one global per text; NULL stays NULL */
{
  if (!s) return null(l);
  val init = LLVMConstStringInContext2(l->c, s, strlen(s), 0);
  void **p = ll_table_at(l, &l->slots, 1, init, NULL, NULL, NULL);
  if (!*p) LLVMSetUnnamedAddress(*p = private_constant(l, "str", init), LLVMGlobalUnnamedAddr);
  return *p;
}
static val record(struct ll *l, val *f, unsigned n) { return LLVMConstStructInContext(l->c, f, n, 0); }
#define RECORD(l, ...) record(l, (val[]){ __VA_ARGS__ }, sizeof((val[]){ __VA_ARGS__ }) / sizeof(val))
/* An array of n rows; NULL for none. */
static val table(struct ll *l, const char *name, val *rows, uint32_t n) { return n ? private_constant(l, name, LLVMConstArray2(LLVMTypeOf(rows[0]), rows, n)) : null(l); }
#define TABLE(l, name, count, row) table_of(l, name, p, count, row)
static val table_of(struct ll *l, const char *name, const struct massrt_program *p, uint32_t n, val (*row)(struct ll *l, const struct massrt_program *p, uint32_t i))
{
  val *rows = IR_NEWN(l->arena, val, n + 1);
  for (uint32_t i = 0; i < n; i++) rows[i] = row(l, p, i);
  return table(l, name, rows, n);
}

/* ---- rows, field by field as in abi.h ---- */
static val expr_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_expr *x = &p->exprs[i];
  return RECORD(l, c32(l, x->op), c32(l, x->a), c32(l, x->b), c32(l, x->late), c64(l, (uint64_t)x->k));
}
static val sym_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_sym *x = &p->syms[i];
  return RECORD(l, string(l, x->name), c64(l, (uint64_t)x->lo), c64(l, (uint64_t)x->hi), c64(l, (uint64_t)x->by), c32(l, x->input), c32(l, x->axis));
}
static val require_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_require *x = &p->requires_[i];
  return RECORD(l, c32(l, x->expr), c32(l, x->eq), string(l, x->why));
}
static val io_row(struct ll *l, const struct massrt_io *x)
{
  val *dims = IR_NEWN(l->arena, val, x->rank + 1), *names = IR_NEWN(l->arena, val, x->rank + 1);
  for (uint32_t d = 0; d < x->rank; d++) {
    dims[d] = c32(l, x->dims[d]);
    names[d] = string(l, x->dim_names ? x->dim_names[d] : NULL);
  }
  return RECORD(l, string(l, x->name), c32(l, x->elem), c32(l, x->rank), table(l, "dims", dims, x->rank), x->dim_names ? table(l, "dim_names", names, x->rank) : null(l), c32(l, x->buffer), c32(l, 0));
}
static val input_row(struct ll *l, const struct massrt_program *p, uint32_t i) { return io_row(l, &p->inputs[i]); }
static val output_row(struct ll *l, const struct massrt_program *p, uint32_t i) { return io_row(l, &p->outputs[i]); }
static val buffer_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_buffer *x = &p->buffers[i];
  return RECORD(l, c32(l, x->bytes), c32(l, x->first), c32(l, x->last), c32(l, x->place), c64(l, (uint64_t)x->offset));
}
static val arg_row(struct ll *l, const struct massrt_program *p, uint32_t i) { return RECORD(l, c32(l, p->args[i].kind), c32(l, p->args[i].index), c64(l, p->args[i].offset)); }
static val bytes(struct ll *l, const char *name, const void *data, uint64_t n)
{
  val g = private_constant(l, name, LLVMConstStringInContext2(l->c, data, n, 0));
  LLVMSetAlignment(g, 16);
  return g;
}
static val device_kernel(struct ll *l, const struct massrt_device_kernel *k)
{
  val *rows = IR_NEWN(l->arena, val, k->n_images + 1);
  for (uint32_t i = 0; i < k->n_images; i++)
    rows[i] = RECORD(l, c32(l, k->images[i].form), c32(l, k->images[i].arch), bytes(l, "image", k->images[i].data, k->images[i].bytes), c64(l, k->images[i].bytes));
  return private_constant(l, "device_kernel",
                          RECORD(l, string(l, k->entry), c32(l, k->lanes), c32(l, k->warps), c32(l, k->n_pointers), c32(l, k->n_sizes), c32(l, k->n_images), c32(l, k->overlaps),
                                 c64(l, k->dynamic_bytes), c32(l, k->gops), c32(l, k->gbytes), k->n_sizes ? bytes(l, "sizes", k->size_bytes, k->n_sizes) : null(l), table(l, "images", rows, k->n_images)));
}
static val kernel_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_kernel *k = &p->kernels[i];
  return RECORD(l, string(l, k->name), c64(l, k->scratch_bytes), k->device ? device_kernel(l, k->device) : null(l));
}
static val place_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_place *x = &p->places[i];
  return RECORD(l, string(l, x->name), c32(l, x->kind), c32(l, x->align), c64(l, (uint64_t)x->arena_bytes));
}
static val launch_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_launch *x = &p->launches[i];
  return RECORD(l, c32(l, x->kernel), c32(l, x->first_arg), c32(l, x->n_args), c32(l, x->tasks), c32(l, x->work), c32(l, x->bytes), c32(l, x->products), c32(l, x->computes), c32(l, x->moves), c32(l, 0), string(l, x->nodes), string(l, x->group));
}
static val step_row(struct ll *l, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_step *x = &p->steps[i];
  return RECORD(l, c32(l, x->kind), c32(l, x->a), c32(l, x->b), c32(l, x->c), c32(l, x->bytes), c32(l, 0), string(l, x->nodes));
}

/* ---- versions: the highest level first, since the runtime takes the first that fits ---- */
static val kernel_symbol(struct ll *l, const char *name, unsigned level, bool several)
{
  const char *s = several ? ir_arena_printf(l->arena, "%s.v%u", name, level) : name;
  val fn = LLVMGetNamedFunction(l->m, s);
  return fn ? fn : hidden(LLVMAddFunction(l->m, s, LLVMFunctionType(LLVMVoidTypeInContext(l->c), (type[]){ l->ptr, l->i64, l->i64, l->ptr }, 4, 0)));
}
static val version(struct ll *l, const struct cg_target *t, unsigned ptx, val fn, val program)
{
  return RECORD(l, string(l, t->name), c32(l, t->level), c32(l, (uint32_t)t->kind), c32(l, cg_target_exact(t)), c32(l, ptx), fn, program);
}
static val version_row(struct ll *l, const struct cg_host *h, const struct cg_target *t)
{
  val *fn = IR_NEWN(l->arena, val, h->p.n_kernels + 1);
  for (uint32_t i = 0; i < h->p.n_kernels; i++) fn[i] = h->p.kernels[i].device ? null(l) : kernel_symbol(l, h->p.kernels[i].name, t->level, h->n_targets > 1);
  return version(l, t, h->ptx, table(l, "kernels", fn, h->p.n_kernels), null(l));
}
static val other_row(struct ll *l, const struct cg_other *o)
{
  return version(l, o->target, o->ptx, null(l), hidden(LLVMAddGlobal(l->m, l->i8, o->symbol)));
}
static val versions(struct ll *l, const struct cg_host *h)
{
  val *rows = IR_NEWN(l->arena, val, h->n_targets + h->n_others + 1);
  unsigned n = 0;
  for (unsigned level = 1000; level-- > 0;) {
    for (unsigned i = 0; i < h->n_targets; i++)
      if (h->targets[i]->level == level) rows[n++] = version_row(l, h, h->targets[i]);
    for (unsigned i = 0; i < h->n_others; i++)
      if (h->others[i].target->level == level) rows[n++] = other_row(l, &h->others[i]);
  }
  IR_ASSERT(n == h->n_targets + h->n_others);
  return table(l, "versions", rows, n);
}

/* ---- the steps as code: call, and return what is not 0 ---- */
static val runtime_fn(struct ll *l, const char *name, unsigned n_ptr, unsigned n_i32)
{
  val fn = LLVMGetNamedFunction(l->m, name);
  if (fn) return fn;
  type p[8];
  for (unsigned i = 0; i < n_ptr + n_i32; i++) p[i] = i < n_ptr ? l->ptr : l->i32;
  return hidden(LLVMAddFunction(l->m, name, LLVMFunctionType(l->i32, p, n_ptr + n_i32, 0)));
}
static val call(struct ll *l, val fn, val *args, unsigned n) { return LLVMBuildCall2(l->b, LLVMGlobalGetValueType(fn), fn, args, n, ""); }
static val step_call(struct ll *l, const char *name, uint32_t step) { return call(l, runtime_fn(l, name, 1, 1), (val[]){ LLVMGetParam(l->fn, 0), c32(l, step) }, 2); }
static const char *step_function(uint32_t kind)
{
  static const char *const name[] = { [MASSRT_S_LAUNCH] = "massrt_launch", [MASSRT_S_COPY] = "massrt_copy", [MASSRT_S_LOOP] = "massrt_loop_begin", [MASSRT_S_BIND] = "massrt_bind",
                                      [MASSRT_S_CALL] = "massrt_call", [MASSRT_S_STACK] = "massrt_stack" };
  return name[kind];
}
/* Where a loop goes on: its head asks whether there is another iteration. */
struct head { LLVMBasicBlockRef block, behind; };
static void loop_head(struct ll *l, uint32_t step, struct head *h)
{
  *h = (struct head){ ll_block(l, ""), ll_block(l, "") };
  LLVMBasicBlockRef body = ll_block(l, "");
  LLVMBuildBr(l->b, h->block);
  LLVMPositionBuilderAtEnd(l->b, h->block);
  val more = step_call(l, "massrt_loop_again", step);
  LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntNE, more, c32(l, 0), ""), body, h->behind);
  LLVMPositionBuilderAtEnd(l->b, body);
}
static val run_function(struct ll *l, const struct cg_host *h, const char *name)
{
  l->fn = ll_function(l, name, l->i32, &l->ptr, 1);
  LLVMSetLinkage(l->fn, LLVMInternalLinkage);
  LLVMPositionBuilderAtEnd(l->b, ll_block(l, ""));
  LLVMBasicBlockRef fail = ll_block(l, "");
  LLVMBuilderRef end = l->hoist;
  LLVMPositionBuilderAtEnd(end, fail);
  val error = LLVMBuildPhi(end, l->i32, "");
  LLVMBuildRet(end, error);
  struct head *heads = IR_NEWN(l->arena, struct head, h->p.n_steps + 1);
  for (uint32_t i = 0; i < h->p.n_steps; i++) {
    const struct massrt_step *s = &h->p.steps[i];
    if (s->kind == MASSRT_S_NEXT) {
      LLVMBuildBr(l->b, heads[s->a].block);
      LLVMPositionBuilderAtEnd(l->b, heads[s->a].behind);
      continue;
    }
    val r = step_call(l, step_function(s->kind), i);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(l->b), next = ll_block(l, "");
    LLVMBuildCondBr(l->b, LLVMBuildICmp(l->b, LLVMIntEQ, r, c32(l, 0), ""), next, fail);
    LLVMAddIncoming(error, &r, &here, 1);
    LLVMPositionBuilderAtEnd(l->b, next);
    if (s->kind == MASSRT_S_LOOP) loop_head(l, i, &heads[i]);
  }
  LLVMBuildRet(l->b, c32(l, 0));
  if (!h->p.n_steps) LLVMDeleteBasicBlock(fail);
  return l->fn;
}

/* ---- the program ---- */
static val weights(struct ll *l, const struct cg_host *h)
{
  return h->weights_symbol ? hidden(LLVMAddGlobal(l->m, l->i8, h->weights_symbol)) : null(l);
}
static val program(struct ll *l, const struct cg_host *h, const char *symbol)
{
  const struct massrt_program *p = &h->p;
  val all_weights = weights(l, h);
  val f[] = {
    c32(l, MASSRT_MAGIC), c32(l, MASSRT_ABI_VERSION), c32(l, sizeof *p), c32(l, 0),
    string(l, p->name), string(l, p->producer), string(l, p->flags), p->hash ? string(l, p->hash) : LLVMConstInBoundsGEP2(l->i8, all_weights, (val[]){ c64(l, h->hash_at) }, 1),
    c32(l, p->n_exprs), c32(l, p->n_syms), c32(l, p->n_requires), c32(l, p->n_inputs), c32(l, p->n_outputs), c32(l, p->n_buffers),
    c32(l, p->n_args), c32(l, p->n_kernels), c32(l, p->n_launches), c32(l, p->n_steps), c32(l, h->n_targets + h->n_others), c32(l, p->n_groups), c32(l, p->n_places), c32(l, p->n_binds),
    TABLE(l, "exprs", p->n_exprs, expr_row), TABLE(l, "syms", p->n_syms, sym_row), TABLE(l, "requires", p->n_requires, require_row),
    TABLE(l, "inputs", p->n_inputs, input_row), TABLE(l, "outputs", p->n_outputs, output_row),
    TABLE(l, "buffers", p->n_buffers, buffer_row), TABLE(l, "args", p->n_args, arg_row), TABLE(l, "kernel_table", p->n_kernels, kernel_row),
    TABLE(l, "launches", p->n_launches, launch_row), TABLE(l, "steps", p->n_steps, step_row), versions(l, h), TABLE(l, "places", p->n_places, place_row),
    c64(l, (uint64_t)p->arena_bytes), c64(l, (uint64_t)p->live_bytes),
    all_weights, c64(l, p->weights_bytes), c64(l, p->transformed_bytes),
    run_function(l, h, "run"),
  };
  val init = record(l, f, sizeof f / sizeof *f), g = LLVMAddGlobal(l->m, LLVMTypeOf(init), symbol);
  LLVMSetInitializer(g, init);
  LLVMSetGlobalConstant(g, 1);
  LLVMSetAlignment(g, 8);
  return hidden(g);
}

/* ---- the library form: PREFIX_NAME(...) is massrt_NAME(...) ---- */
/* EXPORT(name, pointers before, 32-bit numbers between, pointers behind) */
#define EXPORTS \
  EXPORT(destroy, 1, 0, 0) EXPORT(error, 1, 0, 0) EXPORT(n_inputs, 1, 0, 0) EXPORT(n_outputs, 1, 0, 0) EXPORT(input_signature, 1, 1, 1) EXPORT(output_signature, 1, 1, 1) EXPORT(output, 1, 1, 1) \
  EXPORT(prepare, 3, 0, 0) EXPORT(run, 3, 0, 0)
static void forward(struct ll *l, const char *prefix, const char *name, unsigned before, unsigned between, unsigned behind)
{
  type p[8], ret = !strcmp(name, "error") || !strcmp(name, "output") ? l->ptr : !strcmp(name, "destroy") ? LLVMVoidTypeInContext(l->c) : l->i32;
  unsigned n = before + between + behind;
  val a[8];
  for (unsigned i = 0; i < n; i++) p[i] = i >= before && i < before + between ? l->i32 : l->ptr;
  val to = hidden(LLVMAddFunction(l->m, ir_arena_printf(l->arena, "massrt_%s", name), LLVMFunctionType(ret, p, n, 0)));
  val fn = l->fn = ll_function(l, ir_arena_printf(l->arena, "%s_%s", prefix, name), ret, p, n);
  LLVMPositionBuilderAtEnd(l->b, ll_block(l, ""));
  for (unsigned i = 0; i < n; i++) a[i] = LLVMGetParam(fn, i);
  val r = call(l, to, a, n);
  LLVMSetTailCall(r, 1);
  if (LLVMGetTypeKind(ret) == LLVMVoidTypeKind) LLVMBuildRetVoid(l->b);
  else LLVMBuildRet(l->b, r);
}
static void create_function(struct ll *l, const char *prefix, val prog)
{
  val to = runtime_fn(l, "massrt_create", 3, 0);
  val fn = l->fn = ll_function(l, ir_arena_printf(l->arena, "%s_create", prefix), l->i32, (type[]){ l->ptr, l->ptr }, 2);
  LLVMPositionBuilderAtEnd(l->b, ll_block(l, ""));
  val r = call(l, to, (val[]){ prog, LLVMGetParam(fn, 0), LLVMGetParam(fn, 1) }, 3);
  LLVMSetTailCall(r, 1);
  LLVMBuildRet(l->b, r);
}

bool cg_host_emit(struct ir_arena *a, const struct cg_host *h, enum cg_form form, struct ir_buf *out, const char **why)
{
  static const struct cg_target any = { .name = "host", .cpu = "x86-64", .tune = "generic", .level = 1 };
  struct ll l;
  bool library = h->prefix && *h->prefix && !h->symbol, ok = ll_open(&l, a, &any, "host", why);
  if (ok) {
    val prog = program(&l, h, h->symbol ? h->symbol : library ? ir_arena_printf(a, "%s_massrt_program", h->prefix) : "massrt_program");
    if (library) {
      create_function(&l, h->prefix, prog);
#define EXPORT(name, before, between, behind) forward(&l, h->prefix, #name, before, between, behind);
      EXPORTS
#undef EXPORT
    }
    ok = ll_finish(&l, form, out, why);
  }
  ll_close(&l);
  return ok;
}

/* ---- as text: values that are no constants by number, then inputs, outputs, buffers, steps ---- */
static void put_value(struct ir_buf *b, const struct massrt_program *p, uint32_t i)
{
  if (i == MASSRT_NO_EXPR || i >= p->n_exprs) ir_buf_printf(b, "?");
  else if (p->exprs[i].op == MASSRT_X_CONST) ir_buf_printf(b, "%lld", (long long)p->exprs[i].k);
  else if (p->exprs[i].op == MASSRT_X_SYM) ir_buf_printf(b, "%s", p->syms[p->exprs[i].k].name);
  else ir_buf_printf(b, "v%u", i);
}
static void put_expr(struct ir_buf *b, const struct massrt_program *p, uint32_t i)
{
  static const struct { const char *before, *between, *behind; bool one; } form[] = {
    [MASSRT_X_ADD] = { "", " + ", "", false }, [MASSRT_X_MUL] = { "", " * ", "", false }, [MASSRT_X_DIV] = { "", " / ", "", false },
    [MASSRT_X_MIN] = { "min(", ", ", ")", false }, [MASSRT_X_MAX] = { "max(", ", ", ")", false }, [MASSRT_X_BCAST] = { "bcast(", ", ", ")", false },
    [MASSRT_X_GE0] = { "[", "", " >= 0]", true }, [MASSRT_X_EQ0] = { "[", "", " == 0]", true } };
  const struct massrt_expr *x = &p->exprs[i];
  if (x->op == MASSRT_X_CONST || x->op == MASSRT_X_SYM) return;
  ir_buf_printf(b, "  v%u = %s", i, form[x->op].before);
  put_value(b, p, x->a);
  ir_buf_printf(b, "%s", form[x->op].between);
  if (!form[x->op].one) put_value(b, p, x->b);
  ir_buf_printf(b, "%s\n", form[x->op].behind);
}
static void put_io(struct ir_buf *b, const struct massrt_program *p, const char *word, uint32_t n, const struct massrt_io *io)
{
  for (uint32_t i = 0; i < n; i++) {
    ir_buf_printf(b, "  %s%u \"%s\": %s[", word, i, io[i].name, ir_elem_name((enum ir_elem)io[i].elem));
    for (uint32_t d = 0; d < io[i].rank; d++) {
      if (d) ir_buf_printf(b, ", ");
      put_value(b, p, io[i].dims[d]);
    }
    ir_buf_printf(b, "]\n");
  }
}
static void put_buffers(struct ir_buf *b, const struct massrt_program *p)
{
  for (uint32_t i = 0; i < p->n_buffers; i++) {
    const struct massrt_buffer *x = &p->buffers[i];
    ir_buf_printf(b, "  buffer%u: ", i);
    put_value(b, p, x->bytes);
    ir_buf_printf(b, " bytes, steps %u..%u", x->first, x->last);
    if (x->place) ir_buf_printf(b, ", on %s", p->places[x->place].name);
    if (x->offset >= 0) ir_buf_printf(b, ", at %lld", (long long)x->offset);
    ir_buf_printf(b, "\n");
  }
}
static void put_arg(struct ir_buf *b, const struct massrt_program *p, uint32_t i)
{
  const struct massrt_arg *a = &p->args[i];
  switch (a->kind) {
  case MASSRT_A_BUFFER: ir_buf_printf(b, "buffer%u", a->index); break;
  case MASSRT_A_WEIGHT: case MASSRT_A_DEVICE_WEIGHT: ir_buf_printf(b, "weights"); break;
  case MASSRT_A_INPUT: ir_buf_printf(b, "input%u", a->index); break;
  case MASSRT_A_OUTPUT: ir_buf_printf(b, "output%u", a->index); break;
  default: put_value(b, p, a->index); return;
  }
  if (a->offset || a->kind == MASSRT_A_WEIGHT || a->kind == MASSRT_A_DEVICE_WEIGHT) ir_buf_printf(b, "+%llu", (unsigned long long)a->offset);
}
static void put_launch(struct ir_buf *b, const struct massrt_program *p, const struct massrt_launch *x)
{
  ir_buf_printf(b, "launch %s(", p->kernels[x->kernel].name);
  for (uint32_t i = 0; i < x->n_args; i++) {
    if (i) ir_buf_printf(b, ", ");
    put_arg(b, p, x->first_arg + i);
  }
  ir_buf_printf(b, ") tasks ");
  put_value(b, p, x->tasks);
  ir_buf_printf(b, " work ");
  put_value(b, p, x->work);
  ir_buf_printf(b, " bytes ");
  put_value(b, p, x->bytes);
  ir_buf_printf(b, " products ");
  put_value(b, p, x->products);
  if (x->nodes) ir_buf_printf(b, " loc \"%s\"", x->nodes);
  ir_buf_printf(b, "\n");
}
void cg_host_print(struct ir_buf *b, const struct cg_host *h)
{
  const struct massrt_program *p = &h->p;
  ir_buf_printf(b, "program \"%s\": weights %llu bytes, arena %lld bytes, for", p->name, (unsigned long long)p->weights_bytes, (long long)p->arena_bytes);
  for (unsigned i = 0; i < h->n_targets; i++) ir_buf_printf(b, "%s %s", i ? "," : "", h->targets[i]->name);
  ir_buf_printf(b, " {\n");
  for (uint32_t i = 0; i < p->n_exprs; i++) put_expr(b, p, i);
  for (uint32_t i = 0; i < p->n_requires; i++) {
    ir_buf_printf(b, "  require ");
    put_value(b, p, p->requires_[i].expr);
    ir_buf_printf(b, " %s 0: %s\n", p->requires_[i].eq ? "==" : ">=", p->requires_[i].why);
  }
  put_io(b, p, "input", p->n_inputs, p->inputs);
  put_io(b, p, "output", p->n_outputs, p->outputs);
  put_buffers(b, p);
  for (uint32_t i = 0; i < p->n_steps; i++) {
    const struct massrt_step *s = &p->steps[i];
    ir_buf_printf(b, "  %u: ", i);
    if (s->kind == MASSRT_S_LAUNCH) {
      put_launch(b, p, &p->launches[s->a]);
      continue;
    }
    if (s->kind == MASSRT_S_NEXT) { ir_buf_printf(b, "next of %u\n", s->a); continue; }
    if (s->kind == MASSRT_S_LOOP) {
      ir_buf_printf(b, "loop while ");
      put_arg(b, p, s->a);
      ir_buf_printf(b, " and ");
      put_arg(b, p, s->a + 2);
      ir_buf_printf(b, " < ");
      put_arg(b, p, s->a + 1);
      ir_buf_printf(b, ", until %u\n", s->b);
      continue;
    }
    if (s->kind == MASSRT_S_BIND) {
      ir_buf_printf(b, "bind %s and %u more <- ", p->syms[s->b].name, s->c - 1);
      put_arg(b, p, s->a);
      ir_buf_printf(b, "\n");
      continue;
    }
    if (s->kind == MASSRT_S_CALL) {
      ir_buf_printf(b, "call %s, arguments from %u, tasks ", massrt_host_name[s->a], s->b);
      put_value(b, p, s->c);
      ir_buf_printf(b, "\n");
      continue;
    }
    bool stack = s->kind == MASSRT_S_STACK;
    ir_buf_printf(b, "copy ");
    put_arg(b, p, stack ? s->a + 1 : s->b);
    if (stack) { ir_buf_printf(b, " at "); put_arg(b, p, s->b); }
    ir_buf_printf(b, " <- ");
    put_arg(b, p, s->a);
    ir_buf_printf(b, " bytes ");
    put_value(b, p, s->c);
    ir_buf_printf(b, "\n");
  }
  ir_buf_printf(b, "}\n");
}
