"""Wrong options, files that cannot be written, inputs that do not fit: a message that says what is wrong, the promised status, nothing left behind."""
from e2e import *
import re


def refused(status, words, *args, **more):
    """massc with these arguments; one line of explanation holds all the words."""
    before = set(os.listdir("."))
    d = massc(*args, status=status, timeout=60, **more)
    assert any(all(w in line for w in words) for line in d.err.splitlines()), f"{words} expected: {d}"
    assert not d.out, d
    assert set(os.listdir(".")) == before, f"left behind: {set(os.listdir('.')) - before}"
    return d


@case("usage: status 2")
def usage():
    m = small_alexnet()
    for args, word in (([], "no model"), (["--nonsense", m], "--nonsense"), (["-x", m], "-x"), ([m, "another.onnx"], "another.onnx"), ([m, "-o"], "-o"), (["--target"], "--target"), (["-c=3", m], "-c=3"), (["--verify=1", m], "--verify"),
                       (["--emit=ir", "-c", m], "--emit"), (["-O9", m], "-O9"), (["-j"], "-j"), (["--json", m], "--json"), (["check", "--emit=ir", m], "--emit")):
        refused(2, [word], *args)


@case("values that cannot be: status 1, M0003, the option and the value")
def values():
    m = small_alexnet()
    for args in (["--dim", "batch"], ["--dim", "batch="], ["--dim", "batch=x"], ["--dim", "batch=-1"], ["--dim", "batch=5..2"], ["--dim", "batch=1..9%0"], ["--dim", "batch=99999999999999999999"], ["--dim", "=4"], ["--dim", "batch=1", "--dim=batch=2"], ["--shape", "input=1,3,224,224", "--shape=input=2,3,224,224"], ["--dim", "batch=4 "],
                 ["--shape", "input"], ["--shape", "input=1,x"], ["--shape", "input=1;2"], ["--shape", "input=" + "1," * 20], ["--emit", "pictures"], ["--dump-after", "lunch"], ["--stop-after", "lunch"], ["--name", "a-b"], ["--name", ""],
                 ["-j", "0"], ["-j", "65"], ["-j", "two"], ["-j0"]):
        option = "-j" if args[0].startswith("-j") else args[0]
        refused(1, ["M0003", option], *args, m, "-o", "no.bin")


@case("values that do not fit the model: status 1")
def misfits():
    m = small_alexnet()
    refused(1, ["nobody", "batch"], "--dim", "nobody=3", m, "-o", "no.bin")
    refused(1, ["nobody", "input"], "--shape", "nobody=1,2", m, "-o", "no.bin")
    refused(1, ["input", "M0"], "--shape", "input=1,3,224", m, "-o", "no.bin")
    refused(1, ["input", "M0"], "--shape", "input=1,4,224,224", m, "-o", "no.bin")
    massc("--shape", "input=2,3,224,224", m, "-o", "two.bin")
    assert "f32[2,3,224,224]" in run("./two.bin", "--info").out
    os.remove("two.bin")


@case("an output that would replace the model or its data: status 1, they stay")
def over_input():
    m = mkmodel("gpt2", "own.onnx", "--external", "layers=1", "width=32", "heads=2", "vocab=100", "positions=16")
    os.makedirs("sub", exist_ok=True)
    for name in ("sub/same.bin", "sub/also.h"):
        if not os.path.exists(name):
            os.symlink("../own.onnx", name)
    before = [open(f, "rb").read() for f in ("own.onnx", "own.onnx.data")]
    for args in (["-o", m], ["-o", "./own.onnx.data"], ["--emit=ir", "-o", m], ["-o", "sub/same.bin"], ["-c", "-o", "own.o", "--header", "sub/also.h"], ["check", "-o", m]):
        refused(1, ["M0003", "is the input"], *args, m)
    assert [open(f, "rb").read() for f in ("own.onnx", "own.onnx.data")] == before


@case("output that cannot be written: status 74, nothing left, an old file stays")
def unwritable():
    m = small_alexnet()
    os.makedirs("taken.bin/x", exist_ok=True)
    for out in ("no/such/folder/a.bin", "taken.bin", "/dev/null/a.bin", "/proc/a.bin"):
        for kind in ([], ["-c"], ["-shared"], ["--emit=graph"]):
            refused(74, ["M0002", out], *kind, m, "-o", out)
    assert os.path.isdir("taken.bin/x")
    if os.geteuid() == 0:                               # root may write anywhere but on read-only file systems
        if not tmpfs("locked", "ro,size=1m"):
            return "no read-only file system here"
        try:
            refused(74, ["M0002", "locked/a.bin"], m, "-o", "locked/a.bin")
        finally:
            run("umount", "locked")


def tmpfs(where, options):
    os.makedirs(where, exist_ok=True)
    return os.geteuid() == 0 and shutil.which("mount") and subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", where], capture_output=True).returncode == 0


