"""Bundles: what one clone made is fresh in another, and nothing else gets in."""

import contextlib
import hashlib
import json
import shutil
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest

from workflow.cluster import bundle as subject
from workflow.runs.integrity import checksum

RESULTS, NOTEBOOK = "results/plain.json", "notebooks/plain.ipynb"


@pytest.fixture(scope="module")
def _with_bundle(_with_plain, tmp_path_factory):
    clone = _with_plain.copy(tmp_path_factory.mktemp("packed") / "clone")
    code, text = clone("bundle", "--preset", "smoke")
    assert code == 0, text
    assert "left out, not fresh: tiny (missing)" in text
    (file,) = (clone.root / "build" / "smoke").glob("bundle-*.zip")
    file.rename(clone.root / "bundle.zip")
    shutil.rmtree(clone.root / "build")
    return clone


@pytest.fixture
def packed(_with_bundle, tmp_path):
    """A clone with a bundle of its run `plain`, whose outputs are gone again."""
    clone = _with_bundle.copy(tmp_path / "clone")
    clone.bundle = clone.root / "bundle.zip"
    return clone


def members(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(file, contents, *more, sums=True):
    """Write a bundle with these members, its manifest brought up to date, and more entries."""
    if sums:
        manifest = json.loads(contents["manifest.json"])
        manifest["sha256"] = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in contents.items()
            if name != "manifest.json"
        }
        contents = contents | {"manifest.json": json.dumps(manifest).encode()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in [*contents.items(), *more]:
            archive.writestr(name, content)
    return file


def refused(clone, words):
    before = sorted(path for path in clone.root.rglob("*") if "__pycache__" not in path.parts)
    code, text = clone("unbundle", str(clone.bundle))
    assert code == 2, text
    assert words in text
    assert text.count("\n") == 1
    assert "Traceback" not in text
    assert not Path("/tmp/bundle-pwned").exists()
    after = sorted(path for path in clone.root.rglob("*") if "__pycache__" not in path.parts)
    assert after == before
    return text


def test_a_bundle_makes_a_clone_fresh(packed):
    assert " missing" in packed.status()["plain"]
    code, text = packed("unbundle", str(packed.bundle))
    assert (code, text) == (0, "plain (smoke): fresh\n")
    assert " fresh" in packed.status()["plain"]
    assert packed.values("plain")["n"] == 4
    assert packed("run", "plain", "--preset", "smoke")[1] == "plain (smoke): fresh, nothing to do\n"
    assert packed("unbundle", str(packed.bundle))[1] == "plain (smoke): fresh already, kept\n"
    assert packed("bundle", "plain", "--preset", "smoke")[0] == 0  # and it can go on from here
    (again,) = (packed.root / "build" / "smoke").glob("bundle-*")
    assert again.read_bytes() == packed.bundle.read_bytes()


def test_what_is_not_fresh_is_not_bundled(packed):
    code, text = packed("bundle", "plain", "--preset", "smoke")
    assert code == 2
    assert "plain (smoke) is missing" in text
    code, text = packed("bundle", "--preset", "smoke")
    assert code == 2
    assert "no run of smoke is fresh" in text


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("notebooks/plain.py", '("n", n)', '("n", n + 1)', "different: code of the notebook"),
        ("experiments.yml", "plain\n  title", "plain\n  title", ""),
        ("dynlib/dynamics/systems/henon.py", "import", "x = 1\nimport", ""),
        ("notebooks/plain.py", "n: int = 4", "n: int = 5", "code of the notebook, n"),
    ],
)
def test_a_bundle_of_other_sources_is_refused_with_what_differs(packed, path, old, new, words):
    if path.endswith("henon.py"):
        file = packed.root / path
        file.write_text(file.read_text(encoding="utf-8") + "\nEXTRA = 1\n", encoding="utf-8")
        words = "plain was made from other sources"
        assert "different: dynlib.dynamics.systems" in refused(packed, words)
    elif words:
        packed.edit(path, old, new)
        refused(packed, words)
    else:
        packed.edit("requirements.lock", "numpy==", "numpy==1")
        refused(packed, "version of numpy")


