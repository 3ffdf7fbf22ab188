//! What functions take and give. Databases compare these types with those of their own declarations.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::function::Function;

/// The key of a signature's metadata under which Databend's clients look for the number of arguments.
const ARGUMENTS: &str = "x-databend-udf-input-count";

impl Function {
    /// What it takes.
    pub fn arguments(self) -> Fields {
        match self {
            Self::Label | Self::Confidence | Self::Score => vec![Field::new("text", DataType::Utf8, true)].into(),
            Self::Healthy => Fields::empty(),
        }
    }

    /// The one column that it gives.
    pub fn returns(self) -> Schema {
        let (name, data_type) = match self {
            Self::Label => ("label", DataType::Utf8),
            Self::Confidence => ("confidence", DataType::Float32),
            Self::Score => ("score", DataType::Struct(score_fields())),
            Self::Healthy => ("healthy", DataType::Int32),
        };
        Schema::new(vec![Field::new(name, data_type, true)])
    }

    /// What it takes, followed by what it gives.
    pub fn signature(self) -> Schema {
        let arguments = self.arguments();
        let metadata = HashMap::from([(ARGUMENTS.to_owned(), arguments.len().to_string())]);
        let fields: Fields = arguments.iter().chain(self.returns().fields()).map(Arc::clone).collect();
        Schema::new_with_metadata(fields, metadata)
    }
}

/// The fields of a score. They may be null as far as databases can see: RisingWave has no others.
pub fn score_fields() -> Fields {
    vec![Field::new("label", DataType::Utf8, true), Field::new("confidence", DataType::Float32, true)].into()
}
