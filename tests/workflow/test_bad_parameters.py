"""Parameters that no notebook can take: a sentence and exit code 2, no process, no traceback."""

import contextlib
import io
import math
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from workflow.__main__ import main
from workflow.errors import Refused
from workflow.runs.experiments import PRESETS, load

ROOT = Path(__file__).resolve().parents[2]
RUNS = {(preset, run.name): run for preset in PRESETS for run in load(preset, optional=True)}
HOSTILE = [
    "x; touch /tmp/pwned", "$(touch /tmp/pwned)", "`id`", "a\nb", "\n", "", " ", "'", '"', "-1 -1",
    "\x00", "\x1b[2J", "../../etc/passwd", "__import__('os')", "{}", "%s", "\udc80", "é", "٣",
    "1e9999", "-inf", "nan", "NaN", "Infinity", "0x10", "1_0", "1,5", "--force", "-x", "None",
    "9" * 5000, "-" + "9" * 400,
]  # fmt: skip


@st.composite
def bad_value(draw, parameter):
    """Text or a typed value (as a YAML file holds it) that this parameter must not take."""
    words = st.sampled_from(HOSTILE) | st.text(max_size=20)
    others = [
        st.none(),
        st.lists(st.integers(), max_size=2),
        st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
        st.binary(max_size=3),
        st.dates(),
    ]
    if parameter.type == "bool":
        kinds = [st.integers(), st.floats(), words.filter(lambda t: t not in ("true", "false"))]
    elif parameter.type == "str":
        kinds = [st.integers(), st.booleans()]
        if parameter.choices:
            kinds.append(words.filter(lambda t: t not in parameter.choices))
        if parameter.file:
            kinds.append(words.filter(lambda t: t and not os.path.isfile(t)))
    else:
        kinds = [
            words.filter(lambda t: not re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", t, re.A)),
            st.booleans(),
            st.sampled_from([math.nan, math.inf, -math.inf, 2**63, -(2**64), 10**400]),
        ]
        low, high = parameter.low, parameter.high
        if low is not None:
            kinds.append(st.integers(max_value=math.ceil(low) - 1))
            kinds.append(st.floats(max_value=low, exclude_max=True))
        if high is not None:
            kinds.append(st.integers(min_value=math.floor(high) + 1))
            kinds.append(st.floats(min_value=high, exclude_min=True))
        if parameter.type == "int":
            kinds.append(st.floats(low or 0, 1e6))  # 3.0 is no whole number either
    return draw(st.one_of(*kinds, *others))


@st.composite
def bad_set(draw):
    """A run, parameters for it with something wrong, and the word that a message must hold."""
    preset, name = draw(st.sampled_from(sorted(RUNS)))
    run = RUNS[preset, name]
    rules = re.findall(r"^# require: (.+)$", run.cell, re.M)
    wrong = draw(st.sampled_from(["value", "name", "rule"] if rules else ["value", "name"]))
    if wrong == "value":
        parameter = draw(st.sampled_from(sorted(run.declared)))
        return preset, name, {parameter: draw(bad_value(run.declared[parameter]))}, parameter
    if wrong == "name":
        unknown = draw(
            st.sampled_from(HOSTILE)
            | st.text(max_size=20)
            | st.sampled_from(sorted(run.declared)).map(lambda n: n + "s")
        )
        assume(unknown not in run.declared)
        return preset, name, {unknown: "1"}, "no parameter"
    rule = draw(st.sampled_from(rules))
    values = dict(run.parameters)
    involved = [n for n in run.declared if re.search(rf"\b{n}\b", rule)]
    for each in involved:
        declared = run.declared[each]
        high = declared.high if declared.high is not None else 2**62
        values[each] = draw(st.integers(math.ceil(declared.low), math.floor(high)))
    assume(not eval(rule, {"__builtins__": {}}, values))  # the rule itself, read by Python
    return preset, name, {each: values[each] for each in involved}, "requires"


@contextlib.contextmanager
def no_process():
    """Whatever would start a process or a kernel fails the test."""

    def refuse(*arguments, **_):
        pytest.fail(f"a process was started: {arguments}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        for name in ("fork", "posix_spawn", "execv", "execve", "system"):
            patch.setattr(os, name, refuse)
        yield


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(bad_set())
def test_200_bad_sets_start_nothing_and_end_in_a_sentence(case):
    preset, name, own, word = case
    with no_process():
        # as experiments.yml would hold them
        with pytest.raises(Refused) as refusal:
            load(preset, [name], own)
        assert word in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert len(str(refusal.value)) < 1500

        # as the command line would
        given = [text for key, value in own.items() for text in ("-p", str(key), f"{value}"[:9999])]
        try:
            load(preset, [name], {k: f"{v}"[:9999] for k, v in own.items()})
        except Refused:
            pass
        else:
            return  # as text it may be good: 3.0 for a number, True for no choice ...
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            assert main(["run", name, "--preset", preset, *given]) == 2
        assert err.getvalue().count("\n") == 1
        assert word in err.getvalue()
        assert "Traceback" not in err.getvalue()
        assert out.getvalue() == ""
    assert not Path("/tmp/pwned").exists()


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400, "9" * 5000, "1" + "0" * 300])
def test_no_parameter_takes_a_number_that_64_bits_cannot_hold(value):
    for run in RUNS.values():
        for parameter in run.declared.values():
            any_text = parameter.type == "str" and not parameter.choices and not parameter.file
            if type(value) is int or not (any_text or parameter.type == "float"):
                with pytest.raises(
                    Refused, match=rf"parameter {parameter.name}=.{{1,80}}: it must"
                ):
                    parameter.check(value)


