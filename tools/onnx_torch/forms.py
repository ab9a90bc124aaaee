"""Compositions that PyTorch has a function for. A form is tried at its last node: (builder, node) -> what the node computes, or None. The nodes before it have been translated
one by one, and go when nothing else reads them."""
import math
import torch
import torch.nn.functional as F
from . import ops
from .build import Value, attributes_of

DEPTH = 8          # of what stands between the products of attention
CLOSE = 1e-3       # constants of GELU are spelled with 3 to 16 digits


def close(x, y):
    return x is not None and abs(x - y) <= CLOSE * abs(y)


def by_number(b, node):
    """(name, factor) of a node that scales by a constant number."""
    if node.op_type in ("Mul", "Div"):
        x, y = node.input
        if b.scalar(y) is not None:
            return x, b.scalar(y) if node.op_type == "Mul" else 1 / b.scalar(y)
        if b.scalar(x) is not None and node.op_type == "Mul":
            return y, b.scalar(x)
    return None


def plus_number(b, node):
    """(name, number) of a sum with a constant number."""
    x, y = node.input
    return (x, b.scalar(y)) if b.scalar(y) is not None else (y, b.scalar(x)) if b.scalar(x) is not None else None


# ---- attention: softmax(scale * (q . k) + mask) . v ----
def scores(b, name, depth=DEPTH):
    """[q, transposed k, scale, mask] of what stands before the softmax; mask: None, ("add", name), ("keep", name) or ("drop", name)."""
    n = b.producer.get(name)
    if n is None or not depth:
        return None
    if n.op_type == "MatMul":
        return [*n.input, 1.0, None] if all(isinstance(b.env[i], Value) and b.env[i].dim() in (3, 4) for i in n.input) else None
    scaled = by_number(b, n)
    if scaled:
        found = scores(b, scaled[0], depth - 1)
        if found and not (found[3] and found[3][0] == "add"):
            return [*found[:2], found[2] * scaled[1], found[3]]
    if n.op_type == "Add":
        for x, mask in (n.input, reversed(n.input)):
            found = scores(b, x, depth - 1)
            if found and not found[3]:
                return [*found[:3], ("add", mask)]
    if n.op_type == "Where":
        for x, low, kind in ((n.input[1], n.input[2], "keep"), (n.input[2], n.input[1], "drop")):
            found = scores(b, x, depth - 1) if b.scalar(low) is not None and b.scalar(low) <= -1e4 else None
            if found and not found[3]:
                return [*found[:3], (kind, n.input[0])]
    return None


def causal(mask, kind):
    """Is a constant mask the triangle in which a query sees the keys up to its own place?"""
    if not isinstance(mask, torch.Tensor) or mask.dim() < 2 or mask.shape[-1] != mask.shape[-2]:
        return False
    keep = mask == 0 if kind == "add" else mask.logical_not() if kind == "drop" else mask
    flat = keep.reshape(-1, *mask.shape[-2:])
    return bool((flat == torch.ones(flat.shape[1:], dtype=torch.bool).tril()).all()) and (kind != "add" or bool((mask[~keep] <= -1e4).all()))


def without_scale(b, name):
    """What a name is a multiple of, and the factor: exporters scale q and k rather than their product."""
    factor = 1.0
    while b.only(name, "Mul", "Div") and by_number(b, b.producer[name]):
        name, c = by_number(b, b.producer[name])
        factor *= c
    return name, factor


def softmax_of(b, name):
    """The softmax that computes a name, perhaps with zeros where a row has no key, which PyTorch's function sees to."""
    guard = b.only(name, "Where")
    if guard is not None:
        nan = b.producer.get(guard.input[0])
        n = b.producer.get(guard.input[2])
        return n if nan is not None and nan.op_type == "IsNaN" and nan.input[0] == guard.input[2] and b.scalar(guard.input[1]) == 0 and n is not None and n.op_type == "Softmax" else None
    return b.only(name, "Softmax")


def attention(b, node):
    soft = softmax_of(b, node.input[0])
    v = b.env[node.input[1]]
    if soft is None or not isinstance(v, Value) or attributes_of(soft).get("axis", -1) not in (-1, v.dim() - 1):
        return None
    found = scores(b, soft.input[0])
    if not found:
        return None
    (q, c), (kt, d), scale, mask = without_scale(b, found[0]), without_scale(b, found[1]), found[2], found[3]
    q, kt, scale = b.env[q], b.env[kt], scale * c * d
    if not q.dim() == kt.dim() == v.dim():
        return None
    q, k, v = q, b.call(torch.transpose, kt, -2, -1), v
    more = {"scale": scale}
    if mask and causal(b.env[mask[1]], mask[0]):
        more["is_causal"] = True
    elif mask:
        m = b.env[mask[1]]
        more["attn_mask"] = b.call(torch.logical_not, m) if mask[0] == "drop" else m
    if q.dim() == 3:                                           # its fast kernels want four axes
        q, k, v = (b.call(torch.unsqueeze, x, 0) for x in (q, k, v))
        return b.call(torch.squeeze, b.call(F.scaled_dot_product_attention, q, k, v, **more), 0)
    return b.call(F.scaled_dot_product_attention, q, k, v, **more)


