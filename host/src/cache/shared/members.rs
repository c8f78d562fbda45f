//! What is kept in Redis about purges and about who has heard of them: a counter, a list of the last purges, and the members.
//!
//! Scripts, so that each step is one: a number is given, written down and told at once, hence heard in order.

use std::time::Duration;

use bytes::Bytes;

use crate::redis::{Redis, Reply, Trouble};

/// Purges that are kept for those who were away. Who was away for more drops everything.
const LOG_MAX: usize = 50_000;

/// Most purges that are fetched at once.
const BATCH: usize = 500;

/// One hash tag, so that in a cluster they are in one place.
const COUNTER: &[u8] = b"{purges}:number";
const LOG: &[u8] = b"{purges}:log";
const ALIVE: &[u8] = b"{purges}:alive";
const HEARD: &[u8] = b"{purges}:heard";
/// Where purges are told.
pub(super) const CHANNEL: &[u8] = b"{purges}:told";

/// Gives a purge its number, which is beyond every number that the one who purges knows.
const TELL: &str = "local n=math.max(tonumber(redis.call('GET',KEYS[1]) or '0'),tonumber(ARGV[1]))
redis.call('SET',KEYS[1],n)
local e=n..' '..ARGV[2]
redis.call('RPUSH',KEYS[2],e)
redis.call('LTRIM',KEYS[2],-tonumber(ARGV[3]),-1)
redis.call('PUBLISH',ARGV[4],e)
return n";

/// The counter, and the purges after a number, from a place in the list on.
const CATCH_UP: &str = "local l=redis.call('LRANGE',KEYS[2],ARGV[1],ARGV[2])
return {redis.call('GET',KEYS[1]) or '0',l}";

/// Says that a member lives and up to which number it has heard; the counter follows members who know more.
const BEAT: &str = "local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
redis.call('ZADD',KEYS[2],now+ARGV[3],ARGV[1])
redis.call('HSET',KEYS[3],ARGV[1],ARGV[2])
if tonumber(redis.call('GET',KEYS[1]) or '0')<tonumber(ARGV[2]) then redis.call('SET',KEYS[1],ARGV[2]) end
return now";

/// How many members have not heard of a number; forgets those whose time is over.
const LAGGING: &str = "local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
for _,m in ipairs(redis.call('ZRANGEBYSCORE',KEYS[1],'-inf',now)) do
redis.call('ZREM',KEYS[1],m) redis.call('HDEL',KEYS[2],m) end
local c=0
for _,m in ipairs(redis.call('ZRANGE',KEYS[1],0,-1)) do
if tonumber(redis.call('HGET',KEYS[2],m) or '0')<tonumber(ARGV[1]) then c=c+1 end end
return c";

/// Takes a member out.
const LEAVE: &str = "redis.call('ZREM',KEYS[1],ARGV[1]) redis.call('HDEL',KEYS[2],ARGV[1]) return 0";

/// What is in Redis about purges.
#[derive(Debug, Clone)]
pub(super) struct Members {
    redis: Redis,
    /// Who we are.
    name: String,
    channel: Vec<u8>,
}

/// A purge that was told.
pub(super) struct Told {
    pub(super) number: u64,
    pub(super) text: String,
}

impl Members {
    pub(super) fn new(redis: Redis) -> Self {
        let mut random = [0; 8];
        // Without random numbers there is no TLS either; the process then is alone.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let name = format!("{:016x}", u64::from_le_bytes(random));
        let channel = [redis.settings().prefix.as_bytes(), CHANNEL].concat();
        Self { redis, name, channel }
    }

    /// Tells a purge and gives its number.
    pub(super) async fn tell(&self, number: u64, text: &str) -> Result<u64, Trouble> {
        let (number, most) = (number.to_string(), LOG_MAX.to_string());
        let arguments = [number.as_bytes(), text.as_bytes(), most.as_bytes(), &self.channel];
        self.redis.eval(TELL, &[COUNTER, LOG], &arguments).await.map(|reply| whole_number(&reply))
    }

    /// Everything that was told and is still known, oldest first, and the last number that was given.
    pub(super) async fn told(&self) -> Result<(u64, Vec<Told>), Trouble> {
        let (mut all, mut last) = (Vec::new(), 0);
        loop {
            let (from, to) = (all.len().to_string(), (all.len() + BATCH - 1).to_string());
            let reply = self.redis.eval(CATCH_UP, &[COUNTER, LOG], &[from.as_bytes(), to.as_bytes()]).await?;
            let Reply::List(parts) = reply else { return Ok((last, all)) };
            last = parts.first().map_or(0, whole_number);
            let Some(Reply::List(entries)) = parts.get(1) else { return Ok((last, all)) };
            let count = entries.len();
            let read = |entry: &Reply| match entry {
                Reply::Bytes(bytes) => heard(bytes),
                _ => None,
            };
            all.extend(entries.iter().filter_map(read));
            if count < BATCH || all.len() > LOG_MAX {
                return Ok((last, all));
            }
        }
    }

    /// Says that we live and have heard everything up to a number.
    pub(super) async fn beat(&self, heard: u64, lease: Duration) -> Result<(), Trouble> {
        let (heard, lease) = (heard.to_string(), lease.as_millis().to_string());
        let arguments = [self.name.as_bytes(), heard.as_bytes(), lease.as_bytes()];
        self.redis.eval(BEAT, &[COUNTER, ALIVE, HEARD], &arguments).await.map(drop)
    }

    /// How many members have not heard of a number yet.
    pub(super) async fn lagging(&self, number: u64) -> Result<u64, Trouble> {
        let number = number.to_string();
        self.redis.eval(LAGGING, &[ALIVE, HEARD], &[number.as_bytes()]).await.map(|reply| whole_number(&reply))
    }

    /// Says that we are not there any more.
    pub(super) async fn leave(&self) {
        let _ = self.redis.eval(LEAVE, &[ALIVE, HEARD], &[self.name.as_bytes()]).await;
    }
}

/// A number and a text, divided by a blank.
pub(super) fn heard(entry: &Bytes) -> Option<Told> {
    let (number, text) = std::str::from_utf8(entry).ok()?.split_once(' ')?;
    Some(Told { number: number.parse().ok()?, text: text.to_owned() })
}

fn whole_number(reply: &Reply) -> u64 {
    match reply {
        Reply::Number(number) => u64::try_from(*number).unwrap_or_default(),
        Reply::Bytes(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or_default(),
        Reply::Nothing | Reply::List(_) => 0,
    }
}
