"""PyTorch's side of tools/bench --target=cuda: a module on the GPU in its best form, and its time by CUDA events.

float32 is computed without TF32, and with it where the precision is tf32. Convolutions choose their algorithm by trial (cudnn.benchmark) and see tensors with the channels last. Eager PyTorch is captured in a CUDA graph,
so that its launches cost it nothing; torch.compile makes its own (mode reduce-overhead)."""
import statistics, time, warnings
import numpy as np, torch

warnings.filterwarnings("ignore")
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32, "float32": torch.float32, "float64": torch.float64}
WARM, LEAST = 8, 20        # calls before the first that counts, and that count


def setup():
    torch.backends.cudnn.benchmark = True
    allow_tf32(False)
    torch.set_grad_enabled(False)


def allow_tf32(on):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = on


def on_gpu(module, feed, dtype):
    """The module and its inputs there. Images and the weights of their convolutions have their channels last."""
    last = torch.channels_last if any(n.op == "call_function" and n.target is torch.nn.functional.conv2d for n in module.graph.nodes) else None
    inputs = [torch.from_numpy(v).to("cuda") for v in feed.values()]
    inputs = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
    module = module.to("cuda")
    if last:                           # Module.to would ask it of tensors of rank 5 too
        inputs = [x.contiguous(memory_format=last) if x.dim() == 4 else x for x in inputs]
        for x in [*module.parameters(), *module.buffers()]:
            if x.dim() == 4:
                x.data = x.data.contiguous(memory_format=last)
    return module, inputs


def results(module, inputs):
    return [y.detach().double() for y in module(*inputs)]


def errors(got, want):
    """The largest norm-wise error of the results."""
    return max(float(torch.linalg.vector_norm(torch.as_tensor(g).to(w.device, w.dtype) - w) / torch.linalg.vector_norm(w)) for g, w in zip(got, want))


def load(path):
    return torch.from_numpy(np.load(path))


def eager_graph(module, inputs):
    """A call that runs the module as a captured graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            module(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        graph.results = module(*inputs)                        # their memory belongs to the graph
    return graph.replay


def compiled(module, inputs):
    """A call of torch.compile's program, and the seconds that it took to make."""
    t = time.perf_counter()
    program = torch.compile(module, mode="reduce-overhead", fullgraph=True, dynamic=False)
    for _ in range(3):
        program(*inputs)
    torch.cuda.synchronize()
    return lambda: program(*inputs), time.perf_counter() - t


def median_ms(call, seconds):
    """Of calls that begin when the device is idle, each between two events."""
    for _ in range(WARM):
        call()
    torch.cuda.synchronize()
    times, end = [], time.perf_counter() + seconds
    while len(times) < LEAST or time.perf_counter() < end:
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        call()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b))
    return statistics.median(times)


def versions():
    return dict(device=torch.cuda.get_device_name(), torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
