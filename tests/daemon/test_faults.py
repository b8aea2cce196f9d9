"""The fault campaign in short: each fault a few times, against the daemon as a process. `make faults` runs it long."""

import pytest

from tests.daemon.faults.campaign import FAULTS, Fault, campaign

SEED = 2026

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nothing_that_was_acknowledged_is_lost_and_nothing_crashes(fault: Fault) -> None:
    (result,) = campaign(SEED, [fault.name], short=True)

    if result.skipped:
        pytest.skip(result.skipped)
    assert not result.trouble, f"seed {SEED}: {'; '.join(result.trouble)}"
    assert result.times == fault.short or fault.name == "source"  # whose times are rounds of several faults
    assert result.acknowledged > 0
