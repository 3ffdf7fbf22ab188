//! `textflight predict`, from its inputs to its output.

use textflight::Error;
use textflight::cog::command::{PredictRequest, run};

use crate::engines::Fake;

#[tokio::test]
async fn a_file_in_a_file_out() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.json");
    std::fs::write(&input, r#"["odd", "even", 1]"#).unwrap();
    let output = folder.path().join("output.json");
    let request = PredictRequest { inputs: vec![format!("texts=@{}", input.display())], output: Some(output.clone()) };
    run(request, Fake::engine(8)).await.unwrap();

    // `[EMPTY]` has seven characters.
    let expected = "{\n  \"predicted_labels\": [\n    1,\n    0,\n    1\n  ],\n  \"confidences\": [\n    0.75,\n    \
        0.9998000264167786,\n    0.75\n  ]\n}\n";
    assert_eq!(std::fs::read_to_string(output).unwrap(), expected);
}

#[tokio::test]
async fn what_fails_says_why() {
    let predict = |input: &str| {
        let output = Some("never-written.json".into());
        run(PredictRequest { inputs: vec![input.to_owned()], output }, Fake::engine(8))
    };
    for (input, expected) in [
        ("prompt=a", "unknown input `prompt`; the only input is `texts`"),
        ("texts=data:application/json;base64,WyJhIl0", "not base64: Error: Incorrect padding"),
        ("texts=data:application/json;base64,/w==", "not UTF-8: 'utf-8' codec can't decode byte 0xff"),
        (r#"texts=["\ud800"]"#, "element 0 of `texts` holds half of a surrogate pair"),
    ] {
        match predict(input).await {
            Err(Error::Invalid(message)) => assert!(message.contains(expected), "{input}: {message}"),
            other => panic!("{input}: {other:?}"),
        }
    }
    let failed = predict("texts=fail").await;
    assert!(matches!(&failed, Err(Error::Failed(cause)) if cause == "the device failed"), "{failed:?}");
    assert!(!std::path::Path::new("never-written.json").exists());
}
