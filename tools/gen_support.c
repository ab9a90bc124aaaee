/* gen_support: writes docs/support.md to standard output. */
#include "compiler/onnx/onnx.h"
int main(void)
{
  onnx_list_operators(stdout);
  return fflush(stdout) != 0;
}
