"""The catalog that ships, and what happens to one that somebody edited badly."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwidgets import catalog_schema, names, yaml_file
from modelwidgets.catalog_schema import CAPABILITIES, CATEGORIES, CatalogFile, read_catalog
from modelwidgets.errors import CatalogError
from modelwidgets.library import load_catalog, write_parsed_copy
from modelwidgets.plain_json import as_json
from modelwidgets.records import CatalogModel, CatalogTag

CATALOG = Path(__file__).parents[1] / "catalog.yaml"


@pytest.fixture(scope="module")
def shipped() -> CatalogFile:
    return read_catalog(yaml_file.parse(CATALOG.read_bytes()), "catalog.yaml")


@pytest.fixture(scope="module")
def tags(shipped: CatalogFile) -> list[CatalogTag]:
    return [tag for model in shipped.models for tag in model.tags]


# The file that ships


def test_every_family_that_can_be_downloaded_is_there(shipped: CatalogFile) -> None:
    """The catalog loads without a problem, whole, with the day from which its facts are."""
    assert shipped.problems == ()
    assert len(shipped.models) == 224
    assert date(2026, 8, 21) <= date.fromisoformat(shipped.as_of)


def test_families_stand_in_the_order_of_their_names(shipped: CatalogFile) -> None:
    """An editor finds a family where it belongs, and each name stands there once."""
    listed = [model.name for model in shipped.models]

    assert listed == sorted(listed)
    assert len({names.normalised(name) for name in listed}) == len(listed)


def test_every_recommended_tag_exists(shipped: CatalogFile) -> None:
    """What the page suggests can be pulled, and is marked once."""
    for model in shipped.models:
        recommended = [tag.tag for tag in model.tags if tag.recommended]
        assert recommended == [model.recommended_tag], model.name


@pytest.mark.parametrize(
    ("family", "tag"),
    [
        ("deepseek-coder", "6.7b"),
        ("phi3", "mini"),
        ("mistral", "latest"),
        ("nomic-embed-text", "latest"),
        ("llama3.2", "3b"),
        ("qwen3", "8b"),
    ],
)
def test_recommended_tags_are_those_decided(shipped: CatalogFile, family: str, tag: str) -> None:
    """Where the pick was a decision, it stays; a test has to be changed with it."""
    (model,) = [model for model in shipped.models if model.name == family]

    assert model.recommended_tag == tag


def test_descriptions_are_one_neutral_line(shipped: CatalogFile) -> None:
    """Each fits its row: 60 to 120 characters, no full stop, no two alike."""
    descriptions = [model.description for model in shipped.models]

    for text in descriptions:
        assert 60 <= len(text) <= 120, text
        assert not text.endswith("."), text
        assert text == text.strip()
        assert len(re.findall("context", text)) <= 2, text
    assert len(set(descriptions)) == 224


def test_what_the_chips_filter_by_is_known(shipped: CatalogFile) -> None:
    """Every category has families, the first one is the primary one, embeddings say so twice."""
    used = Counter(category for model in shipped.models for category in model.categories)

    assert set(used) == set(CATEGORIES)
    for model in shipped.models:
        assert model.category == model.categories[0]
        assert set(model.capabilities) <= set(CAPABILITIES)
        assert model.capabilities, model.name
        embeds = "embedding" in model.capabilities
        assert embeds == ("embedding" in model.categories), model.name
        assert embeds != ("completion" in model.capabilities), model.name
        assert ("vision" in model.categories) <= ("vision" in model.capabilities), model.name


def test_no_tag_runs_elsewhere(tags: list[CatalogTag]) -> None:
    """A catalog of downloads lists no cloud stub and nothing that only Apple's engine runs."""
    for tag in tags:
        assert not re.search(r"cloud|mlx", tag.tag), tag.name


def test_every_tag_can_be_pulled_and_weighed(tags: list[CatalogTag]) -> None:
    """Names parse, sizes are bytes of a model, contexts are tokens."""
    for tag in tags:
        assert str(names.parse(tag.name)) == tag.name
        assert tag.size_bytes is not None
        assert 10**7 < tag.size_bytes < 2 * 10**12, tag.name
        assert tag.context_length is not None
        assert 256 <= tag.context_length <= 20_000_000, tag.name


