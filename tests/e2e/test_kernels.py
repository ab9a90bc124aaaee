"""Kernels as files: --emit=cuda and --emit=opencl write them, --use-kernels takes them back edited, and --expect shows whether the result still holds.

OpenCL runs wherever there is a platform (PoCL), CUDA where there is a device; what needs NVRTC is skipped without it."""
import json, re
from e2e import *

os.environ["XDG_CACHE_HOME"] = os.path.join(tempfile.gettempdir(), f"massc-opencl-cache-{os.getuid()}")
os.makedirs(os.environ["XDG_CACHE_HOME"], exist_ok=True)
INPUT = "--input=input[2,3,224,224]=random:1"


def emit(kind, out, *args):
    """Files of small_alexnet's kernels, by name."""
    shutil.rmtree(out, ignore_errors=True)
    massc(small_alexnet(), f"--emit={kind}", "-o", out + "/", *args)
    return {f: open(os.path.join(out, f)).read() for f in sorted(os.listdir(out))}


def folder_of(name, files):
    shutil.rmtree(name, ignore_errors=True)
    os.mkdir(name)
    for f, text in files.items():
        open(os.path.join(name, f), "w").write(text)
    return name


def pool(files):
    """The file of the last max pooling."""
    return next(f for f in files if "features.12.MaxPool" in f)


def build(kind, folder, out="edited.bin", **more):
    return (massc_cuda if kind == "cuda" else massc)(small_alexnet(), f"--target={kind}", f"--use-kernels={folder}", "-o", out, **more)


def expected():
    if not os.path.exists("want.npy"):
        massc(small_alexnet(), "-O0", "-o", "slow.bin")
        run("./slow.bin", INPUT, "--output", "want.npy")
    return ["--expect", "want.npy", "--rtol", "0"]


def harmless(kind):
    def check():
        files = emit(kind, "all")
        f = pool(files)
        text = files[f]
        text = "// without its head\n" + text[text.index("*/") + 2:]
        text = re.sub(r"\by0_1\b", "result", text).replace("const __global float *x0", "global  const float /* in */ *restrict x0").replace("const float *x0", "float const *__restrict__ x0")
        assert "result[" in text and "restrict" in text
        build(kind, folder_of("edited", {f: text}))
        return on_device("./edited.bin", INPUT, *expected()).out.strip().splitlines()[-1][-120:]
    return check


def wrong(kind):
    def check():
        files = emit(kind, "all")
        f = pool(files)
        assert files[f].count("= acc;") == 1
        build(kind, folder_of("edited", {f: files[f].replace("= acc;", "= acc + 0.01f;")}))
        out = on_device("./edited.bin", INPUT, *expected(), status=1)
        return (out.out + out.err).strip().splitlines()[-1][-120:]
    return check


def all_back(kind):
    def check():
        emit(kind, "all")
        build(kind, "all")
        on_device("./edited.bin", INPUT, "--output", "back.npy")
        massc(small_alexnet(), f"--target={kind}", "-o", "generated.bin")
        run("./generated.bin", INPUT, "--output", "generated.npy")
        assert open("back.npy", "rb").read() == open("generated.npy", "rb").read()
        assert "--use-kernels" in run("./edited.bin", "--info").out
    return check


for kind in ("opencl", "cuda"):
    if of_device(kind):
        case(f"{kind}: edited harmlessly, the result holds")(harmless(kind))
        case(f"{kind}: edited wrongly, --expect sees it")(wrong(kind))
        case(f"{kind}: all files put back unedited, the result is the same; the executable says that they were given")(all_back(kind))


@case("OpenCL C that does not build is named where it is built, with what the compiler says")
def _():
    if not of_device("opencl"):
        raise Skip("tests of another device were asked for")
    files = emit("opencl", "all")
    f = pool(files)
    build("opencl", folder_of("edited", {f: files[f].replace("= acc;", "= nonsense;")}))
    done = on_device("./edited.bin", INPUT, status=69)
    assert "features.12.MaxPool" in done.err and "nonsense" in done.err, done.err


@case("CUDA C that does not compile is named, with what NVRTC says")
def _():
    files = emit("cuda", "all")
    f = pool(files)
    done = build("cuda", folder_of("edited", {f: files[f].replace("= acc;", "= nonsense;")}), out="none.bin", status=1)
    assert "M0406" in done.err and f"edited/{f}: NVRTC refused it" in done.err and "nonsense" in done.err and not os.path.exists("none.bin"), done.err


@case("CUDA: the edited text is what is compiled, for every architecture and as PTX")
def _():
    files = emit("cuda", "all")
    f = pool(files)
    assert ".sm_" not in f, "one file for all architectures"
    build("cuda", folder_of("edited", {f: files[f].replace("= acc;", '= acc; asm volatile("// edited here");')}))
    build("cuda", folder_of("same", files), out="same.bin")
    edited, same = open("edited.bin", "rb").read(), open("same.bin", "rb").read()
    assert edited.count(b"// edited here") == 1 and b"// edited here" not in same      # comments survive in PTX alone
    massc(small_alexnet(), "--target=cuda", "-o", "generated.bin")
    assert len(open("generated.bin", "rb").read()) - len(same) in range(-4096, 4097)


