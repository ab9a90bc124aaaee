/* interned types, layouts by brute force, provenance, requirements, broadcasting of dims */
#include "graph_test.h"

START_TEST(equal_types_are_one_pointer)
{
  FIXTURE(f);
  const struct ir_ix *n = dim(&f, "n"), *d[2] = { n, num(&f, 3) };
  const struct ir_type *t = ir_type_get(f.m, IR_f32, 2, d);
  ck_assert_ptr_eq(t, ir_type_get(f.m, IR_f32, 2, (const struct ir_ix *[]){ dim(&f, "n"), num(&f, 3) }));
  ck_assert_ptr_ne(t, ir_type_get(f.m, IR_f16, 2, d));
  ck_assert_ptr_ne(t, ir_type_get(f.m, IR_f32, 1, d));
  ck_assert_str_eq(ir_type_str(f.a, t), "f32[n,3]");
  ck_assert_str_eq(ir_type_str(f.a, ir_type_ints(f.m, IR_bool, 0, NULL)), "bool[]");
  for (int64_t i = 0; i < 500; i++) ck_assert_ptr_eq(ir_type_ints(f.m, IR_i8, 1, &i), ir_type_ints(f.m, IR_i8, 1, &i));
  DONE(f);
}
END_TEST
START_TEST(static_types_are_told_from_symbolic_and_absurd_ones)
{
  FIXTURE(f);
  int64_t d[IR_MAX_RANK], n;
  ck_assert(ir_type_static(ir_type_ints(f.m, IR_f32, 3, (int64_t[]){ 2, 3, 5 }), d, &n));
  ck_assert_int_eq(n, 30);
  ck_assert_int_eq(d[2], 5);
  int64_t big = (int64_t)1 << 62;
  ck_assert(!ir_type_static(ir_type_ints(f.m, IR_f32, 2, (int64_t[]){ big, 4 }), NULL, &n));
  ck_assert(ir_type_static(ir_type_ints(f.m, IR_f32, 3, (int64_t[]){ big, 4, 0 }), NULL, &n));
  ck_assert_int_eq(n, 0);
  ck_assert(!ir_type_static(ir_type_get(f.m, IR_f32, 1, (const struct ir_ix *[]){ dim(&f, "n") }), NULL, NULL));
  DONE(f);
}
END_TEST
START_TEST(element_names_come_back)
{
  enum ir_elem e;
  for (unsigned i = 0; i < IR_ELEM_COUNT; i++) {
    ck_assert(ir_elem_parse(ir_elem_name((enum ir_elem)i), strlen(ir_elem_name((enum ir_elem)i)), &e));
    ck_assert_uint_eq(e, i);
  }
  ck_assert(!ir_elem_parse("f3", 2, &e));
  ck_assert(!ir_elem_parse("f320", 4, &e));
}
END_TEST

