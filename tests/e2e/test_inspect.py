"""Looking inside: --emit, dumps, --stop-after, --verify, --time-passes, depfiles, and what goes to which stream."""
from e2e import *
import re

with open(os.path.join(TESTS, "..", "passes", "passes.def")) as f:
    PASSES = re.findall(r"^PASS(?:_ONCE)?\((\w+)", f.read(), re.M)


def emit(kind, *args, model="alexnet.onnx"):
    small_alexnet()
    d = massc(f"--emit={kind}", *args, model, "-o", "-")
    assert not d.err, d
    return d.out


def reprinted(text):
    open("text.ir", "w").write(text)
    return run(MASSC_OPT, "--passes", "none", "--dir", ".", "text.ir").out


@case("--emit=ir parses back and prints the same")
def ir():
    text = emit("ir")
    assert text.startswith("dims batch") and 'loc "features.0/Conv"' in text and "= conv " in text and "= group " not in text
    assert reprinted(text) == text
    assert reprinted(massc("--emit=ir", small_resnet()).out).count("= conv ") == 53      # standard output is the default


@case("--emit=graph parses back at every level, and shows sub-graphs")
def graph():
    for level in ("-O0", "-O1", "-O2", "-O3"):
        for args in ([], ["--dim", "batch=2"], ["--dim", "batch=2..8%2"]):
            text = emit("graph", level, *args)
            assert " = group " in text and 'loc "' in text
            assert reprinted(text) == text, f"{level} {args}"
    assert "layer1.0" in emit("graph", model=small_resnet())


@case("--emit=graph is what the passes make of --emit=ir")
def same_passes():
    massc("--emit=ir", small_alexnet(), "-o", "a.ir")
    names = " ".join(PASSES[:PASSES.index("outline") + 1])
    assert run(MASSC_OPT, "--passes", names, "--dir", ".", "a.ir").out == emit("graph")


@case("--emit=kernels, llvm, asm: the same kernels in three languages")
def code():
    v4 = ["--target", "cpu:x86-64-v4"]
    kernels = set(re.findall(r"^kern @([\w.]+)", emit("kernels", *v4), re.M))
    assert kernels and any("conv" in k for k in kernels)
    missing = kernels - set(re.findall(r"^define [^@]*@([\w.]+)", emit("llvm", *v4), re.M))
    assert not missing, missing
    asm = emit("asm", *v4)
    missing = kernels - set(re.findall(r"^([\w.]+):", asm, re.M))
    assert not missing, missing
    assert "zmm" in asm
    asm = emit("asm", "--target", "cpu:x86-64-v3")
    assert "ymm" in asm and "zmm" not in asm
    assert "ymm" not in emit("asm", "--target", "cpu:x86-64-v2")
    massc("--emit=nonsense", "alexnet.onnx", status=1)


@case("--emit=.. -o FILE, -o DIR/")
def emit_to():
    text = emit("kernels")
    massc("--emit=kernels", "alexnet.onnx", "-o", "k.txt")
    assert open("k.txt").read() == text
    for kind, ending in (("kernels", "kern"), ("llvm", "ll"), ("asm", "s"), ("graph", "ir"), ("ir", "ir")):
        shutil.rmtree("out", ignore_errors=True)
        massc("--emit", kind, "alexnet.onnx", "-o", "out/")
        files = os.listdir("out")
        assert files and all(f.endswith("." + ending) for f in files), files
        if ending != "ir":
            assert {f.rsplit(".", 1)[0] for f in files} == set(re.findall(r"^kern @([\w.]+)", text, re.M))
        if kind == "kernels":
            assert sorted(re.findall(r"^kern .*", "".join(open("out/" + f).read() for f in files), re.M)) == sorted(re.findall(r"^kern .*", text, re.M))
    massc("--emit", "ir", "alexnet.onnx", "-o", "no/such/folder/", status=74)


@case("--dump-after one pass, all of them, into a folder")
def dumps():
    small_alexnet()
    d = massc("--dump-after", "simplify", "alexnet.onnx", "-o", "a.bin")
    assert d.err.startswith("; after simplify\n") and d.err.count("; after ") == 1 and not d.out, d
    assert reprinted(d.err.split("\n", 1)[1]) == d.err.split("\n", 1)[1]
    d = massc("--dump-after=all", "alexnet.onnx", "-o", "a.bin")
    shown = re.findall(r"^; after (\w+)", d.err, re.M)
    assert "layout" in shown and "recognise" not in shown, shown     # AlexNet holds no softmax
    assert shown == [p for p in PASSES if p in shown], shown
    os.makedirs("dumps", exist_ok=True)
    d = massc("--dump-after=all", "--dump-dir", "dumps", "alexnet.onnx", "-o", "a.bin")
    assert not d.err and sorted(f.split("-")[1] for f in os.listdir("dumps")) == sorted(p + ".ir" for p in shown), os.listdir("dumps")
    d = massc("--dump-after=fuse", "--dump-dir", "no/such", "alexnet.onnx", "-o", "no.bin", status=74)
    assert "M0002" in d.err and not os.path.exists("no.bin"), d
    d = massc("--dump-after=fusion", "alexnet.onnx", "-o", "no.bin", status=1)
    assert "M0003" in d.err and "fusion" in d.err and not os.path.exists("no.bin"), d


