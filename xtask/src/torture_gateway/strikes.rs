//! The order of things: clients at work, and the gateway killed, replaced, killed while
//! it comes up and while it is replaced.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Orders;
use super::load::{self, Chance};
use super::service::Service;
use super::site::{Guest, Seens, Site};

/// Clients.
const CLIENTS: u64 = 16;
/// How long all strikes may take at most, each.
const EACH: Duration = Duration::from_secs(8);
/// Objects that were made once and are read after each kill.
const RACES: usize = 40;

/// What was seen.
#[derive(Debug, Default)]
pub struct Struck {
    /// Gateways that were killed.
    pub kills: u32,
    /// Gateways that were replaced without a kill.
    pub takeovers: u32,
    /// Milliseconds from each start after a kill to the first answer.
    pub recoveries: Vec<f64>,
    /// How long it all took.
    pub took: Duration,
    /// What the clients counted.
    pub seen: Seens,
}

/// Strikes so often as ordered.
pub fn strike(orders: &Orders, service: &mut Service, site: &Site) -> Result<Struck> {
    load::prepare(site).context("the buckets cannot be made")?;
    let began = Instant::now();
    let mut struck = Struck::default();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let seed = orders.seed * 1000 + client;
            scope.spawn(move || load::run(site, seed));
        }
        let done = all(orders, service, site, &mut struck);
        site.over.store(true, Ordering::Release);
        site.down.store(false, Ordering::Release);
        done
    })?;
    site.over.store(false, Ordering::Release);
    let mut guest = Guest::new(site);
    guest.everything(usize::MAX);
    guest.all_versions();
    struck.took = began.elapsed();
    struck.seen = site.seen().clone();
    Ok(struck)
}

fn all(orders: &Orders, service: &mut Service, site: &Site, struck: &mut Struck) -> Result<()> {
    let mut chance = Chance(orders.seed.wrapping_mul(0x9e37_79b9) | 1);
    let mut guest = Guest::new(site);
    let until = Instant::now() + EACH * (orders.kills + orders.takeovers) + EACH * 4;
    while struck.kills < orders.kills || struck.takeovers < orders.takeovers {
        if Instant::now() > until {
            bail!("{} kills and {} takeovers: it takes too long", struck.kills, struck.takeovers);
        }
        thread::sleep(Duration::from_millis(20 + chance.below(200) as u64));
        let left = (orders.kills.saturating_sub(struck.kills)) as usize;
        let takeovers = orders.takeovers.saturating_sub(struck.takeovers) as usize;
        if chance.below(left + takeovers) < takeovers {
            service.replace().context("a takeover")?;
            struck.takeovers += 1;
        } else {
            kill(service, site, &mut chance, struck)?;
            // In half of the cases all is read before anybody writes.
            site.paused.store(chance.below(2) == 0, Ordering::Release);
            site.down.store(false, Ordering::Release);
            guest.everything(RACES);
            site.paused.store(false, Ordering::Release);
        }
        let done = struck.kills + struck.takeovers;
        if done.is_multiple_of(20) {
            let seen = site.seen();
            println!(
                "  {} kills, {} takeovers, {} answers, {} writes acknowledged; lost {}, wrong \
                 bytes {}, strange {}, errors {}",
                struck.kills,
                struck.takeovers,
                seen.answers,
                seen.acknowledged,
                seen.lost,
                seen.wrong_bytes,
                seen.strange,
                seen.errors,
            );
        }
    }
    Ok(())
}

/// Kills it at work or while it is replaced, now and then once more while it comes up,
/// and has it serve again.
fn kill(
    service: &mut Service,
    site: &Site,
    chance: &mut Chance,
    struck: &mut Struck,
) -> Result<()> {
    let replacing =
        (chance.below(8) == 0).then(|| Duration::from_micros(chance.below(40_000) as u64));
    site.down.store(true, Ordering::Release);
    site.era.fetch_add(1, Ordering::AcqRel);
    match replacing {
        Some(after) => service.kill_replacing(after)?,
        None => service.kill()?,
    }
    // Who connected between these two lines is cut off as well.
    site.era.fetch_add(1, Ordering::AcqRel);
    struck.kills += 1;
    if chance.below(10) == 0 {
        service.come_up_and_die(Duration::from_micros(chance.below(60_000) as u64))?;
        site.era.fetch_add(1, Ordering::AcqRel);
        struck.kills += 1;
    }
    let took = service.again()?;
    struck.recoveries.push(took.as_secs_f64() * 1000.0);
    Ok(())
}
