//! A connection to the store, and the commands on it.

use super::clock::StoreClock;
use super::courier::Fault;
use super::record::{Set, key};
use super::reply;
use crate::clock;
use crate::others::{Change, Fate, Fetched, SAMPLE, Wanted};
use crate::registry::LIFETIME_SECS;
use cascade_format::CascadeHash;
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Pipeline, RedisError, RedisResult, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a connection may take to be made, and to be asked for its time.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How long the store may take to answer a batch; then it counts as lost.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How much longer than its registrations a key lives that is not written any more.
const KEY_SECS: u32 = LIFETIME_SECS + 60;

/// How long the mark lives by which a tracker sees that the store has lost its memory.
const MARK_SECS: u32 = 60;

/// Goodbyes that are kept for a file, and that are read at once.
pub(crate) const MAX_LEFT: usize = 1024;

/// Good peers that are read at once.
const GOOD_SAMPLE: usize = 64;

/// What a look at the store has shown.
pub(super) struct Look {
    /// Its time, in seconds since the UNIX epoch, and when that was.
    pub(super) unix: f64,
    pub(super) at: Duration,
    /// Whether the mark was there, where it could be left again.
    pub(super) marked: Result<bool, Fault>,
    /// The epoch of a cluster: it grows when a replica becomes a master.
    pub(super) epoch: Option<u64>,
}

/// A connection that all commands share.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn query(&mut self, pipe: &Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::One(connection) => pipe.query_async(connection).await,
            Self::Cluster(connection) => pipe.query_async(connection).await,
        }
    }

    /// Runs what belongs to several files: one server takes all at once, a cluster those of each file, because they are
    /// in different places. Returns what each part was answered.
    async fn run(&self, parts: Vec<Pipeline>, commands: usize) -> RedisResult<Vec<Vec<RedisResult<Value>>>> {
        if let Self::One(_) = self {
            let mut whole = Pipeline::with_capacity(commands);
            whole.ignore_errors();
            let lens: Vec<usize> = parts.iter().map(Pipeline::len).collect();
            for part in &parts {
                for command in part.cmd_iter() {
                    whole.add_command(command.clone());
                }
            }
            let mut answers = self.clone().query(&whole).await?.into_iter();
            return Ok(lens.into_iter().map(|len| answers.by_ref().take(len).collect()).collect());
        }
        let mut tasks = JoinSet::new();
        for (at, part) in parts.into_iter().enumerate() {
            let mut connection = self.clone();
            tasks.spawn(async move { (at, connection.query(&part).await) });
        }
        let mut answers = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let Ok((at, answer)) = done else { continue };
            answers.push((at, answer?));
        }
        answers.sort_unstable_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Looks at the store's clock and at the mark of this tracker, which it leaves there. A store that takes no mark
    /// shows its time all the same.
    pub(super) async fn probe(&self, mark: &str, started: Instant) -> Result<Look, Fault> {
        let time = self.clone().command(redis::cmd("TIME"));
        let (secs, micros): (u64, u64) = within(CONNECT_WITHIN, time).await?;
        // Any number may come.
        #[allow(clippy::cast_precision_loss, reason = "to the microsecond in this century")]
        let unix = secs as f64 + micros as f64 / 1e6;
        let at = clock::now().saturating_duration_since(started);
        let mut set = redis::cmd("SET");
        set.arg(mark).arg(1).arg("EX").arg(MARK_SECS).arg("GET");
        let before: Result<Value, Fault> = within(CONNECT_WITHIN, self.clone().command(set)).await;
        let epoch = self.epoch().await;
        Ok(Look { unix, at, marked: before.map(|before| before != Value::Nil), epoch })
    }

    /// The epoch of a cluster, where it tells.
    async fn epoch(&self) -> Option<u64> {
        let Self::Cluster(_) = self else { return None };
        let mut info = redis::cmd("CLUSTER");
        info.arg("INFO");
        let info: String = within(CONNECT_WITHIN, self.clone().command(info)).await.ok()?;
        reply::epoch(&info)
    }

    async fn command<T: redis::FromRedisValue>(mut self, command: redis::Cmd) -> RedisResult<T> {
        match &mut self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Writes a batch.
    pub(super) async fn write(&self, batch: &[Change], clock: StoreClock) -> Result<(), Fault> {
        let mut files: BTreeMap<CascadeHash, Vec<&Change>> = BTreeMap::new();
        for change in batch {
            files.entry(change.record.file).or_default().push(change);
        }
        let parts: Vec<Pipeline> = files.iter().map(|(file, changes)| put(file, changes, clock)).collect();
        let commands = parts.iter().map(Pipeline::len).sum();
        let answers = within(ANSWER_WITHIN + ANSWER_WITHIN / 2, self.run(parts, commands)).await?;
        let errors = answers.into_iter().flatten().filter_map(Result::err);
        let worst =
            errors.filter_map(|error| fault(&error)).max_by_key(|fault| matches!(fault, Fault::Lost(_)));
        worst.map_or(Ok(()), Err)
    }

    /// Looks files up. Those whose keys hold something else are left out.
    pub(super) async fn read(
        &self,
        files: &[Wanted],
        clock: StoreClock,
        started: Instant,
    ) -> Result<Vec<Fetched>, Fault> {
        let now = clock::now().saturating_duration_since(started);
        let parts: Vec<Pipeline> = files.iter().map(|wanted| ask(*wanted, clock, now)).collect();
        let commands = parts.iter().map(Pipeline::len).sum();
        let answers = within(ANSWER_WITHIN + ANSWER_WITHIN / 2, self.run(parts, commands)).await?;
        let now = clock::now().saturating_duration_since(started);
        let mut failed = None;
        let mut fetched = Vec::with_capacity(files.len());
        for (wanted, answers) in files.iter().zip(answers) {
            let values = answers.into_iter().map(|answer| {
                answer.unwrap_or_else(|error| {
                    failed = fault(&error).or(failed.take());
                    Value::Nil
                })
            });
            let values: Vec<Value> = values.skip(CLEANED.len()).collect();
            fetched.extend(reply::fetched(*wanted, &values, clock, now));
        }
        match failed {
            Some(fault) if fetched.is_empty() => Err(fault),
            Some(_) | None => Ok(fetched),
        }
    }
}