NEEDS = "title: Plain\n  needs: []"
SMOKE = "smoke: {cores: 1, parameters: {}}"
CPU = "cpu: {cores: 1, parameters: {steps: 600}}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: Plain", "title: [", "cannot be read"),
        ("title: Plain", "title: 3", "plain, title: Input should be a valid string, got 3"),
        ("notebook: plain", "notebook: ../plain", "plain, notebook: String should match"),
        ("\nplain:", "\nPlain:", "experiments.yml, Plain, [key]: String should match"),
        (NEEDS, "title: Plain\n  needs:", "plain, needs: Input should be a valid list"),
        (NEEDS, "title: Plain\n  needs: [x]", "plain: needs x, which is not declared"),
        (NEEDS, "title: Plain\n  needs: [plain]", "need each other in a circle: plain, plain"),
        (NEEDS, "extends: tin", "plain extends 'tin', which is not there"),
        (NEEDS, "extends: plain", "extend each other in a circle: plain, plain"),
        (CPU, "cpu: {extends: [cpu]}", "tiny: cpu extends ['cpu'], which is not there"),
        (SMOKE, "smoke: {cores: no, parameters: {}}", "cores: Input should be a valid integer"),
        (SMOKE, "smoke: {cores: 0}", "tiny, presets, smoke, cores: Input should be greater than"),
        (SMOKE, "smoke: {cores: 1, parameters: 3}", "parameters: Input should be a valid dict"),
        (SMOKE, "smoke: {cores: 1, core: 1}", "smoke, core: Extra inputs are not permitted"),
        (SMOKE, "", "tiny, presets, smoke: Field required"),
        (CPU, CPU.replace("steps", "on"), "[key]: Input should be a valid string, got True"),
        (CPU, CPU.replace("600", ".inf"), "parameter steps=inf"),
    ],
)
def test_a_sloppy_experiments_yml_is_refused(clone, old, new, words):
    clone.edit("experiments.yml", old, new)
    code, text = clone("status")
    assert (code, text.count("\n")) == (2, 1), text
    assert words in text


@pytest.mark.parametrize("path", ["notebooks/plain.py", "dynlib/dynamics/systems/henon.py"])
def test_code_that_is_no_python_is_refused(clone, path):
    file = clone.root / path
    file.write_text(file.read_text(encoding="utf-8") + "\nx = (1\n", encoding="utf-8")
    code, text = clone("run", "plain", "--preset", "smoke")
    assert (code, text.count("\n")) == (2, 1), text
    assert "was never closed in 'x = (1'" in text
    assert Path(path).parts[0] in text


def refused(arguments):
    err = io.StringIO()
    with no_process(), contextlib.redirect_stderr(err):
        assert main(arguments) == 2
    return err.getvalue()


def test_a_value_may_begin_with_a_dash_and_is_asked_for_once():
    assert "parameter learning_rate='-1e-3': it must be a number" in refused(
        ["run", "henon_tokens", "-p", "learning_rate", "-1e-3"]
    )
    assert "given twice" in refused(
        ["run", "henon_tokens", "-p", "n_seeds", "1", "-p", "n_seeds", "2"]
    )
    assert "status takes no parameters; run, " in refused(["status", "-p", "n_seeds", "2"])
    assert "-p takes a name and a value" in refused(["run", "henon_tokens", "-p", "n_seeds"])
