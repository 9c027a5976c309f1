"""Tables of Arrow in, tables of Arrow out: in one process, or wherever an engine such as Ray or Spark runs batches.

>>> import exegesis as xg, pyarrow as pa
>>> model = xg.from_callable(lambda x: x @ [2.0, -1.0], [[1.0, 1.0]], outputs="values")
>>> table = pa.table({"id": [7, 8], "a": [1.0, 2.0], "b": [3.0, 4.0]})
>>> model.explain_table(table, columns=["a", "b"], method="shapley", keep=["id"])["attribution/a"].to_pylist()
[2.0, 4.0]
"""

from __future__ import annotations

import os
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from . import _columns as col
from ._arrow_results import columns_of
from ._model import Model, load
from ._progress import progress_bar
from .errors import InputError, UsageError

__all__ = ["BY_CONTENT", "BatchExplainer", "explain_table"]

#: Row key: random numbers depend on the values of a row alone, wherever and in whatever order it is explained.
BY_CONTENT = "*"

#: Rows that are explained at once.
BATCH_ROWS = 1024


class BatchExplainer:
    """Explains record batches. It is made from a model, or from a path, which is opened where the first batch arrives: such an
    explainer can be pickled and sent to other processes. Calling it with an iterator of batches gives an iterator of batches, as
    ``mapInArrow`` of Spark wants it.

    Parameters
    ----------
    model : Model or path
    columns : list of str, or dict, optional
        Columns in the order of the model's single input: numbers each, or one column of fixed-size lists, or one of strings for
        models of texts. A dict has such a list, or one name, for each graph input. By default the model's own names of columns,
        else every column that is not kept, nor the row key.
    method, target, **options
        As for :meth:`Model.explain`.
    keep : list of str or "all", optional
        Columns of the input that stand in the output, such as ids.
    batch_rows : int, optional
        Rows that are explained at once, and that an output batch has at most.
    row_key : str, optional
        Random methods draw other numbers for each row. By default they depend on the number of the row in the table; with the
        name of a column (whole numbers or strings) on its value; with :data:`BY_CONTENT` on all values of the row.

    Notes
    -----
    The output has a row for each row of the input, in its order, and these columns:

    - what ``keep`` names;
    - ``attribution/COLUMN``, float32, of an input of several columns;
    - ``attribution/INPUT``, (nested) fixed-size lists of float32 of the input's shape; of texts lists, with the pieces of the
      text in ``pieces/INPUT``; with several methods each begins with ``METHOD/``, and so do ``sum`` and ``base_value``;
    - ``prediction`` int64, ``label`` string, ``score`` and ``probability`` float64 of what the model says, null where there is
      none;
    - ``target`` int64, the class that is explained, or a list where it is a position;
    - ``sum`` float64 of the attributions, ``base_value`` float64 of methods that have one.
    """

    def __init__(
        self,
        model: "Model | str | os.PathLike[str]",
        columns: "Sequence[str] | Mapping[str, str | Sequence[str]] | None" = None,
        method: "str | Sequence[str]" = "dlbacktrace",
        *,
        target: Any = None,
        keep: "Sequence[str] | str | None" = None,
        batch_rows: "int | None" = None,
        row_key: "str | None" = None,
        **options: Any,
    ) -> None:
        if batch_rows is not None and batch_rows < 1:
            raise UsageError(f"batch_rows={batch_rows} is too few. Give at least 1.")
        self._path = None if isinstance(model, Model) else os.fspath(model)
        self._model = model if isinstance(model, Model) else None
        self._columns = dict(columns) if isinstance(columns, Mapping) else columns if columns is None else list(columns)
        self._methods = [method] if isinstance(method, str) else list(method)
        self._target, self._options = target, options
        self._keep = [keep] if isinstance(keep, str) and keep != "all" else keep
        self._rows = batch_rows or BATCH_ROWS
        self._key = row_key

    def __getstate__(self) -> "dict[str, Any]":
        if self._path is None:
            raise TypeError("a model can't be pickled: make the explainer from the path of the model")
        return {**self.__dict__, "_model": None}

    @property
    def model(self) -> Model:
        """The model, opened at the first use."""
        if self._model is None:
            self._model = load(self._path)
        return self._model

    def __call__(self, batches: "Iterable[Any]") -> "Iterator[Any]":
        """Record batches with the explanations of ``batches``, one after the other."""
        first = 0
        for batch in batches:
            for start in range(0, batch.num_rows, self._rows):
                part = batch.slice(start, self._rows)
                yield self.explain(part, first)
                first += part.num_rows

    def table(self, table: Any, tell: "Callable[[int, int], None] | None" = None) -> Any:
        """The explanations of a whole ``pyarrow.Table``; ``tell(done, rows)`` hears of progress."""
        parts, done = [], 0
        # Chunks of a table say nothing of how it should be explained.
        for part in self(table.combine_chunks().to_batches(max_chunksize=self._rows)):
            parts.append(part)
            done += part.num_rows
            if tell is not None:
                tell(done, table.num_rows)
        return col.arrow().Table.from_batches(parts) if parts else self.schema(table.schema).empty_table()

    def schema(self, given: Any) -> Any:
        """The schema of what comes out for batches of the schema ``given``; a row of zeros is explained to know it."""
        pa = col.arrow()
        used = set(_flat(self._inputs(given).values()))
        fields = [(f.name, col.zeros(f.type, self._size(f, given)) if f.name in used else None) for f in given]
        arrays = [pa.nulls(1, given.field(name).type) if value is None else value for name, value in fields]
        key = [given.get_field_index(self._key)] if self._key not in (None, BY_CONTENT) else []
        for at in key:
            arrays[at] = col.zeros(given.field(at).type, 1)
        return self.explain(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(list(given)))).schema

    def explain(self, batch: Any, first: int = 0) -> Any:
        """Explain one record batch, whose first row is row ``first`` of the table."""
        pa = col.arrow()
        plan = self._inputs(batch.schema)
        values, taken = {}, []
        for name, columns in plan.items():
            values[name], parts = self._value(batch, name, columns, first)
            taken += parts
        model = self.model
        text = next((v for v in values.values() if isinstance(v, list)), None)
        x = text if text is not None and len(values) == 1 else values
        core = explain_rows(model._for(x), x, self._methods, self._target, self._row_keys(batch, taken, first), self._options)
        given = {name: batch.column(name) for name in self._kept(batch.schema)}
        given.update(columns_of(core, plan, batch.num_rows))
        return pa.RecordBatch.from_arrays(list(given.values()), names=list(given))

    def _kept(self, schema: Any) -> "list[str]":
        kept = list(schema.names) if self._keep == "all" else list(self._keep or [])
        for name in kept:
            _known(schema, name)
        return kept

    def _inputs(self, schema: Any) -> "dict[str, list[str]]":
        """Columns by graph input."""
        ports = [port for port in self.model._core.inputs if not port[3]]
        if isinstance(self._columns, dict):
            names = [port[0] for port in self.model._core.inputs]
            plan: "dict[str, list[str]]" = {}
            for name, own in self._columns.items():
                if name not in names and not (len(self._columns) == 1 and _reads_texts(self.model)):
                    known = ", ".join(names)
                    raise UsageError(f'the model has no input "{name}"; its inputs are {known}. Use one of these names.')
                plan[name] = [own] if isinstance(own, str) else list(own)
        else:
            if len(ports) != 1 and not _reads_texts(self.model):
                several = ", ".join(port[0] for port in ports)
                raise UsageError(f"the model has several inputs ({several}). Give columns as a dict with the columns of each.")
            columns: "list[str] | None" = None if self._columns is None else list(self._columns)
            if columns is None:
                named = self.model._core.columns or []
                spare = {self._key, *([] if self._keep == "all" else self._keep or [])}
                left = [name for name in schema.names if name not in spare] or schema.names
                columns = named if named and all(column in schema.names for column in named) else left
            plan = {ports[0][0]: list(columns)}
        for chosen in plan.values():
            if not chosen:
                raise UsageError("there are no columns to explain. Name them with `columns`.")
            for column in chosen:
                _known(schema, column)
        return plan

    def _value(self, batch: Any, name: str, columns: "list[str]", first: int) -> "tuple[Any, list[Any]]":
        """What an input is given, and the values that it is made of."""
        kinds = [batch.schema.field(column).type for column in columns]
        if len(columns) == 1 and col.is_text(kinds[0]) and _reads_texts(self.model):
            found = col.texts(batch.column(columns[0]), columns[0], first)
            return found, [found]
        port = next(port for port in self.model._core.inputs if port[0] == name)
        parts = [col.numbers(batch.column(column), column, first) for column in columns]
        parts = [col.fitted(part, port[1], column) for part, column in zip(parts, columns)]
        if len(columns) == 1 and parts[0].ndim > 1:
            return parts[0], parts
        for part, column in zip(parts, columns):
            if part.ndim > 1:
                raise UsageError(f'column "{column}" holds lists, and stands beside others for "{name}". Give it alone.')
        sizes = [int(size) if str(size).isdigit() else None for size in (port[2] or [])[1:]]
        whole = np.stack(parts, axis=1) if sizes or len(parts) > 1 else parts[0]
        width = np.prod([size for size in sizes if size is not None]) if sizes else 1
        if None not in sizes and width != len(columns):
            given = f'{len(columns)} columns are given for the input "{name}", which takes {width}'
            raise InputError(f"{given}. Name them with `columns`.")
        return (whole.reshape(len(whole), *sizes) if None not in sizes and sizes else whole), parts

    def _row_keys(self, batch: Any, taken: "list[Any]", first: int) -> "list[int]":
        if self._key is None:
            return list(range(first, first + batch.num_rows))
        if self._key == BY_CONTENT:
            return col.keys_of(taken)
        _known(batch.schema, self._key)
        column = batch.column(self._key)
        if col.is_text(column.type):
            return col.keys_of([col.texts(column, self._key, first)])
        values = col.numbers(column, self._key, first)
        if values.dtype.kind not in "iu":
            raise InputError(f'the row key "{self._key}" holds {column.type}. Give a column of whole numbers or strings.')
        return [int(value) % (1 << 64) for value in values]

    def _size(self, field: Any, given: Any) -> int:
        """Entries of a list of open size, for a row of zeros."""
        for name, columns in self._inputs(given).items():
            if columns == [field.name]:
                port = next((port for port in self.model._core.inputs if port[0] == name), None)
                sizes = (port[2] or [])[1:] if port else []
                return int(sizes[0]) if sizes and str(sizes[0]).isdigit() else 1
        return 1


