"""CUDA kernels of real networks: NVRTC compiles each, for sm_80 and sm_90a, and what it tells of registers has no spill and no local memory.

The networks have their full shapes, so that tiles are those that are used; layers whose kernels are the first's are left out. One image or sequence and several: schedules differ."""
import json
from e2e import *

NETS = {"alexnet": [], "resnet152": [], "yolov3": [], "bert-base": ["layers=1", "vocab=1000"], "gpt2": ["layers=1"]}
BATCHES = {"float32": (1,), "fp16": (1, 16), "tf32": (1, 16)}        # bf16 has fp16's tiles


def kernels(net, precision, batch):
    """Kernels of both architectures, as pairs of the architecture and its record."""
    sizes = ["--dim", f"batch={batch}"] + (["--dim", "seq=128"] if net in ("bert-base", "gpt2") else [])
    j = json.loads(massc("check", "--json", "--target=cuda", *sizes, *([] if precision == "float32" else [f"--precision={precision}"]), f"{net}.onnx").out)
    found = [(v["target"], k) for v in [j, *j["versions"]] for k in v["kernel_list"]]
    if "registers" not in found[0][1]:
        missing("cuda", "NVRTC is not installed")
    assert {t for t, _ in found} == {"cuda:sm_80", "cuda:sm_90a"}
    return found


def checked(net):
    def check():
        mkmodel(net, f"{net}.onnx", *NETS[net])
        all_of, most = 0, 0
        for precision, batches in BATCHES.items():
            for batch in batches:
                found = kernels(net, precision, batch)
                wrong = [f"{precision}, batch {batch}, {t}: {k['name']}: {k['spill_bytes']} bytes spilled, {k['stack_bytes']} on the stack" for t, k in found if k["spill_bytes"] or k["stack_bytes"]]
                assert not wrong, "\n".join(wrong)
                all_of, most = all_of + len(found), max(most, *(k["registers"] for _, k in found))
        os.remove(f"{net}.onnx")
        return f"{all_of} kernels, at most {most} registers"
    return check


for net in NETS:
    case(net)(checked(net))


main()
