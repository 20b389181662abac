"""The recipe "add an experiment" of CONTRIBUTING.md, followed in a copy of the repository."""

import re
from pathlib import Path

import yaml

from workflow.ledger.claims import NEEDED, OTHERS, read_claims
from workflow.runs.declarations import PRESETS, Declaration, Preset

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

NOTEBOOK = """

# %% [markdown]
# # The area of a triangle

# %% tags=["parameters"]
height: float = 2.0  # [0..100] its height

# %%
from dynlib.report import record
from dynlib.dynamics.systems.triangle import Triangle

record.metric("area", Triangle(height).area)
"""

SYSTEM = '''from dataclasses import dataclass


@dataclass(frozen=True)
class Triangle:
    """A system that does not move."""

    height: float

    @property
    def area(self) -> float:
        """Half of base 1 times height."""
        return self.height / 2
'''

RUN = """
triangle:
  notebook: triangle
  title: The area of a triangle
  needs: []
  presets:
    smoke: {cores: 1, parameters: {}}
    cpu: {cores: 1, parameters: {height: 4}}
    paper: {cores: 1, parameters: {}}
"""

CLAIM = {
    "id": "area", "paper": "tokens", "place": "p. 1", "claim": "It is small.", "printed": "1",
    "scope": "method", "criterion": "triangle:area <= 1.5",
}  # fmt: skip


def test_an_experiment_a_system_and_a_claim_are_added(made):
    header = (
        (ROOT / "notebooks" / "henon_tokens.py").read_text(encoding="utf-8").partition("\n# %%")[0]
    )
    (made.root / "notebooks" / "triangle.py").write_text(header + NOTEBOOK, encoding="utf-8")
    with (made.root / "experiments.yml").open("a", encoding="utf-8") as file:
        file.write(RUN)
    system = made.root / "dynlib" / "dynamics" / "systems" / "triangle.py"
    system.write_text(SYSTEM, encoding="utf-8")
    assert made.status()["plain"].split()[2] == "fresh"
    code, text = made("pairs")
    assert code == 0, text
    assert "notebooks/triangle.ipynb" in text
    code, text = made("run", "triangle", "--preset", "smoke")
    assert code == 0, text
    assert made.values("triangle") == {"area": 1.0}
    claims = made.root / "claims.yml"
    claims.write_text(yaml.safe_dump([CLAIM]), encoding="utf-8")
    assert read_claims(claims)[0].metrics == [("triangle", "area")]


def test_it_names_targets_files_and_fields_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z]+)", TEXT)):
        assert re.search(rf"^(\w+ )*{target}( \w+)*:", makefile, re.M), target
    for name in re.findall(r"`((?:book|dynlib|tests|workflow)/[\w./]+)`", TEXT):
        path = ROOT / name
        assert (path.parent if path.stem in ("NAME", "SUBJECT") else path).exists(), name


def test_it_names_every_field_of_a_run_of_a_preset_and_of_a_claim():
    runs = {*Declaration.model_fields, *Preset.model_fields} - {"presets"}
    for field in (*runs, *NEEDED, *OTHERS, *PRESETS):
        assert f"`{field}" in TEXT, field


def test_hooks_ask_for_nothing_from_the_network():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
