"""The nine architectures of onnx/backend/test/data/light (opset 3 to 9, written by Caffe2): as given, where every weight is the same ConstantOfShape and the
output a constant, against the output given; and with seeded random weights in their places, against ONNX Runtime."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from against_ort import *
from onnx import helper, numpy_helper

LIGHT = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
NAMES = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512")
SLOW = ("densenet121", "inception_v1", "inception_v2", "resnet50", "vgg19", "zfnet512")   # at -O0 and full size: only their layers before the first Reshape, on a small image

HIDDEN = 512        # the fully connected layers of AlexNet, VGG and ZFNet are this wide, not 4096: 600 MB of random numbers in their places test nothing more


def dims_of(value):
    return [d.dim_value for d in value.type.tensor_type.shape.dim]


def fill(m, seed):
    """Every ConstantOfShape becomes an initializer: He's initialisation for what contracts, near 1 for what scales, small for what is added."""
    rng = np.random.default_rng(seed)
    shapes = {i.name: numpy_helper.to_array(i) for i in m.graph.initializer}
    made = {n.output[0]: n for n in m.graph.node if n.op_type == "ConstantOfShape"}
    first = {n.output[0]: n.input[0] for n in m.graph.node if n.op_type in ("Unsqueeze", "Reshape")}
    role = {}
    for n in m.graph.node:
        for k, name in enumerate(n.input):
            if n.op_type == "BatchNormalization":
                role[name] = {1: "scale", 2: "bias", 3: "bias", 4: "scale"}.get(k)
            elif n.op_type == "Mul" and k:
                role[first.get(name, name)] = "scale"
            elif n.op_type in ("Conv", "Gemm") and k == 1:
                role[first.get(name, name)] = "weight"
                if n.op_type == "Gemm":
                    assert any(a.name == "transB" and a.i == 1 for a in n.attribute)
    left = [n for n in m.graph.node if n.op_type != "ConstantOfShape"]
    del m.graph.node[:]
    m.graph.node.extend(left)
    for name, node in made.items():
        dims = [min(int(d), HIDDEN) if d == 4096 else int(d) for d in shapes[node.input[0]]]
        x = rng.standard_normal(dims, dtype=np.float32)
        if role.get(name) == "weight":
            x *= np.float32(np.sqrt(2 / np.prod(dims[1:])))
        elif role.get(name) == "scale":
            x = np.abs(1 + x / 10)
        else:
            x /= 20
        m.graph.initializer.add(name=name, data_type=onnx.TensorProto.FLOAT, dims=dims, raw_data=x.astype(np.float32).tobytes())
    assert len(made) > 10
    del m.graph.value_info[:]
    m.ir_version = max(m.ir_version, 4)      # initializers that are no inputs
    return m


def settle(m):
    """Scales the last weights (given as they are or reshaped) so that what the softmax gets is spread by about 2: neither constant nor one value alone."""
    last = next((n.input[0] for n in m.graph.node if n.op_type == "Softmax"), m.graph.output[0].name)
    peek = onnx.ModelProto.FromString(m.SerializeToString())
    del peek.graph.output[:]
    peek.graph.output.append(helper.make_tensor_value_info(last, 1, None))
    s = session(peek.SerializeToString())
    spread = float(s.run(None, images(s, 1))[0].std())
    maker = {o: n for n in m.graph.node for o in n.output}
    while maker[last].op_type not in ("Conv", "Gemm"):
        last = maker[last].input[0]
    scaled = set(maker[last].input[1:])
    scaled |= {i for name in scaled if name in maker for i in maker[name].input}
    for t in m.graph.initializer:
        if t.name in scaled and t.data_type == onnx.TensorProto.FLOAT:
            t.CopyFrom(numpy_helper.from_array((numpy_helper.to_array(t) * np.float32(2 / spread)), t.name))
    return m


