//! A rack: brought up, handed out machine by machine, taken down.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Secret;
use model::inventory::{
    Disk, Firmware as FirmwarePart, Inventory, MemoryModule, Nic, Processor, SystemParts, Tpm,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use world::network::Namespace;

use crate::bmc::{Bmc, BmcSpec, Faults};
use crate::console::Console;
use crate::error::{LabError, file};
use crate::hardware::Hardware;
use crate::identity::Identity;
use crate::keeper::Keeper;
use crate::needs::{self, Firmware};
use crate::network;
use crate::qemu::{self, Accelerator, Plan, QemuMachine};
use crate::remains::{Record, Remains};
use crate::spec::{MachineSpec, NetworkSpec, RackSpec};
use crate::tpm::{self, TpmAuthority};

/// A machine of a rack, as those see it who are to enrol it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabMachine {
    /// Its name.
    pub name: String,
    /// Hardware address, lower case with colons.
    pub mac: String,
    /// SMBIOS UUID, lower case with dashes.
    pub uuid: String,
    /// Serial number of the chassis.
    pub serial: String,
    /// `https://127.0.0.1:PORT`
    pub bmc_address: String,
    /// SHA-256 of the BMC's certificate, hexadecimal.
    pub bmc_certificate: String,
    /// The BMC's account.
    pub username: String,
    /// And its password when the rack came up.
    #[serde(serialize_with = "model::secret::send")]
    pub password: Secret,
    /// What its serial console says.
    pub console_log: PathBuf,
}

/// A rack that is up. Dropping it ends its machines at once; [`Rack::down`] also takes
/// its wire away.
pub struct Rack {
    spec: RackSpec,
    accelerator: Accelerator,
    authority: TpmAuthority,
    sockets: PathBuf,
    units: Vec<Unit>,
    /// Whether it has been taken down.
    down: Mutex<bool>,
}

struct Unit {
    told: LabMachine,
    machine: Arc<QemuMachine>,
    bmc: Bmc,
}

/// What carries a machine of the rack being built.
struct Site<'a> {
    spec: &'a RackSpec,
    firmware: Firmware,
    trust: Option<Vec<u8>>,
    accelerator: Accelerator,
    authority: TpmAuthority,
    sockets: PathBuf,
    keeper: Keeper,
    namespace: Namespace,
}

impl Rack {
    /// Brings a rack up: its machines are off, their BMCs listen. What is being done is
    /// told to `progress`, one sentence at a time.
    pub async fn up(
        spec: RackSpec,
        progress: impl Fn(&str) + Send + Sync,
    ) -> Result<Self, LabError> {
        spec.check()?;
        let firmware = needs::check()?;
        needs::check_root()?;
        let trust = spec.trust.as_deref().map(certificate).transpose()?;
        let machines = spec.dir.join("machines");
        fs::create_dir_all(&machines).map_err(file(&machines))?;
        let dir = spec.dir.canonicalize().map_err(file(&spec.dir))?;
        let spec = RackSpec { dir, ..spec };
        clear_before(&spec, &progress).await?;
        let sockets = socket_dir()?;
        progress("finding out whether KVM boots firmware here");
        let accelerator = qemu::choose(spec.accel, &spec.dir, &sockets, &firmware).await?;
        let record = Record::new(&spec, &sockets)?;
        let built = Self::build(&spec, record, firmware, trust, accelerator, &progress).await;
        if built.is_err() {
            let _ = fs::remove_dir_all(&sockets);
            Record::remove(&spec.dir);
        }
        built
    }

    async fn build(
        spec: &RackSpec,
        record: Record,
        firmware: Firmware,
        trust: Option<Vec<u8>>,
        accelerator: Accelerator,
        progress: &(impl Fn(&str) + Send + Sync),
    ) -> Result<Self, LabError> {
        progress(&format!("laying the wire: namespace {}", spec.network.namespace));
        if network::exists(&spec.network.namespace) {
            return Err(LabError::NamespaceTaken { name: spec.network.namespace.clone() });
        }
        // Written down before it is made: whoever is killed in between leaves a trace.
        record.write(&spec.dir)?;
        let namespace = network::build(&spec.network, spec.machines.len()).await?;
        let filled =
            Self::fill(spec, record, firmware, trust, accelerator, namespace, progress).await;
        if filled.is_err() {
            let _ = network::remove(&spec.network.namespace).await;
        }
        filled
    }

