"""Hostile and wrong models: each gives a diagnostic, status 1 (74 where the file cannot be read), no output, in bounded time and memory."""
from e2e import *
from onnx_wire import *
import random, re

LIMIT = 4 << 30         # address space; a small hostile model needs no more
with open(MASSC, "rb") as f:
    if b"__asan_init" in f.read():                      # the sanitizer's shadow takes terabytes of it
        LIMIT = resource.RLIM_INFINITY
RELU = [node("Relu", ["x"], ["y"])]
X, Y = [value("x", [1, 3, 8, 8])], [value("y", None)]


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def compile(data, *args, name="bad.onnx"):
    """Runs massc on these bytes; whatever they are: no signal, no internal error, no leftovers."""
    with open(name, "wb") as f:
        f.write(data)
    before = set(os.listdir("."))
    d = massc(*args, name, "-o", "bad.bin", status=None, timeout=60, preexec_fn=limited)
    assert d.status in (0, 1, 74), d
    assert "internal error" not in d.err, d
    left = set(os.listdir(".")) - before - ({"bad.bin"} if d.status == 0 else set())
    assert not left, f"left behind: {left}"
    if d.status == 0:
        os.remove("bad.bin")
    return d


def refused(data, code, *words, status=1):
    """Refused with this code (or one that begins so), in one line of the promised form that says all of the words."""
    d = compile(data)
    assert d.status == status, f"status {d.status}, should be refused with {code}: {d}"
    lines = [line for line in d.err.splitlines() if re.search(rf"error {code}\d*: ", line)]
    assert lines, f"no {code}: {d}"
    assert all(re.match(r'^bad\.onnx: ("(\\.|[^"\\])*" )?(\(\w[\w.]*\)?:? ?)?', line) and line.startswith("bad.onnx: ") for line in lines), d
    assert any(all(w in line for w in words) for line in lines), f"a line with {words} expected: {d}"
    return d


def good():
    return model(graph(RELU, X, Y))


@case("what the others are variations of is fine")
def fine():
    assert compile(good()).status == 0
    assert compile(open(small_alexnet(), "rb").read()).status == 0


@case("no file, a folder, an empty file, no permission")
def files():
    os.makedirs("folder.onnx", exist_ok=True)
    for name in ("missing.onnx", "folder.onnx", "missing/too.onnx"):
        d = massc(name, "-o", "bad.bin", status=74)
        assert d.err.startswith(f"{name}: error M0001: "), d
    refused(b"", "M0101")
    if os.geteuid():
        open("secret.onnx", "wb").write(good())
        os.chmod("secret.onnx", 0)
        massc("secret.onnx", "-o", "bad.bin", status=74)


@case("other kinds of files")
def other_kinds():
    for data in (b"\x7fELF" + bytes(1000), b"PK\x03\x04" + bytes(100), b"{}", b"\x00" * 4096, b"hello, world\n" * 100, b"\x08", b"\xff" * 64, open(MASSC, "rb").read(100000)):
        refused(data, "M0101")


@case("truncated anywhere")
def truncated():
    data = good()
    for n in range(len(data)):
        d = compile(data[:n])
        assert d.status == 1 and re.search(r"error M01\d\d|error M02\d\d", d.err), f"{n} of {len(data)} bytes: {d}"
    big = open(small_alexnet(), "rb").read()
    rng = random.Random(1)
    for n in sorted(rng.randrange(len(big)) for _ in range(25)):
        d = compile(big[:n])
        assert d.status == 1 and "error M01" in d.err, f"{n} of {len(big)} bytes: {d}"


@case("random bytes")
def noise():
    rng = random.Random(2)
    for n in (1, 2, 3, 7, 40, 500, 5000, 100000):
        for _ in range(6):
            assert compile(rng.randbytes(n)).status == 1


@case("flipped bits in the structure of a network")
def flipped():
    tiny = model(graph([node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", ["c"], ["r"]), node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2]),
                        node("Flatten", ["p"], ["f"], axis=1), node("Gemm", ["f", "m"], ["y"], alpha=0.5, transB=1)],
                       X, Y, [tensor("w", [4, 3, 3, 3]), tensor("b", [4]), tensor("m", [5, 36])]))
    assert compile(tiny).status == 0
    rng = random.Random(3)
    end = {0: 0, 1: 0}
    for _ in range(150):
        b = bytearray(tiny)
        for _ in range(rng.choice((1, 1, 2, 5))):
            k = rng.randrange(len(b))
            b[k] ^= 1 << rng.randrange(8)
        end[compile(bytes(b)).status] += 1
    return f"{end[0]} still compile, {end[1]} are refused"


