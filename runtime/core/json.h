/* runtime/core/json: a string as JSON has it. Names in models may hold any bytes; what is no UTF-8 becomes U+FFFD, so that every reader takes the result.
 * Needs: nothing.  Never: allocates. */
#ifndef MASSRT_JSON_H
#define MASSRT_JSON_H
#include <stddef.h>

/* The n bytes at s, quoted and escaped, in pieces to put. */
void massrt_json_string(void (*put)(void *arg, const char *p, size_t n), void *arg, const char *s, size_t n);
#endif
