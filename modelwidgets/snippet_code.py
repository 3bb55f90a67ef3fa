"""Ready code to use a model, for the client libraries that people use.

Made here alone: the page, the terminal and Python show the same. A token never stands in it,
because the address of a server carries none and the libraries take theirs from OLLAMA_API_KEY.
Names are quoted for Python and for the shell whatever they hold.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from textwrap import indent
from typing import Any, Literal

from modelwidgets.records import Snippet
from modelwidgets.stores.address import is_local

Kind = Literal["chat", "vision", "embedding"]

QUESTION = "Why is the sky blue?"
PICTURE_QUESTION = "What is in this picture?"
PICTURE = "picture.png"
TEXTS = ("The sky is blue.", "Grass is green.")

_KEY = "# a key in the environment variable OLLAMA_API_KEY is sent along\n"
_RUNS_NOTHING = (
    "The embedded store keeps models but runs none: start Ollama on its folder, "
    "and use the address of that."
)


def kind_of(capabilities: Sequence[str] | None, families: Sequence[str] = ()) -> Kind:
    """What the code is to show; servers that tell no capabilities tell families at least."""
    known = set(capabilities or ())
    if "embedding" in known or (not known and any("bert" in family for family in families)):
        return "embedding"
    return "vision" if "vision" in known else "chat"


def write_snippets(
    name: str, *, url: str, kind: Kind, embedded: bool = False, installed: bool = True
) -> tuple[Snippet, ...]:
    """Code that uses `name` on the server at `url`, a snippet for each library."""
    model, note = python_text(name), None
    if embedded:
        note = _RUNS_NOTHING
    elif not installed:
        note = "It is not installed: pull it first."
    key = "" if is_local(url) else _KEY

    def python(title: str, install: str, code: str) -> Snippet:
        return Snippet(title=title, language="python", install=install, code=code, note=note)

    llama_index = "embeddings" if kind == "embedding" else "llms"
    return (
        python("Ollama client", "pip install ollama", _ollama(model, url, kind, key)),
        python("OpenAI client", "pip install openai", _openai(model, url, kind)),
        python("LangChain", "pip install langchain-ollama", _langchain(model, url, kind, key)),
        python(
            "LlamaIndex",
            f"pip install llama-index-{llama_index}-ollama",
            _llama_index(model, url, kind, key),
        ),
        Snippet(
            title="curl", language="shell", install=None, code=_curl(name, url, kind), note=note
        ),
    )


def python_text(text: str) -> str:
    """A Python literal in double quotes, in which nothing is hidden."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _ollama(model: str, url: str, kind: Kind, key: str) -> str:
    start = f"from ollama import Client\n\n{key}client = Client(host={python_text(url)})\n"
    if kind == "embedding":
        return start + (
            f"answer = client.embed(model={model}, input={_python_list(TEXTS)})\n"
            "for vector in answer.embeddings:\n"
            "    print(len(vector), vector[:3])\n"
        )
    message = f'"role": "user", "content": {python_text(QUESTION)}'
    if kind == "vision":
        message = (
            f'"role": "user", "content": {python_text(PICTURE_QUESTION)}, "images": ["{PICTURE}"]'
        )
    return start + (
        "answer = client.chat(\n"
        f"    model={model},\n"
        f"    messages=[{{{message}}}],\n"
        ")\n"
        "print(answer.message.content)\n"
    )


def _openai(model: str, url: str, kind: Kind) -> str:
    imports = "import os\n\nfrom openai import OpenAI\n\n"
    if kind == "vision":
        imports = (
            "import base64\nimport os\nfrom pathlib import Path\n\nfrom openai import OpenAI\n\n"
        )
    start = imports + (
        "client = OpenAI(\n"
        f"    base_url={python_text(url + '/v1')},\n"
        '    api_key=os.environ.get("OLLAMA_API_KEY", "ollama"),  # a local server ignores it\n'
        ")\n"
    )
    if kind == "embedding":
        return start + (
            f"answer = client.embeddings.create(model={model}, input={_python_list(TEXTS)})\n"
            "for one in answer.data:\n"
            "    print(len(one.embedding), one.embedding[:3])\n"
        )
    return start + (
        _picture(kind) + "answer = client.chat.completions.create(\n"
        f"    model={model},\n"
        f'    messages=[{{"role": "user", "content": {_content(kind)}}}],\n'
        ")\n"
        "print(answer.choices[0].message.content)\n"
    )


