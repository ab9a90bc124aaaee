/* Instances of a program: creating one, preparing it for shapes, running it.
 *
 * What depends on the input shapes (values of the expression table, buffer offsets, threads of each launch) is kept for the last MASSRT_SHAPES shapes; the
 * argument words of all launches lie in one block, refilled when the shape changes and patched with the caller's pointers at every run. */
#include "runtime/pieces.h"
#include "runtime/core/expr.h"
#include "runtime/core/host.h"
#include "runtime/core/plan.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct massrt_shape {
  uint64_t bytes;                                /* of this block */
  int64_t *dims, *syms, *values;                 /* of all inputs, one after the other; of all symbols; of all expressions */
  int64_t *offset;                               /* of each buffer in the arena */
  uint64_t *io_bytes;                            /* inputs, then outputs */
  uint32_t *ways;                                /* threads of each launch */
  uint64_t arena_bytes, device_bytes;
  void *graph;                                   /* the recorded steps, or NULL */
  uint64_t generation;                           /* of the instance, when they were recorded */
};
static _Thread_local char create_error[512];

__attribute__((format(printf, 3, 4))) static int fail(struct massrt_exec *x, int status, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(x ? x->error : create_error, sizeof x->error, fmt, ap);
  va_end(ap);
  return status;
}
const char *massrt_error(const struct massrt_exec *x) { return x ? x->error : create_error; }
uint32_t massrt_n_inputs(const struct massrt_exec *x) { return x->p->n_inputs; }
uint32_t massrt_n_outputs(const struct massrt_exec *x) { return x->p->n_outputs; }
static uint32_t late_of(const struct massrt_program *p, uint32_t expr) { return expr == MASSRT_NO_EXPR ? 0 : p->exprs[expr].late; }
static bool late_io(const struct massrt_io *io) { return io->buffer != 0; }
const int64_t *massrt_values(const struct massrt_exec *x) { return x->shape[0]->values; }

/* ---- signatures ---- */
void massrt_signature_of(const struct massrt_program *p, const struct massrt_io *io, struct massrt_signature *out)
{
  *out = (struct massrt_signature){ .name = io->name, .elem = io->elem, .rank = io->rank };
  for (uint32_t i = 0; i < io->rank; i++) {
    const struct massrt_expr *e = &p->exprs[io->dims[i]];
    out->dim[i] = e->op == MASSRT_X_CONST ? e->k : -1;
    out->dim_name[i] = io->dim_names ? io->dim_names[i] : NULL;
  }
}
static int signature(struct massrt_exec *x, const struct massrt_io *io, uint32_t n, uint32_t i, struct massrt_signature *out)
{
  if (i >= n) return fail(x, MASSRT_E_USAGE, "there are %u, number %u was asked for", n, i);
  massrt_signature_of(x->p, &io[i], out);
  return MASSRT_OK;
}
int massrt_input_signature(const struct massrt_exec *x, uint32_t i, struct massrt_signature *out)
{
  return signature((struct massrt_exec *)x, x->p->inputs, x->p->n_inputs, i, out);
}
int massrt_output_signature(const struct massrt_exec *x, uint32_t i, struct massrt_signature *out)
{
  return signature((struct massrt_exec *)x, x->p->outputs, x->p->n_outputs, i, out);
}

