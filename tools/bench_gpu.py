"""massc against PyTorch on a GPU: the same network with the same weights (onnx_torch translates the model), engines in turn within each round, results checked.

    tools/bench --target=cuda [NET[:key=value..] ..]      or, with a build and PyTorch at hand:     python3 tools/bench_gpu.py --massc build/massc --mkmodel build/mkmodel

A row is a network at a precision and a batch. Of massc it is --bench's device_median_ms, of PyTorch the median of calls between two events (bench_torch.py); none of them counts copies
from or to the host. The last row sets OpenCL on the same GPU against massc's own CUDA, by --bench's latency. The error is the norm of the difference from PyTorch in float64 over the norm
of that. Each row runs in a process of its own, which ends after --row-seconds; while torch.compile works on one row, massc compiles the next; nothing else runs while times are taken.
A row that fails is told, and the next one begins. Status 1: some row failed, or there is no GPU or no PyTorch."""
import argparse, json, multiprocessing, os, shlex, signal, statistics, sys, threading, time
from dataclasses import dataclass, replace
try:
    import numpy, onnx, torch
except ImportError as e:
    sys.exit(f"massc is compared with PyTorch on a GPU: this Python ({sys.executable}) needs torch, onnx and numpy ({e}); MASSC_TORCH_PYTHON names another for tools/bench")
import bench_torch
from bench_common import bound_dims, compiled, feeds, has_lengths, make_model, run, save
from onnx_torch import translate
from opencl_vendors import nvidia_alone

ERROR_BOUND = 1.5          # massc's error in half precision and TF32, over PyTorch's


@dataclass(frozen=True)
class Row:
    net: str
    precision: str
    batch: int
    length: int = 0                    # of sequences
    target: str = "cuda"
    bound: float = 0                   # at most so many times what `against` takes; 0: no bound
    against: str = "compile"           # compile, graph, better (of these), cuda

    def __str__(self):
        return f"{self.net}{f' {self.length}' if self.length else ''} {self.precision} batch {self.batch}" + ("" if self.target == "cuda" else f" {self.target}")


ROWS = [
    Row("resnet152", "fp16", 1, bound=0.6),
    Row("yolov3", "fp16", 1, bound=0.7, against="better"),
    Row("alexnet", "fp16", 1, bound=0.7, against="better"),
    Row("bert-base", "fp16", 1, 128, bound=0.6),
    Row("gpt2", "fp16", 1, 1024, bound=1.0),
    Row("resnet152", "fp16", 64, bound=1.2),
    Row("yolov3", "fp16", 16, bound=1.2),
    Row("bert-base", "fp16", 32, 128, bound=1.2),
    Row("resnet152", "float32", 1, bound=0.6, against="graph"),
    Row("yolov3", "float32", 1, bound=0.6, against="graph"),
    Row("resnet152", "float32", 1, target="opencl", bound=1.5, against="cuda"),
]
NAMES = {"graph": "eager graph", "compile": "torch.compile", "cuda": "massc CUDA"}


def options():
    ap = argparse.ArgumentParser(description="massc against PyTorch on a GPU; without NET: the whole table")
    ap.add_argument("nets", nargs="*", metavar="NET[:key=value..]")
    ap.add_argument("--target", default="cuda", help="cuda, or cuda:sm_90a and the like")
    ap.add_argument("--rows", help="of the table: 1-4,9")
    ap.add_argument("--precision", default="fp16,float32", help="of NETs: fp16, bf16, tf32, float32")
    ap.add_argument("--batch", default="1", help="of NETs: 1,16")
    ap.add_argument("--length", type=int, default=128, help="of NETs: of sequences")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--seconds", type=float, default=1.0, help="of each engine in a round")
    ap.add_argument("--row-seconds", type=float, default=300, help="after which a row is given up; what it has found by then is told")
    ap.add_argument("--no-compile", action="store_true", help="without torch.compile")
    ap.add_argument("--fold-norms", action="store_true", help="PyTorch's batch norms go into the weights of convolutions, as massc's do")
    ap.add_argument("--json", metavar="FILE", help="written anew after each row")
    ap.add_argument("--massc", type=shlex.split, default=shlex.split(os.environ.get("MASSC", "build/massc")), help="a command; default: $MASSC, build/massc")
    ap.add_argument("--mkmodel", type=shlex.split, default=shlex.split(os.environ.get("MKMODEL", "build/mkmodel")), help="a command; default: $MKMODEL, build/mkmodel")
    ap.add_argument("--out", default="build/bench", help="folder for models and executables")
    return ap.parse_args()


