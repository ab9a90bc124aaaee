#!/bin/sh
# What the folders promise each other, looked up in the sources. Prints TAP.
#   structure.sh SOURCE_ROOT CC [FOLDER OF GENERATED HEADERS]
cd "$1" || exit 1
cc=$2
gen=${3:-.}
n=0 failed=0
check() { # NAME LINES: lines that should not be there
  n=$((n + 1))
  if [ -z "$2" ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; echo "$2" | sed 's/^/# /'; failed=1; fi
}
includes() { grep -rn --include='*.[ch]' -E "^#include \"($2)" "$1"; }
lone_headers() {
  for h in $(find ir passes codegen compiler runtime models -name '*.h'); do
    flags="-I. -I$gen"
    case $h in codegen/llvm*.h) flags="$flags $(llvm-config-19 --cflags)" ;; esac
    echo "#include \"$h\"" | $cc -std=gnu17 -D_GNU_SOURCE $flags -fsyntax-only -x c - >/dev/null 2>&1 || echo "$h"
  done
}
check "codegen names no graph operation" "$(grep -rnE 'IR_OP_|ir_op_is_map|ir_op_map' codegen)"
check "includes go one way" "$(includes ir 'passes/|codegen/|compiler/'; includes passes 'codegen/|compiler/'; includes codegen 'passes/|compiler/')"
check "the runtime knows nothing of the compiler" "$(includes runtime 'ir/|passes/|codegen/|compiler/')"
check "runtime/core includes only abi.h" "$(includes runtime/core 'runtime/' | grep -vE 'runtime/abi.h|runtime/core/')"
check "no C file knows a model's name" "$(grep -rnwiE --include='*.[ch]' 'resnet[0-9]*|alexnet|vgg16|yolov3|bert|gpt2' ir passes codegen compiler runtime models)"
check "each header compiles alone" "$(lone_headers)"
echo "1..$n"
exit $failed
