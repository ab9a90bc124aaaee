"""The command line of an executable, on a network: what scripts rely on."""
from e2e import *
from onnx_wire import tensor, INT64
import array, json, re, zipfile

INPUT = ["--input", "input[2,3,224,224]=random:1"]


def program():
    if not os.path.exists("a.bin"):
        massc(small_alexnet(), "-o", "a.bin")
    return "./a.bin"


@case("--input, --output, --expect: files, tolerances, status 1 outside of them")
def files():
    p = program()
    run(p, *INPUT, "--output", "y.npy")
    run(p, *INPUT, "--output", "output=y.raw")
    assert open("y.raw", "rb").read() == read_npy("y.npy")[1].tobytes()
    assert run(p, *INPUT, "--expect", "y.npy").out.startswith("output: agrees")
    shape, v = read_npy("y.npy")
    v[7] += 0.01 * max(map(abs, v))
    write_npy("off.npy", shape, v)
    d = run(p, *INPUT, "--expect", "off.npy", status=1)
    assert "[0,7]" in d.out + d.err, d
    run(p, *INPUT, "--expect=off.npy", "--rtol=0", "--atol", str(0.011 * max(map(abs, v))))
    run(p, "--input", "input[2,3,224,224]=random:2", "--expect", "y.npy", status=1)
    run(p, "--input", "input[3,3,224,224]=random:1", "--expect", "y.npy", status=1)


@case("standard input and output are npy")
def pipes():
    p = program()
    write_npy("x.npy", (1, 3, 224, 224), (i % 17 / 8.5 - 1 for i in range(3 * 224 * 224)))
    run(p, "--input", "x.npy", "--output", "y.npy")
    done = subprocess.run([p, "--input", "-", "--output", "-"], stdin=open("x.npy", "rb"), stdout=open("z.npy", "wb"), timeout=60)
    assert done.returncode == 0 and open("z.npy", "rb").read() == open("y.npy", "rb").read()


# name, options of mkmodel, inputs: sizes that divide into no even parts
THREADED = {
    "alexnet": (["width=8", "hidden=64", "classes=20"], INPUT),
    "resnet50": (["width=16", "size=72", "classes=21"], ["--input", "input[3,3,72,72]=random:1"]),
    "yolov3": (["width=8", "size=96", "classes=5"], ["--input", "input[3,3,96,96]=random:1"]),
    "bert-base": (["layers=2", "width=96", "heads=3", "vocab=500"], ["--input", "input_ids[3,77]=random:1", "--input", "attention_mask=1", "--input", "token_type_ids=0"]),
    "gpt2": (["layers=2", "width=96", "heads=3", "vocab=503"], ["--input", "input_ids[3,77]=random:1"]),
}


def threads(net):
    """One thread takes the tasks in order; more share them, in whatever order they come."""
    def check():
        options, inputs = THREADED[net]
        massc(mkmodel(net, f"{net}.t.onnx", *options), "-o", "t.bin")
        seen = {}
        for n in ("1", "2", "3", "16", "16"):
            run("./t.bin", *inputs, "--threads", n, "--output", "n.npz")
            with zipfile.ZipFile("n.npz") as z:
                seen.setdefault(n, []).append({f: z.read(f) for f in z.namelist()})
        one = seen["1"][0]
        assert one and all(any(data) for data in one.values())
        for n, runs in seen.items():
            for got in runs:
                assert got == one, f"{n} threads: {[f for f in one if got.get(f) != one[f]]} differ"
    return check


for net in THREADED:
    case(f"{net}: the same bits on 1, 2, 3 and 16 threads, in every run")(threads(net))


@case("--bench --json: one object with the promised fields")
def bench():
    p = program()
    j = json.loads(run(p, "--bench=0.2", "--json", "--threads", "2").out)
    for k in ("median_ms", "p90_ms", "p99_ms", "min_ms", "runs", "threads", "start_ms", "peak_rss_bytes"):
        assert j[k] > 0, k
    assert j["min_ms"] <= j["median_ms"] <= j["p90_ms"] <= j["p99_ms"] and j["threads"] == 2, j
    assert "median" in run(p, "--bench", "0.1").out


@case("--info, --json, --profile, --help, --version, the summary")
def info():
    p = program()
    text = run(p, "--info").out
    assert "f32[batch,3,224,224]" in text and "features.0/Conv" in text, text
    j = json.loads(run(p, "--info", "--json").out)
    assert j["inputs"][0]["name"] == "input" and j["outputs"][0]["name"] == "output", j
    assert "features.0/Conv" in json.dumps(j)
    d = run(p, *INPUT, "--profile", "trace.json")
    assert "features.8/Conv" in d.out and json.load(open("trace.json")), d
    assert "--input" in run(p, "--help").out and "massc" in run(p, "--version").out
    d = run(p, *INPUT, "--top", "5")
    assert "f32[2,20]" in d.out and "top 5" in d.out, d


