"""Comparison with ONNX Runtime, for the tests that run under MASSC_PYTHON."""
import sys
try:
    import numpy as np, onnx, onnxruntime as ort
except ImportError as e:
    print(f"1..0 # SKIP {e}; tools/test makes a Python with numpy, onnx and onnxruntime")
    sys.exit(0)
from e2e import *

LIMIT = 2e-5        # of the largest output


def session(model):
    o = ort.SessionOptions()
    o.log_severity_level = 3
    o.intra_op_num_threads = 2
    return ort.InferenceSession(model, o, providers=["CPUExecutionProvider"])


def inputs_of(s, seed, sizes):
    """Normal random inputs; symbolic dims have the sizes named. Integers are tokens below sizes["vocab"], their types 0 and 1, or a mask whose rows each hide some places at the end."""
    rng = np.random.default_rng(seed)
    feed = {}
    for i in s.get_inputs():
        dims = [sizes[d] if isinstance(d, str) else d for d in i.shape]
        if i.type != "tensor(int64)":
            feed[i.name] = rng.standard_normal(dims, dtype=np.float32)
        elif "mask" in i.name:
            feed[i.name] = (np.arange(dims[1]) < rng.integers(1, dims[1] + 1, (dims[0], 1))).astype(np.int64)
        else:
            feed[i.name] = rng.integers(0, 2 if "type" in i.name else sizes["vocab"], dims)
    return feed


def compare(program, s, sizes, seed=1, limit=LIMIT, more=()):
    """Runs the program and the session on the same inputs; the largest error over all outputs, of the largest value of each."""
    feed = inputs_of(s, seed, sizes)
    args = []
    for k, v in feed.items():
        np.save(f"in.{k}.npy", v)
        args += ["--input", f"{k}=in.{k}.npy"]
    for o in s.get_outputs():
        args += ["--output", f"{o.name}=out.{o.name}.npy"]
    run(program, *args, *more, timeout=600)
    worst = 0
    for o, want in zip(s.get_outputs(), s.run(None, feed)):
        got = np.load(f"out.{o.name}.npy")
        assert got.shape == want.shape and got.dtype == want.dtype, f"{o.name}: {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
        assert np.isfinite(got).all() and np.abs(want).max() > 0, f"{o.name}: not finite, or nothing but zeros expected"
        worst = max(worst, float(np.abs(got.astype(np.float64) - want).max() / np.abs(want).max()))
    assert worst <= limit, f"error {worst:.3g} of the largest output for {sizes}, at most {limit}"
    return worst
