"""The bar of every recorded pull, line by line at the recorded times, on a clock moved by hand."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from modelwidgets import names
from modelwidgets.one_pull import Outlook
from modelwidgets.pulls import Pulls
from modelwidgets.records import Layer, Manifest, PullPlan, PullProgress
from tests.recordings import Exchange, exchanges, files
from tests.scripted import ManualClock, ScriptedServer, settle

DIGEST = "d" * 64
APART = {"pull-two-clients-one-cancels", "pull-two-different-models-at-once"}
"""Recordings of several clients at once; in the others, a client pulls again what it had pulled."""

WHOLE = "manifest downloading verifying writing done"
REPEATED = "manifest retrying downloading verifying writing done"
STOPPED = ("cancelled", "manifest downloading", "")
DONE = ("done", WHOLE, "")
DONE_AGAIN = ("done", REPEATED, "")
DAMAGED = ("failed", "manifest downloading verifying", "digest mismatch, file must be downloaded")
FULL = "write $OLLAMA_MODELS/blobs/sha256-"


def refused(text: str) -> list[tuple[str, str, str]]:
    return [("failed", "manifest", text)]


STORIES: dict[str, list[tuple[str, str, str]]] = {
    "delete-during-pull m12": [DONE],
    "pull-already-present multi": [DONE],
    "pull-cancel-then-immediate-repull m12": [STOPPED, STOPPED, STOPPED, STOPPED, DONE],
    "pull-cancel-then-resume m12": [STOPPED, DONE],
    "pull-digest-mismatch m12": [DAMAGED, DONE_AGAIN],
    "pull-disk-full m12": [
        ("failed", "manifest downloading", FULL),
        ("failed", "manifest retrying", FULL),
    ],
    "pull-disk-full tiny": refused(FULL),
    "pull-four-parts-cancel-resume m300": [STOPPED, DONE],
    "pull-layer-missing-in-registry multi": refused("file does not exist"),
    "pull-missing-manifest nosuch": refused("pull model manifest: file does not exist"),
    "pull-missing-manifest tiny": refused("pull model manifest: file does not exist"),
    "pull-registry-401 tiny": refused('pull model manifest: realm host "" does not match'),
    "pull-registry-429 tiny": refused('pull model manifest: 429: {"errors"'),
    "pull-registry-503 tiny": refused('pull model manifest: 503: {"errors"'),
    "pull-registry-down-8s-then-back m12": [
        ("done", "manifest downloading stalled downloading verifying writing done", "")
    ],
    "pull-registry-gone-max-retries m12": [
        ("failed", "manifest downloading stalled downloading", "max retries exceeded: Get "),
        DONE,
    ],
    "pull-registry-refused nosuchmodel": refused('pull model manifest: Get "https://registry.'),
    "pull-registry-refused repo": refused('pull model manifest: Get "https://hf.co/v2/some'),
    "pull-registry-refused tiny": refused('pull model manifest: Get "https://127.0.0.1:25000'),
    "pull-registry-refused x": refused('pull model manifest: Get "http://127.0.0.1:25999'),
    "pull-registry-without-redirect tiny": refused("http: no Location header in response"),
    "pull-resume-where-range-is-ignored m12": [STOPPED, DAMAGED],
    "pull-server-restart-sigkill m12": [
        ("failed", "manifest downloading", "The server ended the answer before it was done."),
        DONE_AGAIN,
    ],
    "pull-shared-layer-second-model m12": [DONE],
    "pull-slow-client-reader m12": [DONE],
    "pull-slow-manifest tiny": [
        ("done", "manifest verifying writing done", ""),
        ("cancelled", "manifest", ""),
    ],
    "pull-stalled-connection-30s m12": [
        ("done", "manifest downloading stalled retrying downloading verifying writing done", "")
    ],
    "pull-success-multilayer multi": [DONE],
    "pull-two-big-layers-cancel-in-second vision": [STOPPED, DONE],
    "pull-two-clients-one-cancels A m12": [STOPPED],
    "pull-two-clients-one-cancels B m12": [DONE],
    "pull-two-different-models-at-once m12 m12": [DONE],
    "pull-two-different-models-at-once m60 m60": [STOPPED],
}
"""How each attempt ended, its phases, and how its error begins."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What was seen of one attempt, at each line and each second."""

    ended: PullProgress
    seen: list[tuple[float, PullProgress]] = field(default_factory=list)
    """With the seconds since the attempt began."""

    @property
    def phases(self) -> str:
        phases = [progress.phase for _, progress in self.seen]
        return " ".join(phase for phase, _ in itertools.groupby([*phases, self.ended.phase]))

    def first(self, phase: str) -> tuple[float, PullProgress]:
        """When and how the pull was first seen in a phase."""
        return next(moment for moment in self.seen if moment[1].phase == phase)


def stories() -> Iterator[tuple[str, list[Exchange]]]:
    """Every recorded pull that streams, by recording and model."""
    for file in files():
        if not file.startswith("pull-") and file != "delete-during-pull":
            continue
        told: dict[str, list[Exchange]] = {}
        for one in exchanges(file):
            asked = json.loads(one.asked or "{}")
            if one.path == "/api/pull" and asked.get("stream", True):
                model = names.parse(asked["model"]).model
                key = f"{file} {one.tag} {model}" if file in APART else f"{file} {model}"
                told.setdefault(key, []).append(one)
        yield from told.items()


ALL = dict(stories())