@case("--info: the hash tells weights apart, one bit of them too, and options; not names or places of files")
def hashes():
    def of(*args):
        massc(*args, "-o", "h.bin")
        return json.loads(run("./h.bin", "--info", "--json").out)["hash"]
    model = small_alexnet()
    raw = bytearray(open(model, "rb").read())
    os.makedirs("elsewhere", exist_ok=True)
    shutil.copy(model, "elsewhere/same.onnx")
    raw[len(raw) // 2] ^= 1                             # weights are nearly all of it
    open("bit.onnx", "wb").write(raw)
    first = of(model)
    assert re.fullmatch("[0-9a-f]{16}", first) and of(model) == of("elsewhere/same.onnx") == first
    several = of(model, "--target=cpu:x86-64-v2,x86-64-v3")
    others = [of("bit.onnx"), of(model, "-O0"), several, of("bit.onnx", "--target=cpu:x86-64-v2,x86-64-v3")]
    assert len({first, *others}) == 5, (first, others)


@case("--profile: every launch with its nodes, work, bytes and share of the floor; a trace by the rules of the Trace Event Format")
def profile():
    """Trace Event Format (Google, 2016), "JSON Object Format": what Perfetto and chrome://tracing ask for."""
    for model, args in ((small_alexnet(), INPUT), (small_bert(), []), (mkmodel("yolov3-tiny", "tiny.onnx", "width=4", "size=96", "classes=5"), [])):
        massc(model, "-o", "p.bin")
        launches = json.loads(run("./p.bin", "--info", "--json").out)["launches"]
        assert launches and all(x["nodes"] for x in launches), [x for x in launches if not x["nodes"]]
        table = run("./p.bin", *args, "--profile", "trace.json", "--threads", "2").out.splitlines()
        assert len(table) == 2 + len(launches), table
        for x in launches:
            rows = [r for r in table[2:] if f"{x['kernel']}: {x['nodes']}" in r]
            assert rows and re.match(r" *\d+\.\d +\d+\.\d% +\d+\.\d{3} +\d+\.\d{3} +\d+\.\d +\d+\.\d +\d+% +\d+\.\d  ", rows[0]), (x, table)
        check_trace(json.load(open("trace.json")), launches)
        j = json.loads(run("./p.bin", *args, "--profile", "trace.json", "--json").out)
        assert j["machine_gops"] > 0 and j["machine_gbytes_per_s"] > 0 and j["profile_run_ms"] > 0
        assert [(x["kernel"], x["nodes"]) for x in j["launches"]] == [(x["kernel"], x["nodes"]) for x in launches]
        for x in j["launches"]:
            floor = max(x["work"] / j["machine_gops"], x["bytes"] / j["machine_gbytes_per_s"]) / 1e3
            assert abs(x["floor_us"] - floor) <= 1e-3 + 1e-6 * floor and abs(x["share_of_floor"] - floor / (x["us"] + 1e-3)) <= 1e-3 + 0.01 * x["share_of_floor"], x
        for x, e in zip(j["launches"], (e for e in json.load(open("trace.json"))["traceEvents"] if e["ph"] == "X")):
            assert x["products"] == e["args"]["products"] and x["predicted_us"] == e["args"]["predicted_us"] > 0 and 0 <= 2 * x["products"] <= x["work"], (x, e)
            assert x["products"] > 0 if x["kernel"].startswith(("conv", "dot")) else x["products"] == 0 or not x["kernel"].startswith(("copy", "window")), x
        assert sum(x["us"] for x in j["launches"]) <= 1.001 * j["profile_run_ms"] * 1e3
    run("./p.bin", "--profile", "no/such/trace.json", status=74)


def check_trace(trace, launches):
    assert trace["displayTimeUnit"] in ("ms", "ns") and set(trace) == {"displayTimeUnit", "traceEvents"}
    events = trace["traceEvents"]
    for e in events:
        assert isinstance(e["name"], str) and e["name"] and e["ph"] in ("X", "M"), e
        assert isinstance(e["pid"], int) and isinstance(e["tid"], int) and isinstance(e["args"], dict), e
        assert isinstance(e["ts"], (int, float)) and e["ts"] >= 0, e
    meta = [e for e in events if e["ph"] == "M"]
    assert {e["name"] for e in meta} == {"process_name", "thread_name"} and all(isinstance(e["args"]["name"], str) for e in meta), meta
    done = [e for e in events if e["ph"] == "X"]
    assert [(e["name"], e["args"]["nodes"]) for e in done] == [(x["kernel"], x["nodes"]) for x in launches]
    assert all(isinstance(e["dur"], (int, float)) and e["dur"] >= 0 and isinstance(e["cat"], str) for e in done)
    assert all(e["args"]["work"] >= 0 and e["args"]["bytes"] > 0 and e["args"]["floor_us"] > 0 and e["args"]["share_of_floor"] > 0 for e in done)
    at = {}
    for e in done:                                      # complete events of one thread nest or follow each other; ours follow
        assert e["ts"] >= at.get((e["pid"], e["tid"]), 0) - 1e-6, e
        at[e["pid"], e["tid"]] = e["ts"] + e["dur"]


def small_bert():
    return "bert.onnx" if os.path.exists("bert.onnx") else mkmodel("bert-base", "bert.onnx", "layers=1", "width=32", "heads=2", "vocab=100", "positions=32")


def bert():
    if not os.path.exists("b.bin"):
        massc(small_bert(), "-o", "b.bin")
    return "./b.bin"


def npy_bytes(shape, code, values):
    write_npy("scratch.npy", shape, [])
    raw = open("scratch.npy", "rb").read()
    return raw.replace(b"'<f4'", {"q": b"'<i8'", "f": b"'<f4'"}[code]) + array.array(code, values).tobytes()


IDS, MASK, TYPES = [i * 7 % 100 for i in range(10)], [1] * 9 + [0], [0] * 5 + [1] * 5


@case("npz, pb, raw and npy hold the same; outputs too")
def formats():
    p = bert()
    values = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES}
    for level in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):        # np.savez, np.savez_compressed
        with zipfile.ZipFile(f"in{level}.npz", "w", level) as z:
            for k, v in sorted(values.items()):
                z.writestr(k + ".npy", npy_bytes((2, 5), "q", v))
    for k, v in values.items():
        open(k + ".npy", "wb").write(npy_bytes((2, 5), "q", v))
        open(k + ".pb", "wb").write(tensor(k, [2, 5], array.array("q", v).tobytes(), INT64))
        open(k + ".raw", "wb").write(array.array("q", v).tobytes())
    outs = ["--output", "last_hidden_state=h.npy", "--output", "pooler_output=p.npy"]
    each = lambda end: [w for k in values for w in ("--input", f"{k}={k}.{end}")]
    run(p, *each("npy"), *outs)
    want = [open(f, "rb").read() for f in ("h.npy", "p.npy")]
    in_order = [w for k in values for w in ("--input", k + ".npy")]
    sized = [w for k in values for w in ("--input", f"{k}[2,5]={k}.raw")]
    for given in (in_order, each("pb"), ["--input", "in0.npz"], ["--input=in8.npz"], ["--input", "in0.npz", "--input", "attention_mask=attention_mask.npy"], sized,
                  ["--input", "input_ids=in8.npz", *in_order[2:]]):
        run(p, *given, *outs)
        assert [open(f, "rb").read() for f in ("h.npy", "p.npy")] == want, given
    run(p, "--input", "in0.npz", "--output", "all.npz", "--output", "pooler_output=p.pb")
    with zipfile.ZipFile("all.npz") as z:
        assert z.testzip() is None and z.namelist() == ["last_hidden_state.npy"] and z.read("last_hidden_state.npy") == want[0], z.namelist()
    assert read_npy("p.npy")[1].tobytes() in open("p.pb", "rb").read()
    run(p, "--input", "in0.npz", "--output", "all.npz")
    for expected in (["all.npz"], ["pooler_output=p.pb", "last_hidden_state=h.npy"], ["h.npy", "p.npy"]):
        d = run(p, "--input", "in0.npz", *[w for e in expected for w in ("--expect", e)])
        assert d.out.count("agrees") == 2, d
    done = subprocess.run([p, "--input", "in0.npz", "--output", "pooler_output=-", "--output", "last_hidden_state=h.npy"], stdout=open("piped.npy", "wb"), timeout=60)
    assert done.returncode == 0 and open("piped.npy", "rb").read() == want[1]
    done = subprocess.run([p, "--input", "input_ids=-", "--input", "in0.npz", *outs], stdin=open("input_ids.npy", "rb"), timeout=60)
    assert done.returncode == 0 and open("p.npy", "rb").read() == want[1]


