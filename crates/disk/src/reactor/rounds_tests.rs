//! Rounds over queues that are only numbers. Time is what was done so far.

use super::*;

/// A client: keeps some requests under way, each of this cost.
struct Client {
    volume: usize,
    cost: u32,
    /// In its queue.
    waiting: u16,
    /// Since when the oldest of them waits.
    since: u64,
    /// Served and not told.
    unseen: u16,
    /// How long it thinks before it sends again.
    pause: u64,
    /// What it will send, and when.
    sends: Option<(u64, u16)>,
    done: u64,
    longest: u64,
}

impl Client {
    fn new(volume: usize, depth: u16, cost: u32, pause: u64) -> Self {
        Self {
            volume,
            cost,
            waiting: 0,
            since: 0,
            unseen: 0,
            pause,
            sends: Some((0, depth)),
            done: 0,
            longest: 0,
        }
    }
}

/// All clients, and how much the server has done.
#[derive(Default)]
struct Server {
    clients: Vec<Client>,
    now: u64,
    looks: u64,
}

impl Server {
    fn arrive(&mut self, front: usize) {
        let (now, client) = (self.now, &mut self.clients[front]);
        if let Some((when, count)) = client.sends.take_if(|(when, _)| *when <= now) {
            if client.waiting == 0 {
                client.since = when;
            }
            client.waiting += count;
        }
    }
}

impl Fronts for Server {
    type Front = usize;
    fn glance(&mut self, front: usize) -> Look {
        self.looks += 1;
        self.arrive(front);
        let client = &self.clients[front];
        match client.waiting {
            0 => Look::Nothing,
            1..=FEW => Look::Few(client.volume),
            _ => Look::Many(client.volume),
        }
    }
    fn look(&mut self, front: usize) -> Look {
        self.glance(front)
    }
    fn serve(&mut self, front: usize, budget: u32) -> Served {
        let (mut cost, mut worked) = (0, false);
        self.arrive(front);
        while cost < budget {
            self.arrive(front);
            let client = &mut self.clients[front];
            if client.waiting == 0 {
                return Served { cost, worked, then: Then::Nothing };
            }
            client.longest = client.longest.max(self.now - client.since);
            (client.waiting, client.unseen) = (client.waiting - 1, client.unseen + 1);
            (client.done, client.since) = (client.done + 1, self.now);
            (cost, worked) = (cost + client.cost, true);
            self.now += u64::from(client.cost);
        }
        Served { cost, worked, then: Then::More }
    }
    fn publish(&mut self, front: usize) {
        let client = &mut self.clients[front];
        let count = std::mem::take(&mut client.unseen);
        if count > 0 {
            let (_, earlier) = client.sends.take().unwrap_or_default();
            client.sends = Some((self.now + client.pause, earlier + count));
            // To tell somebody costs as much as a few requests.
            self.now += 6;
        }
    }
    fn send_off(&mut self) {}
}

fn served(clients: Vec<Client>, rounds: usize) -> Server {
    let mut all = Server { clients, ..Server::default() };
    let mut order = Rounds::default();
    (0..all.clients.len()).for_each(|front| order.add(front));
    for _ in 0..rounds {
        // Time goes by also when there is nothing to do.
        if !order.run(&mut all) {
            all.now += 1;
        }
    }
    all
}

fn aggressors(count: usize, depth: u16) -> Vec<Client> {
    (0..count).map(|at| Client::new(at + 1, depth, 2, 0)).collect()
}

#[test]
fn one_at_a_time_waits_for_a_few_requests_of_neighbours_and_not_for_all() {
    for (count, depth) in [(1, 32), (7, 32), (7, 256), (40, 64)] {
        let mut clients = vec![Client::new(0, 1, 2, 20 * count as u64)];
        clients.extend(aggressors(count, depth));
        let all = served(clients, 4_000);
        let victim = &all.clients[0];
        assert!(victim.done > 500, "{} requests beside {count}", victim.done);
        // A batch that was just begun, or being told, whoever is first in the row.
        let bound = u64::from(BATCH) + 6;
        assert!(victim.longest <= bound, "{} beside {count} of {depth}", victim.longest);
    }
}

#[test]
fn several_small_ones_wait_for_each_other_and_one_batch() {
    let mut clients: Vec<_> = (0..4).map(|volume| Client::new(volume, 1, 2, 400)).collect();
    clients.extend((0..7).map(|at| Client::new(at + 4, 32, 2, 0)));
    let all = served(clients, 4_000);
    for victim in &all.clients[..4] {
        let bound = u64::from(BATCH) + 6 + 3 * (2 + 6);
        assert!(victim.done > 500 && victim.longest <= bound, "{}", victim.longest);
    }
}

#[test]
fn who_wants_more_than_its_share_has_its_share() {
    // One request at a time, but each as large as 16 of its neighbours' together.
    let mut clients = vec![Client::new(0, 1, 32, 0)];
    clients.extend(aggressors(3, 32));
    let all = served(clients, 20_000);
    let got: Vec<u64> = all.clients.iter().map(|it| it.done * u64::from(it.cost)).collect();
    let (least, most) = (got.iter().min().expect("4"), got.iter().max().expect("4"));
    assert!(most - least < 200, "{got:?}");
}

#[test]
fn all_of_a_depth_have_the_same() {
    let all = served(aggressors(8, 32), 10_000);
    let got: Vec<u64> = all.clients.iter().map(|client| client.done).collect();
    let (least, most) = (got.iter().min().expect("8"), got.iter().max().expect("8"));
    assert!(most - least <= 32, "{got:?}");
}

#[test]
fn a_crowd_that_has_nothing_is_looked_at_in_turns() {
    let mut clients = vec![Client::new(0, 32, 2, 0)];
    clients.extend((1..1_000).map(|volume| Client::new(volume, 1, 2, u64::MAX / 2)));
    let all = served(clients, 100);
    // All of them once a round, and a few of them after each few requests.
    let (rounds, batches) = (100, 100 * u64::from(ROUND / BATCH));
    let most = rounds * 1_000 + 3 * batches * LOOK as u64;
    assert!(all.looks <= most, "{} looks", all.looks);
    assert!(all.clients[0].done > 4_000, "{}", all.clients[0].done);
}

#[test]
fn who_is_gone_is_not_looked_at() {
    let mut order = Rounds::default();
    order.add(1);
    order.add(1);
    order.add(2);
    assert_eq!((order.count(), order.only()), (2, None));
    order.remove(2);
    assert_eq!(order.only(), Some(1));
    order.clear();
    assert_eq!(order.count(), 0);
}
