"""--precision fp16, bf16 and tf32: operands of contractions are rounded, everything else stays float32.

Bound: 1e-2 norm-wise against the float32 result. Rounding errors of b bits (11, 8 and 11) that are independent give about 2^-b times a small factor for the depth; that the
result is another than float32's, and bf16's error larger than the others', shows that something was rounded at all."""
import json, math, re
from e2e import *

NETS = {
    "alexnet": (["width=8", "hidden=64", "classes=20"], ["--input=input[2,3,224,224]=random:1"], "output"),
    "resnet50": (["width=8", "size=64", "classes=20"], ["--input=input[3,3,64,64]=random:1"], "output"),
    "bert-base": (["layers=2", "width=32", "heads=2", "vocab=100", "positions=32"],
                  ["--input=input_ids[2,17]=random:1", "--input=attention_mask[2,17]=1", "--input=token_type_ids[2,17]=0"], "last_hidden_state"),
    "gpt2": (["layers=2", "width=32", "heads=2", "vocab=100", "positions=32"], ["--input=input_ids[2,13]=random:1"], "logits"),
}
BITS = {"fp16": 11, "bf16": 8, "tf32": 11}
BETWEEN = {"bert-base": 4, "gpt2": 4}              # contractions of two activations, two a layer, which TF32 leaves alone


def model(name):
    return f"{name}.onnx" if os.path.exists(f"{name}.onnx") else mkmodel(name, f"{name}.onnx", *NETS[name][0])


def norm_wise(a, b):
    (sa, va), (sb, vb) = read_npy(a), read_npy(b)
    assert sa == sb and all(map(math.isfinite, va))
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(va, vb)) / sum(y * y for y in vb))


def error(name, precision, *args):
    _, inputs, output = NETS[name]
    if not os.path.exists(f"{name}.npy"):
        massc(model(name), "-O0", "-o", "f32.bin")
        run("./f32.bin", *inputs, "--output", f"{output}={name}.npy")
    done = massc(model(name), "--precision", precision, "--verify", *args, "-o", "narrow.bin")
    n, of = map(int, re.search(rf"^massc: --precision {precision}: (\d+) of (\d+) contractions", done.err, re.M).groups())
    assert n == of - (BETWEEN.get(name, 0) if precision == "tf32" else 0) > 0, done.err
    on_device("./narrow.bin", *inputs, "--output", f"{output}=narrow.npy")
    return norm_wise("narrow.npy", f"{name}.npy")


def bounded(name, target, *args):
    def check():
        e = {p: error(name, p, f"--target={target}", *args) for p in BITS}
        assert all(2.0 ** -(b + 4) <= e[p] <= 1e-2 for p, b in BITS.items()) and e["bf16"] > 2 * max(e["fp16"], e["tf32"]), e
        return ", ".join(f"{p} {x:.2g}" for p, x in e.items())
    return check


for name in NETS:
    for target in ("cpu", "opencl", "cuda"):
        if of_device(target) or target == "cpu":
            case(f"{name} on {target}")(bounded(name, target))
    case(f"{name} at -O0")(bounded(name, "cpu", "-O0"))


@case("weights of contractions are stored in half the bytes; inputs and outputs keep their types; the flag is told")
def _():
    whole, half = (json.loads(massc("check", "--json", *args, model("alexnet")).out) for args in ([], ["--precision=fp16"]))
    assert half["weights_bytes"] < 0.55 * whole["weights_bytes"], (half["weights_bytes"], whole["weights_bytes"])
    done = massc(model("alexnet"), "--precision=bf16", "-o", "narrow.bin")
    assert done.err.startswith("massc: --precision bf16: 8 of 8 contractions take bf16 operands and sum in float32; their weights shrink from ") and done.err.count("\n") == 1, done.err
    assert massc(model("alexnet"), "--precision=bf16", "-q", "-o", "again.bin").err == ""
    assert open("again.bin", "rb").read() == open("narrow.bin", "rb").read()
    info = run("./narrow.bin", "--info").out
    assert "--precision=bf16" in info and "input: f32[" in info and "output: f32[" in info and "16[" not in info, info


@case("tf32: what was computed in it is told; weights have as many bytes as before")
def _():
    whole, tf32 = (json.loads(massc("check", "--json", "--target=cuda:sm_90a", *args, model("alexnet")).out) for args in ([], ["--precision=tf32"]))
    assert tf32["weights_bytes"] < 1.1 * whole["weights_bytes"], (tf32["weights_bytes"], whole["weights_bytes"])     # of the first convolution with its channels padded
    done = massc(model("alexnet"), "--precision=tf32", "-o", "narrow.bin")
    assert done.err == "massc: --precision tf32: 8 of 8 contractions take tf32 operands and sum in float32\n", done.err
    info = run("./narrow.bin", "--info").out
    assert "--precision=tf32" in info and "input: f32[" in info and "output: f32[" in info, info
    done = massc(model("gpt2"), "--precision=tf32", "-o", "narrow.bin")
    assert done.err.endswith("; 4 keep their types\n"), done.err


@case("CUDA: products of fp16, bf16 and tf32 are on matrix units, without spills")
def _():
    for precision, dot in (("fp16", "m16n8k16.row.col.f32.f16.f16"), ("bf16", "m16n8k16.row.col.f32.bf16.bf16"), ("tf32", "m16n8k8.row.col.f32.tf32.tf32")):
        text = massc(mkmodel("bert-base", "bert64.onnx", "layers=1", "width=64", "heads=2", "vocab=100", "positions=32"), "--emit=cuda", f"--precision={precision}", "-o", "-").out
        assert f"mma.sync.aligned.{dot}.f32" in text
    for precision in ("fp16", "tf32"):
        j = json.loads(massc("check", "--json", "--target=cuda:sm_90a", f"--precision={precision}", "bert64.onnx").out)
        if "registers" not in j["kernel_list"][0]:
            missing("cuda", "NVRTC is not installed")
        assert all(k["spill_bytes"] == 0 for k in j["kernel_list"]), j


@case("what cannot be is refused")
def _():
    for value, word in (("fp8", "expected fp16, bf16 or tf32"), ("", "expected fp16, bf16 or tf32")):
        done = massc(model("alexnet"), f"--precision={value}", "-o", "none.bin", status=1)
        assert "M0003" in done.err and word in done.err and not os.path.exists("none.bin"), done.err


main()
