"""Networks in the words of PyTorch's exporters (tests/data), with seeded weights, against ONNX Runtime."""
from against_ort import *
import glob, json, re


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
        for level, batches in (("-O0", (1, 4)), ("-O2", (2, 1, 3, 4, 5, 8))):      # one program for all of them
            massc(level, model, "-o", "m.bin")
            told += [f"{level} batch {n} {compare('./m.bin', s, {'batch': n}, seed=n):.1e}" for n in batches]
        massc("--dim", "batch=3", model, "-o", "m.bin")
        told.append(f"--dim batch=3 {compare('./m.bin', s, {'batch': 3}):.1e}")
        return ", ".join(told)
    cases.append((name, check))


def language(path):
    """A language model: symbolic batch and length."""
    name = os.path.basename(path)[:-5]

    def check():
        model = fill(path, name + ".onnx", seed=7)
        s = session(model)
        told = []
        for level, sizes in (("-O0", ((2, 9),)), ("-O2", ((2, 5), (1, 1), (2, 9), (1, 40), (3, 17), (5, 2)))):
            massc(level, model, "-o", "m.bin")
            told += [f"{level} {b} x {n} {compare('./m.bin', s, {'batch': b, 'seq': n, 'vocab': 97}, seed=n):.1e}" for b, n in sizes]
        return ", ".join(told)
    cases.append((name, check))


def composites(name, kind):
    """The composites of a kind as pass recognise prints them, without the names of values and the notes on where they are from."""
    model = fill(os.path.join(TESTS, "data", name + ".onnx"), name + ".onnx", seed=7)
    found, lines = [], massc("--stop-after", "recognise", model).out.splitlines()
    for i, line in enumerate(lines):
        if f"= composite @{kind} " not in line:
            continue
        body = lines[i:i + 1 + lines[i:].index(next(x for x in lines[i:] if x.startswith("  }")))]
        names = {}
        text = re.sub(r' loc ".*', "", "\n".join(re.sub(r' loc ".*', "", x) for x in body))
        found.append(re.sub(r'[%@](?:[\w./]+|"[^"]*")', lambda m: m[0] if m[0] == "@" + kind else names.setdefault(m[0], f"{m[0][0]}{len(names)}"), text))
    return found


@case("eager and scaled-dot-product attention of both exporters are the same composites, and so are GELU and layer norm")
def spellings():
    for first, *others in (("bert_dynamo", "bert_torchscript17", "bert_sdpa_dynamo", "bert_sdpa_torchscript17"), ("gpt2_dynamo", "gpt2_sdpa_dynamo")):
        for kind, n in (("attention", 2), ("gelu", 2), ("layer_norm", 5)):
            want = composites(first, kind)
            assert len(want) == n, f"{first}: {len(want)} of {kind}, {n} expected"
            for other in others:
                got = composites(other, kind)
                if (other, kind) == ("bert_sdpa_torchscript17", "attention"):      # its mask is -inf, so a row without keys is NaN, which it makes 0
                    assert len(re.findall("isnan", "".join(got))) == 2, "the zeros of rows without keys are gone"
                    got = [without_guard(x) for x in got]
                assert got == want, f"{kind} of {first} and {other} differ:\n{want[0]}\n{got[0] if got else 'none'}"


def without_guard(text):
    """%c = isnan %a; %b = select %c, 0, %a: %a is read in place of %b."""
    m = re.search(r"\n *(%\d+) = isnan (%\d+) .*\n *(%\d+) = select \1, 0, \2 .*", text)
    assert m, text
    text = text.replace(m[0], "")
    names = {}
    return re.sub(r"[%@]\d+", lambda v: names.setdefault(m[2] if v[0] == m[3] else v[0], f"{v[0][0]}{len(names)}"), text)


@case("attention is one kernel, and no value is as large as the scores")
def attention_memory():
    """Memory of a run: at 4096 tokens four heads of scores in float32 alone are 256 MiB."""
    model = fill(os.path.join(TESTS, "data", "gpt2_sdpa_dynamo.onnx"), "long.onnx", seed=7)
    m = onnx.load(model)
    wpe = next(t for t in m.graph.initializer if t.name.endswith("wpe.weight"))
    wpe.raw_data = np.resize(np.frombuffer(wpe.raw_data, np.float32), (4096, wpe.dims[1])).tobytes()
    wpe.dims[0] = 4096
    onnx.save(m, model)
    massc("--dim", "batch=1", "--dim", "seq=4096", model, "-o", "m.bin")
    memory = json.loads(run("./m.bin", "--info", "--json").out)["arena_bytes"]
    assert memory < 32 << 20, f"{memory} bytes"
    error = compare("./m.bin", session(model), {"batch": 1, "seq": 4096, "vocab": 97})
    return f"{memory / 2**20:.1f} MiB, error {error:.1e}"


@case("a model in half precision: casts belong to the attention, which is the same kernel")
def half():
    """Rounding everything to f16 is off by so much; ONNX Runtime computes in float32 between the nodes that it fuses, so it may be better, by 3 at most."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    told = []
    for name in ("bert_dynamo", "bert_sdpa_torchscript17", "gpt2_sdpa_dynamo"):
        model = fill(os.path.join(TESTS, "data", name + ".onnx"), name + ".onnx", seed=7)
        onnx.save(convert_float_to_float16(onnx.load(model), disable_shape_infer=True), "half.onnx")
        program = massc("--stop-after", "schedule", "half.onnx").out
        assert len(re.findall(r"^kernel \d+ @attention\S* \{", program, re.M)) == program.count("sched chain ") == 1, "one attention kernel is expected"
        massc("half.onnx", "-o", "m.bin")
        feed = inputs_of(session(model), 3, {"batch": 2, "seq": 37, "vocab": 97})
        want, peer = session(model).run(None, feed)[0], session("half.onnx").run(None, feed)[0].astype(np.float32)
        for k, v in feed.items():
            np.save(f"in.{k}.npy", v)
        out = session(model).get_outputs()[0].name
        run("./m.bin", *[x for k in feed for x in ("--input", f"{k}=in.{k}.npy")], "--output", f"{out}=out.npy")
        error, theirs = (float(np.abs(y - want).max() / np.abs(want).max()) for y in (np.load("out.npy").astype(np.float32), peer))
        assert error <= 3 * theirs, f"{name}: error {error:.1e}, ONNX Runtime's {theirs:.1e}"
        told.append(f"{name} {error:.1e} (ONNX Runtime {theirs:.1e})")
    return ", ".join(told)


files = sorted(glob.glob(os.path.join(TESTS, "data", "*.onnx")))
assert len(files) >= 12, "tests/data holds no models"
for f in files:
    (language if os.path.basename(f).startswith(("bert", "gpt2")) else exported)(f)
main()
