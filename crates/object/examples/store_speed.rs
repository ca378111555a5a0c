//! Measures the store in a directory: `cargo run --release -p bedplate-object --example
//! store_speed -- DIR [KEYS]`. Prints one line for each figure.

use std::path::Path;

use bedplate_object as object;
use bytes::Bytes;
use model::Timestamp;
use object::bucket::Config;
use object::condition::Conditions;
use object::entry::{Attributes, Tag};
use object::mutation::{Put, Which};
use object::query::ListKeys;
use object::store::{Settings, Store, Writer};
use object::{Body, BucketId, BucketName, Key, Mutation, Owner, Reply};
use world::clock::{Clock, SystemClock, monotonic_nanos};
use world::files::Directory;

type Failure = Box<dyn std::error::Error>;

fn name() -> Result<BucketName, Failure> {
    Ok(BucketName::new("speed")?)
}

fn key(number: u64) -> String {
    // Far from each other, as hashed names are, in folders of 1,000.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:03}/{:016x}", mixed % 1000, mixed)
}

fn put(number: u64, body: &Bytes) -> Result<Mutation, Failure> {
    Ok(Mutation::Put(Box::new(Put {
        bucket: name()?,
        key: Key::new(&key(number))?,
        size: body.len() as u64,
        tag: Tag { md5: [7; 16], parts: 0 },
        class: 0,
        attributes: Attributes {
            owner: Some(Owner("owner".into())),
            headers: vec![("content-type".into(), "application/octet-stream".into())],
            ..Attributes::default()
        },
        body: Body::Inline(body.clone()),
        conditions: Conditions::default(),
    })))
}

/// Seconds that something takes. Says on the way how much of a processor it had: on a
/// machine that does other things, that tells more.
fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, f64), Failure> {
    let (start, busy) = (monotonic_nanos(), busy_nanos()?);
    let done = work()?;
    let took = (monotonic_nanos() - start) as f64 / 1e9;
    println!("  {:.3} s, {:.3} s of a processor", took, (busy_nanos()? - busy) as f64 / 1e9);
    Ok((done, took))
}

fn busy_nanos() -> Result<u64, Failure> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(statistics.split_whitespace().next().unwrap_or("0").parse()?)
}

fn now() -> Timestamp {
    SystemClock::default().now()
}

fn fill(
    writer: &mut Writer<Directory>,
    numbers: std::ops::Range<u64>,
    batch: u64,
    body: &Bytes,
) -> Result<(), Failure> {
    let mut at = numbers.start;
    while at < numbers.end {
        let end = numbers.end.min(at + batch);
        let mutations = (at..end).map(|number| put(number, body)).collect::<Result<_, _>>()?;
        for result in writer.apply(mutations, now()) {
            result?;
        }
        writer.tick(now());
        at = end;
    }
    Ok(())
}

fn resident_mib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: 0 kB");
    Ok(line.split_whitespace().nth(1).unwrap_or("0").parse::<u64>()? / 1024)
}

fn reads(store: &Store<Directory>, bucket: BucketId, keys: u64) -> Result<(), Failure> {
    let count = 200_000;
    let ((), took) = timed(|| {
        for number in 0..count {
            let key = key(number * 7919 % keys);
            let entry = store.snapshot().entry(bucket, &key, Which::Current)?;
            assert!(entry.is_some(), "{key} is there");
        }
        Ok(())
    })?;
    println!("entry_ns {:.0}", took * 1e9 / count as f64);
    let ((), took) = timed(|| {
        for number in 0..count {
            let key = key(number % 100);
            assert!(store.snapshot().entry(bucket, &key, Which::Current)?.is_some(), "{key}");
        }
        Ok(())
    })?;
    println!("entry_hot_ns {:.0}", took * 1e9 / count as f64);
    let ((), took) = timed(|| {
        for number in 0..count {
            let key = Key::new(&key(number * 7919 % keys))?;
            let found = store.snapshot().version_and_body(bucket, &key, Which::Current, 16384)?;
            assert!(found.is_some_and(|(_, body)| body.is_some()), "{key} is there");
        }
        Ok(())
    })?;
    println!("version_and_body_ns {:.0}", took * 1e9 / count as f64);
    Ok(())
}

fn lists(store: &Store<Directory>, bucket: BucketId, keys: u64) -> Result<(), Failure> {
    let (seen, took) = timed(|| {
        let (mut seen, mut after) = (0, None);
        loop {
            let list = ListKeys { after, limit: 1000, ..ListKeys::default() };
            let page = store.snapshot().keys(bucket, &list)?;
            seen += page.lines.len() as u64;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(seen),
            }
        }
    })?;
    assert_eq!(seen, keys);
    println!("list_keys_per_s {:.0}", seen as f64 / took);
    for (what, delimiter, prefix) in [("folded", Some("/"), ""), ("prefix", Some("/"), "500/")] {
        let list = ListKeys {
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after: None,
            limit: 1000,
        };
        let (page, took) = timed(|| Ok(store.snapshot().keys(bucket, &list)?))?;
        println!("list_page_{what}_ms {:.2} ({} lines)", took * 1e3, page.lines.len());
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().ok_or("usage: store_speed DIR [KEYS]")?;
    let keys: u64 = arguments.next().map_or(Ok(1_000_000), |keys| keys.parse())?;
    let open = || Ok(Store::open(Directory::new(Path::new(&place))?, Settings::default())?);
    let ((store, mut writer, _), _) = timed(open)?;
    let config = Box::new(Config::default());
    let create = Mutation::CreateBucket { name: name()?, owner: Owner("owner".into()), config };
    let bucket = match writer.apply(vec![create], now()).swap_remove(0)? {
        Reply::Bucket(bucket) => bucket.id,
        other => return Err(format!("{other:?}").into()),
    };
    let body = Bytes::from(vec![7; 4096]);
    let some = keys.min(20_000);
    let ((), took) = timed(|| fill(&mut writer, 0..some, 64, &body))?;
    println!("puts_4k_per_s_in_batches_of_64 {:.0}", some as f64 / took);
    let small = Bytes::from_static(&[7; 64]);
    let ((), took) = timed(|| fill(&mut writer, some..keys, 2000, &small))?;
    println!("puts_64_per_s_in_batches_of_2000 {:.0}", (keys - some) as f64 / took);
    reads(&store, bucket, keys)?;
    lists(&store, bucket, keys)?;
    println!("resident_mib {}", resident_mib()?);
    // The worst start: killed just before the index would have been written down.
    Box::leak(Box::new((store, writer)));
    let ((store, mut writer, opened), took) = timed(open)?;
    println!("start_ms {:.0} ({} records replayed)", took * 1e3, opened.replayed);
    writer.close()?;
    drop((store, writer));
    let ((store, writer, _), took) = timed(open)?;
    println!("start_clean_ms {:.0}", took * 1e3);
    drop((store, writer));
    std::fs::remove_file(Path::new(&place).join("index"))?;
    let ((_, _, opened), took) = timed(open)?;
    println!("rebuild_ms {:.0} ({} records)", took * 1e3, opened.replayed);
    println!("resident_mib_after {}", resident_mib()?);
    Ok(())
}