def test_a_whole_digest_goes_with_an_exact_size(tags: list[CatalogTag]) -> None:
    """Both were proved by the same manifest; what was not proved has 12 digits and "about"."""
    for tag in tags:
        assert tag.digest is not None
        assert re.fullmatch(r"[0-9a-f]{64}" if tag.size_exact else r"[0-9a-f]{12}", tag.digest)


def test_tags_that_are_the_same_say_the_same(shipped: CatalogFile) -> None:
    """`same_as` goes both ways, and two names of one manifest have one size."""
    for model in shipped.models:
        listed = {tag.tag: tag for tag in model.tags}
        for tag in model.tags:
            assert tag.tag not in tag.same_as
            for other in (listed[name] for name in tag.same_as if name in listed):
                assert tag.tag in other.same_as, (model.name, tag.tag, other.tag)
                assert (other.digest, other.size_bytes) == (tag.digest, tag.size_bytes)


def test_architectures_are_used_and_have_dimensions(
    shipped: CatalogFile, tags: list[CatalogTag]
) -> None:
    """Every key resolves, none is left over, and numbers that belong together agree."""
    used = {tag.architecture for tag in tags} - {None}

    assert used == set(shipped.architectures)
    for key, found in shipped.architectures.items():
        sizes = {field: value for field, value in found.items() if isinstance(value, int)}
        assert sizes["embedding_length"] > 0, key
        assert sizes.get("head_count_kv", 0) <= sizes.get("head_count", 0), key
        assert sizes.get("full_attention_layers", 0) <= sizes.get("block_count", 0), key
        assert sizes.get("expert_used_count", 0) <= sizes.get("expert_count", 0), key


def test_every_other_reader_of_yaml_sees_the_same_texts() -> None:
    """What is a text here is quoted where PyYAML or YAML 1.2 would see a number or a date."""
    number = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0[ox][0-9a-fA-F]+")
    plain = [
        event.value
        for event in yaml.parse(CATALOG.read_text(encoding="utf-8"), Loader=yaml.CBaseLoader)
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0]
    ]
    loaded = yaml.safe_load(CATALOG.read_text(encoding="utf-8"))

    assert {text for text in plain if number.fullmatch(text) and not text.isdecimal()} == set()
    assert loaded["as_of"] == load_catalog().as_of
    for model in loaded["models"]:
        texts = [model[field] for field in ("name", "description", "updated", "recommended_tag")]
        for tag in model["tags"]:
            texts += [tag["tag"], tag["digest"], *tag.get("same_as", [])]
            assert isinstance(tag["size_bytes"], int)
        assert all(isinstance(text, str) for text in texts), model["name"]


def test_the_file_stays_readable() -> None:
    """It is edited by hand: explained at its top, of a size that an editor and a diff can take."""
    text = CATALOG.read_text(encoding="utf-8")

    assert len(text) < 400_000
    assert text.startswith("# ")
    for field in (*catalog_schema._FAMILY_FIELDS, *catalog_schema._TAG_FIELDS):
        assert re.search(rf"^#.*\b{field}\b", text, re.MULTILINE), field
    for category in CATEGORIES:
        assert re.search(rf"^#.*\b{category}\b", text, re.MULTILINE), category


def test_the_copy_of_the_wheel_is_the_catalog(tmp_path: Path, shipped: CatalogFile) -> None:
    """What the build writes gives back every record."""
    copy = tmp_path / "static" / "catalog.json"

    write_parsed_copy(copy)

    content = yaml.safe_load(copy.read_text(encoding="utf-8"))["content"]
    assert CatalogFile.from_json(content) == shipped


# A file that somebody edited


HEAD = 'schema_version: 1\nas_of: "2026-08-21"\n'
GOOD = """\
- name: llama3.2
  description: Small models
  publisher: Meta
  categories: [chat, tools]
  capabilities: [completion, tools]
  license: llama3.2
  pulls: 100
  updated: 2025-07
  recommended_tag: 3b
  tags:
  - {tag: 3b, size_bytes: 2019393189, size_exact: true, digest: a80c4f17acd5, architecture: x/y}
  - {tag: 1b, size_bytes: 1321098329}
"""
ARCHITECTURES = "architectures:\n  x/y: {gguf_architecture: llama, block_count: 28}\n"


def read(models: str, architectures: str = ARCHITECTURES) -> CatalogFile:
    text = f"{HEAD}{architectures}models:\n{models}"
    return read_catalog(yaml_file.parse(text.encode()), "catalog.yaml")


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


