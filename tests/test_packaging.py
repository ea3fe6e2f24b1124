"""What is shipped and said about it: the wheel, the recipe, the citation, the workflows, the lists of requirements."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import facies_xr

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = [Requirement(text) for text in PROJECT["dependencies"]]
CONDA = {"matplotlib": "matplotlib-base", "torch": "pytorch"}
"""Names of conda-forge, where they differ."""


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def yaml_of(path):
    return yaml.safe_load((ROOT / path).read_text())


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    pytest.importorskip("hatchling")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True,
                   capture_output=True)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"facies_xr", f"facies_xr-{facies_xr.__version__}.dist-info"}
    there = {p.relative_to(ROOT).as_posix() for p in (ROOT / "facies_xr").rglob("*.py")}
    assert there <= set(names)
    for needed in ("py.typed", "__init__.pyi", "models/synthetic-v1.safetensors", "samples/montana/catalog.json",
                   "smb/wgms.sha256"):  # fmt: skip
        assert f"facies_xr/{needed}" in names
    assert not [name for name in names if "__pycache__" in name or "/test" in name]
    assert wheel.stat().st_size < 12e6


def test_the_recipe_requires_what_the_package_requires():
    recipe = yaml_of("recipe/recipe.yaml")
    run = [line.split(" ", 1) for line in recipe["requirements"]["run"] if not line.startswith("python ")]
    assert {normal(name): limit for name, limit in run} == {
        normal(CONDA.get(r.name, r.name)): ",".join(sorted(map(str, r.specifier), reverse=True)) for r in REQUIRED
    }
    assert recipe["context"]["version"] == facies_xr.__version__
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]


def test_the_citation_is_of_this_version():
    citation = yaml_of("CITATION.cff")
    assert citation["version"] == facies_xr.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["references"][0]["doi"] == "10.31223/X5QN1V"


def test_the_workflows_call_what_the_repository_calls():
    jobs = yaml_of(".github/workflows/ci.yml")["jobs"]
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert commands["pinned"] == ["bash .ci/run"]
    assert jobs["pinned"]["env"]["CI"] == "false"  # or the run would ask for data that are not there
    readme = (ROOT / "README.md").read_text()
    assert "-m pytest -n 2" in readme
    assert "python -m pytest -n 2" in commands["newest"]
    assert {"ruff check .", "mypy"} <= set(commands["style"])
    release = yaml_of(".github/workflows/release.yml")["jobs"]["build"]["steps"]
    assert [s["run"] for s in release if "run" in s][1:] == ["python -m build", "twine check --strict dist/*"]


def test_everyone_uses_the_pinned_ruff():
    hooks = {repo["repo"].split("/")[-1]: repo["rev"] for repo in yaml_of(".pre-commit-config.yaml")["repos"]}
    assert f"ruff=={hooks['ruff-pre-commit'].removeprefix('v')}" in (ROOT / "constraints.txt").read_text().split()


def test_contributors_set_up_with_the_command_of_the_readme():
    command = re.search(r"<!-- test command -->\n```bash\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert command in (ROOT / ".github/CONTRIBUTING.md").read_text()


def test_every_requirement_is_pinned_and_explained():
    pins = {normal(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    extras = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]
    assert {normal(r.name) for r in (*REQUIRED, *extras)} - {"facies-xr"} <= pins
    page = (ROOT / "docs/dependencies.md").read_text()
    for requirement in REQUIRED:
        assert f"\n| {requirement.name} | " in page


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines/pangeo").glob("*.y*ml")), ids=lambda p: p.name)
def test_the_files_of_a_hub_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_pools_of_a_hub_are_python_and_ask_for_their_devices():
    config = yaml_of("pipelines/pangeo/daskhub.yaml")["dask-gateway"]["gateway"]["extraConfig"]
    tree = ast.parse(config["pools"])
    (pools,) = (n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "POOLS")
    pools = ast.literal_eval(pools)
    assert set(pools) == {"cpu", "gpu"}
    assert pools["gpu"]["worker_extra_container_config"]["resources"]["limits"] == {"nvidia.com/gpu": 1}
    ast.parse(config["limits"])
    for line in ast.parse(config["commands"]).body:
        assert importlib.util.find_spec(ast.literal_eval(line.value)[-1]), ast.unparse(line)


def test_a_hub_installs_extras_that_exist():
    environment = yaml_of("pipelines/pangeo/environment.yml")["dependencies"]
    (pip,) = (d["pip"] for d in environment if isinstance(d, dict))
    image = (ROOT / "pipelines/pangeo/Dockerfile").read_text()
    for extras in (Requirement(pip[0]).extras, set(re.search(r"facies_xr\[([\w,]+)\]", image)[1].split(","))):
        assert extras == {"cloud", "cluster", "parquet"}
        assert extras <= set(PROJECT["optional-dependencies"])
