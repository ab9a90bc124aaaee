#!/usr/bin/env python3
"""Networks of models/, made by mkmodel: valid ONNX, well scaled, sensitive to their input, as many parameters as the originals. TAP to stdout.

usage: test_zoo.py MKMODEL [WORD ...]     under a Python with numpy, onnx and onnxruntime; without them everything is skipped. With words: the cases that contain one.

For each network, in ONNX Runtime with every node's output exposed, over one batch:
  the standard deviation of every node's output lies within 0.05 .. 20. That is: of those that the parameters have a part in, and not of masked scores;
    boxes in pixels, and what is made of them, are compared with numpy's decoding of the heads instead;
  batch norms and layer norms are no identities (scale, bias, mean, variance all vary);
  attention tells its keys apart, in the last layer too;
  two random inputs change each output by at least 1 % of its largest value;
  other sizes of the batch and the sequence work in the same file;
  a key that is masked changes nothing for the others, a token changes no logits before it;
  mkmodel needs little memory, whatever the model's size.
With MASSC_FULL_TESTS: the networks at full size too.
"""
import os, re, subprocess, sys, tempfile

SMALL = ["layers=2", "width=64", "heads=4", "vocab=1000", "positions=64"]
CASES = [
    ("alexnet", ["width=16"]),
    ("resnet50", ["width=32"]),
    ("resnet101", ["width=16", "size=160"]),
    ("resnet152", ["width=16"]),
    ("resnet152", ["width=16", "--seed", "7"]),
    ("vgg16", ["width=8"]),
    ("yolov3", ["width=4", "size=96", "classes=5"]),
    ("yolov3", ["width=8", "size=64", "--seed", "5"]),
    ("yolov3-tiny", ["width=4", "size=96", "classes=5"]),
    ("bert-base", SMALL),
    ("bert-base", [*SMALL, "--external"]),
    ("bert-base", ["layers=1", "vocab=200", "seq=20"]),
    ("bert-large", ["width=96", "heads=3", "vocab=300"]),
    ("gpt2", SMALL),
    ("gpt2", ["layers=1", "vocab=300"]),
    ("gpt2-medium", ["width=96", "heads=3", "vocab=300", "--seed", "3"]),
]
if os.environ.get("MASSC_FULL_TESTS"):
    CASES += [(n, []) for n in ("alexnet", "resnet50", "resnet101", "resnet152", "yolov3", "yolov3-tiny", "bert-base", "bert-large", "gpt2", "gpt2-medium")]
    CASES += [("gpt2", ["width=1280", "layers=36"])]
# The originals' parameters, batch norm's running statistics included: torchvision's, the numbers in Darknet's weight files, Hugging Face's without buffers.
PARAMS = {"alexnet": 61100840, "resnet50": 25610152, "resnet101": 44654504, "resnet152": 60344232, "vgg16": 138357544, "yolov3": 62001757, "yolov3-tiny": 8858734,
          "bert-base": 109482240, "bert-large": 335141888, "gpt2": 124439808, "gpt2-medium": 354823168, "gpt2 width=1280 layers=36": 774030080}
MEMORY_MIB = 64       # for mkmodel, of any network

try:
    import numpy as np, onnx, onnxruntime as ort
except ImportError as e:
    print(f"1..0 # SKIP {e}; set MASSC_PYTHON to a Python with numpy, onnx and onnxruntime")
    sys.exit(0)
with open(sys.argv[1], "rb") as f:
    LIMIT = "unlimited" if b"__asan_" in f.read() else str(MEMORY_MIB << 10)


def make(folder, name, args):
    """Under a limit of its address space, which a build with sanitizers needs for itself."""
    path = os.path.join(folder, name + ".onnx")
    subprocess.run(["sh", "-c", 'ulimit -v "$0"; exec "$@"', LIMIT, sys.argv[1], name, "-o", path, *args], check=True)
    return path


def is_parameter(name):
    return name.rsplit(".", 1)[-1] in ("weight", "bias", "running_mean", "running_var")


def parameters(model):
    return sum(int(np.prod(t.dims)) for t in model.graph.initializer if is_parameter(t.name))


def expose(model):
    """Every node's output becomes an output of the graph."""
    have = {o.name for o in model.graph.output}
    for node in model.graph.node:
        model.graph.output.extend(onnx.ValueInfoProto(name=o) for o in node.output if o and o not in have)


def session(path):
    o = ort.SessionOptions()
    o.log_severity_level = 3
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


