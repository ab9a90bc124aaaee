#!/bin/sh
# python.sh SCRIPT ARGS..: a test written in Python, under the Python that MASSC_PYTHON names (tools/test makes one).
[ -n "${MASSC_PYTHON:-}" ] && [ -x "$MASSC_PYTHON" ] || { echo "1..0 # SKIP MASSC_PYTHON names no Python with numpy, onnx and onnxruntime (tools/test makes one)"; exit 0; }
exec "$MASSC_PYTHON" "$@"
