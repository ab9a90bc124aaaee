"""README's second example: its commands, run as they stand there but for the one that fetches the package, print what stands there."""
from packages import *

SOURCE = os.path.abspath(os.path.join(TESTS, ".."))
HEADING = "## A trained network: reading a line of text"


@case("the recogniser reads README's line")
def example():
    part = open(os.path.join(SOURCE, "README.md")).read().split(HEADING)[1].split("\n## ")[0]
    block = [line[4:] for line in part.splitlines() if line.startswith("    ")]
    commands = [line[2:] for line in block if line.startswith("$ ")]
    package = [c for c in commands if "pip install" in c]
    assert len(package) == 1 and package[0].split()[-1] in open(os.path.join(here, "requirements.txt")).read().split(), package
    os.mkdir("build"), os.mkdir("bin")
    for name, to in (("ocr", PACKAGES), ("tools", os.path.join(SOURCE, "tools")), ("build/massc", MASSC)):
        os.symlink(to, name)
    with open("bin/python3", "w") as f:      # this Python, which has numpy and onnx
        f.write(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    os.chmod("bin/python3", 0o755)
    env = dict(os.environ, PATH=os.path.abspath("bin") + ":" + os.environ["PATH"], PYTHONPATH=PACKAGES, PYTHONDONTWRITEBYTECODE="1")
    told = [run("sh", "-c", c, env=env).out for c in commands if c not in package]
    wanted = [line for line in block if not line.startswith("$ ")]
    assert wanted and told[-1].splitlines() == wanted, (told, wanted)
    return told[-1].strip()


main()
