"""On which line of a TOML text every key stands. tomllib checks the text and keeps no positions; this finds them."""

import re
from bisect import bisect_right
from collections.abc import Mapping

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_GAP = re.compile(r"[ \t]*")
_KEY = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'([^\'\n]*)\'|([A-Za-z0-9_-]+)')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def extend(path: str, key: str | int) -> str:
    """The path one step deeper: ``strategies[0].legs`` and 1 give ``strategies[0].legs[1]``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def lines_of_keys(text: str) -> Mapping[str, int]:
    """Line (from 1) of every key, table and array element of a text that tomllib accepts."""
    scan = _Scan(text)
    scan.document()
    return scan.lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._elements: dict[str, int] = {}

    def document(self) -> None:
        table = ""
        while self._skip(_BLANK) and self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> str:
        line = self._line()
        is_element = self._text.startswith("[[", self._at)
        self._at += 2 if is_element else 1
        *parents, last = self._keys()
        self._at += 2 if is_element else 1
        path = ""
        for parent in parents:
            path = self._current(extend(path, parent))
        path = extend(path, last)
        if is_element:
            self.lines.setdefault(path, line)
            self._elements[path] = self._elements.get(path, -1) + 1
            path = extend(path, self._elements[path])
        self.lines.setdefault(path, line)
        return path

    def _current(self, path: str) -> str:
        """Where a header names an array of tables it means its last element."""
        return extend(path, self._elements[path]) if path in self._elements else path

    def _pair(self, table: str) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = extend(path, key)
            self.lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_GAP)
            match = _KEY.match(self._text, self._at)
            if match is None:
                raise AssertionError(f"no key at {self._at} of a text that parsed")
            keys.append(next(group for group in match.groups() if group is not None))
            self._at = match.end()
            self._skip(_GAP)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _value(self, path: str) -> None:
        self._skip(_BLANK)
        opening = self._text[self._at]
        if opening in "[{":
            self._inside(path, "]" if opening == "[" else "}")
            return
        match = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
        if match is None:
            raise AssertionError(f"no value at {self._at} of a text that parsed")
        self._at = match.end()

    def _inside(self, path: str, closing: str) -> None:
        self._at += 1
        index = 0
        while self._skip(_BLANK) and self._text[self._at] != closing:
            if self._text[self._at] == ",":
                self._at += 1
            elif closing == "}":
                self._pair(path)
            else:
                element = extend(path, index)
                self.lines[element] = self._line()
                self._value(element)
                index += 1
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return True

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at) + 1
