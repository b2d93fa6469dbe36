//! Where a command belongs: the number that asks, and the account that its events stand under.

use groupfold_projector::desk::{Ask, Refusal, Wish};

use super::Inner;

/// Where a command belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The provider's account; the number where no webhook has told the account yet.
    pub(super) account: String,
    pub(super) phone_number_id: String,
    /// Empty for a creation.
    pub(super) group_id: String,
}

impl Inner {
    pub(super) async fn place_of(&self, ask: &Ask) -> Result<Place, Refusal> {
        if let Some(group) = &ask.group {
            let origin = &group.origin;
            if origin.phone_number_id.is_empty() {
                return Err(Refusal::NoProvider(
                    "no event tells which business number the group belongs to".to_owned(),
                ));
            }
            return Ok(Place {
                account: origin.account.clone(),
                phone_number_id: origin.phone_number_id.clone(),
                group_id: group.group_id.clone(),
            });
        }
        let Wish::CreateGroup { phone_number_id, .. } = &ask.wish else { return Err(Refusal::Busy) };
        let digits = !phone_number_id.is_empty() && phone_number_id.bytes().all(|b| b.is_ascii_digit());
        if !digits || phone_number_id.len() > 32 {
            let rule = "the digits of a business number's id".to_owned();
            return Err(Refusal::Fields(vec![("phone_number_id".to_owned(), rule)]));
        }
        let known = self.projector.account_of(phone_number_id).await;
        // Under another account it would stand elsewhere, and not be found there.
        let known = known.map_err(|why| Refusal::NotKnown { what: "the account of the number", why })?;
        let account = known.unwrap_or_else(|| phone_number_id.clone());
        Ok(Place { account, phone_number_id: phone_number_id.clone(), group_id: String::new() })
    }
}
