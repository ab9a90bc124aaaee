/* link_elf.h: the two things that linking does to ELF files itself, so that weights never pass through ld. For link.c alone. */
#ifndef MASSC_LINK_ELF_H
#define MASSC_LINK_ELF_H
#include <stddef.h>
#include <stdint.h>

enum { LINK_PLACEHOLDER = 4096 };            /* bytes of the section that stands for the weights */
/* A relocatable object with one section .lrodata of LINK_PLACEHOLDER zero bytes, page-aligned, and the hidden symbol `sym` (up to 100 characters) at its
 * start. Returns its size; out has room for LINK_PLACEHOLDER_OBJECT bytes. */
enum { LINK_PLACEHOLDER_OBJECT = 2 * LINK_PLACEHOLDER + 1024 };
size_t link_elf_placeholder(void *out, const char *sym);
/* Points the section .lrodata, and in executables and libraries the segment that it has alone, at `bytes` bytes that the caller then writes at *offset, behind
 * the end of the file: page-aligned, and where it costs little a place that huge pages can map. NULL, or why not: "" stands for errno. */
const char *link_elf_attach(int fd, uint64_t bytes, int64_t *offset);
#endif