@case("nested too deeply: messages, subgraphs, types")
def deep():
    inner = b""
    for _ in range(4000):
        inner = msg(1, msg(5, msg(6, inner)))           # a node with an attribute that is a graph of a node with ..
    refused(model(inner), "M0102")
    g = graph([node("Relu", ["x"], ["y"])], [], Y)
    for i in range(3000):
        g = graph([node("If", ["c"], ["y"], name=f"If_{i}", attrs=[subgraph("then_branch", g), subgraph("else_branch", graph([], [], []))])], [], Y)
        if len(g) > 1 << 22:
            break
    d = compile(model(graph([node("If", ["c"], ["y"], attrs=[subgraph("then_branch", g)])], [value("c", [], BOOL)], Y)))
    assert d.status == 1 and "error M0102" in d.err, d
    t = b""
    for _ in range(2000):
        t = msg(4, msg(1, t))                           # sequence of sequence of ..
    d = compile(model(graph(RELU, [msg(1, "x") + msg(2, t)], Y)))
    assert d.status == 1, d


@case("cycles")
def cycles():
    refused(model(graph([node("Relu", ["y"], ["y"], name="self")], X, Y)), "M0105", "self")
    d = refused(model(graph([node("Add", ["x", "b"], ["a"], name="first"), node("Relu", ["a"], ["b"], name="second"), node("Relu", ["b"], ["y"], name="third")], X, Y)), "M0105", "cycle")
    n = 20000
    ring = [node("Relu", [f"t{(i - 1) % n}"], [f"t{i}"], name=f"n{i}") for i in range(n)]
    refused(model(graph(ring, X, [value("t0", None)])), "M0105")


