//! Who may come in: sessions, the account, its role.

use serde_json::{Value, json};

use super::super::account::PASSWORD_LENGTHS;
use super::super::service::Service;
use super::{collection, link, well, with};

const SESSIONS: &str = "/redfish/v1/SessionService";
const ACCOUNTS: &str = "/redfish/v1/AccountService";

pub(super) fn sessions(service: &Service, rest: &[&str]) -> Option<Value> {
    let path = format!("{SESSIONS}/Sessions");
    match rest {
        [] => Some(with(
            "SessionService",
            SESSIONS,
            "Sessions",
            json!({
                "ServiceEnabled": true,
                "SessionTimeout": service.sessions.timeout().as_secs(),
                "Sessions": link(&path),
                "Status": well(),
            }),
        )),
        ["Sessions"] => {
            Some(collection("SessionCollection", &path, "Sessions", service.sessions.ids()))
        }
        ["Sessions", id] => {
            let id = id.parse::<u64>().ok().filter(|id| service.sessions.ids().contains(id))?;
            let user = json!({"UserName": service.account.username(), "SessionType": "Redfish"});
            Some(with("Session", &format!("{path}/{id}"), "Session", user))
        }
        _ => None,
    }
}

pub(super) fn accounts(service: &Service, rest: &[&str]) -> Option<Value> {
    let (accounts, roles) = (format!("{ACCOUNTS}/Accounts"), format!("{ACCOUNTS}/Roles"));
    match rest {
        [] => Some(with(
            "AccountService",
            ACCOUNTS,
            "Accounts",
            json!({
                "ServiceEnabled": true,
                "MinPasswordLength": PASSWORD_LENGTHS.start(),
                "MaxPasswordLength": PASSWORD_LENGTHS.end(),
                "Accounts": link(&accounts),
                "Roles": link(&roles),
                "Status": well(),
            }),
        )),
        ["Accounts"] => Some(collection("ManagerAccountCollection", &accounts, "Accounts", ["1"])),
        ["Accounts", "1"] => Some(with(
            "ManagerAccount",
            &format!("{accounts}/1"),
            "Account",
            json!({
                "UserName": service.account.username(),
                "Password": null,
                "RoleId": "Administrator",
                "AccountTypes": ["Redfish"],
                "Enabled": true,
                "Locked": false,
                "Links": {"Role": link(&format!("{roles}/Administrator"))},
            }),
        )),
        ["Roles"] => Some(collection("RoleCollection", &roles, "Roles", ["Administrator"])),
        ["Roles", "Administrator"] => Some(with(
            "Role",
            &format!("{roles}/Administrator"),
            "Administrator",
            json!({
                "RoleId": "Administrator",
                "IsPredefined": true,
                "AssignedPrivileges":
                    ["Login", "ConfigureManager", "ConfigureUsers", "ConfigureSelf", "ConfigureComponents"],
            }),
        )),
        _ => None,
    }
}
