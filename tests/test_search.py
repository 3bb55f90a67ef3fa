"""The query language, over records of both kinds."""

from __future__ import annotations

import pytest

from modelwidgets.records import CatalogModel, CatalogTag, InstalledModel
from modelwidgets.search import search


def catalog_model(name: str, **fields: object) -> CatalogModel:
    tag = CatalogTag(
        tag="8b",
        name=f"{name}:8b",
        size_bytes=5_200_000_000,
        size_exact=False,
        parameters="8B",
        quantization="Q4_K_M",
        context_length=40960,
        digest=None,
        architecture=None,
        recommended=True,
    )
    known: dict[str, object] = {
        "description": "Dense models with optional thinking",
        "publisher": "Alibaba",
        "category": "chat",
        "categories": ("chat", "tools"),
        "capabilities": ("completion", "thinking"),
        "license": "apache-2.0",
        "pulls": 1,
        "updated": "2026-01",
        "recommended_tag": "8b",
        "tags": (tag,),
        "custom": False,
        "unchecked": False,
    }
    return CatalogModel(name=name, **(known | fields))  # type: ignore[arg-type]


def installed_model(name: str) -> InstalledModel:
    return InstalledModel(
        name=name,
        digest="a" * 64,
        size_bytes=1,
        modified_at=None,
        format="gguf",
        family="qwen3",
        families=("qwen3",),
        parameter_size="8.2B",
        parameters=8_200_000_000,
        quantization="Q4_K_M",
        max_context_length=None,
        embedding_length=None,
        capabilities=None,
        remote_model=None,
        remote_host=None,
    )


QWEN = catalog_model("qwen3")
CODER = catalog_model(
    "deepseek-coder",
    description="Code models of two trillion tokens",
    publisher="DeepSeek",
    categories=("code",),
    capabilities=("completion",),
)


@pytest.mark.parametrize(
    "query",
    ["qwen", "OPTIONAL", "alibaba", "tools", "thinking", "QWEN3 alibaba", "  dense\tthinking \n"],
)
def test_a_word_is_looked_for_in_every_field(query: str) -> None:
    """Name, description, publisher, categories and capabilities are searched, in any case."""
    found = search(query, [CODER, QWEN])

    assert found == [QWEN]


def test_all_words_must_be_found() -> None:
    """Words are joined by AND, so that each one narrows the list."""
    assert search("models", [CODER, QWEN]) == [CODER, QWEN]
    assert search("models tokens", [CODER, QWEN]) == [CODER]
    assert search("models tokens alibaba", [CODER, QWEN]) == []


def test_an_empty_query_keeps_all_rows_in_their_order() -> None:
    """Nothing typed means nothing hidden."""
    assert search(" \t", [QWEN, CODER]) == [QWEN, CODER]


def test_words_do_not_run_over_the_border_of_two_fields() -> None:
    """The end of the name and the start of the description are not one word."""
    assert search("coderCode", [CODER]) == []


def test_case_is_folded_beyond_ascii() -> None:
    """A German sharp s is found however it is written."""
    model = catalog_model("leo", description="Für Grüße und Straßen")

    assert search("STRASSEN grüsse", [model]) == [model]


def test_a_full_name_finds_its_tag_and_a_bare_tag_does_not() -> None:
    """`qwen3:8b` pasted from a terminal finds the family; `8b` alone would find half of all."""
    assert search("Qwen3:8B", [CODER, QWEN]) == [QWEN]
    assert search("qwen3:9b", [CODER, QWEN]) == []
    assert search("8b", [CODER, QWEN]) == []


def test_installed_models_are_searched_by_what_their_row_shows() -> None:
    """Name with tag, family, parameters and quantization are searched; no capabilities is fine."""
    model = installed_model("user/helper:v1")

    for query in ("helper:v1", "QWEN3", "8.2b", "q4_k"):
        assert search(query, [model]) == [model]
    assert search("llama", [model]) == []
