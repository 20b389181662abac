"""Carry results over a change of code: prove on a short run that no number has changed.

A result whose stamp no longer matches the code has a *witness*: the same run with a few parameters
that make it short. The witness is executed with the code that made the result and with the present
code. If both record the same metrics to the last bit, and if they execute every piece of code that
differs, the result gets the present stamp, and its provenance says so. Otherwise it is refused,
with the metric that moved or the line that was not executed, and has to be run in full.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynlib.training.parallel import usable_cores
from workflow import files
from workflow.carry import agreement
from workflow.carry.agreement import Metrics, Rename, renamed
from workflow.carry.difference import Region, compare
from workflow.carry.trees import Tree, check_out, stamp_at
from workflow.carry.witness import cells
from workflow.carry.witnesses import Job
from workflow.errors import Refused
from workflow.files import ROOT, commit, is_dirty, no_commit, shown_path, write_whole
from workflow.runs.execute import locked, machine
from workflow.runs.experiments import Run, load
from workflow.runs.integrity import checksum, read_sound, sealed
from workflow.runs.outputs import HELPERS
from workflow.runs.stamps import inputs, marks, stamp, view_inputs

#: Presets whose runs are carried; a smoke run is as short as its witness would be.
CARRIED = ("cpu", "paper")
LONGEST_CHAIN = 10


@dataclass
class Result:
    """A results file that may need a new stamp: a reference, a sweep, or one in ``build/``."""

    path: Path
    runs: list[Run]  # several for a sweep
    content: dict[str, Any]
    refusal: str = ""

    @property
    def run(self) -> Run:
        """The run, for a sweep its first point."""
        return self.runs[0]

    @property
    def facts(self) -> dict[str, Any]:
        """Its provenance."""
        return self.content["provenance"]

    @property
    def uses_gpu(self) -> bool:
        """Whether a GPU made it."""
        return self.facts.get("device") == "cuda"

    @property
    def is_sweep(self) -> bool:
        """Whether it summarises several runs."""
        return self.path.parent.name == "sweeps"

    @property
    def shows(self) -> bool:
        """Whether it has a page, and the code that draws this page has changed."""
        return self.path == self.run.results and self.facts.get("view") != view_inputs(self.run)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Keep the reason, if what is done here is refused."""
        try:
            yield
        except Refused as error:
            self.refusal = str(error)

    def stamps(self) -> list[str]:
        """The present stamps of its runs."""
        return [stamp(run) for run in self.runs]

    def valid(self) -> bool:
        """Whether its stamps are those of the present code."""
        if self.is_sweep:
            return bool(self.facts["inputs"]["stamps"] == self.stamps())
        return bool(self.facts["stamp"] == stamp(self.run))


def results(preset: str | None, names: list[str]) -> Iterator[Result]:
    """Every committed reference and every run in ``build/`` of these presets and runs."""
    for each in [preset] if preset else CARRIED:
        for run in load(each, names or None, optional=True):
            for path in (run.reference, run.results):
                content = read_sound(path)
                if content is not None:
                    yield Result(path, [run], content)
            path = ROOT / "results" / "sweeps" / f"{run.name}_seeds.json"
            content = read_sound(path)
            if content is not None and content["preset"] == each:
                seeds = content["parameters"]["seed"]
                runs = [load(each, [run.name], {"seed": seed})[0] for seed in seeds]
                yield Result(path, runs, content)


@dataclass
class Proof:
    """Two executions of a result's witness, and the code that differs between the two."""

    commit: str
    removed: list[Region]
    added: list[Region]
    before: Job
    after: Job
    renames: list[Rename]

    def metrics(self) -> tuple[Metrics, Metrics]:
        """What the two executions recorded, under the new names."""
        before = renamed(self.before.report["metrics"], self.renames)
        return before, self.after.report["metrics"]


def origin(result: Result, trees: Path) -> Tree:
    """The code of a result's last link or, without one, of its run, checked out in `trees`."""
    facts, chain = result.facts, result.facts.get("carried", [])
    if facts["dirty"]:
        raise Refused("it was made from uncommitted changes, which no commit records")
    if len(chain) >= LONGEST_CHAIN:
        raise Refused(f"it was carried {len(chain)} times, {LONGEST_CHAIN} at most")
    _check_same(result)
    made_by = chain[-1]["to"]["commit"] if chain else facts["commit"]
    if not made_by:
        raise Refused("it does not say which commit made it")
    return check_out(made_by, trees)


def check_made_by(result: Result, tree: Tree) -> None:
    """Refuse a result whose stamp is not the one that the tree computes for its run."""
    run, facts = result.run, result.facts
    seeds = result.content["parameters"]["seed"] if result.is_sweep else [None]
    then = [stamp_at(tree, run.base_preset, run.name, seed) for seed in seeds]
    if then != (facts["inputs"]["stamps"] if result.is_sweep else [facts["stamp"]]):
        raise Refused(f"{tree.words}, which it names, has another stamp")


