#!/usr/bin/env python3
"""Runs kernels on a GPU against expected results: run.py DIR, a folder that gpu_cases or MASSC_GPU_CASES=DIR of a unit test wrote. Needs the driver and Python alone.

Each case: the cubin for this device (sm_90a on 9.0, else sm_80) through the driver, outputs filled with 0xff before, 256 bytes behind every buffer watched. Prints TAP."""
import array, ctypes, glob, json, math, os, struct, sys

GUARD = 256
cu = ctypes.CDLL("libcuda.so.1")


def call(name, *args):
    e = getattr(cu, name)(*args)
    if e:
        s = ctypes.c_char_p()
        cu.cuGetErrorString(e, ctypes.byref(s))
        raise RuntimeError(f"{name}: {e} {(s.value or b'').decode()}")


def half(u):
    return struct.unpack("<e", struct.pack("<H", u))[0]


def bf16(u):
    return struct.unpack("<f", struct.pack("<I", u << 16))[0]


def values(elem, data):
    code = {"f32": "f", "f64": "d", "i8": "b", "u8": "B", "bool": "B", "i16": "h", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q", "f16": "H", "bf16": "H", "tf32": "f"}[elem]
    v = array.array(code, data)
    return [half(u) for u in v] if elem == "f16" else [bf16(u) for u in v] if elem == "bf16" else v


def differ(elem, want, got, tolerance):
    """The first place that is wrong, or None."""
    w, g = values(elem, want), values(elem, got)
    if "f" not in elem:
        return next((f"[{i}] is {g[i]}, want {w[i]}" for i in range(len(w)) if w[i] != g[i]), None)
    top = max((abs(x) for x in w if math.isfinite(x)), default=0)
    limit = top * (max(tolerance, {"f16": 2e-3, "bf16": 1e-2}.get(elem, 0)))
    for i in range(len(w)):
        a, b = w[i], g[i]
        if not (a == b or abs(a - b) <= limit or (a != a and b != b)):
            return f"[{i}] is {b}, want {a} (largest {top})"
    return None


def run(path, arch):
    c = json.load(open(path))
    stem = path[:-5]
    data = open(stem + ".bin", "rb").read()
    module, fn = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuModuleLoadData", ctypes.byref(module), open(f"{stem}.{arch}.cubin", "rb").read())
    call("cuModuleGetFunction", ctypes.byref(fn), module, c["entry"].encode())
    if c["dynamic"]:
        call("cuFuncSetAttribute", fn, 8, ctypes.c_int(c["dynamic"]))
    args, mem = [], []
    for a in c["args"]:
        n = a["n"] * a["bytes"]
        p = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(p), ctypes.c_size_t(n + GUARD))
        call("cuMemsetD8_v2", p, ctypes.c_ubyte(0xff), ctypes.c_size_t(n + GUARD))
        if n and not a["out"]:
            call("cuMemcpyHtoD_v2", p, data[a["offset"]:a["offset"] + n], ctypes.c_size_t(n))
        args.append(p)
        mem.append((a, n, p))
    args += [ctypes.c_int32(v) if b == 4 else ctypes.c_int64(v) for v, b in c["sizes"]]
    pointers = (ctypes.c_void_p * max(1, len(args)))(*[ctypes.cast(ctypes.pointer(a), ctypes.c_void_p) for a in args])
    wrong = None
    if c["blocks"]:
        call("cuLaunchKernel", fn, c["blocks"], 1, 1, c["lanes"], c["warps"], 1, c["dynamic"], None, pointers, None)
    call("cuCtxSynchronize")
    for i, (a, n, p) in enumerate(mem):
        back = ctypes.create_string_buffer(n + GUARD)
        call("cuMemcpyDtoH_v2", back, p, ctypes.c_size_t(n + GUARD))
        got, want = back.raw[:n], data[a["offset"]:a["offset"] + n]
        if back.raw[n:] != b"\xff" * GUARD:
            wrong = wrong or f"argument {i}: a store behind its end"
        if a["out"]:
            bad = differ(a["elem"], want, got, c["tolerance"])
            wrong = wrong or (bad and f"argument {i}: {bad}")
        elif got != want:
            wrong = wrong or f"argument {i}: an input is overwritten"
        call("cuMemFree_v2", p)
    call("cuModuleUnload", module)
    return wrong


def main():
    device, context, major, minor = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuDeviceGetAttribute", ctypes.byref(major), 75, device)
    call("cuDeviceGetAttribute", ctypes.byref(minor), 76, device)
    arch = os.environ.get("ARCH") or ("sm_90a" if (major.value, minor.value) == (9, 0) else "sm_80")
    cases = sorted(glob.glob(os.path.join(sys.argv[1], "*.json")))
    print(f"1..{len(cases)}\n# device {major.value}.{minor.value}, {arch}")
    failed = 0
    for i, path in enumerate(cases):
        wrong = run(path, arch)             # an error of the driver ends the run: the context is lost
        failed += wrong is not None
        print(f"{'not ok' if wrong else 'ok'} {i + 1} - {os.path.basename(path)[:-5]}{': ' + wrong if wrong else ''}", flush=True)
    print(f"# {len(cases) - failed} passed, {failed} failed")
    return failed != 0 or not cases


sys.exit(main())