/* ---- layouts ---- */
static int64_t coordinate(void *arg, const struct ir_sym *s, bool *known)
{
  *known = s->name[0] == 'c';
  return *known ? ((const int64_t *)arg)[atoi(s->name + 1)] : 0;
}
static int64_t offset(const struct ir_ix *e, int64_t *c)
{
  int64_t v = -1;
  ck_assert(ir_ix_eval(e, &(struct ir_ix_env){ .sym = coordinate, .arg = c }, &v));
  return v;
}
/* Walks the buffer in the order that the layout promises, counting: n, blocks of c, h, w, place in the block. */
static void check_nchw(struct fixture *f, int64_t N, int64_t C, int64_t H, int64_t W, unsigned block, int halo, unsigned pad)
{
  const struct ir_type *t = ir_type_ints(f->m, IR_f32, 4, (int64_t[]){ N, C, H, W });
  uint8_t h[4][2] = { { 0, 0 }, { 0, 0 }, { (uint8_t)halo, (uint8_t)halo }, { (uint8_t)halo, (uint8_t)halo } };
  const struct ir_layout *l = ir_layout_blocked(f->m, t, 1, block, (const uint8_t (*)[2])h, pad);
  int64_t blocks = (C + block - 1) / block, at = 0;
  for (int64_t n = 0; n < N; n++)
    for (int64_t cb = 0; cb < blocks; cb++) {
      for (int64_t y = -halo; y < H + halo; y++)
        for (int64_t x = -halo; x < W + halo; x++)
          for (int64_t k = 0; k < (int64_t)block; k++) ck_assert_int_eq(offset(l->at, (int64_t[]){ n, cb * block + k, y, x }), at++);
      at += (pad + block - 1) / block * block;
    }
  ck_assert_int_eq(offset(l->elems, NULL), at);
  ck_assert_int_eq(offset(l->hi[1], NULL), blocks * block);
  ck_assert_int_eq(offset(l->lo[2], NULL), -halo);
  ck_assert_int_eq(offset(l->hi[3], NULL), W + halo);
  ck_assert_uint_eq(l->halo[2][0], (unsigned)halo);
  ck_assert_uint_eq(l->halo[1][0], 0);
}
START_TEST(blocked_layouts_by_brute_force)
{
  FIXTURE(f);
  check_nchw(&f, 1, 64, 5, 7, 16, 1, 16);
  check_nchw(&f, 2, 20, 3, 4, 16, 2, 17);    /* channels do not fill the last block; padding is rounded to whole blocks */
  check_nchw(&f, 2, 5, 3, 4, 1, 1, 3);
  check_nchw(&f, 3, 8, 1, 1, 8, 0, 0);
  DONE(f);
}
END_TEST
START_TEST(the_layout_of_the_document)
{
  FIXTURE(f);                                /* ((n*4 + c/16)*3365 + (h+1)*58 + w+1)*16 + c%16 for 56 x 56: 58*58 + 1 = 3365 */
  const struct ir_type *t = ir_type_get(f.m, IR_f32, 4, (const struct ir_ix *[]){ dim(&f, "n"), num(&f, 64), num(&f, 56), num(&f, 56) });
  const struct ir_layout *l = ir_layout_blocked(f.m, t, 1, 16, (const uint8_t[][2]){ { 0, 0 }, { 0, 0 }, { 1, 1 }, { 1, 1 } }, 16);
  ck_assert_int_eq(offset(l->at, (int64_t[]){ 3, 37, 10, 20 }), ((3 * 4 + 37 / 16) * 3365 + 11 * 58 + 21) * 16 + 37 % 16);
  ck_assert_ptr_eq(l->elems, ir_ix_muli(dim(&f, "n"), 4 * 3365 * 16));
  ck_assert_ptr_eq(l, ir_layout_blocked(f.m, t, 1, 16, (const uint8_t[][2]){ { 0, 0 }, { 0, 0 }, { 1, 1 }, { 1, 1 } }, 16));
  DONE(f);
}
END_TEST

/* ---- provenance ---- */
START_TEST(provenance_is_an_interned_sorted_set)
{
  FIXTURE(f);
  const struct ir_prov *a = ir_prov_get(f.m, 3, (const char *[]){ "b", "a", "b" }), *b = ir_prov_get(f.m, 1, (const char *[]){ "c" });
  ck_assert_uint_eq(a->n, 2);
  ck_assert_str_eq(a->name[0], "a");
  const struct ir_prov *u = ir_prov_union(f.m, b, a);
  ck_assert_ptr_eq(u, ir_prov_union(f.m, a, b));
  ck_assert_ptr_eq(u, ir_prov_get(f.m, 3, (const char *[]){ "c", "b", "a" }));
  ck_assert_ptr_eq(ir_prov_union(f.m, u, a), u);
  ck_assert_ptr_eq(ir_prov_union(f.m, NULL, a), a);
  DONE(f);
}
END_TEST

