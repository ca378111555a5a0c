//! By which verb of the command line each endpoint is reached. Tests check that
//! the list covers every endpoint and that the command line has every verb.

/// Stands in place of a verb where only machines call.
pub const MACHINE_ONLY: &str = "-";

/// Name of the endpoint, and the verb.
pub const VERBS: &[(&str, &str)] = &[
    ("getHealth", "health"),
    ("getOpenapi", "openapi"),
    ("getAuthority", "ca"),
    ("getMetrics", "metrics"),
    ("getSelf", "whoami"),
    ("listMachines", "machine list"),
    ("discoverMachines", "machine discover"),
    ("enrollMachine", "machine enroll"),
    ("getMachine", "machine show"),
    ("updateMachine", "machine update"),
    ("removeMachine", "machine remove"),
    ("powerMachine", "machine power"),
    ("deployMachine", "machine deploy"),
    ("releaseMachine", "machine release"),
    ("quarantineMachine", "machine quarantine"),
    ("setAsideMachine", "machine set-aside"),
    ("recoverMachine", "machine recover"),
    ("getTimeline", "machine timeline"),
    ("getConsole", "machine console"),
    ("getCertificate", "machine certificate"),
    ("drainMachine", "machine drain"),
    ("undrainMachine", "machine undrain"),
    ("lockMachine", "machine lock"),
    ("unlockMachine", "machine unlock"),
    ("getFleet", "fleet status"),
    ("listHosts", "host list"),
    ("offerHost", "host offer"),
    ("withdrawHost", "host withdraw"),
    ("listInstanceTypes", "instance-type list"),
    ("createInstanceType", "instance-type create"),
    ("removeInstanceType", "instance-type remove"),
    ("getCapacity", "capacity"),
    ("listPlacementGroups", "placement-group list"),
    ("createPlacementGroup", "placement-group create"),
    ("removePlacementGroup", "placement-group remove"),
    ("listInstances", "instance list"),
    ("createInstance", "instance create"),
    ("getInstance", "instance show"),
    ("removeInstance", "instance remove"),
    ("explainPlacement", "placement explain"),
    ("listImages", "image list"),
    ("createImage", "image import"),
    ("putImageContent", "image import"),
    ("getImage", "image show"),
    ("removeImage", "image remove"),
    ("listPolicies", "policy list"),
    ("getPolicy", "policy show"),
    ("updatePolicy", "policy set"),
    ("learnPolicy", "policy learn"),
    ("listOperations", "operation list"),
    ("getOperation", "operation show"),
    ("settleOperation", "operation retry/skip/abandon"),
    ("listEvents", "events"),
    ("listProjects", "project list"),
    ("createProject", "project create"),
    ("getProject", "project show"),
    ("updateProject", "project update"),
    ("removeProject", "project remove"),
    ("listTokens", "token list"),
    ("createToken", "token create"),
    ("removeToken", "token remove"),
    ("agentHello", MACHINE_ONLY),
    ("agentProve", MACHINE_ONLY),
    ("agentOrders", MACHINE_ONLY),
    ("agentNews", MACHINE_ONLY),
    ("agentImage", MACHINE_ONLY),
    ("callHome", MACHINE_ONLY),
];

/// The verb of an endpoint. Where there are several, `/` stands between their last words.
pub fn verb(endpoint: &str) -> Option<&'static str> {
    VERBS.iter().find(|(name, _)| *name == endpoint).map(|(_, verb)| *verb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ENDPOINTS;

    #[test]
    fn every_endpoint_has_its_verb_once_and_in_order() {
        let endpoints: Vec<&str> = ENDPOINTS.iter().map(|info| info.name).collect();
        let listed: Vec<&str> = VERBS.iter().map(|(name, _)| *name).collect();
        assert_eq!(endpoints, listed);
    }
}
