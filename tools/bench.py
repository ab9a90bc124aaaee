"""massc on the processor against what PyPI has: ONNX Runtime and, where it is installed, OpenVINO. Called by tools/bench, which prepares build/ and the virtual environment.

One compilation per net (symbolic batch); engines in turn within each round, on as many threads; medians of the rounds' medians. A peer's figure is followed by how many times as long as massc
it takes, above 1 massc is faster. Results of massc and of OpenVINO are compared with ONNX Runtime's, relative to the largest one; massc's error may be --error-bound at most, else the status is 1."""
import argparse, json, os, shlex, statistics, sys, time
import numpy as np, onnxruntime
from bench_common import Failed, compiled, feeds, inputs_of, make_model, run, save, size_of
try:
    import openvino
except ImportError:
    openvino = None

BETWEEN_S = 0.1       # from one engine to the next: threads of the one before have gone to sleep


class OnnxRuntime:
    key, name, version = "onnxruntime", "ONNX Runtime", onnxruntime.__version__

    def __init__(self, model, threads, batch, length):
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(model, o, providers=["CPUExecutionProvider"])

    def __call__(self, feed):
        return self.session.run(None, feed)


class OpenVino:
    """With sizes bound, which it likes better than symbols; float32 even where the processor has half precision; results are read where they lie."""
    key, name, version = "openvino", "OpenVINO", openvino and openvino.__version__.split("-")[0]

    def __init__(self, model, threads, batch, length):
        core = openvino.Core()
        net = core.read_model(model)
        net.reshape({name: [size_of(d, batch, length) for d in dims] for name, _, dims in inputs_of(model)})
        self.net = core.compile_model(net, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
        self.request = self.net.create_infer_request()

    def __call__(self, feed):
        got = self.request.infer(feed, share_inputs=True, share_outputs=True)
        return [got[o] for o in self.net.outputs]


PEERS = [OnnxRuntime] + ([OpenVino] if openvino else [])


def options():
    ap = argparse.ArgumentParser(prog="tools/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("nets", nargs="*", metavar="NET[:key=value..]", default=["resnet152", "alexnet"])
    ap.add_argument("--threads", default="2,1")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=2.0, help="of each engine in a round")
    ap.add_argument("--batch", type=int, default=1)
    ap.add_argument("--length", type=int, default=128, help="of sequences")
    ap.add_argument("--target", default="cpu")
    ap.add_argument("--peers", help="some of those installed: " + ",".join(p.key for p in PEERS))
    ap.add_argument("--error-bound", type=float, default=2e-5)
    ap.add_argument("--json", metavar="FILE")
    ap.add_argument("--massc", default="build/massc", help="the command")
    ap.add_argument("--mkmodel", default="build/mkmodel", help="the command")
    ap.add_argument("--out", default="build/bench", help="folder of models and executables")
    args = ap.parse_args()
    absent = set(args.peers.split(",") if args.peers else ()) - {p.key for p in PEERS}
    if absent:
        ap.error(f"--peers {args.peers}: not installed: {', '.join(sorted(absent))}; here are {', '.join(p.key for p in PEERS)}")
    args.peers = [p for p in PEERS if not args.peers or p.key in args.peers.split(",")]
    args.threads = [int(t) for t in args.threads.split(",")]
    return args


def peer_median(peer, feed, seconds):
    peer(feed)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        t = time.perf_counter()
        peer(feed)
        times.append(time.perf_counter() - t)
    return statistics.median(times) * 1e3


def distance(got, want):
    """The largest difference over the largest value, of the worst output."""
    return max(float(np.abs(g - w).max() / np.abs(w).max()) for g, w in zip(got, want, strict=True))


def errors(args, exe, model, batch):
    """Of massc and of OpenVINO against ONNX Runtime, by key."""
    feed = feeds(model, batch, args.length, 0)
    want = OnnxRuntime(model, 2, batch, args.length)(feed)
    files = [f"{args.out}/out{i}.npy" for i in range(len(want))]
    run([exe, *save(feed, args.out), *(o for f in files for o in ("--output", f))])
    found = dict(massc=distance([np.load(f) for f in files], want))
    for p in args.peers:
        if p is not OnnxRuntime:
            found[p.key] = distance(p(model, 2, batch, args.length)(feed), want)
    return found


def rounds(args, exe, model, threads):
    """Of massc and each peer the medians in ms, a list of the rounds; and what massc takes to start."""
    feed = feeds(model, args.batch, args.length, 1)
    peers = {p.key: p(model, threads, args.batch, args.length) for p in args.peers}
    given = save(feed, args.out)
    times, start = {k: [] for k in ("massc", *peers)}, []
    for _ in range(args.rounds):
        time.sleep(BETWEEN_S)
        j = json.loads(run([exe, f"--bench={args.seconds}", "--json", "--threads", str(threads), *given]))
        times["massc"].append(j["median_ms"])
        start.append(j["start_ms"])
        for key, peer in peers.items():
            time.sleep(BETWEEN_S)
            times[key].append(peer_median(peer, feed, args.seconds))
    return times, start


def measure(args, net):
    """The rows of a net: one for each number of threads."""
    model = make_model(shlex.split(args.mkmodel), net, args.out)
    exe = os.path.abspath(model[:-5] + ".bin")
    compile_s, peak = compiled(shlex.split(args.massc), model, exe, f"--target={args.target}")
    size, model_size = os.path.getsize(exe), os.path.getsize(model)
    info = json.loads(run([exe, "--info", "--json"]))
    error = {b: errors(args, exe, model, b) for b in sorted({args.batch, 4 if args.batch == 1 else 1})}
    rows = []
    for threads in args.threads:
        times, start = rounds(args, exe, model, threads)
        ms = {k: statistics.median(t) for k, t in times.items()}
        ratio = {k: statistics.median(y / x for x, y in zip(times["massc"], t)) for k, t in times.items() if k != "massc"}
        rows.append(dict(net=net, batch=args.batch, threads=threads, ms=ms, times_massc=ratio, start_ms=statistics.median(start), error=error, compile_s=compile_s,
                         peak_bytes=peak, model_bytes=model_size, executable_bytes=size, weights_bytes=info.get("weights_bytes")))
        told = "".join(f"; {p.name} {ms[p.key]:.2f}, {ratio[p.key]:.2f} x" for p in args.peers)
        print(f"{net:12s} batch {args.batch}, {threads} threads: massc {ms['massc']:.2f} ms{told}; start {rows[-1]['start_ms']:.0f} ms", flush=True)
    told = "; ".join(f"batch {b}: " + ", ".join(f"{k} {e:.1e}" for k, e in of.items()) for b, of in error.items())
    print(f"{'':12s} error {told}; compiled in {compile_s:.1f} s, peak {peak / 2**20:.0f} MiB (model {model_size / 2**20:.0f}); executable {size / 2**20:.1f} MiB", flush=True)
    return rows


def main():
    args = options()
    os.makedirs(args.out, exist_ok=True)
    cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    rows = []
    try:
        for net in args.nets:
            rows += measure(args, net)
    except Failed as e:
        sys.exit(str(e))
    print(f"x: a peer's time over massc's; {', '.join(f'{p.name} {p.version}' for p in args.peers)}; {cpu}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(dict(cpu=cpu, peers={p.key: p.version for p in args.peers}, rows=rows), f, indent=1)
    wrong = sorted({f"{r['net']} batch {b}: massc's error {e['massc']:.1e}" for r in rows for b, e in r["error"].items() if not e["massc"] <= args.error_bound})
    sys.exit(f"{'; '.join(wrong)}; at most {args.error_bound:g}" if wrong else 0)


if __name__ == "__main__":
    main()
