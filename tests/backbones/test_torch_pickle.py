"""The reader of legacy torch files: what it reads, and what it refuses."""

import builtins
import math
import os
import pickle
import struct
import sys
import tracemalloc

import numpy as np
import pytest

from keras_transfer.backbones.torch_pickle import read_state_dict

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."
TYPES = {"f4": "FloatStorage", "f2": "HalfStorage", "i8": "LongStorage"}


# An assembler for the pickles that torch writes, which need no torch.


def text(string):
    return b"X" + struct.pack("<I", len(string.encode())) + string.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def sequence(*parts):
    return b"(" + b"".join(parts) + b"t"


def numbers(values):
    return sequence(*map(number, values))


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def program(body):
    return b"\x80\x02" + body + b"."


def dictionary(items):
    return b"}(" + b"".join(text(key) + v for key, v in items.items()) + b"u"


ORDERED_DICT = name("collections", "OrderedDict")
REBUILD = name("torch._utils", "_rebuild_tensor_v2")
NO_HOOKS = ORDERED_DICT + b")R"


def storage(key="0", count=6, kind="FloatStorage"):
    parts = text("storage"), name("torch", kind), text(key), text("cpu")
    return sequence(*parts, number(count), b"N") + b"Q"


def tensor(size=(2, 3), stride=(3, 1), offset=0, where=None, hooks=NO_HOOKS):
    where = storage() if where is None else where
    parts = where, number(offset), numbers(size), numbers(stride)
    return REBUILD + sequence(*parts, b"\x89", hooks) + b"R"


def state_dict(**tensors):
    return program(ORDERED_DICT + b")R(" + dictionary(tensors)[2:])


def keys(*names):
    return program(b"](" + b"".join(map(text, names)) + b"e")


SYSTEM = program(
    dictionary(
        {
            "protocol_version": number(1001),
            "little_endian": b"\x88",
            "type_sizes": dictionary(
                {"short": number(2), "int": number(4), "long": number(4)}
            ),
        }
    )
)
VALUES = np.arange(6, dtype="<f4").reshape(2, 3)


def raw(array):
    return struct.pack("<q", array.size) + array.tobytes()


