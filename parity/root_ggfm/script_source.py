"""Read what a training script's settings are from its source, without executing any of it.

Options of its argparse parser, attributes of a class of settings, what a function makes of a YAML file: all three
are read from the syntax tree, and each value with the place that it comes from.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

__all__ = [
    "Located",
    "SettingsClass",
    "YamlFile",
    "defaults_where_absent",
    "options",
    "overrides",
    "seeds_in_a_loop",
    "tree",
]


UNKNOWN = "unknown: only running it would tell"
"""The value of a setting that the source alone does not tell."""


@dataclass(frozen=True)
class Located:
    """A value and where it stands: `file:line`, or what decides it."""

    value: Any
    where: str


def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a file. Raises ValueError for a file that cannot be read or parsed."""
    try:
        return ast.parse(file.read_text("utf-8", errors="replace"))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{file}, line {getattr(error, 'lineno', '?')}: {error.args[0]}") from None


class YamlFile:
    """A YAML mapping with the line of each entry. `values`: as the script reads them."""

    def __init__(self, path: Path, shown: str) -> None:
        """Raises ValueError for a file that is not there, that is no YAML, or that holds no mapping."""
        try:
            text = path.read_text("utf-8")
            self.values: dict[str, Any] = yaml.safe_load(text) or {}
            root = yaml.compose(text, yaml.SafeLoader)
            self._lines = dict(_lines(root, ())) if root is not None else {}
        except OSError as error:
            raise ValueError(f"the configuration {shown} cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the configuration {shown} is no YAML: {' '.join(str(error).split())}") from None
        if not isinstance(self.values, dict):
            raise ValueError(f"the configuration {shown} must hold a mapping, it holds {type(self.values).__name__}")
        self.shown = shown

    def where(self, entry: Sequence[str]) -> str:
        """Return the file and line of an entry."""
        line = self._lines.get(tuple(entry))
        return self.shown if line is None else f"{self.shown}:{line}"

    def entries(self) -> dict[str, Located]:
        """Return all entries that are no sections, by dotted names."""
        return {".".join(path): Located(value, self.where(path)) for path, value in _leaves(self.values, ())}


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, str(key.value)), key.start_mark.line + 1
            yield from _lines(value, (*path, str(key.value)))


def _leaves(values: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{self.prog}: {message}")


_TYPES: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}


def options(file: Path, shown: str, words: Sequence[str]) -> dict[str, Located]:
    """Return what a script's parser makes of its arguments, by destination; empty where it has no parser.

    Calls of `add_argument` are read with those of their arguments that are written out. Raises ValueError for
    arguments that the parser does not take.
    """
    parser = _Parser(prog=shown, add_help=False, conflict_handler="resolve")
    lines: dict[str, tuple[int, str]] = {}
    for node in ast.walk(tree(file)):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
        ):
            continue
        names = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        given = {k.arg: _literal(k.value) for k in node.keywords if k.arg not in (None, "type", "help")}
        kind = next((k.value.id for k in node.keywords if k.arg == "type" and isinstance(k.value, ast.Name)), "")
        if kind in _TYPES:
            given["type"] = _TYPES[kind]
        try:
            action = parser.add_argument(*names, **{k: v for k, v in given.items() if v is not _UNREAD})
        except (TypeError, ValueError, argparse.ArgumentError) as error:
            raise ValueError(f"{shown}:{node.lineno}: this option cannot be read: {error}") from None
        lines[action.dest] = node.lineno, max(names, key=len, default=action.dest)
    if not lines:
        return {}
    taken = vars(parser.parse_args(list(words)))
    given_here = vars(parser.parse_args(list(words), argparse.Namespace(**dict.fromkeys(lines, _UNREAD))))
    return {
        dest: Located(
            taken[dest], f"{shown}:{line} {name}" if given_here[dest] is _UNREAD else f"{name} of its arguments"
        )
        for dest, (line, name) in lines.items()
    }


_UNREAD: Any = object()


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return _UNREAD