def rows_wanted(args):
    if args.nets:
        return [Row(n, p, b, args.length) for n in args.nets for p in args.precision.split(",") for b in map(int, args.batch.split(","))]
    spans = [list(map(int, s.split("-"))) for s in args.rows.split(",")] if args.rows else [[1, len(ROWS)]]
    return [r for i, r in enumerate(ROWS, 1) if any(s[0] <= i <= s[-1] for s in spans)]


def reason(e):
    """The first line of what went wrong, and the last, which is the reason when a program says much."""
    lines = [x for x in str(e).splitlines() if x.strip()] or [type(e).__name__]
    return lines[0][:300] + (f" .. {lines[-1].strip()[:300]}" if len(lines) > 1 else "")


# ---- before a row: its model, and massc's programs ----
class Prepared:
    def __init__(self, args):
        self.args, self.models, self.programs = args, {}, {}

    def program(self, row, target):
        key = row.net, row.precision, row.batch, row.length, target
        if key not in self.programs:
            model = self.models[row.net]
            exe = f"{model[:-5]}-{row.precision}-{row.batch}-{row.length}-{target.split(':')[0]}.bin"
            narrow = [] if row.precision == "float32" else ["--precision", row.precision]
            self.programs[key] = exe, compiled(self.args.massc, model, exe, f"--target={target}", *bound_dims(model, row.batch, row.length), *narrow)[0]
        return self.programs[key]

    def of(self, row):
        """model, programs by target, seconds of compiling, and why there are none. An error is the row's own."""
        got = dict(model=None, programs={}, compile_s=None, failed=None)
        try:
            if row.net not in self.models:
                self.models[row.net] = make_model(self.args.mkmodel, row.net, self.args.out)
            got["model"] = self.models[row.net]
            for target in (self.args.target,) if row.target == "cuda" else (row.target, self.args.target):
                exe, seconds = self.program(row, target)
                got["programs"][target.split(":")[0]] = exe
                got["compile_s"] = got["compile_s"] or seconds
        except Exception as e:
            got["failed"] = reason(e)
        return got


