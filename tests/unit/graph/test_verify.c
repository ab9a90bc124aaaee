/* The verifier: a sound graph passes, and each kind of damage is named. */
#include "graph_test.h"

struct net { struct ir_value *x, *w, *a, *b, *y; };
static struct net make(struct fixture *f)
{
  struct net n;
  n.x = PARAM(f, "x", IR_f32, 4, 4);
  n.w = PARAM(f, "w", IR_f32, 4, 4);
  n.a = ir_map2(&f->b, IR_OP_add, n.x, n.w);
  n.b = ir_map1(&f->b, IR_OP_exp, n.a);
  struct ir_attr at[] = { ir_attr_str("op", "sum"), ir_attr_ints(f->m, "axes", (int64_t[]){ 1 }, 1) };
  n.y = ir_build(&f->b, IR_OP_reduce, &n.b, 1, at, 2)->out[0];
  result(f, n.y);
  return n;
}
static const char *fault(struct fixture *f, enum ir_phase p)
{
  const char *why = "";
  return ir_verify(f->m, p, &why) ? NULL : why;
}
#define FAULT(f, says) do { const char *w_ = fault(&(f), IR_P_IMPORTED); ck_assert_msg(w_ && strstr(w_, says), "%s", w_ ? w_ : "no fault found"); } while (0)

START_TEST(a_sound_graph_passes)
{
  FIXTURE(f);
  make(&f);
  ck_assert_ptr_null(fault(&f, IR_P_IMPORTED));
  ck_assert_ptr_null(fault(&f, IR_P_FOLDED));
  DONE(f);
}
END_TEST
enum damage { ORDER, LIST, USES_MISSING, USES_EXTRA, OPERAND_LATER, TYPE, FOREIGN, ATTR_MISSING, ATTR_UNKNOWN, RESULT, DEF, INDEX, PARAM_DEF, N_DAMAGES };
static const char *const says[N_DAMAGES] = {
  "order numbers do not rise", "list of nodes is broken", "does not list this use", "which does not read it", "is defined later", "follows", "lies in another region",
  "attribute \"op\" is missing", "is unknown, out of order", "result 0 of a graph is not defined", "is defined elsewhere", "has the number 3", "parameter 0 has a definition",
};
START_TEST(each_damage_is_found)
{
  FIXTURE(f);
  struct net n = make(&f);
  struct ir_graph *other = ir_graph_create(f.m, "other");
  switch ((enum damage)_i) {
  case ORDER: n.b->def->order = n.a->def->order; break;
  case LIST: n.b->def->prev = NULL; break;
  case USES_MISSING: n.a->uses.n = 0; break;
  case USES_EXTRA: ir_push(f.a, &n.x->uses, n.b->def); break;
  case OPERAND_LATER: n.a->def->in[0] = n.y; n.x->uses.n = 0; ir_push(f.a, &n.y->uses, n.a->def); break;
  case TYPE: n.b->type = n.y->type; break;
  case FOREIGN: n.x->graph = other; break;
  case ATTR_MISSING: n.y->def->attr++; n.y->def->n_attr--; break;
  case ATTR_UNKNOWN: n.y->def->attr[1].key = "axis"; break;
  case RESULT: f.b.g->results.v[0] = ir_graph_param(other, n.y->type, "z"); break;
  case DEF: n.b->def = n.a->def; break;
  case INDEX: n.b->index = 3; break;
  case PARAM_DEF: n.x->def = n.a->def; break;
  case N_DAMAGES: break;
  }
  if (_i == FOREIGN) ck_assert_ptr_nonnull(fault(&f, IR_P_IMPORTED));
  else FAULT(f, says[_i]);
  DONE(f);
}
END_TEST
START_TEST(a_node_that_reads_twice_is_listed_twice)
{
  FIXTURE(f);
  struct ir_value *x = PARAM(&f, "x", IR_f32, 4), *y = ir_map2(&f.b, IR_OP_mul, x, x);
  result(&f, y);
  ck_assert_ptr_null(fault(&f, IR_P_IMPORTED));
  x->uses.n = 1;
  FAULT(f, "reads result 0 2 times, its uses say 1");
  DONE(f);
}
END_TEST
START_TEST(places_and_outlining_by_phase)
{
  FIXTURE(f);
  struct net n = make(&f);
  const char *cpu = ir_intern(f.m->strs, "cpu", 3), *other = ir_intern(f.m->strs, "cpu:1", 5);
  ck_assert_ptr_nonnull(strstr(fault(&f, IR_P_PLACED), "has no place"));
  for (struct ir_node *k = f.b.g->first; k; k = k->next) k->place = cpu;
  ck_assert_ptr_null(fault(&f, IR_P_PLACED));
  n.y->def->place = other;
  ck_assert_ptr_nonnull(strstr(fault(&f, IR_P_PLACED), "runs on cpu:1, operand 0 lies on cpu"));
  n.y->def->place = cpu;
  ck_assert_ptr_nonnull(strstr(fault(&f, IR_P_OUTLINED), "stands at the top level"));
  struct ir_node *nodes[] = { n.a->def, n.b->def, n.y->def };
  ir_outline(f.b.g, IR_OP_group, nodes, 3, "k");
  ck_assert_ptr_null(fault(&f, IR_P_OUTLINED));
  DONE(f);
}
END_TEST
START_TEST(a_layout_holds_its_value)
{
  FIXTURE(f);
  struct net n = make(&f);
  for (struct ir_node *k = f.b.g->first; k; k = k->next) k->place = ir_intern(f.m->strs, "cpu", 3);
  n.b->layout = ir_layout_blocked(f.m, n.b->type, 1, 16, NULL, 0);
  ck_assert_ptr_null(fault(&f, IR_P_LAID_OUT));
  n.b->layout = ir_layout_blocked(f.m, ir_type_ints(f.m, IR_f32, 2, (int64_t[]){ 2, 4 }), 1, 16, NULL, 0);
  ck_assert_ptr_nonnull(strstr(fault(&f, IR_P_LAID_OUT), "does not hold axis 0"));
  DONE(f);
}
END_TEST
int main(void)
{
  Suite *s = suite_create("verify");
  TCase *t = tcase_create("verify");
  tcase_add_test(t, a_sound_graph_passes);
  tcase_add_loop_test(t, each_damage_is_found, 0, N_DAMAGES);
  tcase_add_test(t, a_node_that_reads_twice_is_listed_twice);
  tcase_add_test(t, places_and_outlining_by_phase);
  tcase_add_test(t, a_layout_holds_its_value);
  suite_add_tcase(s, t);
  return tap_run(s);
}
