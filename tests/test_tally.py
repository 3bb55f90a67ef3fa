"""The bar that `tally.py` makes of a server's lines."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelwidgets.records import Layer, Manifest, PullStep
from modelwidgets.tally import Speed, Tally

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def manifest(**sizes: int) -> Manifest:
    layers = tuple(
        Layer(media_type="model", digest={"a": A, "b": B, "c": C}[key], size_bytes=size)
        for key, size in sizes.items()
    )
    total = sum({layer.digest: layer.size_bytes for layer in layers}.values())
    return Manifest(name="m", digest="d" * 64, layers=layers, total_bytes=total)


def line(digest: str, total: int, completed: int) -> PullStep:
    return PullStep(status="pulling", digest=digest, total_bytes=total, completed_bytes=completed)


def said(status: str) -> PullStep:
    return PullStep(status=status, digest=None, total_bytes=None, completed_bytes=0)


def test_a_layer_is_finished_when_the_next_one_begins() -> None:
    """The last line of a layer stands below its total, and still the bar counts it whole."""
    tally = Tally(manifest(a=100, b=50))
    tally.feed(line(A, 100, 91))

    tally.feed(line(B, 50, 5))

    assert tally.completed_bytes == 105


def test_layers_that_emit_no_line_are_counted_when_a_later_one_begins() -> None:
    """Small layers finish between two ticks of the server and are never mentioned."""
    tally = Tally(manifest(a=100, b=7, c=50))
    tally.feed(line(A, 100, 91))

    tally.feed(line(C, 50, 10))

    assert tally.completed_bytes == 117


def test_verifying_means_that_all_bytes_are_there() -> None:
    """The total is reached exactly, whatever the last line said."""
    tally = Tally(manifest(a=100, b=7))
    tally.feed(line(A, 100, 91))

    tally.feed(said("verifying sha256 digest"))

    assert (tally.completed_bytes, tally.total_bytes, tally.phase) == (107, 107, "verifying")


def test_a_roll_back_shows_as_retrying_and_the_bar_stays() -> None:
    """Bytes that the server drops are named, not taken from the bar."""
    tally = Tally(manifest(a=100))
    tally.feed(line(A, 100, 60))

    tally.feed(line(A, 100, 5))

    assert (tally.completed_bytes, tally.behind_bytes, tally.phase) == (60, 55, "retrying")
    tally.feed(line(A, 100, 61))
    assert (tally.completed_bytes, tally.behind_bytes, tally.phase) == (61, 0, "downloading")


def test_what_is_in_the_store_counts_from_the_start() -> None:
    """A shared layer and a partial one are there before the first line."""
    tally = Tally(manifest(a=100, b=50), kept={B: 50, A: 20})

    assert tally.completed_bytes == 70
    tally.feed(line(A, 100, 30))
    assert tally.completed_bytes == 80


def test_an_earlier_attempt_keeps_its_place() -> None:
    """After a crash the server starts over, and the bar waits for it instead of going back."""
    tally = Tally(manifest(a=100))
    tally.feed(line(A, 100, 40))
    tally.begin()

    tally.feed(line(A, 100, 0))

    assert (tally.completed_bytes, tally.phase) == (40, "retrying")


def test_a_digest_twice_in_a_manifest_is_counted_once() -> None:
    """Two entries with one blob are one download."""
    two = manifest(a=100)
    tally = Tally(
        Manifest(name="m", digest="d" * 64, layers=two.layers * 2, total_bytes=two.total_bytes)
    )
    tally.feed(line(A, 100, 100))
    tally.feed(said("verifying sha256 digest"))

    assert tally.completed_bytes == 100


def test_without_a_manifest_the_total_is_unknown_and_never_guessed() -> None:
    """Bytes are shown, a percentage is not."""
    tally = Tally()
    tally.feed(line(A, 100, 60))
    tally.feed(line(B, 50, 10))

    assert (tally.completed_bytes, tally.total_bytes) == (110, None)


def test_a_tag_that_moves_under_way_makes_the_total_unknown() -> None:
    """A layer that the manifest does not name proves that another manifest is pulled."""
    tally = Tally(manifest(a=100))
    tally.feed(line(B, 500, 10))

    assert tally.total_bytes is None


def test_models_of_many_tensors_are_reported_as_one() -> None:
    """The digest `sha256:model` carries overall figures."""
    tally = Tally()
    tally.feed(line("sha256:model", 1000, 10))
    tally.feed(line("sha256:model", 1000, 400))

    assert (tally.completed_bytes, tally.total_bytes) == (400, 1000)


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 120)), max_size=60))
def test_shown_bytes_never_fall_and_never_exceed_the_total(
    lines: list[tuple[str, int]],
) -> None:
    """Whatever order of lines a server sends, the bar does not go back."""
    sizes = {A: 120, B: 120, C: 120}
    tally = Tally(manifest(a=120, b=120, c=120))
    seen = []
    for digest, completed in lines:
        tally.feed(line(digest, sizes[digest], completed))
        seen.append(tally.completed_bytes)

    assert all(one <= two for one, two in itertools.pairwise(seen))
    assert all(one <= 360 for one in seen)


def test_an_attempt_counts_what_the_earlier_one_had_of_later_layers() -> None:
    """The server names the layers in turn again; none of them is fetched again."""
    tally = Tally(manifest(a=100, b=50))
    tally.feed(line(A, 100, 100))
    tally.feed(line(B, 50, 30))
    tally.feed(said("pulling manifest"))

    tally.feed(line(A, 100, 100))

    assert (tally.completed_bytes, tally.behind_bytes, tally.phase) == (130, 0, "downloading")
    tally.feed(line(B, 50, 31))
    assert tally.completed_bytes == 131


def test_more_bytes_than_a_layer_has_are_not_believed() -> None:
    """No bar goes over its end."""
    tally = Tally(manifest(a=100, b=50))
    tally.feed(line(A, 100, 10**12))

    assert tally.completed_bytes == 100


def test_what_was_there_before_has_not_arrived() -> None:
    """A layer of another model, or what an earlier attempt kept, is no speed."""
    tally = Tally(manifest(a=100, b=50))
    tally.feed(line(A, 100, 100))
    tally.feed(line(B, 50, 30))
    tally.feed(line(B, 50, 35))

    assert tally.arrived_bytes == 5


def test_speed_is_that_of_the_last_seconds() -> None:
    """An old burst does not flatter the figure; too little to go by gives none."""
    speed = Speed()
    speed.sample(0, 0)

    assert speed.bytes_per_second(0.1, 10) is None
    for second in range(1, 21):
        speed.sample(second, 1000 + second)
    assert speed.bytes_per_second(20, 1020) == 1
