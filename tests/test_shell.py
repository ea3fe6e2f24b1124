"""The command line as a place to work in: help, exit status, options from a file, a look at the machine."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import facies_xr as fx
from facies_xr.cli import app, configuration, doctor
from facies_xr.errors import InputError

from .test_cli import run

GROUP = typer.main.get_command(app)
SECRET = "SECRETSECRETSECRET"


def commands(group, path=()):
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def example(command) -> list[str]:
    """Words of the example in a command's help."""
    return shlex.split(command.help.split("Example: `")[1].split("`")[0])


@pytest.mark.parametrize("line", [" ".join(words) for words, _ in commands(GROUP)])
def test_help_shows_an_example_that_the_command_takes(line):
    words = tuple(line.split())
    command = dict(commands(GROUP))[words]
    program, *called = example(command)
    assert program == "facies-xr"
    if words == ("smb", "maps"):
        called.insert(1, "maps")  # understood where a store stands
    assert tuple(called[: len(words)]) == words
    command.make_context(line, called[len(words) :])  # refuses what it does not know


ROOT = Path(__file__).parents[1]
CALLED = re.compile(r"\s*(?:[A-Z_]+=\S+ )*facies-xr ([^#]*)")


def documented():
    """Command lines in the documentation's shell blocks, without those that stand for more."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        fence = None
        for line in page.read_text().replace("\\\n", " ").splitlines():
            if line.lstrip().startswith("```"):
                fence = line.strip("` ") if fence is None else None
            elif fence in ("", "bash") and "..." not in line and (called := CALLED.match(line)):
                yield f"{page.name}: {called[1].strip()}"


@pytest.mark.parametrize("line", sorted(set(documented())))
def test_the_documentation_calls_commands_as_they_are(line):
    words = shlex.split(line.split(": ", 1)[1])
    context = GROUP.make_context("facies-xr", list(words), resilient_parsing=True)
    command, left = GROUP, words
    while hasattr(command, "commands"):
        name, command, left = command.resolve_command(context, left)
        assert command is not None, name
    command.make_context(line, left)


def script(body):
    """A program whose command line has one more command."""
    return ["-c", f"import time\nfrom facies_xr.cli import app, main\n@app.command()\ndef more():\n    {body}\nmain()"]


def test_our_fault_is_status_1_in_one_line():
    done = subprocess.run(
        [sys.executable, *script("raise RuntimeError('broken')"), "more"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("facies-xr: internal error: RuntimeError: broken")
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_is_status_130_and_says_how_to_go_on():
    body = "print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, *script(body), "more"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "again to continue" in said


def test_help_tells_each_exit_status():
    told = " ".join(run("--help").stdout.split())
    for status in ("0 done", "2 a mistake", "1 a fault", "130 stopped"):
        assert status in told


SAMPLE = """
[map]
catalog = "{place.catalog}"
area = "-114.04,47.65,-113.98,47.69"
years = "1990-2019"
season = "06-01,40"
resolution = 30
model = "synthetic-v1-bands"
smooth = ["majority"]
dry-run = true
json = true
"""


def test_a_file_of_options_equals_flags_and_flags_go_before_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "run.toml"
    file.write_text("[model.show]\nmodel = 'synthetic-v1'\njson = true\n" + SAMPLE.format(place=fx.sample()))
    by_file, by_flags = (CliRunner().invoke(app, words).stdout for words in (
        ("--config", str(file), "model", "show"), ("model", "show", "synthetic-v1", "--json")))  # fmt: skip
    assert json.loads(by_file) == json.loads(by_flags)
    planned = json.loads(CliRunner().invoke(app, ["--config", str(file), "map", "--years", "2015"]).stdout)
    assert planned["scenes"] == "1 in 1 dates"  # three in the years of the file
    rows = int(planned["grid"].split()[0])
    assert 148 + 64 <= rows < 148 + 84  # 0.04 degrees of latitude at the file's 30 m, 32 pixels around them, some tilt
    assert not (tmp_path / "maps.zarr").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[maps]\n", r"command in .*='maps': choose 'demo'"),
        ("[map]\nmax_clouds = 3\n", r"option in .*\[map\]='max-clouds'"),
        ("[map]\nyears = [2016, 2017]\n", "years takes one value"),
        ("[map]\nyears = {first = 2016}\n", "must be a value"),
        ("years = 2016\n", "command in"),
        ("map = 2016\n", "must be a table"),
        ("[map\n", "--config"),
        (None, "--config"),
    ],
)
def test_a_file_of_options_is_refused_by_name(tmp_path, text, message):
    file = tmp_path / "run.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        configuration.defaults(GROUP, file)


ALONE = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_CONFIG_FILE": "none"}


def test_the_doctor_finds_a_machine_that_passes_the_tests_healthy(monkeypatch):
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert report["ok"]
    found = {check["name"]: check for check in report["checks"]}
    assert found["test read"]["state"] == "ok"
    assert "landsat-8" in found["test read"]["found"]
    assert found["facies_xr"]["found"] == fx.__version__
    assert {"rasters COG", "rasters JPEG 2000", "coordinate systems", "device", "model synthetic-v1"} <= set(found)
    assert {check["state"] for check in report["checks"]} <= {doctor.OK, doctor.ABSENT}


def test_the_doctor_says_whether_there_are_keys_and_never_shows_them(monkeypatch):
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", SECRET)
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", SECRET)
    checks = {check.name: check for check in doctor.careful(doctor.credentials)}
    assert checks["keys of Copernicus Data Space"].state == doctor.OK
    assert checks["keys of USGS Landsat"].state == doctor.ABSENT
    assert "AWS_ACCESS_KEY_ID" in checks["keys of USGS Landsat"].remedy
    assert SECRET not in repr(checks)


def test_the_doctor_names_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setenv("FACIES_XR_DEVICE", "cuda:99")
    (check,) = doctor.careful(doctor.device)
    assert check.state == doctor.BROKEN
    assert "cuda:99" in check.found
    assert "FACIES_XR_DEVICE" in check.remedy


def test_the_doctor_names_the_variable_that_leads_to_other_coordinate_systems(tmp_path):
    code = "from facies_xr.cli import doctor; print(*doctor.careful(doctor.coordinate_systems))"
    theirs = {"PROJ_DATA": str(tmp_path), "PROJ_LIB": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**python_path(), **theirs})  # fmt: skip
    assert "broken" in done.stdout
    assert "unset PROJ_DATA" in done.stdout


def python_path():
    return {name: value for name, value in os.environ.items() if name == "PYTHONPATH"}


def test_a_broken_machine_is_status_2(monkeypatch):
    for name, value in {**ALONE, "FACIES_XR_DEVICE": "cuda:99"}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 2
    assert "broken" in done.stdout


def completed(line, option, beginning=""):
    """What a shell offers for an option or argument of a command."""
    (parameter,) = (p for p in dict(commands(GROUP))[tuple(line.split())].params if p.name == option)
    return [item.value for item in parameter.shell_complete(None, beginning)]


def test_names_are_completed():
    from facies_xr.nn import registry

    known = [name for name in registry.names() if name.startswith("synthetic-v1")]
    assert completed("map", "model", "synthetic-v1") == known
    assert completed("fetch", "name", "mas") == ["maslov-weights", "maslov-patches"]


def closed():
    """Options with closed lists of values, and what the package takes."""
    from facies_xr.maps import smoothing
    from facies_xr.nn import crossval, train
    from facies_xr.smb.climate import daily, fetching
    from facies_xr.smb.features import monthly
    from facies_xr.smb.glaunti import evaluation, files, release
    from facies_xr.smb.methods import named
    from facies_xr.smb.methods.tabular import protocol

    yield from (("map", "smooth", smoothing.STEPS), ("batch plan", "smooth", smoothing.STEPS))
    yield from (("smb maps", "method", ["regression", *named.EVERY]),
                ("batch smb", "method", ["regression", *named.METHODS]))  # fmt: skip
    yield "smb maps", "accumulated", {*daily.ACCUMULATED, *monthly.ACCUMULATED}
    yield from (("smb evaluate", "leave_out", protocol.SCHEMES), ("smb ablations", "leave_out", protocol.SCHEMES))
    yield from (("train", "protocol", crossval.PROTOCOLS), ("train", "precision", train.PRECISIONS))
    yield "climate fetch", "source", fetching.SOURCES
    yield from (("glaunti train", "split", release.SPLITS), ("glaunti calibrate", "store", files.STORES))
    yield "glaunti evaluate", "edge_days", evaluation.EDGE_DAYS


@pytest.mark.parametrize(("line", "option", "values"), list(closed()))
def test_values_are_completed(line, option, values):
    assert set(completed(line, option)) == {value for value in values if " " not in value}


def test_what_completes_an_option_is_taken_and_told():
    """The default is one of the values, and help names each."""
    for words, command in commands(GROUP):
        for parameter in command.params:
            values = [item.value for item in parameter.shell_complete(None, "")]
            if parameter.param_type_name == "option" and values and parameter.name != "model":
                assert parameter.default in (None, *values), (words, parameter.name)
                for value in values:
                    assert value in parameter.help, (words, parameter.name, value)


def test_other_values_are_refused_in_the_words_of_the_shell(tmp_path):
    done = run("batch", "export", tmp_path, tmp_path, "--by", "zone", check=False)
    assert done.returncode == 2
    assert "--by 'zone': choose 'tile' or 'glacier'" in done.stderr