@case("sizes in brackets, random with seeds, zeros, numbers")
def fills():
    p = bert()
    three = lambda a, b, c: ["--input", "input_ids" + a, "--input", "attention_mask" + b, "--input", "token_type_ids" + c]
    shape = lambda *args: re.search(r"last_hidden_state: f32(\[.*?\])", run(p, *args).out).group(1)
    assert shape(*three("[3,7]=random", "=1", "=zeros")) == "[3,7,32]"           # sizes of one input serve the others
    assert shape(*three("=random:5", "=1", "[1,32]=0")) == "[1,32,32]"
    one, two = (run(p, *three(f"[2,9]=random:{k}", "=1", "=0")).out for k in (1, 2))
    assert one != two and run(p, *three("[2,9]=random:1", "=1", "=0")).out == one
    assert run(p, *three("[2,9]=0", "=1", "=0")).out == run(p, *three("[2,9]=zeros", "=1.0", "=0")).out
    a = program()
    assert "f32[5,20]" in run(a, "--input", "input[5]=random").out               # the dynamic dims alone
    assert "f32[1,20]" in run(a, "--input", "input=random").out
    for args, status, words in ((three("[2,9]=random", "[2,8]=1", "=0"), 1, ["attention_mask", "8", "9"]), (three("[2,33]=random", "=1", "=0"), 1, ["input_ids", "33", "1 to 32"]),
                                (three("[2]=random", "=1", "=0"), 1, ["input_ids", "1 sizes", "2"]), (three("[2,9,1]=random", "=1", "=0"), 1, ["input_ids", "3 sizes"]),
                                (three("[2,-9]=random", "=1", "=0"), 1, ["input_ids"]), (three("[2,9=random", "=1", "=0"), 1, ["input_ids[2,9"]), (three("[]=random", "=1", "=0"), 1, ["input_ids"]),
                                (three("[99999999999999999999,9]=random", "=1", "=0"), 1, ["input_ids"]), (three("[2147483647,32]=random", "=1", "=0"), None, ["memory"]),
                                (three("[2,9]=random:", "=1", "=0"), 2, ["random:SEED"]), (three("[2,9]=random:x", "=1", "=0"), 2, ["random:SEED"]), (three("[2,9]=randon", "=1", "=0"), 2, ["randon"]),
                                (three("[2,9]=1e", "=1", "=0"), 2, ["1e"]), (three("[2,9]=", "=1", "=0"), 2, ["input_ids"])):
        d = run(p, *args, status=status)
        assert d.status and all(w in d.err for w in words) and len(d.err.splitlines()) == 1, d


