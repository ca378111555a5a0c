//! What a verification costs. Not asserted: run with `--ignored --nocapture`, and in a
//! release build, to see.

use world::clock::monotonic_nanos;

use super::*;

#[test]
#[ignore = "a measurement, not a test"]
fn nanoseconds_of_one_verification() {
    const STAMP: &str = "20260101T120000Z";
    const ROUNDS: u32 = 200_000;
    let mut sent = Sent::new(
        "GET",
        "/bucket-of-mine/some/longer/key-0001.bin",
        &[
            ("Host", "127.0.0.1:9000"),
            ("User-Agent", "client/1.0"),
            ("Accept-Encoding", "identity"),
        ],
    );
    sign(&mut sent, STAMP, NOTHING);
    let accounts = example();
    let settings = Settings::default();
    sent.with_head(|head| {
        let now = at(STAMP);
        for _ in 0..3 {
            let begin = monotonic_nanos();
            for _ in 0..ROUNDS {
                let found = authenticate(head, &accounts, &settings, now);
                assert!(std::hint::black_box(found).is_ok());
            }
            println!("{} ns", (monotonic_nanos() - begin) / u64::from(ROUNDS));
        }
    });
}
