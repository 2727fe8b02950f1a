"""schemathesis asks a server that trades what is published that it answers. ``make fuzz`` asks for longer."""

from pathlib import Path

from tests.fuzz.campaign import fuzz

SHORT = ("--seed", "7", "--phases", "examples,fuzzing,stateful", "-n", "3")


def test_no_request_is_answered_otherwise_than_is_published(tmp_path: Path) -> None:
    found = fuzz(tmp_path, *SHORT, time_passes=False)
    assert found.clean, found.report
    assert found.cases > 300
    accepted = len(found.answered) - len(found.never_accepted)
    assert accepted > len(found.answered) * 0.7, f"never accepted: {found.never_accepted}"