def plan(
    result: Result, tree: Tree, jobs: dict[tuple[Any, ...], Job], renames: list[Rename]
) -> Proof:
    """Find what has to be executed to carry a result, which the code of a tree made.

    The executions that this result needs are added to `jobs`, which results share.

    Raises Refused with the reason, if no witness can prove anything.
    """
    run, present = result.run, Tree("", ROOT)
    renamed(result.content["metrics"], renames)  # refuses two metrics of one name
    gpu = result.uses_gpu
    removed, added = compare(
        tree.code(run, present.shown(run), gpu=gpu), present.code(run, gpu=gpu)
    )
    for region in added:
        if region.threshold:
            raise Refused(
                f"{region}: a number in the test of a branch changed; no short run can show which "
                "way the full one goes"
            )
    now = run.witness_parameters
    before = {name: now.get(name, value) for name, value in result.content["parameters"].items()}
    return Proof(
        tree.commit,
        removed,
        added,
        _job(result, tree, before, removed, jobs),
        _job(result, present, now, added, jobs),
        renames,
    )


def _check_same(result: Result) -> None:
    """Refuse a result of other parameters or of another lock."""
    run, old = result.run, result.content["parameters"]
    changed = [
        f"{name} ({old[name]!r}, now {value!r})"
        for name, value in run.parameters.items()
        if name in old and value != old[name] and not (result.is_sweep and name == "seed")
    ]
    changed += [
        f"{name} (new, {value!r}, which is not the default of the notebook)"
        for name, value in run.parameters.items()
        if name not in old and value != run.declared[name].default
    ]
    if changed:
        raise Refused(f"parameters changed: {', '.join(changed)}")
    locked_then, locked_now = result.facts["versions"], inputs(run)["versions"]
    pins = [
        f"{name} ({locked_then[name]}, now {version})"
        for name, version in locked_now.items()
        if name in locked_then and locked_then[name].split("+")[0] != version
    ]
    if pins:
        raise Refused(f"the lock changed: {', '.join(pins)}")


def _job(
    result: Result,
    tree: Tree,
    parameters: dict[str, Any],
    regions: list[Region],
    jobs: dict[tuple[Any, ...], Job],
) -> Job:
    """An execution of a result's witness; results that need the same one share it."""
    run = result.run
    gpu = result.uses_gpu
    needs = [Job(tree, each, each.witness_parameters, gpu=gpu) for each in run.needed]
    job = Job(tree, run, parameters, [jobs.setdefault(each.key, each) for each in needs], gpu)
    job = jobs.setdefault(job.key, job)
    job.follow(regions)
    job.view = job.view or result.shows
    return job


def judge(result: Result, proof: Proof) -> None:
    """Refuse a result whose two witnesses do not prove that nothing changed.

    Raises Refused with the metric that moved, or the first line that was not executed.
    """
    for job in (proof.before, proof.after):
        if job.error:
            raise Refused(job.error)
    if words := agreement.moved(*proof.metrics()):
        raise Refused(words)
    for regions, job, word in (
        (proof.removed, proof.before, "removed or changed"),
        (proof.added, proof.after, "new or changed"),
    ):
        compiled = {(path, line) for path, line in job.report["compiled"]}
        for region in regions:
            if not region.executed(job.report["spans"].get(region.path, []), compiled):
                hint = "; if only a GPU takes this branch, carry it on one"
                hint = hint if result.uses_gpu else ""
                raise Refused(f"{region} is {word}, and the witness does not execute it{hint}")


def restamp(result: Result, proof: Proof) -> None:
    """Give a result the present stamps, and note in its provenance how that was proved."""
    run, facts = result.run, result.facts
    before, after = proof.metrics()
    equal = {n: after[n] for n in after if not agreement.is_time(before[n], after[n])}
    names = agreement.new_names(result.content["metrics"], proof.renames)
    recorded = renamed(result.content["metrics"], proof.renames)
    result.content["metrics"], changes = agreement.described(recorded, before, after)
    now, new_stamp = inputs(run), stamp(run)
    if result.is_sweep:
        now = {"stamps": result.stamps()}
        new_stamp = hashlib.sha256("".join(now["stamps"]).encode()).hexdigest()[:12]
    else:
        result.content["parameters"] = run.parameters
    link = {
        "from": {"commit": proof.commit, "stamp": facts["stamp"]},
        "to": {"commit": commit(), "stamp": new_stamp},
        "machine": machine(),
        "evidence": {
            "witness": run.settings.witness or {},
            "metrics": len(equal),
            "sha256": files.checksum(equal),
            "regions": [len(proof.removed), len(proof.added)],
            "seconds": [job.report["seconds"] for job in (proof.before, proof.after)],
            "renamed": {old: new for old, new in names.items() if old != new},
            "described": changes,
        },
    }
    same_view = not result.shows or _same_view(result, proof)
    facts |= {"stamp": new_stamp, "inputs": now, "carried": [*facts.get("carried", []), link]}
    if result.path != run.results:
        facts["checksum"] = checksum(json.loads(json.dumps(result.content)))
        write_whole(result.path, json.dumps(result.content, indent=1) + "\n")
        return
    with locked(run):
        if same_view:
            facts["view"] = view_inputs(run)
        _restamp_notebook(run, same_view)
        content = sealed(result.content, run.executed)
        write_whole(result.path, json.dumps(content, indent=1) + "\n")


