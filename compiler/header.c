/* The generated header of a library form. */
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
  ir_buf_printf(b, "/* outputs: data and bytes are the caller's; type and shape come back. Where a size depends on data (-1 after prepare), data may be NULL: see %s_output. */\nint %s_run(struct %s *m, const struct massrt_tensor *inputs, struct massrt_tensor *outputs);\n", x, x, x);
  ir_buf_printf(b, "/* Where an output lies whose size depends on data, until the next run; NULL for others. */\nconst void *%s_output(const struct %s *m, uint32_t i, uint64_t *out_bytes);\n", x, x);
  ir_buf_printf(b, "void %s_destroy(struct %s *m);\nconst char *%s_error(const struct %s *m);\n#ifdef __cplusplus\n}\n#endif\n#endif\n", x, x, x, x);
  ir_arena_destroy(a);
}
