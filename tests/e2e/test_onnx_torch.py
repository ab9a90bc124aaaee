"""tools/onnx_torch, by which tools/bench gives PyTorch the same network: its modules compute what ONNX Runtime does, and use PyTorch's own functions for compositions.

Bound: 2e-5 of the largest value, as for massc's programs. Skipped where this Python has no torch, which nothing else needs."""
from against_ort import *
import collections
sys.path.insert(0, os.path.join(TESTS, "..", "tools"))
try:
    import torch
    from onnx_torch import Unsupported, translate
except ImportError as e:
    print(f"1..0 # SKIP PyTorch is not installed ({e})")
    sys.exit(0)
SMALL = ["layers=2", "width=128", "vocab=100", "positions=32"]
NETS = {   # overrides, and how often some functions stand in the module
    "resnet152": (["width=8", "size=64", "classes=20"], {"conv2d": 155, "batch_norm": 155, "linear": 1}),
    "yolov3": (["width=4", "size=64"], {"conv2d": 75, "interpolate": 2}),
    "alexnet": (["width=8", "hidden=64", "classes=20"], {"conv2d": 5, "linear": 3}),
    "bert-base": (SMALL, {"scaled_dot_product_attention": 2, "gelu": 2, "linear": 13, "softmax": 0, "matmul": 0, "erf": 0}),
    "gpt2": (SMALL, {"scaled_dot_product_attention": 2, "gelu": 2, "linear": 9, "softmax": 0, "where": 0, "tanh": 0}),
}


def functions(module):
    return collections.Counter(getattr(n.target, "__name__", str(n.target)) for n in module.graph.nodes if n.op == "call_function")


def agrees(model, **more):
    """The module in float32, after it and its forms in the other types have been compared with ONNX Runtime."""
    s = session(model)
    feed = inputs_of(s, 1, {"batch": 2, "seq": 9, "vocab": 100})
    want, made = s.run(None, feed), {}
    for dtype, bound in ((torch.float64, 2e-5), (torch.float16, 2e-2), (torch.float32, 2e-5)):
        made[dtype] = translate(model, {k: v.shape for k, v in feed.items()}, dtype, **more)
        with torch.no_grad():
            got = made[dtype](*[torch.from_numpy(v).to(dtype) if v.dtype == np.float32 else torch.from_numpy(v) for v in feed.values()])
        for a, b in zip(got, want):
            assert tuple(a.shape) == b.shape and a.dtype == dtype
            error = np.abs(a.double().numpy() - b).max() / np.abs(b).max()
            assert error <= bound, (dtype, error)
    return made[torch.float32]


def net(name):
    def check():
        model = mkmodel(name, name + ".onnx", *NETS[name][0])
        count = functions(agrees(model))
        assert all(count[k] == v for k, v in NETS[name][1].items()), count
        if count["batch_norm"]:
            assert functions(agrees(model, fold_norms=True))["batch_norm"] == 0
    return check


for name in NETS:
    case(f"{name} as a module of PyTorch")(net(name))


def written(nodes, constants, dims, out_dims, name):
    """A model of one input x, whose result is y."""
    h = onnx.helper
    graph = h.make_graph([h.make_node(op, i.split(), [o], **a) for o, op, i, a in nodes], "g", [h.make_tensor_value_info("x", 1, dims)], [h.make_tensor_value_info("y", 1, out_dims)],
                         [onnx.numpy_helper.from_array(np.array(v, np.float32), k) for k, v in constants.items()])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), name)
    return name


@case("a layer norm in nine nodes is one function, and so is a GELU whose factors stand in another order")
def spelled():
    rng = np.random.default_rng(3)
    nodes = [("m", "ReduceMean", "x", {"axes": [-1]}), ("d", "Sub", "x m", {}), ("p", "Pow", "d two", {}), ("v", "ReduceMean", "p", {"axes": [-1]}), ("e", "Add", "v eps", {}),
             ("r", "Sqrt", "e", {}), ("n", "Div", "d r", {}), ("s", "Mul", "n w", {}), ("z", "Add", "s b", {}),
             ("h", "Mul", "half z", {}), ("q", "Mul", "z root", {}), ("f", "Erf", "q", {}), ("o", "Add", "one f", {}), ("y", "Mul", "o h", {})]
    model = written(nodes, dict(two=2, eps=1e-5, w=rng.random(8), b=rng.random(8), half=0.5, root=0.5 ** 0.5, one=1), [2, 3, 8], [2, 3, 8], "spelled.onnx")
    assert dict(functions(agrees(model))) == {"layer_norm": 1, "gelu": 1}


@case("a product that looks like GELU, and is not, stays as it is")
def not_gelu():
    nodes = [("q", "Mul", "x root", {}), ("f", "Erf", "q", {}), ("o", "Add", "one f", {}), ("h", "Mul", "x o", {}), ("y", "Mul", "h half", {})]
    for changed in (dict(root=0.6), dict(one=2), dict(half=0.6)):
        model = written(nodes, dict(root=0.5 ** 0.5, one=1, half=0.5) | changed, [2, 8], [2, 8], "other.onnx")
        assert functions(agrees(model))["gelu"] == 0


@case("what is not supported is named")
def unsupported():
    h = onnx.helper
    graph = h.make_graph([h.make_node("Det", ["x"], ["y"], name="the determinant")], "g", [h.make_tensor_value_info("x", 1, [2, 2])], [h.make_tensor_value_info("y", 1, [])])
    try:
        translate(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)]), {"x": (2, 2)})
    except Unsupported as e:
        assert '"the determinant" (Det)' in str(e), e
    else:
        assert False, "Det is supported?"


main()