OTHER = """\
- name: other
  description: Another one
  categories: [code]
  tags: [{tag: latest}]
"""


def test_a_family_becomes_a_record() -> None:
    """Texts become numbers, and what is left out is None."""
    (model, other) = read(GOOD + OTHER).models

    assert (model.name, model.category, model.pulls) == ("llama3.2", "chat", 100)
    assert model.tags[0] == CatalogTag(
        tag="3b",
        name="llama3.2:3b",
        size_bytes=2_019_393_189,
        size_exact=True,
        parameters=None,
        quantization=None,
        context_length=None,
        digest="a80c4f17acd5",
        architecture="x/y",
        recommended=True,
    )
    assert (other.license, other.pulls, other.recommended_tag) == (None, None, None)
    assert other.tags[0].size_bytes is None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("- name: llama3.2", "- name: ../../etc", "not a model name"),
        ("- name: llama3.2", "- name: llama3.2:3b", "must be a family without a tag"),
        ("- name: llama3.2", "- name: ''", "name is missing"),
        ("- name: llama3.2", "- name: [a]", "name must be a text"),
        ("- name: llama3.2", "- name: OTHER", "an earlier entry has the same name"),
        ("  description: Small models\n", "", "description is missing"),
        ("Small models", "x" * 201, "description is longer than 200 characters"),
        ("Small models", '"a \\e[31mred\\e[0m b"', "one line of printable characters"),
        ("Small models", "|\n    two\n    lines", "one line of printable characters"),
        ("publisher: Meta", "publisher: {a: b}", "publisher must be a text"),
        ("[chat, tools]", "[chat, chit]", "'chit' is none of chat, code, vision"),
        ("[chat, tools]", "[]", "at least one of chat, code"),
        ("[chat, tools]", "[chat, chat]", "names something twice"),
        ("[chat, tools]", "chat", "categories must be a list"),
        ("[completion, tools]", "[flying]", "'flying' is none of completion, tools"),
        ("[completion, tools]", "[[completion]]", "must be a list of texts"),
        ("pulls: 100", "pulls: many", "pulls must be a whole number of 0 or more, not 'many'"),
        ("pulls: 100", "pulls: -1", "pulls must be a whole number"),
        ("pulls: 100", f"pulls: {'9' * 5000}", "pulls must be a whole number"),
        ("2025-07", "2025-13", "updated must be a month"),
        ("license: llama3.2", "licence: llama3.2", "there is no field 'licence'"),
    ],
)
def test_a_bad_entry_is_left_out_with_its_name_and_line(old: str, new: str, why: str) -> None:
    """One mistake costs one family, and the message leads to it."""
    found = read(OTHER + changed(old, new))

    assert [model.name for model in found.models] == ["other"]
    (problem,) = found.problems
    assert problem.startswith("catalog.yaml, line 10: ")
    assert "is left out: " in problem
    assert why in problem
    assert problem.endswith("Correct it there, then refresh the catalog.")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("tag: 3b,", "tag: ../3b,", "is no tag"),
        ("tag: 3b,", "", "tag is missing"),
        ("2019393189", "-5", "size_bytes must be a whole number above 0, not '-5'"),
        ("2019393189", "2.0 GB", "size_bytes must be a whole number above 0"),
        ("2019393189", "0", "size_bytes must be a whole number above 0"),
        ("size_bytes: 2019393189, ", "", "size_exact needs a size_bytes"),
        ("size_exact: true", "size_exact: yes", "size_exact must be true or false, not 'yes'"),
        ("a80c4f17acd5", "a80c4f17acd", "digest must be 64 or 12 hex digits"),
        ("a80c4f17acd5", "A80C4F17ACD5", "digest must be 64 or 12 hex digits"),
        ("a80c4f17acd5", "a80c4f17acd5, context_length: 4K", "context_length must be a whole"),
        ("a80c4f17acd5", "a80c4f17acd5, projector_bytes: 2019393189", "must be a part of"),
        ("a80c4f17acd5", "a80c4f17acd5, same_as: [a b]", "'a b' is no tag"),
        ("a80c4f17acd5", "a80c4f17acd5, same_as: 1b", "same_as must be a list"),
        ("x/y}", "x/z}", "there is no architecture 'x/z'"),
        ("x/y}", "x/y, size: 3}", "there is no field 'size'"),
    ],
)
def test_a_bad_tag_is_left_out_and_its_family_stays(old: str, new: str, why: str) -> None:
    """One mistake in a tag costs that tag; a recommendation that falls with it is said too."""
    found = read(changed(old, new))

    (model,) = found.models
    assert [tag.tag for tag in model.tags] == ["1b"]
    assert model.recommended_tag is None
    assert found.problems[0].startswith("catalog.yaml, line 16: llama3.2, tag ")
    assert why in found.problems[0]
    assert "recommends '3b'" in found.problems[1]


