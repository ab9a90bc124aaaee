/* link_tools.h: the environment that linking needs: other programs, the C library's start files, temporary files. For link.c alone. */
#ifndef MASSC_LINK_TOOLS_H
#define MASSC_LINK_TOOLS_H
#include "ir/base/base.h"

/* ---- programs ---- */
/* The path of the first of `names` (NULL-terminated) that PATH has. NULL: none. */
const char *link_find_program(struct ir_arena *a, const char *const *names);
/* Runs argv (argv[0] a path, no shell) and waits. False: a diagnostic was made with what the program wrote to standard error. echo: print the command first. */
bool link_run(struct ir_diags *d, const char *out, char *const *argv, bool echo);
/* The directory that holds crt1's position-independent form, crti.o, crtn.o, and libc's and libm's development links. NULL: none. */
const char *link_libc_dir(struct ir_arena *a);

/* ---- temporary files: beside the output, removed on every way out, also by SIGINT, SIGTERM and SIGHUP ---- */
struct link_temp;
/* A fresh directory in that of `out`. NULL: a diagnostic was made. One at a time in a process. */
struct link_temp *link_temp_begin(struct ir_diags *d, const char *out);
const char *link_temp_path(struct link_temp *t, const char *name);                       /* the file's path in the directory; it need not exist */
bool link_temp_write(struct ir_diags *d, struct link_temp *t, const char *name, const void *p, size_t n, const char **out_path);
void link_temp_end(struct link_temp *t);                                                 /* removes all */
#endif