def refused(kind, files, *words):
    done = build(kind, folder_of("edited", files), out="none.bin", status=1)
    assert all(w in done.err for w in words) and not os.path.exists("none.bin"), f"{words}: {done.err}"
    assert done.err.count("M0406") == 1, done.err


@case("files that are not the kernels' are refused, by name and with what was expected")
def _():
    for kind, ptr in (("opencl", "__global float *"), ("cuda", "float *")):
        files = emit(kind, "all")
        f = pool(files)
        t = files[f]
        entry = re.search(r"\n(window_\w+)\(", t)[1]
        ending = f[-3:]
        refused(kind, {"nobody" + ending: t}, f"edited/nobody{ending}", "no kernel")
        refused(kind, {f: t, f.replace("features", "future"): t}, "future", "no kernel")
        refused(kind, {f: t.replace(entry + "(", "other(")}, f, "no definition of the kernel " + entry)
        refused(kind, {f: t.replace(", int batch)", ")")}, f, "takes 2 arguments; expected 3")
        refused(kind, {f: t.replace(", int batch)", ", int batch, int more)")}, f, "takes 4 arguments; expected 3")
        refused(kind, {f: t.replace("float *y0_1", "int *y0_1")}, f, "argument 2", ptr.replace("float", "int"), f'expected "{ptr}"')
        refused(kind, {f: t.replace("int batch)", "unsigned batch)")}, f, "argument 3", '"unsigned"', '"int"')
        refused(kind, {f: t[:t.index(entry + "(")] + entry + "(void);"}, f, "no definition")
        refused(kind, {f: "/* " + t.replace("*/", "")}, f, "no definition")
        refused(kind, {f: ""}, f, "no text")
        refused(kind, {f: t.replace("__launch_bounds__(", "__launch_bounds__(1 + 0*") if kind == "cuda" else t.replace("work_group_size(", "work_group_size(7")}, f, "launched with")


@case("folders and options that cannot be")
def _():
    os.makedirs("empty", exist_ok=True)
    model = small_alexnet()
    for args, status, word in ((["--target=opencl", "--use-kernels=empty"], 1, "no file of a kernel"), (["--target=opencl", "--use-kernels=nothing"], 74, "nothing"),
                               (["--use-kernels=empty"], 1, "--target=cuda"), (["--emit=opencl", "--use-kernels=empty"], 2, "exclude")):
        done = massc(model, *args, "-o", "none.bin", status=status)
        assert word in done.err and not os.path.exists("none.bin"), str(done)
    os.makedirs("odd", exist_ok=True)
    os.makedirs("odd/a.cl", exist_ok=True)
    assert "a.cl" in massc(model, "--target=opencl", "--use-kernels=odd", "-o", "none.bin", status=74).err


