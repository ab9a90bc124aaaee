"""--emit=cuda and --emit=opencl: every network whole, the same bytes each time, files that name what they came from; nvcc, where it is, takes a few of them."""
import re
from e2e import *

NETS = {"alexnet": ["width=8", "hidden=64", "classes=20"], "resnet152": ["width=8", "size=64", "classes=20"], "yolov3": [], "bert-base": [], "gpt2": []}


def emit(model, kind, out, *args):
    massc(model, f"--emit={kind}", "-o", out + "/", *args)
    return {f: open(os.path.join(out, f)).read() for f in sorted(os.listdir(out))}


def waits(text):
    """A CUDA kernel waits for those before it outside of all blocks, once, before it names memory that changes, and then lets the next one start if it is small; are weights read before?"""
    parameters, body = re.search(r'extern "C" __global__ .*\n\w+\(([^)]*)\)\n\{\n(.*)', text, re.S).groups()
    pointers = re.findall(r"\*(__restrict__ )?(\w+)", parameters)
    names = lambda weights: "|".join(n for r, n in pointers if bool(r) == weights) or "no such name"
    before, behind = ("\n" + body).split("\n  wait_for_earlier_kernels();\n")
    assert behind.startswith("  start_next_kernel();\n") and body.count("start_next_kernel") == 1, text
    assert "wait_for_earlier_kernels" not in before + behind, text
    assert not re.search(rf"\b({names(False)})\b", before) and re.search(rf"\b({names(False)})\b", behind), text
    return bool(re.search(rf"\b({names(True)})\b", before))


def whole(name, kind):
    def check():
        model = mkmodel(name, f"{name}.onnx", *NETS[name])
        files = emit(model, kind, f"{name}-{kind}")
        ending, start = (".cu", 'extern "C" __global__ void') if kind == "cuda" else (".cl", "__kernel")
        assert files and all(f.endswith(ending) and t.count(start) == 1 and t.startswith("/* ") for f, t in files.items())
        assert emit(model, kind, f"{name}-{kind}-again", "-j1") == files, "other bytes in a second run"
        plain = emit(model, kind, f"{name}-{kind}-O0", "-O0")
        os.remove(model)
        if kind == "cuda":
            early = [waits(t) for t in [*files.values(), *plain.values()]].count(True)
            assert early or not any("pipe" in t for t in files.values())
            return f"{len(files)} files, {len(plain)} at -O0; {early} of them read weights before they wait"
        return f"{len(files)} files, {len(plain)} at -O0"
    return check


for name in NETS:
    for kind in ("cuda", "opencl"):
        case(f"{name}, {kind}")(whole(name, kind))


@case("a file names its nodes, its nest and its launch")
def _():
    text = massc(small_alexnet(), "--emit=cuda", "-o", "-").out
    for word in ("features.0/Conv, features.1/Relu", "nest @conv_add_max", "blocks of", "sched "):
        assert word in text, word


@case("what has no text of that kind is refused")
def _():
    model = small_alexnet()
    for args in (["--target=cpu", "--emit=cuda"], ["--target=cuda", "--emit=llvm"], ["--target=opencl", "--emit=cuda"], ["--target=cpu,cuda"], ["--target=cuda:sm_12"]):
        assert "M0401" in massc(model, *args, "-o", "x/", status=1).err, args


def through_opencl(make):
    def check():
        d = run(os.environ["GPU_CASES"], "--opencl", make(), status=None)
        if d.status == 77:
            raise Skip("no OpenCL device")
        assert d.status == 0 and " 0 failed" in d.out, d
        return d.out.split(": ")[1].strip()
    return check


case("every kernel of a small AlexNet runs as OpenCL C")(through_opencl(small_alexnet))
case("every kernel of a small ResNet-50 runs as OpenCL C")(through_opencl(small_resnet))
case("every kernel of a small BERT runs as OpenCL C")(through_opencl(lambda: mkmodel("bert-base", "bert.onnx", "layers=1", "width=48", "heads=3", "vocab=50")))


@case("names like the prelude's own, and a chain that reads each value twice, end soon")
def _():
    from onnx_wire import model, graph, node, value
    nodes = [node("Softsign", ["f32"], ["max_f32"]), node("Cos", ["max_f32"], ["i64_0"])]
    last = "i64_0"
    for i in range(40):
        nodes += [node("Add", [last, "f32"], [f"a{i}"]), node("Mul", [f"a{i}", last], [f"u8_{i}"])]
        last = f"u8_{i}"
    open("chain.onnx", "wb").write(model(graph(nodes, [value("f32", [3, 5])], [value(last, [3, 5])])))
    for level in ("-O0", "-O2"):
        for kind in ("cuda", "opencl"):
            massc("chain.onnx", level, f"--emit={kind}", "-o", f"chain-{kind}{level}/", timeout=30)


@case("bounds that are known at run time: what reads inputs as sizes compiles")
def _():
    from onnx_wire import model, graph, node, value, INT64
    g = graph([node("Slice", ["x", "starts", "ends"], ["y"])], [value("x", [20, 10, 5]), value("starts", [2], INT64), value("ends", [2], INT64)], [value("y", None)])
    open("slice.onnx", "wb").write(model(g))
    for target in ("cuda:sm_80", "opencl"):
        massc("slice.onnx", f"--target={target}", "-o", "slice.bin")


@case("nvcc takes them")
def _():
    nvcc = shutil.which("nvcc") or (os.path.exists("/usr/local/cuda/bin/nvcc") and "/usr/local/cuda/bin/nvcc")
    if not nvcc:
        raise Skip("nvcc is not installed")
    files = emit(small_alexnet(), "cuda", "small")
    for f in list(files)[::4]:
        for arch in ("sm_80", "sm_90a"):
            run(nvcc, "-cubin", f"-arch={arch}", "--fmad=false", "-o", "k.cubin", os.path.join("small", f))


main()
