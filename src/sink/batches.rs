//! Tables that are written whole, batch by batch, as they come.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, make_array};
use arrow::buffer::Buffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamEncoder};

use crate::{Error, Result};

/// Writes the record batches of one table.
pub trait BatchEncoder: Send {
    /// The next rows, and before the first of them what a table begins with.
    ///
    /// # Errors
    /// [`Error::Failed`] for rows that cannot be written.
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>>;

    /// What a table ends with, and begins with if it has no rows.
    ///
    /// # Errors
    /// As [`BatchEncoder::encode`].
    fn finish(self: Box<Self>) -> Result<Vec<Buffer>>;
}

/// Writes a stream of Arrow IPC, with the mark at its end: readers take one without it too, but may say that it is incomplete. A
/// dictionary is written when it is new or has changed.
pub struct ArrowEncoder(StreamEncoder);

impl ArrowEncoder {
    /// One of a table with these columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for columns that Arrow IPC does not carry.
    pub fn new(schema: &Schema) -> Result<Self> {
        let encoder = StreamEncoder::try_new(schema);
        encoder.map(Self).map_err(|cause| Error::Invalid(format!("no Arrow stream has such columns: {cause}")))
    }
}

impl BatchEncoder for ArrowEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        self.0.encode(batch).map_err(|cause| unwritten(&cause))
    }

    fn finish(self: Box<Self>) -> Result<Vec<Buffer>> {
        self.0.finish().map_err(|cause| unwritten(&cause))
    }
}

/// Writes a file of Arrow IPC. Dictionaries are written as what they stand for: such a file has one of each, and which that is
/// nobody knows before the end.
pub struct ArrowFileEncoder {
    writer: FileWriter<Vec<u8>>,
    /// As it is written.
    schema: SchemaRef,
}

impl ArrowFileEncoder {
    /// One of a table with these columns.
    ///
    /// # Errors
    /// As [`ArrowEncoder::new`].
    pub fn new(schema: &Schema) -> Result<Self> {
        let fields = schema.fields().iter().map(without_dictionaries);
        let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone()));
        let writer = FileWriter::try_new(Vec::new(), &schema);
        let refused = |cause| Error::Invalid(format!("no Arrow file has such columns: {cause}"));
        Ok(Self { writer: writer.map_err(refused)?, schema })
    }
}

impl BatchEncoder for ArrowFileEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Buffer>> {
        let columns = batch.columns().iter().map(plain);
        let written = columns.collect::<Result<Vec<_>, _>>().and_then(|columns| {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
            self.writer.write(&batch)
        });
        written.map_err(|cause| unwritten(&cause))?;
        // The writer counts what it has passed on by itself.
        Ok(vec![std::mem::take(self.writer.get_mut()).into()])
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Buffer>> {
        self.writer.finish().map_err(|cause| unwritten(&cause))?;
        Ok(vec![std::mem::take(self.writer.get_mut()).into()])
    }
}

/// The field without dictionaries, however deep they are.
fn without_dictionaries(field: &FieldRef) -> FieldRef {
    Arc::new(Field::clone(field).with_data_type(plain_type(field.data_type())))
}

fn plain_type(data_type: &DataType) -> DataType {
    let inside = without_dictionaries;
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inside).collect()),
        DataType::List(item) => DataType::List(inside(item)),
        DataType::LargeList(item) => DataType::LargeList(inside(item)),
        DataType::ListView(item) => DataType::ListView(inside(item)),
        DataType::LargeListView(item) => DataType::LargeListView(inside(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(inside(item), *length),
        DataType::Map(entries, sorted) => DataType::Map(inside(entries), *sorted),
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(Arc::clone(ends), inside(values)),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, field)| (id, inside(field))).collect(), *mode)
        }
        other => other.clone(),
    }
}

/// The column with what its dictionaries stand for in their place.
fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let wanted = plain_type(column.data_type());
    if wanted == *column.data_type() {
        return Ok(Arc::clone(column));
    }
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        return take(&plain(dictionary.values())?, dictionary.keys(), None);
    }
    let data = column.to_data();
    let inside = data.child_data().iter().map(|inside| plain(&make_array(inside.clone())).map(|plain| plain.to_data()));
    let inside = inside.collect::<Result<_, _>>()?;
    data.into_builder().data_type(wanted).child_data(inside).build().map(make_array)
}

fn unwritten(cause: &ArrowError) -> Error {
    Error::Failed(format!("a record batch cannot be written: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use arrow::array::{Array, DictionaryArray, Int32Array, ListArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Int32Type;
    use arrow::ipc::reader::FileReader;
    use arrow::util::display::{ArrayFormatter, FormatOptions};

    use super::*;

    /// A struct, a list, a list of structs and a dictionary of lists, each with dictionaries of these texts.
    fn nested(texts: [&str; 3]) -> RecordBatch {
        let dictionary: ArrayRef = Arc::new(texts.into_iter().map(Some).collect::<DictionaryArray<Int32Type>>());
        let field = |array: &ArrayRef| Arc::new(Field::new("item", array.data_type().clone(), true));
        let structs: ArrayRef = Arc::new(StructArray::from(vec![(field(&dictionary), Arc::clone(&dictionary))]));
        let list = |items: &ArrayRef| -> ArrayRef {
            let offsets = OffsetBuffer::from_lengths([2, 0, 1]);
            Arc::new(ListArray::new(field(items), offsets, Arc::clone(items), None))
        };
        let lists = list(&dictionary);
        let keys = Int32Array::from(vec![Some(2), None, Some(0)]);
        let of_lists: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::clone(&lists)));
        let columns = [("structs", Arc::clone(&structs)), ("lists", lists), ("both", list(&structs)), ("of", of_lists)];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn dictionaries_in_a_file_may_change_at_any_depth() {
        let whole = [nested(["a", "b", "a"]), nested(["c", "d", "e"])];
        let batches = [whole[0].clone(), whole[1].slice(1, 2)];
        let mut encoder = Box::new(ArrowFileEncoder::new(&batches[0].schema()).unwrap());
        let mut file: Vec<Buffer> = batches.iter().flat_map(|batch| encoder.encode(batch).unwrap()).collect();
        file.extend(encoder.finish().unwrap());
        let file: Vec<u8> = file.iter().flat_map(|buffer| buffer.to_vec()).collect();
        let read: Vec<RecordBatch> =
            FileReader::try_new(Cursor::new(file), None).unwrap().map(Result::unwrap).collect();
        for (read, written) in read.iter().zip(&batches) {
            for (read, written) in read.columns().iter().zip(written.columns()) {
                assert_eq!(read, &plain(written).unwrap());
                let values = |column: &ArrayRef| {
                    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
                    (0..column.len()).map(|row| formatter.value(row).to_string()).collect::<Vec<_>>()
                };
                assert_eq!(values(read), values(written));
            }
        }
        assert_eq!(read[0]["structs"].as_struct().column(0).data_type(), &DataType::Utf8);
        assert_eq!(read[0]["of"].data_type(), read[0]["lists"].data_type());
    }
}