class Inputs:
    """Random inputs: normal floats; integers are row numbers of the embedding that they look up, or ones (a mask that lets everything through)."""
    def __init__(self, model):
        rows = {t.name: t.dims[0] for t in model.graph.initializer}
        self.rows = {n.input[1]: rows[n.input[0]] for n in model.graph.node if n.op_type == "Gather" and n.input[0] in rows}

    def __call__(self, s, seed, batch=1, seq=16):
        rng = np.random.default_rng(seed)
        feed = {}
        for i in s.get_inputs():
            dims = [{"batch": batch, "seq": seq}.get(d, d) for d in i.shape]
            feed[i.name] = (rng.standard_normal(dims, dtype=np.float32) if i.type == "tensor(float)" else
                            rng.integers(0, self.rows[i.name], dims) if i.name in self.rows else np.ones(dims, np.int64))
        return feed


def norms_vary(model):
    unchanged = {"BatchNormalization": (1, 0, 0, 1), "LayerNormalization": (1, 0)}
    weights = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        for w, one in zip(node.input[1:], unchanged.get(node.op_type, ())):
            v = onnx.numpy_helper.to_array(weights[w])
            assert np.std(v) > 0.02 * np.abs(v).max() and np.mean(v == one) < 0.1, f"{w} does not vary"


def of_parameters(model):
    """The names of values that some parameter has a part in, and of those among them that count pixels."""
    known = {t.name for t in model.graph.initializer if is_parameter(t.name)}
    pixels = set()
    for node in model.graph.node:
        if known & set(node.input):
            known.update(node.output)
        # In a layer that decodes, Mul makes offsets and sizes into pixels.
        if pixels & set(node.input) or re.fullmatch(r"module_list\.\d+/Mul(_1)?", node.name):
            pixels.update(node.output)
    return known, pixels


def check_scale(model, values):
    known, pixels = of_parameters(model)
    stds = {}
    for name in (o for n in model.graph.node for o in n.output if o in known and o not in pixels):
        v = values[name]
        if v.dtype == np.float32 and v.size > 1:
            v = v[v > -1e30]        # masked scores
            assert np.isfinite(v).all(), f"{name} is not finite"
            stds[name] = float(np.std(v))
    low, high = min(stds, key=stds.get), max(stds, key=stds.get)
    assert stds[low] >= 0.05, f"{low}: standard deviation {stds[low]:.3g}"
    assert stds[high] <= 20, f"{high}: standard deviation {stds[high]:.3g}"
    for node in model.graph.node:
        if node.op_type == "Softmax":
            v = values[node.input[0]][..., -1, :]       # the last query sees every key
            assert np.std(v, axis=-1).mean() >= 0.05, f"{node.name}: all keys weigh the same"
    return f"standard deviations {stds[low]:.3f} .. {stds[high]:.2f}"


# Strides and anchors of the heads, as the papers' configurations give them.
ANCHORS = {
    "yolov3": {32: [(116, 90), (156, 198), (373, 326)], 16: [(30, 61), (62, 45), (59, 119)], 8: [(10, 13), (16, 30), (33, 23)]},
    "yolov3-tiny": {32: [(81, 82), (135, 169), (344, 319)], 16: [(10, 14), (23, 27), (37, 58)]},
}


def check_boxes(name, model, values):
    """The output, from the heads' convolutions: rows by stride, anchor, line and column."""
    heads = [values[n.output[0]].astype(np.float64) for n in model.graph.node if n.op_type == "Conv" and any(t.endswith(".bias") for t in n.input)]
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    rows = []
    for (stride, anchors), head in zip(ANCHORS[name].items(), heads, strict=True):
        row = head.shape[1] // 3
        for a, anchor in enumerate(anchors):
            for y in range(head.shape[2]):
                for x in range(head.shape[3]):
                    v = head[0, a * row:(a + 1) * row, y, x]
                    rows.append(np.concatenate([(sigmoid(v[:2]) + (x, y)) * stride, np.exp(v[2:4]) * anchor, sigmoid(v[4:])]))
    want, got = np.array(rows), values["output"][0]
    assert got.shape == want.shape, f"{got.shape} boxes, expected {want.shape}"
    error = (np.abs(got - want) / np.maximum(1, np.abs(want))).max()
    assert error < 1e-5, f"boxes differ from numpy's by {error:.2g}"


def largest_change(a, b):
    return float(np.abs(a - b).max() / np.abs(a).max())


