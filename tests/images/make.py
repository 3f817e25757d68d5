"""Makes the images beside it, kinds that the `image` crate does not write; needs pillow. All show the same L."""

from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent

letter = Image.new("L", (24, 32), 255)
draw = ImageDraw.Draw(letter)
draw.rectangle([10, 4, 13, 27], fill=0)
draw.rectangle([10, 24, 19, 27], fill=0)
colour, blank = letter.convert("RGB"), Image.new("L", (24, 32), 255)

turned = Image.Exif()
turned[0x0112] = 6  # orientation: to be turned clockwise
letter.rotate(90, expand=True).save(HERE / "rotated.jpg", quality=60, exif=turned.tobytes())
letter.save(HERE / "progressive.jpg", quality=60, progressive=True)
colour.convert("CMYK").save(HERE / "cmyk.jpg", quality=60)
colour.save(HERE / "lossy.webp", quality=50)
# The second image of each animation is blank.
colour.save(HERE / "anim.webp", save_all=True, append_images=[blank.convert("RGB")], lossless=True)
letter.save(HERE / "anim.png", save_all=True, append_images=[blank])
letter.save(HERE / "anim.gif", save_all=True, append_images=[blank])
