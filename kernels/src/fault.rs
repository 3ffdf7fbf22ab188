//! What goes wrong with a device.

/// Why a device cannot be used, or what its error means to whoever gave it work. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is not to be had here: the text says what is missing.
    #[error("{0}")]
    Unavailable(String),
    /// It has no memory for this much at once: less may pass.
    #[error("{0}")]
    OutOfMemory(String),
    /// This piece of work failed.
    #[error("{0}")]
    Failed(String),
    /// It takes no more work in this process.
    #[error("{0}")]
    Lost(String),
}