@case("a full disk: status 74, nothing left, an old file stays")
def full():
    m = small_alexnet()
    size = lambda out, *kind: (massc(*kind, m, "-o", out), os.path.getsize(out))[1]
    whole = size("a.bin")
    for kb in (4, 64, 200, whole // 1024 - 8, whole // 1024 + 60):     # full at the objects, in the linker, in the weights, at the linker's copy
        if not tmpfs("full", f"size={kb}k"):
            raise Skip("mounting a small tmpfs needs root and a sandbox that allows it")
        try:
            for kind in ([], ["-c"], ["-shared"], ["--emit=llvm"]):
                d = massc(*kind, m, "-o", "full/a.bin", status=None)
                if d.status == 0:
                    assert kb > 200, d
                    os.remove("full/a.bin")
                    if kind[:1] in (["-c"], ["-shared"]):
                        os.remove("full/a.h")
                    continue
                assert d.status == 74 and "M0002" in d.err and "full/a.bin" in d.err and "No space left" in d.err, d
                assert os.listdir("full") == [], os.listdir("full")
            open("full/a.bin", "w").write("old")
            d = massc(m, "-o", "full/a.bin", status=None)
            assert os.listdir("full") == ["a.bin"] and (d.status == 0 or open("full/a.bin").read() == "old"), d
        finally:
            run("umount", "full")


@case("standard output that is full or closed: status 74")
def stdout():
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    m = small_alexnet()
    for args in (["--emit=ir", m, "-o", "-"], ["--help"], ["check", m]):
        with open("/dev/full", "w") as f:
            p = subprocess.run([MASSC, *args], stdout=f, stderr=subprocess.PIPE)
        assert p.returncode == 74, (args, p)


@case("files read beside the model that are not there: status 74")
def beside():
    m = small_alexnet()
    refused(74, ["places.yaml"], "--place", "places.yaml", m, "-o", "no.bin")


@case("no linker: the diagnostic names both packages; text needs none")
def no_linker():
    m = small_alexnet()
    os.makedirs("nothing", exist_ok=True)
    env = {"PATH": os.path.abspath("nothing")}
    for kind in ([], ["-c"], ["-shared"]):
        refused(1, ["M0402", "binutils", "libc6-dev"], *kind, m, "-o", "no.bin", env=env)
    assert massc("--emit=graph", m, env=env).out


@case("ended half way: no file stands under the output's name")
def interrupted():
    model = mkmodel("alexnet", "big.onnx", "width=32", "hidden=1024")
    for wait in (0.05, 0.2, 0.5, 1.0):
        p = subprocess.Popen([MASSC, model, "-o", "big.bin"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        p.kill()
        p.wait()
        if p.returncode == 0:
            break
        assert not os.path.exists("big.bin"), f"half an executable after {wait} s"


@case("an executable's inputs: wrong type, shape, rank, format, number")
def inputs():
    m = small_resnet()
    massc(m, "-o", "r.bin")
    write_npy("ok.npy", (1, 3, 64, 64), [0.5] * (3 * 64 * 64))
    write_npy("rank.npy", (3, 64, 64), [0.5] * (3 * 64 * 64))
    write_npy("size.npy", (1, 3, 64, 65), [0.5] * (3 * 64 * 65))
    write_npy("short.npy", (1, 3, 64, 64), [0.5] * 100)
    whole = open("ok.npy", "rb").read()
    wide = whole.replace(b"'<f4'", b"'<f8'") + bytes(4 * 3 * 64 * 64)
    for name, data in (("empty.npy", b""), ("noise.npy", os.urandom(300)), ("head.npy", whole[:40]), ("f64.npy", wide)):
        open(name, "wb").write(data)
    run("./r.bin", "--input", "ok.npy", "--output", "y.npy")
    os.remove("y.npy")
    for args, status, words in ((["--input", "rank.npy"], 1, ["input", "rank is 3", "4"]), (["--input", "size.npy"], 1, ["input", "65"]), (["--input", "f64.npy"], 1, ["input"]), (["--input", "empty.npy"], (1, 74), ["empty.npy"]),
                                (["--input", "noise.npy"], (1, 74), ["noise.npy"]), (["--input", "head.npy"], (1, 74), ["head.npy"]), (["--input", "short.npy"], (1, 74), ["short.npy"]),
                                (["--input", "missing.npy"], 74, ["missing.npy"]), ([], 2, ["input", "not given"]), (["--input", "ok.npy", "--input", "ok.npy"], (1, 2), ["input"]), (["--input", "nobody=ok.npy"], (1, 2, 74), ["nobody"]),
                                (["--input", "ok.jpg"], 2, ["ok.jpg"]), (["--nonsense"], 2, ["--nonsense"]), (["--input"], 2, ["--input"]), (["--threads", "0", "--input", "ok.npy"], 2, ["--threads"]),
                                (["--input", "ok.npy", "--output", "no/such/y.npy"], 74, ["no/such/y.npy"]), (["--input", "input[0,3,64,64]=random"], 1, ["input", "0"]),
                                (["--input", "ok.npy", "--expect", "rank.npy"], 1, ["rank.npy"])):
        d = run("./r.bin", *args, status=None)
        assert d.status in (status if isinstance(status, tuple) else (status,)), f"{status} expected: {d}"
        text = d.err + d.out if "--expect" in args else d.err
        assert all(w in text for w in words), f"{words} expected: {d}"
        assert not os.path.exists("y.npy")


main()
