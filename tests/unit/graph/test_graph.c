/* nodes, uses, order, CSE, replacement, outline and inline */
#include "graph_test.h"

static struct ir_value *relu(struct fixture *f, struct ir_value *x) { return ir_map2(&f->b, IR_OP_max, x, ir_const_f(&f->b, IR_f32, 0)); }

START_TEST(identical_pure_nodes_are_one)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 2, 3);
  f.b.prov = ir_prov_get(f.m, 1, (const char *[]){ "A" });
  struct ir_value *a = relu(&f, x);
  f.b.prov = ir_prov_get(f.m, 1, (const char *[]){ "B" });
  struct ir_value *b = relu(&f, x);
  ck_assert_ptr_eq(a, b);
  ck_assert_uint_eq(a->def->prov->n, 2);
  ck_assert_ptr_ne(a, ir_map2(&f.b, IR_OP_min, x, ir_const_f(&f.b, IR_f32, 0)));
  ck_assert_ptr_ne(ir_const_f(&f.b, IR_f32, 0), ir_const_f(&f.b, IR_f32, 1));
  ck_assert_ptr_ne(ir_const_f(&f.b, IR_f32, 0), ir_const_f(&f.b, IR_f32, -0.0));
  ck_assert_ptr_ne(ir_const_f(&f.b, IR_f32, 0), ir_const_f(&f.b, IR_f64, 0));
  ck_assert_ptr_ne(ir_transpose(&f.b, x, (int64_t[]){ 1, 0 }), NULL);
  result(&f, a);
  VERIFIED(f.m);
  DONE(f);
}
END_TEST
START_TEST(a_twin_behind_the_place_of_insertion_moves_before_it)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4), *y = ir_map1(&f.b, IR_OP_exp, x), *z = ir_map1(&f.b, IR_OP_log, x);
  struct ir_builder b = { .g = f.b.g, .at = y->def };
  ck_assert_ptr_eq(ir_map1(&b, IR_OP_log, x), z);
  ck_assert(z->def->order < y->def->order);
  /* the node at the very place: what is built next comes behind it */
  ck_assert_ptr_eq(ir_map1(&b, IR_OP_exp, x), y);
  struct ir_value *s = ir_map2(&b, IR_OP_add, y, z);
  ck_assert(s->def->order > y->def->order);
  result(&f, s);
  VERIFIED(f.m);
  DONE(f);
}
END_TEST
START_TEST(replacement_moves_every_use)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4), *y = PARAM(&f, "y", IR_f32, 4), *s = ir_map2(&f.b, IR_OP_mul, x, x), *t = ir_map2(&f.b, IR_OP_add, s, x);
  result(&f, t);
  result(&f, x);
  ir_value_replace(x, y);
  ck_assert_uint_eq(x->uses.n, 0);
  ck_assert_uint_eq(y->uses.n, 3);
  ck_assert_ptr_eq(f.b.g->results.v[1], y);
  VERIFIED(f.m);
  ck_assert_ptr_eq(ir_map2(&f.b, IR_OP_mul, y, y), s);       /* found under its new operands */
  ck_assert_ptr_ne(ir_map2(&f.b, IR_OP_mul, x, x), s);
  DONE(f);
}
END_TEST
START_TEST(cse_merges_what_replacement_made_equal)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4), *y = PARAM(&f, "y", IR_f32, 4);
  struct ir_value *a = ir_map1(&f.b, IR_OP_exp, ir_map1(&f.b, IR_OP_neg, x)), *b = ir_map1(&f.b, IR_OP_exp, ir_map1(&f.b, IR_OP_neg, y)), *s = ir_map2(&f.b, IR_OP_add, a, b);
  result(&f, s);
  ir_value_replace(y, x);
  ck_assert_uint_eq(ir_graph_cse(f.b.g), 2);
  ck_assert_ptr_eq(s->def->in[0], s->def->in[1]);
  ck_assert_uint_eq(ir_graph_cse(f.b.g), 0);
  VERIFIED(f.m);
  DONE(f);
}
END_TEST
START_TEST(sweep_erases_what_nothing_reads)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4), *keep = relu(&f, x);
  for (int i = 0; i < 10; i++) ir_map1(&f.b, IR_OP_exp, ir_map2(&f.b, IR_OP_add, x, ir_const_f(&f.b, IR_f32, i + 10)));
  result(&f, keep);
  ck_assert_uint_eq(ir_graph_sweep(f.b.g), 30);
  ck_assert_uint_eq(x->uses.n, 1);
  VERIFIED(f.m);
  DONE(f);
}
END_TEST
START_TEST(forms_follow_replacements)
{
  FIXTURE(f);
  struct ir_value *n = PARAM(&f, "n", IR_i64, 1), *k = ir_const_ints(&f.b, IR_i64, 1, (int64_t[]){ 1 }, (int64_t[]){ 20 });
  struct ir_value *s = ir_map2(&f.b, IR_OP_add, n, ir_const_ints(&f.b, IR_i64, 1, (int64_t[]){ 1 }, (int64_t[]){ 3 })), *t = ir_map2(&f.b, IR_OP_mul, s, s);
  int64_t v;
  unsigned c;
  result(&f, t);
  ck_assert(!ir_value_const_ints(t, 1, &v, &c));
  ir_value_replace(n, k);
  ck_assert(ir_value_const_ints(t, 1, &v, &c));
  ck_assert_int_eq(v, 23 * 23);
  ck_assert_uint_eq(c, 1);
  DONE(f);
}
END_TEST

