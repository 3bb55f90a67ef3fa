"""What a terminal shows of one model."""

from __future__ import annotations

from dataclasses import replace

from modelwidgets.quantization import WEIGHTS, explain
from modelwidgets.records import Layer, Manifest, ModelDetails, StoredLayer
from modelwidgets.snippet_code import write_snippets
from modelwidgets.text_details import details_text, snippets_text
from tests.text_records import DETAILS, GEMMA, HOSTILE, INFO, NOW

LAYERS = (
    StoredLayer(
        media_type=WEIGHTS,
        digest="sha256:" + "0" * 64,
        size_bytes=2_019_377_376,
        path="/models/blobs/sha256-" + "0" * 64,
        shared_with=("mine:latest",),
    ),
    StoredLayer(
        media_type="application/vnd.docker.container.image.v1+json",
        digest="sha256:" + "1" * 64,
        size_bytes=490,
        path=None,
        shared_with=(),
    ),
)


def test_details_of_an_installed_model() -> None:
    """Facts stand in two columns, blocks keep their lines, and a long licence is cut."""
    assert details_text(DETAILS, now=NOW).splitlines() == [
        "llama3.2:3b",
        "  Installed     yes",
        "  Size          2.0 GB",
        "  Modified      2 h ago (2026-03-01 10:03 UTC)",
        "  Digest        a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
        "  Parameters    3.2 B",
        "  Context       131072 tokens",
        "  Embedding     3072",
        "  Capabilities  completion, tools",
        "  Format        gguf",
        "  Family        llama",
        "  Families      llama, clip",
        "  Needs         server 0.19.0 or later",
        "  Deleting      frees 2.0 GB, 19 MB stay for mine:latest",
        "",
        "Parameters",
        '  stop    "<|eot_id|>"',
        "",
        "Template",
        "  {{ if .System }}",
        "    {{ .System }}",
        "  {{ end }}",
        "",
        "Licence",
        "  LLAMA 3.2 COMMUNITY LICENSE",
        *["  word"] * 11,
        "  … 19 more lines (--json has them)",
    ]


def test_everything_that_is_known_is_told() -> None:
    """Modelfile, system, architecture, quantization with its bits, layers, sharing and files."""
    info = replace(
        INFO,
        modelfile="FROM llama3.2",
        system="Be brief.",
        model_info={"general.architecture": "llama"},
    )
    details = replace(
        DETAILS,
        info=info,
        quantization=explain("Q8_0"),
        layers=LAYERS,
        manifest_path="/models/manifests/registry.ollama.ai/library/llama3.2/3b",
        problem="It is damaged.",
    )

    text = details_text(details, now=NOW)

    for line in (
        "  Problem       It is damaged.",
        "  Architecture  llama",
        "  Manifest      /models/manifests/registry.ollama.ai/library/llama3.2/3b",
        "Modelfile\n  FROM llama3.2",
        "System\n  Be brief.",
        "  WHAT       SIZE   SHARED WITH   FILE",
        f"  model    2.0 GB   mine:latest   {LAYERS[0].path}",
        "  config    490 B                 missing",
    ):
        assert line in text
    assert "8.50 bits per weight (by definition)" in text


def test_details_of_a_model_that_could_be_pulled() -> None:
    """What is not installed tells what the registry and the catalog know."""
    layer = Layer(media_type="model", digest="sha256:" + "0" * 64, size_bytes=8_149_190_253)
    manifest = Manifest(
        name="gemma3:12b", digest="f" * 64, layers=(layer,), total_bytes=8_149_190_253
    )
    details = ModelDetails(
        name="gemma3:12b",
        installed=None,
        info=None,
        manifest=manifest,
        catalog=GEMMA,
        delete_plan=None,
    )

    assert details_text(details, now=NOW).splitlines() == [
        "gemma3:12b",
        "  About         Open multimodal models",
        "  Publisher     Google",
        "  Installed     no: `modelwidgets pull gemma3:12b`",
        "  Download      8.1 GB",
        f"  Digest        {'f' * 64}",
        "  Parameters    12.2B",
        "  Context       131072 tokens",
        "  Capabilities  vision",
        "  Tags          12b",
        "  Licence       Gemma",
    ]


def test_a_tag_under_another_of_its_names() -> None:
    """What the catalog knows of a tag is told for each name that leads to it."""
    tag = replace(GEMMA.tags[0], same_as=("12b-it-q4_K_M",))
    details = ModelDetails(
        name="gemma3:12b-it-q4_K_M",
        installed=None,
        info=None,
        manifest=None,
        catalog=replace(GEMMA, tags=(tag,)),
        delete_plan=None,
    )

    text = details_text(details, now=NOW)

    assert "\n  Download      " in text
    assert "\n  Parameters    12.2B" in text


def test_hostile_details() -> None:
    """Whatever stands in a template, licence or layer cannot take over the terminal."""
    hostile = replace(
        INFO,
        license=HOSTILE,
        template=HOSTILE,
        system=HOSTILE,
        parameters_text=HOSTILE,
        modelfile=HOSTILE,
        family=HOSTILE,
        families=(HOSTILE,),
        requires=HOSTILE,
        model_info={"general.architecture": HOSTILE},
    )
    layer = replace(LAYERS[0], media_type=HOSTILE, path=HOSTILE, shared_with=(HOSTILE,))
    details = replace(
        DETAILS,
        name=HOSTILE,
        info=hostile,
        problem=HOSTILE,
        layers=(layer,),
        quantization=explain(HOSTILE),
        catalog=replace(GEMMA, description=HOSTILE, publisher=HOSTILE, license=HOSTILE),
    )

    text = details_text(details, now=NOW)

    assert text.replace("\n", "").isprintable()
    assert text.count("  second\\x00") == 5


def test_snippets_in_a_terminal() -> None:
    """Each stands below its title; what must be so before is said once."""
    snippets = write_snippets(HOSTILE, url="http://localhost:11434", kind="chat", installed=False)

    text = snippets_text(snippets)

    assert text.startswith(
        "# It is not installed: pull it first.\n\n# Ollama client (pip install ollama)"
    )
    assert text.count("pull it first") == 1
    assert text.replace("\n", "").isprintable()
