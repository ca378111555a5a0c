//! The box around the machine: temperature, fan, power drawn. They follow the load a
//! little, so that whoever draws curves has something to draw.

use std::sync::Mutex;

use model::Timestamp;
use model::bmc::PowerState;
use serde_json::{Value, json};

use super::super::service::Service;
use super::{collection, link, power_word, well, with};

const PATH: &str = "/redfish/v1/Chassis/1";
/// Degrees Celsius of the room.
const ROOM: f64 = 22.0;
/// And above that: at rest, and under full load.
const AT_REST: f64 = 9.0;
const AT_WORK: f64 = 45.0;
/// Seconds in which two thirds of a change are felt.
const INERTIA: f64 = 20.0;

/// The temperature, which changes slowly.
#[derive(Default)]
pub(in crate::bmc) struct Heat {
    last: Mutex<Option<(Timestamp, f64)>>,
}

/// What is measured.
struct Readings {
    celsius: f64,
    rpm: f64,
    watts: f64,
}

pub(super) fn read(service: &Service, rest: &[&str]) -> Option<Value> {
    match rest {
        [] => Some(collection("ChassisCollection", "/redfish/v1/Chassis", "Chassis", ["1"])),
        ["1"] => Some(chassis(service)),
        ["1", "Sensors"] => {
            let path = format!("{PATH}/Sensors");
            Some(collection("SensorCollection", &path, "Sensors", ["CpuTemp", "Fan1", "PowerIn"]))
        }
        ["1", "Sensors", id] => sensor(service, id),
        ["1", "Thermal"] => Some(thermal(service)),
        ["1", "Power"] => Some(power(service)),
        _ => None,
    }
}

fn chassis(service: &Service) -> Value {
    let system = &service.hardware.parts().system;
    with(
        "Chassis",
        PATH,
        "Chassis",
        json!({
            "ChassisType": "RackMount",
            "Manufacturer": system.manufacturer,
            "Model": system.product,
            "SerialNumber": system.serial,
            "PowerState": power_word(service.power()),
            "Status": well(),
            "Sensors": link(&format!("{PATH}/Sensors")),
            "Thermal": link(&format!("{PATH}/Thermal")),
            "Power": link(&format!("{PATH}/Power")),
            "Links": {
                "ComputerSystems": [link("/redfish/v1/Systems/1")],
                "ManagedBy": [link("/redfish/v1/Managers/1")],
            },
        }),
    )
}

fn sensor(service: &Service, id: &str) -> Option<Value> {
    let now = measure(service);
    let (title, kind, units, reading) = match id {
        "CpuTemp" => ("Processor temperature", "Temperature", "Cel", now.celsius),
        "Fan1" => ("Fan", "Rotational", "{rev}/min", now.rpm),
        "PowerIn" => ("Power drawn", "Power", "W", now.watts),
        _ => return None,
    };
    Some(with(
        "Sensor",
        &format!("{PATH}/Sensors/{id}"),
        title,
        json!({
            "ReadingType": kind,
            "Reading": reading,
            "ReadingUnits": units,
            "Status": well(),
        }),
    ))
}

fn thermal(service: &Service) -> Value {
    let now = measure(service);
    let path = format!("{PATH}/Thermal");
    with(
        "Thermal",
        &path,
        "Thermal",
        json!({
            "Temperatures@odata.count": 1,
            "Temperatures": [{
                "@odata.id": format!("{path}#/Temperatures/0"),
                "MemberId": "0",
                "Name": "Processor temperature",
                "PhysicalContext": "CPU",
                "ReadingCelsius": now.celsius,
                "UpperThresholdCritical": 95.0,
                "Status": well(),
            }],
            "Fans@odata.count": 1,
            "Fans": [{
                "@odata.id": format!("{path}#/Fans/0"),
                "MemberId": "0",
                "Name": "Fan",
                "Reading": now.rpm as i64,
                "ReadingUnits": "RPM",
                "Status": well(),
            }],
        }),
    )
}

fn power(service: &Service) -> Value {
    let path = format!("{PATH}/Power");
    with(
        "Power",
        &path,
        "Power",
        json!({
            "PowerControl@odata.count": 1,
            "PowerControl": [{
                "@odata.id": format!("{path}#/PowerControl/0"),
                "MemberId": "0",
                "Name": "Power drawn",
                "PowerConsumedWatts": measure(service).watts,
                "PowerCapacityWatts": 500.0,
                "Status": well(),
            }],
        }),
    )
}

fn measure(service: &Service) -> Readings {
    let on = service.hardware.view().power == PowerState::On;
    let load = service.hardware.load().clamp(0.0, 1.0);
    let aim = if on { ROOM + AT_REST + (AT_WORK - AT_REST) * load } else { ROOM };
    let celsius = service.heat.towards(aim, service.now());
    let tenth = |value: f64| (value * 10.0).round() / 10.0;
    Readings {
        celsius: tenth(celsius),
        rpm: if on { (2_000.0 + (celsius - ROOM) * 120.0).round() } else { 0.0 },
        watts: if on { tenth(60.0 + 180.0 * load) } else { 5.0 },
    }
}

impl Heat {
    /// Moves towards a temperature as time has passed.
    fn towards(&self, aim: f64, now: Timestamp) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(|broken| broken.into_inner());
        let (then, before) = last.unwrap_or((now, ROOM));
        let passed = now.since(then).secs_f64();
        let celsius = aim + (before - aim) * (-passed / INERTIA).exp();
        *last = Some((now, celsius));
        celsius
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_comes_and_goes_slowly() {
        let heat = Heat::default();
        let at = |secs: i64| Timestamp::from_micros(secs * 1_000_000);
        assert_eq!(heat.towards(60.0, at(0)), ROOM);
        let warm = heat.towards(60.0, at(20));
        assert!((44.0..48.0).contains(&warm), "{warm}");
        assert!(heat.towards(60.0, at(400)) > 59.9);
    }
}
