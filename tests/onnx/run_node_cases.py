#!/usr/bin/env python3
"""Runs the cases of the onnx package's backend test suite (nodes, and small models of PyTorch exporters) through the importer and the reference evaluator.

    run_node_cases.py MASSC_EVAL [-v] [--at-least N] [NAME ..]

Every case either agrees with the stored outputs within its own tolerances, or is refused with a diagnostic; a wrong result, a crash or a timeout fails the run,
as do fewer than N agreeing cases. Many cases feed shapes, axes or scales as inputs, which massc wants to know when it compiles (M0303): those run again with
these operands as initialisers. Prints one line with the counts; -v lists what was refused and why. Exit 77 (skipped) without the onnx package.
"""
import glob, os, re, subprocess, sys, tempfile, warnings
from collections import Counter
warnings.simplefilter('ignore')
python = os.environ.get('MASSC_PYTHON', '')              # the interpreter that has the packages (tools/test makes one)
if os.access(python, os.X_OK) and python != sys.executable and 'MASSC_PYTHON_RUNS' not in os.environ:
    os.environ['MASSC_PYTHON_RUNS'] = '1'
    os.execv(python, [python, *sys.argv])
try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
    from onnx.backend.test.case.node import collect_testcases
    from onnx.backend.test.loader import load_model_tests
except ImportError as e:
    print('skipped: needs the Python packages onnx and numpy:', e)
    sys.exit(77)

class FileCase:
    """A case that lies in files: a folder with model.onnx and test_data_set_<n>/{input,output}_<n>.pb."""
    def __init__(self, case):
        self.name, self.rtol, self.atol = case.name, case.rtol, case.atol
        self.model = onnx.load(os.path.join(case.model_dir, 'model.onnx'))
        self.data_sets = []
        for d in sorted(glob.glob(os.path.join(case.model_dir, 'test_data_set_*'))):
            self.data_sets.append(tuple([self.read(f) for f in sorted(glob.glob(os.path.join(d, kind + '_*.pb')))] for kind in ('input', 'output')))

    @staticmethod
    def read(path):
        t = onnx.TensorProto()
        with open(path, 'rb') as f:
            try:
                t.ParseFromString(f.read())
            except Exception:                            # a sequence or optional
                return None
        return t


def cases():
    yield from collect_testcases(None)
    for kind in 'simple', 'pytorch-operator', 'pytorch-converted':
        for case in load_model_tests(kind=kind):
            if case.model_dir:
                yield FileCase(case)


def save(path, value):
    """One TensorProto; False for what is no tensor."""
    if isinstance(value, onnx.TensorProto):
        t = value
    elif isinstance(value, (np.ndarray, np.generic)) and np.asarray(value).dtype != object:
        t = numpy_helper.from_array(np.asarray(value))
    else:
        return False
    with open(path, 'wb') as f:
        f.write(t.SerializeToString())
    return True

def load(path):
    t = onnx.TensorProto()
    with open(path, 'rb') as f:
        t.ParseFromString(f.read())
    return numpy_helper.to_array(t)

def differs(got, want, rtol, atol):
    want = np.asarray(numpy_helper.to_array(want) if isinstance(want, onnx.TensorProto) else want)
    if got.shape != want.shape:
        return f'shape {got.shape}, expected {want.shape}'
    if got.dtype != want.dtype:
        return f'type {got.dtype}, expected {want.dtype}'
    if got.dtype.kind in 'biu':
        return None if np.array_equal(got, want) else f'{np.count_nonzero(got != want)} of {got.size} elements'
    a, b = got.astype(np.float64), want.astype(np.float64)
    if np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True):
        return None
    return f'{np.count_nonzero(~np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True))} of {a.size} elements; {a.flat[:4]} against {b.flat[:4]}'

# Cases whose graph rounds every step to bfloat16, while the stored result was rounded once; single elements are one unit in the last place off.

