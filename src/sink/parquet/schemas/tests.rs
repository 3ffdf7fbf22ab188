use std::sync::Arc;

use ::arrow::datatypes::{DataType, Field};

use super::*;

/// A column of every type that scores have.
fn columns() -> Fields {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    Fields::from(vec![
        Field::new("label", DataType::Utf8, true),
        Field::new("class", DataType::Int64, true),
        Field::new("confidence", DataType::Float32, true),
        Field::new("tokens", DataType::Int32, true),
        Field::new("truncated", DataType::Boolean, true),
        Field::new("probabilities", DataType::FixedSizeList(item, 2), true),
    ])
}

fn few() -> Fields {
    Fields::from(columns()[..1].to_vec())
}

fn extended_by(key: &str, value: &str, fields: &Fields, first_id: i64) -> Result<Option<String>, String> {
    extended_value(key, Ok(value), &NewColumns { fields, first_id })
}

/// The entry with the columns, as JSON.
fn all(key: &str, value: &str) -> Value {
    json(&extended_by(key, value, &columns(), 1).unwrap().unwrap()).unwrap()
}

#[test]
fn spark_learns_of_every_type() {
    let old = r#"{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{"a":1}}]}"#;
    let new = all(spark::KEY, old);
    let types: Vec<_> = new["fields"].as_array().unwrap().iter().map(|field| field["type"].to_string()).collect();
    let list = r#"{"type":"array","elementType":"float","containsNull":false}"#;
    assert_eq!(types, ["\"long\"", "\"string\"", "\"long\"", "\"float\"", "\"integer\"", "\"boolean\"", list]);
    assert_eq!(new["fields"][0]["metadata"]["a"], 1);
    assert_eq!(new["fields"][1].to_string(), r#"{"name":"label","type":"string","nullable":true,"metadata":{}}"#);
}

#[test]
fn spark_s_old_text_learns_too() {
    let check = |old: &str, new: &str| assert_eq!(extended_by(spark::KEY, old, &few(), 1), Ok(Some(new.to_owned())));
    check(
        "StructType(List(StructField(id,LongType,true)))",
        "StructType(List(StructField(id,LongType,true), StructField(label,StringType,true)))",
    );
    check("StructType(ArrayBuffer())", "StructType(ArrayBuffer(StructField(label,StringType,true)))");
    let new = extended_by(spark::KEY, "StructType(List())", &columns(), 1).unwrap().unwrap();
    assert!(new.ends_with("StructField(probabilities,ArrayType(FloatType,false),true)))"), "{new}");
}

#[test]
fn avro_learns_of_every_type() {
    let old = r#"{"type":"record","name":"r","namespace":"a.b","fields":[{"name":"id","type":"long"}],"doc":"d"}"#;
    for key in avro::KEYS {
        let new = all(key, old);
        assert_eq!((&new["namespace"], &new["doc"]), (&"a.b".into(), &"d".into()));
        let types: Vec<_> = new["fields"].as_array().unwrap().iter().map(|field| field["type"].to_string()).collect();
        let plain = ["string", "long", "float", "int", "boolean"].map(|kind| format!("[\"null\",\"{kind}\"]"));
        assert_eq!(types[1..6], plain);
        assert_eq!(types[6], r#"["null",{"type":"array","items":"float"}]"#);
        assert_eq!(new["fields"][1].to_string(), r#"{"name":"label","type":["null","string"],"default":null}"#);
    }
}

#[test]
fn a_name_that_avro_cannot_have_is_refused() {
    let fields = |name: &str| Fields::from(vec![Field::new(name, DataType::Utf8, true)]);
    for name in ["label", "_label2", "L"] {
        avro::check_names(&fields(name)).unwrap();
    }
    for name in ["my label", "2nd", "naïve", "", "a-b"] {
        let error = avro::check_names(&fields(name)).unwrap_err();
        assert!(matches!(error, crate::Error::Invalid(_)));
        assert!(
            error.to_string().starts_with(&format!("column name {name:?}: the file has an Avro schema")),
            "{error}"
        );
    }
}

#[test]
fn a_column_that_is_listed_but_gone_gives_way() {
    let avro = r#"{"type":"record","name":"r","fields":[{"name":"label","type":"int"},{"name":"id","type":"long"}]}"#;
    let new = all(avro::KEYS[0], avro);
    let names: Vec<_> = new["fields"].as_array().unwrap().iter().map(|field| field["name"].clone()).collect();
    assert_eq!(names, ["id", "label", "class", "confidence", "tokens", "truncated", "probabilities"]);
}

const ICEBERG: &str = r#"{"type":"struct","schema-id":0,"fields":[
    {"id":1,"name":"id","required":true,"type":"long"},
    {"id":4,"name":"tags","required":false,"type":{"type":"list","element-id":9,"element":"string","element-required":false}},
    {"id":2147483546,"name":"_file","required":false,"type":"string"}]}"#;

#[test]
fn iceberg_s_numbers_go_on_after_the_largest() {
    assert_eq!(iceberg::first_free_id(ICEBERG, Some(3)), 10);
    assert_eq!(iceberg::first_free_id(ICEBERG, Some(20)), 21);
    assert_eq!(iceberg::first_free_id(ICEBERG, None), 10);
    let new = json(&extended_by(iceberg::KEY, ICEBERG, &columns(), 10).unwrap().unwrap()).unwrap();
    assert_eq!(new["fields"][3].to_string(), r#"{"id":10,"name":"label","required":false,"type":"string"}"#);
    let list = r#"{"type":"list","element-id":16,"element":"float","element-required":true}"#;
    assert_eq!((&new["fields"][8]["id"], new["fields"][8]["type"].to_string()), (&15.into(), list.to_owned()));
}

#[test]
fn iceberg_s_numbers_stand_at_the_columns_too() {
    let id = |field: &Field| field.metadata().get("PARQUET:field_id").cloned();
    let fields = iceberg::numbered(&columns(), 10);
    let ids: Vec<_> = fields.iter().map(|field| id(field).unwrap()).collect();
    assert_eq!(ids, ["10", "11", "12", "13", "14", "15"]);
    let DataType::FixedSizeList(item, 2) = fields[5].data_type() else { panic!("no list of two") };
    assert_eq!(id(item).unwrap(), "16");
}

#[test]
fn pandas_lists_the_columns() {
    let old = r#"{"index_columns":[],"column_indexes":[{"name":null,"field_name":null,"pandas_type":"unicode","numpy_type":"object","metadata":{"encoding":"UTF-8"}}],"columns":[],"creator":{"library":"pyarrow"}}"#;
    let new = all(pandas::KEY, old);
    let types: Vec<_> = new["columns"].as_array().unwrap().iter().map(|column| column["pandas_type"].clone()).collect();
    assert_eq!(types, ["unicode", "int64", "float32", "int32", "bool", "list[float32]"]);
    assert_eq!(new["columns"][0]["name"], "label");
    assert_eq!(new["column_indexes"], json(old).unwrap()["column_indexes"]);
}

/// pandas fails at a label that is no value of the frame's column index.
#[test]
fn labels_of_pandas_fit_its_column_index() {
    let level =
        |kind: &str| format!(r#"{{"name":"n","field_name":"n","pandas_type":"{kind}","numpy_type":"x","metadata":1}}"#);
    let frame = |levels: &[String]| {
        all(pandas::KEY, &format!(r#"{{"columns":[{{"name":"c"}}],"column_indexes":[{}]}}"#, levels.join(",")))
    };
    let two = frame(&[level("unicode"), level("int64")]);
    assert_eq!(two["columns"][1]["name"], "('label', '')");
    assert_eq!(two["columns"][1]["field_name"], "label");
    assert_eq!(two["column_indexes"][0].to_string(), level("unicode"));
    let named = Fields::from(vec![Field::new("('film', 'label')", DataType::Utf8, true)]);
    let named = extended_by(pandas::KEY, &two.to_string(), &named, 1).unwrap().unwrap();
    assert_eq!(json(&named).unwrap()["columns"][7]["name"], "('film', 'label')");
    for kind in ["int64", "datetime", "datetimetz", "categorical", "bool", "float64"] {
        let typed = frame(&[level(kind)]);
        assert_eq!(typed["columns"][1]["name"], "label", "{kind}");
        let any = r#"{"name":"n","field_name":"n","pandas_type":"mixed","numpy_type":"object","metadata":null}"#;
        assert_eq!(typed["column_indexes"][0].to_string(), any, "{kind}");
    }
}

#[test]
fn features_of_data_sets_are_added() {
    let old = r#"{"info":{"features":{"text":{"dtype":"string","_type":"Value"}}}}"#;
    let new = all(huggingface::KEY, old);
    let features = &new["info"]["features"];
    assert_eq!(features["text"]["dtype"], "string");
    assert_eq!(features["confidence"].to_string(), r#"{"dtype":"float32","_type":"Value"}"#);
    let list = r#"{"feature":{"dtype":"float32","_type":"Value"},"length":2,"_type":"Sequence"}"#;
    assert_eq!(features["probabilities"].to_string(), list);
}

#[test]
fn what_lists_no_columns_stays() {
    let cases = [
        (pandas::KEY, r#"{"index_columns":[]}"#),
        (huggingface::KEY, r#"{"info":{"features":null}}"#),
        (huggingface::KEY, "{}"),
        ("geo", r#"{"columns":{}}"#),
        ("org.apache.spark.version", "3.5.1"),
        ("hoodie_bloom_filter_type_code", "DYNAMIC_V0"),
        ("writer.model.name", "avro"),
    ];
    for (key, value) in cases {
        assert_eq!(extended_by(key, value, &few(), 1), Ok(None), "{key}");
    }
}

#[test]
fn what_is_unreadable_says_so() {
    for key in
        [spark::KEY, avro::KEYS[0], avro::KEYS[1], iceberg::KEY, pandas::KEY, huggingface::KEY, ARROW_SCHEMA_META_KEY]
    {
        for value in ["", "{", "\u{1}"] {
            assert!(extended_by(key, value, &few(), 1).is_err(), "{key}: {value:?}");
        }
        assert!(extended_value(key, Err("no UTF-8".to_owned()), &NewColumns { fields: &few(), first_id: 1 }).is_err());
    }
    for key in [spark::KEY, iceberg::KEY] {
        assert_eq!(extended_by(key, "{}", &few(), 1), Err("it has no list of fields".to_owned()));
    }
    assert_eq!(extended_by(avro::KEYS[0], "\"string\"", &few(), 1), Err("it is no record".to_owned()));
}

#[test]
fn an_arrow_schema_holds_the_others_too() {
    let inner = r#"{"info":{"features":{}}}"#;
    let metadata = std::collections::HashMap::from([(huggingface::KEY.to_owned(), inner.to_owned())]);
    let old = ::arrow::datatypes::Schema::new_with_metadata(Fields::empty(), metadata);
    let encoded = ::parquet::arrow::encode_arrow_schema(&old);
    let new = extended_by(ARROW_SCHEMA_META_KEY, &encoded, &few(), 1).unwrap().unwrap();
    let expected = extended_by(huggingface::KEY, inner, &few(), 1).unwrap().unwrap();
    let metadata = std::collections::HashMap::from([(huggingface::KEY.to_owned(), expected)]);
    let expected = ::arrow::datatypes::Schema::new_with_metadata(few(), metadata);
    assert_eq!(new, ::parquet::arrow::encode_arrow_schema(&expected));
}
