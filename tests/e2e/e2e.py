"""What the tests of whole programs share: cases printed as TAP, massc and mkmodel, tensor files. Needs nothing but Python's own library.

Environment: MASSC, MKMODEL, MASSC_OPT: the programs. MASSC_DEVICE: cuda or opencl, when the tests of that device were asked for (tools/test --device), and must not be skipped. A test is a script of functions marked @case("name"), ending with main(). A function fails by an exception,
raises Skip(reason) where it cannot run, and may return a text that is shown behind its name."""
import array, ast, os, platform, resource, shutil, signal, struct, subprocess, sys, tempfile, time, traceback

MASSC, MKMODEL, MASSC_OPT = (os.path.abspath(os.environ[k]) if os.environ.get(k) else None for k in ("MASSC", "MKMODEL", "MASSC_OPT"))
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ["LC_ALL"] = "C.UTF-8"


class Skip(Exception):
    pass


cases = []
folder = None       # a scratch folder, the current one while cases run


def case(name):
    def add(fn):
        cases.append((name, fn))
        return fn
    return add


def escape(text):
    return str(text).replace("#", "\\#").replace("\n", " ")


def main():
    """Runs all cases in a folder of their own."""
    global folder
    wanted = sys.argv[1:]
    failed = 0
    chosen = [(n, f) for n, f in cases if not wanted or any(w in n for w in wanted)]
    print(f"1..{len(chosen)}", flush=True)
    folder = tempfile.mkdtemp(prefix="massc-e2e-")
    os.chmod(folder, 0o755)
    os.chdir(folder)
    try:
        for i, (name, fn) in enumerate(chosen, 1):
            try:
                told = fn()
                print(f"ok {i} - {name}" + (f": {escape(told)}" if told else ""), flush=True)
            except Skip as e:
                print(f"ok {i} - {name} # SKIP {e}", flush=True)
            except Exception as e:
                failed += 1
                print(f"not ok {i} - {name}: {escape(e)[:300] or type(e).__name__}")
                for line in traceback.format_exc().splitlines()[-12:]:
                    print("#", line)
                sys.stdout.flush()
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed != 0)


# ---- processes ----
class Done:
    """What a process left: status (negative: ended by that signal), out, err (bytes decoded), seconds."""
    def __init__(self, args, status, out, err, seconds):
        self.args, self.status, self.out, self.err, self.seconds = args, status, out, err, seconds

    def __str__(self):
        return f"{' '.join(map(str, self.args))}: status {self.status}\n{self.out[-2000:]}{self.err[-3000:]}"


def run(*args, status=0, timeout=300, env=None, input=None, **more):
    """Runs a program, and insists on its exit status (None: any that is no signal)."""
    t = time.monotonic()
    p = subprocess.run([str(a) for a in args], capture_output=True, timeout=timeout, env=env, input=input, **more)
    done = Done(args, p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace"), time.monotonic() - t)
    assert "Sanitizer" not in done.err and "runtime error: " not in done.err, str(done)     # their exit status may look like one of ours
    assert p.returncode >= 0 if status is None else p.returncode == status, str(done)
    return done


def massc(*args, status=0, **more):
    done = run(MASSC, *args, status=None, **more)
    if status == 0 and "NVRTC is not installed" in done.err:
        raise Skip("NVRTC is not installed (PyPI: nvidia-cuda-nvrtc)")
    assert status is None or done.status == status, str(done)
    return done


def mkmodel(name, out, *args):
    run(MKMODEL, os.path.join(TESTS, "..", "models", name + ".yaml"), "-o", out, *args)
    return out


def tool(name, package):
    path = shutil.which(name)
    if not path:
        raise Skip(f"no {name} (Debian package {package})")
    return path


def write_npy(path, shape, values):
    """A float32 .npy file, as numpy writes it."""
    head = repr({"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + array.array("f", values).tobytes())


def small_alexnet(out="alexnet.onnx", *args):
    """A narrow AlexNet: every layer of the real one, half a megabyte."""
    return out if os.path.exists(out) and not args else mkmodel("alexnet", out, "width=8", "hidden=64", "classes=20", *args)


def small_resnet(out="resnet.onnx", *args):
    return out if os.path.exists(out) and not args else mkmodel("resnet50", out, "width=8", "size=64", "classes=20", *args)


# ---- devices ----
def of_device(kind):
    """Are tests of this kind of device wanted? All are, unless those of another were asked for."""
    return os.environ.get("MASSC_DEVICE", "") in ("", kind)


def missing(kind, reason):
    """A device of this kind, or what compiles for it, is not here: to be skipped, unless it was asked for."""
    assert os.environ.get("MASSC_DEVICE", "") != kind, f"{kind} was asked for: {reason}"
    raise Skip(reason)


def on_device(program, *args, status=0, **more):
    """Runs an executable for a device; Skip where there is none."""
    done = run(program, *args, status=None, **more)
    if done.status == 69 and "not to be had" in done.err:
        missing("cuda" if "cuda" in done.err.lower() else "opencl", done.err.strip()[-200:])
    assert done.status == status, str(done)
    return done


def massc_cuda(*args, status=0, **more):
    """massc where it needs NVRTC; Skip where that is not installed."""
    done = massc(*args, status=None, **more)
    if "M0405" in done.err:
        missing("cuda", done.err.strip()[-200:])
    assert done.status == status, str(done)
    return done


# ---- tensor files ----
def read_npy(path):
    """(shape, array of floats) of a float32 .npy file."""
    b = open(path, "rb").read()
    assert b[:6] == b"\x93NUMPY", path
    n, at = (struct.unpack("<H", b[8:10])[0], 10) if b[6] == 1 else (struct.unpack("<I", b[8:12])[0], 12)
    head = ast.literal_eval(b[at:at + n].decode())
    assert head["descr"] == "<f4" and not head["fortran_order"], head
    v = array.array("f")
    v.frombytes(b[at + n:])
    return head["shape"], v


def distance(a, b):
    """Largest difference over the largest value of b."""
    assert len(a) == len(b) and len(b), f"{len(a)} values, expected {len(b)}"
    assert all(x == x for x in a), "not a number"
    top = max(map(abs, b))
    return max(abs(x - y) for x, y in zip(a, b)) / top


def same(a, b, limit):
    (sa, va), (sb, vb) = read_npy(a), read_npy(b)
    assert sa == sb, f"{a} is {sa}, {b} is {sb}"
    d = distance(va, vb)
    assert d <= limit, f"{a} differs from {b} by {d:.3g} of the largest value; at most {limit}"
    return d
