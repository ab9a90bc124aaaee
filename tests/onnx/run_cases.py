#!/usr/bin/env python3
"""The ONNX backend suite (package onnx: its node cases and stored models) through massc and the executables that it emits. TAP to stdout.

usage: run_cases.py MASSC EXPECTED [--target T] [--match RE] [--levels=-O0,-O2] [--budget SECONDS] [--seed N] [--jobs N] [--bless] [--json FILE]

A case that EXPECTED lists must pass at every level. A case that it does not list may be refused by massc, but must not crash, give another value, or fail when it
runs. Tolerances, types and shapes are the case's own. "~ NAME" lists a case that is more exact than its element type: it expects the roundings of numpy's steps in
half precision; there a result may differ by two units in the last place of the largest value. Without --match, cases run in an order that the seed (by default the day) shuffles, until the budget is
used up: each day another part is seen first. With a --target that is a device, what of a graph is left to the processor is counted, and where there is no such device the cases are skipped. MASSC_FULL_TESTS lifts the budget. --bless adds what passed to EXPECTED and takes away nothing.
"""
import argparse, concurrent.futures as futures, json, os, random, re, shutil, subprocess, sys, tempfile, time, warnings

try:
    import numpy as np, onnx
    from onnx import numpy_helper as nh
    from onnx.backend.test.case.node import collect_testcases
except ImportError as e:
    print(f"1..0 # SKIP {e}; set MASSC_PYTHON to a Python with numpy and onnx")
    sys.exit(0)
warnings.filterwarnings("ignore")
DATA = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
STORED = ("simple", "pytorch-operator", "pytorch-converted")
TIMEOUT = 120
SIZES = 16                      # elements of a tensor of sizes


# ---- cases: name, model, sets of (inputs, outputs), rtol, atol; tensors are serialised ----
def serialised(type_proto, v):
    if hasattr(v, "SerializeToString"):
        return v.SerializeToString()
    kind = type_proto.WhichOneof("value")
    if kind == "sequence_type":
        return nh.from_list(v).SerializeToString()
    if kind == "optional_type":
        return nh.from_optional(v).SerializeToString()
    return nh.from_array(np.asarray(v), "t").SerializeToString()


def node_cases():
    for c in collect_testcases(None):
        if c.model is not None:
            yield "node/" + c.name, c.model, c.data_sets, c.rtol, c.atol


def stored_cases():
    for kind in STORED:
        for name in sorted(os.listdir(os.path.join(DATA, kind))):
            folder = os.path.join(DATA, kind, name)
            sets = []
            for s in sorted(x for x in os.listdir(folder) if x.startswith("test_data_set")):
                files = os.listdir(os.path.join(folder, s))
                sets.append([[os.path.join(folder, s, f"{what}_{i}.pb") for i in range(sum(f.startswith(what) for f in files))] for what in ("input", "output")])
            yield f"{kind}/{name}", os.path.join(folder, "model.onnx"), sets, 1e-3, 1e-7


# ---- comparison ----
def parse(type_proto, data):
    kind = type_proto.WhichOneof("value")
    proto = onnx.SequenceProto() if kind == "sequence_type" else onnx.OptionalProto() if kind == "optional_type" else onnx.TensorProto()
    proto.ParseFromString(data)
    return nh.to_list(proto) if kind == "sequence_type" else nh.to_optional(proto) if kind == "optional_type" else nh.to_array(proto)


def half_ulps(r):
    """Two units in the last place of the largest element, for half types; else 0."""
    bits = {"float16": 10, "bfloat16": 7}.get(getattr(r, "dtype", np.dtype(bool)).name)
    return 2 * 2.0 ** (np.floor(np.log2(np.max(np.abs(r.astype(np.float64))))) - bits) if bits and r.size else 0


