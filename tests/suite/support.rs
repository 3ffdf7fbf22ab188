//! What the tests share: where the fixtures are, loaded checkpoints, and the binary.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use textflight::Result;
use textflight::classifier::{
    Checkpoint, Classifier, ClassifierOptions, DTypeChoice, DeviceChoice, KernelChoice, ModelSource, Precision,
};
use tokio::net::TcpSocket;

/// A path below the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A path below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    repository("tests/fixtures").join(path)
}

/// A JSON fixture.
pub fn json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Precisions by name.
pub const F32: DTypeChoice = DTypeChoice::Exactly(Precision::Float32);
pub const BF16: DTypeChoice = DTypeChoice::Exactly(Precision::Bfloat16);
pub const INT8: DTypeChoice = DTypeChoice::Exactly(Precision::Int8);

/// The checkpoint in a folder, on the CPU in f32.
pub fn load(folder: &Path, max_length: usize) -> Result<Classifier> {
    load_in(folder, max_length, F32)
}

/// The same in a precision.
pub fn load_in(folder: &Path, max_length: usize, dtype: DTypeChoice) -> Result<Classifier> {
    let device = DeviceChoice::Cpu;
    load_with(folder, &ClassifierOptions { max_length, dtype, device, cuda_libraries: None, kernels: kernels() })
}

/// What `TEXTFLIGHT_KERNELS` says: one process has one family of kernels, see `families`.
pub fn kernels() -> KernelChoice {
    std::env::var("TEXTFLIGHT_KERNELS").map_or(KernelChoice::Auto, |family| family.parse().unwrap())
}

/// The same with any options.
pub fn load_with(folder: &Path, options: &ClassifierOptions) -> Result<Classifier> {
    Classifier::load(&Checkpoint::open(&ModelSource::Folder(folder.to_owned()))?, options)
}

/// A copy of a good checkpoint, to be broken.
pub fn copy_checkpoint(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture("golden").join(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// Writes one key of the folder's `config.json`.
pub fn edit_config(folder: &Path, key: &str, value: Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(path, config.to_string()).unwrap();
}

/// The binary, without the variables of whoever runs the tests.
pub fn binary() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_textflight")))
}

/// A command that inherits none of the variables that change what the binary does.
pub fn without_settings(mut command: Command) -> Command {
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        let is_setting =
            ["TEXTFLIGHT_", "COG_", "OTEL_", "HF_", "HUGGING"].iter().any(|prefix| name.starts_with(prefix))
                || name.to_ascii_uppercase().ends_with("_PROXY")
                || ["PORT", "WEBHOOK_AUTH_TOKEN", "TRANSFORMERS_OFFLINE"].contains(&&*name);
        if is_setting {
            command.env_remove(name);
        }
    }
    command
}

/// A port that refuses whoever connects: it is bound, so that no other test's server gets it, and does not listen.
pub fn closed_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    socket
}
