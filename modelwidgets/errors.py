"""What can go wrong.

    ModelWidgetsError
      InvalidNameError            (also a ValueError)
      CatalogError                a catalog file that cannot be used (also a ValueError)
        KnownEntryError           adding what the catalog or the user's own part of it has
      SearchError                 a search that cannot be read (also a ValueError)
      NotFinishedError            `.result()` where only `await` can work
      InUseError                  deleting what is in use
      NameTakenError              copying onto the name of another model
      NotEnoughSpaceError         a pull that the disk cannot hold
      StoreError                  the embedded store cannot start or go on
      TransferError               a download ended before it was complete and right
        DigestMismatchError       its bytes are not the announced ones
        TransferStoppedError      it was told to stop
      GgufError                   bytes that are no usable GGUF file
      HubError                    a model of the HuggingFace hub that cannot be sized
      UnknownDeviceError          a text that names no device (also a ValueError)
      OllamaError                 the server did not do what was asked
        BadAddressError           an address that leads to no server (also a ValueError)
        OllamaUnreachableError    nothing answers
        OllamaTimeoutError        something listens but does not answer
        NotOllamaError            something else answers
        BadAnswerError            an answer that cannot be read
        OllamaResponseError       it answered with an error of its own
          ModelNotFoundError
          PullFailedError         a pull ended without `success`
      NotAllowedError             the configuration of the Jupyter server forbids it
      NotStoppedError             another process was asked to stop a pull, and did not hear
      PullStoppedError            a person stopped the pull that was waited for
      RegistryError               a registry did not say what was asked
        RegistryUnreachableError
        RegistryRefusedError      it wants a login, or says no
        ManifestNotFoundError     it does not know the name

Every text says what happened and what to do next, in the words that a user sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwidgets.sizes import gb

if TYPE_CHECKING:  # whoever raises it has loaded it
    from modelwidgets.records import PullPlan


class ModelWidgetsError(Exception):
    """The root: whatever this package raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook the text alone is shown: it says what happened and what to do next."""
        return [f"{type(self).__name__}: {self}"]


class InvalidNameError(ModelWidgetsError, ValueError):
    """A text that cannot be the name of a model."""

    def __init__(self, name: str, why: str) -> None:
        shown = ascii(name if len(name) <= 80 else name[:77] + "...")
        super().__init__(
            f"{shown} is not a model name: {why}. Write it as `model:tag`, "
            "`namespace/model:tag` or `host/namespace/model:tag`, for example `llama3.2:3b`."
        )
        self.name = name


class CatalogError(ModelWidgetsError, ValueError):
    """A catalog file that cannot be used, an entry that cannot be kept, an unknown category."""


class KnownEntryError(CatalogError):
    """An entry was to be added for a model that the catalog has already."""

    def __init__(self, name: str, known: str, *, own: bool) -> None:
        where = "your own entries" if own else "the catalog"
        super().__init__(
            f"{name} was not added: {where} already has it, as {known}. "
            f"Search for {known} to see it."
        )
        self.name = name
        self.known = known


class SearchError(ModelWidgetsError, ValueError):
    """A search that cannot be read; it points at the place."""

    def __init__(
        self,
        query: str,
        offset: int,
        length: int,
        problem: str,
        next_step: str,
        *,
        instead: str | None = None,
        unfinished: bool = False,
    ) -> None:
        super().__init__(f"{problem} {next_step}\n{_pointed_at(query, offset, length)}")
        self.query = query
        self.offset = offset
        self.length = length
        self.problem = problem
        self.next_step = next_step
        self.instead = instead
        """What probably was to stand there."""
        self.unfinished = unfinished or offset + length == len(query)
        """Typing on may mend it."""


class NotFinishedError(ModelWidgetsError):
    """`.result()` was called where waiting would stop the very loop that does the work."""

    def __init__(self) -> None:
        super().__init__(
            "Not finished yet, and waiting here would block the kernel's loop that does the work: "
            'await it instead, or use the default loop (`loop="auto"`).'
        )


class InUseError(ModelWidgetsError):
    """A model that is in use was to be deleted."""

    def __init__(self, name: str, users: str, next_step: str = "Unload it first") -> None:
        super().__init__(
            f"{name} is in use ({users}). {next_step}, or delete it with force=True "
            "(`--force` in a terminal)."
        )
        self.name = name


class NameTakenError(ModelWidgetsError):
    """A copy would take its name from another model, which would be lost."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is another model already, which a copy would replace. "
            "Take another name, or copy with force=True."
        )
        self.name = name


class NotEnoughSpaceError(ModelWidgetsError):
    """The disk cannot hold what the pull would fetch."""

    def __init__(self, plan: PullPlan) -> None:
        to_fetch, free = plan.to_fetch_bytes or 0, plan.free_bytes or 0
        short = to_fetch + plan.reserve_bytes + plan.claimed_bytes - free
        claimed = f"{gb(plan.claimed_bytes)} of these are claimed by other pulls, "
        super().__init__(
            f"{plan.name} needs {gb(to_fetch)} more on disk, {gb(free)} are free"
            f"{', ' + claimed if plan.claimed_bytes else ' '}and "
            f"{gb(plan.reserve_bytes)} of these are kept in reserve: {gb(short)} too little. "
            "Delete a model you do not need, or pull with force=True (`--force` in a terminal)."
        )
        self.plan = plan


