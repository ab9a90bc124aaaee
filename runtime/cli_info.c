/* --info and --help: read from the program's tables, without an instance. */
#include "runtime/cli.h"
#include "runtime/core/host.h"
#include <stdio.h>
#include <string.h>

void cli_type(char *out, size_t n, const struct massrt_program *p, const struct massrt_io *io)
{
  struct massrt_signature s;
  massrt_signature_of(p, io, &s);
  massrt_type_text(out, n, s.elem, s.rank, s.dim, s.dim_name);
}
const char *cli_step_name(const struct massrt_program *p, uint32_t step)
{
  const struct massrt_step *s = &p->steps[step];
  switch ((enum massrt_step_kind)s->kind) {
  case MASSRT_S_LAUNCH: return p->kernels[p->launches[s->a].kernel].name;
  case MASSRT_S_COPY: return "copy";
  case MASSRT_S_STACK: return "stack";
  case MASSRT_S_BIND: return "bind";
  case MASSRT_S_CALL: return massrt_host_name[s->a];
  case MASSRT_S_LOOP: case MASSRT_S_NEXT: break;
  }
  return NULL;
}
static bool constant(const struct massrt_program *p, uint32_t expr, int64_t *out)
{
  if (expr == MASSRT_NO_EXPR || p->exprs[expr].op != MASSRT_X_CONST) return false;
  *out = p->exprs[expr].k;
  return true;
}
static void text_ios(const struct massrt_program *p, const struct massrt_io *io, uint32_t n, const char *what)
{
  char type[512];
  for (uint32_t i = 0; i < n; i++) {
    cli_type(type, sizeof type, p, &io[i]);
    printf("%-12s%s: %s\n", what, io[i].name, type);
  }
}
static void info_text(const struct massrt_program *p)
{
  printf("%s, by %s, hash %s\n%-12s%s\n", p->name, p->producer, p->hash, "flags", p->flags);
  text_ios(p, p->inputs, p->n_inputs, "input");
  text_ios(p, p->outputs, p->n_outputs, "output");
  for (uint32_t i = 0; i < p->n_syms; i++) {
    const struct massrt_sym *s = &p->syms[i];
    printf("%-12s%s: from %lld", "dim", s->name, (long long)s->lo);
    if (s->hi != INT64_MAX) printf(" to %lld", (long long)s->hi);
    if (s->by > 1) printf(", a multiple of %lld", (long long)s->by);
    if (s->axis == MASSRT_SYM_LATE) printf(", computed by the model");
    putchar('\n');
  }
  printf("%-12s", "targets");
  for (uint32_t i = 0; i < p->n_versions; i++) printf("%s%s", i ? ", " : "", p->versions[i].target);
  printf("\n%-12s%u, of %u kernels in %u launches\n%-12s%llu bytes", "sub-graphs", p->n_groups, p->n_kernels, p->n_launches, "weights",
         (unsigned long long)p->weights_bytes);
  if (p->transformed_bytes) printf(", %llu of them for 3x3 kernels stored transformed", (unsigned long long)p->transformed_bytes);
  printf("\n%-12s", "memory");
  if (p->arena_bytes < 0) printf("planned for each shape, %u buffers\n", p->n_buffers);
  else printf("%lld bytes in %u buffers; largest sum of live ones %lld\n", (long long)p->arena_bytes, p->n_buffers, (long long)p->live_bytes);
  const char *group = NULL;
  for (uint32_t i = 0; i < p->n_steps; i++) {
    const struct massrt_step *s = &p->steps[i];
    const char *here = s->kind == MASSRT_S_LAUNCH ? p->launches[s->a].group : "steps of the runtime";
    if (!cli_step_name(p, i)) continue;
    if (!group || strcmp(group, here)) printf("%s\n", here);
    printf("  %s  %s\n", cli_step_name(p, i), s->nodes);
    group = here;
  }
}
static void json_ios(struct cli *c, const struct massrt_io *io, uint32_t n, const char *key)
{
  json_key(c, key);
  putchar('[');
  for (uint32_t i = 0; i < n; i++) {
    struct massrt_signature s;
    massrt_signature_of(c->p, &io[i], &s);
    printf("%s\n    {\"name\": ", i ? "," : "");
    json_string(s.name);
    printf(", \"type\": \"%s\", \"shape\": [", massrt_elem_name[s.elem]);
    for (uint32_t a = 0; a < s.rank; a++) {
      if (a) printf(", ");
      if (s.dim[a] >= 0) printf("%lld", (long long)s.dim[a]);
      else json_string(s.dim_name[a] ? s.dim_name[a] : "?");
    }
    printf("]}");
  }
  putchar(']');
}
static void json_size(const struct cli *c, const char *key, uint32_t expr)
{
  int64_t k;
  if (constant(c->p, expr, &k)) printf(", \"%s\": %lld", key, (long long)k);
  else printf(", \"%s\": null", key);
}
static void json_launches(struct cli *c)
{
  json_key(c, "launches");
  putchar('[');
  for (uint32_t i = 0; i < c->p->n_launches; i++) {
    const struct massrt_launch *l = &c->p->launches[i];
    printf("%s\n    {\"kernel\": ", i ? "," : "");
    json_string(c->p->kernels[l->kernel].name);
    printf(", \"group\": ");
    json_string(l->group);
    printf(", \"nodes\": ");
    json_string(l->nodes);
    json_size(c, "tasks", l->tasks);
    json_size(c, "work", l->work);
    json_size(c, "bytes", l->bytes);
    json_size(c, "products", l->products);
    putchar('}');
  }
  putchar(']');
}
static void json_steps(struct cli *c)
{
  bool first = true;
  json_key(c, "steps");
  putchar('[');
  for (uint32_t i = 0; i < c->p->n_steps; i++) {
    if (c->p->steps[i].kind == MASSRT_S_LAUNCH || !cli_step_name(c->p, i)) continue;
    printf("%s\n    {\"kernel\": ", first ? "" : ",");
    json_string(cli_step_name(c->p, i));
    printf(", \"nodes\": ");
    json_string(c->p->steps[i].nodes);
    json_size(c, "bytes", c->p->steps[i].bytes);
    putchar('}');
    first = false;
  }
  putchar(']');
}
static void json_syms(struct cli *c)
{
  json_key(c, "dims");
  putchar('[');
  for (uint32_t i = 0; i < c->p->n_syms; i++) {
    const struct massrt_sym *s = &c->p->syms[i];
    printf("%s\n    {\"name\": ", i ? "," : "");
    json_string(s->name);
    printf(", \"from\": %lld, \"to\": ", (long long)s->lo);
    if (s->hi == INT64_MAX) printf("null");
    else printf("%lld", (long long)s->hi);
    printf(", \"multiple_of\": %lld}", (long long)(s->by > 1 ? s->by : 1));
  }
  putchar(']');
}
static void info_json(struct cli *c)
{
  const struct massrt_program *p = c->p;
  const struct { const char *key, *text; } texts[] = { { "name", p->name }, { "producer", p->producer }, { "flags", p->flags }, { "hash", p->hash } };
  const struct { const char *key; int64_t v; } numbers[] = {
    { "groups", p->n_groups }, { "kernels", p->n_kernels }, { "buffers", p->n_buffers }, { "weights_bytes", (int64_t)p->weights_bytes }, { "transformed_bytes", (int64_t)p->transformed_bytes },
    { "arena_bytes", p->arena_bytes }, { "live_bytes", p->live_bytes },
  };
  printf("{");
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) { json_key(c, texts[i].key); json_string(texts[i].text); }
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    json_key(c, numbers[i].key);
    if (numbers[i].v < 0) printf("null");
    else printf("%lld", (long long)numbers[i].v);
  }
  json_ios(c, p->inputs, p->n_inputs, "inputs");
  json_ios(c, p->outputs, p->n_outputs, "outputs");
  json_syms(c);
  json_key(c, "targets");
  putchar('[');
  for (uint32_t i = 0; i < p->n_versions; i++) { if (i) printf(", "); json_string(p->versions[i].target); }
  putchar(']');
  json_launches(c);
  json_steps(c);
  printf("\n}\n");
}
void cli_info(struct cli *c)
{
  if (c->json) info_json(c);
  else info_text(c->p);
}
void cli_help(const struct cli *c)
{
  printf("usage: %s [options]\n\n", c->self);
  text_ios(c->p, c->p->inputs, c->p->n_inputs, "input");
  text_ios(c->p, c->p->outputs, c->p->n_outputs, "output");
  printf("\n"
         "  --input [NAME=]FILE       a .npy, .npz (all inputs by name), .pb or .raw file, or - (npy from standard input); repeatable,\n"
         "                            without NAME in the order above\n"
         "  --input NAME=random[:SEED], NAME=zeros, NAME=VALUE\n"
         "  --input NAME[2,3]=random  with sizes: of all axes, or of the dynamic ones\n"
         "  --output [NAME=]FILE      .npy, .npz, .pb, .raw or - ; without --output a summary is printed\n"
         "  --top K                   also the K largest elements of each row of every output\n"
         "  --expect [NAME=]FILE      compares (--rtol X, --atol X; defaults 1e-4, 1e-5 of the largest expected value); status 1 when outside\n"
         "  --bench[=SECONDS]         latency and throughput; inputs not given are random\n"
         "  --profile FILE            time of each kernel as a table, and as a Chrome trace in FILE\n"
         "  --threads N, --device cpu\n"
         "  --json                    one JSON object on standard output\n"
         "  --info                    what this program is made of\n"
         "  --help, --version\n"
         "\nStatus: 0; 1 an input does not fit or a comparison failed; 2 usage; 69 the processor or device lacks something; 71 memory; 74 a file.\n");
}
