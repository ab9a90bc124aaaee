#include "util.h"
static void add(TCase *t) { (void)t; }
int main(void) { return run_suite("interp", add); }
