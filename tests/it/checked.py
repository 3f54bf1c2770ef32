"""The native clients of tests, with every message in both directions checked against docs/native-api.schema.json."""

from __future__ import annotations

import json
from typing import Any

from clients import Native
from harness.gateway import ROOT, Gateway
from jsonschema import Draft202012Validator, FormatChecker

SCHEMA = json.loads((ROOT / "docs" / "native-api.schema.json").read_text())
_validators: dict[str, Draft202012Validator] = {}


def fits(pointer: str, value: Any) -> Any:
    """Assert that value fits the schema at that JSON pointer, and return it."""
    if pointer not in _validators:
        schema = {"$ref": pointer, "$defs": SCHEMA["$defs"]}
        _validators[pointer] = Draft202012Validator(schema, format_checker=FormatChecker())
    errors = sorted(_validators[pointer].iter_errors(value), key=lambda e: len(e.path))
    assert not errors, (pointer, errors[0].message, str(value)[:500])
    return value


def is_request(value: Any) -> bool:
    return bool(Draft202012Validator({"$ref": "#/$defs/request", "$defs": SCHEMA["$defs"]}).is_valid(value))


class Checked(Native):
    """A connection to /v1/ws that accepts nothing that is not documented."""

    def __init__(self, gateway: Gateway, receive_buffer: int = 0) -> None:
        self._ops: dict[Any, str] = {}
        super().__init__(gateway, receive_buffer)

    def post(self, op: str, **keys: Any) -> int:
        number = super().post(op, **keys)
        self._ops[number] = op
        return number

    def text(self, message: Any) -> None:
        """Send; a message that is a dict is a valid request, for others use raw()."""
        super().text(fits("#/$defs/request", message))

    def raw(self, message: Any) -> None:
        super().text(message)

    def message(self) -> Any:
        message = super().message()
        if "event" in message:
            return fits("#/$defs/event", message)
        if not message.get("ok"):
            return fits("#/$defs/refusal", message)
        op = self._ops.get(message["id"])
        return fits(f"#/$defs/answers/$defs/{op}" if op else "#/$defs/answer", message)

    def refused(self, op: str, **keys: Any) -> tuple[str, str]:
        """Ask for what will be refused; returns code and message of the error."""
        answer = self.ask(op, **keys)
        assert not answer["ok"], answer
        return answer["error"]["code"], answer["error"]["message"]


class Rest:
    """The REST twins; bodies are checked by name."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def call(self, method: str, path: str, schema: str, body: Any = None, *, status: int = 200) -> Any:
        """One request; its answer must have that status and fit #/$defs/rest/$defs/`schema`."""
        got, answer = self.gateway.json(method, path, body)
        assert got == status, (got, answer)
        return fits(f"#/$defs/rest/$defs/{schema}", answer)

    def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and message of a refusal."""
        got, answer = self.gateway.json(method, path, body)
        assert got >= 400, (got, answer)
        fits("#/$defs/rest/$defs/error", answer)
        return got, answer["error"]["message"]  # type: ignore[index]

    def events(self, path: str, body: Any = None, method: str = "POST") -> list[dict[str, Any]]:
        """The events of an NDJSON answer, read to its end."""
        status, headers, raw = self.gateway.http(method, path, body)
        assert status == 200, raw
        assert headers["Content-Type"] == "application/x-ndjson"
        return [fits("#/$defs/event", json.loads(line)) for line in raw.splitlines()]
