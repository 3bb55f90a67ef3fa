"""Reading a folder of Ollama's layout from the outside."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelwidgets.names import ModelName, parse
from modelwidgets.records import InstalledModel, Manifest
from modelwidgets.stores import ollama_files
from modelwidgets.stores.ollama_files import (
    StoreFiles,
    default_folder,
    delete_plan,
    find_store,
    read_manifest,
)
from modelwidgets.stores.partial import Part, Partial
from tests.store_bed import digest_of

WEIGHTS, TEXT, OTHER = b"w" * 5000, b"text", b"other"


def put(store: StoreFiles, name: str, *layers: bytes, config: bytes = b"{}") -> None:
    """Install a model with these layers."""

    def entry(content: bytes) -> dict[str, Any]:
        path = store.blob_path(digest_of(content))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"mediaType": "x", "digest": digest_of(content), "size": len(content)}

    path = store.manifest_path(parse(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"config": entry(config), "layers": [entry(layer) for layer in layers]}
    path.write_text(json.dumps({"schemaVersion": 2, **content}))


@pytest.fixture
def store(tmp_path: Path) -> StoreFiles:
    """Two models that share their weights."""
    files = StoreFiles(tmp_path / "models")
    put(files, "one", WEIGHTS, TEXT)
    put(files, "host.example:5000/user/two:q4", WEIGHTS, OTHER)
    return files


def listed(name: str, digest: str) -> InstalledModel:
    return InstalledModel(
        name=name,
        digest=digest,
        size_bytes=0,
        modified_at=datetime.now(UTC),
        format="",
        family="",
        families=(),
        parameter_size="",
        parameters=None,
        quantization="",
        max_context_length=None,
        embedding_length=None,
        capabilities=None,
        remote_model=None,
        remote_host=None,
    )


def as_listed(store: StoreFiles) -> list[InstalledModel]:
    return [listed(str(name), manifest.digest) for name, manifest in store.manifests()]


def test_models_are_read_with_their_layers(store: StoreFiles) -> None:
    """Names come from the folders, layers from the file, the digest from its bytes."""
    found = {str(name): manifest for name, manifest in store.manifests()}

    one = found["one:latest"]
    raw = store.manifest_path(parse("one")).read_bytes()
    assert set(found) == {"one:latest", "host.example:5000/user/two:q4"}
    assert one.digest == digest_of(raw).removeprefix("sha256:")
    assert [layer.digest for layer in one.layers] == [digest_of(x) for x in (WEIGHTS, TEXT, b"{}")]
    assert one.total_bytes == len(WEIGHTS) + len(TEXT) + 2


def test_names_are_found_in_any_case(store: StoreFiles) -> None:
    """As with a server, upper and lower case are one."""
    assert store.manifest("ONE:Latest") == store.manifest("one")
    assert store.manifest("none") is None


def test_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    """Before the first pull there is no folder, which is no error."""
    store = StoreFiles(tmp_path / "nowhere")

    usage = store.disk_usage()

    assert list(store.manifests()) == []
    assert store.manifest("one") is None
    assert (usage.used_bytes, usage.partial_bytes) == (0, 0)
    assert usage.free_bytes


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "5",
        '{"layers": 5}',
        '{"layers": [5]}',
        '{"layers": [{"digest": "sha256:../../x", "size": 1}]}',
        '{"layers": [{"digest": 5}]}',
        '{"config": {"digest": "sha256:' + "0" * 64 + '", "size": -1}}',
        '{"config": {"digest": "sha256:' + "0" * 64 + '", "size": "1"}}',
    ],
)
def test_damaged_manifests_are_left_out_and_named(store: StoreFiles, content: str) -> None:
    """A file that is no manifest hides no other model."""
    path = store.manifest_path(parse("bad"))
    path.parent.mkdir(parents=True)
    path.write_text(content)

    assert {str(name) for name, _ in store.manifests()} == {
        "one:latest",
        "host.example:5000/user/two:q4",
    }
    assert store.damaged() == [path]
    assert store.manifest("bad") is None


def test_file_whose_path_is_no_name_is_damaged_too(store: StoreFiles) -> None:
    """What a desktop leaves between the manifests is named, and is no model."""
    path = store.manifest_path(parse("one")).with_name(".DS_Store")
    path.write_bytes(b"")

    assert store.damaged() == [path]
    assert len(list(store.names())) == 2


def test_stub_of_the_cloud_has_no_layers(store: StoreFiles) -> None:
    """A model elsewhere is a config alone."""
    digest = digest_of(b"{}")
    path = store.manifest_path(parse("far"))
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"layers": None, "config": {"digest": digest, "size": 2}}))

    manifest = store.manifest("far")

    assert manifest is not None
    assert [layer.digest for layer in manifest.layers] == [digest]


@pytest.mark.parametrize("tag", ["local", "cloud", "8b-cloud", "x" * 80])
def test_every_tag_is_only_a_tag_on_disk(tmp_path: Path, tag: str) -> None:
    """Words that mean something behind a name mean nothing in a path."""
    store = StoreFiles(tmp_path)
    name = ModelName(host="registry.ollama.ai", namespace="library", model="x", tag=tag)
    path = store.manifest_path(name)
    path.parent.mkdir(parents=True)
    path.write_text("{}")

    assert list(store.names()) == [name]


@pytest.mark.parametrize(
    "digest", ["../x", "sha256:x", "sha256-" + "0" * 64, "", "sha256:" + "A" * 64]
)
def test_only_a_digest_leads_to_a_blob(store: StoreFiles, digest: str) -> None:
    """Nothing from outside becomes a path."""
    with pytest.raises(ValueError, match="no digest"):
        store.blob_path(digest)


def test_windows_folders_have_no_colon(store: StoreFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a port is written so that a folder can bear it, and read back."""
    monkeypatch.setattr(ollama_files, "_PORT_SIGN", "%3A")

    put(store, "host.example:81/user/three", WEIGHTS)

    assert (store.manifests_folder / "host.example%3A81/user/three/latest").is_file()
    assert store.manifest("host.example:81/user/three") is not None


