//! Keys of etcd's v2 API, which the v3 API does not see.
//!
//! The prior systems wrote them. Whoever changes over and forgets to write the
//! tree anew would otherwise look at an empty one and wonder.

use std::path::Path;

use serde::Deserialize;

use super::config::{Checked, EtcdConfig};

/// How many keys the v2 API holds below `root`, where an endpoint still serves
/// it and lets us read. `None`: it does not, or there are none.
pub async fn count_keys(config: &EtcdConfig, root: &str) -> Option<usize> {
    let checked = Checked::new(config).ok()?;
    let client = client(config)?;
    for endpoint in &checked.endpoints {
        let url = format!("{}/v2/keys{root}?recursive=true", endpoint.as_str());
        let Ok(response) = client.get(url).send().await else {
            continue;
        };
        let Ok(body) = response.bytes().await else {
            continue;
        };
        // Where v2 is off, or the key is missing, there is no such node.
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        return answer
            .map(|answer| answer.node.leaves())
            .filter(|count| *count > 0);
    }
    None
}

fn client(config: &EtcdConfig) -> Option<reqwest::Client> {
    let read = |path: &Path| std::fs::read(path).ok();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(config.dial_timeout)
        .timeout(config.dial_timeout * 2);
    if let Some(ca) = &config.ca {
        let certificates = reqwest::Certificate::from_pem_bundle(&read(ca)?).ok()?;
        builder = builder.tls_certs_only(certificates);
    }
    if let (Some(cert), Some(key)) = (&config.cert, &config.key) {
        let mut pem = read(cert)?;
        pem.extend(read(key)?);
        builder = builder.identity(reqwest::Identity::from_pem(&pem).ok()?);
    }
    builder.build().ok()
}

#[derive(Deserialize)]
struct Answer {
    node: Node,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    dir: bool,
    #[serde(default)]
    nodes: Vec<Node>,
}

impl Node {
    fn leaves(&self) -> usize {
        if self.dir {
            self.nodes.iter().map(Self::leaves).sum()
        } else {
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_and_directories_are_not() {
        let body = r#"{"action":"get","node":{"key":"/lbManager","dir":true,"nodes":[
            {"key":"/lbManager/elb","dir":true,"nodes":[
                {"key":"/lbManager/elb/a","value":""},
                {"key":"/lbManager/elb/b","value":""}]},
            {"key":"/lbManager/empty","dir":true}]}}"#;
        let answer: Answer = serde_json::from_str(body).unwrap();
        assert_eq!(answer.node.leaves(), 2);
    }
}