@case("--stop-after every pass, --verify with it")
def stop():
    small_alexnet()
    for p in PASSES:
        for level in ("-O0", "-O2"):
            text = massc(level, "--verify", "--stop-after", p, "alexnet.onnx", "-o", "-").out
            assert text, p
            if PASSES.index(p) < PASSES.index("schedule"):
                assert reprinted(text) == text, p
    assert re.search(r"^step 0: ", massc("--stop-after", "steps", "alexnet.onnx").out, re.M)
    massc("--stop-after", "import", "alexnet.onnx", status=1)


@case("--time-passes names each pass, --verify changes nothing")
def times():
    small_alexnet()
    d = massc("--time-passes", "--verify", "alexnet.onnx", "-o", "a.bin")
    assert re.findall(r"^ *\d+\.\d+ ms  (\w+)$", d.err, re.M) == ["import"] + PASSES, d
    massc("alexnet.onnx", "-o", "b.bin")
    assert open("a.bin", "rb").read() == open("b.bin", "rb").read()
    assert not massc("-q", "alexnet.onnx", "-o", "b.bin").err
    assert "ld" in massc("-v", "alexnet.onnx", "-o", "b.bin").err


@case("-MD, -MF, -MT")
def depfiles():
    small_alexnet()
    os.makedirs("a folder", exist_ok=True)
    shutil.copy("alexnet.onnx", "a folder/al$ex#.onnx")
    massc("-MD", "alexnet.onnx", "-o", "d.bin")
    assert open("d.d").read() == "d.bin: alexnet.onnx\n"
    open("p.yaml", "w").write('"*": cpu\n')
    massc("-MD", "-MF", "x.dep", "-MT", "it", "--place", "p.yaml", "a folder/al$ex#.onnx", "-o", "d.bin")
    assert open("x.dep").read() == "it: a\\ folder/al$$ex\\#.onnx p.yaml\n", open("x.dep").read()
    make = shutil.which("make")
    if make:                                            # as make understands it
        open("Makefile", "w").write("include x.dep\nit:\n\t@echo '$^'\n")
        assert run(make, "-s").out == "a folder/al$ex#.onnx p.yaml\n"
    massc("-MD", "-MF", "no/such/x.d", "alexnet.onnx", "-o", "d2.bin", status=74)


MAKEFILE = """all: net.bin
net.bin: net.onnx
\t$(MASSC) -MD -MF net.d -MT $@ $< -o $@
\t@echo built >> built
-include net.d
.PHONY: all
"""


@case("a six-line Makefile: rebuilds when only the external data changed, and not otherwise")
def makefile():
    make = tool("make", "make")
    os.makedirs("made", exist_ok=True)
    net = lambda seed, out: mkmodel("bert-base", out, "--external", "--seed", seed, "layers=1", "width=16", "heads=2", "vocab=50", "positions=16")
    net("1", "made/net.onnx")
    open("made/Makefile", "w").write(MAKEFILE)
    env = dict(os.environ, MASSC=MASSC)
    built = lambda: (run(make, cwd="made", env=env), open("made/built").read().count("built"))[1]
    show = lambda: run("./net.bin", "--input", "input_ids[1,4]=random", "--input", "attention_mask=1", "--input", "token_type_ids=0", cwd="made").out
    assert built() == 1 and built() == 1
    assert open("made/net.d").read() == "net.bin: net.onnx net.onnx.data\n"
    first = show()
    net("2", "other.onnx")                               # the same graph, other weights
    time.sleep(0.02)
    shutil.copyfile("other.onnx.data", "made/net.onnx.data")
    assert built() == 2 and built() == 2
    assert show() != first


@case("default names of outputs; --help, --version, --explain")
def names():
    os.makedirs("elsewhere", exist_ok=True)
    model = os.path.abspath(small_alexnet())
    for args, made in (([], {"alexnet.bin"}), (["-c"], {"alexnet.o", "alexnet.h"}), (["-shared"], {"alexnet.so", "alexnet.h"})):
        for f in os.listdir("elsewhere"):
            os.remove("elsewhere/" + f)
        massc(*args, model, cwd="elsewhere")
        assert set(os.listdir("elsewhere")) == made, os.listdir("elsewhere")
    help = massc("--help").out
    for word in ("-o", "--target", "--dim", "--emit", "--dump-after", "-MD", "massc check", "--explain"):
        assert word in help, word
    assert massc("--version").out.startswith("massc ")
    assert massc("--explain", "M0301").out.startswith("M0301: ")
    massc("--explain", "M9999", status=1)
    massc("-O1", "--dim", "batch=2", model, "-o", "i.bin")
    assert "-O1 --dim=batch=2" in run("./i.bin", "--info").out


main()
