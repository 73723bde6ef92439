//! The ways to reach a customer.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to reach a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// E-mail.
    Email,
    /// Text message.
    Sms,
    /// Letter.
    Post,
    /// The web site or the app, when the customer visits it.
    Web,
    /// Not to be contacted.
    None,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Post => "post",
            Channel::Web => "web",
            Channel::None => "none",
        })
    }
}