/* ---- order ---- */
START_TEST(order_survives_insertion_at_one_place)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4), *a = ir_map1(&f.b, IR_OP_exp, x), *z = ir_map1(&f.b, IR_OP_log, a);
  ir_graph_order(f.b.g);                                   /* 0, 1: no gap at all */
  struct ir_builder b = { .g = f.b.g, .at = z->def };
  struct ir_value *v = a;
  for (int i = 0; i < 5000; i++) v = ir_map1(&b, i % 2 ? IR_OP_neg : IR_OP_abs, v);
  for (int i = 0; i < 5000; i++) {                         /* always in front */
    b.at = f.b.g->first;
    ir_map2(&b, IR_OP_add, x, ir_const_f(&b, IR_f32, i));
  }
  unsigned n = 0;
  for (struct ir_node *k = f.b.g->first; k; k = k->next, n++) ck_assert(!k->prev || k->prev->order < k->order);
  ck_assert_uint_eq(n, 2 + 5000 + 10000);
  DONE(f);
}
END_TEST

/* ---- random edits: whatever is done, the verifier agrees, and CSE finds only true twins ---- */
static struct ir_value *some_value(struct fixture *f, uint64_t *seed, struct ir_value **pool, unsigned n) { (void)f; return pool[next_random(seed) % n]; }
START_TEST(random_edits_keep_every_invariant)
{
  for (uint64_t s = 1; s <= 40; s++) {
    FIXTURE(f);
    uint64_t seed = s;
    IR_VEC(struct ir_value *) pool = { 0 };
    for (int i = 0; i < 3; i++) { char name[2] = { (char)('p' + i), 0 }; ir_push(f.a, &pool, PARAM(&f, name, IR_f32, 4)); }
    for (int step = 0; step < 120; step++) {
      struct ir_value *x = some_value(&f, &seed, pool.v, pool.n), *y = some_value(&f, &seed, pool.v, pool.n);
      uint32_t what = next_random(&seed) % 8;
      if (what < 4) {
        f.b.at = NULL;
        ir_push(f.a, &pool, ir_map2(&f.b, what & 1 ? IR_OP_add : IR_OP_mul, x, y));
      } else if (what == 4 && x->def) {                     /* operands stay older than their reader */
        struct ir_value *older = y->def && y->def->order >= x->def->order ? pool.v[0] : y;
        ir_node_set_in(x->def, next_random(&seed) % x->def->n_in, older);
      } else if (what == 5 && x->def) {
        struct ir_value *older = y->def && y->def->order >= x->def->order ? pool.v[1] : y;
        ir_value_replace(x, older);
      } else if (what == 6) {
        f.b.at = x->def;
        ir_push(f.a, &pool, ir_map1(&f.b, IR_OP_neg, pool.v[next_random(&seed) % 3]));
      } else if (what == 7 && next_random(&seed) % 4 == 0) ir_graph_cse(f.b.g);
      uint32_t k = 0;
      for (uint32_t i = 0; i < pool.n; i++)
        if (!pool.v[i]->def || pool.v[i]->def->graph) pool.v[k++] = pool.v[i];       /* erased by CSE */
      pool.n = k;
      VERIFIED(f.m);
    }
    result(&f, pool.v[pool.n - 1]);
    ir_graph_cse(f.b.g);
    ir_graph_sweep(f.b.g);
    VERIFIED(f.m);
    DONE(f);
  }
}
END_TEST

/* ---- outline, inline ---- */
START_TEST(outline_makes_an_isolated_body_and_inline_takes_it_back)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4, 4), *w = PARAM(&f, "w", IR_f32, 4, 4);
  struct ir_value *d = ir_map2(&f.b, IR_OP_mul, x, w), *r = relu(&f, d), *side = ir_map1(&f.b, IR_OP_exp, d), *o = ir_map2(&f.b, IR_OP_add, r, w);
  result(&f, o);
  result(&f, side);
  struct ir_node *nodes[] = { d->def, r->def, o->def };
  struct ir_node *g = ir_outline(f.b.g, IR_OP_group, nodes, 3, "k0");
  VERIFIED(f.m);
  ck_assert_uint_eq(g->n_in, 2);                           /* x and w; the 0 went inside */
  ck_assert_uint_eq(g->n_out, 2);                          /* o, and d for the side path */
  ck_assert(side->def->order > g->order);                  /* the reader that stood between the nodes moved behind */
  ck_assert_ptr_eq(side->def->in[0]->def, g);
  ck_assert_ptr_eq(f.b.g->results.v[0]->def, g);
  ir_inline(g);
  VERIFIED(f.m);
  ck_assert_ptr_eq(f.b.g->results.v[0], o);
  ck_assert_ptr_eq(side->def->in[0], d);
  DONE(f);
}
END_TEST
START_TEST(outline_of_a_path_that_comes_back_is_refused)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4), *a = ir_map1(&f.b, IR_OP_exp, x), *b = ir_map1(&f.b, IR_OP_log, a), *c = ir_map2(&f.b, IR_OP_add, a, b);
  result(&f, c);
  struct ir_node *nodes[] = { a->def, c->def };
  ir_outline(f.b.g, IR_OP_group, nodes, 2, "k");           /* our bug: ends with status 70 */
}
END_TEST
int main(void)
{
  Suite *s = suite_create("graph");
  TCase *t = tcase_create("graph");
  const TTest *const tests[] = { identical_pure_nodes_are_one, a_twin_behind_the_place_of_insertion_moves_before_it, replacement_moves_every_use, cse_merges_what_replacement_made_equal,
    sweep_erases_what_nothing_reads, forms_follow_replacements, order_survives_insertion_at_one_place, random_edits_keep_every_invariant,
    outline_makes_an_isolated_body_and_inline_takes_it_back };
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tcase_add_test(t, tests[i]);
  tcase_add_exit_test(t, outline_of_a_path_that_comes_back_is_refused, IR_EXIT_BUG);
  suite_add_tcase(s, t);
  return tap_run(s);
}
