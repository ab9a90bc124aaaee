"""massc against ONNX Runtime: one compile per net (symbolic batch), engines in turn within each round, medians of the rounds' medians.
Called by tools/bench, which prepares build/ and the virtual environment."""
import argparse, json, os, statistics, subprocess, sys, time
import numpy as np, onnxruntime as ort

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


# Peak memory of a command and every process that it starts; by a fresh process, since a child counts what its parent held when it was made.
MEASURE = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def run(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{' '.join(cmd)}: exit {r.returncode}\n{r.stderr[-2000:]}")
    return r.stdout


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


def prepare(net):
    name, *keys = net.split(":")
    model, exe = f"{out}/{net.replace(':', '-')}.onnx", f"{out}/{net.replace(':', '-')}.bin"
    run(["build/mkmodel", name, "-o", model, *keys])
    t = time.perf_counter()
    peak = run([sys.executable, "-c", MEASURE, "build/massc", f"--target={args.target}", model, "-o", exe])
    return model, exe, time.perf_counter() - t, int(peak) * 1024


def feeds(s, batch, seed):
    """Random inputs of a batch; other symbolic dims (sequence lengths) get --length. Integers are token ids, masks of ones and types of zeros."""
    rng, out = np.random.default_rng(seed), {}
    for i in s.get_inputs():
        dims = [d if isinstance(d, int) else batch if "batch" in d else args.length for d in i.shape]
        if i.type == "tensor(int64)":
            out[i.name] = np.ones(dims, np.int64) if "mask" in i.name else np.zeros(dims, np.int64) if "type" in i.name else rng.integers(0, 1000, dims)
        else:
            out[i.name] = rng.standard_normal(dims, dtype=np.float32)
    return out


def save(feed):
    """Options that give them to an executable."""
    opts = []
    for k, v in feed.items():
        np.save(f"{out}/in-{k}.npy", v)
        opts += ["--input", f"{k}={out}/in-{k}.npy"]
    return opts


def error(exe, s, batch):
    feed = feeds(s, batch, 0)
    want = s.run(None, feed)
    cmd = [exe, *save(feed)]
    for i in range(len(want)):
        cmd += ["--output", f"{out}/out{i}.npy"]
    run(cmd)
    return max(float(np.abs(np.load(f"{out}/out{i}.npy") - w).max() / np.abs(w).max()) for i, w in enumerate(want))


rows = []
for net in args.nets:
    model, exe, compile_s, peak = prepare(net)
    size, model_size = os.path.getsize(exe), os.path.getsize(model)
    info = json.loads(run([exe, "--info", "--json"]))
    err = {b: error(exe, session(model, 2), b) for b in (1, 4)}
    for threads in map(int, args.threads.split(",")):
        s = session(model, threads)
        feed = feeds(s, args.batch, 1)
        cmd = [exe, f"--bench={args.seconds}", "--json", "--threads", str(threads), *save(feed)]
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
print(f"ratio: massc's time over ONNX Runtime's {ort.__version__}; {cpu}")
if args.json:
    json.dump(dict(cpu=cpu, onnxruntime=ort.__version__, rows=rows), open(args.json, "w"), indent=1)
