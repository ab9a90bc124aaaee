"""A function for each operator: (builder, attributes, inputs) -> its result, or a tuple of results. Inputs are constants (tensors), values, or None where left out."""
import operator
import onnx, torch
import torch.nn.functional as F
from .build import Unsupported, Value, attributes_of, tensor_of

OPS = {}


def op(*names):
    def add(fn):
        OPS.update((n, fn) for n in names)
        return fn
    return add


def apply(b, node):
    what = f'"{node.name}" ({node.op_type})'
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPS:
        raise Unsupported(f"{what}: no such operator here")
    try:
        return OPS[node.op_type](b, attributes_of(node), *[b.env[i] for i in node.input])
    except Unsupported as e:
        raise Unsupported(f"{what}: {e}") from None
    except Exception as e:
        raise Unsupported(f"{what}: {type(e).__name__}: {e}") from e


def need(condition, what):
    if not condition:
        raise Unsupported(what)


def ints(x):
    """A constant list of integers."""
    need(isinstance(x, torch.Tensor), "what shapes depend on is no constant")
    return [int(i) for i in x.reshape(-1)]


def axes_of(attributes, x=None):
    """By attribute in older versions, by input in later ones; None: not given."""
    return list(attributes["axes"]) if "axes" in attributes else None if x is None else ints(x)


# ---- element by element ----
UNARY = {"Abs": torch.abs, "Ceil": torch.ceil, "Cos": torch.cos, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "IsNaN": torch.isnan, "Log": torch.log, "Neg": torch.neg,
         "Not": torch.logical_not, "Reciprocal": torch.reciprocal, "Relu": F.relu, "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin, "Softplus": F.softplus,
         "Sqrt": torch.sqrt, "Tanh": torch.tanh, "HardSwish": F.hardswish, "Mish": F.mish, "Round": torch.round}
BINARY = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Pow": torch.pow, "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor, "Equal": torch.eq,
          "Less": torch.lt, "LessOrEqual": torch.le, "Greater": torch.gt, "GreaterOrEqual": torch.ge}
for name, fn in UNARY.items():
    op(name)(lambda b, a, x, fn=fn: b.call(fn, x))


SWAPPED = {torch.add: torch.add, torch.mul: torch.mul, torch.eq: torch.eq, torch.sub: torch.rsub, torch.lt: torch.gt, torch.le: torch.ge, torch.gt: torch.lt, torch.ge: torch.le}


def binary(fn):
    """Constants of one element are numbers; one on the left goes to the right where the function has a mirror image, since PyTorch takes numbers there."""
    def of(b, a, x, y):
        if isinstance(x, Value):
            return b.call(fn, x, b.number(y, x))
        if isinstance(y, Value) and fn in SWAPPED and x.numel() == 1 and x.dim() <= y.dim():
            return b.call(SWAPPED[fn], y, b.number(x))
        return b.call(fn, x, y)
    return of


for name, fn in BINARY.items():
    op(name)(binary(fn))


@op("Div")
def div(b, a, x, y):
    whole = not x.dtype.is_floating_point
    y = b.number(y, x) if isinstance(x, Value) else y
    return b.call(torch.div, x, y, rounding_mode="trunc") if whole else b.call(torch.div, x, y)


@op("Mod")
def mod(b, a, x, y):
    return b.call(torch.fmod if a.get("fmod") else torch.remainder, x, y)


def fold(fn):
    def all_of(b, a, first, *more):
        for x in more:
            first = b.call(fn, first, x)
        return first
    return all_of


op("Max")(fold(torch.maximum))
op("Min")(fold(torch.minimum))
op("Sum")(fold(torch.add))


@op("Where")
def where(b, a, condition, x, y):
    if isinstance(x, Value) or isinstance(y, Value):           # two numbers have no type
        x, y = b.number(x, condition), b.number(y, condition)
    return b.call(torch.where, condition, x, y)


@op("Clip")
def clip(b, a, x, lo=None, hi=None):
    lo, hi = (b.number(v) if v is not None else a.get(k) for v, k in ((lo, "min"), (hi, "max")))
    return b.call(torch.clamp, x, lo, hi)


@op("LeakyRelu")
def leaky(b, a, x):
    return b.call(F.leaky_relu, x, a.get("alpha", 0.01))


@op("Elu")
def elu(b, a, x):
    return b.call(F.elu, x, a.get("alpha", 1.0))


@op("PRelu")
def prelu(b, a, x, slope):
    return b.call(torch.where, b.call(torch.ge, x, 0), x, b.call(torch.mul, x, slope))


@op("HardSigmoid")
def hard_sigmoid(b, a, x):
    return b.call(torch.clamp, b.call(torch.add, b.call(torch.mul, x, a.get("alpha", 0.2)), a.get("beta", 0.5)), 0, 1)


