"""Networks in the words of PyTorch's exporters (tests/data), with seeded weights, against ONNX Runtime."""
from against_ort import *
import glob


def fill(path, out, seed):
    """Weights for a stripped model: He's initialisation, halved for convolutions by 1 x 1, so that sums over many residual blocks stay near 1."""
    m = onnx.load(path)
    rng = np.random.default_rng(seed)
    for t in m.graph.initializer:
        if t.raw_data or t.float_data or t.int64_data or not t.dims:
            continue
        dims = list(t.dims)
        fan = int(np.prod(dims[1:]))
        gain = 0.1 if len(dims) == 1 else np.sqrt(2 / fan) * (0.5 if len(dims) == 4 and dims[2:] == [1, 1] else 1)
        assert t.data_type == onnx.TensorProto.FLOAT, t.name
        t.raw_data = (rng.standard_normal(dims, dtype=np.float32) * np.float32(gain)).tobytes()
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, out)
    return out


def exported(path):
    name = os.path.basename(path)[:-5]

    def check():
        model = fill(path, name + ".onnx", seed=7)
        s = session(model)
        told = []
        a, b = (s.run(None, inputs_of(s, k, {"batch": 1}))[0] for k in (1, 2))
        assert np.abs(a - b).max() >= 0.01 * np.abs(a).max(), "the output hardly depends on the input"
        for level, batches in (("-O0", (1, 4)), ("-O2", (1, 4, 7))):
            massc(level, model, "-o", "m.bin")
            told += [f"{level} batch {n} {compare('./m.bin', s, {'batch': n}, seed=n):.1e}" for n in batches]
        massc("--dim", "batch=3", model, "-o", "m.bin")
        told.append(f"--dim batch=3 {compare('./m.bin', s, {'batch': 3}):.1e}")
        return ", ".join(told)
    cases.append((name, check))


files = sorted(glob.glob(os.path.join(TESTS, "data", "*.onnx")))
assert len(files) >= 4, "tests/data holds no models"
for f in files:
    exported(f)
main()