# Stored results that are not the only right ones.
# Attention on 16-bit floats, whole or as a function's body: we compute softmax in float32 and round once, the stored result rounds at each step. The error
# against the largest element may be one unit in its last place.
ROUNDS_ELSEWHERE = {
    'test_attention_3d_causal_bf16': 2**-7, 'test_attention_4d_attn_mask_causal_bf16': 2**-7, 'test_attention_4d_causal_bf16': 2**-7,
    'test_attention_4d_causal_fp16': 2**-10, 'test_attention_4d_causal_padded_kv_bf16': 2**-7, 'test_attention_4d_padded_kv_bf16': 2**-7,
}
# ONNX's text divides by length_resized - 1, as we and ONNX Runtime do; the stored results took scale * length_original for length_resized. Not run.
OTHER_FORMULA = {'test_resize_downsample_scales_linear_align_corners', 'test_resize_downsample_scales_cubic_align_corners'}


def frozen(model, ins, keep):
    """The model with all inputs but the first `keep` as initialisers."""
    m = onnx.ModelProto()
    m.CopyFrom(model)
    for info, value in list(zip(model.graph.input, ins))[keep:]:
        m.graph.initializer.append(value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value)))
        m.graph.initializer[-1].name = info.name
    del m.graph.input[keep:]
    return m

def run(tool, case, folder):
    """('pass' | 'refused' | 'fail', text)"""
    what, text = run_model(tool, case, case.model, case.data_sets, folder)
    for keep in 1, 0:
        if what != 'refused' or 'known' not in text:
            break
        ins, outs = case.data_sets[0]
        what, text = run_model(tool, case, frozen(case.model, ins, keep), [(ins[:keep], outs)], folder)
    return what, text

def run_model(tool, case, onnx_model, data_sets, folder):
    model = os.path.join(folder, 'model.onnx')
    onnx.save(onnx_model, model)
    for ins, outs in data_sets:
        names = [os.path.join(folder, f'in{i}.pb') for i in range(len(ins))]
        results = [os.path.join(folder, f'out{i}.pb') for i in range(len(outs))]
        if not all([save(n, v) for n, v in zip(names, ins)]):
            names = []                                   # sequences, optionals, strings: the importer has to refuse the model
        try:
            r = subprocess.run([tool, model, *names, '-o', *results], capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            return 'fail', 'timeout'
        if r.returncode:
            line = (r.stderr.strip().splitlines() or ['no diagnostic'])[0]
            code = re.search(r'error (M\d{4})', line)
            return ('refused' if r.returncode == 1 and code else 'fail'), line.replace(model, '')
        for got, want in zip(results, outs):
            unit = ROUNDS_ELSEWHERE.get(case.name.removesuffix('_expanded'), 0)
            if unit:
                unit *= np.abs(np.asarray(want, dtype=np.float64)).max()
            why = differs(load(got), want, case.rtol, max(case.atol, unit))
            if why:
                return 'fail', why
    return 'pass', ''

def main():
    args, verbose, least = sys.argv[1:], False, 0
    if '-v' in args:
        verbose = True
        args.remove('-v')
    if '--at-least' in args:
        i = args.index('--at-least')
        least = int(args[i + 1])
        del args[i:i + 2]
    tool, only = args[0], args[1:]
    np.random.seed(0)
    counts, reasons = Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            if only and not any(o in case.name for o in only):
                continue
            if case.name in OTHER_FORMULA:
                continue
            what, text = run(tool, case, folder)
            counts[what] += 1
            reasons[text] += what == 'refused'
            if what == 'fail' or (verbose and what == 'refused'):
                print(f'{what}: {case.name}: {text}')
    print(f"{counts['pass']} cases agree, {counts['refused']} are refused with a diagnostic, {counts['fail']} fail")
    if counts['pass'] < least:
        print(f'expected at least {least} to agree')
    return counts['fail'] > 0 or counts['pass'] < least

sys.exit(main())
