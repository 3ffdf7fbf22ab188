//! The column that holds the right answers, if the caller names one.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow::error::ArrowError;

use crate::table::is_string;
use crate::{Error, Result};

/// A column of known classes: integers are class indexes, strings class names.
#[derive(Debug, Clone)]
pub struct Truth {
    name: String,
    index: usize,
    is_name: bool,
    classes: Vec<String>,
}

impl Truth {
    /// Finds the column `name`, which must be of integers or strings.
    pub fn find(schema: &Schema, name: &str, classes: &[String]) -> Result<Self> {
        let Some((index, field)) = schema.column_with_name(name) else {
            let columns = schema.fields().iter();
            let columns: Vec<_> = columns
                .filter(|field| is_index(field.data_type()) || is_string(field.data_type()))
                .map(|field| field.name().as_str())
                .collect();
            return Err(Error::Invalid(format!(
                "truth column {name:?} not found; columns of integers or strings: {}",
                columns.join(", ")
            )));
        };
        let data_type = field.data_type();
        if !is_index(data_type) && !is_string(data_type) {
            return Err(Error::Invalid(format!(
                "truth column {name:?} is {data_type}; it must hold integers (class indexes) or strings (class names)"
            )));
        }
        Ok(Self { name: name.to_owned(), index, is_name: is_string(data_type), classes: classes.to_vec() })
    }

    /// Which column of the file it is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same of a column in which all is text: a class's name, or its number.
    pub fn classes_of_texts(&self, column: &ArrayRef) -> Result<Vec<Option<usize>>> {
        let wrong = |cause: ArrowError| Error::Invalid(format!("truth column {:?}: {cause}", self.name));
        let texts = match column.as_binary_view_opt() {
            Some(bytes) => bytes.clone().to_string_view().map_err(wrong)?,
            None => cast(column, &DataType::Utf8View).map_err(wrong)?.as_string_view().clone(),
        };
        let class = |text: &str| match text.parse() {
            Ok(index) if !self.classes.iter().any(|class| class == text) => self.numbered(index),
            _ => self.named(text),
        };
        texts.iter().map(|text| text.map(class).transpose()).collect()
    }

    /// The class index of each row; `None` where the right answer is not known.
    pub fn classes(&self, column: &ArrayRef) -> Result<Vec<Option<usize>>> {
        // Unsafe casts fail on what does not fit; safe ones would call it unknown.
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let as_type = |data_type| {
            cast_with_options(column, &data_type, &options)
                .map_err(|cause| Error::Invalid(format!("truth column {:?}: {cause}", self.name)))
        };
        if self.is_name {
            let names = as_type(DataType::Utf8View)?;
            let names = names.as_string_view().iter();
            return names.map(|name| name.map(|name| self.named(name)).transpose()).collect();
        }
        let indexes = as_type(DataType::Int64)?;
        let indexes = indexes.as_primitive::<Int64Type>().iter();
        indexes.map(|index| index.map(|index| self.numbered(index)).transpose()).collect()
    }

    fn named(&self, name: &str) -> Result<usize> {
        let found = self.classes.iter().position(|class| class == name);
        found.ok_or_else(|| self.no_class(&format!("{name:?}")))
    }

    fn numbered(&self, index: i64) -> Result<usize> {
        let found = usize::try_from(index).ok();
        found.filter(|index| *index < self.classes.len()).ok_or_else(|| self.no_class(&index.to_string()))
    }

    fn no_class(&self, value: &str) -> Error {
        let classes = self.classes.iter().enumerate();
        let classes: Vec<_> = classes.map(|(index, class)| format!("{index} {class}")).collect();
        Error::Invalid(format!(
            "truth column {:?} holds {value}, which is no class; classes: {}",
            self.name,
            classes.join(", ")
        ))
    }
}

fn is_index(data_type: &DataType) -> bool {
    data_type.is_integer()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Array, BooleanArray, DictionaryArray, Float32Array, Int8Array, Int64Array, LargeStringArray, StringArray,
        UInt64Array,
    };
    use arrow::datatypes::{Field, Int32Type};
    use std::sync::Arc;

    fn find(array: &ArrayRef, name: &str) -> Result<Truth> {
        let fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("score", DataType::Float32, false),
            Field::new("truth", array.data_type().clone(), true),
        ];
        let classes = ["NEGATIVE", "POSITIVE"].map(str::to_owned);
        Truth::find(&Schema::new(fields), name, &classes)
    }

    fn classes(array: impl Array + 'static) -> Result<Vec<Option<usize>>> {
        let array: ArrayRef = Arc::new(array);
        find(&array, "truth")?.classes(&array)
    }

    #[test]
    fn integers_of_any_width_are_class_indexes() {
        let expected = vec![Some(1), None, Some(0)];
        let values = [Some(1), None, Some(0)];
        assert_eq!(classes(Int8Array::from(values.to_vec())).unwrap(), expected);
        let values = [Some(1), None, Some(0)];
        assert_eq!(classes(Int64Array::from(values.to_vec())).unwrap(), expected);
        let values = [Some(1), None, Some(0)];
        assert_eq!(classes(UInt64Array::from(values.to_vec())).unwrap(), expected);
    }

    #[test]
    fn strings_of_any_kind_are_class_names() {
        let values = vec![Some("POSITIVE"), None, Some("NEGATIVE")];
        let expected = vec![Some(1), None, Some(0)];
        assert_eq!(classes(StringArray::from(values.clone())).unwrap(), expected);
        assert_eq!(classes(LargeStringArray::from(values.clone())).unwrap(), expected);
        let dictionary: DictionaryArray<Int32Type> = values.into_iter().collect();
        assert_eq!(classes(dictionary).unwrap(), expected);
    }

    fn refused(outcome: Result<impl std::fmt::Debug>) -> String {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        error.to_string()
    }

    #[test]
    fn a_missing_column_is_refused_and_the_others_named() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![0]));
        assert_eq!(
            refused(find(&array, "gold")),
            "truth column \"gold\" not found; columns of integers or strings: id, truth"
        );
    }

    #[test]
    fn a_column_of_another_type_is_refused() {
        let rule = "it must hold integers (class indexes) or strings (class names)";
        assert_eq!(
            refused(classes(BooleanArray::from(vec![true]))),
            format!("truth column \"truth\" is Boolean; {rule}")
        );
        assert_eq!(
            refused(classes(Float32Array::from(vec![1.0]))),
            format!("truth column \"truth\" is Float32; {rule}")
        );
    }

    #[test]
    fn a_value_that_is_no_class_is_refused() {
        let known = "which is no class; classes: 0 NEGATIVE, 1 POSITIVE";
        assert_eq!(refused(classes(Int64Array::from(vec![0, 2]))), format!("truth column \"truth\" holds 2, {known}"));
        assert_eq!(refused(classes(Int64Array::from(vec![-1]))), format!("truth column \"truth\" holds -1, {known}"));
        assert_eq!(
            refused(classes(StringArray::from(vec!["good"]))),
            format!("truth column \"truth\" holds \"good\", {known}")
        );
    }

    #[test]
    fn a_number_too_large_is_refused_and_not_unknown() {
        let error = refused(classes(UInt64Array::from(vec![u64::MAX])));
        assert!(error.starts_with("truth column \"truth\": "), "{error}");
    }
}
