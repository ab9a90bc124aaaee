"""magika's model, which tells the type of a file from its bytes (written by tf2onnx, opset 15): against ONNX Runtime, and on files of twelve kinds."""
from packages import *
import csv, gzip, io, json, sqlite3, tarfile, wave, zipfile
from PIL import Image

FOLDER = os.path.join(PACKAGES, "magika", "models", "standard_v3_3")
MODEL = os.path.join(FOLDER, "model.onnx")
CONFIG = json.load(open(os.path.join(FOLDER, "config.min.json")))


def features(content):
    """The package's rule: the first and the last bytes of the file without white space around, padded to their numbers with 256."""
    n, m, pad = CONFIG["beg_size"], CONFIG["end_size"], CONFIG["padding_token"]
    head, tail = content[:CONFIG["block_size"]].lstrip()[:n], content[-CONFIG["block_size"]:].rstrip()[-m:]
    return [*head] + [pad] * (n - len(head)) + [pad] * (m - len(tail)) + [*tail]


def bytes_of(write):
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def archive(out):
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for k in range(3):
            z.writestr(f"folder/file{k}.txt", f"the text of file {k}\n" * 20)


def tape(out):
    with tarfile.open(fileobj=out, mode="w") as t:
        for k in range(3):
            info = tarfile.TarInfo(f"folder/file{k}.txt")
            info.size = 1000
            t.addfile(info, io.BytesIO(b"text of a file\n" * 67))


def sound(out):
    with wave.open(out, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(16000)
        w.writeframes((8000 * np.sin(np.arange(16000) / 20)).astype("<i2").tobytes())


def picture(kind):
    rng = np.random.default_rng(1)
    return lambda out: Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(out, kind)


def database():
    if os.path.exists("d.sqlite"):
        os.remove("d.sqlite")
    sqlite3.connect("d.sqlite").executescript("create table people (id integer primary key, name text, born integer);\n" + "insert into people (name, born) values ('Ada', 1815);\n" * 30)
    return open("d.sqlite", "rb").read()


SHELL = b"""#!/bin/sh
set -e
for f in "$@"; do
  if [ ! -f "$f" ]; then echo "no $f" >&2; exit 1; fi
  wc -l < "$f" | tr -d ' '
done
case "$1" in *.txt) grep -c "^#" "$1" || true ;; esac
export PATH="$HOME/bin:$PATH"
"""
HTML = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>A page</title><style>body { margin: 2em; }</style></head>
<body><h1>A heading</h1><p>A paragraph with <a href="https://example.org/">a link</a>.</p><ul><li>one</li><li>two</li></ul><script>alert("hello");</script></body></html>
"""


def kinds():
    source = os.path.join(TESTS, "..")
    return {
        "python": open(os.path.join(TESTS, "e2e", "e2e.py"), "rb").read(),
        "c": open(os.path.join(source, "ir", "types.c"), "rb").read(),
        "elf": open(MASSC, "rb").read(),
        "shell": SHELL,
        "html": HTML,
        "json": json.dumps([{"name": f"entry {k}", "values": [k, k / 2, None], "more": {"yes": True}} for k in range(20)], indent=2).encode(),
        "png": bytes_of(picture("PNG")),
        "jpeg": bytes_of(picture("JPEG")),
        "zip": bytes_of(archive),
        "tar": bytes_of(tape),
        "gzip": gzip.compress(b"some text, again and again\n" * 100),
        "wav": bytes_of(sound),
        "sqlite": database(),
    }


@case("batches against ONNX Runtime")
def against_ort():
    s = session(MODEL)
    files = np.array([features(c) for c in kinds().values()], np.int32)
    noise = np.random.default_rng(2).integers(0, 257, (3, 2048)).astype(np.int32)
    told = []
    for level, inputs in (("-O2", (files, files[:1], noise, files[3:8])), ("-O0", (files[:2], noise[:1]))):
        massc(level, MODEL, "-o", "m.bin")
        told.append(f"{level} {max(error_of(ask('./m.bin', x), s.run(None, {'bytes': x})[0], 1e-4) for x in inputs):.1e}")
    return ", ".join(told)


@case("files of every kind get their label")
def labels():
    massc(MODEL, "-o", "m.bin")
    known = kinds()
    scores = ask("./m.bin", np.array([features(c) for c in known.values()], np.int32))
    got = [CONFIG["target_labels_space"][k] for k in scores.argmax(1)]
    assert got == list(known), dict(zip(known, got))
    assert (scores.max(1) > CONFIG["medium_confidence_threshold"]).all(), scores.max(1)
    return ", ".join(got)


main()
