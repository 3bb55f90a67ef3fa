"""What a model can do, as a server concludes it from its config, headers and prompt template.

A server has two ways to conclude it, one for the list and one for the details of a model, and they
do not always agree; both are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from modelwidgets.gguf import GgufHeader
from modelwidgets.stores import go_template

DEFAULT_TEMPLATE = "{{ .Prompt }}"
_THINKING_PARSERS = frozenset(
    {"qwen3-thinking", "qwen3.5", "ornith", "qwen3-vl-thinking", "harmony", "cogito", "deepseek3"}
    | {"olmo3-think", "nemotron-3-nano", "nemotron-3.5-nano", "glm-4.7", "gemma4", "lfm2-thinking"}
    | {"laguna", "poolside-v1", "cohere", "glimmer"}
)
_TOOL_PARSERS = (
    (_THINKING_PARSERS - {"olmo3-think"})
    | {"qwen3", "qwen3-coder", "qwen3-vl-instruct", "ministral", "olmo3", "functiongemma"}
    | {"gemma4-no-thinking", "glm-ocr", "lfm2"}
)
_HARMONY_FAMILIES = ("gptoss", "gpt-oss")
_TOOL_ANSWERS = (
    *("tool_response", "tool_results", "ipython"),
    *("role'] == 'tool'", 'role\'] == "tool"', "role\"] == 'tool'", 'role"] == "tool"'),
    *("message.role == 'tool'", 'message.role == "tool"'),
)


def listed(
    config: dict[str, Any], header: GgufHeader | None, template: str | None, *, projector: bool
) -> list[str]:
    """The words in the list of models; without the header what config and template tell."""
    found: list[str] = []
    if header is not None:
        found += [word for word in ("vision", "audio") if _has(header, f"{word}.block_count")]
        found.append("embedding" if _has(header, "pooling_type") else "completion")
    found += config.get("capabilities") or []
    places = go_template.capabilities(template or DEFAULT_TEMPLATE)
    parser = config.get("parser")
    if "tools" in places or parser in _TOOL_PARSERS:
        found.append("tools")
    if "insert" in places:
        found.append("insert")
    if "thinking" in places or parser in _THINKING_PARSERS or _harmony_family(config):
        found.append("thinking")
    return _distinct([*found, *(["vision"] if projector else [])])


def shown(
    config: dict[str, Any],
    header: GgufHeader,
    template: str | None,
    projectors: Sequence[GgufHeader],
) -> list[str]:
    """The words in the details of a model."""
    found: list[str] = list(config.get("capabilities") or [])
    if not _renders_itself(config, header, template):
        found += _of_chat_template(_chat_template(header))
    found.append("embedding" if _has(header, "pooling_type") else "completion")
    found += [word for word in ("vision", "audio") if _has(header, f"{word}.block_count")]
    found += ["vision"] if projectors else []
    found += ["audio"] if any(_hears(one) for one in projectors) else []
    if template is not None and _uses_go_template(config, header, template):
        found += go_template.capabilities(template)
    parser = config.get("parser")
    found += ["tools"] if parser in _TOOL_PARSERS else []
    if parser in _THINKING_PARSERS or _harmony_family(config):
        found.append("thinking")
    return _distinct(found)


def shown_template(config: dict[str, Any], header: GgufHeader, template: str | None) -> str:
    """The template that a server would use: the file's own, or the one in the header."""
    chat_template = _chat_template(header)
    if chat_template and not _renders_itself(config, header, template):
        return chat_template
    return DEFAULT_TEMPLATE if template is None else template


def _renders_itself(config: dict[str, Any], header: GgufHeader, template: str | None) -> bool:
    named = bool(config.get("renderer") or config.get("parser"))
    return named or _harmony(config, template) or _uses_go_template(config, header, template)


def _uses_go_template(config: dict[str, Any], header: GgufHeader, template: str | None) -> bool:
    """Whether the layer is used, and not a better template in the header."""
    chat_template = _chat_template(header)
    if template is None:
        return False
    named = config.get("renderer") or config.get("parser") or _harmony(config, template)
    if not chat_template or named:
        return True
    chat, go = set(_of_chat_template(chat_template)), set(go_template.capabilities(template))
    go_answers = go_template.has_tool_round_trip(template)
    if len(chat) > len(go):
        return go_answers and not _chat_answers(chat_template)
    better = chat == go and "tools" in go and _chat_answers(chat_template) and not go_answers
    return not better


def _of_chat_template(text: str) -> list[str]:
    found = ["tools"] if "tools" in text or "tool_call" in text else []
    splits = "content.split('</think>')" in text or 'content.split("</think>")' in text
    keeps = "reasoning_content" in text or "<SPECIAL_12>" in text
    if ("<think>" in text and "</think>" in text) or (splits and not keeps):
        found.append("thinking")
    return found


def _chat_answers(text: str) -> bool:
    calls = "tool_calls" in text or "assistant_tool_call" in text
    return calls and any(mark in text for mark in _TOOL_ANSWERS)


def _chat_template(header: GgufHeader) -> str:
    text = header.metadata.get("tokenizer.chat_template")
    return text if isinstance(text, str) else ""


def _harmony_family(config: dict[str, Any]) -> bool:
    return config.get("model_family") in _HARMONY_FAMILIES


def _harmony(config: dict[str, Any], template: str | None) -> bool:
    text = template or ""
    return _harmony_family(config) and "<|start|>" in text and "<|end|>" in text


def _has(header: GgufHeader, key: str) -> bool:
    return f"{header.architecture}.{key}" in header.metadata


def _hears(projector: GgufHeader) -> bool:
    if projector.metadata.get(f"{projector.architecture}.vision.projector_type") == "gemma3nv":
        return False
    return any(
        key.endswith(".has_audio_encoder") and value is True
        for key, value in projector.metadata.items()
    )


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word))
