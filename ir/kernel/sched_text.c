/* The schedule record's text form, in full; every field of struct kir_sched that is not its default prints.
 *   sched contract { loops = grid m/128 n/128 raster 8, pipe k/32 depth 4, warp m/64 n/32; tile = mma.m16n8k16.f16.f32; A = shared cp.async swz(2, 3, 3); epi = shared } */
#include "ir/kernel/lex.h"
#include <string.h>

static const char *const loop_names[] = { [KIR_GRID] = "grid", [KIR_FOR] = "for", [KIR_PIPE] = "pipe", [KIR_WARP] = "warp", [KIR_LANE] = "lane" };
static const char *const how_names[] = { [KIR_DIRECT] = "direct", [KIR_PACKED] = "packed", [KIR_STAGED] = "shared" };
enum { MAX_TAILS = 3, MAX_PEELS = 6, MAX_PARTS = 4 };

/* ---- printer ---- */
static void loop(struct ir_buf *b, const struct kir_loop *l)
{
  ir_buf_printf(b, "%s", loop_names[l->kind]);
  for (unsigned i = 0; i < l->n; i++) {
    ir_buf_printf(b, " ");
    ir_ix_print_name(b, l->part[i].axis);
    ir_buf_printf(b, "/%lld", (long long)l->part[i].step);
  }
  if (l->unroll) ir_buf_printf(b, " unroll %u", l->unroll);
  if (l->depth) ir_buf_printf(b, " depth %u", l->depth);
  if (l->raster) ir_buf_printf(b, " raster %u", l->raster);
  if (l->sums) ir_buf_printf(b, " sums");
}
static void stage(struct ir_buf *b, const struct kir_stage *s)
{
  ir_buf_printf(b, "%s = %s", s->operand, how_names[s->how]);
  if (s->via) ir_buf_printf(b, " %s", s->via);
  if (s->swz) ir_buf_printf(b, " swz(%u, %u, %u)", s->swz >> 16, s->swz >> 8 & 255, s->swz & 255);
  if (s->prefetch) ir_buf_printf(b, " prefetch %u", s->prefetch);
  if (s->far) ir_buf_printf(b, " far %u", s->far);
}
void kir_sched_print(struct ir_buf *b, const struct kir_sched *s)
{
  const char *sep = " { ";
  ir_buf_printf(b, "sched %s", s->kind);
  for (uint32_t i = 0; i < s->loops.n; i++) {
    ir_buf_printf(b, "%s", i ? ", " : " { loops = ");
    loop(b, &s->loops.v[i]);
    sep = "; ";
  }
  if (s->inst) ir_buf_printf(b, "%stile = %s", sep, s->inst), sep = "; ";
  for (uint32_t i = 0; i < s->stages.n; i++) {
    ir_buf_printf(b, "%s", sep);
    stage(b, &s->stages.v[i]);
    sep = "; ";
  }
  for (unsigned i = 0; i < s->n_tails; i++) {
    ir_buf_printf(b, "%s%s", i ? ", " : sep, i ? "" : "tail = ");
    ir_ix_print_name(b, s->tail[i].axis);
    ir_buf_printf(b, " peel");
    for (unsigned j = 0; j < s->tail[i].n; j++) ir_buf_printf(b, " %lld", (long long)s->tail[i].peel[j]);
    sep = "; ";
  }
  if (s->hold) ir_buf_printf(b, "%shold = %s", sep, s->hold), sep = "; ";
  if (s->epi_shared) ir_buf_printf(b, "%sepi = shared", sep), sep = "; ";
  ir_buf_printf(b, "%s\n", sep[0] == ';' ? " }" : " {}");
}