/* ---- create ---- */
static int check_program(const struct massrt_program *p)
{
  if (p->magic != MASSRT_MAGIC) return fail(NULL, MASSRT_E_USAGE, "not a program of massc");
  if (p->abi != MASSRT_ABI_VERSION || p->bytes != sizeof *p)
    return fail(NULL, MASSRT_E_USAGE, "the program follows version %u of the runtime's interface, this runtime version %u", p->abi, MASSRT_ABI_VERSION);
  return MASSRT_OK;
}
static int check_config(const struct massrt_config *c)
{
  if (!c->alloc != !c->free) return fail(NULL, MASSRT_E_USAGE, "config: alloc and free go together");
  if (c->threads < 0 || c->threads > MASSRT_MAX_THREADS) return fail(NULL, MASSRT_E_USAGE, "config: %d threads; 0 (all) to %d are possible", c->threads, MASSRT_MAX_THREADS);
  return MASSRT_OK;
}
/* The device that the program was compiled for, opened; NULL for the processor. */
static int open_device(const struct massrt_program *p, const char *wanted, struct massrt_device **out)
{
  char why[400];
  const struct massrt_device_ops *ops = p->n_versions ? massrt_device_find(p->versions->kind) : NULL;
  const char *word = ops ? ops->word : "cpu", *select = NULL;
  size_t n = strlen(word);
  *out = NULL;
  if (wanted) {
    if (strncmp(wanted, word, n) || (wanted[n] && wanted[n] != ':') || (!ops && wanted[n] && strcmp(wanted, "cpu:0")))
      return fail(NULL, MASSRT_E_DEVICE, "device %s: the program was compiled for %s only", wanted, ops ? word : "the processor (cpu)");
    if (wanted[n]) select = wanted + n + 1;
  }
  int rc = ops ? ops->open(select, out, why, sizeof why) : MASSRT_OK;
  return rc ? fail(NULL, rc, "the program was compiled for %s, which is not to be had here: %s", p->versions->target, why) : MASSRT_OK;
}
static bool device_runs(const struct massrt_version *v, uint32_t arch)
{
  if (v->kind != MASSRT_K_CUDA) return true;
  if (v->exact) return v->level == arch;
  return (v->level / 10 == arch / 10 && v->level <= arch) || (v->ptx && v->ptx <= arch);
}
static const struct massrt_version *pick_device_version(const struct massrt_program *p, const struct massrt_device *d)
{
  char have[256] = "";
  for (uint32_t i = 0; i < p->n_versions; i++) {
    if (device_runs(&p->versions[i], d->arch)) return &p->versions[i];
    size_t n = strlen(have);
    snprintf(have + n, sizeof have - n, "%s%s", i ? ", " : "", p->versions[i].target);
  }
  fail(NULL, MASSRT_E_DEVICE, "%s is of sm_%u; the program has code for %s; compile with --target=cuda:sm_%u", d->name, d->arch, have, d->arch);
  return NULL;
}
static const struct massrt_version *pick_version(const struct massrt_program *p, const struct massrt_device *d)
{
  if (d) return pick_device_version(p, d);
  unsigned level = massrt_cpu_level();
  const struct massrt_version *lowest = NULL;
  for (uint32_t i = 0; i < p->n_versions; i++) {
    const struct massrt_version *v = &p->versions[i];
    if (v->level <= level) return v;
    if (!lowest || v->level < lowest->level) lowest = v;
  }
  if (!lowest) { fail(NULL, MASSRT_E_USAGE, "the program has no version"); return NULL; }
  char missing[256], remedy[64] = "massc compiles for no older one";
  massrt_cpu_missing(lowest->level, missing, sizeof missing);
  if (level >= 2) snprintf(remedy, sizeof remedy, "compile with --target=cpu:x86-64-v%u", level);
  fail(NULL, MASSRT_E_DEVICE, "the processor lacks %s, which %s needs; %s", missing, lowest->target, remedy);
  return NULL;
}
static uint64_t max_scratch(const struct massrt_program *p)
{
  uint64_t most = 0;
  for (uint32_t i = 0; i < p->n_kernels; i++)
    if (p->kernels[i].scratch_bytes > most) most = p->kernels[i].scratch_bytes;
  return most;
}
/* The instance, its arguments and the list of those that change with every run. */
static uint64_t exec_bytes(const struct massrt_program *p)
{
  return sizeof(struct massrt_exec) + (p->n_binds + 1) * sizeof(struct massrt_block) + p->n_args * (sizeof(union massrt_word) + sizeof(uint32_t));
}
/* Are all steps the device's? Then they can be recorded. */
static bool all_on_device(const struct massrt_program *p)
{
  if (p->n_places < 2) return false;
  for (uint32_t i = 0; i < p->n_steps; i++)
    if (p->steps[i].kind == MASSRT_S_LAUNCH ? !p->kernels[p->launches[p->steps[i].a].kernel].device : p->steps[i].kind != MASSRT_S_COPY) return false;
  return true;
}
static struct massrt_exec *new_exec(const struct massrt_program *p, const struct massrt_config *c)
{
  struct massrt_mem m;
  massrt_mem_init(&m, c);
  struct massrt_exec *x = massrt_alloc(&m, exec_bytes(p), MASSRT_ALIGN);
  if (!x) return NULL;
  memset(x, 0, exec_bytes(p));
  x->p = p;
  x->mem = m;
  x->recordable = all_on_device(p);               /* then no workers are needed either */
  x->block = (struct massrt_block *)(x + 1);
  x->args = (union massrt_word *)(x->block + p->n_binds + 1);
  x->io_args = (uint32_t *)(x->args + p->n_args);
  for (uint32_t i = 0; i < p->n_args; i++)
    if (p->args[i].kind == MASSRT_A_INPUT || p->args[i].kind == MASSRT_A_OUTPUT) x->io_args[x->n_io_args++] = i;
  for (uint32_t i = 0; i < p->n_inputs; i++) x->n_dims += p->inputs[i].rank;
  x->pool = massrt_pool_create(&m, c->threads ? c->threads : x->recordable ? 1 : massrt_usable_cores(), max_scratch(p));
  if (!x->pool) { massrt_release(&m, x, exec_bytes(p)); return NULL; }
  return x;
}
int massrt_create(const struct massrt_program *p, const struct massrt_config *user, struct massrt_exec **out)
{
  struct massrt_config c = { 0 };
  *out = NULL;
  create_error[0] = 0;
  if (user) memcpy(&c, user, user->size && user->size < sizeof c ? user->size : sizeof c);
  int rc = check_program(p);
  if (!rc) rc = check_config(&c);
  if (rc) return rc;
  struct massrt_device *d;
  rc = open_device(p, c.device, &d);
  if (rc) return rc;
  const struct massrt_version *v = pick_version(p, d);
  if (!v) {
    if (d) d->ops->close(d);
    return p->n_versions ? MASSRT_E_DEVICE : MASSRT_E_USAGE;
  }
  if (v->program) {
    p = v->program;
    v = p->versions;
  }
  struct massrt_exec *x = new_exec(p, &c);
  if (!x) {
    if (d) d->ops->close(d);
    return fail(NULL, MASSRT_E_MEMORY, "no memory for an instance of %s", p->name);
  }
  x->v = v;
  x->device = d;
  rc = d ? d->ops->load(d, p) : MASSRT_OK;
  if (rc) {
    fail(NULL, rc, "%s", d->error);
    massrt_destroy(x);
    return rc;
  }
  x->recordable = x->recordable && d && d->ops->record;
  *out = x;
  return MASSRT_OK;
}
static void forget_graph(struct massrt_exec *x, struct massrt_shape *s)
{
  if (s->graph) x->device->ops->forget(x->device, s->graph);
  s->graph = NULL;
}
void massrt_destroy(struct massrt_exec *x)
{
  if (!x) return;
  massrt_pool_destroy(x->pool);
  for (int i = 0; i < MASSRT_SHAPES; i++)
    if (x->shape[i]) forget_graph(x, x->shape[i]);
  if (x->device) {
    if (x->stage) x->device->ops->host_free(x->device, x->stage);
    x->device->ops->close(x->device);
  }
  for (int i = 0; i < MASSRT_SHAPES; i++)
    if (x->shape[i]) massrt_release(&x->mem, x->shape[i], x->shape[i]->bytes);
  for (uint32_t i = 0; i <= x->p->n_binds; i++) massrt_release(&x->mem, x->block[i].p, x->block[i].bytes);
  struct massrt_mem m = x->mem;
  massrt_release(&m, x, exec_bytes(x->p));
}

