"""The catalog as callers ask it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from modelwidgets import library
from modelwidgets.errors import CatalogError
from modelwidgets.folders import cache_folder, config_folder
from modelwidgets.library import Catalog, load_catalog, write_parsed_copy
from modelwidgets.records import CatalogModel

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELWIDGETS_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
        patch.setenv("MODELWIDGETS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return load_catalog()


@pytest.fixture(autouse=True)
def quick_catalog(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A parsed copy for all tests here, as an installed package has one."""
    copy = tmp_path_factory.getbasetemp() / "catalog.json"
    if not copy.exists():
        write_parsed_copy(copy)
    monkeypatch.setattr(library, "_SHIPPED_COPY", copy)


def named(models: list[CatalogModel]) -> list[str]:
    return [model.name for model in models]


# Asking the catalog


@pytest.mark.parametrize(
    "name",
    [
        "llama3.2",
        "llama3.2:3b",
        "LLAMA3.2:3B",
        "llama3.2:latest",
        "library/llama3.2",
        "registry.ollama.ai/library/llama3.2:1b",
        "llama3.2:3b-instruct-q4_K_M",
    ],
)
def test_a_model_is_found_under_each_of_its_names(catalog: Catalog, name: str) -> None:
    """Family, tag, other spelling, and a tag that is the same as a listed one lead to it."""
    model = catalog.get(name)

    assert model is not None
    assert model.name == "llama3.2"


@pytest.mark.parametrize(
    "name", ["nope", "llama3.2:99b", "", "a b", "user/llama3.2", "../x", "hf:a"]
)
def test_what_is_unknown_is_none(catalog: Catalog, name: str) -> None:
    """A name that is not listed, or no name at all, is no error."""
    assert catalog.get(name) is None


def test_models_are_listed_by_popularity(catalog: Catalog) -> None:
    """The most pulled come first; equally popular ones by name."""
    order = [(-(model.pulls or 0), model.name) for model in catalog.search()]

    assert order == sorted(order)
    assert len(order) == 224
    assert catalog.search()[0].name == "llama3.1"


def test_search_joins_words_category_and_type(catalog: Catalog) -> None:
    """Each part narrows the list further."""
    code = catalog.search(category="code")
    alibaba = catalog.search("ALIBABA", category="code")
    embedding = catalog.search(type="embedding")

    assert {"qwen2.5-coder", "codellama"} <= set(named(code))
    assert set(named(alibaba)) < set(named(code))
    assert all(model.publisher == "Alibaba" for model in alibaba)
    assert len(embedding) == 12
    assert "nomic-embed-text" in named(catalog.search("text", type="embedding"))
    assert catalog.search("coding", type="embedding") == []
    assert len(catalog.search(type="llm")) == 224 - 12


def test_a_family_appears_under_each_of_its_categories(catalog: Catalog) -> None:
    """A model that chats and sees is found by either chip."""
    for category in ("chat", "vision"):
        assert "gemma3" in named(catalog.search(category=category))


def test_an_unknown_category_or_type_lists_the_valid_ones(catalog: Catalog) -> None:
    """A typo is told what it could have been, as an error that is also a ValueError."""
    with pytest.raises(CatalogError, match=r"no category 'chats'.*chat, code, vision"):
        catalog.search(category="chats")
    with pytest.raises(ValueError, match=r"no type 'splade'.*llm, embedding"):
        catalog.search(type="splade")


def test_categories_are_those_in_use_in_the_order_of_the_page(catalog: Catalog) -> None:
    """Chips are drawn from what is there."""
    few = Catalog(
        as_of=catalog.as_of,
        models=tuple(catalog.search("embed") + catalog.search("llama3.1")),
        problems=(),
        architectures={},
    )

    assert catalog.categories[:4] == ("chat", "code", "vision", "embedding")
    assert few.categories == tuple(
        name for name in catalog.categories if any(name in model.categories for model in few.models)
    )
    assert "translation" not in few.categories


