//! `KEEP=1`: everything stays up, with commands to try.

use testbed::lbmanager;
use testbed::process::workspace_binary;

use crate::screen::{Look, Screen};
use crate::stage::{REGION, Stage};

pub fn is_wanted() -> bool {
    std::env::var_os("KEEP").is_some_and(|value| !value.is_empty() && value != "0")
}

pub fn explain(stage: &Stage, screen: &Screen) {
    screen.line("");
    screen.line(&screen.paint(
        Look::Bold,
        "Everything stays up until Ctrl-C. In another terminal:",
    ));
    let program = workspace_binary("lbmanager").map(|path| path.display().to_string());
    let program = program.unwrap_or_else(|_| "lbmanager".to_owned());
    let web = format!("elb/{REGION}/{}", stage.web.name);
    let key = |member| stage.web.key(member);
    let groups = [
        ("Where etcd and AWS are", exports(stage)),
        (
            "Members, by etcdctl",
            vec![
                format!("etcdctl put {} ''", key("i-00000005")),
                format!("etcdctl put {} ''", key("i-00000006")),
                format!("etcdctl del {}", key("i-00000005")),
                format!("etcdctl put {} '{{\"drain\":true}}'", key("i-00000006")),
                "etcdctl get --prefix /lbManager-status/".to_owned(),
                "etcdctl watch --prefix /lbManager".to_owned(),
            ],
        ),
        ("The same with lbmanager", operators(&program, &web)),
        (
            "What the load balancers have",
            vec![
                "aws elb describe-load-balancers --no-cli-pager".to_owned(),
                format!(
                    "aws elb describe-instance-health --load-balancer-name {}",
                    stage.web.name
                ),
            ],
        ),
        (
            "What lbmanager says",
            vec![
                format!("curl -s {}/metrics", stage.metrics_address()),
                format!("curl -s {}/readyz", stage.metrics_address()),
                format!("tail -f {}", stage.log().display()),
            ],
        ),
        (
            "Virtual services, in a kernel to play in",
            vec!["make shell-ipvs".to_owned()],
        ),
    ];
    for (title, commands) in groups {
        screen.line("");
        screen.line(&format!(
            "  {}",
            screen.paint(Look::Dim, &format!("# {title}"))
        ));
        for command in commands {
            // Not broken into lines: it is to be copied.
            screen.line(&format!("  {}", screen.paint(Look::Command, &command)));
        }
    }
}

fn exports(stage: &Stage) -> Vec<String> {
    let etcd = stage.etcd.endpoint();
    let mut exports = vec![format!("export ETCDCTL_API=3 ETCDCTL_ENDPOINTS={etcd}")];
    for (name, value) in lbmanager::environment(&stage.aws) {
        exports.push(format!("export {name}={value}"));
    }
    exports.push(format!("export AWS_DEFAULT_REGION={REGION}"));
    exports
}

/// They find etcd by ETCDCTL_ENDPOINTS, as etcdctl does.
fn operators(program: &str, web: &str) -> Vec<String> {
    vec![
        format!("{program} status"),
        format!("{program} plan"),
        format!("{program} set {web}/multiple/i-00000007"),
        format!("{program} drain {web}/multiple/i-00000007"),
        format!("{program} rm {web}/multiple/i-00000007"),
    ]
}
