"""A model goes in, and what comes out answers as it did, on the device's runtimes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import Conversion, ConversionError, convert, graph, pipeline
from convert.quantize import VARIANTS
from convert.resolution import COPIES, with_finer_output
from convert.source import load
from edge.classifier import Classifier
from tests.convert.conftest import make_dataset
from train.data import Dataset
from train.quiet import quiet

RUNTIMES = ("litert", "tflite")
TOLERATED = 0.02  # of the small test split's answers, that may differ from the source


@pytest.fixture(scope="module")
def converted(
    keras_file: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Conversion, list[str]]:
    """The logits model in all variants, and the lines that were said."""
    out = tmp_path_factory.mktemp("models")
    (out / "metrics.json").write_text(json.dumps({"training": {"kept": True}, "conversion": "old"}))
    lines: list[str] = []
    return convert(keras_file, dataset, out=out, say=lines.append), lines


def accuracy(path: Path, dataset: Dataset, runtime: str = "litert") -> float:
    return float(np.mean(Classifier(path, runtime=runtime)(dataset.test_images).argmax(1) == dataset.test_labels))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_answers_as_the_source_on_every_runtime(
    converted: tuple[Conversion, list[str]], keras_file: Path, dataset: Dataset, variant: str, runtime: str
) -> None:
    source = load(keras_file)
    wanted = source.scores(source.values(dataset.test_images, (0.0, 1.0))).argmax(1)
    got = Classifier(converted[0].files[variant], runtime=runtime)(dataset.test_images).argmax(1)
    assert np.mean(got == wanted) >= 1 - TOLERATED
    assert np.mean(got == dataset.test_labels) > 0.9


def test_the_figures_are_kept_beside_what_training_wrote(
    converted: tuple[Conversion, list[str]], dataset: Dataset
) -> None:
    conversion, lines = converted
    folder = conversion.files["int8"].parent
    kept = json.loads((folder / "metrics.json").read_text())
    assert kept["training"] == {"kept": True}
    assert kept["conversion"] == json.loads(json.dumps(conversion.metrics))
    assert list(kept["conversion"]["variants"]) == list(VARIANTS)
    for variant, result in kept["conversion"]["variants"].items():
        content = (folder / result["file"]).read_bytes()
        assert result["bytes"] == len(content) and result["sha256"] == hashlib.sha256(content).hexdigest()
        assert result["accuracy"] == pytest.approx(accuracy(folder / result["file"], dataset))
        assert 0.9 < result["agreement"] <= 1 and 0 <= result["calibration_error"] < 0.5
        assert set(result["microseconds_per_glyph"]) == set(RUNTIMES)
        assert all(time > 0 for time in result["microseconds_per_glyph"].values())
        line = next(line for line in conversion.table.splitlines() if line.startswith(variant))
        assert f"{result['accuracy']:.2%}" in line and f"{result['bytes'] / 1024:.1f} KB" in line
    assert conversion.table in lines
    assert (folder / "labels.txt").read_text() == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["metrics.json", "labels.txt", *(f"digits-{variant}.tflite" for variant in VARIANTS)]
    )


def test_float16_dynamic_and_int8_are_smaller(converted: tuple[Conversion, list[str]]) -> None:
    size = {variant: path.stat().st_size for variant, path in converted[0].files.items()}
    assert size["float16"] < size["float32"] and size["int8"] < size["float16"] and size["dynamic"] < size["float16"]


def test_int8_is_integers_from_end_to_end(converted: tuple[Conversion, list[str]]) -> None:
    content = converted[0].files["int8"].read_bytes()
    ends = graph.ends(content)
    assert (ends.input_type, ends.output_type) == ("uint8", "float32")
    assert (ends.input_scale, ends.input_zero_point) == (pytest.approx(1 / 255), 0)
    model = graph.unpack(content)
    floats = graph.schema().TensorType.FLOAT32
    main = model.subgraphs[0]
    last = {int(k) for o in main.operators[-2:] for k in o.outputs}
    assert [k for k, tensor in enumerate(main.tensors) if tensor.type == floats and k not in last] == []


def test_weights_lie_where_the_runtimes_want_them(converted: tuple[Conversion, list[str]]) -> None:
    for path in converted[0].files.values():
        content = path.read_bytes()
        filled = [b for b in graph.unpack(content).buffers if b.data is not None and len(b.data) >= 64]
        assert filled
        for buffer in filled:
            assert content.find(bytes(buffer.data)) % graph.BUFFER_ALIGNMENT == 0


def test_the_same_model_gives_the_same_bytes(
    converted: tuple[Conversion, list[str]], keras_file: Path, dataset: Dataset, tmp_path: Path
) -> None:
    again = convert(keras_file, dataset, out=tmp_path, say=lambda line: None)
    for variant, path in again.files.items():
        assert path.read_bytes() == converted[0].files[variant].read_bytes(), variant


@pytest.mark.parametrize("key", ["0-1", "0-255", "-1-1"])
def test_the_input_range_is_found_on_labelled_data(trained: Any, dataset: Dataset, tmp_path: Path, key: str) -> None:
    bounds = pipeline.INPUT_RANGES[key]
    trained(dataset, bounds=bounds).save(tmp_path / "best_model.h5")
    lines: list[str] = []
    conversion = convert(tmp_path / "best_model.h5", dataset, out=tmp_path, variants=["int8"], say=lines.append)
    assert conversion.input_range == bounds
    said = next(line for line in lines if line.startswith("input range"))
    assert said.startswith(f"input range {key}, the best") and said.count("%") == 3
    path = conversion.files["int8"]
    assert path.name == "best_model-int8.tflite"
    ends = graph.ends(path.read_bytes())
    pixels = np.arange(256)
    meant = bounds[0] + pixels * (bounds[1] - bounds[0]) / 255
    got = (pixels - ends.input_zero_point) * ends.input_scale
    assert np.abs(got - meant).max() <= ends.input_scale * 0.501
    assert accuracy(path, dataset) > 0.9


def test_an_input_range_that_is_asked_for_is_taken(keras_file: Path, dataset: Dataset, tmp_path: Path) -> None:
    conversion = convert(
        keras_file, dataset, out=tmp_path, input_range="-1-1", variants=["float32"], say=lambda line: None
    )
    assert conversion.input_range == (-1.0, 1.0)
    assert Classifier(conversion.files["float32"]).info.input_range == (-1.0, 1.0)


def test_what_training_wrote_names_the_range_and_the_data(keras_file: Path, npz: Path, tmp_path: Path) -> None:
    model = tmp_path / "digits.keras"
    model.write_bytes(keras_file.read_bytes())
    training = {"input_range": [0, 1], "data": {"source": str(npz)}}
    (tmp_path / "metrics.json").write_text(json.dumps({"training": training}))
    lines: list[str] = []
    conversion = convert(model, out=tmp_path, variants=["float32"], say=lines.append)
    assert "input range 0-1, as it was trained" in lines
    assert conversion.metrics["data"]["name"] == "printed"


def test_a_softmax_inside_is_taken_off(h5_file: Path, dataset: Dataset, tmp_path: Path) -> None:
    conversion = convert(h5_file, dataset, out=tmp_path, variants=["float32", "int8"], say=lambda line: None)
    assert conversion.output == "logits"
    source = load(h5_file)
    wanted = source.scores(source.values(dataset.test_images, (0.0, 1.0)))
    for path in conversion.files.values():
        assert graph.ends(path.read_bytes()).last_operator not in ("SOFTMAX", "LOGISTIC")
        classifier = Classifier(path)
        assert classifier.info.output == "logits"
        got = classifier(dataset.test_images) ** classifier.info.temperature  # takes the calibration out again
        got /= got.sum(1, keepdims=True)
        assert np.abs(got - wanted).mean() < 0.01
    steps = Classifier(conversion.files["int8"])(dataset.test_images).max(1)
    assert np.abs(steps * 256 - np.round(steps * 256)).max() > 0.1  # finer than an int8 softmax can say


def test_sigmoids_are_taken_off(trained: Any, dataset: Dataset, tmp_path: Path) -> None:
    trained(dataset, end="sigmoid").save(tmp_path / "sigmoids.keras")
    conversion = convert(tmp_path / "sigmoids.keras", dataset, out=tmp_path, variants=["int8"], say=lambda line: None)
    assert conversion.output == "logits"
    assert accuracy(conversion.files["int8"], dataset) > 0.9


def test_probabilities_that_cannot_be_taken_apart_stay(
    logits_model: Any, softmax_model: Any, dataset: Dataset, tmp_path: Path
) -> None:
    import keras

    picture = keras.Input((28, 28, 1))
    branch = keras.Sequential(logits_model.layers, name="branch")
    two = [keras.layers.Softmax()(branch(picture)), softmax_model(picture)]
    keras.Model(picture, keras.layers.Average()(two)).save(tmp_path / "both.keras")
    conversion = convert(
        tmp_path / "both.keras", dataset, out=tmp_path, variants=["float32", "int8"], say=lambda line: None
    )
    assert conversion.output == "probabilities"
    for path in conversion.files.values():
        assert Classifier(path).info.output == "probabilities"
        assert accuracy(path, dataset) > 0.9


def test_large_colour_pictures_are_taken(trained: Any, dataset: Dataset, tmp_path: Path) -> None:
    trained(dataset, (32, 32, 3)).save(tmp_path / "colour.keras")
    conversion = convert(tmp_path / "colour.keras", dataset, out=tmp_path, say=lambda line: None)
    assert graph.ends(conversion.files["int8"].read_bytes()).input_shape == (1, 32, 32, 3)
    for result in conversion.metrics["variants"].values():
        assert result["accuracy"] > 0.9 and result["agreement"] >= 1 - TOLERATED
    # The source is measured on the very pictures the device makes: in floats they agree on each.
    assert conversion.metrics["variants"]["float32"]["agreement"] == 1


def test_a_saved_model_goes_all_the_way(softmax_model: Any, dataset: Dataset, tmp_path: Path) -> None:
    with quiet():
        softmax_model.export(tmp_path / "exported")
    conversion = convert(tmp_path / "exported", dataset, out=tmp_path / "models", say=lambda line: None)
    assert conversion.output == "logits"
    assert conversion.metrics["source"]["kind"] == "saved_model"
    assert all(result["agreement"] >= 1 - TOLERATED for result in conversion.metrics["variants"].values())


def test_three_classes_carry_their_labels(trained: Any, letters: Dataset, tmp_path: Path) -> None:
    trained(letters).save(tmp_path / "letters.keras")
    conversion = convert(tmp_path / "letters.keras", letters, out=tmp_path, variants=["int8"], say=lambda line: None)
    classifier = Classifier(conversion.files["int8"])
    assert classifier.labels == ("A", "B", "C") == conversion.labels
    assert classifier(letters.test_images).shape == (len(letters.test_images), 3)
    assert (tmp_path / "letters-labels.txt").read_text() == "A\nB\nC\n"


def test_a_class_for_none_comes_with_a_threshold(trained: Any, letters: Dataset, tmp_path: Path) -> None:
    wider = make_dataset("ABCX")
    trained(wider).save(tmp_path / "digits.keras")
    (tmp_path / "metrics.json").write_text(json.dumps({"training": {"input_range": [0, 1], "none": "none"}}))
    conversion = convert(
        tmp_path / "digits.keras", letters, out=tmp_path, variants=["float32", "int8"], say=lambda line: None
    )
    assert conversion.labels == ("A", "B", "C", "none")
    for variant, path in conversion.files.items():
        classifier = Classifier(path)
        assert (classifier.info.none, classifier.none_index) == ("none", 3)
        threshold = classifier.info.rejection_threshold
        assert threshold == conversion.metrics["variants"][variant]["rejection_threshold"] > 0
        kept = classifier(letters.validation_images)[:, :3].max(axis=1)
        assert np.mean(kept < threshold) <= pipeline.REFUSED_DIGITS
        crosses = classifier(wider.test_images[wider.test_labels == 3])
        assert np.mean(crosses.argmax(axis=1) == 3) > 0.9
    assert conversion.metrics["none"] == "none"
    result = conversion.metrics["variants"]["int8"]
    assert result["answered_right"] + result["refused"] <= 1 and result["answered_right"] > 0.9


def test_the_threshold_is_the_largest_that_refuses_so_few() -> None:
    digits = np.linspace(0.2, 0.999, 2000)  # of the first class; the rest is none
    logits = np.log(np.column_stack([digits, np.full(2000, 1e-9), 1 - digits])).astype(np.float32)
    threshold = pipeline.rejection_threshold(logits, logits, none=2, temperature=1.0)
    assert np.sum(digits < threshold) == 2 == pipeline.REFUSED_DIGITS * len(digits)
    assert np.sum(digits < threshold + pipeline.THRESHOLD_STEP + 1e-6) > 2
    few = logits[:10]
    assert pipeline.rejection_threshold(few, few, none=2, temperature=1.0) < digits[0] + 1e-6


def test_digits_as_the_device_sees_them_hold_the_threshold_down() -> None:
    def logits(digits: np.ndarray) -> np.ndarray:
        return np.log(np.column_stack([digits, np.full(len(digits), 1e-9), 1 - digits])).astype(np.float32)

    clean, ugly = np.full(1000, 0.9), np.linspace(0.01, 0.999, 1000)
    threshold = pipeline.rejection_threshold(logits(clean), logits(ugly), none=2, temperature=1.0)
    assert np.sum(ugly < threshold) == 3 == pipeline.REFUSED_RENDERED * len(ugly)


def test_labels_in_the_order_of_the_model_are_matched_by_name(trained: Any, letters: Dataset, tmp_path: Path) -> None:
    order = ("C", "A", "B")
    turned = Dataset(
        "turned",
        order,
        *(
            array if array.ndim == 3 else np.array([1, 2, 0])[array]
            for split in ("train", "validation", "test")
            for array in (getattr(letters, f"{split}_images"), getattr(letters, f"{split}_labels"))
        ),
        checksums={},
    )
    trained(turned).save(tmp_path / "letters.keras")
    conversion = convert(
        tmp_path / "letters.keras", letters, out=tmp_path, labels=order, variants=["int8"], say=lambda line: None
    )
    assert conversion.metrics["variants"]["int8"]["accuracy"] > 0.9
    found = Classifier(conversion.files["int8"])(letters.test_images).argmax(1)
    assert np.mean([order[k] for k in found] == np.array(letters.labels)[letters.test_labels]) > 0.9


def test_labels_that_do_not_fit_are_refused(
    keras_file: Path, dataset: Dataset, letters: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=r"gives 10 classes, the data have 3 \(A, B, C\)"):
        convert(keras_file, letters, out=tmp_path, say=lambda line: None)
    for labels, message in (
        (["a", "b"], "the labels are 2"),
        (["a"] * 10, "a name of its own"),
        ([*"012345678", " "], "a name of its own"),
    ):
        with pytest.raises(ConversionError, match=message):
            convert(keras_file, dataset, out=tmp_path, labels=labels, say=lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_guess_is_warned_of(keras_file: Path, dataset: Dataset, tmp_path: Path) -> None:
    lines: list[str] = []
    shuffled = [*"1234567890"]
    convert(keras_file, dataset, out=tmp_path, labels=shuffled, variants=["float32"], say=lines.append)
    assert any(line.startswith("warning:") and "no better than guessing" in line for line in lines)


def fragile(logits_model: Any) -> Any:
    """The model with one number beside its logits so large that one int8 scale cannot hold both."""
    import keras

    picture = keras.Input((28, 28, 1))
    logits = logits_model(picture)
    size = keras.layers.GlobalAveragePooling2D()(picture)
    both = keras.layers.Concatenate()([logits, keras.layers.Rescaling(1e5)(size)])
    last = keras.layers.Dense(10, use_bias=False)
    model = keras.Model(picture, last(both))
    last.set_weights([np.vstack([np.eye(10), np.zeros((1, 10))]).astype(np.float32)])
    return model


def test_int8_that_loses_too_much_is_refused(logits_model: Any, dataset: Dataset, tmp_path: Path) -> None:
    fragile(logits_model).save(tmp_path / "fragile.keras")
    out = tmp_path / "models"
    out.mkdir()
    (out / "fragile-int8.tflite").write_bytes(b"of an earlier run")
    with pytest.raises(ConversionError, match=r"^int8 is refused: right on .*% of 400 validation pictures"):
        convert(tmp_path / "fragile.keras", dataset, out=out, say=lambda line: None)
    assert [p.name for p in out.iterdir()] == ["fragile-int8.tflite"]
    assert (out / "fragile-int8.tflite").read_bytes() == b"of an earlier run"
    others = ["float32", "float16", "dynamic"]
    conversion = convert(tmp_path / "fragile.keras", dataset, out=out, variants=others, say=lambda line: None)
    assert conversion.metrics["variants"]["float32"]["agreement"] == 1


@pytest.mark.parametrize(
    ("pictures", "lost", "refused"), [(5000, 5, False), (5000, 6, True), (400, 3, False), (400, 4, True)]
)
def test_the_limit_is_a_tenth_of_a_point_or_three_pictures(pictures: int, lost: int, refused: bool) -> None:
    right = pictures * 9 // 10
    result = {"validation_accuracy": (right - lost) / pictures}
    if refused:
        with pytest.raises(ConversionError):
            pipeline._refuse_a_loss(result, right / pictures, pictures)
    else:
        pipeline._refuse_a_loss(result, right / pictures, pictures)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    models = {"digits-float32.tflite": b"new" * 1000, "digits-int8.tflite": b"new" * 1000}
    for name in models:
        (tmp_path / name).write_bytes(b"old")
    real, calls = pipeline.os.replace, []

    def replace(source: str, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise stop
        real(source, target)

    monkeypatch.setattr(pipeline.os, "replace", replace)
    with pytest.raises((KeyboardInterrupt, ConversionError)):
        pipeline._write(tmp_path, "digits", models, ["a", "b"], {})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        "digits-float32.tflite": b"new" * 1000,
        "digits-int8.tflite": b"old",
    }


def test_files_can_be_read_by_everyone_who_may_read_the_folder(converted: tuple[Conversion, list[str]]) -> None:
    assert {path.stat().st_mode & 0o777 for path in converted[0].files.values()} <= {0o644, 0o664, 0o666}


def test_a_damaged_metrics_file_is_kept_and_named(keras_file: Path, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{cut")
    with pytest.raises(ConversionError, match=r"metrics\.json: is damaged"):
        convert(keras_file, dataset, out=tmp_path, variants=["float32"], say=lambda line: None)
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_the_int8_output_is_finer_than_its_steps(keras_file: Path, dataset: Dataset) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from convert import quantize

    source = load(keras_file)
    images = source.values(dataset.train_images[:100], (0.0, 1.0))
    plain = quantize.make(quantize.frozen(source), "int8", images)
    finer = with_finer_output(plain)
    scores = {}
    for name, content in (("plain", plain), ("finer", finer)):
        with quiet():
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
        (first,), (last,) = interpreter.get_input_details(), interpreter.get_output_details()
        rows = []
        for glyph in dataset.test_images:
            interpreter.set_tensor(first["index"], glyph[None, ..., None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(last["index"])[0])
        scores[name] = np.array(rows)
    main = graph.unpack(plain).subgraphs[0]
    step = float(main.tensors[main.operators[-1].inputs[0]].quantization.scale[0])
    truth = source.scores(source.values(dataset.test_images, (0.0, 1.0)))
    saturated = scores["plain"] >= scores["plain"].max() - step  # where the copies cannot round up
    assert np.abs(scores["finer"] - scores["plain"])[~saturated].max() <= 0.51 * step
    fractions = scores["finer"] / (step / COPIES)
    assert np.abs(fractions - np.round(fractions)).max() < 1e-3
    assert len(np.unique(np.round(fractions) % COPIES)) == COPIES
    errors = {name: np.abs(values - truth)[~saturated].mean() for name, values in scores.items()}
    assert errors["finer"] < errors["plain"]


def test_a_model_without_a_dense_end_keeps_its_output(dataset: Dataset, tmp_path: Path) -> None:
    import keras

    from convert import quantize

    layers = [keras.Input((28, 28, 1)), keras.layers.Conv2D(3, 5), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential(layers).save(tmp_path / "pooled.keras")
    source = load(tmp_path / "pooled.keras")
    plain = quantize.make(quantize.frozen(source), "int8", source.values(dataset.train_images[:50], (0.0, 1.0)))
    assert with_finer_output(plain) == plain