def legacy_file(arrays):
    """The bytes that `torch.save(state_dict)` wrote before torch 1.6."""
    arrays = {k: np.array(array, order="C") for k, array in arrays.items()}
    tensors = {}
    for key, array in arrays.items():
        strides = [step // array.itemsize for step in array.strides]
        where = storage(key, array.size, TYPES[array.dtype.str[1:]])
        tensors[key] = tensor(array.shape, strides, where=where)
    contents = [raw(array) for array in arrays.values()]
    return b"".join(
        [MAGIC, PROTOCOL, SYSTEM, state_dict(**tensors), keys(*arrays)]
        + contents
    )


def pieces(**changes):
    """A file of one tensor, `w`, with some of its parts exchanged."""
    parts = {
        "magic": MAGIC,
        "protocol": PROTOCOL,
        "system": SYSTEM,
        "state": state_dict(w=tensor()),
        "keys": keys("0"),
        "storage": raw(VALUES),
    }
    return b"".join((parts | changes).values())


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "weights.pth"

    def read(data, **options):
        path.write_bytes(data)
        return read_state_dict(path, **options)

    return read


def refuse(read, data, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        read(data)
    message = str(caught.value)
    assert "Nothing in it was executed. Get a fresh copy" in message
    assert "weights.pth" in message
    assert "Received: path=" in message


# What it reads.


def test_reads_every_type_of_storage(read):
    arrays = {
        "weight": np.random.default_rng(0).normal(size=(4, 2, 3)).astype("f4"),
        "half": np.linspace(-1, 1, 5, dtype="f2"),
        "num_batches_tracked": np.array(2**40, "i8"),
    }

    state = read(legacy_file(arrays))

    assert list(state) == list(arrays)
    for key, array in arrays.items():
        assert state[key].dtype == array.dtype
        np.testing.assert_array_equal(state[key], array)


def test_reads_permuted_axes(read):
    where = storage(count=24)
    part = tensor((2, 3, 4), (1, 8, 2), where=where)
    values = np.arange(24, dtype="<f4")

    state = read(pieces(state=state_dict(w=part), storage=raw(values)))

    expected = values.reshape(3, 4, 2).transpose(2, 0, 1)
    np.testing.assert_array_equal(state["w"], expected)


def test_tensors_that_share_a_storage_share_memory(read):
    halves = state_dict(
        a=tensor((3,), (1,)), b=tensor((3,), (1,), offset=3), tied=tensor()
    )

    state = read(pieces(state=halves))

    np.testing.assert_array_equal(state["b"], [3, 4, 5])
    state["tied"][1, 0] = 7
    assert state["b"][0] == 7


def test_drops_the_versions_of_the_modules(read):
    versions = dictionary({"_metadata": dictionary({"": number(1)})})
    state = state_dict(w=tensor())[:-1] + versions + b"b."

    assert list(read(pieces(state=state))) == ["w"]


def test_needs_no_torch(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    np.testing.assert_array_equal(read(pieces())["w"], VALUES)


# What it refuses: programs.


def payloads(marker):
    """Pickles that write `marker` if anything in them is executed."""
    write = f"open({str(marker)!r}, 'w').close()"
    touch = f"touch {marker}"

    class Call:
        def __init__(self, function, *arguments):
            self.call = function, arguments

        def __reduce__(self):
            return self.call

    calls = {
        "symlink": Call(os.symlink, os.devnull, str(marker)),
        "system": Call(os.system, touch),
        "eval": Call(builtins.eval, write),
        "getattr": Call(
            eval, "f(b'')", {"f": Call(getattr, marker, "write_bytes")}
        ),
        "nested": [{"deep": (1, [Call(os.system, touch)])}],
    }
    return {
        f"{label}-{protocol}": pickle.dumps(call, protocol)
        for label, call in calls.items()
        for protocol in range(6)
    } | {
        "inst": f"(S'{touch}'\nios\nsystem\n.".encode(),
        "obj": b"(cos\nsystem\n" + text(touch) + b"o.",
        "build": program(
            ORDERED_DICT
            + b")R}"
            + text("x")
            + name("os", "system")
            + sequence(text(touch))
            + b"Rsb"
        ),
    }


def test_executes_nothing_in_any_pickle(read, tmp_path):
    marker = tmp_path / "executed"
    reason = "opcode .* is not allowed|asks for|magic number"
    for label, payload in payloads(marker).items():
        pickle.loads(payload)
        assert marker.exists(), f"{label} proves nothing"
        marker.unlink()
        for part in ("magic", "protocol", "system", "state", "keys"):
            refuse(read, pieces(**{part: payload}), reason)
        refuse(read, payload, reason)
        assert not marker.exists(), label


def test_executes_nothing_inside_the_state_dict(read, tmp_path):
    marker = tmp_path / "executed"
    call = name("os", "system") + sequence(text(f"touch {marker}")) + b"R"
    pickle.loads(program(call))
    marker.unlink()
    pid = storage()[:-1]
    places = {
        "value": state_dict(w=call),
        "hooks": state_dict(w=tensor(hooks=call)),
        "storage": state_dict(w=tensor(where=call)),
        "persistent id": state_dict(w=tensor(where=call + b"Q")),
        "part of the id": state_dict(
            w=tensor(where=pid.replace(text("cpu"), call) + b"Q")
        ),
        "metadata": state_dict(w=tensor())[:-1]
        + dictionary({"_metadata": call})
        + b"b.",
    }
    for place, state in places.items():
        refuse(read, pieces(state=state), r"asks for 'os\.system'")
        assert not marker.exists(), place


@pytest.mark.parametrize(
    "module, attribute",
    [
        ("os", "system"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("collections", "OrderedDict.fromkeys"),
        ("collections", "defaultdict"),
        ("torch", "FloatStorage.__init__"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "_utils._rebuild_tensor_v2"),
        ("torch.storage", "FloatStorage"),
        ("torch", "DoubleStorage"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("x" * 10_000, "y"),
    ],
)
def test_refuses_other_names(read, module, attribute):
    state = program(name(module, attribute))
    refuse(read, pieces(state=state), "asks for '.*allowed are collections")


OPCODES = {
    "NEWOBJ": ORDERED_DICT + b")\x81",
    "NEWOBJ_EX": ORDERED_DICT + b")}\x92",
    "STACK_GLOBAL": text("os") + text("system") + b"\x93",
    "EXT1": b"\x82\x01",
    "PERSID": b"Pstorage\n",
    "LONG4": b"\x8b\xff\xff\xff\x7f",
    "BYTEARRAY8": b"\x96" + b"\xff" * 7 + b"\x7f",
    "BINUNICODE8": b"\x8d" + b"\xff" * 7 + b"\x7f",
    "NEXT_BUFFER": b"\x97",
    "FRAME": b"\x95" + b"\xff" * 7 + b"\x7f",
    "POP": b"}0",
    "a later protocol": b"\x80\x05}",
    "unknown": b"\xff",
    "two values": b"}}",
    "no value": b"",
}


@pytest.mark.parametrize("body", OPCODES.values(), ids=OPCODES)
def test_refuses_other_opcodes(read, body):
    refuse(read, pieces(state=program(body)), "opcode .* is not allowed")


UNDERFLOWS = {
    "GET of nothing": b"h\x05",
    "LONG_GET of nothing": b"j\xff\xff\xff\xff",
    "text of no encoding": b"X\x01\x00\x00\x00\xff",
    "PUT of nothing": b"q\x00",
    "TUPLE without a mark": b"t",
    "TUPLE2 of one": b"}\x86",
    "SETITEM of one": text("a") + b"s",
    "SETITEMS of nothing": b"(u",
    "REDUCE of nothing": b"R",
    "BUILD of one": b"}b",
    "BINPERSID of nothing": b"Q",
}


@pytest.mark.parametrize("body", UNDERFLOWS.values(), ids=UNDERFLOWS)
def test_refuses_an_opcode_without_operand(read, body):
    refuse(read, pieces(state=program(body)), "lacks its operand")


MISUSES = {
    "calls a string": (text("f") + b")R", "calls a str"),
    "calls a storage type": (name("torch", "LongStorage") + b")R", "calls a"),
    "fills an OrderedDict": (ORDERED_DICT + sequence(b"]") + b"R", "calls a"),
    "calls with a list": (REBUILD + b"]R", "calls a"),
    "sets items of a list": (b"]" + text("a") + b"Ns", "items of a list"),
    "sets items of a class": (ORDERED_DICT + b"(" + b"NNu", "items of a _Gl"),
    "odd items": (b"}(Nu", "sets 1 items"),
    "number as a key": (b"}" + number(1) + b"Ns", "int is the key"),
    "appends to a dict": (b"}(Ne", "appends to no list"),
    "a name twice": (
        dictionary({"a": b"N"}) + text("a") + b"Ns",
        "key 'a' appears twice",
    ),
    "state of a class": (
        ORDERED_DICT + dictionary({"_metadata": b"N"}) + b"b",
        "sets the state",
    ),
    "state of a function": (
        REBUILD + dictionary({"__code__": b"N"}) + b"b",
        "sets the state",
    ),
    "state of a tensor": (
        tensor() + dictionary({"_metadata": b"N"}) + b"b",
        "sets the state",
    ),
    "slots": (NO_HOOKS + b"N" + b"}\x86b", "sets the state"),
    "attribute": (
        NO_HOOKS + dictionary({"keys": b"N"}) + b"b",
        "sets the state",
    ),
}


@pytest.mark.parametrize("body, reason", MISUSES.values(), ids=MISUSES)
def test_refuses_misuse_of_what_is_allowed(read, body, reason):
    refuse(read, pieces(state=program(body)), reason)


def test_refuses_a_tuple_that_would_overflow_the_stack_when_hashed(read):
    nested = b")" + b"\x85" * 200_000
    refuse(read, pieces(state=program(b"}" + nested + b"Ns")), "is the key")


def test_refuses_a_tuple_that_would_take_an_age_to_hash(read):
    doubled = b")" + b"q\x00h\x00\x86" * 200
    for body in (b"}" + doubled + b"Ns", dictionary({"w": doubled})):
        refuse(read, pieces(state=program(body)), "tuple")


def test_refuses_a_structure_too_long_for_tensors(read):
    state = program(text("w" * 2**20) * 2)
    refuse(read, pieces(state=state), "longer than 2097152 bytes")


# What it refuses: storages and tensors that are not as they say.

PARTS = {
    "kind": text("storage"),
    "type": name("torch", "FloatStorage"),
    "key": text("0"),
    "device": text("cpu"),
    "count": number(6),
    "view": b"N",
}


@pytest.mark.parametrize(
    "identity",
    [
        b")",
        b"N",
        text("storage"),
        sequence(text("storage")),
        sequence(*PARTS.values(), b"N"),
        b"](" + b"".join(PARTS.values()) + b"e",
        *(
            sequence(*(PARTS | change).values())
            for change in (
                {"kind": text("module")},
                {"type": text("FloatStorage")},
                {"type": ORDERED_DICT},
                {"type": REBUILD},
                {"key": number(0)},
                {"device": b")"},
                {"count": text("6")},
                {"count": b"\x88"},
                {"view": sequence(text("1"), number(0), number(6))},
            )
        ),
    ],
)
def test_refuses_a_persistent_id_of_another_shape(read, identity):
    state = state_dict(w=tensor(where=identity + b"Q"))
    refuse(read, pieces(state=state), "persistent id")


@pytest.mark.parametrize("part", ["system", "keys"])
def test_refuses_a_storage_outside_the_state_dict(read, part):
    refuse(read, pieces(**{part: program(storage())}), "persistent id")


@pytest.mark.parametrize(
    "second", [storage(count=4), storage(kind="LongStorage")]
)
def test_refuses_a_storage_described_in_two_ways(read, second):
    state = state_dict(a=tensor(), b=tensor((4,), (1,), where=second))
    refuse(read, pieces(state=state), "two types or sizes")


@pytest.mark.parametrize(
    "size, stride, offset, reason",
    [
        ((2, 4), (4, 1), 0, "reaches beyond the 6 values"),
        ((2, 3), (3, 1), 1, "reaches beyond"),
        ((2, 3), (3, 1), -1, "reaches beyond"),
        ((-1, 6), (6, 1), 0, "reaches beyond"),
        ((2**31 - 1,), (0,), 0, "reaches beyond"),
        ((2**31 - 1,) * 32, (0,) * 32, 0, "reaches beyond"),
        ((2, 3), (-3, 1), 0, "gaps or overlap"),
        ((2, 3), (0, 1), 0, "gaps or overlap"),
        ((2, 3), (3, 2), 0, "gaps or overlap"),
        ((2, 3), (1, 1), 0, "gaps or overlap"),
        ((2, 3), (3,), 0, "do not fit"),
        ((1,) * 33, (1,) * 33, 0, "do not fit"),
        ((0,), (1,), 0, "use 0 of the 6 values"),
        ((3,), (1,), 0, "use 3 of the 6 values"),
    ],
)
def test_refuses_a_view_that_is_no_block(read, size, stride, offset, reason):
    state = state_dict(w=tensor(size, stride, offset))
    refuse(read, pieces(state=state), reason)


def test_refuses_an_empty_tensor_of_impossible_size(read):
    where = storage(count=0)
    state = state_dict(w=tensor((0, -1, -1), (1, 1, 1), where=where))
    refuse(read, pieces(state=state, storage=raw(VALUES[:0])), "too big")


@pytest.mark.parametrize(
    "part",
    [
        tensor(hooks=dictionary({"a": b"N"})),
        tensor(hooks=b"N"),
        tensor(where=b"N"),
        tensor().replace(b"\x89", b"N"),
        tensor().replace(numbers((2, 3)), b"](" + number(6) + b"e"),
        tensor().replace(numbers((2, 3)), sequence(b"\x88", number(6))),
        tensor().replace(numbers((2, 3)), sequence(text("2"), number(3))),
        REBUILD + sequence(storage()) + b"R",
    ],
)
def test_refuses_a_tensor_built_unlike_torch(read, part):
    reason = "builds a tensor unlike torch|do not fit"
    refuse(read, pieces(state=state_dict(w=part)), reason)


@pytest.mark.parametrize(
    "state, found",
    [
        (program(tensor()), "it holds a Tensor"),
        (program(b"]"), "it holds a list"),
        (state_dict(epoch=number(3)), "'epoch' is a int"),
        (state_dict(model=dictionary({"w": tensor()})), "'model' is a dict"),
        (state_dict(w=storage()), "'w' is a Storage"),
    ],
)
def test_refuses_what_is_not_a_flat_state_dict(read, state, found):
    refuse(read, pieces(state=state), found)


@pytest.mark.parametrize(
    "part", [keys(), keys("1"), keys("0", "0"), keys("0", "1")]
)
def test_refuses_storage_keys_that_do_not_match(read, part):
    refuse(read, pieces(keys=part), "storage keys")


@pytest.mark.parametrize(
    "part", [b"}", text("0"), number(0), b"](" + number(0) + b"e", b"](}e"]
)
def test_refuses_storage_keys_that_are_no_list_of_names(read, part):
    refuse(read, pieces(keys=program(part)), "storage keys")


@pytest.mark.parametrize("count", [0, 5, 7, -1, 2**62])
def test_refuses_a_storage_of_another_size(read, count):
    part = struct.pack("<q", count) + VALUES.tobytes()
    refuse(read, pieces(storage=part), "values, where its tensors expect 6")


def test_an_absurd_size_allocates_nothing(read):
    count = 2**31 - 1
    where = storage(count=count, kind="LongStorage")
    claims = pieces(
        state=state_dict(w=tensor((count,), (1,), where=where)),
        storage=struct.pack("<q", count),
    )
    memo = pieces(
        state=program(b"}r\xff\xff\xff\xffX\xff\xff\xff\xff" + text("a"))
    )
    tracemalloc.start()
    try:
        refuse(read, claims, "ends within")
        refuse(read, memo, "ends within")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


# What it refuses: files that are cut short, altered, or something else.


def test_refuses_a_file_cut_at_any_byte(read):
    whole = legacy_file({"a": VALUES, "n": np.array(3)})
    assert set(read(whole)) == {"a", "n"}
    for end in range(len(whole)):
        refuse(read, whole[:end], "ends within|magic number")


def test_refuses_bytes_after_the_end(read):
    refuse(read, pieces() + b"\0", "goes on after byte")


def test_no_altered_bit_of_the_structure_alters_a_tensor(tmp_path):
    arrays = {"a": VALUES, "b": VALUES[::-1].T.copy(), "n": np.array(3)}
    whole = legacy_file(arrays)
    contents = sum(array.nbytes for array in arrays.values())
    # The raw values stand at the end, each array after the 8 bytes of its size.
    raw_bytes, end = set(), len(whole)
    for array in reversed(arrays.values()):
        raw_bytes |= set(range(end - array.nbytes, end))
        end -= array.nbytes + 8
    assert len(raw_bytes) == contents
    path = tmp_path / "weights.pth"
    refused = 0
    structure = [i for i in range(len(whole)) if i not in raw_bytes]
    for position in structure:
        for bit in range(8):
            altered = bytearray(whole)
            altered[position] ^= 1 << bit
            path.write_bytes(altered)
            try:
                state = read_state_dict(path)
            except ValueError:
                refused += 1
                continue
            # What passes is a name, a device or `requires_grad`.
            for array, found in zip(
                arrays.values(), state.values(), strict=True
            ):
                assert found.dtype == array.dtype
                np.testing.assert_array_equal(found, array)
    assert refused > 0.9 * 8 * len(structure)


@pytest.mark.parametrize(
    "part, reason",
    [
        ({"magic": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x1a."}, "magic"),
        ({"protocol": b"\x80\x02M\xe8\x03."}, "magic"),
        ({"system": SYSTEM.replace(b"\x88", b"\x89")}, "third pickle"),
        ({"system": program(number(1))}, "third pickle"),
        ({"system": program(dictionary({}))}, "third pickle"),
    ],
)
def test_refuses_another_header(read, part, reason):
    refuse(read, pieces(**part), reason)


def test_refuses_the_zip_format_of_newer_torch(read):
    data = b"PK\x03\x04" + bytes(100)
    refuse(read, data, "zip file, the format of torch 1.6 and later")
    with pytest.raises(ValueError, match="use_new_zipfile_serialization=False"):
        read(data)


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", bytes(99)])
def test_refuses_what_is_not_a_torch_file(read, data):
    refuse(read, data, "magic number|ends within")


def test_checks_the_digest(read):
    digest = "3e5b2a6d"
    with pytest.raises(ValueError, match="SHA-256 digest is .* 3e5b2a6d"):
        read(pieces(), sha256=digest)


def test_a_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        read_state_dict(tmp_path / "none.pth")


def test_agrees_with_pickle_on_a_file_that_torch_wrote():
    """An oracle that trusts the file: `pickle`, and strides as they stand."""
    from keras_transfer.backbones.efficientnet_lite_weights import (
        find_weights,
    )

    class Oracle(pickle.Unpickler):
        def find_class(self, module, attribute):
            if attribute == "_rebuild_tensor_v2":
                return lambda *arguments: arguments[:4]
            if module == "torch":
                return {v: k for k, v in TYPES.items()}[attribute]
            return super().find_class(module, attribute)

        def persistent_load(self, identity):
            return identity[1], identity[2], identity[4]

    path = find_weights("bundled")
    with open(path, "rb") as file:
        for _ in range(3):
            pickle.load(file)
        tensors = Oracle(file).load()
        dtypes = {where[1]: where[0] for where, *_ in tensors.values()}
        values = {}
        for key in pickle.load(file):
            (count,) = struct.unpack("<q", file.read(8))
            dtype = np.dtype(dtypes[key])
            values[key] = np.frombuffer(
                file.read(count * dtype.itemsize), dtype
            )
    state = read_state_dict(path)

    assert len(state) == 296
    assert list(state) == list(tensors)
    for key, (where, offset, size, stride) in tensors.items():
        data = values[where[1]][offset:]
        assert data.size >= math.prod(size)
        steps = [step * data.itemsize for step in stride]
        expected = np.lib.stride_tricks.as_strided(data, size, steps)
        np.testing.assert_array_equal(state[key], expected)