/* ---- shapes: checks ---- */
static int check_types(struct massrt_exec *x, const struct massrt_tensor *in)
{
  for (uint32_t i = 0; i < x->p->n_inputs; i++) {
    const struct massrt_io *io = &x->p->inputs[i];
    if (in[i].elem != io->elem)
      return fail(x, MASSRT_E_INPUT, "input \"%s\": element type is %s, expected %s", io->name, in[i].elem < MASSRT_N_ELEMS ? massrt_elem_name[in[i].elem] : "unknown",
                  massrt_elem_name[io->elem]);
    if (in[i].rank != io->rank) return fail(x, MASSRT_E_INPUT, "input \"%s\": rank is %u, expected %u", io->name, in[i].rank, io->rank);
  }
  return MASSRT_OK;
}
static const char *dim_name(const struct massrt_io *io, uint32_t axis)
{
  return io->dim_names && io->dim_names[axis] ? io->dim_names[axis] : NULL;
}
static int bad_dim(struct massrt_exec *x, const struct massrt_io *io, uint32_t axis, int64_t found, const char *expected)
{
  const char *name = dim_name(io, axis);
  return fail(x, MASSRT_E_INPUT, "input \"%s\", axis %u%s%s%s: size is %lld, expected %s", io->name, axis, name ? " (" : "", name ? name : "", name ? ")" : "",
              (long long)found, expected);
}
static int check_symbol(struct massrt_exec *x, const struct massrt_sym *s, int64_t v)
{
  char want[96];
  if (v >= 0 && v >= s->lo && v <= s->hi && (s->by <= 1 || v % s->by == 0)) return MASSRT_OK;
  int n = s->hi == INT64_MAX ? snprintf(want, sizeof want, "at least %lld", (long long)s->lo)
                             : snprintf(want, sizeof want, "%lld to %lld", (long long)s->lo, (long long)s->hi);
  if (s->by > 1) snprintf(want + n, sizeof want - (size_t)n, ", a multiple of %lld", (long long)s->by);
  return bad_dim(x, &x->p->inputs[s->input], s->axis, v, want);
}
static int check_dims(struct massrt_exec *x, const struct massrt_tensor *in, const int64_t *values)
{
  for (uint32_t i = 0; i < x->p->n_inputs; i++) {
    const struct massrt_io *io = &x->p->inputs[i];
    for (uint32_t a = 0; a < io->rank; a++) {
      char want[32];
      snprintf(want, sizeof want, "%lld", (long long)values[io->dims[a]]);
      if (in[i].dim[a] != values[io->dims[a]]) return bad_dim(x, io, a, in[i].dim[a], want);
    }
  }
  return MASSRT_OK;
}
static int check_requires(struct massrt_exec *x, const int64_t *values, uint32_t late)
{
  for (uint32_t i = 0; i < x->p->n_requires; i++) {
    const struct massrt_require *r = &x->p->requires_[i];
    if (x->p->exprs[r->expr].late != late) continue;
    int64_t v = values[r->expr];
    if (r->eq ? v != 0 : v < 0) return fail(x, MASSRT_E_INPUT, late ? "sizes computed from the inputs do not fit: %s" : "the shapes of the inputs do not fit: %s", r->why);
  }
  return MASSRT_OK;
}
static int evaluate(struct massrt_exec *x, struct massrt_shape *s, uint32_t late)
{
  uint32_t bad;
  if (!massrt_eval_exprs(x->p->exprs, x->p->n_exprs, late, s->syms, x->p->n_syms, s->values, &bad)) return MASSRT_OK;
  const struct massrt_expr *e = &x->p->exprs[bad];
  if (e->op == MASSRT_X_BCAST)
    return fail(x, MASSRT_E_INPUT, "the shapes of the inputs do not fit: sizes %lld and %lld meet where they must be equal or 1", (long long)s->values[e->a],
                (long long)s->values[e->b]);
  return fail(x, MASSRT_E_INPUT, "the shapes of the inputs are too large: a size that follows from them overflows");
}

/* ---- shapes: values that state sizes ---- */
static bool is_late(const struct massrt_sym *s) { return s->axis == MASSRT_SYM_LATE; }
static bool is_value(const struct massrt_sym *s) { return s->axis & MASSRT_SYM_VALUE; }
/* False: the input brings no data, or not this element. */
static bool value_of(const struct massrt_sym *s, const struct massrt_tensor *in, int64_t *out)
{
  const struct massrt_tensor *t = &in[s->input];
  uint64_t elems, bytes, j = s->axis & ~MASSRT_SYM_VALUE;
  if (!t->data || !massrt_shape_bytes(t->elem, t->rank, t->dim, &elems, &bytes) || j >= elems || t->bytes < bytes) return false;
  double v = massrt_elem_get(t->elem, t->data, j);
  *out = v != v ? 0 : v < (double)s->lo ? s->lo : v > (double)s->hi ? s->hi : (int64_t)v;
  return true;
}
static int bind_symbol(struct massrt_exec *x, const struct massrt_sym *s, const struct massrt_tensor *in, int64_t *out)
{
  if (is_value(s))
    return value_of(s, in, out) ? MASSRT_OK : fail(x, MASSRT_E_INPUT, "input \"%s\": its values state sizes of other tensors, and are not there", x->p->inputs[s->input].name);
  *out = in[s->input].dim[s->axis];
  return check_symbol(x, s, *out);
}

