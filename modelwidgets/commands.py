"""What a page may ask of a manager: the methods of its messages, and what each answers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from modelwidgets import __version__
from modelwidgets.errors import ModelWidgetsError
from modelwidgets.plain_json import as_json

if TYPE_CHECKING:
    from modelwidgets.manager import Manager
    from modelwidgets.slices import Message, Send

NEED_A_LOOK = frozenset(
    {
        "delete",
        "delete_many",
        "details",
        "fit_card",
        "plan_delete",
        "plan_delete_many",
        "plan_pull",
        "pull",
    }
)
"""Commands that need to know where the store lies, which the first look finds out."""


class UnknownCommandError(ModelWidgetsError):
    """A page asked for something that does not exist, or in a wrong form."""


async def reply(call: int, work: Awaitable[Any]) -> Message:
    """What a page is answered: the value of its call, or why there is none."""
    try:
        value = as_json(await work)
    except Exception as error:  # noqa: BLE001 - whatever it is, the page that asked shows it
        said = {"kind": type(error).__name__, "message": str(error)}
        return {"op": "reply", "id": call, "ok": False, "error": said}
    return {"op": "reply", "id": call, "ok": True, "value": value}


async def carry_out(
    manager: Manager, method: str, params: dict[str, Any], *, door: object, send: Send
) -> Any:
    """Do what a page asks; the value is what it is answered."""
    manager.policy.check_command(method)
    if method in NEED_A_LOOK:
        await manager.watch.looked.wait()
    force = params.get("force") is True
    match method, params:
        case "hello", {}:
            manager.slices.send_all(send)
            refused = sorted(manager.policy.refused_commands())
            return {"version": __version__, "viewer": manager.viewer, "refused": refused}
        case "visible", {"visible": bool(visible)}:
            return manager.seen(door, str(params.get("view") or ""), visible)
        case "refresh", {}:
            return await manager.refresh()
        case "refresh_catalog", {}:
            return await manager.refresh_catalog()
        case "details", {"name": str(name)}:
            return await manager.details(name)
        case "fit_card", {"name": str(name)}:
            return await manager.fit_card(name, whole=params.get("whole") is True)
        case "plan_pull", {"name": str(name)}:
            return await manager.plan_pull(name)
        case "pull", {"name": str(name)}:
            return manager.pull(name, force=force).progress()
        case "stop", {"id": str(pull_id)} if manager.has_pull(pull_id):
            return await manager.stop(pull_id)
        case "retry", {"id": str(pull_id)} if manager.has_pull(pull_id):
            return manager.retry(pull_id, force=force).progress()
        case "dismiss", {"id": str(pull_id)}:
            return manager.dismiss(pull_id)
        case "plan_delete", {"name": str(name)}:
            return await manager.plan_delete(name)
        case "delete", {"name": str(name)}:
            return await manager.delete(name, force=force)
        case "plan_delete_many", {"names": [*wanted]} if _texts(wanted):
            return await manager.plan_delete_many(wanted)
        case "delete_many", {"names": [*wanted], "force": [*used]} if _texts(wanted, used):
            return await manager.delete_many(wanted, force=used)
        case "dismiss_notice", {"id": str(notice_id)}:
            return manager.notices.dismiss(notice_id)
        case "connect", {"url": str(url)}:
            return await manager.connect(url)
        case "start_service", {}:
            return await manager.start_service()
        case "use_embedded", {}:
            return await manager.use_embedded_store()
        case "add_entry", {"name": str(name)}:
            return await manager.add_entry(
                name,
                description=str(params.get("description") or ""),
                category=str(params.get("category") or "chat"),
            )
        case "edit_entry", {"name": str(name)}:
            return await manager.edit_entry(
                name,
                new_name=_text(params, "new_name"),
                description=_text(params, "description"),
                category=_text(params, "category"),
            )
        case "remove_entry", {"name": str(name)}:
            return await manager.remove_entry(name)
    raise UnknownCommandError(
        f"The page asked for {method[:40]!r} in a form that this version does not know. "
        "Reload the page; if that does not help, run the cell again."
    )


def _texts(*lists: list[object]) -> bool:
    return all(isinstance(one, str) for some in lists for one in some)


def _text(params: dict[str, Any], key: str) -> str | None:
    value = params.get(key)
    return value if isinstance(value, str) else None
