#!/usr/bin/env python3
"""Networks of models/, made by mkmodel: valid ONNX, well scaled, sensitive to their input. TAP to stdout.

usage: test_zoo.py MKMODEL        under a Python with numpy, onnx and onnxruntime; without them everything is skipped.

For each network, in ONNX Runtime with every node's output exposed, over one batch:
  the standard deviation of every node's output lies within 0.05 .. 20;
  batch norms are no identities (scale, bias, mean, variance all vary);
  two random inputs change the output by at least 1 % of its largest value;
  two batch sizes work in the same file.
"""
import os, subprocess, sys, tempfile

CASES = [
    ("alexnet", ["width=16"]),
    ("resnet50", ["width=32"]),
    ("resnet101", ["width=16", "size=160"]),
    ("resnet152", ["width=16"]),
    ("resnet152", ["width=16", "--seed", "7"]),
    ("vgg16", ["width=8"]),
]
if os.environ.get("MASSC_FULL_TESTS"):
    CASES += [("alexnet", []), ("resnet50", []), ("resnet101", []), ("resnet152", [])]
PARAMS = {"alexnet": 61100840, "resnet50": 25610152, "resnet101": 44654504, "resnet152": 60344232, "vgg16": 138357544}  # torchvision's parameters, batch norm's running statistics included

try:
    import numpy as np, onnx, onnxruntime as ort
except ImportError as e:
    print(f"1..0 # SKIP {e}; set MASSC_PYTHON to a Python with numpy, onnx and onnxruntime")
    sys.exit(0)


def make(folder, name, args):
    path = os.path.join(folder, name + ".onnx")
    subprocess.run([sys.argv[1], name, "-o", path, *args], check=True)
    return path


def expose(model):
    """Every node's output becomes an output of the graph."""
    have = {o.name for o in model.graph.output}
    for node in model.graph.node:
        model.graph.output.extend(onnx.ValueInfoProto(name=o) for o in node.output if o and o not in have)
    return model


def session(model):
    o = ort.SessionOptions()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model if isinstance(model, (str, bytes)) else model.SerializeToString(), o, providers=["CPUExecutionProvider"])


def inputs(s, seed, batch):
    rng = np.random.default_rng(seed)
    return {i.name: rng.standard_normal([batch if isinstance(d, str) else d for d in i.shape], dtype=np.float32) for i in s.get_inputs()}


def check(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            for w, unchanged in zip(node.input[1:], (1, 0, 0, 1)):
                assert np.std(weights[w]) > 0.02 * np.abs(weights[w]).max() and np.mean(weights[w] == unchanged) < 0.1, f"{w} does not vary"
    names = [o for n in model.graph.node for o in n.output]
    s = session(expose(model))
    values = dict(zip([o.name for o in s.get_outputs()], s.run(None, inputs(s, 1, 1))))
    stds = {n: float(np.std(values[n])) for n in names}
    low, high = min(stds, key=stds.get), max(stds, key=stds.get)
    assert stds[low] >= 0.05, f"{low}: standard deviation {stds[low]:.3g}"
    assert stds[high] <= 20, f"{high}: standard deviation {stds[high]:.3g}"
    s = session(path)
    a, b = s.run(None, inputs(s, 1, 1))[0], s.run(None, inputs(s, 2, 1))[0]
    assert np.isfinite(a).all()
    change = np.abs(a - b).max() / np.abs(a).max()
    assert change >= 0.01, f"another input changes the output by {change:.2%}"
    c = s.run(None, inputs(s, 1, 3))[0]
    assert c.shape == (3,) + a.shape[1:], f"batch 3 gives {c.shape}"
    return f"standard deviations {stds[low]:.3f} .. {stds[high]:.2f}, another input changes {change:.1%}", sum(w.size for w in weights.values())


failed = 0
with tempfile.TemporaryDirectory() as folder:
    for i, (name, args) in enumerate(CASES):
        what = " ".join([name, *args])
        try:
            path = make(folder, name, args)
            told, params = check(path)
            if not args:
                assert params == PARAMS[name], f"{params} parameters, torchvision has {PARAMS[name]}"
            print(f"ok {i + 1} - {what}: {told}", flush=True)
            os.remove(path)
        except Exception as e:
            failed += 1
            print(f"not ok {i + 1} - {what}: {str(e).splitlines()[0]}", flush=True)
print(f"1..{len(CASES)}")
sys.exit(failed != 0)
