"""Draws one picture of the samples and what was read in them, for the front page.

    python -m edge classify --format jsonl samples/*.*g | python samples/sheet.py docs/samples.png

Needs the device's packages alone.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

COLUMNS = 7
TILE = 132  # pixels, of a sample and of the caption's width
CAPTION = 30  # pixels
GAP = 8  # pixels
SUPERSAMPLING = 4  # letters are drawn this much larger, then averaged down
PAGE = (250, 250, 250)  # BGR
CHECKS = (255, 225)  # grey levels of the squares that stand for transparency
CHECK_SIZE = 12  # pixels
TEXT = (60, 60, 60)
FONT_SCALE = 0.5


def tile(path: Path) -> np.ndarray:
    """The picture's middle square, with squares behind what is transparent: uint8 (TILE, TILE, 3)."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED if path.stem.endswith("transparent") else cv2.IMREAD_COLOR)
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    square = cv2.resize(square, (TILE, TILE), interpolation=cv2.INTER_AREA if side > TILE else cv2.INTER_NEAREST)
    if square.shape[2] == 4:
        y, x = np.mgrid[0:TILE, 0:TILE] // CHECK_SIZE
        behind = np.where((x + y) % 2, *CHECKS)[..., None]
        cover = square[..., 3:] / 255
        square = (square[..., :3] * cover + behind * (1 - cover)).astype(np.uint8)
    return square


def caption(text: str) -> np.ndarray:
    """One line of text, centred: uint8 (CAPTION, TILE, 3)."""
    large = np.full((CAPTION * SUPERSAMPLING, TILE * SUPERSAMPLING, 3), PAGE, np.uint8)
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE * SUPERSAMPLING
    (width, height), _ = cv2.getTextSize(text, font, scale, SUPERSAMPLING)
    origin = ((large.shape[1] - width) // 2, (large.shape[0] + height) // 2)
    cv2.putText(large, text, origin, font, scale, TEXT, SUPERSAMPLING + 1, cv2.LINE_AA)
    return cv2.resize(large, (TILE, CAPTION), interpolation=cv2.INTER_AREA)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    records = [json.loads(line) for line in sys.stdin]
    cells = []
    for record in records:
        label = record["label"]
        said = "no digit" if label is None else f"{label}   {record['confidence']:.1%}"
        cells.append(np.vstack([tile(Path(record["path"])), caption(said)]))
    rows = -(-len(cells) // COLUMNS)
    height, width = TILE + CAPTION, TILE
    page = np.full((rows * (height + GAP) + GAP, COLUMNS * (width + GAP) + GAP, 3), PAGE, np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        # A last row that is not full stands in the middle.
        missing = COLUMNS - min(COLUMNS, len(cells) - row * COLUMNS)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP) + missing * (width + GAP) // 2
        page[top : top + height, left : left + width] = cell
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(sys.argv[1], page, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return 0


if __name__ == "__main__":
    sys.exit(main())
