//! The machine's clock: read for certificates, set when the control plane says
//! that it is far off.

use std::io;

use model::Timestamp;

/// The time of day.
pub fn now() -> Timestamp {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid timespec that the kernel fills.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut spec) };
    assert!(done == 0, "the real-time clock can always be read");
    Timestamp::from_micros(
        spec.tv_sec.saturating_mul(1_000_000).saturating_add(spec.tv_nsec / 1000),
    )
}

/// Sets the time of day (needs `CAP_SYS_TIME`).
pub fn set(to: Timestamp) -> io::Result<()> {
    let micros = to.micros();
    let spec = libc::timespec {
        tv_sec: micros.div_euclid(1_000_000),
        tv_nsec: micros.rem_euclid(1_000_000) * 1000,
    };
    // SAFETY: `spec` is a valid timespec that the kernel only reads.
    match unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const spec) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
