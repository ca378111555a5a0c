//! What can be wrong with a simulated machine. Each faulty machine gets a few of
//! these by its seed; the others are well, and must never end in quarantine.

use world::Entropy;

/// What is wrong with one machine. All zero: it is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The BMC never answers.
    pub bmc_dead: bool,
    /// Answers of the BMC that never come, per million.
    pub bmc_hangs_ppm: u32,
    /// Answers with a passing fault, per million.
    pub bmc_busy_ppm: u32,
    /// The BMC refuses the password.
    pub bmc_password_wrong: bool,
    /// The BMC forgets its sessions until it is asked anew, per million.
    pub bmc_session_lost_ppm: u32,
    /// The BMC gets stuck and only a restart of it helps, per million.
    pub bmc_stuck_ppm: u32,
    /// The BMC says yes to a change of power and does nothing, per million.
    pub bmc_power_lies_ppm: u32,
    /// The BMC says yes to a boot target and forgets it, per million.
    pub bmc_boot_lies_ppm: u32,
    /// The BMC's answers make no sense, per million.
    pub bmc_nonsense_ppm: u32,
    /// The BMC takes up to a minute for each answer.
    pub bmc_slow: bool,
    /// HTTP boot is claimed and never works.
    pub http_boot_broken: bool,
    /// The firmware hangs on the way up, per million.
    pub boot_hangs_ppm: u32,
    /// The firmware takes minutes.
    pub boot_slow: bool,
    /// The agent dies in the middle of its work and the machine restarts, per million.
    pub agent_dies_ppm: u32,
    /// The agent hangs in the middle of its work, per million.
    pub agent_hangs_ppm: u32,
    /// There is no TPM.
    pub tpm_missing: bool,
    /// The TPM is replaced at a later boot.
    pub tpm_replaced: bool,
    /// The firmware was tampered with.
    pub firmware_tampered: bool,
    /// A part fails the burn-in.
    pub part_broken: bool,
    /// Writing an image fails, per million.
    pub write_fails_ppm: u32,
    /// Data remains after sanitising.
    pub residue: bool,
    /// A disk disappears before it is sanitised.
    pub disk_lost: bool,
    /// The system never calls home, per million.
    pub system_silent_ppm: u32,
}

impl Faults {
    /// One to three faults at random.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        let mut faults = Self::default();
        for _ in 0..=entropy.below(3) {
            faults.add(entropy);
        }
        faults
    }

    /// Whether nothing is wrong.
    pub fn well(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, entropy: &mut dyn Entropy) {
        // From now and then to nearly always.
        let often = [20_000, 100_000, 400_000, 900_000][entropy.below(4) as usize];
        match entropy.below(23) {
            0 => self.bmc_dead = true,
            1 => self.bmc_hangs_ppm = often,
            2 => self.bmc_busy_ppm = often,
            3 => self.bmc_password_wrong = true,
            4 => self.bmc_session_lost_ppm = often,
            5 => self.bmc_stuck_ppm = often,
            6 => self.bmc_power_lies_ppm = often,
            7 => self.bmc_boot_lies_ppm = often,
            8 => self.bmc_nonsense_ppm = often,
            9 => self.bmc_slow = true,
            10 => self.http_boot_broken = true,
            11 => self.boot_hangs_ppm = often,
            12 => self.boot_slow = true,
            13 => self.agent_dies_ppm = often,
            14 => self.agent_hangs_ppm = often,
            15 => self.tpm_missing = true,
            16 => self.tpm_replaced = true,
            17 => self.firmware_tampered = true,
            18 => self.part_broken = true,
            19 => self.write_fails_ppm = often,
            20 => self.residue = true,
            21 => self.disk_lost = true,
            _ => self.system_silent_ppm = often,
        }
    }
}
