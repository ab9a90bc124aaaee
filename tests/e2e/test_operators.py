"""Operators that no stored network has, in the spellings of exporters, against ONNX Runtime: values, and shapes that differ from run to run."""
import json
from against_ort import *
from onnx import TensorProto as T, helper as h, numpy_helper as nh

F = T.FLOAT


def info(name, elem, shape):
    return h.make_tensor_value_info(name, elem, shape)


def model(nodes, ins, outs, weights={}, opset=13, domains=(), ir_version=8):
    """A graph of nodes; ins are (name, type, shape), outs names, weights arrays by name."""
    g = h.make_graph(nodes, "g", [info(*i) for i in ins], [h.make_empty_tensor_value_info(o) for o in outs], [nh.from_array(np.asarray(v), k) for k, v in weights.items()])
    m = h.make_model(g, opset_imports=[h.make_opsetid("", opset)] + [h.make_opsetid(d, 1) for d in domains])
    m.ir_version = ir_version
    return onnx.shape_inference.infer_shapes(m)


def agrees(m, feeds, limit=LIMIT):
    """The model at both levels, on each feed: floats within limit of the largest value, all else exactly."""
    onnx.save(m, "m.onnx")
    names = [o.name for o in m.graph.output]
    s = session("m.onnx")
    for level in "-O0", "-O2":
        massc(level, "m.onnx", "-o", "m.bin")
        for feed in feeds:
            args = []
            for i, (k, v) in enumerate(feed.items()):
                np.save(f"i{i}.npy", v)
                args += ["--input", f"{k}=i{i}.npy"]
            run("./m.bin", *args, *(a for i, o in enumerate(names) for a in ("--output", f"{o}=o{i}.npy")))
            for i, want in enumerate(s.run(None, feed)):
                got, want = np.load(f"o{i}.npy"), np.asarray(want)
                assert got.shape == want.shape and got.dtype == want.dtype, f"{level} {names[i]}: {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
                if want.dtype.kind == "f":
                    error = np.nanmax(np.abs(got.astype(np.float64) - want)) if want.size else 0
                    assert np.array_equal(np.isnan(got), np.isnan(want)) and error <= limit * max(np.nanmax(np.abs(want), initial=0), 1e-30), f"{level} {names[i]}: error {error:.3g}"
                else:
                    assert np.array_equal(got, want), f"{level} {names[i]}: {np.sum(got != want)} of {got.size} differ"


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


# ---- scatter ----
def scatter_by_constant_places():
    at = np.stack(np.meshgrid(np.arange(4), np.arange(0, 30, 2), np.arange(1, 30, 3), indexing="ij"), -1)
    agrees(model([h.make_node("ScatterND", ["x", "at", "u"], ["y"])], [("x", F, [4, 30, 30]), ("u", F, at.shape[:-1])], ["y"], {"at": at}),
           [{"x": normal(4, 30, 30), "u": normal(*at.shape[:-1], seed=1)}])


def scatter_elements_of_any_size():
    at = np.stack([np.random.default_rng(k).permutation(10)[:5] - 5 for k in range(7)], 1)
    x, u = normal(10, 7), normal(5, 7, seed=1)
    for more in {}, {"reduction": "add"}:
        agrees(model([h.make_node("ScatterElements", ["x", "at", "u"], ["y"], axis=0, **more)], [("x", F, ["n", 7]), ("at", T.INT64, ["m", "k"]), ("u", F, ["m", "k"])], ["y"], opset=16),
               [{"x": x, "at": at, "u": u}, {"x": x, "at": at[:3, :4].copy(), "u": u[:3, :4].copy()}])


# ---- control flow ----
def loop_until_a_condition():
    body = h.make_graph([h.make_node("Add", ["x_in", "x_in"], ["x_out"]), h.make_node("ReduceSum", ["x_out"], ["s"], keepdims=0), h.make_node("Less", ["s", "limit"], ["go"]),
                         h.make_node("Add", ["k_in", "one"], ["k_out"])], "body", [info("i", T.INT64, []), info("c", T.BOOL, []), info("x_in", F, ["n", 4]), info("k_in", T.INT64, [])],
                        [info("go", T.BOOL, []), info("x_out", F, ["n", 4]), info("k_out", T.INT64, [])])
    agrees(model([h.make_node("ReduceSum", ["x"], ["s0"], keepdims=0), h.make_node("Less", ["s0", "limit"], ["c0"]), h.make_node("Loop", ["", "c0", "x", "zero"], ["y", "k"], body=body)],
                 [("x", F, ["n", 4])], ["y", "k"], {"limit": np.float32(100), "zero": np.int64(0), "one": np.int64(1)}), [{"x": np.abs(normal(3, 4))}, {"x": 100 * np.abs(normal(7, 4))}])


