"""The module under construction: constants are tensors, everything else is a node with a tensor of no data (device meta) that knows its shape and type."""
import os, re
import onnx, torch
from onnx import numpy_helper


class Unsupported(Exception):
    pass


class Value:
    """What the module computes: a node, and its shape and type as a tensor without data (or a tuple of them)."""
    def __init__(self, node, meta):
        self.node, self.meta = node, meta

    shape = property(lambda self: self.meta.shape)
    dtype = property(lambda self: self.meta.dtype)

    def dim(self):
        return self.meta.dim()


def mapped(x, of_value, of_tensor):
    """x with of_value or of_tensor applied to what lies in it, in lists and tuples too."""
    if isinstance(x, Value):
        return of_value(x)
    if isinstance(x, torch.Tensor):
        return of_tensor(x)
    return type(x)(mapped(i, of_value, of_tensor) for i in x) if isinstance(x, (list, tuple)) else x


def holds_value(x):
    return isinstance(x, Value) or (isinstance(x, (list, tuple)) and any(map(holds_value, x)))


class Builder:
    """env: values by their ONNX names; producer: nodes by the names of their results; uses: how often a name is read; kept: constants by their names in the module; made: constants made of
    others, by what they are (which keeps their ids)."""
    def __init__(self, model, folder, dtype, fold_norms):
        self.dtype, self.fold_norms, self.graph, self.env, self.attributes, self.kept, self.made = dtype, fold_norms, torch.fx.Graph(), {"": None}, {}, {}, {}
        self.opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.producer = {o: n for n in model.graph.node for o in n.output if o}
        self.uses = {}
        for name in [i for n in model.graph.node for i in n.input] + [o.name for o in model.graph.output]:
            self.uses[name] = self.uses.get(name, 0) + 1
        for t in model.graph.initializer:
            self.env[t.name] = tensor_of(t, folder)

    def narrowed(self, t):
        """A constant as the module holds it."""
        if not t.is_floating_point():
            return t
        most = torch.finfo(self.dtype).max
        return torch.where(t.isfinite(), t.clamp(-most, most), t).to(self.dtype) if torch.finfo(t.dtype).max > most else t.to(self.dtype)

    def attribute(self, t):
        """The node that reads a constant; one for each tensor."""
        if id(t) not in self.attributes:
            name = f"constant{len(self.attributes)}"
            meta = torch.empty(t.shape, dtype=self.dtype if t.is_floating_point() else t.dtype, device="meta")
            self.attributes[id(t)] = Value(self.graph.get_attr(name), meta)
            self.kept[name] = t
        return self.attributes[id(t)]

    def call(self, fn, *args, **kw):
        """fn of constants is computed now, of values it becomes a node."""
        if not any(map(holds_value, (*args, *kw.values()))):
            return fn(*args, **kw)
        args, kw = mapped(args, lambda v: v, self.attribute), {k: mapped(v, lambda v: v, self.attribute) for k, v in kw.items()}
        metas = mapped(args, lambda v: v.meta, None), {k: mapped(v, lambda v: v.meta, None) for k, v in kw.items()}
        nodes = mapped(args, lambda v: v.node, None), {k: mapped(v, lambda v: v.node, None) for k, v in kw.items()}
        return Value(self.graph.call_function(fn, *nodes), fn(*metas[0], **metas[1]))

    def number(self, x, beside=None):
        """A constant of one element as Python's number, which needs no memory; others as they are. beside: the operand whose rank the result has."""
        if not isinstance(x, torch.Tensor) or x.numel() != 1 or (beside is not None and x.dim() > beside.dim()):
            return x
        return self.narrowed(x.reshape(())).item() if x.is_floating_point() else x.item()

    def scalar(self, name):
        """The number that a name stands for, as the graph states it; None: it stands for no constant, or several."""
        x = self.env.get(name)
        return x.item() if isinstance(x, torch.Tensor) and x.numel() == 1 else None

    def only(self, name, *ops):
        """The node that computes a name, if it is one of these operators and nothing else reads the name."""
        n = self.producer.get(name)
        return n if n is not None and n.op_type in ops and self.uses[name] == 1 else None

    def module(self, outputs):
        self.graph.output(tuple(mapped(o, lambda v: v.node, lambda t: self.attribute(t).node) for o in outputs))
        self.graph.eliminate_dead_code()
        root = torch.nn.Module()
        for node in self.graph.nodes:
            if node.op == "get_attr" and not hasattr(root, node.target):
                root.register_parameter(node.target, torch.nn.Parameter(self.narrowed(self.kept[node.target]).contiguous(), requires_grad=False))
        return torch.fx.GraphModule(root, self.graph).eval()


def tensor_of(t, folder=""):
    return torch.from_numpy(numpy_helper.to_array(t, folder).copy())


def attributes_of(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def translate(model, shapes, dtype=torch.float32, fold_norms=False):
    """model: a file or a ModelProto; shapes: of each input, by its name. fold_norms: batch norms behind convolutions go into their weights."""
    from . import forms, ops
    folder = ""
    if not isinstance(model, onnx.ModelProto):
        folder = os.path.dirname(os.path.abspath(model))
        model = onnx.load(model, load_external_data=False)
    b = Builder(model, folder, dtype, fold_norms)
    for i in model.graph.input:
        if i.name not in b.env:
            kind = torch.from_numpy(onnx.numpy_helper.np.zeros(0, onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type))).dtype
            b.env[i.name] = Value(b.graph.placeholder(re.sub(r"\W", "_", i.name)), torch.empty(tuple(shapes[i.name]), dtype=dtype if kind.is_floating_point else kind, device="meta"))
    for node in model.graph.node:
        done = next((r for r in (form(b, node) for form in forms.FORMS.get(node.op_type, ())) if r is not None), None)
        if done is None:
            done = ops.apply(b, node)
        for name, value in zip(node.output, done if isinstance(done, tuple) else (done,)):
            b.env[name] = value
    return b.module([b.env[o.name] for o in model.graph.output])
