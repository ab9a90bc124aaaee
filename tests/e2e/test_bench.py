#!/usr/bin/env python3
"""tools/bench.py on small networks: every engine that is installed is measured, results are compared, wrong ones are told by the status. The figures themselves are nobody's here."""
import importlib.util, json, math, os, sys
from e2e import *

BENCH = os.path.join(TESTS, "..", "tools", "bench.py")
SMALL = "resnet50:width=8:size=64:classes=10"
TEXT = "bert-base:layers=1:width=32:heads=2:vocab=1000:positions=64"


def bench(*args, status=0):
    """Its rows, and what it printed."""
    done = run(sys.executable, BENCH, "--massc", MASSC, "--mkmodel", MKMODEL, "--out", "bench", "--json", "bench.json", "--rounds", "1", "--seconds", "0.01", *args, status=status)
    with open("bench.json") as f:
        return json.load(f), done


@case("a row for each net and number of threads: massc beside ONNX Runtime, in a round, results compared at two batches")
def rows():
    j, done = bench(SMALL, "--threads", "2,1", "--peers", "onnxruntime")
    assert [(r["net"], r["threads"], r["batch"]) for r in j["rows"]] == [(SMALL, 2, 1), (SMALL, 1, 1)], j["rows"]
    for r in j["rows"]:
        assert set(r["ms"]) == {"massc", "onnxruntime"} and min(r["ms"].values()) > 0, r
        assert abs(r["times_massc"]["onnxruntime"] * r["ms"]["massc"] / r["ms"]["onnxruntime"] - 1) < 1e-6, r
        assert set(r["error"]) == {"1", "4"} and all(0 < e["massc"] < 2e-5 for e in r["error"].values()), r["error"]
    assert "2 threads" in done.out and "x as fast as 1;" in done.out, done.out
    assert "ONNX Runtime" in done.out and "OpenVINO" not in done.out, done.out


@case("OpenVINO, where it is installed, is measured beside ONNX Runtime and computes the same, images and sequences")
def openvino():
    if not importlib.util.find_spec("openvino"):
        raise Skip("OpenVINO is not installed (tools/bench installs it: tools/requirements-bench.txt)")
    j, done = bench(SMALL, TEXT, "--threads", "1", "--batch", "2", "--length", "7")
    assert len(j["rows"]) == 2
    for r in j["rows"]:
        assert r["ms"]["openvino"] > 0 and r["times_massc"]["openvino"] > 0, r
        assert set(r["error"]) == {"1", "2"} and all(e["openvino"] < 1e-4 and e["massc"] < 2e-5 for e in r["error"].values()), r["error"]


@case("a net's own batch and length, beside the others'; one compilation of what differs in nothing else")
def sizes():
    j, done = bench(TEXT + ":batch=3", TEXT + ":length=5", SMALL + ":batch=2", "--length", "9", "--threads", "1", "--peers", "onnxruntime")
    assert [(r["net"], r["batch"], r["length"]) for r in j["rows"]] == [(TEXT, 3, 9), (TEXT, 1, 5), (SMALL, 2, 0)], j["rows"]
    assert [sorted(r["error"]) for r in j["rows"]] == [["1", "3"], ["1", "4"], ["1", "2"]]
    assert j["rows"][0]["compile_s"] == j["rows"][1]["compile_s"] != j["rows"][2]["compile_s"], "compiled twice"
    assert f"{TEXT}, 9 tokens, batch 3, 1 thread" in done.out and f"{SMALL}, batch 2, 1 thread" in done.out, done.out
    for bad in ("batch=0", "batch=", "length=two", "batch=-1"):
        assert "numbers from 1 up" in run(sys.executable, BENCH, f"alexnet:{bad}", status=2).err


@case("without networks: the table, two of them at batch 8")
def table():
    told = run(sys.executable, BENCH, "--help").out
    for net in ("resnet152", "yolov3", "alexnet", "bert-base", "gpt2", "resnet50:batch=8", "bert-base:batch=8"):
        assert f" {net}" in told, told


@case("contractions beside the FMA peak, streams beside the read rate: from the trace, weighted by multiplications")
def machine():
    j, done = bench("alexnet:width=8:hidden=64:classes=20", "--threads", "1", "--peers", "onnxruntime")
    r, = j["rows"]
    layers = {l["nodes"]: l for l in r["contractions"]}
    conv = [l for n, l in layers.items() if "/Conv" in n]
    dense = [l for n, l in layers.items() if "/Gemm" in n]
    assert len(conv) == 5 and len(dense) == 3 and len(layers) == 8, layers.keys()
    assert sorted(l["products"] for l in dense)[:2] == [64 * 20, 64 * 64], dense                # classifier.6 and .4
    total = sum(l["products"] for l in conv)
    share = math.prod((2e-3 * l["products"] / l["us"] / r["peak_gops"]) ** (l["products"] / total) for l in conv)
    assert abs(r["fma_share"] / share - 1) < 1e-9, (r["fma_share"], share)
    rate = sum(l["bytes"] for l in dense) / sum(l["us"] for l in dense) * 1e-3 / r["read_gbytes_per_s"]
    assert abs(r["read_share"] / rate - 1) < 1e-9 and r["peak_gops"] > 0, (r["read_share"], rate)
    assert f"contractions {r['fma_share']:.2f} of" in done.out and f"streams {r['read_share']:.2f} of" in done.out, done.out


@case("an error above the bound: told, status 1")
def bound():
    done = bench(SMALL, "--threads", "1", "--peers", "onnxruntime", "--error-bound", "1e-12", status=1)[1]
    assert "massc's error" in done.err and "at most 1e-12" in done.err, done.err


@case("a peer that is not here: status 2, and which are")
def absent():
    err = run(sys.executable, BENCH, "--peers", "abacus", status=2).err
    assert "abacus" in err and "onnxruntime" in err, err


main()
