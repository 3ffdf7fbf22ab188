//! In which formats a job reads and writes.

use std::path::Path;

use crate::bulk::inputs::Pairs;
use crate::format::TableFormat;
use crate::source::sequential::STANDARD;
use crate::{Error, Result};

/// What the names of packed files end in.
const PACKED: [&str; 5] = ["gz", "zst", "bz2", "xz", "lz4"];

/// The formats of the input and of the output: as they are called, or else as `named`; an output that says nothing is as the input
/// is, and an input of any other name is Parquet.
///
/// # Errors
/// [`Error::Invalid`] where nothing says what standard input is, where a file is packed, and where `named` is of no use.
pub fn formats(input: &Path, output: &Path, named: Option<TableFormat>) -> Result<(TableFormat, TableFormat)> {
    [input, output].into_iter().try_for_each(check_unpacked)?;
    let (read, written) = (TableFormat::of_path(input), TableFormat::of_path(output));
    if let (Some(_), Some(written), Some(named)) = (read, written, named)
        && written != named
    {
        let output = output.display();
        return Err(Error::Invalid(format!(
            "--format {named}: -o {output} says {written} by its name; --format is for what has no such name"
        )));
    }
    let read = match read.or(named) {
        Some(read) => read,
        None if input == Path::new(STANDARD) => {
            let names: Vec<_> = TableFormat::names().collect();
            let what = "nothing says what comes on standard input; add --format with one of";
            return Err(Error::Invalid(format!("{STANDARD}: {what} {}", names.join(", "))));
        }
        None => TableFormat::Parquet,
    };
    if read == TableFormat::Parquet && input == Path::new(STANDARD) {
        let what = "a Parquet file is read from its end: name a file, or send an Arrow stream (--format arrows)";
        return Err(Error::Invalid(format!("{STANDARD}: {what}")));
    }
    Ok((read, written.or(named).unwrap_or(read)))
}

/// The same for inputs that become one table, which are of one format.
///
/// # Errors
/// As [`formats`], and for inputs of several formats.
pub fn formats_of_all(inputs: &Pairs, output: &Path, named: Option<TableFormat>) -> Result<(TableFormat, TableFormat)> {
    let mut all = inputs.inputs();
    let Some(first) = all.next() else { return Err(Error::Invalid("no input: name a file".to_owned())) };
    let expected = formats(&first.name(), output, named)?;
    for input in all {
        let (read, _) = formats(&input.name(), output, named)?;
        if read != expected.0 {
            let what = format!("{input} is {read}, and {first} {}: --merge takes files of one format", expected.0);
            return Err(Error::Invalid(what));
        }
    }
    Ok(expected)
}

fn check_unpacked(path: &Path) -> Result<()> {
    let packed = path.extension().and_then(|end| end.to_str()).filter(|end| {
        let is_table = path.file_stem().is_some_and(|inner| TableFormat::of_path(Path::new(inner)).is_some());
        is_table && PACKED.iter().any(|packed| packed.eq_ignore_ascii_case(end))
    });
    packed.map_or(Ok(()), |end| {
        Err(Error::Invalid(format!(
            "{}: tables packed as .{end} are neither read nor written; unpack it, as in zcat x.csv.gz | textflight score - \
             --format csv",
            path.display()
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(input: &str, output: &str, named: Option<TableFormat>) -> Result<(TableFormat, TableFormat), String> {
        formats(Path::new(input), Path::new(output), named).map_err(|error| error.to_string())
    }

    #[test]
    fn names_say_it_before_the_option_does() {
        use TableFormat::{ArrowStream, Csv, JsonLines, Parquet};
        for (input, output, named, expected) in [
            ("a.csv", "b.CSV", None, (Csv, Csv)),
            ("a.csv", "b", None, (Csv, Csv)),
            ("a", "b", None, (Parquet, Parquet)),
            ("a", "b", Some(Csv), (Csv, Csv)),
            ("a.csv", "b.parquet", None, (Csv, Parquet)),
            ("a.csv", "-", Some(JsonLines), (Csv, JsonLines)),
            ("-", "-", Some(ArrowStream), (ArrowStream, ArrowStream)),
            ("-", "b.parquet", Some(Csv), (Csv, Parquet)),
            ("a.csv", "b.csv", Some(Csv), (Csv, Csv)),
        ] {
            assert_eq!(of(input, output, named), Ok(expected), "{input} {output} {named:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (input, output, named, cause) in [
            ("-", "b.csv", None, "nothing says what comes on standard input"),
            ("-", "b.csv", Some(TableFormat::Parquet), "read from its end"),
            ("a.csv", "b.csv", Some(TableFormat::JsonLines), "--format jsonl: -o b.csv says csv by its name"),
            ("a.csv.gz", "b.csv", None, "unpack it"),
            ("a.csv", "b.jsonl.ZST", None, "neither read nor written"),
        ] {
            let error = of(input, output, named).unwrap_err();
            assert!(error.contains(cause), "{error}");
        }
    }
}
