//! What a server says of its model and its limits.

use arrow_flight::Action;
use serde::Deserialize;
use tokio::time::timeout;

use super::connection::{Bearer, PATIENCE, ServerClient};
use super::fault::ServerFault;
use crate::Error;
use crate::classifier::ModelFacts;

/// The action that it is asked by.
const ACTION: &str = "model_info";

/// What a server says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct ServerFacts {
    /// Its model.
    #[serde(flatten)]
    pub model: ModelFacts,
    /// What it takes.
    pub limits: ServerLimits,
}

/// What a server takes.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ServerLimits {
    /// Bytes of a message.
    pub message_bytes: usize,
}

/// Asks a server for what it says of itself.
///
/// # Errors
/// [`ServerFault::Lost`] when it does not answer, and [`ServerFault::Final`] when it is no server of ours.
pub async fn inquire(client: &mut ServerClient, bearer: &Bearer) -> Result<ServerFacts, ServerFault> {
    let asked = async {
        let call = bearer.call(Action { r#type: ACTION.to_owned(), body: bytes::Bytes::new() });
        client.do_action(call).await?.into_inner().message().await
    };
    let silent = |_| ServerFault::Lost(format!("it did not say what it serves within {} s", PATIENCE.as_secs()));
    let said = timeout(PATIENCE, asked).await.map_err(silent)?.map_err(|status| ServerFault::of_status(&status))?;
    let body = said.map(|result| result.body).unwrap_or_default();
    serde_json::from_slice(&body).map_err(|cause| {
        let what = format!("it does not say what it serves as textflight does (action {ACTION}): {cause}");
        ServerFault::Final(Error::Failed(what))
    })
}
