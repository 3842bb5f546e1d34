//! What a store answers, made into what a tracker knows. No I/O. The store may hold anything.

use super::clock::StoreClock;
use crate::others::{Fetched, Record, Sample, Seen, Wanted};
use crate::registry::{Address, AddressV6, Source};
use cascade_format::PeerAddr;
use redis::{FromRedisValue, Value};
use std::time::Duration;

/// Reads the answers about a file: two numbers and four lists of members with scores. `None`: one of them is an error.
pub(super) fn fetched(
    wanted: Wanted,
    answers: &[Value],
    clock: StoreClock,
    now: Duration,
) -> Option<Fetched> {
    let [total_v4, total_v6, v4, v6, good, left] = answers.first_chunk()?;
    let file = wanted.file;
    let records = |value| {
        records(value).map(|records| {
            let record = |(member, score): (Vec<u8>, f64)| {
                Some((Record::parse(file, &member)?, clock.steady(score, now)?))
            };
            records.into_iter().filter_map(record).collect::<Vec<_>>()
        })
    };
    let v4_addr = |addr: PeerAddr| addr.v4();
    Some(Fetched {
        file,
        v4: Sample {
            total: u64::from_redis_value_ref(total_v4).ok()?,
            peers: seen(&records(v4)?, v4_addr),
            good: seen(&records(good)?, v4_addr),
        },
        v6: Sample {
            total: u64::from_redis_value_ref(total_v6).ok()?,
            peers: seen(&records(v6)?, AddressV6::of),
            good: Vec::new(),
        },
        left: records(left)?,
    })
}

/// The epoch in what a server of a cluster tells of the cluster.
pub(super) fn epoch(info: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"))?.trim().parse().ok()
}

fn records(value: &Value) -> Option<Vec<(Vec<u8>, f64)>> {
    Vec::<(Vec<u8>, f64)>::from_redis_value_ref(value).ok()
}

fn seen<A: Address>(records: &[(Record, u32)], family: impl Fn(PeerAddr) -> Option<A>) -> Vec<Seen<A>> {
    let seen = |(record, subscribed): &(Record, u32)| -> Option<Seen<A>> {
        let source: Source = record.source;
        Some(Seen { addr: family(record.addr)?, source, subscribed: *subscribed })
    };
    records.iter().filter_map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_tells_its_epoch() {
        assert_eq!(epoch("cluster_state:ok\r\ncluster_current_epoch:7\r\ncluster_my_epoch:2\r\n"), Some(7));
        assert_eq!(epoch("cluster_state:ok\r\n"), None);
        assert_eq!(epoch("cluster_current_epoch:-1"), None);
    }
}
