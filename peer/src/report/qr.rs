//! A link as a QR code, for who has a camera.

use super::out;
use cascade_format::link::SCHEME;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Prints a link as a QR code of half-block characters. One that is too long for any is not printed.
pub(crate) fn qr(link: &str) {
    for row in rows(link) {
        out::line(&row);
    }
}

fn rows(link: &str) -> Vec<String> {
    // In capitals scheme and hash take a third less room.
    let end = link.find('?').unwrap_or(link.len());
    let (head, rest) = link.split_at(end.max(SCHEME.len()).min(link.len()));
    let text = head.to_ascii_uppercase() + rest;
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return Vec::new() };
    // Most terminals are dark: what is light in the code is drawn, with a margin around it.
    let code = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    code.lines().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::text;

    #[test]
    fn a_code_is_square_and_goes_to_a_terminal_unchanged() {
        let link = format!("cascade:{}?name=film.mkv&peer=192.168.1.5%3A8889", "7f".repeat(32));
        let rows = rows(&link);
        let width = rows[0].chars().count();
        assert!(width < 80 && rows.len() == width.div_ceil(2), "{width} by {}", rows.len());
        assert!(rows.iter().all(|row| row.chars().count() == width && text::line(row) == *row));
        assert!(super::rows(&"x".repeat(5000)).is_empty());
    }
}