@case("missing, absent and duplicate names")
def names():
    refused(model(graph([node("Relu", ["nowhere"], ["y"])], X, Y)), "M0105", "Relu_0", "nowhere")
    refused(model(graph(RELU, X, [value("z", None)])), "M0105", "z")
    refused(model(graph([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"], name="again")], X, Y)), "M0105", "again", "y")
    refused(model(graph([node("Relu", ["x"], ["x"], name="over")], X, X)), "M0105", "over")
    refused(model(graph(RELU, X + X, Y)), "M0105", "x")
    refused(model(graph(RELU, X, Y, [tensor("w", [2]), tensor("w", [3])])), "M0105", "w")
    refused(model(graph([node("Relu", [""], ["y"])], X, Y)), "M0203", "Relu_0")
    refused(model(graph([node("Relu", [], ["y"])], X, Y)), "M0203", "Relu_0")
    refused(model(graph([node("Relu", ["x", "x"], ["y"])], X, Y)), "M0203", "Relu_0")
    refused(model(graph([node("Relu", ["x"], [])], X, Y)), "M0", "y")
    refused(model(graph([node("Relu", ["x"], ["y", "z"])], X, [value("z", None)])), "M0", "z")
    refused(model(graph([], [], [])), "M0105")
    refused(model(graph(RELU, X, [])), "M0105")


@case("names with control characters, quotes and no UTF-8 are shown escaped")
def escaped():
    d = refused(model(graph([node("Relu", ["nowhere"], ["y"], name='a"b\n\x1b[31m\\')], X, Y)), "M0105")
    assert "\x1b" not in d.err and len(d.err.splitlines()) == 1, d
    d = compile(model(graph([msg(1, b"\xff\xfe") + msg(2, "y") + msg(3, b"\x80\n") + msg(4, "Relu")], X, Y)))
    assert d.status == 1 and "\x80" not in d.err, d


@case("wrong ranks, shapes and types")
def shapes():
    conv = [node("Conv", ["x", "w"], ["y"], name="Conv_17")]
    refused(model(graph(conv, X, Y, [tensor("w", [4, 256, 3, 3])])), "M0201", '"Conv_17" (Conv)', "256", "3")
    refused(model(graph(conv, X, Y, [tensor("w", [4, 3])])), "M0201", "Conv_17")
    refused(model(graph(conv, [value("x", [8])], Y, [tensor("w", [4, 3, 3, 3])])), "M0201", "Conv_17")
    refused(model(graph([node("Conv", ["x", "w"], ["y"], kernel_shape=[5, 5])], X, Y, [tensor("w", [4, 3, 3, 3])])), "M0", "Conv_0")
    refused(model(graph([node("Conv", ["x", "w"], ["y"], strides=[0, 1])], X, Y, [tensor("w", [4, 3, 3, 3])])), "M0302", "strides")
    refused(model(graph([node("Conv", ["x", "w"], ["y"], group=0)], X, Y, [tensor("w", [4, 3, 3, 3])])), "M0302", "group")
    refused(model(graph([node("Conv", ["x", "w"], ["y"], pads=[1, 1])], X, Y, [tensor("w", [4, 3, 3, 3])])), "M0302", "pads")
    refused(model(graph([node("Conv", ["x", "w"], ["y"], kernel_shape=[9, 9])], X, Y, [tensor("w", [4, 3, 9, 9])])), "M0201", "Conv_0")
    refused(model(graph([node("MaxPool", ["x"], ["y"])], X, Y)), "M0302", "kernel_shape")
    refused(model(graph([node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[1 << 40, 1], pads=[1 << 62, 0, 0, 0])], X, Y)), "M0")
    refused(model(graph([node("Add", ["x", "w"], ["y"])], X, Y, [tensor("w", [5])])), "M0201", "Add_0", "f32[1,3,8,8]", "5", "axis 3")
    refused(model(graph([node("MatMul", ["x", "w"], ["y"])], X, Y, [tensor("w", [5, 2])])), "M0201", "MatMul_0")
    refused(model(graph([node("Gemm", ["x", "w"], ["y"])], X, Y, [tensor("w", [5, 2])])), "M0201", "Gemm_0")
    refused(model(graph([node("Concat", ["x", "w"], ["y"], axis=1)], X, Y, [tensor("w", [1, 3, 8, 9])])), "M0201", "Concat_0", "f32[1,3,8,9]", "axis 3")
    refused(model(graph([node("Concat", ["x", "x"], ["y"], axis=4)], X, Y)), "M0302", "axis")
    refused(model(graph([node("Transpose", ["x"], ["y"], perm=[0, 1, 1, 2])], X, Y)), "M0302", "perm")
    refused(model(graph([node("Add", ["x", "w"], ["y"])], X, Y, [tensor("w", [3, 1, 1], elem=INT64)])), "M0202", "Add_0", "i64")
    refused(model(graph([node("Relu", ["x"], ["y"])], [value("x", [2], STRING)], Y)), "M0301", "x", "string")
    refused(model(graph([node("Relu", ["x"], ["y"])], [value("x", [2], 99)], Y)), "M0", "x", "element type")
    refused(model(graph([node("Reshape", ["x", "s"], ["y"])], X, Y, [tensor("s", [2], struct.pack("<2q", 7, -1), INT64)])), "M0201", "Reshape_0")
    refused(model(graph([node("Reshape", ["x", "s"], ["y"])], X, Y, [tensor("s", [2], struct.pack("<2q", -1, -1), INT64)])), "M0302", "Reshape_0", "-1")
    refused(model(graph(RELU, [value("x", None)], Y)), "M0201", "x", "--shape")
    refused(model(graph(RELU, [value("x", [1] * 17)], Y)), "M0201", "x", "16")


@case("absurd sizes: dims of 2^62, products that overflow, negative dims")
def absurd():
    for dims in ([1 << 62], [1 << 62, 4], [-5, 3], [1 << 31, 1 << 31, 1 << 31], [(1 << 63) - 1]):
        if dims[0] > 0:                                 # negative sizes of inputs are old exporters' way to say that they are unknown
            refused(model(graph(RELU, [value("x", dims)], Y)), "M0201", "x")
        refused(model(graph([node("Add", ["x", "w"], ["y"])], X, Y, [tensor("w", dims, b"1234")])), "M0", "w")
    refused(model(graph([node("Pad", ["x", "p"], ["y"])], X, Y, [tensor("p", [8], struct.pack("<8q", *[1 << 62] * 8), INT64)])), "M0201", "Pad_0")
    refused(model(graph([node("Expand", ["x", "s"], ["y"])], X, Y, [tensor("s", [6], struct.pack("<6q", 1 << 40, 1 << 40, 1, 3, 8, 8), INT64)])), "M0201", "Expand_0")
    refused(model(graph([node("ConstantOfShape", ["s"], ["y"])], X, Y, [tensor("s", [3], struct.pack("<3q", 1 << 30, 1 << 30, 1 << 30), INT64)])), "M0")
    doubling = [node("Concat", [f"t{i}"] * 64, [f"t{i + 1}"], axis=0, name=f"c{i}") for i in range(20)]
    refused(model(graph(doubling, [value("t0", [64])], [value("t20", None)])), "M0201", "c")


@case("a result that is huge but legal is planned or refused, not built")
def huge():
    d = compile(model(graph([node("Expand", ["x", "s"], ["y"])], [value("x", [1])], Y, [tensor("s", [1], struct.pack("<q", 1 << 36), INT64)])))
    assert d.status in (0, 1), d
    compile(model(graph([node("ConstantOfShape", ["s"], ["c"]), node("Add", ["c", "x"], ["y"])], [value("x", [1])], Y, [tensor("s", [1], struct.pack("<q", 1 << 33), INT64)])))


@case("operators and domains that nobody knows; every unsupported node is listed")
def unknown():
    refused(model(graph([node("Frobnicate", ["x"], ["y"], name="f")], X, Y)), "M0301", '"f" (Frobnicate)')
    refused(model(graph([node("Relu", ["x"], ["y"], domain="com.example")], X, Y)), "M0104", "com.example")
    refused(model(graph([node("Relu", ["x"], ["y"], name="r", domain="com.example")], X, Y), opsets=[("", 17), ("com.example", 1)]), "M0301", "com.example")
    d = refused(model(graph([node("Foo", ["x"], ["a"], name="n1"), node("Relu", ["a"], ["b"], name="n2"), node("Bar", ["b"], ["c"], name="n3"), node("Foo", ["c"], ["y"], name="n4")], X, Y)), "M0301")
    for n in ("n1", "n3", "n4"):
        assert f'"{n}"' in d.err, d
    assert '"n2"' not in d.err, d
    j = massc("check", "bad.onnx", status=1)
    assert all(f'"{n}"' in j.err + j.out for n in ("n1", "n3", "n4")), j
    many = [node("Foo", ["x"], [f"t{i}"], name=f"n{i}") for i in range(5000)]
    assert len(compile(model(graph(many, X, [value("t7", None)]))).err.splitlines()) < 200


@case("opsets: of the future, none, absurd, before an operator was there")
def opsets():
    refused(model(graph(RELU, X, Y), opset=1000), "M0104", "1000")
    refused(model(graph(RELU, X, Y), opset=1 << 62), "M0104")
    refused(model(graph(RELU, X, Y), opset=-1), "M0104")
    refused(model(graph(RELU, X, Y), opset=0), "M0104")
    refused(model(graph(RELU, X, Y), opsets=[]), "M0104")
    refused(model(graph([node("LayerNormalization", ["x", "w"], ["y"], name="ln")], X, Y, [tensor("w", [8])]), opset=9), "M0", "ln")


@case("initialisers whose bytes do not fit their shape")
def initialisers():
    for raw in (b"", b"123", bytes(27), bytes(29), bytes(1000)):
        refused(model(graph([node("Add", ["x", "w"], ["y"])], X, Y, [tensor("w", [7], raw)])), "M0103", "w")
    both = tensor("w", [2], bytes(8)) + msg(4, struct.pack("<2f", 1, 2))
    d = compile(model(graph([node("Add", ["x", "w"], ["y"])], X, Y, [both])))
    assert d.status == 1, d
    strings = num(1, 8) + num(2, STRING) + msg(8, "w") + msg(6, "a")
    assert compile(model(graph([node("Add", ["x", "w"], ["y"])], X, Y, [strings]))).status == 1


def external_tensor(name, location, offset=0, length=12):
    entry = lambda k, v: msg(13, msg(1, k) + msg(2, v))
    return num(1, 3) + num(2, FLOAT) + msg(8, name) + entry("location", location) + entry("offset", str(offset)) + entry("length", str(length)) + num(14, 1)


def with_data(*args, **kw):
    return model(graph([node("Add", ["x", "w"], ["y"])], [value("x", [3])], Y, [external_tensor("w", *args, **kw)]))


@case("external data: outside of the folder, links, absent, too short")
def external():
    open("w.bin", "wb").write(struct.pack("<3f", 1, 2, 3))
    outside = "../outside-massc-e2e.bin"
    open(outside, "wb").write(bytes(12))
    for name in ("link.bin", "hard.bin", "pipe"):
        if os.path.lexists(name):
            os.remove(name)
    os.symlink(outside, "link.bin")
    os.link(outside, "hard.bin")
    os.mkfifo("pipe")
    try:
        assert compile(with_data("w.bin")).status == 0
        for location in (outside, os.path.abspath("w.bin"), "/etc/passwd", "/dev/zero", "folder/../" + outside, "./", "", "pipe"):
            refused(with_data(location), "M0106", location, "--external-root")
        refused(with_data("link.bin"), "M0106", "link")
        refused(with_data("hard.bin"), "M0106", "hard link")
        refused(with_data("absent.bin"), "M0001", "absent.bin", status=74)
        refused(with_data("w.bin", offset=4), "M0103", "w")
        for offset in (1 << 62, (1 << 64) - 4, 1 << 64, -4, "", "0x0", "1e3"):
            refused(with_data("w.bin", offset=offset), "M0103", "w")
        for length in (8, 0, 16, 1 << 62, -1):
            refused(with_data("w.bin", length=length), "M0103", "w")
    finally:
        os.remove(outside)


@case("--external-root: data lies there, and nowhere else; hard links are read")
def external_root():
    for folder in ("data", "data/deep"):
        os.makedirs(folder, exist_ok=True)
    open("w.bin", "wb").write(struct.pack("<3f", 1, 2, 3))
    open("data/v.bin", "wb").write(struct.pack("<3f", 1, 2, 3))
    for name in ("data/hard.bin", "data/deep/link.bin"):
        if os.path.lexists(name):
            os.remove(name)
    os.link("w.bin", "data/hard.bin")
    os.symlink("../v.bin", "data/deep/link.bin")
    for location, status in (("v.bin", 0), ("hard.bin", 0), ("w.bin", 74), ("../w.bin", 1), ("deep/../v.bin", 1), ("deep/link.bin", 1)):
        write("root.onnx", with_data(location))
        d = massc("--external-root", "data", "-MD", "root.onnx", "-o", "root.bin", status=status)
        if status == 0:
            assert open("root.d").read() == f"root.bin: root.onnx data/{location}\n", open("root.d").read()
    massc("--external-root=absent", "root.onnx", "-o", "root.bin", status=74)


@case("external data: tensors that overlap are refused, those that share all bytes are not")
def overlap():
    open("o.bin", "wb").write(struct.pack("<9f", *range(9)))

    def two(offset, name="o.bin"):
        return model(graph([node("Add", ["v", "x"], ["t"]), node("Add", ["t", "w"], ["y"])], [value("x", [3])], Y, [external_tensor("v", "o.bin", 12), external_tensor("w", name, offset)]))
    for offset in (0, 12, 24):
        assert compile(two(offset)).status == 0
    for offset in (1, 8, 11, 13, 16, 23):
        refused(two(offset), "M0103", "overlaps", '"v"' if offset > 12 else '"w"')
    refused(two(8, "./o.bin"), "M0103", "overlaps")     # the same file
    os.remove("o.bin")


@case("20,000 nodes in a row")
def long():
    n = 20000
    chain = [node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"r{i}") for i in range(n)]
    t = time.monotonic()
    d = massc("--emit=ir", "-q", write("chain.onnx", model(graph(chain, [value("t0", [4])], [value(f"t{n}", None)]))), "-o", "chain.ir", timeout=120)
    return f"{n} nodes imported in {time.monotonic() - t:.1f} s"


def write(name, data):
    with open(name, "wb") as f:
        f.write(data)
    return name


main()
