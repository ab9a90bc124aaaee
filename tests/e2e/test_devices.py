"""Executables for CUDA and OpenCL devices: compiled without one, they compute there what the processor computes, and say what is missing where there is none.

Bound: --expect's default, 1e-5 of the largest value. OpenCL runs wherever there is a platform (PoCL: the processor itself). CUDA runs where a device is; elsewhere the refusal is tested."""
from e2e import *

os.environ["XDG_CACHE_HOME"] = os.path.join(tempfile.gettempdir(), f"massc-opencl-cache-{os.getuid()}")
os.makedirs(os.environ["XDG_CACHE_HOME"], exist_ok=True)
NETS = {
    "alexnet": (["width=8", "hidden=64", "classes=20"], [["--input=input[2,3,224,224]=random:1"], ["--input=input[1,3,224,224]=random:2"]]),
    "resnet50": (["width=8", "size=64", "classes=20"], [["--input=input[3,3,64,64]=random:1"]]),
    "yolov3-tiny": (["width=4", "size=64"], [["--input=input[1,3,64,64]=random:1"]]),
    "bert-base": (["layers=1", "width=32", "heads=2", "vocab=100", "positions=32"],
                  [[f"--input=input_ids[2,{n}]=random:1", f"--input=attention_mask[2,{n}]=1", f"--input=token_type_ids[2,{n}]=0"] for n in (1, 7, 32)]),
    "gpt2": (["layers=1", "width=32", "heads=2", "vocab=100", "positions=32"], [[f"--input=input_ids[2,{n}]=random:1"] for n in (1, 13, 32)]),
}


def model(name):
    return f"{name}.onnx" if os.path.exists(f"{name}.onnx") else mkmodel(name, f"{name}.onnx", *NETS[name][0])


def agrees(name, target, *args):
    def check():
        massc(model(name), "-O0", "-o", "slow.bin")
        massc(model(name), f"--target={target}", *args, "-o", "device.bin")
        worst = ""
        for inputs in NETS[name][1]:
            run("./slow.bin", *inputs, "--output", "want.npz")
            out = on_device("./device.bin", *inputs, "--expect", "want.npz", "--rtol", "0").out
            assert "agrees" in out and "nan" not in out, out
            worst = out.splitlines()[-1]
            on_device("./device.bin", *inputs, "--expect", "want.npz", "--rtol", "0", "--bench=0.05")
        return worst[-120:]
    return check


for target, slow in (("opencl", "alexnet"), ("cuda", "bert-base")):
    for name in NETS if of_device(target) else ():
        case(f"{name} on {target}")(agrees(name, target))
    if of_device(target):
        case(f"{slow} on {target} at -O0")(agrees(slow, target, "-O0"))


def cut(target, other):
    def check():
        open("cut.yaml", "w").write(f'"features.[0-5]/*": cpu\n"classifier.6/*": cpu\n"*": {target}\n')
        graph = massc(model("alexnet"), f"--target={target}", "--place=cut.yaml", "--emit=graph", "-o", "-").out
        assert graph.count(" = transfer ") == 2, "one transfer there, one back"
        agrees("alexnet", target, "--place=cut.yaml")()
        open("bad.yaml", "w").write(f'"*": {other}\n')
        assert f"{target}:0" in massc(model("alexnet"), f"--target={target}", "--place=bad.yaml", "-o", "x.bin", status=1).err
    return check


for target, other in (("opencl", "cuda"), ("cuda", "opencl")):
    if of_device(target):
        case(f"a network cut between processor and {target}")(cut(target, other))


@case("what the OpenCL driver built is kept, and made again when it is damaged")
def _():
    if not of_device("opencl"):
        raise Skip("tests of another device were asked for")
    massc(model("gpt2"), "--target=opencl", "-o", "device.bin")
    with tempfile.TemporaryDirectory() as cache:
        env = dict(os.environ, XDG_CACHE_HOME=cache)
        inputs = NETS["gpt2"][1][0]
        first = on_device("./device.bin", *inputs, env=env)
        files = [os.path.join(cache, "massc", f) for f in os.listdir(os.path.join(cache, "massc"))]
        assert files
        again = on_device("./device.bin", *inputs, env=env)
        assert again.out == first.out
        for f in files:
            open(f, "wb").write(b"nonsense")
        assert on_device("./device.bin", *inputs, env=env).out == first.out
        assert on_device("./device.bin", *inputs, env={k: v for k, v in env.items() if k not in ("XDG_CACHE_HOME", "HOME")}).out == first.out
        return f"{len(files)} files, {first.seconds:.1f} s, then {again.seconds:.1f} s"


@case("a device that is not there is named, with status 69")
def _():
    massc(model("gpt2"), "--target=opencl", "-o", "opencl.bin")
    massc(model("gpt2"), "--target=cuda", "-o", "cuda.bin")
    inputs = NETS["gpt2"][1][0]
    for program, device in (("opencl", "opencl:no such name"), ("opencl", "opencl:77"), ("opencl", "cuda"), ("cuda", "cuda:77"), ("cuda", "cuda:x"), ("cuda", "cpu"), ("cuda", "opencl")):
        done = run(f"./{program}.bin", *inputs, "--device", device, status=69)
        assert done.err.count("\n") == 1 and not done.out, str(done)
    for program, word in (("cuda", "cuda:sm_90a, cuda:sm_80"), ("opencl", "opencl")):
        info = run(f"./{program}.bin", "--info").out
        assert word in info, info


@case("several architectures, each once, in one executable; the same bytes for any -j")
def _():
    massc(model("gpt2"), "--target=cuda:sm_80,sm_86,sm_90a", "-o", "three.bin", "-j1")
    assert "cuda:sm_90a, cuda:sm_86, cuda:sm_80" in run("./three.bin", "--info").out
    massc(model("gpt2"), "--target=cuda:sm_80,sm_86,sm_90a", "-o", "again.bin", "-j3")
    a, b = open("three.bin", "rb").read(), open("again.bin", "rb").read()
    assert a.replace(b"three.bin", b"again.bin") == b


@case("without NVRTC the diagnostic says how to get it")
def _():
    done = massc(model("gpt2"), "--target=cuda", "--nvrtc=./nothing.so", "-o", "none.bin", status=1)
    assert "M0405" in done.err and "nothing.so" in done.err and not os.path.exists("none.bin"), done.err


main()
