"""BENCHMARKS.md and its plots, from the numbers of one run."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/benchmarks.json"
PAGE = ROOT / "BENCHMARKS.md"
PLOTS = ROOT / "docs"

NAMES = {
    "keras": "Keras `predict`",
    "tf_lite": "`tf.lite` interpreter",
    "tflite": "tflite-runtime, bare",
    "litert": "LiteRT, bare",
    "classifier": "**Edge Digits, `Classifier`** on LiteRT",
    "onnxruntime": "ONNX Runtime",
    "opencv": "OpenCV DNN",
    "read_litert": "**Edge Digits** on LiteRT",
    "read_tflite": "**Edge Digits** on tflite-runtime",
    "rapidocr": "RapidOCR, as it comes",
    "rapidocr_one_thread": "RapidOCR, told one thread",
    "tesseract": "Tesseract, digits only",
}
# The number asked for, and whether it is a most or a least.
ASKED = {
    "processor time, LiteRT": 1 / 100,
    "processor time, tflite-runtime": 1 / 100,
    "resident memory, LiteRT": 1 / 4,
    "resident memory, tflite-runtime": 1 / 4,
    "install size, LiteRT": 0.75,
    "install size, tflite-runtime": 0.6,
}
CLASSIFIER_MOST = 1.10
SCALING_LEAST = 1.8
PAGE_WIDTH = 118  # characters
SMALL_SHARE = 0.005  # of an installation: what is less is not worth a row


def installed(found: Mapping[str, Any], engine: str) -> dict[str, int]:
    """The bytes of each distribution that its lock installs."""

    def sizes(environment: str) -> dict[str, int]:
        return {name: size for name, (_, size) in found["environments"][environment]["distributions"].items()}

    if engine.startswith("rapidocr"):
        return sizes("rapidocr")
    if engine == "tesseract":
        return sizes("debian")
    # All that the lock installs: on Python 3.11, where tflite-runtime is declared, LiteRT comes beside it.
    return sizes("edge") | sizes("tflite" if engine == "read_tflite" else "litert")


def ratios(found: Mapping[str, Any]) -> dict[str, float]:
    """Edge Digits to RapidOCR as it comes, for each of ASKED."""
    photos = found["photos"]
    other = photos["rapidocr"]
    other_size = sum(installed(found, "rapidocr").values())
    made = {}
    for engine, runtime in (("read_litert", "LiteRT"), ("read_tflite", "tflite-runtime")):
        made[f"processor time, {runtime}"] = photos[engine]["cpu_ms"] / other["cpu_ms"]
        made[f"resident memory, {runtime}"] = photos[engine]["resident_mb"] / other["resident_mb"]
        made[f"install size, {runtime}"] = sum(installed(found, engine).values()) / other_size
    return {name: made[name] for name in ASKED}


def _part(value: float) -> str:
    return f"1/{1 / value:.3g}" if value <= 0.25 else f"{value:.2f}"


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


def page(found: Mapping[str, Any]) -> str:
    """The text of BENCHMARKS.md."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    machine, glyphs, photos, scaling = (found[key] for key in ("machine", "glyphs", "photos", "scaling"))
    yield "# Benchmarks"
    yield ""
    yield from _prose(
        "Made by `make bench`, which writes this page from [docs/benchmarks.json](docs/benchmarks.json). Each "
        "contestant runs in its own process and a pinned environment; they take turns, so that other work on the "
        "machine falls on all alike, each long enough for the caches that another's turn left cold not to count. "
        "Times are medians of processor time over all threads. Absolute times are this machine's "
        f"({machine['processor']}, {machine['cores']} cores, load {machine['load']} at the start); the ratios are the "
        "point. On a device: `edge-digits bench`."
    )
    yield ""
    yield "## A photo of eight handwritten digits"
    yield ""
    yield from _prose(
        f"768×560 JPEGs that the project makes ({photos['rapidocr']['of'] // 8} of them, MNIST's test digits on lit, "
        "noisy paper), from file to text. Digits right: the longest common subsequence with what is written, other "
        "text left out. Tesseract is a program, started anew for each photo, as Debian ships it. The others stay "
        "loaded; their cold start, the processor time of a process that reads one photo, is beside it. RapidOCR "
        "and Tesseract "
        "were made for print."
    )
    yield ""
    yield "| | processor ms | × Edge Digits | digits right | resident MB | installed MB | cold start ms |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    ours = photos["read_litert"]["cpu_ms"]
    for engine, row in photos.items():
        size = sum(installed(found, engine).values()) / 1e6
        yield (
            f"| {NAMES[engine]} | {row['cpu_ms']:.1f} | {row['cpu_ms'] / ours:.1f} | {row['right']}/{row['of']} "
            f"| {row['resident_mb']:.0f} | {size:.0f} | {row['cold_ms']} |"
        )
    yield ""
    yield "![Processor time, memory and install size](docs/benchmark-photos.png)"
    yield ""
    yield "## One glyph"
    yield ""
    yield from _prose(
        "The same network throughout: the int8 model that ships on the TFLite runtimes; Keras, ONNX Runtime and OpenCV "
        "run its float32 original. One 28×28 glyph a call, one thread, but for Keras, which takes what it likes; "
        f"right of the first {glyphs['litert']['of']} of MNIST's test."
    )
    yield ""
    yield "| | processor µs | × bare LiteRT | right | resident MB | cold start ms |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    bare = glyphs["litert"]["cpu_us"]
    for engine, row in sorted(glyphs.items(), key=lambda item: item[1]["cpu_us"]):
        times = row["against_litert"] if engine == "classifier" else row["cpu_us"] / bare
        yield (
            f"| {NAMES[engine]} | {row['cpu_us']:.1f} | {times:.2f} | {row['right']} "
            f"| {row['resident_mb']:.0f} | {row['cold_ms']} |"
        )
    yield ""
    yield "`Classifier` and bare LiteRT share a process, so their resident memory is one number."
    yield ""
    yield "![Processor time a glyph](docs/benchmark-glyphs.png)"
    yield ""
    yield "## What was asked"
    yield ""
    yield "| | asked | measured | met |"
    yield "| --- | ---: | ---: | --- |"
    for name, value in ratios(found).items():
        yield f"| {name}, to RapidOCR | {_part(ASKED[name])} | {_part(value)} | {_met(value <= ASKED[name])} |"
    fewest = min(photos["read_litert"]["right"], photos["read_tflite"]["right"])
    most = max(photos[name]["right"] for name in ("rapidocr", "rapidocr_one_thread"))
    yield f"| digits right, to RapidOCR's {most} | no fewer | {fewest} | {_met(fewest >= most)} |"
    times = glyphs["classifier"]["against_litert"]
    yield f"| `Classifier`, to bare LiteRT | {CLASSIFIER_MOST:.2f} | {times:.2f} | {_met(times <= CLASSIFIER_MOST)} |"
    gain = scaling["median_ratio"]
    yield (
        f"| `edge-digits read`, {scaling['photos']} photos, 2 cores to 1 | {SCALING_LEAST} "
        f"| {gain:.2f} (best rounds {scaling['best_ratio']:.2f}) | {_met(gain >= SCALING_LEAST)} |"
    )
    yield ""
    one = ours / photos["rapidocr_one_thread"]["cpu_ms"]
    yield from _prose(
        "The ratios are to RapidOCR as it comes, with a thread for each core. Told to use one thread it takes "
        f"{photos['rapidocr_one_thread']['cpu_ms']:.0f} ms of processor time a photo, and Edge Digits on LiteRT "
        f"{_part(one)} of that. The last row is time on the wall, the only one that other work on the machine's cores "
        "makes worse."
    )
    yield ""
    yield from _prose(
        "The ratios depend on the processor: where that has dot products of int8 numbers (AVX-512 VNNI, Arm's "
        "asimddp), LiteRT is several times as fast, and RapidOCR, whose networks are float32, is not. This one has "
        f"{'them' if machine['dot_products'] else 'none'}."
    )
    yield ""
    yield "## What it costs"
    yield ""
    yield "Megabytes of files that each distribution installs, without compiled Python."
    for engine in ("read_tflite", "read_litert", "rapidocr", "tesseract"):
        sizes = installed(found, engine)
        total = sum(sizes.values())
        yield ""
        title = NAMES[engine].replace("**", "").replace(", as it comes", "").replace(", digits only", "")
        yield f"| {title} | MB | part |"
        yield "| --- | ---: | ---: |"
        rest = 0
        for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
            if size < SMALL_SHARE * total and name != "edge-digits":
                rest += size
            else:
                yield f"| {name} | {size / 1e6:.1f} | {size / total:.0%} |"
        if rest:
            yield f"| others | {rest / 1e6:.1f} | {rest / total:.0%} |"
        yield f"| in all | {total / 1e6:.1f} | |"
    python = found["environments"]["litert"]["python"]
    beside = ", where it comes beside tflite-runtime" if "tflite-runtime" in installed(found, "read_litert") else ""
    yield ""
    yield from _prose(
        f"LiteRT is measured on Python {python}{beside}. The locks leave out what packages declare and never load "
        "(`[tool.uv]` in [pyproject.toml](pyproject.toml)); what is installed on a device, with the daemon's packages "
        "and by system, is in [docs/raspberry-pi.md](docs/raspberry-pi.md#what-each-package-costs)."
    )
    yield ""
    yield "Tesseract's are its own five Debian packages; the libraries that it shares with the system come on top."


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, PAGE_WIDTH, break_long_words=False, break_on_hyphens=False)


