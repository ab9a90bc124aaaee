"""massc on the processor against what PyPI has: ONNX Runtime and, where it is installed, OpenVINO. Called by tools/bench, which prepares build/ and the virtual environment.

Without NET: the table, five networks and two of them at batch 8. A NET is NAME[:key=value..] of mkmodel, with two keys of its own: batch=N, and length=N of sequences.
One compilation per net (symbolic batch); engines in turn within each round, on as many threads; medians of the rounds' medians. A peer's figure is followed by how many times as long as massc
it takes, above 1 massc is faster. Results of massc and of OpenVINO are compared with ONNX Runtime's, relative to the largest one; massc's error may be --error-bound at most, else the status is 1.

In each round massc also runs once with --profile, on as many threads: it measures there what a loop of multiply-adds in registers (the vectors that massc was compiled for, twelve chains a thread) and a loop that reads
memory reach, and its trace tells the time and the multiplications of each contraction (by Winograd's transform those that it really does). Contractions: the mean of their shares of that FMA
peak, geometric, weighted by multiplications. Streams: contractions with at most one multiplication for each byte that they must read (dense layers at batch 1), which the peak says nothing of:
their bytes over their time, as a share of the rate of reading. Both from medians of the rounds."""
import argparse, functools, json, math, os, shlex, statistics, sys, time
from dataclasses import dataclass, replace
import numpy as np, onnxruntime
from bench_common import Failed, compiled, feeds, has_lengths, inputs_of, make_model, run, save, size_of
try:
    import openvino
except ImportError:
    openvino = None

TABLE = ["resnet152", "yolov3", "alexnet", "bert-base", "gpt2", "resnet50:batch=8", "bert-base:batch=8"]
BETWEEN_S = 0.1       # from one engine to the next: threads of the one before have gone to sleep


@dataclass(frozen=True)
class Row:
    net: str                # mkmodel's name and keys
    batch: int
    length: int             # of sequences; 0: the net has none

    def __str__(self):
        return f"{self.net}{f', {self.length} tokens' if self.length else ''}, batch {self.batch}"


class OnnxRuntime:
    key, name, version = "onnxruntime", "ONNX Runtime", onnxruntime.__version__

    def __init__(self, model, threads, row):
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(model, o, providers=["CPUExecutionProvider"])

    def __call__(self, feed):
        return self.session.run(None, feed)