# ---- GELU: half of x times (1 + erf(x / sqrt 2)), or 1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)) ----
def factors(b, name, top=True, depth=DEPTH):
    """The number and the names whose product a name is; products inside that others read are left whole."""
    n = b.producer.get(name) if top else b.only(name, "Mul", "Div")
    if n is None or n.op_type not in ("Mul", "Div") or not depth:
        return (b.scalar(name), []) if b.scalar(name) is not None else (1.0, [name])
    if n.op_type == "Div":
        if b.scalar(n.input[1]) is None:
            return 1.0, [name]
        c, names = factors(b, n.input[0], False, depth - 1)
        return c / b.scalar(n.input[1]), names
    (c, x), (d, y) = (factors(b, i, False, depth - 1) for i in n.input)
    return c * d, x + y


def cube(b, name):
    """What a name is 0.044715 times the third power of; None."""
    c, names = factors(b, name)
    if not close(c, 0.044715):
        return None
    if len(names) == 1:
        n = b.producer.get(names[0])
        return n.input[0] if n is not None and n.op_type == "Pow" and close(b.scalar(n.input[1]), 3) else None
    return names[0] if len(names) == 3 and len(set(names)) == 1 else None


def is_erf(b, n, x):
    return factors_match(b, n.input[0], x, math.sqrt(0.5))


def factors_match(b, name, x, factor):
    c, names = factors(b, name)
    return close(c, factor) and names == [x]


def is_tanh(b, n, x):
    c, names = factors(b, n.input[0])
    add = b.producer.get(names[0]) if len(names) == 1 else None
    return close(c, math.sqrt(2 / math.pi)) and add is not None and add.op_type == "Add" and any(
        u == x and cube(b, w) == x for u, w in (add.input, reversed(add.input)))


def gelu(b, node):
    c, names = factors(b, node.output[0])
    for x, one in (names, reversed(names)) if close(c, 0.5) and len(names) == 2 else ():
        add = b.producer.get(one)
        inner = plus_number(b, add) if add is not None and add.op_type == "Add" else None
        if inner is None or inner[1] != 1 or not isinstance(b.env[x], Value):
            continue
        n = b.producer.get(inner[0])
        if n is not None and n.op_type == "Erf" and is_erf(b, n, x):
            return b.call(F.gelu, b.env[x])
        if n is not None and n.op_type == "Tanh" and is_tanh(b, n, x):
            return b.call(F.gelu, b.env[x], approximate="tanh")
    return None


# ---- layer norm: (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * weight + bias, over the last axis ----
def mean_of(b, name):
    """What a name is the mean of, over the last axis."""
    n = b.producer.get(name)
    if n is None or n.op_type != "ReduceMean" or not isinstance(b.env[n.input[0]], Value):
        return None
    axes = ops.axes_of(attributes_of(n), b.env[n.input[1]] if len(n.input) > 1 else None)
    return n.input[0] if axes in ([-1], [b.env[n.input[0]].dim() - 1]) else None


def normalised(b, name):
    """(x, epsilon) of a name that is x with mean 0 and variance 1."""
    div = b.producer.get(name)
    root = b.producer.get(div.input[1]) if div is not None and div.op_type == "Div" else None
    add = b.producer.get(root.input[0]) if root is not None and root.op_type == "Sqrt" else None
    inner = plus_number(b, add) if add is not None and add.op_type == "Add" else None
    square = b.producer.get(mean_of(b, inner[0])) if inner else None
    centred = div.input[0] if square is not None else None
    twice = square is not None and (square.op_type == "Pow" and b.scalar(square.input[1]) == 2 and square.input[0] == centred or square.op_type == "Mul" and list(square.input) == [centred] * 2)
    sub = b.producer.get(centred) if twice else None
    if sub is None or sub.op_type != "Sub" or mean_of(b, sub.input[1]) != sub.input[0]:
        return None
    return sub.input[0], inner[1]


def layer_norm(b, node):
    for scaled, bias in (node.input, reversed(node.input)):
        mul = b.only(scaled, "Mul")
        for x, weight in (mul.input, reversed(mul.input)) if mul is not None and isinstance(b.env[bias], torch.Tensor) else ():
            found = normalised(b, x) if isinstance(b.env[weight], torch.Tensor) else None
            if found and b.env[weight].dim() == b.env[bias].dim() == 1:
                return b.call(F.layer_norm, b.env[found[0]], tuple(b.env[weight].shape), b.env[weight], b.env[bias], found[1])
    return None


# ---- linear layers, and convolutions with their batch norm ----
def linear(b, node):
    """A product with a constant matrix, plus a bias."""
    for product, bias in (node.input, reversed(node.input)):
        n, bias = b.only(product, "MatMul"), b.env[bias]
        if n is None or not isinstance(bias, torch.Tensor) or bias.dim() != 1 or not isinstance(b.env[n.input[0]], Value):
            continue
        w = b.env[n.input[1]]
        if isinstance(w, torch.Tensor) and w.dim() == 2 and w.shape[1] == bias.shape[0]:
            return b.call(F.linear, b.env[n.input[0]], ops.columns(b, w), bias)
    return None


def conv_norm(b, node):
    conv = b.only(node.input[0], "Conv") if b.fold_norms else None
    norm = [b.env[i] for i in node.input[1:5]]
    if conv is None or not all(isinstance(t, torch.Tensor) for t in norm):
        return None
    scale, bias, mean, var = norm
    factor = scale / torch.sqrt(var + attributes_of(node).get("epsilon", 1e-5))
    return ops.folded(b, conv, factor, bias - mean * factor)


FORMS = {"MatMul": [attention], "Mul": [gelu], "Add": [linear, layer_norm], "BatchNormalization": [conv_norm]}
