"""What pages are told, and how often."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from modelwidgets.slices import Message, Slices


@dataclass
class Row:
    id: str
    bytes: int = 0


async def test_a_flood_of_changes_makes_at_most_ten_messages_a_second() -> None:
    """And the last state always arrives."""
    row = Row("a")
    slices = Slices({}, rows="pulls", read_rows=lambda: [row])
    got: list[Message] = []
    slices.subscribe(got.append)
    loop = asyncio.get_running_loop()
    end = loop.time() + 1
    while loop.time() < end:
        row.bytes += 1
        slices.touch("a")
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.15)

    assert 5 <= len(got) <= 12
    assert got[-1]["fields"] == {"bytes": row.bytes}


async def test_patches_carry_changed_fields_alone_and_revisions_without_a_gap() -> None:
    """So that a page knows when it has missed one."""
    row = Row("a")
    slices = Slices({"disk": None}, rows="pulls", read_rows=lambda: [row])
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.relist()
    await asyncio.sleep(0.12)
    row.bytes = 5
    slices.touch("a")
    await asyncio.sleep(0.12)

    assert got == [
        {"op": "slice", "name": "pulls", "rev": 1, "value": [{"id": "a", "bytes": 0}]},
        {"op": "patch", "name": "pulls", "rev": 2, "key": "a", "fields": {"bytes": 5}},
    ]


async def test_an_equal_value_is_not_sent_again() -> None:
    """A refresh that finds nothing new costs the page nothing."""
    slices = Slices({"disk": None}, rows="pulls", read_rows=list)
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.set("disk", 1)
    await asyncio.sleep(0.12)
    slices.set("disk", 1)
    await asyncio.sleep(0.12)

    assert len(got) == 1


async def test_many_changed_rows_go_as_one_slice() -> None:
    """Fifty patches would take five seconds."""
    rows = [Row(str(number)) for number in range(50)]
    slices = Slices({}, rows="pulls", read_rows=lambda: rows)
    got: list[Message] = []
    slices.subscribe(got.append)
    for row in rows:
        slices.touch(row.id)
    await asyncio.sleep(0.12)

    assert [message["op"] for message in got] == ["slice"]


async def test_a_page_that_cannot_be_told_keeps_nothing_from_the_others() -> None:
    """A closed connection is its own trouble, and is not hushed up."""
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, what: said.append(str(what["exception"])))
    slices = Slices({"disk": None}, rows="pulls", read_rows=list)
    got: list[Message] = []

    def broken(_message: Message) -> None:
        raise ConnectionError("gone")

    slices.subscribe(broken)
    slices.subscribe(got.append)
    slices.set("disk", 1)
    await asyncio.sleep(0.12)
    slices.set("disk", 2)
    await asyncio.sleep(0.12)
    loop.set_exception_handler(None)

    assert [message["value"] for message in got] == [1, 2]
    assert said == ["gone", "gone"]


async def test_after_the_end_nobody_is_told() -> None:
    """A kernel that ends can send no more; what is still marked then waits for no one."""
    slices = Slices({"disk": None}, rows="pulls", read_rows=list)
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.set("disk", 1)

    slices.close()
    slices.set("disk", 2)
    await asyncio.sleep(0.12)

    assert got == []
    assert slices["disk"] == 2


async def test_a_new_page_is_given_everything_and_then_only_changes() -> None:
    """A page that is reloaded needs no cell to be run again."""
    row = Row("a")
    slices = Slices({"disk": 1}, rows="pulls", read_rows=lambda: [row])
    slices.relist()
    await asyncio.sleep(0.12)
    got: list[Message] = []
    stop = slices.subscribe(got.append)
    slices.send_all(got.append)
    row.bytes = 7
    slices.touch("a")
    await asyncio.sleep(0.12)
    stop()
    slices.set("disk", 2)
    await asyncio.sleep(0.12)

    assert [(m["op"], m["name"], m["rev"]) for m in got] == [
        ("slice", "disk", 0),
        ("slice", "pulls", 1),
        ("patch", "pulls", 2),
    ]
