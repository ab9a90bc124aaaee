"""Descriptions of processors and tuning files: what they say decides kernels and not results, and what is wrong in them is told."""
from e2e import *
import json


SSE = "--target=cpu:x86-64-v2"                      # every machine measures it, and Winograd's transform pays for narrow layers too


def write(name, text):
    with open(name, "w") as f:
        f.write(text)
    return name


def records(model, *args):
    """What the kernels' records say."""
    return [line.strip() for line in massc(model, *args, "--stop-after", "schedule", "-o", "-").out.splitlines() if line.startswith("  sched ")]


@case("--machine: lanes, registers and cores decide records; results stay, and the flag is told")
def machine():
    m = small_resnet()
    before = records(m, "--target=cpu:x86-64-v3")
    assert any("fma.v8" in r for r in before)
    assert records(m, "--target=cpu:x86-64-v3", "--machine", write("same.yaml", "level: 3\ncores: 8\nvector_lanes: 8\n")) == before
    lanes = records(m, "--target=cpu:x86-64-v3", "--machine", write("lanes.yaml", "vector_lanes: 4\n"))
    assert any("fma.v4" in r for r in lanes) and not any("v8" in r for r in lanes), lanes
    assert records(m, "--target=cpu:x86-64-v3", "--machine", write("cores.yaml", "cores: 1\n")) != before
    assert any("winograd" in r for r in records(wide(), "--target=cpu:x86-64-v3"))
    assert not any("winograd" in r for r in records(wide(), "--target=cpu:x86-64-v3", "--machine", write("memory.yaml", "weights_bytes_per_cycle: 0.1\n")))    # transformed weights are larger
    run(MASSC, m, "--target=cpu:x86-64-v2", "-o", "plain.bin")
    run("./plain.bin", "--input", "input=random", "--output", "plain.npy")
    for text in ("vector_lanes: 4\n", "fma: false\n", "cores: 1\nl2_bytes: 32768\naccumulators: 1\n"):
        massc(m, "--target=cpu:x86-64-v2", "--machine", write("other.yaml", text), "-o", "other.bin")
        assert "--machine" in run("./other.bin", "--info").out
        run("./other.bin", "--input", "input=random", "--output", "other.npy")
        same("other.npy", "plain.npy", 2e-5)
    massc("-MD", "-MF", "m.dep", m, "--machine", "other.yaml", "-o", "dep.bin")
    assert open("m.dep").read() == f"dep.bin: {m} other.yaml\n"


@case("--machine: of several targets the level that the file names")
def machine_of_a_level():
    m = small_resnet()
    one = write("one.yaml", "level: 3\ncores: 1\n")
    assert records(m, "--target=cpu:x86-64-v3,x86-64-v2", "--machine", one) == records(m, "--target=cpu:x86-64-v3", "--machine", one)
    assert records(m, "--target=cpu:x86-64-v4,x86-64-v3", "--machine", one) == records(m, "--target=cpu:x86-64-v4")
    assert "another level" in massc(m, "--target=cpu:x86-64-v2", "--machine", one, "-o", "no.bin", status=1).err
    assert "is none" in massc(m, "--target=opencl", "--machine", one, "-o", "no.bin", status=1).err


@case("--profile tells what the description lets expect: by clock, units, memory and threads")
def predictions():
    m = small_resnet()

    def predicted(text, threads=1):
        massc(m, SSE, "--machine", write("p.yaml", text), "-o", "p.bin")
        table = run("./p.bin", "--profile", "/dev/null", "--threads", threads).out
        assert "predicted" in table.splitlines()[1], table
        return json.loads(run("./p.bin", "--profile", "/dev/null", "--json", "--threads", threads).out)["launches"]

    quick = "memory_gbytes_per_s: 100000\nl3_bytes_per_cycle: 10000\ncores: 8\n"
    slow = predicted(quick + "clock_ghz: 1\nfma_ports: 1\n")
    for more, threads, times in (("clock_ghz: 2\nfma_ports: 1\n", 1, 2), ("clock_ghz: 1\nfma_ports: 4\n", 1, 4), ("clock_ghz: 1\nfma_ports: 1\n", 2, 2)):
        for x, y in ((x, y) for x, y in zip(slow, predicted(quick + more, threads), strict=True) if x["products"]):
            assert x["kernel"] == y["kernel"] and abs(x["predicted_us"] / times - y["predicted_us"]) <= 0.002 + 0.005 * y["predicted_us"], (x, y, times)     # whole ns, rates in 1024ths
    for x in (x for x in slow if x["products"]):                                  # 4 lanes, products and sums apart: 2 multiplications a ns
        assert x["products"] / 2 <= x["predicted_us"] * 1e3 + 1 <= 20 * x["products"], x
    weights = predicted("memory_gbytes_per_s: 0.1\ncores: 8\n")
    one = next(x for x in weights if x["kernel"].startswith("dot"))
    assert abs(one["predicted_us"] - 4 * (256 * 20 + 20) / 0.1 * 1e-3) < 0.01 * one["predicted_us"], one     # 256 channels, 20 classes


