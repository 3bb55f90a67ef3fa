"""The routes of the embedded store, as a real server answers them."""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from tornado.web import HTTPError, stream_request_body

from modelwidgets import __version__
from modelwidgets.errors import GgufError, InvalidNameError, StoreError
from modelwidgets.names import ModelName
from modelwidgets.stores import embedded_create, embedded_names
from modelwidgets.stores.embedded_errors import RefusedError
from modelwidgets.stores.embedded_http import (
    ANY_MAP,
    NAMED,
    NO_CLOUD,
    Desk,
    Route,
    asked_name,
    asked_reference,
)
from modelwidgets.stores.embedded_models import NotInstalledError
from modelwidgets.stores.embedded_names import ConflictingSourceError, NoNameError
from modelwidgets.stores.embedded_registry import disk_words
from modelwidgets.stores.embedded_running import (
    Account,
    Chat,
    Elsewhere,
    Embed,
    Embeddings,
    Generate,
    Push,
    Recommendations,
    Running,
)
from modelwidgets.stores.golang import quoted
from modelwidgets.stores.ollama_files import read_manifest

VERSION = "0.33.0"
"""The version of Ollama whose answers are given here."""
MAX_BLOB_BYTES = 1 << 44


class Root(Route):
    def get(self) -> None:
        self.plain("Ollama is running", status=200, content_type="text/plain; charset=utf-8")

    head = get


class Version(Route):
    def get(self) -> None:
        self.answer({"version": VERSION})

    head = get


class Status(Route):
    def get(self) -> None:
        self.answer({"cloud": {"disabled": True, "source": "env"}})


class Identity(Route):
    """Ours alone: tells where the models lie, so that a client on this machine can look."""

    def get(self) -> None:
        self.answer(
            {
                "version": __version__,
                "folder": str(self.desk.folder.folder.absolute()),
                "sample_registry": self.desk.sample_registry,
            }
        )


class Tags(Route):
    async def get(self) -> None:
        self.answer({"models": await asyncio.to_thread(self.desk.models.rows)})

    head = get


class OpenAiModels(Route):
    async def get(self) -> None:
        rows = await asyncio.to_thread(self.desk.models.rows)
        models = [self.one(embedded_names.grammar(row["name"])) for row in rows]
        self.answer({"object": "list", "data": models or None}, content_type="application/json")

    def one(self, name: ModelName) -> dict[str, Any]:
        created = self.desk.folder.manifest_path(name).stat().st_mtime_ns // 10**9
        return {
            "id": str(name),
            "object": "model",
            "created": created,
            "owned_by": name.namespace,
        }


class Show(Route):
    async def post(self) -> None:
        fields = {**NAMED, "system": "string", "template": "string", "verbose": "bool"}
        request = self.body("api.ShowRequest", {**fields, "options": ANY_MAP})
        text = asked_name(request)
        if not text:
            raise RefusedError("model is required")
        wanted = asked_reference(text)
        details = f"{NO_CLOUD}: remote model details are unavailable"
        if wanted.source == "cloud":
            raise RefusedError(details, status=403)
        name = self.desk.folder.spelled(wanted.name)
        try:
            model = await asyncio.to_thread(self.desk.models.read, name)
            if model.config.get("remote_host"):
                raise RefusedError(details, status=403)
            self.answer(await asyncio.to_thread(self.desk.models.show, name, request))
        except NotInstalledError:
            raise RefusedError(f"model '{name}' not found", status=404) from None
        except (StoreError, GgufError, OSError) as error:
            raise RefusedError(str(error), status=500) from error


class Pull(Route):
    async def post(self) -> None:
        fields = {**NAMED, "insecure": "bool", "stream": "bool"}
        credentials = {"username": "string", "password": "string"}
        request = self.body("api.PullRequest", {**fields, **credentials})
        try:
            name = embedded_names.pulled(asked_name(request))
        except (InvalidNameError, NoNameError):
            raise RefusedError("invalid model name") from None
        except ConflictingSourceError as error:
            raise RefusedError(str(error)) from None
        lines = self.desk.puller.pull(
            self.desk.folder.spelled(name), insecure=request.get("insecure", False)
        )
        await self.follow(lines, stream=request.get("stream", True))


class Delete(Route):
    def delete(self) -> None:
        text = asked_name(self.body("api.DeleteRequest", NAMED))
        try:
            name = self.desk.folder.spelled(embedded_names.pulled(text))
        except NoNameError:
            raise RefusedError("model is required") from None
        except InvalidNameError:
            raise RefusedError(f"name {quoted(text)} is invalid") from None
        except ConflictingSourceError as error:
            raise RefusedError(str(error)) from None
        folder = self.desk.folder
        path = folder.manifest_path(name)
        if not path.is_file():
            raise RefusedError(f"model '{text}' not found", status=404)
        try:
            layers = read_manifest(name, path).layers
            folder.delete_manifest(name)
            # Not in a thread: no pull may begin to count on a layer that is being removed.
            folder.remove_unused({layer.digest for layer in layers} - self.desk.puller.needed)
        except StoreError as error:
            raise RefusedError(str(error), status=500) from error
        except OSError as error:
            raise RefusedError(disk_words(error, "remove"), status=500) from error