def loop_that_stacks_until_a_condition():
    """tf2onnx's while: counters in int32, a limit that is a size, a condition on data as well; the count is absent, the largest integer, or a bound."""
    body = h.make_graph([h.make_node("Gather", ["x", "time"], ["xi"], axis=0), h.make_node("Add", ["state", "xi"], ["sum"]), h.make_node("Tanh", ["sum"], ["next"]), h.make_node("Add", ["time", "one"], ["time1"]),
                         h.make_node("Less", ["time1", "steps"], ["c0"]), h.make_node("ReduceSum", ["next"], ["total"], keepdims=0), h.make_node("Less", ["total", "limit"], ["c1"]), h.make_node("And", ["c0", "c1"], ["c_out"]),
                         h.make_node("Identity", ["next"], ["kept"])], "body",
                        [info("i", T.INT64, []), info("c_in", T.BOOL, []), info("state", F, ["n"]), info("time", T.INT32, [])], [info("c_out", T.BOOL, []), info("next", F, ["n"]), info("time1", T.INT32, []), info("kept", F, ["n"])])
    for count in "", "far", "k":
        nodes = [h.make_node("Shape", ["x"], ["xs"]), h.make_node("Gather", ["xs", "first"], ["t"], axis=0), h.make_node("Cast", ["t"], ["steps"], to=T.INT32), h.make_node("Less", ["zero", "steps"], ["some"]),
                 h.make_node("Gather", ["x", "first"], ["x0"], axis=0), h.make_node("Loop", [count, "some", "x0", "zero"], ["y", "at", "all"], body=body), h.make_node("Transpose", ["all"], ["z"], perm=[1, 0])]
        w = {"first": np.int64(0), "zero": np.int32(0), "one": np.int32(1), "limit": np.float32(2.5), "far": np.int64(2**63 - 1)}
        m = model(nodes, [("x", F, ["steps_", "n"]), ("k", T.INT64, [])], ["y", "at", "z"], w, opset=12)
        agrees(m, [{"x": normal(t, n, seed=t), "k": np.array(k)} for t, n, k in ((1, 4, 9), (7, 4, 3), (30, 5, 100), (12, 3, 12))])


def branches_chosen_at_run_time():
    yes = h.make_graph([h.make_node("MatMul", ["x", "w"], ["t"])], "yes", [], [info("t", F, ["n", 5])])
    no = h.make_graph([h.make_node("MatMul", ["x", "v"], ["e0"]), h.make_node("Tanh", ["e0"], ["e"])], "no", [], [info("e", F, ["n", 5])], [nh.from_array(normal(4, 5, seed=1), "v")])
    x = normal(6, 4)
    agrees(model([h.make_node("ReduceSum", ["x"], ["s"], keepdims=0), h.make_node("Less", ["s", "zero"], ["c"]), h.make_node("If", ["c"], ["y0"], then_branch=yes, else_branch=no),
                  h.make_node("Relu", ["y0"], ["y"])], [("x", F, ["n", 4])], ["y"], {"zero": np.float32(0), "w": normal(4, 5)}), [{"x": x}, {"x": -x}, {"x": np.concatenate([x, x])}])


def loop_over_convolutions():
    """Carried values that change places, a stacked one, a count that is an input, weights inside and outside."""
    map_ = [1, 8, 9, 9]
    body = h.make_graph([h.make_node("Conv", ["a_in", "w"], ["t"], pads=[1, 1, 1, 1]), h.make_node("Add", ["t", "b_in"], ["t2"]), h.make_node("Tanh", ["t2"], ["a_out"]),
                         h.make_node("Identity", ["a_in"], ["b_out"]), h.make_node("Identity", ["c_in"], ["c_out"]), h.make_node("ReduceMean", ["a_in"], ["m"], axes=[2, 3], keepdims=0)], "body",
                        [info("i", T.INT64, []), info("c_in", T.BOOL, []), info("a_in", F, map_), info("b_in", F, map_)],
                        [info("c_out", T.BOOL, []), info("a_out", F, map_), info("b_out", F, map_), info("m", F, [1, 8])])
    agrees(model([h.make_node("Conv", ["x", "w"], ["x1"], pads=[1, 1, 1, 1]), h.make_node("Loop", ["n", "", "x1", "x"], ["y", "z", "m"], body=body),
                  h.make_node("Conv", ["y", "w"], ["y2"], pads=[1, 1, 1, 1])], [("x", F, map_), ("n", T.INT64, [])], ["y2", "z", "m"], {"w": normal(8, 8, 3, 3) / 8}),
           [{"x": normal(*map_), "n": np.array(k)} for k in (1, 5, 0)])



# ---- recurrent cells: any batch and length, with and without lengths of the samples ----
def recurrent(op, gates, **attributes):
    def check():
        n_h, n_i = 20, 7
        for direction in "forward", "reverse", "bidirectional":
            dirs = 2 if direction == "bidirectional" else 1
            weights = {"w": normal(dirs, gates * n_h, n_i) / 3, "r": normal(dirs, gates * n_h, n_h, seed=1) / 4, "b": normal(dirs, 2 * gates * n_h, seed=2) / 4}
            states = ["h0", "c0"] if op == "LSTM" else ["h0"]
            outs = ["y", "yh", "yc"] if op == "LSTM" else ["y", "yh"]
            for lens in False, True:
                ins = [("x", F, ["t", "n", n_i])] + [(s, F, [dirs, "n", n_h]) for s in states] + ([("lens", T.INT32, ["n"])] if lens else [])
                more = dict(attributes)
                if "activations" in more:
                    more["activations"] = more["activations"] * dirs
                cell = h.make_node(op, ["x", "w", "r", "b", "lens" if lens else "", *states], outs, hidden_size=n_h, direction=direction, **more)
                agrees(model([cell], ins, outs, weights), [{"x": normal(t, n, n_i, seed=t), **{s: normal(dirs, n, n_h, seed=n) for s in states},
                                                            **({"lens": (np.arange(n, dtype=np.int32) * 3) % t + 1} if lens else {})} for t, n in ((1, 1), (5, 3), (9, 2))])
    check.__name__ = "recurrent_" + "_".join([op.lower(), *attributes])
    return check


