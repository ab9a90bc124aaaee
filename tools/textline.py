"""A line of text for PP-OCR's recogniser, and back: README's second example.

  textline.py draw TEXT|PICTURE LINE.npy      draws the text, or takes a picture of one line, as the network wants it: f32[1,3,48,width], from -1 to 1
  textline.py read MODEL.onnx SCORES.npy      the text that the network's scores spell, in the alphabet of the model's metadata
Needs numpy, Pillow and onnx."""
import os, sys
import numpy as np


def draw(what, out):
    from PIL import Image, ImageDraw, ImageFont
    if os.path.exists(what):
        image = Image.open(what).convert("RGB")
    else:
        font = ImageFont.load_default(32)
        left, top, right, bottom = font.getbbox(what)
        image = Image.new("RGB", (right - left + 16, bottom - top + 24), "white")
        ImageDraw.Draw(image).text((8 - left, 12 - top), what, fill="black", font=font)
    image = image.resize((max(1, image.width * 48 // image.height), 48), Image.BILINEAR)
    np.save(out, (np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255 - 0.5) / 0.5)


def read(model, scores):
    import onnx
    text = next(p.value for p in onnx.load(model).metadata_props if p.key == "character")
    alphabet = [""] + text.splitlines() + [" "]
    for row in np.load(scores).argmax(2):       # CTC: the best class of each step; repetitions, and class 0, which is no letter, are dropped
        print("".join(alphabet[c] for k, c in enumerate(row) if k == 0 or row[k - 1] != c))


if __name__ == "__main__":
    commands = {"draw": draw, "read": read}
    if len(sys.argv) != 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