def write_page(found: Mapping[str, Any]) -> None:
    """Writes BENCHMARKS.md and its plots."""
    _plot_photos(found)
    _plot_glyphs(found)
    PAGE.write_text(page(found))


def _plain(engine: str) -> str:
    return NAMES[engine].replace("**", "").replace("`", "")


def _plot_photos(found: Mapping[str, Any]) -> None:
    photos = found["photos"]
    columns = {
        "processor time, ms": [row["cpu_ms"] for row in photos.values()],
        "digits right, %": [100 * row["right"] / row["of"] for row in photos.values()],
        "resident, MB": [row["resident_mb"] for row in photos.values()],
        "installed, MB": [sum(installed(found, engine).values()) / 1e6 for engine in photos],
    }
    _bars([_plain(engine) for engine in photos], columns, PLOTS / "benchmark-photos.png", first_logarithmic=True)


def _plot_glyphs(found: Mapping[str, Any]) -> None:
    rows = dict(sorted(found["glyphs"].items(), key=lambda item: item[1]["cpu_us"]))
    columns = {"processor time a glyph, µs": [row["cpu_us"] for row in rows.values()]}
    _bars([_plain(engine) for engine in rows], columns, PLOTS / "benchmark-glyphs.png", first_logarithmic=True)


def _bars(names: list[str], columns: Mapping[str, list[float]], path: Path, *, first_logarithmic: bool) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(columns), figsize=(3 + 2.6 * len(columns), 0.8 + 0.36 * len(names)))
    colours = ["#2b6cb0" if name.startswith("Edge Digits") else "#a0aec0" for name in names]
    for number, (title, values) in enumerate(columns.items()):
        axis = axes[number] if len(columns) > 1 else axes
        bars = axis.barh(range(len(names)), values, color=colours)
        axis.bar_label(bars, [f"{value:.3g}" if value < 1000 else f"{value:,.0f}" for value in values], padding=2)
        axis.set_yticks(range(len(names)), names if number == 0 else [""] * len(names))
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10)
        axis.margins(x=0.28)
        axis.spines[["top", "right"]].set_visible(False)
        if number == 0 and first_logarithmic:
            axis.set_xscale("log")
            axis.margins(x=0.2)
    figure.tight_layout()
    figure.savefig(path, dpi=100, metadata={"Software": None})
    pyplot.close(figure)
