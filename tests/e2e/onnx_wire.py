"""ONNX models byte by byte: what protobuf libraries refuse to write is what a reader has to stand. Field numbers are ONNX's (onnx.proto)."""
import struct

FLOAT, INT64, STRING, BOOL, FLOAT16, DOUBLE = 1, 7, 8, 9, 10, 11


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while True:
        out.append(v & 0x7f | (0x80 if v > 0x7f else 0))
        v >>= 7
        if not v:
            return bytes(out)


def num(field, v):
    return varint(field << 3) + varint(v)


def msg(field, b):
    b = b.encode() if isinstance(b, str) else b
    return varint(field << 3 | 2) + varint(len(b)) + b


def tensor(name, dims, raw=None, elem=FLOAT, more=b""):
    """raw None: zeros that fit."""
    if raw is None:
        n = {FLOAT: 4, INT64: 8, DOUBLE: 8, FLOAT16: 2, BOOL: 1}[elem]
        for d in dims:
            n *= d
        raw = bytes(n)
    return b"".join(num(1, d) for d in dims) + num(2, elem) + msg(8, name) + msg(9, raw) + more


def floats(name, dims, values):
    return tensor(name, dims, struct.pack(f"<{len(values)}f", *values))


def value(name, dims, elem=FLOAT):
    """dims None: no shape; a dim may be a number, a name, or None."""
    if dims is None:
        shape = b""
    else:
        shape = msg(2, b"".join(msg(1, b"" if d is None else msg(2, d) if isinstance(d, str) else num(1, d)) for d in dims))
    return msg(1, name) + msg(2, msg(1, num(1, elem) + shape))


def attr(name, v):
    """An attribute of the type of v: int, float, str, bytes (a tensor), or a list of ints."""
    if isinstance(v, bool) or isinstance(v, int):
        return msg(1, name) + num(3, v) + num(20, 2)
    if isinstance(v, float):
        return msg(1, name) + varint(2 << 3 | 5) + struct.pack("<f", v) + num(20, 1)
    if isinstance(v, str):
        return msg(1, name) + msg(4, v) + num(20, 3)
    if isinstance(v, bytes):
        return msg(1, name) + msg(5, v) + num(20, 4)
    return msg(1, name) + b"".join(num(8, x) for x in v) + num(20, 7)


def subgraph(name, g):
    return msg(1, name) + msg(6, g) + num(20, 5)


def node(op, ins, outs, name=None, domain="", attrs=(), **kw):
    return b"".join(msg(1, i) for i in ins) + b"".join(msg(2, o) for o in outs) + msg(3, f"{op}_0" if name is None else name) + msg(4, op) + (msg(7, domain) if domain else b"") + \
        b"".join(msg(5, a) for a in attrs) + b"".join(msg(5, attr(k, v)) for k, v in kw.items())


def graph(nodes, inputs, outputs, tensors=(), more=b""):
    return b"".join(msg(1, n) for n in nodes) + msg(2, "g") + b"".join(msg(5, t) for t in tensors) + b"".join(msg(11, i) for i in inputs) + b"".join(msg(12, o) for o in outputs) + more


def model(g, opset=17, opsets=None, ir_version=8, more=b""):
    """opsets: [(domain, version)] instead of opset."""
    sets = [("", opset)] if opsets is None else opsets
    return num(1, ir_version) + msg(7, g) + b"".join(msg(8, msg(1, d) + num(2, v)) for d, v in sets) + more
