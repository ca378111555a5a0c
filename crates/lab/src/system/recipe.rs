//! What goes into the system: packages, what of them is left out, what does not start
//! at boot, and what the kernel is told. The digest of all this decides whether an
//! image has to be built again.

use model::image::Checksum;
use sha2::{Digest as _, Sha256};

use super::{Order, SystemError, settle};

/// Debian's release when none is asked for.
pub const SUITE: &str = "bookworm";

/// Increased when the builder changes in a way that the lists here do not show.
const VERSION: u32 = 1;

/// What is installed, without what is only recommended.
const PACKAGES: [&str; 17] = [
    // `/usr` is merged from the start; the package that would merge it brings Perl.
    "usr-is-merged",
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "udev",
    "dbus",
    // Names, and the machine's own name.
    "systemd-resolved",
    "libnss-myhostname",
    "netbase",
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "sudo",
    "cloud-init",
    "ca-certificates",
    // For `resize2fs`.
    "e2fsprogs",
    "less",
    "vim-tiny",
];

/// The boot loaders, signed by Microsoft and Debian. Their packages are unpacked for
/// the boot partition and not installed: they would bring all of GRUB's tools.
pub(super) const LOADERS: [&str; 2] = ["shim-signed", "grub-efi-amd64-signed"];

/// Files of packages that are left out, as dpkg's patterns.
pub(super) const LEFT_OUT: [&str; 15] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/i18n/*",
    "/usr/share/lintian/*",
    "/usr/share/bash-completion/*",
    // Names of devices for people: 20 MB with the database that is made of them.
    "/usr/lib/udev/hwdb.d/*",
    "/lib/udev/hwdb.d/*",
    // The kernel finds its root by itself, so no initial file system is made.
    "/etc/kernel/postinst.d/initramfs-tools",
    // Drivers that a server of the lab cannot have.
    "/lib/modules/*/kernel/drivers/infiniband/*",
    "/lib/modules/*/kernel/drivers/comedi/*",
    "/lib/modules/*/kernel/drivers/target/*",
    "/lib/modules/*/kernel/net/rds/*",
    "/lib/modules/*/kernel/net/tipc/*",
];

/// What the kernel is told beside where its root is.
///
/// The counter of the processor is the clock: the other one costs an exit from the
/// virtual machine each time that anybody asks for the time.
const COMMAND_LINE: &str = "rootfstype=ext4 rootwait rw console=ttyS0,115200 quiet \
     systemd.show_status=true audit=0 clocksource=tsc tsc=reliable";

/// Longest name of a package (Debian Policy has no limit; the archive has this).
const NAME_LONGEST: usize = 128;

/// Everything that decides what an image is.
#[derive(Clone, Debug)]
pub struct Recipe {
    suite: String,
    mirror: Option<String>,
    packages: Vec<String>,
    command_line: String,
}

impl Recipe {
    /// The recipe of an order, checked: its words go to programs and into files.
    pub(super) fn of(order: &Order) -> Result<Self, SystemError> {
        let refused =
            |what, value: &str, why| Err(SystemError::Order { what, value: value.to_owned(), why });
        if !is_name(&order.suite) {
            return refused("the suite", &order.suite, "it is no code name");
        }
        if let Some(bad) = order.extra_packages.iter().find(|name| !is_name(name)) {
            return refused("a package", bad, "it is no name of a package");
        }
        if let Some(mirror) = &order.mirror
            && (!mirror.starts_with("http") || mirror.chars().any(|c| c.is_whitespace()))
        {
            return refused("the mirror", mirror, "it is no address with http");
        }
        let extra = order.extra_command_line.trim();
        if extra.chars().any(|c| !c.is_ascii_graphic() && c != ' ' || "\"'\\$;{}|&#<>".contains(c))
        {
            return refused(
                "the command line",
                extra,
                "GRUB would read these characters as its own",
            );
        }
        let packages = PACKAGES.iter().map(|name| (*name).to_owned());
        Ok(Self {
            suite: order.suite.clone(),
            mirror: order.mirror.clone(),
            packages: packages.chain(order.extra_packages.iter().cloned()).collect(),
            command_line: [COMMAND_LINE, extra].join(" ").trim_end().to_owned(),
        })
    }

    /// Debian's release.
    pub fn suite(&self) -> &str {
        &self.suite
    }
    /// Where packages come from, unless from Debian's own addresses.
    pub fn mirror(&self) -> Option<&str> {
        self.mirror.as_deref()
    }
    /// Names of the packages.
    pub fn packages(&self) -> &[String] {
        &self.packages
    }
    /// What the kernel is told beside where its root is.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// Another digest is another image.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("{VERSION} {self:?} {LOADERS:?} {LEFT_OUT:?}"));
        for (path, content) in settle::texts() {
            digest.update(format!("\0{path}\0{content}"));
        }
        digest.update(format!("{:?}", settle::OFF));
        Checksum::from_digest(digest.finalize().into()).to_string()
    }

    /// A UUID of this image's own for one of its parts, the same in each build.
    pub fn uuid(&self, part: &str) -> uuid::Uuid {
        let digest = Sha256::digest(format!("{} {part}", self.digest()));
        let bytes: [u8; 16] = digest[..16].try_into().expect("a digest has 32 bytes");
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// Names of packages (Debian Policy 5.6.1) and of releases.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins && text.len() <= NAME_LONGEST && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order::new("/nowhere/system.raw.zst", "/nowhere")
    }

    #[test]
    fn whatever_changes_the_image_changes_the_digest() {
        let plain = Recipe::of(&order()).unwrap();
        let digest = plain.digest();
        assert_eq!(Recipe::of(&order()).unwrap().digest(), digest);
        let elsewhere = Order { out: "/elsewhere".into(), ..order() };
        assert_eq!(Recipe::of(&elsewhere).unwrap().digest(), digest);
        let others = [
            Order { suite: "trixie".into(), ..order() },
            Order { mirror: Some("http://mirror.example/debian".into()), ..order() },
            Order { extra_packages: vec!["htop".into()], ..order() },
            Order { extra_command_line: "panic=5".into(), ..order() },
        ];
        for other in others {
            assert_ne!(Recipe::of(&other).unwrap().digest(), digest, "{other:?}");
        }
        assert_ne!(plain.uuid("root"), plain.uuid("disk"));
    }

    #[test]
    fn words_that_programs_would_misread_are_refused() {
        for bad in [
            Order { suite: "--simulate".into(), ..order() },
            Order { suite: String::new(), ..order() },
            Order { extra_packages: vec!["htop,nano".into()], ..order() },
            Order { extra_packages: vec!["-o=x".into()], ..order() },
            Order { mirror: Some("copy:///etc".into()), ..order() },
            Order { extra_command_line: "a\nreboot".into(), ..order() },
            Order { extra_command_line: "a; reboot".into(), ..order() },
        ] {
            let error = Recipe::of(&bad).unwrap_err();
            assert!(matches!(error, SystemError::Order { .. }), "{bad:?}");
        }
    }
}