@case("damaged files never crash massc")
def _():
    files = emit("opencl", "all")
    f = pool(files)
    t = files[f]
    step = max(1, len(t) // 60)
    for n in range(1, len(t), step):
        done = build("opencl", folder_of("edited", {f: t[:n]}), out="none.bin", status=None)
        assert done.status in (0, 1), str(done)
    for bad in ("(" * 5000, "{" * 5000, "#\\", '"', "'", "/*", "//", f"__kernel x {f}(", "\\" * 100):
        assert build("opencl", folder_of("edited", {f: bad}), out="none.bin", status=None).status == 1, bad[:20]


@case("the depfile names the edited files")
def _():
    files = emit("opencl", "all")
    folder_of("edited", {pool(files): files[pool(files)]})
    massc(small_alexnet(), "--target=opencl", "--use-kernels=edited", "-MD", "-o", "dep.bin")
    assert "edited/" + pool(files) in open("dep.d").read()


@case("one file for all architectures where the text is equal, variants named by theirs where it is not; all of them go back")
def _():
    options = ["--dim", "batch=64"]             # large enough for tiles that differ by the number of multiprocessors
    three = "--target=cuda:sm_80,sm_86,sm_90a"
    files = emit("cuda", "variants", three, *options)
    assert files == emit("cuda", "again", three, "-j1", *options)
    shared = [f for f in files if not re.search(r"\.sm_\w+\.cu$", f)]
    variants = [f for f in files if f not in shared]
    assert pool(shared) and variants            # pooling: a thread for each result, whatever the architecture
    kernels = {"sm_80": 0, "sm_86": 0, "sm_90a": 0}
    for f, text in files.items():
        archs = re.search(r" for ([\w, ]+)$", text.splitlines()[0])[1].split(", ")
        if f in shared:
            assert archs == ["sm_80", "sm_86", "sm_90a"], (f, archs)
        else:
            assert f.endswith(f".{archs[0]}.cu") and len(archs) < 3, (f, archs)
        for a in archs:
            kernels[a] += 1
    alone = {a: emit("cuda", "alone", f"--target=cuda:{a}", *options) for a in kernels}
    assert kernels == {a: len(v) for a, v in alone.items()}, kernels
    bodies = lambda files: {t[t.index("*/"):] for t in files.values()}
    assert len(bodies(files)) == len(files) and bodies(files) == set().union(*(bodies(v) for v in alone.values()))
    refused_one = massc(small_alexnet(), "--target=cuda:sm_80", "--use-kernels=variants", *options, "-o", "none.bin", status=1)
    assert "sm_90a.cu: no kernel" in refused_one.err
    massc_cuda(small_alexnet(), three, "--use-kernels=variants", *options, "-o", "back.bin")
    return f"{len(shared)} shared, {len(variants)} variants; kernels of each {kernels}"


def checked(*args, **more):
    j = json.loads(massc("check", "--json", *args, small_alexnet(), **more).out)
    if "registers" not in j["kernel_list"][0]:
        missing("cuda", "NVRTC is not installed")
    return j


@case("massc check lists the kernels of a CUDA target, of each architecture")
def _():
    j = checked("--target=cuda", "--dim", "batch=64")
    assert j["target"] == "cuda:sm_90a" and [v["target"] for v in j["versions"]] == ["cuda:sm_80"], j
    files = emit("cuda", "all", "--target=cuda:sm_80", "--dim", "batch=64")
    old = j["versions"][0]
    assert sorted(k["name"] for k in old["kernel_list"]) == sorted(f.removesuffix(".cu") for f in files)
    for v in (j, old):
        for k in v["kernel_list"]:
            assert k["registers"] in range(8, 256) and k["spill_bytes"] == 0 and k["stack_bytes"] == 0 and 0 < k["occupancy"] <= 1 and k["shared_bytes"] <= 227 << 10, k
            floor = max(k["operations"] / (v["gops_per_core"] * v["cores"]), k["bytes_moved"] / v["gbytes_per_s"]) / 1e3
            assert abs(k["predicted_us"] / floor - 1) < 1e-3, k        # no kernel of float32 is on matrix units; each of these is used once
        assert abs(sum(k["predicted_us"] for k in v["kernel_list"]) / 1e3 / v["predicted_ms"] - 1) < 0.05, v
    text = massc("check", "--target=cuda:sm_90a", small_alexnet()).out
    assert all(w in text for w in ("132 cores of cuda:sm_90a", "registers spills stack occupancy", "window.features.12.MaxPool")) and "for cuda:" not in text, text


@case("massc check of an edited kernel: its registers, shared memory and stack, the occupancy that follows")
def _():
    files = emit("cuda", "all", "--target=cuda:sm_90a")
    f = pool(files)
    find = lambda j: next(k for k in j["kernel_list"] if k["name"] + ".cu" == f)
    was = find(checked("--target=cuda:sm_90a"))
    assert (was["threads"], was["shared_bytes"], was["stack_bytes"], was["occupancy"]) == (256, 0, 0, 1), was
    more = "__shared__ float more[10000]; more[lane] = acc; __syncthreads(); volatile float waste[100]; for (int i = 0; i < 100; i++) waste[i] = acc; y0_1[0] = more[batch] + waste[batch];"
    folder_of("edited", {f: files[f].replace("= acc;", "= acc; " + more)})
    now = find(checked("--target=cuda:sm_90a", "--use-kernels=edited"))
    assert now["shared_bytes"] == 40000 and now["stack_bytes"] >= 400, now
    assert now["occupancy"] == 5 * 8 / 64, now          # 228 KiB hold five blocks of 40000 bytes and 1 KiB; each has 8 warps of 64


@case("massc check for OpenCL: local memory and time; without NVRTC: what is known all the same")
def _():
    j = json.loads(massc("check", "--json", "--target=opencl", small_alexnet()).out)
    files = emit("opencl", "all")
    for k in j["kernel_list"]:
        text = files[k["name"] + ".cl"]
        local = re.search(r"__local[^;]* scratch\[(\d+)\]", text)
        x, y = re.search(r"reqd_work_group_size\((\d+), (\d+), 1\)", text).groups()
        assert k["local_bytes"] == int(local[1] if local else 0) and k["threads"] == int(x) * int(y) and k["predicted_us"] > 0 and "registers" not in k, k
    assert len(j["kernel_list"]) == len(files)
    done = massc("check", "--target=cuda", "--nvrtc=./nothing.so", small_alexnet())
    assert "warning M0405" in done.err and "nothing.so" in done.err and " ? " in done.out, str(done)
    j = json.loads(massc("check", "--json", "--target=cuda:sm_80", "--nvrtc=./nothing.so", small_alexnet()).out)
    assert j["supported"] and j["kernel_list"] and all("registers" not in k and k["predicted_us"] > 0 for k in j["kernel_list"])


main()
