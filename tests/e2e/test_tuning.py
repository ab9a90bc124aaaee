"""Descriptions of processors and tuning files: what they say decides kernels and not results, and what is wrong in them is told."""
from e2e import *


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
    wide = mkmodel("resnet50", "wide.onnx", "width=16", "size=64", "classes=20")
    assert any("winograd" in r for r in records(wide, "--target=cpu:x86-64-v3"))
    assert not any("winograd" in r for r in records(wide, "--target=cpu:x86-64-v3", "--machine", write("memory.yaml", "weights_bytes_per_cycle: 0.1\n")))    # transformed weights are larger
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


main()