def _langchain(model: str, url: str, kind: Kind, key: str) -> str:
    where = f"model={model}, base_url={python_text(url)}"
    if kind == "embedding":
        return (
            "from langchain_ollama import OllamaEmbeddings\n\n"
            f"{key}embeddings = OllamaEmbeddings({where})\n"
            f"for vector in embeddings.embed_documents({_python_list(TEXTS)}):\n"
            "    print(len(vector), vector[:3])\n"
        )
    imports = "from langchain_ollama import ChatOllama\n\n"
    if kind == "vision":
        imports = "import base64\nfrom pathlib import Path\n\n" + imports
    asked = python_text(QUESTION)
    if kind == "vision":
        asked = f'[{{"role": "user", "content": {_content(kind)}}}]'
    return imports + (
        f"{key}llm = ChatOllama({where})\n"
        f"{_picture(kind)}"
        f"answer = llm.invoke({asked})\n"
        "print(answer.content)\n"
    )


def _llama_index(model: str, url: str, kind: Kind, key: str) -> str:
    address = f"base_url={python_text(url)}"
    if kind == "embedding":
        return (
            "from llama_index.embeddings.ollama import OllamaEmbedding\n\n"
            f"{key}embeddings = OllamaEmbedding(model_name={model}, {address})\n"
            f"for vector in embeddings.get_text_embedding_batch({_python_list(TEXTS)}):\n"
            "    print(len(vector), vector[:3])\n"
        )
    llm = (
        f"{key}llm = Ollama(\n"
        f"    model={model},\n"
        f"    {address},\n"
        "    context_window=8192,  # else the longest of the model, which takes much memory\n"
        "    request_timeout=300,\n"
        ")\n"
    )
    if kind == "chat":
        return (
            "from llama_index.llms.ollama import Ollama\n\n"
            f"{llm}print(llm.complete({python_text(QUESTION)}))\n"
        )
    return (
        "from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock\n"
        "from llama_index.llms.ollama import Ollama\n\n"
        f"{llm}"
        f"question = TextBlock(text={python_text(PICTURE_QUESTION)})\n"
        f'picture = ImageBlock(path="{PICTURE}")\n'
        'print(llm.chat([ChatMessage(role="user", blocks=[question, picture])]).message.content)\n'
    )


def _curl(name: str, url: str, kind: Kind) -> str:
    key = "" if is_local(url) else ' -H "Authorization: Bearer $OLLAMA_API_KEY"'
    command = (
        f"curl {shlex.quote(url + ('/api/embed' if kind == 'embedding' else '/api/chat'))}{key}"
    )
    if kind == "embedding":
        body = json.dumps({"model": name, "input": list(TEXTS)})
        return f"{command} -d {shlex.quote(body)}\n"
    if kind == "chat":
        body = _chat_body(name, {"role": "user", "content": QUESTION})
        return f"{command} -d {shlex.quote(body)}\n"
    mark = "PICTURE"
    message = {"role": "user", "content": PICTURE_QUESTION, "images": [mark]}
    before, after = _chat_body(name, message).rsplit(mark, 1)
    return (
        f"{{ printf %s {shlex.quote(before)}\n"
        f"  base64 < {PICTURE} | tr -d '\\n'\n"
        f"  printf %s {shlex.quote(after)}\n"
        f"}} | {command} --data-binary @-\n"
    )


def _chat_body(name: str, message: dict[str, Any]) -> str:
    return json.dumps({"model": name, "stream": False, "messages": [message]})


def _picture(kind: Kind) -> str:
    if kind != "vision":
        return ""
    return f'picture = base64.b64encode(Path("{PICTURE}").read_bytes()).decode()\n'


def _content(kind: Kind) -> str:
    """The content of a message, as OpenAI's clients and LangChain want it."""
    if kind != "vision":
        return python_text(QUESTION)
    parts = (
        f'{{"type": "text", "text": {python_text(PICTURE_QUESTION)}}},\n'
        '{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},\n'
    )
    return f"[\n{indent(parts, ' ' * 8)}    ]"


def _python_list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(python_text, texts)) + "]"
