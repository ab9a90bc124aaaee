"""Executables for CUDA over a driver that only counts (fake_cuda.c): what is asked of the driver, where no device is."""
import json, re
from e2e import *

DRIVER = os.environ["FAKE_CUDA"]
NETS = {   # with inputs; the second has three of them, and a result before its last kernels
    "alexnet": (["width=8", "hidden=64", "classes=20"], ["--input=input[1,3,224,224]=zeros"]),
    "bert-base": (["layers=1", "width=32", "heads=2", "vocab=100", "positions=32"], [f"--input={x}[1,8]=zeros" for x in ("input_ids", "attention_mask", "token_type_ids")]),
}


def driver():
    os.makedirs("driver", exist_ok=True)
    if not os.path.exists("driver/libcuda.so.1"):
        os.symlink(DRIVER, "driver/libcuda.so.1")
    return "driver"


def bench(name):
    def check():
        massc_cuda("--target=cuda:sm_80", mkmodel(name, "m.onnx", *NETS[name][0]), "-o", "m.bin")
        j = json.loads(run("./m.bin", *NETS[name][1], "--bench=0.05", "--json", env=dict(os.environ, LD_LIBRARY_PATH=driver())).out)
        launches = len(json.loads(run("./m.bin", "--info", "--json").out)["launches"])
        assert j["device_runs"] >= 5 and j["device_median_ms"] == j["device_min_ms"] == launches > 5, (j, launches)
        return f"{launches} kernels"
    return check


for name in NETS:
    case(f"--bench tells the time of the kernels alone, without copies: {name}")(bench(name))


# ---- early launches, recording, errors ----
INPUT = "--input=input[2,3,224,224]=random:1"


def fake(program, *args, status=0, device="90 13000", fail=None, early=""):
    """Runs a program on the driver: the calls that it wrote down, and the run."""
    if os.path.exists("calls"):
        os.remove("calls")
    env = dict(os.environ, LD_LIBRARY_PATH=driver(), FAKE_CUDA_LOG="calls", FAKE_CUDA_DEVICE=device, MASSC_EARLY_LAUNCH=early, **({"FAKE_CUDA_FAIL": fail} if fail else {}))
    done = run(program, *args, status=status, env=env, timeout=60)
    return (open("calls").read().splitlines() if os.path.exists("calls") else []), done


def built(out, *args):
    if not os.path.exists(out):
        massc_cuda(small_alexnet(), "--target=cuda:sm_80,sm_90a", *args, "-o", out)
    return f"./{out}"


def kinds(calls):
    """One letter each: record (, recorded ), replay R, launch L, early E, copy c, sync s."""
    letter = {"record": "(", "recorded": ")", "replay": "R", "launch": "L", "early": "E", "copy": "c", "sync": "s", "event": "v", "forget": "f"}
    return "".join(letter[c.split()[0]] for c in calls)


@case("steps are recorded once; kernels behind kernels are launched early, the first behind a copy is not")
def _():
    calls, _ = fake(built("net.bin"), INPUT)
    assert re.fullmatch(r"s*\(c+LE+c+\)Rs+fs*", kinds(calls)), kinds(calls)
    return kinds(calls)


@case("nothing is early with MASSC_EARLY_LAUNCH=0")
def _():
    calls, _ = fake(built("net.bin"), INPUT, early="0")
    assert re.fullmatch(r"s*\(c+L+c+\)Rs+fs*", kinds(calls)), kinds(calls)
    return kinds(calls)


@case("nothing is early on an older device, with an older driver, or with code for older devices")
def _():
    for device in ("80 13000", "86 13000", "90 12020", "100 13000"):
        calls, _ = fake(built("net.bin"), INPUT, device=device)
        assert "E" not in kinds(calls) and kinds(calls).count("L") > 5, (device, kinds(calls))


