"""Named targets: each level of x86-64 computes the same, and a program refuses a processor that lacks what it needs before any model code."""
from e2e import *

FLAGS = {2: {"sse4_2", "ssse3", "popcnt", "cx16"}, 3: {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"}, 4: {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}}


def here():
    """The level of this machine's processor."""
    have = set(next((line.split(":")[1].split() for line in open("/proc/cpuinfo") if line.startswith("flags")), []))
    level = 1
    while level < 4 and FLAGS[level + 1] <= have:
        level += 1
    return level


def reference(model, n):
    """-O0, on the level that everything has."""
    if not os.path.exists(model + ".npy"):
        massc("-O0", "--target", "cpu:x86-64-v2", model, "-o", "ref.bin")
        run("./ref.bin", "--input", f"input[3,3,{n},{n}]=random:5", "--output", model + ".npy")
    return model + ".npy"


def level(v):
    def check():
        if here() < v:
            raise Skip(f"this processor is x86-64-v{here()}")
        told = []
        for make, n in ((small_alexnet, 224), (small_resnet, 64)):
            model = make()
            want = reference(model, n)
            for o in ("-O0", "-O2"):
                massc(o, f"--target=cpu:x86-64-v{v}", model, "-o", "m.bin")
                run("./m.bin", "--input", f"input[3,3,{n},{n}]=random:5", "--output", "m.npy")
                told.append(same("m.npy", want, 2e-5))
        return f"differs by at most {max(told):.1e}"
    cases.append((f"cpu:x86-64-v{v}", check))


for v in (2, 3, 4):
    level(v)


@case("a processor by name, and the default")
def by_name():
    small_alexnet()
    reference("alexnet.onnx", 224)
    for args in (["--target", "cpu:haswell"], ["--target", "cpu:znver4"], ["--target", "cpu"], []):
        massc(*args, "alexnet.onnx", "-o", "m.bin")
        if args[-1:] == ["cpu:znver4"] and here() < 4 or args[-1:] == ["cpu:haswell"] and here() < 3:
            continue
        run("./m.bin", "--input", "input[3,3,224,224]=random:5", "--output", "m.npy")
        same("m.npy", "alexnet.onnx.npy", 2e-5)


@case("an unknown target")
def unknown():
    small_alexnet()
    for name in ("cpu:pentium", "gpu", "cpu:", "cuda:sm_12", "cpu:x86-64-v9"):
        d = massc("--target", name, "alexnet.onnx", "-o", "no.bin", status=1)
        assert "M0401" in d.err and name in d.err and "cpu:x86-64-v3" in d.err, d
        assert not os.path.exists("no.bin")


def qemu(cpu, *args, **more):
    return run(tool("qemu-x86_64", "qemu-user"), "-cpu", cpu, *args, **more)


@case("a Nehalem runs cpu:x86-64-v2")
def old_runs():
    tool("qemu-x86_64", "qemu-user")
    model = mkmodel("resnet50", "tiny.onnx", "width=4", "size=32", "classes=5")
    massc("--target", "cpu:x86-64-v2", model, "-o", "v2.bin")
    run("./v2.bin", "--input", "input[1,3,32,32]=random:5", "--output", "v2.npy")
    qemu("Nehalem", "./v2.bin", "--threads", "1", "--input", "input[1,3,32,32]=random:5", "--output", "emulated.npy")
    assert read_npy("emulated.npy") == read_npy("v2.npy")


@case("a Nehalem refuses cpu:x86-64-v3 and -v4: status 69, names what is missing")
def old_refuses():
    tool("qemu-x86_64", "qemu-user")
    small_alexnet()
    for target, missing in (("cpu:x86-64-v4", ("avx512f", "avx2")), ("cpu:x86-64-v3", ("avx2", "fma")), ("cpu:znver4", ("avx512f",))):
        massc("--target", target, "alexnet.onnx", "-o", "new.bin")
        d = qemu("Nehalem", "./new.bin", "--input", "input[1,3,224,224]=random:5", "--output", "no.npy", status=69)
        for m in missing:
            assert m in d.err.lower(), d
        assert not os.path.exists("no.npy")
        qemu("Nehalem", "./new.bin", "--info")          # asking is allowed anywhere
        qemu("Nehalem", "./new.bin", "--help")


@case("a Haswell runs cpu:x86-64-v3 and refuses -v4")
def haswell():
    tool("qemu-x86_64", "qemu-user")
    help = run("qemu-x86_64", "-cpu", "help", status=None).out
    if "Haswell" not in help:
        raise Skip("this qemu knows no Haswell")
    model = mkmodel("resnet50", "tiny.onnx", "width=4", "size=32", "classes=5")
    massc("--target", "cpu:x86-64-v4", model, "-o", "v4.bin")
    d = qemu("Haswell", "./v4.bin", status=69)
    assert "avx512f" in d.err.lower() and "avx2" not in d.err.lower().replace("avx512", ""), d
    if here() < 3:
        raise Skip(f"this processor is x86-64-v{here()}")
    massc("--target", "cpu:x86-64-v3", model, "-o", "v3.bin")
    run("./v3.bin", "--input", "input[1,3,32,32]=random:5", "--output", "v3.npy")
    d = qemu("Haswell", "./v3.bin", "--threads", "1", "--input", "input[1,3,32,32]=random:5", "--output", "emulated.npy", status=None)
    if d.status == 69:
        raise Skip("this qemu has no AVX2: " + d.err.strip())
    assert d.status == 0, d
    same("emulated.npy", "v3.npy", 1e-6)


@case("several versions in one executable: each processor gets the highest that it has")
def versions():
    tool("qemu-x86_64", "qemu-user")
    model = mkmodel("resnet50", "tiny.onnx", "width=4", "size=32", "classes=5")
    massc("--target", "cpu:x86-64-v3,cpu:x86-64-v2,x86-64-v4", model, "-o", "all.bin")
    assert "cpu:x86-64-v4, cpu:x86-64-v3, cpu:x86-64-v2" in run("./all.bin", "--info").out
    args = ["--threads", "1", "--input", "input[1,3,32,32]=random:5", "--output"]
    for level in (2, 3, 4)[: here() - 1]:
        massc("--target", f"cpu:x86-64-v{level}", model, "-o", f"v{level}.bin")
        run(f"./v{level}.bin", *args, f"v{level}.npy")
    run("./all.bin", *args, "all.npy")
    assert read_npy("all.npy") == read_npy(f"v{here()}.npy")      # the same code, so the same bits
    qemu("Nehalem", "./all.bin", *args, "old.npy")
    assert read_npy("old.npy") == read_npy("v2.npy")
    if here() >= 3 and qemu("Haswell", "./v3.bin", *args, "has.npy", status=None).status == 0:      # else this qemu has no AVX2
        qemu("Haswell", "./all.bin", *args, "has.npy")
        assert read_npy("has.npy") == read_npy("v3.npy")
    massc("--target", "cpu:x86-64-v4,cpu:x86-64-v3", model, "-o", "new.bin")
    d = qemu("Nehalem", "./new.bin", *args, "no.npy", status=69)      # what the least of its versions needs
    assert "avx2" in d.err and "cpu:x86-64-v3 needs" in d.err and "--target=cpu:x86-64-v2" in d.err and not os.path.exists("no.npy"), d
    d = qemu("core2duo", "./all.bin", *args, "no.npy", status=69)
    assert "sse4.2" in d.err and "--target" not in d.err and not os.path.exists("no.npy"), d      # no program of ours would run there


@case("one version a level: two processors of one level are refused")
def same_level():
    model = mkmodel("resnet50", "tiny.onnx", "width=4", "size=32", "classes=5")
    d = run(os.environ["MASSC"], "--target=cpu:znver4,cpu:znver5", model, "-o", "no.bin", status=1)
    assert "M0401" in d.err and not os.path.exists("no.bin"), d


main()
