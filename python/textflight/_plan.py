"""Which columns of a table are scored, by the server's own rules, and which come back."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ._errors import InvalidError, KindError
from ._options import Options, check_new_names, listed


@dataclass(frozen=True)
class Plan:
    """What is done with the record batches of one schema."""

    schema: pa.Schema
    options: Options
    #: What the server is told to score: a name, or a list of names.
    text: str | list[str]
    #: The numbers of the columns that it is sent.
    sent: list[int]
    #: The numbers of the columns that come back before the new ones.
    kept: list[int]

    @classmethod
    def of(cls, schema: pa.Schema, options: Options) -> Plan:
        """Finds the columns; what is asked for and not there is an error that says what is."""
        text = options.text if options.text is not None else only_string(schema)
        names = [text] if isinstance(text, str) else _several(text)
        sent = sorted({number for name in names for number in _columns_of(schema, name)})
        return cls(schema, options, text if isinstance(text, str) else names, sent, options.kept(schema.names))

    @classmethod
    def of_texts(cls, columns: Mapping[str, pa.DataType], text: str | list[str], options: Options) -> Plan:
        """That of columns that have been found already; all that comes back is new."""
        for name, kind in columns.items():
            if not is_scorable(kind) and name in ([text] if isinstance(text, str) else text):
                raise InvalidError(f'column "{name}" is {kind}, not text')
        return cls(pa.schema(list(columns.items())), options, text, list(range(len(columns))), [])

    def texts_schema(self) -> pa.Schema:
        """The schema of what the server is sent."""
        return pa.schema([(self.schema.names[number], _sent_type(self.schema.types[number])) for number in self.sent])

    def beside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What the server is sent of a batch that has the columns that are sent alone."""
        return pa.RecordBatch.from_arrays([_sent(column) for column in batch.columns], schema=self.texts_schema())

    def texts(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What the server is sent of a batch."""
        return self.beside(batch.select(self.sent))

    def scored_schema(self, new: pa.Schema) -> pa.Schema:
        """The schema of what comes back, where the server appends these columns."""
        kept = [self.schema.field(number) for number in self.kept]
        check_new_names([field.name for field in kept], new.names, self.texts_named())
        return pa.schema([*kept, *new], metadata=self.schema.metadata)

    def texts_named(self) -> int:
        """How many texts the new columns are of."""
        return 1 if isinstance(self.text, str) else len(self.text)

    def error_column(self, name: str) -> str:
        """The new column that says why a text of this column has no score."""
        return "error" if isinstance(self.text, str) else f"{name}_error"

    def command(self) -> bytes:
        """The command of the exchange."""
        return self.options.command(self.text)


def _several(text: object) -> list[str]:
    if not isinstance(text, Sequence) or not all(isinstance(name, str) for name in text):
        raise KindError(f"text is {text!r}, not the name of a column, nor a list of names")
    if not text:
        raise InvalidError("text names no column")
    for name in text:
        if text.count(name) > 1:
            raise InvalidError(f'text names "{name}" twice')
    return list(text)


def only_string(schema: pa.Schema) -> str:
    """The name of the only string column."""
    found = [field.name for field in schema if is_string(field.type)]
    # What has no value says nothing of what it is.
    found = found or [field.name for field in schema if pa.types.is_null(field.type)]
    if len(found) > 1:
        raise InvalidError(f"more than one string column: {listed(found)}; name one with text")
    if not found:
        raise InvalidError(f"no string column; columns: {_with_types(schema)}{_hint(schema)}")
    return str(found[0])


def _columns_of(schema: pa.Schema, name: str) -> list[int]:
    """The columns that a name may mean: those of that name, or those in which its path may lead to a field."""
    found = [number for number, called in enumerate(schema.names) if called == name]
    if len(found) > 1:
        raise InvalidError(f'more than one column is called "{name}"; rename one of them')
    if found:
        if not is_scorable(schema.field(found[0]).type):
            raise InvalidError(f'column "{name}" is {schema.field(found[0]).type}, not text; string columns: {_strings(schema)}')
        return found
    nested = [number for number, called in enumerate(schema.names) if name.startswith(f"{called}.")]
    if not nested:
        raise InvalidError(f'column "{name}" not found; string columns: {_strings(schema)}')
    return nested


def _sent(array: pa.Array) -> pa.Array:
    """The array as it is sent: of views all that they may show would go with each slice."""
    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    if array.type == (kind := _sent_type(array.type)):
        return array
    try:
        return array.cast(kind)
    except pa.ArrowNotImplementedError:
        # Before pyarrow 18.
        return pa.array(array.to_pylist(), kind)


def _sent_type(kind: pa.DataType) -> pa.DataType:
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return pa.large_string() if _is_view(kind, "string") else pa.large_binary() if _is_view(kind, "binary") else kind


def is_string(kind: pa.DataType) -> bool:
    """Strings, and dictionaries and runs of strings."""
    kind = _plain(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(kind, "string")


def is_scorable(kind: pa.DataType) -> bool:
    """What is scored where it is named: strings, bytes, nulls, and lists of these."""
    kind = _plain(kind)
    while hasattr(kind, "value_field") and not pa.types.is_map(kind):
        kind = _plain(kind.value_type)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return is_string(kind) or is_bytes or pa.types.is_null(kind) or _is_view(kind, "binary")


def _plain(kind: pa.DataType) -> pa.DataType:
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def _is_view(kind: pa.DataType, of: str) -> bool:
    return str(kind) == f"{of}_view"


def _strings(schema: pa.Schema) -> str:
    names = [name for field in schema for name in _string_names(field.name, field.type)]
    return listed(names) if names else f"there is none; columns: {_with_types(schema)}"


def _string_names(name: str, kind: pa.DataType) -> list[str]:
    if pa.types.is_struct(kind):
        return [inner for field in kind for inner in _string_names(f"{name}.{field.name}", field.type)]
    return [name] if is_string(kind) else []


def _with_types(schema: pa.Schema) -> str:
    return listed([f"{field.name} ({field.type})" for field in schema])


def _hint(schema: pa.Schema) -> str:
    """What to do about texts that nobody would take for such unasked."""
    if any(pa.types.is_struct(field.type) for field in schema):
        return '; a field in a struct is named by its path, as in text="post.title"'
    if any(is_scorable(field.type) for field in schema):
        return "; bytes that are UTF-8 and the texts in lists are scored where text names them"
    return ""
