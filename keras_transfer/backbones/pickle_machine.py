"""A stack machine that reads torch's pickles and executes nothing.

It knows the opcodes that torch writes into a legacy `.pth` file, builds plain
data from them, and refuses everything else.
"""

import math
import pickle  # For the names of the opcodes only.
from types import NoneType
from typing import Any, NamedTuple

# Ten thousand tensors need about 1.5 MB of structure. Python objects are up to
# 64 times as large as the opcodes that ask for them.
_STRUCTURE_LIMIT = 2 * 2**20
_MAX_RANK = 32

# The bytes of the number that follows an opcode. All are read as unsigned:
# torch writes no negative number, and 4 GB more fails every later check.
_ARGUMENT_BYTES = {
    pickle.BINPUT: 1,
    pickle.LONG_BINPUT: 4,
    pickle.BINGET: 1,
    pickle.LONG_BINGET: 4,
    pickle.BININT1: 1,
    pickle.BININT2: 2,
    pickle.BININT: 4,
    pickle.BINUNICODE: 4,
    pickle.PROTO: 1,
}


class _Global(NamedTuple):
    """Stands for a Python name that a pickle asks for."""

    name: str
    dtype: str = ""


class Storage(NamedTuple):
    """A run of numbers that follows the pickles."""

    key: str
    dtype: str
    count: int


