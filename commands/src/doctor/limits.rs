//! How near the provider's limits the groups are.

use super::{Findings, Patient};
use crate::api::Client;
use crate::limits::{Census, GROUPS_MAX, GROUPS_NEAR};

pub(super) async fn look(patient: &Patient, findings: &mut Findings) {
    let Some((api, token)) = &patient.api else { return };
    let Ok(api) = Client::new(api, token.clone()) else { return };
    // A receiver alone has no groups; whether the API answers is looked at elsewhere.
    let Ok(census) = Census::take(&api).await else { return };
    let before = findings.0.len();
    if let Some(reason) = census.cut_off() {
        findings.warn("limits", reason, "ask /v1/groups?phone_number_id=… for the numbers that matter");
    }
    if let Some((number, groups)) = census.fullest().filter(|(_, groups)| *groups >= GROUPS_NEAR) {
        findings.warn(
            "limits",
            format!("number {number} has {groups} of {GROUPS_MAX} groups"),
            "delete groups that are over, or create new ones on another number",
        );
    }
    if census.overdue > 0 {
        findings.warn(
            "commands",
            format!("{} commands wait for an end that should have come", census.overdue),
            "groupfold group commands --status accepted (sent, requested); is there an access token, and does the provider answer?",
        );
    }
    if census.nearly_full > 0 {
        // Full groups are what groups are for: to be known, not mended.
        findings.ok(
            "limits",
            format!("{} of {} groups have 7 members or more of 8", census.nearly_full, census.groups),
        );
    }
    if findings.0.len() == before {
        findings.ok("limits", format!("{} groups, none nearly full", census.groups));
    }
}
