"""What pages are told, and how often."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from modelwidgets.slices import Message, Slices


@dataclass
class Row:
    id: str
    bytes: int = 0
    words: str = ""


class Table:
    """Rows that count how often each is read."""

    def __init__(self, *rows: Row) -> None:
        self.rows = {row.id: row for row in rows}
        self.read: list[str] = []

    def ids(self) -> list[str]:
        return list(self.rows)

    def row(self, row_id: str) -> Row | None:
        self.read.append(row_id)
        return self.rows.get(row_id)


def slices_of(table: Table, **values: Any) -> Slices:
    return Slices(values, name="pulls", rows=table)


async def listed(got: list[Message]) -> None:
    """Until the page has been told of all rows and their order."""
    while not got or "ids" not in got[-1]:  # noqa: ASYNC110 - it comes as messages do
        await asyncio.sleep(0.05)


async def test_a_flood_of_changes_makes_at_most_ten_messages_a_second() -> None:
    """And the last state always arrives."""
    row = Row("a")
    slices = slices_of(Table(row))
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
    assert got[-1]["rows"] == {"a": {"bytes": row.bytes}}


async def test_patches_carry_changed_fields_alone_and_revisions_without_a_gap() -> None:
    """So that a page knows when it has missed one; a new row comes whole, with its place."""
    row = Row("a")
    slices = slices_of(Table(row), disk=None)
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.relist()
    await asyncio.sleep(0.12)
    row.bytes = 5
    slices.touch("a")
    await asyncio.sleep(0.12)

    whole = {"id": "a", "bytes": 0, "words": ""}
    patch = {"op": "patch", "name": "pulls"}
    assert got == [
        {**patch, "rev": 1, "rows": {"a": whole}, "ids": ["a"]},
        {**patch, "rev": 2, "rows": {"a": {"bytes": 5}}},
    ]


async def test_an_equal_value_is_not_sent_again() -> None:
    """A refresh that finds nothing new costs the page nothing."""
    slices = slices_of(Table(), disk=None)
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.set("disk", 1)
    await asyncio.sleep(0.12)
    slices.set("disk", 1)
    await asyncio.sleep(0.12)

    assert len(got) == 1


async def test_many_changed_rows_share_messages_of_one_kilobyte() -> None:
    """Fifty small changes need no fifty messages, and fifty new rows no message of fifty."""
    table = Table(*[Row(f"row-{number:08}", words="words " * 40) for number in range(50)])
    slices = slices_of(table)
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.relist()
    await asyncio.wait_for(listed(got), 10)
    came = len(got)
    for row in table.rows.values():
        row.bytes = 1
        slices.touch(row.id)
    await asyncio.sleep(0.45)

    sizes = [len(json.dumps(message)) for message in got]
    assert max(sizes) <= 1024
    assert sum(len(message["rows"]) for message in got[:came]) == 50
    assert got[came - 1]["ids"] == list(table.rows)
    assert len(got) - came <= 3


async def test_two_rows_that_come_and_go_stay_within_one_kilobyte() -> None:
    """Pulls that begin and end are no reason to send all that is known of the others."""
    table = Table(*[Row(name, words="words " * 110) for name in ("a", "b")])
    slices = slices_of(table)
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.relist()
    await asyncio.sleep(0.25)
    table.rows.pop("a")
    slices.relist()
    await asyncio.sleep(0.12)

    assert [list(message["rows"]) for message in got] == [["a"], ["b"], []]
    assert [message.get("ids") for message in got] == [None, ["a", "b"], ["b"]]
    assert max(len(json.dumps(message)) for message in got) <= 1024


async def test_only_rows_that_changed_are_read() -> None:
    """What stands still costs nothing, ten times a second."""
    table = Table(*[Row(str(number)) for number in range(100)])
    slices = slices_of(table)
    slices.relist()
    got: list[Message] = []
    slices.subscribe(got.append)
    await asyncio.wait_for(listed(got), 10)
    table.read.clear()
    slices.touch("7")
    await asyncio.sleep(0.12)

    assert table.read == ["7"]


async def test_a_row_that_went_before_it_was_sent_is_not_missed() -> None:
    """It came and went between two messages."""
    table = Table(Row("a"))
    slices = slices_of(table)
    got: list[Message] = []
    slices.subscribe(got.append)
    slices.relist()
    slices.touch("a")
    table.rows.clear()
    await asyncio.sleep(0.12)

    assert [(message["rows"], message["ids"]) for message in got] == [({}, [])]


async def test_a_page_that_cannot_be_told_keeps_nothing_from_the_others() -> None:
    """A closed connection is its own trouble, and is not hushed up."""
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, what: said.append(str(what["exception"])))
    slices = slices_of(Table(), disk=None)
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
    slices = slices_of(Table(), disk=None)
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
    slices = slices_of(Table(row), disk=1)
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


async def test_few_rows_of_many_are_sent_alone() -> None:
    """In messages of a kilobyte; a row that changes again meanwhile is sent as it is then."""
    slices = slices_of(Table(), fits={})
    got: list[Message] = []
    slices.subscribe(got.append)
    first = {f"model-{nth}": {"words": "x" * 100} for nth in range(20)}
    slices.set_rows("fits", first, first)
    last = {**first, "model-19": {"words": "y"}}
    slices.set_rows("fits", last, {"model-19": {"words": "y"}})

    while sum(len(message["rows"]) for message in got) < 20:  # noqa: ASYNC110 - as messages come
        await asyncio.sleep(0.05)

    assert {message["op"] for message in got} == {"patch"}
    assert all(len(json.dumps(message)) < 1024 for message in got)
    assert [message["rev"] for message in got] == list(range(1, len(got) + 1))
    assert {name: row for message in got for name, row in message["rows"].items()} == last


async def test_many_rows_are_sent_as_the_whole_slice() -> None:
    """Which is sooner done, and once; so is a slice that is replaced as well."""
    slices = slices_of(Table(), fits={}, disk=None)
    got: list[Message] = []
    slices.subscribe(got.append)
    rows = {f"model-{nth}": nth for nth in range(101)}
    slices.set_rows("fits", rows, rows)
    slices.set("disk", 1)
    slices.set_rows("disk", 2, {"a": 2})
    await asyncio.sleep(0.25)

    assert [(message["op"], message["name"]) for message in got] == [
        ("slice", "fits"),
        ("slice", "disk"),
    ]
    assert [message["value"] for message in got] == [rows, 2]