def images(s, seed):
    """Noise over patches of colour, so that two images differ in more than noise."""
    i, = s.get_inputs()
    rng = np.random.default_rng(seed)
    n, c, h, w = i.shape
    patches = rng.standard_normal((n, c, h // 32, w // 32), dtype=np.float32)
    return {i.name: (2 * patches.repeat(32, 2).repeat(32, 3) + rng.standard_normal(i.shape, dtype=np.float32) / 2).astype(np.float32)}


def check(program, feed, want):
    (x,) = feed.values()
    np.save("x.npy", x)
    run(program, "--input", "x.npy", "--output", "y.npy")
    got = np.load("y.npy")
    assert got.shape == want.shape and np.isfinite(got).all()
    error = float(np.abs(got - want).max() / np.abs(want).max())
    assert error <= LIMIT, f"error {error:.3g} of the largest output, at most {LIMIT}"
    return error


def shorten(m, size):
    """The layers before the first Reshape, on an image of that size."""
    at = next((i for i, n in enumerate(m.graph.node) if n.op_type == "Reshape"), len(m.graph.node))
    last = m.graph.node[at].input[0] if at < len(m.graph.node) else m.graph.output[0].name
    # what pools the whole image does not fit the small one
    while True:
        maker = next(n for n in m.graph.node if last in n.output)
        if maker.op_type in ("Conv", "Relu", "Concat", "Sum"):
            break
        last = maker.input[0]
    m = helper.make_model(helper.make_graph([n for n in m.graph.node], "short", list(m.graph.input), [helper.make_tensor_value_info(last, 1, None)],
                                            list(m.graph.initializer)), opset_imports=m.opset_import, ir_version=m.ir_version)
    for i in m.graph.input:
        if dims_of(i)[1:] == [3, 224, 224]:
            i.type.tensor_type.shape.dim[2].dim_value = i.type.tensor_type.shape.dim[3].dim_value = size
    needed, kept = {last}, []
    for n in reversed(m.graph.node):
        if needed & set(n.output):
            kept.append(n)
            needed |= set(n.input)
    del m.graph.node[:]
    m.graph.node.extend(reversed(kept))
    return m


def given(name):
    """With ONNX's own input (a ramp) and the output that lies beside the model, within the tolerance of its test suite."""
    model = os.path.join(LIGHT, f"light_{name}.onnx")
    i = onnx.load(model).graph.input[0]
    dims = [1, 3, 224, 224]
    np.save("ramp.npy", (np.arange(np.prod(dims)).reshape(dims) / np.prod(dims)).astype(np.float32))
    massc(model, "-o", "m.bin")
    run("./m.bin", "--input", "ramp.npy", "--expect", os.path.join(LIGHT, f"light_{name}_output_0.pb"), "--rtol", "2e-3", "--atol", "1e-7")


def filled(name):
    m = settle(fill(onnx.load(os.path.join(LIGHT, f"light_{name}.onnx")), seed=11))
    onnx.save(m, "filled.onnx")
    s = session("filled.onnx")
    feed = images(s, 1)
    a, b = s.run(None, feed)[0], s.run(None, images(s, 2))[0]
    assert np.abs(a - b).max() >= 50 * LIMIT * np.abs(a).max(), f"the output hardly depends on the input: {np.abs(a - b).max()} of {np.abs(a).max()}"
    massc("filled.onnx", "-o", "m.bin")
    told = f"-O2 {check('./m.bin', feed, a):.1e}"
    if name in SLOW:
        onnx.save(shorten(m, 32 if name == "vgg19" else 64), "filled.onnx")
        s = session("filled.onnx")
        feed = images(s, 1)
        a = s.run(None, feed)[0]
    massc("-O0", "filled.onnx", "-o", "m.bin")
    return told + f", -O0 {check('./m.bin', feed, a):.1e}"


for n in NAMES:
    cases.append((n + " as given", lambda n=n: given(n)))
    cases.append((n + " with random weights", lambda n=n: filled(n)))
main()