def check_attention(s, feed):
    """What is masked is not seen, and what is not masked is."""
    last = dict(feed, input_ids=feed["input_ids"].copy())
    last["input_ids"][:, -1] = (last["input_ids"][:, -1] + 1) % 200
    if "attention_mask" in feed:
        mask = feed["attention_mask"].copy()
        seen, seen_changed = s.run(None, feed)[0], s.run(None, last)[0]
        mask[:, -1] = 0
        hidden, hidden_changed = (s.run(None, dict(f, attention_mask=mask))[0] for f in (feed, last))
        assert largest_change(seen[:, :-1], seen_changed[:, :-1]) >= 0.01, "the last key has no part in attention"
        assert largest_change(hidden[:, :-1], hidden_changed[:, :-1]) == 0, "a masked key is seen"
        types = dict(feed, token_type_ids=1 - feed["token_type_ids"])
        assert largest_change(seen, s.run(None, types)[0]) >= 0.01, "token types have no part"
    else:
        a, b = s.run(None, feed)[0], s.run(None, last)[0]
        assert largest_change(a[:, :-1], b[:, :-1]) < 1e-5, "a later token is seen"
        assert largest_change(a[:, -1], b[:, -1]) >= 0.01, "the last token has no part in its logits"
        first = dict(feed, input_ids=feed["input_ids"].copy())
        first["input_ids"][:, 0] = (first["input_ids"][:, 0] + 1) % 200
        assert largest_change(a[:, -1], s.run(None, first)[0][:, -1]) >= 0.001, "the first token has no part in the last logits"


def check_external(path, model):
    """Payloads of 1 KiB and more lie beside the model, aligned, one behind another, as the same bytes."""
    end = 0
    for t in model.graph.initializer:
        told = {e.key: e.value for e in t.external_data}
        size = int(np.prod(t.dims)) * onnx.helper.tensor_dtype_to_np_dtype(t.data_type).itemsize
        assert bool(told) == (size >= 1024) == (not t.raw_data), t.name
        if told:
            offset = int(told["offset"])
            assert told["location"] == os.path.basename(path) + ".data" and offset % 64 == 0 and end <= offset < end + 64 and int(told["length"]) == size, f"{t.name}: {told}"
            end = offset + size
    assert os.path.getsize(path + ".data") == end
    return end


def check(name, args, path):
    model = onnx.load(path, load_external_data=False)
    external = os.path.exists(path + ".data")
    size = check_external(path, model) if external else sum(len(t.raw_data) for t in model.graph.initializer)
    assert external == ("--external" in args or size > 1 << 30), f"{size} bytes of weights, external: {external}"
    onnx.checker.check_model(path, full_check=True)
    params = parameters(model)
    key = " ".join([name, *args])
    assert key not in PARAMS or params == PARAMS[key], f"{params} parameters, the original has {PARAMS.get(key)}"
    inputs = Inputs(model)
    s = session(path)
    feed = inputs(s, 1)
    first = s.run(None, feed)
    changes = [largest_change(a, b) for a, b in zip(first, s.run(None, inputs(s, 2)))]
    assert all(np.isfinite(a).all() for a in first)
    assert min(changes) >= 0.01, f"another input changes an output by {min(changes):.2%}"
    for o, a, b in zip(s.get_outputs(), first, s.run(None, inputs(s, 1, 3, 9))):
        want = tuple({"batch": 3, "seq": 9}.get(d, d) for d in o.shape)
        assert b.shape == want, f"{o.name}: batch 3 gives {b.shape}, told {o.shape}"
    if "input_ids" in feed:
        check_attention(s, feed)
    del s
    told = f"{params} parameters, another input changes {min(changes):.1%}"
    if size > 2 << 30:
        return told
    model = onnx.load(path)
    norms_vary(model)
    expose(model)
    onnx.save(model, path + ".exposed", save_as_external_data=size > 1 << 30, location=os.path.basename(path) + ".exposed.data")
    s = session(path + ".exposed")
    values = dict(zip([o.name for o in s.get_outputs()], s.run(None, feed)))
    if name in ANCHORS:
        check_boxes(name, model, values)
    return f"{told}, {check_scale(model, values)}"


failed = 0
cases = [c for c in CASES if not sys.argv[2:] or any(w in " ".join([c[0], *c[1]]) for w in sys.argv[2:])]
for i, (name, args) in enumerate(cases, 1):
    what = " ".join([name, *args])
    with tempfile.TemporaryDirectory() as folder:
        try:
            print(f"ok {i} - {what}: {check(name, args, make(folder, name, args))}", flush=True)
        except Exception as e:
            failed += 1
            print(f"not ok {i} - {what}: {(str(e).splitlines() or [type(e).__name__])[0]}", flush=True)
print(f"1..{len(cases)}")
sys.exit(failed != 0)
