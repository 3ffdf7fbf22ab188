//! Types by the names that users of Arrow know them by.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

/// As pyarrow writes it: `list<string>` and not `List(Utf8)`.
pub fn type_name(data_type: &DataType) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    let of = |outer: &str, item: &DataType| format!("{outer}<{}>", type_name(item));
    match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Float16 => "halffloat".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::LargeUtf8 => "large_string".to_owned(),
        DataType::Utf8View => "string_view".to_owned(),
        DataType::LargeBinary => "large_binary".to_owned(),
        DataType::BinaryView => "binary_view".to_owned(),
        DataType::FixedSizeBinary(bytes) => format!("fixed_size_binary[{bytes}]"),
        DataType::Timestamp(of, None) => format!("timestamp[{}]", unit(of)),
        DataType::Timestamp(of, Some(zone)) => format!("timestamp[{}, tz={zone}]", unit(of)),
        DataType::Time32(of) => format!("time32[{}]", unit(of)),
        DataType::Time64(of) => format!("time64[{}]", unit(of)),
        DataType::Duration(of) => format!("duration[{}]", unit(of)),
        DataType::Interval(IntervalUnit::MonthDayNano) => "month_day_nano_interval".to_owned(),
        DataType::List(item) => of("list", item.data_type()),
        DataType::LargeList(item) => of("large_list", item.data_type()),
        DataType::ListView(item) => of("list_view", item.data_type()),
        DataType::LargeListView(item) => of("large_list_view", item.data_type()),
        DataType::FixedSizeList(item, length) => {
            format!("fixed_size_list<{}>[{length}]", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|field| format!("{}: {}", field.name(), type_name(field.data_type()))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        DataType::Dictionary(index, values) => format!("dictionary<{}, {}>", type_name(index), type_name(values)),
        DataType::RunEndEncoded(ends, values) => {
            format!("run_end_encoded<{}, {}>", type_name(ends.data_type()), type_name(values.data_type()))
        }
        DataType::Map(..) => "map".to_owned(),
        DataType::Union(..) => "union".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn types_are_named_as_users_know_them() {
        let text = |data_type| Arc::new(Field::new("item", data_type, true));
        for (data_type, expected) in [
            (DataType::Int64, "int64"),
            (DataType::UInt8, "uint8"),
            (DataType::Float64, "double"),
            (DataType::Null, "null"),
            (DataType::Binary, "binary"),
            (DataType::Utf8View, "string_view"),
            (DataType::Date32, "date32"),
            (DataType::Decimal128(5, 2), "decimal128(5, 2)"),
            (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "timestamp[us, tz=UTC]"),
            (DataType::List(text(DataType::Utf8)), "list<string>"),
            (DataType::FixedSizeList(text(DataType::LargeUtf8), 3), "fixed_size_list<large_string>[3]"),
            (DataType::Struct(vec![text(DataType::Boolean)].into()), "struct<item: bool>"),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), "dictionary<int8, string>"),
            (DataType::RunEndEncoded(text(DataType::Int16), text(DataType::Utf8)), "run_end_encoded<int16, string>"),
        ] {
            assert_eq!(type_name(&data_type), expected);
        }
    }
}
