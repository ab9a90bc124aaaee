"""What tools/bench does on every road: models, compilation, inputs. Needs numpy and onnx."""
import os, subprocess, sys, time
import numpy as np, onnx

# Peak memory of a command and every process that it starts; by a fresh process, since a child counts what its parent held when it was made.
MEASURE = "import resource, subprocess, sys; status = subprocess.run(sys.argv[1:]).returncode; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(status % 256)"


class Failed(Exception):
    pass


def run(cmd, env=None, what=None):
    """What a command prints; what: the command as it is named when it fails."""
    r = subprocess.run(cmd, capture_output=True, text=True, errors="replace", env=env)
    if r.returncode:
        raise Failed(f"{' '.join(what or cmd)}: exit {r.returncode}\n{r.stderr[-2000:]}")
    return r.stdout


def make_model(mkmodel, net, folder):
    """net: NAME[:key=value..]."""
    name, *keys = net.split(":")
    model, here = f"{folder}/{net.replace(':', '-')}.onnx", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", name + ".yaml")
    run([*mkmodel, here if os.path.exists(here) else name, "-o", model, *keys])
    return model


def compiled(massc, model, exe, *options):
    """Seconds and the peak of memory in bytes."""
    t, cmd = time.perf_counter(), [*massc, *options, model, "-o", exe]
    peak = run([sys.executable, "-c", MEASURE, *cmd], what=cmd).split()[-1]
    return time.perf_counter() - t, int(peak) * 1024


def inputs_of(model):
    """(name, element type, dims): dims are numbers or names."""
    graph = onnx.load(model, load_external_data=False).graph
    given = {t.name for t in graph.initializer}
    return [(i.name, i.type.tensor_type.elem_type, [d.dim_value if d.HasField("dim_value") else d.dim_param for d in i.type.tensor_type.shape.dim])
            for i in graph.input if i.name not in given]


def size_of(dim, batch, length):
    return dim if isinstance(dim, int) else batch if "batch" in dim else length


def has_lengths(model):
    """Has it symbolic dims beside the batch?"""
    return any(not isinstance(d, int) and "batch" not in d for _, _, dims in inputs_of(model) for d in dims)


def feeds(model, batch, length, seed):
    """Random inputs of a batch; other symbolic dims are lengths. Integers are token ids, masks of ones and types of zeros."""
    rng, out = np.random.default_rng(seed), {}
    for name, elem, dims in inputs_of(model):
        dims = [size_of(d, batch, length) for d in dims]
        if elem == onnx.TensorProto.INT64:
            out[name] = np.ones(dims, np.int64) if "mask" in name else np.zeros(dims, np.int64) if "type" in name else rng.integers(0, 1000, dims)
        else:
            out[name] = rng.standard_normal(dims, dtype=np.float32)
    return out


def bound_dims(model, batch, length):
    """Options that bind every symbolic dim."""
    names = sorted({d for _, _, dims in inputs_of(model) for d in dims if not isinstance(d, int)})
    return [o for d in names for o in ("--dim", f"{d}={size_of(d, batch, length)}")]


def save(feed, folder):
    """Options that give inputs to an executable."""
    opts = []
    for k, v in feed.items():
        np.save(f"{folder}/in-{k}.npy", v)
        opts += ["--input", f"{k}={folder}/in-{k}.npy"]
    return opts
