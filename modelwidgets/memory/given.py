"""Devices that a person names, to ask what would fit on a machine that is not here.

    devices_from(["RTX 4090"])
    devices_from(["2 x 24GiB"], ram="64GiB")
    devices_from(["RTX 4060 Ti 16GB", "12GiB"])
    devices_from(["Apple M4 Max 64GB"])
    devices_from([])                             no GPU

Sizes of GPUs are powers of 1024 whether written GB or GiB: the box of a card says GB and means GiB.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.errors import UnknownDeviceError
from modelwidgets.memory.cards import CARDS, Card
from modelwidgets.memory.ram import Memory, limited, machine_memory, metal_share

_GIB = 2**30
_MOST_GPUS = 64
_MOST_BYTES = 1 << 44
_SIZE = r"(\d{1,7}(?:\.\d{1,3})?)\s*(MiB|GiB|TiB|MB|GB|TB|G|M)"
_COUNT = re.compile(r"(\d{1,3})\s*[x*]\s*(?=\S)", re.IGNORECASE)
_ONLY_SIZE = re.compile(_SIZE, re.IGNORECASE)
_WITH_SIZE = re.compile(rf"(.*\S)[\s,(-]+{_SIZE}\)?(\s.*)?", re.IGNORECASE)
_BRANDS = re.compile(
    r"\b(nvidia|geforce|quadro|tesla|amd|radeon|instinct|intel|graphics|gpu|generation|blackwell"
    r"|pcie|sxm\d?|hbm\d?e?)\b",
    re.IGNORECASE,
)
_APPLE = re.compile(r"(apple\b.*|m\d+( (pro|max|ultra))?)", re.IGNORECASE)
_SHOWN_NEAR = 4


def devices_from(
    texts: Iterable[str],
    *,
    ram: str | None = None,
    machine: Memory | None = None,
) -> Devices:
    """The devices that these texts name, all of their memory free.

    Without `ram` it is that of `machine`, which is this one.
    Raises `UnknownDeviceError`, naming what is near.
    """
    if isinstance(texts, str):
        texts = [texts]
    memory = limited(machine_memory()) if machine is None else machine
    if ram is not None:
        size = _size(ram)
        memory = Memory(total_bytes=size, available_bytes=size)
    gpus: list[Gpu] = []
    for text in texts:
        count, name = _counted(text)
        chip = _chip_bytes(name)
        if ram is None and chip is not None:  # it has no other memory
            memory = Memory(total_bytes=chip, available_bytes=chip)
        gpus += [_gpu(text, name, memory)] * count
        if len(gpus) > _MOST_GPUS:
            raise UnknownDeviceError(text, f"more than {_MOST_GPUS} GPUs are no one machine")
    return Devices(
        gpus=tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus)),
        driver=None,
        reason=None if gpus else "no GPU was named",
        ram_total_bytes=memory.total_bytes,
        ram_available_bytes=memory.available_bytes,
        swap_total_bytes=memory.swap_total_bytes,
        swap_free_bytes=memory.swap_free_bytes,
        given=True,
    )


def _counted(text: str) -> tuple[int, str]:
    stripped = " ".join(text.split())
    found = _COUNT.match(stripped)
    if not stripped or len(stripped) > 200:
        raise UnknownDeviceError(text, "it is empty or far too long")
    if found is None:
        return 1, stripped
    if int(found[1]) == 0:
        raise UnknownDeviceError(text, "it stands for no GPU: leave it out instead")
    return min(int(found[1]), _MOST_GPUS + 1), stripped[found.end() :]


def _gpu(text: str, name: str, machine: Memory) -> Gpu:
    if _ONLY_SIZE.fullmatch(name):
        return _of_size("GPU", _size(name))
    plain, size = _sized(name)
    if _APPLE.fullmatch(plain):
        return _apple(plain, size if size is not None else machine.total_bytes)
    named = [card for card in CARDS if _plain(plain) in _names(card)]
    cards = [card for card in named if size in (None, card.gb * _GIB, card.memory_bytes)]
    if not named:
        raise UnknownDeviceError(text, _near(plain))
    if not cards:
        sizes = " or ".join(f"{card.gb} GB" for card in named)
        raise UnknownDeviceError(text, f"that card has {sizes}")
    return cards[0].gpu()


def _chip_bytes(name: str) -> int | None:
    """All memory of a machine that is named by an Apple chip with its size."""
    plain, size = _sized(name)
    return size if _APPLE.fullmatch(plain) else None


def _sized(name: str) -> tuple[str, int | None]:
    """A name without its size, and that size where it has one."""
    found = _WITH_SIZE.fullmatch(name)
    if found is None:
        return name, None
    return f"{found[1]}{found[4] or ''}", _size(f"{found[2]}{found[3]}")


def _of_size(name: str, size: int) -> Gpu:
    return Gpu(
        index=0,
        name=name,
        uuid=None,
        total_bytes=size,
        free_bytes=size,
        unified=False,
        error=None,
        library="cuda",
    )


def _apple(name: str, ram_bytes: int) -> Gpu:
    share = metal_share(ram_bytes)
    return Gpu(
        index=0,
        name=name,
        uuid=None,
        total_bytes=share,
        free_bytes=share,
        unified=True,
        error=None,
        assumed=True,
        library="metal",
    )


def _size(text: str) -> int:
    found = _ONLY_SIZE.fullmatch(text.strip())
    if found is None:
        raise UnknownDeviceError(text, "a size is written like `24GiB`")
    power = {"M": 20, "G": 30, "T": 40}[found[2][0].upper()]
    size = int(float(found[1]) * 2**power)
    if not 0 < size <= _MOST_BYTES:
        raise UnknownDeviceError(text, "no device has so much memory, or so little")
    return size


def _plain(name: str) -> str:
    """What is left of a name without brands and spaces: `NVIDIA GeForce RTX 4090` is `rtx4090`."""
    return re.sub(r"[^a-z0-9]", "", _BRANDS.sub(" ", name).lower())


def _names(card: Card) -> tuple[str, str]:
    """With and without its series: `rtx4090` and `4090`."""
    plain = _plain(card.name)
    return plain, re.sub(r"^(rtx|gtx|rx|arc|titan)", "", plain)


def _near(name: str) -> str:
    by_plain = {_plain(card.name): card.name for card in CARDS}
    plain = _plain(name)
    near = difflib.get_close_matches(plain, by_plain, n=_SHOWN_NEAR, cutoff=0.6)
    near += [one for one in by_plain if len(plain) >= 3 and plain in one and one not in near]
    if not near:
        return "it is no card that is known here"
    return f"near are {', '.join(by_plain[one] for one in near[:_SHOWN_NEAR])}"