def link(name, target):
    """A member that ``unzip`` would make a symbolic link."""
    made = zipfile.ZipInfo(name)
    made.external_attr = 0o120777 << 16
    return made, target


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("../../tmp/bundle-pwned", ""), "neither an executed notebook nor a results file"),
        (("/tmp/bundle-pwned", ""), "neither an executed notebook nor a results file"),
        (("notebooks/../plain.ipynb", ""), "neither an executed notebook nor a results file"),
        (("notebooks/other.py", ""), "neither an executed notebook nor a results file"),
        (("results/x\n.json", ""), "neither an executed notebook nor a results file"),
        (("results/", ""), "neither an executed notebook nor a results file"),
        (("results/" + "a" * 200 + ".json", ""), "is not in its manifest"),
        (link("results/a.json", "/etc/passwd"), "is not in its manifest"),
        ((RESULTS, ""), "comes twice"),
        (("results/unknown.json", ""), "is not in its manifest"),
    ],
)
def test_hostile_members_are_refused(packed, more, words):
    pack(packed.bundle, members(packed.bundle), more)
    refused(packed, words)


def test_a_link_in_place_of_a_member_is_read_as_data(packed):
    contents = members(packed.bundle)
    del contents[RESULTS]
    pack(packed.bundle, contents | {RESULTS: b"/etc/passwd"})
    refused(packed, "plain.json is cut short or not a results file")
    pack(packed.bundle, contents, link(RESULTS, "/etc/passwd"))
    refused(packed, "is not in its manifest")


def test_too_much_is_refused_before_it_is_unpacked(packed, monkeypatch):
    """Members that unpack to too much, each or together, more of them than any bundle has."""
    pack(packed.bundle, {}, ("results/a.json", bytes(subject.MOST_BYTES + 1)), sums=False)
    refused(packed, "is too large")
    many = [(f"results/a{i}.json", "") for i in range(subject.MOST_MEMBERS + 1)]
    pack(packed.bundle, {}, *many, sums=False)
    refused(packed, "more than 500 members")
    monkeypatch.setattr(subject, "MOST_BYTES_OF_ALL", 1000)
    pack(packed.bundle, {}, *[(f"results/a{i}.json", bytes(600)) for i in "ab"], sums=False)
    with pytest.raises(subject.Refused, match="too large"):
        subject.read_bundle(packed.bundle)


def test_no_more_is_unpacked_than_a_member_says_that_it_has(packed):
    contents = members(packed.bundle)
    pack(packed.bundle, contents | {RESULTS: bytes(2**26)}, sums=False)
    true, false = struct.pack("<L", 2**26), struct.pack("<L", 10)
    packed.bundle.write_bytes(packed.bundle.read_bytes().replace(true, false))
    tracemalloc.start()
    with pytest.raises(subject.Refused):
        subject.read_bundle(packed.bundle)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(packed, method):
    with zipfile.ZipFile(packed.bundle, "w", method) as archive:
        archive.writestr("manifest.json", "{}")
    refused(packed, "is compressed in an unknown way")


@pytest.mark.parametrize("spoil", ["truncated", "flipped", "empty", "text", "missing", "tar"])
def test_a_damaged_archive_is_refused(packed, spoil):
    content = packed.bundle.read_bytes()
    middle = len(content) // 2
    match spoil:
        case "truncated":
            packed.bundle.write_bytes(content[:middle])
        case "flipped":
            flipped = bytes([content[middle] ^ 255])
            packed.bundle.write_bytes(content[:middle] + flipped + content[middle + 1 :])
        case "empty":
            packed.bundle.write_bytes(b"")
        case "text":
            packed.bundle.write_text("not a bundle", encoding="utf-8")
        case "missing":
            packed.bundle.unlink()
        case "tar":
            with tarfile.open(packed.bundle, "w:gz") as archive:
                archive.add(packed.root / "experiments.yml", "results/plain.json")
    refused(packed, "")


