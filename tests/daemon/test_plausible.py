"""Values that cannot be are refused with a reason, and a meter may roll over."""

import pytest

from edge.daemon.plausible import objection, value_of
from edge.daemon.settings import FieldSettings
from edge.fields import FormField

FORM = FormField("meter", (0, 0, 1, 1))


@pytest.mark.parametrize(
    ("decimals", "text", "value"),
    [(0, "00123", "00123"), (3, "0012345", "12.345"), (2, "5", "0.05"), (8, "1", "0.00000001")],
)
def test_the_value_has_its_point(decimals, text, value) -> None:
    assert value_of(FieldSettings(FORM, decimals=decimals), text) == value


@pytest.mark.parametrize(
    ("rules", "before", "text", "reason"),
    [
        ({}, "999", "1", None),
        ({"never_decreasing": True}, None, "5", None),
        ({"never_decreasing": True}, "100", "100", None),
        ({"never_decreasing": True}, "100", "99", "99 is less than 100 before"),
        ({"largest_step": 5.0}, "100", "105", None),
        ({"largest_step": 5.0}, "100", "95", None),
        ({"largest_step": 5.0}, "100", "106", "106 is +6 from 100 before, more than 5"),
        ({"largest_step": 5.0}, "100", "20", "20 is -80 from 100 before, more than 5"),
        ({"largest_step": 0.5, "decimals": 1}, "10.0", "106", "10.6 is +0.6 from 10.0 before, more than 0.5"),
        ({"never_decreasing": True, "roll_over": 9999.0}, "9998", "3", None),
        ({"never_decreasing": True, "roll_over": 9999.0}, "5000", "4999", "4999 is less than 5000 before"),
        ({"never_decreasing": True, "roll_over": 999.9, "decimals": 1, "largest_step": 0.5}, "999.8", "2", None),
        (
            {"never_decreasing": True, "roll_over": 999.9, "decimals": 1, "largest_step": 0.3},
            "999.8",
            "2",
            "0.2 is +0.4 from 999.8 before, more than 0.3",
        ),
        ({"roll_over": 99.0}, None, "100", "100 is more than 99, after which it rolls over"),
        ({"never_decreasing": True}, "5", "1\n2", "not one number"),
        ({"never_decreasing": True, "decimals": 8}, "0.00000003", "2", "0.00000002 is less than 0.00000003 before"),
        # Values from before the field had a rule for numbers.
        ({"never_decreasing": True}, "1\n2", "5", None),
        ({"largest_step": 5.0}, "A17", "5", None),
    ],
)  # fmt: skip
def test_a_value_is_refused_with_its_reason(rules, before, text, reason) -> None:
    assert objection(FieldSettings(FORM, **rules), text, before) == reason