def explain_table(
    model: Model,
    table: Any,
    columns: Any = None,
    method: Any = "dlbacktrace",
    *,
    progress: "bool | None" = None,
    **choices: Any,
) -> Any:
    """Explain every row of a table; see :class:`BatchExplainer` for the choices and for the columns of what comes out.

    Parameters
    ----------
    model : Model
    table : pyarrow.Table, RecordBatch, RecordBatchReader, dataset.Scanner or Dataset, or pandas.DataFrame

    Returns
    -------
    As the input: a table for a table, a batch for a batch, a DataFrame (with the same index) for a DataFrame; a
    ``RecordBatchReader`` for everything that is read batch by batch, so that no more than a batch is in memory.

    Raises
    ------
    exegesis.errors.InputError
        A null, or a number that is not finite, named by column and row; a column of another kind than the model takes.
    """
    pa = col.arrow()
    explainer = BatchExplainer(model, columns, method, **choices)
    if hasattr(table, "scanner") and not hasattr(table, "to_reader"):
        table = table.scanner()
    if hasattr(table, "to_reader") and not isinstance(table, (pa.Table, pa.RecordBatch)):
        table = table.to_reader()
    if isinstance(table, pa.RecordBatchReader):
        return _reader(explainer, table)
    if isinstance(table, (pa.Table, pa.RecordBatch)):
        whole = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        with progress_bar(progress, "explain_table") as bar:
            found = explainer.table(whole, bar)
        if isinstance(table, pa.Table):
            return found
        batches = found.combine_chunks().to_batches()
        none = [pa.array([], type=field.type) for field in found.schema]
        return batches[0] if batches else pa.RecordBatch.from_arrays(none, schema=found.schema)
    if hasattr(table, "iloc") and hasattr(table, "to_dict"):
        whole = pa.Table.from_pandas(table, preserve_index=False)
        found = explain_table(model, whole, columns, method, progress=progress, **choices)
        frame = found.to_pandas()
        frame.index = table.index
        return frame
    kind = f"{type(table).__module__}.{type(table).__qualname__}"
    raise InputError(f"a table of {kind} is not understood. Give one of pyarrow or pandas.")


