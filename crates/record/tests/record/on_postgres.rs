//! The contract on PostgreSQL, and what only a server can do to us: a newer
//! schema, a connection that breaks, followers that are woken. All in one test,
//! so that one server is enough.

use std::sync::Arc;
use std::thread;

use model::Duration;
use record::store::postgres::Postgres;
use record::{Store, StoreError};

use crate::contract::{self, Ground, Place, lead, single};
use crate::postgres_server::{SKIPPED, Server};

/// Makes a schema in the server for each record.
struct Schemas<'a> {
    server: &'a Server,
    next: u32,
}

impl Schemas<'_> {
    fn next(&mut self) -> String {
        self.next += 1;
        let schema = format!("record_{}", self.next);
        self.server.create_schema(&schema).unwrap();
        schema
    }
}

struct Url(String);

impl Ground for Schemas<'_> {
    fn place(&mut self) -> Arc<dyn Place> {
        let schema = self.next();
        Arc::new(Url(self.server.url(&schema)))
    }
}

impl Place for Url {
    fn open(&self) -> Box<dyn Store> {
        Box::new(Postgres::connect(&self.0).unwrap())
    }
}

macro_rules! on_postgres {
    ($($name:ident),*) => {
        fn contract(schemas: &mut Schemas<'_>) {
            $(
                println!("{}", stringify!($name));
                contract::$name(schemas);
            )*
        }
    };
}
contract::contract!(on_postgres);

#[test]
fn postgres_keeps_the_contract() {
    let Some(server) = Server::start("contract").unwrap() else {
        println!("{SKIPPED}");
        return;
    };
    let mut schemas = Schemas { server: &server, next: 0 };
    contract(&mut schemas);
    a_schema_from_the_future_is_refused(&server, &schemas.next());
    a_broken_connection_poisons_the_store(&server, &schemas.next());
    followers_are_woken(&server, &schemas.next());
    many_can_set_up_at_once(&server, &schemas.next());
    addresses_are_checked();
}

fn a_schema_from_the_future_is_refused(server: &Server, schema: &str) {
    drop(Postgres::connect(&server.url(schema)).unwrap());
    let mut other = server.connect(schema).unwrap();
    other.execute("UPDATE meta SET schema_version = 7", &[]).unwrap();
    let refused = Postgres::connect(&server.url(schema)).unwrap_err();
    assert!(matches!(refused, StoreError::Schema { found: 7, known: 1 }), "{refused}");
}

fn a_broken_connection_poisons_the_store(server: &Server, schema: &str) {
    let mut store = Postgres::connect(&server.url(schema)).unwrap();
    let fence = lead(&mut store);
    store.commit(fence.clone(), 1, &[single(1)]).unwrap();
    let mut other = server.connect(schema).unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'bedplate' AND pid <> pg_backend_pid()";
    other.execute(end, &[]).unwrap();
    let broken = store.commit(fence.clone(), 2, &[single(2)]).unwrap_err();
    assert!(matches!(broken, StoreError::Unreachable(_)), "{broken}");
    assert!(broken.outcome_unknown() && store.load().is_err());

    let mut again = Postgres::connect(&server.url(schema)).unwrap();
    let next = again.load().unwrap().revision() + 1;
    again.commit(fence, next, &[single(3)]).unwrap();
    assert_eq!(again.load().unwrap(), again.replay().unwrap());
}

fn followers_are_woken(server: &Server, schema: &str) {
    let mut leader = Postgres::connect(&server.url(schema)).unwrap();
    let mut follower = Postgres::connect(&server.url(schema)).unwrap();
    let fence = lead(&mut leader);
    assert!(follower.wait(Duration::from_secs(60)).unwrap(), "the first call says look now");
    assert!(!follower.wait(Duration::from_millis(1)).unwrap(), "nothing has happened");
    leader.commit(fence.clone(), 1, &[single(1), single(2)]).unwrap();
    leader.commit(fence.clone(), 3, &[single(3)]).unwrap();
    assert!(follower.wait(Duration::from_secs(60)).unwrap());
    assert!(!follower.events(0, 10).unwrap().is_empty());

    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut seen = 3;
            while seen < 4 {
                follower.wait(Duration::from_secs(60)).unwrap();
                seen += follower.events(seen, 10).unwrap().len() as u64;
            }
        });
        leader.commit(fence, 4, &[single(4)]).unwrap();
        waiting.join().unwrap();
    });
}

fn many_can_set_up_at_once(server: &Server, schema: &str) {
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| Postgres::connect(&server.url(schema)).unwrap());
        }
    });
}

fn addresses_are_checked() {
    let refused = Postgres::connect("no such thing").unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
    let nobody = Postgres::connect("host=/nonexistent user=nobody").unwrap_err();
    assert!(matches!(nobody, StoreError::Unreachable(_)), "{nobody}");
}