/* ---- shapes: what follows from them ---- */
static struct massrt_shape *new_shape(struct massrt_exec *x)
{
  const struct massrt_program *p = x->p;
  uint64_t words = (uint64_t)x->n_dims + p->n_syms + p->n_exprs + p->n_buffers + p->n_inputs + p->n_outputs;
  uint64_t bytes = sizeof(struct massrt_shape) + words * 8 + p->n_launches * sizeof(uint32_t);
  struct massrt_shape *s = massrt_alloc(&x->mem, bytes, MASSRT_ALIGN);
  if (!s) return NULL;
  memset(s, 0, bytes);
  s->bytes = bytes;
  s->dims = (int64_t *)(s + 1);
  s->syms = s->dims + x->n_dims;
  s->values = s->syms + p->n_syms;
  s->offset = s->values + p->n_exprs;
  s->io_bytes = (uint64_t *)(s->offset + p->n_buffers);
  s->ways = (uint32_t *)(s->io_bytes + p->n_inputs + p->n_outputs);
  return s;
}
static bool same_dims(const struct massrt_exec *x, const struct massrt_shape *s, const struct massrt_tensor *in)
{
  const int64_t *d = s->dims;
  for (uint32_t i = 0; i < x->p->n_inputs; d += x->p->inputs[i++].rank)
    if (memcmp(d, in[i].dim, x->p->inputs[i].rank * sizeof *d)) return false;
  for (uint32_t i = 0; i < x->p->n_syms; i++) {
    int64_t v;
    if (is_value(&x->p->syms[i]) && (!value_of(&x->p->syms[i], in, &v) || v != s->syms[i])) return false;
  }
  return true;
}
static int size_ios(struct massrt_exec *x, const struct massrt_io *io, uint32_t n, const int64_t *values, const char *what, uint64_t *out)
{
  for (uint32_t i = 0; i < n; i++) {
    int64_t dim[MASSRT_MAX_RANK];
    uint64_t elems;
    out[i] = 0;
    if (late_io(&io[i])) continue;
    for (uint32_t a = 0; a < io[i].rank; a++) dim[a] = values[io[i].dims[a]];
    if (!massrt_shape_bytes(io[i].elem, io[i].rank, dim, &elems, &out[i])) return fail(x, MASSRT_E_INPUT, "%s \"%s\": the shape's size overflows", what, io[i].name);
  }
  return MASSRT_OK;
}
static int plan_place(struct massrt_exec *x, struct massrt_shape *s, uint32_t place, uint32_t late, struct massrt_span *b, void *workspace, uint64_t *out)
{
  int64_t total, live;
  if (massrt_plan_place(x->p, place, late, s->values, b, workspace, s->offset, &total, &live)) return fail(x, MASSRT_E_INPUT, "the shapes of the inputs are too large: the sum of buffers overflows");
  *out = (uint64_t)total;
  return MASSRT_OK;
}
/* What bind number `late` makes known: that one's block, of *late_bytes; 0: the arenas. */
static int plan(struct massrt_exec *x, struct massrt_shape *s, uint32_t late, uint64_t *late_bytes)
{
  const struct massrt_program *p = x->p;
  if (p->arena_bytes >= 0 && !late) {
    for (uint32_t i = 0; i < p->n_buffers; i++) s->offset[i] = p->buffers[i].offset;
    s->arena_bytes = (uint64_t)p->arena_bytes;
    s->device_bytes = p->n_places > 1 ? (uint64_t)p->places[1].arena_bytes : 0;
    return MASSRT_OK;
  }
  uint64_t spans = p->n_buffers * sizeof(struct massrt_span), bytes = spans + massrt_plan_workspace(p->n_buffers);
  uint8_t *b = massrt_alloc(&x->mem, bytes, MASSRT_ALIGN);
  if (!b) return fail(x, MASSRT_E_MEMORY, "no memory to plan the buffers of a new shape");
  int rc = plan_place(x, s, 0, late, (struct massrt_span *)b, b + spans, late ? late_bytes : &s->arena_bytes);
  if (!rc && !late && p->n_places > 1) rc = plan_place(x, s, 1, 0, (struct massrt_span *)b, b + spans, &s->device_bytes);
  massrt_release(&x->mem, b, bytes);
  return rc;
}
/* A hand-off costs up to a microsecond with its cache misses, so each thread gets at least that much: WORK operations of a vectorised kernel, or BYTES of
 * memory. Launches that state neither get all threads. */
