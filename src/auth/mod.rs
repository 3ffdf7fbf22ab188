//! How clients prove themselves: the same on every transport, and before anything else.
//!
//! A token may come as `Authorization: Bearer TOKEN`, as the password of `Authorization: Basic`, or as Flight's
//! `auth-token-bin`. Whoever compares it learns its name alone, and the time that takes tells nothing.

mod authenticator;
mod credentials;
mod token;
mod token_file;
mod token_set;

pub use self::authenticator::Authenticator;
pub use self::credentials::{Credentials, Denied};
pub use self::token::Token;
pub use self::token_file::MAX_TOKENS;
