"""The packages of requirements.txt, unpacked once into build/trained (or the folder that MASSC_PACKAGES names). None of their code with dependencies is imported."""
import fcntl, os, subprocess, sys
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "e2e"))
from against_ort import *


def unpacked():
    wanted = open(os.path.join(here, "requirements.txt")).read()
    to = os.environ.get("MASSC_PACKAGES") or os.path.join(os.environ.get("MASSC_BUILD") or os.path.join(here, "..", "..", "build"), "trained")
    os.makedirs(to, exist_ok=True)
    marker = os.path.join(to, "made-from")
    with open(os.path.join(to, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)     # two tests may start at once
        if not os.path.exists(marker) or open(marker).read() != wanted:
            p = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target", to,
                                "-r", os.path.join(here, "requirements.txt")], capture_output=True, text=True)
            if p.returncode:
                why = (p.stderr.strip().splitlines() or ["no word"])[-1]
                print(f"1..0 # SKIP pip cannot fetch {', '.join(l.split('==')[0] for l in wanted.splitlines() if '==' in l)}: {escape(why)[:160]}")
                sys.exit(0)
            open(marker, "w").write(wanted)
    sys.path.append(to)
    return to


PACKAGES = unpacked()


def error_of(got, want, limit):
    """Largest difference over the largest value wanted."""
    assert got.shape == want.shape and got.dtype == want.dtype, f"{got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
    assert np.isfinite(got).all() and np.abs(want).max() > 0
    e = float(np.abs(got.astype(np.float64) - want).max() / np.abs(want).max())
    assert e <= limit, f"error {e:.3g} of the largest output for {got.shape}, at most {limit}"
    return e


def ask(program, x):
    """The program's one output for its one input."""
    np.save("x.npy", x)
    run(program, "--input", "x.npy", "--output", "y.npy")
    return np.load("y.npy")
