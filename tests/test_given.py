"""Devices that a person names: sizes, cards, several of them, and what is near a wrong name."""

from __future__ import annotations

import re

import pytest

from modelwidgets.device_records import Devices
from modelwidgets.errors import UnknownDeviceError
from modelwidgets.memory.cards import CARDS
from modelwidgets.memory.given import devices_from
from modelwidgets.memory.ram import Memory

MIB, GIB = 2**20, 2**30
MACHINE = Memory(
    total_bytes=64 * GIB, available_bytes=48 * GIB, swap_total_bytes=8 * GIB, swap_free_bytes=GIB
)


def given(*texts: str, ram: str | None = None) -> Devices:
    return devices_from(texts, ram=ram, machine=MACHINE)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24GiB", 24 * GIB),
        ("24 GB", 24 * GIB),
        ("24g", 24 * GIB),
        (" 24576 MiB ", 24 * GIB),
        ("11.5GiB", 23 * GIB // 2),
        ("1TB", 1024 * GIB),
    ],
)
def test_a_size_is_a_gpu(text: str, size: int) -> None:
    """The box of a card says GB and means GiB, so both are the same here."""
    (gpu,) = given(text).gpus

    assert (gpu.total_bytes, gpu.free_bytes, gpu.assumed) == (size, size, False)


@pytest.mark.parametrize(
    ("text", "mib", "multiprocessors", "library"),
    [
        ("RTX 4090", 24564, 128, "cuda"),
        ("nvidia geforce rtx4090", 24564, 128, "cuda"),
        ("4090", 24564, 128, "cuda"),
        ("A100", 81920, 108, "cuda"),
        ("NVIDIA A100-SXM4-40GB", 40960, 108, "cuda"),
        ("NVIDIA A100 80GB PCIe", 81920, 108, "cuda"),
        ("RTX 4060 Ti 8GB", 8188, 34, "cuda"),
        ("RTX 4060 Ti (16GB)", 16380, 34, "cuda"),
        ("NVIDIA H100 80GB HBM3", 81559, 132, "cuda"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, 142, "cuda"),
        ("Tesla T4", 15360, 40, "cuda"),
        ("Radeon RX 7900 XTX", 24560, None, "rocm"),
        ("Intel Arc B580", 12288, None, "vulkan"),
    ],
)
def test_a_card_has_the_memory_that_its_driver_reports(
    text: str, mib: int, multiprocessors: int | None, library: str
) -> None:
    """A card is found by any usual name; of two sizes the larger is meant unless one is named."""
    (gpu,) = given(text).gpus

    assert gpu.total_bytes == mib * MIB
    assert (gpu.multiprocessors, gpu.library) == (multiprocessors, library)


def test_several_devices_are_numbered_through() -> None:
    """A count stands before what it multiplies, and kinds may be mixed."""
    devices = given("2 x 24GiB", "RTX 3060", "2xT4", ram="128GiB")

    assert [(gpu.index, gpu.name) for gpu in devices.gpus] == [
        *((0, "GPU"), (1, "GPU"), (2, "RTX 3060"), (3, "T4")),
        (4, "T4"),
    ]
    assert (devices.ram_total_bytes, devices.ram_available_bytes) == (128 * GIB, 128 * GIB)
    assert devices.given


def test_no_device_is_an_answer() -> None:
    """A machine without a GPU has its RAM and swap."""
    devices = given()

    assert (devices.gpus, devices.reason) == ((), "no GPU was named")
    assert (devices.ram_total_bytes, devices.ram_available_bytes) == (64 * GIB, 48 * GIB)
    assert (devices.swap_total_bytes, devices.swap_free_bytes) == (8 * GIB, GIB)


def test_one_text_is_one_device() -> None:
    """`devices="24GiB"` is not read letter by letter."""
    assert len(devices_from("24GiB", machine=MACHINE).gpus) == 1


@pytest.mark.parametrize(
    ("text", "total"), [("Apple M4 Max 64GB", 48), ("M2", 48), ("M1 8GB", 16 / 3)]
)
def test_an_apple_chip_shares_its_memory(text: str, total: float) -> None:
    """An Apple GPU may use a part of the RAM, which is named or this machine's."""
    (gpu,) = given(text).gpus

    assert gpu.total_bytes == int(total * GIB)
    assert (gpu.unified, gpu.assumed, gpu.library) == (True, True, "metal")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RTX 4900", "near are RTX 4090, RTX 4080, RTX 4070, RTX 4060"),
        ("7900", "near are RX 7900 XT, PRO W7900, RX 7900 XTX, RX 7900 GRE"),
        ("RTX 4070 Ti 99GB", "that card has 12 GB"),
        ("RTX 4060 Ti 12GB", "that card has 16 GB or 8 GB"),
        ("potato", "no card that is known here"),
        ("", "empty"),
        ("0 x 24GiB", "no GPU"),
        ("65 x 24GiB", "more than 64 GPUs"),
        ("0GiB", "so much memory, or so little"),
        ("9999999TB", "so much memory, or so little"),
        ("-24GiB", "no card"),
        ("x" * 10_000, "far too long"),
        ("<script>\x1b[31m\u202e", r"'<script>\\x1b[31m\\u202e'"),
    ],
)
def test_a_wrong_name_lists_what_is_near(text: str, words: str) -> None:
    """The error says what is near, and how to write it without knowing a name."""
    with pytest.raises(UnknownDeviceError, match=re.escape(words.replace("\\\\", "\\"))) as raised:
        given(text)

    assert "24GiB" in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_wrong_size_of_the_ram() -> None:
    """The RAM is a size and nothing else."""
    with pytest.raises(UnknownDeviceError, match="a size is written like `24GiB`"):
        given("24GiB", ram="plenty")


def test_the_table_of_cards_holds_together() -> None:
    """Each card is listed once, and its driver reports about what the box says."""
    assert len({(card.name, card.gb) for card in CARDS}) == len(CARDS)
    for card in CARDS:
        assert 0.9 * card.gb * 1000**3 / MIB <= card.memory_mib <= 1.07 * card.gb * 1024, card
        assert (card.library == "cuda") == (card.multiprocessors is not None), card
