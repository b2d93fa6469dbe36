//! That a user of the platform saw a message.

use groupfold_fold::entry::{Key, Source, Value};
use groupfold_schemas::id::GroupId;
use groupfold_schemas::v1;
use groupfold_schemas::v1::event::Kind;

use super::body::{ViewWanted, user_id};
use super::write::{Order, Written};
use super::{Answers, GroupPath, Wait};
use crate::api::ask::{Headers, OfMessage};
use crate::api::id_of;
use crate::api::problem::Problem;
use crate::reads::{Freshness, position_of};
use crate::store::{self, ReadView};

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
    let group_id = match group_id {
        Some(group_id) => {
            GroupId::parse(&group_id).map_err(|error| Problem::bad_body(&format!("group_id {error}")))?;
            group_id
        }
        None => group_of(&order, message_id.clone()).await?,
    };
    let user = user.or_else(|| order.actor.clone());
    let user =
        user.ok_or_else(|| Problem::bad_body("user_id is needed where no Groupfold-Actor is named"))?;
    user_id("user_id", &user).map_err(|wrong| Problem::bad_body(&wrong))?;
    let kind = Kind::MessageViewed(v1::MessageViewed { message_id, user_id: user });
    order.tell(group_id, kind).await
}

/// The group of a message that state knows and the caller may see.
async fn group_of(order: &Order, message_id: String) -> Result<String, Problem> {
    let (reads, caller) = (&order.api.reads, order.caller.clone());
    let find = move |views: &[ReadView<'_>]| {
        for view in views {
            if let Some(group) = named_in(view, &message_id)?
                && caller.may_see_group(view, &group)?
            {
                return Ok(group);
            }
        }
        Err(Problem::message_without_group(&message_id, &position_of(views)))
    };
    reads.read_all(&Freshness::default(), find).await
}

fn named_in(view: &ReadView<'_>, message_id: &str) -> Result<Option<String>, store::Error> {
    let Some(Value::Message(head)) = view.get(&Key::Message { message: message_id.to_owned() })? else {
        return Ok(None);
    };
    let named = [head.group_id, head.viewed_in].into_iter().flatten().filter_map(|register| register.value);
    Ok(named.into_iter().find(|group| !group.is_empty()))
}