@op("Gelu")
def gelu(b, a, x):
    return b.call(F.gelu, x, approximate=a.get("approximate", b"none").decode())


@op("Identity", "Dropout")
def same(b, a, x, *rest):
    return x


@op("Cast")
def cast(b, a, x):
    to = torch.from_numpy(onnx.numpy_helper.np.zeros(0, onnx.helper.tensor_dtype_to_np_dtype(a["to"]))).dtype
    if isinstance(x, Value) and to.is_floating_point:
        to = b.dtype
    return x if x.dtype == to else b.call(torch.Tensor.to, x, to)


# ---- shapes and places ----
@op("Constant")
def constant(b, a):
    if "value" in a:
        return tensor_of(a["value"])
    key, value = next(iter(a.items()))
    return torch.tensor(value, dtype=torch.float32 if "float" in key else torch.int64)


@op("ConstantOfShape")
def constant_of_shape(b, a, shape):
    v = tensor_of(a["value"]) if "value" in a else torch.zeros(1)
    return v.reshape(()).expand(ints(shape)).contiguous()


@op("Shape")
def shape(b, a, x):
    return torch.tensor(list(x.shape)[a.get("start", 0):a.get("end", None)], dtype=torch.int64)


@op("Size")
def size(b, a, x):
    return torch.tensor(torch.Size(x.shape).numel())


@op("Range")
def arange(b, a, start, limit, delta):
    need(all(isinstance(x, torch.Tensor) for x in (start, limit, delta)), "of places known at run time only")
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


@op("Reshape")
def reshape(b, a, x, to):
    dims = [x.shape[i] if d == 0 and not a.get("allowzero") else d for i, d in enumerate(ints(to))]
    return b.call(torch.reshape, x, tuple(dims))


@op("Flatten")
def flatten(b, a, x):
    axis = a.get("axis", 1)
    return b.call(torch.reshape, x, (torch.Size(x.shape[:axis]).numel(), -1))


@op("Transpose")
def transpose(b, a, x):
    return b.call(torch.permute, x, tuple(a.get("perm", range(x.dim())[::-1])))


@op("Unsqueeze")
def unsqueeze(b, a, x, axes=None):
    axes, shape = axes_of(a, axes), list(x.shape)
    rank = x.dim() + len(axes)
    for i in sorted(i % rank for i in axes):
        shape.insert(i, 1)
    return b.call(torch.reshape, x, tuple(shape))


@op("Squeeze")
def squeeze(b, a, x, axes=None):
    axes = axes_of(a, axes)
    drop = [i for i, d in enumerate(x.shape) if d == 1] if axes is None else [i % x.dim() for i in axes]
    return b.call(torch.reshape, x, tuple(d for i, d in enumerate(x.shape) if i not in drop))


@op("Expand")
def expand(b, a, x, to):
    return b.call(torch.broadcast_to, x, tuple(torch.broadcast_shapes(tuple(x.shape), tuple(ints(to)))))


@op("Tile")
def tile(b, a, x, repeats):
    return b.call(torch.tile, x, tuple(ints(repeats)))


@op("Concat")
def concat(b, a, *xs):
    return b.call(torch.cat, list(xs), a["axis"])


def parts(b, value, n):
    return tuple(Value(b.graph.call_function(operator.getitem, (value.node, i)), value.meta[i]) for i in range(n)) if isinstance(value, Value) else tuple(value)


