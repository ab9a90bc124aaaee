/* Descriptions of processors as YAML: what targets are made of, and --machine. */
#ifndef MASSC_CODEGEN_MACHINE_H
#define MASSC_CODEGEN_MACHINE_H
#include "codegen/codegen.h"
#include "ir/base/yaml_tree.h"

/* NULL: a diagnostic (M0001, M0407). */
struct ir_yaml *cg_machine_parse(struct ir_arena *a, struct ir_diags *d, const char *file, const void *text, size_t bytes);
struct ir_yaml *cg_machine_read(struct ir_arena *a, struct ir_diags *d, const char *path);
/* Puts the facts of a description into t, which keeps those that it leaves out. a: texts live there. False: a diagnostic (M0407) with file and line, t as it was. */
bool cg_machine_apply(struct ir_arena *a, struct ir_diags *d, const struct ir_yaml *y, struct cg_target *t);
bool cg_machine_whole(const struct ir_yaml *y);                       /* has it every key? */
#endif
