/* Check, and how a test program ends: the one suite's results as TAP on standard output. */
#ifndef MASSC_TESTS_TAP_H
#define MASSC_TESTS_TAP_H
#include <check.h>

static inline int tap_run(Suite *s)      /* exit status; frees s */
{
  SRunner *r = srunner_create(s);
  srunner_set_tap(r, "-");
  srunner_run_all(r, CK_SILENT);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
#endif
