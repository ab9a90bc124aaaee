/* Names of the lists: reductions, scalar functions, ops of the kern. */
#include "ir/kernel/internal.h"
#include <string.h>

static const char *const red_names[] = { [KIR_SUM] = "sum", [KIR_PROD] = "prod", [KIR_MAX] = "max", [KIR_MIN] = "min", [KIR_AND] = "and", [KIR_OR] = "or" };
static const struct { const char *name; unsigned arity; char kind[2]; } maps[] = {
#define MAP(name, arity, kind) { #name, arity, #kind },
#include "ir/maps.def"
#undef MAP
};
static const struct { const char *name; char stage[2]; } ops[] = {
#define KOP(name, stage, text) { text, #stage },
#include "ir/kernel/kop.def"
#undef KOP
};

static bool same(const char *name, const char *s, size_t n) { return strlen(name) == n && !memcmp(name, s, n); }

const char *kir_red_name(enum kir_red r) { return red_names[r]; }
bool kir_red_parse(const char *s, size_t n, enum kir_red *out)
{
  for (unsigned i = 0; i < sizeof red_names / sizeof *red_names; i++)
    if (same(red_names[i], s, n)) return *out = (enum kir_red)i, true;
  return false;
}
const char *kir_map_name(enum ir_map f) { return maps[f].name; }
unsigned kir_map_arity(enum ir_map f) { return maps[f].arity; }
char kir_map_kind(enum ir_map f) { return maps[f].kind[0]; }
bool kir_map_parse(const char *s, size_t n, enum ir_map *out)
{
  for (unsigned i = 0; i < IR_MAP_COUNT; i++)
    if (same(maps[i].name, s, n)) return *out = (enum ir_map)i, true;
  return false;
}
const char *kir_op_name(enum kir_opcode o) { return ops[o].name; }
char kir_op_stage(enum kir_opcode o) { return ops[o].stage[0]; }
bool kir_op_parse(const char *s, size_t n, enum kir_opcode *out)
{
  for (unsigned i = 0; i < KIR_OPCODE_COUNT; i++)
    if (same(ops[i].name, s, n)) return *out = (enum kir_opcode)i, true;
  return false;
}