def test_a_tag_that_stands_twice_is_kept_once() -> None:
    """The first one counts."""
    found = read(changed("tag: 1b", "tag: 3B"))

    assert [(tag.tag, tag.size_bytes) for tag in found.models[0].tags] == [("3b", 2_019_393_189)]
    assert "line 17: llama3.2, tag 3B is left out: it stands twice" in found.problems[0]


def test_a_recommendation_of_nothing_is_dropped() -> None:
    """The family stays, with nothing to suggest."""
    found = read(changed("recommended_tag: 3b", "recommended_tag: 7b"))

    assert [model.recommended_tag for model in found.models] == [None]
    assert "line 6: llama3.2 recommends '7b', which none of its tags is" in found.problems[0]


@pytest.mark.parametrize("entry", ["- just a text\n", "- [1, 2]\n", "-\n"])
def test_an_entry_that_is_no_entry_is_named_by_its_place(entry: str) -> None:
    """What has no name and no line is found by counting."""
    found = read(GOOD + entry)

    assert [model.name for model in found.models] == ["llama3.2"]
    assert "number 2 is left out: it must have fields such as name" in found.problems[0]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("x/z: {block_count: many}", "block_count must be a whole number"),
        ("x/z: {blocks: 3}", "there is no field 'blocks'"),
        ("x/z: 7", "must have fields"),
        ('"x\\e[2J": {block_count: 3}', "its name must be one line of printable characters"),
    ],
)
def test_a_bad_architecture_is_left_out(entry: str, why: str) -> None:
    """The others stay, so that most estimates still have their dimensions."""
    found = read(GOOD, f"{ARCHITECTURES}  {entry}\n")

    assert set(found.architectures) == {"x/y"}
    assert why in found.problems[0]
    assert all(text.isprintable() for text in found.problems)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no schema_version"),
        ("just words", "must be a mapping"),
        ("- a\n", "must be a mapping"),
        ("as_of: x\nmodels: []\n", "has no schema_version"),
        (
            'schema_version: 2\nas_of: "2026-08-21"\n',
            "has version '2', but this modelwidgets reads version 1. Update modelwidgets",
        ),
        ("schema_version: {a: b}\n", "has version a dict"),
        ("schema_version: 1\n", "has no date"),
        ("schema_version: 1\nas_of: yesterday\n", "has no date"),
        (f"{HEAD}models: {{a: b}}\n", "models must be a list"),
        (f"{HEAD}architectures: [a]\n", "architectures must be a mapping"),
        (f"{HEAD}model: []\n", "has an unknown part 'model'"),
    ],
)
def test_a_file_that_is_no_catalog_is_refused_whole(text: str, why: str) -> None:
    """There is nothing to keep, so the message says what the file lacks."""
    with pytest.raises(CatalogError, match=re.escape(why)):
        read_catalog(yaml_file.parse(text.encode()), "catalog.yaml")


def test_a_flood_of_bad_entries_is_summed_up() -> None:
    """Ten thousand mistakes do not become ten thousand messages."""
    found = read("- {name: x}\n" * 10_000)

    assert len(found.problems) == 21
    assert found.problems[-1] == "catalog.yaml: 9980 more entries are left out."


def test_records_survive_the_way_through_json() -> None:
    """A parsed copy gives equal records, lists as tuples."""
    found = read(GOOD + OTHER)

    back = CatalogFile.from_json(as_json(found))

    assert back == found


def test_a_copy_knows_the_fields_that_it_was_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new field of a record, or new rules, make every earlier copy unusable."""
    before = catalog_schema.form()

    assert all(field in before.split() for field in _fields(CatalogModel) + _fields(CatalogTag))
    monkeypatch.setattr(catalog_schema, "RULES", 99)
    assert catalog_schema.form() != before


def _fields(record: Any) -> list[str]:
    return list(record.__dataclass_fields__)
