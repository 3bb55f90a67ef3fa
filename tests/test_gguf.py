"""GGUF headers: what real ones say, what is written and read again, what hostile ones may not do.

`data/gguf` holds the headers of two real models with their vocabulary taken out.
"""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwidgets.errors import GgufError
from modelwidgets.gguf import (
    KEPT_ARRAY_LENGTH,
    KEPT_TEXT_BYTES,
    MAX_HEADER_BYTES,
    NUMBERS,
    TENSOR_TYPES,
    VALUE_TYPES,
    GgufHeader,
    GgufTensor,
    HeaderReader,
    LongArray,
    LongText,
    read_header,
)
from modelwidgets.stores.samples import TensorData, Typed, write_gguf

HEADERS = Path(__file__).parent / "data" / "gguf"
WORDS = [f"word{number}" for number in range(KEPT_ARRAY_LENGTH + 1)]


def read(data: bytes, *, piece_bytes: int = 1 << 20, all_arrays: bool = False) -> GgufHeader | None:
    reader = HeaderReader(all_arrays=all_arrays)
    for start in range(0, len(data), piece_bytes):
        if header := reader.feed(data[start : start + piece_bytes]):
            return header
    return None


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header_bytes(*, tensors: int = 0, keys: int = 0, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


# Real headers


@pytest.mark.parametrize(
    ("name", "architecture", "parameters", "tensors", "weights_bytes"),
    [
        ("lfm2-1.2b-Q4_K_M", "lfm2", 1_170_340_608, 148, 728_509_440),
        ("phi3-mini-Q4_K_M", "phi3", 3_821_079_552, 195, 2_392_493_568),
    ],
)
def test_a_real_header_gives_the_numbers_of_its_model(
    name: str, architecture: str, parameters: int, tensors: int, weights_bytes: int
) -> None:
    """Parameters and bytes of weights are those that the model is known for."""
    path = HEADERS / f"{name}.head"

    header = read_header(path)

    assert header.architecture == architecture
    assert header.parameter_count == parameters
    assert len(header.tensors) == tensors
    assert sum(tensor.size_bytes or 0 for tensor in header.tensors) == weights_bytes
    assert header.data_offset == path.stat().st_size
    last = header.tensors[-1]
    assert last.offset + (last.size_bytes or 0) == weights_bytes


def test_arrays_of_one_value_a_layer_are_kept() -> None:
    """The values that differ from layer to layer are there for the fit check."""
    header = read_header(HEADERS / "lfm2-1.2b-Q4_K_M.head")

    heads = header.metadata["lfm2.attention.head_count_kv"]

    assert heads == [0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0]


# Written and read again

ORDERS: list[Literal["little", "big"]] = ["little", "big"]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def _numbers(type_name: str) -> st.SearchStrategy[Any]:
    if type_name == "bool":
        return st.booleans()
    if type_name.startswith("float"):
        return st.floats(width=32 if type_name == "float32" else 64, allow_nan=False)
    bits = int(type_name.removeprefix("u").removeprefix("int"))
    if type_name.startswith("u"):
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


SINGLE = {VALUE_TYPES[number]: _numbers(VALUE_TYPES[number]) for number in NUMBERS} | {
    "string": TEXTS
}
VALUES = st.sampled_from(sorted(SINGLE)).flatmap(
    lambda name: st.builds(
        Typed, st.just(name), st.one_of(SINGLE[name], st.lists(SINGLE[name], max_size=8))
    )
)
SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@st.composite
def some_tensors(draw: st.DrawFn) -> list[TensorData]:
    names = draw(
        st.lists(
            st.text(st.characters(codec="ascii"), min_size=1, max_size=64), unique=True, max_size=5
        )
    )
    made = []
    for name in names:
        kind = TENSOR_TYPES[draw(st.sampled_from(sorted(TENSOR_TYPES)))]
        first, *others = draw(SHAPES)
        shape = (first * kind.block_elements, *others)
        size = GgufTensor(name=name, type=kind.name, shape=shape, offset=0).size_bytes
        made.append(TensorData(name=name, type=kind.name, shape=shape, data=bytes(size or 0)))
    return made


@settings(max_examples=100, deadline=None)
@given(
    metadata=st.dictionaries(KEYS, VALUES, max_size=6),
    tensors=some_tensors(),
    version=st.sampled_from([2, 3]),
    byte_order=st.sampled_from(ORDERS),
    piece_bytes=st.sampled_from([1, 13, 400, 1 << 20]),
)
def test_what_is_written_is_read(
    metadata: dict[str, Typed],
    tensors: list[TensorData],
    version: int,
    byte_order: Literal["little", "big"],
    piece_bytes: int,
) -> None:
    """Every type of value and tensor survives, in both byte orders and pieces of any size."""
    metadata.pop("general.alignment", None)
    data = write_gguf(metadata, tensors, version=version, byte_order=byte_order)

    header = read(data, piece_bytes=piece_bytes)

    assert header is not None
    assert (header.version, header.byte_order) == (version, byte_order)
    assert header.metadata == {key: typed.value for key, typed in metadata.items()}
    assert list(header.metadata) == list(metadata)
    assert [(each.name, each.type, each.shape) for each in header.tensors] == [
        (each.name, each.type, each.shape) for each in tensors
    ]
    assert header.data_offset % 32 == 0
    for tensor in header.tensors:
        assert header.data_offset + tensor.offset + (tensor.size_bytes or 0) <= len(data)


@pytest.mark.parametrize("byte_order", ORDERS)
@pytest.mark.parametrize("piece_bytes", [7, 1000, 1 << 20])
@pytest.mark.parametrize("seed", range(6))
def test_jumping_over_a_vocabulary_lands_where_reading_it_does(
    seed: int, piece_bytes: int, byte_order: Literal["little", "big"]
) -> None:
    """Whatever the lengths of the words, what follows them is read as if they had been kept."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    longest = dice.choice([4, 63, 64, 90, 300])
    words = [dice.randbytes(dice.randint(0, longest)) for _ in range(dice.randint(1100, 1800))]
    words.insert(dice.randrange(len(words)), bytes(dice.choice([64, 256, 70_000])))
    metadata = {"words": Typed("string", words), "after": "the vocabulary"}
    data = write_gguf(metadata, byte_order=byte_order)

    jumped = read(data, piece_bytes=piece_bytes)
    kept = read(data, piece_bytes=piece_bytes, all_arrays=True)

    assert jumped is not None
    assert kept is not None
    assert kept.metadata["words"] == [word.decode(errors="replace") for word in words]
    assert jumped.metadata == {
        "words": LongArray(type="string", length=len(words)),
        "after": "the vocabulary",
    }
    assert jumped.data_offset == kept.data_offset == len(data)


def test_long_arrays_of_numbers_are_left_out_unless_wanted() -> None:
    """An array beyond the limit leaves its type and length, and all of it on request."""
    data = write_gguf({"kinds": Typed("int32", [1] * 5000), "after": 7})

    jumped, kept = read(data), read(data, all_arrays=True)

    assert jumped is not None
    assert kept is not None
    assert jumped.metadata == {"kinds": LongArray(type="int32", length=5000), "after": 7}
    assert kept.metadata == {"kinds": [1] * 5000, "after": 7}


def test_the_reader_asks_for_no_byte_behind_the_header() -> None:
    """A caller who fetches by range can stop as soon as the last tensor is known."""
    tensor = TensorData(name="w", type="F32", shape=(1000,), data=bytes(4000))
    data = write_gguf({"general.architecture": "llama"}, [tensor])
    table_end = data.index(b"w" + struct.pack("<I", 1)) + 1 + 4 + 8 + 4 + 8
    reader = HeaderReader()

    before = reader.feed(data[: table_end - 1])
    header = reader.feed(data[table_end - 1 : table_end])

    assert before is None
    assert header is not None
    assert header.data_offset == len(data) - 4000
    assert reader.feed(b"more") is header


# What a header says


@pytest.mark.parametrize(
    ("file_type", "label"),
    [
        (0, "F32"),
        (1, "F16"),
        (2, "Q4_0"),
        (4, "MXFP4"),
        (7, "Q8_0"),
        (14, "Q4_K_S"),
        (15, "Q4_K_M"),
        (18, "Q6_K"),
        (30, "IQ4_XS"),
        (32, "BF16"),
        (38, "MXFP4"),
        (5, "unknown"),
        (1024, "unknown"),
        ("Q4_K_M", "unknown"),
    ],
)
def test_the_file_type_becomes_the_quantization_label(file_type: Any, label: str) -> None:
    """The label is llama.cpp's, as Ollama shows it."""
    header = read(write_gguf({"general.file_type": file_type}))

    assert header is not None
    assert header.file_type == label


def test_a_header_that_says_nothing_has_words_for_that() -> None:
    """Architecture and quantization are never missing, at worst they are unknown."""
    header = read(write_gguf({}))

    assert header is not None
    assert (header.architecture, header.file_type) == ("unknown", "unknown")
    assert header.parameter_count == 0


def test_a_tensor_type_from_the_future_has_no_size() -> None:
    """A type that is not known here is named by its number, and its size is left open."""
    entry = text("w") + struct.pack("<IQIQ", 1, 100, 77, 0)

    header = read(header_bytes(tensors=1, rest=entry))

    assert header is not None
    assert header.tensors == (GgufTensor(name="w", type="type 77", shape=(100,), offset=0),)
    assert header.tensors[0].size_bytes is None
    assert header.parameter_count == 100


def test_an_alignment_of_its_own_moves_the_data() -> None:
    """`general.alignment` decides where the weights start."""
    data = write_gguf({"general.alignment": 256})

    header = read(data)

    assert header is not None
    assert header.data_offset == len(data) == 256


# Hostile and broken files

ARRAY_OF_STRINGS = struct.pack("<II", 9, 8)
HOSTILE = {
    "many tensors": (header_bytes(tensors=2**63), "announces 9223372036854775808 tensors"),
    "many keys": (header_bytes(keys=2**40), "announces 1099511627776 keys"),
    "version 1": (header_bytes(version=1), "version 1 is too old"),
    "version 9": (header_bytes(version=9), "version 9 is not known"),
    "empty key": (header_bytes(keys=1, rest=text("")), "a key has a name of 0 bytes"),
    "endless key": (header_bytes(keys=1, rest=struct.pack("<Q", 2**62)), "a key has a name of"),
    "key that is no text": (
        header_bytes(keys=1, rest=struct.pack("<Q", 2) + b"\xff\xfe"),
        "a name that is no text",
    ),
    "endless string": (
        header_bytes(keys=1, rest=text("k") + struct.pack("<IQ", 8, 2**63)),
        "longer than 32 MiB",
    ),
    "unknown type": (header_bytes(keys=1, rest=text("k") + struct.pack("<I", 13)), "type 13"),
    "endless array": (
        header_bytes(keys=1, rest=text("k") + struct.pack("<IIQ", 9, 4, 2**61)),
        "announces an array",
    ),
    "array of strings": (
        header_bytes(keys=1, rest=text("k") + ARRAY_OF_STRINGS + struct.pack("<QQ", 1, 2**64 - 9)),
        "longer than 32 MiB",
    ),
    "array of wrapping strings": (
        header_bytes(
            keys=1, rest=text("k") + ARRAY_OF_STRINGS + struct.pack("<QQ", 5000, 2**64 - 8) * 9
        ),
        "longer than 32 MiB",
    ),
    "nested arrays": (
        header_bytes(keys=1, rest=text("k") + struct.pack("<IIQ", 9, 9, 1)),
        "arrays inside an array",
    ),
    "unknown elements": (
        header_bytes(keys=1, rest=text("k") + struct.pack("<IIQ", 9, 99, 1)),
        "unknown type 99",
    ),
    "the same key": (
        header_bytes(keys=2, rest=(text("k") + struct.pack("<IB", 7, 1)) * 2),
        "comes twice",
    ),
    "many dimensions": (
        header_bytes(tensors=1, rest=text("w") + struct.pack("<I", 2**31)),
        "dimensions",
    ),
    "no dimension": (header_bytes(tensors=1, rest=text("w") + struct.pack("<I", 0)), "0 dimen"),
    "endless tensor": (
        header_bytes(tensors=1, rest=text("w") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)),
        "larger than any disk",
    ),
    "negative offset": (
        header_bytes(tensors=1, rest=text("w") + struct.pack("<IQIQ", 1, 1, 0, 2**64 - 1)),
        "larger than any disk",
    ),
    "broken rows": (
        header_bytes(tensors=1, rest=text("w") + struct.pack("<IQIQ", 1, 33, 2, 0)),
        "Q4_0 stores 32 together",
    ),
    "the same tensor": (
        header_bytes(tensors=2, rest=(text("w") + struct.pack("<IQIQ", 1, 1, 0, 0)) * 2),
        "comes twice",
    ),
    "web page": (b"<!DOCTYPE html><html>", "it is a web page"),
    "zip": (b"PK\x03\x04" + bytes(30), "a PyTorch checkpoint perhaps"),
    "old llama.cpp": (b"tjgg" + bytes(30), "old format GGJT"),
    "something": (b"\x7fELF" + bytes(30), "instead of b'GGUF'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused_before_memory_is_taken_for_it(case: str) -> None:
    """Each lie is named, and costs no more memory than the bytes that carried it."""
    data, words = HOSTILE[case]
    reader = HeaderReader()
    reader.feed(b"")
    tracemalloc.start()

    with pytest.raises(GgufError, match="Fetch it again") as refused:
        reader.feed(data)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert words in str(refused.value)
    assert peak_bytes < 300_000


@pytest.mark.parametrize(
    "alignment",
    [
        struct.pack("<II", 4, 0),
        struct.pack("<II", 4, 3),
        struct.pack("<II", 4, 2**31),
        struct.pack("<Ii", 5, -32),
        struct.pack("<If", 6, 32),
        struct.pack("<I", 8) + text("32"),
    ],
)
def test_an_impossible_alignment_is_refused(alignment: bytes) -> None:
    """The data can only start at a multiple of a power of two."""
    data = header_bytes(keys=1, rest=text("general.alignment") + alignment)

    with pytest.raises(GgufError, match=r"an alignment of .* is not possible"):
        read(data)


def test_a_header_that_never_ends_is_given_up() -> None:
    """Strings without end are followed for 32 MiB and not further."""
    word = struct.pack("<Q", 60_000) + bytes(60_000)
    reader = HeaderReader()
    reader.feed(header_bytes(keys=1, rest=text("k") + ARRAY_OF_STRINGS + struct.pack("<Q", 4000)))
    fed = 0
    while fed + len(word) < MAX_HEADER_BYTES:
        assert reader.feed(word) is None
        fed += len(word)

    with pytest.raises(GgufError, match="longer than 32 MiB"):
        reader.feed(word)


def test_a_refused_file_stays_refused() -> None:
    """Feeding on after an error cannot turn it into a header."""
    reader = HeaderReader()
    with pytest.raises(GgufError):
        reader.feed(b"nonsense")

    with pytest.raises(GgufError, match="instead of b'GGUF'"):
        reader.feed(write_gguf({}))


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    """A download that broke off inside the header says so, with the next step."""
    path = tmp_path / "model.gguf"
    path.write_bytes(write_gguf({"words": WORDS})[:-50])

    with pytest.raises(GgufError, match=r"model.gguf ends inside its GGUF header.* fetch it again"):
        read_header(path)


def number_key(number: int) -> bytes:
    return struct.pack("<Q", 5) + f"{number:05}".encode()


def keys(count: int, value: bytes) -> bytes:
    return header_bytes(keys=count, rest=b"".join(number_key(n) + value for n in range(count)))


def text_arrays(word: bytes, words: int, arrays: int) -> bytes:
    one = struct.pack("<Q", len(word)) + word
    return keys(arrays, ARRAY_OF_STRINGS + struct.pack("<Q", words) + one * words)


def endless_names(length: int, count: int) -> bytes:
    """Tensors whose names take four bytes a letter in memory."""
    return header_bytes(
        tensors=count,
        rest=b"".join(
            struct.pack("<Q", length)
            + f"{number:05}".encode()
            + b"x" * (length - 9)
            + "\U0001f600".encode()
            + struct.pack("<IQIQ", 1, 1, 0, 0)
            for number in range(count)
        ),
    )


SMILE = "\U0001f600".encode()
GREEDY = {
    "small numbers kept": lambda: keys(8_000, struct.pack("<IIQ", 9, 0, 1024) + bytes(1024)),
    "large numbers kept": lambda: keys(
        600, struct.pack("<IIQ", 9, 10, 1024) + b"\1\2\3\4\5\6\7\1" * 1024
    ),
    "short words kept": lambda: text_arrays(b"ab", 1024, 400),
    "words jumped over": lambda: text_arrays(b"", 4_000_000, 1),
    "long words jumped over": lambda: text_arrays(b"x" * 64, 450_000, 1),
    "wide texts kept": lambda: keys(
        31, struct.pack("<IQ", 8, 1 << 20) + b"x" * ((1 << 20) - 4) + SMILE
    ),
    "a text jumped over": lambda: keys(1, struct.pack("<IQ", 8, 31 << 20) + bytes(31 << 20)),
    "many keys": lambda: keys(8_192, struct.pack("<IB", 0, 1)),
    "many tensors": lambda: endless_names(255, 16_384),
    "short tensors": lambda: endless_names(10, 16_384),
}


@pytest.mark.parametrize("case", GREEDY)
def test_no_header_takes_more_than_64_mib_or_a_second(case: str) -> None:
    """Files that grow in memory are refused or jumped over, however little they hold on disk."""
    data = GREEDY[case]()

    def feed() -> None:
        with suppress(GgufError):
            HeaderReader().feed(data)

    began = time.thread_time()
    feed()
    seconds = time.thread_time() - began
    tracemalloc.start()
    feed()
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert seconds < 1
    assert peak_bytes < 64 << 20


def test_bytes_that_were_read_are_given_up() -> None:
    """A vocabulary of 30 MB passes through a reader that holds no more than a piece of it."""
    data = text_arrays(b"a word", 2_200_000, 1)
    reader = HeaderReader()
    tracemalloc.start()

    headers = [reader.feed(data[at : at + (1 << 20)]) for at in range(0, len(data), 1 << 20)]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert headers[-1] is not None
    assert headers[-1].data_offset == -(-len(data) // 32) * 32
    assert peak_bytes < 4 << 20


def test_long_texts_are_left_out_unless_wanted() -> None:
    """A tokenizer that stands in the file as one text leaves its size, and itself on request."""
    long = "x" * (KEPT_TEXT_BYTES + 1)
    data = write_gguf({"tokenizer.huggingface.json": long, "after": 7})

    jumped, kept = read(data, piece_bytes=100_000), read(data, all_arrays=True)

    assert jumped is not None
    assert kept is not None
    left_out = LongText(size_bytes=KEPT_TEXT_BYTES + 1)
    assert jumped.metadata == {"tokenizer.huggingface.json": left_out, "after": 7}
    assert kept.metadata == {"tokenizer.huggingface.json": long, "after": 7}
    assert jumped.data_offset == kept.data_offset


def test_the_dimensions_are_there_before_the_end() -> None:
    """What stands before the vocabulary is known while that is still on its way."""
    data = write_gguf({"general.architecture": "llama", "llama.block_count": 32, "words": WORDS})
    reader = HeaderReader()

    header = reader.feed(data[:2000])

    assert header is None
    assert reader.metadata == {"general.architecture": "llama", "llama.block_count": 32}


def test_ten_thousand_damaged_headers_do_no_harm() -> None:
    """Flipped, cut, doubled and overwritten bytes end in a header, a wait or a clear refusal.

    None takes a second, or more memory than its own bytes warrant.
    """
    tensor = TensorData(name="blk.0.attn_q.weight", type="Q8_0", shape=(64, 2), data=bytes(136))
    wholes = [
        write_gguf(
            {
                "general.architecture": "llama",
                "general.file_type": 15,
                "llama.block_count": 2,
                "tokenizer.ggml.tokens": WORDS[:6],
                "tokenizer.ggml.scores": [0.5] * 6,
                "tokenizer.ggml.flags": Typed("bool", [True] * (KEPT_ARRAY_LENGTH + 1)),
                "tokenizer.chat_template": "{{ messages }}",
            },
            [tensor],
            byte_order=byte_order,
            version=version,
        )
        for byte_order in ORDERS
        for version in (2, 3)
    ]
    dice = random.Random(20261121)  # noqa: S311 - no secret
    outcomes: dict[str, int] = {"header": 0, "wait": 0, "refused": 0}
    slowest = 0.0
    tracemalloc.start()

    for _ in range(10_000):
        data = bytearray(dice.choice(wholes))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data) or 1)
            match dice.randrange(5):
                case 0:
                    data[at : at + 1] = bytes([dice.randrange(256)])
                case 1:
                    del data[at : at + dice.randint(1, 9)]
                case 2:
                    data[at:at] = dice.randbytes(dice.randint(1, 9))
                case 3:
                    del data[at:]
                case _:
                    number = dice.choice([0, 255, 2**22, 2**24, 2**31, 2**63, 2**64 - 1])
                    data[at : at + 8] = struct.pack(dice.choice("<>") + "Q", number)
        began = time.thread_time()
        try:
            header = read(bytes(data), piece_bytes=dice.choice([500, 1 << 20]))
        except GgufError:
            outcomes["refused"] += 1
        else:
            outcomes["wait" if header is None else "header"] += 1
        slowest = max(slowest, time.thread_time() - began)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert all(count > 100 for count in outcomes.values()), outcomes
    assert slowest < 1
    assert peak_bytes < 1 << 20


def test_the_writer_refuses_a_tensor_of_the_wrong_size() -> None:
    """A sample cannot be written whose data and shape disagree."""
    wrong = TensorData(name="w", type="F32", shape=(2,), data=bytes(7))

    with pytest.raises(ValueError, match="w holds 7 bytes and needs 8"):
        write_gguf({}, [wrong])