@case("--machine: mistakes, with file and line")
def machine_mistakes():
    m = small_resnet()
    for text, *words in (("corse: 4\n", ":1:", "corse", "cores"), ("level: 3\ncores: many\n", ":2:", "many", "integer"), ("cores: 0\n", "from 1 to 1024"), ("cores: 2.5\n", "integer"), ("cores: [1]\n", "a list"), ("l2_bytes: 1e30\n", "l2_bytes"),
                         ("clock_ghz: nan\n", "nan"), ("fma: maybe\n", "true or false"), ("vector_lanes: 16\n", "level 4"), ("vector_lanes: 5\n", "level 3"), ("vector_registers: 32\n", "16 vector registers"), ("tune_cpu: a,b\n", "LLVM"),
                         ("level: 5\n", "from 2 to 4"), ("", "empty"), ("- 4\n", "a mapping"), ("cores: 1\ncores: 2\n", ":2:", "twice"), ("a: [\n", ":2:"), ("cores: 4 \x01\n", "bad.yaml")):
        err = massc(m, "--target=cpu:x86-64-v3", "--machine", write("bad.yaml", text), "-o", "no.bin", status=1).err
        assert all(w in err for w in ("M0407", "bad.yaml", *words)), (text, err)
    assert "M0001" in massc(m, "--machine", "absent.yaml", "-o", "no.bin", status=74).err and not os.path.exists("no.bin")
    massc(m, "--machine", ".", "-o", "no.bin", status=74)


def rows_of(name):
    """Kernels and their records, of a tuning file that massc wrote."""
    lines = open(name).read().splitlines()
    kernels = [line[len("- kernel: "):].strip('"') for line in lines if line.startswith("- kernel: ")]
    scheds = [line[len("  sched: "):].strip('"') for line in lines if line.startswith("  sched: ")]
    assert lines[1] == "massc_tune: 1" and len(kernels) == len(scheds) > 0 and len(set(kernels)) == len(kernels), lines
    return list(zip(kernels, scheds))


def file_of(*rows):
    return "massc_tune: 1\nkernels:\n" + "".join(f'- kernel: "{k}"\n  sched: "{s}"\n' for k, s in rows)


def wide():
    return "wide.onnx" if os.path.exists("wide.onnx") else mkmodel("resnet50", "wide.onnx", "width=16", "size=64", "classes=20")


@case("massc tune: a file that gives kernels the records that it says, and the same results")
def tune():
    m = wide()
    done = massc("tune", m, SSE, "--threads", "1", "-o", "tune.yaml", timeout=280)
    assert "programs" in done.err and "tune.yaml" in done.err and not done.out, done
    rows = rows_of("tune.yaml")
    assert any("f32[16,16,3,3]" in k for k, s in rows) and all(k.startswith("x86-64-v2 ") for k, s in rows), rows
    used = records(m, SSE, "--tune", "tune.yaml")
    assert all(s in used for k, s in rows), [s for k, s in rows if s not in used]
    done = massc(m, SSE, "--tune", "tune.yaml", "-MD", "-MF", "t.dep", "-o", "tuned.bin")
    assert not done.err and open("t.dep").read() == f"tuned.bin: {m} tune.yaml\n" and "--tune" in run("./tuned.bin", "--info").out, done
    massc(m, SSE, "-o", "own.bin")
    for program in ("own", "tuned"):
        run(f"./{program}.bin", "--input", "input=random", "--output", program + ".npy")
    same("tuned.npy", "own.npy", 2e-5)
    massc(m, SSE, "--tune", "tune.yaml", "-o", "again.bin")
    assert open("again.bin", "rb").read() == open("tuned.bin", "rb").read()