def overrides(file: Path, arguments: Mapping[str, Located]) -> dict[str, Located]:
    """Return what a script puts in the place of a setting from its arguments, as `config.x.y = args.z`, where z is
    given: by the dotted name without its first word."""
    found = {}
    for node in ast.walk(tree(file)):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute)):
            continue
        source, name = node.value, _dotted(node.targets[0])
        if isinstance(source.value, ast.Name) and source.attr in arguments and len(name) > 1:
            given = arguments[source.attr]
            if given.value is not None:
                found[".".join(name[1:])] = given
    return found


def _dotted(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        front = _dotted(node.value)
        return [*front, node.attr] if front else []
    return []


def seeds_in_a_loop(file: Path, shown: str) -> Located | None:
    """Return the seeds that a script runs in a loop, `for seed in ...: config.args.seed = seed`; None without one."""
    module = tree(file)
    named = {
        node.targets[0].id: node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for loop in (node for node in ast.walk(module) if isinstance(node, ast.For)):
        if not isinstance(loop.target, ast.Name):
            continue
        for node in ast.walk(loop):
            sets = isinstance(node, ast.Assign) and (_dotted(node.targets[0]) or [""])[-1] == "seed"
            if sets and isinstance(node, ast.Assign) and _dotted(node.value) == [loop.target.id]:
                source = named.get(loop.iter.id, loop.iter) if isinstance(loop.iter, ast.Name) else loop.iter
                seeds = _sequence(source)
                if seeds is not None:
                    return Located(seeds, f"{shown}:{source.lineno}")
    return None


_MOST_SEEDS = 1000
_OTHERS = ("venv", "node_modules", "__pycache__", "site-packages")
"""Folders of code that is not the script's."""


def _sequence(node: ast.expr) -> tuple[Any, ...] | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        numbers = [_literal(a) for a in node.args]
        whole = numbers and all(isinstance(n, int) for n in numbers)
        return tuple(range(*numbers)) if whole and len(range(*numbers)) <= _MOST_SEEDS else None
    found = _literal(node)
    return tuple(found) if isinstance(found, list | tuple) else None


def defaults_where_absent(folder: Path) -> dict[str, Located]:
    """Return the values that code takes where its configuration lacks an entry, by the entry's last word.

    Read are `x.entry if x.__contains__("entry") else VALUE`, its reverse with `not`, and `getattr(x, "ENTRY", VALUE)`.
    """
    found: dict[str, Located] = {}
    for file in sorted(folder.rglob("*.py")):
        if any(part.startswith(".") or part in _OTHERS for part in file.relative_to(folder).parts):
            continue
        try:
            module = tree(file)
        except ValueError:
            continue
        for node in ast.walk(module):
            name, value = "", _UNREAD
            if isinstance(node, ast.IfExp):
                negated = isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)
                test = node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test
                if isinstance(test, ast.Call) and (_dotted(test.func) or [""])[-1] == "__contains__":
                    name = (_dotted(node.orelse if negated else node.body) or [""])[-1]
                    value = _literal(node.body if negated else node.orelse)
            elif isinstance(node, ast.Call) and _dotted(node.func) == ["getattr"] and len(node.args) == 3:
                name, value = _literal(node.args[1]), _literal(node.args[2])
            if isinstance(name, str) and name and value is not _UNREAD:
                shown = file.relative_to(folder).as_posix()
                found.setdefault(name, Located(value, f"{shown}:{getattr(node, 'lineno', 0)}"))
    return found


class SettingsClass:
    """The attributes of a class of settings, and what a function of the same file makes of them from a YAML file.

    The function is followed statement by statement over the file's values. An attribute whose value would take running
    other code to know is `UNKNOWN`.
    """

    def __init__(self, file: Path, shown: str, name: str) -> None:
        self._module, self._shown, self._name = tree(file), shown, name
        self._functions = {n.name: n for n in self._module.body if isinstance(n, ast.FunctionDef)}
        self.attributes: dict[str, Located] = {}
        holder = next((n for n in self._module.body if isinstance(n, ast.ClassDef) and n.name == name), None)
        if holder is None:
            raise ValueError(f"{shown} has no class {name}")
        for node in holder.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name):
                    self._set(target.id, self._of_class(node.value), node)

    def apply(self, function: str, yaml_file: YamlFile) -> None:
        """Set the attributes as `function(path)` would. Raises ValueError if there is no such function."""
        if function not in self._functions:
            raise ValueError(f"{self._shown} has no function {function}")
        self._yaml = yaml_file
        try:
            self._call(self._functions[function], [_OPAQUE])
        except RecursionError:
            raise ValueError(f"{self._shown}: {function} cannot be followed: it calls itself") from None

    def _of_class(self, node: ast.expr) -> _Known:
        if isinstance(node, ast.Name):
            return self._attribute(node.id)
        value = _literal(node)
        return _OPAQUE if value is _UNREAD else _Known(value)

    def _attribute(self, name: str) -> _Known:
        located = self.attributes.get(name)
        return _OPAQUE if located is None or located.value == UNKNOWN else _Known(located.value)

    def _set(self, name: str, value: _Known, node: ast.AST) -> None:
        line = f"{self._shown}:{getattr(node, 'lineno', 0)}"
        if value is _OPAQUE:
            self.attributes[name] = Located(UNKNOWN, line)
        else:
            self.attributes[name] = Located(value.value, self._yaml.where(value.path) if value.path else line)

    def _doubt(self, node: ast.stmt, env: dict[str, _Known]) -> None:
        """Make unknown each attribute that a statement may set."""
        names = set()
        for each in ast.walk(node):
            if (
                isinstance(each, ast.Attribute)
                and isinstance(each.ctx, ast.Store)
                and _dotted(each.value) == [self._name]
            ):
                names.add(each.attr)
            elif isinstance(each, ast.Call):
                given = [self._value(a, env).value for a in each.args if isinstance(a, ast.Constant | ast.Name)]
                names |= {word for word in given if isinstance(word, str) and word.isidentifier() and word.isupper()}
        for name in names:
            self._set(name, _OPAQUE, node)

    def _call(self, function: ast.FunctionDef, given: Sequence[_Known]) -> _Known:
        names = [a.arg for a in function.args.args]
        defaults = [self._of_class(d) for d in function.args.defaults]
        env = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)) | dict(
            zip(names, given, strict=False)
        )
        try:
            self._run(function.body, env)
        except _Returned as returned:
            return returned.value
        return _Known(None)

    def _run(self, body: Sequence[ast.stmt], env: dict[str, _Known]) -> None:
        for node in body:
            if isinstance(node, ast.Return):
                raise _Returned(self._value(node.value, env) if node.value is not None else _Known(None))
            if isinstance(node, ast.Expr):
                self._value(node.value, env)
            elif isinstance(node, ast.Assign):
                self._assign(node.targets[0], self._value(node.value, env), env)
            elif isinstance(node, ast.With):
                self._run(node.body, env)
            elif isinstance(node, ast.If):
                test = self._value(node.test, env)
                if test is not _OPAQUE:
                    self._run(node.body if test.value else node.orelse, env)
                else:
                    self._doubt(node, env)
            elif isinstance(node, ast.For) and (values := self._items(node.iter, env)) is not None:
                for value in values:
                    self._assign(node.target, value, env)
                    self._run(node.body, env)
            elif isinstance(node, ast.Raise):
                raise ValueError(f"{self._shown}:{node.lineno} refuses the configuration {self._yaml.shown}")
            elif not isinstance(node, ast.Pass | ast.Import | ast.ImportFrom | ast.Global):
                self._doubt(node, env)

    def _items(self, node: ast.expr, env: dict[str, _Known]) -> list[_Known] | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "items":
            held = self._value(node.func.value, env)
            if isinstance(held.value, dict):
                return [_Known((_Known(k), _Known(v, (*held.path, str(k))))) for k, v in held.value.items()]
        held = self._value(node, env)
        return [_Known(v) for v in held.value] if isinstance(held.value, list | tuple) else None

    def _assign(self, target: ast.expr, value: _Known, env: dict[str, _Known]) -> None:
        if isinstance(target, ast.Name):
            env[target.id] = value
        elif isinstance(target, ast.Attribute) and _dotted(target.value) == [self._name]:
            self._set(target.attr, value, target)
        elif isinstance(target, ast.Tuple):
            parts = value.value if isinstance(value.value, tuple) else [_OPAQUE] * len(target.elts)
            for each, part in zip(target.elts, parts, strict=False):
                self._assign(each, part, env)

    def _value(self, node: ast.expr, env: dict[str, _Known]) -> _Known:
        """Return what an expression is, `_OPAQUE` if only running it would tell."""
        match node:
            case ast.Constant():
                return _Known(node.value)
            case ast.Name():
                return env.get(node.id, _OPAQUE)
            case ast.Dict() | ast.List() | ast.Tuple() | ast.Set():
                value = _literal(node)
                return _OPAQUE if value is _UNREAD else _Known(value)
            case ast.Attribute() if _dotted(node.value) == [self._name]:
                return self._attribute(node.attr)
            case ast.BoolOp():
                return self._either(node, env)
            case ast.UnaryOp(op=ast.Not()):
                value = self._value(node.operand, env)
                return _OPAQUE if value is _OPAQUE else _Known(not value.value)
            case ast.Compare() if len(node.ops) == 1:
                return self._compared(node, env)
            case ast.IfExp():
                test = self._value(node.test, env)
                return _OPAQUE if test is _OPAQUE else self._value(node.body if test.value else node.orelse, env)
            case ast.Subscript():
                held, key = self._value(node.value, env), self._value(node.slice, env)
                return self._entry(held, key, None)
            case ast.Call():
                return self._called(node, env)
        return _OPAQUE

    def _either(self, node: ast.BoolOp, env: dict[str, _Known]) -> _Known:
        value = _OPAQUE
        for each in node.values:
            value = self._value(each, env)
            if value is _OPAQUE or bool(value.value) is isinstance(node.op, ast.Or):
                return value
        return value

    def _compared(self, node: ast.Compare, env: dict[str, _Known]) -> _Known:
        left, right = self._value(node.left, env), self._value(node.comparators[0], env)
        operation = _COMPARE.get(type(node.ops[0]))
        if left is _OPAQUE or right is _OPAQUE or operation is None:
            return _OPAQUE
        try:
            return _Known(operation(left.value, right.value))
        except TypeError:
            return _OPAQUE

    def _called(self, node: ast.Call, env: dict[str, _Known]) -> _Known:
        given = [self._value(a, env) for a in node.args]
        name = _dotted(node.func)
        if name == ["setattr"] and len(node.args) == 3 and _dotted(node.args[0]) == [self._name]:
            if given[1] is not _OPAQUE:
                self._set(str(given[1].value), given[2], node)
            return _Known(None)
        if name in (["yaml", "safe_load"], ["yaml", "load"], ["yaml", "full_load"]):
            return _Known(self._yaml.values)
        if name and len(name) == 1 and name[0] in self._functions:
            return self._call(self._functions[name[0]], given)
        if name and len(name) == 1 and name[0] in _PLAIN and given and given[0] is not _OPAQUE:
            return _Known(_PLAIN[name[0]](given[0].value), given[0].path)
        if isinstance(node.func, ast.Attribute):
            held = self._value(node.func.value, env)
            if node.func.attr == "get" and given:
                return self._entry(held, given[0], given[1] if len(given) > 1 else _Known(None))
            if node.func.attr in ("upper", "lower", "strip") and isinstance(held.value, str):
                return _Known(getattr(held.value, node.func.attr)(), held.path)
        return _OPAQUE

    @staticmethod
    def _entry(held: _Known, key: _Known, default: _Known | None) -> _Known:
        if isinstance(held.value, dict) and isinstance(key.value, str):
            if key.value in held.value:
                return _Known(held.value[key.value], (*held.path, key.value))
            return default if default is not None else _OPAQUE
        return _OPAQUE


@dataclass(frozen=True, eq=False)
class _Known:
    """A value that is known without running code. `path`: its entry in the YAML file, if it comes from there."""

    value: Any
    path: tuple[str, ...] = ()


_OPAQUE = _Known(None)
"""What only running code would tell."""

_PLAIN: Mapping[str, Callable[[Any], Any]] = {"str": str, "bool": bool}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}


class _Returned(Exception):
    def __init__(self, value: _Known) -> None:
        super().__init__()
        self.value = value