recurrent_cells = [recurrent("RNN", 1), recurrent("RNN", 1, clip=0.5, activations=["LeakyRelu"], activation_alpha=[0.1, 0.1]), recurrent("GRU", 3), recurrent("GRU", 3, linear_before_reset=1),
                   recurrent("LSTM", 4), recurrent("LSTM", 4, input_forget=1, activations=["HardSigmoid", "Tanh", "Softsign"])]



# ---- sorting ----
def top_k():
    rng, x = np.random.default_rng(0), [np.round(normal(2, 5000, 3), 2)] + [np.round(normal(3, n), 1) for n in (5, 50, 700)]     # equal ones among them
    for largest in 0, 1:
        agrees(model([h.make_node("TopK", ["x", "k"], ["v", "i"], axis=1, largest=largest)], [("x", F, ["n", 5000, 3])], ["v", "i"], {"k": np.array([40])}), [{"x": x[0]}])
        agrees(model([h.make_node("TopK", ["x", "k"], ["v", "i"], axis=-1, largest=largest)], [("x", F, ["n", "m"])], ["v", "i"], {"k": np.array([5])}), [{"x": v} for v in x[1:]])
        agrees(model([h.make_node("TopK", ["x", "k"], ["v", "i"], axis=-1, largest=largest)], [("x", T.INT64, ["n", 300]), ("k", T.INT64, [1])], ["v", "i"]),
               [{"x": rng.integers(-50, 50, (3, 300)), "k": np.array([k])} for k in (1, 50)])



