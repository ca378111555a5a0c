//! Redfish clients of baseboard management controllers.