def _reader(explainer: BatchExplainer, reader: Any) -> Any:
    """A reader of explanations; the first batch is explained at once, because it tells the schema."""
    pa = col.arrow()
    explained = explainer(reader)
    first = next(explained, None)
    if first is None:
        return pa.RecordBatchReader.from_batches(explainer.schema(reader.schema), iter(()))

    def all_batches() -> "Iterator[Any]":
        yield first
        yield from explained

    return pa.RecordBatchReader.from_batches(first.schema, all_batches())


def explain_rows(
    model: Model, x: Any, methods: "list[str]", target: Any, keys: "list[int]", options: "dict[str, Any]"
) -> Any:
    """An explanation of the engine, with a key for each row."""
    return model.explain(x, methods, target=target, progress=False, row_keys=keys, **options)


def _reads_texts(model: Model) -> bool:
    return hasattr(model, "_predict") or model._core.has_tokenizer


def _known(schema: Any, name: str) -> None:
    if schema.get_field_index(name) < 0:
        same = "several columns are called" if name in schema.names else "there is no column"
        raise InputError(f'{same} "{name}"; the table has {", ".join(schema.names)}. Name it as it is.')


def _flat(lists: "Iterable[list[str]]") -> "Iterator[str]":
    for names in lists:
        yield from names
