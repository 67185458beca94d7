//! Builders keeps a Pool for each SSH builder that is configured, by the settings or by a machines file: it starts those that are new,
//! tells others what changed about them, and lets those go that are configured no more, once what they run has ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, StreamHandler, WrapFuture};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_util::sync::CancellationToken;

use super::house::ActorHealth;
use super::pool::ssh::{self, Retire, SshPool, Take};
use super::post::{Post, Tenure, supervise};
use super::scheduler::{Builder, Configured, Deps, Scheduler};
use crate::config::builders::machines::Watched;
use crate::config::builders::{self, SshBuilder};
use crate::config::watch::{Edit, Live};
use crate::config::{ConfigError, Settings};

pub const MAILBOX: usize = 64;
const POOL_MAILBOX: usize = 1024;

/// What is the same for this Builders and the one after a crash: the Pools live on meanwhile.
#[derive(Clone, Default)]
pub struct Fleet(Arc<Mutex<Ships>>);

#[derive(Default)]
struct Ships {
    pools: BTreeMap<String, Member>,
    /// Why the machines file as it is now is not followed.
    refused: Option<ConfigError>,
}

#[derive(Clone)]
struct Member {
    take: Take,
    post: Post<SshPool>,
    /// Told that its builder is configured no more.
    retired: bool,
}

impl Fleet {
    fn members(&self) -> MutexGuard<'_, Ships> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn refused(&self) -> Option<ConfigError> {
        self.members().refused.clone()
    }

    pub fn health(&self) -> Vec<ActorHealth> {
        let members = self.members();
        let there = members.pools.iter().filter(|(_, member)| !member.retired);
        there.map(|(name, member)| ActorHealth { name: format!("pool {name}"), ..member.post.health() }).collect()
    }

    /// Completes when every Pool is closed.
    pub async fn ended(&self) {
        let posts: Vec<_> = self.members().pools.values().map(|member| member.post.clone()).collect();
        for post in posts {
            post.ended().await;
        }
    }
}

/// What Builders works with.
#[derive(Clone)]
pub struct Tools {
    pub deps: Deps,
    pub scheduler: Post<Scheduler>,
    /// The builders of this machine.
    pub local: Vec<Builder>,
    pub started: Arc<Settings>,
    /// `None`: the settings come from no file and stay as they are.
    pub live: Option<Arc<Live>>,
    /// Where files of host keys are.
    pub directory: PathBuf,
    pub fleet: Fleet,
    pub closing: CancellationToken,
}

/// See the module.
pub struct Builders {
    tools: Tools,
    machines: Option<Watched>,
}

/// Something about the builders may have changed.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct LookAgain;

/// The SSH builders as the settings and their machines file say now. A machines file that can't be read has none yet.
pub fn described(settings: &Settings) -> Vec<SshBuilder> {
    let of_file = settings.build.machines_file.as_ref().map(|file| builders::machines::load(file));
    let machines = of_file.and_then(Result::ok).map(|machines| machines.builders).unwrap_or_default();
    builders::all(&settings.ssh_builders(), &machines)
}

/// Those builders, as the Scheduler sees them.
pub fn offered(described: &[SshBuilder], downloads: usize) -> Vec<Builder> {
    described.iter().map(|builder| ssh::builder(builder, downloads)).collect()
}

impl Builders {
    pub fn new(tools: Tools) -> Self {
        Self { tools, machines: None }
    }

    fn settings(&self) -> Arc<Settings> {
        self.tools.live.as_ref().map_or_else(|| self.tools.started.clone(), |live| live.current())
    }

    /// What is to be, from the settings in force and the machines file that they name.
    fn wanted(&mut self, ctx: &Context<Self>) -> Vec<Take> {
        let settings = self.settings();
        let file = settings.build.machines_file.as_deref();
        if self.machines.as_ref().map(Watched::file) != file {
            self.machines = file.map(|file| {
                let address = ctx.address();
                Watched::open(file, move || address.do_send(LookAgain))
            });
        }
        let of_machines = self.machines.as_ref().map(Watched::builders).unwrap_or_default();
        self.tools.fleet.members().refused = self.machines.as_ref().and_then(Watched::refused);
        let described = builders::all(&settings.ssh_builders(), &of_machines);
        let downloads = self.tools.local.first().map_or(1, |local| local.downloads);
        let take = |described: SshBuilder| Take { builder: ssh::builder(&described, downloads), described };
        described.into_iter().map(take).collect()
    }

    /// Nothing else is done meanwhile: two changes at once would not end as the later one says.
    fn apply(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.wanted(ctx);
        let tools = self.tools.clone();
        ctx.wait(async move { tools.apply(wanted).await }.into_actor(self).map(|(), _, _| ()));
    }
}

impl Tools {
    async fn apply(&self, wanted: Vec<Take>) {
        let builders = self.local.iter().cloned().chain(wanted.iter().map(|take| take.builder.clone())).collect();
        // first: one that is configured no more gets no orders that it would have to refuse
        if self.scheduler.ask(Configured(builders)).await.is_err() {
            return;
        }
        let before = self.fleet.members().pools.clone();
        for (name, member) in &before {
            if !member.retired && !wanted.iter().any(|take| take.described.name == *name) {
                tracing::info!(builder = %name, "is configured no more; it ends what it builds");
                member.post.tell(Retire);
                self.fleet.members().pools.insert(name.clone(), Member { retired: true, ..member.clone() });
            }
        }
        for take in wanted {
            let name = take.described.name.clone();
            let told = match before.get(&name) {
                Some(member)
                    if member.take.described == take.described && member.take.builder == take.builder && !member.retired =>
                {
                    continue;
                }
                Some(member) => member.post.ask(take.clone()).await.ok().map(|()| member.post.clone()),
                None => None,
            };
            let post = told.unwrap_or_else(|| self.hire(&name));
            tracing::info!(builder = %name, "is configured");
            self.fleet.members().pools.insert(name, Member { take, post, retired: false });
        }
    }

    /// The Pool goes by what the fleet knows of its builder, so that one that was started again after a crash knows the latest.
    fn hire(&self, name: &str) -> Post<SshPool> {
        let (tools, name) = (self.clone(), name.to_owned());
        let hire = move || {
            let (tools, name) = (tools.clone(), name.clone());
            async move {
                tools.scheduler.address().await?;
                let member = tools.fleet.members().pools.get(&name).cloned();
                let member = member.filter(|member| !member.retired)?;
                Some(SshPool::new(tools.deps, member.take, tools.directory, tools.scheduler))
            }
        };
        supervise("pool", POOL_MAILBOX, self.closing.clone(), Tenure::Task { crashes: u64::MAX }, hire, || {})
    }
}

impl Actor for Builders {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(live) = &self.tools.live {
            ctx.add_stream(BroadcastStream::new(live.edits()));
        }
        self.apply(ctx);
    }
}

impl Handler<LookAgain> for Builders {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Context<Self>) {
        self.apply(ctx);
    }
}

impl StreamHandler<Result<Edit, BroadcastStreamRecvError>> for Builders {
    fn handle(&mut self, edit: Result<Edit, BroadcastStreamRecvError>, ctx: &mut Context<Self>) {
        match edit {
            Ok(Edit::Applied { .. }) | Err(BroadcastStreamRecvError::Lagged(_)) => self.apply(ctx),
            Ok(Edit::Refused(_)) => {}
        }
    }
}
