//! Reading from the provider what no webhook tells.

use groupfold_fold::view::Group;
use groupfold_projector::desk::{JoinRequest, Look, Looked, Refusal, Wish};
use groupfold_schemas::v1::Evidence;

use super::effects::{later, new_link};
use super::group::Place;
use super::rules::{Broken, ended};
use super::run::Work;
use super::{Inner, new_id, now_ms};
use crate::provider::{Answer, Call, Done, InviteLink, before_second};

impl Inner {
    pub(super) async fn look(&self, group: Group, look: Look) -> Result<Looked, Refusal> {
        if let Some(Broken { code, rule, .. }) = ended(group.status) {
            return Err(Refusal::Rule { code, detail: rule.to_owned(), command_id: None });
        }
        let number = &group.origin.phone_number_id;
        if !self.provider.knows(number) {
            return Err(Refusal::NoProvider(format!(
                "there is no access token for phone_number_id {number}: set meta_access_token"
            )));
        }
        match look {
            Look::JoinRequests => {
                let requests = self
                    .provider
                    .all_join_requests(number, &group.group_id)
                    .await
                    .map_err(|a| refusal(&a))?;
                let one = |request: crate::provider::JoinRequest| JoinRequest {
                    join_request_id: request.join_request_id,
                    participant: request.participant,
                    created_at_ms: request.created_at_ms,
                };
                Ok(Looked::JoinRequests(requests.into_iter().map(one).collect()))
            }
            Look::InviteLink => {
                let call = Call::GetInviteLink { group: group.group_id.clone() };
                let (answer, began_ms) = self.provider.call_timed(number, &call, None).await;
                let Answer::Done(Done::InviteLink(InviteLink(link))) = answer else {
                    return Err(refusal(&answer));
                };
                if group.invite_link.as_deref() != Some(link.as_str()) {
                    // What is read speaks of no later moment: a reset meanwhile is newer. What was known before is older.
                    let time_ms = later(before_second(began_ms), group.invite_link_told_ms);
                    self.learn_link(&group, &link, time_ms).await?;
                }
                Ok(Looked::InviteLink(link))
            }
        }
    }

    /// A link that we did not know is a fact like any other.
    async fn learn_link(&self, group: &Group, link: &str, time_ms: i64) -> Result<(), Refusal> {
        let place = Place {
            account: group.origin.account.clone(),
            phone_number_id: group.origin.phone_number_id.clone(),
            group_id: group.group_id.clone(),
        };
        let work = Work::new(new_id()?, place, Wish::ResetInviteLink, None, now_ms(), self.deadline);
        self.append(vec![work.event(time_ms, "link", Evidence::Snapshot, new_link(link))]).await?;
        Ok(())
    }
}

fn refusal(answer: &Answer) -> Refusal {
    let (code, advice) = match answer {
        Answer::Refused(refusal) => (refusal.code, refusal.advice.name()),
        Answer::Unknown(unsure) => (unsure.name(), "retry_later"),
        _ => ("unreadable_answer", "do_not_retry"),
    };
    Refusal::Provider { code: code.to_owned(), advice }
}
