/* The command line of massc (docs/commands.md), parsed into one struct. */
#ifndef MASSC_OPTIONS_H
#define MASSC_OPTIONS_H
#include "compiler/link.h"
#include "compiler/onnx/onnx.h"
#include "passes/passes.h"

enum emit_kind { EMIT_NONE, EMIT_IR, EMIT_GRAPH, EMIT_KERNELS, EMIT_LLVM, EMIT_ASM, EMIT_CUDA, EMIT_OPENCL };
enum command { CMD_COMPILE, CMD_CHECK, CMD_TUNE, CMD_HELP, CMD_VERSION, CMD_EXPLAIN };
struct options {
  enum command command;
  const char *model, *out, *header, *name, *target, *machine, *tune, *nvrtc, *use_kernels, *precision, *explain;
  enum link_kind kind;
  enum emit_kind emit;
  struct onnx_options onnx;
  struct pass_options pass;
  unsigned threads;                    /* massc tune: that it measures with; 0: as many as the program takes */
  bool json, verbose, quiet, depfile;
  const char *dep_file, *dep_target;
  const char *text;                    /* flags that change the result, for --info of the executable */
};
/* Fills o (zeroed before). 0, or IR_EXIT_USAGE with a message on standard error, or IR_EXIT_MODEL for a value that cannot be. */
int options_parse(struct ir_arena *a, int argc, char **argv, struct options *o);
void options_help(FILE *f);
#endif