static uint32_t launch_ways(const struct massrt_exec *x, const struct massrt_launch *l, const int64_t *values)
{
  enum { WORK = 32 << 10, BYTES = 16 << 10 };
  int64_t tasks = values[l->tasks], n = massrt_pool_threads(x->pool);
  int64_t work = l->work == MASSRT_NO_EXPR ? 0 : values[l->work], bytes = l->bytes == MASSRT_NO_EXPR ? 0 : values[l->bytes];
  int64_t most = work / WORK > bytes / BYTES ? work / WORK : bytes / BYTES;
  if (n > tasks) n = tasks;
  if ((work || bytes) && n > most) n = most;
  return n < 1 ? 1 : (uint32_t)n;
}
static void share_work(struct massrt_exec *x, struct massrt_shape *s, uint32_t late)
{
  const struct massrt_program *p = x->p;
  for (uint32_t i = 0; i < p->n_launches; i++) {
    const struct massrt_launch *l = &p->launches[i];
    if (late_of(p, l->tasks) == late || late_of(p, l->work) == late || late_of(p, l->bytes) == late) s->ways[i] = launch_ways(x, l, s->values);
  }
}
static int fill_shape(struct massrt_exec *x, struct massrt_shape *s, const struct massrt_tensor *in)
{
  const struct massrt_program *p = x->p;
  for (uint32_t i = 0; i < p->n_syms; i++) {
    if (is_late(&p->syms[i])) continue;
    int rc = bind_symbol(x, &p->syms[i], in, &s->syms[i]);
    if (rc) return rc;
  }
  int rc = evaluate(x, s, 0);
  if (!rc) rc = check_dims(x, in, s->values);
  if (!rc) rc = check_requires(x, s->values, 0);
  if (!rc) rc = size_ios(x, p->inputs, p->n_inputs, s->values, "input", s->io_bytes);
  if (!rc) rc = size_ios(x, p->outputs, p->n_outputs, s->values, "output", s->io_bytes + p->n_inputs);
  if (!rc) rc = plan(x, s, 0, NULL);
  if (rc) return rc;
  share_work(x, s, 0);
  int64_t *d = s->dims;
  for (uint32_t i = 0; i < p->n_inputs; d += p->inputs[i++].rank) memcpy(d, in[i].dim, p->inputs[i].rank * sizeof *d);
  return MASSRT_OK;
}
/* Moves shape[i] to the front. */
static void to_front(struct massrt_exec *x, uint32_t i)
{
  struct massrt_shape *s = x->shape[i];
  memmove(&x->shape[1], &x->shape[0], i * sizeof s);
  x->shape[0] = s;
}
/* Makes shape[0] the one of these inputs. Entries behind n_shapes are memory to reuse. */
static int find_shape(struct massrt_exec *x, const struct massrt_tensor *in)
{
  for (uint32_t i = 0; i < x->n_shapes; i++)
    if (same_dims(x, x->shape[i], in)) { to_front(x, i); return MASSRT_OK; }
  if (x->n_shapes == MASSRT_SHAPES) x->n_shapes--;
  uint32_t at = x->n_shapes;
  if (!x->shape[at]) x->shape[at] = new_shape(x);
  if (!x->shape[at]) return fail(x, MASSRT_E_MEMORY, "no memory for the sizes of a new shape");
  forget_graph(x, x->shape[at]);
  int rc = fill_shape(x, x->shape[at], in);
  if (rc) return rc;
  to_front(x, at);
  x->n_shapes++;
  return MASSRT_OK;
}
static int grow(struct massrt_exec *x, uint32_t late, uint64_t bytes)
{
  struct massrt_block *b = &x->block[late];
  if (b->p && bytes <= b->bytes) return MASSRT_OK;
  massrt_release(&x->mem, b->p, b->bytes);
  *b = (struct massrt_block){ massrt_alloc(&x->mem, bytes, MASSRT_ALIGN), bytes };
  if (b->p) return MASSRT_OK;
  b->bytes = 0;
  return fail(x, MASSRT_E_MEMORY, late ? "no memory: %llu bytes are needed for values whose size was computed" : "no memory: %llu bytes of activations are needed for these input shapes",
              (unsigned long long)bytes);
}
int massrt_device_result(struct massrt_exec *x, int rc) { return rc ? fail(x, rc, "%s", x->device->error) : MASSRT_OK; }
static uint64_t aligned(uint64_t n) { return (n + MASSRT_ALIGN - 1) / MASSRT_ALIGN * MASSRT_ALIGN; }
/* Place of input or output number i (outputs behind inputs) in the stage; i = all of them: its size. */
static uint64_t stage_at(const struct massrt_exec *x, uint32_t i)
{
  uint64_t at = 0;
  while (i-- > 0) at += aligned(x->shape[0]->io_bytes[i]);
  return at;
}
static int grow_device(struct massrt_exec *x)
{
  struct massrt_device *d = x->device;
  uint64_t stage = stage_at(x, x->p->n_inputs + x->p->n_outputs);
  if (!x->device_bytes || x->shape[0]->device_bytes > x->device_bytes) {
    x->generation++;
    x->device_bytes = 0;
    int rc = d->ops->reserve(d, x->shape[0]->device_bytes);
    if (rc) return massrt_device_result(x, rc);
    x->device_bytes = x->shape[0]->device_bytes + 1;                        /* not 0 */
  }
  if (stage > x->stage_bytes || !x->stage) {
    x->generation++;
    if (x->stage) d->ops->host_free(d, x->stage);
    x->stage = d->ops->host_alloc(d, stage);
    x->stage_bytes = x->stage ? stage : 0;
    if (!x->stage) return fail(x, MASSRT_E_MEMORY, "no memory: %llu bytes for the inputs and outputs of these shapes", (unsigned long long)stage);
  }
  return MASSRT_OK;
}
static bool on_device(const struct massrt_exec *x, const struct massrt_arg *a)
{
  return a->kind == MASSRT_A_DEVICE_WEIGHT || (a->kind == MASSRT_A_BUFFER && x->p->buffers[a->index].place);
}
static int bind_device_arg(struct massrt_exec *x, uint32_t i)
{
  const struct massrt_shape *s = x->shape[0];
  const struct massrt_arg *a = &x->p->args[i];
  bool weights = a->kind == MASSRT_A_DEVICE_WEIGHT;
  uint64_t offset = a->offset + (weights ? 0 : (uint64_t)s->offset[a->index]);
  uint64_t bytes = (weights ? x->p->weights_bytes - a->offset : (uint64_t)s->values[x->p->buffers[a->index].bytes]);
  int rc = x->device->ops->bind(x->device, weights, offset, bytes, &x->args[i]);
  return massrt_device_result(x, rc);
}
/* The words that bind number `late` makes known; 0: those of the inputs, and all that never change. */
static int bind_args(struct massrt_exec *x, uint32_t late)
{
  const struct massrt_shape *s = x->shape[0];
  if (!late && x->device && x->device->ops->unbind) x->device->ops->unbind(x->device);
  for (uint32_t i = 0; i < x->p->n_args; i++) {
    const struct massrt_arg *a = &x->p->args[i];
    if (late != (a->kind == MASSRT_A_EXPR ? late_of(x->p, a->index) : a->kind == MASSRT_A_BUFFER ? late_of(x->p, x->p->buffers[a->index].bytes) : 0)) continue;
    int rc = on_device(x, a) ? bind_device_arg(x, i) : MASSRT_OK;
    if (rc) return rc;
    if (a->kind == MASSRT_A_BUFFER && !on_device(x, a)) x->args[i].p = x->block[late].p + s->offset[a->index] + a->offset;
    if (a->kind == MASSRT_A_WEIGHT) x->args[i].p = (uint8_t *)x->p->weights + a->offset;
    if (a->kind == MASSRT_A_EXPR) x->args[i].i = s->values[a->index];
    if (x->device && (a->kind == MASSRT_A_INPUT || a->kind == MASSRT_A_OUTPUT))
      x->args[i].p = x->stage + stage_at(x, a->index + (a->kind == MASSRT_A_OUTPUT ? x->p->n_inputs : 0)) + a->offset;
  }
  return MASSRT_OK;
}
/* Late dims are -1 until the program has run. */
static void report_outputs(const struct massrt_exec *x, struct massrt_tensor *out, bool ran)
{
  for (uint32_t i = 0; i < x->p->n_outputs; i++) {
    const struct massrt_io *io = &x->p->outputs[i];
    out[i].elem = io->elem;
    out[i].rank = io->rank;
    for (uint32_t a = 0; a < io->rank; a++) out[i].dim[a] = !ran && late_of(x->p, io->dims[a]) ? -1 : x->shape[0]->values[io->dims[a]];
  }
}
int massrt_prepare(struct massrt_exec *x, const struct massrt_tensor *in, struct massrt_tensor *out)
{
  int rc = check_types(x, in);
  if (!rc && !(x->ready && same_dims(x, x->shape[0], in))) {
    x->ready = false;
    rc = find_shape(x, in);
    if (!rc) rc = grow(x, 0, x->shape[0]->arena_bytes);
    if (!rc && x->device) rc = grow_device(x);
    if (!rc) rc = bind_args(x, 0);
    x->ready = !rc;
  }
  if (!rc && out) report_outputs(x, out, false);
  return rc;
}
/* A symbol's value where some input states it: by the axis that binds it, or another that is just this symbol. -1: nowhere. */
static int64_t stated(const struct massrt_program *p, uint32_t sym, const struct massrt_tensor *in)
{
  for (uint32_t i = 0; i < p->n_inputs; i++)
    for (uint32_t a = 0; a < p->inputs[i].rank; a++) {
      const struct massrt_expr *e = &p->exprs[p->inputs[i].dims[a]];
      if (e->op == MASSRT_X_SYM && e->k == sym && in[i].dim[a] >= 0) return in[i].dim[a];
    }
  return in[p->syms[sym].input].dim[p->syms[sym].axis];
}
int massrt_complete(struct massrt_exec *x, struct massrt_tensor *in)
{
  const struct massrt_program *p = x->p;
  struct massrt_shape *s = new_shape(x);
  if (!s) return fail(x, MASSRT_E_MEMORY, "no memory for the sizes of a new shape");
  int rc = MASSRT_OK;
  for (uint32_t i = 0; i < p->n_syms && !rc; i++) {
    if (is_value(&p->syms[i])) {
      if (!value_of(&p->syms[i], in, &s->syms[i])) s->syms[i] = 1;
      continue;
    }
    if (is_late(&p->syms[i])) continue;
    int64_t by = p->syms[i].by > 1 ? p->syms[i].by : 1, lo = p->syms[i].lo > 1 ? p->syms[i].lo : 1;
    s->syms[i] = stated(p, i, in);
    if (s->syms[i] < 0) s->syms[i] = (lo + by - 1) / by * by;
    rc = check_symbol(x, &p->syms[i], s->syms[i]);
  }
  if (!rc) rc = evaluate(x, s, 0);
  for (uint32_t i = 0; i < p->n_inputs && !rc; i++)
    for (uint32_t a = 0; a < p->inputs[i].rank; a++)
      if (in[i].dim[a] < 0) in[i].dim[a] = s->values[p->inputs[i].dims[a]];
  massrt_release(&x->mem, s, s->bytes);
  return rc;
}