/* ---- requirements ---- */
START_TEST(requirements_are_kept_once_and_used)
{
  FIXTURE(f);
  const struct ir_ix *n = dim(&f, "n"), *m = dim(&f, "m");
  ck_assert(ir_require_ge0(f.m, ir_ix_addi(n, 5), "always"));
  ck_assert_uint_eq(f.m->requires.n, 0);
  ck_assert(ir_require_ge0(f.m, ir_ix_sub(num(&f, 64), n), "a table of 64 rows"));
  ck_assert(ir_require_ge0(f.m, ir_ix_sub(num(&f, 64), n), "again"));
  ck_assert_uint_eq(f.m->requires.n, 1);
  ck_assert_int_eq(ir_ix_as_sym(n)->hi, 64);
  ck_assert(ir_require_eq(f.m, n, m, "equal"));
  ck_assert_int_eq(ir_prove_eq0(&f.m->facts, ir_ix_sub(m, n)), IR_YES);
  ck_assert(!ir_require_ge0(f.m, ir_ix_addi(ir_ix_neg(n), -1), "never"));
  ck_assert_uint_eq(f.d.errors, 1);
  ck_assert(!ir_require_eq(f.m, ir_ix_addi(n, 1), n, "never"));
  DONE(f);
}
END_TEST

/* ---- broadcasting ---- */
START_TEST(dims_broadcast_by_the_rule)
{
  FIXTURE(f);
  const struct ir_ix *n = dim(&f, "n"), *m = dim(&f, "m"), *one = num(&f, 1), *four = num(&f, 4);
  ck_assert_ptr_eq(ir_dim_broadcast(f.m, n, n), n);
  ck_assert_ptr_eq(ir_dim_broadcast(f.m, one, n), n);
  ck_assert_ptr_eq(ir_dim_broadcast(f.m, n, one), n);
  ck_assert_ptr_eq(ir_dim_broadcast(f.m, four, four), four);
  ck_assert_ptr_null(ir_dim_broadcast(f.m, four, num(&f, 3)));
  ck_assert_uint_eq(f.m->requires.n, 0);
  ck_assert_ptr_eq(ir_dim_broadcast(f.m, n, m), ir_ix_bcast(n, m));       /* either may be 1 at run time */
  ck_assert_uint_eq(f.m->requires.n, 0);
  /* both at least 2: they must be equal */
  const struct ir_ix *n2 = ir_ix_addi(n, 1);
  ck_assert_ptr_eq(ir_dim_broadcast(f.m, n2, four), four);
  ck_assert_uint_eq(f.m->requires.n, 1);
  /* m may be 1 or 4, and nothing else */
  ck_assert_ptr_eq(ir_dim_broadcast(f.m, m, four), four);
  ck_assert_uint_eq(f.m->requires.n, 2);
  ck_assert_ptr_eq(f.m->requires.v[1].e, ir_ix_mul(ir_ix_addi(m, -1), ir_ix_addi(m, -4)));
  ck_assert(f.m->requires.v[1].eq);
  ck_assert_int_eq(ir_prove_eq0(&f.m->facts, ir_ix_addi(n, -3)), IR_YES);
  DONE(f);
}
END_TEST
START_TEST(min_against_its_symbol_requires_the_bound)
{
  FIXTURE(f);                                /* min(seq, 64) is 1 just when seq is: so they are equal, so seq <= 64 */
  const struct ir_ix *s = dim(&f, "seq"), *r = ir_dim_broadcast(f.m, ir_ix_min(s, num(&f, 64)), s);
  ck_assert_ptr_nonnull(r);
  ck_assert_uint_eq(f.m->requires.n, 1);
  ck_assert_ptr_eq(f.m->requires.v[0].e, ir_ix_sub(num(&f, 64), s));
  ck_assert(!f.m->requires.v[0].eq);
  ck_assert_int_eq(ir_ix_as_sym(s)->hi, 64);
  DONE(f);
}
END_TEST
MAIN("types", equal_types_are_one_pointer, static_types_are_told_from_symbolic_and_absurd_ones, element_names_come_back, blocked_layouts_by_brute_force, the_layout_of_the_document,
     provenance_is_an_interned_sorted_set, requirements_are_kept_once_and_used, dims_broadcast_by_the_rule, min_against_its_symbol_requires_the_bound)