def test_delete_plan_counts_what_nobody_else_needs(store: StoreFiles) -> None:
    """Shared layers stay, and the plan names who needs them."""
    one = store.manifest("one")
    assert one is not None

    plan = delete_plan("one", store.stored_layers(one), running=True)

    assert plan.frees_bytes == len(TEXT)
    assert plan.kept_bytes == len(WEIGHTS) + len(b"{}")
    assert plan.shared_with == ("host.example:5000/user/two:q4",)
    assert plan.exact
    assert plan.running


def test_deleting_several_frees_what_they_alone_share_once(store: StoreFiles) -> None:
    """Two that share their weights free them together, and a third that shares them keeps them."""
    both = ["ONE", "host.example:5000/user/two:q4"]

    plan = store.delete_plan_many(both)
    put(store, "third", WEIGHTS)
    with_a_third = store.delete_plan_many(both)

    texts = len(TEXT) + len(OTHER)
    assert (plan.frees_bytes, plan.kept_bytes) == (len(WEIGHTS) + len(b"{}") + texts, 0)
    assert (with_a_third.frees_bytes, with_a_third.kept_bytes) == (texts, len(WEIGHTS) + 2)
    assert with_a_third.shared_with == ("third:latest",)


def test_pull_plan_counts_present_shared_and_partial(store: StoreFiles) -> None:
    """Only what is neither here nor half here is to be fetched; shared is what others use."""
    manifest = store.manifest("one")
    assert manifest is not None
    store.blob_path(digest_of(TEXT)).unlink()
    partial = Partial(store.blob_path(digest_of(TEXT)))
    partial.prepare(len(TEXT))
    partial.save(Part(n=0, offset=0, size_bytes=len(TEXT), completed_bytes=3))

    plan = store.plan_pull(manifest, reserve_bytes=7)

    assert plan.total_bytes == manifest.total_bytes
    assert plan.present_bytes == plan.shared_bytes == len(WEIGHTS) + 2
    assert plan.partial_bytes == 3
    assert plan.to_fetch_bytes == 1
    assert plan.reserve_bytes == 7
    assert plan.free_bytes


def test_pull_plan_of_what_is_only_ours_shares_nothing(tmp_path: Path) -> None:
    """A model's own layers are present, not shared."""
    store = StoreFiles(tmp_path)
    put(store, "one", WEIGHTS)
    manifest = store.manifest("one")
    assert manifest is not None

    plan = store.plan_pull(manifest)

    assert (plan.present_bytes, plan.shared_bytes) == (manifest.total_bytes, 0)
    assert plan.to_fetch_bytes == 0


def test_disk_usage_counts_each_blob_once_and_what_a_partial_really_takes(
    store: StoreFiles,
) -> None:
    """A sparse file of a gigabyte takes only what was written."""
    partial = Partial(store.blob_path("sha256:" + "a" * 64))
    partial.prepare(1_000_000_000)
    with partial.path.open("r+b") as file:
        file.write(b"x" * 8192)

    usage = store.disk_usage()

    assert usage.used_bytes == len(WEIGHTS) + len(TEXT) + len(OTHER) + 2
    assert usage.partial_bytes is not None
    assert 8192 <= usage.partial_bytes < 1_000_000_000
    assert usage.path == str(store.folder)
    assert usage.exact


