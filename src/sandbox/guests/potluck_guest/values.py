"""Values as JSON: exact integers, and the place of what JSON cannot hold."""

import builtins
import json
from json import encoder

from potluck_guest.failures import Failure, shorten, type_name

__builtins__ = dict(vars(builtins))  # ours: a task may replace the names in builtins

RESULT_BYTES_MAX = 64 * 1024 * 1024

# The parts of json that are C: its Python parts look up builtins that a task may have replaced.
scan_json = json.JSONDecoder().scan_once
write_ascii_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).iterencode


make_c_writer, quote, refuse = encoder.c_make_encoder, encoder.encode_basestring, json.JSONEncoder().default


def make_writer():
    """The C writer that `json` would make anew for every value, which takes longer than to write a small one."""
    # Open containers, what is asked about other types, strings, indent, separators, sort keys, skip keys, allow NaN.
    return make_c_writer({}, refuse, quote, None, ":", ",", False, False, False)


write_json = make_writer()


def decode_json(text):
    text = text.strip(" \t\n\r")
    try:
        value, end = scan_json(text, 0)
    except StopIteration as stop:
        raise ValueError("a value is missing at character %d" % stop.value)
    if end != len(text):
        raise ValueError("there is more behind the value, at character %d" % end)
    return value


def encode_json(value):
    global write_json
    try:
        return "".join(write_json(value, 0))
    except BaseException:
        # It still holds the containers that it was in.
        write_json = make_writer()
        raise


def encode_ascii_json(value):
    return "".join(write_ascii_json(value, True))


def encode_result(value):
    try:
        return encode_json(value).encode("utf-8")
    except UnicodeEncodeError:
        return encode_ascii_json(value).encode("ascii")  # lone surrogates, as \ud800
    except (TypeError, ValueError, RecursionError) as error:
        found = first_misfit(value)
        if found is None:
            raise Failure("result_not_json", type(error).__name__, "the result cannot be written as JSON: %s" % error)
        path, misfit, hint = found
        raise Failure("result_not_json", misfit, "%s is %s, which JSON cannot hold" % (path, misfit), hint=hint)


HINTS = {
    "set": "return sorted(s) or list(s)",
    "frozenset": "return sorted(s) or list(s)",
    "bytes": "return data.decode() for text, or base64.b64encode(data).decode()",
    "bytearray": "return data.decode() for text, or base64.b64encode(data).decode()",
    "generator": "return list(...) of it",
    "map": "return list(...) of it", "filter": "return list(...) of it", "zip": "return list(...) of it",
    "range": "return list(...) of it", "dict_keys": "return list(...) of it",
    "dict_values": "return list(...) of it", "dict_items": "return dict(...) or list(...) of it",
    "complex": "return [z.real, z.imag]",
    "decimal.Decimal": "return str(d) or float(d)",
    "fractions.Fraction": "return [f.numerator, f.denominator]",
    "datetime.datetime": "return d.isoformat()", "datetime.date": "return d.isoformat()",
    "numpy.ndarray": "return a.tolist()",
    "pandas.core.frame.DataFrame": "return df.to_dict('records')",
    "async_generator": "return [item async for item in it]",
    "function": "return its result: call it",
}


def hint_for(value):
    name = type_name(value)
    if name in HINTS:
        return HINTS[name]
    if name.startswith("numpy."):
        return "return x.item()"
    return "return dicts, lists, strings, numbers, booleans or None, such as vars(x)"


def first_misfit(root):
    """The first value that JSON cannot hold: its path, its type, a hint. None when all fit."""
    open_ids = set()
    # A list as the stack: results may nest deeper than calls may.
    stack = [(root, "result", False)]
    while stack:
        value, path, leaving = stack.pop()
        if leaving:
            open_ids.discard(value)
            continue
        if value is None or isinstance(value, (str, bool, int)):
            continue
        if isinstance(value, float):
            if value != value or value in (float("inf"), float("-inf")):
                return path, {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(float(value))], \
                    "return None or a string in its place"
            continue
        if not isinstance(value, (dict, list, tuple)):
            return path, type_name(value), hint_for(value)
        if id(value) in open_ids:
            return path, "a %s that contains itself" % type_name(value), "return a tree, without the loop"
        if len(open_ids) > 900:
            return shorten(path, 200), "nested too deeply", "return fewer than 900 levels"
        open_ids.add(id(value))
        stack.append((id(value), path, True))
        if isinstance(value, dict):
            for key, item in reversed(list(value.items())):
                if not (key is None or isinstance(key, (str, int, float, bool))):
                    return path, "a dict with a key of type %s" % type_name(key), "use str(key), such as {str(k): v ...}"
                if isinstance(key, float) and (key != key or key in (float("inf"), float("-inf"))):
                    return path, "a dict with the key %r" % key, "use str(key)"
                shown = encode_ascii_json(key) if isinstance(key, str) else repr(key)
                stack.append((item, "%s[%s]" % (path, shorten(shown, 80)), False))
        else:
            for index in range(len(value) - 1, -1, -1):
                stack.append((value[index], "%s[%d]" % (path, index), False))
    return None


def parse_arguments(args, kwargs):
    positional = parse_json(args, "arguments", list, "a JSON array")
    named = {} if kwargs is None else parse_json(kwargs, "named arguments", dict, "a JSON object")
    return positional, named


def parse_json(data, what, kind, kind_name):
    try:
        value = decode_json(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Failure("bad_arguments", type(error).__name__, "the %s are not JSON: %s" % (what, error))
    if type(value) is not kind:
        raise Failure("bad_arguments", "TypeError", "the %s are %s, not %s" % (what, type_name(value), kind_name))
    return value