# ---- sampling; sizes that only the run tells ----
def resize_to_sizes_of_another_input():
    """tf2onnx's chain of Shape, Slice, Cast and Concat."""
    nodes = [h.make_node("Shape", ["like"], ["s"]), h.make_node("Slice", ["s", "two", "four"], ["hw"]), h.make_node("Cast", ["hw"], ["hw32"], to=T.INT32), h.make_node("Cast", ["hw32"], ["hw64"], to=T.INT64),
             h.make_node("Concat", ["nc", "hw64"], ["sizes"], axis=0), h.make_node("Resize", ["x", "none", "none", "sizes"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel")]
    agrees(model(nodes, [("x", F, [1, 8, "h", "w"]), ("like", F, [1, 8, "h2", "w2"])], ["y"], {"two": np.array([2]), "four": np.array([4]), "nc": np.array([1, 8]), "none": np.array([], np.float32)}, opset=11),
           [{"x": normal(1, 8, 10, 10), "like": normal(1, 8, *hw)} for hw in ((20, 15), (7, 25))])


def resize_by_scales():
    for mode, place, nearest, scales in (("linear", "asymmetric", "floor", (2, 2)), ("linear", "align_corners", "floor", (2, 2)), ("linear", "pytorch_half_pixel", "floor", (0.5, 1.25)), ("cubic", "half_pixel", "floor", (2, 0.75)),
                                         ("nearest", "asymmetric", "floor", (1.5, 0.5)), ("nearest", "half_pixel", "round_prefer_ceil", (1.5, 0.75)), ("nearest", "tf_half_pixel_for_nn", "ceil", (0.5, 0.5))):
        node = h.make_node("Resize", ["x", "", "scales"], ["y"], mode=mode, coordinate_transformation_mode=place, nearest_mode=nearest)
        agrees(model([node], [("x", F, [1, 8, "h", "w"])], ["y"], {"scales": np.array([1, 1, *scales], np.float32)}), [{"x": normal(1, 8, 10, 12)}, {"x": normal(1, 8, 5, 7)}], limit=3e-5)


def pads_as_pytorch_writes_them():
    """F.pad up to a multiple of 4: a list that is filled up, laid out in pairs, reversed, turned and flattened; a size like others in the end."""
    one = lambda k: np.array([k])
    nodes = [h.make_node("Shape", ["x"], ["s"]), h.make_node("Gather", ["s", "i1"], ["h"], axis=0), h.make_node("Gather", ["s", "i2"], ["w"], axis=0)]
    for d in "h", "w":
        nodes += [h.make_node("Mod", [d, "four"], [d + "m"]), h.make_node("Sub", ["four", d + "m"], [d + "r"]), h.make_node("Mod", [d + "r", "four"], [d + "p"]), h.make_node("Unsqueeze", [d + "p", "zero"], [d + "u"])]
    nodes += [h.make_node("Concat", ["zeros3", "wu", "zero", "hu"], ["given"], axis=0), h.make_node("Sub", ["eight", "six"], ["rest"]), h.make_node("ConstantOfShape", ["rest"], ["fill"], value=nh.from_array(np.array([0]))),
              h.make_node("Concat", ["given", "fill"], ["all"], axis=0), h.make_node("Reshape", ["all", "pairs"], ["p0"]), h.make_node("Slice", ["p0", "last", "before", "zero", "last"], ["p1"]),
              h.make_node("Transpose", ["p1"], ["p2"], perm=[1, 0]), h.make_node("Reshape", ["p2", "last"], ["p3"]), h.make_node("Cast", ["p3"], ["pads"], to=T.INT64), h.make_node("Pad", ["x", "pads", "value"], ["y"])]
    w = {"i1": np.int64(1), "i2": np.int64(2), "four": np.int64(4), "zero": one(0), "zeros3": np.zeros(3, np.int64), "eight": one(8), "six": one(6), "pairs": np.array([-1, 2]), "last": one(-1), "before": one(-2**63 + 1), "value": np.float32(0.5)}
    agrees(model(nodes, [("x", F, ["n", "h_", "w_", 3])], ["y"], w), [{"x": normal(n, a, b, 3)} for n, a, b in ((1, 8, 5), (2, 3, 4), (1, 4, 8))])
    text = massc("--emit=graph", "m.onnx", "-o", "-").out
    assert "late" not in text and text.count("group ") == 1, text


def resize_by_computed_scales():
    """As PyTorch wrote interpolate to the size of another tensor, and by a factor, before Resize took sizes; as tf2onnx writes it; nothing of it is left behind the import. The sizes are such that no
    division of floats rounds below its fraction, where ONNX Runtime's result is one smaller."""
    to = lambda v, t, o: h.make_node("Cast", [v], [o], to=t)
    hw = [h.make_node("Shape", ["x"], ["xs"]), h.make_node("Slice", ["xs"], ["xhw"], starts=[2], ends=[4], axes=[0]), to("xhw", F, "xf"), h.make_node("Shape", ["like"], ["ls"]),
          h.make_node("Slice", ["ls"], ["lhw"], starts=[2], ends=[4], axes=[0]), to("lhw", F, "lf"), h.make_node("Div", ["lf", "xf"], ["ratio"]), h.make_node("Concat", ["ones", "ratio"], ["scales"], axis=0)]
    twice = [h.make_node("Mul", ["xf", "two"], ["x2"]), h.make_node("Floor", ["x2"], ["x2f"]), to("x2f", T.INT64, "x2i"), to("x2i", F, "x2b"), h.make_node("Div", ["x2b", "xf"], ["by2"]), h.make_node("Concat", ["ones", "by2"], ["scales2"], axis=0)]
    feeds = [{"x": normal(n, 2, a, b), "like": normal(1, 1, a2, b2)} for n, a, b, a2, b2 in ((1, 4, 5, 9, 10), (2, 8, 3, 17, 4), (1, 1, 6, 5, 11))]
    w = {"ones": np.float32([1, 1]), "two": np.float32(2)}
    ins = [("x", F, ["n", 2, "a", "b"]), ("like", F, [1, 1, "a2", "b2"])]
    for opset, op in (9, "Upsample"), (10, "Resize"):
        if opset == 10:
            cut = lambda n: h.make_node("Slice", [n.input[0], "from", "till", "along"], n.output) if n.op_type == "Slice" else n
            hw, w = [cut(n) for n in hw], {**w, "from": np.array([2]), "till": np.array([4]), "along": np.array([0])}
        m = model([*hw, *twice, h.make_node(op, ["x", "scales"], ["y"], mode="linear"), h.make_node(op, ["x", "scales2"], ["z"], mode="nearest")], ins, ["y", "z"], w, opset=opset)
        agrees(m, feeds)
        text = massc("--emit=graph", "m.onnx", "-o", "-").out
        assert "late" not in text and "2*a" in text, text
    given = {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "exclude_outside": 1, "cubic_coeff_a": -0.5}
    hw = [h.make_node("Slice", ["xs", "from", "till", "along"], ["xhw"]) if n.output[0] == "xhw" else h.make_node("Slice", ["ls", "from", "till", "along"], ["lhw"]) if n.output[0] == "lhw" else n for n in hw]
    agrees(model([*hw, h.make_node("Resize", ["x", "", "scales"], ["y"], **given)], ins, ["y"], w), feeds)


def grid_sample():
    for mode in "bilinear", "nearest", "bicubic":
        for pad in "zeros", "border", "reflection":
            agrees(model([h.make_node("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=pad, align_corners=int(pad == "border"))], [("x", F, ["n", 3, "h", "w"]), ("g", F, ["n", 5, 6, 2])], ["y"], opset=16),
                   [{"x": normal(2, 3, 7, 9), "g": normal(2, 5, 6, 2, seed=1)}], limit=1e-4)      # the places are sums of float32 near 10


def roi_align():
    boxes = np.array([[0, 0, 9, 9], [3, 2, 15, 19], [-4, 5, 3, 40]], np.float32)
    for mode, place in ("avg", "half_pixel"), ("avg", "output_half_pixel"):
        agrees(model([h.make_node("RoiAlign", ["x", "r", "b"], ["y"], mode=mode, coordinate_transformation_mode=place, output_height=3, output_width=4, sampling_ratio=2, spatial_scale=0.5)],
                     [("x", F, ["n", 8, "h", "w"]), ("r", F, ["k", 4]), ("b", T.INT64, ["k"])], ["y"], opset=16), [{"x": normal(2, 8, 10, 12), "r": boxes, "b": np.array([0, 1, 1])}])


def max_roi_pool():
    """Regions inside, outside and across the border, upside down, halves to be rounded, parts without a place."""
    m = model([h.make_node("MaxRoiPool", ["x", "rois"], ["y"], pooled_shape=[3, 4], spatial_scale=0.25)], [("x", F, ["n", 3, "h", "w"]), ("rois", F, ["r", 5])], ["y"], opset=8)
    rois = lambda n, b, seed: np.concatenate([np.random.default_rng(seed).integers(0, b, (n, 1)), np.round(np.random.default_rng(seed + 1).uniform(-10, 60, (n, 4)))], axis=1).astype(np.float32)
    agrees(m, [{"x": normal(b, 3, a, w, seed=n), "rois": rois(n, b, n)} for b, a, w, n in ((1, 8, 9, 5), (2, 13, 7, 30), (1, 1, 2, 40))])


def places_of_maxima():
    agrees(model([h.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])], [("x", F, ["n", 8, "h", "w"])], ["y", "i"]), [{"x": normal(1, 8, 10, 10)}, {"x": normal(2, 8, 7, 9)}])
    for n in 2, 3:                                   # 3 by 3 with stride 2: windows overlap
        size = {"kernel_shape": [n, n], "strides": [2, 2]}
        agrees(model([h.make_node("MaxPool", ["x"], ["y", "i"], **size), h.make_node("MaxUnpool", ["y", "i"], ["z"], **size)], [("x", F, ["n", 8, 8 + n % 2, 8 + n % 2])], ["z"]), [{"x": normal(2, 8, 8 + n % 2, 8 + n % 2)}])


# ---- old spellings ----
def transposed_convolutions_side_by_side():
    """Windows as large as the stride: of many channels, few, one; behind a convolution and alone; in one, two and three dimensions; with what does not qualify beside them."""
    for m in 24, 16, 3, 1:
        nodes = [h.make_node("Conv", ["x", "v"], ["c"], pads=[1, 1, 1, 1]), h.make_node("ConvTranspose", ["c", "w", "b"], ["t"], strides=[2, 3]), h.make_node("Mul", ["t", "s"], ["u"]),
                 h.make_node("Relu", ["u"], ["y"])]
        agrees(model(nodes, [("x", F, ["n", 3, "h", "w"])], ["y"], {"v": normal(20, 3, 3, 3), "w": normal(20, m, 2, 3, seed=1), "b": normal(m, seed=2), "s": normal(m, 1, 1, seed=3)}),
               [{"x": normal(1, 3, 5, 7)}, {"x": normal(2, 3, 16, 9)}])
    for shape, m, more in (((2, 5, 9), 4, {"strides": [4]}), ((1, 6, 3, 4, 5), 17, {"strides": [2, 2, 2]}), ((1, 4, 5, 6), 2, {"strides": [2, 2], "group": 2}),
                           ((1, 4, 5, 6), 2, {"strides": [2, 2], "output_padding": [1, 0]}), ((1, 4, 5, 6), 2, {"strides": [2, 2], "pads": [0, 1, 0, 1]})):
        k = more["strides"]
        agrees(model([h.make_node("ConvTranspose", ["x", "w"], ["t"], **more), h.make_node("Sigmoid", ["t"], ["y"])], [("x", F, list(shape))], ["y"], {"w": normal(shape[1], m, *k, seed=1)}),
               [{"x": normal(*shape)}])


def batch_normalization_with_named_outputs():
    """Before opset 14 named outputs mean training: the batch's own statistics."""
    weights = {"s": normal(8), "b": normal(8, seed=1), "m": normal(8, seed=2), "v": np.abs(normal(8, seed=3)) + 0.5}
    for outs in ["y"], ["y", "m1", "v1", "sm", "sv"]:
        agrees(model([h.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], outs)], [("x", F, [2, 8, 10, 10])], ["y"], weights, opset=7, ir_version=3), [{"x": normal(2, 8, 10, 10)}])


def counting_by_non_zero():
    """PyTorch's arange before opset 11."""
    one = nh.from_array(np.array([1], np.int64))
    agrees(model([h.make_node("Shape", ["x"], ["s"]), h.make_node("ConstantOfShape", ["s"], ["ones"], value=one), h.make_node("NonZero", ["ones"], ["i"])], [("x", F, ["n", "m"])], ["i"], opset=9), [{"x": normal(5, 3)}])
    agrees(model([h.make_node("NonZero", ["c"], ["i"]), h.make_node("Transpose", ["i"], ["t"]), h.make_node("GatherND", ["x", "t"], ["y"])], [("x", F, [3, 8])], ["y"], {"c": normal(3, 8) > 0}), [{"x": normal(3, 8)}])


def range_up_to_a_dim():
    agrees(model([h.make_node("Shape", ["x"], ["s"]), h.make_node("Gather", ["s", "one"], ["n"]), h.make_node("Cast", ["n"], ["f"], to=F), h.make_node("Range", ["zero", "f", "step"], ["y"])], [("x", F, [1, "n"])], ["y"],
                 {"zero": np.float32(0), "step": np.float32(1), "one": np.int64(1)}, opset=11), [{"x": normal(1, n)} for n in (7, 30)])


# ---- ONNX Runtime's own operators ----
MS = {"domain": "com.microsoft"}


def microsoft_maps():
    x = [("x", F, ["b", "s", 16])], [{"x": normal(2, 5, 16)}]
    for node in (h.make_node("Gelu", ["x"], ["y"], **MS), h.make_node("FastGelu", ["x", "w"], ["y"], **MS), h.make_node("BiasGelu", ["x", "w"], ["y"], **MS), h.make_node("QuickGelu", ["x"], ["y"], **MS),
                 h.make_node("FusedMatMul", ["x", "x"], ["y"], transB=1, alpha=0.5, **MS), h.make_node("SkipLayerNormalization", ["x", "x", "w", "w", "w"], ["y"], epsilon=1e-5, **MS),
                 h.make_node("SkipSimplifiedLayerNormalization", ["x", "x", "w", "w"], ["y"], **MS)):
        agrees(model([node], x[0], ["y"], {"w": normal(16, seed=1)} if "w" in node.input else {}, domains=["com.microsoft"]), x[1])


def microsoft_fused():
    agrees(model([h.make_node("FusedConv", ["x", "w", "b"], ["y"], activation="Relu", pads=[1, 1, 1, 1], **MS)], [("x", F, [1, 8, 10, 10])], ["y"], {"w": normal(4, 8, 3, 3), "b": normal(4)}, domains=["com.microsoft"]),
           [{"x": normal(1, 8, 10, 10)}])
    agrees(model([h.make_node("FusedGemm", ["x", "w", "b"], ["y"], activation="LeakyRelu", activation_alpha=0.1, **MS)], [("x", F, ["n", 8])], ["y"], {"w": normal(8, 3), "b": normal(3)}, domains=["com.microsoft"]),
           [{"x": normal(2, 8)}])


def microsoft_bert():
    ids = [(n, T.INT32, ["b", "s"]) for n in ("i", "seg", "m")]
    nodes = [h.make_node("EmbedLayerNormalization", ["i", "seg", "we", "pe", "se", "g", "c", "m"], ["e", "len"], epsilon=1e-5, **MS), h.make_node("Attention", ["e", "w", "b", "m"], ["a"], num_heads=4, **MS),
             h.make_node("Attention", ["e", "w", "b", "len"], ["a1"], num_heads=4, **MS), h.make_node("Attention", ["e", "w", "b"], ["a2"], num_heads=4, unidirectional=1, **MS)]
    weights = {"we": normal(20, 16), "pe": normal(9, 16, seed=1), "se": normal(2, 16, seed=2), "g": normal(16, seed=3), "c": normal(16, seed=4), "w": normal(16, 48) / 4, "b": normal(48)}
    rng = np.random.default_rng(0)
    m = model(nodes, ids, ["a", "a1", "a2"], weights, domains=["com.microsoft"])
    agrees(m, [{"i": rng.integers(0, 20, (2, n)).astype(np.int32), "seg": rng.integers(0, 2, (2, n)).astype(np.int32), "m": (np.arange(n) < np.array([[n], [n - 2]])).astype(np.int32)} for n in (5, 9)])


# ---- sizes that depend on data: what detectors end in, as exporters write it; also when nothing is found ----
def nms_as_tf2onnx_writes_it():
    """boxes [n,4], scores [n]: NMS, its third column, boxes and scores gathered by it, and as many as a padded result wants."""
    nodes = [h.make_node("Unsqueeze", ["b", "zero"], ["b3"]), h.make_node("Unsqueeze", ["s", "zeroone"], ["s3"]), h.make_node("NonMaxSuppression", ["b3", "s3", "most", "iou", "least"], ["sel"]),
             h.make_node("Slice", ["sel", "two", "three", "one"], ["col"]), h.make_node("Squeeze", ["col", "one"], ["at"]), h.make_node("Gather", ["b", "at"], ["boxes"]), h.make_node("Gather", ["s", "at"], ["kept"]),
             h.make_node("Unsqueeze", ["kept", "one"], ["kept2"]), h.make_node("Concat", ["boxes", "kept2"], ["y"], axis=1), h.make_node("Shape", ["at"], ["count"]),
             h.make_node("Range", ["i0", "cs", "i1"], ["numbers"]), h.make_node("Squeeze", ["count", "zero"], ["cs"])]
    w = {"zero": np.array([0]), "zeroone": np.array([0, 1]), "one": np.array([1]), "two": np.array([2]), "three": np.array([3]), "most": np.array([10]), "iou": np.float32([0.5]), "least": np.float32([0.3]),
         "i0": np.int64(0), "i1": np.int64(1)}
    m = model(nodes, [("b", F, ["n", 4]), ("s", F, ["n"])], ["y", "count", "numbers"], w)
    agrees(m, [{"b": boxes(n, seed=n), "s": (0.1 if n == 9 else 1) * uniform(n, seed=n + 1)} for n in (1, 9, 50, 300)])


def boxes(*shape, seed=0):
    p = np.random.default_rng(seed).random((*shape, 4), dtype=np.float32)
    return np.concatenate([p[..., :2], p[..., :2] + 0.3 * p[..., 2:]], -1)


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def multiclass_nms_as_paddle2onnx_writes_it():
    """NMS of all classes, the kept ones' scores by flat places, the best k = min(count, 20) of them, their labels and boxes."""
    nodes = [h.make_node("NonMaxSuppression", ["b", "s", "most", "iou", "least"], ["sel"]), h.make_node("Gather", ["sel", "c1"], ["cls"], axis=1), h.make_node("Gather", ["sel", "c2"], ["box"], axis=1),
             h.make_node("Squeeze", ["cls", "axis1"], ["cls1"]), h.make_node("Squeeze", ["box", "axis1"], ["box1"]), h.make_node("Shape", ["s"], ["ss"]), h.make_node("Gather", ["ss", "c2"], ["n"]),
             h.make_node("Mul", ["cls1", "n"], ["row"]), h.make_node("Add", ["row", "box1"], ["flat"]), h.make_node("Reshape", ["s", "minus"], ["sf"]), h.make_node("Gather", ["sf", "flat"], ["kept"]),
             h.make_node("Shape", ["kept"], ["count"]), h.make_node("Concat", ["count", "top"], ["both"], axis=0), h.make_node("ReduceMin", ["both"], ["k"], axes=[0], keepdims=1),
             h.make_node("TopK", ["kept", "k"], ["best", "order"]), h.make_node("Gather", ["cls1", "order"], ["label"]), h.make_node("Gather", ["box1", "order"], ["which"]),
             h.make_node("Squeeze", ["b", "axis0"], ["b2"]), h.make_node("Gather", ["b2", "which"], ["bb"]), h.make_node("Cast", ["label"], ["lf"], to=F), h.make_node("Unsqueeze", ["lf", "axis1"], ["l2"]),
             h.make_node("Unsqueeze", ["best", "axis1"], ["s2"]), h.make_node("Concat", ["l2", "s2", "bb"], ["y"], axis=1)]
    w = {"most": np.array([5]), "iou": np.float32([0.4]), "least": np.float32([0.5]), "c1": np.array([1]), "c2": np.array([2]), "axis0": np.array([0]), "axis1": np.array([1]), "minus": np.array([-1]), "top": np.array([20])}
    m = model(nodes, [("b", F, [1, "n", 4]), ("s", F, [1, 6, "n"])], ["y", "sel"], w)
    agrees(m, [{"b": boxes(1, n, seed=n), "s": scale * uniform(1, 6, n, seed=n)} for n, scale in ((4, 1), (40, 1), (40, 0.4), (200, 1))])


def batched_nms_of_centers():
    m = model([h.make_node("NonMaxSuppression", ["b", "s", "most", "iou"], ["y"], center_point_box=1)], [("b", F, ["m", "n", 4]), ("s", F, ["m", "c", "n"]), ("most", T.INT64, [1])], ["y"], {"iou": np.float32([0.3])})
    agrees(m, [{"b": uniform(m_, n, 4, seed=n), "s": np.round(normal(m_, 2, n, seed=n), 1), "most": np.array([k])} for m_, n, k in ((2, 30, 7), (1, 5, 0), (3, 64, 1000))])


def places_of_non_zeros():
    """Boolean indexing as PyTorch writes it, in a fused neighbourhood: NonZero, Transpose, GatherND, a convolution whose batch is what was found; and sums over it."""
    nodes = [h.make_node("Greater", ["x", "limit"], ["mask"]), h.make_node("NonZero", ["mask"], ["nz"]), h.make_node("Transpose", ["nz"], ["at"], perm=[1, 0]), h.make_node("GatherND", ["x", "at"], ["v0"]),
             h.make_node("Relu", ["v0"], ["v"]), h.make_node("ReduceSum", ["v"], ["total"], keepdims=0), h.make_node("ReduceSum", ["x", "axis1"], ["rows"], keepdims=0), h.make_node("Greater", ["rows", "zero"], ["good"]),
             h.make_node("Compress", ["x", "good"], ["c"], axis=0), h.make_node("MatMul", ["c", "w"], ["cw"]), h.make_node("Tanh", ["cw"], ["t"]), h.make_node("Shape", ["nz"], ["shape"]),
             h.make_node("ConstantOfShape", ["shape"], ["filled"], value=nh.from_array(np.float32([2]))), h.make_node("ScatterND", ["x", "at", "v"], ["scattered"])]
    m = model(nodes, [("x", F, ["n", 12])], ["nz", "v", "total", "t", "filled", "scattered"], {"limit": np.float32(0.5), "zero": np.float32(0), "axis1": np.array([1]), "w": normal(12, 5)})
    agrees(m, [{"x": x} for x in (normal(3, 12), normal(40, 12), -np.abs(normal(4, 12)), normal(1, 12))])


def unique_of_data():
    for more in {}, {"sorted": 0}, {"axis": 1}, {"axis": 0, "sorted": 0}:
        m = model([h.make_node("Unique", ["x"], ["y", "first", "inverse", "counts"], **more)], [("x", T.INT64, ["n", "m"])], ["y", "first", "inverse", "counts"])
        agrees(m, [{"x": np.random.default_rng(n).integers(-2, 2, (n, k))} for n, k in ((1, 1), (7, 3), (40, 2))])


def shapes_computed_from_data():
    """Reshape, Expand, Slice, Tile and Range by numbers that are sums of data."""
    nodes = [h.make_node("ReduceSum", ["i", "axis0"], ["k"], keepdims=1), h.make_node("Concat", ["k", "minus"], ["to"], axis=0), h.make_node("Reshape", ["x", "to"], ["r"]),
             h.make_node("Slice", ["x", "zero", "k"], ["sl"]), h.make_node("Exp", ["sl"], ["e"]), h.make_node("Concat", ["k", "one"], ["ex"], axis=0), h.make_node("Expand", ["row", "ex"], ["expanded"]),
             h.make_node("Tile", ["row", "k"], ["tiled"]), h.make_node("Squeeze", ["k", "zero"], ["ks"]), h.make_node("Range", ["s0", "ks", "s1"], ["numbers"]), h.make_node("Pad", ["x", "pads"], ["padded"]),
             h.make_node("Concat", ["zero", "k"], ["pads"], axis=0)]
    w = {"axis0": np.array([0]), "zero": np.array([0]), "one": np.array([1]), "minus": np.array([-1]), "row": normal(3), "s0": np.int64(0), "s1": np.int64(1)}
    agrees(model(nodes, [("x", F, [24]), ("i", T.INT64, ["n"])], ["r", "e", "expanded", "tiled", "numbers", "padded"], w), [{"x": normal(24), "i": np.array(i)} for i in ([1, 2, 3], [4], [8, 4, 12])])


def sizes_computed_in_a_loop():
    """Each iteration finds other places and sums what stands there; stacking what it finds is refused."""
    def net(stacked):
        body = h.make_graph([h.make_node("Add", ["x", "s_in"], ["xs"]), h.make_node("Greater", ["xs", "limit"], ["m"]), h.make_node("Compress", ["xs", "m"], ["v"], axis=0), h.make_node("Exp", ["v"], ["e"]),
                             h.make_node("ReduceSum", ["e"], ["t"], keepdims=0), h.make_node("Neg", ["t"], ["t1"]), h.make_node("Tanh", ["t1"], ["s_out"]), h.make_node("Identity", ["c_in"], ["c_out"])], "body",
                            [info("i", T.INT64, []), info("c_in", T.BOOL, []), info("s_in", F, [])], [info("c_out", T.BOOL, []), info("s_out", F, []), info(stacked, F, [])])
        return model([h.make_node("Loop", ["k", "", "zero"], ["y", "z"], body=body)], [("x", F, ["n"]), ("k", T.INT64, [])], ["y", "z"], {"limit": np.float32(0.2), "zero": np.float32(0)})
    agrees(net("t"), [{"x": normal(n, seed=n), "k": np.array(k)} for n, k in ((5, 3), (40, 7), (1, 4), (9, 0))])
    m = net("v")
    del m.graph.node[0].attribute[0].g.output[2].type.tensor_type.shape.dim[:]
    onnx.save(m, "m.onnx")
    assert "M0301" in massc("m.onnx", "-o", "m.bin", status=1).err


def profile_of_every_step():
    """A search for places, the sizes it gives, a loop three times: each step of the program has rows with its nodes and bytes."""
    body = h.make_graph([h.make_node("Add", ["s_in", "x"], ["s_out"], name="grow"), h.make_node("Identity", ["c_in"], ["c_out"])], "body",
                        [info("i", T.INT64, []), info("c_in", T.BOOL, []), info("s_in", F, ["n"])], [info("c_out", T.BOOL, []), info("s_out", F, ["n"]), info("s_out", F, ["n"])])
    nodes = [h.make_node("NonZero", ["x"], ["nz"], name="find"), h.make_node("Transpose", ["nz"], ["at"], perm=[1, 0], name="turn"), h.make_node("GatherND", ["x", "at"], ["y"], name="take"),
             h.make_node("Loop", ["k", "", "x"], ["fin", "all"], body=body, name="again")]
    onnx.save(model(nodes, [("x", F, ["n"]), ("k", T.INT64, [])], ["y", "fin", "all"]), "m.onnx")
    massc("m.onnx", "-o", "m.bin")
    what = json.loads(run("./m.bin", "--info", "--json").out)
    j = json.loads(run("./m.bin", "--input", "x[1000]=1", "--input", "k=3", "--profile", "t.json", "--json").out)
    rows = j["launches"] + j["steps"]
    assert [(r["kernel"], r["nodes"]) for r in rows] == [(r["kernel"], r["nodes"]) for r in what["launches"] + what["steps"]] and all(r["nodes"] for r in rows), rows
    of = lambda kernel: [r for r in j["steps"] if r["kernel"] == kernel]
    assert [r["nodes"] for r in of("places") + of("bind") + of("stack")] == ["find", "find", "again"], j["steps"]
    assert of("places")[0]["bytes"] == 1000 * (1 + 8) + 8 and of("stack")[0]["bytes"] == 3 * 2 * 4000 and of("places")[0]["us"] > 0, j["steps"]   # mask, places, their number; read and written
    grow = [r for r in j["launches"] if r["nodes"] == "grow" and r["work"]]
    assert len(grow) == 1 and grow[0]["work"] == 3 * 1000, j["launches"]
    events = [e for e in json.load(open("t.json"))["traceEvents"] if e["ph"] == "X"]
    assert [sum(e["name"] == n for e in events) for n in ("places", "bind", "stack", grow[0]["kernel"])] == [1, 1, 3, 3], events
    assert all(e["cat"] in ("kernel", "step") and e["args"]["nodes"] for e in events)
    table = run("./m.bin", "--input", "x[1000]=1", "--input", "k=3", "--profile", "t.json").out.splitlines()
    assert len(table) == 2 + len(rows) and any(r.endswith("places: find") for r in table), table


def check_counts_what_is_known():
    """Three rows of a table of 1000; NonZero finds at most all of 64: their places, gathered and doubled."""
    nodes = [h.make_node("Gather", ["table", "ids"], ["rows"]), h.make_node("NonZero", ["x"], ["nz"]), h.make_node("Transpose", ["nz"], ["at"], perm=[1, 0]),
             h.make_node("GatherND", ["x", "at"], ["kept"]), h.make_node("Mul", ["kept", "two"], ["y"])]
    onnx.save(model(nodes, [("ids", T.INT64, [3]), ("x", F, ["n"])], ["rows", "y"], {"table": normal(1000, 16), "two": np.float32(2)}), "m.onnx")
    j = json.loads(massc("check", "--json", "--dim", "n=64", "m.onnx").out)
    assert j["sizes"] == {"NonZero.size": 64} and j["operations"] == 64, j            # the product; a cast to bool is none
    rows = 3 * 8 + 2 * 3 * 16 * 4
    find, gather = 64 * (4 + 1), 64 * (8 + 4 + 4)                                     # x to a mask; places and x to the product, which the gather is fused into
    assert j["bytes_moved"] == rows + find + gather and j["activation_bytes"] >= 64 * (1 + 8) + 64 * 4, j


dynamic_sizes = [sizes_computed_in_a_loop, nms_as_tf2onnx_writes_it, multiclass_nms_as_paddle2onnx_writes_it, batched_nms_of_centers, places_of_non_zeros, unique_of_data, shapes_computed_from_data]


for f in scatter_by_constant_places, scatter_elements_of_any_size, loop_until_a_condition, loop_that_stacks_until_a_condition, branches_chosen_at_run_time, loop_over_convolutions, *recurrent_cells, top_k, resize_to_sizes_of_another_input, \
        resize_by_scales, resize_by_computed_scales, pads_as_pytorch_writes_them, grid_sample, roi_align, max_roi_pool, places_of_maxima, transposed_convolutions_side_by_side, batch_normalization_with_named_outputs, counting_by_non_zero, range_up_to_a_dim, \
        microsoft_maps, microsoft_fused, microsoft_bert, *dynamic_sizes, profile_of_every_step, check_counts_what_is_known:
    cases.append((f.__name__, f))
main()
