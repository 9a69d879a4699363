//! How AWS is reached.

use std::fmt;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use super::Credentials;

/// Shorter than the shortest deadline of a call, so that an endpoint that
/// cannot be reached is told from one that does not answer, and long enough
/// for one lost packet.
const CONNECT: Duration = Duration::from_millis(1500);

/// What can be set. The rest of the standard configuration (endpoints of
/// single services, FIPS, profiles) the SDK reads from the environment and
/// `~/.aws` itself.
#[derive(Debug, Clone, Default)]
pub struct AwsSettings {
    /// Where everything is asked, instead of the endpoints that the SDK finds.
    pub endpoint_url: Option<String>,
    /// Where the instance metadata is asked, instead of where the SDK would.
    pub metadata_url: Option<String>,
    /// Keys to use, instead of the standard credential chain.
    pub keys: Option<Keys>,
}

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Its ID.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// Never shows the secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl AwsSettings {
    /// From the environment. Warns where the prior system's variables are in
    /// force.
    pub fn from_env() -> Self {
        let settings = Self::from_vars(|name| std::env::var(name).ok());
        if settings.keys.is_some() {
            tracing::warn!(
                "using AWS_ACCESS_KEY and AWS_SECRET_KEY, the names of the prior system; \
                 rename them to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            );
        }
        settings
    }

    /// From variables by name. Empty ones count as absent, as in the SDK.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name| var(name).filter(|value| !value.trim().is_empty());
        let standard = var("AWS_ACCESS_KEY_ID").is_some() || var("AWS_SECRET_ACCESS_KEY").is_some();
        let prior = || {
            Some(Keys {
                id: var("AWS_ACCESS_KEY")?,
                secret: var("AWS_SECRET_KEY")?,
            })
        };
        Self {
            keys: if standard { None } else { prior() },
            ..Self::default()
        }
    }
}

/// The reconciler retries, so the SDK does not; deadlines are set around each
/// call, body included, so stalled streams need no watching either. The
/// credentials have their own cache.
pub(super) async fn load(settings: &AwsSettings, credentials: Credentials) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        // Every client sets its own; this only keeps the loader from asking
        // the instance metadata for one.
        .region(Region::from_static("us-east-1"))
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(vars: &[(&str, &str)]) -> Option<Keys> {
        let var = |name: &str| {
            let found = vars.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        AwsSettings::from_vars(var).keys
    }

    #[test]
    fn the_prior_variables_count_where_the_standard_ones_are_absent() {
        let prior = [("AWS_ACCESS_KEY", "AKOLD"), ("AWS_SECRET_KEY", "hush")];
        let expected = Some(Keys {
            id: "AKOLD".into(),
            secret: "hush".into(),
        });
        assert_eq!(keys(&prior), expected);
        let empty = [prior[0], prior[1], ("AWS_ACCESS_KEY_ID", "")];
        assert_eq!(keys(&empty), expected);
        let both = [prior[0], prior[1], ("AWS_ACCESS_KEY_ID", "AKNEW")];
        assert_eq!(keys(&both), None);
        assert_eq!(keys(&prior[..1]), None, "half of them is no key");
        assert_eq!(keys(&[]), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let keys = keys(&[("AWS_ACCESS_KEY", "AKOLD"), ("AWS_SECRET_KEY", "hush")]);
        let shown = format!("{keys:?}");
        assert!(
            shown.contains("AKOLD") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
