"""What a model can do, as a server concludes it from header, config and template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from modelwidgets.gguf import GgufHeader
from modelwidgets.stores import go_template

_PARSERS_WITHOUT_TOOLS = frozenset({"passthrough", "olmo3-think"})
_PARSERS_THAT_THINK = frozenset(
    "qwen3-thinking qwen3.5 ornith qwen3-vl-thinking harmony cogito deepseek3 olmo3-think "
    "nemotron-3-nano nemotron-3.5-nano glm-4.7 gemma4 lfm2-thinking laguna poolside-v1 cohere "
    "glimmer".split()
)
_PARSERS_THAT_DO_NOT = frozenset(
    "qwen3 qwen3-coder qwen3-vl-instruct ministral passthrough olmo3 functiongemma "
    "gemma4-no-thinking glm-ocr lfm2".split()
)
_HARMONY_FAMILIES = ("gptoss", "gpt-oss")
_TOOL_ANSWERS = (
    "tool_response",
    "tool_results",
    "role'] == 'tool'",
    "role'] == \"tool\"",
    "role\"] == 'tool'",
    'role"] == "tool"',
    "message.role == 'tool'",
    'message.role == "tool"',
    "ipython",
)


def listed(config: dict[str, Any], header: GgufHeader | None, template: str, projectors: int) -> list[str]:
    ...
