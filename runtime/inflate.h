/* runtime/inflate: DEFLATE (RFC 1951), for the compressed members of npz files. Needs: nothing.  Never: allocates. */
#ifndef MASSRT_INFLATE_H
#define MASSRT_INFLATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No deflated byte stands for more (258 bytes for a code of 1 bit and a distance of 1 bit). */
enum { MASSRT_INFLATE_MAX_RATIO = 1032 };
/* Fills exactly out_n bytes from the n at p. False: damaged, or another size. */
bool massrt_inflate(const uint8_t *p, size_t n, uint8_t *out, size_t out_n);
#endif