def _same_view(result: Result, proof: Proof) -> bool:
    """Whether the page is still right: both witnesses show the same, in as many cells."""
    before, after = proof.before.report, proof.after.report
    text = result.run.source.read_text(encoding="utf-8-sig")
    notebook = json.loads(result.run.executed.read_text(encoding="utf-8"))
    code = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and not HELPERS & set(cell["metadata"].get("tags", []))
    ]
    same_cells = len(code) == sum(is_code for *_, is_code in cells(text))
    return same_cells and before["shown"] == after["shown"] != []


def _restamp_notebook(run: Run, same_view: bool) -> None:
    notebook = json.loads(run.executed.read_text(encoding="utf-8"))
    new = marks(run)
    if not same_view:  # the page is executed again, the numbers are kept
        new["view"] = notebook["metadata"]["companion"]["view"]
    notebook["metadata"]["companion"] = new
    write_whole(run.executed, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def carry(
    preset: str | None, names: list[str], cores: int | None = None, rename: Iterable[str] = ()
) -> tuple[str, int]:
    """Carry every result whose stamp no longer matches; text, and exit code 0 if all are valid.

    Each of `rename` is ``OLD=NEW``: a metric that the present code records under another name.

    Raises Refused if the tree has uncommitted changes (a provenance could not name what was
    proved), if a rename cannot be read, or if no result has such a metric.
    """
    if preset not in (None, *CARRIED):
        raise Refused(f"only runs of {' and '.join(CARRIED)} are carried; run smoke again instead")
    if why := no_commit():
        raise Refused(f"what is carried is carried from commit to commit: {why}")
    if is_dirty():
        raise Refused("there are uncommitted changes; commit them first, so that they have a name")
    renames = agreement.read_renames(rename)
    everything = list(results(preset, names))
    agreement.check_used(renames, {name for each in everything for name in each.content["metrics"]})
    stale = [each for each in everything if not each.valid()]
    jobs: dict[tuple[Any, ...], Job] = {}
    proofs: dict[Path, Proof] = {}
    parent = ROOT / "build" / "carry"
    parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=parent) as scratch,
        ThreadPoolExecutor(cores or usable_cores()) as pool,
    ):
        trees: dict[Path, Tree] = {}
        for each in stale:
            with each.refusing():
                trees[each.path] = origin(each, Path(scratch))

        def ask(each: Result) -> None:
            with each.refusing():
                check_made_by(each, trees[each.path])

        list(pool.map(ask, [each for each in stale if not each.refusal]))
        for each in stale:
            if not each.refusal:
                with each.refusing():
                    proofs[each.path] = plan(each, trees[each.path], jobs, renames)
        print(f"{len(stale)} results to carry, {len(jobs)} witnesses to run", flush=True)
        for later in (False, True):  # a run that hands something over comes first
            now = [job for job in jobs.values() if bool(job.needs) == later]
            list(pool.map(lambda job: job.execute(Path(scratch)), now))
        refused: set[tuple[str, str]] = set()
        for each in stale:
            lost = {(each.run.preset, name) for name in each.run.needs} & refused
            if lost and not each.refusal:
                each.refusal = f"it needs {min(lost)[1]}, which is refused"
            if not each.refusal:
                with each.refusing():
                    judge(each, proofs[each.path])
                    restamp(each, proofs[each.path])
            if each.refusal:
                refused.add((each.run.preset, each.run.name))
    lines = [f"{len(everything) - len(stale)} of {len(everything)} results are valid as they are"]
    for each in stale:
        if each.refusal:
            again = f"make run RUN={each.run.name} PRESET={each.run.base_preset}"
            lines.append(f"{shown_path(each.path)}: refused: {each.refusal}\n  in full: {again}")
        else:
            lines.append(f"{shown_path(each.path)}: carried from {proofs[each.path].commit[:10]}")
    return "\n".join(lines), int(any(each.refusal for each in stale))
