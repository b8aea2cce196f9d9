"""What Home Assistant is told, against what it documents, and on a real broker."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.daemon import delivery
from edge.daemon.home_assistant import discovery, doubts, slug
from edge.daemon.live import WORKING
from edge.daemon.mqtt import MqttSink
from edge.daemon.settings import FieldSettings, MqttSettings, Settings
from tests.daemon.broker import Broker, Subscriber, wait_for
from tests.daemon.sinks import StandIn, field_settings, in_memory

PREFIX = "homeassistant"
TOPIC = "edge-digits/test"
STOP_SECONDS = 2.0

tmp_path = in_memory

# https://www.home-assistant.io/integrations/mqtt/#discovery-topic
CONFIG_TOPIC = re.compile(r"homeassistant/(sensor|binary_sensor|button)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config")

# The tables "Configuration variables" of https://www.home-assistant.io/integrations/sensor.mqtt/, binary_sensor.mqtt
# and button.mqtt: what is required, and what there is besides.
COMMON = {
    "availability", "availability_mode", "availability_template", "availability_topic", "default_entity_id", "device",
    "enabled_by_default", "encoding", "entity_category", "entity_picture", "group", "icon", "json_attributes_template",
    "json_attributes_topic", "name", "origin", "payload_available", "payload_not_available", "platform", "qos",
    "unique_id",
}  # fmt: skip
REQUIRED = {"sensor": {"state_topic"}, "binary_sensor": {"state_topic"}, "button": {"command_topic"}}
ALLOWED = {
    "sensor": COMMON | REQUIRED["sensor"] | {
        "device_class", "expire_after", "force_update", "last_reset_value_template", "options", "state_class",
        "suggested_display_precision", "unit_of_measurement", "value_template",
    },
    "binary_sensor": COMMON | REQUIRED["binary_sensor"] | {
        "device_class", "expire_after", "force_update", "off_delay", "payload_off", "payload_on", "value_template",
    },
    "button": COMMON | REQUIRED["button"] | {"command_template", "device_class", "payload_press", "retain"},
}  # fmt: skip
DEVICE = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name",
    "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip
ORIGIN = {"name", "support_url", "sw_version"}
CATEGORIES = {"config", "diagnostic"}
STATE_CLASSES = {"measurement", "measurement_angle", "total", "total_increasing"}

# https://developers.home-assistant.io/docs/core/entity/sensor#available-device-classes: some units of each, and the
# state classes that it takes.
ALL = STATE_CLASSES
DEVICE_CLASSES: dict[str, tuple[set[str], set[str]]] = {
    "current": ({"A", "mA"}, {"measurement"}),
    "distance": ({"km", "m", "cm", "mm", "mi"}, ALL),
    "duration": ({"d", "h", "min", "s", "ms"}, ALL),
    "energy": ({"Wh", "kWh", "MWh", "MJ", "GJ"}, {"total", "total_increasing"}),
    "frequency": ({"Hz", "kHz"}, {"measurement"}),
    "gas": ({"L", "m³", "ft³", "CCF"}, {"total", "total_increasing"}),
    "humidity": ({"%"}, {"measurement"}),
    "power": ({"mW", "W", "kW", "MW"}, {"measurement"}),
    "pressure": ({"Pa", "hPa", "kPa", "bar", "mbar", "psi"}, {"measurement"}),
    "temperature": ({"°C", "°F", "K"}, {"measurement"}),
    "voltage": ({"mV", "V"}, {"measurement"}),
    "volume": ({"L", "mL", "m³", "gal"}, {"total", "total_increasing"}),
    "water": ({"L", "m³", "gal", "ft³"}, {"total", "total_increasing"}),
    "weight": ({"kg", "g", "lb", "oz"}, {"measurement", "total", "total_increasing"}),
    "monetary": ({"EUR", "USD"}, {"total"}),
    "wind_direction": ({"°"}, {"measurement_angle"}),
}
BINARY_CLASSES = {"problem"}  # of those that there are

NAMES = ["plain", 'with "quotes" and \\', "Zähler 1", "{{ 7 }}", "a/b+c#d", "日本", "x" * 300]


def check(topic: str, entity: dict[str, Any]) -> None:
    """Fails where Home Assistant would not take it."""
    found = CONFIG_TOPIC.fullmatch(topic)
    assert found, topic
    kind = found[1]
    assert entity.keys() >= REQUIRED[kind] | {"unique_id", "name", "device", "origin"}
    assert entity.keys() <= ALLOWED[kind], entity.keys() - ALLOWED[kind]
    assert entity["device"].keys() <= DEVICE and entity["device"]["identifiers"]
    assert {"name"} <= entity["origin"].keys() <= ORIGIN
    assert entity.get("entity_category") in {None, *CATEGORIES}
    assert re.fullmatch(r"mdi:[a-z0-9-]+", entity.get("icon", "mdi:x"))
    for key, value in entity.items():
        if key.endswith("_topic"):
            assert value and not set(value) & set("+#"), key
        if key.endswith("_template"):
            assert value.count("{{") >= 1 and value.endswith("}}"), key
    kind_of_value = entity.get("device_class")
    if kind == "binary_sensor":
        assert kind_of_value in {None, *BINARY_CLASSES}
    elif kind == "sensor":
        units, state_classes = DEVICE_CLASSES.get(kind_of_value or "", (set(), STATE_CLASSES))
        assert kind_of_value is None or entity["unit_of_measurement"] in units
        assert entity.get("state_class") in {None, *state_classes}


def entities_of(*fields: FieldSettings, commands: bool = True, device: str = "test") -> dict[str, dict[str, Any]]:
    return discovery(PREFIX, device, TOPIC, fields, commands=commands)


@pytest.mark.parametrize("never_decreasing", [False, True])
@pytest.mark.parametrize("device_class", DEVICE_CLASSES)
def test_each_device_class_comes_with_a_unit_and_a_state_class_that_it_takes(
    device_class: str, never_decreasing: bool
) -> None:
    for unit in DEVICE_CLASSES[device_class][0]:
        field = field_settings("f", device_class=device_class, unit=unit, never_decreasing=never_decreasing)
        assert not doubts([field])
        for topic, entity in entities_of(field).items():
            check(topic, entity)


@pytest.mark.parametrize("device_class", ["", "water", "energy", "gas", "volume"])
def test_what_never_decreases_is_a_total(device_class: str) -> None:
    field = field_settings("f", device_class=device_class, unit="m³", never_decreasing=True)
    (entity,) = [e for t, e in entities_of(field).items() if "field-" in t]
    assert entity["state_class"] == "total_increasing"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_field_or_a_device_makes_topics_that_home_assistant_takes(name: str) -> None:
    for topic, entity in entities_of(field_settings(name), device=name).items():
        check(topic, entity)
    (entity,) = [e for t, e in entities_of(field_settings(name)).items() if "field-" in t]
    assert entity["name"] == name


def test_two_names_never_become_one() -> None:
    names = [*NAMES, "Zahler-1", "Z-hler-1", "a-b-c-d", "", "-", "--"]
    assert len({slug(name) for name in names}) == len(names)
    topics = entities_of(*[field_settings(name) for name in NAMES])
    assert len({entity["unique_id"] for entity in topics.values()}) == len(topics)


def test_what_has_no_unit_is_text_whose_zeros_in_front_count() -> None:
    (entity,) = [e for t, e in entities_of(field_settings("account")).items() if "field-" in t]
    assert entity.keys().isdisjoint({"state_class", "unit_of_measurement", "device_class"})


def test_without_fields_there_is_one_sensor_for_the_text() -> None:
    topics = entities_of()
    assert f"{PREFIX}/sensor/edge-digits-test/text/config" in topics
    assert not [topic for topic in topics if "field-" in topic]
    for topic, entity in topics.items():
        check(topic, entity)


def test_there_is_a_button_only_where_commands_are_on() -> None:
    assert [e["payload_press"] for t, e in entities_of(commands=True).items() if "/button/" in t] == ["read"]
    assert not [topic for topic in entities_of(commands=False) if "/button/" in topic]


def test_a_unit_that_home_assistant_does_not_take_is_said() -> None:
    fields = [
        field_settings("water", device_class="water", unit="m3"),
        field_settings("gas", device_class="gas"),
        field_settings("other", device_class="anything", unit="x"),
    ]
    water, gas = doubts(fields)
    assert water.startswith("field 'water': Home Assistant takes CCF, L, MCF, ft³, gal, m³ for device class water")
    assert gas.endswith("and it has no unit")


# On a broker


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY", 0.1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder) as started:
        yield started


def daemon_for(broker: Broker, folder: Path, version: str) -> StandIn:
    return StandIn(Settings(mqtt=MqttSettings(host="127.0.0.1", port=broker.port, version=version)), folder)


@contextmanager
def running(daemon: StandIn) -> Iterator[MqttSink]:
    sink = MqttSink(daemon)  # type: ignore[arg-type]
    sink.start()
    wait_for(lambda: daemon.part("mqtt")[0] == WORKING)
    try:
        yield sink
    finally:
        sink.stop(STOP_SECONDS)


def kept(broker: Broker, name: str) -> dict[str, dict[str, Any]]:
    """What a Home Assistant that starts now would find."""
    with Subscriber(broker, f"{PREFIX}/#", "edge-digits/test/status", name=name) as late:
        late.publish(f"{PREFIX}/end", "x")
        wait_for(lambda: late.on(f"{PREFIX}/end"))
        return {topic: json.loads(payload) for topic, payload, retained in late.got if retained and "/config" in topic}


def field_topics(broker: Broker, name: str) -> list[str]:
    return sorted(topic.split("/")[3] for topic in kept(broker, name) if "field-" in topic)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_configurations_are_retained_and_those_of_fields_that_went_are_taken_away(
    broker: Broker, tmp_path: Path, version: str
) -> None:
    daemon = daemon_for(broker, tmp_path, version)
    daemon.field_list = (field_settings("water"), field_settings("gas"))
    with running(daemon) as sink:
        wait_for(lambda: field_topics(broker, "a") == ["field-gas", "field-water"])
        for topic, entity in kept(broker, "b").items():
            check(topic, entity)
        daemon.field_list = (field_settings("water"), field_settings("power"))
        sink.refresh()
        wait_for(lambda: field_topics(broker, "c") == ["field-power", "field-water"])
    daemon.field_list = (field_settings("heat"),)  # while it is not there
    with running(daemon):
        wait_for(lambda: field_topics(broker, "d") == ["field-heat"])


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_when_home_assistant_starts_it_is_told_again(broker: Broker, tmp_path: Path, version: str) -> None:
    daemon = daemon_for(broker, tmp_path, version)
    topic = f"{PREFIX}/sensor/edge-digits-test/field-water/config"
    with Subscriber(broker, topic) as home_assistant, running(daemon):
        wait_for(lambda: len(home_assistant.got) == 1)
        home_assistant.publish(f"{PREFIX}/status", "offline")
        home_assistant.publish(f"{PREFIX}/status", "online")
        wait_for(lambda: len(home_assistant.got) == 2)
        assert home_assistant.got[0][1] == home_assistant.got[1][1]


def test_another_device_is_left_alone(broker: Broker, tmp_path: Path) -> None:
    other = f"{PREFIX}/sensor/edge-digits-test2/field-x/config"
    with Subscriber(broker) as home_assistant:
        home_assistant.publish(other, "{}", retain=True)
        home_assistant.publish(f"{PREFIX}/sensor/edge-digits-test/field-old/config", "{}", retain=True)
        with running(daemon_for(broker, tmp_path, "5")):
            wait_for(lambda: field_topics(broker, "late") == ["field-water", "field-x"])
