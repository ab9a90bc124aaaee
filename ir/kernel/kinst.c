/* The rows of kinst.def with their layouts parsed. */
#include "ir/kernel/internal.h"
#include <pthread.h>
#include <string.h>

static struct kir_inst rows[] = {
#define KINST(name_, m_, n_, k_, ab_, c_, A_, B_, C_, fact_, fetch_, text_) \
  { .name = name_, .m = m_, .n = n_, .k = k_, .ab = IR_##ab_, .c = IR_##c_, .fact = fact_, .fetch = fetch_, .text = text_ },
#include "ir/kernel/kinst.def"
#undef KINST
};
static const struct { const char *A, *B, *C; } layouts[] = {
#define KINST(name, m, n, k, ab, c, A, B, C, fact, fetch, text) { A, B, C },
#include "ir/kernel/kinst.def"
#undef KINST
};

static void parse(const char *s, struct kir_layout *l)
{
  if (!kir_layout_parse(s, strlen(s), l)) ir_bug("kinst.def", "bad layout <%s>", s);
}
static void parse_all(void)
{
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    parse(layouts[i].A, &rows[i].A);
    parse(layouts[i].B, &rows[i].B);
    parse(layouts[i].C, &rows[i].C);
  }
}
static pthread_once_t once = PTHREAD_ONCE_INIT;

unsigned kir_inst_count(void) { return sizeof rows / sizeof *rows; }
const struct kir_inst *kir_inst_at(unsigned i)
{
  pthread_once(&once, parse_all);
  return &rows[i];
}
const struct kir_inst *kir_inst_find(const char *name)
{
  for (unsigned i = 0; i < kir_inst_count(); i++)
    if (!strcmp(rows[i].name, name)) return kir_inst_at(i);
  return NULL;
}
int64_t kir_wgmma_row(const struct kir_inst *q) { return KIR_WGMMA_ROW_BYTES / ir_elem_bytes(q->ab); }
uint32_t kir_wgmma_swz(const struct kir_inst *q) { return 3u << 16 | (ir_elem_bytes(q->ab) == 2 ? 3u : 2u) << 8 | 3; }
