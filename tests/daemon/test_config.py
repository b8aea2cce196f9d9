"""A configuration is checked whole: every mistake is one line with the key's name."""

import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from edge.daemon import config
from edge.daemon.config import ConfigError, load_config, secret, settings_of, state_folder, watched_of
from edge.daemon.settings import FieldSettings, Settings

EXAMPLE = Path(config.__file__).with_name("example.toml")


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        settings_of(tomllib.loads(text))
    return error.value.mistakes


def test_an_empty_file_is_the_demonstration(tmp_path) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text("")
    assert load_config(path) == Settings(path=path)


def test_a_file_saved_with_a_byte_order_mark_is_read(tmp_path) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(EXAMPLE.read_text(), "utf-8-sig")
    assert load_config(path) == Settings(path=path)


def test_the_example_says_every_key_with_its_default() -> None:
    assert load_config(EXAMPLE) == Settings(path=EXAMPLE)
    said = tomllib.loads(EXAMPLE.read_text())
    for section, default in ((f.name, getattr(Settings(), f.name)) for f in fields(Settings)):
        if is_dataclass(default):
            expected = {f.name for f in fields(default)} - {"page_size"}
            assert set(said[section]) == expected, section


def test_what_is_commented_out_in_the_example_is_right_as_well(tmp_path) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(
        re.sub(r"^#(?=[\[a-z])", "", EXAMPLE.read_text(), flags=re.MULTILINE).replace(
            "page_size = [210, 297]", "page_size = [1, 1]"
        )
    )
    settings = load_config(path)
    (field,) = settings.fields
    for rule in fields(FieldSettings):
        assert getattr(field, rule.name) not in (None, "", 0, False), rule.name
    form = watched_of(settings).form()
    assert form is not None and form.size == (1.0, 1.0)


def test_all_mistakes_are_said_at_once() -> None:
    said = mistakes(
        """
        [sources]
        [source]
        kind = "webcam"
        rate = "fast"
        sizes = [1, 2]
        [reading]
        interval = -1
        frames = 5
        agree = 2
        [[field]]
        box = [0, 0, 1, 1]
        """
    )
    assert said == [
        "no section is called [sources]; did you mean source?",
        'source.kind is "webcam"; it is "synthetic", "picamera2", "camera", "stream", "video" or "folder"',
        'source.rate is "fast"; it is a number',
        "no key is called source.sizes; did you mean size?",
        "reading.interval is -1; it is from 0.02 to 86400",
        "field 1 has no name",
        "reading.agree is 2 of 5 frames; it has to be more than half of them, or two texts could win",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("source = 3", "source is 3; it is a section: [source]"),
        ('[source]\nkind = "camera"', "source.location is missing: a camera needs its device"),
        ('[source]\nkind = "stream"\nlocation = "camera"', "source.location is no address of a stream"),
        ('[source]\nlocation = "a"\nlocation_file = "b"', "source.location and source.location_file are both given"),
        ("[source]\nsize = [640]", "source.size is [640]; it is two numbers: [width, height]"),
        ("[source]\nsize = [640, 480.5]", "source.size is [640, 480.5]; it is two numbers"),
        ("[source]\nsize = [1, 480]", "source.size is [1, 480]; it is two sides from 16 to 10000 pixels"),
        ("[source]\nrotate = 45", "source.rotate is 45; it is 0, 90, 180 or 270"),
        ("[source]\ngain = 0.5", "source.gain is 0.5; it is from 1 to 64, or 0 for automatic"),
        ("[reading]\nthreads = true", "reading.threads is true; it is a whole number"),
        ("[reading]\ninterval = nan", "reading.interval is nan; it is a number"),
        ("[reading]\nagree = 9", "reading.agree is 9, but only 5 frames vote (reading.frames)"),
        ('[reading]\nfields = "f.toml"\n[[field]]\nname = "a"\nbox = [0,0,1,1]', "reading.fields names a file, and"),
        ('[reading]\nmodel = "no-such.tflite"', "reading.model: no-such.tflite cannot be read: No such file"),
        ('[[field]]\nname = "a"\nbox = [0,0,2,1]', "field 'a': box [0, 0, 2, 1] goes beyond 1"),
        ('[mqtt]\ncertificate_file = "/dev/null"', "mqtt.certificate_file and mqtt.key_file belong together"),
        ('[mqtt]\npassword_file = "/no/such"', "mqtt.password_file: /no/such cannot be read"),
        ('[mqtt]\ntopic = "a/#"', 'mqtt.topic is "a/#"; it is a topic without # and +'),
        ("[http]\nhosts = [3]", "http.hosts is [3]; it is a list of texts"),
        ('[webhook]\nurl = "example.org"', "webhook.url is no address; it begins with https:// or http://"),
    ],
)
def test_a_mistake_names_its_key(text, mistake) -> None:
    (said, *_) = mistakes(text)
    assert said.startswith(mistake)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("content", "mistake"), [(b"[source", "not valid TOML"), (b"\xff", "not a text in UTF-8"), (None, "cannot be read")]
)
def test_a_file_that_is_no_configuration_is_one_line(tmp_path, content, mistake) -> None:
    path = tmp_path / "daemon.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value).startswith(f"{path}: {mistake}")


def test_a_secret_is_the_first_line_of_its_file_or_in_the_environment(tmp_path, monkeypatch) -> None:
    path = tmp_path / "token"
    path.write_text("s3cret\nmore\n")
    monkeypatch.setenv("A_VARIABLE", "other")
    assert secret(str(path), "A_VARIABLE") == "s3cret"
    path.write_text("s3cret\r\n", "utf-8-sig")
    assert secret(str(path), "A_VARIABLE") == "s3cret"
    assert secret("", "A_VARIABLE") == "other"
    assert secret("", "NO_VARIABLE") is None


def test_the_state_folder_is_the_configured_one_then_systemds_then_the_users(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder(Settings()) == tmp_path / "edge-digits"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-digits:/other")
    assert state_folder(Settings()) == Path("/var/lib/edge-digits")
    assert state_folder(settings_of({"device": {"state": "/srv/state"}})) == Path("/srv/state")
