"""Machine code of real networks: the loops of the kernels keep their vectors in registers.

massc writes the assembly of every kernel of a network at its full shapes, for each x86-64 level, and the schedules. Looked at are the innermost loops that multiply vectors in
the kernels of `contract`, `winograd` and `chain`. One that spreads elements over vectors and multiplies by them is a micro-kernel ("product"); the others are transforms of tiles
and what attention does with its scores ("other"). A spill is an instruction of such a loop that names a vector register and a place on the stack: kernels keep nothing else there.

ALLOWED says how many a loop may have, for the reason beside it. Numbers fall when code gets better; none may rise."""
import re
from collections import namedtuple
from e2e import *

NETS = {"alexnet": [], "resnet50": [], "yolov3": [], "bert-base": ["layers=1", "vocab=1000"], "gpt2": ["layers=1"]}
ALLOWED = {
    # SSE multiplies into one of its operands: sums change registers with products, and where the places at the end of a trip are not those of its begin, one waits on the stack
    ("product", 2): 6,
    # a tile of 4x4 results is transformed as 6x6 vectors, a tile of 3x3 as 5x5: more than there are registers
    ("other", 2): 66, ("other", 3): 56, ("other", 4): 26,
    ("product", 3): 0, ("product", 4): 0,
}

MULTIPLIES = re.compile(r"v?mulps\b|vfn?m(add|sub)\d+ps\b")
SPREADS = re.compile(r"vbroadcastss\s+[^,]*\(|shufps\s+\$0,|\{1to\d+\}")       # from memory; SSE: from a register
VECTOR = re.compile(r"%[xyz]mm\d")
Loop = namedtuple("Loop", "kind multiplications spills")


def innermost_loops(assembly):
    """The instructions of each innermost loop: from where a jump backwards goes to the jump."""
    code, label, jumps = [], {}, []
    for line in assembly.splitlines():
        if m := re.match(r"(\.L\w+):", line):
            label[m[1]] = len(code)
        elif m := re.match(r"\s+([a-z]\w*.*?)\s*(#.*)?$", line):
            if j := re.match(r"j\w+\s+(\.L\w+)", m[1]):
                jumps.append((len(code), j[1]))
            code.append(m[1])
    loops = {(label[to], at) for at, to in jumps if label.get(to, at + 1) <= at}
    return [code[a:b + 1] for a, b in sorted(loops) if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)]


def loops_of(assembly):
    """Loops that multiply vectors."""
    stack = r"\(%r[sb]p\b" if re.search(r"movq\s+%rsp, %rbp", assembly) else r"\(%rsp\b"        # without a frame rbp is a register like others
    found = []
    for body in innermost_loops(assembly):
        n = sum(bool(MULTIPLIES.match(i)) for i in body)
        product = any(SPREADS.search(i) and "(%rip" not in i for i in body)                     # constants are spread, too
        if n:
            found.append(Loop("product" if product else "other", n, [i for i in body if VECTOR.search(i) and re.search(stack, i)]))
    return found


@case("what is a loop, what is a spill")
def _():
    text = """
f:
	vmovups	%zmm1, 64(%rsp)
.LBB0_1:
	vmovups	%zmm3, (%rsp)
.LBB0_2:                                # =>This Inner Loop
	vmovups	(%rbp,%rax,4), %zmm0
	vbroadcastss	8(%rdi,%rax,4), %zmm2
	vfmadd231ps	%zmm0, %zmm2, %zmm1
	movq	%rax, 8(%rsp)
	MORE
	cmpq	%rax, %rcx
	jne	.LBB0_2
	jne	.LBB0_1
	jmp	.LBB0_3
.LBB0_3:
	retq
"""
    assert loops_of(text.replace("MORE", "nop")) == [("product", 1, [])]
    for spill in ("vmovups\t%zmm1, -64(%rsp)", "vaddps\t64(%rsp), %zmm1, %zmm1", "vmovaps\t(%rsp,%rax,8), %ymm9"):
        assert loops_of(text.replace("MORE", spill)) == [("product", 1, [spill])]
    framed = text.replace("f:\n", "f:\n\tmovq\t%rsp, %rbp\n")
    assert loops_of(framed.replace("MORE", "nop")) == [("product", 1, ["vmovups\t(%rbp,%rax,4), %zmm0"])]
    assert loops_of(text.replace("8(%rdi,%rax,4)", ".LCPI0_1(%rip)"))[0].kind == "other"
    assert not loops_of(text.replace("vfmadd231ps", "vaddps"))


def schedules(model, target):
    """Schedule records by kernel, of those that contract."""
    text = massc(model, f"--target={target}", "--stop-after=schedule", "-q", "-o", "-").out
    found = re.findall(r"^kernel \d+ @(\S+) \{$.*?^  (sched (\w+) .*?)$", text, re.M | re.S)
    return {name: record for name, record, kind in found if kind in ("contract", "winograd", "chain")}


def checked(net, level):
    def check():
        if not os.path.exists(f"{net}.onnx"):
            mkmodel(net, f"{net}.onnx", *NETS[net])
        target = f"cpu:x86-64-v{level}"
        massc(f"{net}.onnx", f"--target={target}", "--emit=asm", "-q", "-o", f"{net}.{level}/")
        worst, products, wrong = {"product": 0, "other": 0}, 0, []
        records = schedules(f"{net}.onnx", target)
        assert records
        for name, record in records.items():
            loops = loops_of(open(f"{net}.{level}/{name}.s").read())
            assert any(l.kind == "product" for l in loops), f"{name}: no micro-kernel found; {record}"
            products += sum(l.kind == "product" for l in loops)
            for l in loops:
                worst[l.kind] = max(worst[l.kind], len(l.spills))
                if len(l.spills) > ALLOWED[l.kind, level]:
                    wrong.append(f"{name}: {len(l.spills)} spills beside {l.multiplications} multiplications ({l.kind}; allowed {ALLOWED[l.kind, level]}), {' '.join(l.spills[0].split())}; {record}")
        if level == 4:
            os.remove(f"{net}.onnx")
        assert not wrong, "\n".join(wrong)
        return f"{len(records)} kernels, {products} micro-kernels; most spills {worst['product']}, of other loops {worst['other']}"
    return check


for net in NETS:
    for level in (2, 3, 4):
        case(f"{net} on x86-64-v{level}")(checked(net, level))


main()
