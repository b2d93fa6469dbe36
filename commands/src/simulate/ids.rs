//! Ids and texts of the shapes that Meta prints.

use base64::Engine as _;
use base64::alphabet::STANDARD as BASE64;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::dice::Dice;

/// Without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD_NO_PAD.encode(bytes)
}

/// A group id: it holds the business number and WhatsApp's own number of the group.
pub(crate) fn group(display_phone_number: &str, serial: u64) -> String {
    let number = 120_363_400_000_000_000 + serial * 7_919;
    base64(format!("capi_group:{display_phone_number}:{number}").as_bytes()) + "ZD"
}

/// A join request id: the same whenever the same person asks for the same group.
pub(crate) fn join_request(person: &str, group: &str) -> String {
    let tail = group.get(group.len().saturating_sub(16)..).unwrap_or(group);
    base64(format!("{person}:{tail}").as_bytes()) + "ZD"
}

/// A message id. Some of its characters mean something in a path.
pub(crate) fn message(dice: &mut Dice, serial: u64) -> String {
    let serial = base64(&serial.to_be_bytes());
    format!("wamid.HBg{}{serial}{}=", dice.text(BASE64.as_str(), 12), dice.text(BASE64.as_str(), 18))
}

/// A request id: what a command's answer named and its webhook repeats.
pub(crate) fn request(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => dice.text("0123456789ABCDEF", 32),
        1 => dice.text("123456789", 15),
        _ => [8, 4, 4, 4, 12].map(|chars| dice.text("0123456789abcdef", chars)).join("-"),
    }
}

/// The hash of a picture.
pub(crate) fn picture(dice: &mut Dice) -> String {
    let bytes: Vec<u8> = (0..4).flat_map(|_| dice.next().to_be_bytes()).collect();
    base64(&bytes) + "="
}

/// The hash of a picture that there is.
pub(crate) fn picture_of(bytes: &[u8]) -> String {
    base64(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref()) + "="
}

/// An invite link.
pub(crate) fn invite_link(dice: &mut Dice) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    format!("https://chat.whatsapp.com/{}", dice.text(alphabet, 22))
}

/// Something that people name groups.
pub(crate) fn subject(dice: &mut Dice, serial: u64) -> String {
    const TOPICS: [&str; 12] = [
        "Lucky Shrub VIPs",
        "Watch Enthusiasts",
        "Entrega/Retirada",
        "Promoções 50% off",
        "Família Araújo \u{1f389}",
        "Pedidos <novos>",
        "Straßenfest Köln",
        "दिल्ली Foodies",
        "Los Niños @ Monterrey",
        "Book club \u{1f4da} & tea",
        "Clientes \"Ouro\"",
        "\u{1f469}\u{200d}\u{1f4bb} devs",
    ];
    format!("{} {serial}", dice.word(&TOPICS))
}

/// Something that people say.
pub(crate) fn body(dice: &mut Dice) -> String {
    const SAYINGS: [&str; 8] = [
        "What does everyone think about this?",
        "Olá a todos \u{1f600}",
        "50% hoje/amanhã <só> @ loja",
        "ok",
        "¿A qué hora? \u{1f914}",
        "बहुत बढ़िया",
        "Schöne Grüße aus Köln",
        "line one\nline \"two\" \\ end",
    ];
    dice.word(&SAYINGS).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_forms_of_the_samples() {
        assert_eq!(
            base64(b"capi_group:17055550139:120363404694233820"),
            "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjA"
        );
        assert!(group("17055550139", 3).starts_with("Y2FwaV9ncm91cDoxNzA1NTU1MDEzOTox"));
        let mut dice = Dice::new(1, "ids");
        assert_ne!(message(&mut dice, 1), message(&mut dice, 1));
        assert_eq!(picture(&mut dice).len(), 44);
    }
}