def manifest_of(recorded: Sequence[Exchange]) -> Manifest | None:
    """A manifest of the layers that the lines tell of."""
    lines = [json.loads(text) for one in recorded for text in one.texts]
    sizes = {line["digest"]: line["total"] for line in lines if "digest" in line}
    layers = tuple(
        Layer(media_type="", digest=digest, size_bytes=size) for digest, size in sizes.items()
    )
    total = sum(sizes.values())
    return Manifest(name="", digest=DIGEST, layers=layers, total_bytes=total) if layers else None


async def replayed(recorded: Sequence[Exchange]) -> list[Attempt]:
    """Pull again and again as it was recorded."""
    clock, server, manifest = ManualClock(), ScriptedServer(), manifest_of(recorded)
    name = str(names.parse(json.loads(recorded[0].asked or "")["model"]))

    async def plan(name: str, _url: str) -> Outlook:
        return Outlook(plan=_nothing_known(name), manifest=manifest, kept={})

    pulls = Pulls(
        plan=plan,
        changed=lambda _pull: None,
        listed=lambda: None,
        finished=lambda _pull: None,
        clock=clock,
    )
    attempts = []
    async with server.client() as client:
        for one in recorded:
            pull = pulls.start(name, client)
            await settle()
            seen: list[tuple[float, PullProgress]] = []
            began = one.seconds
            at = began
            for line in one.lines:
                while at < line.seconds:
                    step = min(1.0, line.seconds - at)
                    at = line.seconds if step < 1 else at + step
                    await clock.move(step)
                    seen.append((at - began, pull.progress()))
                said = json.loads(line.text)
                if said.get("status") == "success":
                    server.install(name, DIGEST)
                server.streams[-1].say(**said)
                await settle()
                if pull.state == "running":
                    seen.append((at - began, pull.progress()))
            if one.left_by_client:
                pull.stop()
            else:
                server.streams[-1].end()
            await settle()
            attempts.append(Attempt(ended=pull.progress(), seen=seen))
        await pulls.close()
    return attempts


def _nothing_known(name: str) -> PullPlan:
    return PullPlan(
        name=name,
        digest=None,
        total_bytes=None,
        present_bytes=0,
        shared_bytes=0,
        partial_bytes=0,
        to_fetch_bytes=None,
        free_bytes=None,
        reserve_bytes=0,
        claimed_bytes=0,
        reason="the disk of the server cannot be seen from here",
    )


def test_every_recorded_pull_has_its_story() -> None:
    """A new recording joins the table."""
    assert set(ALL) == set(STORIES)


@pytest.mark.parametrize("which", STORIES)
async def test_the_bar_tells_what_was_recorded(which: str) -> None:
    """It never falls, ends at the total just where the pull is done, and names each phase."""
    manifest = manifest_of(ALL[which])
    total = manifest.total_bytes if manifest else None

    attempts = await replayed(ALL[which])

    told = [(one.ended.state, one.phases) for one in attempts]
    assert told == [(state, phases) for state, phases, _ in STORIES[which]]
    for one, (state, _, error) in zip(attempts, STORIES[which], strict=True):
        assert (one.ended.error or "").startswith(error)
        assert bool(one.ended.error) == (state == "failed")
        assert bool(one.ended.proof) == (state == "done")
        if state == "done" and total is not None:
            assert one.ended.completed_bytes == total
    shown = [progress for one in attempts for _, progress in one.seen]
    # the second pull of a model that is done begins a bar of its own
    assert all(
        before.completed_bytes <= after.completed_bytes
        for before, after in itertools.pairwise(shown)
        if before.id == after.id
    )
    assert {progress.total_bytes for progress in shown} == {total}
    assert all(progress.completed_bytes <= total for progress in shown if total is not None)
    assert all(progress.phase != "done" for progress in shown)


async def test_a_connection_that_stands_still_is_told_and_then_what_is_fetched_again() -> None:
    """The server notices after 30 s, drops what it had of the part, and begins it again."""
    (one,) = await replayed(ALL["pull-stalled-connection-30s m12"])

    since, stalled = one.first("stalled")
    assert 4 < since < 6
    assert stalled.status == "no bytes for 3 s, the server keeps trying"
    assert (stalled.bytes_per_second, stalled.eta_seconds) == (None, None)
    since, retrying = one.first("retrying")
    assert 31 < since < 33
    assert retrying.status == "retrying: the server fetches 4.9 MB again"
    assert retrying.completed_bytes == stalled.completed_bytes
    back = next(progress for at, progress in one.seen if at > since and not _amiss(progress))
    assert back.completed_bytes == stalled.completed_bytes
    assert back.bytes_per_second is not None
    assert back.bytes_per_second > 900_000  # what came again has come in too


async def test_a_registry_that_goes_away_is_told_until_bytes_come_again() -> None:
    """The server's line stands still for 15 s, and goes on where it was."""
    (one,) = await replayed(ALL["pull-registry-down-8s-then-back m12"])

    since, stalled = one.first("stalled")
    assert 4 < since < 5
    until = next(at for at, progress in one.seen if at > since and not _amiss(progress))
    assert 16 < until < 17
    last = [progress for at, progress in one.seen if at < until][-1]
    assert last.status == "no bytes for 15 s, the server keeps trying"
    assert last.completed_bytes == stalled.completed_bytes


def _amiss(progress: PullProgress) -> bool:
    return progress.phase in ("stalled", "retrying")
