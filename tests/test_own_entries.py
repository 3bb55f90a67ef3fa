"""The user's own entries: added, kept, damaged, written by several at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from modelwidgets import library
from modelwidgets.errors import (
    CatalogError,
    InvalidNameError,
    ManifestNotFoundError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from modelwidgets.folders import config_folder
from modelwidgets.library import (
    add_entry,
    entries,
    load_catalog,
    remove_entry,
    write_parsed_copy,
)
from modelwidgets.records import CatalogModel
from modelwidgets.shared_file import locked
from tests.isolation import environment

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def quick_catalog(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A parsed copy for all tests here, as an installed package has one."""
    copy = tmp_path_factory.getbasetemp() / "catalog.json"
    if not copy.exists():
        write_parsed_copy(copy)
    monkeypatch.setattr(library, "_SHIPPED_COPY", copy)


class Registry:
    """What a check answers, and what it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    async def check(self, name: str) -> None:
        self.asked.append(name)
        if self.error is not None:
            raise self.error


KNOWS_ALL = Registry().check
OFFLINE = Registry(RegistryUnreachableError("registry.ollama.ai", "no route")).check


def own_file() -> Path:
    return config_folder() / "entries.yaml"


def named(models: list[CatalogModel]) -> list[str]:
    return [model.name for model in models]


async def test_an_entry_is_added_and_found() -> None:
    """It stands first in the catalog, marked as the user's, and under its name without `latest`."""
    added = await add_entry(
        "hf.co/org/Repo-GGUF:Q4_K_M", description=" For notes ", category="code", check=KNOWS_ALL
    )
    await add_entry("user/helper", check=KNOWS_ALL)

    catalog = load_catalog()

    assert named(catalog.search()[:3]) == [
        "user/helper:latest",
        "hf.co/org/Repo-GGUF:Q4_K_M",
        "llama3.1",
    ]
    assert catalog.get("hf.co/org/repo-gguf:q4_k_m") == added
    assert catalog.get("user/helper") == catalog.models[0]
    assert catalog.get("user/helper:other") is None
    assert (added.description, added.categories) == ("For notes", ("code",))
    assert added.custom
    assert not added.unchecked
    assert added.tags[0].name == added.name
    assert catalog.problems == ()


async def test_entries_carry_their_dates() -> None:
    """The file says when an entry was added, in UTC."""
    before = datetime.now(UTC).replace(microsecond=0)

    await add_entry("user/helper", check=KNOWS_ALL)

    (entry,) = yaml.safe_load(own_file().read_text(encoding="utf-8"))["models"]
    created = datetime.fromisoformat(entry["created"])
    assert before <= created <= datetime.now(UTC)
    assert entry["updated"] == entry["created"]


async def test_newest_entries_come_first_whatever_their_order_in_the_file() -> None:
    """Somebody may sort the file by hand; the dates count."""
    names = ["user/a", "user/b", "user/c"]
    for name in names:
        await add_entry(name, check=KNOWS_ALL)
    assert named(entries()) == [f"{name}:latest" for name in reversed(names)]

    text = own_file().read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    for day, entry in enumerate(tree["models"], 1):
        entry["created"] = f"2026-01-0{day}"
    own_file().write_text(yaml.safe_dump(tree), encoding="utf-8")

    assert named(entries()) == [f"{name}:latest" for name in names]


async def test_a_name_that_the_registry_does_not_know_is_refused_with_its_answer() -> None:
    """Nothing is kept, and the registry's words reach the user."""
    answer = ManifestNotFoundError("user/nope:latest", "registry.ollama.ai")
    registry = Registry(answer)

    with pytest.raises(ManifestNotFoundError, match="has no model user/nope:latest"):
        await add_entry("user/nope", check=registry.check)

    assert registry.asked == ["user/nope:latest"]
    assert entries() == []


async def test_a_registry_that_refuses_keeps_nothing() -> None:
    """A model behind a login is not known to exist."""
    registry = Registry(RegistryRefusedError("hf.co wants a login"))

    with pytest.raises(RegistryRefusedError):
        await add_entry("hf.co/org/private", check=registry.check)

    assert entries() == []


async def test_offline_an_entry_is_kept_unchecked() -> None:
    """No network is no reason to forget what the user wrote, and the mark survives."""
    added = await add_entry("user/helper", check=OFFLINE)

    (kept,) = entries()

    assert added.unchecked
    assert kept == added
    assert load_catalog().models[0].unchecked


@pytest.mark.parametrize("name", ["llama3.2", "LLAMA3.2:3b", "library/llama3.2:latest"])
async def test_a_model_of_the_catalog_is_refused_with_a_pointer(name: str) -> None:
    """The catalog has it: the registry is not even asked."""
    registry = Registry()

    with pytest.raises(CatalogError, match=r"the catalog already has it, as llama3\.2\. Search"):
        await add_entry(name, check=registry.check)

    assert registry.asked == []


