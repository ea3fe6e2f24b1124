"""Progress is a bar in a terminal, and lines where there is none."""

import io

import pytest
from rich.console import Console

from facies_xr import progress


def through(console, *, shown=True, steps=5, total=5):
    with progress.tracked("tiles", total, shown=shown, console=console) as tracker:
        tracker.at(total - steps)
        for _ in range(steps):
            tracker.advance()


def test_a_terminal_gets_a_bar():
    file = io.StringIO()
    through(Console(file=file, force_terminal=True, width=80))
    assert "5/5" in file.getvalue()


def test_a_log_gets_a_line_a_minute(monkeypatch):
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    file = io.StringIO()
    through(Console(file=file, force_terminal=False), steps=8, total=10)
    lines = file.getvalue().splitlines()
    assert 2 <= len(lines) < 8
    assert lines[-1].startswith("tiles: 10 of 10 in")
    assert "min left" in lines[0]


@pytest.mark.parametrize("jupyter", [False, True])
def test_a_notebook_without_widgets_gets_lines(monkeypatch, jupyter):
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    file = io.StringIO()
    console = Console(file=file, force_terminal=False, force_jupyter=jupyter)
    through(console)
    assert "tiles: 5 of 5" in file.getvalue()


def test_nothing_is_shown_unless_asked():
    file = io.StringIO()
    through(Console(file=file, force_terminal=True), shown=False)
    assert file.getvalue() == ""
