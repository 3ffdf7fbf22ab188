//! What pages say of themselves once they are unpacked.

use std::sync::Arc;

use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::{PageRoom, most_unpacked, room_of};
use crate::source::parquet::{delta, levels};
use crate::source::ranged::RangedFile;

/// The pages of the chunk have no more differences than they have values, and become no larger than pages may. They must be
/// known to be no bombs. Gives the room that they take where so many rows are decoded at a time. Holds a page at a time.
///
/// # Errors
/// What is wrong with one of them.
pub fn check(file: &RangedFile, chunk: &ColumnChunkMetaData, batch_rows: usize) -> Result<PageRoom, String> {
    let (column, mut room) = (chunk.column_descr(), room_of(chunk, batch_rows));
    let rows = usize::try_from(chunk.num_values()).unwrap_or(0);
    let pages = SerializedPageReader::new(Arc::new(file.clone()), chunk, rows, None);
    let mut pages = pages.map_err(|cause| cause.to_string())?;
    let mut values = 0;
    loop {
        let page = match pages.get_next_page() {
            Ok(Some(page)) => page,
            Ok(None) => break,
            // What some writers leave behind the last page.
            Err(_) if values >= rows => break,
            Err(cause) => return Err(cause.to_string()),
        };
        let texts = delta::texts(&page, column)
            .ok_or("a page has more values than its header says, or not the bytes for them")?;
        let (bytes, most) = (page.buffer().len() as u64, most_unpacked(page.buffer().len() as u64));
        if texts > most {
            return Err(format!("a page's texts would have {texts} bytes; at most {most} are taken"));
        }
        if let Page::DictionaryPage { .. } = page {
            room.add_dictionary(bytes);
        } else {
            levels::each_run(&page, column, |begins_rows, count| room.add_values(begins_rows, count));
            room.add_page(bytes.saturating_add(texts));
            values = values.saturating_add(page.num_values() as usize);
        }
    }
    Ok(room)
}