async def test_another_tag_of_a_family_can_be_added() -> None:
    """The catalog lists main tags only; the others are the user's to note."""
    await add_entry("llama3.2:3b-instruct-q2_K", check=KNOWS_ALL)

    catalog = load_catalog()

    found = catalog.get("llama3.2:3b-instruct-q2_K")
    assert found is not None
    assert found.custom
    family = catalog.get("llama3.2")
    assert family is not None
    assert not family.custom


async def test_an_own_entry_is_not_added_twice() -> None:
    """The second try is told where the first one is."""
    await add_entry("user/helper", check=KNOWS_ALL)

    with pytest.raises(
        CatalogError, match=r"your own entries already has it, as user/helper:latest"
    ):
        await add_entry("USER/Helper:latest", check=KNOWS_ALL)

    assert len(entries()) == 1


async def test_ten_clicks_add_one_entry() -> None:
    """All ask the registry at once; one is kept, nine are told so."""

    async def slow(_: str) -> None:
        await asyncio.sleep(0.05)

    tries = [add_entry("user/helper", check=slow) for _ in range(10)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)

    assert len([outcome for outcome in outcomes if isinstance(outcome, CatalogModel)]) == 1
    assert len([outcome for outcome in outcomes if isinstance(outcome, CatalogError)]) == 9
    assert len(entries()) == 1


@pytest.mark.parametrize(
    "name", ["", "a b", "../x", "x" * 2000, "user/\x1b[2J", "user/a/b/c/d", "ünï", "hf:org/repo"]
)
async def test_a_text_that_is_no_name_is_refused(name: str) -> None:
    """Nothing of it reaches the registry or the file."""
    registry = Registry()

    with pytest.raises(InvalidNameError):
        await add_entry(name, check=registry.check)

    assert registry.asked == []
    assert not own_file().exists()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"category": "chats"}, r"category 'chats' is none of chat, code, vision"),
        ({"description": "x" * 201}, "description is longer than 200 characters"),
        ({"description": "a\nb"}, "one line of printable characters"),
        ({"description": "a\x1b[2Jb"}, "one line of printable characters"),
    ],
)
async def test_bad_descriptions_and_categories_are_refused(
    fields: dict[str, str], why: str
) -> None:
    """What could not be read back, or would break a page, is not written."""
    with pytest.raises(CatalogError, match=why):
        await add_entry("user/helper", **fields, check=KNOWS_ALL)

    assert not own_file().exists()


@pytest.mark.parametrize("description", ["true", "1e9", "- [x", "a: b # c", "“ünï” 日本", "'", "~"])
async def test_any_line_of_text_survives_the_file(description: str) -> None:
    """What looks like YAML is still the user's text."""
    await add_entry("user/helper", description=description, check=KNOWS_ALL)

    assert [entry.description for entry in entries()] == [description]


async def test_an_entry_is_removed() -> None:
    """By any spelling of its name; the others stay."""
    for name in ("user/a", "user/b"):
        await add_entry(name, check=KNOWS_ALL)

    remove_entry("USER/A:latest")

    assert named(entries()) == ["user/b:latest"]


@pytest.mark.parametrize("name", ["llama3.2", "user/other", "not a name"])
async def test_what_is_no_own_entry_cannot_be_removed(name: str) -> None:
    """The catalog's own models are not the user's to remove."""
    await add_entry("user/a", check=KNOWS_ALL)

    with pytest.raises(CatalogError, match="is not among your own entries"):
        remove_entry(name)

    assert named(entries()) == ["user/a:latest"]


def test_removing_from_nothing_says_so() -> None:
    """There is no file yet, and none appears."""
    with pytest.raises(CatalogError, match="nothing to remove"):
        remove_entry("user/a")

    assert not own_file().exists()


async def test_a_model_that_the_catalog_has_by_now_is_shown_once() -> None:
    """After an update the catalog's facts win, and the user is told what can go."""
    await add_entry("user/helper", check=KNOWS_ALL)
    text = own_file().read_text(encoding="utf-8").replace("user/helper:latest", "llama3.2:3b")
    own_file().write_text(text, encoding="utf-8")

    catalog = load_catalog()

    assert not any(model.custom for model in catalog.models)
    (problem,) = catalog.problems
    assert "llama3.2:3b is in the catalog itself by now" in problem
    assert str(own_file()) in problem


# Damage


GOOD_ENTRY = "- {name: user/good, created: 2026-01-02, updated: 2026-01-02}\n"
BAD_ENTRY = "- {name: user/bad, colour: red, created: 2026-01-03, updated: 2026-01-03}\n"


