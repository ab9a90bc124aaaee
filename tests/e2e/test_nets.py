"""The model zoo against ONNX Runtime: float32, -O0 and -O2, batch 1 and 4 from one executable."""
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


for n in NETS:
    net(*n)
main()