@case("--profile waits for copies and launches each kernel behind the one before, between events")
def _():
    calls, _ = fake(built("net.bin"), INPUT, "--profile=trace.json")
    assert re.fullmatch(r"(s*c+s+(vLv)+cs*)+fs*", kinds(calls).split("R")[-1]), kinds(calls)       # behind runs that warm up


@case("an edited kernel is launched early if it still waits for all threads, else behind the kernel before it")
def _():
    shutil.rmtree("all", ignore_errors=True)
    massc(small_alexnet(), "--emit=cuda", "--target=cuda:sm_90", "-o", "all/")
    name = next(f for f in os.listdir("all") if "features.12.MaxPool" in f)
    text = open(f"all/{name}").read()
    call = "  wait_for_earlier_kernels();\n"
    asm = 'asm volatile("griddepcontrol.wait;" ::: "memory");'
    at = text.rindex(call)
    put = lambda s: text[:at] + s + text[at + len(call):]
    variants = {
        "kept": (text, True), "moved": (put("").replace("\n{\n", "\n{\n" + call, 1), True), "inline": (put(f"  {asm}\n"), True),
        "gone": (put(""), False), "comment": (put("  // wait_for_earlier_kernels();\n"), False), "if": (put("  if (lane < 3) wait_for_earlier_kernels();\n"), False),
        "block": (put("  if (lane < 3) {\n" + call + "  }\n"), False), "#if": (put(f"#if __CUDA_ARCH__ == 900\n  {asm}\n#endif\n"), False),
        "empty": (text.replace('asm volatile("griddepcontrol.wait;" ::: "memory");', ""), False),
    }
    for what, (edited, early) in variants.items():
        shutil.rmtree("edited", ignore_errors=True)
        os.mkdir("edited")
        open(f"edited/{name}", "w").write(edited)
        massc_cuda(small_alexnet(), "--target=cuda:sm_90", "--use-kernels=edited", "-o", "edited.bin")
        calls, _ = fake("./edited.bin", INPUT)
        pool = [c.split()[0] for c in calls if "features_12_MaxPool" in c]
        assert pool == ["early" if early else "launch"], (what, pool)
        assert sum(c.startswith("launch") for c in calls) == (1 if early else 2), (what, calls)


@case("what was recorded is replayed while the shapes stay, and forgotten at the end")
def _():
    calls, _ = fake(built("net.bin"), INPUT, "--bench=0.05")
    ks = kinds(calls)
    kept = re.findall(r"\([^)]+\)", ks)                             # all steps, and those between copies for the device's own time
    assert len(kept) == 2 == ks.count("f") and ks.count("R") > 20 and ks.endswith("ffs"), ks[:200] + ks[-100:]


@case("no memory on the device: status 71, and what it was for")
def _():
    for nth, words in ((1, "weights"), (2, "activations")):
        _, done = fake(built("net.bin"), INPUT, fail=f"cuMemAlloc_v2 {nth} 2", status=71)
        assert words in done.err and "CUDA_ERROR_OUT_OF_MEMORY" in done.err and done.err.count("\n") == 1, done.err


@case("a launch that fails names the kernel and its nodes; a device that is lost ends the program with status 69")
def _():
    _, done = fake(built("net.bin"), INPUT, fail="cuLaunchKernel 1 1", status=69)
    assert "kernel " in done.err and "features.0/Conv" in done.err and done.err.count("\n") == 1, done.err
    _, done = fake(built("net.bin"), INPUT, fail="cuLaunchKernelEx 2 1", status=69)
    assert "kernel " in done.err and "features." in done.err, done.err
    for function in ("cuGraphLaunch 1 700", "cuStreamSynchronize 2 700", "cuStreamEndCapture 1 901", "cuLaunchKernelEx 1 719", "cuMemcpyDtoHAsync_v2 1 700"):
        _, done = fake(built("net.bin"), INPUT, fail=function, status=69)
        assert "CUDA_ERROR" in done.err and done.err.count("\n") == 1, (function, done.err)


main()