def test_every_architecture_of_a_tag_resolves(catalog: Catalog) -> None:
    """The memory estimate finds the dimensions behind each key."""
    model = catalog.get("llama3.1")
    assert model is not None
    (tag,) = [tag for tag in model.tags if tag.tag == "8b"]

    dimensions = catalog.architectures[tag.architecture or ""]

    assert (dimensions["block_count"], dimensions["head_count_kv"]) == (32, 8)


def test_more_models_come_first_and_are_found(catalog: Catalog) -> None:
    """The samples of the demo stand before everything else, under the names of their host."""
    (sample,) = [model for model in catalog.models if model.name == "llama3.2"]
    sample = dataclasses.replace(sample, name="127.0.0.1:5000/samples/chat")

    more = catalog.with_models((sample,))

    assert more.search()[0] is sample
    assert more.get("127.0.0.1:5000/samples/chat:3b") is sample
    assert more.get("llama3.2:3b") is not sample
    assert more.as_of == catalog.as_of


# Files


def edited(tmp_path: Path, old: str, new: str) -> Path:
    path = tmp_path / "catalog.yaml"
    text = (ROOT / "catalog.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_mistake_in_the_file_costs_one_entry_and_says_where(tmp_path: Path) -> None:
    """The same words come from the file itself and, the second time, from its parsed copy."""
    path = edited(tmp_path, "- name: mistral\n", "- name: mistral 7b\n")
    line = path.read_text(encoding="utf-8").splitlines().index("- name: mistral 7b") + 1

    loaded = [load_catalog(path) for _ in range(2)]

    assert loaded[0] == loaded[1]
    assert len(loaded[0].models) == 223
    (problem,) = loaded[0].problems
    assert problem.startswith(f"catalog.yaml, line {line}: mistral 7b is left out: ")
    assert len(list(cache_folder().glob("catalog-*.json"))) == 1


def test_a_later_schema_is_refused_in_words(tmp_path: Path) -> None:
    """A file of the future is not half understood."""
    path = edited(tmp_path, "schema_version: 1\n", "schema_version: 7\n")

    with pytest.raises(CatalogError, match=r"version '7', but this .* reads version 1\. Update"):
        load_catalog(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"models: [\n", r"cannot be read: line \d: "),
        (b"schema_version: &a 1\n", "cannot be read: line 1: anchors"),
        (b"[" * 100_000, "nested deeper"),
        (b"\xff" * 9, "not UTF-8"),
        (None, r"cannot be read \(No such file or directory\)"),
    ],
)
def test_an_unreadable_catalog_says_which_file_and_why(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    """Not YAML, hostile or not there: one error of ours, with the path."""
    path = tmp_path / "catalog.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CatalogError, match=why) as refused:
        load_catalog(path)

    assert str(path) in str(refused.value)


def test_reading_the_catalog_leaves_no_trace_in_the_settings() -> None:
    """Looking makes no folder and no file of settings; the shipped copy needs no cache either."""
    load_catalog()

    assert not config_folder(create=False).exists()
    assert not cache_folder(create=False).exists()


def test_a_second_look_needs_no_yaml() -> None:
    """With a parsed copy, also of the user's own file, PyYAML is not even loaded."""
    own_file = config_folder() / "entries.yaml"
    own_file.write_text(
        "schema_version: 1\nmodels: [{name: user/one, created: 2026-01-02, updated: 2026-01-02}]\n",
        encoding="utf-8",
    )
    code = (
        "import sys; from modelwidgets.library import load_catalog\n"
        "assert load_catalog().get('user/one').custom; assert 'yaml' not in sys.modules\n"
    )
    subprocess.run(  # once with the file itself, so that a copy is there
        [sys.executable, "-c", "from modelwidgets.library import load_catalog; load_catalog()"],
        cwd=ROOT,
        check=True,
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