/* ---- run ---- */
static int check_memory(struct massrt_exec *x, const struct massrt_io *io, uint32_t n, const struct massrt_tensor *t, const uint64_t *need, const char *what)
{
  for (uint32_t i = 0; i < n; i++)
    if (t[i].bytes < need[i] || (need[i] && (!t[i].data || (uintptr_t)t[i].data % massrt_elem_bytes[io[i].elem])))
      return fail(x, MASSRT_E_USAGE, "%s \"%s\": %llu bytes at %s memory, %llu are needed", what, io[i].name, (unsigned long long)t[i].bytes,
                  !t[i].data ? "no" : (uintptr_t)t[i].data % massrt_elem_bytes[io[i].elem] ? "misaligned" : "this", (unsigned long long)need[i]);
  return MASSRT_OK;
}
/* Records the steps for this shape, or queues what was recorded. */
static int run_recorded(struct massrt_exec *x)
{
  const struct massrt_device_ops *ops = x->device->ops;
  struct massrt_shape *s = x->shape[0];
  int rc;
  if (s->graph && s->generation != x->generation) forget_graph(x, s);
  if (!s->graph) {
    rc = ops->record(x->device);
    if (rc) return massrt_device_result(x, rc);
    rc = x->p->run(x);
    int end = ops->recorded(x->device, !rc, &s->graph);
    if (rc) return rc;
    if (end) return massrt_device_result(x, end);
    s->generation = x->generation;
  }
  rc = ops->replay(x->device, s->graph, NULL);
  return massrt_device_result(x, rc);
}
/* The device copies from and to the stage. */
static int run_device(struct massrt_exec *x, const struct massrt_tensor *in, struct massrt_tensor *out)
{
  const uint64_t *bytes = x->shape[0]->io_bytes;
  uint32_t n = x->p->n_inputs;
  uint64_t at = 0;
  for (uint32_t i = 0; i < n; at += aligned(bytes[i++])) memcpy(x->stage + at, in[i].data, bytes[i]);
  int rc = x->pieces ? massrt_pieces_run(x) : x->recordable && !x->trace ? run_recorded(x) : x->p->run(x);
  if (rc) return rc;
  rc = x->device->ops->sync(x->device);
  if (rc) return massrt_device_result(x, rc);
  for (uint32_t i = 0; !x->pieces && i < x->p->n_outputs; at += aligned(bytes[n + i++]))
    if (bytes[n + i]) memcpy(out[i].data, x->stage + at, bytes[n + i]);
  return MASSRT_OK;
}
/* Outputs of late size: into the caller's memory, if there is any. */
const void *massrt_output(const struct massrt_exec *x, uint32_t i, uint64_t *out_bytes)
{
  const struct massrt_program *p = x->p;
  if (i >= p->n_outputs || !late_io(&p->outputs[i])) return NULL;
  uint32_t bytes = p->buffers[p->outputs[i].buffer - 1].bytes;
  *out_bytes = (uint64_t)x->shape[0]->values[bytes];
  return x->block[p->exprs[bytes].late].p + x->shape[0]->offset[p->outputs[i].buffer - 1];
}
static int hand_over(struct massrt_exec *x, struct massrt_tensor *out)
{
  for (uint32_t i = 0; i < x->p->n_outputs; i++) {
    uint64_t bytes;
    const void *from = out[i].data ? massrt_output(x, i, &bytes) : NULL;
    if (!from) continue;
    if (out[i].bytes < bytes) return fail(x, MASSRT_E_USAGE, "output \"%s\": %llu bytes at this memory, %llu are needed", x->p->outputs[i].name, (unsigned long long)out[i].bytes, (unsigned long long)bytes);
    memcpy(out[i].data, from, bytes);
  }
  return MASSRT_OK;
}
int massrt_run(struct massrt_exec *x, const struct massrt_tensor *in, struct massrt_tensor *out)
{
  const struct massrt_program *p = x->p;
  int rc = massrt_prepare(x, in, NULL);
  if (!rc) rc = check_memory(x, p->inputs, p->n_inputs, in, x->shape[0]->io_bytes, "input");
  if (!rc) rc = check_memory(x, p->outputs, p->n_outputs, out, x->shape[0]->io_bytes + p->n_inputs, "output");
  if (rc) return rc;
  x->error[0] = 0;
  if (x->device) rc = run_device(x, in, out);
  else {
    for (uint32_t i = 0; i < x->n_io_args; i++) {
      const struct massrt_arg *a = &p->args[x->io_args[i]];
      x->args[x->io_args[i]].p = (uint8_t *)(a->kind == MASSRT_A_INPUT ? in : out)[a->index].data + a->offset;
    }
    massrt_pool_wake(x->pool);
    rc = p->run(x);
  }
  if (rc) return x->error[0] ? rc : fail(x, rc, "the program returned %d", rc);
  report_outputs(x, out, true);
  return hand_over(x, out);
}

