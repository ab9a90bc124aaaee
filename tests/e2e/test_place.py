"""--place: a network cut over two places computes what it did, and the printed graph shows the transfer."""
from e2e import *
import re

AFTER_FOURTH = '"features.[0-9]/*": cpu\n"*": cpu:1\n'      # features.0, .3, .6, .8 are the first four convolutions, .9 is the last one's rectifier
INPUT = ["--input", "input[2,3,224,224]=random:4"]


def reference():
    small_alexnet()
    if not os.path.exists("want.npy"):
        massc("-O0", "alexnet.onnx", "-o", "o0.bin")
        run("./o0.bin", *INPUT, "--output", "want.npy")


def graph(*args):
    return massc("--emit=graph", *args, "alexnet.onnx", "-o", "-").out


@case("AlexNet after its fourth layer: the graph holds one transfer, where the cut is")
def cut_graph():
    reference()
    open("cut.yaml", "w").write(AFTER_FOURTH)
    for level in ("-O0", "-O2"):
        text = graph(level, "--place", "cut.yaml")
        lines = [line for line in text.splitlines() if re.match(r"  %\d+ = ", line)]
        at = [i for i, line in enumerate(lines) if " = transfer " in line]
        assert len(at) == 1, f"{len(at)} transfers at {level}"
        before, after = lines[:at[0]], lines[at[0] + 1:]
        crossing = re.match(r"  (%\d+) = transfer (%\d+) ", lines[at[0]])
        assert "cpu:1" in lines[at[0]]
        groups = [line for line in before if " = group " in line]
        assert groups and all(re.search(r"\] ?(@\S+ (halo\S+ )?(pad\S+ )?)?cpu \(", line) for line in groups), "a group before the cut is not on cpu"
        assert all("cpu:1" in line for line in after if " = group " in line), "a group behind the cut is not on cpu:1"
        behind = "\n".join(after)
        assert crossing[1] + "," in behind.replace(" {", ",") or crossing[1] + " " in behind, "nobody reads the transferred value"
        assert not any(re.search(rf"{crossing[2]}\b", line) for line in after), "a value is read across places"
        assert '"features.8/Conv"' in text[:text.index("transfer")] and '"features.10/Conv"' not in text[:text.index("transfer")]
    assert " transfer " not in graph()


@case("it runs, and the result is the same")
def cut_runs():
    reference()
    open("cut.yaml", "w").write(AFTER_FOURTH)
    told = []
    for level in ("-O0", "-O2"):
        massc(level, "--place=cut.yaml", "alexnet.onnx", "-o", "cut.bin")
        run("./cut.bin", *INPUT, "--output", "cut.npy")
        told.append(same("cut.npy", "want.npy", 2e-5))
        massc(level, "alexnet.onnx", "-o", "whole.bin")
        run("./whole.bin", *INPUT, "--output", "whole.npy")
        assert read_npy("cut.npy") == read_npy("whole.npy"), f"{level}: not the same bits as without places"
    return f"differs from -O0 by at most {max(told):.1e}"


@case("many cuts and a residual network")
def many():
    reference()
    open("zig.yaml", "w").write('"features.[02468]/*": cpu:3\n"classifier.4/*": cpu:15\n')
    massc("--verify", "--place", "zig.yaml", "alexnet.onnx", "-o", "zig.bin")
    run("./zig.bin", *INPUT, "--output", "zig.npy")
    same("zig.npy", "want.npy", 2e-5)
    small_resnet()
    massc("-O0", "resnet.onnx", "-o", "r0.bin")
    x = ["--input", "input[2,3,64,64]=random:4"]
    run("./r0.bin", *x, "--output", "r0.npy")
    open("r.yaml", "w").write('"layer[13].*": cpu:1\n"*/Add": cpu:2\n')
    massc("--verify", "--place", "r.yaml", "resnet.onnx", "-o", "r.bin")
    run("./r.bin", *x, "--output", "r.npy")
    same("r.npy", "r0.npy", 2e-5)


@case("placement files that cannot be")
def wrong():
    reference()
    for text, code, words in (('"*": gpu:7\n', "M0403", ["gpu:7", "cpu:15"]), ('"nothing*": cpu:1\n"*": cpu\n', "M0403", ["nothing*"]), ("- cpu\n", "M0403", ["mapping"]), ('"a": {b: c}\n', "M0403", ["bad.yaml:1"]),
                              ("{", "M0403", ["bad.yaml:"]), ("cpu", "M0403", ["mapping"]), ("? [a]\n: cpu\n", "M0403", []), ('"*": &x cpu\n"b": *x\n', "M0403", []), ("\x00\xff", "M0403", [])):
        open("bad.yaml", "wb").write(text.encode("latin1"))
        d = massc("--place", "bad.yaml", "alexnet.onnx", "-o", "no.bin", status=1)
        assert code in d.err and all(w in d.err for w in words), d
        assert not os.path.exists("no.bin")
    d = massc("--place", "missing.yaml", "alexnet.onnx", "-o", "no.bin", status=74)
    assert "missing.yaml" in d.err, d


main()
