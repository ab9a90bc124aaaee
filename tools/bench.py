"""massc against ONNX Runtime: one compile per net (symbolic batch), engines in turn within each round, medians of the rounds' medians.
Called by tools/bench, which prepares build/ and the virtual environment."""
import argparse, json, os, statistics, sys, time
import numpy as np, onnxruntime as ort
from bench_common import Failed, compiled, feeds, make_model, run, save

ap = argparse.ArgumentParser()
ap.add_argument("nets", nargs="*", default=["resnet152", "alexnet"])
ap.add_argument("--threads", default="2,1")
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--seconds", type=float, default=2.0)
ap.add_argument("--batch", type=int, default=1)
ap.add_argument("--length", type=int, default=128, help="of sequences")
ap.add_argument("--target", default="cpu")
ap.add_argument("--json")
args = ap.parse_args()
out = "build/bench"
os.makedirs(out, exist_ok=True)
cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))


def session(model, threads):
    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    return ort.InferenceSession(model, o, providers=["CPUExecutionProvider"])


def peer_median(s, feed, seconds):
    times, end = [], time.perf_counter() + seconds
    s.run(None, feed)
    while time.perf_counter() < end or len(times) < 3:
        t = time.perf_counter()
        s.run(None, feed)
        times.append(time.perf_counter() - t)
    return statistics.median(times) * 1e3


def error(exe, model, batch):
    feed = feeds(model, batch, args.length, 0)
    want = session(model, 2).run(None, feed)
    cmd = [exe, *save(feed, out)]
    for i in range(len(want)):
        cmd += ["--output", f"{out}/out{i}.npy"]
    run(cmd)
    return max(float(np.abs(np.load(f"{out}/out{i}.npy") - w).max() / np.abs(w).max()) for i, w in enumerate(want))


rows = []


def measure(net):
    model = make_model(["build/mkmodel"], net, out)
    exe = model[:-5] + ".bin"
    compile_s, peak = compiled(["build/massc"], model, exe, f"--target={args.target}")
    size, model_size = os.path.getsize(exe), os.path.getsize(model)
    info = json.loads(run([exe, "--info", "--json"]))
    err = {b: error(exe, model, b) for b in (1, 4)}
    for threads in map(int, args.threads.split(",")):
        s = session(model, threads)
        feed = feeds(model, args.batch, args.length, 1)
        cmd = [exe, f"--bench={args.seconds}", "--json", "--threads", str(threads), *save(feed, out)]
        ours, peers, start = [], [], []
        for _ in range(args.rounds):
            j = json.loads(run(cmd))
            ours.append(j["median_ms"])
            start.append(j["start_ms"])
            peers.append(peer_median(s, feed, args.seconds))
        a, b = statistics.median(ours), statistics.median(peers)
        ratio = statistics.median(x / y for x, y in zip(ours, peers))
        rows.append(dict(net=net, batch=args.batch, threads=threads, massc_ms=a, onnxruntime_ms=b, ratio=ratio, start_ms=statistics.median(start), error=err, compile_s=compile_s,
                         peak_bytes=peak, model_bytes=model_size, executable_bytes=size, weights_bytes=info.get("weights_bytes")))
        print(f"{net:12s} batch {args.batch}, {threads} threads: massc {a:8.2f} ms, ONNX Runtime {b:8.2f} ms, ratio {ratio:.2f}; start {rows[-1]['start_ms']:.0f} ms")
    print(f"{'':12s} error batch 1 {err[1]:.1e}, batch 4 {err[4]:.1e}; compiled in {compile_s:.1f} s, peak {peak / 2**20:.0f} MiB (model {model_size / 2**20:.0f}); executable {size / 2**20:.1f} MiB")


try:
    for net in args.nets:
        measure(net)
except Failed as e:
    sys.exit(str(e))
print(f"ratio: massc's time over ONNX Runtime's {ort.__version__}; {cpu}")
if args.json:
    json.dump(dict(cpu=cpu, onnxruntime=ort.__version__, rows=rows), open(args.json, "w"), indent=1)
