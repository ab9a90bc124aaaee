"""Runs the tests that need a device: device_tests.py cuda|opencl BUILD LOG. They fail, rather than being skipped, where there is none.

LOG is written as meson writes its own, one JSON object a line, for test_summary.py. Needs the build directory and Python's own library, no meson: a machine with a GPU need not be
one that builds."""
import ctypes, json, os, shutil, subprocess, sys, tempfile, time
from opencl_vendors import nvidia_alone

kind, build, log = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3]
tests = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests")
scratch = tempfile.mkdtemp(prefix="massc-device-")
env = dict(os.environ, MASSC_DEVICE=kind, MASSC=os.path.join(build, "compiler/massc"), MKMODEL=os.path.join(build, "models/mkmodel"), MASSC_OPT=os.path.join(build, "tools/massc-opt"))
gpu_cases = os.path.join(build, "tests/gpu/gpu_cases")
NETS = {"alexnet": ["width=8", "hidden=64", "classes=20"], "resnet50": ["width=8", "size=64", "classes=20"], "bert-base": ["layers=1", "width=32", "heads=2", "vocab=100", "positions=32"]}


def platforms():
    """Names of the OpenCL platforms that the tests will meet, the first of which they use."""
    os.environ.update(env)
    try:
        cl = ctypes.CDLL("libOpenCL.so.1")
    except OSError as e:
        return [str(e)]
    ids, n, name = (ctypes.c_void_p * 16)(), ctypes.c_uint(), ctypes.create_string_buffer(256)
    if cl.clGetPlatformIDs(16, ids, ctypes.byref(n)):
        return ["none"]
    return [name.value.decode() for i in range(n.value) if not cl.clGetPlatformInfo(ctypes.c_void_p(ids[i]), 0x0902, ctypes.c_size_t(256), name, None)]


def no_vendors():
    """Tests of CUDA say nothing of whatever OpenCL there is beside it."""
    os.mkdir(os.path.join(scratch, "none"))
    env["OCL_ICD_VENDORS"] = os.path.join(scratch, "none") + "/"


def record(name, *steps, timeout=900):
    """Runs commands (and their own environment) one after another, until one fails; what they print counts together."""
    out = err = ""
    result, start = "OK", time.monotonic()
    print(f"  {name}", flush=True)
    for args, more in steps:
        try:
            p = subprocess.run(args, capture_output=True, text=True, errors="replace", timeout=timeout, env=dict(env, **more))
            shown, status, err = p.stdout, p.returncode, err + p.stderr
        except (OSError, subprocess.TimeoutExpired) as e:
            shown, status, err = "", 1, f"{err}{e}\n"
        if "1.." in shown or status:
            out += shown
        if status or f"{'OpenCL' if kind == 'opencl' else 'NVRTC'} is absent" in shown:
            result = "FAIL"
            break
    with open(log, "a") as f:
        f.write(json.dumps({"name": name, "stdout": out, "stderr": err, "result": result, "duration": time.monotonic() - start}) + "\n")


def models():
    made = []
    for name, args in NETS.items():
        made.append(os.path.join(scratch, name + ".onnx"))
        subprocess.run([env["MKMODEL"], os.path.join(tests, "..", "models", name + ".yaml"), "-o", made[-1], *args], env=env, check=True)
    return made


env.update(nvidia_alone(scratch)) if kind == "opencl" else no_vendors()
if kind == "opencl":
    print("  platforms:", ", ".join(platforms()))
open(log, "w").close()
for name in ("devices", "kernels", "precision"):
    record(name, ([sys.executable, os.path.join(tests, "e2e", f"test_{name}.py")], {}))
if os.path.exists(gpu_cases):
    unit = os.path.join(build, "tests/unit/codegen/test_gpu")
    if kind == "opencl":
        record("nests", ([unit], {}))
        record("kernels of networks", ([gpu_cases, "--opencl", *models()], {}))
    else:
        nests, nets, runner = os.path.join(scratch, "nests"), os.path.join(scratch, "nets"), [sys.executable, os.path.join(tests, "gpu", "run.py")]
        os.mkdir(nests)
        os.mkdir(nets)
        record("nests: cases", ([unit], {"MASSC_GPU_CASES": nests}))
        record("nests", (runner + [nests], {}))
        record("kernels of networks", ([gpu_cases, nets, *models()], {}), (runner + [nets], {}))
else:
    print("  the tests of single kernels are not built")
cases = os.path.join(tests, "onnx")
record("ONNX cases", ([sys.executable, os.path.join(cases, "run_cases.py"), env["MASSC"], os.path.join(cases, "expected.txt"), f"--target={kind}", "--levels=-O2", "--budget=300", f"--jobs={os.cpu_count()}"], {}))
shutil.rmtree(scratch, ignore_errors=True)
