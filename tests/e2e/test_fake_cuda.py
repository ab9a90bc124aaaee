"""Executables for CUDA over a driver that only counts (fake_cuda.c): what is asked of the driver, where no device is."""
import json, re
from e2e import *

DRIVER = os.environ["FAKE_CUDA"]
NETS = {   # with inputs; the second has three of them, and a result before its last kernels
    "alexnet": (["width=8", "hidden=64", "classes=20"], ["--input=input[1,3,224,224]=zeros"]),
    "bert-base": (["layers=1", "width=32", "heads=2", "vocab=100", "positions=32"], [f"--input={x}[1,8]=zeros" for x in ("input_ids", "attention_mask", "token_type_ids")]),
}


def bench(name):
    def check():
        os.makedirs("driver", exist_ok=True)
        if not os.path.exists("driver/libcuda.so.1"):
            os.symlink(DRIVER, "driver/libcuda.so.1")
        massc_cuda("--target=cuda:sm_80", mkmodel(name, "m.onnx", *NETS[name][0]), "-o", "m.bin")
        j = json.loads(run("./m.bin", *NETS[name][1], "--bench=0.05", "--json", env=dict(os.environ, LD_LIBRARY_PATH="driver")).out)
        launches = len(json.loads(run("./m.bin", "--info", "--json").out)["launches"])
        assert j["device_runs"] >= 5 and j["device_median_ms"] == j["device_min_ms"] == launches > 5, (j, launches)
        return f"{launches} kernels"
    return check


for name in NETS:
    case(f"--bench tells the time of the kernels alone, without copies: {name}")(bench(name))

main()