def difference(y, r, rtol, atol):
    """Empty when y is what r says."""
    if isinstance(r, list) or isinstance(y, list):
        if not isinstance(r, list) or not isinstance(y, list) or len(y) != len(r):
            return "another length of the sequence"
        return next((e for e in (difference(p, q, rtol, atol) for p, q in zip(y, r)) if e), "")
    if y is None or r is None:
        return "" if y is r else "one is absent"
    if y.dtype != r.dtype:
        return f"type {y.dtype}, expected {r.dtype}"
    if y.shape != r.shape:
        return f"shape {y.shape}, expected {r.shape}"
    if r.dtype.kind in "OUSbiu" and r.dtype.itemsize:
        n = int(np.sum(y != r))
        return f"{n} of {r.size} differ" if n else ""
    wide = (lambda x: x) if r.dtype.kind == "c" else (lambda x: x.astype(np.float64))
    if np.allclose(wide(y), wide(r), rtol=rtol, atol=atol, equal_nan=True):
        return ""
    with np.errstate(invalid="ignore"):
        return f"largest difference {np.nanmax(np.abs(wide(y) - wide(r))):.3g}"


# ---- one case at one level: (outcome, reason); outcome: pass, refused, crash, fails, wrong; absent: there is no such device ----
def command(folder, line):
    r = subprocess.run(line, capture_output=True, timeout=TIMEOUT, cwd=folder)
    return r.returncode, (r.stderr.decode(errors="replace").strip().splitlines() or [""])[-1][:300]


def run_sets(folder, model, sets, rtol, atol, rounds):
    constants = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in constants]
    if len(inputs) < len(sets[0][0]):
        inputs = list(model.graph.input)
    read = lambda t, v: open(v, "rb").read() if isinstance(v, str) else serialised(t.type, v)
    for xs, ys in sets:
        line = ["./m.bin"]
        for i, (t, x) in enumerate(zip(inputs, xs)):
            with open(os.path.join(folder, f"i{i}.pb"), "wb") as f:
                f.write(read(t, x))
            line += ["--input", f"{t.name}=i{i}.pb"]
        for i, t in enumerate(model.graph.output):
            line += ["--output", f"{t.name}=o{i}.pb"]
        status, text = command(folder, line)
        if status:
            return ("crash" if status < 0 or status >= 128 else "absent" if status == 69 and "not to be had" in text else "fails"), text or f"status {status}"
        for i, (t, r) in enumerate(zip(model.graph.output, ys)):
            r = parse(t.type, read(t, r))
            text = difference(parse(t.type, open(os.path.join(folder, f"o{i}.pb"), "rb").read()), r, rtol, max(atol, half_ulps(r)) if rounds else atol)
            if text:
                return "wrong", f"{t.name}: {text}"
    return "pass", ""


def on_host(massc, level, folder):
    """Does the processor compute more than sizes: a result of more than a shape's elements, or of floats?"""
    graph = subprocess.run([*massc, level, "m.onnx", "--emit=graph", "-o", "-"], capture_output=True, text=True, timeout=TIMEOUT, cwd=folder).stdout
    for line in graph.splitlines():
        m = re.match(r"\s+%\S+ = (\w+) .*: (\w+)\[([^\]]*)\]\S* cpu\b", line)
        if m and m[1] not in ("transfer", "copy", "view") and (m[2].startswith(("f", "bf", "tf")) or not all(d.isdigit() for d in m[3].split(",") if d) or np.prod([int(d) for d in m[3].split(",") if d]) > SIZES):
            return True
    return False


