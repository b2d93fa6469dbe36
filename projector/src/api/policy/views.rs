//! That a user of the platform saw a message.

use groupfold_fold::entry::{Key, Source as _, Value};
use groupfold_schemas::id::GroupId;
use groupfold_schemas::v1;
use groupfold_schemas::v1::event::Kind;

use super::body::{ViewWanted, user_id};
use super::write::{Order, Written};
use super::{Answers, GroupPath, Wait};
use crate::api::ask::{Headers, OfMessage};
use crate::api::id_of;
use crate::problem::Problem;
use crate::reads::{Freshness, position_of};
use crate::store::ReadView;

/// Tell that a user of the platform saw a message
///
/// The receipts of the message then tell it under `users`. The first view of a user counts.
#[utoipa::path(
    post,
    path = "/v1/messages/{message_id}/views",
    request_body = ViewWanted,
    params(OfMessage, Wait, Headers),
    responses(Answers),
    security((), ("token" = [])),
)]
pub(crate) async fn add(path: GroupPath, order: Order) -> Result<Written, Problem> {
    let message_id = id_of(path)?;
    groupfold_schemas::id::MessageId::parse(&message_id)
        .map_err(|error| Problem::bad_id(format!("the message id {error}")))?;
    let ViewWanted { user_id: user, group_id } = order.json_or_none::<ViewWanted>()?;
    if let Some(group_id) = &group_id {
        GroupId::parse(group_id).map_err(|error| Problem::bad_body(&format!("group_id {error}")))?;
    }
    let group_id = group_of(&order, message_id.clone(), group_id).await?;
    let user = user.or_else(|| order.actor.clone());
    let user =
        user.ok_or_else(|| Problem::bad_body("user_id is needed where no Groupfold-Actor is named"))?;
    user_id("user_id", &user).map_err(|wrong| Problem::bad_body(&wrong))?;
    let kind = Kind::MessageViewed(v1::MessageViewed { message_id, user_id: user });
    order.tell(group_id, kind).await
}

/// The group that a view of a message is told in: the one that is named, unless a receipt tells another; else the one that
/// state knows, if the caller may see it.
async fn group_of(order: &Order, message_id: String, wanted: Option<String>) -> Result<String, Problem> {
    let (reads, caller) = (&order.api.reads, order.caller.clone());
    let find = move |views: &[ReadView<'_>]| {
        let (mut reported, mut viewed) = (Vec::new(), Vec::new());
        for view in views {
            let Some(Value::Message(head)) = view.get(&Key::Message { message: message_id.clone() })? else {
                continue;
            };
            let named = |register: Option<v1::TextRegister>| register?.value.filter(|id| !id.is_empty());
            reported.extend(named(head.group_id).map(|group| (group, view)));
            viewed.extend(named(head.viewed_in).map(|group| (group, view)));
        }
        if let Some(wanted) = wanted {
            return match reported.is_empty() || reported.iter().any(|(group, _)| *group == wanted) {
                true => Ok(wanted),
                false => Err(Problem::message_elsewhere(&message_id, &wanted, &position_of(views))),
            };
        }
        for (group, view) in if reported.is_empty() { viewed } else { reported } {
            if caller.may_see_group(view, &group)? {
                return Ok(group);
            }
        }
        Err(Problem::message_without_group(&message_id, &position_of(views)))
    };
    reads.read_all(&Freshness::default(), find).await
}