# ---- a row, in a process of its own ----
class Measurement:
    def __init__(self, row, args, got, tell):
        self.row, self.args, self.got, self.tell, self.env = row, args, got, tell, dict(os.environ, **nvidia_alone(args.out))
        self.found = dict(compile_s=got["compile_s"], failures=[got["failed"]] if got["failed"] else [])
        self.feed = feeds(got["model"], row.batch, row.length, 1)
        self.inputs = save(self.feed, args.out)
        self.n_outputs = len(onnx.load(got["model"], load_external_data=False).graph.output)

    def try_to(self, what, fn, *args):
        """fn's result, or None when it failed, which the row tells."""
        try:
            return fn(*args)
        except Exception as e:
            self.found["failures"].append(f"{what}: {type(e).__name__}: {reason(e)}")
        finally:
            self.tell(self.found)
        return None

    def module(self, precision):
        dtype = bench_torch.DTYPES[precision]
        bench_torch.allow_tf32(precision == "tf32")
        shapes = {k: v.shape for k, v in self.feed.items()}
        return bench_torch.on_gpu(translate(self.got["model"], shapes, dtype, self.args.fold_norms and precision != "float64"), self.feed, dtype)

    def reference(self):
        torch.backends.cudnn.benchmark = False                 # trials in float64 take longer than what they find saves
        try:
            return bench_torch.results(*self.module("float64"))
        finally:
            torch.backends.cudnn.benchmark = True

    def massc_error(self, exe, want):
        files = [f"{self.args.out}/out{i}.npy" for i in range(self.n_outputs)]
        run([exe, *self.inputs, *[o for f in files for o in ("--output", f)]], self.env)
        return bench_torch.errors([bench_torch.load(f) for f in files], want)

    def massc_ms(self, exe):
        j = json.loads(run([exe, f"--bench={self.args.seconds}", "--json", *self.inputs], self.env))
        self.found["latency_ms"] = j["median_ms"]
        return j["median_ms"] if self.row.target != "cuda" else j["device_median_ms"]

    def check(self):
        want = self.try_to("PyTorch in float64", self.reference)
        exe = self.got["programs"].get(self.row.target)
        if want and exe:
            self.found["error"] = self.try_to("massc", self.massc_error, exe, want)
        if want and self.row.target == "cuda":
            self.found["torch_error"] = self.try_to("PyTorch", lambda: bench_torch.errors(bench_torch.results(*self.module(self.row.precision)), want))

    def engines(self):
        """name -> a function that gives milliseconds."""
        calls = {}
        if self.row.target == "cuda":
            made = self.try_to("PyTorch", self.module, self.row.precision)
            graph = made and self.try_to("eager graph", bench_torch.eager_graph, *made)
            if graph:
                calls["graph"] = lambda: bench_torch.median_ms(graph, self.args.seconds)
            both = made and not self.args.no_compile and self.try_to("torch.compile", bench_torch.compiled, *made)
            if both:
                self.found["torch_compile_s"] = both[1]
                calls["compile"] = lambda: bench_torch.median_ms(both[0], self.args.seconds)
        programs = self.got["programs"]
        ours = {"massc": programs.get(self.row.target), "cuda": programs.get("cuda") if self.row.target != "cuda" else None}
        for name, exe in ours.items():
            if exe:
                calls[name] = lambda exe=exe: self.massc_ms(exe)
        return calls

    def run(self, quiet):
        bench_torch.setup()
        self.found["versions"] = bench_torch.versions()
        self.check()
        torch.cuda.empty_cache()
        calls = self.engines()
        quiet.wait()
        times = {name: [] for name in calls}
        for _ in range(self.args.rounds):
            for name in list(calls):
                ms = self.try_to(NAMES.get(name, name), calls[name])
                if ms is None:
                    del calls[name]
                    continue
                times[name].append(ms)
                self.found["times"] = times
            self.tell(self.found)


def child(row, args, got, quiet, pipe):
    os.setsid()
    found = {}

    def tell(f):
        found.update(f)
        pipe.send(found)
    try:
        Measurement(row, args, got, tell).run(quiet)
    except Exception as e:
        tell(dict(failures=found.get("failures", [got["failed"]] if got["failed"] else []) + [f"{type(e).__name__}: {reason(e)}"]))
    pipe.send(None)
    pipe.close()
    os._exit(0)


def measure(row, args, got, beside):
    """What the row's process found. beside: work for the meantime, until the process takes times."""
    ctx = multiprocessing.get_context("fork")
    mine, its = ctx.Pipe(duplex=False)
    quiet = ctx.Event()
    process = ctx.Process(target=child, args=(row, args, got, quiet, its))
    process.start()
    its.close()
    work = threading.Thread(target=lambda: (beside(), quiet.set()))
    work.start()
    found, end, done = {}, time.monotonic() + args.row_seconds, False
    try:
        while not done and time.monotonic() < end:
            if mine.poll(min(1.0, max(end - time.monotonic(), 0))):
                told = mine.recv()
                done, found = told is None, told or found
        if not done:
            found.setdefault("failures", []).append(f"given up after {args.row_seconds:.0f} s")
    except EOFError:
        found.setdefault("failures", []).append("its process ended")
    try:
        os.killpg(process.pid, signal.SIGKILL)                 # it and all that it started
    except ProcessLookupError:
        pass
    process.join()
    work.join()
    return found