@case("--tune: another record than massc's own is taken; rows without use are told, with -q they are not")
def honoured():
    m, own = wide(), records(wide(), SSE)
    kernel = next(k for k, s in rows_of("tune.yaml") if "f32[16,16,3,3]" in k)
    transformed, = {r for r in own if "winograd" in r and "for c/16" in r}
    direct = next(r for r, o in zip(records(m, SSE, "--no-winograd"), own) if o == transformed)
    assert direct.startswith("sched contract")
    told = massc(m, SSE, "--tune", write("one.yaml", file_of((kernel, direct.replace(", ", ",   ")))), "-o", "one.bin")
    assert not told.err and records(m, SSE, "--tune", "one.yaml") == [direct if r == transformed else r for r in own]
    run("./one.bin", "--input", "input=random", "--expect", "own.npy", "--rtol", "0", "--atol", "1e-4")
    for row, more, *words in (((kernel, direct.replace("tile = fma.v4", "tile = fma.v8")), [], "no such record", kernel), ((kernel, transformed), ["--no-winograd"], "--no-winograd", "one.yaml:3"),
                              ((kernel.replace("v2 conv", "v2 corn"), direct), [], "no kernel"), ((kernel, direct), ["--dim", "batch=2"], "no kernel")):
        args = [m, SSE, *more, "--tune", write("one.yaml", file_of(row)), "-o", "one.bin"]
        err = massc(*args).err
        assert "M0404" in err and "warning" in err and all(w in err for w in words), (err, words)
        assert not massc(*args, "-q").err and records(m, SSE, *more, "--tune", "one.yaml") == records(m, SSE, *more)
    err = massc(m, SSE, "--tune", write("one.yaml", file_of(*((kernel + str(i), direct) for i in range(3)))), "-o", "one.bin").err
    assert "2 further" in err and err.count("M0404") == 1, err
    other = (kernel.replace("v2", "v3"), direct)      # of another level
    assert not massc(m, SSE, "--tune", write("one.yaml", file_of((kernel, direct), other)), "-o", "one.bin").err
    assert "none of its rows is for cpu:x86-64-v2" in massc(m, SSE, "--tune", write("one.yaml", file_of(other)), "-o", "one.bin").err
    assert "none of its rows is for opencl" in massc(m, "--target=opencl", "--tune", "one.yaml", "-o", "one.bin").err


@case("--tune: mistakes in the file, with its line; options that do not go together")
def mistakes():
    m = small_resnet()
    row = '- {kernel: a, sched: "sched map {}"}\n'
    for text, *words in (("", "empty"), ("massc_tune: 2\nkernels: []\n", ":1:", "massc_tune: 1"), ("massc_tune: 1\n", "no list"), ("massc_tune: 1\nkernels: {}\n", ":2:", "no list"), ("massc_tune: 1\nkernals: []\n", ":2:", "kernals"), ("- 1\n", "no mapping"),
                         ("massc_tune: 1\nkernels:\n- {kernel: a}\n", ":3:", "missing"), ("massc_tune: 1\nkernels:\n- {kernel: a, sched: [b]}\n", "no text"), ("massc_tune: 1\nkernels:\n- {kernel: a, sched: b}\n", "no record"),
                         ("massc_tune: 1\nkernels:\n- {kernel: a, sched: 'sched map { loops = grid i/0 }'}\n", "no record"), ("massc_tune: 1\nkernels:\n" + 2 * row, ":4:", "line 3"), ("massc_tune: 1\nkernels:\n- {kernel: a, sched: b, ms: 1}\n", "ms"), ("a: b: c\n", "bad.yaml:1")):
        err = massc(m, "--tune", write("bad.yaml", text), "-o", "no.bin", status=1).err
        assert all(w in err for w in ("M0408", "bad.yaml", *words)), (text, err)
    massc(m, "--tune", write("empty.yaml", "massc_tune: 1\nkernels: []\n"), "-o", "ok.bin")
    assert "M0001" in massc(m, "--tune", "absent.yaml", "-o", "no.bin", status=74).err
    for args in (["-O0", "--tune", "empty.yaml", m], ["tune", m, "--tune", "empty.yaml"], ["tune", m, "-c"], ["tune", m, "--emit=ir"], ["tune", m, "--stop-after", "fuse"], ["--threads", "2", m], ["tune"]):
        massc(*args, "-o", "no.bin", status=2)
    massc("tune", m, "--threads", "0", "-o", "no.yaml", status=1)
    for target in ("opencl", "cpu:x86-64-v2,x86-64-v3"):
        assert "M0401" in massc("tune", m, "--target", target, "-o", "no.yaml", status=1).err
    massc("tune", m, SSE, "-o", "no/such/t.yaml", status=74)
    assert not os.path.exists("no.bin") and not os.path.exists("no.yaml")


main()
