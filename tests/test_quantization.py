"""What a quantization means, and the bits that a weight takes."""

from __future__ import annotations

import pytest

from modelwidgets import gguf
from modelwidgets.library import load_catalog
from modelwidgets.quantization import WEIGHTS, explain
from modelwidgets.records import Layer


def layer(media_type: str, size_bytes: int) -> Layer:
    return Layer(media_type=media_type, digest="sha256:" + "0" * 64, size_bytes=size_bytes)


@pytest.mark.parametrize("scheme", gguf.FILE_TYPES.values())
def test_every_label_of_a_file_has_a_meaning(scheme: str) -> None:
    """A sentence, and bits that are not fewer than the smallest block of that name."""
    known = explain(scheme)

    assert known is not None
    assert known.meaning is not None
    assert known.meaning.endswith(".")
    assert 1 < (known.bits_per_weight or 0) <= 32
    assert known.basis in ("by definition", "typical: measured by llama.cpp with Llama 3.1 8B")


def test_every_quantization_of_the_catalog_has_a_meaning() -> None:
    """Nothing that the catalog offers is left unexplained."""
    schemes = {tag.quantization for model in load_catalog().models for tag in model.tags}

    unexplained = [name for name in schemes if name and explain(name).meaning is None]  # type: ignore[union-attr]

    assert unexplained == []


def test_bits_are_computed_where_size_and_parameters_are_exact() -> None:
    """llama3.2:3b: its weights alone count, without licence and projector."""
    layers = (
        layer(WEIGHTS, 2_019_377_376),
        layer("application/vnd.ollama.image.license", 7_000),
        layer("application/vnd.ollama.image.projector", 600_000_000),
    )

    known = explain("Q4_K_M", layers=layers, parameters=3_212_749_888)

    assert known is not None
    assert known.bits_per_weight == pytest.approx(5.0284, abs=0.0001)
    assert known.basis == "2,019,377,376 bytes of weights / 3,212,749,888 parameters"


@pytest.mark.parametrize(
    ("scheme", "bits"), [("Q4_0", 4.5), ("q8_0", 8.5), ("MXFP4", 4.25), ("Q4_K", 4.89)]
)
def test_without_an_exact_size_the_bits_are_those_of_the_scheme(scheme: str, bits: float) -> None:
    """In any case of letters, also under the older names."""
    known = explain(scheme)

    assert known is not None
    assert known.bits_per_weight == bits


def test_an_unknown_scheme_keeps_its_name() -> None:
    """It is shown as it is, and nothing is made up."""
    known = explain("Q9_Z", layers=(), parameters=1000)

    assert known is not None
    assert (known.scheme, known.meaning, known.bits_per_weight, known.basis) == (
        "Q9_Z",
        None,
        None,
        None,
    )
    assert explain("") is None
    assert explain("unknown") is None