class StoreError(ModelWidgetsError):
    """The embedded store cannot start or cannot go on."""


class TransferError(ModelWidgetsError):
    """A download ended before it was complete and right; the cause is chained."""


class DigestMismatchError(TransferError):
    """The bytes that came are not the announced ones."""

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(
            f"The download is damaged: its SHA-256 is {got}, announced was {wanted}. "
            "It was removed; fetch it again, and if that fails too, tell whoever published it."
        )
        self.wanted = wanted
        self.got = got


class TransferStoppedError(TransferError):
    """A download was told to stop; what had arrived is kept."""

    def __init__(self) -> None:
        super().__init__("The download was stopped. Start it again: it goes on where it was.")


class GgufError(ModelWidgetsError, ValueError):
    """Bytes that are no usable GGUF file."""


class HubError(ModelWidgetsError, ValueError):
    """A model of the HuggingFace hub whose name, files or dimensions cannot be used."""


class UnknownDeviceError(ModelWidgetsError, ValueError):
    """A text that names no GPU and no size of one."""

    def __init__(self, text: str, why: str) -> None:
        shown = ascii(text if len(text) <= 80 else text[:77] + "...")
        super().__init__(
            f"{shown} names no device: {why}. "
            "Write a card, `RTX 4090`, or its memory, `24GiB`; several as `2 x 24GiB`."
        )
        self.text = text


class OllamaError(ModelWidgetsError):
    """The server did not do what was asked."""


class BadAddressError(OllamaError, ValueError):
    """An address of a server that cannot be used; a login in it is not repeated."""

    def __init__(self, shown: str, why: str) -> None:
        super().__init__(
            f"{shown} is not an address of an Ollama server: {why}. "
            "Write it as `http://host:port`, for example `http://127.0.0.1:11434`."
        )


class OllamaUnreachableError(OllamaError):
    """Nothing answers at the address."""

    def __init__(self, url: str, detail: str = "") -> None:
        because = f" ({detail})" if detail else ""
        super().__init__(
            f"No Ollama server answers at {url}{because}. Start it with `ollama serve`, "
            "or use the embedded store: `modelwidgets serve`."
        )
        self.url = url


class OllamaTimeoutError(OllamaError):
    """Something listens at the address but does not answer in time."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(
            f"The server at {url} accepts connections but gave no answer within {seconds:g} s. "
            "It may be starting or hanging: try again, or restart it."
        )
        self.url = url


class NotOllamaError(OllamaError):
    """Something answers at the address that is not an Ollama server."""

    def __init__(self, url: str, seen: str) -> None:
        super().__init__(
            f"What answers at {url} is not an Ollama server ({seen}). "
            "Check the address, or set OLLAMA_HOST to the right one."
        )
        self.url = url


class BadAnswerError(OllamaError):
    """The server's answer cannot be read."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"The answer of {url} cannot be read: {why}. "
            "Check that the address leads to Ollama itself and not to a proxy's page."
        )
        self.url = url


class OllamaResponseError(OllamaError):
    """The server answered with an error of its own; its text is kept whole."""

    def __init__(self, text: str, *, status_code: int | None = None, next_step: str = "") -> None:
        super().__init__(f"{text}\n{next_step}" if next_step else text)
        self.text = text
        self.status_code = status_code
        self.next_step = next_step


class ModelNotFoundError(OllamaResponseError):
    """The server does not have the model."""


class PullFailedError(OllamaResponseError):
    """A pull ended without the line `success`."""


class NotAllowedError(ModelWidgetsError):
    """The configuration of the Jupyter server does not let its pages do this."""


class NotStoppedError(ModelWidgetsError):
    """A pull of another process goes on, although that was asked to stop it."""


class PullStoppedError(ModelWidgetsError):
    """The pull that was waited for was stopped by a person, or its owner ended."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"The pull of {name} was {how}. Pull it again: it resumes where it was.")
        self.name = name


class RegistryError(ModelWidgetsError):
    """A registry did not say what was asked."""


class RegistryUnreachableError(RegistryError):
    """No registry answers: offline, or the host does not exist."""

    def __init__(self, host: str, detail: str) -> None:
        super().__init__(
            f"The registry {host} cannot be reached ({detail}). "
            "Check the network or the proxy settings, then try again."
        )
        self.host = host


class RegistryRefusedError(RegistryError):
    """The registry wants a login, or refuses."""


class ManifestNotFoundError(RegistryError):
    """The registry does not know the name."""

    def __init__(self, name: str, host: str) -> None:
        super().__init__(
            f"{host} has no model {name}. Check the spelling and the tag "
            "(the tags of a model stand on its page in the library)."
        )
        self.name = name


def _pointed_at(text: str, offset: int, length: int) -> str:
    """The place in one line of the text, and carets under it."""
    from modelwidgets.tables import display_width, visible  # noqa: PLC0415 - errors load nothing

    before, after = text[max(0, offset - 50) : offset], text[offset + length :]
    start = ("…" if offset > 50 else "") + visible(before)
    place = visible(text[offset : offset + min(length, 40)])
    rest = visible(after[:20]) + ("…" if len(after) > 20 else "")
    carets = "^" * max(1, display_width(place))
    return f"  {start}{place}{rest}\n  {' ' * display_width(start)}{carets}"