def test_disk_usage_tells_models_shared_and_unused_bytes_apart(store: StoreFiles) -> None:
    """Each byte once: what only one model needs, what several need, what none needs."""
    left_over = b"nobody needs this"
    store.blob_path(digest_of(left_over)).write_bytes(left_over)

    usage = store.disk_usage()

    own = {model.name: model.own_bytes for model in usage.models}
    assert own == {"one:latest": len(TEXT), "host.example:5000/user/two:q4": len(OTHER)}
    assert usage.shared_bytes == len(WEIGHTS) + 2
    assert usage.unused_bytes == len(left_over)
    assert usage.used_bytes == sum(own.values()) + len(WEIGHTS) + 2 + len(left_over)


def test_disk_usage_names_what_is_damaged(store: StoreFiles) -> None:
    """No server lists it, and its bytes belong to no model any more."""
    path = store.manifest_path(parse("one"))
    path.write_text("{")

    usage = store.disk_usage()

    assert usage.damaged == (str(path),)
    assert usage.unused_bytes == len(TEXT)
    assert usage.used_bytes == len(WEIGHTS) + len(TEXT) + len(OTHER) + 2


def test_disk_usage_tells_the_largest_models_apart_and_counts_the_others(
    tmp_path: Path,
) -> None:
    """A message and a picture stay small, however many there are."""
    store = StoreFiles(tmp_path / "models")
    for number in range(12):
        put(store, f"m{number}", bytes([number]) * (100 + number), config=b"c%d" % number)

    usage = store.disk_usage()

    assert [model.name for model in usage.models] == [f"m{n}:latest" for n in range(11, 3, -1)]
    assert usage.other_models == 4
    told = sum(model.own_bytes for model in usage.models) + usage.other_bytes
    assert told == usage.used_bytes
    assert (usage.shared_bytes, usage.unused_bytes) == (0, 0)


def test_store_of_a_server_is_the_one_that_holds_what_it_lists(
    store: StoreFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the environment is taken only where names and digests agree."""
    monkeypatch.setenv("OLLAMA_MODELS", str(store.folder))
    models = as_listed(store)

    found = find_store(models)

    assert found is not None
    assert found.folder == store.folder
    assert find_store(models[:1]) is None
    assert find_store([*models, listed("more:latest", "0" * 64)]) is None
    assert find_store([models[0], listed(models[1].name, "0" * 64)]) is None


def test_store_of_a_server_may_lie_at_home(store: StoreFiles) -> None:
    """Without a word in the environment Ollama's usual folder is looked at."""
    home = Path.home() / ".ollama"
    home.mkdir(parents=True)
    store.folder.rename(home / "models")

    found = find_store(as_listed(StoreFiles(home / "models")))

    assert found is not None
    assert found.folder == home / "models"


def test_store_that_may_not_be_read_is_passed_over(
    store: StoreFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of another user is no error."""

    def refuse(_store: StoreFiles, _models: object) -> bool:
        raise PermissionError

    monkeypatch.setenv("OLLAMA_MODELS", str(store.folder))
    monkeypatch.setattr(StoreFiles, "holds", refuse)

    assert find_store(as_listed(store)) is None


def test_our_own_folder_is_never_ollamas() -> None:
    """Models of the embedded store lie in our data folder unless asked otherwise."""
    assert default_folder() == Path(os.environ["MODELWIDGETS_DATA_DIR"]) / "models"


def test_a_manifest_is_read_again_only_when_it_changed(
    store: StoreFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page asks every few seconds; what settled is remembered, what was replaced is read."""
    read: list[str] = []

    def reading(name: ModelName, path: Path) -> Manifest:
        read.append(str(name))
        return read_manifest(name, path)

    monkeypatch.setattr(ollama_files, "read_manifest", reading)
    path = store.manifest_path(parse("one"))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    before = as_listed(store)
    first = list(read)
    again = as_listed(StoreFiles(store.folder))
    put(store, "three", OTHER)
    os.utime(store.manifest_path(parse("three")), (1_700_000_000, 1_700_000_000))
    store.manifest_path(parse("three")).replace(path)
    changed = {model.name: model.digest for model in as_listed(store)}

    assert sorted(first) == ["host.example:5000/user/two:q4", "one:latest"]
    assert [model.digest for model in again] == [model.digest for model in before]
    assert read[2] == "host.example:5000/user/two:q4"  # written just now, so not yet settled
    assert changed["one:latest"] != {model.name: model.digest for model in before}["one:latest"]