/* ---- parser ---- */
static bool word(struct kir_lex *x, const char **out)  /* of letters, digits, dots */
{
  const char *s;
  size_t n;
  TRY(kir_lex_name(x, &s, &n));
  *out = ir_arena_strndup(x->arena, s, n);
  return true;
}
static bool count(struct kir_lex *x, const char *key, unsigned *out)
{
  int64_t v;
  if (!kir_lex_try(x, key)) return true;
  TRY(kir_lex_uint(x, 1, 1 << 20, &v));
  *out = (unsigned)v;
  return true;
}
static bool parse_loop(struct kir_lex *x, struct kir_loop *l)
{
  unsigned k = 0;
  while (k < 5 && !kir_lex_try(x, loop_names[k])) k++;
  if (k == 5) return kir_lex_error(x, "expected a kind of loop");
  l->kind = (enum kir_loop_kind)k;
  for (;;) {
    const char *s = x->s, *name;
    bool word = kir_lex_try(x, "unroll") || kir_lex_try(x, "depth") || kir_lex_try(x, "raster") || kir_lex_try(x, "sums");
    bool end = word ? !kir_lex_try(x, "/") /* else an axis of that name */ : kir_lex_try(x, ",") || kir_lex_try(x, ";") || kir_lex_try(x, "}");
    x->s = s;
    if (end) break;
    if (l->n == MAX_PARTS) return kir_lex_error(x, "more than %d axes in a loop", MAX_PARTS);
    TRY((name = kir_lex_sym(x)) && kir_lex_eat(x, "/") && kir_lex_uint(x, 1, 1ll << 40, &l->part[l->n].step));
    l->part[l->n++].axis = name;
  }
  TRY((l->n || kir_lex_error(x, "expected an axis")) && count(x, "unroll", &l->unroll) && count(x, "depth", &l->depth) && count(x, "raster", &l->raster));
  l->sums = kir_lex_try(x, "sums");
  return true;
}
static bool parse_loops(struct kir_lex *x, struct kir_sched *s)
{
  do {
    struct kir_loop l = { 0 };
    TRY(parse_loop(x, &l));
    ir_push(x->arena, &s->loops, l);
  } while (kir_lex_try(x, ","));
  return true;
}
static bool parse_tails(struct kir_lex *x, struct kir_sched *s)
{
  do {
    if (s->n_tails == MAX_TAILS) return kir_lex_error(x, "more than %d tails", MAX_TAILS);
    unsigned t = s->n_tails++;
    TRY((s->tail[t].axis = kir_lex_sym(x)) && kir_lex_eat(x, "peel"));
    while (kir_lex_blank(x), x->s < x->end && *x->s >= '0' && *x->s <= '9') {
      if (s->tail[t].n == MAX_PEELS) return kir_lex_error(x, "more than %d sizes", MAX_PEELS);
      TRY(kir_lex_uint(x, 1, 1ll << 40, &s->tail[t].peel[s->tail[t].n++]));
    }
  } while (kir_lex_try(x, ","));
  return true;
}
static bool parse_stage(struct kir_lex *x, struct kir_sched *s)
{
  struct kir_stage g = { 0 };
  int64_t B, M, S;
  unsigned h = 0;
  TRY(word(x, &g.operand) && kir_lex_eat(x, "="));
  while (h < 3 && !kir_lex_try(x, how_names[h])) h++;
  if (h == 3) return kir_lex_error(x, "expected direct, packed or shared");
  g.how = h;
  g.via = kir_lex_try(x, "cp.async") ? "cp.async" : kir_lex_try(x, "sync") ? "sync" : kir_lex_try(x, "tma") ? "tma" : NULL;
  if (kir_lex_try(x, "swz")) {
    TRY(kir_lex_eat(x, "(") && kir_lex_uint(x, 1, 8, &B) && kir_lex_eat(x, ",") && kir_lex_uint(x, 0, 16, &M) && kir_lex_eat(x, ",") && kir_lex_uint(x, 1, 16, &S) && kir_lex_eat(x, ")"));
    g.swz = (uint32_t)(B << 16 | M << 8 | S);
  }
  TRY(count(x, "prefetch", &g.prefetch) && count(x, "far", &g.far));
  ir_push(x->arena, &s->stages, g);
  return true;
}
static bool parse_field(struct kir_lex *x, struct kir_sched *s)
{
  const char *back = x->s;
  if (kir_lex_try(x, "loops")) return kir_lex_eat(x, "=") && (!s->loops.n || kir_lex_error(x, "loops twice")) && parse_loops(x, s);
  if (kir_lex_try(x, "tile")) return kir_lex_eat(x, "=") && word(x, &s->inst);
  if (kir_lex_try(x, "tail")) return kir_lex_eat(x, "=") && parse_tails(x, s);
  if (kir_lex_try(x, "hold")) return kir_lex_eat(x, "=") && word(x, &s->hold);
  if (kir_lex_try(x, "epi")) return kir_lex_eat(x, "=") && kir_lex_eat(x, "shared") && (s->epi_shared = true);
  x->s = back;
  return parse_stage(x, s);
}
struct kir_sched *kir_sched_parse(struct ir_arena *a, struct ir_diags *d, const char *text, size_t n)
{
  struct kir_sched *s = IR_NEW(a, struct kir_sched);
  struct kir_lex x = { .arena = a, .diags = d, .begin = text, .s = text, .end = text + n };
  if (!kir_lex_eat(&x, "sched") || !word(&x, &s->kind) || !kir_lex_eat(&x, "{")) return NULL;
  while (!kir_lex_try(&x, "}"))
    if (!parse_field(&x, s) || (!kir_lex_try(&x, ";") && (kir_lex_blank(&x), x.s == x.end || *x.s != '}') && !kir_lex_error(&x, "expected \";\" or \"}\""))) return NULL;
  kir_lex_blank(&x);
  if (x.s == x.end) return s;
  kir_lex_error(&x, "expected the end");
  return NULL;
}
