#!/bin/sh
# embed_machines.sh FILE.yaml .. > machines.h: the descriptions of processors as C strings, with the names of their files
printf 'static const struct { const char *file, *text; } machine_texts[] = {\n'
for f in "$@"; do
  printf '  { "%s",\n' "${f##*/}"
  sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/    "&\\n"/' "$f"
  printf '  },\n'
done
printf '};\n'