/* ---- what emitted code calls ---- */
static int64_t begin_ns(const struct massrt_exec *x) { return x->trace ? massrt_now_ns() : 0; }
static int done(struct massrt_exec *x, uint32_t step, int64_t start, int rc)
{
  if (x->trace) x->trace(x->trace_arg, step, start, massrt_now_ns());
  return rc;
}
static int launch_on_device(struct massrt_exec *x, uint32_t step)
{
  const struct massrt_launch *l = &x->p->launches[x->p->steps[step].a];
  int64_t blocks = x->shape[0]->values[l->tasks], ns = 0, start = begin_ns(x);
  if (blocks > 0 && x->pieces && !massrt_piece_queues(x)) return MASSRT_OK;
  int rc = blocks > 0 ? x->device->ops->launch(x->device, l->kernel, x->args + l->first_arg, blocks, x->trace ? &ns : NULL) : MASSRT_OK;
  if (rc) return fail(x, rc, "kernel %s (%s): %s", x->p->kernels[l->kernel].name, l->nodes ? l->nodes : "", x->device->error);
  if (x->trace) x->trace(x->trace_arg, step, start, start + ns);
  return MASSRT_OK;
}
int massrt_launch(struct massrt_exec *x, uint32_t step)
{
  uint32_t launch = x->p->steps[step].a;
  const struct massrt_launch *l = &x->p->launches[launch];
  const struct massrt_shape *s = x->shape[0];
  if (x->p->kernels[l->kernel].device) return launch_on_device(x, step);
  int64_t start = begin_ns(x);
  if (s->values[l->tasks] > 0) massrt_pool_run(x->pool, x->v->fn[l->kernel], x->args + l->first_arg, s->values[l->tasks], (int)s->ways[launch]);
  return done(x, step, start, MASSRT_OK);
}
enum { COPY_CHUNK = 64 << 10 };
static void copy_chunks(const union massrt_word *w, int64_t t0, int64_t t1, void *scratch)
{
  (void)scratch;
  int64_t from = t0 * COPY_CHUNK, to = t1 * COPY_CHUNK < w[2].i ? t1 * COPY_CHUNK : w[2].i;
  memmove((char *)w[0].p + from, (const char *)w[1].p + from, (size_t)(to - from));
}
static int copy(struct massrt_exec *x, const void *from, void *to, int64_t bytes)
{
  const union massrt_word w[3] = { { .p = to }, { .p = (void *)from }, { .i = bytes } };
  if (w[2].i > 0 && w[2].i <= COPY_CHUNK && w[0].p != w[1].p) memcpy(to, from, (size_t)bytes);
  else if (w[2].i > 0 && w[0].p != w[1].p) massrt_pool_run(x->pool, copy_chunks, w, (w[2].i + COPY_CHUNK - 1) / COPY_CHUNK, (int)(w[2].i / (4 * COPY_CHUNK)) + 1);
  return MASSRT_OK;
}
static int copy_with_device(struct massrt_exec *x, uint32_t from, uint32_t to, uint64_t bytes)
{
  const struct massrt_device_ops *ops = x->device->ops;
  bool from_device = on_device(x, &x->p->args[from]), to_device = on_device(x, &x->p->args[to]);
  if (x->pieces && (!bytes || !to_device)) return MASSRT_OK;
  if (x->pieces && !from_device) return massrt_piece_copy(x, x->args[to], x->args[from].p, bytes);
  if (x->pieces && !massrt_piece_queues(x)) return MASSRT_OK;
  int rc = !bytes ? MASSRT_OK
         : !from_device ? ops->to_device(x->device, x->args[to], x->args[from].p, bytes)
         : to_device    ? ops->inside(x->device, x->args[to], x->args[from], bytes)
                        : ops->to_host(x->device, x->args[to].p, x->args[from], bytes);
  if (!rc && (x->trace || (!to_device && !x->recordable))) rc = ops->sync(x->device);  /* the processor may read it; a trace wants its time */
  return massrt_device_result(x, rc);
}
int massrt_copy(struct massrt_exec *x, uint32_t step)
{
  const struct massrt_step *s = &x->p->steps[step];
  int64_t bytes = x->shape[0]->values[s->c], start = begin_ns(x);
  bool device = x->device && (on_device(x, &x->p->args[s->a]) || on_device(x, &x->p->args[s->b]));
  return done(x, step, start, device ? copy_with_device(x, s->a, s->b, (uint64_t)bytes) : copy(x, x->args[s->a].p, x->args[s->b].p, bytes));
}
static int64_t *counter_at(struct massrt_exec *x, uint32_t arg) { return x->args[arg].p; }
int massrt_stack(struct massrt_exec *x, uint32_t step)
{
  const struct massrt_step *s = &x->p->steps[step];
  int64_t bytes = x->shape[0]->values[s->c], start = begin_ns(x);
  return done(x, step, start, copy(x, x->args[s->a].p, (char *)x->args[s->a + 1].p + *counter_at(x, s->b) * bytes, bytes));
}
int massrt_loop_begin(struct massrt_exec *x, uint32_t step)
{
  *counter_at(x, x->p->steps[step].a + 2) = -1;
  return MASSRT_OK;
}
int massrt_loop_again(struct massrt_exec *x, uint32_t step)
{
  uint32_t first_arg = x->p->steps[step].a;
  int64_t trip, i = ++*counter_at(x, first_arg + 2);
  memcpy(&trip, x->args[first_arg + 1].p, sizeof trip);                             /* an input may lie anywhere */
  return i < trip && *(const uint8_t *)x->args[first_arg].p != 0;
}

