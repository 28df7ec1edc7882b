"""The conda environments, the pip requirements and the imports say the same thing."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from distilrank.dependencies import library_files

ROOT = Path(__file__).parents[2]
ENVS = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "envs").glob("*.yaml")}
# What conda-forge calls by another name than pip.
CONDA_NAMES = {"torch": "pytorch"}
# Modules whose package has another name, or that another package brings along.
PACKAGES = {"yaml": "pyyaml", "markupsafe": "jinja2"}
# Opened without an import: MKL through ctypes. Run as programs: what builds the native library.
LOADED_OTHERWISE = {
    "engines.yaml": {"mkl"},
    "native.yaml": {"cmake", "cxx-compiler", "ninja"},
}
# Imported by engines that nobody needs: docs/engines.md says how to install them.
OPTIONAL = {"lleaves", "tl2cgen", "treelite"}
# With pip a compiler is the machine's own; any that is not older serves.
CONDA_ALONE = {"cxx-compiler"}


def pip_pins() -> dict[str, str]:
    """Package and version of everything that is asked for directly."""
    lines = [
        line.split("#")[0].strip()
        for name in ("direct.in", "torch.txt")
        for line in (ROOT / "requirements" / name).read_text().splitlines()
    ]
    return dict(line.split("==") for line in lines if "==" in line)


PINS = pip_pins()


def conda_dependencies(env: str) -> list[str]:
    return [each for each in ENVS[env]["dependencies"] if isinstance(each, str)]


def pins_of(env: str) -> dict[str, str]:
    """By pip's names, the versions that an environment pins; Python and pip left out."""
    pip_names = {conda: pip for pip, conda in CONDA_NAMES.items()}
    pins = {}
    for line in conda_dependencies(env):
        name, version = re.fullmatch(r"([\w-]+)(?:>?=(.+))?", line).groups()
        pins[pip_names.get(name, name)] = version
    for each in ENVS[env]["dependencies"]:
        if isinstance(each, dict):
            pins |= dict(line.split("==") for line in each["pip"])
    return {name: version for name, version in pins.items() if name not in ("python", "pip")}


def rules_by_env() -> dict[str, set[Path]]:
    """The scripts of the rules that use each environment."""
    used: dict[str, set[Path]] = {name: set() for name in ENVS}
    for file in (ROOT / "rules").glob("*.smk"):
        text = file.read_text()
        for rule in re.split(r"^(?:rule|checkpoint) ", text, flags=re.MULTILINE)[1:]:
            env = re.search(r'conda:\s+"\.\./envs/([^"]+)"', rule)
            script = re.search(r'script:\s+"\.\./scripts/([^"]+)"', rule)
            assert bool(env) == bool(script), f"{file.name}: a script's rule needs 'conda:'"
            if script:
                used[env.group(1)].add(ROOT / "scripts" / script.group(1))
    return used


RULES = rules_by_env()


def imports(path: Path, in_functions: bool) -> set[str]:
    """The third-party packages that a file imports, by pip's names."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in inside and not in_functions:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    names -= {*sys.stdlib_module_names, "distilrank", *OPTIONAL}
    return {PACKAGES.get(name, name) for name in names}


def needed_by(script: Path, env: str) -> set[str]:
    """All that ``script`` imports in ``env``; engines' own libraries count in one environment."""
    needed = set()
    files = [script, *map(Path, library_files(script))]
    # Edits of these rerun nothing, so that nobody's files name them.
    said = [ROOT / "distilrank" / f"{name}.py" for name in ("job", "progress")]
    texts = [file.read_text() for file in files]
    files += [each for each in said if any(f"distilrank.{each.stem} " in text for text in texts)]
    for file in files:
        optional = file.parent.name == "engines" and env != "engines.yaml"
        needed |= imports(file, in_functions=not optional)
    return needed


def fix(env: str, names: set[str]) -> str:
    lines = [f"  - {CONDA_NAMES.get(name, name)}={PINS.get(name, '?')}" for name in sorted(names)]
    return "\n".join([f"in envs/{env}:", *lines])


def test_every_rule_with_a_script_is_found():
    scripts = set().union(*RULES.values())
    assert scripts == set((ROOT / "scripts").glob("*.py")), "each script has a rule, and back"
    assert all(RULES.values()), "every environment is used"


@pytest.mark.parametrize("env", ENVS)
def test_an_environment_pins_what_pip_pins(env):
    pins = pins_of(env)
    wrong = {name for name in pins.keys() - CONDA_ALONE if PINS.get(name) != pins[name]}
    assert not wrong, "the versions of requirements/direct.in and torch.txt; write " + fix(
        env, wrong
    )


@pytest.mark.parametrize("env", ENVS)
def test_an_environment_has_what_its_scripts_import_and_no_more(env):
    needed = set().union(*(needed_by(script, env) for script in RULES[env]))
    needed |= LOADED_OTHERWISE.get(env, set())
    missing, idle = needed - set(pins_of(env)), set(pins_of(env)) - needed
    assert not missing, "its scripts import these too; add " + fix(env, missing)
    assert not idle, "no script of its rules imports these; take away " + fix(env, idle)


@pytest.mark.parametrize("env", ENVS)
def test_an_environment_takes_packages_from_conda_forge_alone(env):
    assert ENVS[env]["channels"] == ["conda-forge", "nodefaults"]
    # Snakemake's own: its scripts' preamble is for the same Python.
    assert "python=3.11" in conda_dependencies(env)
    loose = {
        re.split(r"\W?=", line)[0]
        for line in conda_dependencies(env)
        if not re.fullmatch(r"[\w-]+=[\d.]+", line)
    }
    with_pip = (
        {"pip"} if any(isinstance(each, dict) for each in ENVS[env]["dependencies"]) else set()
    )
    assert loose - CONDA_ALONE == with_pip


def test_the_lock_holds_every_pin():
    """torch stands alone: its build depends on the index that serves it."""
    locked = dict(
        re.findall(
            r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements" / "locked.txt").read_text(), re.M
        )
    )
    direct = {name: version for name, version in PINS.items() if name != "torch"}
    assert len(direct) > 20
    stale = {name for name, version in direct.items() if locked.get(name.lower()) != version}
    assert not stale, f"run 'make lock': requirements/locked.txt lacks the pins of {sorted(stale)}"
    assert "torch" not in locked


def test_everything_locked_has_a_hash():
    text = (ROOT / "requirements" / "locked.txt").read_text()
    for block in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_what_the_project_imports_is_asked_for_directly():
    """Otherwise an update of some other package could take it away."""
    files = [*(ROOT / "distilrank").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    needed = set().union(*(imports(file, in_functions=True) for file in files))
    assert not needed - set(PINS), f"pin {sorted(needed - set(PINS))} in requirements/direct.in"


def test_what_is_optional_is_documented_and_not_installed_by_default():
    page = (ROOT / "docs" / "engines.md").read_text()
    assert all(f"{name}==" in page for name in OPTIONAL), "docs/engines.md gives its version"
    assert not OPTIONAL & set(PINS)