class Tensor(NamedTuple):
    """A view of a storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


_ORDERED_DICT = _Global("OrderedDict")
_REBUILD_TENSOR = _Global("_rebuild_tensor_v2")
_GLOBALS = {
    ("collections", "OrderedDict"): _ORDERED_DICT,
    ("torch._utils", "_rebuild_tensor_v2"): _REBUILD_TENSOR,
    ("torch", "FloatStorage"): _Global("FloatStorage", "<f4"),
    ("torch", "HalfStorage"): _Global("HalfStorage", "<f2"),
    ("torch", "LongStorage"): _Global("LongStorage", "<i8"),
}
# Of the arguments that torch writes: name, storage type, key, device, count,
# view; storage, offset, size, stride, requires_grad, hooks.
_STORAGE_TYPES = [str, _Global, str, str, int, NoneType]
_TENSOR_TYPES = [Storage, int, tuple, tuple, bool, dict]


class Reader:
    """The bytes of a file and a position that never passes their end."""

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        start, end = self.position, self.position + count
        if end > len(self.data):
            raise ValueError(f"it ends within what starts at byte {start}")
        self.position = end
        return self.data[start:end]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        past_the_file = len(self.data) + 1
        end = self.data.find(b"\n", self.position) + 1 or past_the_file
        return str(self.take(end - self.position)[:-1], "utf-8")


def unpickle(reader: Reader, storages: dict[str, Storage] | None = None) -> Any:
    """Reads one pickle; `storages`, if given, collects what it refers to."""
    try:
        return _run(reader, storages)
    except (IndexError, KeyError, UnicodeDecodeError):
        place = f"before byte {reader.position}"
        raise ValueError(f"an opcode {place} lacks its operand") from None


def _run(reader: Reader, storages: dict[str, Storage] | None) -> Any:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    def pop(count: int) -> list[Any]:
        return [stack.pop() for _ in range(count)][::-1]

    end = reader.position + _STRUCTURE_LIMIT
    while reader.position < end:
        opcode = reader.take(1)
        argument = reader.number(_ARGUMENT_BYTES.get(opcode, 0))
        match opcode:
            case pickle.BINPUT | pickle.LONG_BINPUT:
                memo[argument] = stack[-1]
            case pickle.BINGET | pickle.LONG_BINGET:
                stack.append(memo[argument])
            case pickle.BININT1 | pickle.BININT2 | pickle.BININT:
                stack.append(argument)
            case pickle.BINUNICODE:
                stack.append(str(reader.take(argument), "utf-8"))
            case pickle.NONE:
                stack.append(None)
            case pickle.NEWTRUE | pickle.NEWFALSE:
                stack.append(opcode == pickle.NEWTRUE)
            case pickle.EMPTY_TUPLE:
                stack.append(())
            case pickle.EMPTY_DICT:
                stack.append({})
            case pickle.EMPTY_LIST:
                stack.append([])
            case pickle.MARK:
                marks.append(len(stack))
            case pickle.TUPLE:
                stack.append(tuple(pop_to_mark()))
            case pickle.TUPLE1 | pickle.TUPLE2 | pickle.TUPLE3:
                count = 1 + opcode[0] - pickle.TUPLE1[0]
                stack.append(tuple(pop(count)))
            case pickle.SETITEMS:
                items = pop_to_mark()
                _set_items(stack[-1], items)
            case pickle.SETITEM:
                items = pop(2)
                _set_items(stack[-1], items)
            case pickle.APPENDS:
                items = pop_to_mark()
                require(type(stack[-1]) is list, "it appends to no list")
                stack[-1].extend(items)
            case pickle.GLOBAL:
                stack.append(_find_global(reader.line(), reader.line()))
            case pickle.REDUCE:
                stack.append(_call(*pop(2)))
            case pickle.BINPERSID:
                stack.append(_find_storage(stack.pop(), storages))
            case pickle.BUILD:
                # Beside a state dict, torch keeps the versions of its modules.
                state = stack.pop()
                dicts = type(stack[-1]) is type(state) is dict
                known = dicts and list(state) == ["_metadata"]
                require(known, "it sets the state of an object")
            case pickle.PROTO if argument == 2:
                pass
            case pickle.STOP if len(stack) == 1:
                return stack[0]
            case _:
                place = f"before byte {reader.position}"
                raise ValueError(f"the opcode {opcode} {place} is not allowed")
    raise ValueError(f"a pickle is longer than {_STRUCTURE_LIMIT} bytes")


def _set_items(target: Any, items: list[Any]) -> None:
    fits = type(target) is dict and len(items) % 2 == 0
    require(fits, f"it sets {len(items)} items of a {type_name(target)}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Hashing a tuple that is nested deeply enough overflows the C stack.
        require(type(key) is str, f"a {type_name(key)} is the key of a dict")
        require(key not in target, f"the key {clip(key)} appears twice")
        target[key] = value


def _find_global(module: str, name: str) -> _Global:
    asked = clip(f"{module}.{name}")
    allowed = ", ".join(".".join(parts) for parts in _GLOBALS)
    known = (module, name) in _GLOBALS
    require(known, f"it asks for {asked}; allowed are {allowed}")
    return _GLOBALS[module, name]


def _call(function: Any, arguments: Any) -> Any:
    if type(arguments) is tuple:
        if function is _ORDERED_DICT and not arguments:
            return {}
        if function is _REBUILD_TENSOR:
            return _rebuild_tensor(arguments)
    name = function.name if type(function) is _Global else type_name(function)
    raise ValueError(f"it calls a {name} as torch would not")


def _find_storage(
    identity: Any, storages: dict[str, Storage] | None
) -> Storage:
    known = (
        storages is not None
        and type(identity) is tuple
        and [type(part) for part in identity] == _STORAGE_TYPES
        and identity[0] == "storage"
        and identity[1].dtype
    )
    require(known, "it has a persistent id that is not of a storage")
    _, storage_type, key, _, count, _ = identity
    storage = Storage(key, storage_type.dtype, count)
    same = storages.setdefault(key, storage) == storage
    require(same, f"the storage {clip(key)} has two types or sizes")
    return storage


def _rebuild_tensor(arguments: tuple) -> Tensor:
    known = [type(part) for part in arguments] == _TENSOR_TYPES
    require(known and not arguments[5], "it builds a tensor unlike torch")
    storage, offset, size, stride = arguments[:4]
    fits = len(size) == len(stride) <= _MAX_RANK and all(
        type(number) is int for number in size + stride
    )
    require(fits, "the size and the stride of a tensor do not fit")
    # Also bounds the memory: no tensor is larger than what the file holds.
    require(
        offset + math.prod(size) <= storage.count,
        f"a tensor reaches beyond the {storage.count} values of its storage "
        f"{clip(storage.key)}",
    )
    return Tensor(storage, offset, size, stride)


def require(condition: Any, otherwise: str) -> None:
    """Raise `ValueError(otherwise)` unless the condition holds."""
    if not condition:
        raise ValueError(otherwise)


def type_name(value: Any) -> str:
    """Name the type of a value, for a message."""
    return type(value).__name__


def clip(text: str) -> str:
    """Quote a text, for a message, at most 80 characters of it."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
