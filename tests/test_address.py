"""Where a server is: OLLAMA_HOST and what people type."""

from __future__ import annotations

import pytest

from modelwidgets.errors import BadAddressError, OllamaError
from modelwidgets.stores.ollama import OllamaClient, base_url, is_local


@pytest.mark.parametrize(
    ("ollama_host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("box:", "http://box:11434"),
        ("Box:8080", "http://box:8080"),
        ("http://box", "http://box:80"),
        ("HTTP://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box/ollama", "https://box:443/ollama"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("box/deep/er", "http://box:11434/deep/er"),
        ("ollama.com", "https://ollama.com:443"),
        ("::", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("http://[2001:db8::5]", "http://[2001:db8::5]:80"),
        ('  "box:1234"  ', "http://box:1234"),
        ("'http://127.0.0.1:11434/'", "http://127.0.0.1:11434"),
        ("http://user:secret@box:1", "http://box:1"),
        ("my_box.local.", "http://my_box.local.:11434"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(
    ollama_host: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument and the environment give the same URL; bind addresses become loopback."""
    monkeypatch.setenv("OLLAMA_HOST", ollama_host)

    assert base_url(ollama_host) == url
    assert base_url(None) == url
    assert OllamaClient().url == url
    assert OllamaClient(url).url == url


def test_without_ollama_host_the_default_is_asked() -> None:
    """An unset variable means the usual port on this machine."""
    assert base_url(None) == "http://127.0.0.1:11434"


@pytest.mark.parametrize(
    ("ollama_host", "url"),
    [
        ("box:99999", "http://box:11434"),
        ("box:0", "http://box:11434"),
        ("box:-1", "http://box:11434"),
        ("http://box:port", "http://box:80"),
        ("https://[::1]:x", "https://[::1]:443"),
    ],
)
def test_a_bad_port_in_the_environment_is_warned_of_and_typed_it_is_refused(
    ollama_host: str, url: str
) -> None:
    """Ollama takes the default for a bad port, so we do too, aloud; a typed address is exact."""
    with pytest.warns(UserWarning, match="port of OLLAMA_HOST"):
        read = base_url(ollama_host)
    with pytest.raises(BadAddressError, match="the port is not a number from 1 to 65535"):
        OllamaClient(ollama_host)

    assert read == url


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("ftp://box", "scheme"),
        ("http//box:1", "scheme"),
        ("https:/box", "scheme"),
        ("http://box:1/a b", "path"),
        ("http://bo x", "host"),
        ("http://box..example", "host"),
        ("http://" + "x" * 64, "host"),
        ("http://" + "x." * 130, "host"),
        ("http://box/api?x=1", "query"),
        ("http://box/#top", "fragment"),
        ("http://[::zz]:1", "IPv6"),
        ("[fe80::1%eth0]:1", "zone"),
        ("[::1]x", "follows the `]`"),
        ("http://\ufb01le.example:1", "host"),
        ("a" * 3000, "longer than"),
        ("http://user:pa/ss@box", "login"),
        ("http://a@b@box", "login"),
    ],
)
def test_a_bad_address_is_refused_by_the_part_that_is_wrong(typed: str, part: str) -> None:
    """The error names the part, shows how to write it, and is short."""
    with pytest.raises(BadAddressError) as caught:
        OllamaClient(typed)

    text = str(caught.value)
    assert part in text
    assert "http://127.0.0.1:11434" in text
    assert text.isprintable()
    assert len(text) < 300
    assert isinstance(caught.value, OllamaError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "typed",
    [
        "http://user:s3cret@box:nine",
        "http://user:s3cret@bo x:1",
        "http://user:s3/cret@box",
        "ftp://user:s3cret@box",
        "user:s3cret@bo x",
        "http://box:1/?token=s3cret",
        "http://user:s3cret@[::zz]:1",
    ],
)
def test_no_login_is_repeated_in_an_error(typed: str) -> None:
    """What may be a password or a token is left out of the message."""
    with pytest.raises(BadAddressError) as caught:
        OllamaClient(typed)

    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://127.9.9.9:1", True),
        ("http://localhost:11434/ollama", True),
        ("http://ollama.localhost:80", True),
        ("http://[::1]:11434", True),
        ("http://[::ffff:127.0.0.1]:11434", True),
        ("https://localhost:443", True),
        ("http://box:11434", False),
        ("http://192.168.0.2:11434", False),
        ("http://localhost.example.org:80", False),
        ("http://127.0.0.1.example.org:80", False),
        ("http://[2001:db8::1]:80", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, local: bool) -> None:
    """Only a loopback address is this machine; a name that looks like one is not."""
    assert is_local(url) is local