async def test_a_bad_entry_is_left_out_and_stays_in_the_file() -> None:
    """The rest is shown, the mistake is named with its line, and no write loses what it says."""
    own_file().write_text(f"schema_version: 1\nmodels:\n{BAD_ENTRY}{GOOD_ENTRY}", encoding="utf-8")

    problems = load_catalog().problems
    await add_entry("user/new", check=KNOWS_ALL)
    remove_entry("user/good")

    assert len(problems) == 1
    assert problems[0].startswith(f"{own_file()}, line 3: user/bad is left out: ")
    assert "there is no field 'colour'" in problems[0]
    kept = yaml.safe_load(own_file().read_text(encoding="utf-8"))["models"]
    assert [entry["name"] for entry in kept] == ["user/new:latest", "user/bad"]
    assert kept[1]["colour"] == "red"
    remove_entry("user/bad")
    assert load_catalog().problems == ()


@pytest.mark.parametrize(
    "damage", [b"", b"models: [\n", b"just words", b"\xff\xfe\x00", b"[" * 100_000]
)
async def test_a_damaged_file_is_set_aside_before_the_first_write(damage: bytes) -> None:
    """The catalog loads and says so; what was in the file is kept, and keeps being mentioned."""
    own_file().write_bytes(damage)
    before = load_catalog()

    await add_entry("user/new", check=KNOWS_ALL)

    after = load_catalog()
    (broken,) = config_folder().glob("entries.yaml.broken-*")
    assert len(before.models) == 224
    assert before.problems[0].startswith("Your own entries are not shown. ")
    assert broken.read_bytes() == damage
    assert broken.name == f"entries.yaml.broken-{datetime.now(UTC):%Y-%m-%d}"
    assert named(entries()) == ["user/new:latest"]
    assert len(after.problems) == 1
    assert str(broken) in after.problems[0]


async def test_a_second_damage_on_one_day_overwrites_nothing() -> None:
    """Each copy has a name of its own."""
    for damage in (b"one: [", b"two: ["):
        own_file().write_bytes(damage)
        await add_entry("user/new", check=KNOWS_ALL)

    kept = [path.read_bytes() for path in sorted(config_folder().glob("*.broken-*"))]

    assert kept == [b"one: [", b"two: ["]


async def test_a_file_of_a_later_version_is_not_touched() -> None:
    """It is whole, only not ours to write; both reading and writing say what to do."""
    content = "schema_version: 2\nmodels: {user/a: {}}\n"
    own_file().write_text(content, encoding="utf-8")

    with pytest.raises(CatalogError, match="Update modelwidgets"):
        await add_entry("user/new", check=KNOWS_ALL)

    assert own_file().read_text(encoding="utf-8") == content
    assert list(config_folder().glob("*.broken-*")) == []
    assert "Update modelwidgets" in load_catalog().problems[0]


def test_removing_from_a_damaged_file_changes_nothing() -> None:
    """There is nothing to find in it, so it is not written either."""
    own_file().write_bytes(b"models: [\n")

    with pytest.raises(CatalogError, match="cannot be read: line"):
        remove_entry("user/a")

    assert own_file().read_bytes() == b"models: [\n"


async def test_a_place_that_cannot_be_written_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder should be: no traceback of the system's."""
    (tmp_path / "in-the-way").write_text("", encoding="utf-8")
    monkeypatch.setenv("MODELWIDGETS_CONFIG_DIR", str(tmp_path / "in-the-way" / "config"))

    with pytest.raises(CatalogError, match=r"cannot be written .*MODELWIDGETS_CONFIG_DIR"):
        await add_entry("user/new", check=KNOWS_ALL)

    assert len(load_catalog().models) == 224


# Several writers


async def test_a_lock_held_elsewhere_is_waited_for_and_then_named() -> None:
    """The wait has an end, the message says what is going on, and nothing is lost."""
    await add_entry("user/a", check=KNOWS_ALL)

    with locked(own_file(), wait_seconds=0):
        with pytest.raises(CatalogError, match=r"another program holds .*entries\.yaml"):
            await add_entry("user/b", check=KNOWS_ALL, wait_seconds=0.1)
        with pytest.raises(CatalogError, match="Try again"):
            remove_entry("user/a", wait_seconds=0.1)

    assert named(entries()) == ["user/a:latest"]


WRITER = """
import asyncio, sys
from modelwidgets.library import add_entry, load_catalog, remove_entry

async def check(name):
    pass

async def main(who):
    for number in range(12):
        await add_entry(f"{who}/m{number}", check=check, wait_seconds=30)
        if number % 3 == 0:
            remove_entry(f"{who}/m{number}", wait_seconds=30)

load_catalog()
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(sys.argv[1]))
"""


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """A kernel and a terminal add and remove at the same time; every change is there in the end."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, who],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(tmp_path),
        )
        for who in ("kernel", "terminal")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"

    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0

    left = {f"{who}/m{n}:latest" for who in ("kernel", "terminal") for n in range(12) if n % 3}
    assert set(named(entries())) == left
    assert len(entries()) == len(left)


async def test_the_file_is_for_its_user_alone() -> None:
    """Folder and file are private where the system knows such a thing."""
    await add_entry("user/a", check=KNOWS_ALL)

    if os.name == "posix":
        assert own_file().stat().st_mode & 0o777 == 0o600
        assert own_file().parent.stat().st_mode & 0o777 == 0o700