@op("Split")
def split(b, a, x, sizes=None):
    axis = a.get("axis", 0)
    sizes = list(a["split"]) if "split" in a else None if sizes is None else ints(sizes)
    if sizes is None:
        need("num_outputs" in a, "neither sizes nor a number of parts")
        each = -(-x.shape[axis] // a["num_outputs"])
        sizes = [min(each, x.shape[axis] - i * each) for i in range(a["num_outputs"])]
    return parts(b, b.call(torch.split, x, sizes, axis), len(sizes))


@op("Slice")
def slices(b, a, x, starts=None, ends=None, axes=None, steps=None):
    starts, ends = (list(a[k]) if k in a else ints(v) for k, v in (("starts", starts), ("ends", ends)))
    axes = axes_of(a, axes) or list(range(len(starts)))
    steps = ints(steps) if steps is not None else [1] * len(starts)
    need(min(steps, default=1) > 0, "backwards")
    at = [slice(None)] * x.dim()
    for start, end, axis, step in zip(starts, ends, axes, steps):
        at[axis] = slice(*slice(start, end, step).indices(x.shape[axis]))
    return b.call(operator.getitem, x, tuple(at))


@op("Gather")
def gather(b, a, x, i):
    axis = a.get("axis", 0) % x.dim()
    if isinstance(i, torch.Tensor):
        i = torch.where(i < 0, i + x.shape[axis], i)
        if i.dim() == 0:
            return b.call(torch.select, x, axis, i.item())
    if axis == 0 and x.dim() == 2 and x.dtype.is_floating_point and isinstance(i, Value):
        return b.call(F.embedding, i, x)                       # indices below 0 are not what it takes, and no exporter of embeddings writes them
    flat = b.call(torch.index_select, x, axis, b.call(torch.reshape, i, (-1,)))
    return b.call(torch.reshape, flat, (*x.shape[:axis], *i.shape, *x.shape[axis + 1:]))


def at_places(x, i):
    return x[tuple(i.unbind(-1))]


@op("GatherND")
def gather_nd(b, a, x, i):
    need(not a.get("batch_dims"), "with batch_dims")
    return b.call(at_places, x, i)


@op("GatherElements")
def gather_elements(b, a, x, i):
    return b.call(torch.gather, x, a.get("axis", 0), i)


@op("Trilu")
def trilu(b, a, x, k=None):
    return b.call(torch.triu if a.get("upper", 1) else torch.tril, x, 0 if k is None else ints(k)[0])


@op("CumSum")
def cumsum(b, a, x, axis):
    need(not a.get("exclusive") and not a.get("reverse"), "exclusive or reverse")
    return b.call(torch.cumsum, x, ints(axis)[0])


@op("Pad")
def pad(b, a, x, pads=None, value=None, axes=None):
    pads = list(a["pads"]) if "pads" in a else ints(pads)
    need(axes is None and a.get("mode", b"constant") == b"constant", "other than constant, or of some axes")
    return b.call(F.pad, x, both_ends(pads), "constant", 0.0 if value is None else b.number(value))


def both_ends(pads):
    """ONNX's pads (all beginnings, then all ends) as F.pad wants them: pairs, the last axis first."""
    n = len(pads) // 2
    return [p for i in reversed(range(n)) for p in (pads[i], pads[i + n])]


# ---- windows ----
def window(a, x, kernel):
    """Strides, dilations and pads by attributes."""
    n = x.dim() - 2
    strides, dilations, pads = (list(a.get(k, [d] * m)) for k, d, m in (("strides", 1, n), ("dilations", 1, n), ("pads", 0, 2 * n)))
    auto = a.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        total = [max((-(-x.shape[2 + i] // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - x.shape[2 + i], 0) for i in range(n)]
        small = [t // 2 for t in total]
        large = [t - s for t, s in zip(total, small)]
        pads = small + large if auto == "SAME_UPPER" else large + small
    return strides, dilations, pads


def padded(b, x, pads, value=0.0):
    """x with the pads that are not the same on both sides, and those that remain for the window."""
    n = len(pads) // 2
    if pads[:n] == pads[n:]:
        return x, pads[:n]
    return b.call(F.pad, x, both_ends(pads), "constant", value), [0] * n


CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@op("Conv")
def conv(b, a, x, w, bias=None):
    strides, dilations, pads = window(a, x, list(w.shape[2:]))
    x, pads = padded(b, x, pads)
    return b.call(CONV[w.dim() - 2], x, w, bias, tuple(strides), tuple(pads), tuple(dilations), a.get("group", 1))


@op("ConvTranspose")
def conv_transpose(b, a, x, w, bias=None):
    strides, dilations, pads = window(a, x, list(w.shape[2:]))
    n = w.dim() - 2
    need(pads[:n] == pads[n:] and "output_shape" not in a and a.get("auto_pad", b"NOTSET") == b"NOTSET", "pads that differ between ends, or by output_shape")
    fn = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[n]
    return b.call(fn, x, w, bias, tuple(strides), tuple(pads[:n]), tuple(a.get("output_padding", [0] * n)), a.get("group", 1), tuple(dilations))


@op("MaxPool")
def max_pool(b, a, x):
    strides, dilations, pads = window(a, x, a["kernel_shape"])
    x, pads = padded(b, x, pads, float("-inf"))
    fn = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[x.dim() - 2]
    return b.call(fn, x, tuple(a["kernel_shape"]), tuple(strides), tuple(pads), tuple(dilations), bool(a.get("ceil_mode", 0)))


@op("AveragePool")
def average_pool(b, a, x):
    strides, dilations, pads = window(a, x, a["kernel_shape"])
    n = x.dim() - 2
    need(pads[:n] == pads[n:] and set(dilations) == {1}, "pads that differ between ends, or dilations")
    fn = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[n]
    return b.call(fn, x, tuple(a["kernel_shape"]), tuple(strides), tuple(pads[:n]), bool(a.get("ceil_mode", 0)), bool(a.get("count_include_pad", 0)))


@op("GlobalAveragePool")
def global_average(b, a, x):
    return b.call(torch.mean, x, tuple(range(2, x.dim())), True)


@op("GlobalMaxPool")
def global_max(b, a, x):
    return b.call(torch.amax, x, tuple(range(2, x.dim())), True)


@op("Resize", "Upsample")
def resize(b, a, x, *more):
    scales, sizes = (more[0], None) if len(more) == 1 else (more[1], more[2] if len(more) > 2 else None)
    to = ints(sizes) if sizes is not None else [int(d * s) for d, s in zip(x.shape, scales.tolist())]
    mode, places = a.get("mode", b"nearest").decode(), a.get("coordinate_transformation_mode", b"asymmetric" if not more[:1] else b"half_pixel").decode()
    need(to[:2] == list(x.shape[:2]), "of batch or channels")
    if mode == "nearest":
        whole = all(t % d == 0 for t, d in zip(to[2:], x.shape[2:]))
        rounds = a.get("nearest_mode", b"round_prefer_floor").decode()
        need((places == "asymmetric" and rounds == "floor") or (whole and places == "half_pixel" and rounds.startswith("round_prefer")), f"nearest: {places}, {rounds}")
        return b.call(F.interpolate, x, tuple(to[2:]), None, "nearest")
    need(mode == "linear" and places in ("half_pixel", "pytorch_half_pixel", "align_corners"), f"{mode}: {places}")
    return b.call(F.interpolate, x, tuple(to[2:]), None, {3: "linear", 4: "bilinear", 5: "trilinear"}[x.dim()], places == "align_corners")


# ---- sums ----
@op("MatMul")
def matmul(b, a, x, y):
    return b.call(F.linear, x, columns(b, y)) if isinstance(x, Value) and isinstance(y, torch.Tensor) and y.dim() == 2 else b.call(torch.matmul, x, y)


def columns(b, w):
    """A constant matrix transposed, as F.linear wants it; once."""
    if id(w) not in b.made:
        b.made[id(w)] = w.t().contiguous()
    return b.made[id(w)]


@op("Gemm")
def gemm(b, a, x, w, bias=None):
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
    if a.get("transA"):
        x = b.call(torch.permute, x, (1, 0))
    plain = isinstance(w, torch.Tensor) and alpha == 1 and beta == 1 and (bias is None or (isinstance(bias, torch.Tensor) and bias.dim() == 1))
    if plain:
        return b.call(F.linear, x, w if a.get("transB") else columns(b, w), bias)
    if a.get("transB"):
        w = b.call(torch.permute, w, (1, 0))
    y = b.call(torch.mul, b.call(torch.matmul, x, w), alpha)
    return y if bias is None else b.call(torch.add, y, b.call(torch.mul, bias, beta))


def folded(b, conv, scale, shift):
    """Convolution and batch norm as one convolution."""
    w, *bias = [b.env[i] for i in conv.input[1:]]
    if not isinstance(w, torch.Tensor):
        return None
    w2 = w * scale.reshape(-1, *[1] * (w.dim() - 1))
    return OPS["Conv"](b, attributes_of(conv), b.env[conv.input[0]], w2, shift + (bias[0] * scale if bias else 0))


@op("BatchNormalization")
def batch_norm(b, a, x, scale, bias, mean, var):
    need(not a.get("training_mode"), "in training")
    return b.call(F.batch_norm, x, mean, var, scale, bias, False, 0.0, a.get("epsilon", 1e-5))


@op("InstanceNormalization")
def instance_norm(b, a, x, scale, bias):
    return b.call(F.instance_norm, x, None, None, scale, bias, True, 0.0, a.get("epsilon", 1e-5))


@op("LayerNormalization")
def layer_norm(b, a, x, scale, bias=None):
    return b.call(F.layer_norm, x, tuple(x.shape[a.get("axis", -1) % x.dim():]), scale, bias, a.get("epsilon", 1e-5))


@op("Softmax")
def softmax(b, a, x):
    axis = a.get("axis", -1 if b.opset >= 13 else 1)
    need(b.opset >= 13 or axis % x.dim() == x.dim() - 1, "of several axes (before opset 13)")
    return b.call(torch.softmax, x, axis)


@op("LogSoftmax")
def log_softmax(b, a, x):
    return b.call(torch.log_softmax, x, a.get("axis", -1))


def reduction(fn):
    def reduce(b, a, x, axes=None):
        axes = axes_of(a, axes) or list(range(x.dim()))
        return b.call(fn, x, tuple(axes), bool(a.get("keepdims", 1)))
    return reduce


for name, fn in {"ReduceMean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMin": torch.amin}.items():
    op(name)(reduction(fn))


@op("ArgMax")
def arg_max(b, a, x):
    return b.call(torch.argmax, x, a.get("axis", 0), bool(a.get("keepdims", 1)))