def run_case(massc, case, level, rounds):
    name, model, sets, rtol, atol = case
    folder = tempfile.mkdtemp(prefix="massc-case-")
    try:
        if isinstance(model, str):
            model = onnx.load(model)
        onnx.save(model, os.path.join(folder, "m.onnx"))
        status, text = command(folder, [*massc, level, "m.onnx", "-o", "m.bin"])
        if status:
            return ("absent" if "M0405" in text else "refused" if status == 1 else "crash"), text or f"status {status}"
        outcome, why = run_sets(folder, model, sets, rtol, atol, rounds)
        return outcome, "host" if outcome == "pass" and len(massc) > 1 and on_host(massc, level, folder) else why
    except subprocess.TimeoutExpired:
        return "fails", f"takes more than {TIMEOUT} s"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_expected(path):
    with open(path) as f:
        lines = [line.strip() for line in f if line.strip() and not line.startswith("#")]
    return {n.lstrip("~ ") for n in lines}, {n[2:] for n in lines if n.startswith("~ ")}


def bless(path, names, rounds):
    with open(path) as f:
        head = [line for line in f if line.startswith("#")]
    with open(path, "w") as f:
        f.writelines(head + [("~ " if n in rounds else "") + n + "\n" for n in sorted(names)])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("massc", type=os.path.abspath)
    p.add_argument("expected")
    p.add_argument("--target", default="")
    p.add_argument("--match", default="")
    p.add_argument("--levels", default="-O0,-O2")
    p.add_argument("--budget", type=float, default=0)
    p.add_argument("--seed", type=int, default=int(time.time() // 86400))
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--bless", action="store_true")
    p.add_argument("--json")
    a = p.parse_args()
    if os.environ.get("MASSC_FULL_TESTS"):
        a.budget = 0
    start, levels, massc = time.monotonic(), a.levels.split(","), [a.massc] + ([f"--target={a.target}"] if a.target else [])
    must, rounds = read_expected(a.expected)
    cases = [c for source in (node_cases, stored_cases) for c in source() if re.search(a.match, c[0])]
    gone = must - {c[0] for c in cases} if not a.match else set()
    if not a.match:
        random.Random(a.seed).shuffle(cases)
        cases.sort(key=lambda c: c[0] not in must)

    def job(case):
        if a.budget and time.monotonic() - start > a.budget:
            return None
        found = [(level, *run_case(massc, case, level, case[0] in rounds)) for level in levels]
        return next((f for f in found if f[1] not in ("pass", "refused")), next((f for f in found if f[1] != "pass"), found[0]))

    count, failed, passed, rows, lines, host = {}, 0, set(), [], 0, 0
    with futures.ThreadPoolExecutor(a.jobs) as pool:
        for case, result in zip(cases, pool.map(job, cases)):
            if not result:
                count["not run"] = count.get("not run", 0) + 1
                continue
            level, outcome, why = result
            name = case[0]
            if outcome == "absent":
                wanted = os.environ.get("MASSC_DEVICE") == a.target.split(":")[0]
                print(f"not ok 1 - {why}\n1..1" if wanted else f"1..0 # SKIP {why}", flush=True)
                os._exit(wanted)
            count[outcome] = count.get(outcome, 0) + 1
            rows.append([name, outcome, level, why])
            if outcome == "pass":
                passed.add(name)
                host += why == "host"
            ok = outcome == "pass" or (outcome == "refused" and name not in must)
            failed += not ok
            if outcome == "refused" and ok:
                continue
            lines += 1
            print(f"{'ok' if ok else 'not ok'} {lines} - {name}" + (f": {outcome} at {level}: {why}" if not ok else ""), flush=True)
    for name in sorted(gone):
        print(f"# {name} is not in this version of onnx", flush=True)
    for name in sorted(passed - must):
        print(f"# {name} passes and is not in {os.path.basename(a.expected)} (--bless adds it)")
    print(f"# seed {a.seed}; {len(cases)} cases: " + ", ".join(f"{v} {k}" for k, v in sorted(count.items())))
    if a.target and passed:
        print(f"# {a.target}: of {len(passed)} that pass, {host} have nodes beside arithmetic of sizes on the processor")
    print(f"1..{lines}")
    if a.bless:
        bless(a.expected, must | passed, rounds)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(sorted(rows), f, indent=0)
    return failed != 0


sys.exit(main())
