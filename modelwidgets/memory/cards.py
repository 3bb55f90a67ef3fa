"""The memory of cards as their drivers report it, for those who name a card instead of having it.

As of 2026-11. Held against totals that `nvidia-smi` printed in public logs: RTX 50, RTX 4070 Ti
and 4070 SUPER, RTX PRO 6000, H100, H200, A100, A10, L4, L40S, T4. The others, multiprocessors and
compute capabilities are as commonly known and were not held against a log. Totals lie below the
size on the box by what the driver and error correction take, and differ by a few MiB between
versions. For AMD and Intel the size on the box stands here less what amdgpu keeps (16 MiB), or as
it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelwidgets.device_records import Gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A model of a card; cards of one name that come in two sizes are two."""

    name: str
    gb: int
    """On the box."""
    memory_mib: int
    library: Literal["cuda", "rocm", "vulkan"]
    multiprocessors: int | None = None
    compute_capability: str | None = None

    @property
    def memory_bytes(self) -> int:
        return self.memory_mib << 20

    def gpu(self, index: int = 0) -> Gpu:
        """Such a card, all of its memory free."""
        return Gpu(
            index=index,
            name=self.name,
            uuid=None,
            total_bytes=self.memory_bytes,
            free_bytes=self.memory_bytes,
            unified=False,
            error=None,
            assumed=self.library != "cuda",
            library=self.library,
            multiprocessors=self.multiprocessors,
            compute_capability=self.compute_capability,
        )


# name, GB on the box, MiB as reported, multiprocessors
_NVIDIA = {
    "12.0": """
RTX 5090 32 32607 170 | RTX 5080 16 16303 84 | RTX 5070 Ti 16 16303 70 | RTX 5070 12 12227 48
RTX 5060 Ti 16 16311 36 | RTX 5060 Ti 8 8151 36 | RTX 5060 8 8151 30
RTX PRO 6000 96 97887 188
""",
    "10.0": "B200 180 183359 148",
    "9.0": "H100 80 81559 132 | H100 NVL 94 95830 132 | H200 141 143771 132 | GH200 96 97871 132",
    "8.9": """
RTX 4090 24 24564 128 | RTX 4080 SUPER 16 16376 80 | RTX 4080 16 16376 76
RTX 4070 Ti SUPER 16 16376 66 | RTX 4070 Ti 12 12282 60 | RTX 4070 SUPER 12 12282 56
RTX 4070 12 12282 46 | RTX 4060 Ti 16 16380 34 | RTX 4060 Ti 8 8188 34 | RTX 4060 8 8188 24
RTX 6000 Ada 48 49140 142 | RTX 5000 Ada 32 32760 100 | RTX 4000 Ada 20 20475 48
L40S 48 46068 142 | L40 48 46068 142 | L4 24 23034 58
""",
    "8.6": """
RTX 3090 Ti 24 24564 84 | RTX 3090 24 24576 82 | RTX 3080 Ti 12 12288 80
RTX 3080 12 12288 70 | RTX 3080 10 10240 68 | RTX 3070 Ti 8 8192 48 | RTX 3070 8 8192 46
RTX 3060 Ti 8 8192 38 | RTX 3060 12 12288 28 | RTX 3050 8 8192 20
RTX A6000 48 49140 84 | RTX A5000 24 24564 64 | RTX A4000 16 16376 48
A40 48 46068 84 | A10 24 23028 72
""",
    "8.0": "A100 80 81920 108 | A100 40 40960 108",
    "7.5": """
RTX 2080 Ti 11 11264 68 | RTX 2080 SUPER 8 8192 48 | RTX 2080 8 8192 46
RTX 2070 SUPER 8 8192 40 | RTX 2070 8 8192 36 | RTX 2060 SUPER 8 8192 34 | RTX 2060 6 6144 30
TITAN RTX 24 24576 72 | GTX 1660 Ti 6 6144 24 | GTX 1660 SUPER 6 6144 22 | GTX 1660 6 6144 22
T4 16 15360 40
""",
    "7.0": "V100 32 32768 80 | V100 16 16384 80",
    "6.1": """
GTX 1080 Ti 11 11264 28 | GTX 1080 8 8192 20 | GTX 1070 Ti 8 8192 19 | GTX 1070 8 8192 15
GTX 1060 6 6144 10
""",
    "6.0": "P100 16 16384 56",
}
_AMD = """
RX 9070 XT 16 | RX 9070 16 | RX 9060 XT 16 | RX 9060 XT 8
RX 7900 XTX 24 | RX 7900 XT 20 | RX 7900 GRE 16 | RX 7800 XT 16 | RX 7700 XT 12 | RX 7600 XT 16
RX 7600 8 | RX 6950 XT 16 | RX 6900 XT 16 | RX 6800 XT 16 | RX 6800 16 | RX 6750 XT 12
RX 6700 XT 12 | RX 6650 XT 8 | RX 6600 XT 8 | RX 6600 8 | PRO W7900 48 | PRO W7800 32
PRO W6800 32 | MI50 32 | MI100 32 | MI210 64 | MI300X 192 | MI325X 256
"""
_INTEL = "Arc A770 16 | Arc A750 8 | Arc A580 8 | Arc B580 12 | Arc B570 10 | Arc Pro B60 24"
_KEPT_BY_AMDGPU_MIB = 16


def _entries(table: str, numbers: int) -> list[tuple[str, list[int]]]:
    rows = (entry.split() for entry in table.strip().replace("\n", "|").split("|"))
    return [(" ".join(row[:-numbers]), [int(number) for number in row[-numbers:]]) for row in rows]


CARDS = (
    *(
        Card(
            name=name,
            gb=gb,
            memory_mib=mib,
            library="cuda",
            multiprocessors=multiprocessors,
            compute_capability=capability,
        )
        for capability, table in _NVIDIA.items()
        for name, (gb, mib, multiprocessors) in _entries(table, 3)
    ),
    *(
        Card(name=name, gb=gb, memory_mib=gb * 1024 - _KEPT_BY_AMDGPU_MIB, library="rocm")
        for name, (gb,) in _entries(_AMD, 1)
    ),
    *(
        Card(name=name, gb=gb, memory_mib=gb * 1024, library="vulkan")
        for name, (gb,) in _entries(_INTEL, 1)
    ),
)
"""Of a name with two sizes the larger comes first."""
