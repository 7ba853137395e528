"""Replays recorded conversations with the real peer: builds each request, checks each answer, carries values between them.

The format is described in the web API chapter, §19.
"""
from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote, urlencode

from tests.web.harness import Response, multipart

_PLACE = re.compile(r"\$\{([A-Z0-9]+)(\|q)?\}")
_PATTERNS = {
    "<any>": lambda value: True,
    "<int>": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "<number>": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "<number?>": lambda value: value is None or isinstance(value, (int, float)),
    "<bool>": lambda value: isinstance(value, bool),
    "<string>": lambda value: isinstance(value, str),
    "<si>": lambda value: re.fullmatch("[a-z2-7]{26}", value) is not None,
    "<serverid>": lambda value: isinstance(value, str) and value != "",
}


class Replay:
    """The values captured so far, and what to do with one case."""

    def __init__(self) -> None:
        self.captured: dict[str, str] = {}

    def fill(self, text: str, escape: bool = False) -> str:
        """`text` with captured values in their places, escaped for a regular expression on demand."""

        def value(match: re.Match[str]) -> str:
            found = self.captured[match[1]]
            found = quote(found, safe="") if match[2] else found
            return re.escape(found) if escape else found

        return _PLACE.sub(value, text)

    def request(self, case: dict[str, Any]) -> tuple[str, str, bytes | None, dict[str, str], bool]:
        """(method, path, body, headers, chunked) of a case."""
        request = case["request"]
        headers = {name: self.fill(value) for name, value in request.get("headers", {}).items()}
        body: bytes | None = None
        if "body" in request:
            body, more = self._body(request["body"])
            headers.update(more)
        elif request["method"] in ("PUT", "POST"):
            body = b""
        return request["method"], self.fill(request["path"]), body, headers, request.get("chunked", False)

    def _body(self, body: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        if "text" in body:
            return self.fill(body["text"]).encode(), {}
        if "json" in body:
            return self.fill(json.dumps(body["json"])).encode(), {}
        if "repeat" in body:
            return body["repeat"][0].encode() * body["repeat"][1], {}
        if "base64" in body:
            return base64.b64decode(body["base64"]), {}
        if "form" in body:
            pairs = [(key, self.fill(value)) for key, value in body["form"]]
            return urlencode(pairs).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        if "multipart" in body:
            parts = [
                (
                    part["name"],
                    part.get("filename"),
                    part["repeat"][0].encode() * part["repeat"][1] if "repeat" in part else self.fill(part["value"]).encode(),
                )
                for part in body["multipart"]
            ]
            return multipart(*parts)
        raise NotImplementedError(sorted(body))

    def check(self, case: dict[str, Any], response: Response) -> None:
        """Raise AssertionError unless `response` is what the case expects; then capture from it."""
        expect = case["expect"]
        if response.status != expect["status"]:
            assert response.status in expect.get("accept_status", ()), f"{response.status}: {response.body[:300]!r}"
            return
        for name, wanted in expect.get("headers", {}).items():
            self._check_header(name, wanted, response.header(name))
        for how, wanted in expect.get("body", {}).items():
            self._check_body(how, wanted, response)
        for name, where in case.get("capture", {}).items():
            self.captured[name] = self._captured(where, response)

    def _check_header(self, name: str, wanted: str | None, found: str | None) -> None:
        if wanted is None or found is None:
            assert found is wanted, f"{name}: {found}"
        elif wanted.startswith("<re:"):
            assert re.fullmatch(self.fill(wanted[4:-1], escape=True), found), f"{name}: {found}"
        else:
            assert found == self.fill(wanted), f"{name}: {found}"

    def _check_body(self, how: str, wanted: Any, response: Response) -> None:
        text = response.body.decode("utf-8", "replace")
        if how == "equals":
            assert text == self.fill(wanted), text
        elif how == "empty":
            assert (not response.body) == wanted, text
        elif how == "length":
            assert len(response.body) == wanted, len(response.body)
        elif how == "cap":
            assert re.fullmatch(wanted, text.strip()), text
        elif how == "regex":
            assert re.fullmatch(self.fill(wanted, escape=True), text, re.DOTALL), text
        elif how == "contains":
            assert all(self.fill(piece) in text for piece in wanted), text
        elif how == "icontains":
            assert all(self.fill(piece).lower() in text.lower() for piece in wanted), text
        elif how == "not_contains":
            assert not any(self.fill(piece) in text for piece in wanted), text
        elif how == "json":
            self._match(wanted, json.loads(response.body))
        elif how == "json_lines":
            lines = [json.loads(line) for line in text.splitlines() if line]
            self._match(wanted, lines)
        else:
            raise NotImplementedError(how)

    def _match(self, template: Any, value: Any) -> None:
        if isinstance(template, str):
            self._match_text(template, value)
        elif isinstance(template, list) and template[:1] == ["<each>"]:
            for each in value:
                self._match(template[1], each)
        elif isinstance(template, list):
            assert isinstance(value, list), value
            assert len(value) == len(template), value
            for wanted, found in zip(template, value, strict=True):
                self._match(wanted, found)
        elif isinstance(template, dict):
            self._match_object(template, value)
        else:
            assert (type(value), value) == (type(template), template), f"{value!r} is not {template!r}"

    def _match_text(self, template: str, value: Any) -> None:
        if template in _PATTERNS:
            assert _PATTERNS[template](value), f"{value!r} is not {template}"
        elif template.startswith("<cap:"):
            assert value.startswith(template[5:-1]), value
        elif template.startswith("<re:"):
            assert re.fullmatch(self.fill(template[4:-1], escape=True), value), value
        else:
            assert value == self.fill(template), f"{value!r} is not {template!r}"

    def _match_object(self, template: dict[str, Any], value: Any) -> None:
        assert isinstance(value, dict), value
        named = {self.fill(name): wanted for name, wanted in template.items() if name not in ("<...>", "<*>")}
        assert named.keys() <= value.keys(), f"{sorted(named.keys() - value.keys())} are missing"
        others = value.keys() - named.keys()
        if "<*>" in template:
            for name in others:
                self._match(template["<*>"], value[name])
        else:
            assert not others or "<...>" in template, f"{sorted(others)} are too much"
        for name, wanted in named.items():
            self._match(wanted, value[name])

    def _captured(self, where: dict[str, str], response: Response) -> str:
        if where["from"] == "body":
            return response.text.strip()
        if where["from"] == "header":
            return response.header(where["name"]) or ""
        if where["from"] == "regex":
            match = re.search(where["pattern"], response.text)
            assert match is not None, where
            return match[1]
        value: Any = response.json()
        for step in where["pointer"].split("/")[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        return str(value)
