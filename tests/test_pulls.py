"""The queue of pulls: order, stop, resume, and the one end of each."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelwidgets.errors import (
    InvalidNameError,
    NotEnoughSpaceError,
    PullFailedError,
    PullStoppedError,
)
from modelwidgets.one_pull import Outlook, Pull
from modelwidgets.pulls import Pulls
from modelwidgets.records import Layer, Manifest, PullPlan
from tests.scripted import ManualClock, ScriptedServer, settle

DIGEST = "d" * 64
BLOB = f"sha256:{'a' * 64}"
MANIFEST = Manifest(
    name="m:latest",
    digest=DIGEST,
    layers=(Layer(media_type="model", digest=BLOB, size_bytes=1000),),
    total_bytes=1000,
)


class Desk:
    """A queue with a scripted server behind it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.server = ScriptedServer()
        self.client = self.server.client()
        self.ended: list[Pull] = []
        self.free_bytes: int | None = None
        self.manifest: Manifest | None = MANIFEST
        self.asked: list[tuple[str, str]] = []
        self.pulls = Pulls(
            plan=self._plan,
            changed=lambda _pull: None,
            listed=lambda: None,
            finished=self.ended.append,
            clock=self.clock,
        )

    async def _plan(self, name: str, url: str) -> Outlook:
        self.asked.append((name, url))
        plan = PullPlan(
            name=name,
            digest=DIGEST,
            total_bytes=1000,
            present_bytes=0,
            shared_bytes=0,
            partial_bytes=0,
            to_fetch_bytes=1000,
            free_bytes=self.free_bytes,
            reserve_bytes=100,
            claimed_bytes=0,
            reason=None,
        )
        return Outlook(plan=plan, manifest=self.manifest, kept={})

    def start(self, name: str, **words: Any) -> Pull:
        return self.pulls.start(name, self.client, **words)

    def layer(self, completed: int) -> None:
        self.server.streams[-1].say(
            status="pulling aaaa", digest=BLOB, total=1000, completed=completed
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.pulls.close()
    await desk.client.aclose()


async def done(desk: Desk, pull: Pull) -> None:
    desk.server.install(pull.name, DIGEST)
    desk.server.streams[-1].say(status="success")
    await desk.pulls.wait(pull)


async def test_a_pull_is_done_when_the_model_is_listed_with_the_right_digest(desk: Desk) -> None:
    """`success` alone is not believed."""
    pull = desk.start("m")
    await settle()
    desk.layer(400)
    await settle()

    assert pull.progress().completed_bytes == 400
    desk.server.install("m:latest", DIGEST)
    desk.server.streams[0].say(status="success")
    desk.server.streams[0].end()
    ended = await desk.pulls.wait(pull)

    assert (ended.state, ended.completed_bytes, ended.total_bytes) == ("done", 1000, 1000)
    assert ended.proof == f"listed with the registry's digest {DIGEST[:12]}"


async def test_success_without_the_model_in_the_list_is_a_failure(desk: Desk) -> None:
    """A server that says success and has nothing to show is not believed."""
    pull = desk.start("m")
    await settle()
    desk.server.streams[0].say(status="success")
    desk.server.streams[0].end()

    with pytest.raises(PullFailedError, match="does not list m:latest"):
        await desk.pulls.wait(pull)
    assert pull.progress().state == "failed"


async def test_a_stream_that_just_ends_is_a_failure(desk: Desk) -> None:
    """A killed server says nothing; the bar does not end as done."""
    pull = desk.start("m")
    await settle()
    desk.layer(400)
    desk.server.streams[0].end()

    with pytest.raises(PullFailedError):
        await desk.pulls.wait(pull)
    progress = pull.progress()
    assert (progress.state, progress.completed_bytes) == ("failed", 400)
    assert progress.error_kind == "PullFailedError"


async def test_two_run_and_the_others_wait_in_their_order(desk: Desk) -> None:
    """None is refused; each knows its place."""
    pulls = [desk.start(f"m{number}") for number in range(4)]
    await settle()

    assert [pull.state for pull in pulls] == ["running", "running", "queued", "queued"]
    assert [pull.progress().position for pull in pulls] == [None, None, 1, 2]
    desk.pulls.stop(pulls[0].id)
    await settle()
    assert [pull.state for pull in pulls] == ["cancelled", "running", "running", "queued"]
    assert pulls[3].progress().position == 1


async def test_two_requests_for_one_model_are_one_pull(desk: Desk) -> None:
    """However the name is spelt."""
    one = desk.start("m")
    two = desk.start("M:latest")
    await settle()

    assert one is two
    assert len(desk.server.streams) == 1


async def test_stop_closes_the_connection_and_a_new_pull_resumes(desk: Desk) -> None:
    """Also when it is asked for at once: the bar keeps its place."""
    pull = desk.start("m")
    await settle()
    desk.layer(400)
    await settle()
    desk.pulls.stop(pull.id)
    again = desk.start("m")
    await settle()

    assert again is pull
    assert desk.server.streams[0].closed
    assert len(desk.server.streams) == 2
    desk.layer(390)
    await settle()
    assert (pull.progress().completed_bytes, pull.progress().phase) == (400, "retrying")


async def test_stops_and_pulls_in_a_row_leave_one_connection(desk: Desk) -> None:
    """Each waits until all the earlier ones are closed."""
    pull = desk.start("m")
    await settle()
    may_close = desk.server.streams[0].may_close = asyncio.Event()
    for _ in range(10):
        pull.stop()
        assert desk.start("m") is pull
        await settle()

    assert len(desk.server.streams) == 1
    may_close.set()
    await settle()
    assert (pull.state, list(desk.pulls)) == ("running", [pull])
    assert [stream.closed for stream in desk.server.streams] == [True, False]


async def test_an_attempt_that_knows_less_keeps_the_bar(desk: Desk) -> None:
    """The registry cannot be asked any more, and the server goes on where it was."""
    pull = desk.start("m")
    await settle()
    desk.layer(400)
    await settle()
    pull.stop()
    desk.manifest = None
    desk.start("m")
    await settle()

    assert (pull.progress().completed_bytes, pull.progress().total_bytes) == (400, 1000)
    desk.layer(390)
    await settle()
    assert (pull.progress().completed_bytes, pull.progress().total_bytes) == (400, 1000)
    assert (pull.state, pull.phase) == ("running", "retrying")


async def test_a_pull_of_what_was_pulled_and_deleted_begins_anew(desk: Desk) -> None:
    """Its bar does not stand at the end because an earlier pull was done."""
    first = desk.start("m")
    await settle()
    await done(desk, first)
    desk.server.models = []

    again = desk.start("m")
    await settle()
    desk.layer(5)
    await settle()

    assert (again.progress().completed_bytes, again.phase) == (5, "downloading")
    assert list(desk.pulls) == [again]


async def test_one_name_on_two_servers_is_two_pulls(desk: Desk) -> None:
    """Who asks one of them again joins the pull of that one, planned for its own disk."""
    async with desk.server.client("http://127.0.0.1:1") as elsewhere:
        here = desk.start("m")
        there = desk.pulls.start("m", elsewhere)
        await settle()

        again = desk.pulls.start("M", elsewhere)
        await settle()

        assert again is there is not here
        assert [pull.state for pull in (here, there)] == ["running", "running"]
        assert desk.asked == [("m:latest", here.client.url), ("m:latest", elsewhere.url)]
        await desk.pulls.close()


async def test_while_the_list_is_asked_the_pull_is_not_done_yet(desk: Desk) -> None:
    """Done is said with its proof, not before."""
    gate = desk.server.list_gate = asyncio.Event()
    gate.set()
    pull = desk.start("m")
    await settle()
    gate.clear()
    desk.server.install("m:latest", DIGEST)
    desk.server.streams[0].say(status="success")
    await settle()

    assert (pull.state, pull.phase) == ("running", "writing")
    assert pull.progress().status == "looking whether the server lists it"
    gate.set()
    assert (await desk.pulls.wait(pull)).phase == "done"


async def test_what_was_there_before_is_no_speed(desk: Desk) -> None:
    """900 of 1000 bytes that lay in the store did not come in within a second."""
    pull = desk.start("m")
    await settle()
    for completed in (900, 910, 920):
        desk.layer(completed)
        await settle()
        await desk.clock.move(1)

    assert pull.progress().bytes_per_second == 7
    assert pull.progress().eta_seconds == 12


async def test_an_ended_pull_stays_as_it_ended(desk: Desk) -> None:
    """It does not become stalled as time goes by, and can be stopped without harm."""
    pull = desk.start("m")
    await settle()
    desk.layer(400)
    await settle()
    pull.stop()
    ended = pull.progress()
    await desk.clock.move(60)

    assert pull.progress() == ended
    desk.pulls.dismiss(pull.id)
    pull.stop()
    assert pull.state == "cancelled"


async def test_a_slow_manifest_is_no_stall(desk: Desk) -> None:
    """Also where the first line of the layer names just the bytes that were kept."""
    pull = desk.start("m")
    await settle()
    desk.layer(400)
    await settle()
    pull.stop()
    desk.start("m")
    await settle()
    desk.server.streams[-1].say(status="pulling manifest")
    await settle()
    await desk.clock.move(6)

    desk.layer(400)
    await settle()

    assert pull.phase == "downloading"


@pytest.mark.parametrize(
    ("version", "date", "proof"),
    [
        ("0.33.0", "2026-11-21T11:00:00Z", None),
        ("0.18.3", "2026-11-21T11:00:00Z", f"listed with a newer date, as {'f' * 12}"),
        ("0.18.3", "2026-11-21T09:00:00Z", None),
        ("0.0.0", "2026-11-21T11:00:00Z", f"listed with a newer date, as {'f' * 12}"),
    ],
)
async def test_an_update_counts_by_digest_or_with_old_servers_by_date(
    desk: Desk, version: str, date: str, proof: str | None
) -> None:
    """Servers before 0.19 write manifests of their own, whose digest no registry knows."""
    desk.server.version = version
    desk.server.install("m:latest", "e" * 64)
    pull = desk.start("m")
    await settle()
    desk.server.install("m:latest", "f" * 64, date)
    desk.server.streams[0].say(status="success")
    await settle()

    assert pull.progress().proof == proof
    assert pull.state == ("failed" if proof is None else "done")


async def test_a_tag_that_moved_meanwhile_is_asked_for_again(desk: Desk) -> None:
    """What the registry says now is what counts."""
    pull = desk.start("m")
    await settle()
    desk.manifest = dataclasses.replace(MANIFEST, digest="f" * 64)
    desk.server.install("m:latest", "f" * 64)
    desk.server.streams[0].say(status="success")

    ended = await desk.pulls.wait(pull)

    assert ended.proof == f"listed with the registry's digest {'f' * 12} (the tag moved)"


async def test_who_waits_for_a_stopped_pull_is_told(desk: Desk) -> None:
    """A stop by a person is no success and no crash."""
    pull = desk.start("m")
    waiting = asyncio.ensure_future(desk.pulls.wait(pull))
    await settle()
    desk.pulls.stop(pull.id)
    desk.pulls.stop(pull.id)

    with pytest.raises(PullStoppedError, match="resumes"):
        await waiting
    assert desk.ended == [pull]


async def test_a_pull_stopped_before_its_task_ran_ends_too(desk: Desk) -> None:
    """No bar is left that never ends."""
    pull = desk.start("m")
    desk.pulls.stop(pull.id)
    await settle()

    assert pull.state == "cancelled"
    assert desk.server.streams == []


async def test_what_does_not_fit_on_the_disk_is_refused_with_the_numbers(desk: Desk) -> None:
    """Before the first byte, and overridable."""
    desk.free_bytes = 900
    pull = desk.start("m")

    with pytest.raises(NotEnoughSpaceError):
        await desk.pulls.wait(pull)
    assert desk.server.asked("/api/pull") == []
    desk.start("m", force=True)
    await settle()
    assert len(desk.server.asked("/api/pull")) == 1


async def test_two_pulls_at_once_are_weighed_together(desk: Desk) -> None:
    """Each alone would fit; the second is told what the first will still take."""
    desk.free_bytes = 1800
    first = desk.start("m")
    await settle()
    desk.layer(200)
    await settle()
    other = Layer(media_type="model", digest=f"sha256:{'b' * 64}", size_bytes=1000)
    desk.manifest = dataclasses.replace(MANIFEST, name="n:latest", layers=(other,))
    second = desk.start("n")

    with pytest.raises(NotEnoughSpaceError, match="800 B of these are claimed by other pulls"):
        await desk.pulls.wait(second)
    desk.layer(1000)
    await settle()
    desk.start("n")
    await settle()
    assert (first.state, second.state) == ("running", "running")


async def test_a_layer_that_two_pulls_need_is_weighed_once(desk: Desk) -> None:
    """The server fetches it once."""
    desk.free_bytes = 1200
    desk.start("m")
    await settle()
    second = desk.start("n")
    await settle()

    assert second.state == "running"
    assert second.plan is not None
    assert second.plan.claimed_bytes == 0


async def test_bytes_that_stand_still_show_as_stalled(desk: Desk) -> None:
    """The server repeats its line and never says so."""
    pull = desk.start("m")
    await settle()
    desk.layer(400)
    await settle()
    for _ in range(5):
        await desk.clock.move(1)
        desk.layer(400)
        await settle()

    assert pull.progress().phase == "stalled"
    assert "no bytes for 5 s" in pull.progress().status
    desk.layer(401)
    await settle()
    assert pull.progress().phase == "downloading"


async def test_the_race_with_a_dying_download_is_retried_once(desk: Desk) -> None:
    """The words `context canceled` right after a stop are nobody's business but ours."""
    pull = desk.start("m")
    await settle()
    desk.server.streams[0].say(error="context canceled")
    await settle()
    await desk.clock.move(0.4)

    assert pull.state == "running"
    assert len(desk.server.streams) == 2
    desk.server.streams[1].say(error="context canceled")
    with pytest.raises(PullFailedError, match="context canceled"):
        await desk.pulls.wait(pull)


async def test_a_re_pull_of_what_is_there_is_done(desk: Desk) -> None:
    """Without a manifest to compare with, the unchanged digest is the proof."""
    desk.manifest = None
    desk.server.install("m:latest", "e" * 64)
    pull = desk.start("m")
    await settle()
    desk.server.streams[0].say(status="success")

    ended = await desk.pulls.wait(pull)

    assert ended.proof == f"listed, unchanged, as {'e' * 12}"


async def test_a_bad_name_is_refused_before_the_queue(desk: Desk) -> None:
    """Nothing is left behind."""
    with pytest.raises(InvalidNameError):
        desk.start("../x")

    assert list(desk.pulls) == []


async def test_a_finished_pull_leaves_the_list_after_an_hour(desk: Desk) -> None:
    """A failed one stays until it is dismissed."""
    done, failed = desk.start("m"), desk.start("n")
    await settle()
    desk.server.install("m:latest", DIGEST)
    desk.server.streams[0].say(status="success")
    desk.server.streams[1].say(error="file does not exist")
    await settle()
    for _ in range(3700 // 100):
        await desk.clock.move(100)

    assert [(pull.name, pull.state) for pull in desk.pulls] == [("n:latest", "failed")]
    assert done.state == "done"
    desk.pulls.dismiss(failed.id)
    assert list(desk.pulls) == []


async def test_closing_ends_every_pull_as_interrupted(desk: Desk) -> None:
    """A kernel that shuts down leaves no connection open."""
    pulls = [desk.start(f"m{number}") for number in range(3)]
    await settle()

    await desk.pulls.close()

    assert [pull.state for pull in pulls] == ["interrupted"] * 3
    assert all(stream.closed for stream in desk.server.streams)
    with pytest.raises(PullStoppedError):
        desk.start("m0")
    assert set(desk.ended) == set(pulls)
