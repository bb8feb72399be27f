"""The dashboard and the rules of alerts ask for metrics, labels and values that the server has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lurcher.server.metrics import Metrics

FILES = Path(__file__).parents[2] / "docs" / "operations"
TEXT = Metrics().render().decode()
# Of histograms that have a label and no value of it yet.
PARTS = re.compile(r"_(bucket|sum|count)$")


def expressions(found: Any) -> list[str]:
    """Every PromQL expression in ``found``, however deep."""
    if isinstance(found, list):
        return [expr for one in found for expr in expressions(one)]
    if not isinstance(found, dict):
        return []
    own = [found["expr"]] if "expr" in found else []
    return own + [expr for one in found.values() for expr in expressions(one)]


DASHBOARD = expressions(json.loads((FILES / "grafana.json").read_text(encoding="utf-8")))
ALERTS = expressions(yaml.safe_load((FILES / "alerts.yml").read_text(encoding="utf-8")))


def declared() -> set[str]:
    """The names of all metrics, as they are asked for."""
    kinds = re.findall(r"^# TYPE (lurcher_\w+) (\w+)", TEXT, re.MULTILINE)
    parts = {
        f"{name}{part}"
        for name, kind in kinds
        if kind == "histogram"
        for part in ("_bucket", "_sum", "_count")
    }
    return parts | {name for name, kind in kinds if kind != "histogram"}


@pytest.mark.parametrize("expression", DASHBOARD + ALERTS)
def test_expression_asks_for_what_there_is(expression: str) -> None:
    names = set(re.findall(r"\blurcher_\w+", expression))
    assert names <= declared()
    assert names or expression.startswith("up{")
    for name, label, value in re.findall(r'(lurcher_\w+)\{(\w+)="([^"]+)"\}', expression):
        if label != "route":  # routes come with their first request
            assert re.search(rf'^{name}\{{[^}}]*{label}="{value}"', TEXT, re.MULTILINE)


def test_each_metric_is_on_the_dashboard() -> None:
    shown = {PARTS.sub("", name) for one in DASHBOARD for name in re.findall(r"lurcher_\w+", one)}
    kinds = {PARTS.sub("", name) for name in declared() if not name.endswith("_created")}
    assert kinds - shown == {"lurcher_write_sequence"}  # a number that says nothing by itself


def test_the_script_for_locust_can_be_compiled() -> None:
    compile((FILES / "locustfile.py").read_text(encoding="utf-8"), "locustfile.py", "exec")
