/* The generated header of a library form, and the text of massc check. */
#include "compiler/pipeline.h"
#include "massrt_types.h"
#include <ctype.h>
#include <string.h>

static const char *upper(struct ir_arena *a, const char *s)
{
  char *r = ir_arena_strdup(a, s);
  for (char *c = r; *c; c++) *c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
  return r;
}
static void describe(struct ir_buf *b, struct ir_arena *a, const struct massrt_program *p, const char *P, const char *kind, const struct massrt_io *io, uint32_t n)
{
  ir_buf_printf(b, "#define %s_N_%sS %u\n", P, kind, n);
  for (uint32_t i = 0; i < n; i++) {
    const char *name = upper(a, io[i].name);
    ir_buf_printf(b, "#define %s_%s_%s %u /* \"%s\": %s[", P, kind, *name ? name : "0", i, io[i].name, ir_elem_name((enum ir_elem)io[i].elem));
    for (uint32_t d = 0; d < io[i].rank; d++) {
      ir_buf_printf(b, d ? "," : "");
      if (io[i].dim_names[d]) ir_buf_printf(b, "%s", io[i].dim_names[d]);
      else ir_buf_printf(b, "%lld", (long long)p->exprs[io[i].dims[d]].k);
    }
    ir_buf_printf(b, "] */\n#define %s_%s_%s_ELEM MASSRT_%s\n#define %s_%s_%s_RANK %u\n", P, kind, name, upper(a, ir_elem_name((enum ir_elem)io[i].elem)), P, kind, name, io[i].rank);
    for (uint32_t d = 0; d < io[i].rank; d++)
      if (!io[i].dim_names[d]) ir_buf_printf(b, "#define %s_%s_%s_DIM%u %lld\n", P, kind, name, d, (long long)p->exprs[io[i].dims[d]].k);
  }
}
void header_print(struct ir_buf *b, const struct massrt_program *p, const char *x)
{
  struct ir_arena *a = ir_arena_create();
  const char *P = upper(a, x);
  ir_buf_printf(b, "/* The model %s, compiled by %s. Link with -lm -lpthread. One run at a time per instance; instances share the weights.\n"
                   " * Every function returns 0 or a massrt_status; %s_error gives the text (NULL: of the last failed create in this thread). */\n", p->name, p->producer, x);
  ir_buf_printf(b, "#ifndef %s_H\n#define %s_H\n#include <stddef.h>\n#include <stdint.h>\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n%s\n", P, P, massrt_types_text);
  describe(b, a, p, P, "INPUT", p->inputs, p->n_inputs);
  describe(b, a, p, P, "OUTPUT", p->outputs, p->n_outputs);
  ir_buf_printf(b, "\nstruct %s;\nint %s_create(const struct massrt_config *config /* NULL: defaults */, struct %s **out);\n", x, x, x);
  ir_buf_printf(b, "int %s_input_signature(const struct %s *m, uint32_t i, struct massrt_signature *out);\nint %s_output_signature(const struct %s *m, uint32_t i, struct massrt_signature *out);\n", x, x, x, x);
  ir_buf_printf(b, "/* Output types and shapes for inputs of these shapes; data is not looked at. */\nint %s_prepare(struct %s *m, const struct massrt_tensor *inputs, struct massrt_tensor *outputs);\n", x, x);
  ir_buf_printf(b, "/* outputs: data and bytes are the caller's; type and shape come back. */\nint %s_run(struct %s *m, const struct massrt_tensor *inputs, struct massrt_tensor *outputs);\n", x, x);
  ir_buf_printf(b, "void %s_destroy(struct %s *m);\nconst char *%s_error(const struct %s *m);\n#ifdef __cplusplus\n}\n#endif\n#endif\n", x, x, x, x);
  ir_arena_destroy(a);
}

void json_string(struct ir_buf *b, const char *s, size_t n)
{
  ir_buf_add(b, "\"", 1);
  for (; n--; s++)
    if ((unsigned char)*s < 32) ir_buf_printf(b, "\\u%04x", (unsigned char)*s);
    else {
      if (*s == '"' || *s == '\\') ir_buf_add(b, "\\", 1);
      ir_buf_add(b, s, 1);
    }
  ir_buf_add(b, "\"", 1);
}
static int64_t constant(const struct massrt_program *p, uint32_t e) { return p->exprs[e].op == MASSRT_X_CONST ? p->exprs[e].k : -1; }
void check_print(struct ir_buf *b, const struct pass_program *q, const char *model, bool json)
{
  const struct massrt_program *p = &q->tables;
  int64_t work = 0, bytes = 0;
  bool known = true;
  for (uint32_t i = 0; i < p->n_launches; i++) {
    int64_t w = constant(p, p->launches[i].work), y = constant(p, p->launches[i].bytes);
    known &= w >= 0 && y >= 0;
    work += w;
    bytes += y;
  }
  if (json) {
    ir_buf_printf(b, "{\"model\": ");
    json_string(b, model, strlen(model));
    ir_buf_printf(b, ", \"supported\": true, \"sub_graphs\": %u, \"kernels\": %u, \"weights_bytes\": %llu", p->n_launches, p->n_kernels, (unsigned long long)p->weights_bytes);
    if (p->arena_bytes >= 0) ir_buf_printf(b, ", \"activation_bytes\": %lld, \"live_bytes\": %lld", (long long)p->arena_bytes, (long long)p->live_bytes);
    if (known) ir_buf_printf(b, ", \"operations\": %lld, \"bytes_moved\": %lld", (long long)work, (long long)bytes);
    ir_buf_printf(b, "}\n");
    return;
  }
  ir_buf_printf(b, "%s: supported\n  sub-graphs   %u\n  kernels      %u distinct\n  weights      %.1f MB\n", model, p->n_launches, p->n_kernels, (double)p->weights_bytes * 1e-6);
  if (p->arena_bytes >= 0) ir_buf_printf(b, "  activations  %.1f MB (largest sum of live buffers %.1f MB)\n", (double)p->arena_bytes * 1e-6, (double)p->live_bytes * 1e-6);
  else ir_buf_printf(b, "  activations  planned per shape\n");
  if (known) ir_buf_printf(b, "  work         %.2f GFLOP, at least %.1f MB to move\n", (double)work * 1e-9, (double)bytes * 1e-6);
}
