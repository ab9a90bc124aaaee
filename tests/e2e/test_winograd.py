"""Convolutions by Winograd's transform: within 2e-5 of the largest output of the direct ones, the same bits on any number of threads, and no more weights than are allowed."""
import json
from e2e import *

NETS = {"resnet50": ["width=64", "size=112", "classes=50"], "yolov3-tiny": ["size=96"]}


def model(name):
    return f"{name}.onnx" if os.path.exists(f"{name}.onnx") else mkmodel(name, f"{name}.onnx", *NETS[name])


def compiled(name, *args):
    """The executable, and what it says of itself."""
    massc(model(name), *args, "-o", "m.bin")
    return json.loads(run("./m.bin", "--info", "--json").out)


def outputs(info, batch, *args, first=1):
    """Runs m.bin on a batch of images, of which the first is number `first`; the bytes of the outputs."""
    size = 112 if "resnet50" in info["name"] else 96
    images = [run_image(size, i) for i in range(first, first + batch)]
    write_npy("in.npy", [batch, 3, size, size], [x for i in images for x in i])
    files = [f"out{i}.npy" for i in range(len(info["outputs"]))]
    run("./m.bin", "--input", "in.npy", *[a for f in files for a in ("--output", f)], *args)
    return [read_npy(f)[1] for f in files]


def run_image(size, seed):
    out, x = [], seed * 2654435761 % 2**32
    for _ in range(3 * size * size):
        x = (x * 1664525 + 1013904223) % 2**32
        out.append(x / 2**32)
    return out


def largest(a, b):
    """The largest difference, against the largest value."""
    return max(max(abs(x - y) for x, y in zip(p, q)) / max(map(abs, q)) for p, q in zip(a, b))


def bounded(name, target):
    def check():
        info = compiled(name, "--no-winograd", f"--target={target}")
        assert info["transformed_bytes"] == 0
        want = outputs(info, 2)
        info = compiled(name, "--verify", f"--target={target}")
        plain = info["weights_bytes"] - info["transformed_bytes"]
        assert 0 < info["transformed_bytes"] <= 0.75 * plain, info
        got = outputs(info, 2)
        e = largest(got, want)
        assert 0 < e <= 2e-5, e
        return f"{e:.1e}, weights {plain} and {info['transformed_bytes']} bytes"
    return check


@case("--profile and its trace: as many products as the transforms leave of a layer, 4 to 1.78 times fewer and tiles that stand out")
def products():
    found = set()
    for args in ([], ["--no-winograd"]):
        massc(model("resnet50"), *args, "-o", "m.bin")
        j = json.loads(run("./m.bin", "--profile", "t.json", "--json", "--threads", "1", "--input", "input=random").out)
        rows = [x for x in j["launches"] if ".conv2/Conv" in x["nodes"] and "layer1.1" in x["nodes"]]
        assert len(rows) == 1, [x["nodes"] for x in j["launches"]]
        found.add(rows[0]["products"])
        fastest = max(j["launches"], key=lambda x: x["products"] / x["us"])
        assert 2e-3 * fastest["products"] / fastest["us"] < 1.1 * j["machine_gops"], ("faster than the peak", j["machine_gops"], fastest)
    direct, tiles = 64 * 64 * 9 * 28 * 28, {64 * 64 * (m + 2) ** 2 * (-(-28 // m)) ** 2 for m in (2, 3, 4)}       # layer1: 64 channels, 112/4 pixels
    assert direct in found and found - {direct} <= tiles and len(found) == 2, found


for net in NETS:
    for v in (2, 3, 4):
        if v < 4 or "avx512f" in open("/proc/cpuinfo").read():
            case(f"{net} on x86-64-v{v}")(bounded(net, f"cpu:x86-64-v{v}"))


@case("any number of threads gives the same bits, and so does an image in a batch")
def _():
    for net in NETS:
        info = compiled(net)
        one = outputs(info, 3, "--threads", "1")
        for threads in ("2", "3", "16"):
            assert outputs(info, 3, "--threads", threads) == one, (net, threads)
        parts = [outputs(info, 1, first=i) for i in (1, 2, 3)]
        for k, whole in enumerate(one):
            assert [x for p in parts for x in p[k]] == list(whole), net


@case("levels below 2 do not choose, and several versions together keep to what is allowed")
def _():
    assert compiled("yolov3-tiny", "-O1")["transformed_bytes"] == 0
    several = compiled("yolov3-tiny", "--target=cpu:x86-64-v4,cpu:x86-64-v3,cpu:x86-64-v2")
    plain = compiled("yolov3-tiny", "--no-winograd")["weights_bytes"]
    assert 0 < several["transformed_bytes"] <= 0.75 * plain, (several["transformed_bytes"], plain)


main()
