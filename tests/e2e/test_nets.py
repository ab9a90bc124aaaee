"""The model zoo against ONNX Runtime: float32, -O0 and -O2, several batches and lengths from one executable. With MASSC_FULL_TESTS: all of it at full size."""
from against_ort import *

NETS = [
    # name, options of mkmodel, levels, batches at the last level
    ("alexnet", [], "02", (1, 4)),
    ("resnet50", [], "02", (1, 4)),
    ("resnet152", ["width=16"], "02", (1, 4)),
    ("resnet152", [], "2", (1, 4)),
    ("resnet101", ["width=8", "size=160"], "02", (1, 3)),
    ("alexnet", ["width=8", "hidden=96"], "013", (1, 2, 5)),
]


def net(name, options, levels, batches):
    # -O0 is plain loops: at full size one batch is enough, and costs seconds
    def check():
        model = mkmodel(name, "m.onnx", *options)
        s = session(model)
        told = []
        for level in levels:
            massc(f"-O{level}", model, "-o", "m.bin")
            slow = level == "0" and not options
            for batch in (1, 2) if slow and name == "alexnet" else (1,) if slow else batches:
                told.append(f"-O{level} batch {batch} {compare('./m.bin', s, {'batch': batch}):.1e}")
            told.append(f"1 thread {compare('./m.bin', s, {'batch': 1}, seed=2, more=['--threads', '1']):.1e}" if level != "0" else "")
            os.remove("m.bin")
        os.remove(model)
        return ", ".join(t for t in told if t)
    cases.append((" ".join([name, *options]), check))


# name, options of mkmodel, (batch, length) of each run; pictures have no length
SIZED = [
    ("yolov3", ["width=8", "size=96", "classes=5"], ((1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (8, 0))),
    ("yolov3-tiny", ["width=8", "size=96", "classes=5"], ((1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (8, 0))),
    ("bert-base", ["layers=2", "width=96", "heads=3", "vocab=500"], ((1, 128), (1, 1), (2, 7), (3, 65), (5, 33), (2, 200))),
    ("bert-large", ["layers=1", "width=64", "heads=2", "vocab=300", "positions=64"], ((1, 64), (4, 3), (2, 17))),
    ("gpt2", ["layers=2", "width=96", "heads=3", "vocab=500"], ((1, 128), (1, 1), (2, 7), (3, 65), (5, 33), (2, 200))),
    ("gpt2-medium", ["layers=1", "width=64", "heads=2", "vocab=300", "positions=64"], ((1, 64), (4, 3), (2, 17))),
]
FULL = [("yolov3", [], ((1, 0), (3, 0))), ("yolov3-tiny", [], ((1, 0), (3, 0)))] + [(n, [], ((1, 128), (2, 33))) for n in ("bert-base", "bert-large", "gpt2", "gpt2-medium")]


def sized(name, options, sizes):
    def check():
        model = mkmodel(name, "m.onnx", *options)
        s = session(model)
        told = []
        for level in "02" if options else "2":
            massc(f"-O{level}", model, "-o", "m.bin")
            for batch, length in sizes[1:3] if level == "0" else sizes:
                told.append(f"-O{level} {batch}" + (f" x {length}" if length else "") + f" {compare('./m.bin', s, {'batch': batch, 'seq': length, 'vocab': 300}):.1e}")
        for f in ("m.bin", "m.onnx", "m.onnx.data"):
            if os.path.exists(f):
                os.remove(f)
        return ", ".join(told)
    cases.append((" ".join([name, *options]), check))


for n in NETS:
    net(*n)
for n in SIZED + (FULL if os.environ.get("MASSC_FULL_TESTS") else []):
    sized(*n)
main()