/* ---- sizes that are known in mid-run ---- */
int massrt_bind(struct massrt_exec *x, uint32_t step)
{
  struct massrt_shape *s = x->shape[0];
  uint32_t arg = x->p->steps[step].a, first_sym = x->p->steps[step].b, n = x->p->steps[step].c, late = x->p->syms[first_sym].input;
  uint64_t bytes = 0;
  int64_t start = begin_ns(x);
  for (uint32_t i = 0; i < n; i++) {
    const struct massrt_sym *y = &x->p->syms[first_sym + i];
    int64_t v;
    memcpy(&v, (const char *)x->args[arg].p + i * sizeof v, sizeof v);
    s->syms[first_sym + i] = v < y->lo ? y->lo : v > y->hi ? y->hi : v;
  }
  int rc = evaluate(x, s, late);
  if (!rc) rc = check_requires(x, s->values, late);
  if (!rc) rc = plan(x, s, late, &bytes);
  if (!rc) rc = grow(x, late, bytes);
  if (!rc) rc = bind_args(x, late);
  if (!rc) share_work(x, s, late);
  return done(x, step, start, rc);
}
int massrt_call(struct massrt_exec *x, uint32_t step)
{
  const struct massrt_step *s = &x->p->steps[step];
  int64_t tasks = x->shape[0]->values[s->c], threads = massrt_pool_threads(x->pool), start = begin_ns(x);
  if (tasks > 0) massrt_pool_run(x->pool, massrt_host_fn[s->a], x->args + s->b, tasks, (int)(tasks < threads ? tasks : threads));
  return done(x, step, start, MASSRT_OK);
}
