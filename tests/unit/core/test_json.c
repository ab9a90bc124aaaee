#include "runtime/core/json.h"
#include "tests/unit/tap.h"
#include <string.h>

static char got[200];
static void put(void *arg, const char *p, size_t n) { (void)arg; strncat(got, p, n); }
/* Rows: what a string becomes. Sequences are those of the Unicode standard's examples of what is ill-formed. */
static const struct { const char *in, *out; } rows[] = {
  { "", "\"\"" }, { "plain", "\"plain\"" }, { "a\"b\\c", "\"a\\\"b\\\\c\"" }, { "\n\x1f\x7f", "\"\\u000a\\u001f\x7f\"" },
  { "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
  { "\xff\xfe", "\"\\ufffd\\ufffd\"" }, { "\xc0\xaf", "\"\\ufffd\\ufffd\"" }, { "\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"" }, { "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
  { "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" }, { "\xe2\x82", "\"\\ufffd\\ufffd\"" }, { "\xc3", "\"\\ufffd\"" }, { "\xc3(", "\"\\ufffd(\"" },
};
START_TEST(strings)
{
  *got = 0;
  massrt_json_string(put, NULL, rows[_i].in, strlen(rows[_i].in));
  ck_assert_str_eq(got, rows[_i].out);
}
END_TEST
int main(void)
{
  Suite *s = suite_create("json");
  TCase *t = tcase_create("json");
  tcase_add_loop_test(t, strings, 0, sizeof rows / sizeof *rows);
  suite_add_tcase(s, t);
  return tap_run(s);
}
