/* Changes to any protobuf message, on a loose view of the wire format: what parses as a message is taken for one. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/onnx/wire_make.h"

static const char *const operators[] = {
#define ROW(domain, op, since, until, fn, arg) #op,
#include "compiler/onnx/rows.def"
#undef ROW
};
struct field { unsigned id, wire; size_t at, head, end; };   /* [at, end); what follows tag and length from head on */
enum { MAX_FIELDS = 192, MAX_NESTED = 24 };
static bool varint(const unsigned char *p, size_t n, size_t *at, uint64_t *out)
{
  *out = 0;
  for (unsigned s = 0; *at < n && s < 64; s += 7) {
    unsigned char b = p[(*at)++];
    *out |= (uint64_t)(b & 0x7f) << s;
    if (!(b & 0x80)) return true;
  }
  return false;
}
/* 0: not a message, as far as one can tell. */
static unsigned fields_of(const unsigned char *p, size_t n, struct field *f)
{
  unsigned k = 0;
  for (size_t at = 0; at < n && k < MAX_FIELDS; k++) {
    uint64_t tag, v = 0;
    f[k].at = at;
    if (!varint(p, n, &at, &tag) || !(tag >> 3) || tag >> 32) return 0;
    f[k].id = (unsigned)(tag >> 3);
    f[k].wire = tag & 7;
    f[k].head = at;
    switch (f[k].wire) {
    case 0: if (!varint(p, n, &at, &v)) return 0; break;
    case 1: at += 8; break;
    case 5: at += 4; break;
    case 2: if (!varint(p, n, &at, &v) || v > n - at) return 0; f[k].head = at; at += v; break;
    default: return 0;
    }
    if (at > n) return 0;
    f[k].end = at;
  }
  return k;
}
static const char *word(struct fuzz *f)
{
  static const char *const v[] = { "", "v0", "v1", "v2", "v3", "axes", "pads", "k", "own", "Twice", "n", "SAME_UPPER", "c0", "a.b", "n*m", "%s%n", "x\1\2y", "\xff\xfe" };
  return fuzz_chance(f, 2) ? FUZZ_PICK(f, operators) : FUZZ_PICK(f, v);
}
static void change(struct fuzz *f, const unsigned char *p, size_t n, unsigned depth, struct ir_buf *out);
static void change_field(struct fuzz *f, const unsigned char *p, const struct field *x, unsigned depth, struct ir_buf *out)
{
  struct ir_buf b = { 0 };
  const unsigned char *q = p + x->head;
  size_t n = x->end - x->head;
  if (x->wire == 0) { w_int(out, x->id, fuzz_number(f)); return; }
  if (x->wire != 2) {
    ir_buf_add(out, p + x->at, x->head - x->at);
    for (size_t i = 0; i < n; i++) { char c = (char)fuzz_next(f); ir_buf_add(out, &c, 1); }
    return;
  }
  struct field sub[MAX_FIELDS];
  if (n && fields_of(q, n, sub) && !fuzz_chance(f, 8) && depth < MAX_NESTED) change(f, q, n, depth + 1, &b);
  else if (fuzz_chance(f, 2)) ir_buf_printf(&b, "%s", word(f));
  else { ir_buf_add(&b, q, n); fuzz_noise(f, &b); }
  w_bytes(out, x->id, b.s ? b.s : "", b.n);
  ir_buf_deinit(&b);
}
/* A field of the same number of some message of the corpus, found by going down at random. */
static bool foreign(struct fuzz *f, unsigned id, struct ir_buf *out)
{
  const struct ir_buf *b = fuzz_any(f);
  const unsigned char *p = (const unsigned char *)b->s;
  size_t n = b->n;
  struct field x[MAX_FIELDS];
  for (unsigned depth = 0; depth < 8; depth++) {
    unsigned k = fields_of(p, n, x), i;
    if (!k) return false;
    i = (unsigned)fuzz_below(f, k);
    if (x[i].id == id) { ir_buf_add(out, p + x[i].at, x[i].end - x[i].at); return true; }
    if (x[i].wire != 2) return false;
    p += x[i].head;
    n = x[i].end - x[i].head;
  }
  return false;
}
static void change(struct fuzz *f, const unsigned char *p, size_t n, unsigned depth, struct ir_buf *out)
{
  struct field x[MAX_FIELDS];
  unsigned k = fields_of(p, n, x), at = (unsigned)fuzz_below(f, k), how = (unsigned)fuzz_below(f, 12);
  for (unsigned i = 0; i < k; i++) {
    const unsigned char *q = p + x[i].at;
    size_t m = x[i].end - x[i].at;
    if (i != at) { ir_buf_add(out, q, m); continue; }
    switch (how) {
    case 0: break;
    case 1: ir_buf_add(out, q, m); ir_buf_add(out, q, m); break;
    case 2: { const struct field *g = &x[fuzz_below(f, k)]; ir_buf_add(out, p + g->at, g->end - g->at); break; }
    case 3: ir_buf_add(out, q, fuzz_chance(f, 4) ? fuzz_below(f, m + 1) : m); break;
    case 4: case 5: if (!foreign(f, x[i].id, out)) ir_buf_add(out, q, m); break;
    default: change_field(f, p, &x[i], depth, out);
    }
  }
  size_t done = k ? x[k - 1].end : 0;
  ir_buf_add(out, p + done, n - done);
}
void fuzz_wire(struct fuzz *f, const struct ir_buf *in, struct ir_buf *out)
{
  change(f, (const unsigned char *)(in->s ? in->s : ""), in->n, 0, out);
  if (fuzz_chance(f, 24)) fuzz_noise(f, out);
}