/// The sets of a file, from which what has lapsed is removed.
const CLEANED: [Set; 4] = [Set::V4, Set::V6, Set::Good, Set::Left];

/// The commands that write the changes of a file.
fn put(file: &CascadeHash, changes: &[&Change], clock: StoreClock) -> Pipeline {
    let mut sets: BTreeMap<Set, Vec<(i64, Vec<u8>)>> = BTreeMap::new();
    let mut gone: BTreeMap<Set, Vec<Vec<u8>>> = BTreeMap::new();
    for change in changes {
        let (member, score) = (change.record.member(), clock.score(change.at));
        match change.fate {
            Fate::Here { good } => sets.entry(change.record.set(good)).or_default().push((score, member)),
            Fate::Left => {
                for set in BTreeSet::from([false, true].map(|good| change.record.set(good))) {
                    gone.entry(set).or_default().push(member.clone());
                }
                sets.entry(Set::Left).or_default().push((score, member));
            }
        }
    }
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    for (set, members) in gone {
        pipe.cmd("ZREM").arg(key(file, set)).arg(members);
    }
    for (set, members) in sets {
        let key = key(file, set);
        // Whoever writes last, the latest subscription counts.
        pipe.cmd("ZADD").arg(&key).arg("GT");
        for (score, member) in members {
            pipe.arg(score).arg(member);
        }
        pipe.cmd("EXPIRE").arg(&key).arg(KEY_SECS);
        if set == Set::Left {
            pipe.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(format!("-{}", MAX_LEFT + 1));
        }
    }
    pipe
}

/// The commands that look a file up, and remove what has lapsed before.
fn ask(wanted: Wanted, clock: StoreClock, now: Duration) -> Pipeline {
    let Wanted { file, since } = wanted;
    let steady = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    let lapsed = format!("({}", clock.score(steady));
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    let key = |set| key(&file, set);
    for set in CLEANED {
        pipe.cmd("ZREMRANGEBYSCORE").arg(key(set)).arg("-inf").arg(&lapsed);
    }
    for set in [Set::V4, Set::V6] {
        pipe.cmd("ZCARD").arg(key(set));
    }
    for (set, max) in [(Set::V4, SAMPLE), (Set::V6, SAMPLE), (Set::Good, GOOD_SAMPLE)] {
        pipe.cmd("ZRANDMEMBER").arg(key(set)).arg(max).arg("WITHSCORES");
    }
    let since = clock.score(since);
    pipe.cmd("ZREVRANGEBYSCORE").arg(key(Set::Left)).arg("+inf").arg(since);
    pipe.arg("WITHSCORES").arg("LIMIT").arg(0).arg(MAX_LEFT);
    pipe
}

pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(time, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(fault(&error).unwrap_or_else(|| Fault::Lost(say(&error)))),
        Err(_) => Err(Fault::Lost(format!("no answer within {time:?}"))),
    }
}

/// What an error means; `None`: one key holds something else, which is nobody's trouble but that file's.
fn fault(error: &RedisError) -> Option<Fault> {
    match error.code() {
        Some("WRONGTYPE") => None,
        Some("OOM" | "MISCONF" | "NOREPLICAS") => Some(Fault::Refused(say(error))),
        _ => Some(Fault::Lost(say(error))),
    }
}

/// In one line.
pub(super) fn say(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.code().unwrap_or_else(|| error.category())),
        None => error.to_string(),
    }
}
