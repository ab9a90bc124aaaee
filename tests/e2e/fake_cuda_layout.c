/* The structs that the runtime and fake_cuda.c declare for themselves are the toolkit's. Compiled where its header is. */
#include <cuda.h>
#include <stddef.h>
struct attribute { int id; char pad[4]; union { int i; char pad[64]; } value; };
struct config { unsigned grid[3], block[3], shared; void *stream; struct attribute *attributes; unsigned n; };
_Static_assert(sizeof(struct attribute) == sizeof(CUlaunchAttribute) && offsetof(struct attribute, value) == offsetof(CUlaunchAttribute, value), "attribute");
_Static_assert(sizeof(struct config) == sizeof(CUlaunchConfig) && offsetof(struct config, stream) == offsetof(CUlaunchConfig, hStream), "config");
_Static_assert(offsetof(struct config, attributes) == offsetof(CUlaunchConfig, attrs) && offsetof(struct config, n) == offsetof(CUlaunchConfig, numAttrs), "config");
_Static_assert(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION == 6 && CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR == 75 && CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR == 76, "numbers");