    async fn fill(
        spec: &RackSpec,
        mut record: Record,
        firmware: Firmware,
        trust: Option<Vec<u8>>,
        accelerator: Accelerator,
        namespace: Namespace,
        progress: &(impl Fn(&str) + Send + Sync),
    ) -> Result<Self, LabError> {
        let keeper = Keeper::start(Some(&namespace))?;
        let authority = TpmAuthority::new(spec.dir.join("tpm-authority"))?;
        let sockets = record.sockets.clone();
        let site =
            Site { spec, firmware, trust, accelerator, authority, sockets, keeper, namespace };
        let mut units = Vec::new();
        for (index, machine) in spec.machines.iter().enumerate() {
            progress(&format!("putting {} into the rack", machine.name));
            units.push(site.unit(index, machine).await?);
        }
        record.machines = units.iter().map(|unit| unit.told.clone()).collect();
        record.write(&spec.dir)?;
        let Site { authority, sockets, .. } = site;
        let (spec, down) = (spec.clone(), Mutex::new(false));
        Ok(Self { spec, accelerator, authority, sockets, units, down })
    }

    /// What is known of a rack on this directory from another process: one that is up,
    /// or the remains of one that was killed.
    pub fn attach(dir: &Path) -> Result<Option<Remains>, LabError> {
        Remains::find(dir)
    }

    /// Its machines. Passwords are those of when the rack came up.
    pub fn machines(&self) -> Vec<LabMachine> {
        self.units.iter().map(|unit| unit.told.clone()).collect()
    }

    /// The machine behind a BMC, to look at it past its BMC.
    pub fn hardware(&self, name: &str) -> Option<Arc<dyn Hardware>> {
        self.unit(name).map(|unit| Arc::clone(&unit.machine) as Arc<dyn Hardware>)
    }

    /// A machine's serial console.
    pub fn console(&self, name: &str) -> Option<&Console> {
        self.unit(name).map(|unit| unit.machine.console())
    }

    /// The switch for the faults of a machine's BMC.
    pub fn faults(&self, name: &str) -> Option<&Faults> {
        self.unit(name).map(|unit| unit.bmc.faults())
    }

    /// How processors are emulated, after the probe.
    pub const fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// Its wire: sockets of the control plane are bound to its address, inside its
    /// namespace.
    pub const fn network(&self) -> &NetworkSpec {
        &self.spec.network
    }

    /// Certificates (PEM) of the authority that vouches for the machines' TPMs: the
    /// issuer, and the root above it.
    pub fn tpm_authority(&self) -> [PathBuf; 2] {
        self.authority.certificates()
    }

    /// Takes the rack down: machines, BMCs, wire. What the machines hold (disks, TPM,
    /// variables, identities) stays in the directory. Repeating it does no harm.
    pub async fn down(&self) -> Result<(), LabError> {
        let mut down = self.down.lock().await;
        if *down {
            return Ok(());
        }
        for unit in &self.units {
            unit.bmc.stop();
            unit.machine.power_off().await?;
        }
        network::remove(&self.spec.network.namespace).await?;
        let _ = fs::remove_dir_all(&self.sockets);
        Record::remove(&self.spec.dir);
        *down = true;
        Ok(())
    }

    fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.told.name == name)
    }
}

impl Site<'_> {
    async fn unit(&self, index: usize, spec: &MachineSpec) -> Result<Unit, LabError> {
        let dir = self.spec.dir.join("machines").join(&spec.name);
        fs::create_dir_all(&dir).map_err(file(&dir))?;
        let mut identity = Identity::load(&dir)?;
        tpm::manufacture(&dir.join("tpm"), &self.authority, &spec.name).await?;
        let plan = self.plan(index, spec, &identity, &dir)?;
        self.lay_variables(&plan)?;
        let parts = parts(spec, &identity, &plan);
        let console_log = dir.join("console.log");
        let machine = QemuMachine::new(plan, parts, self.keeper.clone());
        let mut listen = self.spec.bmc_listen;
        listen.set_port(match listen.port() {
            0 => identity.bmc_port,
            base => base.saturating_add(u16::try_from(index).unwrap_or(u16::MAX)),
        });
        let bmc = self.bmc(&machine, &dir, spec, listen, &identity).await?;
        if identity.bmc_port != bmc.address().port() {
            identity.bmc_port = bmc.address().port();
            identity.keep(&dir)?;
        }
        let (username, password) = bmc.account();
        let told = LabMachine {
            name: spec.name.clone(),
            mac: machine.mac(),
            uuid: identity.uuid,
            serial: identity.serial,
            bmc_address: format!("https://{}", bmc.address()),
            bmc_certificate: bmc.certificate().to_owned(),
            username,
            password,
            console_log,
        };
        Ok(Unit { told, machine, bmc })
    }

    async fn bmc(
        &self,
        machine: &Arc<QemuMachine>,
        dir: &Path,
        spec: &MachineSpec,
        listen: SocketAddr,
        identity: &Identity,
    ) -> Result<Bmc, LabError> {
        let wish = BmcSpec {
            name: spec.name.clone(),
            dir: dir.join("bmc"),
            listen,
            wire: Some((self.spec.network.clone(), self.namespace.clone())),
            fault_endpoint: self.spec.fault_endpoint,
        };
        let hardware = Arc::clone(machine) as Arc<dyn Hardware>;
        match Bmc::start(wish.clone(), Arc::clone(&hardware)).await {
            // The port of the last time has been taken by somebody: any other will do.
            Err(_) if self.spec.bmc_listen.port() == 0 && identity.bmc_port != 0 => {
                let listen = self.spec.bmc_listen;
                Bmc::start(BmcSpec { listen, ..wish }, hardware).await
            }
            other => other,
        }
    }

    fn plan(
        &self,
        index: usize,
        spec: &MachineSpec,
        identity: &Identity,
        dir: &Path,
    ) -> Result<Plan, LabError> {
        let mut disks = Vec::new();
        for (number, size) in spec.disks.iter().enumerate() {
            let path = dir.join(format!("disk{number}.img"));
            let disk = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let disk = disk.map_err(file(&path))?;
            // A disk that is there keeps what it holds, and may grow.
            let length = disk.metadata().map_err(file(&path))?.len().max(size.0);
            disk.set_len(length).map_err(file(&path))?;
            disks.push((path, format!("{}-D{number}", identity.serial)));
        }
        Ok(Plan {
            name: spec.name.clone(),
            dir: dir.to_owned(),
            sockets: self.sockets.clone(),
            uuid: identity.uuid.clone(),
            serial: identity.serial.clone(),
            mac: identity.mac,
            tap: Some(network::tap(index)),
            cpus: spec.cpus,
            memory_mib: spec.memory.0 >> 20,
            disks,
            code: self.firmware.code.clone(),
            accelerator: self.accelerator,
        })
    }

    /// Lays out the variable store of a machine that has none, or none that can be
    /// read; and sees to it that the certificate of today is trusted.
    fn lay_variables(&self, plan: &Plan) -> Result<(), LabError> {
        qemu::prepare(plan, &self.firmware, self.spec.secure_boot, self.trust.as_deref())
    }
}

