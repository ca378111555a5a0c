//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // What is moved when the program starts, as a map of bits and not as a table of
        // 24 bytes each: every engine of the disk service would keep all of it resident,
        // more than a MiB. Needs glibc 2.36 (Debian 12 has it).
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