class OpenVino:
    """With sizes bound, which it likes better than symbols; float32 even where the processor has half precision; results are read where they lie."""
    key, name, version = "openvino", "OpenVINO", openvino and openvino.__version__.split("-")[0]

    def __init__(self, model, threads, row):
        core = openvino.Core()
        net = core.read_model(model)
        net.reshape({name: [size_of(d, row.batch, row.length) for d in dims] for name, _, dims in inputs_of(model)})
        self.net = core.compile_model(net, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
        self.request = self.net.create_infer_request()

    def __call__(self, feed):
        got = self.request.infer(feed, share_inputs=True, share_outputs=True)
        return [got[o] for o in self.net.outputs]


PEERS = [OnnxRuntime] + ([OpenVino] if openvino else [])


def options():
    ap = argparse.ArgumentParser(prog="tools/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("nets", nargs="*", metavar="NET[:key=value..]", help="without: " + " ".join(TABLE))
    ap.add_argument("--threads", default="2,1")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--seconds", type=float, default=2.0, help="of each engine in a round")
    ap.add_argument("--batch", type=int, default=1, help="where NET tells none")
    ap.add_argument("--length", type=int, default=128, help="of sequences, where NET tells none")
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
    try:
        args.rows = [wanted(n, args.batch, args.length) for n in args.nets or TABLE]
    except ValueError as e:
        ap.error(f"batch and length are numbers from 1 up: {e}")
    return args


def wanted(text, batch, length):
    """The row that NAME[:key=value..] asks for."""
    name, *keys = text.split(":")
    sizes = dict(batch=batch, length=length)
    for k in keys:
        if k.partition("=")[0] in sizes:
            sizes[k.partition("=")[0]] = int(k.partition("=")[2])
    if min(sizes.values()) < 1:
        raise ValueError(text)
    return Row(":".join([name, *(k for k in keys if k.partition("=")[0] not in sizes)]), **sizes)


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


@functools.cache
def prepared(massc, mkmodel, target, out, net):
    """(model, executable, what is told of them)"""
    model = make_model(shlex.split(mkmodel), net, out)
    exe = os.path.abspath(model[:-5] + ".bin")
    seconds, peak = compiled(shlex.split(massc), model, exe, f"--target={target}")
    info = json.loads(run([exe, "--info", "--json"]))
    return model, exe, dict(compile_s=seconds, peak_bytes=peak, model_bytes=os.path.getsize(model), executable_bytes=os.path.getsize(exe), weights_bytes=info.get("weights_bytes"))


def errors(args, exe, model, row):
    """Of massc and of OpenVINO against ONNX Runtime, by key."""
    feed = feeds(model, row.batch, row.length, 0)
    want = OnnxRuntime(model, 2, row)(feed)
    files = [f"{args.out}/out{i}.npy" for i in range(len(want))]
    run([exe, *save(feed, args.out), *(o for f in files for o in ("--output", f))])
    found = dict(massc=distance([np.load(f) for f in files], want))
    for p in args.peers:
        if p is not OnnxRuntime:
            found[p.key] = distance(p(model, 2, row)(feed), want)
    return found


def profiled(args, exe, threads, given):
    """One round: what the machine reaches (Gop/s, GB/s), and of each contraction (nodes, multiplications, bytes, us), of the trace."""
    trace = f"{args.out}/trace.json"
    j = json.loads(run([exe, "--profile", trace, "--json", "--threads", str(threads), *given]))
    with open(trace) as f:
        events = [e for e in json.load(f)["traceEvents"] if e["ph"] == "X" and e["args"].get("products")]
    return j["machine_gops"], j["machine_gbytes_per_s"], [(e["args"]["nodes"], e["args"]["products"], e["args"]["bytes"], e["dur"]) for e in events]


def against_machine(profiles):
    """Medians of the rounds: the machine's rates, its contractions, their mean share of the peak, and the share of the read rate of those that stream; None where there are none."""
    peak, read = (statistics.median(p[i] for p in profiles) for i in (0, 1))
    layers = [(*same[0][:3], max(1e-3, statistics.median(l[3] for l in same))) for same in zip(*(p[2] for p in profiles), strict=True)]
    busy = [l for l in layers if l[1] > l[2]]
    stream = [l for l in layers if l[1] <= l[2]]
    shares = [2e-3 * l[1] / l[3] / peak for l in busy]
    share = math.exp(sum(l[1] * math.log(s) for l, s in zip(busy, shares)) / sum(l[1] for l in busy)) if busy else None
    rate = 1e-3 * sum(l[2] for l in stream) / sum(l[3] for l in stream) / read if stream else None
    return dict(peak_gops=peak, read_gbytes_per_s=read, fma_share=share, read_share=rate, contractions=[dict(zip(("nodes", "products", "bytes", "us"), l)) for l in layers])


def rounds(args, exe, model, row, threads):
    """Of massc and each peer the medians in ms, a list of the rounds; what massc takes to start; its profiles."""
    feed = feeds(model, row.batch, row.length, 1)
    peers = {p.key: p(model, threads, row) for p in args.peers}
    given = save(feed, args.out)
    times, start, profiles = {k: [] for k in ("massc", *peers)}, [], []
    for _ in range(args.rounds):
        time.sleep(BETWEEN_S)
        j = json.loads(run([exe, f"--bench={args.seconds}", "--json", "--threads", str(threads), *given]))
        times["massc"].append(j["median_ms"])
        start.append(j["start_ms"])
        profiles.append(profiled(args, exe, threads, given))
        for key, peer in peers.items():
            time.sleep(BETWEEN_S)
            times[key].append(peer_median(peer, feed, args.seconds))
    return times, start, profiles


def measure(args, row):
    """What is found of a row: one for each number of threads."""
    model, exe, facts = prepared(args.massc, args.mkmodel, args.target, args.out, row.net)
    row = row if has_lengths(model) else replace(row, length=0)
    error = {b: errors(args, exe, model, replace(row, batch=b)) for b in sorted({row.batch, 4 if row.batch == 1 else 1})}
    found = []
    for threads in args.threads:
        times, start, profiles = rounds(args, exe, model, row, threads)
        machine = against_machine(profiles)
        ms = {k: statistics.median(t) for k, t in times.items()}
        ratio = {k: statistics.median(y / x for x, y in zip(times["massc"], t)) for k, t in times.items() if k != "massc"}
        found.append(dict(net=row.net, batch=row.batch, length=row.length, threads=threads, ms=ms, times_massc=ratio, start_ms=statistics.median(start), error=error, **machine, **facts))
        told = "".join(f"; {p.name} {ms[p.key]:.2f}, {ratio[p.key]:.2f} x" for p in args.peers)
        if machine["fma_share"] is not None:
            told += f"; contractions {machine['fma_share']:.2f} of {machine['peak_gops']:.0f} Gop/s"
        if machine["read_share"] is not None:
            told += f"; streams {machine['read_share']:.2f} of {machine['read_gbytes_per_s']:.1f} GB/s"
        print(f"{row}, {threads} thread{'s' if threads > 1 else ' '}: massc {ms['massc']:.2f} ms{told}; start {found[-1]['start_ms']:.0f} ms", flush=True)
    print("    " + summary(error, found, facts), flush=True)
    return found


def summary(error, found, facts):
    told = "error " + "; ".join(f"batch {b}: " + ", ".join(f"{k} {e:.1e}" for k, e in of.items()) for b, of in error.items())
    by = {f["threads"]: f["ms"]["massc"] for f in found}
    if len(by) > 1:
        few, many = min(by), max(by)
        told += f"; {many} threads {by[few] / by[many]:.2f} x as fast as {few}"
    sizes = [facts[k] / 2**20 for k in ("peak_bytes", "model_bytes", "executable_bytes")]
    return told + f"; compiled in {facts['compile_s']:.1f} s, peak {sizes[0]:.0f} MiB (model {sizes[1]:.0f}); executable {sizes[2]:.1f} MiB"


def main():
    args = options()
    os.makedirs(args.out, exist_ok=True)
    cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    rows = []
    try:
        for row in args.rows:
            rows += measure(args, row)
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
