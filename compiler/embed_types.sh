#!/bin/sh
# embed_types.sh massrt.h > massrt_types.h: the block of types that callers see, as a C string, so that the runtime's header and generated ones agree
printf 'static const char massrt_types_text[] =\n'
awk '/^#ifndef MASSRT_TYPES/ { on = 1 } on { gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); printf "  \"%s\\n\"\n", $0 } on && /^#endif/ { exit }' "$1"
printf '  ;\n'
