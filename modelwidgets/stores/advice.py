"""What to do about the errors that an Ollama server is known to report.

The server's own words are kept whole beside these.
"""

from __future__ import annotations

import re

UNKNOWN = "Try again; if it stays, the log of the server may say more."

_NOT_FOUND = re.compile(r"""model ['"].*['"] not found""", re.DOTALL)
_FLAGS = re.DOTALL | re.IGNORECASE

_ADVICE = {
    # the first pattern that is found in the text decides, so the more telling stand first
    r"\(only the samples of ": (
        "The real registry was out of reach when the store was started: search the catalog for "
        "`samples` and pull one of those, or start the store again when the network is back."
    ),
    r"pull model manifest: file does not exist": (
        "The registry does not know this name: check the spelling and the tag."
    ),
    r"^file does not exist$": (
        "The registry lacks a layer of this model, so it was published incompletely: take "
        "another tag, or try again later."
    ),
    r"no space left on device|not enough space on the disk|disk quota exceeded": (
        "The disk of the server is full: delete models that you do not need, then pull again. "
        "What the unfinished download holds is given back at a restart of the server an hour "
        "or more later."
    ),
    r"max retries exceeded": (
        "The registry stayed away for a minute: pull again when the network is back, it "
        "resumes at the bytes that are kept."
    ),
    r"digest mismatch, file must be downloaded again": (
        "The bytes were damaged on their way and are thrown away: pull again, this layer "
        "restarts at 0. If it happens twice, look for a proxy that changes downloads."
    ),
    r"digest mismatch": ("The bytes are not those of the digest: compute it again, then upload."),
    r"^context canceled$": ("It had joined a download that was just being stopped: pull again."),
    r"manifest: 412|requires a newer version of Ollama": (
        "The model needs a newer Ollama: update the server, then pull again."
    ),
    r"first record does not look like a TLS handshake|HTTP response to HTTPS client": (
        "The registry speaks plain http: use insecure=True if you trust the way to it."
    ),
    r"realm host|manifest: 40[13]\b|unauthorized|access to the resource is denied": (
        "The registry wants a login or hides the model (private or gated): check the name, "
        "accept the model's terms there, and add the public key of the server to your "
        "account."
    ),
    r"manifest: 429\b": (
        "The registry limits how often it is asked: wait some minutes, then pull again."
    ),
    r"manifest: 400\b": (
        "The registry does not accept this tag: for hf.co check that the repository has a "
        "GGUF file of that quantization."
    ),
    r"manifest: 404\b": ("The registry does not know this name: check the spelling and the tag."),
    r"manifest: 5\d\d\b": ("The registry has trouble of its own: pull again later."),
    r"no Location header in response": (
        "This registry hands out layers without a redirect, which Ollama cannot read: use the "
        "embedded store (`modelwidgets serve`), which can."
    ),
    r"x509:|failed to verify certificate": (
        "The machine of the server does not trust the certificate of the registry: install "
        "the one of your proxy there."
    ),
    r"ollama cloud is disabled": (
        "This is a model of Ollama's cloud, which the server is told to leave alone "
        "(OLLAMA_NO_CLOUD): choose a local tag."
    ),
    r"ollama\.com.*(dial tcp|proxyconnect|i/o timeout|TLS handshake timeout)": (
        "The server has no way to Ollama's cloud: check the network of its machine."
    ),
    (
        r"dial tcp|proxyconnect|no such host|i/o timeout|TLS handshake timeout"
        r"|connection reset|network is unreachable"
    ): (
        "The server has no way to the registry: check the network of its machine, and "
        "HTTPS_PROXY in the environment of the server (not of the notebook)."
    ),
    r"requires MLX": (
        "This model needs an Ollama with MLX (Apple silicon): choose a GGUF tag of it."
    ),
    r"open .*manifests.*: no such file|couldn't retrieve manifest": (
        "The server has no model of that name: check the list of installed models."
    ),
    r"open .*blobs.*: no such file": (
        "The server lacks a file that was named: upload it first, under its digest."
    ),
    r"permission denied|read-only file system": (
        "The server may not write to its models folder: check who owns OLLAMA_MODELS."
    ),
    r"more system memory|out.of.memory|process has terminated": (
        "Not enough memory to run it: unload other models, or choose a smaller tag or context."
    ),
    r"server busy": ("Too many requests wait there: try again in a moment."),
    r"invalid duration": ("Write keep_alive as a number of seconds, or as text with a unit: 5m."),
    r"does not support": ("The model cannot do this: its capabilities stand in its details."),
    (
        r"name \".*\" is invalid|(source|destination) \".*\" is invalid"
        r"|invalid model name|model is required"
    ): ("Write the name as `model:tag`, `namespace/model:tag` or `host/namespace/model:tag`."),
}


def is_not_found(text: str) -> bool:
    """Whether the server says that it has no such model, in one of its wordings."""
    return _NOT_FOUND.match(text) is not None


def next_step(text: str) -> str:
    """What to do about an error text of the server."""
    if is_not_found(text):
        return "Check the list of installed models, or pull it first."
    for pattern, advice in _ADVICE.items():
        if re.search(pattern, text[:4000], _FLAGS):
            return advice
    return UNKNOWN


def next_step_by_status(status_code: int) -> str:
    """What to do about a refusal that came from no part of Ollama that explains itself."""
    if status_code == 403:
        return (
            "Ollama refuses so when the Host or Origin of a request is none of its own: reach it "
            "as localhost or by IP address, or allow the origin with OLLAMA_ORIGINS."
        )
    if status_code in (401, 407):
        return "A proxy in front of Ollama wants a login: put it into the address or the headers."
    if status_code in (404, 405, 501):
        return (
            "What answers there does not offer that: it may be another program than Ollama, "
            "or older than what was asked for, or the address has a path too much."
        )
    if status_code in (502, 503, 504):
        return "A proxy answers in the place of Ollama: check that Ollama runs behind it."
    return UNKNOWN
