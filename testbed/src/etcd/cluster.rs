//! Several etcd members on one machine.

use std::ops::Deref;
use std::time::Duration;

use tempfile::TempDir;

use super::client::Client;
use super::member::{Member, Ports, Setup};
use crate::error::{Error, Result};
use crate::wait;

const ELECTION_DEADLINE: Duration = Duration::from_secs(20);

/// A cluster of real etcd members, killed when dropped. Everything a [`Client`] does can be asked of
/// it directly, and goes to whichever member answers.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Member>,
    client: Client,
    _directory: TempDir,
}

#[derive(Debug, Clone, Copy)]
struct Status {
    id: u64,
    leader: u64,
    term: u64,
}

impl EtcdCluster {
    /// Starts so many members and waits until all answer.
    pub async fn start(size: usize) -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let ports = (0..size)
            .map(|_| Ports::free())
            .collect::<Result<Vec<_>>>()?;
        let all: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(index, ports)| format!("m{index}={}", ports.peer_url()))
            .collect();
        let member = |(index, ports): (usize, Ports)| {
            Member::new(Setup {
                name: format!("m{index}"),
                ports,
                data_dir: directory.path().join(format!("m{index}")),
                log: directory.path().join(format!("m{index}.log")),
                token: super::TOKEN.to_owned(),
                initial_cluster: all.join(","),
                tls: None,
                address: None,
                args: Vec::new(),
                env: Vec::new(),
            })
        };
        let members: Vec<Member> = ports.into_iter().enumerate().map(member).collect();
        let endpoints = members.iter().map(Member::endpoint).collect();
        let client = Client {
            endpoints,
            tls: None,
            user: None,
        };
        let mut cluster = Self {
            members,
            client,
            _directory: directory,
        };
        cluster.restart_all().await?;
        Ok(cluster)
    }

    /// One of the members.
    pub fn member(&self, index: usize) -> &Member {
        &self.members[index]
    }

    /// A client of one member only.
    pub fn client_of(&self, index: usize) -> Client {
        self.client.at(&self.members[index].endpoint())
    }

    /// Stops one in its tracks; see [`Member::pause`].
    pub fn pause(&mut self, index: usize) -> Result<()> {
        self.members[index].pause()
    }

    /// Lets one go on after [`EtcdCluster::pause`].
    pub fn resume(&mut self, index: usize) -> Result<()> {
        self.members[index].resume()
    }

    /// SIGKILL to one, and waits until it is gone.
    pub async fn kill(&mut self, index: usize) -> Result<()> {
        self.members[index].kill().await
    }

    /// Stops one if it runs, and starts it again with the same data at the same ports. Waits until
    /// it answers, unless too few run for any to answer.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        self.members[index].stop().await?;
        self.members[index].spawn().await?;
        let up = self.members.iter().filter(|member| member.is_up()).count();
        if up * 2 > self.members.len() {
            self.members[index].wait_ready().await
        } else {
            Ok(())
        }
    }

    /// Starts all that do not run, and waits until all answer.
    pub async fn restart_all(&mut self) -> Result<()> {
        for member in &mut self.members {
            if member.pid().is_none() {
                member.spawn().await?;
            }
        }
        for member in &mut self.members {
            member.wait_ready().await?;
        }
        Ok(())
    }

    /// Waits until all that are up follow the same leader, and gives its index. A member that was
    /// deposed while it was paused may believe for a while that it leads, and what it is asked to
    /// write then is lost.
    pub async fn leader(&self) -> Result<usize> {
        let found = wait::until("a leader of etcd", ELECTION_DEADLINE, || async {
            let mut seen = Vec::new();
            for index in self.up() {
                match self.status(index).await {
                    Ok(status) => seen.push((index, status)),
                    Err(error) => return Err(error.to_string()),
                }
            }
            let leads = |(_, status): &&(usize, Status)| status.id == status.leader;
            let leader = seen.iter().find(leads).filter(|(_, leading)| {
                let follows = |status: &Status| {
                    (status.leader, status.term) == (leading.leader, leading.term)
                };
                seen.iter().all(|(_, status)| follows(status))
            });
            leader.map(|(index, _)| *index).ok_or(format!("{seen:?}"))
        });
        Ok(found.await?)
    }

    /// Hands the lead over to another member.
    pub async fn move_leader(&self, to: usize) -> Result<()> {
        let leader = self.leader().await?;
        if leader == to {
            return Ok(());
        }
        let id = format!("{:x}", self.status(to).await?.id);
        self.client_of(leader)
            .etcdctl(&["move-leader", &id])
            .await?;
        let what = format!("member {to} to lead");
        let moved = wait::until(&what, ELECTION_DEADLINE, || async {
            match self.leader().await {
                Ok(leader) if leader == to => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        Ok(moved.await?)
    }

    fn up(&self) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(|index| self.members[*index].is_up())
    }

    async fn status(&self, index: usize) -> Result<Status> {
        let answer = self.client_of(index).json(&["endpoint", "status"]).await?;
        let field = |pointer: &str| answer.pointer(pointer).and_then(serde_json::Value::as_u64);
        let status = || {
            Some(Status {
                id: field("/0/Status/header/member_id")?,
                leader: field("/0/Status/leader")?,
                term: field("/0/Status/raftTerm")?,
            })
        };
        status().ok_or_else(|| Error::answer("etcdctl endpoint status", answer.to_string()))
    }
}

impl Deref for EtcdCluster {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
