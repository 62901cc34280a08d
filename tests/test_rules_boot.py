"""The rule of the boot."""

import pytest

from numen.check.facts import Service
from numen.check.rules import boot
from rule_facts import proper

UNIT = Service(kind="systemd", name="exampled.service", at_boot=True, evidence="it is in unit exampled.service")


@pytest.mark.parametrize(
    ("service", "verdict", "words"),
    [
        (UNIT, "ok", "systemd exampled.service starts it at boot (it is in unit exampled.service)"),
        (UNIT.replace(at_boot=None), "unknown", "cannot be told"),
        (UNIT.replace(at_boot=False), "warning", "not set to do so at boot"),
        (Service(kind="container", at_boot=True), "ok", "container starts it at boot"),
        (Service(kind=""), "not applicable", "by hand"),
    ],
)
def test_what_is_not_set_to_start_at_boot_is_a_warning(service: Service, verdict: str, words: str) -> None:
    judgement = boot.starts_at_boot(proper(boot=service))

    assert judgement.verdict == verdict
    assert words in judgement.evidence
