"""Say to Home Assistant what there is: the retained configurations of its MQTT discovery.

One entity a topic, `PREFIX/sensor/NODE/OBJECT/config`, as
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery describes it: every version takes that form, and an
empty payload takes one entity away. docs/home-assistant.md shows what comes of it.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from edge import __version__
from edge.daemon.settings import FieldSettings

MANUFACTURER = "Edge Digits"
DEFAULT_SLUG = "device"
MAX_STATE = 255  # characters of a state in Home Assistant
HASH_CHARACTERS = 6  # of a name that was changed, so that two such do not become one

# https://developers.home-assistant.io/docs/core/entity/sensor: device classes that take no "measurement", and those
# that take "total_increasing".
TOTALS = {"energy", "gas", "volume", "water"}
NO_STATE_CLASS = {"date", "enum", "timestamp"}
ANGLES = {"wind_direction"}
AMOUNTS = {"monetary"}
INCREASING = {
    "", "area", "data_size", "distance", "duration", "energy", "gas", "precipitation", "volume", "water", "weight",
}  # fmt: skip

# The same pages: units of the device classes that a display or a form shows. Home Assistant refuses others.
UNITS = {
    "current": {"A", "mA"},
    "distance": {"km", "m", "cm", "mm", "mi", "nmi", "yd", "ft", "in"},
    "duration": {"d", "h", "min", "s", "ms", "µs"},
    "energy": {
        "J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal",
    },
    "frequency": {"Hz", "kHz", "MHz", "GHz"},
    "gas": {"L", "m³", "ft³", "CCF", "MCF"},
    "humidity": {"%"},
    "power": {"mW", "W", "kW", "MW", "GW", "TW", "BTU/h"},
    "pressure": {"mPa", "Pa", "hPa", "kPa", "bar", "cbar", "mbar", "mmHg", "inHg", "inH₂O", "psi"},
    "temperature": {"°C", "°F", "K"},
    "voltage": {"V", "mV", "µV", "kV", "MV"},
    "volume": {"L", "mL", "gal", "fl. oz.", "m³", "ft³", "CCF", "MCF"},
    "water": {"L", "gal", "m³", "ft³", "CCF", "MCF"},
    "weight": {"kg", "g", "mg", "µg", "oz", "lb", "st"},
}  # fmt: skip

# What each part says: nothing that changes by the minute, which would fill Home Assistant's database.
REASONS = (
    "{% set said = namespace(parts={}) %}"
    "{% for name, part in value_json.get('parts', {}).items() %}"
    "{% set said.parts = dict(said.parts, **{name: part.reason or part.state}) %}"
    "{% endfor %}{{ said.parts | tojson }}"
)

Entity = dict[str, Any]


def slug(name: str) -> str:
    """The name in letters, digits, `_` and `-` alone, as Home Assistant takes it; two names never become one."""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    if kept == name:
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARACTERS]
    return f"{kept or DEFAULT_SLUG}-{digest}"


def own_topics(prefix: str, device: str) -> str:
    """What to subscribe to for all configurations of this device, also those of earlier."""
    return f"{prefix}/+/{_node(device)}/+/config"


def status_topic(prefix: str) -> str:
    """Where Home Assistant says "online" when it has started."""
    return f"{prefix}/status"


def discovery(
    prefix: str, device: str, topic: str, fields: Sequence[FieldSettings], *, commands: bool
) -> dict[str, Entity]:
    """The configuration of each entity by its topic.

    topic: below which this device publishes state, health and status. fields: none: one sensor for the whole text.
    """
    entities = [_field(topic, field) for field in fields] or [_text(topic)]
    entities += _health(topic)
    if commands:
        entities.append(_button(topic))
    node = _node(device)
    shared = {
        "availability_topic": f"{topic}/status",
        "device": {
            "identifiers": [node],
            "name": device,
            "manufacturer": MANUFACTURER,
            "model": "Reader of handwritten digits",
            "sw_version": __version__,
        },
        "origin": {"name": MANUFACTURER, "sw_version": __version__},
    }
    return {
        f"{prefix}/{kind}/{node}/{key}/config": {**entity, **shared, "unique_id": f"{node}_{key}"}
        for kind, key, entity in entities
    }


def doubts(fields: Sequence[FieldSettings]) -> list[str]:
    """What Home Assistant will not take in the units of these fields, one line each."""
    found = []
    for field in fields:
        units = UNITS.get(field.device_class)
        if units is not None and field.unit not in units:
            unit = f"unit '{field.unit}'" if field.unit else "no unit"
            known = ", ".join(sorted(units))
            found.append(
                f"field '{field.form.name}': Home Assistant takes {known} for device class {field.device_class}, "
                f"and it has {unit}"
            )
    return found


def _node(device: str) -> str:
    return f"edge-digits-{slug(device)}"


def _field(topic: str, field: FieldSettings) -> tuple[str, str, Entity]:
    name = field.form.name
    quoted = json.dumps(name, ensure_ascii=False)  # JSON's escapes are Jinja's too
    found = f"(value_json.fields | selectattr('name', 'eq', {quoted}) | first | default({{'value': none}}))"
    entity: Entity = {
        "name": name,
        "state_topic": f"{topic}/state",
        "value_template": f"{{{{ {found}.value }}}}",
        "json_attributes_topic": f"{topic}/state",
        "json_attributes_template": (
            f"{{{{ dict({found}, time=value_json.time, sequence=value_json.sequence, id=value_json.id) | tojson }}}}"
        ),
        "icon": "mdi:counter",
    }
    if field.unit:
        entity["unit_of_measurement"] = field.unit
    if field.device_class:
        entity["device_class"] = field.device_class
        del entity["icon"]
    state_class = _state_class(field)
    if state_class is not None:
        entity["state_class"] = state_class
        entity["suggested_display_precision"] = field.decimals
    return "sensor", f"field-{slug(name)}", entity


def _state_class(field: FieldSettings) -> str | None:
    """None for what is no quantity: a number of an account, whose zeros in front count."""
    kind = field.device_class
    if kind in NO_STATE_CLASS or not (kind or field.unit or field.never_decreasing):
        return None
    if kind in ANGLES:
        return "measurement_angle"
    if kind in AMOUNTS:
        return "total"
    if field.never_decreasing and kind in INCREASING:
        return "total_increasing"
    return "total" if kind in TOTALS else "measurement"


def _text(topic: str) -> tuple[str, str, Entity]:
    return (
        "sensor",
        "text",
        {
            "name": "Reading",
            "icon": "mdi:counter",
            "state_topic": f"{topic}/state",
            "value_template": f"{{{{ value_json.text[:{MAX_STATE}] }}}}",
            "json_attributes_topic": f"{topic}/state",
            "json_attributes_template": (
                "{{ dict(lines=value_json.lines, time=value_json.time, sequence=value_json.sequence, id=value_json.id)"
                " | tojson }}"
            ),
        },
    )


def _health(topic: str) -> list[tuple[str, str, Entity]]:
    """What is wrong, and why; how warm it is; how many frames were read."""
    shared = {"state_topic": f"{topic}/health", "entity_category": "diagnostic"}
    return [
        (
            "binary_sensor",
            "problem",
            {
                "name": "Problem",
                "device_class": "problem",
                "value_template": "{{ 'OFF' if value_json.status == 'ok' else 'ON' }}",
                "json_attributes_topic": f"{topic}/health",
                "json_attributes_template": REASONS,
                **shared,
            },
        ),
        (
            "binary_sensor",
            "source",
            {
                "name": "Source",
                "device_class": "problem",
                "value_template": (
                    "{{ 'OFF' if value_json.get('parts', {}).get('source', {}).get('state') == 'working' else 'ON' }}"
                ),
                **shared,
            },
        ),
        (
            "binary_sensor",
            "under-voltage",
            {
                "name": "Under-voltage",
                "device_class": "problem",
                "value_template": (
                    "{{ {true: 'ON', false: 'OFF'}.get(value_json.get('device', {}).get('under_voltage')) }}"
                ),
                **shared,
            },
        ),
        (
            "sensor",
            "verdict",
            {
                "name": "Verdict",
                "icon": "mdi:comment-question-outline",
                "value_template": (
                    f"{{{{ (value_json.get('reading', {{}}).get('verdict') or 'stable')[:{MAX_STATE}] }}}}"
                ),
                **shared,
            },
        ),
        (
            "sensor",
            "temperature",
            {
                "name": "Temperature",
                "device_class": "temperature",
                "unit_of_measurement": "°C",
                "state_class": "measurement",
                "value_template": "{{ value_json.get('device', {}).get('temperature_c') }}",
                **shared,
            },
        ),
        (
            "sensor",
            "frames",
            {
                "name": "Frames read",
                "icon": "mdi:camera",
                "state_class": "total_increasing",
                "value_template": "{{ value_json.get('frames', {}).get('read') }}",
                **shared,
            },
        ),
    ]


def _button(topic: str) -> tuple[str, str, Entity]:
    return (
        "button",
        "read",
        {"name": "Read now", "icon": "mdi:camera", "command_topic": f"{topic}/command", "payload_press": "read"},
    )