# ---- what is told ----
def summary(row, found):
    times = {k: v for k, v in found.pop("times", {}).items() if v}
    out = dict(net=row.net, precision=row.precision, batch=row.batch, length=row.length, target=row.target, **{k: v for k, v in found.items() if k != "versions"})
    out.update({f"{k}_ms": statistics.median(v) for k, v in times.items()})
    peers = [k for k in (("graph", "compile") if row.against == "better" else (row.against,)) if k in times]
    ratios = {k: statistics.median(x / y for x, y in zip(times["massc"], times[k])) for k in times if k != "massc"} if "massc" in times else {}
    out["ratios"] = ratios
    if row.bound and peers and ratios:
        out.update(ratio=max(ratios[k] for k in peers), bound=row.bound, against=row.against)
    return out


def verdict(value, most):
    return f"{value:.2f} (at most {most:g}: {'yes' if value <= most else 'no'})"


def line(row, s):
    cell = lambda k, name: f"{name} {s[k]:.3f} ms" if s.get(k) is not None else ""
    parts = [cell("massc_ms", "massc"), *[cell(f"{k}_ms", n) for k, n in NAMES.items()]]
    if "ratio" in s:
        name = "the better of both" if row.against == "better" else NAMES[row.against]
        parts.append(f"massc / {name} {verdict(s['ratio'], row.bound)}")
    else:
        parts += [f"massc / {NAMES[k]} {v:.2f}" for k, v in s["ratios"].items()]
    if s.get("error") is not None:
        parts.append(f"error {s['error']:.1e}")
        if s.get("torch_error"):
            times = s["error"] / s["torch_error"]
            parts.append(f"PyTorch {s['torch_error']:.1e}, {verdict(times, ERROR_BOUND) if row.precision != 'float32' else f'{times:.2f}'}")
    if s.get("compile_s") is not None:
        parts.append(f"compiled in {s['compile_s']:.1f} s" + (f", torch.compile {s['torch_compile_s']:.0f} s" if s.get("torch_compile_s") else ""))
    return f"{str(row):32s} " + "; ".join(p for p in parts if p)


def main():
    args = options()
    os.makedirs(args.out, exist_ok=True)
    rows, prepared, told, versions, ahead = rows_wanted(args), Prepared(args), [], {}, {}
    if not rows:
        sys.exit(f"no such row: {args.rows} of 1 to {len(ROWS)}")
    for i, row in enumerate(rows):
        got = ahead.pop(i, None) or prepared.of(row)
        if not got["model"]:
            found = dict(failures=[got["failed"]])
        else:
            row = row if has_lengths(got["model"]) else replace(row, length=0)
            found = measure(row, args, got, lambda: ahead.update({i + 1: prepared.of(rows[i + 1])}) if i + 1 < len(rows) else None)
        if not versions and found.get("versions"):
            versions = found["versions"]
            print(f"{versions['device']}; PyTorch {versions['torch']}, CUDA {versions['cuda']}, cuDNN {versions['cudnn']}; {args.rounds} rounds of {args.seconds:g} s", flush=True)
        told.append(summary(row, found))
        print(line(row, told[-1]), flush=True)
        for f in told[-1].get("failures", []):
            print(f"{'':32s} FAILED {f}", flush=True)
        if args.json:
            with open(args.json, "w") as f:
                json.dump(dict(**versions, rounds=args.rounds, seconds=args.seconds, fold_norms=args.fold_norms, rows=told), f, indent=1)
    sys.exit(any(r.get("failures") for r in told))


if __name__ == "__main__":
    main()
