"""What the pages of a Jupyter server may make it do."""

from __future__ import annotations

import re

import httpx
import pytest

from modelwidgets.errors import BadAddressError, NotAllowedError
from modelwidgets.policy import EVERYTHING, Policy
from modelwidgets.stores.registry import RegistryClient

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("registry.ollama.ai", True),
        ("hf.co", True),
        ("HuggingFace.co", True),
        ("cdn-lfs.hf.co", True),
        ("models.example", True),
        ("models.example:5000", False),
        ("own.example:5000", True),
        ("own.example", False),
        ("files.store.example", True),
        ("store.example", False),
        ("evilhf.co", False),
        ("hf.co.evil.example", False),
        ("127.0.0.1:8888", False),
        ("localhost", False),
        ("169.254.169.254", False),
    ],
)
def test_registries_are_those_that_are_named(host: str, allowed: bool) -> None:
    """By the whole host and its port, or below one that is named with a star."""
    policy = Policy.narrow(registries=["models.example", " Own.example:5000 ", "*.store.example"])
    if allowed:
        policy.check_registry(host)
        policy.check_request(httpx.URL(f"https://{host}/v2/"))
        return
    with pytest.raises(NotAllowedError, match=re.escape(host)):
        policy.check_registry(host)
    with pytest.raises(NotAllowedError):
        policy.check_request(httpx.URL(f"https://{host}/v2/"))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://localhost:1", True),
        ("http://[::1]:11434", True),
        ("http://gpu.example:11434", True),
        ("http://gpu.example:22", False),
        ("https://gpu.example:11434", False),
        ("http://gpu.example.evil.example:11434", False),
        ("http://169.254.169.254:80", False),
        ("http://10.0.0.1:11434", False),
    ],
)
def test_servers_are_this_machines_and_those_that_are_named(url: str, allowed: bool) -> None:
    """A name that is given without scheme and port means the usual ones."""
    policy = Policy.narrow(servers=["gpu.example"])
    if allowed:
        policy.check_server(url)
    else:
        with pytest.raises(NotAllowedError, match=r"c\.ModelWidgets\.allowed_servers"):
            policy.check_server(url)


def test_a_server_that_is_none_is_said_at_once() -> None:
    """Not when a page first asks for it."""
    with pytest.raises(BadAddressError):
        Policy.narrow(servers=["ftp://gpu.example"])


@pytest.mark.parametrize("to", ["https://10.0.0.1/blob", "https://[fd00::1]/blob"])
async def test_a_redirect_leads_no_further_than_the_name_may(to: str) -> None:
    """The registry is trusted with models, not with where this machine can reach."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"location": to})

    check = Policy.narrow().check_request
    async with RegistryClient(transport=httpx.MockTransport(answer), check=check) as client:
        with pytest.raises(NotAllowedError):
            await client.read_range("qwen3:8b", DIGEST, length=10)
    assert asked == ["registry.ollama.ai"]


async def test_a_login_is_asked_for_only_where_it_may_be() -> None:
    """The realm of a challenge is an address like any other."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        challenge = 'Bearer realm="https://login.example/token",service="x"'
        return httpx.Response(401, headers={"www-authenticate": challenge})

    check = Policy.narrow().check_request
    async with RegistryClient(transport=httpx.MockTransport(answer), check=check) as client:
        with pytest.raises(NotAllowedError, match=r"login\.example"):
            await client.manifest("qwen3:8b")
    assert asked == ["registry.ollama.ai"]


def test_in_a_kernel_everything_is_allowed() -> None:
    """The page is the user's own cell there."""
    EVERYTHING.check_server("http://10.0.0.1:11434")
    EVERYTHING.check_registry("10.0.0.1:5000")
    EVERYTHING.check_command("delete")
    assert EVERYTHING.refused_commands() == frozenset()
