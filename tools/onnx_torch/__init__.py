"""onnx_torch: an ONNX graph as a PyTorch module, so that PyTorch runs the same network with the same weights.

    module = translate("net.onnx", {"input": (1, 3, 224, 224)}, torch.float16)
    outputs = module(*inputs)               # a tuple; floating inputs and outputs are of that type

A module is made for one set of input shapes and one floating type, which takes the place of the graph's float32 as `.half()` would: constants that do not fit end at the type's
largest finite value. What depends on shapes alone is computed while it is made. The result is a torch.fx.GraphModule, plain code that torch.compile reads.

The module is what one would write by hand. Spelled compositions become PyTorch's own functions (forms.py): attention scaled_dot_product_attention, causal where the mask is a
constant triangle; GELU, layer norm and linear layers theirs. Nothing knows the name of a network. What is not supported raises Unsupported, which names the node.

    build.py   values, constants, nodes of the module     ops.py   a function for each operator     forms.py   compositions of several nodes
"""
from .build import Unsupported, translate

__all__ = ["Unsupported", "translate"]