class Copy(Route):
    def post(self) -> None:
        request = self.body("api.CopyRequest", {"source": "string", "destination": "string"})
        source, destination = (self._name(request, field) for field in ("source", "destination"))
        try:
            self.desk.folder.copy(source, destination)
        except FileNotFoundError:
            text = quoted(request["source"])
            raise RefusedError(f"model {text} not found", status=404) from None
        except OSError as error:
            raise RefusedError(disk_words(error, "open"), status=500) from error

    def _name(self, request: dict[str, Any], field: str) -> ModelName:
        text = request.get(field, "")
        try:
            return self.desk.folder.spelled(embedded_names.grammar(text))
        except InvalidNameError:
            raise RefusedError(f"{field} {quoted(text)} is invalid") from None


class Create(Route):
    async def post(self) -> None:
        texts = ("quantize", "quantization", "from", "remote_host", "renderer", "parser")
        maps = ("files", "adapters", "draft_files")
        request = self.body(
            "api.CreateRequest",
            {
                **NAMED,
                **dict.fromkeys([*texts, "requires", "template", "system"], "string"),
                **dict.fromkeys(maps, "map[string]string"),
                **dict.fromkeys(["info", "parameters"], ANY_MAP),
                "license": "interface {}",
                "messages": "[]api.Message",
                "stream": "bool",
            },
        )
        name = embedded_create.check(request)
        creation = embedded_create.Creation(self.desk.folder, self.desk.puller, name, request)
        await self.follow(creation.run(), stream=request.get("stream", True))


@stream_request_body
class Blob(Route):
    """A file that is uploaded, kept when its bytes have the digest in the path."""

    def initialize(self, desk: Desk) -> None:
        super().initialize(desk)
        self._upload = ExitStack()
        self._sha = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._unfinished: Path | None = None
        self._failure: OSError | None = None

    def prepare(self) -> None:
        super().prepare()
        if self.request.method != "POST" or self._finished:
            return
        connection: Any = self.request.connection
        connection.set_max_body_size(MAX_BLOB_BYTES)
        if not self._path().is_file():
            self._file, self._unfinished = self._upload.enter_context(self.desk.folder.incoming())

    async def data_received(self, chunk: bytes) -> None:
        if self._file is not None and self._failure is None:
            await asyncio.to_thread(self._take, self._file, chunk)

    def head(self, digest: str) -> None:
        if not self._path().is_file():
            raise RefusedError(f"blob {quoted(digest)} not found", status=404)

    def post(self, digest: str) -> None:
        if self._file is None or self._unfinished is None:
            return
        if self._failure is not None:
            raise RefusedError(disk_words(self._failure), status=500)
        got = f"sha256:{self._sha.hexdigest()}"
        if got != digest:
            raise RefusedError(f"digest mismatch, expected {quoted(digest)}, got {quoted(got)}")
        self._file.close()
        self._unfinished.replace(self._path())
        self.set_status(HTTPStatus.CREATED)

    def on_finish(self) -> None:
        self._upload.close()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._upload.close()

    def _path(self) -> Path:
        digest = self.path_args[0]
        try:
            return self.desk.folder.blob_path(digest.replace("-", ":", 1).lower())
        except ValueError:
            raise RefusedError("invalid digest format") from None

    def _take(self, file: BinaryIO, chunk: bytes) -> None:
        try:
            file.write(chunk)
            self._sha.update(chunk)
        except OSError as error:
            name = str(self._unfinished)
            self._failure = OSError(error.errno, error.strerror, name)


class NotFound(Route):
    """Every other path; one slash too many is sent on."""

    def prepare(self) -> None:
        super().prepare()
        if self._finished:
            return
        path = self.request.path.rstrip("/")
        verb = (self.request.method or "").lower()
        known = any(re.fullmatch(one, path) and verb in dir(route) for one, route in ROUTES)
        if not known or path == self.request.path:
            raise HTTPError(404)
        self.set_header("Location", path)
        if verb == "get":
            moved = f'<a href="{path}">Moved Permanently</a>.\n\n'
            self.plain(moved, status=301, content_type="text/html; charset=utf-8")
        else:
            self.set_status(307)
            self.finish()


ROUTES: list[tuple[str, type[Route]]] = [
    (r"/", Root),
    (r"/api/version", Version),
    (r"/api/status", Status),
    (r"/api/modelwidgets", Identity),
    (r"/api/tags", Tags),
    (r"/api/ps", Running),
    (r"/api/show", Show),
    (r"/api/pull", Pull),
    (r"/api/push", Push),
    (r"/api/delete", Delete),
    (r"/api/copy", Copy),
    (r"/api/create", Create),
    (r"/api/blobs/([^/]+)", Blob),
    (r"/api/generate", Generate),
    (r"/api/chat", Chat),
    (r"/api/embed", Embed),
    (r"/api/embeddings", Embeddings),
    (r"/api/me", Account),
    (r"/api/signout", Account),
    (r"/api/experimental/model-recommendations", Recommendations),
    (r"/v1/models", OpenAiModels),
    (r"/v1/(?:chat/completions|completions|embeddings|responses|messages)", Elsewhere),
]
