"""The command line of an executable, on a network: what scripts rely on."""
from e2e import *
import json

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


@case("the same bits for any number of threads, in every run")
def threads():
    p = program()
    run(p, *INPUT, "--output", "y.npy")
    for n in ("1", "2", "3", "7"):
        run(p, *INPUT, "--threads", n, "--output", "n.npy")
        assert open("n.npy", "rb").read() == open("y.npy", "rb").read(), f"{n} threads"


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


main()
