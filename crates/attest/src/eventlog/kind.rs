//! Types of events and their names (TCG PC Client Platform Firmware Profile,
//! section 10.4.1).

use std::fmt;

/// Type of an event. Numbers without a name are vendors' own, or newer than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKind(pub u32);

macro_rules! kinds {
    ($($name:ident = $value:literal),+ $(,)?) => {
        impl EventKind {
            $(
                #[doc = concat!("`EV_", stringify!($name), "`")]
                pub const $name: EventKind = EventKind($value);
            )+
            /// The specification's name, where it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!("EV_", stringify!($name))),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    PREBOOT_CERT = 0x0000_0000,
    POST_CODE = 0x0000_0001,
    NO_ACTION = 0x0000_0003,
    SEPARATOR = 0x0000_0004,
    ACTION = 0x0000_0005,
    EVENT_TAG = 0x0000_0006,
    S_CRTM_CONTENTS = 0x0000_0007,
    S_CRTM_VERSION = 0x0000_0008,
    CPU_MICROCODE = 0x0000_0009,
    PLATFORM_CONFIG_FLAGS = 0x0000_000a,
    TABLE_OF_DEVICES = 0x0000_000b,
    COMPACT_HASH = 0x0000_000c,
    IPL = 0x0000_000d,
    IPL_PARTITION_DATA = 0x0000_000e,
    NONHOST_CODE = 0x0000_000f,
    NONHOST_CONFIG = 0x0000_0010,
    NONHOST_INFO = 0x0000_0011,
    OMIT_BOOT_DEVICE_EVENTS = 0x0000_0012,
    POST_CODE2 = 0x0000_0013,
    EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001,
    EFI_VARIABLE_BOOT = 0x8000_0002,
    EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003,
    EFI_BOOT_SERVICES_DRIVER = 0x8000_0004,
    EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005,
    EFI_GPT_EVENT = 0x8000_0006,
    EFI_ACTION = 0x8000_0007,
    EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008,
    EFI_HANDOFF_TABLES = 0x8000_0009,
    EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000a,
    EFI_HANDOFF_TABLES2 = 0x8000_000b,
    EFI_VARIABLE_BOOT2 = 0x8000_000c,
    EFI_GPT_EVENT2 = 0x8000_000d,
    EFI_HCRTM_EVENT = 0x8000_0010,
    EFI_VARIABLE_AUTHORITY = 0x8000_00e0,
    EFI_SPDM_FIRMWARE_BLOB = 0x8000_00e1,
    EFI_SPDM_FIRMWARE_CONFIG = 0x8000_00e2,
    EFI_SPDM_DEVICE_POLICY = 0x8000_00e3,
    EFI_SPDM_DEVICE_AUTHORITY = 0x8000_00e4,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "event type {:#010x}", self.0),
        }
    }
}
