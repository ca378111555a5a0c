//! QEMU's command line: the board of a machine of the lab.
//!
//! q35 with system management mode, because secure boot is only as good as the
//! protection of the variable store; NVMe, because Debian's cloud kernel has it built
//! in, OVMF boots from it, and it can be formatted (which is how it is sanitised);
//! USB for the virtual drive, because it is plugged at run time as real BMCs do; the
//! TPM as a command-response buffer, because firmware talks to it in fewer steps than
//! by the older interface, which under emulation saves seconds.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What carries out the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's own translation.
    Tcg,
}

/// PCI slot of the network interface.
pub(crate) const SLOT_NET: u8 = 2;
/// PCI slot of the USB controller.
pub(crate) const SLOT_USB: u8 = 4;
/// PCI slot of the first disk.
pub(crate) const SLOT_DISK: u8 = 8;
/// USB port of the virtual drive, as QEMU counts, from 1.
pub(crate) const PORT_MEDIA: u8 = 1;

/// Everything that makes a machine the one that it is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub name: String,
    pub dir: PathBuf,
    /// Where sockets are: short, because a socket's path has at most 107 bytes.
    pub sockets: PathBuf,
    pub uuid: String,
    pub serial: String,
    pub mac: [u8; 6],
    pub tap: Option<String>,
    pub cpus: u32,
    pub memory_mib: u64,
    /// Image files of the disks, with their serial numbers.
    pub disks: Vec<(PathBuf, String)>,
    pub code: PathBuf,
    pub accelerator: Accelerator,
}

impl Plan {
    /// The flash image with the firmware's variables.
    pub fn variables(&self) -> PathBuf {
        self.dir.join("vars.fd")
    }
    /// A socket by name.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.sockets.join(format!("{}.{name}", self.name))
    }
    /// Hardware address, lower case with colons.
    pub fn mac_text(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }

    /// QEMU's arguments.
    pub fn arguments(&self, media: Option<&Path>) -> Vec<String> {
        let mut line = Line::default();
        self.board(&mut line);
        self.identity(&mut line);
        self.firmware(&mut line);
        self.wires(&mut line);
        for (index, (path, serial)) in self.disks.iter().enumerate() {
            let slot = usize::from(SLOT_DISK) + index;
            line.add("-blockdev", raw_node(&format!("disk{index}"), path, false));
            line.add(
                "-device",
                format!("nvme,drive=disk{index},serial={serial},addr=0x{slot:x},bootindex={index}"),
            );
        }
        if let Some(media) = media {
            line.add("-blockdev", raw_node("media", media, true));
            line.add(
                "-device",
                format!("usb-storage,id=media,drive=media,port={PORT_MEDIA},bus=usb.0"),
            );
        }
        line.0
    }

    fn board(&self, line: &mut Line) {
        match self.accelerator {
            Accelerator::Kvm => line.add("-accel", "kvm"),
            Accelerator::Tcg => line.add("-accel", "tcg,thread=multi"),
        }
        let cpu = if self.accelerator == Accelerator::Kvm { "host" } else { "max" };
        line.add("-machine", "q35,smm=on,vmport=off");
        line.add("-cpu", cpu);
        line.add("-smp", self.cpus.to_string());
        line.add("-m", self.memory_mib.to_string());
        line.add("-name", format!("bedplate-lab-{}", self.name));
        for flag in ["-nodefaults", "-nographic", "-no-user-config"] {
            line.0.push(flag.into());
        }
        line.add("-global", "ICH9-LPC.disable_s3=1");
        line.add("-device", "virtio-rng-pci,addr=0x3");
        line.add("-device", format!("qemu-xhci,id=usb,addr=0x{SLOT_USB:x}"));
    }

    /// SMBIOS tables (DSP0134), types 1, 2, 3, 4 and 17.
    fn identity(&self, line: &mut Line) {
        let (uuid, serial) = (&self.uuid, &self.serial);
        line.add("-uuid", uuid.clone());
        let board = format!("manufacturer=Bedplate,product=Lab,version=1,serial={serial}");
        line.add("-smbios", format!("type=1,{board},uuid={uuid},sku=lab,family=Lab"));
        line.add("-smbios", format!("type=2,{board}"));
        line.add("-smbios", format!("type=3,manufacturer=Bedplate,version=1,serial={serial}"));
        line.add(
            "-smbios",
            "type=4,sock_pfx=CPU,manufacturer=Bedplate,version=Lab virtual processor",
        );
        let memory = format!("loc_pfx=DIMM,bank=BANK 0,manufacturer=Bedplate,serial={serial}-M");
        line.add("-smbios", format!("type=17,{memory},part=LAB-DIMM"));
    }

    fn firmware(&self, line: &mut Line) {
        line.add("-global", "driver=cfi.pflash01,property=secure,value=on");
        let code = escape(&self.code);
        line.add("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
        let variables = escape(&self.variables());
        line.add("-drive", format!("if=pflash,unit=1,format=raw,file={variables}"));
        let tpm = escape(&self.socket("tpm"));
        line.add("-chardev", format!("socket,id=tpm,path={tpm}"));
        line.add("-tpmdev", "emulator,id=tpm0,chardev=tpm");
        line.add("-device", "tpm-crb,tpmdev=tpm0");
    }

    /// QEMU dials us for the console and for control, so that not a byte is lost.
    fn wires(&self, line: &mut Line) {
        let (serial, control) = (escape(&self.socket("serial")), escape(&self.socket("qmp")));
        line.add("-chardev", format!("socket,id=serial,path={serial}"));
        line.add("-serial", "chardev:serial");
        line.add("-chardev", format!("socket,id=qmp,path={control}"));
        line.add("-mon", "chardev=qmp,mode=control");
        if let Some(tap) = &self.tap {
            line.add("-netdev", format!("tap,id=net0,ifname={tap},script=no,downscript=no"));
            let mac = self.mac_text();
            line.add(
                "-device",
                format!("virtio-net-pci,netdev=net0,mac={mac},romfile=,addr=0x{SLOT_NET:x}"),
            );
        }
    }
}

/// A block node over a raw file. The host's page cache outlives QEMU, so nothing is
/// lost when QEMU is killed, and waiting for the host's disk would only cost time.
fn raw_node(name: &str, path: &Path, read_only: bool) -> String {
    let path = escape(path);
    let access = if read_only { "read-only=on" } else { "discard=unmap,detect-zeroes=unmap" };
    format!(
        "driver=raw,node-name={name},{access},cache.no-flush=on,\
         file.driver=file,file.filename={path},file.cache.no-flush=on"
    )
}

/// QEMU takes a doubled comma for a comma.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.to_owned(), value.into()]);
    }
}