/// What is in the way is cleared when it is ours, and named when it is not.
async fn clear_before(spec: &RackSpec, progress: &impl Fn(&str)) -> Result<(), LabError> {
    if let Some(remains) = Remains::find(&spec.dir)? {
        if let Some(pid) = remains.owner() {
            return Err(LabError::AlreadyUp { dir: spec.dir.clone(), pid });
        }
        progress("clearing what a rack left that was not taken down");
        remains.clear().await?;
    }
    Ok(())
}

/// Sockets lie in a directory with a short name: their paths have at most 107 bytes,
/// and a rack's own directory may be anywhere.
fn socket_dir() -> Result<PathBuf, LabError> {
    let token = world::entropy::new_token::<6>(&mut world::SystemEntropy);
    let runtime = Path::new("/run");
    let base = if runtime.is_dir() { runtime.to_owned() } else { std::env::temp_dir() };
    let dir = base.join(format!("bedplate-lab-{token}"));
    fs::create_dir(&dir).map_err(file(&dir))?;
    Ok(dir)
}

/// The certificate in a PEM file, as DER.
fn certificate(path: &Path) -> Result<Vec<u8>, LabError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let found = CertificateDer::from_pem_file(path);
    found.map(|der| der.to_vec()).map_err(|error| LabError::Certificate {
        doing: format!("read the certificate in {}", path.display()),
        why: error.to_string(),
    })
}

/// What the BMC says the machine is made of.
fn parts(spec: &MachineSpec, identity: &Identity, plan: &Plan) -> Inventory {
    let memory = MemoryModule { slot: "DIMM 0".into(), size: model::Bytes::mib(plan.memory_mib) };
    let disks = spec.disks.iter().enumerate().map(|(number, size)| Disk {
        name: format!("disk{number}"),
        model: "QEMU NVMe Ctrl".into(),
        serial: format!("{}-D{number}", identity.serial),
        size: *size,
        rotational: false,
        transport: "nvme".into(),
    });
    // QEMU puts all of them on one socket.
    let (model, cores) = ("Lab virtual processor".to_owned(), spec.cpus);
    let processor = Processor { model, cores, threads: cores };
    Inventory {
        system: SystemParts {
            manufacturer: "Bedplate".into(),
            product: "Lab".into(),
            serial: identity.serial.clone(),
            uuid: identity.uuid.clone(),
        },
        processors: vec![processor],
        memory: vec![memory],
        disks: disks.collect(),
        nics: vec![Nic {
            name: "nic0".into(),
            mac: plan.mac_text(),
            speed_mbps: 10_000,
            link: true,
            neighbour: None,
        }],
        tpm: Some(Tpm { manufacturer: "IBM".into(), family: "2.0".into(), ..Tpm::default() }),
        firmware: vec![FirmwarePart { part: "bios".into(), version: "edk2".into() }],
        ..Inventory::default()
    }
}