@pytest.mark.parametrize("place", range(0, 100, 7))
def test_damage_to_the_directory_of_the_archive_is_refused(packed, place):
    content = bytearray(packed.bundle.read_bytes())
    content[-1 - place] ^= 0x55
    packed.bundle.write_bytes(bytes(content))
    with contextlib.suppress(subject.Refused):  # or it is in a date, which nothing reads
        subject.read_bundle(packed.bundle)


def rewrite(name, change):
    """Change a JSON member."""

    def apply(contents):
        content = json.loads(contents[name])
        content = change(content) or content
        return contents | {name: json.dumps(content).encode()}

    return apply


def forge_results(contents):
    """Other results whose own checksum is right: the notebook's is not theirs to choose."""
    results = json.loads(contents[RESULTS])
    results["parameters"]["n"] = 7
    results["provenance"]["checksum"] = checksum(results)
    return contents | {RESULTS: json.dumps(results).encode()}


def forge_notebook(contents):
    """Code that no one of ours wrote, with all checksums right."""
    notebook = json.loads(contents[NOTEBOOK])
    notebook["cells"][-1]["source"] = "import os; os.system('touch /tmp/bundle-pwned')"
    text = json.dumps(notebook).encode()
    results = json.loads(contents[RESULTS])
    results["provenance"]["notebook_sha256"] = hashlib.sha256(text).hexdigest()
    results["provenance"]["checksum"] = checksum(results)
    return contents | {NOTEBOOK: text, RESULTS: json.dumps(results).encode()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c | {RESULTS: b"{"}, "plain.json is cut short or not a results file: Expecting"),
        (lambda c: c | {RESULTS: b"[" * 100_000}, "nested too deeply"),
        (lambda c: c | {RESULTS: b'{"run": NaN}'}, "NaN is not a finite number"),
        (lambda c: c | {NOTEBOOK: b"{}"}, "is not an executed notebook"),
        (lambda c: c | {NOTEBOOK: c[NOTEBOOK].decode().encode("utf-16")}, "is not the notebook"),
        (rewrite(RESULTS, lambda r: r["metrics"]["n"].update(value=9)), "was changed after"),
        (rewrite(RESULTS, lambda r: r.pop("metrics") and None), "metrics: Field required"),
        (rewrite(RESULTS, lambda r: r.update(preset="cpu")), "was changed after"),
        (rewrite(NOTEBOOK, lambda n: n.update(nbformat=3)), "it is not of format 4"),
        (rewrite(NOTEBOOK, lambda n: n["cells"].append({})), "is not an executed notebook"),
        (rewrite(NOTEBOOK, lambda n: n["cells"][-1].update(source="1 +")), "is not an executed"),
        (rewrite(NOTEBOOK, lambda n: n["metadata"].pop("companion") and None), "not an executed"),
        (rewrite("manifest.json", lambda m: m.update(format=99)), "manifest: "),
        (rewrite("manifest.json", lambda m: m.update(preset="../x")), "there is no preset"),
        (rewrite("manifest.json", lambda m: m.update(stamps=[])), "manifest: "),
        (rewrite("manifest.json", lambda m: [m]), "manifest: "),
        (forge_results, "has other parameters than its stamp"),
        (forge_notebook, "has other code than its stamp says"),
    ],
)
def test_members_that_are_no_outputs_of_the_run_are_refused(packed, change, words):
    contents = change(members(packed.bundle))
    pack(packed.bundle, contents, sums=isinstance(json.loads(contents["manifest.json"]), dict))
    refused(packed, words)


def test_members_that_do_not_match_the_manifest_are_refused(packed):
    contents = members(packed.bundle)
    pack(packed.bundle, contents | {RESULTS: contents[RESULTS] + b" "}, sums=False)
    refused(packed, f"{RESULTS!r} does not match its checksum; copy it again")
    del contents[NOTEBOOK]
    pack(packed.bundle, contents, sums=False)
    refused(packed, f"{NOTEBOOK!r} is missing")