@case("silly command lines: a line that says why, the promised status, no crash")
def silly():
    p = program()
    rows = [(2, ["--"]), (2, ["-"]), (2, [""]), (2, ["x.npy"]), (2, ["--input="]), (2, ["--input", ""]), (2, ["--output", "", *INPUT]), (2, ["--bench=x", *INPUT]), (2, ["--bench=-1", *INPUT]), (2, ["--bench=nan", *INPUT]),
            (2, ["--bench=1e99", *INPUT]), (2, ["--threads", "-1", *INPUT]), (2, ["--threads=1.5", *INPUT]), (2, ["--threads=99999999", *INPUT]), (2, ["--threads=", *INPUT]), (2, ["--rtol", "-1", *INPUT]), (2, ["--rtol=nan", *INPUT]),
            (2, ["--atol=x", *INPUT]), (2, ["--top=0", *INPUT]), (2, ["--info=1"]), (2, ["--json=1"]), (2, ["--help=1"]), (2, ["--Input", "x"]), (2, ["--inputs=x"]), (2, ["-h"]), (2, ["--output", "y.jpg", *INPUT]),
            (2, ["--output", "-", "--json", *INPUT]), (2, [*INPUT, *INPUT]), (1, ["--output", "a.npy", "--output", "output=b.npy", *INPUT]), (1, ["--output", "a.npy", "--output", "b.npy", *INPUT]), (1, ["--output", "nobody=a.npy", *INPUT]),
            (1, ["--input", "nobody=random"]), (74, ["--expect", "absent.npy", *INPUT]), (74, ["--profile", "/dev/full/x", *INPUT]), (74, ["--input", "."  + "/" * 5000 + "x.npy"]), (1, ["--input", "[2]=random"]), (1, ["--input", "=random"]),
            (1, ["--input", "input[" + "1," * 300 + "1]=random"]), (69, ["--device", "cuda", *INPUT]), (69, ["--device", "tpu:0", *INPUT]), (2, ["--input", "a" * 100000])]
    for status, args in rows:
        d = run(p, *args, status=None, timeout=60, input=b"")
        assert d.status == status, f"{status} expected: {str(d)[:1500]}"
        assert len(d.err.splitlines()) == 1 and d.err.startswith("a.bin: ") and not d.out, str(d)[:1500]
    assert not os.path.exists("a.npy") and not os.path.exists("b.npy")
    for args in (["--help", "--nonsense"], ["--threads", "0", "--help"]):
        run(p, *args, status=2)
    assert run(p, "--input", "-", *["--output", "-"], status=None, input=b"").status in (1, 74)
    assert run(p, "--input", "input=nan", "--output", "nan.npy").status == 0 and all(x != x for x in read_npy("nan.npy")[1])
    d = run(p, "--input", "input=inf")
    assert "20 of 20 not a number" in d.out or "nan" in d.out.lower(), d


main()
