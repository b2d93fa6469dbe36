//! Requests to join are listed, approved and rejected; participants are removed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Case, Done, page};
use crate::simulate::graph::refusal::Refusal;
use crate::simulate::ids;
use crate::simulate::world::{JOINED, MemberStatus, REMOVED, room};

const REMOVED_MAX: usize = 8;

/// A request that was dealt with, and one that was not.
type Dealt = (Vec<(u64, String)>, Vec<(String, Refusal)>);

impl Case<'_> {
    pub(super) fn requests(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        let one = |(person, id, at): (u64, String, i64)| {
            let mut item = json!({ "join_request_id": id, "creation_timestamp": at });
            for (name, value) in self.world.people.get(&person).map(|p| p.fields()).into_iter().flatten() {
                item[name] = value;
            }
            (ids::base64(format!("requests:{id}").as_bytes()), item)
        };
        let all = self.world.requests_of(key).into_iter().map(one).collect();
        let mut body = page(self.ask, all, Value::Array)?;
        // Of this list the documents show cursors alone.
        if let Some(paging) = body.get_mut("paging").and_then(Value::as_object_mut) {
            paging.retain(|name, _| name == "cursors");
        }
        Ok(Done::answer(body))
    }

    pub(super) fn approve(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        self.ask.is_of_whatsapp()?;
        let (mut done, mut failed) = self.asked_for(key)?;
        let places = self.world.groups.get(&key).map_or(0, room);
        for (_, id) in done.split_off(places.min(done.len())) {
            failed.push((id, Refusal::new(131_204, "The group is full")));
        }
        self.spoil(&mut done, &mut failed);
        for (person, _) in &done {
            self.world.wait_for(key, *person, JOINED);
        }
        let people: Vec<u64> = done.iter().map(|(person, _)| *person).collect();
        if !people.is_empty() {
            self.world.let_in(key, &people);
        }
        answer_by_request("approved_join_requests", &done, &failed)
    }

    /// No webhook tells of a rejection.
    pub(super) fn reject(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        self.ask.is_of_whatsapp()?;
        let (mut done, mut failed) = self.asked_for(key)?;
        self.spoil(&mut done, &mut failed);
        for (person, _) in &done {
            self.world.turn_away(key, *person);
        }
        answer_by_request("rejected_join_requests", &done, &failed)
    }

    /// The requests that the call names, and the names that stand for none.
    fn asked_for(&self, key: u64) -> Result<Dealt, Refusal> {
        let mut open = self.world.requests_of(key);
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for id in self.ask.list("join_requests")? {
            let id = id.as_str().ok_or_else(|| Refusal::new(131_009, "join_requests must be strings"))?;
            match open.iter().position(|(_, own, _)| own == id) {
                Some(place) => {
                    let (person, id, _) = open.swap_remove(place);
                    found.push((person, id));
                }
                None => failed.push((id.to_owned(), Refusal::new(131_213, "There is no such join request"))),
            }
        }
        Ok((found, failed))
    }

    /// Has the last one fail, or all, where the plan of failures wants it.
    fn spoil(&self, done: &mut Vec<(u64, String)>, failed: &mut Vec<(String, Refusal)>) {
        let kept = match (self.fate.fails, self.fate.partial) {
            (true, _) => 0,
            (false, true) => done.len().saturating_sub(1),
            (false, false) => done.len(),
        };
        let details = "Recipient has not accepted our new Terms of Service and Privacy Policy";
        failed.extend(done.split_off(kept).into_iter().map(|(_, id)| (id, Refusal::new(131_203, details))));
    }

    pub(super) fn remove(&mut self) -> Result<Done, Refusal> {
        let key = self.active_group()?;
        self.ask.is_of_whatsapp()?;
        let mut inputs = Vec::new();
        for one in self.ask.list("participants")? {
            // A user id stands under `user` in Meta's pages, under `user_id` in others' clients.
            let name = one["user"].as_str().or(one["user_id"].as_str()).filter(|name| !name.is_empty());
            inputs.push(name.ok_or_else(|| Refusal::new(131_008, "participants[].user is missing"))?);
        }
        if inputs.len() > REMOVED_MAX {
            return Err(Refusal::new(131_204, "participants must have at most 8 elements"));
        }
        let (mut removed, mut failed, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for input in inputs {
            let person = self.world.find_person_for(key, input);
            if !seen.insert(person.map_or_else(|| input.to_owned(), |person| person.to_string())) {
                return Err(Refusal::new(131_202, "A participant is named twice"));
            }
            match person.filter(|person| self.world.standing(key, *person) == Some(MemberStatus::Member)) {
                Some(person) => removed.push((person, input.to_owned())),
                None => failed.push((input.to_owned(), 131_212)),
            }
        }
        if removed.is_empty() {
            return Err(Refusal::new(131_212, "None of the participants is in the group"));
        }
        if self.fate.fails || self.fate.partial {
            let kept = if self.fate.fails { 0 } else { removed.len() - 1 };
            failed.extend(removed.split_off(kept).into_iter().map(|(_, input)| (input, 131_000)));
        }
        let partly = !failed.is_empty() && !removed.is_empty();
        for (person, _) in &removed {
            self.world.wait_for(key, *person, REMOVED);
        }
        let request_id = self.world.request_id();
        self.world.put_out(key, &request_id, removed, failed);
        let body = match partly {
            true => Refusal::new(131_201, "Some participants could not be removed").body(),
            false => json!({ "messaging_product": "whatsapp" }),
        };
        let status = if partly { 206 } else { 200 };
        Ok(Done { status, ..Done::answer_to(body, request_id, false, self.fate) })
    }
}

/// The answer is all that is ever told of a rejection, and of an approval that failed.
fn answer_by_request(
    name: &str,
    done: &[(u64, String)],
    failed: &[(String, Refusal)],
) -> Result<Done, Refusal> {
    // Where nothing of what was asked for is there, the call is refused as a whole.
    if let ([], [(_, first), rest @ ..]) = (done, failed)
        && first.code != 131_203
        && rest.iter().all(|(_, other)| other.code == first.code)
    {
        return Err(first.clone());
    }
    let ids: Vec<&String> = done.iter().map(|(_, id)| id).collect();
    let mut body = json!({ "messaging_product": "whatsapp", name: ids });
    if !failed.is_empty() {
        let one = |(id, why): &(String, Refusal)| json!({ "join_request_id": id, "errors": [why.item()] });
        body["failed_join_requests"] = failed.iter().map(one).collect();
        let why = Refusal::new(131_201, "Some join requests could not be dealt with");
        body["errors"] = json!([why.item()]);
    }
    Ok(Done::answer(body))
}
