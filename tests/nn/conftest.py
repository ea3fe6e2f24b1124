"""The command line, within the process of the tests."""

import sys

import pytest


@pytest.fixture
def shell(monkeypatch, capsys):
    """Calls facies-xr with arguments: its exit status, and what it writes to both outputs."""
    from facies_xr.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["facies-xr", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        return (status, *capsys.readouterr())

    return run
