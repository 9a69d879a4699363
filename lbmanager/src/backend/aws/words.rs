//! What went wrong, for the one who is woken by it.

use std::error::Error;

pub(super) use presence::process::words::chain;

/// More of AWS's message is not passed on.
const LONGEST: usize = 400;

/// What an error is due to in the end.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

/// AWS's message on one line of bounded length.
pub(super) fn message(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What to do about an error of this code; `None` where its message says it.
pub(super) fn advice(code: &str, action: &str) -> Option<String> {
    Some(match code {
        _ if is_about_permission(code) => format!("allow {action} in IAM"),
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => {
            "check the access key, and that the region is switched on for the account".to_owned()
        }
        "ExpiredToken" | "ExpiredTokenException" => {
            "renew the session token; those of an instance's role are renewed by themselves"
                .to_owned()
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            "check the secret access key, and this host's clock".to_owned()
        }
        "RequestExpired" | "RequestTimeTooSkewed" => "check this host's clock".to_owned(),
        "AuthFailure" | "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => {
            "check the credentials".to_owned()
        }
        "OptInRequired" | "SubscriptionRequiredException" => {
            "the account is not signed up for this service or region".to_owned()
        }
        _ => return None,
    })
}

/// Whether AWS knows who we are, and says that we may not.
pub(super) fn is_about_permission(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized"
    )
}

/// Whether AWS's message for this code is left out: it quotes the request with
/// its headers, the session token among them, and the time.
pub(super) fn is_revealing(code: &str) -> bool {
    matches!(
        code,
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(message("Rate\n  exceeded "), "Rate exceeded");
        let long = message(&"é".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

    #[test]
    fn access_denied_names_the_action() {
        let advice = advice(
            "AccessDenied",
            "elasticloadbalancing:DescribeInstanceHealth",
        );
        assert_eq!(
            advice.as_deref(),
            Some("allow elasticloadbalancing:DescribeInstanceHealth in IAM")
        );
    }
}
