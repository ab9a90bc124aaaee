#include "compiler/pipeline.h"
#include <string.h>

static int explain(const char *code)
{
  for (unsigned i = 0; i < IR_MSG_COUNT; i++)
    if (!strcmp(ir_msg_name((enum ir_msg)i), code)) {
      printf("%s: %s\n\n%s\n", code, ir_msg_title((enum ir_msg)i), ir_msg_text((enum ir_msg)i));
      return IR_EXIT_OK;
    }
  fprintf(stderr, "massc: there is no diagnostic \"%s\"\n", code);
  return IR_EXIT_MODEL;
}
int main(int argc, char **argv)
{
  struct ir_arena *a = ir_arena_create();
  struct options o = { 0 };
  int status = options_parse(a, argc, argv, &o);
  if (!status) switch (o.command) {
    case CMD_HELP: options_help(stdout); break;
    case CMD_VERSION: printf("massc %s\n", MASSC_VERSION); break;
    case CMD_EXPLAIN: status = explain(o.explain); break;
    case CMD_COMPILE: case CMD_CHECK: case CMD_TUNE: status = compile(a, &o); break;
    }
  ir_arena_destroy(a);
  if (fflush(stdout)) status = status ? status : IR_EXIT_IO;
  return status;
}
